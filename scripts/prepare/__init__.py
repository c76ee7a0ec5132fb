"""What `scripts/prepare_data.py` is made of: photos to the training data that the options expect."""

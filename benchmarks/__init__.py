"""What the documentation gives figures of, and how to measure it again."""

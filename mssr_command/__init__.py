"""``mssr COMMAND``, wherever it is installed: the doors to all other rooms. Each module is one command."""

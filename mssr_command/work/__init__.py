"""What commands do when they have read their arguments; a command that has all its work in a room is not here."""

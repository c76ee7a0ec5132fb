"""The one exception for mistakes that a user can mend."""


class UserError(ValueError):
    """A mistake of the user's: one sentence that says what is wrong, where (file, YAML key), and what would be right.

    The entry points print it without a traceback and exit with status 2.
    """

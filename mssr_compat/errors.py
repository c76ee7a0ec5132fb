"""The one exception for mistakes that a user can mend."""


class UserError(ValueError):
    """A mistake of the user's: one sentence that says what is wrong, where (file, YAML key), and what would be right.

    The entry points print it without a traceback and exit with status 2.

    Args:
        sentence: the sentence. ``DataLoader`` raises what a worker raised anew with the worker's traceback as its text;
            the sentence at the end of that is what is kept.
    """

    def __init__(self, sentence: str):
        if sentence.startswith('Caught UserError in '):
            sentence = sentence.rpartition(f'{UserError.__qualname__}: ')[2].strip()
        super().__init__(sentence)

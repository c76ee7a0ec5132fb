"""Checks of constructor keywords, which are the user's YAML keys."""

from collections.abc import Sequence

from mssr_compat.errors import UserError


def shown(value: object) -> str:
    """``value`` as it stands in a YAML file: ``null`` for None, ``true`` for True."""
    yaml_words = {None: 'null', True: 'true', False: 'false'}
    return yaml_words[value] if value is None or isinstance(value, bool) else str(value)


def require_choice(arch: str, keyword: str, value: object, allowed: Sequence) -> None:
    """Raise :class:`UserError` unless ``value`` is one of ``allowed``, in type too (``true`` is not 1)."""
    if not any(type(value) is type(choice) and value == choice for choice in allowed):
        choices = ', '.join(shown(choice) for choice in allowed)
        raise UserError(f'{arch}: {keyword} is {shown(value)}, but must be one of {choices}.')


def require_count(arch: str, **values: object) -> None:
    """Raise :class:`UserError` unless every value is an integer of at least 1."""
    for keyword, value in values.items():
        if type(value) is not int or value < 1:
            raise UserError(f'{arch}: {keyword} is {shown(value)}, but must be an integer of at least 1.')


def require_non_negative(arch: str, **values: object) -> None:
    """Raise :class:`UserError` unless every value is a finite number of at least 0."""
    for keyword, value in values.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < float('inf'):
            raise UserError(f'{arch}: {keyword} is {shown(value)}, but must be a number of at least 0.')

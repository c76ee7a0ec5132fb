"""``mssr train`` and ``mssr test``: BasicSR's pipelines, with all that this project registers."""

from mssr_train.command_line import parse_arguments


def train(root_path: str) -> None:
    """:func:`mssr_train.pipeline.train`, imported when the arguments are known to be some."""
    parse_arguments(is_train=True)
    from mssr_command.work.train import train

    train(root_path)


def test(root_path: str) -> None:
    """:func:`mssr_train.pipeline.test`, likewise."""
    parse_arguments(is_train=False)
    from mssr_command.work.train import test

    test(root_path)

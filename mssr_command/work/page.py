"""What ``mssr page`` does."""

import argparse
from pathlib import Path

import mssr_inference  # noqa: F401  (shims, and networks register)
from mssr_compat.errors import UserError
from mssr_inference.command_line import choose_device
from mssr_inference.networks import load_generator, load_upscaler
from mssr_inference.web_page import Page, build_page, launch

SUFFIXES = ('.pth', '.safetensors')
REMEDY = 'mssr export, given its option file, writes files that do'


def page(args: argparse.Namespace) -> int:
    """Show the page of the checkpoints that the arguments name; returns the exit code."""
    try:
        upscalers, generators = find_weights(args.weights)
        shown = Page(upscalers, generators, choose_device(args.device), int(args.max_megapixels * 1e6))
        launch(build_page(shown), args.host, args.port)
    except OSError as error:  # the port is taken
        raise UserError(str(error)) from error
    return 0


def find_weights(paths: list[Path]) -> tuple[dict[str, Path], dict[str, Path]]:
    """SR networks and generators among files and folders, by names that tell them apart.

    Files that are neither (discriminators, say) are passed over in folders.

    Raises:
        UserError: a file that was named is neither, or nothing was found.
    """
    upscalers, generators = {}, {}
    for path in paths:
        files = sorted(f for f in path.rglob('*') if f.suffix in SUFFIXES) if path.is_dir() else [path]
        for file in files:
            try:
                (generators if is_generator(file) else upscalers)[_name(file, upscalers | generators)] = file
            except UserError:
                if not path.is_dir():
                    raise
    if not upscalers and not generators:
        raise UserError(f'{paths[0]} holds no checkpoint of an SR network or a degradation generator.')
    return upscalers, generators


def is_generator(file: Path) -> bool:
    """Whether a checkpoint holds a generator of stage 1 (else an SR network).

    Raises:
        UserError: it is neither.
    """
    try:
        load_generator(file)
    except UserError:
        load_upscaler(file, remedy=REMEDY)
        return False
    return True


def _name(file: Path, taken: dict) -> str:
    parts = [part for part in file.with_suffix('').parts if part not in ('models', '/')]
    name = '/'.join(parts[-2:])
    return name if name not in taken else str(file)

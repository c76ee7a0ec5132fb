"""What ``mssr convert`` does."""

import argparse
from pathlib import Path

import torch

from mssr_compat.checkpoint import describe_weights, read_metadata, read_weights
from mssr_compat.errors import UserError
from mssr_compat.files import replacing
from mssr_compat.provenance import STARTED_FROM


def convert(args: argparse.Namespace) -> int:
    """Convert the checkpoint that the arguments name; returns the exit code."""
    if args.output.exists() and not args.force:
        raise UserError(f'{args.output} exists: choose another name, or replace it with --force')
    state = read_weights(args.input, param_key=args.param_key, part=args.part, index=args.index)
    if args.branch is not None:
        state = take_branch(state, args.branch, args.input)
    content = {'params': {name: tensor.clone() for name, tensor in state.items()}}
    starts = read_metadata(args.input).get(STARTED_FROM)
    try:
        with replacing(args.output) as aside:
            torch.save(content if starts is None else {**content, STARTED_FROM: starts}, aside)
    except (OSError, RuntimeError) as error:
        raise UserError(f'{args.output} could not be written: {error}') from error
    values = sum(tensor.numel() for tensor in state.values())
    print(f'{args.output}: {describe_weights(state)}, {len(state)} tensors, {values:,} values')
    return 0


def take_branch(state: dict[str, torch.Tensor], branch: int, path: Path) -> dict[str, torch.Tensor]:
    """The weights of one branch of an SREnsemble."""
    prefix = f'branches.{branch}.'
    found = {name[len(prefix):]: tensor for name, tensor in state.items() if name.startswith(prefix)}
    if not found:
        raise UserError(f'--branch {branch}: {path} holds {describe_weights(state)}, which has no such branch')
    return found

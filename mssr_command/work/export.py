"""What ``mssr export`` does."""

import argparse
import sys
from math import lcm
from pathlib import Path

import torch

import mssr_inference  # noqa: F401  (shims, and networks register)
from mssr_arch.sr_ensemble_arch import SREnsemble
from mssr_compat.errors import UserError
from mssr_compat.provenance import carried_on
from mssr_data.decoding import CorruptImageError
from mssr_inference.command_line import choose_device
from mssr_inference.export import (
    Mean,
    averaged_state,
    check_with_onnxruntime,
    check_with_spandrel,
    measure_gap,
    plain_state,
    write_onnx,
    write_weights,
)
from mssr_inference.networks import Loaded, load_upscaler
from mssr_inference.upscaler import Upscaler


def export(args: argparse.Namespace) -> int:
    """Export the network that the arguments name; returns the exit code."""
    try:
        complete = export_all(args)
    except CorruptImageError as error:
        raise UserError(str(error)) from error
    except RuntimeError as error:
        print(f'error: {error}', file=sys.stderr)
        return 1
    return 0 if complete else 1


def export_all(args: argparse.Namespace) -> bool:
    """Write and check everything; false if a network has no ONNX file with free sizes."""
    complete = True
    loaded = load_upscaler(args.checkpoint, args.opt, perception=args.perception)
    net, starts = loaded.net, carried_on(args.checkpoint)
    for start in starts:
        print(f'started from {start["file"]}, licence: {start["licence"]}')
    for k, name in enumerate(net.branch_names):
        for path in write_weights(args.output, name, plain_state(net.branches[k]), loaded.options['branches'][k],
                                  loaded.scale, starts):
            print(f'{path}: {check_with_spandrel(path, net.branches[k], loaded.scale)}')
        if not args.no_onnx:
            complete &= export_onnx(args.output / f'{name}.onnx', Mean([net.branches[k]]), net.multiples[k])
    if not args.no_onnx:
        complete &= export_onnx(args.output / 'ensemble.onnx', Mean(net.branches), lcm(*net.multiples))
    state = averaged_state(loaded)
    if state is None:
        print('averaged: not written, since the branches are not one network with different weights')
        return complete
    options = loaded.options['branches'][0]
    average = SREnsemble([options]).eval().requires_grad_(False)
    average.branches[0].load_state_dict(state)
    for path in write_weights(args.output, 'averaged', plain_state(average.branches[0]), options, loaded.scale, starts):
        print(f'{path}: {check_with_spandrel(path, average.branches[0], loaded.scale)}')
    if args.val_lq:
        report_gap(args, loaded, average)
    else:
        print('averaged: its gap to the ensemble is not known; give --val-lq to measure it')
    return complete


def export_onnx(path: Path, net: torch.nn.Module, multiple: int) -> bool:
    try:
        write_onnx(path, net, multiple)
        result = check_with_onnxruntime(path, net, multiple)
    except UserError as error:
        print(f'{path}: not written: {error}')
        return False
    sizes = '' if multiple == 1 else f'; sizes must be multiples of {multiple}'
    print(f'{path}: {result}{sizes}')
    return True


def report_gap(args: argparse.Namespace, loaded: Loaded, average: SREnsemble) -> None:
    device = choose_device(args.device)
    stand_in = Loaded(average, loaded.options, loaded.scale, loaded.path, '')
    gap = measure_gap(Upscaler(loaded, device), Upscaler(stand_in, device), args.val_lq, args.val_gt)
    print(f'averaged: {gap.to_each_other:.2f} dB to the ensemble on {gap.photos} photos')
    if gap.of_first is not None:
        print(f'averaged: {gap.of_second:.2f} dB to the ground truth, the ensemble {gap.of_first:.2f} dB '
              f'({gap.of_second - gap.of_first:+.2f})')

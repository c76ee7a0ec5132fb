"""What ``mssr degrade`` does."""

import argparse
import sys
from pathlib import Path

import torch

import mssr_inference  # noqa: F401  (shims, and networks register)
from mssr_compat.checkpoint import find_checkpoint
from mssr_compat.distributed import gathered, join_others, together, world
from mssr_compat.errors import UserError
from mssr_compat.files import file_hash
from mssr_data.image_source import ImageSource
from mssr_degradation import LearnedDegradation
from mssr_degradation.real_photos import matched_shares, read_hr, read_real
from mssr_inference.command_line import own_device
from mssr_inference.degrader import Degrader
from mssr_inference.networks import load_generator
from mssr_inference.pair_set import PairSet, plan_draws


def degrade(args: argparse.Namespace) -> int:
    """Make the set, or the file of the degradation, that the arguments ask for; returns the exit code."""
    try:
        join_others()
        degradations, chosen = together(read_degradations, args)
        if args.save and world()[0] == 0:
            degradations[0].save(args.save)
            print(f'{args.save}: the degradation')
        failures, pictures = make_set(args, degradations, chosen) if args.output else ([], None)
    except OSError as error:
        print(f'error: {args.output or args.save} cannot be written ({error.strerror or error}); what is there is '
              'kept, and the same call continues it.', file=sys.stderr)
        return 2
    if world()[0] == 0 and args.output:
        print(f'{args.output}: {pictures} pictures')
        if failures:
            print(f'{len(failures)} photos could not be degraded:', file=sys.stderr)
            for path, why in failures:
                print(f'  {path}: {why}', file=sys.stderr)
    return 1 if failures else 0


def make_set(args: argparse.Namespace, degradations: list[LearnedDegradation],
             chosen: dict) -> tuple[list[tuple[str, str]], int]:
    """Make this rank's share of the set; rank 0 writes what describes it, and the databases.

    Returns:
        Failures of all ranks, and how many pictures there are.
    """
    rank, ranks = world()
    source = ImageSource(args.input.rstrip('/'), '-i', backend(args.input))
    photos = [image.name for image in source.images]
    weights = args.weights or [1.0] * len(degradations)
    if len(weights) != len(degradations):
        raise UserError(f'--weights gives {len(weights)} numbers for {len(degradations)} checkpoints; give one for '
                        'each.')
    draws = plan_draws(photos, args.seed, args.draws, weights)
    pairs = PairSet(args.output, {
        'seed': args.seed, 'draws': args.draws, 'scale': degradations[0].scale, 'precision': 'fp32',
        'weights': weights, 'generators': [
            {'checkpoint': Path(path).name, 'sha256': file_hash(find_checkpoint(path)), 'network': degradation.options}
            for path, degradation in zip(args.checkpoint, degradations, strict=True)],
        **chosen,
    }, not args.no_hr)
    together(lambda: pairs.begin(draws, photos) if rank == 0 else None)
    torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = True, False
    degraders = [Degrader(degradation, own_device(args.device)) for degradation in degradations]
    mine = [draw for draw in draws if draw.photo % ranks == rank]
    failures = sorted(sum(gathered(pairs.fill(mine, source, degraders, rank == 0)), []))
    names = [draw.name for draw in draws if pairs.path('lq', draw.name).exists()]
    packed = () if rank or not args.lmdb else ('lq',) if args.no_hr else ('lq', 'gt')
    together(lambda: [pairs.pack(folder, names) for folder in packed])  # none leaves before the last has written
    return failures, len(names)


def read_degradations(args: argparse.Namespace) -> tuple[list[LearnedDegradation], dict]:
    """The degradations, which must have one scale, with what the call says of strength and noise; and the latter."""
    if args.opt and len(args.opt) != len(args.checkpoint):
        raise UserError(f'--opt gives {len(args.opt)} files for {len(args.checkpoint)} checkpoints; give one for each.')
    found = [load_generator(path, opt)
             for path, opt in zip(args.checkpoint, args.opt or [None] * len(args.checkpoint), strict=True)]
    for path, degradation in zip(args.checkpoint, found, strict=True):
        if degradation.scale != found[0].scale:
            raise UserError(f'{path} degrades by {degradation.scale}, {args.checkpoint[0]} by {found[0].scale}: one '
                            'set has one scale.')
    chosen = {name: value for name, value in (('strength', args.strength), ('noise', args.noise)) if value}
    for name, (low, high) in chosen.items():
        if low > high:
            raise UserError(f'--{name} {low:g} {high:g}: the lower one comes first.')
        for degradation in found:
            setattr(degradation, name, [low, high])
    if args.noise_like:
        hr, real = ({f'dataroot_{role}': path.rstrip('/'), 'io_backend': backend(path)}
                    for role, path in (('gt', args.input), ('lq', args.noise_like)))
        hr, real = read_hr(hr, found[0].scale, '-i'), read_real(real, '--noise-like')
        for path, degradation in zip(args.checkpoint, found, strict=True):
            shares = matched_shares(degradation.to(own_device(args.device)), hr, real)
            # The same call on another machine, whose last digits differ, continues the set.
            degradation.noise = shares and [round(share, 3) for share in shares]
            if world()[0] == 0:
                text = ', '.join(f'{share:.2f}' for share in degradation.noise) if shares else 'it has none'
                print(f'{path}: shares of its noise, from quiet photos to noisy ones: {text}')
        chosen['noise'] = [degradation.noise for degradation in found]
    return found, chosen


def backend(path: str) -> dict[str, str]:
    return {'type': 'lmdb' if path.rstrip('/').endswith('.lmdb') else 'disk'}

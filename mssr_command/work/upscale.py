"""What ``mssr upscale`` does."""

import argparse
import sys

import mssr_inference  # noqa: F401  (shims, and networks register)
from mssr_compat.distributed import gathered, join_others, together, total, world
from mssr_compat.errors import UserError
from mssr_diagnose.groups import PhotoGroups
from mssr_diagnose.photo import SMALLEST
from mssr_inference.command_line import own_device
from mssr_inference.grouped_upscaler import GroupedUpscaler
from mssr_inference.networks import load_upscaler
from mssr_inference.upscale_files import Job, largest_result, list_jobs, upscale_all
from mssr_inference.upscaler import Tiling, Upscaler


def upscale(args: argparse.Namespace) -> int:
    """Upscale what the arguments name; returns the exit code."""
    join_others()
    jobs, upscaler = together(prepare, args)  # all have listed the photos before any of them writes
    rank, ranks = world()
    todo = [job for job in jobs[rank::ranks] if not (args.skip_existing and job.target.exists())]
    if todo and rank == 0:
        print(f'{f"process 1 of {ranks}: " if ranks > 1 else ""}{largest_result(todo, upscaler.scale)}')
    memory = None if args.max_memory is None else int(args.max_memory * 2**30)
    failures = upscale_all(upscaler, todo, Tiling(args.tile, args.overlap, memory), min(args.quality, 100), rank == 0)
    failures = sorted(sum(gathered(failures), []))
    unknown = int(total([upscaler.num_unknown])[0]) if args.groups else 0
    if unknown and rank == 0:
        print(f'{unknown} of {len(jobs)} photos could not be measured (smaller than {SMALLEST} pixels, or neither blur '
              'nor noise to be told): the mean of all branches was taken.')
    if failures and rank == 0:
        print(f'{len(failures)} of {len(jobs)} photos could not be upscaled:', file=sys.stderr)
        for path, why in failures:
            print(f'  {path}: {why}', file=sys.stderr)
    return 1 if failures else 0


def prepare(args: argparse.Namespace) -> tuple[list[Job], Upscaler | GroupedUpscaler]:
    """The photos, and what upscales them."""
    if args.groups and args.branch is not None:
        raise UserError('--branch takes one branch for all photos, and --groups that of each photo: give one of them.')
    groups = PhotoGroups.load(args.groups) if args.groups else None
    jobs = list_jobs(args.input, args.output, args.format, args.suffix)
    loaded = load_upscaler(args.checkpoint, args.opt, args.branch, perception=args.perception)
    upscaler = Upscaler(loaded, own_device(args.device), args.precision, args.self_ensemble, args.color_lock)
    return jobs, GroupedUpscaler(upscaler, len(groups), groups.group_of_pixels) if groups else upscaler

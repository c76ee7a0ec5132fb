"""Measure what was trained: ``python test.py -opt options/test_mssr_aim.yml``; ``mssr test`` is the same."""

from pathlib import Path

from mssr_command.train import test

if __name__ == '__main__':
    test(str(Path(__file__).resolve().parent))

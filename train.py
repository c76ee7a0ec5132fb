"""Train either stage: ``python train.py -opt options/train_degradation_aim.yml``; ``mssr train`` is the same."""

from pathlib import Path

from mssr_command.train import train

if __name__ == '__main__':
    train(str(Path(__file__).resolve().parent))

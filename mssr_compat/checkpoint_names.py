"""Names of checkpoints and in them: an experiment's files, what a file holds, ESRGAN's older names made BasicSR's."""

import re
from pathlib import Path

from torch import Tensor

from mssr_compat.errors import UserError

# ESRGAN's first release was one nested Sequential; the numbers are those of its x4 network.
_SEQUENTIAL = [
    (re.compile(r'^model\.0\.'), 'conv_first.'),
    (re.compile(r'^model\.1\.sub\.(\d+)\.RDB(\d)\.conv(\d)\.0\.'), r'body.\1.rdb\2.conv\3.'),
    (re.compile(r'^model\.1\.sub\.\d+\.(?=weight|bias)'), 'conv_body.'),
    (re.compile(r'^model\.3\.'), 'conv_up1.'),
    (re.compile(r'^model\.6\.'), 'conv_up2.'),
    (re.compile(r'^model\.8\.'), 'conv_hr.'),
    (re.compile(r'^model\.10\.'), 'conv_last.'),
]
# Its second release, and the files of most papers that started from it.
_NAMED = [
    (re.compile(r'^RRDB_trunk\.(\d+)\.RDB(\d)\.'), r'body.\1.rdb\2.'),
    (re.compile(r'^trunk_conv\.'), 'conv_body.'),
    (re.compile(r'^upconv(\d)\.'), r'conv_up\1.'),
    (re.compile(r'^HRconv\.'), 'conv_hr.'),
]


def find_checkpoint(path: str | Path) -> Path:
    """The file that ``experiments/NAME/best`` stands for: ``experiments/NAME/models/net_g_best.pth``.

    So do ``latest`` and an iteration for theirs. Any other path stands for itself; ``~`` is the home folder.
    """
    path = Path(path).expanduser()
    models = path.parent / 'models'
    if re.fullmatch(r'best|latest|\d+', path.name) and not path.exists() and models.is_dir():
        return models / f'net_g_{path.name}.pth'
    return path


def modernise_names(state: dict[str, Tensor], where: str) -> dict[str, Tensor]:
    """Give an ESRGAN generator of either older naming the names of BasicSR's RRDBNet; leave any other state alone.

    Args:
        state: names to tensors.
        where: the file, for messages.

    Raises:
        UserError: an ESRGAN of the oldest naming whose scale is not 4; BasicSR's RRDBNet has no such network.
    """
    if any(name.startswith('model.1.sub.') for name in state):
        if 'model.10.weight' not in state:
            raise UserError(f'{where} holds an ESRGAN in its oldest naming with a scale other than 4, which BasicSR\'s '
                            'RRDBNet cannot be: take the x4 weights')
        return _rename(state, _SEQUENTIAL)
    if any(name.startswith('RRDB_trunk.') for name in state):
        return _rename(state, _NAMED)
    return state


def _rename(state: dict[str, Tensor], rules: list[tuple[re.Pattern, str]]) -> dict[str, Tensor]:
    renamed = {}
    for name, tensor in state.items():
        for pattern, replacement in rules:
            name, found = pattern.subn(replacement, name)
            if found:
                break
        renamed[name] = tensor
    return renamed


def strip_prefix(state: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Remove ``prefix`` where every name has it."""
    if state and all(name.startswith(prefix) for name in state):
        return {name[len(prefix):]: tensor for name, tensor in state.items()}
    return state


def describe_weights(state: dict[str, Tensor]) -> str:
    """Say in a few words what network ``state`` belongs to, guessed from names and shapes."""
    branches = _count(state, r'^branches\.(\d+)\.')
    if branches:
        first = {name[len('branches.0.'):]: value for name, value in state.items() if name.startswith('branches.0.')}
        return f'an SREnsemble of {branches} branches, the first of them {describe_weights(first)}'
    for describe in (_degradation, _discriminator, _super_resolution, _classifier):
        words = describe(state)
        if words:
            return words
    names = list(state)
    return f'{len(names)} tensors of an unknown network ({", ".join(names[:3])}{", ..." if len(names) > 3 else ""})'


def _degradation(state: dict[str, Tensor]) -> str | None:
    noise = '' if any(name.startswith('noises.') for name in state) else ' without noise'
    if 'block_input.0.weight' in state:
        blocks = _count(state, r'^res_blocks\.(\d+)\.')
        convolutions = sum(bool(re.fullmatch(r'down_sample\.\d+\.bias', name)) for name in state)
        kind = f'a DeResnet x{2 ** convolutions} generator{noise}' if convolutions or not noise else 'a DSGAN generator'
        return f'{kind} with {blocks} blocks'
    if 'csa.conv.weight' in state:
        groups = _count(state, r'^body\.(\d+)\.body\.0\.body\.')
        end = 'tail' if 'tail.1.weight' in state else 'head'
        return f'a HAN generator{noise} with {groups} groups and its downsampling in the {end}'
    if 'dsple.0.weight' in state:
        blocks = _count(state, r'^body\.(\d+)\.body\.')
        return f'an EDSR degradation generator{noise} with {blocks} blocks'
    return None


def _discriminator(state: dict[str, Tensor]) -> str | None:
    for first, kind in (('net.net.0.weight', 'an FSD'), ('net.model.0.weight', 'a PatchGAN')):
        if first in state:
            norm = 'batch' if any(name.endswith('running_mean') for name in state) else 'instance'
            return f'{kind} discriminator with {norm} norm on {state[first].shape[1]} channels'
    return None


def _super_resolution(state: dict[str, Tensor]) -> str | None:
    if 'layers.0.residual_group.blocks.0.norm1.weight' in state:
        return 'a SwinIR'
    if 'conv_first.weight' not in state:
        return None
    blocks, width = _count(state, r'^body\.(\d+)\.'), state['conv_first.weight'].shape[0]
    for mark, kind in (('body.0.rdb1.conv1.weight', 'an RRDBNet'), ('upconv1.weight', 'an MSRResNet'),
                       ('body.0.residual_group.0.rcab.0.weight', 'an RCAN'), ('conv_after_body.weight', 'an EDSR')):
        if mark in state:
            return f'{kind} with {blocks} blocks of {width} channels'
    return None


def _classifier(state: dict[str, Tensor]) -> str | None:
    shape = tuple(state['features.0.weight'].shape) if 'features.0.weight' in state else None
    if shape == (64, 3, 11, 11):
        return 'an AlexNet'
    if shape == (64, 3, 3, 3):
        layers = _count(state, r'^features\.(\d+)\.weight')
        return f'a VGG with {layers} convolutions'
    return None


def _count(state: dict[str, Tensor], pattern: str) -> int:
    """How many different numbers the group in ``pattern`` takes among the names."""
    return len({match[1] for match in map(re.compile(pattern).match, state) if match})

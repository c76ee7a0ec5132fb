"""Names of checkpoints and in them: an experiment's files, and ESRGAN's older names made BasicSR's."""

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

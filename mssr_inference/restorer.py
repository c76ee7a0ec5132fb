"""A restorer: one network with two ends, fidelity and perception, and all that lies between them on one knob."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor

from mssr_compat.checkpoint import read_description, read_metadata
from mssr_compat.errors import UserError
from mssr_compat.files import plain, write_whole
from mssr_compat.provenance import STARTED_FROM, inherited
from mssr_compat.untrusted import read_untrusted

ENDS = ('fidelity', 'perception')
SETTING = 'perception'  #: key of the metadata: the setting of the knob that is meant, 0 to 1


@dataclass
class Restorer:
    """Weights of two networks of one kind whose mean, with any weights from 0 to 1, restores photos as well.

    Networks that were trained from one another lie in one valley of the loss: what is between their weights is between
    their pictures, too (Wang et al., Deep network interpolation, 2019). Brightness is not, so that results are given
    the low frequencies of their photo (``--color-lock``).
    """

    options: dict  #: of the network, as ``build_network`` takes them
    scale: int  #: HR size over LR size
    fidelity: dict[str, Tensor]  #: the end that errs least, by the names of the network
    perception: dict[str, Tensor]  #: the end that looks sharpest
    setting: float = 1.0  #: where the knob stands unless it is turned: 0 (fidelity) to 1 (perception)
    started_from: list[dict[str, str]] = field(default_factory=list)  #: as :mod:`mssr_compat.provenance` has it

    def at(self, setting: float | None = None) -> dict[str, Tensor]:
        """Weights at a setting of the knob; None: at its own.

        Raises:
            UserError: it is not within 0 and 1.
        """
        share = self.setting if setting is None else setting
        if not 0 <= share <= 1:
            raise UserError(f'--perception is {share:g}, but must be from 0 (fidelity) to 1 (perception).')
        return {name: tensor + share * (self.perception[name] - tensor) if tensor.is_floating_point() else tensor
                for name, tensor in self.fidelity.items()}

    def save(self, path: str | Path, dtype: torch.dtype = torch.float32) -> None:
        """Write both ends to one ``.safetensors`` file, which names no file of this machine.

        Raises:
            UserError: the name has another ending.
            OSError: the file cannot be written; nothing of it is left.
        """
        if Path(path).suffix != '.safetensors':
            raise UserError(f'{path}: a restorer is saved as .safetensors.')
        state = {f'{end}.{name}': (tensor.to(dtype) if tensor.is_floating_point() else tensor).contiguous()
                 for end in ENDS for name, tensor in getattr(self, end).items()}
        said = {'network': self.options, 'scale': self.scale, SETTING: self.setting, STARTED_FROM: self.started_from}
        metadata = {name: json.dumps(plain(value)) for name, value in said.items()}
        write_whole(path, save(state, {'format': 'pt', **metadata}))

    @classmethod
    def load(cls, path: str | Path, key: str | None = None) -> 'Restorer | None':
        """Read a file of :meth:`save`; None: it is something else.

        Args:
            path: the file.
            key: YAML key or flag that named it, for messages.

        Raises:
            UserError: the file is unreadable or damaged.
        """
        if Path(path).suffix != '.safetensors':
            return None
        where = f'{key}: {path}' if key else str(path)
        state = read_untrusted(path, where)
        ends = {end: {name.partition('.')[2]: tensor.float() if tensor.is_floating_point() else tensor
                      for name, tensor in state.items() if name.startswith(f'{end}.')} for end in ENDS}
        if not all(ends.values()) or sum(map(len, ends.values())) < len(state):
            return None
        said, metadata = read_description(path, key), read_metadata(path, key)
        if not _is_whole(ends, said, metadata):
            raise UserError(f'{where} is damaged: its two ends are not of one network, it does not say which, or its '
                            'setting is not within 0 and 1; copy it again.')
        return cls(said['network'], said['scale'], *ends.values(), float(metadata[SETTING]), inherited(metadata))


def _is_whole(ends: dict[str, dict[str, Tensor]], said: dict[str, Any], metadata: dict[str, Any]) -> bool:
    one, other = ({name: tensor.shape for name, tensor in state.items()} for state in ends.values())
    setting = metadata.get(SETTING)
    return (one == other and {'network', 'scale'} <= said.keys() and isinstance(setting, int | float)
            and 0 <= setting <= 1 and all(tensor.isfinite().all() for state in ends.values()
                                          for tensor in state.values()))

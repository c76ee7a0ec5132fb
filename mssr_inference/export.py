"""Networks for other programs: plain weight files, ONNX, and one network that stands for an ensemble."""

import json
import os
import warnings
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from mssr_compat.errors import UserError
from mssr_compat.files import write_whole
from mssr_inference.networks import Loaded

OPSET = 18
PROBE = (1, 3, 32, 48)  # of the picture on which exports are compared: multiples of every usual window
TOLERANCE = 1 / 255 / 4  # a quarter of an 8-bit level


class Clamped(nn.Module):
    """One branch as the ensemble uses it: its output clamped to [0, 1]."""

    def __init__(self, branch: nn.Module):
        super().__init__()
        self.branch = branch

    def forward(self, lq: Tensor) -> Tensor:
        return self.branch(lq).clamp(0, 1)


class Mean(nn.Module):
    """The mean of clamped branches, for input sizes that all of them take."""

    def __init__(self, branches: nn.ModuleList):
        super().__init__()
        self.branches = nn.ModuleList(Clamped(branch) for branch in branches)

    def forward(self, lq: Tensor) -> Tensor:
        total = self.branches[0](lq)
        for branch in self.branches[1:]:
            total = total + branch(lq)
        return total / len(self.branches)


def probe() -> Tensor:
    """The picture on which exports are compared, (1, 3, 32, 48) in [0, 1]."""
    return torch.rand(PROBE, generator=torch.Generator().manual_seed(0))


# --- plain weights ------------------------------------------------------------------------------------------------


def branch_state(loaded: Loaded, k: int) -> dict[str, Tensor]:
    """The weights of branch ``k`` (from 0) by the names of that network alone."""
    return {name: tensor.detach().cpu().clone() for name, tensor in loaded.net.branches[k].state_dict().items()}


def write_weights(folder: Path, name: str, state: dict[str, Tensor], options: dict, scale: int) -> list[Path]:
    """``name.pth`` in BasicSR's layout and ``name.safetensors``, both with the network's options.

    Raises:
        UserError: the package safetensors is missing.
    """
    try:
        from safetensors.torch import save
    except ImportError as error:
        raise UserError('exporting needs the package safetensors: pip install "mssr[export]".') from error
    folder.mkdir(parents=True, exist_ok=True)
    pth, safe = folder / f'{name}.pth', folder / f'{name}.safetensors'
    aside = folder / f'.{pth.name}.{os.getpid()}.part'
    try:
        torch.save({'params': state, 'network': options, 'scale': scale}, aside)
        os.replace(aside, pth)
    finally:
        with suppress(OSError):
            aside.unlink()
    metadata = {'format': 'pt', 'network': json.dumps(options), 'scale': json.dumps(scale)}
    write_whole(safe, save({key: tensor.contiguous() for key, tensor in state.items()}, metadata))
    return [pth, safe]


def check_with_spandrel(path: Path, branch: nn.Module, scale: int) -> str:
    """Load a file with spandrel, as chaiNNer and ComfyUI do, and compare outputs on the probe.

    Returns:
        What spandrel calls the network, with the largest difference; or why it cannot load it.

    Raises:
        RuntimeError: spandrel loads it and computes something else.
    """
    try:
        from spandrel import ModelLoader
    except ImportError:
        return 'not checked: spandrel is not installed'
    try:
        model = ModelLoader(device='cpu').load_from_file(path)
    except Exception as error:  # spandrel raises its own classes, and those of the networks
        return f'spandrel cannot load it ({type(error).__name__})'
    with torch.inference_mode():
        expected = branch.cpu()(probe()).clamp(0, 1)
        found = model.eval()(probe()).clamp(0, 1)
    if model.scale != scale or found.shape != expected.shape:
        raise RuntimeError(f'{path}: spandrel takes it for scale {model.scale}, not {scale}')
    gap = float((found - expected).abs().max())
    if gap > TOLERANCE:
        raise RuntimeError(f'{path}: spandrel computes something else (difference {gap:.2g})')
    return f'spandrel loads it as {model.architecture.name} x{model.scale}, largest difference {gap:.1e}'


# --- ONNX ---------------------------------------------------------------------------------------------------------


def write_onnx(path: Path, net: nn.Module, multiple: int = 1) -> None:
    """Write a network with free batch, height and width; input ``lq`` (N, 3, H, W) in [0, 1], output ``sr``.

    Args:
        path: the file.
        net: ``Clamped`` or ``Mean``.
        multiple: what height and width have to be multiples of.

    Raises:
        UserError: the packages are missing, or the network cannot be written with free sizes.
    """
    try:
        import onnx  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise UserError('ONNX needs the packages onnx and onnxscript: pip install "mssr[export]".') from error
    batch, rows, columns = (torch.export.Dim(name, min=1) for name in ('batch', 'rows', 'columns'))
    height, width = (multiple * rows, multiple * columns) if multiple > 1 else (rows, columns)
    sample = torch.rand(2, 3, 6 * multiple, 8 * multiple)
    aside = path.with_name(f'.{os.getpid()}.{path.name}')
    try:
        with warnings.catch_warnings(), torch.inference_mode(False), torch.no_grad():
            warnings.simplefilter('ignore')
            program = torch.onnx.export(
                net.cpu().eval(), (sample,), dynamo=True, opset_version=OPSET, input_names=['lq'], verbose=False,
                output_names=['sr'], dynamic_shapes=({0: batch, 2: height, 3: width},),
            )
            program.save(str(aside), external_data=False)
        os.replace(aside, path)
    except Exception as error:  # the exporter raises many kinds
        why = type(error).__name__
        raise UserError(f'{path.name} cannot be written with free height and width ({why}).') from error
    finally:
        with suppress(OSError):
            aside.unlink()


def check_with_onnxruntime(path: Path, net: nn.Module, multiple: int = 1) -> str:
    """Run a file with onnxruntime at several sizes and compare.

    Raises:
        UserError: it computes something else, as where the exporter took one size for all; the file is removed.
    """
    try:
        import onnxruntime
    except ImportError:
        return 'not checked: onnxruntime is not installed'
    session = onnxruntime.InferenceSession(str(path), providers=['CPUExecutionProvider'])
    worst = 0.0
    for batch, rows, columns in ((1, 5, 8), (2, 7, 3), (1, 1, 1)):
        lq = torch.rand(batch, 3, rows * multiple, columns * multiple, generator=torch.Generator().manual_seed(rows))
        with torch.inference_mode():
            expected = net(lq).numpy()
        found, = session.run(None, {'lq': lq.numpy()})
        if found.shape != expected.shape:
            path.unlink()
            raise UserError(f'{path.name} gives {found.shape} at {lq.shape}, not {expected.shape}.')
        worst = max(worst, float(np.abs(found - expected).max()))
    if worst > TOLERANCE:
        path.unlink()
        raise UserError(f'{path.name} computes something else at other sizes (difference {worst:.2g}).')
    return f'onnxruntime, sizes free, largest difference {worst:.1e}'


# --- one for all --------------------------------------------------------------------------------------------------


def averaged_state(loaded: Loaded) -> dict[str, Tensor] | None:
    """The mean of the branches' weights, or None where they are not one network with different weights."""
    branches = loaded.options['branches']
    plain = [{key: value for key, value in branch.items() if key != 'checkpoint'} for branch in branches]
    if len(branches) < 2 or any(branch != plain[0] for branch in plain):
        return None
    states = [branch_state(loaded, k) for k in range(len(branches))]
    return {name: torch.stack([state[name].double() for state in states]).mean(0).to(tensor.dtype)
            if tensor.is_floating_point() else tensor for name, tensor in states[0].items()}

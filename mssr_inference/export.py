"""Networks for other programs: plain weight files, ONNX, and one network that stands for an ensemble."""

import json
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from safetensors.torch import save
from torch import Tensor, nn

from mssr_arch.spandrel_arch import SpandrelNet
from mssr_compat.errors import UserError
from mssr_compat.files import replacing, write_whole
from mssr_compat.provenance import STARTED_FROM
from mssr_data.listing import key_of, list_folder
from mssr_inference.networks import Loaded
from mssr_inference.picture_files import in_colour, read_picture
from mssr_inference.upscaler import Upscaler

OPSET = 18
PROBE = (1, 3, 32, 48)  # of the picture on which exports are compared: multiples of every usual window
TOLERANCE = 1 / 255 / 4  # a quarter of an 8-bit level


class Mean(nn.Module):
    """The mean of branches clamped to [0, 1], one or several, for input sizes that all of them take."""

    def __init__(self, branches: Sequence[nn.Module]):
        super().__init__()
        self.branches = nn.ModuleList(branches)

    def forward(self, lq: Tensor) -> Tensor:
        outputs = [branch(lq).clamp(0, 1) for branch in self.branches]
        return sum(outputs[1:], outputs[0]) / len(outputs)


def probe() -> Tensor:
    """The picture on which exports are compared, (1, 3, 32, 48) in [0, 1]."""
    return torch.rand(PROBE, generator=torch.Generator().manual_seed(0))


# --- plain weights ------------------------------------------------------------------------------------------------


def plain_state(branch: nn.Module) -> dict[str, Tensor]:
    """The weights of a branch, on the CPU, by the names of its network alone, as other programs know it."""
    state = branch.state_dict()
    state = branch.unfold(state) if isinstance(branch, SpandrelNet) else state
    return {name: tensor.detach().cpu().clone().contiguous() for name, tensor in state.items()}


def write_weights(folder: Path, name: str, state: dict[str, Tensor], options: dict, scale: int,
                  started_from: list[dict[str, str]] | None = None) -> list[Path]:
    """``name.pth`` in BasicSR's layout and ``name.safetensors``, both with the network's options, and what its training
    started from where that is known. A network of spandrel's is told from its weights.
    """
    said = {} if options['type'] == 'SpandrelNet' else {'network': options}
    said |= {'scale': scale} | ({} if started_from is None else {STARTED_FROM: started_from})
    pth, safe = folder / f'{name}.pth', folder / f'{name}.safetensors'
    with replacing(pth) as aside:
        torch.save({'params': state, **said}, aside)
    metadata = {'format': 'pt', **{key: json.dumps(value) for key, value in said.items()}}
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
        net: one or several branches as :class:`Mean`.
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
    try:
        with replacing(path) as aside, warnings.catch_warnings(), torch.inference_mode(False), torch.no_grad():
            warnings.simplefilter('ignore')
            program = torch.onnx.export(
                net.cpu().eval(), (sample,), dynamo=True, opset_version=OPSET, input_names=['lq'], verbose=False,
                output_names=['sr'], dynamic_shapes=({0: batch, 2: height, 3: width},))
            program.save(str(aside), external_data=False)
    except Exception as error:  # the exporter raises many kinds
        why = type(error).__name__
        raise UserError(f'{path.name} cannot be written with free height and width ({why}).') from error


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
    return mean_of_weights([branch.state_dict() for branch in loaded.net.branches])


def mean_of_weights(states: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
    """Of several networks of one kind; what is no floating-point number is the first one's."""
    return {name: torch.stack([state[name].double() for state in states]).mean(0).to(tensor.dtype)
            if tensor.is_floating_point() else tensor for name, tensor in states[0].items()}


# --- how far a network that stands for another is from it ---------------------------------------------------------


class Gap(NamedTuple):
    """PSNR in dB of 8-bit RGB pictures, no border cropped, mean over the photos."""

    photos: int
    to_each_other: float  #: of the one network against the other
    of_first: float | None  #: against the ground truth, where there is one
    of_second: float | None


def measure_gap(first: Upscaler, second: Upscaler, lq: str, gt: str | None = None) -> Gap:
    """Upscale a folder of LR photos with both networks.

    Args:
        first, second: the networks.
        lq: folder of LR photos.
        gt: folder of their HR photos, of the same names without suffix; may be missing.

    Raises:
        UserError: a folder is missing or empty, an HR photo is missing or of another size.
        CorruptImageError: a photo cannot be read.
    """
    truths = {key_of(image.name): image.name for image in list_folder(gt, '--val-gt')} if gt else None
    figures = []
    for image in list_folder(lq, '--val-lq'):
        pictures = [_upscaled(up, Path(lq) / image.name) for up in (first, second)]
        row = [psnr(*pictures)]
        if truths is not None:
            name = truths.get(key_of(image.name))
            if name is None:
                raise UserError(f'--val-gt {gt} has no photo {key_of(image.name)}, which --val-lq {lq} has.')
            truth = read_picture(Path(gt) / name).rgb8()
            if truth.shape != pictures[0].shape:
                raise UserError(f'--val-gt {Path(gt) / name} has the shape {truth.shape}, but {pictures[0].shape} is '
                                f'what {image.name} becomes.')
            row += [psnr(picture, truth) for picture in pictures]
        figures.append(row)
    means = np.mean(figures, axis=0)
    return Gap(len(figures), float(means[0]), *(map(float, means[1:]) if truths is not None else (None, None)))


def psnr(one: np.ndarray, other: np.ndarray) -> float:
    """PSNR in dB of two uint8 pictures; 100 where they are equal."""
    error = np.mean((one.astype(np.float64) - other) ** 2)
    return float(10 * np.log10(255**2 / error)) if error else 100.0


def _upscaled(upscaler: Upscaler, path: Path) -> np.ndarray:
    picture = read_picture(path)
    picture.pixels = in_colour(picture.pixels)
    return upscaler.upscaled(picture)

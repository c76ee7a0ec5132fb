"""ImageNet backbones of the perceptual losses: where their weights come from, and networks that stay out of training.

Weights are looked for in this order: the path given in the options, the folder in ``$MSSR_WEIGHTS``, ``weights/`` in
the current folder, ``weights/`` beside this package, torch.hub's cache, and then torch.hub's download.
"""

import os
import socket
import warnings
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import torch
from torch import Tensor, nn

from mssr_compat.checkpoint import describe_weights, read_weights
from mssr_compat.errors import UserError

_URL = 'https://download.pytorch.org/models/'
_REPOSITORY = Path(__file__).resolve().parent.parent
_TIMEOUT = 30  # seconds without an answer after which a download counts as failed


@dataclass(frozen=True)
class Backbone:
    """A network of torchvision: its name in prose and its weight file at download.pytorch.org."""

    title: str
    file: str


BACKBONES = {
    'alex': Backbone('AlexNet', 'alexnet-owt-7be5be79.pth'),
    'vgg': Backbone('VGG16', 'vgg16-397923af.pth'),
}
LPIPS_SMALLEST = {'alex': 31, 'vgg': 16}  # pixels a side, below which a pooling layer has nothing left to pool


class FrozenNet(nn.Module):
    """Base of losses that look through a fixed network.

    The network follows ``.to(device)`` but is no submodule: its tensors are never among ``parameters()``, never in a
    ``state_dict()``, and ``train()`` does not touch it.
    """

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        object.__setattr__(self, 'net', net.eval().requires_grad_(False))

    def _apply(self, fn, recurse=True):
        self.net._apply(fn, recurse)
        return super()._apply(fn, recurse)


def load_lpips(net: str, weights: str | None, key: str) -> nn.Module:
    """The LPIPS network (v0.1) of package ``lpips`` on a local or downloaded backbone; inputs are RGB in [-1, 1].

    Args:
        net: ``alex`` or ``vgg``.
        weights: the backbone's weight file, or None to search and download it.
        key: YAML key of ``weights``, for messages.

    Raises:
        UserError: unknown ``net``, package or weights missing, or a file that holds something else.
    """
    if net not in BACKBONES:
        raise UserError(f'{key}: LPIPS has no net: {net}; it has {" and ".join(BACKBONES)}')
    try:
        import lpips
    except ImportError as error:
        raise UserError(f'{key}: LPIPS needs the package lpips: pip install lpips==0.1.4') from error
    with _without_weights():
        model = lpips.LPIPS(net=net, pnet_rand=True, pretrained=False, verbose=False)
    # The package splits the backbone into slices but keeps torchvision's indices: net.slice2.3.weight is 3.weight.
    state = read_features(net, {name: name.split('.', 2)[2] for name in model.state_dict() if name.startswith('net.')},
                          weights, key)
    state |= read_weights(Path(lpips.__file__).parent / 'weights' / 'v0.1' / f'{net}.pth')
    model.load_state_dict(state, strict=False, assign=True)
    assert not any(tensor.is_meta for tensor in model.state_dict().values())
    return model


def load_vgg16_features(weights: str | None, key: str) -> nn.Module:
    """VGG16's 31 feature layers (up to the fifth pooling) with local or downloaded weights; errors as `load_lpips`."""
    from torchvision.models import vgg16

    with _without_weights():
        features = vgg16().features
    features.load_state_dict(read_features('vgg', {name: name for name in features.state_dict()}, weights, key),
                             assign=True)
    return features


def load_dists(weights: str | None, key: str) -> nn.Module:
    """The DISTS network of package ``DISTS_pytorch`` on local or downloaded VGG16 weights; errors as `load_lpips`.

    Called with two batches (N, 3, H, W) RGB in [0, 1], it gives N distances. The package builds on torchvision's VGG16
    with a download, and looks for its own weights where pip may not have put them.
    """
    try:
        from DISTS_pytorch import DISTS_pt
    except ImportError as error:
        raise UserError(f'{key}: DISTS needs the package DISTS-pytorch: pip install DISTS-pytorch==0.1') from error
    features, models = load_vgg16_features(weights, key), DISTS_pt.models
    with torch.random.fork_rng(devices=[]):  # it draws weights that are replaced
        DISTS_pt.models = SimpleNamespace(vgg16=lambda pretrained: SimpleNamespace(features=features))
        try:
            model = DISTS_pt.DISTS(load_weights=False)
        finally:
            DISTS_pt.models = models
    model.load_state_dict(read_weights(Path(DISTS_pt.__file__).with_name('weights.pt')), strict=False)
    return model


def read_features(net: str, names: dict[str, str], weights: str | None, key: str) -> dict[str, Tensor]:
    """The backbone's feature weights under new names: ``names`` maps each to torchvision's, without ``features.``."""
    backbone = BACKBONES[net]
    path = find_weights(backbone, weights, key)
    state = read_weights(path, key=key)
    try:
        return {name: state[f'features.{source}'].float() for name, source in names.items()}
    except KeyError as error:
        raise UserError(f'{key}: {path} holds {describe_weights(state)}, but torchvision\'s {backbone.title} '
                        f'({backbone.file}) is expected') from error


def find_weights(backbone: Backbone, weights: str | None, key: str) -> Path:
    """Path of the backbone's weight file, downloaded to torch.hub's cache if it is nowhere else."""
    if weights is not None:
        path = Path(weights).expanduser()
        if not path.is_file():
            raise UserError(f'{key}: there is no file {path}; it should be {backbone.title}\'s {backbone.file} from '
                            f'{_URL}{backbone.file}')
        return path
    return local_weights(backbone) or _download(backbone, _hub_folder() / backbone.file, key)


def local_weights(backbone: Backbone) -> Path | None:
    """Path of the backbone's weight file on this machine, or None; nothing is downloaded."""
    folders = [Path('weights'), _REPOSITORY / 'weights', _hub_folder()]
    if os.environ.get('MSSR_WEIGHTS'):
        folders.insert(0, Path(os.environ['MSSR_WEIGHTS']).expanduser())
    return next((folder / backbone.file for folder in folders if (folder / backbone.file).is_file()), None)


def _hub_folder() -> Path:
    return Path(torch.hub.get_dir()) / 'checkpoints'


def _download(backbone: Backbone, path: Path, key: str) -> Path:
    """Fetch the file into torch.hub's cache; its name carries the first digits of its SHA-256, which is checked."""
    url = _URL + backbone.file
    timeout = socket.getdefaulttimeout()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        socket.setdefaulttimeout(_TIMEOUT)
        digest = path.stem.rsplit('-', 1)[-1]
        torch.hub.download_url_to_file(url, str(path), hash_prefix=digest, progress=False)
    except (OSError, RuntimeError) as error:
        raise UserError(f'{key}: {backbone.title}\'s weights could not be downloaded from {url} ({error}): put '
                        f'{backbone.file} into weights/ or into the folder named by $MSSR_WEIGHTS, or give its path '
                        f'as {key}') from error
    finally:
        socket.setdefaulttimeout(timeout)
    return path


@contextmanager
def _without_weights():
    """Build a network on the meta device: nothing is drawn from the global generator, and no memory is used.

    A metric that is built in the middle of training must not change the noise that follows. torchvision warns of the
    argument by which package lpips asks for no weights.
    """
    with warnings.catch_warnings(), torch.device('meta'):
        warnings.simplefilter('ignore')
        yield

"""A camera whose degradation is known, so that what was learned can be compared with the truth.

It is registered with BasicSR only where the benchmark imports it, and stands in ``degradations:`` like a trained
generator. The same class makes the world's real LR photos.
"""

import torch
from basicsr.utils.registry import ARCH_REGISTRY
from torch import Tensor, nn

from mssr_arch.degradation_base import DegradationNetwork
from mssr_arch.keyword_checks import require_count
from mssr_compat.errors import UserError
from mssr_data.simulated_camera import gaussian, take_photo

#: setting: (lowest, highest) value; each photo has values of its own, drawn evenly between them
DEFAULTS = {
    'blur': (1.4, 2.2),  # deviation of the lens's Gaussian blur, HR pixels
    'anisotropy': (0.9, 1.1),  # horizontal over vertical deviation
    'full_well': (90.0, 130.0),  # photons that saturate a pixel; shot noise has variance signal / full_well
    'read_noise': (0.012, 0.022),  # deviation, as a part of full scale
    'jpeg_quality': (80.0, 95.0),
}


@ARCH_REGISTRY.register()
class KnownDegradation(DegradationNetwork):
    """Lens blur, area downsampling, shot and read noise, JPEG, in 8 bits; no part of it is learned.

    The ranges of its settings are buffers, so that a checkpoint brings them. Everything random comes from one number
    of torch's global generator (of the CPU); ``noise`` of :meth:`forward` is not looked at. It computes on the CPU in
    float32, and its output goes back to where the photos are.

    Args:
        scale (int): from 1; H x W becomes ceil(H / scale) x ceil(W / scale).
        settings (dict): ranges (lowest, highest) that replace those of ``DEFAULTS``.

    Raises:
        UserError: there is no such setting.
    """

    def __init__(self, scale: int = 4, settings: dict[str, tuple[float, float]] | None = None) -> None:
        super().__init__()
        require_count(type(self).__name__, scale=scale)
        unknown = sorted(set(settings or {}) - set(DEFAULTS))
        if unknown:
            raise UserError(f'KnownDegradation: settings has {unknown[0]}, but its keys are {", ".join(DEFAULTS)}.')
        self.scale = scale
        self.noises = nn.ModuleList()
        for name, (low, high) in {**DEFAULTS, **(settings or {})}.items():
            self.register_buffer(name, torch.tensor([low, high], dtype=torch.float64))

    def degrade(self, y: Tensor, z: list[Tensor]) -> Tensor:
        random = torch.Generator().manual_seed(int(torch.randint(2**62, ())))
        return torch.stack([self.shoot(photo, random) for photo in y]).to(y)

    def noise_sizes(self, height: int, width: int) -> list[tuple[int, int]]:
        return []

    @torch.no_grad()
    def shoot(self, photo: Tensor, random: torch.Generator) -> Tensor:
        """Photograph one clean photo.

        Args:
            photo: (3, H, W) RGB in [0, 1], any H, W.
            random: source of the settings and of the noise, on the CPU.

        Returns:
            (3, ceil(H / scale), ceil(W / scale)), RGB in [0, 1], 8-bit values, on the CPU.
        """
        blur, ratio, full_well, read_noise, quality = (self._setting(name, random) for name in DEFAULTS)
        lens = [gaussian(width, max(1, round(4 * width))) for width in (blur * ratio**0.5, blur / ratio**0.5)]
        scene = photo.detach().float().cpu()
        pixels = take_photo(scene, self.scale, lens, full_well, read_noise, round(quality), random)
        return torch.from_numpy(pixels).permute(2, 0, 1).contiguous().float() / 255

    def _setting(self, name: str, random: torch.Generator) -> float:
        low, high = getattr(self, name).tolist()
        return low + (high - low) * torch.rand((), generator=random, dtype=torch.float64).item()

"""DSGAN's generator, the deterministic baseline."""

from basicsr.utils.registry import ARCH_REGISTRY

from mssr_arch.deresnet_arch import DeResnet


@ARCH_REGISTRY.register()
class DSGAN(DeResnet):
    """Adds a camera's degradation to an LR photo that bicubic interpolation made (Fritsche et al., 2019).

    It is DeResnet without downsampling and noise. Its input is the bicubic LR, as for all generators of scale 1,
    (N, C, h, w), RGB in [0, 1]; its output has the same size, in (0, 1).

    Args:
        num_in_ch (int): Channels of the input.
        num_out_ch (int): Channels of the output.
        num_feat (int): Channels of the features.
        num_block (int): Residual blocks.

    Raises:
        UserError: A keyword has an impossible value.
    """

    def __init__(self, num_in_ch: int = 3, num_out_ch: int = 3, num_feat: int = 64, num_block: int = 8) -> None:
        super().__init__(num_in_ch, num_out_ch, num_feat, num_block, scale=1, noise_std=0)

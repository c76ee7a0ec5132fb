"""The SR networks of stage 2 as one network, whose output is their mean."""

import math
from collections.abc import Mapping, Sequence

import torch
from basicsr.archs.rrdbnet_arch import RRDBNet
from basicsr.utils.registry import ARCH_REGISTRY
from torch import Tensor, nn

from mssr_arch.branch_builder import build_branch
from mssr_arch.imresize import mirrored
from mssr_arch.keyword_checks import require_choice, shown
from mssr_arch.memory_use import checkpoint_body
from mssr_arch.spandrel_arch import SpandrelNet
from mssr_compat.errors import UserError

# The layers whose outputs add up to a network's trunk feature: the last one before upsampling, long skip included.
TRUNK_LAYERS = {
    'RRDBNet': ('conv_first', 'conv_body'),
    'EDSR': ('conv_first', 'conv_after_body'),
    'RCAN': ('conv_first', 'conv_after_body'),
    'SwinIR': ('conv_first', 'conv_after_body'),
    'MSRResNet': ('body',),
}


@ARCH_REGISTRY.register()
class SREnsemble(nn.Module):
    """K SR networks ``S_k``, one for each degradation generator; together they are their mean (Lee et al., 2022).

    Weights are named ``branches.<k>.<name in the branch>``. Where a branch takes only sizes that are multiples of
    something (SwinIR's window, RRDBNet's pixel unshuffling at scales 1 and 2), its input is mirrored at the right and
    bottom up to the next one and its output cropped, so that the ensemble takes any size.

    Args:
        branches (list[dict]): Options of each branch: ``type``, any registered SR network by name, and its keywords. A
            ``checkpoint`` among them is for whoever loads weights; here it is ignored.
        use_checkpoint (bool): Recompute each block of the branches' bodies (RRDB, residual block or group) in the
            backward pass instead of keeping its activations: memory of one block instead of all, for one more forward
            pass of the bodies.

    Raises:
        UserError: ``branches`` is no list of networks that can be built, or one of them has no body of blocks to
            recompute; the message names ``network_g.branches[k]``.
    """

    def __init__(self, branches: Sequence[Mapping], use_checkpoint: bool = False) -> None:
        super().__init__()
        require_choice(type(self).__name__, 'network_g.use_checkpoint', use_checkpoint, (False, True))
        if not isinstance(branches, list | tuple) or not branches:
            found = shown(branches) if branches is None else repr(branches)
            raise UserError(f'SREnsemble: network_g.branches is {found}, but must be a list of network options.')
        self.branches = nn.ModuleList(build_branch(k, options) for k, options in enumerate(branches))
        for k, branch in enumerate(self.branches if use_checkpoint else ()):
            checkpoint_body(branch, f'network_g.branches[{k}]')
        #: what each branch's input sizes are padded up to multiples of
        self.multiples = [_input_multiple(branch) for branch in self.branches]
        #: ``S1_RRDBNet``, ``S2_RRDBNet``, ...: numbered from 1 as in the paper, for logs and file names
        self.branch_names = [f'S{k}_{options.get("network", options["type"])}'
                             for k, options in enumerate(branches, start=1)]

    def forward(self, lq: Tensor | Sequence[Tensor], all_branches: bool = False, return_features: bool = False
                ) -> Tensor | list[Tensor] | tuple[Tensor | list[Tensor], list[Tensor]]:
        """Upscale LR photos.

        Args:
            lq: (N, C, H, W) LR photos, RGB, about [0, 1]; any size. With ``all_branches`` also a list of K such
                batches, one a branch.
            all_branches: Return each branch's output instead of their mean.
            return_features: Return the trunk features too.

        Returns:
            The mean of the branches' outputs, each clamped to [0, 1] first: (N, C, s * H, s * W); with
            ``all_branches``, these outputs themselves: (K, N, C, s * H, s * W), or a list of K where ``lq`` is one.
            They have the type of ``lq``, under autocast too, so that losses are computed in it.
            With ``return_features``, a pair of this and a list of K trunk features. A trunk feature is what a
            network feeds to its upsampling: for RRDBNet, EDSR, RCAN and SwinIR the body's output (after the
            convolution that ends the body) plus the first features, for MSRResNet the body's output. (N, F, H, W),
            before any cropping.

        Raises:
            UserError: Features are asked of a network whose trunk is not known, a branch does not enlarge images by
                an integer factor, two branches disagree about it, or ``lq`` is a list of another length than K.
        """
        batches = [lq] * len(self.branches) if isinstance(lq, Tensor) else lq
        if len(batches) != len(self.branches) or (batches is lq and not all_branches):
            raise UserError(f'SREnsemble: {len(batches)} batches are given, but it needs one for all '
                            f'{len(self.branches)} branches or, with all_branches, one for each.')
        outputs, features = [], []
        for k, batch in enumerate(batches):
            output, feature = self.upscale(k, batch, return_features)
            if k and output.shape[-1] * batches[0].shape[-1] != outputs[0].shape[-1] * batch.shape[-1]:
                raise UserError(f'network_g.branches[{k}] does not enlarge as branches[0] does; all need one scale.')
            if all_branches or k == 0:
                outputs.append(output)
            else:  # a running sum: memory for the mean of large photos does not grow with K
                outputs[0] = outputs[0] + output
            features.append(feature)
        if not all_branches:
            result = outputs[0] / len(self.branches)
        else:
            result = outputs if batches is lq else torch.stack(outputs)
        return (result, features) if return_features else result

    def upscale(self, k: int, lq: Tensor, return_feature: bool = False) -> tuple[Tensor, Tensor | None]:
        """Branch ``k`` alone (from 0): its output for LR photos of any size, clamped to [0, 1], and its trunk feature.

        The feature is None where it is not asked for; shapes, types and errors are those of :meth:`forward`.
        """
        branch, where = self.branches[k], f'network_g.branches[{k}]'
        height, width = lq.shape[-2:]
        padded = _padded(lq, self.multiples[k], getattr(branch, 'minimum', 0))
        if return_feature:
            output, feature = _with_trunk_feature(where, branch, padded)
        else:
            output, feature = branch(padded), None
        scale = output.shape[-1] // padded.shape[-1]
        if scale < 1 or output.shape != (*lq.shape[:2], padded.shape[-2] * scale, padded.shape[-1] * scale):
            raise UserError(f'{where} ({type(branch).__name__}) makes {tuple(output.shape)} of {tuple(padded.shape)}, '
                            'but an SR network must enlarge height and width by one integer factor.')
        return output[..., : height * scale, : width * scale].clamp(0, 1).to(lq.dtype), feature

    def alone(self, k: int) -> 'SREnsemble':
        """Branch ``k`` (from 0) as an ensemble of one, which shares its weights."""
        one = SREnsemble.__new__(SREnsemble)
        nn.Module.__init__(one)
        one.branches = nn.ModuleList([self.branches[k]])
        one.multiples, one.branch_names = self.multiples[k:k + 1], self.branch_names[k:k + 1]
        one.training = self.training
        return one


def _with_trunk_feature(where: str, branch: nn.Module, lq: Tensor) -> tuple[Tensor, Tensor]:
    """A network's output and its trunk feature, read from the layers that make it while the network runs."""
    layers = next((TRUNK_LAYERS[base.__name__] for base in type(branch).__mro__ if base.__name__ in TRUNK_LAYERS), None)
    if layers is None:
        raise UserError(f'{where} is {type(branch).__name__}, whose trunk feature is not known; feature distillation '
                        f'works with {", ".join(TRUNK_LAYERS)}.')
    feature = None

    def add(module: nn.Module, inputs: tuple, output: Tensor) -> None:
        # Summed at once: some networks then change the last layer's output in place.
        nonlocal feature
        feature = output if feature is None else feature + output

    hooks = [branch.get_submodule(layer).register_forward_hook(add) for layer in layers]
    try:
        output = branch(lq)
    finally:
        for hook in hooks:
            hook.remove()
    return output, feature


def _input_multiple(branch: nn.Module) -> int:
    """What the height and width of a network's input must be multiples of."""
    if isinstance(branch, RRDBNet):
        return {1: 4, 2: 2}.get(branch.scale, 1)
    if isinstance(branch, SpandrelNet):
        return branch.multiple
    windows = (getattr(module, 'window_size', 1) for module in branch.modules())
    return math.lcm(*(window for window in windows if isinstance(window, int)))


def _padded(x: Tensor, multiple: int, minimum: int) -> Tensor:
    """Mirror (N, C, H, W) images at the right and bottom up to multiples of ``multiple``, from ``minimum`` up; any H, W
    from 1."""
    for dim in (-2, -1):
        size = x.shape[dim]
        wanted = max(size, minimum)
        wanted += -wanted % multiple
        if wanted != size:
            x = x.index_select(dim, mirrored(size, 0, wanted, x.device))
    return x

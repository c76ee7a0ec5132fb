"""How a network uses memory: the order of its weights there, and activations that are computed twice, not kept."""

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from mssr_compat.errors import UserError


def to_channels_last(net: nn.Module) -> nn.Module:
    """Keep the four-dimensional weights of ``net`` pixel by pixel in memory; its features follow. Changes no value."""
    for tensor in (*net.parameters(), *net.buffers()):
        if tensor.dim() == 4:
            tensor.data = tensor.data.contiguous(memory_format=torch.channels_last)
    return net


class CheckpointedSequential(nn.Sequential):
    """Keeps the inputs of its members alone for the backward pass, which runs each member again: the same gradients.

    Random numbers that a member draws are drawn again alike, and the generators go on as if there were one pass.
    """

    def forward(self, x: Tensor) -> Tensor:
        if not torch.is_grad_enabled():
            return super().forward(x)
        for member in self:
            x = checkpoint(member, x, use_reentrant=False)
        return x


def checkpoint_body(net: nn.Module, where: str) -> None:
    """Turn the ``body`` of an SR network into a :class:`CheckpointedSequential`; weights and their names stay.

    Args:
        net: EDSR, MSRResNet, RCAN, RRDBNet, or any other whose ``body`` is an ``nn.Sequential`` of blocks.
        where: the YAML key of ``net``, for the message.

    Raises:
        UserError: ``net`` has no such body.
    """
    body = getattr(net, 'body', None)
    if type(body) is not nn.Sequential:
        raise UserError(f'network_g.use_checkpoint is true, but {where} ({type(net).__name__}) has no body of blocks to'
                        ' recompute, as EDSR, MSRResNet, RCAN and RRDBNet have (SwinIR has a use_checkpoint of its '
                        'own, among its keywords).')
    body.__class__ = CheckpointedSequential

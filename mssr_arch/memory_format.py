"""Weights as convolutions want them."""

import torch
from torch import nn


def to_channels_last(net: nn.Module) -> nn.Module:
    """Keep the four-dimensional weights of ``net`` pixel by pixel in memory; its features follow. Changes no value."""
    for tensor in (*net.parameters(), *net.buffers()):
        if tensor.dim() == 4:
            tensor.data = tensor.data.contiguous(memory_format=torch.channels_last)
    return net

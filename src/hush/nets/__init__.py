"""Networks: plain PyTorch modules, one architecture per file.

A network that runs in tiles has a ``radius``, the receptive radius in samples, and a ``multiple``:
sides must be multiples of it.
"""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import Tensor, nn

T = TypeVar("T", Tensor, nn.Module)
N = TypeVar("N", bound=nn.Module)


class Tiled(nn.Module):
    """A network of one input and output that runs in tiles and sees no more than them."""

    @property
    def multiple(self) -> int:
        """Sides must be multiples of this."""
        raise NotImplementedError

    @property
    def radius(self) -> int:
        """Receptive radius in samples, rounded up to a multiple of `multiple`."""
        raise NotImplementedError


def channels_last(x: T) -> T:
    """A batch of images, or a network for images, in the memory format that is fastest for them.

    Batches and networks with other numbers of axes are returned unchanged, and so is everything on
    MPS, where this format is slower, and in some versions of torch wrong.
    """
    if isinstance(x, Tensor):
        last = x.ndim == 4 and x.device.type != "mps"
        return x.contiguous(memory_format=torch.channels_last) if last else x.contiguous()
    if any(parameter.ndim == 5 for parameter in x.parameters()):
        return x
    return x.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def placed(network: N, device: str | torch.device) -> N:
    """The network, moved to `device`; see `channels_last` for its memory format there."""
    if torch.device(device).type == "mps":
        return network.to(device, memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    return network.to(device)

"""Networks: one architecture a file, plain modules.

A network that runs in tiles states its ``radius``, the samples each way that an output can depend
on, and the ``multiple`` that sides have to be of.
"""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import Tensor, nn

T = TypeVar("T", Tensor, nn.Module)


def channels_last(x: T) -> T:
    """A batch of images, or a network of them, in the memory format that is fastest for images.

    Batches and networks with other numbers of axes stay as they are.
    """
    if isinstance(x, Tensor):
        return x.contiguous(memory_format=torch.channels_last) if x.ndim == 4 else x.contiguous()
    if any(parameter.ndim == 5 for parameter in x.parameters()):
        return x
    return x.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

"""The fully convolutional denoising autoencoder of Wang et al., ICASSP 2023.

The paper's layers, from its figure and the authors' code: three convolutions with 80, 40 and 20
features, the first two with stride 2, then their mirror images and a last transposed convolution to
one feature. All have 16 taps; all but the last are batch-normalised and followed by an ELU. The
paper pads nothing and cuts the end. Here every layer is padded so that output sample k belongs to
input sample k, at any length.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from hush.errors import HushError
from hush.nets import Tiled

TAPS = 16  #: of every filter


class FCN(Tiled):
    """Denoised samples ``(B, 1, T)`` from noisy ones of unit rms.

    widths : features of the encoder's layers, (80, 40, 20) in the paper; all but the last layer
        halve the rate. The decoder mirrors them.
    """

    def __init__(self, widths: Sequence[int] = (80, 40, 20)) -> None:
        super().__init__()
        if not 1 <= len(widths) <= 8 or min(widths) < 1:
            raise HushError(
                f"an FCN needs one to eight widths, each at least 1, not {list(widths)}"
            )
        strides = [2] * (len(widths) - 1) + [1]
        turned = list(widths[::-1])
        self.encoder = nn.ModuleList(
            _Down(a, b, stride)
            for a, b, stride in zip([1, *widths[:-1]], widths, strides, strict=True)
        )
        self.decoder = nn.ModuleList(
            _Up(a, b, stride)
            for a, b, stride in zip([turned[0], *turned[:-1]], turned, strides[::-1], strict=True)
        )
        self.tail = _Transposed(widths[0], 1, 1)

    @property
    def multiple(self) -> int:
        """The length must be a multiple of this."""
        return int(2 ** (len(self.encoder) - 1))

    @property
    def radius(self) -> int:
        """Receptive radius in samples, rounded up to a multiple of `multiple`."""
        half, coarsest = TAPS // 2, self.multiple
        reach = half * 2 * (2 * coarsest - 1) + half  # each rate once on either way, and the tail
        return -(-reach // coarsest) * coarsest

    def forward(self, x: Tensor) -> Tensor:
        """``(B, 1, T)`` to the same shape."""
        for layer in (*self.encoder, *self.decoder):
            x = layer(x)
        out: Tensor = self.tail(x)
        return out


class _Transposed(nn.ConvTranspose1d):
    """A transposed convolution to `stride` times the length, the mirror image of `_Down`'s."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__(inputs, outputs, TAPS, stride)

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        length, (stride,) = x.shape[-1], self.stride
        before = (TAPS - stride) // 2
        return super().forward(x, output_size)[..., before : before + length * stride]


class _Down(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.filter = nn.Conv1d(inputs, outputs, TAPS, stride)
        self.norm = nn.BatchNorm1d(outputs)
        before = (TAPS - stride) // 2
        self.pad = (before, TAPS - stride - before)

    def forward(self, x: Tensor) -> Tensor:
        return F.elu(self.norm(self.filter(F.pad(x, self.pad))))


class _Up(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.filter = _Transposed(inputs, outputs, stride)
        self.norm = nn.BatchNorm1d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        return F.elu(self.norm(self.filter(x)))

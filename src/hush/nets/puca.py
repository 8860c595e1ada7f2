"""PUCA: a blind-spot network with a U-shape and channel attention.

    H. Jang, J. Park, D. Jung, J. Lew, H. Bae, S. Yoon: PUCA: Patch-Unshuffle and Channel
    Attention for Enhanced Self-Supervised Image Denoising, NeurIPS 2023.

After a convolution with a masked centre, everything moves in strides of two pixels. Downsampling
with stride one would mix neighbours. The paper therefore moves *patches* of 2×2 pixels into
channels (patch-unshuffle) and keeps each pixel's place within its patch. Those places are the four
phases of `blindspot`: on a phase, patch-unshuffle becomes pixel-unshuffle, which together with the
following 1×1 convolution is a 2×2 convolution with stride 2. The paper's dilated attention block
(DAB) becomes NAFNet's block. So the whole network is a masked convolution followed by NAFNet's
U-shape on each phase.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from torch import Tensor, nn

from hush.nets.blindspot import BlindConv, from_phases, to_phases
from hush.nets.nafnet import NAFUNet
from hush.nets.pooled import Pool, PooledNet


class PUCA(PooledNet):
    """Predicts each pixel from the others: ``(B, C, H, W)`` to the same shape, any size.

    Channel attention weights features by their means. In the paper these means are over the
    whole image, including the blind pixel, so the weights leak a little of it.
    A mean over the pixel's own phase does not include it: with ``attention="phase"`` the Jacobian's
    diagonal is exactly zero. With ``attention="image"`` this is so only for statistics held
    fixed. Otherwise, measured after a short training on smooth images plus noise, it is 3e-4
    (root mean square) for 32×32 pixels, 2e-5 for 64×64, 4e-6 for 128×128, which is at most 0.4 %,
    0.02 %, 0.003 % of the largest entry of its row.

    The defaults are for training on two cores; the paper has for SIDD ``width=128, encoder=(3, 4),
    middle=4, decoder=(4, 3)``.

    channels : image channels C.
    width : features on each phase; each lower scale has twice as many.
    encoder, middle, decoder : blocks at each scale on the way down, at the lowest, on the way up.
    attention : the pixels that means are taken over, "phase" or, as in the paper, "image".
    """

    step = 2

    def __init__(
        self,
        channels: int,
        width: int = 32,
        encoder: Sequence[int] = (1, 1),
        middle: int = 2,
        decoder: Sequence[int] = (1, 1),
        attention: Literal["phase", "image"] = "phase",
    ) -> None:
        super().__init__()
        self.attention = attention
        self.entrance = BlindConv(channels, width, blind=1, reach=1, step=self.step)
        self.body = NAFUNet(width, encoder, middle, decoder)
        self.tail = nn.Sequential(
            nn.Conv2d(width, width, 1), nn.GELU(), nn.Conv2d(width, channels, 1)
        )

    @property
    def multiple(self) -> int:
        """Tiles begin at multiples of this."""
        return self.step * self.body.multiple

    @property
    def radius(self) -> int:
        """Receptive radius in pixels, not counting the statistics."""
        return -(-(self.step * self.body.reach + 1) // self.multiple) * self.multiple

    def run(self, x: Tensor, pooled: Sequence[Tensor] | None) -> tuple[Tensor, list[Tensor]]:
        phases = to_phases(self.entrance(x), self.step)
        pool = Pool(pooled, phases.shape[0], self.step**2 if self.attention == "image" else 1)
        h = from_phases(self.body(phases, pool), self.step, x.shape[-2:])
        return self.tail(h), pool.seen

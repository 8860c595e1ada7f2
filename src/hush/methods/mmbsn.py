r"""MM-BSN: Self-Supervised Image Denoising for Real-World with Multi-Mask based on Blind-Spot
Network (Zhang, Zhou, Jiang and Fu, CVPR Workshops 2023).

Training and denoising are those of AP-BSN (`hush.bases.shuffled`). The network is another
(`hush.nets.mmbsn`): its first convolutions hide shapes through the centre, such as lines, along
which noise may be correlated even in the sub-images.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from hush.bases.shuffled import Asymmetric
from hush.nets.mmbsn import MMBSN as Net


@dataclass
class MMBSN(Asymmetric):
    """MM-BSN for images whose noise is correlated over a few pixels.

    channels, tile, stride, stride_after, replaced, refinements : see `hush.bases.shuffled`.
    masks, width, blocks : see `hush.nets.mmbsn.MMBSN`; the paper has a width of 128 and (2, 7).
    """

    masks: str = "o/"
    width: int = 24
    blocks: Sequence[int] = (1, 2)

    name: ClassVar[str] = "mmbsn"
    summary: ClassVar[str] = "a blind-spot network with masks of several shapes, on sub-images"
    citation: ClassVar[str] = "Zhang et al., MM-BSN, CVPR Workshops 2023"
    pace: ClassVar[Mapping[str, Any]] = {"batch": 4, "learning_rate": 2e-3}

    def build(self, channels: int) -> Net:
        """See `Learned.build`."""
        return Net(channels, self.masks, self.width, self.blocks)

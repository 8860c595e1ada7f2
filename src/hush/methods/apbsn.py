r"""AP-BSN: Self-Supervised Denoising for Real-World Images via Asymmetric PD and Blind-Spot Network
(Lee, Son and Lee, CVPR 2022).

A blind-spot network is trained on sub-images of every fifth pixel, whose noise is nearly
independent, and denoises those of every second pixel; random replacing refines the result. The
formulas are in `hush.bases.shuffled`, the network in `hush.nets.dbsn`.

The absolute error is least at the median of a pixel's possible values. For skewed noise, such as
few counts, that is not the mean.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from hush.bases.shuffled import Asymmetric
from hush.nets.dbsn import DBSN


@dataclass
class APBSN(Asymmetric):
    """AP-BSN for images whose noise is correlated over a few pixels.

    channels, tile, stride, stride_after, replaced, refinements : see `hush.bases.shuffled`.
    width, blocks : sizes, see `hush.nets.dbsn.DBSN`; the paper has 128 and 9.
    """

    width: int = 32
    blocks: int = 3

    name: ClassVar[str] = "apbsn"
    summary: ClassVar[str] = "a blind-spot network on sub-images, for correlated noise"
    citation: ClassVar[str] = "Lee, Son and Lee, AP-BSN, CVPR 2022"
    pace: ClassVar[Mapping[str, Any]] = {"batch": 4, "learning_rate": 2e-3}

    def build(self, channels: int) -> DBSN:
        """See `Learned.build`."""
        return DBSN(channels, self.width, self.blocks)

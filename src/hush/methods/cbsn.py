r"""C-BSN: Self-supervised Image Denoising with Downsampled Invariance Loss and Conditional
Blind-Spot Network (Jang et al., ICCV 2023).

One network f has two modes with the same weights: blind, f_b, and seeing its own pixel, f_v
(`hush.nets.dbsn`). The blind one learns from sub-images of every fifth pixel, as in AP-BSN:

.. math:: L_{blind} = \|PD_5^{-1}(f_b(PD_5(x))) - x\|_1.

The seeing one would learn to keep the noise. It is guided by the blind one: downsampling its result
should give what f_b makes of the downsampled image (*downsampled invariance*). The downsampling D
takes a random pixel from every cell of 2×2, which breaks the correlation of the noise without a
lattice. No gradient flows through f_b(D(x)):

.. math:: L_{self} = \|f_v(x) - x\|_1, \qquad L_{inv} = \|D(f_v(x)) - f_b(D(x))\|_1,

.. math:: L = L_{blind} + r\,(L_{self} + \lambda L_{inv}).

The ramp r rises from 0 to 1 in the first 40 % of the training, as in the authors' code. When
denoising, f_v sees the whole image, without downsampling and refinement.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from hush.bases.learned import Learned, Network
from hush.errors import HushError
from hush.nets.blindspot import from_phases, to_phases
from hush.nets.dbsn import DBSN
from hush.nets.shuffled import drawn_places, subsampled

RAMP = 0.4  #: share of the training until r = 1


@dataclass
class CBSN(Learned):
    """C-BSN for images whose noise is correlated over a few pixels.

    channels, tile : see `hush.bases.learned.Learned`.
    stride : of the sub-images that the blind mode learns from; longer than the noise is correlated.
    stride_random : side of the cells of D.
    weight : λ, of the downsampled invariance.
    width, blocks : sizes, see `hush.nets.dbsn.DBSN`; the paper has 128 and 9.
    """

    stride: int = 5
    stride_random: int = 2
    weight: float = 2.0
    width: int = 32
    blocks: int = 3

    name: ClassVar[str] = "cbsn"
    summary: ClassVar[str] = "a network that sees what its blind mode has learned on sub-images"
    citation: ClassVar[str] = "Jang et al., C-BSN, ICCV 2023"
    pace: ClassVar[Mapping[str, Any]] = {"batch": 4, "learning_rate": 2e-3}

    def __post_init__(self) -> None:
        super().__post_init__()
        if min(self.stride, self.stride_random) < 1 or self.weight < 0:
            raise HushError(
                "cbsn needs strides of at least 1 and a weight from 0, not "
                f"{self.stride}, {self.stride_random} and {self.weight:g}"
            )

    def build(self, channels: int) -> DBSN:
        """See `Learned.build`."""
        return DBSN(channels, self.width, self.blocks, blind=False)

    def loss(
        self, network: Network, x: Tensor, generator: torch.Generator, done: float
    ) -> Mapping[str, Tensor]:
        """L, in its three parts."""
        assert isinstance(network, DBSN)
        phases = network.predict(to_phases(x, self.stride), blind=True)
        blind = from_phases(phases, self.stride, x.shape[-2:]).float()
        seeing = network.predict(x, blind=False).float()
        places = drawn_places(x, self.stride_random, generator)
        # Last: autocast would reuse weights that were first cast without gradients.
        with torch.no_grad():
            guide = network.predict(subsampled(x, places, self.stride_random), blind=True).float()
        ramp = min(1.0, done / RAMP)
        invariance = subsampled(seeing, places, self.stride_random) - guide
        return {
            "blind": (blind - x).abs().mean(),
            "self": ramp * (seeing - x).abs().mean(),
            "invariance": ramp * self.weight * invariance.abs().mean(),
        }

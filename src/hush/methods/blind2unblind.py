r"""Blind2Unblind: Self-Supervised Image Denoising with Visible Blind Spots
(Wang et al., CVPR 2022).

Of every cell of s×s pixels one at a time is masked, in s² masked images Ω_y. From each, the
*global-aware mask mapper* h takes the pixels that were masked: h(f(Ω_y)) is a whole image of blind
predictions, in one go. The network also sees the whole noisy image, without a gradient (f̂), and
the *re-visible loss* moves it from the one to the other (eqs. 10 and 11):

.. math:: \|h(f(\Omega_y)) + \lambda \hat f(y) - (\lambda + 1)\,y\|^2
          + \eta\,\|h(f(\Omega_y)) - y\|^2.

The first term is least where the mixture (eq. 12)

.. math:: \frac{h(f(\Omega_y)) + \lambda f(y)}{1 + \lambda}

is the mean of y given what both have seen. λ grows from λ_s to λ_f; the mixture ends at the visible
output f(y), which is used, one pass of the network.

A masked pixel is replaced by the mean of its neighbours, as in the authors' code; cells have 4×4
pixels there, and 2×2 here by default, which takes a quarter of the time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from hush.bases.learned import Learned, Network, Plain
from hush.denoiser import Advance
from hush.errors import HushError
from hush.nets.masks import interpolated, phases

RISES = 0.4  #: share of the training after which λ grows, as in the authors' code


@dataclass
class Blind2Unblind(Plain, Learned):
    """Blind2Unblind for images whose noise is independent from pixel to pixel.

    channels, tile, widths : see `hush.bases.learned`.
    cell : side s of the cells; a training step takes s² + 1 passes.
    start, end : λ at the start and end of the training; eta : weight η of the blind term.
    output : ``"visible"``, f(y); ``"mixed"``, eq. 12 at the end's λ, in s² + 1 passes.
    """

    cell: int = 2
    start: float = 2.0
    end: float = 20.0
    eta: float = 1.0
    output: str = "visible"

    name: ClassVar[str] = "blind2unblind"
    summary: ClassVar[str] = "a blind-spot training whose network comes to see every pixel"
    citation: ClassVar[str] = "Wang et al., Blind2Unblind, CVPR 2022"
    pace: ClassVar[Mapping[str, Any]] = {"batch": 4}
    applied: ClassVar[tuple[str, ...]] = ("tile", "output")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.cell < 2 or min(self.start, self.end, self.eta) < 0:
            raise HushError(
                "blind2unblind needs a cell of at least 2, and start, end and eta of at least 0"
            )
        if self.output not in ("visible", "mixed"):
            raise HushError(f"output must be 'visible' or 'mixed', not '{self.output}'")

    def weight(self, done: float) -> float:
        """λ after a share `done` of the training."""
        return self.start + (self.end - self.start) * max(0.0, (done - RISES) / (1 - RISES))

    def loss(
        self, network: Network, x: Tensor, generator: torch.Generator, done: float
    ) -> Mapping[str, Tensor]:
        """Eqs. 10 and 11."""
        # Before f̂(y): autocast would reuse weights that were first cast without gradients.
        blind = mapped(network(masked(x, self.cell)).float(), self.cell)
        with torch.no_grad():
            visible = network(x).float()
        error, weight = blind - x, self.weight(done)
        return {
            "visible_loss": (error + weight * (visible - x)).square().mean(),
            "blind_loss": self.eta * error.square().mean(),
        }

    def predict(
        self, x: np.ndarray, mean: np.ndarray, deviation: float, advance: Advance | None = None
    ) -> np.ndarray:
        """See `Learned.predict`; the visible output, or eq. 12."""
        if self.output == "visible" or deviation == 0:
            return super().predict(x, mean, deviation, advance)
        share = advance and (lambda done: advance(done / (self.cell**2 + 1)))
        seen = [*masked(torch.from_numpy(np.ascontiguousarray(x))[None], self.cell).numpy(), x]
        predict = super().predict
        *every, visible = (predict(part, mean, deviation, share) for part in seen)
        blind: np.ndarray = mapped(torch.from_numpy(np.stack(every)), self.cell)[0].numpy()
        return (blind + np.float32(self.end) * visible) / np.float32(1 + self.end)

    def one_pass(self) -> Network:
        """See `Denoiser.one_pass`; HushError for the mixed output."""
        if self.output == "mixed":
            raise HushError(
                "blind2unblind with output=mixed takes several passes and cannot be exported; "
                "train it with output=visible"
            )
        return super().one_pass()


def masked(x: Tensor, cell: int) -> Tensor:
    """Ω_y of images ``(B, C, H, W)``: ``(s²·B, C, H, W)``, in each another phase masked."""
    around = interpolated(x)
    return torch.cat([torch.where(hidden, around, x) for hidden in phases(x, cell)])


def mapped(answers: Tensor, cell: int) -> Tensor:
    """h, from answers to Ω_y: ``(B, C, H, W)``, of each the pixels that were masked."""
    parts = answers.unflatten(0, (cell**2, -1))
    chosen = [
        torch.where(hidden, part, 0.0)
        for hidden, part in zip(phases(answers, cell), parts, strict=True)
    ]
    return torch.stack(chosen).sum(0)

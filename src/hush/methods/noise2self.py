r"""Noise2Self: Blind Denoising by Self-Supervision (Batson and Royer, ICML 2019).

A function f is J-invariant for a partition 𝒥 of the pixels if f(x)_J does not depend on x_J,
for every J in 𝒥 (definition 1). For noise that is independent between the parts, its
self-supervised loss equals the supervised one up to a constant (proposition 1):

.. math:: E\|f(x) - x\|^2 = E\|f(x) - y\|^2 + E\|x - y\|^2.

Any network g becomes such a function if an interpolation s(x) replaces x_J in its input:

.. math:: f(x)_J = g\big(1_J \cdot s(x) + 1_{J^c} \cdot x\big)_J. \qquad (3)

Here 𝒥 are the phases of a grid. Training scores one phase at a time. Denoising applies eq. 3 to
every phase and combines the parts, so the result is J-invariant to the last bit: the mean and
deviation used to scale the image also come from J's complement.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from hush.bases.learned import Learned, Network, Plain
from hush.denoiser import Advance
from hush.errors import HushError
from hush.kinds.cut import moments
from hush.nets.masks import interpolated, phase
from hush.noise.process import Process
from hush.results import Estimate, Restoration


@dataclass
class Noise2Self(Plain, Learned):
    """Noise2Self for images whose noise is independent from pixel to pixel.

    channels, tile, widths : see `hush.bases.learned`.
    grid : side of a square in which one pixel at a time is hidden; a result takes one pass for
        each of its pixels.
    """

    grid: int = 4

    name: ClassVar[str] = "noise2self"
    summary: ClassVar[str] = "a network that never sees the pixel it predicts"
    citation: ClassVar[str] = "Batson and Royer, Noise2Self, ICML 2019"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.grid < 2:
            raise HushError("noise2self needs a grid of at least 2, so that pixels have neighbours")

    def loss(
        self, network: Network, x: Tensor, generator: torch.Generator, done: float
    ) -> Mapping[str, Tensor]:
        """Proposition 1's left side on one part J of the pixels."""
        drawn = torch.randint(self.grid, (2,), generator=generator, device=x.device).tolist()
        hidden = phase(x, self.grid, *drawn)
        answer = network(torch.where(hidden, interpolated(x), x)).float()
        return {"loss": (answer - x).square()[..., hidden].mean()}

    def restore(
        self,
        x: np.ndarray,
        noise: Process | None = None,
        advance: Advance | None = None,
        found: Estimate | None = None,
    ) -> Restoration:
        """Eq. 3 for every J."""
        if x[0].size == 1:
            return Restoration(x.copy(), noise)  # nothing else to predict it from
        whole = torch.from_numpy(np.ascontiguousarray(x))
        between = interpolated(whole[None])[0]
        share = advance and (lambda done: advance(done / self.grid**2))
        out = np.empty_like(x)
        for row, column in itertools.product(range(self.grid), repeat=2):
            hidden = phase(whole, self.grid, row, column)
            seen = torch.where(hidden, between, whole).numpy()
            j = hidden.numpy()
            mean, deviation = moments(x[:, ~j])
            out[:, j] = self.predict(seen, mean[..., None], deviation, share)[:, j]
        return Restoration(out, noise)

    def one_pass(self) -> Network:
        """Noise2Self has none; raises HushError."""
        raise HushError(
            f"noise2self needs {self.grid**2} passes, one for each part of the pixels, "
            "and cannot be exported; noise2void can"
        )

"""Noise that is correlated between pixels: partly blurred, or constant along rows or columns."""

from __future__ import annotations

import dataclasses
import functools
import math
import operator
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from hush.errors import HushError
from hush.noise.process import Process, T, normal, parse
from hush.noise.units import Level, fit, fixed, level, number, word

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Nested:
    """Unit of a white noise process as an argument; bare numbers are Gaussian noise."""

    def read(self, text: str, full_range: float) -> Any:
        return parse(text if ":" in text else f"gaussian:{text}", full_range)

    def write(self, value: Any, full_range: float) -> str:
        return value.spec(full_range).removeprefix("gaussian:")

    def check(self, value: Any) -> None:
        if not value.white:
            raise HushError(f"give white noise here, not {value.spec()}")

    def draw(self, value: Any, generator: torch.Generator) -> Any:
        return value.draw(generator)


@dataclass(frozen=True)
class Correlated(Process):
    r"""Spatially correlated noise as in DiffDenoise, §4.1.

    White noise n = y − E[y] is convolved with a Gaussian kernel k and divided by ‖k‖₂, which
    restores its expected power. (Restoring the power of each draw would make Gaussian noise
    non-Gaussian.) It is mixed with a second draw m, both with weight 1/√2: (k∗n/‖k‖₂ + m)/√2. The
    correlation at lag (i, j) is

    .. math:: \rho_{ij} = \tfrac12 \delta_{ij} + \tfrac12 A_i A_j, \quad
              A_d = \frac{\sum_i k_i k_{i+d}}{\sum_i k_i^2} = e^{-d^2 / 4w^2} \cdot
              \begin{cases} 1 & d \text{ even} \\
              \sum_i e^{-(i + 1/2)^2/w^2} / \sum_i e^{-i^2/w^2} & d \text{ odd,} \end{cases}

    where the fraction is 0.71 for w = 0.5 and 1.00 for w = 1.2.

    The variance is exactly that of the white noise if this is Gaussian with one level, or wherever
    its variance is constant over the kernel; elsewhere half of it is the average of the
    neighbouring variances over the kernel.

    With Gaussian noise the ladder is closed: noise with the same spectrum is added. With other
    noise it matches two moments: the added noise has variance (a − 1)·v(s), as in
    `PoissonGaussian`; if v is not linear in the signal, this is correct to the relative order v/x².

    noise : the white process; kernel_width : the kernel's standard deviation w in pixels; ndim :
    the number of axes blurred, the last ones. ρ has one factor A for each of them.
    """

    noise: Process = field(metadata={"unit": Nested()})
    kernel_width: Level = field(
        metadata=number("the kernel's width in pixels", open_end=True, highest=100.0)
    )
    ndim: int = 2
    family: ClassVar[str] = "correlated"
    label: ClassVar[str] = "Correlated"
    examples: ClassVar[tuple[str, ...]] = (
        "correlated:6/255,1.2",
        "correlated:poisson:200,0.5",
        "correlated:gamma:100,1.2",
        "correlated:poisson-gaussian:0.02/1,10/255,1.2",
    )
    white: ClassVar[bool] = False
    symmetric: ClassVar[bool] = True

    @property
    def closed(self) -> bool:  # type: ignore[override]  # it depends on the white noise
        return self.noise.normal

    @property
    def taylor_order(self) -> float:  # type: ignore[override]
        return math.inf if self.noise.normal else 1

    @property
    def biased(self) -> bool:  # type: ignore[override]
        return self.noise.biased

    @property
    def terms(self) -> tuple[int, ...]:  # type: ignore[override]
        return self.noise.terms

    def variance(self, x: T) -> T:
        return self.noise.variance(x)

    def bias(self, x: T) -> T:
        return self.noise.bias(x)

    def scaled(self, ratio: float) -> Correlated:
        return dataclasses.replace(self, noise=self.noise.scaled(ratio))

    def sample(self, x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        mean, around, noise = x + self.noise.bias(x), self._padded(x), self._noise_around(x)
        blurred = noise.sample(around, generator) - around - noise.bias(around)
        return mean + self._mixed(blurred, self.noise.sample(x, generator) - mean)

    def accumulate(
        self, s: torch.Tensor, ratio: float, generator: torch.Generator
    ) -> tuple[torch.Tensor, torch.Tensor]:
        deviation = ((ratio - 1) * self.noise.variance(s)).sqrt()
        around = self._padded(deviation)
        blurred, second = around * normal(around, generator), deviation * normal(s, generator)
        increment = self._mixed(blurred, second)
        return s + increment, increment

    def over(self, ndim: int) -> Correlated:
        return dataclasses.replace(self, ndim=ndim)

    def autocorrelation(self, radius: int, ndim: int = 2) -> np.ndarray:
        kernel = self._kernel()
        lags = np.correlate(kernel, kernel, "full")
        middle = len(kernel) - 1
        one_way = np.zeros(2 * radius + 1)
        reach = min(radius, middle)
        one_way[radius - reach : radius + reach + 1] = lags[middle - reach : middle + reach + 1]
        lags = functools.reduce(np.multiply.outer, [one_way] * ndim)
        lags[(radius,) * ndim] += 1
        return lags / 2

    def _kernel(self) -> np.ndarray:
        """The kernel along one axis, up to four widths, with norm 1."""
        width = fixed(self.kernel_width)
        at = np.arange(-math.ceil(4 * width), math.ceil(4 * width) + 1)
        kernel = np.exp(-0.5 * (at / width) ** 2)
        return kernel / np.linalg.norm(kernel)

    def _padded(self, x: torch.Tensor) -> torch.Tensor:
        """`x` padded with its border values by the kernel's reach, so that borders have no seam."""
        import torch

        self._in_space(x.ndim, self.ndim)
        reach = len(self._kernel()) // 2
        for axis in range(-self.ndim, 0):
            near = torch.arange(-reach, x.shape[axis] + reach, device=x.device)
            x = x.index_select(axis, near.clamp(0, x.shape[axis] - 1))
        return x

    def _noise_around(self, x: torch.Tensor) -> Process:
        """The white noise for the result of `_padded`, with maps of its levels padded likewise."""
        import torch

        levels = {f.name: getattr(self.noise, f.name) for f in dataclasses.fields(self.noise)}
        maps = {n: fit(v, x) for n, v in levels.items() if isinstance(v, np.ndarray)}
        wide = {n: torch.tensor(np.broadcast_to(v, x.shape)) for n, v in maps.items()}
        return dataclasses.replace(
            self.noise, **{n: self._padded(w).numpy() for n, w in wide.items()}
        )

    def _mixed(self, first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
        """(k∗first + second)/√2, tap by tap: faster than torch's convolution, and for any dtype."""
        taps = list(enumerate(self._kernel().tolist()))
        for axis in range(-self.ndim, 0):
            first = _along(first, axis, taps, second.shape[axis])
        return (first + second) / math.sqrt(2)


@dataclass(frozen=True)
class Stripes(Process):
    """A Gaussian offset for each row or column of every plane; closed: variances add.

    For images: planes are the last two axes.

    sigma : the offsets' standard deviation; along : whether rows or columns have an offset.
    """

    sigma: Level = field(metadata=level("the standard deviation of stripes"))
    along: str = field(default="rows", metadata=word("rows", "columns"))
    family: ClassVar[str] = "stripes"
    label: ClassVar[str] = "Stripes"
    examples: ClassVar[tuple[str, ...]] = ("stripes:5/255", "stripes:5/255,columns")
    white: ClassVar[bool] = False
    symmetric: ClassVar[bool] = True
    terms: ClassVar[tuple[int, ...]] = (0,)

    def variance(self, x: T) -> T:
        return 0 * x + fixed(self.sigma) ** 2

    def scaled(self, ratio: float) -> Stripes:
        return dataclasses.replace(self, sigma=fixed(self.sigma) * math.sqrt(ratio))

    def sample(self, x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        self._in_space(x.ndim)
        lines = x[..., :1] if self.along == "rows" else x[..., :1, :]
        return x + fixed(self.sigma) * normal(lines, generator)

    def accumulate(
        self, s: torch.Tensor, ratio: float, generator: torch.Generator
    ) -> tuple[torch.Tensor, torch.Tensor]:
        state = self.scaled(ratio - 1).sample(s, generator)
        return state, state - s

    def over(self, ndim: int) -> Stripes:
        self._in_space(ndim)
        return self

    def autocorrelation(self, radius: int, ndim: int = 2) -> np.ndarray:
        self._in_space(ndim)
        lags = np.zeros((2 * radius + 1,) * ndim)
        plane = lags[(radius,) * (ndim - 2)]
        if self.along == "rows":
            plane[radius] = 1
        else:
            plane[:, radius] = 1
        return lags


def _along(
    x: torch.Tensor, axis: int, taps: Iterable[tuple[int, float]], size: int
) -> torch.Tensor:
    return functools.reduce(operator.add, (tap * x.narrow(axis, i, size) for i, tap in taps))

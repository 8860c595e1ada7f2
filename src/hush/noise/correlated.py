"""Noise that is correlated between pixels: of any spectrum, or constant along rows or columns."""

from __future__ import annotations

import dataclasses
import functools
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from hush.errors import HushError
from hush.noise.blur import convolved, gaussian_kernel, kernel_correlation, padded
from hush.noise.process import Process, T, normal, parse, wide
from hush.noise.spectrum import OCTAVES, AnySpectrum, Octaves, levels
from hush.noise.units import Level, Number, Ratio, fit, fixed, level, root, word

if TYPE_CHECKING:
    import torch

    from hush.noise.process import Draw


_REACH = 32  #: how far noise of any spectrum is drawn beyond a sample's border, in pixels


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
class SpectrumUnit:
    """Unit of a spectrum: a kernel's width in pixels, densities per octave, or ``any``."""

    width = Number("the kernel's width in pixels", open_end=True, highest=100.0)

    def read(self, text: str, full_range: float) -> Any:
        if text.strip() == "any":
            return AnySpectrum()
        return Octaves.read(text) if ":" in text else self.width.read(text, full_range)

    def write(self, value: Any, full_range: float) -> str:
        if isinstance(value, AnySpectrum):
            return "any"
        return value.spec() if isinstance(value, Octaves) else self.width.write(value, full_range)

    def check(self, value: Any) -> None:
        if not isinstance(value, Octaves | AnySpectrum):
            self.width.check(value)

    def draw(self, value: Any, generator: torch.Generator) -> Any:
        if isinstance(value, Octaves):
            return value
        if isinstance(value, AnySpectrum):
            return value.draw(generator)
        return self.width.draw(value, generator)


@dataclass(frozen=True)
class Correlated(Process):
    r"""Spatially correlated noise of any spectrum, or that of DiffDenoise, §4.1.

    With `Octaves`, white noise is filtered so that it has this spectrum, brightness and differences
    of colour apart. The variance over all channels stays that of the white noise.

    With a kernel's width it is DiffDenoise's. White noise n = y − E[y] is convolved with a Gaussian
    kernel k and divided by ‖k‖₂, which restores its expected power. (Restoring the power of each
    draw would make Gaussian noise non-Gaussian.) It is mixed with a second draw m, both with weight
    1/√2: (k∗n/‖k‖₂ + m)/√2. The correlation at lag (i, j) is

    .. math:: \rho_{ij} = \tfrac12 \delta_{ij} + \tfrac12 A_i A_j, \quad
              A_d = \frac{\sum_i k_i k_{i+d}}{\sum_i k_i^2} = e^{-d^2 / 4w^2} \cdot
              \begin{cases} 1 & d \text{ even} \\
              \sum_i e^{-(i + 1/2)^2/w^2} / \sum_i e^{-i^2/w^2} & d \text{ odd,} \end{cases}

    where the fraction is 0.71 for w = 0.5 and 1.00 for w = 1.2.

    The variance is exactly that of the white noise if this is Gaussian with one level, or wherever
    its variance is constant over the kernel; elsewhere half of it is the average of the
    neighbouring variances over the kernel. The same holds for `Octaves`, for all of it.

    With Gaussian noise the ladder is closed: noise with the same spectrum is added. With other
    noise it matches two moments: the added noise has variance (a − 1)·v(s), as in
    `PoissonGaussian`; if v is not linear in the signal, this is correct to the relative order v/x².

    noise : the white process; spectrum : the kernel's standard deviation w in pixels, or the
    density in every octave; ndim : the number of axes it spans, the last ones. ρ has one factor A
    for each of them.
    """

    noise: Process = field(metadata={"unit": Nested()})
    spectrum: Level | Octaves | AnySpectrum = field(metadata={"unit": SpectrumUnit()})
    ndim: int = 2
    family: ClassVar[str] = "correlated"
    label: ClassVar[str] = "Correlated"
    examples: ClassVar[tuple[str, ...]] = (
        "correlated:6/255,1.2",
        "correlated:poisson:200,0.5",
        "correlated:gamma:100,1.2",
        "correlated:poisson-gaussian:0.02/1,10/255,1.2",
        "correlated:6/255,0.1:0.5:2:4",
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

    def moved(self, by: float) -> Correlated | None:
        noise = self.noise.moved(by)
        return None if noise is None else dataclasses.replace(self, noise=noise)

    @property
    def terms(self) -> tuple[int, ...]:  # type: ignore[override]
        return self.noise.terms

    def variance(self, x: T) -> T:
        return self.noise.variance(x)

    def bias(self, x: T) -> T:
        return self.noise.bias(x)

    def scaled(self, ratio: Ratio) -> Correlated:
        return dataclasses.replace(self, noise=self.noise.scaled(ratio))

    def sample(self, x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        mean, around, noise = x + self.noise.bias(x), self._padded(x), self._noise_around(x)
        if isinstance(self.spectrum, Octaves):
            white = noise.sample(around, generator) - around - noise.bias(around)
            return mean + self._inner(self._filtered(white, self.spectrum), x)
        blurred = noise.sample(around, generator) - around - noise.bias(around)
        return mean + self._mixed(blurred, self.noise.sample(x, generator) - mean)

    def accumulate(
        self, s: torch.Tensor, ratio: float, generator: torch.Generator
    ) -> tuple[torch.Tensor, torch.Tensor]:
        deviation = ((ratio - 1) * self.noise.variance(s)).sqrt()
        if isinstance(self.spectrum, Octaves):  # the same spectrum at every level
            drawn = self._filtered(normal(self._padded(s), generator), self.spectrum)
            increment = deviation * self._inner(drawn, s)
            return s + increment, increment
        around = self._padded(deviation)
        blurred, second = around * normal(around, generator), deviation * normal(s, generator)
        increment = self._mixed(blurred, second)
        return s + increment, increment

    def exchanged(
        self, s: torch.Tensor, ratio: float, generator: torch.Generator, draw: Draw | None = None
    ) -> tuple[Process, tuple[tuple[torch.Tensor, torch.Tensor], ...]]:
        """See `Process.exchanged`; behind magnitudes, the complex noise has the spectrum."""
        spectrum = self.spectrum
        if not (self.noise.complex and isinstance(spectrum, Octaves)):
            return super().exchanged(s, ratio, generator, draw)

        def drawn(x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
            return self._inner(self._filtered(normal(self._padded(x), generator), spectrum), x)

        law, pairs = self.noise.exchanged(s, ratio, generator, drawn)
        return dataclasses.replace(self, noise=law), pairs

    def variance_near(self, mean: T) -> T:
        return self.noise.variance_near(mean)

    def over(self, ndim: int) -> Correlated:
        return dataclasses.replace(self, ndim=ndim)

    def octaves(self, count: int = OCTAVES, ndim: int = 2, channels: int = 1) -> np.ndarray:
        if not isinstance(self.spectrum, Octaves):
            return super().octaves(count, ndim, channels)
        return levels(*self.spectrum.power((2 * _REACH,) * ndim, channels), count)

    def autocorrelation(self, radius: int, ndim: int = 2) -> np.ndarray:
        if isinstance(self.spectrum, Octaves):
            side = 2 * max(_REACH, radius + 1)
            lags = np.fft.ifftn(self.spectrum.power((side,) * ndim)[0]).real
            near = np.abs(np.arange(-radius, radius + 1))  # the spectrum is the same both ways
            return lags[np.ix_(*[near] * ndim)] / lags.flat[0]
        one_way = kernel_correlation(self._kernel(), self._kernel(), radius)
        lags = functools.reduce(np.multiply.outer, [one_way] * ndim)
        lags[(radius,) * ndim] += 1
        return lags / 2

    def _kernel(self) -> np.ndarray:
        """The kernel along one axis, with norm 1."""
        if isinstance(self.spectrum, Octaves | AnySpectrum):
            raise HushError(
                f"{self.spec()} stands for many spectra (draw a spectrum first); state a kernel, "
                "such as correlated:6/255,1.2, or leave it out, and the noise is measured"
            )
        kernel = gaussian_kernel(fixed(self.spectrum))
        return kernel / np.linalg.norm(kernel)

    def _padded(self, x: torch.Tensor) -> torch.Tensor:
        """`x` padded by the kernel's reach, so that borders have no seam."""
        self._in_space(x.ndim, self.ndim)
        octaves = isinstance(self.spectrum, Octaves)
        return padded(x, _REACH if octaves else len(self._kernel()) // 2, self.ndim)

    def _noise_around(self, x: torch.Tensor) -> Process:
        """The white noise for the result of `_padded`, with maps of its levels padded likewise."""
        import torch

        levels = {f.name: getattr(self.noise, f.name) for f in dataclasses.fields(self.noise)}
        maps = {n: fit(v, x) for n, v in levels.items() if isinstance(v, np.ndarray)}
        wide = {n: torch.tensor(np.broadcast_to(v, x.shape)) for n, v in maps.items()}
        return dataclasses.replace(
            self.noise, **{n: self._padded(w).numpy() for n, w in wide.items()}
        )

    def _filtered(self, white: torch.Tensor, spectrum: Octaves) -> torch.Tensor:
        """White noise ``(…, C, *S)`` with this spectrum instead, on a torus."""
        import torch

        axes = tuple(range(-self.ndim, 0))
        channels = white.shape[-self.ndim - 1] if white.ndim > self.ndim else 1
        half = white.shape[-1] // 2 + 1
        roots = (
            torch.from_numpy(np.sqrt(p[..., :half])).to(white)
            for p in spectrum.power(tuple(white.shape[-self.ndim :]), channels)
        )
        bright, tint = (root.to(wide(white).dtype) for root in roots)
        waves = torch.fft.rfftn(wide(white), dim=axes)
        if channels > 1:
            mean = waves.mean(-self.ndim - 1, keepdim=True)
            waves = tint * (waves - mean) + bright * mean
        else:
            waves = bright * waves
        return torch.fft.irfftn(waves, s=white.shape[-self.ndim :], dim=axes).to(white.dtype)

    def _inner(self, around: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        """The part of a padded sample that `x` had."""
        for axis in range(-self.ndim, 0):
            around = around.narrow(axis, _REACH, x.shape[axis])
        return around

    def _mixed(self, first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
        return (convolved(first, self._kernel(), self.ndim) + second) / math.sqrt(2)


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
    beside: ClassVar[bool] = True
    symmetric: ClassVar[bool] = True
    terms: ClassVar[tuple[int, ...]] = (0,)

    def variance(self, x: T) -> T:
        return 0 * x + fixed(self.sigma) ** 2

    def scaled(self, ratio: Ratio) -> Stripes:
        return dataclasses.replace(self, sigma=fixed(self.sigma) * root(ratio))

    def sample(self, x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        self._in_space(x.ndim)
        lines = x[..., :1] if self.along == "rows" else x[..., :1, :]
        return x + fixed(self.sigma) * normal(lines, generator)

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

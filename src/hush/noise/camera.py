"""The noise of a camera's pictures: what the sensor adds, as the camera's processing leaves it.

A camera counts light behind a mosaic of colour filters, interpolates the missing colours, balances
and mixes them, brightens them with a tone curve, smooths and compresses. So the noise of a picture
is correlated between pixels and colours, and it vanishes at white.

The curve, the colours and the white balance are those of Brooks et al. (2019), "Unprocessing images
for learned raw denoising", CVPR, and its published code. The demosaicing is that of Malvar, He and
Cutler (2004), "High-quality linear interpolation for demosaicing of Bayer-patterned color images",
ICASSP: linear, so its noise is known exactly.
"""

from __future__ import annotations

import functools
import itertools
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from hush.errors import HushError
from hush.noise.blur import convolved, gaussian_kernel, kernel_correlation, padded
from hush.noise.damage import JPEG
from hush.noise.process import Process, T, wide
from hush.noise.units import Level, Ratio, fixed, number
from hush.noise.white import PoissonGaussian

if TYPE_CHECKING:
    import torch

#: From linear sRGB to the sensor's colours: the mean of the four cameras of Brooks et al., with
#: rows of sum 1, so that gray is gray.
_SENSOR = np.array([[0.646, 0.271, 0.083], [0.083, 0.755, 0.162], [0.015, 0.225, 0.760]])
#: gains of red, green and blue, in the middle of their ranges
_BALANCE = np.array([2.15, 1.0, 1.7])
_GAMMA = 2.2
_DARKEST = 1e-4  #: the tone curve's slope has no bound towards zero light; below, it is that here
_LUMA = np.array([0.299, 0.587, 0.114])  #: ITU-R BT.601, as in JPEG
#: Width of the smoothing of chroma, relative to that of luma. 2 would reduce the noise of both
#: alike, as red and blue have half the resolution.
_CHROMA_WIDTH = 3.0

#: Malvar's filters, times 16: green at red and blue; red at the green of its rows, and at that of
#: its columns; red at blue. Blue has those of red.
_MALVAR = (
    ((0, 0, -2, 0, 0), (0, 0, 4, 0, 0), (-2, 4, 8, 4, -2), (0, 0, 4, 0, 0), (0, 0, -2, 0, 0)),
    ((0, 0, 1, 0, 0), (0, -2, 0, -2, 0), (-2, 8, 10, 8, -2), (0, -2, 0, -2, 0), (0, 0, 1, 0, 0)),
    ((0, 0, -2, 0, 0), (0, -2, 8, -2, 0), (1, 0, 10, 0, 1), (0, -2, 8, -2, 0), (0, 0, -2, 0, 0)),
    ((0, 0, -3, 0, 0), (0, 4, 0, 4, 0), (-3, 0, 12, 0, -3), (0, 4, 0, 4, 0), (0, 0, -3, 0, 0)),
)
_MALVAR_REACH = 2


@dataclass(frozen=True)
class Camera(Process):
    r"""Counts and read noise on a Bayer mosaic, as they appear in the finished picture.

    The signal x is a finished picture. It is taken back to the light on the sensor, counted, and
    developed: white balance, demosaicing, colour matrix, tone curve (γ = 2.2, then the S-curve
    3t² − 2t³) and smoothing. A sample is x plus the *difference* of the pictures developed from the
    counts and from the light itself, stored as JPEG. So the details are those of x: a picture to
    train on was developed before, and a second time would blur it. `pair` gives the two developed
    pictures instead.

    Samples ``(…, 3, H, W)`` are pictures of red, green and blue. In all others every plane is a
    gray scene and has the noise of luma. Where the mosaic begins is drawn for every picture.

    `variance` is of first order in the noise, for a signal that is flat over a few pixels and a
    picture that is not compressed: the sensor's variance through the linear steps and the slope of
    the tone curve. The second order, from the curvature, darkens mid-tones by about the square of
    the deviation before smoothing. JPEG removes some of the noise and adds errors of its own: at
    quality 60, 0.3 to 1.4 times this variance is left in flat areas.

    Not closed: a state accumulates noise as if it were the signal. The ratio a multiplies the
    sensor's variance gain·light + sigma² and, as in `JPEG`, the squares of the file's steps.

    gain : signal units per count; sigma : read noise, both on a sensor whose white is 1 (Brooks et
    al. draw gains from 0.0001 to 0.012, which come with a sigma of 0.0001 to 0.015); smoothing :
    standard deviation in pixels of the Gaussian for luma, for chroma it is three times as wide;
    quality : of the JPEG file, 100 if the picture is not compressed.
    """

    gain: Level = field(metadata=number("the sensor's gain"))
    sigma: Level = field(metadata=number("the sensor's read noise"))
    smoothing: Level = field(
        default=0.0, metadata=number("the width of the camera's smoothing", highest=10.0)
    )
    quality: Level = field(
        default=100.0, metadata=number("the JPEG quality", lowest=1.0, highest=100.0)
    )
    family: ClassVar[str] = "camera"
    label: ClassVar[str] = "Camera"
    examples: ClassVar[tuple[str, ...]] = (
        "camera:0.0002,0.0005",
        "camera:0.0002,0.0005,0.6",
        "camera:0.0001-0.012,0.0001-0.015,0-1.2,60-100",
    )
    closed: ClassVar[bool] = False
    white: ClassVar[bool] = False

    @property
    def taylor_order(self) -> float:  # type: ignore[override]  # JPEG is not smooth
        return 1 if self.quality == 100 else 0

    def variance(self, x: T) -> T:
        sensor, weights = self._sensor, _weights(fixed(self.smoothing))
        return _in_torch(lambda v: _propagated(v, sensor, weights), x)

    def scaled(self, ratio: Ratio) -> Camera:
        sensor, file = self._sensor.scaled(ratio), self._file(colour=False).scaled(ratio)
        return Camera(sensor.gain, sensor.sigma, self.smoothing, file.quality)

    def sample(self, x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        return self._stored(x + self._noise(x, 1.0, generator), generator).to(x.dtype)

    def pair(
        self, x: torch.Tensor, generator: torch.Generator
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Two pictures of the scene `x`: the camera's, and the same without noise and JPEG.

        Both have lost the details that demosaicing and smoothing take. This is the pair to learn
        from if `x` is sharper than a camera's pictures: rendered, or reduced from a larger one.
        """
        developed = self._developed(x, 1.0, generator)
        noisy, clean = (_smoothed(y, self._kernels, _is_colour(x)) for y in developed)
        return self._stored(noisy, generator).to(x.dtype), clean.to(x.dtype)

    def accumulate(
        self, s: torch.Tensor, ratio: float, generator: torch.Generator
    ) -> tuple[torch.Tensor, torch.Tensor]:
        state = s + self._noise(s, ratio - 1, generator)
        if self.taylor_order == 0:
            state, _ = self._file(_is_colour(s)).accumulate(state, ratio, generator)
        state = state.to(s.dtype)
        return state, state - s

    def over(self, ndim: int) -> Camera:
        if ndim != 2:
            raise HushError(f"camera noise needs images, with 2 axes of space, not {ndim}")
        return self

    def autocorrelation(self, radius: int, ndim: int = 2) -> np.ndarray:
        """That of luma, where the signal is gray and half of full range."""
        import torch

        self.over(ndim)
        gray = torch.full((3,), 0.5, dtype=torch.float64)
        sensed = self._sensor.variance(_light(_untoned(gray))).numpy()
        unsmoothed = np.einsum("m,mijyx,i,j->yx", sensed, _correlations(), _LUMA, _LUMA)
        kernel, reach = gaussian_kernel(fixed(self.smoothing)), len(unsmoothed) // 2
        smoothing = kernel_correlation(kernel, kernel, radius + reach)
        shifted = np.lib.stride_tricks.sliding_window_view(smoothing, len(unsmoothed))
        lags = shifted @ unsmoothed @ shifted.T
        return lags / lags[radius, radius]

    @property
    def _sensor(self) -> PoissonGaussian:
        return PoissonGaussian(fixed(self.gain), fixed(self.sigma))

    @property
    def _kernels(self) -> tuple[np.ndarray, np.ndarray]:
        return _kernels(fixed(self.smoothing))

    def _file(self, colour: bool) -> JPEG:
        return JPEG(fixed(self.quality), colour)

    def _stored(self, y: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        return self._file(_is_colour(y)).sample(y, generator) if self.taylor_order == 0 else y

    def _noise(self, x: torch.Tensor, ratio: float, generator: torch.Generator) -> torch.Tensor:
        noisy, clean = self._developed(x, ratio, generator)
        return _smoothed(noisy - clean, self._kernels, _is_colour(x))

    def _developed(
        self, x: torch.Tensor, ratio: float, generator: torch.Generator
    ) -> Sequence[torch.Tensor]:
        """The pictures of counts with `ratio` times the variance, and of the light itself.

        With colours first and, for the smoothing, a margin. There the scene is as at its border, so
        that borders have no seam.
        """
        import torch

        self._in_space(x.ndim)
        around = padded(_planes(wide(x)), _MALVAR_REACH + len(self._kernels[1]) // 2, 2)
        mosaic = _Mosaic.drawn(around[0], generator)
        light = mosaic.pick(*_light(_untoned(around)))
        counts = self._sensor.scaled(ratio).sample(light, generator)
        return _toned(_linear(torch.stack([counts, light]), mosaic)).unbind(1)


@dataclass(frozen=True)
class _Mosaic:
    """Where the colour filters are: red in `rows` and `columns`, blue in neither, else green."""

    rows: torch.Tensor  # (…, H, 1)
    columns: torch.Tensor  # (…, 1, W)

    @classmethod
    def drawn(cls, x: torch.Tensor, generator: torch.Generator) -> _Mosaic:
        """A mosaic for every plane of `x` ``(…, H, W)``, each with its own first pixel."""
        import torch

        *pictures, height, width = x.shape
        first = torch.randint(2, (2, *pictures), generator=generator, device=generator.device)
        lines = first.to(x.device)[..., None]
        rows, columns = (
            (torch.arange(n, device=x.device) + line) % 2 == 0
            for n, line in zip((height, width), lines, strict=True)
        )
        return cls(rows[..., None], columns[..., None, :])

    def pick(self, red: torch.Tensor, green: torch.Tensor, blue: torch.Tensor) -> torch.Tensor:
        """Each pixel's own colour."""
        return red.where(self.rows & self.columns, green.where(self.rows | self.columns, blue))

    def inner(self, border: int) -> _Mosaic:
        here = slice(border, -border)
        return _Mosaic(self.rows[..., here, :], self.columns[..., here])


def _is_colour(x: Any) -> bool:
    return x.ndim > 2 and x.shape[-3] == 3


def _planes(x: torch.Tensor) -> torch.Tensor:
    """Red, green and blue along the first axis; of a gray scene they are equal."""
    return x.movedim(-3, 0) if _is_colour(x) else x.expand(3, *x.shape)


def _mixed(matrix: np.ndarray, planes: torch.Tensor) -> torch.Tensor:
    """`matrix` over the first axis."""
    import torch

    return torch.tensordot(torch.as_tensor(matrix).to(planes), planes, 1)


def _light(linear: torch.Tensor) -> torch.Tensor:
    """The light behind red, green and blue filters."""
    return _mixed(_SENSOR / _BALANCE[:, None], linear)


def _linear(raw: torch.Tensor, mosaic: _Mosaic) -> torch.Tensor:
    """The linear picture ``(3, …, H − 4, W − 4)`` of raw values ``(…, H, W)``."""
    balanced = mosaic.pick(*(gain * raw for gain in _BALANCE.tolist()))
    return _mixed(np.linalg.inv(_SENSOR), _demosaiced(balanced, mosaic))


def _demosaiced(raw: torch.Tensor, mosaic: _Mosaic) -> torch.Tensor:
    import torch
    import torch.nn.functional as F

    filters = torch.tensor(_MALVAR, dtype=raw.dtype, device=raw.device)[:, None] / 16
    found = F.conv2d(raw.reshape(-1, 1, *raw.shape[-2:]), filters)
    found = found.movedim(1, 0).reshape(4, *raw.shape[:-2], *found.shape[-2:])
    green, in_rows, in_columns, opposite = found
    own = raw[..., _MALVAR_REACH:-_MALVAR_REACH, _MALVAR_REACH:-_MALVAR_REACH]
    inner = mosaic.inner(_MALVAR_REACH)
    red_at_green = in_rows.where(inner.rows, in_columns)
    blue_at_green = in_columns.where(inner.rows, in_rows)
    return torch.stack(
        [
            inner.pick(own, red_at_green, opposite),
            inner.pick(green, own, green),
            inner.pick(opposite, blue_at_green, own),
        ]
    )


def _toned(light: torch.Tensor) -> torch.Tensor:
    t = light.clamp(0, 1) ** (1 / _GAMMA)
    return t * t * (3 - 2 * t)


def _untoned(y: torch.Tensor) -> torch.Tensor:
    return (0.5 - ((1 - 2 * y.clamp(0, 1)).asin() / 3).sin()) ** _GAMMA


def _tone_slope(light: torch.Tensor) -> torch.Tensor:
    t = light.clamp(_DARKEST, 1) ** (1 / _GAMMA)
    return 6 / _GAMMA * (1 - t) * t ** (2 - _GAMMA)


def _kernels(width: float) -> tuple[np.ndarray, np.ndarray]:
    """Those that smooth luma and chroma."""
    return gaussian_kernel(width), gaussian_kernel(_CHROMA_WIDTH * width)


def _smoothed(
    planes: torch.Tensor, kernels: tuple[np.ndarray, np.ndarray], colour: bool
) -> torch.Tensor:
    """The picture ``(…, 3, H, W)``, or its luma ``(…, H, W)``, of wider planes, colours first."""
    fine, coarse = kernels
    luma = _mixed(_LUMA, planes)
    margin = (len(coarse) - len(fine)) // 2
    inner = luma[..., margin : luma.shape[-2] - margin, margin : luma.shape[-1] - margin]
    smooth = convolved(inner, fine, 2)
    return (smooth + convolved(planes - luma, coarse, 2)).movedim(0, -3) if colour else smooth


@functools.cache
def _correlations() -> np.ndarray:
    """What noise of variance 1 at the pixels of one colour is in the linear picture.

    ``(3, 3, 3, 9, 9)``: the covariance, averaged over the mosaic, of two colours (second and third
    axis) at lags of −4 to 4 pixels, for noise at the red, green and blue pixels (first axis).
    """
    import torch

    lag = 2 * _MALVAR_REACH
    side = 4 * lag  # a pixel's response, and no other within reach of the lags
    even = torch.arange(side) % 2 == 0
    pixels = torch.zeros((4, side, side), dtype=torch.float64)
    for i, at in enumerate(np.ndindex(2, 2)):
        pixels[(i, *(side // 2 + np.array(at)))] = 1
    responses = _linear(pixels, _Mosaic(even[:, None], even[None]))
    spectra = torch.fft.fft2(responses, (2 * side, 2 * side))
    power = torch.einsum("iqyx,jqyx->qijyx", spectra.conj(), spectra) / 4
    red, green, other_green, blue = torch.fft.ifft2(power).real.roll((lag, lag), (-2, -1))
    covariances = torch.stack([red, green + other_green, blue])
    return covariances[..., : 2 * lag + 1, : 2 * lag + 1].numpy()


@functools.lru_cache(maxsize=256)
def _weights(width: float) -> np.ndarray:
    """The parts of the sensor's variances in the picture's, per pair of slopes of the tone curve.

    ``(4, 3, 3, 3)``: red, green, blue and luma of the picture; the red, green and blue pixels; the
    two colours whose slopes they are multiplied by.
    """
    covariances = _correlations()
    # Each output is the colours' luma, smoothed by one kernel, and chroma, smoothed by the other.
    luma = np.tile(_LUMA, (4, 1))
    parts = [luma, np.eye(4, 3) - luma * (np.arange(4) < 3)[:, None]]
    total = np.zeros((4, 3, 3, 3))
    for (a, first), (b, second) in itertools.product(
        zip(parts, _kernels(width), strict=True), repeat=2
    ):
        lags = kernel_correlation(first, second, covariances.shape[-1] // 2)
        total += np.einsum("oi,oj,mijyx,y,x->omij", a, b, covariances, lags, lags, optimize=True)
    return total


def _propagated(x: torch.Tensor, sensor: PoissonGaussian, weights: np.ndarray) -> torch.Tensor:
    """The variance of the picture where the signal is `x` and the sensor's noise `sensor`."""
    linear = _untoned(_planes(x))
    sensed, slope = sensor.variance(_light(linear)), _tone_slope(linear)
    weights = weights[:3] if _is_colour(x) else weights[3:]
    # Term by term: large pictures do not need several times their memory.
    terms = (
        _mixed(weights[..., i, j], sensed) * (slope[i] * slope[j])
        for i, j in itertools.product(range(3), repeat=2)
    )
    total = functools.reduce(operator.add, terms)
    return total.movedim(0, -3) if _is_colour(x) else total[0]


def _in_torch(function: Callable[[torch.Tensor], torch.Tensor], x: Any) -> Any:
    """Apply a function of tensors to a number, an array or a tensor; returns the same type."""
    import torch

    if isinstance(x, torch.Tensor):
        return function(wide(x)).to(x.dtype)
    result = function(torch.as_tensor(np.asarray(x, np.float64))).numpy()
    return result.astype(x.dtype) if hasattr(x, "dtype") else float(result)

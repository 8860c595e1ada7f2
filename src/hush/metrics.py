"""How close a result is to a reference, and whether one result is closer than another.

PSNR and SSIM use the same convention everywhere: on 8 bits and floats within [0, 1], values clipped
to the full range, not rounded; on other data, the range of the reference (`extent`), not clipped;
SSIM with a Gaussian window of 11×11 with σ = 1.5. SNR, RMSE and PRD do not clip. SciPy and
scikit-image are imported inside the functions, so that importing this module stays fast.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hush import foreign
from hush.errors import HushError
from hush.record import full_range

SSIM_WINDOW = 11


@dataclass(frozen=True)
class Range:
    """The range of values that scores take, from `low` to `high`.

    of : whose it is, in words; clipped : values are clipped to it first.
    """

    low: float
    high: float
    of: str
    clipped: bool

    @property
    def width(self) -> float:
        """From the lowest to the highest value: 255 of 8 bits."""
        return self.high - self.low


def extent(reference: np.ndarray, full: float | None = None) -> Range:
    """The range of a reference: that of 8 bits, 1 of floats within [0, 1], else what it spans.

    full : the highest value of 8 bits or fewer, if not that of the type. An array of one value has
    the range of its type.
    """
    values = reference if reference.dtype.kind in "iu" else reference[np.isfinite(reference)]
    low, high = (float(values.min()), float(values.max())) if values.size else (0.0, 0.0)
    kind, top = reference.dtype.kind, full_range(reference.dtype)
    if kind in "iu" and reference.dtype.itemsize == 1:
        return Range(0.0, top if full is None else full, f"that of {reference.dtype.name}", True)
    if (low >= 0 and high <= 1 and kind == "f") or not low < high:
        return Range(0.0, top, f"that of {'floats' if kind == 'f' else reference.dtype.name}", True)
    return Range(low, high, "what the reference spans", False)


def psnr(
    a: np.ndarray, b: np.ndarray, data_range: float | None = None, clip: bool | None = None
) -> float:
    """Peak signal-to-noise ratio of `a` against the reference `b`, in dB.

    Both have the same shape, and are arrays, lists, or of another package (`hush.foreign`).
    Elements that are not finite in either are ignored. Equal arrays give infinity.

    data_range : by default 255 for uint8, 1 for floats within [0, 1], and for others the
        reference's highest value less its lowest. clip : values to ``[0, data_range]``; by default,
        unless that is what the reference spans.
    """
    a, b = _values(a), _values(b)
    data_range, clip = _range(a, b, data_range, clip)
    a, b, finite = _aligned(a, b, data_range if clip else None)
    if not finite.any():
        raise HushError("no pixel is finite in both images; there is nothing to compare")
    error = float(np.mean((a[finite] - b[finite]) ** 2))
    return float(10 * np.log10(data_range**2 / error)) if error else float("inf")


def ssim(
    a: np.ndarray,
    b: np.ndarray,
    data_range: float | None = None,
    clip: bool | None = None,
    channel_axis: int | None = 0,
) -> float:
    """Structural similarity of ``(C, H, W)`` images, the mean over channels.

    `data_range` and `clip` are as for `psnr`. ``channel_axis=None`` takes ``(H, W)``. Pixels that
    are not finite in either image count as equal. Raises `HushError` if a side is shorter than the
    window's 11 pixels.
    """
    from skimage.metrics import structural_similarity

    a, b = _values(a), _values(b)
    data_range, clip = _range(a, b, data_range, clip)
    a, b, finite = _aligned(a, b, data_range if clip else None)
    sides = np.delete(a.shape, channel_axis) if channel_axis is not None else a.shape
    if min(sides) < SSIM_WINDOW:
        raise HushError(
            f"SSIM needs at least {SSIM_WINDOW}×{SSIM_WINDOW} pixels, "
            f"but this image has {'×'.join(map(str, sides))}"
        )
    return float(
        structural_similarity(
            np.where(finite, a, 0),
            np.where(finite, b, 0),
            data_range=data_range,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
            channel_axis=channel_axis,
        )
    )


def snr(a: np.ndarray, b: np.ndarray) -> float:
    """Power of the reference `b` about its mean over the power of ``a - b``, in dB.

    Elements that are not finite in either are ignored. Equal arrays give infinity; it is NaN if
    the reference is constant, or nothing can be compared.
    """
    error, power = _errors(a, b)
    if not power > 0:
        return float("nan")
    return float(10 * np.log10(power / error)) if error else float("inf")


def rmse(a: np.ndarray, b: np.ndarray) -> float:
    """Root of the mean squared error, in the unit of the data; NaN if nothing can be compared."""
    return float(np.sqrt(_errors(a, b)[0]))


def prd(a: np.ndarray, b: np.ndarray) -> float:
    """RMSE in percent of the reference's rms about its mean (percentage rms difference)."""
    error, power = _errors(a, b)
    return float(100 * np.sqrt(error / power)) if power > 0 else float("nan")


def _errors(a: np.ndarray, b: np.ndarray) -> tuple[float, float]:
    """The mean squared error of `a`, and the variance of `b`."""
    a, b, finite = _aligned(a, b, None)
    if not finite.any():
        return float("nan"), float("nan")
    return float(np.mean((a[finite] - b[finite]) ** 2)), float(np.var(b[finite]))


def agreement(a: np.ndarray, b: np.ndarray) -> dict[str, float]:
    """Of sets ``(D, N)`` and ``(D, M)`` of elements: how many of one are in the other.

    precision : the share of the different elements of `a` that are in `b`; recall : of those of `b`
    that are in `a`. NaN for a set without elements.
    """
    one, other = ({x.tobytes() for x in np.ascontiguousarray(y.T)} for y in (a, b))
    both = len(one & other)
    return {
        "precision": both / len(one) if one else float("nan"),
        "recall": both / len(other) if other else float("nan"),
    }


def mean_score(values: Sequence[float]) -> float:
    """The mean over items, without those where a score is not defined; NaN if there is none."""
    known = [v for v in values if not np.isnan(v)]
    return float(np.mean(known)) if known else float("nan")


def fit_gain_offset(a: np.ndarray, b: np.ndarray) -> tuple[float, float]:
    """The gain and offset that minimise the squared error of ``gain * a + offset`` to `b`.

    Elements that are not finite in either are ignored; for a constant `a` the gain is 1.
    """
    a, b, finite = _aligned(a, b, None)
    if not finite.any():
        return 1.0, 0.0
    x, y = a[finite], b[finite]
    x_mean, y_mean = float(x.mean()), float(y.mean())
    x -= x_mean
    power = float(x @ x)
    gain = float(x @ (y - y_mean)) / power if power else 1.0
    return gain, y_mean - gain * x_mean


def paired_p_value(a: Sequence[float] | np.ndarray, b: Sequence[float] | np.ndarray) -> float:
    """Two-sided p-value of "`a` and `b` do not differ"; `a[i]` and `b[i]` are one sample.

    Wilcoxon's signed-rank test; below six pairs, where it cannot reach 0.05, Student's
    paired test. It is 1 for fewer than two pairs, or without any difference.
    """
    from scipy import stats

    difference = np.asarray(a, dtype=np.float64) - np.asarray(b, dtype=np.float64)
    difference = difference[np.isfinite(difference)]
    if len(difference) < 2 or not difference.any():
        return 1.0
    if len(difference) >= 6:
        return float(stats.wilcoxon(difference).pvalue)
    if np.ptp(difference) <= 1e-9 * np.abs(difference).max():
        return 0.0  # the same difference every time: Student's statistic is infinite
    return float(stats.ttest_1samp(difference, 0.0).pvalue)


def _values(x: Any) -> np.ndarray:
    """The numbers of an array, a list or an object of another package; a mask stays, and values
    that mark missing ones are masked."""
    if isinstance(x, np.ma.MaskedArray):
        return x
    own = foreign.taken(x)
    if own is None:
        return np.asarray(x)
    return own.data if own.mask is None else np.ma.MaskedArray(own.data, ~own.mask)


def _range(
    a: np.ndarray, b: np.ndarray, data_range: float | None, clip: bool | None
) -> tuple[float, bool]:
    """The range of the reference `b`, or of `a` where only that is of integers; and whether to
    clip to it."""
    if data_range is not None:
        return data_range, clip is None or clip
    found = extent(a if b.dtype.kind == "f" and a.dtype.kind in "iu" else b)
    return found.width, found.clipped if clip is None else clip


def _aligned(
    a: np.ndarray, b: np.ndarray, data_range: float | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Both arrays as float64, clipped to ``[0, data_range]``, and where both are finite."""
    if a.shape != b.shape:
        raise HushError(
            f"only arrays of one shape can be compared, but these are {a.shape} and {b.shape}"
        )
    finite = np.isfinite(a) & np.isfinite(b)
    a, b = a.astype(np.float64), b.astype(np.float64)
    if data_range is not None:
        a, b = np.clip(a, 0, data_range), np.clip(b, 0, data_range)
    return a, b, finite

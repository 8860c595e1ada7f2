"""What a page shows of an image: the plane, the size, the gray values, the detail."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hush.kinds import to_batch
from hush.noise.process import Process
from hush.record import Record, full_range
from hush.report.pictures import Picture, encode, to_heat, to_pixels


@dataclass(frozen=True)
class Plane:
    """The part of a record that a page shows.

    index : in the batch; channels : those shown, one or three; notes : sentences on what is not
    shown.
    """

    index: int
    channels: slice
    notes: tuple[str, ...]


def choose_plane(record: Record, index: int = 0, channel: int | None = None) -> Plane:
    """The plane to show: all colours of RGB, otherwise one channel."""
    batch = to_batch(record)
    n, c = len(batch), len(batch.data[0])
    colour = "S" in record.axes and c in (3, 4)  # RGB, and RGB with alpha
    channel = channel or 0
    notes = []
    if n > 1:
        notes.append(f"plane {index + 1} of {n} is shown")
    if c > 1 and not colour:
        notes.append(f"channel {channel + 1} of {c} is shown")
    return Plane(index, slice(0, 3) if colour else slice(channel, channel + 1), tuple(notes))


def shrink(x: np.ndarray, factor: int, scale: float | None = None) -> NDArray[np.float32]:
    """Means over blocks of ``factor`` x ``factor`` of ``(C, H, W)``, in units of full range.

    scale : the stored value that means full range, by default `full_range` of the dtype.
    Works in bands of rows, to avoid a float copy of a large image. NaN and Inf are left out of
    the means; a block without finite values becomes NaN.
    """
    scale = full_range(x.dtype) if scale is None else scale
    if factor == 1:
        return x.astype(np.float32) / np.float32(scale)
    c, h, w = x.shape[0], max(x.shape[1] // factor, 1), max(x.shape[2] // factor, 1)
    fy, fx = min(factor, x.shape[1]), min(factor, x.shape[2])
    out = np.empty((c, h, w), np.float32)
    for top in range(0, h, 64):
        rows = min(64, h - top)
        band = x[:, top * fy : (top + rows) * fy, : w * fx].astype(np.float32)
        band = band.reshape(c, rows, fy, w, fx)
        if np.isfinite(band).all():
            out[:, top : top + rows] = band.mean((2, 4))
            continue
        finite = np.isfinite(band)
        count = finite.sum((2, 4))
        sums = np.where(finite, band, 0).sum((2, 4))
        out[:, top : top + rows] = np.where(count, sums / np.maximum(count, 1), np.nan)
    out /= scale
    return out


def shrink_factor(height: int, width: int, budget: float) -> int:
    """Smallest whole factor that brings height x width down to `budget` samples."""
    return max(1, math.ceil(math.sqrt(height * width / budget)))


def display_window(x: np.ndarray) -> tuple[float, float]:
    """The values shown as black and as white.

    The full range if the picture fills much of it; otherwise the 0.1 to 99.9 percentiles of `x`
    with a margin, for 12-bit data in 16-bit files or dim micrographs.
    """
    finite = x[np.isfinite(x)]
    if not finite.size:
        return 0.0, 1.0
    low, high = (float(q) for q in np.percentile(finite, [0.1, 99.9]))
    if low > -0.02 and high < 1.02 and high - low > 0.4:
        return 0.0, 1.0
    room = 0.03 * (high - low) or max(abs(high), 1e-6) * 0.5
    return low - room, high + room


def busiest(x: np.ndarray, share: tuple[float, float]) -> tuple[float, float]:
    """Top and left, as fractions, of the window of size `share` with the most detail.

    Square roots of gradients are summed, so that fine texture counts more than one strong edge.
    """
    plane = np.nan_to_num(x.mean(0))
    h, w = plane.shape
    activity = np.zeros_like(plane)
    activity[1:] += np.sqrt(np.abs(np.diff(plane, axis=0)))
    activity[:, 1:] += np.sqrt(np.abs(np.diff(plane, axis=1)))
    sizes = [max(1, round(s * n)) for s, n in zip(share, (h, w), strict=True)]
    starts = [
        np.unique(np.linspace(0, n - k, 9).round().astype(int))
        for n, k in zip((h, w), sizes, strict=True)
    ]
    spots = ((int(i), int(j)) for i in starts[0] for j in starts[1])
    i, j = max(spots, key=lambda s: float(activity[s[0] :, s[1] :][: sizes[0], : sizes[1]].sum()))
    return i / h, j / w


def detail(small: np.ndarray, height: int, width: int, side: int) -> tuple[slice, slice]:
    """The busiest part of an image, at most `side` wide; `small` is a small copy of the image."""
    h, w = min(side, height), min(side, width)
    top, left = busiest(small, (h / height, w / width))
    y, x = min(round(top * height), height - h), min(round(left * width), width - w)
    return slice(y, y + h), slice(x, x + w)


def mark(rows: slice, columns: slice, height: int, width: int) -> tuple[float, ...]:
    """The position of a part in the whole, as fractions: top, left, height, width."""
    h, w = rows.stop - rows.start, columns.stop - columns.start
    return rows.start / height, columns.start / width, h / height, w / width


@dataclass(frozen=True)
class Levels:
    """A map of the noise's level, and its lowest and highest σ in the data's units."""

    picture: Picture
    lowest: float
    highest: float


def levels(noise: Process, x: np.ndarray, like: Picture, scale: float) -> Levels:
    """The map of a process's levels, at the mean of an image ``(C, H, W)`` as stored.

    like : a picture of the image, which has the size of the map.
    """
    mean = float(np.mean(x, where=np.isfinite(x))) / scale
    variance = np.asarray(noise.variance(np.full(x.shape, mean, np.float32)))
    factor = max(1, round(x.shape[1] / like.height))
    small = shrink(variance.mean(axis=0, keepdims=True), factor, 1.0)
    sigma = scale * np.sqrt(np.maximum(small, 0))
    low, high = float(sigma.min()), float(sigma.max())
    return Levels(encode(to_heat(sigma, high or 1.0)), low, high)


@dataclass(frozen=True)
class Spread:
    """A map of the result's deviation, with its brightest value, units, and words."""

    picture: Picture
    most: float
    units: str
    tag: str
    caption: str


def spread(deviation: np.ndarray, factor: int, units: str, tag: str, caption: str) -> Spread:
    """The map of a deviation ``(C, H, W)`` in the data's units, one for all channels.

    Half a per cent of the values exceed its brightest.
    """
    whole = np.sqrt(np.mean(deviation**2, axis=0, keepdims=True))
    small = shrink(whole, factor, 1.0)
    seen = small[np.isfinite(small)]
    top = float(np.percentile(seen, 99.5)) if seen.size else 0.0
    return Spread(encode(to_heat(small, top or 1.0)), top, units, tag, caption)


@dataclass(frozen=True)
class Outline:
    """The outline of places in a picture as an SVG path, in its pixels."""

    path: str
    width: int
    height: int


def outline(places: np.ndarray, factor: int) -> Outline:
    """The outline of `places`, bool ``(H, W)``, in a picture smaller by `factor`."""
    from skimage.measure import approximate_polygon, find_contours

    small = shrink(places[None].astype(np.float32), factor, 1.0)[0] > 0
    h, w = small.shape
    lines = []
    for contour in find_contours(np.pad(small, 1).astype(np.float32), 0.5):
        points = np.clip(approximate_polygon(contour, 0.6) - 0.5, 0, (h, w))
        lines.append("M" + "L".join(f"{x:.4g} {y:.4g}" for y, x in points) + "Z")
    return Outline("".join(lines), w, h)


def thumbnail(x: np.ndarray, side: int, low: float, high: float) -> Picture:
    """A small picture of ``(C, H, W)`` in units of full range."""
    factor = max(1, math.ceil(max(x.shape[-2:]) / side))
    return encode(to_pixels(shrink(x, factor), low, high))

r"""An offset for each column of an image, as of detectors that are read out line by line.

The difference between neighbouring columns is measured in segments along them, as the mean of the
middle half of all pixels' differences, in which edges do not count. Offsets are those of the whole
line: they are the same in all segments, where a picture differs. So the scatter between segments is
the error of a difference, and offsets are there if the differences exceed it in most columns.
Besides, offsets of neighbours are not alike, so that differences alternate in sign; at the blurred
edge of a building that spans the picture they have the same sign.

The profile of a picture is then a random walk with these errors as steps, and the offsets are noise
on it. The posterior mean of the offsets solves a tridiagonal system, and their level is that of
greatest likelihood:

.. math:: \min_o \sum_j \frac{(d_j - o_{j+1} + o_j)^2}{e_j^2} + \sum_j \frac{o_j^2}{\sigma^2}.

So slow changes, which a picture has too, are left in as far as its segments differ. If only a few
lines have an offset, each of them has to stand out of both neighbours by far.
"""

from __future__ import annotations

import numpy as np

SEGMENTS, LEAST = 8, 8  #: number of segments along a line, and the fewest pixels in one
FEWEST = 3  #: segments that are needed
LINES = 16  #: the fewest lines
USED = 1024  #: pixels of a line that are used at most
#: least ratio of the differences' mean square to that of their errors, both without the highest
#: `OUT`: 5.2 in pictures whose lines are blurred edges, 2 in others; stripes of a tenth of the
#: noise's σ have 3.6 in 256 pixels
CLEAR, OUT = 3.0, 0.2
#: most correlation of neighbouring differences: it is −1/2 for white offsets, positive for edges
ALTERNATE = -0.1
SURE, NO_EDGES = 7.0, 0.2  #: the same for offsets that drift, whose differences have 0
FAR = 8.0  #: least offset of a lone line, in its errors and in the median of all lines
ALIKE = 0.5  #: least offset in any segment, relative to the mean
FREE, TIED = 1.0, 1e-6  #: standard deviations of lone lines' offsets and of all others
_LEVELS = np.geomspace(0.05, 1.3, 20)  #: searched, relative to that of differences alone


def column_offsets(plane: np.ndarray, sigma: float | None = None) -> np.ndarray | None:
    """The offset of each column of ``(H, W)``, NaN for unknown pixels; None if there are none.

    sigma : their standard deviation, if it is known that there are some.
    """
    height, width = plane.shape
    number = min(SEGMENTS, height // LEAST)
    if number < FEWEST or width < LINES:
        return None
    part = plane[:: -(-height // USED)]
    number = min(number, len(part) // LEAST)
    differences = middle_means(np.diff(part, axis=1), number)
    if not differences.any():
        return None
    mean, error = _combined(differences)
    if sigma is None:
        sort = _sort(differences)
        if sort == "none":
            lone = _lone(differences)
            return _posterior(mean, error, np.where(lone, FREE, TIED)) if lone.any() else None
        if sort == "white":
            alone = mean.std() / np.sqrt(2)
            sigma = float(max(alone * _LEVELS, key=lambda s: _likelihood(mean, error, s)))
        else:
            sigma = float(mean.cumsum().std())
    return _posterior(mean, error, sigma)


def middle_means(x: np.ndarray, number: int) -> np.ndarray:
    """Of each column, the mean of the middle half in segments ``(number, W)``; of NaN, 0."""
    out = np.zeros((number, x.shape[1]))
    for segment, mean in zip(np.array_split(x, number), out, strict=True):
        ordered = np.sort(segment, axis=0)  # NaN come last
        known = np.count_nonzero(np.isfinite(ordered), axis=0)
        if known.min() == len(ordered):
            mean[:] = ordered[len(ordered) // 4 : len(ordered) - len(ordered) // 4].mean(axis=0)
            continue
        total = np.nan_to_num(ordered, posinf=0, neginf=0).cumsum(axis=0, dtype=np.float64)
        total = np.concatenate([np.zeros((1, x.shape[1])), total])
        first, last, at = known // 4, known - known // 4, np.arange(x.shape[1])
        mean[:] = (total[last, at] - total[first, at]) / np.maximum(last - first, 1)
    return out


def _sort(differences: np.ndarray) -> str:
    """``white`` or ``drifting`` offsets, by differences ``(segments, n)`` that are the same in all
    segments; ``none`` for others, and for edges, which have one sign."""
    number = len(differences)
    mean, error = differences.mean(axis=0), differences.var(axis=0, ddof=1) / number
    clear, least = _lower(mean**2), _lower(error)
    if clear <= CLEAR * least:
        return "none"
    most = 3 * 1.4826 * np.median(np.abs(mean))
    kept = np.clip(mean, -most, most)
    if not kept.any():  # most neighbours are the same, as in drawings
        return "none"
    alike = float(kept[1:] @ kept[:-1]) / float(kept @ kept)
    if alike < ALTERNATE:
        return "white"
    return "drifting" if clear > SURE * least and alike < NO_EDGES else "none"


def _lone(differences: np.ndarray) -> np.ndarray:
    """Lines inside that differ from both neighbours far more than others do, from both alike and in
    all segments alike."""
    before, after = differences[:, :-1], -differences[:, 1:]
    same = np.sign(before) == np.sign(after)
    own = np.where(same, np.sign(before) * np.minimum(np.abs(before), np.abs(after)), 0)
    mean, error = own.mean(axis=0), own.std(axis=0, ddof=1) / np.sqrt(len(own))
    usual = np.median(differences.std(axis=0, ddof=1) / np.sqrt(len(own)))
    others = np.median(np.abs(differences.mean(axis=0)))
    far = np.abs(mean) > FAR * np.maximum(np.maximum(error, usual), others)
    alike = (np.sign(mean) * own).min(axis=0) > ALIKE * np.abs(mean)
    level = np.abs((before - after).mean(axis=0)) < (1 - ALIKE) * np.abs(mean)
    found: np.ndarray = np.pad(far & alike & level & (usual > 0), 1)
    return found if found.mean() < OUT else np.zeros_like(found)


def _lower(x: np.ndarray) -> float:
    """The mean without the highest values."""
    return float(np.sort(x)[: max(1, round((1 - OUT) * len(x)))].mean())


def _combined(differences: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean over the segments, each weighted by how well it agrees with the others, and its variance
    in every column."""
    mean = differences.mean(axis=0)
    for _ in range(3):
        scatter = np.quantile((differences - mean) ** 2, 0.7, axis=1)
        weight = 1 / np.maximum(scatter, 0.1 * np.median(scatter) + 1e-12)
        weight /= weight.sum()
        mean = weight @ differences
    square = np.sum(weight**2)
    error = weight @ (differences - mean) ** 2 * square / (1 - square)
    # A few segments give a poor variance; that of most columns counts as one more of four.
    return mean, (3 * error + np.median(error)) / 4 + 1e-12


def _likelihood(mean: np.ndarray, error: np.ndarray, sigma: float) -> float:
    """Logarithm of the likelihood of the differences, if offsets have this standard deviation."""
    from scipy.linalg import cho_solve_banded, cholesky_banded

    bands = np.zeros((2, len(mean)))
    bands[0], bands[1, :-1] = 2 * sigma**2 + error, -(sigma**2)
    root = cholesky_banded(bands, lower=True)
    return -0.5 * float(mean @ cho_solve_banded((root, True), mean)) - float(np.log(root[0]).sum())


def _posterior(mean: np.ndarray, error: np.ndarray, sigma: float | np.ndarray) -> np.ndarray:
    """The offsets, with mean 0."""
    from scipy.linalg import solveh_banded

    bands, right = np.zeros((2, len(mean) + 1)), np.zeros(len(mean) + 1)
    bands[0] = 1 / sigma**2
    bands[0, :-1] += 1 / error
    bands[0, 1:] += 1 / error
    bands[1, :-1] = -1 / error
    right[:-1] -= mean / error
    right[1:] += mean / error
    offsets: np.ndarray = solveh_banded(bands, right, lower=True)
    return offsets - offsets.mean()

"""What diffusion MRI is used for, and how well denoising keeps it.

Tensors and their fractional anisotropy (FA), signal- and contrast-to-noise ratio in the corpus
callosum, and prediction of directions that were held out. A series is ``(C, Z, Y, X)`` in units in
which 0 is no signal; directions ``(C, 3)`` have the components x, y, z along the axes X, Y, Z.
Tensors, masks and spherical harmonics are DIPY's, of the extra ``diffusion``.

Prediction is the judge: smoothing raises SNR, CNR and the fit of what was smoothed, but not the
agreement with directions that no method saw.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np

from hush.errors import HushError, missing_package
from hush.noise.magnitude import Rician

B0 = 50.0  #: volumes with at most this b-value, in s/mm², count as b = 0
LEAST = 6  #: directions that a tensor needs
#: colour FA of the corpus callosum: least and most of red, green and blue (DIPY's example)
CALLOSUM = ((0.6, 1.0), (0.0, 0.1), (0.0, 0.1))
WHITE = 0.5  #: least FA of white matter, where there is no corpus callosum
FEW = 10  #: voxels of a region of signal, and
NOISE_FEW = 100  #: of one of noise, that are too few
DILATIONS = 10  #: of the brain mask, outside which there is only noise
ZEROED = 0.1  #: share of zeros from which on a voxel counts as zeroed, not as measured
EVERY, ENOUGH = 5, 20  #: every 5th direction of shells with 20 or more is held out
ORDER = 4  #: of spherical harmonics
SMOOTHED = 3.0  #: voxels, Gaussian σ that noise maps are smoothed by
LOW_PASS = 2.0  #: voxels, Gaussian σ of an image's low-passed version
SIDE, REGION = 16, 256  #: voxels: side of regions, and the fewest of a region


# -- brain, tensor, regions -------------------------------------------------------------------


def brain_mask(volume: np.ndarray, adjacent: bool = True) -> np.ndarray:
    """The brain in a volume ``(Z, Y, X)`` at b = 0, bool, by DIPY's ``median_otsu``.

    adjacent : whether slices are neighbours; otherwise each is filtered on its own.
    """
    median_otsu = _dipy("segment.mask").median_otsu
    parts = [volume] if adjacent else [plane[None] for plane in volume]
    with _quiet():
        found = [
            median_otsu(np.asarray(part, np.float64), median_radius=2, numpass=2)[1]
            for part in parts
        ]
    mask: np.ndarray = np.concatenate(found).astype(bool)
    return mask


@dataclass(frozen=True)
class Tensor:
    """Diffusion tensors.

    fa : fractional anisotropy ``(Z, Y, X)``, 0 outside the mask. colour : the main direction's
    absolute x, y and z components times FA ``(Z, Y, X, 3)``. md : mean diffusivity in mm²/s.
    """

    fa: np.ndarray
    colour: np.ndarray
    md: np.ndarray


def fit_tensor(
    data: np.ndarray, bvals: np.ndarray, bvecs: np.ndarray, mask: np.ndarray, b0: float = B0
) -> Tensor:
    """Fit a tensor to every voxel of a series in a mask, by weighted least squares.

    b0 : the highest b-value that counts as 0. `HushError` for fewer than 6 directions or no b = 0.
    """
    bvals, bvecs = _gradients(data, bvals, bvecs)
    weak = bvals <= b0
    if not weak.any() or _independent(bvecs[~weak]) < LEAST:
        raise HushError(f"a tensor needs a volume at b = 0 and {LEAST} directions")
    gradients, dti = _dipy("core.gradients"), _dipy("reconst.dti")
    with _quiet():
        table = gradients.gradient_table(
            np.where(weak, 0.0, bvals), bvecs=bvecs * ~weak[:, None], b0_threshold=0
        )
        found = dti.TensorModel(table, fit_method="WLS").fit(data[:, mask].T.astype(np.float64))
        inside = np.clip(np.nan_to_num(np.asarray(found.fa)), 0, 1)
        fa, md, colour = np.zeros(mask.shape), np.zeros(mask.shape), np.zeros((*mask.shape, 3))
        fa[mask], md[mask] = inside, np.nan_to_num(np.asarray(found.md))
        colour[mask] = dti.color_fa(inside, found.evecs)
    return Tensor(fa, colour, md)


def corpus_callosum(
    tensor: Tensor, mask: np.ndarray, order: Sequence[int] = (0, 1, 2)
) -> np.ndarray:
    """The corpus callosum ``(Z, Y, X)``, bool, by DIPY's example "SNR in the corpus callosum".

    Voxels in the middle half of the brain's extent along every axis with a colour FA within
    `CALLOSUM`. order : which of the components x, y, z is left–right, back–front, feet–head.
    """
    box = np.zeros(mask.shape, bool)
    if mask.any():
        box[_middle(mask)] = True
    for component, (low, high) in zip(order, CALLOSUM, strict=True):
        box &= (tensor.colour[..., component] >= low) & (tensor.colour[..., component] <= high)
    return box


def anatomical_order(affine: np.ndarray | None) -> tuple[int, ...]:
    """Which of a file's axes X, Y, Z is left–right, back–front, feet–head; their order if unknown.

    affine : ``(4, 4)``, from indices to millimetres.
    """
    from itertools import permutations

    if affine is None:
        return (0, 1, 2)
    share = np.abs(np.asarray(affine, np.float64)[:3, :3])
    share = share / np.maximum(np.linalg.norm(share, axis=0), 1e-12)
    orders = permutations(range(3))
    return max(orders, key=lambda order: sum(share[k, order[k]] for k in range(3)))


@dataclass(frozen=True)
class Regions:
    """Where signal and noise are measured.

    signal : bool ``(Z, Y, X)``; noise : bool ``(C, Z, Y, X)``, values that were measured outside
    the head; name : of the signal's region, in words; missing : why there is no SNR, if so.
    """

    signal: np.ndarray
    noise: np.ndarray
    name: str
    missing: str = ""


def regions(
    data: np.ndarray, mask: np.ndarray, tensor: Tensor, order: Sequence[int] = (0, 1, 2)
) -> Regions:
    """The regions of a series before denoising, used unchanged afterwards.

    Signal: the corpus callosum, or without one white matter, the brain's voxels with FA of 0.5 and
    more. Noise: outside the brain mask dilated 10 times, without exact zeros, which nobody
    measured, and without voxels that are zero in more than 10 % of the volumes.
    """
    from scipy.ndimage import binary_dilation

    signal, name = corpus_callosum(tensor, mask, order), "corpus callosum"
    if signal.sum() < FEW:
        signal, name = mask & (tensor.fa >= WHITE), f"white matter, FA of {WHITE} and more"
    outside = ~binary_dilation(mask, iterations=DILATIONS)
    zero = data == 0
    noise = ~zero & (outside & (zero.mean(axis=0) <= ZEROED))
    missing = ""
    if signal.sum() < FEW:
        missing = "there is no corpus callosum and no white matter"
    elif noise[0].sum() < NOISE_FEW:
        zeroed = outside.sum() >= NOISE_FEW
        missing = (
            "the background is set to zero" if zeroed else "there is no background around the head"
        )
    return Regions(signal, noise, name, missing)


def snr(data: np.ndarray, where: Regions) -> np.ndarray:
    """Mean signal over the noise's standard deviation, for each volume ``(C,)``.

    The noise is that of all volumes together, as in DIPY's example. NaN where there is no region,
    or where denoising erased the background.
    """
    return _signal(data, where) / _noise(data, where)[1]


def cnr(data: np.ndarray, where: Regions) -> np.ndarray:
    """Mean signal less the background's mean, over the noise's deviation; as `snr`."""
    mean, deviation = _noise(data, where)
    return (_signal(data, where) - mean) / deviation


def fa_change(before: Tensor, after: Tensor, mask: np.ndarray) -> float:
    """Mean absolute difference of two FA maps inside a mask."""
    return float(np.abs(after.fa - before.fa)[mask].mean())


# -- held-out prediction -----------------------------------------------------------------------


def held_out(shells: Sequence[Sequence[int]]) -> list[int]:
    """Every 5th volume of every weighted shell with 20 or more, beginning with its first."""
    return sorted(i for shell in shells if len(shell) >= ENOUGH for i in list(shell)[::EVERY])


def order_for(directions: int) -> int:
    """Order of the harmonics for so many directions: 4, or less if these are few.

    Harmonics have at most two thirds as many coefficients as there are directions, so that a plain
    least-squares fit, without regularisation, is determined.
    """
    orders = (o for o in range(ORDER, 0, -2) if 3 * _coefficients(o) <= 2 * directions)
    return next(orders, 0)


def harmonics(bvecs: np.ndarray, order: int = ORDER) -> np.ndarray:
    """Real symmetric spherical harmonics at directions ``(n, 3)``: ``(n, coefficients)``."""
    sphere, shm = _dipy("core.geometry"), _dipy("reconst.shm")
    _, theta, phi = sphere.cart2sphere(*np.asarray(bvecs, np.float64).T)
    with _quiet():
        basis: np.ndarray = shm.real_sh_descoteaux(order, theta, phi, legacy=False)[0]
    return basis


def predict(
    values: np.ndarray, bvecs: np.ndarray, at: np.ndarray, order: int | None = None
) -> np.ndarray:
    """Values ``(m, V)`` of a shell in directions `at` ``(m, 3)``, from ``(n, V)`` in others.

    Least-squares fit of spherical harmonics; order : by default that of `order_for`.
    """
    order = order_for(len(values)) if order is None else order
    map_ = harmonics(at, order) @ np.linalg.pinv(harmonics(bvecs, order))
    predicted: np.ndarray = map_ @ np.asarray(values, np.float64)
    return predicted


def prediction_errors(
    denoised: np.ndarray, bvecs: np.ndarray, raw: np.ndarray, at: np.ndarray, mask: np.ndarray
) -> np.ndarray:
    """Mean squared error of each held-out volume of a shell inside a mask ``(m,)``.

    denoised : the shell's other volumes ``(n, Z, Y, X)`` in directions `bvecs`; raw : the held-out
    ones, as measured, ``(m, Z, Y, X)`` in directions `at`.
    """
    predicted = predict(denoised[:, mask], bvecs, at)
    errors: np.ndarray = np.mean((predicted - raw[:, mask]) ** 2, axis=1)
    return errors


@dataclass(frozen=True)
class Noise:
    """The noise of a shell, from what spherical harmonics leave of its raw volumes.

    variance : of the magnitudes, the mean inside the mask. sigma : standard deviation of the real
    and imaginary part ``(Z, Y, X)``, smooth. lags : correlation with the next voxel along Z, Y, X.
    """

    variance: float
    sigma: np.ndarray
    lags: tuple[float, float, float]


def shell_noise(data: np.ndarray, bvecs: np.ndarray, mask: np.ndarray, adjacent: bool) -> Noise:
    """The noise of a shell's raw volumes ``(n, Z, Y, X)``; `HushError` for too few of them."""
    order = order_for(len(data))
    freedom = len(data) - _coefficients(order)
    if freedom < 1:
        raise HushError("the noise of a shell is measured from two directions or more")
    values = data[:, mask].astype(np.float64)
    left = values - predict(values, bvecs, bvecs, order)
    residual = np.zeros(data.shape, np.float32)
    residual[:, mask] = left
    variance = np.square(left).sum(axis=0) / freedom
    local, mean = np.zeros(mask.shape), np.zeros(mask.shape)
    local[mask], mean[mask] = variance, values.mean(axis=0)
    sigma = _complex_noise(
        low_passed(local, mask, adjacent, SMOOTHED), low_passed(mean, mask, adjacent, SMOOTHED)
    )
    lags = autocorrelation(residual, mask, adjacent)
    return Noise(float(variance.mean()), sigma * mask, lags)


# -- residuals ---------------------------------------------------------------------------------


def autocorrelation(
    residual: np.ndarray, mask: np.ndarray, adjacent: bool = True
) -> tuple[float, float, float]:
    """Correlation of residuals ``(C, Z, Y, X)`` with the next voxel along Z, Y and X in a mask.

    NaN where there is no residual, and along Z if slices are not adjacent.
    """
    steps = [
        tuple((slice(None),) * axis + (part,) for part in (slice(None, -1), slice(1, None)))
        for axis in range(3)
    ]
    both, powers = np.zeros(3), np.zeros((3, 2))
    for volume in residual:  # one by one, to save memory
        inside = np.where(mask, volume - volume[mask].mean(dtype=np.float64), 0.0)
        for axis, (first, second) in enumerate(steps):
            pairs = mask[first] & mask[second]
            a, b = inside[first][pairs], inside[second][pairs]
            both[axis] += a @ b
            powers[axis] += a @ a, b @ b
    if not adjacent:
        both[0] = np.nan
    with np.errstate(invalid="ignore", divide="ignore"):
        z, y, x = both / np.sqrt(powers.prod(axis=1))
    return float(z), float(y), float(x)


def low_passed(
    image: np.ndarray, mask: np.ndarray, adjacent: bool = True, sigma: float = LOW_PASS
) -> np.ndarray:
    """An image ``(Z, Y, X)``, smoothed inside a mask by a Gaussian of σ voxels; 0 outside it."""
    from scipy.ndimage import gaussian_filter

    widths = (sigma if adjacent else 0.0, sigma, sigma)
    weight = gaussian_filter(mask.astype(np.float64), widths)
    smooth = gaussian_filter(np.where(mask, image, 0.0).astype(np.float64), widths)
    return np.where(mask, smooth / np.maximum(weight, 1e-9), 0.0)


def expected_bias(denoised: np.ndarray, sigma: np.ndarray) -> np.ndarray:
    """By how much Rician noise of σ `sigma` raises the mean at denoised amplitudes, any shape."""
    bias: np.ndarray = Rician(sigma).bias(np.maximum(denoised, 0).astype(np.float64))
    return bias


def bias_share(removed: np.ndarray, bias: np.ndarray) -> float:
    """The share of the expected Rician bias that was removed, 0 to 1, by least squares.

    Some methods remove the bias, others keep it: both are right, and neither removes anatomy.
    """
    power = float(np.sum(bias * bias))
    return float(np.clip(np.sum(removed * bias) / power, 0, 1)) if power > 0 else 0.0


def anatomy_correlation(residual: np.ndarray, image: np.ndarray) -> np.ndarray:
    """Correlation of each volume's residual ``(C, V)`` with an image ``(V,)``: ``(C,)``.

    The voxels are those of the brain, the residual is less the removed bias, and the image is
    low-passed. NaN without a residual.
    """
    a = residual - residual.mean(axis=1, keepdims=True, dtype=np.float64)
    b = image - image.mean()
    with np.errstate(invalid="ignore", divide="ignore"):
        correlations: np.ndarray = (a @ b) / np.sqrt((a * a).sum(axis=1) * (b @ b))
    return correlations


def blocks(mask: np.ndarray) -> list[np.ndarray]:
    """Regions of a mask, cubes of 16 voxels, as indices into ``x[mask]``.

    Cubes with fewer than 256 voxels in the mask are left out; if all have fewer, the mask is one
    region.
    """
    where = np.argwhere(mask)
    _, labels = np.unique(where // SIDE, axis=0, return_inverse=True)
    labels = np.ravel(labels)
    found = [np.flatnonzero(labels == k) for k in range(labels.max(initial=-1) + 1)]
    large = [region for region in found if len(region) >= REGION]
    return large or [np.arange(len(where))] * bool(len(where))


def shifts(before: np.ndarray, after: np.ndarray, bias: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """By how much denoising shifted the mean of every region of `blocks`, in per cent.

    before, after, bias : ``(C, V)``, of the mask's voxels; the bias is the expected Rician one, of
    which the share that was removed is no shift.
    """
    regions_ = blocks(mask)
    means = [
        np.array([x.mean(axis=0, dtype=np.float64)[region].mean() for region in regions_])
        for x in (before, after, bias)
    ]
    removed = means[0] - means[1]
    left = removed - bias_share(removed, means[2]) * means[2]
    with np.errstate(invalid="ignore", divide="ignore"):
        percent: np.ndarray = -100 * left / means[0]
    return percent


# -- parts -------------------------------------------------------------------------------------


def _gradients(
    data: np.ndarray, bvals: np.ndarray, bvecs: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """b-values and unit directions, checked; a direction of b = 0 is 0."""
    bvals = np.asarray(bvals, np.float64).reshape(-1)
    bvecs = np.nan_to_num(np.asarray(bvecs, np.float64))
    if np.ndim(data) != 4 or len(bvals) != len(data) or bvecs.shape != (len(data), 3):
        raise HushError(
            f"{len(bvals)} b-values and directions of {bvecs.shape} do not fit a series of "
            f"{np.shape(data)}; give one of each for every volume (C, Z, Y, X)"
        )
    length = np.linalg.norm(bvecs, axis=1, keepdims=True)
    return bvals, np.divide(bvecs, length, out=np.zeros_like(bvecs), where=length > 0)


def _independent(bvecs: np.ndarray) -> int:
    """The number of a tensor's six elements that directions determine."""
    x, y, z = bvecs.T
    design = np.stack([x * x, y * y, z * z, x * y, x * z, y * z], axis=1)
    return int(np.linalg.matrix_rank(design, tol=1e-3)) if len(design) else 0


def _middle(mask: np.ndarray) -> tuple[slice, ...]:
    """The middle half of a mask's extent along every axis; all of an axis with few voxels."""
    parts = []
    for axis in range(mask.ndim):
        where = np.flatnonzero(mask.any(axis=tuple(a for a in range(mask.ndim) if a != axis)))
        low, high = int(where[0]), int(where[-1]) + 1
        quarter = (high - low) // 4
        parts.append(slice(low + quarter, high - quarter))
    return tuple(parts)


def _signal(data: np.ndarray, where: Regions) -> np.ndarray:
    if where.missing:
        return np.full(len(data), np.nan)
    mean: np.ndarray = data[:, where.signal].mean(axis=1, dtype=np.float64)
    return mean


def _noise(data: np.ndarray, where: Regions) -> tuple[float, float]:
    """Mean and deviation of the background; NaN where there is none, or where it was erased."""
    if where.missing:
        return float("nan"), float("nan")
    values = data[where.noise].astype(np.float64)
    deviation = float(values.std())
    if deviation == 0 or np.mean(values == 0) > 0.5:
        return float("nan"), float("nan")
    return float(values.mean()), deviation


def _coefficients(order: int) -> int:
    return (order + 1) * (order + 2) // 2


def _complex_noise(variance: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """σ of the complex noise from the variance and the mean of magnitudes (Koay and Basser)."""
    sigma = np.sqrt(np.maximum(variance, 0))
    for _ in range(10):
        law = Rician(sigma)
        share = law.variance(law.unbias(mean)) / np.maximum(sigma**2, 1e-30)
        sigma = np.sqrt(np.maximum(variance, 0) / np.maximum(share, 0.4))
    return sigma


def _dipy(module: str) -> Any:
    try:
        return import_module(f"dipy.{module}")
    except ImportError as error:
        raise missing_package("DIPY", "diffusion", what="diffusion MRI") from error


@contextmanager
def _quiet() -> Iterator[None]:
    """DIPY's remarks on its own defaults, and on voxels without signal, are left out."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        yield

r"""Noise in a JPEG file, by what the file says of its compression.

JPEG divides the cosine coefficients of 8×8 blocks by the steps of a table and rounds them. Fine
noise, whose coefficients are below half a step, is gone; chroma is often stored at half the
resolution, so that its noise is coarse. What is left is neither white nor of the level before, and
statistics of any blocks misread it. But the steps are in the file: the coefficients on the file's
own blocks say which level white noise had before, and compressing noise of this level with the same
steps says what became of it.

**Level before.** A coefficient :math:`z \sim N(0, \sigma^2)` rounded to steps q has the energy
:math:`q^2 \sum_m m^2 P(|z/q - m| < 1/2)`, which grows with σ. Blocks are selected by some
coefficients and measured by others (as in `hush.kinds.image.measure.estimation`), and of these by
those whose step is below `TELLING` σ: the others are emptied.

**Only if it was white.** If coarse and fine coefficients do not agree on σ, a camera smoothed the
noise before, and nothing is said here.

N. Ponomarenko et al. 2007 and Z. Fan, R. de Queiroz, "Identification of bitmap compression
history: JPEG detection and quantizer estimation", IEEE Trans. Image Processing 12(2), 2003.
"""

from __future__ import annotations

import io
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.ndimage import gaussian_filter
from scipy.special import ndtr

from hush.kinds.image.measure.blocks import DCT, EVEN, HIGH, LOW, MOST_BLOCKS, ODD, SIZE
from hush.noise.damage import table
from hush.noise.processes import Correlated, Gaussian, PoissonGaussian, Process
from hush.noise.spectrum import OCTAVES, Octaves, octave_of
from hush.results import MANY, Estimate

LUMA = np.array([0.299, 0.587, 0.114])  #: ITU-R BT.601, as in JPEG
CHROMA = np.array([-0.1687, -0.3313, 0.5])  #: of the blue difference; the red one's norm is close
LITTLE = 0.08  #: change of the noise's energy up to which compression leaves it as it is
TELLING = 3.0  #: steps up to so many deviations of the noise tell its level
FLAT = 1.3  #: energy of a block, relative to that of its noise, up to which it counts as flat
FEWEST, ENOUGH = 24, 6  #: blocks and coefficients by which a level is measured, at least
AGREE = 1.25  #: ratio of the levels of coarse and fine coefficients up to which noise was white
LEAST = 1.5 / 255  #: levels below this are not told from rounding
STAYS = 1.5  #: steps from which on a coefficient is taken for structure
SMOOTH = 2.0  #: pixels over which differences of colour are averaged to be free of noise
#: by how much the level is higher where all noise of flat areas is emptied: so is fine structure of
#: the picture, an error that only the picture knows; chosen on photographs with noise of σ = 10
MORE = 0.5
SIDE = 256  #: of the picture in which noise is compressed to see what becomes of it
BINS = 6  #: of brightness in which the level is measured


@dataclass(frozen=True)
class Compression:
    """How a JPEG file is compressed.

    luma, chroma : the 64 steps, row by row as `Blocks` has them; chroma is empty for gray. sampling
    : Pillow's number, 0 for 4:4:4, 1 for 4:2:2, 2 for 4:2:0.
    """

    luma: tuple[int, ...]
    chroma: tuple[int, ...] = ()
    sampling: int = 0

    @classmethod
    def of(cls, context: Mapping[str, Any]) -> Compression | None:
        """What a record's context says of it; None if it was no JPEG file."""
        said = context.get("jpeg")
        return None if said is None else cls(**said)

    @property
    def quality(self) -> int:
        """As in libjpeg; of tables of another maker, that of about the same steps."""
        own = np.reshape(self.luma, (SIZE, SIZE))
        return min(range(100, 0, -1), key=lambda q: float(np.abs(table(q) - own).sum()))

    @property
    def words(self) -> str:
        """In a summary."""
        text = f"JPEG, quality {self.quality}"
        return f"{text}, chroma at half resolution" if self.chroma and self.sampling else text


def facts(context: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What a summary says of the file; nothing if it was no JPEG file."""
    file = Compression.of(context)
    return [] if file is None else [("file", file.words)]


def advice(context: Mapping[str, Any]) -> list[str]:
    """What to know about noise in such a file, and what would help."""
    file = Compression.of(context)
    if file is None:
        return []
    colour = " and most of the fine colour" if file.chroma and file.sampling else ""
    return [
        f"The file is a {file.words}: compression has removed fine detail of the picture along "
        f"with fine noise{colour}, which no method brings back. If you have the original file, "
        "denoise that."
    ]


def measured(found: Estimate, x: np.ndarray, file: Compression) -> Estimate:
    """The measurement `found` of an item ``(C, H, W)`` of a JPEG file, given its compression.

    It is returned unchanged if the noise was not white before, or cannot be measured.
    """
    if found.impulses >= MANY or found.counted or len(x) not in (1, 3) or not np.isfinite(x).all():
        return found
    luma = np.tensordot(LUMA.astype(np.float32), x, 1) if len(x) == 3 else x[0]
    before = _law_before(luma, np.array(file.luma) / 255)
    if before is None:
        return found
    colour = len(x) == 3
    sigma = _rms(before, luma) / (math.sqrt(float(LUMA @ LUMA)) if colour else 1.0)
    before = before.scaled((sigma / _rms(before, luma)) ** 2)
    kept = _kept(sigma, file, colour)
    if all(abs(k - 1) < LITTLE for k in kept) and not (colour and file.sampling):
        return found  # it is as it was, and statistics are right
    levels, density = _after(x, sigma, file)
    levels = [level * (1 + MORE * max(0.0, 1 - kept[0])) for level in levels]
    total = math.sqrt(float(np.mean(np.square(levels))))
    white = before.scaled((total / sigma) ** 2)
    spectrum = Octaves.of_means(*(tuple(float(f"{d:.3g}") for d in part) for part in density))
    every = Correlated(white, spectrum).autocorrelation(7, 2)
    return replace(
        found,
        process=white,
        sigma=total,
        correlated=True,
        autocorrelation=tuple(every[7, 8:].tolist()),
        near=(),
        kernel_width=math.nan,
        spectrum=spectrum,
        compressed=True,
        channels=tuple(levels),
        curve=(),
        alternatives=(),
        field=None,  # flat areas lose more of the noise: places were told apart by that
    )


def _law_before(luma: np.ndarray, steps: np.ndarray) -> Process | None:
    """The law of white noise in luma ``(H, W)`` before it was compressed; None if it is unknown."""
    h, w = (n // SIZE for n in luma.shape)
    if h * w < FEWEST:
        return None
    step = math.ceil(math.sqrt(h * w / MOST_BLOCKS))
    cut = luma[: h * SIZE, : w * SIZE].reshape(h, SIZE, w, SIZE).swapaxes(1, 2)
    blocks = cut[::step, ::step].reshape(-1, SIZE**2).astype(np.float64)
    mean = blocks.mean(1)
    energy = np.square((blocks - mean[:, None]) @ np.kron(DCT, DCT).T)
    inside = (blocks.max(1) < 1) & (blocks.min(1) > 0)  # not clipped
    energy, mean = energy[inside], mean[inside]
    if len(mean) < FEWEST:
        return None
    sigma = math.sqrt(float(np.median(energy[:, LOW].mean(1))))  # of structure, too
    for _ in range(12):
        judge, judged = _bands(steps, sigma)
        if judged.sum() < ENOUGH or sigma < LEAST:
            return None
        score = energy[:, judge].mean(1) / _energies(sigma, steps)[judge].mean()
        limit = max(FLAT, float(np.partition(score, FEWEST - 1)[FEWEST - 1]))
        flat = score <= limit
        last, sigma = sigma, _level(energy[flat][:, judged].mean(0), steps[judged])
        if abs(sigma / last - 1) < 1e-3:
            break
    if sigma < LEAST:
        return None
    order = np.argsort(np.add.outer(np.arange(SIZE), np.arange(SIZE)).ravel()[judged])
    spectrum, own = energy[flat][:, judged].mean(0)[order], steps[judged][order]
    half = len(own) // 2
    coarse, fine = _level(spectrum[:half], own[:half]), _level(spectrum[half:], own[half:])
    if not 1 / AGREE < coarse / max(fine, 1e-9) < AGREE:
        return None
    return _line(energy[flat][:, judged], mean[flat], steps[judged], sigma)


def _bands(steps: np.ndarray, sigma: float) -> tuple[np.ndarray, np.ndarray]:
    """By which coefficients blocks are selected, and by which they are measured."""
    telling = steps <= TELLING * sigma
    if (telling & HIGH).sum() >= ENOUGH:
        return LOW, HIGH & telling
    return ODD, EVEN & telling & (np.arange(64) != 9)


def _energies(sigma: float, steps: np.ndarray) -> np.ndarray:
    """Energies of Gaussian coefficients of this deviation, rounded to `steps`."""
    many = np.arange(1, 2 + math.ceil(6 * sigma / float(steps.min())))[:, None]
    inside = ndtr((many + 0.5) * steps / sigma) - ndtr((many - 0.5) * steps / sigma)
    result: np.ndarray = 2 * np.square(steps) * (many**2 * inside).sum(0)
    return result


def _level(energies: np.ndarray, steps: np.ndarray) -> float:
    """The deviation of coefficients before they were rounded, by bisection."""
    wanted = float(energies.mean())
    low, high = 1e-5, math.sqrt(wanted) + float(steps.max())
    for _ in range(30):
        sigma = math.sqrt(low * high)
        low, high = (sigma, high) if _energies(sigma, steps).mean() < wanted else (low, sigma)
    return math.sqrt(low * high)


def _line(energy: np.ndarray, mean: np.ndarray, steps: np.ndarray, sigma: float) -> Process:
    """The law of the level beside brightness: constant, or a line if it clearly rises."""
    order = np.argsort(mean)
    parts = [p for p in np.array_split(order, BINS) if len(p) >= FEWEST]
    if len(parts) < 3:
        return Gaussian(sigma)
    at = np.array([mean[p].mean() for p in parts])
    variance = np.array([_level(energy[p].mean(0), steps) ** 2 for p in parts])
    error = sigma**2 * np.sqrt(2 / np.array([len(p) * len(steps) for p in parts]) + 0.05**2)
    (slope, base), covariance = np.polyfit(at, variance, 1, w=1 / error, cov="unscaled")
    if slope < 4 * math.sqrt(float(covariance[0, 0])) or slope * np.ptp(at) < 0.5 * sigma**2:
        return Gaussian(sigma)
    read = math.sqrt(max(float(base), 0.0))
    return PoissonGaussian(float(slope), read, 0.0 if base > 0 else float(-base / slope))


def _rms(law: Process, luma: np.ndarray) -> float:
    return math.sqrt(float(np.mean(law.variance(luma[::4, ::4].astype(np.float64)))))


def _kept(sigma: float, file: Compression, colour: bool) -> list[float]:
    """The energy of flat noise after compression, relative to that before: of luma, chroma.

    sigma : the noise's deviation in every channel. Rounding adds some, so it can be above 1.
    """
    parts = [(LUMA, file.luma), (CHROMA, file.chroma)] if colour else [(np.ones(1), file.luma)]
    return [
        float(_energies(sigma, np.array(steps) / norm).mean()) / sigma**2
        for weights, steps in parts
        for norm in [255 * math.sqrt(float(weights @ weights))]
    ]


def _after(
    x: np.ndarray, sigma: float, file: Compression
) -> tuple[list[float], tuple[np.ndarray, ...]]:
    """The level of each channel, and the densities, of white noise after such a compression.

    x : the picture ``(C, H, W)``. In flat areas much of the noise is rounded away, elsewhere less
    of it, so it is added to what the picture has of structure.
    """
    rng, channels = np.random.default_rng(0), len(x)
    sides = [min(SIDE, n // SIZE * SIZE) for n in x.shape[1:]]
    first = [(n - side) // 2 // SIZE * SIZE for n, side in zip(x.shape[1:], sides, strict=True)]
    part = x[:, *(slice(f, f + side) for f, side in zip(first, sides, strict=True))]
    luma = np.tensordot(LUMA, part, 1) if channels == 3 else part[0]
    base = _structure(luma, np.array(file.luma) / 255, rng) + (
        [gaussian_filter(c - luma, SMOOTH) for c in part] if channels == 3 else [0 * luma]
    )
    noisy = base + rng.normal(0, sigma, base.shape)
    noise = _compressed(noisy.transpose(1, 2, 0), file).transpose(2, 0, 1) - base
    noise -= noise.mean((1, 2), keepdims=True)
    levels = [float(n.std()) for n in noise]
    power = np.square(np.abs(np.fft.fft2(noise))).mean(0)
    bright = np.square(np.abs(np.fft.fft2(noise.mean(0)))) * channels
    octave = octave_of(power.shape, OCTAVES).ravel()
    count, mean = np.bincount(octave), power.mean()

    def density(p: np.ndarray) -> np.ndarray:
        made: np.ndarray = np.bincount(octave, p.ravel()) / count / mean
        return made

    if channels == 1:
        return levels, (density(power),)
    tint = (channels * power - bright) / (channels - 1)
    return levels, (density(bright), density(tint))


def _structure(luma: np.ndarray, steps: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Luma ``(H, W)`` of whole blocks from the coefficients that are not emptied.

    Each was somewhere within its step, and is so again.
    """
    basis = np.kron(DCT, DCT).T
    h, w = (n // SIZE for n in luma.shape)
    blocks = luma.reshape(h, SIZE, w, SIZE).swapaxes(1, 2).reshape(-1, 64) @ basis
    kept = np.abs(blocks) > STAYS * steps
    inside = blocks + rng.uniform(-0.5, 0.5, blocks.shape) * steps
    made: np.ndarray = (kept * inside) @ basis.T
    return made.reshape(h, w, SIZE, SIZE).swapaxes(1, 2).reshape(luma.shape)


def _compressed(picture: np.ndarray, file: Compression) -> np.ndarray:
    """A picture ``(H, W, C)``, full range 1, as such a file holds it."""
    from PIL import Image

    stored = np.clip(np.rint(255 * picture), 0, 255).astype(np.uint8)
    colour = picture.shape[-1] == 3
    tables = [list(file.luma)] + [list(file.chroma)] * colour
    content = io.BytesIO()
    Image.fromarray(stored if colour else stored[..., 0]).save(
        content, "JPEG", qtables=tables, subsampling=file.sampling if colour else 0
    )
    with Image.open(content) as image:
        return np.asarray(image, np.float64).reshape(picture.shape) / 255

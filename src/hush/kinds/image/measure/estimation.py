r"""Family, level and spatial correlation of the noise, from the noisy image alone.

It is measured from the DCT of 8×8 blocks, in three steps.

**Level.** In a block of white noise all 64 coefficients have the same variance; structure adds to
the low frequencies first. Blocks are therefore *selected* by their low frequencies and *measured*
by their high ones. The two are independent, so selecting the flattest blocks causes no bias
(Ponomarenko et al. 2007; Colom and Buades 2013).

**Family.** Variance against mean over the selected blocks, the photon transfer curve, is a line
:math:`v(x) = a\,x + b` (Foi et al. 2008). The fit includes the bend that clipping causes (Foi
2009). The family is the simplest of constant, proportional and affine with χ² within `REJECT` of
the affine one's, χ² being scaled to the affine misfit. If both constant and proportional are, the
data do not decide.

**Correlation.** The mean spectrum of the flattest blocks that contain noise is fitted, with
non-negative amplitudes, by white noise, noise blurred with a Gaussian kernel, and structure falling
as :math:`1/f^2` and :math:`1/f^4`. Noise counts as correlated if the blurred part is large enough,
explains what the rest cannot, and is the same in flat and in less flat blocks: noise is everywhere,
structure is not. Then blocks are selected again, and variance against signal is measured again,
relative to that spectrum: at the high frequencies if enough of the noise is white there and
compression removed none of it; otherwise at the low ones, in two interleaved halves. The family is
determined again; the level comes from the fit of the spectrum. *Mildly* correlated noise is seen in
the fine bands alone, where structure has next to no power: it rises to coarser ones, and in the
flattest blocks as much as in others.

**One axis.** Noise that a filter correlated along rows or columns alone is measured after the
inverse filter (`hush.kinds.image.measure.regression`).

**Place.** If the level varies from place to place, the blocks enter all steps relative to it
(`hush.kinds.image.measure.places`), and the law is that of the mean level.

Before all that, offsets of rows and columns and hum are taken out
(`hush.kinds.image.measure.lines`). Single photons are looked for
(`hush.kinds.image.measure.photons`), whose law needs no blocks, and impulses (`…measure.impulses`):
they are replaced, and those that the noise explains are put back.

Limitation: fine, even texture that fills the whole picture (a lawn) is measured as noise, the more
so the weaker the true noise.

References
----------
N. Ponomarenko, V. Lukin, M. Zriakhov, A. Kaarna, J. Astola, "An automatic approach to lossy
compression of AVIRIS images", IGARSS 2007.
M. Colom, A. Buades, "Analysis and extension of the Ponomarenko et al. method, estimating a
noise curve from a single image", Image Processing On Line 3, 2013.
A. Foi, M. Trimeche, V. Katkovnik, K. Egiazarian, "Practical Poissonian-Gaussian noise modeling
and fitting for single-image raw-data", IEEE Trans. Image Processing 17(10), 2008.
A. Foi, "Clipped noisy images: heteroskedastic modeling and practical denoising", Signal
Processing 89(12), 2009.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from hush.errors import HushError
from hush.kinds.image.measure.blocks import SIZE, Blocks, gather, gather_frames, sharp
from hush.kinds.image.measure.impulses import (
    impulses_in,
    many_impulses,
    salted,
    without_many,
)
from hush.kinds.image.measure.lines import lines_in, without_lines
from hush.kinds.image.measure.photons import Photons, resolved, step_of_counts
from hush.kinds.image.measure.pixels import replaced
from hush.kinds.image.measure.places import varying
from hush.kinds.image.measure.quiet import bounded, drawn
from hush.kinds.image.measure.regression import law_of_image, regression_of, whitened
from hush.kinds.image.measure.spectrum import Spectrum, spectrum_of
from hush.kinds.image.measure.transfer import (
    ANY,
    LINE,
    PROPORTIONAL,
    REJECT,
    REJECT_CORRELATED,
    Bend,
    Bent,
    clipping,
    family_of,
    fit_curve,
    magnitude,
)
from hush.kinds.values import measured
from hush.noise.processes import (
    FAMILIES,
    Gamma,
    Gaussian,
    Impulse,
    Poisson,
    PoissonGaussian,
    Process,
    Rician,
)
from hush.noise.spectrum import Octaves
from hush.noise.units import fixed
from hush.results import MANY, Estimate

ROUNDS = 2  #: impulses and the noise between them are measured in turns
TURNS, SETTLED = 6, 0.02  #: of the noise between many impulses, until it rises by less than this
DARK = 3.0  #: signal, in units of σ, below which Rician noise differs enough from Gaussian noise
COUNTS = 0.1  #: how far the gain of whole numbers may be from 1 in counts
UNLIKE = 3.0  #: ratio of the levels of channels from which on each is measured alone


def estimate(
    x: np.ndarray | Sequence[np.ndarray],
    given: Process | None = None,
    series: bool = False,
) -> Estimate:
    """The noise of one image, or the common noise of several.

    Parameters
    ----------
    x : float array ``(C, H, W)``, full range 1, or a list of such arrays with the same C. Pixels
        that are not finite are left out. A constant image has Gaussian noise of level 0.
    given : noise that the user states beside the noise that is measured (`Process.beside`).
    series : they are frames of one size and one camera, whose noise varies with the place alike.

    Raises
    ------
    HushError : no 8×8 block of finite pixels is left.
    """
    images = [x] if isinstance(x, np.ndarray) else list(x)
    if not images or any(i.ndim != 3 or len(i) != len(images[0]) for i in images):
        raise HushError("give images (C, H, W), all with the same number of channels")
    lines = [lines_in(i, given) for i in images]
    told = fixed(given.share) if isinstance(given, Impulse) else 0.0
    if given is None or told:
        every = zip(images, lines, strict=True)
        lines = [None if drawn(i, found) else found for i, found in every]
    if any(lines):
        images = [without_lines(i, found) for i, found in zip(images, lines, strict=True)]
    found = bounded(_between_lines(images, series, told), images)
    return replace(found, lines=lines[0] if len(lines) == 1 else None)


def _between_lines(images: Sequence[np.ndarray], series: bool, told: float = 0.0) -> Estimate:
    """The noise of images without offsets of lines and without hum.

    told : the share of impulses that the user states.
    """
    photons = None if told or salted(images) else resolved(images)
    measure = partial(_of_photons, photons=photons) if photons else partial(_measured, one=series)
    share = 0.0 if photons else many_impulses(images) or told
    if share < MANY:
        hits = [impulses_in(i) for i in images]
        for _ in range(ROUNDS):  # impulses can look like noise, and noise like impulses
            if not any(hit.any() for hit in hits):
                return measure(images)
            between = measure([replaced(i, hit) for i, hit in zip(images, hits, strict=True)])
            before, hits = hits, [impulses_in(i, between) for i in images]
            if all(map(np.array_equal, before, hits)):
                break
        share = sum(map(np.count_nonzero, hits)) / sum(hit.size for hit in hits)
    if share >= MANY:
        cleaned = [without_many(i) for i in images]
        hits = [(a != b) & np.isfinite(a) for a, b in zip(images, cleaned, strict=True)]
        between = _between_many(cleaned, hits)
    number = sum(int(np.count_nonzero(hit.any(axis=0))) for hit in hits)
    return replace(between, impulses=share, hits=number)


def _between_many(cleaned: Sequence[np.ndarray], hits: Sequence[np.ndarray]) -> Estimate:
    """The noise of images in which many pixels were replaced by medians.

    Medians have less noise than pixels, so they are given as much as was measured, in turns.
    """
    found = _measured(cleaned, smoothed=True)
    for turn in range(TURNS):
        rng, before = np.random.default_rng(turn), found.sigma
        noisy = [i.copy() for i in cleaned]
        for image, hit in zip(noisy, hits, strict=True):
            deviation = np.sqrt(np.maximum(found.process.variance(image[hit]), 0))
            image[hit] += deviation * rng.standard_normal(len(deviation), dtype=np.float32)
        found = _measured(noisy, smoothed=True)
        if found.sigma < (1 + SETTLED) * before:
            break
    return found


def _of_photons(images: Sequence[np.ndarray], photons: Photons) -> Estimate:
    """The noise of resolved photons: their law is known, and only the signal is measured."""
    law = photons.process
    means = [np.concatenate([p[np.isfinite(p)] for p in c]) for c in zip(*images, strict=True)]
    signal = np.array([x.mean(dtype=np.float64) if x.size else photons.offset for x in means])
    variances = np.maximum(law.variance(signal), 0)
    number = (signal - photons.offset).mean() * sum(x.size for x in means) / photons.gain
    return Estimate(
        law,
        math.sqrt(variances.mean()),
        channels=tuple(np.sqrt(variances).tolist()),
        uncertainty=0.5 / math.sqrt(max(number, 1.0)),
        counted=True,
    )


def _before_filter(found: Estimate, regression: tuple[float, ...]) -> Estimate:
    """The noise of images, of which that after the filter that makes it white is known."""
    r = sum(regression)  # one of them is 0
    signal, variance = 1 / (1 - r), 1 / (1 - r**2)
    process = found.process
    if process.complex:  # a filter does not leave magnitudes
        process = Gaussian(found.sigma)
    return replace(
        found,
        process=law_of_image(process, regression),
        sigma=found.sigma * math.sqrt(variance),
        correlated=True,
        autocorrelation=tuple(r**k for k in range(1, SIZE)),
        near=regression,
        kernel_width=math.nan,
        spectrum=None,
        channels=tuple(level * math.sqrt(variance) for level in found.channels),
        curve=tuple((signal * x, variance * seen, variance * law) for x, seen, law in found.curve),
        alternatives=tuple(name for name in found.alternatives if not FAMILIES[name].complex),
        regression=regression,
    )


def _measured(
    images: Sequence[np.ndarray], smoothed: bool = False, white: bool = False, one: bool = False
) -> Estimate:
    """The noise of images without impulses.

    smoothed : many were replaced by medians; white : no filter along one axis is looked for;
    one : they are of one camera.
    """
    blocks, sample, low, high = (gather_frames if one else gather)(images)
    if regression := () if smoothed or white else regression_of(blocks):
        return _before_filter(
            _measured([whitened(i, regression) for i in images], white=True, one=one), regression
        )
    bend = clipping(low, high)
    negative = bool(np.nanmin(sample) < 0)
    magnitudes = not negative and not math.isfinite(low)
    field = None
    if (one or len(images) == 1) and not smoothed:
        field, blocks = varying(images[len(images) // 2], blocks, bend, magnitudes)
    finite = np.isfinite(sample)
    clipped = float(((sample == low) | (sample == high)).sum() / finite.sum())
    parts = [blocks.take(blocks.channel == c) for c in range(len(sample))]
    live = [p for p in parts if p.high.any()]
    if not live:
        return Estimate(
            Gaussian(0.0),
            0.0,
            clipped=clipped,
            channels=(0.0,) * len(sample),
        )

    family, possible = _recognise(blocks, bend, magnitudes, REJECT, sample)
    # Each channel has one vote: channels may differ in level, and one may be empty.
    terms = family.terms if 2 in family.terms else LINE  # a line does not fit x²
    spectra = [spectrum_of(p, fit_curve(p, bend, terms), bend) for p in live]
    votes = [s for s in spectra if s.correlated]
    correlated = 2 * len(votes) > len(spectra) and not smoothed
    if correlated:
        shape = np.mean([s.shape for s in votes], axis=0)
        # JPEG removes high frequencies, most in bright areas; no noise falls with brightness.
        high = sharp(shape) and not fit_curve(blocks.seen_through(shape, True), bend, ANY).falls
        blocks, spectra = blocks.seen_through(shape, high), votes
        parts = [p.seen_through(shape, high) for p in parts]
        reject = REJECT if high else REJECT_CORRELATED
        family, possible = _recognise(blocks, bend, magnitudes, reject)
    bend = magnitude if family is Rician else bend
    curve = fit_curve(blocks, bend, family.terms)
    if max(family.terms) == 1 and curve.law[1] <= 0:
        family = Gaussian
    factor = spectrum_of(blocks, curve, bend).variance if correlated else 1.0

    counted = np.maximum(finite.sum(axis=1), 1)
    signal = np.where(finite, sample, 0).sum(axis=1) / counted
    square = np.square(np.where(finite, sample, 0)).sum(axis=1) / counted
    variances = np.zeros(len(sample))
    for c, part in enumerate(parts):
        if part.high.any():
            own = fit_curve(part, bend, family.terms)
            # The mean square of the observed values includes that of the noise.
            mean = own.law @ (1.0, signal[c], square[c]) / (1 + own.law[2])
            variances[c] = factor * max(mean, 0.0)
            typical = float(np.median(own.variance))
            if correlated and variances[c] < 0.4 * typical:
                variances[c] = typical  # a line does not fit, as in JPEGs of cameras
    sigma = math.sqrt(variances.mean())
    level, gain, relative = factor * curve.law
    if smoothed:  # only a line can be measured between impulses
        family = PoissonGaussian if gain > 0 else Gaussian
    if family.terms == (0,):  # then the level is the mean of the channels'
        level = variances.mean()
    lags = np.mean([s.correlation for s in votes], axis=0) if correlated else np.zeros(0)
    points = zip(curve.x, factor * curve.variance, factor * curve.at(curve.x), strict=True)
    error = curve.error(float(signal.mean())), float(np.mean([s.error for s in spectra]))
    return Estimate(
        family.of_terms(level, gain, relative),
        sigma,
        correlated=correlated,
        autocorrelation=tuple(lags.tolist()) if correlated else (),
        kernel_width=float(np.mean([s.kernel for s in votes])) if correlated else math.nan,
        spectrum=_mean_of(votes) if correlated else None,
        clipped=clipped,
        channels=tuple(np.sqrt(variances).tolist()),
        uncertainty=math.hypot(*error),
        curve=tuple((float(x), float(seen), float(law)) for x, seen, law in points),
        curve_errors=tuple((curve.sd / np.maximum(curve.at(curve.x), 1e-30)).tolist()),
        alternatives=() if smoothed else _others(possible, family, negative and not white),
        field=field,
    )


def _others(possible: Sequence[str], family: type[Process], negative: bool) -> tuple[str, ...]:
    """The possible families but the one that was chosen; negative : as some values are, of which
    counts and speckle have none."""
    never = (Poisson.family, Gamma.family) if negative else ()
    return tuple(name for name in possible if name not in (family.family, *never))


def _mean_of(votes: Sequence[Spectrum]) -> Octaves:
    return Octaves.of_means(np.mean([s.means for s in votes], axis=0))


def estimate_any(x: np.ndarray | Sequence[np.ndarray], given: Process | None = None) -> Estimate:
    """`estimate`, or Gaussian noise from differences between neighbours if there is too little.

    This covers single rows and columns, and images without an 8×8 block of finite pixels.
    """
    try:
        return estimate(x, given)
    except HushError:
        return measured([x] if isinstance(x, np.ndarray) else list(x))


def apart(x: np.ndarray, found: Estimate) -> Estimate:
    """The measurement of an image ``(C, H, W)`` whose channels differ much in level.

    Together they seem to have noise that grows with the signal. Where each by itself has one level,
    that is the law.
    """
    if found.correlated or found.process.terms == (0,) or not unlike(found):
        return found
    own = [estimate_any(channel[None]) for channel in x]
    if any(one.process.terms != (0,) for one in own):
        return found
    sigma = math.sqrt(float(np.mean(np.square([one.sigma for one in own]))))
    return replace(
        found,
        process=Gaussian(sigma),
        sigma=sigma,
        channels=tuple(one.sigma for one in own),
        curve=(),
        curve_errors=(),
        alternatives=(),
    )


def unlike(found: Estimate) -> bool:
    """Whether the channels' levels differ by more than a factor of `UNLIKE`; those without noise
    aside, as empty ones."""
    levels = [level for level in found.channels if level > 0]
    return len(levels) > 1 and UNLIKE * min(levels) < max(levels)


def gains(found: Estimate) -> np.ndarray:
    """What channels are multiplied by to have one level of noise, float32 ``(C, 1, 1)``; 0 for
    those without noise."""
    own = np.array(found.channels)
    gain = np.divide(found.sigma, own, out=np.zeros_like(own), where=own > 0)
    return gain.astype(np.float32)[:, None, None]


def _recognise(
    blocks: Blocks,
    bend: Bend,
    magnitudes: bool,
    reject: float,
    sample: np.ndarray | None = None,
) -> tuple[type[Process], tuple[str, ...]]:
    """The family, and all possible ones, judged on points selected without assuming a family.

    sample : the values. If all can be counts and they have the variance of counts, they are.
    """
    free = fit_curve(blocks, bend, ANY)
    misfit = {f.family: free.misfit(f.terms) for f in (Gaussian, Poisson, Gamma, PoissonGaussian)}
    if magnitudes:
        rician = fit_curve(blocks, magnitude, Rician.terms)
        if rician.x.min() < DARK * math.sqrt(max(rician.law[0], 0.0)):
            seen = Bent(rician, magnitude, blocks.mean).variance_at(free.x)
            misfit[Rician.family] = free.misfit_of(seen)
    name, possible = family_of(misfit, reject)
    if sample is not None and name == Gaussian.family and Poisson.family in possible:
        step, gain = step_of_counts(sample), fit_curve(blocks, bend, PROPORTIONAL).law[1]
        name = Poisson.family if step and abs(gain / step - 1) < COUNTS else name
    return FAMILIES[name], possible

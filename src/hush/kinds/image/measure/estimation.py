r"""Which noise is this? Family, level and spatial correlation from the noisy image alone.

Everything is read off the DCT of 8×8 blocks, in three steps.

**Level.** In a block of white noise all 64 coefficients share one variance; structure adds to
the low frequencies first. Blocks are therefore *chosen* by their low frequencies and
*measured* by their high ones: the two are independent, so that choosing the flattest blocks
biases nothing (Ponomarenko et al. 2007; Colom and Buades 2013).

**Family.** Variance against mean over the chosen blocks, the photon transfer curve, is a line
:math:`v(x) = a\,x + b` (Foi et al. 2008). It is fitted through the curve that clipping bends
it into (Foi 2009). The family is the simplest of constant, proportional and affine whose χ²
is within `REJECT` of the affine one's, χ² being scaled to the affine misfit; where constant
and proportional both are, the data do not decide.

**Correlation.** The mean spectrum of the flattest blocks that hold noise is fitted, all
amplitudes non-negative, by white noise, noise blurred with a Gaussian kernel, and structure
falling as :math:`1/f^2` and :math:`1/f^4`. To call noise correlated the blurred part must
matter, must explain what the rest cannot, and must be the same in flat and in less flat blocks:
noise is everywhere, structure is not. Blocks are then chosen, and how the variance goes with the
signal is measured, through that spectrum: at the high frequencies, where enough of the noise is
white and none was taken off by compression; or else where blurred noise is, by two interleaved
halves of the low frequencies. The family is found anew; the level is that of the spectrum's fit.

What cannot be told apart: a picture that is one fine, even texture all over (a lawn) is noise
to this method, and more so the weaker its noise.

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

import numpy as np

from hush.errors import HushError
from hush.kinds.image.measure.blocks import Blocks, gather, sharp
from hush.kinds.image.measure.impulses import impulse_share, without_impulses
from hush.kinds.image.measure.spectrum import spectrum_of
from hush.kinds.image.measure.transfer import (
    ANY,
    LINE,
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
    Poisson,
    PoissonGaussian,
    Process,
    Rician,
)
from hush.results import Estimate

IMPULSES = 0.015  #: share of pixels from which on they are called noise
DARK = 3.0  #: signal, in units of σ, below which Rician noise differs enough from Gaussian


def estimate(x: np.ndarray | Sequence[np.ndarray]) -> Estimate:
    """The noise of one image, or the one noise of several pooled.

    Parameters
    ----------
    x : float array ``(C, H, W)`` in units of full range 1, or a list of such with the same C.
        Pixels that are not finite are left out. A constant image has Gaussian noise of level 0.

    Raises
    ------
    HushError : no 8×8 block of finite pixels is left.
    """
    images = [x] if isinstance(x, np.ndarray) else list(x)
    if not images or any(i.ndim != 3 or len(i) != len(images[0]) for i in images):
        raise HushError("noise is estimated from images (C, H, W) of one number of channels")
    impulses = impulse_share(images)
    replaced = impulses >= IMPULSES
    if replaced:
        images = [without_impulses(i) for i in images]
    blocks, sample, low, high = gather(images)
    bend = clipping(low, high)
    finite = np.isfinite(sample)
    clipped = float(((sample == low) | (sample == high)).sum() / finite.sum())
    parts = [blocks.take(blocks.channel == c) for c in range(len(sample))]
    live = [p for p in parts if p.high.any()]
    if not live:
        return Estimate(
            Gaussian(0.0),
            0.0,
            impulses=impulses if replaced else 0.0,
            clipped=clipped,
            channels=(0.0,) * len(sample),
        )

    magnitudes = bool(np.nanmin(sample) >= 0) and not math.isfinite(low)
    family, possible = _recognise(blocks, bend, magnitudes, REJECT)
    # One channel, one vote: channels may differ in level, and one may be empty.
    terms = family.terms if 2 in family.terms else LINE  # a line cannot follow x²
    spectra = [spectrum_of(p, fit_curve(p, bend, terms), bend) for p in live]
    votes = [s for s in spectra if s.correlated]
    correlated = 2 * len(votes) > len(spectra) and not replaced  # medians are smooth
    if correlated:
        shape = np.mean([s.shape for s in votes], axis=0)
        # JPEG takes high frequencies off, and most where it is bright: no noise does.
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
            # The mean square of what is seen holds the noise's, too.
            mean = own.law @ (1.0, signal[c], square[c]) / (1 + own.law[2])
            variances[c] = factor * max(mean, 0.0)
            typical = float(np.median(own.variance))
            if correlated and variances[c] < 0.4 * typical:
                variances[c] = typical  # no line holds, as in cameras' JPEGs
    sigma = math.sqrt(variances.mean())
    level, gain, relative = factor * curve.law
    if replaced:  # of what is between impulses a line is told, no more
        family = PoissonGaussian if gain > 0 else Gaussian
    if family.terms == (0,):  # then the level is the channels' own
        level = variances.mean()
    lags = np.mean([s.correlation for s in votes], axis=0) if correlated else np.zeros(0)
    points = zip(curve.x, factor * curve.variance, factor * curve.at(curve.x), strict=True)
    error = curve.error(float(signal.mean())), float(np.mean([s.error for s in spectra]))
    return Estimate(
        family.of_terms(level, gain, relative),
        sigma,
        impulses=impulses if replaced else 0.0,
        correlated=correlated,
        autocorrelation=tuple(lags.tolist()) if correlated else (),
        kernel_width=float(np.mean([s.kernel for s in votes])) if correlated else math.nan,
        clipped=clipped,
        channels=tuple(np.sqrt(variances).tolist()),
        uncertainty=math.hypot(*error),
        curve=tuple((float(x), float(seen), float(law)) for x, seen, law in points),
        alternatives=() if replaced else tuple(name for name in possible if name != family.family),
    )


def estimate_any(x: np.ndarray | Sequence[np.ndarray]) -> Estimate:
    """`estimate`, or Gaussian noise from neighbours' differences where that finds too little.

    One row or one column, or no whole 8×8 block between missing pixels: something is known of
    the noise all the same.
    """
    try:
        return estimate(x)
    except HushError:
        return measured([x] if isinstance(x, np.ndarray) else list(x))


def _recognise(
    blocks: Blocks, bend: Bend, magnitudes: bool, reject: float
) -> tuple[type[Process], tuple[str, ...]]:
    """Family and all that are possible, judged on points chosen without a family in mind."""
    free = fit_curve(blocks, bend, ANY)
    misfit = {f.family: free.misfit(f.terms) for f in (Gaussian, Poisson, Gamma, PoissonGaussian)}
    if magnitudes:
        rician = fit_curve(blocks, magnitude, Rician.terms)
        if rician.x.min() < DARK * math.sqrt(max(rician.law[0], 0.0)):
            seen = Bent(rician, magnitude, blocks.mean).variance_at(free.x)
            misfit[Rician.family] = free.misfit_of(seen)
    name, possible = family_of(misfit, reject)
    return FAMILIES[name], possible

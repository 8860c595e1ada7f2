r"""Posterior mean of a pixel from a blind-spot prediction and a known noise law: E[x | y].

A network that does not see pixel y predicts it by μ. The residual r = y − μ is the noise n, about
which μ has no information, plus what μ missed of the clean x. The two are uncorrelated, so the
spectra add,

.. math:: S_r(f) = S_{x - \mu}(f) + S_n(f), \quad
          \hat x = \mu + \frac{S_r - S_n}{S_r} * r,

which is the Wiener filter; with Gaussian x and n it is the posterior mean. S_n follows from the
variance and autocorrelation of the noise. S_r is measured in windows, averaged over neighbouring
windows and frequencies. For white noise and the mean over all frequencies this is the
1 − σ²/Var(y) of a single pixel. Frequency by frequency, it brings back the edges that
the prediction blurred, but not the noise between them.
"""

from __future__ import annotations

import numpy as np

from hush.noise.wiener import wiener, window_power


def posterior_mean(
    y: np.ndarray, prediction: np.ndarray, variance: np.ndarray, autocorrelation: np.ndarray
) -> np.ndarray:
    """The best linear estimate from noisy pixels and a blind prediction, float32 ``(C, H, W)``.

    y, prediction : ``(C, H, W)``. variance : of the noise in each pixel, the same shape.
    autocorrelation : of the noise at lags up to R, ``(2R+1, 2R+1)`` with 1 in the middle.
    """
    deviation = np.sqrt(np.maximum(variance, 0)).astype(np.float32)
    unit = np.where(deviation > 0, y - prediction, 0) / np.where(deviation > 0, deviation, 1)
    noise = window_power(autocorrelation)
    kept = np.stack([wiener(plane, noise) for plane in unit])
    result: np.ndarray = np.where(deviation > 0, prediction + deviation * kept, y)
    return result.astype(np.float32)

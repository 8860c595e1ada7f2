"""The photon transfer curve: variance of the noise against the signal it sits on."""

from __future__ import annotations

import numpy as np

from hush.noise.processes import Gaussian, PoissonGaussian, Process


def fit_transfer(mean: np.ndarray, variance: np.ndarray) -> Process:
    """The Gaussian or Poisson-Gaussian process behind samples of (mean, variance).

    A straight line, robustly (Cauchy weights on relative errors): cells with texture report
    too much and weigh little. Where the line falls with the signal, or explains no more than
    the cells' own scatter, the noise is taken as Gaussian.
    """
    mean, variance = (np.asarray(a, np.float64).ravel() for a in (mean, variance))
    typical = float(np.median(variance))
    if typical <= 0:
        return Gaussian(float(np.sqrt(max(variance.mean(), 0.0))))
    intercept, gain = typical, 0.0
    for _ in range(20):
        fit = np.maximum(intercept + gain * mean, 0.05 * typical)
        error = (variance - fit) / fit
        scale = 1.4826 * np.median(np.abs(error)) + 1e-3
        w = 1 / (fit**2 * (1 + (error / (2 * scale)) ** 2))
        m, v = np.average(mean, weights=w), np.average(variance, weights=w)
        spread = np.average((mean - m) ** 2, weights=w)
        covariance = np.average((mean - m) * (variance - v), weights=w)
        gain = covariance / spread if spread > 1e-12 else 0.0
        intercept = v - gain * m
    low, high = np.percentile(mean, [2, 98])
    scatter = scale * np.sqrt(1 / max(len(mean), 1)) * 4
    if gain <= 0 or gain * (high - low) < max(0.1, scatter) * max(intercept + gain * high, 1e-12):
        return Gaussian(float(np.sqrt(max(v, 0.0))))
    if intercept >= 0:
        return PoissonGaussian(gain, float(np.sqrt(intercept)))
    return PoissonGaussian(gain, 0.0, offset=-intercept / gain)

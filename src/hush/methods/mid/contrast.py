"""What Φ would take for noise because it is far stronger than noise: steps and bright places.

Φ learned from contrasts of some hundred deviations of the noise at most. Beyond these its error
grows with the contrast. Noise is never that strong: if what Φ removed is, then it was no noise, and
is kept from Φ.
"""

from __future__ import annotations

import numpy as np

from hush.noise.process import Process

NOISE = 8.0  #: standard deviations that noise does not exceed
BEARABLE = 250.0  #: contrast, in standard deviations, that Φ bears without large errors
NEAR = 2  #: samples to either side of what was removed, in which a step is looked for
SAMPLED = 2**16  #: values by which the most frequent ones are found


def beyond(x: np.ndarray, state: np.ndarray, noise: Process) -> np.ndarray | None:
    """What lies outside the range of `BEARABLE` contrast that holds most values of an item
    ``(C, *S)``, if more than noise was removed from it; else None."""
    if not _too_much(x, state, noise).any():
        return None
    kept = np.zeros_like(x)
    for own, out in zip(x, kept, strict=True):
        width = BEARABLE * float(np.sqrt(np.mean(noise.variance(np.median(own)))))
        values = np.sort(own.ravel()[:: max(1, own.size // SAMPLED)])
        counts = np.searchsorted(values, values + width, "right") - np.arange(len(values))
        low = values[np.argmax(counts)]
        out[...] = own - own.clip(low, low + width)
    return kept if kept.any() else None


def steps(x: np.ndarray, state: np.ndarray, noise: Process) -> np.ndarray | None:
    """The steps between neighbours in a signal ``(C, T)`` at which more than noise was removed, all
    those before each sample summed; else None."""
    much = _too_much(x, state, noise)
    if not much.any():
        return None
    near = np.stack([np.convolve(row, np.ones(2 * NEAR + 2), "full")[NEAR:] for row in much])
    change = np.diff(x, axis=1)
    step = np.abs(change) > NOISE * _deviation(x, noise)[:, 1:]
    step &= near[:, : change.shape[1]] > 0
    kept = np.concatenate([np.zeros_like(x[:, :1]), np.where(step, change, 0)], axis=1)
    return kept.cumsum(axis=1, dtype=np.float64).astype(x.dtype) if step.any() else None


def _too_much(x: np.ndarray, state: np.ndarray, noise: Process) -> np.ndarray:
    """Where more than noise was removed, also by its law at what is left: noise that grows with the
    signal makes values near 0, too."""
    deviation = np.maximum(_deviation(x, noise), _deviation(state, noise))
    much: np.ndarray = np.abs(x - state) > NOISE * deviation
    return much


def _deviation(x: np.ndarray, noise: Process) -> np.ndarray:
    return np.broadcast_to(np.sqrt(noise.variance(x)), x.shape)

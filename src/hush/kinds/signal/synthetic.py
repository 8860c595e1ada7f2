"""Synthetic ECG recordings of varied subjects, generated once and kept in the user's cache folder.

The generator is ECGSYN (McSharry et al., "A dynamical model for generating synthetic
electrocardiogram signals", IEEE TBME 2003) in neurokit2. Here subjects differ in heart rate and its
variation, in the height, width and place of their waves and in their leads; some have an irregular
rhythm, premature ventricular beats or a wide QRS complex.
"""

from __future__ import annotations

import os
import warnings
import zipfile
from pathlib import Path

import numpy as np

from hush.errors import HushError
from hush.io import atomic

VERSION = 1  #: of what is generated; a cache of another version is left alone
SUBJECTS, LEADS = 40, 2
SECONDS = 52
#: samples a second; at some others, such as 500, neurokit2 0.3 may never end: it interpolates the
#: intervals between beats from one a second, and the last one becomes 0
RATE = 512.0
SETTLED = 3.0  #: seconds after which ECGSYN has left its initial state
SLOWEST, FASTEST = 45.0, 160.0  #: heart rates, beats a minute

#: angles (degrees), heights and widths (radians) of the waves P, Q, R, S and T in ECGSYN
ANGLES = np.array([-70.0, -15.0, 0.0, 15.0, 100.0])
HEIGHTS = np.array([1.2, -5.0, 30.0, -7.5, 0.75])
WIDTHS = np.array([0.25, 0.1, 0.1, 0.1, 0.4])
#: those of a ventricular beat: no P wave, a wide QRS complex, a T wave in the other direction
VENTRICULAR = (
    np.array([-70.0, -30.0, 0.0, 35.0, 120.0]),
    np.array([0.0, -6.0, 25.0, -12.0, -1.5]),
    np.array([0.25, 0.2, 0.25, 0.25, 0.5]),
)
#: shares of subjects with an irregular rhythm, ventricular beats, a wide QRS complex
IRREGULAR, ECTOPIC, BROAD = 0.3, 0.35, 0.15
NOISE = 0.01  #: the most noise, as a share of the rms


def recordings() -> np.ndarray:
    """Leads ``(SUBJECTS, LEADS, T)`` at `RATE`, float32 of unit rms, from the cache if there.

    Raises
    ------
    HushError
        If they have to be generated and neurokit2 is not installed.
    """
    path = cache() / f"ecg-{VERSION}.npz"
    kept = _read(path)
    if kept is not None:
        return kept
    made = np.stack([subject(i) for i in range(SUBJECTS)])
    try:
        with atomic(path) as part:
            scale = np.abs(made).max(-1, keepdims=True)
            np.savez(part, leads=np.rint(made / scale * 32767).astype(np.int16), scale=scale)
    except HushError as error:
        warnings.warn(f"the synthetic ECG is not kept for the next time: {error}", stacklevel=2)
        return made
    kept = _read(path)
    assert kept is not None
    return kept  # rounded, and so the same the next time


def cache() -> Path:
    """The folder for what takes long to make: HUSH_CACHE, or ``~/.cache/hush``."""
    return Path(os.environ.get("HUSH_CACHE") or Path.home() / ".cache" / "hush")


def _read(path: Path) -> np.ndarray | None:
    """The recordings in a file; None if it is missing or damaged."""
    try:
        with np.load(path, allow_pickle=False) as file:
            leads, scale = file["leads"], file["scale"]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    expected = (SUBJECTS, LEADS, round(SECONDS * RATE))
    if leads.shape != expected or scale.shape != (*expected[:2], 1) or leads.dtype != np.int16:
        return None
    x = leads * (scale.astype(np.float32) / np.float32(32767))
    return x if np.isfinite(x).all() else None


def subject(index: int) -> np.ndarray:
    """The leads ``(LEADS, T)`` of one subject at `RATE`, float32 with unit rms."""
    rng = np.random.default_rng((VERSION, index))
    # Every rate comes once, in an order that has nothing to do with the rest.
    place = np.random.default_rng(VERSION).permutation(SUBJECTS)[index]
    pulse = SLOWEST * (FASTEST / SLOWEST) ** ((place + rng.random()) / SUBJECTS)
    irregular, ectopic, broad = rng.random(3) < (IRREGULAR, ECTOPIC, BROAD)
    varies = pulse * rng.uniform(*((0.06, 0.12) if irregular else (0.01, 0.04)))
    seed, balance = int(rng.integers(2**31)), float(rng.uniform(0.2, 2.0))
    width = rng.uniform(1.1, 1.8) if broad else rng.uniform(0.35, 0.7)
    waves = [_waves(width, rng) for _ in range(LEADS)]
    angles = ANGLES * rng.uniform(0.85, 1.15, 5) * [1, width, 1, width, 1]
    leads = np.stack([_beats(pulse, varies, balance, seed, (angles, *w)) for w in waves])
    if ectopic:
        leads = _with_ventricular(leads, pulse, rng)
    if irregular:
        leads = _warped(leads, rng)
    leads -= leads.mean(-1, keepdims=True)
    leads /= leads.std(-1, keepdims=True)
    leads += rng.uniform(0, NOISE) * rng.standard_normal(leads.shape)
    return leads.astype(np.float32)


def _waves(width: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Heights and widths of the five waves in one lead."""
    heights = HEIGHTS * rng.uniform([0.0, 0.0, 0.5, 0.0, -1.0], [2.0, 2.0, 1.3, 2.5, 2.5])
    heights[1:4] /= width**2  # the height of a wave goes with the square of its width
    widths = WIDTHS * [1, width, width, width, 1] * rng.uniform(0.85, 1.15, 5)
    return heights * rng.choice([-1, 1], p=[0.25, 0.75]), widths


def _beats(
    pulse: float,
    varies: float,
    balance: float,
    seed: int,
    waves: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> np.ndarray:
    """ECGSYN's recording ``(T,)`` at `RATE`; the same seed gives the same rhythm."""
    try:
        import neurokit2
    except ImportError:
        raise HushError(
            "the synthetic ECG needs neurokit2; run pip install 'hush-denoise[signals]', or give "
            "ECG recordings of your own"
        ) from None
    angles, heights, widths = waves
    count, first = round(SECONDS * RATE), round(SETTLED * RATE)
    made = neurokit2.ecg_simulate(
        length=first + count,
        duration=60,  # for which it makes 64 s; it only counts beats
        sampling_rate=int(RATE),
        noise=0,
        heart_rate=pulse,
        heart_rate_std=varies,
        random_state=seed,
        method="ecgsyn",
        lfhfratio=balance,
        ti=tuple(angles),
        ai=tuple(heights),
        bi=tuple(widths),
    )
    return np.resize(np.asarray(made, np.float64)[first:], count)


def _with_ventricular(leads: np.ndarray, pulse: float, rng: np.random.Generator) -> np.ndarray:
    """Leads in which some beats are premature and of ventricular shape."""
    from scipy.signal import find_peaks

    cycle = round(60 / pulse * RATE)
    loud = np.abs(leads - np.median(leads, -1, keepdims=True)).sum(0)
    at, _ = find_peaks(loud, height=0.5 * np.quantile(loud, 0.999), distance=max(1, cycle // 2))
    ectopic = np.flatnonzero(rng.random(len(at)) < rng.uniform(0.05, 0.25))
    ectopic = ectopic[np.diff(ectopic, prepend=-2) > 1]
    out = leads.copy()
    gains = rng.choice([-1, 1], len(leads)) * rng.uniform(0.6, 1.4, len(leads))
    shape = _beats(pulse, 0.5, 0.5, 1, VENTRICULAR)
    middle = int(np.abs(shape[cycle:-cycle]).argmax()) + cycle
    beat = shape[middle - cycle // 2 : middle + cycle // 2]
    beat = (beat - np.median(beat)) * _faded(len(beat), cycle // 8)
    for k in at[ectopic]:
        # The early beat takes the place of the usual one, and a pause follows.
        start, stop = k - cycle // 5 - len(beat) // 2, k + cycle // 2
        if start < 0 or stop > leads.shape[-1] or stop - start < len(beat):
            continue
        weight = _faded(stop - start, cycle // 8)
        for lead, gain in zip(out, gains, strict=True):
            rest = np.full(stop - start, np.median(lead))
            rest[: len(beat)] += gain * np.ptp(lead) / np.ptp(beat) * beat
            lead[start:stop] += weight * (rest - lead[start:stop])
    return out


def _faded(count: int, edge: int) -> np.ndarray:
    """A window of ones that rises and falls over `edge` samples."""
    ramp = np.sin(np.linspace(0, np.pi / 2, max(1, edge))) ** 2
    window = np.ones(count)
    window[: len(ramp)], window[-len(ramp) :] = ramp, ramp[::-1]
    return window


def _warped(leads: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Leads whose time goes faster and slower by turns, the same in all of them."""
    count = leads.shape[-1]
    knots = np.arange(0, count + RATE, 0.8 * RATE)
    pace = np.interp(np.arange(count), knots, rng.uniform(0.75, 1.25, len(knots)))
    at = np.cumsum(pace)
    at *= (count - 1) / at[-1]
    return np.stack([np.interp(at, np.arange(count), lead) for lead in leads])

"""Recordings of ECG to add to other signals: those that the user gives, or synthetic ones.

Synthetic ones come from ECGSYN (McSharry et al., "A dynamical model for generating synthetic
electrocardiogram signals", IEEE TBME 2003) as neurokit2 has it, with waves, widths, rates and
rhythms that differ from one to the next. They are kept in the user's cache, because making them
takes seconds. Every recording is cut to `BAND`, as SDEMG does, and has rms 1.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from hush.errors import HushError
from hush.installing import command

BAND = (10.0, 200.0)  #: Hz; an ECG reaches electrodes on the trunk in this band
COUNT, SECONDS, RATE = 64, 60, 500  #: of synthetic recordings
VERSION = 1  #: of the synthetic recordings, in the cache's name
#: ECGSYN's angles, amplitudes and widths of the waves P, Q, R, S and T
ANGLES = (-70.0, -15.0, 0.0, 15.0, 100.0)
HEIGHTS = (1.2, -5.0, 30.0, -7.5, 0.75)
WIDTHS = (0.25, 0.1, 0.1, 0.1, 0.4)
#: how draws vary: logarithm of the pace, deviation of the logarithm of the gain, share of draws
#: with noise, and its level in dB
PACE, GAIN, NOISY, FLOOR = (-0.43, 0.4), 0.5, 0.7, (-34.0, -12.0)
SHORTEST, SLOWEST = 2.0, 100.0  #: seconds, and samples a second, that a recording needs


@dataclass(frozen=True)
class Bank:
    """ECG recordings ``(T,)``, float32 of rms 1, each with its samples a second."""

    recordings: Sequence[np.ndarray]
    rates: Sequence[float]

    def draw(self, rng: np.random.Generator, length: int, rate: float) -> np.ndarray:
        """`length` samples at `rate` of a random recording, varied: float32 of rms 1.

        Its start, pace (0.65 to 1.5 times), polarity, spectrum (as another lead has), the depth of
        its breathing and the noise that came with it are random: few hearts have to stand for all.
        """
        pick = int(rng.integers(len(self.recordings)))
        step = self.rates[pick] / rate * math.exp(rng.uniform(*PACE))
        whole = self.recordings[pick]
        need = math.ceil(length * step) + 2
        if need > len(whole):  # forth and back: beats stay beats
            whole = np.tile(np.concatenate([whole, whole[::-1]]), need // len(whole) + 1)
        start = int(rng.integers(len(whole) - need + 1))
        x = np.interp(np.arange(length) * step, np.arange(need), whole[start : start + need])
        x = _other_lead(x, rate, rng)
        if rng.random() < 0.3:
            turns = rng.uniform(0.1, 0.5) / rate * np.arange(length) + rng.random()
            x = x * (1 + 0.25 * np.sin(2 * np.pi * turns))
        level = math.sqrt(float(np.mean(np.square(x)))) or 1.0
        if rng.random() < NOISY:
            x = x + level * 10 ** (rng.uniform(*FLOOR) / 20) * _coloured(length, rate, rng)
            level = math.sqrt(float(np.mean(np.square(x)))) or 1.0
        return (rng.choice((-1.0, 1.0)) / level * x).astype(np.float32)


def _other_lead(x: np.ndarray, rate: float, rng: np.random.Generator) -> np.ndarray:
    """The same beats with a smooth random gain over frequency, and sometimes another phase."""
    length = 1 << math.ceil(math.log2(max(len(x), 2)))
    spectrum = np.fft.rfft(x, length)
    frequency = np.fft.rfftfreq(length, 1 / rate)
    knots = np.log([1, 10, 20, 40, 80, 160, 600])
    gain = np.exp(np.interp(np.log(frequency + 1), knots, rng.normal(0, GAIN, len(knots))))
    turn = np.exp(1j * rng.normal(0, 0.7)) if rng.random() < 0.7 else 1.0
    made: np.ndarray = np.fft.irfft(spectrum * gain * turn, length)[: len(x)]
    return made


def _coloured(length: int, rate: float, rng: np.random.Generator) -> np.ndarray:
    """Noise of rms 1 from `BAND`'s lower end to a random upper one, sometimes in bursts."""
    spectrum = np.fft.rfft(rng.standard_normal(length))
    frequency = np.fft.rfftfreq(length, 1 / rate)
    top = math.exp(rng.uniform(math.log(40), math.log(BAND[1])))
    spectrum *= (frequency > BAND[0]) / (1 + (frequency / top) ** 8)
    x = np.fft.irfft(spectrum, length)
    if rng.random() < 0.5:
        knots = np.linspace(0, length, max(2, round(2 * length / rate)))
        x = x * np.exp(np.interp(np.arange(length), knots, rng.normal(0, 1, len(knots))))
    made: np.ndarray = x / (x.std() or 1.0)
    return made


@lru_cache(maxsize=4)
def load(path: str) -> Bank:
    """The bank in a file, or the synthetic one for an empty path.

    A file is any recording that hush reads; an .npz file may also hold ``ecg`` ``(n, T)`` or
    ``adu`` with the rate ``fs``. Raises `HushError` if it has no rate, or nothing of
    2 s at 100 Hz.
    """
    if not path:
        return synthetic_bank()
    rows, rates = _read(Path(path))
    kept = [
        (_in_band(x, rate), rate)
        for x, rate in zip(rows, rates, strict=True)
        if rate >= SLOWEST and len(x) >= SHORTEST * rate and np.ptp(x) > 0
    ]
    if not kept:
        raise HushError(
            f"{path}: holds no ECG; give recordings of {SHORTEST:g} s or more, with {SLOWEST:g} or "
            "more samples a second"
        )
    return Bank(*zip(*kept, strict=True))


def _read(path: Path) -> tuple[list[np.ndarray], list[float]]:
    """The recordings ``(T,)`` in a file, gaps cut out, and their rates."""
    from hush import io

    if path.suffix == ".npz" and (names := io.array.names_in(path)):
        key = next((k for k in ("ecg", "adu") if k in names), None)
        if key is not None and "fs" in names:
            arrays = io.array.read_all(path)
            rows = [np.asarray(x, np.float64) for x in np.atleast_2d(arrays[key])]
            return [x[np.isfinite(x)] for x in rows], [float(arrays["fs"])] * len(rows)
    record = io.read(path)
    channels = [c for c in record.context.get("layout", ()) if c.signal and c.rate]
    if not channels:
        raise HushError(
            f"{path}: does not say its samples a second; add a column time in seconds, or give a "
            "file with a rate"
        )
    found = [np.asarray(c.of(record.data), np.float64) for c in channels]
    return [x[np.isfinite(x)] for x in found], [float(c.rate) for c in channels]


def _in_band(x: np.ndarray, rate: float) -> np.ndarray:
    """A recording cut to `BAND`, of rms 1."""
    from scipy import signal

    top = min(BAND[1], 0.45 * rate)
    sos = signal.butter(3, (min(BAND[0], top / 2), top), "bandpass", fs=rate, output="sos")
    y = signal.sosfiltfilt(sos, x - x.mean())
    made: np.ndarray = (y / (np.sqrt(np.mean(np.square(y))) or 1)).astype(np.float32)
    return made


# -- synthetic recordings ----------------------------------------------------------------------


def cache_folder() -> Path:
    """Where hush keeps what can be made again: ``HUSH_CACHE``, or ``~/.cache/hush``."""
    return Path(os.environ.get("HUSH_CACHE") or Path.home() / ".cache" / "hush")


def synthetic_bank() -> Bank:
    """The synthetic recordings, from the cache if they are there."""
    from hush.io import atomic

    path = cache_folder() / f"ecg-{VERSION}.npz"
    try:
        with np.load(path, allow_pickle=False) as archive:
            rows = archive["ecg"]
        if rows.shape != (COUNT, SECONDS * RATE):
            raise ValueError("another shape")
    except (OSError, ValueError, KeyError, EOFError, BadZipFile):  # missing or damaged: made again
        made = np.stack([_in_band(synthetic(seed, SECONDS), RATE) for seed in range(COUNT)])
        rows = made.astype(np.float16)  # as they will be read the next time
        # In a folder that is read-only they are made again each time.
        with suppress(HushError), atomic(path) as part, part.open("wb") as stream:
            np.savez(stream, ecg=rows)
    return Bank([row.astype(np.float32) for row in rows], [float(RATE)] * len(rows))


def synthetic(seed: int, seconds: float = SECONDS, rate: int = RATE) -> np.ndarray:
    """One synthetic ECG ``(T,)``, float64; the seed decides its rate, rhythm and waves."""
    try:
        from neurokit2.ecg import ecg_simulate
    except ImportError:
        raise HushError(
            f"synthetic ECG needs neurokit2: {command('neurokit2', 'signals')}; or give recordings "
            "as ecg:FILE"
        ) from None
    rng = np.random.default_rng((VERSION, seed))
    heights = np.array(HEIGHTS) * np.exp(rng.normal(0, 0.4, 5))
    heights[[0, 4]] *= rng.choice((-1.0, 1.0, 1.0, 1.0), 2)  # inverted P or T waves
    heights[[1, 3]] *= rng.uniform(0, 2.5, 2)  # deep, or absent, Q and S waves
    widths = np.array(WIDTHS) * np.exp(rng.normal(0, 0.25, 5))
    if rng.random() < 0.15:  # a block: wide beats
        widths[1:4] *= rng.uniform(1.5, 2.5)
    beats = rng.uniform(48, 130)
    x = ecg_simulate(
        duration=seconds,
        sampling_rate=rate,
        noise=0,
        heart_rate=beats,
        heart_rate_std=beats * rng.uniform(0.01, 0.05),  # with more it may never return
        method="ecgsyn",
        random_state=seed,
        ti=np.array(ANGLES) + rng.normal(0, 3, 5) * [3, 1, 0, 1, 3],
        ai=heights,
        bi=widths,
    )
    x = np.asarray(x, np.float64)
    floor = np.cumsum(rng.normal(size=len(x))) if rng.random() < 0.5 else rng.normal(size=len(x))
    level = x.std() * 10 ** (rng.uniform(-55, -32) / 20)  # what electrodes add
    return x + level * (floor - floor.mean()) / (floor.std() or 1)

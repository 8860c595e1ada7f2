"""ECG recordings from which training draws interference: the user's own, or synthetic ones.

A `Bank` holds recordings at their own rates. `Bank.at` gives them at one rate, in the band of SDEMG
(Liu et al., ICASSP 2024): high-pass 10 Hz and low-pass 200 Hz. `Bank.draw` cuts a random window and
varies it as electrodes, hearts and breathing do.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from hush.errors import HushError
from hush.kinds import get
from hush.kinds.layout import filled
from hush.kinds.signal.resample import to_rate
from hush.record import Record

HIGH_PASS, LOW_PASS = 10.0, 200.0  #: band of the interference, Hz
ORDER = 3  #: of the Butterworth filters, which run forwards and backwards
SHORTEST = 2.0  #: seconds of a recording
SEAM = 0.1  #: seconds over which the end of a recording fades into its beginning
MARGIN = 0.5  #: seconds beside a window, for its filters

# -- how draws vary --
PACE = (0.75, 1.35)  #: heart rate, relative to the recording's
SECOND = 0.5  #: share of draws with a second lead of the same heart
MIX = 0.35  #: the most derivative, Hilbert transform and second lead, relative to the lead itself
OCTAVE = 3.0  #: dB, deviation of the gain at knots an octave apart
BREATH = (0.15, 0.45)  #: Hz
DEPTH = 0.2  #: the most modulation by breathing


@dataclass
class Bank:
    """ECG recordings ``(T,)``, float32, and the samples a second of each.

    hearts : a number for each recording; those with the same number and length are leads of one
        heart, recorded together. By default every recording has a heart of its own.
    """

    recordings: Sequence[np.ndarray]
    rates: Sequence[float]
    hearts: Sequence[int] = ()

    _raw: dict[float, list[np.ndarray]] = field(default_factory=dict, init=False, repr=False)
    _seen: dict[float, list[np.ndarray]] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        self.recordings = [np.asarray(x, np.float32) for x in self.recordings]
        self.hearts = list(self.hearts) or list(range(len(self.recordings)))
        if not self.recordings:
            raise HushError("a bank needs at least one ECG recording")
        if not len(self.recordings) == len(self.rates) == len(self.hearts):
            raise HushError("a bank needs a rate and a heart for every recording")
        for x, rate in zip(self.recordings, self.rates, strict=True):
            if x.ndim != 1 or not np.isfinite(x).all() or not np.ptp(x) > 0:
                raise HushError("an ECG recording is one row of finite values that vary")
            if len(x) < SHORTEST * rate:
                raise HushError(
                    f"an ECG recording of {len(x) / rate:.2g} s is too short; it needs "
                    f"{SHORTEST:g} s"
                )

    def __len__(self) -> int:
        return len(self.recordings)

    # -- sources ---------------------------------------------------------------------------------

    @classmethod
    def of(cls, source: str | os.PathLike[str] = "synthetic", rate: float | None = None) -> Bank:
        """The bank in a file, or of synthetic recordings.

        source : ``synthetic``, a file in any signal format, or a .npz with the samples a second
            as ``fs`` or ``rate`` and recordings as arrays ``(T,)`` or ``(n, T)``.
        rate : samples a second of a file that does not state it.
        """
        if os.fspath(source) == "synthetic":
            return cls.synthetic()
        path = Path(source)
        if path.suffix == ".npz":
            return _from_npz(path, rate)
        from hush.io import read

        return cls.from_record(read(path), rate)

    @classmethod
    def synthetic(cls) -> Bank:
        """The built-in bank; see `hush.kinds.signal.synthetic`."""
        from hush.kinds.signal import synthetic

        leads = synthetic.recordings()
        hearts = np.repeat(np.arange(len(leads)), leads.shape[1])
        rows = leads.reshape(-1, leads.shape[-1])
        return cls(list(rows), [synthetic.RATE] * len(rows), hearts.tolist())

    @classmethod
    def from_record(cls, record: Record, rate: float | None = None) -> Bank:
        """The channels of a recording that vary, as leads of one heart; gaps are filled."""
        kind = get("signal")
        batch = kind.batch(record if record.kind == kind.name else _as_signal(record))
        name = record.source or "the ECG recording"
        rows: list[np.ndarray] = []
        rates: list[float] = []
        for i in range(len(batch)):
            known, about = batch.known(i), batch.about(i)
            if not known.any():
                continue
            x = filled(batch.floats(i), known)[0]
            if not np.ptp(x) > 0:
                continue
            stated = about.get("rate") or rate
            if not stated:
                raise HushError(f"{name}: does not state its rate in samples a second; give it")
            rows.append(x)
            rates.append(float(stated))
        if not rows:
            raise HushError(f"{name}: has no channel that varies")
        return cls(rows, rates, [0] * len(rows))

    # -- at one rate -----------------------------------------------------------------------------

    def at(self, rate: float) -> list[np.ndarray]:
        """The recordings at `rate`, float32 in the band, with unit rms."""
        if rate not in self._seen:
            self._seen[rate] = [
                _scaled(_filtered(x, rate, np.ones(len(x) // 2 + 1))) for x in self._at(rate)
            ]
        return self._seen[rate]

    def draw(self, rng: np.random.Generator, length: int, rate: float) -> np.ndarray:
        """A window of interference, float32 ``(length,)`` in the band, with unit rms.

        A random recording from a random place on, upside down half of the time, and varied: its
        heart rate, its leads and their filters, and its height as the chest breathes. A recording
        that is shorter begins again.
        """
        raw = self._at(rate)
        hearts = np.asarray(self.hearts)
        heart = rng.choice(np.unique(hearts))
        first = int(rng.choice(np.flatnonzero(hearts == heart)))
        others = [
            i
            for i in np.flatnonzero(hearts == heart)
            if i != first and len(raw[i]) == len(raw[first])
        ]
        lead = raw[first]
        if others and rng.random() < SECOND:
            lead = lead + np.float32(rng.uniform(-MIX, MIX)) * raw[int(rng.choice(others))]
        margin = round(MARGIN * rate)
        pace = np.exp(rng.uniform(*np.log(PACE)))
        at = rng.uniform(0, len(lead)) + pace * np.arange(length + 2 * margin)
        x = np.interp(at, np.arange(len(lead) + 1), np.append(lead, lead[0]), period=len(lead))
        x = _filtered(x, rate, _lead_filter(len(x), rate, rng))[margin : margin + length]
        breath = rng.uniform(*BREATH) * np.arange(length) / rate + rng.random()
        x = x * (1 + rng.uniform(0, DEPTH) * np.sin(2 * np.pi * breath))
        return _scaled(x * rng.choice([-1, 1]))

    def _at(self, rate: float) -> list[np.ndarray]:
        """The recordings at `rate` with unit rms, unfiltered; their ends meet."""
        if rate not in self._raw:
            pairs = zip(self.recordings, self.rates, strict=True)
            centred = [(_scaled(x - x.mean()), own) for x, own in pairs]
            self._raw[rate] = [_closed(to_rate(x, own, rate), rate) for x, own in centred]
        return self._raw[rate]


def _lead_filter(count: int, rate: float, rng: np.random.Generator) -> np.ndarray:
    """A random filter for ``rfft`` of `count` samples, as another lead would have it.

    The lead itself with some of its derivative and of its Hilbert transform, and a gain that varies
    smoothly over the octaves.
    """
    frequencies = np.fft.rfftfreq(count, 1 / rate)
    slope, shift = rng.uniform(-MIX, MIX, 2)
    # The derivative has the weight of the lead itself at 30 Hz, where a QRS complex has its power.
    made = 1 + slope * 1j * frequencies / 30 - shift * 1j
    knots = HIGH_PASS * 2.0 ** np.arange(6)
    octaves = np.log2(np.maximum(frequencies, 1e-3) / HIGH_PASS)
    decibels = np.interp(octaves, np.log2(knots / HIGH_PASS), OCTAVE * rng.standard_normal(6))
    return np.asarray(made * 10 ** (decibels / 20))


def _filtered(x: np.ndarray, rate: float, response: np.ndarray) -> np.ndarray:
    """`x` ``(T,)`` through a filter and the band; its ends are taken to meet."""
    with np.errstate(divide="ignore"):
        frequencies = np.fft.rfftfreq(len(x), 1 / rate)
        band = 1 / (1 + (HIGH_PASS / frequencies) ** (2 * ORDER))
    if rate > 2 * LOW_PASS:
        band /= 1 + (frequencies / LOW_PASS) ** (2 * ORDER)
    ends = np.linspace(x[0], x[-1], len(x))  # a step from one end to the other would ring
    return np.fft.irfft(np.fft.rfft(x - ends) * response * band, len(x))


def _closed(x: np.ndarray, rate: float) -> np.ndarray:
    """`x` ``(T,)``, shortened so that its end fades into its beginning."""
    seam = max(1, min(round(SEAM * rate), len(x) // 4))
    share = np.linspace(0, 1, seam, endpoint=False, dtype=np.float32)
    kept = x[:-seam].copy()
    kept[:seam] = share * x[:seam] + (1 - share) * x[-seam:]
    return kept


def _scaled(x: np.ndarray) -> np.ndarray:
    """`x` with unit rms, float32."""
    rms = float(np.sqrt(np.mean(np.square(x, dtype=np.float64)))) or 1.0
    return (x / rms).astype(np.float32)


def _from_npz(path: Path, rate: float | None) -> Bank:
    """The recordings in a .npz: every row of its numeric arrays is one, with a heart of its own."""
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {key: file[key] for key in file.files}
    except (OSError, ValueError, EOFError) as error:
        raise HushError(f"{path}: cannot be read as .npz: {error}") from error
    stated: Any = next((arrays[key] for key in ("fs", "rate") if key in arrays), rate)
    if stated is None or np.size(stated) != 1 or not float(np.ravel(stated)[0]) > 0:
        raise HushError(f"{path}: has no 'fs' with the samples a second of its recordings")
    usual = [arrays[key] for key in ("ecg", "adu") if key in arrays]
    found = usual or [
        x for key, x in arrays.items() if key not in ("fs", "rate") and x.dtype.kind in "iuf"
    ]
    rows = [row for x in found if x.ndim in (1, 2) for row in np.atleast_2d(x)]
    if not rows:
        raise HushError(f"{path}: has no ECG; store it as 'ecg', an array (T,) or (n, T)")
    return Bank(rows, [float(np.ravel(stated)[0])] * len(rows))


def _as_signal(record: Record) -> Record:
    """A record that was read as another kind, such as an array, as a signal."""
    kind = get("signal")
    return Record(record.data, kind.axes(record.data.shape), kind.name, context=record.context)

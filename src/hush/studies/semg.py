"""MID on surface EMG that picked up an ECG (figure 15), by SDEMG's protocol.

Clean EMG and ECG are added at a stated SNR, y = x + s·n with s = √(P_x / (10^(SNR/10) P_n)): EMG of
20–500 Hz at 1 kHz in segments of 10 s, scaled by the largest |x|, and ECG of 10–200 Hz. Training
has SNRs of −5 to −15 dB. The test has other subjects, channels and movements, other hearts and its
own SNRs. Which these are follows from the names of what the folder holds (`split`, `split_hearts`).

Every segment gets the same heart at every SNR. The case ``snr=clean`` has no ECG: there is nothing
to remove.

Learned rows are trained for the same time on the same noisy segments; ``fcn``, ``sdemg`` and
``mid:clean`` are shown the clean ones. The filters' settings are the best ones on those segments.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING
from zlib import crc32

import numpy as np
from scipy.signal import resample_poly

from hush.errors import HushError
from hush.noise.bank import synthetic_bank
from hush.noise.ecg import ECG
from hush.studies.core import Case, Find, Metric, Note, Study, ignore
from hush.studies.emgdata import (
    RATE,
    SEGMENT,
    Heart,
    Recording,
    find_ecg,
    find_emg,
    natural,
    read_emg,
    usable,
)
from hush.studies.folders import keep_apart
from hush.studies.ledger import Ledger
from hush.studies.sample import Sample
from hush.studies.table import groups
from hush.studies.trained import Recipe, Training
from hush.tasks import emg

if TYPE_CHECKING:
    from hush.denoiser import Denoiser

SIZE = round(SEGMENT * RATE)  #: samples in a segment
#: dB: those of the test, those beside them, and the range of the training
LEVELS, WIDE, TRAINED = (-12, -10, -8, -6), (0, -2, -4, -14), (-15.0, -5.0)
CLEAN = "clean"  #: ``snr`` of the case without an ECG
#: the last share of subjects and of channels, and every so many-th heart, are tested
SUBJECTS, CHANNELS, HEARTS = 3 / 8, 3 / 10, 3
#: the most segments to test and to train on, evenly chosen
TEST_MOST, TRAIN_MOST, QUICK_COUNT = 200, 1000, 12
#: seconds of training for each method
BUDGET, QUICK_BUDGET = 600.0, 100.0
BANK = "bank.npz"  #: the training hearts, beside the models


# -- the split -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Segment:
    """`SIZE` samples of one channel of a recording."""

    recording: Recording
    column: int
    start: int

    @property
    def name(self) -> str:
        """The subject comes first, see `subject_of`."""
        r = self.recording
        channel, second = r.columns[self.column] + 1, round(self.start / RATE)
        return f"{r.subject}/{r.name}/channel {channel}/{second} s"


def subject_of(name: str) -> str:
    """The subject of a sample, from its name."""
    return name.partition("/")[0]


def segments(recordings: Iterable[Recording], columns: slice = slice(None)) -> list[Segment]:
    """All whole segments of some columns of recordings, in order."""
    return [
        Segment(r, column, start)
        for r in recordings
        for column in range(len(r.columns))[columns]
        for start in range(0, r.length - SIZE + 1, SIZE)
    ]


def split(recordings: Sequence[Recording]) -> tuple[list[Segment], list[Segment]]:
    """Segments to train on and to test on: no subject, channel or recording's name is in both.

    Tested are the last 3/8 of the subjects, the last 3/10 of each one's channels, and recordings
    with names that begin with "test", otherwise those with the last name; of each at least one.
    What there is only one of is in both. `HushError` for a single subject.
    """
    subjects = sorted({r.subject for r in recordings}, key=natural)
    names = sorted({r.name for r in recordings}, key=natural)
    if len(subjects) < 2:
        raise HushError("one subject cannot be split; give --train a folder with others")
    tested = set(subjects[-max(1, int(SUBJECTS * len(subjects))) :])
    called = {n for n in names if n.lower().startswith("test")}
    if not called or len(called) == len(names):
        called = {names[-1]}
    apart = len(names) > 1
    train, test = [], []
    for r in recordings:
        count = len(r.columns)
        kept = count - max(1, int(CHANNELS * count))
        if r.subject in tested:
            if r.name in called:
                test += segments([r], slice(kept, None))
        elif not (apart and r.name in called):
            train += segments([r], slice(kept or None))
    return train, test


def split_hearts(hearts: Sequence[Heart]) -> tuple[list[Heart], list[Heart]]:
    """Hearts to train on and to test on: every third is tested, or the last of two."""
    if len(hearts) < 2:
        raise HushError("one ECG subject cannot be split; give --data two or more")
    chosen = range(len(hearts))[HEARTS - 1 :: HEARTS] or range(len(hearts))[-1:]
    train = [heart for i, heart in enumerate(hearts) if i not in chosen]
    return train, [hearts[i] for i in chosen]


def thinned(found: Sequence[Segment], most: int) -> list[Segment]:
    """At most so many segments, evenly chosen."""
    if len(found) <= most:
        return list(found)
    return [found[i] for i in np.linspace(0, len(found) - 1, most).round().astype(int)]


# -- the samples -----------------------------------------------------------------------------


def mixed(
    found: Sequence[Segment], hearts: Sequence[Heart], snr: float | None, seed: int
) -> Iterator[Sample]:
    """Segments with an ECG at this SNR in dB, None for a random one of the training's range.

    The heart and its part are drawn once for a seed and a segment's name. Segments that are flat or
    clipped are left out. An infinite SNR adds none.
    """
    for segment in found:
        where = slice(segment.start, segment.start + SIZE)
        x, stored, active = read_emg(segment.recording)
        clean = x[where, segment.column]
        if len(clean) < SIZE or not usable(stored[where, segment.column]):
            continue
        clean = (clean / np.abs(clean).max()).astype(np.float32)
        rng = np.random.default_rng([seed, crc32(segment.name.encode())])
        heart = hearts[int(rng.integers(len(hearts)))]
        start = int(rng.choice(heart.starts))
        level = rng.uniform(*TRAINED) if snr is None else snr
        noise = scaled(heart.ecg[start : start + SIZE], clean, level)
        works = None if active is None else active[where]
        if works is not None and not works.any():
            works = None  # at rest throughout: the envelope decides
        about = {"active": works}
        noisy = (clean + noise).astype(np.float32)
        yield Sample(segment.name, noisy[None], clean[None], about=about)


def scaled(noise: np.ndarray, x: np.ndarray, snr: float) -> np.ndarray:
    """`noise` scaled so that `x` has this SNR in dB."""
    power, of_noise = (float(np.mean(np.square(a, dtype=np.float64))) for a in (x, noise))
    return np.sqrt(power / (10 ** (snr / 10) * of_noise)) * noise.astype(np.float64)


def write_bank(hearts: Sequence[Heart], path: Path) -> None:
    """Write hearts as an .npz file: ``ecg`` ``(N, T)``, float32, NaN after the shorter, and ``fs``.

    These are the parts fit for use; a heart with several has several rows. Few hearts do not stand
    for others, so as many rows again are synthetic, of hush's own bank.
    """
    parts = [heart.ecg[a : b + SIZE] for heart in hearts for a, b in _runs(heart.starts)]
    own = synthetic_bank()
    ratio = Fraction(RATE / own.rates[0])
    made = [resample_poly(x, ratio.numerator, ratio.denominator) for x in own.recordings]
    parts = parts * max(1, round(len(made) / len(parts))) + made
    ecg = np.full((len(parts), max(map(len, parts))), np.nan, np.float32)
    for row, part in zip(ecg, parts, strict=True):
        row[: len(part)] = part
    with path.open("wb") as file:
        np.savez(file, ecg=ecg, fs=RATE)


def _runs(starts: np.ndarray) -> Iterator[tuple[int, int]]:
    """The first and last of starts that follow each other by a second."""
    for run in np.split(starts, np.flatnonzero(np.diff(starts) > RATE) + 1):
        yield int(run[0]), int(run[-1])


# -- the rows --------------------------------------------------------------------------------

_OURS = Recipe("mid", {"ladder": "ecg", "rate": RATE}, files={"bank": BANK})
RECIPES = {
    "highpass": Recipe("highpass", {"rate": RATE}, choices=("cutoff", tuple(range(20, 101, 10)))),
    "template": Recipe("template", {"rate": RATE}),
    "wavelet": Recipe(
        "wavelet",
        {"rate": RATE, "remove": "interference"},
        choices=("threshold", (1.0, 1.5, 2.0, 3.0, 4.0)),
    ),
    "fcn": Recipe("fcn", {"rate": RATE}, supervised=True),
    "sdemg": Recipe("sdemg", {"rate": RATE}, supervised=True),
    "mid": _OURS,
    "mid:clean": replace(_OURS, corpus=True),
    "mid:unet": replace(_OURS, fields={**_OURS.fields, "net": "unet"}),
}


@lru_cache(maxsize=1)
def _shipped() -> Denoiser:
    from hush.models import load, shipped

    name = shipped("mid", 1, "signal", ECG())
    assert name is not None
    return load(name).replace(rate=RATE)


def shipped_model(sample: Sample) -> np.ndarray:
    """The row ``mid:shipped``: the shipped model, trained for longer, on such a part."""
    return _shipped().restored(sample.noisy)


# -- the scores ------------------------------------------------------------------------------


def _improvement(result: np.ndarray, sample: Sample) -> float:
    return emg.snr_improvement(result, sample.reference, sample.noisy)


def _arv(result: np.ndarray, reference: np.ndarray) -> float:
    return emg.arv_rmse(result[0], reference[0], RATE)


def _mf(result: np.ndarray, sample: Sample) -> float:
    return emg.mf_rmse(result[0], sample.reference[0], RATE, sample.about["active"])


def _change(result: np.ndarray, reference: np.ndarray) -> float:
    """Power of what was changed in clean EMG over its own, in dB."""
    return -emg.snr(result, reference)


METRICS = (
    Metric("snrimp", _improvement, by_sample=True),
    Metric("snr", emg.snr, judge=False),
    Metric("rmse", emg.rmse, higher_is_better=False, digits=4),
    Metric("prd", emg.prd, higher_is_better=False, digits=1),
    Metric("arv", _arv, higher_is_better=False, digits=5),
    Metric("mf", _mf, higher_is_better=False, digits=1, by_sample=True),
    Metric("change", _change, higher_is_better=False, judge=False),
)
IN_CLEAN = ("change", "arv", "mf")
IN_NOISY = tuple(m.name for m in METRICS if m.name != "change")


# -- the cases -------------------------------------------------------------------------------


def semg_cases(
    data: Path,
    *,
    quick: bool,
    only: str | None,
    train: Path | None = None,
    note: Note = ignore,
) -> list[Case]:
    """A case for each SNR and one without an ECG, for each set of EMG recordings."""
    found, hearts = find_emg(data, only, note), find_ecg(data, note)
    lessons = segments(r for _, of in find_emg(train, note=note) for r in of) if train else []
    keep_apart([s.recording.path for s in lessons], [r.path for _, of in found for r in of])
    if train and not lessons:
        raise HushError(f"{train} contains no EMG; give --train a folder laid out like --data")
    if not found:
        some = f" in a folder like '{only}'" if only else ""
        raise HushError(
            f"{data} contains no EMG{some}; give --data a folder with signals/NAME/*.npz or "
            "NINAPro's .mat files"
        )
    taught = find_ecg(train, note) if train else []
    _keep_hearts_apart(taught, hearts)
    if not (hearts or taught):
        raise HushError(
            f"{data} contains no ECG; give --data a folder with nsrdb_*.npz or WFDB records too"
        )
    if not (hearts and taught):
        taught, hearts = split_hearts(hearts or taught)
    cases: list[Case] = []
    reasons: list[str] = []
    for name, recordings in found:
        long = _long(name, recordings, note)
        try:
            if not long:
                raise HushError(f"its recordings are shorter than {SEGMENT} s")
            own, test = (lessons, segments(long)) if train else split(long)
            if not (own and test):
                raise HushError(
                    "subjects have other recordings, and no split of them has both parts; give "
                    "--train a folder to train on"
                )
        except HushError as e:
            reasons.append(f"{name} is left out: {e}")
            note(reasons[-1])
            continue
        test = thinned(test, QUICK_COUNT if quick else TEST_MOST)
        note(f"{name} is tested on {_words(test, hearts)}")
        where = f" of {train.name}" if train else ""
        cases += _cases(name, thinned(own, TRAIN_MOST), test, (taught, hearts), where, quick)
    if not cases:
        raise HushError("; ".join(reasons))
    return cases


def _long(name: str, recordings: Sequence[Recording], note: Note) -> list[Recording]:
    """The recordings with a whole segment, which alone are split; `note` gets the others."""
    long = [r for r in recordings if r.length >= SIZE]
    for r in recordings if long else ():
        if r.length < SIZE:
            note(f"{name}: {r.subject}/{r.name} is left out: it is shorter than {SEGMENT} s")
    return long


def _keep_hearts_apart(train: Sequence[Heart], test: Sequence[Heart]) -> None:
    """`HushError` if an ECG would be both trained on and tested on."""
    taught = {heart.subject: heart.ecg for heart in train}
    for heart in test:
        if heart.subject in taught and np.array_equal(taught[heart.subject], heart.ecg):
            raise HushError(
                f"the ECG of {heart.subject} would be both trained on and tested on; take the ECG "
                "out of --train, and that of --data is split"
            )


def _cases(
    name: str,
    lessons: Sequence[Segment],
    test: Sequence[Segment],
    hearts: tuple[Sequence[Heart], Sequence[Heart]],
    where: str,
    quick: bool,
) -> Iterator[Case]:
    taught, tested = hearts
    training = Training(
        name=f"{name};train={len(lessons)}{where}",
        samples=partial(mixed, lessons, taught, None),
        recipes=RECIPES,
        budget=QUICK_BUDGET if quick else BUDGET,
        kind="signal",
        files={BANK: partial(write_bank, taught)},
    )
    wide = () if quick else WIDE
    for snr in (*LEVELS, *wide, np.inf):
        settings = {
            "data": name,
            "set": "wide" if snr in wide else "",
            "snr": f"{snr:g}" if np.isfinite(snr) else CLEAN,
            "train": f"{len(lessons)}{where}",
            "subset": f"{len(test)}x{SEGMENT}s" if quick else "",
        }
        yield Case(
            settings={k: v for k, v in settings.items() if v},
            samples=partial(mixed, test, tested, snr),
            count=len(test),
            training=training,
            kind="signal",
            metrics=IN_NOISY if np.isfinite(snr) else IN_CLEAN,
        )


def _words(test: Sequence[Segment], hearts: Sequence[Heart]) -> str:
    """What is tested, in words."""
    subjects = dict.fromkeys(s.recording.subject for s in test)
    names = dict.fromkeys(s.recording.name for s in test)
    channels = sorted({s.recording.columns[s.column] + 1 for s in test})
    return (
        f"subjects {', '.join(subjects)}, recordings {', '.join(names)}, channels "
        f"{', '.join(map(str, channels))}, ECG of {', '.join(h.subject for h in hearts)}"
    )


# -- figure 15 -------------------------------------------------------------------------------


def draw(cases: Sequence[Case], find: Find, path: Path, *, quick: bool) -> None:
    """Write ``NAME.snr.png``: SNR improvement against the input's SNR, a line for each method."""
    from matplotlib.figure import Figure

    from hush.io import atomic

    lines: dict[str, dict[str, list[tuple[float, float, float]]]] = {}
    for case in cases:
        if case.settings["snr"] == CLEAN:
            continue
        for rows in groups(SEMG, Ledger(path), [case]).values():
            for row in rows:
                point = (float(case.settings["snr"]), row.mean("snrimp"), row.error("snrimp"))
                if np.isfinite(point[1]) and row.label != "none":
                    of = lines.setdefault(case.settings["data"], {})
                    of.setdefault(row.label, []).append(point)
    if not lines:
        raise HushError("there is no SNR improvement to draw")
    figure = Figure(figsize=(6.4 * len(lines), 4.2), layout="constrained")
    panels = figure.subplots(1, len(lines), squeeze=False)[0]
    for axes, (name, of) in zip(panels, lines.items(), strict=True):
        for shift, (label, points) in enumerate(of.items()):
            x, y, error = np.transpose(sorted(points))
            x = x + 0.06 * (shift - len(of) / 2)  # so that bars do not hide each other
            axes.errorbar(x, y, np.nan_to_num(error), label=label, marker=".", capsize=2)
        axes.set(title=name, xlabel="SNR of the input, dB", ylabel="SNR improvement, dB")
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False, fontsize="small")
    with atomic(path.with_suffix(".snr.png")) as partial_file:
        figure.savefig(partial_file, dpi=150, format="png")


SEMG = Study(
    name="mid/semg",
    title="MID on surface EMG: an ECG is removed (figure 15)",
    cases=semg_cases,
    methods=("none", *RECIPES, "mid:shipped"),
    rows={"mid:shipped": shipped_model},
    references=("mid:shipped",),
    metrics=METRICS,
    picture=draw,
    group=subject_of,
)

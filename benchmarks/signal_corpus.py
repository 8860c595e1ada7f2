"""Write what the shipped models for signals are trained on.

    python benchmarks/signal_corpus.py corpus/
    hush train corpus/emg --rate 1000 --corpus --set ladder=ecg --set bank=corpus/ecg.npz \
        --set snr=-20,6 --max-steps 6000 -o mid-emg.safetensors

    hush train corpus/any corpus/emg --kind signal --corpus --set batch=8 --max-steps 4000 \
        -o mid-signal.safetensors

corpus/emg: all channels of the subjects and recordings that `hush study mid/semg` trains on; those
that it tests stay unseen. corpus/ecg.npz: the hearts that it trains on, and as many synthetic ones.
corpus/any: synthetic ECG and breathing at 125, 250 and 500 Hz, and those hearts at 128 Hz.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import numpy as np
from scipy.signal import resample_poly

from hush.noise.bank import COUNT, RATE, load, synthetic
from hush.studies.emgdata import find_ecg, find_emg, read_emg
from hush.studies.semg import SIZE, split, split_hearts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    data = Path(os.environ.get("HUSH_DATA", "../shared/data"))
    parser.add_argument("--data", type=Path, default=data)
    given = parser.parse_args()
    (given.folder / "emg").mkdir(parents=True, exist_ok=True)
    recordings = [r for _, found in find_emg(given.data) for r in found]
    train, _ = split(recordings)
    for recording in {id(s.recording): s.recording for s in train}.values():
        x, _, _ = read_emg(recording)
        name = f"{recording.subject}_{recording.name}.npy"
        np.save(given.folder / "emg" / name, np.ascontiguousarray(x.T.astype(np.float32)))
    hearts, _ = split_hearts(find_ecg(given.data))
    # Some recordings begin with a calibration pulse; `starts` knows where they are fit for use.
    usable = [h.ecg[h.starts.min() : h.starts.max() + SIZE] for h in hearts]
    real = [resample_poly(x, RATE, 1000) for x in usable]
    length = max(map(len, real))
    made = [x[:length] for x in load("").recordings[:COUNT]]
    rows = [np.pad(x / x.std(), (0, length - len(x)), constant_values=np.nan) for x in real] + made
    repeats = max(1, len(made) // (2 * len(real)))
    rows = rows[: len(real)] * repeats + rows[len(real) :]
    (given.folder / "any").mkdir(exist_ok=True)
    for i, x in enumerate(usable):
        np.save(given.folder / "any" / f"heart{i}.npy", resample_poly(x, 16, 125))
    for i in range(48):
        x = synthetic(1000 + i)
        time = np.arange(len(x)) / RATE
        rng = np.random.default_rng(i)
        breath = np.sin(2 * np.pi * (rng.uniform(0.15, 0.4) * time + 0.3 * np.sin(time / 9)))
        x = x / x.std() + rng.uniform(0, 1.5) * breath
        x = resample_poly(x, 1, (1, 2, 4)[i % 3])
        np.save(given.folder / "any" / f"synthetic{i}.npy", x.astype(np.float32))
    np.savez(given.folder / "ecg.npz", ecg=np.stack(rows).astype(np.float32), fs=float(RATE))


if __name__ == "__main__":
    main()

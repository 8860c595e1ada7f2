"""Write what the shipped model mid-emg is trained on: clean EMG, and a bank of ECG.

    python benchmarks/emg_corpus.py corpus/
    hush train corpus/emg --rate 1000 --corpus --set ladder=ecg --set bank=corpus/ecg.npz \
        --set snr=-20,6 --max-steps 6000 -o mid-emg.safetensors

EMG: all channels of the subjects and recordings that `hush study mid/semg` trains on; those that it
tests stay unseen. ECG: the hearts that it trains on, and as many synthetic ones.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import numpy as np
from scipy.signal import resample_poly

from hush.noise.bank import COUNT, RATE, load
from hush.studies.emgdata import find_ecg, find_emg, read_emg
from hush.studies.semg import split, split_hearts


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
    real = [resample_poly(h.ecg, RATE, 1000) for h in hearts]
    length = min(map(len, real))
    made = load("").recordings[:COUNT]
    rows = [x[:length] / x.std() for x in real] + [x[:length] for x in made]
    repeats = max(1, len(made) // (2 * len(real)))
    rows = rows[: len(real)] * repeats + rows[len(real) :]
    np.savez(given.folder / "ecg.npz", ecg=np.stack(rows).astype(np.float32), fs=float(RATE))


if __name__ == "__main__":
    main()

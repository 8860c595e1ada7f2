"""Draw surface EMG with an ECG in it before and after: the README's picture.

    python benchmarks/emg_picture.py docs/images/emg.png --data DIR

Seconds of a segment that `hush study mid/semg` tests, at −8 dB.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import hush
from hush.studies.emgdata import RATE
from hush.studies.semg import SEMG

SEGMENT, SECONDS = 20, (2.0, 8.0)


def main() -> None:
    from matplotlib.figure import Figure

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", default=None)
    given = parser.parse_args()
    cases = SEMG.cases(given.data, quick=False, only=None)
    case = next(c for c in cases if c.settings["snr"] == "-8")
    sample = list(case.samples(0))[SEGMENT]
    options = {"context": {"rate": RATE}, "noise": "ecg", "model": given.model}
    after = hush.denoise(sample.noisy[0], kind="signal", **options)
    where = slice(*(round(s * RATE) for s in SECONDS))
    rows = {
        "EMG with an ECG": (sample.noisy[0], "#1f5fc4"),
        "hush denoise --noise ecg": (after, "#c4511a"),
        "what the EMG was": (sample.reference[0], "#555555"),
    }
    figure = Figure(figsize=(9, 4.2), layout="constrained")
    panels = figure.subplots(len(rows), sharex=True, sharey=True)
    time = [i / RATE for i in range(where.stop - where.start)]
    for panel, (title, (x, colour)) in zip(panels, rows.items(), strict=True):
        panel.plot(time, x[where], color=colour, linewidth=0.6)
        panel.set_title(title, loc="left", fontsize=9)
        panel.spines[["top", "right"]].set_visible(False)
        panel.set_yticks([])
    panels[-1].set_xlabel("seconds")
    figure.savefig(given.out, dpi=110)


if __name__ == "__main__":
    main()

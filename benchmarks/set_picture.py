"""Draw points and segments before and after: the README's picture.

    python benchmarks/set_picture.py docs/images/sets.png --data DIR

Points of a scene that `hush study mid/lines` tests, and segments of a photograph that
`hush study mid/vanishing-points` tests.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

import hush
from hush.studies.vpdata import find_albums
from hush.tasks.geometry.scenes import line_scene

LINES, SEED, PHOTO = 6, 10, 12
INK, RED = "#1f5fc4", "#c4511a"


def drawn(panel: Any, x: np.ndarray, kept: np.ndarray, colour: str) -> None:
    """Points ``(N, 2)`` or segments ``(N, 4)``."""
    if x.shape[1] == 2:
        panel.scatter(*x[kept].T, s=3, color=colour, linewidths=0)
    else:
        ends = x[kept].reshape(-1, 2, 2)
        panel.plot(ends[..., 0].T, ends[..., 1].T, color=colour, linewidth=0.8)
        panel.set_ylim(480, 0)
        panel.set_xlim(0, 640)
    panel.set_aspect("equal")
    panel.set_xticks([])
    panel.set_yticks([])


def main() -> None:
    from matplotlib.figure import Figure

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    given = parser.parse_args()
    points = line_scene(np.random.default_rng(SEED), LINES).points
    album = find_albums(given.data)[0]
    segments = next(album.read(album.test[PHOTO : PHOTO + 1])).record.data
    figure = Figure(figsize=(9, 6), layout="constrained")
    panels = figure.subplots(2, 3)
    titles = ("before", "hush denoise", "what was removed")
    for row, x, kind in zip(panels, (points, segments), ("points", "segments"), strict=True):
        kept = hush.run(np.asarray(x, np.float64), kind=kind).items[0].kept
        assert kept is not None
        every = np.ones(len(x), bool)
        shown = ((every, "#555555"), (kept, INK), (~kept, RED))
        for panel, title, (mask, colour) in zip(row, titles, shown, strict=True):
            drawn(panel, x, mask, colour)
            panel.set_title(f"{title}: {mask.sum()} {kind}", loc="left", fontsize=9)
    figure.savefig(given.out, dpi=110)


if __name__ == "__main__":
    main()

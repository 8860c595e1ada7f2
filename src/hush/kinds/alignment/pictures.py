"""Pictures of alignments."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from hush.io.residues import NONE, STATES

MOST = 400  #: rows that a picture shows


def preview(before: Sequence[np.ndarray], after: Sequence[np.ndarray], path: Path) -> None:
    """Write a PNG of up to four alignments, tokens ``(n, L)``, before and after; gaps are white."""
    from matplotlib import colormaps
    from matplotlib.figure import Figure

    colours = colormaps["turbo"].resampled(NONE).with_extremes(over="white")
    figure = Figure(figsize=(3 * len(before[:4]), 6), layout="constrained")
    panels = figure.subplots(2, len(before[:4]), squeeze=False)
    for line, every in zip(panels, (before, after), strict=True):
        for panel, rows in zip(line, every, strict=False):
            panel.imshow(
                STATES[rows[:MOST]],
                colours,
                aspect="auto",
                interpolation="nearest",
                vmin=-0.5,
                vmax=NONE - 0.5,
            )
    figure.savefig(path, dpi=100)

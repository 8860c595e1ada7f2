"""Pictures of sets."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from hush.kinds.points import Points


def preview(
    kind: Points, before: Sequence[np.ndarray], after: Sequence[np.ndarray], path: Path
) -> None:
    """Write a PNG of up to four sets ``(n, d)`` before and after.

    Of correspondences, the lines from the points of one picture to those of the other.
    """
    from matplotlib.collections import LineCollection
    from matplotlib.figure import Figure

    figure = Figure(figsize=(3 * len(before[:4]), 6), layout="constrained")
    panels = figure.subplots(2, len(before[:4]), squeeze=False)
    for row, sets in zip(panels, (before, after), strict=True):
        for panel, x in zip(row, sets, strict=False):
            if kind.pixels:
                lines = list(x[:, :4].reshape(-1, 2, 2))
                panel.add_collection(LineCollection(lines, linewidths=0.5))
                panel.autoscale()
                panel.invert_yaxis()
            else:
                panel.scatter(x[:, 0], x[:, 1], s=2)
            panel.set_aspect("equal")
    figure.savefig(path, dpi=100)

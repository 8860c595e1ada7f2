"""Sheets of panels with labels, as small PNG files, for the gallery."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.font_manager import findfont
from PIL import Image, ImageDraw, ImageFont

ZOOM, GAP, BAR = 2, 6, 24  #: pixels: of a sample, between panels, and of the labels' lines
INK, RED, GRAY = "#1f5fc4", "#c4511a", "#555555"
GAINS = (0.25, 0.5, 1, 2, 3, 5, 10)
NAMES = ("before", "hush denoise", "reference", "removed")


def compared(before: np.ndarray, after: np.ndarray, reference: np.ndarray) -> dict[str, np.ndarray]:
    """Panels by label, in units of one range; `removed` is around the middle of it, amplified so
    that four of its standard deviations reach the ends."""
    difference = before.astype(np.float64) - after
    gain = max((g for g in GAINS if 8 * g * difference.std() <= 1), default=GAINS[0])
    removed = 0.5 + gain * difference
    names = [*NAMES[:3], f"removed, × {gain:g}"]
    return dict(zip(names, (before, after, reference, removed), strict=True))


def sheet(*rows: Mapping[str, np.ndarray]) -> Image.Image:
    """Rows of panels ``(H, W)`` or ``(H, W, 3)``, 0 to 1, each under its label."""
    font = ImageFont.truetype(findfont("DejaVu Sans"), 14)
    first = list(rows[0].values())
    height, width = (ZOOM * n for n in first[0].shape[:2])
    colour = any(panel.ndim == 3 for row in rows for panel in row.values())
    columns = max(len(row) for row in rows)
    size = (columns * (width + GAP) - GAP, len(rows) * (height + BAR))
    made = Image.new("RGB" if colour else "L", size, "white")
    draw = ImageDraw.Draw(made)
    for i, row in enumerate(rows):
        for j, (name, panel) in enumerate(row.items()):
            tile = Image.fromarray(np.rint(255 * np.clip(panel, 0, 1)).astype(np.uint8))
            tile = tile.resize((width, height), Image.Resampling.NEAREST)
            left, top = j * (width + GAP), i * (height + BAR)
            draw.text((left + 2, top + 3), name, font=font, fill="black")
            made.paste(tile, (left, top + BAR))
    return made


def saved(image: Image.Image, path: Path) -> None:
    """Write a PNG that is as small as it can be."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, optimize=True)


def _figure(size: tuple[float, float]) -> Any:
    from matplotlib.figure import Figure

    return Figure(figsize=size, layout="constrained", dpi=80)


def _written(figure: Any, path: Path) -> None:
    """A figure as a PNG of few colours."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)
    Image.open(path).convert("RGB").quantize(48).save(path, optimize=True)


def signals(rows: Mapping[str, np.ndarray], rate: float, path: Path) -> None:
    """Signals ``(T,)``, one under the other, on one scale."""
    figure = _figure((10, 5))
    panels = figure.subplots(len(rows), sharex=True, sharey=True)
    inks = (INK, RED, GRAY, INK)
    for panel, (title, x), ink in zip(panels, rows.items(), inks, strict=True):
        panel.plot(np.arange(len(x)) / rate, x, color=ink, linewidth=0.6)
        panel.set_title(title, loc="left", fontsize=10)
        panel.spines[["top", "right"]].set_visible(False)
    panels[-1].set_xlabel("seconds")
    figure.supylabel("µV", fontsize=10)
    _written(figure, path)


def sets(x: np.ndarray, true: np.ndarray, kept: np.ndarray, path: Path) -> None:
    """Elements ``(N, D)``: all, those that are kept, those that are true, and what is removed."""
    figure = _figure((12, 3.4 if x.shape[1] == 2 else 2.6))
    every = np.ones(len(x), bool)
    shown = zip(NAMES, (every, kept, true, ~kept), (GRAY, INK, GRAY, RED), strict=True)
    panels = figure.subplots(1, 4, sharex=True, sharey=True)
    for panel, (title, where, ink) in zip(panels, shown, strict=True):
        if x.shape[1] == 2:
            panel.scatter(*x[where].T, s=4, color=ink, linewidths=0)
        else:
            ends = x[where].reshape(-1, 2, 2)
            panel.plot(ends[..., 0].T, ends[..., 1].T, color=ink, linewidth=0.7)
        panel.set_title(f"{title}: {where.sum()}", loc="left", fontsize=11)
        panel.set_xticks([])
        panel.set_yticks([])
        panel.set_aspect("equal")
    if x.shape[1] > 2:
        panels[0].invert_yaxis()
    _written(figure, path)


def rows_of(parts: Mapping[str, np.ndarray], path: Path) -> None:
    """Rows of alignments ``(n, L)``, tokens in the colours of their residues, on one scale."""
    from matplotlib.patches import Patch

    from hush.kinds.alignment.alphabet import PROTEIN
    from hush.kinds.alignment.colours import coloured, key

    figure = _figure((11, 4.2))
    most = max(len(x) for x in parts.values())
    for panel, (title, x) in zip(figure.subplots(1, len(parts)), parts.items(), strict=True):
        pixels = np.moveaxis(coloured(x, PROTEIN), 0, -1)
        panel.imshow(pixels, aspect="auto", interpolation="none")
        panel.set_title(title, loc="left", fontsize=10)
        panel.set_ylim(most, -0.5)
        panel.set_axis_off()
    made = [Patch(color=colour, label=name) for colour, name in key(PROTEIN)]
    figure.legend(handles=made, loc="outside lower center", ncols=5, fontsize=9, frameon=False)
    _written(figure, path)

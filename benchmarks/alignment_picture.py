"""Draw an alignment before and after, and the contacts predicted from it: the README's picture.

    python benchmarks/alignment_picture.py docs/images/alignments.png --data DIR

The family is the first raw and deep one of the manifest. Contacts are predicted by mean-field DCA
from as many rows chosen by greedy diversity and by hush. Prints the caption.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

import numpy as np

import hush
from hush.kinds.alignment.alphabet import PROTEIN
from hush.kinds.alignment.colours import coloured, key
from hush.studies.msadata import Family, families
from hush.tasks.dca import mean_field

FAMILY, ROWS, SEPARATION = "toxd", 128, 24
DRAWN = 256  #: rows of the whole alignment that are drawn
NEAR, FAR, TRUE, FALSE = "#d0d4d9", "#444444", "#0072b2", "#d55e00"
OLD, NEW = "greedy selection", "hush denoise"


def chosen(family: Family, method: str) -> np.ndarray:
    """Which of the rows in `Family.order` a method keeps, bool ``(N,)``."""
    result = hush.run(family.record, context={"count": ROWS}, method=method)
    kept = result.items[0].kept
    assert kept is not None
    return kept


def predicted(family: Family, kept: np.ndarray) -> tuple[float, np.ndarray]:
    """Long-range P@L, and the L pairs of columns ``(L, 2)`` that it is the precision of."""
    scores = mean_field(family.states[family.order][kept])
    at = np.flatnonzero(family.known)
    i, j = np.triu_indices(len(at), 1)
    i, j = (at[k][at[j] - at[i] >= SEPARATION] for k in (i, j))
    best = np.argsort(-scores[i, j], kind="stable")[: len(at)]
    return family.precision(scores, SEPARATION), np.column_stack([i[best], j[best]])


def rows(panel: Any, tokens: np.ndarray, title: str, below: str = "columns") -> None:
    """Tokens ``(n, L)`` in the colours of their residues."""
    panel.imshow(np.moveaxis(coloured(tokens, PROTEIN), 0, -1), aspect="auto", interpolation="none")
    panel.set_title(title, loc="left", fontsize=9)
    panel.set_xticks([])
    panel.set_yticks([])
    panel.set_xlabel(below, fontsize=8)


def contact_map(panel: Any, family: Family, pairs: np.ndarray, title: str) -> None:
    """The structure's contacts in the upper triangle, predicted ones in the lower one."""
    size, true = len(family.known), family.contacts[pairs[:, 0], pairs[:, 1]]
    near, pairs = np.argwhere(np.triu(family.contacts)) + 1, pairs + 1
    far = near[:, 1] - near[:, 0] >= SEPARATION
    style = {"s": 11, "linewidths": 0}
    panel.scatter(near[~far, 1], near[~far, 0], marker="s", color=NEAR, **style)
    panel.scatter(near[far, 1], near[far, 0], marker="s", color=FAR, **style)
    panel.scatter(*pairs[true].T, marker="s", color=TRUE, **style)
    panel.scatter(*pairs[~true].T, marker="x", color=FALSE, s=14, linewidths=1)
    panel.plot([1, size], [1, size], color="#999999", linewidth=0.6)
    panel.set_title(title, loc="left", fontsize=9)
    panel.set_xlim(0, size + 1)
    panel.set_ylim(size + 1, 0)
    panel.set_aspect("equal")
    panel.set_xlabel("residue", fontsize=8)
    panel.tick_params(labelsize=7)


def main() -> None:
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("HUSH_DATA", "data")))
    given = parser.parse_args()
    (family,) = families(given.data, FAMILY)
    tokens, ours = family.tokens[family.order], chosen(family, "mid")
    old, old_pairs = predicted(family, chosen(family, "greedy"))
    new, new_pairs = predicted(family, ours)

    figure = Figure(figsize=(10.5, 3.9), layout="constrained")
    parts: Any = figure.subfigures(1, 2, width_ratios=(1, 1.5))
    left, right = parts
    before, after = left.subplots(1, 2)
    every = np.linspace(0, len(tokens) - 1, DRAWN).round().astype(int)
    rows(before, tokens[every], f"before: {len(tokens):,} rows", f"columns; {DRAWN} rows drawn")
    rows(after, tokens[ours], f"hush denoise -n {ROWS}")
    maps = right.subplots(1, 2)
    contact_map(maps[0], family, old_pairs, f"{OLD}, {ROWS} rows: P@L {old:.2f}")
    contact_map(maps[1], family, new_pairs, f"{NEW}, {ROWS} rows: P@L {new:.2f}")
    maps[0].set_ylabel("residue", fontsize=8)
    residues = [Patch(color=colour, label=name) for colour, name in key(PROTEIN)]
    marks = [
        Line2D([], [], marker=mark, color=colour, linewidth=0, markersize=4, label=name)
        for mark, colour, name in (
            ("s", FAR, f"contact, {SEPARATION} or more residues apart"),
            ("s", NEAR, "contact of nearer residues"),
            ("s", TRUE, "predicted, a contact"),
            ("x", FALSE, "predicted, not a contact"),
        )
    ]
    style = {"fontsize": 8, "frameon": False, "handlelength": 1.2, "columnspacing": 1.2}
    left.legend(handles=residues, loc="outside lower left", ncols=3, **style)
    right.legend(handles=marks, loc="outside lower left", ncols=2, **style)
    figure.savefig(given.out, dpi=110)
    print(
        f"{family.name}, n = {ROWS}: long-range P@L {old:.2f} by {OLD}, {new:.2f} by {NEW}, "
        f"{family.precision(mean_field(family.states[family.drawn()])):.2f} from all rows"
    )


if __name__ == "__main__":
    main()

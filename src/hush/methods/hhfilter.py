"""Filtering by identity and coverage, as HHfilter of the HH-suite does.

Steinegger et al., "HH-suite3 for fast remote homology detection and deep protein annotation", BMC
Bioinformatics 2019; the settings are those of ``hhfilter -id 90 -cov 75 -qid 0 -diff N``. Rows that
cover too little of the query, or are too unlike it, are left out. The others are gone through from
the one with the most residues to the one with the fewest, and a row is kept if its identity with
every row that was kept before is at most a limit. Identities are shares of the columns in which
both rows have residues.

With a stated number of rows, as with ``-diff``, the limit rises in steps of one percent, the rows
kept so far staying, until there are so many: so no two of them are more alike than need be, and
fewer rows are a part of more.

It differs from hhfilter in four ways. ``-diff`` asks for a number of rows in every block of 50
columns, while here the number is that of the whole alignment, and is met exactly. If too few rows
are below ``id``, the limit rises above it, and then the rows that were left out first come back,
those with the best coverage first; hhfilter returns fewer. Coverage counts the columns in which the
query has a residue. Copies of a row always go first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from hush.bases.selecting_rows import Choice, RowSelection, chosen
from hush.denoiser import Advance
from hush.errors import HushError
from hush.io.residues import NONE
from hush.kinds.alignment.family import Family
from hush.tasks.distances import shared


@dataclass
class HHfilter(RowSelection):
    """Rows that cover the query, no two of them too much alike.

    id : highest identity of two kept rows, percent. cov : lowest coverage of the query, percent.
    qid : lowest identity with the query, percent.
    """

    id: float = 90.0
    cov: float = 75.0
    qid: float = 0.0

    name: ClassVar[str] = "hhfilter"
    summary: ClassVar[str] = "identity and coverage filtering, as HHfilter (alignments)"
    citation: ClassVar[str] = "Steinegger et al., HH-suite3, BMC Bioinformatics 2019"

    def __post_init__(self) -> None:
        for name in ("id", "cov", "qid"):
            if not 0 <= getattr(self, name) <= 100:
                raise HushError(f"{name} is 0 to 100 percent, not {getattr(self, name):g}")

    def choose(self, family: Family, count: int | None, advance: Advance | None = None) -> Choice:
        """See `RowSelection.choose`."""
        rows, there = len(family), family.states[0] != NONE
        covers = (family.states[:, there] != NONE).mean(1) if there.any() else 1 - family.gaps
        passes = (covers >= self.cov / 100) & (identities(family, 0) >= self.qid / 100)
        longest = np.argsort(family.gaps, kind="stable")
        order = np.r_[0, longest[passes[longest] & (longest > 0)]]
        most = len(order) if count is None else min(count, len(order))
        limits = [self.id / 100] if count is None else [step / 100 for step in range(101)]
        places, limit = filtered(family.part(order), limits, most, advance)
        kept = order[places]
        said: tuple[str, ...] = ()
        if count is not None and count > len(order):
            passes[0] = True
            out = np.flatnonzero(~passes)
            back = out[np.argsort(-covers[out], kind="stable")][: count - len(order)]
            kept = np.r_[kept, back]
            said = (
                f"Only {len(order):,} different rows have a coverage of at least {self.cov:g} % "
                f"and an identity with the query of at least {self.qid:g} %; {len(back):,} of the "
                "others are kept, to reach the number.",
            )
        elif limit > self.id / 100:
            said = (
                f"Only rows with identities of up to {100 * limit:.0f} %, above {self.id:g} %, "
                "reach the number.",
            )
        return Choice(chosen(kept, rows), np.full(rows, np.nan), said)


def identities(family: Family, row: int, start: int = 0) -> np.ndarray:
    """The identity of the rows from `start` on with this one; 0 without common columns."""
    unlike, same = shared(family.packed_states, row, start)
    # Residues in both rows: 2 (same + others) + lone ones; columns that differ: others + lone ones.
    both = family.residues[start:] + family.residues[row] - same - unlike
    share: np.ndarray = same / np.maximum(both, 1)
    return share


def filtered(
    family: Family, limits: Sequence[float], most: int, advance: Advance | None = None
) -> tuple[list[int], float]:
    """Indices of at most so many rows that are kept, the first among them, and the last limit."""
    kept, nearest, limit = [0], identities(family, 0), limits[0]
    nearest[0] = np.inf
    for limit in limits:
        while len(kept) < most and nearest.min() <= limit:
            row = int(np.argmax(nearest <= limit))
            start = row if len(limits) == 1 else 0  # those before stay above the only limit
            np.maximum(nearest[start:], identities(family, row, start), out=nearest[start:])
            nearest[row] = np.inf
            kept.append(row)
            if advance:
                advance(1 / most)
        if len(kept) == most:
            break
    if advance:
        advance(1 - (len(kept) - 1) / most)
    return kept, limit

"""Everything shared by methods that choose rows of an alignment.

A method adds `choose`. It sees every different row once, the query first and the others in an order
of their own (`hush.kinds.alignment.family.different`): so the order of the rows does not matter,
not even to random numbers, and copies of a row are the first to go.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from hush.denoiser import Advance, Denoiser
from hush.errors import HushError
from hush.kinds.alignment import Alignment
from hush.kinds.alignment.family import Family, different
from hush.noise.outliers import Outliers
from hush.noise.process import Process
from hush.record import Batch
from hush.results import Estimate, Restoration


@dataclass(frozen=True)
class Choice:
    """What a method makes of different rows.

    kept : bool ``(n,)``; score : how much a row is worth keeping, 0 to 1, float ``(n,)``, NaN if
    unknown. said : sentences for the user. step, trace : as in `Restoration`. found : the share of
    rows that do not help, if the method measures it.
    """

    kept: np.ndarray
    score: np.ndarray
    said: tuple[str, ...] = ()
    step: float | None = None
    trace: list[dict[str, Any]] = field(default_factory=list)
    found: Estimate | None = None


@dataclass
class RowSelection(Denoiser):
    """Base of methods for alignments."""

    kinds: ClassVar[tuple[str, ...]] = ("alignment",)
    selects: ClassVar[bool] = True

    def choose(self, family: Family, count: int | None, advance: Advance | None = None) -> Choice:
        """Keep so many rows of a family of at least two, the query (row 0) among them.

        count : 1 to all of them; None : as many as the method decides.
        """
        raise NotImplementedError

    def restore_item(
        self,
        batch: Batch,
        index: int,
        noise: Process | None = None,
        advance: Advance | None = None,
        found: Estimate | None = None,
    ) -> Restoration:
        """Keep the number of rows that the user stated, or as many as the method decides."""
        kind = self.kind
        assert isinstance(kind, Alignment)
        about, x = batch.about(index), batch.data[index]
        rows = kind.rows(batch, index)
        family, first, of = different(rows, kind.query(about, len(rows)))
        count, said = wanted(about, noise, len(rows), len(family))
        if len(family) == 1:
            kept = np.ones(1, bool)
            made = Choice(kept, np.full(1, np.nan))
        else:
            stated = None if count is None else min(count, len(family))
            made = self.choose(family, stated, advance)
        kept = np.zeros(len(rows), bool)
        kept[first[made.kept]] = True
        score = made.score[of]
        copies = np.ones(len(rows), bool)
        copies[first] = False
        score[copies & np.isfinite(score)] = 0.0
        if count is not None and count > len(family):
            kept[np.flatnonzero(copies)[: count - len(family)]] = True
        removed = 1 - float(kept.mean())
        return Restoration(
            x,
            noise if isinstance(noise, Outliers) else Outliers(removed),
            kept=kept,
            probability=score,
            said=(*said, *made.said),
            step=made.step,
            trace=made.trace,
            found=made.found,
        )

    def looked(self, batch: Batch, index: int, found: Estimate) -> tuple[Estimate, float | None]:
        """See `Denoiser.looked`: by denoising."""
        how = self.restore_item(batch, index)
        return how.found or found, how.step


@dataclass
class WeightedRows(RowSelection):
    """Base of methods that weigh rows; a method adds `weigh`.

    keep : share of the rows to keep, if their number is not stated. ranked : keep the rows with
    the largest weights, instead of a draw by the weights. seed : of the draw.
    """

    keep: float = 0.5
    ranked: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        spread(self.keep, 1)

    def weigh(
        self, family: Family, advance: Advance | None = None
    ) -> tuple[np.ndarray, tuple[str, ...]]:
        """Weights of the rows, 0 or more, float ``(n,)``, and sentences for the user."""
        raise NotImplementedError

    def choose(self, family: Family, count: int | None, advance: Advance | None = None) -> Choice:
        """See `RowSelection.choose`; the score is the weight relative to the largest one."""
        weights, said = self.weigh(family, advance)
        key = -weights if self.ranked else waits(weights, np.random.default_rng(self.seed))
        order = 1 + np.argsort(key[1:], kind="stable")
        count = count or spread(self.keep, len(family))
        kept = chosen(np.r_[0, order[: count - 1]], len(family))
        return Choice(kept, weights / (weights.max() or 1.0), said)


def waits(weights: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Keys ``(n,)``: those with the smallest are a draw without replacement by their weights.

    Waiting times with the weights as rates (Efraimidis and Spirakis, Information Processing Letters
    2006); without a weight, infinite.
    """
    with np.errstate(divide="ignore"):
        times: np.ndarray = rng.standard_exponential(len(weights)) / weights
    return times


def wanted(
    about: Mapping[str, Any], noise: Process | None, rows: int, unlike: int
) -> tuple[int | None, tuple[str, ...]]:
    """How many of the rows to keep, as the user stated it, at least 1; and sentences about it.

    unlike : how many different ones there are.
    """
    count = about.get("count")
    if count is None and "keep" in about:
        count = max(1, round(float(about["keep"]) * rows))
    if count is None and isinstance(noise, Outliers):
        count = max(1, rows - round(noise.share * rows))
    if count is None:
        return None, ()
    if count > rows:
        few = f"There are {rows:,} rows, fewer than the {count:,} asked for: all come back."
        return rows, (few,) if rows > 1 else ()  # the kind has a sentence for one row
    if count > unlike:
        copies = count - unlike
        why = f"Only {unlike:,} of the rows are different" if unlike > 1 else "All rows are equal"
        return count, (
            f"{why}, so {copies:,} of the {count:,} that are kept "
            f"{'is a copy' if copies == 1 else 'are copies'} of others.",
        )
    return count, ()


def spread(keep: float, rows: int) -> int:
    """How many rows a share of them is, at least 1; `HushError` for no share."""
    if not 0 < keep <= 1:
        raise HushError(f"keep, the share of rows to keep, is above 0 and up to 1, not {keep:g}")
    return max(1, round(keep * rows))


def chosen(order: np.ndarray, rows: int) -> np.ndarray:
    """Bool ``(rows,)``: those at the indices `order`."""
    kept = np.zeros(rows, bool)
    kept[order] = True
    return kept

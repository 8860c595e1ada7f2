"""What the study mid/msa measures: contacts predicted from the rows that a method keeps.

A sample's noisy data are a family's alignment, with the number of rows to keep, and its reference
is the `Family`; a result is a `Kept`. Of what was computed for the same rows before, such as for
another case, the results are remembered.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from hush.denoiser import Denoiser
from hush.io.residues import NONE
from hush.record import Record
from hush.studies.core import Metric
from hush.studies.fingerprint import fingerprint
from hush.studies.msadata import Family
from hush.studies.sample import Sample
from hush.studies.sets import Selection, select
from hush.tasks.contacts import DIVISORS, precisions
from hush.tasks.dca import effective_number, mean_field

MEAN_FIELD, PSEUDO_LIKELIHOOD = "mean-field", "pseudo-likelihood"
RANGES = (24, 12, 6)  #: the smallest |i − j| of pairs that count, the judge first
REMEMBERED = 4096  #: results


class Kept(NamedTuple):
    """The rows of a family that a method keeps.

    draws : bool ``(N,)`` each, over the rows in `Family.order`; one, or several of a method that
    draws at random. seconds : for one of them.
    """

    draws: tuple[np.ndarray, ...]
    seconds: float


@dataclass
class Remembered:
    """Apply a method to a family's alignment, once for several cases: `Case.apply`.

    The record's context says how many rows to keep (``count``), and the seeds of methods that draw
    at random (``draws``).
    """

    found: dict[tuple[Any, ...], Selection] = field(default_factory=dict)

    def __call__(self, method: Denoiser, noisy: Record, noise: Any = None) -> Kept:
        about, made = noisy.context, []
        for one in drawn(method, about["draws"]):
            key = fingerprint(one), about["family"], about["count"]
            if key not in self.found:
                self.found[key] = select(one, noisy, noise)
            made.append(self.found[key])
        return Kept(tuple(x.kept for x in made), float(np.mean([x.seconds for x in made])))


def drawn(method: Denoiser, seeds: Sequence[int]) -> list[Denoiser]:
    """A method for each seed, if it draws at random: it has a seed and learns nothing."""
    if "seed" in method.config() and method.learns_from == "nothing":
        return [method.replace(seed=seed) for seed in seeds]
    return [method]


# -- scores ----------------------------------------------------------------------------------


class Described(NamedTuple):
    """Rows in numbers: the effective number at 80 % identity, and the share of residues."""

    effective: float
    coverage: float


def states_of(family: Family, kept: np.ndarray) -> np.ndarray:
    """The states of rows that were kept; of a whole family at most `msadata.MOST`, as drawn."""
    return family.states[family.drawn() if kept.all() else family.order[kept]]


def scores(family: Family, kept: np.ndarray, dca: str) -> np.ndarray:
    """Scores of pairs of columns ``(Lq, Lq)`` by mean-field or pseudo-likelihood DCA."""
    states = states_of(family, kept)
    if dca == MEAN_FIELD:
        return mean_field(states)
    from hush.tasks.pseudo_likelihood import pseudo_likelihood

    return pseudo_likelihood(states)


@lru_cache(REMEMBERED)
def _precisions(family: Family, kept: bytes, dca: str) -> Mapping[tuple[int, int], float]:
    made = scores(family, np.frombuffer(kept, bool), dca)
    return precisions(made, family.contacts, family.known)


@lru_cache(REMEMBERED)
def _described(family: Family, kept: bytes) -> Described:
    states = states_of(family, np.frombuffer(kept, bool))
    return Described(effective_number(states), float((states != NONE).mean()))


def predicted(result: Kept, sample: Sample, separation: int, divisor: int) -> float:
    """P@L, or a part of L, of the sample's contacts; the mean over draws."""
    family, dca = sample.reference, sample.about["dca"]
    of = [_precisions(family, draw.tobytes(), dca) for draw in result.draws]
    return float(np.mean([one[separation, divisor] for one in of]))


def described(result: Kept, sample: Sample, what: str) -> float:
    """A field of `Described`, the mean over draws."""
    of = [_described(sample.reference, draw.tobytes()) for draw in result.draws]
    return float(np.mean([getattr(one, what) for one in of]))


def _named(divisor: int) -> str:
    return "P@L" if divisor == 1 else f"P@L/{divisor}"


def _predicted(separation: int, divisor: int) -> Callable[[Kept, Sample], float]:
    return lambda result, sample: predicted(result, sample, separation, divisor)


def _described_by(what: str) -> Callable[[Kept, Sample], float]:
    return lambda result, sample: described(result, sample, what)


JUDGE = _named(1)  #: the metric that tables state differences of
PRECISION = tuple(
    Metric(
        _named(divisor),
        _predicted(separation, divisor),
        digits=3,
        variant=f"range={separation}",
        judge=divisor == 1,
        by_sample=True,
    )
    for separation in RANGES
    for divisor in DIVISORS
)
SELECTION = (
    Metric("neff", _described_by("effective"), digits=0, judge=False, by_sample=True),
    Metric("coverage", _described_by("coverage"), digits=3, judge=False, by_sample=True),
    Metric("seconds", lambda r, s: r.seconds, False, judge=False, by_sample=True),
)

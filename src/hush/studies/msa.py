"""MID on protein alignments (section IV-E): contacts predicted from the rows that are kept.

Every family of a manifest (`hush.studies.msadata`) has an alignment and the structure of one of its
proteins. A method keeps 64, 128, … 1024 of its rows, the query among them; numbers above 70 % of a
family's rows are skipped. Contacts are predicted from these rows by mean-field DCA, of 256 rows by
pseudo-likelihood DCA too, in the columns of the structure's protein, and compared with the
structure (`hush.tasks.contacts`): ``range=24``, ``12``, ``6`` is the smallest |i − j| of pairs that
count, and P@L, P@L/2, P@L/5 the precision of as many pairs. ``rows=64-512`` is the mean over
families and numbers of rows.

``none`` is the reference line: all rows, or 4,000 of them. ``random``, ``henikoff`` and
``reweight`` draw at random, several times; their scores are means. ``farthest:all`` leaves out no
rows that are far from the query. ``mid`` is the shipped model, that of --model, or trained on the
alignments in --train, and so is ``diffusion``.

Differences are paired, by family; intervals are over families. Families differ from one number of
rows to the next: compare methods for one number only.

The paper predicts contacts by the MSA Transformer: MID 2.2 % above greedy selection.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from hush.errors import HushError
from hush.methods import make
from hush.studies import msadata
from hush.studies.core import Case, Find, Note, Study, ignore
from hush.studies.folders import image_files
from hush.studies.msadata import MANIFEST, Family
from hush.studies.msascores import (
    MEAN_FIELD,
    PRECISION,
    PSEUDO_LIKELIHOOD,
    RANGES,
    SELECTION,
    Kept,
    Remembered,
)
from hush.studies.resampling import Resampling
from hush.studies.sample import Sample
from hush.studies.sets import thinned
from hush.studies.trained import Recipe, Training

ROWS, QUICK_ROWS = (64, 128, 256, 512, 1024), (64, 256)
SHARE = 0.7  #: of a family's rows, the most that are kept
MEAN = 512  #: the most rows that count in the mean over numbers of rows
SLOW_ROWS = 256  #: from which contacts are predicted by pseudo-likelihood too
DRAWS, QUICK_DRAWS = 4, 2  #: of methods that draw at random
SLOW_DRAWS = 2  #: at most, for pseudo-likelihood
QUICK_FAMILIES = 6
BUDGET, QUICK_BUDGET = 1200.0, 60.0  #: seconds of training for each method
RECIPES = {"mid": Recipe("mid"), "diffusion": Recipe("diffusion")}


@dataclass(frozen=True)
class Task:
    """Families, each with a number of rows to keep, and how contacts are predicted from them."""

    of: tuple[tuple[Family, int], ...]
    dca: str
    draws: int

    def samples(self, seed: int = 0) -> Iterator[Sample]:
        """A sample ``FAMILY@ROWS`` each; the seed is that of methods that draw at random."""
        for family, rows in self.of:
            record = family.record
            draws = tuple(range(seed * self.draws, (seed + 1) * self.draws))
            about = {"family": family.name, "count": rows, "draws": draws}
            noisy = replace(record, context={**record.context, **about})
            yield Sample(f"{family.name}@{rows}", noisy, family, about={"dca": self.dca})


def family_of(name: str) -> str:
    """The family of a sample, from its name."""
    return name.rpartition("@")[0]


# -- the cases -------------------------------------------------------------------------------


def msa_cases(
    data: Path,
    *,
    quick: bool,
    only: str | None,
    train: Path | None = None,
    note: Note = ignore,
    rows: Sequence[int] | None = None,
    families: int | None = None,
    draws: int | None = None,
) -> list[Case]:
    """A case for every number of rows, for their mean, and for pseudo-likelihood.

    rows : numbers of rows to keep; families : the most of them; draws : of random selections.
    """
    numbers = sorted(set(rows or (QUICK_ROWS if quick else ROWS)))
    most = families or (QUICK_FAMILIES if quick else None)
    found = {
        f.name: f for f in msadata.families(data, only, note) if _judged(f, min(numbers), note)
    }
    if not found:
        raise HushError(f"no family in {data} has contacts, and enough rows, to judge {numbers[0]}")
    every = thinned([*found.values()], most or len(found))
    training = _training(train, quick) if train else None
    draws = draws or (QUICK_DRAWS if quick else DRAWS)
    apply = Remembered()

    def case(label: str, of: Sequence[int], dca: str) -> Case:
        tested = tuple((f, n) for n in of for f in every if n <= SHARE * len(f))
        times = draws if dca == MEAN_FIELD else min(draws, SLOW_DRAWS)
        task = Task(tested, dca, times)
        several = len(of) > 1
        return Case(
            settings={
                "data": only or _name(data),
                "families": f"{len({f.name for f, _ in tested})}",
                "rows": label,
                "dca": dca,
                "draws": f"{times}",
            },
            samples=task.samples,
            count=len(tested),
            training=training,
            kind="alignment",
            metrics=[m.name for m in PRECISION] if several or dca != MEAN_FIELD else None,
            without=() if dca == MEAN_FIELD else ("none",),
            apply=apply,
        )

    for n in numbers:
        if skipped := [f.name for f in every if n > SHARE * len(f)]:
            few = ", ".join(skipped[:4]) + (", …" if len(skipped) > 4 else "")
            note(f"{n} rows are above {SHARE:.0%} of {len(skipped)} families, left out: {few}")
    numbers = [n for n in numbers if any(n <= SHARE * len(f) for f in every)]
    cases = [case(f"{n}", [n], MEAN_FIELD) for n in numbers]
    if len(together := [n for n in numbers if n <= MEAN]) > 1:
        cases.append(case(f"{together[0]}-{together[-1]}", together, MEAN_FIELD))
    if SLOW_ROWS in numbers:
        cases.append(case(f"{SLOW_ROWS}", [SLOW_ROWS], PSEUDO_LIKELIHOOD))
    return cases


def _judged(family: Family, fewest: int, note: Note) -> bool:
    """Whether a family can be judged; if not, `note` gets the reason."""
    at = np.flatnonzero(family.known)
    far = family.contacts[np.ix_(at, at)] & (abs(at[:, None] - at) >= max(RANGES))
    why = ""
    if not far.any():
        why = f"its structure has no contacts with |i − j| ≥ {max(RANGES)}"
    elif fewest > SHARE * len(family):
        why = f"{fewest} are above {SHARE:.0%} of its {len(family)} rows"
    if why:
        note(f"{family.name} is left out: {why}")
    return not why


def _name(data: Path) -> str:
    """What the data are called: the name of the folder that is given."""
    path = data.resolve()
    return path.parent.name if path.name == MANIFEST else path.name


def _training(folder: Path, quick: bool) -> Training:
    count = len(list(lessons(folder)))
    return Training(
        name=f"{_name(folder)};train={count}",
        samples=partial(lessons, folder),
        recipes=RECIPES,
        budget=QUICK_BUDGET if quick else BUDGET,
        kind="alignment",
    )


def lessons(folder: Path, seed: int = 0) -> Iterator[Sample]:
    """The alignments of a manifest, or all in a folder, to train on; the seed has no effect."""
    from hush.io import read

    if any((folder / place / MANIFEST).is_file() for place in (".", "alignments")):
        yield from (Sample(family.name, family.record, None) for family in msadata.families(folder))
        return
    paths = image_files(folder, "alignment")
    if not paths:
        raise HushError(f"{folder} contains no alignments; give --train a folder with some")
    yield from (Sample(path.name, read(path, "alignment"), None) for path in paths)


# -- the study -------------------------------------------------------------------------------


def undropped(sample: Sample) -> Kept:
    """The row ``farthest:all``: farthest points of all rows."""
    return Remembered()(make("farthest", "alignment", drop=0.0), sample.noisy)


def _numbers(text: str) -> list[int]:
    """``64,256`` as numbers of rows."""
    numbers = [int(part) for part in text.split(",")]
    if min(numbers) < 2:
        raise ValueError("at least two rows, the query and another one")
    return numbers


def _count(text: str) -> int:
    if (count := int(text)) < 1:
        raise ValueError("at least 1")
    return count


def draw(cases: Sequence[Case], find: Find, path: Path, *, quick: bool) -> None:
    """Write ``NAME.html``, a page about all rows, and ``NAME.differences.json``."""
    from hush.studies.msapage import write

    write(MSA, cases, find, path)


MSA = Study(
    name="mid/msa",
    title="MID on protein alignments: contacts from the rows that are kept (section IV-E)",
    cases=msa_cases,
    methods=(
        *("none", "random", "greedy", "farthest", "farthest:all", "hhfilter"),
        *("henikoff", "reweight", "diffusion", "mid"),
    ),
    metrics=(*PRECISION, *SELECTION),
    rows={"farthest:all": undropped},
    references=("none",),
    picture=draw,
    group=family_of,
    resampling=Resampling(unit=family_of),
    against=("greedy", "random", "farthest"),
    relative=True,
    options={"rows": _numbers, "families": _count, "draws": _count},
)

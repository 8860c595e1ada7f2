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
from hush.studies.folders import image_files, keep_apart
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
#: the most draws and families for pseudo-likelihood, which takes a hundred times as long
SLOW_DRAWS, QUICK_SLOW_DRAWS = 2, 1
QUICK_SLOW_FAMILIES = 2
QUICK_FAMILIES = 6
BUDGET, QUICK_BUDGET = 1200.0, 60.0  #: seconds of training for each method
RECIPES = {"mid": Recipe("mid"), "diffusion": Recipe("diffusion")}


@dataclass(frozen=True)
class Task:
    """Families, numbers of rows to keep of each, and how contacts are predicted from them."""

    families: tuple[Family, ...]
    numbers: tuple[int, ...]
    dca: str
    draws: int

    @property
    def pairs(self) -> list[tuple[Family, int]]:
        """Families with numbers of rows that are not above `SHARE` of theirs."""
        return [(f, n) for n in self.numbers for f in self.families if n <= SHARE * len(f)]

    @property
    def settings(self) -> dict[str, str]:
        """The contents of a case."""
        low, high = self.numbers[0], self.numbers[-1]
        return {
            "families": f"{len({family.name for family, _ in self.pairs})}",
            "rows": f"{low}" if low == high else f"{low}-{high}",
            "dca": self.dca,
            "draws": f"{self.draws}",
        }

    def samples(self, seed: int = 0) -> Iterator[Sample]:
        """A sample ``FAMILY@ROWS`` each; the seed is that of methods that draw at random."""
        draws = tuple(range(seed * self.draws, (seed + 1) * self.draws))
        for family, rows in self.pairs:
            record = family.record
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
    every = _families(data, only, min(numbers), most, note)
    for n in numbers:
        if skipped := [f.name for f in every if n > SHARE * len(f)]:
            few = ", ".join(skipped[:4]) + (", …" if len(skipped) > 4 else "")
            note(f"{n} rows are above {SHARE:.0%} of {len(skipped)} families, left out: {few}")
    numbers = [n for n in numbers if any(n <= SHARE * len(f) for f in every)]
    draws = draws or (QUICK_DRAWS if quick else DRAWS)
    exact = Task(tuple(every), tuple(numbers), MEAN_FIELD, draws)
    tasks = [replace(exact, numbers=(n,)) for n in numbers]
    if len(together := tuple(n for n in numbers if n <= MEAN)) > 1:
        tasks.append(replace(exact, numbers=together))
    if SLOW_ROWS in numbers:
        long = [f for f in every if SHARE * len(f) >= SLOW_ROWS]
        some = tuple(thinned(long, QUICK_SLOW_FAMILIES) if quick else long)
        few_draws = min(draws, QUICK_SLOW_DRAWS if quick else SLOW_DRAWS)
        tasks.append(Task(some, (SLOW_ROWS,), PSEUDO_LIKELIHOOD, few_draws))
    if train is not None:
        keep_apart(lesson_files(train), [path for family in every for path in family.paths])
    training = _training(train, quick) if train else None
    apply = Remembered()
    return [
        Case(
            settings={"data": only or _name(data), **task.settings},
            samples=task.samples,
            count=len(task.pairs),
            training=training,
            kind="alignment",
            metrics=None if task in tasks[: len(numbers)] else [m.name for m in PRECISION],
            without=("none",) if task.dca == PSEUDO_LIKELIHOOD else (),
            apply=apply,
        )
        for task in tasks
    ]


def _families(
    data: Path, only: str | None, fewest: int, most: int | None, note: Note
) -> list[Family]:
    """The families that can be judged, at most so many of them; `note` gets what is left out."""
    found: dict[str, Family] = {}
    for family in msadata.families(data, only, note):
        if family.name in found:
            note(f"{family.name} is in the manifest twice; the first one is used")
        elif _judged(family, fewest, note):
            found[family.name] = family
    if not found:
        raise HushError(f"no family in {data} has contacts, and enough rows, to judge {fewest}")
    return thinned([*found.values()], most or len(found))


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


def lesson_files(folder: Path) -> list[Path]:
    """The files that `lessons` are read from."""
    if _has_manifest(folder):
        return [path for family in msadata.families(folder) for path in family.paths]
    return image_files(folder, "alignment")


def _has_manifest(folder: Path) -> bool:
    return any((folder / place / MANIFEST).is_file() for place in (".", "alignments"))


def lessons(folder: Path, seed: int = 0) -> Iterator[Sample]:
    """The alignments of a manifest, or all in a folder, to train on; the seed has no effect."""
    from hush.reading import read

    if _has_manifest(folder):
        yield from (Sample(family.name, family.record, None) for family in msadata.families(folder))
        return
    paths = image_files(folder, "alignment")
    if not paths:
        raise HushError(f"{folder} contains no alignments; give --train a folder with some")
    yield from (Sample(path.name, read(path, kind="alignment"), None) for path in paths)


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

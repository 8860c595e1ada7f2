"""Alignments of protein sequences: a row is a sequence, a column a position of the query.

A record is ``(N, L)`` tokens (`hush.io.residues`). Its noise is a decision, as in sets: rows that
do not help, because they repeat others or are misaligned. Results have fewer rows, the kept ones
letter for letter, the query always among them.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from numbers import Integral, Real
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from hush.errors import HushError
from hush.io import format_of
from hush.io.residues import SIZE
from hush.kinds import NOTHING, Chosen, Kind, Option
from hush.noise.outliers import Outliers
from hush.record import Batch, Record
from hush.results import Estimate

if TYPE_CHECKING:
    from hush.kinds.alignment.cut import Families
    from hush.kinds.alignment.family import Family
    from hush.noise.process import Process
    from hush.report.frame import Entry
    from hush.results import Denoised, Inspection, Item, Judgement, Restoration, Survey


def count(text: str) -> int:
    """A number from 1."""
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise ValueError(f"give a whole number from 1, not {text}")
    return number


def share(text: str) -> float:
    """A share of the rows, above 0 and up to 1."""
    try:
        part = float(text)
    except ValueError:
        part = 0.0
    if not 0 < part <= 1:
        raise ValueError(
            f"the share of rows to keep is above 0 and up to 1, not {text}; -n takes a number"
        )
    return part


def called(text: str) -> str:
    """A name, which is not empty."""
    if not text.strip():
        raise ValueError("give a row's name, or a part of it")
    return text


class Alignment(Kind):
    """Aligned protein sequences."""

    name: ClassVar[str] = "alignment"
    nouns: ClassVar[tuple[str, str]] = ("alignment", "alignments")
    element: ClassVar[str] = "row"
    letters: ClassVar[str] = "N"
    keys: ClassVar[frozenset[str]] = frozenset({"tokens"})
    selected: ClassVar[bool] = True
    options: ClassVar[Mapping[str, Option]] = {
        "query": Option(
            called,
            "The query of an alignment, by its name or a part of it; by default the first row.",
            "NAME",
        ),
        "count": Option(count, "Rows of an alignment to keep.", "NUMBER", short="n"),
        "alignment": Option(
            count, "Which alignment of a file with several, from 1.", "NUMBER", reader=True
        ),
        "keep": Option(share, "Share of the rows of an alignment to keep, such as 0.2.", "SHARE"),
    }
    told: ClassVar[frozenset[str]] = frozenset({"names", "parts"})

    @property
    def patch(self) -> int:
        """See `Kind.patch`: the most rows of an alignment that trainings draw."""
        return 64

    # -- layout ----------------------------------------------------------------------------------

    def axes(self, shape: tuple[int, ...]) -> str:
        """``NC``: a row is a sequence."""
        if len(shape) != 2:
            raise HushError(
                f"an alignment is an array of two dimensions, rows and columns, not of the shape "
                f"{shape}"
            )
        return "NC"

    def check(self, record: Record) -> None:
        if "aligned" in record.meta and record.axes != "NC":
            raise HushError(
                f"an alignment has the axes NC, rows and columns, not '{record.axes}'; leave "
                "--axes out"
            )
        super().check(record)
        count = record.data.shape[record.axes.index("N")]
        if record.data.dtype != np.uint8 or record.data.max(initial=0) >= SIZE:
            raise HushError(
                f"alignments are tokens, uint8 below {SIZE} (hush.io.residues), not "
                f"{record.data.dtype} up to {record.data.max()}; give a file such as .a3m"
            )
        names = record.context.get("names")
        if names is not None and len(names) != count:
            raise HushError(
                f"there are {len(names):,} names for {count:,} rows; give one name a row"
            )
        self._stated(record.context)
        if {"count", "keep"} <= record.context.keys():
            raise HushError(
                "state the rows to keep as a number (count) or as a share (keep), not as both"
            )
        self.query(record.context, len(record.data))

    def _stated(self, context: Mapping[str, Any]) -> None:
        """Refuse options that the command line would not take."""
        if not isinstance(context.get("query", ""), str):
            raise HushError(f"state the query by its name, not as {context['query']!r}")
        for option, sort in (("count", Integral), ("keep", Real)):
            stated = context.get(option, 1)
            try:
                self.options[option].type(str(stated))
            except ValueError as error:
                raise HushError(f"{option}: {error}") from None
            if not isinstance(stated, sort):
                raise HushError(f"{option} is a number, not {stated!r}")

    def full(self, data: np.ndarray) -> float | None:
        """Tokens have no full range."""
        return 1.0

    def adopted(self, record: Record) -> Record:
        """The tokens in an array; other formats than those of alignments hold none."""
        fmt = format_of(record)
        if fmt is not None and fmt.kind is not None:
            raise HushError(f"{fmt.name} files hold no {self.nouns[1]}")
        return super().adopted(record)

    def from_arrays(self, arrays: Mapping[str, np.ndarray]) -> Record:
        """The tokens in an .npz file, and the names of the rows."""
        data = arrays["tokens"]
        context = {k: tuple(map(str, v)) for k, v in arrays.items() if k == "names"}
        return Record(data, self.axes(data.shape), kind=self.name, full=1.0, context=context)

    def from_objects(self, objects: Any) -> Record | None:
        """Rows of text, or of objects with a `seq` of text and an `id`, as Biopython has them."""
        from hush.kinds.alignment.objects import aligned

        return aligned(objects)

    def batch(self, record: Record) -> Batch:
        """Every alignment as an item ``(L, N)``."""
        return replace(super().batch(record), scale=1.0)

    def rows(self, batch: Batch, index: int) -> np.ndarray:
        """The tokens ``(N, L)`` of an item."""
        return np.ascontiguousarray(batch.data[index].T)

    def query(self, about: Mapping[str, Any], rows: int) -> int:
        """The index of the query; `HushError` with the nearest names if there is none like it."""
        wanted = about.get("query")
        if wanted is None:
            return 0
        names = [str(name) for name in about.get("names", ())]
        if wanted in names:
            return names.index(wanted)
        having = [i for i, name in enumerate(names) if wanted.lower() in name.lower()]
        if len({names[i] for i in having}) > 1:
            some = ", ".join(dict.fromkeys(names[i] for i in having[:4]))
            raise HushError(
                f"{len(having)} rows have '{wanted}' in their names: {some}"
                f"{', …' * (len(having) > 4)}; state the whole name"
            )
        if not having:
            near = difflib.get_close_matches(wanted, names, 3, 0.4)
            some = (
                f"the rows are called {', '.join(names[:3])}, …" if names else "rows have no names"
            )
            are = "nearest is" if len(near) == 1 else "nearest are"
            said = f"; the {are} {', '.join(near)}" if near else f"; {some}"
            raise HushError(f"no row is called '{wanted}'{said}")
        return having[0]

    def finished(self, record: Record, items: Sequence[Item]) -> Record:
        """With the query first, what stays of the rows' names, and arrays for an .npz file."""
        kept = items[0].kept
        if kept is None:
            kept = np.ones(len(record.data), bool)
        query = self.query(record.context, len(kept))
        order = np.flatnonzero(kept)
        at = int(np.searchsorted(order, query))
        first = np.r_[at, np.delete(np.arange(len(order)), at)]
        names = record.context.get("names")
        context = dict(record.context)
        if names is not None:
            context["names"] = tuple(names[i] for i in order[first])
        context.pop("count", None), context.pop("keep", None)
        whole = record.meta.get("kept", kept)  # of the rows of the file
        places = np.flatnonzero(whole) if "kept" in record.meta else np.arange(len(kept))
        stays = np.zeros(len(whole), bool)
        stays[places[order]] = True
        meta = {**record.meta, "kept": stays, "first": int(places[query])}
        arrays = {**record.meta.get("arrays", {}), "mask": kept}
        if items[0].probability is not None:
            arrays["probability"] = items[0].probability
        if items[0].step is not None:
            arrays["step"] = np.float64(items[0].step)
        if names is not None:
            arrays["names"] = context["names"]
        meta |= {"npz": record.meta.get("npz", ("tokens", True)), "arrays": arrays}
        return replace(record, data=record.data[first], meta=meta, context=context)

    def joint(self, record: Record) -> int:
        """One model serves any number of columns."""
        return 1

    # -- cut ---------------------------------------------------------------------------------------

    def chosen(
        self, found: Sequence[Sequence[Record]], channels: str | None, takes: bool
    ) -> Chosen:
        """The alignments of any number of columns that a training can learn from; or else all."""
        from hush.kinds.alignment.cut import FEWEST, enough

        if channels is not None:
            raise HushError("alignments are not gray or RGB; leave --channels out")
        data = [records[0] for records in found]
        used = [i for i, record in enumerate(data) if enough(self.family(record))] or range(
            len(data)
        )
        left = len(data) - len(used)
        files = f"{left} file{'s' * (left != 1)}"
        note = f"{files} without {FEWEST} different {self.element}s of proteins"
        return Chosen([data[i] for i in used], 1, used, self.nouns[1], note if left else "")

    def family(self, record: Record) -> Family:
        """The different rows of an alignment, the query first."""
        from hush.kinds.alignment.family import different

        batch = self.batch(record)
        rows = self.rows(batch, 0)
        return different(rows, self.query(batch.about(0), len(rows)))[0]

    def families(self, data: Any) -> list[Family]:
        """Training data as families; `HushError` if none has enough different rows."""
        from hush.kinds.alignment.cut import families

        return families(data, self)

    def patches(self, items: Sequence[Any], size: int) -> Families:  # type: ignore[override]
        """See `Kind.patches`: indices of families, as their sizes differ."""
        from hush.kinds.alignment.cut import Families

        return Families(items, size)

    def preview(self, before: Sequence[Any], after: Sequence[Any], path: Path) -> None:
        """Write a PNG of alignments before and after, to follow a training."""
        from hush.kinds.alignment.pictures import preview

        preview(before, after, path)

    # -- measure -----------------------------------------------------------------------------------

    def measure(self, items: Sequence[np.ndarray]) -> Estimate:
        """Nothing: only a method tells which rows do not help, and measures their share by it."""
        return Estimate(Outliers(0.0), 0.0, uncertainty=np.inf)

    # -- show --------------------------------------------------------------------------------------

    def advice(
        self, record: Record, item: np.ndarray, given: Process | None, found: Estimate
    ) -> list[str]:
        from hush.kinds.alignment.advice import advice

        return advice(self, record)

    def judge(
        self,
        noisy: np.ndarray,
        clean: np.ndarray,
        process: Process,
        *,
        strength: float,
        scale: float,
        known: bool = False,
        missed: bool = False,
        adaptable: bool = False,
        about: Mapping[str, Any] = NOTHING,
        how: Restoration | None = None,
    ) -> Judgement:
        """How many rows were removed, and what that did to the alignment."""
        from hush.kinds.alignment.judgement import judged

        return judged(self, noisy, strength, about, how)

    def facts(self, result: Denoised, given: bool) -> list[tuple[str, str]]:
        from hush.kinds.alignment.show import facts

        return facts(result, given)

    def brief(self, result: Denoised) -> str:
        from hush.kinds.alignment.show import brief

        return brief(result)

    def stepped(self, entry: Mapping[str, Any], scale: float) -> str:
        from hush.kinds.alignment.show import stepped

        return stepped(entry)

    def survey(self, record: Record) -> Survey:
        from hush.kinds.alignment.advice import survey

        return survey(self, record)

    def looked(self, seen: Inspection) -> list[tuple[str, str]]:
        from hush.kinds.alignment.show import looked

        return looked(self, seen)

    def section(self, result: Denoised, budget: float) -> Entry:
        from hush.kinds.alignment.page import section

        return section(self, result, budget)

    def inspected(self, seen: Inspection, budget: float) -> Entry:
        from hush.kinds.alignment.page import inspected

        return inspected(self, seen, budget)

    def scores(self, a: np.ndarray, b: np.ndarray) -> Mapping[str, float]:
        """Shares of the rows of `a` that are in `b`, and the other way round."""
        from hush.metrics import agreement

        if len(a) != len(b):
            raise HushError(
                f"alignments of {len(a)} and {len(b)} columns have no rows in common; compare "
                "selections of one alignment"
            )
        return agreement(a, b)


ALIGNMENT = Alignment()

"""The page of the study mid/msa: precision by number of rows, what was kept, and contacts."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np

from hush.errors import HushError
from hush.io import atomic
from hush.report import plots
from hush.report.frame import Card, Chart, Entry
from hush.report.frame import write as write_page
from hush.studies.core import Case, Find, Study
from hush.studies.ledger import Ledger
from hush.studies.msascores import JUDGE, MEAN_FIELD, RANGES, Kept, scores
from hush.studies.resampling import Difference, Resampling
from hush.studies.sample import Sample
from hush.studies.table import Row, groups

OURS, FULL = "mid", "none"  #: the row that is compared, and the reference line
BASE = "random"  #: what the second plot is relative to
SHOWN = 256  #: rows, about, of the contact maps
COLOURS = 9  #: of lines; more rows share them


class Place(NamedTuple):
    """Where a table belongs: number of rows, how contacts are predicted, range of pairs."""

    rows: str
    dca: str
    range: str


Tables = Mapping[Place, Sequence[Row]]


@dataclass(frozen=True)
class Compared:
    """A row less another one, paired by family: P@L, and in relation to the other's mean."""

    rows: str
    dca: str
    range: str
    method: str
    against: str
    families: int
    difference: Difference
    relative: Difference


@dataclass(frozen=True)
class Page(Entry):
    """The page. precision, selection : tables of texts, heading first."""

    charts: tuple[Chart, ...]
    key: tuple[tuple[str, str], ...]
    contacts: tuple[Chart, ...]
    protein: tuple[str, str]
    precision: tuple[Sequence[str], ...]
    selection: tuple[Sequence[str], ...]

    template: ClassVar[str] = "hush.studies/msapage.html.j2"
    heading: ClassVar[str] = "Study mid/msa"
    fine: ClassVar[str] = "Contacts predicted from the rows that were kept"


def write(study: Study, cases: Sequence[Case], find: Find, path: Path) -> None:
    """Write ``NAME.html``, and all differences to ``NAME.differences.json``."""
    tables: dict[Place, Sequence[Row]] = {}
    for common, rows in groups(study, Ledger(path), cases).items():
        told = dict(part.partition("=")[::2] for part in common.split(";"))
        tables[Place(told["rows"], told["dca"], told.get("range", ""))] = rows
    differences = list(compared(study, tables))
    with atomic(path.with_suffix(".differences.json")) as partial:
        lines = (json.dumps(_plain(one)) for one in differences)
        partial.write_text("[\n" + ",\n".join(lines) + "\n]\n", encoding="utf-8")
    page = made(study, cases, find, tables, differences)
    write_page([page], path.with_suffix(".html"), study.title)


def compared(study: Study, tables: Tables) -> Iterator[Compared]:
    """Every row less every row that is named in `Study.against`, and ours less every other one."""
    by = study.resampling or Resampling()
    for place, rows in tables.items():
        values = {row.label: row.per_sample(JUDGE) for row in rows}
        for label, against in product(values, values):
            judged = against in study.against or _ours(label)
            shared = {by.unit(name) for name in values[label].keys() & values[against].keys()}
            if judged and label != against and shared:
                of = values[label], values[against]
                found = by.difference(*of), by.relative(*of)
                yield Compared(*place, label, against, len(shared), *found)


def _ours(label: str) -> bool:
    return label.split()[0] == OURS


def _plain(one: Compared) -> dict[str, Any]:
    """For JSON, in which there is no NaN."""

    def finite(found: Difference) -> dict[str, float | None]:
        return {name: x if np.isfinite(x) else None for name, x in found._asdict().items()}

    told = {"difference": finite(one.difference), "relative": finite(one.relative)}
    return {**asdict(one), **told}


# -- the page ----------------------------------------------------------------------------------


def made(
    study: Study, cases: Sequence[Case], find: Find, tables: Tables, found: Sequence[Compared]
) -> Page:
    """The page about all tables; `HushError` if nothing was measured."""
    numbers = sorted({int(p.rows) for p in tables if p.dca == MEAN_FIELD and p.rows.isdigit()})
    labels = list(dict.fromkeys(row.label for rows in tables.values() for row in rows))
    if not labels:
        raise HushError("nothing was measured")
    colours = {label: _colour(label, labels) for label in labels}
    middle = next((p.rows for p in tables if "-" in p.rows), f"{numbers[-1]}")
    judge = Place(middle, MEAN_FIELD, f"{RANGES[0]}")
    ours = next(filter(_ours, labels), "")
    sample, contacts = _contacts(study, cases, find, tables, ours)
    families = max((c.families for c in found), default=0)
    means = {row.label: row.mean(JUDGE) for row in tables.get(judge, ())}
    best = max((m for m in means if m not in (ours, FULL)), key=means.__getitem__, default="")
    rivals = dict.fromkeys((*study.against, best))
    theirs = [
        c for r in rivals for c in found if (*_place(c), c.method, c.against) == (*judge, ours, r)
    ]
    return Page(
        name=study.name,
        parent="",
        facts=f"{families} families; {', '.join(map(str, numbers))} rows kept; contacts are pairs "
        "with Cβ nearer than 8 Å",
        cards=_cards(means, theirs, ours, middle),
        warnings=(),
        verdict=_verdict(means, theirs, ours, best, middle),
        icon=None,
        notes=(
            "P@L is the share of contacts among the L pairs of residues with the highest scores; "
            f"long-range pairs have |i − j| ≥ {RANGES[0]}",
            "families differ from one number of rows to the next",
            "scores are means over the draws of methods that draw at random",
        ),
        noise={},
        row={},
        charts=tuple(_charts(tables, numbers, colours)),
        key=tuple((colours[label], label) for label in labels),
        contacts=tuple(contacts),
        protein=sample,
        precision=tuple(_precision(study, tables, labels, found)),
        selection=tuple(_selection(tables, labels, numbers)),
    )


def _place(one: Compared) -> tuple[str, str, str]:
    return one.rows, one.dca, one.range


def _colour(label: str, labels: Sequence[str]) -> str:
    """The class of a row's line and mark."""
    if label.split()[0] in (OURS, FULL):
        return f"s-{label.split()[0]}"
    others = [other for other in labels if other.split()[0] not in (OURS, FULL)]
    return f"s-{others.index(label) % COLOURS}"


def _cards(
    means: Mapping[str, float], theirs: Sequence[Compared], ours: str, rows: str
) -> tuple[Card, ...]:
    cards = [
        Card(
            f"{name}, long-range P@L",
            f"{means[name]:.3f}",
            "all rows" if name == FULL else f"mean over {rows} rows",
        )
        for name in (ours, FULL)
        if name in means
    ]
    for one in theirs:
        cards.append(
            Card(f"{ours} against {one.against}", _percent(one.relative.value), _interval(one))
        )
    return tuple(cards)


def _verdict(
    means: Mapping[str, float], theirs: Sequence[Compared], ours: str, best: str, rows: str
) -> str:
    """What was found, in words."""
    told = f"The best other selection is {best}: {means[best]:.3f}." if best else ""
    if not ours:
        return f"{OURS} was not measured. {told}"
    parts = ", ".join(
        f"{_percent(c.relative.value)} against {c.against} ({_interval(c)})" for c in theirs
    )
    return (
        f"Mean long-range P@L of {ours}, keeping {rows} rows: {means[ours]:.3f}; {parts}. {told} "
        "Intervals are 95 %, by bootstrap over families."
    )


def _percent(share: float) -> str:
    return f"{100 * share:+.1f} %".replace("-", "\N{MINUS SIGN}")


def _interval(one: Compared) -> str:
    low, high = (_percent(share).removesuffix(" %") for share in one.relative[1:3])
    return f"{low} to {high}"


# -- plots -------------------------------------------------------------------------------------


def _charts(tables: Tables, numbers: Sequence[int], colours: Mapping[str, str]) -> Iterator[Chart]:
    if len(numbers) < 2:
        return
    for separation in RANGES:
        of = {n: tables.get(Place(f"{n}", MEAN_FIELD, f"{separation}"), ()) for n in numbers}
        means = {n: {row.label: row.mean(JUDGE) for row in rows} for n, rows in of.items()}
        name = f"P@L, |i − j| ≥ {separation}"
        yield _chart(name, means, numbers, colours)
        if separation == RANGES[0] and any(BASE in one for one in means.values()):
            above = {
                n: {label: 100 * (x / one[BASE] - 1) for label, x in one.items() if label != FULL}
                for n, one in means.items()
                if one.get(BASE)
            }
            yield _chart(f"{name}: per cent above {BASE}", above, numbers, colours)


def _chart(
    heading: str,
    means: Mapping[int, Mapping[str, float]],
    numbers: Sequence[int],
    colours: Mapping[str, str],
) -> Chart:
    series = {
        label: (cls, list(numbers), [means.get(n, {}).get(label, np.nan) for n in numbers])
        for label, cls in colours.items()
    }
    known = {k: s for k, s in series.items() if np.isfinite(s[2]).any()}
    unit = f"% above {BASE}" if ":" in heading else "P@L"
    svg = plots.curves(known, heading, "rows kept", unit, doubled=numbers)
    return Chart(heading, svg, "")


def _contacts(
    study: Study, cases: Sequence[Case], find: Find, tables: Tables, ours: str
) -> tuple[tuple[str, str], list[Chart]]:
    """A protein, why it was chosen, and a map for each row."""
    from hush.kinds.alignment.drawings import contact_map

    exact = [c for c in cases if c.settings["dca"] == MEAN_FIELD and c.settings["rows"].isdigit()]
    case = min(exact, key=lambda c: abs(int(c.settings["rows"]) - SHOWN))
    rows = tables.get(Place(case.settings["rows"], MEAN_FIELD, f"{RANGES[0]}"), ())
    values = {row.label: row.per_sample(JUDGE) for row in rows}
    rivals = [label for label in study.against if label in values]
    if len(shown := [ours, *rivals] if ours in values else rivals) < 2:
        return ("", ""), []
    first, second = (values[label] for label in shown[:2])
    apart = {name: first[name] - second.get(name, np.nan) for name in first}
    order = sorted((d, name) for name, d in apart.items() if np.isfinite(d))
    if not order:
        return ("", ""), []
    name = order[len(order) // 2][1]
    sample = next(s for s in case.samples(0) if s.name == name)
    charts = []
    for label in shown:
        result = _applied(study, cases, find, label, case, sample)
        if result is not None:
            family = sample.reference
            made = scores(family, result.draws[0], MEAN_FIELD)
            made[~family.known] = made[:, ~family.known] = np.nan
            count = int(family.known.sum())
            drawn = contact_map(made, family.contacts, count=count, separation=min(RANGES))
            charts.append(Chart(label, drawn.svg, drawn.caption, drawn.key))
    title = f"{name.rpartition('@')[0]}, {case.settings['rows']} rows kept"
    why = f"The family with the median difference of long-range P@L between {shown[0]} "
    return (title, f"{why}and {shown[1]}."), charts


def _applied(
    study: Study, cases: Sequence[Case], find: Find, label: str, case: Case, sample: Sample
) -> Kept | None:
    """What the row with a label, ``ROW`` or ``ROW model=NAME``, keeps."""
    row, _, told = label.partition(" ")
    if row in study.rows:
        result: Kept = study.rows[row](sample)
        return result
    key, _, name = told.partition("=")
    settings = {**case.settings, **({key: name} if name else {})}
    own = next((c for c in cases if c.settings == settings), None)
    method = find(row, own, 0) if own else None
    return None if method is None else method(sample.noisy, None)


# -- tables ------------------------------------------------------------------------------------


def _precision(
    study: Study, tables: Tables, labels: Sequence[str], found: Sequence[Compared]
) -> Iterator[Sequence[str]]:
    """P@L of long-range pairs for every number of rows, and differences of their mean."""
    places = [p for p in tables if p.range == f"{RANGES[0]}"]
    mean = next((p for p in places if "-" in p.rows), None)
    yield (
        "",
        *(p.rows if p.dca == MEAN_FIELD else f"{p.rows}, {p.dca}" for p in places),
        *(f"{mean.rows}, against {base}" for base in study.against if mean),
    )
    for label in labels:
        own = [{row.label: row for row in tables[p]}.get(label) for p in places]
        texts = [f"{row.mean(JUDGE):.3f}" if row and row.cells else "" for row in own]
        against = []
        for base in study.against if mean else ():
            one = next(
                (
                    c
                    for c in found
                    if _place(c) == tuple(mean or ()) and (c.method, c.against) == (label, base)
                ),
                None,
            )
            against.append(f"{_percent(one.relative.value)} ({_interval(one)})" if one else "")
        yield (label, *texts, *against)


def _selection(
    tables: Tables, labels: Sequence[str], numbers: Sequence[int]
) -> Iterator[Sequence[str]]:
    """The effective number of the rows that were kept, and their coverage."""
    of = {
        n: {row.label: row for row in tables.get(Place(f"{n}", MEAN_FIELD, ""), ())}
        for n in numbers
    }
    if not any(of.values()):
        return
    yield "", *(f"{n} rows" for n in numbers)
    for label in labels:
        own = [of[n].get(label) for n in numbers]
        texts = [
            f"{row.mean('neff'):,.0f}, {100 * row.mean('coverage'):.0f} %"
            if row and row.cells
            else ""
            for row in own
        ]
        if any(texts):
            yield label, *texts

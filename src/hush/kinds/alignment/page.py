"""What a report shows about an alignment: its rows before and after, and how diverse they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from hush.kinds.alignment import charts, colours, drawings, show
from hush.kinds.alignment.advice import counted, named
from hush.kinds.alignment.alphabet import FILLED, Alphabet, alphabet
from hush.kinds.alignment.measure import fitted, likeness
from hush.report import describe
from hush.report.frame import Card, Chart, Entry, names
from hush.report.pictures import Picture, encode

if TYPE_CHECKING:
    from hush.kinds.alignment import Alignment
    from hush.record import Record
    from hush.results import Denoised, Inspection

ICON = 64
LEAST = 3  #: rows from which on their identities are drawn


@dataclass(frozen=True)
class Rows(Entry):
    """Everything the page shows about one alignment.

    pictures : of the rows in the colours of `key`, and matrices of identities, those beside each
    other together; charts : everything else.
    """

    pictures: tuple[tuple[Chart, ...], ...]
    key: tuple[tuple[str, str], ...]
    charts: tuple[Chart, ...]

    template: ClassVar[str] = "hush.kinds.alignment/page.html.j2"
    judged: ClassVar[str] = "status"
    fine: ClassVar[str] = "No warnings"
    badge: ClassVar[str] = "no warnings"


@dataclass(frozen=True)
class InspectedRows(Rows):
    """The same for a file that was only inspected."""

    heading: ClassVar[str] = "Noise report"
    look: ClassVar[str] = "Know this before you denoise"
    fine: ClassVar[str] = "Ready to denoise"
    badge: ClassVar[str] = "ready to denoise"


@dataclass(frozen=True)
class _Seen:
    """The rows of an alignment ``(N, L)``; kept : which of them are left, None if all are."""

    tokens: np.ndarray
    letters: Alphabet
    query: int
    name: str
    kept: np.ndarray | None = None

    @property
    def states(self) -> np.ndarray:
        return self.letters.states[self.tokens]


def section(kind: Alignment, result: Denoised, budget: float) -> Rows:
    """What a page shows about a result, without keeping its arrays."""
    item, stats = result.noisiest, result.residual
    kept = np.ones(stats["n"], bool) if item.kept is None else item.kept
    seen = _seen(kind, result.noisy, kept)
    before, after = stats["before"], stats["after"]
    time = describe.duration(sum(result.timings.values()))
    model = [f"model {result.model}"] if result.model else []
    gone = stats["n"] - stats["kept"]
    noise = show.noise(result, result.given)
    name, parent = names(result.noisy)
    return Rows(
        name=name,
        parent=parent,
        facts=_facts(seen),
        cards=(
            Card(
                "Kept",
                f"{stats['kept']:,} of {stats['n']:,}",
                f"rows; {f'{gone:,}' if gone else 'none'} removed",
            ),
            *_cards(before, after),
            *([Card("Noise", noise.partition(" of the rows")[0], "of the rows")] if noise else []),
            Card("Method", result.method, ", ".join([*model, describe.steps(result.steps), time])),
        ),
        warnings=tuple(result.warnings),
        verdict=item.judgement.verdict,
        icon=_icon(seen),
        notes=_notes(seen),
        noise={},
        row={
            "kept": f"{stats['kept']:,} of {stats['n']:,}",
            "effective": show.change(show.effective, before, after),
            "time": time,
        },
        pictures=(_compared(seen, kept, budget), _matrices(seen, kept)),
        key=colours.key(seen.letters),
        charts=(
            charts.coverage(FILLED[seen.tokens], FILLED[seen.tokens[kept]]),
            *charts.likeness(likeness(seen.states, seen.letters, seen.query), kept),
            *charts.fits(fitted(seen.states, seen.letters), kept),
            *charts.scores(item.probability, kept),
            *charts.steps(item.trace),
        ),
    )


def inspected(kind: Alignment, seen: Inspection, budget: float) -> InspectedRows:
    """What a page shows about an inspection, without keeping arrays."""
    of = _seen(kind, seen.record)
    survey = seen.survey or kind.survey(seen.record)
    found: Mapping[str, Any] = survey.items[0]
    name, parent = names(seen.record)
    share = show.share_found(seen.estimate)
    model = f"model {seen.model}, " if seen.model else ""
    return InspectedRows(
        name=name,
        parent=parent,
        facts=_facts(of),
        cards=(
            Card("Depth", f"{found['rows']:,}", f"rows of {counted(found['columns'], 'column')}"),
            *_cards(found, found),
            Card("Noise", share or "Not measured", "of the rows do not help" if share else ""),
            Card("Method", seen.method, f"{model}{describe.steps(seen.steps)}"),
        ),
        warnings=tuple(seen.warnings),
        verdict="The alignment raised no warnings.",
        icon=_icon(of),
        notes=_notes(of),
        noise={},
        row={"rows": f"{found['rows']:,}", "effective": show.effective(found)},
        pictures=(
            (
                _drawing(of, f"All {counted(len(of.tokens), 'row')}", None, budget),
                *_matrix(of, np.ones(len(of.tokens), bool), "Identity"),
            ),
        ),
        key=colours.key(of.letters),
        charts=(
            charts.coverage(FILLED[of.tokens], None),
            *charts.likeness(likeness(of.states, of.letters, of.query), None),
            *charts.fits(fitted(of.states, of.letters), None),
        ),
    )


def _seen(kind: Alignment, record: Record, kept: np.ndarray | None = None) -> _Seen:
    tokens = kind.rows(kind.batch(record), 0)
    query = kind.query(record.context, len(tokens))
    return _Seen(tokens, alphabet(tokens), query, named(record.context, query), kept)


def _facts(seen: _Seen) -> str:
    rows, columns = seen.tokens.shape
    of = [f"query {seen.name}"] if seen.name else []
    return ", ".join(
        [f"{counted(rows, 'row')} of {counted(columns, 'column')}", seen.letters.name, *of]
    )


def _cards(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[Card, ...]:
    """The figures of an alignment, before and after if they differ."""
    judged = before["misaligned"] is not None
    still = after if after["misaligned"] is not None else before
    return (
        Card(
            "Effective number",
            show.change(show.effective, before, after),
            "at 80 % identity",
        ),
        Card(
            "Coverage",
            show.change_of("coverage", before, after),
            "of the query's columns, on average",
        ),
        Card(
            "Redundant",
            show.change_of("redundant", before, after),
            "of the rows are 90 % identical to another",
        ),
        Card(
            "Misaligned",
            show.change_of("misaligned", before, still) if judged else "Not judged",
            "of the rows fit no better than shuffled" if judged else "too few rows or residues",
        ),
    )


def _icon(seen: _Seen) -> Picture:
    rows, columns = (np.linspace(0, n - 1, ICON).round().astype(int) for n in seen.tokens.shape)
    return encode(colours.coloured(seen.tokens[np.ix_(rows, columns)], seen.letters))


def _notes(seen: _Seen) -> tuple[str, ...]:
    """What the pictures leave out, and what they show."""
    sizes = zip(seen.tokens.shape, ("rows", "columns"), drawings.MOST, strict=True)
    notes = [
        f"of {count:,} {what} the picture shows {most:,} at most, evenly spaced"
        for count, what, most in sizes
        if count > most
    ]
    drawn = ", for rows drawn at random" * (len(seen.tokens) > drawings.MOST_COMPARED)
    compared = f"the identity of two rows is equal residues over those of the shorter row{drawn}"
    return (*notes, *([compared] if len(seen.tokens) >= LEAST else []))


def _compared(seen: _Seen, kept: np.ndarray, budget: float) -> tuple[Chart, ...]:
    """The rows before, with marks at those that were removed, and after."""
    left = _Seen(seen.tokens[kept], seen.letters, int(kept[: seen.query].sum()), seen.name)
    return (
        _drawing(seen, f"Before: {counted(len(kept), 'row')}", kept, budget),
        _drawing(left, f"After: {counted(len(left.tokens), 'row')}", kept[kept], budget),
    )


def _drawing(seen: _Seen, heading: str, kept: np.ndarray | None, budget: float) -> Chart:
    svg = drawings.rows_of(seen.tokens, seen.letters, seen.query, heading, budget, kept)
    if kept is None:
        return Chart(heading, svg, "")
    return Chart(heading, svg, "", charts.KEY if not kept.all() else charts.KEY[:1])


def _matrices(seen: _Seen, kept: np.ndarray) -> tuple[Chart, ...]:
    before = _matrix(seen, np.ones(len(kept), bool), "Before: identity")
    return (*before, *_matrix(seen, kept, "After: identity"))


def _matrix(seen: _Seen, which: np.ndarray, heading: str) -> tuple[Chart, ...]:
    """The identities of rows, if there are enough to compare."""
    states = seen.letters.states[seen.tokens[which]]
    if len(states) < LEAST:
        return ()
    shown = min(len(states), drawings.MOST_COMPARED)
    of = "" if shown == len(states) else f" of {len(states):,}"
    title = f"{heading} of {shown:,}{of} rows"
    return (Chart(title, drawings.matrix(states, seen.letters.none, title), ""),)

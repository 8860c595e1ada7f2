"""What is said about an alignment and its result, as labels and values."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from hush.noise.outliers import Outliers
from hush.report import describe

if TYPE_CHECKING:
    from hush.kinds.alignment import Alignment
    from hush.results import Denoised, Estimate, Inspection

#: figures of `Measures.plain`
Figures = Mapping[str, Any]


def facts(result: Denoised, given: bool) -> list[tuple[str, str]]:
    """The lines of a summary about the rows of a result."""
    before, after = (result.residual[k] for k in ("before", "after"))
    lines = [
        ("kept", kept(result.residual)),
        ("noise", noise(result, given)),
        ("effective", sequences(change(effective, before, after))),
        ("coverage", coverage(before, after)),
        ("redundant", f"{change_of('redundant', before, after)} of the rows"),
        ("misaligned", misaligned(before, after)),
    ]
    return [(label, value) for label, value in lines if value]


def kept(stats: Figures) -> str:
    """How many rows were kept."""
    text = of_rows(stats)
    return f"{text}: nothing was removed" if stats["kept"] == stats["n"] else text


def of_rows(stats: Figures) -> str:
    """``3 of 17 rows``."""
    return f"{stats['kept']:,} of {stats['n']:,} row{'s' * (stats['n'] != 1)}"


def noise(result: Denoised, given: bool) -> str:
    """The share of rows that do not help, as measured and as it was given; empty if unknown."""
    found = share_found(result.estimate)
    if given and isinstance(result.process, Outliers):
        text = f"{describe.share(result.process.share)} of the rows as given"
        return f"{text}; measured: {found}" if found else text
    return f"{found} of the rows do not help" if found else ""


def share_found(found: Estimate) -> str:
    """The share of noise and how sure it is; empty if it was not measured."""
    if not math.isfinite(found.uncertainty):
        return ""
    text = describe.share(found.sigma)
    return f"{text} ± {describe.share(found.uncertainty * found.sigma)}"


def brief(result: Denoised) -> str:
    """The same in a few words, for one line of many."""
    stats = result.residual
    of = change(effective, stats["before"], stats["after"])
    return f"{of_rows(stats)} kept, effective number {of}"


def stepped(entry: Mapping[str, Any]) -> str:
    """What a step of an iteration did."""
    before, removed = (describe.share(entry[k]) for k in ("level", "removed_rms"))
    return f"{before} noise seen, {removed} of the rows removed"


def looked(kind: Alignment, seen: Inspection) -> list[tuple[str, str]]:
    """Everything found in an alignment that was only inspected."""
    lines = dict(describe.inspection(kind.name, kind.element, seen))
    found = share_found(seen.estimate)
    own = [(label, value) for label, value in (seen.survey.facts if seen.survey else ())]
    return [
        (kind.name, lines[kind.name]),
        *own,
        ("noise", f"{found} of the rows do not help" if found else "not measured"),
        *((label, lines[label]) for label in ("step", "denoise") if label in lines),
    ]


def found(seen: Figures, query: str, residues: int) -> list[tuple[str, str]]:
    """What was measured in an alignment; residues : of the query."""
    rows, columns = (f"{seen[k]:,} {k[:-1]}{'s' * (seen[k] != 1)}" for k in ("rows", "columns"))
    at = f"{seen['effective'] / seen['columns']:.2g} for each column"
    sampled = f"; {seen['sampled']:,} rows compared with all" if seen["sampled"] else ""
    lines = [
        ("depth", f"{rows} of {columns}, {describe.share(seen['gaps'])} gaps"),
        (
            "query",
            ", ".join([*[query] * bool(query), f"{residues:,} residue{'s' * (residues != 1)}"]),
        ),
        ("alphabet", seen["alphabet"]),
        ("effective", f"{sequences(effective(seen))} ({at}{sampled})"),
        ("coverage", coverage(seen, seen)),
        ("identity", f"{share(seen['identity'])} to the query, median"),
        ("redundant", f"{share(seen['redundant'])} of the rows are 90 % identical to another"),
        ("misaligned", misaligned(seen, seen)),
    ]
    unknown = {"identity"} if seen["identity"] is None else set()
    return [(label, value) for label, value in lines if value and label not in unknown]


def sequences(number: str) -> str:
    """A number of them, or two of a change, as text."""
    return f"{number} sequence{'s' * (number.split(' → ')[-1] != '1')} at 80 % identity"


def coverage(before: Figures, after: Figures) -> str:
    """How full the query's columns are; empty for a query without any."""
    if before["coverage"] is None:
        return ""
    return f"{change_of('coverage', before, after)} of the query's columns on average"


def misaligned(before: Figures, after: Figures) -> str:
    """The share of rows that look misaligned, or why it is not known."""
    if before["misaligned"] is None:
        return "not judged: too few rows or residues"
    known = after if after["misaligned"] is not None else before
    text = f"{change_of('misaligned', before, known)} of the rows fit the family no better"
    left = "; too few are left to judge" if known is not after else ""
    return f"{text} than shuffled{left}"


def share(value: float | None) -> str:
    """In percent."""
    return "not judged" if value is None else describe.share(value)


def effective(seen: Figures) -> str:
    """The effective number of sequences, with its standard error if it was estimated."""
    text = number(seen["effective"])
    return f"{text} ± {number(seen['error'])}" if seen["sampled"] else text


def number(value: float) -> str:
    """A number of sequences, which need not be whole."""
    return f"{value:,.0f}" if value >= 100 else f"{float(f'{value:.3g}'):g}"


def change(words: Any, before: Figures, after: Figures) -> str:
    """``A → B``, or ``A`` if they are the same."""
    return " → ".join(dict.fromkeys([words(before), words(after)]))


def change_of(name: str, before: Figures, after: Figures) -> str:
    """The same of a share."""
    return change(lambda seen: share(seen[name]), before, after)

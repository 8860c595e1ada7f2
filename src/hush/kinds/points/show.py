"""What is said about a set and its result, as labels and values."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hush.report import describe

if TYPE_CHECKING:
    from hush.kinds.points import Points
    from hush.results import Denoised, Estimate, Inspection


def facts(kind: Points, result: Denoised, given: bool) -> list[tuple[str, str]]:
    """The lines of a summary about the outliers of a result."""
    stats = result.residual
    told = ", as given" if given else ""
    return [
        ("outliers", outliers(result.estimate) + told),
        ("kept", f"{stats['kept']} of {stats['n']} {kind.element}s"),
    ]


def brief(kind: Points, result: Denoised) -> str:
    """The same in a few words, for one line of many."""
    stats = result.residual
    return f"{stats['kept']} of {stats['n']} {kind.element}s kept"


def looked(kind: Points, seen: Inspection) -> list[tuple[str, str]]:
    """Everything found in a set that was only inspected."""
    lines = describe.inspection(kind.name, kind.element, seen)
    lines = [(a, b) for a, b in lines if a not in ("noise", f"{kind.element}s")]
    return [lines[0], ("outliers", outliers(seen.estimate)), *lines[1:]]


def outliers(found: Estimate) -> str:
    """Their share, and how sure it is."""
    if found.uncertainty > describe.UNSURE:
        return "not measured"
    text = describe.share(found.sigma)
    return f"{text} ± {describe.share(found.uncertainty * found.sigma)}"

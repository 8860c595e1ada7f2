"""What is said about a set and its result, as labels and values."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from hush.noise.outliers import Outliers
from hush.report import describe

if TYPE_CHECKING:
    from hush.kinds.points import Points
    from hush.results import Denoised, Estimate, Inspection


def facts(kind: Points, result: Denoised, given: bool) -> list[tuple[str, str]]:
    """The lines of a summary about the outliers of a result."""
    stats = result.residual
    return [
        ("outliers", shares(result, given)),
        ("kept", kept(kind, stats)),
        ("sure", sure(stats)),
    ]


def shares(result: Denoised, given: bool) -> str:
    """The share of outliers as measured, and as it was given."""
    measured = outliers(result.estimate)
    if given and isinstance(result.process, Outliers):
        return f"{describe.share(result.process.share)} as given; measured: {measured}"
    return measured


def kept(kind: Points, stats: Mapping[str, Any]) -> str:
    """How many were kept."""
    text = f"{stats['kept']} of {stats['n']} {kind.element}{'s' * (stats['n'] != 1)}"
    return f"{text}: nothing was removed" if stats["kept"] == stats["n"] else text


def sure(stats: Mapping[str, Any]) -> str:
    """How sure the decisions are."""
    if not stats["known"]:
        return "nothing was judged"
    if stats["sure"] is None:
        return "the method does not say"
    return f"{describe.share(stats['sure'])} of the decisions are expected to be right"


def brief(kind: Points, result: Denoised) -> str:
    """The same in a few words, for one line of many."""
    stats = result.residual
    text = f"{stats['kept']} of {stats['n']} {kind.element}{'s' * (stats['n'] != 1)} kept"
    if not stats["known"]:
        return f"{text}, nothing judged"
    if stats["sure"] is None:
        return text
    return f"{text}, sure of {describe.share(stats['sure'])}"


def stepped(kind: Points, entry: Mapping[str, Any]) -> str:
    """What a step of an iteration did."""
    before, removed = (describe.share(entry[k]) for k in ("level", "removed_rms"))
    return f"{before} outliers seen, {removed} of the {kind.element}s first judged so"


def looked(kind: Points, seen: Inspection) -> list[tuple[str, str]]:
    """Everything found in a set that was only inspected."""
    first, *lines = describe.inspection(kind.name, kind.element, seen)
    known = math.isfinite(seen.estimate.uncertainty)
    strange = {"noise", f"{kind.element}s", "" if known else "--noise"}
    others = [(label, value) for label, value in lines if label not in strange]
    return [first, ("outliers", outliers(seen.estimate)), *others]


def outliers(found: Estimate) -> str:
    """Their share, and how sure it is."""
    if not math.isfinite(found.uncertainty):
        return "not measured"
    text = describe.share(found.sigma)
    return f"{text} ± {describe.share(found.uncertainty * found.sigma)}"

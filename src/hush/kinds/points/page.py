"""What a report shows about sets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hush.kinds import show

if TYPE_CHECKING:
    from hush.kinds.points import Points
    from hush.report.frame import Entry
    from hush.results import Denoised, Inspection


def section(kind: Points, result: Denoised, budget: float) -> Entry:
    """The scene before and after, and how sure the decisions are."""
    return show.section(kind, result)


def inspected(kind: Points, seen: Inspection, budget: float) -> Entry:
    """The scene, with the outliers marked."""
    return show.inspected(kind, seen)

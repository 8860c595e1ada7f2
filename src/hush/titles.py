"""Warnings about several items of a file, each said once with the titles that it is about."""

from __future__ import annotations

from collections.abc import Sequence

MOST_TITLES = 8  #: titles before a warning


def by_title(said: Sequence[tuple[str, Sequence[str]]]) -> list[str]:
    """Each warning once, after the titles of the items that it is about, the causes first.

    said : of every item, its title and warnings. The titles are left out of warnings about all.
    """
    every = dict.fromkeys(title for title, _ in said)
    about: dict[str, dict[str, None]] = {}
    ranks: dict[str, int] = {}
    for title, warnings in said:
        for rank, warning in enumerate(warnings):
            about.setdefault(warning, {})[title] = None
            ranks[warning] = max(rank, ranks.get(warning, 0))
    return [
        w if len(about[w]) == len(every) else f"{listed(list(about[w]))}: {w}"
        for w in sorted(ranks, key=lambda w: ranks[w])
    ]


def listed(titles: Sequence[str]) -> str:
    """``channel A``, or ``channels A, B and C``; the first few of many."""
    if len(titles) > MOST_TITLES:
        more = len(titles) - MOST_TITLES + 1
        titles = [*titles[: MOST_TITLES - 1], f"{more} more"]
    text = " and ".join([", ".join(titles[:-1]), titles[-1]] if len(titles) > 1 else titles)
    return f"channel{'s' * (len(titles) > 1)} {text}"

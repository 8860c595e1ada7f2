"""What two halves of an item tell (`hush.check`), in words for summaries, warnings and pages."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import groupby

from hush.comparison import TOLERANCE, Check
from hush.results import Item

MOST = 30.0  #: dB that can be told, because the error itself is known up to chance

_NAMES = {"wiener": "a Wiener filter", "none": "the input", "bm3d": "BM3D"}


def named(method: str) -> str:
    """A method in a sentence."""
    return _NAMES.get(method, method)


def decibels(value: float) -> str:
    return f"{value:.1f} dB" if value < MOST else f"more than {MOST:.0f} dB"


def percent(share: float) -> str:
    """A share that is not rounded to none or to all."""
    percents = 100 * share
    if 0 < percents < 1 or 99 < percents < 100:
        return "less than 1 %" if percents < 1 else "more than 99 %"
    return f"{percents:.0f} %"


def comparison(seen: Check) -> str:
    """How near the result is: "1.4 dB nearer to the signal than a Wiener filter, …"."""
    others = [name for name in seen.errors if name != seen.kept]
    compared = [(_how(seen, name), decibels(abs(seen.lead(name))), named(name)) for name in others]
    parts = []
    for how, same in groupby(compared, key=lambda part: part[0]):
        if how:
            (_, first, name), *rest = same
            told = f"{first} {how} the signal than {name}"
            parts.append(", ".join([told, *(f"{db} than {other}" for _, db, other in rest)]))
        else:
            parts.append("as near to the signal as " + " and ".join(name for *_, name in same))
    return ", ".join(parts) + ("" if certain(seen) else " (which may be chance)")


def _how(seen: Check, name: str) -> str:
    if abs(seen.lead(name)) <= TOLERANCE:
        return ""
    return "nearer to" if seen.lead(name) > 0 else "farther from"


def certain(seen: Check) -> bool:
    """Whether no other method seems nearer without being so beyond chance."""
    return seen.best != seen.kept or all(seen.lead(name) >= -TOLERANCE for name in seen.errors)


def detail(seen: Check) -> str:
    """How much of the fine detail comes from the data."""
    if not seen.detailed:
        return "too little fine detail to compare"
    return f"{percent(1 - seen.unshared)} of the fine detail is in both halves"


def headline(seen: Check) -> tuple[str, str]:
    """The most important finding, and the rest."""
    nearer = comparison(seen)
    if seen.invents:
        return "Some detail may be invented", f"only {detail(seen)}; {nearer}"
    value, rest = re.split(r" (?=(?:to|from) the signal)", nearer, maxsplit=1)
    return value[:1].upper() + value[1:], f"{rest}; {detail(seen)}"


def facts(seen: Check | None) -> list[tuple[str, str]]:
    """A line of the summary; none if nothing was checked."""
    if seen is None:
        return []
    return [("two halves", f"{comparison(seen)}; {detail(seen)}")]


def verdict(seen: Check | None) -> str:
    """What the check adds to the reasons why there are no warnings, as sentences."""
    if seen is None:
        return "Whether detail was invented was not checked."
    return f"On two halves of the data the result is {comparison(seen)}; {detail(seen)}."


def brief(seen: Check | None) -> str:
    """The same in two or three words, for the index of a page; empty if nothing was checked."""
    if seen is None:
        return ""
    if seen.kept != seen.method:
        return f"{seen.kept} kept"
    if seen.best != seen.method:
        return f"{seen.best} is nearer"
    return "invented detail" if seen.invents else "no invention"


def methods(name: str, items: Sequence[Item]) -> str:
    """The method of a result, and how many items another one was nearer for."""
    others = [i.check.kept for i in items if i.check is not None and i.check.kept != name]
    if not others:
        return name
    counts = [f"{other} for {others.count(other)}" for other in dict.fromkeys(others)]
    if len(items) == 1:
        return f"{others[0]}, kept instead of {name}"
    return f"{name}, but {', '.join(counts)} of {len(items)}"

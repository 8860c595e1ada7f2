"""What two halves of an item tell (`hush.check`), in words for summaries, warnings and pages."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import groupby

from hush.comparison import TOLERANCE, Check
from hush.results import Item

MOST = 30.0  #: dB that can be told, because the error itself is known up to chance

NEARER, FARTHER = "nearer to", "farther from"

_NAMES = {
    "wiener": "a Wiener filter",
    "nlm": "non-local means",
    "none": "the input",
    "bm3d": "BM3D",
}


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
    """How near the result is, the strongest rival first: "1.4 dB nearer to the signal than a
    Wiener filter, 9.8 dB than the input"."""
    if seen.few:
        return "too few values to compare"
    others = sorted((n for n in seen.errors if n != seen.kept), key=seen.lead)
    parts = []
    for how, names in groupby(others, key=lambda name: _how(seen, name)):
        if not how:
            parts.append("as near to the signal as " + " and ".join(map(named, names)))
            continue
        gaps = [f"{decibels(abs(seen.lead(n)))} {{}}than {named(n)}" for n in names]
        told = ", ".join([gaps[0].format(f"{how} the signal "), *(g.format("") for g in gaps[1:])])
        chance = how == FARTHER and seen.best == seen.kept
        parts.append(f"{told} (which may be chance)" if chance else told)
    return ", ".join(parts)


def _how(seen: Check, name: str) -> str:
    if abs(seen.lead(name)) <= TOLERANCE:
        return ""
    return NEARER if seen.lead(name) > 0 else FARTHER


def detail(seen: Check) -> str:
    """How much of the fine detail comes from the data."""
    if not seen.detailed:
        return "too little fine detail to compare"
    return f"{percent(1 - seen.unshared)} of the fine detail is in both halves of the data"


def headline(seen: Check) -> tuple[str, str]:
    """The most important finding, and the rest."""
    nearer = comparison(seen)
    if seen.invents:
        return "Some detail may be invented", f"only {detail(seen)}; {nearer}"
    value, *rest = re.split(r" (?=(?:to|from) the signal)", nearer, maxsplit=1)
    return value[:1].upper() + value[1:], "; ".join(rest + [detail(seen)] * (not seen.few))


def facts(seen: Check | None) -> list[tuple[str, str]]:
    """A line of the summary; none if nothing was checked."""
    if seen is None:
        return []
    return [("checked", "; ".join([comparison(seen)] + [detail(seen)] * (not seen.few)))]


def verdict(seen: Check | None) -> str:
    """What the check adds to the reasons why there are no warnings, as sentences."""
    if seen is None or seen.few:
        return "Whether detail was invented was not checked."
    return f"On two halves of the data the result is {comparison(seen)}; {detail(seen)}."


def unknown(strength: float) -> str:
    """A warning that there is no deviation of the error."""
    why = "this noise cannot be divided into two independent halves, from which it is estimated"
    if strength != 1:
        why = "it can only be estimated at full strength; leave --strength out"
    return f"The uncertainty is NaN everywhere: {why}."


def brief(seen: Check | None) -> str:
    """The same in two or three words, for the index of a page; empty if nothing was checked."""
    if seen is None or seen.few:
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

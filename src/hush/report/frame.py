"""Shared by all pages: an entry for each file, the size limit of pictures, and writing.

An `Entry` holds the encoded pictures, plots and sentences of one result and none of its arrays, so
a run over many files can free each result before the next.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from hush.noise.processes import FAMILIES
from hush.record import Record
from hush.report import describe, plots
from hush.report.pictures import Picture

if TYPE_CHECKING:
    from hush.results import Estimate

#: samples per picture (a gray 1200 x 1200), and for all pictures together on a long page
BUDGET, SHARED = 1.5e6, 12e6
SMALLEST_BUDGET = 0.15e6
#: index columns that contain numbers
NUMERIC = ("removed / model", "time")
#: |autocorrelation| above this at any lag is structure. Good denoisers reach lag-1 values down to
#: -0.1 (too much or too little smoothing near edges), a plain Gaussian blur -0.17; noise that a
#: camera interpolated or compressed has 0.3 or more.
WHITE = 0.15
WHITE_LAGS = (0.0,) * 7  #: of noise that is independent between pixels


@dataclass(frozen=True)
class Card:
    """A summary card: a heading, a large value, a detail below it and code to copy."""

    label: str
    value: str
    detail: str = ""
    code: str = ""


@dataclass(frozen=True)
class Entry:
    """What every page shows for a file.

    verdict : the reason why there are no warnings; noise : plots of the input's noise, if any was
    found; row : cells of the index by column heading.

    A subclass names the `template` of its own part, as ``PACKAGE/FILE`` if it is in another
    package.
    """

    name: str
    parent: str
    facts: str
    cards: tuple[Card, ...]
    warnings: tuple[str, ...]
    verdict: str
    icon: Picture | None
    notes: tuple[str, ...]
    noise: Mapping[str, str]
    row: Mapping[str, str]

    template: ClassVar[str]
    #: the title of the page, and the heading of the last column of its index
    heading: ClassVar[str] = "Denoising report"
    judged: ClassVar[str] = "residual"
    #: headings of the verdict with and without warnings, and the index's badge without
    look: ClassVar[str] = "Look before you trust this result"
    fine: ClassVar[str] = "What was removed looks like noise"
    badge: ClassVar[str] = "like noise"


@dataclass(frozen=True)
class Chart:
    """A plot with heading and caption. key : its legend, as (class of the mark, text)."""

    heading: str
    svg: str
    caption: str
    key: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Charts(Entry):
    """An entry made of plots only."""

    charts: tuple[Chart, ...] = ()

    template: ClassVar[str] = "charts.html.j2"


@dataclass(frozen=True)
class InspectedCharts(Charts):
    """The same for a file that was only inspected."""

    heading: ClassVar[str] = "Noise report"
    judged: ClassVar[str] = "status"
    look: ClassVar[str] = "Know this before you denoise"
    fine: ClassVar[str] = "Ready to denoise"
    badge: ClassVar[str] = "ready to denoise"


def write(entries: Sequence[Entry], path: str | os.PathLike[str], title: str | None = None) -> None:
    """Write one self-contained HTML file about the entries, of any kinds of data.

    Raises
    ------
    HushError
        if `path` cannot be written.
    """
    from hush.io import atomic

    html = render(entries, title)
    with atomic(Path(path)) as temporary:
        Path(temporary).write_text(html, encoding="utf-8")


def render(entries: Sequence[Entry], title: str | None = None) -> str:
    """The page as HTML; pictures, plots, style and script are inside, nothing is fetched."""
    from jinja2 import ChoiceLoader, Environment, PackageLoader, PrefixLoader, StrictUndefined

    names = Counter(e.name for e in entries)
    sections = [
        replace(e, name=f"{e.parent}/{e.name}") if names[e.name] > 1 and e.parent else e
        for e in entries
    ]
    if title is None:
        title = sections[0].name if len(sections) == 1 else f"{len(sections)} files"
    packages = {e.template.rpartition("/")[0] for e in entries} - {""}
    own = PrefixLoader({package: PackageLoader(package, ".") for package in packages})
    environment = Environment(
        loader=ChoiceLoader([PackageLoader("hush.report", "."), own]),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    environment.filters["options"] = _mark_options
    environment.filters["number"] = plots.number
    environment.filters["sentence"] = _sentence
    return environment.get_template("base.html.j2").render(
        title=title,
        sections=sections,
        columns=list(dict.fromkeys(name for e in entries for name in e.row)),
        numeric=NUMERIC,
        version=_version(),
        tolerance=WHITE,
    )


def picture_budget(count: int) -> float:
    """The most samples a picture may have on a page about `count` results."""
    return min(BUDGET, max(SMALLEST_BUDGET, SHARED / max(1, count)))


def names(record: Record) -> tuple[str, str]:
    """The names of a record's file and of its folder."""
    source = record.source
    return (source.name, source.parent.name) if source else ("array", "")


def noise_card(found: Estimate, scale: float) -> Card:
    """The noise of the input, and the option that states it."""
    if not (found.sigma or found.impulses):
        return Card("Noise", "None found")
    option = describe.option(found.process, scale, found)
    return Card("Noise", describe.family(found.family), describe.level(found, scale), option)


def between_card(found: Estimate, element: str = "pixel") -> Card:
    """Whether the noise of neighbours is correlated."""
    label = f"Between {element}s"
    if not found.correlated:
        return Card(label, "Independent", f"noise differs at every {element}")
    return Card(label, "Correlated", describe.between(found, element).partition(": ")[2])


def lines_cards(found: Estimate, scale: float) -> list[Card]:
    """Offsets of lines and hum, if there are any."""
    text = describe.interference(found, scale)
    return [Card("Lines", text[:1].upper() + text[1:], "beside the noise")] if text else []


def noise_plots(found: Estimate, scale: float, units: str) -> dict[str, str]:
    """Plots of the input's noise; empty if no curve was measured."""
    if not found.curve:
        return {}
    by_brightness = "Noise in the input by brightness, and the fitted noise model"
    lags = {"": found.autocorrelation or WHITE_LAGS}
    return {
        "transfer": plots.transfer(found.curve, scale, units, by_brightness),
        "neighbours": plots.autocorrelation(lags, "Autocorrelation of the input's noise"),
    }


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


def _mark_options(text: str) -> str:
    """`text` as HTML with command-line options as code, so that lines do not break in them."""
    from markupsafe import Markup, escape

    value = r"(?=\S*[\d:])\w[\w:/-]*(?:[.,][\w:/-]+)*"  # without the sentence's own punctuation
    option = rf"--[a-z]+(?:-[a-z]+)*(?: (?:{value}|(?:{'|'.join(FAMILIES)})\b))?"
    return Markup(re.sub(option, r"<code>\g<0></code>", str(escape(text))))


def _version() -> str:
    try:
        return version("hush-denoise")
    except PackageNotFoundError:  # running from a source tree that is not installed
        return ""

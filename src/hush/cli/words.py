"""What was measured, in words that fit on a screen."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Iterable, Sequence
from typing import Any

import click

FAMILIES = {"gaussian": "Gaussian", "poisson": "Poisson", "poisson-gaussian": "Poisson–Gaussian"}


def number(value: float) -> str:
    """Three significant digits."""
    from hush.report.plots import number as three_digits

    return three_digits(value)


def units(scale: float) -> str:
    """What a level is out of: nothing to say for floats, whose full range is 1."""
    return f" of {scale:.0f}" if scale != 1 else ""


def size(shape: Sequence[int], dtype: str, axes: str) -> str:
    return f"{' × '.join(str(n) for n in shape)} ({axes}), {dtype}"


def noise(
    family: str, sigma: float, gain: float, read_sigma: float, scale: float, doubt: float = 0.0
) -> str:
    """Family and level; levels in the data's units, `doubt` the relative error of sigma."""
    if sigma == 0:
        return "none was found"
    level = f"{FAMILIES.get(family, family)}, σ {number(sigma)}{units(scale)}"
    level += f" ± {100 * doubt:.0f} %" if doubt >= 0.005 else ""
    if family == "gaussian":
        return f"{level}, the same at every brightness"
    if family == "poisson":
        return f"{level} on average, {number(scale / gain)} counts at full range"
    return f"{level} on average, gain {number(gain)}, read noise σ {number(read_sigma)}"


def correlation(correlated: bool, lag1: float, width: float | None = None) -> str:
    if not correlated:
        return "independent from pixel to pixel"
    blurred = f", as if blurred by {number(width)} pixels" if width and width == width else ""
    return f"correlated between neighbours (lag-1 {number(round(lag1, 2))}{blurred})"


def duration(seconds: float) -> str:
    if seconds >= 90:
        return f"{seconds / 60:.1f} min"
    return f"{seconds:.1f} s" if seconds >= 0.95 else f"{1000 * seconds:.0f} ms"


def plain(value: Any) -> str:
    """Part of a model's card: nested dicts and lists as words."""
    if isinstance(value, dict):
        return ", ".join(f"{k.replace('_', ' ')} {plain(v)}" for k, v in value.items())
    if isinstance(value, list):
        return ", ".join(plain(v) for v in value)
    return number(value) if isinstance(value, float) else str(value)


def print_block(title: str, rows: Iterable[tuple[str, str]], warnings: Iterable[str] = ()) -> None:
    """A title, lines of a label and a value, and warnings wrapped to the screen."""
    lines = list(rows)
    column = max((len(label) for label, _ in lines), default=0) + 2
    click.echo(title)
    for label, value in lines:
        click.echo(_wrapped(f"  {label:<{column}}", value))
    for warning in warnings:
        click.echo(_wrapped("  ! ", warning))


def _wrapped(start: str, text: str) -> str:
    return textwrap.fill(
        text,
        width=max(60, min(100, shutil.get_terminal_size().columns)),
        initial_indent=start,
        subsequent_indent=" " * len(start),
        break_long_words=False,
        break_on_hyphens=False,
    )

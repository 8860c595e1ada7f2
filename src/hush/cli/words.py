"""Blocks of labels and values that fit on a screen."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Iterable, Sequence
from typing import Any

import click

MOST_WARNINGS = 2  #: shown for one file, unless -v is given


def plain(value: Any) -> str:
    """A value of a model's card as text; nested dicts and lists are joined by commas."""
    from hush.report.describe import number

    if isinstance(value, dict):
        return ", ".join(f"{k.replace('_', ' ')} {plain(v)}" for k, v in value.items())
    if isinstance(value, list):
        return ", ".join(plain(v) for v in value)
    return number(value) if isinstance(value, float) else str(value)


def print_block(title: str, rows: Iterable[tuple[str, str]], warnings: Iterable[str] = ()) -> None:
    """Print a title, lines of label and value, and warnings, wrapped to the screen."""
    click.echo(block(title, rows, warnings))


def block(title: str, rows: Iterable[tuple[str, str]], warnings: Iterable[str] = ()) -> str:
    """A title, lines of label and value, and warnings, wrapped to the screen."""
    lines = list(rows)
    column = max((len(label) for label, _ in lines), default=0) + 2
    shown = [_wrapped(f"  {label:<{column}}", value) for label, value in lines]
    return "\n".join([title, *shown, *(_wrapped("  ! ", warning) for warning in warnings)])


def most_important(warnings: Sequence[str], verbose: bool) -> list[str]:
    """The first two warnings, which state the causes; all of them if `verbose`."""
    if verbose or len(warnings) <= MOST_WARNINGS:
        return list(warnings)
    more = len(warnings) - MOST_WARNINGS
    return [*warnings[:MOST_WARNINGS], f"{more} more warning{'s' * (more > 1)}; -v shows all."]


def _wrapped(start: str, text: str) -> str:
    return textwrap.fill(
        text,
        width=max(60, min(100, shutil.get_terminal_size().columns)),
        initial_indent=start,
        subsequent_indent=" " * len(start),
        break_long_words=False,
        break_on_hyphens=False,
    )

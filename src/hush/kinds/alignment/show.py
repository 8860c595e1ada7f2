"""What is said about an alignment and its result, as labels and values."""

from __future__ import annotations

from hush.results import Denoised


def facts(result: Denoised, given: bool) -> list[tuple[str, str]]:
    """The lines of a summary about the rows of a result."""
    return [("kept", kept(result))]


def kept(result: Denoised) -> str:
    """How many rows were kept."""
    stats = result.residual
    text = f"{stats['kept']:,} of {stats['n']:,} row{'s' * (stats['n'] != 1)}"
    return f"{text}: nothing was removed" if stats["kept"] == stats["n"] else text


def brief(result: Denoised) -> str:
    """The same in a few words, for one line of many."""
    return f"{kept(result)} kept"

"""The sampling rate that a method works at."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hush.errors import HushError


def rate_of(about: Mapping[str, Any], own: float | None, method: str) -> float:
    """The rate in Hz that an item's context states, otherwise a method's `own`.

    `HushError` if neither is known.
    """
    rate = about.get("rate") or own
    if not rate:
        raise HushError(f"{method} needs the sampling rate, which is unknown; give it with --rate")
    return float(rate)

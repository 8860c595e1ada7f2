"""Warnings about a set before it is denoised."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hush.record import Record

if TYPE_CHECKING:
    from hush.kinds.points import Points


def advice(kind: Points, record: Record, item: np.ndarray) -> list[str]:
    """Warnings about an item ``(D, N)``, NaN for missing values."""
    used = list(kind.coordinates(record.context, len(item)))
    missing = int(np.sum(~np.isfinite(item[used]).all(axis=0)))
    if not missing:
        return []
    what = f"{kind.element}s have" if missing != 1 else f"{kind.element} has"
    return [f"{missing} {what} a coordinate that is NaN or infinite; they were left out."]

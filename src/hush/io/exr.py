"""OpenEXR, through the package OpenEXR; only read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from hush.errors import HushError, missing_package
from hush.io.array import split_key
from hush.record import Record

MAGIC = (b"\x76\x2f\x31\x01",)
_USUAL = ("RGBA", "RGB", "Y")


def read(path: Path) -> Record:
    """Colours or luminance as float32, or the channels ``file.exr:NAME``; axes YX or YXS.

    Half floats are converted, which is exact. Values above 1 stay.

    Raises
    ------
    HushError
        If OpenEXR is missing, or several channels could be meant.
    """
    try:
        import OpenEXR
    except ImportError:
        raise missing_package("OpenEXR", "camera", what="is an OpenEXR file, which") from None
    file, key = split_key(path)
    with OpenEXR.File(str(file)) as opened:
        values = {n: c.pixels for n, c in opened.channels().items() if c.pixels is not None}
        parts = len(opened.parts)
    names = [name for name, x in values.items() if x.dtype.kind == "f"]
    if not names:
        raise HushError("holds no channels of floats")
    chosen = key or next((n for n in _USUAL if n in names), names[0])
    if key is not None and key not in names:
        raise HushError(f"has no channels '{key}' of floats, only {', '.join(names)}")
    if key is None and chosen not in _USUAL and len(names) > 1:
        raise HushError(
            f"holds several channels ({', '.join(names)}); choose one as {file.name}:{chosen}"
        )
    data = np.asarray(values[chosen], np.float32)
    others = [name for name in values if name != chosen]
    notes = [f"Of this file's channels, only {chosen} are read."] if others else []
    notes += [f"This is the first of {parts} parts of the file."] if parts > 1 else []
    alpha = int(chosen.endswith("A") and data.ndim == 3)
    meta: dict[str, Any] = {"alpha_samples": alpha, **({"notes": notes} if notes else {})}
    return Record(data, "YX" if data.ndim == 2 else "YXS", meta=meta)

"""Which files a training uses, gray or RGB ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from hush.errors import HushError
from hush.kinds import Chosen, get, to_batch
from hush.kinds.image import mosaic
from hush.record import Record

CHANNELS = ("gray", "rgb")
ALIKE = 0.95  #: least share of pixels in which channels of a gray picture are alike
LUMA = (19595, 38470, 7471)  #: ITU-R 601 out of 2**16, rounded as Pillow's 'L' is


def chosen(found: Sequence[Sequence[Record]], channels: str | None, takes: bool) -> Chosen:
    """Arrays ``(H, W)`` or ``(H, W, 3)`` in the files' own units, or stacks of `takes`.

    channels : ``"gray"`` converts colour to gray, ``"rgb"`` uses RGB files only; by default
        whichever most files have.
    """
    if channels not in (None, *CHANNELS):
        raise HushError(f"channels of images are gray or rgb, not '{channels}'")
    colour = Counter(_is_rgb(records[0]) for records in found)
    rgb = channels == "rgb" if channels else colour[True] > colour[False]
    used = [i for i, r in enumerate(found) if channels == "gray" or _is_rgb(r[0]) == rgb]
    if not used:
        raise HushError("none of the files is RGB; leave --channels rgb out")
    note = ""
    if len(used) < len(found):
        which = "gray files" if rgb else "colour files (--channels gray converts them)"
        note = f"{len(found) - len(used)} {which}, because the model is {'RGB' if rgb else 'gray'}"
    data: list[Any] = []
    for i in used:
        known = _known(found[i])
        each = [_arrays(record, not rgb, takes, known) for record in found[i]]
        data += zip(*each, strict=True) if len(each) > 1 else each[0]
    return Chosen(data, 3 if rgb else 1, used, "RGB images" if rgb else "gray images", note)


def channelwise(record: Record) -> bool:
    """Whether channels of an interleaved colour picture tell nothing of each other's noise: all are
    one gray picture, tinted or not, or one of them is empty, as in fluorescence.

    JPEG files of gray pictures differ by a step or two, and labels and scale bars may be coloured.
    """
    planes = np.moveaxis(record.data, record.axes.index("S"), 0)
    few = tuple(slice(None, None, max(1, n // 128)) for n in planes.shape[1:])
    x = np.asarray(planes[(slice(None), *few)], np.float64).reshape(len(planes), -1)
    x = x[:, np.isfinite(x).all(axis=0)]
    if len(x) < 2 or not x.size:
        return False
    if (np.ptp(x, axis=1) == 0).any():
        return True
    rounding = 2.0 if record.data.dtype.kind in "iu" else 1e-6 * float(np.ptp(x))
    x = x[:, (x > x.min(axis=1, keepdims=True)).any(axis=0)]  # black is of no colour
    if np.mean(np.ptp(x, axis=0) <= rounding) > ALIKE:
        return True
    first = x[np.argmax(np.ptp(x, axis=1))]
    return all(_follows(other, first, rounding) for other in x)


def _follows(x: np.ndarray, first: np.ndarray, rounding: float) -> bool:
    """Whether a channel is another one, darker, but for rounding and clipped values."""
    inside = np.logical_and.reduce([(y > y.min()) & (y < y.max()) for y in (x, first)])
    if 2 * np.count_nonzero(inside) < len(x):
        return False
    line = np.polyfit(first[inside], x[inside], 1)
    off = np.abs(np.polyval(line, first[inside]) - x[inside])
    return bool(line[0] > 0 and np.mean(off <= rounding) > ALIKE)


def _is_rgb(record: Record) -> bool:
    return "S" in record.axes and record.channels == 3


def _plain(record: Record) -> Record:
    """A mosaic as the gray picture that its file holds."""
    return replace(record, context={**record.context, "mosaic": mosaic.NONE})


def _known(records: Sequence[Record]) -> np.ndarray | None:
    """Where the images ``(B, C, H, W)`` of a file, or of a pair of files, have values; None:
    everywhere."""
    kind = get("image")
    batches = [to_batch(kind.marked(_plain(record))) for record in records]
    shape = np.shape(batches[0].data)
    known = np.ones(shape, bool)
    for batch in batches:
        if np.shape(batch.data) == shape:
            known &= np.stack([batch.known(i) for i in range(len(batch))])
    return None if known.all() else known


def _arrays(record: Record, gray: bool, takes: bool, known: np.ndarray | None) -> list[np.ndarray]:
    """The images of one file as arrays; channels other than RGB become gray images."""
    if mosaic.pattern_of(record):
        whole = _arrays(_plain(record), gray, takes, known)
        return [plane for x in whole for plane in mosaic.phases(x)]
    batch: Any = to_batch(record).data
    if known is not None and known.shape == batch.shape:  # NaN says what an array cannot
        x = batch.astype(np.float32) / np.float32(record.scale)
        batch = np.where(known, x, np.float32(np.nan))
    elif record.full is not None:  # an array does not carry its range
        batch = batch.astype(np.float32) / np.float32(record.full)
    if not _is_rgb(record):
        return list(batch.swapaxes(0, 1)) if takes else [y for item in batch for y in item]
    images = [_luma(item) if gray else item.transpose(1, 2, 0) for item in batch]
    return [np.stack(images)] if takes else images


def _luma(x: np.ndarray) -> np.ndarray:
    """RGB ``(3, H, W)`` converted to gray, in the same dtype."""
    if x.dtype.kind == "f":
        return np.tensordot(np.array(LUMA, x.dtype) / 2**16, x, 1).astype(x.dtype)
    total = sum(w * c.astype(np.int64) for w, c in zip(LUMA, x, strict=True))
    gray: np.ndarray = ((total + 2**15) >> 16).astype(x.dtype)
    return gray

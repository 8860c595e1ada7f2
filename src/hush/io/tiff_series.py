"""The series of images in a TIFF file: which one is meant, and what its other pages are."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np
import tifffile
from tifffile import PHOTOMETRIC

from hush.errors import HushError
from hush.io.several import Held, chosen
from hush.io.tiff_layout import Beside, Level, options_of, tags_of
from hush.recording import available

#: names that tifffile gives the images beside a slide in scanners' files
_BESIDE = {"label", "macro", "thumbnail", "map", "overview"}


def select(
    tif: tifffile.TiffFile, key: str | None, file: str
) -> tuple[tifffile.TiffPageSeries, bool]:
    """The series that is meant, and whether it is the only one in the file.

    Lower resolutions, masks, thumbnails and labels are none. key, file : as `several.chosen`.
    """
    every = [s for s in tif.series if not _is_beside(s)] or tif.series[:1]
    held = [Held(tuple(s.shape), s.axes, np.dtype(s.dtype or "V"), s.name) for s in every]
    index = chosen(held, key, file, "series of images that differ in shape or kind")
    return every[index], len(every) == 1


def _is_beside(series: tifffile.TiffPageSeries) -> bool:
    page = series.keyframe
    slide = series.name.lower() in _BESIDE and series.kind not in ("ome", "shaped")
    return page.is_reduced or page.is_mask or page.photometric == PHOTOMETRIC.MASK or slide


def check_samples(series: tifffile.TiffPageSeries) -> None:
    """Raise HushError if planes are missing, or more samples promised than there are."""
    planes = list(series)
    held = [p for p in planes if p is not None and (not p.dataoffsets or any(p.dataoffsets))]
    if lost := len(planes) - len(held):
        raise HushError(
            f"lacks {lost} of its {len(planes)} planes, which its metadata name; save those that "
            "are there as a file of their own"
        )
    page = series.keyframe
    for part in held:
        ends = map(operator.add, part.dataoffsets, part.databytecounts)
        short = max(ends, default=0) > part.parent.filehandle.size
        if short or len(part.dataoffsets) < prod(page.chunked):
            raise HushError("is cut short; copy it again, or save it again")
    size = prod(series.shape) * (page.dtype or np.dtype("V1")).itemsize
    if series.dataoffset is not None and series.dataoffset + size > page.parent.filehandle.size:
        raise HushError("is cut short; copy it again, or save it again")
    free = available()
    if series.dataoffset is None and free is not None and size > free:
        raise HushError(
            f"holds {size / 2**30:,.1f} GiB of samples, and {max(free, 0) / 2**30:,.1f} GiB of "
            "memory are free; save it as an uncompressed TIFF, which hush can map"
        )


def lower(series: tifffile.TiffPageSeries) -> list[tuple[Level, Any]]:
    """The lower resolutions of a series, each with its first page."""
    found = []
    for level in series.levels[1:]:
        page = level.keyframe
        small = len(level.shape) == len(series.shape) and all(
            m <= n for m, n in zip(level.shape, series.shape, strict=True)
        )
        if small and level.axes == series.axes:
            tags = tags_of(page, sorted_out=True)
            sort = page.subfiletype
            found.append(
                (Level(tuple(level.shape), sort, page.shape, options_of(page), tags), page)
            )
    return found


def beside(
    tif: tifffile.TiffFile, series: tifffile.TiffPageSeries, offsets: Sequence[int]
) -> tuple[list[tuple[Beside, int]], int]:
    """The pages of a file that are not the image, with their places; and how many cannot be kept.

    Pages of lower resolutions are left out. offsets : of all pages (`tiff_chain.check_chain`).
    """
    own = {part.offset for level in series.levels for part in level if part is not None}
    found, lost = [], 0
    for place in (i for i, offset in enumerate(offsets) if offset not in own):
        try:
            full: Any = tif.pages[place].aspage()
            data = full.asarray()
        except (ValueError, OSError, RuntimeError, tifffile.TiffFileError):
            lost += 1  # the user is told; the image itself can be read
            continue
        about = Beside(data, full.subfiletype, options_of(full), tags_of(full, sorted_out=True))
        found.append((about, place))
    return found, lost


def mask_of(
    pages: Sequence[Beside], axes: str, shape: Sequence[int], kinds: Sequence[int] = (4,)
) -> np.ndarray | None:
    """Where values are known, by transparency masks of the image's size: broadcasts to `shape`.

    One mask for all planes, or one for each. None if there is none.
    """
    sides = tuple(n for a, n in zip(axes, shape, strict=True) if a in "YX")
    found = [p.data != 0 for p in pages if p.sort in kinds and p.data.shape == sides]
    planes = [n for a, n in zip(axes, shape, strict=True) if a not in "YXS"]
    if not found or all(mask.all() for mask in found):
        return None
    if len(found) == prod(planes):
        mask = np.stack(found).reshape(*planes, *sides)
    elif len(found) == 1:
        mask = found[0].reshape(*[1] * len(planes), *sides)
    else:
        return None
    return np.expand_dims(mask, axes.index("S")) if "S" in axes else mask

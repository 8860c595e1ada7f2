"""Everything in a TIFF file except its samples, and how a similar file is written."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from tifffile import COMPRESSION, PHOTOMETRIC

from hush.io.exif import Tag, extra_tag
from hush.io.levels import reduced
from hush.record import Record

#: Tags on where and how samples are stored, which the writer sets anew, and Photoshop's copy of the
#: layers (37724), which are the noisy ones.
_STRUCTURE = tifffile.TIFF.TAG_FILTERED | {282, 283, 288, 289, 296, 347, *range(512, 533), 37724}
_SUBFILE = 254  #: the tag that says what a page is: a lower resolution, a mask, …

#: Compressions that an output keeps; lossy ones are replaced by deflate.
_LOSSLESS = {"LZW", "DEFLATE", "ADOBE_DEFLATE", "PACKBITS", "ZSTD", "LZMA"}


@dataclass(frozen=True)
class Level:
    """A lower resolution of the image: computed again from the result.

    shape : along the image's axes; sort : its NewSubfileType; page, options, tags : as of a
    `Layout`.
    """

    shape: tuple[int, ...]
    sort: int
    page: tuple[int, ...]
    options: dict[str, Any]
    tags: tuple[Tag, ...]


@dataclass(frozen=True)
class Beside:
    """A page beside the image, such as a mask or a thumbnail: kept as it is.

    sort : its NewSubfileType; options, tags : as of a `Layout`.
    """

    data: np.ndarray
    sort: int
    options: dict[str, Any]
    tags: tuple[Tag, ...]


@dataclass(frozen=True)
class Layout:
    """Everything in a TIFF file except its samples, enough to write a similar one.

    Parameters
    ----------
    shape, dtype, axes : of the series, as tifffile names them.
    kind : tifffile's name for the dialect ("ome", "imagej", "shaped", "uniform", ...).
    header : keyword arguments of TiffWriter.
    options : keyword arguments of TiffWriter.write.
    page : shape of one page.
    tags : the tags to copy, for each page or only for the first.
    within : lower resolutions in directories of the pages themselves (SubIFDs).
    after : the pages that follow those of the image.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    axes: str
    kind: str
    header: dict[str, Any]
    options: dict[str, Any]
    page: tuple[int, ...]
    tags: tuple[tuple[Tag, ...], ...]
    within: tuple[Level, ...] = ()
    after: tuple[Level | Beside, ...] = ()

    @property
    def levels(self) -> list[Level]:
        """The lower resolutions."""
        return [x for x in (*self.within, *self.after) if isinstance(x, Level)]

    def blocks(self, count: int) -> Iterator[tuple[slice, list[Any]]]:
        """Which of `count` pages have the same tags, and these tags: all of them if possible."""
        order = self.header["byteorder"]
        first, *others = self.tags
        rest = others[0] if others else ()
        if all(tags == rest for tags in others) and set(rest) <= set(first):
            yield slice(0, count), [extra_tag(tag, order, tag not in rest) for tag in first]
        else:
            for i, tags in enumerate(self.tags):
                yield slice(i, i + 1), [extra_tag(tag, order) for tag in tags]

    def write(self, record: Record, path: Path, pointers: Sequence[Any]) -> None:
        """Write a record's data, with the lower resolutions of them and the other pages.

        pointers : tags that the first page has besides.
        """
        data, about = record.data, (record.missing, record.mask)
        options: dict[str, Any] = {"metadata": None, "software": False}
        pages = data.reshape(-1, *self.page)
        inner = [(x, reduced(data, x.shape, *about).reshape(-1, *x.page)) for x in self.within]
        with tifffile.TiffWriter(path, ome=False, **self.header) as out:
            for where, tags in self.blocks(len(pages)):
                more: dict[str, Any] = {"subifds": len(inner)} if inner else {}
                out.write(
                    pages[where], extratags=[*tags, *pointers], **options, **self.options, **more
                )
                pointers = []
                for one, values in inner:
                    extra = [extra_tag(tag, self.header["byteorder"]) for tag in one.tags]
                    sort = one.sort
                    out.write(
                        values[where], extratags=extra, subfiletype=sort, **options, **one.options
                    )
            for other in self.after:
                if isinstance(other, Level):
                    values = reduced(data, other.shape, *about).reshape(-1, *other.page)
                else:
                    values = other.data
                extra = [extra_tag(tag, self.header["byteorder"]) for tag in other.tags]
                sort = other.sort
                out.write(values, extratags=extra, subfiletype=sort, **options, **other.options)


def options_of(page: tifffile.TiffPage) -> dict[str, Any]:
    """Arguments of TiffWriter.write to store samples as in this page."""
    options: dict[str, Any] = {"photometric": page.photometric}
    if page.photometric == PHOTOMETRIC.YCBCR:
        options["photometric"] = PHOTOMETRIC.RGB
    if page.samplesperpixel > 1:
        options |= {"planarconfig": page.planarconfig, "extrasamples": page.extrasamples or None}
    if bits := bits_of(page):  # tifffile packs uncompressed samples only
        options["bitspersample"] = bits
    elif page.compression != COMPRESSION.NONE:
        kept = name_of(page.compression) in _LOSSLESS
        options["compression"] = page.compression if kept else COMPRESSION.ADOBE_DEFLATE
        options["predictor"] = not kept or page.predictor != 1
        if page.bitspersample == 1:
            options["predictor"] = False
    if page.is_tiled:
        options["tile"] = page.tile
    x, y, unit = (page.tags.get(code) for code in (282, 283, 296))
    if x and y and len(x.value) == len(y.value) == 2 and min(*x.value, *y.value) > 0:
        options["resolution"] = (x.value, y.value)
        options["resolutionunit"] = unit.value if unit else None
    return options


def bits_of(page: tifffile.TiffPage) -> int:
    """The bits of an integer sample that does not fill its bytes, such as 4 or 12; else 0."""
    dtype, bits = page.dtype, page.bitspersample
    if dtype is None or dtype.kind != "u" or not isinstance(bits, int):
        return 0
    return bits if 1 < bits < 8 * dtype.itemsize else 0


def tags_of(page: Any, sorted_out: bool = False) -> tuple[Tag, ...]:
    """The tags of a page, except those on where or how samples are stored.

    sorted_out : also without what says that it is a lower resolution, a mask, or the like.
    """
    offsets = (13, 18)  # types of tags that point to another directory
    left = _STRUCTURE | ({_SUBFILE} if sorted_out else set())
    kept = (t for t in page.tags if t.code not in left and t.dtype not in offsets)
    return tuple(tag.astuple()[:4] for tag in kept)


def name_of(code: int) -> str:
    """Name of a compression or colour space, even if tifffile does not know it."""
    return str(getattr(code, "name", f"type {code}"))

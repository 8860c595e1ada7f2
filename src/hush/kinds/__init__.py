"""Kinds of data: the base class, and the table of kinds.

A `Kind` defines how its files are laid out, how training draws from them, how their noise is
measured and how a result is judged and shown. The rest of hush calls these methods and names no
kind. The defaults here hold for a grid of values with any number of axes. Other packages add kinds
through the entry points ``hush.kinds``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from hush.errors import HushError
from hush.kinds.layout import channels_before, laid_out, range_used, stated_marks, stored_order
from hush.kinds.terms import NOTHING, Chosen, Option, Series, listed
from hush.missing import Later, Marks
from hush.record import Batch, Record, channel_letter
from hush.table import Table

if TYPE_CHECKING:
    from hush.kinds.cut import Patches
    from hush.metrics import Range
    from hush.noise.process import Process
    from hush.report.frame import Entry
    from hush.results import (
        Denoised,
        Estimate,
        Inspection,
        Item,
        Judgement,
        Restoration,
        Survey,
    )


class Kind:
    """Values on a grid with axes `letters`; a subclass overrides what is different for its data.

    Items are ``(C, *S)``: channels, then one axis per letter.
    """

    #: ``--kind``, and `Record.kind`
    name: ClassVar[str]
    #: one item and several, in sentences
    nouns: ClassVar[tuple[str, str]] = ("file", "files")
    #: the name of one value
    element: ClassVar[str] = "sample"
    #: the axes that methods work along
    letters: ClassVar[str]
    #: array names by which an .npz file is recognised as this kind
    keys: ClassVar[frozenset[str]] = frozenset()
    #: results have fewer elements along the last axis, instead of other values
    selected: ClassVar[bool] = False
    #: a result for a file of another kind comes with a `picture` beside it
    pictured: ClassVar[bool] = False
    #: every channel is an item ``(1, *S)`` of its own, with its own noise
    apart: ClassVar[bool] = False
    #: restore larger items in pieces of about this many values (`span`); None: as a whole
    piece: ClassVar[int | None] = None
    #: the axis of an item ``(C, *S)`` along which it is cut into pieces
    along: ClassVar[int] = -1
    #: whether large items are restored in blocks (`blocks`), without `piece`
    blocked: ClassVar[bool] = False
    #: places of an item of one channel that a plain check compares (`hush.check`), fewer of colour;
    #: None: items are not checked
    checked: ClassVar[int | None] = None
    #: options that only this kind has; giving one selects this kind
    options: ClassVar[Mapping[str, Option]] = {}
    #: further names in `Record.context`, which only Python callers and files give
    told: ClassVar[frozenset[str]] = frozenset()
    #: those of its `scores` that are levels, which people read in the data's own units
    levels: ClassVar[frozenset[str]] = frozenset()

    @property
    def patch(self) -> int:
        """The usual side of a training patch: fewer values along each axis, the more axes."""
        return {1: 256, 2: 64}.get(len(self.letters), 16)

    # -- layout --------------------------------------------------------------------------------

    def axes(self, shape: tuple[int, ...]) -> str:
        """A letter for each dimension of an array about which nothing else is known.

        The last dimensions are the kind's own axes, the one before them holds channels, and any
        others are a stack. `HushError` for too few dimensions.
        """
        if len(shape) < len(self.letters):
            count = len(self.letters)
            raise HushError(
                f"{self.nouns[1]} have {count} dimension{'s' * (count != 1)} or more "
                f"({self.letters}), not the shape {shape}"
            )
        return channels_before(shape, self.letters)

    def check(self, record: Record) -> None:
        """Raise `HushError` for a record without this kind's layout."""
        if missing := [a for a in self.letters if a not in record.axes]:
            axes = record.data.ndim
            fits = [k for k in map(get, KINDS) if not k.selected and len(k.letters) <= axes]
            other = f"; for {' or '.join(k.nouns[1] for k in fits)} there is --kind" * bool(fits)
            raise HushError(
                f"{self.nouns[1]} need axes {listed(self.letters)}; '{record.axes}' "
                f"lacks {listed(missing)}" + (other if axes < len(self.letters) else "")
            )

    def full(self, data: np.ndarray) -> float | None:
        """The full range of stored values, if not `full_range` of their type."""
        return range_used(data)

    def adopted(self, record: Record) -> Record:
        """A record of another kind as one of this kind; here the same array."""
        return replace(record, axes=self.axes(record.data.shape))

    def from_arrays(self, arrays: Mapping[str, np.ndarray]) -> Record:
        """The record in an .npz file with this kind's `keys`."""
        raise HushError(f"{self.nouns[1]} are read from one array; name one of the file's arrays")

    def from_objects(self, objects: Any) -> Record | None:
        """The record in what Python callers give instead of an array; None if it is one.

        For a kind whose elements are not numbers, such as rows of text.
        """
        return None

    def recognised(self, record: Record) -> Record:
        """A record with what its values say about its layout in the context; here the same."""
        return record

    def unfit(self, record: Record) -> str:
        """Why a `recognised` record is left alone unless the user insists; empty if it is not."""
        return ""

    def batch(self, record: Record) -> Batch:
        """The record as items ``(C, *S)``, views of its data for the usual layouts."""
        self.check(record)
        mask = record.mask
        if mask is not None:
            mask = laid_out(np.broadcast_to(mask, record.data.shape), record.axes, self.letters)
        data = laid_out(record.data, record.axes, self.letters)
        marks = stated_marks(record, len(data), data.shape[1])
        return Batch(data, record.scale, mask, record.context, marks=marks)

    def marked(self, record: Record) -> Record:
        """The record with `marks` of missing values, which are found item by item when needed."""
        if self.selected or record.marks is not None:
            return record
        batch, joint = self.batch(record), self.joint(record) > 1
        return replace(record, marks=Later(len(batch), lambda i: self.voids(batch, i, joint)))

    def voids(self, batch: Batch, index: int, joint: bool) -> Marks | None:
        """The marks of an item's missing values: those that it has, and those that are found by
        the values themselves. joint : of all channels together."""
        from hush.kinds.voids import marks

        return marks(batch, index, joint)

    def record(self, like: Record, items: np.ndarray | Sequence[np.ndarray]) -> Record:
        """Items ``(C, *S)`` of any dtype as a record with the layout and metadata of `like`.

        Items may have fewer elements along the kind's axes than `like`, but all the same number;
        else `HushError`.
        """
        if len({np.shape(item)[-1] for item in items}) > 1:
            raise self.uneven()
        order = stored_order(like.axes, self.letters)
        x = np.asarray(items)
        shape = [like.data.shape[i] for i in order]
        shape[len(shape) - len(self.letters) :] = x.shape[-len(self.letters) :]
        data = np.ascontiguousarray(x.reshape(shape).transpose(np.argsort(order)))
        shrunk = data.shape != like.data.shape
        if shrunk:
            return replace(like, data=data, mask=None, marks=None)
        return replace(like, data=data)

    def uneven(self) -> HushError:
        """The error to raise if results of several items do not fit in one array."""
        return HushError(
            f"the method keeps a different number of {self.element}s of each of the "
            f"{self.nouns[1]}, which do not fit in one array; give them one by one"
        )

    def finished(self, record: Record, items: Sequence[Item]) -> Record:
        """The record of a result with what the results for its items add to it; here nothing."""
        return record

    def leveled(self, record: Record) -> Record:
        """A record with the layout of the map of the noise's level; here its own."""
        return record

    def joint(self, record: Record) -> int:
        """How many channels a model sees together; with 1, every channel is an item."""
        return 1

    # -- cut: training data ----------------------------------------------------------------------

    def items(self, data: Any) -> list[np.ndarray]:
        """Training data as float32 items ``(C, *S)`` in units of full range, gaps filled.

        data : an array of any real dtype, or a list of arrays or Records.
        """
        from hush.kinds.cut import float_items

        return float_items(data, self)

    def chosen(
        self, found: Sequence[Sequence[Record]], channels: str | None, takes: bool
    ) -> Chosen:
        """The part of the files that a training uses; each is a record or a (noisy, clean) pair.

        channels : as the user asked; takes : each record is a stack of takes of one scene.
        """
        if channels is not None:
            raise HushError(f"{self.nouns[1]} are not gray or RGB; leave --channels out")
        counts = [records[0].channels for records in found]
        most = max(sorted(set(counts)), key=counts.count)
        used = [i for i, count in enumerate(counts) if count == most]
        data: list[Any] = [list(found[i]) if len(found[i]) > 1 else found[i][0] for i in used]
        if takes:
            batches = [self.batch(record) for record in data]
            data = [[b.floats(k) for k in range(len(b))] for b in batches]
        skipped = len(found) - len(used)
        note = f"{skipped} files without {most} channels" if skipped else ""
        return Chosen(data, most, used, self.nouns[1], note)

    def patches(self, items: Sequence[np.ndarray], size: int) -> Patches:
        """The source of training patches, windows of `size` along every axis."""
        from hush.kinds.cut import Patches

        return Patches(items, size)

    def corpus(self, items: Sequence[np.ndarray], size: int) -> Patches:
        """The source of patches of clean data, which may vary them; here the same."""
        return self.patches(items, size)

    def preview(
        self, before: Sequence[np.ndarray], after: Sequence[np.ndarray], path: Path
    ) -> None:
        """Write a PNG of items before and after, to follow a training."""
        from hush.kinds.show import draw_lines

        draw_lines(before, after, path)

    # -- measure ---------------------------------------------------------------------------------

    def measure(self, items: Sequence[np.ndarray]) -> Estimate:
        """The common noise of items ``(C, *S)``, float32, full range 1, NaN for missing values.

        By default white Gaussian noise with a level from second differences between neighbours.
        """
        from hush.kinds.values import measured

        return measured(items)

    def series(
        self,
        batch: Batch,
        channels: int,
        review: Callable[[np.ndarray, Estimate], Estimate],
    ) -> Series | None:
        """What the items of a recording share; by default every item is measured alone.

        channels : items ``i·channels + c`` are channel c of plane i. review : corrects a
        measurement of an item ``(C, *S)`` (`Denoiser.reviewed`).
        """
        return None

    def stated(
        self, item: np.ndarray, given: Process | None, about: Mapping[str, Any] = NOTHING
    ) -> tuple[Process | None, Estimate]:
        """What is left of the stated noise to restore an item under, and its measured noise.

        Noise that is stated beside other noise (`Process.beside`) may become part of the estimate.
        about : the item's context (`Batch.about`), such as how the file was compressed.
        """
        return given, self.measure([item])

    def under(self, law: type[Process], found: Estimate) -> Estimate:
        """The measurement under a law that the user states without a level."""
        return replace(found, process=law.of_terms(found.sigma**2, 0.0, 0.0))

    def halved(self, batch: Batch, index: int, found: Estimate) -> bool:
        """Whether the noise of an item has the measured law in every place, so that it can be
        divided into two halves (`hush.noise.halves`)."""
        return True

    def cleaned(self, x: np.ndarray, found: Estimate) -> np.ndarray:
        """An item or a part of it ``(C, *S)``, without values that are not signal plus noise."""
        return x

    def extent(self, reference: Record) -> Range | None:
        """The range of stored values that `scores` are relative to; None if they take none."""
        from hush.metrics import extent

        return None if self.selected else extent(reference.data, reference.full)

    def span(self, shape: Sequence[int]) -> int | None:
        """The length of a piece of an item of this shape, along `along`; None for the whole item.

        A piece has at most `piece` values, but at least one position.
        """
        length = shape[self.along]
        if self.piece is None or math.prod(shape) <= self.piece:
            return None
        return max(1, self.piece * length // math.prod(shape))

    def blocks(self, shape: Sequence[int]) -> tuple[int, ...] | None:
        """The lengths of a piece of an item of this shape, along its axes of space; None for the
        whole item. Here pieces are cut along `along`, into lengths of `span`."""
        span = self.span(shape)
        if span is None:
            return None
        lengths = list(shape)
        lengths[self.along] = span
        return tuple(lengths[1:])

    def inside(self, found: Estimate, place: Sequence[slice]) -> Estimate:
        """The measurement of a whole item, as methods are told of a piece of it; here the same."""
        return found

    def glimpses(self, shape: Sequence[int]) -> list[slice]:
        """The parts of an item of this shape, along `along`, by which it is measured and judged.

        Here the whole item.
        """
        return [slice(0, shape[self.along])]

    def seen(self, shape: Sequence[int]) -> int:
        """How many values of an item of this shape its glimpse has."""
        length = shape[self.along]
        return sum(len(range(length)[part]) for part in self.glimpses(shape)) * (
            math.prod(shape) // length
        )

    def glimpse(self, batch: Batch, index: int) -> Batch:
        """The `glimpses` of an item, one after the other, as a batch of one.

        If it is a picture of the whole that can be seen as an item of its own, its context has the
        item's shape as ``whole``: then what is measured in it is brought to that (`Estimate.on`).
        """
        where = self.glimpses(batch.data[index].shape)
        parts = [batch.piece(index, part, self.along) for part in where]
        if len(parts) == 1:
            return parts[0]
        data = [np.concatenate([p.data[0] for p in parts], axis=self.along)]
        mask = None
        if parts[0].mask is not None or parts[0].marks is not None:
            mask = [np.concatenate([p.known(0) for p in parts], axis=self.along)]
        return replace(parts[0], data=data, mask=mask, marks=None)

    # -- show ------------------------------------------------------------------------------------

    def missing(self, batch: Batch, index: int) -> list[str]:
        """Sentences about the missing values of an item, the first of its warnings."""
        from hush.kinds.values import missing

        seen = self.glimpse(batch, index)
        return missing(self, seen.data[0], ~seen.known(0), batch.marked(index))

    def advice(
        self, record: Record, item: np.ndarray, given: Process | None, found: Estimate
    ) -> list[str]:
        """Warnings about an item ``(C, *S)`` before denoising, the causes first.

        record : the one it is of, with the item's own context (`Batch.about`).
        """
        from hush.kinds.values import advice

        return advice(self, record, item, given, found)

    def judge(
        self,
        noisy: np.ndarray,
        clean: np.ndarray,
        process: Process,
        *,
        strength: float,
        scale: float,
        known: bool = False,
        missed: bool = False,
        adaptable: bool = False,
        about: Mapping[str, Any] = NOTHING,
        how: Restoration | None = None,
    ) -> Judgement:
        """Judge whether the residual of an item ``(C, *S)``, as stored, looks like noise.

        known, missed : a warning already mentions correlated noise, and a wrong law, or the law is
        certain; adaptable : ``--adapt`` may help; about : the item's context, such as its rate;
        how : what the method returned.
        """

        from hush.kinds.values import judged

        return judged(
            self, noisy, clean, process, strength=strength, scale=scale, adaptable=adaptable
        )

    def section(self, result: Denoised, budget: float) -> Entry:
        """What a report shows about a result, without keeping its arrays."""
        from hush.kinds.show import section

        return section(self, result)

    def picture(self, result: Denoised) -> Record | None:
        """An image of a result, to be written beside it; here none. See `pictured`."""
        return None

    def facts(self, result: Denoised, given: bool) -> list[tuple[str, str]]:
        """What the summary says about the noise of a result, as labels and values."""
        from hush.kinds.values import facts

        return facts(self, result, given)

    def stepped(self, entry: Mapping[str, Any], scale: float) -> str:
        """What one step of an iteration did (an entry of `Restoration.trace`), in words."""
        from hush.report.describe import number

        before, removed = (number(entry[k] * scale) for k in ("level", "removed_rms"))
        return f"σ {before} before, {removed} removed"

    def brief(self, result: Denoised) -> str:
        """The same in a few words, for one line of many."""
        from hush.kinds.values import brief

        return brief(result)

    def looked(self, seen: Inspection) -> list[tuple[str, str]]:
        """Everything found in a file that was only inspected, as labels and values."""
        from hush.report import describe

        return describe.inspection(self.name, self.element, seen)

    def survey(self, record: Record) -> Survey | None:
        """What is to be said of all items of a record together; by default nothing.

        Without one, the warnings of an inspection are the `advice` about the noisiest item.
        """
        return None

    def inspected(self, seen: Inspection, budget: float) -> Entry:
        """What a report shows about a file that was only inspected."""
        from hush.kinds.show import inspected

        return inspected(self, seen)

    def scores(self, a: np.ndarray, b: np.ndarray) -> Mapping[str, float]:
        """How close item `a` ``(C, *S)`` is to the reference `b`, NaN where unknown.

        Both are on a scale where `extent` has the width 1, or in stored values if there is none.
        Tables list the scores in this order.
        """
        from hush.metrics import psnr

        return {"psnr": psnr(a, b, 1.0, clip=False)}


#: kinds by name
KINDS: Table[Kind] = Table(
    "hush.kinds",
    {
        "image": "hush.kinds.image:IMAGE",
        "signal": "hush.kinds.signal:SIGNAL",
        "volume": "hush.kinds.volume:VOLUME",
        "points": "hush.kinds.points:POINTS",
        "correspondences": "hush.kinds.points.correspondences:CORRESPONDENCES",
        "segments": "hush.kinds.points.segments:SEGMENTS",
        "alignment": "hush.kinds.alignment:ALIGNMENT",
    },
)


def get(name: str) -> Kind:
    """The kind with that name; `HushError` if there is none."""
    if name in KINDS:
        return KINDS[name]
    raise HushError(f"there is no kind of data '{name}'; choose from {', '.join(KINDS)}")


def to_batch(record: Record) -> Batch:
    """The record as items, as methods see it."""
    return get(record.kind).batch(record)


__all__ = [
    "KINDS",
    "NOTHING",
    "Chosen",
    "Kind",
    "Option",
    "Series",
    "channel_letter",
    "get",
    "listed",
    "to_batch",
]

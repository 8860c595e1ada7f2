"""Kinds of data: what one states, and the table of them.

A `Kind` says how its files are laid out, how trainings draw from them, how their noise is measured
and how a result is judged and shown. The rest of hush asks it, and knows no kind by name. What a
kind leaves unsaid is taken from here: a grid of values with any number of axes. A kind of another
package names itself in the entry points ``hush.kinds``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from hush.errors import HushError
from hush.kinds.layout import channels_before, laid_out, stored_order
from hush.record import Batch, Record, channel_letter
from hush.table import Table

if TYPE_CHECKING:
    from hush.kinds.cut import Patches
    from hush.noise.process import Process
    from hush.report.frame import Entry
    from hush.results import Denoised, Estimate, Inspection, Judgement


@dataclass(frozen=True)
class Option:
    """A command-line option that one kind brings, such as ``--rate``.

    type : turns the option's text into the value that `Record.context` holds.
    """

    type: Callable[[str], Any]
    help: str
    metavar: str = "VALUE"


@dataclass(frozen=True)
class Chosen:
    """What of the files a training takes.

    data : as `Denoiser.fit` takes it; channels : that the model is to have; used : numbers of the
    files; words : what they are, in sentences; note : what is left out and why, if anything.
    """

    data: list[Any]
    channels: int
    used: Sequence[int]
    words: str
    note: str = ""


class Kind:
    """Values on a grid of `letters`; a subclass says what is different about its data.

    Items are ``(C, *S)``: channels, and an axis for each of the `letters`.
    """

    #: ``--kind``, and `Record.kind`
    name: ClassVar[str]
    #: one item and several, in sentences
    nouns: ClassVar[tuple[str, str]] = ("file", "files")
    #: what one value is called
    element: ClassVar[str] = "sample"
    #: the axes that a method works along
    letters: ClassVar[str]
    #: names that ``--kind`` takes, too: layouts of this kind
    layouts: ClassVar[tuple[str, ...]] = ()
    #: arrays of an .npz file that say that it holds this kind
    keys: ClassVar[frozenset[str]] = frozenset()
    #: options that only this kind has; one that is given says that the files are of this kind
    options: ClassVar[Mapping[str, Option]] = {}

    # -- layout --------------------------------------------------------------------------------

    def axes(self, shape: tuple[int, ...]) -> str:
        """A letter for each dimension of an array that nothing else is known about.

        The last dimensions are the kind's own axes, the one before them holds channels where it
        is short, and what comes before is a stack. `HushError` for too few dimensions.
        """
        if len(shape) < len(self.letters):
            count = len(self.letters)
            raise HushError(
                f"{self.nouns[1]} have {count} dimension{'s' * (count != 1)} or more "
                f"({self.letters}), not the shape {shape}"
            )
        return channels_before(shape, self.letters)

    def check(self, record: Record) -> None:
        """Raise `HushError` for a record that is not laid out as this kind is."""
        if missing := [a for a in self.letters if a not in record.axes]:
            raise HushError(
                f"{self.nouns[1]} need axes {' and '.join(self.letters)}; '{record.axes}' "
                f"lacks {' and '.join(missing)}"
            )

    def from_arrays(self, arrays: Mapping[str, np.ndarray]) -> Record:
        """The record that an .npz file with this kind's `keys` holds."""
        raise HushError(f"{self.nouns[1]} are not kept in several arrays; name one of them")

    def batch(self, record: Record) -> Batch:
        """The record as items ``(C, *S)``: views of its data, no copy for the usual layouts."""
        self.check(record)
        mask = record.mask
        if mask is not None:
            mask = laid_out(np.broadcast_to(mask, record.data.shape), record.axes, self.letters)
        data = laid_out(record.data, record.axes, self.letters)
        return Batch(data, record.scale, mask, record.context)

    def record(self, like: Record, items: np.ndarray | Sequence[np.ndarray]) -> Record:
        """Items ``(C, *S)`` of any dtype as a record laid out as `like` is, with its metadata.

        Items may have fewer elements along the kind's axes than `like` has, all alike.
        """
        order = stored_order(like.axes, self.letters)
        x = np.asarray(items)
        shape = [like.data.shape[i] for i in order]
        shape[len(shape) - len(self.letters) :] = x.shape[-len(self.letters) :]
        data = np.ascontiguousarray(x.reshape(shape).transpose(np.argsort(order)))
        return replace(like, data=data)

    def joint(self, record: Record) -> int:
        """How many channels a model sees together; others are items of their own."""
        return 1

    # -- cut: what trainings draw ----------------------------------------------------------------

    def items(self, data: Any) -> list[np.ndarray]:
        """Training data as float32 items ``(C, *S)`` in units of full range, gaps filled.

        data : arrays of any real dtype or a list of them, or Records.
        """
        from hush.kinds.cut import float_items

        return float_items(data, self)

    def chosen(
        self, found: Sequence[Sequence[Record]], channels: str | None, takes: bool
    ) -> Chosen:
        """What a training takes of files, each a record, or a pair of noisy and clean ones.

        channels : a wish of the user's; takes : each record is a stack of takes of one scene.
        """
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
        """What a training draws from: windows of `size` along every axis."""
        from hush.kinds.cut import Patches

        return Patches(items, size)

    def preview(
        self, before: Sequence[np.ndarray], after: Sequence[np.ndarray], path: Path
    ) -> None:
        """Draw items before and after, as a PNG: a look at a training under way."""
        from hush.kinds.show import draw_lines

        draw_lines(before, after, path)

    # -- measure ---------------------------------------------------------------------------------

    def measure(self, items: Sequence[np.ndarray]) -> Estimate:
        """The one noise of items ``(C, *S)``, float32, full range 1, NaN where there is nothing.

        By default white Gaussian noise, its level from second differences between neighbours.
        """
        from hush.kinds.values import measured

        return measured(items)

    # -- show ------------------------------------------------------------------------------------

    def advice(
        self, record: Record, item: np.ndarray, given: Process | None, found: Estimate
    ) -> list[str]:
        """What to know of an item ``(C, *S)`` before trusting its result, the causes first."""
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
        adaptable: bool = False,
    ) -> Judgement:
        """Whether what was removed from an item ``(C, *S)``, as stored, looks like noise.

        known : correlated noise was found and told before; adaptable : ``--adapt`` may help.
        """
        from hush.kinds.values import judged

        return judged(self, noisy, clean, process, strength=strength, scale=scale)

    def section(self, result: Denoised, budget: float) -> Entry:
        """What a report shows of a result, holding on to none of its arrays."""
        from hush.kinds.show import section

        return section(self, result)

    def inspected(self, seen: Inspection, budget: float) -> Entry:
        """What a report shows of a file that was only looked at."""
        from hush.kinds.show import inspected

        return inspected(self, seen)

    def scores(self, a: np.ndarray, b: np.ndarray) -> Mapping[str, float]:
        """How close item `a` ``(C, *S)`` is to the reference `b`, full range 1; NaN where unknown.

        The first is the one that is named first in a table.
        """
        from hush.metrics import psnr

        return {"psnr": psnr(a, b)}


#: kinds by name
KINDS: Table[Kind] = Table("hush.kinds", {"image": "hush.kinds.image:IMAGE"})


def get(name: str) -> Kind:
    """The kind of that name, or that has a layout of that name; `HushError` names all."""
    if name in KINDS:
        return KINDS[name]
    for kind in map(get, KINDS):
        if name in kind.layouts:
            return kind
    raise HushError(f"there is no kind of data '{name}'; there are {', '.join(names())}")


def names() -> list[str]:
    """What ``--kind`` takes: kinds, and layouts of them."""
    return [name for kind in map(get, KINDS) for name in (kind.name, *kind.layouts)]


def to_batch(record: Record) -> Batch:
    """What methods see of a record."""
    return get(record.kind).batch(record)


__all__ = ["KINDS", "Kind", "Option", "channel_letter", "get", "names", "to_batch"]

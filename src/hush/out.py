"""Where the items of a result go: an array like the data, perhaps in a file, or a list."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from hush.kinds import Kind
from hush.kinds.layout import laid_out
from hush.record import Batch, Record
from hush.recording import empty, let_go

COPIED = 2**22  #: values that are copied at once
Place = tuple[slice, ...]  #: a part of an item: a slice for each axis of space


class Out:
    """Collects the items of a result in an array like the data, or in a list if they shrink.

    into : the array to use, such as one in a file.

    Where a kind's items are views of the record and differ in length, the result begins as a copy
    of the record: what is in no item, such as a trigger channel, stays as it is.
    """

    def __init__(
        self,
        kind: Kind,
        noisy: Record,
        batch: Batch,
        apart: bool,
        into: np.ndarray | None,
    ) -> None:
        self.kind, self.noisy, self.batch, self.apart, self.into = kind, noisy, batch, apart, into
        self.items: Any = [None] * len(batch)
        self.spreads: list[np.ndarray] = []
        self._whole: Any = None
        self._views: Any = None
        if not isinstance(batch.data, np.ndarray):
            self._views = self._copied()

    def _copied(self) -> Sequence[np.ndarray] | None:
        """The items as views of a copy of the record; None if they are no views."""
        noisy = self.noisy.data
        if not all(np.shares_memory(item, noisy) for item in self.batch.data):
            return None
        into = empty(noisy.shape, noisy.dtype) if self.into is None else self.into
        views = list(self.kind.batch(self.noisy.with_data(into)).data)
        if not all(np.shares_memory(view, into) for view in views):
            return None
        source, target = noisy.reshape(-1), into.reshape(-1)
        if np.shares_memory(source, noisy) and np.shares_memory(target, into):
            for start in range(0, len(source), COPIED):
                target[start : start + COPIED] = source[start : start + COPIED]
                for mapped in (noisy, into):
                    let_go(mapped)
        else:
            into[...] = noisy
        self.into = into
        return views

    def place(self, index: int) -> tuple[int, int | None]:
        """The plane of an item, and its channel if channels are items."""
        if not self.apart:
            return index, None
        return divmod(index, len(self.batch.data[0]))

    def begin(self) -> None:
        """Take the place of all items: others fill some of them in the file."""
        self._item(0)

    def fill(self, index: int, where: Place, made: np.ndarray) -> None:
        """Store the part `where` of an item."""
        self._item(index)[:, *where] = made

    def glimpse(self, index: int) -> np.ndarray:
        """The part of an item's result by which it is judged."""
        made: np.ndarray = self.kind.glimpse(Batch([self._item(index)]), 0).data[0]
        return made

    def _item(self, index: int) -> np.ndarray:
        """The place of one item in the result, a view to fill."""
        if self._views is not None:
            view: np.ndarray = self._views[index]
            return view
        if not isinstance(self.batch.data, np.ndarray):
            raise TypeError(f"{self.kind.nouns[1]} in pieces need items that are views of a record")
        if self._whole is None:
            if any(item is not None for item in self.items):
                raise self.kind.uneven()
            self._whole = self.items = self._blank(self.batch.data)
        plane, channel = self.place(index)
        whole: np.ndarray = self._whole[plane]
        return whole if channel is None else whole[channel : channel + 1]

    def put(
        self, index: int, made: np.ndarray, spread: np.ndarray | None, whole: bool
    ) -> tuple[int, int | None]:
        """Store one item; return its plane, and its channel if channels are items."""
        if spread is not None:
            self.spreads.append(spread)
        plane, channel = self.place(index)
        begun = self._whole is not None
        if self._views is not None and whole and not self._shrunk:
            self._views[index][...] = made
        elif isinstance(self.batch.data, np.ndarray) and whole:
            self._item(index)[...] = made
        elif begun:
            raise self.kind.uneven()
        elif self.items[plane] is None:
            self.items[plane] = made
        else:
            self.items[plane] = np.concatenate([self.items[plane], made])
        return plane, channel

    @property
    def _shrunk(self) -> bool:
        return any(item is not None for item in self.items)

    @property
    def spread(self) -> list[np.ndarray]:
        """The spreads, an array ``(C, *S)`` for each item of the batch."""
        each = len(self.spreads) // len(self.batch)
        starts = range(0, len(self.spreads), each)
        return [np.concatenate(self.spreads[i : i + each]) for i in starts]

    def record(self) -> Record:
        """The result as a record like the noisy one."""
        if self._views is not None and not self._shrunk and self.into is not None:
            return self.noisy.with_data(self.into)
        if self.into is not None and self._whole is not None:
            return self.noisy.with_data(self.into)
        as_array = isinstance(self.batch.data, np.ndarray) and self._whole is None
        if as_array and len({item.shape[-1] for item in self.items}) > 1:
            raise self.kind.uneven()
        return self.kind.record(self.noisy, self.items)

    def _blank(self, like: np.ndarray) -> np.ndarray:
        into = self.into
        if into is None and (self.kind.piece or self.kind.blocks(like.shape[1:])):  # large
            into = empty(self.noisy.data.shape, like.dtype)
        self.into = None
        if into is not None:
            view = laid_out(into, self.noisy.axes, self.kind.letters)
            if np.shares_memory(view, into):
                self.into = into
                return view  # else its axis order does not allow views as items
        return np.empty(like.shape, like.dtype)

"""Files of several images of unlike shapes: which of them the user means.

The user writes ``file.tif:2`` or ``file.czi:NAME``: a number, counted from 1 as microscopes' and
Fiji's windows do, or the name that the file gives the image (`hush.io.array.split_key`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hush.errors import HushError

SHOWN = 8  #: images that a sentence lists


@dataclass(frozen=True)
class Held:
    """One of several images in a file, by what distinguishes it for the user."""

    shape: tuple[int, ...]
    axes: str
    dtype: np.dtype[Any]
    name: str = ""

    def __str__(self) -> str:
        sides = " × ".join(map(str, self.shape))
        name = " ".join(self.name.split())
        return f"{name and f'{name}, '}{self.axes} {sides} {self.dtype.name}"


def chosen(held: Sequence[Held], key: str | None, file: str, what: str = "images") -> int:
    """The index of the image that `key` names, or of the only one.

    held : all images in the file, in its order. key : a number from 1, or a name. file : as the
    user would write it before the colon. what : the images are called, such as scenes.

    Raises
    ------
    HushError
        With a list of the images, if there are several and no key, or none that it names.
    """
    if key is None:
        if len(held) == 1:
            return 0
        raise HushError(
            f"holds {len(held)} {what} ({_listed(held)}); choose one by its number, such as "
            f"{file}:1"
        )
    named = [i for i, one in enumerate(held) if one.name == key]
    if not named and key.isdecimal() and 1 <= int(key) <= len(held):
        named = [int(key) - 1]
    if len(named) == 1:
        return named[0]
    if named:
        numbers = ", ".join(str(i + 1) for i in named)
        raise HushError(f"holds several images '{key}', the numbers {numbers}; choose by number")
    raise HushError(f"has no image '{key}', only {_listed(held)}; choose one as {file}:1")


def _listed(held: Sequence[Held]) -> str:
    shown = [f"{i + 1}: {one}" for i, one in enumerate(held[:SHOWN])]
    return "; ".join([*shown, *["…"] * (len(held) > SHOWN)])

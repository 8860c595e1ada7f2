"""What kinds of data say about themselves: options, the files of a training, and series."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

if TYPE_CHECKING:
    from hush.results import Estimate

#: the context of an item about which nothing is known
NOTHING: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True)
class Option:
    """A command-line option of one kind, such as ``--rate``.

    type : converts the option's text to the value in `Record.context`.
    reader : for the format's reader (`Format.takes`); other formats refuse it. setting : it
    takes no text, and turns on the method's setting of this name; methods without refuse it.
    short : a letter for the command line, as in ``-n``.
    """

    type: Callable[[str], Any]
    help: str
    metavar: str = "VALUE"
    reader: bool = False
    setting: bool = False
    short: str = ""


@dataclass(frozen=True)
class Chosen:
    """The part of the files that a training uses.

    data : as `Denoiser.fit` takes it; channels : of the model; used : indices of the files;
    words : their name in sentences; note : what is left out and why, if anything.
    """

    data: list[Any]
    channels: int
    used: Sequence[int]
    words: str
    note: str = ""


class Series(Protocol):
    """What the items of a recording share, such as the frames of one camera."""

    def measure(self, index: int, noisy: np.ndarray) -> tuple[int, Estimate] | None:
        """The number of the law that item `index`, `noisy`, shares with others of its channel, from
        1 on, and its noise by that law; None if no such law holds in it."""


def listed(words: Sequence[str]) -> str:
    """``A``, ``A and B``, ``A, B and C``."""
    return " and ".join(filter(None, (", ".join(words[:-1]), words[-1])))

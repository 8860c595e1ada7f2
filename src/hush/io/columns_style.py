"""How numbers are written in a column of text, so that results look like the input."""

from __future__ import annotations

import re
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, BinaryIO

import numpy as np

#: a number in text, its decimals and its exponent
NUMBER = re.compile(
    r"([+-]?)(?:\d+(?:\.(\d*))?|\.(\d+))(?:([eE])[+-]?\d+)?|[+-]?inf(?:inity)?", re.I
)
#: what stands for a value that is missing
MISSING = ("", "nan", "na", "n/a", "null", "none", "-", "--", "?")

_MOST = 17  #: digits that tell all numbers of 64 bits apart


@dataclass(frozen=True)
class Style:
    """The format of a column's numbers.

    form : ``f`` for decimals, ``e`` or ``E`` with an exponent, ``r`` for both as needed.
    least, most : decimals; of ``e`` and ``r``, `most` is the number of digits.
    gap : white space before every number; width : to which numbers are filled up after it.
    """

    form: str = "f"
    least: int = 0
    most: int = 0
    gap: str = ""
    width: int = 0
    quoted: bool = False
    signed: bool = False
    missing: str | None = None

    @property
    def template(self) -> str | None:
        """For ``%``; None if numbers differ in their decimals."""
        if self.form == "r" or self.least != self.most or (self.form != "f" and self.most == 16):
            return None
        digits = self.most if self.form == "f" else self.most - 1
        if self.quoted:
            return f'{self.gap}"%{"+" * self.signed}.{digits}{self.form}"'
        return f"{self.gap}%{'+' * self.signed}{self.width or ''}.{digits}{self.form}"

    def rounded(self, x: np.ndarray) -> np.ndarray:
        """Values as they will be written; none becomes −0."""
        if self.form != "f":
            return x
        size = np.abs(x)
        return np.where((size > 0) & (size <= 0.5 * 10.0**-self.most), 0.0, x)

    def texts(self, x: np.ndarray) -> list[str]:
        """Values as text."""
        template, missing = self.template, self.absent
        values = self.rounded(x).tolist()
        if template is not None:
            return [template % v if v == v else missing for v in values]
        made = [self._text(v) if v == v else "" for v in values]
        plus, quote = "+" * self.signed, '"' * self.quoted
        made = [t and f"{quote}{plus * (t[0] != '-')}{t}{quote}" for t in made]
        return [self.gap + t.rjust(self.width) if t else missing for t in made]

    @property
    def absent(self) -> str:
        """The text of a missing value."""
        return self.gap + (self.missing or "").rjust(self.width)

    def _text(self, value: float) -> str:
        if self.form == "r":
            return repr(value if self.most >= 16 else float(f"{value:.{self.most}g}"))
        if self.form != "f":  # with 16 digits the nearest number may not be this one
            text = f"{value:.{self.most - 1}{self.form}}"
            if float(text) == value:
                return text
            text = np.format_float_scientific(value, unique=True, exp_digits=2)
            return text.replace("e", self.form)
        text = f"{value:.{self.most}f}"
        keep = len(text) - self.most + self.least
        return (text[:keep] + text[keep:].rstrip("0")).rstrip(".")

    def fitting(self, x: np.ndarray) -> Style:
        """This style, or one with the digits that these finite values need."""
        if not x.size or self._holds(x):
            return self
        finer = self
        while finer.most < _MOST:
            finer = replace(finer, most=finer.most + 1)
            if finer._holds(x):
                return finer
        return replace(self, form="r", least=0, most=_MOST)

    def _holds(self, x: np.ndarray) -> bool:
        scaled = np.abs(x)
        if self.form == "f":
            scaled = scaled * 10.0**self.most
        else:
            scaled = scaled[scaled > 0]
            scaled = scaled * 10.0 ** (self.most - 1 - np.floor(np.log10(scaled)))
        rest = np.abs(scaled - np.rint(scaled))
        return bool((rest <= 1e-6 + 4e-15 * scaled).all())


def style_of(cells: Sequence[str]) -> Style:
    """The style of a column's cells, as they stand between separators, with a decimal point."""
    numbers = [cell.strip().strip('"') for cell in cells]
    matches = [NUMBER.fullmatch(number) for number in numbers]
    found = [m for m in matches if m and m[0].lower().lstrip("+-")[:3] != "inf"]
    missing = next((c.strip() for c, m in zip(cells, matches, strict=True) if m is None), None)
    style = Style(
        **_space(cells),
        quoted=any('"' in cell for cell in cells),
        signed=any(m[1] == "+" for m in found),
        missing=missing,
    )
    decimals = [len(m[2] or m[3] or "") for m in found]
    forms = {m[4] or "f" for m in found}
    if not found:
        return style
    if forms == {"f"}:
        return replace(style, least=min(decimals), most=max(decimals))
    digits = max(len(re.sub(r"^[+-]?0*\.?0*|\.|[eE].*", "", m[0])) for m in found)
    if len(forms) == 1 and len(set(decimals)) == 1:
        return replace(style, form=forms.pop(), least=decimals[0] + 1, most=decimals[0] + 1)
    return replace(style, form="r", most=digits)


def _space(cells: Sequence[str]) -> dict[str, Any]:
    """The space before numbers: the same in each row, or more before shorter numbers."""
    spaces = [cell[: len(cell) - len(cell.lstrip())] for cell in cells]
    usual = Counter(spaces).most_common(1)[0][0] if spaces else ""
    lengths = {len(cell) for cell in cells}
    if len(lengths) > 1 or set(usual) != {" "} or (len(usual) == 1 and len(set(spaces)) == 1):
        return {"gap": usual}
    gap = " " * min(1, *map(len, spaces))
    return {"gap": gap, "width": lengths.pop() - len(gap)}


@dataclass(frozen=True)
class Column:
    """A column: how its numbers are written, and where its values stand.

    first, step : the rows with a value, ``first + k·step``; the others are empty.
    words : a file with the cells of a column that holds no numbers, a line each; or, with `clock`,
    of a clock whose numbers have more digits than float64, such as nanoseconds since 1970.
    """

    style: Style
    first: int = 0
    step: int = 1
    words: BinaryIO | None = None
    clock: bool = False


@dataclass(frozen=True)
class Table:
    """All that is needed to write a file again, besides its numbers.

    clock : the rate, if the first column holds times that no channel does. comments : lines among
    the numbers, each with the row that it stands before.
    """

    above: bytes
    below: bytes
    separator: str
    decimal: str
    newline: bytes
    rows: int
    suffix: str
    columns: tuple[Column, ...] = ()
    clock: float | None = None
    comments: tuple[tuple[int, bytes], ...] = ()

    @property
    def numbers(self) -> list[Column]:
        """Without columns of words."""
        return [c for c in self.columns if c.words is None or c.clock]


def is_long(cells: Sequence[str]) -> bool:
    """Whether whole numbers have more digits than float64 holds."""
    digits = (cell.strip().strip('"').lstrip("+-") for cell in cells)
    return any(len(d) > 15 and d.isdecimal() for d in digits)


def words() -> BinaryIO:
    """A file for the cells of a column of words, which lasts as long as its table."""
    return tempfile.TemporaryFile()

"""How the arguments of a process are written in specs: unit, bounds, text.

A process gives the unit of each field in the field's metadata::

    sigma: Level = field(metadata=level("the standard deviation of Gaussian noise"))
"""

from __future__ import annotations

import math
import numbers
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from hush.errors import HushError

if TYPE_CHECKING:
    import torch

#: one level; a range (lowest, highest) to draw one from; or a map, an array that broadcasts against
#: the sample ``(C, *S)``, for noise that varies from place to place
Level = float | tuple[float, float] | np.ndarray

#: by which a variance is multiplied; a map only where the level may be one
Ratio = float | np.ndarray


class Unit(Protocol):
    """The unit of an argument. `read` raises ValueError, `check` raises HushError."""

    def read(self, text: str, full_range: float) -> Any: ...

    def write(self, value: Any, full_range: float) -> str: ...

    def check(self, value: Any) -> None: ...

    def draw(self, value: Any, generator: torch.Generator) -> Any: ...


def level(what: str, **bounds: Any) -> dict[str, Unit]:
    """A signal value: a bare number is in the data's own units, a/b on a scale from 0 to b."""
    return {"unit": Number(what, scaled=True, **bounds)}


def number(what: str, **bounds: Any) -> dict[str, Unit]:
    """A count, a share or a width in pixels, independent of the data's range."""
    return {"unit": Number(what, **bounds)}


def word(*choices: str) -> dict[str, Unit]:
    """One of a few words."""
    return {"unit": Word(choices)}


_DIGITS = r"\d+(?:\.\d*)?(?:e[+-]?\d+)?|\.\d+(?:e[+-]?\d+)?"
_LEVEL = re.compile(rf"(-?(?:{_DIGITS}))(?:-({_DIGITS}))?(?:/({_DIGITS}))?", re.IGNORECASE)


@dataclass(frozen=True)
class Number:
    """A number ``a`` or a range ``a-c``; if `scaled`, also ``a/b`` and ``a-c/b``.

    If `maps`, it may be a map, which has no text.
    """

    what: str
    lowest: float = 0.0
    highest: float = math.inf
    open_end: bool = False  # the lowest itself is not allowed
    whole: bool = False
    ranges: bool = True
    scaled: bool = False
    maps: bool = False  # may vary from place to place

    def read(self, text: str, full_range: float) -> Level:
        match = _LEVEL.fullmatch(text.strip())
        if match is None:
            raise ValueError(f"'{text.strip()}' is not a number")
        low, high, scale = match.groups()
        if scale and not self.scaled:
            raise ValueError(f"{self.what} takes no scale")
        if scale and float(scale) == 0:
            raise ValueError("the scale after / must not be 0")
        unit = float(scale) if scale else full_range if self.scaled else 1.0
        if high is not None:
            return float(low) / unit, float(high) / unit
        value = float(low) / unit
        return int(value) if self.whole and value.is_integer() else value

    def write(self, value: Level, full_range: float) -> str:
        if isinstance(value, np.ndarray):
            raise HushError(
                "this noise varies from place to place, which a text cannot describe; a text has "
                "one level for the whole sample, or a range to draw one from"
            )
        if not self.scaled:
            return "-".join(map(digits, _ends(value, distinct=True)))
        # A scale of 1 is easier to read than 32-bit units.
        top = digits(full_range if full_range <= 65535 else 1.0)
        text = "-".join(digits(v * float(top)) for v in _ends(value, distinct=True))
        return text if full_range == 1 else f"{text}/{top}"

    def check(self, value: Level) -> None:
        low, high = _ends(value)
        if isinstance(value, np.ndarray) and not self.maps:
            raise HushError(f"{self.what} must be one number, not an array of {value.shape}")
        if isinstance(value, tuple) and not self.ranges:
            raise HushError(f"{self.what} must be one number, not the range {low:g}-{high:g}")
        if not (math.isfinite(low) and math.isfinite(high)) or low > high:
            example = "a number, or a range such as 5-50" if self.ranges else "a finite number"
            several = isinstance(value, tuple | np.ndarray)
            said = f"{low:g}-{high:g}" if several else f"{low:g}"
            raise HushError(f"{self.what} cannot be {said}; give {example}")
        if low < self.lowest or (self.open_end and low == self.lowest):
            bound = "above" if self.open_end else "at least"
            raise HushError(f"{self.what} must be {bound} {self.lowest:g}, not {low:g}")
        if high > self.highest:
            raise HushError(f"{self.what} must be at most {self.highest:g}, not {high:g}")
        if self.whole and low != int(low):
            raise HushError(f"{self.what} must be a whole number, not {low:g}")

    def draw(self, value: Level, generator: torch.Generator) -> float | np.ndarray:
        if not isinstance(value, tuple):
            return value
        import torch

        share = float(torch.rand((), generator=generator, device=generator.device))
        return value[0] + (value[1] - value[0]) * share


@dataclass(frozen=True)
class Word:
    """One of `choices`."""

    choices: tuple[str, ...]

    def read(self, text: str, full_range: float) -> str:
        return text.strip()

    def write(self, value: str, full_range: float) -> str:
        return value

    def check(self, value: str) -> None:
        if value not in self.choices:
            raise HushError(f"'{value}' is not one of {', '.join(self.choices)}")

    def draw(self, value: str, generator: torch.Generator) -> str:
        return value


def digits(value: float) -> str:
    """A number with five significant digits; integers with all their digits."""
    if math.isinf(value):
        return str(value)
    if abs(value - round(value)) > 1e-9 * abs(value):
        value = float(f"{value:.5g}")
        if value != round(value):
            return f"{value:.5g}"
    return str(round(value))


def fixed(value: Level) -> Any:
    """The level, a number or a map; `HushError` for a range."""
    if isinstance(value, tuple):
        raise HushError(f"give one level here, not the range {value[0]:g}-{value[1]:g}")
    return value


def fit(value: Level, x: Any) -> Any:
    """The level; `HushError` if it is a map that does not broadcast to `x`, a number or sample."""
    value = fixed(value)
    if isinstance(value, np.ndarray) and not isinstance(x, numbers.Number):
        shape = tuple(x.shape)
        over = (1,) * (len(shape) - value.ndim) + value.shape
        if len(over) > len(shape) or any(m not in (1, n) for m, n in zip(over, shape, strict=True)):
            raise HushError(
                f"a noise map of shape {value.shape} does not fit a sample of shape {shape}"
            )
    return value


def at(value: Level, x: Any) -> Any:
    """The level for arithmetic with `x`: a map is converted to `x`'s type, dtype and device."""
    value = fit(value, x)
    if not isinstance(value, np.ndarray) or isinstance(x, numbers.Number):
        return value
    if isinstance(x, np.ndarray):
        return value.astype(x.dtype) if x.dtype.kind == "f" else value
    import torch

    dtype = x.dtype if x.is_floating_point() else None
    return torch.as_tensor(np.ascontiguousarray(value), dtype=dtype, device=x.device)


def root(ratio: Ratio) -> Any:
    """The ratio of standard deviations for one of variances."""
    return np.sqrt(ratio) if isinstance(ratio, np.ndarray) else math.sqrt(ratio)


def told(value: Level, number: Callable[[float], str]) -> str:
    """The level as text for people; for a map, its least and greatest."""
    low, high = map(number, _ends(fixed(value)))
    return low if low == high else f"{low} to {high}"


def _ends(value: Level, distinct: bool = False) -> tuple[float, ...]:
    if isinstance(value, tuple):
        return value
    if isinstance(value, np.ndarray):  # NaN for an empty map, or if it contains NaN
        return (float(value.min()), float(value.max())) if value.size else (math.nan, math.nan)
    return (value,) if distinct else (value, value)

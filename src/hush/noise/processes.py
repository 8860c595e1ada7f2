r"""Noise as a ladder: processes that can go on accumulating.

MID (its eqs. 1-3) takes a collected sample to be a state *within* a noise accumulation. A
`Process` is the noise a state carries: it knows its variance at a clean signal and can
`accumulate` further noise of its own kind, up to a `ratio` :math:`a = v_t / v_0` times its
variance. All families here share one ladder,

.. math:: v_t(x) = a\, v_0(x), \qquad a \ge 1,

so that exchangeability holds with one number for the whole sample, however its level varies:
:math:`E[s_t - x \mid s_t] = \tfrac{a}{a-1} E[s_t - s_0 \mid s_t]`.

Signals are in units of full range 1. Random numbers come from the generator that is passed.
"""

from __future__ import annotations

import dataclasses
import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, TypeVar

from hush.errors import HushError

if TYPE_CHECKING:
    import numpy as np
    import torch

T = TypeVar("T", float, "np.ndarray", "torch.Tensor")

Level = float | tuple[float, float]  #: one level, or the (lowest, highest) of a range


@dataclass(frozen=True)
class Process:
    """The noise a state carries.

    Subclasses state `variance` and `accumulate`; `ratio` is the ladder's coordinate.
    """

    #: the command line's name
    family: ClassVar[str]
    #: accumulating in one jump or in several gives the same law
    closed: ClassVar[bool] = True
    #: order of eq. 3's Taylor form where it stands in for the noise; 0: nothing is expanded
    taylor_order: ClassVar[int] = 0
    #: an increment and its mirror image have the same law
    symmetric: ClassVar[bool] = False

    def variance(self, x: T) -> T:
        """Variance of the noise at clean signal `x`, elementwise."""
        raise NotImplementedError

    def scaled(self, ratio: float) -> Process:
        """The process whose variance is `ratio` times this one's."""
        raise NotImplementedError

    def sample(self, x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """A noisy observation of the clean signal `x`, same shape."""
        raise NotImplementedError

    def accumulate(
        self, s: torch.Tensor, ratio: float, generator: torch.Generator
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """From state `s` to the state with `ratio` times the variance (eq. 1).

        Returns the new state and the increment, the difference of the two (eq. 3).
        """
        raise NotImplementedError

    def accumulate_twice(
        self, s: torch.Tensor, ratio: float, generator: torch.Generator
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Two states reached from `s`, by mirrored increments where these are `symmetric`."""
        state, increment = self.accumulate(s, ratio, generator)
        if self.symmetric:
            return state, s - increment
        return state, self.accumulate(s, ratio, generator)[0]

    def remove(self, s: torch.Tensor, increment: torch.Tensor) -> torch.Tensor:
        """Take a predicted increment off a state; exact, increments being differences."""
        return s - increment

    def draw(self, generator: torch.Generator) -> Process:
        """This process with every range replaced by one level drawn from it."""
        fixed = {}
        for f in dataclasses.fields(self):
            value = getattr(self, f.name)
            fixed[f.name] = (
                self._draw_level(value, generator) if isinstance(value, tuple) else value
            )
        return dataclasses.replace(self, **fixed)

    def _draw_level(self, bounds: tuple[float, float], generator: torch.Generator) -> float:
        return bounds[0] + (bounds[1] - bounds[0]) * _uniform(generator)

    def spec(self, full_range: float = 1.0) -> str:
        """The text that `parse` reads back; levels in units where full range is `full_range`."""
        values = [_format(getattr(self, f.name), full_range) for f in dataclasses.fields(self)]
        return f"{self.family}:{','.join(values)}"


@dataclass(frozen=True)
class Gaussian(Process):
    """Additive white Gaussian noise; closed: variances add.

    sigma : standard deviation.
    """

    sigma: Level
    family: ClassVar[str] = "gaussian"
    symmetric: ClassVar[bool] = True

    def __post_init__(self) -> None:
        _check("the standard deviation of Gaussian noise", self.sigma, lowest=0.0)

    def variance(self, x: T) -> T:
        return 0 * x + _fixed(self.sigma) ** 2

    def scaled(self, ratio: float) -> Gaussian:
        return Gaussian(_fixed(self.sigma) * math.sqrt(ratio))

    def sample(self, x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        return x + _fixed(self.sigma) * _normal(x, generator)

    def accumulate(
        self, s: torch.Tensor, ratio: float, generator: torch.Generator
    ) -> tuple[torch.Tensor, torch.Tensor]:
        increment = _fixed(self.sigma) * math.sqrt(ratio - 1) * _normal(s, generator)
        return s + increment, increment


@dataclass(frozen=True)
class Poisson(Process):
    """Counting noise; closed: thinned counts are again Poisson.

    peak : expected count at full range (λ). Fewer counts, more noise: ratio a keeps 1/a.
    """

    peak: Level
    family: ClassVar[str] = "poisson"

    def __post_init__(self) -> None:
        _check("the Poisson count at full range", self.peak, lowest=0.0, open_end=True)

    def variance(self, x: T) -> T:
        return _positive(x) / _fixed(self.peak)

    def scaled(self, ratio: float) -> Poisson:
        return Poisson(_fixed(self.peak) / ratio)

    def sample(self, x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        import torch

        peak = _fixed(self.peak)
        return torch.poisson((x * peak).clamp(min=0), generator=generator) / peak

    def accumulate(
        self, s: torch.Tensor, ratio: float, generator: torch.Generator
    ) -> tuple[torch.Tensor, torch.Tensor]:
        import torch

        peak = _fixed(self.peak)
        counts = (s * peak).round().clamp(min=0)
        kept = torch.binomial(counts, torch.full_like(counts, 1 / ratio), generator=generator)
        state = kept * (ratio / peak)
        return state, state - s

    def spec(self, full_range: float = 1.0) -> str:
        return f"{self.family}:{_format(self.peak, 1.0)}"  # counts have no other unit


@dataclass(frozen=True)
class PoissonGaussian(Process):
    """Signal-dependent plus constant noise, variance ``gain·(x − offset) + sigma²``.

    No exact thinning exists; the ladder matches two moments. The state s + √((a−1)·v(s))·z has
    mean x and variance a·v(x), and its share 1/a, the part of s that is kept, is uncorrelated
    with the rest, the part taken away. Higher moments drift: the third cumulant comes to
    gain²·x + 3(a−1)·gain·v(x) instead of a²·gain²·x (offset 0).

    It is eq. 3's first-order form of noise n that adds up after variance stabilisation,
    f(s) = 2√v(s)/gain: of F(s, n) = f⁻¹(f(s) + n) = s + √v(s)·n + gain·n²/4 it leaves out the
    last term, which alone would shift the mean.

    gain : signal units per count; sigma : read noise; offset : the signal at zero light.
    """

    gain: Level
    sigma: Level
    offset: float = 0.0
    family: ClassVar[str] = "poisson-gaussian"
    closed: ClassVar[bool] = False
    taylor_order: ClassVar[int] = 1
    symmetric: ClassVar[bool] = True

    def __post_init__(self) -> None:
        _check("the Poisson gain", self.gain, lowest=0.0)
        _check("the read noise", self.sigma, lowest=0.0)
        if isinstance(self.offset, tuple) or not math.isfinite(self.offset):
            raise HushError(f"the offset must be one finite number, not {self.offset}")

    def variance(self, x: T) -> T:
        return _fixed(self.gain) * _positive(x - self.offset) + _fixed(self.sigma) ** 2

    def scaled(self, ratio: float) -> PoissonGaussian:
        sigma = _fixed(self.sigma) * math.sqrt(ratio)
        return PoissonGaussian(_fixed(self.gain) * ratio, sigma, self.offset)

    def sample(self, x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        import torch

        gain, light = _fixed(self.gain), _positive(x - self.offset)
        if gain > 0:
            light = torch.poisson(light / gain, generator=generator) * gain
        return light + self.offset + _fixed(self.sigma) * _normal(x, generator)

    def accumulate(
        self, s: torch.Tensor, ratio: float, generator: torch.Generator
    ) -> tuple[torch.Tensor, torch.Tensor]:
        # Not clamped at zero light: read noise takes states below it, and the mean of
        # gain·y + sigma² must stay v(x); only a negative sum is cut.
        v = (_fixed(self.gain) * (s - self.offset) + _fixed(self.sigma) ** 2).clamp(min=0)
        increment = ((ratio - 1) * v).sqrt() * _normal(s, generator)
        return s + increment, increment

    def spec(self, full_range: float = 1.0) -> str:
        offset = [_format(self.offset, full_range)] if self.offset else []
        levels = [_format(self.gain, full_range), _format(self.sigma, full_range), *offset]
        return f"{self.family}:{','.join(levels)}"


@dataclass(frozen=True)
class OneOf(Process):
    """Training only: one of several processes, drawn with equal chance for each sample."""

    choices: tuple[Process, ...]
    family: ClassVar[str] = "one of"

    def variance(self, x: T) -> T:
        raise HushError(f"one noise is needed here, not the alternatives {self.spec()}")

    def draw(self, generator: torch.Generator) -> Process:
        pick = int(_uniform(generator) * len(self.choices))
        return self.choices[min(pick, len(self.choices) - 1)].draw(generator)

    def spec(self, full_range: float = 1.0) -> str:
        return "|".join(p.spec(full_range) for p in self.choices)


FAMILIES: dict[str, type[Process]] = {
    "gaussian": Gaussian,
    "poisson": Poisson,
    "poisson-gaussian": PoissonGaussian,
}

_NUMBER = r"\d+(?:\.\d*)?(?:e[+-]?\d+)?|\.\d+(?:e[+-]?\d+)?"
_LEVEL = re.compile(rf"(-?(?:{_NUMBER}))(?:-({_NUMBER}))?(?:/({_NUMBER}))?", re.IGNORECASE)
_EXAMPLES = "gaussian:25/255, poisson:30 or poisson-gaussian:0.01/1,2/255"


def parse(spec: str, full_range: float = 1.0) -> Process:
    """The process that a text such as ``gaussian:25/255`` or ``poisson:5-50`` names.

    A level is ``a`` (in the data's own units, whose full range is `full_range`), ``a/b`` (on
    a scale whose full range is b), or a range ``a-c`` or ``a-c/b``. Alternatives for training
    are joined by ``|``. Poisson's λ is a count at full range. `HushError` says what is wrong.
    """
    if "|" in spec:
        return OneOf(tuple(parse(part, full_range) for part in spec.split("|")))
    name, _, text = spec.strip().partition(":")
    if name not in FAMILIES:
        raise HushError(f"'{spec}' is no noise hush knows; write for example {_EXAMPLES}")
    cls = FAMILIES[name]
    scale = 1.0 if cls is Poisson else full_range
    if cls is Poisson and "/" in text:
        raise HushError(
            f"'{spec}': λ is the count at full range and takes no scale; write {name}:30"
        )
    try:
        levels = [_parse_level(part, scale) for part in text.split(",")]
        return cls(*levels)
    except (ValueError, TypeError, ZeroDivisionError):
        names = ",".join(f.name.upper() for f in dataclasses.fields(cls))
        message = f"'{spec}' does not read as {name}:{names}; write for example {_EXAMPLES}"
        raise HushError(message) from None


def _parse_level(text: str, full_range: float) -> Level:
    match = _LEVEL.fullmatch(text.strip())
    if match is None:
        raise ValueError(text)
    low, high, scale = match.groups()
    unit = float(scale) if scale else full_range
    return float(low) / unit if high is None else (float(low) / unit, float(high) / unit)


def _format(value: Level, full_range: float) -> str:
    text = "-".join(
        f"{v * full_range:.5g}" for v in (value if isinstance(value, tuple) else (value,))
    )
    return text if full_range == 1.0 else f"{text}/{full_range:g}"


def _check(what: str, level: Level, lowest: float, open_end: bool = False) -> None:
    low, high = level if isinstance(level, tuple) else (level, level)
    if not (math.isfinite(low) and math.isfinite(high)) or low > high:
        raise HushError(f"{what} cannot be {level}; give a number, or a range such as 5-50")
    if low < lowest or (open_end and low == lowest):
        bound = "above" if open_end else "at least"
        raise HushError(f"{what} must be {bound} {lowest:g}, not {low:g}")


def _fixed(level: Level) -> float:
    if isinstance(level, tuple):
        raise HushError(f"one level is needed here, not the range {level[0]:g}-{level[1]:g}")
    return level


def _positive(x: T) -> T:
    return x * (x > 0)


def _uniform(generator: torch.Generator) -> float:
    import torch

    return float(torch.rand((), generator=generator, device=generator.device))


def _normal(x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    import torch

    return torch.randn(x.shape, dtype=x.dtype, device=x.device, generator=generator)

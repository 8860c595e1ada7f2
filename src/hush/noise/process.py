r"""Noise as a ladder: what every process states.

MID (its eqs. 1-3) takes a collected sample to be a state *within* a noise accumulation. A
`Process` is the noise a state carries: it knows its variance at a clean signal and can
`accumulate` further noise of its own kind, up to a `ratio` :math:`a = v_t / v_0` times its
variance. All families share one ladder,

.. math:: v_t(x) = a\, v_0(x), \qquad a \ge 1,

so that exchangeability holds with one number for the whole sample, however its level varies:
:math:`E[s_t - x \mid s_t] = \tfrac{a}{a-1} E[s_t - s_0 \mid s_t]`.

A sample is ``(C, *S)``, or several ``(…, C, *S)``: space is the last axes, of which there are two
unless a process is told otherwise (`Process.over`). Most processes never ask: each value has its
noise. Levels may vary from place to place (`hush.noise.units.Level`).

Signals are in units of full range 1. Random numbers come from the generator that is passed.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, TypeVar

import numpy as np

from hush.errors import HushError
from hush.noise.units import Unit

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Self

    import torch

T = TypeVar("T", float, "np.ndarray", "torch.Tensor")

#: all families by the name that specs give them; one enters it by being defined
FAMILIES: dict[str, type[Process]] = {}


@dataclass(frozen=True)
class Process:
    """The noise a state carries.

    A subclass is a frozen dataclass. It is a family of its own, which specs may name, if it shows
    in `examples` how. Its fields are its level, each with its unit (`hush.noise.units`), and it
    states

    - its law: `sample`, with `variance` and, where E[y] ≠ x, `bias`;
    - its ladder: `scaled` (the process at another level) and `accumulate` (a state at that
      level), whether it is `closed`, and what subtracting an increment leaves (`taylor_order`);
    - its dependence between pixels: `white`, or `autocorrelation`, and on samples of how many
      axes in space (`over`);
    - if it can be recognised in a picture, what its variance is made of (`terms`, `of_terms`);
    - what a person should read of it: `words`, `advice`.

    The increment is the difference of two states, so subtracting a known one is exact in every
    family. What differs is whether a *predicted* increment tells the whole noise.
    """

    #: the command line's name
    family: ClassVar[str]
    #: what people call it
    label: ClassVar[str]
    #: a spec of every variant, for messages and tests
    examples: ClassVar[tuple[str, ...]] = ()
    #: accumulating in one jump or in several gives the same law, that of `scaled`
    closed: ClassVar[bool] = True
    #: Order in the noise n to which increments add (eq. 3). Infinite: they are exchangeable, and
    #: a share of them is that share of the whole noise. 1: exchangeable up to O(n²), the
    #: first-order Taylor form. 0: F is not smooth, and only moments agree.
    taylor_order: ClassVar[float] = math.inf
    #: the pixels' noise is independent, given the clean signal
    white: ClassVar[bool] = True
    #: an increment and its mirror image have the same law
    symmetric: ClassVar[bool] = False
    #: normally distributed and independent of the signal
    normal: ClassVar[bool] = False
    #: E[y] is not x: there is a `bias`
    biased: ClassVar[bool] = False
    #: The powers x⁰, x¹, x² of the signal that the variance is made of; of noise in two parts of
    #: which a magnitude is taken, the variance of each. None where it is made of no such powers.
    terms: ClassVar[tuple[int, ...]] = ()
    #: what to know before trusting what the shipped models make of it; empty if nothing
    advice: ClassVar[str] = ""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "examples" in vars(cls):
            FAMILIES[cls.family] = cls
        # @dataclass leaves alone what is there; what it would make cannot compare maps.
        cls.__eq__ = Process.__eq__  # type: ignore[method-assign]
        cls.__hash__ = Process.__hash__  # type: ignore[method-assign]

    def __post_init__(self) -> None:
        for name, unit in self._units().items():
            unit.check(getattr(self, name))

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return all(map(_same, self._values(), other._values()))

    def __hash__(self) -> int:
        values = self._values()
        return hash(tuple(v.shape if isinstance(v, np.ndarray) else v for v in values))

    def _values(self) -> list[Any]:
        return [getattr(self, f.name) for f in dataclasses.fields(self) if f.compare]

    def variance(self, x: T) -> T:
        """Variance of the noise at clean signal `x`, elementwise."""
        raise NotImplementedError

    def bias(self, x: T) -> T:
        """E[y] − x at clean signal `x`, elementwise."""
        return 0 * x

    def scaled(self, ratio: float) -> Process:
        """The process whose variance is `ratio` times this one's; 0 is no noise.

        Where the variance is no multiple of one level (`Speckle`, the magnitudes, `Impulse`),
        `ratio` multiplies what accumulates; the family says what that is.
        """
        raise NotImplementedError

    def sample(self, x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """A noisy observation of the clean signal `x`, same shape."""
        raise NotImplementedError

    def accumulate(
        self, s: torch.Tensor, ratio: float, generator: torch.Generator
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """From state `s` to the state with `ratio` ≥ 1 times the variance (eq. 1).

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

    @property
    def varies(self) -> bool:
        """Whether a level is a map: the noise differs from place to place."""
        return any(
            isinstance(v, np.ndarray) or (isinstance(v, Process) and v.varies)
            for v in self._values()
        )

    def part(self, index: tuple[int | slice, ...]) -> Process:
        """This noise in a part of the sample, `index` being along its last axes."""

        def cut(value: Any) -> Any:
            if isinstance(value, Process):
                return value.part(index)
            if not isinstance(value, np.ndarray):
                return value
            places = zip(index[-value.ndim :], value.shape[-len(index) :], strict=True)
            where = (i if n > 1 else 0 if isinstance(i, int) else slice(None) for i, n in places)
            return value[(..., *where)]

        if not self.varies:
            return self
        fields = {f.name: cut(getattr(self, f.name)) for f in dataclasses.fields(self)}
        return dataclasses.replace(self, **fields)

    def over(self, ndim: int) -> Process:
        """This noise in samples whose last `ndim` axes are space."""
        return self

    def autocorrelation(self, radius: int, ndim: int = 2) -> np.ndarray:
        """Correlation of the noise at lags −radius … radius, ``(2r + 1,)·ndim``, centre 1."""
        if not self.white:
            raise HushError(f"the autocorrelation of {self.family} noise has no formula here")
        lags = np.zeros((2 * radius + 1,) * ndim)
        lags[(radius,) * ndim] = 1
        return lags

    def _in_space(self, axes: int, needed: int = 2) -> None:
        """Refuse a sample of fewer axes than this noise lies along."""
        if axes < needed:
            raise HushError(
                f"{self.family} noise lies along {needed} axes of space, and a sample of {axes} "
                "has no such noise"
            )

    @classmethod
    def of_terms(cls, level: float, gain: float, relative: float) -> Process:
        """The process whose variance is level + gain·x + relative·x², as far as `terms` has it."""
        raise NotImplementedError

    def words(self, sigma: str, scale: float, number: Callable[[float], str]) -> str:
        """How much noise there is and how it goes with the brightness, for people.

        sigma : its level over the whole picture; scale : of the data's units, in which signals
        are told; number : writes a number.
        """
        return f"{sigma} on average"

    def draw(self, generator: torch.Generator) -> Process:
        """This process with every range replaced by one level drawn from it."""
        levels = {n: u.draw(getattr(self, n), generator) for n, u in self._units().items()}
        return dataclasses.replace(self, **levels)

    def spec(self, full_range: float = 1.0) -> str:
        """The text that `parse` reads back; levels in units where full range is `full_range`."""
        units, defaults = self._units(), self._defaults()
        values = {name: getattr(self, name) for name in units}
        names = list(units)
        while names and names[-1] in defaults and _same(values[names[-1]], defaults[names[-1]]):
            names.pop()
        texts = [units[name].write(values[name], full_range) for name in names]
        return f"{self.family}:{','.join(texts)}"

    @classmethod
    def read(cls, text: str, full_range: float) -> Self:
        """The process whose arguments `text` lists. ValueError says what does not read."""
        units = cls._units()
        # Split from the right: the first argument may be a spec with commas of its own.
        parts = text.rsplit(",", len(units) - 1)
        if len(parts) < len(units) - len(cls._defaults()):
            raise ValueError("a value is missing")
        values = [u.read(p, full_range) for u, p in zip(units.values(), parts, strict=False)]
        return cls(*values)

    @classmethod
    def usage(cls) -> str:
        """How the spec is put together: ``poisson-gaussian:GAIN,SIGMA[,OFFSET]``."""
        defaults = cls._defaults()
        names = [f"[,{n.upper()}]" if n in defaults else f",{n.upper()}" for n in cls._units()]
        return f"{cls.family}:{''.join(names).removeprefix(',')}"

    @classmethod
    def _units(cls) -> dict[str, Unit]:
        fields = dataclasses.fields(cls)
        return {f.name: f.metadata["unit"] for f in fields if "unit" in f.metadata}

    @classmethod
    def _defaults(cls) -> dict[str, object]:
        fields = dataclasses.fields(cls)
        given = (f for f in fields if f.default is not dataclasses.MISSING)
        return {f.name: f.default for f in given if "unit" in f.metadata}


@dataclass(frozen=True)
class OneOf(Process):
    """Training only: one of several processes, drawn with equal chance for each sample."""

    choices: tuple[Process, ...]
    family: ClassVar[str] = "one of"
    label: ClassVar[str] = "One of several"
    white: ClassVar[bool] = False

    def variance(self, x: T) -> T:
        raise HushError(f"one noise is needed here, not the alternatives {self.spec()}")

    def draw(self, generator: torch.Generator) -> Process:
        import torch

        share = float(torch.rand((), generator=generator, device=generator.device))
        pick = int(share * len(self.choices))
        return self.choices[min(pick, len(self.choices) - 1)].draw(generator)

    def over(self, ndim: int) -> OneOf:
        return OneOf(tuple(p.over(ndim) for p in self.choices))

    def spec(self, full_range: float = 1.0) -> str:
        return "|".join(p.spec(full_range) for p in self.choices)


def parse(spec: str, full_range: float = 1.0) -> Process:
    """The process that a text such as ``gaussian:25/255`` or ``poisson:5-50`` names.

    A level is ``a`` (in the data's own units, whose full range is `full_range`), ``a/b`` (on
    a scale whose full range is b), or a range ``a-c`` or ``a-c/b``; counts, shares and pixels
    take no scale. Alternatives for training are joined by ``|``. Correlated noise begins with
    the noise it is made from, ``correlated:poisson:30,1.2``: the last number is the kernel's
    width, and what stands before it is a spec, or else Gaussian. `HushError` says what is wrong.
    """
    if "|" in spec:
        return OneOf(tuple(parse(part, full_range) for part in spec.split("|")))
    name, _, text = spec.strip().partition(":")
    if name not in FAMILIES:
        raise HushError(
            f"'{spec}' is no noise hush knows ({', '.join(FAMILIES)}); "
            "write for example gaussian:25/255"
        )
    family = FAMILIES[name]
    try:
        return family.read(text, full_range)
    except ValueError as reason:
        raise HushError(
            f"'{spec}' does not read as {family.usage()} ({reason}); "
            f"write for example {family.examples[0]}"
        ) from None


def _same(a: object, b: object) -> bool:
    maps = isinstance(a, np.ndarray) or isinstance(b, np.ndarray)
    return np.array_equal(a, b) if maps else a == b  # type: ignore[arg-type]


def positive(x: T) -> T:
    return x * (x > 0)


def wide(x: torch.Tensor) -> torch.Tensor:
    """`x` in at least single precision: counts are not whole in half of it."""
    import torch

    return x.to(torch.promote_types(x.dtype, torch.float32))


def normal(x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Standard normal draws of `x`'s shape."""
    import torch

    return torch.randn(x.shape, dtype=x.dtype, device=x.device, generator=generator)


def uniform(x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Draws from [0, 1) of `x`'s shape."""
    import torch

    return torch.rand(x.shape, dtype=x.dtype, device=x.device, generator=generator)


def seeded(generator: torch.Generator) -> np.random.Generator:
    """NumPy's generator, seeded by the next draw: for laws that torch draws with no generator."""
    import torch

    seed = torch.randint(2**63 - 1, (), generator=generator, device=generator.device)
    return np.random.default_rng(int(seed))

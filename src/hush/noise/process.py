r"""Noise as a ladder: the base class of all noise processes.

In MID (eqs. 1-3) a collected sample is a state *within* a noise accumulation. A `Process` is the
noise of a state. It has a variance at each clean signal, and `accumulate` adds further noise of the
same kind, up to a `ratio` :math:`a = v_t / v_0` times the variance. All families share one ladder,

.. math:: v_t(x) = a\, v_0(x), \qquad a \ge 1,

so exchangeability holds with one number for the whole sample, even if its level varies:
:math:`E[s_t - x \mid s_t] = \tfrac{a}{a-1} E[s_t - s_0 \mid s_t]`.

A sample is ``(C, *S)``, or several ``(…, C, *S)``. The last axes are space: two of them, unless
`Process.over` sets another number. It does not matter to most processes, which have independent
noise in each value. Levels may vary from place to place (`hush.noise.units.Level`).

Signals are in units of full range 1. Random numbers come from the generator that is passed.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, TypeVar

import numpy as np

from hush.errors import HushError
from hush.noise.spectrum import OCTAVES, levels_of_lags
from hush.noise.units import Ratio, Unit

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Self

    import torch

    #: draws noise with the shape of a sample
    Draw = Callable[[torch.Tensor, torch.Generator], torch.Tensor]

T = TypeVar("T", float, "np.ndarray", "torch.Tensor")

#: all families by their name in specs; defining a family adds it
FAMILIES: dict[str, type[Process]] = {}


@dataclass(frozen=True)
class Process:
    """The noise of a state.

    A subclass is a frozen dataclass. It is a family that specs can name if it has `examples`. Its
    fields are its level, each with a unit (`hush.noise.units`), and it defines

    - its law: `sample`, with `variance` and, if E[y] ≠ x, `bias`;
    - its ladder: `scaled` (the process at another level) and `accumulate` (a state at that
      level), whether it is `closed`, and what subtracting an increment leaves (`taylor_order`);
    - its dependence between pixels: `white` or `autocorrelation`, and the number of axes in space
      (`over`);
    - if it can be recognised in an image, the terms of its variance (`terms`, `of_terms`);
    - its description for people: `words`, `advice`.

    The increment is the difference of two states, so subtracting a known one is exact in every
    family. Families differ in whether a *predicted* increment determines the whole noise.
    """

    #: the command line's name
    family: ClassVar[str]
    #: the name for people
    label: ClassVar[str]
    #: one spec for each variant, for messages and tests
    examples: ClassVar[tuple[str, ...]] = ()
    #: accumulating in one jump or in several gives the same law, that of `scaled`
    closed: ClassVar[bool] = True
    #: Order in the noise n up to which increments add (eq. 3). Infinite: they are exchangeable, and
    #: a share of them is the same share of the whole noise. 1: exchangeable up to O(n²), the
    #: first-order Taylor form. 0: F is not smooth, and only moments agree.
    taylor_order: ClassVar[float] = math.inf
    #: given the clean signal, the noise of different pixels is independent
    white: ClassVar[bool] = True
    #: stated beside other noise, which is measured
    beside: ClassVar[bool] = False
    #: an increment and its mirror image have the same law
    symmetric: ClassVar[bool] = False
    #: normally distributed and independent of the signal
    normal: ClassVar[bool] = False
    #: E[y] is not x: there is a `bias`
    biased: ClassVar[bool] = False
    #: values are magnitudes, and the noise that accumulates is that of their complex parts
    complex: ClassVar[bool] = False
    #: The powers x⁰, x¹, x² of the signal in the variance; for magnitudes, in the variance of the
    #: real and the imaginary part. Empty if the variance is no polynomial of degree 2.
    terms: ClassVar[tuple[int, ...]] = ()
    #: Its level is stated with it. If not, the method finds the level, and it is 0 until then.
    stated: ClassVar[bool] = True
    #: it adds elements to a set, so there is no noisy version of the same size to `sample`
    superposed: ClassVar[bool] = False
    #: the only kind of data that has such noise; empty if any may have it
    only: ClassVar[str] = ""
    #: a warning about results of the shipped models on this noise; empty if there is none
    advice: ClassVar[str] = ""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "examples" in vars(cls):
            FAMILIES[cls.family] = cls
        # @dataclass keeps existing methods; those it would generate cannot compare maps.
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

    @property
    def teaches(self) -> bool:
        """Whether it names recordings that a model should adapt to before it denoises."""
        return False

    def variance(self, x: T) -> T:
        """Variance of the noise at clean signal `x`, elementwise."""
        raise NotImplementedError

    def bias(self, x: T) -> T:
        """E[y] − x at clean signal `x`, elementwise."""
        return 0 * x

    def scaled(self, ratio: Ratio) -> Process:
        """The process with `ratio` times this variance; 0 gives no noise.

        A map of ratios, in families whose level may be one, gives noise that varies from place to
        place.

        If the variance is not proportional to a level (`Speckle`, the magnitudes, `Impulse`),
        `ratio` multiplies the quantity that accumulates, which the family documents.
        """
        raise NotImplementedError

    def sample(self, x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """A noisy observation of the clean signal `x`, with the same shape."""
        raise NotImplementedError

    def accumulate(
        self, s: torch.Tensor, ratio: float, generator: torch.Generator
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Go from state `s` to a state with `ratio` ≥ 1 times the variance (eq. 1).

        Returns the new state and the increment, the difference of the two (eq. 3). Here noise of
        the rest of the variance acts on `s` as if it were clean.
        """
        state = self.scaled(ratio - 1).sample(s, generator)
        return state, state - s

    def accumulate_twice(
        self, s: torch.Tensor, ratio: float, generator: torch.Generator
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Two states reached from `s`, by mirrored increments if these are `symmetric`."""
        state, increment = self.accumulate(s, ratio, generator)
        if self.symmetric:
            return state, s - increment
        return state, self.accumulate(s, ratio, generator)[0]

    def exchanged(
        self, s: torch.Tensor, ratio: float, generator: torch.Generator, draw: Draw | None = None
    ) -> tuple[Process, tuple[tuple[torch.Tensor, torch.Tensor], ...]]:
        """What noisy-only training learns from state `s`: two states, each with a target.

        Returns the noise of the states, which may be other than at `ratio`, and each state with a
        tensor whose expectation, given the state, is that of its whole noise: here the increment
        divided by its share (a − 1)/a. draw : standard normal noise, for families that need it.
        """
        share = 1 - 1 / ratio
        states = self.accumulate_twice(s, ratio, generator)
        return self.scaled(ratio), tuple((state, (state - s) / share) for state in states)

    def variance_near(self, mean: T) -> T:
        """Variance of the noise where noisy values have this mean, elementwise."""
        return self.variance(mean)

    @property
    def varies(self) -> bool:
        """Whether a level is a map, so that the noise varies from place to place."""
        return any(
            isinstance(v, np.ndarray) or (isinstance(v, Process) and v.varies)
            for v in self._values()
        )

    def part(self, index: tuple[int | slice, ...]) -> Process:
        """This noise in a part of the sample; `index` applies to its last axes."""

        def cut(value: Any) -> Any:
            if isinstance(value, Process):
                return value.part(index)
            if not isinstance(value, np.ndarray):
                return value
            places = zip(index[-value.ndim :], value.shape[-len(index) :], strict=True)
            where = (i if n > 1 else slice(None) if isinstance(i, slice) else 0 for i, n in places)
            return value[(..., *where)]

        if not self.varies:
            return self
        fields = {f.name: cut(getattr(self, f.name)) for f in dataclasses.fields(self)}
        return dataclasses.replace(self, **fields)

    def over(self, ndim: int) -> Process:
        """This noise in samples with `ndim` axes of space, their last ones."""
        return self

    def autocorrelation(self, radius: int, ndim: int = 2) -> np.ndarray:
        """Correlation of the noise at lags −radius … radius, ``(2r + 1,)·ndim``, centre 1."""
        if not self.white:
            raise HushError(
                f"there is no formula for the spectrum of {self.family} noise; leave it out, and "
                "the noise is measured"
            )
        lags = np.zeros((2 * radius + 1,) * ndim)
        lags[(radius,) * ndim] = 1
        return lags

    def octaves(self, count: int = OCTAVES, ndim: int = 2, channels: int = 1) -> np.ndarray:
        """Deviation in each octave of frequency, from the finest, relative to white noise's.

        ``(2, count)``: of the channels' mean, and of their differences (`hush.noise.spectrum`).
        """
        if self.white:
            return np.ones((2, count))
        return levels_of_lags(self.autocorrelation(16, ndim), count)

    def _in_space(self, axes: int, needed: int = 2) -> None:
        """Refuse a sample with fewer axes than this noise needs."""
        if axes < needed:
            raise HushError(
                f"{self.family} noise needs samples with {needed} axes of space, but this one has "
                f"{axes}"
            )

    @classmethod
    def of_terms(cls, level: float, gain: float, relative: float) -> Process:
        """The process with variance level + gain·x + relative·x², using the powers in `terms`."""
        raise NotImplementedError

    def words(self, sigma: str, scale: float, number: Callable[[float], str]) -> str:
        """The amount of noise and how it depends on brightness, as text for people.

        sigma : the level over the whole image, as text; scale : of the data's units, in which
        signals are written; number : formats a number.
        """
        return f"{sigma} on average"

    def draw(self, generator: torch.Generator) -> Process:
        """This process with every range replaced by a level drawn from it."""
        levels = {n: u.draw(getattr(self, n), generator) for n, u in self._units().items()}
        return dataclasses.replace(self, **levels)

    def moved(self, by: float) -> Process | None:
        """The same noise of signals that are lower by this; None if no law of hush says that."""
        return self if self.terms == (0,) and not self.complex else None

    def spec(self, full_range: float = 1.0) -> str:
        """The text that `parse` reads; levels in units with full range `full_range`."""
        units, defaults = self._units(), self._defaults()
        texts = {n: unit.write(getattr(self, n), full_range) for n, unit in units.items()}
        for name in reversed(units):
            # As texts: 1.00001 is written as a default of 1, and read again as that.
            if name not in defaults or texts[name] != units[name].write(defaults[name], full_range):
                break
            del texts[name]
        return f"{self.family}:{','.join(texts.values())}"

    @classmethod
    def read(cls, text: str, full_range: float) -> Self:
        """The process with the arguments in `text`; ValueError if one cannot be read."""
        units = cls._units()
        # Split from the right: the first argument may be a spec that contains commas.
        parts = text.rsplit(",", len(units) - 1)
        if len(parts) < len(units) - len(cls._defaults()):
            raise ValueError("a value is missing")
        values = [u.read(p, full_range) for u, p in zip(units.values(), parts, strict=False)]
        return cls(*values)

    @classmethod
    def usage(cls) -> str:
        """The form of the spec, such as ``poisson-gaussian:GAIN,SIGMA[,OFFSET]``."""
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
    """One of several processes, drawn with equal probability for each sample; for training only."""

    choices: tuple[Process, ...]
    family: ClassVar[str] = "one of"
    label: ClassVar[str] = "One of several"
    white: ClassVar[bool] = False

    def variance(self, x: T) -> T:
        raise HushError(f"give one kind of noise here, not the alternatives {self.spec()}")

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
    """The process for a text such as ``gaussian:25/255`` or ``poisson:5-50``.

    A level is ``a`` (in the data's own units with full range `full_range`), ``a/b`` (on a scale
    from 0 to b), or a range ``a-c`` or ``a-c/b``; counts, shares and pixels take no scale.
    Alternatives for training are joined by ``|``. Correlated noise contains the spec of another
    noise, as in ``correlated:poisson:30,1.2``: the last number is the kernel's width, and the part
    before it is a spec, or a number for Gaussian noise. `HushError` for invalid texts.
    """
    if "|" in spec:
        return OneOf(tuple(parse(part, full_range) for part in spec.split("|")))
    name, _, text = spec.strip().partition(":")
    if name not in FAMILIES:
        raise HushError(
            f"'{spec}' names no known noise ({', '.join(FAMILIES)}); "
            "write for example gaussian:25/255"
        )
    family = FAMILIES[name]
    try:
        return family.read(text, full_range)
    except ValueError as reason:
        raise HushError(
            f"'{spec}' does not have the form {family.usage()} ({reason}); "
            f"write for example {family.examples[0]}"
        ) from None


def law_of(spec: object) -> type[Process] | None:
    """The family in a text such as ``rician``, which states a law and leaves its level open.

    Only of laws with a single level, whose measurement is a level of that law; else None.
    """
    family = FAMILIES.get(spec.strip()) if isinstance(spec, str) else None
    single = family is not None and family.terms == (0,) and "of_terms" in vars(family)
    return family if single else None


def _same(a: object, b: object) -> bool:
    maps = isinstance(a, np.ndarray) or isinstance(b, np.ndarray)
    return np.array_equal(a, b) if maps else a == b  # type: ignore[arg-type]


def positive(x: T) -> T:
    return x * (x > 0)


def wide(x: torch.Tensor) -> torch.Tensor:
    """`x` in at least single precision; half precision cannot represent counts."""
    import torch

    return x.to(torch.promote_types(x.dtype, torch.float32))


def normal(x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Standard normal draws with `x`'s shape."""
    import torch

    return torch.randn(x.shape, dtype=x.dtype, device=x.device, generator=generator)


def uniform(x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Uniform draws from [0, 1) with `x`'s shape."""
    import torch

    return torch.rand(x.shape, dtype=x.dtype, device=x.device, generator=generator)


def seeded(generator: torch.Generator) -> np.random.Generator:
    """A NumPy generator seeded by the next draw, for laws that need one instead of torch's."""
    import torch

    seed = torch.randint(2**63 - 1, (), generator=generator, device=generator.device)
    return np.random.default_rng(int(seed))

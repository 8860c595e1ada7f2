"""All noise processes, and the specs that name them (`docs/noise.md` is the table)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from hush.errors import HushError
from hush.noise.correlated import Correlated, Stripes
from hush.noise.damage import JPEG, Impulse, Quantisation
from hush.noise.magnitude import NonCentralChi, Rician
from hush.noise.multiplicative import Gamma, Speckle
from hush.noise.process import Process, T
from hush.noise.units import Level
from hush.noise.white import Gaussian, Poisson, PoissonGaussian

if TYPE_CHECKING:
    import torch

__all__ = [
    "FAMILIES",
    "JPEG",
    "Correlated",
    "Gamma",
    "Gaussian",
    "Impulse",
    "Level",
    "NonCentralChi",
    "OneOf",
    "Poisson",
    "PoissonGaussian",
    "Process",
    "Quantisation",
    "Rician",
    "Speckle",
    "Stripes",
    "parse",
]

FAMILIES: dict[str, type[Process]] = {
    p.family: p
    for p in (
        Gaussian,
        Poisson,
        PoissonGaussian,
        Gamma,
        Speckle,
        Correlated,
        Stripes,
        Rician,
        NonCentralChi,
        Impulse,
        Quantisation,
        JPEG,
    )
}


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

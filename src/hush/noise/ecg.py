"""ECG in other signals: interference with a shape of its own, added from a bank of recordings.

The law of an ECG is the bank: recordings that the user gives, or synthetic beats. What accumulates
is power; further ECG at a random phase, heart rate and lead is superposed on what is there.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np

from hush.errors import HushError
from hush.noise.process import Process, T, seeded
from hush.noise.units import Ratio

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch

    from hush.noise.bank import Bank


@dataclass(frozen=True)
class ECG(Process):
    """Superposed ECG. Powers add, but the sum of two ECGs is not one: not `closed`.

    bank : file with ECG recordings; synthetic beats if it is empty.
    level : rms, in units of full range. It is found, never stated: the spec has none.
    rate : samples a second of what it is added to.
    """

    bank: str = ""
    level: float = 0.0
    rate: float = 1000.0
    family: ClassVar[str] = "ecg"
    label: ClassVar[str] = "ECG"
    only: ClassVar[str] = "signal"
    closed: ClassVar[bool] = False
    white: ClassVar[bool] = False
    stated: ClassVar[bool] = False

    @property
    def teaches(self) -> bool:
        return bool(self.bank)

    def variance(self, x: T) -> T:
        return 0 * x + self.level**2

    def scaled(self, ratio: Ratio) -> ECG:
        if isinstance(ratio, np.ndarray):
            raise HushError("an ECG has one level in a signal, not a map of levels")
        return dataclasses.replace(self, level=self.level * math.sqrt(ratio))

    def sample(self, x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        return x + self.level * self._drawn(x, generator)

    def accumulate(
        self, s: torch.Tensor, ratio: float, generator: torch.Generator
    ) -> tuple[torch.Tensor, torch.Tensor]:
        increment = self.level * math.sqrt(ratio - 1) * self._drawn(s, generator)
        return s + increment, increment

    def _drawn(self, like: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """ECG of rms 1 for each row ``(…, T)``."""
        import torch

        bank, rng = self.recordings(), seeded(generator)
        rows = like.reshape(-1, like.shape[-1] if like.ndim else 1)
        drawn = [bank.draw(rng, rows.shape[-1], self.rate) for _ in rows]
        return torch.from_numpy(np.stack(drawn)).to(like).reshape(like.shape)

    def recordings(self) -> Bank:
        """The bank's recordings."""
        from hush.noise.bank import load

        return load(self.bank)

    def words(self, sigma: str, scale: float, number: Callable[[float], str]) -> str:
        return f"{sigma} of ECG"

    def spec(self, full_range: float = 1.0) -> str:
        return f"{self.family}:{self.bank}" if self.bank else self.family

    @classmethod
    def read(cls, text: str, full_range: float) -> Self:
        return cls(text.strip())

    @classmethod
    def usage(cls) -> str:
        return f"{cls.family}:[FILE]"

    examples: ClassVar[tuple[str, ...]] = ("ecg",)

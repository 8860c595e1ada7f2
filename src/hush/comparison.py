"""The result of comparing two halves of an item; see `hush.check`, which makes it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

TOLERANCE = 0.1  #: dB by which another method may be nearer than the result
CERTAIN = 3.0  #: standard errors from which on a difference of errors counts
LEAST = 1e-3  #: least error that can be told, relative to the noise
UNSHARED = 0.1  #: share of the visible detail that halves may not share
SEEN = 0.02  #: share of places in which detail has to be visible to be compared


@dataclass(frozen=True)
class Check:
    """What two halves of an item tell, restored apart (`hush.check`); powers in full range 1.

    noise : mean variance of the item's noise; errors : mean squared error of a half by each method,
        the first of which was asked for; doubts : standard errors of their differences to it.
    kept : the method whose result is handed back, the first or a clearly nearer one; what follows
        is about its result.
    visible : share of places in which the result shows fine detail; unshared : share of those in
        which the halves do not agree, so that it comes from noise.
    invented : where they do not agree, bool ``(*S)``; deviation : standard deviation of the error
        of the result, float32 ``(C, *S)``; both only of a check of the whole item.
    """

    noise: float
    errors: Mapping[str, float]
    doubts: Mapping[str, float]
    kept: str
    visible: float
    unshared: float
    invented: np.ndarray | None = None
    deviation: np.ndarray | None = None

    @property
    def method(self) -> str:
        """The method that was asked for."""
        return next(iter(self.errors))

    @property
    def best(self) -> str:
        """The method with the least error; the one asked for, unless another is clearly nearer."""
        own, best = self.errors[self.method], min(self.errors, key=lambda name: self.errors[name])
        apart = own - self.errors[best]
        clearly = apart > CERTAIN * self.doubts[best] and self.gain(best) > TOLERANCE
        return best if clearly else self.method

    def gain(self, name: str) -> float:
        """How much nearer to the signal a method is than the one asked for, in dB."""
        least = LEAST * self.noise
        return 10 * math.log10(max(self.errors[self.method], least) / max(self.errors[name], least))

    def lead(self, name: str) -> float:
        """How much nearer to the signal the result is than a method, in dB."""
        return self.gain(self.kept) - self.gain(name)

    @property
    def detailed(self) -> bool:
        """Whether the result shows enough fine detail to compare."""
        return self.visible > SEEN

    @property
    def invents(self) -> bool:
        """Whether too much of the fine detail comes from noise."""
        return self.kept == self.method and self.detailed and self.unshared > UNSHARED

"""What the volumes of a series are to each other: shells, neighbours, and volumes without signal.

Directions have no sign: a gradient and its opposite give the same signal.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hush.errors import HushError

B0 = 50.0  #: volumes with at most this b-value, in s/mm², count as b = 0
GAP = 0.1  #: b-values closer than this share of the larger one belong to one shell
LEAST_GAP = 30.0  #: and those closer than this, in s/mm²


def directions(table: Any, count: int) -> np.ndarray:
    """Gradient directions ``(C, 3)`` of `count` volumes, given so or as in FSL's files, ``(3, C)``.

    Three by three, each row is a volume. `HushError` for other shapes.
    """
    found = np.asarray(table, np.float64)
    if found.shape == (count, 3):
        return found
    if found.shape == (3, count):
        return np.ascontiguousarray(found.T)
    shape = " × ".join(map(str, found.shape))
    raise HushError(
        f"there are gradient directions of shape {shape} for {count} volumes, and not 3 numbers "
        "for each; give the .bvec file of this series"
    )


@dataclass(frozen=True)
class Series:
    """The volumes of a series by their diffusion weighting.

    bvals : b-values ``(C,)`` in s/mm², or None if unknown: then all volumes are one shell.
    bvecs : unit directions ``(C, 3)``, 0 where there is none, or None.
    b0 : the highest b-value that counts as 0.
    """

    count: int
    bvals: np.ndarray | None = None
    bvecs: np.ndarray | None = None
    b0: float = B0
    shells: tuple[tuple[int, ...], ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "shells", self._shells())

    @classmethod
    def of(cls, count: int, about: Mapping[str, Any]) -> Series:
        """The series of an item with `count` volumes, given its context; `HushError` if it has
        b-values or directions of another number of volumes."""
        bvals, bvecs = about.get("bvals"), about.get("bvecs")
        if bvals is not None:
            bvals = np.asarray(bvals, np.float64).reshape(-1)
            if len(bvals) != count:
                raise HushError(
                    f"there are {len(bvals)} b-values for {count} volumes; give the .bval file of "
                    "this series"
                )
        if bvecs is not None:
            bvecs = np.nan_to_num(directions(bvecs, count))
            length = np.linalg.norm(bvecs, axis=1, keepdims=True)
            bvecs = np.divide(bvecs, length, out=np.zeros_like(bvecs), where=length > 0)
        b0 = about.get("b0")
        return cls(count, bvals, bvecs, B0 if b0 is None else float(b0))

    def only(self, index: np.ndarray) -> Series:
        """The series of some of the volumes, by their indices."""
        bvals = None if self.bvals is None else self.bvals[index]
        bvecs = None if self.bvecs is None else self.bvecs[index]
        return Series(len(index), bvals, bvecs, self.b0)

    @property
    def unweighted(self) -> np.ndarray:
        """Which volumes count as b = 0, bool ``(C,)``; none if the b-values are unknown."""
        if self.bvals is None:
            return np.zeros(self.count, bool)
        weak: np.ndarray = self.bvals <= self.b0
        return weak

    def _shells(self) -> tuple[tuple[int, ...], ...]:
        """Indices of the volumes of each shell, b = 0 first, then by rising b-value."""
        if self.bvals is None:
            return (tuple(range(self.count)),)
        weak = np.flatnonzero(self.unweighted)
        rest = np.flatnonzero(~self.unweighted)
        rest = rest[np.argsort(self.bvals[rest], kind="stable")]
        groups: list[list[int]] = [weak.tolist()] if len(weak) else []
        last: float | None = None
        for i in rest.tolist():
            b = float(self.bvals[i])
            if last is None or b - last > max(LEAST_GAP, GAP * b):
                groups.append([])
            groups[-1].append(i)
            last = b
        return tuple(tuple(sorted(g)) for g in groups)

    def shell_of(self, index: int) -> tuple[int, ...]:
        """The volumes of the shell that volume `index` belongs to, itself among them."""
        return next(s for s in self.shells if index in s)

    def b_of(self, shell: Sequence[int]) -> float:
        """The mean b-value of some volumes; 0 for b = 0, NaN if unknown."""
        if self.bvals is None:
            return float("nan")
        return 0.0 if self.unweighted[shell[0]] else float(self.bvals[list(shell)].mean())

    def nearest(self, index: int, most: int) -> list[int]:
        """Up to `most` other volumes of the same shell, the nearest direction first.

        Without directions, or at b = 0, the nearest in the order of acquisition.
        """
        others = [i for i in self.shell_of(index) if i != index]
        if self.bvecs is None or not self.bvecs[index].any():
            return sorted(others, key=lambda i: (abs(i - index), i))[:most]
        cosine = np.abs(self.bvecs[others] @ self.bvecs[index]) if others else np.zeros(0)
        return [others[i] for i in np.argsort(-cosine, kind="stable")[:most].tolist()]

r"""Shared by methods that add further noise of the noise's own law, which is measured or stated.

A noisy image y has noise of variance v. From it a noisier image z is drawn, whose noise has the
variance (1 + α²)v: Gaussian noise is added, photons are removed at random, as the law accumulates
(`Process.accumulate`). A network sees z only, in training and in use.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeVar

import numpy as np
import torch
from torch import Tensor

from hush.bases.learned import FAST_PACE, Learned, Lessons, Network
from hush.denoiser import Advance, process_of
from hush.errors import HushError
from hush.kinds.arrays import full_of
from hush.kinds.cut import moments, rms_level
from hush.kinds.image.zerofill import as_acquired, reduced
from hush.noise.halves import divisible
from hush.noise.process import Process
from hush.results import Estimate, Restoration

N = TypeVar("N", bound="Noisier")


@dataclass
class Noisier(Learned):
    """Networks that see an image with further noise; a method adds `build` and `loss`.

    The law of the noise is measured in every image, or stated. In training it has the same level in
    all places of an image. In denoising the spectrum is measured even if the level is stated.

    channels, tile : see `hush.bases.learned.Learned`.
    alpha : deviation of the further noise, relative to that of the noise in the image.
    draws : denoising averages over this many draws of the further noise; each takes a pass.
    """

    alpha: float = 0.5
    draws: int = 1

    kinds: ClassVar[tuple[str, ...]] = ("image",)
    pace: ClassVar[Mapping[str, Any]] = FAST_PACE
    applied: ClassVar[tuple[str, ...]] = ("tile", "draws")

    stated_: Process | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.alpha > 0 or self.draws < 1:
            raise HushError(f"{self.name} needs an alpha above 0 and at least one draw")

    def noisier(self, y: Tensor, law: Process, generator: torch.Generator) -> Tensor:
        """z, drawn from the noisy image y ``(C, H, W)``."""
        return law.accumulate(y, 1 + self.alpha**2, generator)[0]

    # -- training --------------------------------------------------------------------------------

    def fit(
        self: N,
        data: Sequence[np.ndarray] | np.ndarray,
        *,
        noise: Process | str | None = None,
        **options: Any,
    ) -> N:
        """See `Learned.fit`. noise : that of all images; by default measured in each of them.

        A text's bare levels are in the first image's units.
        """
        self.stated_ = process_of(noise, full_of(data, self.kind), self.kind)
        if self.stated_ is not None and self.stated_.varies:
            raise HushError("a training takes one level for an image, not a map of levels")
        return super().fit(data, **options)

    def scenes(self, data: Sequence[np.ndarray] | np.ndarray) -> list[np.ndarray]:
        """Images ``(C, 1, H, W)`` on the acquired grid."""
        return [reduced(x)[:, None] for x in self.kind.items(data)]

    def prepared(self, scene: np.ndarray, mean: np.ndarray, deviation: float) -> np.ndarray:
        """The image in its own units, in which the noise has its law."""
        return scene[:, 0]

    def lessons(self, items: Sequence[np.ndarray]) -> Lessons:
        """z and y ``(B, 2·C, h, w)`` of patches, standardised by the moments of their images."""
        laws = [self.stated_ or self.law(x) for x in items]
        if undivided := [p for p in laws if not divisible(p)]:
            raise HushError(
                f"{self.name} cannot add further noise to {undivided[0].family} noise; train mid"
            )
        if max(rms_level(p, x) for p, x in zip(laws, items, strict=True)) <= 0:
            raise HushError(
                f"these {self.kind.nouns[1]} contain no noise to learn from; state it with --noise"
            )
        scales = [moments(x) for x in items]
        means = torch.from_numpy(np.stack([mean for mean, _ in scales]))
        deviations = torch.tensor([d or 1.0 for _, d in scales])[:, None, None, None]

        def drawn(y: Tensor, indices: list[int], generator: torch.Generator) -> Tensor:
            z = torch.stack(
                [self.noisier(s, laws[i], generator) for s, i in zip(y, indices, strict=True)]
            )
            mean, deviation = means[indices].to(y), deviations[indices].to(y)
            return torch.cat([(z - mean) / deviation, (y - mean) / deviation], 1)

        return drawn

    def previewed(self, x: np.ndarray) -> np.ndarray:
        """See `Learned.previewed`; with the noise that was stated."""
        return self.restore(x, self.stated_).data

    # -- denoising -------------------------------------------------------------------------------

    def law(
        self, x: np.ndarray, stated: Process | None = None, found: Estimate | None = None
    ) -> Process:
        """The noise of an image ``(C, H, W)``, the same in all places unless `found` differs."""
        found = found or self.kind.measure([x]).uniform
        return found.told(stated, x.ndim - 1)

    def restore(
        self,
        x: np.ndarray,
        noise: Process | None = None,
        advance: Advance | None = None,
        found: Estimate | None = None,
    ) -> Restoration:
        """The mean over draws of z, the same ones in every call; see `Denoiser.restore`."""
        return as_acquired(self._restore, x, noise, advance, found)

    def _restore(
        self,
        x: np.ndarray,
        noise: Process | None,
        advance: Advance | None,
        found: Estimate | None,
    ) -> Restoration:
        law = self.law(x, noise, found)
        if rms_level(law, x) <= 0:
            return Restoration(x.copy(), law)
        scale = moments(x)
        generator = torch.Generator().manual_seed(0)
        y = torch.from_numpy(np.ascontiguousarray(x))
        share = advance and (lambda done: advance(done / self.draws))
        total = np.zeros_like(x)
        for _ in range(self.draws):
            z = self.noisier(y, law, generator).numpy()
            total += self.predict(z, *scale, share)
        return Restoration(total / np.float32(self.draws), law)

    def one_pass(self) -> Network:
        """Noisier images are drawn at random; raises HushError."""
        raise HushError(
            f"{self.name} draws further noise of the image's own law before every pass and cannot "
            "be exported; blind2unblind can"
        )

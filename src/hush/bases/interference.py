"""Shared by networks that take interference, such as an ECG, out of one channel of a signal.

The network sees the channel at the rate that it was trained for, without its slow drift, with unit
rms. What it removes is brought back to the channel's own rate and subtracted, so that drift, offset
and frequencies above the network's band stay as they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from hush.bases.learned import Learned
from hush.denoiser import Advance, Denoiser, Learns, Window
from hush.errors import HushError
from hush.kinds.cut import moments
from hush.kinds.layout import filled
from hush.kinds.signal.resample import back, multiple, reach, to_rate
from hush.noise.process import Process
from hush.record import Batch, Record
from hush.results import Estimate, Restoration

DRIFT = 1.0  #: the mean over this many seconds is drift
GAINS = 2.0  #: training varies the gain by up to this factor either way


@dataclass
class Subtracting(Learned):
    """A network that is trained on pairs of one channel, with interference and clean.

    `fit` takes a list of pairs, the noisy one first: arrays or Records ``(2, T)``, arrays
    ``(2, C, T)``, or lists of two arrays or Records with the same channels.

    channels : 1; set when fitting. tile : longer channels are denoised in parts of this length.
    rate : samples a second of data that do not state it; by default `model_rate`.
    model_rate : samples a second that the network sees.
    """

    tile: int = 2**15
    rate: float | None = None
    model_rate: float = 1000.0

    kinds: ClassVar[tuple[str, ...]] = ("signal",)
    keeps_range: ClassVar[bool] = False
    learns_from: ClassVar[Learns] = "pairs"
    applied: ClassVar[tuple[str, ...]] = ("tile",)

    def __post_init__(self) -> None:
        if self.channels not in (None, 1):
            raise HushError(f"{self.name} denoises channels one by one; leave channels out")
        self._resampling(self.rate or self.model_rate)
        super().__post_init__()

    # -- what a method adds ----------------------------------------------------------------------

    def removed(self, z: np.ndarray, advance: Advance | None = None) -> np.ndarray:
        """The interference in `z` ``(1, T)``, at `model_rate`, of unit rms."""
        raise NotImplementedError

    def context(self) -> tuple[int, int]:
        """How many samples at `model_rate` `removed` depends on to either side, and the multiple
        at which a part has to begin."""
        raise NotImplementedError

    # -- training --------------------------------------------------------------------------------

    def scenes(self, data: Sequence[np.ndarray] | np.ndarray) -> list[np.ndarray]:
        """Pairs ``(1, 2, T)`` at `model_rate`, the clean channel last.

        Pairs with an empty channel are left out; a gap in either is one in both.
        """
        made = []
        for scene in data:
            found = self._channels(scene)
            half = len(found) // 2
            array = scene.data if isinstance(scene, Record) else scene
            listed = isinstance(scene, list | tuple) or (np.ndim(array) == 3 and len(array) == 2)
            if len(found) != 2 * half or not (half == 1 or (half and listed)):
                raise HushError(
                    f"{self.name} learns from pairs; give it arrays (2, T), a noisy channel and "
                    "then the clean one, or hush train a folder of each (--clean)"
                )
            for (noisy, seen, rate), (clean, also, other) in zip(
                found[:half], found[half:], strict=True
            ):
                if noisy.shape != clean.shape or rate != other:
                    raise HushError("the channels of a pair must have the same length and rate")
                if (known := seen & also).any():
                    pair = np.concatenate([filled(x, known) for x in (noisy, clean)])
                    made.append(self._seen(pair, rate)[None])
        if not made:
            raise HushError("there are no signals with known values to train on")
        return made

    def shown(self, scene: np.ndarray) -> np.ndarray:
        """The noisy channel: when denoising, only it gives the scale."""
        return scene[:, :1]

    def previewed(self, x: np.ndarray) -> np.ndarray:
        """See `Learned.previewed`."""
        return self.replace(rate=None).restore(x).data

    def _channels(self, scene: Any) -> list[tuple[np.ndarray, np.ndarray, float]]:
        """Every channel ``(1, T)`` of a record, an array or a list, where it is known, its rate."""
        if isinstance(scene, list | tuple):
            return [channel for one in scene for channel in self._channels(one)]
        if not isinstance(scene, Record):
            x = np.asarray(scene)
            scene = Record(x, self.kind.axes(x.shape), kind=self.kind.name)
        batch = self.kind.batch(scene)
        return [
            (batch.floats(i), batch.known(i), self._rate(batch.about(i))) for i in range(len(batch))
        ]

    # -- denoising -------------------------------------------------------------------------------

    def restore_item(
        self,
        batch: Batch,
        index: int,
        noise: Process | None = None,
        advance: Advance | None = None,
        found: Estimate | None = None,
    ) -> Restoration:
        """See `Denoiser.restore_item`; the rate is the item's, if it states one."""
        x = filled(batch.floats(index), batch.known(index))
        return Restoration(self._cleaned(x, self._rate(batch.about(index)), found, advance), noise)

    def restore(
        self,
        x: np.ndarray,
        noise: Process | None = None,
        advance: Advance | None = None,
        found: Estimate | None = None,
    ) -> Restoration:
        """See `Denoiser.restore`; the noise does not matter."""
        return Restoration(self._cleaned(x, self._rate({}), found, advance), noise)

    def window(self, about: Mapping[str, Any]) -> Window | None:
        """See `Denoiser.window`."""
        if not self.is_trained:
            return None
        rate = self._rate(about)
        radius, unit = self.context()
        far = reach(rate, self.model_rate, radius + unit) + _drift(rate)
        return Window(far, multiple(rate, self.model_rate, unit))

    def one_pass(self) -> Any:
        """It is not: see `Denoiser.one_pass`."""
        return Denoiser.one_pass(self)

    def _rate(self, about: Mapping[str, Any]) -> float:
        rate: float = about.get("rate") or self.rate or self.model_rate
        return rate

    def _resampling(self, rate: float) -> None:
        multiple(rate, self.model_rate)  # refuses rates that cannot be converted

    def _seen(self, x: np.ndarray, rate: float) -> np.ndarray:
        """Channels ``(C, T)`` without drift at `model_rate`, float32."""
        from scipy.ndimage import uniform_filter1d

        size = 2 * _drift(rate) + 1
        drift = uniform_filter1d(x, size, axis=-1, output=np.float64, mode="reflect")
        return to_rate((x - drift).astype(np.float32), rate, self.model_rate)

    def _cleaned(
        self, x: np.ndarray, rate: float, found: Estimate | None, advance: Advance | None
    ) -> np.ndarray:
        network = self.network  # refuses an untrained method
        assert not network.training
        amplitude = np.float32((found.amplitude if found else 0.0) or moments(x)[1])
        if amplitude == 0:
            return x.copy()
        removed = self.removed(self._seen(x, rate) / amplitude, advance)
        made: np.ndarray = x - amplitude * back(removed, rate, self.model_rate, x.shape[-1])
        return made


def _drift(rate: float) -> int:
    """Half the samples over which the mean is drift."""
    return max(1, round(DRIFT * rate / 2))


def varied(x: Tensor, generator: torch.Generator) -> Tensor:
    """Patches ``(B, …)`` with a random gain and polarity each."""
    shape = (len(x), *[1] * (x.ndim - 1))
    draw = torch.rand((2, *shape), generator=generator, device=x.device)
    return x * GAINS ** (2 * draw[0] - 1) * (2 * draw[1].round() - 1)

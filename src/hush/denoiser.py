"""The contract every method keeps: fit, denoise, save, load.

A method is a dataclass; its constructor is its configuration: the command line's options, the
checkpoint's metadata and a study's row. What it learns ends in an underscore. A method states
`restore` for one image in units of full range; dtype, axes, missing values and clipping are
written here, once.
"""

from __future__ import annotations

import copy
import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import numpy as np

from hush.errors import HushError
from hush.kinds.layout import check_dtype, default_axes, fill_nearest, to_stored
from hush.noise.processes import Process, parse
from hush.record import Batch, Record
from hush.results import Restoration

if TYPE_CHECKING:
    from torch import Tensor, nn


D = TypeVar("D", bound="Denoiser")
Advance = Callable[[float], None]


@dataclass
class Denoiser:
    """Base of all methods."""

    #: the command line's name
    name: ClassVar[str]
    #: one line for ``hush methods``
    summary: ClassVar[str]
    #: the paper it implements
    citation: ClassVar[str]
    #: whether `fit` learns anything
    trained: ClassVar[bool] = False
    #: whether `fit` takes stacks, each of several takes of one scene
    repeats: ClassVar[bool] = False
    #: whether those stacks are pairs, noisy first and clean last
    pairs: ClassVar[bool] = False

    def restore(
        self, x: np.ndarray, noise: Process | None = None, advance: Advance | None = None
    ) -> Restoration:
        """Denoise one image ``(C, H, W)``, float32, finite, in units of full range.

        `noise` is estimated when not given. `advance` is told shares of the work as they end.
        """
        raise NotImplementedError

    def fit(self: D, data: Sequence[np.ndarray] | np.ndarray, **options: Any) -> D:
        """Learn from images; a method without anything to learn returns itself."""
        return self

    def denoise(
        self,
        x: np.ndarray,
        noise: Process | str | None = None,
        *,
        axes: str | None = None,
        strength: float = 1.0,
    ) -> np.ndarray:
        """Denoise an array of any real dtype; same dtype and shape out.

        axes : a letter per dimension (T, Z, C, Y, X, S); by default as `default_axes` says.
        noise : a process in units of full range, or a text such as ``"gaussian:25/255"``.
        strength : share of the estimated noise to remove, 0 to 1.
        """
        x = np.asarray(x)
        check_dtype(x)
        record = Record(x, axes or default_axes(x.shape))
        batch = record.to_batch()
        process = process_of(noise, batch.scale)
        out = np.empty(batch.data.shape, x.dtype)
        for i in range(len(batch)):
            out[i] = self.denoise_item(batch, i, process, strength)[0]
        return record.with_batch(out).data

    def denoise_item(
        self,
        batch: Batch,
        index: int,
        noise: Process | None = None,
        strength: float = 1.0,
        advance: Advance | None = None,
    ) -> tuple[np.ndarray, Restoration]:
        """Item `index` of a batch, denoised, in the stored dtype and range; and how.

        Pixels that are not finite stay as they are and are replaced by their nearest finite
        neighbour for everything else. The spread comes in the stored range, float32, whatever the
        strength; NaN where the pixel is not finite.
        """
        stored = batch.data[index]
        check_dtype(stored)
        x = batch.floats(index)
        valid = np.isfinite(x) if stored.dtype.kind == "f" else np.ones((), bool)
        peak = max(-float(x.min(where=valid, initial=0)), float(x.max(where=valid, initial=0)))
        if peak and not 1e-12 < peak < 1e18:
            raise HushError(
                f"the values go up to {peak:.3g}, where single precision fails; rescale them first"
            )
        whole = bool(valid.all())
        x = x if whole else fill_nearest(x, valid)
        result = self.suited(stored.dtype).restore(x, noise, advance)
        if result.spread is not None:
            spread = np.where(valid, result.spread * np.float32(batch.scale), np.float32(np.nan))
            result = dataclasses.replace(result, spread=spread)
        if strength == 0:  # float32, which everything else is done in, need not hold the values
            return stored.copy(), result
        y = result.data if strength == 1 else x + np.float32(strength) * (result.data - x)
        y = to_stored(y, stored.dtype, batch.scale)
        return (y if whole else np.where(valid, y, stored)), result

    def suited(self: D, dtype: np.dtype[Any]) -> D:
        """This method as it is to run on data stored as `dtype`."""
        return self

    def with_spread(self: D) -> D:
        """This method giving `Restoration.spread` as well; `HushError` where it has none."""
        raise HushError(
            f"{self.name} draws nothing at random and has no uncertainty to tell; a model trained "
            "with --method diffdenoise --set keep=true has"
        )

    def replace(self: D, **changes: Any) -> D:
        """A copy with other settings that shares what was learned."""
        other = copy.copy(self)
        for name, value in changes.items():
            if name not in self.config():
                raise HushError(f"{self.name} has no setting '{name}'")
            setattr(other, name, value)
        return other

    def one_pass(self) -> nn.Module:
        """The network whose one pass over a standardised image is all that `restore` does.

        `HushError` for methods that do anything else: only that can leave hush as one graph.
        """
        raise HushError(
            f"{self.name} is not one pass of one network, and cannot be exported; "
            "diffdenoise, nafnet and others that hush train makes can"
        )

    def to(self: D, device: str) -> D:
        """Run on `device` from now on; a method without tensors has nothing to move."""
        return self

    # -- configuration and files ----------------------------------------------------------

    def config(self) -> dict[str, Any]:
        """The constructor's fields, as JSON can hold them."""
        return {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.init}

    def weights(self) -> Mapping[str, Tensor]:
        """What was learned, as named tensors."""
        return {}

    def load_weights(self, tensors: Mapping[str, Tensor]) -> None:
        """Take back what `weights` gave."""

    @property
    def card(self) -> dict[str, Any]:
        """What is known of the training: data, command, seed, figures, licence."""
        return dict(getattr(self, "card_", {}))

    def save(self, path: str | Path) -> None:
        """Write one safetensors file, its configuration and card as JSON in the header."""
        from safetensors.torch import save

        from hush.io import atomic

        meta = json.dumps({"method": self.name, "config": self.config(), "card": self.card})
        tensors = {k: v.detach().cpu().contiguous() for k, v in self.weights().items()}
        with atomic(Path(path)) as partial:
            partial.write_bytes(save(tensors, metadata={"hush": meta}))


def by_channels(
    restore: Callable[[np.ndarray, Process | None, Advance | None], Restoration],
    channels: int | None,
    x: np.ndarray,
    noise: Process | None,
    advance: Advance | None,
) -> Restoration:
    """`restore` of a model for `channels` channels on any image: a gray one's plane by plane."""
    if len(x) == channels:
        return restore(x, noise, advance)
    if channels != 1:
        raise HushError(
            f"this model was trained on {channels}-channel images and the image has "
            f"{len(x)}; choose a model for {len(x)} channels, or a gray one"
        )
    share = advance and (lambda done: advance(done / len(x)))
    parts = [restore(plane[None], noise, share) for plane in x]
    noisiest = max(parts, key=lambda p: p.step or 0.0)
    spreads = [p.spread for p in parts if p.spread is not None]
    return dataclasses.replace(
        noisiest,
        data=np.concatenate([p.data for p in parts]),
        spread=np.concatenate(spreads) if spreads else None,
    )


def process_of(noise: Process | str | None, scale: float) -> Process | None:
    """The noise that was given, a text's levels being on a scale that ends at `scale`."""
    if isinstance(noise, str):
        return parse(noise, scale)
    if noise is None or isinstance(noise, Process):
        return noise
    raise HushError(f"noise is a text such as 'gaussian:25/255', or a Process, not {noise!r}")

"""The contract every method keeps: fit, denoise, save, load.

A method is a dataclass; its constructor is its configuration: the command line's options, the
checkpoint's metadata and a study's row. What it learns ends in an underscore. A method states
`restore` for one item in units of full range; dtype, axes, missing values, clipping, and what a
level of 0 means are written here, once.
"""

from __future__ import annotations

import copy
import dataclasses
import json
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeVar

import numpy as np

from hush.errors import HushError
from hush.kinds import Kind
from hush.kinds import get as kind_of
from hush.kinds.cut import rms_level, sparse
from hush.kinds.layout import check_dtype, filled, to_stored
from hush.noise.processes import Process, parse
from hush.record import Batch, Record
from hush.results import Estimate, Restoration

if TYPE_CHECKING:
    from torch import Tensor, nn

D = TypeVar("D", bound="Denoiser")
Advance = Callable[[float], None]
Learns = Literal["nothing", "noisy", "takes", "pairs"]

ANY = ("*",)  #: `Denoiser.kinds` of a method for every kind of data
FORMAT = 2  #: of model files; 1 had no version, no kind, and images alone


@dataclass
class Denoiser:
    """Base of all methods."""

    #: the command line's name
    name: ClassVar[str]
    #: one line for ``hush methods``
    summary: ClassVar[str]
    #: the paper it implements
    citation: ClassVar[str]
    #: the kinds of data it denoises, by name
    kinds: ClassVar[tuple[str, ...]] = ("image",)
    #: what `fit` learns from: nothing; noisy data; stacks, each of several takes of one scene; or
    #: such stacks of two, noisy first and clean last
    learns_from: ClassVar[Learns] = "nothing"
    #: whether `steps` is a number of increments, which ``--steps`` changes
    iterates: ClassVar[bool] = False
    #: whether there is `adapt`, for ``--adapt``
    adapts: ClassVar[bool] = False
    #: settings of older model files: former name → today's, or None for one that is gone
    renamed: ClassVar[Mapping[str, str | None]] = {}

    #: the kind of data that this one denoises, of those in `kinds`
    kind_: str = field(default="", init=False, repr=False)

    @classmethod
    def for_kind(cls: type[D], kind: str, **settings: Any) -> D:
        """An untrained one for a kind of data; `HushError` where it is for others."""
        if cls.kinds != ANY and kind not in cls.kinds:
            nouns = " and ".join(kind_of(name).nouns[1] for name in cls.kinds)
            raise HushError(f"{cls.name} denoises {nouns}, not {kind_of(kind).nouns[1]}")
        made = cls(**settings)
        made.kind_ = kind
        return made

    @property
    def kind(self) -> Kind:
        """The kind of data that this one denoises."""
        return kind_of(self.kind_ or next((k for k in self.kinds if k != "*"), "image"))

    @property
    def joint(self) -> int | None:
        """How many channels an item has to have, where a model was trained for some number."""
        return None

    @property
    def increments(self) -> int:
        """In how many steps noise is removed."""
        return 1

    @property
    def is_trained(self) -> bool:
        """Whether there is nothing left to learn before `restore` can be called."""
        return True

    def restore(
        self,
        x: np.ndarray,
        noise: Process | None = None,
        advance: Advance | None = None,
        found: Estimate | None = None,
    ) -> Restoration:
        """Denoise one item ``(C, *S)``, float32, finite, in units of full range.

        `noise` was stated by the user, `found` was measured; a method that needs what it was not
        given measures it. `advance` is told shares of the work as they end.
        """
        raise NotImplementedError

    def restore_item(
        self,
        batch: Batch,
        index: int,
        noise: Process | None = None,
        advance: Advance | None = None,
        found: Estimate | None = None,
    ) -> Restoration:
        """`restore` of item `index`; a method that needs the batch's context overrides it."""
        x = filled(batch.floats(index), batch.known(index))
        return self.restore(x, noise, advance, found)

    def fit(self: D, data: Sequence[np.ndarray] | np.ndarray, **options: Any) -> D:
        """Learn from items; a method without anything to learn returns itself."""
        return self

    def adapt(
        self: D,
        items: Sequence[np.ndarray],
        seconds: float,
        *,
        noise: Process | None = None,
        seed: int = 0,
        advance: Advance | None = None,
    ) -> D:
        """This model after training on `items` ``(C, *S)`` themselves, if that made it better."""
        raise HushError(f"{self.name} cannot adapt to a file; leave --adapt out")

    def step_of(self, x: np.ndarray, found: Estimate) -> float | None:
        """Where an item ``(C, *S)`` stands on the method's ladder, 0 to 1, if it has one."""
        return None

    def denoise(
        self,
        x: np.ndarray,
        noise: Process | str | None = None,
        *,
        axes: str | None = None,
        strength: float = 1.0,
    ) -> np.ndarray:
        """Denoise an array of any real dtype; same dtype and shape out.

        axes : a letter per dimension (T, Z, C, Y, X, S); by default as the kind of data says.
        noise : a process in units of full range, or a text such as ``"gaussian:25/255"``.
        strength : share of the estimated noise to remove, 0 to 1.
        """
        x = np.asarray(x)
        check_dtype(x)
        kind = self.kind
        record = Record(x, axes or kind.axes(x.shape), kind=kind.name)
        batch = self.seen(kind.batch(record))
        process = process_of(noise, batch.scale, kind)
        items = [self.denoise_item(batch, i, process, strength)[0] for i in range(len(batch))]
        made = kind.record(record, np.concatenate(items)).data
        return made.astype(x.dtype, copy=False)  # in the byte order it came in

    def restored(self, x: np.ndarray, noise: Process | None = None) -> np.ndarray:
        """`restore` of an item ``(C, *S)``, channel by channel under a model for one."""
        if noise is not None and rms_level(noise, x) <= 0:
            return x.copy()
        items = self.seen(Batch([x])).data
        return np.concatenate([self.restore(item, noise).data for item in items])

    def seen(self, batch: Batch) -> Batch:
        """The batch as this method sees it: channel by channel under a model for one."""
        channels = len(batch.data[0])
        if self.joint in (None, channels):
            return batch
        if self.joint == 1:
            return batch.channelwise()
        raise HushError(
            f"this model was trained on {self.joint}-channel {self.kind.nouns[1]} and this one has "
            f"{channels} channel{'s' * (channels != 1)}; choose a model for {channels}, or for 1"
        )

    def denoise_item(
        self,
        batch: Batch,
        index: int,
        noise: Process | None = None,
        strength: float = 1.0,
        advance: Advance | None = None,
        found: Estimate | None = None,
    ) -> tuple[np.ndarray, Restoration]:
        """Item `index` of a batch, denoised, in the stored dtype and range; and how.

        Values that are not known stay as they are and are replaced by their nearest known
        neighbour for everything else. A level of 0 leaves the item as it is. The spread comes in
        the stored range, float32, whatever the strength; NaN where the value is not known.
        """
        stored = batch.data[index]
        check_dtype(stored)
        known = batch.known(index)
        whole = bool(known.all())
        low, high = (f(stored, where=known, initial=0) for f in (np.min, np.max))
        peak = max(-float(low), float(high)) / batch.scale
        if peak and not 1e-12 < peak < 1e18:
            raise HushError(
                f"the values go up to {peak:.3g}, where single precision fails; rescale them first"
            )
        if not self.is_trained:
            raise self.untrained()
        given = noise is not None and not noise.varies
        if noise is not None and given and rms_level(noise, _seen(stored, known, batch.scale)) <= 0:
            x = batch.floats(index)
            spread = np.zeros_like(x) if self.spreads else None
            return stored.copy(), Restoration(
                x, noise, 0.0 if self.iterates else None, spread=spread
            )
        method = self.suited(stored.dtype)
        result = method.restore_item(batch, index, noise, advance, found)
        if result.spread is not None:
            spread = np.where(known, result.spread * np.float32(batch.scale), np.float32(np.nan))
            result = dataclasses.replace(result, spread=spread)
        if result.kept is not None:
            return stored[..., result.kept], result
        if strength == 0:  # float32, which everything else is done in, need not hold the values
            return stored.copy(), result
        y = result.data
        if strength != 1:
            x = filled(batch.floats(index), known)
            y = x + np.float32(strength) * (y - x)
        y = to_stored(y, stored.dtype, batch.scale)
        return (y if whole else np.where(known, y, stored)), result

    def suited(self: D, dtype: np.dtype[Any]) -> D:
        """This method as it is to run on data stored as `dtype`."""
        return self

    @property
    def spreads(self) -> bool:
        """Whether `Restoration.spread` is given."""
        return False

    def with_spread(self: D) -> D:
        """This method giving `Restoration.spread` as well; `HushError` where it has none."""
        raise HushError(
            f"{self.name} draws nothing at random, so it has no uncertainty to report; a model "
            "trained with --method diffdenoise --set keep=true has"
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
        """The network whose one pass over a standardised item is all that `restore` does.

        `HushError` for methods that do anything else: only that can leave hush as one graph.
        """
        raise HushError(
            f"{self.name} is not one pass of one network, and cannot be exported; "
            "diffdenoise, nafnet and others that hush train makes can"
        )

    def to(self: D, device: str) -> D:
        """Run on `device` from now on; a method without tensors has nothing to move."""
        return self

    def untrained(self) -> HushError:
        """What to raise where a trained method is needed."""
        return HushError(
            f"this {self.name} has not been trained; call fit, or hush.load a trained model"
        )

    # -- configuration and files ----------------------------------------------------------

    def config(self) -> dict[str, Any]:
        """The constructor's fields, as JSON can hold them."""
        values = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.init}
        return {name: list(v) if isinstance(v, tuple) else v for name, v in values.items()}

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

        meta = json.dumps(
            {
                "format": FORMAT,
                "method": self.name,
                "kind": self.kind.name,
                "config": self.config(),
                "card": self.card,
            }
        )
        tensors = {k: v.detach().cpu().contiguous() for k, v in self.weights().items()}
        with atomic(Path(path)) as partial:
            partial.write_bytes(save(tensors, metadata={"hush": meta}))


def default_axes(shape: tuple[int, ...]) -> str:
    """The axes of an image array: now `hush.kinds.Kind.axes`. This goes with version 0.3."""
    warnings.warn("default_axes is now hush.kinds.get('image').axes", DeprecationWarning, 2)
    return kind_of("image").axes(shape)


def _seen(stored: np.ndarray, known: np.ndarray, scale: float) -> np.ndarray:
    """Known values from all over an item, in units of full range, as an item of its own."""
    return sparse(stored)[sparse(known)][None].astype(np.float64) / scale


def process_of(noise: Process | str | None, scale: float, kind: Kind) -> Process | None:
    """The noise that was given, over the kind's axes; a text's levels on a scale up to `scale`."""
    if isinstance(noise, str):
        noise = parse(noise, scale)
    if noise is None or isinstance(noise, Process):
        return noise and noise.over(len(kind.letters))
    raise HushError(f"noise is a text such as 'gaussian:25/255', or a Process, not {noise!r}")

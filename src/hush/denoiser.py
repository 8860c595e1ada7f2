"""The interface of all methods: fit, denoise, save, load.

A method is a dataclass; its constructor is its configuration, for command-line options, model files
and studies. Names of learned attributes end in an underscore. A method implements `restore` for one
item in units of full range; dtype, axes, missing values, clipping and a level of 0 are handled
here.
"""

from __future__ import annotations

import copy
import dataclasses
import json
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple, TypeVar

import numpy as np

from hush.errors import HushError
from hush.kinds import Kind, listed
from hush.kinds import get as kind_of
from hush.kinds.arrays import held, recorded
from hush.kinds.cut import rms_level, sparse
from hush.kinds.layout import check_dtype, check_span, filled, to_stored
from hush.kinds.ranges import limited, raised, ready
from hush.noise.processes import Process, parse
from hush.record import Batch
from hush.results import Estimate, Restoration

if TYPE_CHECKING:
    from torch import Tensor, nn

D = TypeVar("D", bound="Denoiser")
Advance = Callable[[float], None]


class Window(NamedTuple):
    """What a method's result at one place depends on, along the axis of pieces (`Kind.along`).

    reach : elements to either side; multiple : results are the same only for parts that begin at a
    multiple of this.
    """

    reach: int
    multiple: int = 1


Learns = Literal["nothing", "noisy", "takes", "pairs"]

ANY = ("*",)  #: `Denoiser.kinds` of a method for every kind of data
FORMAT = 2  #: version of model files; 1 had no version and no kind, and was for images only


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
    #: what `fit` learns from: nothing, noisy data, takes (stacks with several takes of one scene),
    #: or pairs (stacks of two, noisy first and clean last)
    learns_from: ClassVar[Learns] = "nothing"
    #: whether noise is removed in `steps`, which ``--steps`` sets
    iterates: ClassVar[bool] = False
    #: whether `adapt` is implemented, for ``--adapt``
    adapts: ClassVar[bool] = False
    #: settings that decide the sizes of its networks, which a training cannot change
    architecture: ClassVar[tuple[str, ...]] = ()
    #: settings of a trained model that denoising reads, which can be changed for it
    applied: ClassVar[tuple[str, ...]] = ()
    #: whether it leaves elements out (`Restoration.kept`)
    selects: ClassVar[bool] = False
    #: whether results stay within the limits of the noisy values; those of a method that takes out
    #: something large, such as a baseline, do not
    keeps_range: ClassVar[bool] = True
    #: how many float32 arrays like an item, or like a piece of it, `restore_item` holds at once,
    #: its input and result among them
    copies: ClassVar[float] = 8
    #: settings in older model files: former name → current one, or None if it was removed
    renamed: ClassVar[Mapping[str, str | None]] = {}

    #: the kind of data that this object denoises, one of `kinds`
    kind_: str = field(default="", init=False, repr=False)

    @classmethod
    def for_kind(cls: type[D], kind: str, **settings: Any) -> D:
        """An untrained instance for a kind of data; `HushError` if the method is for others."""
        if cls.kinds != ANY and kind not in cls.kinds:
            nouns = listed([kind_of(name).nouns[1] for name in cls.kinds])
            raise HushError(f"{cls.name} denoises {nouns}, not {kind_of(kind).nouns[1]}")
        made = cls(**settings)
        made.kind_ = kind
        return made

    @property
    def kind(self) -> Kind:
        """The kind of data that this object denoises."""
        return kind_of(self.kind_ or next((k for k in self.kinds if k != "*"), "image"))

    @property
    def joint(self) -> int | None:
        """The number of channels that the model was trained for; None if any will do."""
        return None

    @property
    def removes(self) -> tuple[str, ...]:
        """Families of noise that only special models remove, this one among them; else none."""
        return ()

    @property
    def increments(self) -> int:
        """The number of steps in which noise is removed."""
        return 1

    @property
    def is_trained(self) -> bool:
        """Whether `restore` can be called."""
        return True

    def restore(
        self,
        x: np.ndarray,
        noise: Process | None = None,
        advance: Advance | None = None,
        found: Estimate | None = None,
    ) -> Restoration:
        """Denoise one item ``(C, *S)``, float32, finite, in units of full range.

        noise : as the user stated it; found : as measured. A method that needs one that is missing
        measures it. advance : called with the share of the work just finished.
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
        """`restore` item `index`; a method that needs the batch's context overrides this."""
        x = filled(batch.floats(index), batch.known(index), batch.blank)
        return self.restore(x, noise, advance, found)

    def window(self, about: Mapping[str, Any]) -> Window | None:
        """What results depend on, given an item's context; None if that is the whole item.

        A kind whose items can be long restores them in pieces by it, so memory stays flat. The
        context of a piece says where it begins in the item: ``batch.about(0)["begin"]``, in
        positions along `Kind.along`; ``["place"]`` and ``["inner"]``, a slice for each axis of
        space, say where it lies, and what of it is wanted. `noise` is cut like the piece; `found`
        as the kind says (`Kind.inside`).
        """
        return None

    def bound(self: D, batch: Batch, index: int, noise: Process | None, found: Estimate) -> D:
        """This method with what it has to know of the whole of item `index`; here the same.

        Called once for every item, before any piece of it is restored, so that maps and fits over
        the whole item do not depend on the pieces. Read the item part by part (`Batch.piece`), and
        return a copy (`copy.copy`).
        """
        return self

    def reviewed(self, x: np.ndarray, found: Estimate) -> Estimate:
        """The measurement of an item ``(C, *S)``, corrected by what this method sees; here not."""
        return found

    def looked(self, batch: Batch, index: int, found: Estimate) -> tuple[Estimate, float | None]:
        """What this method sees in item `index`: its noise, and its step (`step_of`)."""
        x = filled(batch.floats(index), batch.known(index), batch.blank)
        found = self.reviewed(x, found)
        return found, self.step_of(x, found)

    def fit(self: D, data: Sequence[np.ndarray] | np.ndarray, **options: Any) -> D:
        """Learn from items; a method that is not trained returns itself."""
        return self

    def taught(self, channels: int) -> int:
        """How many channels the networks see in a training on data with so many."""
        return channels

    def adapt(
        self: D,
        items: Sequence[np.ndarray],
        seconds: float,
        *,
        noise: Process | None = None,
        seed: int = 0,
        advance: Advance | None = None,
        about: Sequence[Mapping[str, Any]] = (),
    ) -> D:
        """This model after training on `items` ``(C, *S)``; unchanged if that did not help.

        about : the context of each item, such as its rate.
        """
        raise HushError(f"{self.name} cannot adapt to a file; leave --adapt out")

    def step_of(self, x: np.ndarray, found: Estimate) -> float | None:
        """The position of an item ``(C, *S)`` on the method's ladder, 0 to 1; None without one."""
        return None

    def denoise(
        self,
        x: Any,
        noise: Process | str | None = None,
        *,
        axes: str | None = None,
        strength: float = 1.0,
        context: Mapping[str, Any] | None = None,
    ) -> Any:
        """Denoise an array of any real dtype; the result has the same dtype and shape.

        x : or an object of another package; the result is one of the same sort (`hush.foreign`).
        axes : one letter per dimension (T, Z, C, Y, X, S); by default as the kind of data says.
        noise : a process in units of full range, or a text such as ``"gaussian:25/255"``.
        strength : share of the estimated noise to remove, 0 to 1.
        context : as in `Record.context`, such as ``{"rate": 1000}`` for signals.
        """
        own, kind = held(x), self.kind
        record, noise = ready(kind, kind.marked(recorded(own, kind, axes, context)), noise)
        process = process_of(noise, record.scale, kind)
        batch = raised(self.seen(limited(kind, record)), process)
        lows = map(batch.low, range(len(batch)))
        laws = [process.moved(low) if process and low else process for low in lows]
        items = [self.denoise_item(batch, i, laws[i], strength)[0] for i in range(len(batch))]
        made = kind.record(record, items).data
        return own.like(made.astype(own.data.dtype, copy=False))  # with the input's byte order

    # -- scikit-learn's names: rows of ``(n, *S)`` are samples ---------------------------------

    def transform(self, x: np.ndarray) -> np.ndarray:
        """`denoise` samples ``(n, *S)``, each on its own; the result has the same dtype."""
        letters = self.kind.letters
        return self.denoise(x, axes=("C" if self.kind.apart else "Q") + letters)

    def fit_transform(self, x: np.ndarray, y: Any = None, **options: Any) -> np.ndarray:
        """`fit` on samples ``(n, *S)``, and `transform` them."""
        return self.fit(x, **options).transform(x)

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The settings by name."""
        return {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.init}

    def set_params(self: D, **settings: Any) -> D:
        """Change settings in place; `HushError` for one that there is not."""
        for name, value in settings.items():
            if name not in self.get_params():
                raise HushError(f"{self.name} has no setting '{name}'")
            setattr(self, name, value)
        return self

    def restored(self, x: np.ndarray, noise: Process | None = None) -> np.ndarray:
        """`restore` an item ``(C, *S)``, channel by channel with a one-channel model."""
        if noise is not None and noise.stated and rms_level(noise, x) <= 0:
            return x.copy()
        items = self.seen(Batch([x])).data
        return np.concatenate([self.restore(item, noise).data for item in items])

    def seen(self, batch: Batch) -> Batch:
        """The batch as this method sees it: channel by channel with a one-channel model."""
        channels = len(batch.data[0])
        if self.joint in (None, channels):
            return batch
        if self.joint == 1:
            return batch.channelwise()
        raise HushError(
            f"this model was trained on {self.joint}-channel {self.kind.nouns[1]}, but this data "
            f"has {channels} channel{'s' * (channels != 1)}; choose a model for "
            + " or ".join(str(n) for n in sorted({1, channels}, reverse=True))
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
        """Denoise item `index` of a batch; return it in the stored dtype and range, and details.

        Unknown values are kept; the method sees known ones from beside them instead. A level of
        0 leaves the item unchanged. The spread is float32, in the stored range, independent of
        `strength`, and NaN where the value is unknown.
        """
        stored = batch.data[index]
        check_dtype(stored)
        known = batch.known(index)
        if batch.real is np.float32:
            check_span(batch, index, known)
        if len(batch) > 1 and not known.any():  # an empty plane of a stack
            x = batch.floats(index)
            spread = np.full_like(x, np.nan) if self.spreads else None
            return stored.copy(), Restoration(x, noise, spread=spread)
        if not known.any() and not self.kind.selected:
            raise HushError("every value is missing; there is nothing to denoise")
        whole = bool(known.all())
        if not self.is_trained:
            raise self.untrained()
        given = noise is not None and noise.stated and not noise.varies
        if noise is not None and given and rms_level(noise, _seen(batch, index, known)) <= 0:
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
        if self.kind.selected and result.kept is None:  # values are never changed
            return stored.copy(), result
        if strength == 0:  # float32 may not represent the values exactly
            return stored.copy(), dataclasses.replace(result, kept=None)
        if result.kept is not None:
            if not self.selects:
                raise TypeError(f"{self.name} leaves elements out and has to state selects = True")
            return stored[..., result.kept], result
        y = result.data
        if strength != 1:
            x = filled(batch.floats(index), known, batch.blank)
            if result.taken is not None:  # stripes are taken out at any strength
                x = x - result.taken
            y = x + np.float32(strength) * (y - x)
            if result.replaced is not None:  # half an impulse is one still
                y = np.where(result.replaced, result.data, y)
        limits = batch.limits if self.keeps_range and not self.removes else None
        made = to_stored(y, stored.dtype, batch.scale, limits, batch.offset(index))
        rounded = stored.dtype.kind == "f" and (batch.scale != 1 or batch.offset(index) != 0)
        if rounded or not np.can_cast(stored.dtype, batch.real):
            # what is unchanged is so to the last digit
            made = np.where(y == batch.floats(index), stored, made)
        y = made
        return (y if whole else np.where(known, y, stored)), result

    def suited(self: D, dtype: np.dtype[Any]) -> D:
        """This method with the settings for data stored as `dtype`."""
        return self

    def hurried(self: D) -> D | None:
        """This method in about the quality of its results, and faster if it can; here the same.

        None if a few windows would take longer than the item: then they are not checked.
        """
        return self

    @property
    def spreads(self) -> bool:
        """Whether `restore` returns `Restoration.spread`."""
        return False

    def with_spread(self: D) -> D:
        """This method with `Restoration.spread` if it draws samples; else the same, and the
        uncertainty is that of two halves (`hush.check`)."""
        return self

    def replace(self: D, **changes: Any) -> D:
        """A copy with other settings that shares the learned weights."""
        other = copy.copy(self)
        for name, value in changes.items():
            if name not in self.config():
                raise HushError(f"{self.name} has no setting '{name}'")
            setattr(other, name, value)
        return other

    def one_pass(self) -> nn.Module:
        """The network, if `restore` is one pass of it over a standardised item.

        `HushError` for other methods, which cannot be exported as one graph.
        """
        raise HushError(
            f"{self.name} is not a single pass of one network and cannot be exported; "
            "export a trained diffdenoise or nafnet model, for example"
        )

    def to(self: D, device: str) -> D:
        """Run on `device` from now on; does nothing for a method without tensors."""
        return self

    def untrained(self) -> HushError:
        """The error to raise if a trained method is needed."""
        return HushError(
            f"this {self.name} is not trained; call fit, or load a trained model with hush.load"
        )

    # -- configuration and files ----------------------------------------------------------

    def config(self) -> dict[str, Any]:
        """The constructor's fields as values for JSON."""
        values = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.init}
        return {name: list(v) if isinstance(v, tuple) else v for name, v in values.items()}

    def weights(self) -> Mapping[str, Tensor]:
        """The learned weights, as named tensors."""
        return {}

    def load_weights(self, tensors: Mapping[str, Tensor]) -> None:
        """Load what `weights` returned."""

    @property
    def card(self) -> dict[str, Any]:
        """Information about the training: data, command, seed, figures, licence."""
        return dict(getattr(self, "card_", {}))

    def save(self, path: str | Path) -> None:
        """Write one safetensors file with configuration and card as JSON in its header."""
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
    """The axes of an image array; use `hush.kinds.Kind.axes`. Will be removed in version 0.3."""
    warnings.warn("default_axes is now hush.kinds.get('image').axes", DeprecationWarning, 2)
    return kind_of("image").axes(shape)


def _seen(batch: Batch, index: int, known: np.ndarray) -> np.ndarray:
    """Known values, spread over an item, in units of full range, as an item."""
    values = sparse(batch.data[index])[sparse(known)][None]
    return batch.above(index, values) / batch.scale


def process_of(noise: Process | str | None, scale: float, kind: Kind) -> Process | None:
    """The given noise, over the kind's axes; a text's bare levels are in units up to `scale`."""
    if isinstance(noise, str):
        noise = parse(noise, scale)
    if noise is not None and isinstance(noise, Process) and noise.superposed != kind.selected:
        theirs = "outliers:SHARE" if kind.selected else "noise of their values"
        raise HushError(f"{kind.nouns[1]} have {theirs}, not {noise.family}")
    if isinstance(noise, Process) and noise.only not in ("", kind.name):
        raise HushError(f"{noise.family} noise is noise of {noise.only}s, not of {kind.nouns[1]}")
    if noise is None or isinstance(noise, Process):
        return noise and noise.over(len(kind.letters))
    raise HushError(f"noise must be a text such as 'gaussian:25/255' or a Process, not {noise!r}")

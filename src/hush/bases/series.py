"""Shared by methods for volumes: what they see of a series, its noise, and windows to train on."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import numpy as np

from hush.denoiser import Advance, Denoiser
from hush.errors import HushError, missing_package
from hush.kinds.cut import Patches
from hush.kinds.layout import filled
from hush.kinds.volume import places
from hush.kinds.volume.series import Series
from hush.noise.processes import Correlated, Gaussian, NonCentralChi, Process, Rician
from hush.noise.units import fixed
from hush.record import Batch
from hush.results import Estimate, Restoration
from hush.schedule import Schedule
from hush.tiling import BORDER

if TYPE_CHECKING:
    from torch import Tensor

V = TypeVar("V", bound="Trained")
N = TypeVar("N")

AT_ONCE = 8  #: slices that go through a network together


@dataclass(frozen=True)
class Level:
    """The noise's deviation: a number, or a map ``(Z, Y, X)``.

    magnitude : the noise is Rician or non-central χ; `sigma` is that of the real and the imaginary
        part.
    """

    sigma: float | np.ndarray
    magnitude: bool = False

    @property
    def mean(self) -> float:
        """The root of the mean variance."""
        return float(np.sqrt(np.mean(np.square(self.sigma))))


@dataclass(frozen=True, eq=False)
class Seen:
    """A series as methods see it.

    x : ``(C, Z, Y, X)``, float32, finite, in units of full range.
    series : what its volumes are to each other. adjacent : its slices are neighbours.
    empty : voxels that hold the value for no signal in all volumes, bool ``(Z, Y, X)``.
    scale : the stored value that means full range.
    noise : as the user stated it; found : as measured.
    numbers : of the volumes in the whole series, from 1, for sentences.
    """

    x: np.ndarray
    series: Series
    adjacent: bool
    empty: np.ndarray
    scale: float = 1.0
    noise: Process | None = None
    found: Estimate | None = None
    numbers: tuple[int, ...] = ()

    @classmethod
    def of(
        cls,
        batch: Batch,
        index: int,
        noise: Process | None = None,
        found: Estimate | None = None,
    ) -> Seen:
        """Item `index` of a batch, gaps filled."""
        x = filled(batch.floats(index), batch.known(index), batch.blank)
        about = batch.about(index)
        slices = x.shape[1]
        return cls(
            x,
            Series.of(len(x), about),
            slices >= 3 and places.are_adjacent(about, slices),
            (x == np.float32(places.zero_of(about, batch.scale))).all(0),
            batch.scale,
            noise,
            found,
            tuple(range(1, len(x) + 1)),
        )

    def excited(self, about: Mapping[str, Any]) -> np.ndarray:
        """Which volumes have signal, bool ``(C,)``; all if none has."""
        full = {**about, "zero": places.zero_of(about, self.scale)}
        empty, silent = places.without_signal(self.x, full, places.find(self.x, full))
        used = ~(empty | silent)
        return used if used.any() else np.ones_like(used)

    def only(self, used: np.ndarray) -> Seen:
        """These volumes alone."""
        if used.all():
            return self
        at = np.flatnonzero(used)
        numbers = tuple(self.numbers[i] for i in at)
        return replace(self, x=self.x[at], series=self.series.only(at), numbers=numbers)

    @property
    def process(self) -> Process | None:
        """The noise model: as stated, or else as measured."""
        if self.noise is not None and self.noise.stated:
            return self.noise
        if self.found is None:
            return None
        field = self.found.field  # of a large series it covers some slices only
        whole = field is None or tuple(field.shape) == self.x.shape[1:]
        return self.found.local if whole else self.found.process

    @property
    def level(self) -> Level | None:
        """The noise's level: as stated, or else as measured; None without either."""
        return None if self.process is None else level_of(self.process, self.x)

    def moments(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and deviation of each volume's shell where there is signal, ``(C, 1, 1, 1)``."""
        return self._of_shells(lambda v: (float(v.mean()), float(v.std()) or 1.0))

    def span(self) -> tuple[np.ndarray, np.ndarray]:
        """Where the values of each volume's shell lie, but for a few, ``(C, 1, 1, 1)``."""

        def ends(values: np.ndarray) -> tuple[float, float]:
            low, high = np.percentile(values, (0.1, 99.9))
            return float(low), float(high if high > low else low + 1)

        return self._of_shells(ends)

    def _of_shells(
        self, function: Callable[[np.ndarray], tuple[float, float]]
    ) -> tuple[np.ndarray, np.ndarray]:
        out = np.empty((2, len(self.x), 1, 1, 1), np.float32)
        for shell in self.series.shells:
            values = self.x[list(shell)][:, ~self.empty]
            out[:, list(shell)] = np.reshape(function(values), (2, 1, 1, 1, 1))
        return out[0], out[1]

    def slabs(self) -> list[slice]:
        """The parts along z that a method may look at together: all slices, or each alone."""
        z = self.x.shape[1]
        return [slice(0, z)] if self.adjacent else [slice(k, k + 1) for k in range(z)]


def in_patches(
    name: str,
    seen: Seen,
    radius: int,
    run: Callable[[np.ndarray, np.ndarray, slice], np.ndarray],
    advance: Callable[[float], None],
) -> np.ndarray:
    """A series ``(C, Z, Y, X)`` after DIPY's method `run` on patches, slab by slab.

    run : takes a slab ``(X, Y, Z, C)``, the radius along X, Y, Z, and where the slab lies along Z.
    Data with negative values is shifted by its minimum meanwhile, as DIPY clips its result at 0.
    """
    low = np.float32(min(0.0, float(seen.x.min())))
    out, slabs = np.empty_like(seen.x), seen.slabs()
    for slab in slabs:
        part = transposed(seen.x[:, slab] - low)
        sides = radii(part.shape[:3], radius)
        if not sides.any():
            raise HushError(f"{name} needs slices of at least 3 voxels along one axis")
        with quiet():
            out[:, slab] = run(part, sides, slab).transpose() + low
        advance(1 / len(slabs))
    return out


def level_of(noise: Process, x: np.ndarray) -> Level:
    """The level of a process in a series ``(C, Z, Y, X)``; the mean one if it depends on x."""
    process = noise.noise if isinstance(noise, Correlated) else noise
    magnitude = isinstance(process, Rician | NonCentralChi)
    if isinstance(process, Rician | NonCentralChi | Gaussian):
        sigma = np.asarray(fixed(process.sigma), np.float64)
        if sigma.ndim == 4:
            sigma = np.sqrt(np.mean(sigma**2, axis=0))
        if sigma.ndim:
            return Level(np.broadcast_to(sigma, x.shape[1:]), magnitude)
        return Level(float(sigma), magnitude)
    return Level(math.sqrt(float(np.mean(process.variance(x.astype(np.float64))))))


@dataclass
class VolumeMethod(Denoiser):
    """Base of methods for volumes and series; a method writes `denoised`.

    Voxels without signal in all volumes, and voxels that the method gives no finite value, stay as
    they are.
    """

    kinds: ClassVar[tuple[str, ...]] = ("volume",)
    #: the fewest volumes of a series that it works with
    least: ClassVar[int] = 1

    def denoised(self, seen: Seen, advance: Callable[[float], None]) -> Restoration:
        """Denoise a series; `advance` is called with the share of the work just finished."""
        raise NotImplementedError

    def restore(
        self,
        x: np.ndarray,
        noise: Process | None = None,
        advance: Advance | None = None,
        found: Estimate | None = None,
    ) -> Restoration:
        """See `Denoiser.restore`; nothing is known about the volumes."""
        return self.restore_item(Batch([x]), 0, noise, advance, found)

    def restore_item(
        self,
        batch: Batch,
        index: int,
        noise: Process | None = None,
        advance: Advance | None = None,
        found: Estimate | None = None,
    ) -> Restoration:
        """See `Denoiser.restore_item`; `HushError` if there are too few volumes."""
        seen = Seen.of(batch, index, noise, found)
        if len(seen.x) < self.least:
            raise HushError(
                f"{self.name} learns a volume from the others of its series and needs at least "
                f"{self.least} volumes, not {len(seen.x)}; use --method mid, bm4d or nlmeans"
            )
        used = seen.excited(batch.about(index))
        chosen = seen.only(used)
        if chosen.x.min() == chosen.x.max() or len(chosen.x) < self.least:
            return Restoration(seen.x, seen.process)
        made = self.denoised(chosen, advance or (lambda _: None))
        keep = seen.empty | ~np.isfinite(made.data)
        result = seen.x.copy()
        result[used] = np.where(keep, chosen.x, made.data)
        made.data = result
        return made

    def level(self, seen: Seen) -> Level:
        """The noise's level: as stated or measured, or else measured now."""
        return seen.level or level_of(self.kind.measure([seen.x]).process, seen.x)


@dataclass
class Trained(VolumeMethod):
    """Base of methods that train networks on the series itself.

    seconds : of training, of all networks together. steps : of each training instead, so that
    results are repeatable. width : features of the network at full resolution. seed : of all random
    numbers.
    """

    seconds: float = 60.0
    steps: int | None = None
    width: int = 24
    seed: int = 0

    device_: str = field(default="cpu", init=False, repr=False)

    def __post_init__(self) -> None:
        if not (self.seconds > 0 and self.width >= 1 and (self.steps is None or self.steps >= 1)):
            raise HushError(
                f"{self.name} needs more than 0 seconds, and at least 1 step and a width of 1"
            )

    def to(self: V, device: str) -> V:
        """Run on `device` from now on, ``cpu``, ``cuda`` or ``mps``."""
        self.device_ = device
        return self

    def _seeded(self, build: Callable[[], N]) -> N:
        """A network whose first weights depend on the seed only."""
        import torch

        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            return build()

    def schedule(self, share: float, patch: int, batch: int) -> Schedule:
        """The schedule of a training that gets a share of the time."""
        budget = None if self.steps else share * self.seconds
        return Schedule(
            self.steps, budget, batch, patch, validate_every=10**9, seed=self.seed, ema=0.99
        )


class Slices(Patches):
    """Random windows of slices: of some channels of a stack ``(K, Z, Y, X)`` at the same place.

    choose : draws the channels, always as many. side : of a window, in voxels; smaller slices are
    continued by their mirror images.
    """

    def __init__(
        self,
        stack: np.ndarray,
        choose: Callable[[np.random.Generator], Sequence[int]],
        side: int,
    ) -> None:
        self.stack, self.choose, self.size = stack, choose, side

    def draw(self, count: int, rng: np.random.Generator) -> tuple[Tensor, list[int]]:
        """`count` windows ``(count, k, side, side)``, each mirrored at random."""
        import torch

        side, out = self.size, []
        for _ in range(count):
            channels = list(self.choose(rng))
            z, row, column = (
                int(rng.integers(max(1, n - room + 1)))
                for n, room in zip(self.stack.shape[1:], (1, side, side), strict=True)
            )
            window = self.stack[channels, z, row : row + side, column : column + side]
            window = grown(window, (side, side))
            for axis in (1, 2):
                window = np.flip(window, axis) if rng.random() < 0.5 else window
            out.append(window)
        return torch.from_numpy(np.stack(out)), [0] * count


def windows_side(shape: Sequence[int], most: int, multiple: int) -> int:
    """The side of windows of slices ``(Y, X)``: a multiple, at most `most`."""
    return min(-(-n // multiple) * multiple for n in (min(shape), most))


def grown(x: np.ndarray, sides: Sequence[int], before: int = 0) -> np.ndarray:
    """An array ``(…, *S)`` with mirror images before and behind it, until it has these sides."""
    inner = x.shape[-len(sides) :]
    pads = [(before, max(0, n - m - before)) for n, m in zip(sides, inner, strict=True)]
    if not any(map(any, pads)):
        return x
    return np.pad(x, [(0, 0)] * (x.ndim - len(sides)) + pads, mode="symmetric")


def padded(x: np.ndarray, multiple: int, border: int = BORDER) -> np.ndarray:
    """Slices ``(…, Y, X)`` with a border, and sides that are multiples; see `inner`."""
    before = -(-border // multiple) * multiple
    sides = [before + -(-(n + border) // multiple) * multiple for n in x.shape[-2:]]
    return grown(x, sides, before)


def inner(y: np.ndarray, multiple: int, shape: Sequence[int], border: int = BORDER) -> np.ndarray:
    """What `padded` has surrounded."""
    start = -(-border // multiple) * multiple
    rows, columns = (slice(start, start + n) for n in shape[-2:])
    return y[..., rows, columns]


def through(
    network: Any, x: np.ndarray, device: str, advance: Callable[[float], None] = lambda _: None
) -> np.ndarray:
    """A network's outputs for slices ``(N, K, Y, X)``, a few at a time."""
    import torch

    from hush.nets import placed

    placed(network, device).eval()
    out = []
    for start in range(0, len(x), AT_ONCE):
        part = np.ascontiguousarray(padded(x[start : start + AT_ONCE], network.multiple))
        with torch.inference_mode():
            y = network(torch.from_numpy(part).to(device)).float().cpu().numpy()
        out.append(inner(y, network.multiple, x.shape))
        advance(len(part) / len(x))
    return np.concatenate(out)


def share_of(advance: Callable[[float], None], share: float) -> Callable[[float], None]:
    """From a training's finished share, which is absolute, to the share of all work just done."""
    last = 0.0

    def step(done: float) -> None:
        nonlocal last
        advance(share * (done - last))
        last = done

    return step


def transposed(x: np.ndarray) -> np.ndarray:
    """``(C, Z, Y, X)`` as ``(X, Y, Z, C)``, DIPY's order, or back; contiguous."""
    return np.ascontiguousarray(x.transpose())


def radii(shape: Sequence[int], radius: int) -> np.ndarray:
    """The radius of a patch along each axis: `radius`, or what a short axis has room for."""
    return np.array([min(radius, (n - 1) // 2) for n in shape])


@contextmanager
def quiet() -> Iterator[None]:
    """Without DIPY's advice on its parameters, and NumPy's on voxels that are in no patch."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        yield


@contextmanager
def needing(method: str, package: str, extra: str) -> Iterator[None]:
    """Around imports: a missing package gives one sentence that names the extra."""
    try:
        yield
    except ImportError:
        raise missing_package(f"the {package} package", extra, what=method) from None

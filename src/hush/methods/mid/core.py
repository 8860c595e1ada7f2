r"""MID: A Self-supervised Multimodal Iterative Denoising Framework.

A collected sample s_0 is a state within a noise accumulation. Training accumulates further noise
(eqs. 1-3); the step prediction network Ψ learns how far along a state is (eqs. 4-5), the noise
prediction network Φ learns what was added (eqs. 6-7), and denoising goes down the ladder from Ψ's
estimate (algorithm 2).

Where the paper leaves details open, this file does the following.

*What is removed from a collected sample.* Increments with the same law as the existing noise are
exchangeable with it, so with :math:`v_t = a\,v_0`

.. math:: E[s_t - x \mid s_t] = \frac{a}{a-1}\, E[s_t - s_0 \mid s_t].

Φ therefore estimates the *whole* noise, and the training target, the increment, is the share
(a − 1)/a of it: noisy samples suffice. With a corpus of clean data v_0 = 0 and the share is 1.

*Increments in pairs.* The target (a/(a−1))(s_t − s_0) is noisier than the collected sample. Most
of this noise cancels between the states s_0 + Δ and s_0 − Δ with increments of the same law; the
rest of the gradient's noise comes from the collected sample.

*Φ's input.* Not t but the noise's standard deviation, at every value and in every octave of spatial
frequency, from the process and the local mean. Counting noise is stabilised first
(`hush.noise.stabilise`), so that one number is enough for it, too. Both networks are homogeneous
and ignore offsets, so levels and units need no fixed range.

*Ψ's output.* The level per octave in cells of 16 values a side, from which the process and its
spectrum follow. The level relative to the ladder's top gives the step t/T, on the scale of standard
deviations, on which its relative error is uniform. Ψ cannot estimate v_0 of collected data, so the
kind of data measures it, and the level to start from; where its statistics end, Ψ decides.
"""

from __future__ import annotations

import copy
import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from hush.denoiser import ANY, Advance, Denoiser, Learns, process_of
from hush.errors import HushError
from hush.kinds.arrays import full_of
from hush.kinds.cut import Patches, check_channels, hold_out, rms_level, to_compare, withhold
from hush.methods.mid import judging
from hush.methods.mid.contrast import beyond
from hush.methods.mid.distilling import taught_by
from hush.methods.mid.loss import (
    BLUR,
    Ladder,
    Lessons,
    local_mean,
    loss_of,
    spread,
    top_level,
)
from hush.methods.mid.review import reviewed
from hush.methods.mid.step import law_of_cells, seen
from hush.nets import channels_last, placed
from hush.nets.experts import chosen
from hush.nets.values import LevelNet, ValueUNet
from hush.noise.processes import Process, parse
from hush.noise.stabilise import stabilised
from hush.results import Estimate, Restoration
from hush.sampling import walk_down
from hush.schedule import Schedule
from hush.starting import Comparison, begin, gently
from hush.tiling import tiled

M = TypeVar("M", bound="ValueMID")


@dataclass
class ValueMID(Denoiser):
    """MID for values on a grid of any number of axes: iterative noise removal.

    channels : channels of the networks; set from the data when fitting.
    steps : number of increments from the estimated level to zero; 1 removes all at once.
    ladder : noise that `fit(corpus=True)` adds to clean data.
    added : noisy-only training adds up to this multiple of the collected noise's deviation.
    stored : share of corpus samples rounded and clipped like 8-bit files.
    jitter : relative random error of the level given to Φ in training, to tolerate estimates.
    widths, blocks : features and residual blocks at each resolution of Φ.
    tile : side of the tiles in which larger items are denoised.
    level : source of the starting level if none is given: ``"estimate"``, the measurement, or
        ``"step"``, Ψ alone as in the paper.
    below : share of the training states from which Φ has first taken a part of the noise.
    distil : learn to remove at once what the start of the training removes in so many steps.
    step_weight : λ of eq. 9; naive : read algorithm 1 literally, so that nothing is removed.
    """

    channels: int | None = None
    steps: int = 1
    ladder: str = (
        "gaussian:0-55/255|gaussian:0-55/255|poisson:5-60|poisson-gaussian:0.001-0.1/1,0-20/255"
    )
    added: float = 1.0
    stored: float = 0.15
    jitter: float = 0.05
    widths: Sequence[int] = (48, 96, 160)
    blocks: Sequence[int] = (1, 1, 2)
    tile: int = 512
    level: str = "estimate"
    below: float = 0.0
    distil: int = 0
    step_weight: float = 0.1
    naive: bool = False

    name: ClassVar[str] = "mid"
    summary: ClassVar[str] = "iterative removal, trained by adding further noise to noisy data"
    applied: ClassVar[tuple[str, ...]] = ("tile", "level")
    citation: ClassVar[str] = "MID: A Self-supervised Multimodal Iterative Denoising Framework"
    kinds: ClassVar[tuple[str, ...]] = ANY
    learns_from: ClassVar[Learns] = "noisy"
    iterates: ClassVar[bool] = True
    adapts: ClassVar[bool] = True
    architecture: ClassVar[tuple[str, ...]] = ("widths", "blocks")
    power: ClassVar[float] = 1.0  #: the power in `walk_down`
    #: side of the cells in which Ψ estimates the level, and how far its input extends beyond one
    cell: ClassVar[int] = LevelNet.cell
    reach: ClassVar[int] = LevelNet.radius

    networks_: nn.ModuleDict | None = field(default=None, init=False, repr=False)
    top_: float = field(default=55 / 255, init=False, repr=False)
    device_: str = field(default="cpu", init=False, repr=False)
    compared_: Comparison | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise HushError("steps must be at least 1")
        if self.level not in ("estimate", "step"):
            raise HushError(f"level must be 'estimate' or 'step', not '{self.level}'")
        if len(self.widths) != len(self.blocks):
            raise HushError("give as many blocks as widths")
        if self.added <= 0 or not 0 <= self.below <= 1 or min(self.distil, self.step_weight) < 0:
            raise HushError("give added > 0, distil ≥ 0, step_weight ≥ 0; below must be 0 to 1")
        parse(self.ladder)

    # -- what a kind of data may override --------------------------------------------------------

    @property
    def pace(self) -> Mapping[str, Any]:
        """The settings of a training from scratch, for `Schedule.settled`."""
        return {}

    def build(self, channels: int) -> nn.ModuleDict:
        """Ψ and Φ, untrained."""
        rank = len(self.kind.letters)
        noise = ValueUNet(channels, rank, self.widths, self.blocks)
        return nn.ModuleDict({"step": LevelNet(channels, rank), "noise": noise})

    def measured(self, x: np.ndarray) -> Estimate:
        """The noise of one item as used in training."""
        return self.kind.measure([x])

    def prepared(self, x: np.ndarray) -> np.ndarray:
        """A collected item as used in training."""
        return x

    def lessons(self, data: Any, corpus: bool) -> list[np.ndarray]:
        """What the networks are trained on, items ``(C, *S)``."""
        return [x if corpus else self.prepared(x) for x in self.kind.items(data)]

    def cleaned(self, x: np.ndarray, found: Estimate) -> np.ndarray:
        """An item without damage that the ladder does not cover."""
        return x

    def lost(self, x: np.ndarray, state: np.ndarray, noise: Process) -> np.ndarray | None:
        """What must be kept from Φ in an item, which would lose it; None if there is nothing."""
        return beyond(x, state, noise)

    def whole_noise(self, state: Tensor, deviation: Tensor, shares: Tensor, half: bool) -> Tensor:
        """Φ (eq. 7) on a tile, given the noise's deviation at each value and in each octave."""
        noise: Tensor = self._network("noise")(state, deviation, shares)
        return noise.float()

    def widened(self, channels: int) -> dict[str, Tensor]:
        """The weights of this model to start training a model with `channels` channels."""
        if self.networks_ is None or self.channels != channels:
            raise HushError(
                f"training with {channels} channels cannot start from this model; leave --start out"
            )
        return dict(self.networks_.state_dict())

    def thorough(self: M) -> M:
        """This model at its best, however long it takes, as the teacher of `distil`."""
        return self

    def half_precision(self, level: float, x: np.ndarray) -> bool:
        """Whether Φ runs in bfloat16."""
        return False

    # -- training: algorithm 1 -------------------------------------------------------------

    def fit(
        self: M,
        data: Sequence[np.ndarray] | np.ndarray,
        *,
        corpus: bool = False,
        noise: Process | str | None = None,
        start: ValueMID | None = None,
        against: ValueMID | None = None,
        schedule: Schedule | None = None,
        folder: Path | None = None,
        resume: bool = False,
        device: str = "auto",
        progress: bool | None = None,
        **options: Any,
    ) -> M:
        """Train on noisy data, or with ``corpus=True`` on (nearly) clean data.

        data : arrays of any real dtype, Records, or stacks of them.
        noise : the collected noise, for noisy-only training; by default measured for each item.
            A text's bare levels are in the first array's units.
        start : a trained MID to take the initial weights from; a gray image model can start any.
            Unless the schedule states it, the learning rate is then a fifth of the usual one.
        against : a trained MID to compare with on the part held out (`compared_`). If the training
            started from it and is not better in the end, its weights are kept.
        schedule : duration and other settings; by default 10 minutes.
        """
        if options:
            raise TypeError(f"MID.fit has no option {', '.join(options)}")
        items = self.lessons(data, corpus)
        self.channels = self.channels or items[0].shape[0]
        check_channels(items, self.channels)
        schedule = schedule or Schedule(budget=600.0, patch=self.kind.patch)
        multiple = max(self.cell, 2 ** len(self.widths))
        if schedule.patch % multiple:
            raise HushError(f"the patch side must be a multiple of {multiple} {self.kind.element}s")
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(schedule.seed)
            networks = self.networks_ or self.build(self.channels)
        if start is None:
            schedule = schedule.settled(**self.pace)
        else:
            schedule = gently(schedule, folder if resume else None)
            begin(networks, start.widened(self.channels))
        teach = taught_by(start, self.distil) if self.distil else None
        begun = copy.deepcopy(networks.state_dict()) if start and start is against else None
        training, held_out = hold_out(items, schedule.patch)
        held = [] if against is None else withhold(items)[1]
        parts = [] if against is None else to_compare(held or items)

        given: list[Process | None] = [None] * len(training)
        judged: list[Process | None] = [None] * len(held_out)
        laws: list[Process | None] = [None] * len(parts)
        if corpus:
            self.top_ = top_level(parse(self.ladder))
        else:
            stated = process_of(noise, full_of(data, self.kind), self.kind)
            if stated is not None and stated.varies:
                raise HushError("a training takes one level for an item, not a map of levels")
            training, given = self._collected(training, stated)
            held_out, judged = self._collected(held_out, stated)
            parts, laws = self._collected(parts, stated)
            levels = [rms_level(p, x) for p, x in zip(given, training, strict=True) if p]
            if max(levels) <= 0:
                raise HushError(
                    f"these {self.kind.nouns[1]} contain no noise to learn from; state it with "
                    "--noise, or use --corpus to train on clean data"
                )
            self.top_ = max(levels) * math.sqrt(1 + self.added**2)

        from hush.training import train

        if not corpus:  # every collected patch gives two states
            schedule = dataclasses.replace(schedule, batch=-(-(schedule.batch or 1) // 2))
        patches = (self.kind.corpus if corpus else self.kind.patches)(training, schedule.patch)
        self.networks_ = networks
        self.figures_ = train(
            networks,
            self.states(networks, patches, given),
            loss_of(self, networks, teach),
            schedule,
            folder=folder,
            resume=resume,
            validate=lambda: judging.validated(self, networks, held_out, judged),
            preview=lambda path: self._preview(held_out, corpus, path),
            device=device,
            progress=progress,
        )
        if against is not None and parts:
            score = lambda n: judging.losses(self, n, parts, laws)  # noqa: E731
            judging.ended(self, against, score, begun, bool(held), folder)
        return self

    def _collected(
        self, items: Sequence[np.ndarray], stated: Process | None
    ) -> tuple[list[np.ndarray], list[Process | None]]:
        """Collected items without damage, and their noise: as stated, or as measured."""
        seen = [self.measured(x) for x in items]
        clean = [self.cleaned(x, found) for x, found in zip(items, seen, strict=True)]
        return clean, [
            stated or found.law(x.ndim - 1) for found, x in zip(seen, clean, strict=True)
        ]

    def adapt(
        self: M,
        items: Sequence[np.ndarray],
        seconds: float,
        *,
        noise: Process | None = None,
        seed: int = 0,
        advance: Advance | None = None,
        about: Sequence[Mapping[str, Any]] = (),
    ) -> M:
        """This model after noisy-only training of Φ on `items` ``(C, *S)``, or unchanged, unless
        the loss on what is held out of each fell by more than its standard error.
        """
        from hush.methods.mid.adapting import adapted

        return adapted(self, items, seconds, noise=noise, seed=seed, advance=advance)

    def states(
        self, networks: nn.ModuleDict, patches: Patches, given: Sequence[Process | None]
    ) -> Lessons:
        """States to learn from, drawn from patches of items with noise `given` (algorithm 1)."""
        octaves: Any = networks["step"].octaves
        return Lessons(patches, given, self.added_noise(patches.items[0].ndim - 1), octaves)

    def added_noise(self, ndim: int) -> Ladder:
        """What training adds to items of `ndim` axes."""
        return Ladder(parse(self.ladder).over(ndim), self.added, self.stored, self.naive)

    # -- denoising: algorithm 2 ------------------------------------------------------------------

    @property
    def joint(self) -> int | None:
        """See `Denoiser.joint`."""
        return self.channels

    @property
    def increments(self) -> int:
        """See `Denoiser.increments`."""
        return self.steps

    @property
    def is_trained(self) -> bool:
        """See `Denoiser.is_trained`."""
        return self.networks_ is not None

    def restore(
        self,
        x: np.ndarray,
        noise: Process | None = None,
        advance: Advance | None = None,
        found: Estimate | None = None,
    ) -> Restoration:
        """Go down from the measured (or given) level; see `Denoiser.restore`."""
        if self.networks_ is None:
            raise self.untrained()
        found = found or self.reviewed(x, self.measured(x))  # needed even if a level is given
        given, x = x, self.cleaned(x, found)
        replaced = None if x is given else x != given
        process, step = self.estimate(x, noise, found)
        level = rms_level(process, x)
        if level <= 0:
            return Restoration(x.copy(), process, step, replaced=replaced)
        # Counting noise goes down its ladder in values in which it has one level.
        form = stabilised(process)
        values, law = (x, process) if form is None else (form[0](x).astype(np.float32), form[1])
        half = self.half_precision(rms_level(law, values), values)

        def down(s: np.ndarray, tell: Advance | None) -> tuple[np.ndarray, list[dict[str, Any]]]:
            whole = lambda s, left: self.predicted(s, law.scaled(left**2), half, tell)  # noqa: E731
            return walk_down(whole, s, self.steps, self.power)

        state, trace = down(values, advance)
        kept = self.lost(values, state, law)
        if kept is not None:
            state, trace = down(values - kept, None)
            state += kept
        unit = level / rms_level(law, values)
        for entry in trace:
            entry["level"] *= level
            entry["removed_rms"] *= unit
        if form is not None:
            state = form[0].inverse(state)
        return Restoration(state, process, step, trace, replaced=replaced)

    def estimate(
        self, x: np.ndarray, noise: Process | None = None, found: Estimate | None = None
    ) -> tuple[Process, float]:
        """The noise to start from in an item ``(C, *S)``, and its relative step t/T.

        A given `noise` is returned with its step; if it is white and that of the item is not, with
        the item's spectrum. Otherwise the step comes from Ψ, and the noise from the measurement
        `found` unless `level` is ``"step"``.
        """
        if noise is not None:
            noise = noise if found is None else found.told(noise, x.ndim - 1)
            return noise, self._step(noise, x)
        by_step = self.seen_by_step(x)
        step = self._step(by_step, x)
        if self.level == "step":
            return by_step, step
        found = found or self.reviewed(x, self.measured(x))
        return found.law(x.ndim - 1), step

    def _step(self, process: Process, x: np.ndarray) -> float:
        """The position t/T of a process's level on the ladder."""
        return min(1.0, rms_level(process, x) / self.top_)

    def reviewed(self, x: np.ndarray, found: Estimate) -> Estimate:
        """See `Denoiser.reviewed`; Ψ is the judge of noise that statistics cannot see."""
        if self.networks_ is None or self.level == "step":
            return found
        x = self.cleaned(x, found)
        return reviewed(x, found, partial(seen, self._network("step"), self._tensor), self.restore)

    def step_of(self, x: np.ndarray, found: Estimate) -> float:
        """See `Denoiser.step_of`: t/T."""
        return self._step(self.seen_by_step(x := self.cleaned(x, found)), x)

    def seen_by_step(self, x: np.ndarray) -> Process:
        """Ψ's estimate of the noise of an item ``(C, *S)`` (eq. 4)."""
        return law_of_cells(*seen(self._network("step"), self._tensor, x), x.ndim - 1)

    def predicted(
        self,
        s: np.ndarray,
        process: Process,
        half: bool,
        advance: Advance | None = None,
        only: Sequence[slice] | None = None,
    ) -> np.ndarray:
        """Φ's estimate of the whole noise in state `s` ``(C, *S)``, in bfloat16 if `half`; with
        `only`, in a part of it (`hush.tiling.tiled`)."""
        spectrum = spread(process, len(s), self._network("step").octaves, s.ndim - 1)
        network = chosen(self._network("noise"), torch.from_numpy(spectrum)[None])

        def whole(part: np.ndarray) -> np.ndarray:
            state = self._tensor(part)
            with torch.inference_mode():
                if process.varies:  # the tile also contains its part of the map
                    state, deviation = state.chunk(2, 1)
                else:
                    deviation = process.variance(local_mean(state)).sqrt()
                shares = torch.from_numpy(spectrum)[None].to(state.device)
                noise = self.whole_noise(state, deviation, shares, half)[0].cpu().numpy()
            return noise

        if process.varies:
            with torch.inference_mode():
                deviation = process.variance(local_mean(self._tensor(s))).sqrt()
            s = np.concatenate([s, deviation[0].cpu().numpy()])

        return tiled(
            whole,
            s,
            size=self.tile,
            radius=network.radius + BLUR // 2,
            multiple=network.multiple,
            advance=advance and (lambda done: advance(done / self.steps)),
            only=only,
        )

    def to(self: M, device: str) -> M:
        """Run on `device` from now on, ``cpu``, ``cuda`` or ``mps``."""
        self.device_ = device
        if self.networks_ is not None:
            placed(self.networks_, device)
        return self

    def _network(self, name: str) -> Any:
        assert self.networks_ is not None
        return self.networks_[name]

    _preview = judging.preview

    def _tensor(self, x: np.ndarray) -> Tensor:
        # In training, the networks may be elsewhere than on device_.
        place = next(self._network("noise").parameters()).device
        return channels_last(torch.from_numpy(np.ascontiguousarray(x))[None].to(place))

    # -- files -----------------------------------------------------------------------------

    def weights(self) -> Mapping[str, Tensor]:
        if self.networks_ is None:
            raise self.untrained()
        # Half precision halves the file and does not change results.
        half = {k: v.half() for k, v in self.networks_.state_dict().items()}
        return {**half, "top": torch.tensor(self.top_, dtype=torch.float64)}

    def load_weights(self, tensors: Mapping[str, Tensor]) -> None:
        state = {k: v.float() for k, v in tensors.items() if k != "top"}
        assert self.channels is not None
        self.networks_ = self.build(self.channels)
        self.networks_.load_state_dict(state)
        channels_last(self.networks_).eval()
        self.top_ = float(tensors["top"])

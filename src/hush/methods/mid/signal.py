"""MID on signals: white and coloured noise as on any grid, and interference such as an ECG.

Interference has a shape, so Φ estimates it as a whole from the signal alone, and Ψ says which share
of the amplitude it has around each place: where that is next to nothing, nothing is removed
(`hush.methods.mid.interference` has the training). Both work at `model_rate`; the estimate, not the
signal, is brought to the recording's rate, so what lies above the model's band is left alone.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor, nn

from hush.denoiser import Advance, Window
from hush.errors import HushError
from hush.kinds.cut import hold_out, split, splits, to_compare, withhold
from hush.kinds.layout import filled
from hush.kinds.signal import resample
from hush.kinds.values import root_mean_square
from hush.methods.mid.contrast import steps
from hush.methods.mid.core import ValueMID
from hush.methods.mid.interference import (
    Superposition,
    beatless,
    below,
    cleanest,
    interference_loss,
    losses,
    validated,
)
from hush.methods.mid.judging import ended
from hush.nets.wave import InterferenceLevel, WaveUNet
from hush.noise.bank import load
from hush.noise.processes import ECG, Process, parse
from hush.record import Batch
from hush.results import Estimate, Restoration
from hush.sampling import walk_down
from hush.schedule import Schedule
from hush.starting import begin, gently

#: `Schedule` of a training on interference
PACE: Mapping[str, Any] = {"batch": 8, "learning_rate": 2e-3}
#: Ψ's share of the amplitude up to which nothing is removed, and from which on all of it is
RMS = 0.2  #: of signals for the networks that remove noise
PARTS, PART = 64, 1024  #: of a long recording, and samples of each, by which its offset is known
SLOWEST = 100.0  #: samples a second below which a signal has nothing of a beat's band
NONE, ALL = 0.15, 0.3


@dataclass
class SignalMID(ValueMID):
    """MID for signals ``(1, T)``.

    ladder : what training adds: ``"ecg"``, or noise such as ``"gaussian:0-0.1"`` to signals of rms
        0.2, the contrast that images have.
    bank : file with the ECG recordings that training adds; empty: synthetic ones.
    snr : range of the ratio of signal to added ECG in training, in dB.
    lowest : Hz below which a signal has nothing of its own, so that all is interference.
    net : ``"transformer"``, local attention within a convolutional encoder and decoder, or
        ``"unet"``, convolutions alone.
    model_rate : samples a second of the networks for interference.
    rate : samples a second of data that does not say.

    The other settings are `ValueMID`'s.
    """

    ladder: str = (
        "gaussian:0-0.1|gaussian:0-0.1|gaussian:0-0.02|correlated:0-0.05,any|correlated:0-0.1,any"
    )
    bank: str = ""
    snr: Sequence[float] = (-15.0, -5.0)
    lowest: float = 20.0
    net: str = "transformer"
    model_rate: float = 1000.0
    rate: float | None = None

    offset_: float | None = field(default=None, init=False, repr=False)

    kinds: ClassVar[tuple[str, ...]] = ("signal",)
    architecture: ClassVar[tuple[str, ...]] = ("widths", "blocks", "net", "model_rate")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.net not in ("transformer", "unet"):
            raise HushError(f"net must be 'transformer' or 'unet', not '{self.net}'")
        if len(self.snr) != 2 or self.snr[0] > self.snr[1]:
            raise HushError("snr must be two numbers in dB, the lower one first, such as -15,-5")

    @property
    def removes(self) -> tuple[str, ...]:
        """See `Denoiser.removes`."""
        return (ECG.family,) if self.ladder == ECG.family else ()

    def taught(self, channels: int) -> int:
        """See `Denoiser.taught`: one channel at a time."""
        return 1

    # -- networks --------------------------------------------------------------------------------

    def build(self, channels: int) -> nn.ModuleDict:
        """Ψ and Φ, untrained."""
        if not self.removes:
            return super().build(channels)
        if channels != 1:
            raise HushError("interference is removed from one channel at a time")
        return nn.ModuleDict({"step": InterferenceLevel(), "noise": interference_net(self.net)})

    # -- training: algorithm 1 -------------------------------------------------------------------

    def fit(
        self,
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
    ) -> Self:
        """See `ValueMID.fit`. With ``noise="ecg"`` or ``"ecg:FILE"`` it learns to remove ECG.

        Signals are then taken at their own rate, or at `rate`.
        """
        noise = parse(noise) if isinstance(noise, str) else noise
        if isinstance(noise, ECG):
            self.ladder, self.bank = ECG.family, noise.bank or self.bank
        if not self.removes:
            data, unit = self._levelled(data, common=noise is not None)
            return super().fit(
                data,
                corpus=corpus,
                noise=noise and noise.scaled(unit**-2),
                start=start,
                against=against,
                schedule=schedule,
                folder=folder,
                resume=resume,
                device=device,
                progress=progress,
                **options,
            )
        if options:
            raise TypeError(f"MID.fit has no option {', '.join(options)}")
        if noise is not None and not isinstance(noise, ECG):
            raise HushError(f"this model learns to remove ECG, not {noise.family} noise")
        if self.below or self.distil or self.naive:
            raise HushError("below, distil and naive are not for ECG; leave them out")
        self.channels, self.top_ = 1, 1.0
        schedule = schedule or Schedule(budget=600.0)
        if start is not None:
            schedule = gently(schedule, folder if resume else None, **PACE)
        schedule = schedule.settled(**PACE)
        if schedule.patch < LEAST_PATCH:  # the usual ones are too short to hold beats
            schedule = dataclasses.replace(schedule, patch=PATCH)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(schedule.seed)
            networks = self.networks_ or self.build(1)
        if start is not None:
            begin(networks, start.widened(1))
        begun = copy.deepcopy(networks.state_dict()) if start and start is against else None
        items = self._taught(data, corpus)
        training, held_out = hold_out(items, schedule.patch)
        ladder = self._superposition()

        def loss(
            x: Tensor, _: list[int], generator: torch.Generator, done: float
        ) -> Mapping[str, Tensor]:
            return interference_loss(networks, x, ladder, corpus, generator, done)

        from hush.training import train

        self.networks_ = networks
        self.figures_ = train(
            networks,
            self.kind.patches(training, schedule.patch),
            loss,
            schedule,
            folder=folder,
            resume=resume,
            validate=lambda: validated(networks, held_out, ladder, corpus),
            preview=lambda path: self.replace(rate=self.model_rate)._preview(
                [x[:1] for x in held_out], False, path
            ),
            device=device,
            progress=progress,
        )
        held = [] if against is None else withhold(items)[1]
        parts = [] if against is None else to_compare(held or items)
        if against is not None and parts:
            ended(
                self,
                against,
                lambda n: losses(n, parts, ladder, corpus),
                begun,
                bool(held),
                folder,
            )
        return self

    def _levelled(self, data: Any, common: bool) -> tuple[list[np.ndarray], float]:
        """Training items ``(T,)``, see `_normalised`; and the last one's unit."""
        items, unit = _normalised(self.kind.items(data), common)
        return [x[0] for x in items], unit

    def _superposition(self) -> Superposition:
        low, high = self.snr
        return Superposition(load(self.bank), (float(low), float(high)), self.model_rate)

    def _taught(self, data: Any, corpus: bool) -> list[np.ndarray]:
        """Training items ``(3, T)`` at `model_rate`, see `interference_loss`."""
        from hush.record import Record

        items, rates = [], []
        for one in [data] if isinstance(data, Record) else list(data):
            record = one
            if not isinstance(one, Record):
                x = np.asarray(one)
                record = Record(x, self.kind.axes(x.shape), kind=self.kind.name)
            batch = self.kind.batch(record)
            for i in range(len(batch)):
                known = batch.known(i)
                if known.any():
                    items.append(filled(batch.floats(i), known))
                    rates.append(self.rate_of(batch.about(i)))
        made = [self._item(x, rate, corpus) for x, rate in zip(items, rates, strict=True)]
        taught = [x for x in made if x is not None]
        if not taught:
            raise HushError("these signals are constant; give signals with content to train on")
        return taught if corpus else cleanest(taught, self.model_rate)

    def _item(self, x: np.ndarray, rate: float, corpus: bool) -> np.ndarray | None:
        y = resample.to_rate(x, rate, self.model_rate)[0]
        y = y - y.mean()
        level = root_mean_square(y)
        if level == 0 or len(y) < 64:
            return None
        free = np.ones(len(y), bool) if corpus else beatless(y, self.model_rate)
        low = below(y, self.model_rate, self.lowest)
        return np.stack([y / level, free, low / level]).astype(np.float32)

    def lost(self, x: np.ndarray, state: np.ndarray, noise: Process) -> np.ndarray | None:
        """See `ValueMID.lost`; Φ knows no steps."""
        return steps(x, state, noise)

    def adapt(
        self,
        items: Sequence[np.ndarray],
        seconds: float,
        *,
        noise: Process | None = None,
        seed: int = 0,
        advance: Advance | None = None,
        about: Sequence[Mapping[str, Any]] = (),
    ) -> Self:
        """See `ValueMID.adapt`; with ``ecg:FILE`` as the noise, to the recordings in that file."""
        if not self.removes:
            scaled, unit = _normalised(items, common=noise is not None)
            law = noise and noise.scaled(unit**-2)
            return super().adapt(scaled, seconds, noise=law, seed=seed, advance=advance)
        if self.networks_ is None:
            raise self.untrained()
        other = copy.copy(self)
        other.networks_ = copy.deepcopy(self.networks_)
        if isinstance(noise, ECG) and noise.bank:
            other.bank = noise.bank
        rates = [self.rate_of(context) for context in about or [{}] * len(items)]
        made = [
            self._item(channel[None], rate, False)
            for x, rate in zip(items, rates, strict=True)
            for channel in x
        ]
        taught = [x for x in made if x is not None and splits(x)]
        if not taught:
            return self
        training, held_out = zip(*(split(x) for x in taught), strict=True)
        ladder, networks = other._superposition(), other.networks_
        schedule = Schedule(
            budget=seconds, batch=8, patch=PATCH, learning_rate=3e-4, ema=0.99, seed=seed
        )

        def loss(
            x: Tensor, _: list[int], generator: torch.Generator, done: float
        ) -> Mapping[str, Tensor]:
            return interference_loss(networks, x, ladder, False, generator, 1.0)

        from hush.training import train

        before = validated(self.networks_, held_out, ladder, False)
        train(
            networks,
            self.kind.patches(training, PATCH),
            loss,
            schedule,
            device=self.device_,
            progress=False,
            advance=advance,
        )
        after = validated(networks, held_out, ladder, False)
        return other.to(self.device_) if after["val_loss"] < before["val_loss"] else self

    # -- denoising: algorithm 2 ------------------------------------------------------------------

    def rate_of(self, about: Mapping[str, Any]) -> float:
        """Samples a second of an item; `HushError` if nobody says."""
        rate = about.get("rate") or self.rate
        if rate is None:
            raise HushError("nothing says how many samples a second these are; state --rate")
        return float(rate)

    def window(self, about: Mapping[str, Any]) -> Window | None:
        """See `Denoiser.window`."""
        if not self.removes or self.networks_ is None:
            return None
        rate = self.rate_of(about)
        step, noise = self._network("step"), self._network("noise")
        radius = self.steps * max(step.radius + step.cell, noise.radius)
        unit = max(step.cell, noise.multiple)
        return Window(
            resample.reach(rate, self.model_rate, radius),
            resample.multiple(rate, self.model_rate, unit),
        )

    def bound(
        self, batch: Batch, index: int, noise: Process | None, found: Estimate | None
    ) -> SignalMID:
        """See `Denoiser.bound`: with the offset of the whole recording."""
        if not self.removes:
            return self
        count = batch.data[index].shape[-1]
        starts = range(0, count, max(PART, count // PARTS))
        parts = [batch.piece(index, slice(at, at + PART)) for at in starts]
        known = np.concatenate([part.floats(0)[part.known(0)] for part in parts])
        other = copy.copy(self)
        other.offset_ = float(np.median(known)) if known.size else 0.0
        return other

    def restore_item(
        self,
        batch: Batch,
        index: int,
        noise: Process | None = None,
        advance: Advance | None = None,
        found: Estimate | None = None,
    ) -> Restoration:
        """See `Denoiser.restore_item`; a model for interference needs the rate."""
        if not self.removes:
            return super().restore_item(batch, index, noise, advance, found)
        x = filled(batch.floats(index), batch.known(index))
        return self._without(x, self.rate_of(batch.about(index)), noise, advance)

    def restore(
        self,
        x: np.ndarray,
        noise: Process | None = None,
        advance: Advance | None = None,
        found: Estimate | None = None,
    ) -> Restoration:
        """See `Denoiser.restore`."""
        if self.removes:
            return self._without(x, self.rate_of({}), noise, advance)
        found = found or self.measured(x)
        unit = (found.amplitude or root_mean_square(x - x.mean())) / RMS or 1.0
        told = noise and noise.scaled(unit**-2)
        scaled = x / np.float32(unit)
        made = super().restore(scaled, told, advance, _in_units(found, unit))
        for entry in made.trace:
            entry.update({k: unit * entry[k] for k in ("level", "removed_rms")})
        process = made.process and made.process.scaled(unit**2)
        # What was left alone is so to the last digit, as triggers are.
        data = np.where(made.data == scaled, x, made.data * np.float32(unit))
        return dataclasses.replace(made, data=data, process=process)

    def _without(
        self, x: np.ndarray, rate: float, noise: Process | None, advance: Advance | None
    ) -> Restoration:
        """An item ``(1, T)`` without its interference."""
        if self.networks_ is None:
            raise self.untrained()
        if rate < SLOWEST:
            return Restoration(x.copy(), ECG("", 0.0, rate), 0.0)
        # An offset has no ECG, but filters of other rates and the ends would make waves of it.
        offset = np.median(x) if self.offset_ is None else self.offset_
        y = resample.to_rate(x - np.float32(offset), rate, self.model_rate)
        share = self.shares(y)
        told = (lambda done: advance(done / self.steps)) if advance else None

        def whole(s: np.ndarray, left: float) -> np.ndarray:
            if told:
                told(1.0)
            return self.interference(s, share)

        state, trace = walk_down(whole, y, self.steps)
        gone = resample.back(y - state, rate, self.model_rate, x.shape[-1])
        level = root_mean_square(gone)
        bank = noise.bank if isinstance(noise, ECG) else ""
        process = ECG(bank, level, rate)
        return Restoration(x - gone, process, float(np.mean(share)), trace)

    def shares(self, y: np.ndarray) -> np.ndarray:
        """Ψ: the interference's share of the amplitude of ``(1, T)`` around each cell."""
        network = self._network("step")
        padded = np.pad(y, ((0, 0), (0, -y.shape[-1] % network.cell)), mode="edge")
        with torch.inference_mode():
            share: np.ndarray = network(self._tensor(padded))[0].float().cpu().numpy()
        return share

    def interference(self, y: np.ndarray, share: np.ndarray) -> np.ndarray:
        """Φ's estimate for ``(1, T)``, and nothing where Ψ sees nothing."""
        cell, network = self._network("step").cell, self._network("noise")
        # Zeros, which the network would add itself, are a step where a recording drifts.
        padded = np.pad(y, ((0, 0), (0, -y.shape[-1] % network.multiple)), mode="symmetric")
        with torch.inference_mode():
            found: np.ndarray = network(self._tensor(padded))[0].float().cpu().numpy()
        found = found[..., : y.shape[-1]]
        centres = (np.arange(len(share)) + 0.5) * cell
        open_ = np.clip((share - NONE) / (ALL - NONE), 0, 1)
        gate = np.interp(np.arange(y.shape[-1]), centres, open_)
        gated: np.ndarray = found * gate.astype(np.float32)
        return gated

    def reviewed(self, x: np.ndarray, found: Estimate) -> Estimate:
        """See `Denoiser.reviewed`; the constants of that review are for images."""
        return found

    def step_of(self, x: np.ndarray, found: Estimate) -> float:
        """See `Denoiser.step_of`: t/T."""
        if not self.removes:
            unit = (found.amplitude or root_mean_square(x - x.mean())) / RMS or 1.0
            return super().step_of(x / np.float32(unit), _in_units(found, unit))
        return float(np.mean(self.shares(x)))


PATCH = 4096  #: samples of a training window, several beats
LEAST_PATCH = 1024


def _in_units(found: Estimate, unit: float) -> Estimate:
    """A measurement in units of `unit`."""
    return dataclasses.replace(
        found,
        process=found.process.scaled(unit**-2),
        sigma=found.sigma / unit,
        amplitude=found.amplitude / unit,
        channels=tuple(s / unit for s in found.channels),
    )


def interference_net(name: str) -> nn.Module:
    """Φ for interference: a U-Net over frames, with or without local attention."""
    if name == "unet":
        return WaveUNet()
    return WaveUNet((48, 64, 96, 128, 160), (1, 1, 1, 1, 1), attention=3)


__all__ = ["SignalMID", "interference_net"]


def _normalised(items: Sequence[np.ndarray], common: bool) -> tuple[list[np.ndarray], float]:
    """Items of rms `RMS`, or by their `common` rms; and the last one's unit.

    The units of signals mean nothing, but ladders have levels.
    """
    levels = [root_mean_square(x - x.mean()) / RMS or 1.0 for x in items]
    if common:
        levels = [float(np.mean(levels))] * len(items)
    return [x / np.float32(s) for x, s in zip(items, levels, strict=True)], levels[-1]

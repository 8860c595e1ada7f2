r"""MID: A Self-supervised Multimodal Iterative Denoising Framework.

A collected sample s_0 is a state within a noise accumulation; training goes on accumulating
(eqs. 1-3), the step prediction network Ψ learns how far along a state is (eqs. 4-5), the noise
prediction network Φ what was added (eqs. 6-7), and denoising walks the ladder down from Ψ's
answer (algorithm 2).

Where the paper is silent this file does the following.

*What is removed from a collected sample.* Increments that share the law of the noise already
there are exchangeable with it, so with :math:`v_t = a\,v_0`

.. math:: E[s_t - x \mid s_t] = \frac{a}{a-1}\, E[s_t - s_0 \mid s_t].

Φ therefore estimates the *whole* noise, and the increment it is trained on is the share
(a − 1)/a of that: noisy samples suffice. With a corpus of clean data v_0 = 0 and the share is 1.

*Increments in pairs.* The target (a/(a−1))(s_t − s_0) is noisier than the collected sample. Most
of that cancels between the states s_0 + Δ and s_0 − Δ, whose increments have the same law: what
is left of the gradient's noise is the collected sample's own.

*What Φ is told.* Not t but the noise's standard deviation at every pixel, from the process and
the local mean: one number for Gaussian noise, a map for counting noise. Both networks are
homogeneous and blind to offsets, so levels and units carry over from any range to any other.

*What Ψ answers.* The level in cells of 16×16 pixels; a photon transfer line through the cells
gives the process, the mean level relative to the ladder's top the step t/T, on the scale of
standard deviations, where its relative error is even. v_0, which Ψ cannot know of collected
data, comes from `hush.kinds.image.measure.estimation`; so does the level to start from, by default.
"""

from __future__ import annotations

import copy
import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hush.denoiser import Advance, Denoiser, by_channels
from hush.errors import HushError
from hush.kinds.image.cut import (
    check_channels,
    contact_sheet,
    float_images,
    hold_out,
    split,
    splits,
)
from hush.kinds.image.measure.impulses import without_impulses
from hush.kinds.image.measure.small import estimate_any
from hush.kinds.image.measure.transfer import fit_transfer
from hush.kinds.image.zerofill import as_acquired, reduced
from hush.metrics import psnr
from hush.nets.step import StepNet
from hush.nets.unet import NoiseUNet
from hush.noise.processes import Gaussian, OneOf, Process, parse
from hush.precision import bfloat16
from hush.record import full_range
from hush.results import Estimate, Restoration
from hush.sampling import enlarged, halved, walk_down
from hush.schedule import Patches, Schedule
from hush.tiling import tiled, tiles

_LEAST = 0.5  #: smallest noise added in noisy-only training, relative to the most
_FLOOR = 0.5 / 255  # levels below half an 8-bit step are not told apart


@dataclass
class MID(Denoiser):
    """MID for images: iterative removal of Gaussian and counting noise.

    channels : image channels the networks see; taken from the data when fitting.
    steps : increments from the estimated level to zero; 1 removes all at once.
    ladder : noise that `fit(corpus=True)` puts on clean images.
    added : noisy-only training adds up to this multiple of the collected noise's deviation.
    stored : share of corpus samples rounded and clipped as 8-bit files are.
    jitter : spread of the level Φ is told around the true one, so that estimates will do.
    turns : of the symmetries of a square, that many are averaged over when denoising, up to 6.
    level : who tells the level to start from where none is given: ``"estimate"``, that is
        `hush.kinds.image.measure.estimation`, or ``"step"``, Ψ alone as in the paper.
    precision : ``"float32"``; ``"bfloat16"``, that is where the machine is faster with it and the
        noise strong enough to hide its rounding; or ``"auto"``, the latter for stored integers.
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
    turns: int = 2
    level: str = "estimate"
    precision: str = "auto"

    name: ClassVar[str] = "mid"
    summary: ClassVar[str] = "iterative removal, trained by adding further noise to noisy data"
    citation: ClassVar[str] = "MID: A Self-supervised Multimodal Iterative Denoising Framework"
    trained: ClassVar[bool] = True

    networks_: nn.ModuleDict | None = field(default=None, init=False, repr=False)
    top_: float = field(default=55 / 255, init=False, repr=False)
    device_: str = field(default="cpu", init=False, repr=False)

    def __post_init__(self) -> None:
        if self.steps < 1 or not 1 <= self.turns <= len(_SYMMETRIES):
            raise HushError(f"MID needs at least one step and 1 to {len(_SYMMETRIES)} turns")
        if self.level not in ("estimate", "step"):
            raise HushError(f"MID's level comes from 'estimate' or 'step', not '{self.level}'")
        if self.precision not in ("auto", "float32", "bfloat16"):
            raise HushError(
                f"MID's precision is 'auto', 'float32' or 'bfloat16', not '{self.precision}'"
            )
        if self.added <= 0 or len(self.widths) != len(self.blocks):
            raise HushError("MID needs added above 0, and as many blocks as widths")
        parse(self.ladder)

    # -- training: algorithm 1 -------------------------------------------------------------

    def fit(
        self,
        data: Sequence[np.ndarray] | np.ndarray,
        *,
        corpus: bool = False,
        noise: Process | str | None = None,
        start: MID | None = None,
        schedule: Schedule | None = None,
        folder: Path | None = None,
        resume: bool = False,
        device: str = "auto",
        progress: bool = False,
        **options: Any,
    ) -> MID:
        """Train on noisy images, or with ``corpus=True`` on (nearly) clean ones.

        data : arrays ``(H, W)`` or ``(H, W, 3)`` of any real dtype, or stacks of planes.
        noise : the collected noise, for noisy-only training; estimated per image when not given.
            A text's bare levels are in the first image's units.
        start : a trained MID whose weights to begin with; a gray one may start any channels.
        schedule : how long; by default 10 minutes.
        """
        if options:
            raise TypeError(f"MID.fit has no option {', '.join(options)}")
        images = float_images(data)
        if not corpus:
            images = [reduced(x) for x in images]
        self.channels = self.channels or images[0].shape[0]
        check_channels(images, self.channels)
        schedule = schedule or Schedule(budget=600.0)
        multiple = max(StepNet.cell, 2 ** len(self.widths))
        if schedule.patch % multiple:
            raise HushError(f"these networks need patches of a multiple of {multiple} pixels")
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(schedule.seed)
            networks = self.networks_ or self._build()
        if start is not None:
            networks.load_state_dict(_widened(start, self.channels))
        training, held_out = hold_out(images, schedule.patch)

        if corpus:
            self.top_ = _top(parse(self.ladder))
            given: list[Process | None] = [None] * len(training)
        elif noise is not None:
            units = full_range(np.asarray(data[0]).dtype)
            given = [parse(noise, units) if isinstance(noise, str) else noise] * len(training)
        else:
            given = [estimate_any(x).process for x in training]
        if not corpus:
            levels = [_rms_level(p, x) for p, x in zip(given, training, strict=True) if p]
            if max(levels) <= 0:
                raise HushError(
                    "these images show no noise to learn from; give --noise or --corpus"
                )
            self.top_ = max(levels) * math.sqrt(1 + self.added**2)

        def loss(x: Tensor, indices: list[int], generator: torch.Generator) -> Mapping[str, Tensor]:
            return self._loss(networks, x, [given[i] for i in indices], generator)

        judged: list[Process | None] = [None] * len(held_out)
        if not corpus:
            stated = given[0] if noise is not None else None
            judged = [stated or estimate_any(x).process for x in held_out]

        def validate() -> Mapping[str, float]:
            self.networks_ = networks
            return self._validate(networks, held_out, judged)

        from hush.training import train

        if not corpus:  # a collected patch makes two states
            schedule = schedule.settled()
            assert schedule.batch is not None
            schedule = dataclasses.replace(schedule, batch=-(-schedule.batch // 2))
        self.networks_ = networks
        self.figures_ = train(
            networks,
            Patches(training, schedule.patch),
            loss,
            schedule,
            folder=folder,
            resume=resume,
            validate=validate,
            preview=lambda path: self._preview(held_out, corpus, path),
            device=device,
            progress=progress,
        )
        return self

    def adapt(
        self,
        images: Sequence[np.ndarray],
        seconds: float,
        *,
        noise: Process | None = None,
        seed: int = 0,
        advance: Advance | None = None,
    ) -> MID:
        """This model after noisy-only training of Φ on `images` ``(C, H, W)`` themselves.

        A part of every image is kept out of the training. Before and after are compared on it
        under the same further noise; unless the loss there fell by more than its standard
        error, the model comes back as it was. Images with correlated noise are left out.
        """
        assert self.networks_ is not None
        images = [reduced(x) for x in images]
        images = [x for x in images if splits(x)]  # a judge needs a part of its own
        # Added noise of independent pixels has not the law of noise that spans pixels: there the
        # identity fails, and with it the score that is to judge.
        seen = [(x, found) for x in images if not (found := estimate_any(x)).correlated]
        images = [without_impulses(x) if found.impulses else x for x, found in seen]
        processes = [
            self.estimate(x, noise, found)[0] for x, (_, found) in zip(images, seen, strict=True)
        ]
        levels = [_rms_level(p, x) for p, x in zip(processes, images, strict=True)]
        kept = [i for i, level in enumerate(levels) if level > _FLOOR]
        if not kept:
            return self
        schedule = Schedule(budget=seconds, batch=8, learning_rate=2e-4, ema=0.99, seed=seed)
        training, held_out = zip(*(split(images[i]) for i in kept), strict=True)
        processes = [processes[i] for i in kept]
        other = copy.copy(self)
        other.networks_ = copy.deepcopy(self.networks_)
        networks = other.networks_

        def loss(x: Tensor, indices: list[int], generator: torch.Generator) -> Mapping[str, Tensor]:
            parts = self._loss(networks, x, [processes[i] for i in indices], generator)
            return {"noise_loss": parts["noise_loss"]}

        from hush.training import train

        before = self._scores(held_out, processes)
        train(
            networks["noise"],
            Patches(training, schedule.patch),
            loss,
            schedule,
            device=self.device_,
            advance=advance,
        )
        gain = before - other.to(self.device_)._scores(held_out, processes)
        error = gain.std() / math.sqrt(len(gain))
        return other if gain.mean() > error else self

    def _scores(
        self, images: Sequence[np.ndarray], processes: Sequence[Process], draws: int = 8
    ) -> np.ndarray:
        """Φ's noisy-only loss on each image under each of `draws` frozen draws."""
        assert self.networks_ is not None
        scores = []
        for x, process in zip(images, processes, strict=True):
            for draw in range(draws):
                generator = torch.Generator(self.device_).manual_seed(draw)
                with torch.inference_mode():
                    parts = self._loss(self.networks_, self._tensor(x), [process], generator)
                scores.append(float(parts["noise_loss"]) / (_rms_level(process, x) + _FLOOR))
        return np.array(scores)

    def _build(self) -> nn.ModuleDict:
        assert self.channels is not None
        return nn.ModuleDict(
            {
                "step": StepNet(self.channels),
                "noise": NoiseUNet(self.channels, self.widths, self.blocks),
            }
        )

    def _loss(
        self,
        networks: nn.ModuleDict,
        x: Tensor,
        given: Sequence[Process | None],
        generator: torch.Generator,
    ) -> dict[str, Tensor]:
        """Eq. 9 on patches ``(B, C, h, w)``: clean ones where `given` is None, else collected."""
        collected, states, deviations, shares = [], [], [], []
        for s_0, process in zip(x, given, strict=True):
            if process is None:  # corpus: v_0 = 0, one jump to a drawn level
                now = parse(self.ladder).draw(generator)
                s_t, share = now.sample(s_0, generator), 1.0
                if _uniform(generator) < self.stored:
                    s_t = (s_t * 255).round().clamp(0, 255) / 255
                reached: tuple[Tensor, ...] = (s_t,)
            else:  # noisy-only: v_t = a·v_0 (eq. 1)
                a = 1 + (self.added * (_LEAST + (1 - _LEAST) * _uniform(generator))) ** 2
                now, share = process.scaled(a), 1 - 1 / a
                reached = process.accumulate_twice(s_0, a, generator)
            for s_t in reached:
                collected.append(s_0)
                states.append(s_t)
                shares.append(share)
                deviations.append(now.variance(_local_mean(s_t[None]))[0].sqrt())
        s_t = torch.stack(states).contiguous(memory_format=torch.channels_last)
        deviation = torch.stack(deviations)
        shared = torch.tensor(shares, device=x.device)[:, None, None, None]
        added = s_t - torch.stack(collected)  # Δ accumulated since s_0 (eq. 3)

        # Φ (eq. 7), both sides over the added share: the estimate of the whole noise. Squared
        # errors grow with the level about as the level does; dividing by it lets all count.
        told = deviation * torch.exp(self.jitter * _normal_like(shared, generator))
        whole = networks["noise"](s_t, told).float()
        level = deviation.square().mean((1, 2, 3)).sqrt() + _FLOOR
        noise = ((whole - added / shared).square().mean((1, 2, 3)) / level).mean()

        # Ψ (eq. 5): the level in each cell, on a logarithmic scale.
        before = (1 - shared) * deviation.square()
        level = F.avg_pool2d(before + added.square(), StepNet.cell).sqrt()
        told_by_step = networks["step"](s_t).float()
        step = ((told_by_step + _FLOOR) / (level + _FLOOR)).log().square().mean()
        return {"noise_loss": noise, "step_loss": 0.1 * step}

    # -- denoising: algorithm 2 ------------------------------------------------------------

    def restore(
        self, x: np.ndarray, noise: Process | None = None, advance: Advance | None = None
    ) -> Restoration:
        """Walk down from the estimated (or given) level; see `Denoiser.restore`."""
        if self.networks_ is None:
            raise HushError("this MID has not been trained; call fit, or hush.load a model")
        restore = partial(by_channels, self._restore, self.channels)
        return as_acquired(restore, x, noise, advance)

    def _restore(
        self, x: np.ndarray, noise: Process | None, advance: Advance | None
    ) -> Restoration:
        found = estimate_any(x)  # what a given level does not say: impulses, noise spanning pixels
        if noise is not None and _rms_level(noise, x) <= 0:
            return Restoration(x.copy(), noise, 0.0, found=found)
        x = without_impulses(x) if found.impulses else x
        process, step = self.estimate(x, noise, found)
        level = _rms_level(process, x)
        if level <= 0:
            return Restoration(x.copy(), process, step, found=found)
        half = self._half_precision(level, x)
        state, trace = walk_down(
            lambda s, left: self._predict(s, process.scaled(left**2), half, advance),
            x,
            self.steps,
        )
        for entry in trace:
            entry["level"] *= level
        if (found.correlated or not process.white) and min(x.shape[1:]) >= _COARSEST:
            # Both networks know noise of independent pixels. What spans pixels is left over and
            # is nearly that at half the resolution, or at half of that.
            coarse = self._restore(halved(x), None, None).data
            state += enlarged(coarse - halved(state), x.shape)
        return Restoration(state, process, step, trace, found)

    def estimate(
        self, x: np.ndarray, noise: Process | None = None, found: Estimate | None = None
    ) -> tuple[Process, float]:
        """The noise to start from in an image ``(C, H, W)``, and its relative step t/T.

        Given `noise` is returned as it is, with the step that it stands at. Otherwise the step is
        Ψ's, which sees noise of pixels that are independent and stored whole. What the estimator
        `found` (asked here if it was not yet) also knows clipped and correlated noise, and tells
        the level unless `level` is ``"step"``.
        """
        if noise is not None:
            return noise, min(1.0, _rms_level(noise, x) / self.top_)
        seen = self.seen(x)
        step = min(1.0, _rms_level(seen, x) / self.top_)
        if self.level == "step":
            return seen, step
        return (found or estimate_any(x)).process, step

    def seen(self, x: np.ndarray) -> Process:
        """The noise that Ψ sees: a photon transfer line through the levels of its cells."""
        cell = StepNet.cell
        means, variances = [], []
        for window in _windows(*x.shape[1:]):
            part = x[:, window.rows[:, None], window.columns]
            with torch.inference_mode():
                level = self._network("step")(self._tensor(part))[0].float().cpu()
            inner = tuple(slice(s.start // cell, -(-s.stop // cell)) for s in window.crop)
            signal = F.avg_pool2d(torch.from_numpy(part.copy()), cell)
            means.append(signal[:, *inner].flatten().numpy())
            variances.append(level[:, *inner].square().flatten().numpy())
        return fit_transfer(np.concatenate(means), np.concatenate(variances))

    def suited(self, dtype: np.dtype[Any]) -> MID:
        """See `Denoiser.suited`; here ``precision="auto"`` is decided."""
        rounded = self.precision == "auto" and dtype.kind in "iu"
        return self.replace(precision="bfloat16") if rounded else self

    def _half_precision(self, level: float, x: np.ndarray) -> bool:
        """Whether Φ runs in bfloat16, whose rounding is of the order of 0.4 % of an edge.

        With noise of a fifth of the image's own spread that costs under 0.01 dB; faint noise on
        a strong picture would drown in it.
        """
        enough = level > 0.2 * float(_sparse(x).std())
        return self.precision == "bfloat16" and enough and bfloat16(self.device_)

    def _predict(
        self,
        s: np.ndarray,
        process: Process,
        half: bool = False,
        advance: Advance | None = None,
    ) -> np.ndarray:
        """Φ's estimate of the whole noise in state `s` ``(C, H, W)``, in bfloat16 if `half`."""
        network = self._network("noise")
        symmetries = _SYMMETRIES[: max(1, self.turns)]

        def whole(part: np.ndarray) -> np.ndarray:
            state = self._tensor(part)
            total = torch.zeros_like(state)
            faster = torch.autocast(state.device.type, torch.bfloat16, enabled=half)
            with torch.inference_mode():
                deviation = process.variance(_local_mean(state)).sqrt()
                with faster:
                    for turn in symmetries:
                        total += turn(network(turn(state), turn(deviation)))
            return (total / len(symmetries))[0].cpu().numpy()

        share = advance and (lambda done: advance(done / self.steps))
        return tiled(
            whole,
            s,
            size=self.tile,
            radius=network.radius + _BLUR // 2,
            multiple=network.multiple,
            advance=share,
        )

    def to(self, device: str) -> MID:
        """Run on `device` from now on, ``cpu`` or ``cuda``."""
        self.device_ = device
        if self.networks_ is not None:
            self.networks_.to(device)
        return self

    def _network(self, name: str) -> Any:
        assert self.networks_ is not None
        return self.networks_[name]

    def _tensor(self, x: np.ndarray) -> Tensor:
        place = next(self._network("noise").parameters()).device  # while training, not device_
        tensor = torch.from_numpy(np.ascontiguousarray(x))[None].to(place)
        return tensor.contiguous(memory_format=torch.channels_last)

    # -- judging a training ----------------------------------------------------------------

    def _validate(
        self,
        networks: nn.ModuleDict,
        held_out: Sequence[np.ndarray],
        processes: Sequence[Process | None],
    ) -> Mapping[str, float]:
        """Held-out PSNR at σ = 25/255 (corpus), or the loss under frozen noise (noisy only)."""
        device = next(networks.parameters()).device
        generator = torch.Generator(device).manual_seed(0)
        if None not in processes:
            with torch.inference_mode():
                losses = [
                    self._loss(networks, torch.from_numpy(x)[None].to(device), [process], generator)
                    for x, process in zip(held_out, processes, strict=True)
                    for _ in range(4)
                ]
            return {"val_loss": float(np.mean([float(part["noise_loss"]) for part in losses]))}
        scores = []
        for x in held_out:
            clean = torch.from_numpy(x)[None].to(device)
            noisy = parse("gaussian:25/255").sample(clean, generator)
            with torch.inference_mode():
                noise = networks["noise"](noisy, torch.full_like(noisy, 25 / 255)).float()
            scores.append(psnr((noisy - noise)[0].cpu().numpy(), x))
        return {"psnr": float(np.mean(scores))}

    def _preview(self, held_out: Sequence[np.ndarray], corpus: bool, path: Path) -> None:
        """Before above after, for up to four held-out crops."""
        before = list(held_out[:4])
        if corpus:
            generator = torch.Generator().manual_seed(0)
            noise = parse("gaussian:25/255")
            before = [noise.sample(torch.from_numpy(x), generator).numpy() for x in before]
        contact_sheet(before, [self._restore(x, None, None).data for x in before], path)

    # -- files -----------------------------------------------------------------------------

    def config(self) -> dict[str, Any]:
        return {**super().config(), "widths": list(self.widths), "blocks": list(self.blocks)}

    def weights(self) -> Mapping[str, Tensor]:
        if self.networks_ is None:
            raise HushError("this MID has not been trained; there is nothing to save")
        # Half precision halves the file and moves no figure.
        half = {k: v.half() for k, v in self.networks_.state_dict().items()}
        return {**half, "top": torch.tensor(self.top_, dtype=torch.float64)}

    def load_weights(self, tensors: Mapping[str, Tensor]) -> None:
        state = {k: v.float() for k, v in tensors.items() if k != "top"}
        self.networks_ = self._build()
        self.networks_.load_state_dict(state)
        self.networks_.to(memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
        self.top_ = float(tensors["top"])


def _widened(gray: MID, channels: int) -> dict[str, Tensor]:
    """Weights of a MID as a start for `channels` channels: each treated like their mean."""
    if gray.networks_ is None or gray.channels not in (1, channels):
        raise HushError(f"a training of {channels} channels cannot start from this model")
    state = dict(gray.networks_.state_dict())
    copies = channels // (gray.channels or 1)
    for key in ("step.head.weight", "noise.head.weight"):  # (width, groups × 4 sub-pixels, 3, 3)
        per_channel = state[key].unflatten(1, (-1, 1, 4))
        state[key] = per_channel.repeat(1, 1, copies, 1, 1, 1).flatten(1, 3) / copies
    for key in ("noise.tail.weight", "step.fully_connected.2.weight"):
        state[key] = state[key].repeat(copies, *[1] * (state[key].ndim - 1))
    return state


#: symmetries of a square that are their own inverse
_SYMMETRIES: list[Callable[[Tensor], Tensor]] = [
    lambda x: x,
    lambda x: x.flip(2, 3),
    lambda x: x.flip(3),
    lambda x: x.flip(2),
    lambda x: x.transpose(2, 3),
    lambda x: x.flip(2, 3).transpose(2, 3),
]

_BLUR = 9
_COARSEST = 64  #: pixels; smaller images are not looked at again at half the resolution


def _local_mean(s: Tensor) -> Tensor:
    """Mean over 9×9 pixels, for the level that goes with the signal; same shape."""
    return F.avg_pool2d(F.pad(s, [_BLUR // 2] * 4, mode="replicate"), _BLUR, stride=1)


def _rms_level(process: Process, x: np.ndarray) -> float:
    """Root mean variance of the process over an image's signal."""
    return math.sqrt(float(np.mean(process.variance(_sparse(x).astype(np.float64)))))


def _sparse(x: np.ndarray) -> np.ndarray:
    """Some 256 rows and columns of an image, evenly spread; all of a small one."""
    return x[:, :: max(1, x.shape[1] // 256), :: max(1, x.shape[2] // 256)]


def _top(ladder: Process) -> float:
    """The highest level of a training ladder at mid-gray."""
    choices = ladder.choices if isinstance(ladder, OneOf) else (ladder,)
    gaussian = [p.sigma for p in choices if isinstance(p, Gaussian)]
    return max(float(s[1] if isinstance(s, tuple) else s) for s in gaussian) if gaussian else 0.5


def _windows(height: int, width: int, size: int = 256, most: int = 64) -> list[Any]:
    """Windows that Ψ looks at: all of a small image, an even choice from a large one."""
    every = list(tiles(height, width, size, StepNet.radius, StepNet.cell, border=StepNet.cell))
    return every[:: -(-len(every) // most)]


def _uniform(generator: torch.Generator) -> float:
    return float(torch.rand((), generator=generator, device=generator.device))


def _normal_like(x: Tensor, generator: torch.Generator) -> Tensor:
    return torch.randn(x.shape, generator=generator, device=x.device)

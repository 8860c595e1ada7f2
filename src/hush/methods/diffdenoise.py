r"""DiffDenoise: Self-Supervised Medical Image Denoising with Conditional Diffusion Models.

B. Demir, Y. Liu, X. Chen et al., from noisy images x' alone, in four stages:

1. a blind-spot network learns the condition, x_c = BSN(x') (§3.2);
2. a diffusion model learns the noisy images given the condition (§3.3, eqs. 1 and 2);
3. the two samples that start from ε and −ε are averaged (§3.4, eqs. 3 and 4);
4. a fast network learns to go from x' to that average at once (§3.6).

Where the paper is silent, or was found to fail, this file does the following.

*The condition leaks.* Every pixel of x_c is blind to its own noise, but its neighbours saw it: the
map from x' to x_c is nearly invertible, a diffusion model learns the inverse, and no average of its
samples is rid of noise that the condition carries. Here the model is scored at some pixels only,
on a grid, and its condition made from an image in which these (with their whole blind spot) were
filled in from around: there is nothing to invert. Sampling uses the full blind-spot output.
`leak` measures what is left by known noise added to the input; training fails where it is much.

*The centre pixel.* No blind spot uses the pixel it answers for. With its noise σ² known and
:math:`v = E (x' - \hat x)^2 = \sigma^2 + Var(x | x_c)` taken over a neighbourhood, the linear
posterior mean is :math:`\hat x + (1 - \sigma^2/v)(x' - \hat x)`: what the student learns.

*Units.* Networks see images of mean 0 and deviation 1.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hush.collection import float_images, hold_out, moments
from hush.denoiser import Advance, Denoiser, Restoration, by_channels
from hush.errors import HushError
from hush.nets.diffusion import DiffusionUNet
from hush.nets.lgbpn import LGBPN
from hush.nets.nafnet import NAFNet
from hush.nets.puca import PUCA
from hush.noise.process import Process
from hush.noise.small import estimate_any
from hush.sampling import cosine_signal, symmetric_pair
from hush.schedule import Patches, Schedule
from hush.tiling import tiled

FEWEST = 4  #: images, or as many patches of one
LEAKS = 0.5  #: correlation from which on the samples are said to carry the input's noise
_SIGNAL = cosine_signal()
#: share of the training that each stage gets; sampling the pairs comes on top
_SHARES = {"blind-spot": 0.3, "diffusion": 0.4, "student": 0.3}


@dataclass
class DiffDenoise(Denoiser):
    """DiffDenoise for images; what is left of a training is one small NAFNet.

    channels : image channels the networks see; taken from the data when fitting.
    blind : side of the blind spot: 1 for independent noise (PUCA), 5 or 9 for noise correlated
        by a kernel of σ 0.5 or 1.2 (LG-BPN).
    steps : DDIM steps of each sample.
    output : what `restore` gives: ``"student"``; or, of a model with all its stages, ``"pair"``,
        ``"single"``, ``"condition"`` or ``"posterior"``.
    keep : all stages stay in the model; by default the student alone does.
    tile : pixels; larger images are denoised in tiles of that side.
    """

    channels: int | None = None
    blind: int = 1
    steps: int = 20
    output: str = "student"
    keep: bool = False
    tile: int = 512

    name: ClassVar[str] = "diffdenoise"
    summary: ClassVar[str] = "blind spot, diffusion, symmetric pair; distilled into one network"
    citation: ClassVar[str] = (
        "DiffDenoise: Self-Supervised Medical Image Denoising with Conditional Diffusion Models"
    )
    trained: ClassVar[bool] = True

    networks_: nn.ModuleDict | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        if self.output not in _OUTPUTS:
            raise HushError(f"the output is one of {', '.join(_OUTPUTS)}, not '{self.output}'")
        if self.blind not in (1, 5, 9):
            raise HushError(f"the blind spot is 1, 5 or 9 pixels wide, not {self.blind}")

    # -- training ----------------------------------------------------------------------------

    def fit(
        self,
        data: Sequence[np.ndarray] | np.ndarray,
        *,
        schedule: Schedule | None = None,
        folder: Path | None = None,
        resume: bool = False,
        device: str = "auto",
        progress: bool = False,
        **options: Any,
    ) -> DiffDenoise:
        """All stages on noisy images, arrays ``(H, W)`` or ``(H, W, 3)`` of any real dtype.

        schedule : of all stages together; by default 2 hours. A run that is resumed goes on with
            the stage, and within it the step, where it stopped.

        Raises `HushError` where there are too few images, or where the samples carry the noise
        of their input.
        """
        if given := [name for name, value in options.items() if value]:
            raise HushError(f"diffdenoise learns from noisy images alone, without {given[0]}")
        images = float_images(data)
        self.channels = self.channels or len(images[0])
        if any(len(x) != self.channels for x in images):
            raise HushError("training images must share one number of channels")
        schedule = schedule or Schedule(budget=7200.0)
        area = sum(x[0].size for x in images)
        if len(images) < FEWEST and area < FEWEST * schedule.patch**2:
            raise HushError(
                f"{len(images)} images of {area} pixels are too few to learn from; give at least "
                f"{FEWEST}, or one of {FEWEST * schedule.patch**2} pixels"
            )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(schedule.seed)
            networks = self.networks_ = self._build(every=True)
        levels = [estimate_any(x).process for x in images]
        seen = [_standard(x)[0] for x in images]
        stages = _Stages(schedule, folder, resume, device, progress)

        blind: Any = networks["blind-spot"]
        stages.run("blind-spot", blind, seen, lambda x, _, g: _blind_loss(blind, x))

        diffusion: Any = networks["diffusion"]
        stages.run(
            "diffusion",
            diffusion,
            seen,
            lambda x, _, g: self._diffusion_loss(diffusion, blind, x, g),
        )
        self.to("cuda" if device != "cpu" and torch.cuda.is_available() else "cpu")
        self._check_leak(seen, levels, images)

        targets = [
            stages.once(f"pair-{i:04d}", lambda i=i: self._posterior(images[i], levels[i]))  # type: ignore[misc]
            for i in range(len(images))
        ]
        both = [
            np.concatenate([x, (target - mean) / scale])
            for (x, mean, scale), target in zip(map(_standard, images), targets, strict=True)
        ]
        self.to("cpu")
        student: Any = networks["student"]
        figures = stages.run("student", student, both, lambda x, _, g: _student_loss(student, x))
        self.figures_ = stages.spent | figures | {"leak": round(self.leak_, 3)}
        if not self.keep:
            self.networks_ = nn.ModuleDict({"student": student})
        return self

    def _build(self, every: bool) -> nn.ModuleDict:
        assert self.channels is not None
        networks: dict[str, nn.Module] = {"student": NAFNet(self.channels)}
        if every:
            spot = PUCA(self.channels) if self.blind == 1 else LGBPN(self.channels, self.blind)
            networks |= {"blind-spot": spot, "diffusion": DiffusionUNet(self.channels)}
        return nn.ModuleDict(networks)

    def _diffusion_loss(
        self, network: DiffusionUNet, blind: nn.Module, x: Tensor, generator: torch.Generator
    ) -> Mapping[str, Tensor]:
        """Eq. 2, at pixels that the condition knows nothing of."""
        scored, filled = _hidden(x, self.blind, generator)
        with torch.no_grad():
            condition = blind.to(x.device)(filled).float()
        time = torch.randint(len(_SIGNAL), (len(x),), generator=generator, device=x.device)
        signal = torch.from_numpy(_SIGNAL).to(x)[time.cpu()][:, None, None, None]
        noise = torch.randn(x.shape, generator=generator, device=x.device)
        state = signal.sqrt() * x + (1 - signal).sqrt() * noise  # eq. 1
        error = (network(state, condition, time).float() - noise).abs()
        return {"diffusion_loss": (error * scored).sum() / (scored.sum() * x[:, :, 0, 0].numel())}

    def _check_leak(
        self, seen: Sequence[np.ndarray], levels: Sequence[Process], images: Sequence[np.ndarray]
    ) -> None:
        crops = [x[:, :96, :96] for x in seen[:4]]
        sizes = [_rms(p, i) / _standard(i)[2] for p, i in zip(levels, images[:4], strict=False)]
        self.leak_ = float(np.mean([self.leak(x, s) for x, s in zip(crops, sizes, strict=True)]))
        if self.leak_ > LEAKS:
            raise HushError(
                f"the samples carry the input's noise (correlation {self.leak_:.2f}); "
                "train longer, or with a larger --set blind where pixels share their noise"
            )

    def leak(self, x: np.ndarray, sigma: float, seed: int = 0) -> float:
        """Correlation of the pair's change with known noise put on its input, high frequencies.

        x : standardised image ``(C, H, W)``; sigma : its noise's deviation; a quarter is added.
        """
        z = np.random.default_rng(seed).standard_normal(x.shape).astype(np.float32)
        change = self._pair(x + 0.25 * (sigma + 1e-3) * z, seed) - self._pair(x, seed)
        a, b = _high(change).ravel(), _high(z).ravel()
        return float(np.corrcoef(a, b)[0, 1]) if a.any() else 0.0

    # -- denoising ---------------------------------------------------------------------------

    def restore(
        self, x: np.ndarray, noise: Process | None = None, advance: Advance | None = None
    ) -> Restoration:
        """See `Denoiser.restore`; the noise matters for ``output="posterior"`` only."""
        if self.networks_ is None:
            raise HushError("this DiffDenoise has not been trained; call fit, or hush.load a model")
        if self.output != "student" and "diffusion" not in self.networks_:
            raise HushError(f"'{self.output}' needs all stages; train with --set keep=true")
        if not moments(x)[1] or (noise is not None and not np.any(noise.variance(x))):
            return Restoration(x.copy(), noise)  # nothing but a constant, or no noise
        return by_channels(self._restore, self.channels, x, noise, advance)

    def _restore(
        self, x: np.ndarray, noise: Process | None, advance: Advance | None
    ) -> Restoration:
        if self.output == "posterior":
            noise = noise or estimate_any(x).process
            data = self._posterior(x, noise)
        else:
            seen, mean, scale = _standard(x)
            data = mean + scale * getattr(self, f"_{self.output}")(seen)
        if advance:
            advance(1.0)
        return Restoration(data.astype(np.float32), noise)

    def _student(self, seen: np.ndarray) -> np.ndarray:
        return self._pooled(seen, self._network("student"))

    def _condition(self, seen: np.ndarray) -> np.ndarray:
        network = self._network("blind-spot")
        if self.blind == 1:
            return self._pooled(seen, network)
        # Tiles reflect the border, and would show a pixel there its own mirror image.
        with torch.inference_mode():
            whole: np.ndarray = network(self._tensor(seen)).float()[0].cpu().numpy()
        return whole

    def _single(self, seen: np.ndarray, seed: int = 0) -> np.ndarray:
        return self._samples(seen, seed)[0]

    def _pair(self, seen: np.ndarray, seed: int = 0) -> np.ndarray:
        """Eqs. 3 and 4."""
        plus, minus = self._samples(seen, seed)
        return (plus + minus) / 2

    def _samples(self, seen: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """The pair, in tiles; its noise is drawn for the whole field, so that tiles agree."""
        network = self._network("diffusion")
        noise = np.random.default_rng(seed).standard_normal(seen.shape).astype(np.float32)
        channels = len(seen)

        def sample(part: Tensor) -> Tensor:
            condition, start = part.split(channels, 1)

            def predict(state: Tensor, t: int) -> Tensor:
                time = torch.full((len(state),), t, device=state.device)
                predicted: Tensor = network(state, condition, time).float()
                return predicted

            return torch.cat(symmetric_pair(predict, start, _SIGNAL, self.steps), 1)

        pair = self._over(np.concatenate([self._condition(seen), noise]), network, sample)
        return pair[:channels], pair[channels:]

    def _posterior(self, x: np.ndarray, noise: Process) -> np.ndarray:
        """The pair with the centre pixel put to use; see the top of this file."""
        seen, mean, scale = _standard(x)
        blind = mean + scale * self._pair(seen)
        sigma = torch.from_numpy(np.asarray(noise.variance(blind), np.float32))[None]
        square = F.avg_pool2d(
            F.pad(torch.from_numpy((x - blind) ** 2)[None], [4] * 4, "reflect"), 9, 1
        )
        gain = (1 - sigma / square.clamp(min=1e-12)).clamp(0, 1)[0].numpy()
        return (blind + gain * (x - blind)).astype(np.float32)

    def _pooled(self, seen: np.ndarray, network: Any) -> np.ndarray:
        """A network with statistics of the image, taken once: of 1024² pixels at most."""
        with torch.inference_mode():
            pooled: list[Tensor] = network.pooled(self._tensor(seen[:, :1024, :1024]))
        return self._over(seen, network, lambda part: network(part, pooled))

    def _over(
        self, x: np.ndarray, network: Any, function: Callable[[Tensor], Tensor]
    ) -> np.ndarray:
        """`function` of tensors over an image, in tiles that the network's reach overlaps."""

        def run(part: np.ndarray) -> np.ndarray:
            with torch.inference_mode():
                return function(self._tensor(part)).float()[0].cpu().numpy()

        return tiled(run, x, size=self.tile, radius=network.radius, multiple=network.multiple)

    def to(self, device: str) -> DiffDenoise:
        if self.networks_ is not None:
            self.networks_.to(device)
        return self

    def _network(self, name: str) -> Any:
        assert self.networks_ is not None
        return self.networks_[name].eval()

    def _tensor(self, x: np.ndarray) -> Tensor:
        assert self.networks_ is not None
        place = next(self.networks_.parameters()).device
        return torch.from_numpy(np.ascontiguousarray(x))[None].to(place)

    # -- files -------------------------------------------------------------------------------

    def weights(self) -> Mapping[str, Tensor]:
        if self.networks_ is None:
            raise HushError("this DiffDenoise has not been trained; there is nothing to save")
        return {k: v.half() for k, v in self.networks_.state_dict().items()}

    def load_weights(self, tensors: Mapping[str, Tensor]) -> None:
        self.networks_ = self._build(every=any(k.startswith("diffusion") for k in tensors))
        self.networks_.load_state_dict({k: v.float() for k, v in tensors.items()})
        self.networks_.eval()


_OUTPUTS = ("student", "pair", "single", "condition", "posterior")


@dataclass
class _Stages:
    """Trainings one after another; one that was finished is not begun again."""

    schedule: Schedule
    folder: Path | None
    resume: bool
    device: str
    progress: bool
    spent: dict[str, float] = field(default_factory=lambda: {"steps": 0, "seconds": 0.0})

    def run(
        self,
        name: str,
        network: nn.Module,
        images: Sequence[np.ndarray],
        loss: Callable[[Tensor, list[int], torch.Generator], Mapping[str, Tensor]],
    ) -> dict[str, float]:
        """Train the stage's network; its held-out loss is the same under frozen noise."""
        from hush.training import train

        part = dataclasses.replace(
            self.schedule,
            budget=self.schedule.budget and self.schedule.budget * _SHARES[name],
            max_steps=self.schedule.max_steps
            and max(1, round(self.schedule.max_steps * _SHARES[name])),
        )
        training, held_out = hold_out(images, part.patch)

        def validate() -> Mapping[str, float]:
            place = next(network.parameters()).device
            generator = torch.Generator(place).manual_seed(0)
            with torch.inference_mode():
                losses = [
                    sum(
                        map(
                            float,
                            loss(torch.from_numpy(x)[None].to(place), [0], generator).values(),
                        )
                    )
                    for x in held_out
                    for _ in range(4)
                ]
            return {"val_loss": float(np.mean(losses))}

        def trained() -> dict[str, np.ndarray]:
            folder = self.folder and self.folder / name
            begun = bool(folder and (folder / "resume.safetensors").exists())
            figures = train(
                network,
                Patches(training, part.patch),
                loss,
                part,
                folder=folder,
                resume=self.resume and begun,
                validate=validate,
                device=self.device,
                progress=self.progress,
            )
            self.spent["steps"] += figures["steps"]
            self.spent["seconds"] = round(self.spent["seconds"] + figures["seconds"], 1)
            return {k: v.numpy() for k, v in network.state_dict().items()}

        state = self._kept(name, trained)
        network.load_state_dict({k: torch.from_numpy(v) for k, v in state.items()})
        network.eval()
        return dict(validate())

    def once(self, name: str, make: Callable[[], np.ndarray]) -> np.ndarray:
        """An array that is made once."""
        return self._kept(name, lambda: {"x": make()})["x"]

    def _kept(self, name: str, make: Callable[[], dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
        from safetensors.numpy import load_file, save

        from hush.io import atomic

        path = self.folder and self.folder / f"{name}.safetensors"
        if path and self.resume and path.exists():
            return load_file(path)
        made = make()
        if path:
            path.parent.mkdir(parents=True, exist_ok=True)
            with atomic(path) as partial:
                partial.write_bytes(save(made))
        return made


def _standard(x: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """An image with mean 0 and deviation 1, the means and the deviation."""
    mean, deviation = moments(x)
    scale = deviation or 1.0
    return ((x - mean) / scale).astype(np.float32), mean, scale


def _blind_loss(network: nn.Module, x: Tensor) -> Mapping[str, Tensor]:
    return {"blind_loss": (network(x).float() - x).square().mean()}


def _student_loss(network: nn.Module, both: Tensor) -> Mapping[str, Tensor]:
    x, target = both.chunk(2, 1)
    return {"student_loss": (network(x).float() - target).abs().mean()}


def _hidden(x: Tensor, blind: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Pixels to score ``(1, 1, H, W)``, on a grid wider than the blind spot, and `x` with each of
    them and its blind spot filled in from around: means weighted by a Gaussian."""
    grid = 4 if blind == 1 else blind + 3
    row, column = torch.randint(grid, (2,), generator=generator, device=x.device).tolist()
    scored = torch.zeros_like(x[:1, :1])
    scored[..., row::grid, column::grid] = 1
    gone = F.max_pool2d(scored, blind, 1, blind // 2)
    reach = blind // 2 + 1
    at = torch.arange(-reach, reach + 1, device=x.device, dtype=x.dtype)
    line = torch.exp(-0.5 * (at / max(1.0, blind / 3)) ** 2)
    kernel = (line[:, None] * line).repeat(x.shape[1], 1, 1, 1)
    there = (1 - gone).expand_as(x)
    total = F.conv2d(x * there, kernel, padding=reach, groups=x.shape[1])
    weight = F.conv2d(there, kernel, padding=reach, groups=x.shape[1])
    return scored, torch.where(there > 0, x, total / weight.clamp(min=1e-6))


def _high(x: np.ndarray) -> np.ndarray:
    """What a 3×3 mean takes off, ``(C, H, W)``."""
    t = torch.from_numpy(np.ascontiguousarray(x))[None]
    result: np.ndarray = (t - F.avg_pool2d(F.pad(t, [1] * 4, "replicate"), 3, 1))[0].numpy()
    return result


def _rms(process: Process, x: np.ndarray) -> float:
    return math.sqrt(float(np.mean(process.variance(x.astype(np.float64)))))

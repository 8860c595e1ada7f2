r"""DiffDenoise: Self-Supervised Medical Image Denoising with Conditional Diffusion Models.

B. Demir, Y. Liu, X. Chen et al., from noisy images x' alone, in four stages:

1. a blind-spot network learns the condition, x_c = BSN(x') (§3.4);
2. a diffusion model learns the noisy images given the condition (§3.3, eqs. 1 and 2);
3. the two samples that start from ε and −ε are averaged (§3.5, eqs. 3 and 4);
4. a fast network learns to go from x' to that average at once (§3.6).

In further rounds (table 4) the network of stage 4 takes the place of that of stage 1.

Where the paper is silent, or was found to fail, this file does the following.

*The condition leaks.* Every pixel of x_c is blind to its own noise, but its neighbours saw it: the
map from x' to x_c is nearly invertible, a diffusion model learns the inverse, and no average of its
samples is rid of noise that the condition carries. Here the model is scored at some pixels only,
on a grid, and its condition made from an image in which these (with their whole blind spot) were
filled in from around: there is nothing to invert. Sampling uses the full blind-spot output.
`leak` measures what is left by known noise added to the input; training fails where it is much.

*What is diffused* is the residual r = x' − x_c, in units of its own deviation s (§3.2 says so of
the distribution that is learned): the structure is in the condition already, and need not be made
again out of noise. As r is nearly white and of variance 1, ε is nearly √(1−ᾱ) X_t; the network
answers what that lacks, v = √ᾱ ε − √(1−ᾱ) r (Salimans and Ho, 2022), of variance 1 at all times:
ε̂ = √(1−ᾱ) X_t + √ᾱ v̂. No error of the network is then divided by √ᾱ, which on the cosine
schedule falls to 5e-5. Eq. 2 is taken of v, that is, at each time weighed by 1/√ᾱ.

*The centre pixel.* No blind spot uses the pixel it answers for. With the noise's law measured
(`hush.kinds.image.measure`), what the pair missed is filtered out of x' − x̂
(`hush.kinds.image.posterior`): an estimate of E[x | x'] that the student learns in the pair's
place.

*No teacher in the end.* What is wrong with a teacher's answer, its student learns, too. So the
student goes on without one: with further noise z of the measured law, x' + a z and x' − z/a err
independently where noise is Gaussian, and one is as good as a clean target for the other (Pang
et al., Recorrupted-to-Recorrupted, CVPR 2021). a falls on the way.

*Units.* Networks see images of mean 0 and deviation 1, on the grid that was acquired: where a
scanner filled k-space up with zeros, this is taken back (`hush.kinds.image.zerofill`), as on the
larger grid white noise is correlated. Where most training images were not, it is not looked for,
nor later on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from scipy.ndimage import uniform_filter
from torch import Tensor, nn

from hush.denoiser import Advance, Learns
from hush.errors import HushError
from hush.kinds.cut import check_channels, moments
from hush.kinds.image.zerofill import as_acquired, reduced
from hush.learned import BLIND_PACE, NAFNET_PACE
from hush.methods.diffdenoise.losses import (
    blind_loss,
    diffusion_loss,
    oracle_loss,
    refined_loss,
    student_loss,
)
from hush.methods.diffdenoise.noisy import (
    Noisy,
    crop,
    deviation_of,
    noise_of,
    shift_and_scale,
    standard,
)
from hush.methods.diffdenoise.outputs import LAGS, Outputs
from hush.nets.diffusion import DiffusionUNet
from hush.nets.lgbpn import LGBPN
from hush.nets.nafnet import NAFNet
from hush.nets.puca import PUCA
from hush.noise.process import Process
from hush.results import Estimate, Restoration
from hush.schedule import Schedule
from hush.stages import Stages

FEWEST = 4  #: images, or as many patches of one
LEAKS = 0.5  #: correlation from which on the samples are said to carry the input's noise
OUTPUTS = ("student", "pair", "single", "two-random", "condition", "oracle", "posterior")
TEACHERS = ("posterior", "pair", "single")
#: what each stage gets of the schedule; what follows the first one, of a round's share
_BLIND, _DIFFUSION, _SAMPLING, _STUDENT, _REFINED = 0.35, 0.18, 0.12, 0.1, 0.25
#: further noise, in units of the noise's own deviation, as the last stage begins and as it ends
FURTHER = 1.0, 0.4


@dataclass
class DiffDenoise(Outputs):
    """DiffDenoise for images; after training, only one small NAFNet is kept.

    channels : image channels the networks see; taken from the data when fitting.
    blind : side of the blind spot: 1 for independent noise (PUCA), 5 or 9 for noise correlated
        by a kernel of σ 0.5 or 1.2 (LG-BPN); measured in the data when fitting.
    zero_filled : whether to look for images whose k-space a scanner filled up with zeros, which
        are denoised on the grid that was acquired; when fitting, whether most images are such.
    steps : DDIM steps of each sample.
    rounds : times that the diffusion is learned, from the second on with the student for its
        condition; when denoising, the round whose networks are used.
    teacher : what the student learns: ``"posterior"``, the symmetric pair, corrected with the
        centre pixel, and in the last stage no teacher, if the noise model is reliable; or, as in
        the paper and to the end, the ``"pair"`` or a ``"single"`` sample (table 5).
    output : what `restore` gives: ``"student"``; or, of a model with all its stages, any of
        `OUTPUTS`.
    naive : reproduce the paper's condition and loss, to show the leak.
    keep : all stages stay in the model; by default the student alone does.
    oracle : learns E[x' | x_c] by regression, too, for comparison; this takes the diffusion's
        share of the schedule once more.
    seed : of the noise that samples begin with.
    draws : pairs drawn for `Restoration.spread`, of a model with all its stages: 2 or more, or
        0 for none.
    tile : pixels; larger images are denoised in tiles of that side.
    """

    channels: int | None = None
    blind: int | None = None
    zero_filled: bool | None = None
    steps: int = 20
    rounds: int = 1
    teacher: str = "posterior"
    output: str = "student"
    naive: bool = False
    keep: bool = False
    oracle: bool = False
    seed: int = 0
    draws: int = 0
    tile: int = 512

    name: ClassVar[str] = "diffdenoise"
    summary: ClassVar[str] = "blind spot, diffusion, symmetric pair; distilled into one network"
    citation: ClassVar[str] = (
        "DiffDenoise: Self-Supervised Medical Image Denoising with Conditional Diffusion Models"
    )
    learns_from: ClassVar[Learns] = "noisy"

    networks_: nn.ModuleDict | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        if self.output not in OUTPUTS:
            raise HushError(f"the output is one of {', '.join(OUTPUTS)}, not '{self.output}'")
        if self.teacher not in TEACHERS:
            raise HushError(f"the teacher is one of {', '.join(TEACHERS)}, not '{self.teacher}'")
        if self.blind not in (None, 1, 5, 9):
            raise HushError(f"the blind spot is 1, 5 or 9 pixels wide, not {self.blind}")
        if not 1 <= self.rounds <= 9:
            raise HushError(f"there can be 1 to 9 rounds, not {self.rounds}")
        if self.draws < 0 or self.draws == 1:
            raise HushError(f"a spread takes 2 draws or more, or 0 for none, not {self.draws}")

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
        images = self.kind.items(data)
        if self.zero_filled is not False:
            smaller = [reduced(x) for x in images]
            found = [a is not b for a, b in zip(images, smaller, strict=True)]
            # A few are more likely mistaken for it, and would show the networks other noise.
            self.zero_filled = self.zero_filled or 2 * sum(found) > len(found)
            images = smaller if self.zero_filled else images
        self.channels = self.channels or len(images[0])
        check_channels(images, self.channels)
        schedule = schedule or Schedule(budget=7200.0)
        area, least = sum(x[0].size for x in images), FEWEST * schedule.patch**2
        if len(images) < FEWEST and area < least:
            raise HushError(
                f"{len(images)} images of {area} pixels are too few to learn from; give at least "
                f"{FEWEST}, or one of {least} pixels"
            )
        noisy = Noisy.of(images)
        self.blind = self.blind or noisy.blind
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(schedule.seed)
            networks = self.networks_ = self._build(range(1, self.rounds + 1))
        settings = {
            k: getattr(self, k) for k in ("channels", "blind", "zero_filled", "steps", "naive")
        }
        stages = Stages(schedule, folder, resume, device, progress, settings, self.kind)
        place = "cuda" if device != "cpu" and torch.cuda.is_available() else "cpu"

        spot: Any = networks["blind-spot"]
        loss = partial(blind_loss, spot)
        stages.train("blind-spot", _BLIND, spot, noisy.seen, loss, BLIND_PACE)
        for number in range(1, self.rounds + 1):
            last = self._round(number, stages, noisy, place)
        self.figures_ = {**stages.spent, **last, "leak": round(self.leak_, 3)}
        if not self.keep:
            student = f"student-{self.rounds}"
            self.networks_ = nn.ModuleDict({student: networks[student]})
        return self

    def _round(self, number: int, stages: Stages, noisy: Noisy, place: str) -> dict[str, float]:
        """Diffusion, pairs and student of one round, and the student's figures."""
        now = self.replace(rounds=number, output="pair")
        networks: Any = self.networks_
        guide = networks["blind-spot" if number == 1 else f"student-{number - 1}"]
        side, seed = 3 * stages.schedule.patch, stages.schedule.seed
        tag = f"{number}" if self.teacher == "posterior" else f"{number}-{self.teacher}"

        self.to(place)
        crops = [crop(x, side, np.random.default_rng(seed)) for x in noisy.seen]
        scales = [deviation_of(x - now._condition(x)) for x in crops]
        self.to("cpu")
        self._diffuse(number, tag if number > 1 else "1", stages, guide, noisy.seen, scales)

        self.to(place)
        self.leak_ = self._leaks(now, noisy)
        ways = {"posterior": now._posterior, "pair": now._pair_of, "single": now._single_of}
        teach = ways[self.teacher]

        def lesson(i: int) -> np.ndarray:
            """A crop of an image and what it should become."""
            x, law = noisy.images[i % len(scales)], noisy.laws[i % len(scales)]
            part = crop(x, side, np.random.default_rng((seed, i)))
            mean, scale = shift_and_scale(x)
            both = [part, teach(part, law, mean, scale, seed=i)]
            return np.concatenate([(y - mean) / scale for y in both])

        lessons = stages.collect(f"pairs-{tag}", _SAMPLING / self.rounds, len(scales), lesson)
        self.to("cpu")
        student = networks[f"student-{number}"]
        if number > 1:
            student.load_state_dict(guide.state_dict())
        ends_alone = self._ends_alone(noisy)
        share = _STUDENT if ends_alone else _STUDENT + _REFINED
        loss = partial(student_loss, student)
        figures = stages.train(
            f"student-{tag}", share / self.rounds, student, lessons, loss, NAFNET_PACE
        )
        return self._refine(number, stages, student, noisy) if ends_alone else figures

    def _diffuse(
        self,
        number: int,
        tag: str,
        stages: Stages,
        guide: nn.Module,
        seen: Sequence[np.ndarray],
        scales: Sequence[float],
    ) -> None:
        """Diffusion, and where asked for its oracle, of residuals of these deviations; `tag` says
        what the guide was taught."""
        scaled = [
            np.concatenate([x, np.full_like(x[:1], s)]) for x, s in zip(seen, scales, strict=True)
        ]
        networks: Any = self.networks_
        losses = {"diffusion": diffusion_loss, "oracle": oracle_loss}
        for name in ("diffusion", "oracle") if self.oracle else ("diffusion",):
            network = networks[f"{name}-{number}"]
            loss = partial(losses[name], network, guide, self.blind or 1, self.naive)
            stages.train(f"{name}-{tag}", _DIFFUSION / self.rounds, network, scaled, loss)

    def _ends_alone(self, noisy: Noisy) -> bool:
        """Whether the student ends without a teacher: where z is sure to be as the noise is.

        Colours may share noise; a wide blind spot may be asked for because of a correlation that
        was not measured; the spectrum of noise that grows with the signal is read where it is
        bright, in texture; and impulses would stay, as z has none. The paper's teachers teach to
        the end.
        """
        found = noisy.pooled
        white = self.blind == 1 and found.family != "impulse"
        sure = found.family == "gaussian" if found.correlated else white
        return self.teacher == "posterior" and self.channels == 1 and sure

    def _refine(
        self, number: int, stages: Stages, student: nn.Module, noisy: Noisy
    ) -> dict[str, float]:
        """The student, by further noise of the law that was measured."""
        both = [
            np.concatenate([x, noise_of(y, law) / shift_and_scale(y)[1]])
            for x, y, law in zip(noisy.seen, noisy.images, noisy.laws, strict=True)
        ]
        # One correlation for all: a patch does not say which image it is of.
        lags = torch.from_numpy(noisy.pooled.lags(LAGS)).float()
        loss = partial(refined_loss, student, lags, FURTHER)
        share = _REFINED / self.rounds
        return stages.train(f"refined-{number}", share, student, both, loss, NAFNET_PACE)

    def _build(self, rounds: Sequence[int]) -> nn.ModuleDict:
        assert self.channels is not None
        wide = self.blind or 1
        spot = PUCA(self.channels, width=24) if wide == 1 else LGBPN(self.channels, wide)
        networks: dict[str, nn.Module] = {"blind-spot": spot}
        for number in rounds:
            networks[f"diffusion-{number}"] = DiffusionUNet(self.channels)
            networks[f"student-{number}"] = NAFNet(self.channels)
            if self.oracle:
                networks[f"oracle-{number}"] = DiffusionUNet(self.channels)
        return nn.ModuleDict(networks)

    def _leaks(self, now: DiffDenoise, noisy: Noisy) -> float:
        """The mean `leak` of some crops; `HushError` where it is much."""
        leaks = []
        for i in range(min(4, len(noisy.images))):
            sigma = noisy.laws[i].sigma / shift_and_scale(noisy.images[i])[1]
            leaks.append(now.leak(noisy.seen[i][:, :96, :96], sigma))
        leak = float(np.mean(leaks))
        if leak > LEAKS:
            raise HushError(
                f"the samples carry the input's noise (correlation {leak:.2f}); "
                "train longer, or with a larger --set blind where pixels share their noise"
            )
        return leak

    def leak(self, x: np.ndarray, sigma: float, seed: int = 0) -> float:
        """Correlation of the pair's change with known noise put on its input, high frequencies.

        x : standardised image ``(C, H, W)``; sigma : its noise's deviation; a quarter is added.
        """
        z = np.random.default_rng(seed).standard_normal(x.shape).astype(np.float32)
        change = self._pair(x + 0.25 * (sigma + 1e-3) * z) - self._pair(x)
        a, b = _high(change).ravel(), _high(z).ravel()
        return float(np.corrcoef(a, b)[0, 1]) if a.any() else 0.0

    # -- denoising ---------------------------------------------------------------------------

    @property
    def joint(self) -> int | None:
        """See `Denoiser.joint`."""
        return self.channels

    @property
    def spreads(self) -> bool:
        """See `Denoiser.spreads`."""
        return self.draws > 0

    def restore(
        self,
        x: np.ndarray,
        noise: Process | None = None,
        advance: Advance | None = None,
        found: Estimate | None = None,
    ) -> Restoration:
        """See `Denoiser.restore`; the noise matters for ``output="posterior"`` only."""
        if self.networks_ is None:
            raise self.untrained()
        if not moments(x)[1]:  # nothing but a constant
            return Restoration(x.copy(), noise, spread=np.zeros_like(x) if self.draws else None)
        if self.zero_filled is False:  # what was measured may be on a smaller grid
            return self._restore(x, noise, advance, None)
        return as_acquired(self._restore, x, noise, advance, found)

    def _restore(
        self,
        x: np.ndarray,
        noise: Process | None,
        advance: Advance | None,
        found: Estimate | None,
    ) -> Restoration:
        seen, mean, scale = standard(x)
        if self.output == "posterior":
            law = noise or found or self.kind.measure([x])
            data = self._posterior(x, law, mean, scale, self.seed)
        else:
            way = getattr(self, f"_{self.output.replace('-', '_')}")
            data = mean + scale * way(seen)
        if advance:
            advance(1 / (1 + self.draws))
        spread = scale * self._spread(seen, advance) if self.draws else None
        return Restoration(data.astype(np.float32), noise, spread=spread)

    def one_pass(self) -> nn.Module:
        """The student."""
        if self.networks_ is None:
            raise self.untrained()
        if self.output != "student":
            raise HushError(
                f"this DiffDenoise gives its {self.output}, which is many passes; "
                "hush.export(model.replace(output='student'), ...) exports its student"
            )
        student: nn.Module = self._network(f"student-{self.rounds}")
        return student

    def to(self, device: str) -> DiffDenoise:
        """Run on `device` from now on, ``cpu`` or ``cuda``."""
        if self.networks_ is not None:
            self.networks_.to(device)
        return self

    # -- files -------------------------------------------------------------------------------

    def weights(self) -> Mapping[str, Tensor]:
        if self.networks_ is None:
            raise self.untrained()
        return {k: v.half() for k, v in self.networks_.state_dict().items()}

    def load_weights(self, tensors: Mapping[str, Tensor]) -> None:
        kept = {name.split(".")[0] for name in tensors}
        every = self._build(range(1, self.rounds + 1))
        self.networks_ = nn.ModuleDict({k: v for k, v in every.items() if k in kept})
        self.networks_.load_state_dict({k: v.float() for k, v in tensors.items()})
        self.networks_.eval()


def _high(x: np.ndarray) -> np.ndarray:
    """What a 3×3 mean takes off, ``(C, H, W)``."""
    result: np.ndarray = x - uniform_filter(x, (1, 3, 3), mode="nearest")
    return result

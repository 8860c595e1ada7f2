r"""DiffDenoise: Self-Supervised Medical Image Denoising with Conditional Diffusion Models.

B. Demir, Y. Liu, X. Chen et al. It learns from noisy images x' alone, in four stages:

1. a blind-spot network learns the condition, x_c = BSN(x') (§3.4);
2. a diffusion model learns the noisy images given the condition (§3.3, eqs. 1 and 2);
3. the two samples that start from ε and −ε are averaged (§3.5, eqs. 3 and 4);
4. a fast network learns to compute that average from x' in one pass (§3.6).

In further rounds (table 4) the network of stage 4 replaces that of stage 1.

Where the paper leaves a choice open, or did not work, this file does the following.

*The condition leaks.* No pixel of x_c depends on its own noise, but its neighbours do. So the map
from x' to x_c is nearly invertible, a diffusion model learns the inverse, and no average of its
samples removes the noise that the condition contains. Here the loss counts only pixels on a grid.
The condition is made from an image in which these pixels and their whole blind spots were filled in
from their surroundings, so there is nothing to invert. Sampling uses the full blind-spot output.
`leak` measures the rest with known noise added to the input; training fails if it is large.

*The diffusion models the residual* r = x' − x_c, in units of its own deviation s (§3.2 also says
that its distribution is learned). The condition already has the structure, so it need not be
generated from noise. As r is nearly white with variance 1, ε is nearly √(1−ᾱ) X_t. The network
predicts the difference, v = √ᾱ ε − √(1−ᾱ) r (Salimans and Ho, 2022), with variance 1 at all times:
ε̂ = √(1−ᾱ) X_t + √ᾱ v̂. So no error of the network is divided by √ᾱ, which falls to 5e-5 on the
cosine schedule. Eq. 2 is applied to v, which weights each time by 1/√ᾱ.

*The centre pixel.* A blind-spot network does not use the pixel it predicts. With the measured noise
law (`hush.kinds.image.measure`), a filter recovers from x' − x̂ what the pair missed
(`hush.kinds.image.posterior`). The student learns this estimate of E[x | x'] instead of the pair.

*The last stage has no teacher.* A student also learns its teacher's errors. So it continues without
one: with further noise z of the measured law, the errors of x' + a z and x' − z/a are independent
if the noise is Gaussian, and the second is as good as a clean target for the first (Pang et al.,
Recorrupted-to-Recorrupted, CVPR 2021). a falls during the stage.

*Units.* Networks get images of mean 0 and deviation 1 on the acquired grid: if a scanner
zero-filled k-space, this is undone (`hush.kinds.image.zerofill`), because white noise is correlated
on the larger grid. If most training images are not zero-filled, neither training nor denoising
looks for it.
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

from hush.bases.learned import FAST_PACE, NAFNET_PACE
from hush.bases.stages import Stages
from hush.denoiser import Advance, Learns
from hush.devices import device_for
from hush.errors import HushError
from hush.kinds.cut import check_channels, moments
from hush.kinds.image.measure.estimation import estimate_any
from hush.kinds.image.zerofill import as_acquired, reduced
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
from hush.nets import placed
from hush.nets.diffusion import DiffusionUNet
from hush.nets.lgbpn import LGBPN
from hush.nets.nafnet import NAFNet
from hush.nets.puca import PUCA
from hush.noise.process import Process
from hush.results import Estimate, Restoration
from hush.schedule import Schedule

FEWEST = 4  #: images to train on at least, or as many patches of one image
LEAKS = 0.5  #: correlation above which the samples count as containing the input's noise
OUTPUTS = ("student", "pair", "single", "two-random", "condition", "oracle", "posterior")
TEACHERS = ("posterior", "pair", "single")
#: each stage's share of the schedule, and after the first stage, of a round's part of it
_BLIND, _DIFFUSION, _SAMPLING, _STUDENT, _REFINED = 0.35, 0.18, 0.12, 0.1, 0.25
#: further noise at the start and end of the last stage, in units of the noise's own deviation
FURTHER = 1.0, 0.4


@dataclass
class DiffDenoise(Outputs):
    """DiffDenoise for images; after training, only one small NAFNet is kept.

    channels : image channels of the networks; taken from the data when fitting.
    blind : side of the blind spot: 1 for independent noise (PUCA), 5 or 9 for noise correlated
        by a kernel of σ 0.5 or 1.2 (LG-BPN); measured in the data when fitting.
    zero_filled : whether to look for zero-filled images and denoise them on the acquired grid; by
        default True if most of the training images are zero-filled.
    steps : DDIM steps of each sample.
    rounds : number of times the diffusion is learned, from the second on with the student as its
        condition. When denoising, the round whose networks are used.
    teacher : what the student learns: ``"posterior"``, the symmetric pair, corrected with the
        centre pixel, and in the last stage no teacher, if the noise model is reliable; or, as in
        the paper and to the end, the ``"pair"`` or a ``"single"`` sample (table 5).
    output : what `restore` returns: ``"student"``, or any of `OUTPUTS` if the model has all
        stages.
    naive : reproduce the paper's condition and loss, to show the leak.
    keep : keep all stages in the model, not only the student.
    oracle : also learn E[x' | x_c] by regression, for comparison; this takes the diffusion's
        share of the schedule once more.
    seed : seed of the noise that samples start from.
    draws : pairs drawn for `Restoration.spread`, if the model has all stages: 2 or more, or
        0 for none.
    tile : side of a tile in pixels; larger images are denoised in tiles.
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
    applied: ClassVar[tuple[str, ...]] = ("steps", "rounds", "output", "seed", "draws", "tile")
    summary: ClassVar[str] = "blind spot, diffusion and symmetric pairs, distilled into one network"
    citation: ClassVar[str] = (
        "DiffDenoise: Self-Supervised Medical Image Denoising with Conditional Diffusion Models"
    )
    learns_from: ClassVar[Learns] = "noisy"

    networks_: nn.ModuleDict | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        if self.output not in OUTPUTS:
            raise HushError(f"the output must be one of {', '.join(OUTPUTS)}, not '{self.output}'")
        if self.teacher not in TEACHERS:
            raise HushError(
                f"the teacher must be one of {', '.join(TEACHERS)}, not '{self.teacher}'"
            )
        if self.blind not in (None, 1, 5, 9):
            raise HushError(f"the blind spot must be 1, 5 or 9 pixels wide, not {self.blind}")
        if not 1 <= self.rounds <= 9:
            raise HushError(f"the number of rounds must be 1 to 9, not {self.rounds}")
        if self.draws < 0 or self.draws == 1:
            raise HushError(f"a spread needs 2 draws or more, or 0 for none, not {self.draws}")

    # -- training ----------------------------------------------------------------------------

    def fit(
        self,
        data: Sequence[np.ndarray] | np.ndarray,
        *,
        schedule: Schedule | None = None,
        folder: Path | None = None,
        resume: bool = False,
        device: str = "auto",
        progress: bool | None = None,
        **options: Any,
    ) -> DiffDenoise:
        """Train all stages on noisy images, arrays ``(H, W)`` or ``(H, W, 3)`` of any real dtype.

        schedule : for all stages together; by default 2 hours. A resumed run continues at the
            stage and step at which it stopped.

        Raises `HushError` if there are too few images, or if the samples contain the noise of
        their input.
        """
        if given := [name for name, value in options.items() if value]:
            raise HushError(f"diffdenoise learns from images only; leave {given[0]} out")
        images = self.kind.items(data)
        if self.zero_filled is not False:
            smaller = [reduced(x) for x in images]
            found = [a is not b for a, b in zip(images, smaller, strict=True)]
            # If only a few look zero-filled, this is probably a mistake and changes their noise.
            self.zero_filled = self.zero_filled or 2 * sum(found) > len(found)
            images = smaller if self.zero_filled else images
        self.channels = self.channels or len(images[0])
        check_channels(images, self.channels)
        if not any(moments(x)[1] for x in images):
            raise HushError("these images are constant; there is nothing to learn from")
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
        place = device_for(device)

        spot: Any = networks["blind-spot"]
        loss = partial(blind_loss, spot)
        stages.train("blind-spot", _BLIND, spot, noisy.seen, loss, FAST_PACE)
        for number in range(1, self.rounds + 1):
            last = self._round(number, stages, noisy, place)
        self.figures_ = {**stages.spent, **last, "leak": round(self.leak_, 3)}
        if not self.keep:
            student = f"student-{self.rounds}"
            self.networks_ = nn.ModuleDict({student: networks[student]})
        return self

    def _round(self, number: int, stages: Stages, noisy: Noisy, place: str) -> dict[str, float]:
        """Train diffusion, pairs and student of one round; return the student's figures."""
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
            """A crop of an image and its target."""
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
        """Train the diffusion, and the oracle if requested, on residuals with these deviations;
        `tag` identifies the guide's teacher."""
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
        """Whether the student ends without a teacher, because z is sure to match the noise.

        It does not for colours, which may share noise; for a wide blind spot, which may be set for
        an unmeasured correlation; for correlated noise that grows with the signal, because its
        spectrum is measured in bright texture; and for impulses, which z lacks. The paper's
        teachers also stay to the end.
        """
        found = noisy.pooled
        white = self.blind == 1 and found.family != "impulse"
        sure = found.family == "gaussian" if found.correlated else white
        return self.teacher == "posterior" and self.channels == 1 and sure

    def _refine(
        self, number: int, stages: Stages, student: nn.Module, noisy: Noisy
    ) -> dict[str, float]:
        """Train the student with further noise of the measured law."""
        both = [
            np.concatenate([x, noise_of(y, law) / shift_and_scale(y)[1]])
            for x, y, law in zip(noisy.seen, noisy.images, noisy.laws, strict=True)
        ]
        # One correlation for all, because patches do not say which image they come from.
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
        """The mean `leak` of some crops; raises `HushError` if it is large."""
        leaks = []
        for i in range(min(4, len(noisy.images))):
            sigma = noisy.laws[i].sigma / shift_and_scale(noisy.images[i])[1]
            leaks.append(now.leak(noisy.seen[i][:, :96, :96], sigma))
        leak = float(np.mean(leaks))
        if leak > LEAKS:
            raise HushError(
                f"the samples contain the input's noise (correlation {leak:.2f}); "
                "train longer, or with a larger --set blind if pixels share their noise"
            )
        return leak

    def leak(self, x: np.ndarray, sigma: float, seed: int = 0) -> float:
        """Correlation, at high frequencies, of known noise on the input with the pair's change.

        x : standardised image ``(C, H, W)``; sigma : deviation of its noise; a quarter is added.
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
    def is_trained(self) -> bool:
        """See `Denoiser.is_trained`."""
        return self.networks_ is not None

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
        """See `Denoiser.restore`; the noise matters only for ``output="posterior"``."""
        if self.networks_ is None:
            raise self.untrained()
        if not moments(x)[1]:  # a constant image
            return Restoration(x.copy(), noise, spread=np.zeros_like(x) if self.draws else None)
        if self.zero_filled is False:  # the measured noise may belong to a smaller grid
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
            law = noise or found or estimate_any(x)  # on the grid of x itself
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
                f"the output of this DiffDenoise is its {self.output}, which needs many passes; "
                "hush.export(model.replace(output='student'), ...) exports its student"
            )
        student: nn.Module = self._network(f"student-{self.rounds}")
        return student

    def to(self, device: str) -> DiffDenoise:
        """Move the networks to `device`, ``cpu``, ``cuda`` or ``mps``."""
        if self.networks_ is not None:
            placed(self.networks_, device)
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
    """`x` minus its 3×3 mean, ``(C, H, W)``."""
    result: np.ndarray = x - uniform_filter(x, (1, 3, 3), mode="nearest")
    return result

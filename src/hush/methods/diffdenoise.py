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

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from scipy.ndimage import uniform_filter
from torch import Tensor, nn

from hush.denoiser import Advance, Denoiser, by_channels
from hush.errors import HushError
from hush.kinds.image.cut import check_channels, float_images, moments
from hush.kinds.image.measure.small import estimate_any
from hush.kinds.image.posterior import posterior_mean
from hush.kinds.image.zerofill import as_acquired, reduced
from hush.learned import BLIND_PACE, NAFNET_PACE, through
from hush.nets.blindspot import bell
from hush.nets.diffusion import DiffusionUNet
from hush.nets.lgbpn import LGBPN
from hush.nets.nafnet import NAFNet
from hush.nets.puca import PUCA
from hush.noise.process import Process
from hush.results import Estimate, Restoration
from hush.sampling import cosine_signal, ddim, symmetric_pair
from hush.schedule import Schedule
from hush.stages import Stages
from hush.tiling import tiled

FEWEST = 4  #: images, or as many patches of one
DRAWS = 8  #: pairs that a spread is taken over, where their number is not said
LEAKS = 0.5  #: correlation from which on the samples are said to carry the input's noise
OUTPUTS = ("student", "pair", "single", "two-random", "condition", "oracle", "posterior")
TEACHERS = ("posterior", "pair", "single")
_SIGNAL = cosine_signal()
_WIDE = 0.8  #: of a kernel's width in pixels, from which on a blind spot of 5 is too small
_POOLED = 64  #: images whose noise is measured together
_LAGS = 15  #: pixels to which the noise's correlation is followed
#: what each stage gets of the schedule; what follows the first one, of a round's share
_BLIND, _DIFFUSION, _SAMPLING, _STUDENT, _REFINED = 0.35, 0.18, 0.12, 0.1, 0.25
#: further noise, in units of the noise's own deviation, as the last stage begins and as it ends
_FURTHER = 1.0, 0.4


@dataclass
class DiffDenoise(Denoiser):
    """DiffDenoise for images; what is left of a training is one small NAFNet.

    channels : image channels the networks see; taken from the data when fitting.
    blind : side of the blind spot: 1 for independent noise (PUCA), 5 or 9 for noise correlated
        by a kernel of σ 0.5 or 1.2 (LG-BPN); measured in the data when fitting.
    zero_filled : whether to look for images whose k-space a scanner filled up with zeros, which
        are denoised on the grid that was acquired; when fitting, whether most images are such.
    steps : DDIM steps of each sample.
    rounds : times that the diffusion is learned, from the second on with the student for its
        condition; when denoising, the round whose networks are used.
    teacher : what the student learns: ``"posterior"``, the pair with the centre pixel put to
        use, and where the noise's law is sure in the end no teacher at all; or, as in the paper
        and to the end, the ``"pair"`` or a ``"single"`` sample (table 5).
    output : what `restore` gives: ``"student"``; or, of a model with all its stages, any of
        `OUTPUTS`.
    naive : condition and loss as in the paper, on all pixels at once: the leak to be seen.
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
    trained: ClassVar[bool] = True

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
        images = float_images(data)
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
        pooled = estimate_any(images[:_POOLED])
        self.blind = self.blind or _blind(pooled)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(schedule.seed)
            networks = self.networks_ = self._build(range(1, self.rounds + 1))
        noisy = _Noisy(images, [_standard(x)[0] for x in images], pooled, _laws(images, pooled))
        settings = {
            k: getattr(self, k) for k in ("channels", "blind", "zero_filled", "steps", "naive")
        }
        stages = Stages(schedule, folder, resume, device, progress, settings)
        place = "cuda" if device != "cpu" and torch.cuda.is_available() else "cpu"

        spot: Any = networks["blind-spot"]
        loss = partial(_blind_loss, spot)
        stages.train("blind-spot", _BLIND, spot, noisy.seen, loss, BLIND_PACE)
        for number in range(1, self.rounds + 1):
            last = self._round(number, stages, noisy, place)
        self.figures_ = {**stages.spent, **last, "leak": round(self.leak_, 3)}
        if not self.keep:
            student = f"student-{self.rounds}"
            self.networks_ = nn.ModuleDict({student: networks[student]})
        return self

    def _round(self, number: int, stages: Stages, noisy: _Noisy, place: str) -> dict[str, float]:
        """Diffusion, pairs and student of one round, and the student's figures."""
        now = self.replace(rounds=number, output="pair")
        networks: Any = self.networks_
        guide = networks["blind-spot" if number == 1 else f"student-{number - 1}"]
        side, seed = 3 * stages.schedule.patch, stages.schedule.seed
        tag = f"{number}" if self.teacher == "posterior" else f"{number}-{self.teacher}"

        self.to(place)
        crops = [_crop(x, side, np.random.default_rng(seed)) for x in noisy.seen]
        scales = [_deviation(x - now._condition(x)) for x in crops]
        self.to("cpu")
        self._diffuse(number, tag if number > 1 else "1", stages, guide, noisy.seen, scales)

        self.to(place)
        self.leak_ = self._leaks(now, noisy)
        ways = {"posterior": now._posterior, "pair": now._pair_of, "single": now._single_of}
        teach = ways[self.teacher]

        def lesson(i: int) -> np.ndarray:
            """A crop of an image and what it should become."""
            x, law = noisy.images[i % len(scales)], noisy.laws[i % len(scales)]
            crop = _crop(x, side, np.random.default_rng((seed, i)))
            mean, scale = _moments(x)
            both = [crop, teach(crop, law, mean, scale, seed=i)]
            return np.concatenate([(y - mean) / scale for y in both])

        lessons = stages.collect(f"pairs-{tag}", _SAMPLING / self.rounds, len(scales), lesson)
        self.to("cpu")
        student = networks[f"student-{number}"]
        if number > 1:
            student.load_state_dict(guide.state_dict())
        ends_alone = self._ends_alone(noisy)
        share = _STUDENT if ends_alone else _STUDENT + _REFINED
        loss = partial(_student_loss, student)
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
        losses = {"diffusion": self._diffusion_loss, "oracle": self._oracle_loss}
        for name in ("diffusion", "oracle") if self.oracle else ("diffusion",):
            network = networks[f"{name}-{number}"]
            loss = partial(losses[name], network, guide)
            stages.train(f"{name}-{tag}", _DIFFUSION / self.rounds, network, scaled, loss)

    def _ends_alone(self, noisy: _Noisy) -> bool:
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
        self, number: int, stages: Stages, student: nn.Module, noisy: _Noisy
    ) -> dict[str, float]:
        """The student, by further noise of the law that was measured."""
        both = [
            np.concatenate([x, _noise_of(y, law) / _moments(y)[1]])
            for x, y, law in zip(noisy.seen, noisy.images, noisy.laws, strict=True)
        ]
        # One correlation for all: a patch does not say which image it is of.
        lags = torch.from_numpy(noisy.pooled.lags(_LAGS)).float()
        share, a = _REFINED / self.rounds, _FURTHER[0]

        def before_step(done: float) -> None:
            nonlocal a
            a = _FURTHER[0] + done * (_FURTHER[1] - _FURTHER[0])

        def loss(x: Tensor, generator: torch.Generator) -> Mapping[str, Tensor]:
            return _refined_loss(student, lags, a, x, generator)

        return stages.train(
            f"refined-{number}", share, student, both, loss, NAFNET_PACE, before_step
        )

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

    def _residual(
        self, guide: nn.Module, x: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Pixels to score, conditions that know nothing of them, and r in units of s."""
        x, scale = x[:, :-1], x[:, -1:]
        if self.naive:
            scored, filled = torch.ones_like(x[:1, :1]), x
        else:
            corner = torch.randint(
                _grid(self.blind or 1), (2,), generator=generator, device=x.device
            )
            row, column = corner.tolist()
            scored, filled = _hidden(x, self.blind or 1, row, column)
        with torch.no_grad():
            condition = guide.to(x.device)(filled).float()
        return scored.expand_as(x), condition, (x - condition) / scale

    def _diffusion_loss(
        self, network: nn.Module, guide: nn.Module, x: Tensor, generator: torch.Generator
    ) -> Mapping[str, Tensor]:
        """Eq. 2, at pixels that the condition knows nothing of, of v in ε's place."""
        scored, condition, residual = self._residual(guide, x, generator)
        time = torch.randint(len(_SIGNAL), (len(x),), generator=generator, device=x.device)
        signal = torch.from_numpy(_SIGNAL).to(residual)[time][:, None, None, None]
        noise = torch.randn(residual.shape, generator=generator, device=x.device)
        state = signal.sqrt() * residual + (1 - signal).sqrt() * noise  # eq. 1
        v = signal.sqrt() * noise - (1 - signal).sqrt() * residual
        error = (network(state, condition, time).float() - v).abs()
        return {"diffusion_loss": (error * scored).sum() / scored.sum()}

    def _oracle_loss(
        self, network: nn.Module, guide: nn.Module, x: Tensor, generator: torch.Generator
    ) -> Mapping[str, Tensor]:
        scored, condition, residual = self._residual(guide, x, generator)
        answer = network(torch.zeros_like(condition), condition, _never(condition)).float()
        return {"oracle_loss": ((answer - residual).square() * scored).sum() / scored.sum()}

    def _leaks(self, now: DiffDenoise, noisy: _Noisy) -> float:
        """The mean `leak` of some crops; `HushError` where it is much."""
        leaks = []
        for i in range(min(4, len(noisy.images))):
            sigma = noisy.laws[i].sigma / _moments(noisy.images[i])[1]
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

    def restore(
        self, x: np.ndarray, noise: Process | None = None, advance: Advance | None = None
    ) -> Restoration:
        """See `Denoiser.restore`; the noise matters for ``output="posterior"`` only."""
        if self.networks_ is None:
            raise HushError("this DiffDenoise has not been trained; call fit, or hush.load a model")
        if not moments(x)[1] or (noise is not None and not np.any(noise.variance(x))):
            # nothing but a constant, or no noise
            return Restoration(x.copy(), noise, spread=np.zeros_like(x) if self.draws else None)
        restore = partial(by_channels, self._restore, self.channels)
        if self.zero_filled is False:
            return restore(x, noise, advance)
        return as_acquired(restore, x, noise, advance)

    def _restore(
        self, x: np.ndarray, noise: Process | None, advance: Advance | None
    ) -> Restoration:
        seen, mean, scale = _standard(x)
        if self.output == "posterior":
            found = noise or estimate_any(x)
            data = self._posterior(x, found, mean, scale, self.seed)
        else:
            way = getattr(self, f"_{self.output.replace('-', '_')}")
            data = mean + scale * way(seen)
        if advance:
            advance(1 / (1 + self.draws))
        spread = scale * self._spread(seen, advance) if self.draws else None
        return Restoration(data.astype(np.float32), noise, spread=spread)

    def with_spread(self) -> DiffDenoise:
        """See `Denoiser.with_spread`; over `draws` pairs, or `DRAWS` where none were asked for."""
        if self.networks_ is not None and f"diffusion-{self.rounds}" not in self.networks_:
            raise HushError(
                "this model is its student alone and has no uncertainty to tell; train it with "
                "--set keep=true, which keeps all stages"
            )
        return self.replace(draws=self.draws or DRAWS)

    def _spread(self, seen: np.ndarray, advance: Advance | None) -> np.ndarray:
        r"""The unbiased standard deviation of the pair at each pixel, over `draws` draws of ε.

        This is the uncertainty that sampling adds, given the condition: what of the pair is due
        to ε. It is silent about an error of the condition, which all pairs share, and it is not
        the deviation of x' given x_c. A sample's even part in ε is the pair, its odd part
        :math:`(\hat x^{\epsilon} - \hat x^{-\epsilon})/2`; the two are uncorrelated, so

        .. math:: Var(x' | x_c) = Var(pair) + Var(odd).

        Where x' given x_c is Gaussian, however wide, all of it is odd and the pair has no spread.
        The sum less σ² would be the clean pixel's variance, but is not given: its error from 8
        draws is half of σ², and samples of few steps spread too little to take σ² off them.
        """
        mean, square = np.zeros_like(seen), np.zeros_like(seen)
        for k in range(self.draws):  # Welford: equal pairs give 0 to the bit, and none is kept
            pair = sum(self._samples(seen, (self.seed, k), both=True)) / 2
            off = pair - mean
            mean += off / (k + 1)
            square += off * (pair - mean)
            if advance:
                advance(1 / (1 + self.draws))
        spread: np.ndarray = np.sqrt(square / (self.draws - 1))
        return spread

    def _student(self, seen: np.ndarray) -> np.ndarray:
        return self._whole(f"student-{self.rounds}", seen)

    def _condition(self, seen: np.ndarray) -> np.ndarray:
        """x_c, of which no pixel saw its own noise: of a blind-spot network, the mean over four
        mirrorings, which err apart; of a student, on one grid of hidden pixels after the other."""
        if self.rounds == 1:
            mirrors: list[tuple[int, ...]] = [(), (1,), (2,), (1, 2)]
            every = [np.flip(self._whole("blind-spot", np.flip(seen, m)), m) for m in mirrors]
            mean: np.ndarray = np.mean(every, axis=0)
            return mean
        out, x = np.empty_like(seen), torch.from_numpy(seen)[None]
        for row, column in itertools.product(range(_grid(self.blind or 1)), repeat=2):
            scored, filled = _hidden(x, self.blind or 1, row, column)
            at = scored[0, 0].numpy() > 0
            out[:, at] = self._whole(f"student-{self.rounds - 1}", filled[0].numpy())[:, at]
        return out

    def _oracle(self, seen: np.ndarray) -> np.ndarray:
        """E[x' | x_c]: what the pair's mean over all ε tends to."""
        condition = self._condition(seen)
        scale = _deviation(seen - condition)
        network = self._network(f"oracle-{self.rounds}")

        def answer(c: Tensor) -> Tensor:
            out: Tensor = network(torch.zeros_like(c), c, _never(c))
            return out

        return condition + scale * self._over(condition, network, answer)

    def _single(self, seen: np.ndarray) -> np.ndarray:
        return self._samples(seen, self.seed)[0]

    def _two_random(self, seen: np.ndarray) -> np.ndarray:
        """The mean of two samples that start from independent ε."""
        first, second = (self._samples(seen, (self.seed, i))[0] for i in (0, 1))
        return (first + second) / 2

    def _pair(self, seen: np.ndarray) -> np.ndarray:
        """Eqs. 3 and 4."""
        return sum(self._samples(seen, self.seed, both=True)) / 2  # type: ignore[return-value]

    def _samples(
        self, seen: np.ndarray, seed: int | tuple[int, ...], both: bool = False
    ) -> tuple[np.ndarray, ...]:
        """x̂ from ε, and with `both` from −ε; ε is drawn for the whole field: tiles agree."""
        condition = self._condition(seen)
        scale = _deviation(seen - condition)
        network = self._network(f"diffusion-{self.rounds}")
        noise = np.random.default_rng(seed).standard_normal(seen.shape).astype(np.float32)

        def predict(state: Tensor, t: int) -> Tensor:
            """ε̂. Each step goes over the whole field, or tiles would drift apart."""

            def answer(part: Tensor) -> Tensor:
                x_t, c = part.chunk(2, 1)
                v: Tensor = network(x_t, c, torch.full((1,), t, device=part.device))
                return v

            v = self._over(np.concatenate([state[0].numpy(), condition]), network, answer)
            signal = float(_SIGNAL[t])
            return math.sqrt(1 - signal) * state + math.sqrt(signal) * torch.from_numpy(v)[None]

        start = torch.from_numpy(noise)[None]
        residuals: tuple[Tensor, ...]
        if both:
            residuals = symmetric_pair(predict, start, _SIGNAL, self.steps)
        else:
            residuals = (ddim(predict, start, _SIGNAL, self.steps),)
        return tuple(condition + scale * r[0].numpy() for r in residuals)

    def _posterior(
        self, x: np.ndarray, noise: Process | Estimate, mean: np.ndarray, scale: float, seed: int
    ) -> np.ndarray:
        """The pair with the centre pixel put to use; see the top of this file."""
        pair = self._pair_of(x, noise, mean, scale, seed)
        lags = (noise.autocorrelation if isinstance(noise, Process) else noise.lags)(_LAGS)
        return posterior_mean(x, pair, np.asarray(noise.variance(pair)), lags)

    def _pair_of(
        self, x: np.ndarray, _: Process | Estimate, mean: np.ndarray, scale: float, seed: int
    ) -> np.ndarray:
        return mean + scale * self.replace(seed=seed)._pair((x - mean) / np.float32(scale))

    def _single_of(
        self, x: np.ndarray, _: Process | Estimate, mean: np.ndarray, scale: float, seed: int
    ) -> np.ndarray:
        return mean + scale * self.replace(seed=seed)._single((x - mean) / np.float32(scale))

    def _whole(self, name: str, seen: np.ndarray) -> np.ndarray:
        return through(self._network(name), seen, self.tile)

    def _over(
        self, x: np.ndarray, network: Any, function: Callable[[Tensor], Tensor]
    ) -> np.ndarray:
        """`function` of tensors over an image, in tiles that the network's reach overlaps."""

        def run(part: np.ndarray) -> np.ndarray:
            with torch.inference_mode():
                return function(self._tensor(part)).float()[0].cpu().numpy()

        return tiled(run, x, size=self.tile, radius=network.radius, multiple=network.multiple)

    def one_pass(self) -> nn.Module:
        """The student."""
        if self.networks_ is None:
            raise HushError("this DiffDenoise has not been trained; there is nothing to export")
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

    def _network(self, name: str) -> Any:
        assert self.networks_ is not None
        if name not in self.networks_:
            raise HushError(
                f"this model has no {name}, only {', '.join(self.networks_)}; "
                "train with --set keep=true for all stages"
            )
        return self.networks_[name].eval()

    def _tensor(self, x: np.ndarray) -> Tensor:
        assert self.networks_ is not None
        place = next(self.networks_.parameters()).device
        given = torch.from_numpy(np.ascontiguousarray(x))[None].to(place)
        return given.contiguous(memory_format=torch.channels_last)

    # -- files -------------------------------------------------------------------------------

    def weights(self) -> Mapping[str, Tensor]:
        if self.networks_ is None:
            raise HushError("this DiffDenoise has not been trained; there is nothing to save")
        return {k: v.half() for k, v in self.networks_.state_dict().items()}

    def load_weights(self, tensors: Mapping[str, Tensor]) -> None:
        kept = {name.split(".")[0] for name in tensors}
        every = self._build(range(1, self.rounds + 1))
        self.networks_ = nn.ModuleDict({k: v for k, v in every.items() if k in kept})
        self.networks_.load_state_dict({k: v.float() for k, v in tensors.items()})
        self.networks_.eval()


@dataclass(frozen=True)
class _Noisy:
    """Training images ``(C, H, W)``, the same of mean 0 and deviation 1, and their noise: of all
    together, and of each."""

    images: Sequence[np.ndarray]
    seen: Sequence[np.ndarray]
    pooled: Estimate
    laws: Sequence[Estimate]


def _moments(x: np.ndarray) -> tuple[np.ndarray, float]:
    """An image's means and its deviation, 1 where it has none."""
    mean, deviation = moments(x)
    return mean, deviation or 1.0


def _standard(x: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """An image with mean 0 and deviation 1, the means and the deviation."""
    mean, scale = _moments(x)
    return ((x - mean) / scale).astype(np.float32), mean, scale


def _deviation(residual: np.ndarray) -> float:
    """s: the residual's root mean square, never zero."""
    return float(np.sqrt(np.mean(residual**2, dtype=np.float64))) or 1.0


def _blind(found: Estimate) -> int:
    """The side of a blind spot that covers such noise."""
    return 1 if not found.correlated else 5 if found.kernel_width < _WIDE else 9


def _laws(images: Sequence[np.ndarray], pooled: Estimate) -> list[Estimate]:
    """The noise of each image: that of all together, which one alone tells less surely, but for
    images whose own level is more than twice or less than half of what it says of them."""
    laws = []
    for x in images:
        own, expected = estimate_any(x), math.sqrt(float(np.mean(pooled.variance(x))))
        laws.append(pooled if expected / 2 <= own.sigma <= 2 * expected else own)
    return laws


def _noise_of(x: np.ndarray, law: Estimate) -> np.ndarray:
    """The noise's deviation in each pixel of ``(C, H, W)``, its signal being the 5×5 mean."""
    variance = np.asarray(law.variance(uniform_filter(x, (1, 5, 5))))
    return np.sqrt(variance, dtype=np.float32)


def _crop(x: np.ndarray, side: int, rng: np.random.Generator) -> np.ndarray:
    """A random square of `side` pixels of ``(C, H, W)``, or what there is of it."""
    starts = [int(rng.integers(max(1, n - side + 1))) for n in x.shape[1:]]
    return x[:, starts[0] : starts[0] + side, starts[1] : starts[1] + side]


def _never(c: Tensor) -> Tensor:
    """Times for a network that is not asked about time, one for each of a batch."""
    return torch.zeros(len(c), dtype=torch.long, device=c.device)


def _blind_loss(network: nn.Module, x: Tensor, _: torch.Generator) -> Mapping[str, Tensor]:
    return {"blind_loss": (network(x).float() - x).square().mean()}


def _student_loss(network: nn.Module, both: Tensor, _: torch.Generator) -> Mapping[str, Tensor]:
    x, target = both.chunk(2, 1)
    return {"student_loss": (network(x).float() - target).abs().mean()}


def _refined_loss(
    network: nn.Module, lags: Tensor, a: float, both: Tensor, generator: torch.Generator
) -> Mapping[str, Tensor]:
    """Of x' + a z, what x' − z/a says; `both` is x' and the noise's deviation, ``(B, 2C, H, W)``.

    The errors n + a z and n − z/a are uncorrelated, those of Gaussian noise independent: there the
    square is least at E[x | x' + a z]. A large a has targets of less noise, to learn from at
    first, a small one inputs that have hardly more of it than x'.
    """
    x, deviation = both.chunk(2, 1)
    z = torch.randn(x.shape, generator=generator, device=x.device)
    z = deviation * _coloured(z, lags.to(x.device))
    error = network(x + a * z).float() - (x - z / a)
    return {"refined_loss": error.square().mean()}


def _coloured(white: Tensor, lags: Tensor) -> Tensor:
    """White noise ``(B, C, H, W)`` given this autocorrelation ``(2R + 1, 2R + 1)``, on a torus
    of sides larger than R."""
    size, radius = white.shape[-2:], len(lags) // 2
    at = torch.arange(-radius, radius + 1, device=lags.device)
    where = (at[:, None] % size[0]) * size[1] + at % size[1]
    around = lags.new_zeros(size.numel()).index_add(0, where.flatten(), lags.flatten())
    power = torch.fft.rfft2(around.view(size)).real.clamp(min=0)
    return torch.fft.irfft2(torch.fft.rfft2(white) * power.sqrt(), s=size)


def _grid(blind: int) -> int:
    """Pixels from one scored pixel to the next: wider than the blind spot."""
    return 4 if blind == 1 else blind + 3


def _hidden(x: Tensor, blind: int, row: int, column: int) -> tuple[Tensor, Tensor]:
    """Pixels to score ``(1, 1, H, W)``, on a grid that begins there, and `x` with each of them
    and its blind spot filled in from around: means weighted by a Gaussian."""
    grid = _grid(blind)
    scored = torch.zeros_like(x[:1, :1])
    scored[..., row::grid, column::grid] = 1
    gone = F.max_pool2d(scored, blind, 1, blind // 2)
    there = (1 - gone).expand_as(x)
    total, weight = _blurred(x * there, blind), _blurred(there, blind)
    return scored, torch.where(there > 0, x, total / weight.clamp(min=1e-6))


def _blurred(x: Tensor, blind: int) -> Tensor:
    """Sums weighted by a Gaussian, as far as from an image's corner out of a blind spot there."""
    channels = x.shape[1]
    line = bell(blind).to(x).expand(channels, 1, -1)
    rows = F.conv2d(x, line[..., None], padding=(blind, 0), groups=channels)
    return F.conv2d(rows, line[..., None, :], padding=(0, blind), groups=channels)


def _high(x: np.ndarray) -> np.ndarray:
    """What a 3×3 mean takes off, ``(C, H, W)``."""
    result: np.ndarray = x - uniform_filter(x, (1, 3, 3), mode="nearest")
    return result

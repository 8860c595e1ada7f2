"""The outputs of a trained DiffDenoise: its student's, or those of the stages before it.

Images here have mean 0 and deviation 1 (`seen`), unless a method also takes mean and scale.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from hush.bases.learned import through
from hush.denoiser import Advance, Denoiser
from hush.errors import HushError
from hush.kinds.image.posterior import posterior_mean
from hush.methods.diffdenoise.losses import SIGNAL, grid_of, hidden, never
from hush.methods.diffdenoise.noisy import deviation_of
from hush.nets import channels_last
from hush.noise.process import Process
from hush.results import Estimate
from hush.sampling import ddim, symmetric_pair
from hush.tiling import tiled

DRAWS = 8  #: default number of pairs for a spread
LAGS = 15  #: largest lag, in pixels, of the noise correlation


class Outputs(Denoiser):
    """Computes the outputs; `DiffDenoise` has the settings and trains the networks."""

    blind: int | None
    rounds: int
    steps: int
    seed: int
    draws: int
    tile: int
    networks_: nn.ModuleDict | None

    def with_spread(self) -> Any:
        """See `Denoiser.with_spread`; over `draws` pairs, or `DRAWS` if that is 0. A model with
        only its student draws none."""
        if self.networks_ is not None and f"diffusion-{self.rounds}" not in self.networks_:
            return self
        return self.replace(draws=self.draws or DRAWS)

    def _spread(self, seen: np.ndarray, advance: Advance | None) -> np.ndarray:
        r"""The unbiased standard deviation of the pair at each pixel, over `draws` draws of ε.

        This is the uncertainty that sampling adds, given the condition: the part of the pair due
        to ε. It does not include an error of the condition, which all pairs share, and it is not
        the deviation of x' given x_c. A sample's even part in ε is the pair, its odd part
        :math:`(\hat x^{\epsilon} - \hat x^{-\epsilon})/2`; the two are uncorrelated, so

        .. math:: Var(x' | x_c) = Var(pair) + Var(odd).

        If x' given x_c is Gaussian, however wide, all of it is odd and the pair has no spread.
        The sum minus σ² would be the clean pixel's variance. It is not returned: with 8 draws its
        error is half of σ², and samples of few steps spread too little to subtract σ² from.
        """
        mean, square = np.zeros_like(seen), np.zeros_like(seen)
        for k in range(self.draws):  # Welford: exactly 0 for equal pairs, and stores none
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
        """x_c, in which no pixel depends on its own noise. From a blind-spot network, the mean over
        four flips, which have different errors; from a student, one grid of hidden pixels after
        another."""
        if self.rounds == 1:
            mirrors: list[tuple[int, ...]] = [(), (1,), (2,), (1, 2)]
            every = [np.flip(self._whole("blind-spot", np.flip(seen, m)), m) for m in mirrors]
            mean: np.ndarray = np.mean(every, axis=0)
            return mean
        out, x = np.empty_like(seen), torch.from_numpy(seen)[None]
        for row, column in itertools.product(range(grid_of(self.blind or 1)), repeat=2):
            scored, filled = hidden(x, self.blind or 1, row, column)
            at = scored[0, 0].numpy() > 0
            out[:, at] = self._whole(f"student-{self.rounds - 1}", filled[0].numpy())[:, at]
        return out

    def _oracle(self, seen: np.ndarray) -> np.ndarray:
        """E[x' | x_c]: the limit of the pair's mean over all ε."""
        condition = self._condition(seen)
        scale = deviation_of(seen - condition)
        network = self._network(f"oracle-{self.rounds}")

        def answer(c: Tensor) -> Tensor:
            out: Tensor = network(torch.zeros_like(c), c, never(c))
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
        """x̂ from ε, and with `both` from −ε; ε is drawn for the whole field, so tiles agree."""
        condition = self._condition(seen)
        scale = deviation_of(seen - condition)
        network = self._network(f"diffusion-{self.rounds}")
        noise = np.random.default_rng(seed).standard_normal(seen.shape).astype(np.float32)

        def predict(state: Tensor, t: int) -> Tensor:
            """ε̂. Each step covers the whole field; otherwise tiles would drift apart."""

            def answer(part: Tensor) -> Tensor:
                x_t, c = part.chunk(2, 1)
                v: Tensor = network(x_t, c, torch.full((1,), t, device=part.device))
                return v

            v = self._over(np.concatenate([state[0].numpy(), condition]), network, answer)
            signal = float(SIGNAL[t])
            return math.sqrt(1 - signal) * state + math.sqrt(signal) * torch.from_numpy(v)[None]

        start = torch.from_numpy(noise)[None]
        residuals: tuple[Tensor, ...]
        if both:
            residuals = symmetric_pair(predict, start, SIGNAL, self.steps)
        else:
            residuals = (ddim(predict, start, SIGNAL, self.steps),)
        return tuple(condition + scale * r[0].numpy() for r in residuals)

    def _posterior(
        self, x: np.ndarray, noise: Process | Estimate, mean: np.ndarray, scale: float, seed: int
    ) -> np.ndarray:
        """The pair, corrected with the centre pixel; see the top of the package."""
        pair = self._pair_of(x, noise, mean, scale, seed)
        lags = (noise.autocorrelation if isinstance(noise, Process) else noise.lags)(LAGS)
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
        """Apply `function` to an image in tiles that overlap by the network's radius."""

        def run(part: np.ndarray) -> np.ndarray:
            with torch.inference_mode():
                return function(self._tensor(part)).float()[0].cpu().numpy()

        return tiled(run, x, size=self.tile, radius=network.radius, multiple=network.multiple)

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
        return channels_last(given)

r"""DDM²: a diffusion that begins at the noisy image itself.

T. Xiang, M. Yurt, A. B. Syed, K. Setsompop, A. Chaudhari, "DDM²: Self-supervised diffusion MRI
denoising with generative diffusion models", ICLR 2023. It has three stages:

1. *Noise model.* A network Φ predicts a slice x of a volume from the same slice of the volumes with
   the nearest directions, x', and never sees x itself (J-invariance, section 3.1):

   .. math:: \min_\Phi \|\Phi(x') - x\|^2, \quad \bar y = \Phi(x'), \quad \bar\epsilon = x - \bar y.

2. *State matching.* With signal in [−1, 1], the noisy slice is a state of the diffusion
   :math:`S_t = \sqrt{\bar\alpha_t}\, S_0 + \sqrt{1 - \bar\alpha_t}\, z`. The deviation σ of the
   residual :math:`\bar\epsilon` chooses which (section 3.2):

   .. math:: t^* = \arg\min_t \Big|\sigma - \sqrt{(1 - \bar\alpha_t) / \bar\alpha_t}\Big|.

3. *Generation.* A diffusion model learns the noisy slice from states of the prediction, with noise
   drawn from the shuffled residual (section 3.3):

   .. math:: \min_F \|F(\sqrt{\bar\alpha_t}\, \bar y + \sqrt{1 - \bar\alpha_t}\, \tilde z,\, t)
             - x\|^2, \quad \tilde z = \mathrm{shuffle}(\bar\epsilon) / \sigma.

   The target's noise is independent of the input, so F learns the mean of the clean slice. Sampling
   begins with :math:`S_{t^*} = \sqrt{\bar\alpha_{t^*}}\, x`.

Differences from the paper: the matched state is scaled by √ᾱ, with which it has the state's law
exactly; the schedule is linear between the paper's ends; sampling is DDIM, without fresh noise; and
the networks are small, trained for seconds and not for hours.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from hush.bases.series import (
    Seen,
    Slices,
    Trained,
    inner,
    level_of,
    padded,
    share_of,
    through,
    windows_side,
)
from hush.errors import HushError
from hush.results import Restoration

if TYPE_CHECKING:
    import torch
    from torch import Tensor

BETAS = (5e-5, 1e-2)  #: of the first and the last level of the schedule, as in the paper
TOTAL = 1000  #: levels
WINDOW = 64  #: most voxels of a window's side
AT_ONCE = 8  #: slices that are sampled together
LARGEST = 4.0  #: estimates of the clean signal, whose range is about [−1, 1], are cut beyond it


@dataclass
class DDM2(Trained):
    """DDM² of a series. A volume without others in its shell stays as it is.

    neighbours : volumes of the shell from which stage 1 predicts one; fewer are repeated.
    sampling : steps of stage 3. batch : windows in a training step.
    seconds, steps, width, seed : see `hush.bases.series.Trained`; each of the two trainings gets
    half of the time.

    A noise level that the user states takes the place of the residual's in stage 2.
    """

    seconds: float = 120.0
    neighbours: int = 3
    sampling: int = 5
    batch: int = 8

    name: ClassVar[str] = "ddm2"
    summary: ClassVar[str] = "a diffusion that begins at the noisy slices of a series"
    citation: ClassVar[str] = "Xiang et al., DDM², ICLR 2023"
    least: ClassVar[int] = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        if min(self.neighbours, self.sampling, self.batch) < 1:
            raise HushError("ddm2 needs at least 1 neighbour, 1 sampling step and a batch of 1")

    def denoised(self, seen: Seen, advance: Callable[[float], None]) -> Restoration:
        """See `VolumeMethod.denoised`."""
        low, high = seen.span()
        half = (high - low) / 2
        x = (seen.x - low) / half - 1  # the signal in [−1, 1]
        mates = {
            c: (near * self.neighbours)[: self.neighbours]
            for c in range(len(x))
            if (near := seen.series.nearest(c, self.neighbours))
        }
        said: tuple[str, ...] = ()
        if len(mates) < len(x):
            said = (
                "Volumes without others in their shell cannot be predicted, so ddm2 left "
                f"{len(x) - len(mates)} of {len(x)} as they were.",
            )
        if not mates:
            return Restoration(seen.x.copy(), seen.process, said=said)
        guess = self.noise_model(x, mates, share_of(advance, 0.4), share_of(advance, 0.1))
        deviation = self.residual_levels(seen, x - guess)
        if seen.noise is not None and seen.noise.stated:
            stated = level_of(seen.noise, seen.x).mean / half[:, 0, 0, 0]
            deviation = np.broadcast_to(stated[:, None], deviation.shape)
        signal = schedule()
        times = matched(deviation, signal)
        network = self.diffusion(x, guess, mates, deviation, times, share_of(advance, 0.4))
        made = x.copy()
        chosen = sorted(mates)
        made[chosen] = self.generated(network, x[chosen], times[chosen], signal, advance)
        trace = [{"state": int(np.median(times[chosen])), "states": TOTAL}]
        data = (made + 1) * half + low
        alone = [c for c in range(len(x)) if c not in mates]
        data[alone] = seen.x[alone]
        return Restoration(data, seen.process, said=said, trace=trace)

    def noise_model(
        self,
        x: np.ndarray,
        mates: Mapping[int, list[int]],
        trained: Callable[[float], None],
        applied: Callable[[float], None],
    ) -> np.ndarray:
        """Stage 1: predictions of all volumes from their neighbours; others stay as they are."""
        from hush.nets.slices import SliceUNet
        from hush.training import train

        network = self._seeded(lambda: SliceUNet(self.neighbours, 1, self.width))
        chosen = sorted(mates)

        def choose(rng: np.random.Generator) -> list[int]:
            c = chosen[int(rng.integers(len(chosen)))]
            return [c, *mates[c]]

        def loss(
            window: Tensor, _: list[int], generator: torch.Generator, done: float
        ) -> Mapping[str, Tensor]:
            """The network learns the difference from the neighbours' mean."""
            wanted, others = window[:, :1], window[:, 1:]
            answer = others.mean(1, keepdim=True) + network(others).float()
            return {"loss": (answer - wanted).square().mean()}

        side = windows_side(x.shape[2:], WINDOW, network.multiple)
        train(
            network,
            Slices(x, choose, side),
            loss,
            self.schedule(0.5, side, self.batch),
            device=self.device_,
            progress=False,
            advance=trained,
        )
        trained(1.0)
        guess = x.copy()
        for n, c in enumerate(chosen, start=1):
            others = x[mates[c]].swapaxes(0, 1)
            guess[c] = others.mean(1) + through(network, others, self.device_)[:, 0]
            applied(n / len(chosen))
        return guess

    def residual_levels(self, seen: Seen, residual: np.ndarray) -> np.ndarray:
        """Stage 2: deviations of the residual of each slice ``(C, Z)``, where there is signal."""
        there = ~seen.empty
        out = np.zeros(residual.shape[:2])
        for k, inside in enumerate(there):
            if inside.any():
                out[:, k] = residual[:, k][:, inside].std(-1)
        return out

    def diffusion(
        self,
        x: np.ndarray,
        guess: np.ndarray,
        mates: Mapping[int, list[int]],
        deviation: np.ndarray,
        times: np.ndarray,
        trained: Callable[[float], None],
    ) -> Any:
        """Stage 3's network, trained on the states up to the highest that was matched."""
        import torch

        from hush.nets.diffusion import DiffusionUNet
        from hush.training import train

        network = self._seeded(lambda: DiffusionUNet(1, (self.width, 2 * self.width), 1, TOTAL))
        chosen = sorted(mates)
        signal = torch.from_numpy(schedule()).float()
        last = max(1, int(times[chosen].max()))
        count = len(x)

        def choose(rng: np.random.Generator) -> list[int]:
            c = chosen[int(rng.integers(len(chosen)))]
            return [c, count + c]

        def loss(
            window: Tensor, _: list[int], generator: torch.Generator, done: float
        ) -> Mapping[str, Tensor]:
            wanted, known, place = window[:, :1], window[:, 1:], window.device
            order = torch.rand(known[:, 0].flatten(1).shape, generator=generator, device=place)
            shuffled = (wanted - known).flatten(1).gather(1, order.argsort(1)).view_as(known)
            spread = shuffled.std((1, 2, 3), keepdim=True).clamp(min=1e-6)
            z = (shuffled - shuffled.mean((1, 2, 3), keepdim=True)) / spread
            t = torch.randint(last + 1, (len(known),), generator=generator, device=place)
            now = signal.to(place)[t][:, None, None, None]
            state = now.sqrt() * known + (1 - now).sqrt() * z
            noise = network(state, torch.zeros_like(state), t).float()
            clean = (state - (1 - now).sqrt() * noise) / now.sqrt()
            return {"loss": (clean - wanted).square().mean()}

        side = windows_side(x.shape[2:], WINDOW, network.multiple)
        train(
            network,
            Slices(np.concatenate([x, guess]), choose, side),
            loss,
            self.schedule(0.5, side, self.batch),
            device=self.device_,
            progress=False,
            advance=trained,
        )
        trained(1.0)
        return network

    def generated(
        self,
        network: Any,
        x: np.ndarray,
        times: np.ndarray,
        signal: np.ndarray,
        advance: Callable[[float], None],
    ) -> np.ndarray:
        """Stage 3: the slices of `x` ``(C, Z, Y, X)`` from their matched states; DDIM."""
        import torch

        from hush.nets import placed
        from hush.sampling import ddim

        placed(network, self.device_).eval()
        flat, when = x.reshape(-1, 1, *x.shape[2:]), times.reshape(-1)
        out = np.empty_like(flat)

        def predict(state: Tensor, t: int) -> Tensor:
            """The noise in a state; the network's second input, a condition, is empty."""
            now = float(signal[t])
            time = torch.full((len(state),), t, device=state.device)
            noise = network(state, torch.zeros_like(state), time).float()
            clean = (state - math.sqrt(1 - now) * noise) / math.sqrt(now)
            clean = clean.clamp(-LARGEST, LARGEST)
            return (state - math.sqrt(now) * clean) / math.sqrt(1 - now)

        for t in np.unique(when):
            every = np.flatnonzero(when == t)
            for start in range(0, len(every), AT_ONCE):
                rows = every[start : start + AT_ONCE]
                state = padded(math.sqrt(signal[t]) * flat[rows], network.multiple)
                with torch.inference_mode():
                    given = torch.from_numpy(np.ascontiguousarray(state, np.float32))
                    steps = min(self.sampling, int(t) + 1)
                    made = ddim(predict, given.to(self.device_), signal[: t + 1], steps)
                out[rows] = inner(made.cpu().numpy(), network.multiple, x.shape)
                advance(0.1 * len(rows) / len(flat))
        return out.reshape(x.shape)


def schedule() -> np.ndarray:
    """The share of signal left, ᾱ, at each of the levels."""
    return np.cumprod(1 - np.linspace(*BETAS, TOTAL))


def matched(deviation: np.ndarray, signal: np.ndarray) -> np.ndarray:
    """Stage 2: the states t* whose noise, relative to their signal, has these deviations."""
    levels = np.sqrt((1 - signal) / signal)  # rising
    after = np.clip(np.searchsorted(levels, deviation), 1, len(levels) - 1)
    nearer = deviation - levels[after - 1] < levels[after] - deviation
    return np.where(nearer, after - 1, after)

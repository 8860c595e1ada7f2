r"""Diffusion over the coordinates of a set: elements that a model moves far are outliers.

J. Ho, A. Jain, P. Abbeel, "Denoising diffusion probabilistic models", NeurIPS 2020, with the
network that MID uses on sets, for comparison with it. Training adds noise to the coordinates of all
elements, and the network learns it:

.. math:: \arg\min_\theta E\,\|\epsilon - \epsilon_\theta(x_s, s)\|^2,
          \qquad x_s = (x + s\,\epsilon) / \sqrt{1 + s^2},

with levels s that are evenly spread in their logarithm. The sets hold outliers, and so does what
the model learns.

The set itself is then taken for a state x_s of some low levels s. Where an element is part of a
structure, the model moves it little; the score is the mean distance, relative to s.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from hush.bases.selecting import Verdict, decided
from hush.bases.sets import Drawn, LearnedSets, tensors
from hush.denoiser import Advance
from hush.errors import HushError
from hush.kinds.points.elements import Elements
from hush.nets.sets import ElementNet

LEVELS = (0.01, 2.0)  #: lowest and highest noise in training, of coordinates with spread 1
RATES = 4  #: sines and cosines that tell the network the level
LARGEST = 20_000  #: elements that are judged together; of more, random parts are judged
WIDTH = 2.5  #: robust standard deviations above the median from which on a score is an outlier's


@dataclass
class Diffusion(LearnedSets):
    """A DDPM of coordinates.

    width, layers, latents : of the network. levels : of noise that the set is taken for. seed : of
    the parts of large sets.
    """

    width: int = 48
    layers: int = 4
    latents: int = 16
    levels: Sequence[float] = (0.1, 0.2, 0.4)
    seed: int = 0

    name: ClassVar[str] = "diffusion"
    summary: ClassVar[str] = (
        "a diffusion model: what it moves far (sets) or cannot restore (alignments)"
    )
    citation: ClassVar[str] = (
        "Ho, Jain and Abbeel, Denoising Diffusion Probabilistic Models, NeurIPS 2020"
    )
    measures: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if not self.levels or not all(LEVELS[0] <= s <= LEVELS[1] for s in self.levels):
            raise HushError(f"levels are {LEVELS[0]:g} to {LEVELS[1]:g}, not {self.levels}")

    def build(self) -> ElementNet:
        """See `LearnedSets.build`."""
        node, edge = self.sizes
        most = self.set_kind.most
        node += most + 2 * RATES
        return ElementNet(node, edge, most, self.width, self.layers, self.latents)

    def coordinates(self, elements: Elements) -> np.ndarray:
        """Normalised coordinates ``(n, d)``; `HushError` if there are more than the network's."""
        most = self.set_kind.most
        if elements.x.shape[1] > most:
            raise HushError(
                f"{self.name} takes {self.set_kind.nouns[1]} with up to {most} coordinates, not "
                f"{elements.x.shape[1]}; choose some with --coordinates"
            )
        return self.set_kind.normalised(elements.x)

    def loss(self, network: Any, drawn: Sequence[Drawn]) -> Mapping[str, Tensor]:
        """Squared error of the noise."""
        states, noises, levels = [], [], []
        for elements, rng in drawn:
            x = self.coordinates(elements)
            level = float(np.exp(rng.uniform(*np.log(LEVELS))))
            axes = x.shape[1] if self.set_kind.most < 4 else 2  # mirrors both ends alike
            x = x * np.tile(rng.choice([-1.0, 1.0], axes), x.shape[1] // axes)
            noise = rng.standard_normal(x.shape)
            states.append(x + level * noise)
            noises.append(noise)
            levels.append(level)
        found = self._noise(network, states, levels)
        parts = [
            torch.mean((f[:, : z.shape[1]] - torch.from_numpy(z).to(f)) ** 2)
            for f, z in zip(found, noises, strict=True)
        ]
        return {"loss": torch.stack(parts).mean()}

    def _noise(
        self, network: Any, states: Sequence[np.ndarray], levels: Sequence[float]
    ) -> Sequence[Tensor]:
        """The noise that the network sees in states x + s ε ``(n, d)``, each ``(n, most)``."""
        graphs, further = [], []
        for state, level in zip(states, levels, strict=True):
            n, d = state.shape
            graphs.append(self.set_kind.graph(Elements(state, np.ones(n, bool))))
            scaled = np.zeros((n, self.set_kind.most))
            scaled[:, :d] = state / np.sqrt(1 + level**2)
            angle = np.log(level) * 2.0 ** np.arange(RATES) / 2
            told = np.concatenate([np.sin(angle), np.cos(angle)])
            further.append(np.concatenate([scaled, np.broadcast_to(told, (n, 2 * RATES))], 1))
        place = next(network.parameters()).device
        given = tensors(graphs, further, place)
        out: Tensor = network(*given).float()
        return out.split(given[3])

    def scores(self, elements: Elements, advance: Advance | None = None) -> np.ndarray:
        """How far the model moves each element ``(n,)``, relative to the level."""
        x = self.coordinates(elements)
        n, count = len(x), -(-len(x) // LARGEST)
        rows = np.arange(n)
        if count > 1:
            rows = np.random.default_rng(self.seed).permutation(n)
        score = np.zeros(n)
        for part in np.array_split(rows, count):
            for level in self.levels:
                with torch.inference_mode():
                    (found,) = self._noise(self.network, [x[part]], [level])
                moved = found.cpu().double().numpy()[:, : x.shape[1]]
                score[part] += np.linalg.norm(moved, axis=1) / len(self.levels)
                if advance:
                    advance(len(part) / n / len(self.levels))
        return score

    def verdict(
        self, elements: Elements, share: float | None, advance: Advance | None = None
    ) -> Verdict:
        """See `Selecting.verdict`.

        Without a given share, scores more than `WIDTH` robust standard deviations (1.48 times the
        median distance) above the median are outliers': few of them where outliers are many, as
        they set the median. There the probability is ½; it falls with the score as a logistic
        function of it, and is not calibrated.
        """
        score = self.scores(elements, advance)
        middle = np.median(score)
        deviation = 1.4826 * np.median(np.abs(score - middle)) or 1.0
        z = np.clip((score - middle) / deviation - WIDTH, -50, 50)
        said: tuple[str, ...] = ()
        if len(elements) > LARGEST:
            said = (
                f"{self.name} judged the elements in random parts of at most {LARGEST:,}, to limit "
                "the memory.",
            )
        return decided(elements, 1 / (1 + np.exp(z)), share).saying(said)

r"""Training MID on structured interference: the ladder superposes ECG (eqs. 1-3).

Exchangeability needs added and collected noise of one law *and one power*. ECG breaks that: it
comes in beats, its power is unknown, and there is one collected train of beats against two in
training. But the level v_0 may vary along the record, and between beats it is nearly zero. There
the share (v_t − v_0)/v_t is 1, and what was added is an exact target. The network cannot tell added
beats from collected ones, so it learns to remove both.

Two things more are known. Below `lowest` there is no EMG, so what is collected there is part of
the target. And what Φ finds in collected beats can be taken from them: such states are lower than
any collected one, down to those without interference, and exact in the same places.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from scipy import signal
from scipy.ndimage import uniform_filter1d
from torch import Tensor, nn

from hush.nets.wave import AROUND, CELL, DRIFT, InterferenceLevel
from hush.noise.bank import Bank
from hush.noise.process import seeded
from hush.starting import DECIBELS, Losses

BAND = (10.0, 45.0)  #: Hz, where an ECG stands out most
OVER = 8.0  #: times the running floor of the band's envelope, from which on there is a beat
WIDER = 0.08  #: seconds around a beat that also belong to it
SHARED, OWN_BAND = (20.0, 60.0), (90.0, 300.0)  #: Hz, with and without ECG
COLOUR_OVER, REDDER = 1.0, 2.0  #: seconds; times the lowest tenth, up to which a place is clean
FLOOR = 2e-3  #: errors below this share of the signal's power do not matter, −27 dB
LEAST = 256  #: samples without beats that a window needs to count
OWN = 6  #: every so many-th state is made lower, once this share of the training is done
BEGIN = 0.3
LOWER = 20.0  #: dB by which what is added to these may be weaker
ALONE = 0.3  #: share of these to which nothing is added


@dataclass(frozen=True)
class Superposition:
    """How training adds interference; the fields are those of `SignalMID`.

    bank : recordings of the interference; snr : the range of signal to added interference, in dB,
    of a window; rate : samples a second.
    """

    bank: Bank
    snr: tuple[float, float]
    rate: float


def beatless(x: np.ndarray, rate: float) -> np.ndarray:
    """Where a noisy signal ``(T,)`` is nearly free of ECG, bool: v_0 is nearly 0 there.

    The envelope of the ECG's band, over its running lower quartile of 4 s, marks beats.
    """
    top = min(BAND[1], 0.45 * rate)
    band = signal.butter(2, (min(BAND[0], top / 2), top), "bandpass", fs=rate, output="sos")
    smooth = signal.butter(2, min(8.0, 0.4 * rate), fs=rate, output="sos")
    power = np.square(signal.sosfiltfilt(band, x.astype(np.float64)))
    envelope = np.sqrt(np.maximum(signal.sosfiltfilt(smooth, power), 0))
    step, half = max(1, int(rate / 4)), int(2 * rate)
    floors = [
        np.quantile(envelope[max(0, i - half) : i + half], 0.25) for i in range(0, len(x), step)
    ]
    floor = np.repeat(floors, step)[: len(x)]
    wide = int(2 * WIDER * rate) + 1
    beats = np.convolve(envelope > OVER * floor, np.ones(wide), "same") > 0.5
    return ~beats


def colour(x: np.ndarray, free: np.ndarray, rate: float) -> np.ndarray:
    """Power of a signal ``(T,)`` in `SHARED` over that in `OWN_BAND`, running over free places.

    Hearts also come with noise of their own, between beats too, and it lies low.
    """
    size = int(COLOUR_OVER * rate)
    powers = []
    for band in (SHARED, OWN_BAND):
        inside = (band[0], min(band[1], 0.45 * rate))
        sos = signal.butter(2, inside, "bandpass", fs=rate, output="sos")
        power = np.square(signal.sosfiltfilt(sos, x.astype(np.float64))) * free
        powers.append(uniform_filter1d(power, size, mode="nearest"))
    made: np.ndarray = powers[0] / np.maximum(powers[1], 1e-12 * (powers[1].max() or 1.0))
    return made


def cleanest(items: Sequence[np.ndarray], rate: float) -> list[np.ndarray]:
    """Items ``(3, T)`` that are free only where their colour is near the lowest of all items."""
    colours = [colour(x[0], x[1], rate) for x in items]
    known = np.concatenate([c[x[1] > 0][::16] for c, x in zip(colours, items, strict=True)])
    if not known.size:
        return list(items)
    limit = REDDER * float(np.quantile(known, 0.1))
    return [
        np.stack([x[0], x[1] * (c < limit), x[2]]).astype(np.float32)
        for c, x in zip(colours, items, strict=True)
    ]


def below(x: np.ndarray, rate: float, lowest: float) -> np.ndarray:
    """What a signal ``(T,)`` has below `lowest` Hz, without the drift that networks leave alone."""
    if not lowest:
        return np.zeros_like(x)
    drift = x
    for _ in range(2):
        drift = uniform_filter1d(drift, DRIFT, mode="nearest")
    low = signal.butter(4, lowest, fs=rate, output="sos")
    part: np.ndarray = signal.sosfiltfilt(low, x - drift)
    return part


def interference_loss(
    networks: nn.ModuleDict,
    x: Tensor,
    ladder: Superposition,
    corpus: bool,
    generator: torch.Generator,
    done: float,
) -> dict[str, Tensor]:
    """Eq. 9 on windows ``(B, 3, T)``: the signal, where it is free of beats, and what is `below`.

    corpus : the signals are clean. done : share of the training that is done.
    """
    rng = seeded(generator)
    s_0, free, low = x.split(1, dim=1)
    own = torch.zeros(len(x), 1, 1, device=x.device)
    if corpus or done > BEGIN:  # lower states
        own[::OWN] = 1
    if not corpus and done > BEGIN:  # collected beats, less what Φ sees of them
        with torch.no_grad():
            seen = networks["noise"](s_0[::OWN]).float()
        s_0 = s_0.clone()
        s_0[::OWN] -= (1 - free[::OWN]) * seen
    known = free.sum(-1, keepdim=True)
    power = ((s_0 - low).square() * free).sum(-1, keepdim=True) / known.clamp(min=1)
    power = power.clamp(min=1e-30)
    drawn = [ladder.bank.draw(rng, x.shape[-1], ladder.rate) for _ in x]
    snr = rng.uniform(*ladder.snr, (len(x), 1, 1))
    level = torch.from_numpy(10 ** (-snr / 20)).to(x)
    level *= 10 ** (-own * torch.from_numpy(rng.uniform(0, LOWER, (len(x), 1, 1))).to(x) / 20)
    alone = torch.from_numpy(rng.random((len(x), 1, 1))).to(x) < ALONE * own
    added = torch.from_numpy(np.stack(drawn)[:, None]).to(x) * level * power.sqrt() * ~alone
    s_t = s_0 + added  # Δ accumulated since s_0 (eq. 3)

    # Φ (eq. 7): the whole interference, which is what was added where s_0 is free of it. In dB,
    # because that is how results are compared, and all levels count alike.
    whole = networks["noise"](s_t).float()
    error = ((whole - added - low).square() * free).sum(-1, keepdim=True) / known.clamp(min=1)
    counts = (known >= LEAST).float()
    noise = ((error / power + FLOOR).log() * counts).sum() / counts.sum().clamp(min=1)

    # Ψ (eq. 5): the share of the amplitude around each cell. In collected windows nobody knows it,
    # but Φ tells. Cross-entropy has the minimum of eq. 5, and no plateau.
    there = added if corpus else own * added + (1 - own) * whole.detach()
    share = amplitude_share(there, s_t, InterferenceLevel.cell)
    told: Any = networks["step"]
    step = F.binary_cross_entropy_with_logits(told.logits(s_t).float(), share)
    return {"noise_loss": noise, "step_loss": step}


def amplitude_share(interference: Tensor, state: Tensor, cell: int) -> Tensor:
    """The interference's share of the amplitude around each cell of ``(B, 1, T)``, 0 to 1."""
    size = 2 * (AROUND * CELL // cell) + 1

    def around(z: Tensor) -> Tensor:
        power = F.avg_pool1d(z.square(), cell, cell)
        mean = F.avg_pool1d(power, size, 1, size // 2, count_include_pad=False)
        return mean[:, 0]

    rest = around(state - interference)
    part = around(interference)
    return (part / (part + rest).clamp(min=1e-30)).sqrt()


def validated(
    networks: nn.ModuleDict,
    held_out: Sequence[np.ndarray],
    ladder: Superposition,
    corpus: bool,
) -> Mapping[str, float]:
    """The loss on held-out windows ``(3, T)`` with the same interference every time."""
    device = next(networks.parameters()).device
    generator = torch.Generator(device).manual_seed(0)
    with torch.inference_mode():
        losses = [
            interference_loss(
                networks, _fitting(x, networks).to(device), ladder, corpus, generator, 0.0
            )
            for x in held_out
            for _ in range(4)
        ]
    return {"val_loss": float(np.mean([float(part["noise_loss"]) for part in losses]))}


def losses(
    networks: nn.ModuleDict,
    parts: Sequence[np.ndarray],
    ladder: Superposition,
    corpus: bool,
    draws: int = 4,
) -> Losses:
    """Errors relative to the signal's power on windows ``(3, T)``, with frozen interference."""
    each = np.empty((len(parts), draws))
    for x, row in zip(parts, each, strict=True):
        for draw in range(draws):
            generator = torch.Generator().manual_seed(draw)
            given = _fitting(x, networks)
            terms = interference_loss(networks, given, ladder, corpus, generator, 0.0)
            row[draw] = math.exp(float(terms["noise_loss"]))
    return Losses(each, DECIBELS)


def _fitting(x: np.ndarray, networks: nn.ModuleDict) -> Tensor:
    """A window ``(3, T)`` as ``(1, 3, T)`` of a length that the networks take: cut, or extended if
    it is shorter than the least."""
    multiple = max(int(network.multiple) for network in networks.values())  # type: ignore[arg-type]
    length = max(1, x.shape[1] // multiple) * multiple
    x = np.pad(x[:, :length], [(0, 0), (0, max(0, length - x.shape[1]))], mode="edge")
    return torch.from_numpy(x)[None]

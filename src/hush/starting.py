"""Trainings that start from the weights of a trained model, and how they end beside one."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from hush.errors import HushError
from hush.schedule import TRAINED, Schedule

#: share of a method's usual learning rate for a training that starts from trained weights: in its
#: first minutes the usual one loses more than a few files can teach
GENTLE = 0.2
FEW = 4  #: parts from which on their spread says how sure a comparison is
SURE = 2.0  #: standard errors from which on a difference is told


#: units of a `Comparison`: of a squared error beside the truth, of one in units of the noise's
#: variance beside noisy data, and of any other loss
DECIBELS, NOISE, LOSS = "dB", "% of the noise's variance", "%"


@dataclass(frozen=True)
class Losses:
    """Losses of one model on the parts held out, with the same random numbers for every model.

    each : ``(parts, n)``, in n segments or draws of every part; losses of parts count alike. unit :
    in which differences between models are told.
    """

    each: np.ndarray
    unit: str = LOSS


#: the losses of networks on the parts held out
Score = Callable[[Any], Losses]


@dataclass(frozen=True)
class Comparison:
    """How a training ended beside another model, on the part held out.

    gain : by how much the error or loss is lower; below 0 if it is higher. error : its standard
    error. unit : ``"dB"``, ``"% of the noise's variance"`` or ``"%"``. kept : whether the weights
    of the other model were kept, because what was trained is not better.
    held_out : False if there was too little data to hold out, and it was trained on, too.
    """

    gain: float
    error: float
    unit: str
    kept: bool = False
    held_out: bool = True

    def entry(self) -> dict[str, Any]:
        """This for a model's card."""
        return {"verdict": self.verdict, **asdict(self)}

    def sentence(self, ours: str, theirs: str, aside: str = "") -> str:
        """This in words, given the names of both models; aside : where `keep` put the trained."""
        where = "the part held out" if self.held_out else "the training data (too small to split)"
        what = "loss" if self.unit == LOSS else "error"
        digits = max(0, min(4, 1 - math.floor(math.log10(max(self.error, 1e-9)))))
        size = f"{abs(self.gain):.{digits}f} ± {self.error:.{digits}f} {self.unit}"
        subject = "what was trained" if self.kept else ours
        if self.verdict == "same":
            sign = "−" if self.gain > 0 else "+"
            told = f"is no better than {theirs}: its {what} differs by {sign}{size}."
        else:
            change = "lower" if self.gain > 0 else "higher"
            told = f"is {self.verdict} than {theirs}: its {what} is {size} {change}."
        told = f"On {where}, {subject} {told}"
        if self.kept:
            there = f"; what was trained is in {aside}" if aside else ""
            return f"{told} So {ours} holds the weights of {theirs}{there}."
        return f"{told} Use {theirs}, or train longer." if self.verdict == "worse" else told

    @property
    def verdict(self) -> str:
        """``"better"``, ``"worse"`` or, if the difference is within twice its error, ``"same"``."""
        if not abs(self.gain) > SURE * self.error:
            return "same"
        return "better" if self.gain > 0 else "worse"


def compared(ours: Losses, theirs: Losses) -> Comparison:
    """Compare losses part by part; of few parts, piece by piece.

    Decibels are the mean over parts, as PSNR is: each part counts alike, whatever its error.
    """
    pairs = [x.each.mean(1) if len(x.each) >= FEW else x.each.ravel() for x in (ours, theirs)]
    if theirs.unit == DECIBELS:
        least = 1e-9 * pairs[1].mean()
        change = 10 * np.log10(np.maximum(pairs[1], least) / np.maximum(pairs[0], least))
    else:  # what they have in common cancels
        whole = 1.0 if theirs.unit == NOISE else float(np.abs(theirs.each).mean()) or 1.0
        change = 100 * (pairs[1] - pairs[0]) / whole
    error = float(change.std(ddof=1)) / math.sqrt(len(change))
    return Comparison(float(change.mean()), error, theirs.unit)


def settled(
    networks: nn.Module,
    others: nn.Module,
    score: Score,
    begun: Mapping[str, Tensor] | None,
    held_out: bool = True,
    keep: Callable[[], None] = lambda: None,
) -> Comparison:
    """Compare trained `networks` with `others`; unless they are better, go back to the start.

    begun : the weights of `others` that the training started from, or None if from any others.
    held_out : see `Comparison`. keep : called before going back, to put aside what was trained.
    """
    with torch.inference_mode():
        found = replace(compared(score(networks), score(others)), held_out=held_out)
    if found.verdict == "better" or begun is None:
        return found
    keep()
    networks.load_state_dict(begun)
    return replace(found, kept=True)


def put_aside(model: Any, folder: Path | None) -> None:
    """Save what was trained, but is no better, in the training's folder."""
    if folder is not None:
        model.save(folder / TRAINED)


def begin(networks: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Start from the weights of another model; residual blocks that it lacks are identities."""
    own = networks.state_dict()
    if any(k not in own or own[k].shape != w.shape for k, w in weights.items()):
        raise HushError(
            "the networks differ from those of the model to start from; use its settings and "
            "at least as many blocks, or train with --start none"
        )
    networks.load_state_dict({**own, **weights})


def gently(schedule: Schedule, resumed: Path | None = None, **usual: Any) -> Schedule:
    """A schedule for a training that starts from a model; `usual` as for `Schedule.settled`.

    resumed : the folder of the training that goes on, with its learning rate.
    """
    if schedule.learning_rate is None:
        rate = GENTLE * (schedule.settled(**usual).learning_rate or 0.0)
        if resumed is not None:
            from hush.training import SafeCheckpoint

            if (saved := resumed / "resume.safetensors").exists():
                rate = SafeCheckpoint().load_checkpoint(saved)["schedule"]["learning_rate"]
        schedule = replace(schedule, learning_rate=rate)
    return schedule.settled(**usual)

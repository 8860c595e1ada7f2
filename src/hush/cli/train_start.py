"""What ``hush train`` starts from, and what it is compared with at the end."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hush.denoiser import Denoiser
    from hush.noise.processes import Process

SCRATCH = "none"  #: ``--start`` without a model


@dataclass(frozen=True)
class Start:
    """What a training starts from.

    name : of the model, `SCRATCH`, or None if no model is shipped for this method; weights : the
    model. default : nobody asked for it. rival : the name of the shipped model to compare with at
    the end, or ""; against : that model. words : what to tell the user about it.
    """

    name: str | None = None
    weights: Any = None
    default: bool = False
    rival: str = ""
    against: Any = None
    words: str = ""

    @property
    def options(self) -> dict[str, Any]:
        """Options of ``fit``, which only methods with shipped models have to take."""
        given = {"start": self.weights, "against": self.against}
        return {name: model for name, model in given.items() if model is not None}


def begun_with(before: Mapping[str, Any] | None) -> str | None:
    """What the training to resume started from; None if it is a new training."""
    return None if before is None else before.get("start") or SCRATCH


def start_of(
    asked: str | None,
    model: Denoiser,
    channels: int,
    noise: Process | None,
    stated: Collection[str],
) -> Start:
    """What a training of `model` starts from, on data with so many channels.

    asked : as the user wants it; by default the shipped model, unless other sizes are stated.
    stated : the settings that the user states.
    """
    from hush.kinds.terms import listed
    from hush.models import load, path_of, shipped

    channels = model.taught(channels)
    rival = shipped(model.name, channels, model.kind.name, noise or _removed(model))
    against = load(rival) if rival else None
    given: dict[str, Any] = {}
    if against is not None and getattr(against, "channels", None) in (None, channels):
        given = {"rival": rival, "against": against}
    if asked not in (None, SCRATCH):
        chosen = against if asked == rival else load(path_of(str(asked)))
        return Start(asked, chosen, **given)
    if against is None:
        return Start(asked)
    if asked == SCRATCH:
        return Start(asked, **given)
    sizes = [k for k in model.architecture if k in stated]
    if other := [k for k in sizes if _listed(model, k) != _listed(against, k)]:
        words = f"training starts from scratch, because {rival} has other {listed(other)}"
        return Start(SCRATCH, **given, words=words)
    words = f"training starts from the shipped model {rival}; --start none starts from scratch"
    return Start(rival, against, True, **given, words=words)


def fitted(model: Denoiser, start: Start, stated: Collection[str]) -> Denoiser:
    """The untrained model with the sizes of that which it starts from, where none are stated.

    Raises `HushError` if these do not go with the stated ones.
    """
    if start.weights is None:
        return model
    sizes = [k for k in model.architecture if k not in stated and hasattr(start.weights, k)]
    theirs = {k: getattr(start.weights, k) for k in sizes}
    return type(model).for_kind(model.kind.name, **{**model.config(), **theirs})


def _removed(model: Denoiser) -> Process | None:
    """The noise that only special models remove, if this is one."""
    from hush.noise.processes import parse

    return parse(model.removes[0]) if model.removes else None


def _listed(model: Denoiser, name: str) -> Any:
    value = getattr(model, name)
    return list(value) if isinstance(value, tuple) else value

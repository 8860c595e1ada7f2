"""A method's settings by name, as ``--set NAME=VALUE`` and Python state them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields
from typing import Any, TypeVar

from hush.denoiser import Denoiser
from hush.errors import HushError

D = TypeVar("D", bound=Denoiser)

TILE = 64  #: the least side of a tile that can be stated
#: the type of a setting without a default, by its annotation; whole numbers for others
_TYPES: dict[Any, Any] = {"bool | None": False, "float | None": 0.0}


def settings_of(method: type[Denoiser]) -> dict[str, Any]:
    """The settings of a method, each with a value of its type."""
    return {f.name: _TYPES.get(f.type, f.default) for f in fields(method) if f.init}


def value_of(name: str, text: str, default: Any) -> Any:
    """The value of setting `name` in a text, with the type of its default.

    Raises `HushError` if the text is not such a value.
    """
    try:
        if isinstance(default, str):
            return text
        if isinstance(default, tuple):
            return tuple(type(default[0])(part) for part in text.strip("()[]").split(","))
        if isinstance(default, bool):
            return {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}[
                text.lower()
            ]
        return type(default)(text) if default is not None else int(text)
    except (ValueError, KeyError):
        example = ",".join(map(str, default)) if isinstance(default, tuple) else default
        kind = "a whole number" if default is None else f"a value like {example}"
        raise HushError(f"--set {name} needs {kind}, not '{text}'") from None


def adjusted(denoiser: D, settings: Mapping[str, Any]) -> D:
    """A method with other settings; texts are read by `value_of`.

    Of a trained model, only those that denoising reads can be changed (`Denoiser.applied`). Raises
    `HushError` for any other.
    """
    if not settings:
        return denoiser
    own = settings_of(type(denoiser))
    free = tuple(own)
    if denoiser.learns_from != "nothing":
        free = (*["steps"] * denoiser.iterates, *denoiser.applied)
    for name in settings:
        if name not in free:
            why = f"{denoiser.name} has no setting '{name}'"
            if name in own:
                why = f"'{name}' of {denoiser.name} is set in training, with hush train --set"
            raise HushError(f"{why}; for denoising there are {', '.join(free) or 'none'}")
    made = denoiser.replace(
        **{
            name: value_of(name, value, own[name]) if isinstance(value, str) else value
            for name, value in settings.items()
        }
    )
    if (getattr(made, "tile", None) or TILE) < TILE:
        raise HushError(f"tile must be at least {TILE}; smaller tiles are nearly all border")
    if getattr(made, "seed", 0) < 0:
        raise HushError("a seed is a whole number from 0")
    for name in {"learning_rate", "batch"} & own.keys():
        if not 0 < getattr(made, name) < math.inf:
            raise HushError(f"{name} must be above 0, not {getattr(made, name)}")
    check = getattr(made, "__post_init__", None)
    if check:
        check()
    return made

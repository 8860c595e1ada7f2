"""Trained models: shipped ones by name, and model files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from hush import kinds
from hush.denoiser import ANY, FORMAT, Denoiser
from hush.devices import device_for
from hush.errors import HushError
from hush.methods import get, make
from hush.noise.process import Process
from hush.record import Record
from hush.settings import adjusted

WEIGHTS = Path(__file__).parent / "weights"


def cards() -> list[dict[str, Any]]:
    """The shipped models' cards, each with the model's name."""
    return [
        {"name": path.stem, **json.loads(path.read_text(encoding="utf-8"))}
        for path in sorted(WEIGHTS.glob("*.json"))
    ]


def shipped(
    method: str, channels: int, kind: str = "image", noise: Process | None = None
) -> str | None:
    """Name of a method's shipped model for this number of channels, or for one channel.

    noise : as stated; for some families there are models of their own (`Denoiser.removes`).
    """
    every = [c for c in cards() if c["method"] == method and c.get("kind", "image") == kind]
    special = {family for card in every for family in card.get("removes", ())}
    family = noise.family if noise is not None and noise.family in special else None
    names = {
        card["channels"]: card["name"]
        for card in every
        if (family in card["removes"] if "removes" in card else family is None)
    }
    return names.get(channels, names.get(1))


def name_for(
    model: str | Path | Denoiser | None,
    record: Record,
    method: str,
    noise: Process | None = None,
) -> str:
    """The name of the model for a record: as given, or the shipped one for channels and noise."""
    if isinstance(model, Denoiser):
        return ""
    if model is not None:
        return str(model)
    name = shipped(method, kinds.get(record.kind).joint(record), record.kind, noise)
    if name is None:
        what = "" if record.kind == "image" else f" and {kinds.get(record.kind).nouns[1]}"
        of = "" if record.kind == "image" else f" --kind {record.kind}"
        raise HushError(
            f"no model is shipped for {method}{what}; train one with "
            f"hush train --method {method}{of} and pass it with --model"
        )
    return name


def path_of(name: str) -> Path:
    """The file of a model, given a shipped model's name or a path."""
    own = WEIGHTS / f"{name}.safetensors"
    if own.exists():
        return own
    path = Path(name)
    if not path.exists():
        names = ", ".join(card["name"] for card in cards())
        raise HushError(f"there is no model '{name}'; give a file, or one of {names}")
    return path


def load(model: str | Path) -> Denoiser:
    """Load a trained model: a shipped one by name, or a file. Loading never runs code in it.

    Raises `HushError` if the file is missing, damaged, not a hush model, or from a newer hush.
    """
    from safetensors import SafetensorError, safe_open

    path = WEIGHTS / f"{model}.safetensors"
    path = path if path.exists() else Path(model)
    if path.is_dir():
        raise HushError(f"{path} is a folder; give the .safetensors file in it")
    try:
        with safe_open(path, framework="pt") as f:
            written = (f.metadata() or {}).get("hush")
            if written is None:
                raise HushError(
                    f"{path} holds tensors but is not a hush model; train one with hush train"
                )
            meta = json.loads(written)
            tensors = {key: f.get_tensor(key) for key in f.keys()}  # noqa: SIM118
        denoiser = _restored(meta, path)
        denoiser.load_weights(tensors)
    except FileNotFoundError:
        raise HushError(f"there is no model at {path}; hush models lists those shipped") from None
    except SafetensorError:
        if path.suffix == ".json":
            weights = path.with_suffix(".safetensors")
            raise HushError(f"{path} is a model's card; give the model itself, {weights}") from None
        raise HushError(
            f"{path} is not a complete .safetensors file; copy it again, or train a new model"
        ) from None
    except (KeyError, TypeError, ValueError, RuntimeError, OSError) as e:
        raise HushError(
            f"{path} cannot be read as a hush model ({e}); train one with hush train"
        ) from e
    denoiser.card_ = meta.get("card", {})  # type: ignore[attr-defined]
    return denoiser


def _restored(meta: dict[str, Any], path: Path) -> Denoiser:
    """The method described in a model file's header, with current names of settings."""
    if meta.get("format", 1) > FORMAT:
        raise HushError(f"{path} was written by a newer hush; update hush to read it")
    name, kind = meta["method"], meta.get("kind", "image")
    cls = get(name, kind)
    settings = {}
    for setting, value in meta["config"].items():
        today = cls.renamed.get(setting, setting)
        if today is not None:
            settings[today] = value
    return make(name, kind, **settings)


def choose(
    record: Record,
    model: str | Path | Denoiser | None,
    method: str | None = None,
    steps: int | None = None,
    device: str = "auto",
    noise: Process | None = None,
    settings: Mapping[str, Any] | None = None,
) -> Denoiser:
    """The denoiser for a record: as given, the shipped model for its channels, or a method.

    noise : as stated, if it is; settings : of the method, other than it has.
    """
    wanted = method or "mid"
    if isinstance(model, Denoiser):
        denoiser = model
    elif get(wanted, record.kind).learns_from == "nothing":
        if model is not None:
            raise HushError(f"{wanted} is not trained and takes no model; leave --model out")
        denoiser = make(wanted, record.kind)
    else:
        denoiser = _loaded(str(path_of(name_for(model, record, wanted, noise))))
        if method and denoiser.name != method:
            raise HushError(f"{model} is a {denoiser.name} model, not a {method} model")
    if not denoiser.kind_ and denoiser.kinds == ANY:
        denoiser = denoiser.replace()
        denoiser.kind_ = record.kind
    if denoiser.kind.name != record.kind:
        ours, theirs = (kinds.get(k).nouns[1] for k in (denoiser.kind.name, record.kind))
        raise HushError(
            f"this model denoises {ours}, not {theirs}; choose another with --model, or state "
            f"--kind {denoiser.kind.name} if the file holds {ours}"
        )
    special = noise is not None and not noise.stated and denoiser.learns_from == "noisy"
    if special and noise is not None and noise.family not in denoiser.removes:
        raise HushError(
            f"this model does not remove {noise.family} interference; leave --model out, or "
            f"train one with hush train --noise {noise.family}"
        )
    if steps is not None:
        if isinstance(steps, bool) or not isinstance(steps, int) or steps < 1:
            raise HushError(f"steps must be a whole number from 1, not {steps!r}")
        if not denoiser.iterates:
            raise HushError(f"{denoiser.name} does not remove noise in steps; leave --steps out")
        denoiser = denoiser.replace(steps=steps)
    return adjusted(denoiser, settings or {}).to(device_for(device))


@lru_cache(maxsize=4)
def _loaded(path: str) -> Denoiser:
    return load(path)

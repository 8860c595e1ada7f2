"""Trained models: those that are shipped, by name, and those in files."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

from hush import kinds
from hush.denoiser import FORMAT, Denoiser
from hush.errors import HushError
from hush.methods import get, make
from hush.record import Record

WEIGHTS = Path(__file__).parent / "weights"


def cards() -> list[dict[str, Any]]:
    """The shipped models' cards, each with the model's name."""
    return [
        {"name": path.stem, **json.loads(path.read_text(encoding="utf-8"))}
        for path in sorted(WEIGHTS.glob("*.json"))
    ]


def shipped(method: str, channels: int, kind: str = "image") -> str | None:
    """Name of a method's shipped model for items of so many channels, or for one channel."""
    names = {
        card["channels"]: card["name"]
        for card in cards()
        if card["method"] == method and card.get("kind", "image") == kind
    }
    return names.get(channels, names.get(1))


def name_for(model: str | Path | Denoiser | None, record: Record, method: str) -> str:
    """What the model for a record is called: as given, or the shipped one for its channels."""
    if isinstance(model, Denoiser):
        return ""
    if model is not None:
        return str(model)
    name = shipped(method, kinds.get(record.kind).joint(record), record.kind)
    if name is None:
        what = "" if record.kind == "image" else f" and {kinds.get(record.kind).nouns[1]}"
        raise HushError(
            f"no model is shipped for {method}{what}; train one with hush train --method {method}, "
            "and give it with --model"
        )
    return name


def path_of(name: str) -> Path:
    """The file of a model: a shipped one's name, or a path."""
    own = WEIGHTS / f"{name}.safetensors"
    if own.exists():
        return own
    path = Path(name)
    if not path.exists():
        names = ", ".join(card["name"] for card in cards())
        raise HushError(f"there is no model '{name}': give a file, or one of {names}")
    return path


def load(model: str | Path) -> Denoiser:
    """A trained model: a shipped one by its name, or a file. No code in the file can run.

    Raises `HushError` where the file is missing, damaged, not a model of hush, or of a newer hush.
    """
    from safetensors import SafetensorError, safe_open

    path = WEIGHTS / f"{model}.safetensors"
    path = path if path.exists() else Path(model)
    if path.is_dir():
        raise HushError(f"{path} is a folder; give the model in it, a .safetensors file")
    try:
        with safe_open(path, framework="pt") as f:
            written = (f.metadata() or {}).get("hush")
            if written is None:
                raise HushError(
                    f"{path} holds tensors but is not a model of hush; train one with hush train"
                )
            meta = json.loads(written)
            tensors = {key: f.get_tensor(key) for key in f.keys()}  # noqa: SIM118
        denoiser = _restored(meta, path)
        denoiser.load_weights(tensors)
    except FileNotFoundError:
        raise HushError(f"there is no model at {path}; `hush models` lists those shipped") from None
    except SafetensorError:
        if path.suffix == ".json":
            weights = path.with_suffix(".safetensors")
            raise HushError(f"{path} is a model's card; give the model, {weights}") from None
        raise HushError(
            f"{path} is not a whole .safetensors file; copy it again, or train one with hush train"
        ) from None
    except (KeyError, TypeError, ValueError, RuntimeError, OSError) as e:
        raise HushError(
            f"{path} cannot be read as a hush model ({e}); train one with hush train"
        ) from e
    denoiser.card_ = meta.get("card", {})  # type: ignore[attr-defined]
    return denoiser


def _restored(meta: dict[str, Any], path: Path) -> Denoiser:
    """The method that a model file's header describes, its settings by today's names."""
    if meta.get("format", 1) > FORMAT:
        raise HushError(f"{path} was written by a newer hush; update this one to read it")
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
) -> Denoiser:
    """The denoiser for a record: the one given, the shipped one for its channels, or a method."""
    wanted = method or "mid"
    if isinstance(model, Denoiser):
        denoiser = model
    elif get(wanted, record.kind).learns_from == "nothing":
        if model is not None:
            raise HushError(f"{wanted} has nothing to learn and takes no model; leave --model out")
        denoiser = make(wanted, record.kind)
    else:
        denoiser = _loaded(str(path_of(name_for(model, record, wanted))))
        if method and denoiser.name != method:
            raise HushError(f"{model} is a model of {denoiser.name}, not of {method}")
    if denoiser.kind_ and denoiser.kind_ != record.kind:
        ours, theirs = (kinds.get(k).nouns[1] for k in (denoiser.kind_, record.kind))
        raise HushError(f"this model denoises {ours}, not {theirs}; choose another with --model")
    if steps is not None:
        if isinstance(steps, bool) or not isinstance(steps, int) or steps < 1:
            raise HushError(f"steps is a whole number, 1 or more, not {steps!r}")
        if not denoiser.iterates:
            raise HushError(f"{denoiser.name} does not remove noise in steps; leave --steps out")
        denoiser = denoiser.replace(steps=steps)
    return denoiser.to(device_for(device))


@lru_cache(maxsize=4)
def _loaded(path: str) -> Denoiser:
    return load(path)


def device_for(device: str) -> str:
    """``auto`` as the device there is; `HushError` for one that is not."""
    if device == "cpu":
        return device
    import torch

    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if not torch.cuda.is_available() and device.startswith("cuda"):
        raise HushError("there is no CUDA device here; use --device cpu")
    if not device.startswith("cuda"):
        raise HushError(f"'{device}' is not a device that hush knows; use auto, cpu or cuda")
    return device

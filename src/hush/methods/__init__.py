"""One paper, one file. Methods are found by name and imported only when asked for."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path

from hush.denoiser import Denoiser
from hush.errors import HushError

#: command-line name → (module, class)
METHODS = {
    "mid": ("hush.methods.mid", "MID"),
    "noise2noise": ("hush.methods.noise2noise", "Noise2Noise"),
    "noise2void": ("hush.methods.noise2void", "Noise2Void"),
    "noise2self": ("hush.methods.noise2self", "Noise2Self"),
    "neighbor2neighbor": ("hush.methods.neighbor2neighbor", "Neighbor2Neighbor"),
    "diffdenoise": ("hush.methods.diffdenoise", "DiffDenoise"),
    "puca": ("hush.methods.puca", "PUCA"),
    "lgbpn": ("hush.methods.lgbpn", "LGBPN"),
    "nafnet": ("hush.methods.nafnet", "NAFNet"),
    "bm3d": ("hush.methods.bm3d", "BM3D"),
    "none": ("hush.methods.identity", "Identity"),
}


WEIGHTS = Path(__file__).parents[1] / "weights"


def shipped(method: str, channels: int) -> str:
    """Name of a method's shipped model for RGB, or the gray one for any other channels."""
    return f"{method}-rgb" if channels == 3 else f"{method}-gray"


def get(name: str) -> type[Denoiser]:
    """The method's class; `HushError` names those there are."""
    if name not in METHODS:
        raise HushError(f"there is no method '{name}'; there are {', '.join(METHODS)}")
    module, cls = METHODS[name]
    method: type[Denoiser] = getattr(import_module(module), cls)
    return method


def load(path: str | Path) -> Denoiser:
    """Read a model that `Denoiser.save` wrote. No code in the file can run.

    Raises `HushError` where the file is missing, damaged or no model of hush.
    """
    from safetensors import SafetensorError, safe_open

    path = Path(path)
    if path.is_dir():
        raise HushError(f"{path} is a folder; give the model in it, a .safetensors file")
    try:
        with safe_open(path, framework="pt") as f:
            written = (f.metadata() or {}).get("hush")
            if written is None:
                raise HushError(
                    f"{path} holds tensors, but no model of hush; train one with hush train"
                )
            meta = json.loads(written)
            tensors = {key: f.get_tensor(key) for key in f.keys()}  # noqa: SIM118
        model = get(meta["method"])(**meta["config"])
        model.load_weights(tensors)
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
        raise HushError(f"{path} is no readable hush model ({e}); train one with hush train") from e
    model.card_ = meta.get("card", {})  # type: ignore[attr-defined]
    return model

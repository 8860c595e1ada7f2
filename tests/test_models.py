"""Model files: of earlier versions, of newer ones, and what is shipped."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.torch import load_file, save_file

import hush
from hush import models
from hush.denoiser import FORMAT
from hush.methods.mid.image import MID
from hush.record import Record

OLD = Path(__file__).parent / "models"


def header(path: Path) -> dict[str, Any]:
    from safetensors import safe_open

    with safe_open(path, framework="pt") as f:
        meta: dict[str, Any] = json.loads(f.metadata()["hush"])
    return meta


def rewritten(path: Path, target: Path, **changes: Any) -> Path:
    """A model file with other fields in its header; None takes one out."""
    meta = {k: v for k, v in (header(path) | changes).items() if v is not None}
    save_file(load_file(path), target, metadata={"hush": json.dumps(meta)})
    return target


def test_a_file_without_a_version_loads_for_good() -> None:
    """Written before files had a version and a kind; its result is of that time, too, with the
    level of that time on the way down.
    """
    assert "format" not in header(OLD / "mid-1.safetensors")
    model = hush.load(OLD / "mid-1.safetensors")
    assert isinstance(model, MID)
    assert (model.kind.name, model.channels, model.steps) == ("image", 1, 2)
    x = np.random.default_rng(0).random((24, 24), np.float32)
    expected = np.load(OLD / "mid-1.npy").clip(0, 1)  # results keep the range of the data now
    model.power = 1.0
    np.testing.assert_allclose(model.denoise(x, "gaussian:0.1"), expected, atol=1e-5)


def test_a_file_says_its_version_and_kind(random_mid: Callable[..., MID], tmp_path: Path) -> None:
    random_mid().save(tmp_path / "m.safetensors")
    meta = header(tmp_path / "m.safetensors")
    assert (meta["format"], meta["method"], meta["kind"]) == (FORMAT, "mid", "image")
    newer = rewritten(tmp_path / "m.safetensors", tmp_path / "n.safetensors", format=FORMAT + 1)
    with pytest.raises(hush.HushError, match="written by a newer hush; update hush"):
        hush.load(newer)


def test_renamed_settings_are_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = header(OLD / "mid-1.safetensors")["config"]
    config["increments"] = config.pop("steps")
    config["gone"] = 3
    path = rewritten(OLD / "mid-1.safetensors", tmp_path / "m.safetensors", config=config)
    with pytest.raises(hush.HushError, match="increments"):
        hush.load(path)
    monkeypatch.setattr(MID, "renamed", {"increments": "steps", "gone": None})
    assert hush.load(path).config()["steps"] == 2


def test_shipped_models_are_found_by_name_and_by_what_they_are_for() -> None:
    assert models.shipped("mid", 1) == "mid-gray"
    assert models.shipped("mid", 3) == "mid-rgb"
    assert models.shipped("mid", 5) == "mid-gray"
    assert models.shipped("puca", 1) is None
    assert models.shipped("mid", 1, "trace") is None
    assert hush.load("mid-gray").config()["channels"] == 1
    colours = np.random.default_rng(0).integers(0, 256, (8, 8, 3)).astype(np.uint8)
    rgb = Record(colours, "YXS")
    assert models.name_for(None, rgb, "mid") == "mid-rgb"
    channels = Record(np.zeros((3, 8, 8), np.uint8), "CYX")  # unrelated gray images
    assert models.name_for(None, channels, "mid") == "mid-gray"

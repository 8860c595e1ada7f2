"""``--set NAME=VALUE`` of ``hush denoise``: what is listed works, or is refused in a sentence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from click.testing import CliRunner

import hush
from hush import kinds
from hush.cli import main
from hush.denoiser import ANY, Denoiser
from hush.errors import HushError
from hush.methods import METHODS, get, kinds_of, make
from hush.models import load
from hush.settings import TILE, adjusted, settings_of, value_of

CLASSES = sorted(
    {
        get(name, kind)
        for name in METHODS
        for kind in kinds.KINDS
        if kinds_of(name) == ANY or kind in kinds_of(name)
    },
    key=lambda c: (c.name, c.__module__, c.__qualname__),
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    x = 100 + 8 * np.random.default_rng(0).standard_normal((40, 48))
    tifffile.imwrite(tmp_path / "noisy.tif", x.astype(np.uint8))
    return tmp_path / "noisy.tif"


def denoise(*options: str) -> Any:
    return CliRunner().invoke(main, ["denoise", *options])


@pytest.mark.parametrize("method", CLASSES, ids=lambda c: f"{c.name}-{c.__qualname__}")
def test_a_listed_default_is_read_back(method: type[Denoiser]) -> None:
    for name, default in settings_of(method).items():
        if default is not None:
            text = ",".join(map(str, default)) if isinstance(default, tuple) else str(default)
            assert value_of(name, text, default) == default


@pytest.mark.parametrize("method", CLASSES, ids=lambda c: f"{c.name}-{c.__qualname__}")
def test_what_denoising_reads_is_a_setting(method: type[Denoiser]) -> None:
    assert set(method.applied) <= set(settings_of(method))
    assert (method.learns_from == "nothing") <= (not method.applied)


def test_settings_act(file: Path) -> None:
    x = tifffile.imread(file)
    weak, strong = (
        hush.run(x, method="tv", settings={"weight": w}).data.std() for w in (0.05, 2.0)
    )
    assert strong < weak
    done = denoise(str(file), "--method", "tv", "--set", "weight=2.0", "--json")
    assert done.exit_code == 0
    assert json.loads(done.stdout)["settings"] == {"weight": "2.0"}
    written = tifffile.imread(file.with_name("noisy.denoised.tif"))
    np.testing.assert_array_equal(written, hush.run(x, method="tv", settings={"weight": 2.0}).data)


def test_a_method_for_one_image_takes_as_many_steps_as_stated(file: Path) -> None:
    x = tifffile.imread(file)
    one, other = (hush.run(x, method="dip", settings={"steps": "3", "seed": s}) for s in "01")
    assert (one.data != other.data).any()


def test_a_shipped_model_is_not_changed_by_settings() -> None:
    model = load("mid-gray")
    assert adjusted(model, {"turns": "4"}).config()["turns"] == 4
    assert model.config()["turns"] == 2


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--set", "turns"], "write NAME=VALUE"),
        (["--set", "foo=1"], "mid has no setting 'foo'"),
        (["--set", "widths=8,8,8"], "'widths' of mid is set in training"),
        (["--set", "turns=x"], "--set turns needs a value like 2, not 'x'"),
        (["--set", "level=bad"], "level must be"),
        (["--set", "tile=8"], f"tile must be at least {TILE}"),
        (["--method", "wiener", "--set", "tile=64"], "for denoising there are none"),
    ],
)
def test_others_are_refused_in_a_sentence(options: list[str], words: str, file: Path) -> None:
    done = denoise(str(file), *options)
    assert done.exit_code != 0
    assert words in done.output
    assert not file.with_name("noisy.denoised.tif").exists()


def test_python_refuses_them_too() -> None:
    with pytest.raises(HushError, match="no setting 'colour'"):
        adjusted(make("tv", "image"), {"colour": 1})


def test_a_tile_may_be_the_whole_image() -> None:
    assert adjusted(make("dip", "image"), {"tile": None}).config()["tile"] is None

"""Exported graphs: what onnxruntime makes of them is what hush does."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

import hush
from hush import onnx
from hush.cli import main
from hush.denoiser import Denoiser
from hush.methods import get
from hush.tiling import tiles

onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

pytestmark = pytest.mark.usefixtures("one_thread_throughout")

METHODS = ("noise2noise", "noise2void", "neighbor2neighbor", "nafnet", "puca", "lgbpn")
#: the blind spots' phases make the exporter slow
SLOW = ("puca", "lgbpn")
CASES = [
    pytest.param((name, channels), marks=[pytest.mark.slow] * (name in SLOW))
    for name in (*METHODS, "diffdenoise")
    for channels in (1, 3)
]
SHAPES = [(16, 24), (37, 51), (5, 6), (1, 20)]


@pytest.fixture(scope="module", params=CASES, ids=lambda case: f"{case[0]}-{case[1]}")
def exported(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    random_learned: Callable[..., Denoiser],
    random_diffdenoise: Callable[..., Denoiser],
) -> tuple[Denoiser, Any]:
    """A model of random weights, and its exported graph, ready to run."""
    name, channels = request.param
    model = (
        random_diffdenoise(channels) if name == "diffdenoise" else random_learned(*request.param)
    )
    path = tmp_path_factory.mktemp("onnx") / "model.onnx"
    hush.export(model, path)
    return model, onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


def run(session: Any, noisy: np.ndarray) -> np.ndarray:
    (out,) = session.run(["denoised"], {"noisy": noisy})
    return np.asarray(out)


@pytest.mark.parametrize(("gain", "offset"), [(1, 0), (1000, 50_000), (1e-9, -1e-9)], ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_the_graph_does_what_restore_does(
    exported: tuple[Denoiser, Any], shape: tuple[int, int], gain: float, offset: float
) -> None:
    """For each image of a batch apart, of any size and in any units."""
    model, session = exported
    rng, channels = np.random.default_rng(0), model.config()["channels"]
    x = rng.random((2, channels, *shape)) * [[[[1]]], [[[3]]]] + rng.random((2, channels, 1, 1))
    noisy = (gain * x + offset).astype(np.float32)
    out = run(session, noisy)
    assert out.dtype == np.float32
    for given, ours in zip(noisy, out, strict=True):
        expected = model.restore(given).data
        np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-4 * np.ptp(given))


def test_a_constant_image_stays_as_it_is(exported: tuple[Denoiser, Any]) -> None:
    model, session = exported
    flat = np.full((2, model.config()["channels"], 13, 9), 0.3, np.float32)
    flat[1] = 1e6 / 3
    np.testing.assert_array_equal(run(session, flat), flat)


def test_sizes_are_free_and_named(exported: tuple[Denoiser, Any]) -> None:
    model, session = exported
    (given,), (made,) = session.get_inputs(), session.get_outputs()
    shape = ["N", model.config()["channels"], "H", "W"]
    assert [given.name, given.type, given.shape] == ["noisy", "tensor(float)", shape]
    assert [made.name, made.type, made.shape] == ["denoised", "tensor(float)", shape]


@pytest.mark.parametrize("n", [1, 2, 3, 7, 8, 33])
@pytest.mark.parametrize("multiple", [1, 4, 8])
def test_the_graph_mirrors_as_tiles_do(n: int, multiple: int) -> None:
    (tile,) = tiles(n, n, size=64, radius=64, multiple=multiple)
    np.testing.assert_array_equal(onnx.mirrored(n, 8, multiple).numpy(), tile.rows)


# -- the file ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def nafnet(random_learned: Callable[..., Denoiser]) -> Denoiser:
    """A small model with a card."""
    model: Any = random_learned("nafnet")
    model.card_ = {"licence": "CC0-1.0", "data": [{"folder": "søer", "files": 2}], "seed": 0}
    return model


def test_the_command_writes_a_file_that_says_what_it_is(nafnet: Denoiser, tmp_path: Path) -> None:
    nafnet.save(tmp_path / "m.safetensors")
    command = ["export", str(tmp_path / "m.safetensors"), "-o", str(tmp_path / "m.onnx")]
    done = CliRunner().invoke(main, command)
    assert done.exit_code == 0, done.output
    assert "m.onnx" in done.stdout
    assert done.stderr == ""
    written = (tmp_path / "m.onnx").read_bytes()
    assert str(Path(onnx.__file__).parent).encode() not in written
    said = onnxruntime.InferenceSession(written).get_modelmeta().custom_metadata_map
    assert said["method"] == "nafnet"
    assert said["citation"] == nafnet.citation
    assert said["licence"] == "CC0-1.0"
    assert json.loads(said["data"]) == nafnet.card["data"]

    again = CliRunner().invoke(main, command)
    assert (again.exit_code, "--overwrite replaces it" in again.stderr) == (1, True)
    skipped = CliRunner().invoke(main, [*command, "--skip-existing"])
    assert (skipped.exit_code, "nothing was exported" in skipped.stderr) == (0, True)
    command[-1] = command[1]
    itself = CliRunner().invoke(main, [*command, "--overwrite"])
    assert (itself.exit_code, "is the model itself" in itself.stderr) == (1, True)
    assert (tmp_path / "m.onnx").read_bytes() == written


def test_a_file_that_differs_is_not_kept(
    nafnet: Denoiser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = onnx.Graph.forward
    monkeypatch.setattr(onnx.Graph, "forward", lambda self, noisy: 1.001 * old(self, noisy))
    with pytest.raises(hush.HushError, match=r"differs from hush's own by .* nothing was written"):
        hush.export(nafnet, tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


# -- refusals ---------------------------------------------------------------------------------


@pytest.fixture
def nowhere(tmp_path: Path) -> Iterator[Path]:
    """A path that nothing may be written to."""
    yield tmp_path / "model.onnx"
    assert not list(tmp_path.iterdir())


def test_methods_of_more_than_one_pass_are_refused(
    nowhere: Path,
    random_mid: Callable[..., Denoiser],
    random_learned: Callable[..., Denoiser],
    random_diffdenoise: Callable[..., Denoiser],
) -> None:
    for model, said in (
        (random_mid(), "mid is not one pass of one network, and cannot be exported"),
        (get("none")(), "none is not one pass of one network"),
        (random_learned("noise2self"), "in 16 passes, and cannot be exported"),
        (random_diffdenoise(output="pair"), "gives its pair, which is many passes"),
    ):
        with pytest.raises(hush.HushError, match=said):
            hush.export(model, nowhere)


@pytest.mark.parametrize("name", ["nafnet", "diffdenoise"])
def test_what_was_not_trained_is_refused(name: str, nowhere: Path) -> None:
    with pytest.raises(hush.HushError, match="has not been trained; there is nothing to export"):
        hush.export(get(name)(), nowhere)


@pytest.mark.parametrize("missing", ["onnxruntime", "onnxscript"])
def test_without_the_extra_there_is_a_sentence(
    missing: str, nafnet: Denoiser, nowhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(hush.HushError, match=rf"{missing}: pip install 'hush-denoise\[onnx\]'"):
        hush.export(nafnet, nowhere)

"""Exported graphs: what onnxruntime makes of them is what hush does."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result

import hush
from hush import onnx
from hush.bases.learned import Learned
from hush.cli import main
from hush.denoiser import Denoiser
from hush.methods import METHODS, get
from hush.tiling import tiles

onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

pytestmark = pytest.mark.usefixtures("one_thread_throughout")


#: their usual result is one pass, that of another setting is not
USUALLY = ("blind2unblind",)


def one_pass(name: str) -> bool:
    """Whether a method's class says that its `restore` is one pass of one network."""
    method = get(name)
    if name in USUALLY:
        return True
    if issubclass(method, Learned):
        return method.restore is Learned.restore and method.predict is Learned.predict
    return method.one_pass is not Denoiser.one_pass


EXPORTED = [name for name in METHODS if one_pass(name)]
REFUSED = [name for name in METHODS if not one_pass(name)]
#: methods with the network and the single pass of another, which is exported for them
ALIKE = dict.fromkeys(("noise2void", "neighbor2neighbor", "blind2unblind"), "noise2noise")
#: gray and RGB by turns; the exporter takes seconds, so all but one run with --long only
CASES = [
    pytest.param((name, (1, 3)[i % 2]), marks=[pytest.mark.long] * (i > 0))
    for i, name in enumerate(n for n in EXPORTED if n not in ALIKE)
]
CARD = {"licence": "CC0-1.0", "data": [{"folder": "søer", "files": 2}], "seed": 0}
SHAPES = [(16, 24), (37, 51), (5, 6), (1, 20)]


@dataclass
class Exported:
    """A model, the file that `hush export` made of it, and what torch's exporter had given."""

    source: Path
    model: Denoiser
    path: Path
    done: Result
    program: Any
    session: Any


@pytest.fixture(scope="module", params=CASES, ids=lambda case: f"{case[0]}-{case[1]}")
def exported(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    random_learned: Callable[..., Any],
) -> Exported:
    """Every method that can be, exported once for all tests: of random weights and with a card."""
    folder, programs = tmp_path_factory.mktemp("onnx"), []
    source, path = folder / "m.safetensors", folder / "m.onnx"
    model, export = random_learned(*request.param), torch.onnx.export
    model.card_ = CARD
    model.save(source)
    with pytest.MonkeyPatch.context() as patched:
        # Because of pytest's handlers torch would write down a stack for every node it traces.
        patched.setattr(logging.getLogger("torch.__trace"), "handlers", [])
        recorded = lambda *a, **k: programs.append(export(*a, **k)) or programs[-1]  # noqa: E731
        patched.setattr(torch.onnx, "export", recorded)
        done = CliRunner().invoke(main, ["export", str(source), "-o", str(path)])
    assert done.exit_code == 0, done.output
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return Exported(source, hush.load(source), path, done, *programs, session)


def run(session: Any, noisy: np.ndarray) -> np.ndarray:
    (out,) = session.run(["denoised"], {"noisy": noisy})
    return np.asarray(out)


@pytest.mark.parametrize(("name", "other"), ALIKE.items())
def test_a_method_that_is_not_exported_has_the_graph_of_one_that_is(
    name: str, other: str, random_learned: Callable[..., Any]
) -> None:
    one, same = (random_learned(n) for n in (name, other))
    assert one.config()["channels"] == same.config()["channels"]
    assert str(onnx.Graph(one.one_pass())) == str(onnx.Graph(same.one_pass()))
    assert type(one).restore is type(same).restore is Learned.restore


@pytest.mark.parametrize(("gain", "offset"), [(1, 0), (1000, 50_000), (1e-9, -1e-9)], ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_the_graph_does_what_restore_does(
    exported: Exported, shape: tuple[int, int], gain: float, offset: float
) -> None:
    """For each image of a batch apart, of any size and in any units."""
    model, session = exported.model, exported.session
    rng, channels = np.random.default_rng(0), model.config()["channels"]
    x = rng.random((2, channels, *shape)) * [[[[1]]], [[[3]]]] + rng.random((2, channels, 1, 1))
    noisy = (gain * x + offset).astype(np.float32)
    out = run(session, noisy)
    assert out.dtype == np.float32
    for given, ours in zip(noisy, out, strict=True):
        expected = model.restore(given).data
        np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-4 * np.ptp(given))


def test_a_constant_image_stays_as_it_is(exported: Exported) -> None:
    model, session = exported.model, exported.session
    flat = np.full((2, model.config()["channels"], 13, 9), 0.3, np.float32)
    flat[1] = 1e6 / 3
    np.testing.assert_array_equal(run(session, flat), flat)


def test_sizes_are_free_and_named(exported: Exported) -> None:
    model, session = exported.model, exported.session
    (given,), (made,) = session.get_inputs(), session.get_outputs()
    shape = ["N", model.config()["channels"], "H", "W"]
    assert [given.name, given.type, given.shape] == ["noisy", "tensor(float)", shape]
    assert [made.name, made.type, made.shape] == ["denoised", "tensor(float)", shape]


@pytest.mark.parametrize("n", [1, 2, 3, 7, 8, 33])
@pytest.mark.parametrize("multiple", [1, 4, 8])
def test_the_graph_mirrors_as_tiles_do(n: int, multiple: int) -> None:
    (tile,) = tiles((n, n), size=64, radius=64, multiple=multiple)
    np.testing.assert_array_equal(onnx.mirrored(n, 8, multiple).numpy(), tile.reads[0])


# -- the file ---------------------------------------------------------------------------------


def test_the_command_writes_a_file_that_says_what_it_is(exported: Exported) -> None:
    assert "m.onnx" in exported.done.stdout
    assert exported.done.stderr == ""
    assert str(Path(onnx.__file__).parent).encode() not in exported.path.read_bytes()
    said = exported.session.get_modelmeta().custom_metadata_map
    assert said["method"] == exported.model.name
    assert said["citation"] == exported.model.citation
    assert said["licence"] == "CC0-1.0"
    assert json.loads(said["data"]) == CARD["data"]


def test_the_command_replaces_nothing_unasked(exported: Exported) -> None:
    command = ["export", str(exported.source), "-o", str(exported.path)]
    written = exported.path.read_bytes()
    again = CliRunner().invoke(main, command)
    assert (again.exit_code, "--overwrite replaces it" in again.stderr) == (1, True)
    skipped = CliRunner().invoke(main, [*command, "--skip-existing"])
    assert (skipped.exit_code, "nothing was exported" in skipped.stderr) == (0, True)
    command[-1] = command[1]
    itself = CliRunner().invoke(main, [*command, "--overwrite"])
    assert (itself.exit_code, "is the model itself" in itself.stderr) == (1, True)
    assert exported.path.read_bytes() == written


def test_a_file_that_differs_is_not_kept(
    exported: Exported,
    random_learned: Callable[..., Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What torch's exporter made of one model is no file of another."""
    monkeypatch.setattr(torch.onnx, "export", lambda *args, **options: exported.program)
    name, channels = exported.model.name, exported.model.config()["channels"]
    with pytest.raises(hush.HushError, match=r"differs from hush's by .* nothing was written"):
        hush.export(random_learned(name, channels, seed=1), tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())
    hush.export(exported.model, tmp_path / "model.onnx")
    assert (tmp_path / "model.onnx").read_bytes() == exported.path.read_bytes()


# -- refusals ---------------------------------------------------------------------------------


@pytest.fixture
def nowhere(tmp_path: Path) -> Iterator[Path]:
    """A path that nothing may be written to."""
    yield tmp_path / "model.onnx"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", REFUSED)
def test_every_other_method_says_that_it_cannot_be_exported(
    name: str, nowhere: Path, random_learned: Callable[..., Any]
) -> None:
    model = random_learned(name) if get(name).learns_from != "nothing" else get(name)()
    with pytest.raises(hush.HushError, match=f"^{name} .* cannot be exported; "):
        hush.export(model, nowhere)


@pytest.mark.parametrize(
    ("name", "settings", "said"),
    [
        ("mid", {}, "mid is not a single pass of one network and cannot be exported"),
        ("noise2self", {}, "needs 16 passes, .* and cannot be exported"),
        ("blind2unblind", {"output": "mixed"}, "takes several passes and cannot be exported"),
        ("diffdenoise", {"output": "pair"}, "its pair, which needs many passes"),
    ],
)
def test_methods_of_more_than_one_pass_say_so(
    name: str,
    settings: dict[str, Any],
    said: str,
    nowhere: Path,
    random_learned: Callable[..., Any],
) -> None:
    with pytest.raises(hush.HushError, match=said):
        hush.export(random_learned(name, **settings), nowhere)


@pytest.mark.parametrize("name", EXPORTED)
def test_what_was_not_trained_is_refused(name: str, nowhere: Path) -> None:
    with pytest.raises(
        hush.HushError, match=rf"this {name} is not trained; call fit, or load a trained model"
    ):
        hush.export(get(name)(), nowhere)


@pytest.mark.parametrize("missing", ["onnxruntime", "onnxscript"])
def test_without_the_extra_there_is_a_sentence(
    missing: str,
    nowhere: Path,
    random_learned: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = random_learned(EXPORTED[0])
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(hush.HushError, match=rf"{missing}: .*pip install .*\[onnx\]'"):
        hush.export(model, nowhere)

"""The command line as users meet it: what it writes, prints, refuses, and how it ends.

Option names, exit codes and the keys of ``--json`` are frozen in ``snapshots/cli.json``. After a
change that is meant, ``HUSH_SNAPSHOT=write pytest tests/test_cli.py`` writes it anew.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import click
import numpy as np
import pytest
import tifffile
from click.testing import CliRunner, Result

from hush import io
from hush.bases.zero_shot import ZeroShot
from hush.cli import main
from hush.cli.console import Bar, preload
from hush.cli.options import Duration
from hush.denoiser import ANY
from hush.methods import METHODS, get
from hush.record import Record

if TYPE_CHECKING:
    from hush.methods.diffdenoise import DiffDenoise
    from hush.methods.mid.image import MID

SNAPSHOT = Path(__file__).parent / "snapshots" / "cli.json"
TINY = ("--set", "widths=8,8", "--set", "blocks=1,1", "--set", "patch=32", "--set", "batch=2")


def hush(*arguments: str | Path) -> Result:
    """Run a command line in this process."""
    result = CliRunner().invoke(main, [str(a) for a in arguments])
    assert isinstance(result.exception, SystemExit | None), result.exception
    return result


def lines(text: str) -> list[Any]:
    """The JSON objects of a text, one a line."""
    return [json.loads(line) for line in text.splitlines()]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory, random_mid: Callable[..., MID]) -> Path:
    """A folder as of shipped models: tiny ones for gray and for RGB, with a card each."""
    folder = tmp_path_factory.mktemp("models")
    for name, channels in (("mid-gray", 1), ("mid-rgb", 3)):
        model = random_mid(channels)
        model.card_ = {"method": "mid", "channels": channels, "command": "hush train"}
        model.card_["data"] = [{"folder": "f", "files": 2}]
        model.save(folder / f"{name}.safetensors")
        (folder / f"{name}.json").write_text(json.dumps(model.card_))
    return folder


@pytest.fixture(autouse=True)
def shipped(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the tiny models take the shipped ones' place."""
    monkeypatch.setattr("hush.models.WEIGHTS", models)


@pytest.fixture
def file(tmp_path: Path, noisy: np.ndarray) -> Path:
    """A noisy gray 8-bit TIFF."""
    path = tmp_path / "noisy.tif"
    tifffile.imwrite(path, noisy)
    return path


@pytest.fixture
def colour(tmp_path: Path, noisy: np.ndarray) -> Path:
    """A noisy RGB 8-bit TIFF."""
    path = tmp_path / "colour.tif"
    image = np.stack([noisy, noisy.T, noisy[::-1]], axis=-1)
    tifffile.imwrite(path, image, photometric="rgb")
    return path


# -- denoise ----------------------------------------------------------------------------------


def test_denoise_writes_beside_the_input_and_sums_up(file: Path, noisy: np.ndarray) -> None:
    run = hush("denoise", file)
    assert run.exit_code == 0
    result = tifffile.imread(file.with_name("noisy.denoised.tif"))
    assert (result.shape, result.dtype) == (noisy.shape, noisy.dtype)
    assert not np.array_equal(result, noisy)
    assert str(file.with_name("noisy.denoised.tif")) in run.stdout
    for word in ("96 × 96", "Gaussian", "of 255", "removed", "mid-gray"):
        assert word in run.stdout


def test_denoise_is_what_python_gives(file: Path, noisy: np.ndarray, models: Path) -> None:
    import hush as package

    out = file.with_name("out.npy")
    settings = ("--noise", "gaussian:25/255", "--steps", "3", "--strength", "0.5")
    assert hush("denoise", file, "-o", out, *settings, "-q").stdout == ""
    expected = package.denoise(noisy, noise="gaussian:25/255", steps=3, strength=0.5)
    assert np.array_equal(np.load(out), expected)


def test_strength_zero_changes_nothing(file: Path, noisy: np.ndarray) -> None:
    hush("denoise", file, "--strength", "0")
    assert np.array_equal(tifffile.imread(file.with_name("noisy.denoised.tif")), noisy)


def test_json_is_all_of_stdout(file: Path) -> None:
    run = hush("denoise", file, "--json", "--noise", "gaussian:25", "--steps", "2", "--seed", "7")
    (row,) = lines(run.stdout)
    assert row["input"] == str(file)
    assert row["output"] == str(file.with_name("noisy.denoised.tif"))
    assert row["process"] == "gaussian:25/255"
    assert (row["method"], row["model"], row["steps"], row["seed"]) == ("mid", "mid-gray", 2, 7)
    assert row["sigma"] == pytest.approx(25, rel=0.2)
    assert row["removed_rms"] > 0
    assert row["error"] is None
    assert row["adapted"] is False


def test_colour_takes_the_colour_model(colour: Path) -> None:
    (row,) = lines(hush("denoise", colour, "--json").stdout)
    assert row["model"] == "mid-rgb"


def test_several_files_go_into_a_folder_and_one_bad_file_stops_none(
    file: Path, colour: Path, tmp_path: Path
) -> None:
    empty, out = tmp_path / "empty.tif", tmp_path / "out"
    empty.touch()
    run = hush("denoise", file, empty, colour, "-o", out, "--report", out / "report.html")
    assert run.exit_code == 1
    assert sorted(p.name for p in out.iterdir()) == ["colour.tif", "noisy.tif", "report.html"]
    assert f"hush: {empty}: is empty (0 bytes)" in run.stderr
    assert "2 of 3 files denoised, 1 failed" in run.stderr
    page = (out / "report.html").read_text()
    assert "noisy.tif" in page
    assert "colour.tif" in page


def test_a_bad_file_has_its_line_of_json(file: Path, tmp_path: Path) -> None:
    run = hush("denoise", tmp_path / "none.tif", file, "-o", tmp_path / "out", "--json")
    bad, good = lines(run.stdout)
    assert run.exit_code == 1
    assert bad["error"] == "cannot be read: no such file or directory"
    assert bad["output"] is None
    assert bad.keys() == good.keys()
    assert good["error"] is None


def test_existing_files_are_kept_unless_told_otherwise(file: Path) -> None:
    out = file.with_name("noisy.denoised.tif")
    out.write_text("mine")
    run = hush("denoise", file)
    assert run.exit_code == 1
    assert "--overwrite" in run.stderr
    run = hush("denoise", file, "--skip-existing")
    assert run.exit_code == 0
    assert "skipped" in run.stdout
    (row,) = lines(hush("denoise", file, "--skip-existing", "--json").stdout)
    assert row["skipped"] is True
    assert out.read_text() == "mine"
    assert hush("denoise", file, "--overwrite").exit_code == 0
    assert tifffile.imread(out).shape == (96, 96)


def test_no_input_is_ever_replaced(file: Path, noisy: np.ndarray, tmp_path: Path) -> None:
    array = tmp_path / "array.npy"
    np.save(array, noisy)
    before = {p: p.read_bytes() for p in (file, array)}
    other = tmp_path / "folder" / "array.npy"
    other.parent.mkdir()
    np.save(other, noisy)
    attempts = [
        hush("denoise", file, "-o", file, "--overwrite"),
        hush("denoise", file, "-o", tmp_path, "--overwrite"),
        hush("denoise", file, "--report", file, "--overwrite"),
        hush("denoise", other, array, "-o", tmp_path, "--overwrite"),
    ]
    assert [run.exit_code for run in attempts] == [1, 1, 1, 1]
    assert {p: p.read_bytes() for p in before} == before
    assert "another output" in attempts[0].stderr
    assert "which is also an input" in attempts[3].stderr


def test_two_inputs_never_share_an_output(file: Path, noisy: np.ndarray, tmp_path: Path) -> None:
    second = tmp_path / "b" / "noisy.tif"
    second.parent.mkdir()
    tifffile.imwrite(second, noisy.T)
    run = hush("denoise", file, second, "-o", tmp_path / "out")
    assert run.exit_code == 1
    assert f"{second}: would be written to" in run.stderr
    assert (tmp_path / "out" / "noisy.tif").exists()


@pytest.mark.parametrize("refused", ["broken", "mask", "kept"])
def test_a_refused_input_does_not_take_the_name_of_a_result(
    noisy: np.ndarray, tmp_path: Path, refused: str
) -> None:
    first, second, third = (tmp_path / name / "x.tif" for name in "abc")
    for path in (first, second, third):
        path.parent.mkdir()
        tifffile.imwrite(path, noisy)
    if refused == "broken":
        first.write_bytes(first.read_bytes()[:50])
    elif refused == "mask":
        tifffile.imwrite(first, np.kron(np.eye(8), np.full((12, 12), 255)).astype("u1"))
    else:
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "x.tif").write_bytes(second.read_bytes())
    more = ["--skip-existing"] if refused == "kept" else []
    run = hush("denoise", first, second, third, "-o", tmp_path / "out", "--json", *more)
    rows = lines(run.stdout)
    told = [(bool(row["error"]), row["skipped"]) for row in rows]
    if refused == "kept":
        assert told == [(False, True)] * 3
    else:
        assert told[1:] == [(False, False), (True, False)]
        assert told[0] == ((True, False) if refused == "broken" else (False, True))
        assert f"like {second}" in rows[2]["error"]
        assert tifffile.imread(tmp_path / "out" / "x.tif").shape == noisy.shape


def test_axes_say_what_is_a_channel_and_the_file_keeps_its_own(
    tmp_path: Path, noisy: np.ndarray
) -> None:
    path, out = tmp_path / "stack.tif", tmp_path / "out.tif"
    tifffile.imwrite(path, np.stack([noisy] * 5), metadata={"axes": "ZYX"})
    assert hush("denoise", path, "-o", out, "--axes", "cyx").exit_code == 0
    with tifffile.TiffFile(out) as tif:
        assert tif.series[0].axes == "ZYX"
    for wrong in ("YX", "YYX", "AB1", "QZC"):
        run = hush("denoise", path, "-o", out, "--axes", wrong, "--overwrite")
        assert run.exit_code == 1, wrong
        assert "axes" in run.stderr


@pytest.mark.parametrize(
    "options",
    [
        ["--noise", "gaussian:-5"],
        ["--noise", "gaussian:1e9"],
        ["--noise", "pink:3"],
        ["--noise", "gaussian:5-50"],
        ["--noise", "gaussian:5|poisson:3"],
        ["--model", "none.safetensors"],
        ["--model", "{file}"],
        ["--model", "mid-rgb"],
        ["--model", "mid-gray", "--method", "bm3d"],
        ["--method", "none", "--steps", "3"],
        ["--method", "none", "--adapt", "1s"],
        ["-o", "{folder}/out.jpg"],
        ["-o", "{file}/out.tif"],
        ["-o", "{folder}/out"],
    ],
    ids=" ".join,
)
def test_bad_input_is_one_sentence(options: list[str], file: Path) -> None:
    run = hush("denoise", file, *(o.format(file=file, folder=file.parent) for o in options))
    assert run.exit_code == 1
    assert run.stdout == ""
    (sentence,) = run.stderr.splitlines()
    assert sentence.startswith("hush: ")
    assert "internal" not in sentence
    assert list(file.parent.iterdir()) == [file]


def test_what_is_no_model_is_told_apart(file: Path, models: Path, tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    whole = (models / "mid-gray.safetensors").read_bytes()
    for name, content in (("empty", b""), ("cut", whole[:1000]), ("short", whole[:-9])):
        (tmp_path / f"{name}.safetensors").write_bytes(content)
    save_file({"x": np.zeros(3)}, tmp_path / "other.safetensors")
    for model, said in (
        (models, "is a folder; give the .safetensors file in it"),
        (models / "mid-gray.json", "mid-gray.json is a model's card; give the model itself, "),
        (tmp_path / "empty.safetensors", "is not a complete .safetensors file; copy it again"),
        (tmp_path / "cut.safetensors", "is not a complete .safetensors file; copy it again"),
        (tmp_path / "short.safetensors", "is not a complete .safetensors file; copy it again"),
        (tmp_path / "other.safetensors", "holds tensors but is not a hush model"),
    ):
        run = hush("denoise", file, "--model", model)
        assert run.exit_code == 1
        (sentence,) = run.stderr.splitlines()
        assert said in sentence


@pytest.mark.parametrize("options", [[], ["--overwrite"], ["--skip-existing"]])
def test_a_report_that_cannot_be_is_refused_before_the_work(file: Path, options: list[str]) -> None:
    run = hush("denoise", file, "--report", file.parent, *options)
    assert run.exit_code == 1
    (sentence,) = run.stderr.splitlines()
    assert sentence.endswith("is a folder; give the name of a file")
    assert list(file.parent.iterdir()) == [file]


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["{file}", "--strength", "2"],
        ["{file}", "--steps", "0"],
        ["{file}", "--adapt", "soon"],
        ["{file}", "--method", "magic"],
        ["{file}", "--kind", "sound"],
        ["{file}", "--device", "abacus"],
        ["{file}", "other.tif", "-o", "out.tif"],
    ],
    ids=" ".join,
)
def test_bad_usage_exits_2(arguments: list[str], file: Path) -> None:
    run = hush("denoise", *(a.format(file=file) for a in arguments))
    assert run.exit_code == 2
    assert "Error" in run.stderr


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (MemoryError(), "not enough memory"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), "not enough memory"),
        (OSError(5, "Input/output error"), "input/output error"),
        (ValueError("boom"), "internal error, please report it"),
    ],
)
def test_what_nobody_expected_is_a_sentence_too(
    error: Exception, said: str, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr("hush.api.run", fails)
    run = hush("denoise", file)
    assert run.exit_code == 1
    assert said in run.stderr
    assert "Traceback" not in run.stderr
    assert "Traceback" in hush("denoise", file, "-v").stderr


def test_a_full_disk_leaves_no_half_file(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("hush.io.place.sync", full)
    run = hush("denoise", file)
    assert run.exit_code == 1
    assert "the disk is full" in run.stderr
    assert list(file.parent.iterdir()) == [file]


def test_nan_is_kept_and_told(tmp_path: Path, noisy: np.ndarray) -> None:
    path, out = tmp_path / "holes.npy", tmp_path / "out.npy"
    x = noisy / np.float32(255)
    x[3, 5] = np.nan
    np.save(path, x)
    (row,) = lines(hush("denoise", path, "-o", out, "--json").stdout)
    assert any("NaN" in w for w in row["warnings"])
    assert np.array_equal(np.isnan(np.load(out)), np.isnan(x))


def test_several_files_are_adapted_to_together(
    file: Path, colour: Path, noisy: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hush.methods.mid.image import MID

    second, broken = tmp_path / "second.tif", tmp_path / "broken.tif"
    tifffile.imwrite(second, noisy.T)
    broken.write_bytes(b"II*\0")
    calls, now = [], 0.0
    clock = SimpleNamespace(perf_counter=lambda: now)
    for module in ("hush.cli.denoise", "hush.cli.adapt"):
        monkeypatch.setattr(sys.modules[module], "time", clock)

    def adapt(self: MID, images: list[np.ndarray], seconds: float, **options: Any) -> MID:
        nonlocal now
        now += seconds
        calls.append((self.channels, len(images), seconds))
        return self if self.channels == 3 else self.replace(steps=5)

    monkeypatch.setattr(MID, "adapt", adapt)
    run = hush(
        "denoise", file, broken, colour, second, "-o", tmp_path / "out", "--adapt", "0.6m", "--json"
    )
    assert sorted(calls) == [(1, 2, pytest.approx(24)), (3, 1, pytest.approx(12))]
    rows = {Path(row["input"]).name: row for row in lines(run.stdout)}
    assert rows["broken.tif"]["error"]
    assert [rows[n]["adapted"] for n in ("noisy.tif", "second.tif", "colour.tif")] == [1, 1, 0]
    assert (rows["second.tif"]["steps"], rows["second.tif"]["model"]) == (5, "mid-gray")
    for name in ("noisy.tif", "second.tif", "colour.tif"):  # each has its share of 36 seconds
        assert rows[name]["seconds"] == rows[name]["timings"]["adapt"] == pytest.approx(12)


def test_nobody_is_sent_to_adapt_again(
    tmp_path: Path, noisy: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hush.methods.mid.image import MID

    monkeypatch.setattr(MID, "adapt", lambda self, images, seconds, **options: self)
    monkeypatch.setattr("hush.kinds.image.residual.residual_statistics", lambda *a, **k: judged)
    judged = {"n": 9000, "rms": 0.05, "expected_rms": 0.1, "ratio": 0.5, "mean": 0.0, "white": True}
    judged |= {"autocorrelation": {"y": [], "x": []}, "structure": 0.0, "tilt": None}
    judged |= {"contrast": 1.0}
    path = tmp_path / "a.npy"
    np.save(path, noisy)
    for options, advised in (((), True), (("--adapt", "1s"), False)):
        (row,) = lines(hush("denoise", path, "--json", "--overwrite", *options).stdout)
        (less,) = [w for w in row["warnings"] if w.startswith("Less was removed")]
        assert ("--adapt" in less) is advised


# -- every method, folders and patterns --------------------------------------------------------


@pytest.mark.parametrize("name", [n for n in METHODS if not get(n).selects])
def test_every_method_makes_a_result(
    name: str, file: Path, tmp_path: Path, random_learned: Callable[..., Any], shipped: None
) -> None:
    """Through the command line, on a real file; trained ones through a tiny model.

    Those for sets are in test_contract_sets.py.
    """
    if name in ("bm3d", "bm4d"):
        pytest.importorskip(name)
    options = ["--method", name]
    if get(name).learns_from != "nothing":
        random_learned(name).save(tmp_path / "model.safetensors")
        options += ["--model", str(tmp_path / "model.safetensors")]
    kinds, noisy = get(name).kinds, tifffile.imread(file)
    if issubclass(get(name), ZeroShot):  # not for a minute
        get(name).for_kind("image", steps=2).save(tmp_path / "model.safetensors")
        options[:2] = ["--model", str(tmp_path / "model.safetensors")]
    if kinds == ("volume",):  # the picture's parts, as volumes of a series
        file, options = file.with_suffix(".npy"), [*options, "--kind", "volume"]
        if "steps" in {f.name for f in dataclasses.fields(get(name))}:  # not for minutes
            get(name).for_kind("volume", steps=2).save(tmp_path / "model.safetensors")
            options[:2] = ["--model", str(tmp_path / "model.safetensors")]
        noisy = noisy.reshape(4, 4, -1, noisy.shape[-1])
        np.save(file, noisy)
    elif kinds != ANY and "image" not in kinds:  # the picture's rows, one after the other
        file, options = file.with_suffix(".npy"), [*options, "--kind", kinds[0]]
        options += ["--rate", "1000"]
        noisy = noisy.reshape(-1)
        np.save(file, noisy)
    (row,) = lines(hush("denoise", file, *options, "--json").stdout)
    assert (row["method"], row["error"]) == (name, None)
    path = file.with_name(f"noisy.denoised{file.suffix}")
    result = np.load(path) if file.suffix == ".npy" else tifffile.imread(path)
    assert (result.shape, result.dtype) == (noisy.shape, np.uint8)
    # A picture has no heart beats to subtract.
    assert np.array_equal(result, noisy) == (name in ("none", "template"))
    assert row["items"][0]["process"] == row["process"]


def test_steps_are_those_of_methods_that_remove_noise_in_steps(
    file: Path, tmp_path: Path, random_diffdenoise: Callable[..., DiffDenoise]
) -> None:
    """DiffDenoise's are DDIM's, and its student makes one pass: seven would be a lie."""
    path = tmp_path / "student.safetensors"
    random_diffdenoise().save(path)
    assert lines(hush("denoise", file, "--model", path, "--json").stdout)[0]["steps"] == 1
    said = hush("denoise", file, "--model", path, "--steps", "7")
    assert said.exit_code == 1
    assert "diffdenoise does not remove noise in steps; leave --steps out" in said.stderr


def test_folders_and_patterns_are_files(file: Path, colour: Path, tmp_path: Path) -> None:
    """Of a folder those that hush reads; a quoted pattern is looked up here."""
    folder = tmp_path / "many"
    folder.mkdir()
    for k in range(3):
        (folder / f"{k}.tif").write_bytes(file.read_bytes())
    (folder / "notes.txt").write_text("not an image")
    for source in (folder, folder / "*.tif"):
        run = hush("denoise", source, "-o", tmp_path / "out", "--overwrite")
        assert run.exit_code == 0
        assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["0.tif", "1.tif", "2.tif"]
        assert re.search(r"3 of 3 files denoised, \d", run.stderr)
    assert len(lines(hush("inspect", folder, "--json").stdout)) == 3
    assert "no such file" in hush("denoise", tmp_path / "*.png").stderr


def test_json_lists_every_plane_and_the_noisiest_on_top(tmp_path: Path, noisy: np.ndarray) -> None:
    stack = np.stack([np.zeros_like(noisy), noisy, noisy // 2])
    tifffile.imwrite(tmp_path / "s.tif", stack, photometric="minisblack")
    (row,) = lines(hush("denoise", tmp_path / "s.tif", "--json").stdout)
    assert [item["index"] for item in row["items"]] == [0, 1, 2]
    assert row["sigma"] == row["items"][1]["sigma"] == max(i["sigma"] for i in row["items"])
    assert row["process"] == row["items"][1]["process"]


def test_at_most_two_warnings_are_shown(tmp_path: Path, noisy: np.ndarray) -> None:
    x = np.where(np.random.default_rng(0).random(noisy.shape) < 0.05, 255, noisy).astype("f4")
    x[:5] = np.nan
    np.save(tmp_path / "a.npy", x / 255)
    options = ("--noise", "gaussian:0.3", "--overwrite")
    few, all_ = (hush("denoise", tmp_path / "a.npy", *options, *v) for v in ((), ("-v",)))
    (row,) = lines(hush("denoise", tmp_path / "a.npy", *options, "--json").stdout)
    count = len(row["warnings"])
    assert count > 2
    assert few.stdout.count("  ! ") == 3
    assert f"{count - 2} more warning" in few.stdout
    assert all_.stdout.count("  ! ") == count


# -- uncertainty ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sampler(
    tmp_path_factory: pytest.TempPathFactory, random_diffdenoise: Callable[..., DiffDenoise]
) -> Path:
    """A DiffDenoise with all its stages."""
    path = tmp_path_factory.mktemp("sampler") / "all.safetensors"
    random_diffdenoise(draws=2).save(path)
    return path


def test_uncertainty_is_a_file_like_the_input(
    sampler: Path, tmp_path: Path, noisy: np.ndarray
) -> None:
    import hush as package

    path, spread, page = (tmp_path / name for name in ("stack.tif", "spread.tif", "page.html"))
    stack = np.stack([noisy[:24, :20], noisy[24:48, :20], noisy[48:72, :20]])
    tifffile.imwrite(path, stack, metadata={"axes": "ZYX"}, photometric="minisblack")
    run = hush("denoise", path, "--model", sampler, "--uncertainty", spread, "--report", page)
    assert run.exit_code == 0
    assert f"on average → {spread}" in " ".join(run.stdout.split())
    assert ">Uncertainty<" in page.read_text(encoding="utf-8")
    with tifffile.TiffFile(spread) as tif:
        (series,) = tif.series
        assert (series.axes, series.shape, series.dtype) == ("ZYX", stack.shape, np.float32)
        found = series.asarray()
    expected = package.load(sampler).restore(stack[1][None] / np.float32(255)).spread
    assert expected is not None
    assert np.allclose(found[1], 255 * expected[0], rtol=1e-4)

    again = ("denoise", path, "--model", sampler, "--uncertainty", spread)
    assert "--overwrite" in hush(*again).stderr
    path.with_name("stack.denoised.tif").unlink()
    spread.write_text("mine")
    (row,) = lines(hush(*again, "--skip-existing", "--json").stdout)
    assert (row["skipped"], row["uncertainty"]) == (False, str(spread))
    assert path.with_name("stack.denoised.tif").exists()
    assert spread.read_text() == "mine"
    assert "skipped" in hush(*again, "--skip-existing").stdout


def test_uncertainties_of_several_files_go_into_a_folder(
    sampler: Path, tmp_path: Path, noisy: np.ndarray
) -> None:
    for name in ("a.png", "b.npy"):
        io.write(Record(noisy[:16, :16], "YX"), tmp_path / name)
    files = ("denoise", tmp_path / "a.png", tmp_path / "b.npy", "--model", sampler)
    places = ("-o", tmp_path / "out", "--uncertainty", tmp_path / "spread")
    assert hush(*files, *places).exit_code == 0
    assert sorted(p.name for p in (tmp_path / "spread").iterdir()) == ["a.tif", "b.npy"]
    assert np.load(tmp_path / "spread" / "b.npy").dtype == np.float32
    assert hush(*files, "--uncertainty", tmp_path / "one.tif").exit_code == 2


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            ["--uncertainty", "{folder}/u.png", "--model", "{sampler}"],
            r"write \.tif, \.npy or \.nii\.gz",
        ),
        (["--uncertainty", "{file}", "--model", "{sampler}"], "would replace the input"),
        (
            ["--uncertainty", "{folder}/u.tif", "-o", "{folder}/u.tif", "--model", "{sampler}"],
            "choose another path for the uncertainty",
        ),
    ],
)
def test_an_uncertainty_that_cannot_be_is_one_sentence(
    options: list[str], said: str, file: Path, sampler: Path
) -> None:
    given = [o.format(file=file, folder=file.parent, sampler=sampler) for o in options]
    run = hush("denoise", file, *given)
    assert run.exit_code == 1
    (sentence,) = run.stderr.splitlines()
    assert re.search(said, sentence)
    assert list(file.parent.iterdir()) == [file]


# -- inspect, models, methods, compare, study -------------------------------------------------


def test_inspect_prints_a_spec_that_denoise_takes(file: Path, colour: Path) -> None:
    run = hush("inspect", file, colour, "--json")
    gray, rgb = lines(run.stdout)
    assert gray["family"] == "gaussian"
    assert gray["sigma"] == pytest.approx(25, rel=0.2)
    assert gray["correlated"] is False
    assert 0 <= gray["step"] <= 1
    assert (gray["model"], rgb["model"]) == ("mid-gray", "mid-rgb")
    (row,) = lines(hush("denoise", file, "--noise", gray["spec"], "--json").stdout)
    assert row["process"] == gray["spec"]
    text = hush("inspect", file).stdout
    assert gray["spec"] in text
    assert "independent from pixel to pixel" in text


def test_inspect_goes_on_after_a_bad_file(file: Path, tmp_path: Path) -> None:
    run = hush("inspect", tmp_path / "none.png", file, "--json")
    bad, good = lines(run.stdout)
    assert run.exit_code == 1
    assert bad["error"]
    assert good["error"] is None
    assert bad.keys() == good.keys()


def test_inspect_shows_each_family(clean: np.ndarray, tmp_path: Path) -> None:
    rng, x = np.random.default_rng(0), np.kron(clean / 255, np.ones((3, 3)))
    grainy, hit = x * rng.gamma(20, 1 / 20, x.shape), x + rng.normal(0, 0.03, x.shape)
    hit[rng.random(x.shape) < 0.05] = 1
    np.save(tmp_path / "grainy.npy", grainy)
    np.save(tmp_path / "hit.npy", hit)
    gamma, impulse = lines(
        hush("inspect", tmp_path / "grainy.npy", tmp_path / "hit.npy", "--json").stdout
    )
    assert gamma["gamma_shape"] == pytest.approx(20, rel=0.3)
    assert (gamma["impulses"], impulse["gamma_shape"]) == (0, None)
    assert impulse["impulses"] == pytest.approx(0.05, rel=0.4)
    assert "impulses" in impulse["warnings"][0]
    assert "Gamma (multiplicative), shape" in hush("inspect", tmp_path / "grainy.npy").stdout


def test_inspect_writes_a_page(file: Path, colour: Path) -> None:
    page = file.with_name("report.html")
    run = hush("inspect", file, colour, "--report", page)
    assert f"report → {page}" in run.stdout
    text = page.read_text()
    assert "noisy.tif" in text
    assert "colour.tif" in text
    page.write_text("mine")
    assert "--overwrite replaces it" in hush("inspect", file, "--report", page).stderr
    hush("inspect", file, "--report", page, "--skip-existing")
    assert page.read_text() == "mine"
    hush("inspect", file, "--report", page, "--overwrite")
    assert page.read_text() != "mine"
    assert "is an input" in hush("inspect", file, "--report", file, "--overwrite").stderr


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (5, 5)], ids=str)
def test_inspect_says_what_is_too_small(shape: tuple[int, int], tmp_path: Path) -> None:
    np.save(tmp_path / "tiny.npy", np.random.default_rng(0).random(shape))
    (row,) = lines(hush("inspect", tmp_path / "tiny.npy", "--json").stdout)
    assert row["error"] is None
    assert [w.startswith("The image has no 8 × 8 block") for w in row["warnings"]] == [True]


def test_inspect_says_that_a_flat_image_has_no_noise(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "flat.tif", np.full((40, 40), 7, np.uint8))
    run = hush("inspect", tmp_path / "flat.tif")
    assert run.exit_code == 0
    assert "none was found" in run.stdout
    assert "No noise was found" in run.stdout


def test_models_and_methods_are_listed() -> None:
    cards = json.loads(hush("models", "--json").stdout)
    assert [card["name"] for card in cards] == ["mid-gray", "mid-rgb"]
    assert "hush train" in hush("models").stdout
    rows = json.loads(hush("methods", "--json").stdout)
    assert rows[0]["name"] == "mid"
    assert "--set widths" in hush("methods", "-v").stdout


def test_methods_are_listed_with_the_settings_of_every_kind() -> None:
    blocks = re.split(r"\n(?=\S)", hush("methods", "-v").stdout)
    found = {b.split()[0]: " ".join(b.split()) for b in blocks}
    assert re.search(r"--set bank not set for signals --set", found["mid"])
    assert "--set white_net not set for images --set" in found["mid"]
    assert "--set checks True for point sets, sets of correspondences and" in found["mid"]
    assert "--set seconds 60.0 for images; 120.0 for volumes --set" in found["dip"]
    assert found["lof"].endswith("--set seed 0")  # the same for all of its kinds


@pytest.mark.parametrize(
    ("several", "single"),
    [("gray images", "gray image"), ("sets of correspondences", "set of correspondences")],
)
def test_one_file_to_train_on_is_named_in_the_singular(several: str, single: str) -> None:
    from hush.cli.train import _one

    assert _one(several) == single


def test_compare_against_a_known_answer(tmp_path: Path, clean: np.ndarray) -> None:
    reference, result = tmp_path / "reference.tif", tmp_path / "result.npy"
    tifffile.imwrite(reference, clean)
    x = clean / np.float32(255)
    np.save(result, 0.5 * x + np.float32(0.1))
    plain = json.loads(hush("compare", result, reference, "--json").stdout)
    error = 0.5 * x.astype(np.float64) - 0.1
    assert plain["psnr"] == pytest.approx(-10 * np.log10(np.mean(error**2)), abs=1e-3)
    assert plain["mae"] == pytest.approx(255 * np.mean(np.abs(error)), rel=1e-4)
    fitted = json.loads(hush("compare", result, reference, "--fit", "--json").stdout)
    assert fitted["gain"] == pytest.approx(2, abs=1e-4)
    assert fitted["offset"] == pytest.approx(-0.2 * 255, abs=1e-2)
    assert fitted["psnr"] > 100
    same = json.loads(hush("compare", reference, reference, "--json").stdout)
    assert (same["psnr"], same["ssim"], same["mae"]) == (None, 1, 0)
    assert "equal" in hush("compare", reference, reference).stdout


def test_compare_refuses_other_shapes(file: Path, colour: Path) -> None:
    run = hush("compare", file, colour)
    assert run.exit_code == 1
    assert "96 × 96 × 3" in run.stderr


def test_compare_takes_the_range_of_floats_from_the_reference(
    tmp_path: Path, clean: np.ndarray
) -> None:
    a, b = tmp_path / "a.npy", tmp_path / "b.npy"
    np.save(a, clean.astype(np.float32))
    np.save(b, clean.astype(np.float32) + 5)
    row = json.loads(hush("compare", a, b, "--json").stdout)
    assert row["psnr"] == pytest.approx(20 * np.log10(np.ptp(clean) / 5), abs=1e-3)
    row = json.loads(hush("compare", a, b, "--range", "300", "--json").stdout)
    assert row["psnr"] == pytest.approx(20 * np.log10(300 / 5), abs=1e-3)
    assert row["mae"] == pytest.approx(5, rel=1e-5)


def test_study_appends_cells_and_shows_a_table(tmp_path: Path, clean: np.ndarray) -> None:
    folder, cells = tmp_path / "images" / "mine", tmp_path / "cells.jsonl"
    folder.mkdir(parents=True)
    tifffile.imwrite(folder / "a.tif", clean)
    arguments = ["study", "mid/images", "--data", tmp_path, "--quick", "--methods", "none"]
    run = hush(*arguments, "--where", "noise=gaussian", "--seed", "1", "--json", cells)
    assert run.exit_code == 0
    assert "PSNR" in run.stdout
    rows = lines(cells.read_text())
    assert {row["method"] for row in rows} == {"none"}
    assert {row["seed"] for row in rows} == {1}
    assert all("noise=gaussian" in row["case"] for row in rows)
    hush(*arguments, "--where", "noise=gaussian", "--seed", "1", "--json", cells)
    assert lines(cells.read_text()) == rows
    assert hush("study", "mid/none").exit_code == 2
    assert hush("study", "mid/images", "--data", tmp_path / "none").exit_code == 1


# -- train ------------------------------------------------------------------------------------


def test_train_makes_a_model_that_denoise_takes(file: Path, tmp_path: Path) -> None:
    folder, model = tmp_path / "cells", tmp_path / "mine.safetensors"
    folder.mkdir()
    file.rename(folder / "noisy.tif")
    (folder / "broken.tif").write_bytes(b"II*\0")
    (folder / "notes.txt").touch()
    options = ("--max-steps", "3", "--seed", "5", "--licence", "CC0", *TINY)
    run = hush("train", folder, "-o", model, *options)
    assert run.exit_code == 1
    assert "broken.tif" in run.stderr
    assert "1 of 2 files could not be read" in run.stderr
    card = json.loads(model.with_suffix(".json").read_text())
    assert card["data"] == [{"folder": "cells", "files": 1}]
    assert (card["seed"], card["licence"], card["channels"]) == (5, "CC0", 1)
    assert "--max-steps 3" in card["command"]
    assert str(tmp_path) not in json.dumps(card)

    import hush as package

    assert package.load(model).card == card
    (row,) = lines(hush("denoise", folder / "noisy.tif", "--model", model, "--json").stdout)
    assert row["model"] == str(model)
    assert row["error"] is None
    assert hush("train", folder, "-o", model, *options).exit_code == 1
    assert hush("train", folder, "-o", model, *options, "--skip-existing").exit_code == 0


def test_the_cards_command_makes_the_same_model(file: Path, tmp_path: Path) -> None:
    import shlex

    out = tmp_path / "a.safetensors"
    run = hush("train", file, "-o", out, "--budget", "0.5s", "--threads", "1", *TINY)
    assert run.exit_code == 0
    assert f"hushtrain{file}-o{out}--method" in "".join(run.stdout.split())  # with its paths
    card = json.loads(out.with_suffix(".json").read_text())
    again = shlex.split(card["command"])
    assert f"--max-steps {card['figures']['steps']}" in card["command"]
    assert again[:3] == ["hush", "train", f"{tmp_path.name}/noisy.tif"]
    assert again[3:5] == ["-o", "a.safetensors"]
    assert hush("train", file, "-o", tmp_path / "b.safetensors", *again[5:]).exit_code == 0


def test_the_channels_of_most_files_are_trained_on(
    file: Path, colour: Path, noisy: np.ndarray, tmp_path: Path
) -> None:
    import hush as package

    def channels(*arguments: str | Path) -> int:
        out = tmp_path / "m.safetensors"
        run = hush("train", *arguments, "-o", out, "--max-steps", "1", "--overwrite", *TINY)
        assert run.exit_code == 0, run.stderr
        model: Any = package.load(out)
        return int(model.channels)

    second = tmp_path / "second.tif"
    tifffile.imwrite(second, noisy.T)
    assert channels(file, second, colour) == 1
    assert channels(file, colour, "--channels", "rgb") == 3
    assert channels(colour, "--channels", "gray") == 1


def test_gray_is_pillows_gray() -> None:
    from PIL import Image

    from hush.kinds.image.choice import _luma

    image = np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8)
    expected = np.asarray(Image.fromarray(image).convert("L"))
    assert np.array_equal(_luma(image.transpose(2, 0, 1)), expected)
    floats = _luma(image.transpose(2, 0, 1) / np.float32(255))
    assert np.allclose(floats * 255, expected, atol=0.51)


@pytest.mark.parametrize(
    ("code", "options"),
    [
        (1, ["--set", "nothing=3"]),
        (1, ["--set", "widths=wide"]),
        (1, ["--method", "diffdenoise", "--set", "zero_filled=maybe"]),
        (1, ["--method", "bm3d"]),
        (1, ["--resume"]),
        (1, ["--noise", "gaussian:5-50"]),
        (1, ["--channels", "rgb"]),
        (2, ["--max-steps", "0"]),
        (2, ["--budget", "20m", "--max-steps", "3"]),
        (2, ["--corpus", "--noise", "gaussian:3"]),
        (2, ["-o", "model.tif"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else str(value),
)
def test_train_refuses(code: int, options: list[str], file: Path) -> None:
    run = hush("train", file, "-o", file.with_name("m.safetensors"), *options)
    assert run.exit_code == code
    assert not run.stdout
    assert not file.with_name("m.safetensors").exists()


def test_a_training_refused_leaves_nothing(file: Path, noisy: np.ndarray) -> None:
    model = file.with_name("m.safetensors")
    tifffile.imwrite(file, np.full_like(noisy, 7))
    run = hush("train", file, "-o", model, "--max-steps", "1", *TINY)
    assert run.exit_code == 1
    assert "no noise to learn from" in run.stderr
    assert list(file.parent.iterdir()) == [file]
    folder = file.with_name("m.safetensors.training")
    folder.mkdir()
    (folder / "mine.txt").touch()
    assert hush("train", file, "-o", model, "--max-steps", "1", *TINY).exit_code == 1
    assert [p.name for p in folder.iterdir()] == ["mine.txt"]


def test_levels_that_mean_different_things_are_refused(file: Path, tmp_path: Path) -> None:
    deep = tmp_path / "deep.tif"
    tifffile.imwrite(deep, tifffile.imread(file).astype(np.uint16) * 257)
    run = hush("train", file, deep, "-o", tmp_path / "m.safetensors", "--noise", "gaussian:25")
    assert run.exit_code == 1
    assert "ambiguous" in run.stderr


# -- what commands share ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("60s", 60), ("1.5m", 90), ("20 min", 1200), ("2h", 7200)]
)
def test_lengths_of_time(text: str, seconds: float) -> None:
    assert Duration().convert(text, None, None) == seconds


@pytest.mark.parametrize("text", ["", "-3", "1d", "soon", "1e3", "60 s s"])
def test_no_lengths_of_time(text: str) -> None:
    with pytest.raises(click.BadParameter, match="write 90, 60s, 20m or 2h"):
        Duration().convert(text, None, None)


def test_the_bar_keeps_out_of_results(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with Bar(2, quiet=False) as bar:
        bar("first.tif: denoising", 0.5)
        with bar.paused():
            click.echo("result")
        bar("second.tif: denoising", 1.0)
    out, err = capsys.readouterr()
    assert out == "result\n"
    assert "first.tif: denoising" in err
    with Bar(2, quiet=True) as bar:
        bar("first.tif: denoising", 0.5)
    assert capsys.readouterr() == ("", "")


# -- interrupts, and what is frozen -----------------------------------------------------------


def interrupted(command: list[str | Path], when: Callable[[str], bool]) -> tuple[int, str]:
    """Exit code and standard error of a command that gets Ctrl-C after a line fits `when`."""
    code = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "import sys, threading, hush.models\n"
        "from hush.cli import main\n"
        "before = hush.models.choose\n"
        "def choose(*a):\n"
        "    print('chosen', file=sys.stderr, flush=True)\n"
        "    return before(*a)\n"
        "hush.models.choose = choose\n"
        "main()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, *map(str, command)], stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    said = ""
    for line in process.stderr:
        said += line
        if when(line):
            break
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    said += process.communicate()[1]
    return process.returncode, said


@pytest.mark.skipif(os.name == "nt", reason="signals are POSIX's")
@pytest.mark.long
def test_ctrl_c_exits_130_and_training_goes_on_later(
    file: Path, models: Path, tmp_path: Path
) -> None:
    out = tmp_path / "m.safetensors"
    command: list[str | Path] = ["train", file, "-o", out, *TINY]
    status, said = interrupted([*command, "--max-steps", "1000000"], lambda line: "log and" in line)
    assert (status, out.exists()) == (130, False), said
    checkpoint = tmp_path / "m.safetensors.training" / "resume.safetensors"
    if checkpoint.exists():  # unless it had not begun
        assert "repeat the command with --resume" in said
        assert "--resume" in hush(*command, "--max-steps", "5").stderr
        other = hush(*command, "--max-steps", "5", "--resume", "--seed", "3")
        assert "had other seed" in other.stderr
        other = hush(*command, "--max-steps", "5", "--resume", "--set", "widths=8,16")
        assert "had other widths; repeat its command" in other.stderr
        assert hush(*command, "--max-steps", "5", "--resume").exit_code == 0
        assert not checkpoint.exists()


@pytest.mark.parametrize("ignored", [False, True])
def test_ctrl_c_waits_for_an_import(
    ignored: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Within a library's C++ it would abort the process; in the background it may be ignored."""
    name = f"slow_to_import_{ignored}"
    (tmp_path / f"{name}.py").write_text(
        "import os, signal\nos.kill(os.getpid(), signal.SIGINT)\nwhole = True\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    handler = signal.SIG_IGN if ignored else signal.default_int_handler
    before = signal.signal(signal.SIGINT, handler)
    try:
        with nullcontext() if ignored else pytest.raises(KeyboardInterrupt):
            preload(name)
        assert signal.getsignal(signal.SIGINT) is handler
    finally:
        signal.signal(signal.SIGINT, before)
    assert sys.modules[name].whole


@pytest.mark.skipif(os.name == "nt", reason="signals are POSIX's")
@pytest.mark.long
def test_ctrl_c_leaves_nothing_half_done(file: Path, models: Path, tmp_path: Path) -> None:
    command: list[str | Path] = ["denoise", file, "--adapt", "10m"]
    command += ["--model", models / "mid-gray.safetensors"]
    status, said = interrupted(command, lambda line: "chosen" in line)
    assert status == 130, said
    assert said.splitlines()[-1] == "hush: interrupted"
    assert list(tmp_path.iterdir()) == [file]


def test_a_closed_pipe_is_no_error() -> None:
    script = f"'{sys.executable}' -m hush models --json | true"
    run = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    assert run.stderr == ""


def frozen(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Names of options and JSON keys, and exit codes, as they are."""

    def names(command: click.Command) -> dict[str, list[str]]:
        parameters = {}
        for p in command.params:
            if isinstance(p, click.Option):
                parameters[p.opts[-1]] = sorted({*p.opts, *p.secondary_opts})
            elif isinstance(p, click.Argument):
                parameters[str(p.name).upper()] = ["several" if p.nargs == -1 else "one"]
        return parameters

    def stop() -> None:
        raise KeyboardInterrupt

    assert isinstance(main, click.Group)
    out, cells = tmp_path / "out", tmp_path / "cells.jsonl"
    printed = {
        "denoise": lines(hush("denoise", file, "--json", "-o", out / "a.tif").stdout)[0],
        "inspect": lines(hush("inspect", file, "--json").stdout)[0],
        "compare": json.loads(hush("compare", file, file, "--json").stdout),
        "methods": json.loads(hush("methods", "--json").stdout)[0],
    }
    folder = tmp_path / "images" / "mine"
    folder.mkdir(parents=True)
    file.rename(folder / "a.tif")
    data = ["--data", tmp_path, "--quick", "--methods", "none", "--json", cells]
    hush("study", "mid/images", *data)
    printed["study"] = lines(cells.read_text())[0]
    hush("train", folder, "-o", out / "m.safetensors", "--max-steps", "1", *TINY)
    printed["train (card)"] = json.loads((out / "m.json").read_text())
    done = hush("models").exit_code
    monkeypatch.setattr("hush.models.cards", stop)
    interrupt = hush("models")
    return {
        "options": {name: names(command) for name, command in main.commands.items()},
        "json": {name: list(value) for name, value in printed.items()},
        "exit codes": {
            "--help": hush("--help").exit_code,
            "done": done,
            "bad input": hush("inspect", tmp_path / "none.tif").exit_code,
            "no such option": hush("inspect", "--nothing").exit_code,
            "no such command": hush("nothing").exit_code,
            "interrupted": interrupt.exit_code,
        },
    }


def test_names_codes_and_keys_are_frozen(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = frozen(file, tmp_path, monkeypatch)
    if os.environ.get("HUSH_SNAPSHOT") == "write":
        SNAPSHOT.write_text(json.dumps(now, indent=1) + "\n")
    assert now == json.loads(SNAPSHOT.read_text())


def test_help_imports_only_click() -> None:
    code = "import sys, hush.cli; print(*{n.partition('.')[0] for n in sys.modules})"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"numpy", "rich", "scipy", "skimage", "torch"} & set(run.stdout.split())

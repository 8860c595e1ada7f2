"""Other people's packages: a kind, a format, a method and a study that hush has never heard of.

`tests/toys` is such a package. It is installed here as pip would, and then used from the command
line. No file of hush names any of it.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
TOYS = Path(__file__).parent / "toys"
SIGMA = 0.1


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder like site-packages: the package, and beside it what an installer writes of it."""
    site = tmp_path_factory.mktemp("site")
    shutil.copytree(TOYS / "hush_toys", site / "hush_toys")
    project = tomllib.loads((TOYS / "pyproject.toml").read_text())["project"]
    info = site / f"hush_toys-{project['version']}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    )
    groups = (
        f"[{group}]\n" + "".join(f"{name} = {value}\n" for name, value in points.items())
        for group, points in project["entry-points"].items()
    )
    (info / "entry_points.txt").write_text("\n".join(groups))
    return site


#: One command line after the other: a process takes seconds to import what the first needs.
PROCESS = """
import json, os, sys
from click.testing import CliRunner
from hush.cli import main

for line in sys.stdin:
    folder, arguments = json.loads(line)
    os.chdir(folder)
    done = CliRunner().invoke(main, arguments, prog_name="hush")
    print(json.dumps([done.exit_code, done.stdout, done.stderr]), flush=True)
"""


@pytest.fixture(scope="module")
def process(installed: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that has the package installed."""
    path = os.pathsep.join([str(installed), *filter(None, [os.environ.get("PYTHONPATH")])])
    with subprocess.Popen(
        [sys.executable, "-c", PROCESS],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
    ) as started:
        yield started


@pytest.fixture
def hush(process: subprocess.Popen[str], tmp_path: Path) -> Any:
    """Runs a command line in `process`, in `tmp_path`."""

    def run(*arguments: object, code: int = 0) -> subprocess.CompletedProcess[str]:
        assert process.stdin is not None
        assert process.stdout is not None
        print(
            json.dumps([str(tmp_path), list(map(str, arguments))]), file=process.stdin, flush=True
        )
        returned, *said = json.loads(process.stdout.readline())
        assert returned == code, said[1]
        return subprocess.CompletedProcess(arguments, returned, *said)

    return run


@pytest.fixture
def steps(tmp_path: Path) -> np.ndarray:
    """Clean steps; ``noisy.xy`` and ``clean.xy`` are traces in files of two columns."""
    rng = np.random.default_rng(0)
    clean = np.repeat(rng.random(16), 64)
    time = np.arange(len(clean)) / 100
    noisy = clean + rng.normal(0, SIGMA, clean.shape)
    for name, x in (("noisy", noisy), ("clean", clean)):
        np.savetxt(tmp_path / f"{name}.xy", np.stack([time, x], 1))
    return clean


def test_a_trace_is_denoised_and_keeps_its_file(
    hush: Any, steps: np.ndarray, tmp_path: Path
) -> None:
    done = hush("denoise", "noisy.xy", "--method", "median", "--tempo", "100", "--json")
    row = json.loads(done.stdout)
    assert (row["kind"], row["method"], row["error"]) == ("trace", "median", None)
    assert row["sigma"] == pytest.approx(SIGMA, rel=0.1)
    assert not any("tempo" in warning for warning in row["warnings"])
    made, noisy = (np.loadtxt(tmp_path / f"{n}.xy") for n in ("noisy.denoised", "noisy"))
    np.testing.assert_array_equal(made[:, 0], noisy[:, 0])
    errors = [np.mean((x[:, 1] - steps) ** 2) for x in (made, noisy)]
    assert errors[0] < 0.4 * errors[1]


def test_the_summary_speaks_of_traces(hush: Any, steps: np.ndarray) -> None:
    done = hush("denoise", "noisy.xy", "--method", "median")
    for word in ("trace", "1024 (T)", "independent from sample to sample", "state it with --tempo"):
        assert word.lower() in " ".join(done.stdout.split()).lower()


@pytest.mark.slow
def test_a_trace_is_inspected_and_reported(hush: Any, steps: np.ndarray, tmp_path: Path) -> None:
    row = json.loads(hush("inspect", "noisy.xy", "--json", "--report", "noise.html").stdout)
    assert (row["kind"], row["family"]) == ("trace", "gaussian")
    assert row["sigma"] == pytest.approx(SIGMA, rel=0.1)
    hush("denoise", "noisy.xy", "--method", "none", "--tempo", 100, "--report", "r.html")
    for page, words in (("noise.html", "Noise report"), ("r.html", "At 100 samples a second.")):
        text = (tmp_path / page).read_text()
        assert words in text
        assert "<svg" in text


@pytest.mark.long
def test_noisy_traces_teach_mid(hush: Any, steps: np.ndarray, tmp_path: Path) -> None:
    """With MID's default Ψ and Φ, from the noisy file alone; the model knows its kind."""
    settings = ("--set", "widths=8,16", "--set", "blocks=1,1", "--set", "patch=64")
    hush("train", "noisy.xy", "-o", "m.safetensors", "--max-steps", 300, *settings)
    card = json.loads((tmp_path / "m.json").read_text())
    assert (card["kind"], card["channels"]) == ("trace", 1)
    done = hush("denoise", "noisy.xy", "--model", "m.safetensors", "--steps", 2, "--json")
    row = json.loads(done.stdout)
    assert (row["method"], row["steps"], row["error"]) == ("mid", 2, None)
    made, noisy = (np.loadtxt(tmp_path / f"{n}.xy")[:, 1] for n in ("noisy.denoised", "noisy"))
    assert np.mean((made - steps) ** 2) < 0.6 * np.mean((noisy - steps) ** 2)
    np.save(tmp_path / "image.npy", np.zeros((32, 32), np.float32))
    said = hush("denoise", "image.npy", "--model", "m.safetensors", code=1).stderr
    assert "this model denoises traces, not images" in said


@pytest.mark.long
@pytest.mark.slow
def test_adapting_helps_or_leaves_alone(hush: Any, steps: np.ndarray, tmp_path: Path) -> None:
    settings = ("--set", "widths=8,16", "--set", "blocks=1,1", "--set", "patch=64")
    hush("train", "noisy.xy", "-o", "m.safetensors", "--max-steps", 5, *settings)
    done = hush("denoise", "noisy.xy", "--model", "m.safetensors", "--adapt", "2s", "--json")
    assert json.loads(done.stdout)["error"] is None


def test_traces_are_compared(hush: Any, steps: np.ndarray) -> None:
    row = json.loads(hush("compare", "noisy.xy", "clean.xy", "--json").stdout)
    assert -20 * np.log10(SIGMA) < row["psnr"] < 23  # clipped to the range, which helps
    assert "ssim" not in row


@pytest.mark.slow
def test_a_study_of_traces_runs(hush: Any, tmp_path: Path) -> None:
    assert "toys/steps" in hush("study", "--help").stdout
    hush("study", "toys/steps", "--data", ".", "--quick", "--json", "cells.jsonl")
    cells = [json.loads(line) for line in (tmp_path / "cells.jsonl").read_text().splitlines()]
    values = {cell["method"]: cell["value"] for cell in cells}
    assert values["median"] > values["none"] + 3


@pytest.mark.slow
def test_a_trace_may_be_an_array(hush: Any, steps: np.ndarray, tmp_path: Path) -> None:
    """The kind is the one that is stated, or the one that has the option that is given."""
    np.save(tmp_path / "a.npy", np.loadtxt(tmp_path / "noisy.xy")[:, 1])
    for option in (("--kind", "trace"), ("--tempo", "100")):
        done = hush("denoise", "a.npy", "--method", "median", *option, "--json", "--overwrite")
        assert json.loads(done.stdout)["kind"] == "trace"
    assert np.load(tmp_path / "a.denoised.npy").shape == steps.shape


@pytest.mark.slow
def test_what_a_trace_cannot_have_gets_a_sentence(hush: Any, steps: np.ndarray) -> None:
    refused = {
        ("--method", "bm3d"): "bm3d denoises images, not traces",
        ("--method", "mid"): "no model is shipped for mid and traces",
        ("--method", "median", "--noise", "stripes:0.1"): "stripes",
        ("--method", "median", "--axes", "Y"): "traces need axes",
    }
    for options, sentence in refused.items():
        done = hush("denoise", "noisy.xy", *options, code=1)
        assert sentence in done.stderr
        assert "internal error" not in done.stderr
    assert "a tempo is above 0" in hush("denoise", "noisy.xy", "--tempo", "-3", code=2).stderr


def test_nothing_in_hush_names_the_toys() -> None:
    for path in (ROOT / "src").rglob("*.py"):
        assert not {"trace:TRACE", "hush_toys", "median:Median"} & set(path.read_text().split())

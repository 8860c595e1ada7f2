"""Results of earlier runs: skipped among several inputs, denoised again if they are named alone."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from hush import io
from hush.cli import main
from hush.cli.earlier import results_in
from hush.io import origin
from hush.record import Record


def run(*args: object) -> tuple[int, str]:
    made = CliRunner().invoke(main, [str(a) for a in args])
    return made.exit_code, made.output


def picture(path: Path, seed: int = 0) -> Path:
    x = np.random.default_rng(seed).normal(100, 9, (24, 24)).astype("u1")
    path.parent.mkdir(exist_ok=True)
    io.write(Record(x, "YX"), path)
    return path


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("x.denoised.tif", "x"),
        ("x.1.denoised.nii.gz", "x.1"),
        ("x.denoised.denoised.tif", "x.denoised"),
        ("ecg_denoised.hea", "ecg"),
        ("scan.denoised", "scan"),
        ("x_denoised.tif", None),
        ("x.tif", None),
        ("denoised.tif", None),
        (".denoised.tif", None),
    ],
)
def test_results_are_known_by_their_names(name: str, stem: str | None) -> None:
    assert origin(Path("folder") / name) == stem


def test_the_source_lies_beside_a_result_or_among_the_inputs(tmp_path: Path) -> None:
    for name in ("a.jpg", "a.denoised.png", "b.denoised.png", "b.denoised.tif", "ab.png"):
        (tmp_path / name).touch()
    other = tmp_path / "other" / "b.tif"
    results = [tmp_path / "a.denoised.png", tmp_path / "b.denoised.png"]
    assert results_in(results, []) == results[:1]
    assert results_in(results, [other]) == results


def test_a_second_run_skips_the_results_of_the_first(tmp_path: Path) -> None:
    files = [picture(tmp_path / "a.tif"), picture(tmp_path / "b.tif", 1)]
    assert run("denoise", *files, "--method", "none")[0] == 0
    given = sorted(tmp_path.glob("*.tif"))  # as a shell gives them
    assert len(given) == 4
    for inputs in (given, [tmp_path], [tmp_path / "*.tif"]):
        code, told = run("denoise", *inputs, "--method", "none", "--overwrite")
        assert code == 0
        assert "skipped: 2 results of earlier runs, such as" in told
        assert "2 of 2 files denoised" in told
    assert sorted(tmp_path.iterdir()) == given
    result = tmp_path / "a.denoised.tif"
    assert run("denoise", result, "--method", "none")[0] == 0
    assert (tmp_path / "a.denoised.denoised.tif").exists()
    code, _ = run("denoise", tmp_path, "-o", tmp_path / "out", "--method", "none", "--force", "-q")
    assert code == 0
    assert (tmp_path / "out" / "b.denoised.tif").exists()


def test_results_that_are_all_that_is_given_are_denoised(tmp_path: Path) -> None:
    for name in ("a.tif", "b.tif", "a.denoised.tif", "b.denoised.tif"):
        picture(tmp_path / name)
    code, told = run("denoise", *tmp_path.glob("*.denoised.tif"), "--method", "none")
    assert (code, "2 of 2 files denoised" in told) == (0, True)


def test_outputs_in_folders_and_maps_are_skipped_too(tmp_path: Path) -> None:
    for name in ("a.tif", "b.tif"):
        picture(tmp_path / name)
    places = ("-o", tmp_path / "out", "--residual", tmp_path / "maps")
    assert run("denoise", tmp_path, *places, "--method", "none")[0] == 0
    everything = sorted(tmp_path.rglob("*.tif"))
    assert len(everything) == 6
    code, told = run(
        "denoise", *everything, *places, "--method", "none", "--skip-existing", "--json"
    )
    rows = [json.loads(line) for line in told.splitlines() if line.startswith("{")]
    assert code == 0
    assert all(row["skipped"] for row in rows)
    assert [row["reason"] for row in rows].count("the result of an earlier run") == 4
    # nothing is ever replaced that was given as an input
    code, told = run("denoise", *everything, *places, "--method", "none", "--overwrite")
    assert code == 1
    assert "which is also an input" in told


def test_inspect_looks_at_results_that_are_named(tmp_path: Path) -> None:
    for name in ("a.tif", "a.denoised.tif"):
        picture(tmp_path / name)
    _, told = run("inspect", *tmp_path.glob("*.tif"), "--json")
    assert sum(line.startswith("{") for line in told.splitlines()) == 2
    _, told = run("inspect", tmp_path, "--json")
    assert sum(line.startswith("{") for line in told.splitlines()) == 1

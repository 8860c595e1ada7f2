"""The study of what a result costs in time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from hush.errors import HushError
from hush.studies import STUDIES, anytime, run, timed
from hush.studies.core import Case
from hush.studies.ledger import Cell, Key, Ledger
from hush.studies.sample import Sample

# -- the study -------------------------------------------------------------------------------------


def write(path: Path, seed: int, sigma: float = 0.0) -> None:
    y, x = np.mgrid[:48, :56] / 9
    image = (
        128
        + 60 * np.sin(y + seed) * np.cos(x)
        + np.random.default_rng(seed).normal(0, 1, y.shape) * sigma
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.clip(image, 0, 255).astype(np.uint8)).save(path)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """X-rays, and pairs of a microscope; in this process, and no seconds are measured."""
    for i in range(5):
        write(tmp_path / f"images/cxr_some/{i}.png", i)
    for i in range(2):
        write(tmp_path / f"images/fmd/raw/cell_{i}.png", i, sigma=12)
        write(tmp_path / f"images/fmd/gt/cell_{i}.png", i)
    return tmp_path


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, float]]:
    """Methods run in this process; a list of them, and of the time that was left."""
    calls = []

    def alone(function: Any, row: str, noisy: np.ndarray, end: float, threads: int) -> Any:
        calls.append((row, end))
        return function(row, noisy, end, threads)

    monkeypatch.setattr(timed, "alone", alone)
    return calls


def study(data: Path, **options: Any) -> Any:
    options = {
        "methods": ["none", "wiener"],
        "options": {"times": "1,4", "pictures": "2"},
        **options,
    }
    return run("anytime", data, quick=True, **options)


def test_folders_of_other_names_are_used_where_no_known_ones_are(tmp_path: Path) -> None:
    for i in range(2):
        write(tmp_path / f"images/alleys/{i}.png", i)
        write(tmp_path / f"images/scope/raw/{i}.png", i, sigma=12)
        write(tmp_path / f"images/scope/gt/{i}.png", i)

    def found() -> set[str]:
        cases = STUDIES["anytime"].cases(tmp_path, quick=True, only=None)
        return {case.settings["data"] for case in cases}

    assert found() == {"alleys", "scope"}
    write(tmp_path / "images/kodak/0.png", 0)
    assert found() == {"kodak"}


def test_every_time_has_its_cells_and_a_picture(
    data: Path, here: list[Any], tmp_path: Path
) -> None:
    path = tmp_path / "r.json"
    done = study(data, json_path=path)
    assert {c.case for c in done.cells} == {
        f"{of};subset=2x128;time={t}s"
        for of in (
            "data=cxr_some;noise=gaussian;level=25/255",
            "data=fmd;noise=real;fit=gain-offset",
        )
        for t in (1, 4)
    }
    assert {c.metric for c in done.cells} == {"psnr", "ssim", "seconds", "worst step down"}
    assert any("kodak" in note for note in done.notes)
    psnr = {(c.method, c.case): c.value for c in done.cells if c.metric == "psnr"}
    assert all(psnr["wiener", case] > psnr["none", case] for _, case in psnr)
    down = [c for c in done.cells if c.metric == "worst step down"]
    assert len(down) == 4
    assert all(c.value == 0 and c.case.endswith("time=4s") for c in down)
    count = len(here)
    again = study(data, json_path=path)
    assert len(here) == count
    assert len(again.cells) == len(done.cells)
    anytime.draw(done.cases, None, path, quick=True)  # type: ignore[arg-type]
    with Image.open(path.with_suffix(".png")) as image:
        assert len(image.getcolors(2**20) or []) > 20


def test_the_worst_file_tells_how_far_a_step_went_down() -> None:
    cases = [
        Case({"data": "x", "time": f"{t}s"}, samples=lambda _: [], count=2) for t in (60, 2, 10)
    ]
    ledger, found = Ledger(), STUDIES["anytime"]
    values = {2: {"a": 30.0, "b": 20.0}, 10: {"a": 29.0, "b": 21.0}, 60: {"a": 29.5, "b": 20.9}}
    for t, of in values.items():
        key = Key("anytime", f"data=x;time={t}s", "m", "psnr", 0)
        ledger.add(Cell.of(key, True, of, None), of)
    for _ in range(2):  # nothing is added twice
        anytime.steps_down(found, cases, ledger)
    downs = {k.case: c for k, c in ledger.cells.items() if k.metric == "worst step down"}
    assert {k: c.value for k, c in downs.items()} == {
        "data=x;time=10s": pytest.approx(-1.0),
        "data=x;time=60s": pytest.approx(-0.5),
    }


def test_methods_that_learn_get_the_time_that_is_left(
    data: Path, here: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    budgets = []

    def train(*given: Any, **options: Any) -> dict[str, float]:
        budgets.append(given[3].budget)
        return {}

    monkeypatch.setattr("hush.training.train", train)
    study(data, methods=["noise2void"], only="cxr*", options={"times": "0.01,50", "pictures": "1"})
    assert budgets[0] == timed.LEAST
    assert 0 < budgets[1] < 50
    with pytest.raises(HushError, match="learns from more than one noisy image"):
        timed.made("noise2noise", np.ones((1, 32, 32), np.float32), 0.0, 1)


def test_adapting_gets_what_the_plain_command_leaves(monkeypatch: pytest.MonkeyPatch) -> None:
    given = []

    def fake(noisy: np.ndarray, options: Any) -> timed.Timed:
        given.append(tuple(options))
        return timed.Timed(noisy, 3.0)

    monkeypatch.setattr(timed, "_command", fake)
    for seconds in (2.0, 10.0):
        sample = Sample("a", np.zeros((1, 8, 8)), None, about={"seconds": seconds, "real": False})
        timed.adapted(sample)
    assert given == [(), (), ("--adapt", "7.000s")]


def test_bad_options_are_refused(data: Path) -> None:
    with pytest.raises(HushError, match="times=2,0 is not valid for anytime: a time is more than"):
        study(data, options={"times": "2,0"})
    with pytest.raises(HushError, match="leave --train out"):
        study(data, train_dir=data)
    with pytest.raises(HushError, match="no images in a folder like 'bird"):
        study(data, only="bird*")


@pytest.mark.long
@pytest.mark.parametrize("row", ["mid", "mid:adapt", "none"])
def test_results_of_processes_of_their_own(row: str) -> None:
    x = np.full((3, 32, 40), 0.5, np.float32) + np.random.default_rng(0).normal(
        0, 0.1, (3, 32, 40)
    ).astype(np.float32)
    sample = Sample("a", x, x, about={"seconds": 20.0, "real": False})
    done = STUDIES["anytime"].rows[row](sample)
    assert done.data.shape == x.shape
    assert done.seconds > 0.1
    assert np.array_equal(done.data, x) is (row == "none")

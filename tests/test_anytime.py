"""Anytime: what is held out, rounds that more time only adds to, and the study of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import hush.methods.mid.adapting as adapting
from hush.errors import HushError
from hush.noise.halves import thinned
from hush.noise.processes import Correlated, Gaussian, Poisson, PoissonGaussian, Rician
from hush.studies import STUDIES, anytime, run, timed
from hush.studies.core import Case
from hush.studies.ledger import Cell, Key, Ledger
from hush.studies.sample import Sample

# -- what is judged on -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "law",
    [
        Gaussian(0.1),
        Poisson(20.0),
        PoissonGaussian(0.02, 0.05),
        Correlated(Gaussian(0.1), 1.0),
    ],
    ids=str,
)
@pytest.mark.parametrize("ratio", [1.25, 2.0, 3.0])
def test_what_is_learned_from_and_what_judges_share_the_scene_alone(law: Any, ratio: float) -> None:
    clean = torch.linspace(0.3, 0.8, 64).repeat(1, 256, 1)
    x = law.sample(clean[None], torch.Generator().manual_seed(1))[0].numpy()
    a, b = (part - clean.numpy() for part in thinned(x, law, ratio, 0))
    reach = 4 if isinstance(law, Correlated) else 1  # fewer of its values are independent
    near = 4 * reach * np.sqrt(law.variance(0.8) / a.size)
    variance = float(np.mean(law.variance(clean.numpy())))
    other = ratio / (ratio - 1)
    assert abs(a.mean()) < near * np.sqrt(ratio)
    assert abs(b.mean()) < near * np.sqrt(other)
    assert a.var() == pytest.approx(ratio * variance, rel=0.05 * reach)
    assert b.var() == pytest.approx(other * variance, rel=0.05 * reach)
    assert abs(np.corrcoef(a.ravel(), b.ravel())[0, 1]) < 4 * reach / np.sqrt(a.size)
    assert np.allclose(x - clean.numpy(), (a + (ratio - 1) * b) / ratio, atol=1e-5)


def test_what_was_learned_by_heart_does_not_count(random_mid: Any) -> None:
    """Errors of results with all, half and none of the noise of s' differ as the true ones."""
    rng = np.random.default_rng(0)
    clean = np.tile(np.linspace(0.2, 0.8, 128, dtype=np.float32), (1, 128, 1))
    x = clean + rng.normal(0, 0.1, clean.shape).astype(np.float32)
    pair = adapting.Thinned.of(x, Gaussian(0.1), 0)
    model = random_mid()
    noise = pair.seen - clean
    found = {}
    for name, removed in {"none": 0 * noise, "half": noise / 2, "true": noise}.items():
        model.predicted = lambda s, law, half, removed=removed: removed
        found[name] = adapting.errors(model, [pair]).mean()
    assert found["half"] - found["true"] == pytest.approx(0.25, abs=0.05)
    assert found["none"] - found["true"] == pytest.approx(1.0, abs=0.1)


def test_cells_cover_an_item() -> None:
    x = np.arange(2 * 50 * 70, dtype=np.float64).reshape(2, 50, 70)
    assert len(adapting._cells(x)) == 64
    assert adapting._cells(np.ones((1, 640))).shape == (64,)
    even = np.arange(2 * 64 * 64.0).reshape(2, 64, 64)
    assert adapting._cells(even).mean() == even.mean()


# -- rounds ----------------------------------------------------------------------------------------


def test_a_gain_must_be_surely_above_zero() -> None:
    assert adapting.better(np.full(8, 0.1))
    assert not adapting.better(np.zeros(8))
    assert not adapting.better(-np.ones(8))
    # Student: t = 1.895 for 7 degrees of freedom; of few blocks more is asked
    gains = np.tile([1.0, -1.0], 4) * np.sqrt(7 / 8)
    error = np.sqrt(1 / 8)
    assert adapting.better(gains + 1.90 * error)
    assert not adapting.better(gains + 1.89 * error)
    few = np.array([1.0, -1.0, 0.0])
    assert not adapting.better(few + 2.9 * few.std(ddof=1) / np.sqrt(3))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock that only training moves, a second a step, and where every round has left Φ."""
    time, reached = [0.0], []

    def train(network: torch.nn.Module, *given: Any, **options: Any) -> dict[str, float]:
        schedule = given[2]
        time[0] += schedule.max_steps
        reached.append((schedule.max_steps, schedule.seed))
        with torch.no_grad():
            for weight in network.parameters():
                weight += 1
        return {}

    monkeypatch.setattr("hush.training.train", train)
    monkeypatch.setattr(adapting, "now", lambda: time[0])
    return reached


def scored(monkeypatch: pytest.MonkeyPatch, losses: list[float]) -> None:
    """Errors of the model as it is, and after each round, in four cells."""
    left = iter(losses)
    monkeypatch.setattr(
        adapting, "errors", lambda *_: next(left) + 1e-3 * np.array([1.0, -1, 2, -2])
    )


def rounds_in(model: Any) -> float:
    """How many rounds a model has had, by `clock`."""
    weight = next(iter(model.networks_["noise"].parameters()))
    return float(weight.detach().mean())


def test_more_time_only_adds_rounds(
    random_mid: Any, clock: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    x = np.random.default_rng(0).random((1, 96, 96), np.float32)
    before = None
    for seconds, count in ((1.0, 1), (12.0, 2), (27.9, 2), (28.0, 3), (60.1, 4)):
        clock.clear()
        scored(monkeypatch, [1.0, 0.9, 0.8, 0.7, 0.6])
        model = random_mid()
        start = rounds_in(model)
        made = model.adapt([x], seconds, noise=Gaussian(0.1))
        assert rounds_in(made) - start == pytest.approx(count)
        assert [steps for steps, _ in clock] == [4 * 2**k for k in range(count)]
        assert before is None or clock[: len(before)] == before
        before = list(clock)


@pytest.mark.parametrize(
    ("losses", "kept", "trained"),
    [
        ([1.0, 0.9, 0.95, 0.8, 0.8], 1, 2),  # surely worse than the best: it ends there
        ([1.0, 1.0, 0.9, 0.9, 0.9], 2, 4),  # no gain at first, then one, then none
        ([1.0, 1.1, 0.5, 0.5, 0.5], 0, 1),
        ([1.0, 1.0, 1.0, 1.0, 1.0], 0, 4),
    ],
)
def test_the_best_round_is_kept(
    losses: list[float],
    kept: int,
    trained: int,
    random_mid: Any,
    clock: list[Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scored(monkeypatch, losses)
    x = np.random.default_rng(0).random((1, 96, 96), np.float32)
    model = random_mid()
    start = rounds_in(model)
    made = model.adapt([x], 61.0, noise=Gaussian(0.1))
    assert (rounds_in(made) - start, len(clock)) == (pytest.approx(kept), trained)
    assert (made is model) is (kept == 0)
    assert rounds_in(model) == start


def test_too_little_to_judge_on_is_left_alone(random_mid: Any, clock: list[Any]) -> None:
    model = random_mid()
    x = np.random.default_rng(0).random((1, 64, 8), np.float32)
    assert model.adapt([x], 60.0, noise=Gaussian(0.1)) is model
    x = np.random.default_rng(0).random((1, 64, 64), np.float32)
    assert model.adapt([x], 60.0, noise=Rician(0.1)) is model  # no halves with independent noise
    assert not clock


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
    with pytest.raises(HushError, match="no images in folders like bird"):
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

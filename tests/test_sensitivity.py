"""The sensitivity study: one thing changed at a time, and what each row does is what it says."""

from __future__ import annotations

from functools import partial
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from hush.errors import HushError
from hush.noise.processes import Gaussian, Speckle
from hush.studies import STUDIES, Results, run
from hush.studies import sensitivity as study
from hush.studies.core import Case
from hush.studies.images import noisy_samples
from hush.studies.table import groups
from hush.studies.trained import Method


class Told:
    """A method that returns what it is given, and keeps what it is told."""

    def restored(self, noisy: np.ndarray, noise: Any) -> np.ndarray:
        self.noisy, self.noise = noisy, noise
        return noisy


def test_the_level_is_told_wrong_by_the_error() -> None:
    method: Any = Told()
    study.misled(0.2, method, np.zeros((1, 4, 4)), Gaussian(0.1))
    assert method.noise.sigma == pytest.approx(0.12)
    study.misled(-0.2, method, np.zeros((1, 4, 4)), Speckle(0.3))
    assert method.noise.sigma == pytest.approx(0.24)
    study.untold(method, np.zeros((1, 4, 4)), Gaussian(0.1))
    assert method.noise is None


def test_in_logarithms_speckle_is_additive_and_unbiased() -> None:
    import torch

    clean = torch.full((1, 200, 200), 0.4)
    noisy = Speckle(0.3).sample(clean, torch.Generator().manual_seed(0)).numpy()
    method: Any = Told()
    method.restored = lambda x, noise: np.full_like(x, x.mean())  # what a perfect method does
    assert study.in_logarithms(method, noisy, Speckle(0.3)) == pytest.approx(0.4, rel=0.01)
    told: Any = Told()
    study.in_logarithms(told, noisy, Speckle(0.3))
    assert told.noise == Gaussian(0.3)
    assert float(np.std(told.noisy)) == pytest.approx(0.3, rel=0.02)


def test_without_the_derivative_noise_is_stated_with_as_much_power(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for i in range(3):
        Image.fromarray(rng.integers(0, 255, (24, 24), np.uint8)).save(tmp_path / f"{i}.png")
    files = sorted(tmp_path.iterdir())
    samples = partial(noisy_samples, files, study.SPECKLE, True, None)
    stated = list(study.additive(samples, 0))
    real = np.mean([(s.noisy - s.reference) ** 2 for s in samples(0)])
    assert len({s.noise for s in stated}) == 1
    assert stated[0].noise.sigma ** 2 == pytest.approx(real, rel=0.15)
    logs = next(iter(study.logarithms(samples, 0)))
    assert logs.noise == Gaussian(0.3)
    assert np.array_equal(logs.reference, next(iter(samples(0))).reference)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for name, count in (("cells", 4), ("lessons", 2)):
        (tmp_path / f"data/images/{name}").mkdir(parents=True)
        for i in range(count):
            x = rng.integers(0, 255, (40, 48), np.uint8)
            Image.fromarray(x).save(tmp_path / f"data/images/{name}/{i}.png")
    return tmp_path / "data"


def find(name: str, case: Case, seed: int) -> Method | None:
    """`none`, and `mid` as a method that is the worse, the more the case changes."""
    if name == "none":
        return None if case.options else lambda noisy, noise: noisy
    return lambda noisy, noise: noisy * (1 - 0.05 * len(case.options))


def quick(data: Path, **options: Any) -> Results:
    lessons = data / "images/lessons"
    return run("mid/sensitivity", data, quick=True, only="cells", train_dir=lessons, find=find,
               **options)  # fmt: skip


def test_one_thing_is_changed_at_a_time_and_compared_in_pairs(data: Path, tmp_path: Path) -> None:
    results = quick(data, json_path=tmp_path / "r.jsonl")
    tables = groups(STUDIES["mid/sensitivity"], results.ledger, results.cases)
    additive, speckle = ([row.label for row in rows] for rows in tables.values())
    assert additive == [
        *("none", "mid", "mid steps=2", "mid steps=4", "mid steps=8"),
        *("mid added=0.25", "mid added=0.5", "mid added=2"),
        *("mid told=-20%", "mid told=-10%", "mid told=+10%", "mid told=+20%"),
        *("mid start=Ψ", "mid start=Ψ lambda=0.01", "mid start=Ψ lambda=1"),
        "mid origin=collected",
    ]
    assert speckle == [
        *("none", "mid", "mid steps=4"),
        *("mid increments=additive", "mid increments=additive steps=4"),
        *("mid increments=log", "mid increments=log steps=4"),
    ]
    out = StringIO()
    for table in results.tables():
        Console(file=out, width=140).print(table)
    rows = next(iter(tables.values()))
    ours, base = (rows[i].per_sample("psnr") for i in (2, 1))
    apart = [ours[name] - base[name] for name in base]
    error = np.std(apart, ddof=1) / len(apart) ** 0.5
    assert f"{np.mean(apart):+.2f} ± {error:.2f}" in out.getvalue()
    assert "its standard error over samples" in " ".join(out.getvalue().split())
    before = (tmp_path / "r.jsonl").read_text()
    quick(data, json_path=tmp_path / "r.jsonl")
    assert (tmp_path / "r.jsonl").read_text() == before


def test_rows_that_only_read_a_model_differently_share_its_training(data: Path) -> None:
    results = quick(data)
    places = {
        str(c.training.place(c.training.recipes["mid"], 0)) for c in results.cases if c.training
    }
    assert len(results.cases) == 21
    assert len(places) == 1 + 3 + 2 + 1 + 3  # default, added, lambda, origin; three increments


def test_what_is_tested_is_not_trained_on(data: Path) -> None:
    with pytest.raises(HushError, match="would be both trained on and tested on"):
        run("mid/sensitivity", data, only="cells", train_dir=data / "images/cells")


def test_there_must_be_images_to_train_on(data: Path) -> None:
    with pytest.raises(HushError, match="no gray images to train on"):
        run("mid/sensitivity", data, quick=True, only="cells", find=find)

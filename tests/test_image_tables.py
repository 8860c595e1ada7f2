"""MID's image tables with training: every method on the same noisy images, resumable."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from PIL import Image

from hush.denoiser import Denoiser
from hush.errors import HushError
from hush.methods import METHODS, VARIANTS
from hush.methods.mid.image import MID
from hush.results import Restoration
from hush.studies import STUDIES, core, lessons, run
from hush.studies.core import Case
from hush.studies.ledger import Ledger
from hush.studies.lessons import find_lessons, lesson_samples, recipes

seen: list[tuple[str, Any, dict[str, Any]]] = []


@dataclass
class Toy(Denoiser):
    """Remembers what it is trained on."""

    ladder: str = ""
    stored: float = 0.15

    name: ClassVar[str] = "noise2void"
    summary: ClassVar[str] = "a toy"
    citation: ClassVar[str] = ""
    learns_from: ClassVar[Any] = "noisy"

    def fit(self, data: Any, **options: Any) -> Toy:
        seen.append((self.name, data, options))
        return self

    def weights(self) -> dict[str, Any]:
        import torch

        return {"x": torch.zeros(1)}

    def load_weights(self, tensors: Any) -> None:
        pass

    def restore(self, x: Any, noise: Any = None, advance: Any = None, found: Any = None) -> Any:
        return Restoration(x / 2, noise)


@dataclass
class Pairs(Toy):
    name: ClassVar[str] = "nafnet"
    learns_from: ClassVar[Any] = "pairs"


@dataclass
class Takes(Toy):
    name: ClassVar[str] = "noise2noise"
    learns_from: ClassVar[Any] = "takes"


@dataclass
class Ours(Toy):
    net: str = "unet"
    widths: tuple[int, ...] = (48, 96, 160)

    name: ClassVar[str] = "mid"


ROWS = ["none", "noise2void", "nafnet", "noise2noise", "mid", "mid:told", "mid:clean"]


@pytest.fixture
def toys(monkeypatch: pytest.MonkeyPatch) -> None:
    seen.clear()
    for cls in (Toy, Pairs, Takes):
        monkeypatch.setitem(METHODS._own, cls.name, f"{__name__}:{cls.__name__}")
    monkeypatch.setitem(VARIANTS._own, "mid/image", f"{__name__}:Ours")


def write(path: Path, shape: tuple[int, ...], seed: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    x = np.random.default_rng(seed).integers(40, 200, shape).astype(np.uint8)
    Image.fromarray(x).save(path)


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Test sets, gray and in colour, and training images in nested folders of classes."""
    for i in range(4):
        write(tmp_path / f"data/images/cells/{i}.png", (40, 48), i)
    write(tmp_path / "data/images/birds/one.png", (40, 48, 3))
    for i in range(3):
        write(tmp_path / f"train/n0{i}/n0{i}_1.JPEG", (50, 44, 3), 10 + i)
    write(tmp_path / "train/n09/gray.png", (50, 44), 20)
    return tmp_path / "data", tmp_path / "train"


def test_every_method_for_images_has_its_row() -> None:
    """Whatever is in the table of methods: no list of the study's own."""
    rows = lessons.rows()
    assert {"tv", "nlm", "wavelet", "wiener", "bm3d", "mid", "puca"} <= set(rows)
    assert not {"highpass", "greedy", "lof", "patch2self"} & set(rows)
    made = recipes("gaussian:25/255", alone=60.0)
    assert made["nafnet"].is_reference
    assert made["noise2noise"].is_reference
    assert not made["mid"].is_reference
    ranged = recipes("poisson:5-50", alone=60.0)
    assert "mid:told" not in ranged
    clean = {"ladder": "poisson:5-50", "stored": 0.0}
    assert ranged["mid:clean"].fields == {**ranged["mid"].fields, **clean}
    own = MID(**made["mid"].fields).build(3)
    assert (
        sum(weights.numel() for weights in own["noise"].parameters()) < 1e6
    )  # as its rivals' have


def test_lessons_are_found_at_any_depth_and_chosen_evenly(
    folders: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, train = folders
    (tmp_path / "empty").mkdir()
    names = ["n00_1.JPEG", "n01_1.JPEG", "n02_1.JPEG", "gray.png"]
    assert [p.name for p in find_lessons(train, False)] == names
    monkeypatch.setattr(lessons, "MOST", 2)
    assert [p.name for p in find_lessons(train, False)] == names[::2]
    with pytest.raises(HushError, match="contains no images; give --train a folder of images"):
        find_lessons(tmp_path / "empty", False)


def test_lessons_are_frozen_and_of_the_channels_of_the_test(folders: tuple[Path, Path]) -> None:
    files = find_lessons(folders[1], False)
    of = partial(lesson_samples, files, "gaussian:25/255")
    gray, colour = (list(of(channels, 32, False, 0)) for channels in (1, 3))
    assert [s.noisy.shape for s in gray] == [(1, 32, 32)] * 4
    assert [s.noisy.shape for s in colour] == [(3, 32, 32)] * 3  # gray ones have no colours
    for one, again, other in zip(*(of(1, 32, how, 0) for how in (False, False, True)), strict=True):
        np.testing.assert_array_equal(one.noisy, again.noisy)
        np.testing.assert_array_equal(one.reference, other.reference)
        noise = [(s.noisy - s.reference).ravel() for s in (one, other)]
        assert abs(np.corrcoef(noise)[0, 1]) < 0.15
    weights = np.array([0.299, 0.587, 0.114], np.float32)[:, None, None]
    np.testing.assert_allclose(
        gray[0].reference[0], (weights * colour[0].reference).sum(0), atol=1e-6
    )


@pytest.mark.usefixtures("toys")
def test_all_are_trained_on_the_same_noisy_images(
    folders: tuple[Path, Path], tmp_path: Path
) -> None:
    data, train = folders
    results = run(
        "mid/images", data, quick=True, train_dir=train, methods=ROWS, budget=7.0,
        json_path=tmp_path / "r.jsonl",
    )  # fmt: skip
    assert len(seen) == 2 * 6  # a training for gray images, and one for colours
    for name, x, options in seen:
        assert options["schedule"].budget == 7.0
        assert "noise" not in options or name == "mid"
        assert len(x) in (3, 4)
    shapes = {name: np.shape(x[0]) for name, x, _ in seen if len(x) == 3}
    assert shapes == {
        "noise2void": (50, 44, 3), "mid": (50, 44, 3),
        "nafnet": (2, 50, 44, 3), "noise2noise": (2, 50, 44, 3),
    }  # fmt: skip
    noisy = next(x for name, x, _ in seen if name == "noise2void" and len(x) == 3)
    pairs = next(x for name, x, _ in seen if name == "nafnet" and len(x) == 3)
    takes = next(x for name, x, _ in seen if name == "noise2noise" and len(x) == 3)
    np.testing.assert_array_equal(noisy[0], pairs[0][0])
    np.testing.assert_array_equal(noisy[0], takes[0][0])
    assert not np.array_equal(takes[0][0], takes[0][1])
    references = {c.method for c in results.cells if c.reference}
    assert references == {"nafnet", "noise2noise", "mid:told", "mid:clean"}
    assert all("train=" in c.case and "budget=7s" in c.case for c in results.cells)
    assert "estimator=estimated" in results.cells[0].case


def test_published_figures_for_a_known_level_are_beside_rows_that_are_told(
    tmp_path: Path, folders: tuple[Path, Path]
) -> None:
    for i in range(24):
        write(tmp_path / f"papers/images/kodak24/{i}.png", (512, 768, 3) if i == 0 else (8, 8, 3))
    cases = STUDIES["mid/images"].cases(
        tmp_path / "papers", quick=False, only=None, train=folders[1]
    )
    assert {c.settings["level"] for c in cases} == {"25/255", "5-50/255", "30", "5-50"}
    first = next(c for c in cases if c.settings["level"] == "25/255")
    assert first.paper["bm3d:told", "psnr"] == 31.87
    assert ("bm3d", "psnr") not in first.paper
    assert first.paper["neighbor2neighbor", "psnr"] == 31.81


def test_a_stopped_case_goes_on_where_it_was(
    folders: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Samples that took long are not denoised again, and the figures are the same."""
    monkeypatch.setattr(core, "LONG", -1.0)
    study = STUDIES["mid/images"]
    case = replace(study.cases(folders[0], quick=False, only="cells")[0], paper={})
    calls: list[int] = []

    def stopping(after: int) -> core.Find:
        def find(name: str, case: Case, seed: int) -> Any:
            def method(noisy: np.ndarray, noise: Any) -> np.ndarray:
                if len(calls) == after:
                    raise KeyboardInterrupt
                calls.append(1)
                return 0.9 * noisy

            return method

        return find

    def fill(path: Path, after: int) -> Ledger:
        ledger = Ledger(path)
        core.fill(ledger, study, [case], "nlm", [0], stopping(after), lambda *_: None)
        return ledger

    with pytest.raises(KeyboardInterrupt):
        fill(tmp_path / "a.jsonl", 3)
    assert len(calls) == 3
    resumed = fill(tmp_path / "a.jsonl", 99)
    assert len(calls) == 4
    calls.clear()
    whole = fill(tmp_path / "b.jsonl", 99)
    assert len(calls) == 4
    assert resumed.cells == whole.cells
    lines = (tmp_path / "a.begun.jsonl").read_text().splitlines()
    assert {json.loads(line)["sample"] for line in lines} == {f"{i}.png" for i in range(4)}

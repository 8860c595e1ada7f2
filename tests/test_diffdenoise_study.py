"""DiffDenoise's studies: noise and splits as stated, models trained once, rows read from them."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from PIL import Image

from hush.denoiser import Advance, Denoiser
from hush.errors import HushError
from hush.methods import METHODS
from hush.noise.process import Process
from hush.results import Restoration
from hush.schedule import Schedule
from hush.studies import STUDIES, run
from hush.studies import medical as module
from hush.studies.core import Case
from hush.studies.diffdenoise import (
    METRICS,
    ROWS,
    TABLE_1,
    TABLE_2,
    TABLE_3,
    TABLE_4,
    TABLE_5,
    recipes,
    spec,
)
from hush.studies.images import frozen_noise
from hush.studies.medical import blocks, by_subject, find_images, find_repeats, read_planes
from hush.studies.sample import Sample
from hush.studies.table import groups
from hush.studies.trained import Recipe, Training

PSNR, SSIM = METRICS


def write(path: Path, side: int = 40, seed: int = 0) -> None:
    """A smooth gray image of its own."""
    rows, columns = np.mgrid[:side, :side] / 48
    x = 0.5 + 0.4 * np.sin(6 * rows + seed) * np.cos(5 * columns - seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray((255 * x).astype(np.uint8)).save(path)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Stand-ins: X-rays of ten subjects, and repeated scans of one."""
    folder = tmp_path / "data"
    for subject in range(10):
        for number in range(2):
            write(folder / f"images/cxr/{subject:02}_{number}.png", seed=2 * subject + number)
    rng = np.random.default_rng(0)
    for scan, repeats in (("FLAIR", 2), ("T1", 3)):
        for k in range(1, repeats + 1):
            for i in range(12):
                path = folder / f"volumes/low/{scan}{k:02}/{i:02}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(rng.integers(0, 256, (40, 40), np.uint8)).save(path)
    return folder


# -- stand-in methods ------------------------------------------------------------------------

trained: list[str] = []
seen: dict[str, Any] = {}


@dataclass
class Toy(Denoiser):
    """Learns a number, how many images there were; answers by its `output`."""

    blind: int = 1
    keep: bool = False
    oracle: bool = False
    teacher: str = "pair"
    rounds: int = 1
    output: str = "student"
    seed: int = 0

    name: ClassVar[str] = "diffdenoise"
    summary: ClassVar[str] = ""
    citation: ClassVar[str] = ""
    trained: ClassVar[bool] = True

    count_: int = field(default=0, init=False, repr=False)

    def fit(
        self,
        data: Sequence[np.ndarray] | np.ndarray,
        *,
        schedule: Schedule,
        folder: Path,
        resume: bool,
        device: str,
        **options: Any,
    ) -> Toy:
        label = f"{self.name}-{self.teacher}-{self.rounds}" + "-resumed" * resume
        trained.append(label)
        seen[label] = (list(data), schedule, options)
        stage = folder / "student"
        stage.mkdir(parents=True, exist_ok=True)
        (stage / "resume.safetensors").touch()
        if self.blind < 0:
            raise KeyboardInterrupt
        self.count_ = len(data)
        return self

    def restore(
        self, x: np.ndarray, noise: Process | None = None, advance: Advance | None = None
    ) -> Restoration:
        assert self.count_
        seen[f"{self.name} restore"] = noise
        share = {"single": 0.5, "two-random": 0.6, "pair": 0.8}.get(self.output, 1.0)
        return Restoration(x + np.float32(share * 1e-2 + 1e-4 * self.seed), noise)

    def weights(self) -> dict[str, torch.Tensor]:
        return {"count": torch.tensor(self.count_)}

    def load_weights(self, tensors: Any) -> None:
        self.count_ = int(tensors["count"])


@dataclass
class Supervised(Toy):
    name: ClassVar[str] = "nafnet"


@dataclass
class Told(Toy):
    name: ClassVar[str] = "mid"


@pytest.fixture(autouse=True)
def stand_ins(monkeypatch: pytest.MonkeyPatch) -> None:
    trained.clear()
    seen.clear()
    read_planes.cache_clear()
    monkeypatch.setitem(sys.modules, "stand_ins", sys.modules[__name__])
    for cls in (Toy, Supervised, Told):
        monkeypatch.setitem(METHODS, cls.name, ("stand_ins", cls.__name__))


# -- noise -----------------------------------------------------------------------------------


@pytest.mark.parametrize("family", ["gaussian", "poisson", "gamma"])
@pytest.mark.parametrize("width", ["0.5", "1.2"])
def test_correlated_noise_keeps_the_power_and_correlates_as_computed(
    family: str, width: str
) -> None:
    x = np.full((1, 512, 512), 0.5, np.float32)
    white, mixed = (frozen_noise(x, spec(family, "knee", w), "a", 0)[0] - x for w in ("", width))
    assert np.mean(mixed**2) == pytest.approx(np.mean(white**2), rel=0.05)
    # by hand: half of the power is blurred, and a Gaussian kernel's own lag-1 correlation is
    at = np.arange(-8, 9)
    kernel = np.exp(-(at**2) / (2 * float(width) ** 2))
    lag = (kernel[1:] * kernel[:-1]).sum() / (kernel**2).sum() / 2
    measured = np.mean(mixed[..., 1:] * mixed[..., :-1]) / np.mean(mixed**2)
    assert measured == pytest.approx(lag, abs=0.02)
    assert abs(np.mean(white[..., 1:] * white[..., :-1]) / np.mean(white**2)) < 0.01


def test_levels_are_the_papers_for_what_is_shown() -> None:
    assert spec("gaussian", "knee") == "gaussian:6/255"
    assert [spec("poisson", kind) for kind in ("brain", "chest")] == ["poisson:200", "poisson:700"]
    assert spec("gamma", "chest", "1.2") == "correlated:gamma:500,1.2"
    assert spec("gaussian", "chest", sigma=50) == "gaussian:50/255"


def test_noise_is_frozen_unclipped_and_of_images_from_0_to_1(data: Path) -> None:
    first, *_ = STUDIES["diffdenoise/iid"].cases(data, quick=True, only=None)
    once, again, other = (list(first.samples(seed)) for seed in (0, 0, 1))
    for a, b, c in zip(once, again, other, strict=True):
        assert np.array_equal(a.noisy, b.noisy)
        assert not np.array_equal(a.noisy, c.noisy)
        assert (a.reference.min(), a.reference.max()) == (0, 1)
        assert a.noisy.min() < 0
        assert a.noisy.max() > 1
        assert PSNR.score(a.noisy, a.reference) == pytest.approx(32.57, abs=0.2)  # the paper's


# -- data ------------------------------------------------------------------------------------


def test_blocks_are_apart_by_the_gap() -> None:
    for count, test, gap in ((24, 8, 1), (22, 7, 1), (18, 8, 0), (12, 4, 2)):
        train, tested = blocks(count, test, gap)
        assert len(tested) == test
        assert min(abs(a - b) for a in train for b in tested) == gap + 1
        assert len(train) == count - test - 2 * gap


def test_no_subject_is_both_trained_on_and_tested_on(data: Path) -> None:
    train, test = by_subject(sorted((data / "images/cxr").iterdir()))
    assert [p.name for p in test] == ["00_0.png", "05_0.png"]
    assert {p.stem[:2] for p in train} == {f"{i:02}" for i in range(10)} - {"00", "05"}
    (chest,) = find_images(data)
    assert not {p.name for p in chest.train} & {p.name for p in chest.test}


def test_series_are_cut_in_blocks_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for series, count in (("T1", 12), ("T2", 9)):
        for i in range(count):
            path = tmp_path / f"volumes/knee_dicom/{series}/{i:02}.dcm"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    (knee,) = find_images(tmp_path)
    assert (knee.kind, knee.label, knee.source) == ("knee", "knee-t1-t2", "knee_dicom")
    assert [p.name for p in knee.test] == [
        *(f"T1/{i:02}.dcm" for i in (4, 5, 6, 7)),
        *(f"T2/{i:02}.dcm" for i in (3, 4, 5)),
    ]
    assert "T1/03.dcm" not in {p.name for p in knee.train}
    plane = np.arange(20.0).reshape(4, 5)
    monkeypatch.setattr(module, "read_planes", lambda path: [plane])
    sample = next(module.noisy_planes(knee.test, "gaussian:0", 300, 0))
    assert np.allclose(sample.noisy[0], plane / 19)  # smaller slices are taken whole


@pytest.mark.parametrize(
    ("names", "kind"),
    [
        (("singlecoil_train/file1.h5", "singlecoil_val/file2.h5"), "knee"),
        (("multicoil_train/file_brain_AXT2_1.h5", "multicoil_val/file_brain_AXT2_2.h5"), "brain"),
        (("siim/train/a/b/1.dcm", "siim/test/c/d/2.dcm"), "chest"),
    ],
)
def test_releases_are_found_by_their_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, names: tuple[str, str], kind: str
) -> None:
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    monkeypatch.setattr(module, "read_planes", lambda path: [np.zeros((8, 8))] * 250)
    (found,) = find_images(tmp_path)
    count = 1 if kind == "chest" else 250
    assert (found.kind, len(found.train), len(found.test)) == (kind, count, min(count, 200))
    assert {p.path.name for p in found.test} == {Path(names[1]).name}


def test_references_are_the_mean_of_the_other_repeats(data: Path) -> None:
    cases = STUDIES["diffdenoise/real"].cases(data, quick=False, only=None)
    assert [c.settings["reference"] for c in cases] == ["mean of 1 more", "mean of 2 more"]

    def stored(name: str, index: int) -> np.ndarray:
        path = data / f"volumes/low/{name}/{index:02}.png"
        return np.asarray(Image.open(path), np.float32) / 255

    samples = {s.name: s for s in cases[1].samples(0)}
    assert list(samples) == [f"T1[{i}]" for i in range(2, 10)]
    sample = samples["T1[4]"]
    assert np.allclose(sample.noisy[0], stored("T101", 4), atol=1e-6)
    reference = (stored("T102", 4) + stored("T103", 4)) / 2
    assert np.allclose(sample.reference[0], reference, atol=1e-6)
    assert cases[1].training is not None
    assert {s.name for s in cases[1].training.samples(0)} == {f"T1[{i}]" for i in (0, 1, 10, 11)}
    assert len(find_repeats(data, "cxr")) == 0


def test_released_repeats_are_found_by_their_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for part, subject in (("multicoil_train", "001"), ("multicoil_val", "002")):
        for repeat in ("T101", "T102", "FLAIR01", "FLAIR02"):
            path = tmp_path / part / f"{subject}_{repeat}.h5"
            path.parent.mkdir(exist_ok=True)
            path.touch()
    monkeypatch.setattr(module, "read_planes", lambda path: [np.eye(8)] * 18)
    found = {r.contrast: r for r in find_repeats(tmp_path)}
    assert set(found) == {"T1", "FLAIR"}
    ((scan, slices),) = found["T1"].test
    assert (scan.name, len(slices)) == ("002_T1", 18)
    assert [scan.name for scan, _ in found["T1"].train] == ["001_T1"]
    assert find_images(tmp_path) == []


def test_folders_without_such_data_get_a_sentence(tmp_path: Path) -> None:
    for name, what in (("iid", "brain or knee or chest"), ("real", "repeated scans")):
        with pytest.raises(HushError, match=f"holds no {what}"):
            run(f"diffdenoise/{name}", tmp_path)


# -- what was published ----------------------------------------------------------------------


def test_published_figures_are_the_papers() -> None:
    assert TABLE_1["brain", "gaussian"]["none", "psnr"] == 32.57
    assert TABLE_1["chest", "poisson"]["student", "ssim"] == 0.901
    assert TABLE_1["knee", "poisson"]["neighbor2neighbor", "psnr"] == 34.48
    assert TABLE_2["gamma", "1.2"]["student", "psnr"] == 35.40
    assert TABLE_2["poisson", "0.5"]["puca", "ssim"] == 0.761
    assert TABLE_3["T1",]["nafnet", "psnr"] == 32.17
    assert TABLE_4["1.2",]["3", "psnr"] == 36.07
    assert TABLE_5["0.5",]["kd-only", "ssim"] == 0.754
    assert {row for row, _ in TABLE_1["knee", "gaussian"]} <= set(ROWS)


def test_a_single_repeat_is_no_reference_for_the_papers_ssim(data: Path) -> None:
    flair, t1 = STUDIES["diffdenoise/real"].cases(data, quick=False, only=None)
    assert flair.paper["student", "psnr"] == 31.44
    assert ("student", "ssim") not in flair.paper
    assert t1.paper["student", "ssim"] == 0.900


# -- training --------------------------------------------------------------------------------


def quick(name: str, data: Path, **options: Any) -> Any:
    return run(f"diffdenoise/{name}", data, quick=True, **options)


def test_rows_that_differ_in_reading_come_from_one_model(data: Path, tmp_path: Path) -> None:
    rows = ["none", "single", "pair", "student", "kd-only", "nafnet"]
    path = tmp_path / "r.json"
    results = quick("iid", data, json_path=path, methods=rows, budget=7)
    assert trained == [
        "diffdenoise-pair-1", "diffdenoise-single-1-resumed", "nafnet-pair-1",
    ]  # fmt: skip
    psnr = {c.method: c.value for c in results.cells if c.metric == "psnr"}
    assert len(psnr) == len(rows)
    assert psnr["none"] > psnr["single"] > psnr["pair"] > psnr["student"] == psnr["kd-only"]
    (case,) = {c.case for c in results.cells}
    assert case == (
        "data=chest;source=cxr;noise=gaussian;level=6/255;train=16;subset=2x128;budget=7s"
    )
    images, schedule, _ = seen["diffdenoise-pair-1"]
    assert ({x.shape for x in images}, len(images)) == ({(40, 40)}, 16)
    assert (schedule.budget, schedule.seed) == (7, 0)
    pairs, same, _ = seen["nafnet-pair-1"]
    assert same == schedule
    assert np.array_equal(pairs[0][0], images[0])
    assert PSNR.score(images[0], pairs[0][1]) == pytest.approx(32.57, abs=0.3)
    assert seen["diffdenoise restore"] is None
    assert len(list((tmp_path / "r.models").rglob("model.safetensors"))) == 3


def test_other_budgets_and_seeds_are_other_models_and_the_same_are_reused(
    data: Path, tmp_path: Path
) -> None:
    path = tmp_path / "r.json"
    quick("iid", data, json_path=path, methods=["student"])
    quick("ablation", data, json_path=path, methods=["pair"])  # the same case, another table
    assert len(trained) == 1
    quick("iid", data, json_path=path, methods=["student"], budget=1)
    quick("iid", data, json_path=path, methods=["student"], seeds=[1])
    assert len(trained) == 3
    cells = [json.loads(line) for line in path.read_text().splitlines()]
    assert len({(c["study"], c["case"], c["seed"], c["metric"]) for c in cells}) == 8


def test_a_killed_training_goes_on_and_finished_ones_are_kept(tmp_path: Path) -> None:
    samples = [Sample("a", np.zeros((1, 8, 8), np.float32), np.zeros((1, 8, 8), np.float32))]
    training = Training("x", lambda seed: samples, {}, 5.0, tmp_path)
    recipe = Recipe("diffdenoise", {"blind": -1})
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            training.model(recipe, 0)
    assert trained == ["diffdenoise-pair-1", "diffdenoise-pair-1-resumed"]
    whole = Recipe("diffdenoise", {"blind": 5})
    assert training.model(whole, 0).blind == training.model(whole.read(seed=3), 0).blind == 5
    assert len(trained) == 3


def test_methods_that_are_told_the_noise_get_it(data: Path) -> None:
    quick("sweep", data, methods=["mid", "student"])
    noise = frozen_noise(np.zeros((1, 2, 2), np.float32), "gaussian:25/255", "", 0)[1]
    assert seen["mid-pair-1"][2] == {"noise": noise}
    assert seen["mid restore"] == noise
    assert seen["diffdenoise-pair-1"][2] == {}
    assert seen["diffdenoise restore"] is None


def test_rounds_are_rows_of_one_table_beside_their_figures(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = replace(find_images(data)[0], kind="knee", label="knee")
    monkeypatch.setattr("hush.studies.diffdenoise.find_images", lambda data, only: [found])
    results = run(
        "diffdenoise/rounds", data, json_path=tmp_path / "r.json", where={"kernel": ""}, budget=2
    )
    assert trained == [
        "diffdenoise-pair-1", "diffdenoise-pair-2-resumed", "diffdenoise-pair-3-resumed",
    ]  # fmt: skip
    assert seen["diffdenoise-pair-3-resumed"][1].budget == 6
    study = STUDIES["diffdenoise/rounds"]
    tables = groups(study, results.ledger, results.cases)
    rows = {row.label: row for row in next(iter(tables.values()))}
    assert list(rows) == ["none", "student round=1", "student round=2", "student round=3"]
    assert rows["none"].paper["psnr"] == 32.57
    assert rows["student round=3"].paper["psnr"] == 36.11
    assert all(row.cells for row in rows.values())


def test_the_ablation_draws_how_samples_scatter(data: Path, tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    results = quick("ablation", data, json_path=path)
    assert results.notes == []
    drawn = json.loads((tmp_path / "r.draws.json").read_text())
    assert {row: len(values) for row, values in drawn["psnr"].items()} == {
        "single": 5, "two-random": 5, "pair": 5, "student": 1,
    }  # fmt: skip
    assert len(set(drawn["psnr"]["single"])) == 5
    assert Image.open(tmp_path / "r.draws.png").size[0] > 400
    before = (tmp_path / "r.draws.png").stat().st_mtime_ns
    quick("ablation", data, json_path=path)
    assert (tmp_path / "r.draws.png").stat().st_mtime_ns == before
    assert len(trained) == 3


def test_every_row_has_a_recipe_and_blind_spots_cover_the_noise() -> None:
    for study in (s for name, s in STUDIES.items() if name.startswith("diffdenoise/")):
        assert set(study.methods) <= {"none", *recipes()}
    for blind in (1, 5, 9):
        rows = recipes(blind)
        assert rows["student"].fields["blind"] == rows["lgbpn"].fields["blind"] == blind
        assert rows["kd-only"].start == replace(rows["student"], reading={})


def test_models_and_budgets_have_their_studies(data: Path) -> None:
    with pytest.raises(HushError, match="trains its methods itself"):
        quick("iid", data, model="my.safetensors")
    with pytest.raises(HushError, match="trains nothing"):
        run("mid/images", data, budget=5, quick=True)


def test_a_case_without_training_is_left_as_it_is() -> None:
    case = Case({"data": "x"}, partial(list, []), 0)
    assert case.trained(Path("models"), 5) is case

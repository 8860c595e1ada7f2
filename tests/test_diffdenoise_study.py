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
from hush.kinds import get as kind_of
from hush.kinds.image.measure.estimation import estimate_any
from hush.kinds.image.zerofill import reduced
from hush.methods import METHODS, VARIANTS
from hush.methods.diffdenoise import DiffDenoise as METHOD
from hush.methods.diffdenoise.noisy import POOLED, Noisy
from hush.noise.process import Process
from hush.results import Estimate, Restoration
from hush.schedule import Schedule
from hush.studies import STUDIES, run
from hush.studies import medical as module
from hush.studies.core import Case
from hush.studies.diffdenoise import (
    BLIND,
    CLASSICAL,
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
from hush.studies.frozen import frozen_noise
from hush.studies.medical import (
    blocks,
    by_subject,
    find_all_images,
    find_all_repeats,
    find_images,
    find_repeats,
    learned_from,
    read_planes,
    repeats_learned_from,
)
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
    learns_from: ClassVar[Any] = "noisy"

    count_: int = field(default=0, init=False, repr=False)

    def fit(
        self,
        data: Sequence[np.ndarray] | np.ndarray,
        *,
        schedule: Schedule,
        folder: Path,
        resume: bool,
        device: str,
        progress: bool | None = None,
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
        self,
        x: np.ndarray,
        noise: Process | None = None,
        advance: Advance | None = None,
        found: Estimate | None = None,
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
        monkeypatch.setitem(METHODS._own, cls.name, f"stand_ins:{cls.__name__}")
    monkeypatch.setitem(VARIANTS._own, "mid/image", "stand_ins:Told")


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


def test_repeats_have_any_name_and_may_be_in_folders_of_subjects(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("GRE", "S7_PD", "S7_T1", "ann/T1", "bob/T1", "subject", "session", "sub_01/ses"):
        for repeat in ("01", "02"):
            (tmp_path / f"volumes/low/{name}{repeat}").mkdir(parents=True)
    monkeypatch.setattr(module, "read_planes", lambda path: [np.eye(8)] * 4)
    expected = {"GRE": ["GRE"], "PD": ["S7_PD"], "T1": ["S7_T1", "ann_T1", "bob_T1"]}
    for find in (find_repeats, find_all_repeats):
        for place in (tmp_path, tmp_path / "volumes"):
            found = find(place)
            assert {r.contrast: [scan.name for scan, _ in r.test] for r in found} == expected
            assert len(found) == 3


def test_a_scan_that_is_left_out_is_named_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("GRE01", "GRE02", "PD01", "PD02"):
        (tmp_path / f"volumes/low/{name}").mkdir(parents=True)
    planes = {"GRE02": [np.eye(8)] * 3}
    monkeypatch.setattr(module, "read_planes", lambda path: planes.get(path.name, [np.eye(8)] * 4))
    for find in (find_repeats, find_all_repeats):
        notes: list[str] = []
        assert [r.contrast for r in find(tmp_path, note=notes.append) if r.test] == ["PD"]
        (note,) = notes
        assert note.startswith("low/GRE is left out: GRE02 has 3 slices of 8 × 8, but GRE01 4")


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


# -- what is missing, and folders to train on ------------------------------------------------


def test_kinds_that_are_missing_are_named_and_skipped(data: Path) -> None:
    missing = []
    cases = STUDIES["diffdenoise/iid"].cases(data, quick=False, only=None, note=missing.append)
    assert {c.settings["data"] for c in cases} == {"chest"}
    assert missing == [
        f"brain images are missing in {data}: left out",
        f"knee images are missing in {data}: left out",
    ]
    for path in (data / "volumes/low").glob("T1*"):
        path.rename(path.with_name(path.name.replace("T1", "FLAIR1")))
    results = run("diffdenoise/real", data, methods=["none"])
    assert results.notes == [f"T1 scans are missing in {data}: left out"]
    assert {c.case.partition(";")[0] for c in results.cells} == {"data=FLAIR"}


def test_parts_without_their_test_are_named(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for part in ("knee/singlecoil_train", "brain/multicoil_train"):
        (data / "images" / part).mkdir(parents=True)
        (data / "images" / part / "1.h5").touch()
    missing = []
    STUDIES["diffdenoise/iid"].cases(data, quick=False, only=None, note=missing.append)
    assert [text for text in missing if "beside" in text] == [
        f"*val* or *test* is missing beside {data / 'images' / part}: left out"
        for part in ("brain/multicoil_train", "knee/singlecoil_train")
    ]


def test_what_is_missing_is_an_error_where_nothing_is_left(data: Path) -> None:
    with pytest.raises(HushError, match="knee images are missing"):
        run("diffdenoise/iid", data, where={"data": "knee"})


def named(samples: Any) -> set[str]:
    return {sample.name for sample in samples(0)}


def test_the_datas_own_split_is_disjoint(data: Path) -> None:
    for name in ("iid", "correlated", "real", "ablation", "sweep"):
        for case in STUDIES[f"diffdenoise/{name}"].cases(data, quick=False, only=None):
            assert case.training is not None
            assert named(case.training.samples)
            assert not named(case.samples) & named(case.training.samples)


@pytest.fixture
def lessons(tmp_path: Path) -> Path:
    """Other X-rays, some under the names that the tested ones have; and another scan."""
    for subject in range(3):
        write(tmp_path / f"lessons/chests/{subject:02}_0.png", seed=100 + subject)
    for k in (1, 2):
        for i in range(4):
            write(tmp_path / f"lessons/scans/FLAIR{k:02}/{i}.png", seed=50 + i)
    return tmp_path / "lessons"


def test_a_folder_to_train_on_leaves_all_data_to_be_tested(data: Path, lessons: Path) -> None:
    results = run(
        "diffdenoise/iid", data, train_dir=lessons, methods=["puca"], budget=1,
        where={"noise": "gaussian"}, find=learner,
    )  # fmt: skip
    (case,) = results.cases
    assert case.training is not None
    assert case.settings["train"].startswith("3 of chests#")
    assert len(named(case.samples)) == 20  # both images of all ten subjects
    images, _, _ = seen["diffdenoise-pair-1"]
    tested = list(case.samples(0))
    for image, sample in zip(images, case.training.samples(0), strict=True):
        assert np.array_equal(image, sample.noisy[0])
        for other in tested:  # of one name or not: neither scene nor noise is the same
            assert not np.array_equal(sample.reference, other.reference)
            noise = sample.noisy - sample.reference
            assert not np.allclose(noise, other.noisy - other.reference, atol=1e-3)
    names = {case.training.name, *(c.training.name for c in own_cases(data) if c.training)}
    assert len(names) == 3  # none of which finds another's models
    assert results.notes == [
        f"{kind} images are missing in {data} or {lessons}: left out" for kind in ("brain", "knee")
    ]


def own_cases(data: Path) -> Sequence[Case]:
    return STUDIES["diffdenoise/iid"].cases(data, quick=False, only=None)


def learner(name: str, case: Case, seed: int) -> Any:
    """Every row is the toy's."""
    assert case.training is not None
    return case.training.method(Recipe("diffdenoise"), seed, "cpu")


def test_repeats_to_train_on_leave_all_data_to_be_tested(data: Path, lessons: Path) -> None:
    missing = []
    (case,) = STUDIES["diffdenoise/real"].cases(
        data, quick=False, only=None, train=lessons, note=missing.append
    )
    assert case.training is not None
    assert named(case.samples) == {f"FLAIR[{i}]" for i in range(12)}
    assert case.settings["train"].startswith("4 of scans#")
    assert len(named(case.training.samples)) == 4
    assert missing == [f"T1 scans are missing in {data} or {lessons}: left out"]


def test_folders_of_one_name_are_trained_on_apart(data: Path, lessons: Path) -> None:
    def learned() -> list[str]:
        find_cases = (STUDIES[f"diffdenoise/{name}"].cases for name in ("sweep", "real"))
        cases = [f(data, quick=True, only=None, train=lessons)[0] for f in find_cases]
        return [case.settings["train"] for case in cases]

    before = learned()
    assert before == learned()
    write(lessons / "chests/00_0.png", side=50)
    for path in (lessons / "scans").rglob("*.png"):
        write(path, side=50)
    module.read_planes.cache_clear()
    assert all(a != b for a, b in zip(before, learned(), strict=True))


def test_nothing_is_both_trained_on_and_tested_on(data: Path, tmp_path: Path) -> None:
    (tmp_path / "again").mkdir()
    (tmp_path / "again/cxr").symlink_to(data / "images/cxr")
    for name, train in (("iid", data), ("iid", tmp_path / "again"), ("real", data / "volumes")):
        with pytest.raises(HushError, match="both trained on and tested on"):
            run(f"diffdenoise/{name}", data, train_dir=train)


def test_parts_of_a_release_can_be_given_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("knee/train/a.h5", "knee/val/b.h5", "siim/train/a/1.dcm", "siim/test/b/2.dcm")
    for name in (*names, "m4/train/x_T101.h5", "m4/train/x_T102.h5", "m4/val/y_T101.h5"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "m4/val/y_T102.h5").touch()
    monkeypatch.setattr(module, "read_planes", lambda path: [np.eye(8)] * 4)
    for kind, train, test in (("knee", *names[:2]), ("chest", *names[2:])):
        parts = [tmp_path.joinpath(*Path(name).parts[:2]) for name in (test, train)]
        (tested,), lessons = find_all_images(parts[0]), find_all_images(parts[1])
        found = learned_from(tested, lessons)
        assert found.kind == kind
        assert {p.path for p in found.test} == {tmp_path / test}
        assert {p.path for p in found.train} == {tmp_path / train}
        (whole,) = find_all_images(parts[0].parent)
        assert {p.path for p in whole.test} == {tmp_path / test, tmp_path / train}
    (tested,) = find_all_repeats(tmp_path / "m4/val")
    found = repeats_learned_from(tested, find_all_repeats(tmp_path / "m4/train"))
    assert [(s.name, len(n)) for s, n in found.test] == [("y_T1", 4)]
    assert [(s.name, len(n)) for s, n in found.train] == [("x_T1", 4)]


def test_data_too_small_to_be_split_are_tested_by_what_is_shipped(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path in (data / "images/cxr").iterdir():
        if not path.name.startswith("00"):
            path.unlink()
    shipped = Told()
    shipped.count_ = 1
    monkeypatch.setattr("hush.models.load", lambda path: shipped)
    results = quick("sweep", data)
    (case,) = results.cases
    assert case.training is None
    assert "train" not in case.settings
    assert {c.method for c in results.cells} == {"none", "mid"}
    assert {c.n for c in results.cells} == {2}
    assert seen["mid restore"] is None  # it is told nothing
    assert not trained
    assert [note.partition(" is left out: there is nothing")[0] for note in results.notes] == [
        "diffdenoise", "diffdenoise:condition", "mid:told",
    ]  # fmt: skip
    with pytest.raises(HushError, match="give --train"):
        quick("iid", data, methods=["puca"])
    results = quick("rounds", data)
    assert {c.method for c in results.cells} == {"none"}


def test_repeats_too_short_to_be_split_are_tested_whole(data: Path) -> None:
    for path in (data / "volumes/low").glob("T1*/*"):
        if int(path.stem) >= 6:
            path.unlink()
    flair, t1 = STUDIES["diffdenoise/real"].cases(data, quick=False, only=None)
    assert flair.training is not None
    assert t1.training is None
    assert named(t1.samples) == {f"T1[{i}]" for i in range(6)}


def test_rows_that_there_are_not_are_refused(data: Path) -> None:
    with pytest.raises(HushError, match="has no row 'student'; choose from none, "):
        quick("iid", data, methods=["student"])


def test_folders_without_such_data_get_a_sentence(tmp_path: Path) -> None:
    for name, what in (("iid", "brain or knee or chest"), ("real", "repeated scans")):
        with pytest.raises(HushError, match=f"has no {what}"):
            run(f"diffdenoise/{name}", tmp_path)


# -- what was published ----------------------------------------------------------------------


def test_published_figures_are_the_papers() -> None:
    assert TABLE_1["brain", "gaussian"]["none", "psnr"] == 32.57
    assert TABLE_1["chest", "poisson"]["diffdenoise", "ssim"] == 0.901
    assert TABLE_1["knee", "poisson"]["neighbor2neighbor", "psnr"] == 34.48
    assert TABLE_2["gamma", "1.2"]["diffdenoise", "psnr"] == 35.40
    assert TABLE_2["poisson", "0.5"]["puca", "ssim"] == 0.761
    assert TABLE_3["T1",]["nafnet", "psnr"] == 32.17
    assert TABLE_4["1.2",]["3", "psnr"] == 36.07
    assert TABLE_5["0.5",]["diffdenoise:kd-only", "ssim"] == 0.754
    every = [*TABLE_1.values(), *TABLE_2.values(), *TABLE_3.values(), *TABLE_5.values()]
    assert {row for figures in every for row, _ in figures} <= set(ROWS)


def test_a_single_repeat_is_no_reference_for_the_papers_ssim(data: Path) -> None:
    flair, t1 = STUDIES["diffdenoise/real"].cases(data, quick=False, only=None)
    assert flair.paper["diffdenoise", "psnr"] == 31.44
    assert ("diffdenoise", "ssim") not in flair.paper
    assert t1.paper["diffdenoise", "ssim"] == 0.900


# -- training --------------------------------------------------------------------------------


def quick(name: str, data: Path, **options: Any) -> Any:
    return run(f"diffdenoise/{name}", data, quick=True, **options)


def test_rows_that_differ_in_reading_come_from_one_model(data: Path, tmp_path: Path) -> None:
    ours = [f"diffdenoise{name}" for name in (":single", ":pair", "", ":kd-only")]
    rows = ["none", *ours, "nafnet"]
    path = tmp_path / "r.json"
    results = quick("iid", data, json_path=path, methods=rows, budget=7)
    assert trained == [
        "diffdenoise-pair-1", "diffdenoise-single-1-resumed", "nafnet-pair-1",
    ]  # fmt: skip
    psnr = {c.method: c.value for c in results.cells if c.metric == "psnr"}
    assert len(psnr) == len(rows)
    single, pair, student, unstable = (psnr[row] for row in ours)
    assert psnr["none"] > single > pair > student == unstable
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
    quick("iid", data, json_path=path, methods=["diffdenoise"])
    quick(
        "ablation", data, json_path=path, methods=["diffdenoise:pair"]
    )  # the same case, another table
    assert len(trained) == 1
    quick("iid", data, json_path=path, methods=["diffdenoise"], budget=1)
    quick("iid", data, json_path=path, methods=["diffdenoise"], seeds=[1])
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
    quick("sweep", data, methods=["mid:told", "diffdenoise"])
    noise = frozen_noise(np.zeros((1, 2, 2), np.float32), "gaussian:25/255", "", 0)[1]
    assert seen["mid-pair-1"][2] == {"noise": noise}
    assert seen["mid restore"] == noise
    assert seen["diffdenoise-pair-1"][2] == {}
    assert seen["diffdenoise restore"] is None


def test_mid_is_told_nothing_and_is_another_model_than_the_one_that_is(
    data: Path, tmp_path: Path
) -> None:
    results = quick("sweep", data, methods=["mid:told", "mid"], json_path=tmp_path / "r.json")
    assert trained == ["mid-pair-1", "mid-pair-1"]
    assert seen["mid-pair-1"][2] == {}
    assert seen["mid restore"] is None
    told = {c.method: c.reference for c in results.cells}
    assert told == {"mid:told": True, "mid": False}


def test_rows_that_see_more_than_a_user_are_references(data: Path) -> None:
    results = quick("iid", data, methods=["none", "nafnet", "diffdenoise", "diffdenoise:oracle"])
    told = {c.method: c.reference for c in results.cells}
    assert told == {
        "none": False, "nafnet": True, "diffdenoise": False, "diffdenoise:oracle": False,
    }  # fmt: skip
    assert {row for row, recipe in recipes().items() if recipe.is_reference} == {
        "nafnet", "mid:told",
    }  # fmt: skip
    assert Recipe("nafnet", ceiling=True).is_reference
    (rows,) = groups(STUDIES["diffdenoise/iid"], results.ledger, results.cases).values()
    assert [row.label for row in rows if row.reference] == ["nafnet"]


def test_diffdenoise_is_what_a_user_gets() -> None:
    default, told = METHOD(), {"keep", "oracle"}  # which change what is left, not the student
    for row, recipe in recipes(blind=9).items():
        if row == "diffdenoise" or row.startswith("diffdenoise:"):
            fields = {k: v for k, v in recipe.fields.items() if k not in told}
            assert set(fields) <= {"teacher"}
    assert recipes()["diffdenoise"].fields.keys() == told
    assert recipes()["diffdenoise"].reading == {"output": default.output}


@pytest.mark.data
@pytest.mark.parametrize(
    "name",
    ["real", *(pytest.param(n, marks=pytest.mark.long) for n in ("iid", "correlated", "sweep"))],
)
def test_diffdenoise_measures_the_blind_spot_that_covers_the_noise(
    hush_data: Path, name: str
) -> None:
    for case in STUDIES[f"diffdenoise/{name}"].cases(hush_data, quick=False, only=None):
        assert case.training is not None
        images = kind_of("image").items([sample.noisy[0] for sample in case.training.samples(0)])
        smaller = [reduced(x) for x in images]
        filled = 2 * sum(a is not b for a, b in zip(images, smaller, strict=True)) > len(images)
        found = estimate_any((smaller if filled else images)[:POOLED])
        assert Noisy([], [], found, []).blind == BLIND[case.settings.get("kernel", "")], case.key()


def test_old_rows_are_read_and_those_that_were_told_are_named_so(
    data: Path, tmp_path: Path
) -> None:
    path = tmp_path / "r.json"
    case = "data=chest;source=cxr;noise=gaussian;level=25/255;train=16;subset=2x128;budget=1s"
    for row in ("student", "condition", "mid"):
        line = {"study": "diffdenoise/sweep", "case": case, "method": row, "metric": "psnr"}
        values = {**line, "seed": 0, "values": {"a": 1.0, "b": 3.0}}
        cell = {
            **line, "higher_is_better": True, "value": 2.0, "std": 1.4, "n": 2, "seed": 0,
            "paper": None,
        }  # fmt: skip
        for file, record in ((path.with_suffix(".samples.jsonl"), values), (path, cell)):
            with file.open("a") as f:
                f.write(json.dumps(record) + "\n")
    for _ in range(2):
        results = quick("sweep", data, json_path=path, methods=["mid"], budget=1)
        study = STUDIES["diffdenoise/sweep"]
        (rows,) = groups(study, results.ledger, results.cases).values()
        assert [r.label for r in rows] == ["student", "condition", "mid:told", "mid"]
        old = {r.label: r for r in rows}
        assert all(old[name].mean("psnr") == 2 for name in ("student", "condition", "mid:told"))
        assert old["mid"].mean("psnr") > 15
        assert [r.label for r in rows if r.reference] == ["mid:told"]
        assert old["mid:told"].per_sample("psnr") == {"a": 1, "b": 3}
        assert len(old["mid"].per_sample("psnr")) == 2
    assert len(trained) == 1


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
    assert list(rows) == ["none", *(f"diffdenoise round={n}" for n in (1, 2, 3))]
    assert rows["none"].paper["psnr"] == 32.57
    assert rows["diffdenoise round=3"].paper["psnr"] == 36.11
    assert all(row.cells for row in rows.values())


def test_the_ablation_draws_how_samples_scatter(data: Path, tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    results = quick("ablation", data, json_path=path)
    assert results.notes == []
    drawn = json.loads((tmp_path / "r.draws.json").read_text())
    assert {row: len(values) for row, values in drawn["psnr"].items()} == {
        "diffdenoise:single": 5, "diffdenoise:two-random": 5, "diffdenoise:pair": 5,
        "diffdenoise": 1,
    }  # fmt: skip
    assert len(set(drawn["psnr"]["diffdenoise:single"])) == 5
    assert Image.open(tmp_path / "r.draws.png").size[0] > 400
    before = (tmp_path / "r.draws.png").stat().st_mtime_ns
    quick("ablation", data, json_path=path)
    assert (tmp_path / "r.draws.png").stat().st_mtime_ns == before
    assert len(trained) == 3


def test_every_row_has_a_recipe_and_blind_spots_cover_the_noise() -> None:
    for study in (s for name, s in STUDIES.items() if name.startswith("diffdenoise/")):
        assert set(study.methods) <= {"none", *CLASSICAL, *recipes()}
    for blind in (1, 5, 9):
        rows = recipes(blind)
        assert rows["lgbpn"].fields["blind"] == blind
        assert rows["diffdenoise:kd-only"].start == replace(rows["diffdenoise"], reading={})


def test_models_and_budgets_have_their_studies(data: Path) -> None:
    with pytest.raises(HushError, match="trains its own models"):
        quick("iid", data, model="my.safetensors")
    with pytest.raises(HushError, match="trains nothing"):
        run("mid/images", data, budget=5, quick=True)


def test_a_case_without_training_is_left_as_it_is() -> None:
    case = Case({"data": "x"}, partial(list, []), 0)
    assert case.trained(Path("models"), 5) is case

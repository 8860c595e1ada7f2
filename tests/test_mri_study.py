"""The study mid/mri: series and repeats found, held out before denoising, scored end to end."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from rich.console import Console
from scipy.ndimage import gaussian_filter
from skimage.io import imsave

from hush.denoiser import Denoiser
from hush.errors import HushError
from hush.methods import METHODS
from hush.record import Batch, Record
from hush.results import Restoration
from hush.studies import run
from hush.studies.core import find_method
from hush.studies.medical import read_planes
from hush.studies.mri import PUBLISHED, mri_cases, plans, ruler_of, seen_repeats, unseen_repeats
from hush.studies.mridata import Scan, Source, find_series, middle, read_scan, resized, taken
from hush.studies.mriscores import Remembered, Restored, restore
from hush.tasks.diffusion_mri import harmonics

nibabel = pytest.importorskip("nibabel")
pytest.importorskip("dipy")

DIRECTIONS, WEAK = 40, 4
SIDE, SLICES = 48, 3


def sphere(count: int) -> np.ndarray:
    i = np.arange(count) + 0.5
    z, turn = i / count, np.pi * (1 + 5**0.5) * i
    r = np.sqrt(1 - z**2)
    return np.stack([r * np.cos(turn), r * np.sin(turn), z], axis=1)


def phantom(bvals: np.ndarray, bvecs: np.ndarray, sigma: float = 20.0) -> np.ndarray:
    """A head with a bundle along X, ``(C, Z, Y, X)``, with Rician noise."""
    _, y, x = np.mgrid[:SLICES, :SIDE, :SIDE]
    head = ((y - 24) / 11) ** 2 + ((x - 24) / 11) ** 2 < 1
    bundle = head & (abs(y - 24) < 3) & (abs(x - 24) < 5)
    tensors = np.zeros((3, *head.shape))
    tensors[:, bundle] = np.array([1.7e-3, 0.2e-3, 0.2e-3])[:, None]
    tensors[:, head & ~bundle] = 0.8e-3
    clean = 1000 * head * np.exp(-np.einsum("ck,k...->c...", bvals[:, None] * bvecs**2, tensors))
    real, imaginary = np.random.default_rng(0).normal(0, sigma, (2, *clean.shape))
    return np.hypot(clean + real, imaginary)


def write_series(
    path: Path,
    *,
    zeroed: bool = False,
    inter: float = 0.0,
    directions: int = DIRECTIONS,
    gradients: str = "",
) -> tuple[np.ndarray, np.ndarray]:
    """A NIfTI series with b = 0 volumes first, in the middle and last; its values and b-values."""
    bvals = np.r_[0.0, np.full(directions // 2, 1000.0), 0.0, 0.0]
    bvals = np.r_[bvals, np.full(directions - directions // 2, 1000.0), 0.0]
    bvecs = np.zeros((len(bvals), 3))
    bvecs[bvals > 0] = sphere(directions)
    data = phantom(bvals, bvecs)
    if zeroed:
        _, y, x = np.mgrid[:SLICES, :SIDE, :SIDE]
        data = data * (((y - 24) / 12) ** 2 + ((x - 24) / 12) ** 2 < 1)
    path.parent.mkdir(parents=True, exist_ok=True)
    image = nibabel.Nifti1Image(
        np.rint(data - inter).astype(np.int16).transpose(3, 2, 1, 0), np.diag([-2.0, 2, 2, 1])
    )
    image.header.set_slope_inter(1, inter)
    nibabel.save(image, path)
    stem = gradients or path.name.partition(".")[0]
    np.savetxt(path.with_name(f"{stem}.bval"), bvals[None])
    np.savetxt(path.with_name(f"{stem}.bvec"), bvecs.T)
    return data, bvals


def write_repeats(
    folder: Path, count: int, shape: tuple[int, int, int] = (8, 32, 32)
) -> np.ndarray:
    """Repeats of a scan as folders of PNG; their values ``(count, Z, Y, X)``, uint8."""
    rng = np.random.default_rng(1)
    clean = 100 + 60 * gaussian_filter(rng.normal(size=shape), (0, 4, 4)) * 8
    repeats = np.clip(clean + rng.normal(0, 12, (count, *shape)), 0, 255).astype(np.uint8)
    for i, repeat in enumerate(repeats, 1):
        place = folder / f"FLAIR{i:02d}"
        place.mkdir(parents=True)
        for k, plane in enumerate(repeat):
            imsave(place / f"slice_{k:02d}.png", plane, check_contrast=False)
    return repeats


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A series of 40 directions and four b = 0, and two repeats of a scan."""
    folder = tmp_path_factory.mktemp("mri")
    write_series(folder / "volumes/tiny/dwi_slices_1_3.nii.gz", gradients="dwi")
    write_repeats(folder / "volumes/repeated", 2)
    return folder


@pytest.fixture(scope="module")
def source(data: Path) -> Source:
    (found,) = find_series(data)
    return found


seen: list[np.ndarray] = []


@dataclass
class Smooth(Denoiser):
    """Smooths every volume in its plane, and remembers the b-values and values it saw."""

    width: float = 1.0

    name: ClassVar[str] = "smooth"
    summary: ClassVar[str] = ""
    citation: ClassVar[str] = ""
    kinds: ClassVar[tuple[str, ...]] = ("volume",)

    def restore_item(self, batch: Batch, index: int, *rest: Any, **more: Any) -> Restoration:
        x = batch.floats(index)
        assert len(batch.about(index).get("bvals", x)) == len(x)
        seen.append(np.asarray(batch.data[index]).copy())
        return Restoration(gaussian_filter(x, (0, 0, self.width, self.width)))


@dataclass
class Masking(Smooth):
    """Sets the background to zero besides."""

    name: ClassVar[str] = "masking"

    def restore_item(self, batch: Batch, index: int, *rest: Any, **more: Any) -> Restoration:
        x = super().restore_item(batch, index).data
        return Restoration(np.where(x > x.max() * 0.1, x, 0))


settings: list[tuple[float, int]] = []


@dataclass
class Timed(Smooth):
    """Has settings for the time and the seed of a training."""

    seconds: float = 60.0
    seed: int = 0

    name: ClassVar[str] = "dip"

    def restore_item(self, batch: Batch, index: int, *rest: Any, **more: Any) -> Restoration:
        settings.append((self.seconds, self.seed))
        return super().restore_item(batch, index)


@pytest.fixture(autouse=True)
def toys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mri_toys", sys.modules[__name__])
    monkeypatch.setitem(METHODS._own, "smooth", "mri_toys:Smooth")  # type: ignore[index]
    monkeypatch.setitem(METHODS._own, "masking", "mri_toys:Masking")  # type: ignore[index]
    seen.clear()


# -- what is found -----------------------------------------------------------------------------


def test_series_are_found_with_gradients_of_any_name(tmp_path: Path) -> None:
    write_series(tmp_path / "volumes/one/dwi_slices_1_3.nii.gz", gradients="dwi")
    mask = nibabel.Nifti1Image(np.ones((SIDE, SIDE, SLICES), np.int16), np.eye(4))
    nibabel.save(mask, tmp_path / "volumes/one/dwi_slices_1_3_mask.nii.gz")
    for name in ("a", "b"):
        write_series(tmp_path / f"volumes/two/{name}.nii.gz")
    write_series(tmp_path / "stanford_hardi/HARDI150.nii.gz")  # as DIPY stores it
    lonely = nibabel.Nifti1Image(np.ones((4, 4, 2, 3), np.int16), np.eye(4))
    (tmp_path / "volumes/lonely").mkdir()
    nibabel.save(lonely, tmp_path / "volumes/lonely/fmri.nii.gz")
    (tmp_path / "volumes/broken").mkdir()
    (tmp_path / "volumes/broken/x.nii.gz").write_bytes(b"no NIfTI")

    found = {s.name: s for s in find_series(tmp_path)}
    assert sorted(found) == ["one", "stanford_hardi", "two/a", "two/b"]
    assert found["one"].mask is not None
    assert found["two/a"].mask is None
    assert found["one"].slices == SLICES
    assert [s.name for s in find_series(tmp_path, "two")] == ["two/a", "two/b"]
    scan = read_scan(found["one"], None, None)
    assert scan.mask is not None
    assert scan.mask.all()
    assert scan.record.axes == "CZYX"
    assert scan.adjacent
    with pytest.raises(HushError, match="is not a folder"):
        find_series(tmp_path / "nothing")


def test_series_with_gradients_that_do_not_fit_are_named(tmp_path: Path) -> None:
    write_series(tmp_path / "short/dwi.nii.gz", gradients="dwi")
    table = tmp_path / "short/dwi.bval"
    table.write_text(table.read_text().rsplit(maxsplit=1)[0])
    notes: list[str] = []
    assert find_series(tmp_path, note=notes.append) == []
    (note,) = notes
    assert note.startswith("short/dwi.nii.gz is left out: dwi.bval holds 43 b-values for 44")


def test_values_are_zero_where_there_is_no_signal(tmp_path: Path) -> None:
    """A file with an intercept stores −100 where there is no signal."""
    values, _ = write_series(tmp_path / "shifted.nii.gz", inter=100.0)
    (found,) = find_series(tmp_path)
    scan = read_scan(found, None, None)
    assert scan.zero == -100
    np.testing.assert_allclose(scan.values([0, 3]), values[[0, 3]], atol=0.51)


def test_volumes_without_signal_are_not_judged() -> None:
    """A constant volume, and one at b = 0 that was measured without excitation."""
    bvals = np.r_[0.0, 0.0, np.full(24, 1000.0), 0.0]
    bvecs = np.zeros((27, 3))
    bvecs[2:26] = sphere(24)
    data = phantom(bvals, bvecs)
    data[26] = np.abs(np.random.default_rng(0).normal(0, 20, data[26].shape))
    data[5] = 7
    data[6, 0, 0, 0] = np.nan
    record = Record(data, "CZYX", kind="volume", context={"bvals": bvals, "bvecs": bvecs})
    scan = Scan("silent", record)
    assert scan.silent == {5, 26}
    assert scan.weak == (0, 1)
    assert scan.shells == [tuple(i for i in range(2, 26) if i != 5)]
    assert scan.values([6])[0, 0, 0, 0] == 0


def test_two_slices_are_no_neighbours() -> None:
    record = Record(np.zeros((2, 2, 8, 8)), "CZYX", kind="volume")
    assert not Scan("two", record).adjacent
    told = Record(np.zeros((2, 5, 8, 8)), "CZYX", kind="volume", context={"adjacent": False})
    assert not Scan("told", told).adjacent


def test_slices_and_sizes(source: Source) -> None:
    scan = read_scan(source, (1, 3), None)
    whole = read_scan(source, None, None)
    np.testing.assert_array_equal(scan.record.data, whole.record.data[:, 1:3])
    with pytest.raises(HushError, match="has slices 0:3, not 2:7"):
        read_scan(source, (2, 7), None)
    assert middle(Source("large", Path("x"), 78)) == (30, 46)
    assert middle(source) is None

    small = read_scan(source, None, 24)
    assert small.record.data.shape[-2:] == (24, 24)
    assert small.record.data.min() >= -1
    assert small.record.data.max() <= 1
    same = resized(whole.record, SIDE)  # scaled only
    low, high = whole.record.data.min(), whole.record.data.max()
    expected = 2 * (whole.record.data - float(low)) / (float(high) - float(low)) - 1
    np.testing.assert_allclose(same.data, expected, atol=1e-5)
    assert same.context["zero"] == pytest.approx(2 * (0 - float(low)) / (high - low) - 1)


def test_a_part_of_a_series_keeps_what_is_known_of_its_volumes(source: Source) -> None:
    record = read_scan(source, None, None).record
    few = taken(record, [5, 2])
    np.testing.assert_array_equal(few.data[1], record.data[2])
    np.testing.assert_array_equal(few.context["bvecs"], record.context["bvecs"][[5, 2]])
    assert few.context["affine"] is record.context["affine"]


# -- held out before denoising -----------------------------------------------------------------


def test_methods_never_see_what_is_held_out(data: Path, source: Source) -> None:
    run("mid/mri", data, methods=["smooth"], only="tiny")
    scan = read_scan(source, None, None)
    (plan,) = plans((source, None, None))
    weighted = np.flatnonzero(~scan.series.unweighted)
    assert plan.test == tuple(weighted[::5])
    assert not set(plan.test) & {*plan.given}
    assert set(plan.given) | set(plan.test) == set(range(scan.series.count))
    inputs = [x for x in seen if len(x) == len(plan.given)]
    assert len(inputs) >= 1
    for x in inputs:
        np.testing.assert_array_equal(x, scan.record.data[list(plan.given)])


def test_one_result_serves_all_cases_that_see_the_same_volumes(data: Path) -> None:
    run("mid/mri", data, methods=["smooth"], only="tiny")
    # all but the held-out ones; the first 16 alone; two halves of b = 0; all
    assert sorted(len(x) for x in seen) == [16 + WEAK, 36, *[WEAK // 2 + DIRECTIONS] * 2, 44]


def test_the_first_directions_are_the_same_alone_and_of_all(data: Path) -> None:
    cases = mri_cases(data, quick=True, only="tiny")
    alone, of_all = (c for c in cases if "first" in c.settings)
    assert {**alone.settings, "directions": "of all"} == of_all.settings
    (a,), (b,) = (list(c.samples(0)) for c in (alone, of_all))
    first, second = a.about["ruler"], b.about["ruler"]
    assert first.shell == second.shell
    assert first.test == second.test
    assert len(first.shell) == 16
    assert len(first.given) == 16 + WEAK
    np.testing.assert_array_equal(
        first.after(Restored(a.noisy.data, 0, 0), first.shell),
        second.after(Restored(b.noisy.data, 0, 0), second.shell),
    )


def test_results_are_remembered_by_method_and_data() -> None:
    apply = Remembered()
    x = Record(np.arange(128.0).reshape(1, 2, 8, 8), "CZYX", kind="volume")
    for _ in range(2):
        apply(Smooth.for_kind("volume"), x, None)
    assert len(seen) == 1
    apply(Smooth.for_kind("volume", width=2.0), x, None)
    apply(Smooth.for_kind("volume"), x.with_data(x.data + 1), None)
    assert len(seen) == 3
    made = restore(Smooth.for_kind("volume"), x)
    np.testing.assert_allclose(made.data, gaussian_filter(x.data, (0, 0, 1, 1)), rtol=1e-4)
    assert made.seconds > 0
    assert made.memory >= 0 or sys.platform != "linux"


# -- scores ------------------------------------------------------------------------------------


def figures(results: Any, method: str, metric: str, **where: str) -> list[float | None]:
    return [
        c.value
        for c in results.cells
        if (c.method, c.metric) == (method, metric)
        and all(f"{k}={v}" in c.case.split(";") for k, v in where.items())
    ]


def test_scores_of_doing_nothing_are_those_of_the_raw_data(data: Path, source: Source) -> None:
    results = run("mid/mri", data, methods=["none"], only="tiny")
    for metric in ("dsnr", "dcnr", "dfa", "shift"):
        assert all(v == 0 for v in figures(results, "none", metric))
    (whole,) = [c for c in results.cases if c.settings.get("b") and "first" not in c.settings]
    (held,) = [c.value for c in results.cells if (c.case, c.metric) == (whole.key(), "held")]
    ruler = ruler_of(plans((source, None, None))[0])
    # its own noise and that of the prediction
    known, unknown = (harmonics(ruler._directions(v)) for v in (ruler.shell, ruler.test))
    expected = 1 + np.square(unknown @ np.linalg.pinv(known)).sum(axis=1).mean()
    assert held == pytest.approx(expected, rel=0.1)
    assert ruler.noise.variance == pytest.approx(400, rel=0.05)
    assert figures(results, "none", "lag") == [None] * 3  # there is no residual


def test_smoothing_is_praised_by_snr_and_found_out_by_prediction(data: Path) -> None:
    results = run("mid/mri", data, methods=["none", "smooth"], only="tiny")
    where = {"data": "tiny", "b": "1000"}
    assert all(v is not None and v > 1 for v in figures(results, "smooth", "dsnr", **where))
    none, smooth = (figures(results, m, "held", **where) for m in ("none", "smooth"))
    assert smooth[0] > none[0]  # type: ignore[operator]
    assert figures(results, "smooth", "anatomy", **where)[0] > 0.05  # type: ignore[operator]
    assert figures(results, "smooth", "dfa", **where)[0] > 0.01  # type: ignore[operator]
    judged = {c.metric: c.judge for c in results.cells}
    assert judged["held"]
    assert not judged["dsnr"]


def test_snr_is_unavailable_without_a_background(tmp_path: Path) -> None:
    write_series(tmp_path / "zeroed/dwi.nii.gz", zeroed=True)
    results = run("mid/mri", tmp_path, methods=["smooth"])
    assert figures(results, "smooth", "dsnr") == [None] * 3
    assert all(v is not None for v in figures(results, "smooth", "held"))
    assert any("unavailable: the background is set to zero" in note for note in results.notes)


def test_a_method_that_masks_gets_no_snr(data: Path) -> None:
    results = run("mid/mri", data, methods=["masking"], only="tiny")
    assert figures(results, "masking", "dsnr") == [None] * 3
    assert figures(results, "masking", "dcnr") == [None] * 3


def test_few_directions_are_judged_without_prediction(tmp_path: Path) -> None:
    write_series(tmp_path / "few/dwi.nii.gz", directions=12)
    results = run("mid/mri", tmp_path, methods=["smooth"])
    assert figures(results, "smooth", "held") == []
    assert len(figures(results, "smooth", "dsnr")) == 1
    assert any("nothing is held out" in note for note in results.notes)
    write_series(tmp_path / "fewer/dwi.nii.gz", directions=4)
    results = run("mid/mri", tmp_path, methods=["none"], only="fewer")
    assert any("has no table: fewer than 6 directions" in note for note in results.notes)
    assert len(figures(results, "none", "rmse")) == 2  # its repeats at b = 0


# -- repeats -----------------------------------------------------------------------------------


def test_the_reference_of_unseen_repeats_is_not_given_to_methods(source: Source) -> None:
    part = source, None, None
    scan = read_scan(*part)
    weak = np.flatnonzero(scan.series.unweighted)
    first, second = unseen_repeats(part)
    for sample, own, others in ((first, weak[::2], weak[1::2]), (second, weak[1::2], weak[::2])):
        assert sorted(sample.reference) == sorted(f"volume {i}" for i in own)
        for i in own:
            position, reference = sample.reference[f"volume {i}"]
            np.testing.assert_array_equal(sample.noisy.data[position], scan.record.data[i])
            np.testing.assert_allclose(reference, scan.values(others).mean(axis=0), rtol=1e-5)
        for i in others:
            assert not any(np.array_equal(x, scan.record.data[i]) for x in sample.noisy.data)
        assert len(sample.noisy.data) == DIRECTIONS + len(own)


def test_seen_repeats_are_compared_with_all_others(source: Source) -> None:
    part = source, None, None
    scan = read_scan(*part)
    weak = np.flatnonzero(scan.series.unweighted).tolist()
    (sample,) = seen_repeats(part)
    for i in weak:
        position, reference = sample.reference[f"volume {i}"]
        others = [k for k in weak if k != i]
        assert position == i
        np.testing.assert_allclose(reference, scan.values(others).mean(axis=0), rtol=1e-5)


def test_scores_of_repeats_by_hand(tmp_path: Path) -> None:
    repeats = write_repeats(tmp_path / "volumes/repeated", 3).astype(float)
    results = run("mid/mri", tmp_path, methods=["none"])
    reference = repeats[1:].mean(axis=0)
    error = np.sqrt(np.mean((repeats[0] - reference) ** 2))
    (rmse,), (psnr,) = (figures(results, "none", m, of="3") for m in ("rmse", "psnr"))
    assert rmse == pytest.approx(error / 255, rel=1e-5)
    assert psnr == pytest.approx(20 * np.log10(reference.max() / error), rel=1e-4)
    (quick,) = (c for c in mri_cases(tmp_path, quick=True, only=None))
    assert quick.settings["slices"] == "2:6"
    (sample,) = quick.samples(0)
    np.testing.assert_allclose(sample.noisy.data, repeats[0, 2:6] / 255, rtol=1e-6)


# -- end to end --------------------------------------------------------------------------------


def test_repeats_that_differ_are_named_and_others_are_scored(tmp_path: Path) -> None:
    for name in ("cut", "good", "short"):
        write_repeats(tmp_path / f"volumes/{name}", 2)
    (tmp_path / "volumes/short/FLAIR02/slice_07.png").unlink()
    plane = np.zeros((31, 32), np.uint8)
    imsave(tmp_path / "volumes/cut/FLAIR01/slice_00.png", plane, check_contrast=False)
    notes: list[str] = []
    (case,) = mri_cases(tmp_path, quick=True, only=None, note=notes.append)
    assert case.settings["data"] == "good"
    assert [n for n in notes if "left out:" in n] == [
        "cut/FLAIR is left out: FLAIR02 has 8 slices of 32 × 32, but FLAIR01 8 slices of 31 × 32 "
        "and 32 × 32; repeats have as many slices of the same size",
        "short/FLAIR is left out: FLAIR02 has 7 slices of 32 × 32, but FLAIR01 8 slices of 32 × "
        "32; repeats have as many slices of the same size",
    ]
    (tmp_path / "volumes/good/FLAIR02/slice_03.png").write_bytes(b"")
    read_planes.cache_clear()
    with pytest.raises(HushError, match=r"slice_03\.png"):
        mri_cases(tmp_path, quick=True, only="good")


def test_every_note_is_said_once(data: Path) -> None:
    notes: list[str] = []
    mri_cases(data, quick=True, only=None, note=notes.append)
    assert any("directions are held out" in n for n in notes)
    assert len(notes) == len(set(notes))


def test_a_run_from_data_to_tables(data: Path, tmp_path: Path) -> None:
    path = tmp_path / "mri.jsonl"
    results = run("mid/mri", data, json_path=path, methods=["none", "smooth"])
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert {line["study"] for line in lines} == {"mid/mri"}
    assert {line["method"] for line in lines} == {"none", "smooth"}
    metrics = {line["metric"] for line in lines}
    assert metrics >= {"held", "dsnr", "dcnr", "dfa", "lag", "lagz", "anatomy", "shift"}
    assert metrics >= {"psnr", "ssim", "rmse", "seconds", "memory"}
    console = Console(width=200, record=True)
    for table in results.tables():
        console.print(table)
    text = console.export_text()
    assert "data=tiny  b=1000  first=16" in text
    assert "smooth directions=of all" in text
    assert "repeats=FLAIR" in text
    assert "published" not in {c.metric for c in results.cells}
    assert any(
        note.startswith("published for Stanford HARDI: dip -3.06/-3.04") for note in results.notes
    )
    seen.clear()
    again = run("mid/mri", data, json_path=path, methods=["none", "smooth"])
    assert not seen  # nothing is repeated
    assert len(again.cells) == len(lines)


def test_methods_that_there_are_not_are_left_out_by_name(data: Path) -> None:
    def find(name: str, case: Any, seed: int) -> Any:
        if name == "none":
            return find_method(name, case, seed)
        raise HushError(f"there is no method '{name}'")

    results = run("mid/mri", data, quick=True, only="repeated", find=find)
    assert {c.method for c in results.cells} == {"none"}
    for row in ("nlmeans", "bm4d", "mppca", "lpca", "patch2self", "dip", "ddm2", "mid:slice"):
        assert any(note.startswith(f"{row} is left out") for note in results.notes), row


def test_published_figures_stand_beside_stanford_hardi_only(tmp_path: Path) -> None:
    write_series(tmp_path / "stanford_hardi/HARDI150.nii.gz")
    write_series(tmp_path / "other/dwi.nii.gz")
    papers = {c.key(): c.paper for c in mri_cases(tmp_path, quick=True, only=None) if c.paper}
    ((key, paper),) = papers.items()
    assert key.startswith("data=stanford_hardi;b=1000")
    assert paper["ddm2", "dsnr"] == PUBLISHED["ddm2"][0] == 1.83
    assert paper["patch2self", "dcnr"] == 0.08


def test_options_choose_series_slices_and_sizes(data: Path) -> None:
    def keys(**options: str) -> list[str]:
        results = run("mid/mri", data, methods=["none"], options=options)
        return [case.key() for case in results.cases]

    assert {k.partition(";")[0] for k in keys(series="tiny*")} == {"data=tiny"}
    assert all("slices=0:2" in k for k in keys(slices="0:2"))
    assert all("resize=32" in k for k in keys(resize="32"))
    assert any("first=8" in k for k in keys(first="8"))
    with pytest.raises(HushError, match="FIRST:LAST"):
        keys(slices="5:2")
    with pytest.raises(HushError, match="tiny is left out: tiny has slices 0:3, not 1:9"):
        run("mid/mri", data, methods=["none"], options={"series": "tiny", "slices": "1:9"})


def test_quick_runs_leave_out_what_takes_long(data: Path, tmp_path: Path) -> None:
    quick = run("mid/mri", data, quick=True, methods=["none"])
    assert not any("repeats=b0" in c.key() for c in quick.cases)  # four are too few
    assert sum("first=16" in c.key() for c in quick.cases) == 2
    assert all(c.settings["budget"] == "5s" for c in quick.cases)
    write_series(tmp_path / "few/dwi.nii.gz", directions=12)
    write_series(tmp_path / "more/dwi.nii.gz")
    quick = run("mid/mri", tmp_path, quick=True, methods=["none"])
    assert {c.settings["data"] for c in quick.cases} == {"more"}
    assert any(note.startswith("few, b = 1000, has too few directions") for note in quick.notes)


def test_methods_that_train_meanwhile_get_the_budget_and_the_seed(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(METHODS._own, "dip", "mri_toys:Timed")  # type: ignore[index]
    run("mid/mri", data, methods=["dip"], only="repeated", budget=7, seeds=[3])
    assert settings == [(7.0, 3)]


def test_rows_that_do_not_apply_are_left_out_even_if_asked_for(data: Path) -> None:
    rows = ["none", "mppca", "ddm2"]
    results = run("mid/mri", data, methods=rows, only="repeated", quick=True)
    assert {c.method for c in results.cells} == {"none"}
    assert any("need a series and are left out of repeats" in note for note in results.notes)
    results = run("mid/mri", data, methods=["none", "bm4d"], only="tiny", quick=True)
    assert {c.method for c in results.cells} == {"none"}
    assert any("quick runs leave out bm4d of series" in note for note in results.notes)


def test_folders_without_mri_are_refused(tmp_path: Path) -> None:
    with pytest.raises(HushError, match="contains no MRI"):
        run("mid/mri", tmp_path)
    with pytest.raises(HushError, match="leave --train out"):
        run("mid/mri", tmp_path, train_dir=tmp_path)


@pytest.mark.data
def test_the_study_data_are_found(hush_data: Path) -> None:
    names = {s.name for s in find_series(hush_data)}
    assert names >= {
        "dwi_mdt_b1k_b2k",
        "dwi_nlsam_1_8mm",
        "dwi_philips_vanderbilt_b2000",
        "dwi_siemens_b2000/meso_slice",
        "dwi_siemens_b2000/research_slice",
    }


@pytest.mark.data
@pytest.mark.slow
def test_real_series_have_regions_noise_and_prediction(hush_data: Path) -> None:
    results = run("mid/mri", hush_data, quick=True, methods=["none"], only="dwi_siemens_b2000")
    (held,) = figures(results, "none", "held", b="2000", data="dwi_siemens_b2000/research_slice")[
        :1
    ]
    assert held is not None
    assert 1.2 < held < 2
    assert any("corpus callosum" in note for note in results.notes)

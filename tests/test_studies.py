"""Studies: layouts found, noise frozen, runs resumed, differences tested in pairs."""

from __future__ import annotations

import json
import re
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from rich.console import Console
from scipy.ndimage import uniform_filter

from hush.cli import main
from hush.errors import HushError
from hush.studies import STUDIES, Results, run
from hush.studies.core import PSNR, Case, Method, Metric, Study
from hush.studies.folders import find_paired_sets, find_pairs, find_sets
from hush.studies.frozen import centre_crop, frozen_noise
from hush.studies.images import recognise
from hush.studies.ledger import Cell, Key, Ledger
from hush.studies.sample import Sample
from hush.studies.table import best, groups

FIELDS = [
    *("study", "case", "method", "metric", "higher_is_better"),
    *("value", "std", "n", "seed", "paper", "reference", "judge"),
]


def write(path: Path, shape: tuple[int, ...] = (40, 48), seed: int = 0) -> None:
    """A smooth image with a little texture, gray or RGB."""
    rows, columns = np.mgrid[: shape[0], : shape[1]] / 48
    x = 0.5 + 0.3 * np.sin(6 * rows + seed) * np.cos(5 * columns)
    x = x[..., None] * np.linspace(1, 0.7, shape[2]) if len(shape) == 3 else x
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray((255 * x).astype(np.uint8)).save(path)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two gray sets, one of pairs, one of colour: all of unknown names."""
    for i in range(7):
        write(tmp_path / f"data/images/cells/{i}.png", seed=i)
    write(tmp_path / "data/images/birds/one.png", (40, 48, 3))
    for i in range(3):
        write(tmp_path / f"data/images/scope/raw/bead_{i}.png", seed=i)
        write(tmp_path / f"data/images/scope/gt/bead_{i}.png", seed=i)
    return tmp_path / "data"


calls: list[str] = []


def find(name: str, case: Case, seed: int) -> Method | None:
    """`none`, and any other standing for a local mean repeated `steps` times."""

    def mean(noisy: np.ndarray, noise: Any) -> np.ndarray:
        calls.append(name)
        for _ in range(case.options.get("steps", 1)):
            noisy = uniform_filter(noisy, (1, 3, 3))
        return noisy

    def none(noisy: np.ndarray, noise: Any) -> np.ndarray:
        calls.append(name)
        return noisy

    if name == "none" and case.options:
        return None
    return none if name == "none" else mean


def images(data: Path, **options: Any) -> Results:
    calls.clear()
    options = {"methods": ["none", "mid"], "only": "cells", "quick": True, **options}
    return run("mid/images", data, find=find, **options)


# -- layouts ---------------------------------------------------------------------------------


def test_sets_are_found_by_layout(data: Path) -> None:
    assert [p.name for p in find_sets(data)] == ["birds", "cells"]
    assert [p.name for p in find_sets(data / "images")] == ["birds", "cells"]
    assert [p.name for p in find_sets(data / "images" / "cells")] == ["cells"]
    assert [p.name for p in find_sets(data, "b*")] == ["birds"]
    assert [p.name for p in find_paired_sets(data)] == ["scope"]
    assert [p.name for p in find_paired_sets(data / "images" / "scope")] == ["scope"]
    assert find_sets(data / "images" / "scope") == []


def test_a_set_of_flat_pairs_hides_no_others(data: Path, tmp_path: Path) -> None:
    for i in range(2):
        write(data / f"images/phone/{i}_real.png", seed=i)
        write(data / f"images/phone/{i}_mean.png", seed=i)
    assert [p.name for p in find_sets(data)] == ["birds", "cells"]
    assert [p.name for p in find_paired_sets(data)] == ["phone", "scope"]
    for i in range(2):  # a folder for each scene
        write(tmp_path / f"scenes/{i}/noisy.png", seed=i)
        write(tmp_path / f"scenes/{i}/clean.png", seed=i)
    assert [p.name for p in find_paired_sets(tmp_path / "scenes")] == ["scenes"]


@pytest.mark.parametrize(
    ("noisy", "clean"),
    [
        ("raw/a_1.png", "gt/a_1.png"),
        ("noisy/a_1.png", "clean/a_1.png"),
        ("images_avg1_8bit/input_avg1_1.png", "images_avg400_8bit/target_avg400_1.png"),
        ("Nam_patches/1_noise.png", "Nam_patch_GT/1_gt.png"),
        ("scene1/test.png", "scene1/average.png"),
        ("a1_real.png", "a1_mean.png"),
        ("x/NOISY_RGB_1.png", "x/GT_RGB_1.png"),
    ],
)
def test_pairs_are_matched_by_the_words_they_share(tmp_path: Path, noisy: str, clean: str) -> None:
    other = [name.replace("1.", "2.").replace("1_", "2_", 1) for name in (noisy, clean)]
    for name in (noisy, clean, *other, "readme.png"):
        write(tmp_path / name)
    pairs = find_pairs(tmp_path)
    assert (tmp_path / noisy, tmp_path / clean) in [(p.noisy, p.clean) for p in pairs]
    assert all(p.clean != p.noisy for p in pairs)


def test_names_do_not_decide_in_folders_that_do(tmp_path: Path) -> None:
    for name in ("sky_high_3", "sky_low_3", "gt_wall"):
        write(tmp_path / f"dose/raw/{name}.png")
        write(tmp_path / f"dose/gt/{name}.png")
    write(tmp_path / "dose/raw/alone.png")
    notes: list[str] = []
    pairs = find_pairs(tmp_path / "dose", notes.append)
    assert {p.noisy.parent.name for p in pairs} == {"raw"}
    assert all(p.noisy.name == p.clean.name for p in pairs)
    assert len({p.name for p in pairs}) == 3
    (note,) = notes
    assert note.startswith(f"dose/{Path('raw/alone.png')} is left out: ")
    for word in ("noisy", "clean"):  # a scene that is called as noisy ones are
        write(tmp_path / f"test/a_{word}.png")
    assert [p.clean.name for p in find_pairs(tmp_path)] == ["a_clean.png"]


def test_every_average_but_the_longest_is_noisy(tmp_path: Path) -> None:
    for count in (1, 4, 400):
        write(tmp_path / f"avg{count}" / "7.png")
    pairs = find_pairs(tmp_path)
    assert [(p.averaged, p.clean.parent.name) for p in pairs] == [
        ("avg1", "avg400"),
        ("avg4", "avg400"),
    ]


def test_known_sets_are_told_by_content_and_training_sets_left_out(tmp_path: Path) -> None:
    for i in range(24):
        write(tmp_path / f"images/any/{i}.png", (512, 768, 3) if i == 0 else (8, 8, 3))
    assert recognise(tmp_path / "images/any") == "kodak"
    write(tmp_path / "images/bsd68/1.png")
    assert recognise(tmp_path / "images/bsd68") == "bsd68"
    for i in range(400):
        (tmp_path / f"images/old/{i}.png").parent.mkdir(exist_ok=True)
        (tmp_path / f"images/old/{i}.png").touch()
    write(tmp_path / "images/old/0.png", (180, 180))
    cases = STUDIES["mid/images"].cases(tmp_path, quick=False, only=None)
    assert {c.settings["data"] for c in cases} == {"any", "bsd68"}
    papers = {c.settings["level"]: c.paper for c in cases if c.settings["data"] == "any"}
    assert papers["25/255"]["noise2void", "psnr"] == 30.32
    cases = STUDIES["mid/images"].cases(tmp_path, quick=False, only="old")
    assert {c.settings["data"] for c in cases} == {"old"}


def test_a_folder_without_images_gets_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(HushError, match="contains no test images"):
        run("mid/images", tmp_path)
    with pytest.raises(HushError, match="contains no pairs"):
        run("real/pairs", tmp_path)
    with pytest.raises(HushError, match="is not a folder"):
        run("mid/images", tmp_path / "missing")
    with pytest.raises(HushError, match="there is no study 'x'; choose from mid/images"):
        run("x", tmp_path)


# -- frozen noise ----------------------------------------------------------------------------


def test_noise_is_frozen_by_seed_name_and_level() -> None:
    x = np.full((1, 16, 16), 0.5, np.float32)
    first, process = frozen_noise(x, "gaussian:5-50/255", "a.png", 0)
    again, same = frozen_noise(x, "gaussian:5-50/255", "a.png", 0)
    assert np.array_equal(first, again)
    assert process == same
    for other in (("gaussian:5-50/255", "b.png", 0), ("gaussian:5-50/255", "a.png", 1)):
        assert not np.array_equal(first, frozen_noise(x, *other)[0])
    assert frozen_noise(x, "gaussian:50/255", "a.png", 0)[0].max() > 1  # unclipped


def test_centre_crop_of_even_odd_and_small() -> None:
    x = np.arange(7 * 9).reshape(1, 7, 9)
    assert centre_crop(x, 5).shape == (1, 5, 5)
    assert centre_crop(x, 5)[0, 2, 2] == x[0, 3, 4]
    assert centre_crop(x, 100).shape == x.shape


# -- runs ------------------------------------------------------------------------------------


def test_a_run_writes_one_line_per_cell_and_its_samples(data: Path, tmp_path: Path) -> None:
    results = images(data, json_path=tmp_path / "r.json", seeds=(0, 1))
    lines = [json.loads(line) for line in (tmp_path / "r.json").read_text().splitlines()]
    assert len(lines) == len(results.cells) == 2 * 2 * 2 * 2 * 2  # noise estimator method …
    assert all(list(line) == FIELDS for line in lines)
    assert {line["method"] for line in lines} == {"none", "mid"}
    assert lines[0]["case"] == "data=cells;noise=gaussian;level=25/255;estimator=given;subset=3x128"
    values = [json.loads(t) for t in (tmp_path / "r.samples.jsonl").read_text().splitlines()]
    for line, sample in zip(lines, values, strict=True):
        x = list(sample["values"].values())
        assert (line["n"], line["seed"]) == (3, sample["seed"])
        assert line["value"] == pytest.approx(np.mean(x))
        assert line["std"] == pytest.approx(np.std(x, ddof=1))


def test_a_rerun_skips_what_is_finished(data: Path, tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    images(data, json_path=path, methods=["none"])
    before = path.read_bytes()
    images(data, json_path=path)
    assert set(calls) == {"mid"}
    assert path.read_bytes().startswith(before)
    finished = path.read_bytes()
    results = images(data, json_path=path)
    assert not calls
    assert path.read_bytes() == finished
    assert len(results.cells) == 16


@pytest.mark.parametrize("kept", [1, 9, 60, -1])
def test_a_half_written_last_line_is_repaired(data: Path, tmp_path: Path, kept: int) -> None:
    path, samples = tmp_path / "r.json", tmp_path / "r.samples.jsonl"
    images(data, json_path=path)
    whole = path.read_text()
    for file in (path, samples):
        *lines, last = file.read_text().splitlines(keepends=True)
        file.write_text("".join(lines) + last[:kept])
    images(data, json_path=path)
    assert calls == ["mid"] * 3  # one case again, and only one metric of it
    assert path.read_text() == whole


def test_other_files_are_not_touched(data: Path, tmp_path: Path) -> None:
    for text in ('{"a": 1}', '{"a": 1}\n', "notes", "{\n}\n"):
        (tmp_path / "r.json").write_text(text)
        with pytest.raises(HushError, match=r"line 1 of .* is not from a study"):
            images(data, json_path=tmp_path / "r.json")
        assert (tmp_path / "r.json").read_text() == text


def test_cases_are_picked_by_their_settings(data: Path) -> None:
    results = images(data, where={"noise": "gauss*", "estimator": "given"})
    (case,) = results.cases
    assert case.settings["level"] == "25/255"
    assert len(results.cells) == 4
    with pytest.raises(HushError, match=r"nothing with level=9; here level is 25/255 or 30$"):
        images(data, where={"level": "9"})
    with pytest.raises(HushError, match="there is no setting 'levle', but data, noise, level, est"):
        images(data, where={"levle": "30"})
    with pytest.raises(HushError, match=r"nothing with fit=x; here fit is none or gain-offset$"):
        run("real/pairs", data, where={"fit": "x"})


def test_a_model_of_ones_own_has_its_own_cells(data: Path) -> None:
    images(data, model="my/net.safetensors")
    results = images(data, model="my/net.safetensors", where={"level": "30", "estimator": "given"})
    labels = {c.method: c.case.partition("model=")[2] for c in results.cells}
    assert labels == {"none": "", "mid": "net"}
    (rows,) = groups(STUDIES["mid/images"], results.ledger, results.cases).values()
    assert [r.label for r in rows] == ["none", "mid model=net"]


def test_methods_that_cannot_run_are_left_out_unless_asked_for(data: Path) -> None:
    def broken(name: str, case: Case, seed: int) -> Method | None:
        if name == "bm3d":
            raise HushError("BM3D needs the bm3d package")
        return find(name, case, seed)

    results = run("mid/images", data, quick=True, only="cells", find=broken)
    assert results.notes == ["bm3d is left out: BM3D needs the bm3d package"]
    assert {c.method for c in results.cells} == {"none", "mid", "nlm", "wavelet", "tv"}
    with pytest.raises(HushError, match="bm3d package"):
        run("mid/images", data, quick=True, methods=["bm3d"], find=broken)


def test_asked_for_methods_are_left_out_where_they_fail(data: Path) -> None:
    def partly(name: str, case: Case, seed: int) -> Method | None:
        if case.settings["noise"] == "poisson":
            raise HushError("no counts")
        return find(name, case, seed)

    results = run("mid/images", data, quick=True, only="cells", methods=["mid"], find=partly)
    assert {c.case.split(";")[1] for c in results.cells} == {"noise=gaussian"}
    (note,) = results.notes
    assert note.startswith("mid is left out of data=cells;noise=poisson;")


def test_files_that_cannot_be_used_are_named_and_the_others_are_scored(data: Path) -> None:
    for name in ("0", "3"):
        whole = (data / f"images/cells/{name}.png").read_bytes()
        (data / f"images/cells/{name}.png").write_bytes(whole[: len(whole) // 2])
    results = run("mid/images", data, only="cells", methods=["none"], find=find)
    assert {c.n for c in results.cells} == {5}
    named = [n for n in results.notes if n.startswith("cells/")]
    assert [n.partition(" is left out: ")[0] for n in named] == ["cells/0.png", "cells/3.png"]
    scope = data / "images/scope"
    write(scope / "gt/bead_0.png", (40, 47))
    whole = (scope / "raw/bead_1.png").read_bytes()
    (scope / "raw/bead_1.png").write_bytes(whole[: len(whole) // 2])
    results = run("real/pairs", data, methods=["none"], find=find)
    assert {c.n for c in results.cells} == {1}
    assert len(results.notes) == 2
    assert "holds 1 image of 1 × 40 × 48, but" in results.notes[0]
    assert "bead_1.png" in results.notes[1]
    (scope / "raw/bead_2.png").write_bytes(b"")
    with pytest.raises(HushError, match=r"bead_2"):
        run("real/pairs", data, methods=["none"], find=find)


def test_real_pairs_are_read_with_and_without_a_fit(data: Path) -> None:
    for path in (data / "images/scope/raw").iterdir():
        x = np.asarray(Image.open(path)) * 0.5 + 20
        Image.fromarray(x.astype(np.uint8)).save(path)
    results = run("real/pairs", data, methods=["none"], find=find)
    psnr = {c.case.rpartition("fit=")[2]: c.value for c in results.cells if c.metric == "psnr"}
    assert psnr["gain-offset"] > psnr["none"] + 20


def test_the_ablation_runs_baselines_once(data: Path) -> None:
    results = run(
        "mid/ablation", data, quick=True, only="cells", methods=["none", "mid"], find=find
    )
    psnr = [c for c in results.cells if c.metric == "psnr"]
    assert [c.method for c in psnr] == ["none", "mid", "mid", "mid", "mid", "mid"]
    assert [c.case.partition("steps=")[2] for c in psnr] == ["", "", "1", "2", "4", "8"]
    (rows,) = groups(STUDIES["mid/ablation"], results.ledger, results.cases).values()
    assert {r.label for r in rows} >= {"none", "mid", "mid steps=1", "mid steps=8"}


# -- tables ----------------------------------------------------------------------------------


def contest(first: np.ndarray, second: np.ndarray, higher_is_better: bool = True) -> str | None:
    """Label of the best of two methods with these per-sample values."""
    metric = Metric("error", lambda result, reference: 0.0, higher_is_better)
    case = Case({"data": "x"}, lambda seed: [Sample("0", np.zeros(0), np.zeros(0))], 1)
    study = Study("s", "", lambda data, quick, only: [case], ("a", "b"), (metric,))
    ledger = Ledger()
    for method, values in (("a", first), ("b", second)):
        named = {str(i): float(v) for i, v in enumerate(values)}
        key = Key(study.name, "data=x", method, metric.name, 0)
        ledger.add(Cell.of(key, metric.higher_is_better, named, None), named)
    (rows,) = groups(study, ledger, [case]).values()
    winner = best(rows, metric)
    return winner.label if winner else None


def test_the_best_is_marked_only_where_the_paired_difference_is_sure() -> None:
    rng = np.random.default_rng(0)
    difficulty = rng.normal(28, 3, 20)
    assert contest(difficulty + 0.05 + 0.01 * rng.normal(size=20), difficulty) == "a"
    assert contest(difficulty, difficulty + 0.05, higher_is_better=False) == "a"
    assert contest(difficulty + rng.normal(0.01, 1, 20), difficulty) is None
    assert contest(difficulty[:1] + 9, difficulty[:1]) is None


def test_seeds_of_one_sample_do_not_multiply_the_evidence(data: Path) -> None:
    results = images(data, seeds=range(8))
    rows = next(iter(groups(STUDIES["mid/images"], results.ledger, results.cases).values()))
    assert [len(row.per_sample("psnr")) for row in rows] == [3, 3]


def test_the_table_shows_the_published_figure_beside_ours(data: Path) -> None:
    (data / "images/cells").rename(data / "images/my_bsd68")
    results = images(data, only="my*")
    cell = next(c for c in results.cells if c.method == "none")
    assert cell.paper is None
    out = StringIO()
    for table in results.tables():
        Console(file=out, width=120).print(table)
    text = out.getvalue()
    assert "published" in text
    assert "28.56" in text  # BM3D's, which was not run
    assert f"{cell.value:.2f}" in text
    assert "★" in text


# -- what a study's rows say -----------------------------------------------------------------


def test_files_of_before_rows_said_what_they_know_are_read_and_gone_on_with(
    data: Path, tmp_path: Path
) -> None:
    path = tmp_path / "r.json"
    images(data, json_path=path)
    new = path.read_text()
    for file in (path, tmp_path / "r.samples.jsonl"):
        old = [json.loads(line) for line in file.read_text().splitlines()]
        for line in old:
            line.pop("reference")
            line.pop("judge", None)
        file.write_text("".join(json.dumps(line) + "\n" for line in old))
    before = path.read_bytes()
    results = images(data, json_path=path)
    assert not calls
    assert path.read_bytes() == before != new.encode()
    assert len(results.cells) == 16
    assert not any(cell.reference for cell in results.cells)
    assert all(cell.judge for cell in results.cells)
    rows = next(iter(groups(STUDIES["mid/images"], results.ledger, results.cases).values()))
    assert [len(row.per_sample("psnr")) for row in rows] == [3, 3]


SHARPNESS = Metric("sharpness", lambda result, reference: float(-result.std()), judge=False)
BROKEN = Metric("broken", lambda result, reference: float("nan"))


def cells_study(monkeypatch: pytest.MonkeyPatch, **more: Any) -> Study:
    """A study of ten flat images, added to the others: halves of noise are better than all."""
    rng = np.random.default_rng(0)
    flat = np.full((1, 16, 16), 0.5, np.float32)
    noise = rng.normal(0, 0.1, (10, *flat.shape)).astype(np.float32)
    noise *= np.linspace(1, 2, 10, dtype=np.float32)[:, None, None, None]
    samples = [Sample(str(i), flat + z, flat) for i, z in enumerate(noise)]

    def find_cases(
        data: Path, *, quick: bool, only: str | None, train: Path | None = None, note: Any
    ) -> list[Case]:
        note(f"spectra are missing in {data}: left out")
        return [Case({"data": "flat"}, lambda seed: samples, 10)]

    study = Study(
        "cells/flat", "Flat cells", find_cases, ("none", "ours", "clean"),
        (PSNR, SHARPNESS, BROKEN), **more,
    )  # fmt: skip
    monkeypatch.setitem(STUDIES, study.name, study)
    return study


def shrunk(name: str, case: Case, seed: int) -> Method:
    """So much of the noise is left."""
    left = {"none": 1.0, "ours": 0.5, "clean": 0.1}[name]
    return lambda noisy, noise: 0.5 + left * (noisy - 0.5)


def shown(results: Results) -> str:
    out = StringIO()
    for table in results.tables():
        Console(file=out, width=140, color_system="standard", force_terminal=True).print(table)
    return out.getvalue()


def test_references_are_shown_but_never_the_best(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def stars(study: Study) -> dict[str, str | None]:
        path = tmp_path / f"{len(study.references)}.json"
        results = run("cells/flat", tmp_path, find=shrunk, json_path=path)
        (rows,) = groups(study, results.ledger, results.cases).values()
        winners = {m.name: best(rows, m) for m in study.metrics}
        assert sum(line.count("★") for line in shown(results).splitlines() if "│" in line) == 1
        return {name: winner and winner.label for name, winner in winners.items()}

    none = {"sharpness": None, "broken": None}
    assert stars(cells_study(monkeypatch)) == {"psnr": "clean", **none}
    assert stars(cells_study(monkeypatch, references=("clean",))) == {"psnr": "ours", **none}
    lines = [json.loads(line) for line in (tmp_path / "1.json").read_text().splitlines()]
    assert {line["method"]: line["reference"] for line in lines} == {
        "none": False, "ours": False, "clean": True,
    }  # fmt: skip
    assert {line["metric"]: line["judge"] for line in lines} == {
        "psnr": True, "sharpness": False, "broken": True,
    }  # fmt: skip
    assert {line["value"] for line in lines if line["metric"] == "broken"} == {None}


def test_a_row_is_a_reference_by_its_cell_or_by_its_study(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "r.json"
    cells_study(monkeypatch, references=("clean",))
    run("cells/flat", tmp_path, find=shrunk, json_path=path)
    for study in (cells_study(monkeypatch), cells_study(monkeypatch, references=("ours",))):
        results = run("cells/flat", tmp_path, find=shrunk, json_path=path)
        (rows,) = groups(study, results.ledger, results.cases).values()
        assert {r.label for r in rows if r.reference} == {"clean", *study.references}


def test_references_and_diagnostics_are_dim(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    cells_study(monkeypatch, references=("clean",))
    text = shown(run("cells/flat", tmp_path, find=shrunk))
    lines = [line.split("│")[1:-1] for line in text.splitlines() if "│" in line]
    dim = {
        name: ["\x1b[2m" in cell for cell in line]
        for line in lines
        for name in ("none", "ours", "clean")
        if name in line[0]
    }
    sharpness = [False, False, True, False]
    assert dim == {"none": sharpness, "ours": sharpness, "clean": [True] * 4}
    legend = " ".join(re.sub(r"\x1b\[[0-9;]*m", "", text).split())
    assert "rows that use information users do not have" in legend
    assert "not a goal of denoising" in legend


# -- data that are missing, and folders to train on --------------------------------------------


def test_data_sets_that_are_missing_are_named(
    data: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    cells_study(monkeypatch)
    results = run("cells/flat", tmp_path, find=shrunk)
    assert results.notes == [f"spectra are missing in {tmp_path}: left out"]
    (data / "images/cells").rename(data / "images/my_bsd68")
    results = run("mid/images", data, methods=["none"], find=find, where={"level": "25/255"})
    assert results.notes == [
        f"{name} is missing in {data}: left out" for name in ("kodak", "bsd300")
    ]
    assert images(data, only="my*").notes == []


def test_a_method_is_left_out_of_the_cases_that_it_cannot_do(data: Path) -> None:
    def partly(name: str, case: Case, seed: int) -> Method | None:
        if name == "bm3d" and case.settings["noise"] == "poisson":
            raise HushError("no counts")
        return find("mid" if name == "bm3d" else name, case, seed)

    results = run("mid/images", data, quick=True, only="cells", find=partly)
    (note,) = results.notes
    assert note.startswith("bm3d is left out of data=cells;noise=poisson;level=30;estimator=given")
    assert note.endswith(": no counts")
    assert len([c for c in results.cells if c.method == "bm3d"]) == 4


def test_methods_that_nobody_trained_say_so(data: Path) -> None:
    with pytest.raises(HushError, match="nothing to train puca on and no model of it is shipped"):
        run("mid/images", data, quick=True, only="cells", methods=["puca"])


def test_studies_that_train_nothing_take_no_folder_to_train_on(data: Path) -> None:
    with pytest.raises(HushError, match="mid/ablation trains nothing; leave --train out"):
        run("mid/ablation", data, quick=True, train_dir=data)
    for name in ("mid/images", "mid/ablation"):
        with pytest.raises(HushError, match="is not a folder; give --train"):
            run(name, data, quick=True, train_dir=data / "none")


def test_pairs_are_trained_on_themselves(data: Path) -> None:
    with pytest.raises(HushError, match="trains on the noisy files themselves; leave --train out"):
        run("real/pairs", data, quick=True, train_dir=data)
    results = run("real/pairs", data, quick=True, methods=["mid:noisy"], budget=1)
    assert {(c.method, c.reference) for c in results.cells} == {("mid:noisy", False)}
    assert all("transform" not in c.case for c in results.cells)


def test_quick_runs_and_other_files_have_models_of_their_own(data: Path) -> None:
    def name(quick: bool) -> str:
        case = STUDIES["real/pairs"].cases(data, quick=quick, only=None)[0]
        assert case.training is not None
        assert case.training.budget == (30 if quick else 600)
        return case.training.name

    before = [name(True), name(False)]
    assert before == [name(True), name(False)]
    write(data / "images/scope/raw/bead_0.png", seed=9)
    write(data / "images/scope/raw/bead_9.png", seed=9)
    write(data / "images/scope/gt/bead_9.png", seed=9)
    assert len({*before, name(True), name(False)}) == 4


def test_the_best_blur_knows_the_reference(data: Path) -> None:
    rng = np.random.default_rng(0)
    for path in (data / "images/scope/raw").iterdir():
        x = np.asarray(Image.open(path)) + rng.normal(0, 20, np.asarray(Image.open(path)).shape)
        Image.fromarray(x.clip(0, 255).astype(np.uint8)).save(path)
    results = run("real/pairs", data, methods=["none", "blur", "nlm"])
    fitted = [c for c in results.cells if c.metric == "psnr" and "gain-offset" in c.case]
    score = {c.method: c.value for c in fitted if "transform" not in c.case}
    assert score["blur"] >= score["none"]
    assert {c.method for c in results.cells if c.reference} == {"blur"}


def test_a_row_that_there_is_not_is_refused(data: Path) -> None:
    with pytest.raises(HushError, match="mid/images has no row 'x'; choose from none, mid, bm3d"):
        images(data, methods=["x"])


# -- the command ------------------------------------------------------------------------------


def test_help_lists_the_studies_and_those_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    cells_study(monkeypatch)
    text = " ".join(CliRunner().invoke(main, ["study", "--help"]).output.split())
    assert "cells/flat Flat cells" in text
    for study in STUDIES.values():
        assert f"{study.name} {study.title}" in text


def test_the_command_passes_on_what_to_train_on(data: Path) -> None:
    arguments = ["study", "mid/images", "--quick", "--data", str(data), "--train", str(data)]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 1
    assert "would be both trained on and tested on" in result.output


# -- the machinery on real methods -----------------------------------------------------------


def test_methods_come_from_the_registry(data: Path) -> None:
    results = run("mid/images", data, quick=True, only="cells", methods=["none"])
    assert results.cells[0].value == pytest.approx(20.2, abs=0.5)  # σ = 25/255


def test_bm3d_removes_gaussian_and_counting_noise(tmp_path: Path) -> None:
    pytest.importorskip("bm3d", reason="the extra 'peers' is not installed")
    from hush.methods.bm3d import BM3D

    write(tmp_path / "x.png")
    x = np.asarray(Image.open(tmp_path / "x.png"), np.float32)[None] / 255
    for spec in ("gaussian:25/255", "poisson:30"):
        noisy, process = frozen_noise(x, spec, "x.png", 0)
        assert PSNR.score(BM3D().restore(noisy, process).data, x) > PSNR.score(noisy, x) + 6


@pytest.mark.parametrize(("gain", "constant"), [(1 / 30, 0), (1 / 30, 2e-3), (0.01, 1e-4)])
def test_the_anscombe_inverse_is_unbiased(gain: float, constant: float) -> None:
    from hush.methods.bm3d import anscombe, inverse_anscombe

    rng = np.random.default_rng(0)
    for signal in (0.1, 0.4, 1.0):
        y = gain * rng.poisson(signal / gain, 100_000)
        z = anscombe(y + constant**0.5 * rng.normal(size=y.shape), gain, constant)
        assert z.std() == pytest.approx(1, abs=0.06)
        assert inverse_anscombe(z.mean(), gain, constant) == pytest.approx(signal, rel=0.02)

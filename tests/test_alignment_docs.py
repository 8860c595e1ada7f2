"""The commands and the Python of docs/alignments.md, run as they stand, trainings cut short."""

from __future__ import annotations

import re
import runpy
import shlex
from pathlib import Path
from typing import Any

import imageio.v3 as iio
import numpy as np
import pytest
from click.testing import CliRunner
from families import COLUMNS, NAMES, ROWS, write_family

from hush import io
from hush.cli import main
from hush.methods import METHODS, get

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
TEXT = (ROOT / "docs" / "alignments.md").read_text(encoding="utf-8")
COMMANDS = [
    line.split(" #")[0].strip() for line in re.findall(r"^\$ (hush .*)$", TEXT, re.MULTILINE)
]
EXAMPLES = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write_family(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(line: str) -> str:
    words = shlex.split(line.replace("--adapt 60s", "--adapt 1s").replace("--budget 20m", ""))[1:]
    words += ["--max-steps", "2"] if words[0] == "train" else []
    words += ["--overwrite"] if words[0] != "inspect" else []  # one name is shown several times
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 0, f"{line}\n{result.output}"
    return result.output


def blocks(path: Path) -> list[str]:
    """Header and residues of each row of an A3M file."""
    return [f">{row}" for row in path.read_text().split(">")[1:]]


def test_rows_are_kept_as_they_were(folder: Path) -> None:
    every = blocks(folder / "family.a3m")
    run(COMMANDS[0])
    kept = blocks(folder / "selected.a3m")
    assert len(kept) == 256
    assert kept[0] == every[0]
    assert kept == [row for row in every if row in set(kept)]
    assert any("gk" in row for row in kept)  # an insertion


def test_a_share_and_the_scores(folder: Path) -> None:
    run(COMMANDS[1])
    assert len(io.read(folder / "family.denoised.sto").data) == ROWS // 5
    head, *lines = (line.split("\t") for line in (folder / "scores.tsv").read_text().splitlines())
    assert head == ["row", "name", "kept", "score"]
    assert [line[1] for line in lines] == list(NAMES)
    assert sum(line[2] == "1" for line in lines) == ROWS // 5
    assert float(lines[0][3]) == 1  # the query
    assert all(0 <= float(line[3]) <= 1 for line in lines)


def test_without_a_number_rows_that_repeat_others_go(folder: Path) -> None:
    run(COMMANDS[2])
    assert (
        len(blocks(folder / "clean.a3m")) < ROWS - ROWS // 5
    )  # every fourth repeats the one before


def test_the_query_by_its_name(folder: Path) -> None:
    run(COMMANDS[3])
    assert blocks(folder / "other.a3m")[0].startswith(f">{NAMES[7]} ")
    words = shlex.split(f"{COMMANDS[3].replace(NAMES[7], 'P99')} --overwrite")[1:]
    refused = CliRunner().invoke(main, words)
    assert refused.exit_code == 1
    assert "no row is called 'P99'" in refused.output


def test_folders_and_pages(folder: Path) -> None:
    run(COMMANDS[4])
    assert [len(blocks(path)) for path in sorted((folder / "out").iterdir())] == [256, 256]
    said = run(COMMANDS[5])
    for figure in ("effective", "coverage", "identity", "redundant", "misaligned", "noise"):
        assert f"  {figure} " in said
        assert re.search(rf"^\| {figure}", TEXT, re.MULTILINE), f"docs do not define {figure}"
    assert (folder / "family.html").exists()


@pytest.mark.long
@pytest.mark.slow
def test_models_are_trained_and_adapted(folder: Path) -> None:
    assert len(COMMANDS[6:]) == 4
    for line in COMMANDS[6:]:
        run(line)
    assert len(blocks(folder / "selected.a3m")) == 256


def test_the_python_runs(folder: Path) -> None:
    pytest.importorskip("biotite")
    first, second = EXAMPLES
    names: dict[str, Any] = {}
    exec(first, names)
    item = names["result"].items[0]
    assert item.kept.shape == item.probability.shape == (ROWS,)
    assert len(blocks(folder / "selected.a3m")) == item.kept.sum() == 256
    exec(second, names)
    scores = names["scores"]
    assert scores.shape == (COLUMNS, COLUMNS)
    i = np.arange(COLUMNS // 2 - 3)  # pairs of the hairpin that are six and more apart
    far = np.abs(np.subtract.outer(np.arange(COLUMNS), np.arange(COLUMNS))) >= 6
    best = np.argsort(-np.where(np.triu(far), scores, -np.inf), axis=None)[: len(i)]
    assert set(map(int, best)) == set(map(int, i * COLUMNS + COLUMNS - 1 - i))
    assert names["known"].all()
    assert names["p"] >= len(i) / COLUMNS


def test_an_archive_of_the_result(folder: Path) -> None:
    run("hush denoise family.a3m -n 64 --query P10007 -o kept.npz")
    found = np.load(folder / "kept.npz")
    assert found["tokens"].shape == (64, COLUMNS)
    assert found["names"][0] == "P10007"
    assert found["mask"].shape == found["probability"].shape == (ROWS,)
    source = io.read(folder / "family.a3m")
    kept = np.flatnonzero(found["mask"])
    order = np.r_[7, kept[kept != 7]]
    np.testing.assert_array_equal(found["tokens"], source.data[order])
    assert list(found["names"]) == [NAMES[i] for i in order]
    run("hush denoise kept.npz -n 8 -o again.a3m")  # it is known as an alignment
    again = blocks(folder / "again.a3m")
    assert len(again) == 8
    assert again[0].startswith(">P10007\n")


def test_every_method_is_in_the_table() -> None:
    able = {name for name in METHODS if "alignment" in get(name, "alignment").kinds}
    table = TEXT[TEXT.index("## Compared with") :]
    assert set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == able - {"mid"}


@pytest.mark.data
@pytest.mark.slow
def test_the_caption_is_what_the_picture_shows(
    hush_data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """No caption outlives the model that it is about."""
    drawn = tmp_path / "alignments.png"
    monkeypatch.setattr("sys.argv", ["picture.py", str(drawn), "--data", str(hush_data)])
    runpy.run_path(str(ROOT / "benchmarks" / "alignment_picture.py"), run_name="__main__")
    shape = iio.imread(drawn).shape
    assert shape == iio.imread(ROOT / "docs" / "images" / "alignments.png").shape
    greedy, ours = re.findall(r"0\.\d\d", capsys.readouterr().out)[:2]
    caption = rf"P@L\s+is\s+{greedy}\s+by\s+greedy\s+selection\s+and\s+{ours}\s+by\s+hush"
    assert re.search(caption, README)
    assert re.search(caption, TEXT)

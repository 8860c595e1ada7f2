"""``hush denoise --scores``: the table of all rows beside a result of a kind that selects."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from click.testing import CliRunner

import hush
from hush.cli import main
from hush.errors import HushError
from hush.kinds import scores
from hush.record import Record


def run(*arguments: str | Path) -> tuple[int, str, str]:
    made = CliRunner().invoke(main, [str(a) for a in arguments])
    assert isinstance(made.exception, SystemExit | None), made.exception
    return made.exit_code, made.stdout, made.stderr


def points(path: Path, count: int = 40, seed: int = 0) -> np.ndarray:
    """A line of points with outliers around it, written to a file of columns."""
    rng = np.random.default_rng(seed)
    x = rng.random((count, 2))
    x[: count // 2, 1] = 0.5 * x[: count // 2, 0] + 0.2
    x = np.round(x, 4)
    np.savetxt(path, x, delimiter=",", header="x,y", comments="", fmt="%.4f")
    return x


def table(path: Path, between: str = "\t") -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file, delimiter=between))


def alignment(names: tuple[str, ...] | None, rows: int = 6, **context: Any) -> Record:
    data = np.random.default_rng(0).integers(4, 24, (rows, 12)).astype(np.uint8)
    told = {} if names is None else {"names": names}
    return Record(data, "NC", kind="alignment", full=1.0, context={**told, **context})


# -- the table -------------------------------------------------------------------------------------


def test_every_row_of_the_input_is_listed() -> None:
    x = np.random.default_rng(0).random((50, 2))
    result = hush.run(x, kind="points", method="lof")
    item = result.items[0]
    assert item.kept is not None
    assert item.probability is not None
    lines = [line.split("\t") for line in scores.table(result).splitlines()]
    assert lines[0] == ["row", "kept", "score"]
    assert [int(line[0]) for line in lines[1:]] == list(range(1, 51))
    assert [line[1] == "1" for line in lines[1:]] == item.kept.tolist()
    np.testing.assert_allclose([float(line[2]) for line in lines[1:]], item.probability, rtol=1e-5)
    kept = [int(row) - 1 for row, kept, _ in lines[1:] if kept == "1"]
    np.testing.assert_array_equal(x[kept], result.data)


def test_rows_that_could_not_be_judged_have_no_score() -> None:
    x = np.random.default_rng(0).random((50, 2))
    x[7] = np.nan
    lines = scores.table(hush.run(x, kind="points", method="lof")).splitlines()
    assert lines[8] == "8\t0\t"
    assert not any(line.endswith("\t") for line in lines[9:])


def test_rows_have_their_names(tmp_path: Path) -> None:
    names = ("query", 'a "b", c', "d", "e", "f", "g")
    result = hush.run(alignment(names, count=3), method="farthest")
    for ending, between in ((".tsv", "\t"), (".csv", ",")):
        path = tmp_path / f"scores{ending}"
        scores.write(result, path)
        rows = table(path, between)
        assert [row["name"] for row in rows] == list(names)
        kept = [row["kept"] == "1" for row in rows]
        assert np.array_equal(kept, result.items[0].kept)
        assert sum(kept) == 3
        assert {row["score"] for row in rows} == {""}  # the method gives none
        assert b"\r" not in path.read_bytes()


def test_scores_survive_the_table(tmp_path: Path) -> None:
    result = hush.run(alignment(None, count=3), method="farthest")
    score = np.array([1.0, 0.25, 1 / 3, np.nan, 1e-9, 0.0])
    result.items = [replace(result.items[0], probability=score)]
    scores.write(result, tmp_path / "scores.TSV")
    rows = table(tmp_path / "scores.TSV")
    assert list(rows[0]) == ["row", "kept", "score"]
    found = [float(row["score"]) if row["score"] else np.nan for row in rows]
    np.testing.assert_allclose(found, score, rtol=1e-5)


def test_kinds_of_values_and_other_endings_are_refused(tmp_path: Path) -> None:
    result = hush.run(np.random.default_rng(0).random((16, 16)).astype("f4"), method="none")
    with pytest.raises(HushError, match="no rows for --scores to list"):
        scores.table(result)
    with pytest.raises(HushError, match=r"use a name ending in \.tsv or \.csv"):
        scores.write(hush.run(alignment(None), method="farthest"), tmp_path / "scores.txt")
    assert list(tmp_path.iterdir()) == []


# -- the command -----------------------------------------------------------------------------------


def test_the_command_writes_the_table_beside_the_result(tmp_path: Path) -> None:
    x = points(tmp_path / "a.csv")
    options = ("--kind", "points", "--method", "lof", "--scores", tmp_path / "s.tsv")
    code, out, _ = run("denoise", tmp_path / "a.csv", *options)
    assert code == 0
    assert str(tmp_path / "s.tsv") in out.replace("\n", "").replace(" ", "")
    rows = table(tmp_path / "s.tsv")
    assert len(rows) == len(x)
    left = np.loadtxt(tmp_path / "a.denoised.csv", delimiter=",", skiprows=1)
    np.testing.assert_array_equal(x[[row["kept"] == "1" for row in rows]], left)
    code, out, _ = run("denoise", tmp_path / "a.csv", *options, "--json", "--overwrite")
    assert json.loads(out)["scores"] == str(tmp_path / "s.tsv")
    code, out, _ = run("denoise", tmp_path / "a.csv", *options[:4], "--json", "--overwrite")
    assert json.loads(out)["scores"] is None


def test_tables_of_several_inputs_go_into_a_folder(tmp_path: Path) -> None:
    files = [tmp_path / "a.csv", tmp_path / "b.csv"]
    for seed, file in enumerate(files):
        points(file, seed=seed)
    options = ("--kind", "points", "--method", "lof", "-o", tmp_path / "out")
    code, out, _ = run("denoise", *files, *options, "--scores", tmp_path / "out", "--json")
    assert code == 0
    names = ["a.csv", "a.tsv", "b.csv", "b.tsv"]
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == names
    assert [Path(json.loads(line)["scores"]).name for line in out.splitlines()] == names[1::2]
    code, _, said = run("denoise", *files, *options, "--scores", tmp_path / "s.tsv")
    assert code == 2
    assert "--scores" in said
    assert "folder" in said


def test_a_folder_takes_the_table_of_one_input(tmp_path: Path) -> None:
    points(tmp_path / "a.csv")
    options = ("--kind", "points", "--method", "lof", "--scores", f"{tmp_path}/new/")
    assert run("denoise", tmp_path / "a.csv", *options)[0] == 0
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["a.tsv"]


def test_existing_tables_are_kept_or_replaced_as_results_are(tmp_path: Path) -> None:
    points(tmp_path / "a.csv")
    (tmp_path / "s.tsv").write_text("old")
    options = ("--kind", "points", "--method", "lof", "--scores", tmp_path / "s.tsv")
    code, _, said = run("denoise", tmp_path / "a.csv", *options)
    assert code == 1
    assert "s.tsv already exists; --overwrite replaces it" in said
    code, _, _ = run("denoise", tmp_path / "a.csv", *options, "--skip-existing")
    assert code == 0  # the result was missing, and the table is kept
    assert (tmp_path / "s.tsv").read_text() == "old"
    assert (tmp_path / "a.denoised.csv").exists()
    code, out, _ = run("denoise", tmp_path / "a.csv", *options, "--skip-existing")
    assert code == 0
    assert "skipped" in out
    assert run("denoise", tmp_path / "a.csv", *options, "--overwrite")[0] == 0
    assert len(table(tmp_path / "s.tsv")) == 40


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--scores", "{folder}/s.txt"], "use a name ending in .tsv or .csv"),
        (["--scores", "{folder}/a.csv"], "is also an input"),
        (["--scores", "{folder}/o.csv", "-o", "{folder}/o.csv"], "is the result; choose another"),
        (["--scores", "{folder}/nowhere.csv/s.tsv"], "nowhere.csv"),
    ],
)
def test_tables_that_cannot_be_written_are_one_sentence(
    options: list[str], said: str, tmp_path: Path
) -> None:
    points(tmp_path / "a.csv")
    (tmp_path / "nowhere.csv").write_text("a file")
    given = [option.format(folder=tmp_path) for option in options]
    before = sorted(tmp_path.iterdir())
    code, _, error = run(
        "denoise", tmp_path / "a.csv", "--kind", "points", "--method", "lof", *given
    )
    assert code == 1
    (sentence,) = error.splitlines()
    assert said in sentence
    assert sorted(tmp_path.iterdir()) == before


def test_an_image_has_no_table(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((16, 16), np.uint8))
    code, _, error = run(
        "denoise", tmp_path / "a.tif", "--method", "none", "--scores", tmp_path / "s.tsv"
    )
    assert code == 1
    assert "change the values of images" in error
    assert [p.name for p in tmp_path.iterdir()] == ["a.tif"]

"""Situations that users of alignments met, from the command line and from Python.

What single formats and methods do with odd alignments is tested beside them, in
`test_io_alignment.py`, `test_alignment_measure.py` and `test_rows.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

import hush
from hush import io, kinds
from hush.cli import main
from hush.errors import HushError
from hush.io.residues import TOKENS
from hush.kinds.alignment import show
from hush.methods import get

AMINO = "ACDEFGHIKLMNPQRSTVWY"
QUICK = ("--method", "farthest")  #: needs no model


def family(rows: int = 20, columns: int = 30, letters: str = AMINO) -> list[str]:
    """Rows of one family, the query first."""
    rng = np.random.default_rng(5)
    query = rng.choice(list(letters), columns)
    drawn = [np.where(rng.random(columns) < 0.4, rng.choice(list(letters), columns), query)]
    drawn += [
        np.where(rng.random(columns) < 0.4, rng.choice(list(letters), columns), query)
        for _ in range(rows - 2)
    ]
    return ["".join(row) for row in (query, *drawn)]


def fasta(rows: list[str], names: list[str] | None = None) -> str:
    names = names or [f"s{i}" for i in range(len(rows))]
    return "".join(f">{name}\n{row}\n" for name, row in zip(names, rows, strict=True))


def put(path: Path, text: str | bytes) -> Path:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def call(*words: Any) -> Result:
    """The command line; no traceback, whatever happens."""
    result = CliRunner().invoke(main, [str(word) for word in words])
    assert result.exception is None or isinstance(result.exception, SystemExit)
    assert "Traceback" not in result.output
    return result


def said(result: Result) -> str:
    """What was printed, on one line."""
    return " ".join(result.output.split())


# -- from the command line -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--count", "0"], "give a whole number from 1, not 0"),
        (["--count", "-1"], "give a whole number from 1, not -1"),
        (["--count", "2.5"], "give a whole number from 1, not 2.5"),
        (["--keep", "0"], "above 0 and up to 1, not 0"),
        (["--keep", "1.5"], "above 0 and up to 1, not 1.5"),
        (["--keep", "nan"], "above 0 and up to 1, not nan"),
        (["-n", "5", "--keep", "0.5"], "as a share (keep), not as both"),
        (["--query", ""], "give a row's name, or a part of it"),
        (["--query", "s1"], None),
        (["--query", "s1x"], "no row is called 's1x'; the nearest are s1"),
        (["--query", "zzz"], "no row is called 'zzz'; the rows are called s0, s1, s2, …"),
        (["--query", "S"], "20 rows have 'S' in their names: s0, s1, s2, s3, …; state the whole"),
        (["--axes", "CN"], "an alignment has the axes NC, rows and columns, not 'CN'"),
        (["--axes", "YX"], "an alignment has the axes NC, rows and columns, not 'YX'"),
        (["--axes", "NC"], None),
        (["--kind", "image"], "A3M files hold alignments, not images; leave --kind out"),
        (["--kind", "volume"], "A3M files hold alignments, not volumes; leave --kind out"),
        (["--kind", "signal", "--axes", "CT"], "A3M files hold alignments, not signals"),
        (["--kind", "points"], "A3M files hold alignments, not point sets"),
        (["--rate", "5"], "alignments have no --rate; leave it out"),
        (["--noise", "gaussian:1"], "alignments have outliers:SHARE, not gaussian"),
        (["--noise", "outliers:0.3"], None),
        (["--steps", "2"], "farthest does not remove noise in steps"),
        (["--adapt", "5s"], "farthest cannot adapt to a file"),
        (["--residual", "r.npy"], "never change them, so there is no residual"),
        (["--sigma-map", "r.npy"], "never change them, so there is no residual"),
        (["--alignment", "1"], "this format takes no --alignment; leave it out"),
    ],
)
def test_options_fit_or_are_refused(words: list[str], sentence: str | None, tmp_path: Path) -> None:
    path, out = put(tmp_path / "a.a3m", fasta(family())), tmp_path / "b.a3m"
    result = call("denoise", path, *QUICK, *words, "-o", out)
    if sentence is None:
        assert result.exit_code == 0, result.output
        return
    assert result.exit_code in (1, 2)
    assert sentence in said(result)
    assert not out.exists()


def test_a_method_for_several_kinds_lists_them() -> None:
    with pytest.raises(HushError) as refused:
        get("lof").for_kind("alignment")
    assert "point sets, sets of correspondences and sets of segments, not" in str(refused.value)


def test_one_row_is_not_rows(tmp_path: Path) -> None:
    one = put(tmp_path / "one.a3m", ">q\nACDEFGHIKL\n")
    other = put(tmp_path / "other.a3m", fasta(family()))
    result = call("denoise", one, other, "-n", "1", *QUICK, "-o", tmp_path / "out/")
    assert result.exit_code == 0
    assert "1 of 1 row kept, effective number 1," in result.output
    assert "1 of 20 rows kept" in result.output
    assert (tmp_path / "out/one.a3m").read_bytes() == one.read_bytes()
    alone = call("denoise", other, "-n", "1", *QUICK, "-o", tmp_path / "b.a3m")
    assert "→ 1 sequence at 80 % identity" in alone.output
    single = call("inspect", put(tmp_path / "c.a3m", ">q\nA\n>r\nC\n"))
    assert "q, 1 residue\n" in single.output


@pytest.mark.parametrize(
    ("number", "text"),
    [
        ("1", "1 sequence "),
        ("3 → 1", "3 → 1 sequence "),
        ("1 → 2", "1 → 2 sequences "),
        ("11", "11 sequences "),
    ],
)
def test_a_number_of_sequences(number: str, text: str) -> None:
    assert show.sequences(number).startswith(text)


def test_equal_rows_are_equal(tmp_path: Path) -> None:
    path = put(tmp_path / "a.a3m", fasta(["ACDEFGHIKL"] * 30))
    result = call("denoise", path, "-n", "8", *QUICK, "-o", tmp_path / "b.a3m")
    assert "All rows are equal, so 7 of the 8 that are kept are copies of others." in said(result)


# -- what files hold -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("a.sto", "s0 ACD\n//\n", r"that of Stockholm files, .* \(they begin with '# STOCKHOLM'\)"),
        ("a.a3m", "ACDE\nACDF\n", r"that of A3M files, its content is not \(they begin with '>'\)"),
        ("a.fasta", "<html></html>", "that of aligned FASTA files, its content is not"),
        ("a.aln", "12 34\n", "that of CLUSTAL or PSICOV files, its content is not"),
        ("a.png", "hello", "that of PNG files, its content is not; correct the file, or its"),
        ("a.phy", " 2 3\na ACD\nb ACE\n", "is not a file hush can read; it reads PNG, "),
    ],
)
def test_a_name_that_the_content_does_not_have(
    name: str, text: str, sentence: str, tmp_path: Path
) -> None:
    with pytest.raises(HushError, match=sentence):
        io.read(put(tmp_path / name, text))


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be", "utf-16-le", "utf-8-sig"])
@pytest.mark.parametrize("name", ["a.a3m", "a.sto", "a.clw"])
def test_text_in_other_encodings(name: str, encoding: str, tmp_path: Path) -> None:
    rows = family(6)
    lines = "".join(f"é{i} {row}\n" for i, row in enumerate(rows))
    text = {
        "a.a3m": fasta(rows, [f"é{i}" for i in range(len(rows))]),
        "a.sto": f"# STOCKHOLM 1.0\n{lines}//\n",
        "a.clw": f"CLUSTAL W\n\n{lines}",
    }[name]
    marked = encoding in ("utf-16", "utf-8-sig")
    begin = b"" if marked else "\ufeff".encode(encoding)
    record = io.read(put(tmp_path / name, begin + text.encode(encoding)))
    assert record.context["names"] == tuple(f"é{i}" for i in range(len(rows)))
    assert record.data.shape == (6, 30)
    notes = record.meta["notes"]
    assert ("The text was UTF-16; the result is UTF-8." in notes) == (encoding != "utf-8-sig")
    io.write(record, tmp_path / f"b{name}")
    mark = "\ufeff" if encoding == "utf-8-sig" else ""  # kept, as it is UTF-8's
    assert (tmp_path / f"b{name}").read_bytes() == (mark + text).encode()


def test_one_column_is_not_columns(tmp_path: Path) -> None:
    with pytest.raises(HushError, match=r"has 1 column, but row 1, 'a', has 2;"):
        io.read(put(tmp_path / "a.fasta", ">a\nAC\n>b\nAC\n>c\nA\n"))
    with pytest.raises(HushError, match=r"has 1 match column \(capitals and -\), but row 1"):
        io.read(put(tmp_path / "a.a3m", ">a\nAC\n>b\nAC\n>c\nAxxx\n"))


@pytest.mark.parametrize("ending", ["a.a3m", "a.fasta", "a.sto", "a.clw", "a.npz"])
def test_names_survive(ending: str, tmp_path: Path) -> None:
    path = put(tmp_path / "in.a3m", fasta([r[:4] + "ab" + r[4:] for r in family()]))
    result = call("denoise", path, "-n", 5, "--query", "s7", *QUICK, "-o", tmp_path / ending)
    assert result.exit_code == 0, result.output
    names = hush.read(tmp_path / ending).context["names"]
    assert len(names) == 5
    assert names[0] == "s7"
    again = call("denoise", tmp_path / ending, "-n", 2, *QUICK, "-o", tmp_path / f"b{ending}")
    assert again.exit_code == 0, again.output
    assert hush.read(tmp_path / f"b{ending}").context["names"][0] == "s7"
    lost = "insertions of the A3M input" in said(result)
    assert lost == (ending != "a.a3m")


def test_an_array_says_what_it_does_not_hold(tmp_path: Path) -> None:
    path = put(tmp_path / "in.a3m", fasta(family()))
    result = call("denoise", path, "-n", 5, *QUICK, "-o", tmp_path / "a.npy")
    assert "Left out, as .npy files do not hold them: names of the A3M input." in said(result)
    call("denoise", path, "-n", 5, *QUICK, "-o", tmp_path / "a.npz")
    result = call("denoise", tmp_path / "a.npz", *QUICK, "-o", tmp_path / "b.psicov")
    assert "Left out, as PSICOV files do not hold them: names." in said(result)


def test_as_many_names_as_rows(tmp_path: Path) -> None:
    tokens = np.full((3, 5), 4, np.uint8)
    np.savez(tmp_path / "a.npz", tokens=tokens, names=np.array(["a", "b"]))
    with pytest.raises(HushError, match="there are 2 names for 3 rows; give one name a row"):
        hush.read(tmp_path / "a.npz")


@pytest.mark.parametrize("ending", ["a.sto", "a.clw", "a.fasta", "a.a3m"])
def test_rows_of_one_name_are_told_where_names_tell_rows_apart(ending: str, tmp_path: Path) -> None:
    path = put(tmp_path / "in.a3m", fasta(family(), ["q", *["x"] * 19]))
    result = call("denoise", path, "-n", 5, *QUICK, "-o", tmp_path / ending)
    told = "4 rows are called x; other programs may take rows of one name" in said(result)
    assert told == (ending in ("a.sto", "a.clw"))
    assert hush.read(tmp_path / ending).data.shape == (5, 30)


@pytest.mark.parametrize("out", ["a.png", "a.txt", "a.tif", "a.xyz"])
def test_files_of_other_data_hold_no_alignment(out: str, tmp_path: Path) -> None:
    path = put(tmp_path / "in.a3m", fasta(family()))
    result = call("denoise", path, "-n", 5, *QUICK, "-o", tmp_path / out)
    assert result.exit_code == 1
    assert "alignment" in said(result).partition(out)[2]
    assert not (tmp_path / out).exists()


@pytest.mark.parametrize("out", ["a.phy", "a"])
def test_names_that_are_advised_are_those_of_alignments(out: str, tmp_path: Path) -> None:
    path = put(tmp_path / "in.a3m", fasta(family()))
    result = call("denoise", path, "-n", 5, *QUICK, "-o", tmp_path / out)
    assert result.exit_code == 1
    assert "use a name ending in .npy, .npz, .a3m," in said(result)
    assert ".png" not in result.output
    assert ".edf" not in result.output


# -- several files ---------------------------------------------------------------------------------


def test_a_bad_file_does_not_stop_the_others(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    rows = family()
    put(folder / "a.a3m", fasta(rows))
    put(folder / "b.a3m", fasta([*rows[:10], rows[10][:-1], *rows[11:]]))
    put(folder / "c.sto", "# STOCKHOLM 1.0\n" + "".join(f"{r[:3]} {r}\n" for r in rows) + "//\n")
    put(folder / "notes.md", "nothing")
    result = call("denoise", folder, "-n", 4, *QUICK, "-o", tmp_path / "out")
    assert result.exit_code == 1
    assert "row 11, 's10', has 29 match columns" in said(result)
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["a.a3m", "c.sto"]
    assert "2 of 3 files denoised, 1 failed" in result.output


def test_trainings_say_which_files_teach_nothing(tmp_path: Path) -> None:
    files = [
        put(tmp_path / "a.a3m", fasta(family())),
        put(tmp_path / "two.a3m", fasta(family(2))),
        put(tmp_path / "rna.a3m", fasta(family(40, letters="ACGU"))),
    ]
    out = tmp_path / "m.safetensors"
    result = call("train", *files, "-o", out, "--max-steps", 1)
    assert result.exit_code == 0, result.output
    assert "skipped: 2 files without 16 different rows of proteins" in result.output
    assert "on 1 noisy alignment (1 file)" in said(result)
    refused = call("train", files[1], "-o", tmp_path / "n.safetensors", "--max-steps", 1)
    assert refused.exit_code == 1
    assert "no alignment with at least 16 different rows of proteins to train on" in said(refused)


# -- from Python -----------------------------------------------------------------------------------


class Seq:
    """As Biopython's: no text, and known as bytes."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __bytes__(self) -> bytes:
        return self.text.encode()


class SeqRecord:
    def __init__(self, text: str, id: str) -> None:
        self.seq, self.id = Seq(text), id


FORMS: dict[str, Callable[[list[str]], Any]] = {
    "list": list,
    "tuple": tuple,
    "bytes": lambda rows: [row.encode() for row in rows],
    "lists of letters": lambda rows: [list(row) for row in rows],
    "array of text": np.array,
    "array of bytes": lambda rows: np.array(rows, "S"),
    "array of letters": lambda rows: np.array([list(row) for row in rows]),
    "sequences": lambda rows: [Seq(row) for row in rows],
    "records": lambda rows: [SeqRecord(row, f"id{i}") for i, row in enumerate(rows)],
    "lower case": lambda rows: [row.lower() for row in rows],
}


@pytest.mark.parametrize("form", FORMS)
def test_rows_in_every_form(form: str) -> None:
    rows = family()
    expected = TOKENS[np.array([list(row) for row in rows], "S1").view(np.uint8)]
    made = FORMS[form](rows)
    result = hush.run(made, kind="alignment", method="farthest", context={"count": 5})
    assert np.array_equal(result.noisy.data, expected)
    assert result.record.data.shape == (5, 30)
    assert hush.denoise(made, kind="alignment", method="farthest").shape[1] == 30
    assert result.noisy.context["names"][3] == ("id3" if form == "records" else "row4")


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        (["ACD", "AC"], "this is no alignment: row2 has 2 columns, but row1 has 3"),
        (["", ""], "row1 has no residues"),
        (["ACD", "A1D"], "row2 holds '1', which is neither a residue nor a gap"),
        (["ACD", "AéD"], "row2 holds 'é', which is neither a residue nor a gap"),
        (["ACD", "A D"], "row2 holds ' ', which is neither a residue nor a gap"),
        (["ACD", 5, None], "holds Python objects"),
        ([], "the data is empty"),
    ],
)
def test_rows_that_are_no_alignment(rows: list[Any], sentence: str) -> None:
    with pytest.raises(HushError, match=sentence):
        hush.run(rows, kind="alignment", method="farthest")


def test_text_without_a_kind() -> None:
    with pytest.raises(HushError, match=r"this is text; .* state kind='alignment'"):
        hush.run(family())


TOKEN_ROWS = TOKENS[np.array([list(row) for row in family()], "S1").view(np.uint8)]


@pytest.mark.parametrize(
    ("context", "sentence"),
    [
        ({"count": 0}, "count: give a whole number from 1, not 0"),
        ({"count": 2.5}, "count: give a whole number from 1, not 2.5"),
        ({"count": "5"}, "count is a number, not '5'"),
        ({"keep": 0}, "above 0 and up to 1, not 0"),
        ({"keep": 2}, "above 0 and up to 1, not 2"),
        ({"query": 3}, "state the query by its name, not as 3"),
        ({"query": "x"}, "no row is called 'x'; rows have no names"),
        ({"names": ("a", "b")}, "there are 2 names for 20 rows"),
        ({"counts": 3}, "alignments have no counts"),
    ],
)
def test_options_in_python(context: dict[str, Any], sentence: str) -> None:
    with pytest.raises(HushError, match=sentence):
        hush.run(TOKEN_ROWS, kind="alignment", method="farthest", context=context)


@pytest.mark.parametrize(
    ("array", "sentence"),
    [
        (TOKEN_ROWS.astype(np.int64), "alignments are tokens, uint8 below 33"),
        (TOKEN_ROWS / 2, "alignments are tokens, uint8 below 33"),
        (TOKEN_ROWS + np.uint8(200), "alignments are tokens, uint8 below 33"),
        (TOKEN_ROWS > 9, "this is a boolean mask"),
        (TOKEN_ROWS[None], "an array of two dimensions"),
        (TOKEN_ROWS[0], "an array of two dimensions"),
        (TOKEN_ROWS[:0], "the data is empty"),
        (TOKEN_ROWS[:, :0], "the data is empty"),
    ],
)
def test_arrays_that_are_no_alignment(array: np.ndarray, sentence: str) -> None:
    with pytest.raises(HushError, match=sentence):
        hush.run(array, kind="alignment", method="farthest")


def test_the_layout_in_memory_does_not_matter(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", TOKEN_ROWS)
    mapped = np.load(tmp_path / "a.npy", mmap_mode="r")
    strided = np.repeat(TOKEN_ROWS, 2, axis=0)[::2]
    kept = [
        hush.run(x, kind="alignment", method="farthest", context={"count": 6}).items[0].kept
        for x in (TOKEN_ROWS, mapped, np.asfortranarray(TOKEN_ROWS), strided)
    ]
    assert all(np.array_equal(kept[0], other) for other in kept)


def test_the_kinds_that_a_sentence_lists() -> None:
    assert [kinds.listed(words) for words in (["A"], ["A", "B"], "ABC")] == [
        "A",
        "A and B",
        "A, B and C",
    ]

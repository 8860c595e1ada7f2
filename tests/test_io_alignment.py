"""Files of alignments: rows that stay come back byte for byte, and what is no alignment is said."""

from __future__ import annotations

import gzip
import itertools
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hush import io
from hush.errors import HushError
from hush.io.residues import FIRST, GAP, LETTERS, UNKNOWN
from hush.record import Record

A3M = (
    b">query first of all\tto the last tab\nACDEFX\n"
    b">two/1-9  with two spaces \nAC-dwEFgB\n\n"
    b">three\n\n--\nkkDE.\n-Z\n"
    b">two/1-9\t7\t0.5\nacUOD.EJX\n"
)
STOCKHOLM = (
    b"# STOCKHOLM 1.0\n#=GF ID   Odd\n#=GF SQ   4\n\n"
    b"#=GS two/1-9  AC P2.1\n#=GS two/1-9  DE The second, described\n#=GS query OS Homo\n"
    b"query    A.DE\n"
    b"two/1-9  AC-e\n#=GR two/1-9 SS HH-E\n"
    b"three    ..DE\n"
    b"four     XBZJ\n#=GC SS_cons H.-E\n\n"
    b"query    --\ntwo/1-9  UO\n#=GR two/1-9 SS HH\nthree    .W\nfour     YY\n#=GC SS_cons HH\n//\n"
)
CLUSTAL = (
    b"CLUSTAL W (1.83) multiple sequence alignment\n\n\n"
    b"query       A-DE 3\ntwo/1-9     ACDE 4\nthree       .--e\nfour        XBZJ 4\n"
    b"             . :\n\n"
    b"query       -- 3\ntwo/1-9     UO 6\nthree       -W\nfour        YY 6\n            *\n\n"
)
#: bytes, the name of the format, names, and letters in columns
FILES: dict[str, tuple[bytes, str, list[str], list[str]]] = {
    "a.a3m": (
        A3M,
        "A3M",
        ["query", "two/1-9", "three", "two/1-9"],
        ["ACDEFX", "AC-EFB", "--DE-Z", "UODEJX"],
    ),
    "a.a2m": (
        b">a\nAC..DE\n>b b\nA-wwD\n-\n>c\nAC.wDE",
        "A3M",
        ["a", "b", "c"],
        ["ACDE", "A-D-", "ACDE"],
    ),
    "a.fasta": (
        b">a\nacdeF.\n>b one two\nAC\nD\nE-.\n>c\n------\n",
        "aligned FASTA",
        ["a", "b", "c"],
        ["acdeF.", "ACDE-.", "------"],
    ),
    "a.sto": (
        STOCKHOLM,
        "Stockholm",
        ["query", "two/1-9", "three", "four"],
        ["A.DE--", "AC-eUO", "..DE.W", "XBZJYY"],
    ),
    "a.aln": (
        CLUSTAL,
        "CLUSTAL",
        ["query", "two/1-9", "three", "four"],
        ["A-DE--", "ACDEUO", ".--e-W", "XBZJYY"],
    ),
    "a.psicov": (
        b"ACDE\n-C.e\n\nWWWW\n",
        "PSICOV",
        ["row 1", "row 2", "row 3"],
        ["ACDE", "-C.e", "WWWW"],
    ),
}
every_file = pytest.mark.parametrize("name", FILES)
#: the first ending of each format that is written
TARGETS = {"A3M": ".a3m", "aligned FASTA": ".fasta", "Stockholm": ".sto", "CLUSTAL": ".clw"}
TARGETS |= {"PSICOV": ".psicov"}


def file(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def tokens(rows: Sequence[str]) -> list[list[int]]:
    """The tokens of rows, letter by letter."""
    table = {letter: FIRST + i for i, letter in enumerate(LETTERS)} | {".": GAP}
    return [[table.get(letter.upper(), UNKNOWN) for letter in row] for row in rows]


def selected(record: Record, rows: Sequence[int], first: int | None = None) -> Record:
    """What a method that keeps some rows of the file returns."""
    kept = np.zeros(len(record.meta["aligned"]), bool)
    kept[list(rows)] = True
    meta = {**record.meta, "kept": kept} | ({} if first is None else {"first": first})
    order = sorted(rows, key=lambda row: (row != first, row))
    return replace(record, data=record.data[order], meta=meta)


def written(record: Record, path: Path) -> bytes:
    io.write(record, path)
    raw = path.read_bytes()
    return gzip.decompress(raw) if path.suffix == ".gz" else raw


def new(data: Any, **more: Any) -> Record:
    """An alignment that comes from no file."""
    return Record(np.asarray(data, np.uint8), "NC", kind="alignment", full=1.0, **more)


def subsets(count: int) -> list[tuple[int, ...]]:
    rows = range(count)
    return [s for n in range(1, count + 1) for s in itertools.combinations(rows, n)]


# -- what every format does --------------------------------------------------------------------


@every_file
def test_a_file_is_read_and_comes_back(name: str, tmp_path: Path) -> None:
    raw, fmt, names, letters = FILES[name]
    record = io.read(file(tmp_path / name, raw))
    assert record.meta["format"] == fmt
    assert (record.axes, record.kind, record.full) == ("NC", "alignment", 1.0)
    assert record.data.dtype == np.uint8
    assert record.data.tolist() == tokens(letters)
    assert record.context["names"] == tuple(names)
    assert record.meta["notes"] == []
    target = tmp_path / f"b{Path(name).suffix}"
    assert io.notes(record, target) == []
    assert written(record, target) == raw


@every_file
def test_a_compressed_file_is_read_and_written_as_one(name: str, tmp_path: Path) -> None:
    raw, fmt, _, letters = FILES[name]
    record = io.read(file(tmp_path / f"{name}.gz", gzip.compress(raw)))
    assert record.meta["format"] == fmt
    assert record.data.tolist() == tokens(letters)
    target = io.output_path(tmp_path / f"{name}.gz")
    assert target.name == f"a.denoised{Path(name).suffix}.gz"
    assert written(record, target) == raw
    assert target.read_bytes()[:2] == b"\x1f\x8b"
    assert io.read(target).meta["format"] == fmt


@pytest.mark.parametrize("name", ["a.a3m", "a.a2m", "a.fasta"])
def test_rows_that_stay_keep_their_bytes(name: str, tmp_path: Path) -> None:
    raw = FILES[name][0]
    record = io.read(file(tmp_path / name, raw))
    parts = (raw + b"\n" * (raw[-1:] != b"\n")).split(b"\n>")
    parts = [b">" * (i > 0) + p + b"\n" * (i < len(parts) - 1) for i, p in enumerate(parts)]
    for rows in subsets(len(parts)):
        made = written(selected(record, rows), tmp_path / f"b{name[1:]}")
        ended = raw[-1:] == b"\n" or rows[-1] != len(parts) - 1
        expected = b"".join(parts[r] for r in rows)
        assert made == (expected if ended else expected[:-1])
        for first in rows:
            order = [first, *(r for r in rows if r != first)]
            made = written(selected(record, rows, first), tmp_path / f"b{name[1:]}")
            assert made.rstrip(b"\n") == b"".join(parts[r] for r in order).rstrip(b"\n")


@pytest.mark.parametrize("name", ["a.sto", "a.aln"])
def test_lines_of_rows_that_stay_keep_their_bytes(name: str, tmp_path: Path) -> None:
    """With their annotation; lines of others go, and those of all rows stay."""
    raw, _, names, letters = FILES[name]
    record = io.read(file(tmp_path / name, raw))
    for rows in subsets(len(names)):
        gone = [names[r].encode() for r in range(len(names)) if r not in rows]
        lines = [x for x in raw.splitlines(keepends=True) if not any(g in x for g in gone)]
        if gone:  # the number of rows is kept true, and the lines of conservation left out
            lines = [x.replace(b"SQ   4", b"SQ   %d" % len(rows)) for x in lines]
            lines = [x for x in lines if name == "a.sto" or not x[:1].isspace() or x == b"\n"]
        part = selected(record, rows)
        target = tmp_path / f"b{name[1:]}"
        assert written(part, target) == b"".join(lines)
        assert io.read(target).data.tolist() == tokens([letters[r] for r in rows])
        conservation = [n for n in io.notes(part, target) if "conservation" in n]
        assert len(conservation) == (bool(gone) and name == "a.aln")


@pytest.mark.parametrize("name", ["a.sto", "a.aln", "a.psicov"])
def test_a_stated_row_is_written_first_in_every_block(name: str, tmp_path: Path) -> None:
    raw, _, names, letters = FILES[name]
    record = io.read(file(tmp_path / name, raw))
    for first in range(len(names)):
        order = [first, *(r for r in range(len(names)) if r != first)]
        made = written(selected(record, range(len(names)), first), tmp_path / f"b{name[1:]}")
        assert sorted(made.splitlines()) == sorted(raw.splitlines())
        back = io.read(tmp_path / f"b{name[1:]}")
        assert back.data.tolist() == tokens([letters[r] for r in order])
        if name != "a.psicov":
            assert back.context["names"] == tuple(names[r] for r in order)
    dropped = selected(record, [1, 2], first=0)  # a row that does not stay is not written
    io.write(dropped, tmp_path / f"c{name[1:]}")
    assert io.read(tmp_path / f"c{name[1:]}").data.tolist() == tokens(letters[1:3])


def lost(name: str, target: str, rows: Sequence[int]) -> set[str]:
    """What a file of the format `target` does not hold of these rows of a file."""
    if target == FILES[name][1]:
        dropped = target == "CLUSTAL" and len(rows) < len(FILES[name][2])
        return {"conservation"} if dropped else set()
    words = {"insertions": name in ("a.a3m", "a.a2m") and target != "A3M"}
    words["capitals"] = name not in ("a.a3m", "a.a2m") and target == "A3M"
    words["names"] = target == "PSICOV"
    described = name == "a.a3m" or (1 in rows and name in ("a.a2m", "a.fasta", "a.sto"))
    words["descriptions"] = described and target in ("CLUSTAL", "PSICOV")
    words["annotation"] = name == "a.sto"
    words["conservation"] = name == "a.aln"
    return {word for word, is_lost in words.items() if is_lost}


@pytest.mark.parametrize("target", TARGETS)
@every_file
def test_every_format_is_written_as_every_other(name: str, target: str, tmp_path: Path) -> None:
    """Columns and names, as far as the target holds them; what is lost is said."""
    raw, _, names, letters = FILES[name]
    record = io.read(file(tmp_path / name, raw))
    path = tmp_path / f"b{TARGETS[target]}"
    words = ("insertions", "capitals", "names", "descriptions", "annotation", "conservation")
    for rows in (range(len(names)), [0, 2]):
        part = selected(record, rows, first=2)
        said = " ".join(io.notes(part, path)).replace("they mean insertions", "")
        assert {w for w in words if w in said} == lost(name, target, rows), said
        io.write(part, path)
        back = io.read(path)
        assert back.meta["format"] == target
        order = [2, *(r for r in rows if r != 2)]
        assert back.data.tolist() == tokens([letters[r] for r in order])
        given = [names[r].replace("row ", "row") for r in order]
        if target == "PSICOV":
            given = [f"row {i + 1}" for i in range(len(order))]
        assert list(back.context["names"]) == given
        assert written(back, tmp_path / f"c{TARGETS[target]}") == path.read_bytes()


def test_descriptions_survive_where_they_can(tmp_path: Path) -> None:
    """Also to the last tab, and those of two rows with one name."""
    record = io.read(file(tmp_path / "a.a3m", A3M))
    headers = [line for line in A3M.splitlines() if line.startswith(b">")]
    single = [header.replace(b"9  with", b"9 with") for header in headers]
    # in Stockholm, spaces in front of a description align it
    for ending, expected in ((".fasta", headers), (".sto", single)):
        assert not any("descriptions" in note for note in io.notes(record, tmp_path / f"b{ending}"))
        io.write(record, tmp_path / f"b{ending}")
        again = written(io.read(tmp_path / f"b{ending}"), tmp_path / "c.a3m").splitlines()
        assert [line for line in again if line[:1] == b">"] == expected
    for ending in (".clw", ".psicov"):
        assert "descriptions" in io.notes(record, tmp_path / f"b{ending}")[0]
    plain = selected(record, [2])
    assert "descriptions" not in io.notes(plain, tmp_path / "b.clw")[0]
    sto = io.read(file(tmp_path / "a.sto", STOCKHOLM))
    assert b">two/1-9 The second, described\n" in written(sto, tmp_path / "d.fasta")


def test_a_record_that_is_from_no_file_is_written(tmp_path: Path) -> None:
    data = [[5, 6, 30], [3, 23, 30]]
    for target, ending in TARGETS.items():
        io.write(new(data), tmp_path / f"a{ending}")
        back = io.read(tmp_path / f"a{ending}")
        assert back.meta["format"] == target
        assert back.data.tolist() == [[5, 6, 30], [24, 23, 30]]  # what has no letter is X
        names = ("row 1", "row 2") if target == "PSICOV" else ("row1", "row2")
        assert back.context["names"] == names
        io.write(new(data, context={"names": ("Homo sapiens", "β")}), tmp_path / f"a{ending}")
        if target != "PSICOV":
            assert io.read(tmp_path / f"a{ending}").context["names"] == ("Homo_sapiens", "β")


def test_rows_whose_tokens_were_changed_are_written_anew(tmp_path: Path) -> None:
    record = io.read(file(tmp_path / "a.a3m", A3M))
    data = record.data.copy()
    data[1, 2] = 5
    made = written(replace(record, data=data), tmp_path / "b.a3m")
    assert made == b">query\nACDEFX\n>two/1-9\nACAEFB\n>three\n--DE-Z\n>two/1-9\nUODEXX\n"


# -- recognised, listed and named --------------------------------------------------------------


def test_content_tells_the_format_and_the_ending_of_results(tmp_path: Path) -> None:
    """A Stockholm file named .txt, or without an ending, becomes a .sto file."""
    for name, made in (("seed.txt", "seed.denoised.sto"), ("seed", "seed.denoised.sto")):
        record = io.read(file(tmp_path / name, STOCKHOLM))
        assert record.meta["format"] == "Stockholm"
        assert io.output_path(tmp_path / name).name == made
    record = io.read(file(tmp_path / "PF1.align.80", A3M))
    assert record.meta["format"] == "A3M"
    assert io.output_path(tmp_path / "PF1.align.80").name == "PF1.align.denoised.a3m"
    for name, width in (("x.aln", 2), ("x.fas", 3)):  # lower case is residues if named as FASTA
        record = io.read(file(tmp_path / name, ">a\nAcD\n>b\nAwD\n"))
        assert record.data.shape == (2, width)
    assert io.read(file(tmp_path / "x.a3m", STOCKHOLM)).meta["format"] == "Stockholm"


@pytest.mark.parametrize("program", ["MUSCLE (3.8)", "PROBCONS version 1.12", "MSAPROBS 0.9"])
def test_other_programs_write_clustal_too(program: str, tmp_path: Path) -> None:
    text = CLUSTAL.replace(b"CLUSTAL W (1.83)", program.encode())
    record = io.read(file(tmp_path / "a.txt", text))
    assert record.meta["format"] == "CLUSTAL"
    assert written(record, tmp_path / "b.clw") == text


@pytest.mark.parametrize(
    "text",
    [
        "> profile\n1 2\n3 4\n",
        "# time\n>0.1\t2\n",
        "MUSCLE,time\n1,2\n2,3\n3,5\n",
        "CLUSTAL,b\n1,2\n2,3\n",
        "ACDE\nACDE\n",
    ],
)
def test_other_text_is_not_taken_for_an_alignment(text: str, tmp_path: Path) -> None:
    path = file(tmp_path / "a.txt", text)
    found = [f for f in io.formats() if f.recognises(text.encode(), path)]
    assert not any(f.kind == "alignment" for f in found)


def test_both_formats_of_aln_come_back_as_they_were(tmp_path: Path) -> None:
    for name, content in (("a.aln", CLUSTAL), ("b.aln", FILES["a.psicov"][0])):
        record = io.read(file(tmp_path / name, content))
        assert written(record, tmp_path / f"{name[0]}.out.aln") == content
    io.write(io.read(file(tmp_path / "a.a3m", A3M)), tmp_path / "c.aln")
    assert io.read(tmp_path / "c.aln").meta["format"] == "CLUSTAL"


def test_fasta_in_a_folder_is_listed_if_it_is_probably_aligned(tmp_path: Path) -> None:
    def listed(content: str, name: str = "a.fasta") -> bool:
        return io.recognised(file(tmp_path / name, content))

    long = "".join(f">{i}\n{'ACDE' * 100}\n" for i in range(400))
    assert listed(">a\nACD\n>b\nA-D\n")
    assert listed(">a\nACD\n>b\nAdD-\n")
    assert listed(long + ">z\nA\n")  # what is beyond the first rows is seen when it is read
    assert not listed(">a\nACD\n>b\nAC\n")
    assert not listed(">a\nACD\n")
    assert not listed("x,y\n1,2\n")
    assert listed(">a\nACD\n", "a.a3m")


def test_sets_and_alignments_refuse_each_other(tmp_path: Path) -> None:
    alignment = new([[5, 6], [7, 8]])
    points = Record(np.zeros((4, 3)), "NC", kind="points", full=1.0)
    for fmt in (f for f in io.formats() if f.write and f.suffixes):
        path = tmp_path / f"a{fmt.suffixes[0]}"
        if fmt.kind == "alignment":
            io.check(alignment, path)
            with pytest.raises(HushError, match="that of an alignment, and this is not one"):
                io.check(points, path)
        elif fmt.kind is not None:
            with pytest.raises(HushError) as refused:
                io.check(alignment, path)
            assert str(refused.value).count(". ") == 0
    image = Record(np.zeros((4, 3), np.uint8), "YX")
    with pytest.raises(HushError, match=r"\(image, axes YX, uint8\)"):
        io.write(image, tmp_path / "b.sto")
    assert list(tmp_path.iterdir()) == []


# -- which letters are columns -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "text", "columns"),
    [
        ("a.a3m", ">a\nACD\n>b\nAcC-\n", ["ACD", "AC-"]),
        ("a.fasta", ">a\nACD\n>b\nAcC-\n", ["ACD", "AC-"]),  # not equally long
        ("a.fasta", ">a\nacD\n>b\nACd\n", ["acD", "ACd"]),  # soft-masked residues
        ("a.fa.gz", ">a\nacD\n>b\nACd\n", ["acD", "ACd"]),
        ("a.a3m", ">a\nAcD\n>b\nACD\n", ["AcD", "ACD"]),  # capitals differ, lengths agree
        ("a.a3m", ">a\nA.D\n>b\nACD\n", ["A.D", "ACD"]),
        ("a.a2m", ">a\nA.CD\n>b\nAwCD\n", ["ACD", "ACD"]),
        ("a.a3m", ">a\nA.CD\n>b\nAC.D\n", ["A.CD", "AC.D"]),  # dots that are gaps
        ("a.a3m", ">a\nAcCD\n>b\nACcD\n", ["ACD", "ACD"]),  # one insertion each
        ("a.a3m", ">a\nacd\n>b\na-d\n", ["acd", "a-d"]),
        ("a.a3m", ">a\nacd\n", ["acd"]),
        ("a.a3m", ">a\nAcD\n", ["AD"]),
        ("a.fasta", ">a\nAcD\n", ["AcD"]),
        ("a.sto", "# STOCKHOLM 1.0\na A~d\nb _C.\n//\n", ["A-d", "-C."]),
    ],
)
def test_columns_are_those_that_all_rows_have(
    name: str, text: str, columns: list[str], tmp_path: Path
) -> None:
    raw = gzip.compress(text.encode()) if name.endswith(".gz") else text.encode()
    record = io.read(file(tmp_path / name, raw))
    assert record.data.tolist() == tokens(columns)
    assert written(record, tmp_path / f"b{name[1:]}") == text.encode()


def test_soft_masked_residues_become_capitals_in_a3m(tmp_path: Path) -> None:
    record = io.read(file(tmp_path / "a.fasta", b">a x\nac.\n>b\nACD\n"))
    assert "insertions" in io.notes(record, tmp_path / "b.a3m")[0]
    assert written(record, tmp_path / "b.a3m") == b">a x\nAC-\n>b\nACD\n"
    plain = io.read(file(tmp_path / "c.fasta", b">a x\nA\nC-\n>b\nACD\n"))
    assert io.notes(plain, tmp_path / "b.a3m") == []
    assert written(plain, tmp_path / "b.a3m") == b">a x\nA\nC-\n>b\nACD\n"


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        (
            "a.fasta",
            ">alpha\nACGTA\n\n>beta\nCGTC\n\n>gamma\nCCGCC\n",
            r"not an alignment: row 2, 'beta', has 4 columns, but row 1, 'alpha', has 5",
        ),
        (
            "a.a3m",
            ">q\nACD\n>r\nAcCD\n>odd one\nACDE\n",
            r"row 3, 'odd', has 4 match columns \(capitals and -\), but row 1, 'q', has 3",
        ),
        (
            "a.a3m",
            ">q\nACDE\n>r\nACD\n>s\nA-Dw\n",
            "row 1, 'q', has 4 match columns .* but row 2, 'r', has 3",
        ),
        ("a.a3m", ">a\nacd\n>b\nacdd\n", "row 2, 'b', has 4 columns, but row 1, 'a', has 3"),
        ("a.sto", "# STOCKHOLM 1.0\ns1 AC\ns2 ACD\n//\n", "row 2, 's2', has 3 columns, but"),
        ("a.psicov", "AC\nACD\n", "row 2, 'row 2', has 3 columns"),
        ("a.a3m", ">a\nAC1D\n", "row 1, 'a', holds '1', which is neither a residue nor a gap"),
        ("a.a3m", ">a\nAC\n>b\nA\xffC\n", "row 2, 'b', holds 'ÿ'"),
        ("a.a3m", ">a\nAC\n>b\n\n>c\nAC\n", "row 2, 'b', has no residues"),
        ("a.a3m", ">a\nACD\n#x\n", "holds '#'"),
        ("a.clw", "CLUSTAL\n\na AC\nb\n", "line 4 is not a name with residues"),
        ("a.clw", "CLUSTAL\n\na A\n\nCLUSTAL W (1.8) x\n\na A\n", "another alignment from line 5"),
        ("a.sto", "# STOCKHOLM 1.0\n#=GF ID x\n//\n", "holds no sequences"),
        ("a.a3m", "\n \n\n", "blank lines"),
        ("a.sto", "# STOCKHOLM 1.0\nab\n//\n", "row 1, 'ab', has no residues"),
    ],
)
def test_what_is_no_alignment_gets_one_sentence(
    name: str, text: str, words: str, tmp_path: Path
) -> None:
    path = file(tmp_path / name, text.encode("latin-1"))
    with pytest.raises(HushError, match=words) as refused:
        io.read(path)
    assert str(refused.value).startswith(f"{path}: ")
    assert "\n" not in str(refused.value)


def test_a_compressed_file_that_is_cut_short_is_refused(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    text = b"".join(
        b">r%d\n%s\n" % (i, rng.choice(list(b"ACDEFG"), 500).astype("u1").tobytes())
        for i in range(200)
    )
    raw = gzip.compress(text)
    for cut in (5, 12, len(raw) // 2, len(raw) - 3):
        path = file(tmp_path / "a.a3m.gz", raw[:cut])
        with pytest.raises(HushError, match="cut short or damaged"):
            io.read(path)


# -- odd but valid -----------------------------------------------------------------------------


def test_nul_bytes_are_dropped_with_a_warning_and_line_ends_stay(tmp_path: Path) -> None:
    raw = A3M.replace(b"\n", b"\r\n").replace(b"ACDEFX", b"AC\0\0DEFX") + b"\0"
    record = io.read(file(tmp_path / "a.a3m", raw))
    assert record.data.tolist() == tokens(FILES["a.a3m"][3])
    assert [n.split()[0] for n in record.meta["notes"]] == ["3"]
    assert written(record, tmp_path / "b.a3m") == A3M.replace(b"\n", b"\r\n")
    mixed = io.read(file(tmp_path / "m.a3m", A3M.replace(b"\n", b"\r\n", 1)))
    assert "Lines ended in different ways" in mixed.meta["notes"][0]
    assert written(mixed, tmp_path / "n.a3m") == A3M
    for name, (raw, _, names, letters) in FILES.items():
        for end in (b"\r\n", b"\r"):
            given = b"\xef\xbb\xbf" + raw.replace(b"\n", end)
            record = io.read(file(tmp_path / name, given))
            assert record.data.tolist() == tokens(letters)
            assert record.context["names"] == tuple(names)
            assert written(record, tmp_path / f"b{Path(name).suffix}") == given
            first = selected(record, [len(names) - 1], first=len(names) - 1)
            part = written(first, tmp_path / f"c{Path(name).suffix}")
            assert part.startswith(b"\xef\xbb\xbf")
            assert part.count(b"\r") == part.count(end)


def test_lines_above_a_paired_alignment_stay_first(tmp_path: Path) -> None:
    raw = b"#3,2\t1,1\n>101\t102\nACDEF\n>x\nAC---\n>y\n---EdF\n"
    record = io.read(file(tmp_path / "a.a3m", raw))
    assert record.context["parts"] == (3, 2)
    made = written(selected(record, [0, 2], first=2), tmp_path / "b.a3m")
    assert made == b"#3,2\t1,1\n>y\n---EdF\n>101\t102\nACDEF\n"
    assert io.read(tmp_path / "b.a3m").context["parts"] == (3, 2)
    plain = selected(record, [0, 1])
    assert "the lines above the rows" in io.notes(record, tmp_path / "b.sto")[0]
    assert written(plain, tmp_path / "b.fasta") == b">101\t102\nACDEF\n>x\nAC---\n"
    other = io.read(file(tmp_path / "c.a3m", raw.replace(b"#3,2", b"#3,3")))
    assert "parts" not in other.context
    named = io.read(file(tmp_path / "d.a3m", raw.replace(b"#3,2\t1,1", b"#A3M#")))
    assert "parts" not in named.context
    assert written(named, tmp_path / "e.a3m").startswith(b"#A3M#\n>101")


def test_structure_of_hh_suite_is_annotation(tmp_path: Path) -> None:
    raw = b">ss_pred PSIPRED\nCHHE\n>ss_conf\n9910\n>q\nACDE\n>r\nA-DaE\n"
    record = io.read(file(tmp_path / "a.a3m", raw))
    assert record.context["names"] == ("q", "r")
    assert record.meta["notes"][0].startswith("2 rows of HH-suite's structure")
    made = written(selected(record, [0, 1], first=1), tmp_path / "b.a3m")
    assert made == b">ss_pred PSIPRED\nCHHE\n>ss_conf\n9910\n>r\nA-DaE\n>q\nACDE\n"


def test_a_star_that_ends_rows_is_in_no_column(tmp_path: Path) -> None:
    for text in ("ACD*|A-D*", "ACD*|A-D"):
        rows = text.split("|")
        raw = f">a\n{rows[0]}\n>b\n{rows[1]}\n".encode()
        for ending in (".a3m", ".fasta"):
            record = io.read(file(tmp_path / f"a{ending}", raw))
            assert record.data.tolist() == tokens(["ACD", "A-D"])
            assert written(record, tmp_path / f"b{ending}") == raw
        assert "the * at the ends" in io.notes(record, tmp_path / "b.sto")[0]
        assert b"a ACD\nb A-D\n" in written(record, tmp_path / "b.sto")
    record = io.read(file(tmp_path / "a.fasta", b">a\nACD*\n>b\nA-D-\n>c\nA*CD\n"))
    assert record.data.tolist() == tokens(["ACD*", "A-D-", "A*CD"])
    assert record.data[0, 3] == UNKNOWN


def test_one_name_twice_is_two_rows(tmp_path: Path) -> None:
    head = b"# STOCKHOLM 1.0\n#=GS A DE one\n#=GS B DE x\n"
    raw = head + b"a/1 AC\nA AC\nB CC\nA AC\n\na/1 D\nA D\nB D\nA E\n//\n"
    record = io.read(file(tmp_path / "a.sto", raw))
    assert record.context["names"] == ("a/1", "A", "B", "A")
    assert record.data.tolist() == tokens(["ACD", "ACD", "CCD", "ACE"])
    made = written(selected(record, [3]), tmp_path / "b.sto")
    assert made == b"# STOCKHOLM 1.0\n#=GS A DE one\nA AC\n\nA E\n//\n"
    made = written(selected(record, [0, 2]), tmp_path / "b.sto")
    assert b"#=GS A" not in made
    twice = io.read(file(tmp_path / "c.a3m", b">q\nAC\n>q\nAC\n"))
    assert twice.context["names"] == ("q", "q")
    assert written(selected(twice, [1]), tmp_path / "d.a3m") == b">q\nAC\n"


def test_blocks_of_stockholm_need_no_blank_lines(tmp_path: Path) -> None:
    """Rows in another order, gaps within a block, and all names again and again."""
    head = "# STOCKHOLM 1.0\n"
    for text in (
        "a AC\nb A-\n\nb DE\na -E\n",
        "a AC\n\nb A-\n#=GC x HH\na -E\nb DE\n",
        "a AC\nb A-\na -E\nb DE\n",
    ):
        raw = f"{head}{text}//\n".encode()
        record = io.read(file(tmp_path / "a.sto", raw))
        assert record.context["names"] == ("a", "b")
        assert record.data.tolist() == tokens(["AC-E", "A-DE"])
        assert written(record, tmp_path / "b.sto") == raw
        made = written(selected(record, [1]), tmp_path / "b.sto")
        assert made == b"".join(x for x in raw.splitlines(True) if not x.startswith(b"a"))
    rows = io.read(file(tmp_path / "a.sto", f"{head}a AC\na AC\n//\n"))
    assert rows.data.shape == (2, 2)


def test_one_of_several_stockholm_alignments_is_chosen(tmp_path: Path) -> None:
    two = STOCKHOLM.replace(b"XBZJ", b"WWWW")
    path = file(tmp_path / "a.sto", STOCKHOLM + two)
    with pytest.raises(HushError, match="holds 2 alignments; choose one with --alignment 1 to 2"):
        io.read(path)
    with pytest.raises(HushError, match="has no alignment 3; it holds 2"):
        io.read(path, options={"alignment": 3})
    for number, raw in ((1, STOCKHOLM), (2, two)):
        record = io.read(path, options={"alignment": number})
        assert written(record, tmp_path / "b.sto") == raw


def test_odd_lines_of_stockholm_stay(tmp_path: Path) -> None:
    raw = b"# STOCKHOLM 1.0\n# a comment\n#=GF SQ 67\n#=GS gone DE x\na AC\n#=GR_a_SS HH\nb AC\n"
    record = io.read(file(tmp_path / "a.sto", raw))
    assert "does not end with //" in record.meta["notes"][0]
    assert written(record, tmp_path / "b.sto") == raw
    made = written(selected(record, [1]), tmp_path / "b.sto")
    assert made == b"# STOCKHOLM 1.0\n# a comment\n#=GF SQ 67\n#=GS gone DE x\nb AC\n"
    with pytest.raises(HushError, match="cannot hold a row named '#a'"):
        io.check(io.read(file(tmp_path / "c.a3m", b">#a\nAC\n")), tmp_path / "c.sto")


def test_rows_and_columns_of_gaps_are_read(tmp_path: Path) -> None:
    record = io.read(file(tmp_path / "a.fasta", b">a\n-.--\n>b\nA-C-\n"))
    assert record.data.tolist() == tokens(["----", "A-C-"])


def test_headers_that_are_not_utf8_survive(tmp_path: Path) -> None:
    raw = b">caf\xe9 r\xe9sum\xe9\nAC\n>\xce\xb2 x\nA-\n"
    record = io.read(file(tmp_path / "a.a3m", raw))
    assert record.context["names"] == ("café", "β")
    assert written(record, tmp_path / "b.a3m") == raw
    assert b"#=GS caf\xe9 DE r\xe9sum\xe9\n" in written(record, tmp_path / "b.sto")


def test_a_large_file_is_mapped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then its text needs no memory; results are the same."""
    monkeypatch.setattr("hush.io.aligned_read._MAPPED", 1)
    for name, (raw, _, names, letters) in FILES.items():
        record = io.read(file(tmp_path / name, raw))
        assert not isinstance(record.meta["aligned"].raw, bytes)
        assert record.data.tolist() == tokens(letters)
        assert record.context["names"] == tuple(names)
        assert written(record, tmp_path / f"b{Path(name).suffix}") == raw


# -- properties, and Biopython as the reference ------------------------------------------------

residue = st.sampled_from("ACDEFGHIKLMNPQRSTVWYXBZUOJ-")


@st.composite
def rows_and_insertions(draw: st.DrawFn) -> tuple[list[str], list[str]]:
    """Rows in columns, and the same with insertions."""
    width, count = draw(st.integers(1, 12)), draw(st.integers(1, 6))
    rows = [draw(st.text(residue, min_size=width, max_size=width)) for _ in range(count)]
    between = st.text("acdwy", max_size=3)
    full = ["".join(a + draw(between) for a in row) for row in rows]
    return rows, full


@settings(max_examples=60, deadline=None)
@given(made=rows_and_insertions(), wrap=st.integers(1, 7), data=st.data())
def test_insertions_are_in_no_column_and_come_back(
    made: tuple[list[str], list[str]], wrap: int, data: st.DataObject, tmp_path_factory: Any
) -> None:
    rows, full = made
    folder = tmp_path_factory.mktemp("a")
    parts = [
        f">s{i} {i}\n" + "".join(f"{x[j : j + wrap]}\n" for j in range(0, len(x), wrap))
        for i, x in enumerate(full)
    ]
    record = io.read(file(folder / "a.a3m", "".join(parts)))
    assert record.data.tolist() == tokens(rows)
    kept = data.draw(st.sets(st.integers(0, len(rows) - 1), min_size=1))
    made_text = written(selected(record, sorted(kept)), folder / "b.a3m")
    assert made_text.decode() == "".join(parts[i] for i in sorted(kept))
    for ending in (".fasta", ".sto", ".clw", ".psicov"):
        io.write(selected(record, sorted(kept)), folder / f"b{ending}")
        assert io.read(folder / f"b{ending}").data.tolist() == tokens(
            [rows[i] for i in sorted(kept)]
        )


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_wrapped_blocks_are_read_as_rows(data: st.DataObject, tmp_path_factory: Any) -> None:
    """Names may repeat within a block; columns come back for any width of the blocks."""
    width, count = data.draw(st.integers(1, 30)), data.draw(st.integers(1, 5))
    rows = [data.draw(st.text(residue, min_size=width, max_size=width)) for _ in range(count)]
    names = data.draw(
        st.lists(st.sampled_from(["a", "b", "c/1-3"]), min_size=count, max_size=count)
    )
    step = data.draw(st.integers(1, width))
    blocks = [
        "".join(f"{n}  {row[j : j + step]}\n" for n, row in zip(names, rows, strict=True)) + "\n"
        for j in range(0, width, step)
    ]
    if len(blocks) == 1 and len(set(names)) < count:
        return  # may be blocks without lines between
    folder = tmp_path_factory.mktemp("a")
    sto = "# STOCKHOLM 1.0\n\n" + "".join(blocks) + "//\n"
    clustal = "CLUSTAL X\n\n" + "".join(blocks)
    for name, text in (("a.sto", sto), ("a.clw", clustal)):
        record = io.read(file(folder / name, text))
        assert record.data.tolist() == tokens(rows)
        assert record.context["names"] == tuple(names)
        assert written(record, folder / f"b{Path(name).suffix}") == text.encode()


FORMS = {".fasta": "fasta", ".sto": "stockholm", ".clw": "clustal", ".aln": "clustal"}


def as_biopython(path: Path, record: Record) -> None:
    """That names and tokens are those of a file as Biopython reads it."""
    align = pytest.importorskip("Bio.AlignIO")
    found = align.read(path, FORMS[path.suffix])
    assert tuple(r.id for r in found) == record.context["names"]
    assert tokens([str(r.seq) for r in found]) == record.data.tolist()


@pytest.mark.parametrize("ending", [".fasta", ".sto", ".clw"])
@every_file
def test_biopython_reads_what_is_written(name: str, ending: str, tmp_path: Path) -> None:
    raw, _, names, letters = FILES[name]
    record = io.read(file(tmp_path / name, raw))
    rows = [0, 2]  # names that are different, as Biopython needs them
    io.write(selected(record, rows), tmp_path / f"b{ending}")
    given = [names[r].replace("row ", "row") for r in rows]
    data = tokens([letters[r] for r in rows])
    as_biopython(tmp_path / f"b{ending}", new(data, context={"names": tuple(given)}))


@pytest.mark.parametrize("name", ["a.sto", "a.aln", "a.fasta"])
def test_files_are_read_as_biopython_reads_them(name: str, tmp_path: Path) -> None:
    as_biopython(tmp_path / name, io.read(file(tmp_path / name, FILES[name][0])))

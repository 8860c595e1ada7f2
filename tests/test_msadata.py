"""Alignments with structures, as a manifest lists them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hush.errors import HushError
from hush.io.residues import GAP, STATES, TOKENS
from hush.studies.msadata import Family, families
from hush.tasks.dca import mean_field

pytest.importorskip("biotite")

CODES = {
    "A": "ALA",
    "C": "CYS",
    "D": "ASP",
    "E": "GLU",
    "F": "PHE",
    "G": "GLY",
    "H": "HIS",
    "I": "ILE",
    "K": "LYS",
    "L": "LEU",
    "M": "MET",
    "N": "ASN",
    "P": "PRO",
    "Q": "GLN",
    "R": "ARG",
    "S": "SER",
    "T": "THR",
    "V": "VAL",
    "W": "TRP",
    "Y": "TYR",
}
ROWS = {
    "first/1-20": "MKVLAGTWYRDEPQHNCFIS",
    "query": "MRVLSG-WYKDEP--NCFIT",
    "third": "MKILAGTWYRNEPQHNCFVS",
    "fourth": "--ILAGTWFRNDPQHNAFVS",
}
QUERY = ROWS["query"].replace("-", "")
COLUMNS = [k for k, letter in enumerate(ROWS["query"]) if letter != "-"]
OTHER = "GGHHGGHHGGHHGGHHGGHH"


def places(count: int) -> np.ndarray:
    """Of a hairpin: residues next to each other there and back are 5 Å apart."""
    half = count // 2
    along = np.minimum(np.arange(count), count - 1 - np.arange(count)) * 3.8
    return np.stack([along, 5.0 * (np.arange(count) >= half), np.zeros(count)], axis=1)


def pdb(*chains: tuple[str, str, int]) -> str:
    """Chains by name, with a sequence of which so many residues at the start are missing."""
    lines = []
    for name, sequence, missing in chains:
        for k, (letter, (x, y, z)) in enumerate(zip(sequence, places(len(sequence)), strict=True)):
            if k >= missing:
                lines.append(
                    f"ATOM  {k + 1:5d}  CA  {CODES[letter]} {name}{k + 1:4d}    "
                    f"{x:8.3f}{y:8.3f}{z:8.3f}  1.00  0.00           C"
                )
    return "\n".join([*lines, "END", ""])


def fasta(rows: dict[str, str]) -> str:
    return "".join(f">{name} of a family\n{row}\n" for name, row in rows.items())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "all.fasta").write_text(fasta(ROWS))
    names = list(ROWS)
    (tmp_path / "a.fasta").write_text(fasta({n: ROWS[n] for n in names[:3]}))
    (tmp_path / "b.fasta").write_text(fasta({n: ROWS[n] for n in (names[0], names[3])}))
    (tmp_path / "short.fasta").write_text(fasta({n: ROWS[n][:-1] for n in names}))
    (tmp_path / "one.pdb").write_text(pdb(("A", QUERY, 0)))
    (tmp_path / "two.pdb").write_text(pdb(("A", OTHER, 0), ("B", QUERY, 2)))
    (tmp_path / "other.pdb").write_text(pdb(("A", OTHER, 0)))
    (tmp_path / "domains.txt").write_text(
        f"PF1 9XYZ_A {ROWS['third']}\nPF1 1ABC_B {ROWS['query']}\nPF2 1ABC_B {ROWS['first/1-20']}\n"
        f"PF3 1ABC_B MKV\n"
    )
    return tmp_path


def one(folder: Path, **entry: Any) -> Family:
    default = {"name": "PF1/1ABC", "msa": "all.fasta", "structure": "one.pdb", "ref": "row 1"}
    (folder / "manifest.json").write_text(json.dumps([default | entry]))
    said: list[str] = []
    try:
        (family,) = families(folder, note=said.append)
    except HushError:
        raise HushError(said[0] if said else "none") from None
    return family


def test_a_family_has_its_rows_and_the_contacts_of_its_query(folder: Path) -> None:
    family = one(folder, measured=0.25)
    assert (family.name, len(family), family.query) == ("PF1/1ABC", 4, 1)
    assert family.names == tuple(ROWS)
    assert family.about["measured"] == 0.25
    assert family.columns.tolist() == COLUMNS
    assert family.known.all()
    expected = STATES[TOKENS[np.frombuffer("".join(ROWS.values()).encode(), np.uint8)]]
    np.testing.assert_array_equal(family.states, expected.reshape(4, 20)[:, COLUMNS])
    count = len(COLUMNS)
    x = places(count)
    near = np.linalg.norm(x[:, None] - x, axis=2) < 8
    np.testing.assert_array_equal(family.contacts, near & ~np.eye(count, dtype=bool))
    assert family.contacts[0, count - 1]
    assert not family.contacts[0, count // 2]


def test_the_record_begins_with_the_query(folder: Path) -> None:
    family = one(folder)
    record = family.record
    assert record.kind == "alignment"
    assert record.context["names"] == ("query", "first/1-20", "third", "fourth")
    assert family.order.tolist() == [1, 0, 2, 3]
    np.testing.assert_array_equal(record.data, family.tokens[family.order])


@pytest.mark.parametrize(
    ("entry", "query"),
    [
        ({"ref": "row 1 (of 4)"}, 1),
        ({"ref": "domains.txt"}, 1),
        ({"ref": ""}, 1),
        ({"ref": None}, 1),
        ({"ref": "domains.txt", "name": "PF1/9XYZ"}, 2),
    ],
    ids=["row", "text", "empty", "null", "another line"],
)
def test_the_query_is_a_row_or_a_line_or_the_best_row(
    folder: Path, entry: dict[str, Any], query: int
) -> None:
    family = one(folder, **entry)
    assert family.query == query
    if query == 1:
        assert family.columns.tolist() == COLUMNS


def test_a_line_says_which_columns_are_the_proteins(folder: Path) -> None:
    """Of a protein that is not a row: the row most like it stands for it."""
    line = "-" * 3 + ROWS["query"][3:-1] + "-"
    (folder / "domains.txt").write_text(f"PF1 1ABC_B {line}\n")
    family = one(folder, ref="domains.txt")
    assert family.query == 1
    assert family.columns.tolist() == COLUMNS[3:-1]
    residues = TOKENS[np.frombuffer(line.encode(), np.uint8)]
    assert family.columns.tolist() == np.flatnonzero(residues != GAP).tolist()


@pytest.mark.parametrize("structure", ["two.pdb chain B", "two.pdb"])
def test_a_chain_is_named_or_the_one_that_matches(folder: Path, structure: str) -> None:
    family = one(folder, structure=structure)
    assert family.known.tolist() == [False, False] + [True] * (len(COLUMNS) - 2)
    assert not family.contacts[:2].any()
    whole = one(folder)
    np.testing.assert_array_equal(family.contacts[2:, 2:], whole.contacts[2:, 2:])


def test_files_of_one_alignment_are_joined(folder: Path) -> None:
    family = one(folder, msa="a.fasta + b.fasta")
    assert family.names == tuple(ROWS)  # the first row, which both have, once
    np.testing.assert_array_equal(family.tokens, one(folder).tokens)
    assert [p.name for p in family.paths] == ["a.fasta", "b.fasta"]


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"msa": "none.fasta"}, "none.fasta"),
        ({"msa": "one.pdb"}, "one.pdb"),
        ({"msa": "a.fasta + short.fasta"}, "short.fasta has 19 columns, but a.fasta has 20"),
        ({"msa": None}, "no 'msa'"),
        ({"structure": "none.pdb"}, "none.pdb"),
        ({"structure": "one.pdb chain Q"}, "no protein chain Q; its chains are: A"),
        ({"structure": "other.pdb"}, "another protein"),
        ({"ref": "row 4"}, "row 4, but there are 4 rows"),
        ({"ref": "none.txt"}, "neither 'row N' nor a text file"),
        ({"ref": "domains.txt", "name": "PF9/1ABC"}, "no line for its family and protein"),
        ({"ref": "domains.txt", "name": "PF3/1ABC"}, "3 columns in domains.txt"),
    ],
    ids=lambda value: next(iter(value.values())) if isinstance(value, dict) else "",
)
def test_a_family_that_cannot_be_read_is_left_out_with_a_sentence(
    folder: Path, entry: dict[str, Any], said: str
) -> None:
    with pytest.raises(HushError, match="is left out: ") as error:
        one(folder, **entry)
    assert said in str(error.value)


def test_the_other_families_stay(folder: Path) -> None:
    good = {"msa": "all.fasta", "structure": "one.pdb", "ref": "row 1"}
    entries = [
        {**good, "name": "set/PF1"},
        {**good, "name": "set/PF2", "msa": "none.fasta"},
        {**good, "name": "other/PF3"},
        {"msa": "all.fasta"},
    ]
    (folder / "manifest.json").write_text(json.dumps(entries))
    notes: list[str] = []
    assert [f.name for f in families(folder, note=notes.append)] == ["set/PF1", "other/PF3"]
    assert [n.split(" is left out")[0] for n in notes] == ["set/PF2", "a family without a name"]
    assert [f.name for f in families(folder, "PF3")] == ["other/PF3"]
    assert [f.name for f in families(folder, "set*")] == ["set/PF1"]
    assert [f.name for f in families(folder / "manifest.json", "PF[13]")] == [
        "set/PF1",
        "other/PF3",
    ]
    with pytest.raises(HushError, match="no families named like 'PF8'"):
        families(folder, "PF8")


def test_a_manifest_is_needed(tmp_path: Path) -> None:
    with pytest.raises(HushError, match=r"has no manifest\.json"):
        families(tmp_path)
    with pytest.raises(HushError, match="neither a folder nor a file"):
        families(tmp_path / "none")
    (tmp_path / "alignments").mkdir()
    path = tmp_path / "alignments" / "manifest.json"
    path.write_text("[")
    with pytest.raises(HushError, match="cannot be read as JSON"):
        families(tmp_path)
    path.write_text("{}")
    with pytest.raises(HushError, match="not a list of families"):
        families(tmp_path)


def test_a_deep_alignment_is_drawn_from(folder: Path) -> None:
    family = one(folder)
    assert family.drawn().tolist() == [0, 1, 2, 3]
    drawn = family.drawn(3)
    assert drawn[0] == 0
    assert len(set(drawn.tolist())) == 3
    np.testing.assert_array_equal(drawn, family.drawn(3))


@pytest.mark.data
def test_mean_field_dca_is_as_precise_as_was_measured(hush_data: Path) -> None:
    """Of the families of the shared data whose alignments are not deep."""
    notes: list[str] = []
    measured = []
    for family in families(hush_data, "kortemme", notes.append):
        if len(family) <= 1000:
            found = family.precision(mean_field(family.states))
            measured.append(found - family.about["mfDCA_P_L_sep24"])
            assert (
                family.contacts[np.triu_indices(len(family.contacts), 24)].sum()
                == (family.about["n_longrange"])
            )
    assert not notes
    assert len(measured) >= 10
    assert np.mean(np.abs(measured)) < 0.005

"""Protein structures, PDB and mmCIF: residues, coordinates, chains, contacts, and refusals."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from hush.errors import HushError
from hush.io.structure import contacts, read_chain, read_chains

pytest.importorskip("biotite")

#: record, atom, alternate location, residue, chain, number, insertion code, x, occupancy
Atom = tuple[str, str, str, str, str, int, str, float, float]
NAMES = {"ALA": "CB", "SER": "CB", "MSE": "CB", "GLY": None, "LYS": None}


def residue(name: str, chain: str, number: int, x: float, code: str = "") -> list[Atom]:
    """N, Cα and, but for glycine, Cβ, at x, x + 1 and x + 2; Cβ of lysine is missing."""
    record = "HETATM" if name == "MSE" else "ATOM"
    atoms = ["N", "CA", *([NAMES[name]] if NAMES[name] else [])]
    return [
        (record, str(atom), "", name, chain, number, code, x + k, 1.0)
        for k, atom in enumerate(atoms)
    ]


ATOMS: list[Atom] = [
    *residue("ALA", "A", 10, 0.0),
    *residue("GLY", "A", 11, 5.0),
    *residue("MSE", "A", 12, 10.0),
    *residue("SER", "A", 12, 15.0, "A"),
    *residue("LYS", "A", 20, 40.0),
    ("ATOM", "N", "", "SER", "A", 21, "", 50.0, 1.0),
    ("ATOM", "CA", "", "SER", "A", 21, "", 51.0, 1.0),
    ("ATOM", "CB", "A", "SER", "A", 21, "", 52.0, 0.3),
    ("ATOM", "CB", "B", "SER", "A", 21, "", 53.0, 0.7),
    *residue("SER", "B", 1, 100.0),
    ("HETATM", "O", "", "HOH", "A", 301, "", 7.0, 1.0),
    ("HETATM", "CA", "", "CA", "A", 302, "", 8.0, 1.0),  # calcium
]
SEQUENCE = "AGMSKS"
PLACES = [2.0, 6.0, 12.0, 17.0, 41.0, 53.0]


def as_pdb(atoms: Sequence[Atom], models: int = 1) -> str:
    lines = ["HEADER    TEST"]
    for model in range(models):
        lines += [f"MODEL     {model + 1:4d}"] if models > 1 else []
        for k, (record, atom, alt, name, chain, number, code, x, occupancy) in enumerate(atoms, 1):
            lines.append(
                f"{record:<6}{k:5d}  {atom:<3}{alt or ' '}{name:>3} {chain or ' '}{number:4d}"
                f"{code or ' '}   {x + model:8.3f}{1.0:8.3f}{-2.0:8.3f}{occupancy:6.2f}"
                f"{20.0:6.2f}          {atom[0]:>2}"
            )
        lines += ["ENDMDL"] if models > 1 else []
    return "\n".join([*lines, "END", ""])


def as_mmcif(atoms: Sequence[Atom], models: int = 1) -> str:
    """With labels of chains other than those of the authors."""
    fields = (
        "group_PDB id type_symbol label_atom_id label_alt_id label_comp_id label_asym_id "
        "label_entity_id label_seq_id pdbx_PDB_ins_code Cartn_x Cartn_y Cartn_z occupancy "
        "B_iso_or_equiv auth_seq_id auth_comp_id auth_asym_id auth_atom_id pdbx_PDB_model_num"
    )
    lines = ["# a comment", "data_TEST", "#", "loop_", *(f"_atom_site.{f}" for f in fields.split())]
    for model in range(models):
        for k, (record, atom, alt, name, chain, number, code, x, occupancy) in enumerate(atoms, 1):
            label = {"A": "X", "B": "Y"}[chain]
            lines.append(
                f"{record} {k} {atom[0]} {atom} {alt or '.'} {name} {label} 1 {number} "
                f"{code or '?'} {x + model} 1.0 -2.0 {occupancy} 20.0 {number} {name} {chain} "
                f"{atom} {model + 1}"
            )
    return "\n".join([*lines, "#", ""])


@pytest.fixture(params=["pdb", "cif", "pdb.gz", "cif.gz", "pdb, models", "cif, models"])
def structure(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    kind = request.param
    text = (as_pdb if kind.startswith("pdb") else as_mmcif)(ATOMS, 2 if "models" in kind else 1)
    path = tmp_path / "structure.data"  # known by its content
    path.write_bytes(gzip.compress(text.encode()) if kind.endswith("gz") else text.encode())
    return path


def test_chains_have_their_residues_and_places(structure: Path) -> None:
    first, second = read_chains(structure)
    assert (first.name, second.name) == ("A", "B")
    assert first.sequence == SEQUENCE  # selenomethionine is methionine; no water, no calcium
    assert first.numbers == ("10", "11", "12", "12A", "20", "21")
    expected = np.stack([PLACES, np.ones(6), np.full(6, -2.0)], axis=1)
    np.testing.assert_allclose(first.coordinates, expected, atol=1e-4)
    assert first.coordinates.dtype == np.float64
    assert (second.sequence, len(second)) == ("S", 1)


def test_a_chain_is_found_by_its_name(structure: Path) -> None:
    assert read_chain(structure, "B").sequence == "S"
    with pytest.raises(HushError, match="has no protein chain Q; its chains are: A, B"):
        read_chain(structure, "Q")


def test_a_chain_of_mmcif_is_found_by_its_label(tmp_path: Path) -> None:
    path = tmp_path / "a.cif"
    path.write_text(as_mmcif(ATOMS))
    assert read_chain(path, "X").sequence == SEQUENCE
    assert read_chain(path, "A").sequence == SEQUENCE


def test_a_chain_without_a_name_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.pdb"
    path.write_text(as_pdb(residue("ALA", "", 1, 0.0) + residue("GLY", "", 2, 4.0)))
    assert [(c.name, c.sequence) for c in read_chains(path)] == [("", "AG")]


def test_two_residues_at_one_place_are_one(tmp_path: Path) -> None:
    """The one of the higher occupancy, where a file has both as alternate locations."""
    both = [
        (*a[:2], alt, *a[3:8], occupancy)
        for alt, name, occupancy in (("A", "SER", 0.4), ("B", "ALA", 0.6))
        for a in residue(name, "A", 5, 0.0)
    ]
    path = tmp_path / "a.pdb"
    path.write_text(as_pdb([*both, *residue("GLY", "A", 6, 4.0)]))
    (chain,) = read_chains(path)
    assert chain.sequence == "AG"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "no atoms that can be read"),
        (b"hello\n", "no atoms that can be read"),
        (b"data_x\n_entry.id x\n", "no atoms that can be read"),
        (b"data_x\nloop_\n_atom_site.id\n1\n", "no atoms that can be read"),
        (gzip.compress(b"ATOM" * 99)[:-9], "damaged or incomplete"),
        (as_pdb(ATOMS[-2:]).encode(), "has no protein chain"),
    ],
    ids=["empty", "text", "no atoms", "no places", "cut short", "water"],
)
def test_what_is_no_protein_is_refused(content: bytes, said: str, tmp_path: Path) -> None:
    path = tmp_path / "a.pdb"
    path.write_bytes(content)
    with pytest.raises(HushError, match=said):
        read_chains(path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(HushError, match="cannot be read"):
        read_chains(tmp_path / "none.pdb")


def test_biotite_is_named_where_it_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "biotite.structure.io.pdb", None)
    path = tmp_path / "a.pdb"
    path.write_text(as_pdb(ATOMS))
    with pytest.raises(HushError, match=r"pip install .*\[alignments\]'"):
        read_chains(path)


def test_contacts_are_near_and_known() -> None:
    x = np.array([[0.0, 0, 0], [7.9, 0, 0], [0, 8.0, 0], [np.nan, 0, 0]])
    expected = np.zeros((4, 4), bool)
    expected[0, 1] = expected[1, 0] = True
    np.testing.assert_array_equal(contacts(x), expected)
    assert contacts(x, 8.01)[0, 2]

"""Protein structures, PDB and mmCIF: which residues a chain has, and where they are.

Files are read with biotite, by their content and not by their name, in gzip too. Of several models
the first counts, of alternate locations that of the highest occupancy.
"""

from __future__ import annotations

import importlib
import io
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from hush.errors import HushError, missing_package
from hush.io.gz import DAMAGED, unpacked

CONTACT = 8.0  #: Å between Cβ


@dataclass(frozen=True, eq=False)
class Chain:
    """The amino acids of a chain that have coordinates, in the order of the file.

    sequence : a letter for each; modified ones have that of the amino acid they are made from,
    such as M for selenomethionine. coordinates : float64 ``(n, 3)`` in Å, of Cβ, or of Cα for
    glycine and where Cβ is missing. numbers : as in the file, with the insertion code, such as 52A.
    """

    name: str
    sequence: str
    coordinates: np.ndarray
    numbers: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.sequence)


def read_chains(path: Path) -> list[Chain]:
    """The protein chains of a structure, named as their authors do.

    `HushError` for files that are no structure, or one without a protein.
    """
    return _chains(_atoms(path, True), path)


def read_chain(path: Path, name: str) -> Chain:
    """One chain of a structure, named as its authors do, or by mmCIF's own label.

    `HushError` with the names of all chains if there is none of that name.
    """
    found = read_chains(path)
    labelled = _chains(_atoms(path, False), path) if name not in {c.name for c in found} else found
    for chain in labelled:
        if chain.name == name:
            return chain
    names = ", ".join(c.name or "one without a name" for c in found)
    raise HushError(f"{path.name} has no protein chain {name}; its chains are: {names}")


def contacts(coordinates: np.ndarray, distance: float = CONTACT) -> np.ndarray:
    """Pairs nearer than a distance, bool ``(n, n)``, of coordinates ``(n, 3)``.

    False on the diagonal, and where coordinates are NaN.
    """
    x = np.asarray(coordinates, np.float64)
    squares = np.square(x[:, None] - x).sum(axis=-1)
    near: np.ndarray = squares < distance**2
    np.fill_diagonal(near, False)
    return near


def biotite(part: str) -> ModuleType:
    """A module of biotite; `HushError` with the remedy if it is not installed."""
    try:
        return importlib.import_module(f"biotite.{part}")
    except ImportError:
        raise missing_package("biotite", "alignments", what="reading a protein structure") from None


def _atoms(path: Path, author: bool) -> Any:
    """biotite's atoms of the first model. author : name chains and residues as the authors do."""
    pdb, pdbx = biotite("structure.io.pdb"), biotite("structure.io.pdbx")
    try:
        with unpacked(path) as stream:
            text = stream.read().decode("utf-8", "replace")
    except DAMAGED:
        raise HushError(f"{path.name} is damaged or incomplete: gzip cannot unpack it") from None
    except OSError as error:
        raise HushError(f"{path} cannot be read: {error.strerror or error}") from None
    try:
        if _is_mmcif(text):
            file = pdbx.CIFFile.read(io.StringIO(text))
            return pdbx.get_structure(file, model=1, altloc="occupancy", use_author_fields=author)
        return pdb.PDBFile.read(io.StringIO(text)).get_structure(model=1, altloc="occupancy")
    except (ValueError, LookupError, biotite("file").InvalidFileError):
        raise HushError(
            f"{path.name} has no atoms that can be read; give a structure as PDB or mmCIF"
        ) from None


def _is_mmcif(text: str) -> bool:
    lines = (line for line in text.splitlines() if line.strip() and not line.startswith("#"))
    return next(lines, "").startswith("data_")


def _chains(atoms: Any, path: Path) -> list[Chain]:
    structure, info = biotite("structure"), biotite("structure.info")
    atoms = atoms[structure.filter_amino_acids(atoms)]
    edges = structure.get_residue_starts(atoms, add_exclusive_stop=True)
    parts: dict[str, list[tuple[str, np.ndarray, str]]] = {}
    for start, stop in pairwise(edges):
        residue = atoms[start:stop]
        names = residue.atom_name.tolist()
        atom = next((a for a in ("CB", "CA") if a in names), None)
        if "CA" in names and atom:
            letter = info.one_letter_code(residue.res_name[0]) or "X"
            number = f"{residue.res_id[0]}{residue.ins_code[0]}".strip()
            place = residue.coord[names.index(atom)].astype(np.float64)
            parts.setdefault(str(residue.chain_id[0]), []).append((letter, place, number))
    if not parts:
        raise HushError(f"{path.name} has no protein chain")
    return [
        Chain(
            name,
            "".join(letter for letter, _, _ in residues),
            np.array([place for _, place, _ in residues]),
            tuple(number for _, _, number in residues),
        )
        for name, residues in parts.items()
    ]

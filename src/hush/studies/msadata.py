"""Alignments with the structure of one of their proteins, as a ``manifest.json`` lists them.

Every entry of the list has a ``name`` and, relative to the manifest's folder,

- ``msa``: the alignment's file, or several of one alignment joined by " + ";
- ``structure``: a PDB or mmCIF file, and with "FILE chain NAME" its chain; without, the chain that
  matches the query best;
- ``ref``, the query, the protein whose structure it is: "row N" of the alignment, or a text file
  with a line for each domain, "FAMILY PDB_CHAIN aligned-sequence" in the alignment's columns.
  Without it, the row that matches the structure best.

Every other value of an entry is kept (`Family.about`), such as what was measured before.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from hush.errors import HushError
from hush.io import read
from hush.io.residues import BYTES, GAP, NONE, STATES, TOKENS
from hush.io.structure import Chain, contacts, read_chain, read_chains
from hush.record import Record
from hush.studies.core import Note, ignore
from hush.tasks.contacts import aligned, precision

MANIFEST = "manifest.json"
MOST = 4000  #: rows of an alignment that DCA is measured with
SHARE = 0.5  #: of the aligned residues that have to be the same in query and structure
FEWEST = 10  #: residues of the query that have to be in the structure
TRIED = 20  #: rows that are aligned with a structure to find its query


@dataclass(frozen=True, eq=False)
class Family:
    """An alignment, and the contacts of its query, whose residues are in Lq of the L columns.

    paths : the alignment's files. tokens : uint8 ``(N, L)``, and names of the rows, as in the
    files. query : the row of the structure's protein, or the one most like it. columns : int
    ``(Lq,)``, the protein's. contacts : bool ``(Lq, Lq)``, Cβ nearer than 8 Å. known : bool
    ``(Lq,)``, where the structure has a residue. about : the manifest's entry.
    """

    name: str
    paths: tuple[Path, ...]
    tokens: np.ndarray
    names: tuple[str, ...]
    query: int
    columns: np.ndarray
    contacts: np.ndarray
    known: np.ndarray
    about: Mapping[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.tokens)

    @cached_property
    def states(self) -> np.ndarray:
        """Of the query's columns, uint8 ``(N, Lq)``, 0..20: what contacts are predicted from."""
        return STATES[self.tokens[:, self.columns]]

    @cached_property
    def order(self) -> np.ndarray:
        """The rows with the query first, int ``(N,)``."""
        return np.r_[self.query, np.delete(np.arange(len(self)), self.query)]

    @property
    def record(self) -> Record:
        """The alignment as methods get it: the rows in `order`, all columns."""
        names = tuple(self.names[i] for i in self.order)
        tokens = self.tokens[self.order]
        return Record(tokens, "NC", kind="alignment", full=1.0, context={"names": names})

    def precision(self, scores: np.ndarray, separation: int = 24, divisor: int = 1) -> float:
        """`hush.tasks.contacts.precision` of scores ``(Lq, Lq)``."""
        return precision(scores, self.contacts, self.known, separation=separation, divisor=divisor)

    def drawn(self, most: int = MOST) -> np.ndarray:
        """All rows, int ``(n,)``, or the first of the file and others at random, always the same.

        These are the rows that the manifest of the shared data was measured with.
        """
        if len(self) <= most:
            return np.arange(len(self))
        others = np.random.default_rng(0).choice(len(self) - 1, most - 1, replace=False)
        return np.r_[0, 1 + others]


def families(data: Path, only: str | None = None, note: Note = ignore) -> list[Family]:
    """The families of a manifest: that of DIR, of ``DIR/alignments``, or the file itself.

    only : a pattern for the name, or a part of it between slashes. note : told why a family is left
    out. `HushError` if there is no manifest, or none of its families can be read.
    """
    path = _manifest(data)
    try:
        entries = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise HushError(f"{path} cannot be read as JSON: {error}") from None
    if not isinstance(entries, list) or not all(isinstance(e, dict) for e in entries):
        raise HushError(f"{path} is not a list of families; see hush.studies.msadata")
    found = []
    for entry in entries:
        name = str(entry.get("name", ""))
        if only is None or any(fnmatch(part, only) for part in (name, *name.split("/"))):
            try:
                found.append(_family(entry, path.parent))
            except HushError as error:
                note(f"{name or 'a family without a name'} is left out: {error}")
    if not found:
        some = f" named like '{only}'" if only else ""
        raise HushError(f"{path} has no families{some} that can be read")
    return found


def _manifest(data: Path) -> Path:
    if data.is_file():
        return data
    if not data.is_dir():
        raise HushError(f"{data} is neither a folder nor a file; give --data the study's data")
    for path in (data / "alignments" / MANIFEST, data / MANIFEST):
        if path.is_file():
            return path
    raise HushError(f"{data} has no {MANIFEST}, neither directly nor in a folder 'alignments'")


def _family(entry: Mapping[str, Any], folder: Path) -> Family:
    for key in ("name", "msa", "structure"):
        if not isinstance(entry.get(key), str):
            raise HushError(f"its entry in the manifest has no '{key}'")
    paths = tuple(folder / part.strip() for part in entry["msa"].split(" + "))
    tokens, names = _joined(paths)
    chains = _structure(entry["structure"], folder)
    residues, query = _query(entry, folder, tokens, chains)
    columns = np.flatnonzero(residues != GAP)
    near, known = _mapped(_letters(residues[columns]), chains)
    return Family(entry["name"], paths, tokens, names, query, columns, near, known, entry)


# -- the alignment -------------------------------------------------------------------------------


def _joined(paths: Sequence[Path]) -> tuple[np.ndarray, tuple[str, ...]]:
    """Tokens ``(N, L)`` and names of all files; the first row, which each repeats, once."""
    tokens, names = _read(paths[0])
    for path in paths[1:]:
        more, called = _read(path)
        if more.shape[1] != tokens.shape[1]:
            raise HushError(
                f"{path.name} has {more.shape[1]} columns, but {paths[0].name} has "
                f"{tokens.shape[1]}; files that are joined have the same columns"
            )
        again = int(np.array_equal(more[0], tokens[0]))
        tokens, names = np.concatenate([tokens, more[again:]]), names + called[again:]
    return tokens, names


def _read(path: Path) -> tuple[np.ndarray, tuple[str, ...]]:
    """Tokens and names of one file."""
    record = read(path, "alignment")
    if record.kind != "alignment":
        raise HushError(f"{path.name} is not an alignment")
    return record.data, tuple(record.context["names"])


# -- its query -----------------------------------------------------------------------------------


def _query(
    entry: Mapping[str, Any], folder: Path, tokens: np.ndarray, chains: Sequence[Chain]
) -> tuple[np.ndarray, int]:
    """Tokens ``(L,)`` of the structure's protein in the alignment's columns, and its row."""
    ref = str(entry.get("ref") or "")
    if row := re.match(r"row\s+(\d+)", ref):
        index = int(row[1])
        if index >= len(tokens):
            raise HushError(f"its query is row {index}, but there are {len(tokens)} rows")
        return tokens[index], index
    if not ref:
        index = _best(tokens, chains)
        return tokens[index], index
    residues = _domain(entry, folder / ref, tokens.shape[1])
    there = residues != GAP
    return residues, int((tokens[:, there] == residues[there]).sum(axis=1).argmax())


def _domain(entry: Mapping[str, Any], path: Path, columns: int) -> np.ndarray:
    """Tokens of the line of a text file whose family and protein the entry names."""
    try:
        lines = [line.split() for line in path.read_text("utf-8").splitlines()]
    except (OSError, ValueError):
        raise HushError(
            f"its ref '{path.name}' is neither 'row N' nor a text file that can be read"
        ) from None
    said = f"{entry['name']} {entry['msa']} {entry['structure']}"
    for line in lines:
        if len(line) == 3 and line[0] in said and line[1].split("_")[0] in said:
            residues = TOKENS[np.frombuffer(line[2].encode(), np.uint8)]
            if len(residues) != columns:
                raise HushError(
                    f"{line[1]} has {len(residues)} columns in {path.name}, but its alignment "
                    f"has {columns}"
                )
            return residues
    raise HushError(f"{path.name} has no line for its family and protein")


def _best(tokens: np.ndarray, chains: Sequence[Chain]) -> int:
    """The row with the most residues equal to those of a chain, of those that share most words."""
    words = _words(STATES[tokens])
    shared = np.zeros(len(tokens), np.intp)
    for chain in chains:
        of = np.zeros((NONE + 1) ** 3, bool)
        of[_words(STATES[TOKENS[np.frombuffer(chain.sequence.encode(), np.uint8)]][None])] = True
        of[0] = False
        shared = np.maximum(shared, of[words].sum(axis=1))
    candidates = np.argsort(-shared, kind="stable")[:TRIED]
    return int(max(candidates, key=lambda i: max(_alike(_letters(tokens[i]), c) for c in chains)))


def _words(states: np.ndarray) -> np.ndarray:
    """Three neighbouring amino acids as a number from 1 on, 0 with a gap, of ``(N, L)``."""
    s = states.astype(np.int16) + np.int16(1)
    s[states == NONE] = 0
    a, b, c = s[:, :-2], s[:, 1:-1], s[:, 2:]
    words: np.ndarray = np.where((a > 0) & (b > 0) & (c > 0), (a * 21 + b) * 21 + c - 462, 0)
    return words


def _alike(query: str, chain: Chain) -> int:
    query = query.replace("-", "")
    return sum(query[i] == chain.sequence[j] for i, j in aligned(query, chain.sequence))


def _letters(tokens: np.ndarray) -> str:
    return BYTES[tokens].tobytes().decode("ascii")


# -- the structure -------------------------------------------------------------------------------


def _structure(text: str, folder: Path) -> list[Chain]:
    named = re.fullmatch(r"(.+?)\s+chain\s+(\S+)", text)
    if named:
        return [read_chain(folder / named[1], named[2])]
    return read_chains(folder / text)


def _mapped(query: str, chains: Sequence[Chain]) -> tuple[np.ndarray, np.ndarray]:
    """Contacts bool ``(Lq, Lq)`` and known residues ``(Lq,)`` of the query, by its best chain."""
    chain = max(chains, key=lambda c: _alike(query, c))
    pairs = aligned(query, chain.sequence)
    same = sum(query[i] == chain.sequence[j] for i, j in pairs)
    if len(pairs) < FEWEST or same < SHARE * len(pairs):
        raise HushError(
            f"only {same} of the {len(query)} residues of its query are in the structure, which "
            "seems to be that of another protein"
        )
    places = np.full((len(query), 3), np.nan)
    places[pairs[:, 0]] = chain.coordinates[pairs[:, 1]]
    return contacts(places), np.isfinite(places).all(axis=1)

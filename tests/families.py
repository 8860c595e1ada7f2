"""A family of proteins made by rule, as files, for the tests of the README and of docs/.

The protein is a hairpin: residue i is beside residue `COLUMNS` - 1 - i, and the two go together in
the rows.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hush.io.residues import AMINO

ROWS, COLUMNS = 300, 30
NAMES = tuple(f"P{10000 + i}" for i in range(ROWS))
THREE = "ALACYSASPGLUPHEGLYHISILELYSLEUMETASNPROGLNARGSERTHRVALTRPTYR"  #: as `AMINO`


def rows(seed: int = 0) -> list[str]:
    """Aligned residues of `ROWS` rows; the first, the query, has no gaps. Every fourth one repeats
    the one before it but for a residue."""
    rng = np.random.default_rng(seed)
    half = COLUMNS // 2
    liked = np.stack([rng.permutation(20)[:3] for _ in range(COLUMNS)])
    letter = rng.integers(0, 3, (ROWS, half))
    other = np.where(rng.random(letter.shape) < 0.9, letter, rng.integers(0, 3, letter.shape))
    of = np.concatenate([letter, other[:, ::-1]], axis=1)
    every = np.array(list(AMINO))[liked[np.arange(COLUMNS), of]]
    every[1:][rng.random((ROWS - 1, COLUMNS)) < 0.05] = "-"
    for i in range(3, ROWS, 4):
        every[i] = every[i - 1]
        every[i, rng.integers(COLUMNS)] = "A"
    return ["".join(row) for row in every]


def a3m(aligned: list[str]) -> str:
    """With insertions in every fifth row."""
    lines = []
    for i, (name, row) in enumerate(zip(NAMES, aligned, strict=True)):
        lines += [f">{name} protein {i}", row[:9] + "gk" + row[9:] if i and i % 5 == 0 else row]
    return "\n".join([*lines, ""])


def stockholm(aligned: list[str]) -> str:
    lines = [f"{name} {row}" for name, row in zip(NAMES, aligned, strict=True)]
    return "\n".join(["# STOCKHOLM 1.0", *lines, "//", ""])


def pdb(sequence: str) -> str:
    """Cα of a hairpin, 3.5 Å along a strand and 5 Å from one to the other."""
    lines = []
    for i, letter in enumerate(sequence):
        at = 3 * AMINO.index(letter)
        along, across = min(i, COLUMNS - 1 - i), 5.0 * (i >= COLUMNS // 2)
        lines.append(
            f"ATOM  {i + 1:5d}  CA  {THREE[at : at + 3]} A{i + 1:4d}    "
            f"{3.5 * along:8.3f}{across:8.3f}{0.0:8.3f}  1.00 20.00           C"
        )
    return "\n".join([*lines, "END", ""])


def write_family(folder: Path) -> None:
    """``family.a3m`` and ``family.sto``, the same rows, ``query.pdb``, the structure of the first,
    and two alignments each in ``families`` and in ``clean``."""
    aligned = rows()
    (folder / "family.a3m").write_text(a3m(aligned))
    (folder / "family.sto").write_text(stockholm(aligned))
    (folder / "query.pdb").write_text(pdb(aligned[0]))
    for name in ("families", "clean"):
        (folder / name).mkdir()
        for seed in (1, 2):
            (folder / name / f"{seed}.a3m").write_text(a3m(rows(seed)))

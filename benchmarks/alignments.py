"""Planted noise in alignments, and time and memory of a large one.

    python -m benchmarks.alignments --data DIR [--model FILE]     # areas under the ROC curve
    python -m benchmarks.alignments --speed [--model FILE] [--rows 100000] [--columns 500]

*Planted noise.* Into families without redundant rows of their own, rows are planted until they are
30 % of all: copies of a few or of many rows, some of their residues replaced; rows whose residues,
or a part of them, are shuffled or shifted; rows put together from the columns of others. The area
is how often a row of the family has a higher probability than a planted one. Beside areas of copies
stands what a method reaches that takes copies and the rows that they were made of for alike: 1 less
half the share of the family's rows that were copied. Every second family is tested, those that the
shipped model was not trained on.

*Speed.* ``hush denoise big.a3m -n 256`` on a simulated family, in a process of its own: every row
is a mutated copy of a row before it, some are fragments, and some have insertions.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from hush import kinds
from hush.denoiser import Denoiser
from hush.io.residues import BYTES, GAP, TOKENS
from hush.models import load, shipped
from hush.record import Record
from hush.studies.msadata import families
from hush.studies.sets import roc_auc
from hush.tasks.dca import effective_number

SHARE = 0.3  #: of all rows that are planted
CLEAN = 0.9  #: effective number of a clean family, relative to its rows
FEW, MUTATED = 0.05, 0.05  #: share of rows that few copies are of, and of residues replaced
SHIFT = 5  #: columns
AMINO = TOKENS[np.frombuffer(b"ACDEFGHIKLMNPQRSTVWY", np.uint8)]

#: (rows of the family ``(n, L)``, how many to plant, random numbers) → rows, and the share of the
#: family's rows that are the same as planted ones but for mutations
Plant = Callable[[np.ndarray, int, np.random.Generator], tuple[np.ndarray, float]]


# -- planted noise -------------------------------------------------------------------------------


def mutated(rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Rows with a share of their residues replaced by random ones."""
    swap = (rng.random(rows.shape) < MUTATED) & (rows != GAP)
    return np.where(swap, rng.choice(AMINO, rows.shape), rows)


def copies(
    rows: np.ndarray, count: int, rng: np.random.Generator, of: float
) -> tuple[np.ndarray, float]:
    """Mutated copies of a share of the rows."""
    parents = rng.permutation(len(rows))[: max(1, round(of * len(rows)))]
    drawn = parents[rng.integers(0, len(parents), count)]
    return mutated(rows[drawn], rng), len(np.unique(drawn)) / len(rows)


def shuffled(
    rows: np.ndarray, count: int, rng: np.random.Generator, part: float = 1.0
) -> tuple[np.ndarray, float]:
    """Rows with a share of their residues, next to each other, in random order; gaps stay."""
    made = rows[rng.integers(0, len(rows), count)].copy()
    for row in made:
        where = np.flatnonzero(row != GAP)
        size = int(np.ceil(part * len(where)))
        begin = int(rng.integers(0, len(where) - size + 1))
        at = where[begin : begin + size]
        row[at] = row[rng.permutation(at)]
    return made, 0.0


def shifted(rows: np.ndarray, count: int, rng: np.random.Generator) -> tuple[np.ndarray, float]:
    """Rows moved by up to `SHIFT` columns to either side, around the ends."""
    made = rows[rng.integers(0, len(rows), count)].copy()
    by = rng.integers(1, SHIFT + 1, count) * rng.choice([-1, 1], count)
    return np.stack([np.roll(row, k) for row, k in zip(made, by, strict=True)]), 0.0


def mixed(rows: np.ndarray, count: int, rng: np.random.Generator) -> tuple[np.ndarray, float]:
    """Rows that take every column from a row of their own: right by columns, wrong together."""
    of = rng.integers(0, len(rows), (count, rows.shape[1]))
    return rows[of, np.arange(rows.shape[1])], 0.0


PLANTS: Mapping[str, Plant] = {
    "copies of few": lambda rows, n, rng: copies(rows, n, rng, FEW),
    "copies of many": lambda rows, n, rng: copies(rows, n, rng, 1.0),
    "shuffled": shuffled,
    "half shuffled": lambda rows, n, rng: shuffled(rows, n, rng, 0.5),
    "shifted": shifted,
    "mixed": mixed,
}


def planted(
    rows: np.ndarray, plant: Plant, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, float]:
    """An alignment ``(N, L)``, the query first, which of its rows are own, and what areas reach."""
    count = round(SHARE / (1 - SHARE) * len(rows))
    new, told = plant(rows[1:], count, rng)
    order = np.r_[0, 1 + rng.permutation(len(rows) + count - 1)]
    own = np.arange(len(rows) + count) < len(rows)
    return np.concatenate([rows, new])[order], own[order], 1 - told / 2


def area(model: Denoiser, tokens: np.ndarray, own: np.ndarray) -> float:
    """How often an own row has a higher probability than a planted one; the query left out."""
    record = Record(tokens, "NC", kind="alignment", full=1.0)
    probability = model.denoise_item(kinds.to_batch(record), 0)[1].probability
    assert probability is not None
    return roc_auc(probability[1:], own[1:])


def plants(data: Path, only: str | None, every: int, most: int, model: Denoiser) -> None:
    """Print the areas of every clean family and every sort of noise, and their means."""
    print(f"{'family':<24} {'rows':>5}  " + "  ".join(f"{name:>16}" for name in PLANTS))
    areas: dict[str, list[float]] = {name: [] for name in PLANTS}
    for number, family in enumerate(families(data, None, print)):
        rows = family.record.data
        if number % every != every - 1 or len(rows) > most:
            continue
        if only and only not in family.name:
            continue
        if effective_number(family.states) < CLEAN * len(rows):
            continue
        texts = []
        for k, (name, plant) in enumerate(PLANTS.items()):
            tokens, own, highest = planted(rows, plant, np.random.default_rng([number, k]))
            areas[name].append(area(model, tokens, own))
            bound = f" of {highest:.3f}" if highest < 1 else ""
            texts.append(f"{areas[name][-1]:.3f}{bound}")
        line = "  ".join(f"{text:>16}" for text in texts)
        print(f"{family.name:<24} {len(rows):>5}  {line}", flush=True)
    means = "  ".join(f"{np.mean(of) if of else np.nan:>16.4f}" for of in areas.values())
    print(f"{'mean':<24} {len(next(iter(areas.values()))):>5}  {means}")


# -- time and memory -----------------------------------------------------------------------------


def simulated(rows: int, columns: int, seed: int = 0) -> np.ndarray:
    """Tokens ``(rows, columns)`` of a family: every generation doubles it, with mutations."""
    rng = np.random.default_rng(seed)
    family = rng.choice(AMINO, (1, columns))
    while len(family) < rows:
        young = family[: rows - len(family)].copy()
        rate = rng.uniform(0.01, 0.15, (len(young), 1))
        swap = rng.random(young.shape, np.float32) < rate
        young[swap] = rng.choice(AMINO, int(swap.sum()))
        family = np.concatenate([family, young])
    short = 1 + np.flatnonzero(rng.random(rows - 1) < 0.3)
    for k in short:
        begin, end = np.sort(rng.integers(0, columns + 1, 2))
        family[k, :begin] = family[k, max(end, begin + columns // 3) :] = GAP
    return family


def written(tokens: np.ndarray, path: Path) -> None:
    """Write tokens as A3M, a tenth of the rows with an insertion."""
    rng = np.random.default_rng(1)
    with path.open("wb") as stream:
        for k, row in enumerate(BYTES[tokens]):
            text = row.tobytes()
            if k and rng.random() < 0.1:
                at = int(rng.integers(len(text)))
                text = text[:at] + text[:3].lower().replace(b"-", b"a") + text[at:]
            stream.write(b">row%d simulated\n%b\n" % (k, text))


def speed(rows: int, columns: int, count: int, threads: int, model: str | None) -> None:
    """Print time, CPU time and peak memory of the whole command."""
    with TemporaryDirectory() as folder:
        path, out = Path(folder) / "big.a3m", Path(folder) / "out.a3m"
        written(simulated(rows, columns), path)
        options = ["-n", str(count), "-o", str(out), "--threads", str(threads), "--device", "cpu"]
        options += ["--model", model] if model else []
        code = (
            "import resource, sys; from hush.cli import main; "
            "main(sys.argv[1:], standalone_mode=False); "
            "used = resource.getrusage(resource.RUSAGE_SELF); "
            "print(used.ru_maxrss, used.ru_utime + used.ru_stime)"
        )
        command = [sys.executable, "-c", code, "denoise", str(path), *options]
        start = time.perf_counter()
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        seconds = time.perf_counter() - start
        kept = sum(line.startswith(b">") for line in out.open("rb"))
        peak, cpu = (float(text) for text in done.stdout.split()[-2:])
        size = path.stat().st_size / 2**20
        print(done.stdout.rpartition("\n")[0].rpartition("\n")[0])
        print(
            f"{rows} x {columns}, {size:.0f} MiB: {kept} kept, {seconds:.0f} s on {threads} "
            f"threads, {cpu:.0f} s of CPU, peak {peak / 2**20:.2f} GiB"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("HUSH_DATA", "data")))
    parser.add_argument("--only", help="a part of the names of families")
    parser.add_argument("--every", type=int, default=2, help="test every second family")
    parser.add_argument("--most", type=int, default=3000, help="rows of a tested family")
    parser.add_argument("--model", help="a file, by default the shipped one")
    parser.add_argument("--speed", action="store_true", help="time and memory, not areas")
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--columns", type=int, default=500)
    parser.add_argument("--count", type=int, default=256)
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    if given.speed:
        speed(given.rows, given.columns, given.count, given.threads, given.model)
        return
    name = given.model or shipped("mid", 1, "alignment")
    if name is None:
        parser.error("no model for alignments is shipped; give --model")
    plants(given.data, given.only, given.every, given.most, load(name))


if __name__ == "__main__":
    main()

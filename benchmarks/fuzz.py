"""Damaged files of every format, read and written: no crash, hang, traceback or half file.

    python benchmarks/fuzz.py                                  # 10,000 files of all formats
    python benchmarks/fuzz.py --formats TIFF,DICOM --seed 1 --count 2000
    python benchmarks/fuzz.py --data DIR                       # also damaged copies of your files
    python benchmarks/fuzz.py --keep DIR                       # writes the files with findings

Small files of each format are made (`tests/corpus.py`), damaged by rule (`tests/mutations.py`; the
same files for the same seed), and taken through `hush.run` with the method `none` into a file. The
work is done in a child process with limits of time and memory. Exits 1 if there are findings.

Findings are:

crash      the process died
hang       10 s passed
traceback  an exception other than `HushError`
sentence   a message that is not one readable sentence, or is without the file's name
left       files that remain beside a result that failed, or beside the result
input      the input was changed
memory     more than 256 MiB were used, or the limit of 2 GiB was reached
noise      a library printed something, other than Python's warnings; listed, but no fault
changed    what was written does not read as what was read
"""

from __future__ import annotations

import argparse
import contextlib
import multiprocessing
import os
import re
import resource
import shutil
import signal
import sys
import tempfile
import time
import warnings
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TypeVar

import numpy as np

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from corpus import Sample, corpus, unmade  # noqa: E402
from mutations import mutated  # noqa: E402
from trial import FINE, Outcome, lay, tried  # noqa: E402

import hush  # noqa: E402
from hush import io  # noqa: E402
from hush.errors import HushError  # noqa: E402

T = TypeVar("T")
SECONDS = 10.0  #: after which a file hangs
MEMORY = 2**28  #: bytes that a small file may take
LIMIT = 2**31  #: bytes that it can take at most


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--formats", default="", help="names, separated by commas")
    parser.add_argument("--data", type=Path, help="a folder of further small files")
    parser.add_argument("--keep", type=Path, help="a folder for the files with findings")
    parser.add_argument("--sentences", action="store_true", help="print each refusal once, too")
    args = parser.parse_args()
    names = tuple(filter(None, args.formats.split(",")))
    start = time.perf_counter()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # in the background, too
    with tempfile.TemporaryDirectory(prefix="fuzz-") as scratch:
        place = Path(scratch)
        every = corpus(place / "corpus")
        if lacking := [n for n in unmade(every) if not names or n in names]:
            print(f"no sample of: {', '.join(lacking)}")
        samples = [s for s in every if not names or s.format in names]
        if args.data:
            samples += [s for s in given(args.data, place) if not names or s.format in names]
        table: dict[str, Counter[str]] = defaultdict(Counter)
        said: dict[str, list[str]] = defaultdict(list)
        refusals: Counter[str] = Counter()
        for number, sample, outcome in until_interrupted(
            outcomes(samples, args.count, args.seed, place)
        ):
            table[sample.format][outcome.name] += 1
            if outcome.name in ("refused", "not written"):
                refusals[f"{sample.format}{re.sub(QUOTED, '…', outcome.said)}"] += 1
            elif outcome.name not in FINE:
                where = f"{sample.path.parent.name}/{sample.path.name} seed {number}"
                said[f"{outcome.name}: {sample.format}: {outcome.said}"].append(where)
                if args.keep:
                    keep(sample, number, args.keep)
    found = report(table, said)
    for text, count in sorted(refusals.items()) if args.sentences else ():
        print(f"{count:5} × {text}")
    print(
        f"{sum(map(Counter.total, table.values()))} files, {found} findings, "
        f"{time.perf_counter() - start:.0f} s"
    )
    sys.exit(bool(found))


QUOTED = r"'.*'|-?\d[\d.,e+-]*"  #: of a message, what differs from file to file
FINDINGS = ("crash", "hang", "traceback", "sentence", "left", "input", "memory", "noise", "changed")


def until_interrupted(every: Iterable[T]) -> Iterator[T]:
    """What there is until Ctrl-C, after which the table is still printed."""
    with contextlib.suppress(KeyboardInterrupt):
        yield from every


def report(table: dict[str, Counter[str]], said: dict[str, list[str]]) -> int:
    """Print the table and each finding once; return their number."""
    columns = (*FINE, *FINDINGS)
    print(f"{'format':20}", *(f"{name:>11}" for name in columns))
    for name, counts in [*sorted(table.items()), ("all", sum(table.values(), Counter()))]:
        print(f"{name:20}", *(f"{counts[c]:11}" for c in columns))
    for text, where in sorted(said.items(), key=lambda pair: -len(pair[1])):
        print(f"\n{len(where)} × {text}\n    {where[0]}")
    return sum(len(where) for text, where in said.items() if not text.startswith("noise"))


def given(data: Path, scratch: Path) -> Iterator[Sample]:
    """Files of a folder that hush reads, up to 256 KiB, with those beside them of the same name."""
    for path in sorted(p for p in data.rglob("*") if p.is_file() and p.stat().st_size < 2**18):
        try:
            record = hush.read(path)
        except HushError:
            if not io.recognised(path):
                continue
            record = None
        folder = scratch / "given" / path.relative_to(data).as_posix().replace("/", "_")
        folder.mkdir(parents=True, exist_ok=True)
        stem = path.name.partition(".")[0]
        for file in path.parent.glob(f"{stem[:5]}*"):
            if file.is_file():
                shutil.copyfile(file, folder / file.name)
        named = next((f.name for f in io.formats() if f.named(path)), "DICOM")
        known = record.meta.get("format", named) if record else named
        yield Sample(folder / path.name, known)


def keep(sample: Sample, number: int, folder: Path) -> None:
    place = folder / f"{sample.path.parent.name}-{number}"
    lay(mutated(sample.files, number), place)


# -- children ----------------------------------------------------------------------------------


def outcomes(
    samples: Sequence[Sample], count: int, seed: int, scratch: Path
) -> Iterator[tuple[int, Sample, Outcome]]:
    """Every file in turn: its number, the sample that it was made of, and how it went."""
    context = multiprocessing.get_context("fork")
    hush.run(np.zeros((8, 8), np.uint8) + np.arange(8, dtype=np.uint8), method="none")  # imports
    content = [sample.files for sample in samples]
    numbers = range(seed * 1_000_000, seed * 1_000_000 + count)
    done = 0
    while done < count:
        here, there = context.Pipe()
        todo = [(n, samples[n % len(samples)], content[n % len(samples)]) for n in numbers[done:]]
        child = context.Process(target=work, args=(there, todo[:500], scratch / "work"))
        child.start()
        there.close()
        for number, sample, _ in todo[:500]:
            try:
                if here.poll(SECONDS):
                    outcome = here.recv()
                else:
                    outcome = Outcome("hang")
                    child.kill()
            except EOFError:
                child.join()
                outcome = Outcome("crash", f"exit code {child.exitcode}")
            done += 1
            yield number, sample, outcome
            if outcome.name in ("hang", "crash"):
                break
        here.close()
        child.join()


def work(pipe: Connection, todo: Sequence[tuple[int, Sample, dict[str, bytes]]], at: Path) -> None:
    """What a child does: a file after another."""
    used = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    resource.setrlimit(resource.RLIMIT_AS, (used + LIMIT, used + LIMIT))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    warnings.simplefilter("ignore")  # as the command line does
    noise = tempfile.TemporaryFile()  # noqa: SIM115 - of this process, until it ends
    for stream in (1, 2):
        os.dup2(noise.fileno(), stream)
    for number, sample, files in todo:
        noise.seek(0)
        noise.truncate()
        with contextlib.suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5")  # the peak of memory begins anew
        before = memory("VmRSS")
        outcome = tried(sample.path.name, sample.kind, mutated(files, number), at)
        more = memory("VmHWM") - before
        sys.stdout.flush()
        sys.stderr.flush()
        noise.seek(0)
        heard = noise.read()
        if more > MEMORY and outcome.name in FINE:
            outcome = Outcome("memory", f"{more / 2**20:.0f} MiB; {outcome.said}")
        elif heard and outcome.name in FINE:
            outcome = Outcome("noise", heard.decode(errors="replace")[-300:])
        pipe.send(outcome)


def memory(name: str) -> int:
    """Bytes of this process, as Linux counts them."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(x.split()[1]) * 1024 for x in lines if x.startswith(name))


if __name__ == "__main__":
    main()

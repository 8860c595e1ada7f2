"""Damaged files of every format, read and written: no crash, hang, traceback or half file.

    python benchmarks/fuzz.py                                  # 10,000 files of all formats
    python benchmarks/fuzz.py --formats TIFF,DICOM --seed 1 --count 2000
    python benchmarks/fuzz.py --data DIR                       # also damaged copies of your files
    python benchmarks/fuzz.py --keep DIR                       # writes the files with findings

Small files of each format are made (`tests/corpus.py`), damaged by rule (`tests/mutations.py`; the
same files for the same seed), and taken through `hush.run` with the method `none` into a file. The
work is done in a child process with limits of time and memory. Exits 1 if there are findings.

crash: the process died. hang: 10 s passed. traceback: an exception other than `HushError`. sentence:
its message is no single readable sentence that begins with the file's name. left: files remain
beside a result that failed, or that is not the result. input: the input was changed. memory: more
than 256 MiB, or the limit of 2 GiB was reached. noise: a library printed something. changed: what
was written does not read as what was read.
"""

from __future__ import annotations

import argparse
import contextlib
import multiprocessing
import os
import resource
import shutil
import sys
import tempfile
import time
import traceback
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from corpus import Sample, corpus, unmade  # noqa: E402
from mutations import mutated  # noqa: E402

import hush  # noqa: E402
from hush import io  # noqa: E402
from hush.errors import HushError  # noqa: E402

SECONDS = 10.0  #: after which a file hangs
MEMORY = 2**28  #: bytes that a small file may take
LIMIT = 2**31  #: bytes that it can take at most
LONGEST = 600  #: characters of a message, beside the file's name


@dataclass(frozen=True)
class Outcome:
    """read, or refused in reading or writing, or a finding; and what was said."""

    name: str
    said: str = ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--formats", default="", help="names, separated by commas")
    parser.add_argument("--data", type=Path, help="a folder of further small files")
    parser.add_argument("--keep", type=Path, help="a folder for the files with findings")
    args = parser.parse_args()
    names = tuple(filter(None, args.formats.split(",")))
    start = time.perf_counter()
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
        for number, sample, outcome in outcomes(samples, args.count, args.seed, place):
            table[sample.format][outcome.name] += 1
            if outcome.name not in FINE:
                where = f"{sample.path.parent.name}/{sample.path.name} seed {number}"
                said[f"{outcome.name}: {sample.format}: {outcome.said}"].append(where)
                if args.keep:
                    keep(sample, number, args.keep)
    found = report(table, said)
    print(f"{sum(map(Counter.total, table.values()))} files, {found} findings, "
          f"{time.perf_counter() - start:.0f} s")
    sys.exit(bool(found))


FINE = ("read", "refused", "not written")
FINDINGS = ("crash", "hang", "traceback", "sentence", "left", "input", "memory", "noise", "changed")


def report(table: dict[str, Counter[str]], said: dict[str, list[str]]) -> int:
    """Print the table and each finding once; return their number."""
    columns = (*FINE, *FINDINGS)
    print(f"{'format':20}", *(f"{name:>11}" for name in columns))
    for name, counts in [*sorted(table.items()), ("all", sum(table.values(), Counter()))]:
        print(f"{name:20}", *(f"{counts[c]:11}" for c in columns))
    for text, where in sorted(said.items(), key=lambda pair: -len(pair[1])):
        print(f"\n{len(where)} × {text}\n    {where[0]}")
    return sum(map(len, said.values()))


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


def lay(files: dict[str, bytes], folder: Path) -> None:
    for name, raw in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(raw)


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
    noise = tempfile.TemporaryFile()  # noqa: SIM115 - of this process, until it ends
    for stream in (1, 2):
        os.dup2(noise.fileno(), stream)
    for number, sample, files in todo:
        noise.seek(0)
        noise.truncate()
        with contextlib.suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5")  # the peak of memory begins anew
        before = memory("VmRSS")
        outcome = tried(sample, mutated(files, number), at)
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


def tried(sample: Sample, files: dict[str, bytes], at: Path) -> Outcome:
    """Read and write one damaged input in a folder of its own."""
    shutil.rmtree(at, ignore_errors=True)
    lay(files, at / "in")
    path = at / "in" / sample.path.name
    out = at / "out"
    out.mkdir()
    outcome = converted(path, sample.kind, out)
    now = {p.relative_to(at / "in").as_posix(): p for p in (at / "in").rglob("*") if p.is_file()}
    if now.keys() != files.keys() or any(p.read_bytes() != files[n] for n, p in now.items()):
        return Outcome("input", outcome.said)
    left = [p.name for p in out.rglob("*")]
    if outcome.name not in ("read", "changed", "traceback") and left:
        return Outcome("left", f"{left} after {outcome}")
    if any(name.startswith(".hush") for name in left):
        return Outcome("left", f"{left}")
    return outcome


def converted(path: Path, kind: str | None, out: Path) -> Outcome:
    """Through `hush.run` with the method `none`, and read again."""
    step = "refused"
    try:
        record = hush.read(path, kind=kind)
        step = "not written"
        target = io.output_path(path, f"{out}/", kind=kind)
        made = hush.run(record, method="none", into=target)
        again = hush.read(target, kind=record.kind)
        if again.data.size != made.data.size or not np.array_equal(
            np.sort(again.data, None), np.sort(made.data, None), equal_nan=made.data.dtype.kind == "f"
        ):
            return Outcome("changed", f"{made.data.shape} {made.data.dtype}, {again.data.shape}")
        return Outcome("read")
    except HushError as error:
        return judged(step, str(error), path, out)
    except MemoryError:
        return Outcome("memory", "MemoryError")
    except Exception as error:
        frames = [f for f in traceback.extract_tb(error.__traceback__) if "hush" in f.filename]
        last = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
        return Outcome("traceback", f"{last} {type(error).__name__}: {error}"[:300])


def judged(step: str, said: str, path: Path, out: Path) -> Outcome:
    """A refusal, if its message is a sentence."""
    rest = said.replace(str(path), "").replace(str(path.parent), "").replace(str(out), "")
    if "does not fit in memory" in said:
        return Outcome("memory", rest)
    if "\n" in said or len(rest) > LONGEST or not rest.isprintable():
        return Outcome("sentence", ascii(rest)[:300])
    if step == "refused" and not said.startswith(str(path.parent)):
        return Outcome("sentence", f"without the file: {rest}")
    return Outcome(step, rest)


if __name__ == "__main__":
    main()

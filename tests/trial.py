"""One input taken through hush, read, denoised by the method `none` and written: how it went."""

from __future__ import annotations

import shutil
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import hush
from hush import io, kinds
from hush.errors import HushError
from hush.record import Record

FINE = ("read", "refused", "not written")
LONGEST = 600  #: characters of a message, beside the file's name


@dataclass(frozen=True)
class Outcome:
    """read, or refused in reading or writing, or a finding; and what was said."""

    name: str
    said: str = ""


def lay(files: Mapping[str, bytes], folder: Path) -> None:
    for name, raw in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(raw)


def tried(
    name: str, kind: str | None, files: Mapping[str, bytes], at: Path, run: bool = True
) -> Outcome:
    """Read and write one input in a folder of its own; run : with `hush.run` in between."""
    shutil.rmtree(at, ignore_errors=True)
    lay(files, at / "in")
    path = at / "in" / name
    out = at / "out"
    out.mkdir()
    outcome = converted(path, kind, out, run)
    now = {p.relative_to(at / "in").as_posix(): p for p in (at / "in").rglob("*") if p.is_file()}
    if now.keys() != files.keys() or any(p.read_bytes() != files[n] for n, p in now.items()):
        return Outcome("input", outcome.said)
    left = [p.name for p in out.rglob("*")]
    if outcome.name not in ("read", "changed", "traceback") and left:
        return Outcome("left", f"{left} after {outcome}")
    if any(name.startswith(".hush") for name in left):
        return Outcome("left", f"{left}")
    return outcome


def converted(path: Path, kind: str | None, out: Path, run: bool = True) -> Outcome:
    """Through `hush.run` with the method `none`, or only read and written; and read again."""
    step = "refused"
    try:
        record = hush.read(path, kind=kind)
        step = "not written"
        target = io.output_path(path, f"{out}/", kind=kind)
        if run:
            record = hush.run(record, method="none", into=target).record
        else:
            io.write(record.with_data(record.data.copy()), target)
        again = hush.read(target, kind=record.kind)
        if not same(record, again):
            return Outcome("changed", f"{record.data.shape}, {again.data.shape}")
        return Outcome("read")
    except HushError as error:
        return judged(step, str(error), path, out)
    except MemoryError:
        return Outcome("memory", "MemoryError")
    except Exception as error:
        frames = [f for f in traceback.extract_tb(error.__traceback__) if "hush" in f.filename]
        last = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
        return Outcome("traceback", f"{last} {type(error).__name__}: {error}"[:300])


def same(a: Record, b: Record) -> bool:
    """Whether two records have equal values of one type, whatever the order of their axes."""
    items = [[x.data] if a.data.shape == b.data.shape else kinds.to_batch(x).data for x in (a, b)]
    return len(items[0]) == len(items[1]) and all(
        x.dtype.newbyteorder("=") == y.dtype.newbyteorder("=")
        and np.array_equal(x, y, equal_nan=x.dtype.kind == "f")
        for x, y in zip(*items, strict=True)
    )


def judged(step: str, said: str, path: Path, out: Path) -> Outcome:
    """A refusal, if its message is a sentence."""
    rest = said.replace(str(path), "").replace(str(path.parent), "").replace(str(out), "")
    if "\n" in said or len(rest) > LONGEST or not rest.isprintable():
        return Outcome("sentence", ascii(rest)[:300])
    if step == "refused" and not said.startswith(str(path.parent)):
        return Outcome("sentence", f"without the file: {rest}")
    return Outcome(step, rest)

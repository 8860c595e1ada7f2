"""A toy format: text of two columns, time and value, for traces."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hush.errors import HushError
from hush.io import Format
from hush.record import Record


def read(path: Path) -> Record:
    """The second column; the first goes back as it is."""
    table = np.loadtxt(path, ndmin=2)
    if table.shape[1] != 2:
        raise HushError(f"has {table.shape[1]} columns, not time and value")
    return Record(table[:, 1], "T", kind="trace", meta={"time": table[:, 0]})


def write(record: Record, path: Path) -> None:
    """Time and value, a line each."""
    time = record.meta.get("time", np.arange(len(record.data)))
    np.savetxt(path, np.stack([time, record.data.ravel()], axis=1))


def check(record: Record) -> None:
    """Only a trace of one channel."""
    if record.kind != "trace" or record.channels != 1:
        raise HushError("two columns hold one trace; write an .npy file")


COLUMNS = Format("two columns", (".xy",), read, write, kind="trace", check=check, real=True)

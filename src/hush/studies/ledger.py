"""Results on disk: one JSON line per finished cell, per-sample values in a file beside."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np

from hush.errors import HushError

T = TypeVar("T")

_BEGINNING = b'{"study": '  # of every line that is written here


class Key(NamedTuple):
    """What makes a cell one of a kind."""

    study: str
    case: str
    method: str
    metric: str
    seed: int


@dataclass(frozen=True)
class Cell:
    """One figure: the mean of a metric over `n` samples, and their standard deviation.

    `value` is None where the mean is not finite. `reference` says that the row knows more than a
    user does, such as clean targets, true labels or the noise; `judge`, that the metric is an aim
    of denoising. The fields are the JSON line, in its order; older lines end with `paper`.
    """

    study: str
    case: str
    method: str
    metric: str
    higher_is_better: bool
    value: float | None
    std: float | None
    n: int
    seed: int
    paper: float | None
    reference: bool = False
    judge: bool = True

    @classmethod
    def of(
        cls,
        key: Key,
        higher_is_better: bool,
        values: Mapping[str, float],
        paper: float | None,
        *,
        reference: bool = False,
        judge: bool = True,
    ) -> Cell:
        """The cell of these per-sample values."""
        x = np.asarray(list(values.values()), dtype=np.float64)
        finite = len(x) > 0 and bool(np.isfinite(x).all())
        return cls(
            study=key.study,
            case=key.case,
            method=key.method,
            metric=key.metric,
            higher_is_better=higher_is_better,
            value=float(x.mean()) if finite else None,
            std=float(x.std(ddof=min(1, len(x) - 1))) if finite else None,
            n=len(x),
            seed=key.seed,
            paper=paper,
            reference=reference,
            judge=judge,
        )

    @property
    def key(self) -> Key:
        return Key(self.study, self.case, self.method, self.metric, self.seed)


class Ledger:
    """Finished cells, in memory and, given a path, on disk as they come.

    cells : by key; values : per-sample values by key, NaN where they were not finite.

    The path's file holds the cells; ``NAME.samples.jsonl`` beside it holds the values. What a
    killed run left of its last line is cut off. Raises `HushError` for other damage.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path
        self.cells: dict[Key, Cell] = {}
        self.values: dict[Key, dict[str, float]] = {}
        if path is None:
            return
        self._samples = path.with_suffix(".samples.jsonl")
        for cell in _read(path, lambda line: Cell(**_named_anew(line))):
            self.cells[cell.key] = cell
        for key, values in _read(self._samples, _parse_values):
            self.values[key] = values

    def __contains__(self, key: Key) -> bool:
        return key in self.cells

    def add(self, cell: Cell, values: Mapping[str, float]) -> None:
        """Take a finished cell. Its samples are written first: a cell on disk is complete."""
        self.cells[cell.key] = cell
        self.values[cell.key] = dict(values)
        if self.path is not None:
            finite = {name: v if math.isfinite(v) else None for name, v in values.items()}
            line = {**cell.key._asdict(), "reference": cell.reference, "values": finite}
            _append(self._samples, line)
            _append(self.path, asdict(cell))


def _named_anew(line: dict[str, Any]) -> dict[str, Any]:
    """A line as it is, but for an older one of a row that was told the noise without saying so."""
    told = line["study"].startswith("diffdenoise/") and line["method"] in ("mid", "bm3d")
    if "reference" in line or not told:
        return line
    return {**line, "method": f"{line['method']}:told", "reference": True}


def _parse_values(line: dict[str, Any]) -> tuple[Key, dict[str, float]]:
    line = _named_anew(line)
    values = line.pop("values")
    line.pop("reference", None)
    return Key(**line), {name: math.nan if v is None else v for name, v in values.items()}


def _append(path: Path, record: Mapping[str, Any]) -> None:
    try:
        with path.open("a", encoding="utf-8") as f:
            f.write(json.dumps(record, ensure_ascii=False, allow_nan=False) + "\n")
    except OSError as e:
        raise HushError(f"{path} cannot be written: {e.strerror}") from e


def _read(path: Path, parse: Callable[[Any], T]) -> list[T]:
    """The file's lines, parsed; an incomplete last one is cut off, on disk too."""
    if not path.exists():
        return []
    records: list[T] = []
    text = path.read_bytes()
    whole = text.rfind(b"\n") + 1
    if whole < len(text) and _BEGINNING.startswith(text[whole:][: len(_BEGINNING)]):
        with path.open("r+b") as f:
            f.truncate(whole)
        text = text[:whole]
    for number, line in enumerate(text.splitlines(), 1):
        try:
            records.append(parse(json.loads(line)))
        except (ValueError, TypeError, KeyError, AttributeError) as e:
            raise HushError(
                f"line {number} of {path} is not a study's; give --json another file"
            ) from e
    return records

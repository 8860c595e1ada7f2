"""Results on disk: one JSON line per finished cell; per-sample values in a second file."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np

from hush.errors import HushError

T = TypeVar("T")

_BEGINNING = b'{"study": '  # of every line


class Key(NamedTuple):
    """Identifies a cell."""

    study: str
    case: str
    method: str
    metric: str
    seed: int


@dataclass(frozen=True)
class Cell:
    """One figure: the mean of a metric over `n` samples, and their standard deviation.

    value : None if the mean is not finite. reference : the row uses information that users do not
    have, such as clean targets, true labels or the noise. judge : the metric is a goal of
    denoising. The fields are those of the JSON line, in order; older lines end with `paper`.
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
        mean: Callable[[Mapping[str, float]], float] | None = None,
    ) -> Cell:
        """The cell for these per-sample values; `mean` weighs them, if they do not count alike."""
        x = np.asarray(list(values.values()), dtype=np.float64)
        finite = len(x) > 0 and bool(np.isfinite(x).all())
        middle = mean or (lambda of: float(np.mean(list(of.values()))))
        return cls(
            study=key.study,
            case=key.case,
            method=key.method,
            metric=key.metric,
            higher_is_better=higher_is_better,
            value=middle(values) if finite else None,
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
    """Finished cells, in memory and, given a path, also on disk.

    cells : by key; values : per-sample values by key, NaN if they were not finite.

    begun : values of samples in unfinished cells.

    The path's file contains the cells; ``NAME.samples.jsonl`` beside it contains the values, and
    ``NAME.begun.jsonl`` those of samples that took long. A partial last line from a killed run is
    removed. Raises `HushError` for other damage.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path
        self.cells: dict[Key, Cell] = {}
        self.values: dict[Key, dict[str, float]] = {}
        self.begun: dict[Key, dict[str, dict[str, float]]] = {}
        if path is None:
            return
        self._samples = path.with_suffix(".samples.jsonl")
        self._begun = path.with_suffix(".begun.jsonl")
        for cell in _read(path, lambda line: Cell(**_named_anew(line))):
            self.cells[cell.key] = cell
        for key, values in _read(self._samples, _parse_values):
            self.values[key] = values
        for sample, key, values in _read(self._begun, _parse_begun):
            self.begun.setdefault(key, {})[sample] = values

    def __contains__(self, key: Key) -> bool:
        return key in self.cells

    def add(self, cell: Cell, values: Mapping[str, float]) -> None:
        """Add a finished cell. Its samples are written first, so a cell on disk is complete."""
        self.cells[cell.key] = cell
        self.values[cell.key] = dict(values)
        if self.path is not None:
            about = {**cell.key._asdict(), "reference": cell.reference}
            line = {**about, "values": _finite(values)}
            _append(self._samples, line)
            _append(self.path, asdict(cell))

    def note(self, sample: str, scores: Mapping[Key, Mapping[str, float]]) -> None:
        """Keep a sample's values in cells that are not finished yet."""
        for key, values in scores.items():
            self.begun.setdefault(key, {})[sample] = dict(values)
            if self.path is not None:
                line = {**key._asdict(), "sample": sample, "values": _finite(values)}
                _append(self._begun, line)

    def noted(self, sample: str, keys: Iterable[Key]) -> dict[Key, dict[str, float]] | None:
        """A sample's values in these cells from a run that was stopped; None without all."""
        found = {key: self.begun.get(key, {}).get(sample) for key in keys}
        return None if None in found.values() else found  # type: ignore[return-value]


def _named_anew(line: dict[str, Any]) -> dict[str, Any]:
    """The line; in older ones, rows that were given the noise get their current name and flag."""
    told = line["study"].startswith("diffdenoise/") and line["method"] in ("mid", "bm3d")
    if "reference" in line or not told:
        return line
    return {**line, "method": f"{line['method']}:told", "reference": True}


def _parse_values(line: dict[str, Any]) -> tuple[Key, dict[str, float]]:
    line = _named_anew(line)
    values = line.pop("values")
    line.pop("reference", None)
    return Key(**line), {name: math.nan if v is None else v for name, v in values.items()}


def _parse_begun(line: dict[str, Any]) -> tuple[str, Key, dict[str, float]]:
    sample = line.pop("sample")
    return sample, *_parse_values(line)


def _finite(values: Mapping[str, float]) -> dict[str, float | None]:
    return {name: v if math.isfinite(v) else None for name, v in values.items()}


def _append(path: Path, record: Mapping[str, Any]) -> None:
    try:
        with path.open("a", encoding="utf-8") as f:
            f.write(json.dumps(record, ensure_ascii=False, allow_nan=False) + "\n")
    except OSError as e:
        raise HushError(f"{path} cannot be written: {e.strerror}") from e


def _read(path: Path, parse: Callable[[Any], T]) -> list[T]:
    """The file's lines, parsed; an incomplete last line is removed, also on disk."""
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
                f"line {number} of {path} is not from a study; choose another file for --json"
            ) from e
    return records

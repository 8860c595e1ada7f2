"""Results as plain values for JSON; levels in the data's own units."""

from __future__ import annotations

import math
from typing import Any

from hush.comparison import Check
from hush.report import describe
from hush.results import Estimate, Inspection, Item


def inspection(seen: Inspection) -> dict[str, Any]:
    """An inspection as plain values, levels in the data's own units."""
    found, scale = seen.estimate, seen.record.scale
    return {
        **estimate(found, scale),
        "undecided": found.undecided,
        "alternatives": list(found.alternatives),
        "channels": [s * scale for s in found.channels],
        "step": seen.step,
        "spec": None if found.field is not None else describe.spec(found.process, scale),
        "method": seen.method,
        "model": seen.model or None,
        "steps": seen.steps,
        "kind": seen.record.kind,
        "shape": list(seen.record.data.shape),
        "axes": seen.record.axes,
        "dtype": seen.record.data.dtype.name,
        "nonfinite": describe.missing(seen.record),
        "items": list(seen.survey.items) if seen.survey else None,
        "warnings": seen.warnings,
    }


def estimate(found: Estimate, scale: float) -> dict[str, Any]:
    """An estimate as plain values, levels in the data's own units."""
    return {
        "family": found.family,
        "sigma": found.sigma * scale,
        "sigma_range": sigma_range(found, scale),
        "gain": found.gain * scale,
        "read_sigma": found.read_sigma * scale,
        "gamma_shape": found.shape if math.isfinite(found.shape) else None,
        "impulses": found.impulses,
        "hits": found.hits,
        "lines": lines(found, scale),
        "correlated": found.correlated,
        "correlation": found.correlation,
        "autocorrelation": list(found.autocorrelation),
        "kernel_width": None if math.isnan(found.kernel_width) else found.kernel_width,
        "clipped": found.clipped,
        "uncertainty": found.uncertainty,
    }


def lines(found: Estimate, scale: float) -> dict[str, Any] | None:
    """Levels of offsets of rows and columns and of hum, and its periods; None without any."""
    if not found.lines:
        return None
    return {
        "rows": found.lines.along.get("rows", 0.0) * scale,
        "columns": found.lines.along.get("columns", 0.0) * scale,
        "hum": found.lines.hum * scale,
        "periods": [wave.period for wave in found.lines.waves],
    }


def sigma_range(found: Estimate, scale: float) -> list[float] | None:
    """The lowest and highest level of all places; None if it does not vary."""
    return None if found.sigma_range is None else [s * scale for s in found.sigma_range]


def process(made: Item, scale: float) -> str:
    """The noise that was removed, as text for ``--noise`` if it has one."""
    own = made.found if made.process is made.found.process else None
    return describe.spec(made.process, scale, own)


def item(made: Item, scale: float) -> dict[str, Any]:
    """The result for an item as plain values, levels in the data's own units."""
    return {
        "index": made.index,
        "name": made.title or None,
        "channel": made.channel,
        "law": made.law,
        "family": made.found.family,
        "sigma": made.found.sigma * scale,
        "correlated": made.found.correlated,
        "sigma_range": sigma_range(made.found, scale),
        "lines": lines(made.found, scale),
        "process": process(made, scale),
        "step": made.step,
        "removed_rms": made.judgement.stats["rms"] * scale,
        "kept": None if made.kept is None else int(made.kept.sum()),
        "ratio": made.judgement.stats["ratio"],
        "check": None if made.check is None else check(made.check, scale),
        "warnings": made.warnings,
    }


def check(seen: Check, scale: float) -> dict[str, Any]:
    """What two halves of an item tell, as plain values; errors as rms in the data's own units."""
    return {
        "errors": {k: math.sqrt(max(e, 0.0)) * scale for k, e in seen.errors.items()},
        "best": seen.best,
        "kept": seen.kept,
        "visible": seen.visible,
        "unshared": seen.unshared,
    }

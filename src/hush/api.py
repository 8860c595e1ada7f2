"""The five calls of one image, put together: what the command line and `hush.denoise` run."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import lru_cache
from numbers import Integral, Real
from pathlib import Path
from typing import Any

import numpy as np

from hush.denoiser import Denoiser, process_of
from hush.errors import HushError
from hush.kinds.image.advice import check_level, input_warnings
from hush.kinds.image.measure.small import estimate_any
from hush.kinds.image.residual import residual_statistics
from hush.kinds.image.residual import warnings as residual_warnings
from hush.kinds.image.zerofill import reduced
from hush.kinds.layout import check_dtype as check_dtype
from hush.kinds.layout import default_axes, finite
from hush.methods import WEIGHTS, get, load, shipped
from hush.noise.processes import Process
from hush.record import Batch, Record
from hush.report import describe
from hush.results import Estimate, Inspection, Result

#: told (what is being done, share of it that is done)
Progress = Callable[[str, float], None]

#: Ψ sees the middle of larger images when they are only inspected, 1024 × 1024 of it
MOST_INSPECTED = 2**20
#: samples that a model adapts to at most, 256 MB of them
MOST_ADAPTED = 64 * 2**20


def denoise(
    x: np.ndarray,
    *,
    axes: str | None = None,
    noise: str | Process | None = None,
    model: str | Path | Denoiser | None = None,
    method: str = "mid",
    steps: int | None = None,
    strength: float = 1.0,
    adapt: float = 0.0,
    seed: int = 0,
    device: str = "auto",
) -> np.ndarray:
    """Denoise an array; same dtype, shape and range out.

    axes : a letter per dimension (T, Z, C, Y, X, S); by default ``YX``, with a short last axis of
        1, 3 or 4 as samples (``YXS``) and what comes before as a stack.
    noise : such as ``"gaussian:25/255"``; estimated when not given.
    model : a shipped model's name, a file, or a `Denoiser`; chosen by the channels otherwise.
    steps : increments to walk down; the model's own number by default.
    strength : share of the estimated noise to remove, 0 to 1.
    adapt : seconds of self-supervised training on this very array first.

    Raises `HushError`, in one sentence, for input that cannot be denoised.
    """
    x = np.asarray(x)
    record = Record(x, axes or default_axes(x.shape))
    result = denoise_record(
        record,
        noise=noise,
        model=model,
        method=method,
        steps=steps,
        strength=strength,
        adapt=adapt,
        seed=seed,
        device=device,
    )
    return result.record.data


def denoise_record(
    record: Record,
    *,
    noise: str | Process | None = None,
    model: str | Path | Denoiser | None = None,
    method: str = "mid",
    steps: int | None = None,
    strength: float = 1.0,
    adapt: float = 0.0,
    seed: int = 0,
    device: str = "auto",
    progress: Progress | None = None,
    was_adapted: bool = False,
    uncertainty: bool = False,
) -> Result:
    """Denoise what a file held; see `denoise`.

    `progress` is told what is going on. `was_adapted` says that adapting `model` to the record
    has been tried, so that nobody is sent to try it again. `uncertainty` asks for
    `Result.spread`; `HushError` for a model that has none.
    """
    if not isinstance(strength, Real) or not 0 <= strength <= 1:
        raise HushError(f"strength is the share of the noise to remove, 0 to 1, not {strength!r}")
    if not isinstance(adapt, Real) or not 0 <= adapt < math.inf:
        raise HushError(f"adapt is the seconds to train on the image first, from 0, not {adapt!r}")
    check_dtype(record.data)
    timings: dict[str, float] = {}
    batch = record.to_batch()
    denoiser = choose(record, model, method, steps, device)
    denoiser = denoiser.with_spread() if uncertainty else denoiser
    process = process_of(noise, batch.scale)
    if process is not None:
        check_level(record, process)
    if adapt > 0:
        start = time.perf_counter()
        planes = Planes()
        planes.add(record)
        denoiser = adapted(denoiser, planes, adapt, noise=process, seed=seed, progress=progress)
        timings["adapt"] = time.perf_counter() - start

    start = time.perf_counter()
    out = np.empty(batch.data.shape, record.data.dtype)
    done = 0.0

    def advance(share: float) -> None:
        nonlocal done
        done += share / len(batch)
        if progress:
            progress("denoising", min(done, 1.0))

    first, spreads = None, []
    for i in range(len(batch)):
        out[i], how = denoiser.denoise_item(batch, i, process, strength, advance)
        if how.spread is not None:
            spreads.append(how.spread)
        # the pictures themselves are in `out` and `spreads`
        first = first or replace(how, data=np.empty(0), spread=None)
        del how
    timings["denoise"] = time.perf_counter() - start
    assert first is not None  # to_batch never gives an empty batch
    start = time.perf_counter()
    found = estimate_record(record) if len(batch) > 1 or not first.found else first.found
    notes = input_warnings(record, process, found)
    process = first.process or found.process
    residual = residual_statistics(batch.data, out, process, strength=strength, scale=batch.scale)
    timings["check"] = time.perf_counter() - start
    adaptable = hasattr(denoiser, "adapt") and not (adapt or was_adapted or found.correlated)
    notes += residual_warnings(residual, known=found.correlated, adaptable=adaptable)
    return Result(
        record=record.with_batch(out),
        noisy=record,
        estimate=found,
        process=process,
        method=denoiser.name,
        model=model_name(model, record, method) if denoiser.trained else "",
        steps=getattr(denoiser, "steps", 1),
        step=first.step,
        trace=first.trace,
        timings=timings,
        warnings=notes,
        residual=residual,
        spread=_like(record, np.stack(spreads)) if spreads else None,
    )


def inspect(x: np.ndarray | Record, axes: str | None = None, device: str = "cpu") -> dict[str, Any]:
    """The noise in an image, and what denoising it would do; levels in the data's own units.

    Returns at least family, sigma, gain, read_sigma, correlated, correlation, clipped, step,
    spec (for ``--noise``), method and model.
    """
    record = x if isinstance(x, Record) else Record(np.asarray(x), axes or default_axes(x.shape))
    return inspection_row(inspect_record(record, device))


def inspect_record(record: Record, device: str = "cpu") -> Inspection:
    """What `inspect` says, as an object that a page can be made of."""
    check_dtype(record.data)
    found = estimate_record(record)
    denoiser: Any = choose(record, None, "mid", None, device)
    batch = _middle(record.to_batch(), MOST_INSPECTED)
    planes = _planes(denoiser, finite(batch.floats(len(batch) // 2)))
    return Inspection(
        record=record,
        estimate=found,
        method=denoiser.name,
        model=model_name(None, record),
        steps=getattr(denoiser, "steps", 1),
        step=max(float(denoiser.estimate(x, None, found)[1]) for x in planes),
        warnings=input_warnings(record, None, found),
    )


def inspection_row(seen: Inspection) -> dict[str, Any]:
    """All of it as plain values, levels in the data's own units."""
    found, scale = seen.estimate, seen.record.to_batch().scale
    return {
        "family": found.family,
        "sigma": found.sigma * scale,
        "gain": found.gain * scale,
        "read_sigma": found.read_sigma * scale,
        "gamma_shape": found.shape if math.isfinite(found.shape) else None,
        "impulses": found.impulses,
        "correlated": found.correlated,
        "correlation": found.correlation,
        "autocorrelation": list(found.autocorrelation),
        "kernel_width": None if math.isnan(found.kernel_width) else found.kernel_width,
        "clipped": found.clipped,
        "undecided": found.undecided,
        "alternatives": list(found.alternatives),
        "uncertainty": found.uncertainty,
        "channels": [s * scale for s in found.channels],
        "step": seen.step,
        "spec": found.process.spec(scale),
        "method": seen.method,
        "model": seen.model,
        "steps": seen.steps,
        "shape": list(seen.record.data.shape),
        "axes": seen.record.axes,
        "dtype": seen.record.data.dtype.name,
        "nonfinite": describe.missing(seen.record),
        "warnings": seen.warnings,
    }


def models() -> list[dict[str, Any]]:
    """The shipped models' cards, by name."""
    cards = []
    for path in sorted(WEIGHTS.glob("*.json")):
        cards.append({"name": path.stem, **json.loads(path.read_text(encoding="utf-8"))})
    return cards


def choose(
    record: Record,
    model: str | Path | Denoiser | None,
    method: str,
    steps: int | None,
    device: str,
) -> Denoiser:
    """The denoiser for a record: the one given, the shipped one for its channels, or a method."""
    cls = get(method)
    if isinstance(model, Denoiser):
        denoiser = model
    elif not cls.trained:
        if model is not None:
            raise HushError(f"{method} has nothing to learn and takes no model; leave --model out")
        denoiser = cls()
    else:
        denoiser = _load(str(model_path(model_name(model, record, method))))
    if steps is not None:
        if not isinstance(steps, Integral) or steps < 1:
            raise HushError(f"steps is a whole number, 1 or more, not {steps!r}")
        if not hasattr(denoiser, "steps"):
            raise HushError(f"{denoiser.name} does not iterate; leave --steps out")
        denoiser = denoiser.replace(steps=steps)
    place = resolve_device(device)
    return denoiser.to(place)


@dataclass
class Planes:
    """What a denoiser is to adapt to: planes of records, however many, in a bounded memory.

    All of them while they have at most `most` samples together, 64 megapixels of gray; beyond
    that every second, every fourth and so on, and of a plane that is larger alone the middle.
    """

    most: int = MOST_ADAPTED
    kept: list[np.ndarray] = field(default_factory=list, init=False)
    _seen: int = field(default=0, init=False)
    _every: int = field(default=1, init=False)

    def add(self, record: Record) -> None:
        """Take planes of one more record, as images ``(C, H, W)`` in units of full range."""
        batch = _middle(record.to_batch(), self.most)
        for i in range(len(batch)):
            if self._seen % self._every == 0:
                self.kept.append(finite(batch.floats(i)))
            self._seen += 1
            while len(self.kept) > 1 and sum(x.size for x in self.kept) > self.most:
                self.kept = self.kept[::2]
                self._every *= 2


def adapted(
    denoiser: Denoiser,
    planes: Planes,
    seconds: float,
    *,
    noise: Process | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> Denoiser:
    """`denoiser` after self-supervised training on these very planes, if that made it better."""
    if not hasattr(denoiser, "adapt"):
        raise HushError(f"{denoiser.name} cannot adapt to a file; leave --adapt out")
    images = [x for whole in planes.kept for x in _planes(denoiser, whole)]
    told = (lambda share: progress("adapting", share)) if progress else None
    better: Denoiser = denoiser.adapt(images, seconds, noise=noise, seed=seed, advance=told)
    return better


def estimate_record(record: Record, most: int = 8) -> Estimate:
    """The noise of a record, from at most `most` planes spread evenly over it."""
    batch = record.to_batch()
    chosen = np.unique(np.linspace(0, len(batch) - 1, most).astype(int))
    return estimate_any([reduced(batch.floats(int(i))) for i in chosen])


def resolve_device(device: str) -> str:
    """``auto`` as the device there is; `HushError` for one that is not."""
    if device == "cpu":
        return device
    import torch

    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if not torch.cuda.is_available() and device.startswith("cuda"):
        raise HushError("there is no CUDA device here; use --device cpu")
    if not device.startswith("cuda"):
        raise HushError(f"'{device}' is no device hush knows; use auto, cpu or cuda")
    return device


@lru_cache(maxsize=4)
def _load(path: str) -> Denoiser:
    return load(path)


def model_name(model: str | Path | Denoiser | None, record: Record, method: str = "mid") -> str:
    """What the model for a record is called: as given, or the shipped one for its channels."""
    if isinstance(model, Denoiser):
        return ""
    if model is not None:
        return str(model)
    # Colour statistics belong to interleaved RGB; other channels are unrelated gray images.
    name = shipped(method, record.channels if "S" in record.axes else 1)
    if not (WEIGHTS / f"{name}.safetensors").exists():
        raise HushError(
            f"no model is shipped for {method}; train one with hush train --method {method}, "
            "and give it with --model"
        )
    return name


def model_path(name: str) -> Path:
    """The file of a model: a shipped one's name, or a path."""
    shipped = WEIGHTS / f"{name}.safetensors"
    if shipped.exists():
        return shipped
    path = Path(name)
    if not path.exists():
        names = ", ".join(card["name"] for card in models())
        raise HushError(f"there is no model '{name}': give a file, or one of {names}")
    return path


def _planes(denoiser: Denoiser, x: np.ndarray) -> list[np.ndarray]:
    """An image as the denoiser sees it: whole, or channel by channel under a gray model."""
    gray = getattr(denoiser, "channels", None) == 1
    return [plane[None] for plane in x] if gray else [x]


def _like(record: Record, data: np.ndarray) -> Record:
    """A map of a record's pixels, `data` ``(B, C, *S)``, laid out as it is and in its units.

    Of the metadata only the pixels' size holds for it, too.
    """
    meta = {k: v for k, v in record.meta.items() if k == "resolution"}
    return replace(record.with_batch(data), meta=meta, full=record.scale)


def _middle(batch: Batch, most: int) -> Batch:
    """The middle of every image, at most `most` samples of it."""
    share = min(1.0, math.sqrt(most / batch.data[0].size))
    sides = [(n, max(1, int(n * share))) for n in batch.data.shape[2:]]
    middle = [slice((n - side) // 2, (n - side) // 2 + side) for n, side in sides]
    return replace(batch, data=batch.data[:, :, *middle])

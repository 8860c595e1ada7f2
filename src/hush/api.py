"""The Python API, which the command line also uses: read, denoise, inspect, report, train.

Every item takes the same path: its kind of data lays it out and measures it once, the method
restores it, and the kind judges the result against the measured noise.
"""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from numbers import Real
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hush import foreign, io, kinds
from hush.check import Depth
from hush.denoiser import Denoiser, process_of
from hush.devices import device_for
from hush.errors import HushError, Unfit
from hush.foreign import Foreign
from hush.kinds import maps
from hush.kinds.cut import Sampled, middle
from hush.kinds.layout import check_dtype, filled, with_gaps
from hush.kinds.ranges import limited, raised, ranged, ready
from hush.kinds.values import check_level
from hush.methods import get
from hush.models import choose, load, name_for
from hush.noise.process import law_of
from hush.noise.processes import Process
from hush.out import Out
from hush.parallel import opened
from hush.pipeline import Work, check_memory, inspect_items, owned
from hush.reading import Source, read, record_of
from hush.record import Batch, Record
from hush.report import frame, rows
from hush.results import Denoised, Inspection, Item, unmapped
from hush.scoring import Stated, scored
from hush.workers import Workers

if TYPE_CHECKING:
    from mne.io import BaseRaw

#: called with (name of the current work, share of it that is done)
Progress = Callable[[str, float], None]

#: seconds of adapting to recordings that the noise names, if no other time is given
TAUGHT = 30.0
#: `inspect` gives Ψ only the middle of larger items, 1024 × 1024 pixels
MOST_INSPECTED = 2**20


@dataclass
class Result(Denoised):
    """A denoised record with its measurements and warnings; notebooks show it as a report."""

    @property
    def data(self) -> np.ndarray:
        """The denoised samples, with the input's dtype and shape."""
        return self.record.data

    @property
    def removed(self) -> Record:
        """What was removed from every value, noisy minus denoised, as float32."""
        return maps.residual(self)

    @property
    def sigma_map(self) -> Record:
        """The standard deviation of the noise in every place; see `hush.kinds.maps.sigma_map`."""
        return maps.sigma_map(self)

    def save(self, path: str | PathLike[str]) -> None:
        """Write the result in the format of the path's ending; a failed write changes nothing."""
        io.write(self.record, path)

    def to_raw(self) -> BaseRaw:
        """The result as a new MNE `Raw`; of one with its info and annotations."""
        return io.mne.to_raw(self.record)

    def report(self, path: str | PathLike[str]) -> None:
        """Write an HTML page with before, after, what was removed, and whether to trust it."""
        write_report([self], path)

    def _repr_html_(self) -> str:
        entry = kinds.get(self.noisy.kind).section(self, frame.SMALLEST_BUDGET)
        page = escape(frame.render([entry]))
        return f'<iframe srcdoc="{page}" style="width:100%;height:48em;border:0"></iframe>'


# -- denoising ---------------------------------------------------------------------------------


def denoise(x: Any, **options: Any) -> Any:
    """Denoise an array or a list; the result has the same dtype, shape and range.

    Takes the options of `run`, and returns only the samples: of an array of another package, such
    as a masked array or a tensor, an object of the same sort (`hush.foreign`).
    """
    own = foreign.taken(x)
    if own is None:
        return run(x, **options).data
    return own.like(run(own, **options).data)


def run(
    x: Source | Foreign,
    *,
    axes: str | None = None,
    kind: str | None = None,
    context: Mapping[str, Any] | None = None,
    noise: str | Process | None = None,
    model: str | Path | Denoiser | None = None,
    method: str | None = None,
    settings: Mapping[str, Any] | None = None,
    steps: int | None = None,
    strength: float = 1.0,
    adapt: float = 0.0,
    seed: int = 0,
    device: str = "auto",
    progress: Progress | None = None,
    uncertainty: bool = False,
    check: Depth | None = None,
    was_adapted: bool = False,
    into: str | PathLike[str] | None = None,
    force: bool = False,
    workers: Workers | None = None,
    anew: bool = True,
) -> Result:
    """Denoise an array, a Record, a file or an MNE `Raw`; the result has its measurements.

    axes : one letter per dimension, such as TZCYX; by default ``YX`` for images, with a last axis
        of length 1, 3 or 4 as samples (``YXS``) and any axes before them as a stack.
    kind : of data, such as ``"image"``; by default detected from the file.
    context : what only this kind of data has, such as ``{"rate": 1000, "channels": "1-4"}``.
    noise : such as ``"gaussian:25/255"``; measured by default, or its level if it is only a law,
        ``"rician"``.
    model : a shipped model's name, a file, or a `Denoiser`; by default chosen by the channels.
    method : a method's name, by default ``"mid"``; settings : of it, such as ``{"seconds": 10}``.
    steps : number of steps to remove the noise in; by default as the model says.
    strength : share of the estimated noise to remove, 0 to 1.
    adapt : seconds of self-supervised training on this data before denoising; by default none, or
        30 if the noise names recordings to learn from (``"ecg:FILE"``).
    progress : called with the current work. uncertainty : also return `Denoised.spread`: between
        the samples that a method draws, else the standard deviation of the error (`hush.check`).
    check : how much of the data is divided into two halves and compared, and so how certain the
        warnings are: "windows", a few; "whole", all, with maps; "peers", and with BM3D, if it is
        installed. By default "windows", and "whole" for an `uncertainty`.
    was_adapted : `model` was already adapted to the data, or adapting did not help.
    into : file to write the result to; item by item in formats that allow it, so that neither has
        to fit in memory. A large file is written in parts: if the run is killed, the same call goes
        on from there (`docs/large.md`).
    force : also denoise what is not meant for it, such as a mask.
    workers : processes that share the parts (`hush.workers.started`). anew : begin again if there
        are parts of a result with other settings; else that is an error.

    Raises `HushError` with one sentence if the input cannot be denoised, and `hush.errors.Unfit`
    if it should not be.
    """
    if not isinstance(strength, Real) or not 0 <= strength <= 1:
        raise HushError(f"strength, the share of noise to remove, is 0 to 1, not {strength!r}")
    if not isinstance(adapt, Real) or not 0 <= adapt < math.inf:
        raise HushError(f"adapt, the seconds of training on the data, is 0 or more, not {adapt!r}")
    record = record_of(x, axes, kind, context)
    chosen = kinds.get(record.kind)
    record = chosen.recognised(record)
    if not force and (why := chosen.unfit(record)):
        raise Unfit(why)
    check_dtype(record.data)
    record, noise = ready(chosen, record, noise)
    batch = limited(chosen, record)
    if chosen.selected and len(batch) > 1:  # results of unlike sizes fit in no array
        raise HushError(f"there are {len(batch)} {chosen.nouns[1]}; give them one by one")
    law = law_of(noise)
    process = None if law else process_of(noise, batch.scale, chosen)
    denoiser = choose(record, model, method, steps, device, process, settings)
    if process is None and denoiser.removes:  # it removes nothing else
        process = process_of(denoiser.removes[0], batch.scale, chosen)
    for name in (k for k, o in chosen.options.items() if o.setting and record.context.get(k)):
        if name not in denoiser.config():
            raise HushError(f"{denoiser.name} has no --{name}; leave it out")
        denoiser = denoiser.replace(**{name: True})
    if uncertainty:
        denoiser = denoiser.with_spread()
        if not denoiser.spreads and chosen.checked is None:
            raise HushError(f"{denoiser.name} gives no uncertainty for {chosen.nouns[1]}")
    if check == "peers" and chosen.checked is None:
        raise HushError(f"{chosen.nouns[1]} are not compared in two halves; leave --check out")
    check_memory(record, batch, denoiser)
    if process is not None:
        check_level(record, process)
    if into is not None:
        io.check(record, into)
    timings: dict[str, float] = {}
    if process is not None and process.teaches and denoiser.adapts and not was_adapted:
        adapt = adapt or TAUGHT
    if adapt > 0:
        start = time.perf_counter()
        sample = Sampled()
        sample.add(raised(denoiser.seen(batch), process))
        denoiser = adapted(denoiser, sample, adapt, noise=process, seed=seed, progress=progress)
        timings["adapt"] = time.perf_counter() - start

    place = None if into is None or denoiser.selects else into
    checks: dict[str, Any] = {
        "guarded": method is None and (model is None or was_adapted),
        "depth": check or ("whole" if uncertainty else "windows"),
        "uncertain": uncertainty,
    }
    made_by = [denoiser, process, law, float(strength), sorted(checks.items())]
    with opened(record, batch, place, workers, made_by, anew, uncertainty) as (file, pool):
        made = _restored(
            record,
            batch,
            denoiser,
            process,
            float(strength),
            file,
            progress,
            bool(adapt or was_adapted),
            law,
            pool=pool,
            **checks,
        )
        made.timings = {**timings, **made.timings}
        if denoiser.learns_from != "nothing":
            made.model = name_for(model, record, denoiser.name, process)
        if file is not None and made.data is not file:
            file[...] = made.data  # in an axis order in which items are not parts of it
    if file is not None:
        file.flags.writeable = False  # the file is finished
    if into is not None:
        start = time.perf_counter()
        made.notes += io.notes(made.record, into)
        if file is None:
            io.write(made.record, into)
        made.timings["write"] = time.perf_counter() - start
    return made


def _restored(
    record: Record,
    batch: Batch,
    denoiser: Denoiser,
    process: Process | None,
    strength: float,
    into: np.ndarray | None,
    progress: Progress | None,
    was_adapted: bool,
    law: type[Process] | None,
    **checks: Any,
) -> Result:
    """Every item of a record, one after the other."""
    chosen, seen = kinds.get(record.kind), raised(denoiser.seen(batch), process)
    start = time.perf_counter()
    series = chosen.series(seen, len(seen) // max(1, len(batch)), denoiser.reviewed)
    work = Work(chosen, record, denoiser, process, strength, was_adapted, law, series, **checks)
    out = Out(chosen, record, batch, len(seen) != len(batch), into)
    timings: dict[str, float] = {"measure": time.perf_counter() - start}
    done = 0.0

    def advance(share: float) -> None:
        nonlocal done
        done += share / len(seen)
        if progress:
            progress("denoising", min(done, 1.0))

    items: list[Item] = []
    for item in work.pool.items(work, seen, out, advance, timings):
        items = unmapped([*items, item])
    spread = None
    if out.spreads:
        spread = maps.spread(record, out.spread)
    return Result(
        record=chosen.finished(out.record(), items),
        noisy=record,
        items=items,
        method=denoiser.name,
        model="",
        steps=denoiser.increments,
        strength=float(strength),
        given=law is not None or (process is not None and not process.beside),
        timings=timings,
        spread=spread,
        drawn=denoiser.spreads,
        notes=list(record.meta.get("notes", ())),
    )


def denoise_record(record: Record, **options: Any) -> Result:
    """The former name of `run`; it will be removed in version 0.3."""
    warnings.warn("denoise_record is now hush.run", DeprecationWarning, stacklevel=2)
    return run(record, **options)


def adapted(
    denoiser: Denoiser,
    sample: Sampled,
    seconds: float,
    *,
    noise: Process | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> Denoiser:
    """`denoiser` after self-supervised training on these items; unchanged if that did not help."""
    if noise is not None and noise.beside:  # there is other noise, too
        noise = None
    told = (lambda share: progress("adapting", share)) if progress else None
    return denoiser.adapt(
        sample.kept, seconds, noise=noise, seed=seed, advance=told, about=sample.about
    )


# -- looking -----------------------------------------------------------------------------------


def inspect(
    x: Source,
    axes: str | None = None,
    device: str = "cpu",
    *,
    kind: str | None = None,
    context: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The noise in an array or a file, and the method and model that would denoise it.

    Levels are in the data's own units. Returns at least family, sigma, gain, read_sigma,
    correlated, correlation, clipped, step, spec (for ``--noise``), method and model. If the level
    varies from place to place, sigma_range is its lowest and highest value, and spec is None.
    """
    return rows.inspection(inspected(x, axes=axes, kind=kind, context=context, device=device))


def inspected(
    x: Source,
    *,
    axes: str | None = None,
    kind: str | None = None,
    context: Mapping[str, Any] | None = None,
    device: str = "cpu",
) -> Inspection:
    """Like `inspect`, but returns an object for `write_report`.

    In a stack some items are measured, and the noisiest of them is reported.
    """
    record = record_of(x, axes, kind, context)
    check_dtype(record.data)
    chosen = kinds.get(record.kind)
    record = ranged(chosen, chosen.recognised(record))
    whole = limited(chosen, record)
    device = device_for(device)
    try:
        denoiser = choose(record, None, None, None, device)
    except HushError:  # no model is shipped for this kind of data
        denoiser = None
    batch = raised(denoiser.seen(whole) if denoiser else whole)
    apart, channels = len(batch) != len(whole), len(batch) // max(1, len(whole))
    found, laws = inspect_items(chosen, batch, channels, denoiser)
    index = max(found, key=lambda i: found[i].prominence)
    estimate, noisy = found[index], with_gaps(chosen.glimpse(batch, index), 0)
    step = None
    if denoiser is not None and np.isfinite(noisy).any():
        part = middle(Batch([noisy], real=batch.real, blank=batch.blank), MOST_INSPECTED)
        if chosen.selected:  # an element is judged among all others
            part = batch.piece(index, slice(None))
        if laws.get(index):  # reviewed with the others that it shares its law with
            step = denoiser.step_of(filled(part.floats(0), part.known(0)), estimate)
        else:
            estimate, step = denoiser.looked(part, 0, estimate)
    survey = chosen.survey(record)
    own = owned(record, batch, index)
    notes = survey.warnings if survey else chosen.advice(own, noisy, None, estimate)
    notes = [*chosen.missing(batch, index), *notes]
    if why := chosen.unfit(record):
        notes = [f"{why[:1].upper()}{why[1:]}."]
    notes = [*record.meta.get("notes", ()), *notes]
    plane, channel = divmod(index, len(whole.data[0])) if apart else (index, None)
    return Inspection(
        record=record,
        index=plane,
        channel=channel,
        estimate=estimate.moved(-batch.low(index)) if batch.low(index) else estimate,
        method="mid" if denoiser is None else denoiser.name,
        model="" if denoiser is None else name_for(None, record, denoiser.name),
        steps=1 if denoiser is None else denoiser.increments,
        step=step,
        warnings=list(notes),
        survey=survey,
        unit=str(batch.about(index).get("unit") or ""),
        laws=[(i % channels, law) for i, law in laws.items()],
    )


# -- reporting, training, comparing ------------------------------------------------------------


def write_report(
    results: Sequence[Denoised | Inspection | frame.Entry] | Denoised | Inspection,
    path: str | PathLike[str],
    *,
    title: str | None = None,
) -> None:
    """Write one self-contained HTML file about results, inspections or entries.

    The more results, the smaller the pictures, so that browsers can open the page. If all results
    do not fit in memory, make an `entry` of each.

    Raises
    ------
    HushError
        if `path` cannot be written.
    """
    every = [results] if isinstance(results, Denoised | Inspection | frame.Entry) else list(results)
    if not every:
        raise HushError("there are no results to report on")
    frame.write([entry(r, len(every)) for r in every], path, title)


def entry(result: Denoised | Inspection | frame.Entry, count: int = 1) -> frame.Entry:
    """What a report about `count` files shows about one of them, without keeping its arrays."""
    if isinstance(result, frame.Entry):
        return result
    budget = frame.picture_budget(count)
    if isinstance(result, Inspection):
        return kinds.get(result.record.kind).inspected(result, budget)
    return kinds.get(result.noisy.kind).section(result, budget)


def train(
    data: Any,
    method: str = "mid",
    *,
    kind: str | None = None,
    settings: Mapping[str, Any] | None = None,
    **options: Any,
) -> Denoiser:
    """Train a method on arrays, Records or files; `options` are those of its ``fit``.

    >>> model = hush.train(["a.tif", "b.tif"], schedule=hush.Schedule(budget=600))
    """
    single = isinstance(data, str | PathLike | Record) or foreign.taken(data) is not None
    items: Any = [data] if single else data
    if not isinstance(items, np.ndarray):
        items = [read(x, kind=kind) if isinstance(x, str | PathLike) else x for x in items]
        items = [kinds.get(x.kind).recognised(x) if isinstance(x, Record) else x for x in items]
    first = items[0] if len(items) else None
    name = kinds.get(kind or (first.kind if isinstance(first, Record) else "image")).name
    made = get(method, name).for_kind(name, **(settings or {}))
    if made.learns_from == "nothing":
        raise HushError(f"{method} is not trained; use it as it is")
    return made.fit(items, **options)


def export(model: str | PathLike[str] | Denoiser, path: str | PathLike[str]) -> None:
    """Write a trained model, or the one in a file, as an ONNX file; see `hush.onnx.export`."""
    from hush import onnx

    onnx.export(model if isinstance(model, Denoiser) else load(Path(model)), Path(path))


def compare(
    result: Source,
    reference: Source,
    *,
    data_range: Stated | None = None,
    fit: bool = False,
    **options: Any,
) -> Mapping[str, float]:
    """How close a result is to a reference: each of the kind's scores, averaged over items.

    data_range : of values, for PSNR and SSIM: its width in the reference's units, or ``"dtype"``;
        by default 255 for 8 bits, 1 for floats within [0, 1], the highest value of a volume, and
        for others what the reference spans. The result has it as ``range``. fit : fit the result's
        gain and offset first. options : axes, kind and context, as for `run`.
    """
    ours, theirs = record_of(result, **options), record_of(reference, **options)
    found = scored(ours, theirs, data_range, fit)
    return {**found.values, **({} if found.span is None else {"range": found.span.width})}


__all__ = [
    "Result",
    "compare",
    "denoise",
    "inspect",
    "load",
    "read",
    "run",
    "train",
    "write_report",
]

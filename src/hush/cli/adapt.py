"""``hush denoise --adapt``: models adapted to the files before these are denoised."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hush.cli.console import Bar
from hush.cli.options import fixed_noise, read
from hush.cli.outputs import Job, Options

if TYPE_CHECKING:
    from hush.denoiser import Denoiser
    from hush.kinds.cut import Sampled
    from hush.noise.process import Process
    from hush.record import Record

#: what files must share to be adapted to together: kind of data, model, noise
Key = tuple[str, str, Any]


@dataclass(frozen=True)
class Adapted:
    """Models adapted to the files, by model name and noise.

    better : those that adapting improved; seconds : the time it took, divided equally among files.
    """

    denoisers: Mapping[Key, Denoiser]
    better: frozenset[Key] = frozenset()
    seconds: float = 0.0


@dataclass
class Group:
    """Files that one model is adapted to together."""

    denoiser: Denoiser
    sample: Sampled
    noise: Process | None = None
    files: int = 0


def adapt(o: Options, jobs: Sequence[Job], bar: Bar) -> Adapted:
    """Models adapted to all files together; each group of files gets its share of the time."""
    if o.adapt == 0:
        return Adapted({})
    from hush import api, kinds, models
    from hush.denoiser import process_of
    from hush.kinds.cut import Sampled
    from hush.kinds.ranges import limited, raised, ready
    from hush.reading import record_of

    start = time.perf_counter()
    groups: dict[Key, Group] = {}
    for job in jobs:
        if not job.due or job.contested:
            continue
        try:
            record = record_of(read(job.source, o.axes, o.kind))
            kind = kinds.get(record.kind)
            record = kind.recognised(record)
            if kind.unfit(record) and not o.force:
                continue
            key = key_of(o, record)
            if key not in groups:
                before = models.choose(
                    record, o.model, o.method, o.steps, o.device, key[2], o.settings
                )
                groups[key] = Group(before, Sampled())
            denoiser = groups[key].denoiser
            record, noise = ready(kind, record, key[2])
            process = process_of(noise, record.scale, kind)
            if groups[key].files and process != groups[key].noise:
                continue  # of another full range
            groups[key].files += 1
            groups[key].noise = process
            groups[key].sample.add(raised(denoiser.seen(limited(kind, record)), process))
        except Exception:
            continue  # reported when this file is denoised
    files = sum(group.files for group in groups.values())
    bar.restart("adapting", files)
    denoisers, better = {}, set()
    for key, group in groups.items():
        if group.sample.kept:
            denoisers[key] = api.adapted(
                group.denoiser,
                group.sample,
                o.adapt * group.files / files,
                noise=group.noise,
                seed=o.seed,
                progress=bar.times(group.files),
            )
            better |= {key} if denoisers[key] is not group.denoiser else set()
        bar.part += group.files
    return Adapted(denoisers, frozenset(better), (time.perf_counter() - start) / max(1, files))


def key_of(o: Options, record: Record) -> Key:
    """Files with the same key are adapted to together: the model's name and the given noise."""
    from hush import models
    from hush.methods import get
    from hush.noise.process import law_of

    process = fixed_noise(o.noise, record.scale) if o.noise and not law_of(o.noise) else None
    name = o.method or "mid"
    if o.model is not None or get(name, record.kind).learns_from != "nothing":
        name = models.name_for(o.model, record, name, process)
    return record.kind, name, process

"""``hush train``: train a model on your own files."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

import hush
from hush.cli import words
from hush.cli.console import preload, say
from hush.cli.options import (
    METHOD,
    Duration,
    Running,
    WithKinds,
    fixed_noise,
    layout,
    running,
    use_threads,
)
from hush.cli.repeat import DEFAULT_BUDGET, command_of
from hush.cli.train_start import SCRATCH, Start, begun_with, fitted, start_of
from hush.cli.training_files import Files, to_train_on
from hush.errors import HushError
from hush.schedule import TRAINED

if TYPE_CHECKING:
    from hush.denoiser import Denoiser
    from hush.kinds import Kind
    from hush.noise.processes import Process
    from hush.schedule import Schedule

BEGUN = "training.json"  #: the settings that the training in the folder started with
TRAINING = ("batch", "patch", "learning_rate", "weight_decay", "clip", "ema", "validate_every")


@dataclass(frozen=True)
class Options(Running):
    """The options of the command line, by click's names for them."""

    sources: tuple[Path, ...]
    out: Path
    method: str
    budget: float | None
    max_steps: int | None
    corpus: bool
    clean: Path | None
    noise: str | None
    start: str | None
    resume: bool
    seed: int
    channels: str | None
    steps: int | None
    set: tuple[str, ...]
    licence: str | None
    kind: str | None
    axes: str | None
    force: bool

    @property
    def folder(self) -> Path:
        """The folder for the log, the previews and the checkpoints for --resume."""
        return self.out.with_name(f"{self.out.name}.training")

    @property
    def card(self) -> Path:
        return self.out.with_suffix(".json")


@click.command(cls=WithKinds, short_help="Train a model on your own files.")
@click.argument(
    "sources", nargs=-1, required=True, metavar="FOLDER|FILE...", type=click.Path(path_type=Path)
)
@click.option(
    "-o",
    "--output",
    "out",
    required=True,
    type=click.Path(path_type=Path),
    help="The model to write, NAME.safetensors; its card is written beside it as NAME.json.",
)
@click.option(
    "--method", type=METHOD, default="mid", show_default=True, help="'hush methods' lists them."
)
@click.option("--budget", type=Duration(), help="Time to train; 10m by default.")
@click.option(
    "--max-steps",
    type=click.IntRange(min=1),
    help="Number of training steps, instead of --budget; repeatable bit by bit.",
)
@click.option(
    "--corpus", is_flag=True, help="The files are (nearly) clean; noise is added to them."
)
@click.option(
    "--clean",
    metavar="FOLDER",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Folder with the clean versions, under the same names, for methods that learn from pairs "
    "(nafnet).",
)
@click.option(
    "--noise",
    metavar="SPEC",
    help="The files' noise, such as gaussian:25/255; measured in each file by default.",
)
@click.option(
    "--start",
    metavar="MODEL|none",
    help="Start from the weights of this model, a shipped one's name or a file, or with none from "
    "scratch; by default, from the shipped model for such files. The new model has its sizes, "
    "unless --set states others, with which training starts from scratch. A gray model can start "
    "an RGB one.",
)
@click.option("--resume", is_flag=True, help="Continue an interrupted training.")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of all random numbers.")
@click.option(
    "--channels",
    metavar="gray|rgb|LIST",
    help="Of images: gray converts colour to gray; by default, whichever most files have; the "
    "rest are skipped. Of signals: the channels to train on, such as 1-4,6.",
)
@click.option(
    "--steps", type=click.IntRange(min=1), help="Number of steps in which the model removes noise."
)
@click.option(
    "--set",
    multiple=True,
    metavar="NAME=VALUE",
    help="Another setting: one of the method's (hush methods -v lists them), such as "
    f"widths=32,64,96, or one of the training's: {', '.join(TRAINING)}. May be repeated.",
)
@click.option("--licence", metavar="TEXT", help="Licence to note in the model's card.")
@click.option(
    "--force",
    is_flag=True,
    help="Also learn from masks, label images, drawings and results of earlier runs.",
)
@layout
@running
def train(**options: Any) -> None:
    """Train a model on FOLDERs and FILEs: noisy images alone, or with --corpus clean ones.

    From each folder, hush uses the images directly in it, sorted by name. A file that cannot be
    read is reported and skipped; the exit code is then 1. Training starts from the shipped model,
    and at the end hush says whether the new one is better on files held out. During training,
    NAME.safetensors.training/ has a log and previews. After Ctrl-C, the same command with --resume
    continues the training.
    """
    o = Options(**options)
    if o.out.suffix != ".safetensors":
        raise click.BadParameter("the name must end in .safetensors", param_hint="--output")
    if o.budget is not None and o.max_steps is not None:
        raise click.UsageError("give --budget or --max-steps, not both")
    if o.budget == 0:
        raise click.BadParameter("must be more than 0", param_hint="--budget")
    if o.corpus and o.noise:
        raise click.UsageError(
            "--corpus means clean files, so leave out --noise; set the added noise with "
            "--set ladder=SPEC"
        )
    if not _is_due(o):
        return
    if o.resume and not _checkpoints(o):
        say("the training was interrupted before its first checkpoint; it starts again")
        o = replace(o, resume=False)
    preload("hush.api", "hush.training")
    use_threads(o.threads)
    cls = _method(o)
    files = to_train_on(o, cls.learns_from)
    _check_kind(o, files.kind)
    model, schedule = _configured(o, files.kind)
    process = _process(o, files)
    before = _begun(o) if o.resume else None
    stated = {text.partition("=")[0] for text in o.set}
    asked = o.start or begun_with(before)
    start = start_of(asked, model, files.chosen.channels, process, stated)
    model, o = fitted(model, start, stated), replace(o, start=start.name)
    if start.default and model.iterates and o.steps is None:
        model = model.replace(steps=start.weights.increments)
    _prepare(o, model, schedule, files, before)
    if not o.quiet:
        _announce(o, files, start)
    _fit(o, model, schedule, files, process, start)
    _save(o, model, files, start)
    if files.unreadable:
        count = sum(files.counts.values()) + files.unreadable
        say(f"{files.unreadable} of {count} files could not be read; {o.out} uses the others")
        raise click.exceptions.Exit(1)


def _checkpoints(o: Options) -> list[Path]:
    """Checkpoints of an unfinished training, in its folder or in those of its stages."""
    return [path for path in o.folder.rglob("*.safetensors") if path.name != TRAINED]


def _is_due(o: Options) -> bool:
    """Whether to train at all; raises HushError if something would be lost."""
    begun = bool(_checkpoints(o))
    if o.resume and not begun and _is_finished(o):
        raise HushError(f"there is nothing to resume: the training of {o.out} is finished")
    for path in (o.out, o.card):
        if path.is_dir():
            raise HushError(f"{path}: is a folder; choose another name for the model")
        if path.exists() and o.existing == "skip":
            say(f"{path} already exists; nothing was trained")
            return False
        if path.exists() and o.existing is None and not (o.resume and begun):
            raise HushError(f"{path}: already exists; --overwrite replaces it")
    if o.resume and not begun and not (o.folder / BEGUN).exists():
        raise HushError(
            f"there is nothing to resume: {o.folder} holds no interrupted training; leave --resume "
            "out"
        )
    if begun and not o.resume and o.existing is None:
        raise HushError(
            f"{o.folder} holds an interrupted training; --resume continues it, "
            "--overwrite starts a new one"
        )
    return True


def _is_finished(o: Options) -> bool:
    """Whether the model is that of the training in the folder, which left no checkpoint."""
    try:
        return o.out.stat().st_mtime_ns >= (o.folder / BEGUN).stat().st_mtime_ns
    except OSError:
        return o.out.exists()


def _check_kind(o: Options, kind: Kind) -> None:
    """Refuse a method that trains on each series of this kind while it denoises it."""
    from hush.methods import get

    if get(o.method, kind.name).learns_from == "nothing":
        raise HushError(
            f"{o.method} learns from the {kind.nouns[1]} that it denoises and needs no training "
            f"before; use hush denoise --method {o.method}"
        )


def _method(o: Options) -> type[Denoiser]:
    """The method's class; raises HushError if it cannot learn from such files."""
    from hush.devices import device_for
    from hush.methods import METHODS, get

    cls = get(o.method)
    if cls.learns_from == "nothing":
        raise HushError(f"{o.method} needs no training; use hush denoise --method {o.method}")
    if o.clean and cls.learns_from != "pairs":
        others = ", ".join(name for name in METHODS if get(name).learns_from == "pairs")
        raise HushError(f"{o.method} does not learn from pairs; --clean is for --method {others}")
    device_for(o.device)
    return cls


def _configured(o: Options, kind: Kind) -> tuple[Denoiser, Schedule]:
    """The untrained method and the training's schedule, from the options."""
    from hush.methods import get
    from hush.schedule import Schedule
    from hush.settings import settings_of, value_of

    cls = get(o.method, kind.name)

    own = settings_of(cls)
    usual = Schedule(max_steps=1, patch=kind.patch).settled()
    training = {name: getattr(usual, name) for name in TRAINING}
    given: dict[str, Any] = {}
    for text in [*([] if o.steps is None else [f"steps={o.steps}"]), *o.set]:
        name, _, value = text.partition("=")
        known = own | training
        if name not in known:
            raise HushError(f"{o.method} has no setting '{name}'; there are {', '.join(known)}")
        given[name] = value_of(name, value, known[name])
    budget = DEFAULT_BUDGET if o.budget is None and o.max_steps is None else o.budget
    schedule = Schedule(
        max_steps=o.max_steps,
        budget=budget,
        seed=o.seed,
        **{"patch": kind.patch, **{k: v for k, v in given.items() if k in training}},
    )
    return cls.for_kind(kind.name, **{k: v for k, v in given.items() if k in own}), schedule


def _process(o: Options, files: Files) -> Process | None:
    """The given noise, in units of full range."""
    if o.noise is None:
        return None
    meant = {fixed_noise(o.noise, scale) for scale in files.scales}
    if len(meant) > 1:
        raise HushError(
            f"the files have different full ranges ({', '.join(f'{s:g}' for s in files.scales)}), "
            f"so '{o.noise}' is ambiguous; write levels as a/b, such as gaussian:25/255"
        )
    return meant.pop()


def _begun(o: Options) -> dict[str, Any]:
    """The settings of the training to resume."""
    begun = o.folder / BEGUN
    try:
        before = _settings(json.loads(begun.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError):
        raise HushError(f"{begun} is missing or damaged; start again with --overwrite") from None
    before.setdefault("kind", "image")  # trainings of before there were others
    before.setdefault("clip", None)
    return before


def _prepare(
    o: Options,
    model: Denoiser,
    schedule: Schedule,
    files: Files,
    before: dict[str, Any] | None,
) -> None:
    """Make the training's folder, or check that the training in it is the one to resume.

    before : the settings of the training to resume.
    """
    from hush.io import atomic

    begun = o.folder / BEGUN
    this = {
        "method": o.method,
        "settings": model.config(),
        "schedule": {name: getattr(schedule, name) for name in TRAINING},
        "corpus": o.corpus,
        "clean": o.clean and o.clean.name,
        "noise": o.noise,
        "start": o.start,
        "seed": o.seed,
        "channels": files.chosen.channels,
        "kind": files.kind.name,
        "files": files.counts,
    }
    this = json.loads(json.dumps(this))  # as it is read back
    if before is not None:
        before = before | {"start": before.get("start") or (o.start and SCRATCH)}
        if other := [k for k, v in _settings(this).items() if before.get(k) != v]:
            raise HushError(
                f"the interrupted training had other {' and '.join(other)}; repeat its command "
                "with --resume, or start a new one with --overwrite"
            )
        return
    with atomic(begun) as part:
        part.write_text(json.dumps(this, indent=1), encoding="utf-8")
    for old in _checkpoints(o):
        old.unlink()


def _settings(begun: dict[str, Any]) -> dict[str, Any]:
    """All settings that a training started with, by name."""
    others = {k: v for k, v in begun.items() if k not in ("settings", "schedule")}
    return begun["settings"] | begun["schedule"] | others


def _announce(o: Options, files: Files, start: Start) -> None:
    from hush.report import describe

    kind = "pairs of noisy and clean" if o.clean else "clean" if o.corpus else "noisy"
    count, read = len(files.chosen.data), sum(files.counts.values())
    what = f"{kind} {_one(files.chosen.words) if count == 1 else files.chosen.words}"
    steps = f"{o.max_steps} step{'s' * (o.max_steps != 1)}"
    long = steps if o.max_steps else describe.duration(o.budget or DEFAULT_BUDGET)
    say(
        f"training {o.method} for {long} on {count} {what} "
        f"({read} file{'s' * (read != 1)}); log and previews are in {o.folder}"
    )
    if start.words:
        say(start.words)


def _one(words: str) -> str:
    """The singular: ``gray image``, ``set of segments``."""
    first, of, rest = words.partition(" of ")
    return first.removesuffix("s") + of + rest


def _fit(
    o: Options,
    model: Denoiser,
    schedule: Schedule,
    files: Files,
    process: Process | None,
    start: Start,
) -> None:
    import sys

    try:
        model.fit(
            files.chosen.data,
            corpus=o.corpus,
            noise=process,
            **start.options,
            schedule=schedule,
            folder=o.folder,
            resume=o.resume,
            device=o.device,
            progress=not o.quiet and sys.stderr.isatty(),
        )
    except (HushError, KeyboardInterrupt) as stopped:
        if not _checkpoints(o):  # leave nothing behind
            (o.folder / BEGUN).unlink(missing_ok=True)
            with suppress(OSError):  # it holds other files
                o.folder.rmdir()
        elif isinstance(stopped, KeyboardInterrupt):
            say("to continue, repeat the command with --resume")
        raise


def _save(o: Options, model: Denoiser, files: Files, start: Start) -> None:
    """Write the model and its card; the training's folder keeps the log and previews."""
    from hush.io import atomic
    from hush.report import describe

    figures = dict(getattr(model, "figures_", {}))
    compared = getattr(model, "compared_", None)
    command = command_of(o, figures.get("steps"))
    card = {
        "method": o.method,
        "kind": files.kind.name,
        "data": [{"folder": name, "files": count} for name, count in files.counts.items()],
        "clean": o.corpus,
        "images": len(files.chosen.data),
        "channels": files.chosen.channels,
        "command": command,
        "seed": o.seed,
        "figures": figures,
        **({"compared": {"with": start.rival} | compared.entry()} if compared else {}),
        "settings": model.config(),
        "licence": o.licence,
        "hush": hush.__version__ or None,
    }
    model.card_ = card  # type: ignore[attr-defined]
    model.save(o.out)
    with atomic(o.card) as part:
        part.write_text(json.dumps(card, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    for passed in _checkpoints(o):
        passed.unlink()
    aside = str(o.folder / TRAINED)
    sentence = compared.sentence(o.out.name, start.rival, aside) if compared else ""
    no_better = compared is not None and (compared.kept or compared.verdict == "worse")
    if not o.quiet:
        shown = {k: v for k, v in figures.items() if k != "seconds"}
        spent = describe.duration(figures.get("seconds", 0))
        lines = [("trained", f"{words.plain(shown)}, {spent}")]
        lines += [("compared", sentence)] if sentence else []
        again = command_of(o, figures.get("steps"), paths=True)
        lines += [("repeat", again), ("use", f"hush denoise FILE --model {o.out}")]
        words.print_block(f"{o.out}, {o.out.stat().st_size / 1e6:.2g} MB", lines)
    elif no_better:
        say(sentence)

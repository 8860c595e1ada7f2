"""``hush train``: a model from one's own files."""

from __future__ import annotations

import json
import shlex
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, fields
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hush.cli import words
from hush.cli.console import explain, preload, say
from hush.cli.options import (
    METHOD,
    Duration,
    Running,
    fixed_noise,
    running,
    use_threads,
)
from hush.errors import HushError

if TYPE_CHECKING:
    import numpy as np

    from hush.denoiser import Denoiser
    from hush.noise.processes import Process
    from hush.record import Record
    from hush.schedule import Schedule

DEFAULT_BUDGET = 600.0  #: seconds, where neither a time nor a number of steps is given
BEGUN = "training.json"  #: what the training in the folder was begun with
TRAINING = ("batch", "patch", "learning_rate", "weight_decay", "ema", "validate_every")
CHANNELS = {"gray": 1, "rgb": 3}
LUMA = (19595, 38470, 7471)  #: ITU-R 601 out of 2**16, rounded as Pillow's 'L' is
MOST_NAMED = 8  #: files that the card's command names one by one


@dataclass(frozen=True)
class Options(Running):
    """The command line's options, by the names that click gives them."""

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

    @property
    def folder(self) -> Path:
        """Where the training keeps its log, its previews and what --resume goes on from."""
        return self.out.with_name(f"{self.out.name}.training")

    @property
    def card(self) -> Path:
        return self.out.with_suffix(".json")


@dataclass(frozen=True)
class Images:
    """What is trained on: arrays ``(H, W)`` or ``(H, W, 3)`` in the files' own units, or pairs.

    files : number of files used, by the name of their folder; scales : full ranges met;
    unreadable : number of files that could not be read.
    """

    arrays: list[Any]
    channels: int
    files: dict[str, int]
    scales: tuple[float, ...]
    unreadable: int


@click.command(short_help="Learn to denoise from your own files.")
@click.argument(
    "sources", nargs=-1, required=True, metavar="FOLDER|FILE...", type=click.Path(path_type=Path)
)
@click.option(
    "-o",
    "--output",
    "out",
    required=True,
    type=click.Path(path_type=Path),
    help="The model, NAME.safetensors; its card goes beside it as NAME.json.",
)
@click.option("--method", type=METHOD, default="mid", show_default=True, help="See hush methods.")
@click.option("--budget", type=Duration(), help="Time to train; 10m by default.")
@click.option(
    "--max-steps",
    type=click.IntRange(min=1),
    help="Steps to train instead: repeatable, bit by bit.",
)
@click.option(
    "--corpus", is_flag=True, help="The files are (nearly) clean; noise is added to them."
)
@click.option(
    "--clean",
    metavar="FOLDER",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="The files' clean versions, by the same names, for methods that learn from pairs: nafnet.",
)
@click.option(
    "--noise",
    metavar="SPEC",
    help="The files' noise, such as gaussian:25/255; measured in each file by default.",
)
@click.option(
    "--start",
    metavar="MODEL",
    help="Begin with a model's weights: a shipped one's name, or a file; a gray one may start RGB.",
)
@click.option("--resume", is_flag=True, help="Go on with the training that was interrupted.")
@click.option("--seed", type=int, default=0, show_default=True, help="For weights and draws.")
@click.option(
    "--channels",
    type=click.Choice(list(CHANNELS)),
    help="gray turns colour to gray; by default what most files have, and the others are left out.",
)
@click.option(
    "--steps", type=click.IntRange(min=1), help="Increments that the model removes noise in."
)
@click.option(
    "--set",
    multiple=True,
    metavar="NAME=VALUE",
    help="Another setting: one of the method's (hush methods -v lists them), such as "
    f"widths=32,64,96, or of the training: {', '.join(TRAINING)}. May be repeated.",
)
@click.option("--licence", metavar="TEXT", help="For the model's card.")
@running
def train(**options: Any) -> None:
    """Learn to denoise from FOLDERs and FILEs: noisy ones alone, or with --corpus clean ones.

    Of folders the images directly in them are taken, sorted by name. A file that cannot be read is
    reported and left out; the exit code is then 1. While it trains, NAME.safetensors.training/ has
    a log and previews; after Ctrl-C the same command with --resume goes on from there.
    """
    o = Options(**options)
    if o.out.suffix != ".safetensors":
        raise click.BadParameter("end the model's name in .safetensors", param_hint="--output")
    if o.budget is not None and o.max_steps is not None:
        raise click.UsageError("give --budget or --max-steps, not both")
    if o.budget == 0:
        raise click.BadParameter("some time is needed", param_hint="--budget")
    if o.corpus and o.noise:
        raise click.UsageError(
            "with --corpus the files have no noise to state; --set ladder=SPEC is what is added"
        )
    if not _is_due(o):
        return
    preload("hush.api", "hush.training")
    use_threads(o.threads)
    model, schedule = _configured(o)
    if o.clean and not model.pairs:
        raise HushError(f"{o.method} does not learn from pairs; --clean is for --method nafnet")
    images = _images(o, model.repeats and not o.clean)
    process = _process(o, images)
    _prepare(o, model, schedule, images)
    if not o.quiet:
        _announce(o, images)
    _fit(o, model, schedule, images, process)
    _save(o, model, images)
    if images.unreadable:
        count = sum(images.files.values()) + images.unreadable
        say(f"{images.unreadable} of {count} files could not be read; {o.out} is of the others")
        raise click.exceptions.Exit(1)


def _checkpoints(o: Options) -> list[Path]:
    """What a training that is not finished left in its folder, or in those of its stages."""
    return list(o.folder.rglob("*.safetensors"))


def _is_due(o: Options) -> bool:
    """Whether to train at all; refuses where something would be lost."""
    begun = bool(_checkpoints(o))
    if o.resume and o.out.exists() and not begun:
        raise HushError(f"{o.out} is finished; there is nothing to resume")
    for path in (o.out, o.card):
        if path.is_dir():
            raise HushError(f"{path}: is a folder; choose another name for the model")
        if path.exists() and o.existing == "skip":
            say(f"{path} exists already; nothing was trained")
            return False
        if path.exists() and o.existing is None:
            raise HushError(f"{path}: exists already; --overwrite replaces it")
    if o.resume and not begun:
        raise HushError(f"there is nothing to resume: {o.folder} holds no interrupted training")
    if begun and not o.resume and o.existing is None:
        raise HushError(
            f"{o.folder} holds an interrupted training; --resume goes on with it, "
            "--overwrite starts anew"
        )
    return True


def _configured(o: Options) -> tuple[Denoiser, Schedule]:
    """The untrained method and the training's schedule, as the options say."""
    from hush.api import resolve_device
    from hush.methods import get

    cls = get(o.method)
    if not cls.trained:
        raise HushError(f"{o.method} has nothing to learn; hush denoise --method {o.method} does")
    resolve_device(o.device)

    from hush.schedule import Schedule

    # A default tells the kind of value; of None, which the data replace, the annotation does.
    own = {f.name: False if f.type == "bool | None" else f.default for f in fields(cls) if f.init}
    usual = Schedule(max_steps=1).settled()
    training = {name: getattr(usual, name) for name in TRAINING}
    given: dict[str, Any] = {}
    for text in [*([] if o.steps is None else [f"steps={o.steps}"]), *o.set]:
        name, _, value = text.partition("=")
        known = own | training
        if name not in known:
            raise HushError(f"{o.method} has no setting '{name}'; there are {', '.join(known)}")
        given[name] = _value(name, value, known[name])
    budget = DEFAULT_BUDGET if o.budget is None and o.max_steps is None else o.budget
    schedule = Schedule(
        max_steps=o.max_steps,
        budget=budget,
        seed=o.seed,
        **{k: v for k, v in given.items() if k in training},
    )
    return cls(**{k: v for k, v in given.items() if k in own}), schedule


def _value(name: str, text: str, default: Any) -> Any:
    """A setting's value, of the kind that its default is."""
    try:
        if isinstance(default, str):
            return text
        if isinstance(default, tuple):
            return tuple(type(default[0])(part) for part in text.strip("()[]").split(","))
        if isinstance(default, bool):
            return {"true": True, "1": True, "false": False, "0": False}[text.lower()]
        return type(default)(text) if default is not None else int(text)
    except (ValueError, KeyError):
        example = ",".join(map(str, default)) if isinstance(default, tuple) else default
        kind = "a whole number" if default is None else f"a value like {example}"
        raise HushError(f"--set {name} takes {kind}, not '{text}'") from None


def _images(o: Options, repeats: bool) -> Images:
    """All images to train on, in a fixed order; stacks as they are if of `repeats`."""
    from hush import io
    from hush.studies.folders import image_files

    found: list[tuple[str, list[Record]]] = []
    unreadable = 0
    files = []
    for source in o.sources:
        files += (held := image_files(source) if source.is_dir() else [source])
        if not held:
            say(f"{source}: holds no images that hush reads")
    if o.clean:
        _check_names(files, o.clean, image_files(o.clean))
    for file in files:
        pair = [file, o.clean / file.name] if o.clean else [file]
        try:
            records = [io.read(f) for f in pair]
        except Exception as error:
            unreadable += 1
            say(f"left out: {explain(error)}")
            continue
        if len(sizes := {r.to_batch().data.shape for r in records}) > 1:
            one, other = (" × ".join(map(str, size)) for size in sorted(sizes))
            raise HushError(f"{file.name} is {one} in one folder and {other} in the other")
        found.append((_folder_name(file), records))
    if not found:
        raise HushError("there is nothing to train on: none of the files could be read")

    colour = Counter(_is_rgb(records[0]) for _, records in found)
    rgb = o.channels == "rgb" if o.channels else colour[True] > colour[False]
    used = [(name, r) for name, r in found if o.channels == "gray" or _is_rgb(r[0]) == rgb]
    if not used:
        raise HushError("none of the files is RGB; leave --channels rgb out")
    if len(used) < len(found):
        count = len(found) - len(used)
        which = "gray files" if rgb else "colour files (--channels gray turns them to gray)"
        say(f"left out: {count} {which}, for the model is {'RGB' if rgb else 'gray'}")
    arrays: list[Any] = []
    for _, records in used:
        each = [_arrays(record, not rgb, repeats) for record in records]
        arrays += zip(*each, strict=True) if o.clean else each[0]
    scales = sorted({records[0].to_batch().scale for _, records in used})
    counts = dict(Counter(name for name, _ in used))
    return Images(arrays, 3 if rgb else 1, counts, tuple(scales), unreadable)


def _check_names(files: Sequence[Path], folder: Path, clean: Sequence[Path]) -> None:
    """Refuse noisy and clean files that do not pair by name."""
    there, here = {f.name for f in clean}, {f.name for f in files}
    if lone := sorted(here - there):
        raise HushError(f"{folder} holds no {lone[0]}; --clean pairs files by name")
    if lone := sorted(there - here):
        raise HushError(f"{lone[0]} is in {folder} alone; --clean pairs files by name")


def _folder_name(file: Path) -> str:
    return file.resolve().parent.name


def _is_rgb(record: Record) -> bool:
    return "S" in record.axes and record.channels == 3


def _arrays(record: Record, gray: bool, repeats: bool) -> list[np.ndarray]:
    """The images of one file as training takes them; channels other than RGB are gray ones."""
    import numpy as np

    batch = record.to_batch().data
    if record.full is not None:  # an array alone does not tell its range
        batch = batch.astype(np.float32) / np.float32(record.full)
    if not _is_rgb(record):
        return list(batch.swapaxes(0, 1)) if repeats else [y for item in batch for y in item]
    images = [_luma(item) if gray else item.transpose(1, 2, 0) for item in batch]
    return [np.stack(images)] if repeats else images


def _luma(x: np.ndarray) -> np.ndarray:
    """Gray of RGB ``(3, H, W)``, in the same dtype."""
    import numpy as np

    if x.dtype.kind == "f":
        return np.tensordot(np.array(LUMA, x.dtype) / 2**16, x, 1).astype(x.dtype)
    total = sum(w * c.astype(np.int64) for w, c in zip(LUMA, x, strict=True))
    gray: np.ndarray = ((total + 2**15) >> 16).astype(x.dtype)
    return gray


def _process(o: Options, images: Images) -> Process | None:
    """The noise that was given, in units of full range."""
    if o.noise is None:
        return None
    meant = {fixed_noise(o.noise, scale) for scale in images.scales}
    if len(meant) > 1:
        raise HushError(
            f"the files have different full ranges ({', '.join(f'{s:g}' for s in images.scales)}), "
            f"so '{o.noise}' is ambiguous; write levels as a/b, such as gaussian:25/255"
        )
    return meant.pop()


def _prepare(o: Options, model: Denoiser, schedule: Schedule, images: Images) -> None:
    """Make the training's folder; a resumed training must be the one that was begun."""
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
        "channels": images.channels,
        "files": images.files,
    }
    this = json.loads(json.dumps(this))  # as it will come back
    if o.resume:
        try:
            before = _settings(json.loads(begun.read_text(encoding="utf-8")))
        except (OSError, ValueError, KeyError):
            raise HushError(f"{begun} is missing or damaged; --overwrite starts anew") from None
        if other := [k for k, v in _settings(this).items() if before.get(k) != v]:
            raise HushError(
                f"the interrupted training had other {' and '.join(other)}; repeat its command "
                "with --resume, or start anew with --overwrite"
            )
        return
    with atomic(begun) as part:
        part.write_text(json.dumps(this, indent=1), encoding="utf-8")
    for old in _checkpoints(o):
        old.unlink()


def _settings(begun: dict[str, Any]) -> dict[str, Any]:
    """What a training was begun with, each of its settings by its own name."""
    others = {k: v for k, v in begun.items() if k not in ("settings", "schedule")}
    return begun["settings"] | begun["schedule"] | others


def _announce(o: Options, images: Images) -> None:
    from hush.report import describe

    kind = "pairs of noisy and clean" if o.clean else "clean" if o.corpus else "noisy"
    what = f"{kind} {'RGB' if images.channels == 3 else 'gray'} images"
    long = f"{o.max_steps} steps" if o.max_steps else describe.duration(o.budget or DEFAULT_BUDGET)
    say(
        f"training {o.method} for {long} on {len(images.arrays)} {what} "
        f"({sum(images.files.values())} files); log and previews are in {o.folder}"
    )


def _fit(
    o: Options, model: Denoiser, schedule: Schedule, images: Images, process: Process | None
) -> None:
    import sys

    from hush.api import model_path
    from hush.methods import load

    try:
        model.fit(
            images.arrays,
            corpus=o.corpus,
            noise=process,
            start=load(model_path(o.start)) if o.start else None,
            schedule=schedule,
            folder=o.folder,
            resume=o.resume,
            device=o.device,
            progress=not o.quiet and sys.stderr.isatty(),
        )
    except (HushError, KeyboardInterrupt) as stopped:
        if not _checkpoints(o):  # nothing came of it, so nothing stays of it
            (o.folder / BEGUN).unlink(missing_ok=True)
            with suppress(OSError):  # it holds something from before
                o.folder.rmdir()
        elif isinstance(stopped, KeyboardInterrupt):
            say("the same command with --resume goes on from here")
        raise


def _save(o: Options, model: Denoiser, images: Images) -> None:
    """Write the model and its card; the training's folder keeps log and previews."""
    from hush.io import atomic
    from hush.report import describe

    figures = dict(getattr(model, "figures_", {}))
    command = _command(o, figures.get("steps"))
    card = {
        "method": o.method,
        "data": [{"folder": name, "files": count} for name, count in images.files.items()],
        "clean": o.corpus,
        "images": len(images.arrays),
        "channels": images.channels,
        "command": command,
        "seed": o.seed,
        "figures": figures,
        "settings": model.config(),
        "licence": o.licence,
        "hush": _version(),
    }
    model.card_ = card  # type: ignore[attr-defined]
    model.save(o.out)
    with atomic(o.card) as part:
        part.write_text(json.dumps(card, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    for passed in _checkpoints(o):
        passed.unlink()
    if not o.quiet:
        shown = {k: v for k, v in figures.items() if k != "seconds"}
        spent = describe.duration(figures.get("seconds", 0))
        lines = [("trained", f"{words.plain(shown)}, {spent}")]
        lines += [("repeat", command), ("use", f"hush denoise FILE --model {o.out}")]
        words.print_block(f"{o.out}, {o.out.stat().st_size / 1e6:.2g} MB", lines)


def _command(o: Options, steps: int | None) -> str:
    """The command that trains this again, with as many steps as were made, without one's paths."""
    files = [s for s in o.sources if not s.is_dir()]
    folders = [s.resolve().name for s in o.sources if s.is_dir()]
    named = [f"{_folder_name(f)}/{f.name}" for f in files]
    if len(named) > MOST_NAMED:
        named = list(dict.fromkeys(f"{_folder_name(f)}/*{f.suffix}" for f in files))
    parts: Sequence[Any] = ["hush", "train", *folders, *named, "-o", o.out.name]
    long: tuple[str, Any] = ("--max-steps", o.max_steps or steps)
    if not long[1]:  # of stages, each has its own number
        long = ("--budget", f"{o.budget or DEFAULT_BUDGET:g}s")
    parts = [*parts, "--method", o.method, *long, "--seed", o.seed]
    parts += ["--corpus"] * o.corpus + (["--clean", o.clean.resolve().name] if o.clean else [])
    for option in ("noise", "start", "channels", "steps"):
        if (value := getattr(o, option)) is not None:
            parts += [f"--{option}", value]
    for setting in o.set:
        parts += ["--set", setting]
    return " ".join(p if "*" in str(p) else shlex.quote(str(p)) for p in parts)


def _version() -> str | None:
    try:
        return version("hush-denoise")
    except PackageNotFoundError:  # running from a source tree that is not installed
        return None

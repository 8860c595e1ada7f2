"""The training loop for all methods: a method gives networks, a loss and a validation.

Runs are repeatable because no random state carries over between steps: a generator seeded by (seed,
k) draws the batch of step k. The learning rate depends on *progress*, the share of the steps or of
the time that is used up, so a time budget and a number of steps work the same way.
"""

from __future__ import annotations

import itertools
import json
import logging
import multiprocessing
import signal
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import threadpoolctl
import torch
from lightning.fabric.plugins.io import CheckpointIO
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint, WeightAveraging
from lightning.pytorch.loggers import CSVLogger
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from hush.devices import bfloat16, device_for
from hush.errors import HushError
from hush.nets import channels_last
from hush.progress import progress_bar, watched
from hush.schedule import Schedule

#: loss of one batch: (what a `Source` draws, generator, share of the training done) → named terms
Loss = Callable[[Any, list[int], torch.Generator, float], Mapping[str, Tensor]]
#: figures on held-out data, e.g. {"psnr": 29.0}
Validation = Callable[[], Mapping[str, float]]

CHECKPOINT_EVERY = 60.0  #: seconds
LOST = 20  #: steps in a row without a finite loss that end a training

MOST_LOADERS = 15  #: processes that draw batches next to a GPU

_LENGTH = ("max_steps", "budget")  #: what a resumed training may change in its schedule
_GO_ON = "resume with its settings, or start a new training"


class Source(Protocol):
    """What batches are drawn from, such as `hush.kinds.cut.Patches`."""

    def draw(self, count: int, rng: np.random.Generator) -> tuple[Any, list[int]]:
        """A batch of `count`, a tensor or a named tuple of tensors, and each one's item."""


def train(
    networks: nn.Module,
    source: Source,
    loss: Loss,
    schedule: Schedule,
    *,
    folder: Path | None = None,
    resume: bool = False,
    validate: Validation | None = None,
    preview: Callable[[Path], None] | None = None,
    device: str = "auto",
    progress: bool | None = None,
    advance: Callable[[float], None] | None = None,
    label: str = "training",
    loaders: int | None = None,
) -> dict[str, float]:
    """Train `networks` in place; at the end their weights are the moving average (EMA).

    `folder` gets the log (``metrics.csv``; for resumed runs also ``metrics.1.csv`` and so
    on), previews and the checkpoint for `resume`. `progress` shows a bar with the name `label`,
    by default where somebody is watching;
    `advance` gets the share done from time to time. `loaders` processes draw the batches; the
    result is the same with any number. By default there are none on a CPU, and next to a GPU as
    many as there are free cores. Returns steps, seconds and the last
    validation figures. Ctrl-C saves a checkpoint and raises ``KeyboardInterrupt``; the networks
    then have what they had learned.
    """
    schedule = schedule.settled()
    saved = folder / "resume.safetensors" if folder else None
    progress = watched() if progress is None else progress
    pace = _Pace(schedule, saved, label if progress else None, advance)
    place = torch.device(device_for(device))
    if place.type != "mps":
        channels_last(networks)
    module = _Module(networks, loss, schedule, validate, preview, folder)
    loaders = _free_cores(place) if loaders is None else loaders
    # Averaging comes first: an interrupt saves from `pace`, after this step's average.
    averaging = _Averaging(schedule.ema)
    callbacks: list[Callback] = [averaging, pace]
    if folder:
        folder.mkdir(parents=True, exist_ok=True)
        saver = ModelCheckpoint(
            folder,
            filename="resume",
            train_time_interval=timedelta(seconds=CHECKPOINT_EVERY),
            enable_version_counter=False,
        )
        saver.FILE_EXTENSION = ".safetensors"
        callbacks.append(saver)
    checkpoint = saved if resume else None
    if checkpoint and not checkpoint.exists():
        raise HushError(
            f"there is nothing to resume, {checkpoint} is missing; start a new training"
        )
    if folder and resume:
        _keep_log(folder)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Lightning's advice on workers and loggers
        logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
        trainer = Trainer(
            max_steps=schedule.max_steps or -1,
            max_epochs=-1,
            accelerator=place.type,
            devices=1 if place.index is None else [place.index],
            precision="bf16-mixed" if bfloat16(place.type) else "32-true",
            callbacks=callbacks,
            plugins=[SafeCheckpoint()],
            logger=CSVLogger(folder, name="", version="") if folder else False,
            log_every_n_steps=100,
            val_check_interval=schedule.validate_every,
            check_val_every_n_epoch=None,
            limit_val_batches=1 if validate else 0,
            num_sanity_val_steps=0,
            enable_progress_bar=False,
            enable_model_summary=False,
            enable_checkpointing=bool(folder),
            gradient_clip_val=schedule.clip or None,
            benchmark=place.type == "cuda",
        )
        unused = torch.Generator()  # without it, the loader draws from the global generator
        try:
            trainer.fit(
                module,
                torch.utils.data.DataLoader(
                    _Batches(source, schedule),
                    batch_size=None,
                    sampler=_Steps(module),
                    generator=unused,
                    num_workers=loaders,
                    worker_init_fn=_alone if loaders else None,
                    multiprocessing_context="fork" if loaders else None,
                    pin_memory=bool(loaders) and place.type == "cuda",
                    prefetch_factor=4 if loaders else None,
                ),
                torch.utils.data.DataLoader([0], batch_size=None, generator=unused)  # type: ignore[arg-type]
                if validate
                else None,
                ckpt_path=str(checkpoint) if checkpoint else None,
            )
        except SystemExit:
            averaging.leave_average(module)
            networks.to("cpu").eval()
            raise KeyboardInterrupt from None  # Lightning turns Ctrl-C into an exit
    networks.to("cpu").eval()
    figures = dict(validate()) if validate else {}
    return {"steps": trainer.global_step, "seconds": round(pace.elapsed, 1), **figures}


def _keep_log(folder: Path) -> None:
    """Rename the existing log, because Lightning's logger starts with an empty one."""
    log = folder / "metrics.csv"
    if log.exists():
        log.rename(folder / f"metrics.{len(list(folder.glob('metrics*.csv')))}.csv")


def _free_cores(place: torch.device) -> int:
    """Processes that draw batches by default; forked ones, which share the data."""
    if place.type != "cuda" or "fork" not in multiprocessing.get_all_start_methods():
        return 0
    return min(torch.get_num_threads() - 1, MOST_LOADERS)


def _alone(_: int) -> None:
    """One thread each; and Ctrl-C, which goes to all processes, is for the one that trains."""
    threadpoolctl.threadpool_limits(1)  # PyTorch limits its own
    signal.signal(signal.SIGINT, signal.SIG_IGN)


@dataclass(frozen=True)
class _Batches(torch.utils.data.Dataset[tuple[Any, list[int], int]]):
    """The batch of every step, and a seed for its loss; drawn with a generator of its own."""

    source: Source
    schedule: Schedule

    def __getitem__(self, step: int) -> tuple[Any, list[int], int]:
        rng = np.random.default_rng((self.schedule.seed, step))
        seed = int(rng.integers(2**62))
        return *self.source.draw(self.schedule.batch or 1, rng), seed


@dataclass(frozen=True)
class _Steps(torch.utils.data.Sampler[int]):
    """The numbers of all steps from where the training is, without end."""

    module: LightningModule

    def __iter__(self) -> Iterator[int]:
        return itertools.count(self.module.global_step)


class _Module(LightningModule):
    def __init__(
        self,
        networks: nn.Module,
        loss: Loss,
        schedule: Schedule,
        validate: Validation | None,
        preview: Callable[[Path], None] | None,
        folder: Path | None,
    ) -> None:
        super().__init__()
        self.networks = networks
        # Plain attributes in a list: the averaged copy must not duplicate the data.
        self._given = _Shared(loss, schedule, validate, preview, folder)

    def training_step(self, batch: Any, index: int) -> Tensor | None:
        given = self._given
        x, indices, seed = batch
        generator = torch.Generator(self.device).manual_seed(seed)
        if isinstance(x, Tensor):
            x = channels_last(x)
        parts = given.loss(x, indices, generator, given.done)
        total = torch.stack(list(parts.values())).sum()
        if not torch.isfinite(total):  # one such step would spoil all weights
            given.lost += 1
            if given.lost == LOST:
                raise HushError(
                    f"the loss was not a finite number in {LOST} steps in a row: the training has "
                    "diverged; start it again with a lower learning_rate"
                )
            return None
        given.lost = 0
        self.log_dict({k: v.detach() for k, v in parts.items()}, on_step=True)
        return total

    def validation_step(self, batch: Any, index: int) -> None:
        given = self._given
        if given.validate:
            self.networks.eval()
            self.log_dict(dict(given.validate()), on_epoch=True, batch_size=1)
            if given.preview and given.folder:
                given.preview(given.folder / "preview.png")
            self.networks.train()

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["schedule"] = asdict(self._given.schedule)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Raise HushError if the checkpoint is from a different training."""
        shapes = {k: v.shape for k, v in self.state_dict().items()}
        if shapes != {k: v.shape for k, v in checkpoint["state_dict"].items()}:
            raise HushError(f"the interrupted training had other networks; {_GO_ON}")
        before, now = checkpoint.get("schedule", {}), asdict(self._given.schedule)
        other = [k for k in before.keys() & now if before[k] != now[k] and k not in _LENGTH]
        if other:
            raise HushError(
                f"the interrupted training had another {' and '.join(sorted(other))}; {_GO_ON}"
            )

    def configure_optimizers(self) -> torch.optim.Optimizer:
        s = self._given.schedule
        return torch.optim.AdamW(
            self.parameters(),
            s.rate(0),
            betas=(0.9, 0.999),
            weight_decay=s.weight_decay,
        )


@dataclass
class _Shared:
    loss: Loss
    schedule: Schedule
    validate: Validation | None
    preview: Callable[[Path], None] | None
    folder: Path | None
    done: float = 0.0
    lost: int = 0  # steps in a row without a finite loss

    def __deepcopy__(self, memo: dict[int, Any]) -> _Shared:
        return self


class _Averaging(WeightAveraging):
    """EMA with a memory that grows with the run, so that the start does not dominate short runs."""

    def __init__(self, decay: float) -> None:
        def average(averaged: Any, current: Any, count: Any) -> None:
            n = float(count)
            if averaged[0].is_floating_point():  # masks and the like are not averaged
                torch._foreach_lerp_(averaged, current, 1 - min(decay, (1 + n) / (10 + n)))

        super().__init__(multi_avg_fn=average)

    def leave_average(self, module: LightningModule) -> None:
        """Give a module that was interrupted its average so far."""
        if self._average_model is not None:
            self._copy_average_to_current(module)


class _Pace(Callback):
    """Learning rate, end of the budget, Ctrl-C between steps, and the progress bar."""

    def __init__(
        self,
        schedule: Schedule,
        checkpoint: Path | None,
        label: str | None,
        advance: Callable[[float], None] | None,
    ) -> None:
        self.schedule, self.checkpoint, self.label = schedule, checkpoint, label
        self.advance = advance
        self.elapsed = 0.0
        self._interrupted = False
        self._bar: Any = None

    def progress(self, trainer: Trainer) -> float:
        s = self.schedule
        return trainer.global_step / s.max_steps if s.max_steps else self.elapsed / (s.budget or 1)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._last = time.perf_counter()
        try:
            self._handler = signal.signal(signal.SIGINT, self._interrupt)
        except ValueError:  # not in the main thread: the caller handles Ctrl-C
            self._handler = None
        if self.label:
            self._bar = progress_bar("{task.fields[note]}")
            self._bar.start()
            self._task = self._bar.add_task(self.label, total=1.0, note="")

    def _interrupt(self, *_: Any) -> None:
        self._interrupted = True

    def on_train_batch_start(self, trainer: Trainer, *_: Any) -> None:
        module: Any = trainer.lightning_module
        module._given.done = min(done := self.progress(trainer), 1.0)
        for group in trainer.optimizers[0].param_groups:
            group["lr"] = self.schedule.rate(done)

    def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
        now = time.perf_counter()
        self.elapsed, self._last = self.elapsed + now - self._last, now
        done = self.progress(trainer)
        if self._bar and trainer.global_step % 10 == 0:
            rate = trainer.global_step / self.elapsed
            note = f"step {trainer.global_step}, {rate:.1f}/s"
            psnr = trainer.callback_metrics.get("psnr")
            note += f", {float(psnr):.2f} dB" if psnr is not None else ""
            self._bar.update(self._task, completed=done, note=note)
        if self.advance and trainer.global_step % 10 == 0:
            self.advance(min(done, 1.0))
        if self._interrupted:
            if self.checkpoint:
                trainer.save_checkpoint(self.checkpoint)
            raise KeyboardInterrupt
        if done >= 1:
            trainer.should_stop = True

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if self._bar:
            self._bar.stop()
        if getattr(self, "_handler", None) is not None:
            signal.signal(signal.SIGINT, self._handler)

    def state_dict(self) -> dict[str, Any]:
        return {"elapsed": self.elapsed}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.elapsed = state_dict["elapsed"]


class SafeCheckpoint(CheckpointIO):
    """Training checkpoints as safetensors plus JSON, so loading one can never run code."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None
    ) -> None:
        tensors: dict[str, Tensor] = {}
        tree = json.dumps(_fold(checkpoint, tensors))
        partial = Path(path).with_suffix(".partial")
        partial.write_bytes(save(tensors, metadata={"hush-training": tree}))
        partial.replace(path)

    def load_checkpoint(
        self, path: Any, map_location: Any = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        try:
            with safe_open(path, framework="pt") as f:
                tree = (f.metadata() or {}).get("hush-training")
                tensors = {key: f.get_tensor(key) for key in f.keys()}  # noqa: SIM118
        except SafetensorError as e:
            raise HushError(f"{path} is damaged ({e}); train without --resume") from e
        if tree is None:
            raise HushError(f"{path} is not a training checkpoint of hush; train without --resume")
        folded: dict[str, Any] = _unfold(json.loads(tree), tensors)
        return folded

    def remove_checkpoint(self, path: Any) -> None:
        Path(path).unlink(missing_ok=True)


def _fold(value: Any, tensors: dict[str, Tensor]) -> Any:
    """JSON for nested dicts, lists and numbers; tensors go into `tensors`, by name."""
    if isinstance(value, Tensor):
        key = str(len(tensors))
        tensors[key] = value.detach().contiguous().clone()
        return {"tensor": key}
    if isinstance(value, Mapping):  # keys may be integers, which JSON objects do not allow
        return {"dict": [[k, _fold(v, tensors)] for k, v in value.items()]}
    if isinstance(value, list | tuple):
        return {"list": [_fold(v, tensors) for v in value]}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"a training checkpoint cannot hold {type(value).__name__}")


def _unfold(value: Any, tensors: Mapping[str, Tensor]) -> Any:
    if isinstance(value, dict):
        if "tensor" in value:
            return tensors[value["tensor"]]
        if "dict" in value:
            return {k: _unfold(v, tensors) for k, v in value["dict"]}
        return [_unfold(v, tensors) for v in value["list"]]
    return value

"""Several trainings one after the other, each begun where an interruption left it."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from hush.errors import HushError
from hush.kinds import Kind
from hush.kinds.cut import hold_out, within
from hush.schedule import Schedule

_UNIT = 16  #: pixels; patches smaller than asked for are multiples of it, as networks halve them


@dataclass
class Stages:
    """One schedule shared among trainings, what each leaves being kept in a folder of its own name.

    schedule : of all stages together; each is given a share.
    folder : for what is finished and for the checkpoints of what is not; None keeps nothing.
    resume : a stage that is finished in the folder is read, one that is begun goes on.
    settings : what all stages depend on; a folder of other settings is refused.
    kind : of data that is learned from.
    """

    schedule: Schedule
    folder: Path | None
    resume: bool
    device: str
    progress: bool
    settings: Mapping[str, Any]
    kind: Kind
    #: seconds that this object spent in all stages
    spent: dict[str, float] = field(default_factory=lambda: {"seconds": 0.0})

    def __post_init__(self) -> None:
        apart = ("max_steps", "budget")  # more time for the rest of a training is no other training
        rest = {k: v for k, v in dataclasses.asdict(self.schedule).items() if k not in apart}
        settings = json.loads(json.dumps({**self.settings, **rest}))
        path = self.folder and self.folder / "stages.json"
        if path and self.resume and path.exists():
            before = json.loads(path.read_text("utf-8"))
            for name in sorted(settings.keys() | before.keys()):
                if settings.get(name) != before.get(name):
                    raise HushError(
                        f"the training in {self.folder} had {name} {before.get(name)}, not "
                        f"{settings.get(name)}; resume with its settings, or train without resuming"
                    )
        elif path:
            for old in path.parent.rglob("*.safetensors"):  # of another training, now given up
                old.unlink()
            _write(path, json.dumps(settings).encode())

    def train(
        self,
        name: str,
        share: float,
        network: nn.Module,
        images: Sequence[np.ndarray],
        loss: Callable[[Tensor, torch.Generator, float], Mapping[str, Tensor]],
        pace: Mapping[str, Any] | None = None,
    ) -> dict[str, float]:
        """Train a network in place for a `share` of the schedule; its loss on parts held out.

        `images` are ``(C, H, W)``, `loss` is of patches ``(B, C, h, w)`` when a share of the stage
        is done; `pace`, the batch and learning rate where the schedule leaves them open.
        """
        from hush.training import train

        whole = self.schedule
        part = dataclasses.replace(
            whole,
            budget=whole.budget and whole.budget * share,
            max_steps=whole.max_steps and max(1, round(whole.max_steps * share)),
        ).settled(**(pace or {}))
        training, held_out = hold_out(images, part.patch)

        def validate() -> Mapping[str, float]:
            """The same under the same draws, four of each crop, and as the stage ends."""
            place = next(network.parameters()).device
            generator = torch.Generator(place).manual_seed(0)
            with torch.inference_mode():
                losses = [
                    sum(map(float, loss(patch, generator, 1.0).values()))
                    for patch in (torch.from_numpy(x)[None].to(place) for x in held_out)
                    for _ in range(4)
                ]
            return {"val_loss": float(np.mean(losses))}

        def trained() -> dict[str, np.ndarray]:
            folder = self.folder and self.folder / name
            begun = bool(folder and (folder / "resume.safetensors").exists())
            figures = train(
                network,
                self.kind.patches(training, within(training, part.patch, _UNIT)),
                lambda x, _, generator, done: loss(x, generator, done),
                part,
                folder=folder,
                resume=self.resume and begun,
                validate=validate,
                device=self.device,
                progress=self.progress,
                label=name,
            )
            self.spent["seconds"] = round(self.spent["seconds"] + figures["seconds"], 1)
            return {k: v.numpy() for k, v in network.state_dict().items()}

        state = self.once(name, trained)
        network.load_state_dict({k: torch.from_numpy(v) for k, v in state.items()})
        network.to("cpu").eval()
        return dict(validate())

    def collect(
        self, name: str, share: float, count: int, make: Callable[[int], np.ndarray]
    ) -> list[np.ndarray]:
        """``make(0)``, ``make(1)``, …: `count` arrays; with a time budget, as many as its share
        allows, and four at least."""
        from hush.progress import progress_bar

        allowed = self.schedule.budget and share * self.schedule.budget
        start, made = time.monotonic(), list[np.ndarray]()
        bar = progress_bar()
        task = bar.add_task(name, total=1.0)
        if self.progress:
            bar.start()
        try:
            while len(made) < count if allowed is None else True:
                i, elapsed = len(made), time.monotonic() - start
                path = self._path(f"{name}-{i:04d}")
                kept = path and self.resume and path.exists()
                if allowed and i >= 4 and elapsed > allowed and not kept:
                    break
                made.append(self.once(f"{name}-{i:04d}", lambda i=i: {"x": make(i)})["x"])  # type: ignore[misc]
                bar.update(task, completed=elapsed / allowed if allowed else (i + 1) / count)
        finally:
            bar.stop()
        self.spent["seconds"] = round(self.spent["seconds"] + time.monotonic() - start, 1)
        return made

    def once(self, name: str, make: Callable[[], dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
        """Named arrays that are made once."""
        from safetensors.numpy import load_file, save

        path = self._path(name)
        if path and self.resume and path.exists():
            return load_file(path)
        # Of arrays in another order than C's, such as channels last, safetensors writes nonsense.
        made = {key: np.ascontiguousarray(array) for key, array in make().items()}
        if path:
            _write(path, save(made))
        return made

    def _path(self, name: str) -> Path | None:
        return self.folder and self.folder / f"{name}.safetensors"


def _write(path: Path, data: bytes) -> None:
    from hush.io import atomic

    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic(path) as partial:
        partial.write_bytes(data)

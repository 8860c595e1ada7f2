"""Several trainings in sequence, each of which can be resumed after an interruption."""

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

_UNIT = 16  #: pixels; reduced patch sizes are multiples of it, because networks halve them


@dataclass
class Stages:
    """One schedule shared by several trainings, each with its own folder for its results.

    schedule : for all stages together; each gets a share.
    folder : for the results of finished stages and the checkpoints of others; None keeps nothing.
    resume : read finished stages from the folder and continue the stage that was interrupted.
    settings : settings that all stages depend on; a folder with other settings raises an error.
    kind : of data that is learned from.
    """

    schedule: Schedule
    folder: Path | None
    resume: bool
    device: str
    progress: bool | None
    settings: Mapping[str, Any]
    kind: Kind
    #: seconds spent in all stages by this object
    spent: dict[str, float] = field(default_factory=lambda: {"seconds": 0.0})
    _own: list[str] = field(default_factory=list, init=False)  # patterns of this training's files

    def __post_init__(self) -> None:
        apart = ("max_steps", "budget")  # a resumed training may have more time
        rest = {k: v for k, v in dataclasses.asdict(self.schedule).items() if k not in apart}
        settings = json.loads(json.dumps({**self.settings, **rest}))
        path = self.folder and self.folder / "stages.json"
        before = json.loads(path.read_text("utf-8")) if path and path.exists() else {}
        own = before.pop("stages", [])
        if before and self.resume:
            self._own = own
            for name in sorted(settings.keys() | before.keys()):
                if settings.get(name) != before.get(name):
                    raise HushError(
                        f"the training in {self.folder} had {name} {before.get(name)}, not "
                        f"{settings.get(name)}; resume with its settings, or start a new training"
                    )
        elif path:
            stale = [old for name in own for old in path.parent.glob(f"{name}/resume.safetensors")]
            stale += [old for name in own for old in path.parent.glob(f"{name}.safetensors")]
            for old in stale:  # of an abandoned training
                old.unlink()
            _write(path, json.dumps(settings).encode())

    def _claim(self, pattern: str) -> None:
        """Note which files in the folder are this training's, so that the next may remove them."""
        if self.folder and pattern not in self._own:
            self._own.append(pattern)
            path = self.folder / "stages.json"
            settings = json.loads(path.read_text("utf-8"))
            _write(path, json.dumps({**settings, "stages": self._own}).encode())

    def train(
        self,
        name: str,
        share: float,
        network: nn.Module,
        images: Sequence[np.ndarray],
        loss: Callable[[Tensor, torch.Generator, float], Mapping[str, Tensor]],
        pace: Mapping[str, Any] | None = None,
    ) -> dict[str, float]:
        """Train a network in place for a `share` of the schedule; return its held-out loss.

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
        self._claim(name)

        def validate() -> Mapping[str, float]:
            """The loss as at the end of the stage, with four fixed draws of each crop."""
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
        """Make `count` arrays, or with a time budget as many as its share allows, at least 4."""
        from hush.progress import progress_bar, watched

        allowed = self.schedule.budget and share * self.schedule.budget
        self._claim(f"{name}-[0-9]*")
        start, made = time.monotonic(), list[np.ndarray]()
        bar = progress_bar()
        task = bar.add_task(name, total=1.0)
        if watched() if self.progress is None else self.progress:
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
        """Make named arrays, or read them if they were already made."""
        from safetensors.numpy import load_file, save

        path = self._path(name)
        if path and self.resume and path.exists():
            return load_file(path)
        # safetensors writes wrong values for arrays not in C order, such as channels last.
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

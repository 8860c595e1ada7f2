"""Methods that a study trains on a case's noisy images, all for the same time.

A row of a table is a `Recipe`: what to train, and with which settings to read the trained model.
Rows with recipes that differ only in these settings share one model, trained once and kept.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hush.studies.sample import Sample

if TYPE_CHECKING:
    from hush.denoiser import Denoiser

MODEL = "model.safetensors"  #: in a training's folder after it has finished


@dataclass(frozen=True)
class Recipe:
    """How a row of a table is made.

    method : its command-line name; fields : of its constructor, for the training.
    reading : settings of the trained method for this row.
    start : recipe of another training; its finished stages are reused.
    supervised : trained on pairs of noisy and clean images, not on noisy ones only.
    told : given the noise process, in training and afterwards.
    budgets : training time in multiples of the case's budget, including that of `start`.
    ceiling : uses other information that users do not have, such as all of the data.
    """

    method: str
    fields: Mapping[str, Any] = field(default_factory=dict)
    reading: Mapping[str, Any] = field(default_factory=dict)
    start: Recipe | None = None
    supervised: bool = False
    told: bool = False
    budgets: int = 1
    ceiling: bool = False

    @property
    def is_reference(self) -> bool:
        """Whether its row uses information that users do not have."""
        return self.supervised or self.told or self.ceiling

    def read(self, **reading: Any) -> Recipe:
        """The same training, read with these additional settings."""
        return replace(self, reading={**self.reading, **reading})


@dataclass(frozen=True)
class Training:
    """The training data of a case's methods, and the training time.

    name : of these images, for the folder; samples : the images for a seed, always the same.
    recipes : row → its recipe.
    budget : seconds for each method, all its stages together.
    folder : for the models.
    """

    name: str
    samples: Callable[[int], Iterable[Sample]]
    recipes: Mapping[str, Recipe]
    budget: float
    folder: Path | None = None
    kind: str = "image"

    def place(self, recipe: Recipe, seed: int) -> Path:
        """The folder of a recipe's training, shared by recipes that differ only in `reading`."""
        assert self.folder is not None
        fields = [f"{k}={v}" for k, v in recipe.fields.items()]
        fields.append("pairs" if recipe.supervised else "noisy")
        fields += ["told"] * recipe.told
        data = f"{self.name};budget={self.budget:g};seed={seed}"
        return self.folder / _file_name(data) / _file_name(";".join([recipe.method, *fields]))

    def model(self, recipe: Recipe, seed: int, device: str = "cpu") -> Denoiser:
        """The recipe's trained method; trains it, or continues its training, if needed."""
        from hush.methods import make
        from hush.models import load
        from hush.schedule import Schedule

        folder = self.place(recipe, seed)
        finished = folder / MODEL
        if not finished.exists():
            if recipe.start and not folder.exists():
                self.model(recipe.start, seed, device)
                _copy(self.place(recipe.start, seed), folder)
            samples = list(self.samples(seed))
            options = {"noise": samples[0].noise} if recipe.told else {}
            method = make(recipe.method, self.kind, **recipe.fields)
            method.fit(
                [_taught(sample, recipe.supervised) for sample in samples],
                schedule=Schedule(budget=self.budget * recipe.budgets, seed=seed),
                folder=folder,
                resume=any(folder.rglob("*.safetensors")),
                device=device,
                progress=False,
                **options,
            )
            method.save(finished)
        return load(finished).replace(**recipe.reading).to(device)

    def method(
        self, recipe: Recipe, seed: int, device: str = "cpu"
    ) -> Callable[[np.ndarray, Any], np.ndarray]:
        """The recipe's row as a function from noisy to denoised images."""
        model = self.model(recipe, seed, device)

        def method(noisy: np.ndarray, noise: Any) -> np.ndarray:
            return model.restored(noisy, noise if recipe.told else None)

        return method


def _taught(sample: Sample, supervised: bool) -> np.ndarray:
    """A sample as `fit` takes it: one channel as ``S``, several as ``(*S, C)``; a supervised one,
    of one channel, as ``(2, *S)`` with the clean one last."""
    if supervised:
        return np.concatenate([sample.noisy, sample.reference])
    return sample.noisy[0] if len(sample.noisy) == 1 else np.moveaxis(sample.noisy, 0, -1)


def _copy(source: Path, target: Path) -> None:
    """Copy a training's folder without its result; `target` only exists once it is complete."""
    partial = target.with_name(f"{target.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    shutil.copytree(source, partial)
    (partial / MODEL).unlink()
    partial.rename(target)


def _file_name(text: str) -> str:
    """`text` as a name that is valid on every file system."""
    return re.sub(r"[^\w.=-]+", "_", text)

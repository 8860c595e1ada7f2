"""Methods that a study trains itself, on a case's own noisy images, all for the same time.

A row of a table is a `Recipe`: what is trained for it, and how the result is read. Rows whose
recipes differ in the reading alone come from one model; a model is trained once and kept.
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

MODEL = "model.safetensors"  #: in a training's folder, once it is finished


@dataclass(frozen=True)
class Recipe:
    """How a row of a table is made.

    method : its command-line name; fields : of its constructor, for the training.
    reading : settings of the trained method that make it this row.
    start : the training whose finished stages this one takes over.
    supervised : it learns from pairs of noisy and clean images, not from noisy ones alone.
    told : it is given the noise process, in training and afterwards.
    budgets : for how many of the case's budgets it is trained, those of `start` included.
    ceiling : it knows more than a user does in another way, such as by all of the data.
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
        """Whether its row knows more than a user does."""
        return self.supervised or self.told or self.ceiling

    def read(self, **reading: Any) -> Recipe:
        """The same training, read with these settings too."""
        return replace(self, reading={**self.reading, **reading})


@dataclass(frozen=True)
class Training:
    """What the methods of a case learn from, and for how long.

    name : of these images, for the folder; samples : the images for a seed, always the same.
    recipes : row → how it is made.
    budget : seconds for each method, all its stages together.
    folder : where models are kept.
    """

    name: str
    samples: Callable[[int], Iterable[Sample]]
    recipes: Mapping[str, Recipe]
    budget: float
    folder: Path | None = None
    kind: str = "image"

    def place(self, recipe: Recipe, seed: int) -> Path:
        """The folder of a recipe's training: one for all recipes that differ in reading alone."""
        assert self.folder is not None
        fields = [f"{k}={v}" for k, v in recipe.fields.items()]
        fields.append("pairs" if recipe.supervised else "noisy")
        fields += ["told"] * recipe.told
        data = f"{self.name};budget={self.budget:g};seed={seed}"
        return self.folder / _file_name(data) / _file_name(";".join([recipe.method, *fields]))

    def model(self, recipe: Recipe, seed: int, device: str = "cpu") -> Denoiser:
        """The recipe's method, trained now or before; what was interrupted goes on."""
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
        """The recipe's row: noisy images in, denoised ones out."""
        model = self.model(recipe, seed, device)

        def method(noisy: np.ndarray, noise: Any) -> np.ndarray:
            return model.restored(noisy, noise if recipe.told else None)

        return method


def _taught(sample: Sample, supervised: bool) -> np.ndarray:
    """A one-channel sample as `fit` takes it: ``S``, or ``(2, *S)`` with the clean one last."""
    return np.concatenate([sample.noisy, sample.reference]) if supervised else sample.noisy[0]


def _copy(source: Path, target: Path) -> None:
    """Another training's folder without its result; `target` is there only when complete."""
    partial = target.with_name(f"{target.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    shutil.copytree(source, partial)
    (partial / MODEL).unlink()
    partial.rename(target)


def _file_name(text: str) -> str:
    """`text` as a name that every file system takes."""
    return re.sub(r"[^\w.=-]+", "_", text)

"""Methods that a study trains on a case's noisy images, all for the same time.

A row of a table is a `Recipe`: what to train, and with which settings to read the trained model.
Rows with recipes that differ only in these settings share one model, trained once and kept. A
method that learns nothing may have settings chosen on the same data.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from dataclasses import fields as dataclass_fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hush.errors import HushError
from hush.record import Record
from hush.studies.sample import Sample, part

if TYPE_CHECKING:
    from hush.denoiser import Denoiser

#: (noisy, noise it has or None) → result
Method = Callable[[Any, Any], Any]
#: how a method is applied: (method, noisy, noise it has or None) → result
Apply = Callable[["Denoiser", Any, Any], Any]

MODEL = "model.safetensors"  #: in a training's folder after it has finished
CHOSEN_ON = 100  #: training samples on which a setting is chosen, about


def restored(method: Denoiser, noisy: np.ndarray, noise: Any) -> np.ndarray:
    """An item ``(C, *S)``, denoised."""
    return method.restored(noisy, noise)


@dataclass(frozen=True)
class Recipe:
    """How a row of a table is made.

    method : its command-line name; fields : of its constructor, for the training.
    reading : settings of the trained method for this row.
    start : recipe of another training; its finished stages are reused.
    supervised : trained on pairs of noisy and clean samples, not on noisy ones only.
    takes : trained on pairs of takes, each with noise of its own (`Training.takes`).
    corpus : trained on the clean samples only.
    told : given the noise process, in training and afterwards.
    budgets : training time in multiples of the case's budget, including that of `start`.
    ceiling : uses other information that users do not have, such as all of the data.
    choices : a field and its possible values; that which is best on the training samples is used.
    files : fields that are paths of the training's files, with the names of these.
    after : what becomes of the method's result: (result, noisy) → the row's result.
    seconds : of training, instead of the case's budget.
    """

    method: str
    fields: Mapping[str, Any] = field(default_factory=dict)
    reading: Mapping[str, Any] = field(default_factory=dict)
    start: Recipe | None = None
    supervised: bool = False
    takes: bool = False
    corpus: bool = False
    told: bool = False
    budgets: int = 1
    ceiling: bool = False
    choices: tuple[str, Sequence[Any]] | None = None
    files: Mapping[str, str] = field(default_factory=dict)
    after: Callable[[Any, Any], Any] | None = None
    seconds: float | None = None

    @property
    def is_reference(self) -> bool:
        """Whether its row uses information that users do not have."""
        return self.supervised or self.takes or self.corpus or self.told or self.ceiling

    def read(self, **reading: Any) -> Recipe:
        """The same training, read with these additional settings."""
        return replace(self, reading={**self.reading, **reading})


@dataclass(frozen=True)
class Training:
    """The training data of a case's methods, and the training time.

    name : of the samples, for the folder; samples : those for a seed, always the same; takes :
        the same with other noise, for recipes with two takes.
    recipes : row → its recipe.
    budget : seconds for each method, all its stages together.
    folder : for the models.
    files : name → function that writes a file that some recipes need.
    helpers : what estimators need that are trained on these samples too, by name.
    only_found : whether helpers are used only if they were trained before.
    """

    name: str
    samples: Callable[[int], Iterable[Sample]]
    recipes: Mapping[str, Recipe]
    budget: float
    folder: Path | None = None
    kind: str = "image"
    files: Mapping[str, Callable[[Path], None]] = field(default_factory=dict)
    helpers: Mapping[str, Recipe] = field(default_factory=dict)
    only_found: bool = False
    takes: Callable[[int], Iterable[Sample]] | None = None

    def helper(self, name: str, seed: int, device: str = "cpu") -> Denoiser | None:
        """A helper, trained if needed; None if it has to be found and is not."""
        recipe = self.helpers[name]
        if self.only_found and not (self.place(recipe, seed) / MODEL).exists():
            return None
        return self.model(recipe, seed, device)

    def place(self, recipe: Recipe, seed: int) -> Path:
        """The folder of a recipe's training, shared by recipes that differ only in `reading`."""
        assert self.folder is not None
        fields = [f"{k}={v}" for k, v in recipe.fields.items()]
        lessons = "pairs" if recipe.supervised else "clean" if recipe.corpus else "noisy"
        lessons = "takes" if recipe.takes else lessons
        fields.append(recipe.choices[0] if recipe.choices else lessons)
        fields += ["told"] * recipe.told
        data = f"{self.name};budget={recipe.seconds or self.budget:g};seed={seed}"
        return self.folder / _file_name(data) / _file_name(";".join([recipe.method, *fields]))

    def model(self, recipe: Recipe, seed: int, device: str = "cpu") -> Denoiser:
        """The recipe's trained method; trains it, or continues its training, if needed."""
        from hush.methods import get
        from hush.models import load
        from hush.schedule import Schedule

        folder = self.place(recipe, seed)
        finished = folder / MODEL
        if not finished.exists():
            if recipe.start and not folder.exists():
                self.model(recipe.start, seed, device)
                _copy(self.place(recipe.start, seed), folder)
            if get(recipe.method, self.kind).learns_from == "nothing":
                method = _made(recipe, self.kind, self._chosen(recipe, seed))
                folder.mkdir(parents=True, exist_ok=True)
                method.save(finished)
                return self.model(recipe, seed, device)
            samples = list(self.samples(seed))
            options: dict[str, Any] = {"noise": samples[0].noise} if recipe.told else {}
            if recipe.corpus:
                options["corpus"] = True
            fields = {**recipe.fields, **self._written(recipe, folder.parent)}
            method = _made(recipe, self.kind, fields)
            schedule = Schedule(budget=(recipe.seconds or self.budget) * recipe.budgets, seed=seed)
            if method.kind.selected:
                schedule = replace(schedule, patch=method.kind.patch)
            method.fit(
                self._lessons(recipe, samples, seed),
                schedule=schedule,
                folder=folder,
                resume=any(folder.rglob("*.safetensors")),
                device=device,
                progress=False,
                **options,
            )
            method.save(finished)
        return load(finished).replace(**recipe.reading).to(device)

    def _lessons(self, recipe: Recipe, samples: Sequence[Sample], seed: int) -> list[Any]:
        """Samples as `fit` takes them."""
        if not recipe.takes:
            return [_taught(sample, recipe) for sample in samples]
        if self.takes is None:
            raise HushError(f"{recipe.method} learns from several takes, and there is one of each")
        pairs = zip(samples, self.takes(seed), strict=True)
        return [_stack(one.noisy, other.noisy) for one, other in pairs]

    def _written(self, recipe: Recipe, folder: Path) -> dict[str, str]:
        """The recipe's fields that are paths; files that do not exist yet are written."""
        from hush.io import atomic

        paths = {field: folder / name for field, name in recipe.files.items()}
        for path in paths.values():
            if not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                with atomic(path) as partial:
                    self.files[path.name](partial)
        return {field: str(path) for field, path in paths.items()}

    def _chosen(self, recipe: Recipe, seed: int) -> dict[str, Any]:
        """The recipe's fields, with the choice that has the least mean error in dB in training."""
        if recipe.choices is None:
            return dict(recipe.fields)
        name, values = recipe.choices
        samples = list(self.samples(seed))
        samples = samples[:: max(1, len(samples) // CHOSEN_ON)]

        def error(value: Any) -> float:
            method = _made(recipe, self.kind, {**recipe.fields, name: value})
            made = ((method.restored(s.noisy), s.reference) for s in samples)
            return float(np.mean([np.log(np.mean((y - x) ** 2)) for y, x in made]))

        return {**recipe.fields, name: min(values, key=error)}

    def choice(self, recipe: Recipe, seed: int) -> str:
        """The setting that was chosen for a finished row, in words; empty without one."""
        from hush.models import load

        finished = self.place(recipe, seed) / MODEL
        if recipe.choices is None or not finished.exists():
            return ""
        name = recipe.choices[0]
        return f"{name}={load(finished).config()[name]}"

    def method(
        self, recipe: Recipe, seed: int, device: str = "cpu", apply: Apply = restored
    ) -> Method | None:
        """The recipe's row as a function from noisy to denoised data; None without such a row."""
        model = self.model(recipe, seed, device)

        def method(noisy: Any, noise: Any) -> Any:
            result = apply(model, noisy, noise if recipe.told else None)
            return recipe.after(result, noisy) if recipe.after else result

        return method


def _made(recipe: Recipe, kind: str, settings: Mapping[str, Any]) -> Denoiser:
    """An untrained method with these settings; `HushError` if it has no such fields."""
    from hush.methods import get, make

    fields = {f.name for f in dataclass_fields(get(recipe.method, kind)) if f.init}
    if unknown := settings.keys() - fields:
        raise HushError(f"{recipe.method} for {kind}s has no setting '{min(unknown)}'")
    return make(recipe.method, kind, **settings)


def _taught(sample: Sample, recipe: Recipe) -> Any:
    """A sample as `fit` takes it: one channel as ``S``, several as ``(*S, C)``; for a supervised
    recipe, a stack of two. A set as a record, a clean one without its outliers."""
    if isinstance(sample.noisy, Record):
        return part(sample.noisy, sample.reference) if recipe.corpus else sample.noisy
    if recipe.supervised:
        return _stack(sample.noisy, sample.reference)
    x = sample.reference if recipe.corpus else sample.noisy
    return x[0] if len(x) == 1 else np.moveaxis(x, 0, -1)


def _stack(*takes: np.ndarray) -> np.ndarray:
    """Images ``(C, *S)`` of one scene as `fit` takes them: ``(n, *S)``, or ``(n, *S, C)``."""
    whole = np.stack(takes)
    return whole[:, 0] if whole.shape[1] == 1 else np.moveaxis(whole, 1, -1)


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

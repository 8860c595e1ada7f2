"""One contract for every method that learns from alignments: what its training promises."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner

import hush
from hush.cli import main
from hush.errors import HushError
from hush.io.residues import BYTES, FIRST, GAP
from hush.kinds.alignment.cut import FEWEST
from hush.methods import METHODS, VARIANTS, get
from hush.schedule import Schedule

TRAINED = [
    name
    for name in METHODS
    if f"{name}/alignment" in VARIANTS and get(name, "alignment").learns_from != "nothing"
]
pytestmark = pytest.mark.usefixtures("one_thread_throughout")
every_trained = pytest.mark.parametrize("name", TRAINED)
Tiny = Callable[[str, str], dict[str, Any]]
#: `conftest.stopped_and_resumed`
Both = Callable[..., tuple[dict[str, Any], dict[str, Any]]]


def lesson(seed: int, rows: int = 60, columns: int = 24) -> np.ndarray:
    """Tokens of mutated copies of one row, with gaps."""
    rng = np.random.default_rng(seed)
    made = np.tile(rng.integers(FIRST, FIRST + 20, columns), (rows, 1)).astype(np.uint8)
    changed = rng.random(made.shape) < rng.uniform(0.1, 0.7, (rows, 1))
    made[changed] = rng.integers(FIRST, FIRST + 20, int(changed.sum()))
    made[rng.random(made.shape) < 0.05] = GAP
    return made


def written(rows: np.ndarray, path: Path) -> Path:
    text = [f">row{i}\n{BYTES[row].tobytes().decode()}\n" for i, row in enumerate(rows)]
    path.write_text("".join(text))
    return path


def test_there_are_methods_that_learn() -> None:
    assert {"mid", "diffusion"} <= set(TRAINED)


@every_trained
def test_a_training_stopped_goes_on_as_if_it_had_not(
    name: str, tiny: Tiny, stopped_and_resumed: Both
) -> None:
    schedule = Schedule(max_steps=5, batch=2, patch=32, validate_every=9999)

    def fitted(**options: Any) -> dict[str, torch.Tensor]:
        model: Any = get(name, "alignment").for_kind("alignment", **tiny(name, "alignment"))
        every = [lesson(seed) for seed in range(3)]
        model.fit(every, schedule=schedule, device="cpu", **options)
        return dict(model.weights())

    straight, resumed = stopped_and_resumed(fitted, 3)
    assert all(torch.isfinite(w).all() for w in straight.values())
    assert all(torch.equal(resumed[k], v) for k, v in straight.items())


@every_trained
def test_the_command_line_trains_and_its_model_denoises(
    name: str, tiny: Tiny, tmp_path: Path
) -> None:
    folder, model, out = tmp_path / "families", tmp_path / "m.safetensors", tmp_path / "o.a3m"
    folder.mkdir()
    files = [written(lesson(seed), folder / f"{seed}.a3m") for seed in range(2)]
    options = ["--method", name, "--max-steps", "2", "--set", "patch=32"]
    for key, value in tiny(name, "alignment").items():
        options += ["--set", f"{key}={value}"]
    done = CliRunner().invoke(main, ["train", str(folder), "-o", str(model), *options])
    assert done.exit_code == 0, done.stderr
    assert hush.load(model).kind.name == "alignment"
    words = ["denoise", str(files[0]), "--model", str(model), "-n", "9", "-o", str(out)]
    done = CliRunner().invoke(main, [*words, "--adapt", "1s"])
    assert done.exit_code == 0, done.stderr
    assert out.read_text().count(">") == 9
    assert out.read_text().startswith(">row0\n")


@every_trained
def test_what_cannot_be_trained_gets_a_sentence(name: str) -> None:
    method: Any = get(name, "alignment").for_kind("alignment")
    with pytest.raises(HushError, match=f"with at least {FEWEST}"):
        method.fit([lesson(0)[: FEWEST - 1]], schedule=Schedule(max_steps=1), device="cpu")
    with pytest.raises(HushError, match="is not trained"):
        method.denoise(lesson(0))

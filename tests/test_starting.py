"""Trainings that start from a shipped model, and what is said of them at the end."""

from __future__ import annotations

import copy
import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import torch
from click.testing import CliRunner, Result

import hush.models
from hush.cli import main
from hush.errors import HushError
from hush.kinds.cut import to_compare, withhold
from hush.methods.mid import judging
from hush.methods.mid.image import MID
from hush.noise.processes import parse
from hush.schedule import Schedule
from hush.starting import DECIBELS, NOISE, Comparison, Losses, compared, gently, settled

TINY = ("--set", "patch=32", "--set", "batch=2", "--max-steps", "1")
SMALL = ("--set", "widths=8,8", "--set", "blocks=1,1")


def test_a_difference_beside_the_truth_is_told_in_decibels() -> None:
    theirs = np.random.default_rng(0).uniform(1, 2, (8, 3))
    found = compared(Losses(theirs / 10, DECIBELS), Losses(theirs, DECIBELS))
    assert found.gain == pytest.approx(10)
    assert found.verdict == "better"
    assert compared(Losses(theirs), Losses(theirs / 10)).verdict == "worse"


def test_a_part_with_large_errors_does_not_blur_decibels() -> None:
    """Parts of very different errors, all of them a little better: the difference is sure."""
    theirs = np.array([1.0] * 7 + [1000.0])[:, None]
    share = 0.98 + 0.002 * np.random.default_rng(0).standard_normal((8, 1))
    found = compared(Losses(share * theirs, DECIBELS), Losses(theirs, DECIBELS))
    assert found.gain == pytest.approx(-10 * np.log10(share).mean())
    assert found.verdict == "better"
    same = Losses(np.zeros((8, 1)), DECIBELS)  # exact results are no division by zero
    assert compared(same, Losses(theirs, DECIBELS)).gain > 70


def test_what_losses_have_in_common_does_not_blur_their_difference() -> None:
    rng = np.random.default_rng(0)
    common, change = 100 * rng.random((8, 1)), 0.02 + 0.001 * rng.standard_normal((8, 1))
    found = compared(Losses(common, NOISE), Losses(common + change, NOISE))
    assert found.gain == pytest.approx(100 * change.mean())
    assert found.error == pytest.approx(100 * change.std(ddof=1) / np.sqrt(8))


def test_chance_is_not_called_a_difference() -> None:
    rng = np.random.default_rng(1)
    found = [
        compared(*(Losses(rng.standard_normal((16, 1)), NOISE) for _ in range(2))).verdict
        for _ in range(300)
    ]
    assert found.count("same") / len(found) > 0.9


@pytest.mark.parametrize("change", [-0.1, 0.0, 0.1])
def test_what_is_not_better_goes_back_to_its_start(change: float) -> None:
    start, trained, other = (torch.nn.Linear(1, 1) for _ in range(3))
    other.load_state_dict(trained.state_dict())
    each = np.random.default_rng(0).random((8, 2))
    losses = {start: each, trained: each - change, other: each - change}
    aside: list[torch.Tensor] = []
    found = settled(
        trained,
        start,
        lambda n: Losses(losses[n]),
        start.state_dict(),
        keep=lambda: aside.append(trained.weight.detach().clone()),
    )
    assert found.kept == bool(aside) == (change <= 0)
    assert all(torch.equal(w, other.weight) for w in aside)
    assert torch.equal(trained.weight, (start if found.kept else other).weight)
    free = settled(other, start, lambda n: Losses(losses[n]), None)
    assert not free.kept
    assert free.gain == found.gain


def test_sentences_say_what_to_use() -> None:
    worse = Comparison(-0.5, 0.1, DECIBELS)
    assert "mine is worse than theirs: its error is 0.50 ± 0.10 dB higher" in worse.sentence(
        "mine", "theirs"
    )
    assert worse.sentence("mine", "theirs").endswith("Use theirs, or train longer.")
    kept = Comparison(0.01, 0.1, NOISE, kept=True, held_out=False).sentence("mine", "theirs")
    assert kept.startswith("On the training data")
    assert "no better than theirs" in kept
    assert kept.endswith("So mine holds the weights of theirs.")


def test_held_out_parts_are_not_trained_on() -> None:
    items = [np.arange(64 * 48, dtype=np.float32).reshape(1, 64, 48) + 1e4 * i for i in range(3)]
    training, parts = withhold(items)
    assert len(parts) == 3
    for x, before, part in zip(items, training, parts, strict=True):
        assert np.array_equal(np.concatenate([before, part], 1), x)
    small = to_compare(parts, 3 * 16 * 32)
    assert [p.shape for p in small] == [(1, 16, 32)] * 3
    assert to_compare([np.zeros((1, 8, 100), np.float32)]) == []


LONG = pytest.mark.long


@pytest.mark.parametrize("sigma", [10, pytest.param(20, marks=LONG), pytest.param(30, marks=LONG)])
def test_hidden_places_tell_the_better_network_as_the_truth_does(
    sigma: int, clean: np.ndarray
) -> None:
    """Noise of σ = 20 is denoised at this and at wrong levels, by a network and a spoilt one.

    Eight draws of the noise: told half of it, the two differ by 0.17 dB only.
    """
    model: Any = hush.models.load("mid-gray")
    x = torch.from_numpy(clean[None].astype(np.float32) / 255)
    draws = [torch.Generator().manual_seed(seed) for seed in range(8)]
    noisy = [parse("gaussian:20/255").sample(x, draw).numpy() for draw in draws]
    stated = parse(f"gaussian:{sigma}/255")
    spoilt = model.replace()
    spoilt.networks_ = copy.deepcopy(model.networks_)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in spoilt.networks_["noise"].parameters():
            weight += 0.1 * weight.std() * torch.randn(weight.shape, generator=generator)
    errors = [
        np.mean([np.square(m.restore(y, stated).data - x.numpy()).mean() for y in noisy])
        for m in (model, spoilt)
    ]
    losses = [judging.losses(model, m.networks_, noisy, [stated] * 8) for m in (model, spoilt)]
    found = compared(losses[1], losses[0])
    assert found.verdict == ("worse" if errors[1] > errors[0] else "better")


def test_a_gentle_learning_rate_is_a_share_of_the_usual_one() -> None:
    assert gently(Schedule(max_steps=1), learning_rate=2e-3).learning_rate == pytest.approx(4e-4)
    assert gently(Schedule(max_steps=1, learning_rate=0.1)).learning_rate == 0.1


# -- from the command line ---------------------------------------------------------------------


@pytest.fixture
def models(tmp_path: Path, random_mid: Callable[..., MID], monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder as of shipped models: a tiny one for gray images."""
    folder = tmp_path / "models"
    folder.mkdir()
    model = random_mid(1)
    model.card_ = {"method": "mid", "channels": 1, "command": "hush train", "data": []}
    model.save(folder / "mid-gray.safetensors")
    (folder / "mid-gray.json").write_text(json.dumps(model.card_))
    monkeypatch.setattr("hush.models.WEIGHTS", folder)
    return folder


@pytest.fixture
def file(tmp_path: Path, noisy: np.ndarray) -> Path:
    """A noisy gray 8-bit TIFF."""
    path = tmp_path / "noisy.tif"
    tifffile.imwrite(path, noisy)
    return path


def train(file: Path, *more: Any) -> Result:
    """Train for a step; the model is m.safetensors beside the file."""
    out = file.with_name("m.safetensors")
    command = ["train", file, "-o", out, "--overwrite", *TINY, *more]
    return CliRunner().invoke(main, [str(word) for word in command])


def card(file: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(file.with_name("m.json").read_text())
    return found


def weights(path: Path) -> dict[str, torch.Tensor]:
    return dict(hush.models.load(path).weights())


def test_training_starts_from_the_shipped_model_and_is_compared_with_it(
    file: Path, models: Path
) -> None:
    run = train(file, *SMALL, "--set", "learning_rate=1e-9")
    assert run.exit_code == 0, run.stderr
    assert "starts from the shipped model mid-gray" in run.stderr
    assert "--start mid-gray" in card(file)["command"]
    assert card(file)["compared"]["with"] == "mid-gray"
    assert card(file)["compared"]["verdict"] == "same"
    assert "So m.safetensors holds the weights of mid-gray" in " ".join(run.stdout.split())
    ours, theirs = (
        weights(file.with_name("m.safetensors")),
        weights(models / "mid-gray.safetensors"),
    )
    assert all(torch.equal(ours[k], theirs[k]) for k in ours if k != "top")


def test_what_was_trained_is_never_lost(file: Path, models: Path) -> None:
    """It is put aside and named, with --quiet too; and it is no interrupted training."""
    run = train(file, *SMALL, "--set", "learning_rate=10", "--quiet")
    assert run.exit_code == 0, run.stderr
    aside = file.with_name("m.safetensors.training") / "trained.safetensors"
    assert card(file)["compared"]["kept"]
    assert f"what was trained is in {aside}" in " ".join(run.stderr.split())
    trained, theirs = weights(aside), weights(models / "mid-gray.safetensors")
    assert not all(torch.equal(trained[k], theirs[k]) for k in theirs)
    assert train(file, *SMALL, "--resume").exit_code == 1  # nothing to resume


def test_training_from_scratch_is_compared_too(file: Path, models: Path) -> None:
    run = train(file, *SMALL, "--start", "none")
    assert run.exit_code == 0, run.stderr
    assert "starts from" not in run.stderr
    assert "--start none" in card(file)["command"]
    assert card(file)["compared"]["kept"] is False
    ours, theirs = (
        weights(file.with_name("m.safetensors")),
        weights(models / "mid-gray.safetensors"),
    )
    assert not torch.equal(ours["noise.tail.weight"], theirs["noise.tail.weight"])


def test_another_architecture_starts_from_scratch(file: Path, models: Path) -> None:
    run = train(file, "--set", "widths=8,16", "--set", "blocks=1,1")
    assert run.exit_code == 0, run.stderr
    assert "from scratch, because mid-gray has other widths" in run.stderr
    assert card(file)["compared"]["with"] == "mid-gray"


def test_sizes_that_are_not_stated_are_those_of_the_start(file: Path, models: Path) -> None:
    run = train(file)
    assert run.exit_code == 0, run.stderr
    theirs = hush.load(models / "mid-gray.safetensors")
    assert tuple(theirs.widths) != tuple(type(theirs)().widths)
    assert hush.load(file.with_name("m.safetensors")).config() == theirs.config()
    assert "starts from the shipped model mid-gray" in run.stderr


def test_stated_sizes_that_do_not_go_with_the_start_are_refused(file: Path, models: Path) -> None:
    run = train(file, "--start", "mid-gray", "--set", "blocks=1,1,1")  # it has two widths
    assert run.exit_code == 1
    assert "as many blocks as widths" in run.stderr


def test_without_a_shipped_model_nothing_is_compared(file: Path, models: Path) -> None:
    (models / "mid-gray.json").unlink()
    run = train(file, *SMALL)
    assert run.exit_code == 0, run.stderr
    assert "compared" not in card(file)
    assert "--start" not in card(file)["command"]


def test_trainings_of_before_are_resumed_from_scratch(
    file: Path, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import hush.training

    original = hush.training.train

    def stopped(networks: Any, patches: Any, loss: Any, *given: Any, **options: Any) -> Any:
        def interrupting(*drawn: Any) -> Any:
            signal.raise_signal(signal.SIGINT)  # at the end of this step
            return loss(*drawn)

        return original(networks, patches, interrupting, *given, **options)

    with monkeypatch.context() as patched:
        patched.setattr(hush.training, "train", stopped)
        assert train(file, *SMALL, "--start", "none").exit_code == 130
    begun = file.with_name("m.safetensors.training") / "training.json"
    before = json.loads(begun.read_text())
    assert before["start"] == "none"
    del before["schedule"]["clip"]
    begun.write_text(json.dumps(before | {"start": None}))
    seen: dict[str, Any] = {}

    def resumed(self: Any, data: Any, **options: Any) -> Any:
        seen.update(options)
        raise HushError("stop")

    monkeypatch.setattr(MID, "fit", resumed)
    assert "stop" in train(file, *SMALL, "--resume").stderr
    assert "start" not in seen
    assert "other start" in train(file, *SMALL, "--resume", "--start", "mid-gray").stderr

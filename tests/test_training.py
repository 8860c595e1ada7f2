"""Training: repeatable bit by bit, resumable however it ended, and the schedule it states."""

from __future__ import annotations

import json
import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import numpy as np
import pytest
import torch
from safetensors import safe_open
from scipy.stats import chisquare
from torch import Tensor, nn

import hush.training
from hush.errors import HushError
from hush.kinds.cut import CELL, Patches, middle, withhold
from hush.kinds.image.cut import Turned
from hush.methods import get
from hush.methods.mid import loss
from hush.methods.mid.image import MID
from hush.methods.mid.loss import States
from hush.record import Batch
from hush.schedule import Schedule
from hush.training import train

pytestmark = pytest.mark.usefixtures("one_thread")

STEPS, CUT = 14, 6

#: Fits the model of `mid` below in a process that kills itself in the middle of a step.
KILLED = f"""
import os, signal, sys
from pathlib import Path
import torch
torch.set_num_threads(1)
sys.path.insert(0, {str(Path(__file__).parent)!r})
import hush.training
from test_training import fit
hush.training.CHECKPOINT_EVERY = 0.0
fit(Path(sys.argv[1]), at_step=({CUT}, lambda: os.kill(os.getpid(), signal.SIGKILL)))
"""


def fit(
    folder: Path | None = None,
    at_step: tuple[int, Callable[[], None]] | None = None,
    **options: Any,
) -> MID:
    """A short noisy-only training on counts; `at_step` calls a function within that step."""
    rng = np.random.default_rng(0)
    images = [rng.poisson(20 * rng.random((40, 48))) / 20 for _ in range(3)]
    model = MID(widths=(8, 12), blocks=(1, 1))
    schedule = Schedule(max_steps=STEPS, batch=4, patch=16, validate_every=4, seed=3)
    step_loss, seen = loss.joint_loss, 0

    def counted(networks: nn.ModuleDict, states: States, *args: Any) -> dict[str, Tensor]:
        nonlocal seen
        seen += len(states.noisy) == schedule.batch  # validation looks at one image at a time
        if at_step and seen == at_step[0]:
            at_step[1]()
        return step_loss(networks, states, *args)

    with mock.patch.object(loss, "joint_loss", counted):
        return model.fit(
            images, noise="poisson:20", schedule=schedule, folder=folder, device="cpu", **options
        )


def learned(model: MID) -> Mapping[str, Tensor]:
    """The weights in full precision; a saved model has half."""
    assert model.networks_ is not None
    return model.networks_.state_dict()


@pytest.fixture(scope="module")
def uninterrupted() -> Mapping[str, Tensor]:
    torch.set_num_threads(1)
    return learned(fit())


def assert_equal_bits(a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> None:
    assert a.keys() == b.keys()
    assert all(torch.equal(a[key], b[key]) for key in a)


class One(nn.Module):
    """One weight, on which a loss equal to it takes steps of exactly the learning rate."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(0.0))


def train_one(
    schedule: Schedule,
    before_step: Callable[[int], None] = lambda step: None,
    slope: Callable[[int], float] = lambda step: 1.0,
    **options: Any,
) -> tuple[list[float], float]:
    """The weight before each step, and at the end; the loss falls with it by `slope`."""
    network, path = One(), []

    def loss(
        x: Tensor, indices: list[int], generator: torch.Generator, done: float
    ) -> dict[str, Tensor]:
        path.append(float(network.weight))
        before_step(len(path))
        return {"loss": network.weight * slope(len(path))}

    patches = Patches([np.zeros((1, 8, 8), np.float32)], schedule.patch)
    train(network, patches, loss, schedule, device="cpu", **options)
    return path, float(network.weight)


# -- repeatable and resumable -------------------------------------------------------------


def test_the_same_call_gives_the_same_weights(uninterrupted: Mapping[str, Tensor]) -> None:
    torch.manual_seed(999)  # no part in it
    assert_equal_bits(learned(fit()), uninterrupted)


def test_batches_drawn_in_other_processes_give_the_same_weights(
    uninterrupted: Mapping[str, Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hush.training, "_free_cores", lambda place: 2)
    assert_equal_bits(learned(fit()), uninterrupted)


def test_training_leaves_the_global_generator_alone() -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    fit()
    assert torch.equal(torch.get_rng_state(), before)


def test_an_interrupted_run_resumes_to_the_same_weights(
    tmp_path: Path, uninterrupted: Mapping[str, Tensor]
) -> None:
    """Ctrl-C in a step ends the run after it; twice, and the weights are equal bit by bit."""
    handler = signal.getsignal(signal.SIGINT)
    for resume in (False, True):
        with pytest.raises(KeyboardInterrupt):
            fit(tmp_path, (CUT, lambda: signal.raise_signal(signal.SIGINT)), resume=resume)
        assert signal.getsignal(signal.SIGINT) is handler
    resumed = fit(tmp_path, resume=True)
    assert resumed.figures_["steps"] == STEPS
    assert_equal_bits(learned(resumed), uninterrupted)
    logs = sorted(p.name for p in tmp_path.glob("*.csv"))
    assert logs == ["metrics.1.csv", "metrics.2.csv", "metrics.csv"]  # each part's is kept
    assert not list(tmp_path.glob("*.partial"))


@pytest.mark.slow
def test_a_killed_run_resumes_to_the_same_weights(
    tmp_path: Path, uninterrupted: Mapping[str, Tensor]
) -> None:
    """SIGKILL in the middle of a step, another process continuing from the last checkpoint."""
    path = os.pathsep.join(p for p in sys.path if p)
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    run = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path)], env=environment, capture_output=True
    )
    assert run.returncode == -signal.SIGKILL, run.stderr.decode()
    resumed = fit(tmp_path, resume=True)
    assert_equal_bits(learned(resumed), uninterrupted)


def test_a_resumed_budget_continues_from_the_time_spent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a clock that ticks a second a step; the hours between two runs do not count."""
    now = 0.0

    def tick() -> float:
        nonlocal now
        now += 1
        return now

    def interrupt(step: int) -> None:
        if step == 8:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(hush.training, "time", SimpleNamespace(perf_counter=tick))
    schedule = Schedule(budget=20.0, batch=1, patch=8, weight_decay=0.0, validate_every=1000)
    with pytest.raises(KeyboardInterrupt):
        train_one(schedule, interrupt, folder=tmp_path)
    now += 10_000
    path, end = train_one(schedule, folder=tmp_path, resume=True)
    assert len(path) == 20 - 8
    rates = [schedule.rate(spent / 20) for spent in range(8, 20)]
    np.testing.assert_allclose(-np.diff(path), rates[:-1], rtol=1e-4)
    assert train_one(schedule)[1] == end


@pytest.mark.parametrize("bad", [{3}, {0, 5, 6}])
def test_a_loss_that_is_no_number_does_not_spoil_the_weights(bad: set[int]) -> None:
    network, step = nn.Linear(1, 1), 0

    def loss(*_: Any) -> dict[str, Tensor]:
        nonlocal step
        step += 1
        return {"loss": network.weight.square().sum() * (float("nan") if step - 1 in bad else 1)}

    patches = Patches([np.zeros((1, 8, 8), np.float32)], 8)
    train(network, patches, loss, Schedule(max_steps=10, batch=1, patch=8), device="cpu")
    assert step == 10
    assert torch.isfinite(network.weight).all()


def test_a_training_that_diverges_ends_with_a_sentence() -> None:
    network = nn.Linear(1, 1)

    def loss(*_: Any) -> dict[str, Tensor]:
        return {"loss": network.weight.sum() * float("inf")}

    patches = Patches([np.zeros((1, 8, 8), np.float32)], 8)
    with pytest.raises(HushError, match="not a finite number in 20 steps in a row"):
        train(network, patches, loss, Schedule(max_steps=50, batch=1, patch=8), device="cpu")


def test_nothing_to_resume_gets_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(HushError, match="nothing to resume"):
        fit(tmp_path, resume=True)
    (tmp_path / "resume.safetensors").write_bytes(b"\x00" * 100)
    with pytest.raises(HushError, match="is damaged"):
        fit(tmp_path, resume=True)
    fit().save(tmp_path / "resume.safetensors")
    with pytest.raises(HushError, match="not a training checkpoint"):
        fit(tmp_path, resume=True)


def test_another_training_is_not_resumed(tmp_path: Path) -> None:
    def stop(step: int) -> None:
        signal.raise_signal(signal.SIGINT)

    length = {"batch": 1, "validate_every": 1000}
    with pytest.raises(KeyboardInterrupt):
        train_one(Schedule(max_steps=5, patch=8, **length), stop, folder=tmp_path)
    begun = {"folder": tmp_path, "resume": True}
    with pytest.raises(HushError, match=r"had another patch and seed; resume with its settings"):
        train_one(Schedule(max_steps=5, patch=4, seed=1, **length), **begun)
    patches, schedule = Patches([np.zeros((1, 8, 8))], 8), Schedule(max_steps=5, **length)
    with pytest.raises(HushError, match="had other networks"):
        train(nn.Linear(2, 3), patches, lambda *_: {}, schedule, device="cpu", **begun)
    assert len(train_one(Schedule(max_steps=9, patch=8, **length), **begun)[0]) == 9 - 1


def test_a_checkpoint_is_tensors_and_json(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Plain safetensors; nothing is unpickled when it is read."""
    with pytest.raises(KeyboardInterrupt):
        fit(tmp_path, (CUT, lambda: signal.raise_signal(signal.SIGINT)))
    with safe_open(tmp_path / "resume.safetensors", framework="np") as f:
        assert list(f.metadata()) == ["hush-training"]
        tree = json.loads(f.metadata()["hush-training"])
        assert all(f.get_tensor(key) is not None for key in f.keys())  # noqa: SIM118
    names = {key for key, _ in tree["dict"]}
    assert {"state_dict", "current_model_state", "averaging_state", "optimizer_states"} <= names

    def refuse(*args: Any, **options: Any) -> None:
        raise AssertionError("a checkpoint was unpickled")

    monkeypatch.setattr(torch, "load", refuse)
    for name in ("load", "loads", "Unpickler"):
        monkeypatch.setattr(pickle, name, refuse)
    fit(tmp_path, resume=True)


def test_what_json_cannot_hold_is_refused() -> None:
    with pytest.raises(TypeError, match="cannot hold"):
        hush.training._fold({"x": object()}, {})
    tensors: dict[str, Tensor] = {}
    tree = {1: [torch.arange(3), None, {"a": (True, 1.5, "s")}]}
    folded = json.loads(json.dumps(hush.training._fold(tree, tensors)))
    again = hush.training._unfold(folded, tensors)
    assert torch.equal(again[1][0], torch.arange(3))
    assert again[1][1:] == [None, {"a": [True, 1.5, "s"]}]


# -- the schedule -------------------------------------------------------------------------


def test_the_rate_rises_then_falls_to_zero() -> None:
    schedule = Schedule(max_steps=100, learning_rate=3e-3)
    rates = [schedule.rate(p) for p in np.linspace(0, 1, 1001)]
    peak = int(np.argmax(rates))
    assert rates[0] == pytest.approx(3e-5)
    assert peak / 1000 == pytest.approx(0.02, abs=0.002)
    assert rates[peak] == pytest.approx(3e-3, rel=0.01)
    assert rates[500] == pytest.approx(1.5e-3)
    assert rates[1000] == pytest.approx(0, abs=1e-12)
    assert schedule.rate(1.3) == pytest.approx(0, abs=1e-12)  # a budget may be overrun by a step
    assert (np.diff(rates[: peak + 1]) > 0).all()
    assert (np.diff(rates[peak:]) < 0).all()


def test_steps_follow_the_rate_and_weights_end_as_the_average() -> None:
    """Adam on a constant gradient moves by the learning rate: the path shows the schedule."""
    schedule = Schedule(
        max_steps=60, batch=1, patch=8, weight_decay=0.0, ema=0.7, validate_every=1000
    )
    path, end = train_one(schedule)
    assert len(path) == 60
    rates = [schedule.rate(k / 60) for k in range(60)]
    np.testing.assert_allclose(-np.diff(path), rates[:-1], rtol=1e-3)
    # The average's memory grows with the run up to `ema`.
    after = [*path[1:], path[-1] - rates[-1]]
    average = after[0]
    for n, weight in enumerate(after[1:], start=1):
        average += (1 - min(0.7, (1 + n) / (10 + n))) * (weight - average)
    assert end == pytest.approx(average, rel=1e-5)
    assert end != pytest.approx(after[-1], rel=1e-4)


def test_long_gradients_are_scaled_to_the_length_stated() -> None:
    """Adam remembers a gradient of a million for long: its steps are small afterwards."""

    def run(clip: float | None, slope: Callable[[int], float]) -> list[float]:
        schedule = Schedule(
            max_steps=20, batch=1, patch=8, weight_decay=0.0, clip=clip, validate_every=1000
        )
        return train_one(schedule, slope=slope)[0]

    steady = run(None, lambda step: 1.0)
    assert run(1.0, lambda step: 1e6 if step == 5 else 1.0) == pytest.approx(steady, rel=1e-5)
    assert run(2.0, lambda step: 1.0) == steady  # none is as long
    for unlimited in (None, 0.0):
        path = run(unlimited, lambda step: 1e6 if step == 5 else 1.0)
        assert abs(path[-1] - path[8]) < 0.5 * abs(steady[-1] - steady[8])


def test_progress_is_told_as_a_share() -> None:
    shares: list[float] = []
    schedule = Schedule(max_steps=40, batch=1, patch=8, validate_every=1000)
    train_one(schedule, advance=shares.append)
    assert shares == [0.25, 0.5, 0.75, 1.0]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"max_steps": 5, "budget": 5.0},
        {"max_steps": 0},
        {"budget": -1.0},
        {"max_steps": 5, "clip": -1.0},
        {"max_steps": 5, "clip": np.nan},
        {"max_steps": 5, "weight_decay": -1.0},
    ],
)
def test_a_schedule_needs_one_positive_length_and_limits_from_0(options: dict[str, Any]) -> None:
    with pytest.raises(HushError, match="training"):
        Schedule(**options)


def test_what_a_schedule_leaves_open_is_the_methods_to_choose(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By default each its own; what is given is kept."""
    seen = []

    def stop(networks: nn.Module, patches: Patches, loss: Any, schedule: Schedule, **_: Any) -> Any:
        seen.append((schedule.batch, schedule.learning_rate))
        return {}

    monkeypatch.setattr("hush.training.train", stop)
    image = np.random.default_rng(0).random((64, 64), dtype=np.float32)
    for method in ("puca", "noise2self"):
        for given in ({}, {"batch": 3}, {"learning_rate": 1e-4}):
            schedule = Schedule(max_steps=1, patch=16, **given)
            get(method)().fit([image] * 4, schedule=schedule, device="cpu")
    puca = [(8, 2e-3), (3, 2e-3), (8, 1e-4)]
    assert seen == [*puca, (16, 1e-3), (3, 1e-3), (16, 1e-4)]


# -- patches ------------------------------------------------------------------------------


@pytest.mark.parametrize("rows", [8, 9, 20, 23, 24, 200])
def test_what_is_not_held_out_is_trained_on(rows: int) -> None:
    x = np.zeros((1, rows, 40), np.float32)
    training, parts = withhold([x])
    held = sum(part.shape[1] for part in parts)
    assert training[0].shape[1] + held == rows
    assert held >= CELL or not held


def test_a_sample_to_adapt_to_is_bounded_whatever_comes_first() -> None:
    for lengths in ((10, 1000), (1000, 10)):
        batch = Batch([np.zeros((1, n), np.float32) for n in lengths])
        sizes = [x.size for x in middle(batch, 100).data]
        assert sizes == [min(n, 100) for n in lengths]


def test_patches_are_drawn_evenly() -> None:
    """Images by their area, places in an image alike, all eight ways to turn and flip alike."""
    shapes, size = [(12, 10), (20, 9), (8, 8)], 8
    images = []
    for h, w in shapes:
        row, column = np.mgrid[:h, :w]
        images.append((row * 100 + column)[None].astype(np.float32))
    x, indices = Turned(images, size).draw(6000, np.random.default_rng(0))
    assert x.shape == (6000, 1, size, size)
    area = np.array([h * w for h, w in shapes])
    drawn = np.bincount(indices)
    assert chisquare(drawn, 6000 * area / area.sum()).pvalue > 0.01

    corners = x[:, 0, [0, 0, -1], [0, -1, 0]].numpy().astype(int)  # three corners: a frame
    lowest = x.amin((1, 2, 3)).numpy().astype(int)
    for i, (h, w) in enumerate(shapes):
        chosen = np.array(indices) == i
        places = [100 * r + c for r in range(h - size + 1) for c in range(w - size + 1)]
        counts = [int((lowest[chosen] == place).sum()) for place in places]
        assert sum(counts) == drawn[i]
        if len(places) > 1:
            assert chisquare(counts).pvalue > 0.01
    ways, counts = np.unique(corners - lowest[:, None], axis=0, return_counts=True)
    assert len(ways) == 8
    assert chisquare(counts).pvalue > 0.01


def test_small_images_are_reflected_to_the_patch() -> None:
    x = np.arange(15, dtype=np.float32).reshape(1, 3, 5)
    patches, indices = Patches([x, x[:, :1]], 8).draw(40, np.random.default_rng(0))
    assert patches.shape == (40, 1, 8, 8)
    assert set(indices) == {0, 1}
    for patch, index in zip(patches, indices, strict=True):
        assert set(patch.unique().tolist()) <= set(x[:, : 3 if index == 0 else 1].ravel().tolist())


def test_a_batch_depends_on_the_seed_and_the_step_alone() -> None:
    """So that nothing has to be remembered when a run is resumed."""
    seen: dict[int, list[Tensor]] = {}

    def run(seed: int) -> list[Tensor]:
        network = One()
        batches: list[Tensor] = []

        def loss(
            x: Tensor, indices: list[int], generator: torch.Generator, done: float
        ) -> dict[str, Tensor]:
            batches.append(x + torch.randn(x.shape, generator=generator))
            return {"loss": network.weight.clone()}

        images = [np.random.default_rng(0).random((1, 20, 20), dtype=np.float32)]
        schedule = Schedule(max_steps=3, batch=2, patch=8, seed=seed, validate_every=1000)
        train(network, Patches(images, 8), loss, schedule, device="cpu")
        return batches

    seen = {key: run(seed) for key, seed in enumerate((0, 0, 1))}
    for a, b, c in zip(*seen.values(), strict=True):
        assert torch.equal(a, b)
        assert not torch.equal(a, c)
    assert not torch.equal(seen[0][0], seen[0][1])


def test_an_interrupted_fit_keeps_what_it_learned(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a notebook, say: without a folder, and the model can be used at once."""
    from hush.methods.noise2void import Noise2Void

    model = Noise2Void(widths=(8, 8))
    before, count = Noise2Void.loss, 0

    def loss(self: Any, *arguments: Any) -> Any:
        nonlocal count
        count += 1
        if count == 20:
            signal.raise_signal(signal.SIGINT)
        return before(self, *arguments)

    monkeypatch.setattr(Noise2Void, "loss", loss)
    x = np.random.default_rng(0).random((4, 64, 64), np.float32)
    schedule = Schedule(max_steps=10_000, patch=32, batch=2)
    with pytest.raises(KeyboardInterrupt):
        model.fit(list(x), schedule=schedule, device="cpu")
    assert 20 <= count < 30
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        untrained = model.build(1).state_dict()
    learned = model.network.state_dict()
    assert not model.network.training
    assert any(not torch.equal(untrained[k], learned[k]) for k in learned)
    assert model.denoise(x[0]).shape == x[0].shape

"""DiffDenoise: conditions that know nothing of what is scored, the centre pixel, and the stages."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from skimage.data import camera
from torch import Tensor, nn

import hush
import hush.bases.stages
import hush.methods.diffdenoise as module
from hush.bases.stages import Stages
from hush.cli import main
from hush.errors import HushError
from hush.kinds import get as kind_of
from hush.methods.diffdenoise import FURTHER, OUTPUTS, TEACHERS, DiffDenoise
from hush.methods.diffdenoise.losses import (
    SIGNAL,
    coloured,
    diffusion_loss,
    hidden,
    refined_loss,
)
from hush.methods.diffdenoise.noisy import Noisy, deviation_of, noise_of, standard
from hush.nets.lgbpn import LGBPN
from hush.nets.puca import PUCA
from hush.noise.correlated import Correlated
from hush.noise.processes import Gaussian, Poisson, parse
from hush.record import Batch
from hush.results import Estimate
from hush.schedule import Schedule

pytestmark = pytest.mark.usefixtures("one_thread")

#: hush's command line, with networks as small as those of the tests
SMALL = "import small; small.diffdenoise(); from hush.cli import main; main()"


@pytest.fixture
def model(random_diffdenoise: Callable[..., DiffDenoise]) -> DiffDenoise:
    return random_diffdenoise()


def image(side: int = 40, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    smooth = np.add.outer(np.sin(np.arange(side) / 6), np.cos(np.arange(side) / 9)) / 5 + 0.5
    return (smooth + 0.05 * rng.standard_normal((side, side))).astype(np.float32)


# -- no condition knows what it is scored on --------------------------------------------------


@pytest.mark.parametrize("blind", [1, 5, 9])
def test_scored_pixels_are_nowhere_in_the_condition(blind: int, randomise: Any) -> None:
    """Not in their own condition, which a blind spot sees to, and not in their neighbours'."""
    network = PUCA(1, width=8) if blind == 1 else LGBPN(1, blind, width=8, blocks=(1, 1))
    randomise(network, 0)
    x = torch.randn(1, 1, 33, 30, generator=torch.Generator().manual_seed(1))
    scored, filled = hidden(x, blind, 2, 3)
    other = torch.where(scored > 0, x + 1, x)
    _, filled_too = hidden(other, blind, 2, 3)
    assert 0 < float(scored.mean()) < 1 / 9
    assert torch.equal(filled, filled_too)
    assert torch.equal(network(filled), network(filled_too))


@pytest.mark.parametrize("blind", [1, 5, 9])
def test_the_whole_blind_spot_is_filled_in(blind: int) -> None:
    x = torch.randn(1, 1, 40, 40, generator=torch.Generator().manual_seed(1))
    scored, filled = hidden(x, blind, 2, 3)
    for row, column in scored[0, 0].nonzero().tolist():
        around = (slice(max(0, row - blind // 2), row + blind // 2 + 1),)
        around += (slice(max(0, column - blind // 2), column + blind // 2 + 1),)
        assert not (filled[0, 0][around] == x[0, 0][around]).any()
    flat = torch.full((1, 1, 40, 40), 3.0)
    torch.testing.assert_close(hidden(flat, blind, 0, 1)[1], flat)


def test_leak_tells_copies_from_blindness(model: DiffDenoise, monkeypatch: Any) -> None:
    x = image()[None]
    monkeypatch.setattr(model, "_pair", lambda y: y)
    assert model.leak(x, 0.2) == pytest.approx(1, abs=1e-3)
    blurred = lambda y: (np.roll(y, 2, 1) + np.roll(y, -2, 2)) / 2  # noqa: E731
    monkeypatch.setattr(model, "_pair", blurred)
    assert abs(model.leak(x, 0.2)) < 0.15


def test_training_fails_where_samples_carry_the_noise(monkeypatch: Any) -> None:
    monkeypatch.setattr(DiffDenoise, "leak", lambda self, x, sigma, seed=0: 0.9)
    with pytest.raises(HushError, match=r"contain the input's noise \(correlation 0.90\)"):
        DiffDenoise(steps=1).fit([image(seed=i) for i in range(4)], schedule=short(), device="cpu")


# -- sampling ---------------------------------------------------------------------------------


def test_gaussian_residuals_are_sampled_as_such(model: DiffDenoise, monkeypatch: Any) -> None:
    """Residuals N(m, τ²) in units of s: ε becomes m + τ ε, its pair m, and E[v | X_t] is known."""
    m, tau = 0.3, 0.7
    signal = torch.from_numpy(SIGNAL).float()

    def exact(state: Tensor, condition: Tensor, time: Tensor) -> Tensor:
        a = signal[time][:, None, None, None]
        r = m + a.sqrt() * tau**2 / (a * tau**2 + 1 - a) * (state - a.sqrt() * m)
        noise = (state - a.sqrt() * r) / (1 - a).sqrt()
        return a.sqrt() * noise - (1 - a).sqrt() * r

    assert model.networks_ is not None
    monkeypatch.setattr(type(model.networks_["diffusion-1"]), "forward", lambda self, *a: exact(*a))
    monkeypatch.setattr(DiffDenoise, "_condition", lambda self, seen: 0 * seen)
    seen = image(32)[None]
    s = np.sqrt(np.mean(seen**2))
    noise = np.random.default_rng(7).standard_normal(seen.shape)
    fine = model.replace(steps=500, seed=7)
    np.testing.assert_allclose(fine._single(seen), s * (m + tau * noise), atol=0.02 * s)
    np.testing.assert_allclose(model.replace(seed=7)._pair(seen), s * m, rtol=2e-3)  # at 2 steps
    assert np.std(fine._two_random(seen)) == pytest.approx(s * tau / np.sqrt(2), rel=0.1)


def test_every_round_has_a_blind_condition(random_diffdenoise: Any) -> None:
    """From the second on it is a student's, asked about pixels that were filled in for it."""
    model, x = random_diffdenoise(rounds=2), image(33)[None]
    before = model._condition(x)
    changed = x.copy()
    changed[0, 17, 12] += 5
    after = model._condition(changed)
    # Its channel attention has seen the pixel, faintly, as any mean over the image has.
    around = np.abs(after - before)[0, 15:20, 10:15]
    assert np.abs(after - before)[0, 17, 12] < 0.02 * around.max()


# -- the spread of pairs ----------------------------------------------------------------------


class Answers(nn.Module):
    """A diffusion network whose v is a known function of the state alone."""

    radius, multiple = 0, 1

    def __init__(self, answer: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.answer = answer

    def forward(self, state: Tensor, condition: Tensor, time: Tensor) -> Tensor:
        return self.answer(state)


def residual_scale(model: DiffDenoise, x: np.ndarray) -> float:
    """s, in units of the image."""
    seen, _, scale = standard(x)
    return scale * deviation_of(seen - model._condition(seen))


def test_a_known_spread_is_found(model: DiffDenoise) -> None:
    """v = −|X| makes a sample of one step √ᾱ ε + √(1−ᾱ) |ε|, of which the pair keeps the latter."""
    assert model.networks_ is not None
    model.networks_["diffusion-1"] = Answers(lambda state: -state.abs())
    x = image()[None]
    spread = model.replace(steps=1, draws=16).restore(x).spread
    assert spread is not None
    assert (spread.shape, spread.dtype) == (x.shape, np.float32)
    expected = residual_scale(model, x) * np.sqrt((1 - SIGNAL[-1]) * (1 - 2 / np.pi))
    assert np.sqrt(np.mean(spread**2)) == pytest.approx(expected, rel=0.03)


def test_pairs_of_gaussian_samples_agree(model: DiffDenoise) -> None:
    """v = 0 answers a residual that is N(0, s²): samples spread as that does, pairs not at all."""
    assert model.networks_ is not None
    model.networks_["diffusion-1"] = Answers(torch.zeros_like)
    x, steps = image()[None], 20
    model = model.replace(steps=steps)
    angles = np.arccos(np.sqrt(SIGNAL[np.arange(steps, 0, -1) * 50 - 1]))
    kept = np.prod(np.cos(-np.diff([*angles, 0])))  # what few steps leave of the deviation
    single = [model.replace(output="single", seed=k).restore(x).data for k in range(8)]
    measured = np.sqrt(np.mean(np.var(single, axis=0, ddof=1)))
    expected = kept * residual_scale(model, x)
    assert 0.9 < kept < 1
    assert measured == pytest.approx(expected, rel=0.03)
    spread = model.replace(draws=8).restore(x).spread
    assert spread is not None
    assert spread.max() < 1e-5 * expected


def test_pairs_that_are_equal_have_no_spread(model: DiffDenoise, monkeypatch: Any) -> None:
    monkeypatch.setattr(DiffDenoise, "_samples", lambda self, seen, seed, both: (seen, seen / 3))
    spread = model.replace(draws=3).restore(image()[None]).spread
    assert spread is not None
    assert not spread.any()
    flat = model.replace(draws=3).restore(np.full((1, 9, 9), 0.5, np.float32)).spread
    assert flat is not None
    assert not flat.any()
    assert model.restore(image()[None]).spread is None


def test_tiles_agree_on_the_spread(model: DiffDenoise) -> None:
    """To the rounding of pairs, which are fifty times as large here as their spread."""
    x = image(100)[None]
    whole, tiled = (model.replace(draws=2, tile=t).restore(x).spread for t in (512, 64))
    assert whole is not None
    assert tiled is not None
    pair = model.replace(output="pair").restore(x).data
    np.testing.assert_allclose(tiled, whole, atol=1e-4 * np.abs(pair).max())
    assert whole.max() > 1e-2 * np.abs(pair).max()


def test_the_spread_is_in_the_units_of_what_is_stored(model: DiffDenoise) -> None:
    """A gray model takes colours plane by plane; what is not finite has no spread."""
    model = model.replace(draws=2)
    stored = np.stack([np.clip(255 * image(24, k), 0, 255) for k in range(3)]).astype(np.uint8)
    batch = model.seen(Batch(stored[None], scale=255.0))
    run = hush.run(stored.transpose(1, 2, 0), model=model, strength=0.5, uncertainty=True)
    assert run.spread is not None
    for i, plane in enumerate(stored):
        _, how = model.denoise_item(batch, i, strength=0.5)
        alone = model.restore(plane[None] / np.float32(255)).spread
        assert alone is not None
        for spread in (how.spread, run.spread.data[None, :, :, i]):
            np.testing.assert_allclose(spread, 255 * alone, rtol=1e-5)
    assert len(batch) == len(stored)

    holed = image(24)[None]
    holed[0, 3, 4] = np.nan
    _, how = model.denoise_item(Batch(holed[None]), 0)
    assert how.spread is not None
    assert how.spread.dtype == np.float32
    assert np.argwhere(np.isnan(how.spread)).tolist() == [[0, 3, 4]]


def test_what_draws_no_samples_is_left_as_it_is(model: DiffDenoise) -> None:
    assert model.with_spread().draws == 8
    assert model.replace(draws=3).with_spread().draws == 3
    assert model.networks_ is not None
    model.networks_ = nn.ModuleDict({"student-1": model.networks_["student-1"]})
    assert not model.with_spread().spreads
    assert not hush.MID().with_spread().spreads
    with pytest.raises(HushError, match="2 draws or more"):
        DiffDenoise(draws=1)


# -- stages -----------------------------------------------------------------------------------


def short(steps: int = 9) -> Schedule:
    return Schedule(max_steps=steps, batch=2, patch=16, validate_every=100, seed=3)


def weights(model: DiffDenoise) -> Mapping[str, Tensor]:
    assert model.networks_ is not None
    return model.networks_.state_dict()


@pytest.mark.long
@pytest.mark.slow
def test_interrupted_in_any_stage_it_ends_the_same(tmp_path: Path, monkeypatch: Any) -> None:
    images = [image(24, seed=i) for i in range(4)]

    def fit(folder: Path | None, resume: bool = False) -> DiffDenoise:
        model = DiffDenoise(steps=1)
        return model.fit(images, schedule=short(10), folder=folder, resume=resume, device="cpu")

    whole = weights(fit(None))
    assert {name.split(".")[0] for name in whole} == {"student-1"}
    for at in ("blind_loss", "_posterior", "refined_loss"):
        holder: Any = DiffDenoise if at == "_posterior" else module
        original, calls = getattr(holder, at), [0]

        def cut(*args: Any, original: Any = original, calls: list[int] = calls, **more: Any) -> Any:
            calls[0] += 1
            if calls[0] == 2:
                raise KeyboardInterrupt
            return original(*args, **more)

        with monkeypatch.context() as patched:
            patched.setattr(holder, at, cut)
            with pytest.raises(KeyboardInterrupt):
                fit(tmp_path / at)
        resumed = weights(fit(tmp_path / at, resume=True))
        assert all(torch.equal(resumed[name], whole[name]) for name in whole)


def test_a_new_training_removes_what_is_left_of_the_old_one_and_nothing_else(
    tmp_path: Path,
) -> None:
    others = [tmp_path / "mine.safetensors", tmp_path / "other" / "best.safetensors"]
    others[1].parent.mkdir()
    for path in others:
        path.write_bytes(b"a model")

    def begun() -> Stages:
        return Stages(short(), tmp_path, False, "cpu", False, {}, kind_of("image"))

    stages = begun()
    made = stages.collect("pairs", 0.5, 2, lambda i: np.full(3, i))
    assert len(made) == 2
    assert len(list(tmp_path.glob("pairs-*.safetensors"))) == 2
    begun()
    assert not list(tmp_path.glob("pairs-*.safetensors"))
    assert all(path.read_bytes() == b"a model" for path in others)


@pytest.mark.long
@pytest.mark.slow
def test_rounds_and_the_oracle(tmp_path: Path) -> None:
    model = DiffDenoise(steps=1, rounds=2, oracle=True, keep=True)
    x = image(24)
    model.fit([image(24, seed=i) for i in range(4)], schedule=short(12), device="cpu")
    model.save(tmp_path / "m.safetensors")
    again = hush.load(tmp_path / "m.safetensors")
    results = {
        (rounds, output): again.replace(rounds=rounds, output=output).denoise(x)
        for rounds in (1, 2)
        for output in OUTPUTS
    }
    assert all(np.isfinite(y).all() and y.shape == x.shape for y in results.values())
    assert len({y.tobytes() for y in results.values()}) == len(results)


@pytest.mark.long
def test_a_folder_of_other_settings_is_refused(tmp_path: Path) -> None:
    images = [image(24, seed=i) for i in range(4)]
    DiffDenoise(steps=1).fit(images, schedule=short(), folder=tmp_path, device="cpu")
    for settings, said in (({"blind": 5}, "had blind 1, not 5"), ({"steps": 2}, "steps 1, not 2")):
        with pytest.raises(HushError, match=said):
            DiffDenoise(**({"steps": 1} | settings)).fit(  # type: ignore[arg-type]
                images, schedule=short(), folder=tmp_path, resume=True, device="cpu"
            )
    # Given up, and begun anew: nothing is taken from before.
    anew = DiffDenoise(steps=2).fit(images, schedule=short(), folder=tmp_path, device="cpu")
    fresh = weights(DiffDenoise(steps=2).fit(images, schedule=short(), device="cpu"))
    assert all(torch.equal(weights(anew)[name], fresh[name]) for name in fresh)


def test_sampling_keeps_to_its_budget(monkeypatch: Any) -> None:
    """A clock of one second a sample: a share of 0.1 of 100 seconds, and four at the least."""
    now, kind = [0.0], kind_of("image")
    monkeypatch.setattr(hush.bases.stages, "time", SimpleNamespace(monotonic=lambda: now[0]))

    def make(i: int) -> np.ndarray:
        now[0] += 1
        return np.full(3, i)

    for budget, expected in ((100.0, 11), (10.0, 4)):
        stages = Stages(Schedule(budget=budget), None, False, "cpu", False, {}, kind)
        made = stages.collect("pairs", 0.1, 5, make)
        assert [int(x[0]) for x in made] == list(range(expected))
    stages = Stages(Schedule(max_steps=9), None, False, "cpu", False, {}, kind)
    assert len(stages.collect("pairs", 0.1, 5, make)) == 5


def test_what_is_kept(model: DiffDenoise, tmp_path: Path) -> None:
    x = image()[None]
    model.save(tmp_path / "all.safetensors")
    again = hush.load(tmp_path / "all.safetensors")
    for output in ("condition", "single", "pair", "student"):
        expected = model.replace(output=output).restore(x).data
        difference = again.replace(output=output).restore(x).data - expected
        assert np.abs(difference).max() < 0.02 * np.abs(expected).max()  # half precision
    assert model.networks_ is not None
    model.networks_ = nn.ModuleDict({"student-1": model.networks_["student-1"]})
    with pytest.raises(HushError, match="keep=true"):
        model.replace(output="pair").restore(x)


@pytest.mark.parametrize("output", ["condition", "pair", "student"])
def test_tiles_agree(model: DiffDenoise, output: str) -> None:
    """The noise is drawn for the whole field, and statistics are taken once."""
    x, model = image(150)[None], model.replace(output=output, steps=4)
    whole, tiled = (model.replace(tile=t).restore(x).data for t in (512, 64))
    np.testing.assert_allclose(tiled, whole, atol=2e-4 * np.abs(whole).max())


def test_too_little_to_learn_from() -> None:
    with pytest.raises(HushError, match="too few to learn from; give at least 4"):
        DiffDenoise().fit([image(24)], schedule=short(), device="cpu")
    for settings in ({"output": "best"}, {"blind": 3}):
        with pytest.raises(HushError):
            DiffDenoise(**settings)  # type: ignore[arg-type]


def test_the_loss_is_a_mean_over_what_is_scored() -> None:
    """A network that answers zero misses E|ε| = √(2/π), however large the batch."""

    def nothing(state: Tensor, condition: Tensor, time: Tensor) -> Tensor:
        return torch.zeros_like(state)

    class Flat(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.zeros_like(x)

    for batch in (2, 8):
        x = torch.randn(batch, 1, 64, 64, generator=torch.Generator().manual_seed(0))
        both = torch.cat([x, torch.ones_like(x)], 1)
        draws = torch.Generator().manual_seed(1)
        loss = diffusion_loss(nothing, Flat(), 1, False, both, draws, 0.0)  # type: ignore[arg-type]
        assert float(loss["diffusion_loss"]) == pytest.approx(np.sqrt(2 / np.pi), abs=0.06)


class Scaled(nn.Module):
    """Each pixel's answer is a multiple of one so many columns to the left."""

    def __init__(self, gain: float, away: int) -> None:
        super().__init__()
        self.gain, self.away = gain, away

    def forward(self, x: Tensor) -> Tensor:
        return self.gain * x.roll(self.away, 3)


@pytest.mark.parametrize(("done", "a"), [(0.0, 1.0), (0.5, 0.7), (1.0, 0.4)])
@pytest.mark.parametrize(("away", "signal"), [(0, 4.0), (1, 0.0)])
def test_noisy_images_teach_what_clean_ones_would(
    away: int, signal: float, done: float, a: float
) -> None:
    """Of s + n + az, though no network ever sees s: the pixel itself Var s / Var(s + n + az), its
    neighbour, white s being as it is, nothing; were z not of the noise's colour, it would."""
    correlation = Correlated(Gaussian(sigma=1), 0.8).autocorrelation(7)
    lags = torch.from_numpy(correlation).float()
    generator = torch.Generator().manual_seed(0)
    white, noise = (torch.randn(8, 1, 96, 96, generator=generator) for _ in range(2))
    x = 2 * white + 0.7 * coloured(noise, lags)
    both = torch.cat([x, torch.full_like(x, 0.7)], 1)

    def loss(gain: float) -> float:
        draws = torch.Generator().manual_seed(1)
        network = Scaled(gain, away)
        loss = refined_loss(network, lags, (1.0, 0.4), both, draws, done)
        return float(loss["refined_loss"])

    below, at, above = map(loss, (0.0, 0.5, 1.0))
    best = 0.25 * (3 * below - 4 * at + above) / (below - 2 * at + above)  # of the parabola
    assert best == pytest.approx(signal / (4 + (1 + a**2) * 0.49), abs=0.015)


def test_the_last_stage_ends_with_little_further_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[float] = []
    judged: list[float] = []

    def watched(*args: Any) -> Any:
        first, last = args[2]
        a = first + args[5] * (last - first)  # as the loss reads it: see the test above
        (seen if torch.is_grad_enabled() else judged).append(a)
        return refined_loss(*args)

    monkeypatch.setattr(module, "refined_loss", watched)
    images = [image(24, seed=i) for i in range(4)]
    DiffDenoise(steps=1).fit(images, schedule=short(40), device="cpu")
    assert seen[0] == FURTHER[0]
    assert seen == sorted(seen, reverse=True)
    assert seen[-1] == pytest.approx(FURTHER[1], abs=0.1)
    assert set(judged) == {FURTHER[1]}


def test_the_noise_of_counts_grows_with_the_signal() -> None:
    flat = np.full((1, 20, 20), 0.4, np.float32)
    flat[:, :, 10:] = 0.1
    found = noise_of(flat, Estimate(Poisson(60.0), 0.1))
    assert found.dtype == np.float32
    assert found[0, 10, [3, 16]] == pytest.approx(np.sqrt(np.array([0.4, 0.1]) / 60))


@pytest.mark.parametrize("teacher", TEACHERS)
@pytest.mark.parametrize("channels", [1, pytest.param(3, marks=pytest.mark.long)])
def test_the_papers_teachers_teach_to_the_end(teacher: str, channels: int, tmp_path: Path) -> None:
    """And so does any where colours may share their noise, which further noise would not."""
    planes = [[image(24, seed=3 * i + c) for c in range(channels)] for i in range(4)]
    images = [np.squeeze(np.stack(x, -1)) for x in planes]
    model = DiffDenoise(steps=1, teacher=teacher)
    model.fit(images, schedule=short(20), folder=tmp_path, device="cpu")
    refined = teacher == "posterior" and channels == 1
    ends = list(tmp_path.glob("refined-*.safetensors"))
    assert bool(ends) == refined
    last = ends or list(tmp_path.glob("student-*.safetensors"))
    kept = {k.removeprefix("student-1."): v for k, v in weights(model).items()}
    ended = load_file(last[0])
    assert all(torch.equal(kept[name], ended[name]) for name in kept)
    if refined:
        taught = load_file(tmp_path / "student-1.safetensors")
        assert not all(torch.equal(taught[name], ended[name]) for name in taught)


@pytest.mark.parametrize(
    ("blind", "family", "correlated", "sure"),
    [
        (1, "gaussian", False, True),
        (1, "poisson", False, True),
        (9, "gaussian", True, True),
        (9, "gaussian", False, False),  # who asked for 9 knows of a correlation
        (9, "poisson", True, False),  # its spectrum is read where it is bright, in texture
        (1, "impulse", False, False),  # z has none: both have the same, to be kept
    ],
)
def test_further_noise_is_drawn_where_its_law_is_sure(
    blind: int, family: str, correlated: bool, sure: bool
) -> None:
    process = Poisson(50.0) if family == "poisson" else Gaussian(0.1)
    replaced = 0.05 if family == "impulse" else 0.0
    found = Estimate(process, 0.1, correlated=correlated, impulses=replaced)
    noisy = Noisy([], [], found, [])
    assert DiffDenoise(channels=1, blind=blind)._ends_alone(noisy) == sure
    assert not DiffDenoise(channels=3, blind=blind)._ends_alone(noisy)


def test_noise_of_a_given_colour() -> None:
    lags = Correlated(Gaussian(sigma=1), 1.0).autocorrelation(7)
    white = torch.randn(400, 1, 32, 40, generator=torch.Generator().manual_seed(0))
    x = coloured(white, torch.from_numpy(lags).float())
    for row, column in ((0, 0), (0, 1), (2, 0), (1, -3), (5, 6)):
        found = float((x * x.roll((row, column), (2, 3))).mean())
        assert found == pytest.approx(lags[7 + row, 7 + column], abs=0.01)
    alone = torch.zeros(3, 3)
    alone[1, 1] = 1
    assert torch.allclose(coloured(white, alone), white, atol=1e-5)


@pytest.mark.long
def test_killed_at_any_point_it_resumes_to_the_same_model(tmp_path: Path) -> None:
    """`hush train`, killed as soon as some file of a stage is there, and once more."""
    folder, places = tmp_path / "noisy", [p for p in sys.path if p]
    folder.mkdir()
    for i in range(4):
        np.save(folder / f"{i}.npy", image(24, seed=i))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(places), "OMP_NUM_THREADS": "1"}

    def command(name: str, *more: str) -> list[str]:
        options = "--method diffdenoise --max-steps 12 --device cpu --quiet"
        sets = [f"--set={text}" for text in ("batch=2", "patch=16", "steps=1", "zero_filled=false")]
        return ["train", str(folder), "-o", str(tmp_path / name), *options.split(), *sets, *more]

    main(command("whole.safetensors"), standalone_mode=False)
    left = tmp_path / "killed.safetensors.training"
    stages = "blind-spot", "diffusion-1", "pairs-1-0001", "student-1", "refined-1"
    points = random.sample(stages, 2)
    for number, point in enumerate(sorted(points, key=stages.index)):
        options = command("killed.safetensors", *["--resume"] * number)
        run = subprocess.Popen([sys.executable, "-c", SMALL, *options], env=environment)
        while not (left / f"{point}.safetensors").exists():
            assert run.poll() is None, f"ended before {point}"
            time.sleep(0.001)
        time.sleep(0.2 * random.random())
        run.kill()
        run.wait()
        if (tmp_path / "killed.safetensors").exists():
            return  # it had ended before it could be killed
    main(command("killed.safetensors", "--resume"), standalone_mode=False)
    whole, killed = (load_file(tmp_path / f"{n}.safetensors") for n in ("whole", "killed"))
    assert all(torch.equal(whole[name], killed[name]) for name in whole), points
    assert not list(left.rglob("*.safetensors"))


@pytest.mark.parametrize(
    ("noise", "blind"),
    [("gaussian:12/255", 1), ("poisson:60", 1)]
    + [(f"correlated:gaussian:12/255,{width}", side) for width, side in ((0.6, 5), (1.2, 9))],
)
def test_the_blind_spot_is_as_wide_as_the_noise(noise: str, blind: int) -> None:
    scene = camera()[:, :384].astype(np.float32).reshape(2, 1, 256, 384) / 255
    clean = torch.from_numpy(scene)
    noisy = parse(noise).sample(clean, torch.Generator().manual_seed(0)).numpy()
    assert Noisy.of(list(noisy)).blind == blind

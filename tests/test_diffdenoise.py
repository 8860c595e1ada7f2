"""DiffDenoise: conditions that know nothing of what is scored, the centre pixel, and the stages."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import hush
import hush.methods.diffdenoise as module
from hush.errors import HushError
from hush.methods.diffdenoise import DiffDenoise
from hush.nets.lgbpn import LGBPN
from hush.nets.puca import PUCA
from hush.noise.processes import Gaussian
from hush.schedule import Schedule

pytestmark = pytest.mark.usefixtures("one_thread")


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
    scored, filled = module._hidden(x, blind, torch.Generator().manual_seed(2))
    other = torch.where(scored > 0, x + 1, x)
    _, filled_too = module._hidden(other, blind, torch.Generator().manual_seed(2))
    assert 0 < float(scored.mean()) < 1 / 9
    assert torch.equal(filled, filled_too)
    assert torch.equal(network(filled), network(filled_too))


@pytest.mark.parametrize("blind", [1, 5, 9])
def test_the_whole_blind_spot_is_filled_in(blind: int) -> None:
    x = torch.randn(1, 1, 40, 40, generator=torch.Generator().manual_seed(1))
    scored, filled = module._hidden(x, blind, torch.Generator().manual_seed(2))
    for row, column in scored[0, 0].nonzero().tolist():
        around = (slice(max(0, row - blind // 2), row + blind // 2 + 1),)
        around += (slice(max(0, column - blind // 2), column + blind // 2 + 1),)
        assert not (filled[0, 0][around] == x[0, 0][around]).any()
    flat = torch.full((1, 1, 40, 40), 3.0)
    torch.testing.assert_close(module._hidden(flat, blind, torch.Generator())[1], flat)


def test_leak_tells_copies_from_blindness(model: DiffDenoise, monkeypatch: Any) -> None:
    x = image()[None]
    monkeypatch.setattr(model, "_pair", lambda y, seed: y)
    assert model.leak(x, 0.2) == pytest.approx(1, abs=1e-3)
    blurred = lambda y, seed: (np.roll(y, 2, 1) + np.roll(y, -2, 2)) / 2  # noqa: E731
    monkeypatch.setattr(model, "_pair", blurred)
    assert abs(model.leak(x, 0.2)) < 0.15


def test_training_fails_where_samples_carry_the_noise(monkeypatch: Any) -> None:
    monkeypatch.setattr(DiffDenoise, "leak", lambda self, x, sigma, seed=0: 0.9)
    with pytest.raises(HushError, match=r"carry the input's noise \(correlation 0.90\)"):
        DiffDenoise(steps=1).fit([image(seed=i) for i in range(4)], schedule=short(), device="cpu")


# -- the centre pixel -------------------------------------------------------------------------


def test_the_centre_pixel_makes_it_the_posterior_mean(model: DiffDenoise, monkeypatch: Any) -> None:
    """x = condition + a, y = x + n: the best linear use of y is known."""
    rng = np.random.default_rng(0)
    known = 0.5 + np.zeros((1, 128, 128), np.float32)
    a, n = (s * rng.standard_normal(known.shape).astype(np.float32) for s in (0.06, 0.03))
    y = known + a + n
    mean, scale = y.mean(), float((y - y.mean()).std())
    monkeypatch.setattr(model, "_pair", lambda seen, seed=0: (known - mean) / scale)
    found = model._posterior(y, Gaussian(0.03))
    best = known + 0.06**2 / (0.06**2 + 0.03**2) * (a + n)
    assert np.sqrt(np.mean((found - best) ** 2)) < 0.1 * 0.06
    assert np.mean((found - known - a) ** 2) < 0.85 * np.mean(n**2)


# -- stages -----------------------------------------------------------------------------------


def short(steps: int = 9) -> Schedule:
    return Schedule(max_steps=steps, batch=2, patch=16, validate_every=100, seed=3)


def weights(model: DiffDenoise) -> Mapping[str, Tensor]:
    assert model.networks_ is not None
    return model.networks_.state_dict()


def test_interrupted_in_any_stage_it_ends_the_same(tmp_path: Path, monkeypatch: Any) -> None:
    images = [image(24, seed=i) for i in range(4)]

    def fit(folder: Path | None, resume: bool = False) -> DiffDenoise:
        model = DiffDenoise(steps=1)
        return model.fit(images, schedule=short(), folder=folder, resume=resume, device="cpu")

    whole = weights(fit(None))
    assert {name.split(".")[0] for name in whole} == {"student"}
    for at in ("_blind_loss", "_posterior", "_student_loss"):
        holder: Any = DiffDenoise if at == "_posterior" else module
        original, calls = getattr(holder, at), [0]

        def cut(*args: Any, original: Any = original, calls: list[int] = calls) -> Any:
            calls[0] += 1
            if calls[0] == 2:
                raise KeyboardInterrupt
            return original(*args)

        with monkeypatch.context() as patched:
            patched.setattr(holder, at, cut)
            with pytest.raises(KeyboardInterrupt):
                fit(tmp_path / at)
        resumed = weights(fit(tmp_path / at, resume=True))
        assert all(torch.equal(resumed[name], whole[name]) for name in whole)


def test_what_is_kept(model: DiffDenoise, tmp_path: Path) -> None:
    x = image()[None]
    model.save(tmp_path / "all.safetensors")
    again = hush.load(tmp_path / "all.safetensors")
    for output in ("condition", "single", "pair", "student"):
        expected = model.replace(output=output).restore(x).data
        difference = again.replace(output=output).restore(x).data - expected
        assert np.abs(difference).max() < 0.02 * np.abs(expected).max()  # half precision
    assert model.networks_ is not None
    model.networks_ = nn.ModuleDict({"student": model.networks_["student"]})
    with pytest.raises(HushError, match="keep=true"):
        model.replace(output="pair").restore(x)


@pytest.mark.parametrize("output", ["condition", "pair", "student"])
def test_tiles_agree(model: DiffDenoise, output: str) -> None:
    """The noise is drawn for the whole field, and statistics are taken once."""
    x = image(150)[None]
    whole, tiled = (model.replace(output=output, tile=t).restore(x).data for t in (512, 64))
    np.testing.assert_allclose(tiled, whole, atol=1e-5 * np.abs(whole).max())


def test_too_little_to_learn_from() -> None:
    with pytest.raises(HushError, match="too few to learn from; give at least 4"):
        DiffDenoise().fit([image(24)], schedule=short(), device="cpu")
    for settings in ({"output": "best"}, {"blind": 3}):
        with pytest.raises(HushError):
            DiffDenoise(**settings)  # type: ignore[arg-type]


def test_the_loss_is_a_mean_over_what_is_scored(model: DiffDenoise) -> None:
    """A network that answers zero misses E|ε| = √(2/π), however large the batch."""

    def nothing(state: Tensor, condition: Tensor, time: Tensor) -> Tensor:
        return torch.zeros_like(state)

    for batch in (2, 8):
        x = torch.randn(batch, 1, 64, 64, generator=torch.Generator().manual_seed(0))
        blind: Any = model.networks_["blind-spot"]  # type: ignore[index]
        loss = model._diffusion_loss(nothing, blind, x, torch.Generator().manual_seed(1))  # type: ignore[arg-type]
        assert float(loss["diffusion_loss"]) == pytest.approx(np.sqrt(2 / np.pi), abs=0.06)

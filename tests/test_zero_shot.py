"""Methods that learn the one image they denoise: their time, losses, and what they must not see."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from torch import nn

import hush
from hush.bases import zero_shot
from hush.bases.zero_shot import Pace, Windows
from hush.cli import main
from hush.errors import HushError
from hush.methods import make
from hush.methods.dip import INPUTS, octaves
from hush.methods.self2self import left_out
from hush.methods.zsn2n import pair, residual_and_consistency
from hush.nets.self2self import PartialConv, PartialUNet
from hush.noise.processes import Gaussian
from hush.record import Batch

# Arrays this small gain nothing from two threads.
pytestmark = pytest.mark.usefixtures("one_thread")

SMALL: dict[str, dict[str, Any]] = {
    "zs-n2n": {"width": 16, "patch": 32},
    "self2self": {"width": 8, "depth": 2, "patch": 32, "passes": 4},
    "dip": {"width": 12, "scales": 2, "tile": 32},
}


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def small(name: str, **settings: Any) -> Any:
    return make(name, **{"steps": 2, **SMALL[name], **settings})


class Clock:
    """A clock that stands still but for what a test lets pass."""

    def __init__(self) -> None:
        self.now = 100.0

    def perf_counter(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(zero_shot, "time", made)
    return made


# -- Time -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("after", "steps"), [(0.0, 100), (20.0, 80), (95.0, 5)])
def test_learning_leaves_the_time_that_the_result_takes(
    clock: Clock, after: float, steps: int
) -> None:
    """Of 10 s at 0.1 s a step, to half a step."""
    pace, seen = Pace(10.0), []
    for done in pace.learning(after):
        seen.append(done)
        clock.now += 0.1
    assert abs(len(seen) - steps) <= 1
    assert seen == sorted(seen)
    assert seen[0] == 0
    assert seen[-1] < 1


def test_what_follows_takes_a_share_at_most(clock: Clock) -> None:
    """The result would take all of the time: it gets a quarter, and ends when that is over."""
    pace = Pace(10.0)
    for _ in pace.learning(after=1000.0, most=0.25):
        clock.now += 0.1
    assert pace.left == pytest.approx(2.5, abs=0.11)
    made = 0
    for _ in pace.answers(50):
        clock.now += 0.7
        made += 1
    assert made == 3


def test_steps_do_not_depend_on_the_clock(clock: Clock) -> None:
    pace = Pace(1.0, steps=7)
    for _ in pace.learning(after=5.0):
        clock.now += 100
    assert len(list(Pace(1.0, 7).learning(5.0))) == 7
    assert len(list(pace.answers(9))) == 9


def test_the_whole_time_of_an_image_is_kept(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a clock that only a step moves, learning ends when the time is up."""
    adam, counted = torch.optim.Adam.step, []

    def step(self: Any, *args: Any, **options: Any) -> Any:
        clock.now += 1.0
        counted.append(1)
        return adam(self, *args, **options)

    monkeypatch.setattr(torch.optim.Adam, "step", step)
    x = np.random.default_rng(0).random((1, 32, 32), np.float32)
    small("zs-n2n", steps=None, seconds=20.0).restore(x)
    assert 18 <= len(counted) <= 20


@pytest.mark.parametrize("name", SMALL)
def test_progress_reaches_the_end(name: str, noisy: np.ndarray) -> None:
    parts: list[float] = []
    small(name).restore(noisy[None, :32, :32].astype(np.float32), advance=parts.append)
    assert min(parts) > 0
    assert sum(parts) == pytest.approx(1)


# -- What all of them have in common ----------------------------------------------------------


@pytest.mark.parametrize("name", SMALL)
def test_results_depend_on_the_seed_only(name: str, noisy: np.ndarray) -> None:
    x = noisy[None, :40, :33].astype(np.float32) / 255
    torch.manual_seed(5)
    first = small(name, seed=3).restore(x, Gaussian(25 / 255)).data
    state = torch.random.get_rng_state()
    torch.manual_seed(6)
    np.testing.assert_array_equal(small(name, seed=3).restore(x, Gaussian(25 / 255)).data, first)
    assert not np.array_equal(small(name, seed=4).restore(x, Gaussian(25 / 255)).data, first)
    torch.manual_seed(5)
    assert torch.equal(torch.random.get_rng_state(), state)  # the user's numbers are left alone


@pytest.mark.parametrize("name", SMALL)
def test_units_do_not_matter(name: str, noisy: np.ndarray) -> None:
    """Gain and offset of the image are those of the result."""
    x = noisy[None, :32, :32].astype(np.float32) / 256
    model, level = small(name, steps=3), 25 / 256
    y = model.restore(x, Gaussian(level)).data
    np.testing.assert_array_equal(model.restore(4 * x, Gaussian(4 * level)).data, 4 * y)
    np.testing.assert_allclose(model.restore(x + 1, Gaussian(level)).data, y + 1, atol=1e-3)


@pytest.mark.parametrize("name", SMALL)
def test_every_plane_of_a_stack_is_learned_alone(name: str, noisy: np.ndarray) -> None:
    stack = np.stack([noisy[:24, :24], noisy[50:74, 50:74]])
    model = small(name)
    made = hush.run(stack, model=model, noise="gaussian:25/255").data
    for plane, one in zip(stack, made, strict=True):
        alone = hush.run(plane, model=model, noise="gaussian:25/255").data
        np.testing.assert_array_equal(one, alone)


@pytest.mark.parametrize(
    ("name", "steps", "gain"), [("zs-n2n", 60, 4.0), ("self2self", 60, 3.0), ("dip", 60, 4.0)]
)
def test_noise_is_removed(name: str, steps: int, gain: float, toys: list[np.ndarray]) -> None:
    """σ = 0.1 on a wave and a disc, in a second or so: `gain` dB nearer to them."""
    clean = toys[0][None]
    x = clean + np.random.default_rng(0).normal(0, 0.1, clean.shape).astype(np.float32)
    y = small(name, steps=steps).restore(x, Gaussian(0.1)).data
    before, after = (float(np.mean((a - clean) ** 2)) for a in (x, y))
    assert 10 * np.log10(before / after) > gain


def test_halves_are_compared_on_request_only(noisy: np.ndarray) -> None:
    """A few windows would take longer than the image; of all of it, the user has asked."""
    x, model = noisy[:48, :48], small("zs-n2n")
    plain = hush.run(x, model=model, noise="gaussian:25/255")
    assert plain.items[0].check is None
    asked = hush.run(x, model=model, noise="gaussian:25/255", check="whole")
    assert asked.items[0].check is not None
    assert "zs-n2n" in asked.items[0].check.errors


@pytest.mark.parametrize("name", SMALL)
def test_from_the_command_line(name: str, noisy: np.ndarray, tmp_path: Path) -> None:
    """A file of settings is a model; the result is that of Python."""
    np.save(tmp_path / "a.npy", noisy[:32, :32])
    model = small(name)
    model.save(tmp_path / "m.safetensors")
    argv = ["denoise", tmp_path / "a.npy", "-o", tmp_path / "b.npy", "--device", "cpu", "-q"]
    argv += ["--model", tmp_path / "m.safetensors", "--noise", "gaussian:25"]
    done = CliRunner().invoke(main, [*map(str, argv)])
    assert done.exit_code == 0, done.output
    expected = hush.run(noisy[:32, :32], model=model, noise="gaussian:25/255").data
    np.testing.assert_array_equal(np.load(tmp_path / "b.npy"), expected)


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("zs-n2n", {"seconds": 0}),
        ("zs-n2n", {"steps": 0}),
        ("zs-n2n", {"width": 0}),
        ("zs-n2n", {"patch": 1}),
        ("self2self", {"keep": 1.0}),
        ("self2self", {"depth": 0}),
        ("self2self", {"passes": 0}),
        ("dip", {"scales": 0}),
        ("dip", {"learning_rate": 0}),
    ],
    ids=str,
)
def test_settings_that_cannot_be_get_a_sentence(name: str, settings: dict[str, Any]) -> None:
    with pytest.raises(HushError, match=f"{name} needs"):
        make(name, **settings)


def test_windows_lie_on_multiples_and_everywhere() -> None:
    windows = Windows((20, 9), 8, seed=1, multiple=4)
    drawn = [windows.draw() for _ in range(200)]
    assert {(r.stop - r.start, c.stop - c.start) for r, c in drawn} == {(8, 8)}
    assert {r.start for r, _ in drawn} == {0, 4, 8, 12}
    assert {c.start for _, c in drawn} == {0}
    assert windows.share == pytest.approx(64 / 180)
    assert Windows((20, 9), None).sides == [20, 9]


# -- Zero-Shot Noise2Noise --------------------------------------------------------------------


def test_a_pair_is_the_means_of_the_diagonals() -> None:
    x = torch.tensor([[1.0, 2.0, 5.0, 0.0], [4.0, 8.0, 3.0, 1.0]])[None, None]
    d1, d2 = pair(x)
    assert d1.tolist() == [[[[4.5, 3.0]]]]
    assert d2.tolist() == [[[[3.0, 1.5]]]]


def test_a_pair_shares_no_pixel_and_uses_all() -> None:
    x = normal(1, 2, 6, 8).requires_grad_()
    seen = [torch.autograd.grad(d.sum(), x)[0] != 0 for d in pair(x)]
    assert not (seen[0] & seen[1]).any()
    assert (seen[0] | seen[1]).all()


def test_the_loss_at_known_answers() -> None:
    """f = 0 commutes, and leaves the noise; f(y) = y leaves nothing, and commutes."""
    y = normal(2, 3, 8, 6)
    d1, d2 = pair(y)

    class Nothing(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return 0 * x

    nothing = residual_and_consistency(Nothing(), y)
    torch.testing.assert_close(nothing, (d1 - d2).square().mean())
    everything = residual_and_consistency(nn.Identity(), y)
    torch.testing.assert_close(everything, (d1.square().mean() + d2.square().mean()) / 2)


# -- Self2Self --------------------------------------------------------------------------------


def test_a_partial_convolution_without_holes_is_a_convolution() -> None:
    layer, x = PartialConv(2, 3), normal(1, 2, 9, 8)
    y, seen = layer(x, torch.ones_like(x))
    inner = (..., slice(1, -1), slice(1, -1))
    torch.testing.assert_close(y[inner], nn.Conv2d.forward(layer, x)[inner])
    assert seen.shape == (1, 1, 9, 8)
    assert (seen == 1).all()


def test_a_mean_is_that_of_the_known_values() -> None:
    """Weights of 1/9 take the mean of a window: of a constant it is that, with any holes."""
    layer = PartialConv(1, 1)
    nn.init.constant_(layer.weight, 1 / 9)
    nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
    known = (normal(1, 1, 12, 12) > 0.8).float()
    y, seen = layer(torch.full((1, 1, 12, 12), 5.0), known)
    near = torch.nn.functional.max_pool2d(known, 3, 1, 1)
    assert 0 < near.mean() < 1
    torch.testing.assert_close(seen, near)
    torch.testing.assert_close(y, 5 * near)


@pytest.mark.parametrize("depth", [1, 3])
def test_a_value_left_out_is_not_seen(depth: int) -> None:
    """Blind by gradients: the output does not depend on values where b = 0, but on others."""
    network = PartialUNet(2, 6, depth)
    x = normal(1, 2, 21, 18).requires_grad_()
    known = (normal(1, 2, 21, 18, seed=1) > -0.5).float()
    grad = torch.autograd.grad((network(x, known) * normal(1, 2, 21, 18, seed=2)).sum(), x)[0]
    assert (grad[known == 0] == 0).all()
    assert (grad[known == 1] != 0).float().mean() > 0.9


def test_the_error_counts_where_a_value_was_left_out() -> None:
    """A network that returns its input is right where it sees, and off by y where it does not."""

    class Given(nn.Module):
        def forward(self, x: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
            return x * known

    y = normal(4, 1, 64, 64) + 3
    error = left_out(Given(), y, 0.7)  # type: ignore[arg-type]
    assert float(error) == pytest.approx(10, rel=0.05)  # 3² + 1
    seen: list[float] = []

    class Counting(nn.Module):
        def forward(self, x: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
            seen.append(float(known.mean()))
            return x

    assert float(left_out(Counting(), y, 0.7)) == 0  # type: ignore[arg-type]
    assert seen[0] == pytest.approx(0.7, abs=0.02)


@pytest.mark.parametrize("shape", [(1, 1), (5, 7), (33, 16)], ids=str)
def test_the_network_takes_any_sides(shape: tuple[int, int]) -> None:
    x = normal(1, 3, *shape)
    assert PartialUNet(3, 4, 4)(x, torch.ones_like(x)).shape == x.shape


def test_dropout_is_on_in_use() -> None:
    network, x = PartialUNet(1, 8, 2).eval(), normal(1, 1, 16, 16)
    known = torch.ones_like(x)
    assert not torch.equal(network(x, known), network(x, known))
    still = PartialUNet(1, 8, 2, dropout=0.0).eval()
    assert torch.equal(still(x, known), still(x, known))


# -- Deep Image Prior -------------------------------------------------------------------------


def test_the_input_has_every_octave() -> None:
    """Channels have variance 1, and every second neighbour is more alike than in the one before."""
    torch.manual_seed(0)
    z = octaves((200, 150))
    assert z.shape == (INPUTS, 200, 150)
    np.testing.assert_allclose((z**2).mean((1, 2)), 1, rtol=1e-5)
    alike = [float((a[:, 1:] * a[:, :-1]).mean()) for a in z[:4]]
    assert abs(alike[0]) < 0.05
    assert alike == sorted(alike)
    assert alike[-1] > 0.8


def test_a_fit_ends_where_the_residual_is_the_noise(noisy: np.ndarray) -> None:
    """All of the image is noise: nothing is left to learn after a step; of little, all steps."""
    x = noisy[None, :32, :32].astype(np.float32) / 255
    parts: list[float] = []
    small("dip", steps=6).restore(x, Gaussian(1.0), parts.append)
    ended = len(parts)
    parts.clear()
    small("dip", steps=6).restore(x, Gaussian(0.001), parts.append)
    assert (ended, len(parts)) == (1, 7)


def test_the_level_is_measured_where_nobody_tells_it(noisy: np.ndarray) -> None:
    """Told or measured, the fit ends by it: the result is the same where the level is."""
    x = noisy[None].astype(np.float32) / 255
    model = small("dip", steps=3)
    found = model.kind.measure([x])
    same = model.restore(x, found.process).data
    np.testing.assert_array_equal(model.restore(x).data, same)
    np.testing.assert_array_equal(model.restore_item(Batch([x]), 0, None, None, found).data, same)

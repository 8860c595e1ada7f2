"""Blind-spot networks: what they must not see, what they must, and tiles that agree."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hush.nets.blindspot import BlindConv, BlindMean, from_phases, to_phases
from hush.nets.lgbpn import LGBPN
from hush.nets.pooled import PooledNet
from hush.nets.puca import PUCA

# On one thread: arrays this small gain nothing from two.
pytestmark = pytest.mark.usefixtures("one_thread")

Randomise = Callable[..., Any]

puca = partial(PUCA, width=4, encoder=(1,), middle=1, decoder=(1,))
lgbpn = partial(LGBPN, width=4, blocks=(1, 1), heads=2)

#: a small network of each kind, and the side of its blind spot
NETS = [(puca, 1), (lgbpn, 1), (partial(lgbpn, blind=5), 5), (partial(lgbpn, blind=9), 9)]
every_net = pytest.mark.parametrize(
    ("make", "blind"), NETS, ids=["puca", "lgbpn 1", "lgbpn 5", "lgbpn 9"]
)


def uniform(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(shape, generator=generator, dtype=torch.float64)


def places(height: int, width: int) -> list[tuple[int, int]]:
    """Corners, edges, the middle, and pixels of several phases."""
    middle = [(height // 2 + i, width // 2 + j) for i, j in [(0, 0), (1, 0), (2, 3), (-3, 1)]]
    return [(0, 0), (height - 1, width - 1), (0, width // 2), (5, 0), *middle]


def seen(net: PooledNet, x: Tensor, row: int, column: int, fixed: bool = False) -> Tensor:
    """Which pixels, in any channel, the output at a place depends on: gradients, ``(H, W)``."""
    pooled = [statistic.detach() for statistic in net.pooled(x)] if fixed else None
    out = net(x.requires_grad_(), pooled)
    (gradient,) = torch.autograd.grad(out[0, :, row, column].sum(), [x])
    return gradient[0].abs().sum(0)


def around(gradient: Tensor, row: int, column: int, blind: int) -> Tensor:
    r = blind // 2
    return gradient[max(row - r, 0) : row + r + 1, max(column - r, 0) : column + r + 1]


# -- blind --------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(24, 24), (23, 26), (25, 21)], ids=str)
@every_net
def test_nothing_within_the_blind_spot_is_seen(
    make: Callable[..., PooledNet], blind: int, size: tuple[int, int], randomise: Randomise
) -> None:
    """The Jacobian is exactly zero there, for two channels, at any size, with live statistics."""
    net = randomise(make(2)).double()
    for row, column in places(*size):
        gradient = seen(net, uniform(1, 2, *size), row, column)
        assert not around(gradient, row, column, blind).any(), (row, column)
        assert around(gradient, row, column, blind + 2).any(), (row, column)


@every_net
def test_a_changed_pixel_changes_nothing_that_is_blind_to_it(
    make: Callable[..., PooledNet], blind: int, randomise: Randomise
) -> None:
    """The same seen forwards: bit for bit, in float32."""
    net = randomise(make(1))
    x = uniform(1, 1, 26, 25).float()
    other = x.clone()
    other[..., 12, 11] = 3.0
    with torch.inference_mode():
        changed = (net(x) != net(other))[0, 0]
    assert not around(changed, 12, 11, blind).any()
    assert around(changed, 12, 11, blind + 2).any()


@pytest.mark.parametrize("make", [puca, lgbpn], ids=["puca", "lgbpn"])
def test_statistics_of_the_whole_image_leak_unless_they_are_held(
    make: Callable[..., PooledNet], randomise: Randomise
) -> None:
    """As in the papers; the leak is real, and small beside the neighbours' share."""
    net = randomise(make(1, attention="image")).double()
    x = uniform(1, 1, 24, 23)
    for row, column in places(24, 23):
        live = seen(net, x.detach(), row, column)
        held = seen(net, x.detach(), row, column, fixed=True)
        assert 0 < live[row, column] < 0.1 * live.max()
        assert held[row, column] == 0
        assert held.any()


@pytest.mark.parametrize("blind", [1, 5, 9])
def test_lgbpn_sees_every_other_pixel_nearby(blind: int, randomise: Randomise) -> None:
    """The pixels next to the blind spot, without a gap, by convolutions alone."""
    net = randomise(lgbpn(1, blind)).double()
    side, centre = 36, 18
    gradient = seen(net, uniform(1, 1, side, side), centre, centre, fixed=True)
    hidden = around(gradient, centre, centre, blind + 2) == 0
    assert int(hidden.sum()) == blind**2


def test_pixels_of_its_own_phase_are_all_that_puca_misses(randomise: Randomise) -> None:
    net = randomise(puca(1)).double()
    gradient = seen(net, uniform(1, 1, 24, 24), 12, 12, fixed=True)
    window = gradient[9:16, 9:16] > 0
    own = torch.zeros(7, 7, dtype=torch.bool)
    own[1::2, 1::2] = True  # two pixels apart from (12, 12)
    assert torch.equal(window, ~own)


# -- the pieces ---------------------------------------------------------------------------


@pytest.mark.parametrize(("blind", "reach", "step"), [(1, 1, 2), (3, 3, 5), (5, 5, 8), (9, 9, 14)])
def test_with_strides_that_clear_it_the_mask_is_the_centre_patch(
    blind: int, reach: int, step: int
) -> None:
    mask = BlindConv(1, 1, blind, reach, step).mask
    assert mask.shape == (2 * reach + 1, 2 * reach + 1)
    assert int((~mask).sum()) == blind**2
    assert not around(mask, reach, reach, blind).any()


@pytest.mark.parametrize("step", [2, 3, 5])
def test_phases_come_back_and_a_convolution_on_them_is_a_dilated_one(step: int) -> None:
    x, weight = uniform(2, 3, 13, 16), uniform(4, 3, 3, 3, seed=1)
    phases = to_phases(x, step)
    assert phases.shape == (2 * step**2, 3, -(-13 // step), -(-16 // step))
    assert torch.equal(from_phases(phases, step, x.shape[-2:]), x)
    assert torch.equal(phases[1, :, 0], F.pad(x, (0, step))[0, :, 0, 1::step][:, : -(-16 // step)])
    dilated = F.conv2d(x, weight, padding=step, dilation=step)
    on_phases = from_phases(F.conv2d(phases, weight, padding=1), step, x.shape[-2:])
    torch.testing.assert_close(on_phases, dilated)


def test_patch_unshuffle_is_pixel_unshuffle_on_each_phase() -> None:
    """The paper's words: patches of 2×2 pixels move to channels, their pixels stay in place."""
    x = uniform(1, 1, 8, 8)
    patches = x.reshape(2, 2, 2, 2, 2, 2)  # (row: of 2, within 2, in patch; column: the same)
    moved = patches.permute(1, 4, 0, 2, 3, 5).reshape(1, 4, 4, 4)
    on_phases = F.pixel_unshuffle(to_phases(x, 2), 2)
    assert torch.equal(from_phases(on_phases, 2, moved.shape[-2:]), moved)


# -- sizes, tiles, reach ------------------------------------------------------------------


@pytest.mark.parametrize("size", [(1, 1), (1, 30), (17, 2), (13, 21)], ids=str)
@every_net
def test_any_size_comes_back(
    make: Callable[..., PooledNet], blind: int, size: tuple[int, int]
) -> None:
    with torch.inference_mode():
        out = make(3)(torch.rand(2, 3, *size))
    assert out.shape == (2, 3, *size)
    assert bool(out.isfinite().all())


@every_net
def test_it_reaches_no_further_than_it_says(
    make: Callable[..., PooledNet], blind: int, randomise: Randomise
) -> None:
    net: Any = randomise(make(1)).double()
    side = 2 * net.radius + 3 * net.multiple
    furthest = 0
    for place in range(side // 2, side // 2 + min(net.multiple, 4)):
        gradient = seen(net, uniform(1, 1, side, side), place, place, fixed=True)
        furthest = max(furthest, int((gradient.nonzero() - place).abs().max()))
    assert net.radius - 2 * net.multiple < furthest <= net.radius


# -- learning -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("net", "millions"),
    [(PUCA(1), 0.399), (LGBPN(1), 0.050), (LGBPN(1, 5), 0.058), (LGBPN(3, 9), 0.126)],
    ids=["puca", "lgbpn 1", "lgbpn 5", "lgbpn 9, RGB"],
)
def test_as_many_parameters_as_stated(net: nn.Module, millions: float) -> None:
    assert sum(p.numel() for p in net.parameters()) / 1e6 == pytest.approx(millions, abs=5e-4)


@pytest.mark.long
@every_net
def test_it_learns_to_predict_the_pixel_it_does_not_see(
    make: Callable[..., PooledNet], blind: int
) -> None:
    """A smooth image plus noise: after 40 steps, better than the mean, on another image too."""
    torch.manual_seed(0)

    def sample(seed: int) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        smooth = F.interpolate(
            torch.randn(4, 1, 3, 3, generator=generator), 32, mode="bicubic", align_corners=True
        )
        return smooth + 0.2 * torch.randn(4, 1, 32, 32, generator=generator)

    net = make(1)
    optimiser = torch.optim.Adam(net.parameters(), 1e-2)
    for step in range(40):
        x = sample(step)
        loss = F.mse_loss(net(x), x)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    x = sample(1000)
    with torch.inference_mode():
        error = float(F.mse_loss(net(x), x))
    assert 0.2**2 < error < 0.8 * float(x.var())


@pytest.mark.parametrize("blind", [1, 5, 9])
def test_the_mean_around_a_blind_spot(blind: int) -> None:
    """Constants stay, to the border; slopes do inside; nothing of the blind spot is seen."""
    mean = BlindMean(blind)
    flat = torch.full((2, 3, 40, 37), 0.7)
    torch.testing.assert_close(mean(flat), flat)
    slope = torch.arange(40.0).expand(1, 1, 40, 40)
    inner = slice(blind, -blind)
    torch.testing.assert_close(mean(slope)[..., inner, inner], slope[..., inner, inner])
    impulse = torch.zeros(1, 1, 41, 41)
    impulse[..., 20, 20] = 1
    seen = mean(impulse)[0, 0]
    near = slice(20 - blind // 2, 21 + blind // 2)
    assert seen[near, near].abs().max() == 0
    assert seen.sum() == pytest.approx(1, abs=1e-5)


def test_lgbpn_begins_as_that_mean() -> None:
    x = torch.rand(1, 2, 30, 33)
    torch.testing.assert_close(LGBPN(2, 5)(x), BlindMean(5)(x))

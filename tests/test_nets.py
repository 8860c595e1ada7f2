"""Networks: homogeneous, blind to offsets, and with the reach they state."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from hush.methods.mid.image import MID
from hush.nets.blocks import Residual, ZeroMeanHead
from hush.nets.gated import CONTRAST, GatedUNet
from hush.nets.nafnet import GatedBlock
from hush.nets.step import StepNet
from hush.nets.unet import NoiseUNet
from hush.nets.values import groups
from hush.noise.spectrum import OCTAVES

# On one thread: arrays this small gain nothing from two.
pytestmark = pytest.mark.usefixtures("one_thread")

Randomise = Callable[..., nn.Module]

SHAPES = [((8,), (1,)), ((6,), (2,)), ((8, 8), (1, 1)), ((4, 4, 4), (1, 1, 2))]
every_shape = pytest.mark.parametrize(("widths", "blocks"), SHAPES)
every_net = pytest.mark.parametrize("architecture", [NoiseUNet, GatedUNet])


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def noisy(*shape: int, seed: int = 0) -> Tensor:
    """Positive values, and levels that differ from place to place."""
    return torch.rand(shape, generator=rng(seed), dtype=torch.float64)


# -- equivariance -------------------------------------------------------------------------


@every_net
@every_shape
@pytest.mark.parametrize("channels", [1, 3])
def test_the_noise_net_is_homogeneous_and_blind_to_offsets(
    architecture: type[NoiseUNet],
    widths: tuple[int, ...],
    blocks: tuple[int, ...],
    channels: int,
    randomise: Randomise,
) -> None:
    """f(a·x + b, a·level) = a·f(x, level), with another offset for each channel."""
    net = randomise(architecture(channels, widths, blocks)).double()
    x, level = noisy(2, channels, 24, 16), noisy(2, channels, 24, 16, seed=1)
    offset = noisy(1, channels, 1, 1, seed=2)
    with torch.inference_mode():
        out = net(x, level)
        moved = net(7.5 * x + 3 * offset, 7.5 * level)
    assert out.shape == x.shape
    assert float(out.std()) > 0.1  # otherwise nothing is tested
    torch.testing.assert_close(moved, 7.5 * out)


@every_net
def test_the_noise_net_heeds_the_level(architecture: type[NoiseUNet], randomise: Randomise) -> None:
    """The level is no image: where it is constant it still counts."""
    net = randomise(architecture(1, (8, 8), (1, 1))).double()
    x = noisy(1, 1, 16, 16)
    with torch.inference_mode():
        one, two = (net(x, torch.full_like(x, s)) for s in (0.1, 0.2))
    assert float((one - two).abs().max()) > 1e-2


@pytest.mark.parametrize("channels", [1, 3])
def test_the_step_net_is_a_standard_deviation(channels: int, randomise: Randomise) -> None:
    """Ψ(a·x + b) = a·Ψ(x) ≥ 0 for a > 0, as a standard deviation does."""
    net = randomise(StepNet(channels)).double()
    x = noisy(2, channels, 48, 32)
    with torch.inference_mode():
        level = net(x)
        moved = net(0.2 * x + 5 * noisy(1, channels, 1, 1, seed=1))
        constant = net(torch.ones_like(x))
    assert level.shape == (2, OCTAVES, groups(channels), 3, 2)
    assert float(level.min()) >= 0
    torch.testing.assert_close(moved, 0.2 * level)
    assert float(constant.abs().max()) < 1e-12


def test_the_head_sees_differences_only(randomise: Randomise) -> None:
    """Zero for constants, at the border too, and not for others."""
    head = randomise(ZeroMeanHead(2, 8)).double()
    image = torch.tensor([3.0, -1.0], dtype=torch.float64)[None, :, None, None]
    with torch.inference_mode():
        assert float(head(image.expand(1, 2, 8, 8)).abs().max()) < 1e-12
        assert float(head(noisy(1, 2, 8, 8)).abs().max()) > 0.1


@every_net
@pytest.mark.parametrize("channels", [1, 3])
def test_white_noise_is_an_equal_share_of_every_octave(
    architecture: type[NoiseUNet], channels: int, randomise: Randomise
) -> None:
    """Told nothing about octaves the network takes the noise for white; it heeds them all."""
    net = randomise(architecture(channels, (8, 8), (1, 1))).double()
    x, level = noisy(1, channels, 16, 16), noisy(1, channels, 16, 16, seed=1)
    shares = torch.ones(1, OCTAVES, groups(channels), dtype=torch.float64)
    with torch.inference_mode():
        plain = net(x, level)
        torch.testing.assert_close(net(x, level, shares), plain)
        for place in np.ndindex(OCTAVES, groups(channels)):
            other = shares.clone()
            other[0, *place] = 2.0
            assert float((net(x, level, other) - plain).abs().max()) > 1e-4


@pytest.mark.parametrize("block", [Residual, GatedBlock])
def test_a_residual_block_starts_as_the_identity(block: Callable[[int], nn.Module]) -> None:
    x = noisy(1, 4, 6, 6).float()
    assert torch.equal(block(4)(x), x)


def test_a_level_of_0_is_no_division_by_0(randomise: Randomise) -> None:
    """In units of a level that is 0 in places, all stays finite."""
    net = randomise(GatedUNet(1, (8, 8), (1, 1)))
    level = noisy(1, 1, 16, 16).float()
    level[..., :8] = 0
    with torch.inference_mode():
        noise = net(noisy(1, 1, 16, 16, seed=1).float(), level)
    assert bool(noise.isfinite().all())


@pytest.mark.parametrize("level", [1e-9, 1e-4, 1.0])
def test_gated_blocks_see_no_large_values(level: float, randomise: Randomise) -> None:
    """They could not cancel an edge in units of weak noise; strong noise is in units of itself."""
    net = randomise(GatedUNet(1, (8, 8), (1, 1)))
    seen = []
    net.enter[0].register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    x = 100 * noisy(1, 1, 16, 16, seed=1).float()
    with torch.inference_mode():
        net(x, torch.full_like(x, level))
    size = seen[0].square().mean(1).sqrt()
    assert 0.01 < float(size.min()) <= float(size.max()) <= 1.001 * CONTRAST


@pytest.mark.parametrize("shape", [(8, 8), (13, 21), (1, 30), (17, 1), (33, 40)])
def test_denoising_is_equivariant_at_any_size(
    shape: tuple[int, int], random_mid: Callable[..., MID]
) -> None:
    """Padding and cropping keep what the networks have: gain and offset carry over."""
    x = np.random.default_rng(0).random(shape, dtype=np.float32) - 1  # no range has such limits
    model = random_mid()
    y = model.denoise(x, "gaussian:0.1")
    moved = model.denoise(4 * x - 2, "gaussian:0.4")
    assert np.abs(y - x).max() > 0.01
    np.testing.assert_allclose(moved, 4 * y - 2, atol=2e-5)


# -- reach --------------------------------------------------------------------------------


def reach(output: Tensor, inputs: list[Tensor], row: int, column: int) -> tuple[int, int]:
    """Smallest box around (row, column) that holds all the influence on the scalar `output`.

    In pixels towards smaller and towards larger coordinates.
    """
    before = after = 0
    for gradient in torch.autograd.grad(output, inputs):
        touched = gradient[0].abs().sum(0).nonzero()
        offsets = touched - torch.tensor([row, column])
        before, after = max(before, int(-offsets.min())), max(after, int(offsets.max()))
    return before, after


@every_net
@every_shape
def test_the_noise_net_reaches_no_further_than_it_says(
    architecture: type[NoiseUNet],
    widths: tuple[int, ...],
    blocks: tuple[int, ...],
    randomise: Randomise,
) -> None:
    """Exactly zero gradient beyond `radius`, for pixels at every place within the strides.

    With random weights; and the statement is tight, a step of the coarsest grid at most too far.
    """
    net = randomise(architecture(1, widths, blocks)).double()
    assert net.radius % net.multiple == 0
    side = 2 * (net.radius + 2 * net.multiple)
    side += -side % net.multiple
    furthest = 0
    for row in range(side // 2, side // 2 + net.multiple):
        x, level = noisy(1, 1, side, side), noisy(1, 1, side, side, seed=1)
        inputs = [x.requires_grad_(), level.requires_grad_()]
        column = side // 2 + (row * 3 + 1) % net.multiple
        furthest = max(furthest, *reach(net(*inputs)[0, 0, row, column], inputs, row, column))
    assert net.radius - net.multiple <= furthest <= net.radius


def test_the_step_net_reaches_no_further_than_it_says(randomise: Randomise) -> None:
    net = randomise(StepNet(1)).double()
    x = noisy(1, 1, 224, 224).requires_grad_()
    top = 6 * net.cell  # the seventh cell's first row and column
    before, after = reach(net(x)[0, 0, 0, 6, 6], [x], top, top)
    assert 0 < before <= net.radius
    assert 0 < after - (net.cell - 1) <= net.radius


@every_net
def test_far_pixels_change_nothing_at_all(
    architecture: type[NoiseUNet], randomise: Randomise
) -> None:
    """The same seen forwards: bit for bit, in the float32 that is used."""
    net = randomise(architecture(1, (8, 8), (1, 1)))
    side = 2 * net.radius + 32
    x, level = (noisy(1, 1, side, side, seed=s).float() for s in (0, 1))
    other, altered = x.clone(), level.clone()
    other[..., :8], altered[..., :8] = 9.0, 7.0
    with torch.inference_mode():
        first, second = net(x, level), net(other, altered)
    beyond = 8 + net.radius
    assert torch.equal(first[..., beyond:], second[..., beyond:])
    assert not torch.equal(first[..., :beyond], second[..., :beyond])

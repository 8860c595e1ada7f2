"""NAFNet: any size, tiles that agree, the reach it states, and that it learns."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from hush.nets.nafnet import LayerNorm2d, NAFBlock, NAFNet, simple_gate
from hush.nets.pooled import Pool

# On one thread: arrays this small gain nothing from two.
pytestmark = pytest.mark.usefixtures("one_thread")

Randomise = Callable[..., Any]


def uniform(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(shape, generator=generator, dtype=torch.float64)


def small(channels: int = 1) -> NAFNet:
    return NAFNet(channels, width=4, encoder=(1, 1), middle=1, decoder=(1, 1))


def test_layer_norm_leaves_no_mean_and_unit_variance_at_each_pixel() -> None:
    out = LayerNorm2d(8).double()(3 + 5 * uniform(2, 8, 3, 4))
    torch.testing.assert_close(out.mean(1), torch.zeros_like(out.mean(1)))
    torch.testing.assert_close(
        out.var(1, correction=0), torch.ones_like(out[:, 0]), rtol=1e-4, atol=0
    )


def test_the_gate_multiplies_halves() -> None:
    x = uniform(1, 6, 2, 2)
    assert torch.equal(simple_gate(x), x[:, :3] * x[:, 3:])


def test_a_block_starts_as_the_identity() -> None:
    x = uniform(1, 4, 5, 5).float()
    assert torch.equal(NAFBlock(4)(x, Pool(None, 1)), x)


@pytest.mark.parametrize("size", [(1, 1), (1, 30), (17, 2), (13, 21), (16, 24)], ids=str)
def test_any_size_comes_back(size: tuple[int, int]) -> None:
    with torch.inference_mode():
        out = NAFNet(3)(torch.rand(2, 3, *size))
    assert out.shape == (2, 3, *size)
    assert bool(out.isfinite().all())


def test_padding_is_not_seen_at_a_multiple(randomise: Randomise) -> None:
    """Cropped to fewer rows, the image keeps its result beyond the reach of what is missing."""
    net = randomise(small()).double()
    x = uniform(1, 1, 2 * net.radius, 20)
    with torch.inference_mode():
        pooled = net.pooled(x)
        whole, cropped = net(x, pooled), net(x[..., :-3, :], pooled)
    kept = net.radius - 3
    torch.testing.assert_close(cropped[..., :kept, :], whole[..., :kept, :])


def test_it_reaches_no_further_than_it_says(randomise: Randomise) -> None:
    net = randomise(small()).double()
    side = 2 * net.radius + 3 * net.multiple
    furthest = 0
    for place in range(side // 2, side // 2 + net.multiple):
        x = uniform(1, 1, side, side).requires_grad_()
        out = net(x, [p.detach() for p in net.pooled(x)])[0, 0, place, place]
        (gradient,) = torch.autograd.grad(out, [x])
        furthest = max(furthest, int((gradient[0, 0].nonzero() - place).abs().max()))
    assert net.radius - net.multiple < furthest <= net.radius


@pytest.mark.parametrize(
    ("settings", "millions"),
    [
        ({"channels": 1}, 0.438),
        ({"channels": 3, "width": 24}, 0.972),
        (
            {
                "channels": 3,
                "width": 32,
                "encoder": (2, 2, 4, 8),
                "middle": 12,
                "decoder": (2, 2, 2, 2),
            },
            29.16,
        ),
    ],
    ids=["default", "width 24, RGB", "the paper's"],
)
def test_as_many_parameters_as_stated(settings: dict[str, Any], millions: float) -> None:
    with torch.device("meta"):
        net = NAFNet(**settings)
    assert sum(p.numel() for p in net.parameters()) / 1e6 == pytest.approx(millions, rel=2e-3)


def test_it_learns_to_denoise() -> None:
    """Smooth images plus noise: after 40 steps, less than half the noise remains in power."""
    torch.manual_seed(0)

    def sample(seed: int) -> tuple[Tensor, Tensor]:
        generator = torch.Generator().manual_seed(seed)
        smooth = F.interpolate(
            torch.randn(4, 1, 3, 3, generator=generator), 32, mode="bicubic", align_corners=True
        )
        return smooth + 0.5 * torch.randn(4, 1, 32, 32, generator=generator), smooth

    net = small()
    optimiser = torch.optim.Adam(net.parameters(), 1e-2)
    for step in range(40):
        x, clean = sample(step)
        loss = F.mse_loss(net(x), clean)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    x, clean = sample(1000)
    with torch.inference_mode():
        error = float(F.mse_loss(net(x), clean))
    assert error < 0.5 * float((x - clean).var())

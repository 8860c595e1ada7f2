"""Networks that pool over the whole image: tiles that are told its statistics agree with it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from hush.nets.lgbpn import LGBPN
from hush.nets.nafnet import NAFNet
from hush.nets.pooled import PooledNet
from hush.nets.puca import PUCA

# On one thread: arrays this small gain nothing from two.
pytestmark = pytest.mark.usefixtures("one_thread")

Randomise = Callable[..., Any]

NETS = {
    "nafnet": partial(NAFNet, 1, width=4, encoder=(1, 1), middle=1, decoder=(1, 1)),
    "puca": partial(PUCA, 1, width=4, encoder=(1,), middle=1, decoder=(1,)),
    **{
        f"lgbpn {blind}": partial(LGBPN, 1, blind, width=4, blocks=(2, 1), heads=2)
        for blind in (1, 5, 9)
    },
}


@pytest.fixture(params=NETS)
def net(request: pytest.FixtureRequest, randomise: Randomise) -> Any:
    return randomise(NETS[request.param]()).double()


def uniform(*shape: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize("odd", [0, 1], ids=["whole strides", "one pixel more"])
def test_tiles_told_the_statistics_agree_with_the_image(net: PooledNet, odd: int) -> None:
    """Two tiles told the image's statistics; their own would give something else."""
    end = net.radius + net.multiple
    tile = end + net.radius
    x = uniform(1, 1, tile, tile + net.multiple + odd)
    with torch.inference_mode():
        whole, pooled = net(x), net.pooled(x)
        left, right = net(x[..., :tile], pooled), net(x[..., net.multiple :], pooled)
        alone = net(x[..., :tile])
    torch.testing.assert_close(left[..., :end], whole[..., :end])
    torch.testing.assert_close(right[..., net.radius :], whole[..., end:])
    assert not torch.allclose(alone[..., :end], whole[..., :end])


def test_of_a_large_image_crops_are_pooled(net: PooledNet) -> None:
    """Those of a periodic image are all alike, if it repeats at multiples of the strides."""
    side = 2 * net.multiple
    cell = uniform(1, 1, side, side)
    with torch.inference_mode():
        crop, many = net.pooled(cell), net.pooled(cell.repeat(1, 1, 5, 2), side=side)
    for one, other in zip(many, crop, strict=True):
        torch.testing.assert_close(one, other)

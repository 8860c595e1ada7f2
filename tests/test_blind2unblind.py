"""Blind2Unblind: its masks, its loss and the way from the blind to the visible output."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from hush.bases.learned import Learned
from hush.errors import HushError
from hush.methods.blind2unblind import Blind2Unblind, mapped, masked
from hush.nets.masks import interpolated
from hush.nets.plain import PlainUNet

RandomLearned = Callable[..., Learned]

# On one thread: arrays this small gain nothing from two.
pytestmark = pytest.mark.usefixtures("one_thread")
cells = pytest.mark.parametrize("cell", [2, 3, 4])


def drawn(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=drawn(seed))


@cells
def test_each_pixel_is_masked_once_and_mapped_back(cell: int) -> None:
    """In images whose sides are no multiples of the cell, too; colours are masked together."""
    x = normal(2, 3, 13, 10)
    every = masked(x, cell)
    assert every.shape == (cell**2 * 2, 3, 13, 10)
    hidden = every != x.repeat(cell**2, 1, 1, 1)
    times = hidden.view(cell**2, 2, 3, 13, 10).sum(0)
    assert torch.equal(times, torch.ones_like(times))
    assert torch.equal(mapped(every, cell), interpolated(x))
    numbers = torch.arange(cell**2).repeat_interleave(2).view(-1, 1, 1, 1).expand(every.shape)
    places = mapped(numbers.float(), cell)[0, 0].long()
    rows, columns = torch.arange(13)[:, None] % cell, torch.arange(10) % cell
    assert torch.equal(places, rows * cell + columns)


@cells
def test_the_blind_output_does_not_see_its_own_pixel(
    cell: int, random_learned: RandomLearned
) -> None:
    network = random_learned("blind2unblind").network_
    assert network is not None
    x = normal(1, 1, 12, 12)

    def blind(x: Tensor) -> Tensor:
        return mapped(network(masked(x, cell)), cell).flatten()

    matrix = torch.autograd.functional.jacobian(blind, x).view(144, 144)
    assert (matrix.diagonal() == 0).all()
    assert (matrix != 0).float().mean() > 0.5


def test_lambda_rises_from_its_start_to_its_end() -> None:
    weights = [Blind2Unblind().weight(done) for done in (0.0, 0.4, 0.7, 1.0)]
    assert weights == pytest.approx([2, 2, 11, 20])


@pytest.mark.parametrize("done", [0.0, 1.0])
def test_the_loss_is_that_of_the_mixture(done: float) -> None:
    """‖h + λf − (λ + 1)y‖² = (λ + 1)²‖(h + λf)/(λ + 1) − y‖²; the network adds 0.3 here."""

    class Adds(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x + 0.3

    model, y = Blind2Unblind(eta=2.0), normal(2, 3, 16, 16)
    parts = model.loss(Adds(), y, drawn(), done)  # type: ignore[arg-type]
    blind, visible, weight = interpolated(y) + 0.3, y + 0.3, (2, 20)[int(done)]
    mixture = (blind + weight * visible) / (1 + weight)
    expected = (1 + weight) ** 2 * (mixture - y).square().mean()
    torch.testing.assert_close(parts["visible_loss"], expected)
    torch.testing.assert_close(parts["blind_loss"], 2 * (blind - y).square().mean())


def test_the_visible_pass_has_no_gradient() -> None:
    network, seen = PlainUNet(1, (8, 8)), list[tuple[int, bool]]()
    network.register_forward_hook(lambda _, x, y: seen.append((len(x[0]), y.requires_grad)))
    Blind2Unblind(channels=1).loss(network, normal(2, 1, 16, 16), drawn(), 1.0)
    assert seen == [(8, True), (2, False)]


def test_results_are_visible_or_mixed(random_learned: RandomLearned) -> None:
    x = normal(1, 17, 22).numpy()
    made: dict[str, np.ndarray] = {}
    for output, end in (("visible", 20.0), ("mixed", 20.0), ("mixed", 0.0)):
        model: Any = random_learned("blind2unblind", output=output, end=end)
        shares: list[float] = []
        made[f"{output} {end:g}"] = model.restore(x, advance=shares.append).data
        assert sum(shares) == pytest.approx(1)
    visible, mixed, blind = made.values()
    np.testing.assert_allclose(mixed, (blind + 20 * visible) / 21, atol=1e-5)
    assert np.abs(blind - visible).max() > 0.01


@pytest.mark.parametrize("wrong", [{"cell": 1}, {"end": -1.0}, {"output": "blind"}], ids=str)
def test_settings_out_of_range_get_a_sentence(wrong: dict[str, Any]) -> None:
    with pytest.raises(HushError, match=r"blind2unblind needs a cell|output must be"):
        Blind2Unblind(**wrong)

"""AP-BSN, MM-BSN and C-BSN: what is hidden from their networks, what is seen, and how they refine.

All methods that learn share test_contract_training.py.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from hush.bases.shuffled import refined
from hush.errors import HushError
from hush.methods import get
from hush.nets.blindspot import BlindMean
from hush.nets.dbsn import DBSN
from hush.nets.mmbsn import MASKS, MMBSN, ShapedConv, hidden
from hush.nets.pooled import PooledNet
from hush.nets.shuffled import Shuffled, drawn_places, shuffled, subsampled

# On one thread: arrays this small gain nothing from two.
pytestmark = pytest.mark.usefixtures("one_thread")

Make = Callable[..., Any]

dbsn = partial(DBSN, width=4, blocks=2)
mmbsn = partial(MMBSN, width=4, blocks=(1, 1))
NETS = {"dbsn": dbsn} | {
    f"mmbsn {shape}": partial(mmbsn, masks=shape) for shape in [*MASKS, "o/+x"]
}
every_net = pytest.mark.parametrize("make", NETS.values(), ids=NETS)


def uniform(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(shape, generator=generator, dtype=torch.float64)


@pytest.fixture(scope="session")
def positive(randomise: Make) -> Make:
    """Gives every weight of a network a random positive value. Where its input is positive too, no
    ReLU cuts anything off and nothing cancels: a gradient is zero only where there is no way."""

    def made(network: Any) -> Any:
        randomise(network)
        with torch.no_grad():
            for weight in network.parameters():
                weight.abs_()
        return network.double()

    return made


def seen(function: Callable[[Tensor], Tensor], x: Tensor, row: int, column: int) -> Tensor:
    """Which pixels, in any channel, the output at a place depends on: gradients, ``(H, W)``."""
    x = x.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(function(x)[0, :, row, column].sum(), [x])
    return gradient[0].abs().sum(0)


def around(gradient: Tensor, row: int, column: int, away: int) -> Tensor:
    return gradient[max(row - away, 0) : row + away + 1, max(column - away, 0) : column + away + 1]


# -- blind --------------------------------------------------------------------------------


@every_net
def test_no_output_sees_its_own_pixel(make: Make, positive: Make) -> None:
    """The Jacobian is exactly zero there, for two channels, in corners, at borders and inside."""
    net = positive(make(2))
    x = uniform(1, 2, 17, 20)
    for row, column in [(0, 0), (16, 19), (0, 9), (7, 0), (8, 9), (9, 11)]:
        gradient = seen(net, x, row, column)
        assert gradient[row, column] == 0, (row, column)
        assert around(gradient, row, column, 2).any(), (row, column)


@pytest.mark.parametrize(("net", "stride"), [(dbsn, 5), (dbsn, 2), (mmbsn, 3)], ids=str)
def test_nothing_nearer_than_the_stride_is_seen_on_sub_images(
    net: Make, stride: int, positive: Make
) -> None:
    """Of the rest, only pixels of its own sub-image; the nearest of them are seen."""
    network = Shuffled(positive(net(1)), stride)
    row, column, side = 13, 16, 31
    gradient = seen(network, uniform(1, 1, side, side), row, column)
    assert not around(gradient, row, column, stride - 1).any()
    own = torch.zeros(side, side, dtype=torch.bool)
    own[row % stride :: stride, column % stride :: stride] = True
    assert not gradient[~own].any()
    assert int((around(gradient, row, column, stride) > 0).sum()) == 8


@pytest.mark.parametrize("shape", MASKS)
@pytest.mark.parametrize("step", [2, 3])
def test_a_mask_hides_its_shape_and_nothing_else(shape: str, step: int, positive: Make) -> None:
    side = 2 * step - 1
    convolution = positive(ShapedConv(1, shape, step))
    window = around(seen(convolution, uniform(1, 1, 11, 11), 5, 5), 5, 5, step - 1)
    assert torch.equal(window > 0, ~hidden(shape, side))
    assert hidden(shape, side)[step - 1, step - 1]


def test_masks_look_as_their_characters_do() -> None:
    shapes = {
        shape: ["".join(".#"[int(v)] for v in row) for row in hidden(shape, 5)] for shape in MASKS
    }
    assert shapes["/"] == ["....#", "...#.", "..#..", ".#...", "#...."]
    assert shapes["\\"] == ["#....", ".#...", "..#..", "...#.", "....#"]
    assert shapes["-"] == [".....", ".....", "#####", ".....", "....."]
    assert shapes["|"] == ["..#.."] * 5
    assert shapes["+"] == ["..#..", "..#..", "#####", "..#..", "..#.."]
    assert shapes["x"] == ["#...#", ".#.#.", "..#..", ".#.#.", "#...#"]
    assert shapes["#"] == [".....", ".###.", ".###.", ".###.", "....."]
    assert shapes["o"] == [".....", ".....", "..#..", ".....", "....."]


def test_a_conditional_network_is_blind_in_one_mode_and_sees_in_the_other(
    positive: Make,
) -> None:
    """The same weights; that the modes differ is due to the masked weights alone."""
    net = positive(dbsn(1, blind=False))
    x = uniform(1, 1, 15, 15)
    for blind in (True, False):
        gradient = seen(lambda x, b=blind: net.predict(x, b), x, 7, 6)
        assert (gradient[7, 6] == 0) == blind
        assert around(gradient, 7, 6, 1).count_nonzero() == 9 - blind
    assert torch.equal(net(x), net.predict(x, blind=False))
    assert not torch.allclose(net(x), net.predict(x, blind=True))
    with torch.no_grad():
        for branch in net.branches:
            branch.entrance.weight *= branch.entrance.mask
    torch.testing.assert_close(net(x), net.predict(x, blind=True))


# -- sub-images ---------------------------------------------------------------------------


@pytest.mark.parametrize("stride", [1, 2, 5])
def test_every_sub_image_goes_through_the_network_alone(stride: int, positive: Make) -> None:
    net = positive(dbsn(2))
    x = uniform(2, 2, 10, 20)
    out = Shuffled(net, stride)(x)
    for i in range(stride):
        for j in range(stride):
            alone = net(x[..., i::stride, j::stride])
            torch.testing.assert_close(out[..., i::stride, j::stride], alone)


def test_sub_images_of_any_size_are_put_together_again() -> None:
    identity: Any = nn.Identity()
    for size in [(1, 1), (3, 30), (17, 21)]:
        x = uniform(2, 3, *size)
        assert torch.equal(shuffled(identity, x, 5), x)


def test_random_subsampling_takes_one_pixel_of_every_cell_all_alike() -> None:
    x = torch.arange(9 * 8).view(1, 1, 9, 8).float()  # the ninth row fills no cell
    counts = torch.zeros(9 * 8)
    for seed in range(400):
        places = drawn_places(x, 2, torch.Generator().manual_seed(seed))
        taken = subsampled(torch.cat([x, -x], 1), places, 2)
        assert taken.shape == (1, 2, 4, 4)
        assert torch.equal(taken[:, 0], -taken[:, 1])
        rows, columns = taken[0, 0] // 8, taken[0, 0] % 8
        cells = torch.arange(4.0)
        assert torch.equal(rows // 2, cells[:, None].expand(4, 4))
        assert torch.equal(columns // 2, cells.expand(4, 4))
        counts[taken[0, 0].flatten().long()] += 1
    assert not counts[64:].any()
    np.testing.assert_allclose(counts[:64], 100, atol=40)


@every_net
def test_it_reaches_as_far_as_it_says(make: Make, positive: Make) -> None:
    net: PooledNet = positive(make(1))
    for tiled, multiple in ((net, 1), (Shuffled(net, 2), 2)):
        side = 2 * tiled.radius + 3
        gradient = seen(tiled, uniform(1, 1, side, side), side // 2, side // 2)
        assert int((gradient.nonzero() - side // 2).abs().max()) == tiled.radius
        assert tiled.multiple == multiple


# -- random replacing ---------------------------------------------------------------------


def test_random_replacing_keeps_a_constant_picture() -> None:
    mean = BlindMean(1)
    flat = np.full((2, 20, 23), 0.7, np.float32)
    out = refined(lambda x: mean(torch.from_numpy(x)[None])[0].numpy(), flat, flat, 0.16, 8)
    np.testing.assert_allclose(out, flat, rtol=1e-6)


@pytest.mark.parametrize("share", [0.0, 0.16, 1.0])
def test_mixtures_hold_that_share_of_noisy_pixels(share: float) -> None:
    """The mean over mixtures, of which every value is one or the other."""
    noisy, estimate = np.ones((1, 60, 60), np.float32), np.zeros((1, 60, 60), np.float32)
    given = []

    def denoise(mixture: np.ndarray) -> np.ndarray:
        given.append(mixture)
        return 2 * mixture

    out = refined(denoise, estimate, noisy, share, 8)
    assert len(given) == 8
    assert {v for mixture in given for v in np.unique(mixture)} <= {0.0, 1.0}
    assert out.mean() == pytest.approx(2 * share, abs=0.02)
    assert share in (0, 1) or not np.array_equal(given[0], given[1])


@pytest.mark.parametrize("name", ["apbsn", "mmbsn"])
def test_without_random_replacing_the_result_is_that_of_the_sub_images(
    name: str, random_learned: Make
) -> None:
    model = random_learned(name, refinements=0)
    x = uniform(1, 21, 24).float().numpy()
    z = (x - x.mean()) / x.std()
    with torch.inference_mode():
        expected = model.one_pass()(torch.from_numpy(z)[None])[0].numpy()
    np.testing.assert_allclose(model.restore(x).data, expected * x.std() + x.mean(), atol=1e-5)
    shares: list[float] = []
    random_learned(name).replace(tile=16).restore(x, advance=shares.append)
    assert sum(shares) == pytest.approx(1)
    with pytest.raises(HushError, match=f"^{name} .* cannot be exported; .*refinements=0"):
        random_learned(name).one_pass()


# -- training -----------------------------------------------------------------------------


def test_cbsn_begins_with_its_blind_mode_and_the_guide_gets_no_gradient() -> None:
    method: Any = get("cbsn")(width=4, blocks=1)
    torch.manual_seed(0)
    network = method.build(1)
    x = uniform(2, 1, 20, 20).float()

    def parts(done: float) -> Any:
        return method.loss(network, x, torch.Generator().manual_seed(0), done)

    begun, half, end = parts(0.0), parts(0.2), parts(1.0)
    assert begun["self"] == begun["invariance"] == 0 < begun["blind"]
    for name in ("self", "invariance"):
        torch.testing.assert_close(half[name], end[name] / 2)
    # Were there a gradient through the guide, too, adding the same to both would change nothing.
    last = network.tail[-1].bias
    (slope,) = torch.autograd.grad(end["invariance"], [last])
    assert slope.abs() > 1e-3


@pytest.mark.parametrize("name", ["apbsn", "mmbsn", "cbsn"])
def test_sizes_are_for_two_cores_and_the_papers_can_be_chosen(name: str) -> None:
    """Millions of parameters; the papers state 3.7 (AP-BSN) and 5.3 (MM-BSN) for RGB."""
    papers = {"mmbsn": ((2, 7), 5.4)}
    blocks, millions = papers.get(name, (9, 3.66))
    with torch.device("meta"):
        ours, theirs = get(name)(), get(name)(width=128, blocks=blocks)  # type: ignore[call-arg]
        small, large = (
            sum(p.numel() for p in m.build(3).parameters()) / 1e6  # type: ignore[attr-defined]
            for m in (ours, theirs)
        )
    assert small < 0.2
    assert large == pytest.approx(millions, abs=0.05)


@pytest.mark.parametrize(
    ("name", "settings", "sentence"),
    [
        ("apbsn", {"stride": 0}, "strides of at least 1"),
        ("mmbsn", {"replaced": 1.5}, "replaced share from 0 to 1"),
        ("apbsn", {"refinements": -1}, "refinements from 0"),
        ("apbsn", {"width": 0}, "width of at least 1"),
        ("mmbsn", {"masks": "oz"}, "masks must be different characters of o - |"),
        ("mmbsn", {"masks": "oo"}, "masks must be different characters"),
        ("mmbsn", {"blocks": (1,)}, "two numbers of blocks"),
        ("cbsn", {"weight": -1.0}, "weight from 0"),
    ],
)
def test_settings_that_do_not_fit_get_a_sentence(
    name: str, settings: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(HushError, match=sentence):
        get(name)(**settings)

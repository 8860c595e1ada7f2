"""Methods that learn one network: what is special to each; all share test_contract_training.py."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from scipy.ndimage import gaussian_filter
from torch import Tensor, nn

import hush
from hush.bases import learned
from hush.bases.learned import Learned, Plain
from hush.cli import main
from hush.errors import HushError
from hush.kinds.cut import moments
from hush.methods import METHODS, get
from hush.methods.neighbor2neighbor import Neighbor2Neighbor, drawn_pairs, sub_images
from hush.methods.noise2noise import Noise2Noise
from hush.methods.noise2void import Noise2Void, a_neighbour, stratified
from hush.nets.masks import interpolated, phase
from hush.nets.plain import PlainUNet
from hush.schedule import Schedule

RandomLearned = Callable[..., Learned]
Tiny = Callable[[str], dict[str, Any]]
U_NETS = [name for name in METHODS if issubclass(get(name), Plain)]


# The trainings too: arrays this small gain nothing from two.
pytestmark = pytest.mark.usefixtures("one_thread_throughout")


def drawn(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=drawn(seed))


def short(steps: int, **options: Any) -> Schedule:
    settings = {"batch": 4, "patch": 32, "learning_rate": 3e-3, "ema": 0.97, "validate_every": 9999}
    return Schedule(max_steps=steps, **{**settings, **options})


# -- Noise2Void -------------------------------------------------------------------------------


def test_masked_pixels_are_stratified_and_apart() -> None:
    """One in 64 in the mean, everywhere alike, and never within two pixels of another."""
    x = torch.zeros(400, 1, 21, 16)
    masks = torch.cat([stratified(x, 8, 2, drawn(seed)) for seed in range(100)]).float()
    assert masks.shape[1:] == x.shape[1:]
    assert masks.mean().item() == pytest.approx(1 / 64, rel=0.01)
    # The cells' origin is shared by a batch: a hundred origins, and 1/64 ± 5 errors at a pixel.
    assert (masks.mean((0, 1)) - 1 / 64).abs().max() < 5 * (1 / 36 / 64 / 100) ** 0.5
    around = nn.functional.conv2d(masks, torch.ones(1, 1, 5, 5), padding=2)
    assert around[masks.bool()].max() == 1


def test_a_replacement_is_another_pixel_nearby() -> None:
    """All 24 neighbours alike; at the border those within; the centre never."""
    x = torch.arange(9 * 11.0).view(1, 1, 9, 11).expand(2000, 2, 9, 11)
    y = a_neighbour(x, 2, drawn())
    assert torch.equal(y[:, 0], y[:, 1])  # a colour stays one
    dy = (y // 11 - x // 11)[:, 0]
    dx = (y % 11 - x % 11)[:, 0]
    assert max(dy.abs().max(), dx.abs().max()) == 2
    assert not ((dy == 0) & (dx == 0)).any()
    numbers = torch.bincount(((dy + 2) * 5 + dx + 2)[:, 4, 5].long(), minlength=25)
    assert numbers[12] == 0
    assert (numbers - 2000 / 24).abs()[numbers > 0].max() < 5 * (2000 / 24) ** 0.5


def test_noise2void_is_blind_where_it_is_scored(random_learned: RandomLearned) -> None:
    """The output at a masked pixel has no gradient there; at the others it has."""
    network = random_learned("noise2void").network_
    assert network is not None
    x = normal(1, 1, 16, 16)
    masked = stratified(x, 8, 2, drawn(1))
    assert 1 <= masked.sum() < 16

    def answer(x: Tensor) -> Tensor:
        return network(torch.where(masked, a_neighbour(x, 2, drawn(2)), x)).flatten()

    own = torch.autograd.functional.jacobian(answer, x).view(256, 256).diagonal()
    assert (own[masked.flatten()] == 0).all()
    assert (own[~masked.flatten()] != 0).float().mean() > 0.9


def test_noise2void_is_scored_at_masked_pixels_only() -> None:
    model, x = Noise2Void(), normal(2, 3, 32, 32)
    masked = stratified(x, model.cell, model.radius, drawn(3)).float()

    class Wrong(nn.Module):
        def forward(self, blind: Tensor) -> Tensor:
            return x + 100 * (1 - masked) + 2 * masked  # the error is 2 where it counts

    loss = model.loss(Wrong(), x, drawn(3), 0.0)["loss"]  # type: ignore[arg-type]
    assert loss.item() == pytest.approx(4, rel=1e-5)


# -- Noise2Self -------------------------------------------------------------------------------


def test_the_phases_are_a_partition() -> None:
    x = torch.zeros(9, 14)
    parts = [phase(x, 4, row, column) for row in range(4) for column in range(4)]
    assert torch.equal(torch.stack(parts).sum(0), torch.ones(9, 14, dtype=torch.long))


def test_the_interpolation_has_no_centre_and_keeps_planes() -> None:
    def flat(x: Tensor) -> Tensor:
        return interpolated(x.view(1, 1, 5, 6)).flatten()

    matrix = torch.autograd.functional.jacobian(flat, torch.zeros(30))
    assert (matrix.diagonal() == 0).all()
    torch.testing.assert_close(matrix.sum(1), torch.ones(30))
    plane = (torch.arange(5.0)[:, None] + 3 * torch.arange(6.0)).flatten()
    torch.testing.assert_close(flat(plane).view(5, 6)[1:-1, 1:-1], plane.view(5, 6)[1:-1, 1:-1])


@pytest.mark.parametrize("channels", [1, 3])
def test_noise2self_is_j_invariant_to_the_last_bit(
    channels: int, random_learned: RandomLearned
) -> None:
    """Whatever a pixel is changed to, in the corner too, its own answer stays; others' do not."""
    model = random_learned("noise2self", channels, tile=8)
    x = normal(channels, 9, 13).numpy()
    y = model.restore(x).data
    for row, column in [(0, 0), (0, 12), (8, 5), (3, 0), (4, 6), (7, 11)]:
        for value in (-3.0, 50.0):
            other = x.copy()
            other[:, row, column] = value
            z = model.restore(other).data
            np.testing.assert_array_equal(z[:, row, column], y[:, row, column])
            assert (z != y).any()


def test_the_jacobian_of_noise2self_has_no_diagonal(random_learned: RandomLearned) -> None:
    """Eq. 3 in the network's own terms: ∂f_i/∂x_i = 0 for every i, and not for i's neighbours."""
    model = random_learned("noise2self", grid=2)
    x = normal(1, 8, 8).numpy()
    step = 1.0
    matrix = np.empty((64, 64))
    for i in range(64):
        up, down = x.copy(), x.copy()
        up.flat[i] += step
        down.flat[i] -= step
        difference = model.restore(up).data - model.restore(down).data
        matrix[:, i] = difference.ravel() / (2 * step)
    assert (matrix.diagonal() == 0).all()
    assert (matrix != 0).mean() > 0.5


def test_proposition_1(random_learned: RandomLearned) -> None:
    """E‖f(x) − x‖² = E‖f(x) − y‖² + E‖x − y‖²: the product that is missing has mean zero."""
    y, model = np.zeros((1, 64, 64), np.float32), random_learned("noise2self")
    x = y + normal(1, 64, 64).numpy()
    product = (model.restore(x).data - y) * (x - y)
    assert abs(product.mean()) < 4 * product.std() / product.size**0.5


# -- Neighbor2Neighbor ------------------------------------------------------------------------


def test_sub_images_are_neighbours_within_each_cell() -> None:
    x = torch.arange(6 * 8.0).view(1, 1, 6, 8).expand(1000, 3, 6, 8)
    pair = drawn_pairs(x, drawn())
    first, second = sub_images(x, pair)
    assert first.shape == second.shape == (1000, 3, 3, 4)
    assert torch.equal(first[:, 0], first[:, 2])  # a colour stays one
    rows, columns = torch.arange(3)[:, None], torch.arange(4)
    for part in (first, second):  # its own cell's
        assert torch.equal(part[:, 0] // 8 // 2, rows.expand(1000, 3, 4).float())
        assert torch.equal(part[:, 0] % 8 // 2, columns.expand(1000, 3, 4).float())
    distance = (first // 8 - second // 8).abs() + (first % 8 - second % 8).abs()
    assert (distance == 1).all()  # one edge apart: never the same, never diagonal
    kinds = torch.bincount((pair[:, 0] * 4 + pair[:, 1]).flatten(), minlength=16)
    assert (kinds > 0).sum() == 8
    assert (kinds[kinds > 0] - 1500).abs().max() < 5 * 1500**0.5


def test_the_regulariser_vanishes_for_a_clean_image_and_the_identity() -> None:
    x = normal(2, 3, 16, 16)
    parts = Neighbor2Neighbor().loss(nn.Identity(), x, drawn(), 1.0)  # type: ignore[arg-type]
    assert parts["regulariser"].item() == 0
    assert parts["reconstruction"].item() > 1


def test_the_perfect_denoiser_leaves_the_noise_alone_in_the_regulariser() -> None:
    """For f*(y) = x its mean is zero and its square the noise's variance, whatever the gaps
    between neighbours, which the reconstruction has on top. Whole numbers are clean here."""

    class Perfect(nn.Module):
        def forward(self, y: Tensor) -> Tensor:
            return y.round()

    clean = (10 * normal(4, 1, 128, 128)).round()
    noise = 0.8 * (torch.rand(clean.shape, generator=drawn(1)) - 0.5)
    model = Neighbor2Neighbor(gamma=1)
    parts = model.loss(Perfect(), clean + noise, drawn(2), 1.0)  # type: ignore[arg-type]
    variance = 0.8**2 / 12
    assert parts["regulariser"].item() == pytest.approx(variance, rel=0.03)
    first, second = sub_images(clean, drawn_pairs(clean, drawn(2)))
    gaps = (first - second).square().mean().item()
    assert parts["reconstruction"].item() == pytest.approx(gaps + variance, rel=0.01)


def test_gamma_grows_and_has_no_gradient_through_the_whole_image() -> None:
    model, x = Neighbor2Neighbor(channels=1, gamma=2), normal(1, 1, 16, 16)
    network = PlainUNet(1, (8, 8))
    weights = [
        model.loss(network, x, drawn(), done)["regulariser"].item() for done in (0.0, 0.5, 1.0)
    ]
    assert weights[0] == 0
    assert weights[2] == pytest.approx(2 * weights[1])
    seen: list[tuple[int, bool]] = []
    network.register_forward_hook(lambda _, x, y: seen.append((x[0].shape[-1], y.requires_grad)))
    model.loss(network, x, drawn(), 1.0)
    assert seen == [(8, True), (16, False)]


# -- Noise2Noise ------------------------------------------------------------------------------


def test_noise2noise_never_learns_a_take_from_itself() -> None:
    """Of R takes all ordered pairs of two are drawn alike; colours stay with their take."""
    model = Noise2Noise(channels=2)
    takes = torch.tensor([[0.0, 1, 2], [10, 11, 12]])  # channel 1 of a take is channel 0 plus 10
    x = takes.view(1, 6, 1, 1).expand(6000, 6, 8, 8)
    pairs: list[Tensor] = []

    class Spy(nn.Module):
        def forward(self, source: Tensor) -> Tensor:
            pairs.append(source)
            return source

    loss = model.loss(Spy(), x, drawn(), 0.0)["loss"].item()  # type: ignore[arg-type]
    assert torch.equal(pairs[0][:, 1] - pairs[0][:, 0], torch.full((6000, 8, 8), 10.0))
    assert loss == pytest.approx((1 + 1 + 4) / 3, rel=0.05)  # mean squared gap of two of 0, 1, 2


def test_noise2noise_takes_stacks_or_lists_of_takes() -> None:
    a, b = np.random.default_rng(0).random((2, 3, 16, 20), np.float32)
    for data in ([a, b[:2]], [list(a), list(b[:2])], [tuple(a[:2]), b]):
        scenes = Noise2Noise().scenes(data)  # type: ignore[arg-type]
        assert [x.shape for x in scenes] == [(1, 2, 16, 20)] * 2
        np.testing.assert_array_equal(scenes[0][0], a[:2])
    colour = np.random.default_rng(0).random((4, 16, 20, 3), np.float32)
    (scene,) = Noise2Noise().scenes([colour])
    np.testing.assert_array_equal(scene, colour.transpose(3, 0, 1, 2))


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ([np.ones((16, 16))], "two or more takes"),
        ([np.ones((16, 16, 3))], "two or more takes"),
        ([np.ones((2, 16, 16)), np.ones((1, 16, 16))], "two or more takes"),
        (np.ones((4, 16, 16)), "two or more takes"),
        ([], "two or more takes"),
        ([[np.ones((16, 16)), np.ones((16, 12))]], "same shape"),
    ],
    ids=["gray", "colour", "one of two", "one stack", "nothing", "shapes"],
)
def test_noise2noise_says_what_it_needs(data: Any, sentence: str) -> None:
    with pytest.raises(HushError, match=sentence):
        Noise2Noise().fit(data, schedule=short(1), device="cpu")


# -- PUCA and LG-BPN --------------------------------------------------------------------------

BLIND: list[tuple[str, dict[str, Any], int]] = [
    ("puca", {}, 1),
    *(("lgbpn", {"blind": blind, "blocks": (2, 1)}, blind) for blind in (1, 5, 9)),
]
every_blind = pytest.mark.parametrize(
    ("name", "settings", "blind"), BLIND, ids=["puca", "lgbpn 1", "lgbpn 5", "lgbpn 9"]
)


def on_a_scale(monkeypatch: pytest.MonkeyPatch) -> None:
    """Holds the image's mean and deviation, which every pixel has a part in."""
    monkeypatch.setattr(learned, "moments", lambda x: (np.zeros((1, 1, 1), np.float32), 1.0))


@every_blind
def test_what_is_restored_never_saw_its_blind_spot(
    name: str,
    settings: dict[str, Any],
    blind: int,
    random_learned: RandomLearned,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """To the last bit: in corners, at borders and where tiles meet; just outside it was seen."""
    on_a_scale(monkeypatch)
    model = random_learned(name, tile=16, **settings)
    x = normal(1, 37, 43).numpy()
    y, r = model.restore(x).data, blind // 2
    for row, column in [(0, 0), (36, 42), (0, 20), (35, 1), (15, 16), (18, 17), (20, 30)]:
        other = x.copy()
        other[0, row, column] += 3
        changed = (model.restore(other).data != y)[0]
        spots = [slice(max(i - s, 0), i + s + 1) for s in (r, r + 1) for i in (row, column)]
        assert not changed[spots[0], spots[1]].any(), (row, column)
        assert changed[spots[2], spots[3]].any(), (row, column)


@pytest.mark.parametrize("name", ["puca", "lgbpn"])
def test_of_a_constant_and_noise_the_constant_is_learned(name: str, tiny: Tiny) -> None:
    """Skewed noise too: the squared error's answer is the mean, not the median, 0.31 below."""
    rng = np.random.default_rng(0)
    image = (5 + rng.exponential(1, (64, 64))).astype(np.float32)
    model: Any = get(name)(**tiny(name))
    y = model.fit([image], schedule=short(80, batch=2, learning_rate=1e-2), device="cpu").denoise(
        image
    )
    assert y.mean() == pytest.approx(image.mean(), abs=0.06)
    assert y.std() < 0.25 * image.std()


# -- NAFNet -----------------------------------------------------------------------------------


def test_nafnet_learns_what_is_between_the_pair(tiny: Tiny) -> None:
    """Noisy minus a known pattern is clean: a grid, brighter at every second column."""
    rng = np.random.default_rng(0)
    clean = gaussian_filter(rng.random((5, 64, 64)), (0, 4, 4)).astype(np.float32)
    grid = np.float32(0.1) * (np.arange(64) % 2)
    pairs = [np.stack([x + grid, x]) for x in clean]
    model: Any = get("nafnet")(**tiny("nafnet"))
    model.fit(pairs[:4], schedule=short(100, batch=2), device="cpu")
    error = model.denoise(pairs[4][0])[8:-8, 8:-8] - clean[4, 8:-8, 8:-8]
    assert np.sqrt(np.mean(error**2)) < 0.2 * np.sqrt(np.mean(grid**2))


def test_nafnet_is_scaled_by_the_noisy_image(random_learned: RandomLearned) -> None:
    """Mean and deviation are those that it will be given when denoising."""
    model = random_learned("nafnet")
    pair = model.scenes([np.stack([normal(8, 9).numpy(), np.zeros((8, 9), np.float32)])])[0]
    np.testing.assert_array_equal(model.shown(pair), pair[:, :1])
    assert moments(model.shown(pair))[1] == moments(pair[:, 0])[1]


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ([np.ones((16, 16))], "learns from pairs"),
        ([np.ones((3, 16, 16))], "learns from pairs"),
        ([], "learns from pairs"),
        ([[np.ones((16, 16)), np.ones((16, 12))]], "same shape"),
    ],
    ids=["one image", "three", "nothing", "shapes"],
)
def test_nafnet_says_what_it_needs(data: Any, sentence: str) -> None:
    with pytest.raises(HushError, match=sentence):
        get("nafnet")().fit(data, schedule=short(1), device="cpu")


def test_the_command_line_pairs_files_by_name(
    tiny: Tiny, toys: list[np.ndarray], tmp_path: Path
) -> None:
    """Noisy files of 8 bits with clean ones of 16; what does not pair gets a sentence."""
    noisy, clean, model = tmp_path / "noisy", tmp_path / "clean", tmp_path / "m.safetensors"
    for folder, top in ((noisy, 255), (clean, 65535)):
        folder.mkdir()
        for i, x in enumerate(toys[:2]):
            data = (x * top).astype("uint8" if top == 255 else "uint16")
            hush.io.write(hush.Record(data, "YX"), folder / f"{i}.tif")

    def train(method: str = "nafnet", *arguments: Any) -> Any:
        options = ["--clean", clean, "--method", method, "--max-steps", 2, "--set", "batch=2"]
        line = ["train", noisy, "-o", model, *options, *arguments]
        return CliRunner().invoke(main, [str(a) for a in line])

    sizes = [f"--set={k}={str(v).strip('(),')}" for k, v in tiny("nafnet").items()]
    done = train("nafnet", *sizes)
    assert done.exit_code == 0, done.stderr
    card: Any = hush.load(model).card
    assert "--clean clean" in card["command"]
    assert card["images"] == 2
    model.unlink()
    model.with_suffix(".json").unlink()
    assert "mid does not learn from pairs" in train("mid").stderr
    (clean / "1.tif").rename(clean / "2.tif")
    assert "holds no 1.tif" in train().stderr
    hush.io.write(hush.Record(toys[0][:32], "YX"), clean / "1.tif")
    assert "2.tif is only in" in train().stderr
    (clean / "2.tif").unlink()
    refused = train()
    assert refused.exit_code == 1
    assert "1.tif is 1 × 1 × 32 × 64 in one folder and 1 × 1 × 64 × 64" in refused.stderr


# -- sizes --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "settings", "sentence"),
    [
        *((name, {"widths": ()}, "one to four widths") for name in U_NETS),
        ("puca", {"encoder": (1,)}, "as many encoder as decoder scales"),
        ("nafnet", {"decoder": ()}, "as many encoder as decoder scales"),
        ("lgbpn", {"blind": 4}, "blind must be odd"),
        ("lgbpn", {"width": 30}, "multiple of heads"),
        ("lgbpn", {"blocks": (1,)}, "two numbers of blocks"),
    ],
)
def test_sizes_that_do_not_fit_get_a_sentence(
    name: str, settings: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(HushError, match=sentence):
        get(name)(**settings)


@pytest.mark.parametrize("name", U_NETS)
def test_a_u_net_needs_patches_that_it_can_halve(name: str, tiny: Tiny) -> None:
    model: Any = get(name)(**tiny(name))
    data = np.random.default_rng(0).random((2, 2, 40, 40))
    with pytest.raises(HushError, match="multiple of 4 pixels"):
        model.fit(
            list(data[0] if model.learns_from == "noisy" else data), schedule=short(1, patch=30)
        )

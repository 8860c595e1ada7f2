"""MID: that it learns, from noisy samples alone too, and what its answers must obey."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from skimage import data as pictures

import hush
import hush.methods.mid.adapting as adapting
import hush.methods.mid.image as mid_image
from hush import kinds
from hush.errors import HushError
from hush.kinds.cut import split
from hush.methods.mid.image import MID
from hush.metrics import psnr
from hush.noise.processes import Gaussian, Poisson, Process, parse
from hush.sampling import walk_down
from hush.schedule import Schedule

RandomMID = Callable[..., MID]
TINY: dict[str, Any] = {"widths": (8, 8), "blocks": (1, 1)}


# The trainings too: arrays this small gain nothing from two.
pytestmark = pytest.mark.usefixtures("one_thread_throughout")


def with_noise(x: np.ndarray, seed: int, sigma: float = 25) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(0, sigma, x.shape)
    return np.clip(np.rint(x + noise), 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def photographs() -> list[np.ndarray]:
    """Four pieces of a photograph away from the one the tests denoise, uint8 (96, 96)."""
    from skimage.data import camera

    return [camera()[a : a + 192 : 2, b : b + 192 : 2] for a in (0, 300) for b in (0, 200)]


def short(steps: int = 200, **options: Any) -> Schedule:
    return Schedule(
        max_steps=steps,
        batch=4,
        patch=32,
        learning_rate=1e-2,
        ema=0.98,
        validate_every=10_000,
        **options,
    )


@pytest.fixture(scope="module")
def supervised(photographs: list[np.ndarray]) -> MID:
    ladder = "gaussian:0-55/255|gaussian:0-55/255|poisson:5-60|correlated:0-40/255,any"
    model = MID(**TINY, ladder=ladder)
    return model.fit(photographs, corpus=True, schedule=short(), device="cpu")


@pytest.fixture(scope="module")
def noisy_only(photographs: list[np.ndarray]) -> MID:
    noisy = [with_noise(x, seed) for seed, x in enumerate(photographs, start=1)]
    return MID(**TINY).fit(noisy, noise="gaussian:25", schedule=short(), device="cpu")


def decibels(x: np.ndarray, reference: np.ndarray) -> float:
    return psnr(x[None] / 255, reference[None] / 255)


# -- learning -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "trained", [pytest.param("supervised", marks=pytest.mark.long), "noisy_only"]
)
@pytest.mark.parametrize("noise", [None, "gaussian:25"])
@pytest.mark.parametrize("steps", [1, pytest.param(3, marks=pytest.mark.long)])
def test_a_short_training_already_denoises(
    trained: str,
    noise: str | None,
    steps: int,
    clean: np.ndarray,
    noisy: np.ndarray,
    request: pytest.FixtureRequest,
) -> None:
    """At least 2 dB over the noisy image, blind and told the level, at once and in steps."""
    model: MID = request.getfixturevalue(trained).replace(steps=steps)
    assert decibels(model.denoise(noisy, noise), clean) > decibels(noisy, clean) + 2


@pytest.mark.long
def test_gated_networks_learn_are_kept_and_start_others(
    photographs: list[np.ndarray], clean: np.ndarray, noisy: np.ndarray, tmp_path: Path
) -> None:
    """The other architecture of Φ: at least 2 dB over the noisy image; with colour at once."""
    given = [with_noise(x, seed) for seed, x in enumerate(photographs, start=1)]
    model = MID(**TINY, net="gated")
    model = model.fit(given, noise="gaussian:25", schedule=short(100), device="cpu")
    assert decibels(model.denoise(noisy), clean) > decibels(noisy, clean) + 2
    model.save(tmp_path / "m.safetensors")
    again = hush.load(tmp_path / "m.safetensors")
    assert again.config()["net"] == "gated"
    change = again.denoise(noisy).astype(int) - model.denoise(noisy)
    assert np.abs(change).max() <= 1  # weights are kept in half precision

    colour, reference = (np.stack([x, x, x], -1) for x in (noisy, clean))
    begun = MID(**TINY, net="gated", channels=3)
    begun.fit([colour], noise="gaussian:25", start=model, schedule=short(1), device="cpu")
    assert decibels(begun.denoise(colour), reference) > decibels(colour, reference) + 1
    with pytest.raises(HushError, match="the networks differ"):
        MID(**TINY).fit([noisy], start=model, schedule=short(1), device="cpu")


@pytest.mark.long
@pytest.mark.parametrize("trained", ["supervised", "noisy_only"])
def test_the_step_net_tells_the_level(
    trained: str, clean: np.ndarray, noisy: np.ndarray, request: pytest.FixtureRequest
) -> None:
    """Ψ's answer within 30 %; and t/T grows with the noise and stays within [0, 1]."""
    model: MID = request.getfixturevalue(trained).replace(level="step")
    steps = []
    for x in (clean, with_noise(clean, 5, sigma=10), noisy, with_noise(clean, 6, sigma=80)):
        image = x[None].astype(np.float32) / 255
        process, step = model.estimate(image)
        steps.append(step)
        if x is noisy:
            level = float(np.sqrt(np.mean(process.variance(image))))
            assert level == pytest.approx(25 / 255, rel=0.3)
            assert step == pytest.approx(level / model.top_, rel=1e-3)
    assert 0 <= steps[0] < steps[1] < steps[2] < steps[3] <= 1


def test_the_top_of_the_ladder(supervised: MID, noisy_only: MID) -> None:
    """Where t/T is 1: the strongest noise of the corpus' ladder, or collected and added noise."""
    assert supervised.top_ == pytest.approx(55 / 255)
    assert noisy_only.top_ == pytest.approx(25 / 255 * np.sqrt(2))


def test_a_given_noise_is_believed(supervised: MID, noisy: np.ndarray) -> None:
    x = noisy[None].astype(np.float32) / 255
    assert supervised.estimate(x, Gaussian(0.1)) == (Gaussian(0.1), pytest.approx(0.1 * 255 / 55))
    assert supervised.estimate(x, Gaussian(2.0))[1] == 1
    more = supervised.denoise(noisy, "gaussian:40").astype(float)
    less = supervised.denoise(noisy, "gaussian:10").astype(float)
    assert np.std(more - noisy) > 1.2 * np.std(less - noisy)


def test_a_bare_level_is_in_the_data_s_units(photographs: list[np.ndarray]) -> None:
    """When fitting as when denoising."""
    floats = [x.astype(np.float32) / np.float32(255) for x in photographs]
    models = [
        MID(**TINY).fit(data, noise=noise, schedule=short(2), device="cpu")
        for data, noise in (
            (photographs, "gaussian:25"),
            (photographs, "gaussian:25/255"),
            (photographs, Gaussian(25 / 255)),
            (floats, "gaussian:25/255"),
        )
    ]
    for other in models[1:]:
        assert same_weights(other, models[0])


def test_missing_pixels_do_not_spoil_a_training() -> None:
    x = np.random.default_rng(0).random((40, 40), dtype=np.float32)
    x[3, 4:9], x[20, 20] = np.nan, np.inf
    model = MID(**TINY).fit([x], noise="gaussian:0.1", schedule=short(3), device="cpu")
    assert all(torch.isfinite(w).all() for w in model.weights().values())


def test_training_takes_images_of_any_size(tmp_path: Path) -> None:
    """With log, preview and validation; one row, one column and different sizes together."""
    rng = np.random.default_rng(0)
    shapes = [(300, 40), (160, 50), (8, 8), (1, 40), (40, 1)]
    data = [rng.random(shape, dtype=np.float32) for shape in shapes]
    schedule = Schedule(max_steps=2, batch=2, patch=32, validate_every=1)
    for corpus in (True, False):
        model = MID(**TINY).fit(
            data,
            corpus=corpus,
            noise=None if corpus else "gaussian:0.1",
            schedule=schedule,
            folder=tmp_path,
            device="cpu",
        )
        assert np.isfinite(model.figures_["psnr" if corpus else "val_loss"])
        assert (tmp_path / "preview.png").stat().st_size > 0


def test_training_data_is_checked() -> None:
    x = np.zeros((20, 20), np.float32)
    for data, sentence in (
        ([], "no images"),
        ([np.zeros((20, 20, 3)), x], r"same number of channels.*\[1, 3\]"),
        ([x.astype(bool)], "boolean"),
        ([x[:0]], "empty"),
        ([x], "no noise to learn from"),
    ):
        with pytest.raises(HushError, match=sentence):
            MID(**TINY).fit(data, noise="gaussian:0", schedule=short(1), device="cpu")
    with pytest.raises(HushError, match="give one kind of noise here, not"):
        MID(**TINY).fit([x], noise="gaussian:1|poisson:3", schedule=short(1), device="cpu")


# -- equivariance -------------------------------------------------------------------------


def test_gain_and_offset_carry_over(random_mid: RandomMID, noisy: np.ndarray) -> None:
    x = noisy.astype(np.float32) / 255
    model = random_mid(steps=2)
    y = model.denoise(x, Gaussian(0.1))
    for gain, offset in ((0.01, 0.0), (1.0, 3.0), (50.0, -7.0)):
        moved = model.denoise(gain * x + offset, Gaussian(0.1 * gain))
        np.testing.assert_allclose(moved, gain * y + offset, atol=1e-4 * max(gain, abs(offset)))


def test_blind_too(random_mid: RandomMID, noisy: np.ndarray) -> None:
    """Ψ is equivariant as well, so no level need be given."""
    x = noisy.astype(np.float32) / 255
    model = random_mid()
    np.testing.assert_allclose(model.denoise(8 * x), 8 * model.denoise(x), rtol=1e-3, atol=1e-3)


def test_the_same_picture_in_any_dtype(supervised: MID, noisy: np.ndarray) -> None:
    """Scaling is by the full range and global: 8 bits, 16 bits and floats agree."""
    exact = supervised.replace(precision="float32")
    floats = exact.denoise(noisy / 255, "gaussian:25/255").clip(0, 1)

    def stored(model: MID) -> tuple[np.ndarray, np.ndarray]:
        sixteen = model.denoise(noisy.astype(np.uint16) * 257, "gaussian:25/255")
        return model.denoise(noisy, "gaussian:25/255") / 255, sixteen / 65535

    eight, sixteen = stored(exact)
    np.testing.assert_allclose(sixteen, floats, atol=0.6 / 65535)
    np.testing.assert_allclose(eight, floats, atol=0.51 / 255)
    for rounded in stored(supervised):  # integers may go through bfloat16
        np.testing.assert_allclose(rounded, floats, atol=1 / 255)


def test_bfloat16_is_for_noise_that_hides_its_rounding(
    supervised: MID, noisy: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mid_image, "bfloat16", lambda device: True)
    exact = supervised.replace(precision="float32")
    for spec, same in (("gaussian:25/255", False), ("gaussian:1/255", True)):
        difference = supervised.denoise(noisy.astype(np.uint16) * 257, spec).astype(float)
        difference -= exact.denoise(noisy.astype(np.uint16) * 257, spec)
        assert (not difference.any()) == same
        assert np.sqrt(np.mean(difference**2)) / 65535 < 0.02 * 25 / 255  # 0.04 % of the noise
    x = (noisy / 255).astype(np.float32)  # floats are for those who want all digits
    np.testing.assert_array_equal(
        supervised.denoise(x, "gaussian:25/255"), exact.denoise(x, "gaussian:25/255")
    )


# -- more than white noise ------------------------------------------------------------------


def test_impulses_are_replaced_first(supervised: MID) -> None:
    clean = gaussian_filter(pictures.camera()[:256, 100:356] / 255, 1.0)
    rng = np.random.default_rng(0)
    y = clean + 0.05 * rng.standard_normal(clean.shape)
    spiked = np.where(rng.random(y.shape) < 0.04, rng.integers(0, 2, y.shape), y)
    without, with_them = (supervised.denoise(z.astype(np.float32)) for z in (y, spiked))
    assert psnr(with_them, clean) > psnr(spiked, clean) + 10
    assert psnr(with_them, clean) > psnr(without, clean) - 1.5
    spiked = spiked.astype(np.float32)
    np.testing.assert_array_equal(supervised.denoise(spiked, "gaussian:0"), spiked)


def test_hot_pixels_leave_no_halo(supervised: MID) -> None:
    """At full strength or half, beside unknown pixels or not, in stored integers or floats."""
    rng = np.random.default_rng(0)
    clean = gaussian_filter(pictures.camera()[:256, 100:356] / 255, 1.0)
    y = (clean + 0.05 * rng.standard_normal(clean.shape)).astype(np.float32)
    hot = np.zeros(y.shape, bool)
    hot[rng.integers(5, 250, 20), rng.integers(5, 250, 20)] = True
    hot[50, 60:67] = hot[120, 80] = True
    y[118:120, 70:90] = y[121:140, 78:81] = np.nan
    for strength in (0.5, 1.0):
        without, with_them = (
            supervised.denoise(x, strength=strength) for x in (y, np.where(hot, np.float32(40), y))
        )
        difference = np.abs(with_them - without)
        # The median of its neighbours stands in for a pixel, with other noise.
        assert np.nanmax(difference) < 0.3
        assert np.nanmean(difference[~hot]) < 0.001
        np.testing.assert_array_equal(np.isnan(with_them), np.isnan(y))
    y = np.rint(1000 * np.where(np.isnan(y), clean, y)).clip(0).astype(np.uint16)
    without, with_them = (
        supervised.denoise(x).astype(float) for x in (y, np.where(hot, np.uint16(60_000), y))
    )
    assert np.abs(with_them - without).max() < 300


def test_training_leaves_hot_pixels_out(photographs: list[np.ndarray]) -> None:
    noisy = [with_noise(x, seed) for seed, x in enumerate(photographs, start=1)]
    hot = [np.where(np.random.default_rng(0).random(x.shape) < 1e-3, 40_000, x) for x in noisy]
    a, b = (MID().fit(x, schedule=short(1)) for x in (noisy, hot))
    assert b.top_ == pytest.approx(a.top_, rel=0.02)


def test_told_that_noise_spans_pixels_it_removes_its_coarse_part() -> None:
    clean = gaussian_filter(pictures.camera() / 255, 1.0)[None].astype(np.float32)
    noise = parse("correlated:30/255,1.2")
    y = noise.sample(torch.from_numpy(clean), torch.Generator().manual_seed(0)).numpy()
    y, model = y[:, 100:228, 100:228], hush.load("mid-gray")
    white, told = (y - model.predicted(y, p, False) for p in (Gaussian(30 / 255), noise))
    reference = clean[:, 100:228, 100:228]
    assert psnr(told, reference) > psnr(white, reference) + 1.0


# -- steps and strength -------------------------------------------------------------------


def test_one_step_takes_everything_off_at_once(random_mid: RandomMID) -> None:
    x = np.random.default_rng(0).random((1, 24, 24), dtype=np.float32)
    model = random_mid()
    result = model.restore(x, Gaussian(0.1))
    np.testing.assert_array_equal(result.data, x - model.predicted(x, Gaussian(0.1), False))
    assert [entry["step"] for entry in result.trace] == [1]


def test_many_steps_are_traced(random_mid: RandomMID) -> None:
    x = np.random.default_rng(0).random((1, 24, 24), dtype=np.float32)
    result = random_mid(steps=4).restore(x, Gaussian(0.1))
    assert [entry["step"] for entry in result.trace] == [4, 3, 2, 1]
    levels = [entry["level"] for entry in result.trace]
    assert levels == pytest.approx([0.1 * left**MID.power for left in (1, 0.75, 0.5, 0.25)])
    assert all(entry["removed_rms"] > 0 for entry in result.trace)
    assert not np.allclose(result.data, random_mid().restore(x, Gaussian(0.1)).data)


@pytest.mark.parametrize("steps", [1, 2, 7])
def test_walking_down_with_the_true_noise_arrives(steps: int) -> None:
    """Algorithm 2 told the truth removes all of it, an equal part at each step."""
    rng = np.random.default_rng(0)
    x, n = rng.random((2, 1, 16, 16))
    told = []

    def exact(s: np.ndarray, level: float) -> np.ndarray:
        told.append(level)
        np.testing.assert_allclose(s - x, level * n, atol=1e-12)
        return s - x

    end, trace = walk_down(exact, x + n, steps)
    np.testing.assert_allclose(end, x, atol=1e-6)
    assert told == pytest.approx([1 - k / steps for k in range(steps)])
    rms = [entry["removed_rms"] for entry in trace]
    assert rms == pytest.approx([np.sqrt(np.mean(n**2)) / steps] * steps)


def test_progress_is_told_in_full(random_mid: RandomMID) -> None:
    x = np.random.default_rng(0).random((1, 20, 30), dtype=np.float32)
    shares: list[float] = []
    random_mid(steps=3, tile=8).restore(x, Gaussian(0.1), shares.append)
    assert sum(shares) == pytest.approx(1)
    assert len(shares) > 20


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32", "float16", "float32", "float64"])
def test_strength_zero_gives_the_input_back(dtype: str, random_mid: RandomMID) -> None:
    x = np.random.default_rng(0).random((16, 16))
    x = (x * np.iinfo(dtype).max if dtype[0] == "u" else x).astype(dtype)
    y = random_mid().denoise(x, strength=0)
    assert y.dtype == x.dtype
    assert y is not x
    np.testing.assert_array_equal(y, x)


def test_strength_is_the_share_removed(random_mid: RandomMID) -> None:
    x = np.random.default_rng(0).random((16, 16), dtype=np.float32) - 0.5
    model = random_mid()
    whole, part = (model.denoise(x, "gaussian:0.1", strength=s) for s in (1.0, 0.25))
    np.testing.assert_allclose(part, x + 0.25 * (whole - x), atol=1e-6)


# -- channels, colours and stacks ---------------------------------------------------------


def test_a_gray_model_takes_channels_one_by_one(random_mid: RandomMID) -> None:
    x = np.random.default_rng(0).random((20, 24, 3), dtype=np.float32)
    model = random_mid()
    y = model.denoise(x)
    for c in range(3):
        np.testing.assert_array_equal(y[..., c], model.denoise(x[..., c]))


def test_channels_wherever_they_lie(random_mid: RandomMID) -> None:
    x = np.random.default_rng(0).random((2, 4, 20, 24), dtype=np.float32)
    model = random_mid()
    y = model.denoise(x, axes="ZCYX")
    moved = model.denoise(x.transpose(1, 3, 0, 2), axes="CXZY")
    np.testing.assert_array_equal(moved, y.transpose(1, 3, 0, 2))


def test_colours_are_denoised_together(random_mid: RandomMID) -> None:
    """A colour model mixes channels; arrays (H, W, 3) are colour without being told."""
    x = np.random.default_rng(0).integers(0, 256, (20, 24, 3), dtype=np.uint8)
    model = random_mid(channels=3)
    y = model.denoise(x, "gaussian:25")
    assert y.shape == x.shape
    other = x.copy()
    other[..., 0] = 255 - other[..., 0]
    assert not np.array_equal(model.denoise(other, "gaussian:25")[..., 2], y[..., 2])
    np.testing.assert_array_equal(
        model.denoise(x.transpose(2, 0, 1), "gaussian:25", axes="CYX"), y.transpose(2, 0, 1)
    )


def test_a_stack_is_denoised_plane_by_plane(random_mid: RandomMID) -> None:
    x = np.random.default_rng(0).integers(0, 65536, (2, 3, 17, 20), dtype=np.uint16)
    model = random_mid()
    y = model.denoise(x)
    for i, j in np.ndindex(2, 3):
        np.testing.assert_array_equal(y[i, j], model.denoise(x[i, j]))


def test_wrong_channels_get_a_sentence(random_mid: RandomMID) -> None:
    x = np.zeros((20, 24), np.float32)
    with pytest.raises(
        HushError, match=r"trained on 3-channel images, but this data has 1 channel"
    ):
        random_mid(channels=3).denoise(x)
    with pytest.raises(HushError, match="is not trained"):
        MID().denoise(x)
    with pytest.raises(HushError, match="is not trained"):
        MID().save("never.safetensors")


# -- files --------------------------------------------------------------------------------


def same_weights(a: MID, b: MID) -> bool:
    first, second = a.weights(), b.weights()
    return first.keys() == second.keys() and all(torch.equal(first[k], second[k]) for k in first)


def test_save_and_load(tmp_path: Path, supervised: MID, noisy: np.ndarray) -> None:
    """After rounding to half precision a model is what its file says, again and again."""
    model = supervised.replace(steps=2)
    model.card_ = {"seed": 0, "figures": {"psnr": 24.5}}  # type: ignore[attr-defined]
    paths = [tmp_path / "a.safetensors", tmp_path / "b.safetensors"]
    model.save(paths[0])
    once = hush.load(paths[0])
    once.save(paths[1])
    twice = hush.load(paths[1])
    assert isinstance(once, MID)
    assert isinstance(twice, MID)
    assert same_weights(once, twice)
    assert once.config() == model.config()
    assert once.steps == 2
    assert once.card == model.card
    assert once.top_ == supervised.top_
    np.testing.assert_array_equal(once.denoise(noisy), twice.denoise(noisy))
    x = noisy.astype(np.float32) / 255
    np.testing.assert_allclose(once.denoise(x), model.denoise(x), atol=0.01)


def test_replacing_settings_leaves_the_original(supervised: MID) -> None:
    other = supervised.replace(steps=9)
    assert (other.steps, supervised.steps) == (9, 1)
    assert same_weights(other, supervised)
    with pytest.raises(HushError, match="no setting 'stepz'"):
        supervised.replace(stepz=9)


# -- test-time adaptation -----------------------------------------------------------------


@pytest.fixture
def counted_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """A step for a second of budget, so that what is learned does not hang on the machine."""
    monkeypatch.setattr(
        adapting, "Schedule", lambda budget, **options: Schedule(max_steps=round(budget), **options)
    )


def held_back(model: MID, images: list[np.ndarray], noise: list[Process]) -> float:
    """Mean score on the parts of the images that adapting keeps out of its training."""
    return float(adapting.scores(model, [split(x)[1] for x in images], noise).mean())


@pytest.mark.long
@pytest.mark.usefixtures("counted_steps")
def test_adapting_helps_a_poor_model(random_mid: RandomMID, noisy: np.ndarray) -> None:
    """Its held-back score falls; the model it came from stays as it was."""
    x, noise = noisy[None].astype(np.float32) / 255, Gaussian(25 / 255)
    model = random_mid()
    before = {k: v.clone() for k, v in model.weights().items()}
    better = model.adapt([x], 20, noise=noise)
    assert better is not model
    assert held_back(better, [x], [noise]) < held_back(model, [x], [noise])
    assert all(torch.equal(before[k], v) for k, v in model.weights().items())
    assert same_weights(model.adapt([x], 20, noise=noise), better)  # and it is repeatable


@pytest.mark.parametrize("damage", [0.0, 0.3])
def test_adapting_never_makes_things_worse(
    damage: float, supervised: MID, noisy: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A training that changes nothing, or ruins the network, is not taken over."""

    def ruin(network: torch.nn.Module, *args: Any, **options: Any) -> Mapping[str, float]:
        with torch.no_grad():
            for weight in network.parameters():
                weight += damage * torch.randn(weight.shape, generator=torch.Generator())
        return {}

    monkeypatch.setattr("hush.training.train", ruin)
    x = noisy[None].astype(np.float32) / 255
    assert supervised.adapt([x], 1.0, noise=Gaussian(25 / 255)) is supervised


@pytest.mark.usefixtures("counted_steps")
@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.long)])
def test_adapting_a_trained_model(seed: int, supervised: MID, clean: np.ndarray) -> None:
    """Whatever comes of it, what comes back scores no worse."""
    counts = Poisson(40.0).sample(torch.from_numpy(clean / 255.0), torch.Generator())
    images = [counts.float().numpy()[None], counts.float().numpy()[None, :40]]
    noise = [supervised.estimate(x)[0] for x in images]
    better = supervised.adapt(images, 12, seed=seed)
    assert held_back(better, images, noise) <= held_back(supervised, images, noise)


def test_there_is_nothing_to_adapt_to_without_noise(supervised: MID) -> None:
    assert supervised.adapt([np.full((1, 40, 40), 0.5, np.float32)], 60) is supervised


@pytest.mark.usefixtures("counted_steps")
@pytest.mark.parametrize("shape", [(8, 8), (1, 50), (50, 1), (33, 21)])
def test_adapting_to_small_images(shape: tuple[int, int], random_mid: RandomMID) -> None:
    x = np.random.default_rng(0).random((1, *shape), dtype=np.float32)
    model = random_mid().adapt([x], 1, noise=Gaussian(0.1))
    assert np.isfinite(model.denoise(x[0])).all()


@pytest.fixture
def statistics_decide(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tiny Ψ can see coarse noise where there is none, for which no model is adapted."""
    monkeypatch.setattr(MID, "reviewed", lambda self, x, found: found)


@pytest.mark.usefixtures("statistics_decide")
def test_what_adapting_gained_must_exceed_its_error(
    supervised: MID, noisy: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A gain that is as likely chance is none, and the model comes back as it was."""
    x = (noisy / 255).astype(np.float32)[None]
    for gains, kept in (([0.1, -0.1, 0.12, -0.1], False), ([0.1, 0.11, 0.12, 0.1], True)):
        scores = iter([np.ones(4), *[np.ones(4) - gains] * 2])
        monkeypatch.setattr(adapting, "scores", lambda *a, scores=scores: next(scores))
        monkeypatch.setattr("hush.training.train", lambda *a, **k: {})
        adapted = supervised.adapt([x], 1.0)
        assert (adapted is not supervised) is kept


@pytest.mark.usefixtures("statistics_decide")
@pytest.mark.parametrize(("gain", "share"), [(0.3, 1.0), (0.01, adapting.SHARE)])
def test_a_model_that_knows_such_data_goes_a_part_of_the_way(
    gain: float, share: float, supervised: MID, noisy: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    def trained(network: torch.nn.Module, *args: Any, **options: Any) -> Mapping[str, float]:
        with torch.no_grad():
            for weight in network.parameters():
                weight += 1e-4
        return {}

    scores = iter([np.ones(4), *[np.ones(4) - gain] * 2])
    monkeypatch.setattr(adapting, "scores", lambda *args: next(scores))
    monkeypatch.setattr("hush.training.train", trained)
    x = (noisy / 255).astype(np.float32)[None]
    after, before = (
        dict(m.networks_.named_parameters()) for m in (supervised.adapt([x], 1.0), supervised)
    )  # type: ignore[union-attr]
    for name, weight in before.items():
        if name.startswith("noise."):
            torch.testing.assert_close(
                after[name] - weight, torch.full_like(weight, share * 1e-4), rtol=0.05, atol=2e-6
            )


@pytest.mark.usefixtures("statistics_decide")
def test_the_seed_of_adapting_draws_its_patches(
    supervised: MID, noisy: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    seeds = []
    monkeypatch.setattr("hush.training.train", lambda *a, **k: seeds.append(a[3].seed) or {})
    x = (noisy / 255).astype(np.float32)[None]
    for seed in (0, 7):
        hush.run(x[0], model=supervised, adapt=1.0, seed=seed)
    assert seeds == [0, 7]


def test_turns_are_averaged(random_mid: RandomMID) -> None:
    """Two: as it is, and turned by half."""
    x = np.random.default_rng(0).random((24, 24), dtype=np.float32) - 0.5
    one, two = (random_mid(turns=n) for n in (1, 2))
    upright, turned = one.denoise(x, "gaussian:0.1"), one.denoise(x[::-1, ::-1], "gaussian:0.1")
    expected = (upright + turned[::-1, ::-1]) / 2
    np.testing.assert_allclose(two.denoise(x, "gaussian:0.1"), expected, atol=1e-6)
    assert np.abs(upright - expected).max() > 1e-4


def test_noise_that_varies_from_place_to_place_is_told_there(
    supervised: MID, clean: np.ndarray
) -> None:
    """A map of levels: far from where it changes, each half is as under its own level."""
    rng = np.random.default_rng(0)
    levels = np.where(np.arange(96) < 48, 0.03, 0.15)
    x = (clean / 255 + levels * rng.standard_normal(clean.shape)).astype(np.float32)
    even = supervised.denoise(x, Gaussian(0.1))
    flat = supervised.denoise(x, Gaussian(np.full((96, 96), 0.1)))
    np.testing.assert_allclose(flat, even, atol=1e-6)
    result = hush.run(x, model=supervised.replace(tile=32), noise=Gaussian(levels))
    for side, level in ((slice(0, 16), 0.03), (slice(80, 96), 0.15)):
        alone = supervised.denoise(x, Gaussian(level))
        np.testing.assert_allclose(result.data[:, side], alone[:, side], atol=2e-3)
    assert psnr(result.data, clean / 255) > psnr(even, clean / 255)
    assert result.residual["expected_rms"] == pytest.approx(np.sqrt((levels**2).mean()), rel=1e-3)
    assert "a map" in kinds.get("image").section(result, 1e5).cards[0].code

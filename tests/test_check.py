"""Two halves of an item: independent, honest about errors, and against invention."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner

import hush
from hush import check, io
from hush.cli import main
from hush.comparison import UNSHARED
from hush.denoiser import Denoiser
from hush.errors import HushError
from hush.kinds import get
from hush.methods import make
from hush.methods.wiener import filtered
from hush.noise.halves import HALF, divisible, halves
from hush.noise.process import parse
from hush.noise.processes import (
    Correlated,
    Gamma,
    Gaussian,
    Poisson,
    PoissonGaussian,
    Process,
    Rician,
)
from hush.pipeline import Out, Work
from hush.record import Batch, Record
from hush.results import Restoration

Array = np.ndarray
LAWS: list[Process] = [
    Gaussian(0.1),
    Poisson(30.0),
    Gamma(8.0),
    PoissonGaussian(0.02, 0.05),
    Correlated(Gaussian(0.1), 1.5),
    Gaussian(np.linspace(0.05, 0.2, 200, dtype=np.float32)[None, None]),
]


def sampled(clean: Array, law: Process, seed: int = 0) -> Array:
    s = torch.from_numpy(np.ascontiguousarray(clean, np.float32))
    result: Array = law.sample(s, torch.Generator().manual_seed(seed)).numpy()
    return result


def scene(side: int = 160) -> Array:
    """A picture ``(1, H, W)`` with edges and texture."""
    y, x = np.mgrid[:side, :side] / side
    made = 0.5 + 0.2 * np.sin(9 * x * y * 3) + 0.25 * (np.hypot(x - 0.5, y - 0.5) < 0.3)
    return made[None].astype(np.float32)


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.family)
def test_halves_are_two_observations_with_twice_the_variance(law: Process) -> None:
    flat = np.full((1, 200, 200), 0.5, np.float32)
    x = sampled(flat, law)
    first, second = halves(x, law, seed=1)
    np.testing.assert_allclose((first + second) / 2, x, atol=1e-6)
    expected = float(np.mean(law.variance(flat)))
    errors = first - flat, second - flat
    for error in errors:
        assert np.mean(error**2) == pytest.approx(HALF * expected, rel=0.05)
    assert abs(np.mean(errors[0] * errors[1])) < 0.04 * HALF * expected


def test_magnitudes_and_sets_cannot_be_divided() -> None:
    assert not divisible(Rician(0.1))
    assert not divisible(parse("outliers:0.3"))
    assert not divisible(parse("quantisation:8/255"))
    assert divisible(Gaussian(0.1))


def test_the_held_back_error_is_the_error() -> None:
    """Of the filter, and of the input itself, without the clean picture."""
    clean, law = scene(256), Gaussian(0.1)
    x = sampled(clean, law)
    methods = {"wiener": filtered, "none": lambda half, _: half}
    seen = check.of_parts([check.Part.of(x, law, methods)])
    assert seen is not None
    half = sampled(clean, law.scaled(HALF), seed=5)
    true = float(np.mean((filtered(half, law.scaled(HALF)) - clean) ** 2))
    assert seen.errors["none"] == pytest.approx(2 * seen.noise, rel=0.05)
    assert seen.errors["wiener"] == pytest.approx(true, rel=0.2)
    assert seen.best == "wiener"
    assert seen.gain("none") < -3


@pytest.mark.parametrize("dark", [0.6, 0.35])
def test_values_cut_off_at_a_limit_promise_no_more_than_others(dark: float) -> None:
    """The noise that a range cuts off was counted, and results seemed nearer than they are."""
    clean = dark * np.repeat(np.repeat(scene(64), 4, 1), 4, 2)
    noisy = clean + 0.1 * np.random.default_rng(2).standard_normal(clean.shape)
    stored = np.clip(np.round(255 * noisy), 0, 255).astype(np.uint8)
    assert np.mean(stored == 0) > 0.001
    made = hush.run(stored, method="wiener", noise="gaussian:0.1/1", check=True)
    (item,) = made.items
    assert item.check is not None
    gain = 10 * np.log10(
        np.mean((stored / 255 - clean) ** 2) / np.mean((made.data / 255 - clean) ** 2)
    )
    assert item.check.lead("none") < gain + 3


def test_an_error_is_never_below_the_chance_of_the_halves() -> None:
    """With half as much noise as its law says, the held-back error would be below zero."""
    clean = scene(256)
    x = sampled(clean, Gaussian(0.07))
    methods = {"wiener": filtered, "none": lambda half, _: half}
    part = check.Part.of(x, Gaussian(0.1), methods)
    seen = check.of_parts([part])
    assert seen is not None
    assert part.errors["wiener"].mean() < 0 < part.chances["wiener"]
    assert seen.errors["wiener"] >= part.chances["wiener"]
    apart = seen.errors["none"] - seen.errors["wiener"]
    assert apart == pytest.approx(part.errors["none"].mean() - part.errors["wiener"].mean())


def test_a_result_below_a_simple_one_is_told_and_replaced() -> None:
    """A method that smooths texture away loses to the Wiener filter."""
    rng, law = np.random.default_rng(0), Gaussian(0.1)
    texture = (0.5 + 0.3 * rng.standard_normal((1, 192, 192))).astype(np.float32)
    x = sampled(texture, law)
    methods = {"mid": lambda half, _: np.full_like(half, half.mean()), "wiener": filtered}
    parts = [check.Part.of(x, law, methods)]
    left, seen = (check.of_parts(parts, maps=True, guarded=g) for g in (False, True))
    assert left is not None
    assert seen is not None
    assert left.best == seen.best == "wiener"
    assert (left.kept, seen.kept) == ("mid", "wiener")
    assert seen.lead("mid") == -left.lead("wiener") == seen.gain("wiener") > 1
    assert left.deviation is not None
    assert seen.deviation is not None
    assert np.mean(seen.deviation**2) < np.mean(left.deviation**2)  # each is of what is kept
    (kept,) = check.warnings(seen)
    (told,) = check.warnings(left)
    assert "a Wiener filter is nearer to the signal than mid" in kept
    assert "its result is kept instead" in kept
    assert told.endswith("Try --method wiener.")


def test_texture_that_the_network_smooths_away_is_kept(tmp_path: Path) -> None:
    """White texture of known noise: the network takes it for noise, the spectrum does not."""
    rng = np.random.default_rng(1)
    clean = 0.5 + 0.15 * rng.standard_normal((128, 128)).astype(np.float32)
    noisy = clean + 0.1 * rng.standard_normal(clean.shape).astype(np.float32)
    np.save(tmp_path / "texture.npy", noisy)
    made = hush.run(tmp_path / "texture.npy", noise="gaussian:0.1", device="cpu")
    insisted = hush.run(tmp_path / "texture.npy", noise="gaussian:0.1", method="mid", device="cpu")
    error = float(np.mean((made.data - clean) ** 2))
    assert error < 0.9 * float(np.mean((insisted.data - clean) ** 2))
    assert error < float(np.mean((noisy - clean) ** 2))
    assert any("is kept instead" in w for w in made.warnings)
    assert any("Try --method" in w for w in insisted.warnings)


def test_detail_that_halves_do_not_share_is_invented() -> None:
    """Blurred noise looks like detail; what both halves show does not count."""
    from scipy.ndimage import gaussian_filter

    law = Gaussian(0.3)
    flat = np.full((1, 192, 192), 0.5, np.float32)
    methods = {"blur": lambda half, _: gaussian_filter(half, (0, 1, 1))}
    fur = check.of_parts([check.Part.of(sampled(flat, law), law, methods)], maps=True)
    rng = np.random.default_rng(2)
    detail = (0.5 + 2 * gaussian_filter(rng.standard_normal((1, 192, 192)), (0, 1, 1))).astype("f4")
    true = check.of_parts([check.Part.of(sampled(detail, law), law, methods)])
    assert fur is not None
    assert true is not None
    assert fur.visible > 0.9
    assert fur.unshared > 0.7
    assert fur.invented is not None
    assert fur.invented.shape == (192, 192)
    assert true.unshared < UNSHARED
    assert "two halves of the data do not agree" in check.warnings(fur)[0]
    assert check.warnings(true) == []


def test_the_deviation_covers_the_error() -> None:
    clean, law = scene(256), Gaussian(0.1)
    noisy = sampled(clean, law)
    made = hush.run(noisy[0], noise="gaussian:0.1", uncertainty=True, device="cpu")
    assert made.spread is not None
    assert made.spread.data.shape == (256, 256)
    z = np.abs(made.data - clean[0]) / made.spread.data
    assert 0.55 < np.mean(z < 1) < 0.85
    assert 0.88 < np.mean(z < 2) <= 1


@pytest.mark.parametrize("shape", [(1, 40, 50), (3, 512, 512), (1, 100, 9000), (1, 2000, 1500)])
def test_windows_are_inside_and_within_the_budget(shape: tuple[int, ...]) -> None:
    most = get("image").checked
    assert most is not None
    found = check.windows(shape, most)
    x = np.zeros(shape[1:], int)
    for window in found:
        assert x[window].size == x[window].shape[0] * x[window].shape[1] > 0
        assert all(0 <= s.start < s.stop <= n for s, n in zip(window, shape[1:], strict=True))
        x[window] += 1
    assert x.max() == 1
    assert x.sum() <= most


def test_gaps_and_replaced_values_do_not_count() -> None:
    clean, law = scene(128), Gaussian(0.1)
    x = sampled(clean, law)
    holed = x.copy()
    holed[0, 30:80, 20:60] = np.nan
    kind, model = get("image"), make("nlm")
    batch = Batch(holed[None])
    seen = check.check(kind, model, batch, 0, law, kind.measure([x]), depth="whole")
    assert seen is not None
    assert seen.noise == pytest.approx(0.01, rel=0.05)
    assert np.isnan(check.deviation(seen, law, batch, 0, x)[0, 40, 40])


def test_places_without_values_show_no_detail() -> None:
    """A gap is filled with streaks of its border, which both halves share."""
    law = Gaussian(0.3)
    x = sampled(np.full((1, 128, 128), 0.5, np.float32), law)
    known = np.ones(x.shape, bool)
    known[:, :, 40:] = False
    methods = {"none": lambda half, _: half}
    seen = check.of_parts([check.Part.of(x, law, methods, known)], maps=True)
    assert seen is not None
    assert seen.visible == 1
    assert seen.unshared > 0.9
    assert seen.invented is not None
    assert not seen.invented[:, 40:].any()
    assert seen.deviation is not None
    assert np.isnan(seen.deviation[:, :, 40:]).all()
    assert np.isfinite(seen.deviation[:, :, :40]).all()


def test_the_input_itself_claims_nothing() -> None:
    kind, model, law = get("image"), make("none"), Gaussian(0.1)
    x = sampled(scene(64), law)
    assert check.check(kind, model, Batch(x[None]), 0, law, kind.measure([x])) is None


def test_what_is_left_as_it_is_has_the_error_of_its_noise() -> None:
    x = sampled(scene(64), Gaussian(0.1))[0]
    constant = hush.run(np.full((40, 40), 0.5, np.float32), uncertainty=True, device="cpu")
    left = hush.run(x, method="none", noise="gaussian:0.1", uncertainty=True)
    for made, level in ((constant, 0), (left, 0.1)):
        assert made.spread is not None
        np.testing.assert_allclose(made.spread.data, level, atol=1e-6)
        assert not any("NaN" in w for w in made.warnings)


def test_an_error_that_cannot_be_estimated_is_named() -> None:
    x = np.abs(sampled(scene(64), Gaussian(0.1))[0])
    magnitude = hush.run(x, method="nlm", noise="rician:0.1", uncertainty=True)
    half = hush.run(x, method="nlm", noise="gaussian:0.1", strength=0.5, uncertainty=True)
    for made, why in ((magnitude, "cannot be divided"), (half, "leave --strength out")):
        assert made.spread is not None
        assert np.isnan(made.spread.data).all()
        (said,) = (w for w in made.warnings if "NaN everywhere" in w)
        assert why in said


def test_few_values_prove_nothing() -> None:
    """One block has no standard error, so that no other method's result is kept."""
    law = Gaussian(0.1)
    x = sampled(np.full((1, 30, 30), 0.5, np.float32), law)
    methods = {"none": lambda half, _: half, "flat": lambda half, _: np.full_like(half, 0.5)}
    seen = check.of_parts([check.Part.of(x, law, methods)], guarded=True)
    assert seen is not None
    assert seen.few
    assert seen.kept == seen.best == "none"
    assert check.warnings(seen) == []


def test_noise_of_next_to_nothing_is_not_compared() -> None:
    law = Gaussian(1e-4)
    kind, model, x = get("image"), make("nlm"), sampled(scene(64), law)
    assert check.check(kind, model, Batch(x[None]), 0, law, kind.measure([x])) is None


class Flat(Denoiser):
    """The mean of all values; impulses are replaced, as MID does."""

    name = "flat"
    summary = "the mean"
    kinds = ("image",)

    def restore(self, x: Array, noise: Any = None, advance: Any = None, found: Any = None) -> Any:
        replaced = x > 1.9
        return Restoration(np.full_like(x, x[~replaced].mean()), noise, replaced=replaced)


def test_a_simple_method_gets_the_item_without_its_impulses() -> None:
    kind, law = get("image"), Gaussian(0.1)
    rng = np.random.default_rng(0)
    clean = scene(128)
    x = sampled(clean, law)
    hit = rng.random(x.shape) < 0.01
    x[hit] = 2
    record = Record(x[0], "YX")
    batch = kind.batch(record)
    out = Out(kind, record, batch, False, None)
    item = Work(kind, record, Flat(), law, 1.0, False, guarded=True).item(
        batch, 0, out, lambda _: None, {}
    )
    assert item.check is not None
    assert item.check.kept in ("wiener", "nlm")
    assert item.judgement.stats["n"] == pytest.approx(x.size - hit.sum(), abs=20)
    made = out.record().data
    assert np.mean((made - clean[0]) ** 2) < 0.012
    assert np.mean(np.abs(made - clean[0])[hit[0]]) < 0.2


def test_a_stack_keeps_the_maps_of_the_noisiest_plane() -> None:
    planes = np.concatenate([sampled(scene(64), Gaussian(s)) for s in (0.05, 0.2, 0.1)])
    made = hush.run(planes, method="nlm", check="whole")
    maps = [item.check is not None and item.check.deviation is not None for item in made.items]
    assert maps == [False, True, False]
    assert made.noisiest.index == 1


def test_the_command_line_checks(tmp_path: Path) -> None:
    noisy = np.clip(255 * sampled(scene(96), Gaussian(0.1)), 0, 255).astype(np.uint8)
    io.write(Record(noisy[0], "YX"), tmp_path / "a.png")
    ran = CliRunner().invoke(
        main, ["denoise", str(tmp_path / "a.png"), "--method", "nlm", "--json", "--check"]
    )
    assert ran.exit_code == 0, ran.output
    import json

    (item,) = json.loads(ran.stdout)["items"]
    assert {"nlm", "wiener", "none"} <= set(item["check"]["errors"])
    assert item["check"]["errors"]["none"] == pytest.approx(36, rel=0.1)


def test_what_has_no_halves_refuses_to_be_checked() -> None:
    points = np.random.default_rng(0).random((50, 2))
    with pytest.raises(HushError, match="point sets are not compared in two halves"):
        hush.run(points, kind="points", check="peers")

"""Comparison methods for volumes: the contract, known answers, and what each of them promises."""

from __future__ import annotations

import builtins
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hush
from hush.bases.series import Seen, Slices, inner, level_of, padded, radii, share_of
from hush.denoiser import Denoiser
from hush.errors import HushError
from hush.kinds.volume.series import Series
from hush.methods import make
from hush.noise.processes import Correlated, Gaussian, Poisson, Rician
from hush.record import Batch
from hush.results import Estimate

pytestmark = pytest.mark.usefixtures("one_thread")

#: settings with which a method is fast enough for a test
FAST: dict[str, dict[str, Any]] = {
    "patch2self": {},
    "mppca": {"radius": 1},
    "lpca": {"radius": 1},
    "nlmeans": {"search": 2},
    "bm4d": {},
    "dip": {"steps": 3, "width": 4},
    "noise2noise": {"steps": 3, "width": 4, "batch": 2},
    "ddm2": {"steps": 3, "width": 4, "batch": 2, "sampling": 2},
}
SEVERAL = ("patch2self", "mppca", "lpca", "noise2noise", "ddm2")  #: need other volumes
LEVEL = 0.02


@pytest.fixture(params=FAST)
def method(request: pytest.FixtureRequest) -> Denoiser:
    """Every method, with small settings."""
    return made(request.param)


def made(name: str, **settings: Any) -> Denoiser:
    pytest.importorskip("bm4d" if name == "bm4d" else "dipy")
    return make(name, "volume", **FAST[name] | settings)


def series(shape: tuple[int, int, int, int] = (12, 4, 20, 18), rank: int = 3) -> np.ndarray:
    """A clean series ``(C, Z, Y, X)`` of a few smooth maps, with signal everywhere, float32."""
    rng = np.random.default_rng(0)
    z, y, x = np.meshgrid(*(np.arange(n) / 8 for n in shape[1:]), indexing="ij")
    maps = [np.sin(a * x + b * y + 0.3 * z + c) for a, b, c in rng.uniform(0.5, 2.5, (rank, 3))]
    weights = rng.uniform(0.3, 1.0, (shape[0], rank))
    return (0.5 + 0.1 * np.einsum("cr,rzyx->czyx", weights, np.stack(maps))).astype(np.float32)


def noisy(clean: np.ndarray, level: float = LEVEL, seed: int = 1) -> np.ndarray:
    z = np.random.default_rng(seed).standard_normal(clean.shape, np.float32)
    return clean + np.float32(level) * z


def rmse(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(a - b, dtype=np.float64))))


def shells(count: int, weak: int = 2) -> dict[str, Any]:
    """The context of a series with `weak` volumes at b = 0 and random directions at b = 1000."""
    vectors = np.random.default_rng(0).standard_normal((count, 3))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors[:weak] = 0
    return {"bvals": np.where(np.arange(count) < weak, 0.0, 1000.0), "bvecs": vectors}


# -- the contract ------------------------------------------------------------------------------


@pytest.mark.long
@pytest.mark.parametrize("shape", [(6, 4, 12, 10), (6, 2, 12, 10), (6, 1, 12, 10)], ids=str)
def test_any_number_of_slices_will_do(method: Denoiser, shape: tuple[int, int, int, int]) -> None:
    x = noisy(series(shape))
    kept, done = x.copy(), []
    result = method.restore_item(Batch([x], context=shells(6)), 0, Gaussian(LEVEL), done.append)
    np.testing.assert_array_equal(x, kept)
    assert (result.data.shape, result.data.dtype) == (shape, np.float32)
    assert np.isfinite(result.data).all()
    assert sum(done) == pytest.approx(1, abs=1e-6)
    assert min(done) >= 0


def test_two_slices_are_denoised_too(method: Denoiser) -> None:
    """DIPY's loops would be empty: neither the input nor zeros may come back."""
    x = noisy(series((8, 2, 16, 14)))
    y = method.restore_item(Batch([x]), 0, Gaussian(LEVEL)).data
    assert rmse(y, x) > 1e-4
    assert (y != 0).all()
    assert rmse(y, x) < 10 * LEVEL


@pytest.mark.long
def test_slices_that_are_not_adjacent_do_not_see_each_other() -> None:
    x = noisy(series((6, 4, 14, 12)))
    other = x.copy()
    other[:, 3] += 0.1 * np.random.default_rng(3).standard_normal(x.shape[2:], np.float32)
    for name in ("mppca", "lpca", "nlmeans", "bm4d"):
        results = [
            made(name).restore_item(Batch([v], context={"adjacent": False}), 0, Gaussian(LEVEL))
            for v in (x, other)
        ]
        first, second = (r.data for r in results)
        # BM4D's values are scaled by their range, and its threads add up in any order.
        np.testing.assert_allclose(
            first[:, :3], second[:, :3], atol=2e-3 if name == "bm4d" else 1e-5
        )
        assert rmse(first[:, 3], second[:, 3]) > 0.01


def test_one_volume(method: Denoiser) -> None:
    """Methods that learn from other volumes say so, and name those that need none."""
    x = noisy(series((1, 4, 16, 16)))
    if method.name in SEVERAL:
        with pytest.raises(HushError, match=r"at least 2 volumes, not 1; use --method mid"):
            method.restore_item(Batch([x]), 0, Gaussian(LEVEL))
    else:
        y = method.denoise(x[0], Gaussian(LEVEL))
        assert y.shape == x[0].shape
        assert rmse(y, x[0]) > 1e-4


def test_empty_voxels_and_volumes_give_no_nan(method: Denoiser) -> None:
    """Voxels without signal stay, the scanner's zero or another; a volume of zeros does no harm."""
    x = noisy(series((6, 3, 14, 12)))
    x[2] = 0
    x[:, :, :5] = 0
    y = method.restore_item(Batch([x], context=shells(6)), 0, Gaussian(LEVEL)).data
    assert np.isfinite(y).all()
    np.testing.assert_array_equal(y[:, :, :5], 0)
    y = method.restore_item(Batch([x + 1], context={"zero": 1.0}), 0, Gaussian(LEVEL)).data
    np.testing.assert_array_equal(y[:, :, :5], 1)


def test_missing_voxels_stay(method: Denoiser) -> None:
    x = noisy(series((6, 3, 14, 12)))
    x[1, 1, 4:6, 3] = np.nan
    y = method.denoise(x, Gaussian(LEVEL))
    np.testing.assert_array_equal(np.isnan(y), np.isnan(x))


def test_a_constant_series_comes_back(method: Denoiser) -> None:
    x = np.full((6, 3, 10, 10), 7, np.int16)
    np.testing.assert_array_equal(method.denoise(x), x)


def test_integers_stay_integers(method: Denoiser) -> None:
    x = np.rint(1000 * noisy(series((6, 3, 14, 12)))).astype(np.int16)
    y = method.denoise(x, f"gaussian:{1000 * LEVEL}")
    assert (y.dtype, y.shape) == (x.dtype, x.shape)
    assert 0 < rmse(y, x) < 200
    np.testing.assert_array_equal(method.denoise(x, strength=0), x)


def test_saving_and_loading_keeps_the_settings(method: Denoiser, tmp_path: Path) -> None:
    method.save(tmp_path / "a.safetensors")
    loaded = hush.load(tmp_path / "a.safetensors")
    assert type(loaded) is type(method)
    assert loaded.config() == method.config()
    assert loaded.kind.name == "volume"


@pytest.mark.parametrize("name", ["patch2self", "mppca", "lpca", "nlmeans"])
def test_the_unit_does_not_matter(name: str) -> None:
    x = noisy(series((6, 3, 14, 12)))
    y = made(name).restore_item(Batch([x]), 0, Gaussian(LEVEL)).data
    z = made(name).restore_item(Batch([x * 256]), 0, Gaussian(LEVEL * 256)).data
    np.testing.assert_allclose(z / 256, y, atol=2e-4)


def test_a_missing_package_gets_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *args: Any) -> Any:
        if name.split(".")[0] in ("dipy", "bm4d"):
            raise ImportError(name)
        return real(name, *args)

    models = {n: made(n) for n in ("patch2self", "mppca", "lpca", "nlmeans", "bm4d")}
    monkeypatch.setattr(builtins, "__import__", without)
    x = noisy(series((6, 3, 14, 12)))
    for name, model in models.items():
        extra = "peers" if name == "bm4d" else "diffusion"
        with pytest.raises(HushError, match=rf"pip install .*\[{extra}\]'"):
            model.restore_item(Batch([x]), 0, Gaussian(LEVEL))


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("patch2self", {"model": "forest"}),
        ("patch2self", {"radius": -1}),
        ("mppca", {"radius": 0}),
        ("lpca", {"threshold": 0}),
        ("nlmeans", {"search": 0}),
        ("dip", {"seconds": 0}),
        ("noise2noise", {"steps": 0}),
        ("ddm2", {"neighbours": 0}),
    ],
    ids=str,
)
def test_bad_settings_get_a_sentence(name: str, settings: dict[str, Any]) -> None:
    with pytest.raises(HushError, match=name):
        make(name, "volume", **settings)


# -- what they promise -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "settings", "most"),
    [
        ("patch2self", {}, 0.8),
        ("mppca", {}, 0.6),
        ("lpca", {}, 0.7),
        ("nlmeans", {}, 0.8),
        ("bm4d", {}, 0.7),
    ],
)
def test_noise_is_reduced(name: str, settings: dict[str, Any], most: float) -> None:
    """Of a series of low rank; and no volume's mean moves by more than 0.3 %."""
    clean = series()
    x = noisy(clean)
    y = (
        made(name, **settings)
        .restore_item(Batch([x], context=shells(12, weak=0)), 0, Gaussian(LEVEL))
        .data
    )
    assert rmse(y, clean) < most * rmse(x, clean)
    np.testing.assert_allclose(y.mean((1, 2, 3)), x.mean((1, 2, 3)), rtol=3e-3)


@pytest.mark.long
@pytest.mark.parametrize(
    ("name", "settings", "most"),
    [
        ("dip", {"steps": 1500, "width": 16}, 0.9),
        ("noise2noise", {"steps": 150, "width": 12}, 0.9),
        ("ddm2", {"steps": 150, "width": 12, "sampling": 4}, 0.9),
    ],
)
def test_trained_ones_reduce_noise_too(name: str, settings: dict[str, Any], most: float) -> None:
    one = series((1, 2, 32, 32))
    clean = np.repeat(one, 8, 0) if name == "noise2noise" else series((8, 2, 32, 32), 1)
    x = noisy(clean, 0.05)
    y = made(name, **settings).restore_item(Batch([x]), 0, Gaussian(0.05)).data
    assert rmse(y, clean) < most * rmse(x, clean)


@pytest.mark.long
@pytest.mark.parametrize("name", ["lpca", "nlmeans", "bm4d"])
def test_the_given_level_is_used(name: str) -> None:
    x = noisy(series())
    model = made(name)
    changes = [
        rmse(model.restore_item(Batch([x]), 0, Gaussian(f * LEVEL)).data, x) for f in (0.1, 1, 3)
    ]
    assert changes[0] < 0.5 * changes[1]
    assert changes[1] < changes[2]


@pytest.mark.long
@pytest.mark.parametrize("name", ["nlmeans", "bm4d"])
def test_the_measured_level_is_used_unless_one_is_given(name: str) -> None:
    x = noisy(series())
    model, batch = made(name), Batch([x])
    found = Estimate(Gaussian(0.1 * LEVEL), 0.1 * LEVEL)
    low = rmse(model.restore_item(batch, 0, None, None, found).data, x)
    told = rmse(model.restore_item(batch, 0, Gaussian(LEVEL), None, found).data, x)
    measured = rmse(model.restore_item(batch, 0).data, x)
    assert low < 0.5 * told
    assert measured == pytest.approx(told, rel=0.2)


@pytest.mark.parametrize("name", ["lpca", "nlmeans", "bm4d"])
def test_a_map_of_the_level_is_used(name: str) -> None:
    """Where the map says that there is no noise, nearly nothing is removed."""
    x = noisy(series())
    sigma = np.full((1, *x.shape[1:]), LEVEL)
    sigma[..., :9] /= 20
    y = made(name).restore_item(Batch([x]), 0, Gaussian(sigma)).data
    assert rmse(y[..., :6], x[..., :6]) < 0.5 * rmse(y[..., 12:], x[..., 12:])


def test_nlmeans_corrects_rician_noise() -> None:
    """Of a constant amplitude of 2σ, the mean of the magnitudes is 13 % too high."""
    rng = np.random.default_rng(0)
    amplitude, sigma = 0.2, 0.1
    x = np.hypot(
        *(sigma * rng.standard_normal((2, 1, 12, 20, 20)) + [[[[[amplitude]]]], [[[[0]]]]])
    )
    batch = Batch([x.astype(np.float32)])
    model = made("nlmeans", search=3)
    corrected = model.restore_item(batch, 0, Rician(sigma)).data.mean()
    plain = model.replace(rician=False).restore_item(batch, 0, Rician(sigma)).data.mean()
    assert plain > 1.1 * amplitude
    assert abs(corrected - amplitude) < 0.5 * abs(plain - amplitude)


def test_nlmeans_reads_nothing_beyond_a_slice() -> None:
    """DIPY does, near the ends of an array: what it finds there differs from call to call."""
    x, model = 100 * noisy(series((1, 1, 20, 18))), made("nlmeans", search=3)
    first = model.restore_item(Batch([x]), 0, Gaussian(100 * LEVEL)).data
    for _ in range(3):
        again = model.restore_item(Batch([x]), 0, Gaussian(100 * LEVEL)).data
        np.testing.assert_array_equal(again, first)
    repeated = np.repeat(x, 12, 1)  # the same slice above and below
    inside = model.restore_item(Batch([repeated]), 0, Gaussian(100 * LEVEL)).data[:, 6]
    np.testing.assert_allclose(inside, first[:, 0], rtol=1e-5)


def test_patch2self_is_the_regression_with_a_constant() -> None:
    from sklearn.linear_model import LinearRegression

    x = noisy(series((7, 3, 14, 12))) + np.arange(7, dtype=np.float32)[:, None, None, None]
    y = made("patch2self").restore_item(Batch([x], context=shells(7, weak=0)), 0).data
    rows = x.reshape(7, -1).T.astype(np.float64)
    for c in range(7):
        others = np.delete(rows, c, 1)
        expected = LinearRegression().fit(others, rows[:, c]).predict(others)
        np.testing.assert_allclose(y[c].ravel(), expected, atol=2e-3)


def test_patch2self_separates_b0_by_the_threshold() -> None:
    """A lone volume at b = 0 stays, and says so; with a higher threshold there are two."""
    x, about = noisy(series((7, 3, 14, 12))), shells(7, weak=1)
    about["bvals"][1] = 80
    result = made("patch2self").restore_item(Batch([x], context=about), 0)
    np.testing.assert_array_equal(result.data[0], x[0])
    assert "Volume 1 is alone" in result.said[0]
    result = made("patch2self").restore_item(Batch([x], context=about | {"b0": 100}), 0)
    assert not result.said
    assert rmse(result.data[0], x[0]) > 0


def test_pca_keeps_negative_values() -> None:
    clean = series((6, 3, 14, 12)) - np.float32(0.5)
    for name in ("mppca", "lpca"):
        y = made(name).restore_item(Batch([noisy(clean)]), 0, Gaussian(LEVEL)).data
        assert y.min() < -0.05


@pytest.mark.parametrize("name", ["dip", "noise2noise", "ddm2"])
def test_the_seed_decides(name: str) -> None:
    batch = Batch([noisy(series((6, 2, 14, 12)))])
    first = made(name, seed=1).restore_item(batch, 0, Gaussian(LEVEL)).data
    again = made(name, seed=1).restore_item(batch, 0, Gaussian(LEVEL)).data
    other = made(name, seed=2).restore_item(batch, 0, Gaussian(LEVEL)).data
    np.testing.assert_array_equal(first, again)
    assert rmse(first, other) > 0


def test_dip_ends_when_the_residual_is_as_large_as_the_noise() -> None:
    batch, steps = Batch([noisy(series((6, 2, 14, 12)))]), []
    made("dip", steps=50).restore_item(batch, 0, Gaussian(10.0), steps.append)
    assert len(steps) < 5
    assert sum(steps) == pytest.approx(1)


def test_dip_takes_its_time() -> None:
    made("dip", steps=None, seconds=0.2).restore_item(Batch([noisy(series((2, 1, 14, 12)))]), 0)


def test_noise2noise_pairs_repeats_and_else_the_nearest() -> None:
    from hush.methods.noise2noise import repeats

    vectors = np.array([[0, 0, 0], [0, 0, 0], [1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, 0.9, 0.1]])
    found = Series.of(6, {"bvals": [0, 0, 1000, 1000, 1000, 1000], "bvecs": vectors})
    assert repeats(found, 0) == [1]
    assert repeats(found, 2) == [3]  # directions have no sign
    assert repeats(found, 4)[0] == 5
    assert repeats(Series.of(5, {}), 2) == [1, 3]
    assert repeats(Series.of(2, {"bvals": [0, 1000]}), 1) == []


@pytest.mark.parametrize("name", ["noise2noise", "ddm2"])
def test_a_volume_alone_in_its_shell_stays(name: str) -> None:
    x = noisy(series((5, 2, 14, 12)))
    result = made(name).restore_item(Batch([x], context=shells(5, weak=1)), 0)
    np.testing.assert_array_equal(result.data[0], x[0])
    assert rmse(result.data[1:], x[1:]) > 0
    assert "1 of 5 as they were" in result.said[0]


def test_ddm2_matches_a_known_level() -> None:
    """The matched state has noise of the slice's level, relative to its signal."""
    from hush.methods.ddm2 import matched, schedule

    signal = schedule()
    assert (np.diff(signal) < 0).all()
    levels = np.sqrt((1 - signal) / signal)
    for level in (0.02, 0.1, 0.5, 2.0):
        t = matched(np.array(level), signal)
        assert levels[t] == pytest.approx(level, rel=0.1)
        nearest = np.abs(levels - level).min()
        assert abs(levels[t] - level) == pytest.approx(nearest)
    assert matched(np.array([0.0, 1e9]), signal).tolist() == [0, len(signal) - 1]


def test_ddm2_measures_the_residual_of_each_slice() -> None:
    x = series((3, 4, 32, 30))
    x[:, :, :8] = 0
    levels = np.array([0.01, 0.02, 0.05, 0.1], np.float32)
    rng = np.random.default_rng(0)
    residual = levels[:, None, None] * rng.standard_normal(x.shape, np.float32)
    residual[:, :, :8] = 0  # would make the level too low
    model: Any = made("ddm2")
    seen = Seen.of(Batch([x]), 0)
    found = model.residual_levels(seen, residual)
    np.testing.assert_allclose(found, np.broadcast_to(levels, (3, 4)), rtol=0.1)


def test_ddm2_does_not_see_the_slice_in_stage_1() -> None:
    """Another target changes nothing in its own prediction (J-invariance)."""
    model: Any = made("ddm2", steps=1)
    x = noisy(series((4, 2, 16, 16)))
    other = x.copy()
    other[0] += 1
    only = {0: [1, 2, 3]}
    model.schedule = lambda share, patch, batch: _frozen(patch)
    first, second = (model.noise_model(v, only, [].append, [].append)[0] for v in (x, other))
    np.testing.assert_array_equal(first, second)


def _frozen(patch: int) -> Any:
    from hush.schedule import Schedule

    return Schedule(max_steps=1, batch=1, patch=patch, learning_rate=1e-30, weight_decay=0.0)


# -- the base ----------------------------------------------------------------------------------


def test_levels_of_processes() -> None:
    x = series((2, 3, 4, 5))
    assert level_of(Gaussian(0.1), x).sigma == 0.1
    assert level_of(Rician(0.1), x).magnitude
    assert level_of(Correlated(Rician(0.1), 1.2), x).magnitude
    assert level_of(Poisson(100.0), x).mean == pytest.approx(np.sqrt(x.mean() / 100), rel=1e-4)
    sigma = np.linspace(0.1, 0.2, 60).reshape(1, 3, 4, 5)
    np.testing.assert_allclose(level_of(Gaussian(sigma), x).sigma, sigma[0])


def test_slices_are_neighbours_of_three_or_more() -> None:
    for z, told, expected in (
        (2, None, False),
        (2, True, False),
        (3, None, True),
        (5, False, False),
    ):
        about = {} if told is None else {"adjacent": told}
        seen = Seen.of(Batch([series((2, z, 4, 5))], context=about), 0)
        assert seen.adjacent is expected
        assert len(seen.slabs()) == (1 if expected else z)


def test_radii_fit_the_sides() -> None:
    assert radii((1, 2, 3, 4, 5, 9), 2).tolist() == [0, 0, 1, 1, 2, 2]


@pytest.mark.parametrize("shape", [(3, 1, 1), (3, 7, 20), (3, 16, 8)], ids=str)
def test_padding_is_undone(shape: tuple[int, int, int]) -> None:
    x = np.random.default_rng(0).random(shape)
    larger = padded(x, 4)
    assert all(n % 4 == 0 for n in larger.shape[1:])
    np.testing.assert_array_equal(inner(larger, 4, shape), x)


def test_windows_show_the_chosen_channels_at_one_place() -> None:
    stack = np.arange(4.0)[:, None, None, None] * 1000 + np.arange(3 * 6 * 7).reshape(3, 6, 7)
    window, _ = Slices(stack, lambda rng: [2, 0], 4).draw(5, np.random.default_rng(0))
    assert window.shape == (5, 2, 4, 4)
    np.testing.assert_array_equal(window[:, 0] - window[:, 1], np.full((5, 4, 4), 2000))
    window, _ = Slices(stack, lambda rng: [1], 8).draw(2, np.random.default_rng(0))
    assert window.shape == (2, 1, 8, 8)


def test_shares_add_up() -> None:
    got: list[float] = []
    step = share_of(got.append, 0.4)
    for done in (0.25, 0.5, 1.0):
        step(done)
    assert got == pytest.approx([0.1, 0.1, 0.2])


def test_a_level_measured_by_some_slices_serves_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a large series a few slices are measured, and their map fits no others."""
    from hush.kinds.volume import VOLUME
    from hush.record import Record

    rng = np.random.default_rng(0)
    x = np.linspace(1, 2, 30 * 24).reshape(30, 24) + np.arange(14)[:, None, None, None] / 20
    x = np.repeat(x.reshape(14, 1, 30, 24), 9, 1) + 0.05 * rng.normal(size=(14, 9, 30, 24))
    record = Record(x.astype(np.float32), "CZYX", kind="volume", full=2.0)
    monkeypatch.setattr(type(VOLUME), "piece", 14 * 4 * 30 * 24)
    made = hush.run(record, method="mppca")
    assert np.isfinite(made.data).all()
    assert made.items[0].found.field is not None

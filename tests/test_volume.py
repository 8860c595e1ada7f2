"""Volumes: what components say about the noise, and what MID may not change."""

from __future__ import annotations

import numpy as np
import pytest

import hush
from hush.kinds.volume import VOLUME
from hush.kinds.volume.components import Components
from hush.kinds.volume.cut import slabs, toned
from hush.kinds.volume.decomposition import components, excited
from hush.kinds.volume.dropouts import Dropouts, dropouts
from hush.kinds.volume.series import Series
from hush.methods.mid.volume import VolumeMID
from hush.noise.processes import Gaussian, Rician
from hush.record import Batch, Record

SHAPE = (5, 64, 60)


def head(shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    """A bright ellipse with darker parts, 0 to 1."""
    z, y, x = np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij")
    inside = (y / 0.8) ** 2 + (x / 0.7) ** 2 + (z / 3) ** 2 < 1
    return inside * (0.6 + 0.3 * np.sin(5 * x) * np.cos(4 * y) + 0.1 * z)


def series(
    count: int = 24, sigma: float = 0.05, seed: int = 0, rank: int = 4
) -> tuple[np.ndarray, np.ndarray]:
    """A noisy and a clean series ``(count, Z, Y, X)`` of a few independent contrasts."""
    rng = np.random.default_rng(seed)
    base = head()
    tissue = base > 0
    parts = [tissue * np.roll(base, 3 * k, 2) for k in range(rank)]
    mix = 0.5 + 0.12 * rng.normal(size=(count, rank))
    clean = np.einsum("tk,kzyx->tzyx", mix, parts).astype(np.float32)
    return clean + sigma * rng.normal(size=clean.shape).astype(np.float32), clean


def of(x: np.ndarray, adjacent: bool = True) -> Components:
    return components(lambda a, b: x[:, a:b], x.shape, adjacent=adjacent)


def untrained(channels: int = 3, **settings: object) -> VolumeMID:
    """A model with random networks: good for what holds for any weights."""
    import torch

    torch.manual_seed(0)
    made = VolumeMID(channels=channels, widths=(8, 8), blocks=(1, 1), **settings)
    made.kind_ = "volume"
    made.networks_ = made.build(channels).eval()
    return made


# -- components ----------------------------------------------------------------------------------


def test_the_level_is_that_of_the_noise_whatever_the_contrast() -> None:
    for seed in range(3):
        noisy, _ = series(seed=seed)
        assert of(noisy).sigma == pytest.approx(0.05, rel=0.06)


def test_the_level_in_every_place_follows_the_receive_coils() -> None:
    noisy, clean = series(60)
    gain = np.linspace(0.5, 1.5, SHAPE[2]).astype(np.float32)
    found = of(clean + (noisy - clean) * gain)
    measured = found.deviation(0, SHAPE[0])[0].mean((0, 1))
    true = 0.05 * gain
    assert np.abs(measured[4:-4] / true[4:-4] - 1).max() < 0.15


def test_a_rotation_back_and_forth_is_the_series() -> None:
    noisy, _ = series()
    found = of(noisy)
    assert np.allclose(found.back(found.forward(noisy)), noisy, atol=1e-5)
    assert np.allclose(found.rotation.T @ found.rotation, np.eye(len(noisy)), atol=1e-6)


def test_components_of_noise_have_power_one_and_those_of_signal_more() -> None:
    noisy, _ = series(rank=4)
    power = of(noisy).power
    assert (power[:2] > 5).all()
    assert np.abs(power[6:] - 1).max() < 0.25


def test_correlation_of_the_noise_is_found_per_axis() -> None:
    from scipy.ndimage import gaussian_filter1d

    noisy, clean = series(40)
    blurred = gaussian_filter1d(noisy - clean, 0.8, axis=3)
    blurred *= 0.05 / blurred.std()
    z, y, x = of(clean + blurred).lags
    expected = float(np.exp(-1 / (4 * 0.8**2)))
    assert x == pytest.approx(expected, abs=0.06)
    assert abs(y) < 0.06
    assert abs(z) < 0.06


def test_volumes_without_excitation_are_told_apart() -> None:
    noisy, _ = series()
    noisy[-2:] = 0.05 * np.abs(np.random.default_rng(1).normal(size=(2, *SHAPE)))
    assert of(noisy).used == tuple(range(22))
    noisy[3] = 0
    assert 3 not in of(noisy).used
    assert excited(np.zeros((3, 5))) == (0, 1, 2)


def test_masking_the_background_does_not_change_the_level() -> None:
    noisy, clean = series(40)
    masked = np.where(clean.any(0), noisy, 0)
    assert of(masked).sigma == pytest.approx(of(noisy).sigma, rel=0.05)


def test_a_single_magnitude_volume_has_a_level_too() -> None:
    rng = np.random.default_rng(0)
    clean = head((6, 96, 96))
    real, imaginary = 0.04 * rng.normal(size=(2, *clean.shape))
    x = np.hypot(clean + real, imaginary).astype(np.float32)[None]
    found = of(x)
    assert found.sigma == pytest.approx(0.04, rel=0.15)
    deviation = found.deviation(0, 6)[0]
    assert deviation[:, :3, :3].mean() == pytest.approx(0.04 * 0.655, rel=0.2)


def test_no_more_noise_is_expected_of_a_single_volume_than_is_removed() -> None:
    """Little is removed of anatomy without noise, whatever was measured; half and more of noise."""
    model = hush.load("mid-volume")
    clean = head((6, 64, 60)).astype(np.float32)[None]
    noise = 0.02 * np.random.default_rng(0).normal(size=clean.shape).astype(np.float32)
    seen = VOLUME.measure([clean + noise])
    assert model.reviewed(clean + noise, seen) == seen
    lower = model.reviewed(clean, seen)
    assert lower.sigma < 0.3 * seen.sigma
    assert lower.process.sigma == pytest.approx(lower.sigma)
    batch = Batch([clean + noise])
    bound = model.bound(batch, 0, None, lower).series_
    assert bound.sigma == pytest.approx(lower.sigma)
    assert model.bound(batch, 0, Gaussian(0.1), lower).series_.sigma == pytest.approx(0.1)


def test_anatomy_in_some_blocks_only_is_no_correlated_noise() -> None:
    """As what is left after denoising has: quiet blocks and blocks with fine structure."""
    from scipy.ndimage import gaussian_filter

    rng, shape = np.random.default_rng(4), (6, 96, 96)
    structure = gaussian_filter(rng.normal(size=shape), (0, 1.5, 1.5))
    structure *= np.exp(18 * gaussian_filter(rng.normal(size=shape), (0, 5, 5)))
    structure *= 0.03 / structure.std()
    x = (head(shape) + structure + 0.0005 * rng.normal(size=shape))[None]
    found = of(x.astype(np.float32))
    assert found.spectrum is None
    assert found.sigma < 0.002


def test_the_measurement_is_an_estimate_with_places() -> None:
    noisy, _ = series(40)
    seen = VOLUME.measure([noisy])
    assert seen.sigma == pytest.approx(0.05, rel=0.06)
    assert len(seen.channels) == 40
    assert seen.local.variance(np.zeros((1, *SHAPE))).shape == (1, *SHAPE)


# -- series --------------------------------------------------------------------------------------


def test_shells_have_a_tolerance() -> None:
    found = Series.of(7, {"bvals": [0, 5, 993, 1001, 1010, 1998, 2005]})
    assert found.shells == ((0, 1), (2, 3, 4), (5, 6))
    assert Series.of(3, {"bvals": [0, 60, 1000], "b0": 100}).shells == ((0, 1), (2,))
    assert found.b_of(found.shells[1]) == pytest.approx(1001.33, abs=0.01)


def test_neighbours_are_nearest_in_angle_whatever_the_sign() -> None:
    vectors = [[0, 0, 0], [1, 0, 0], [-0.99, 0.1, 0], [0, 1, 0], [0, 0, 1]]
    found = Series.of(5, {"bvals": [0, 1000, 1000, 1000, 1000], "bvecs": vectors})
    assert found.nearest(1, 2)[0] == 2
    flipped = np.array(vectors, float)
    flipped[2] *= -1
    again = Series.of(5, {"bvals": [0, 1000, 1000, 1000, 1000], "bvecs": flipped})
    assert [again.nearest(i, 3) for i in range(5)] == [found.nearest(i, 3) for i in range(5)]


def test_wrong_counts_get_a_sentence() -> None:
    with pytest.raises(hush.HushError, match="3 b-values for 4 volumes"):
        Series.of(4, {"bvals": [0, 1, 2]})
    with pytest.raises(hush.HushError, match="shape 2 × 3 for 4 volumes"):
        Series.of(4, {"bvecs": np.zeros((2, 3))})


def test_directions_are_rows_or_columns() -> None:
    """As in .bvec files; three by three, as documented for Python."""
    vectors = np.random.default_rng(0).normal(size=(5, 3))
    found, turned = (Series.of(5, {"bvecs": v}).bvecs for v in (vectors, vectors.T))
    np.testing.assert_array_equal(found, turned)
    np.testing.assert_array_equal(Series.of(3, {"bvecs": np.eye(3)[[1, 2, 0]]}).bvecs[0], [0, 1, 0])
    about = {"bvecs": vectors.T}
    record = VOLUME.recognised(Record(np.zeros((5, 3, 4, 4)), "CZYX", "volume", context=about))
    np.testing.assert_array_equal(record.context["bvecs"], vectors)  # as files are written


def test_time_is_a_series() -> None:
    """A 4-D NIfTI file is one whatever its fourth axis is; so is an array with an axis of time."""
    noisy, _ = series(14)
    one, other = (hush.inspect(noisy, axes=f"{a}ZYX", kind="volume") for a in "CT")
    assert other == one


# -- training patches ----------------------------------------------------------------------------


def test_slabs_are_views_of_neighbouring_slices() -> None:
    x = np.arange(5 * 4).reshape(5, 2, 2)
    every = slabs(x, 3)
    assert [s[1, 0, 0] for s in every] == [4, 8, 12]
    assert all(np.shares_memory(s, x) for s in every)


def test_tones_keep_flat_places_flat_and_edges_in_place() -> None:
    rng = np.random.default_rng(0)
    x = np.zeros((3, 8, 8), np.float32)
    x[:, :, 4:] = 0.7
    for _ in range(20):
        y = toned(x, rng)
        assert np.ptp(y[:, :, :4]) == 0
        assert np.ptp(y[:, :, 4:]) == 0


# -- MID -----------------------------------------------------------------------------------------


def test_pieces_give_the_same_voxels_as_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    x, _ = series(14)
    x = np.concatenate([x, x[:, ::-1]], axis=1)
    record = Record(x, "CZYX", kind="volume", full=1.0)
    model = untrained()
    whole = hush.run(record, model=model).data
    monkeypatch.setattr(type(VOLUME), "piece", 14 * 3 * 64 * 60)
    assert np.allclose(hush.run(record, model=model).data, whole, atol=1e-6)


def test_zeroed_background_and_empty_volumes_stay() -> None:
    noisy, clean = series()
    masked = np.where(clean.any(0), noisy, 0).astype(np.float32)
    masked[5] = 0
    out = hush.run(Record(masked, "CZYX", kind="volume", full=1.0), model=untrained()).data
    outside = ~clean.any(0)
    assert not out[:, outside].any()
    assert not out[5].any()
    assert np.abs(out[4] - masked[4]).max() > 0


def test_tissues_keep_their_means() -> None:
    noisy, _ = series(24, sigma=0.15)
    out = hush.run(Record(noisy, "CZYX", kind="volume", full=1.0), model=untrained()).data
    tissue = of(noisy).tissue
    for volume, raw in zip(out, noisy, strict=True):
        assert volume[tissue].mean() == pytest.approx(raw[tissue].mean(), rel=5e-3)


def test_a_slice_that_lost_its_signal_keeps_what_is_left() -> None:
    noisy, clean = series(60, sigma=0.1)
    whole = dropouts(of(noisy), lambda a, b: noisy[:, a:b], 5)
    assert not whole.found.any()
    assert whole.said() == ()
    lost = clean.copy()
    lost[20, 2, 24:36] *= 0.75  # a little, so that no component tells of it
    x = noisy - clean + lost
    found = of(x)
    seen = dropouts(found, lambda a, b: x[:, a:b], 5)
    assert np.argwhere(seen.found).tolist() == [[20, 2]]
    assert "1 slice shows what no other volume does" in seen.said()[0]
    assert "volume 21, slice 3)" in seen.said()[0]
    c = found.forward(x)
    c[found.signal == 0] = 0
    made = found.back(c)
    before = made.copy()
    seen.restore(made, x, 0)
    band = (20, 2, slice(24, 36))
    errors = [float(np.square(y - lost)[band].mean()) for y in (before, made, x)]
    assert errors[0] > errors[2] > errors[1]
    other = np.ones((60, 5), bool)
    other[20, 2] = False
    np.testing.assert_array_equal(made[other], before[other])


def test_pieces_say_the_same_once(monkeypatch: pytest.MonkeyPatch) -> None:
    x, _ = series(14)
    lost = Dropouts(np.eye(14, 5, dtype=bool), of(x))
    monkeypatch.setattr("hush.methods.mid.volume.dropouts", lambda *_: lost)
    monkeypatch.setattr(type(VOLUME), "piece", 14 * 2 * 64 * 60)
    result = hush.run(Record(x, "CZYX", kind="volume", full=1.0), model=untrained())
    assert [w for w in result.warnings if "what no other volume does" in w] == list(lost.said())


def test_integers_and_a_strength_of_zero_come_back_the_same() -> None:
    noisy, _ = series()
    stored = np.clip(noisy * 1000, 0, None).astype(np.uint16)
    record = Record(stored, "CZYX", kind="volume", full=1000.0)
    out = hush.run(record, model=untrained(), strength=0).data
    assert out.dtype == np.uint16
    assert np.array_equal(out, stored)


def test_a_series_without_noise_comes_back_the_same() -> None:
    clean = np.repeat(head()[None], 3, 0).astype(np.float32)
    clean[1:] *= 2
    record = Record(clean, "CZYX", kind="volume", full=1.0)
    out = hush.run(record, model=untrained(), noise="gaussian:0").data
    assert np.array_equal(out, clean)


def test_stated_noise_is_used() -> None:
    noisy, _ = series()
    found = of(noisy)
    assert found.stated(Gaussian(0.2)).sigma == pytest.approx(0.2)
    assert found.stated(Gaussian(0.2)).power[0] == pytest.approx(found.power[0] / 16, rel=0.2)
    rician = found.stated(Rician(0.05))
    assert rician.deviation(0, 1)[0, 0, 0, 0] < rician.sigma
    assert found.stated(Gaussian(0.0)).sigma == 0


def test_a_model_for_slabs_refuses_fewer_slices() -> None:
    x = np.random.default_rng(0).random((2, 64, 60), np.float32)
    with pytest.raises(hush.HushError, match="only 2"):
        hush.run(Record(x, "ZYX", kind="volume", full=1.0), model=untrained())


@pytest.mark.long
@pytest.mark.slow
def test_a_short_training_on_one_noisy_series_removes_noise() -> None:
    noisy, clean = series(24, sigma=0.1)
    record = Record(noisy, "CZYX", kind="volume", full=1.0)
    schedule = hush.Schedule(max_steps=50, patch=32, batch=8, seed=0)
    model = hush.train(
        [record],
        kind="volume",
        settings={"channels": 1, "widths": (12, 16), "blocks": (1, 1)},
        schedule=schedule,
    )
    out = hush.run(record, model=model).data
    before, after = (float(np.square(x - clean).mean()) for x in (noisy, out))
    assert after < 0.3 * before


# -- the contract of methods, for volumes --------------------------------------------------------

SHAPES = [
    (1, 8, 8),
    (2, 9, 12),
    (3, 16, 16),
    (1, 1, 1),
    (1, 1, 20),
    (7, 20, 1),
    (4, 2, 8, 8),
    (20, 1, 12, 9),
]


def ramp(shape: tuple[int, ...]) -> np.ndarray:
    rng = np.random.default_rng(0)
    x = np.linspace(0.2, 0.6, int(np.prod(shape))).reshape(shape)
    return (x + 0.02 * rng.normal(size=shape)).astype(np.float32)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32", "float64"])
def test_any_shape_and_type_will_do(shape: tuple[int, ...], dtype: str) -> None:
    x = (ramp(shape) * (200 if dtype != "float32" else 1)).astype(dtype)
    y = untrained(1).denoise(x)
    assert (y.dtype, y.shape) == (x.dtype, x.shape)
    assert np.isfinite(y).all()


def test_units_do_not_matter() -> None:
    noisy, _ = series(16)
    record = Record(noisy, "CZYX", kind="volume", full=1.0)
    model = untrained()
    once = hush.run(record, model=model).data
    other = record.with_data(noisy * 1000, full=1000.0)
    assert np.allclose(hush.run(other, model=model).data, once * 1000, rtol=1e-3, atol=1e-1)


def test_missing_voxels_stay_missing_and_others_are_finite() -> None:
    noisy, _ = series(14)
    noisy[2, 1, 20:24, 30] = np.nan
    out = hush.run(Record(noisy, "CZYX", kind="volume", full=1.0), model=untrained()).data
    assert np.array_equal(np.isnan(out), np.isnan(noisy))


def test_a_constant_volume_comes_back() -> None:
    for value in (0, 77):
        x = np.full((3, 16, 16), value, np.int16)
        assert np.array_equal(untrained(1).denoise(x), x)


def test_the_input_is_left_alone() -> None:
    x = ramp((14, 3, 16, 16))
    before = x.copy()
    x.flags.writeable = False
    untrained(1).denoise(x)
    assert np.array_equal(x, before)

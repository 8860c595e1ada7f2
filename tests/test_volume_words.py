"""What hush says about volumes: known inputs, and the sentences they are given."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

import hush
from hush.denoiser import Advance, Denoiser
from hush.kinds.volume import VOLUME, places, words
from hush.kinds.volume.judgement import judged
from hush.kinds.volume.series import Series
from hush.noise.process import Process
from hush.noise.processes import Correlated, Gaussian, Rician
from hush.record import Batch, Record
from hush.results import Estimate, Judgement, Restoration

SHAPE = (12, 48, 48)


def head(shape: tuple[int, int, int] = SHAPE) -> np.ndarray:
    """An ellipsoid, bool ``(Z, Y, X)``, a third of the volume."""
    z, y, x = np.meshgrid(*[np.linspace(-1, 1, n) for n in shape], indexing="ij")
    inside: np.ndarray = (x / 0.7) ** 2 + (y / 0.8) ** 2 + (z / 1.3) ** 2 < 1
    return inside


def phantom(count: int = 1, shape: tuple[int, int, int] = SHAPE, seed: int = 0) -> np.ndarray:
    """A head of three tissues of about 200 on nothing, ``(C, Z, Y, X)``, weaker from b = 0 on."""
    texture = gaussian_filter(np.random.default_rng(seed).standard_normal(shape), 2)
    texture /= texture.std()
    tissue = 200 + 40 * np.sign(texture) * (np.abs(texture) > 0.3)
    decay = np.exp(-0.5 * np.arange(count) / max(count - 1, 1))
    clean = head(shape) * tissue * decay[:, None, None, None]
    return clean.astype(np.float32)


def rician(clean: np.ndarray, sigma: float | np.ndarray, seed: int = 1) -> np.ndarray:
    """Magnitudes of a complex signal with noise in both parts."""
    rng = np.random.default_rng(seed)
    real, imaginary = (sigma * rng.standard_normal(clean.shape) for _ in range(2))
    magnitude: np.ndarray = np.hypot(clean + real, imaginary).astype(np.float32)
    return magnitude


def directions(count: int) -> np.ndarray:
    """Unit vectors evenly over a half sphere, ``(count, 3)``."""
    k = np.arange(count) + 0.5
    z, turn = k / count, np.pi * (1 + 5**0.5) * k
    flat = np.sqrt(1 - z**2)
    return np.stack([flat * np.cos(turn), flat * np.sin(turn), z], axis=1)


def series(x: np.ndarray, **context: Any) -> Record:
    """Volumes ``(C, Z, Y, X)`` as a record with a file's axes."""
    return Record(np.ascontiguousarray(x.transpose(3, 2, 1, 0)), "XYZC", "volume", context=context)


def scan(count: int = 13) -> dict[str, Any]:
    """The context of a scan with one b = 0 volume and one shell."""
    return {
        "bvals": np.array([0.0] + [1000.0] * (count - 1)),
        "bvecs": np.concatenate([np.zeros((1, 3)), directions(count - 1)]),
        "spacing": (2.0, 1.5, 1.5),
        "affine": np.diag([1.5, 1.5, 2.0, 1.0]),
    }


@dataclass
class Known(Denoiser):
    """Returns what it is told: a method whose errors are known."""

    made: np.ndarray = field(default_factory=lambda: np.zeros(0))
    found: Estimate | None = None

    name: ClassVar[str] = "known"
    summary: ClassVar[str] = "returns what it was told"
    kinds: ClassVar[tuple[str, ...]] = ("volume",)

    def restore_item(
        self,
        batch: Batch,
        index: int,
        noise: Process | None = None,
        advance: Advance | None = None,
        found: Estimate | None = None,
    ) -> Restoration:
        made = (self.made / batch.scale).astype(np.float32)
        return Restoration(made, noise, found=self.found)


SIGMA = 10.0


def judge(
    noisy: np.ndarray,
    clean: np.ndarray,
    sigma: float = SIGMA,
    strength: float = 1.0,
    how: Restoration | None = None,
    **about: Any,
) -> Judgement:
    return judged(
        VOLUME,
        noisy,
        clean.astype(np.float32),
        Rician(sigma),
        strength=strength,
        scale=1.0,
        adaptable=False,
        about=about,
        how=how,
    )


def advice(x: np.ndarray, sigma: float | None = None, **about: Any) -> str:
    """All sentences about volumes ``(C, Z, Y, X)``, with the noise that was measured, or a level"""
    record = series(x, **about)
    batch = VOLUME.batch(record)
    item = batch.floats(0)
    found = VOLUME.measure([item])
    if sigma is not None:
        found = Estimate(Rician(sigma / batch.scale), sigma / batch.scale)
    return "\n".join(VOLUME.advice(record, item, None, found))


# -- places -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("count", "sigma"), [(1, 10), (1, 40), (6, 10), (6, 60)])
def test_the_object_and_the_background_are_found(count: int, sigma: float) -> None:
    noisy = rician(phantom(count), sigma)
    found = places.find(noisy, {})
    assert np.mean(found.inside != head()) < 0.03
    assert found.has_background
    assert not (found.outside & head()).any()
    background = noisy[0][found.outside]
    assert np.sqrt(np.mean(background**2) / 2) == pytest.approx(sigma, rel=0.02)
    assert not found.zeroed.any()


def test_zeroed_background_is_not_acquired() -> None:
    noisy = rician(phantom(4), SIGMA) * head()
    found = places.find(noisy, {})
    assert np.array_equal(found.zeroed, ~head())
    assert not found.has_background
    assert not (found.inside & found.zeroed).any()
    assert found.inside.mean() > 0.9 * head().mean()


def test_an_intercept_moves_what_zero_is() -> None:
    noisy = rician(phantom(2), SIGMA) * head() - 1000
    found = places.find(noisy, {"zero": -1000.0})
    assert np.array_equal(found.zeroed, ~head())


def test_a_crop_inside_the_object_has_no_background() -> None:
    noisy = rician(phantom(2), SIGMA)[:, 4:12, 24:40, 24:40]
    found = places.find(noisy, {})
    assert not found.has_background
    assert found.inside.any()


def test_volumes_without_signal_are_told_from_weak_ones() -> None:
    clean = phantom(6)
    clean[4] = 0
    noisy = rician(clean, 40)
    noisy[5] = 7
    empty, silent = places.without_signal(noisy, {}, places.find(noisy[:4], {}))
    assert np.flatnonzero(empty).tolist() == [5]
    assert np.flatnonzero(silent).tolist() == [4]


def test_the_volumes_that_are_looked_at_are_of_all_shells() -> None:
    bvals = np.array([0.0] + [1000.0] * 60 + [3000.0] * 5)
    picks = places.spread(Series(66, bvals), 12)
    assert len(picks) <= 12
    assert {0.0, 1000.0, 3000.0} == set(bvals[picks])


# -- judgement --------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 4])
@pytest.mark.parametrize("sigma", [10.0, 60.0])
@pytest.mark.parametrize("strength", [1.0, 0.5])
@pytest.mark.parametrize("mean", [True, False], ids=["mean of magnitudes", "signal"])
def test_noise_itself_is_accepted(count: int, sigma: float, strength: float, mean: bool) -> None:
    clean = phantom(count)
    noisy = rician(clean, sigma)
    target = clean + Rician(sigma).bias(clean) if mean else clean
    made = judge(noisy, noisy + strength * (target - noisy), sigma, strength)
    assert made.warnings == ()
    assert made.stats["ratio"] == pytest.approx(1, abs=0.03)
    assert abs(made.stats["anatomy"]) < 0.05
    assert abs(made.stats["mean"]) < 0.05 * sigma
    assert "not correlated with the anatomy" in made.verdict


def test_anatomy_in_the_residual_is_warned_about() -> None:
    clean = phantom(3)
    noisy = rician(clean, SIGMA)
    mean = clean + Rician(SIGMA).bias(clean)
    tissue = mean - mean[head()[None].repeat(3, 0)].mean() * head()
    faded = judge(noisy, mean - 0.15 * tissue)
    assert any("correlated with the smoothed image" in w for w in faded.warnings)
    blurred = judge(noisy, np.stack([gaussian_filter(v, 1) for v in mean]))
    assert any("more was removed along edges" in w for w in blurred.warnings)


def test_a_shift_of_the_mean_is_warned_about_only_beyond_the_bias() -> None:
    clean = phantom(2)
    noisy, sigma = rician(clean, 60), 60.0
    mean = clean + Rician(sigma).bias(clean)
    assert not any("mean" in w for w in judge(noisy, clean, sigma).warnings)
    assert any("changed the mean" in w for w in judge(noisy, mean + 30, sigma).warnings)


def test_too_little_removed_is_warned_about_without_the_wrong_law() -> None:
    clean = phantom(2)
    noisy = rician(clean, SIGMA)
    (said,) = judge(noisy, noisy + 0.5 * (clean - noisy)).warnings
    assert said.startswith("Less was removed")
    assert "gaussian" not in said


def test_slices_that_are_no_neighbours_are_not_correlated() -> None:
    clean = phantom(2)
    noisy = rician(clean, SIGMA)
    assert set(judge(noisy, clean).stats["autocorrelation"]) == {"Z", "Y", "X"}
    assert set(judge(noisy, clean, adjacent=False).stats["autocorrelation"]) == {"Y", "X"}
    assert set(judge(noisy[:, :2], clean[:, :2]).stats["autocorrelation"]) == {"Y", "X"}


def test_correlated_noise_is_compared_with_its_own_correlation() -> None:
    clean = 1000 + phantom(2)
    law = Correlated(Gaussian(SIGMA), 0.9, 3)
    noisy = law.sample(torch.from_numpy(clean), torch.Generator().manual_seed(0)).numpy()
    options: dict[str, Any] = {"strength": 1.0, "scale": 1.0, "adaptable": False, "about": {}}
    own = judged(VOLUME, noisy, clean, law, how=None, **options)
    assert not any("correlated" in w for w in own.warnings)
    assert own.stats["own"]["X"][0] > 0.3
    white = judged(VOLUME, noisy, clean, Gaussian(SIGMA), how=None, **options)
    assert any(re.search(r"correlated .* over 1 voxel", w) for w in white.warnings)
    lags = np.asarray(white.stats["autocorrelation"]["X"])
    assert np.allclose(lags, law.autocorrelation(8, 3)[8, 8, 9:], atol=0.05)


def test_missing_voxels_are_left_out() -> None:
    clean = phantom(2)
    noisy = rician(clean, SIGMA)
    noisy[:, 6:10, 20:40, 20:40] = np.nan
    made = judge(noisy, np.where(np.isnan(noisy), np.nan, clean))
    assert made.warnings == ()
    assert np.isfinite(made.stats["rms"])


# -- advice -----------------------------------------------------------------------------------


def test_a_common_scan_has_nothing_to_be_said() -> None:
    assert advice(rician(phantom(13), SIGMA), SIGMA, **scan()) == ""


def test_unknown_directions_are_said() -> None:
    noisy = rician(phantom(13), SIGMA)
    assert "b-values and directions of the 13 volumes are unknown" in advice(noisy, SIGMA)
    bvals = {"bvals": scan()["bvals"]}
    assert "no gradient directions (.bvec)" in advice(noisy, SIGMA, **bvals)
    assert advice(noisy[:1], SIGMA) == ""


def test_repeats_at_b_0_are_said() -> None:
    said = advice(rician(phantom(2), SIGMA), SIGMA, bvals=np.zeros(2), bvecs=np.zeros((2, 3)))
    assert said.startswith("Both volumes have b = 0")


def test_wrong_counts_of_b_values_are_refused() -> None:
    with pytest.raises(hush.HushError, match="3 b-values for 2 volumes"):
        advice(rician(phantom(2), SIGMA), SIGMA, bvals=np.zeros(3))


def test_zeroed_background_is_said_with_its_share() -> None:
    said = advice(rician(phantom(13), SIGMA) * head(), SIGMA, **scan())
    share = 100 * (1 - head().mean())
    assert f"{share:.0f} % of the voxels are exactly 0 in every volume" in said
    assert "There is no background with noise only" in said


def test_a_crop_has_its_noise_measured_inside() -> None:
    noisy = rician(phantom(1), SIGMA)[:, 4:12, 24:40, 24:40]
    assert advice(noisy, SIGMA) == (
        "There is no background with noise only, so the noise is measured inside the object."
    )


def test_volumes_without_signal_are_named() -> None:
    clean = phantom(13)
    clean[[3, 11, 12]] = 0
    noisy = rician(clean, SIGMA)
    noisy[3] = 0
    said = advice(noisy, SIGMA, **scan())
    assert "Volume 4 holds one value only, and is returned unchanged" in said
    assert "Volumes 12 and 13 hold noise only" in said


def test_values_that_are_no_magnitudes_are_said() -> None:
    noisy = phantom(1) + SIGMA * np.random.default_rng(0).standard_normal((1, *SHAPE))
    count = int((noisy < 0).sum())
    assert f"{count} voxels are negative" in advice(noisy.astype(np.float32), SIGMA)
    shifted = (noisy + 500).astype(np.float32)
    assert "negative" not in advice(shifted, SIGMA)
    assert "negative" in advice(shifted, SIGMA, zero=500.0)


@pytest.mark.parametrize(
    ("slices", "about", "said"),
    [
        (1, {}, "only one slice"),
        (2, {}, "The two slices are not treated as neighbours"),
        (16, {"adjacent": False}, "The 16 slices are not treated as neighbours"),
        (16, {"spacing": (5.0, 1.0, 1.2)}, "Voxels are 1.2 × 1 × 5 mm long"),
    ],
)
def test_slices_far_apart_are_said(slices: int, about: dict[str, Any], said: str) -> None:
    noisy = rician(phantom(1, (32, 64, 64)), SIGMA)[:, 16 - slices // 2 :][:, :slices]
    assert said in advice(noisy, SIGMA, **about)


def test_a_mask_has_nothing_to_remove() -> None:
    said = advice(257 * head()[None].astype(np.int16))
    assert said.startswith("No noise was found, so denoising returns the volume unchanged.")
    assert "two values only, as a mask does" in said


def test_little_noise_is_said() -> None:
    assert "Little noise is left: its σ is 0.37 % of" in advice(rician(phantom(1), 0.9), 0.9)
    assert "Little noise" not in advice(rician(phantom(1), 10), 10)


def test_few_levels_are_said() -> None:
    few = np.round(rician(phantom(1), SIGMA) / 6).astype(np.uint8)
    said = advice(few, SIGMA / 6)
    assert "steps between dark and bright" in said
    assert "uint8" in said
    assert "steps" not in advice(np.round(rician(phantom(1), SIGMA)).astype(np.int16), SIGMA)


def test_missing_values_are_said() -> None:
    noisy = rician(phantom(1), SIGMA)
    noisy[0, 0, 0, :3] = np.nan
    said = VOLUME.missing(VOLUME.batch(series(noisy)), 0)
    assert said == ["3 voxels are NaN or infinite and left as they are."]


# -- summary and inspection --------------------------------------------------------------------


def test_the_summary_has_shells_and_signal_to_noise() -> None:
    clean = phantom(13)
    noisy = rician(clean, SIGMA)
    record = series(noisy, **scan())
    result = hush.run(record, model=Known(clean), noise=f"rician:{SIGMA}")
    facts = dict(VOLUME.facts(result, True))
    assert facts["voxel size"] == "1.5 × 1.5 × 2 mm"
    assert facts["volumes"] == "1 at b = 0, 12 at b = 1000"
    assert facts["noise model"] == "rician:10, as given"
    assert facts["removed"].startswith("σ 9.")
    first = float(facts["signal to noise"].split()[0])
    found = result.estimate.sigma
    assert first == pytest.approx(np.median(noisy[0][head()]) / found, rel=0.03)
    assert "at b = 1000" in facts["signal to noise"]
    assert VOLUME.brief(result).startswith("Gaussian, σ ")


def test_integers_are_not_said_to_be_of_their_types_range() -> None:
    noisy = np.round(rician(phantom(3), SIGMA)).astype(np.int16)
    result = hush.run(series(noisy), model=Known(phantom(3)), noise=f"rician:{SIGMA}")
    facts = dict(VOLUME.facts(result, True))
    assert "32767" not in facts["noise"] + facts["removed"]
    assert facts["volumes"] == "3, their b-values unknown"


def test_an_inspection_says_the_same() -> None:
    seen = hush.api.inspected(series(rician(phantom(13), SIGMA), **scan()))
    said = dict(VOLUME.looked(seen))
    assert next(iter(said)) == "volume"
    assert said["volumes"] == "1 at b = 0, 12 at b = 1000"
    assert {"voxel size", "noise", "signal to noise", "voxels"} <= set(said)


def test_one_volume_has_no_shells() -> None:
    record = Record(rician(phantom(1), SIGMA)[0], "ZYX", "volume")
    said = dict(VOLUME.looked(hush.api.inspected(record)))
    assert "volumes" not in said
    assert "voxel size" not in said


@pytest.mark.parametrize(
    ("mm", "said"),
    [
        ((1.34e-7,) * 3, "1.34 × 1.34 × 1.34 Å"),
        ((2e-3, 2e-4, 2e-4), "0.2 × 0.2 × 2 µm"),
        ((0.1, 0.1, 0.1), "0.1 × 0.1 × 0.1 mm"),
    ],
    ids=["cryo-EM", "microscope", "small animal"],
)
def test_small_voxels_are_in_the_unit_of_their_field(mm: tuple[float, ...], said: str) -> None:
    record = Record(phantom(1)[0], "ZYX", "volume", context={"spacing": mm})
    assert words.size(record) == said


def test_values_with_a_sign_have_no_signal_to_noise() -> None:
    rng = np.random.default_rng(0)
    item = np.float32(-50 * head() + rng.normal(0, 5, SHAPE))
    record = Record(item, "ZYX", "volume", context={"zero": 0.0})
    seen = hush.api.inspected(record)
    assert seen.estimate.sigma == pytest.approx(5, rel=0.2)
    assert "signal to noise" not in dict(VOLUME.looked(seen))

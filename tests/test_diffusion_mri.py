"""Diffusion MRI downstream: known tensors, known regions, exact prediction, honest residuals."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from hush.errors import HushError
from hush.noise.magnitude import Rician
from hush.tasks import diffusion_mri as task

pytest.importorskip("dipy")


def sphere(count: int) -> np.ndarray:
    """Directions spread evenly over half of the sphere."""
    i = np.arange(count) + 0.5
    z = i / count
    turn = np.pi * (1 + 5**0.5) * i
    r = np.sqrt(1 - z**2)
    return np.stack([r * np.cos(turn), r * np.sin(turn), z], axis=1)


def fa_of(eigenvalues: np.ndarray) -> float:
    mean = eigenvalues.mean()
    return float(np.sqrt(1.5 * np.sum((eigenvalues - mean) ** 2) / np.sum(eigenvalues**2)))


def phantom(
    b: float = 1000.0, directions: int = 32
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """An elliptic head ``(C, Z, Y, X)`` with a bundle of fibres along X in its middle.

    Also b-values, directions, the head and the bundle.
    """
    bvals = np.r_[0.0, 0.0, np.full(directions, b)]
    bvecs = np.r_[np.zeros((2, 3)), sphere(directions)]
    _, y, x = np.mgrid[:6, :56, :56]
    head = ((y - 28) / 14) ** 2 + ((x - 28) / 14) ** 2 < 1
    bundle = head & (abs(y - 28) < 3) & (abs(x - 28) < 6)
    around = head & ~bundle
    tensors = np.zeros((3, *head.shape))  # diagonal: along x, y, z
    tensors[:, bundle] = np.array([1.7e-3, 0.2e-3, 0.2e-3])[:, None]
    tensors[:, around] = 0.8e-3
    exponent = np.einsum("ck,k...->c...", bvals[:, None] * bvecs**2, tensors)
    return 1000.0 * head * np.exp(-exponent), bvals, bvecs, head, bundle


# -- tensors and regions -----------------------------------------------------------------------


def test_a_tensor_of_known_shape_has_its_fa() -> None:
    data, bvals, bvecs, head, bundle = phantom()
    tensor = task.fit_tensor(data, bvals, bvecs, head)
    known = fa_of(np.array([1.7e-3, 0.2e-3, 0.2e-3]))
    np.testing.assert_allclose(tensor.fa[bundle], known, atol=1e-6)
    np.testing.assert_allclose(tensor.fa[head & ~bundle], 0, atol=1e-3)
    for colour, part in zip(tensor.colour[bundle].T, (known, 0, 0), strict=True):
        np.testing.assert_allclose(colour, part, atol=1e-6)
    np.testing.assert_allclose(tensor.md[bundle], 0.7e-3, rtol=1e-4)
    assert not tensor.fa[~head].any()


def test_directions_have_no_sign_and_no_length() -> None:
    data, bvals, bvecs, head, _ = phantom()
    signs = np.random.default_rng(0).choice([-1.0, 1.0], len(bvecs))[:, None]
    first = task.fit_tensor(data, bvals, bvecs, head)
    second = task.fit_tensor(data, bvals, 3 * signs * bvecs, head)
    np.testing.assert_allclose(first.fa, second.fa, atol=1e-9)
    without = bvecs.copy()
    without[:2] = np.nan  # as some files say of b = 0
    np.testing.assert_allclose(task.fit_tensor(data, bvals, without, head).fa, first.fa, atol=1e-9)


def test_too_few_directions_are_refused() -> None:
    data, bvals, bvecs, head, _ = phantom()
    with pytest.raises(HushError, match="6 directions"):
        task.fit_tensor(data[:7], bvals[:7], bvecs[:7], head)
    same = np.repeat(bvecs[2:3], len(bvecs), axis=0)
    with pytest.raises(HushError, match="6 directions"):
        task.fit_tensor(data, bvals, same, head)
    with pytest.raises(HushError, match="a tensor needs a volume at b = 0"):
        task.fit_tensor(data[2:], bvals[2:], bvecs[2:], head)
    with pytest.raises(HushError, match="do not fit a series"):
        task.fit_tensor(data, bvals[1:], bvecs, head)


def test_the_brain_is_found_slice_by_slice_too() -> None:
    data, *_, head, _ = phantom()
    noisy = data[0] + np.random.default_rng(0).normal(0, 20, data[0].shape)
    for adjacent in (True, False):
        found = task.brain_mask(noisy, adjacent)
        assert found.shape == head.shape
        assert (found == head).mean() > 0.97


def test_the_corpus_callosum_is_the_bundle_across_the_middle() -> None:
    data, bvals, bvecs, head, bundle = phantom()
    tensor = task.fit_tensor(data, bvals, bvecs, head)
    found = task.corpus_callosum(tensor, head)
    middle = slice(1, 5)  # half of the extent of six slices
    np.testing.assert_array_equal(found[middle], bundle[middle])
    assert not found[0].any()
    # stored along other axes: the file's Y is left–right
    turned = task.Tensor(tensor.fa, tensor.colour[..., [1, 0, 2]], tensor.md)
    assert not task.corpus_callosum(turned, head).any()
    np.testing.assert_array_equal(task.corpus_callosum(turned, head, (1, 0, 2)), found)


def test_the_affine_says_which_axis_is_left_to_right() -> None:
    assert task.anatomical_order(None) == (0, 1, 2)
    assert task.anatomical_order(np.diag([-2.0, 2, 3, 1])) == (0, 1, 2)
    posterior_left_superior = np.zeros((4, 4))
    posterior_left_superior[[1, 0, 2, 3], [0, 1, 2, 3]] = [-2, -2, 2, 1]
    assert task.anatomical_order(posterior_left_superior) == (1, 0, 2)
    tilt = np.radians(14)
    oblique = np.eye(4)
    oblique[1:3, 1:3] = [[np.cos(tilt), -np.sin(tilt)], [np.sin(tilt), np.cos(tilt)]]
    assert task.anatomical_order(oblique) == (0, 1, 2)


# -- SNR and CNR -------------------------------------------------------------------------------


def test_snr_and_cnr_by_hand() -> None:
    """Signal 10 and 30; background 1 and 3 in turn: mean 2, deviation 1."""
    data = np.zeros((2, 1, 4, 8))
    signal = np.zeros((1, 4, 8), bool)
    signal[:, :2] = True
    data[0, signal], data[1, signal] = 10, 30
    data[:, 0, 2:] = np.tile([1, 3], 4)
    noise = np.broadcast_to(~signal, data.shape)
    where = task.Regions(signal, noise, "signal")
    np.testing.assert_allclose(task.snr(data, where), [10, 30])
    np.testing.assert_allclose(task.cnr(data, where), [8, 28])


def with_noise(scale: float = 20.0) -> tuple[np.ndarray, np.ndarray, np.ndarray, task.Tensor]:
    """The weighted volumes of the phantom with Rician noise, the head, the bundle, its tensors."""
    data, bvals, bvecs, head, bundle = phantom()
    tensor = task.fit_tensor(data, bvals, bvecs, head)
    rng = np.random.default_rng(0)
    real, imaginary = rng.normal(0, scale, (2, *data.shape))
    return np.hypot(data + real, imaginary)[2:], head, bundle, tensor


def test_noise_is_measured_in_the_acquired_background() -> None:
    data, head, _, tensor = with_noise()
    where = task.regions(data, head, tensor)
    assert where.name == "corpus callosum"
    assert not where.missing
    rayleigh = 20 * np.sqrt(2 - np.pi / 2)
    expected = data[:, where.signal].mean(axis=1) / rayleigh
    np.testing.assert_allclose(task.snr(data, where), expected, rtol=0.03)
    mean = 20 * np.sqrt(np.pi / 2)
    np.testing.assert_allclose(task.cnr(data, where), expected - mean / rayleigh, rtol=0.03)
    # half of the background zeroed by the scanner: the same figures, not half of the noise
    zeroed = data.copy()
    zeroed[..., :8] = 0
    partly = task.regions(zeroed, head, tensor)
    assert not partly.missing
    assert not partly.noise[..., :8].any()
    np.testing.assert_allclose(task.snr(zeroed, partly), expected, rtol=0.03)


def test_without_a_background_they_are_unavailable_and_say_why() -> None:
    data, head, _, tensor = with_noise()
    masked = task.regions(data * head, head, tensor)
    assert masked.missing == "the background is set to zero"
    assert np.isnan(task.snr(data * head, masked)).all()
    assert np.isnan(task.cnr(data * head, masked)).all()
    inside = (slice(None), slice(16, 40), slice(16, 40))  # cropped to the head
    cropped = task.Tensor(tensor.fa[inside], tensor.colour[inside], tensor.md[inside])
    where = task.regions(data[:, *inside], head[inside], cropped)
    assert where.missing == "there is no background around the head"
    assert np.isnan(task.snr(data[:, *inside], where)).all()


def test_a_method_that_erases_the_background_gets_no_figure() -> None:
    data, head, _, tensor = with_noise()
    where = task.regions(data, head, tensor)
    assert np.isnan(task.snr(data * head, where)).all()
    assert np.isfinite(task.snr(np.where(head, data, 0.5 * data), where)).all()


def test_white_matter_stands_in_for_the_corpus_callosum() -> None:
    data, bvals, bvecs, head, bundle = phantom()
    order = np.array([1, 0, 2])  # fibres run along Y
    tensor = task.fit_tensor(data, bvals, bvecs[:, order], head)
    noisy = with_noise()[0]
    where = task.regions(noisy, head, tensor)
    assert where.name.startswith("white matter")
    np.testing.assert_array_equal(where.signal, bundle)
    flat = task.Tensor(np.zeros_like(tensor.fa), np.zeros_like(tensor.colour), tensor.md)
    assert "no white matter" in task.regions(noisy, head, flat).missing


def test_fa_change_is_a_mean_inside_the_mask() -> None:
    fa = np.zeros((1, 2, 2))
    mask = np.array([[[True, True], [False, False]]])
    after = np.array([[[0.2, -0.4], [9, 9]]])
    a, b = (task.Tensor(x, np.zeros((*x.shape, 3)), x) for x in (fa, after))
    assert task.fa_change(a, b, mask) == pytest.approx(0.3)


# -- held-out prediction -----------------------------------------------------------------------


def test_every_fifth_direction_of_large_shells_is_held_out() -> None:
    small, large = tuple(range(19)), tuple(range(100, 121))
    assert task.held_out([small, large]) == [100, 105, 110, 115, 120]
    assert task.held_out([small]) == []


@pytest.mark.parametrize(("directions", "order"), [(6, 0), (9, 2), (16, 2), (22, 2), (23, 4)])
def test_few_directions_get_fewer_harmonics(directions: int, order: int) -> None:
    assert task.order_for(directions) == order


@pytest.mark.parametrize("count", [24, 51])
def test_band_limited_signals_are_predicted_exactly(count: int) -> None:
    rng = np.random.default_rng(0)
    known, unknown = sphere(count), rng.normal(size=(7, 3))
    unknown /= np.linalg.norm(unknown, axis=1, keepdims=True)
    coefficients = rng.normal(size=(15, 9))
    values = task.harmonics(known) @ coefficients
    expected = task.harmonics(unknown) @ coefficients
    np.testing.assert_allclose(task.predict(values, known, unknown), expected, atol=1e-9)
    np.testing.assert_allclose(task.predict(values, -known, unknown), expected, atol=1e-9)
    # a tensor's quadratic form needs order 2 only
    quadratic = rng.normal(size=(3, 3))
    form = [np.einsum("ni,ij,nj->n", v, quadratic, v) for v in (known, unknown)]
    np.testing.assert_allclose(
        task.predict(form[0][:, None], known, unknown, 2)[:, 0], form[1], atol=1e-9
    )


def test_the_error_of_noise_is_that_of_the_fit() -> None:
    """Over σ²: 1 for the held-out volume's own noise, and the prediction's variance."""
    rng = np.random.default_rng(0)
    known, unknown = sphere(51), sphere(13)
    mask = np.ones((4, 40, 40), bool)
    denoised, raw = (5 * rng.normal(size=(n, *mask.shape)) for n in (51, 13))
    errors = task.prediction_errors(denoised, known, raw, unknown, mask) / 25
    fit = task.harmonics(unknown) @ np.linalg.pinv(task.harmonics(known))
    np.testing.assert_allclose(errors, 1 + (fit**2).sum(axis=1), rtol=0.05)
    clean = task.prediction_errors(0 * denoised, known, raw, unknown, mask) / 25
    np.testing.assert_allclose(clean, 1, rtol=0.05)


def test_the_noise_of_a_shell_is_known_without_its_clean_volumes() -> None:
    rng = np.random.default_rng(0)
    directions = sphere(60)
    mask = np.ones((3, 48, 48), bool)
    clean = 200 + 30 * (directions[:, 0] ** 2)[:, None, None, None] * np.ones(mask.shape)
    white = rng.normal(size=clean.shape)
    noise = task.shell_noise(clean + 7 * white, directions, mask, True)
    assert noise.variance == pytest.approx(49, rel=0.02)
    np.testing.assert_allclose(noise.sigma, 7, rtol=0.1)
    np.testing.assert_allclose(noise.lags, 0, atol=0.01)
    along_x = (white[..., 1:] + white[..., :-1]) / 2**0.5
    blurred = task.shell_noise(clean[..., 1:] + 7 * along_x, directions, mask[..., 1:], False)
    assert np.isnan(blurred.lags[0])
    np.testing.assert_allclose(blurred.lags[1:], [0, 0.5], atol=0.02)


def test_dark_voxels_have_the_complex_noise_not_that_of_magnitudes() -> None:
    rng = np.random.default_rng(0)
    directions, mask = sphere(60), np.ones((3, 48, 48), bool)
    real, imaginary = rng.normal(0, 5, (2, 60, *mask.shape))
    noise = task.shell_noise(np.hypot(7.5 + real, imaginary), directions, mask, True)
    assert noise.variance**0.5 < 4.6  # of magnitudes
    np.testing.assert_allclose(noise.sigma.mean(), 5, rtol=0.03)


# -- residuals ---------------------------------------------------------------------------------


def test_residual_autocorrelation_sees_each_axis_inside_the_mask() -> None:
    rng = np.random.default_rng(0)
    white = rng.normal(size=(8, 12, 40, 40))
    mask = np.zeros(white.shape[1:], bool)
    mask[2:10, 5:35, 5:35] = True
    np.testing.assert_allclose(task.autocorrelation(white, mask), 0, atol=0.01)
    along_y = white + np.roll(white, 1, axis=2)
    np.testing.assert_allclose(task.autocorrelation(along_y, mask), [0, 0.5, 0], atol=0.02)
    outside = np.where(mask, along_y, 1e6)  # the head's surroundings do not count
    np.testing.assert_allclose(task.autocorrelation(outside, mask), [0, 0.5, 0], atol=0.02)
    z, *_ = task.autocorrelation(white, mask, adjacent=False)
    assert np.isnan(z)
    assert np.isnan(task.autocorrelation(0 * white, mask)).all()


def test_a_residual_with_anatomy_is_found() -> None:
    rng = np.random.default_rng(0)
    mask = np.ones((4, 64, 64), bool)
    image = 100 + 40 * gaussian_filter(rng.normal(size=mask.shape), (0, 6, 6)) * 12
    noise = rng.normal(size=(6, *mask.shape))
    low = task.low_passed(image, mask, adjacent=False)[mask]
    assert np.abs(task.anatomy_correlation(noise[:, mask], low)).max() < 0.03
    leaking = (noise + 0.5 * (image - image.mean()) / image.std())[:, mask]
    expected = 0.5 / np.sqrt(1.25)
    np.testing.assert_allclose(task.anatomy_correlation(leaking, low), expected, atol=0.03)
    assert np.isnan(task.anatomy_correlation(0 * leaking, low)).all()


def test_a_low_pass_does_not_see_beyond_the_mask() -> None:
    mask = np.zeros((3, 30, 30), bool)
    mask[:, 8:20, 8:20] = True
    image = np.where(mask, 5.0, 1e4)
    np.testing.assert_allclose(task.low_passed(image, mask)[mask], 5, rtol=1e-9)
    steps = np.arange(3.0)[:, None, None] * np.ones(mask.shape)
    apart = task.low_passed(steps, mask, adjacent=False)
    np.testing.assert_allclose(apart[mask], steps[mask])


def test_removing_the_rician_bias_is_no_anatomy_and_no_shift() -> None:
    rng = np.random.default_rng(0)
    mask = np.ones((4, 64, 64), bool)
    ramp = np.broadcast_to(np.linspace(0, 60, 64), mask.shape)
    low = task.low_passed(ramp, mask)[mask]
    clean = np.broadcast_to(ramp[mask], (20, mask.sum()))
    real, imaginary = rng.normal(0, 10, (2, *clean.shape))
    raw = np.hypot(clean + real, imaginary)
    sigma = np.full(mask.sum(), 10.0)
    bias = task.expected_bias(clean, sigma)
    np.testing.assert_allclose(bias, Rician(10.0).bias(clean), rtol=1e-6)
    for kept, removed in ((clean + bias, 0), (clean, 1)):  # two right methods
        expected = task.expected_bias(kept, sigma)
        share = task.bias_share(raw - kept, expected)
        assert share == pytest.approx(removed, abs=0.05)
        residual = raw - kept - share * expected
        assert np.abs(task.anatomy_correlation(residual, low)).max() < 0.05
        assert np.abs(task.shifts(raw, kept, expected, mask)).max() < 0.5
    assert np.abs(task.anatomy_correlation(raw - clean, low)).min() > 0.1


def test_a_shift_of_one_region_is_reported_in_per_cent() -> None:
    mask = np.ones((16, 32, 32), bool)
    before = np.full((3, *mask.shape), 100.0)
    after = before.copy()
    after[:, :, :16, :16] = 98
    values = before[:, mask], after[:, mask], 0 * before[:, mask]
    np.testing.assert_allclose(sorted(task.shifts(*values, mask)), [-2, 0, 0, 0], atol=1e-9)


def test_regions_of_the_mean_are_cubes_or_the_whole_mask() -> None:
    mask = np.zeros((16, 40, 40), bool)
    mask[:, :32, :32] = True
    mask[:, 32:, 0] = True  # eight voxels of each slice: too few for a cube of their own
    found = task.blocks(mask)
    assert [len(region) for region in found] == [16**3] * 4
    first = np.zeros_like(mask)
    first[:, :16, :16] = True
    np.testing.assert_array_equal(found[0], np.flatnonzero(first[mask]))
    tiny = np.zeros((2, 8, 8), bool)
    tiny[0, :3, :3] = True
    (only,) = task.blocks(tiny)
    np.testing.assert_array_equal(only, np.arange(9))
    assert task.blocks(np.zeros((2, 2, 2), bool)) == []


def test_without_dipy_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dipy.segment.mask", None)
    with pytest.raises(HushError, match=r"pip install .*\[diffusion\]"):
        task.brain_mask(np.ones((1, 8, 8)))

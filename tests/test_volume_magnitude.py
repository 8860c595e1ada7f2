"""Volumes of magnitudes with little signal: their level, what teaches them, and their bias."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import hush
from hush.errors import HushError
from hush.kinds.volume.components import Components
from hush.kinds.volume.decomposition import components
from hush.methods.mid.volume import LEVEL, VolumeMID
from hush.noise.processes import Gaussian, Rician
from hush.record import Record

SIGMA = 0.1
SNR = np.array([0.0, 1.0, 1.5, 2.0, 3.0])


def phantom(shape: tuple[int, ...] = (3, 96, 96)) -> np.ndarray:
    """Which of `SNR` a voxel has: a square in four parts, in air."""
    place = np.zeros(shape, int)
    height, width = (n // 2 for n in shape[1:])
    place[:, 8:height, 8:width], place[:, 8:height, width:-8] = 1, 2
    place[:, height:-8, 8:width], place[:, height:-8, width:-8] = 3, 4
    return place


def magnitudes(clean: np.ndarray, seed: int = 0) -> np.ndarray:
    parts = SIGMA * np.random.default_rng(seed).normal(size=(2, *clean.shape))
    return np.hypot(clean + parts[0], parts[1]).astype(np.float32)


def series(count: int = 30) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Magnitudes ``(count, Z, Y, X)``, their amplitudes, and the places."""
    place = phantom()
    clean = np.repeat((SIGMA * SNR[place])[None], count, 0)
    return magnitudes(clean), clean, place


def of(x: np.ndarray) -> Components:
    return components(lambda a, b: x[:, a:b], x.shape, adjacent=True)


def untrained(**settings: Any) -> VolumeMID:
    """A model for single slices with random networks."""
    import torch

    torch.manual_seed(0)
    made = VolumeMID(channels=1, widths=(8, 8), blocks=(1, 1), **settings)
    made.kind_ = "volume"
    made.networks_ = made.build(1).eval()
    return made


def smoothing(**settings: Any) -> VolumeMID:
    """A model that takes deviations from local means, over one part of the phantom, for noise."""
    from scipy.ndimage import uniform_filter

    made, place = untrained(**settings), phantom()
    parts = [(place == k).astype(np.float32) for k in range(len(SNR))]

    def blurred(s: np.ndarray) -> np.ndarray:
        found: np.ndarray = uniform_filter(s, (0, 7, 7), mode="nearest")
        return found

    def planes(s: np.ndarray, told: np.ndarray, shares: np.ndarray) -> np.ndarray:
        some = [p[: len(s)] for p in parts]  # all slices are alike
        return s - sum(p * blurred(p * s) / np.maximum(blurred(p), 1e-6) for p in some)

    made._planes = planes  # type: ignore[method-assign]
    return made


def means(x: np.ndarray, place: np.ndarray) -> np.ndarray:
    """Of the parts of the phantom, away from their borders."""
    from scipy.ndimage import binary_erosion

    inside = [binary_erosion(place == k, np.ones((1, 13, 13))) for k in range(1, len(SNR))]
    return np.array([x[..., part].mean() for part in inside])


def run(x: np.ndarray, model: VolumeMID, **options: Any) -> np.ndarray:
    axes = "CZYX" if x.ndim == 4 else "ZYX"
    return hush.run(Record(x, axes, kind="volume", full=1.0), model=model, **options).data


def test_the_level_of_complex_noise_is_found_at_low_signal() -> None:
    x, _, place = series(1)
    found = of(x)
    assert found.magnitudes
    assert found.parts == pytest.approx(SIGMA, rel=0.05)
    many, clean, _ = series(40)
    made = of(many)
    deviation = made.complex_deviation(clean + Rician(SIGMA).bias(clean), 0)
    assert made.parts is None
    assert np.median(deviation[place > 0]) == pytest.approx(SIGMA, rel=0.03)
    assert deviation[:, :4].mean() == pytest.approx(SIGMA, rel=0.1)  # the air's


def test_a_stated_level_of_complex_noise_is_used() -> None:
    x, *_ = series(3)
    assert of(x).stated(Rician(0.07)).parts == 0.07
    assert of(x).stated(Gaussian(0.07)).parts is None


def test_a_series_keeps_the_mean_of_magnitudes_or_gets_its_amplitudes() -> None:
    x, _, place = series()
    kept = means(run(x, smoothing()), place)
    assert np.abs(kept / means(x, place) - 1).max() < 0.005
    without = means(run(x, smoothing(unbias=True)), place)
    assert np.abs(without / (SIGMA * SNR[1:]) - 1).max() < 0.02


def test_a_volume_keeps_the_mean_of_magnitudes_or_gets_its_amplitudes() -> None:
    x, _, place = series(1)
    kept = means(run(x[0], smoothing()), place)
    assert np.abs(kept / means(x[0], place) - 1).max() < 0.005
    noise = f"rician:{SIGMA}/1"
    without = means(run(x[0], smoothing(unbias=True), noise=noise), place)
    # The result's own noise is still there, of which the inversion takes a little more.
    assert np.abs(without / (SIGMA * SNR[1:]) - 1).max() < 0.05


def test_unbias_is_an_option_of_volumes_that_other_methods_refuse() -> None:
    x, _, place = series(1)
    record = Record(x[0], "ZYX", kind="volume", full=1.0, context={"unbias": True})
    found = hush.run(record, model=smoothing()).data
    assert means(found, place)[0] < 0.75 * means(x[0], place)[0]
    with pytest.raises(HushError, match="nlmeans has no --unbias"):
        hush.run(record, method="nlmeans")
    below = Record(x[0] - 0.5, "ZYX", kind="volume", full=1.0, context={"unbias": True})
    with pytest.raises(HushError, match="no magnitudes"):
        hush.run(below, model=smoothing())


def test_few_magnitudes_teach_as_they_are_and_many_as_components() -> None:
    model = untrained()
    one, *_ = series(2)
    slabs, law = model.collected(list(one[None]), [{}])
    assert law == Rician(LEVEL)
    assert len(slabs) == 6
    assert min(float(s.min()) for s in slabs) >= 0
    assert np.median([s.mean() for s in slabs]) == pytest.approx(
        one.mean() * LEVEL / SIGMA, rel=0.1
    )
    # An offset that means no signal is none.
    told = {"zero": -50.0, "full": 100.0}
    moved, law = model.collected([one - np.float32(0.5)], [told])
    assert law == Rician(LEVEL)
    assert np.allclose(moved[0], slabs[0], atol=1e-5)
    for others in ([series(24)[0]], [one, series(24)[0]], [one - 1]):
        _, law = model.collected(others, [{}] * len(others))
        assert law is not None
        assert not getattr(law, "noise", law).complex


@pytest.mark.long
def test_complex_noise_teaches_more_than_gaussian_noise_at_low_signal(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from scipy.ndimage import binary_erosion

    from hush.schedule import Schedule

    place = phantom((8, 96, 96))
    clean = SIGMA * SNR[place]
    mean = clean + Rician(SIGMA).bias(clean)
    x = magnitudes(clean)
    inside = [binary_erosion(place == k, np.ones((1, 9, 9))) for k in range(1, len(SNR))]

    def error() -> float:
        """The deviation from means of magnitudes, in units of σ, after a short training."""
        model = VolumeMID(channels=1, widths=(16, 16), blocks=(1, 1))
        model.kind_ = "volume"
        model.fit(
            [x],
            schedule=Schedule(max_steps=150, batch=4, patch=48, learning_rate=3e-3, ema=0.98),
            progress=False,
        )
        out = run(x, model)
        assert np.abs(means(out, place) / means(x, place) - 1).max() < 0.03
        return float(np.sqrt(np.mean([np.square((out - mean)[i]).mean() for i in inside]))) / SIGMA

    by_complex = error()
    # Hide from training that the values are magnitudes.
    bound = VolumeMID.bound

    def hidden(self: VolumeMID, *given: Any) -> VolumeMID:
        made = bound(self, *given)
        assert made.series_ is not None
        made.series_ = replace(made.series_, parts=None, power=np.array([4.0]))
        return made

    monkeypatch.setattr(VolumeMID, "bound", hidden)
    by_gaussian = error()
    assert by_complex < 0.95 * by_gaussian

"""Scores are relative to the range that the data have, and say which."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

import hush
from hush.cli import main
from hush.errors import HushError
from hush.metrics import extent


def pair(dtype: type, top: float, low: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    clean = low + (top - low) * np.add.outer(np.linspace(0, 0.5, 40), np.linspace(0, 0.5, 32))
    noisy = clean + 0.05 * (top - low) * rng.standard_normal(clean.shape)
    if np.dtype(dtype).kind in "iu":
        noisy, clean = np.rint(noisy).clip(0, np.iinfo(dtype).max), np.rint(clean)
    return noisy.astype(dtype), clean.astype(dtype)


@pytest.mark.parametrize(
    ("dtype", "top", "low"), [(np.uint16, 20, 0), (np.int32, 900, 100), (np.float32, 30, -5)]
)
def test_the_range_is_what_the_reference_spans(dtype: type, top: float, low: float) -> None:
    noisy, clean = pair(dtype, top, low)
    found, span = hush.compare(noisy, clean), float(np.ptp(clean))
    a, b = noisy.astype(float), clean.astype(float)
    assert found["range"] == pytest.approx(span)
    assert found["psnr"] == pytest.approx(peak_signal_noise_ratio(b, a, data_range=span), abs=1e-4)
    window = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    similar = structural_similarity(b, a, data_range=span, **window)
    assert found["ssim"] == pytest.approx(similar, abs=1e-4)
    assert hush.psnr(noisy, clean) == pytest.approx(found["psnr"], abs=1e-4)
    assert found["psnr"] < 30  # not 56 dB, for a frame of 20 photons


def test_photographs_have_the_usual_range() -> None:
    noisy, clean = pair(np.uint8, 100)
    error = np.mean((noisy.astype(float) - clean) ** 2)
    assert hush.compare(noisy, clean)["psnr"] == pytest.approx(10 * np.log10(255**2 / error))
    assert hush.compare(noisy, clean)["range"] == 255
    noisy, clean = pair(np.float64, 0.4)
    assert hush.compare(noisy, clean)["range"] == 1
    assert extent(np.zeros((3, 3), np.uint16)).width == 65535  # which spans nothing


def test_a_range_may_be_stated() -> None:
    noisy, clean = pair(np.uint16, 4000)
    plain = hush.compare(noisy, clean)["psnr"]
    wide = hush.compare(noisy, clean, data_range="dtype")
    assert wide["range"] == 65535
    assert wide["psnr"] - plain == pytest.approx(20 * np.log10(65535 / 4000), abs=1e-4)
    stated = hush.compare(noisy, clean, data_range=8000)["psnr"]
    assert stated - plain == pytest.approx(20 * np.log10(2), abs=0.1)  # fewer values are clipped
    for wrong in (0, -1, float("nan")):
        with pytest.raises(HushError, match="above 0"):
            hush.compare(noisy, clean, data_range=wrong)
    with pytest.raises(HushError, match="do not depend on a range"):
        hush.compare(noisy[0], clean[0], kind="signal", data_range=1)


def test_volumes_have_their_highest_value_and_negative_ones_count() -> None:
    noisy, clean = pair(np.int16, 3000)
    assert hush.compare(noisy[None], clean[None], kind="volume")["range"] == 3000
    noisy, clean = (x - np.int16(1000) for x in (noisy, clean))
    found = hush.compare(noisy[None], clean[None], kind="volume")
    assert found["range"] == 3000
    worse = np.where(clean < -500, noisy + np.int16(500), noisy)
    assert hush.compare(worse[None], clean[None], kind="volume")["psnr"] < found["psnr"] - 2


def test_the_command_line_says_which_range(tmp_path: Path) -> None:
    for name, x in zip(("noisy", "clean"), pair(np.uint16, 500), strict=True):
        np.save(tmp_path / f"{name}.npy", x)
    files = [str(tmp_path / "noisy.npy"), str(tmp_path / "clean.npy")]

    def ran(*options: str) -> str:
        return CliRunner().invoke(main, ["compare", *files, *options]).output

    assert "500, what the reference spans" in " ".join(ran().split())
    assert "65,535, that of uint16" in " ".join(ran("--range", "dtype").split())
    row = json.loads(ran("--json"))
    assert row["range"] == 500
    assert row["psnr"] == pytest.approx(hush.compare(*files)["psnr"])
    assert json.loads(ran("--range", "1000", "--json"))["range"] == 1000
    assert "or dtype" in ran("--range", "-3")

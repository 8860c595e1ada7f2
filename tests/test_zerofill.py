"""Zero-filled Fourier space: found where it is, not found where it is not, and undone."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter, uniform_filter
from skimage import data

import hush
from hush.api import inspected
from hush.kinds.image.zerofill import FEWEST, acquired, resized
from hush.methods.diffdenoise import DiffDenoise
from hush.methods.mid.core import ValueMID
from hush.metrics import psnr
from hush.models import WEIGHTS
from hush.noise.processes import Gaussian
from hush.schedule import Schedule


def scan(size: tuple[int, int], sigma: float = 0.02, seed: int = 0) -> np.ndarray:
    """The magnitude of a smooth object under complex noise, ``(1, H, W)``."""
    rng = np.random.default_rng(seed)
    rows, columns = (np.linspace(-1, 1, n) for n in size)
    radius = np.hypot(rows[:, None], columns)
    body = gaussian_filter((radius < 0.7) * (0.6 + 0.3 * np.cos(9 * radius)), 1.0)
    noise = sigma * (rng.standard_normal(size) + 1j * rng.standard_normal(size))
    return (body + noise).astype(np.complex64)[None]


def filled(x: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Its Fourier components in the middle of a larger k-space of zeros, and the magnitude."""
    k = np.fft.fftshift(np.fft.fft2(x[0]))
    pad = [((m - n + 1) // 2, (m - n) // 2) for n, m in zip(k.shape, size, strict=True)]
    gain = np.prod(size) / k.size
    image = np.fft.ifft2(np.fft.ifftshift(np.pad(k, pad)))
    return (gain * np.abs(image))[None].astype(np.float32)


@pytest.mark.parametrize("own", [(256, 195), (181, 256), (199, 221), (160, 160)])
def test_a_scan_tells_how_far_it_was_filled_up(own: tuple[int, int]) -> None:
    found = acquired(filled(scan(own), (256, 256)))
    for n, m in zip(own, found, strict=True):
        assert n - 2 <= m <= n + 8 if n < 256 else m == 256


@pytest.mark.parametrize("name", ["camera", "brick", "grass", "coins", "moon", "page", "text"])
@pytest.mark.parametrize("sigma", [0.0, 0.05])
def test_photographs_and_white_noise_were_not_filled_up(name: str, sigma: float) -> None:
    x = getattr(data, name)()[None].astype(np.float32) / 255
    x = x + sigma * np.random.default_rng(0).standard_normal(x.shape).astype(np.float32)
    assert acquired(x) == x.shape[1:]
    assert acquired(gaussian_filter(x, (0, 1.5, 1.5))) == x.shape[1:]  # falls, but has no step


def test_what_cannot_be_told_stays_as_it_is() -> None:
    for shape in ((1, FEWEST - 1, 40), (1, 1, 1), (1, 1, 300), (3, 128, 128)):
        assert acquired(np.full(shape, 0.5, np.float32)) == shape[1:]
    gone = np.full((1, 128, 128), np.nan, np.float32)
    assert acquired(gone) == (128, 128)
    assert resized(gone, (128, 128)) is gone


def test_there_and_back_loses_only_what_was_filled() -> None:
    small = np.abs(scan((200, 150), sigma=0)).astype(np.float32)
    large = resized(small, (256, 256))
    assert large.shape == (1, 256, 256)
    assert large.dtype == np.float32
    assert large.mean() == pytest.approx(small.mean(), rel=1e-3)
    np.testing.assert_allclose(resized(large, (200, 150)), small, atol=2e-3)


def test_diffdenoise_works_on_the_acquired_grid(
    random_diffdenoise: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What its networks see has as many pixels as were acquired; its answer, as the file has."""
    model: DiffDenoise = random_diffdenoise(channels=1)  # type: ignore[operator]
    shapes = []

    def seen(self: DiffDenoise, x: np.ndarray) -> np.ndarray:
        shapes.append(x.shape)
        return 0.5 * x

    monkeypatch.setattr(DiffDenoise, "_student", seen)
    x = filled(scan((256, 195)), (256, 256))
    y = model.restore(x).data
    assert y.shape == x.shape
    ((_, rows, columns),) = shapes
    assert rows == 256
    assert 193 <= columns <= 203
    mean = x.mean()
    assert psnr(y, mean + 0.5 * (x - mean)) > 40  # all but the noise that was spread beyond


@pytest.mark.long
@pytest.mark.parametrize(
    ("scans", "most"), [(1, False), pytest.param(3, True, marks=pytest.mark.slow)]
)
def test_what_most_training_images_are_is_done_to_all(scans: int, most: bool) -> None:
    """And later on: one crop that seems zero-filled is not seen on another grid than the rest."""
    rng = np.random.default_rng(0)
    mri = filled(scan((96, 73)), (96, 96))
    others = [
        0.5 + 0.1 * rng.standard_normal((96, 96)).astype(np.float32) for _ in range(4 - scans)
    ]
    assert acquired(mri) != (96, 96)
    model = DiffDenoise(steps=1).fit(
        [mri[0]] * scans + others, schedule=Schedule(max_steps=8, batch=2, patch=16), device="cpu"
    )
    assert model.zero_filled is most
    shapes = []
    model._student = lambda x: shapes.append(x.shape) or x  # type: ignore[method-assign]
    model.restore(mri)
    assert (shapes[0] == mri.shape) is not most


def test_mid_works_on_the_acquired_grid_too() -> None:
    """Noise that zero-filling correlated is white again, and more of it goes."""
    clean = filled(scan((256, 195), sigma=0), (256, 256))
    x = filled(scan((256, 195), sigma=0.05), (256, 256))
    model = hush.load(WEIGHTS / "mid-gray.safetensors")
    body = clean > 0.3  # elsewhere what is left is the bias of magnitudes
    as_is, better = (
        f[body] - clean[body] for f in (ValueMID.restore(model, x).data, model.restore(x).data)
    )
    assert np.mean(better**2) < 0.9 * np.mean(as_is**2)


def test_inspection_says_what_was_acquired() -> None:
    x = filled(scan((256, 195), sigma=0.05), (256, 256))[0]
    (note,) = [n for n in inspected(hush.Record(x, "YX")).warnings if "zero-filled" in n]
    assert "of its 256 × 256 pixels" in note
    assert "zero-filled" in note


def test_what_needs_no_denoising_comes_back_as_it_was() -> None:
    x = filled(scan((256, 195)), (256, 256))
    np.testing.assert_array_equal(
        hush.load(WEIGHTS / "mid-gray.safetensors").restore(x, Gaussian(sigma=0.0)).data, x
    )


@pytest.mark.parametrize("quality", [20, 50, 90])
def test_jpeg_is_not_taken_for_zero_filling(quality: int) -> None:
    file = io.BytesIO()
    Image.fromarray(data.camera()).save(file, "JPEG", quality=quality)
    x = np.asarray(Image.open(file), np.float32)[None] / 255
    assert acquired(x) == x.shape[1:]


@pytest.mark.parametrize("blur", [0.7, 1.0, 1.5])
def test_print_and_photographs_are_not_zero_filled(blur: float) -> None:
    """Lines of print and motion blur make steps in a spectrum, too."""
    for picture in (data.page(), data.clock(), data.camera()):
        smooth = np.rint(gaussian_filter(picture.astype(float), blur)) / 255
        for x in (smooth, smooth[::2, ::2]):
            assert acquired(x[None].astype(np.float32)) == x.shape


@pytest.mark.parametrize("side", [2, 3, 5, 7])
@pytest.mark.parametrize("sigma", [0.0, 0.02, 0.08])
def test_means_over_pixels_are_not_taken_for_zero_filling(side: int, sigma: float) -> None:
    photo = data.camera() / 255
    noisy = photo + sigma * np.random.default_rng(0).standard_normal(photo.shape)
    smooth = uniform_filter(noisy, side).astype(np.float32)[None]
    assert acquired(smooth) == photo.shape
    stored = np.clip(np.rint(255 * smooth), 0, 255) / 255
    assert acquired(stored.astype(np.float32)) == photo.shape
    means = noisy.reshape(256, 2, 256, 2).mean((1, 3)).astype(np.float32)[None]
    assert acquired(means) == (256, 256)


def test_an_enlarged_picture_is_said_to_be_enlarged() -> None:
    photo = data.camera()[::2, ::2] + 5 * np.random.default_rng(0).standard_normal((256, 256))
    large = Image.fromarray(photo.astype("f4")).resize((512, 512), Image.Resampling.LANCZOS)
    small = acquired(np.asarray(large)[None] / 255)
    assert max(small) < 400
    record = hush.Record(np.asarray(large) / np.float32(255), "YX")
    (note,) = [n for n in inspected(record).warnings if "no more detail than" in n]
    assert "enlarged, or Fourier space was zero-filled" in note

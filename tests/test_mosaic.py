"""Mosaics of colour sensors: seen where they are, not seen where they are not, and put together."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter
from skimage import data

import hush
from hush import api, kinds
from hush.errors import HushError, Unfit
from hush.kinds.image import mosaic
from hush.kinds.image.choice import chosen
from hush.kinds.layout import laid_out
from hush.metrics import psnr
from hush.record import Record

IMAGE = kinds.get("image")
GAINS = {"r": 0.6, "g": 1.0, "b": 0.5}


def scene() -> np.ndarray:
    """A colour photograph ``(128, 128, 3)``, up to 1, with next to no noise."""
    colour = gaussian_filter(data.astronaut()[:256, 80:336].astype(float), (1, 1, 0))
    return colour[::2, ::2] / 255


def sampled(rows: tuple[str, ...], colour: np.ndarray | None = None) -> np.ndarray:
    """What a sensor with these colours, row by row, sees of the scene."""
    colour = scene() if colour is None else colour
    out = np.zeros(colour.shape[:2])
    side = len(rows)
    for i, row in enumerate(rows):
        for j, c in enumerate(row):
            place = (slice(i, None, side), slice(j, None, side))
            out[place] = GAINS[c] * colour[(*place, "rgb".index(c))]
    return out


def bayer(pattern: str) -> np.ndarray:
    return sampled((pattern[:2], pattern[2:]))


def seen(x: np.ndarray, axes: str = "YX") -> str:
    return mosaic.pattern_of(IMAGE.recognised(Record(x, axes)))


@pytest.mark.parametrize("pattern", mosaic.BAYER)
def test_a_mosaic_is_seen_by_its_lattice(pattern: str) -> None:
    rng = np.random.default_rng(1)
    clean = bayer(pattern)
    lattice = "xggx" if pattern in ("rggb", "bggr") else "gxxg"
    for bits in (8, 12, 16):
        noisy = rng.poisson(clean * 400) / 400 * (2**bits - 1)
        stored = np.clip(np.rint(noisy), 0, 2**bits - 1).astype("u1" if bits == 8 else "u2")
        assert seen(stored) == lattice
    assert seen((clean + 0.05 * rng.standard_normal(clean.shape)).astype("f4")) == lattice
    assert seen(clean[1:-2, :-1].astype("f4")) == {"xggx": "gxxg", "gxxg": "xggx"}[lattice]


def test_every_frame_of_a_stack_is_divided() -> None:
    x = bayer("rggb").astype("f4")
    stack = np.stack([np.zeros_like(x), 0.5 * x, x])
    record = IMAGE.recognised(Record(stack, "TYX"))
    assert mosaic.pattern_of(record) == "xggx"
    batch = IMAGE.batch(record)
    assert len(batch) == 12
    assert all(np.shares_memory(item, stack) for item in batch.data)
    np.testing.assert_array_equal(batch.data[8][0], x[::2, ::2])


def test_what_is_missing_does_not_count() -> None:
    x = bayer("grbg").astype("f4")
    x[:, :40] = np.nan
    assert seen(x) == "gxxg"
    known = np.isfinite(x)
    record = IMAGE.recognised(Record(np.where(known, x, -9999), "YX", mask=known))
    batch = IMAGE.batch(record)
    assert mosaic.pattern_of(record) == "gxxg"
    assert batch.mask is not None
    assert not batch.known(0)[:, :, :20].any()
    assert batch.known(3)[:, :, 20:].all()


def photograph() -> np.ndarray:
    return data.camera()[:256, :256] / 255.0


Y, X = np.mgrid[:256, :256]
OTHERS = {
    "photograph": photograph,
    "noise": lambda: np.random.default_rng(0).standard_normal((256, 256)),
    "photons": lambda: np.random.default_rng(0).poisson(0.03, (256, 256)).astype(float),
    "checkerboard over it": lambda: photograph() + 0.2 * ((X + Y) % 2),
    "columns": lambda: photograph() + 0.2 * (X % 2),
    "rows": lambda: photograph() + 0.2 * (Y % 2),
    "columns and rows": lambda: photograph() + 0.2 * (X % 2) + 0.1 * (Y % 2),
    "offsets of columns": lambda: (
        photograph() + 0.05 * np.random.default_rng(0).standard_normal(256)
    ),
    "interlaced": lambda: np.where(Y % 2, np.roll(photograph(), 5, 1), photograph()),
    "ordered dither": lambda: (
        photograph() > np.tile([[0.1, 0.6], [0.85, 0.35]], (128, 128))
    ).astype(float),
    "enlarged": lambda: np.kron(photograph()[::2, ::2], np.ones((2, 2))),
    "coarse steps": lambda: np.round(photograph() * 8),
    "slope in whole steps": lambda: np.rint(1200 + 3.1 * Y + 0.7 * X),
    "constant": lambda: np.ones((256, 256)),
    "text": lambda: data.page().astype(float),
}


@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize("sigma", [0.0, 0.05])
def test_other_pictures_are_not_taken_for_mosaics(name: str, sigma: float) -> None:
    x = OTHERS[name]()
    sigma *= name != "ordered dither"  # nobody adds noise to a halftone
    noisy = x + sigma * np.random.default_rng(2).standard_normal(x.shape)
    record = IMAGE.recognised(Record(noisy.astype("f4"), "YX"))
    assert "mosaic" not in record.context
    assert not mosaic.unfit(record)


@given(
    st.integers(2, 9), st.integers(2, 9), st.sampled_from(["YX", "QYX", "YXQ", "XQY"]), st.data()
)
def test_planes_are_put_together_again(h: int, w: int, axes: str, draw: st.DataObject) -> None:
    sizes = {"Y": h, "X": w, "Q": draw.draw(st.integers(1, 3))}
    shape = [sizes[a] for a in axes]
    x = np.arange(np.prod(shape), dtype="i4").reshape(shape)
    record = Record(x, axes, context={"mosaic": "rggb"})
    batch = IMAGE.batch(record)
    assert len(batch) == 4 * len(laid_out(x, axes, "YX"))
    assert sum(item.size for item in batch.data) == x.size
    np.testing.assert_array_equal(IMAGE.record(record, batch.data).data, x)


def test_the_planes_are_denoised_apart() -> None:
    clean = bayer("rggb")
    noisy = (clean + 0.03 * np.random.default_rng(1).standard_normal(clean.shape)).astype("f4")
    made = api.run(noisy, method="wiener", device="cpu", uncertainty=True)
    gray = api.run(noisy, method="wiener", device="cpu", context={"mosaic": "none"})
    assert made.estimate.process.family == "gaussian"
    assert made.estimate.sigma == pytest.approx(0.03, rel=0.1)
    assert psnr(made.data, clean) > max(psnr(noisy, clean), psnr(gray.data, clean)) + 1.5
    assert any("mosaic of a colour sensor" in note for note in made.warnings)
    assert ("mosaic", "RGGB or BGGR, its four planes separately") in IMAGE.facts(made, False)
    assert made.spread is not None
    assert made.spread.data.shape == noisy.shape == made.sigma_map.data.shape
    assert np.isfinite(made.spread.data).all()
    # the law is that of the planes, and nothing of the pattern is left in what was removed
    removed = made.removed.data
    assert np.abs(removed[:, ::2].mean() - removed[:, 1::2].mean()) < 0.005


def test_a_stated_mosaic_needs_no_lattice_and_has_one_channel() -> None:
    x = photograph()[:64, :64].astype("f4")
    made = hush.run(x, method="none", context={"mosaic": "bggr"})
    np.testing.assert_array_equal(made.data, x)
    assert ("mosaic", "BGGR, its four planes separately") in IMAGE.facts(made, False)
    with pytest.raises(HushError, match="one colour a pixel, not 3 channels"):
        hush.run(np.stack([x] * 3, -1), method="none", context={"mosaic": "bggr"})


@pytest.mark.parametrize("name", mosaic.STRANGE)
def test_mosaics_of_other_grids_are_refused(name: str) -> None:
    rows = mosaic.QUAD if name == "quad" else mosaic.XTRANS
    colour = gaussian_filter(data.astronaut().astype(float), (1, 1, 0))[:288, :288] / 255
    x = sampled(rows, colour).astype("f4")
    with pytest.raises(Unfit, match=rf"{mosaic.STRANGE[name]} mosaic .*--force"):
        hush.run(x, method="none")
    np.testing.assert_array_equal(hush.run(x, method="none", force=True).data, x)
    assert mosaic.STRANGE[name] in " ".join(hush.inspect(x)["warnings"])


def test_training_takes_the_planes() -> None:
    x = (255 * bayer("rggb")).astype("u1")
    record = IMAGE.recognised(Record(x, "YX"))
    planes = chosen([[record]], None, False).data
    assert len(planes) == 4
    np.testing.assert_array_equal(planes[1], x[::2, 1::2])
    takes = IMAGE.recognised(Record(np.stack([x, x]), "TYX"))
    scenes = chosen([[takes]], None, True).data
    assert [scene.shape for scene in scenes] == [(2, 64, 64)] * 4
    pair = chosen([[record, replace(record, data=x)]], None, False).data
    assert [len(both) for both in pair] == [2] * 4


def test_the_option_says_what_it_takes() -> None:
    assert mosaic.option(" RGGB") == "rggb"
    with pytest.raises(ValueError, match="rggb, bggr, grbg, gbrg or none, not 'rgb'"):
        mosaic.option("rgb")

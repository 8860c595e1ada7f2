"""Arrays of other packages come back as they were, denoised like the array that they hold."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dask.array as da
import h5py
import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr
import zarr
from astropy import units
from astropy.nddata import CCDData
from PIL import Image

import hush
from hush import kinds
from hush.errors import HushError
from hush.foreign import axes_of, taken
from hush.kinds.cut import float_items
from hush.methods import make
from hush.reading import record_of

FAST = {"method": "wiener", "noise": "gaussian:0.1"}


@pytest.fixture(scope="module")
def x() -> np.ndarray:
    rng = np.random.default_rng(0)
    ramp = np.add.outer(np.linspace(0, 1, 40), np.linspace(0, 1, 32))
    noisy: np.ndarray = (ramp + 0.1 * rng.standard_normal(ramp.shape)).astype(np.float32)
    return noisy


@pytest.fixture(scope="module")
def y(x: np.ndarray) -> np.ndarray:
    return hush.denoise(x, **FAST)


def test_a_masked_array_keeps_its_mask(x: np.ndarray) -> None:
    mask = np.zeros(x.shape, bool)
    mask[5:20, 8:30] = True
    results = []
    for garbage in (1e6, np.nan):
        noisy = np.where(mask, np.float32(garbage), x)
        result = hush.denoise(np.ma.masked_array(noisy, mask, fill_value=-7.0), **FAST)
        assert isinstance(result, np.ma.MaskedArray)
        assert (result.fill_value, result.dtype) == (-7, x.dtype)
        np.testing.assert_array_equal(result.mask, mask)
        np.testing.assert_array_equal(result.data[mask], noisy[mask])
        results.append(result.data[~mask])
    np.testing.assert_array_equal(*results)  # what is masked does not matter
    assert np.abs(results[0] - x[~mask]).max() < 0.5
    assert hush.denoise(np.ma.masked_array(x), **FAST).mask is np.ma.nomask
    other = make("wiener", "image").denoise(np.ma.masked_array(noisy, mask), "gaussian:0.1")
    np.testing.assert_array_equal(other.mask, mask)
    seen = hush.inspect(np.ma.masked_array(np.where(mask, np.float32(1e6), x), mask))
    assert seen["sigma"] < 0.2


def test_a_tensor_comes_back(x: np.ndarray, y: np.ndarray) -> None:
    whole = torch.tensor(x, requires_grad=True)
    result = hush.denoise(whole, **FAST)
    assert not result.requires_grad
    np.testing.assert_array_equal(result.numpy(), y)
    half = hush.denoise(whole.to(torch.bfloat16), **FAST)
    assert half.dtype == torch.bfloat16
    np.testing.assert_allclose(half.float().numpy(), y, atol=0.02)
    turned = hush.denoise(whole.T[None], **FAST)  # neither contiguous nor a plane
    assert turned.shape == (1, 32, 40)
    with pytest.raises(HushError, match="dense"):
        hush.denoise(whole.detach().to_sparse())


def test_an_xarray_comes_back_with_its_names(x: np.ndarray, y: np.ndarray) -> None:
    coords = {"lat": np.arange(40.0), "lon": np.arange(32.0)}
    noisy = xr.DataArray(x.T, dims=("lon", "lat"), coords=coords, attrs={"units": "K"}, name="t")
    result = hush.denoise(noisy, **FAST)
    assert (result.dims, result.attrs, result.name) == (("lon", "lat"), {"units": "K"}, "t")
    assert result.coords.equals(noisy.coords)
    np.testing.assert_array_equal(result.transpose("lat", "lon").values, y)
    lazy = hush.denoise(noisy.chunk(10), **FAST)
    np.testing.assert_array_equal(lazy.values, result.values)
    with pytest.raises(HushError, match="several arrays"):
        hush.denoise(noisy.to_dataset(), **FAST)
    holes = xr.where(noisy > noisy.mean(), noisy, -999).assign_attrs(_FillValue=-999.0)
    assert (record_of(holes).mask == (holes != -999)).all()
    times = np.arange(500) * np.timedelta64(4, "ms") + np.datetime64("2026-01-01")
    data = xr.DataArray(np.ones((500, 2)), dims=("time", "channel"), coords={"time": times})
    record = record_of(data)
    assert (record.kind, record.axes, record.context["rate"]) == ("signal", "TC", 250)


@pytest.mark.parametrize(
    ("names", "axes"),
    [
        ("y x", "YX"),
        ("band y x", "CYX"),
        ("y x band", "YXC"),
        ("time lat lon", "TYX"),
        ("Row Column", "YX"),
        ("run y x", "QYX"),
        ("channel time", "CT"),
        ("a b", None),
    ],
)
def test_axes_go_by_their_names(names: str, axes: str | None) -> None:
    assert axes_of(names.split()) == axes


def test_a_dask_array_comes_back_with_its_chunks(x: np.ndarray, y: np.ndarray) -> None:
    noisy = da.from_array(x, chunks=(16, 20))
    result = hush.denoise(noisy, **FAST)
    assert result.chunks == noisy.chunks
    np.testing.assert_array_equal(result.compute(), y)
    masked = hush.denoise(da.ma.masked_greater(noisy, 1.5), **FAST).compute()
    np.testing.assert_array_equal(masked.mask, x > 1.5)


def test_stored_arrays_are_read(x: np.ndarray, y: np.ndarray, tmp_path: Path) -> None:
    np.testing.assert_array_equal(hush.denoise(zarr.array(x, chunks=(16, 16)), **FAST), y)
    with h5py.File(tmp_path / "x.h5", "w") as file:
        dataset = file.create_dataset("x", data=np.stack([x, x], -1))
        for axis, name in zip(dataset.dims, "yxc", strict=True):
            axis.label = name
        assert record_of(dataset).axes == "YXC"
        result = hush.denoise(dataset, **FAST)
        with pytest.raises(HushError, match="several arrays"):
            hush.denoise(file)
    np.testing.assert_array_equal(result[..., 1], y)


def test_a_table_of_channels_comes_back() -> None:
    rng = np.random.default_rng(0)
    t = np.arange(1000) / 250
    noisy = pd.DataFrame(
        {
            "time": t,
            "ecg": np.sin(6 * t) + 0.1 * rng.standard_normal(1000),
            "counts": np.rint(100 * np.sin(5 * t) + 10 * rng.standard_normal(1000)).astype("i4"),
        }
    )
    record = record_of(noisy)
    assert (record.kind, record.axes, record.context["rate"]) == ("signal", "TC", 250)
    result = hush.denoise(noisy, method="wiener")
    assert isinstance(result, pd.DataFrame)
    pd.testing.assert_index_equal(result.columns, noisy.columns)
    assert list(result.dtypes) == list(noisy.dtypes)
    pd.testing.assert_series_equal(result.time, noisy.time)
    one = hush.denoise(noisy.ecg, method="wiener")
    assert one.name == "ecg"
    clean = np.sin(6 * t)
    assert np.std(one - clean) < 0.5 * np.std(noisy.ecg - clean)
    dated = noisy.ecg.set_axis(pd.date_range("2026-01-01", periods=1000, freq="2ms"))
    assert record_of(dated).context["rate"] == 500
    with pytest.raises(HushError, match="columns name do not hold numbers"):
        hush.denoise(noisy.assign(name="a"))


def test_pictures_and_quantities_come_back(x: np.ndarray, y: np.ndarray) -> None:
    gray = np.rint(100 + 60 * x).clip(0, 255).astype(np.uint8)
    expected = hush.denoise(gray, method="wiener", noise="gaussian:6")
    result = hush.denoise(Image.fromarray(gray), method="wiener", noise="gaussian:6")
    assert (result.mode, result.size) == ("L", (32, 40))
    np.testing.assert_array_equal(np.asarray(result), expected)
    alpha = Image.merge("LA", [Image.fromarray(gray), Image.fromarray(255 - gray)])
    np.testing.assert_array_equal(
        np.asarray(hush.denoise(alpha, method="wiener", noise="gaussian:6"))[..., 1], 255 - gray
    )
    with pytest.raises(HushError, match="mode P"):
        hush.denoise(Image.fromarray(gray).convert("P"))
    quantity = hush.denoise(x * units.mV, **FAST)
    assert (quantity.unit, quantity.dtype) == (units.mV, x.dtype)
    np.testing.assert_array_equal(quantity.value, y)
    mask = x > 1.8
    frame = hush.denoise(CCDData(x, unit="adu", mask=mask, meta={"EXPTIME": 3}), **FAST)
    assert (frame.unit, frame.meta["EXPTIME"]) == (units.adu, 3)
    np.testing.assert_array_equal(frame.mask, mask)
    np.testing.assert_array_equal(frame.data[mask], x[mask])


@pytest.mark.parametrize(
    "dtype", ["f2", "f8", ">f4", "i1", "i4", "i8", ">i8", "u4", "u8", ">u2", "longdouble"]
)
def test_every_type_of_number_comes_back(dtype: str, x: np.ndarray) -> None:
    noisy = (20 + 40 * x).astype(dtype)
    result = hush.denoise(noisy, method="wiener", noise="gaussian:4")
    assert result.dtype == noisy.dtype
    expected = hush.denoise(noisy.astype(np.float32), method="wiener", noise="gaussian:4")
    np.testing.assert_allclose(result.astype(float), expected, atol=0.51, rtol=1e-3)


def test_memory_order_does_not_matter(x: np.ndarray, y: np.ndarray) -> None:
    frozen = x.copy()
    frozen.flags.writeable = False
    wide = np.zeros((40, 64), np.float32)
    wide[:, ::2] = x
    for noisy in (frozen, np.asfortranarray(x), wide[:, ::2], x[::-1][::-1]):
        np.testing.assert_array_equal(hush.denoise(noisy, **FAST), y)
    np.testing.assert_array_equal(frozen, x)
    np.testing.assert_array_equal(
        hush.denoise(x.tolist(), **FAST), hush.denoise(x.astype(float), **FAST)
    )


@pytest.mark.parametrize(
    ("shape", "axes"),
    [
        ((64, 48, 2), "YXC"),
        ((64, 48, 8), "YXC"),
        ((7, 64, 48, 5), "QYXC"),
        ((64, 48, 3), "YXS"),
        ((3, 64, 48), "QYX"),
        ((8, 64, 48), "QYX"),
        ((64, 48, 32), "QYX"),
        ((64, 64), "YX"),
    ],
)
def test_a_short_last_axis_holds_channels(shape: tuple[int, ...], axes: str) -> None:
    assert kinds.get("image").axes(shape) == axes


def test_channels_last_are_images_of_their_own(x: np.ndarray, y: np.ndarray) -> None:
    result = hush.denoise(
        np.stack([x, x.T[:32, :32].repeat(2, 0)[:40], x], -1)[..., [0, 2]], **FAST
    )
    np.testing.assert_array_equal(result[..., 0], y)
    np.testing.assert_array_equal(result[..., 1], y)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (np.ones((20, 20), bool), "boolean mask"),
        (np.ones((20, 20), complex), "complex numbers"),
        (np.ones((20, 20), object), "Python objects"),
        (np.zeros(20, [("a", "f4"), ("b", "i4")]), r"fields \(a, b\); give one, such as x\['a'\]"),
        (np.array([["a", "b"]]), "text"),
        (np.zeros((20, 20), "M8[s]"), "dates"),
        (np.zeros((20, 20), "m8[s]"), "time spans"),
        (np.zeros((0, 20)), "empty"),
        (np.float32(1), "at least two dimensions"),
        (np.ones(20), "at least two dimensions.*state the kind"),
        (np.full((20, 20), np.nan), "nothing to denoise"),
        ([[1, 2], [3]], "not an array of numbers"),
        (None, "a NoneType, not an array"),
        ({}, "a dict, not an array"),
    ],
)
def test_what_cannot_be_denoised_gets_a_sentence(value: Any, said: str) -> None:
    for call in (
        lambda: hush.denoise(value, **FAST),
        lambda: make("wiener", "image").denoise(value),
    ):
        with pytest.raises(HushError, match=said):
            call()


def test_trainings_and_comparisons_take_them(x: np.ndarray) -> None:
    image = kinds.get("image")
    held = np.ma.masked_array(np.where(x > 1.9, 1e6, x), x > 1.9)
    (one,), (other,) = float_items(torch.tensor(x), image), float_items([held], image)
    np.testing.assert_array_equal(one[0], x)
    assert other.max() < 2  # filled
    found = hush.compare(torch.tensor(x), xr.DataArray(x + 0.1, dims=("y", "x")))
    assert found["psnr"] == pytest.approx(20 * np.log10(np.ptp(x) / 0.1), abs=1e-3)
    assert taken(x) is None
    assert taken("x.tif") is None


def test_values_that_mark_missing_ones_are_not_scored() -> None:
    clean = np.random.default_rng(0).random((24, 32), np.float32)
    arrays = [clean + np.float32(0.1), clean.copy()]
    for x in arrays:
        x[:4] = -9999
    made = [xr.DataArray(x, attrs={"_FillValue": np.float32(-9999)}) for x in arrays]
    assert hush.psnr(*made) == pytest.approx(hush.psnr(arrays[0][4:], arrays[1][4:]))

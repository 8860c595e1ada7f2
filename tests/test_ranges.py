"""Results keep the range of the data; on any pedestal there is room for the noise."""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import tifffile
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import hush
from hush import api, io, kinds
from hush.cli import main
from hush.denoiser import Denoiser
from hush.kinds.layout import to_stored
from hush.kinds.ranges import Extremes, ranged
from hush.noise.process import FAMILIES, parse
from hush.noise.processes import Gaussian, PoissonGaussian
from hush.record import Batch, Record
from hush.results import Restoration

QUIET = Gaussian(1e-3)


@dataclass
class Moved(Denoiser):
    """A method that moves all values, as ringing does with some."""

    by: float = 0.0
    name: ClassVar[str] = "moved"
    kinds: ClassVar[tuple[str, ...]] = ("image", "signal", "volume")

    def restore(self, x, noise=None, advance=None, found=None):  # type: ignore[no-untyped-def]
        return Restoration(x + np.float32(self.by), noise)


def scene(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    """A smooth ramp from 0 to 1 along every axis, with noise of σ 0.05."""
    ramps = np.meshgrid(*(np.linspace(0, 1, n) for n in shape), indexing="ij")
    rng = np.random.default_rng(seed)
    noisy: np.ndarray = sum(ramps) / len(shape) + 0.05 * rng.standard_normal(shape)
    return noisy


SHAPES = {"image": (48, 40), "signal": (2000,), "volume": (4, 24, 20)}
every_kind = pytest.mark.parametrize("kind", SHAPES)


def moved(x: np.ndarray, by: float, kind: str = "image") -> np.ndarray:
    return api.run(x, kind=kind, model=Moved.for_kind(kind, by=by), noise=QUIET).data


# -- limits ------------------------------------------------------------------------------------


@every_kind
@pytest.mark.parametrize("bits", [10, 12, 14])
def test_bits_that_a_camera_fills_are_not_left(bits: int, kind: str) -> None:
    top = 2**bits - 1
    x = np.rint(top * 1.2 * scene(SHAPES[kind])).clip(0, top).astype(np.uint16)
    y = moved(x, 0.01, kind)
    assert y.max() == top
    lower = x < top - 0.02 * 65535
    np.testing.assert_array_equal(y[lower], np.rint(x[lower] + 655.35))


def test_bits_kept_in_the_upper_ones_are_not_left() -> None:
    x = 16 * np.rint(4095 * 1.2 * scene((40, 40))).clip(0, 4095).astype(np.uint16)
    assert moved(x, 0.01).max() == 65520
    x = (x // 16).astype(np.uint16) * 4 + 3  # nor are those of data without a step
    assert moved(x, 0.01).max() == 16383


@every_kind
@pytest.mark.parametrize("top", [1, 255])
def test_floats_of_a_clipped_picture_stay_in_its_range(top: float, kind: str) -> None:
    x = (top * (1.2 * scene(SHAPES[kind]) - 0.1)).clip(0, top)
    assert moved(x, 0.1, kind).max() == top
    assert moved(x, -0.1, kind).min() == 0


@every_kind
def test_counts_do_not_become_negative(kind: str) -> None:
    x = np.random.default_rng(0).poisson(2 * scene(SHAPES[kind]).clip(0))
    for dtype in (np.float32, np.int64, np.int16, np.uint8):
        assert moved(x.astype(dtype), -0.9, kind).min() == 0


@every_kind
def test_values_that_are_negative_by_nature_are_not_clipped(kind: str) -> None:
    x = scene(SHAPES[kind]) - 0.5
    np.testing.assert_allclose(moved(x, 0.5, kind), x + 0.5, atol=1e-6)
    np.testing.assert_allclose(moved(x, -0.5, kind), x - 0.5, atol=1e-6)


def test_a_value_at_which_many_are_clipped_is_a_limit() -> None:
    x = np.rint(5000 * scene((64, 64))).clip(-700, 4000).astype(np.int16)
    assert moved(x, 0.01).max() == 4000
    x = np.where(x < -100, -100, x).astype(np.float32)
    assert moved(x, -50.0).min() == -100


@given(st.lists(st.integers(-(2**31), 2**31 - 1), min_size=1, max_size=20))
def test_limits_hold_all_values(values: list[int]) -> None:
    for dtype in (np.int64, np.int32, np.float64):
        x = np.array(values, dtype)[None, None]
        found = ranged(kinds.get("image"), Record(x[0], "YX"))
        assert found.limits is not None
        assert found.limits[0] <= x.min() <= x.max() <= found.limits[1]
        seen = Extremes.of(Batch(x[None]))
        assert seen is not None
        assert (seen.low, seen.high) == (x.min(), x.max())


def test_a_high_pass_filter_may_leave_the_range() -> None:
    x = np.abs(np.sin(np.arange(4000) * 0.5)) + 0.001
    y = api.run(x, kind="signal", method="highpass", context={"rate": 1000}).data
    assert y.min() < -0.3


# -- pedestals, tiny and huge values -----------------------------------------------------------


@every_kind
@pytest.mark.parametrize("pedestal", [1e6, -1e8])
def test_a_pedestal_costs_nothing(pedestal: float, kind: str) -> None:
    x = scene(SHAPES[kind])
    plain = api.run(x, kind=kind, method="wiener", noise="gaussian:0.05")
    result = api.run(x + pedestal, kind=kind, method="wiener", noise="gaussian:0.05")
    assert result.residual["rms"] == pytest.approx(plain.residual["rms"], rel=0.1)
    expected = plain.data
    atol = 1e-3 if kind == "signal" else 1e-2  # windows at the ends see another constant
    np.testing.assert_allclose(result.data - pedestal, expected, atol=atol)
    assert np.std(result.data - pedestal - expected) < 3e-3


@pytest.mark.parametrize(
    ("dtype", "pedestal"),
    [(np.int32, 10**9), (np.int64, 10**18), (np.uint64, 2**63 + 10**6), (np.int64, -(10**18))],
)
def test_integers_on_a_pedestal_are_restored_exactly(dtype: type, pedestal: int) -> None:
    x = np.rint(1000 * scene((48, 48))).astype(np.int64)
    high = (x.astype(object) + pedestal).astype(dtype)
    expected = api.run(x.astype(np.int32), method="wiener", noise="gaussian:50").data
    made = api.run(high, method="wiener").data
    differences = (made.astype(object) - pedestal - expected).astype(float)
    assert made.dtype == dtype
    assert np.abs(differences).max() < 15
    assert api.run(high, strength=0).data.tolist() == high.tolist()


def test_noise_on_a_pedestal_is_told_in_the_units_of_the_data() -> None:
    rng = np.random.default_rng(1)
    x = rng.poisson(200 * scene((96, 96)).clip(0.02)) / 200.0
    high = api.run(x + 1e6, method="wiener")
    noise = high.items[0].process
    assert isinstance(noise, PoissonGaussian)
    assert noise.offset == pytest.approx(1e6, abs=0.1)
    assert noise.gain == pytest.approx(1 / 200, rel=0.2)
    stated = api.run(x + 1e6, method="wiener", noise="poisson-gaussian:0.005,0,1000000")
    told = api.run(x, method="wiener", noise="poisson-gaussian:0.005,0")
    np.testing.assert_allclose(stated.data - 1e6, told.data, atol=1e-4)
    np.testing.assert_allclose(high.data - 1e6, api.run(x, method="wiener").data, atol=0.03)


def test_channels_of_a_recording_have_pedestals_of_their_own() -> None:
    x = np.stack([scene((3000,), seed) for seed in range(3)])
    pedestals = np.array([[0.0], [1e7], [-1e8]])
    options = {"kind": "signal", "method": "wiener", "noise": "gaussian:0.05"}
    expected = api.run(x, **options).data  # type: ignore[arg-type]
    made = api.run(x + pedestals, **options).data - pedestals  # type: ignore[arg-type]
    np.testing.assert_allclose(made, expected, atol=1e-3)


def test_the_same_methods_from_python() -> None:
    x = scene((48, 48))
    method = hush.load("mid-gray")
    expected = method.denoise(x, "gaussian:0.05")
    np.testing.assert_allclose(method.denoise(x + 1e7, "gaussian:0.05") - 1e7, expected, atol=1e-4)


@pytest.mark.parametrize(
    ("exponent", "kind"),
    [(-30, "image"), (-13, "signal"), (20, "image"), (20, "signal"), (-20, "volume")],
)
def test_units_do_not_matter(exponent: int, kind: str) -> None:
    x, unit = scene(SHAPES[kind]), 10.0**exponent
    expected = api.run(x, kind=kind, method="wiener", noise="gaussian:0.05")
    noise = f"gaussian:{0.05 * unit}"
    result = api.run(x * unit, kind=kind, method="wiener", noise=noise)
    np.testing.assert_allclose(result.data / unit, expected.data, atol=1e-4)
    sigma = result.estimate.sigma * result.noisy.scale / unit
    assert sigma == pytest.approx(expected.estimate.sigma, rel=1e-3)


@pytest.mark.parametrize(
    "spec", [s for f in FAMILIES.values() for s in f.examples if "-" not in s.partition(":")[2]]
)
def test_a_law_that_is_moved_says_the_same(spec: str) -> None:
    law, x = parse(spec), np.linspace(0.1, 1, 7)[None, None]
    if (other := law.moved(0.3)) is not None:
        np.testing.assert_allclose(other.variance(x - 0.3), law.variance(x), rtol=1e-5)


def test_stored_values_are_rounded_and_clipped() -> None:
    x = np.array([[[-1.0, 0.5, 2.0]]], np.float32)
    assert to_stored(x, np.dtype(np.uint8), 255).tolist() == [[[0, 128, 255]]]
    assert to_stored(x, np.dtype(np.uint16), 65535, (10, 4095)).tolist() == [[[10, 4095, 4095]]]
    high = to_stored(x, np.dtype(np.uint64), 10.0, None, 2**64 - 20)
    assert high.tolist() == [[[2**64 - 30, 2**64 - 15, 2**64 - 1]]]


# -- fewer bits than bytes ---------------------------------------------------------------------


@pytest.mark.parametrize("bits", [2, 4, 6, 10, 12, 14])
def test_packed_bits_of_tiff_files_come_back(bits: int, tmp_path: Path) -> None:
    top, whole = 2**bits - 1, np.uint8 if bits < 9 else np.uint16
    x = np.rint(top * scene((33, 31))).clip(0, top).astype(whole)
    tifffile.imwrite(tmp_path / "x.tif", x, bitspersample=bits)
    record = hush.read(tmp_path / "x.tif")
    assert record.full == top
    result = api.run(record, model=Moved(by=0.2), noise=QUIET, into=tmp_path / "y.tif")
    assert result.data.max() == top
    with tifffile.TiffFile(tmp_path / "y.tif") as file:
        assert file.pages.first.bitspersample == bits
        np.testing.assert_array_equal(file.asarray(), result.data)
    if bits == 4:  # which Pillow reads, too
        shown = np.array(Image.open(tmp_path / "y.tif"))
        np.testing.assert_array_equal(shown, 17 * result.data)
    io.write(record, tmp_path / "y.png")
    white = np.iinfo(whole).max
    shown = np.array(Image.open(tmp_path / "y.png"))
    np.testing.assert_array_equal(shown, np.rint(x * (white / top)))
    assert f"{bits} bits" in " ".join(io.notes(record, tmp_path / "y.png"))


def test_bits_of_a_big_endian_file_come_back(tmp_path: Path) -> None:
    """Packed samples have no order of bytes, and were written in that of the file's numbers."""
    x = np.random.default_rng(0).integers(0, 1024, (40, 48))
    packed = np.packbits((x[..., None] >> np.arange(10)[::-1] & 1).astype(np.uint8).ravel())
    tags = {256: 48, 257: 40, 258: 10, 259: 1, 262: 1, 273: 122, 277: 1, 278: 40, 279: packed.size}
    entries = b"".join(struct.pack(">HHII", code, 4, 1, value) for code, value in tags.items())
    head = b"MM\0*" + struct.pack(">IH", 8, len(tags)) + entries + bytes(4)
    (tmp_path / "x.tif").write_bytes(head + packed.tobytes())
    record = io.read(tmp_path / "x.tif")
    np.testing.assert_array_equal(record.data, x)
    io.write(record, tmp_path / "y.tif")
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "y.tif"), x)


@pytest.mark.parametrize("unit", [1e-8, 1.0, 1e12])
def test_the_command_line_states_levels_in_the_units_of_the_data(
    unit: float, tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    path = tmp_path / "a.npy"
    np.save(path, (unit * (scene((96, 96)) + rng.normal(0, 0.05, (96, 96)))).astype("f4"))
    options = ["--method", "wiener", "--json", "-o", str(tmp_path / "b.npy")]
    row = json.loads(CliRunner().invoke(main, ["denoise", str(path), *options]).stdout)
    assert row["sigma"] == pytest.approx(hush.inspect(path)["sigma"], rel=0.02)
    assert 0.02 * unit < row["removed_rms"] < 0.2 * unit


def test_noise_is_stated_in_the_units_of_large_integers(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x = (2**40 + 500 + 200 * scene((96, 96)) + rng.normal(0, 25, (96, 96))).astype(np.int64)
    np.save(path := tmp_path / "a.npy", x)
    out = tmp_path / "b.npy"
    options = ["--method", "wiener", "--noise", "gaussian:25", "-o", str(out)]
    assert CliRunner().invoke(main, ["denoise", str(path), *options]).exit_code == 0
    assert np.std(np.load(out) - x) > 15
    told = hush.run(x, method="wiener", noise="gaussian:25").data
    assert np.abs(np.load(out) - told).max() <= 1  # a rounded law


def test_the_highest_value_of_a_sensor_is_a_limit(tmp_path: Path) -> None:
    """MaxSampleValue of a TIFF file; if values are above it, it does not hold."""
    x = np.arange(64 * 64, dtype=np.uint16).reshape(64, 64) % 2901
    for most, high in ((3000, 3000), (2800, 4095)):
        tags = [(281, "H", 1, most, True)]
        tifffile.imwrite(tmp_path / "x.tif", x, extratags=tags)
        record = ranged(kinds.get("image"), io.read(tmp_path / "x.tif"))
        assert record.limits == (0, high)


@pytest.mark.parametrize("unit", [1e300, 1e-300])
def test_values_that_single_precision_has_not_are_judged(unit: float) -> None:
    x = unit * np.random.default_rng(0).normal(5, 1, (64, 64))
    made = hush.run(x, method="wiener")
    assert made.residual["n"] == x.size
    np.testing.assert_allclose(made.data / unit, hush.denoise(x / unit, method="wiener"), rtol=1e-5)


@pytest.mark.filterwarnings("error")
def test_infinite_neighbours_are_no_reason_to_warn() -> None:
    x = np.random.default_rng(0).normal(5, 1, (64, 64))
    x[8:16, 8:16] = np.inf
    made = hush.denoise(x, method="wiener")
    np.testing.assert_array_equal(np.isinf(made), np.isinf(x))

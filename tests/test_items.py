"""Items of a record: each is measured once, denoised, and judged by its own noise."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

import hush
from hush import api, kinds, reading
from hush.denoiser import Denoiser
from hush.kinds.image import Image
from hush.metrics import psnr
from hush.record import Record
from hush.results import Restoration

pytestmark = pytest.mark.usefixtures("one_thread")
SIGMAS = (0.02, 0.08, 0.04)


@dataclass
class Halving(Denoiser):
    """Takes half of every value off: what came of which item shows."""

    name: ClassVar[str] = "halving"
    summary: ClassVar[str] = ""
    citation: ClassVar[str] = ""

    def restore(self, x: np.ndarray, *_: Any, **__: Any) -> Restoration:
        return Restoration(x / 2)


@dataclass
class EverySecond(Denoiser):
    """Keeps every second element along the last axis; of bright items all, if `dark`."""

    dark: bool = False

    selects: ClassVar[bool] = True
    name: ClassVar[str] = "every-second"
    summary: ClassVar[str] = ""
    citation: ClassVar[str] = ""

    def restore(self, x: np.ndarray, *_: Any, **__: Any) -> Restoration:
        every = self.dark and x.mean() > 0.6
        return Restoration(x, kept=(np.arange(x.shape[-1]) % 2 == 0) | every)


def planes(sigmas: tuple[float, ...] = SIGMAS, side: int = 96) -> np.ndarray:
    """A smooth picture under white noise of each deviation, float32 ``(N, side, side)``."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:side, :side] / side
    clean = 0.5 + 0.3 * np.sin(4 * x) * np.cos(3 * y)
    noise = rng.standard_normal((len(sigmas), side, side))
    return (clean + np.reshape(sigmas, (-1, 1, 1)) * noise).astype(np.float32)


# -- every item by its own noise ---------------------------------------------------------------


def test_every_plane_is_measured_and_judged_by_itself() -> None:
    result = hush.run(planes(), method="none")
    assert [item.found.sigma for item in result.items] == pytest.approx(SIGMAS, rel=0.1)
    assert [item.index for item in result.items] == [0, 1, 2]
    assert result.noisiest is result.items[1]
    assert result.estimate.sigma == pytest.approx(0.08, rel=0.1)


@pytest.mark.parametrize("order", [slice(None), slice(None, None, -1)], ids=["first", "last"])
def test_an_empty_plane_does_not_speak_for_the_stack(order: slice) -> None:
    """Every MR volume begins with air."""
    stack = np.concatenate([np.zeros((1, 96, 96), np.float32), planes((0.08,))])[order]
    result = hush.run(stack)
    assert result.process.spec() == hush.run(stack[order][1:]).process.spec()
    assert result.residual["ratio"] == pytest.approx(1, abs=0.15)
    seen = hush.inspect(stack)
    assert seen["sigma"] == pytest.approx(result.estimate.sigma)


def test_an_item_is_measured_once(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    before = Image.measure

    def measure(self: Image, items: Any) -> Any:
        seen.append(len(items))
        return before(self, items)

    monkeypatch.setattr(Image, "measure", measure)
    hush.run(planes(), method="none")
    assert seen == [1, 1, 1]


def test_the_planes_of_a_stack_are_those_of_single_images() -> None:
    stack = planes()
    made = hush.run(stack).data
    for noisy, clean in zip(stack, made, strict=True):
        np.testing.assert_array_equal(clean, hush.run(noisy).data)


def test_channels_that_are_items_have_their_own_noise_too() -> None:
    result = hush.run(Record(planes(), "CYX"))
    assert [(item.index, item.channel) for item in result.items] == [(0, 0), (0, 1), (0, 2)]
    assert result.noisiest.channel == 1
    np.testing.assert_array_equal(result.data, hush.run(planes()).data)


def test_the_advice_is_on_the_plane_it_is_about() -> None:
    stack = planes((0.01, 0.01))
    noise = gaussian_filter(np.random.default_rng(1).standard_normal((96, 96)), 1.5)
    stack = np.concatenate([stack, 0 * stack[:1] + stack[0] + 0.1 * noise / noise.std()])
    result = hush.run(stack.astype(np.float32), method="none")
    said = ["correlated" in " ".join(item.warnings) for item in result.items]
    assert said == [False, False, True]
    assert "correlated" in result.warnings[0]


def test_other_items_with_warnings_are_counted() -> None:
    stack = planes((0.05, 0.02))
    result = hush.run(stack, method=None, model=Halving())
    assert all(item.warnings for item in result.items)
    assert "1 other item has warnings too" in result.warnings[-1]


def test_an_inspection_looks_all_over_the_stack() -> None:
    stack = np.concatenate([planes((0.01,) * 30, 48), planes((0.09,) * 10, 48)])
    assert hush.inspect(stack)["sigma"] == pytest.approx(0.09, rel=0.2)
    assert hush.inspect(stack[::-1])["sigma"] == pytest.approx(0.09, rel=0.2)


# -- what is not there -------------------------------------------------------------------------


def test_what_is_nan_is_not_measured() -> None:
    """A border of NaN: `inspect` and `denoise` see the same noise, and remove it."""
    clean, noisy = planes((0.0, 0.08), 128)
    noisy[:, :13] = np.nan
    result = hush.run(noisy)
    assert result.estimate.sigma == pytest.approx(0.08, rel=0.1)
    assert hush.inspect(noisy)["sigma"] == result.estimate.sigma
    assert np.isnan(result.data[:, :13]).all()
    gained = psnr(result.data[:, 13:], clean[:, 13:]) - psnr(noisy[:, 13:], clean[:, 13:])
    assert gained > 8


def test_what_a_mask_leaves_out_is_kept_to_the_bit() -> None:
    noisy = np.clip(planes((0.08,), 128)[0] * 255, 0, 255).astype(np.uint8)
    mask = np.ones(noisy.shape, bool)
    mask[:40] = False
    padded = np.where(mask, noisy, np.uint8(7))
    result = hush.run(Record(padded, "YX", mask=mask))
    assert (result.data[:40] == 7).all()
    assert result.estimate.sigma == pytest.approx(0.08, rel=0.15)
    assert (result.data[40:] != noisy[40:]).mean() > 0.5
    assert result.residual["n"] == mask.sum()


def test_a_result_may_have_fewer_elements() -> None:
    x = planes()
    np.testing.assert_array_equal(hush.run(x, model=EverySecond()).data, x[..., ::2])
    moved = Record(x.transpose(1, 0, 2), "YCX")
    np.testing.assert_array_equal(hush.run(moved, model=EverySecond()).data, moved.data[..., ::2])


def test_what_is_left_out_is_left_out_everywhere(tmp_path: Path) -> None:
    """Of the mask, the report, a file; but not at strength 0, and a stack needs equal numbers."""
    x = planes((0.05,))[0]
    mask = np.ones(x.shape, bool)
    mask[:8] = False
    result = hush.run(Record(x, "YX", mask=mask), model=EverySecond(), into=tmp_path / "a.npy")
    assert np.load(tmp_path / "a.npy").shape == (96, 48)
    result.report(tmp_path / "a.html")
    np.testing.assert_array_equal(hush.run(x, model=EverySecond(), strength=0).data, x)
    stack = np.stack([x, x + 0.5])
    for order in (stack, stack[::-1]):
        with pytest.raises(hush.HushError, match="keeps a different number of pixels"):
            hush.run(order, model=EverySecond(dark=True))


def test_an_unknown_plane_of_a_stack_stays(tmp_path: Path) -> None:
    x = planes()
    x[1] = np.nan
    result = hush.run(x)
    assert np.isnan(result.data[1]).all()
    np.testing.assert_array_equal(result.data[0], hush.run(x[0]).data)
    with pytest.raises(hush.HushError, match="there is nothing to denoise"):
        hush.run(x[1])


# -- ways in -----------------------------------------------------------------------------------


def test_arrays_records_and_files_are_one(tmp_path: Path) -> None:
    x = planes((0.05,))[0]
    np.save(tmp_path / "a.npy", x)
    results = [hush.run(source) for source in (x, Record(x, "YX"), tmp_path / "a.npy", x.tolist())]
    for result in results[:3]:
        np.testing.assert_array_equal(result.data, hush.denoise(x))
    np.testing.assert_allclose(results[3].data, results[0].data, atol=2e-3)


@pytest.mark.parametrize("dtype", ["int64", "uint64", "int32", "uint32", "int16", "uint8"])
def test_counts_of_any_integer_type(dtype: str) -> None:
    """64-bit integers have the range that they use: nobody counts to 9e18."""
    x = np.random.default_rng(0).poisson(60 * planes((0.0,))[0]).astype(dtype)
    result = hush.run(x)
    assert (result.data.dtype, result.data.shape) == (x.dtype, x.shape)
    if dtype in ("int64", "uint64", "uint8"):
        np.testing.assert_array_equal(result.data, hush.denoise(x.astype(np.uint8)))


def test_a_result_is_saved_reported_and_shown(tmp_path: Path) -> None:
    x = np.clip(planes((0.05,))[0] * 255, 0, 255).astype(np.uint8)
    result = hush.run(x)
    result.save(tmp_path / "a.png")
    np.testing.assert_array_equal(hush.read(tmp_path / "a.png").data, result.data)
    result.report(tmp_path / "a.html")
    assert "What was removed" in (tmp_path / "a.html").read_text()
    assert "srcdoc" in result._repr_html_()
    other = result.record.with_data(255 - result.data)
    hush.write(other, tmp_path / "b.png")
    np.testing.assert_array_equal(hush.read(tmp_path / "b.png").data, 255 - result.data)


def test_a_result_goes_into_the_file_itself(tmp_path: Path) -> None:
    """Item by item, where the format allows it: memory does not grow with the file."""
    x = planes()[:, :48, :48]
    record = Record(x, "ZYX")
    result = hush.run(record, into=tmp_path / "a.npy")
    assert isinstance(result.data, np.memmap)
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), hush.denoise(x))
    np.testing.assert_array_equal(result.data, np.load(tmp_path / "a.npy"))
    with pytest.raises(hush.HushError):
        hush.run(record, into=tmp_path / "b.npy", noise="gaussian:1e9")
    assert [p.name for p in tmp_path.iterdir()] == ["a.npy"]
    hush.run(record, into=tmp_path / "c.tif")
    np.testing.assert_array_equal(hush.read(tmp_path / "c.tif").data, result.data)
    moved = Record(np.ascontiguousarray(x.transpose(1, 2, 0)), "YXZ")
    np.testing.assert_array_equal(
        hush.run(moved, into=tmp_path / "d.npy").data, np.load(tmp_path / "d.npy")
    )


def test_the_range_of_twelve_bits_is_that_of_its_spread(random_diffdenoise: Any) -> None:
    x = (planes((0.05,))[0, :32, :32] * 4095).astype(np.uint16)
    record = Record(x, "YX", full=4095.0)
    result = hush.run(record, model=random_diffdenoise(draws=2), uncertainty=True)
    assert result.spread is not None
    assert result.spread.scale == 4095
    assert result.spread.data.dtype == np.float32
    item = random_diffdenoise(draws=2).denoise_item(kinds.to_batch(record), 0)[1]
    np.testing.assert_allclose(result.spread.data, item.spread[0], rtol=1e-5)


def test_what_a_file_is_decides_its_kind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its arrays, or an option that only one kind has; else it is an image."""

    class Other(Image):
        name = "other"
        options: ClassVar[Any] = {"tempo": kinds.Option(float, "")}
        keys = frozenset({"signal", "rate"})

        def from_arrays(self, arrays: Any) -> Record:
            rate = float(arrays["rate"])
            return Record(arrays["signal"], "YX", kind="other", context={"rate": rate})

    monkeypatch.setitem(kinds.KINDS._own, "other", f"{__name__}:OTHER")  # type: ignore[index]
    monkeypatch.setattr(kinds.Table, "__getitem__", _looked_up(kinds.Table.__getitem__, Other()))
    assert reading._kind_by_options({"tempo": 3.0}) == "other"
    assert reading._kind_by_options({"speed": 3.0}) is None
    assert reading._kind_by_options({}) is None
    np.save(tmp_path / "c.npy", np.zeros((8, 8)))
    assert api.read(tmp_path / "c.npy", context={"tempo": 3.0}).kind == "other"
    hush.write(Record(np.zeros((8, 8), np.uint8), "YX"), tmp_path / "c.png")
    with pytest.raises(hush.HushError, match="images have no --tempo; leave it out"):
        api.read(tmp_path / "c.png", context={"tempo": 3.0})
    np.savez(tmp_path / "a.npz", signal=np.zeros((8, 8)), rate=100.0)
    assert (hush.read(tmp_path / "a.npz").kind, api.read(tmp_path / "a.npz").context) == (
        "other",
        {"rate": 100.0},
    )
    np.savez(tmp_path / "b.npz", signal=np.zeros((8, 8)))
    assert hush.read(tmp_path / "b.npz").kind == "image"


def _looked_up(before: Any, other: Image) -> Any:
    return lambda table, name: other if name == "other" else before(table, name)

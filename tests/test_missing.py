"""Values that mean nothing here: found by tag or by themselves, kept to the bit, and seen by no
estimate; and what looks like them and is data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from click.testing import CliRunner
from scipy.ndimage import gaussian_filter

import hush
from hush.cli import main
from hush.kinds import get
from hush.kinds.gaps import gaps
from hush.kinds.layout import fill, with_gaps
from hush.kinds.voids import find
from hush.missing import Later, Missing, areas, exactly
from hush.reading import record_of
from hush.record import Record

SIDE = 96
Y, X = np.mgrid[:SIDE, :SIDE]
ROUND = np.hypot(Y - 48, X - 48) < 44
SMOOTH = gaussian_filter(np.random.default_rng(0).standard_normal((SIDE, SIDE)), 6)
SMOOTH = (SMOOTH - SMOOTH.min()) / np.ptp(SMOOTH)  # 0 to 1


def noisy(low: float, high: float, sigma: float, dtype: str, seed: int = 1) -> np.ndarray:
    x = low + (high - low) * SMOOTH
    x = x + sigma * np.random.default_rng(seed).standard_normal(x.shape)
    return (x if dtype[0] == "f" else np.rint(x)).astype(dtype)


def known(record: Record, index: int = 0) -> np.ndarray:
    record = record_of(record)
    return get(record.kind).batch(record).known(index)


def missing(x: np.ndarray) -> np.ndarray:
    """Where values of a plane are found missing."""
    return ~known(Record(x, "YX"))[0]


# -- found by value ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "low", "high", "sigma", "dtype"),
    [
        (-3024, -1000, 500, 40, "i2"),  # CT
        (-2000, -1000, 1500, 40, "i2"),  # no farther than the data span
        (-9999, 300, 900, 1.5, "f4"),
        (-3.4028235e38, 300, 900, 1.5, "f4"),
        (-1.7976931348623157e308, 300, 900, 1.5, "f8"),
        (1e20, 270, 300, 0.5, "f4"),
        (0, 1000, 2000, 50, "u2"),  # a registered stack
        (0, 60, 200, 10, "u1"),
        (0, -2, 2, 0.3, "f4"),  # among the data, which never have it
        (65535, 100, 4000, 30, "u2"),
    ],
)
def test_outside_a_round_field_is_found_to_the_pixel(
    value: float, low: float, high: float, sigma: float, dtype: str
) -> None:
    x = np.where(ROUND, noisy(low, high, sigma, dtype), np.asarray(value, dtype))
    np.testing.assert_array_equal(missing(x), ~ROUND)


@pytest.mark.parametrize("rows", [1, 2, 7])
def test_the_black_strip_of_a_shifted_frame_is_found(rows: int) -> None:
    x = noisy(500, 900, 30, "u2")
    x[:rows] = 0
    found = missing(x)
    assert found[:rows].all()
    assert not found[rows:].any()


def test_every_frame_has_its_own_strip() -> None:
    stack = np.stack([noisy(500, 900, 30, "u2", seed) for seed in range(3)])
    stack[1, :, :4] = stack[2, -3:] = 0
    record = record_of(Record(stack, "TYX"))
    batch = get("image").batch(record)
    for i, frame in enumerate(stack):
        np.testing.assert_array_equal(batch.known(i)[0], frame > 0)


def test_padding_of_colours_is_where_all_are_black() -> None:
    x = np.stack([noisy(60, 200, 10, "u1", seed) for seed in range(3)], axis=-1)
    x[20:60, 20:60, 0] = 0  # no red in a blue area
    x[~ROUND] = 0
    found = ~known(Record(x, "YXS"))
    np.testing.assert_array_equal(found, np.broadcast_to(~ROUND, found.shape))


def test_single_holes_are_found_by_a_usual_mark_alone() -> None:
    x = noisy(300, 900, 5, "f4")
    x[10, 10] = -9999
    assert np.argwhere(missing(x)).tolist() == [[10, 10]]
    x[10, 10] = 0  # a dead pixel
    assert not missing(x).any()


DARK = np.where(ROUND, SMOOTH + 0.3, 0.01)
BALL = 2000 - (Y - 48) ** 2 - (X - 48) ** 2
LOOKALIKES: dict[str, Any] = {
    "saturated clouds": lambda r: np.clip(noisy(0, 9e4, 800, "f8"), 0, 65535).astype("u2"),
    "shadows cut off at black": lambda r: np.clip(noisy(-60, 160, 6, "f8"), 0, 255).astype("u1"),
    "few photons": lambda r: r.poisson(0.03 + 0.2 * SMOOTH).astype("u2"),
    "next to none outside": lambda r: r.poisson(4 * DARK).astype("u2"),
    "a drawing": lambda r: np.where(ROUND, 200, 0).astype("u1") + (X // 24 % 2 * 20).astype("u1"),
    "a smooth picture": lambda r: np.clip(np.rint(300 * SMOOTH - 60), 0, 255).astype("u1"),
    "a ball in a depth map": lambda r: np.rint(
        np.where(BALL > 0, 900 - np.sqrt(np.abs(BALL)), 1200 + 3.1 * Y + 0.7 * X)
    ).astype("u2"),
    "labels": lambda r: (X // 24 + 4 * (Y // 24)).astype("u2"),
    "pepper": lambda r: np.where(r.random(X.shape) < 0.1, 0, noisy(60, 200, 9, "u1")),
    "hot pixels": lambda r: np.where(r.random(X.shape) < 0.01, 65535, noisy(60, 200, 9, "u2")),
    "noise alone": lambda r: r.standard_normal(X.shape).astype("f4"),
    "one value": lambda r: np.zeros(X.shape, "f4"),
}


@pytest.mark.parametrize("name", LOOKALIKES)
def test_data_that_look_like_padding_are_data(name: str) -> None:
    x = np.asarray(LOOKALIKES[name](np.random.default_rng(3)))
    assert not missing(x).any()


def test_no_value_of_a_compressed_picture_is_looked_for() -> None:
    x = np.where(ROUND, noisy(60, 200, 10, "u1"), 0).astype("u1")
    assert known(Record(x, "YX", context={"jpeg": None})).all()


def test_a_large_picture_is_looked_at_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    x = np.where(ROUND, noisy(1000, 2000, 50, "u2"), 0).astype("u2")
    monkeypatch.setattr("hush.kinds.voids.SAMPLED", X.size // 3)
    assert find(x[None]) == (Missing(0, 0, solid=True),)


# -- found by tag ------------------------------------------------------------------------------


def test_a_stated_value_is_missing_wherever_it_is(tmp_path: Path) -> None:
    x = noisy(300, 900, 5, "f4")
    x[::7, ::5] = 612.5
    tags = [(42113, 2, 0, "612.5", True)]
    tifffile.imwrite(tmp_path / "a.tif", x, metadata=None, extratags=tags)
    record = hush.read(tmp_path / "a.tif")
    assert record.missing == (exactly(612.5, x.dtype),)
    np.testing.assert_array_equal(known(record)[0], x != 612.5)
    hush.run(record, method="none").save(tmp_path / "b.tif")
    with tifffile.TiffFile(tmp_path / "b.tif") as file:
        assert file.pages[0].tags[42113].value == "612.5"
        np.testing.assert_array_equal(file.asarray()[::7, ::5], np.float32(612.5))


def holed(low: int = 300) -> np.ndarray:
    """A plane with single pixels of 7 and of 9, which nothing but a statement makes missing."""
    x = noisy(low, low + 500, 20, "i2")
    x[::7, ::5], x[3::7, 2::5] = 7, 9
    return x


def marked(path: Path, *values: float) -> tuple[np.ndarray, list[str]]:
    """Where values are missing as stated, and what is said of it."""
    record = hush.read(path, nodata=values)
    return ~known(record)[0], list(record.meta.get("notes", ()))


def test_the_users_values_are_missing_instead_of_the_files(tmp_path: Path) -> None:
    x, path = holed(), tmp_path / "a.tif"
    nodata = [(42113, 2, 0, "7", True)]
    tifffile.imwrite(path, x, extratags=nodata)
    np.testing.assert_array_equal(~known(hush.read(path))[0], x == 7)
    there, said = marked(path, 7)
    np.testing.assert_array_equal(there, x == 7)
    assert said == []
    there, said = marked(path, 9)
    np.testing.assert_array_equal(there, x == 9)
    assert said[0].startswith("The file says that 7 marks missing values")
    there, said = marked(path, 9, 7, np.nan)
    np.testing.assert_array_equal(there, np.isin(x, (7, 9)))
    assert said == []
    there, said = marked(path, 1e6)
    assert not there.any()
    assert "No int16 value is 1000000" in said[0]


def test_infinities_of_both_signs_are_looked_past() -> None:
    """Without a warning of numpy's, whose sum of both is no number."""
    x = np.array(SMOOTH[None], np.float32)
    x[0, 3, 4], x[0, 60, 7] = np.inf, -np.inf
    with np.errstate(all="raise"):
        assert find(x) == ()


def test_none_turns_the_search_off(tmp_path: Path) -> None:
    padded = np.where(ROUND, noisy(1000, 2000, 50, "u2"), 0).astype("u2")
    tifffile.imwrite(tmp_path / "a.tif", padded)
    assert not known(hush.read(tmp_path / "a.tif")).all()
    assert not marked(tmp_path / "a.tif")[0].any()


def test_a_stated_value_of_colours_is_one_of_all_three(tmp_path: Path) -> None:
    rgb = np.stack([holed(), holed(200), holed(100)], axis=-1).astype("u2")
    rgb[0, 0] = (7, 50, 60)
    tifffile.imwrite(tmp_path / "a.tif", rgb, photometric="rgb")
    np.testing.assert_array_equal(marked(tmp_path / "a.tif", 7)[0], (rgb == 7).all(axis=-1))


def test_values_of_every_kind_are_stated_on_the_command_line(tmp_path: Path) -> None:
    x, line = holed(), np.round(noisy(0, 1, 0.2, "f4"), 3)[:, :1]
    line[5::11] = -5
    tifffile.imwrite(tmp_path / "a.tif", x)
    np.save(tmp_path / "b.npy", np.tile(x, (2, 1, 1)))
    np.savetxt(tmp_path / "c.csv", line, fmt="%.3f")
    for name, value, kind in (("a.tif", "7", ()), ("b.npy", "9", ("--kind", "volume"))):
        told = run("denoise", tmp_path / name, "--nodata", value, "--method", "wiener", *kind)
        made = hush.read(tmp_path / name.replace(".", ".denoised.")).data
        whole = hush.read(tmp_path / name).data
        assert (made[whole == int(value)] == int(value)).all()
        assert not (made[whole == int("79".replace(value, ""))] % 2 == 1).all()
        assert f"{value}, which marks missing values" in told
    assert "9 samples are missing" in run("inspect", tmp_path / "c.csv", "--nodata", "-5")
    assert "is not a number" in run("inspect", tmp_path / "a.tif", "--nodata", "x")
    np.save(tmp_path / "d.npy", np.random.default_rng(0).standard_normal((99, 3)))
    refused = run("inspect", tmp_path / "d.npy", "--nodata", "0", "--kind", "points")
    assert "point sets have no missing values" in refused


def run(*argv: Any) -> str:
    result = CliRunner().invoke(main, [str(word) for word in (*argv, "-v")])
    return " ".join(result.output.split())


@pytest.mark.parametrize(
    ("value", "dtype", "held"),
    [
        (-9999, "i2", -9999),
        (-9999, "u2", None),
        (0.5, "u1", None),
        (np.nan, "f4", None),
        (-3.40282346600000016e38, "f4", np.finfo("f4").min),
        (-1.7976931348623157e308, "f4", np.finfo("f4").min),
        (0.1, "f4", np.float32(0.1)),
    ],
)
def test_what_a_type_can_hold_of_a_stated_value(value: float, dtype: str, held: Any) -> None:
    mark = exactly(value, np.dtype(dtype))
    if held is None:
        assert mark is None
    else:
        assert mark is not None
        assert mark.where(np.asarray([[held]], dtype)).all()


def test_zero_is_zero_and_nothing_beside_it() -> None:
    x = np.full((32, 32), 0.5, np.float32) + np.arange(32, dtype=np.float32) / 64
    x[3, 4] = 0
    record = Record(x, "YX", missing=(exactly(0.0, x.dtype),))
    assert "1 pixel is 0, which marks missing values" in hush.run(record, method="none").warnings[0]


# -- kept, and not seen ------------------------------------------------------------------------


@pytest.mark.parametrize("value", [0, -3024])
def test_what_is_kept_changes_nothing_else(value: int) -> None:
    """The value that marks missing pixels is kept, and no other pixel depends on it."""
    x = noisy(1000, 1400, 40, "i2")
    made = hush.run(Record(np.where(ROUND, x, value).astype("i2"), "YX"))
    assert (made.data[~ROUND] == value).all()
    other = hush.run(Record(np.where(ROUND, x, 1200).astype("i2"), "YX", mask=ROUND)).data
    np.testing.assert_array_equal(made.data[ROUND], other[ROUND])
    clean = 1000 + 400 * SMOOTH
    inner = np.hypot(Y - 48, X - 48) < 36
    error = made.data - clean
    # with neighbours on one side only, √2 times as much is to be expected
    assert error[ROUND & ~inner].std() < 1.5 * error[inner].std()
    assert made.estimate.sigma * 32767 == pytest.approx(40, rel=0.1)
    assert f"pixels are exactly {value:,}" in made.warnings[0]
    assert not made.removed.data[~ROUND].any()
    assert not made.sigma_map.data[~ROUND].any()


def test_a_line_is_filled_with_the_nearest_and_a_plane_is_mirrored() -> None:
    line = np.array([[1.0, 2, 3, 9, 9, 6, 7, 8]])
    ok = np.array([[True] * 3 + [False] * 2 + [True] * 3])
    assert fill(line, ok)[0].tolist() == [1, 2, 3, 3, 6, 6, 7, 8]
    plane = np.tile(np.arange(8.0), (5, 1))
    ok = np.ones_like(plane, bool)
    ok[:, 5:] = False
    assert fill(plane[None], ok[None])[0, 2].tolist() == [0, 1, 2, 3, 4, 3, 2, 1]
    volume, held = np.stack([plane, plane + 10, plane + 20]), np.stack([ok, ok, ok & False])
    made = fill(volume[None], held[None])[0]
    assert made[1, 2].tolist() == [10, 11, 12, 13, 14, 13, 12, 11]
    np.testing.assert_array_equal(made[2], made[1])


def test_scores_are_over_known_places() -> None:
    clean = noisy(1000, 1400, 0, "f4")
    span = float(np.ptp(clean[ROUND]))
    a = np.where(ROUND, clean + 3, -9999).astype("f4")
    b = np.where(ROUND, clean, -9999).astype("f4")
    b[0, 0] = a[0, 0] = -9999
    scores = hush.compare(Record(a, "YX"), Record(b, "YX"))
    assert scores["psnr"] == pytest.approx(20 * np.log10(span / 3), abs=0.01)


def test_training_sees_no_missing_values() -> None:
    x = np.where(ROUND, noisy(1000, 1400, 40, "i2"), -3024).astype("i2")
    (item,) = get("image").items([x])
    assert item.min() * 32767 > 800


# -- volumes and signals -----------------------------------------------------------------------


def test_a_zeroed_background_of_a_volume_is_missing() -> None:
    x = np.stack([noisy(400, 700, 20, "f4", seed) for seed in range(4)])
    volume = get("volume")
    batch = volume.batch(record_of(Record(np.where(ROUND, x, 0), "ZYX", kind="volume")))
    np.testing.assert_array_equal(batch.known(0)[0], np.broadcast_to(ROUND, x.shape))
    (said,) = volume.missing(batch, 0)
    assert "a mask or the scanner set the background to zero" in said
    found = volume.measure([with_gaps(batch, 0)])
    assert found.sigma == pytest.approx(20, rel=0.15)


def emg(seed: int = 0, count: int = 4096) -> np.ndarray:
    r, t = np.random.default_rng(seed), np.arange(count)
    return 0.05 * r.standard_normal(count) + (np.sin(t / 300) > 0.4) * r.standard_normal(count)


@pytest.mark.parametrize("value", [0.0, 6.0, None])
def test_a_flat_gap_is_found_and_kept(value: float | None) -> None:
    x = emg()
    x[1000:1400] = x[999] if value is None else value
    first = 999 if value is None else 1000
    assert gaps(x) == [(first, 1400)]
    record = record_of(Record(x[None], "CT", kind="signal", context={"rate": 1000.0}))
    batch = get("signal").batch(record)
    assert np.flatnonzero(~batch.known(0)[0]).tolist() == list(range(first, 1400))
    part = batch.piece(0, slice(1200, 1500)).piece(0, slice(100, 300))
    assert np.flatnonzero(~part.known(0)[0]).tolist() == list(range(100))
    assert np.isnan(with_gaps(batch, 0)).sum() == 1400 - first


@pytest.mark.parametrize(
    "x",
    [
        np.rint(5 * emg()),  # coarse steps
        np.clip(3 * emg(), -1, 1),  # cut off
        (np.sin(np.arange(4096) / 300) > 0) * 1.0,  # a square wave
        np.clip(np.sin(np.arange(4096) / 300), 0, None) * emg(1),  # comes to rest by and by
        np.rint(90 * np.sin(np.arange(4096) / 900)),  # slow
        np.zeros(4096),
    ],
)
def test_signals_at_rest_have_no_gaps(x: np.ndarray) -> None:
    assert gaps(x) == []


# -- parts -------------------------------------------------------------------------------------


def test_areas_are_blocks_and_what_hangs_together_with_them() -> None:
    there = ~ROUND
    np.testing.assert_array_equal(areas(there), there)
    speckled = there.copy()
    speckled[40:60:3, 40:60:3] = True
    np.testing.assert_array_equal(areas(speckled), there)
    assert not areas(np.eye(SIDE, dtype=bool)).any()


def test_later_makes_each_thing_once_and_when_asked() -> None:
    asked: list[int] = []
    things = Later(3, lambda i: asked.append(i) or i * i)
    assert len(things) == 3
    assert asked == []
    assert [things[2], things[-1], *things[1:]] == [4, 4, 1, 4]
    assert asked == [2, 1]


@pytest.mark.parametrize(
    ("value", "dtype"), [(2**64 - 1, "u8"), (2**63 - 1, "i8"), (-(2**63), "i8"), (2**53 + 1, "u8")]
)
def test_integers_of_64_bits_are_marked_exactly(value: int, dtype: str) -> None:
    x = np.array([[value, value - 1 if value > 0 else value + 100]], dtype)
    mark = exactly(value, x.dtype)
    assert mark is not None
    assert mark.where(x).tolist() == [[True, False]]


@pytest.mark.parametrize("sigma", [5, 12])
def test_a_gray_outside_of_8_bits_is_found(sigma: float) -> None:
    """Neighbours are more often equal there than in finer steps."""
    x = noisy(60, 200, sigma, "u1")
    assert not missing(x).any()
    x[~ROUND] = 128
    found = missing(x)
    assert found[~ROUND].all()
    assert found[ROUND].mean() < 0.01  # values that touch it may be the same


def test_large_integers_that_one_float_stands_for_are_no_areas() -> None:
    x = noisy(0, 900, 60, "i8")
    assert not missing(x + 2**60).any()
    x[20:40, :30] = -9999
    assert missing(x).sum() == 600


def test_the_command_line_reads_all_digits(tmp_path: Path) -> None:
    x = np.random.default_rng(0).integers(0, 100, (64, 64)).astype("u8")
    x[:8, :8] = 2**64 - 1
    np.save(tmp_path / "a.npy", x)
    out = tmp_path / "b.npy"
    said = run("denoise", tmp_path / "a.npy", "-o", out, "--nodata", str(2**64 - 1))
    assert "marks nothing" not in said
    np.testing.assert_array_equal(np.load(out)[:8, :8], x[:8, :8])

"""One contract for every format, and one for every kind of data: the whole tables."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hush import io, kinds
from hush.errors import HushError
from hush.kinds import KINDS, Kind
from hush.kinds.points import Points
from hush.noise.outliers import Outliers
from hush.noise.processes import Gaussian
from hush.record import Batch, Record
from hush.recording import Channel
from hush.results import Estimate, Restoration

FORMATS = list(io.FORMATS)
WRITTEN = [f for f in FORMATS if f.write]
DTYPES = ("uint8", "uint16", "float32")


def of_format(fmt: io.Format, dtype: str = "uint8") -> Record | None:
    """A record that the format holds, if it holds any of this dtype; DICOM needs a header."""
    data = np.random.default_rng(0).integers(0, 200, (24, 32)).astype(dtype)
    record = Record(data, "YX")
    try:
        fmt.check(record)
    except HushError:
        return None
    return record


def planes(record: Record) -> np.ndarray:
    """Its values as planes ``(..., Y, X)``, whatever the file's own order of axes."""
    made: np.ndarray = np.squeeze(kinds.to_batch(record).data)
    return made


@pytest.mark.parametrize("fmt", FORMATS, ids=lambda f: f.name)
def test_a_format_says_what_it_is(fmt: io.Format) -> None:
    assert fmt.name
    assert all(s.startswith(".") and s == s.lower() for s in fmt.suffixes)
    assert (fmt.write is None) == bool(fmt.why)
    assert bool(fmt.instead) == (fmt.write is None)
    assert fmt.kind is None or fmt.kind in KINDS


@pytest.mark.parametrize("fmt", [f for f in FORMATS if f.suffixes], ids=lambda f: f.name)
def test_what_is_damaged_gets_one_sentence(fmt: io.Format, tmp_path: Path) -> None:
    """A file that begins as one of the format does, and is nothing beyond."""
    path = tmp_path / f"broken{fmt.suffixes[0]}"
    path.write_bytes(b"\0" * fmt.offset + (fmt.magic or (b"",))[0] + b"\0" * 40)
    with pytest.raises(HushError) as refused:
        io.read(path)
    assert str(refused.value).startswith(f"{path}: ")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("fmt", WRITTEN, ids=lambda f: f.name)
def test_what_is_written_is_read_again(fmt: io.Format, dtype: str, tmp_path: Path) -> None:
    """To the bit, under any of its names, whatever the name says; and nothing else is there."""
    if (record := of_format(fmt, dtype)) is None:
        return  # the format's own sentence, which the tests of formats check
    for suffix in fmt.suffixes:
        path = tmp_path / f"a{suffix}"
        io.write(record, path)
        back = io.read(path)
        assert back.data.dtype.newbyteorder("=") == record.data.dtype
        assert back.axes == ("YX" if fmt.holds("image") else "XYZ")
        np.testing.assert_array_equal(planes(back), record.data)
        assert io.format_of(back) is fmt
        if path.is_dir():
            assert fmt.folder is not None
            assert fmt.folder(path, None)
        else:
            assert fmt.recognises(path.read_bytes()[:256], path)
        io.write(replace(back, source=None, data=back.data.copy()), path)
        np.testing.assert_array_equal(planes(io.read(path)), record.data)
        own = fmt.files(back, path) if fmt.files else [path]
        assert set(tmp_path.iterdir()) == set(own)
        for file in own:
            shutil.rmtree(file) if file.is_dir() else file.unlink()


@pytest.mark.parametrize("fmt", [f for f in WRITTEN if f.real], ids=lambda f: f.name)
def test_maps_of_real_numbers_are_held(fmt: io.Format, tmp_path: Path) -> None:
    x = np.linspace(-3e5, 3e-5, 12, dtype=np.float32).reshape(3, 4)
    io.write(Record(x, "YX"), tmp_path / f"a{fmt.suffixes[0]}")
    np.testing.assert_array_equal(planes(io.read(tmp_path / f"a{fmt.suffixes[0]}")), x)


@pytest.mark.parametrize("fmt", [f for f in WRITTEN if f.open], ids=lambda f: f.name)
def test_what_is_opened_is_written_item_by_item(
    fmt: io.Format, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hush.io.tiff.LARGE", 1)
    x = np.random.default_rng(0).random((3, 8, 9), np.float32)
    suffix = fmt.suffixes[-1]  # the plain one, where another is compressed
    path, record = tmp_path / f"a{suffix}", Record(x, "ZYX")
    with io.opened(record, path) as file:
        assert file is not None
        assert (file.shape, file.dtype.newbyteorder("=")) == (x.shape, x.dtype)
        for i, plane in enumerate(x):
            file[i] = plane
        assert not path.exists()
    np.testing.assert_array_equal(planes(io.read(path)), x)
    with pytest.raises(ZeroDivisionError), io.opened(record, tmp_path / f"b{suffix}"):
        _ = 1 / 0
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


RECORDINGS = [f for f in WRITTEN if f.kind == "signal"]


def recording() -> Record:
    """Two channels of whole numbers, which every format holds exactly."""
    x = np.random.default_rng(0).integers(-900, 900, (2, 400)).astype(np.float32)
    layout = (Channel("EMG 1", "uV", 100.0, 0, 400), Channel("EMG 2", "mV", 100.0, 400, 400))
    return Record(x, "CT", kind="signal", context={"layout": layout, "events": ()})


def signals(record: Record) -> list[tuple[str, str, float | None, list[float]]]:
    """Name, unit, rate and samples of each channel that is a signal."""
    layout = record.context["layout"]
    return [
        (c.name.removesuffix(f" ({c.unit})"), c.unit, c.rate, c.of(record.data).tolist())
        for c in layout
        if c.signal
    ]


@pytest.mark.parametrize("fmt", RECORDINGS, ids=lambda f: f.name)
def test_a_recording_is_written_and_read_again(fmt: io.Format, tmp_path: Path) -> None:
    """Names, units, rates and samples; and what was read comes back byte by byte."""
    record = recording()
    for suffix in fmt.suffixes:
        path = tmp_path / f"a{suffix}"
        assert io.notes(record, path) == []
        io.write(record, path)
        back = io.read(path)
        assert signals(back) == signals(record)
        assert io.format_of(back) is fmt
        raw = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
        assert {Path(name).stem for name in raw} == {"a"}
        assert (len(raw) > 1) == (fmt.files is not None)
        io.write(replace(back, source=None, data=back.data.copy()), path)
        assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == raw
        for name in raw:
            (tmp_path / name).unlink()


@pytest.mark.parametrize("fmt", RECORDINGS, ids=lambda f: f.name)
def test_a_recording_is_written_completely_or_not_at_all(
    fmt: io.Format, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A failure while files are renamed leaves none of them."""
    path = tmp_path / f"a{fmt.suffixes[0]}"
    replace_, calls = os.replace, [0]

    def broken(source: Path, target: Path) -> None:
        calls[0] += 1
        if Path(target).suffix == fmt.suffixes[0]:
            raise OSError(28, "No space left on device")
        replace_(source, target)

    monkeypatch.setattr(os, "replace", broken)
    with pytest.raises(HushError, match="disk is full"):
        io.write(recording(), path)
    assert calls[0] == (2 if fmt.files else 1)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("fmt", RECORDINGS, ids=lambda f: f.name)
def test_a_recording_that_is_cut_short_is_read_or_refused(fmt: io.Format, tmp_path: Path) -> None:
    """Wherever any of its files ends; never with an exception of a decoder."""
    path = tmp_path / f"a{fmt.suffixes[0]}"
    io.write(recording(), path)
    for file in list(tmp_path.iterdir()):
        raw = file.read_bytes()
        for share in np.linspace(0, 0.999, 23):
            file.write_bytes(raw[: int(share * len(raw))])
            with suppress(HushError):
                io.read(path)
        file.write_bytes(raw)


SETS = [f for f in WRITTEN if f.kind in ("points", "correspondences", "segments")]


@pytest.mark.parametrize("fmt", SETS, ids=lambda f: f.name)
def test_a_set_is_written_and_read_again(fmt: io.Format, tmp_path: Path) -> None:
    """As the kind that was stated; what was read comes back byte by byte, and so do its rows."""
    x = np.random.default_rng(0).integers(-900, 900, (9, 5)).astype(np.float64)
    for suffix in fmt.suffixes:
        path, other = tmp_path / f"a{suffix}", tmp_path / f"b{suffix}"
        io.write(Record(x, "NC", kind=str(fmt.kind), full=1.0), path)
        back = io.read(path, fmt.kind)
        assert (back.axes, back.kind, back.full) == ("NC", fmt.kind, 1.0)
        np.testing.assert_array_equal(back.data, x)
        assert io.format_of(back) is fmt
        io.write(back, other)
        assert other.read_bytes() == path.read_bytes()
        kept = x[:, 0] > 0
        io.write(replace(back, data=back.data[kept], meta={**back.meta, "kept": kept}), other)
        np.testing.assert_array_equal(io.read(other, fmt.kind).data, x[kept])


# -- kinds -------------------------------------------------------------------------------------

every_kind = pytest.mark.parametrize(
    "kind", [kinds.get(name) for name in KINDS], ids=lambda k: k.name
)
#: kinds whose noise is in their values, and those whose noise is a decision for each element
values = pytest.mark.parametrize(
    "kind", [k for k in map(kinds.get, KINDS) if not k.selected], ids=lambda k: k.name
)
sets = pytest.mark.parametrize(
    "kind", [k for k in map(kinds.get, KINDS) if isinstance(k, Points)], ids=lambda k: k.name
)


def values_of(kind: Kind, x: np.ndarray) -> np.ndarray:
    """Numbers between 0 and 1 as values that this kind of data may have."""
    return (4 + 20 * x).astype(np.uint8) if kind.name == "alignment" else x


def item(kind: Kind, side: int = 64, channels: int = 1) -> np.ndarray:
    """A smooth item under white noise of σ 0.1, float32."""
    shape = (channels, *[side] * len(kind.letters))
    ramp = np.indices(shape).sum(0) / sum(shape)
    return (ramp + np.random.default_rng(0).normal(0, 0.1, shape)).astype(np.float32)


@every_kind
def test_a_kind_says_what_it_is(kind: Kind) -> None:
    assert kinds.get(kind.name) is kind
    assert len(kind.nouns) == 2
    assert kind.letters
    assert kind.element


@every_kind
def test_a_layout_is_a_round_trip(kind: Kind) -> None:
    """Of any order of the axes; views of the data, and nothing is copied for the usual order."""
    axes = "Q" + "C" + kind.letters
    x = np.random.default_rng(0).random((2, 4, *range(5, 5 + len(kind.letters)))).astype("f4")
    x = values_of(kind, x)
    for order in (list(range(x.ndim)), list(reversed(range(x.ndim)))):
        moved = Record(x.transpose(order), "".join(axes[i] for i in order), kind=kind.name)
        batch = kind.batch(moved)
        items = x.reshape(8, 1, *x.shape[2:]) if kind.apart else x
        assert len(batch) == len(items)
        np.testing.assert_array_equal(batch.data, items)
        np.testing.assert_array_equal(kind.record(moved, np.asarray(batch.data)).data, moved.data)
    batch = kind.batch(Record(x, axes, kind=kind.name))
    assert all(np.shares_memory(item, x) for item in batch.data)


@every_kind
def test_a_mask_is_laid_out_as_the_data_are(kind: Kind) -> None:
    x = item(kind, channels=4)
    mask, x = x > 0.5, values_of(kind, np.clip(x, 0, 1))
    record = Record(x, f"C{kind.letters}", kind=kind.name, mask=mask)
    batch = kind.batch(record)
    apart = batch.channelwise()
    if not kind.apart:
        np.testing.assert_array_equal(batch.known(0), mask)
    assert len(apart) == 4
    np.testing.assert_array_equal(apart.known(1)[0], mask[1])


@every_kind
def test_other_axes_get_a_sentence(kind: Kind) -> None:
    axes = "QIPRL"[: len(kind.letters)]
    with pytest.raises(HushError, match=f"{kind.nouns[1]} need axes"):
        kind.batch(Record(np.zeros([4] * len(axes)), axes, kind=kind.name))


@values
def test_white_noise_is_measured_and_its_removal_judged(kind: Kind) -> None:
    x = item(kind, round(16_384 ** (1 / len(kind.letters))))  # as many samples along any axes
    found = kind.measure([x])
    assert found.sigma == pytest.approx(0.1, rel=0.15)
    assert not found.correlated
    clean = x - np.random.default_rng(0).normal(0, 0.1, x.shape).astype(np.float32)
    good = kind.judge(x, clean, Gaussian(0.1), strength=1.0, scale=1.0)
    assert good.warnings == ()
    assert good.stats["ratio"] == pytest.approx(1, abs=0.1)
    nothing = kind.judge(x, x, Gaussian(0.1), strength=1.0, scale=1.0)
    assert "Nothing was removed" in nothing.warnings[0]
    for wrong in (0.03, 0.4):
        assert kind.judge(x, clean, Gaussian(wrong), strength=1.0, scale=1.0).warnings


@values
def test_windows_are_drawn_and_a_part_is_held_out(kind: Kind) -> None:
    from hush.kinds.cut import hold_out

    items = kind.items([x[0] for x in (item(kind), item(kind, 48))])
    training, held_out = hold_out(items, 32)
    assert all(len(t[0]) < len(x[0]) for t, x in zip(training, items, strict=True))
    drawn, indices = kind.patches(training, 16).draw(50, np.random.default_rng(0))
    assert drawn.shape == (50, 1, *[16] * len(kind.letters))
    assert set(indices) == {0, 1}
    again, _ = kind.patches(training, 16).draw(50, np.random.default_rng(0))
    np.testing.assert_array_equal(drawn, again)
    assert held_out


@sets
def test_a_share_of_outliers_is_not_measured_without_a_method(kind: Kind) -> None:
    found = kind.measure([np.random.default_rng(0).random((4, 50))])
    assert np.isinf(found.uncertainty)
    assert found.family == "outliers"


@sets
def test_what_was_removed_from_a_set_is_judged(kind: Kind) -> None:
    x = np.random.default_rng(0).random((4, 50))
    p = np.where(np.arange(50) < 40, 0.9, 0.2)
    seen = Estimate(Outliers(0.2), 0.2)  # measured: the probabilities are calibrated
    how = Restoration(x, Outliers(0.2), kept=p > 0.5, probability=p, found=seen)
    made = kind.judge(x, x[:, :40], Outliers(0.2), strength=1.0, scale=1.0, how=how)
    assert made.warnings == ()
    assert made.stats["rms"] == pytest.approx(0.2)
    assert made.stats["sure"] == pytest.approx(0.88)
    assert "10 of 50" in made.verdict
    assert "88 %" in made.verdict
    whole = kind.judge(x, x, Outliers(0.0), strength=1.0, scale=1.0)
    assert (whole.stats["kept"], whole.stats["sure"]) == (50, None)


@sets
def test_sets_are_drawn_by_their_indices(kind: Kind) -> None:
    rng = np.random.default_rng(0)
    items = kind.sets([rng.random((n, 4)) for n in (40, 50, 30)])  # type: ignore[attr-defined]
    source = kind.patches(items, 16)
    seeds, indices = source.draw(50, np.random.default_rng(0))
    assert seeds.shape == (50,)
    assert len(set(seeds.tolist())) == 50
    assert set(indices) == {0, 1, 2}
    assert source.draw(50, np.random.default_rng(0))[1] == indices


@sets
def test_scores_of_equal_sets_are_the_best(kind: Kind) -> None:
    x = np.random.default_rng(0).random((4, 50))
    assert set(kind.scores(x, x).values()) == {1.0}
    assert set(kind.scores(x, x + 1).values()) == {0.0}


@values
def test_scores_of_equal_items_are_the_best(kind: Kind) -> None:
    x = item(kind)
    equal, other = kind.scores(x, x), kind.scores(x, x + 0.1)
    first = next(iter(equal))
    assert np.isinf(equal[first])
    assert np.isfinite(other[first])
    assert kind.levels <= equal.keys()


def test_batches_of_items_of_several_sizes() -> None:
    batch = Batch([np.zeros((1, 4)), np.ones((1, 7))], scale=2.0)
    assert len(batch) == 2
    assert batch.floats(1).shape == (1, 7)
    assert batch.floats(1).max() == 0.5

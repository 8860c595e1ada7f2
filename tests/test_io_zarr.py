"""Zarr and OME-Zarr: what is read, and results that are stores like their inputs."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

import hush
from hush import io
from hush.cli import main
from hush.errors import HushError
from hush.io.zarr_chunks import block_means
from hush.record import Record

zarr = pytest.importorskip("zarr")

DOCUMENTS = {"zarr.json", ".zarray", ".zgroup", ".zattrs", ".zmetadata"}


def values(shape: Sequence[int], dtype: str = "int16", seed: int = 0) -> np.ndarray:
    x = np.random.default_rng(seed).integers(0, 1000, shape)
    return x.astype(dtype)


def plain(path: Path, data: np.ndarray, version: int = 3, **options: Any) -> Path:
    chunks = options.pop("chunks", tuple(max(1, n // 2) for n in data.shape))
    made = zarr.create_array(
        path,
        shape=data.shape,
        dtype=data.dtype,
        chunks=chunks,
        zarr_format=version,
        **options,
    )
    made[...] = data
    return path


def ome(
    path: Path,
    data: np.ndarray,
    axes: str = "zyx",
    version: int = 3,
    factors: Sequence[Sequence[int]] = (),
    scale: Sequence[float] | None = None,
    unit: str | None = "micrometer",
    group: str = "",
    **attributes: Any,
) -> Path:
    """An OME-Zarr image, 0.5 in Zarr 3 and 0.4 in Zarr 2, with lower resolutions."""
    types = {"t": "time", "c": "channel"}
    described = [
        {"name": a, "type": types.get(a, "space")}
        | ({"unit": unit} if unit and a not in types else {})
        for a in axes
    ]
    levels = [(1,) * data.ndim, *factors]
    steps = np.asarray(scale or (1.0,) * data.ndim)
    image = {
        "axes": described,
        "name": "a",
        "type": "gaussian",
        "metadata": {"method": "skimage"},
        "datasets": [
            {
                "path": f"{i}",
                "coordinateTransformations": [
                    {"type": "scale", "scale": (steps * np.asarray(f)).tolist()}
                ],
            }
            for i, f in enumerate(levels)
        ],
    }
    told = {"multiscales": [image], "omero": {"channels": [{"color": "FF0000"}]}}
    told = {"ome": {"version": "0.5", **told}} if version == 3 else told
    made = zarr.open_group(path, path=group, mode="a", zarr_format=version)
    made.attrs.update({**told, **attributes})
    for i, factor in enumerate(levels):
        part = data[tuple(slice(None, None, f) for f in factor)]
        level = made.create_array(
            f"{i}",
            shape=part.shape,
            dtype=data.dtype,
            chunks=tuple(max(1, n // 2) for n in part.shape),
            dimension_names=list(axes) if version == 3 else None,
        )
        level[...] = part
    return path


def documents(path: Path) -> dict[str, Any]:
    return {
        p.relative_to(path).as_posix(): json.loads(p.read_text())
        for p in path.rglob("*")
        if p.name in DOCUMENTS
    }


def result(path: Path, out: Path, change: int = 1) -> hush.Record:
    """Write a result that differs from the input by `change`."""
    record = hush.read(path)
    io.write(record.with_data((record.data + change).astype(record.data.dtype)), out)
    return hush.read(out)


# -- a result is like its input ----------------------------------------------------------------


def zipped(level: int = 3) -> Any:
    return zarr.codecs.GzipCodec(level=level)


CASES: list[tuple[int, str, Callable[[], dict[str, Any]]]] = [
    (2, "<i2", lambda: {"compressors": None, "order": "F"}),
    (2, ">i2", lambda: {"fill_value": -7, "attributes": {"who": {"is": [1, 2.5, None]}}}),
    (2, "<f4", lambda: {"chunk_key_encoding": {"name": "v2", "separator": "/"}}),
    (3, "uint8", lambda: {"compressors": zipped(), "dimension_names": ("z", None, "x")}),
    (3, "float64", lambda: {"fill_value": float("nan"), "chunks": (2, 3, 5)}),
    (3, ">u2", lambda: {"compressors": None}),
    (3, "int16", lambda: {"shards": (4, 6, 8), "chunks": (2, 3, 4), "fill_value": 3}),
]


@pytest.mark.parametrize(("version", "dtype", "options"), CASES, ids=[c[1] for c in CASES])
def test_an_array_keeps_all_but_its_values(
    version: int, dtype: str, options: Callable[[], dict[str, Any]], tmp_path: Path
) -> None:
    data = values((7, 12, 16), dtype)
    path = plain(tmp_path / "a.zarr", data, version, **options())
    record = hush.read(path)
    assert (record.kind, record.axes, record.meta["format"]) == ("volume", "ZYX", "Zarr")
    np.testing.assert_array_equal(record.data, data)
    assert record.data.dtype.newbyteorder("=") == data.dtype.newbyteorder("=")
    made = result(path, tmp_path / "b.zarr")
    np.testing.assert_array_equal(made.data, data + 1)
    assert documents(tmp_path / "a.zarr") == documents(tmp_path / "b.zarr")


@pytest.mark.parametrize("version", [2, 3])
def test_an_image_keeps_its_metadata_and_its_resolutions(version: int, tmp_path: Path) -> None:
    data = values((2, 9, 12, 16))
    factors = [(1, 1, 2, 2), (1, 2, 4, 4)]
    path = ome(tmp_path / "a.ome.zarr", data, "czyx", version, factors, (1, 3.0, 0.5, 0.25))
    record = hush.read(path)
    assert (record.kind, record.axes) == ("volume", "CZYX")
    assert record.context["spacing"] == pytest.approx((3e-3, 0.5e-3, 0.25e-3))
    made = result(path, tmp_path / "b.ome.zarr")
    np.testing.assert_array_equal(made.data, data + 1)
    for level, factor in enumerate(factors, 1):
        stored = zarr.open_array(tmp_path / "b.ome.zarr", path=f"{level}", mode="r")
        whole = tuple(slice(0, n) for n in stored.shape)
        np.testing.assert_array_equal(stored[...], block_means(data + 1, whole, factor))
    before, after = documents(path), documents(tmp_path / "b.ome.zarr")
    assert before.keys() == after.keys()
    root = "zarr.json" if version == 3 else ".zattrs"
    images = []
    for about in (before[root], after[root]):
        inner = about["attributes"]["ome"] if version == 3 else about
        images += inner["multiscales"]
    assert images[1].pop("type") == "mean"
    assert images[0].pop("type") == "gaussian"
    assert images[0].pop("metadata")  # of what is no longer there
    assert before == after
    assert io.notes(record, tmp_path / "c.zarr") == [
        "The lower resolutions are means of the result."
    ]


def test_resolutions_that_are_no_fractions_are_left_out(tmp_path: Path) -> None:
    data = values((8, 9, 10))
    path = ome(tmp_path / "a.zarr", data, factors=[(1, 2, 2), (3, 3, 3)])
    zarr.open_group(path)["1"].resize((8, 4, 7))
    zarr.consolidate_metadata(path)
    made = result(path, tmp_path / "b.zarr")
    np.testing.assert_array_equal(made.data, data + 1)
    about = documents(tmp_path / "b.zarr")
    assert set(about) == {"zarr.json", "0/zarr.json", "2/zarr.json"}
    (image,) = about["zarr.json"]["attributes"]["ome"]["multiscales"]
    assert [d["path"] for d in image["datasets"]] == ["0", "2"]
    assert sorted(zarr.open_group(tmp_path / "b.zarr").array_keys()) == ["0", "2"]
    (note,) = io.notes(hush.read(path), tmp_path / "c.zarr")
    assert "fewer resolutions" in note


@pytest.mark.parametrize(("count", "factor"), [(8, 2), (9, 2), (10, 4), (3, 5)])
def test_means_of_blocks(count: int, factor: int) -> None:
    x = values((count, 6), "float32")
    size = -(-count // factor)
    expected = [x[i * factor : (i + 1) * factor].mean(0) for i in range(size)]
    whole = block_means(x, (slice(0, size), slice(0, 6)), (factor, 1))
    np.testing.assert_allclose(whole, expected, rtol=1e-6)
    part = block_means(x, (slice(size - 1, size), slice(2, 4)), (factor, 1))
    np.testing.assert_array_equal(part, whole[size - 1 :, 2:4])
    odd = np.array([[1, 2], [4, 9]], np.uint8)
    np.testing.assert_array_equal(block_means(odd, (slice(0, 1),) * 2, (2, 2)), [[4]])


def test_missing_values_are_left_out_of_lower_resolutions(tmp_path: Path) -> None:
    data = np.full((4, 8, 8), 100, "i2")
    data[:, :3, :3] = -9999
    path = ome(tmp_path / "a.zarr", data, factors=[(1, 2, 2)])
    stored = zarr.open_array(path / "0", mode="r+")
    stored.attrs["_FillValue"] = -9999
    io.write(hush.read(path), tmp_path / "b.zarr")
    level = zarr.open_array(tmp_path / "b.zarr", path="1", mode="r")[0]
    np.testing.assert_array_equal(np.unique(level), [-9999, 100])
    assert (level == -9999).sum() == 1


# -- axes, kinds and context -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("axes", "shape", "letters", "kind"),
    [
        ("yx", (5, 6), "YX", "image"),
        ("zyx", (4, 5, 6), "ZYX", "volume"),
        ("tzyx", (3, 4, 5, 6), "CZYX", "volume"),
        ("tczyx", (3, 1, 4, 5, 6), "CQZYX", "volume"),
        ("tczyx", (3, 2, 4, 5, 6), "TCZYX", "volume"),
        ("tczyx", (3, 2, 1, 5, 6), "TCZYX", "image"),
        ("xyz", (6, 5, 4), "XYZ", "volume"),
    ],
)
@pytest.mark.parametrize("version", [2, 3])
def test_axes_by_name(
    axes: str, shape: tuple[int, ...], letters: str, kind: str, version: int, tmp_path: Path
) -> None:
    path = ome(tmp_path / "a.zarr", values(shape), axes, version)
    record = hush.read(path)
    assert (record.axes, record.kind) == (letters, kind)
    np.testing.assert_array_equal(result(path, tmp_path / "b.zarr").data, values(shape) + 1)


def test_time_points_are_a_series(tmp_path: Path) -> None:
    """Not a stack of volumes, each of which would be denoised alone."""
    data = values((3, 1, 4, 5, 6))
    record = hush.read(ome(tmp_path / "a.zarr", data, "tczyx"))
    batch = hush.kinds.get("volume").batch(record)
    assert np.shape(batch.data) == (1, 3, 4, 5, 6)
    np.testing.assert_array_equal(batch.data[0], data[:, 0])


@pytest.mark.parametrize(
    ("shape", "names", "letters", "kind"),
    [
        ((5, 6), None, "YX", "image"),
        ((50, 60, 3), None, "YXS", "image"),
        ((4, 5, 6), None, "ZYX", "volume"),
        ((3, 4, 5, 6), None, "CZYX", "volume"),
        ((2, 3, 4, 5, 6), None, "TCZYX", "volume"),
        ((6, 5, 4, 3), ("x", "y", "z", "time"), "XYZC", "volume"),
        ((4, 5, 6), ("plane", "Row", "COLUMN"), "ZYX", "volume"),
        ((4, 5, 6), ("a", "y", "x"), "ZYX", "volume"),
    ],
)
def test_axes_of_plain_arrays(
    shape: tuple[int, ...], names: Any, letters: str, kind: str, tmp_path: Path
) -> None:
    data = values(shape)
    plain(tmp_path / "a.zarr", data, dimension_names=names)
    told = {} if names is None else {"attributes": {"_ARRAY_DIMENSIONS": list(names)}}
    plain(tmp_path / "b.zarr", data, version=2, **told)
    for name in ("a.zarr", "b.zarr"):
        record = hush.read(tmp_path / name)
        assert (record.axes, record.kind) == (letters, kind)
        said = bool(record.meta["notes"])
        assert said == (len(shape) > 3 and names is None)
    assert hush.read(tmp_path / "a.zarr", axes=letters[::-1]).axes == letters[::-1]


@pytest.mark.parametrize("where", ["array", "group", "beside"])
def test_the_series_of_a_scanner(where: str, tmp_path: Path) -> None:
    data = values((6, 5, 4, 3))
    told = {"bvals": [0.0, 1000.0, 1000.0], "bvecs": [[0, 0, 0], [1, 0, 0], [0, 1, 0]]}
    path = tmp_path / "a.zarr"
    group = zarr.open_group(path, mode="w", attributes=told if where == "group" else {})
    made = group.create_array("dwi", data=data, attributes=told if where == "array" else {})
    if where == "beside":
        for key, value in told.items():
            group.create_array(key, data=np.asarray(value, np.float32))
    record = hush.read(path)
    assert record.axes == "XYZC"  # as many b-values as there are elements along the last axis
    np.testing.assert_array_equal(record.context["bvals"], told["bvals"])
    np.testing.assert_array_equal(record.context["bvecs"], told["bvecs"])
    result(path, tmp_path / "b.zarr")
    assert documents(path) == documents(tmp_path / "b.zarr")
    again = hush.read(tmp_path / "b.zarr")
    np.testing.assert_array_equal(again.context["bvecs"], told["bvecs"])
    np.testing.assert_array_equal(again.data, made[...] + 1)


# -- which array -------------------------------------------------------------------------------


def test_several_arrays_are_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "a.zarr"
    group = zarr.open_group(path, mode="w")
    one, two = values((4, 5, 6)), values((3, 5, 6), seed=1)
    group.create_array("one", data=one)
    group.create_group("in").create_array("two", data=two)
    with pytest.raises(HushError, match=r"holds 2 arrays \(in/two, one\); choose one as a.zarr:in"):
        hush.read(path)
    with pytest.raises(HushError, match="has no array 'three', only in/two, one"):
        hush.read(f"{path}:three")
    for key, data in (("one", one), ("in/two", two), ("in", two)):
        record = hush.read(f"{path}:{key}")
        np.testing.assert_array_equal(record.data, data)
    out = tmp_path / "b.zarr"
    io.write(record, out)
    assert "does not have the other arrays of the store (one)" in io.notes(record, out)[0]
    assert set(documents(out)) == {"zarr.json", "in/zarr.json", "in/two/zarr.json"}
    np.testing.assert_array_equal(hush.read(out).data, two)


def test_an_image_is_read_and_not_its_labels(tmp_path: Path) -> None:
    data = values((4, 8, 6))
    path = ome(tmp_path / "a.zarr", data, factors=[(1, 2, 2)])
    ome(path, values((4, 8, 6), seed=2), group="labels/cells")
    np.testing.assert_array_equal(hush.read(path).data, data)
    np.testing.assert_array_equal(hush.read(f"{path}:labels/cells").data, values((4, 8, 6), seed=2))
    low = hush.read(f"{path}:1")
    np.testing.assert_array_equal(low.data, data[:, ::2, ::2])
    io.write(low, tmp_path / "b.zarr")
    (image,) = documents(tmp_path / "b.zarr")["zarr.json"]["attributes"]["ome"]["multiscales"]
    assert [d["path"] for d in image["datasets"]] == ["1"]
    np.testing.assert_array_equal(hush.read(tmp_path / "b.zarr").data, low.data)


def test_several_images_are_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "a.zarr"
    for name in "01":
        ome(path, values((4, 5, 6)), group=name, factors=[(1, 2, 2)])
    with pytest.raises(HushError, match=r"holds 2 images \(0, 1\); choose one as a.zarr:0"):
        hush.read(path)
    assert hush.read(f"{path}:1").data.shape == (4, 5, 6)


# -- other formats -----------------------------------------------------------------------------


def test_another_format_becomes_an_image(tmp_path: Path) -> None:
    data = values((70, 12, 10, 3), "float32").transpose(2, 1, 0, 3)  # X, Y, Z, C
    context = {
        "spacing": (3.0, 2.0, 1.5),
        "bvals": np.array([0, 1000, 1000.0]),
        "bvecs": np.array([[np.nan] * 3, [1, 0, 0], [0, 0.6, 0.8]]),
        "affine": np.diag([1.5, 2, 3, 1]),
        "zero": -7.0,
    }
    record = Record(data, "XYZC", kind="volume", context=context, meta={"format": "NIfTI"})
    io.write(record, tmp_path / "a.zarr")
    made = hush.read(tmp_path / "a.zarr")
    assert made.axes == "CZYX"
    np.testing.assert_array_equal(made.data, data.transpose(3, 2, 1, 0))
    assert made.context["spacing"] == (3.0, 2.0, 1.5)
    assert made.context.keys() == context.keys()
    assert made.context["zero"] == -7
    for key in ("bvals", "bvecs", "affine"):
        np.testing.assert_array_equal(made.context[key], np.nan_to_num(context[key]))  # type: ignore[arg-type]
    assert "no slope and no other metadata" in io.notes(record, tmp_path / "b.zarr")[0]
    about = documents(tmp_path / "a.zarr")
    ome_about = about["zarr.json"]["attributes"]["ome"]
    assert ome_about["version"] == "0.5"
    assert [a["type"] for a in ome_about["multiscales"][0]["axes"]] == ["channel"] + 3 * ["space"]
    assert about["0/zarr.json"]["dimension_names"] == ["c", "z", "y", "x"]


@pytest.mark.parametrize(
    ("axes", "shape"), [("YX", (5, 6)), ("YXS", (5, 6, 3)), ("QZYX", (2, 4, 5, 6))]
)
def test_images_and_stacks_too(axes: str, shape: tuple[int, ...], tmp_path: Path) -> None:
    record = Record(values(shape, ">u2"), axes)
    io.write(record, tmp_path / "a.zarr")
    made = hush.read(tmp_path / "a.zarr")
    assert made.data.size == record.data.size
    np.testing.assert_array_equal(np.sort(made.data.ravel()), np.sort(record.data.ravel()))


@pytest.mark.parametrize(
    ("axes", "shape", "kind"),
    [("CT", (2, 9), "signal"), ("NC", (5, 2), "points"), ("TQZYX", (1, 1, 1, 2, 2), "image")],
)
def test_what_a_store_cannot_hold(
    axes: str, shape: tuple[int, ...], kind: str, tmp_path: Path
) -> None:
    with pytest.raises(HushError, match=r"use another ending|once at most"):
        io.write(Record(np.zeros(shape, np.float32), axes, kind=kind), tmp_path / "a.zarr")
    assert not (tmp_path / "a.zarr").exists()


def test_a_result_of_another_type_is_a_new_image(tmp_path: Path) -> None:
    """Such as a map of float32 levels about an image of integers."""
    record = hush.read(ome(tmp_path / "a.zarr", values((4, 5, 6)), scale=(2, 1, 1)))
    io.write(record.with_data(record.data / np.float32(7)), tmp_path / "b.zarr")
    made = hush.read(tmp_path / "b.zarr")
    assert made.data.dtype == np.float32
    assert made.context["spacing"] == pytest.approx(record.context["spacing"])


# -- what is wrong -----------------------------------------------------------------------------


def test_damaged_stores(tmp_path: Path) -> None:
    path = plain(tmp_path / "a.zarr", values((4, 5, 6)))
    next(p for p in path.rglob("*") if p.parent.name == "0" and p.is_file()).write_bytes(
        b"nonsense"
    )
    with pytest.raises(HushError, match=r"a\.zarr: is a damaged or unsupported Zarr file"):
        hush.read(path)
    (path / "zarr.json").write_text("{")
    with pytest.raises(HushError, match=r"metadata that cannot be read, in zarr\.json"):
        hush.read(path)
    zarr.open_group(tmp_path / "b.zarr", mode="w")
    with pytest.raises(HushError, match="is a Zarr store without arrays"):
        hush.read(tmp_path / "b.zarr")
    (tmp_path / "c.zarr").mkdir()
    with pytest.raises(HushError, match="is a folder without a Zarr store"):
        hush.read(tmp_path / "c.zarr")
    path = ome(tmp_path / "d.zarr", values((4, 5, 6)), factors=[(1, 2, 2)])
    (path / "0" / "zarr.json").unlink()
    with pytest.raises(HushError, match="lacks the array '0'"):
        hush.read(path)
    with pytest.raises(HushError, match=r"is inside a Zarr store; give .*d\.zarr:1"):
        hush.read(path / "1")


def test_text_and_complex_numbers_are_refused(tmp_path: Path) -> None:
    group = zarr.open_group(tmp_path / "a.zarr", mode="w")
    group.create_array("k", data=np.zeros((2, 3, 4), np.complex64))
    group.create_array("s", data=np.array(["a", "b"]))
    with pytest.raises(HushError, match="complex samples"):
        hush.read(f"{tmp_path / 'a.zarr'}:k")
    with pytest.raises(HushError, match="rather than numbers"):
        hush.read(f"{tmp_path / 'a.zarr'}:s")


def test_without_zarr(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = plain(tmp_path / "a.zarr", values((4, 5, 6)))
    monkeypatch.setitem(sys.modules, "zarr", None)
    with pytest.raises(HushError, match=r"needs zarr: .*pip install .*\[medical\]'"):
        hush.read(path)
    with pytest.raises(HushError, match=r"needs zarr"):
        io.write(Record(np.zeros((4, 5), np.float32), "YX"), tmp_path / "b.zarr")


def test_a_write_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record = hush.read(plain(tmp_path / "a.zarr", values((4, 5, 6))))
    out = plain(tmp_path / "b.zarr", values((2, 2)))

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("hush.io.zarr.fill", full)
    with pytest.raises(HushError, match="the disk is full"):
        io.write(record, out)
    np.testing.assert_array_equal(zarr.open_array(out, mode="r")[...], values((2, 2)))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.zarr", "b.zarr"]


# -- the whole way -----------------------------------------------------------------------------


@pytest.mark.parametrize("version", [2, 3])
def test_the_command_line(version: int, tmp_path: Path) -> None:
    data = values((3, 6, 12, 16))
    path = ome(tmp_path / "a.ome.zarr", data, "tzyx", version, [(1, 1, 2, 2)])
    run = CliRunner().invoke(main, ["denoise", str(path), "--method", "none"])
    assert run.exit_code == 0, run.output
    made = tmp_path / "a.denoised.ome.zarr"
    np.testing.assert_array_equal(hush.read(made).data, data)
    assert set(documents(made)) == set(documents(path))
    again = ["denoise", str(path), "--method", "none", "-o", str(made)]
    assert "already exists" in CliRunner().invoke(main, again).output
    assert CliRunner().invoke(main, [*again, "--overwrite"]).exit_code == 0
    run = CliRunner().invoke(main, ["inspect", str(path), "--json"])
    assert run.exit_code == 0, run.output
    assert json.loads(run.stdout)["kind"] == "volume"


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="getrusage's peak is inherited")
@pytest.mark.long
def test_memory_does_not_grow_with_the_store(tmp_path: Path) -> None:
    """Five times the slices, 64 MiB more of int16 in and out: the peak stays where it was."""
    peaks = []
    for slices in (64, 320):
        path, out = tmp_path / f"a{slices}.zarr", tmp_path / f"b{slices}.zarr"
        made = zarr.create_array(
            path, shape=(4, slices, 128, 128), chunks=(1, 32, 64, 64), dtype="int16"
        )
        for c in range(4):
            made[c] = values((slices, 128, 128), seed=c)
        code = (
            "import hush, hush.recording\n"
            "from hush.kinds.volume import Volume\n"
            "Volume.piece, hush.recording.LARGE = 2**20, 2**20\n"
            f"hush.run({str(path)!r}, method='none', into={str(out)!r})\n"
            "status = open('/proc/self/status').read()\n"
            "print(int(status.partition('VmHWM:')[2].split()[0]) / 2**10)\n"
        )
        run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert run.returncode == 0, run.stderr
        peaks.append(float(run.stdout))
        stored = zarr.open_array(out, mode="r")
        np.testing.assert_array_equal(stored[3], made[3])
    assert peaks[1] < peaks[0] + 24, peaks


def test_a_link_to_the_store_itself_is_not_entered(tmp_path: Path) -> None:
    """Nor are there several arrays then, or endlessly many folders."""
    path = ome(tmp_path / "a.zarr", values((4, 5, 6)), factors=[(1, 2, 2)])
    for name in ("b", "c", "d"):
        (path / name).symlink_to(path, target_is_directory=True)
    np.testing.assert_array_equal(hush.read(path).data, values((4, 5, 6)))

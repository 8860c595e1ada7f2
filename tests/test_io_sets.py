"""Files of sets: PLY, PCD and text. Rows that stay are unchanged, and what is damaged is said."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hush import io
from hush.errors import HushError
from hush.io import pcd
from hush.record import Record

FLOATS = "property float x\nproperty float y\nproperty float z\n"
PLY = "ply\nformat {form} 1.0\nelement vertex {count}\n" + FLOATS + "end_header\n"
PCD = (
    "# .PCD v0.7 - Point Cloud Data file format\nVERSION 0.7\nFIELDS x y z\nSIZE 4 4 4\n"
    "TYPE F F F\nCOUNT 1 1 1\nWIDTH {count}\nHEIGHT 1\nVIEWPOINT 0 0 0 1 0 0 0\nPOINTS {count}\n"
    "DATA {form}\n"
)
LINES = ["0.10 2 3", "-4.5 5e0 6.000", "7  8 9", "nan nan nan", "0.10 2 3"]
VALUES = np.array([[0.1, 2, 3], [-4.5, 5, 6], [7, 8, 9], [np.nan] * 3, [0.1, 2, 3]])
KEPT = np.array([True, False, True, False, True])


def file(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def rows(*lines: str, end: str = "\n") -> str:
    return "".join(line + end for line in lines)


def filtered(record: Record, kept: Sequence[bool] | np.ndarray) -> Record:
    """What a method that removes rows returns."""
    mask = np.asarray(kept, bool)
    return replace(record, data=record.data[mask], meta={**record.meta, "kept": mask})


def written(record: Record, path: Path) -> bytes:
    io.write(record, path)
    return path.read_bytes()


def new(data: Any, kind: str = "points", **more: Any) -> Record:
    """A set that comes from no file."""
    return Record(np.asarray(data), "NC", kind=kind, full=1.0, **more)


# -- what every format does --------------------------------------------------------------------

TEXTS = {
    "a.xyz": rows(*LINES),
    "a.pts": rows("5", *LINES),
    "a.txt": rows("x y z", *LINES),
    "a.csv": rows("X,Y,Z", *(",".join(line.split()) for line in LINES), end="\r\n"),
    "a.tsv": "\ufeff// X\tY\tZ\n" + rows(*("\t".join(line.split()) for line in LINES)),
    "ascii.ply": PLY.format(form="ascii", count=5) + rows(*LINES),
    "ascii.pcd": PCD.format(form="ascii", count=5) + rows(*LINES),
    "binary.pcd": PCD.format(form="binary", count=5).encode() + VALUES.astype("<f4").tobytes(),
    "little.ply": PLY.format(form="binary_little_endian", count=5).encode()
    + VALUES.astype("<f4").tobytes(),
    "big.ply": PLY.format(form="binary_big_endian", count=5).encode()
    + VALUES.astype(">f4").tobytes(),
}


@pytest.mark.parametrize("name", TEXTS)
def test_a_file_is_read_and_comes_back(name: str, tmp_path: Path) -> None:
    path = file(tmp_path / name, TEXTS[name])
    record = io.read(path, "points")
    stored = VALUES.astype(record.data.dtype)  # float32 where the file is binary
    np.testing.assert_array_equal(record.data, stored)
    assert record.data.dtype == (np.float32 if name[:3] in ("big", "lit", "bin") else np.float64)
    assert record.data.dtype.isnative
    assert (record.axes, record.kind, record.full) == ("NC", "points", 1.0)
    assert record.context["coordinates"] == (0, 1, 2)
    result = io.output_path(path)
    assert result.name == f"{path.stem}.denoised{path.suffix}"
    assert io.notes(record, result) == []
    assert written(record, result) == path.read_bytes()


@pytest.mark.parametrize("name", TEXTS)
def test_rows_that_stay_are_unchanged(name: str, tmp_path: Path) -> None:
    path = file(tmp_path / name, TEXTS[name])
    raw, record = path.read_bytes(), io.read(path, "points")
    back = written(filtered(record, KEPT), tmp_path / f"b{path.suffix}")
    assert io.read(tmp_path / f"b{path.suffix}", "points").data.tobytes() == (
        record.data[KEPT].tobytes()
    )
    if "big" in name or "little" in name or "binary" in name:
        assert back.endswith(b"".join(raw[-60:][12 * i : 12 * i + 12] for i in (0, 2, 4)))
        return
    lines = raw.splitlines(keepends=True)
    below = [line for line, kept in zip(lines[-5:], KEPT, strict=True) if kept]
    assert back.splitlines(keepends=True)[-3:] == below
    above = b"".join(lines[:-5])
    if path.suffix == ".pcd":
        above = above.replace(b"WIDTH 5", b"WIDTH 3").replace(b"POINTS 5", b"POINTS 3")
    above = above.replace(b"vertex 5", b"vertex 3")
    assert back == (b"3\n" if path.suffix == ".pts" else above) + b"".join(below)


@pytest.mark.parametrize("name", TEXTS)
def test_no_row_may_stay(name: str, tmp_path: Path) -> None:
    path = file(tmp_path / name, TEXTS[name])
    record = io.read(path, "points")
    empty = filtered(record, np.zeros(5, bool))
    assert empty.data.shape == (0, 3)
    assert b"0.1" not in written(empty, tmp_path / f"b{path.suffix}")
    with pytest.raises(HushError):
        io.read(tmp_path / f"b{path.suffix}", "points")


@pytest.mark.parametrize("name", TEXTS)
def test_values_that_are_not_those_of_the_file_are_written(name: str, tmp_path: Path) -> None:
    """Moved points, other dtypes and other rows, whatever the metadata say."""
    path = file(tmp_path / name, TEXTS[name])
    record = io.read(path, "points")
    place = tmp_path / f"b{path.suffix}"
    moved = replace(record, data=record.data + 1)
    for other in (
        moved,
        replace(filtered(moved, KEPT), data=moved.data[~KEPT]),
        replace(record, data=record.data[:2]),
        filtered(filtered(record, KEPT), [True, False, True]),
        replace(record, data=record.data.astype("f2")),
    ):
        io.write(other, place)
        back = io.read(place, "points").data.astype(other.data.dtype)
        np.testing.assert_array_equal(back, other.data)


@pytest.mark.parametrize("suffix", [".ply", ".pcd", ".xyz", ".pts", ".txt", ".csv", ".tsv"])
@pytest.mark.parametrize("dtype", ["u1", ">i2", "i8", "u8", "f4", ">f8"])
def test_other_sets_are_written_plainly(suffix: str, dtype: str, tmp_path: Path) -> None:
    data = np.array([[1, 2], [3, 4], [100, 0]]).astype(dtype)
    data = data + np.array(0.1, dtype) if data.dtype.kind == "f" else data
    record, path = new(data), tmp_path / f"a{suffix}"
    io.write(record, path)
    back = io.read(path, "points")
    np.testing.assert_array_equal(back.data.astype(dtype), data)
    assert back.context["coordinates"] == (0, 1)
    assert written(back, tmp_path / f"b{suffix}") == path.read_bytes()
    assert back.data.dtype.kind == ("f" if data.dtype.kind == "f" else back.data.dtype.kind)


@pytest.mark.parametrize("suffix", [".ply", ".pcd", ".csv", ".txt"])
def test_coordinates_and_names_go_with_the_columns(suffix: str, tmp_path: Path) -> None:
    record = new(np.eye(4), meta={"fields": ("time", "E", "N", "x")})
    record = replace(record, context={"coordinates": (1, 2)})
    io.write(record, tmp_path / f"a{suffix}")
    back = io.read(tmp_path / f"a{suffix}", "points")
    assert back.meta["fields"] == ("time", "x", "y", "column4")
    assert back.context["coordinates"] == (1, 2)


def test_another_format_gets_the_values(tmp_path: Path) -> None:
    record = io.read(file(tmp_path / "a.csv", TEXTS["a.csv"]), "points")
    text = written(filtered(record, KEPT), tmp_path / "b.pts")
    assert text == b"3\n0.1 2.0 3.0\n7.0 8.0 9.0\n0.1 2.0 3.0\n"


COLOURED = (
    "ply\nformat ascii 1.0\nelement vertex 2\nproperty float x\nproperty float y\n"
    "property uchar red\nproperty int scan\nend_header\n0.5 2 255 -7\n1.5 4 0 8\n"
)


def test_columns_of_integers_stay_so_in_other_formats(tmp_path: Path) -> None:
    record = filtered(io.read(file(tmp_path / "a.ply", COLOURED)), [False, True])
    assert written(record, tmp_path / "b.xyz") == b"1.5 4.0 0 8\n"
    assert b"SIZE 4 4 1 4\nTYPE F F U I\n" in written(record, tmp_path / "b.pcd")
    other = io.read(tmp_path / "b.pcd")
    np.testing.assert_array_equal(other.data, record.data)
    assert b"property uchar red\nproperty int scan\n" in written(
        filtered(other, [True]), tmp_path / "c.ply"
    )
    large = replace(
        record, data=record.data + np.array([0, 0, 300, 0.5])
    )  # the types no longer hold them
    assert io.read(_saved(large, tmp_path / "d.ply")).data.tolist() == large.data.tolist()


def _saved(record: Record, path: Path) -> Path:
    io.write(record, path)
    return path


@pytest.mark.parametrize("name", TEXTS)
def test_whatever_is_cut_short_is_read_or_refused(name: str, tmp_path: Path) -> None:
    """In one sentence, and never as more rows than there are."""
    path = file(tmp_path / name, TEXTS[name])
    raw = path.read_bytes()
    for end in np.linspace(0, len(raw) - 1, 25).astype(int):
        path.write_bytes(raw[:end])
        said = ""
        try:
            assert len(io.read(path, "points").data) <= 5
        except HushError as refused:
            said = str(refused)
        assert said.startswith(f"{path}: "[: len(said)])
        assert "\n" not in said
        assert "unsupported" not in said


# -- which format ------------------------------------------------------------------------------


def test_text_is_a_set_if_the_kind_is_stated(tmp_path: Path) -> None:
    """And a recording as before if it is not; endings that only sets have need no kind."""
    path = file(tmp_path / "a.txt", rows("1 2 3 4", "5 6 7 9"))
    read = {kind: io.read(path, kind) for kind in (None, "points", "correspondences", "segments")}
    assert {kind: record.kind for kind, record in read.items() if kind} == {k: k for k in read if k}
    assert read[None].kind == "signal"
    assert {f.name for f in map(io.format_of, read.values()) if f} == {
        *("text in columns", "points in text", "matches in text", "segments in text")
    }
    for kind, record in read.items():
        assert written(record, tmp_path / f"{kind}.txt") == path.read_bytes()
    for suffix in (".xyz", ".pts"):
        assert io.read(file(tmp_path / f"a{suffix}", "1 2 3\n4 5 6\n")).kind == "points"


def test_a_folder_is_searched_for_the_stated_kind(tmp_path: Path) -> None:
    numbers = file(tmp_path / "a.txt", rows("1 2 3", "4 5 6"))
    words = file(tmp_path / "README.txt", "These are the words of a file.\n")
    cloud, molecule = file(tmp_path / "a.xyz", "1 2 3\n"), file(tmp_path / "b.xyz", "1\n\nC\n")
    assert [io.recognised(p, "points") for p in (numbers, words, cloud)] == [True, False, True]
    assert [io.recognised(p) for p in (numbers, words, cloud)] == [False, False, True]
    assert not io.recognised(molecule)


def test_what_a_file_is_goes_before_its_ending(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.eye(3))
    path = file(tmp_path / "a.txt", (tmp_path / "a.npy").read_bytes())
    assert io.read(path, "points").meta["format"] == "NumPy array"
    path = file(tmp_path / "b.txt", TEXTS["ascii.ply"])
    assert io.read(path, "points").meta["format"] == "PLY"


def test_sets_and_other_data_do_not_share_files(tmp_path: Path) -> None:
    points, image = new(np.eye(3)), Record(np.eye(3), "YX")
    for suffix in (".png", ".tif", ".edf", ".hea"):
        with pytest.raises(HushError, match="not sets; write"):
            io.check(points, tmp_path / f"a{suffix}")
    for suffix in (".ply", ".pcd", ".xyz", ".pts"):
        with pytest.raises(HushError, match="a set of points, and this is not one"):
            io.check(image, tmp_path / f"a{suffix}")
    for suffix in (".ply", ".pcd"):
        with pytest.raises(HushError, match="hold points, not correspondences"):
            io.check(new(np.ones((2, 4)), "correspondences"), tmp_path / f"a{suffix}")
        with pytest.raises(HushError, match="integers up to"):
            io.check(new(np.full((2, 2), 2**60)), tmp_path / f"a{suffix}")


# -- text --------------------------------------------------------------------------------------


def test_integers_stay_integers(tmp_path: Path) -> None:
    record = io.read(file(tmp_path / "a.xyz", rows("1 -2", "+3 40000000000")))
    assert record.data.dtype == np.int64
    assert record.data.tolist() == [[1, -2], [3, 40000000000]]
    assert io.read(file(tmp_path / "a.xyz", rows("1 2", "3 4.0"))).data.dtype == np.float64
    assert io.read(file(tmp_path / "a.xyz", rows("1 2", "3 nan"))).data.dtype == np.float64


def test_metres_of_a_map_keep_their_decimals(tmp_path: Path) -> None:
    lines = ["289814.15 4320978.61 170.76", "289814.64 4320978.84 170.76"]
    for name, head in (("a.xyz", ""), ("a.ply", PLY), ("a.pcd", PCD.replace("x y z", "X Y Z"))):
        path = file(tmp_path / name, head.format(form="ascii", count=2) + rows(*lines))
        x = io.read(path).data
        assert x.tolist() == [[float(cell) for cell in line.split()] for line in lines]


@pytest.mark.parametrize(
    ("head", "line", "names", "where"),
    [
        ("", "1 2", ("", ""), (0, 1)),
        ("", "1 2 3 4 5 6 7", ("",) * 7, (0, 1, 2)),
        ("id;y;x;z\n", "1,5;2,5;3;4", ("id", "y", "x", "z"), (2, 1, 3)),
        ("X,Y,Intensity\n", "1,2,3", ("X", "Y", "Intensity"), (0, 1)),
        ("//X Y Z R\n", "1 2 3 4", ("X", "Y", "Z", "R"), (0, 1, 2)),
        ("# made by hand\n\n", "1\t2\t3", ("", "", ""), (0, 1, 2)),
        ("index,E,N,H,w\n", "1,2,3,4,5", ("index", "E", "N", "H", "w"), (1, 2, 3)),
        (",0,1,2\n", "0,1.5,2.5,3.5", ("", "0", "1", "2"), (1, 2, 3)),
        ("0,1,2\n", "1.5,2.5,3.5", ("", "", ""), (0, 1, 2)),
        ('"x","y","class"\n', '1,2,"7"', ("x", "y", "class"), (0, 1)),
        ("id,E,N,H\n", "1,2,3,4", ("id", "E", "N", "H"), (1, 2, 3)),
        ("track_id,frame,E,N\n", "1,2,3,4", ("track_id", "frame", "E", "N"), (2, 3)),
        ("u,v\n", "1,2", ("u", "v"), (0, 1)),
        ("u,v,id\n", "1,2,3", ("u", "v", "id"), (0, 1, 2)),
        ("id,x [nm],y [nm],s\n", "1,2,3,4", ("id", "x [nm]", "y [nm]", "s"), (1, 2)),
        ("T,Points:0,Points:1\n", "1,2,3", ("T", "Points:0", "Points:1"), (1, 2)),
        ("E,N,nx,ny\n", "1,2,3,4", ("E", "N", "nx", "ny"), (0, 1, 2)),
    ],
)
def test_headers_name_the_coordinates(
    head: str, line: str, names: tuple[str, ...], where: tuple[int, ...], tmp_path: Path
) -> None:
    record = io.read(file(tmp_path / "a.csv", head + rows(line, line)), "points")
    assert record.meta["fields"] == names
    assert record.context["coordinates"] == where
    assert record.data.shape == (2, len(names))


def test_a_column_that_counts_the_rows_is_no_coordinate(tmp_path: Path) -> None:
    lines = [f"{i + 1} {i * 7 % 5}.5 {i * 3 % 7}.5 1" for i in range(20)]
    record = io.read(file(tmp_path / "a.xyz", rows(*lines)))
    assert record.context["coordinates"] == (1, 2, 3)
    assert "Column 1 counts the rows" in record.meta["notes"][0]
    for some in (lines[:9], lines[::-1], [line[:-6] for line in lines]):  # few, no count, a curve
        assert io.read(file(tmp_path / "a.xyz", rows(*some))).context["coordinates"][0] == 0


def test_numbers_of_matches_are_no_coordinates(tmp_path: Path) -> None:
    head = "query_id,train_id,E,N,e,n\n"
    record = io.read(file(tmp_path / "a.csv", head + rows(*["7,8,1,2,3,4"] * 3)), "correspondences")
    assert record.meta["fields"] == ("E", "N", "e", "n", "query_id", "train_id")
    assert record.data[0].tolist() == [1, 2, 3, 4, 7, 8]


def test_decimal_commas_beside_words(tmp_path: Path) -> None:
    text = "No;E;N;Code\n" + rows("1;2,5;3,5;TREE", "2;4,5;5,5;POLE", "3;6,5;7,5;TREE")
    record = io.read(file(tmp_path / "a.csv", text), "points")
    assert record.data.tolist() == [[1, 2.5, 3.5], [2, 4.5, 5.5], [3, 6.5, 7.5]]
    assert record.context["coordinates"] == (1, 2)


def test_a_first_point_of_0_1_2_is_not_a_header(tmp_path: Path) -> None:
    record = io.read(file(tmp_path / "a.xyz", rows("0 1 2", "0.5 1.5 2.5")))
    assert record.data.tolist() == [[0, 1, 2], [0.5, 1.5, 2.5]]
    assert record.meta["fields"] == ("", "", "")
    assert record.meta["notes"] == []
    record = io.read(file(tmp_path / "a.csv", rows("0,1,2", "0.5,1.5,2.5")), "points")  # of pandas
    assert record.data.tolist() == [[0.5, 1.5, 2.5]]
    assert "Line 1 is taken for the names of the columns" in record.meta["notes"][0]


def test_lines_between_rows_stay_where_they_are(tmp_path: Path) -> None:
    text = "# scan 1\n1 2 3\n\n4 5 6\n# scan 2\n7 8 9"
    record = io.read(file(tmp_path / "a.xyz", text))
    assert record.data.tolist() == [[1, 2, 3], [4, 5, 6], [7, 8, 9]]
    back = written(filtered(record, [True, False, True]), tmp_path / "b.xyz")
    assert back == b"# scan 1\n1 2 3\n\n# scan 2\n7 8 9"
    back = written(filtered(record, [True, False, False]), tmp_path / "b.xyz")
    assert back == b"# scan 1\n1 2 3\n\n# scan 2\n"


def test_columns_of_words_go_with_their_rows(tmp_path: Path) -> None:
    text = rows("x,y,what", "1,2,tree", "3,4,bush", "5,6,tree")
    record = io.read(file(tmp_path / "a.csv", text), "points")
    assert record.data.tolist() == [[1, 2], [3, 4], [5, 6]]
    assert record.meta["fields"] == ("x", "y")
    back = written(filtered(record, [False, True, False]), tmp_path / "b.csv")
    assert back == b"x,y,what\n3,4,bush\n"


@pytest.mark.parametrize(
    "text",
    [
        "1,2,3,\n4,5,6,\n",  # a separator at the end
        "\ufeff1,2,3\n4,5,6\n",
        "1 2 3 \r4 5 6 \r",
        "  1 2 3\n 4 5 6\n\n\n",
        " 2 \n1 2 3\n4 5 6",
        "# points\n2\n1;2;3\n4;5;6\n",
    ],
)
def test_texts_of_all_sorts(text: str, tmp_path: Path) -> None:
    path = file(tmp_path / "a.txt", text)
    record = io.read(path, "points")
    assert record.data.tolist() == [[1, 2, 3], [4, 5, 6]]
    assert written(record, tmp_path / "b.txt") == path.read_bytes()
    half = filtered(record, [False, True])
    io.write(half, tmp_path / "c.txt")
    assert io.read(tmp_path / "c.txt", "points").data.tolist() == [[4, 5, 6]]


def test_many_lines_are_read_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hush.io.rows_stored.CHUNK", 64)
    x = np.random.default_rng(0).normal(0, 1e6, (300, 4)).round(3)
    lines = [" ".join(map(str, row)) for row in x.tolist()]
    lines[100:100] = ["# between"]
    for end in ("\n", "\r\n"):
        record = io.read(file(tmp_path / "a.xyz", rows(*lines, end=end)))
        np.testing.assert_array_equal(record.data, x)
        kept = np.arange(300) % 7 == 0
        io.write(filtered(record, kept), tmp_path / "b.xyz")
        np.testing.assert_array_equal(io.read(tmp_path / "b.xyz").data, x[kept])
    with pytest.raises(HushError, match="line 202 has 'x' in column '3', not a number"):
        io.read(file(tmp_path / "a.xyz", rows(*lines[:201], "1 2 x 3", *lines[201:])))


# -- matches and segments ----------------------------------------------------------------------

HOMOGENEOUS = ["481.18 62.0609 1 150.4 90.7 1 0", "1.50 2 1 3 4 1 1", "5 6 1 7 8 1 2"]


def test_homogeneous_matches(tmp_path: Path) -> None:
    path = file(tmp_path / "a.txt", rows(*HOMOGENEOUS))
    record = io.read(path, "correspondences")
    assert record.data.tolist() == [
        *([481.18, 62.0609, 150.4, 90.7, 0], [1.5, 2, 3, 4, 1], [5, 6, 7, 8, 2])
    ]
    assert record.context["coordinates"] == (0, 1, 2, 3)
    assert "homogeneous" in record.meta["notes"][0]
    back = written(filtered(record, [True, False, True]), tmp_path / "b.txt")
    assert back == rows(HOMOGENEOUS[0], HOMOGENEOUS[2]).encode()
    short = file(tmp_path / "c.txt", rows(*(line[:-2] for line in HOMOGENEOUS)))
    assert io.read(short, "correspondences").data.shape == (3, 4)


def test_columns_that_are_not_all_1_are_kept(tmp_path: Path) -> None:
    path = file(tmp_path / "a.txt", rows(*HOMOGENEOUS[:2], "5 6 2 7 8 1 2"))
    record = io.read(path, "correspondences")
    assert record.data.shape == (3, 7)
    assert record.meta["notes"] == []
    path = file(tmp_path / "a.txt", rows(*HOMOGENEOUS))
    assert io.read(path, "points").data.shape == (3, 7)
    assert io.read(path, "segments").data.shape == (3, 7)


def test_matches_below_their_count(tmp_path: Path) -> None:
    lines = ["2128.64 1538.9 2425.91 1335.44 ", "2000.58 1010.02 2298.86 840.73 "]
    record = io.read(file(tmp_path / "a.txt", rows("2", *lines)), "correspondences")
    assert record.data.tolist() == [[float(cell) for cell in line.split()] for line in lines]
    back = written(filtered(record, [False, True]), tmp_path / "b.txt")
    assert back == rows("1", lines[1]).encode()


@pytest.mark.parametrize("kind", ["correspondences", "segments"])
def test_named_ends_come_first(kind: str, tmp_path: Path) -> None:
    text = rows("score,x1,x2,y1,y2", "9,1,3,2,4", "8,5,7,6,8")
    record = io.read(file(tmp_path / "a.csv", text), kind)
    assert record.data.tolist() == [[1, 2, 3, 4, 9], [5, 6, 7, 8, 8]]
    assert record.meta["fields"] == ("x1", "y1", "x2", "y2", "score")
    back = written(filtered(record, [False, True]), tmp_path / "b.csv")
    assert back == rows("score,x1,x2,y1,y2", "8,5,7,6,8").encode()
    plain = written(new(record.data, kind), tmp_path / "c.csv")
    assert plain.startswith(b"x1,y1,x2,y2,column5\n1,2,3,4,9\n")


# -- PLY ---------------------------------------------------------------------------------------

MESH = """ply
format ascii 1.0
comment element vertex 99
obj_info of a test
element vertex 4
property float x
property double y
property float z
property uchar red
property int omg
element face 2
property list uchar int vertex_indices
end_header
0 0 0 63 1234
1.25 0 0 200 5
1 1 0.0000001 64 -6
0 1 0 255 7
3 0 1 2
3 0 2 3
"""


def test_a_mesh_loses_its_faces_with_its_points(tmp_path: Path) -> None:
    path = file(tmp_path / "a.ply", MESH)
    record = io.read(path)
    assert record.meta["fields"] == ("x", "y", "z", "red", "omg")
    assert record.data.dtype == np.float64
    assert record.data[2].tolist() == [1, 1, 1e-7, 64, -6]
    assert io.notes(record, tmp_path / "b.ply") == []
    assert written(record, tmp_path / "b.ply") == path.read_bytes()
    some = filtered(record, [True, True, False, True])
    assert io.notes(some, tmp_path / "b.ply") == [
        "Elements that may refer to points by number are left out: 'face'."
    ]
    wanted = MESH.replace("vertex 4", "vertex 3").replace("face 2", "face 0")
    wanted = wanted.replace("1 1 0.0000001 64 -6\n", "").replace("3 0 1 2\n3 0 2 3\n", "")
    assert written(some, tmp_path / "b.ply") == wanted.encode()


@pytest.mark.parametrize("text", [True, False], ids=["text", "binary"])
def test_a_camera_stays_when_points_go(text: bool, tmp_path: Path) -> None:
    from plyfile import PlyData, PlyElement

    points = np.array([(0, 0), (1, 2), (3, 4)], [("x", "f4"), ("y", "f4")])
    place = np.array([(0, 0.5)], [("scan", "i4"), ("gain", "f8")])
    edge = np.array([(0, 1), (1, 2)], [("vertex1", "i4"), ("vertex2", "i4")])
    camera = np.array([(1, 640)], [("view_px", "f4"), ("viewportx", "i4")])
    tables = {"place": place, "vertex": points, "edge": edge, "camera": camera}
    made = [PlyElement.describe(table, name) for name, table in tables.items()]
    PlyData(made, text=text, byte_order="<").write(tmp_path / "a.ply")
    some = filtered(io.read(tmp_path / "a.ply"), [True, False, True])
    assert io.notes(some, tmp_path / "b.ply") == [
        "Elements that may refer to points by number are left out: 'edge'."
    ]
    io.write(some, tmp_path / "b.ply")
    back = PlyData.read(tmp_path / "b.ply")
    assert [(e.name, e.count) for e in back.elements] == [
        ("place", 1),
        ("vertex", 2),
        ("edge", 0),
        ("camera", 1),
    ]
    np.testing.assert_array_equal(back["place"].data, place)
    np.testing.assert_array_equal(back["vertex"].data, points[[0, 2]])
    np.testing.assert_array_equal(back["camera"].data, camera)


@pytest.mark.parametrize("names", ["v1 v2", "a b", "from to"])
def test_edges_go_with_points_whatever_their_columns_are_called(names: str, tmp_path: Path) -> None:
    first, second = names.split()
    edges = f"element edge 1\nproperty int {first}\nproperty int {second}\n"
    head = "ply\nformat ascii 1.0\nelement vertex 3\nproperty float x\nproperty float y\n"
    (tmp_path / "a.ply").write_text(f"{head}{edges}end_header\n0 0\n1 2\n3 4\n1 2\n")
    some = filtered(io.read(tmp_path / "a.ply"), [True, False, True])
    assert written(some, tmp_path / "b.ply").endswith(b"end_header\n0 0\n3 4\n")


@pytest.mark.parametrize("order", ["<", ">", "="])
def test_ply_is_what_plyfile_reads_and_writes(order: str, tmp_path: Path) -> None:
    from plyfile import PlyData, PlyElement

    rng = np.random.default_rng(0)
    types = [("X", "f4"), ("Y", "f8"), ("z", "f4"), ("red", "u1"), ("a", "i2"), ("b", "u4")]
    table = np.empty(50, types)
    for name, _ in types:
        table[name] = rng.normal(0, 40, 50).round() if name in "Xyz" else rng.integers(0, 99, 50)
    faces = np.empty(1, [("vertex_indices", "i4", (3,))])
    faces["vertex_indices"] = [[0, 1, 2]]
    camera = np.ones(2, [("view_px", "f4")])
    elements = [
        PlyElement.describe(camera, "camera"),
        PlyElement.describe(table, "vertex", comments=["a cloud"]),
        PlyElement.describe(faces, "face"),
    ]
    PlyData(elements, text=order == "=", byte_order=order).write(f"{tmp_path}/a.ply")
    record = io.read(tmp_path / "a.ply")
    assert record.context["coordinates"] == (0, 1, 2)
    for c, (name, _) in enumerate(types):
        np.testing.assert_array_equal(record.data[:, c], table[name])
    assert written(record, tmp_path / "b.ply") == (tmp_path / "a.ply").read_bytes()
    kept = rng.random(50) < 0.4
    io.write(filtered(record, kept), tmp_path / "b.ply")
    back = PlyData.read(f"{tmp_path}/b.ply")
    assert [(e.name, e.count) for e in back] == [("camera", 2), ("vertex", kept.sum()), ("face", 0)]
    assert (
        back["vertex"].data.tobytes()
        == PlyData.read(f"{tmp_path}/a.ply")["vertex"].data[kept].tobytes()
    )
    io.write(new(table["X"].reshape(25, 2)), tmp_path / "c.ply")
    np.testing.assert_array_equal(
        PlyData.read(f"{tmp_path}/c.ply")["vertex"]["y"], table["X"][1::2]
    )


@pytest.mark.parametrize(("code", "dtype"), [("uchar", "u1"), ("int", "i4"), ("ushort", "u2")])
def test_ply_of_integers(code: str, dtype: str, tmp_path: Path) -> None:
    head = PLY.replace("float", code).format(form="ascii", count=2)
    record = io.read(file(tmp_path / "a.ply", head + "1 2 3\n4 5 255\n"))
    assert record.data.dtype == dtype
    assert record.data.tolist() == [[1, 2, 3], [4, 5, 255]]
    odd = io.read(file(tmp_path / "a.ply", head + "1 2 3\n4 5 -70000.5\n"))
    assert odd.data[1, 2] == -70000.5  # what the type does not hold is not bent to fit


# -- PCD ---------------------------------------------------------------------------------------


def lzf(plain: bytes) -> bytes:
    """A small LZF compressor: matches of three bytes or more, up to 8192 bytes back."""
    made, literal, seen, i = bytearray(), bytearray(), dict[bytes, int](), 0

    def flush() -> None:
        for start in range(0, len(literal), 32):
            part = literal[start : start + 32]
            made.extend([len(part) - 1, *part])
        literal.clear()

    while i < len(plain):
        at, length = seen.get(plain[i : i + 3], -1), 0
        if at >= 0 and i - at <= 8192 and i + 3 <= len(plain):
            while (
                length < 264 and i + length < len(plain) and plain[at + length] == plain[i + length]
            ):
                length += 1
        seen[plain[i : i + 3]] = i
        if length < 3:
            literal.append(plain[i])
            i += 1
            continue
        flush()
        back, more = i - at - 1, length - 2
        made.append((min(more, 7) << 5) | back >> 8)
        made.extend([more - 7] * (more >= 7))
        made.append(back & 255)
        i += length
    flush()
    return bytes(made)


def test_lzf_of_known_bytes() -> None:
    assert pcd.unpacked(b"\x02abc", 3) == b"abc"
    assert pcd.unpacked(b"\x02abc\x20\x02", 6) == b"abcabc"  # 3 bytes from 3 back
    assert pcd.unpacked(b"\x00a\xe0\x00\x00", 10) == b"a" * 10  # 9 bytes from 1 back
    for damaged in (b"\x02ab", b"\x00a\x20\x05", b"\x00a\xe0", b"\x00a\x20", b"\x02abc\x20\x02"):
        with pytest.raises(HushError, match="damaged compressed data"):
            pcd.unpacked(damaged, 3)


@settings(max_examples=40)
@given(st.binary(min_size=1, max_size=400), st.integers(1, 5))
def test_lzf_is_a_round_trip(plain: bytes, times: int) -> None:
    assert pcd.unpacked(lzf(plain * times), len(plain) * times) == plain * times


CLOUD = np.array(
    [(1.5, -2.5, 1e-3, 7, 0, 0.25), (3, 4, 5, 255, -9, 1), (0, 0, 0, 1, 2, 3)],
    [("x", "<f4"), ("y", "<f8"), ("z", "<f4"), ("label", "u1"), ("ring", "<i2"), ("h", "<f4")],
)
CLOUD_HEAD = (
    "VERSION .7\nFIELDS x y z _ label ring h\nSIZE 4 8 4 1 1 2 4\nTYPE F F F U U I F\n"
    "COUNT 1 1 1 3 1 1 2\nWIDTH 3\nHEIGHT 1\nVIEWPOINT 1 2 3 1 0 0 0\nPOINTS 3\nDATA {form}\n"
)


def cloud(form: str) -> tuple[bytes, np.ndarray, np.ndarray]:
    """A PCD file with padding and a field of two values, its values, and its binary rows."""
    fields = [(n, t, (2,)) if n == "h" else (n, t) for n, t in CLOUD.dtype.descr]
    dtype = np.dtype([*fields[:3], ("_", "u1", (3,)), *fields[3:]])
    table = np.zeros(3, dtype)
    for name in CLOUD.dtype.names or ():
        table[name] = CLOUD[name][:, None] if name == "h" else CLOUD[name]
    table["_"] = 170
    values = np.stack([*(CLOUD[n].astype(float) for n in CLOUD.dtype.names or ()), CLOUD["h"]], 1)
    body = table.tobytes()
    if form == "binary_compressed":
        plain = b"".join(np.ascontiguousarray(table[n]).tobytes() for n in dtype.names or ())
        packed = lzf(plain)
        body = struct.pack("<II", len(packed), len(plain)) + packed
    if form == "ascii":
        lines = [" ".join(str(v) for x in row for v in np.ravel(x)) for row in table]
        body = rows(*lines).encode()
    return (
        CLOUD_HEAD.format(form=form).encode() + body,
        values,
        np.frombuffer(table.tobytes(), "u1"),
    )


@pytest.mark.parametrize("form", ["ascii", "binary", "binary_compressed"])
def test_pcd_of_unlike_fields(form: str, tmp_path: Path) -> None:
    raw, values, table = cloud(form)
    record = io.read(file(tmp_path / "a.pcd", raw))
    assert record.meta["fields"] == ("x", "y", "z", "label", "ring", "h_1", "h_2")
    np.testing.assert_allclose(record.data, values, rtol=1e-6 * (form == "ascii"))
    kept = np.array([True, False, True])
    packed = form == "binary_compressed"
    some = filtered(record, kept)
    assert bool(io.notes(some, tmp_path / "b.pcd")) == packed
    back = written(some, tmp_path / "b.pcd")
    head = CLOUD_HEAD.format(form="binary" if packed else form)
    head = head.replace("WIDTH 3", "WIDTH 2").replace("POINTS 3", "POINTS 2")
    assert back.startswith(head.encode())
    if form != "ascii":
        assert back[len(head) :] == table.reshape(3, -1)[kept].tobytes()
    np.testing.assert_array_equal(io.read(tmp_path / "b.pcd").data, some.data)
    if not packed:
        assert written(record, tmp_path / "c.pcd") == raw


def test_a_picture_of_points_becomes_a_list_of_them(tmp_path: Path) -> None:
    head = PCD.format(form="ascii", count=4)
    head = head.replace("WIDTH 4", "WIDTH 2").replace("HEIGHT 1", "HEIGHT 2")
    record = io.read(file(tmp_path / "a.pcd", head + rows("1 2 3", "4 5 6", "7 8 9", "0 0 0")))
    back = written(filtered(record, [True, True, True, False]), tmp_path / "b.pcd").decode()
    assert "WIDTH 3\nHEIGHT 1\n" in back
    assert "POINTS 3\n" in back


# -- damaged -----------------------------------------------------------------------------------

ASCII = PLY.format(form="ascii", count=3)
CLOUD_3 = PCD.format(form="ascii", count=3)
HUGE = 10**12
DAMAGED: dict[str, tuple[str, str | bytes, str]] = {
    "cut ply": ("a.ply", ASCII + rows("1 2 3", "4 5 6"), "cut short: its header states 3 points"),
    "cut binary ply": (
        "a.ply",
        PLY.format(form="binary_little_endian", count=3).encode() + b"\0" * 30,
        "states 3 points, but 2 are there",
    ),
    "huge ply": ("a.ply", PLY.format(form="ascii", count=HUGE) + "1 2 3\n", "but 1 is there"),
    "huge binary ply": (
        "a.ply",
        PLY.format(form="binary_big_endian", count=HUGE).encode() + b"\0" * 36,
        "but 3 are there",
    ),
    "a word in a ply": (
        "a.ply",
        ASCII + rows("1 2 3", "4 abc 6", "7 8 9"),
        "line 9 has 'abc' in column 'y', not a number",
    ),
    "a short line in a ply": ("a.ply", ASCII + rows("1 2 3", "4 5", "7 8 9"), "line 9 has 2 col"),
    "an empty ply": ("a.ply", PLY.format(form="ascii", count=0), "holds no points"),
    "lists in vertices": (
        "a.ply",
        ASCII.replace("property float z", "property list uchar int z") + rows("1 2 1 3"),
        "has lists in its vertices",
    ),
    "lists before vertices": (
        "a.ply",
        PLY.format(form="binary_little_endian", count=1).replace(
            "element vertex", "element face 2\nproperty list uchar int i\nelement vertex"
        ),
        "behind the lists of 'face'",
    ),
    "no x": ("a.ply", ASCII.replace("float x", "float u"), "without x and y"),
    "no vertices": ("a.ply", ASCII.replace("vertex", "node"), "has no element 'vertex'"),
    "half a header": ("a.ply", ASCII[:60], "no line 'end_header'"),
    "a type of ply": ("a.ply", ASCII.replace("float y", "quux y"), "line 5 is 'property quux y'"),
    "a form of ply": ("a.ply", ASCII.replace("ascii", "odd"), "line 2 is 'format odd 1.0'"),
    "no form of ply": ("a.ply", ASCII.replace("format ascii 1.0\n", ""), "state the format"),
    "fewer than none": ("a.ply", PLY.format(form="ascii", count=-3), "line 3 is 'element vertex"),
    "cut pcd": ("a.pcd", CLOUD_3 + rows("1 2 3"), "cut short: its header states 3 points, but 1 "),
    "long pcd": ("a.pcd", CLOUD_3 + rows(*["1 2 3"] * 4), "its header states 3 points, but 4"),
    "huge binary pcd": (
        "a.pcd",
        PCD.format(form="binary", count=HUGE).encode() + b"\0" * 30,
        "but 2 are there",
    ),
    "huge compressed pcd": (
        "a.pcd",
        PCD.format(form="binary_compressed", count=10**8).encode()
        + struct.pack("<II", 30, 12 * 10**8)
        + b"\0" * 30,
        "damaged compressed data",
    ),
    "compressed to another size": (
        "a.pcd",
        PCD.format(form="binary_compressed", count=3).encode()
        + struct.pack("<II", 3, 9)
        + b"\0\0a",
        "states 3 points of 12 bytes, but 9 bytes of compressed data",
    ),
    "cut compressed pcd": (
        "a.pcd",
        PCD.format(form="binary_compressed", count=2).encode() + struct.pack("<II", 40, 24) + b"\0",
        "cut short in its compressed data",
    ),
    "an empty pcd": ("a.pcd", PCD.format(form="ascii", count=0), "holds no points"),
    "a word in a pcd": ("a.pcd", PCD.format(form="ascii", count=1) + "a 2 3\n", "line 12 has 'a'"),
    "sizes of pcd": ("a.pcd", CLOUD_3.replace("SIZE 4 4 4", "SIZE 4 4"), "damaged header"),
    "types of pcd": ("a.pcd", CLOUD_3.replace("F F F", "F F Q"), "damaged header"),
    "a size of 3": ("a.pcd", CLOUD_3.replace("SIZE 4 4 4", "SIZE 4 4 3"), "damaged header"),
    "no fields": ("a.pcd", CLOUD_3.replace("FIELDS x y z\n", ""), "without FIELDS"),
    "no data": ("a.pcd", CLOUD_3[:60], "no line 'DATA'"),
    "width and height": ("a.pcd", CLOUD_3.replace("HEIGHT 1", "HEIGHT 7"), "height of 3 × 7"),
    "another coding": ("a.pcd", PCD.format(form="zip", count=1), "stored as 'zip'"),
    "no x in a pcd": ("a.pcd", CLOUD_3.replace("x y z", "a y z"), "without x and y"),
    "long pts": ("a.pts", rows("3", *["1 2 3"] * 4), "first line states 3 points, but 4 are"),
    "cut pts": ("a.pts", rows("3", "1 2 3"), "cut short: its first line states 3 points, but 1 is"),
    "huge pts": ("a.pts", rows(f"{HUGE}", "1 2 3"), "but 1 is there"),
    "a count alone": ("a.pts", rows("12"), "states 12 points, but 0 are there"),
    "an empty pts": ("a.pts", rows("0"), "holds no points"),
    "blank": ("a.xyz", "\n\n", "holds no lines of numbers"),
    "words": ("a.xyz", rows("a b c", "d e f"), "holds no columns of numbers"),
    "one column": ("a.xyz", rows("1", "2", "3"), "one number in each line"),
    "ragged": ("a.xyz", rows("1 2 3", "# c", "4 5", "6 7 8"), "line 3 has 2 columns"),
    "a word": ("a.xyz", rows("1 2 3", "", "4 x 6", "7 8 9"), "line 3 has 'x'"),
    "a word in the first row": ("a.xyz", rows("1 x 3", "4 5 6", "7 8 9"), "line 1 has 'x'"),
    "two counts": ("a.pts", rows("2", "1 2 3", "4 5 6", "1", "7 8 9"), "line 4 has 1 column"),
    "a zero byte": ("a.xyz", b"1 2 3\0\n", "is not UTF-8 text"),
    "UTF-16": ("a.xyz", "1 2 3\n".encode("utf-16"), "is not UTF-8 text"),
}


@pytest.mark.parametrize("what", DAMAGED)
def test_what_is_damaged_gets_one_sentence(what: str, tmp_path: Path) -> None:
    name, content, sentence = DAMAGED[what]
    path = file(tmp_path / name, content)
    with pytest.raises(HushError) as refused:
        io.read(path, "points")
    assert str(refused.value).startswith(f"{path}: ")
    assert sentence in str(refused.value)
    assert "\n" not in str(refused.value)


# -- .npz --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "key"),
    [("points", "points"), ("correspondences", "matches"), ("segments", "segments")],
)
def test_an_archive_holds_what_was_decided(kind: str, key: str, tmp_path: Path) -> None:
    """The rows, and an entry of the mask and the probability for every row of the input."""
    data = np.arange(20, dtype="f4").reshape(5, 4)
    found = {"mask": KEPT, "probability": np.array([0.9, 0.1, 0.8, np.nan, 0.6]), "step": 0.4}
    others = {"scores": data[KEPT, 0], "size1": np.array([640, 480]), **found}
    record = filtered(new(data, kind), KEPT)
    io.write(replace(record, meta={**record.meta, "arrays": others}), tmp_path / "a.npz")
    back = np.load(tmp_path / "a.npz")
    assert set(back) == {key, *others}
    assert back["mask"].dtype == bool
    assert back["step"].shape == ()
    for name, values in {**others, key: data[KEPT]}.items():
        np.testing.assert_array_equal(back[name], values)
    again = io.read(f"{tmp_path}/a.npz:{key}")
    assert again.data.tobytes() == data[KEPT].tobytes()
    own = replace(record, meta={**record.meta, "npz": ("mine", True), "arrays": found})
    io.write(own, tmp_path / "b.npz")
    assert set(np.load(tmp_path / "b.npz")) == {"mine", *found}


def test_an_empty_set_has_its_shape_in_an_archive(tmp_path: Path) -> None:
    for suffix in (".npz", ".npy"):
        io.write(new(np.empty((0, 4), "i2")), tmp_path / f"a{suffix}")
    arrays = [np.load(tmp_path / "a.npz")["points"], np.load(tmp_path / "a.npy")]
    assert [(x.shape, x.dtype) for x in arrays] == [((0, 4), np.int16)] * 2

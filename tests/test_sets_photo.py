"""Segments found in photos: which, of which files, and what is written."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from click.testing import CliRunner, Result
from PIL import Image

import hush
from hush import io
from hush.cli import main
from hush.errors import HushError
from hush.kinds import get
from hush.kinds.points import photo
from hush.record import Record

pytest.importorskip("cv2")

#: corners of a dark rectangle: left, top, right, bottom
BOX = (30, 20, 130, 80)


def picture(height: int = 100, width: int = 160) -> np.ndarray:
    """A dark rectangle on light ground, uint8, with a little noise."""
    rng = np.random.default_rng(0)
    x = np.full((height, width), 200.0)
    left, top, right, bottom = BOX
    x[top:bottom, left:right] = 60
    return np.clip(x + rng.normal(0, 1, x.shape), 0, 255).astype(np.uint8)


def sides(segments: np.ndarray) -> set[str]:
    """The sides of the rectangle along which there are long segments, within 1.5 pixels."""
    found = set()
    left, top, right, bottom = BOX
    for x1, y1, x2, y2 in segments:
        if np.hypot(x2 - x1, y2 - y1) < 40:
            continue
        for name, values, place in (
            ("left", (x1, x2), left),
            ("right", (x1, x2), right),
            ("top", (y1, y2), top),
            ("bottom", (y1, y2), bottom),
        ):
            if np.abs(np.array(values) - place).max() < 1.5:
                found.add(name)
    return found


ALL = {"left", "right", "top", "bottom"}


def read(path: Path) -> Record:
    return hush.read(path, kind="segments")


def cli(*args: Any) -> Result:
    return CliRunner().invoke(main, [str(a) for a in args])


# -- which segments --------------------------------------------------------------------------------


def test_the_sides_of_a_rectangle_are_found(tmp_path: Path) -> None:
    Image.fromarray(picture()).save(tmp_path / "a.png")
    record = read(tmp_path / "a.png")
    assert sides(record.data) == ALL
    assert (record.kind, record.axes, record.data.dtype) == ("segments", "NC", np.float32)
    assert np.array_equal(record.context["size"], [160, 100])


@pytest.mark.parametrize(
    ("name", "x"),
    [
        ("16-bit.tif", picture().astype(np.uint16) * 40),
        ("float.tif", picture().astype(np.float32) / 255),
        ("negative.tif", picture().astype(np.float32) * 1e-3 - 7),
        ("colour.png", np.repeat(picture()[..., None], 3, axis=2)),
        ("alpha.png", np.dstack([*[picture()] * 3, np.full((100, 160), 255, np.uint8)])),
        ("photo.jpg", np.repeat(picture()[..., None], 3, axis=2)),
        ("other.name", picture()),
    ],
)
def test_any_picture_will_do(name: str, x: np.ndarray, tmp_path: Path) -> None:
    if name.endswith(".tif"):
        tifffile.imwrite(tmp_path / name, x)
    elif name == "other.name":
        Image.fromarray(x).save(tmp_path / "a.png")
        (tmp_path / "a.png").rename(tmp_path / name)
    else:
        Image.fromarray(x).save(tmp_path / name)
    assert sides(read(tmp_path / name).data) == ALL


def test_gaps_of_a_picture_make_no_segments() -> None:
    x = picture().astype(np.float32)
    x[5:9, 5:9] = np.nan
    x[0, 0] = np.inf
    plain, gaps = (photo.gray(Record(v, "YX")) for v in (picture().astype(np.float32), x))
    assert sides(photo.detected(gaps)) == ALL
    np.testing.assert_allclose(plain[20:], gaps[20:], atol=1)


def test_eight_bits_are_seen_as_they_are() -> None:
    np.testing.assert_array_equal(photo.gray(Record(picture(), "YX")), picture())
    red = np.dstack([picture(), np.zeros((100, 160, 2), np.uint8)])
    np.testing.assert_allclose(photo.gray(Record(red, "YXS")), np.round(0.299 * picture()), atol=1)


def test_large_pictures_are_reduced_by_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    colour = np.random.default_rng(0).integers(0, 255, (37, 11, 3)).astype(np.uint8)
    whole = photo.gray(Record(colour, "YXS"))
    monkeypatch.setattr(photo, "PART", 40)
    np.testing.assert_array_equal(photo.gray(Record(colour, "YXS")), whole)


def test_arrays_of_few_columns_are_segments_and_others_are_pictures() -> None:
    made = hush.run(picture(), kind="segments", method="random")
    assert made.data.shape[1] == 4
    assert made.noisy.meta["photo"].shape == (100, 160)
    colour = hush.run(np.repeat(picture()[..., None], 3, 2), kind="segments", method="random")
    np.testing.assert_array_equal(colour.noisy.data, made.noisy.data)
    rows = np.random.default_rng(0).random((50, 6)) * 100
    listed = hush.run(rows, kind="segments", method="none")
    np.testing.assert_array_equal(listed.data, rows)
    taken = hush.run(Record(picture(), "YX"), kind="segments", method="random")
    np.testing.assert_array_equal(taken.noisy.data, made.noisy.data)


@pytest.mark.parametrize(
    ("x", "axes", "words"),
    [
        (np.full((80, 90), 7, np.uint8), "YX", "no line segments were found"),
        (np.full((80, 90), np.nan, np.float32), "YX", "no finite values"),
        (np.zeros((3, 80, 90), np.uint8), "ZYX", "holds 3 pictures"),
    ],
)
def test_what_has_no_segments_gets_a_sentence(x: np.ndarray, axes: str, words: str) -> None:
    with pytest.raises(HushError, match=words):
        get("segments").adopted(Record(x, axes, meta={"format": "TIFF"}))


@pytest.mark.parametrize("kind", ["points", "correspondences"])
def test_pictures_hold_no_points(kind: str, tmp_path: Path) -> None:
    Image.fromarray(picture()).save(tmp_path / "a.png")
    with pytest.raises(HushError, match=r"a\.png: PNG files hold images, not .*--kind segments"):
        hush.read(tmp_path / "a.png", kind=kind)


# -- what is written -------------------------------------------------------------------------------


def test_kept_ones_are_dark_and_removed_ones_light() -> None:
    segments = np.array([[10.0, 10, 60, 10], [10, 30, 60, 30]], np.float32)
    drawn = photo.overlay(np.full((40, 80), 128, np.uint8), segments, np.array([True, False]))
    assert drawn.shape == (40, 80, 3)
    for row, colour in ((10, photo.KEPT), (30, photo.REMOVED)):  # edges are smoothed
        assert np.abs(drawn[row, 30].astype(int) - colour).max() < 25
    ground = round(255 - photo.FAINT * 127)
    assert np.abs(drawn[20, 30].astype(int) - ground).max() <= 1
    assert sum(photo.KEPT) < sum(photo.REMOVED)


def test_the_command_writes_segments_and_a_picture(tmp_path: Path) -> None:
    Image.fromarray(picture()).save(tmp_path / "a.png")
    before = (tmp_path / "a.png").read_bytes()
    options = ("--kind", "segments", "--method", "random", "--json")
    done = cli("denoise", tmp_path / "a.png", *options)
    assert done.exit_code == 0, done.output
    row = json.loads(done.stdout)
    assert row["output"] == str(tmp_path / "a.denoised.npz")
    assert row["picture"] == str(tmp_path / "a.denoised.png")
    with np.load(tmp_path / "a.denoised.npz") as file:
        assert set(file) == {"segments", "mask", "probability", "size"} | ({"step"} & set(file))
        assert len(file["mask"]) == len(file["probability"]) == len(read(tmp_path / "a.png").data)
        assert file["mask"].sum() == len(file["segments"])
        np.testing.assert_array_equal(file["size"], [160, 100])
        np.testing.assert_array_equal(file["segments"], read(tmp_path / "a.png").data[file["mask"]])
    assert np.asarray(Image.open(tmp_path / "a.denoised.png")).shape == (100, 160, 3)
    assert (tmp_path / "a.png").read_bytes() == before
    again = hush.run(tmp_path / "a.denoised.npz", method="none")  # known by its arrays
    assert again.noisy.kind == "segments"


@pytest.mark.parametrize(
    ("out", "names"),
    [
        (["-o", "r.npz"], {"r.npz", "r.png"}),
        (["-o", "results/"], {"results/a.npz", "results/a.png"}),
        (["-o", "r.npy"], {"r.npy", "r.png"}),
    ],
)
def test_the_picture_is_beside_the_result(
    out: Sequence[str], names: set[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    tifffile.imwrite("a.tif", picture())
    done = cli("denoise", "a.tif", "--kind", "segments", "--method", "random", *out)
    assert done.exit_code == 0, done.output
    assert all(Path(name).is_file() for name in names)
    assert f"picture   {next(n for n in names if n.endswith('png'))}" in done.output
    refused = cli("denoise", "a.tif", "--kind", "segments", "--method", "random", *out)
    assert refused.exit_code == 1
    assert "already exists" in refused.output
    kept = cli(
        "denoise", "a.tif", "--kind", "segments", "--method", "none", "--skip-existing", *out
    )
    assert "skipped" in kept.output


def test_the_photo_itself_is_never_replaced(tmp_path: Path) -> None:
    Image.fromarray(picture()).save(tmp_path / "a.png")
    before = (tmp_path / "a.png").read_bytes()
    options = ("--kind", "segments", "--method", "random", "--overwrite")
    done = cli("denoise", tmp_path / "a.png", *options, "-o", tmp_path)
    assert done.exit_code == 1
    assert "is also an input" in done.output
    assert (tmp_path / "a.png").read_bytes() == before
    done = cli("denoise", tmp_path / "a.png", *options, "-o", tmp_path / "b.png")
    assert done.exit_code == 1
    assert "not sets" in done.output


def test_a_blank_photo_gets_one_sentence(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((60, 60), np.uint8)).save(tmp_path / "a.png")
    done = cli("denoise", tmp_path / "a.png", "--kind", "segments", "--method", "random")
    assert done.exit_code == 1
    assert "no line segments were found in the picture" in done.output
    assert {p.name for p in tmp_path.iterdir()} == {"a.png"}


def test_the_page_shows_the_photo(tmp_path: Path) -> None:
    Image.fromarray(picture()).save(tmp_path / "a.png")
    made = hush.run(tmp_path / "a.png", kind="segments", method="random")
    made.report(tmp_path / "a.html")
    text = (tmp_path / "a.html").read_text()
    assert text.count("<image href=") == 2
    assert "Over the photo that they were found in." in text


@pytest.mark.parametrize(
    ("source", "kind", "name"),
    [
        ("a.png", "segments", "a.denoised.npz"),
        ("a.jpeg", "segments", "a.denoised.npz"),
        ("a.strange", "segments", "a.denoised.npz"),
        ("a.npy", "segments", "a.denoised.npy"),
        ("a.npz", "points", "a.denoised.npz"),
        ("a.txt", "points", "a.denoised.txt"),
        ("a.edf", "points", "a.denoised.npz"),
        ("a.png", "image", "a.denoised.png"),
        ("a.png", None, "a.denoised.png"),
        ("a.jpeg", None, "a.denoised.png"),
    ],
)
def test_names_of_results(source: str, kind: str | None, name: str, tmp_path: Path) -> None:
    assert io.output_path(tmp_path / source, kind=kind) == tmp_path / name
    if kind is not None:
        assert io.holds(tmp_path / source, kind) == (Path(source).suffix == Path(name).suffix)

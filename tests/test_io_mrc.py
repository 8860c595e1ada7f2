"""MRC: what mrcfile writes is read, and mrcfile validates what hush writes."""

from __future__ import annotations

import io as streams
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from hush import io
from hush.cli import main
from hush.errors import HushError
from hush.io.mrc import LABEL
from hush.record import Record

mrcfile = pytest.importorskip("mrcfile")


def numbers(shape: tuple[int, ...] = (6, 8), dtype: str = "int16") -> np.ndarray:
    return np.random.default_rng(0).integers(0, 100, shape).astype(dtype)


def saved(path: Path, data: np.ndarray, volume: bool = False, **options: Any) -> Path:
    with mrcfile.new(path, **options) as made:
        made.set_data(data)
        made.voxel_size = (2.5, 2.5, 5.0)
        if data.ndim == 3:
            made.set_volume() if volume else made.set_image_stack()
    return path


def valid(path: Path) -> bool:
    said = streams.StringIO()
    return bool(mrcfile.validate(path, print_file=said)) or pytest.fail(said.getvalue())


@pytest.mark.parametrize("dtype", ["i1", "i2", "f4", "u2", "f2"])
@pytest.mark.parametrize("compression", [None, "gzip", "bzip2"])
def test_values_of_every_mode(dtype: str, compression: str | None, tmp_path: Path) -> None:
    x = numbers((3, 6, 8), dtype)
    path = saved(tmp_path / "a.mrc", x, compression=compression)
    record = io.read(path)
    assert (record.axes, record.data.dtype) == ("QYX", x.dtype)
    np.testing.assert_array_equal(record.data, x)
    assert isinstance(record.data, np.memmap) == (compression is None)
    for ending in ("mrc", "mrcs.gz", "map.bz2"):
        out = tmp_path / f"b.{ending}"
        io.write(record.with_data(record.data[:, ::-1].copy()), out)
        with mrcfile.open(out) as made:
            np.testing.assert_array_equal(made.data, x[:, ::-1])
            assert made.is_image_stack()
            assert made.voxel_size.x == 2.5
            assert made.header.dmax == x.max()
            assert made.header.rms == pytest.approx(x.astype(float).std(), rel=1e-6)
            assert made.get_labels()[-1] == LABEL.decode()
        assert dtype == "f2" or valid(out)  # of which mrcfile's own sums overflow


@pytest.mark.parametrize("order", ["<", ">"])
def test_headers_are_kept(order: str, tmp_path: Path) -> None:
    path = tmp_path / "a.rec"
    with mrcfile.new(path) as made:
        made.set_data(numbers((4, 6, 8)).astype(f"{order}i2"))
        made.set_volume()
        made.voxel_size = (13.7, 13.7, 13.7)
        made.header.origin = (1, 2, 3)
        made.nstart = (4, 5, 6)
        made.add_label("tilt series 7")
        made.set_extended_header(np.frombuffer(b"FEI1" * 200, "V800"))
        made.header.exttyp = b"FEI1"
        labels = int(made.header.nlabl)
    record = io.read(path)
    assert record.axes == "ZYX"
    assert record.context["spacing"] == pytest.approx([1.37e-6] * 3)
    io.write(record.with_data(record.data * 2), tmp_path / "b.rec")
    old, new = path.read_bytes(), (tmp_path / "b.rec").read_bytes()
    assert len(old) == len(new)
    assert new[1024:1824] == old[1024:1824]
    new_values = {*range(76, 88), *range(216, 220), 220, 223}  # statistics, number of labels
    changed = {i for i in range(1024) if old[i] != new[i]}
    assert changed - new_values <= {*range(224 + 80 * labels, 224 + 80 * labels + 80)}
    assert valid(tmp_path / "b.rec")


def test_bytes_without_sign_of_imod(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.st", numbers(dtype="int8"))
    raw = bytearray(path.read_bytes())
    raw[152:160] = np.array([1146047817, 0], "<i4").tobytes()
    raw[-1] = 200
    path.write_bytes(raw)
    record = io.read(path)
    assert (record.data.dtype, record.data[-1, -1]) == (np.uint8, 200)
    io.write(record, tmp_path / "b.st")
    assert (tmp_path / "b.st").read_bytes()[1024:] == raw[1024:]
    raw[156] = 1  # with a sign
    path.write_bytes(raw)
    assert io.read(path).data.dtype == np.int8


def test_files_of_old_software_have_no_magic(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.map", numbers((4, 6, 8), "float32"), volume=True)
    raw = bytearray(path.read_bytes())
    raw[208:216] = bytes(8)
    path.write_bytes(raw)
    np.testing.assert_array_equal(io.read(path).data, numbers((4, 6, 8), "float32"))
    (tmp_path / "b.map").write_text("roads and rivers\n" * 100)
    with pytest.raises(HushError, match="its name is that of MRC files, its content is not"):
        io.read(tmp_path / "b.map")
    assert io.recognised(path)
    assert not io.recognised(tmp_path / "b.map")


def test_new_files(tmp_path: Path) -> None:
    x = numbers((3, 6, 8), "float32")
    for axes, kind, stack in (("QYX", "image", True), ("ZYX", "volume", False)):
        about = {"spacing": (2e-7, 1e-7, 1e-7)} if kind == "volume" else {}
        io.write(Record(x, axes, kind=kind, context=about), tmp_path / "a.mrc")
        with mrcfile.open(tmp_path / "a.mrc") as made:
            np.testing.assert_array_equal(made.data, x)
            assert made.is_image_stack() == stack
            assert made.voxel_size.z == (0 if stack else 2)
        assert valid(tmp_path / "a.mrc")
    io.write(Record(x[0], "YX", meta={"resolution": (1e9, 5e8)}), tmp_path / "b.mrc")
    with mrcfile.open(tmp_path / "b.mrc") as made:
        assert (made.voxel_size.x, made.voxel_size.y, made.is_single_image()) == (10, 20, True)


def test_written_item_by_item_the_statistics_are_not_stated(tmp_path: Path) -> None:
    record = io.read(saved(tmp_path / "a.mrc", numbers((3, 6, 8)), volume=True))
    with io.opened(record, tmp_path / "b.mrc") as file:
        assert file is not None
        file[...] = 7
    assert valid(tmp_path / "b.mrc")
    with mrcfile.open(tmp_path / "b.mrc") as made:
        assert made.header.dmax < made.header.dmin
        assert (made.data == 7).all()


@pytest.mark.parametrize(
    ("mode", "said"), [(4, "complex values"), (16, "colours"), (101, "4-bit"), (77, "mode")]
)
def test_what_is_not_read_gets_a_sentence(mode: int, said: str, tmp_path: Path) -> None:
    path = saved(tmp_path / "a.mrc", numbers())
    raw = bytearray(path.read_bytes())
    raw[12:16] = mode.to_bytes(4, "little")
    path.write_bytes(raw)
    with pytest.raises(HushError, match=said):
        io.read(path)


@pytest.mark.parametrize("compression", [None, "gzip", "bzip2"])
def test_a_file_that_is_cut_short(compression: str | None, tmp_path: Path) -> None:
    path = saved(tmp_path / "a.mrc", numbers((60, 80)), compression=compression)
    raw = path.read_bytes()
    for share in (0.02, 0.3, 0.97):
        path.write_bytes(raw[: int(share * len(raw))])
        with pytest.raises(HushError, match="cut short"):
            io.read(path)


def test_from_the_command_line(tmp_path: Path) -> None:
    x = numbers((2, 64, 64), "float32")
    path = saved(tmp_path / "a.mrcs", x)
    argv = ["denoise", str(path), "--noise", "gaussian:30", "--method", "nlm", "-q"]
    assert CliRunner().invoke(main, argv).exit_code == 0
    assert valid(tmp_path / "a.denoised.mrcs")
    with mrcfile.open(tmp_path / "a.denoised.mrcs") as made:
        assert made.data.std() < x.std()


def test_without_mrcfile_a_sentence_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = saved(tmp_path / "a.mrc", numbers())
    monkeypatch.setitem(sys.modules, "mrcfile.dtypes", None)
    with pytest.raises(HushError, match=r"pip install .*\[microscopy\]'"):
        io.read(path)
    with pytest.raises(HushError, match=r"pip install .*\[microscopy\]'"):
        io.check(Record(numbers(), "YX"), tmp_path / "b.mrc")

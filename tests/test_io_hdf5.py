"""HDF5: results are copies of the file in which one dataset has other values."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from hush import io
from hush.cli import main
from hush.errors import HushError
from hush.kinds import get

h5py = pytest.importorskip("h5py")


def numbers(shape: tuple[int, ...] = (3, 16, 20), dtype: str = "uint16") -> np.ndarray:
    return np.random.default_rng(0).integers(0, 100, shape).astype(dtype)


def saved(path: Path, **options: Any) -> Path:
    """Two images and a table, in groups, with attributes."""
    with h5py.File(path, "w") as file:
        file.attrs["instrument"] = "beamline 7"
        made = file.create_dataset("entry/scan", data=numbers(), **options)
        made.attrs.update(units="counts", pixel=np.float32(0.5), made_by=made.ref)
        file["entry/dark"] = numbers((16, 20))
        file["entry/times"] = np.arange(3.0)
    return path


def everything(path: Path) -> dict[str, Any]:
    """All datasets and attributes but the values of the scan."""
    found: dict[str, Any] = {}
    with h5py.File(path, "r") as file:
        found["instrument"] = file.attrs["instrument"]

        def note(name: str, item: Any) -> None:
            about = {k: str(v) for k, v in item.attrs.items() if k != "made_by"}
            data = hasattr(item, "dtype")
            values = item[()].tolist() if data and name != "entry/scan" else None
            found[name] = (about, (item.dtype, item.shape) if data else None, values)

        file.visititems(note)
    return found


WAYS: dict[str, dict[str, Any]] = {
    "plain": {},
    "chunks": {"chunks": (1, 8, 20), "compression": "gzip", "shuffle": True},
    "lossy": {"chunks": (1, 16, 20), "scaleoffset": 0},
}


@pytest.mark.parametrize("way", WAYS)
def test_a_dataset_is_replaced_in_a_copy(way: str, tmp_path: Path) -> None:
    path = saved(tmp_path / "a.h5", **WAYS[way])
    record = io.read(Path(f"{path}:/entry/scan"))
    assert isinstance(record.data, np.memmap) == (way == "plain")
    made = record.data * 600 + 1
    io.write(record.with_data(made), tmp_path / "b.h5")
    assert everything(tmp_path / "b.h5") == everything(path)
    with h5py.File(tmp_path / "b.h5", "r") as file:
        np.testing.assert_array_equal(file["entry/scan"], made)
        assert file["entry/scan"].compression == (None if way == "plain" else "gzip")
    if way != "plain":
        with io.opened(record, tmp_path / "c.h5") as opened:
            assert opened is None
        return
    with io.opened(record, tmp_path / "c.h5") as opened:
        assert opened is not None
        opened[...] = made
    assert (tmp_path / "c.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()


@pytest.mark.parametrize("way", ["virtual", "link", "external"])
def test_values_in_other_files_are_not_touched(way: str, tmp_path: Path) -> None:
    """The result holds them itself; the file that a dataset refers to stays as it was."""
    with h5py.File(tmp_path / "source.h5", "w") as file:
        file["x"] = numbers()
    (tmp_path / "raw.bin").write_bytes(numbers().tobytes())
    with h5py.File(tmp_path / "a.h5", "w") as file:
        if way == "link":
            file["x"] = h5py.ExternalLink("source.h5", "x")
        elif way == "virtual":
            layout = h5py.VirtualLayout((3, 16, 20), "uint16")
            layout[...] = h5py.VirtualSource("source.h5", "x", (3, 16, 20))
            file.create_virtual_dataset("x", layout)
        else:
            raw = [(str(tmp_path / "raw.bin"), 0, numbers().nbytes)]
            file.create_dataset("x", (3, 16, 20), "uint16", external=raw)
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    record = io.read(Path(f"{tmp_path / 'a.h5'}:x"))
    np.testing.assert_array_equal(record.data, numbers())
    io.write(record.with_data(record.data + 1), tmp_path / "b.h5")
    assert {name: (tmp_path / name).read_bytes() for name in before} == before
    with h5py.File(tmp_path / "b.h5", "r") as file:
        np.testing.assert_array_equal(file["x"], numbers() + 1)
        assert not file["x"].is_virtual


def test_what_nexus_plots_is_the_default(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.nxs")
    with pytest.raises(HushError, match=r"2 images \(entry/dark, entry/scan\); choose one as a.nx"):
        io.read(path)
    with h5py.File(path, "r+") as file:
        file.attrs["default"] = "entry"
        file["entry"].attrs["signal"] = "scan"
    np.testing.assert_array_equal(io.read(path).data, numbers())


def test_fill_values_are_missing(tmp_path: Path) -> None:
    x = numbers((64, 64), "int16")
    x[:9] = -999
    with h5py.File(tmp_path / "a.nc", "w") as file:
        file["z"] = x
        file["z"].attrs["_FillValue"] = np.array([-999], "i2")
    record = io.read(tmp_path / "a.nc")
    np.testing.assert_array_equal(get("image").batch(record).known(0)[0], x != -999)
    argv = ["denoise", str(tmp_path / "a.nc"), "--noise", "gaussian:30", "--method", "nlm", "-q"]
    assert CliRunner().invoke(main, argv).exit_code == 0
    with h5py.File(tmp_path / "a.denoised.nc", "r") as file:
        made = file["z"][()]
        assert (made[:9] == -999).all()
        assert made[9:].std() < x[9:].std()
        assert file["z"].attrs["_FillValue"][0] == -999


def test_matlab_files_with_hdf5_inside(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.mat", "w", userblock_size=512) as file:
        file["x"] = numbers((16, 20))
    raw = bytearray((tmp_path / "a.mat").read_bytes())
    raw[:19] = b"MATLAB 7.3 MAT-file"
    (tmp_path / "a.mat").write_bytes(raw)
    np.testing.assert_array_equal(io.read(tmp_path / "a.mat").data, numbers((16, 20)))
    assert io.output_path(tmp_path / "a.mat").name == "a.denoised.tif"


def test_what_was_rebuilt_from_k_space_is_a_new_scan(tmp_path: Path) -> None:
    k = np.random.default_rng(0).normal(size=(2, 1, 32, 32, 2)).view(complex)[..., 0]
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["kspace"] = k.astype("c8")
    record = io.read(tmp_path / "a.h5")
    io.write(record.with_data(record.data / 2), tmp_path / "b.h5")
    back = io.read(tmp_path / "b.h5")
    assert (back.axes, back.kind) == ("ZYX", "volume")
    np.testing.assert_array_equal(back.data, record.data / 2)


def test_imaris_files_get_a_sentence(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.ims", "w") as file:
        file["DataSet/ResolutionLevel 0/TimePoint 0/Channel 0/Data"] = numbers()
        file.create_group("DataSetInfo")
    with pytest.raises(HushError, match="is an Imaris file; export it as OME-TIFF"):
        io.read(tmp_path / "a.ims")


def test_without_h5py_a_sentence_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = saved(tmp_path / "a.h5")
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(HushError, match=r"pip install .*\[medical\]'"):
        io.read(path)

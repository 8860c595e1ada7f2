"""Volumes in pieces along Z: the same result as in one, and memory that stays flat."""

from __future__ import annotations

import copy
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from click.testing import CliRunner

import hush
from hush import kinds
from hush.cli import main
from hush.denoiser import Advance, Denoiser, Window
from hush.errors import HushError
from hush.kinds.layout import filled
from hush.kinds.volume import LEAST, Volume
from hush.noise.processes import Gaussian, Process
from hush.pipeline import memory_for
from hush.record import Batch, Record
from hush.recording import available, empty
from hush.results import Estimate, Restoration

VOLUME = kinds.get("volume")


@dataclass
class Blurred(Denoiser):
    """Means over 2·reach + 1 slices, less a share of the mean of the whole series in a place."""

    reach: int = 2
    share: float = 0.0

    name: ClassVar[str] = "blurred"
    summary: ClassVar[str] = "a test's method"
    citation: ClassVar[str] = ""
    kinds: ClassVar[tuple[str, ...]] = ("volume",)

    def window(self, about: Mapping[str, Any]) -> Window | None:
        return Window(self.reach)

    def bound(self, batch: Batch, index: int, noise: Process | None, found: Estimate) -> Blurred:
        made = copy.copy(self)
        made.bounds_ = getattr(self, "bounds_", 0) + 1  # type: ignore[attr-defined]
        made.map_ = np.where(batch.known(index), batch.floats(index), 0).mean(0)  # type: ignore[attr-defined]
        made.seen_ = []  # type: ignore[attr-defined]
        SEEN.append(made)
        return made

    def restore_item(
        self,
        batch: Batch,
        index: int,
        noise: Process | None = None,
        advance: Advance | None = None,
        found: Estimate | None = None,
    ) -> Restoration:
        x = filled(batch.floats(index), batch.known(index))
        begin = batch.about(index).get("begin", 0)
        self.seen_.append(x.shape[1])  # type: ignore[attr-defined]
        if noise is not None and noise.varies:
            x = x + np.broadcast_to(np.asarray(noise.sigma), x.shape)  # type: ignore[attr-defined]
        y = means(x, self.reach)
        y -= np.float32(self.share) * self.map_[begin : begin + x.shape[1]]  # type: ignore[attr-defined]
        if advance:
            advance(1.0)
        return Restoration(y.astype(np.float32), noise)


SEEN: list[Any] = []


def means(x: np.ndarray, reach: int) -> np.ndarray:
    """The mean of the slices within `reach`, those that there are."""
    total = np.zeros(x.shape, np.float64)
    count = np.zeros(x.shape[1])
    for z in range(x.shape[1]):
        near = slice(max(0, z - reach), z + reach + 1)
        total[:, z] = x[:, near].astype(np.float64).sum(1)
        count[z] = x[:, near].shape[1]
    return total / count[:, None, None]


@pytest.fixture(autouse=True)
def _forget() -> None:
    SEEN.clear()


def series(axes: str = "CZYX", dtype: type = np.float32, seed: int = 0) -> Record:
    """Three volumes of 17 slices of 6 × 5 voxels, in any order of axes."""
    rng = np.random.default_rng(seed)
    x = rng.random((3, 17, 6, 5)).astype(np.float32)
    if np.issubdtype(dtype, np.integer):
        x = x * 1000
    x = x.astype(dtype).transpose(["CZYX".index(a) for a in axes])
    return Record(x, axes, kind="volume")


def in_pieces(monkeypatch: pytest.MonkeyPatch, slices: int | None) -> None:
    monkeypatch.setattr(Volume, "piece", slices and slices * 3 * 6 * 5)


@pytest.mark.parametrize("axes", ["CZYX", "XYZC", "ZCYX"])
@pytest.mark.parametrize("dtype", [np.float32, np.int16])
@pytest.mark.parametrize("slices", [1, 2, 5, 16])
def test_pieces_give_what_the_whole_gives(
    axes: str, dtype: type, slices: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = series(axes, dtype)
    in_pieces(monkeypatch, None)
    whole = hush.run(record, model=Blurred(share=0.5)).data
    in_pieces(monkeypatch, slices)
    made = hush.run(record, model=Blurred(share=0.5))
    assert made.data.dtype == dtype
    assert made.data.shape == record.data.shape
    np.testing.assert_array_equal(made.data, whole)
    assert not np.array_equal(whole, record.data)
    (_, bound) = SEEN
    assert bound.bounds_ == 1  # once for an item, and not for its pieces
    assert len(bound.seen_) == -(-17 // slices)
    assert max(bound.seen_) <= slices + 4


def test_a_piece_has_so_many_values_but_at_least_one_slice() -> None:
    assert VOLUME.span((65, 78, 128, 128)) == 2**24 // (65 * 128 * 128)
    assert VOLUME.span((1, 100, 8192, 8192)) == 1
    assert VOLUME.span((1, 200, 256, 256)) is None
    assert kinds.get("signal").span((1, 2**20)) == 2**18
    assert kinds.get("image").span((3, 10**5, 10**5)) is None
    assert kinds.get("image").blocks((3, 10**5, 10**5)) == (2048, 2048)
    assert kinds.get("image").blocks((3, 2**13, 2**13)) is None


@pytest.mark.parametrize(
    ("shape", "first", "last"),
    [
        ((2, 64, 64, 64), 0, 64),
        ((65, 78, 128, 128), 31, 46),
        ((400, 90, 1024, 1024), 43, 46),
        ((400, 2, 1024, 1024), 0, 2),
    ],
)
def test_a_large_series_is_measured_in_the_middle(shape: Any, first: int, last: int) -> None:
    x = np.broadcast_to(np.arange(shape[1], dtype=np.float32)[:, None, None], shape)
    mask = np.broadcast_to(np.True_, shape)
    glimpse = VOLUME.glimpse(Batch(x[None], 2.0, mask[None], {"spacing": (1, 2, 3)}), 0)
    assert glimpse.data[0].shape == (shape[0], last - first, *shape[2:]) == glimpse.mask[0].shape  # type: ignore[index]
    np.testing.assert_array_equal(glimpse.data[0][0, :, 0, 0], np.arange(first, last))
    assert glimpse.about(0) == {"spacing": (1, 2, 3)}
    assert glimpse.scale == 2
    assert last - first >= min(LEAST, shape[1])


def test_a_given_map_is_cut_like_the_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    record = series()
    levels = np.random.default_rng(1).random((1, 17, 6, 5)).astype(np.float32) + 0.1
    in_pieces(monkeypatch, None)
    whole = hush.run(record, model=Blurred(), noise=Gaussian(levels))
    in_pieces(monkeypatch, 4)
    made = hush.run(record, model=Blurred(), noise=Gaussian(levels))
    np.testing.assert_allclose(made.data, whole.data, rtol=1e-6)
    slices = VOLUME.glimpses((3, 17, 6, 5))[0]
    expected = np.sqrt(np.mean(levels[:, slices].astype(np.float64) ** 2))
    assert made.residual["expected_rms"] == pytest.approx(expected, rel=1e-5)
    assert made.residual["n"] == 3 * 4 * 6 * 5


def test_unknown_voxels_stay_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    record = series()
    record.data[:, :5] = np.nan  # whole pieces
    record.data[1, 9, 2, 3] = np.inf
    in_pieces(monkeypatch, 3)
    made = hush.run(record, model=Blurred(reach=0)).data
    np.testing.assert_array_equal(np.isfinite(made), np.isfinite(record.data))
    assert made[1, 9, 2, 3] == np.inf


@pytest.mark.parametrize("slices", [1, 3])
def test_a_volume_that_is_unknown_in_a_whole_piece(
    slices: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The piece grows to the nearest known values; if there are none, nothing is written."""
    record = series()
    record.data[1, :8] = np.nan
    in_pieces(monkeypatch, None)
    whole = hush.run(record, model=Blurred(reach=0)).data
    in_pieces(monkeypatch, slices)
    made = hush.run(record, model=Blurred(reach=0)).data
    np.testing.assert_array_equal(made, whole)
    record.data[1] = np.nan
    with pytest.raises(HushError, match="a whole channel has no known value"):
        hush.run(record, model=Blurred(reach=0))


def test_volumes_are_cut_one_by_one_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Items that are channels of a series are stored in their places."""
    monkeypatch.setattr(Blurred, "joint", property(lambda self: 1))
    record = series()
    in_pieces(monkeypatch, None)
    whole = hush.run(record, model=Blurred(share=0.3)).data
    monkeypatch.setattr(Volume, "piece", 4 * 6 * 5)
    made = hush.run(record, model=Blurred(share=0.3))
    np.testing.assert_array_equal(made.data, whole)
    assert [(item.index, item.channel) for item in made.items] == [(0, 0), (0, 1), (0, 2)]


def test_pieces_are_written_into_the_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    record = series("XYZC", np.int16)
    in_pieces(monkeypatch, 4)
    made = hush.run(record, model=Blurred(), into=tmp_path / "a.npy")
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), made.data)
    np.testing.assert_array_equal(made.data, hush.run(record, model=Blurred()).data)


# -- memory --------------------------------------------------------------------------------------


def large(count: int = 100) -> Record:
    """More than 1 GiB of float32 that takes no room: all its volumes are the same memory."""
    volume = np.random.default_rng(0).integers(0, 1000, (64, 256, 256)).astype(np.int16)
    return Record(np.broadcast_to(volume, (count, *volume.shape)), "CZYX", kind="volume")


def test_the_memory_for_a_large_series() -> None:
    record = large()
    batch = kinds.to_batch(record)
    slab = 100 * 256 * 256
    assert memory_for(record, batch, Blurred(reach=0)) >= LEAST * slab * 96  # what is judged
    pieces = memory_for(record, batch, Blurred(reach=10))
    wider = memory_for(record, batch, Blurred(reach=12))
    assert wider - pieces == 4 * slab * 4 * Blurred.copies
    whole = type("Whole", (Blurred,), {"window": lambda self, about: None})
    assert memory_for(record, batch, whole()) > 2**30 * Blurred.copies


def test_too_little_memory_is_said_and_nothing_begun(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("hush.pipeline.available", lambda: 2**28)
    with pytest.raises(HushError, match=r"blurred needs about \d\.\d GiB .* but 0\.2 GiB are free"):
        hush.run(large(), model=Blurred(), into=tmp_path / "a.npy")
    assert not SEEN
    assert not list(tmp_path.iterdir())
    hush.run(series(), model=Blurred())  # small data is not refused
    monkeypatch.setattr("hush.pipeline.available", lambda: None)
    monkeypatch.setattr("hush.pipeline.STATED", 1)
    hush.run(series(), model=Blurred())  # nor where the system does not say


def test_the_command_line_states_the_memory(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    np.save(tmp_path / "a.npy", series().data)
    command = ["denoise", str(tmp_path / "a.npy"), "--kind", "volume", "--method", "none"]
    run = CliRunner().invoke(main, command)
    assert run.exit_code == 0
    assert "of memory" not in run.stderr
    monkeypatch.setattr("hush.pipeline.STATED", 1)
    run = CliRunner().invoke(main, [*command, "--overwrite"])
    assert run.stderr == "hush: a.npy: 0.0 GiB of data; denoising takes about 0.3 GiB of memory\n"
    run = CliRunner().invoke(main, [*command, "--overwrite", "--quiet"])
    assert not run.stderr
    monkeypatch.setattr("hush.pipeline.available", lambda: 1)
    run = CliRunner().invoke(main, [*command, "--overwrite"])
    assert run.exit_code == 1
    assert "none needs about 0.3 GiB of memory for this data, but 0.0 GiB are free" in run.stderr


def test_free_memory() -> None:
    free = available()
    assert free is None or 2**20 < free < 2**50


def test_a_full_disk_for_temporary_files(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.posix_fallocate", full)
    with pytest.raises(HushError, match=r"do not fit in .*; set TMPDIR"):
        empty((2**13, 2**13), np.int16)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="getrusage's peak is inherited")
@pytest.mark.long
def test_memory_does_not_grow_with_the_series(tmp_path: Path) -> None:
    """Five times the slices, 32 MiB more of int16 in and out: the peak stays where it was."""
    peaks = []
    for slices in (64, 320):
        path, out = tmp_path / "a.npy", tmp_path / "b.npy"
        data = np.lib.format.open_memmap(path, "w+", np.int16, (4, slices, 128, 128))
        data[...] = np.arange(slices, dtype=np.int16)[:, None, None]
        del data
        code = (
            "import hush\n"
            "from hush.kinds.volume import Volume\n"
            "Volume.piece = 2**20\n"
            f"record = hush.read({str(path)!r}, kind='volume', axes='CZYX')\n"
            f"hush.run(record, method='none', into={str(out)!r})\n"
            "status = open('/proc/self/status').read()\n"
            "print(int(status.partition('VmHWM:')[2].split()[0]) / 2**10)\n"
        )
        run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert run.returncode == 0, run.stderr
        peaks.append(float(run.stdout))
        np.testing.assert_array_equal(np.load(out, mmap_mode="r"), np.load(path, mmap_mode="r"))
    assert peaks[1] < peaks[0] + 16, peaks

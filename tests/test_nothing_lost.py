"""Every item is measured, judged and kept as itself, and nothing of a record or file is lost."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

import hush
from hush import api, io, kinds
from hush.denoiser import Denoiser
from hush.errors import HushError
from hush.io import tiff
from hush.record import Record
from hush.results import Restoration
from hush.table import Table

pytestmark = pytest.mark.usefixtures("one_thread")


def noisy(sigma: float, seed: int = 0, side: int = 96) -> np.ndarray:
    y, x = np.mgrid[:side, :side] / side
    clean = 0.5 + 0.3 * np.sin(4 * x) * np.cos(3 * y)
    return (clean + np.random.default_rng(seed).normal(0, sigma, (side, side))).astype(np.float32)


def gappy(planes: int = 3, side: int = 128) -> np.ndarray:
    """A stack whose plane 1 is unknown."""
    x = np.stack([noisy(0.05, k, side) for k in range(planes)])
    x[1] = np.nan
    return x


@dataclass
class Halving(Denoiser):
    """Keeps every second column."""

    name: ClassVar[str] = "halving"
    summary: ClassVar[str] = ""
    citation: ClassVar[str] = ""
    selects: ClassVar[bool] = True
    calls: int = 0

    def restore(self, x: np.ndarray, *_: Any, **__: Any) -> Restoration:
        self.calls += 1
        return Restoration(x, kept=np.arange(x.shape[-1]) % 2 == 0)


# -- each item as itself -----------------------------------------------------------------------


def test_the_advice_reads_its_own_item() -> None:
    x = np.stack([noisy(0.05), noisy(0.05, 1)])
    x[1, 3, 3] = np.nan
    said = ["NaN" in " ".join(i.advice) for i in hush.run(x, method="none").items]
    assert said == [False, True]


def test_what_a_mask_leaves_out_is_not_measured() -> None:
    x = noisy(0.08, side=128)
    mask = np.ones(x.shape, bool)
    mask[:64] = False
    x[:64] = noisy(0.004, 2, 128)[:64]
    result = hush.run(Record(x, "YX", mask=mask), method="none")
    assert result.estimate.sigma == pytest.approx(0.08, rel=0.15)


def test_half_the_strength_is_judged_as_half() -> None:
    residual = hush.run(noisy(0.08), strength=0.5).residual
    assert residual["ratio"] == pytest.approx(1, abs=0.15)


def test_correlation_is_told_once() -> None:
    noise = gaussian_filter(np.random.default_rng(1).standard_normal((128, 128)), 0.7)
    x = noisy(0.0, side=128) + 0.08 * noise / noise.std()
    result = hush.run(x.astype(np.float32))
    assert result.estimate.correlated
    assert sum("spatially correlated" in w for w in result.warnings) == 1


def test_an_inspection_says_which_item_it_looked_at() -> None:
    seen = api.inspected(np.stack([noisy(0.01), noisy(0.01, 1), noisy(0.08, 2)]))
    assert (seen.index, seen.channel) == (2, None)
    seen = api.inspected(Record(np.stack([noisy(0.01), noisy(0.08, 2)]), "CYX"))
    assert (seen.index, seen.channel) == (0, 1)


def test_a_comparison_is_the_mean_over_items() -> None:
    b = np.zeros((2, 16, 16), np.float32)
    a = b.copy()
    a[0] += 0.1
    a[1] += 0.01
    assert hush.compare(a, b)["psnr"] == pytest.approx(30)


# -- planes without a known value --------------------------------------------------------------


def test_an_unknown_plane_has_an_unknown_spread(random_diffdenoise: Any) -> None:
    x = gappy(side=32)
    result = hush.run(x, model=random_diffdenoise(draws=2), uncertainty=True)
    assert result.spread is not None
    assert result.spread.data.shape == x.shape
    assert np.isnan(result.spread.data[1]).all()
    assert np.isfinite(result.spread.data[[0, 2]]).all()


def test_unknown_planes_take_no_part_in_training_and_adapting() -> None:
    x = gappy(planes=2)
    schedule = hush.Schedule(max_steps=1, batch=2, patch=32)
    model = hush.MID(widths=(8,), blocks=(1,))
    model = model.fit(x, schedule=schedule, device="cpu", progress=False)
    made = hush.run(x, model=model, adapt=0.1, device="cpu")
    assert np.isnan(made.data[1]).all()
    assert np.isfinite(made.data[0]).all()


def test_a_selecting_method_never_mixes_whole_and_shortened_items() -> None:
    for order in ([1, 0, 2], [0, 1, 2]):
        with pytest.raises(HushError, match="keeps a different number of pixels"):
            hush.run(Record(gappy(side=32)[order], "ZYX"), model=Halving())


# -- what the user has in files ----------------------------------------------------------------


def test_a_private_map_keeps_what_was_written_into_it(tmp_path: Path) -> None:
    x = np.stack([noisy(0.05), noisy(0.05, 1)])
    np.save(tmp_path / "a.npy", np.zeros_like(x))
    mine = np.load(tmp_path / "a.npy", mmap_mode="c")
    mine[...] = x
    result = hush.run(mine, method="none")
    np.testing.assert_array_equal(mine, x)
    np.testing.assert_array_equal(result.data, x)


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="the system cannot reserve room")
def test_the_room_of_a_result_is_taken_at_once(tmp_path: Path) -> None:
    """A full disk is then a sentence at the beginning, not a signal that kills the process."""
    record = Record(np.zeros((16, 256, 256), np.float32), "ZYX")
    with io.opened(record, tmp_path / "a.npy"):
        (part,) = (path for path in tmp_path.rglob("*") if path.is_file())
        assert part.stat().st_blocks * 512 >= record.data.nbytes


def test_errors_of_opening_name_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiff, "LARGE", 0)
    record = Record(np.zeros((2, 3, 4, 5, 16, 16), np.float32), "QIPRYX")
    with pytest.raises(HushError, match=r"a\.ome\.tif"), io.opened(record, tmp_path / "a.ome.tif"):
        pass


def test_an_error_of_the_work_is_not_one_of_the_file(tmp_path: Path) -> None:
    record = Record(np.zeros((16, 16), np.float32), "YX")
    with pytest.raises(OSError, match="scratch") as error, io.opened(record, tmp_path / "a.npy"):
        raise OSError(5, "scratch disk failed")
    assert "cannot be written" not in str(error.value)
    assert not list(tmp_path.iterdir())


def test_alpha_is_not_lost_item_by_item(tmp_path: Path) -> None:
    meta = {"alpha": np.zeros((8, 8, 1), np.uint8), "alpha_axis": 2, "alpha_samples": 1}
    with io.opened(
        Record(np.zeros((8, 8, 3), np.uint8), "YXS", meta=meta), tmp_path / "a.npy"
    ) as f:
        assert f is None


def test_a_place_that_cannot_be_written_is_refused_before_the_work(tmp_path: Path) -> None:
    method = Halving()
    with pytest.raises(HushError, match=r"a\.unknown"):
        hush.run(noisy(0.05), model=method, into=tmp_path / "a.unknown")
    assert method.calls == 0


def test_changing_a_result_does_not_change_its_file(tmp_path: Path) -> None:
    result = hush.run(noisy(0.05), method="none", into=tmp_path / "a.npy")
    with pytest.raises(ValueError, match="read-only"):
        result.data[...] = 0
    assert np.load(tmp_path / "a.npy").any()


@pytest.mark.parametrize("derived", [False, True])
def test_the_other_arrays_of_a_file_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, derived: bool
) -> None:
    """Or the result is refused, where no array of the file is the record's."""

    @dataclasses.dataclass(frozen=True)
    class Recordings(type(kinds.get("image"))):  # type: ignore[misc]
        name: ClassVar[str] = "recordings"
        keys: ClassVar[frozenset[str]] = frozenset({"signal", "rate"})

        def from_arrays(self, arrays: Mapping[str, np.ndarray]) -> Record:
            return Record(
                arrays["signal"] * 2 if derived else arrays["signal"], "YX", kind=self.name
            )

    own, look_up = Recordings(), Table.__getitem__
    monkeypatch.setitem(kinds.KINDS._own, "recordings", "")
    monkeypatch.setattr(
        Table, "__getitem__", lambda t, n: own if n == "recordings" else look_up(t, n)
    )
    np.savez(tmp_path / "a.npz", signal=noisy(0.1), rate=3.0)
    record = hush.read(tmp_path / "a.npz")
    if derived:
        with pytest.raises(HushError, match="come from several arrays"):
            io.check(record, tmp_path / "b.npz")
        return
    io.write(record, tmp_path / "b.npz")
    with np.load(tmp_path / "b.npz") as made:
        assert set(made) == {"signal", "rate"}
        assert made["rate"] == 3.0
        np.testing.assert_array_equal(made["signal"], noisy(0.1))


def test_a_package_that_does_not_load_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    from importlib.metadata import EntryPoint

    table: Table[Any] = Table("hush.nothing", {})
    table.__dict__["_added"] = {"odd": EntryPoint("odd", "no_such_module:X", "hush.nothing")}
    with pytest.raises(HushError, match=r"^odd of the package .* cannot be loaded"):
        table["odd"]

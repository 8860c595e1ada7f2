"""The maps beside a result: what was removed, and the deviation of the noise in every place."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import tifffile
from click.testing import CliRunner

import hush
from hush import io
from hush.cli import main
from hush.denoiser import ANY, Advance, Denoiser
from hush.kinds import get, maps
from hush.kinds.volume import Volume
from hush.noise.process import Process
from hush.noise.processes import Gaussian, Poisson, Rician
from hush.record import Record
from hush.results import Estimate, Restoration


@dataclass
class Half(Denoiser):
    """Takes half of every value away: a method whose residual is known."""

    name: ClassVar[str] = "half"
    summary: ClassVar[str] = "halves"
    kinds: ClassVar[tuple[str, ...]] = ANY

    def restore(
        self,
        x: np.ndarray,
        noise: Process | None = None,
        advance: Advance | None = None,
        found: Estimate | None = None,
    ) -> Restoration:
        return Restoration(x / 2, noise)


def counts(shape: tuple[int, ...], dtype: str = "uint8", seed: int = 0) -> np.ndarray:
    """Noisy integers about 100, with deviation 10."""
    x = np.random.default_rng(seed).normal(100, 10, shape)
    return np.clip(x, 0, 255).round().astype(dtype)


def run(*arguments: str | Path) -> tuple[int, str, str]:
    result = CliRunner().invoke(main, [str(a) for a in arguments])
    assert isinstance(result.exception, SystemExit | None), result.exception
    return result.exit_code, result.stdout, result.stderr


# -- the residual -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "axes", "kind"),
    [
        ((20, 24), "YX", "image"),
        ((20, 24, 3), "YXS", "image"),
        ((2, 3, 20, 24), "TZYX", "image"),
        ((500,), "T", "signal"),
        ((3, 500), "CT", "signal"),
        ((12, 10, 6), "XYZ", "volume"),
        ((12, 10, 6, 4), "XYZC", "volume"),
        ((4, 6, 10, 12), "CZYX", "volume"),
    ],
)
@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32", "float64"])
def test_noisy_less_residual_is_the_result(
    shape: tuple[int, ...], axes: str, kind: str, dtype: str
) -> None:
    record = Record(counts(shape, dtype), axes, kind)
    result = hush.run(record, model=Half())
    made = result.removed
    assert (made.data.dtype, made.data.shape) == (np.float32, shape)
    assert (made.axes, made.kind, made.scale) == (axes, kind, record.scale)
    assert np.abs(made.data).max() > 20
    assert np.allclose(record.data - made.data, result.data, rtol=1e-6)


def test_values_that_are_not_finite_leave_the_others() -> None:
    x = counts((8, 9), "float32")
    x[2, 3], x[4, 4] = np.nan, np.inf
    made = hush.run(Record(x, "YX"), model=Half()).removed.data
    bad = np.isin(np.arange(72).reshape(8, 9), [2 * 9 + 3, 4 * 9 + 4])
    assert np.isnan(made[bad]).all()
    assert np.allclose(made[~bad], x[~bad] / 2)


def test_sets_have_no_maps() -> None:
    points = np.random.default_rng(0).random((60, 2))
    result = hush.run(points, kind="points", method="none")
    for name in ("removed", "sigma_map"):
        with pytest.raises(hush.HushError, match="never change them"):
            getattr(result, name)


# -- the deviation of the noise -----------------------------------------------------------------


def test_a_constant_level_is_a_constant_map() -> None:
    record = Record(counts((20, 24)), "YX")
    made = hush.run(record, model=Half(), noise="gaussian:12").sigma_map
    assert (made.data.dtype, made.axes, made.scale) == (np.float32, "YX", 255)
    assert np.allclose(made.data, 12)


def test_a_series_has_one_map_in_its_own_units() -> None:
    context = {"bvals": np.arange(4.0), "bvecs": np.eye(4)[:, :3], "spacing": (2.0, 1.0, 1.0)}
    record = Record(counts((12, 10, 6, 4), "int16"), "XYZC", "volume", context=context)
    made = hush.run(record, model=Half(), noise="rician:12").sigma_map
    assert (made.axes, made.data.shape, made.kind) == ("XYZ", (12, 10, 6), "volume")
    assert dict(made.context) == {"spacing": (2.0, 1.0, 1.0)}
    assert np.allclose(made.data, 12)  # of each part, also where the magnitude's is lower


@pytest.mark.parametrize("axes", ["XYZC", "CZYX", "ZYXC"])
def test_a_level_that_varies_is_where_it_was_measured(
    axes: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = {"C": 3, "Z": 5, "Y": 6, "X": 7}
    level = np.linspace(0.01, 0.1, 5 * 6 * 7, dtype=np.float32).reshape(1, 5, 6, 7)

    class Uneven(Estimate):
        @property
        def local(self) -> Process:
            return Gaussian(level)

    monkeypatch.setattr(Volume, "measure", lambda *_: Uneven(Gaussian(0.05), 0.05))
    record = Record(counts(tuple(sizes[a] for a in axes)), axes, "volume")
    made = hush.run(record, model=Half()).sigma_map
    order = [made.axes.index(a) for a in "ZYX"]
    assert np.allclose(made.data.transpose(order), 255 * level[0], rtol=1e-5)


def test_noise_that_grows_with_the_signal_is_taken_at_the_result() -> None:
    x = np.linspace(50, 250, 600).reshape(20, 30).astype(np.float32)
    result = hush.run(Record(x, "YX", full=255.0), model=Half(), noise=Poisson(0.01))
    expected = 255 * np.sqrt(Poisson(0.01).variance(result.data / 255.0))
    assert np.ptp(expected) > 1
    assert np.allclose(result.sigma_map.data, expected, rtol=1e-5)


def test_the_map_of_magnitudes_is_that_of_their_parts() -> None:
    x = np.linspace(0, 1, 24, dtype=np.float32).reshape(1, 1, 4, 6)
    assert np.allclose(maps.variances(Rician(0.1), x), 0.01)
    assert np.ptp(maps.variances(Poisson(0.1), x)) > 0


def test_channels_on_their_own_have_a_level_each() -> None:
    quiet, loud = (np.random.default_rng(i).normal(0, s, 4000) for i, s in enumerate((1, 10)))
    record = Record(np.stack([quiet, loud]), "CT", "signal")
    made = hush.run(record, model=Half()).sigma_map
    assert made.axes == "CT"
    assert made.data[0] == pytest.approx(1, rel=0.15)
    assert made.data[1] == pytest.approx(10, rel=0.15)


def test_interference_has_no_map() -> None:
    record = Record(counts((2000,), "float64"), "T", "signal", context={"rate": 1000.0})
    result = hush.run(record, method="template", noise="ecg")
    with pytest.raises(hush.HushError, match="interference"):
        _ = result.sigma_map


# -- files ------------------------------------------------------------------------------------


def test_maps_are_written_into_the_file_itself(tmp_path: Path) -> None:
    record = Record(counts((12, 10, 6, 4), "int16"), "XYZC", "volume")
    result = hush.run(record, model=Half(), noise="gaussian:7")
    for name, expected in (("residual", result.removed), ("sigma_map", result.sigma_map)):
        for ending in (".npy", ".tif"):
            path = tmp_path / f"{name}{ending}"
            maps.write(result, name, path)
            found = io.read(path).data
            assert found.dtype == np.float32
            assert np.array_equal(found.ravel(), expected.data.ravel())


def test_the_command_writes_both_beside_the_result(tmp_path: Path) -> None:
    x = counts((40, 48))
    tifffile.imwrite(tmp_path / "a.tif", x)
    places = ("--residual", tmp_path / "r.tif", "--sigma-map", tmp_path / "s.npy")
    code, out, _ = run(
        "denoise", tmp_path / "a.tif", "--method", "nlm", "--noise", "gaussian:10", *places
    )
    assert code == 0
    assert str(tmp_path / "r.tif") in out.replace("\n", "").replace(" ", "")
    made = tifffile.imread(tmp_path / "a.denoised.tif")
    assert np.array_equal(x - tifffile.imread(tmp_path / "r.tif"), made)
    assert np.array_equal(np.load(tmp_path / "s.npy"), np.full(x.shape, 10, np.float32))


def test_maps_of_several_files_go_into_folders(tmp_path: Path) -> None:
    io.write(Record(counts((16, 16)), "YX"), tmp_path / "a.png")
    np.save(tmp_path / "b.npy", counts((16, 16)))
    files = (tmp_path / "a.png", tmp_path / "b.npy")
    options = ("--method", "none", "-o", tmp_path / "out", "--json")
    code, out, _ = run("denoise", *files, *options, "--residual", tmp_path / "r")
    assert code == 0
    assert sorted(p.name for p in (tmp_path / "r").iterdir()) == ["a.tif", "b.npy"]
    rows = [json.loads(line) for line in out.splitlines()]
    assert [Path(row["residual"]).name for row in rows] == ["a.tif", "b.npy"]
    assert [row["sigma_map"] for row in rows] == [None, None]
    code, _, said = run("denoise", *files, *options, "--overwrite", "--residual", "r.tif")
    assert code == 2
    assert "--residual" in said
    assert "folder" in said


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--residual", "{folder}/r.png"], "do not hold float32 maps"),
        (["--sigma-map", "{folder}/r.xyzzy"], "use a name ending in"),
        (["--residual", "{file}"], "would replace the input"),
        (["--residual", "{folder}/m.tif", "--sigma-map", "{folder}/m.tif"], "is the residual"),
        (["--residual", "{folder}/m.tif", "-o", "{folder}/m.tif"], "is the result"),
    ],
)
def test_maps_that_cannot_be_are_one_sentence(
    options: list[str], said: str, tmp_path: Path
) -> None:
    file = tmp_path / "a.tif"
    tifffile.imwrite(file, counts((16, 16)))
    given = [o.format(file=file, folder=tmp_path) for o in options]
    code, _, error = run("denoise", file, "--method", "none", *given)
    assert code == 1
    (sentence,) = error.splitlines()
    assert re.search(said, sentence)
    assert list(tmp_path.iterdir()) == [file]


def test_maps_of_sets_are_refused_before_any_work(tmp_path: Path) -> None:
    np.savez(tmp_path / "p.npz", points=np.random.default_rng(0).random((50, 2)))
    file = tmp_path / "p.npz"
    code, _, error = run("denoise", file, "--method", "none", "--residual", tmp_path / "r.npy")
    assert code == 1
    assert "never change them" in error
    assert list(tmp_path.iterdir()) == [file]


def test_existing_maps_are_kept(tmp_path: Path) -> None:
    file, place = tmp_path / "a.tif", tmp_path / "r.tif"
    tifffile.imwrite(file, counts((16, 16)))
    place.write_text("mine")
    command = ("denoise", file, "--method", "none", "--residual", place)
    assert "--overwrite" in run(*command)[2]
    assert run(*command, "--skip-existing")[0] == 0
    assert place.read_text() == "mine"
    assert (tmp_path / "a.denoised.tif").exists()


def test_the_layout_of_a_map_is_that_of_its_kind() -> None:
    series = Record(np.zeros((3, 4, 5, 6)), "XYZC", "volume")
    assert get("volume").leveled(series).axes == "XYZ"
    assert (
        get("volume").leveled(replace(series, data=series.data[..., 0], axes="XYZ")).axes == "XYZ"
    )
    assert maps.blank(series, "residual").axes == "XYZC"


def test_the_spread_is_0_in_channels_that_were_not_chosen() -> None:
    """Its mean is that of the others, not of times and of what was left alone."""
    x = np.random.default_rng(0).normal(5, 1, (3, 4096)).astype(np.float32)
    context = {"rate": 500.0, "channels": "2"}
    made = hush.run(x, kind="signal", context=context, method="wiener", uncertainty=True).spread
    assert made is not None
    assert not made.data[[0, 2]].any()
    assert maps.mean(made) == pytest.approx(made.data[1].mean())
    assert maps.mean(made) > 0

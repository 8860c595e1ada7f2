"""Images too large for memory: blocks, kills, workers; the same bytes always."""

from __future__ import annotations

import json
import os
import pickle
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import zarr
from click.testing import CliRunner

import hush
from hush import io, kinds, workers
from hush.cli import main
from hush.errors import HushError
from hush.io.partial import Mapped, Partial, folder_for
from hush.kinds import to_batch
from hush.kinds.image import large, mosaic, series
from hush.kinds.image.measure.impulses import without_impulses
from hush.noise.field import Field
from hush.noise.lines import Lines
from hush.parallel import fingerprint
from hush.pipeline import Piece, Work, pieces_of
from hush.record import Batch
from hush.results import Estimate

IMAGE = kinds.get("image")


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Sets the side of blocks of images that are large with more than 1000 pixels."""

    def blocks(side: int) -> None:
        monkeypatch.setattr(large, "LARGE", 1000)
        monkeypatch.setattr(large, "BLOCK", side)
        monkeypatch.setattr("hush.pipeline.STATED", 1000)

    blocks(32)
    return blocks


def noisy(shape: Sequence[int] = (75, 90), seed: int = 0) -> np.ndarray:
    """A slope with noise of σ 300, 16 bits."""
    rng = np.random.default_rng(seed)
    slope = np.linspace(10_000, 20_000, shape[-1])
    return (slope + rng.normal(0, 300, shape)).astype(np.uint16)


def stored(path: Path, data: np.ndarray, chunks: Sequence[int]) -> Path:
    """An OME-Zarr image of version 0.5 with one resolution."""
    axes = [{"name": a} for a in "tczyx"[-data.ndim :]]
    image = {
        "axes": axes,
        "datasets": [
            {
                "path": "0",
                "coordinateTransformations": [{"type": "scale", "scale": [1.0] * data.ndim}],
            }
        ],
    }
    about = {"ome": {"version": "0.5", "multiscales": [image]}}
    group = zarr.open_group(path, mode="w", attributes=about)
    group.create_array("0", data=data, chunks=tuple(chunks))
    return path


class Here(workers.Workers):
    """Workers that are this process; tasks and results are pickled as on their way to others."""

    def each(self, function: Any, tasks: Sequence[Any], *shared: Any) -> Iterator[Any]:
        import cloudpickle

        sent = cloudpickle.loads(cloudpickle.dumps(shared))
        for task in reversed(tasks):  # in no order that anybody may rely on
            yield task, cloudpickle.loads(cloudpickle.dumps(function(task, *sent)))


# -- blocks ------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["none", "wiener"])
def test_results_do_not_depend_on_the_blocks(small: Callable[[int], None], method: str) -> None:
    x = noisy()
    made = []
    for side in (16, 32, 64):
        small(side)
        made.append(hush.run(x, method=method))
    for other in made[1:]:
        np.testing.assert_array_equal(other.data, made[0].data)
        assert other.estimate.sigma == made[0].estimate.sigma
    assert np.array_equal(made[0].data, x) == (method == "none")


def test_blocks_cover_an_image_once(small: Callable[[int], None]) -> None:
    batch = Batch(np.zeros((1, 1, 75, 90), np.float32))
    denoiser = hush.methods.make("wiener", "image")
    count = np.zeros((75, 90), int)
    for piece in pieces_of(IMAGE, denoiser, batch, 0):
        count[piece.inner] += 1
        assert all(i.start % 8 == 0 for i in piece.inner)
        for i, o, n in zip(piece.inner, piece.outer, count.shape, strict=True):
            reach = denoiser.window({}).reach  # type: ignore[union-attr]
            assert o.start in (0, i.start - reach)
            assert o.stop in (n, i.stop + reach)
    assert (count == 1).all()
    assert IMAGE.blocks((1, 10, 100)) is None


def test_a_glimpse_is_a_montage_of_the_whole(small: Callable[[int], None]) -> None:
    at = np.arange(3000 * 900, dtype=np.float32).reshape(1, 3000, 900)
    batch = Batch(at[None], mask=np.ones((1, 1, 3000, 900), bool), context={"a": 1})
    seen = IMAGE.glimpse(batch, 0)
    rows, columns = (large.cuts(n) for n in (3000, 900))
    assert (len(rows), len(columns)) == (8, 3)
    assert seen.data[0].shape == (1, 8 * 256, 3 * 256) == seen.mask[0].shape  # type: ignore[index]
    assert seen.data[0].size == IMAGE.seen((1, 3000, 900))
    np.testing.assert_array_equal(seen.data[0][0, :256, 512:], at[0, rows[0], columns[2]])
    assert seen.about(0) == {"a": 1, "whole": (1, 3000, 900)}
    middles = [(r.start + r.stop) / 2 for r in rows]
    np.testing.assert_allclose(middles, (np.arange(8) + 0.5) * 3000 / 8, atol=large.ALIGNED)


def test_a_mosaic_is_looked_for_in_a_few_rows_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A mask of all pixels would grow with the image."""
    x = np.random.default_rng(0).integers(90, 110, (640, 480)).astype(np.uint16)
    x[::2, ::2] += 500
    x[1::2, 1::2] += 250
    x[600:] = 65535  # no mosaic there
    record = hush.Record(x, "YX")
    sizes: list[int] = []
    known = Batch.known
    monkeypatch.setattr(
        Batch, "known", lambda of, i: (sizes.append(of.data[i].size), known(of, i))[1]
    )
    found = mosaic.recognised(record, to_batch(record))
    assert mosaic.pattern_of(found)
    assert sizes
    assert max(sizes) <= 48 * 480


def test_what_is_found_in_a_montage_is_brought_to_the_whole(small: Callable[[int], None]) -> None:
    """Noise twice as strong at the right as at the left."""
    rng = np.random.default_rng(0)
    level = np.linspace(0.02, 0.04, 700, dtype=np.float32)
    x = 0.5 + level * rng.standard_normal((300, 700), np.float32)
    (item,) = hush.run(x, method="none").items
    field = item.found.field
    assert isinstance(field, Field)
    assert field.shape == (300, 700)
    seen = item.found.sigma * np.sqrt(field.map()[0, 150])
    np.testing.assert_allclose(seen[::100], level[::100], rtol=0.2)
    place = (slice(100, 200), slice(300, 500))
    part = IMAGE.inside(item.found, place).field
    assert part is not None
    np.testing.assert_array_equal(part.map(), field.map()[:, *place])


def test_offsets_of_lines_stay_and_are_told(small: Callable[[int], None]) -> None:
    rng = np.random.default_rng(0)
    x = 0.5 + 0.02 * rng.standard_normal((300, 550)) + 0.05 * rng.standard_normal((300, 1))
    x[:100] += 0.2
    made = hush.run(x.astype(np.float32), method="none")
    assert any("offsets" in said and "stays in" in said for said in made.warnings)
    assert made.estimate.sigma == pytest.approx(0.02, rel=0.1)
    assert not made.estimate.lines
    lines = Lines(np.ones((1, 4)), np.zeros((1, 5)))
    assert (bool(lines.kept()), lines.kept().left) == (False, 1.0)


def test_impulses_are_found_on_a_grid_of_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever part of an image is given, the same pixels are replaced in it."""
    monkeypatch.setattr(large, "CELL", 64)
    rng = np.random.default_rng(1)
    x = (0.5 + 0.02 * rng.standard_normal((1, 256, 192))).astype(np.float32)
    hit = rng.random(x.shape) < 1e-3
    x[hit] = 1.0
    found = Estimate(hush.noise.processes.Gaussian(0.02), 0.02, impulses=1e-3)

    def cleaned(part: np.ndarray) -> np.ndarray:
        return without_impulses(part, found)

    whole = large.in_cells(
        cleaned, x, (slice(0, 256), slice(0, 192)), (slice(0, 256), slice(0, 192))
    )
    assert (whole != x)[hit].mean() > 0.9
    assert (whole != x)[~hit].mean() < 1e-3
    place = (slice(32, 224), slice(0, 176))
    wanted = (slice(80, 130), slice(10, 100))
    part = large.in_cells(cleaned, x[:, *place], place, wanted)
    np.testing.assert_array_equal(part[:, *wanted], whole[:, *place][:, *wanted])


@pytest.mark.slow
def test_mid_in_blocks(monkeypatch: pytest.MonkeyPatch, small: Callable[[int], None]) -> None:
    """A model with small tiles, so that there are many; counting noise, waves and impulses."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:96, :112]
    clean = 400 + 200 * np.sin(x / 17) * np.cos(y / 23)
    clean += 60 * np.sin(1.7 * x + 0.9 * y) * (x + y < 50)  # too few to be taken for hum
    data = rng.poisson(np.maximum(clean, 1)).astype(np.uint16)
    monkeypatch.setattr(large, "CELL", 32)
    monkeypatch.setattr("hush.methods.mid.image.CELL", 32)
    model = hush.load("mid-gray").replace(tile=32, turns=1)
    made = []
    for side in (32, 64):
        small(side)
        made.append(hush.run(data, model=model, noise="poisson:65535"))
    np.testing.assert_array_equal(made[0].data, made[1].data)
    monkeypatch.setattr(large, "LARGE", 2**26)
    whole = hush.run(data, model=model, noise="poisson:65535")
    error = np.abs(made[0].data.astype(float) - whole.data)
    assert error.max() <= 1  # of rounding
    assert error.mean() < 0.01
    assert made[0].step == pytest.approx(whole.step, rel=0.2)
    assert np.std(whole.data - clean) < 0.5 * np.std(data - clean)


def test_channels_of_unlike_noise_in_blocks(
    monkeypatch: pytest.MonkeyPatch, small: Callable[[int], None]
) -> None:
    monkeypatch.setattr(large, "CELL", 32)
    monkeypatch.setattr("hush.methods.mid.image.CELL", 32)
    wave = 0.5 + 0.3 * np.outer(np.sin(np.arange(80) / 7), np.cos(np.arange(96) / 9))
    scale = np.array([1, 0.1, 1])
    noise = 0.08 * np.random.default_rng(0).standard_normal((80, 96, 3))
    x = ((wave[..., None] + noise) * scale).astype(np.float32)
    model = hush.load("mid-rgb").replace(tile=64, turns=1)
    parts = hush.run(x, model=model)
    monkeypatch.setattr(large, "LARGE", 2**26)
    np.testing.assert_allclose(parts.data / scale, hush.run(x, model=model).data / scale, atol=1e-5)


# -- kills and workers -------------------------------------------------------------------------


def contents(path: Path) -> dict[str, bytes]:
    """Every byte of a file, or of all files of a folder."""
    files = [p for p in path.rglob("*") if p.is_file()] if path.is_dir() else [path]
    return {str(p.relative_to(path)): p.read_bytes() for p in files}


def source(tmp_path: Path, kind: str) -> Path:
    """A stack of two large planes as .zarr, .tif or .npy."""
    data = noisy((2, 75, 90))
    path = tmp_path / f"a{kind}"
    if kind == ".zarr":
        return stored(path, data[:, None, None], (1, 1, 1, 30, 40))
    if kind == ".npy":
        np.save(path, data)
    else:
        tifffile.imwrite(
            path, data, metadata={"axes": "TYX"}, bigtiff=True, photometric="minisblack"
        )
    return path


class Killed(BaseException):
    """As if the process had ended."""


@pytest.mark.parametrize(("kind", "after"), [(".zarr", 13), (".tif", 1), (".npy", 6)])
def test_a_killed_run_goes_on(
    kind: str,
    after: int,
    small: Callable[[int], None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("hush.io.tiff.LARGE", 0)
    path, out, expected = source(tmp_path, kind), tmp_path / f"b{kind}", tmp_path / f"c{kind}"
    hush.run(path, method="wiener", into=expected)
    done: list[Piece] = []
    piece = Work.piece

    def counted(self: Work, *args: Any) -> Any:
        if len(done) == after:
            raise Killed
        done.append(args[3])
        return piece(self, *args)

    monkeypatch.setattr(Work, "piece", counted)
    with pytest.raises(Killed):
        hush.run(path, method="wiener", into=out)
    assert not out.exists()
    assert folder_for(out).is_dir()
    left, after = 18 - after, 100
    done.clear()
    made = hush.run(path, method="wiener", into=out)
    assert len(done) == left
    assert contents(out) == contents(expected)
    assert len(made.items) == 2
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(
        [path.name, out.name, expected.name]
    )


def test_another_run_is_not_gone_on_with(
    small: Callable[[int], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, out = source(tmp_path, ".npy"), tmp_path / "b.npy"

    def interrupted(**options: Any) -> None:
        flush, count = io.partial.Partial.mark, []

        def mark(self: Any, key: str, found: Any) -> None:
            flush(self, key, found)
            count.append(key)
            if len(count) == 3:
                raise Killed

        with monkeypatch.context() as patch:
            patch.setattr(io.partial.Partial, "mark", mark)
            with pytest.raises(Killed):
                hush.run(path, method="wiener", into=out, **options)

    interrupted()
    with pytest.raises(HushError, match=r"b\.npy\.partial has parts of a result .* --overwrite"):
        hush.run(path, method="wiener", into=out, strength=0.5, anew=False)
    whole = hush.run(path, method="wiener", strength=0.5)
    hush.run(path, method="wiener", into=out, strength=0.5)
    np.testing.assert_array_equal(np.load(out), whole.data)
    interrupted()
    os.utime(path, (1, 1))  # another input
    with pytest.raises(HushError, match="of another input"):
        hush.run(path, method="wiener", into=out, anew=False)
    mark = next(folder_for(out).glob("done/*"))
    mark.write_bytes(b"cos\nsystem\n(S'false'\ntR.")  # runs nothing
    hush.run(path, method="wiener", into=out)
    assert not folder_for(out).exists()


def called(module: str, name: str, *given: str) -> bytes:
    """A pickle that is a call of what has this name."""
    return f"c{module}\n{name}\n".encode() + pickle.dumps(given, 0).removesuffix(b".") + b"R."


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("os", "system"),
        ("builtins", "eval"),
        ("hush.io.partial", "os.system"),  # through what a module has imported
        ("hush.parallel", "Path"),
        ("hush.io.partial", "folder_for"),
        ("hush.nothing", "Nothing"),
    ],
)
def test_what_a_part_holds_is_data_and_never_code(module: str, name: str, tmp_path: Path) -> None:
    (tmp_path / "done").mkdir()
    kept = Partial(tmp_path, Mapped("", "<f4", 0, ()), np.empty(0, np.float32))  # type: ignore[arg-type]
    (tmp_path / "done" / "0").write_bytes(called(module, name, f"touch {tmp_path}/run"))
    assert kept.done("0") is None
    assert not (tmp_path / "run").exists()
    kept.mark("1", Piece((slice(0, 2),), (slice(1, 2),)))
    assert kept.done("1") == Piece((slice(0, 2),), (slice(1, 2),))


def test_a_failure_at_the_start_leaves_nothing(
    small: Callable[[int], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = source(tmp_path, ".npy")

    def failed(*_: Any) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(Work, "piece", failed)
    with pytest.raises(OSError, match="Input/output"):
        hush.run(path, method="wiener", into=tmp_path / "b.npy")
    assert [p.name for p in tmp_path.iterdir()] == ["a.npy"]


@pytest.mark.parametrize(
    ("kind", "is_large"), [(".zarr", True), (".tif", True), (".zarr", False), (".npy", False)]
)
def test_workers_make_the_same_bytes(
    kind: str,
    is_large: bool,
    small: Callable[[int], None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Blocks of large planes, or whole planes of a stack."""
    if not is_large:
        monkeypatch.setattr(large, "LARGE", 2**26)
    monkeypatch.setattr("hush.io.tiff.LARGE", 0)
    path, out, expected = source(tmp_path, kind), tmp_path / f"b{kind}", tmp_path / f"c{kind}"
    alone = hush.run(path, method="wiener", into=expected)
    shared = hush.run(path, method="wiener", into=out, workers=Here(None))
    assert contents(out) == contents(expected)
    assert [i.found.sigma for i in shared.items] == [i.found.sigma for i in alone.items]
    assert shared.warnings == alone.warnings
    assert shared.verdict == alone.verdict


def test_workers_know_the_pedestal_of_every_plane(
    small: Callable[[int], None], tmp_path: Path
) -> None:
    planes = noisy((3, 75, 90)).astype(np.float64) + 1e9 * np.arange(1, 4)[:, None, None]
    np.save(path := tmp_path / "a.npy", planes)
    outs = []
    for name, many in (("alone.npy", None), ("shared.npy", Here(None))):
        outs.append(tmp_path / name)
        law = "poisson-gaussian:1e-4,5"  # another one above every pedestal
        hush.run(path, axes="QYX", method="wiener", noise=law, into=outs[-1], workers=many)
    np.testing.assert_array_equal(*map(np.load, outs))


def test_a_large_image_restored_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was replaced is of the image, and not of the montage that it is judged by."""
    monkeypatch.setattr(large, "LARGE", 2**14)
    monkeypatch.setattr(large, "BLOCK", 64)
    x = (noisy((150, 170)) >> 8).astype(np.uint8)
    x[::31, ::29] = 255
    made = hush.run(x, settings={"level": "step"})
    assert (made.data[::31, ::29] < 200).all()


def test_a_result_is_of_all_files_of_its_input(tmp_path: Path) -> None:
    nibabel = pytest.importorskip("nibabel")
    for seed in (0, 1):
        image = nibabel.Nifti1Pair(noisy((8, 9, 7), seed).astype("i2"), np.eye(4))
        nibabel.save(image, tmp_path / f"{seed}.hdr")
    before = fingerprint(hush.read(tmp_path / "0.hdr"), [])
    (tmp_path / "1.img").replace(tmp_path / "0.img")
    assert fingerprint(hush.read(tmp_path / "0.hdr"), []) != before


def test_frames_of_one_camera_are_measured_once_for_all_workers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Workers get the common law, which is small, and no frames; and what the user says of values
    that mark missing ones."""
    measured: list[int] = []
    laws = series.laws

    def counted(frames: Any, review: Any) -> Any:
        measured.append(len(frames))
        return laws(frames, review)

    monkeypatch.setattr(series, "laws", counted)
    sent: list[int] = []

    class Weighed(Here):
        def each(self, function: Any, tasks: Sequence[Any], *shared: Any) -> Iterator[Any]:
            import cloudpickle

            sent.append(len(cloudpickle.dumps((function, tasks, shared))))
            yield from super().each(function, tasks, *shared)

    rng = np.random.default_rng(0)
    light = 40 + 80 * np.add.outer(np.linspace(0, 1, 112), np.linspace(0, 1, 112))
    stack = rng.poisson(np.stack([light] * 3)).astype("u2")
    stack[:, :, :10] = 0
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, stack, photometric="minisblack", metadata={"axes": "TYX"})
    record = hush.read(path, nodata=())
    results = [
        hush.run(record, method="wiener", into=tmp_path / name, workers=many)
        for name, many in (("alone.tif", None), ("shared.tif", Weighed(None)))
    ]
    alone, shared = ([(i.law, i.found.sigma, i.warnings) for i in r.items] for r in results)
    assert alone == shared
    assert contents(tmp_path / "alone.tif") == contents(tmp_path / "shared.tif")
    assert measured == [3, 3]  # once a run
    assert (results[1].data[..., :10] != 0).any()
    assert {law for law, *_ in alone} <= {0, 1}
    assert max(sent) < 2**16 < stack.nbytes


def test_several_files_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In order, with the same rows and bytes; one that fails costs itself only."""
    for name, seed in (("a", 1), ("b", 2)):
        np.save(tmp_path / f"{name}.npy", noisy((40, 40), seed))
    (tmp_path / "damaged.tif").write_bytes(b"nothing")
    files = [str(tmp_path / name) for name in ("b.npy", "damaged.tif", "a.npy")]
    command = ["denoise", *files, "--method", "wiener", "--json", "-o"]
    alone = CliRunner().invoke(main, [*command, str(tmp_path / "alone/")])

    class Future:
        def __init__(self, made: Any) -> None:
            self.made, self.asked = made, 0

        def done(self) -> bool:
            self.asked += 1
            return self.asked > 1

        def result(self) -> Any:
            return self.made

    class Now(Here):
        def submit(self, function: Any, *arguments: Any) -> Any:
            return Future(function(*arguments))

    @contextmanager
    def started(count: int, scheduler: str | None, threads: int | None) -> Iterator[Any]:
        assert (count, scheduler, threads) == (2, None, None)
        yield Now(None)

    monkeypatch.setattr(workers, "started", started)
    both = CliRunner().invoke(main, [*command, str(tmp_path / "two/"), "--workers", "2"])
    assert alone.exit_code == both.exit_code == 1
    assert both.stderr.splitlines()[0] == alone.stderr.splitlines()[0]
    ours, theirs = ([json.loads(s) for s in r.stdout.splitlines()] for r in (both, alone))
    assert [row["input"] for row in ours] == files
    timed = ("output", "seconds", "timings")
    assert [{k: v for k, v in row.items() if k not in timed} for row in ours] == [
        {k: v for k, v in row.items() if k not in timed} for row in theirs
    ]
    assert contents(tmp_path / "two") == contents(tmp_path / "alone")


def test_without_dask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.save(tmp_path / "a.npy", noisy((40, 40)))
    monkeypatch.setitem(sys.modules, "distributed", None)
    run = CliRunner().invoke(main, ["denoise", str(tmp_path / "a.npy"), "--workers", "2"])
    assert run.exit_code == 1
    assert "needs Dask" in run.stderr
    assert "[parallel]" in run.stderr
    both = ["--workers", "2", "--scheduler", "tcp://localhost:1"]
    assert CliRunner().invoke(main, ["denoise", str(tmp_path / "a.npy"), *both]).exit_code == 2


@pytest.mark.long
def test_a_lost_worker_costs_its_block_only(small: Callable[[int], None], tmp_path: Path) -> None:
    """Two processes, of which one ends in the middle; then a cluster that is there."""
    path, expected = source(tmp_path, ".zarr"), tmp_path / "expected.zarr"
    hush.run(path, method="wiener", into=expected)
    with workers.started(2, threads=2) as two:
        victim = next(iter(two.client.run(os.getpid).values()))
        trim = two.client.run(os.getenv, "MALLOC_TRIM_THRESHOLD_")
        assert set(trim.values()) == {os.getenv("MALLOC_TRIM_THRESHOLD_")}
        calls: list[str] = []
        mark = io.partial.Partial.mark

        def counted(self: Any, key: str, found: Any) -> None:
            mark(self, key, found)
            calls.append(key)
            if len(calls) == 3:
                os.kill(victim, signal.SIGKILL)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(io.partial.Partial, "mark", counted)
            hush.run(path, method="wiener", into=tmp_path / "b.zarr", workers=two)
        assert len(calls) == len(set(calls)) == 20
        assert contents(tmp_path / "b.zarr") == contents(expected)
        address = two.client.scheduler.address
        with workers.started(None, address) as same:
            hush.run(path, method="wiener", into=tmp_path / "c.zarr", workers=same)
        assert contents(tmp_path / "c.zarr") == contents(expected)
    with pytest.raises(HushError, match="no Dask scheduler answers at tcp://127"):
        workers.started(None, "tcp://127.0.0.1:9").__enter__()

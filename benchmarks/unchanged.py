"""Whether two commits give the same pixels: the demo, photographs, microscopes, a stack, DICOM.

    python benchmarks/unchanged.py BEFORE [AFTER] --data DIR

Each commit denoises the same files with its own code, on one thread. A line a file says whether the
pixels are equal to the bit, or else how many differ and by how much at most. AFTER is the working
tree by default. Exits 1 if any file differs.
"""

from __future__ import annotations

import argparse
import io
import os
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from hush.io import read, write
from hush.record import Record

ROOT = Path(__file__).parents[1]
#: folder or file pattern under the study data, and how many of its files are taken
SETS = {
    "images/bsd68/*.png": 5,
    "images/kodak24/*.png": 5,
    "images/fmd/raw/*.png": 4,
    "volumes/knee_dicom/*/*.dcm": 1,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("before")
    parser.add_argument("after", nargs="?")
    parser.add_argument("--data", type=Path, default=os.environ.get("HUSH_DATA"))
    args = parser.parse_args()
    if args.data is None:
        sys.exit("no data: give the folder with --data, or name it in HUSH_DATA")
    with TemporaryDirectory() as folder:
        place = Path(folder)
        files = [*inputs(args.data), *made(args.data, place / "made")]
        before = denoised(files, source(args.before, place / "before"), place / "out-before")
        after = ROOT / "src" if args.after is None else source(args.after, place / "after")
        changed = sum(map(compared, denoised(files, after, place / "out-after"), before, files))
    sys.exit(bool(changed))


def inputs(data: Path) -> Iterator[Path]:
    """The demo's picture and some files of each set, spread evenly over it."""
    yield ROOT / "examples" / "hubble.png"
    for pattern, count in SETS.items():
        found = sorted(data.glob(pattern))
        yield from found[:: max(1, len(found) // count)][:count]


def made(data: Path, folder: Path) -> Iterator[Path]:
    """A stack of three photographs, and a colour image with alpha, under noise of a fixed seed."""
    rng = np.random.default_rng(0)
    folder.mkdir()
    gray = sorted(data.glob("images/bsd400_180/*.png"))[:3]
    stack = np.stack([read(path).data for path in gray]).astype(np.float32) / 255
    stack += rng.normal(0, 0.08, stack.shape).astype(np.float32)
    colour = read(sorted(data.glob("images/kodak24/*.png"))[-1]).data[:256, :256].astype(float)
    noisy = np.clip(colour + rng.normal(0, 15, colour.shape), 0, 255).astype(np.uint8)
    alpha = np.full_like(noisy[..., :1], 200)
    rgba = Record(noisy, "YXS", meta={"alpha": alpha, "alpha_axis": 2, "alpha_samples": 1})
    for name, record in (("stack.tif", Record(stack, "ZYX")), ("rgba.tif", rgba)):
        write(replace(record, source=None), folder / name)
        yield folder / name


def source(commit: str, folder: Path) -> Path:
    """The commit's own ``src``, laid out in a folder."""
    packed = subprocess.run(
        ["git", "archive", commit, "src"], cwd=ROOT, check=True, capture_output=True
    )
    with tarfile.open(fileobj=io.BytesIO(packed.stdout)) as archive:
        archive.extractall(folder, filter="data")
    return folder / "src"


def denoised(files: list[Path], code: Path, folder: Path) -> list[Path]:
    """What that code makes of the files, which it names by their numbers."""
    folder.mkdir()
    results = []
    for number, path in enumerate(files):
        results.append(folder / f"{number:02d}{path.suffix}")
        options = ["-o", str(results[-1]), "--quiet", "--threads", "1", "--device", "cpu"]
        subprocess.run(
            [sys.executable, "-m", "hush", "denoise", path, *options],
            env={**os.environ, "PYTHONPATH": str(code)},
            check=True,
        )
    return results


def compared(after: Path, before: Path, path: Path) -> bool:
    """Whether two results differ; says so."""
    ours, theirs = (read(p).data for p in (after, before))
    if changed := not np.array_equal(ours, theirs, equal_nan=ours.dtype.kind == "f"):
        off = np.abs(ours.astype(np.float64) - theirs)
        print(
            f"{path.name}: {np.count_nonzero(off)} of {off.size} differ, by {off.max():g} at most"
        )
    else:
        print(f"{path.name}: the same")
    return changed


if __name__ == "__main__":
    main()

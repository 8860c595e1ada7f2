"""Files that come inside installed packages, read and written: the same values, or one sentence.

    python benchmarks/corpora.py                       # every package that is installed
    python benchmarks/corpora.py nibabel pydicom -v    # these, and every refusal

Each file whose name or content is that of a format goes through `hush.run` with the method `none`
into a file, which is read again. Prints for each package how many files gave the same values, and
how many were refused, and why. Exits 1 if there are faults, which are described in
`benchmarks/fuzz.py`.
"""

from __future__ import annotations

import argparse
import importlib.util
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from trial import FINE, Outcome, converted  # noqa: E402

from hush import io  # noqa: E402

PACKAGES = (
    *("tifffile", "PIL", "pydicom", "nibabel", "astropy", "mne", "skimage", "imageio", "wfdb"),
    *("Bio", "biotite", "dipy", "plyfile", "mrcfile", "nrrd", "h5py", "zarr", "imagecodecs"),
    *("edfio", "czifile", "nd2", "liffile", "rawpy", "neurokit2", "xarray", "cv2", "matplotlib"),
)
LARGEST = 2**25  #: bytes of a file
#: files of a package by themselves, which are no data
BESIDE = {".py", ".pyc", ".pyi", ".pyx", ".so", ".md", ".rst", ".html", ".js", ".css", ".typed"}
BESIDE |= {".h", ".c", ".cpp", ".hpp", ".json", ".toml", ".cfg", ".mplstyle", ".ttf", ".pxd"}
QUOTED = r"'[^']*'|\"[^\"]*\"|-?\d[\d.,e+-]*"  #: of a sentence, what differs from file to file


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("packages", nargs="*", default=PACKAGES)
    parser.add_argument("-v", "--verbose", action="store_true", help="every file that is refused")
    args = parser.parse_args()
    faults = 0
    for package in args.packages:
        start, counts, reasons = time.perf_counter(), Counter[str](), Counter[str]()
        for path in files(package):
            outcome = tried(path)
            counts["same" if outcome.name == "read" else outcome.name] += 1
            if outcome.name == "read":
                continue
            if outcome.name not in FINE:
                faults += 1
                print(f"{outcome.name.upper()} {path}: {outcome.said}")
            elif args.verbose:
                print(f"    {path.name}{outcome.said}")
            reasons[re.sub(QUOTED, "…", outcome.said.replace(path.name, "…"))] += 1
        if counts:
            told = ", ".join(f"{count} {name}" for name, count in counts.most_common())
            print(
                f"{package}: {counts.total()} files: {told} ({time.perf_counter() - start:.0f} s)"
            )
            for reason, count in reasons.most_common():
                print(f"  {count:4} × {reason.removeprefix(': ')}")
    sys.exit(bool(faults))


def files(package: str) -> Iterator[Path]:
    """Files and folders in a package that a user might give to hush."""
    found = importlib.util.find_spec(package)
    for place in (found and found.submodule_search_locations) or ():
        taken: list[Path] = []
        for path in sorted(Path(place).rglob("*")):
            if any(part in path.parents for part in taken) or path.suffix.lower() in BESIDE:
                continue
            if path.is_dir():
                if path.name.lower().endswith(io.supported()) and io.folder_format(path):
                    taken.append(path)
                    yield path
            elif path.is_file() and path.stat().st_size <= LARGEST and meant(path):
                yield path


def meant(path: Path) -> bool:
    """Whether a file's name or content is that of a format."""
    if path.name.lower().endswith(io.supported()) or io.recognised(path):
        return True
    with path.open("rb") as stream:
        head = stream.read(256)
    return any(f.magic and head.startswith(f.magic, f.offset) for f in io.formats())


def tried(path: Path) -> Outcome:
    with tempfile.TemporaryDirectory() as scratch:
        before = path.stat().st_mtime_ns
        outcome = converted(path, None, Path(scratch))
        if path.stat().st_mtime_ns != before:
            return Outcome("input", outcome.said)
        return outcome


if __name__ == "__main__":
    main()

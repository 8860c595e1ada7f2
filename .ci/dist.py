"""Check the sdist and the wheel in a folder, and use the wheel: python .ci/dist.py dist

The wheel must hold what git tracks under src/hush and nothing else, such as weights and templates.
It is installed without its dependencies into an empty folder, and runs from there.
"""

import os
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
MOST = 60e6  #: bytes; PyPI takes files of up to 100 MB
SHIPPED = {"LICENSE", "README.md", "CHANGELOG.md", "CITATION.cff", "Makefile", "pyproject.toml"}
USE = """
import sys
from pathlib import Path
import numpy as np
import hush
from hush.models import cards

assert Path(hush.__file__).is_relative_to(sys.argv[1]), hush.__file__
assert hush.denoise(np.full((32, 32), 7, np.uint8)).shape == (32, 32)
print(f"hush {hush.__version__} with {len(cards())} models runs from the wheel")
"""


def tracked() -> set[str]:
    """Every file under src/hush that git tracks, as ``hush/…``."""
    git = ["git", "-C", str(ROOT / "src"), "ls-files", "-z", "hush"]
    listed = subprocess.run(git, check=True, capture_output=True, text=True).stdout
    return set(filter(None, listed.split("\0")))


def only(folder: Path, pattern: str) -> Path:
    """The one file of this pattern, of a size that PyPI takes."""
    (path,) = folder.glob(pattern)
    size = path.stat().st_size
    print(f"{path.name}: {size / 1e6:.1f} MB")
    assert size < MOST, f"{path.name} has {size / 1e6:.0f} MB"
    return path


def main(folder: Path) -> None:
    with tarfile.open(only(folder, "*.tar.gz")) as sdist:
        there = {name.partition("/")[2] for name in sdist.getnames()}
    assert there >= SHIPPED, f"the sdist lacks {sorted(SHIPPED - there)}"

    wheel = only(folder, "*.whl")
    with zipfile.ZipFile(wheel) as file:
        names = {name for name in file.namelist() if ".dist-info/" not in name}
    assert names == tracked(), f"wheel and git differ: {sorted(names ^ tracked())}"

    with tempfile.TemporaryDirectory() as place:
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
        subprocess.run([*pip, "--target", place, str(wheel)], check=True)
        environment = {**os.environ, "PYTHONPATH": place}
        use = [sys.executable, "-c", USE, place]
        subprocess.run(use, check=True, env=environment, cwd=place)


if __name__ == "__main__":
    main(Path(sys.argv[1]))

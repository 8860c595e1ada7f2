"""`import hush` and the command line's help load nothing slow.

What is loaded is the test, never how long it takes.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

SLOW = {
    *("bm3d", "h5py", "jinja2", "lightning", "matplotlib", "pydicom", "pytorch_lightning"),
    *("cv2", "onnx", "onnxruntime", "onnxscript", "poselib", "pydegensac", "skimage"),
    *("sklearn", "torch"),
}

REPORT = """
import atexit, sys
atexit.register(lambda: print("loaded:", *{name.partition(".")[0] for name in sys.modules}))
"""


def loaded(code: str) -> set[str]:
    """Top-level packages in memory when a fresh interpreter has run `code`."""
    run = subprocess.run(
        [sys.executable, "-c", REPORT + code], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    return set(run.stdout.splitlines()[-1].removeprefix("loaded: ").split())


def test_import_hush_loads_nothing_slow() -> None:
    assert not loaded("import hush") & (SLOW | {"scipy"})


@pytest.mark.parametrize(
    "command", ["", "denoise", "train", "export", "inspect", "compare", "study"]
)
def test_help_loads_nothing_slow(command: str) -> None:
    argv = ["hush", *command.split(), "--help"]
    assert not loaded(f"sys.argv = {argv}; from hush.cli import main; main()") & SLOW


def test_denoising_loads_what_it_needs(tmp_path: Path) -> None:
    """scipy.signal alone took half as long to import as torch, on every picture."""
    np.save(tmp_path / "a.npy", np.random.default_rng(0).random((64, 64), np.float32))
    argv = ["hush", "denoise", str(tmp_path / "a.npy"), "-q"]
    code = f"sys.argv = {argv}\nfrom hush.cli import main\nmain(standalone_mode=False)"
    run = subprocess.run(
        [sys.executable, "-c", f"import sys\n{code}\nprint(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    modules = set(run.stdout.split())
    assert "torch" in modules
    heavy = {
        "scipy.signal",
        "scipy.stats",
        "matplotlib",
        "lightning",
        "pandas",
        "jinja2",
    }
    assert not modules & heavy
    # Of scikit-image, only non-local means, for the check, and what these import: 25 ms.
    parts = {m.split(".")[1] for m in modules if m.startswith("skimage.")}
    assert parts <= {"_shared", "_vendored", "exposure", "restoration", "util"}
    assert not {m for m in modules if m.startswith("skimage.exposure.")}  # lazy, and empty


def test_geometry_loads_no_estimator_before_it_is_called() -> None:
    estimators = {"cv2", "poselib", "pydegensac", "sklearn"}
    assert (
        not loaded("import hush; hush.geometry.fundamental, hush.inlier_probability") & estimators
    )


def test_the_test_sees_what_is_loaded() -> None:
    assert "skimage" in loaded("import skimage")


def test_every_public_name_is_there() -> None:
    import hush

    assert set(hush.__all__) <= set(dir(hush))
    assert all(getattr(hush, name) is not None for name in hush.__all__)
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = hush.no_such_name

"""`import hush` and the command line's help load nothing slow.

What is loaded is the test, never how long it takes.
"""

from __future__ import annotations

import subprocess
import sys

import pytest

SLOW = {
    *("bm3d", "h5py", "jinja2", "lightning", "matplotlib", "pydicom", "pytorch_lightning"),
    *("onnx", "onnxruntime", "onnxscript", "skimage", "torch"),
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
    assert not loaded("import hush") & SLOW


@pytest.mark.parametrize(
    "command", ["", "denoise", "train", "export", "inspect", "compare", "study"]
)
def test_help_loads_nothing_slow(command: str) -> None:
    argv = ["hush", *command.split(), "--help"]
    assert not loaded(f"sys.argv = {argv}; from hush.cli import main; main()") & SLOW


def test_the_test_sees_what_is_loaded() -> None:
    assert "skimage" in loaded("import skimage")


def test_every_public_name_is_there() -> None:
    import hush

    assert set(hush.__all__) <= set(dir(hush))
    assert all(getattr(hush, name) is not None for name in hush.__all__)
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = hush.no_such_name

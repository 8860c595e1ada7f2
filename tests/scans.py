"""Scans made by rule, and hush's command line on them, for the tests of volumes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from hush.cli import main

nibabel = pytest.importorskip("nibabel")

SHAPE = (4, 40, 36)
SIGMA = 30.0


def head(shape: Sequence[int] = SHAPE) -> np.ndarray:
    """A bright ellipse with smooth parts, up to 1000, and nothing around."""
    _, y, x = np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij")
    inside = (y / 0.8) ** 2 + (x / 0.75) ** 2 < 1
    return inside * (600 + 200 * np.sin(4 * x) * np.cos(3 * y))


def magnitude(clean: np.ndarray, sigma: float = SIGMA, seed: int = 0) -> np.ndarray:
    """The magnitudes of complex noise on a signal."""
    rng = np.random.default_rng(seed)
    return np.hypot(
        clean + sigma * rng.normal(size=clean.shape), sigma * rng.normal(size=clean.shape)
    )


def gradients(weak: int, count: int, b: float = 1000.0) -> tuple[np.ndarray, np.ndarray]:
    """b-values, and directions spread over the half sphere."""
    k = np.arange(count) + 0.5
    z, angle = k / count, 2.399963 * k
    r = np.sqrt(1 - z * z)
    bvecs = np.stack([r * np.cos(angle), r * np.sin(angle), z], 1)
    return np.r_[np.zeros(weak), np.full(count, b)], np.concatenate([np.zeros((weak, 3)), bvecs])


def diffusion(
    weak: int, count: int, sigma: float = SIGMA, b: float = 1000.0
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """A noisy series ``(C, Z, Y, X)``, its signals, b-values and directions; fibres go in rings."""
    bvals, bvecs = gradients(weak, count, b)
    base = head()
    _, y, x = np.meshgrid(*(np.linspace(-1, 1, n) for n in SHAPE), indexing="ij")
    angle = np.arctan2(y, x)
    across = np.cos(angle)[..., None] * bvecs[:, 0] + np.sin(angle)[..., None] * bvecs[:, 1]
    decay = np.exp(-bvals * (0.4e-3 + 0.6e-3 * across**2))
    clean = np.moveaxis(base[..., None] * decay, -1, 0)
    return magnitude(clean, sigma), clean, bvals, bvecs


def save(
    path: Path,
    x: np.ndarray,
    dtype: Any = np.int16,
    b: tuple[np.ndarray, np.ndarray] | None = None,
    scaling: tuple[float, float] | None = None,
) -> Path:
    """Write ``(C, Z, Y, X)`` or ``(Z, Y, X)`` as NIfTI with an oblique affine, b-values beside."""
    stored = np.asarray(x).transpose()
    stored = (np.rint(stored) if np.dtype(dtype).kind in "iu" else stored).astype(dtype)
    affine = np.array([[-2, 0.1, 0, 90], [0.1, 2, 0.2, -120], [0, -0.2, 2.5, -70], [0, 0, 0, 1]])
    image = nibabel.Nifti1Image(stored, affine)
    image.header.set_sform(affine, 1)
    image.header.set_qform(affine, 2)
    image.header["descrip"] = b"as it was"
    nibabel.save(image, path)
    if scaling:  # nibabel sets these itself when it writes
        raw = bytearray(path.read_bytes())
        raw[112:120] = np.array(scaling, "<f4").tobytes()
        path.write_bytes(raw)
    if b is not None:
        stem = path.name.split(".")[0]
        np.savetxt(path.with_name(f"{stem}.bval"), b[0][None], fmt="%g")
        np.savetxt(path.with_name(f"{stem}.bvec"), b[1].T, fmt="%.8f")
    return path


def stored(path: Path) -> np.ndarray:
    """The stored values of a file, ``(C, Z, Y, X)`` or ``(Z, Y, X)``."""
    found: np.ndarray = nibabel.load(path).dataobj.get_unscaled().transpose()
    return found


def call(*args: object) -> tuple[int, str]:
    """Exit code and output of a command; nothing may end in a traceback."""
    done = CliRunner().invoke(main, [str(a) for a in args])
    said = " ".join(done.output.split())
    assert "Traceback" not in said, said
    assert "internal error" not in said, said
    return done.exit_code, said


def denoise(source: Path, *args: object, out: Path | None = None) -> tuple[np.ndarray, str]:
    """The result's stored values, and all that was said."""
    made = out or source.with_name(f"out_{source.name}")
    code, said = call("denoise", source, "-o", made, "--overwrite", "--json", *args)
    assert code == 0, said
    row = json.loads(said)
    return stored(made), " ".join(row["warnings"])


def refused(source: Path, *args: object) -> str:
    """The sentence with which a file is refused; nothing is written."""
    made = source.with_name(f"out_{source.name}")
    code, said = call("denoise", source, "-o", made, *args)
    assert code != 0
    assert not made.exists()
    return said

"""Write what the shipped models for volumes are trained on.

    python -m benchmarks.volume_corpus corpus/
    hush train corpus --kind volume --corpus --force -o mid-volume.safetensors
    hush train corpus --kind volume --corpus --force --set channels=1 -o mid-slices.safetensors

The corpus has clinical MR series, as they are and averaged to half the resolution in the plane;
photographs, each as a slab of three slices: the photograph between two copies that are bent a
little, as neighbouring slices differ; and phantoms, solids with edges that are sharp to the voxel,
slanted, and move from slice to slice, which neither of the others has. hush takes some of them for
drawings, hence ``--force``.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter, map_coordinates
from skimage.color import rgb2gray
from skimage.io import imread

from hush.io import read

SERIES = ("volumes/knee_dicom/T1", "volumes/knee_dicom/T2", "volumes/brain_dicom/Flair")
PHOTOGRAPHS = ("images/bsd400_180", "images/bsds500_train")
SIDE = 160  #: voxels of a phantom, each way
FARTHEST = 4.0  #: most pixels that a copy is bent by


def bent(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A picture with its parts moved by a smooth random field."""
    strength = FARTHEST * rng.random() ** 1.5
    field = gaussian_filter(rng.normal(size=(2, *x.shape)), (0, 24, 24), mode="wrap")
    field *= strength / np.abs(field).max()
    places = np.indices(x.shape) + field + rng.normal(0, 0.3 * strength, (2, 1, 1))
    return map_coordinates(x, places, order=1, mode="reflect").astype(np.float32)


def photographs(data: Path) -> Iterator[np.ndarray]:
    """Slabs ``(3, Y, X)`` of every photograph, with values 0 to 1."""
    rng = np.random.default_rng(0)
    for folder in PHOTOGRAPHS:
        for path in sorted((data / folder).rglob("*.*g")):
            image = imread(path)
            gray = rgb2gray(image) if image.ndim == 3 else image / 255
            x = gray.astype(np.float32)
            yield np.stack([bent(x, rng), x, bent(x, rng)])


def solid(places: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Which of `places` ``(3, ...)`` lie in a random ellipsoid or polyhedron."""
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    centre = rng.uniform(-0.6, 0.6, 3) * SIDE / 2
    x = np.tensordot(turn, places - centre.reshape(3, 1, 1, 1), 1)
    size = SIDE * rng.uniform(0.08, 0.5, 3)
    if rng.random() < 0.5:
        return (np.square(x / size.reshape(3, 1, 1, 1)).sum(0)) < 1
    normals = rng.normal(size=(int(rng.integers(4, 9)), 3))
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    return np.all(np.tensordot(normals, x, 1) < size.mean(), axis=0)


def phantoms(n: int = 200) -> Iterator[np.ndarray]:
    """Slabs ``(3, Y, X)`` of solids one inside and over the other, with values 0 to 1."""
    rng = np.random.default_rng(1)
    for _ in range(n):
        finer = int(rng.choice([1, 1, 3]))  # 1: a voxel is all in or all out
        apart = rng.uniform(0.5, 6)  # how far slices are apart, in voxels of the plane
        y = (np.arange(SIDE * finer) + 0.5) / finer - SIDE / 2
        places = np.stack(np.meshgrid([-apart, 0.0, apart], y, y, indexing="ij"))
        value = np.full(places.shape[1:], rng.choice([0, 0, rng.random()]))
        slope = rng.normal(0, 0.3 / SIDE, 3) * (rng.random() < 0.5)
        for _ in range(int(rng.integers(3, 10))):
            shade = rng.random() + np.tensordot(slope, places, 1)
            value = np.where(solid(places, rng), shade, value)
        blocks = value.reshape(3, SIDE, finer, SIDE, finer).mean((2, 4))
        yield np.clip(blocks, 0, 1).astype(np.float32)


def series(data: Path) -> Iterator[np.ndarray]:
    """Clinical volumes ``(Z, Y, X)``, with values about 0 to 1."""
    for folder in SERIES:
        slices = [read(path) for path in sorted((data / folder).glob("*.dcm"))]
        volume = np.stack([s.data for s in slices]).astype(np.float32)
        volume /= np.percentile(volume, 99.9)
        yield volume
        z, y, x = volume.shape
        yield volume[:, : y // 2 * 2, : x // 2 * 2].reshape(z, y // 2, 2, x // 2, 2).mean((2, 4))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("HUSH_DATA", "data")))
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    sources = {
        "photo": photographs(args.data),
        "series": series(args.data),
        "phantom": phantoms(),
    }
    for name, source in sources.items():
        for i, x in enumerate(source):
            np.save(args.out / f"{name}{i:03d}.npy", x)


if __name__ == "__main__":
    main()

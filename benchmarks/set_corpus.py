"""Write what the shipped models for sets are trained on.

    python -m benchmarks.set_corpus corpus/
    hush train corpus/points --kind points --corpus --set added=0.01,0.65 --max-steps 2400 \
        -o mid-points.safetensors
    hush train corpus/pairs --set patch=1500 --steps 3 --max-steps 500 \
        -o mid-correspondences.safetensors
    hush train corpus/segments --set batch=4 --max-steps 400 -o mid-segments.safetensors

corpus/points: clean sets of lines, curves, clusters, surfaces and solids; two thirds are plane, one
third lies in space. Noise, number and density vary; training adds outliers. corpus/pairs: the
scene that `hush study mid/correspondences` trains on, and corpus/segments the photographs that
`hush study mid/vanishing-points` trains on, both as they are, without labels.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import numpy as np

from hush.studies.pairdata import find_scenes, pairs_of
from hush.studies.vpdata import find_albums
from hush.tasks.geometry.scenes import line_scene

SCENE = "fox50"

Random = np.random.Generator


def strokes(rng: Random, count: int) -> list[np.ndarray]:
    """Straight and bent strokes in the plane: lines, arcs, whole circles, waves, polygons."""
    made = []
    for _ in range(count):
        n = int(rng.integers(25, 140))
        t = np.sort(rng.random(n)) if rng.random() < 0.7 else np.linspace(0, 1, n)
        shape = rng.choice(["line", "arc", "circle", "wave", "polygon"])
        size, angle = rng.uniform(0.15, 0.9), rng.uniform(0, 2 * np.pi)
        if shape == "line":
            x = np.stack([t - 0.5, 0 * t], 1)
        elif shape in ("arc", "circle"):
            span = 2 * np.pi if shape == "circle" else rng.uniform(0.7, 5)
            x = 0.4 * np.stack([np.cos(span * t), np.sin(span * t)], 1)
        elif shape == "wave":
            x = np.stack([t - 0.5, rng.uniform(0.03, 0.2) * np.sin(rng.uniform(4, 20) * t)], 1)
        else:
            corners = rng.normal(0, 0.35, (int(rng.integers(3, 6)), 2))
            corners = np.concatenate([corners, corners[:1]])
            at = t * (len(corners) - 1)
            k = np.minimum(at.astype(int), len(corners) - 2)
            x = corners[k] + (at - k)[:, None] * (corners[k + 1] - corners[k])
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        made.append(size * x @ turn + rng.random(2))
    return made


def clusters(rng: Random, count: int, dims: int) -> list[np.ndarray]:
    """Round and long clusters."""
    made = []
    for _ in range(count):
        axes = rng.uniform(0.01, 0.06, dims) * rng.choice([1, 1, 3], dims)
        q, _ = np.linalg.qr(rng.normal(size=(dims, dims)))
        n = int(rng.integers(30, 200))
        made.append(rng.random(dims) + rng.normal(size=(n, dims)) * axes @ q)
    return made


def grid(rng: Random) -> list[np.ndarray]:
    """A regular grid, with a jitter."""
    side = int(rng.integers(6, 25))
    x = np.stack(np.meshgrid(*[np.linspace(0, 1, side)] * 2), -1).reshape(-1, 2)
    return [x + rng.normal(0, rng.uniform(0, 0.1) / side, x.shape)]


def solids(rng: Random, count: int) -> list[np.ndarray]:
    """Patches of planes, spheres, cylinders, boxes' faces and curves in space."""
    made = []
    for _ in range(count):
        n = int(rng.integers(60, 700))
        u, v = rng.random((2, n))
        shape = rng.choice(["plane", "sphere", "cylinder", "box", "pole", "helix"])
        if shape == "plane":
            x = np.stack([u - 0.5, rng.uniform(0.2, 1) * (v - 0.5), 0.2 * u * v], 1)
        elif shape == "sphere":
            z = 2 * v - 1
            r = np.sqrt(1 - z**2)
            x = 0.4 * np.stack([r * np.cos(6.2832 * u), r * np.sin(6.2832 * u), z], 1)
        elif shape == "cylinder":
            x = np.stack([0.2 * np.cos(6.2832 * u), 0.2 * np.sin(6.2832 * u), v - 0.5], 1)
        elif shape == "box":
            x = rng.random((n, 3)) - 0.5
            face = rng.integers(3, size=n)
            x[np.arange(n), face] = rng.choice([-0.5, 0.5], n)
            x *= rng.uniform(0.3, 1, 3)
        elif shape == "pole":
            x = np.stack([0 * u, 0 * u, u - 0.5], 1) + rng.normal(0, 0.005, (n, 3))
        else:
            x = np.stack([0.3 * np.cos(12 * u), 0.3 * np.sin(12 * u), u - 0.5], 1)
        q, _ = np.linalg.qr(rng.normal(size=(3, 3)))
        made.append(rng.uniform(0.3, 1) * x @ q + rng.random(3))
    return made


def scene(rng: Random) -> np.ndarray:
    """A clean set ``(N, 2)`` or ``(N, 3)`` in a random order."""
    pick = rng.random()
    if pick < 0.3:
        made = line_scene(rng, int(rng.integers(1, 11)))
        x = made.points[made.labels >= 0]
    else:
        if pick < 0.55:
            parts = strokes(rng, int(rng.integers(1, 9)))
        elif pick < 0.62:
            parts = clusters(rng, int(rng.integers(1, 9)), 2)
        elif pick < 0.66:
            parts = grid(rng)
        elif pick < 0.95:
            parts = solids(rng, int(rng.integers(1, 7)))
        else:
            parts = clusters(rng, int(rng.integers(1, 7)), 3)
        x = np.concatenate(parts)
        x = x + rng.normal(0, 10 ** rng.uniform(-3.3, -1.9), x.shape)
    if rng.random() < 0.5:  # thinner on one side, as scans are far from the scanner
        aside = x @ rng.normal(size=x.shape[1])
        aside = (aside - aside.min()) / max(np.ptp(aside), 1e-9)
        thin = rng.random(len(x)) < rng.uniform(1, 10) ** -aside
        x = x[thin] if thin.sum() >= 30 else x
    keep = int(len(x) * rng.uniform(0.4, 1)) if rng.random() < 0.5 else len(x)
    keep = int(rng.integers(26, 120)) if rng.random() < 0.1 else keep  # few points
    x = x[rng.permutation(len(x))[: max(keep, 26)]]
    return x * 10 ** rng.uniform(-1, 3)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    data = Path(os.environ.get("HUSH_DATA", "../shared/data"))
    parser.add_argument("--data", type=Path, default=data)
    parser.add_argument("--count", type=int, default=1500, help="sets of points")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    for name in ("points", "pairs", "segments"):
        (given.folder / name).mkdir(parents=True, exist_ok=True)
    for i in range(given.count):
        x = scene(np.random.default_rng((given.seed, i)))
        np.save(given.folder / "points" / f"{i:05}.npy", x)
    found = find_scenes(given.data)
    for k, pair in enumerate(pairs_of([s for s in found if s.name == SCENE])):
        told = {key: v for key, v in pair.record.context.items() if v is not None}
        np.savez(given.folder / "pairs" / f"{k:05}.npz", matches=pair.matches, **told)
    for album in find_albums(given.data):
        for k, photo in enumerate(album.read(album.train)):
            np.savez(
                given.folder / "segments" / f"{k:05}.npz", segments=photo.record.data, K=photo.K
            )


if __name__ == "__main__":
    main()

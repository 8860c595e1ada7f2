"""How well the shipped models for sets tell outliers from the rest: areas under the ROC curve.

    python benchmarks/sets_quality.py --data DIR

Correspondences by geometry alone: ten pairs of each scene that the model was not trained on, and
AdelaideRMF, of which nothing was. Points: 60 scenes of 1 to 10 lines, beside the oracle that knows
the lines.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from scipy.stats import rankdata

import hush
from hush.denoiser import Denoiser
from hush.record import Record
from hush.studies.correspondences import TRAINING
from hush.studies.pairdata import find_scenes
from hush.tasks.geometry.scenes import Scene, line_scene

PAIRS, SCENES, COUNTS = 10, 60, (1, 2, 4, 6, 8, 10)


def area(outlier: np.ndarray, truth: np.ndarray) -> float:
    """How often an outlier has a higher value than an inlier."""
    count = int(truth.sum())
    below = rankdata(outlier)[truth].sum() - count * (count + 1) / 2
    return float(below / (count * (len(truth) - count)))


def oracle(scene: Scene) -> np.ndarray:
    """Distances to the nearest true segment."""
    ends = scene.ends.reshape(-1, 2, 2)
    along = ends[:, 1] - ends[:, 0]
    offset = scene.points[:, None] - ends[:, 0]
    t = np.clip((offset * along).sum(-1) / (along**2).sum(-1), 0, 1)
    return np.asarray(np.linalg.norm(offset - t[..., None] * along, axis=-1).min(1))


def judged(record: Record, model: Denoiser, truth: np.ndarray) -> float:
    probability = hush.run(record, model=model).items[0].probability
    assert probability is not None
    return area(1 - probability, truth)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    given = parser.parse_args()
    model = hush.load("mid-correspondences").replace(checks=False)
    for scene in find_scenes(given.data):
        if scene.name == TRAINING:
            continue
        keys = np.random.default_rng(1).permutation(len(scene.keys))[:PAIRS]
        pairs = [scene.read(scene.keys[k]) for k in keys]
        found = [judged(pair.record, model, ~pair.inliers()) for pair in pairs]
        print(f"{scene.name}: {np.mean(found):.3f}")
    with np.load(given.data / "points" / "adelaide_rmf.npz") as rmf:
        for first in "HF":
            found = []
            for name in [k[:-2] for k in rmf if k.startswith(f"{first}_") and k.endswith("_x")]:
                record = Record(rmf[f"{name}_x"], "NC", kind="correspondences", full=1.0)
                found.append(judged(record, model, rmf[f"{name}_label"] == 0))
            print(f"AdelaideRMF {first}: {np.mean(found):.3f} ({len(found)} pairs)")
    lines = hush.load("mid-points")
    every = [
        line_scene(np.random.default_rng(10**6 + i), COUNTS[i % len(COUNTS)]) for i in range(SCENES)
    ]
    best = np.mean([area(oracle(s), s.labels < 0) for s in every])
    ours = np.mean(
        [
            judged(Record(s.points, "NC", kind="points", full=1.0), lines, s.labels < 0)
            for s in every
        ]
    )
    print(f"lines: {ours:.4f}, oracle {best:.4f}")


if __name__ == "__main__":
    main()

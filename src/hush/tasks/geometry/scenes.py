"""Scenes with known answers: lines among uniform outliers, and two views of one scene."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

POINTS = (40, 100)  #: points of one line, from and to
LENGTH = 0.3  #: shortest line, as a share of the longest distance in the square, its diagonal
SIGMA = (0.007, 0.008)  #: standard deviation of the points about their line
OUTLIERS = (0.4, 0.6)  #: share of outliers among all points


@dataclass(frozen=True)
class Scene:
    """Points on lines and outliers, in random order.

    points : float64 ``(N, 2)``. labels : ``(N,)``, the line of each point, −1 for an outlier.
    lines : ``(M, 3)``, homogeneous (a, b, c) with a² + b² = 1. ends : ``(M, 4)``, x1 y1 x2 y2.
    """

    points: np.ndarray
    labels: np.ndarray
    lines: np.ndarray
    ends: np.ndarray


def line_scene(rng: np.random.Generator, lines: int) -> Scene:
    """A scene of `lines` segments in the unit square, as MID's paper describes it (IV-B1).

    A segment has 40 to 100 points with Gaussian noise of 0.007 to 0.008 in both coordinates, and
    is at least 0.3 times as long as the square's diagonal. 40 to 60 % of all points are outliers,
    uniform in the square.
    """
    ends = np.stack([_segment(rng) for _ in range(lines)]) if lines else np.zeros((0, 4))
    sigma, share = rng.uniform(*SIGMA), rng.uniform(*OUTLIERS)
    counts = rng.integers(POINTS[0], POINTS[1] + 1, size=lines)
    inliers = int(counts.sum()) if lines else rng.integers(POINTS[0], POINTS[1] + 1)
    outliers = round(inliers * share / (1 - share))
    labels = np.concatenate([np.repeat(np.arange(lines), counts), np.full(outliers, -1)])
    on = labels >= 0
    start, stop = ends[labels[on], :2], ends[labels[on], 2:]
    points = rng.random((len(labels), 2))
    along = start + rng.random((len(start), 1)) * (stop - start)
    points[on] = along + sigma * rng.standard_normal(along.shape)
    order = rng.permutation(len(labels))
    return Scene(points[order], labels[order], through(ends), ends)


def through(ends: np.ndarray) -> np.ndarray:
    """The lines ``(M, 3)`` through segments ``(M, 4)``: (a, b, c) with a² + b² = 1."""
    direction = ends[:, 2:] - ends[:, :2]
    normal = np.stack([-direction[:, 1], direction[:, 0]], axis=1)
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    middle = (ends[:, :2] + ends[:, 2:]) / 2
    return np.concatenate([normal, -np.sum(normal * middle, axis=1, keepdims=True)], axis=1)


def _segment(rng: np.random.Generator) -> np.ndarray:
    """The ends ``(4,)`` of a segment that is long enough, both uniform in the unit square."""
    while True:
        ends = rng.random(4)
        if np.hypot(*(ends[2:] - ends[:2])) >= LENGTH * np.sqrt(2):
            return ends


class Views(NamedTuple):
    """Matches between two pinhole images of one scene; x2 ~ K2 (R X + t) where x1 ~ K1 X.

    x1, x2 : float64 ``(N, 2)``, pixels. K1, K2, R : ``(3, 3)``. t : ``(3,)``, of length 1.
    inliers : bool ``(N,)``; the other matches are keypoints paired at random.
    """

    x1: np.ndarray
    x2: np.ndarray
    K1: np.ndarray
    K2: np.ndarray
    R: np.ndarray
    t: np.ndarray
    inliers: np.ndarray


def two_views(
    rng: np.random.Generator, count: int = 500, outliers: float = 0.5, noise: float = 0.5
) -> Views:
    """`count` matches between two 640 × 480 images of random points, not on a plane.

    outliers : share of matches whose second keypoint is that of another match. noise : standard
    deviation of keypoints, in pixels. The cameras turn by up to 20° and move by 1, at a distance
    of 4 to 10 from the points.
    """
    K1 = np.array([[600.0, 0, 320], [0, 600, 240], [0, 0, 1]])
    K2 = np.array([[640.0, 0, 320], [0, 640, 240], [0, 0, 1]])
    t = rng.standard_normal(3)
    t /= np.linalg.norm(t)
    R = rotation(rng.standard_normal(3), rng.uniform(5, 20))
    x1, x2 = np.empty((0, 2)), np.empty((0, 2))
    while len(x1) < count:  # keep what both cameras see
        first = rng.random((4 * count, 2)) * (640, 480)
        rays = np.concatenate([first, np.ones((len(first), 1))], axis=1) @ np.linalg.inv(K1).T
        second = (rays * rng.uniform(4, 10, (len(first), 1))) @ R.T + t
        projected = second @ K2.T
        pixels = projected[:, :2] / projected[:, 2:]
        seen = (second[:, 2] > 0) & (pixels > 0).all(axis=1) & (pixels < (640, 480)).all(axis=1)
        x1, x2 = np.concatenate([x1, first[seen]]), np.concatenate([x2, pixels[seen]])
    x1, x2 = x1[:count].copy(), x2[:count].copy()
    x1 += noise * rng.standard_normal(x1.shape)
    x2 += noise * rng.standard_normal(x2.shape)
    inliers = np.ones(count, bool)
    wrong = rng.permutation(count)[: round(outliers * count)]
    inliers[wrong] = len(wrong) < 2  # one alone cannot be paired otherwise
    x2[wrong] = x2[np.roll(wrong, 1)]
    return Views(x1, x2, K1, K2, R, t, inliers)


def rotation(axis: np.ndarray, degrees: float) -> np.ndarray:
    """The rotation ``(3, 3)`` about `axis` by an angle in degrees (Rodrigues)."""
    x, y, z = np.asarray(axis, np.float64) / np.linalg.norm(axis)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    angle = np.radians(degrees)
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross

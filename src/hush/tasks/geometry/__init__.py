"""Robust geometry: lines, vanishing points, the epipolar geometry of two views, and scores.

Nothing here knows of networks: learned samplers are handed in as functions. OpenCV, PoseLib and
pydegensac are imported when they are used.
"""

from hush.tasks.geometry.consensus import Models, Sampler, local, multi, uniform
from hush.tasks.geometry.epipolar import (
    essential,
    fundamental,
    looks_normalised,
    normalised,
    plane_share,
    pose,
)
from hush.tasks.geometry.problems import Line, Problem, VanishingPoint
from hush.tasks.geometry.scenes import Scene, Views, line_scene, two_views
from hush.tasks.geometry.scores import (
    line_errors,
    maa,
    matched,
    pose_error,
    recall,
    recall_auc,
    vanishing_errors,
)

__all__ = [
    "Line",
    "Models",
    "Problem",
    "Sampler",
    "Scene",
    "VanishingPoint",
    "Views",
    "essential",
    "fundamental",
    "line_errors",
    "line_scene",
    "local",
    "looks_normalised",
    "maa",
    "matched",
    "multi",
    "normalised",
    "plane_share",
    "pose",
    "pose_error",
    "recall",
    "recall_auc",
    "two_views",
    "uniform",
    "vanishing_errors",
]

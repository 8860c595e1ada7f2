"""The Python interface of sets: probabilities, and estimators with and without denoising."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

import hush
from hush.bases.selecting import Selecting, Verdict
from hush.denoiser import Advance
from hush.errors import HushError
from hush.kinds.points.elements import Elements
from hush.tasks.geometry import epipolar, multi
from hush.tasks.geometry.problems import Line, VanishingPoint
from hush.tasks.geometry.scenes import line_scene, two_views


@dataclass
class Oracle(Selecting):
    """Knows the outliers: the elements whose first coordinates a test lists."""

    outliers: Any = ()
    doubt: float = 0.1

    name: ClassVar[str] = "oracle"

    def verdict(
        self, elements: Elements, share: float | None, advance: Advance | None = None
    ) -> Verdict:
        kept = ~np.isin(elements.x[:, 0], np.asarray(self.outliers))
        return Verdict(kept, np.where(kept, 1 - self.doubt, self.doubt))


def oracle(kind: str, outliers: np.ndarray) -> Oracle:
    made = Oracle.for_kind(kind, outliers=outliers)
    assert isinstance(made, Oracle)
    return made


# -- probabilities ---------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [2, 3])
@pytest.mark.parametrize("form", [np.asarray, np.ndarray.tolist])
def test_arrays_of_two_or_three_columns_are_points(width: int, form: Callable[..., Any]) -> None:
    x = np.random.default_rng(0).random((30, width))
    p = hush.inlier_probability(form(x), model=oracle("points", x[:5, 0]))
    assert p.dtype == np.float64
    np.testing.assert_allclose(p, np.r_[np.full(5, 0.1), np.full(25, 0.9)])


@pytest.mark.parametrize("shape", [(30, 2), (30, 1, 2)])
def test_two_arrays_are_matches_as_opencv_has_them(shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    x1, x2 = (100 * rng.random(shape).astype(np.float32) for _ in range(2))
    p = hush.inlier_probability(x1, x2, model=oracle("correspondences", np.ravel(x1)[:10:2]))
    np.testing.assert_allclose(p, np.r_[np.full(5, 0.1), np.full(25, 0.9)])
    both = np.concatenate([x1.reshape(-1, 2), x2.reshape(-1, 2)], axis=1)
    model = oracle("correspondences", both[:5, 0])
    again = hush.inlier_probability(both, kind="correspondences", model=model)
    np.testing.assert_array_equal(p, again)


def test_there_is_a_probability_for_every_row() -> None:
    x = np.random.default_rng(0).random((30, 2))
    x[[3, 9]] = np.nan
    p = hush.inlier_probability(x, model=oracle("points", x[:0, 0]))
    assert np.flatnonzero(np.isnan(p)).tolist() == [3, 9]


def test_a_file_says_what_it_holds(tmp_path: Path) -> None:
    x = 100 * np.random.default_rng(0).random((30, 4))
    np.savez(tmp_path / "a.npz", matches=x)
    p = hush.inlier_probability(tmp_path / "a.npz", model=oracle("correspondences", x[:5, 0]))
    assert (p < 0.5).sum() == 5


@pytest.mark.parametrize(
    ("arguments", "options", "words"),
    [
        ((np.zeros((30, 4)),), {}, "state kind='points', 'correspondences' or 'segments'"),
        ((np.zeros(30),), {}, "state kind="),
        ((np.zeros((30, 2)), np.zeros((29, 2))), {}, r"not \(30, 2\) and \(29, 2\)"),
        ((np.zeros((30, 3)), np.zeros((30, 3))), {}, r"two arrays \(N, 2\)"),
        ((np.zeros((8, 8)),), {"kind": "image", "method": "nlm"}, "no probabilities for images"),
    ],
)
def test_what_is_no_set_gets_a_sentence(
    arguments: tuple[np.ndarray, ...], options: dict[str, Any], words: str
) -> None:
    with pytest.raises(HushError, match=words):
        hush.inlier_probability(*arguments, **options)


def test_nothing_judged_is_a_warning() -> None:
    x = np.random.default_rng(0).random((5, 2))
    with pytest.warns(UserWarning, match=r"all probabilities are NaN\. Only 5 points"):
        p = hush.inlier_probability(x, model=oracle("points", x[:2, 0]))
    assert np.isnan(p).all()


# -- estimators ------------------------------------------------------------------------------------


def test_without_denoising_the_answer_is_the_estimators() -> None:
    pytest.importorskip("cv2")
    v = two_views(np.random.default_rng(0), 200, 0.3)
    ours, theirs = hush.geometry.fundamental(v.x1, v.x2), epipolar.fundamental(v.x1, v.x2)
    np.testing.assert_array_equal(ours[0], theirs[0])
    np.testing.assert_array_equal(ours[1], theirs[1])
    scene = line_scene(np.random.default_rng(0), 2)
    a = hush.geometry.lines(scene.points, 0.02, "t-linkage", hypotheses=300, seed=3)
    b = multi(scene.points, Line(), method="t-linkage", threshold=0.02, hypotheses=300, seed=3)
    np.testing.assert_array_equal(a.models, b.models)
    np.testing.assert_array_equal(a.labels, b.labels)


@pytest.mark.parametrize("matrix", ["F", "E"])
def test_what_denoising_removed_is_an_outlier(matrix: str) -> None:
    """And no longer in the way: eight in ten matches are wrong."""
    pytest.importorskip("cv2")
    v = two_views(np.random.default_rng(1), 500, 0.8)
    model = oracle("correspondences", v.x1[~v.inliers, 0])
    if matrix == "F":
        found, mask = hush.geometry.fundamental(v.x1, v.x2, denoise=model)
    else:
        found, mask = hush.geometry.essential(v.x1, v.x2, v.K1, v.K2, denoise=model)
    assert found is not None
    assert mask.shape == (500,)
    assert not mask[~v.inliers].any()
    assert mask[v.inliers].mean() > 0.7
    pose = epipolar.pose(found, v.x1, v.x2, v.K1, v.K2, mask, kind=matrix)
    assert pose is not None
    turn = np.degrees(np.arccos(np.clip((np.trace(pose[0] @ v.R.T) - 1) / 2, -1, 1)))
    assert turn < 2


def test_matches_in_the_shape_of_opencv() -> None:
    pytest.importorskip("cv2")
    v = two_views(np.random.default_rng(0), 100, 0.2)
    plain = hush.geometry.fundamental(v.x1, v.x2)
    shaped = hush.geometry.fundamental(v.x1[:, None], v.x2[:, None])
    np.testing.assert_array_equal(plain[1], shaped[1])


def test_lines_among_kept_points() -> None:
    scene = line_scene(np.random.default_rng(4), 3)
    wrong = scene.labels < 0
    model = oracle("points", scene.points[wrong, 0])
    found = hush.geometry.lines(scene.points, 0.025, denoise=model, most=3)
    assert len(found.models) == 3
    assert (found.labels[wrong] == -1).all()
    assert found.labels.shape == scene.labels.shape
    assert (found.labels[~wrong] >= 0).mean() > 0.9


def test_vanishing_points_among_kept_segments() -> None:
    """Segments along x and along y of a picture meet at infinity, right and below."""
    rng = np.random.default_rng(0)
    starts = rng.random((60, 2)) * [600, 400]
    along = np.where(np.arange(60)[:, None] < 30, [40.0, 0.0], [0.0, 40.0])
    wrong = rng.random((40, 4)) * [600, 400, 600, 400]
    segments = np.concatenate([np.c_[starts, starts + along], wrong])
    model = oracle("segments", wrong[:, 0])
    found = hush.geometry.vanishing_points(segments, size=(640, 480), denoise=model, most=2)
    directions = np.abs(found.models)
    assert sorted(directions.argmax(axis=1).tolist()) == [0, 1]
    np.testing.assert_allclose(directions.max(axis=1), 1, atol=1e-6)
    assert (found.labels[60:] == -1).all()
    plain = hush.geometry.vanishing_points(segments, size=(640, 480), most=2)
    other = multi(segments, VanishingPoint(size=(640, 480)), threshold=0.001, most=2)
    np.testing.assert_array_equal(plain.labels, other.labels)


def test_too_few_left_says_how_many_there_were() -> None:
    v = two_views(np.random.default_rng(0), 100, 0.2)
    model = oracle("correspondences", v.x1[4:, 0])
    with pytest.raises(HushError, match="denoising left 4 of 100 matches: too few matches"):
        hush.geometry.fundamental(v.x1, v.x2, denoise=model)
    with pytest.raises(HushError, match=r"^all points in image 1 lie on one line"):
        hush.geometry.fundamental(v.x1 * [1, 0], v.x2)


def test_the_same_call_gives_the_same_matrix() -> None:
    pytest.importorskip("cv2")
    v = two_views(np.random.default_rng(2), 300, 0.5)
    model = oracle("correspondences", v.x1[~v.inliers, 0][:100])
    one, other = (hush.geometry.fundamental(v.x1, v.x2, denoise=model) for _ in range(2))
    np.testing.assert_array_equal(one[0], other[0])
    np.testing.assert_array_equal(one[1], other[1])

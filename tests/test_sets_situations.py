"""What users of sets meet: odd but valid data, and the sentence that each of them gets.

What has to hold for any decision is tried with networks of random weights and with probabilities
that the test states; what needs good decisions, with the shipped models.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest

import hush
from hush import api, models
from hush.denoiser import Advance, Denoiser
from hush.errors import HushError
from hush.kinds import get
from hush.kinds.points.advice import picture_size, rank
from hush.kinds.points.cut import FEWEST
from hush.kinds.points.judgement import planar
from hush.noise.outliers import Outliers
from hush.noise.process import Process
from hush.record import Batch, Record
from hush.results import Estimate, Restoration
from hush.tasks.geometry.scenes import line_scene, two_views

KINDS = ("points", "correspondences", "segments")
every_kind = pytest.mark.parametrize("kind", KINDS)


@dataclass
class Told(Denoiser):
    """Decides by probabilities of belonging to the set that a test states, one for each row."""

    probability: Any = field(default=())

    name: ClassVar[str] = "told"
    kinds: ClassVar[tuple[str, ...]] = KINDS
    selects: ClassVar[bool] = True

    def restore_item(
        self,
        batch: Batch,
        index: int,
        noise: Process | None = None,
        advance: Advance | None = None,
        found: Estimate | None = None,
    ) -> Restoration:
        p = np.asarray(self.probability, float)
        seen = float(np.nanmean(1 - p)) if np.isfinite(p).any() else 0.0
        return Restoration(
            batch.data[index],
            noise or Outliers(seen),
            kept=p > 0.5,
            probability=p,
            found=Estimate(Outliers(seen), seen, uncertainty=0.1),
        )


def told(kind: str, probability: Any) -> Told:
    made = Told.for_kind(kind, probability=probability)
    assert isinstance(made, Told)
    return made


def elements(kind: str, count: int = 40, seed: int = 0) -> np.ndarray:
    """Elements at random places of pictures of 640 × 480."""
    width = 2 if kind == "points" else 4
    return np.random.default_rng(seed).random((count, width)) * [640, 480, 640, 480][:width]


@pytest.fixture(scope="module")
def mid(random_learned: Callable[..., Any]) -> Callable[[str], Any]:
    """MID on sets with random weights; its threshold is such that some elements stay."""
    made: dict[str, Any] = {}

    def model(kind: str) -> Any:
        if kind not in made:
            made[kind] = random_learned("mid", kind=kind)
            p = hush.inlier_probability(elements(kind, 60), kind=kind, model=made[kind])
            made[kind] = made[kind].replace(threshold=float(np.median(1 - p)), steps=1)
        return made[kind]

    return model


@pytest.fixture
def shipped() -> Callable[[str], str]:
    """The name of the shipped model of a kind of sets."""

    def name(kind: str) -> str:
        found = models.shipped("mid", 1, kind)
        if found is None:
            pytest.skip(f"no model is shipped for {kind}")
        return found

    return name


def said(result: api.Result) -> str:
    return " ".join(result.warnings)


# -- few, and all alike ----------------------------------------------------------------------------


def test_ten_integer_points_on_one_line(mid: Callable[[str], Any]) -> None:
    x = np.arange(10)[:, None] * [1, 2]
    result = hush.run(x, kind="points", model=mid("points"))
    assert "on one line (collinear)" in said(result)
    assert "too few to judge" in said(result)
    assert "all 10 points come back" in said(result)
    np.testing.assert_array_equal(result.data, x)
    assert result.data.dtype == x.dtype


@pytest.mark.parametrize(
    ("x", "words"),
    [
        (np.arange(40.0)[:, None] * [3, 1, 2] + 7, "All points are on one line (collinear)"),
        (np.ones((40, 2)), "All points are in one place"),
        (np.c_[elements("points"), np.full(40, 2.5)], "All points are on one plane (coplanar)"),
        (elements("points") @ [[1, 2, 3], [2, -1, 5]], "All points are on one plane (coplanar)"),
    ],
)
def test_points_in_a_flat_space_are_said(
    x: np.ndarray, words: str, mid: Callable[[str], Any]
) -> None:
    assert words in said(hush.run(x, kind="points", model=mid("points")))


def test_points_all_over_are_not_called_flat(mid: Callable[[str], Any]) -> None:
    for x in (elements("points"), np.random.default_rng(0).random((40, 3))):
        assert "All points" not in said(hush.run(x, kind="points", model=mid("points")))
    assert rank(np.random.default_rng(0).random((9, 3)) + 5e6) == 3
    assert rank(np.arange(9.0)[:, None] * [0.1, 0.3] + 5e6) == 1


def test_points_of_one_picture_on_a_line(mid: Callable[[str], Any]) -> None:
    x = elements("correspondences")
    x[:, 3] = 2 * x[:, 2]
    result = hush.run(x, kind="correspondences", model=mid("correspondences"))
    assert "All points of picture 2 are on one line" in said(result)
    assert "picture 1 are on one line" not in said(result)


@every_kind
@pytest.mark.parametrize("count", [1, 7, FEWEST - 1])
def test_a_small_set_comes_back_whole(kind: str, count: int, mid: Callable[[str], Any]) -> None:
    x = elements(kind, count)
    result = hush.run(x, kind=kind, model=mid(kind))
    assert "too few to judge" in said(result)
    assert "Nothing was judged" in said(result)
    np.testing.assert_array_equal(result.data, x)
    with pytest.warns(UserWarning, match="too few to judge"):
        assert np.isnan(hush.inlier_probability(x, kind=kind, model=mid(kind))).all()


def test_points_picked_by_hand_come_back(shipped: Callable[[str], str]) -> None:
    x = np.round(100 * np.random.default_rng(3).random((15, 2)))
    result = hush.run(x, kind="points", model=shipped("points"))
    np.testing.assert_array_equal(result.data, x)
    assert "too few to judge" in said(result)


# -- what comes back -------------------------------------------------------------------------------


@every_kind
def test_every_element_an_outlier(kind: str, tmp_path: Path) -> None:
    x = elements(kind).astype(np.float32)
    result = hush.run(x, kind=kind, model=told(kind, np.full(len(x), 0.1)))
    assert result.data.shape == (0, x.shape[1])
    assert result.data.dtype == x.dtype
    assert [w for w in result.warnings if "empty" in w] == [
        f"All 40 {kind.removesuffix('s')}s look like outliers, so the result is empty."
    ]
    for name in ("a.npy", "a.npz"):
        result.save(tmp_path / name)
    assert np.load(tmp_path / "a.npy").shape == (0, x.shape[1])
    with np.load(tmp_path / "a.npz") as file:
        assert not file["mask"].any()
        assert file["mask"].shape == file["probability"].shape == (40,)
    result.report(tmp_path / "a.html")
    assert "so the result is empty" in (tmp_path / "a.html").read_text()


@every_kind
def test_nothing_removed_is_said(kind: str) -> None:
    x = elements(kind)
    result = hush.run(x, kind=kind, model=told(kind, np.full(len(x), 0.99)))
    assert result.warnings == []
    assert result.verdict.startswith(f"Nothing was removed: all 40 {kind}")
    assert "99 % of the decisions" in result.verdict


@every_kind
def test_columns_beyond_the_coordinates_stay_with_their_rows(
    kind: str, mid: Callable[[str], Any]
) -> None:
    x = elements(kind, 60)
    numbers = np.arange(60.0)[:, None]
    wide = np.concatenate([x, numbers, np.full((60, 1), np.nan)], axis=1)
    context = {"coordinates": (0, 1)} if kind == "points" else {}
    result = hush.run(wide, kind=kind, model=mid(kind), context=context)
    kept = result.items[0].kept
    assert kept is not None
    assert 0 < kept.sum() < 60
    assert result.data.tobytes() == wide[kept].tobytes()


@every_kind
def test_rows_with_gaps_are_false_and_nan(kind: str, mid: Callable[[str], Any]) -> None:
    x = elements(kind, 60)
    x[5, 1], x[7] = np.inf, np.nan
    result = hush.run(x, kind=kind, model=mid(kind))
    item = result.items[0]
    assert item.kept is not None
    assert item.probability is not None
    assert item.kept.shape == item.probability.shape == (60,)
    assert not item.kept[[5, 7]].any()
    assert np.flatnonzero(np.isnan(item.probability)).tolist() == [5, 7]
    assert f"2 {kind} have a coordinate that is NaN or infinite" in said(result)
    assert np.isfinite(result.data).all()


@every_kind
def test_nothing_finite_gives_an_empty_result(kind: str, mid: Callable[[str], Any]) -> None:
    x = np.full((20, 2 if kind == "points" else 4), np.nan)
    result = hush.run(x, kind=kind, model=mid(kind))
    assert result.data.shape == (0, x.shape[1])
    assert "has finite coordinates, so the result is empty" in said(result)


@every_kind
def test_repeats_are_said_with_their_number(kind: str, mid: Callable[[str], Any]) -> None:
    x = elements(kind)
    assert "repeat" not in said(hush.run(x, kind=kind, model=mid(kind)))
    x = np.concatenate([x, x[:5], x[:1]])
    assert f"6 {kind} repeat the coordinates of another one." in said(
        hush.run(x, kind=kind, model=mid(kind))
    )


@every_kind
def test_far_from_the_origin_the_same_elements_stay(kind: str, mid: Callable[[str], Any]) -> None:
    x = np.round(elements(kind, 60), 3)
    near, far = (hush.run(y, kind=kind, model=mid(kind)).items[0] for y in (x, x + 5_000_000))
    np.testing.assert_array_equal(near.kept, far.kept)
    np.testing.assert_allclose(near.probability, far.probability, atol=1e-4)


# -- how sure --------------------------------------------------------------------------------------


def test_the_share_of_right_decisions_is_that_of_the_probabilities() -> None:
    p = np.array([0.9] * 30 + [0.2] * 10)
    stats = hush.run(elements("points"), model=told("points", p), kind="points").residual
    assert stats["sure"] == pytest.approx((30 * 0.9 + 10 * 0.8) / 40)
    assert (stats["kept"], stats["n"], stats["rms"]) == (30, 40, 0.25)


def test_many_even_probabilities_are_said() -> None:
    x = elements("points")
    p = np.r_[np.full(20, 0.55), np.full(20, 0.97)]
    assert "50 % of the points are hard to decide" in said(
        hush.run(x, kind="points", model=told("points", p))
    )
    p[:15] = 0.05
    assert "hard to decide" not in said(hush.run(x, kind="points", model=told("points", p)))


def test_a_given_share_and_the_measured_one_are_both_shown() -> None:
    x, p = elements("points"), np.full(40, 0.9)
    result = hush.run(x, kind="points", model=told("points", p), noise="outliers:0.6")
    labels = dict(get("points").facts(result, True))
    assert labels["outliers"] == "60 % as given; measured: 10 % ± 1 %"
    plain = hush.run(x, kind="points", model=told("points", p))
    assert dict(get("points").facts(plain, False))["outliers"] == "10 % ± 1 %"


def test_a_share_of_the_decision_is_refused_in_words() -> None:
    x, p = elements("points"), np.full(40, 0.9)
    result = hush.run(x, kind="points", model=told("points", p), strength=0.5)
    assert "removed or not, so --strength 0.5 changes nothing" in said(result)


# -- two pictures ----------------------------------------------------------------------------------


def looked(x: np.ndarray, kind: str = "correspondences", **context: Any) -> str:
    """What is said about elements that are all kept."""
    p = np.full(len(x), 0.99)
    return said(hush.run(x, kind=kind, model=told(kind, p), context=context))


SIZES: Mapping[str, Any] = {"size1": (640, 480), "size2": (640, 480)}


def test_pixels_are_not_taken_for_anything_else() -> None:
    x = elements("correspondences", 80)
    assert looked(x, **SIZES) == looked(x) == ""


@pytest.mark.parametrize("kind", ["correspondences", "segments"])
def test_coordinates_in_units_of_the_focal_length(kind: str) -> None:
    x = (elements(kind) - [320, 240, 320, 240]) / 600
    assert "divided by the focal length: no threshold in pixels fits them" in looked(x, kind)
    assert "focal length" not in looked(np.rint(600 * x), kind)
    assert "focal length" not in looked(np.rint(3 * x), kind)  # pixels of a very small picture


def test_no_threshold_in_pixels_is_applied_to_them() -> None:
    x = (elements("correspondences") - [320, 240, 320, 240]) / 600
    with pytest.raises(HushError, match="threshold in pixels means nothing"):
        hush.geometry.fundamental(x[:, :2], x[:, 2:])


@pytest.mark.parametrize("picture", [1, 2])
def test_a_swap_in_one_picture_is_suspected(picture: int) -> None:
    x = elements("correspondences", 80)
    part = slice(2 * picture - 2, 2 * picture)
    x[:, part] = x[:, part][:, ::-1]
    for words in (looked(x, **SIZES), looked(x, **{f"size{picture}": (640, 480)})):
        assert f"of picture {picture} are outside its 640 × 480 pixels" in words
        assert "row, column there" in words
        assert f"of picture {3 - picture} are" not in words
    ranges = looked(x)
    assert "unless one picture was taken upright, x and y are swapped in one of them" in ranges
    square = dict.fromkeys(SIZES, (640, 640))
    assert looked(x, **square) == ""  # nothing can be known


def test_a_wrong_size_is_not_called_a_swap() -> None:
    words = looked(elements("correspondences"), size1=(64, 48), size2=(640, 480))
    assert "the coordinates or the size are wrong" in words
    assert "row, column" not in words


def test_both_pictures_swapped_get_the_same_answer(shipped: Callable[[str], str]) -> None:
    views = two_views(np.random.default_rng(0), 400, 0.4)
    x = np.concatenate([views.x1, views.x2], axis=1)
    model = shipped("correspondences")
    one = hush.inlier_probability(x[:, :2], x[:, 2:], model=model) > 0.5
    other = hush.inlier_probability(x[:, [1, 0]], x[:, [3, 2]], model=model) > 0.5
    assert (one == other).mean() > 0.95


def test_columns_of_ones_are_passed_over(mid: Callable[[str], Any]) -> None:
    x = elements("correspondences", 60)
    ones = np.ones((60, 1))
    wide = np.concatenate([x[:, :2], ones, x[:, 2:], ones], axis=1)
    plain, result = (
        hush.run(y, kind="correspondences", model=mid("correspondences")) for y in (x, wide)
    )
    assert "Columns 3 and 6 are all 1" in said(result)
    np.testing.assert_array_equal(plain.items[0].probability, result.items[0].probability)
    assert result.data.shape[1] == 6


def test_a_third_column_of_ones_is_said() -> None:
    x = np.c_[elements("points"), np.ones(40)]
    assert "--coordinates 1-2" in looked(x, "points")


def test_many_keypoints_at_one_point_are_said() -> None:
    x = elements("correspondences", 80)
    x[:7, 2:] = x[0, 2:]
    x[7:9, :2] = x[7, :2]  # two are no crowd
    words = looked(x)
    assert "7 correspondences share their point of picture 2" in words
    assert "up to 7 at one point" in words
    assert "picture 1" not in words


def test_of_keypoints_at_one_point_one_is_sure_at_most(shipped: Callable[[str], str]) -> None:
    views = two_views(np.random.default_rng(1), 400, 0.3)
    x1, x2 = views.x1, views.x2.copy()
    hub = np.flatnonzero(~views.inliers)[:30]
    x2[hub] = x2[hub[0]]
    p = hush.inlier_probability(x1, x2, model=shipped("correspondences"))
    assert (p[hub] > 0.5).sum() <= 1
    assert np.median(p[hub]) < np.median(p[views.inliers])


def test_matches_of_one_plane_are_said() -> None:
    x = elements("correspondences", 60)[:, :2]
    h = np.array([[1, 0.1, 5], [-0.05, 1.1, 20], [1e-5, 2e-5, 1]])
    moved = np.c_[x, np.ones(60)] @ h.T
    flat = np.c_[x, moved[:, :2] / moved[:, 2:]]
    assert planar(flat) == 1
    assert "fit one homography" in looked(flat)
    views = two_views(np.random.default_rng(0), 200, 0.0)
    scene = np.c_[views.x1, views.x2]
    assert planar(scene) < 0.5
    assert "homography" not in looked(scene)
    order = np.random.default_rng(0).permutation(200)
    assert planar(scene[order]) == planar(scene)


def test_matches_off_a_dominant_plane_are_not_condemned(shipped: Callable[[str], str]) -> None:
    """Four fifths of the inliers are on one plane; those off it have probabilities like theirs."""
    rng = np.random.default_rng(2)
    k = np.array([[600.0, 0, 320], [0, 600, 240], [0, 0, 1]])
    x1 = rng.random((400, 2)) * [640, 480]
    depth = np.where(np.arange(400) < 320, 6.0, rng.uniform(4, 8, 400))
    space = np.c_[x1, np.ones(400)] @ np.linalg.inv(k).T * depth[:, None]
    angle = np.radians(6)
    turn = np.array(
        [[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]]
    )
    seen = (space @ turn.T + [-0.5, 0, 0.1]) @ k.T
    x2 = seen[:, :2] / seen[:, 2:] + rng.normal(0, 0.5, (400, 2))
    outliers = rng.random((200, 4)) * [640, 480, 640, 480]
    x = np.concatenate([np.c_[x1, x2], outliers])
    p = hush.inlier_probability(x[:, :2], x[:, 2:], model=shipped("correspondences"))
    on, off, wrong = np.median(p[:320]), np.median(p[320:400]), np.median(p[400:])
    assert off > (on + wrong) / 2


# -- decisions of the shipped models ---------------------------------------------------------------


def test_lines_are_found_among_uniform_points(shipped: Callable[[str], str]) -> None:
    scene = line_scene(np.random.default_rng(5), 3)
    model = shipped("points")
    p = hush.inlier_probability(scene.points, model=model)
    inlier = scene.labels >= 0
    assert np.median(p[inlier]) > 0.7 > 0.3 > np.median(p[~inlier])
    # coordinates of a map in another unit, far from the origin
    far = hush.inlier_probability(1000 * scene.points + 5_000_000, model=model)
    np.testing.assert_allclose(far, p, atol=1e-3)


def test_repeats_do_not_condemn_their_neighbours(shipped: Callable[[str], str]) -> None:
    scene = line_scene(np.random.default_rng(6), 3)
    inlier = np.flatnonzero(scene.labels >= 0)
    more = np.concatenate([scene.points, np.repeat(scene.points[inlier[:3]], 20, axis=0)])
    model = shipped("points")
    plain, crowded = (hush.inlier_probability(x, model=model) for x in (scene.points, more))
    kept = (crowded[: len(plain)] > 0.5)[inlier].mean()
    assert kept > (plain > 0.5)[inlier].mean() - 0.1


# -- size, threads and packages --------------------------------------------------------------------


@every_kind
def test_any_number_of_threads_decides_alike(
    kind: str, threads: int, mid: Callable[[str], Any]
) -> None:
    import torch

    x = elements(kind, 200)
    here = hush.run(x, kind=kind, model=mid(kind)).items[0].kept
    torch.set_num_threads(1)
    np.testing.assert_array_equal(here, hush.run(x, kind=kind, model=mid(kind)).items[0].kept)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="getrusage's peak is inherited")
@pytest.mark.long
def test_a_hundred_thousand_points_fit_in_two_gibibytes(
    mid: Callable[[str], Any], tmp_path: Path
) -> None:
    mid("points").save(tmp_path / "m.safetensors")
    code = (
        "import numpy as np, hush\n"
        "x = np.random.default_rng(0).random((100_000, 2))\n"
        f"p = hush.inlier_probability(x, model={str(tmp_path / 'm.safetensors')!r})\n"
        "assert np.isfinite(p).all()\n"
        "status = open('/proc/self/status').read()\n"
        "print(int(status.partition('VmHWM:')[2].split()[0]) / 2**20)\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert float(run.stdout) < 2


def test_points_and_correspondences_need_no_opencv(
    mid: Callable[[str], Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "cv2", None)
    for kind in ("points", "correspondences"):
        hush.run(elements(kind), kind=kind, model=mid(kind)).report(tmp_path / "a.html")
    picture = Record(np.zeros((70, 90), np.uint8), "YX")
    with pytest.raises(HushError, match=r"needs OpenCV: .*pip install .*\[sets\]"):
        hush.run(picture, kind="segments", model=mid("segments"))


@pytest.mark.parametrize("how", ["is removed", "raises"])
def test_an_opencv_without_the_detector(
    how: str, mid: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Removed(Exception):
        pass

    def create() -> None:
        raise Removed("Implementation has been removed due original code license conflict")

    old = SimpleNamespace(__version__="4.3.0", error=Removed)
    if how == "raises":
        old.createLineSegmentDetector = create
    monkeypatch.setitem(sys.modules, "cv2", old)
    picture = Record(np.zeros((70, 90), np.uint8), "YX")
    with pytest.raises(HushError, match=r"OpenCV \(4\.3\.0\) has no detector.*4\.5\.4"):
        hush.run(picture, kind="segments", model=mid("segments"))


def test_sizes_that_say_nothing_are_ignored() -> None:
    for size in (None, (640,), (0, 480), (np.nan, 480)):
        assert picture_size({"size": size}, "size") is None
    assert picture_size({"size": np.array([[640, 480]])}, "size") == (640, 480)


# -- what one row must not do to the others --------------------------------------------------------


@pytest.mark.parametrize("wild", [1e10, -1e15, 1e38])
def test_a_row_far_off_is_an_outlier_and_the_others_are_judged_as_before(wild: float) -> None:
    x = line_scene(np.random.default_rng(0), 2).points
    with_one = np.concatenate([x[:5], [[wild, 0.5]], x[5:]])
    before, after = (hush.inlier_probability(y, kind="points", method="lof") for y in (x, with_one))
    assert after[5] == 0
    np.testing.assert_array_equal(np.delete(after, 5), before)


@pytest.mark.parametrize("unit", [1e200, 1e-200])
def test_any_unit_will_do(unit: float) -> None:
    x = line_scene(np.random.default_rng(0), 2).points
    before, after = (hush.inlier_probability(y, kind="points", method="lof") for y in (x, x * unit))
    np.testing.assert_allclose(after, before, atol=1e-6)


@pytest.mark.parametrize(
    ("context", "sentence"),
    [
        ({"ratio": [0.1, 0.2]}, "'ratio' has the shape"),
        ({"ratio": ["a"] * 40}, "'ratio' must hold numbers"),
        ({"mutual": np.ones((40, 2))}, "'mutual' has the shape"),
        ({"size1": [1, 2, 3]}, "'size1' must be"),
        ({"size2": [640, 0]}, "'size2' must be"),
        ({"K1": np.eye(2)}, "'K1' must be a camera matrix"),
    ],
    ids=lambda v: v if isinstance(v, str) else next(iter(v)),
)
def test_what_is_said_about_a_set_is_checked(context: dict[str, Any], sentence: str) -> None:
    x = np.random.default_rng(0).random((40, 4)) * 400
    with pytest.raises(HushError, match=sentence):
        hush.run(x, kind="correspondences", context=context)


def test_noise_of_values_is_not_that_of_sets() -> None:
    x = np.random.default_rng(0).random((40, 2))
    with pytest.raises(HushError, match="point sets have outliers:SHARE, not gaussian"):
        hush.run(x, kind="points", noise="gaussian:3")
    with pytest.raises(HushError, match="images have noise of their values, not outliers"):
        hush.run(np.zeros((40, 40)), noise="outliers:0.3")


def test_a_stack_of_sets_gets_a_sentence() -> None:
    with pytest.raises(HushError, match="give them one by one"):
        hush.run(np.random.default_rng(0).random((2, 40, 2)), kind="points", method="none")


def test_arrays_with_a_value_for_each_row_stay_beside_their_rows(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x, label = rng.random((60, 2)), np.arange(60)
    np.savez(tmp_path / "a.npz", points=x, label=label, colour=rng.random((60, 3)), of=[1, 2, 3])
    made = hush.run(tmp_path / "a.npz", method="random", into=tmp_path / "b.npz")
    with np.load(tmp_path / "b.npz") as file:
        np.testing.assert_array_equal(x[file["label"]], file["points"])
        assert len(file["colour"]) == len(made.data)
        assert file["of"].tolist() == [1, 2, 3]
        assert len(file["mask"]) == len(file["probability"]) == 60


def test_a_result_is_compared_with_its_input_row_by_row(tmp_path: Path) -> None:
    x = np.random.default_rng(0).random((60, 2))
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "y.npy", x[:45])
    scores = hush.compare(tmp_path / "y.npy", tmp_path / "x.npy", kind="points")
    assert scores == {"precision": 1.0, "recall": 0.75}


def test_masked_matches_are_missing() -> None:
    rng = np.random.default_rng(0)
    one = np.ma.masked_array(rng.random((40, 2)) * 400, mask=np.repeat(np.arange(40) == 7, 2))
    p = hush.inlier_probability(one, rng.random((40, 2)) * 400, method="lof")
    assert np.flatnonzero(np.isnan(p)).tolist() == [7]

"""Estimators of geometry: known answers, invariance, one seed one answer, degenerate input."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from hush.errors import HushError
from hush.tasks import geometry as g
from hush.tasks.geometry import epipolar, linkage
from hush.tasks.geometry.consensus import METHODS as SEVERAL
from hush.tasks.geometry.scenes import rotation, through

TWO_VIEWS = [(kind, method) for kind in "FE" for method in epipolar.METHODS]
TWO_VIEWS.remove(("E", "degensac"))
UTM = 5_000_000.0
NEEDS = {"poselib": "poselib", "degensac": "pydegensac"}


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def estimate(kind: str, v: g.Views, method: str, **options: object) -> epipolar.Estimate:
    pytest.importorskip("cv2")
    pytest.importorskip(NEEDS.get(method, "cv2"))
    if kind == "F":
        return g.fundamental(v.x1, v.x2, method=method, **options)  # type: ignore[arg-type]
    return g.essential(v.x1, v.x2, v.K1, v.K2, method=method, **options)  # type: ignore[arg-type]


# -- scenes ----------------------------------------------------------------------------------


@pytest.mark.parametrize("lines", [1, 3, 10])
def test_line_scenes_are_as_the_paper_says(lines: int) -> None:
    shares, deviations = [], []
    for seed in range(60):
        scene = g.line_scene(rng(seed), lines)
        counts = np.bincount(scene.labels[scene.labels >= 0], minlength=lines)
        assert len(counts) == lines
        assert counts.min() >= 40
        assert counts.max() <= 100
        length = np.hypot(*(scene.ends[:, 2:] - scene.ends[:, :2]).T)
        assert length.min() >= 0.3 * np.sqrt(2)
        np.testing.assert_allclose(np.hypot(*scene.lines[:, :2].T), 1)
        distance = scene.points @ scene.lines[:, :2].T + scene.lines[:, 2]
        deviations += [distance[scene.labels == i, i].std() for i in range(lines)]
        shares.append(np.mean(scene.labels < 0))
        noise = scene.points[scene.labels < 0]
        assert noise.min() >= 0
        assert noise.max() <= 1
    assert 0.39 < min(shares) < 0.45
    assert 0.55 < max(shares) < 0.61
    assert 0.0068 < np.mean(deviations) < 0.0082


def test_two_views_obey_their_pose() -> None:
    v = g.two_views(rng(1), 300, outliers=0.4, noise=0.0)
    assert v.x1.shape == (300, 2)
    assert v.inliers.sum() == 180
    x, y = g.normalised(v.x1, v.K1), g.normalised(v.x2, v.K2)
    a, b, c = v.t
    E = np.array([[0, -c, b], [c, 0, -a], [-b, a, 0]]) @ v.R
    algebraic = np.abs(np.sum(np.c_[y, np.ones(300)] * (np.c_[x, np.ones(300)] @ E.T), axis=1))
    assert algebraic[v.inliers].max() < 1e-12
    assert np.median(algebraic[~v.inliers]) > 1e-3


# -- problems --------------------------------------------------------------------------------


def test_lines_through_two_points() -> None:
    points = np.array([[0.0, 1], [2, 1], [1, 0], [1, 5], [1, 5]])
    models = g.Line().models(points, np.array([[0, 1], [2, 3], [3, 4]]))
    assert np.isnan(models[2]).all()  # one place
    expected = [[0, 0, 1, 4, 4], [1, 1, 0, 0, 0]]
    np.testing.assert_allclose(g.Line().residuals(models[:2], points), expected, atol=1e-12)


@pytest.mark.parametrize("angle", [0, 45, 90, 123])
def test_total_least_squares_is_blind_to_the_axes(angle: float) -> None:
    turn = rotation(np.array([0, 0, 1.0]), angle)[:2, :2]
    points = np.c_[np.linspace(-1, 1, 50), rng().normal(0, 0.1, 50)]
    fit = g.Line().refine(points, np.ones(50))
    turned = g.Line().refine(points @ turn.T + [3, 4], np.ones(50))
    error = g.line_errors(turned, np.append(turn @ fit[:2], 0), np.zeros((1, 4)), offset=99)
    assert error[0] < 1e-6
    # and it is where the second moments are least
    values = np.linalg.eigvalsh(np.cov(points.T, bias=True))
    residual = np.mean(g.Line().residuals(fit[None], points) ** 2)
    assert residual == pytest.approx(values[0], rel=1e-9)


def test_weights_count_like_repeats() -> None:
    points, weights = rng().random((20, 2)), rng(1).integers(0, 4, 20)
    once = g.Line().refine(points, weights.astype(float))
    repeated = g.Line().refine(np.repeat(points, weights, axis=0), np.ones(weights.sum()))
    np.testing.assert_allclose(once, repeated, atol=1e-12)


def towards(point: np.ndarray, count: int, seed: int = 0, noise: float = 0.0) -> np.ndarray:
    """Segments ``(count, 4)`` of a 640 × 480 image that point to a vanishing point (x, y, w)."""
    r = rng(seed)
    middle = r.random((count, 2)) * (640, 480)
    direction = point[:2] - point[2] * middle
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    half = direction * r.uniform(15, 60, (count, 1))
    segments = np.concatenate([middle - half, middle + half], axis=1)
    return segments + noise * r.standard_normal(segments.shape)


CAMERA = np.array([[500.0, 0, 320], [0, 520, 240], [0, 0, 1]])


@pytest.mark.parametrize("point", [(900, 300, 1), (100, 250, 1), (1.0, 0.2, 0), (-5, 9000, 1)])
@pytest.mark.parametrize("camera", [{"K": CAMERA}, {"size": (640, 480)}], ids=["K", "size"])
def test_segments_meet_in_their_vanishing_point(
    point: tuple[float, ...], camera: dict[str, np.ndarray]
) -> None:
    problem = g.VanishingPoint(**camera)  # type: ignore[arg-type]
    segments = towards(np.array(point, float), 30)
    truth = problem.inverse @ point
    model = problem.models(segments, np.array([[0, 1], [2, 3]]))
    np.testing.assert_allclose(np.linalg.norm(model, axis=1), 1)
    assert g.vanishing_errors(model[:1], truth)[0] < 1e-5
    refined = problem.refine(segments, np.ones(30))
    assert g.vanishing_errors(refined, truth)[0] < 1e-5
    assert problem.residuals(model, segments).max() < 1e-9


def test_residual_of_a_segment_is_one_less_the_cosine() -> None:
    problem = g.VanishingPoint(K=np.eye(3))
    segment = np.array([[-1.0, 0, 1, 0]])  # middle at the origin, along x
    ideal = np.array([[1.0, 1, 0], [0, 1, 0], [1, 0, 0]]) / [[np.sqrt(2)], [1], [1]]
    np.testing.assert_allclose(
        problem.residuals(ideal, segment).ravel(), [1 - np.sqrt(0.5), 1, 0], atol=1e-12
    )
    # a vanishing point in the segment's middle gives it no direction
    assert problem.residuals(np.array([[0, 0, 1.0]]), segment)[0, 0] == 1


def test_segments_of_one_line_have_no_vanishing_point() -> None:
    x = np.arange(0, 80, 10.0)
    segments = np.stack([x, 2 * x, x + 5, 2 * x + 10], axis=1)
    problem = g.VanishingPoint(size=(640, 480))
    assert np.isnan(problem.models(segments, np.array([[0, 1], [2, 7]]))).all()
    assert np.isnan(problem.refine(segments, np.ones(8))).all()
    found = g.multi(segments, problem, method="j-linkage", threshold=1e-3)
    assert found.models.shape == (0, 3)
    with pytest.raises(HushError, match="K or the image's size"):
        g.VanishingPoint()


# -- several models --------------------------------------------------------------------------


def crossing(count: int = 40, outliers: int = 60) -> tuple[np.ndarray, np.ndarray]:
    """Exact points of three lines, and uniform outliers."""
    r = rng(5)
    ends = np.array([[0.1, 0.1, 0.9, 0.8], [0.1, 0.9, 0.9, 0.2], [0.5, 0.05, 0.45, 0.95]])
    along = r.random((3, count, 1))
    on = ends[:, None, :2] + along * (ends[:, None, 2:] - ends[:, None, :2])
    return np.concatenate([on.reshape(-1, 2), r.random((outliers, 2))]), ends


@pytest.mark.parametrize("method", SEVERAL)
def test_exact_lines_are_found(method: str) -> None:
    points, ends = crossing()
    found = g.multi(points, g.Line(), method=method, threshold=0.003, most=3)
    assert g.line_errors(found.models, through(ends), ends).max() < 0.1
    own = [found.labels[i * 40 : (i + 1) * 40] for i in range(3)]
    # all but those near a crossing have their line
    assert all(np.mean(labels == np.bincount(labels).argmax()) > 0.9 for labels in own)
    assert len({int(np.bincount(labels).argmax()) for labels in own}) == 3
    assert np.mean(found.labels[120:] == -1) > 0.9


@pytest.mark.parametrize("method", SEVERAL)
@pytest.mark.parametrize("shift", [0.0, UTM])
@pytest.mark.parametrize("scale", [2.0**-10, 1.0, 4096.0])
def test_lines_move_with_their_points(method: str, shift: float, scale: float) -> None:
    scene = g.line_scene(rng(3), 3)
    points = np.round(scene.points * 2**20) / 2**20  # so that shifting loses no digit
    options = {"method": method, "hypotheses": 500, "most": 3}
    there = g.multi(points, g.Line(), threshold=0.02, **options)  # type: ignore[arg-type]
    moved = points * scale + shift
    here = g.multi(moved, g.Line(), threshold=0.02 * scale, **options)  # type: ignore[arg-type]
    if scale >= 1 or not shift:
        np.testing.assert_array_equal(here.labels, there.labels)
    else:  # points a thousandth apart at 5,000,000 keep six digits
        assert np.mean(here.labels == there.labels) > 0.99
    distance = g.Line().residuals(here.models, moved) / scale
    expected = g.Line().residuals(there.models, points)
    np.testing.assert_allclose(distance, expected, atol=1e-8 * max(1, shift / scale / 1e6))


@pytest.mark.parametrize("method", SEVERAL)
def test_vanishing_points_are_found(method: str) -> None:
    truth = np.array([[900.0, 300, 1], [-400, 200, 1], [0.05, 1, 0]])
    segments = [
        towards(p, n, i, 0.2) for i, (p, n) in enumerate(zip(truth, (60, 50, 40), strict=True))
    ]
    noise = rng(9).random((40, 4)) * (640, 480, 640, 480)
    problem = g.VanishingPoint(K=CAMERA)
    found = g.multi(
        np.concatenate([*segments, noise]), problem, method=method, threshold=1e-4, most=3
    )
    assert g.vanishing_errors(found.models, truth @ problem.inverse.T).max() < 1


@pytest.mark.parametrize("method", SEVERAL)
def test_one_seed_gives_one_answer(method: str) -> None:
    points = g.line_scene(rng(4), 4).points
    first, second, other = (
        g.multi(points, g.Line(), method=method, threshold=0.02, hypotheses=300, seed=seed)
        for seed in (7, 7, 8)
    )
    np.testing.assert_array_equal(first.models, second.models)
    np.testing.assert_array_equal(first.labels, second.labels)
    assert not np.array_equal(first.models, other.models)


@pytest.mark.parametrize("method", SEVERAL)
def test_models_are_ranked_greedily_and_cut(method: str) -> None:
    points = g.line_scene(rng(6), 5).points
    found = g.multi(points, g.Line(), method=method, threshold=0.015)
    few = g.multi(points, g.Line(), method=method, threshold=0.015, most=2)
    assert len(few.models) == 2
    if method != "sequential-ransac":  # which draws no further
        np.testing.assert_array_equal(few.models, found.models[:2])
    within = g.Line().residuals(found.models, points) <= 0.015
    free, gains = np.ones(len(points), bool), []
    for mine in within:
        gains.append(int((mine & free).sum()))
        free &= ~mine
    assert gains == sorted(gains, reverse=True)
    assert gains[-1] >= max(5, len(points) // 100)


@pytest.mark.parametrize("method", SEVERAL)
def test_a_sampler_decides_what_is_tried(method: str) -> None:
    points, ends = crossing()
    asked = []

    def first_line(
        x: np.ndarray, count: int, problem: g.Problem, r: np.random.Generator
    ) -> np.ndarray:
        asked.append((len(x), count, problem.minimal))
        on = np.flatnonzero(problem.residuals(through(ends[:1]) - [0, 0, 0], x + centre)[0] < 1e-9)
        if len(on) < 2:
            return np.zeros((count, 2), int)
        return on[g.uniform(x[on], count, problem, r)]

    centre = points.mean(axis=0)
    found = g.multi(points, g.Line(), method=method, threshold=0.003, sampler=first_line)
    assert asked[0] == (len(points), 2000, 2)
    assert len(found.models) == 1
    assert g.line_errors(found.models, through(ends[:1]), ends[:1])[0] < 0.2


@pytest.mark.parametrize("method", SEVERAL)
@pytest.mark.parametrize("dtype", [np.int64, np.float32])
def test_ten_integers_on_one_line(method: str, dtype: type) -> None:
    points = np.stack([np.arange(10), 2 * np.arange(10) + 1], axis=1).astype(dtype)
    found = g.multi(points, g.Line(), method=method, threshold=0.1)
    assert len(found.models) == 1
    assert (found.labels == 0).all()


@pytest.mark.parametrize("method", SEVERAL)
def test_too_few_or_too_alike_points(method: str) -> None:
    for points in (np.zeros((0, 2)), np.ones((1, 2)), np.ones((30, 2)), np.full((9, 2), np.nan)):
        with pytest.raises(HushError, match="too few points: a model needs 2 different ones"):
            g.multi(points, g.Line(), method=method, threshold=0.1)
        quiet = g.multi(points, g.Line(), method=method, threshold=0.1, strict=False)
        assert quiet.models.shape == (0, 3)
        assert quiet.labels.shape == (len(points),)
        assert (quiet.labels == -1).all()
    two = g.multi(np.eye(2), g.Line(), method=method, threshold=0.1)
    assert len(two.models) == 0  # a line of two points is no line among outliers


@pytest.mark.parametrize("method", SEVERAL)
def test_rows_with_nan_are_outliers_and_change_nothing(method: str) -> None:
    points, _ = crossing(20, 20)
    holes = np.insert(points, [0, 10, 50], np.nan, axis=0)
    clean = g.multi(points, g.Line(), method=method, threshold=0.003, smallest=6)
    found = g.multi(holes, g.Line(), method=method, threshold=0.003, smallest=6)
    np.testing.assert_array_equal(found.models, clean.models)
    finite = np.isfinite(holes).all(axis=1)
    np.testing.assert_array_equal(found.labels[finite], clean.labels)
    assert (found.labels[~finite] == -1).all()


def test_wrong_questions_get_a_sentence() -> None:
    points = rng().random((20, 2))
    with pytest.raises(HushError, match="choose from sequential-ransac"):
        g.multi(points, g.Line(), method="hough", threshold=0.1)
    with pytest.raises(HushError, match="must be positive"):
        g.multi(points, g.Line(), threshold=np.nan)
    with pytest.raises(HushError, match=r"points are an array \(N, 2\)"):
        g.multi(points[:, :1], g.Line(), threshold=0.1)


def test_sets_beyond_the_cap_are_clustered_in_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hush.tasks.geometry.consensus.LARGEST", 90)
    points, ends = crossing()
    found = g.multi(points, g.Line(), threshold=0.003, most=3)
    assert g.line_errors(found.models, through(ends), ends).max() < 0.2
    assert np.mean(found.labels[:120] >= 0) > 0.95


def test_samples_are_of_different_elements() -> None:
    class Triple(g.Line):
        minimal = 3

    for total in (3, 5, 200):
        points = rng(total).random((total, 2))
        for sampler in (g.uniform, g.local):
            samples = np.sort(sampler(points, 400, Triple(), rng(1)), axis=1)
            assert samples.min() >= 0
            assert samples.max() < total
            assert (samples[:, 1:] > samples[:, :-1]).all()
            assert len(np.unique(samples)) == total


def test_local_samples_follow_the_gaussian() -> None:
    points = np.c_[np.arange(5.0), np.zeros(5)]
    samples = g.local(points, 40_000, g.Line(), rng())
    # s² = 0.09 · variance 2: a neighbour's likelihood is exp(−1 / 0.18)
    middle = samples[samples[:, 0] == 2, 1]
    near = np.exp(-1 / 0.18) / (2 * np.exp(-1 / 0.18) + 2 * np.exp(-4 / 0.18))
    assert np.mean(middle == 1) == pytest.approx(near, abs=0.02)
    assert (np.abs(middle - 2) == 1).mean() > 0.999


# -- linkage ---------------------------------------------------------------------------------


def test_preferences_by_hand() -> None:
    residuals = np.array([[0.0, 0.5, 1.0, 1.01]])
    hard = linkage.preferences(residuals, 1.0, soft=False)
    soft = linkage.preferences(residuals, 1.0, soft=True)
    np.testing.assert_array_equal(hard.ravel(), [1, 1, 1, 0])
    np.testing.assert_allclose(soft.ravel(), [1, np.exp(-2.5), np.exp(-5), 0], rtol=1e-6)


def naive(preferences: np.ndarray) -> list[frozenset[int]]:
    """The same clustering, straight from the definition."""
    groups = {i: (frozenset([i]), p.astype(np.float64)) for i, p in enumerate(preferences)}
    while True:
        best, pair = 1 - 1e-9, None
        for i in groups:
            for j in groups:
                if i < j:
                    p, q = groups[i][1], groups[j][1]
                    union = p @ p + q @ q - p @ q
                    distance = 1 - p @ q / union if union else 1
                    if distance < best - 1e-9:
                        best, pair = distance, (i, j)
        if pair is None:
            return sorted((members for members, _ in groups.values()), key=min)
        i, j = pair
        (a, p), (b, q) = groups[i], groups.pop(j)
        groups[i] = (a | b, np.minimum(p, q))


@pytest.mark.parametrize("seed", range(6))
def test_clusters_are_those_of_the_definition(seed: int) -> None:
    # continuous preferences, so that no two distances tie
    liking = rng(seed).random((18, 30)) * (rng(seed + 50).random((18, 30)) < 0.3)
    liking[4] = 0
    labels = linkage.clusters(liking.astype(np.float32))
    groups = [frozenset(np.flatnonzero(labels == name).tolist()) for name in np.unique(labels)]
    assert sorted(groups, key=min) == naive(liking.astype(np.float32))


def test_members_of_a_cluster_share_a_hypothesis() -> None:
    liking = (rng(2).random((60, 40)) < 0.2).astype(np.float32)
    labels = linkage.clusters(liking)
    for name in np.unique(labels):
        members = liking[labels == name]
        assert len(members) == 1 or members.min(axis=0).any()
    # and no two clusters do
    shared = np.stack([liking[labels == name].min(axis=0) for name in np.unique(labels)])
    overlap = shared @ shared.T
    np.fill_diagonal(overlap, 0)
    assert not overlap.any()


# -- two views -------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "method"), TWO_VIEWS)
@pytest.mark.parametrize("seed", [0, 1])
def test_a_known_pose_is_found(kind: str, method: str, seed: int) -> None:
    v = g.two_views(rng(seed), 400, outliers=0.3, noise=0.1)
    matrix, mask = estimate(kind, v, method)
    assert matrix is not None
    assert np.linalg.norm(matrix) == pytest.approx(1)
    assert mask[v.inliers].mean() > 0.9
    assert mask[~v.inliers].mean() < 0.1
    found = g.pose(matrix, v.x1, v.x2, v.K1, v.K2, mask, kind=kind)
    assert found is not None
    limit = 6 if method == "ransac" else 2  # which fits seven or five noisy matches
    assert g.pose_error(*found, v.R, v.t, signed=True) < limit


@pytest.mark.parametrize(("kind", "method"), TWO_VIEWS)
def test_exact_matches_satisfy_the_matrix(kind: str, method: str) -> None:
    v = g.two_views(rng(2), 60, outliers=0.0, noise=0.0)
    matrix, mask = estimate(kind, v, method)
    assert matrix is not None
    assert mask.mean() > 0.95
    x1, x2 = (v.x1, v.x2) if kind == "F" else (g.normalised(v.x1, v.K1), g.normalised(v.x2, v.K2))
    one = np.ones((60, 1))
    left = np.hstack([x1, one]) @ matrix.T
    distance = np.abs(np.sum(np.hstack([x2, one]) * left, axis=1)) / np.hypot(*left[:, :2].T)
    assert np.median(distance) * (1 if kind == "F" else 620) < 0.05  # pixels


@pytest.fixture(params=[1, 2], ids=["1 thread", "2 threads"])
def opencv_threads(request: pytest.FixtureRequest) -> Iterator[int]:
    cv2 = pytest.importorskip("cv2")
    before = cv2.getNumThreads()
    cv2.setNumThreads(request.param)
    yield request.param
    cv2.setNumThreads(before)


ANSWERS: dict[tuple[str, str], tuple[bytes, bytes]] = {}


@pytest.mark.parametrize(("kind", "method"), TWO_VIEWS)
def test_one_seed_one_matrix_on_any_threads(kind: str, method: str, opencv_threads: int) -> None:
    v = g.two_views(rng(3), 300, outliers=0.5, noise=0.5)
    for _ in range(2):
        matrix, mask = estimate(kind, v, method, seed=5)
        assert matrix is not None
        answer = (matrix.tobytes(), mask.tobytes())
        assert ANSWERS.setdefault((kind, method), answer) == answer


@pytest.mark.parametrize("method", epipolar.METHODS)
def test_the_fundamental_matrix_moves_with_the_pixels(method: str) -> None:
    v = g.two_views(rng(4), 300, outliers=0.3, noise=0.3)
    v = v._replace(x1=np.round(v.x1 * 1024) / 1024, x2=np.round(v.x2 * 1024) / 1024)
    matrix, mask = estimate("F", v, method, threshold=1.0)
    assert matrix is not None
    shifted, same = estimate("F", v._replace(x1=v.x1 + UTM, x2=v.x2 - UTM), method, threshold=1.0)
    np.testing.assert_array_equal(mask, same)
    scaled, again = estimate("F", v._replace(x1=v.x1 * 8, x2=v.x2 * 8), method, threshold=8.0)
    np.testing.assert_array_equal(mask, again)
    assert shifted is not None
    assert scaled is not None
    move1 = np.array([[1, 0, UTM], [0, 1, UTM], [0, 0, 1]])
    move2 = np.array([[1, 0, -UTM], [0, 1, -UTM], [0, 0, 1]])
    grow = np.diag([8.0, 8, 1])
    for other in (move2.T @ shifted @ move1, grow @ scaled @ grow):
        other /= np.linalg.norm(other)
        other *= np.sign(np.sum(other * matrix))
        np.testing.assert_allclose(other, matrix, atol=1e-6)


@pytest.mark.parametrize(("kind", "method"), TWO_VIEWS)
def test_swapped_images_swap_the_pose(kind: str, method: str) -> None:
    v = g.two_views(rng(5), 400, outliers=0.3, noise=0.05)
    back = g.Views(v.x2, v.x1, v.K2, v.K1, v.R.T, -v.R.T @ v.t, v.inliers)
    there, here = estimate(kind, v, method), estimate(kind, back, method)
    assert np.mean(there[1] == here[1]) > 0.95
    found = g.pose(here[0], back.x1, back.x2, back.K1, back.K2, here[1], kind=kind)
    assert found is not None
    assert g.pose_error(*found, back.R, back.t, signed=True) < 6


@pytest.mark.parametrize(("kind", "method"), TWO_VIEWS)
def test_row_and_column_swapped_in_both_images(kind: str, method: str) -> None:
    v = g.two_views(rng(6), 400, outliers=0.3, noise=0.05)
    swap = np.array([[0, 1, 0], [1, 0, 0], [0, 0, 1.0]])
    turned = v._replace(
        x1=v.x1[:, ::-1], x2=v.x2[:, ::-1], K1=swap @ v.K1 @ swap, K2=swap @ v.K2 @ swap
    )
    assert np.mean(estimate(kind, v, method)[1] == estimate(kind, turned, method)[1]) > 0.95


@pytest.mark.parametrize(("kind", "method"), TWO_VIEWS)
def test_repeats_share_an_answer_and_change_nothing(kind: str, method: str) -> None:
    v = g.two_views(rng(7), 200, outliers=0.3, noise=0.3)
    matrix, mask = estimate(kind, v, method)
    rows = np.r_[np.arange(200), np.repeat(np.flatnonzero(~v.inliers)[:3], 50)]
    again, repeated = estimate(kind, v._replace(x1=v.x1[rows], x2=v.x2[rows]), method)
    np.testing.assert_array_equal(again, matrix)
    np.testing.assert_array_equal(repeated, mask[rows])
    holes = np.insert(v.x1, 5, np.nan, axis=0), np.insert(v.x2, 5, 3, axis=0)
    again, gaps = estimate(kind, v._replace(x1=holes[0], x2=holes[1]), method)
    np.testing.assert_array_equal(again, matrix)
    np.testing.assert_array_equal(gaps, np.insert(mask, 5, False))


def degenerate() -> dict[str, tuple[np.ndarray, np.ndarray, str]]:
    r = rng()
    some, t = np.round(r.random((60, 2)) * 600), np.arange(60.0)[:, None]
    line = np.hstack([t, 2 * t])
    few = "too few matches: .* needs"
    return {
        "none": (np.zeros((0, 2)), np.zeros((0, 2)), few),
        "four": (some[:4], some[4:8], few),
        "all the same": (np.ones((50, 2)), np.full((50, 2), 3.0), few),
        "four repeated": (np.repeat(some[:4], 20, 0), np.repeat(some[4:8], 20, 0), few),
        "NaN": (np.full((60, 2), np.nan), some, few),
        "infinite": (some, np.full((60, 2), np.inf), few),
        "three targets": (some, np.tile(some[:3], (20, 1)), "too few points in image 2"),
        "on a line": (line, line[::-1] * 3 + 1, "all points in image 1 lie on one line"),
        "on a line in one": (some, line, "all points in image 2 lie on one line"),
        "on a line, integers": (some.astype(int), line.astype(int), "image 2 lie on one line"),
        "no motion": (some, some.copy(), "the same in both images"),
    }


@pytest.mark.parametrize(("kind", "method"), TWO_VIEWS)
@pytest.mark.parametrize("case", list(degenerate()))
def test_matches_that_determine_nothing(kind: str, method: str, case: str) -> None:
    x1, x2, sentence = degenerate()[case]
    v = g.Views(x1, x2, np.diag([600.0, 600, 1]), np.diag([600.0, 600, 1]), *np.zeros((3, 1)))
    with pytest.raises(HushError, match=sentence):
        estimate(kind, v, method)
    matrix, mask = estimate(kind, v, method, strict=False)
    assert matrix is None
    assert mask.shape == (len(x1),)
    assert mask.dtype == bool
    assert not mask.any()


@pytest.mark.parametrize(("kind", "method"), TWO_VIEWS)
@pytest.mark.parametrize("count", [5, 6, 7, 8, 9, 12])
@pytest.mark.parametrize("law", ["random", "planar", "shifted", "collinear but one"])
def test_small_and_odd_sets_do_not_crash(kind: str, method: str, count: int, law: str) -> None:
    r = rng(count)
    x1 = r.random((count, 2)) * 600
    x2 = {"random": r.random((count, 2)) * 600, "planar": x1 * 1.1 + 20, "shifted": x1 + 5}.get(
        law, x1 * 2
    )
    if law == "collinear but one":
        x1[1:, 1] = x1[1:, 0]
    v = g.Views(x1, x2, np.diag([600.0, 600, 1]), np.diag([600.0, 600, 1]), *np.zeros((3, 1)))
    matrix, mask = estimate(kind, v, method, strict=False)
    assert mask.shape == (count,)
    assert (matrix is None) == (not mask.any())
    if matrix is not None:
        assert np.isfinite(matrix).all()


def test_coordinates_in_units_of_the_focal_length_get_no_pixel_threshold() -> None:
    pytest.importorskip("cv2")
    v = g.two_views(rng(8), 300, outliers=0.3, noise=0.1)
    x1, x2 = g.normalised(v.x1, v.K1), g.normalised(v.x2, v.K2)
    assert g.looks_normalised(x1)
    assert not g.looks_normalised(v.x1)
    assert not g.looks_normalised(np.array([[0, 1], [2, 2.0]]))  # pixels of a corner
    for threshold in (None, 1.0):
        with pytest.raises(HushError, match="a threshold in pixels means nothing"):
            g.fundamental(x1, x2, threshold=threshold)
        with pytest.raises(HushError, match="a threshold in pixels means nothing"):
            g.essential(x1, x2, np.eye(3), np.eye(3), threshold=threshold)
    with pytest.raises(HushError, match="divided by the focal length already; give pixels"):
        g.essential(x1, x2, v.K1, v.K2)
    with pytest.raises(HushError, match=r"of image 2 seem .* give both in pixels"):
        g.fundamental(v.x1, x2)
    # with a threshold in their units, they give what pixels give
    for matrix, mask in (
        g.fundamental(x1, x2, threshold=1 / 620),
        g.essential(x1, x2, np.eye(3), np.eye(3), threshold=1 / 620),
    ):
        assert matrix is not None
        assert mask[v.inliers].mean() > 0.9
        assert mask[~v.inliers].mean() < 0.1


def test_questions_about_two_views_that_make_no_sense() -> None:
    v = g.two_views(rng(), 50)
    with pytest.raises(HushError, match="choose from ransac"):
        g.fundamental(v.x1, v.x2, method="magic")
    with pytest.raises(HushError, match="degensac estimates only F"):
        g.essential(v.x1, v.x2, v.K1, v.K2, method="degensac")
    with pytest.raises(HushError, match=r"two arrays \(N, 2\)"):
        g.fundamental(v.x1, v.x2[:-1])
    with pytest.raises(HushError, match="invertible"):
        g.essential(v.x1, v.x2, np.zeros((3, 3)), v.K2)
    with pytest.raises(HushError, match="must be positive"):
        g.fundamental(v.x1, v.x2, threshold=-1)


@pytest.mark.parametrize("missing", ["poselib", "degensac", "magsac++"])
def test_a_missing_library_is_named(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module = NEEDS.get(missing, "cv2")
    monkeypatch.setitem(__import__("sys").modules, module, None)
    v = g.two_views(rng(), 50)
    with pytest.raises(HushError, match=r"pip install .*\[(sets|geometry)\]'"):
        g.fundamental(v.x1, v.x2, method=missing)


def test_the_share_on_one_plane() -> None:
    pytest.importorskip("cv2")
    x1 = rng().random((100, 2)) * 600
    H = np.array([[1.1, 0.05, 20], [-0.04, 0.95, 10], [1e-4, -5e-5, 1]])
    x2 = np.c_[x1, np.ones(100)] @ H.T
    x2 = x2[:, :2] / x2[:, 2:]
    assert g.plane_share(x1, x2) > 0.98
    x2[:40] = rng(1).random((40, 2)) * 600
    assert g.plane_share(x1, x2) == pytest.approx(0.6, abs=0.03)
    assert g.plane_share(x1, x2, np.arange(100) >= 40) > 0.98
    assert np.isnan(g.plane_share(x1[:3], x2[:3]))
    v = g.two_views(rng(1), 300, outliers=0.0)
    assert g.plane_share(v.x1, v.x2) < 0.6


def test_a_pose_needs_five_inliers() -> None:
    pytest.importorskip("cv2")
    v = g.two_views(rng(2), 100, outliers=0.0, noise=0.0)
    F, mask = g.fundamental(v.x1, v.x2)
    mask = mask & (np.cumsum(mask) <= 4)
    assert g.pose(F, v.x1, v.x2, v.K1, v.K2, mask) is None
    assert g.pose(None, v.x1, v.x2, v.K1, v.K2) is None
    assert g.pose(np.zeros((3, 3)), v.x1, v.x2, v.K1, v.K2) is None


# -- scores ----------------------------------------------------------------------------------


def test_recall_auc_by_hand() -> None:
    errors = np.array([0.1, 0.25, 0.4, 0.5, 90.0])
    assert g.recall(errors, 0.5) == pytest.approx(3 / 5)
    # the recall is 0 to 0.1, 1/5 to 0.25, 2/5 to 0.4, 3/5 to 0.5
    area = 0.15 * 0.2 + 0.15 * 0.4 + 0.1 * 0.6
    assert g.recall_auc(errors, 0.5) == pytest.approx(area / 0.5)
    assert g.recall_auc(np.zeros(3), 0.5) == 1
    assert g.recall_auc(np.array([0, np.nan, np.inf, 1.0]), 0.5) == pytest.approx(0.25)
    # and it is the integral of the recall
    grid = (np.arange(100_000) + 0.5) / 100_000 * 0.5
    integral = np.mean([np.mean(errors[:, None] < grid, axis=0)])
    assert g.recall_auc(errors, 0.5) == pytest.approx(integral, abs=1e-5)


def test_maa_by_hand() -> None:
    # one scene: 0.5° passes ten thresholds, 3° eight (3 to 10), 9.5° one, 180° none
    first = np.array([0.5, 3.0, 9.5, 180.0])
    assert g.maa(first) == pytest.approx((10 + 8 + 1 + 0) / 40)
    second = np.array([10.0])  # one threshold
    assert g.maa([first, second]) == pytest.approx(((19 / 40) + 0.1) / 2)
    assert g.maa({"a": first, "b": second}) == g.maa([first, second])
    assert g.maa(np.array([np.nan, 0.0])) == pytest.approx(0.5)
    with pytest.raises(HushError, match="at least one"):
        g.maa([])
    with pytest.raises(HushError, match="at least one"):
        g.maa(np.zeros(0))


def test_line_errors_by_hand() -> None:
    ends = np.array([[0.0, 0, 1, 0], [0, 0, 0, 1]])  # along x, along y
    truth = through(ends)
    tilt = np.radians(2)
    near = np.array([-np.sin(tilt), np.cos(tilt), np.sin(tilt) * 0.5])  # 2°, through (0.5, 0)
    far = truth[0] + [0, 0, 0.2]  # parallel, but elsewhere
    np.testing.assert_allclose(g.line_errors(near, truth, ends), [2, 90], atol=1e-9)
    np.testing.assert_allclose(g.line_errors(far, truth, ends), [90, 90])
    both = np.stack([far, -truth[1], near * 5])  # signs and lengths mean nothing
    np.testing.assert_allclose(g.line_errors(both, truth, ends), [2, 0], atol=1e-9)
    twice = np.stack([truth[0], truth[0]])
    np.testing.assert_allclose(g.line_errors(truth[:1], twice, ends[[0, 0]]), [0, 90])
    assert g.line_errors(np.zeros((0, 3)), truth, ends).tolist() == [90, 90]


def test_vanishing_errors_by_hand() -> None:
    truth = np.array([[0, 0, 1.0], [1, 0, 0]])
    found = np.array([[-2.0, 0, 0], [0, np.sin(np.radians(3)), -np.cos(np.radians(3))]])
    np.testing.assert_allclose(g.vanishing_errors(found, truth), [3, 0], atol=1e-9)
    np.testing.assert_allclose(g.vanishing_errors(found[:1], truth), [90, 0], atol=1e-9)
    # the assignment has the least sum, not the first come
    angles = np.array([[1.0, 2.0], [0.5, 30.0]])
    np.testing.assert_allclose(g.matched(angles), [2, 0.5])
    assert g.matched(np.zeros((3, 0))).tolist() == [90, 90, 90]


@pytest.mark.parametrize("angle", [0, 1e-4, 3, 90, 180])
def test_pose_error_by_hand(angle: float) -> None:
    R, t = rotation(np.array([1.0, 2, 3]), 40), np.array([1.0, 0, 0])
    turned = rotation(np.array([-1.0, 0, 2]), angle) @ R
    assert g.pose_error(turned, t * 7, R, t) == pytest.approx(angle, abs=1e-5)
    moved = rotation(np.array([0, 0, 1.0]), angle) @ t
    assert g.pose_error(R, moved, R, t, signed=True) == pytest.approx(angle, abs=1e-5)
    assert g.pose_error(R, moved, R, t) == pytest.approx(min(angle, 180 - angle), abs=1e-6)
    assert g.pose_error(turned, t, R, np.zeros(3)) == pytest.approx(angle, abs=1e-5)

"""What methods for sets do that MID is compared with: known answers, and what a training gains."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest
import torch

import hush
from hush.bases.selecting import decided
from hush.errors import HushError
from hush.kinds import get as kind_of
from hush.kinds.points.elements import Elements
from hush.kinds.points.places import different, middles, normalised
from hush.methods import make
from hush.methods.parsac import shares
from hush.schedule import Schedule
from hush.tasks.geometry.consensus import multi, uniform
from hush.tasks.geometry.problems import Line
from hush.tasks.geometry.scenes import Scene, line_scene

pytestmark = pytest.mark.usefixtures("one_thread_throughout")


def elements(x: np.ndarray, **rows: np.ndarray) -> Elements:
    return Elements(x.astype(np.float64), np.ones(len(x), bool), rows)


def uniform_set(count: int, columns: int = 2, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((count, columns))


# -- coordinates -------------------------------------------------------------------------------


def test_normalised_coordinates_have_neither_place_nor_unit() -> None:
    x = uniform_set(50, 4)
    for pictures in (1, 2):
        y = normalised(x, pictures)
        np.testing.assert_allclose(y.mean(0), 0, atol=1e-12)
        parts = y.reshape(50, pictures, -1)
        np.testing.assert_allclose(np.square(parts).sum(2).mean(0), 1)
        np.testing.assert_allclose(normalised(7 * x - 30, pictures), y, atol=1e-9)
    pair = normalised(x * [1, 1, 50, 50], 2)
    np.testing.assert_allclose(pair, normalised(x, 2), atol=1e-9)
    np.testing.assert_array_equal(normalised(np.ones((5, 2))), np.zeros((5, 2)))


def test_a_segment_is_the_same_from_either_end() -> None:
    ends = uniform_set(30, 4)
    np.testing.assert_allclose(middles(ends[:, [2, 3, 0, 1]]), middles(ends))
    np.testing.assert_allclose(middles(np.array([[0.0, 0, 2, 0]])), [[1, 0, 1, 0]])
    np.testing.assert_allclose(middles(np.array([[0.0, 0, 0, 2]])), [[0, 1, -1, 0]], atol=1e-15)
    np.testing.assert_array_equal(middles(np.array([[3.0, 4, 3, 4]])), [[3, 4, 0, 0]])


def test_different_elements_are_in_an_order_of_their_own() -> None:
    x = np.repeat(uniform_set(9), 3, axis=0)
    order = np.random.default_rng(1).permutation(len(x))
    first, of = different(x)
    again, of_again = different(x[order])
    assert len(first) == 9
    np.testing.assert_array_equal(x[first], x[order][again])
    np.testing.assert_array_equal(x[first][of], x)
    np.testing.assert_array_equal(of_again, of[order])


def test_the_least_likely_are_removed() -> None:
    x = elements(np.arange(10)[:, None] * np.ones(2))
    p = np.array([0.9, 0.1, 0.8, 0.4, 0.7, 0.6, 0.6, 0.95, 0.2, 0.3])
    np.testing.assert_array_equal(decided(x, p, None).kept, p >= 0.5)
    np.testing.assert_array_equal(np.flatnonzero(~decided(x, p, 0.3).kept), [1, 8, 9])
    # of two alike, that with the smaller coordinates
    np.testing.assert_array_equal(np.flatnonzero(~decided(x, p, 0.5).kept), [1, 3, 5, 8, 9])


# -- random selection --------------------------------------------------------------------------


def test_random_selection_is_random() -> None:
    x = elements(uniform_set(4000))
    kept = [make("random", "points", keep=0.3, seed=s).verdict(x, None).kept for s in (0, 1)]
    assert [k.sum() for k in kept] == [1200, 1200]
    assert (
        abs((kept[0] & kept[1]).mean() - 0.09) < 0.02
    )  # as of two that know nothing of each other
    for axis in (0, 1):
        assert abs(x.x[kept[0], axis].mean() - 0.5) < 0.03
    told = make("random", "points", keep=0.3).verdict(x, 0.25)
    assert told.kept.sum() == 3000
    assert (told.probability == 0.75).all()


# -- ratio test and mutual check -------------------------------------------------------------------


def ratio(x: np.ndarray, share: float | None = None, **rows: Any) -> Any:
    told = {name: np.asarray(values) for name, values in rows.items()}
    return make("ratio", "correspondences").verdict(elements(x, **told), share)


def test_the_ratio_test_is_lowes() -> None:
    x = uniform_set(6, 4)
    made = ratio(x, ratio=[0.1, 0.79, 0.8, 0.81, 1.0, np.nan])
    np.testing.assert_array_equal(made.kept, [True, True, True, False, False, True])
    assert made.probability[2] == 0.5
    assert (np.diff(made.probability[:5]) < 0).all()
    made = ratio(x, ratio=np.full(6, 0.5), mutual=[1, 0, 1, 1, 0, 1])
    np.testing.assert_array_equal(made.kept, [1, 0, 1, 1, 0, 1])
    made = ratio(x, mutual=[True, False, True, True, False, True])
    np.testing.assert_array_equal(made.kept, [1, 0, 1, 1, 0, 1])
    made = ratio(x, 0.5, ratio=[0.1, 0.6, 0.2, 0.5, 0.3, 0.4])
    np.testing.assert_array_equal(np.flatnonzero(made.kept), [0, 2, 4])


def test_of_matches_that_share_a_keypoint_the_best_is_kept() -> None:
    x = uniform_set(8, 4)
    x[1:4, 2:] = x[0, 2:]  # a hub
    x[6, :2] = x[5, :2]  # two answers for one keypoint
    scores = np.array([0.2, 0.9, 0.4, 0.8, 0.1, 0.3, 0.7, 0.5])
    np.testing.assert_array_equal(np.flatnonzero(ratio(x, scores=scores).kept), [1, 4, 6, 7])
    kept = np.flatnonzero(ratio(x, ratio=0.7 * (1 - scores)).kept)
    np.testing.assert_array_equal(kept, [1, 4, 6, 7])
    # repeats of a match have one fate, and do not compete
    twice = np.concatenate([x, x])
    kept = ratio(twice, scores=np.concatenate([scores, scores])).kept
    np.testing.assert_array_equal(np.flatnonzero(kept), [1, 4, 6, 7, 9, 12, 14, 15])


def test_without_anything_known_of_matches_there_is_a_sentence() -> None:
    with pytest.raises(HushError, match="needs the `ratio`, the `scores` or `mutual`"):
        hush.denoise(uniform_set(40, 4), kind="correspondences", method="ratio")
    with pytest.raises(HushError, match="ratio denoises sets of correspondences, not point sets"):
        make("ratio", "points")


# -- scikit-learn's ----------------------------------------------------------------------------


def test_lof_is_scikit_learns() -> None:
    from sklearn.neighbors import LocalOutlierFactor

    x = uniform_set(300)
    x[0] = 3, 3
    theirs = -LocalOutlierFactor(20).fit(normalised(x)).negative_outlier_factor_
    made = make("lof", "points").verdict(elements(x), None)
    np.testing.assert_allclose(made.probability, 1 / (1 + (theirs / 1.5) ** 8), rtol=1e-6)
    np.testing.assert_array_equal(made.kept, theirs <= 1.5)
    assert not made.kept[0]
    assert made.said == ()


@pytest.mark.parametrize("name", ["lof", "isolation"])
@pytest.mark.parametrize("kind", ["points", "correspondences", "segments"])
def test_what_lies_far_away_is_an_outlier(name: str, kind: str) -> None:
    x = uniform_set(400, 2 if kind == "points" else 4)
    x[[7, 300]] = 4 + uniform_set(2, x.shape[1])
    made = make(name, kind).verdict(elements(x), None)
    assert set(np.argsort(made.probability)[:2]) == {7, 300}
    assert not made.kept[[7, 300]].any()
    assert made.kept.mean() > 0.5


@pytest.mark.parametrize("name", ["lof", "isolation"])
def test_of_many_elements_some_are_compared_with_and_that_is_said(name: str) -> None:
    x = uniform_set(2500)
    x[0] = 6, 6
    few = make(name, "points", most=500)
    result = hush.run(x, kind="points", model=few)
    assert result.warnings[0].startswith("Every element was compared with 500 of the 2,500 only")
    item = result.items[0]
    assert item.probability is not None
    assert item.probability.argmin() == 0
    every = make(name, "points").verdict(elements(x), None).probability
    assert np.corrcoef(every, item.probability)[0, 1] > 0.5


def test_a_missing_scikit_learn_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    for part in ("sklearn.neighbors", "sklearn.ensemble"):
        monkeypatch.setitem(sys.modules, part, None)
    for name in ("lof", "isolation"):
        with pytest.raises(HushError, match=rf"^{name} needs scikit-learn: .*\[sets\]'$"):
            make(name, "points").verdict(elements(uniform_set(30)), None)


# -- diffusion -----------------------------------------------------------------------------------


def scenes(first: int, count: int, lines: int = 2) -> list[Scene]:
    return [line_scene(np.random.default_rng([first, i]), lines) for i in range(count)]


def separation(score: np.ndarray, outlier: np.ndarray) -> float:
    """ROC-AUC: how often an outlier's score is above an inlier's."""
    rank = score.argsort().argsort() + 1.0
    n, m = outlier.sum(), (~outlier).sum()
    return float((rank[outlier].sum() - n * (n + 1) / 2) / (n * m))


@pytest.mark.long
def test_diffusion_moves_outliers_farther() -> None:
    """Trained for seconds, on sets with outliers only."""
    model: Any = make("diffusion", "points", width=32, layers=1, latents=4)
    schedule = Schedule(max_steps=80, batch=4, patch=200, learning_rate=3e-3, ema=0.9)
    model.fit([s.points for s in scenes(1, 60)], schedule=schedule, device="cpu", progress=False)
    made = [separation(model.scores(elements(s.points)), s.labels < 0) for s in scenes(0, 8)]
    assert np.mean(made) > 0.6
    assert model.figures_["val_loss"] < 0.95  # 1 if the noise is not seen at all


def test_diffusion_takes_the_coordinates_of_its_kind(random_learned: Any) -> None:
    model = random_learned("diffusion", kind="points")
    assert model.scores(elements(uniform_set(40, 3))).shape == (40,)
    with pytest.raises(HushError, match="up to 3 coordinates, not 5; choose some"):
        model.scores(elements(uniform_set(40, 5)))
    with pytest.raises(HushError, match=r"levels are 0\.01 to 2"):
        make("diffusion", "points", levels=(0.1, 5.0))


def test_diffusion_judges_large_sets_in_parts(
    random_learned: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hush.methods.diffusion.LARGEST", 64)
    model = random_learned("diffusion", kind="points")
    made = model.verdict(elements(uniform_set(200)), None)
    assert "random parts of at most 64" in made.said[0]
    assert np.isfinite(made.probability).all()


# -- CONSAC and PARSAC -----------------------------------------------------------------------------


def test_a_models_share_is_what_it_adds() -> None:
    """Two sets of three models on four elements, by hand."""
    explained = np.array(
        [
            [[1, 1, 0, 0], [0, 0.5, 1, 0], [0, 0, 0, 0]],
            [[1, 0, 0, 0], [1, 0, 0, 0], [0, 0, 0.5, 0.5]],
        ]
    )
    expected = [[(1 + 0.5) / 4, 1 / 4, 0], [0, 0, 1 / 4]]
    np.testing.assert_allclose(shares(explained), expected)
    np.testing.assert_allclose(shares(explained[:, :1]), explained[:, :1].mean(-1))


@pytest.mark.parametrize("name", ["consac", "parsac"])
def test_samples_that_gain_more_get_more_likely(name: str, random_learned: Any) -> None:
    model = random_learned(name, kind="points")
    log = torch.zeros(5, requires_grad=True)
    samples, gain = np.array([[0, 1], [2, 3], [2, 4]]), np.array([3.0, 0.0, 0.0])
    model.gradient(log.log_softmax(0), samples, gain).backward()
    step = -log.grad.numpy()  # type: ignore[union-attr]
    assert (step[:2] > 0).all()
    assert (step[2:] < 0).all()
    assert step[2] < step[3]


@pytest.mark.parametrize("name", ["consac", "parsac"])
def test_samplers_serve_the_estimators(name: str, random_learned: Any) -> None:
    scene = scenes(0, 1)[0]
    model = random_learned(name, kind="points")
    samples = model.samples(scene.points, 30, Line(), np.random.default_rng(0))
    assert samples.shape == (30, 2)
    assert (samples >= 0).all()
    assert (samples < len(scene.points)).all()
    for method in ("greedy", "sequential-ransac"):
        found = multi(
            scene.points,
            Line(),
            method=method,
            threshold=0.02,
            hypotheses=400,
            most=2,
            sampler=model.samples,
        )
        assert found.models.shape == (2, 3)


@pytest.mark.parametrize("name", ["consac", "parsac"])
def test_samplers_do_not_depend_on_the_unit(name: str, random_learned: Any) -> None:
    x = scenes(0, 1)[0].points
    model = random_learned(name, kind="points")
    drawn = [
        model.samples(gain * x + shift, 40, Line(), np.random.default_rng(0))
        for gain, shift in ((1, 0), (1024, 512))
    ]
    np.testing.assert_array_equal(*drawn)


@pytest.mark.parametrize("name", ["consac", "parsac"])
def test_what_no_model_explains_is_an_outlier(name: str, random_learned: Any) -> None:
    """Without any training: the samples do not matter where there are many."""
    scene = scenes(0, 1, lines=1)[0]
    model = random_learned(name, kind="points", models=1, hypotheses=2000)
    made = model.verdict(elements(scene.points), None)
    on = scene.labels >= 0
    assert made.kept[on].mean() > 0.9
    assert made.kept[~on].mean() < 0.3
    assert separation(1 - made.probability, ~on) > 0.9
    with pytest.raises(HushError, match="2 coordinates, not 3"):
        model.verdict(elements(uniform_set(40, 3)), None)
    with pytest.raises(HushError, match=r"denoises point sets and .*, not sets of corr"):
        make(name, "correspondences")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["consac", "parsac"])
@pytest.mark.long
def test_learned_samples_hit_more_often(name: str) -> None:
    """Of samples of an untrained network and of uniform ones, 1 in 12 is on one line."""
    sizes = {"width": 32, "layers": 2, "latents": 4, "models": 2, "draws": 32, "hypotheses": 300}
    model: Any = make(name, "points", **sizes)
    schedule = Schedule(max_steps=60, batch=2, patch=200, learning_rate=3e-3, ema=0.9)
    model.fit([s.points for s in scenes(1, 60)], schedule=schedule, device="cpu", progress=False)

    def hits(sampler: Any) -> float:
        found = []
        for s in scenes(0, 8):
            first, second = s.labels[sampler(s.points, 400, Line(), np.random.default_rng(0))].T
            found.append(np.mean((first == second) & (first >= 0)))
        return float(np.mean(found))

    assert hits(model.samples) > 1.5 * hits(uniform)
    explained = 1 - model.figures_["val_loss"]  # 40 to 60 % are on the lines
    assert 0.3 < explained < 0.6


def test_segments_are_posed_by_what_is_known_of_the_picture(random_learned: Any) -> None:
    x = 100 * uniform_set(40, 4)
    model = random_learned("parsac", kind="segments")
    K = np.array([[90.0, 0, 50], [0, 90, 40], [0, 0, 1]])
    known = np.ones(40, bool)
    np.testing.assert_array_equal(model.posed(Elements(x, known, {}, {"K": K}))[1].K, K)
    problem = model.posed(Elements(x, known, {}, {"size": (200, 100)}))[1]
    np.testing.assert_array_equal(problem.K, [[100, 0, 100], [0, 100, 50], [0, 0, 1]])
    moved, problem = model.posed(Elements(x + 1000, known, {}, {}))
    there, same = model.posed(Elements(x, known, {}, {}))
    np.testing.assert_allclose(moved, there, atol=1e-9)
    np.testing.assert_allclose(problem.K, same.K, atol=1e-9)


def test_every_kind_of_sets_has_a_row_to_compare_with() -> None:
    from hush.methods import METHODS, get

    for kind in ("points", "correspondences", "segments"):
        assert kind_of(kind).selected
        names = {n for n in METHODS if get(n, kind).selects and kind in get(n, kind).kinds}
        assert {"random", "lof", "isolation", "diffusion", "mid"} <= names

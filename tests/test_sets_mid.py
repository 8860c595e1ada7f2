"""MID on sets: its ladder, its loss, what the networks see, and that noise alone teaches it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from hush.kinds.points import POINTS, Points
from hush.kinds.points.consensus import of_correspondences, of_points
from hush.kinds.points.correspondences import CORRESPONDENCES
from hush.kinds.points.cut import FEWEST
from hush.kinds.points.elements import Elements
from hush.kinds.points.graph import Graph, neighbours
from hush.kinds.points.graph_segments import meetings
from hush.kinds.points.rivals import exclusive
from hush.kinds.points.segments import SEGMENTS
from hush.methods.mid.elements import SetMID, set_loss
from hush.nets.sets import SetNet
from hush.record import Batch
from hush.schedule import Schedule
from hush.tasks.geometry.scenes import line_scene, two_views

KINDS = [POINTS, CORRESPONDENCES, SEGMENTS]
every_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)


def some(kind: Points, count: int = 60, seed: int = 0) -> Elements:
    """Elements of a kind, at random places."""
    x = np.random.default_rng(seed).random((count, kind.least)) * 400
    return Elements(x, np.ones(count, bool))


def area(outlier: np.ndarray, truth: np.ndarray) -> float:
    """The area under the ROC curve: how often an outlier has the higher probability."""
    order = np.argsort(np.argsort(outlier)) + 1
    count = int(truth.sum())
    below = order[truth].sum() - count * (count + 1) / 2
    return float(below / (count * (len(truth) - count)))


# -- what the networks see ------------------------------------------------------------------------


@every_kind
@pytest.mark.parametrize("change", ["moved", "scaled", "far away"])
def test_a_graph_has_no_place_and_no_unit(kind: Points, change: str) -> None:
    elements = some(kind)
    x = {
        "moved": elements.x + 17,
        "scaled": elements.x * 0.01,
        "far away": elements.x + 5_000_000,
    }[change]
    one, other = kind.graph(elements), kind.graph(replace(elements, x=x))
    np.testing.assert_array_equal(one.index, other.index)
    np.testing.assert_allclose(one.nodes, other.nodes, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(one.edges, other.edges, rtol=1e-3, atol=1e-3)


@every_kind
def test_a_graph_follows_its_elements(kind: Points) -> None:
    elements, order = some(kind), np.random.default_rng(1).permutation(60)
    one, other = kind.graph(elements), kind.graph(elements.part(order))
    np.testing.assert_allclose(one.nodes[order], other.nodes, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(order[other.index], one.index[order])
    np.testing.assert_allclose(one.edges[order], other.edges, rtol=1e-4, atol=1e-5)


def test_an_element_is_not_its_own_neighbour_and_its_repeats_are() -> None:
    x = np.repeat(np.random.default_rng(0).random((4, 2)), 5, axis=0)
    distance, index = neighbours(x, 4)
    assert (index != np.arange(20)[:, None]).all()
    assert (distance == 0).all()
    few = neighbours(x[:3], 6)[1]
    assert few.shape == (3, 6)
    assert few.max() < 3


def test_lines_that_meet_are_found_meeting() -> None:
    """Segments on rays from two points, one of them at infinity, point at what they point at."""
    rng = np.random.default_rng(0)
    centre, angle = rng.random((40, 2)), rng.uniform(0, np.pi, 40)
    along = np.stack([np.cos(angle), np.sin(angle)], 1)
    to = np.array([3.0, 1.0]) - centre
    along[:15] = (to / np.linalg.norm(to, axis=1, keepdims=True))[:15]
    along[15:30] = [0.6, 0.8]
    sine, support = meetings(centre, along, np.full(40, 0.1))
    assert sine[:15, :2].min(1).max() < 1e-5
    assert sine[15:30, :2].min(1).max() < 1e-5
    assert (np.diff(support[0]) <= 1e-6).all()


def test_the_surer_agree_on_the_epipolar_geometry() -> None:
    x1, x2, *_, right = two_views(np.random.default_rng(0), 300, 0.5, 0.0)
    x = np.concatenate([x1, x2], 1)
    seen = of_correspondences(x, np.where(right, 0.8, 0.3))
    assert np.exp(seen[right, 0]).max() < 0.01
    assert np.median(np.exp(seen[~right, 0])) > 0.05
    order = np.random.default_rng(1).permutation(len(x))
    again = of_correspondences(x[order], np.where(right, 0.8, 0.3)[order])
    np.testing.assert_allclose(again, seen[order], atol=1e-6)


def test_the_surer_points_show_the_line() -> None:
    """With outliers counted little, points on a line lie nearer to its direction."""
    rng = np.random.default_rng(0)
    line = np.stack([np.linspace(0, 1, 80), np.full(80, 0.5)], 1) + rng.normal(0, 0.002, (80, 2))
    x = np.concatenate([line, rng.random((80, 2))])
    graph = POINTS.graph(Elements(x, np.ones(160, bool)))
    told, untold = (of_points(x, graph, w) for w in (np.repeat([0.95, 0.02], 80), np.ones(160)))
    assert told[:80, 0].mean() < untold[:80, 0].mean() - 0.5


# -- the ladder -----------------------------------------------------------------------------------


@every_kind
@pytest.mark.parametrize("share", [0.1, 0.5])
def test_the_ladder_adds_a_share_and_leaves_the_rest(kind: Points, share: float) -> None:
    elements = some(kind, 400)
    state, added = kind.further(elements, share, np.random.default_rng(0))
    assert len(state) == len(added)
    assert added.mean() == pytest.approx(share, abs=0.08)
    kept = {row.tobytes() for row in elements.x}
    assert all(row.tobytes() in kept for row in state.x[~added])
    assert np.mean([row.tobytes() in kept for row in state.x[added]]) < 0.2


def test_added_mismatches_are_those_that_the_set_has_rejected() -> None:
    rng = np.random.default_rng(0)
    ratio, mutual = rng.uniform(0.5, 1, 500), rng.random(500) < 0.4
    elements = replace(some(CORRESPONDENCES, 500), rows={"ratio": ratio, "mutual": mutual})
    rejected = CORRESPONDENCES.rejected(elements)
    assert rejected is not None
    np.testing.assert_array_equal(rejected, (ratio > 0.9) & ~mutual)
    bad = {row.tobytes() for row in elements.x[rejected]}
    rows = {row.tobytes() for row in elements.x}
    own = 0
    for seed in range(12):
        state, added = CORRESPONDENCES.further(elements, 0.3, np.random.default_rng(seed))
        if {row.tobytes() for row in state.x} <= rows:
            own += 1
            assert {row.tobytes() for row in state.x[added]} <= bad
    assert own > 3


# -- the loss -------------------------------------------------------------------------------------


class Told(nn.Module):
    """A network that says what it is told, to try the loss on."""

    def __init__(self, p: np.ndarray) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.logit(torch.from_numpy(p)).float())

    def forward(self, *_: object) -> tuple[torch.Tensor, torch.Tensor]:
        return self.logits, self.logits.mean()[None]


def test_the_true_probabilities_have_the_least_loss() -> None:
    """Of elements in ten places, with known shares of outliers, some of which were added."""
    rng = np.random.default_rng(0)
    p = np.repeat(np.linspace(0.02, 0.98, 10), 4000)
    outlier = rng.random(p.size) < p
    added = outlier & (rng.random(p.size) < 0.4)
    nothing = Graph(np.zeros((p.size, 1), np.float32), np.zeros((p.size, 1), int), np.zeros(0))

    def loss(guess: np.ndarray) -> float:
        with torch.no_grad():
            parts = set_loss(
                Told(guess),
                [replace(nothing, edges=np.zeros((p.size, 1, 1)))],
                [np.zeros((p.size, 0))],
                [added],
                False,
            )  # type: ignore[arg-type]
        return float(parts["noise_loss"])

    best = loss(p)
    assert best < loss(0.5 * p)  # its scale is known
    assert best < loss(np.clip(1.3 * p, 0, 0.99))
    assert best < loss(np.full_like(p, p.mean()))
    assert best < loss(p**2)
    assert best < loss(np.sqrt(p))
    # as long as nothing is told apart, calling everything an outlier gains nothing
    assert loss(np.full_like(p, 0.98)) == pytest.approx(loss(np.full_like(p, 0.5)), abs=1e-3)


def test_with_clean_sets_the_loss_is_cross_entropy() -> None:
    p, added = np.array([0.2, 0.7, 0.9]), np.array([False, True, True])
    graph = Graph(np.zeros((3, 1), np.float32), np.zeros((3, 1), int), np.zeros((3, 1, 1)))
    parts = set_loss(Told(p), [graph], [np.zeros((3, 0))], [added], True)  # type: ignore[arg-type]
    expected = -np.mean(np.log([0.8, 0.7, 0.9]))
    assert float(parts["noise_loss"].detach()) == pytest.approx(expected, rel=1e-5)


# -- the network ----------------------------------------------------------------------------------


@every_kind
def test_permuting_the_elements_permutes_the_answer(kind: Points, one_thread: int) -> None:
    torch.manual_seed(0)
    model = SetMID.for_kind(kind.name)
    model.network_ = model.build().eval()
    elements, order = some(kind, 80), np.random.default_rng(1).permutation(80)
    (p, share), (q, other) = model.predict(elements), model.predict(elements.part(order))
    np.testing.assert_allclose(q, p[order], atol=1e-4)
    assert share == pytest.approx(other, abs=1e-4)


def test_large_sets_in_parts_give_the_same() -> None:
    """The neighbours of many elements are looked at in parts, which no result may show."""
    torch.manual_seed(0)
    network = SetNet(3, 2).eval()
    rng = np.random.default_rng(0)
    n = 20_000
    nodes, edges = (
        torch.from_numpy(rng.normal(size=s).astype(np.float32)) for s in ((n, 3), (n, 4, 2))
    )
    index = torch.from_numpy(rng.integers(n, size=(n, 4)))
    with torch.no_grad():
        parts, _ = network(nodes, index, edges, [n])
        for layer in network.layers:  # training looks at all of them at once
            layer.training = True
        whole, _ = network(nodes, index, edges, [n])
    torch.testing.assert_close(parts, whole, atol=1e-4, rtol=1e-4)


# -- checks ---------------------------------------------------------------------------------------


def test_matches_have_to_pass_the_checks_that_the_set_knows(one_thread: int) -> None:
    torch.manual_seed(0)
    model = SetMID.for_kind("correspondences", threshold=0.95)
    model.network_ = model.build().eval()
    rng = np.random.default_rng(0)
    ratio, mutual = rng.uniform(0.5, 1, 80), rng.random(80) < 0.5
    elements = some(CORRESPONDENCES, 80)
    told = replace(elements, rows={"ratio": ratio, "mutual": mutual})
    passed = mutual & (ratio < 0.8)
    with_checks, without = model.verdict(told, None), model.verdict(elements, None)
    np.testing.assert_allclose(with_checks.probability[passed], without.probability[passed])
    np.testing.assert_allclose(with_checks.probability[~passed], 0.1 * without.probability[~passed])
    assert without.kept.all()
    model.checks = False
    np.testing.assert_allclose(model.verdict(told, None).probability, without.probability)


def test_of_matches_with_one_point_at_most_one_is_right() -> None:
    rng = np.random.default_rng(0)
    x = rng.random((40, 4)) * 100
    x[:10, 2:] = x[0, 2:]  # ten points that match one
    x[20] = x[21]  # a repeat, which is no rival
    p = rng.uniform(0.01, 0.9, 40)
    made = exclusive(p, x)
    best = int(np.argmin(p[:10]))
    assert made[best] == p[best]
    others = np.delete(np.arange(10), best)
    assert (made[others] > p[others]).all()
    assert (made[others] > 0.5).all()  # at most one is among the surest
    np.testing.assert_allclose(made[10:], p[10:], atol=1e-9)


# -- training and denoising -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def lines() -> list[np.ndarray]:
    """Scenes of lines with outliers of their own; no label is kept."""
    return [line_scene(np.random.default_rng((1, i)), 1 + i % 6).points for i in range(60)]


@pytest.fixture(scope="module")
def trained(lines: list[np.ndarray]) -> SetMID:
    """Trained for seconds on noisy sets alone."""
    model = SetMID.for_kind("points", width=32, layers=2)
    schedule = Schedule(max_steps=40, patch=512, batch=2, seed=0)
    return model.fit(lines, schedule=schedule, device="cpu", progress=False)


@pytest.mark.long
def test_noisy_sets_alone_teach_which_points_are_outliers(trained: SetMID) -> None:
    for seed in range(3):
        scene = line_scene(np.random.default_rng((2, seed)), 3)
        batch = Batch([scene.points.T], real=np.float64)
        how = trained.restore_item(batch, 0)
        assert how.probability is not None
        assert area(1 - how.probability, scene.labels < 0) > 0.85


def test_a_given_share_is_removed(trained: SetMID, lines: list[np.ndarray]) -> None:
    x = lines[0]
    kept = trained.denoise(x, "outliers:0.25")
    assert len(kept) == len(x) - round(0.25 * len(x))
    nothing = trained.denoise(x, "outliers:1")
    assert nothing.shape == (0, 2)
    assert nothing.dtype == x.dtype


def test_a_training_resumes_as_if_never_stopped(lines: list[np.ndarray], tmp_path: Path) -> None:
    def fitted(steps: int, name: str, resume: bool = False) -> SetMID:
        model = SetMID.for_kind("points", width=16, layers=2, latents=4)
        schedule = Schedule(max_steps=steps, patch=256, batch=1, seed=3)
        return model.fit(
            lines[:8],
            schedule=schedule,
            folder=tmp_path / name,
            resume=resume,
            device="cpu",
            progress=False,
        )

    whole = fitted(6, "whole").weights()
    with pytest.raises(KeyboardInterrupt):
        _interrupted(fitted)
    parts = fitted(6, "parts", resume=True).weights()
    for name, weights in whole.items():
        torch.testing.assert_close(parts[name], weights, msg=name)


def _interrupted(fitted: object) -> None:
    """A training stopped by Ctrl-C after three steps."""
    import os
    import signal
    from unittest.mock import patch as patched

    from hush.methods.mid import elements

    done = 0
    loss = elements.set_loss

    def counted(*arguments: object) -> object:
        nonlocal done
        done += 1
        if done == 3:
            os.kill(os.getpid(), signal.SIGINT)
        return loss(*arguments)  # type: ignore[arg-type]

    with patched.object(elements, "set_loss", counted):
        fitted(6, "parts")  # type: ignore[operator]


def test_too_few_are_kept_whole_and_not_judged(trained: SetMID) -> None:
    x = np.random.default_rng(0).random((FEWEST - 1, 2))
    how = trained.restore_item(Batch([x.T], real=np.float64), 0)
    assert how.kept is not None
    assert how.kept.all()
    assert how.probability is not None
    assert np.isnan(how.probability).all()

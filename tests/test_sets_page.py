"""The pages about sets: what is drawn, in which colours, and what is said below."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hush
from hush import api
from hush.kinds import get
from hush.kinds.points import scenes
from hush.kinds.points.judgement import sureness
from hush.kinds.points.page import InspectedScene, Scene
from hush.metrics import agreement
from hush.record import Record
from hush.report import frame, plots
from hush.results import Item

ONE = r"M-?[\d.]+ -?[\d.]+"


def elements(kind: str, count: int = 50, seed: int = 0, width: int = 2) -> np.ndarray:
    width = width if kind == "points" else 4
    return np.random.default_rng(seed).random((count, width)) * 400


def result(x: np.ndarray, kind: str = "points", **options: Any) -> api.Result:
    return hush.run(x, kind=kind, method="random", **options)


def page(made: api.Result) -> Scene:
    entry = get(made.noisy.kind).section(made, frame.BUDGET)
    assert isinstance(entry, Scene)
    return entry


def drawn(svg: str, what: str) -> dict[str, int]:
    """How many dots or strokes there are of each class."""
    found = re.findall(rf'class="{what} (\w+)"[^>]*? d="([^"]*)"', svg)
    return {cls: len(re.findall(ONE, path)) for cls, path in found}


# -- scenes ----------------------------------------------------------------------------------------


def test_classes_are_the_tenths_of_probabilities() -> None:
    p = np.array([0.0, 0.05, 0.1, 0.55, 0.999, 1.0, np.nan])
    assert scenes.classes(p).tolist() == ["p0", "p0", "p1", "p5", "p9", "p9", "pn"]


def test_before_has_every_point_and_after_the_kept_ones() -> None:
    made = result(elements("points"), noise="outliers:0.3")
    (row,) = page(made).rows
    before, after = row.charts
    assert (before.heading, after.heading) == ("Before: 50 points", "After: 35 points")
    assert sum(drawn(before.svg, "dot").values()) == 50
    assert drawn(after.svg, "dot") == {"kept": 35}
    assert row.coloured


def test_dots_are_where_the_points_are() -> None:
    """On equal scales, y upwards."""
    x = np.array([[0.0, 0.0], [10.0, 0.0], [0.0, 5.0]])
    svg = scenes.scatter(x, np.array(["p1", "p2", "p3"]), scenes.ranges(x), ("x", "y"), "t")
    at = {
        cls: np.array([float(v) for v in re.findall(r"[\d.]+", path)[:2]])
        for cls, path in re.findall(r'class="dot (\w+)"[^>]*? d="M([^"]*)"', svg)
    }
    right, up = at["p2"] - at["p1"], at["p3"] - at["p1"]
    assert right[0] > 0
    assert abs(right[1]) < 0.2
    assert abs(up[0]) < 0.2
    assert up[1] == pytest.approx(-right[0] / 2, abs=0.2)


def test_points_in_space_are_drawn_from_three_sides() -> None:
    before, after = page(result(elements("points", width=3))).rows
    assert len(before.charts) == len(after.charts) == 3
    assert [c.heading for c in before.charts[1:]] == ["z against x", "z against y"]
    flat = np.c_[elements("points"), np.full(50, 7.0)]
    (row,) = page(result(flat)).rows
    assert len(row.charts) == 2


def test_large_coordinates_are_labelled_from_a_round_number() -> None:
    chart = page(result(elements("points") / 400 + [665_187, 5_648_349])).rows[0].charts[0]
    assert "x \N{MINUS SIGN} 665,1" in chart.svg
    assert "y \N{MINUS SIGN} 5,648,3" in chart.svg
    ticks = re.findall(r'text-anchor="(?:middle|end)">([^<]+)<', chart.svg)
    numbers = [t for t in ticks if re.fullmatch(r"[\d.,]+", t)]
    assert numbers
    assert all(float(t.replace(",", "")) < 1000 for t in numbers)


def test_a_point_far_away_does_not_hide_the_others() -> None:
    x = elements("points", 400)
    near = scenes.ranges(x)
    x[:2] = 1e7
    np.testing.assert_allclose(scenes.ranges(x), near, atol=20)
    chart = page(result(x)).rows[0].charts[0]
    assert "2 points far from the others are not shown." in chart.caption
    assert sum(drawn(chart.svg, "dot").values()) == 398


def test_of_many_points_some_are_drawn() -> None:
    chart = page(result(elements("points", 7000))).rows[0].charts[0]
    assert f"{scenes.MOST_DOTS} of 7000 are drawn." in chart.caption
    assert sum(drawn(chart.svg, "dot").values()) == scenes.MOST_DOTS
    assert len(chart.svg) < 200_000


def test_pictures_are_beside_each_other_with_lines_between() -> None:
    x = elements("correspondences", 300)
    made = result(x, "correspondences", context={"size1": (400, 300), "size2": (800, 600)})
    kept, removed = (row.charts[0] for row in page(made).rows)
    assert kept.heading == "Kept: 150 correspondences"
    assert removed.heading == "Removed: 150 correspondences"
    assert sum(drawn(kept.svg, "dot").values()) == 300
    assert sum(drawn(kept.svg, "stroke").values()) == scenes.MOST_LINES
    assert f"{scenes.MOST_LINES} of them as lines" in kept.caption
    assert kept.svg.count('class="frame"') == 2


def test_the_frame_of_a_picture_is_its_size() -> None:
    x = np.array([[10.0, 20.0], [30.0, 45.0]])
    corner, sides = scenes.frame(x, (640, 480))
    assert corner.tolist() == [0, 0]
    assert sides.tolist() == [640, 480]
    corner, sides = scenes.frame(x, None)
    assert (corner < x.min(0)).all()
    assert (corner + sides > x.max(0)).all()
    corner, sides = scenes.frame(x - 15, (20, 20))  # a point beyond a wrong size is in the frame
    assert (corner <= (x - 15).min(0)).all()
    assert (corner + sides >= (x - 15).max(0)).all()


def test_segments_are_dark_and_light_afterwards() -> None:
    (row,) = page(result(elements("segments"), "segments", noise="outliers:0.2")).rows
    before, after = row.charts
    assert sum(drawn(before.svg, "stroke").values()) == 50
    assert drawn(after.svg, "stroke") == {"kept": 40, "gone": 10}
    assert after.heading == "After: 40 kept, 10 removed"
    assert "<image" not in after.svg


def test_what_was_not_judged_has_no_scale_of_probabilities() -> None:
    made = result(elements("points", 5))
    (row,) = page(made).rows
    assert not row.coloured
    assert row.charts[0].key == (("three", "not judged"),)
    assert page(made).charts == ()
    assert {c.label: c.value for c in page(made).cards}["Sure"] == "Nothing was judged"


@pytest.mark.parametrize("kind", ["points", "correspondences", "segments"])
def test_nothing_to_draw_has_a_page_too(kind: str, tmp_path: Path) -> None:
    x = np.full((20, 2 if kind == "points" else 4), np.nan)
    result(x, kind).report(tmp_path / "a.html")
    assert "has finite coordinates" in (tmp_path / "a.html").read_text()
    result(elements(kind), kind, noise="outliers:1").report(tmp_path / "b.html")
    assert "so the result is empty" in (tmp_path / "b.html").read_text()


# -- charts and cards ------------------------------------------------------------------------------


def with_item(made: api.Result, **changes: Any) -> api.Result:
    from dataclasses import replace

    item: Item = replace(made.items[0], **changes)
    made.items = [item]
    return made


def test_the_histogram_counts_every_decision() -> None:
    made = result(elements("points"))
    p = np.r_[np.full(20, 0.93), np.full(10, 0.61), np.full(17, 0.02), np.full(3, np.nan)]
    made = with_item(made, probability=p, kept=p > 0.5)
    chart = page(made).charts[0]
    tips = re.findall(r"<title>([\d.]+) to [\d.]+: (\d+) (\w+)</title>", chart.svg)
    assert tips == [("0.6", "10", "kept"), ("0.9", "20", "kept"), ("0", "17", "removed")]
    assert "at least 0.61 were kept" in chart.caption
    assert 'class="threshold"' in chart.svg


def test_no_threshold_is_drawn_where_there_was_none() -> None:
    chart = page(result(elements("points"))).charts[0]
    assert "threshold" not in chart.svg
    assert chart.caption == "Probability alone did not decide."


def test_steps_are_drawn_in_percent() -> None:
    made = result(elements("points"))
    assert len(page(made).charts) == 1
    trace = tuple(
        {"step": k, "level": level, "removed_rms": gone}
        for k, level, gone in ((1, 0.4, 0.2), (2, 0.25, 0.25))
    )
    chart = page(with_item(made, trace=trace)).charts[1]
    assert "before step 1: level 40" in chart.svg
    assert "step 2: 25 removed" in chart.svg


def test_stacked_bars_end_where_the_next_begin() -> None:
    svg = plots.stacked(
        np.array([0, 1, 2]),
        {"a": ("kept", np.array([3, 0])), "b": ("gone", np.array([1, 4]))},
        "t",
        "x",
        "y",
    )
    bars = re.findall(r'<rect class="(\w+)"[^>]* y="([\d.]+)" height="([\d.]+)"', svg)
    (_, top, tall), (_, above, height), (_, _, other) = [
        (cls, float(y), float(h)) for cls, y, h in bars
    ]
    assert above + height == pytest.approx(top, abs=0.11)
    assert tall == pytest.approx(3 * height, rel=0.02)
    assert other == pytest.approx(4 * height, rel=0.02)


def test_the_cards_say_how_many_and_how_sure() -> None:
    made = result(elements("points"), noise="outliers:0.3")
    cards = {c.label: (c.value, c.detail) for c in page(made).cards}
    assert cards["Outliers"][0] == "30 % as given"
    assert cards["Kept"] == ("35 of 50", "points; 15 removed")
    assert cards["Sure"][0] == "The method does not say"  # chance has no calibrated probability
    assert cards["Method"] == ("random", "1 step")


def test_an_inspected_set_is_drawn() -> None:
    x = elements("correspondences", 30)
    seen = api.inspected(Record(x, "NC", kind="correspondences"))
    entry = get("correspondences").inspected(seen, frame.BUDGET)
    assert isinstance(entry, InspectedScene)
    assert entry.rows[0].charts[0].heading == "All correspondences"
    labels = dict(get("correspondences").looked(seen))
    assert "outliers" in labels
    assert "noise" not in labels


def test_sets_and_pictures_share_a_page(tmp_path: Path) -> None:
    photo = hush.run(np.random.default_rng(0).random((40, 40)).astype(np.float32), method="nlm")
    every = [photo, result(elements("points")), result(elements("segments"), "segments")]
    api.write_report(every, tmp_path / "a.html")
    text = (tmp_path / "a.html").read_text()
    assert text.count('class="scenes') + text.count(" scenes") > 1
    assert "removed / model" in text


# -- figures ---------------------------------------------------------------------------------------


def test_sureness_of_decisions_as_they_were_made() -> None:
    p = np.array([0.9, 0.2, 0.6, np.nan])
    assert sureness(p, p > 0.5) == pytest.approx((0.9 + 0.8 + 0.6) / 3)
    assert sureness(p, np.ones(4, bool)) == pytest.approx((0.9 + 0.2 + 0.6) / 3)
    assert sureness(p[3:], p[3:] > 0) is None


def test_agreement_of_two_results() -> None:
    a = elements("points", 8).T
    assert agreement(a, a[:, :6]) == {"precision": 0.75, "recall": 1.0}
    assert agreement(a[:, :2], a[:, 2:]) == {"precision": 0.0, "recall": 0.0}
    assert np.isnan(agreement(a[:, :0], a)["precision"])


@pytest.mark.parametrize("kind", ["points", "correspondences", "segments"])
def test_a_training_is_followed_by_pictures(kind: str, tmp_path: Path) -> None:
    from PIL import Image

    sets = [elements(kind, 30, seed) for seed in range(5)]
    get(kind).preview(
        sets, [x[:0] if k == 1 else x[:9] for k, x in enumerate(sets)], tmp_path / "a.png"
    )
    with Image.open(tmp_path / "a.png") as file:
        shown = np.asarray(file.convert("L")).astype(float)
    upper, lower = np.array_split(255 - shown, 2)
    assert upper.sum() > lower.sum() > 0

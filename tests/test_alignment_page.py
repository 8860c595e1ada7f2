"""The pages about alignments: what is drawn of the rows, in which colours, and what is said."""

from __future__ import annotations

import base64
import io
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from skimage import color

import hush
from hush import api
from hush.io.residues import AMINO, GAP, STATES, TOKENS
from hush.kinds import get
from hush.kinds.alignment import charts, colours, drawings
from hush.kinds.alignment.alphabet import DNA, PROTEIN, RNA
from hush.kinds.alignment.page import InspectedRows, Rows
from hush.record import Record
from hush.report import frame
from hush.report.pictures import HEAT

CODES = TOKENS[np.frombuffer(AMINO.encode(), np.uint8)]


def family(count: int, length: int, seed: int = 0, gaps: float = 0.1) -> np.ndarray:
    """Rows of random residues that resemble the first one, without gaps there."""
    rng = np.random.default_rng(seed)
    first = rng.choice(CODES, length)
    rows = np.where(rng.random((count, length)) < 0.4, first, rng.choice(CODES, (count, length)))
    rows[rng.random((count, length)) < gaps] = GAP
    rows[0] = first
    return rows


def record(rows: np.ndarray, **context: Any) -> Record:
    return Record(rows, "NC", kind="alignment", full=1.0, context=context)


def page(result: api.Result) -> Rows:
    entry = get("alignment").section(result, frame.BUDGET)
    assert isinstance(entry, Rows)
    return entry


def pictures(svg: str) -> list[np.ndarray]:
    """The pixels ``(H, W, 3)`` of the pictures in a drawing."""
    found = re.findall(r'href="data:image/png;base64,([^"]+)"', svg)
    return [np.asarray(Image.open(io.BytesIO(base64.b64decode(text)))) for text in found]


def bars(svg: str, cls: str) -> int:
    """How many rows the bars of a histogram stand for."""
    found = re.findall(rf'<rect class="{cls}"[^>]*><title>[^:]*: ([\d,]+)', svg)
    return sum(int(text.replace(",", "")) for text in found)


# -- rows ------------------------------------------------------------------------------------------


#: colours as readers without red or green cones see them (Machado et al., IEEE TVCG 2009)
VISION = {
    "all cones": np.eye(3),
    "protanopia": np.array(
        [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ]
    ),
    "deuteranopia": np.array(
        [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.01182, 0.04294, 0.968881],
        ]
    ),
}


@pytest.mark.parametrize("vision", VISION)
@pytest.mark.parametrize("letters", [PROTEIN, RNA, DNA], ids=lambda letters: letters.name)
def test_any_two_classes_are_told_apart(letters: Any, vision: str) -> None:
    every = [colour for _, colour in colours.classes(letters).values()]
    x = np.array([*every, colours.REST, colours.GAP]) / 255
    linear = np.where(x <= 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4) @ VISION[vision].T
    linear = np.clip(linear, 0, 1)
    shown = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    seen = color.rgb2lab(shown)
    apart = color.deltaE_ciede2000(seen[:, None], seen[None])
    assert apart[np.triu_indices(len(x), 1)].min() > 10  # 1 is the least that can be seen


def test_every_residue_has_the_colour_of_its_class() -> None:
    rows = TOKENS[np.frombuffer(b"AVKDSGCFXJ-.avk", np.uint8)][None]
    (first, *_) = pictures(drawings.rows_of(rows, PROTEIN, 0, "t", 1e6))
    of = {
        letter: colour for _, (letters, colour) in colours.AMINO_ACIDS.items() for letter in letters
    }
    expected = [of[c] for c in "AVKDSGCF"] + [colours.REST] * 2 + [colours.GAP] * 2
    assert first[0].tolist() == [list(c) for c in [*expected, of["A"], of["V"], of["K"]]]


def test_nucleotides_have_colours_of_their_own() -> None:
    assert [name for _, name in colours.key(RNA)] == ["A", "C", "G", "U", "other letters", "gap"]
    rows = TOKENS[np.frombuffer(b"ACGUN-", np.uint8)][None]
    assert len({tuple(c) for c in colours.coloured(rows, RNA)[:, 0].T.tolist()}) == 6


def test_before_has_all_rows_below_the_query_and_after_the_kept_ones() -> None:
    rows = family(40, 30)
    result = hush.run(record(rows, count=12, query="r7", names=names(40)), method="farthest")
    before, after = page(result).pictures[0]
    assert (before.heading, after.heading) == ("Before: 40 rows", "After: 12 rows")
    query, every = pictures(before.svg)
    np.testing.assert_array_equal(every, np.moveaxis(colours.coloured(rows, PROTEIN), 0, -1))
    np.testing.assert_array_equal(query[0], every[7])
    query, left = pictures(after.svg)
    kept = result.items[0].kept
    assert kept is not None
    np.testing.assert_array_equal(left, every[kept])
    np.testing.assert_array_equal(query[0], every[7])


def names(count: int) -> tuple[str, ...]:
    return tuple(f"r{i}" for i in range(count))


def test_marks_beside_the_rows_are_as_long_as_the_runs() -> None:
    kept = np.array([True, True, False, False, False, True])
    svg = drawings.rows_of(family(6, 20), PROTEIN, 0, "t", 1e6, kept)
    runs = re.findall(r'<rect class="(\w+)"[^>]* y="([\d.]+)" height="([\d.]+)"', svg)
    assert [cls for cls, _, _ in runs] == ["kept", "gone", "kept"]
    heights = np.array([float(h) for _, _, h in runs])
    assert heights / heights.sum() == pytest.approx([2 / 6, 3 / 6, 1 / 6], abs=0.01)
    tops = [float(y) for _, y, _ in runs]
    assert tops[1] == pytest.approx(tops[0] + heights[0], abs=0.2)


def test_of_many_rows_and_columns_some_are_drawn_and_said() -> None:
    rows = family(700, 1300)
    result = hush.run(record(rows, count=100), method="random")
    made = page(result)
    _, every = pictures(made.pictures[0][0].svg)
    assert every.shape == (*drawings.MOST, 3)
    assert any("of 700 rows the picture shows 360 at most" in note for note in made.notes)
    assert any("of 1,300 columns the picture shows 1,200" in note for note in made.notes)
    small = get("alignment").section(result, 1e4)
    assert isinstance(small, Rows)
    assert pictures(small.pictures[0][0].svg)[1].size <= 3e4


def test_spaced_has_both_ends_and_no_repeats() -> None:
    for count, most in ((5, 10), (10, 5), (1000, 7), (1, 3)):
        at = drawings.spaced(count, most)
        assert len(at) == min(count, most)
        assert (at[0], at[-1]) == (0, count - 1)
        assert (np.diff(at) > 0).all()


# -- identities ------------------------------------------------------------------------------------


def test_identity_is_over_the_shorter_row() -> None:
    rows = TOKENS[np.array([list(b"ACDEFGHI"), list(b"ACDE----"), list(b"WWDE--WW")], np.uint8)]
    same = drawings.identities(STATES[rows], PROTEIN.none)
    expected = [[1, 1, 2 / 6], [1, 1, 2 / 4], [2 / 6, 2 / 4, 1]]
    np.testing.assert_allclose(same, expected)


def test_similar_rows_are_put_beside_each_other() -> None:
    rng = np.random.default_rng(0)
    centres = rng.choice(CODES, (3, 60))
    of = np.tile(np.arange(3), 10)
    rows = np.where(rng.random((30, 60)) < 0.8, centres[of], rng.choice(CODES, (30, 60)))
    order = drawings.by_similarity(drawings.identities(STATES[rows], PROTEIN.none))
    assert sorted(order.tolist()) == list(range(30))
    assert np.count_nonzero(np.diff(of[order])) == 2


def test_the_matrix_is_bright_where_rows_are_equal() -> None:
    rows = np.repeat(family(2, 60, gaps=0), 8, axis=0)
    ((picture,)) = pictures(drawings.matrix(STATES[rows], PROTEIN.none, "t"))
    bright = (picture == HEAT[-1]).all(-1)
    assert bright.sum() == 2 * 8 * 8
    assert bright[:8, :8].all()


# -- charts ----------------------------------------------------------------------------------------


def test_histograms_count_kept_and_removed_rows() -> None:
    rows = family(80, 30)
    made = page(hush.run(record(rows, count=30), method="farthest"))
    titles = [c.heading for c in made.charts]
    assert titles[1:] == ["How similar are rows to the query?", "Which rows are misaligned?"]
    for chart in made.charts[1:]:
        assert (bars(chart.svg, "kept"), bars(chart.svg, "gone")) == (30, 50)


def test_scores_are_drawn_with_the_score_that_decided() -> None:
    score = np.linspace(0, 1, 11)
    (chart,) = charts.scores(score, score > 0.55)
    assert chart.caption == "All rows with a score of at least 0.6 were kept."
    assert 'class="threshold"' in chart.svg
    (chart,) = charts.scores(score, np.arange(11) % 2 == 0)
    assert "did not decide" in chart.caption
    assert 'class="threshold"' not in chart.svg
    assert charts.scores(np.full(11, np.nan), score > 0.5) == []


def test_a_page_has_the_scores_the_steps_and_the_noise_of_a_method() -> None:
    rows = family(80, 30)
    result = hush.run(record(rows, count=30), method="farthest")
    item = result.items[0]
    assert item.kept is not None
    trace = [{"step": k, "level": 0.4 / k, "removed_rms": 0.2 / k} for k in (1, 2)]
    found = replace(item.found, sigma=0.25, uncertainty=0.2)
    score = np.where(item.kept, 0.9, 0.1)
    result.items = [replace(item, probability=score, trace=tuple(trace), found=found)]
    made = page(result)
    assert [c.heading for c in made.charts[-2:]] == [
        "How does the method score them?",
        "Step by step",
    ]
    assert {c.label: c.value for c in made.cards}["Noise"] == "25 % ± 5 %"


def test_coverage_is_drawn_for_every_column() -> None:
    before = np.array([[1, 1, 0, 1], [1, 0, 0, 1]], bool)
    svg = charts.coverage(before, before[:1]).svg
    lines = re.findall(r'<polyline class="trace (\w+)" points="([^"]+)"', svg)
    assert [cls for cls, _ in lines] == ["two", "one"]
    heights = [[float(p.split(",")[1]) for p in points.split()] for _, points in lines]
    full, none = heights[0][0], heights[0][2]
    assert heights[0] == pytest.approx([full, (full + none) / 2, none, full], abs=0.1)
    assert heights[1] == pytest.approx([full, full, none, full], abs=0.1)


# -- contacts --------------------------------------------------------------------------------------


def test_true_contacts_are_above_the_diagonal_and_predicted_ones_below() -> None:
    contacts = np.zeros((20, 20), bool)
    scores = np.zeros((20, 20))
    for i, j, score, true in (
        (0, 9, 5, 1),
        (3, 12, 4, 0),
        (1, 15, 3, 1),
        (2, 18, -1, 1),
        (5, 7, 9, 1),
    ):
        contacts[i, j] = contacts[j, i] = bool(true)
        scores[i, j] = scores[j, i] = score
    scores[4], scores[:, 4] = np.nan, np.nan
    chart = drawings.contact_map(scores, contacts, count=3)
    (pixels,) = pictures(chart.svg)
    assert {tuple(pixels[0, 9]), tuple(pixels[1, 15]), tuple(pixels[2, 18])} == {drawings.CONTACT}
    assert tuple(pixels[3, 12]) == (255, 255, 255)
    assert tuple(pixels[9, 0]) == tuple(pixels[15, 1]) == drawings.TRUE
    assert tuple(pixels[12, 3]) == drawings.FALSE
    assert tuple(pixels[18, 2]) == tuple(pixels[7, 5]) == drawings.MISSED  # 5 and 7 are too close
    assert "the 3 pairs" in chart.caption
    assert "2 are contacts (67 %)" in chart.caption


def test_by_default_as_many_pairs_as_residues_are_drawn() -> None:
    rng = np.random.default_rng(0)
    scores = rng.random((40, 40))
    (pixels,) = pictures(drawings.contact_map(scores + scores.T, np.zeros((40, 40), bool)).svg)
    wrong = np.argwhere((pixels == drawings.FALSE).all(-1))
    assert len(wrong) == 40
    assert (wrong[:, 0] - wrong[:, 1] >= 6).all()


# -- pages -----------------------------------------------------------------------------------------


def test_a_page_of_a_deep_alignment_is_small(tmp_path: Path) -> None:
    rows = family(10_000, 60)
    result = hush.run(record(rows, count=256, names=names(10_000)), method="random")
    result.report(tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text()
    assert len(text) < 2e6
    for said in ("256 of 10,000", "Effective number", "query r0", "Before: 10,000 rows", "glycine"):
        assert said in text
    assert not re.search(r"(?:src|href)=\"http", text)


def test_an_inspection_shows_rows_and_identities_beside_each_other() -> None:
    rows = family(50, 30)
    seen = api.inspected(record(rows, names=names(50)))
    made = get("alignment").inspected(seen, frame.BUDGET)
    assert isinstance(made, InspectedRows)
    ((drawn, matrix),) = made.pictures
    assert drawn.heading == "All 50 rows"
    assert matrix.heading == "Identity of 50 rows"
    assert len(made.charts) == 3
    html = frame.render([made])
    assert "Ready to denoise" in html
    assert "50 rows of 30 columns, protein, query r0" in html


@pytest.mark.parametrize(
    "rows",
    [
        TOKENS[np.array([list(b"A")], np.uint8)],
        TOKENS[np.array([list(b"----"), list(b"ACDE")], np.uint8)],
        TOKENS[np.array([list(b"----"), list(b"----")], np.uint8)],
        TOKENS[np.array([list(b"XJXJ")] * 12, np.uint8)],
        TOKENS[np.array([list(b"ACGU-ACGUN-")] * 12, np.uint8)],
    ],
    ids=["one residue", "no query", "gaps only", "unknown letters", "RNA"],
)
def test_pages_about_odd_alignments(rows: np.ndarray, tmp_path: Path) -> None:
    for context in ({}, {"count": 1}):
        hush.run(record(rows, **context), method="farthest").report(tmp_path / "a.html")
    api.write_report(api.inspected(record(rows)), tmp_path / "b.html")
    for name in ("a", "b"):
        text = (tmp_path / f"{name}.html").read_text()
        assert "<svg" in text
        assert not re.search(r'="[\d. ,]*nan', text)  # a coordinate


def test_several_alignments_share_a_page() -> None:
    results = [hush.run(record(family(40, 20, s), count=10), method="farthest") for s in (0, 1)]
    html = frame.render([page(result) for result in results])
    assert html.count("<summary>") == 2
    assert "10 of 40" in html

"""MID on alignments: couplings, further noise, and the choice of rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import hush
from hush.errors import HushError
from hush.io.residues import FIRST, GAP, NONE, STATES
from hush.kinds.alignment.family import Family, different
from hush.kinds.alignment.further import SPOILS, misaligned, redundant
from hush.kinds.alignment.redundancy import filtered, nearest, repeated, repeating
from hush.kinds.alignment.statistics import halves, statistics
from hush.methods import make
from hush.methods.mid.sequences import farthest, unrepeated
from hush.record import Record
from hush.schedule import Schedule
from hush.tasks.couplings import strongest

pytestmark = pytest.mark.usefixtures("one_thread_throughout")


def planted(
    count: int = 400, columns: int = 40, seed: int = 0, strength: float = 0.9
) -> np.ndarray:
    """Tokens ``(count, columns)`` of a family: columns i and i + columns / 2 mostly go together."""
    rng = np.random.default_rng(seed)
    half = columns // 2
    liked = np.stack([rng.permutation(20)[:4] for _ in range(half)])
    other = np.stack([rng.permutation(20)[:4] for _ in range(half)])
    letter = rng.integers(0, 4, (count, half))
    pair = np.where(rng.random(letter.shape) < 0.9, letter, rng.integers(0, 4, letter.shape))
    at = np.arange(half)
    rows = np.concatenate([liked[at, letter], other[at, pair]], axis=1) + FIRST
    rows[rng.random(rows.shape) < 0.05] = GAP
    return rows.astype(np.uint8)


@pytest.fixture(scope="module")
def family() -> Family:
    return different(planted(), 0)[0]


@pytest.fixture(scope="module")
def trained(family: Family, request: pytest.FixtureRequest) -> Any:
    """Trained for a few steps on one planted family."""
    request.getfixturevalue("one_thread_throughout")
    schedule = Schedule(max_steps=60, patch=96, learning_rate=5e-3, ema=0.9)
    return make("mid", "alignment", width=16, layers=1).fit(family, schedule=schedule)


def test_the_strongest_couplings_are_the_planted_ones(family: Family) -> None:
    found = strongest(family.states, each=0.5)
    half = family.states.shape[1] // 2
    planted = {(i, i + half) for i in range(half)}
    assert {(int(i), int(j)) for i, j in found.pairs} == planted


def test_couplings_are_the_same_through_rows_and_through_columns() -> None:
    """Fewer rows than 21 for each column, or more: either matrix gives the same couplings."""
    rows = STATES[planted(300, 12)]
    weights = np.ones(len(rows))
    through_columns = strongest(rows, weights=weights)  # 301 rows against 252 columns
    again = np.concatenate([rows, rows])
    assert len(again) > 21 * 12
    same = strongest(again, weights=np.ones(len(again)))
    np.testing.assert_array_equal(same.pairs, through_columns.pairs)
    np.testing.assert_allclose(same.blocks, through_columns.blocks, atol=1e-4)
    few = strongest(rows[:200], weights=weights[:200])
    more = strongest(np.concatenate([rows[:200]] * 2), weights=np.ones(400))
    np.testing.assert_array_equal(few.pairs, more.pairs)
    np.testing.assert_allclose(few.blocks, more.blocks, atol=1e-4)


def test_couplings_of_few_rows_are_the_same_without_the_whole_matrix(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows = STATES[planted(90, 24)]
    few = strongest(rows)
    monkeypatch.setattr("hush.tasks.couplings.FEW", 0)
    whole = strongest(rows)
    np.testing.assert_array_equal(few.pairs, whole.pairs)
    np.testing.assert_allclose(few.blocks, whole.blocks, atol=1e-4)


def test_rows_of_the_family_agree_with_its_couplings(family: Family) -> None:
    """And rows whose residues fit every column, but were drawn one by one, do not."""
    found = strongest(family.states)
    rng = np.random.default_rng(1)
    states = family.states
    alone = states[rng.integers(0, len(states), states.shape), np.arange(states.shape[1])]
    ours, theirs = (found.fields(x).sum(1) for x in (states, alone))
    assert np.mean(ours[:, None] > theirs[None]) > 0.95


def test_a_residue_s_field_is_the_sum_over_its_pairs() -> None:
    found = strongest(STATES[planted(60, 16)])
    row = STATES[planted(1, 16, seed=3)]
    expected = np.zeros(16)
    for (i, j), block in zip(found.pairs, found.blocks, strict=True):
        expected[[i, j]] += block[row[0, i], row[0, j]]
    np.testing.assert_allclose(found.fields(row)[0], expected, rtol=1e-5)


def test_no_row_is_judged_by_statistics_that_it_is_part_of(family: Family) -> None:
    """A row of its own kind in one half has the same log-odds as in a family without it."""
    states = family.states
    split = halves(states)
    assert abs(split.first.sum() - len(states) / 2) <= 1
    where = np.flatnonzero(split.first)[:5]
    seen = split.columns(states, where)
    others = statistics(states[~split.first])
    np.testing.assert_array_equal(seen, others.columns(states[where], states[0]))


def test_rows_spoiled_are_unlike_any_row_and_have_its_gaps_or_residues(family: Family) -> None:
    rng = np.random.default_rng(0)
    tokens = family.tokens
    for spoil in SPOILS:
        row = tokens[3]
        made = spoil(row, tokens, rng)
        assert made.shape == row.shape
        assert np.mean(made != row) > 0.1
    assert misaligned(tokens, 7, rng).shape == (7, tokens.shape[1])


def test_redundant_rows_repeat_few_rows(family: Family) -> None:
    rng = np.random.default_rng(0)
    made = redundant(family.tokens, 50, rng)
    share = [
        max(np.mean(row[row != GAP] == one[row != GAP]) for one in family.tokens) for row in made
    ]
    assert min(share) >= 0.75
    whole = (made != GAP).mean(1)
    assert whole.min() < 0.7 < whole.max()  # some are fragments


def shared(states: np.ndarray, i: int, j: int) -> float:
    """The share of row i's residues that row j has."""
    filled = states[i] != NONE
    return float(np.mean(states[j][filled] == states[i][filled])) if filled.any() else 0.0


def test_the_nearest_row_by_brute_force() -> None:
    states = STATES[planted(40, 70)]
    states[5], states[6, :30] = states[4], NONE
    found = nearest(states)
    every = range(len(states))
    expected = [max(shared(states, i, j) for j in every if j != i) for i in every]
    np.testing.assert_allclose(found, expected)
    assert found[5] == 1
    by = np.arange(40) % 3 == 0
    expected = [max(shared(states, i, j) for j in np.flatnonzero(by) if j != i) for i in every]
    np.testing.assert_allclose(repeated(states, by), expected)
    assert not repeated(states, np.zeros(40, bool)).any()


@pytest.mark.parametrize("limit", [0.2, 0.4, 0.9])
def test_what_rows_repeat_by_brute_force(limit: float) -> None:
    states = STATES[planted(40, 70)]
    states[5], states[6, :30] = states[4], NONE
    every = range(len(states))
    shares = [[shared(states, j, i) if i != j else 0 for j in every] for i in every]
    expected = [sum(s for s in row if s >= limit) for row in shares]
    np.testing.assert_allclose(repeating(states, limit), expected, atol=1e-9)


def test_of_a_row_and_its_copies_the_row_stays(family: Family) -> None:
    """Of many copies, it is the one in their middle, even if what was replaced fits the columns
    better; of a single copy, it is the one that fits them."""
    rng = np.random.default_rng(0)
    usual = np.array([np.bincount(column[column != GAP]).argmax() for column in family.tokens.T])
    many, few = np.repeat(family.tokens[10:11], 9, axis=0), family.tokens[20:26].copy()
    for row in many:
        where = rng.permutation(np.flatnonzero((row != GAP) & (row != usual)))[:3]
        row[where] = usual[where]
    for row in few:
        where = rng.permutation(np.flatnonzero(row != GAP))[:3]
        row[where] = FIRST + (row[where] - FIRST + rng.integers(1, 20, 3)) % 20
    tokens = np.concatenate([family.tokens[:30], many, few])
    known = np.arange(len(tokens)) < 30
    made, first, _ = different(tokens, 0)
    copy = ~known[first]
    parents = np.isin(first, [10, *range(20, 26)])
    kept = unrepeated(made, copy | parents)
    assert set(first[kept]) == set(range(30))


@pytest.mark.parametrize("limit", [0.3, 0.5, 0.9])
def test_rows_are_filtered_as_one_by_one(limit: float) -> None:
    states = STATES[planted(1100, 20)]  # more than a block
    kept: list[int] = []
    expected = np.zeros(len(states), bool)
    for i in range(len(states)):
        filled = states[i] != NONE
        same = (states[kept] == states[i])[:, filled].sum(1)
        expected[i] = not (same >= limit * max(filled.sum(), 1)).any()
        kept += [i] * bool(expected[i])
    np.testing.assert_array_equal(filtered(states, limit), expected)


def test_rows_are_taken_up_by_weighted_distance() -> None:
    family, count = different(planted(50, 30), 0)[0], 20
    tokens = family.tokens
    weight = np.random.default_rng(0).uniform(0.5, 2, len(tokens))
    order = [0]
    residue = tokens != GAP

    def apart(i: int, j: int) -> int:
        return int(((tokens[i] != tokens[j]) & residue[i] & residue[j]).sum())

    while len(order) < count:
        left = [i for i in range(len(tokens)) if i not in order]
        value = [weight[i] * min(apart(i, j) for j in order) for i in left]
        order.append(left[int(np.argmax(value))])
    np.testing.assert_array_equal(farthest(family, weight, count), order)


def test_rows_that_repeat_one_come_last_however_much_they_weigh() -> None:
    """As where couplings come from the repeats themselves; and where most rows are doubted."""
    tokens = planted(60)
    twins = tokens.copy()
    for row in twins:
        at = np.flatnonzero(row >= FIRST)[0]
        row[at] = FIRST + (row[at] - FIRST + 1) % 20
    every = different(np.concatenate([tokens, twins]), 0)[0]
    heavy = (every.tokens[:, -1:] == tokens[:20, -1]).any(1) * 99.0 + 1
    taken = every.tokens[farthest(every, heavy, 60)]
    apart = (taken[:, None] != taken).sum(-1) + 40 * np.eye(60, dtype=int)
    assert apart.min() > 1


@pytest.mark.long
def test_doubtful_rows_that_are_needed_do_not_displace_others(trained: Any) -> None:
    """More rows than are held to be aligned: repeats of these are no better than doubtful rows."""
    tokens = planted(80)
    twins = tokens[:40].copy()
    twins[:, 3] = FIRST
    made = run(trained.replace(threshold=1e-9), np.concatenate([tokens, twins]), count=80)
    kept = made.items[0].kept
    assert not (kept[:40] & kept[80:]).any()


def test_planted_noise_is_found(trained: Any, family: Family) -> None:
    """After a short training: rows that are shuffled, or copies, score below the family's own."""
    rng = np.random.default_rng(5)
    wrong, copies = misaligned(family.tokens, 60, rng), redundant(family.tokens[:5], 60, rng)
    tokens = np.concatenate([family.tokens, wrong, copies])
    made = run(trained, tokens)
    score = made.items[0].probability
    own = score[: len(family)]
    for part in (score[len(family) : len(family) + 60], score[len(family) + 60 :]):
        assert np.mean(own[5:, None] > part[None]) > 0.85


def run(model: Any, tokens: np.ndarray, **context: Any) -> Any:
    return hush.run(Record(tokens, "NC", kind="alignment", full=1.0, context=context), model=model)


def test_the_rows_asked_for_and_the_query_first(trained: Any) -> None:
    tokens = planted(200)
    names = tuple(f"row{i}" for i in range(200))
    for count in (1, 17, 150, 200):
        made = run(trained, tokens, count=count, names=names, query="row7")
        assert len(made.data) == count
        np.testing.assert_array_equal(made.data[0], tokens[7])
        assert made.record.context["names"][0] == "row7"
    assert len(run(trained, tokens, keep=0.25).data) == 50


def test_the_order_of_the_rows_does_not_matter(trained: Any) -> None:
    tokens = planted(150)
    order = np.r_[0, 1 + np.random.default_rng(2).permutation(149)]
    for context in ({}, {"count": 40}):
        one, other = (run(trained, x, **context) for x in (tokens, tokens[order]))
        assert {r.tobytes() for r in one.data} == {r.tobytes() for r in other.data}
        np.testing.assert_allclose(
            other.items[0].probability, one.items[0].probability[order], atol=1e-5
        )


def test_copies_go_first(trained: Any) -> None:
    tokens = planted(100)
    twice = np.concatenate([tokens, tokens[:30]])
    made = run(trained, twice, count=100)
    assert {r.tobytes() for r in made.data} == {r.tobytes() for r in tokens}
    assert not made.items[0].kept[100:].any()


def test_rows_of_text_and_of_biopython_are_alignments() -> None:
    rows = ["ACDEF", "AC-EF", "ACDEW", "GCDEW"]
    made = hush.run(rows, kind="alignment", method="greedy", context={"count": 2})
    assert made.record.context["names"] == ("row1", "row4")
    Seq = pytest.importorskip("Bio.Seq").Seq
    SeqRecord = pytest.importorskip("Bio.SeqRecord").SeqRecord
    every = [SeqRecord(Seq(row), id=f"s{i}") for i, row in enumerate(rows)]
    again = hush.run(every, kind="alignment", method="greedy", context={"count": 2})
    np.testing.assert_array_equal(again.data, made.data)
    assert again.record.context["names"] == ("s0", "s3")
    with pytest.raises(HushError, match="row2 has 4 columns, but row1 has 5"):
        hush.run(["ACDEF", "ACDE"], kind="alignment")


def test_few_rows_come_back(trained: Any) -> None:
    made = run(trained, planted(9))
    assert len(made.data) == 9
    assert any("too few" in said for said in made.warnings)


def test_a_file_round_trip_gives_the_same_rows(trained: Any, tmp_path: Any, family: Family) -> None:
    trained.save(tmp_path / "m.safetensors")
    again = hush.load(tmp_path / "m.safetensors")
    one, other = (run(m, family.tokens, count=50).data for m in (trained, again))
    np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("settings", "word"),
    [({"steps": 0}, "steps"), ({"threshold": 1.0}, "threshold"), ({"added": (0.4, 0.1)}, "added")],
)
def test_settings_out_of_range(settings: dict[str, Any], word: str) -> None:
    with pytest.raises(HushError, match=word):
        make("mid", "alignment", **settings)


def test_of_very_many_rows_the_likeliest_are_judged(
    trained: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hush.methods.mid.sequences.EXACT", 100)
    tokens = planted(200)
    made = run(trained, tokens, count=30)
    assert made.data.shape[0] == 30
    score = made.items[0].probability
    assert np.isfinite(score).sum() == 100
    assert not made.items[0].kept[np.isnan(score)].any()
    assert any("100 that agree best" in said for said in made.warnings)
    assert len(run(trained, tokens, count=180).data) == 180

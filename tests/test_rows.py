"""Choosing rows of alignments: exact against references, and what all methods promise."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

import hush
from hush.cli import main
from hush.errors import HushError
from hush.io.residues import AMINO, BYTES, FIRST, GAP, NONE, STATES, TOKENS
from hush.kinds.alignment.family import Family, different
from hush.methods import METHODS, get, make
from hush.methods.diffusion_rows import DiffusionRows, Part, likelihoods, masked, profile
from hush.methods.farthest import Farthest
from hush.methods.greedy import Greedy
from hush.methods.henikoff import Henikoff, position_based
from hush.methods.hhfilter import HHfilter
from hush.methods.reweight import Reweight
from hush.record import Record
from hush.schedule import Schedule
from hush.tasks.distances import distances, shared, similar
from hush.tasks.identity import packed

pytestmark = pytest.mark.usefixtures("one_thread_throughout")

#: every method that chooses rows without being told how by a model
UNTRAINED = ["random", "greedy", "farthest", "hhfilter", "henikoff", "reweight"]
EVERY = [*UNTRAINED, "diffusion"]


def relatives(count: int, columns: int, seed: int = 0, away: float = 0.7) -> np.ndarray:
    """Tokens of rows that differ from the first in a share of up to `away`; some are fragments."""
    rng = np.random.default_rng(seed)
    rows = np.tile(rng.integers(FIRST, FIRST + 20, columns), (count, 1)).astype(np.uint8)
    changed = rng.random(rows.shape) < rng.uniform(away / 4, away, (count, 1))
    changed[0] = False
    rows[changed] = rng.integers(FIRST, FIRST + 20, int(changed.sum()))
    for row in rows[3::4]:
        row[: rng.integers(columns // 2)] = GAP
    return rows


def tokens(*rows: str) -> np.ndarray:
    return np.stack([TOKENS[np.frombuffer(row.encode(), np.uint8)] for row in rows])


def family_of(rows: np.ndarray) -> Family:
    return different(rows, 0)[0]


def letters(rows: np.ndarray) -> list[str]:
    return [BYTES[row].tobytes().decode() for row in rows]


@pytest.fixture(scope="module")
def method(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """Makes a method by its name; those that learn have learned a little from related rows."""
    request.getfixturevalue("one_thread_throughout")
    trained: dict[str, Any] = {}

    def made(name: str, **settings: Any) -> Any:
        model = make(name, "alignment", **settings)
        if name not in UNTRAINED:
            if name not in trained:
                schedule = Schedule(max_steps=20, patch=32)
                trained[name] = model.fit(relatives(60, 40), schedule=schedule, device="cpu")
            model.load_weights(trained[name].weights())
        return model

    return made


def run(model: Any, rows: np.ndarray, **context: Any) -> Any:
    return hush.run(Record(rows, "NC", kind="alignment", full=1.0, context=context), model=model)


# -- what every method promises --------------------------------------------------------------------


def test_every_method_for_alignments_is_tested_here() -> None:
    theirs = {name for name in METHODS if "alignment" in get(name, "alignment").kinds}
    assert theirs - {"mid"} == set(EVERY)  # MID has its own tests


@pytest.mark.parametrize("name", EVERY)
def test_as_many_rows_as_asked_for_the_query_first(name: str, method: Callable[..., Any]) -> None:
    """For every number from 1 to all, in files with copies; the other rows keep their order."""
    rows = relatives(24, 30)
    rows = np.concatenate([rows, rows[[0, 5, 5, 9]]])[np.random.default_rng(1).permutation(28)]
    names = tuple(f"row{i}" for i in range(28))
    model = method(name)
    for count in range(1, 29, 1 if name in UNTRAINED else 9):
        made = run(model, rows, count=count, names=names, query="row11")
        kept = np.flatnonzero(made.items[0].kept)
        assert len(kept) == count
        expected = [11, *(int(i) for i in kept if i != 11)]
        np.testing.assert_array_equal(made.data, rows[expected])
        assert made.record.context["names"] == tuple(names[i] for i in expected)


@pytest.mark.parametrize("name", EVERY)
def test_a_share_is_a_number_and_more_than_all_are_all(
    name: str, method: Callable[..., Any]
) -> None:
    rows = relatives(40, 30)
    model = method(name)
    assert len(run(model, rows, keep=0.2).data) == 8
    assert len(run(model, rows, keep=1e-9).data) == 1
    all_of_them = run(model, rows, count=50)
    assert len(all_of_them.data) == 40
    assert any("fewer than the 50" in said for said in all_of_them.warnings)


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("context", [{}, {"count": 13}])
def test_neither_the_order_of_rows_nor_copies_matter(
    name: str, context: dict[str, int], method: Callable[..., Any]
) -> None:
    rows = relatives(40, 30, seed=3)
    rng = np.random.default_rng(4)
    model = method(name)
    one = run(model, rows, **context)
    for more in (rows[:0], rows[rng.integers(40, size=15)]):
        mixed = np.concatenate([rows[1:], more])
        mixed = np.concatenate([rows[:1], mixed[rng.permutation(len(mixed))]])
        other = run(model, mixed, **context)
        assert sorted(letters(other.data)) == sorted(letters(one.data))


@pytest.mark.parametrize("name", EVERY)
def test_copies_go_first(name: str, method: Callable[..., Any]) -> None:
    rows = relatives(30, 30)
    twice = np.concatenate([rows, rows[::2]])
    made = run(method(name), twice, count=30)
    assert sorted(letters(made.data)) == sorted(letters(rows))
    more = run(method(name), twice, count=33)
    assert set(letters(more.data)) == set(letters(rows))
    assert any("3 of the 33 that are kept are copies" in said for said in more.warnings)


@pytest.mark.parametrize("name", EVERY)
def test_the_same_seed_gives_the_same_rows(name: str, method: Callable[..., Any]) -> None:
    rows = relatives(60, 30)
    draws = {
        seed: [
            run(method(name, **settings), rows, count=20).items[0].kept.tobytes() for _ in range(2)
        ]
        for seed in (0, 1)
        for settings in [{"seed": seed} if "seed" in method(name).config() else {}]
    }
    assert all(one == other for one, other in draws.values())
    drawn = name in ("random", "henikoff", "reweight")
    assert not drawn or draws[0][0] != draws[1][0]


@pytest.mark.parametrize("name", EVERY)
def test_odd_alignments(name: str, method: Callable[..., Any]) -> None:
    """The query alone, copies of it, two rows, rows and a query of gaps, odd letters, RNA."""
    model = method(name)
    query = relatives(1, 12)
    assert len(run(model, query).data) == 1
    assert len(run(model, np.repeat(query, 4, 0), count=2).data) == 2
    assert len(run(model, np.repeat(query, 4, 0)).data) == 1
    assert len(run(model, relatives(2, 12), count=1).data) == 1
    odd = tokens("ACDEFG", "------", "XXBZUO", "ACDEF-", "-CDEFG")
    rna = tokens("ACGUAC", "ACGU--", "GGGUAC", "-CGUAA", "UUGUAC")
    for rows in (odd, odd[[1, 0, 2, 3, 4]], rna):
        for count in range(1, 6):
            made = run(model, rows, count=count)
            assert len(made.data) == count
            np.testing.assert_array_equal(made.data[0], rows[0])


@pytest.mark.parametrize("name", EVERY)
def test_the_work_is_reported_to_its_end(name: str, method: Callable[..., Any]) -> None:
    done: list[float] = []
    method(name).choose(family_of(relatives(40, 30)), 15, done.append)
    assert min(done) > 0
    assert sum(done) == pytest.approx(1)


@pytest.mark.parametrize("name", EVERY)
def test_from_the_command_line(name: str, method: Callable[..., Any], tmp_path: Path) -> None:
    """Query first, and headers, insertions and order as in the file."""
    rows = letters(relatives(30, 25))
    rows = [row[:9] + "acg" * (i % 3 == 1) + row[9:] for i, row in enumerate(rows)]
    whole = [f">row{i} a description, {i}\n{row}\n" for i, row in enumerate(rows)]
    file, out = tmp_path / "family.a3m", tmp_path / "selected.a3m"
    file.write_text("".join(whole))
    how = ["--method", name]
    if name not in UNTRAINED:
        method(name).save(tmp_path / "model.safetensors")
        how = ["--model", str(tmp_path / "model.safetensors")]
    done = CliRunner().invoke(main, ["denoise", str(file), *how, "-n", "11", "-o", str(out)])
    assert done.exit_code == 0, done.output
    written = [f">{part}" for part in out.read_text().split(">")[1:]]
    assert len(written) == 11
    assert written[0] == whole[0]
    places = [whole.index(one) for one in written]
    assert places == sorted(places)


@pytest.mark.parametrize(
    ("name", "settings", "word"),
    [
        *((name, {"keep": 0.0}, "keep") for name in UNTRAINED if name != "hhfilter"),
        ("farthest", {"drop": 1.0}, "drop"),
        ("reweight", {"identity": 0.0}, "identity"),
        ("hhfilter", {"id": 101}, "id"),
        ("hhfilter", {"cov": -1}, "cov"),
        ("diffusion", {"levels": (0.5, 1.0)}, "levels"),
    ],
)
def test_settings_out_of_range(name: str, settings: dict[str, Any], word: str) -> None:
    with pytest.raises(HushError, match=word):
        make(name, "alignment", **settings)


# -- distances -------------------------------------------------------------------------------------


@pytest.mark.parametrize("columns", [1, 63, 64, 65, 300])
def test_distances_letter_by_letter(columns: int) -> None:
    rows = np.random.default_rng(0).integers(0, 33, (50, columns)).astype(np.uint8)
    every = family_of(rows).packed
    rows = family_of(rows).tokens
    for row, start in ((0, 0), (7, 0), (7, 7), (2, len(rows) - 3)):
        found = distances(every, row, start)
        assert found.tolist() == [
            sum(a != b for a, b in zip(one, rows[row], strict=True)) for one in rows[start:]
        ]


def test_distances_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    family = family_of(relatives(500, 70))
    whole = shared(family.packed_states, 3)
    monkeypatch.setattr("hush.tasks.distances.WORDS", 1)
    np.testing.assert_array_equal(shared(family.packed_states, 3), whole)


def test_shared_residues_are_no_gaps() -> None:
    rows = tokens("ACD-F-", "AC--FG", "------", "AXDEGX")
    unlike, same = shared(packed(STATES[rows], NONE), 0)
    assert same.tolist() == [4, 3, 0, 2]
    assert unlike.tolist() == [0, 2, 4, 3]  # X is no residue, as a gap is none


def near(a: np.ndarray, b: np.ndarray, most: int) -> bool:
    return sum(x != y for x, y in zip(a, b, strict=True)) <= most


@pytest.mark.parametrize("most", [0, 4, 10])
def test_similar_rows_by_brute_force(most: int) -> None:
    states = family_of(relatives(60, 20)).states
    expected = [sum(near(a, b, most) for b in states) for a in states]
    every = packed(states, NONE)
    np.testing.assert_array_equal(similar(every, most), expected)
    as_sample = similar(every, most, exact=0, sample=len(states))
    np.testing.assert_allclose(as_sample, expected)


def test_a_sample_of_rows_gives_the_number_on_average() -> None:
    states = family_of(relatives(80, 20)).states
    every, most = packed(states, NONE), 8
    draws = np.stack([similar(every, most, exact=0, sample=20, seed=s) for s in range(300)])
    error = draws.std(0) / np.sqrt(len(draws))
    truth = similar(every, most)
    assert np.all(np.abs(draws.mean(0) - truth) <= 4.5 * error + 1e-9)
    assert draws.std(0).max() > 0  # it is a sample


def test_more_rows_than_are_compared_and_said() -> None:
    """20,001 rows of four columns: exact up to 20,000."""
    rng = np.random.default_rng(0)
    codes = rng.permutation(20**4)[:20_001]
    rows = (FIRST + codes[:, None] // 20 ** np.arange(4) % 20).astype(np.uint8)
    model = Reweight()
    assert any("5,000 of the 20,001" in said for said in run(model, rows, count=10).warnings)
    assert not any("random" in said for said in run(model, rows[:20_000], count=10).warnings)


# -- greedy, farthest ------------------------------------------------------------------------------


def hamming(a: str, b: str) -> int:
    return sum(x != y for x, y in zip(a, b, strict=True))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("columns", [3, 40])
def test_greedy_by_brute_force(columns: int, seed: int) -> None:
    """The mean distance to the chosen rows is computed anew for every row and step."""
    family = family_of(relatives(35, columns, seed, away=1.0))
    rows = letters(family.tokens)
    order = [0]
    while len(order) < len(rows):
        left = [i for i in range(len(rows)) if i not in order]
        mean = {i: sum(hamming(rows[i], rows[j]) for j in order) / len(order) for i in left}
        order.append(min(left, key=lambda i: (-mean[i], i)))
        kept = Greedy().choose(family, len(order)).kept
        assert sorted(order) == np.flatnonzero(kept).tolist()


@pytest.mark.long
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("columns", [3, 40])
@pytest.mark.parametrize("drop", [0.0, 0.25])
def test_farthest_by_brute_force(columns: int, seed: int, drop: float) -> None:
    family = family_of(relatives(35, columns, seed, away=1.0))
    rows = letters(family.tokens)
    by_query = sorted(range(len(rows)), key=lambda i: (hamming(rows[i], rows[0]), i))
    for count in range(1, len(rows) + 1):
        pool = by_query[: max(count, len(rows) - round(drop * len(rows)))]
        order = [0]
        while len(order) < count:
            left = [i for i in pool if i not in order]
            gap = {i: min(hamming(rows[i], rows[j]) for j in order) for i in left}
            order.append(min(left, key=lambda i: (-gap[i], pool.index(i))))
        kept = Farthest(drop=drop).choose(family, count).kept
        assert sorted(order) == np.flatnonzero(kept).tolist()


# -- weights ---------------------------------------------------------------------------------------


def test_henikoff_weights_of_the_paper_s_example() -> None:
    """GYVGS, GFDGF, GYDGF, GYQGG, of which each but the third weighs 4/3, and it 1."""
    rows = STATES[tokens("GYVGS", "GFDGF", "GYDGF", "GYQGG")]
    np.testing.assert_allclose(position_based(rows), [4 / 3, 4 / 3, 1, 4 / 3])


def test_henikoff_weights_with_gaps() -> None:
    """Gaps are no residues: in the second column one residue has all of the weight."""
    rows = STATES[tokens("A-D-", "ACE-", "C---", "----")]
    expected = [1 / 4 + 1 / 2, 1 / 4 + 1 + 1 / 2, 1 / 2, 0]
    np.testing.assert_allclose(position_based(rows), expected)


def test_reweighting_by_brute_force() -> None:
    family = family_of(relatives(50, 20))
    for identity in (0.5, 0.8, 1.0):
        weights, said = Reweight(identity=identity).weigh(family)
        most = round(20 * (1 - identity))
        expected = [1 / sum(near(a, b, most) for b in family.states) for a in family.states]
        np.testing.assert_allclose(weights, expected)
        assert said == ()


def test_the_largest_weights_first() -> None:
    family = family_of(relatives(50, 30))
    weights = position_based(family.states)
    choice = Henikoff(ranked=True).choose(family, 20)
    np.testing.assert_allclose(choice.score, weights / weights.max())
    assert choice.kept[0]
    assert weights[1:][choice.kept[1:]].min() >= weights[1:][~choice.kept[1:]].max()


def test_rows_are_drawn_by_their_weights() -> None:
    """Of two rows beside the query, one is drawn: each as often as its share of their weights."""
    family = family_of(tokens("AAAAAA", "ACDEFG", "AAAAA-"))
    weights = position_based(family.states)[1:]
    draws = 2000
    kept = [Henikoff(seed=s).choose(family, 2).kept[1] for s in range(draws)]
    share = weights[0] / weights.sum()
    assert 0.1 < share < 0.9
    assert abs(np.mean(kept) - share) < 4 * np.sqrt(share * (1 - share) / draws)


# -- hhfilter --------------------------------------------------------------------------------------


def identity(a: str, b: str) -> float:
    both = [(x, y) for x, y in zip(a, b, strict=True) if x in AMINO and y in AMINO]
    return sum(x == y for x, y in both) / max(len(both), 1)


def coverage(row: str, query: str) -> float:
    there = [x for x, y in zip(row, query, strict=True) if y in AMINO]
    return sum(x in AMINO for x in there) / len(there)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("limit", "cov", "qid"), [(90, 75, 0), (60, 0, 0), (50, 90, 40)])
def test_hhfilter_leaves_out_what_it_says(limit: int, cov: int, qid: int, seed: int) -> None:
    """Rows that remain cover the query and are unlike each other; of the others none would."""
    family = family_of(relatives(60, 30, seed))
    rows = letters(family.tokens)
    model = HHfilter(id=limit, cov=cov, qid=qid)
    kept = [rows[i] for i in np.flatnonzero(model.choose(family, None).kept)]
    assert kept[0] == rows[0]
    assert 3 < len(kept) < len(rows)

    def passes(row: str) -> bool:
        return coverage(row, rows[0]) >= cov / 100 and identity(row, rows[0]) >= qid / 100

    for i, row in enumerate(kept[1:], 1):
        assert passes(row)
        assert all(identity(row, other) <= limit / 100 for other in kept[:i])
    for row in set(rows) - set(kept):
        assert not passes(row) or any(identity(row, other) > limit / 100 for other in kept)


def test_hhfilter_meets_a_number_with_the_lowest_limit() -> None:
    """Fewer rows are a part of more, and no two are more alike than a limit that was needed."""
    family = family_of(relatives(60, 30))
    rows = letters(family.tokens)
    model = HHfilter(id=90, cov=75)
    passing = sum(coverage(row, rows[0]) >= 0.75 for row in rows)
    before: set[int] = set()
    highest = 0.0
    for count in range(1, len(rows) + 1):
        choice = model.choose(family, count)
        kept = set(np.flatnonzero(choice.kept).tolist())
        assert len(kept) == count
        assert before < kept
        (added,) = kept - before
        if count > passing:
            assert any("coverage" in said for said in choice.said)
            break
        nearest = max((identity(rows[added], rows[i]) for i in before), default=0.0)
        highest = max(highest, nearest)
        # No other row could have been added at a limit one percent lower.
        left = [
            row for i, row in enumerate(rows) if i not in kept and coverage(row, rows[0]) >= 0.75
        ]
        others = [max(identity(row, rows[i]) for i in kept) for row in left]
        assert not others or min(others) > highest - 0.0101
        assert bool(choice.said) == (np.ceil(100 * highest - 1e-9) > 90)
        before = kept
    assert passing < len(rows)


def test_hhfilter_keeps_the_longer_of_two_rows() -> None:
    rows = tokens("ACDEFGHIKL", "MNPQRS----", "MNPQRSTVW-")
    kept = HHfilter(cov=0).choose(family_of(rows), None).kept
    found = letters(family_of(rows).tokens[kept])
    assert sorted(found) == ["ACDEFGHIKL", "MNPQRSTVW-"]


def test_coverage_counts_the_columns_of_the_query() -> None:
    rows = tokens("ACDE----", "MNPQ----", "RN--RSTV")
    kept = HHfilter(cov=75).choose(family_of(rows), None).kept
    assert sorted(letters(family_of(rows).tokens[kept])) == ["ACDE----", "MNPQ----"]


# -- diffusion -------------------------------------------------------------------------------------


def paired(count: int, columns: int = 30, seed: int = 0) -> np.ndarray:
    """Rows in which each residue is that of the column before, or all are drawn anew."""
    rng = np.random.default_rng(seed)
    rows = rng.integers(FIRST, FIRST + 4, (count, columns)).astype(np.uint8)
    rows[:, 1::2] = rows[:, ::2]
    return rows


def untrained() -> DiffusionRows:
    model = DiffusionRows()
    model.network_ = model.build()
    return model


def test_before_training_a_score_is_the_profile_s() -> None:
    """The mean log frequency of a row's residues in the masked columns, gaps left out."""
    family = family_of(relatives(40, 20))
    model, count = untrained(), len(family)
    rng = np.random.default_rng(model.seed)
    masks = [np.flatnonzero(masked(20, level, rng)) for level in model.levels]
    assert [len(mask) for mask in masks] == [5, 10, 15]
    expected = []
    for row in family.states:
        parts = []
        for mask in masks:
            there = [column for column in mask if row[column] != NONE]
            same = [int((family.states[:, column] == row[column]).sum()) for column in there]
            parts.append(np.mean([np.log((n + 1 / 21) / (count + 1)) for n in same]))
        expected.append(np.mean(parts))
    np.testing.assert_allclose(model.scores(family), expected, rtol=1e-5)


def test_masked_residues_are_not_seen(randomise: Callable[..., Any]) -> None:
    """Whatever residue a masked column has: the likelihoods of all that it may have sum to 1."""
    family = family_of(relatives(40, 20))
    model = untrained()
    randomise(model.network_)
    known = Part(family.tokens, family.copies, profile(family))
    states = np.repeat(family.states[5:6], 21, 0)
    states[:, 7] = np.arange(21)
    mask = np.zeros(states.shape, bool)
    mask[:, 7] = True
    found = likelihoods(model.network_, states, mask, known).detach().numpy()
    assert np.exp(found[:, 7]).sum() == pytest.approx(1, rel=1e-5)
    np.testing.assert_array_equal(found[:, :7], np.repeat(found[:1, :7], 21, 0))


def test_diffusion_learns_what_goes_together() -> None:
    """Rows whose residues fit every column, but not each other, score below the family's."""
    rows = paired(200)
    wrong = paired(60, seed=1)
    wrong[:, 1::2] = paired(60, seed=2)[:, 1::2]
    schedule = Schedule(max_steps=120, patch=64, learning_rate=1e-2, ema=0.9)
    model = DiffusionRows().fit(rows, schedule=schedule, device="cpu")
    family = family_of(np.concatenate([rows, wrong]))
    theirs = np.isin(letters(family.tokens), letters(wrong))
    before, after = untrained().scores(family), model.scores(family)
    apart = [np.mean(s[~theirs][:, None] > s[theirs][None]) for s in (before, after)]
    assert abs(apart[0] - 0.5) < 0.1 < 0.9 < apart[1]
    kept = model.choose(family, 100).kept
    assert theirs[kept].mean() < 0.5 * theirs.mean()


def test_a_training_is_repeatable_and_its_file_the_same(tmp_path: Path) -> None:
    rows, schedule = relatives(60, 40), Schedule(max_steps=10, patch=16, seed=5)
    one, two = (DiffusionRows().fit(rows, schedule=schedule, device="cpu") for _ in range(2))
    family = family_of(rows)
    np.testing.assert_array_equal(one.scores(family), two.scores(family))
    one.save(tmp_path / "m.safetensors")
    again = hush.load(tmp_path / "m.safetensors")
    np.testing.assert_allclose(again.scores(family), one.scores(family), atol=2e-3)


def test_training_on_several_alignments_of_unlike_sizes() -> None:
    """Arrays, records and families; those with too few rows are passed over, or refused alone."""
    model = DiffusionRows()
    schedule = Schedule(max_steps=2, patch=16)
    record = Record(relatives(30, 21), "NC", kind="alignment", full=1.0)
    data = [relatives(40, 33), record, family_of(relatives(50, 12)), relatives(5, 12)]
    assert len(model.alignment.families(data)) == 3
    model.fit(data, schedule=schedule, device="cpu")
    assert np.isfinite(model.scores(family_of(relatives(20, 50)))).all()
    with pytest.raises(HushError, match="at least 16 different rows"):
        DiffusionRows().fit(np.repeat(relatives(5, 12), 9, 0), schedule=schedule)


def test_a_row_of_gaps_scores_lowest(method: Callable[..., Any]) -> None:
    rows = np.concatenate([relatives(30, 20), np.full((1, 20), GAP, np.uint8)])
    made = run(method("diffusion"), rows, count=30)
    assert not made.items[0].kept[30]
    assert made.items[0].probability[30] == made.items[0].probability.min()


def test_adapting_changes_a_model_only_for_the_better() -> None:
    rows = paired(80)
    model = DiffusionRows()
    model.fit(relatives(40, 30), schedule=Schedule(max_steps=2, patch=16), device="cpu")
    family, before = family_of(rows), model.network.state_dict()
    kept = {k: v.clone() for k, v in before.items()}
    other = model.adapt([rows.T.astype(np.float32)], 3.0)
    assert other is not model
    assert other.scores(family).mean() > model.scores(family).mean()
    assert all((model.network.state_dict()[k] == v).all() for k, v in kept.items())
    assert model.adapt([rows[:5].T.astype(np.float32)], 3.0) is model  # too few to learn from

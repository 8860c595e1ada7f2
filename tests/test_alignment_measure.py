"""What is measured in alignments: pairs, diversity, coverage and fit, and what is said of them."""

from __future__ import annotations

import itertools
import json
import math
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import hush
from hush import api
from hush.errors import HushError
from hush.io.residues import AMINO, GAP, NONE, STATES, TOKENS
from hush.kinds import get
from hush.kinds.alignment import ALIGNMENT, measure, profile, show
from hush.kinds.alignment.alphabet import DNA, FILLED, OTHER, PROTEIN, RNA, alphabet
from hush.kinds.alignment.measure import diversity, measured
from hush.noise.outliers import Outliers
from hush.record import Record
from hush.results import Estimate
from hush.tasks import identity


def tokens(*rows: str) -> np.ndarray:
    """Rows of letters as tokens ``(N, L)``."""
    return TOKENS[np.array([list(row.encode()) for row in rows], np.uint8)]


def family(count: int, length: int, seed: int = 0, same: float = 0.5, gaps: float = 0.1) -> Any:
    """Rows that are like the first one in a share `same` of the columns, tokens ``(N, L)``."""
    rng = np.random.default_rng(seed)
    letters = TOKENS[np.frombuffer(AMINO.encode(), np.uint8)]
    first = rng.choice(letters, length)
    rows = np.where(rng.random((count, length)) < same, first, rng.choice(letters, (count, length)))
    rows[rng.random((count, length)) < gaps] = GAP
    rows[0] = first
    return rows.astype(np.uint8)


def record(rows: np.ndarray, **context: Any) -> Record:
    return Record(rows, "NC", kind="alignment", full=1.0, context=context)


def advice(rows: np.ndarray, **context: Any) -> list[str]:
    """The warnings about an alignment before anything is chosen."""
    one = record(rows, **context)
    item = ALIGNMENT.batch(one).floats(0)
    return ALIGNMENT.advice(one, item, None, Estimate(Outliers(0.0), 0.0))


def brute(rows: np.ndarray, none: int = NONE) -> tuple[np.ndarray, np.ndarray]:
    """Columns with the same state, and with the same residue, of any two rows of states."""
    same = rows[:, None] == rows[None]
    return same.sum(-1), (same & (rows[:, None] != none)).sum(-1)


# -- letters ---------------------------------------------------------------------------------------


def test_alphabets_are_found() -> None:
    rng = np.random.default_rng(0)
    for letters, expected in (
        (AMINO, PROTEIN),
        ("ACGT", DNA),
        ("ACGTTTTT", DNA),
        ("ACGU", RNA),
        ("ACGN", DNA),
        ("XJ*", OTHER),
    ):
        rows = TOKENS[rng.choice(np.frombuffer(f"{letters}-".encode(), np.uint8), (9, 50))]
        assert alphabet(rows) is expected, letters
    assert alphabet(tokens("-----", "-----")) is OTHER
    assert alphabet(tokens("AAAA", "AAGG")) is PROTEIN  # two letters may be a bit of a protein


def test_t_and_u_are_one_state_and_case_does_not_matter() -> None:
    assert RNA.states[TOKENS[ord("u")]] == RNA.states[TOKENS[ord("T")]] < RNA.none
    assert RNA.states[TOKENS[ord("N")]] == RNA.none
    assert len({int(RNA.states[TOKENS[ord(c)]]) for c in "ACGU"}) == 4


def test_unknown_letters_fill_a_column_and_gaps_do_not() -> None:
    assert FILLED[tokens("ACXBZUOJ*")].all()
    assert not FILLED[tokens("-.")].any()
    assert not FILLED[[0, 1, 2, 32]].any()


# -- pairs -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [1, 7, 63, 64, 65, 130])
@pytest.mark.parametrize("none", [4, NONE, 33])
def test_pairs_are_compared_exactly(length: int, none: int) -> None:
    rng = np.random.default_rng(length)
    one, other = (rng.integers(0, none + 1, (n, length)).astype(np.uint8) for n in (70, 5))
    other[0] = one[0]
    other[1] = none
    same, residues = (np.full((70, 5), -1) for _ in range(2))
    pairs = identity.compared(identity.packed(one, none), identity.packed(other, none))
    for at, others, a, b in pairs:
        same[at, others], residues[at, others] = a, b
    expected = brute(np.concatenate([one, other]), none)
    np.testing.assert_array_equal(same, expected[0][:70, 70:])
    np.testing.assert_array_equal(residues, expected[1][:70, 70:])


def test_pairs_of_one_set_come_once_below_the_diagonal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identity, "BLOCK", (3, 4))
    rows = np.random.default_rng(0).integers(0, 21, (17, 30)).astype(np.uint8)
    seen = np.zeros((17, 17), int)
    for at, others, _, _ in identity.pairs(identity.packed(rows, NONE)):
        seen[at, others] += 1
    assert seen.max() == 1
    assert seen[np.tril_indices(17)].all()


def test_ones_are_counted_without_numpy_2(monkeypatch: pytest.MonkeyPatch) -> None:
    words = np.random.default_rng(0).integers(0, 2**63, (4, 9)).astype(np.uint64)
    expected = [[bin(int(word)).count("1") for word in row] for row in words]
    for _ in range(2):
        assert identity.ones(words, np.empty(words.shape, np.uint8)).tolist() == expected
        monkeypatch.delattr(np, "bitwise_count", raising=False)


# -- diversity -------------------------------------------------------------------------------------


def test_the_effective_number_of_a_small_alignment() -> None:
    """Two rows that are alike in 8 of 10 columns, two copies of another, and one of its own."""
    rows = tokens("ACDEFGHIKL", "ACDEFGHIWW", "LKIHGFEDCA", "LKIHGFEDCA", "WWWWWWWWWW")
    seen = measured(rows)
    assert seen.effective == pytest.approx(1 / 2 + 1 / 2 + 1 / 2 + 1 / 2 + 1)
    assert (seen.error, seen.sampled) == (0, 0)
    assert seen.copies == pytest.approx(1 / 5)
    assert seen.redundant == pytest.approx(1 / 5)  # 8 of 10 are not 90 %


@pytest.mark.parametrize("seed", range(4))
def test_diversity_is_that_of_all_pairs(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identity, "BLOCK", (5, 7))
    rows = family(40, 33, seed, same=0.85)
    rows[20:25] = rows[10:15]
    rows[30] = GAP
    states = STATES[rows]
    same, residues = brute(states)
    made = diversity(rows, states, PROTEIN, 0)
    assert made.effective == pytest.approx(float((1 / (same >= 0.8 * 33).sum(1)).sum()))
    rank = [0, *sorted(range(1, 40), key=lambda i: (-(states[i] != NONE).sum(), bytes(rows[i])))]
    repeated = [
        any(residues[i, j] >= max(0.9 * (states[i] != NONE).sum(), 1) for j in rank[:k])
        for k, i in enumerate(rank)
    ]
    assert made.redundant == pytest.approx(np.mean(repeated))
    filled = [bytes(row) for row in rows if (row != GAP).any()]
    assert made.copies == pytest.approx((len(filled) - len(set(filled))) / 40)


def test_a_fragment_of_another_row_is_redundant_and_the_whole_is_not() -> None:
    seen = measured(tokens("ACDEFGHIKL", "----FGHIKL", "WWWWFGHIKL", "----------"))
    assert seen.redundant == pytest.approx(1 / 4)
    assert seen.copies == 0
    assert seen.blank == 1


def test_the_order_of_the_rows_does_not_matter() -> None:
    rows = family(60, 40, same=0.8)
    rows[30:40] = rows[20:30]
    order = np.random.default_rng(1).permutation(60)
    one, other = measured(rows, 0), measured(rows[order], int(np.flatnonzero(order == 0)[0]))
    for name, value in one.plain().items():
        assert other.plain()[name] == pytest.approx(value), name


def test_the_order_does_not_matter_to_a_sample_either(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "SAMPLE", 30)
    rows = family(200, 40, same=0.8)
    order = np.random.default_rng(1).permutation(200)
    states = STATES[rows]
    one = diversity(rows, states, PROTEIN, 0, most=100)
    query = int(np.flatnonzero(order == 0)[0])
    other = diversity(rows[order], states[order], PROTEIN, query, most=100)
    assert one.sampled == 30
    assert other == one


def test_a_sample_is_close_to_all_pairs() -> None:
    """Half of the rows are planted repeats of others, in clusters of several sizes."""
    rng = np.random.default_rng(0)
    rows = family(1500, 60, same=0.3)
    of = rng.integers(0, 200, 1500)
    near = np.where(rng.random((1500, 60)) < 0.03, GAP, rows[of])
    every = np.concatenate([rows, near])
    states = STATES[every]
    exact = diversity(every, states, PROTEIN, 0)
    drawn = diversity(every, states, PROTEIN, 0, most=1000)
    assert (exact.sampled, exact.error) == (0, 0)
    assert drawn.sampled == measure.SAMPLE
    assert 0 < drawn.error < 0.03 * exact.effective
    assert abs(drawn.effective - exact.effective) < 4 * drawn.error
    assert drawn.redundant == pytest.approx(exact.redundant, abs=0.04)
    assert exact.redundant == pytest.approx(0.5, abs=0.03)


# -- the query -------------------------------------------------------------------------------------


def test_coverage_and_identity_are_about_the_querys_columns() -> None:
    rows = tokens("AC--XGHIKL", "AC--FGHI--", "WWDDWWWWWW", "--DD------")
    seen = measured(rows)
    assert seen.coverage == pytest.approx((1 + 6 / 8 + 1 + 0) / 4)
    likeness = measure.likeness(STATES[rows], PROTEIN, 0)
    assert likeness[:3].tolist() == [1, 1, 0]  # X is compared with nothing
    assert math.isnan(likeness[3])
    assert seen.identity == 1
    assert seen.short == pytest.approx(1 / 4)
    assert seen.gaps == pytest.approx((2 + 4 + 0 + 8) / 40)


def test_another_query_has_another_coverage() -> None:
    rows = tokens("ACDE------", "------ACDE", "ACDEFACDEF")
    assert measured(rows, 0).coverage == pytest.approx((1 + 0 + 1) / 3)
    assert measured(rows, 2).coverage == pytest.approx((0.4 + 0.4 + 1) / 3)


def test_without_a_query_nothing_is_known_of_it() -> None:
    seen = measured(tokens("----", "ACDE"))
    plain = seen.plain()
    assert [plain[k] for k in ("coverage", "identity", "short")] == [None] * 3
    json.dumps(plain, allow_nan=False)


# -- fit -------------------------------------------------------------------------------------------


def test_the_fit_is_that_among_all_orders_of_the_residues() -> None:
    """Mean and variance of the score over every order of the residues in their columns."""
    rng = np.random.default_rng(0)
    odds = rng.normal(size=(8, 4))
    states = np.array([[0, 3, 1, 4, 0, 2, 4, 3]])  # 4 is no residue
    at = np.flatnonzero(states[0] < 4)
    scores = [odds[at, list(o)].sum() for o in itertools.permutations(states[0, at])]
    expected = (odds[at, states[0, at]].sum() - np.mean(scores)) / np.std(scores)
    found = profile.scored(states, odds, odds, least=1)
    assert found == pytest.approx([expected])


def test_a_row_does_not_support_itself() -> None:
    """Without its own residues in the profile, a row unlike all others fits as its shuffles do."""
    rows = STATES[family(12, 60, same=0.9, gaps=0)]
    rows[5] = np.random.default_rng(3).permutation(np.arange(60) % 20)
    z = profile.fit(rows, NONE)
    assert abs(z[5]) < 3
    assert np.delete(z, 5).min() > 5


def test_shuffled_rows_look_misaligned_and_others_do_not() -> None:
    rng = np.random.default_rng(0)
    clean = STATES[family(700, 80, same=0.35)]
    bad = clean[:300].copy()
    for row in bad:
        there = row != NONE
        row[there] = rng.permutation(row[there])
    z = profile.fit(np.concatenate([clean, bad]), NONE)
    assert np.mean(z[:700] < profile.MISFIT) < 0.01
    assert np.mean(z[700:] < profile.MISFIT) > 0.9
    assert abs(z[700:].mean()) < 0.2
    assert z[700:].std() == pytest.approx(1, abs=0.15)


def test_what_is_too_little_is_not_judged() -> None:
    rows = family(30, 40, gaps=0)
    rows[3, 9:] = GAP
    rows[4] = rows[4, 0]
    z = profile.fit(STATES[rows], NONE)
    assert np.flatnonzero(np.isnan(z)).tolist() == [3, 4]
    assert np.isnan(profile.fit(STATES[rows[:9]], NONE)).all()
    assert measured(rows[:9]).plain()["misaligned"] is None
    unknown = TOKENS[np.random.default_rng(0).choice(np.frombuffer(b"XJ", np.uint8), (30, 40))]
    assert measured(unknown).plain()["misaligned"] is None


# -- what is said ----------------------------------------------------------------------------------

SITUATIONS: Mapping[str, tuple[tuple[str, ...], str]] = {
    "one row": (("ACDEFGHIKL",), "There is one row only, the query, which comes back as it is."),
    "few rows": (("ACDEFGHIKL", "WCDEFGHIKL"), "Only 2 rows: too few"),
    "no query": (("----------", "ACDEFGHIKL"), "The query q has no residues, only gaps"),
    "gapped query": (("ACDE--HIKL", "ACDEFGHIKL"), "q has gaps in 2 of 10 columns"),
    "query twice": (("ACDEFGHIKL", "ACDEFGHIKL"), "1 row repeats the query; copies are the first"),
    "copies": (("ACDEFGHIKL", "WCDEFGHIKL", "WCDEFGHIKL"), "1 row repeats another one;"),
    "blank row": (
        ("ACDEFGHIKL", "----------", "WWCDEFGHIK", "WACDEFGHIK"),
        r"1 row \(r1\) holds gaps only",
    ),
    "empty column": (("AC-EFGHIKL", "AC.EFGHIKW"), r"1 column \(3\) is gaps only"),
    "short rows": (("ACDEFGHIKL", "ACDE------"), "50 % of the rows fill less than half"),
    "RNA": (("ACGUACGUAA", "ACGUACGUAC"), "The residues are RNA, not amino acids"),
    "DNA": (("ACGTACGTAA", "ACGTACGTAC"), "The residues are DNA, not amino acids"),
    "letters": (("XXXXXXXXXJ", "XXXXXXXXXX"), "Most letters are neither amino acids nor"),
}


@pytest.mark.parametrize("name", SITUATIONS)
def test_situations_are_told_in_a_sentence(name: str) -> None:
    rows, said = SITUATIONS[name]
    names = ("q", *(f"r{i}" for i in range(1, len(rows))))
    notes = advice(tokens(*rows), names=names)
    hits = [note for note in notes if re.search(said, note)]
    assert len(hits) == 1, notes
    others = {said for key, (_, said) in SITUATIONS.items() if key not in (name, "few rows")}
    assert not [o for o in others if any(re.search(o, note) for note in notes)]


def test_a_sound_alignment_raises_no_warning() -> None:
    rows = family(40, 30)
    rows[0, 3] = TOKENS[ord("X")]  # a normal column
    assert advice(rows) == []


def test_deep_alignments_say_what_was_sampled(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("measure", "advice"):
        monkeypatch.setattr(f"hush.kinds.alignment.{module}.EXACT", 50)
    (note,) = advice(family(60, 30))
    assert "of 60 rows, 2,000 drawn at random were compared" in note
    assert "up to 50" in note


def test_the_query_by_name_is_what_the_warnings_are_about() -> None:
    rows = tokens("AC--------", "ACDEFGHIKL", "ACDEFGHIKL")
    names = ("first", "sp|P1|HOME", "third")
    assert any("The query first has gaps in 8" in note for note in advice(rows, names=names))
    notes = advice(rows, names=names, query="home")
    assert any("1 row repeats the query" in note for note in notes)
    assert not any("has gaps" in note for note in notes)


# -- results ---------------------------------------------------------------------------------------


def test_a_result_says_what_it_did() -> None:
    rows = family(60, 20, same=0.3)
    rows[40:] = rows[:20]
    result = hush.run(record(rows, count=30), method="farthest")
    before, after = (result.residual[k] for k in ("before", "after"))
    assert before == measured(rows).plain()
    assert after == measured(result.data).plain()
    lines = dict(ALIGNMENT.facts(result, False))
    assert lines["kept"] == "30 of 60 rows"
    assert lines["effective"] == "40 → 30 sequences at 80 % identity"
    assert lines["redundant"] == "33 % → 0 % of the rows"
    assert ALIGNMENT.brief(result) == "30 of 60 rows kept, effective number 40 → 30"
    assert result.items[0].judgement.verdict == (
        "30 of 60 rows were removed. The effective number of sequences went from 40 to 30."
    )
    json.dumps(dict(result.residual), allow_nan=False)


def test_too_few_rows_that_are_left_are_a_warning() -> None:
    rows = family(60, 20, same=0.3)
    (said,) = hush.run(record(rows, count=15), method="farthest").warnings
    assert said.startswith("The effective number of sequences fell from 60 to 15, below the 20")
    assert not hush.run(record(rows, count=25), method="farthest").warnings


def test_columns_that_lose_their_residues_are_a_warning() -> None:
    rows = family(60, 20, same=0.3, gaps=0)
    rows[:, 7] = GAP
    rows[:, 11] = GAP
    rows[59, 7] = rows[0, 0]
    rows[59, np.r_[0:7, 8:11, 12:20]] = (rows[0, np.r_[0:7, 8:11, 12:20]] - 4 + 9) % 20 + 4
    notes = hush.run(record(rows, count=50), method="farthest").warnings
    assert any(note.startswith("1 column (8) is now gaps only") for note in notes)
    assert any(note.startswith("1 column (12) is gaps only") for note in notes)


def test_one_row_comes_back_with_one_sentence() -> None:
    for letters in ("ACDEFGHIKL", "ACGUACGU--"):
        for told in ({}, {"count": 5}):
            one = record(tokens(letters), names=("q",), **told)
            for method in ("farthest", "greedy", "random"):
                result = hush.run(one, method=method)
                assert np.array_equal(result.data, one.data)
                assert len(result.warnings) == 1


def test_the_share_that_a_method_found_is_told() -> None:
    rows = family(60, 20, same=0.3)
    result = hush.run(record(rows, count=30), method="farthest")
    assert "noise" not in dict(ALIGNMENT.facts(result, False))
    found = Estimate(Outliers(0.25), 0.25, uncertainty=0.2)
    result.items = [replace(result.items[0], found=found, process=Outliers(0.3))]
    assert dict(ALIGNMENT.facts(result, False))["noise"] == "25 % ± 5 % of the rows do not help"
    told = dict(ALIGNMENT.facts(result, True))["noise"]
    assert told == "30 % of the rows as given; measured: 25 % ± 5 %"


def test_steps_are_told_in_words() -> None:
    entry = {"step": 1, "level": 0.25, "removed_rms": 0.1}
    assert ALIGNMENT.stepped(entry, 1.0) == "25 % noise seen, 10 % of the rows removed"


# -- inspect and compare ---------------------------------------------------------------------------


def test_inspect_measures_and_lists_everything() -> None:
    rows = family(60, 20, same=0.3)
    seen = api.inspected(record(rows, names=tuple(f"r{i}" for i in range(60))))
    lines = dict(get("alignment").looked(seen))
    assert lines["depth"] == f"60 rows of 20 columns, {show.share(measured(rows).gaps)} gaps"
    assert lines["query"] == "r0, 20 residues"
    assert lines["effective"] == "60 sequences at 80 % identity (3 for each column)"
    assert lines["alphabet"] == "protein"
    assert {"coverage", "identity", "redundant", "misaligned", "denoise"} <= lines.keys()
    (item,) = hush.inspect(record(rows, names=tuple(f"r{i}" for i in range(60))))["items"]
    assert item == {"name": "r0", **measured(rows).plain()}


def test_inspect_warns_of_too_few_unlike_rows() -> None:
    rows = np.repeat(family(4, 20, same=0.2), 5, axis=0)
    notes = api.inspected(record(rows)).warnings
    assert any("effective number of sequences, 4, is below the 20 columns" in n for n in notes)


def test_two_selections_are_compared_by_their_rows() -> None:
    rows = family(30, 20)
    assert api.compare(record(rows[:10]), record(rows[5:25])) == {"precision": 0.5, "recall": 0.25}
    order = np.random.default_rng(0).permutation(10)
    same = api.compare(record(rows[:10][order]), record(rows[:10]))
    assert same == {"precision": 1.0, "recall": 1.0}
    with pytest.raises(HushError, match="20 and 19 columns have no rows in common"):
        api.compare(record(rows), record(rows[:, 1:]))


def test_colours_name_every_letter_once() -> None:
    from hush.kinds.alignment.colours import AMINO_ACIDS

    assert Counter("".join(letters for letters, _ in AMINO_ACIDS.values())) == Counter(AMINO)

"""The study mid/msa: contacts from the rows that are kept, with answers known from planted data."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from click.testing import CliRunner
from rich.console import Console

from hush.bases.selecting_rows import Choice, RowSelection, chosen
from hush.cli import main
from hush.denoiser import Advance
from hush.errors import HushError
from hush.io.residues import BYTES
from hush.kinds.alignment.family import Family
from hush.methods import METHODS, make
from hush.studies import Results, msa, run
from hush.studies.core import find_method
from hush.studies.msa import lessons, msa_cases
from hush.studies.msadata import families
from hush.studies.msascores import Remembered, states_of
from hush.studies.resampling import Resampling
from hush.studies.sets import select
from hush.tasks.contacts import precision
from hush.tasks.dca import effective_number, mean_field

pytest.importorskip("biotite")

LETTERS = "ACDEFGHIKLMNPQRSTVWY"
NAMES = "ALA CYS ASP GLU PHE GLY HIS ILE LYS LEU MET ASN PRO GLN ARG SER THR VAL TRP TYR"
THREE = dict(zip(LETTERS, NAMES.split(), strict=True))
COLUMNS = 40  #: of a hairpin, in which column i touches column 39 − i and those beside it
FAR = 8  #: of its pairs are at least 24 columns apart
NUMBERS = "16,32"


def coupled(count: int, rng: np.random.Generator) -> np.ndarray:
    """Rows of indices of letters: a column's letter says which one its partner has."""
    rows = rng.integers(0, 20, (count, COLUMNS))
    partner = (rows + 7) % 20
    half = COLUMNS // 2
    rows[:, half:] = partner[:, :half][:, ::-1]
    return rows


def hairpin(path: Path, sequence: str) -> None:
    """A PDB file with the Cβ of two strands side by side, 5 Å apart."""
    half, lines = COLUMNS // 2, []
    for i, letter in enumerate(sequence):
        x, y = (3.8 * i, 0.0) if i < half else (3.8 * (COLUMNS - 1 - i), 5.0)
        for k, atom in enumerate(("CA", "CB")):
            name = THREE[letter]
            if atom == "CB" and name == "GLY":
                continue
            lines.append(
                f"ATOM  {2 * i + k + 1:5d}  {atom:<3s} {name} A{i + 1:4d}    "
                f"{x:8.3f}{y:8.3f}{0.0:8.3f}  1.00  0.00           C  "
            )
    path.write_text("\n".join([*lines, "END", ""]))


def write_family(folder: Path, name: str, rows: int, noise: int, seed: int) -> dict[str, str]:
    """An alignment of coupled rows and of noise, and a structure; its entry in the manifest."""
    rng = np.random.default_rng(seed)
    noisy = coupled(noise, rng)
    noisy = rng.permuted(noisy, axis=1)
    every = [("true", row) for row in coupled(rows, rng)] + [("noise", row) for row in noisy]
    order = [0, *(1 + rng.permutation(len(every) - 1))]
    text = [
        f">{every[k][0]}_{k}\n{''.join(LETTERS[c] for c in every[k][1])}\n" for k in map(int, order)
    ]
    (folder / name).mkdir()
    (folder / name / "family.a3m").write_text("".join(text))
    hairpin(folder / name / "structure.pdb", "".join(LETTERS[c] for c in every[0][1]))
    return {
        "name": f"made/{name}",
        "msa": f"{name}/family.a3m",
        "structure": f"{name}/structure.pdb chain A",
        "ref": "row 0",
    }


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three families, the last of 40 rows; one without a file, one with a broken structure."""
    folder = tmp_path_factory.mktemp("data") / "alignments"
    folder.mkdir()
    sizes = {"one": (90, 90), "two": (80, 100), "small": (20, 20)}
    entries = [write_family(folder, n, *size, k) for k, (n, size) in enumerate(sizes.items())]
    (folder / "broken.pdb").write_text("no structure")
    entries += [
        {**entries[0], "name": "made/missing", "msa": "nowhere.a3m"},
        {**entries[0], "name": "made/broken", "structure": "broken.pdb"},
    ]
    (folder / "manifest.json").write_text(json.dumps(entries))
    return folder.parent


@dataclass
class Named(RowSelection):
    """Keeps rows by their fit to the coupling, which real methods do not know."""

    name: ClassVar[str] = "true"
    summary: ClassVar[str] = ""
    citation: ClassVar[str] = ""
    wanted: ClassVar[bool] = True

    def choose(self, family: Family, count: int | None, advance: Advance | None = None) -> Choice:
        states = family.states.astype(int)
        fits = ((states[:, : COLUMNS // 2] + 7) % 20 == states[:, : COLUMNS // 2 - 1 : -1]).all(1)
        order = np.r_[0, 1 + np.argsort(fits[1:] != self.wanted, kind="stable")]
        seen.append(len(family))
        return Choice(chosen(order[:count], len(family)), fits.astype(float))


@dataclass
class Wrong(Named):
    """Keeps noise."""

    name: ClassVar[str] = "wrong"
    wanted: ClassVar[bool] = False


seen: list[int] = []


@pytest.fixture(autouse=True)
def toys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "msa_toys", sys.modules[__name__])
    monkeypatch.setitem(METHODS._own, "true", "msa_toys:Named")  # type: ignore[index]
    monkeypatch.setitem(METHODS._own, "wrong", "msa_toys:Wrong")  # type: ignore[index]
    seen.clear()


def figures(results: Results, method: str, metric: str, **settings: str) -> list[float]:
    """The values of cells of a method whose case has these settings."""
    cells = [c for c in results.cells if (c.method, c.metric) == (method, metric)]
    told = [(dict(p.partition("=")[::2] for p in c.case.split(";")), c.value) for c in cells]
    return [x for of, x in told if x is not None and settings.items() <= of.items()]


def short(data: Path, *rows: str, **options: Any) -> Results:
    """A run with few rows kept."""
    sizes = {"rows": NUMBERS, "draws": "2", **options.pop("sizes", {})}
    return run("mid/msa", data, methods=rows or None, options=sizes, **options)


# -- scores --------------------------------------------------------------------------------------


def test_rows_that_are_coupled_predict_contacts_and_noise_does_not(data: Path) -> None:
    results = short(data, "true", "wrong", sizes={"rows": "64"})
    (right,) = figures(results, "true", "P@L/5", range="24")
    (wrong,) = figures(results, "wrong", "P@L/5", range="24")
    assert right == 1  # the eight pairs that are coupled
    assert wrong < 0.6
    (right,), (wrong,) = (figures(results, m, "P@L", range="6") for m in ("true", "wrong"))
    assert right > wrong + 0.2


def test_scores_are_those_of_mean_field_dca_on_the_rows_that_are_kept(data: Path) -> None:
    results = short(data, "greedy", "none")
    for rows in (16, 32):
        tested = [f for f in families(data) if rows <= 0.7 * len(f)]
        expected: dict[str, list[float]] = {"greedy": [], "none": []}
        for family in tested:
            noisy = next(
                s.noisy
                for c in msa_cases(data, quick=False, only=None, rows=[rows])
                for s in c.samples(0)
                if s.name == f"{family.name}@{rows}"
            )
            kept = select(make("greedy", "alignment"), noisy, None).kept
            assert kept.sum() == rows
            assert kept[0]
            for name, states in (
                ("greedy", family.states[family.order[kept]]),
                ("none", family.states),
            ):
                made = mean_field(states)
                expected[name].append(
                    precision(made, family.contacts, family.known, separation=12, divisor=2)
                )
        for name, values in expected.items():
            (value,) = figures(results, name, "P@L/2", range="12", rows=f"{rows}", dca="mean-field")
            assert value == pytest.approx(np.mean(values))


def test_a_method_that_draws_is_scored_by_the_mean_over_its_draws(data: Path) -> None:
    results = short(data, "random", only="one", seeds=[3], sizes={"rows": "32", "draws": "3"})
    (family,) = families(data, "one")
    values, numbers = [], []
    for seed in (9, 10, 11):
        case, *_ = msa_cases(data, quick=False, only="one", rows=[32], draws=3)
        (sample,) = case.samples(3)
        kept = select(make("random", "alignment", seed=seed), sample.noisy, None).kept
        states = family.states[family.order[kept]]
        values.append(family.precision(mean_field(states)))
        numbers.append(effective_number(states))
    assert len(set(values)) > 1
    (value,) = figures(results, "random", "P@L", range="24")
    assert value == pytest.approx(np.mean(values))
    (number,) = figures(results, "random", "neff")
    assert number == pytest.approx(np.mean(numbers))


def test_of_a_large_family_a_part_stands_for_all_rows(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (family,) = families(data, "one")
    every = np.ones(len(family), bool)
    assert states_of(family, every).shape == family.states.shape
    monkeypatch.setattr(type(family), "drawn", lambda self: np.arange(7))
    assert len(states_of(family, every)) == 7
    assert len(states_of(family, every & (np.arange(len(family)) < 9))) == 9


def test_the_mean_over_numbers_of_rows_is_that_over_all_pairs_of_family_and_number(
    data: Path,
) -> None:
    results = short(data, "farthest", "true")
    cells = {
        c.case: v
        for c in results.cells
        for v in [results.ledger.values[c.key]]
        if (c.method, c.metric) == ("farthest", "P@L") and "range=24" in c.case
    }
    of = {case.split("rows=")[1].partition(";")[0]: values for case, values in cells.items()}
    assert of["16-32"] == {**of["16"], **of["32"]}
    assert sorted(of["16"]) == ["made/one@16", "made/small@16", "made/two@16"]
    assert sorted(of["32"]) == ["made/one@32", "made/two@32"]  # 32 of 40 rows are above 70 %
    (mean,) = figures(results, "farthest", "P@L", rows="16-32", range="24")
    assert mean == pytest.approx(np.mean(list(of["16-32"].values())))
    assert seen == [180, 180, 40, 180, 180]  # no selection is made again for the mean


def test_pseudo_likelihood_of_as_many_rows_without_the_full_alignment(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(msa, "SLOW_ROWS", 32)
    quick = msa_cases(data, quick=True, only=None, rows=[32])[-1]
    assert (quick.settings["dca"], quick.settings["draws"]) == ("pseudo-likelihood", "1")
    results = short(data, "none", "true", "wrong", only="[ot][nw]*")
    told = {c.method for c in results.cells if "dca=pseudo-likelihood" in c.case}
    assert told == {"true", "wrong"}
    right, wrong = (
        figures(results, m, "P@L/5", dca="pseudo-likelihood", range="24") for m in ("true", "wrong")
    )
    assert right == [1]
    assert wrong[0] < 0.6


# -- data ----------------------------------------------------------------------------------------


def test_what_cannot_be_read_is_named_and_left_out(data: Path) -> None:
    results = short(data, "random")
    notes = "\n".join(results.notes)
    assert "made/missing is left out: " in notes
    assert "made/broken is left out: " in notes
    assert "32 rows are above 70% of 1 families, left out: made/small" in notes
    assert {c.settings["families"] for c in results.cases if c.settings["rows"] == "32"} == {"2"}


def test_families_that_cannot_be_judged_are_left_out(data: Path, tmp_path: Path) -> None:
    entries = json.loads((data / "alignments/manifest.json").read_text())[:2]
    for entry in entries:
        entry |= {key: f"{data}/alignments/{entry[key]}" for key in ("msa", "structure")}
    text = Path(entries[1]["structure"].removesuffix(" chain A")).read_text()
    straight = [
        f"{line[:30]}{3.8 * int(line[22:26]):8.3f}{0.0:8.3f}{line[46:]}"
        for line in text.splitlines()
        if line.startswith("ATOM")
    ]
    (tmp_path / "helix.pdb").write_text("\n".join(straight))
    entries[1]["structure"] = f"{tmp_path}/helix.pdb"
    (tmp_path / "manifest.json").write_text(json.dumps(entries))
    notes: list[str] = []
    case, *_ = msa_cases(tmp_path, quick=False, only=None, rows=[16], note=notes.append)
    assert [s.name for s in case.samples(0)] == ["made/one@16"]
    assert notes == ["made/two is left out: its structure has no contacts with |i − j| ≥ 24"]
    with pytest.raises(HushError, match="has contacts, and enough rows, to judge 2000"):
        msa_cases(tmp_path, quick=False, only=None, rows=[2000])
    with pytest.raises(HushError, match="no manifest"):
        msa_cases(tmp_path / "..", quick=False, only=None)


def test_quick_runs_take_few_families_and_numbers(data: Path, tmp_path: Path) -> None:
    entries = json.loads((data / "alignments/manifest.json").read_text())[:1]
    entries[0] |= {key: f"{data}/alignments/{entries[0][key]}" for key in ("msa", "structure")}
    many = [{**entries[0], "name": f"made/{k}"} for k in range(9)]
    (tmp_path / "manifest.json").write_text(json.dumps(many))
    cases = msa_cases(tmp_path, quick=True, only=None)
    assert [(c.settings["rows"], c.count, c.settings["draws"]) for c in cases] == [("64", 6, "2")]
    cases = msa_cases(tmp_path, quick=True, only=None, rows=[8, 16], families=2)
    assert [(c.settings["rows"], c.count) for c in cases] == [("8", 2), ("16", 2), ("8-16", 4)]


# -- end to end ----------------------------------------------------------------------------------


def test_a_run_from_data_to_tables_that_is_not_repeated(data: Path, tmp_path: Path) -> None:
    path = tmp_path / "msa.jsonl"
    rows = ("none", "random", "greedy", "farthest", "farthest:all", "hhfilter", "henikoff")
    results = short(data, *rows, "reweight", "true", json_path=path)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    keys = {(line["case"], line["method"], line["metric"]) for line in lines}
    expected = {
        (case.key(metric.variant), row, metric.name)
        for case in results.cases
        for metric in msa.MSA.metrics
        for row in (*rows, "reweight", "true")
        if case.metrics is None or metric.name in case.metrics
    }
    assert keys == expected
    assert len(lines) == len(keys)
    assert all(np.isfinite(line["value"]) for line in lines)
    console = Console(width=220, record=True)
    for table in results.tables():
        console.print(table)
    text = console.export_text()
    assert "rows=16-32  dca=mean-field  draws=2  range=24" in text
    assert "− farthest" in text
    seen.clear()

    def find(name: str, case: Any, seed: int) -> Any:
        raise AssertionError(f"{name} is made again")

    again = short(data, *rows, "reweight", "true", json_path=path, find=find)
    assert len(again.cells) == len(lines)
    assert not seen


def test_the_page_has_curves_tables_contacts_and_differences(data: Path, tmp_path: Path) -> None:
    path = tmp_path / "msa.jsonl"

    def find(name: str, case: Any, seed: int) -> Any:
        return find_method({"mid": "true", "greedy": "wrong"}.get(name, name), case, seed)

    results = short(data, only="[ot][nw]*", json_path=path, find=find)
    assert any(note.startswith("diffusion is left out") for note in results.notes)
    html = path.with_suffix(".html").read_text()
    for text in ("Contacts of made/", "32 rows kept", "Effective number", "predicted, right"):
        assert text in html, text
    assert html.count("<svg") == 1 + 4 + 4  # the verdict's, curves, maps of mid and three rivals
    found = json.loads(path.with_suffix(".differences.json").read_text())
    (one,) = (
        c
        for c in found
        if (c["method"], c["against"]) == ("mid", "greedy")
        and (c["rows"], c["dca"], c["range"]) == ("16-32", "mean-field", "24")
    )
    ours, theirs = (
        figures(results, m, "P@L", rows="16-32", range="24")[0] for m in ("mid", "greedy")
    )
    assert one["families"] == 2
    assert one["difference"]["value"] == pytest.approx(ours - theirs)
    assert one["relative"]["value"] == pytest.approx(ours / theirs - 1)
    assert f"{100 * (ours / theirs - 1):+.1f} % against greedy" in html
    against = {c["against"] for c in found if c["method"] == "mid"}
    assert against == {r for r in msa.MSA.methods if r not in ("mid", "diffusion")}


def test_models_are_trained_on_the_alignments_in_a_folder(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for k in range(2):
        write_family(tmp_path, f"{k}", 40, 0, 10 + k)
        (tmp_path / f"{k}/family.a3m").rename(tmp_path / f"{k}.a3m")
    results = short(
        data, "mid", "random", only="small", train_dir=tmp_path, budget=0.5, sizes={"rows": "16"}
    )
    cells = [c for c in results.cells if c.method == "mid"]
    assert cells
    assert all("budget=0.5s" in c.case for c in cells)
    monkeypatch.setattr("hush.models.shipped", lambda *_: None)
    with pytest.raises(HushError, match="nothing to train mid on"):
        short(data, "mid", only="small")
    with pytest.raises(HushError, match="no alignments"):
        short(data, "mid", train_dir=tmp_path / "0")
    with pytest.raises(HushError, match="would be both trained on and tested on"):
        short(data, "mid", train_dir=data)


def test_sizes_are_checked(data: Path) -> None:
    for name, text in (("rows", "1"), ("rows", "x"), ("families", "0"), ("draws", "-1")):
        with pytest.raises(HushError, match=f"{name}={text} is not valid"):
            short(data, "random", sizes={name: text})
    told = CliRunner().invoke(main, ["study", "--help"]).output
    assert "mid/msa" in told


def test_what_a_method_keeps_depends_on_its_settings_and_the_number(data: Path) -> None:
    apply = Remembered()
    case, other, *_ = msa_cases(data, quick=False, only="one", rows=[16, 32], draws=2)
    (sample,), (more,) = case.samples(0), other.samples(0)
    method = make("farthest", "alignment")
    first = apply(method, sample.noisy)
    assert apply(make("farthest", "alignment"), sample.noisy).draws[0] is first.draws[0]
    assert apply(method, more.noisy).draws[0].sum() == 32
    drawn = apply(make("random", "alignment"), sample.noisy).draws
    assert len(drawn) == 2
    assert not np.array_equal(*drawn)


# -- relative differences ------------------------------------------------------------------------


def test_a_tenth_more_everywhere_is_ten_per_cent_for_certain() -> None:
    b = {f"{k}@64": 0.1 + 0.01 * k for k in range(20)}
    found = Resampling().relative({k: 1.1 * v for k, v in b.items()}, b)
    assert found.value == pytest.approx(0.1)
    assert (found.low, found.high) == pytest.approx((0.1, 0.1))
    assert found.p < 0.001


def test_a_relative_difference_is_that_of_means_over_what_both_have() -> None:
    a, b = {"x@1": 3.0, "y@1": 0.0, "z@1": 9.0}, {"x@1": 1.0, "y@1": 1.0}
    by = Resampling(unit=msa.family_of)
    found = by.relative(a, b)
    assert found.value == pytest.approx(0.5)
    assert found.low == -1  # y alone
    assert found.high == 2  # x alone
    assert np.isnan(by.relative(a, {"x@1": 0.0}).value)
    assert np.isnan(by.relative(a, {}).value)


def test_alignments_to_train_on_come_from_any_format(tmp_path: Path) -> None:
    """Those of arrays, too, which only their keys tell from pictures."""
    rows = np.random.default_rng(0).integers(4, 24, (20, 12)).astype(np.uint8)
    np.savez(tmp_path / "a.npz", tokens=rows)
    text = "".join(f">r{i}\n{BYTES[row].tobytes().decode()}\n" for i, row in enumerate(rows))
    (tmp_path / "b.a3m").write_text(text)
    found = list(lessons(tmp_path))
    assert [one.name for one in found] == ["a.npz", "b.a3m"]
    for one in found:
        np.testing.assert_array_equal(one.noisy.data, rows)

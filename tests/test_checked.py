"""What people see of two halves: the words, the page, and the summary of a file."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

import hush
from hush.api import write_report
from hush.cli import main
from hush.kinds.image.page import section
from hush.kinds.image.pictures import outline
from hush.noise.processes import Gaussian
from hush.record import Record
from hush.report import checked
from hush.results import Check, Denoised, Estimate, Item, Judgement

NOISE = 0.01


def of(kept: str = "", **errors: float) -> Check:
    """A check with mean squared errors in units of the noise."""
    doubts = dict.fromkeys(errors, 1e-6)
    method = next(iter(errors))
    scaled = {name: NOISE * error for name, error in errors.items()}
    return Check(NOISE, scaled, doubts, kept or method, 0.5, 0.01)


GOOD = of(mid=0.1, wiener=0.2, none=1.0)
KEPT = of("wiener", mid=0.2, wiener=0.1, none=1.0)
LEFT = of(mid=0.2, wiener=0.1, none=1.0)
FUR = replace(GOOD, unshared=0.34)
EVEN = of(mid=0.1, wiener=0.101, none=1.0)


@pytest.mark.parametrize(
    ("seen", "words"),
    [
        (GOOD, "3.0 dB nearer to the signal than a Wiener filter, 10.0 dB than the input"),
        (KEPT, "3.0 dB nearer to the signal than mid, 10.0 dB than the input"),
        (LEFT, "3.0 dB farther from the signal than a Wiener filter, "
         "7.0 dB nearer to the signal than the input"),
        (EVEN, "as near to the signal as a Wiener filter, "
         "10.0 dB nearer to the signal than the input"),
        (replace(GOOD, doubts={"mid": 0.0, "wiener": math.inf}), "too few values to compare"),
        (of(mid=0.2, wiener=0.3, none=1.0, bm3d=0.25),
         "1.0 dB nearer to the signal than BM3D, 1.8 dB than a Wiener filter, "
         "7.0 dB than the input"),
        (of(mid=-0.1, none=2.0), "more than 30 dB nearer to the signal than the input"),
    ],
)  # fmt: skip
def test_the_comparison_is_about_what_is_handed_back(seen: Check, words: str) -> None:
    assert checked.comparison(seen) == words


def test_a_difference_that_may_be_chance_is_called_so() -> None:
    doubtful = replace(LEFT, doubts=dict.fromkeys(LEFT.errors, NOISE))
    assert doubtful.best == "mid"
    assert "than a Wiener filter (which may be chance), 7.0 dB" in checked.comparison(doubtful)


def test_detail_that_is_not_there_is_not_praised() -> None:
    assert checked.detail(GOOD) == "99 % of the fine detail is in both halves of the data"
    assert checked.detail(replace(GOOD, visible=0.0)) == "too little fine detail to compare"
    assert checked.detail(replace(GOOD, unshared=0.002)).startswith("more than 99 %")


def test_the_headline_is_the_worst_finding() -> None:
    assert checked.headline(GOOD)[0] == "3.0 dB nearer"
    assert checked.headline(LEFT)[0] == "3.0 dB farther"
    assert checked.headline(EVEN)[0] == "As near"
    assert checked.headline(FUR)[0] == "Some detail may be invented"
    assert "only 66 %" in checked.headline(FUR)[1]
    for seen in (GOOD, LEFT, EVEN):
        assert checked.headline(seen)[1].startswith(("to the", "from the"))


def test_the_index_says_it_in_few_words() -> None:
    said = [checked.brief(seen) for seen in (None, GOOD, KEPT, LEFT, FUR)]
    assert said == ["", "no invention", "wiener kept", "wiener is nearer", "invented detail"]


def test_the_method_is_the_one_whose_result_is_handed_back() -> None:
    def items(*seen: Check | None) -> list[Item]:
        return [of_item(check=each) for each in seen]

    assert checked.methods("mid", items(None)) == "mid"
    assert checked.methods("mid", items(GOOD, LEFT)) == "mid"
    assert checked.methods("mid", items(KEPT)) == "wiener, kept instead of mid"
    assert checked.methods("mid", items(GOOD, KEPT, KEPT)) == "mid, but wiener for 2 of 3"


def of_item(**changes: Any) -> Item:
    stats = {
        "n": 9, "mean": 0.0, "rms": 0.1, "expected_rms": 0.1, "ratio": 1.0, "clipped": 0.0,
        "autocorrelation": {"y": [0.0], "x": [0.0]}, "band": 0.02, "levels": [],
    }  # fmt: skip
    judged = Judgement(stats, (), "It looks like noise.")
    return Item(0, None, Estimate(Gaussian(0.1), 0.1), Gaussian(0.1), judged, **changes)


def result(seen: Check | None, shape: tuple[int, ...] = (40, 60)) -> Denoised:
    x = np.linspace(0, 1, int(np.prod(shape)), dtype=np.float32).reshape(shape)
    noisy = Record(x, "YX", source=Path("in/cells.tif"))
    return Denoised(noisy, noisy, [of_item(check=seen)], "mid", "mid-gray", 1)


def mapped(seen: Check, shape: tuple[int, int] = (40, 60)) -> Check:
    places = np.zeros(shape, bool)
    places[10:20, 30:50] = True
    deviation = np.full((1, *shape), 0.05, np.float32)
    return replace(seen, invented=places, deviation=deviation)


def test_the_outline_is_around_the_places() -> None:
    places = np.zeros((40, 60), bool)
    places[0:20, 30:50] = True
    drawn = outline(places, 1)
    assert (drawn.width, drawn.height) == (60, 40)
    corners = [p.split() for p in drawn.path[1:-1].split("L")]
    x, y = np.array(corners, float).T
    assert (x.min(), x.max()) == pytest.approx((30, 50), abs=0.6)
    assert (y.min(), y.max()) == pytest.approx((0, 20), abs=0.6)
    half = outline(places, 2)
    assert (half.width, half.height) == (30, 20)


def test_the_page_draws_what_may_be_invented_and_the_error(tmp_path: Path) -> None:
    path = tmp_path / "r.html"
    write_report([result(mapped(FUR))], path)
    html = path.read_text(encoding="utf-8")
    assert html.count('class="layer doubts"') == 1
    assert "two halves of the data do not agree" in html
    assert "Standard deviation of the error" in html
    assert "0.05</b>" in html
    assert "Some detail may be invented" in html
    write_report([result(replace(mapped(GOOD), invented=np.zeros((40, 60), bool)))], path)
    html = path.read_text(encoding="utf-8")
    assert 'class="layer doubts"' not in html
    assert "Standard deviation of the error" in html


def test_each_view_has_its_part_of_the_maps() -> None:
    shape = (400, 600)
    seen = mapped(FUR, shape)
    whole, detail = section(result(seen, shape), budget=40_000).views
    assert whole.spread is not None
    assert detail.spread is not None
    assert whole.spread.picture.width == whole.before.width < 600
    assert detail.spread.picture.width == detail.before.width
    assert whole.invented is not None
    assert whole.invented.width == whole.before.width
    places = np.zeros(shape, bool)
    places[detail.rows, detail.columns] = True
    elsewhere = replace(seen, invented=~places)
    whole, detail = section(result(elsewhere, shape), budget=40_000).views
    assert whole.invented is not None
    assert detail.invented is None


def test_the_green_box_says_only_what_was_checked() -> None:
    unchecked, good = section(result(None)), section(result(GOOD))
    assert unchecked.fine == "What was removed looks like noise"
    assert not any("halves" in card.label for card in unchecked.cards)
    assert good.fine == "What was removed looks like noise, and no invented detail was found"
    assert any("halves" in card.label for card in good.cards)
    smooth = section(result(replace(GOOD, visible=0.0)))  # nothing to look for invention in
    assert smooth.fine == unchecked.fine
    assert "checked" not in unchecked.row
    assert good.row["checked"] == "no invention"


def test_the_samples_of_a_method_are_not_called_the_error() -> None:
    made = result(mapped(GOOD))
    made.spread = Record(np.full((40, 60), 0.02, np.float32), "YX")
    (view,) = section(made).views
    assert view.spread is not None
    assert (view.spread.tag, view.spread.most) == ("Uncertainty", pytest.approx(0.02))
    made.drawn = False
    (view,) = section(made).views
    assert view.spread is not None
    assert (view.spread.tag, view.spread.most) == ("Error", pytest.approx(0.05))


def test_results_say_what_was_checked(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:64, :64] / 64
    noisy = 0.5 + 0.3 * np.sin(9 * x * y) + 0.05 * rng.standard_normal(x.shape)
    found = hush.run(noisy.astype(np.float32), method="nlm", noise="gaussian:0.05")
    assert "On two halves of the data the result is" in found.noisiest.judgement.verdict
    half = hush.run(noisy.astype(np.float32), method="nlm", noise="gaussian:0.05", strength=0.5)
    assert half.noisiest.check is None
    assert half.noisiest.judgement.verdict.endswith("Whether detail was invented was not checked.")

    path = tmp_path / "a.npy"
    np.save(path, noisy.astype(np.float32))
    ran = CliRunner().invoke(main, ["denoise", str(path), "--method", "nlm"])
    assert ran.exit_code == 0, ran.output
    assert "  checked" in ran.output

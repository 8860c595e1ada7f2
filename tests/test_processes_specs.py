"""Specs: what is printed can be pasted, for every family, and bad input gets one sentence."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hush.errors import HushError
from hush.noise.correlated import SpectrumUnit
from hush.noise.processes import (
    FAMILIES,
    Camera,
    Correlated,
    Gamma,
    Gaussian,
    Impulse,
    LogSpeckle,
    NonCentralChi,
    OneOf,
    Poisson,
    PoissonGaussian,
    Process,
    Rician,
    Stripes,
    parse,
)
from hush.noise.spectrum import AnySpectrum, Octaves
from hush.noise.units import Number, Word, digits

FULL_RANGES = [1.0, 255.0, 65535.0, 2147483647.0]


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(
    ("spec", "full_range", "expected"),
    [
        ("gaussian:25/255", 1.0, Gaussian(25 / 255)),
        ("gaussian:25/255", 65535.0, Gaussian(25 / 255)),
        ("gaussian:25", 255.0, Gaussian(25 / 255)),
        ("gaussian:0.1", 1.0, Gaussian(0.1)),
        ("gaussian:.1", 1.0, Gaussian(0.1)),
        ("gaussian:1e-2/1", 255.0, Gaussian(0.01)),
        (" gaussian: 5-50/255 ", 1.0, Gaussian((5 / 255, 50 / 255))),
        ("gaussian:5-50", 255.0, Gaussian((5 / 255, 50 / 255))),
        ("poisson:30", 65535.0, Poisson(30.0)),
        ("poisson:5-50", 255.0, Poisson((5.0, 50.0))),
        ("poisson-gaussian:0.01/1,2/255", 65535.0, PoissonGaussian(0.01, 2 / 255)),
        ("poisson-gaussian:51,25.5", 255.0, PoissonGaussian(0.2, 0.1)),
        ("poisson-gaussian:0.1,0,-0.05", 1.0, PoissonGaussian(0.1, 0.0, -0.05)),
        ("gamma:100", 255.0, Gamma(100.0)),
        ("log-speckle:25", 255.0, LogSpeckle(25 / 255)),
        ("log-speckle:5-40/255,1-4", 1.0, LogSpeckle((5 / 255, 40 / 255), (1.0, 4.0))),
        ("rician:5", 255.0, Rician(5 / 255)),
        ("noncentral-chi:5/255, 8", 1.0, NonCentralChi(5 / 255, 8)),
        ("impulse:0.1", 255.0, Impulse(0.1)),
        ("impulse:0.1,random", 255.0, Impulse(0.1, "random")),
        ("stripes:5/255,columns", 1.0, Stripes(5 / 255, "columns")),
        ("correlated:6/255,1.2", 1.0, Correlated(Gaussian(6 / 255), 1.2)),
        ("correlated:gaussian:6,1.2", 255.0, Correlated(Gaussian(6 / 255), 1.2)),
        ("correlated:poisson:30,0.5-1.2", 255.0, Correlated(Poisson(30.0), (0.5, 1.2))),
        (
            "correlated:poisson-gaussian:0.01/1,2/255,1.2",
            255.0,
            Correlated(PoissonGaussian(0.01, 2 / 255), 1.2),
        ),
        ("correlated:6,0.1:2", 255.0, Correlated(Gaussian(6 / 255), Octaves((0.1, 2.0)))),
        ("correlated:6,1:2/3:4", 255.0, Correlated(Gaussian(6 / 255), Octaves((1.0, 2), (3, 4)))),
        ("camera:0.002,0.003", 255.0, Camera(0.002, 0.003)),
        ("camera:0.002,0.003-0.01,0-1,80", 255.0, Camera(0.002, (0.003, 0.01), (0.0, 1.0), 80.0)),
        ("gaussian:1|poisson:5-60", 1.0, OneOf((Gaussian(1.0), Poisson((5.0, 60.0))))),
    ],
)
def test_a_spec_is_read_as_written(spec: str, full_range: float, expected: Process) -> None:
    assert parse(spec, full_range) == expected


def values(family: type[Process], name: str, unit: object) -> st.SearchStrategy:
    """What a field can hold, from the unit it states."""
    if isinstance(unit, Word):
        return st.sampled_from(unit.choices)
    if isinstance(unit, SpectrumUnit):
        width = st.floats(1e-5, 100)
        density = st.lists(st.floats(0.01, 100), min_size=2, max_size=5).map(tuple)
        colour = st.one_of(st.just(()), density)
        return st.one_of(
            width,
            st.tuples(width, width).map(sorted).map(tuple),
            st.builds(Octaves, density, colour),
            st.just(AnySpectrum()),
        )
    if not isinstance(unit, Number):
        return st.one_of(*(processes(f) for f in (Gaussian, Poisson, PoissonGaussian, Gamma)))
    if unit.whole:
        return st.integers(int(unit.lowest), 64)
    low = max(unit.lowest, -0.5) or 1e-5
    one = st.floats(low, min(unit.highest, 1.0 if unit.scaled else 1e5))
    return st.one_of(one, st.tuples(one, one).map(sorted).map(tuple)) if unit.ranges else one


def processes(family: type[Process]) -> st.SearchStrategy[Process]:
    return st.builds(family, *(values(family, n, u) for n, u in family._units().items()))


any_process = st.one_of(*(processes(f) for f in FAMILIES.values()))


def assert_same(p: object, q: object) -> None:
    """Equal, numbers to 1e-4."""
    assert type(p) is type(q)
    if dataclasses.is_dataclass(p):
        for f in dataclasses.fields(p):
            assert_same(getattr(p, f.name), getattr(q, f.name))
    elif isinstance(p, tuple) and p and isinstance(p[0], Process):
        for one, other in zip(p, q, strict=True):
            assert_same(one, other)
    else:
        assert q == (p if isinstance(p, str) else pytest.approx(p, rel=1e-4, abs=1e-9))


@given(st.one_of(any_process, st.tuples(any_process, any_process).map(OneOf)), st.data())
def test_specs_round_trip(process: Process, data: st.DataObject) -> None:
    """To five digits as numbers, and exactly as text: what is printed can be pasted."""
    full_range = data.draw(st.sampled_from(FULL_RANGES))
    text = process.spec(full_range)
    again = parse(text, full_range)
    assert again.spec(full_range) == text
    # A level with its scale means the same on data of any other type.
    if full_range != 1:
        assert parse(text, 4095.0) == again
    assert_same(again, process)


def test_levels_of_32_bit_data_are_written_on_a_scale_of_1() -> None:
    assert Gaussian(0.0502).spec(2147483647.0) == "gaussian:0.0502/1"
    assert Gaussian(0.1).spec(65535.0) == "gaussian:6553.5/65535"


@pytest.mark.parametrize("looks", [1.0, 1.00001])
def test_what_reads_like_the_default_is_left_out(looks: float) -> None:
    assert LogSpeckle(0.1, looks).spec() == "log-speckle:0.1"
    assert LogSpeckle(0.1, 1.0001).spec() == "log-speckle:0.1,1.0001"


def test_every_family_has_a_name_for_people() -> None:
    assert len({family.label for family in FAMILIES.values()}) == len(FAMILIES)


@pytest.mark.parametrize("full_range", FULL_RANGES)
@pytest.mark.parametrize("example", [e for f in FAMILIES.values() for e in f.examples])
def test_examples_round_trip(example: str, full_range: float) -> None:
    process = parse(example)
    assert process.family == example.partition(":")[0]
    assert_same(parse(process.spec(full_range), full_range), process)
    if "/255" in example and "/1," not in example:
        assert parse(process.spec(255.0)) == process


@pytest.mark.parametrize("family", FAMILIES.values())
def test_every_family_names_itself_and_gives_an_example(family: type[Process]) -> None:
    assert FAMILIES[family.family] is family
    assert isinstance(parse(family.examples[0]), family)
    assert family.usage().startswith(f"{family.family}:")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (2147483647.0, "2147483647"),
        (25 / 255 * 255, "25"),
        (123456.7, "123460"),
        (0.123456, "0.12346"),
        (1e-7, "1e-07"),
        (0.0, "0"),
        (-0.5, "-0.5"),
    ],
)
def test_numbers_keep_five_digits_and_whole_ones_all(value: float, text: str) -> None:
    assert digits(value) == text
    assert float(text) == pytest.approx(value, rel=1e-4)


def test_levels_of_32_bit_data_survive() -> None:
    least = Gaussian(1 / 2147483647)
    assert parse(least.spec(2147483647.0)).sigma == pytest.approx(least.sigma, rel=1e-4)
    assert Gaussian(1.0).spec(2147483647.0) == "gaussian:1/1"


@pytest.mark.parametrize(
    "spec",
    [
        "",
        "gaussian",
        "gaussian:",
        "gaussian:x",
        "gaussian:nan",
        "gaussian:1,2",
        "gaussian:-1",
        "gaussian:50-5",
        "gaussian:1-2-3",
        "gaussian:1/0",
        "gaussian:1/-255",
        "gaussian:1e999",
        "gaussian:1|",
        "uniform:3",
        "poisson:0",
        "poisson:-5",
        "poisson:30/255",
        "poisson-gaussian:0.1",
        "poisson-gaussian:-0.1,0.1",
        "poisson-gaussian:0.1,-0.1",
        "poisson-gaussian:0.1,0.1,0-0.1",
        "poisson-gaussian:0.1,0.1,1e999",
        "gamma:0",
        "gamma:100/255",
        "speckle:-0.1",
        "log-speckle:-0.1",
        "log-speckle:0.1,0",
        "log-speckle:0.1,2/255",
        "correlated:6/255",
        "correlated:6/255,0",
        "correlated:6/255,1e6",
        "correlated:poisson:30",
        "correlated:uniform:30,1",
        "correlated:stripes:5,1.2",
        "correlated:correlated:6,1.2,1.2",
        "stripes:5/255,diagonal",
        "rician:-1",
        "noncentral-chi:5",
        "noncentral-chi:5,0",
        "noncentral-chi:5,1.5",
        "noncentral-chi:5,1-8",
        "impulse:1.5",
        "impulse:0.1,pepper",
        "quantisation:-1",
        "jpeg:0",
        "jpeg:101",
        "camera:0.01",
        "camera:0.01/1,0.01",
        "camera:-1,0.01",
        "camera:0.01,0.01,-1",
        "camera:0.01,0.01,0,0",
        "camera:0.01,0.01,0,80,1",
    ],
)
def test_a_bad_spec_gets_one_sentence(spec: str) -> None:
    with pytest.raises(HushError) as raised:
        parse(spec, 255.0)
    sentence = str(raised.value)
    assert "\n" not in sentence
    assert len(sentence) > 20


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("poisson:30/255", "takes no scale"),
        ("poisson-gaussian:0.1", r"poisson-gaussian:GAIN,SIGMA\[,OFFSET\]"),
        ("noncentral-chi:5,1.5", "the number of coils must be a whole number, not 1.5"),
        ("impulse:1.5", "must be at most 1, not 1.5"),
        ("stripes:5/255,diagonal", "not one of rows, columns"),
        ("uniform:3", "gaussian, poisson, poisson-gaussian, gamma"),
    ],
)
def test_the_sentence_says_what_would_work(spec: str, said: str) -> None:
    with pytest.raises(HushError, match=said):
        parse(spec)


# -- ranges and alternatives ----------------------------------------------------------------


def test_drawing_fixes_every_range_within_its_bounds() -> None:
    process = PoissonGaussian((0.01, 0.1), (0.0, 0.2), offset=0.05)
    drawn = [process.draw(g) for g in [rng()] for _ in range(500)]
    for name, low, high in (("gain", 0.01, 0.1), ("sigma", 0.0, 0.2)):
        levels = torch.tensor([getattr(p, name) for p in drawn])
        assert low <= float(levels.min()) < float(levels.max()) <= high
        assert float(levels.mean()) == pytest.approx((low + high) / 2, rel=0.06)
    assert {p.offset for p in drawn} == {0.05}
    assert process.draw(rng(3)) == process.draw(rng(3))
    assert Gaussian(0.1).draw(rng()) == Gaussian(0.1)


def test_drawing_reaches_noise_within_noise() -> None:
    drawn = parse("correlated:poisson:5-50,0.5-1.2").draw(rng())
    assert 5 < drawn.noise.peak < 50
    assert 0.5 < drawn.spectrum < 1.2


def test_alternatives_are_drawn_with_equal_chance() -> None:
    ladder = parse("gaussian:0-55/255|gaussian:0-55/255|poisson:5-60")
    generator = rng()
    drawn = [ladder.draw(generator).family for _ in range(900)]
    assert drawn.count("poisson") == pytest.approx(300, abs=60)
    assert set(drawn) == {"gaussian", "poisson"}


def test_a_range_is_no_level() -> None:
    for spec in (
        "gaussian:0.1-0.2",
        "poisson:5-50",
        "correlated:0.1-0.2,1",
        "gaussian:1|poisson:2",
    ):
        with pytest.raises(HushError, match="here, not"):
            parse(spec).variance(0.5)


def test_a_ladder_that_ends_says_where() -> None:
    for spec, ratio in (("impulse:0.4", 3.0), ("jpeg:5", 40.0), ("camera:0.01,0.01,0,5", 40.0)):
        process = parse(spec)
        with pytest.raises(HushError, match="at most"):
            process.scaled(ratio)
        assert math.isfinite(process.scaled(2.0).variance(0.5))

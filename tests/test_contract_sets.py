"""One contract for every method that takes outliers out of sets, whichever kind of set it is."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner

import hush
from hush.cli import main
from hush.denoiser import Denoiser
from hush.errors import HushError
from hush.kinds.points.cut import FEWEST
from hush.methods import METHODS, VARIANTS, get
from hush.record import Record
from hush.results import Restoration
from hush.schedule import Schedule

#: `conftest.stopped_and_resumed`
Both = Callable[..., tuple[dict[str, Any], dict[str, Any]]]
KINDS = ("points", "correspondences", "segments")
#: every method that leaves elements out, for every kind of sets
CASES = [
    (m, k)
    for m in METHODS
    for k in KINDS
    if get(m, k).selects and k in get(m, k).kinds and (f"{m}/{k}" in VARIANTS or k in get(m).kinds)
]
TRAINED = [case for case in CASES if get(*case).learns_from != "nothing"]
FAR = 5_000_000

# On one thread: arrays this small gain nothing from two.
pytestmark = pytest.mark.usefixtures("one_thread_throughout")


@pytest.fixture(params=CASES, ids="-".join, scope="module")
def method(request: pytest.FixtureRequest, random_learned: Callable[..., Denoiser]) -> Denoiser:
    """Every method, ready to use: networks with random weights, which is the harder case."""
    name, kind = request.param
    if get(name, kind).learns_from != "nothing":
        return random_learned(name, kind=kind)
    method = get(name, kind).for_kind(kind)
    return method.replace(trees=10) if name == "isolation" else method  # for less time


def sample(method: Denoiser, count: int = 96, seed: int = 0, step: float = 1 / 64) -> np.ndarray:
    """A structure in the first half of the rows and outliers in the second, multiples of `step`.

    With a small step, no two distances are the same.
    """
    rng = np.random.default_rng(seed)
    half = count // 2
    out = rng.uniform(50, 500, (count, 4))
    along = rng.uniform(50, 500, half)
    if method.kind.name == "points":
        out[:half, 0], out[:half, 1] = along, 0.5 * along + 40 + rng.normal(0, 3, half)
        out = out[:, :2]
    elif method.kind.name == "correspondences":  # moved by one shift
        out[:half, 2:] = out[:half, :2] + [30, -12] + rng.normal(0, 1, (half, 2))
    else:  # two directions
        out[:half, 1] = 100 + 20 * rng.integers(0, 9, half)
        out[:half, 2] = out[:half, 0] + rng.uniform(60, 90, half)
        out[:half, 3] = out[:half, 1] + np.where(np.arange(half) % 2, 2, 40)
    return np.rint(out / step) * step


def told(method: Denoiser, x: np.ndarray, seed: int = 1) -> dict[str, Any]:
    """What is known of correspondences: a ratio for each row, by its coordinates alone."""
    if method.kind.name != "correspondences":
        return {}
    weights = np.random.default_rng(seed).random(4)
    place = np.where(np.isfinite(x), x, 0)[:, :4] @ weights
    return {"ratio": place / 7 % 1}


def judged(
    method: Denoiser,
    x: np.ndarray,
    noise: str | None = None,
    context: dict[str, Any] | None = None,
) -> Restoration:
    """What a method makes of an array."""
    from hush.noise.processes import parse

    context = told(method, x) if context is None else context
    kind = method.kind
    batch = kind.batch(Record(x, kind.axes(x.shape), kind=kind.name, context=context))
    return method.denoise_item(batch, 0, parse(noise, 1.0) if noise else None)[1]


def mask(how: Restoration, count: int) -> np.ndarray:
    """What was kept, which is all if nothing is said."""
    return np.ones(count, bool) if how.kept is None else how.kept


# -- what comes back ---------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["uint16", "int64", ">f4"])
def test_rows_come_back_bit_for_bit_and_in_order(method: Denoiser, dtype: str) -> None:
    x = sample(method, step=1.0).astype(dtype)
    further = np.arange(len(x))[:, None].astype(dtype)  # a column of its own in every row
    wide = np.concatenate([x, further], 1)
    context = {**told(method, x), "coordinates": tuple(range(x.shape[1]))}
    for noise in (None, "outliers:0.5"):
        how = judged(method, wide, noise, context)
        y = method.denoise(wide, noise, context=context)
        assert y.dtype == wide.dtype
        np.testing.assert_array_equal(y, wide[mask(how, len(x))])
        assert np.array_equal(y[:, -1], np.sort(y[:, -1]))


def test_the_mask_has_an_entry_for_every_row(method: Denoiser) -> None:
    x = sample(method)
    x[[0, 40]] = np.nan
    x[5, 1], x[95, 0] = np.inf, -np.inf
    bad = [0, 5, 40, 95]
    good = np.delete(np.arange(len(x)), bad)
    how = judged(method, x)
    assert how.kept is not None
    assert how.probability is not None
    assert (how.kept.shape, how.kept.dtype) == ((len(x),), bool)
    assert how.probability.shape == (len(x),)
    assert how.probability.dtype.kind == "f"
    assert not how.kept[bad].any()
    assert np.isnan(how.probability[bad]).all()
    p = how.probability[good]
    assert ((p >= 0) & (p <= 1)).all()
    alone = judged(method, x[good], context={k: v[good] for k, v in told(method, x).items()})
    np.testing.assert_array_equal(alone.kept, how.kept[good])
    np.testing.assert_allclose(alone.probability, p, atol=1e-6)


def test_the_file_has_mask_and_probability(method: Denoiser, tmp_path: Path) -> None:
    x = sample(method)
    result = hush.run(x, kind=method.kind.name, model=method, context=told(method, x))
    result.save(tmp_path / "out.npz")
    with np.load(tmp_path / "out.npz") as file:
        np.testing.assert_array_equal(x[file["mask"]], result.data)
        assert file["probability"].shape == (len(x),)
    json.dumps(dict(result.residual))


def test_the_input_is_read_only(method: Denoiser) -> None:
    x = np.asfortranarray(sample(method))
    kept = x.copy()
    x.flags.writeable = False
    y = method.denoise(x, context=told(method, x))
    np.testing.assert_array_equal(x, kept)
    assert not np.shares_memory(x, y)
    assert y.flags.writeable
    np.testing.assert_array_equal(method.denoise(kept, context=told(method, x)), y)


def test_strength_zero_gives_the_input_back(method: Denoiser) -> None:
    x = sample(method)
    np.testing.assert_array_equal(method.denoise(x, strength=0, context=told(method, x)), x)


def test_a_share_of_zero_gives_the_input_back(method: Denoiser) -> None:
    x = sample(method)
    np.testing.assert_array_equal(method.denoise(x, "outliers:0", context=told(method, x)), x)


def test_as_many_are_removed_as_was_said(method: Denoiser) -> None:
    x = sample(method)
    for share in (0.25, 0.5):
        how = judged(method, x, f"outliers:{share}")
        assert mask(how, len(x)).sum() == round((1 - share) * len(x))
        assert getattr(how.process, "share", None) == share


def test_of_nothing_but_outliers_nothing_is_left(method: Denoiser) -> None:
    x = sample(method).astype(np.float32)
    y = method.denoise(x, "outliers:1", context=told(method, x))
    assert (y.shape, y.dtype) == ((0, x.shape[1]), x.dtype)
    result = hush.run(
        x, kind=method.kind.name, model=method, noise="outliers:1", context=told(method, x)
    )
    assert result.data.shape == (0, x.shape[1])
    assert any("empty" in said for said in result.warnings)
    assert "srcdoc" in result._repr_html_()


# -- what does not matter ------------------------------------------------------------------------


def test_the_order_of_the_rows_does_not_matter(method: Denoiser) -> None:
    x = sample(method)
    order = np.random.default_rng(3).permutation(len(x))
    for noise in (None, "outliers:0.3"):
        before = judged(method, x, noise)
        after = judged(method, x[order], noise)
        assert before.probability is not None
        np.testing.assert_array_equal(mask(after, len(x)), mask(before, len(x))[order])
        np.testing.assert_allclose(after.probability, before.probability[order], atol=1e-4)


def test_the_order_of_pixels_does_not_matter(method: Denoiser) -> None:
    """Many distances in a grid are the same: which neighbours are the nearest is then a choice."""
    x = sample(method, step=8.0)
    order = np.random.default_rng(3).permutation(len(x))
    before, after = judged(method, x), judged(method, x[order])
    assert before.probability is not None
    np.testing.assert_allclose(after.probability, before.probability[order], atol=1e-4)
    rows = [sorted(map(tuple, y[mask(h, len(x))])) for y, h in ((x, before), (x[order], after))]
    assert rows[0] == rows[1]


@pytest.mark.parametrize(("gain", "shift"), [(1, FAR), (0.001, 0), (4096, 0), (0.25, -FAR)])
def test_unit_and_place_do_not_matter(method: Denoiser, gain: float, shift: float) -> None:
    """Of UTM coordinates either."""
    x = sample(method)
    before, after = judged(method, x), judged(method, gain * x + shift, context=told(method, x))
    assert before.probability is not None
    np.testing.assert_allclose(after.probability, before.probability, atol=1e-3)
    np.testing.assert_array_equal(mask(after, len(x)), mask(before, len(x)))


def test_the_type_does_not_matter(method: Denoiser) -> None:
    x = sample(method, step=1.0)
    before = judged(method, x)
    for dtype in ("int16", "uint32", "float32"):
        after = judged(method, x.astype(dtype), context=told(method, x))
        np.testing.assert_allclose(after.probability, before.probability, atol=1e-6)
        np.testing.assert_array_equal(after.kept, before.kept)


def test_the_number_of_threads_does_not_matter(method: Denoiser) -> None:
    x = sample(method, 150)
    found = []
    for threads in (1, 2):
        before = torch.get_num_threads()
        torch.set_num_threads(threads)
        try:
            found.append([mask(judged(method, x, n), len(x)) for n in (None, "outliers:0.5")])
        finally:
            torch.set_num_threads(before)
    np.testing.assert_array_equal(found[0], found[1])


def test_the_same_call_gives_the_same_answer(method: Denoiser) -> None:
    x = sample(method)
    first = judged(method, x)
    np.random.seed(1)  # noqa: NPY002 (no part in it)
    torch.manual_seed(5)
    again = judged(method, x)
    np.testing.assert_array_equal(again.kept, first.kept)
    np.testing.assert_array_equal(again.probability, first.probability)


# -- odd sets ------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 2])
def test_too_few_elements_come_back_whole(method: Denoiser, count: int) -> None:
    x = sample(method)[:count]
    how = judged(method, x)
    assert mask(how, count).all()
    assert how.probability is not None
    assert np.isnan(how.probability).all()
    result = hush.run(x, kind=method.kind.name, model=method, context=told(method, x))
    np.testing.assert_array_equal(result.data, x)
    assert any("too few to judge" in said for said in result.warnings)


def test_a_small_set_comes_back_whole(method: Denoiser) -> None:
    """One picked by hand; matches with a good ratio and a bad one too."""
    x = sample(method)[: FEWEST - 1]
    how = judged(method, x)
    assert mask(how, FEWEST - 1).all()
    assert how.probability is not None
    assert np.isnan(how.probability).all()


def test_elements_on_one_line_come_back_whole(method: Denoiser) -> None:
    step = np.ones(method.kind.least)  # type: ignore[attr-defined]
    for x in (np.arange(40)[:, None] * step, FAR + np.arange(40)[:, None] * step):
        how = judged(method, x.astype(np.int64))
        assert mask(how, 40).all()
        assert how.probability is not None
        assert np.isnan(how.probability).all()
        result = hush.run(x, kind=method.kind.name, model=method, context=told(method, x))
        assert any("on one line" in said for said in result.warnings)


def test_copies_of_one_element_come_back_whole(method: Denoiser) -> None:
    x = np.full((40, method.kind.least), 7.0)  # type: ignore[attr-defined]
    how = judged(method, x)
    assert mask(how, 40).all()
    assert how.probability is not None
    assert np.isnan(how.probability).all()


def test_a_few_places_only_do_no_harm(method: Denoiser) -> None:
    """Three places with a dozen elements each are too few to judge, which is said."""
    x = np.repeat(sample(method)[[0, 1, -1]], 12, axis=0)
    how = judged(method, x)
    assert mask(how, len(x)).all()
    assert how.said[0].startswith("Only 3 different")


def test_copies_have_one_fate(method: Denoiser) -> None:
    x = np.repeat(sample(method), 3, axis=0)
    how = judged(method, x)
    kept = mask(how, len(x)).reshape(-1, 3)
    assert (kept.all(1) | ~kept.any(1)).all()
    once = judged(method, x[::3], context={k: v[::3] for k, v in told(method, x).items()})
    np.testing.assert_array_equal(once.kept, kept[:, 0])
    assert how.probability is not None
    np.testing.assert_array_equal(once.probability, how.probability[::3])


def test_repeats_do_not_condemn_their_neighbours(method: Denoiser) -> None:
    """Eight copies of one row: the others keep their probabilities, and so does it."""
    x = sample(method, 200)
    copies = np.repeat(x[[3]], 8, axis=0)
    before, after = judged(method, x), judged(method, np.concatenate([x, copies]))
    assert before.probability is not None
    assert after.probability is not None
    np.testing.assert_allclose(after.probability[:200], before.probability, atol=1e-6)
    np.testing.assert_array_equal(mask(after, 208)[:200], mask(before, 200))
    assert np.ptp(after.probability[[3, *range(200, 208)]]) == 0


def test_of_a_set_of_missing_values_nothing_is_left(method: Denoiser) -> None:
    x = np.full((40, method.kind.least), np.nan, np.float32)  # type: ignore[attr-defined]
    y = method.denoise(x, context=told(method, x))
    assert (y.shape, y.dtype) == ((0, x.shape[1]), x.dtype)


@pytest.mark.parametrize("shape", [(2, 40), (3, 32)])
def test_stacks_get_a_sentence_or_fit(method: Denoiser, shape: tuple[int, int]) -> None:
    x = np.stack([sample(method, shape[1], seed) for seed in range(shape[0])])
    context = {}
    if method.name == "ratio":
        context = {"ratio": np.linspace(0, 1, shape[1])}
    try:
        y = method.denoise(x, context=context)
    except HushError as error:
        assert "give them one by one" in str(error)  # noqa: PT017 (either will do)
    else:
        assert (y.ndim, len(y), y.shape[2]) == (3, shape[0], x.shape[2])


@pytest.mark.parametrize(
    ("x", "sentence"),
    [
        (np.zeros((40, 4), bool), "boolean"),
        (np.zeros((40, 4), complex), "complex"),
        (np.zeros((0, 4)), "empty"),
        (np.zeros(8), "two dimensions"),
        (np.zeros((40, 1)), "at least"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_no_set_gets_a_sentence(method: Denoiser, x: np.ndarray, sentence: str) -> None:
    with pytest.raises(HushError, match=sentence):
        method.denoise(x)


# -- files, and the command line -----------------------------------------------------------------


def test_the_constructor_is_the_configuration(method: Denoiser) -> None:
    config = json.loads(json.dumps(method.config()))
    assert type(method)(**config).config() == method.config()


def test_saving_and_loading(method: Denoiser, tmp_path: Path) -> None:
    """A file gives the same method and answers, and saves to the same bytes again."""
    path, again = tmp_path / "a.safetensors", tmp_path / "b.safetensors"
    method.save(path)
    loaded = hush.load(path)
    assert type(loaded) is type(method)
    assert (loaded.config(), loaded.kind.name) == (method.config(), method.kind.name)
    loaded.save(again)
    assert again.read_bytes() == path.read_bytes()
    x = sample(method)
    before, after = judged(method, x), judged(loaded, x)
    np.testing.assert_allclose(after.probability, before.probability, atol=0.02)


def test_a_method_says_what_it_is(method: Denoiser) -> None:
    assert get(method.name, method.kind.name) is type(method)
    assert method.summary
    assert "\n" not in method.summary
    said = CliRunner().invoke(main, ["methods", "-v"]).stdout
    assert f"\n{method.name}\n" in f"\n{said}"
    with pytest.raises(HushError, match=rf"^{method.name} denoises .*, not images$"):
        type(method).for_kind("image")


def test_the_command_line(method: Denoiser, tmp_path: Path) -> None:
    x = sample(method)
    keys = {"points": "points", "correspondences": "matches", "segments": "segments"}
    file, out = tmp_path / "x.npz", tmp_path / "y.npz"
    np.savez(file, **{keys[method.kind.name]: x, **told(method, x)})
    options = ["--kind", method.kind.name, "--method", method.name]
    if method.learns_from != "nothing":
        method.save(tmp_path / "m.safetensors")
        options += ["--model", str(tmp_path / "m.safetensors")]
    done = CliRunner().invoke(main, ["denoise", str(file), *options, "-o", str(out), "--json"])
    assert done.exit_code == 0, done.stderr
    (row,) = (json.loads(line) for line in done.stdout.splitlines())
    assert (row["method"], row["error"]) == (method.name, None)
    with np.load(out) as result:
        np.testing.assert_array_equal(result[keys[method.kind.name]], x[result["mask"]])


# -- training ------------------------------------------------------------------------------------

every_trained = pytest.mark.parametrize(
    ("name", "kind"), [pytest.param(*case, id="-".join(case)) for case in TRAINED]
)


def lessons(name: str, kind: str, count: int = 6) -> list[np.ndarray]:
    method = get(name, kind).for_kind(kind)
    return [sample(method, 48, seed) for seed in range(count)]


@pytest.mark.long
@every_trained
def test_a_training_stopped_goes_on_as_if_it_had_not(
    name: str,
    kind: str,
    tiny: Callable[..., dict[str, Any]],
    stopped_and_resumed: Both,
) -> None:
    schedule = Schedule(max_steps=5, batch=2, patch=32, validate_every=9999)

    def fitted(**options: Any) -> dict[str, torch.Tensor]:
        model: Any = get(name, kind).for_kind(kind, **tiny(name, kind))
        model.fit(lessons(name, kind), schedule=schedule, device="cpu", **options)
        return dict(model.weights())

    straight, resumed = stopped_and_resumed(fitted, 3)
    assert all(torch.isfinite(w).all() for w in straight.values())
    assert all(torch.equal(resumed[k], v) for k, v in straight.items())


@every_trained
def test_the_command_line_trains(
    name: str, kind: str, tiny: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    folder, model = tmp_path / "mine", tmp_path / "m.safetensors"
    folder.mkdir()
    for i, x in enumerate(lessons(name, kind, 3)):
        np.save(folder / f"{i}.npy", x)
    options = ["--kind", kind, "--method", name, "--max-steps", "2", "--set", "patch=32"]
    for key, value in tiny(name, kind).items():
        options += ["--set", f"{key}={str(value).strip('(),')}"]
    done = CliRunner().invoke(main, ["train", str(folder), "-o", str(model), *options])
    assert done.exit_code == 0, done.stderr
    loaded = hush.load(model)
    assert (type(loaded), loaded.kind.name) == (get(name, kind), kind)


@every_trained
def test_what_cannot_be_trained_gets_a_sentence(name: str, kind: str) -> None:
    method: Any = get(name, kind).for_kind(kind)
    schedule = Schedule(max_steps=1)
    with pytest.raises(HushError, match=f"with at least {FEWEST}"):
        method.fit([lessons(name, kind)[0][:9]], schedule=schedule, device="cpu")
    if "corpus" not in inspect.signature(method.fit).parameters:
        with pytest.raises(HushError, match="leave corpus out"):
            method.fit(lessons(name, kind), schedule=schedule, device="cpu", corpus=True)
    for call in (lambda: method.denoise(lessons(name, kind)[0]), method.weights):
        with pytest.raises(HushError, match="is not trained"):
            call()

"""One contract for every method: what a user may count on, whichever is chosen."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hush
from hush.bases.zero_shot import ZeroShot
from hush.denoiser import ANY, Denoiser
from hush.errors import HushError
from hush.methods import METHODS, get, kinds_of

# On one thread: arrays this small gain nothing from two.
pytestmark = pytest.mark.usefixtures("one_thread")

DTYPES = ["uint8", "uint16", "int16", "float32", "float64"]
#: shapes of arrays, by kind; the first one is the usual one
SHAPES = {
    "image": [(12, 16), (8, 8), (13, 9), (1, 20), (20, 1), (1, 1), (2, 9, 12), (9, 12, 3)],
    "signal": [(192,), (64,), (9,), (2,), (1,), (3, 40), (40, 3), (2, 3, 40)],
}
#: every method for every kind that it denoises
CASES = [(m, k) for m in METHODS for k in SHAPES if kinds_of(m) == ANY or k in kinds_of(m)]


@pytest.fixture(params=CASES, ids="-".join, scope="module")
def method(
    request: pytest.FixtureRequest,
    random_learned: Callable[..., Denoiser],
    tiny: Callable[..., dict[str, Any]],
) -> Denoiser:
    """Every method, ready to use: networks with random weights, which is the harder case."""
    name, kind = request.param
    if name == "bm3d":
        pytest.importorskip("bm3d")
    cls = get(name, kind)
    if cls.learns_from != "nothing":
        return random_learned(name, kind=kind)
    fields = {f.name for f in dataclasses.fields(cls)}
    if issubclass(cls, ZeroShot):
        return cls.for_kind(kind, **tiny(name, kind), steps=2)
    return cls.for_kind(kind, **{"rate": 1000.0} if "rate" in fields else {})


def sample(method: Denoiser, dtype: str, shape: tuple[int, ...] | None = None) -> np.ndarray:
    """A ramp and noise over the lower two thirds of the dtype's range."""
    shape = shape or SHAPES[method.kind.name][0]
    rng = np.random.default_rng(0)
    x = np.linspace(0.1, 0.6, int(np.prod(shape))).reshape(shape) + 0.02 * rng.normal(size=shape)
    scale = np.iinfo(dtype).max if np.dtype(dtype).kind in "iu" else 1
    return (x.clip(0, 1) * scale).astype(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
def test_dtype_and_shape_are_kept(method: Denoiser, dtype: str) -> None:
    x = sample(method, dtype)
    y = method.denoise(x)
    assert (y.dtype, y.shape) == (x.dtype, x.shape)


@pytest.mark.parametrize("index", range(len(SHAPES["image"])))
def test_any_shape_will_do(method: Denoiser, index: int) -> None:
    x = sample(method, "float32", SHAPES[method.kind.name][index])
    y = method.denoise(x)
    assert y.shape == x.shape
    assert np.isfinite(y).all()


@pytest.mark.parametrize("shape", [(1, 40), (40, 1), (1, 1), (5, 6)], ids=str)
def test_the_api_takes_any_shape_too(method: Denoiser, shape: tuple[int, ...]) -> None:
    """Its estimate, which the report shows, must not stand in the way of a small image."""
    x = sample(method, "uint8", shape)
    kind = method.kind.name
    np.testing.assert_array_equal(
        hush.denoise(x, method=method.name, model=method, kind=kind, noise="gaussian:0"), x
    )


@pytest.mark.parametrize(
    "noise", ["gaussian:5/255", "poisson:200", "poisson-gaussian:0.005/1,3/255"]
)
def test_the_noise_can_be_told(method: Denoiser, noise: str) -> None:
    x = sample(method, "uint8")
    y = method.denoise(x, noise)
    assert (y.dtype, y.shape) == (x.dtype, x.shape)


def test_missing_pixels_stay_and_spoil_no_others(method: Denoiser) -> None:
    x = sample(method, "float64")
    flat = x.reshape(-1)
    flat[35], flat[85:88], flat[0] = np.nan, np.inf, -np.inf
    y = method.denoise(x)
    bad = ~np.isfinite(x)
    np.testing.assert_array_equal(y[bad], x[bad])
    assert np.isfinite(y[~bad]).all()


def test_nothing_but_missing_pixels_gets_a_sentence(method: Denoiser) -> None:
    with pytest.raises(HushError, match="every value is missing"):
        method.denoise(np.full(SHAPES[method.kind.name][1], np.nan))


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_constant_image_comes_back(method: Denoiser, dtype: str) -> None:
    for value in (0, 77):
        x = np.full(SHAPES[method.kind.name][0], value, dtype)
        y = method.denoise(x)
        np.testing.assert_allclose(y, x, rtol=1e-6 if np.dtype(dtype).kind == "f" else 0, atol=0)


@pytest.mark.parametrize("dtype", [">u2", "float32"])
def test_the_input_is_read_only(method: Denoiser, dtype: str) -> None:
    """Any memory layout and byte order is read, and none is written to."""
    if method.kind.name == "image":
        x = sample(method, "float32", (24, 32))[::2, ::-2].T
    else:
        x = sample(method, "float32", (6, 80))[::2, ::-2].T
    x = (x * 200).astype(dtype, order="K")
    kept = x.copy()
    x.flags.writeable = False
    y = method.denoise(x)
    np.testing.assert_array_equal(x, kept)
    assert y.dtype == x.dtype
    assert not np.shares_memory(x, y)
    assert y.flags.writeable
    np.testing.assert_allclose(method.denoise(np.ascontiguousarray(x)), y, rtol=1e-5)


def test_the_same_call_gives_the_same_answer(method: Denoiser) -> None:
    x = sample(method, "float32")
    first = method.denoise(x)
    np.random.seed(1)  # noqa: NPY002 (no part in it)
    # The bm3d package adds up in whichever order its threads come.
    tolerance = 1e-5 if method.name == "bm3d" else 0
    np.testing.assert_allclose(method.denoise(x), first, rtol=tolerance)


def test_strength_zero_gives_the_input_back(method: Denoiser) -> None:
    x = sample(method, "float64")
    np.testing.assert_array_equal(method.denoise(x, strength=0), x)


def test_a_level_of_zero_leaves_the_image(method: Denoiser) -> None:
    x = sample(method, "uint16")
    np.testing.assert_array_equal(method.denoise(x, "gaussian:0"), x)


def test_the_constructor_is_the_configuration(method: Denoiser) -> None:
    config = json.loads(json.dumps(method.config()))
    assert type(method)(**config).config() == method.config()


def test_saving_and_loading(method: Denoiser, tmp_path: Path) -> None:
    """A file gives the same method and answers, and saves to the same bytes again."""
    path, again = tmp_path / "a.safetensors", tmp_path / "b.safetensors"
    method.save(path)
    loaded = hush.load(path)
    assert type(loaded) is type(method)
    assert loaded.config() == method.config()
    loaded.save(again)
    assert again.read_bytes() == path.read_bytes()
    x = sample(method, "uint8")
    np.testing.assert_allclose(loaded.denoise(x).astype(int), method.denoise(x), atol=1)


def test_a_method_says_what_it_is(method: Denoiser) -> None:
    assert get(method.name, method.kind.name) is type(method)
    assert method.kinds
    assert method.summary
    assert "\n" not in method.summary


@pytest.mark.parametrize(
    ("x", "sentence"),
    [
        (np.zeros((8, 8), bool), "boolean"),
        (np.zeros((8, 8), complex), "complex"),
        (np.zeros((8, 8), "U1"), "this is text"),
        (np.zeros((0, 8)), "empty"),
        (np.zeros((0, 8, 8)), "empty"),
        (np.zeros((8, 0, 3)), "empty"),
        (np.zeros(8), "two dimensions"),
        (np.float32(1), "dimension"),
    ],
    ids=str,
)
def test_what_is_no_image_gets_a_sentence(method: Denoiser, x: np.ndarray, sentence: str) -> None:
    if sentence == "two dimensions" and method.kind.name == "signal":
        pytest.skip("one dimension is enough for a signal")
    with pytest.raises(HushError, match=sentence):
        method.denoise(x)


def test_bad_axes_and_noise_get_a_sentence(method: Denoiser) -> None:
    x = np.zeros((8, 8, 8))
    cases = [("YX", "3"), ("YYX", "more than once")]
    cases += [("ZCX", "lacks Y" if method.kind.name == "image" else "lacks T")]
    for axes, sentence in cases:
        with pytest.raises(HushError, match=sentence):
            method.denoise(x, axes=axes)
    for noise in ("gaussian", "gaussian:-1", "salt:3"):
        with pytest.raises(HushError):
            method.denoise(x, noise)


def test_unknown_methods_and_files_get_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(HushError, match=r"no method 'bm5d'.*mid"):
        get("bm5d")
    with pytest.raises(HushError, match="no model at"):
        hush.load(tmp_path / "missing.safetensors")
    (tmp_path / "broken.safetensors").write_bytes(b"no model")
    with pytest.raises(HushError, match="is not a complete"):
        hush.load(tmp_path / "broken.safetensors")

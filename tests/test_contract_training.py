"""One contract for every method that learns: what its networks and its training promise.

The methods are those of the table `METHODS`: a new one is met by every test here.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import torch
from click.testing import CliRunner

import hush
from hush.cli import main
from hush.denoiser import ANY
from hush.errors import HushError
from hush.methods import METHODS, get
from hush.metrics import psnr
from hush.schedule import Schedule

Make = Callable[..., Any]
Tiny = Callable[[str], dict[str, Any]]
Examples = Callable[..., list[np.ndarray]]
#: `conftest.stopped_and_resumed`
Both = Callable[..., tuple[dict[str, Any], dict[str, Any]]]

#: those for sets are in test_contract_sets.py
TRAINED = [n for n in METHODS if get(n).learns_from != "nothing" and not get(n).selects]
#: a training of theirs takes seconds (five stages, many passes, or networks without sizes to set),
#: or shares all but its loss with that of another method (noisier2noise, r2r): with --long
SLOW = (
    "apbsn",
    "blind2unblind",
    "cbsn",
    "diffdenoise",
    "lgbpn",
    "mmbsn",
    "nafnet",
    "noisier2noise",
    "puca",
    "sdemg",
)
#: the kind of data with which a method is tested
KIND = {
    name: "image" if "image" in (k := get(name).kinds) or k == ANY else k[0] for name in TRAINED
}
every_method = pytest.mark.parametrize("name", TRAINED)
every_method_slowly = pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[pytest.mark.long] * (n in SLOW)) for n in TRAINED]
)


def every_method_with(argument: str, usual: Any, **others: Any) -> pytest.MarkDecorator:
    """Every method with what is to be expected of it: of those named, something else."""
    assert others.keys() <= set(TRAINED)
    cases = [
        pytest.param(n, others.get(n, usual), marks=[pytest.mark.long] * (n in SLOW))
        for n in TRAINED
    ]
    return pytest.mark.parametrize(("name", argument), cases, ids=TRAINED)


def takes(name: str, option: str) -> bool:
    """Whether a training of this method can be told that."""
    return option in inspect.signature(get(name).fit).parameters


# The trainings too: arrays this small gain nothing from two.
pytestmark = pytest.mark.usefixtures("one_thread_throughout")


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def shaped(name: str, image: tuple[int, ...], signal: tuple[int, ...]) -> tuple[int, ...]:
    """The shape for the kind of data with which a method is tested."""
    return image if KIND[name] == "image" else signal


@pytest.fixture(scope="session")
def clean(toys: Sequence[np.ndarray]) -> Callable[[str], Sequence[np.ndarray]]:
    """Five clean pictures for a method, or signals of waves and pulses, float32 (4096,)."""
    rng, t = np.random.default_rng(0), np.arange(4096) / 4096
    signals = []
    for a, b, c in rng.random((5, 3)):
        wave = 0.15 * np.sin(2 * np.pi * (20 + 20 * a) * t)
        pulses = np.sin(2 * np.pi * (4 + 3 * b) * (t + c)) > 0.8
        signals.append((0.4 + wave + 0.25 * pulses).astype(np.float32))
    return lambda name: toys if KIND[name] == "image" else signals


def short(steps: int, **options: Any) -> Schedule:
    settings = {"batch": 4, "patch": 32, "learning_rate": 3e-3, "ema": 0.97, "validate_every": 9999}
    return Schedule(max_steps=steps, **{**settings, **options})


# -- random weights ---------------------------------------------------------------------------


@every_method
def test_tiles_do_not_show(name: str, random_learned: Make) -> None:
    model = random_learned(name)
    x = normal(*shaped(name, (1, 53, 70), (1, 701)))
    whole = model.restore(x).data
    tiled = model.replace(tile=16).restore(x).data
    np.testing.assert_allclose(tiled, whole, atol=1e-5 * float(np.abs(whole).max()))


@every_method
def test_gain_and_offset_carry_over(name: str, random_learned: Make) -> None:
    model = random_learned(name)
    x = normal(*shaped(name, (1, 20, 24), (1, 480)))
    y, z = (model.restore(a * x + b).data for a, b in ((1, 0), (8, 3)))
    np.testing.assert_allclose(z, 8 * y + 3, atol=1e-3 * float(np.abs(y).max()))


@pytest.mark.long
@every_method
def test_a_gray_model_takes_channels_one_by_one(name: str, random_learned: Make) -> None:
    model = random_learned(name)
    x = normal(*shaped(name, (4, 12, 12), (4, 144)))
    y = model.restored(x)
    np.testing.assert_array_equal(y[2:3], model.restore(x[2:3]).data)
    colours = np.moveaxis(x, 0, -1)
    np.testing.assert_array_equal(model.denoise(colours)[..., 2], model.denoise(x[2]))
    if KIND[name] == "signal":  # every channel is an item
        return
    joint = random_learned(name, 3)
    for call in (lambda: joint.restored(x), lambda: joint.denoise(colours)):
        with pytest.raises(HushError, match="3-channel images, but this data has 4"):
            call()


# -- training ---------------------------------------------------------------------------------


@every_method_with(
    "gain",
    5.0,
    apbsn=4.0,  # on sub-images of seven pixels a side
    cbsn=4.0,
    mmbsn=4.0,
    sdemg=None,  # its samples take longer: see test_fcn_sdemg.py
)
def test_a_short_training_denoises_and_is_kept(
    name: str,
    gain: float | None,
    tiny: Tiny,
    examples: Examples,
    clean: Callable[[str], Sequence[np.ndarray]],
    tmp_path: Path,
) -> None:
    """On a picture it has not seen: at least 5 dB over the noisy one. A file of half precision
    has rounded the weights."""
    model: Any = get(name)(**tiny(name))
    *seen, unseen = clean(name)
    side = 32 if KIND[name] == "image" else 256
    steps = 120 if gain else 6
    model.fit(examples(name, seen), schedule=short(steps, patch=side), device="cpu")
    noisy = (unseen + 25 / 255 * normal(*unseen.shape, seed=9)).astype(np.float32)
    before, after = (psnr(x[None], unseen[None]) for x in (noisy, model.denoise(noisy)))
    assert gain is None or after > before + gain
    model.save(tmp_path / "model.safetensors")
    loaded = hush.load(tmp_path / "model.safetensors")
    assert type(loaded) is type(model)
    assert loaded.config() == model.config()
    half = any(w.dtype == torch.float16 for w in model.weights().values())
    kept, given = loaded.denoise(noisy), model.denoise(noisy)
    np.testing.assert_allclose(kept, given, rtol=0, atol=0.01 if half else 0)


@every_method_slowly
def test_a_training_stopped_goes_on_as_if_it_had_not(
    name: str,
    tiny: Tiny,
    examples: Examples,
    clean: Callable[[str], Sequence[np.ndarray]],
    stopped_and_resumed: Both,
) -> None:
    """To the last bit, where the loss grows over the training too."""
    schedule = short(7, batch=2, patch=16)

    def fitted(**options: Any) -> dict[str, torch.Tensor]:
        model: Any = get(name)(**tiny(name))
        data = examples(name, [x[:32, :32] if x.ndim > 1 else x[:512] for x in clean(name)[:4]])
        model.fit(data, schedule=schedule, device="cpu", **options)
        return dict(model.weights())

    straight, resumed = stopped_and_resumed(fitted, 4)
    assert resumed.keys() == straight.keys()
    assert all(torch.equal(resumed[k], v) for k, v in straight.items())


@pytest.mark.long
@every_method_with(
    "preview",
    True,
    diffdenoise=False,  # most of its stages have no denoised image to show
)
def test_training_takes_images_of_any_size(
    name: str, preview: bool, tiny: Tiny, examples: Examples, tmp_path: Path
) -> None:
    """Odd sides and small ones, colours, missing pixels; previews and validation too."""
    images, signals = [(8, 8), (9, 31, 3), (33, 41)], [(8,), (3, 91), (331,)]
    for shape in images if KIND[name] == "image" else signals:
        pictures = np.random.default_rng(0).random((4, *shape), np.float32)
        data = examples(name, pictures)
        missing = (3, 4) if KIND[name] == "image" else (..., 4)
        data[0].reshape(-1, *shape)[0, *missing] = np.nan
        model: Any = get(name)(**tiny(name))
        schedule = short(2, batch=2, validate_every=1)
        model.fit(data, schedule=schedule, folder=tmp_path, device="cpu")
        assert all(torch.isfinite(w).all() for w in model.weights().values())
        assert (tmp_path / "preview.png").exists() == preview
        assert np.isfinite(model.figures_["val_loss"])
        assert model.denoise(pictures[1]).shape == shape


@every_method_with(
    "sentence",
    "constant",
    mid="contain no noise to learn from",  # told of noise it learns from a constant, too
)
def test_of_constant_images_there_is_nothing_to_learn(
    name: str, sentence: str, tiny: Tiny, examples: Examples
) -> None:
    model: Any = get(name)(**tiny(name))
    data = examples(name, np.ones((4, *shaped(name, (16, 16), (256,)))), noise=0)
    with pytest.raises(HushError, match=sentence):
        model.fit(data, schedule=short(1), device="cpu")


@every_method
def test_what_cannot_be_trained_gets_a_sentence(name: str, tiny: Tiny, examples: Examples) -> None:
    def fit(*images: np.ndarray, **options: Any) -> None:
        model: Any = get(name)(**tiny(name))
        model.fit(examples(name, images), schedule=short(1), device="cpu", **options)

    x = np.random.default_rng(0).random((4, *shaped(name, (16, 16), (256,))))
    if KIND[name] == "image":
        with pytest.raises(HushError, match="the same number of channels"):
            fit(*x, np.stack([x[0]] * 3, -1))
    refused = pytest.raises(HushError, match="leave corpus out")
    with nullcontext() if takes(name, "corpus") else refused:
        fit(*x, corpus=True)
    model = get(name)()
    for call in (lambda: model.denoise(x), model.weights):
        with pytest.raises(HushError, match="is not trained"):
            call()


@every_method_slowly
def test_the_command_line_trains_and_denoises(
    name: str,
    tiny: Tiny,
    examples: Examples,
    clean: Callable[[str], Sequence[np.ndarray]],
    tmp_path: Path,
) -> None:
    """Of a folder; where a method takes repeats or pairs its files are stacks, a scene each."""
    folder, model = tmp_path / "mine", tmp_path / "m.safetensors"
    folder.mkdir()
    image = KIND[name] == "image"
    for i, x in enumerate(examples(name, [x[:32, :32] if image else x for x in clean(name)[:4]])):
        if image:
            tifffile.imwrite(folder / f"{i}.tif", x, photometric="minisblack")
        else:
            np.save(folder / f"{i}.npy", x)
    kind, ending = ["--kind", KIND[name]], "tif" if image else "npy"

    def run(*arguments: Any) -> Any:
        return CliRunner().invoke(main, [str(a) for a in arguments])

    def train(*more: Any) -> Any:
        options = [*kind, "--method", name, "--max-steps", 2, "--set", "patch=16"]
        for key, value in tiny(name).items():
            options += ["--set", f"{key}={str(value).strip('(),')}"]
        return run("train", folder, "-o", model, "--overwrite", *options, *more)

    for option, value, taken, sentence in (
        ("--noise", "gaussian:0.1", takes(name, "noise"), "s only; leave noise out"),
        ("--steps", 2, "steps" in get(name)().config(), "no setting 'steps'"),
        ("--set", "nothing=2", False, "no setting 'nothing'"),
    ):
        done = train(option, value)
        assert (done.exit_code == 0) == taken, done.stderr
        assert taken or (done.exit_code, sentence in done.stderr) == (1, True)
    trained = train()
    assert trained.exit_code == 0, trained.stderr
    assert isinstance(hush.load(model), get(name))
    out = tmp_path / f"out.{ending}"
    used = run("denoise", folder / f"0.{ending}", *kind, "--model", model, "-o", out)
    assert used.exit_code == 0, used.stderr

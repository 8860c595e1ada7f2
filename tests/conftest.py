"""What every test may lean on: the study data, small images, a fixed number of threads."""

from __future__ import annotations

import dataclasses
import math
import os
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

# Before torch and matplotlib are first imported: two threads, as the defaults are made for, or one
# where pytest-xdist has a worker on every core, for the programs that tests start too; and no
# display.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ["OMP_NUM_THREADS"] = "1"  # the workers' parent has said 2
os.environ.setdefault("OMP_NUM_THREADS", "2")
os.environ.setdefault("MPLBACKEND", "Agg")

import numpy as np
import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from torch import nn

    from hush.methods.diffdenoise import DiffDenoise
    from hush.methods.mid.image import MID
    from hush.noise.bank import Bank

ROOT = Path(__file__).parents[1]

# The same examples every time, and however slow the machine: a time is never a pass condition.
settings.register_profile("hush", deadline=None, derandomize=True, database=None)
settings.load_profile("hush")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="also run the tests marked as long")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the longest tests: before a release, `make test ARGS=--long`."""
    if not config.getoption("--long"):
        long = [item for item in items if item.get_closest_marker("long")]
        items[:] = [item for item in items if item not in set(long)]
        config.hook.pytest_deselected(items=long)


@pytest.fixture(scope="session", autouse=True)
def _no_flushing() -> Iterator[None]:
    """Results are not flushed to the disk, which no test can see and thousands would wait for."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda handle: None)
        yield


@pytest.fixture(scope="session")
def hush_data() -> Path:
    """The study data's folder: HUSH_DATA, or ../shared/data beside the repository."""
    path = Path(os.environ.get("HUSH_DATA") or ROOT.parent / "shared" / "data")
    if not path.is_dir():
        pytest.skip(f"no study data: {path} is not a folder (set HUSH_DATA to where the data is)")
    return path


@pytest.fixture(params=[1, 2], ids=["1 thread", "2 threads"])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    """Runs the test with torch on one thread and again on two."""
    yield from _torch_threads(request.param)


@pytest.fixture
def one_thread() -> Iterator[int]:
    """Torch on one thread: for what must be equal bit by bit."""
    yield from _torch_threads(1)


@pytest.fixture(scope="module")
def one_thread_throughout() -> Iterator[int]:
    """The same for a whole module, its fixtures that train included."""
    yield from _torch_threads(1)


def _torch_threads(number: int) -> Iterator[int]:
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(number)
    yield number
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def clean() -> np.ndarray:
    """A photograph's detail, uint8 (96, 96): sky, hair, cloth and edges."""
    from skimage.data import camera

    image = camera()[96:288:2, 176:368:2].copy()
    image.flags.writeable = False
    return image


@pytest.fixture(scope="session")
def noisy(clean: np.ndarray) -> np.ndarray:
    """`clean` with Gaussian noise of σ = 25/255 at seed 0, rounded and clipped, uint8 (96, 96)."""
    noise = np.random.default_rng(0).normal(0, 25, clean.shape)
    image = np.clip(np.rint(clean + noise), 0, 255).astype(np.uint8)
    image.flags.writeable = False
    return image


@pytest.fixture(scope="session")
def toys() -> list[np.ndarray]:
    """Five clean pictures: a wave and a disc each, float32 (64, 64)."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:64, :64] / 64
    pictures = []
    for a, b, c, d in rng.random((5, 4)):
        wave = 0.5 + 0.15 * np.sin(2 * np.pi * ((1 + 2 * a) * x + (1 + 2 * b) * y))
        disc = (x - c) ** 2 + (y - d) ** 2 < 0.06
        pictures.append((wave + 0.25 * disc).astype(np.float32))
    return pictures


@pytest.fixture
def ecg_bank(monkeypatch: pytest.MonkeyPatch) -> Bank:
    """A small bank of ECG in place of the synthetic one, which takes seconds to make.

    Three recordings of 20 s at 500 Hz: narrow beats 50, 70 and 90 times a minute, of rms 1.
    """
    from hush.noise import bank

    t, rows = np.arange(10_000) / 500, []
    for beats in (50, 70, 90):
        phase = (t * beats / 60 + 0.5) % 1 - 0.5
        x = np.exp(-0.5 * (phase / 0.012) ** 2) - 0.3 * np.exp(-0.5 * ((phase - 0.04) / 0.02) ** 2)
        x -= x.mean()
        rows.append((x / x.std()).astype(np.float32))
    made = bank.Bank(rows, [500.0] * len(rows))
    monkeypatch.setattr(bank, "load", lambda path: made)
    return made


@pytest.fixture(scope="session")
def randomise() -> Callable[..., nn.Module]:
    """Gives every weight of a network a random value; layers that start at zero hide others."""
    import torch

    def randomised(network: nn.Module, seed: int = 0) -> nn.Module:
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for weight in network.parameters():
                spread = weight[0].numel() ** -0.5
                weight.copy_(spread * torch.randn(weight.shape, generator=generator))
        return network.eval()

    return randomised


@pytest.fixture(scope="session")
def random_mid(randomise: Callable[..., nn.Module]) -> Callable[..., MID]:
    """A tiny MID with random weights: what it removes is no noise, but all of it shows."""
    from hush.methods.mid.image import MID

    def make(channels: int = 1, seed: int = 0, **settings: Any) -> MID:
        model = MID(channels=channels, widths=(8, 8), blocks=(1, 1), **settings)
        model.networks_ = randomise(model.build(channels), seed)  # type: ignore[assignment]
        return model

    return make


@pytest.fixture(scope="session")
def tiny() -> Callable[..., dict[str, Any]]:
    """The settings of a method's smallest network worth testing, whatever its fields are.

    Of sizes that are listed the coarsest scale goes, unless the method refuses that; of the others
    features become 8, and numbers of blocks 1. Sizes of one number get small.
    """
    from hush.errors import HushError
    from hush.methods import get

    small = {"width": 8, "middle": 1, "heads": 2, "cell": 4, "steps": 2, "latents": 4}
    small |= {"models": 4, "hypotheses": 100, "draws": 16, "refinements": 2}
    small |= {"passes": 2, "scales": 2, "depth": 2}

    @cache
    def settings(name: str, kind: str) -> dict[str, Any]:
        method = get(name, kind)
        defaults = {f.name: f.default for f in dataclasses.fields(method) if f.init}
        tuples = {k: v for k, v in defaults.items() if isinstance(v, tuple)}
        listed = {k: v for k, v in tuples.items() if all(isinstance(n, int) for n in v)}
        single = {k: min(defaults[k], n) for k, n in small.items() if defaults.get(k)}
        for length in (-1, None):
            sizes = {k: tuple(8 if n >= 8 else 1 for n in v[:length]) for k, v in listed.items()}
            try:
                method(**sizes | single)
            except HushError:
                continue
            return sizes | single
        return {}

    return lambda name, kind="image": dict(settings(name, kind))


@pytest.fixture(scope="session")
def examples() -> Callable[..., list[np.ndarray]]:
    """What a method learns from: of each clean picture a noisy one, two takes, or a pair.

    The pictures are ``(H, W)`` or ``(H, W, C)``, the signals ``(T,)`` or ``(C, T)``; `noise` is the
    noise's deviation.
    """
    from hush.methods import get

    def make(name: str, clean: Sequence[np.ndarray], noise: float = 25 / 255) -> list[np.ndarray]:
        method, data = get(name), []
        for seed, x in enumerate(clean, start=1):
            z = np.random.default_rng(seed).normal(0, noise, (2, *x.shape))
            takes = (x + z).astype(np.float32)
            if method.learns_from == "pairs":
                takes[1] = x
            data.append(takes if method.learns_from != "noisy" else takes[0])
        return data

    return make


@pytest.fixture(scope="session")
def random_learned(
    randomise: Callable[..., nn.Module],
    tiny: Callable[..., dict[str, Any]],
    examples: Callable[..., list[np.ndarray]],
) -> Callable[..., Any]:
    """Any method that learns, its networks tiny and of random weights, which is the harder case.

    They are made by a training of one step: nothing has to be known of how a method builds them.
    """
    from torch import nn

    from hush.denoiser import ANY
    from hush.kinds import get as kind_of
    from hush.methods import get
    from hush.schedule import Schedule

    schedule = Schedule(max_steps=1, batch=1, patch=16, validate_every=9999)

    def made(name: str, kind: str, channels: int, settings: Mapping[str, Any]) -> Any:
        known = {} if kind_of(kind).selected else {"channels": channels}
        return get(name, kind).for_kind(kind, **known, **settings)

    @cache
    def learned(name: str, kind: str, channels: int, told: tuple[Any, ...]) -> Mapping[str, Any]:
        model: Any = made(name, kind, channels, dict(told))
        if kind_of(kind).selected:
            data = list(np.random.default_rng(0).random((4, 32, kind_of(kind).least)))
        else:
            shape = (16, 16) if kind == "image" else (256,)
            shape = (*shape, channels) if channels > 1 else shape
            clean = np.linspace(0, 1, math.prod(shape), dtype=np.float32).reshape(shape)
            data = examples(name, [clean] * 4)
        model.fit(data, schedule=schedule, device="cpu")
        return dict(model.weights())

    def make(
        name: str, channels: int = 1, seed: int = 0, kind: str | None = None, **settings: Any
    ) -> Any:
        kind = kind or ("image" if get(name).kinds == ANY else get(name).kinds[0])
        settings = tiny(name, kind) | settings
        model: Any = made(name, kind, channels, settings)
        model.load_weights(learned(name, kind, channels, tuple(settings.items())))
        for part in vars(model).values():
            if isinstance(part, nn.Module):
                randomise(part, seed)
        return model

    return make


@pytest.fixture(scope="session", autouse=True)
def small_networks() -> Iterator[None]:
    """See `small`; programs that tests start have networks of the usual sizes."""
    import small

    with pytest.MonkeyPatch.context() as patched:
        small.diffdenoise(patched.setattr)
        yield


@pytest.fixture(scope="session")
def random_diffdenoise(randomise: Callable[..., nn.Module]) -> Callable[..., DiffDenoise]:
    """DiffDenoise with all its stages, of random weights."""
    from hush.methods.diffdenoise import DiffDenoise

    def make(channels: int = 1, **settings: Any) -> DiffDenoise:
        model = DiffDenoise(channels=channels, steps=2, keep=True, **settings)
        model.networks_ = model._build(range(1, model.rounds + 1))
        for seed, network in enumerate(model.networks_.values()):
            randomise(network, seed)
        model.networks_.eval()
        return model

    return make


@pytest.fixture
def stopped_and_resumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[dict[str, Any], dict[str, Any]]]:
    """Weights of a training without a break, and of one that is stopped at a step and goes on.

    Called with a function that trains, given the options of `fit`, and returns the weights.
    """
    import hush.training

    def both(
        fitted: Callable[..., dict[str, Any]], step: int
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        straight = fitted()
        original, calls = hush.training.train, 0

        def train(networks: Any, patches: Any, loss: Any, *arguments: Any, **options: Any) -> Any:
            def stopped(*given: Any) -> Any:
                nonlocal calls
                calls += 1
                if calls == step:
                    signal.raise_signal(signal.SIGINT)  # at the end of this step
                return loss(*given)

            return original(networks, patches, stopped, *arguments, **options)

        with monkeypatch.context() as patched:
            patched.setattr(hush.training, "train", train)
            with pytest.raises(KeyboardInterrupt):
                fitted(folder=tmp_path)
        assert calls == step
        return straight, fitted(folder=tmp_path, resume=True)

    return both

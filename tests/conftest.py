"""What every test may lean on: the study data, small images, a fixed number of threads."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

# Before torch and matplotlib are first imported: two threads, as the defaults are made for,
# and no display.
os.environ.setdefault("OMP_NUM_THREADS", "2")
os.environ.setdefault("MPLBACKEND", "Agg")

import numpy as np
import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from torch import nn

    from hush.learned import Learned
    from hush.methods.diffdenoise import DiffDenoise
    from hush.methods.mid.image import MID

ROOT = Path(__file__).parents[1]

# The same examples every time, and however slow the machine: a time is never a pass condition.
settings.register_profile("hush", deadline=None, derandomize=True, database=None)
settings.load_profile("hush")


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
        model.networks_ = randomise(model._build(), seed)  # type: ignore[assignment]
        return model

    return make


@pytest.fixture(scope="session")
def tiny() -> Callable[[str], dict[str, Any]]:
    """The settings of a method's smallest network worth testing."""
    scales = {"width": 4, "encoder": (1,), "middle": 1, "decoder": (1,)}
    others = {"puca": scales, "nafnet": {**scales, "width": 8}}
    others["lgbpn"] = {"width": 4, "blocks": (2, 1), "heads": 2}
    return lambda name: others.get(name, {"widths": (8, 8)})


@pytest.fixture(scope="session")
def random_learned(
    randomise: Callable[..., nn.Module], tiny: Callable[[str], dict[str, Any]]
) -> Callable[..., Learned]:
    """A method that learns a network and nothing else, with a tiny one of random weights."""
    from hush.methods import get

    def make(name: str, channels: int = 1, seed: int = 0, **settings: Any) -> Learned:
        model: Any = get(name)(channels=channels, **tiny(name) | settings)  # type: ignore[call-arg]
        model.network_ = randomise(model.build(channels), seed)
        return model

    return make


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

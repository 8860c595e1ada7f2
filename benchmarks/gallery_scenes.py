"""What the gallery shows: for every kind of data something noisy, and what it was before.

Pictures are those of scikit-image, the rest is made by rule, so that all of it may be published.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from hush import Record
from hush.io.residues import AMINO
from hush.noise.ecg import ECG
from hush.noise.processes import parse
from hush.tasks.geometry.scenes import line_scene, two_views

#: name → (picture of scikit-image, top, left, noise, what it is)
IMAGES = {
    "gray": ("camera", 60, 150, "gaussian:25/255", "Gaussian noise, σ 25 of 255"),
    "colour": ("astronaut", 30, 165, "gaussian:25/255", "Gaussian noise in colour, σ 25 of 255"),
    "photons": ("coins", 20, 60, "poisson:12", "Few photons, 12 at full range"),
    "microscope": (
        "cell", 240, 330, "poisson-gaussian:0.02/1,6/255", "Counts and read-out of a microscope",
    ),
    "camera": (
        "chelsea", 40, 110, "camera:0.004,0.01,0.6", "A camera's picture, demosaiced and smoothed",
    ),
}  # fmt: skip
SIDE = 128
SIZE = (640.0, 480.0)  #: pixels of the image with segments


def image(name: str) -> tuple[np.ndarray, np.ndarray, str]:
    """A noisy picture, uint8 ``(H, W)`` or ``(H, W, 3)``, what it was, and the noise."""
    import skimage.data

    picture, top, left, spec, _ = IMAGES[name]
    clean = getattr(skimage.data, picture)()
    clean = clean[top : top + 2 * SIDE, left : left + 2 * SIDE]
    x = torch.from_numpy(np.moveaxis(np.atleast_3d(clean), -1, 0).astype(np.float32) / 255)
    noisy = parse(spec).sample(x, torch.Generator().manual_seed(0)).numpy()
    noisy = np.moveaxis(np.rint(255 * noisy).clip(0, 255), 0, -1).astype(np.uint8)
    return noisy.reshape(clean.shape), clean, spec


def emg(rate: float = 1000.0, seconds: float = 12.0) -> tuple[np.ndarray, np.ndarray]:
    """Muscle activity in bursts, float64 ``(T,)``, with a synthetic ECG at −8 dB, and without."""
    from scipy.signal import butter, sosfiltfilt

    rng = np.random.default_rng(3)
    count = round(rate * seconds)
    white = rng.standard_normal(count)
    activity = sosfiltfilt(butter(4, (20, 400), "bandpass", fs=rate, output="sos"), white)
    time = np.arange(count) / rate
    force = 0.15 + np.clip(np.sin(2 * np.pi * time / 4 - 1), 0, None) ** 2
    clean = 50 * force * activity  # µV
    law = parse("ecg")
    assert isinstance(law, ECG)
    beats = law.recordings().draw(np.random.default_rng(5), count, rate)
    power = np.mean(clean**2) * 10 ** (8 / 10)
    return clean + np.sqrt(power / np.mean(beats**2)) * beats, clean


@dataclass
class Elements:
    """A set: elements ``(N, D)``, which of them are true ``(N,)``, and its kind."""

    x: np.ndarray
    true: np.ndarray
    kind: str


def points() -> Elements:
    scene = line_scene(np.random.default_rng(10), 5)
    return Elements(scene.points, scene.labels >= 0, "points")


def correspondences() -> Elements:
    views = two_views(np.random.default_rng(1), 300, 0.5, 0.5)
    return Elements(np.concatenate([views.x1, views.x2], 1), views.inliers, "correspondences")


def segments(true: int = 130, false: int = 110) -> Elements:
    """Segments that point at three vanishing points, and segments in any direction."""
    rng = np.random.default_rng(4)
    vanishing = np.array([[-500.0, 260.0], [1200.0, 300.0], [330.0, -2600.0]])
    middles = rng.random((true + false, 2)) * SIZE
    towards = vanishing[rng.integers(3, size=true)] - middles[:true]
    angles = np.arctan2(*towards[:, ::-1].T) + 0.008 * rng.standard_normal(true)
    angles = np.concatenate([angles, rng.random(false) * np.pi])
    half = rng.uniform(10, 35, len(angles))[:, None] * np.stack([np.cos(angles), np.sin(angles)], 1)
    order = rng.permutation(len(angles))
    ends = np.concatenate([middles - half, middles + half], 1)[order]
    return Elements(ends, (np.arange(len(angles)) < true)[order], "segments")


def head(shape: tuple[int, ...]) -> np.ndarray:
    """A bright ellipse with ventricles and a rim, up to 1000."""
    z, y, x = np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij")
    z = 0.3 * z
    inside = (y / 0.9) ** 2 + (x / 0.72) ** 2 + z**2 < 1
    rim = inside & ((y / 0.84) ** 2 + (x / 0.66) ** 2 + z**2 > 1)
    value = 520 + 130 * np.cos(9 * np.hypot(x, 0.8 * y)) * np.cos(2 * np.arctan2(y, x))
    for side in (-1, 1):
        value[((x - side * 0.2) / 0.1) ** 2 + ((y + 0.1) / 0.32) ** 2 + z**2 < 1] = 230
        value[((x - side * 0.3) / 0.16) ** 2 + ((y - 0.45) / 0.12) ** 2 + z**2 < 1] = 760
    return np.where(rim, 880, value) * inside


def magnitude(clean: np.ndarray, sigma: float) -> np.ndarray:
    """What a scanner measures, uint16: the magnitude of a signal with complex noise."""
    rng = np.random.default_rng(0)
    noise = sigma * rng.standard_normal((2, *clean.shape))
    return np.rint(np.hypot(clean + noise[0], noise[1])).astype(np.uint16)


def volume() -> tuple[Record, np.ndarray]:
    """An MRI volume, and its signal ``(Z, Y, X)``."""
    clean = head((12, 112, 96))
    return Record(magnitude(clean, 60.0), "ZYX", kind="volume"), clean


def diffusion(count: int = 24, b: float = 1000.0) -> tuple[Record, np.ndarray]:
    """A series of diffusion MRI with fibres in rings, and its signals ``(C, Z, Y, X)``."""
    k = np.arange(count) + 0.5
    z, angle = k / count, np.pi * (3 - np.sqrt(5)) * k
    r = np.sqrt(1 - z * z)
    bvecs = np.concatenate(
        [np.zeros((2, 3)), np.stack([r * np.cos(angle), r * np.sin(angle), z], 1)]
    )
    bvals = np.r_[0, 0, np.full(count, b)]
    base = head((6, 80, 68))
    _, y, x = np.meshgrid(*(np.linspace(-1, 1, n) for n in base.shape), indexing="ij")
    around = np.arctan2(y, x)[..., None] + np.pi / 2
    along = np.cos(around) * bvecs[:, 0] + np.sin(around) * bvecs[:, 1]
    free = (base > 0) & (base < 300)  # the ventricles: no direction
    across = np.where(free[..., None], 1.0, along)
    decay = np.exp(-bvals * (0.4e-3 + 1.2e-3 * across**2))
    clean = np.moveaxis(base[..., None] * decay, -1, 0)
    context = {"bvals": bvals, "bvecs": bvecs, "spacing": (2.5, 2.0, 2.0)}
    return Record(magnitude(clean, 45.0), "CZYX", kind="volume", context=context), clean


def family(rows: int = 220, columns: int = 60, seed: int = 2) -> tuple[list[str], np.ndarray]:
    """Aligned rows, and how each was made ``(N,)``: 0 of its own, 1 a repeat of another row but for
    a residue, 2 misaligned, moved by two to five columns."""
    rng = np.random.default_rng(seed)
    liked = np.stack([rng.permutation(20)[:4] for _ in range(columns)])
    drawn = rng.choice(4, size=(rows, columns), p=(0.55, 0.2, 0.15, 0.1))
    letters = np.array(list(AMINO))[liked[np.arange(columns), drawn]]
    letters[1:][rng.random((rows - 1, columns)) < 0.04] = "-"
    made = rng.choice(3, size=rows, p=(0.5, 0.3, 0.2))
    made[:2] = 0
    for i in np.flatnonzero(made == 1):
        letters[i] = letters[rng.choice(np.flatnonzero(made[:i] != 2))]
        letters[i, rng.integers(columns)] = "A"
    for i in np.flatnonzero(made == 2):
        letters[i] = np.roll(letters[i], int(rng.integers(2, 6)))
    return ["".join(row) for row in letters], made


def a3m(rows: list[str]) -> str:
    return "".join(f">row{i}\n{row}\n" for i, row in enumerate(rows))

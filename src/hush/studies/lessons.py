"""What the methods of MID's image tables are trained on: the same noisy images, equally long.

The papers train on the validation images of ILSVRC2012; ``--train`` reads its folders of classes,
and any folder of images.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import fields
from functools import partial
from pathlib import Path

import numpy as np

from hush.denoiser import ANY
from hush.errors import HushError
from hush.methods import METHODS, get, kinds_of
from hush.studies.core import Note, ignore
from hush.studies.folders import image_files, marked, read_images, sound
from hush.studies.frozen import centre_crop, frozen_noise
from hush.studies.sample import Sample
from hush.studies.trained import Recipe, Training

BUDGET, QUICK_BUDGET = 600.0, 15.0  #: seconds of training for each method
ALONE, QUICK_ALONE = 60.0, 2.0  #: seconds an image, of methods that learn from it alone
MOST, QUICK_MOST = 400, 40  #: training images at most, evenly from all of the folder
SIDE, QUICK_SIDE = 512, 128  #: their largest side; larger ones are cropped
#: of MID's Φ: its best size of those tried with less than a million weights, as its rivals have
OURS = {"net": "gated", "widths": (32, 64, 128)}
LUMA = (0.299, 0.587, 0.114)  #: of red, green and blue, Rec. 601


def recipes(spec: str, alone: float) -> dict[str, Recipe]:
    """A recipe for every method for images in the table of methods that learns; and references.

    spec : the noise. If its level differs between images, a training cannot be told it.
    alone : seconds an image, of methods that learn from it alone.
    """
    rows: dict[str, Recipe] = {}
    ranged = "-" in spec
    for name in image_methods():
        cls = get(name, "image")
        if cls.learns_from == "nothing":
            if "seconds" in {f.name for f in fields(cls)}:
                rows[name] = Recipe(name, {"seconds": alone})
        else:
            lesson = cls.learns_from
            size = OURS if name == "mid" else {}
            rows[name] = Recipe(name, size, supervised=lesson == "pairs", takes=lesson == "takes")
    # Clean images with noise of this law, where a corpus has noise of any.
    clean = {**OURS, "ladder": spec, "stored": 0.0}
    rows["mid:clean"] = Recipe("mid", clean, corpus=True, told=not ranged)
    if not ranged:
        rows["mid:told"] = Recipe("mid", OURS, told=True)
    rows["bm3d:told"] = Recipe("bm3d", told=True)
    return rows


def image_methods() -> list[str]:
    """The methods that denoise images."""
    return [m for m in METHODS if kinds_of(m) == ANY or "image" in kinds_of(m)]


def rows() -> list[str]:
    """The table's rows: every method, then the references."""
    made = recipes("gaussian:25/255", ALONE)
    return ["none", *(m for m in image_methods() if m != "none"), *(r for r in made if ":" in r)]


def find_lessons(train: Path, quick: bool, note: Note = ignore) -> list[Path]:
    """Image files at any depth in a folder, evenly chosen if they are many; `note` gets why some
    are left out."""
    folders = [train, *sorted(p for p in train.rglob("*") if p.is_dir())]
    files = [f for folder in folders for f in image_files(folder, "image")]
    if not files:
        raise HushError(f"{train} contains no images; give --train a folder of images")
    most = QUICK_MOST if quick else MOST
    if len(files) > most:
        files = [files[i * len(files) // most] for i in range(most)]
    if not (found := sound(files, note)):
        raise HushError(f"{train} contains no images that can be read, such as {files[0]}")
    return found


def lesson_samples(
    files: Sequence[Path], spec: str, channels: int, side: int, again: bool, seed: int
) -> Iterator[Sample]:
    """The images with frozen noise; again : with other noise. Gray ones of colours for one channel;
    gray images are left out where there should be colours."""
    for path in files:
        x = next(read_images(path))
        if len(x) != channels:
            if channels != 1 or len(x) != 3:
                continue
            x = np.tensordot(np.asarray(LUMA, np.float32), x, 1)[None]
        clean = centre_crop(x, side)
        # Another name than a test image's: it seeds the noise.
        name = f"{'again' if again else 'train'}/{path.parent.name}/{path.name}"
        noisy, process = frozen_noise(clean, spec, name, seed)
        yield Sample(name, noisy, clean, process)


def training(files: Sequence[Path], train: Path, spec: str, channels: int, quick: bool) -> Training:
    """The training for a kind of noise, the same for all sets with as many channels."""
    samples = partial(lesson_samples, files, spec, channels, QUICK_SIDE if quick else SIDE)
    name = ";".join([f"train={label(files, train)}", f"channels={channels}", f"noise={spec}"])
    return Training(
        name,
        partial(samples, False),
        recipes(spec, QUICK_ALONE if quick else ALONE),
        QUICK_BUDGET if quick else BUDGET,
        takes=partial(samples, True),
    )


def label(files: Sequence[Path], train: Path) -> str:
    """Number of images, folder and a checksum, to distinguish folders with the same name."""
    return f"{len(files)} of {marked(train.name, files)}"

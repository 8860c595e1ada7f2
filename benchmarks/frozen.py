"""One frozen draw of noise on a folder of clean images, as float32 TIFFs.

    python benchmarks/frozen.py CLEAN_FOLDER NOISY_FOLDER [--noise gaussian:25/255] [--seed 0]

For trainings on noisy data alone that anyone can repeat: every image gets its noise once, from
its name and the seed.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from hush import Record, io
from hush.studies.folders import image_files, read_images
from hush.studies.frozen import frozen_noise


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("clean", type=Path)
    parser.add_argument("noisy", type=Path)
    parser.add_argument("--noise", default="gaussian:25/255")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    args.noisy.mkdir(parents=True, exist_ok=True)
    for file in image_files(args.clean):
        for x in read_images(file):
            noisy = frozen_noise(x, args.noise, file.name, args.seed)[0]
            axes, data = ("YX", noisy[0]) if len(noisy) == 1 else ("YXS", noisy.transpose(1, 2, 0))
            io.write(Record(np.ascontiguousarray(data), axes), args.noisy / f"{file.stem}.tif")


if __name__ == "__main__":
    main()

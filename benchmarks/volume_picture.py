"""Draw a slice of diffusion MRI before and after: the README's picture.

    python benchmarks/volume_picture.py docs/images/volumes.png --data DIR

A volume at b = 2000 of one slice, and the fractional anisotropy in the colours of the direction.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

import hush
from hush.kinds import to_batch
from hush.tasks.tensor import anisotropy, fit

SERIES, SLICE, VOLUME = "volumes/dwi_siemens_b2000/research_slice.nii.gz", 1, 20


def directions(x: np.ndarray, bvals: np.ndarray, bvecs: np.ndarray) -> np.ndarray:
    """FA times the main direction, as colours ``(Y, X, 3)``, of one slice ``(C, Y, X)``."""
    tissue = x.mean(0) > 0.35 * x.mean(0).max()
    fa, main = anisotropy(fit(x[:, tissue], bvals, bvecs))
    shown = np.zeros((*tissue.shape, 3))
    shown[tissue] = np.clip(fa, 0, 1)[:, None] * np.abs(main)
    return shown


def main() -> None:
    from matplotlib.figure import Figure

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    given = parser.parse_args()
    result = hush.run(given.data / SERIES)
    about = result.noisy.context
    before, after = (
        to_batch(r).data[0][:, SLICE, ::-1].astype(np.float32)
        for r in (result.noisy, result.record)
    )
    figure = Figure(figsize=(10, 2.3), layout="constrained")
    panels = figure.subplots(1, 5)
    top, swing = np.percentile(after[VOLUME], 99.7), 3 * (before - after)[VOLUME].std()
    for panel, title, x in (
        (panels[0], "before, b = 2000", before[VOLUME]),
        (panels[1], "hush denoise", after[VOLUME]),
    ):
        panel.imshow(x, cmap="gray", vmin=0, vmax=top)
        panel.set_title(title, loc="left", fontsize=9)
    panels[2].imshow((before - after)[VOLUME], cmap="gray", vmin=-swing, vmax=swing)
    panels[2].set_title("what was removed", loc="left", fontsize=9)
    for panel, title, x in (
        (panels[3], "directions before", before),
        (panels[4], "directions after", after),
    ):
        panel.imshow(directions(x, about["bvals"], about["bvecs"]))
        panel.set_title(title, loc="left", fontsize=9)
    for panel in panels:
        panel.set_axis_off()
    figure.savefig(given.out, dpi=110)


if __name__ == "__main__":
    main()

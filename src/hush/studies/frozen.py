"""Frozen noise: the same noisy image in every run, for a seed, a name and a kind of noise."""

from __future__ import annotations

from typing import Any
from zlib import crc32

import numpy as np


def centre_crop(x: np.ndarray, side: int) -> np.ndarray:
    """The middle `side` × `side` pixels of ``(C, H, W)``, or fewer if it is smaller."""
    rows, columns = ((n - min(n, side)) // 2 for n in x.shape[1:])
    return np.ascontiguousarray(x[:, rows : rows + side, columns : columns + side])


def frozen_noise(x: np.ndarray, spec: str, name: str, seed: int) -> tuple[np.ndarray, Any]:
    """A noisy observation of `x` ``(C, H, W)``, always the same, and its noise process.

    If `spec` is a range of levels, one is drawn for the image.
    """
    import torch

    from hush.noise.processes import parse

    entropy = [seed, crc32(name.encode()), crc32(spec.encode())]
    state = np.random.SeedSequence(entropy).generate_state(1, np.uint64)[0]
    generator = torch.Generator().manual_seed(int(state >> np.uint64(1)))
    process = parse(spec).draw(generator)
    return process.sample(torch.from_numpy(x), generator).numpy(), process

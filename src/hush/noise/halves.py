r"""Data thinning: two independent observations of one signal, out of one.

From s with noise of variance v the ladder goes on to a state a with 2v. Then :math:`b = 2s - a` has
the variance 2v, too, and the noise of a and b is uncorrelated: for Gaussian noise
a = s + Δ and b = s − Δ, for Poisson noise each photon goes to one of both, for Gamma noise the
shares are B and 1 − B of Beta(L/2, L/2). In these families a and b are independent.

A. Neufeld, A. Dharamshi, L. L. Gao, D. Witten, "Data thinning for convolution-closed
distributions", JMLR 25, 2024; N. Moran et al., "Noisier2Noise", CVPR 2020, for the Gaussian case.
"""

from __future__ import annotations

import numpy as np

from hush.noise.process import Process

HALF = 2.0  #: variance of the noise in a half, relative to that of the whole


def halves(x: np.ndarray, law: Process, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Two observations ``(C, *S)``, float32, of what `x` observes with noise of `law`.

    Each has noise of ``law.scaled(HALF)``, and their mean is `x`.
    """
    import torch

    generator = torch.Generator().manual_seed(seed)
    s = torch.from_numpy(np.ascontiguousarray(x, np.float32))
    a, _ = law.accumulate(s[None], HALF, generator)
    first: np.ndarray = a[0].numpy()
    return first, np.float32(HALF) * x - first


def divisible(law: Process) -> bool:
    """Whether the noise of two `halves` is uncorrelated, at least to first order."""
    return law.stated and not law.biased and not law.superposed and law.taylor_order >= 1

"""Which method, with which settings and weights: so that a result is made once for several rows."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hush.denoiser import Denoiser


def fingerprint(method: Denoiser) -> str:
    """A text that is the same for methods that do the same."""
    digest = sha256(repr((method.name, method.config())).encode())
    for weights in method.weights().values():
        digest.update(weights.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()

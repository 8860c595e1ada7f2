"""DiffDenoise has no settings for the sizes of its networks: in tests, all of them are small.

They keep two scales and every sort of layer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import hush.methods.diffdenoise as module

SCALES = {"width": 8, "middle": 1}
SIZES: dict[str, dict[str, Any]] = {
    "PUCA": SCALES | {"encoder": (1,), "decoder": (1,)},
    "LGBPN": {"width": 8, "heads": 2, "blocks": (1, 1)},
    "DiffusionUNet": {"widths": (8, 16)},
    "NAFNet": SCALES | {"encoder": (1, 1), "decoder": (1, 1)},
}


def diffdenoise(replace: Callable[[Any, str, Any], None] = setattr) -> None:
    """Make its networks small from now on, in this process."""
    for name, sizes in SIZES.items():
        replace(module, name, _small(getattr(module, name), sizes))


def _small(network: Callable[..., Any], sizes: dict[str, Any]) -> Callable[..., Any]:
    return lambda *given, **settings: network(*given, **settings | sizes)

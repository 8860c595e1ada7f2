"""hush: denoise what you only have noisy copies of.

>>> import hush
>>> clean = hush.denoise(noisy)                       # same dtype and shape out
>>> model = hush.MID().fit(noisy_images)              # from noisy data alone
>>> model.save("mine.safetensors")

Names are imported when they are first used, so that ``import hush`` costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from hush.errors import HushError

_LAZY = {
    "BM3D": "hush.methods.bm3d",
    "MID": "hush.methods.mid",
    "Record": "hush.record",
    "Schedule": "hush.schedule",
    "denoise": "hush.api",
    "export": "hush.onnx",
    "inspect": "hush.api",
    "load": "hush.methods",
    "psnr": "hush.metrics",
    "read": "hush.io",
    "ssim": "hush.metrics",
    "write": "hush.io",
    "write_report": "hush.kinds.image.page",
}

__all__ = ["HushError", *_LAZY]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'hush' has no attribute '{name}'")
    return getattr(import_module(_LAZY[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)

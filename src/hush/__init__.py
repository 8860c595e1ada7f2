"""hush: denoise what you only have noisy copies of.

>>> import hush
>>> clean = hush.denoise(noisy)                       # same dtype and shape out
>>> result = hush.run("noisy.tif")                    # and all that is known about the result
>>> result.save("clean.tif"), result.report("report.html"), result.warnings
>>> model = hush.MID().fit(noisy_images)              # from noisy data alone
>>> model.save("mine.safetensors")

Names are imported when they are first used, so that ``import hush`` costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from hush.errors import HushError

_LAZY = {
    "APBSN": "hush.methods.apbsn",
    "BM3D": "hush.methods.bm3d",
    "Blind2Unblind": "hush.methods.blind2unblind",
    "CBSN": "hush.methods.cbsn",
    "DiffDenoise": "hush.methods.diffdenoise",
    "LGBPN": "hush.methods.lgbpn",
    "MID": "hush.methods.mid.image",
    "MMBSN": "hush.methods.mmbsn",
    "NAFNet": "hush.methods.nafnet",
    "Neighbor2Neighbor": "hush.methods.neighbor2neighbor",
    "Noise2Noise": "hush.methods.noise2noise",
    "Noise2Self": "hush.methods.noise2self",
    "Noise2Void": "hush.methods.noise2void",
    "Noisier2Noise": "hush.methods.noisier2noise",
    "PUCA": "hush.methods.puca",
    "R2R": "hush.methods.r2r",
    "Record": "hush.record",
    "Schedule": "hush.schedule",
    "compare": "hush.api",
    "denoise": "hush.api",
    "export": "hush.api",
    "inlier_probability": "hush.geometry",
    "inspect": "hush.api",
    "load": "hush.models",
    "psnr": "hush.metrics",
    "read": "hush.api",
    "run": "hush.api",
    "ssim": "hush.metrics",
    "study": "hush.studies:run",
    "train": "hush.api",
    "write": "hush.io",
    "write_report": "hush.api",
}

#: modules that users call
_MODULES = ("geometry",)

__all__ = ["HushError", "__version__", *_LAZY, *_MODULES]


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("hush-denoise")
    except PackageNotFoundError:  # running from a source tree that is not installed
        return ""


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return _version()
    if name in _MODULES:
        return import_module(f"hush.{name}")
    if name not in _LAZY:
        raise AttributeError(f"module 'hush' has no attribute '{name}'")
    module, _, attribute = _LAZY[name].partition(":")
    return getattr(import_module(module), attribute or name)


def __dir__() -> list[str]:
    return sorted(__all__)

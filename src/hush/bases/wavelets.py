"""Shared by methods that threshold wavelets: PyWavelets, and the wavelets it knows."""

from __future__ import annotations

from typing import Any

from hush.errors import HushError, missing_package


def package(wavelet: str) -> Any:
    """PyWavelets, the extra ``signals``; `HushError` if it is missing or has no such wavelet."""
    try:
        import pywt
    except ImportError:
        raise missing_package("the PyWavelets package", "signals", what="wavelet") from None
    if wavelet not in pywt.wavelist(kind="discrete") or not pywt.Wavelet(wavelet).orthogonal:
        families = "haar, db1 to db38, sym2 to sym20, coif1 to coif17"
        raise HushError(f"'{wavelet}' is no orthogonal wavelet; there are {families}")
    return pywt

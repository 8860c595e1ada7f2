"""Pictures inside a page: gray or colour images as PNG data URIs."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]

#: Colours of a map from lowest to highest, dark to bright; the style sheet's ``.heat`` is the same.
HEAT = ((0, 0, 4), (87, 16, 110), (188, 55, 84), (249, 142, 9), (252, 255, 164))


@dataclass(frozen=True)
class Picture:
    """An encoded image and its size in pixels."""

    uri: str
    width: int
    height: int


def to_pixels(x: np.ndarray, low: float, high: float) -> Pixels:
    """`x` with low..high mapped to 0..255; NaN becomes black."""
    scaled = (x - low) * (255 / (high - low))
    return np.clip(np.nan_to_num(scaled, posinf=255, neginf=0), 0, 255).round().astype(np.uint8)


def to_heat(x: np.ndarray, top: float) -> Pixels:
    """``(1, H, W)`` with 0..top as the colours of `HEAT`, ``(3, H, W)``; NaN becomes black."""
    at = np.clip(np.nan_to_num(x[0] / top), 0, 1)
    stops = np.linspace(0, 1, len(HEAT))
    return np.stack([np.interp(at, stops, c).round().astype(np.uint8) for c in np.transpose(HEAT)])


def encode(pixels: Pixels) -> Picture:
    """PNG of ``(1 or 3, H, W)`` as a data URI; lossless, because the noise must be visible."""
    from PIL import Image

    _, h, w = pixels.shape
    array = pixels[0] if pixels.shape[0] == 1 else pixels.transpose(1, 2, 0)
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(array)).save(buffer, "PNG", compress_level=6)
    text = base64.b64encode(buffer.getvalue()).decode()
    return Picture(f"data:image/png;base64,{text}", w, h)

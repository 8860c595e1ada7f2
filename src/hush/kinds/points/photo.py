"""Line segments found in photos, and drawn over them. Needs OpenCV."""

from __future__ import annotations

from typing import Any

import numpy as np

from hush.errors import HushError, missing_package
from hush.installing import command
from hush.kinds.layout import laid_out
from hush.record import Record

#: the first OpenCV that has a detector of segments again, after some that had none
WITH_LSD = "4.5.4"
LUMA = (0.299, 0.587, 0.114)
#: shares of the values of other types than uint8 that become black and white
TAILS = (0.1, 99.9)
#: how much of its contrast a photo keeps below the segments
FAINT = 0.45
KEPT, REMOVED = (16, 42, 120), (255, 176, 92)  #: colours, dark and light
#: images of so many values are reduced to gray by parts
PART = 2**24


def opencv() -> Any:
    """The module cv2; `HushError` with the remedy if it is missing."""
    try:
        import cv2
    except ImportError as error:
        raise missing_package("OpenCV", "sets", what="finding segments in pictures") from error
    return cv2


def detected(gray: np.ndarray) -> np.ndarray:
    """Segments ``(N, 4)``, float32, that LSD finds in a picture ``(H, W)``, uint8."""
    cv2 = opencv()
    try:
        found = cv2.createLineSegmentDetector().detect(gray)[0]
    except (AttributeError, cv2.error) as error:
        raise HushError(
            f"this OpenCV ({cv2.__version__}) has no detector of line segments; versions from "
            f"{WITH_LSD} on have one: {command('opencv-python-headless>=' + WITH_LSD)}"
        ) from error
    return np.empty((0, 4), np.float32) if found is None else found.reshape(-1, 4)


def gray(record: Record) -> np.ndarray:
    """The one picture of a record as gray values ``(H, W)``, uint8; colours by their brightness.

    8-bit values stay as they are, others are stretched. Missing values become the median.
    """
    items = laid_out(record.data, record.axes, "YX")
    if len(items) != 1:
        raise HushError(
            f"holds {len(items)} pictures; segments are found in one, so save one in its own file"
        )
    item = items[0]
    if item.dtype == np.uint8 and len(item) == 1 and record.mask is None:
        return np.ascontiguousarray(item[0])
    weights = LUMA if len(item) >= 3 and "S" in record.axes else (1 / len(item),) * len(item)
    x = np.zeros(item.shape[1:], np.float32)
    rows = max(1, PART // max(1, x.shape[1]))
    for top in range(0, len(x), rows):
        for weight, channel in zip(weights, item, strict=False):
            x[top : top + rows] += np.float32(weight) * channel[top : top + rows].astype(np.float32)
    known = np.isfinite(x)
    if record.mask is not None:
        mask = np.broadcast_to(record.mask, record.data.shape)
        known &= laid_out(mask, record.axes, "YX")[0].all(axis=0)
    if not known.any():
        raise HushError("has no finite values, so there are no segments to find")
    if not known.all():
        x[~known] = np.median(x[known])
    if item.dtype != np.uint8:
        low, high = np.percentile(x[known], TAILS)
        x = (x - np.float32(low)) * np.float32(255 / ((high - low) or 1.0))
    out: np.ndarray = np.clip(x, 0, 255).round().astype(np.uint8)
    return out


def overlay(photo: np.ndarray, segments: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """Segments ``(N, 4)`` over a pale photo ``(H, W)``, RGB: kept ones dark, removed ones light."""
    cv2 = opencv()
    pale = (255 - FAINT * (255 - photo.astype(np.float32))).astype(np.uint8)
    drawn = np.repeat(pale[..., None], 3, axis=2)
    ends = np.rint(16 * np.asarray(segments, np.float64)).astype(np.int32)  # in 16ths of a pixel
    width = max(1, round(max(photo.shape) / 700))
    for colour, some in ((REMOVED, ~kept), (KEPT, kept)):
        lines = list(ends[some].reshape(-1, 2, 2))
        cv2.polylines(drawn, lines, False, colour, width, cv2.LINE_AA, 4)
    return drawn

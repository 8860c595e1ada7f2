"""Enhanced DICOM: one file whose frames are the slices of a volume, or of a series of volumes.

Each frame has a position, an orientation and its own slope and intercept (PS3.3 C.7.6.16). Frames
come in any order; in the record they have that of `hush.io.dicom_slices`, and in the file that is
written their own again. Frames of unlike slopes are read in real units and written back by each
frame's own pair.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hush.errors import HushError
from hush.io import dicom_slices
from hush.io.dicom_slices import Slice
from hush.missing import Missing
from hush.record import Record

if TYPE_CHECKING:
    from pydicom import Dataset

#: classes whose frames are slices: MR, CT and PET, enhanced or converted from files of one slice
CLASSES = frozenset(
    {
        *("1.2.840.10008.5.1.4.1.1.4.1", "1.2.840.10008.5.1.4.1.1.4.4"),
        *("1.2.840.10008.5.1.4.1.1.2.1", "1.2.840.10008.5.1.4.1.1.2.2"),
        *("1.2.840.10008.5.1.4.1.1.130", "1.2.840.10008.5.1.4.1.1.128.1"),
    }
)

#: what describes a frame, of the groups that all frames share and of each one's own
_GROUPS = (
    *("PlanePositionSequence", "PlaneOrientationSequence", "PixelMeasuresSequence"),
    *("PixelValueTransformationSequence", "MRDiffusionSequence", "FrameContentSequence"),
    *("MRImageFrameTypeSequence", "CTImageFrameTypeSequence", "PETFrameTypeSequence"),
    *("MREchoSequence", "CardiacSynchronizationSequence"),
)


def volume(record: Record, dataset: Dataset, stated: bool) -> Record:
    """The frames ``(frames, Y, X)`` of a file as a volume, axes ZYX or CZYX, if they are one.

    Otherwise the record is returned as it is, with a note if the frames are slices. stated : the
    user says that they are a volume; without positions, the frames are its slices in their order.
    """
    enhanced = str(dataset.get("SOPClassUID", "")) in CLASSES
    found = slices(dataset, len(record.data)) if enhanced else None
    if found is None:
        solid = enhanced and dataset.get("VolumetricProperties") == "VOLUME"
        solid &= "PerFrameFunctionalGroupsSequence" not in dataset
        return replace(record, axes="ZYX", kind="volume") if stated or solid else record
    stacks = dicom_slices.groups(found)
    try:
        if len(stacks) > 1:
            words = ", ".join(f"{len(s)} {s[0].facing}" for s in stacks[:6])
            raise HushError(
                f"holds {len(stacks)} kinds of slices ({words}{', …' * (len(stacks) > 6)}), which "
                "are no volume"
            )
        stack = dicom_slices.stacked(found, dataset.get("Modality") != "CT")
    except HushError as error:
        if stated:
            raise
        note = f"This file {str(error).split('; ')[0]}; each frame is taken as an image."
        return replace(record, meta={**record.meta, "notes": [note]})
    order = [s.index for s in stack.slices]
    data, full, missing, mask = record.data[order], record.full, record.missing, None
    if stack.scaled:
        missing, mask = (), outside(data, missing)
        data, full = dicom_slices.to_real(data, stack.slices), dicom_slices.full_real(stack.slices)
    axes = "ZYX" if stack.count == 1 else "CZYX"
    if stack.count > 1:
        data = data.reshape(stack.count, -1, *data.shape[1:])
        mask = None if mask is None else mask.reshape(data.shape)
    meta: dict[str, Any] = {**record.meta, "frames": stack.slices, "scaled": stack.scaled}
    meta |= {"layout": (data.shape, data.dtype), "notes": list(stack.notes)}
    context = stack.context
    return Record(data, axes, "volume", meta, None, full, mask, context, missing=missing)


def outside(data: np.ndarray, missing: Sequence[Missing]) -> np.ndarray | None:
    """Where stored values are no padding; None if they are nowhere."""
    known = np.ones(data.shape, bool)
    for mark in missing:
        known &= ~mark.where(data)
    return None if known.all() else known


def frames(record: Record, dtype: np.dtype[Any]) -> np.ndarray:
    """The stored values ``(frames, Y, X)`` of a volume that `volume` made, in the file's order.

    dtype : of the file's values.
    """
    ordered: Sequence[Slice] = record.meta["frames"]
    planes = record.data.reshape(-1, *record.data.shape[-2:])
    out = np.empty(planes.shape, dtype)
    for plane, s in zip(planes, ordered, strict=True):
        scaled = record.meta["scaled"]
        out[s.index] = dicom_slices.to_stored(plane, s, dtype) if scaled else plane
    return out


def slices(dataset: Dataset, count: int) -> list[Slice] | None:
    """What the file says about each frame; None if it does not give all of them positions."""
    each = dataset.get("PerFrameFunctionalGroupsSequence") or ()
    if len(each) != count:
        return None
    shared = dicom_slices.part(dataset, "SharedFunctionalGroupsSequence")
    found = []
    for i, own in enumerate(each):
        parts = [dataset]
        for groups in filter(None, (shared, own)):
            held = (dicom_slices.part(groups, name) for name in _GROUPS)
            parts += [p for p in held if p is not None]
        one = dicom_slices.of_parts(dataset, parts, i, f"frame {i + 1}", "")
        if one is None:
            return None
        found.append(one)
    return found

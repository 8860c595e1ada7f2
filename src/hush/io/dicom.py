"""DICOM images, through pydicom: MR, CT, X-ray and whatever else is gray, one file at a time.

Stored values are what is denoised, as everywhere: rescale slope and intercept stay in the header,
and with them MONOCHROME1, whose small values are the bright ones. Full range is what Bits Stored
can hold. A result is a derived image by the standard's rules (PS3.3 C.7.6.1.1.2, C.12.4): it says
what it is, which image it is of, and goes by a name and in a series of its own.
"""

from __future__ import annotations

import copy
import hashlib
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hush.errors import HushError
from hush.record import Record

if TYPE_CHECKING:
    from pydicom import FileDataset

MAGIC = (b"DICM",)
OFFSET = 128  #: of the magic, behind a preamble that may hold anything

#: imagecodecs' decoder for each compression; pydicom itself undoes the others
_DECODERS = {
    "JPEGBaseline8Bit": "jpeg8_decode",
    "JPEGExtended12Bit": "jpeg8_decode",
    "JPEGLossless": "jpegsof3_decode",
    "JPEGLosslessSV1": "jpegsof3_decode",
    "JPEGLSLossless": "jpegls_decode",
    "JPEGLSNearLossless": "jpegls_decode",
    "JPEG2000Lossless": "jpeg2k_decode",
    "JPEG2000": "jpeg2k_decode",
    "HTJ2KLossless": "htj2k_decode",
    "HTJ2KLosslessRPCL": "htj2k_decode",
    "HTJ2K": "htj2k_decode",
}

#: What is true only of the pixels that were read, and of how they were compressed.
_STALE = (
    "DigitalSignaturesSequence",
    "ExtendedOffsetTable",
    "ExtendedOffsetTableLengths",
    "IconImageSequence",
    "LargestImagePixelValue",
    "SmallestImagePixelValue",
)


def read(path: Path) -> Record:
    """The image in a DICOM file: 8-, 16- or 32-bit integers, axes YX, or IYX for several frames.

    ``meta["dicom"]`` is the dataset without its pixels. Colour, 1-bit and float pixels are refused.

    Raises
    ------
    HushError
        Without pydicom, and for files whose pixels are no gray image.
    """
    try:
        import pydicom
    except ImportError:
        raise HushError(
            "is a DICOM file, which needs pydicom: pip install 'hush-denoise[medical]'"
        ) from None

    with pydicom.config.disable_value_validation():  # odd texts in the header do no harm
        dataset = pydicom.dcmread(path)
        if "PixelData" not in dataset:
            raise HushError("is a DICOM file without an image of integers")
        if not dataset.PhotometricInterpretation.startswith("MONOCHROME"):
            raise HushError("is a colour DICOM image; save it as a PNG or TIFF file first")
        if dataset.BitsAllocated not in (8, 16, 32):
            raise HushError(f"holds {dataset.BitsAllocated}-bit samples, not 8, 16 or 32")
        if not dataset.HighBit + 1 == dataset.BitsStored <= dataset.BitsAllocated:
            raise HushError("keeps its bits elsewhere than in the low ones; save it anew")
        data = _pixels(dataset)
        meta: dict[str, Any] = {"dicom": dataset}
        rows, columns = dataset.get("PixelSpacing") or (0, 0)  # in mm
        if rows > 0 and columns > 0:
            meta["resolution"] = (1000 / columns, 1000 / rows)
    del dataset.PixelData
    full = 2.0 ** (dataset.BitsStored - dataset.PixelRepresentation) - 1
    return Record(data, "IYX"[-data.ndim :], meta=meta, full=full)


def write(record: Record, path: Path) -> None:
    """Write what was read with other pixels, uncompressed, as an image derived from it.

    The names of image and series follow from those that were read and from the pixels: the same
    result goes by the same name, and a series denoised file by file stays one.
    """
    import pydicom

    pixels = record.data.astype(record.data.dtype.newbyteorder("<")).tobytes()
    with pydicom.config.disable_value_validation():
        dataset = copy.deepcopy(record.meta["dicom"])
        source = pydicom.Dataset()
        source.ReferencedSOPClassUID = dataset.SOPClassUID
        source.ReferencedSOPInstanceUID = dataset.SOPInstanceUID
        dataset.SourceImageSequence = [source]
        for keyword in _STALE:
            if keyword in dataset:
                del dataset[keyword]
        dataset.ImageType = _derived(dataset.get("ImageType"))
        for element in dataset.iterall():  # of each frame, where these are described one by one
            if element.keyword == "FrameType":
                element.value = _derived(element.value)
        before = dataset.get("DerivationDescription")
        dataset.DerivationDescription = f"{before}; " * bool(before) + "denoised by hush"
        dataset.SOPInstanceUID = _uid(dataset.SOPInstanceUID, hashlib.sha256(pixels).hexdigest())
        if "SeriesInstanceUID" in dataset:
            dataset.SeriesInstanceUID = _uid(dataset.SeriesInstanceUID)
        word = "OB" if record.data.itemsize == 1 else "OW"
        dataset.add_new("PixelData", word, pixels + b"\0" * (len(pixels) % 2))
        for keyword in ("ImplementationClassUID", "ImplementationVersionName"):
            if keyword in dataset.file_meta:
                del dataset.file_meta[keyword]  # of whoever wrote the other file
        dataset.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        dataset.save_as(path, enforce_file_format=True)


def check(record: Record) -> None:
    """Raise HushError unless the record came from a DICOM file and still has its dtype and shape.

    Nothing else tells whose image it is, nor how it was made.
    """
    dataset = record.meta.get("dicom")
    if dataset is None:
        raise HushError("only what was read from a DICOM file becomes one; write a .tif file")
    shape, dtype = _shape(dataset), _dtype(dataset)
    if (record.data.shape, record.data.dtype) != (shape, dtype):
        raise HushError(
            f"the DICOM file that was read holds {dtype} samples of shape {shape}, not "
            f"{record.data.dtype} of {record.data.shape}; write a .tif file"
        )
    if not dataset.original_encoding[1]:
        raise HushError("big-endian DICOM is not written; write a .tif file")
    if not (dataset.get("SOPClassUID") and dataset.get("SOPInstanceUID")):
        raise HushError("the DICOM file that was read does not say what it is; write a .tif file")


def _pixels(dataset: FileDataset) -> np.ndarray:
    """Stored values, of which only the low Bits Stored count."""
    import imagecodecs
    from pydicom.encaps import generate_frames
    from pydicom.pixels.utils import pixel_array

    shape, dtype = _shape(dataset), _dtype(dataset)
    name = _DECODERS.get(dataset.file_meta.TransferSyntaxUID.keyword)
    if name is None:
        data = pixel_array(dataset, raw=True)
    else:
        count = int(np.prod(shape[:-2]))
        frames = generate_frames(dataset.PixelData, number_of_frames=count)
        data = np.stack([getattr(imagecodecs, name)(frame) for frame in frames])
    # to the top and down again: the sign spreads, and what lay above the bits is gone
    data = data.reshape(shape).astype(dtype)
    return data << (above := dataset.BitsAllocated - dataset.BitsStored) >> above


def _shape(dataset: FileDataset) -> tuple[int, ...]:
    frames = int(dataset.get("NumberOfFrames") or 1)
    return (frames,) * (frames > 1) + (dataset.Rows, dataset.Columns)


def _dtype(dataset: FileDataset) -> np.dtype[Any]:
    return np.dtype(f"{'ui'[dataset.PixelRepresentation]}{dataset.BitsAllocated // 8}")


def _derived(kind: Any) -> list[str]:
    """The values of an Image Type, those that say where the pixels come from put right."""
    values = [kind] if isinstance(kind, str) else list(kind or ())
    return ["DERIVED", "SECONDARY", *values[2:]]


def _uid(*parts: str) -> str:
    """A name that is nobody else's (PS3.5 B.2), always the same one for the same `parts`."""
    return f"2.25.{uuid.uuid5(uuid.NAMESPACE_OID, ' '.join(['hush', *parts])).int}"

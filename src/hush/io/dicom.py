"""DICOM images, through pydicom: MR, CT, X-ray and any other gray images, one file at a time.

As everywhere, hush denoises the stored values. Rescale slope and intercept stay in the header, and
so does MONOCHROME1, in which small values are bright. Full range is what Bits Stored can hold. A
result is a derived image as the standard defines it (PS3.3 C.7.6.1.1.2, C.12.4): it is marked as
derived, refers to its source image, and has its own identifier and its own series.
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
OFFSET = 128  #: of the magic, after a preamble with any content

#: the imagecodecs decoder for each compression; pydicom decodes the others
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

#: Elements that are valid only for the original pixels and their compression.
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
        If pydicom is missing, or the pixels are not a gray image.
    """
    try:
        import pydicom
    except ImportError:
        raise HushError(
            "is a DICOM file, which needs pydicom: pip install 'hush-denoise[medical]'"
        ) from None

    with pydicom.config.disable_value_validation():  # unusual header values do no harm
        dataset = pydicom.dcmread(path)
        if "PixelData" not in dataset:
            raise HushError("is a DICOM file without integer pixels; hush denoises only those")
        if not dataset.PhotometricInterpretation.startswith("MONOCHROME"):
            raise HushError("is a colour DICOM image; save it as a PNG or TIFF file first")
        if dataset.BitsAllocated not in (8, 16, 32):
            raise HushError(f"holds {dataset.BitsAllocated}-bit samples, not 8, 16 or 32")
        if not dataset.HighBit + 1 == dataset.BitsStored <= dataset.BitsAllocated:
            raise HushError("does not keep its values in the low bits; save it again")
        data = _pixels(dataset)
        meta: dict[str, Any] = {"dicom": dataset}
        rows, columns = dataset.get("PixelSpacing") or (0, 0)  # in mm
        if rows > 0 and columns > 0:
            meta["resolution"] = (1000 / columns, 1000 / rows)
    del dataset.PixelData
    full = 2.0 ** (dataset.BitsStored - dataset.PixelRepresentation) - 1
    return Record(data, "IYX"[-data.ndim :], meta=meta, full=full)


def write(record: Record, path: Path) -> None:
    """Write the file that was read with new pixels, uncompressed, as a derived image.

    The identifiers of image and series are computed from the original ones and the pixels. So the
    same result gets the same identifier, and a series denoised file by file stays one series.
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
        for element in dataset.iterall():  # of each frame, if frames are described one by one
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
                del dataset.file_meta[keyword]  # the software that wrote the original
        dataset.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        dataset.save_as(path, enforce_file_format=True)


def check(record: Record) -> None:
    """Raise HushError unless the record came from a DICOM file and still has its dtype and shape.

    Nothing else says whose image it is, or how it was made.
    """
    dataset = record.meta.get("dicom")
    if dataset is None:
        raise HushError(
            "only images read from a DICOM file can be written as one; write a .tif file"
        )
    shape, dtype = _shape(dataset), _dtype(dataset)
    if (record.data.shape, record.data.dtype) != (shape, dtype):
        raise HushError(
            f"the DICOM file that was read holds {dtype} samples of shape {shape}, not "
            f"{record.data.dtype} of {record.data.shape}; write a .tif file"
        )
    if not dataset.original_encoding[1]:
        raise HushError("hush does not write big-endian DICOM; write a .tif file")
    if not (dataset.get("SOPClassUID") and dataset.get("SOPInstanceUID")):
        raise HushError(
            "the DICOM file that was read has no class or identifier; write a .tif file"
        )


def _pixels(dataset: FileDataset) -> np.ndarray:
    """Stored values, of which only the low Bits Stored bits are used."""
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
    # shift up and down again: this extends the sign and clears the bits above
    data = data.reshape(shape).astype(dtype)
    return data << (above := dataset.BitsAllocated - dataset.BitsStored) >> above


def _shape(dataset: FileDataset) -> tuple[int, ...]:
    frames = int(dataset.get("NumberOfFrames") or 1)
    return (frames,) * (frames > 1) + (dataset.Rows, dataset.Columns)


def _dtype(dataset: FileDataset) -> np.dtype[Any]:
    return np.dtype(f"{'ui'[dataset.PixelRepresentation]}{dataset.BitsAllocated // 8}")


def _derived(kind: Any) -> list[str]:
    """The values of an Image Type, with the first two, the origin of the pixels, corrected."""
    values = [kind] if isinstance(kind, str) else list(kind or ())
    return ["DERIVED", "SECONDARY", *values[2:]]


def _uid(*parts: str) -> str:
    """A unique identifier (PS3.5 B.2), always the same for the same `parts`."""
    return f"2.25.{uuid.uuid5(uuid.NAMESPACE_OID, ' '.join(['hush', *parts])).int}"

"""DICOM files, through pydicom: MR, CT, X-ray and any other gray images, one file at a time.

As everywhere, hush denoises the stored values. Rescale slope and intercept stay in the header, and
so does MONOCHROME1, in which small values are bright. Full range is what Bits Stored can hold. A
result is a derived image as the standard defines it (PS3.3 C.7.6.1.1.2, C.12.4): it is marked as
derived, refers to its source image, and has its own identifier and its own series.

A file of several frames is a volume if they are the slices of one (`hush.io.dicom_frames`), and
otherwise a stack of images. Folders of files that each hold a slice: `hush.io.dicom_series`.
"""

from __future__ import annotations

import copy
import hashlib
import struct
import uuid
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hush.errors import HushError, missing_package
from hush.installing import command
from hush.io import dicom_frames
from hush.io.image import instead
from hush.missing import Missing
from hush.record import Record

if TYPE_CHECKING:
    from pydicom import Dataset, FileDataset

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

#: value representations of the first elements of a file
_REPRESENTATIONS = frozenset(b"AE AS CS DA DS DT IS LO OB PN SH SQ ST TM UI UL UN US".split())

#: what the pixels cannot be read without
_DESCRIBED = (
    "PhotometricInterpretation",
    "Rows",
    "Columns",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "SamplesPerPixel",
)

#: Elements that are valid only for the original pixels and their compression.
_STALE = (
    "DigitalSignaturesSequence",
    "ExtendedOffsetTable",
    "ExtendedOffsetTableLengths",
    "IconImageSequence",
    "LargestImagePixelValue",
    "SmallestImagePixelValue",
)


def begins(head: bytes, path: Path) -> bool:
    """Whether a file that begins with `head` is DICOM; see `start`."""
    return start(head) is not None


def start(head: bytes) -> int | None:
    """Where the preamble or the first element of a DICOM file is; None if `head` is not of one.

    A file has a preamble, or begins with elements at once. What wrote it may also have kept a part
    of the preamble, up to the magic or a byte of it.
    """
    if head.startswith(MAGIC, OFFSET) or _elements(head):
        return 0
    cut = head.find(MAGIC[0] + b"\x02\x00", 0, OFFSET)
    if cut >= 0 and _elements(head[cut + 4 :]):
        return cut + 4
    return 1 if _elements(head[1:]) else None


def _elements(head: bytes) -> bool:
    """Whether elements begin here.

    The first one has to be of group 0002 or 0008, of a known value representation or, in implicit
    files, of a short and even length; and the next one has to come after it.
    """
    if len(head) < 16:
        return False
    order = ">" if head[0] == 0 else "<"
    group, element, code, short, long = struct.unpack_from(f"{order}HH2sHI", head)
    if group not in (2, 8):
        return False
    if code in _REPRESENTATIONS:
        size = 12 + long if code in (b"OB", b"SQ", b"UN", b"UT", b"UC") else 8 + short
    elif order == ">":  # only explicit files are big-endian
        return False
    else:
        (length,) = struct.unpack_from("<I", head, 4)
        size = 8 + length if group == 8 and length % 2 == 0 else len(head)
    if len(head) < size + 4:
        return False
    after = struct.unpack_from(f"{order}HH", head, size)
    return (group, element) < after < (0x0011, 0)


def read(path: Path, kind: str | None = None) -> Record:
    """The image or volume in a DICOM file: 8-, 16- or 32-bit integers.

    Axes are YX, IYX for several frames, or (C)ZYX if they are slices. kind : of data, if the user
    stated it; frames are not taken for slices if it is another than ``volume``.

    ``meta["dicom"]`` is the dataset without its pixels. Colour, 1-bit and float pixels are refused.

    Raises
    ------
    HushError
        If pydicom is missing, or the pixels are not a gray image.
    """
    dataset = opened(path)
    data = pixels(dataset)
    del dataset.PixelData
    meta: dict[str, Any] = {"dicom": dataset}
    rows, columns = dataset.get("PixelSpacing") or (0, 0)  # in mm
    if rows > 0 and columns > 0:
        meta["resolution"] = (1000 / columns, 1000 / rows)
    axes = "IYX"[-data.ndim :]
    record = Record(data, axes, meta=meta, full=full(dataset), missing=padding(dataset))
    if data.ndim == 2 and kind == "volume":
        raise HushError("holds a single slice; give the folder of its series")
    if data.ndim == 3 and kind in (None, "volume"):
        return dicom_frames.volume(record, dataset, stated=kind is not None)
    return record


def full(dataset: Dataset) -> float:
    """The stored value that means full range."""
    return 2.0 ** (dataset.BitsStored - dataset.PixelRepresentation) - 1


def padding(dataset: Dataset) -> tuple[Missing, ...]:
    """The stored values outside the picture (PS3.3 C.7.5.1.1.2); 0 is also the darkest value
    inside, so it counts only where it fills areas."""
    ends = [dataset.get(name) for name in ("PixelPaddingValue", "PixelPaddingRangeLimit")]
    values = [_as_stored(end, dataset) for end in ends if end is not None]
    if not values or ends[0] is None:
        return ()
    low, high = min(values), max(values)
    return (Missing(low, high, solid=low <= 0 <= high, stated=True),)


def _as_stored(value: Any, dataset: Dataset) -> float:
    """A value of the header as pixels have it: some writers state signed ones as unsigned."""
    number = int.from_bytes(value, "little") if isinstance(value, bytes) else int(value)
    if dataset.PixelRepresentation and number >= 2 ** (dataset.BitsStored - 1):
        number -= 2**dataset.BitsStored
    return float(number)


def opened(path: Path, pixels: bool = True) -> FileDataset:
    """The dataset in a DICOM file with a gray image; with `pixels`, those too, not yet decoded."""
    try:
        import pydicom
    except ImportError:
        raise missing_package("pydicom", "medical", what="is a DICOM file, which") from None
    with pydicom.config.disable_value_validation():  # unusual header values do no harm
        dataset = pydicom.dcmread(_whole(path), stop_before_pixels=not pixels, force=True)
        _complete(dataset)
        if not pixels:
            return dataset
        if "DirectoryRecordSequence" in dataset:
            raise HushError(f"is the index of a disc, not an image; give {_images_of(dataset)}")
        if "PixelData" not in dataset:
            raise HushError("is a DICOM file without integer pixels; hush denoises only those")
        if missing := [name for name in _DESCRIBED if name not in dataset]:
            raise HushError(
                f"has pixels, but does not state {', '.join(missing)}; export it again, or add "
                "them with pydicom or dcmodify"
            )
        if not dataset.PhotometricInterpretation.startswith("MONOCHROME"):
            raise HushError("is a colour DICOM image; save it as a PNG or TIFF file first")
        if dataset.BitsAllocated not in (8, 16, 32):
            raise HushError(f"holds {dataset.BitsAllocated}-bit samples, not 8, 16 or 32")
        if not dataset.HighBit + 1 == dataset.BitsStored <= dataset.BitsAllocated:
            raise HushError("does not keep its values in the low bits; save it again")
    return dataset


def _whole(path: Path) -> Path | BytesIO:
    """A file, or its content without what is left of a preamble; see `start`."""
    with path.open("rb") as stream:
        skipped = start(stream.read(2 * OFFSET)) or 0
        if not skipped:
            return path
        stream.seek(skipped)
        return BytesIO(stream.read())


def _complete(dataset: FileDataset) -> None:
    """State the encoding of a dataset whose file does not, as it was found out."""
    import pydicom

    if "TransferSyntaxUID" in dataset.file_meta:
        return
    element = dataset.get_item("PixelData")
    if element is not None and getattr(element, "length", 0) == 0xFFFFFFFF:
        raise HushError("has compressed pixels and does not state how; export it again")
    implicit, little = dataset.original_encoding
    syntax = pydicom.uid.ImplicitVRLittleEndian if implicit else pydicom.uid.ExplicitVRLittleEndian
    dataset.file_meta.TransferSyntaxUID = syntax if little else pydicom.uid.ExplicitVRBigEndian


def _images_of(index: Dataset) -> str:
    """The first folder of images that a DICOMDIR lists."""
    for one in index.DirectoryRecordSequence:
        names = one.get("ReferencedFileID")
        if names and one.get("DirectoryRecordType") == "IMAGE":
            names = [names] if isinstance(names, str) else list(names)
            return f"the folder of a series, such as {'/'.join(names[:-1]) or '.'}"
    return "the folder of a series"


def write(record: Record, path: Path) -> None:
    """Write the file that was read with new pixels, uncompressed, as a derived image.

    The identifiers of image and series are computed from the original ones and the pixels. So the
    same result gets the same identifier, and a series denoised file by file stays one series.
    """
    data, dataset = record.data, copy.deepcopy(record.meta["dicom"])
    if "frames" in record.meta:
        data = dicom_frames.frames(record, dtype_of(dataset))
    save(dataset, data, path)


def save(dataset: FileDataset, data: np.ndarray, path: Path) -> None:
    """Write a dataset that was read with other pixels as a derived image; it is changed.

    data : stored values, in the dataset's own shape and type.
    """
    import pydicom

    raw = data.astype(data.dtype.newbyteorder("<")).tobytes()
    with pydicom.config.disable_value_validation():
        if not dataset.original_encoding[1]:
            _swap(dataset)
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
        dataset.SOPInstanceUID = _uid(dataset.SOPInstanceUID, hashlib.sha256(raw).hexdigest())
        if "SeriesInstanceUID" in dataset:
            dataset.SeriesInstanceUID = _uid(dataset.SeriesInstanceUID)
        word = "OB" if data.itemsize == 1 else "OW"
        dataset.add_new("PixelData", word, raw + b"\0" * (len(raw) % 2))
        for keyword in ("ImplementationClassUID", "ImplementationVersionName"):
            if keyword in dataset.file_meta:
                del dataset.file_meta[keyword]  # the software that wrote the original
        dataset.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        pydicom.dcmwrite(path, dataset, enforce_file_format=True)


def check(record: Record) -> None:
    """Raise HushError unless the record came from a DICOM file and still has its dtype and shape.

    Nothing else says whose image it is, or how it was made.
    """
    dataset = record.meta.get("dicom")
    if "slices" in record.meta:
        raise HushError("a volume of several files is written into a folder; give its name")
    if dataset is None:
        raise HushError(
            f"only images read from a DICOM file can be written as one; write {instead(record)}"
        )
    shape, dtype = record.meta.get("layout") or (shape_of(dataset), dtype_of(dataset))
    if (record.data.shape, record.data.dtype) != (shape, dtype):
        raise HushError(
            f"the DICOM file that was read holds {dtype} samples of shape {shape}, not "
            f"{record.data.dtype} of {record.data.shape}; write {instead(record)}"
        )
    if not (dataset.get("SOPClassUID") and dataset.get("SOPInstanceUID")):
        raise HushError(
            "the DICOM file that was read has no class or identifier; write a .tif file"
        )


def pixels(dataset: FileDataset) -> np.ndarray:
    """Stored values ``(Y, X)`` or ``(frames, Y, X)``; only the low Bits Stored bits are used."""
    from pydicom.encaps import generate_frames
    from pydicom.pixels.utils import pixel_array

    shape, dtype = shape_of(dataset), dtype_of(dataset)
    decode = _decoder(dataset)
    held, needed = len(dataset.PixelData), int(np.prod(shape)) * dtype.itemsize
    if held < needed and not dataset.file_meta.TransferSyntaxUID.is_encapsulated:
        raise HushError(
            f"is cut short or damaged: its pixels take {needed} bytes, and it holds {held}"
        )
    if decode is None:
        data = pixel_array(dataset, raw=True)
    else:
        count = int(np.prod(shape[:-2]))
        coded = generate_frames(dataset.PixelData, number_of_frames=count)
        data = np.stack([decode(frame) for frame in coded])
    # shift up and down again: this extends the sign and clears the bits above
    data = data.reshape(shape).astype(dtype)
    return data << (above := dataset.BitsAllocated - dataset.BitsStored) >> above


def _decoder(dataset: FileDataset) -> Callable[[bytes], np.ndarray] | None:
    """What decodes a frame, None if pydicom does; `HushError` if nothing that is installed can."""
    from pydicom.pixels.decoders.base import get_decoder

    syntax = dataset.file_meta.TransferSyntaxUID
    name = _DECODERS.get(syntax.keyword)
    if name is None:
        if not syntax.is_encapsulated:
            return None
        try:
            able = get_decoder(syntax).is_available
        except NotImplementedError:
            able = False
        if not able:
            raise HushError(
                f"is compressed as {syntax.name}, which neither pydicom nor imagecodecs decodes; "
                "convert it to uncompressed DICOM first, such as with gdcmconv --raw"
            )
        return None
    try:
        import imagecodecs

        decode: Callable[[bytes], np.ndarray] = getattr(imagecodecs, name)
        able = getattr(imagecodecs, name.removesuffix("_decode").upper()).available
    except (ImportError, AttributeError):
        able = False
    if not able:
        raise HushError(
            f"is compressed as {syntax.name}, whose decoder is missing: {command('imagecodecs')}"
        )
    return decode


def _swap(dataset: Dataset) -> None:
    """Turn the words of a dataset that was read as big-endian, which pydicom keeps as bytes."""
    for element in dataset.iterall():
        size = {"OW": 2, "OF": 4, "OL": 4, "OD": 8, "OV": 8}.get(element.VR, 0)
        if size and isinstance(element.value, bytes) and len(element.value) % size == 0:
            element.value = np.frombuffer(element.value, f">u{size}").astype(f"<u{size}").tobytes()


def shape_of(dataset: Dataset) -> tuple[int, ...]:
    """The shape of its pixels: rows and columns, before them frames if there are several."""
    frames = int(dataset.get("NumberOfFrames") or 1)
    return (frames,) * (frames > 1) + (dataset.Rows, dataset.Columns)


def dtype_of(dataset: Dataset) -> np.dtype[Any]:
    """The type of its stored values."""
    return np.dtype(f"{'ui'[dataset.PixelRepresentation]}{dataset.BitsAllocated // 8}")


def _derived(kind: Any) -> list[str]:
    """The values of an Image Type, with the first two, the origin of the pixels, corrected."""
    values = [kind] if isinstance(kind, str) else list(kind or ())
    return ["DERIVED", "SECONDARY", *values[2:]]


def _uid(*parts: str) -> str:
    """A unique identifier (PS3.5 B.2), always the same for the same `parts`."""
    return f"2.25.{uuid.uuid5(uuid.NAMESPACE_OID, ' '.join(['hush', *parts])).int}"

"""Small files as other programs write them, for `corpus`."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import microscope_files
import numpy as np

from hush import io
from hush.record import Record


def _values(shape: tuple[int, ...], dtype: str = "uint16", top: int = 4000) -> np.ndarray:
    return np.random.default_rng(sum(shape)).integers(0, top, shape).astype(dtype)


def _tiff(shape: tuple[int, ...] = (2, 32, 48), **options: Any) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        import tifffile

        known = {k: v for k, v in options.items() if k in ("bigtiff", "byteorder", "imagej", "ome")}
        with tifffile.TiffWriter(path, **known) as file:
            others = {k: v for k, v in options.items() if k not in known and k != "dtype"}
            file.write(_values(shape, options.get("dtype", "uint16"), 200), **others)

    return make


def _pillow(mode: str, **options: Any) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        from PIL import Image

        Image.fromarray(_values((24, 32, 3), "uint8", 200)).convert(mode).save(path, **options)

    return make


def dataset(**header: Any) -> Any:
    import pydicom

    ds = pydicom.Dataset()
    ds.file_meta = pydicom.dataset.FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    ds.SOPClassUID, ds.SOPInstanceUID = pydicom.uid.MRImageStorage, "1.2.1"
    ds.SeriesInstanceUID, ds.StudyInstanceUID, ds.Modality = "1.2", "1", "MR"
    ds.PatientName, ds.PixelSpacing = "Doe^Jane", [0.5, 0.25]
    ds.Rows, ds.Columns = 6, 8
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 12, 11, 0
    ds.PixelData = _values((6, 8)).tobytes()
    ds["PixelData"].VR = "OW"
    for keyword, value in header.items():
        setattr(ds, keyword, value)
    return ds


def _dicom(path: Path) -> None:
    dataset(RescaleSlope=2, RescaleIntercept=-1024, PixelPaddingValue=0).save_as(
        path, enforce_file_format=True
    )


def _dicom_rle(path: Path) -> None:
    import pydicom

    ds = dataset()
    ds.compress(pydicom.uid.RLELossless, generate_instance_uid=False)
    ds.save_as(path, enforce_file_format=True)


def _enhanced(path: Path) -> None:
    import pydicom

    def item(**elements: Any) -> Any:
        made = pydicom.Dataset()
        for keyword, value in elements.items():
            setattr(made, keyword, value)
        return made

    frames = [
        item(
            PlanePositionSequence=[item(ImagePositionPatient=[0, 0, float(z)])],
            PlaneOrientationSequence=[item(ImageOrientationPatient=[1, 0, 0, 0, 1, 0])],
        )
        for z in range(3)
    ]
    dataset(
        SOPClassUID=pydicom.uid.EnhancedMRImageStorage,
        NumberOfFrames=3,
        PixelData=_values((3, 6, 8)).tobytes(),
        SharedFunctionalGroupsSequence=[
            item(PixelMeasuresSequence=[item(PixelSpacing=[1, 1], SliceThickness=1)])
        ],
        PerFrameFunctionalGroupsSequence=frames,
    ).save_as(path, enforce_file_format=True)


def _series(path: Path) -> None:
    path.mkdir(exist_ok=True)
    for z in range(3):
        ds = dataset(
            ImagePositionPatient=[0, 0, float(z)],
            ImageOrientationPatient=[1, 0, 0, 0, 1, 0],
            InstanceNumber=z + 1,
            SOPInstanceUID=f"1.2.{z + 1}",
        )
        ds.save_as(path / f"{z}.dcm", enforce_file_format=True)


def _slices(path: Path) -> None:
    path.mkdir(exist_ok=True)
    for z in range(3):
        io.write(Record(_values((8, 9), "uint8", 200) + z, "YX"), path / f"{z}.png")


def _nifti(shape: tuple[int, ...], dtype: str = "int16") -> Callable[[Path], None]:
    def make(path: Path) -> None:
        import nibabel

        image: Any = nibabel.Nifti1Image(_values(shape, dtype), np.diag([2.0, 2, 3, 1]))
        if path.suffix == ".hdr":
            image = nibabel.Nifti1Pair(image.dataobj, image.affine)
        nibabel.save(image, path)
        if len(shape) == 4:
            stem = path.name.partition(".")[0]
            count = shape[3]
            b = " ".join(["0"] + ["1000"] * (count - 1))
            path.with_name(f"{stem}.bval").write_text(b + "\n")
            row = " ".join(["0"] + ["1"] * (count - 1))
            rest = " ".join(["0"] * count)
            path.with_name(f"{stem}.bvec").write_text(f"{row}\n{rest}\n{rest}\n")

    return make


def _nrrd(path: Path) -> None:
    import nrrd

    nrrd.write(
        str(path),
        _values((5, 6, 4), "int16"),
        {"space": "left-posterior-superior", "space directions": np.diag([1.0, 2, 3])},
        detached_header=path.suffix == ".nhdr",
    )


def _hdf5(path: Path) -> None:
    import h5py

    with h5py.File(path, "w") as file:
        file["reconstruction_rss"] = _values((3, 12, 10)).astype(np.float32)
        file["ismrmrd_header"] = (
            '<ismrmrdHeader xmlns="http://www.ismrm.org/ISMRMRD"><encoding><reconSpace><matrixSize>'
            "<x>12</x><y>10</y><z>1</z></matrixSize><fieldOfView_mm><x>24</x><y>10</y><z>5</z>"
            "</fieldOfView_mm></reconSpace></encoding></ismrmrdHeader>"
        )


def _hdf5_chunks(path: Path) -> None:
    import h5py

    with h5py.File(path, "w") as file:
        file.create_dataset("a", data=_values((3, 12, 10)), compression="gzip", chunks=(1, 6, 5))


def _zarr(version: Literal[2, 3]) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        import zarr

        group = zarr.open_group(path, mode="w", zarr_format=version)
        data = _values((2, 4, 12, 10))
        group.create_array("0", data=data, chunks=(1, 2, 6, 5))
        scales = [{"type": "scale", "scale": [1.0, 2.0, 0.5, 0.5]}]
        described: Any = {
            "version": "0.4" if version == 2 else "0.5",
            "axes": [{"name": a, "type": "channel" if a == "c" else "space"} for a in "czyx"],
            "datasets": [{"path": "0", "coordinateTransformations": scales}],
        }
        if version == 2:
            group.attrs["multiscales"] = [described]
        else:
            group.attrs["ome"] = {"version": "0.5", "multiscales": [described]}

    return make


def _archive(path: Path) -> None:
    np.savez_compressed(path, noisy=_values((12, 16)), rate=np.array(100.0))


def _matches(path: Path) -> None:
    np.savez(path, matches=np.random.default_rng(0).random((9, 4)), size=np.array([9, 9]))


def _edf(path: Path) -> None:
    """Two channels of unlike rates and annotations, with a gap."""
    head = [b"0", b"X X X X", b"Startdate 02-MAY-2021 X X X", b"02.05.21", b"10.11.12"]
    count, sizes = 3, (20, 10, 15)
    fixed = [str(256 * (1 + count)).encode(), b"EDF+D", b"2", b"1", str(count).encode()]
    widths = (8, 80, 80, 8, 8, 8, 44, 8, 8, 4)
    raw = b"".join(v.ljust(w) for v, w in zip(head + fixed, widths, strict=True))
    fields: list[tuple[int, list[bytes]]] = [
        (16, [b"EMG", b"ECG", b"EDF Annotations"]),
        (80, [b""] * 3),
        (8, [b"uV", b"mV", b""]),
        (8, [b"-500", b"-5", b"-1"]),
        (8, [b"500", b"5", b"1"]),
        (8, [b"-2048", b"-2048", b"-32768"]),
        (8, [b"2047", b"2047", b"32767"]),
        (80, [b"HP:10Hz"] * 3),
        (8, [str(n).encode() for n in sizes]),
        (32, [b""] * 3),
    ]
    for width, values in fields:
        raw += b"".join(v.ljust(width) for v in values)
    for onset in (0, 3):
        for n in sizes[:2]:
            raw += (_values((n,)).astype("<i2") - 2000).tobytes()
        text = f"+{onset}\x14\x14\x00+{onset}.5\x14stimulus\x14\x00".encode()
        raw += text.ljust(2 * sizes[2], b"\0")
    path.write_bytes(raw)


def _text(content: str) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        raw = content.encode()
        path.write_bytes(gzip.compress(raw, mtime=0) if path.suffix == ".gz" else raw)

    return make


def _packed(name: str) -> Callable[[Path], None]:
    """With an encoder of imagecodecs."""

    def make(path: Path) -> None:
        import imagecodecs

        path.write_bytes(getattr(imagecodecs, f"{name}_encode")(_values((24, 32), "uint8", 200)))

    return make


def _exr(path: Path) -> None:
    import OpenEXR

    header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
    OpenEXR.File(header, {"Y": _values((6, 8)).astype("<f4")}).write(str(path))


def _dng(path: Path) -> None:
    import tifffile

    matrix = [n for v in (1, 0, 0, 0, 1, 0, 0, 0, 1) for n in (v, 1)]
    tags: list[Any] = [
        (33421, 3, 2, (2, 2), True),
        (33422, 1, 4, b"\0\1\1\2", True),
        (50706, 1, 4, bytes((1, 4, 0, 0)), True),
        (50708, 2, 8, b"Acme X1\0", True),
        (50717, 4, 1, 4095, True),
        (50721, 10, 9, tuple(matrix), True),
        (50728, 5, 3, (1, 1, 1, 1, 1, 1), True),
    ]
    with tifffile.TiffWriter(path) as out:
        x = _values((32, 48))
        out.write(x, photometric="cfa", metadata=None, software=False, extratags=tags)


def _companion(path: Path) -> None:
    """An OME-TIFF of two files, and a third one with its XML."""
    import tifffile

    url = "http://www.openmicroscopy.org/Schemas/OME/2016-06"
    ids = [f"urn:uuid:0000000{i}-0000-0000-0000-000000000000" for i in range(3)]
    places = "".join(
        f'<TiffData IFD="0" FirstT="{i}" PlaneCount="1"><UUID FileName="t{i}.ome.tif">{ids[i]}'
        "</UUID></TiffData>"
        for i in range(2)
    )
    path.write_text(
        f'<?xml version="1.0"?><OME xmlns="{url}" UUID="{ids[2]}"><Image ID="Image:0">'
        '<Pixels ID="Pixels:0" DimensionOrder="XYZCT" Type="uint16" SizeX="16" SizeY="12" '
        'SizeZ="1" SizeC="1" SizeT="2"><Channel ID="Channel:0:0" SamplesPerPixel="1"/>'
        f"{places}</Pixels></Image></OME>"
    )
    body = f'<BinaryOnly MetadataFile="{path.name}" UUID="{ids[2]}"/>'
    for i in range(2):
        xml = f'<?xml version="1.0"?><OME xmlns="{url}" UUID="{ids[i]}">{body}</OME>'
        place = path.with_name(f"t{i}.ome.tif")
        tifffile.imwrite(place, _values((12, 16)) + i, description=xml, metadata=None)


def _lif(path: Path) -> None:
    microscope_files.lif(path, {"one": (_values((2, 12, 16)), "ZYX")})


def _czi(path: Path) -> None:
    microscope_files.czi(path, "YX", [((0, 0), _values((12, 16)))])


def _nd2(path: Path) -> None:
    plane = {"sDescription": "DAPI", "uiColor": 0xFF0000, "uiCompCount": 1}
    picture = {
        "sPicturePlanes": {"uiCount": 1, "sPlaneNew": {"a0": plane}},
        "bCalibrated": True,
        "dCalibration": 0.25,
        "dObjectiveMag": 20.0,
    }
    times = {"uiCount": 2, "dStart": 0.0, "dPeriod": 2000.0, "dDuration": 0.0}
    chunks = {"ImageMetadataSeq|0!": picture, "ImageMetadata!": {"eType": 1, "uLoopPars": times}}
    microscope_files.nd2(path, _values((2, 12, 16, 1)), chunks)


_ROWS = ("MKVLAT--GH", "MKILSTPWGH", "MRVL-TPWGY")
_A3M = "".join(f">P{i} protein {i}\n{r[:4]}gk{r[4:]}\n" for i, r in enumerate(_ROWS) if i)
_CLOCK = "".join(f"2021-05-02 10:11:{i:02d},{i * 0.5},{-i}\n" for i in range(30))

#: (format, file name, kind of data) → its maker
FOREIGN: dict[tuple[str, str, str | None], Callable[[Path], object]] = {
    ("PNG", "palette.png", None): _pillow("P"),
    ("PNG", "alpha.png", None): _pillow("RGBA"),
    ("PNG", "bits.png", None): _pillow("1"),
    ("JPEG", "plain.jpg", None): _pillow("RGB"),
    ("JPEG", "progressive.jpg", None): _pillow("L", progressive=True),
    ("BMP", "a.bmp", None): _pillow("RGB"),
    ("GIF", "a.gif", None): _pillow("L"),
    ("WebP", "a.webp", None): _pillow("RGB", lossless=True),
    ("PNM", "a.ppm", None): _pillow("RGB"),
    ("JPEG 2000", "a.jp2", None): _packed("jpeg2k"),
    ("JPEG XL", "a.jxl", None): _packed("jpegxl"),
    ("JPEG-LS", "a.jls", None): _packed("jpegls"),
    ("OpenEXR", "a.exr", None): _exr,
    ("DNG", "a.dng", None): _dng,
    ("CZI", "a.czi", None): _czi,
    ("ND2", "a.nd2", None): _nd2,
    ("LIF", "a.lif", None): _lif,
    ("OME companion", "t.companion.ome", None): _companion,
    ("TIFF", "lzw.tif", None): _tiff(compression="lzw", predictor=True, rowsperstrip=8),
    ("TIFF", "tiles.tif", None): _tiff(compression="zlib", tile=(16, 16)),
    ("TIFF", "jpeg.tif", None): _tiff((32, 48), compression="jpeg", dtype="uint8"),
    ("TIFF", "big.tif", None): _tiff(bigtiff=True, byteorder=">"),
    ("TIFF", "imagej.tif", None): _tiff(imagej=True, metadata={"axes": "ZYX", "unit": "um"}),
    ("TIFF", "a.ome.tif", None): _tiff(ome=True, metadata={"axes": "CYX"}),
    ("TIFF", "colour.tif", None): _tiff((16, 24, 3), dtype="uint8", photometric="rgb"),
    ("DICOM", "plain.dcm", None): _dicom,
    ("DICOM", "rle.dcm", None): _dicom_rle,
    ("DICOM", "enhanced.dcm", None): _enhanced,
    ("DICOM series", "scan", None): _series,
    ("PNG slices", "stack", "volume"): _slices,
    ("NIfTI", "plain.nii", None): _nifti((7, 6, 5)),
    ("NIfTI", "dwi.nii.gz", None): _nifti((7, 6, 5, 4)),
    ("NIfTI pair", "pair.hdr", None): _nifti((7, 6, 5)),
    ("NRRD", "plain.nrrd", None): _nrrd,
    ("NRRD", "parts.nhdr", None): _nrrd,
    ("HDF5", "scan.h5", None): _hdf5,
    ("HDF5", "chunks.h5", None): _hdf5_chunks,
    ("Zarr", "v2.zarr", None): _zarr(2),
    ("Zarr", "v3.zarr", None): _zarr(3),
    ("NumPy archive", "recording.npz", None): _archive,
    ("NumPy archive", "matches.npz", "correspondences"): _matches,
    ("EDF", "gap.edf", None): _edf,
    ("text in columns", "clock.csv", None): _text("time,EMG [uV],ECG [mV]\n" + _CLOCK),
    ("text in columns", "plain.txt", "signal"): _text(
        "# rate: 100 Hz\n" + "".join(f"{i}\t{i * i}\n" for i in range(30))
    ),
    ("A3M", "insertions.a3m.gz", None): _text(f">query\n{_ROWS[0]}\n{_A3M}"),
    ("Stockholm", "annotated.sto", None): _text(
        "# STOCKHOLM 1.0\n#=GF ID X\n"
        + "".join(f"P{i}/1-9 {r}\n#=GR P{i}/1-9 PP 9999999999\n" for i, r in enumerate(_ROWS))
        + "#=GC RF xxxxxxxxxx\n//\n"
    ),
    ("CLUSTAL", "blocks.aln", None): _text(
        "CLUSTAL W (1.83) multiple sequence alignment\n\n"
        + "".join(f"P{i}     {r}\n" for i, r in enumerate(_ROWS))
        + "       *:.\n\n"
        + "".join(f"P{i}     {r}\n" for i, r in enumerate(_ROWS))
    ),
    ("PLY", "faces.ply", None): _text(
        "ply\nformat ascii 1.0\nelement vertex 4\nproperty float x\nproperty float y\n"
        "property float z\nproperty uchar red\nelement face 2\n"
        "property list uchar int vertex_indices\nend_header\n"
        "0 0 0 9\n1 0 0 8\n0 1 0 7\n0 0 1 6\n3 0 1 2\n3 0 2 3\n"
    ),
    ("PCD", "fields.pcd", None): _text(
        "# .PCD v0.7\nVERSION 0.7\nFIELDS x y z n\nSIZE 4 4 4 4\nTYPE F F F U\nCOUNT 1 1 1 2\n"
        "WIDTH 4\nHEIGHT 1\nVIEWPOINT 0 0 0 1 0 0 0\nPOINTS 4\nDATA ascii\n"
        + "".join(f"{i} 0.5 {i * i} 1 2\n" for i in range(4))
    ),
    ("points in text", "counted.pts", None): _text("4\n0 0 0 1\n1 0 0 2\n0 1 0 3\n0 0 1 4\n"),
}

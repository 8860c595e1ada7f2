"""Small files of every format: those that hush writes, and some of other programs.

Formats are taken from the table, so that a new one is in the corpus at once; of one that is only
read, `FOREIGN` makes a file.
"""

from __future__ import annotations

import gzip
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hush import io, kinds
from hush.errors import HushError
from hush.io.residues import AMINO
from hush.kinds.alignment import Alignment
from hush.record import Record
from hush.recording import Channel


@dataclass(frozen=True)
class Sample:
    """One input: a file, or a folder that is one, with the files beside it that belong to it.

    path : what a user names, in a folder of its own; format : the name of its format; kind : of
    data, if it has to be stated.
    """

    path: Path
    format: str
    kind: str | None = None

    @property
    def files(self) -> dict[str, bytes]:
        """Content of all files of its folder, by their paths in it."""
        root = self.path.parent
        found = sorted(p for p in root.rglob("*") if p.is_file())
        return {p.relative_to(root).as_posix(): p.read_bytes() for p in found}


def corpus(folder: Path, names: tuple[str, ...] = ()) -> list[Sample]:
    """Write the corpus into a folder; names : of formats, all by default."""
    made = [*_own(folder / "own"), *_foreign(folder / "foreign")]
    return [sample for sample in made if not names or sample.format in names]


def unmade(samples: list[Sample]) -> list[str]:
    """Formats of which there is no file."""
    return [f.name for f in io.FORMATS if f.name not in {s.format for s in samples}]


# -- as hush writes them -----------------------------------------------------------------------


def records() -> Iterator[tuple[str, Record]]:
    """Small data of every kind."""
    rng = np.random.default_rng(0)
    yield "gray", Record(rng.integers(0, 200, (12, 16)).astype(np.uint8), "YX")
    yield "colour", Record(rng.integers(0, 60_000, (10, 12, 3)).astype(np.uint16), "YXS")
    yield "floats", Record(rng.random((3, 8, 9)).astype(np.float32), "QYX")
    volume = rng.integers(-900, 900, (4, 7, 6)).astype(np.int16)
    yield "volume", Record(volume, "ZYX", kind="volume")
    series = rng.integers(0, 900, (5, 4, 7, 6)).astype(np.int16)
    yield "series", Record(series, "CZYX", kind="volume")
    x = rng.integers(-900, 900, (2, 60)).astype(np.float32)
    layout = (Channel("EMG 1", "uV", 100.0, 0, 60), Channel("EMG 2", "mV", 100.0, 60, 60))
    yield "recording", Record(x, "CT", kind="signal", context={"layout": layout, "events": ()})
    for kind in (k for k in map(kinds.get, kinds.KINDS) if k.selected):
        if isinstance(kind, Alignment):
            letters = np.frombuffer(AMINO.encode(), "S1").astype(str)
            drawn = rng.choice(letters, (7, 11))
            rows = ["".join(row) for row in drawn]
            record = kind.from_objects([*rows, rows[0][:5] + "-" * 6])
            assert record is not None
            yield kind.name, record
        else:
            rows = rng.integers(-900, 900, (9, 4)).astype(np.float64)
            yield kind.name, Record(rows, "NC", kind=kind.name, full=1.0)


def _own(folder: Path) -> Iterator[Sample]:
    """Of every format and ending all that it holds."""
    for fmt in (f for f in io.FORMATS if f.write):
        for suffix in fmt.suffixes:
            for name, record in records():
                if not fmt.holds(record.kind):
                    continue
                place = folder / f"{fmt.name} {suffix.replace('.', '')} {name}".replace(" ", "_")
                path = place / f"a{suffix}"
                try:
                    if io.format_for(path, record.kind) is not fmt:
                        continue  # another format has this ending, too
                    io.write(record, path)
                except HushError:
                    continue  # the format does not hold this one
                yield Sample(path, fmt.name, record.kind)


# -- as others write them ----------------------------------------------------------------------


def _foreign(folder: Path) -> Iterator[Sample]:
    for (fmt, name, kind), make in FOREIGN.items():
        place = folder / name.replace("/", "_")
        place.mkdir(parents=True, exist_ok=True)
        with suppress(ImportError), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            path = place / name
            make(path)
            yield Sample(path, fmt, kind)


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


def _dataset(**header: Any) -> Any:
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
    _dataset(RescaleSlope=2, RescaleIntercept=-1024, PixelPaddingValue=0).save_as(
        path, enforce_file_format=True
    )


def _dicom_rle(path: Path) -> None:
    import pydicom

    ds = _dataset()
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
    _dataset(
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
        ds = _dataset(
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

        image = nibabel.Nifti1Image(_values(shape, dtype), np.diag([2.0, 2, 3, 1]))
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


def _zarr(version: int) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        import zarr

        group = zarr.open_group(path, mode="w", zarr_format=version)
        data = _values((2, 4, 12, 10))
        group.create_array("0", data=data, chunks=(1, 2, 6, 5))
        scales = [{"type": "scale", "scale": [1.0, 2.0, 0.5, 0.5]}]
        described = {
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

"""The table of formats, and which of them a file has."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path

from hush.io import (
    aligned,
    array,
    clustal,
    columns,
    dicom,
    dicom_series,
    edf,
    edf_layout,
    fasta,
    fits,
    fits_write,
    hdf5,
    hdf5_write,
    image,
    mrc,
    nifti,
    nrrd,
    pcd,
    ply,
    psicov,
    rows,
    slices,
    stockholm,
    tiff,
    tiff_ome,
    wfdb,
    zarr,
)
from hush.io.codecs_read import MICROSCOPES, PICTURES, RAWS
from hush.io.format import Format
from hush.record import Record
from hush.table import Table

#: formats that say where voxels are
_DESCRIBED = ("NIfTI", "NIfTI pair", "NRRD", "DICOM series", zarr.NAME)


def _values(record: Record, lost: str = "no voxel size, orientation") -> list[str]:
    """A format for any values, which does not hold what a format of volumes does."""
    source = record.meta.get("format")
    if record.kind != "volume" or source not in _DESCRIBED:
        return []
    return [
        f"This file holds the values as they are stored, but {lost}, slope, b-values or directions "
        f"of the {source} input. Write .nii.gz to keep them."
    ]


def _sized(record: Record) -> list[str]:
    """The same; but the size of a voxel is held of slices."""
    return _values(record, "no orientation") if record.axes.endswith("YX") else _values(record)


def _tokens(record: Record, target: str = ".npy", holds: str = "") -> list[str]:
    """The same; and of an alignment there are tokens, and what `holds` says."""
    rest = aligned.left_out(record, target, holds) if record.kind == "alignment" else []
    return _values(record) + rest


#: hush's own formats; the first that recognises a file is used, or by its name alone, the first of
#: the kind of data that the user stated
FORMATS: tuple[Format, ...] = (
    Format(
        "PNG",
        (".png",),
        image.read_png,
        image.write_png,
        (b"\x89PNG\r\n\x1a\n",),
        check=image.png_array,
        note=image.png_note,
    ),
    *RAWS,
    *MICROSCOPES,
    *PICTURES,
    Format(
        "JPEG",
        (".jpg", ".jpeg"),
        image.read_jpeg,
        magic=(b"\xff\xd8\xff",),
        instead=".png",
        why="hush does not write JPEG, which would add its own noise",
    ),
    Format(
        "DICOM",  # before TIFF: its preamble may be the beginning of a TIFF file (PS3.10 7.1)
        (".dcm", ".dicom", ".ima"),
        dicom.read,
        dicom.write,
        dicom.MAGIC,
        check=dicom.check,
        offset=dicom.OFFSET,
        also=("volume",),
        takes=("kind",),
        sniff=dicom.begins,
    ),
    Format(
        "TIFF",
        (*tiff.OME_SUFFIXES, ".tif", ".tiff"),
        tiff.read,
        tiff.write,
        tiff.MAGIC,
        real=True,
        note=_sized,
        open=tiff.open_large,
        also=("volume",),
    ),
    Format(
        "OME companion",
        tiff_ome.COMPANION,
        tiff.read,
        instead=".ome.tif",
        why="hush writes the image that it describes as one OME-TIFF",
        also=("volume",),
        sniff=tiff_ome.is_companion,
    ),
    Format(
        "FITS",
        fits.ENDINGS,
        fits.read,
        fits_write.write,
        fits.MAGIC,
        check=fits_write.check,
        real=True,
        note=_values,
        open=fits_write.open_plain,
        also=("volume",),
        sniff=fits.sniff,
    ),
    Format(
        "NumPy array",
        (".npy",),
        array.read_npy,
        array.write_npy,
        (b"\x93NUMPY",),
        kind=None,
        check=array.check_npy,
        real=True,
        note=_tokens,
        open=array.open_npy,
    ),
    Format(
        "NumPy archive",
        (".npz",),
        array.read_npz,
        array.write_npz,
        (b"PK\x03\x04",),
        kind=None,
        check=array.check_npz,
        real=True,
        note=partial(_tokens, target=".npz", holds="names"),
    ),
    Format(
        "DICOM series",
        (),
        dicom_series.read,
        dicom_series.write,
        kind="volume",
        check=dicom_series.check,
        files=dicom_series.files,
        folder=dicom_series.is_series,
        takes=("series",),
    ),
    Format(
        "PNG slices",
        (),
        slices.read,
        slices.write,
        kind="volume",
        check=slices.check,
        files=slices.files,
        folder=slices.is_stack,
    ),
    Format(
        "NIfTI",
        nifti.ENDINGS,
        nifti.read,
        nifti.write,
        nifti.MAGIC,
        kind="volume",
        check=nifti.check,
        offset=nifti.OFFSET,
        real=True,
        files=nifti.files,
        probable=nifti.probable,
        open=nifti.open_plain,
        sniff=nifti.single,
    ),
    Format(
        "NIfTI pair",
        nifti.PAIRS,
        nifti.read,
        magic=nifti.PAIR_MAGIC,
        kind="volume",
        offset=nifti.OFFSET,
        instead=".nii.gz",
        why="hush writes a pair of .hdr and .img as one file",
        probable=nifti.probable_pair,
        sniff=nifti.paired,
    ),
    Format(
        "NRRD",
        nrrd.ENDINGS,
        nrrd.read,
        nrrd.write,
        nrrd.MAGIC,
        kind="volume",
        check=nrrd.check,
        real=True,
        note=nrrd.notes,
        files=nrrd.files,
        probable=nrrd.probable,
    ),
    Format(
        "MRC",
        mrc.ENDINGS,
        mrc.read,
        mrc.write,
        mrc.MAGIC,
        check=mrc.check,
        offset=mrc.OFFSET,
        real=True,
        note=_values,
        probable=mrc.probable,
        open=mrc.open_plain,
        also=("volume",),
        sniff=mrc.sniff,
    ),
    Format(
        "HDF5",
        hdf5.ENDINGS,
        hdf5.read,
        hdf5_write.write,
        hdf5.MAGIC,
        check=hdf5_write.check,
        real=True,
        note=_values,
        open=hdf5_write.open_plain,
        sniff=hdf5.sniff,
        also=("volume",),
        takes=("kind",),
    ),
    Format(
        zarr.NAME,
        zarr.SUFFIXES,
        zarr.read,
        zarr.write,
        kind="volume",
        check=zarr.check,
        real=True,
        note=zarr.notes,
        also=("image",),
        folder=zarr.is_store,
    ),
    Format(
        "WFDB",
        (".hea",),
        wfdb.read,
        wfdb.write,
        kind="signal",
        check=wfdb.check,
        note=wfdb.notes,
        files=wfdb.files,
        probable=wfdb.probable,
        joint="_",
    ),
    Format(
        fasta.A3M,
        fasta.A3M_ENDINGS,
        fasta.read,
        fasta.write_a3m,
        fasta.MAGIC,
        kind="alignment",
        check=aligned.as_alignment,
        note=fasta.notes_a3m,
        sniff=fasta.is_a3m,
    ),
    Format(
        fasta.FASTA,
        fasta.FASTA_ENDINGS,
        fasta.read,
        fasta.write_fasta,
        fasta.MAGIC,
        kind="alignment",
        check=aligned.as_alignment,
        note=fasta.notes_fasta,
        probable=fasta.probable,
        sniff=fasta.is_fasta,
    ),
    Format(
        stockholm.NAME,
        stockholm.ENDINGS,
        stockholm.read,
        stockholm.write,
        stockholm.MAGIC,
        kind="alignment",
        check=stockholm.check,
        note=stockholm.notes,
        sniff=stockholm.sniff,
        takes=("alignment",),
    ),
    Format(
        clustal.NAME,
        clustal.ENDINGS,
        clustal.read,
        clustal.write,
        clustal.MAGIC,
        kind="alignment",
        check=aligned.as_alignment,
        note=clustal.notes,
        sniff=clustal.sniff,
    ),
    Format(
        psicov.NAME,
        psicov.ENDINGS,
        psicov.read,
        psicov.write,
        kind="alignment",
        check=aligned.as_alignment,
        note=psicov.notes,
        sniff=psicov.sniff,
    ),
    Format(
        "text in columns",
        columns.SUFFIXES,
        columns.read,
        columns.write,
        kind="signal",
        check=columns.check,
        note=columns.notes,
        probable=columns.probable,
    ),
    Format(
        "EDF",
        (".edf",),
        edf.read,
        edf.write_edf,
        edf_layout.EDF,
        kind="signal",
        check=edf.check_edf,
        note=edf.notes_edf,
    ),
    Format(
        "BDF",
        (".bdf",),
        edf.read,
        edf.write_bdf,
        edf_layout.BDF,
        kind="signal",
        check=edf.check_bdf,
        note=edf.notes_bdf,
    ),
    Format(
        "PLY",
        (".ply",),
        ply.read,
        ply.write,
        ply.MAGIC,
        kind="points",
        check=ply.check,
        note=ply.notes,
    ),
    Format(
        "PCD",
        (".pcd",),
        pcd.read,
        pcd.write,
        kind="points",
        check=pcd.check,
        note=pcd.notes,
    ),
    Format(
        "points in text",
        rows.ENDINGS,
        rows.read,
        rows.write,
        kind="points",
        check=rows.check,
        probable=rows.probable,
    ),
    Format(
        "matches in text",
        rows.ENDINGS,
        rows.read_matches,
        rows.write,
        kind="correspondences",
        check=rows.check,
        probable=rows.probable,
    ),
    Format(
        "segments in text",
        rows.ENDINGS,
        rows.read_segments,
        rows.write,
        kind="segments",
        check=rows.check,
        probable=rows.probable,
    ),
)

#: formats of other packages, tried after hush's own
ADDED: Table[Format] = Table("hush.formats", {})


def formats() -> Iterator[Format]:
    """Every format, hush's own first; the others are imported only when they are reached."""
    yield from FORMATS
    for name in ADDED:
        yield ADDED[name]


def named(path: Path, kind: str | None = None) -> Format | None:
    """The first format with the ending of `path`, rather one for this kind of data; or None."""
    return preferred((f for f in formats() if f.named(path)), kind)


def preferred(found: Iterable[Format], kind: str | None) -> Format | None:
    """The first of some formats, or if its files are known by name only, the first of `kind`.

    Several kinds of data may share an ending, such as ``.txt``.
    """
    every = list(found)
    if not every or every[0].magic:
        return every[0] if every else None
    return next((f for f in every if f.kind == kind), every[0])


def folder_format(path: Path, kind: str | None = None) -> Format | None:
    """The format of which a folder is one input; None for files, and folders of separate files.

    kind : of data, if the user stated it.
    """
    try:
        if path.is_dir():
            found = (f for f in formats() if f.folder is not None and f.folder(path, kind))
            return next(found, None)
    except OSError:  # reading it raises the error
        pass
    return None


def supported(writable: bool = False, kind: str | None = None) -> tuple[str, ...]:
    """File name endings that hush reads, or with `writable` those that it writes.

    kind : of data; only those of files that may hold it.
    """
    able = (f for f in formats() if (f.write or not writable) and (not kind or f.holds(kind)))
    return tuple(dict.fromkeys(s for f in able for s in f.suffixes))


def format_of(record: Record) -> Format | None:
    """The format that a record was read from, or None if it was not read from a file."""
    name = record.meta.get("format")
    return next((f for f in formats() if f.name == name), None)

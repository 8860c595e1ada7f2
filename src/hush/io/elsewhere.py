"""Files that hush does not read, by their endings, names or first bytes, and the way out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

_ARCHIVE = "is an archive; unpack it and give the files in it"
_VIDEO = "is a video, whose compression removed most of the noise; save its frames as a TIFF stack"
_PDF = "is a document; save the picture in it as PNG or TIFF"
_HEIF = (
    "is a HEIF or AVIF picture, which the camera denoised and compressed with loss; give the "
    "camera's raw file, or save it as PNG"
)
_MATLAB = (
    "is a MATLAB file of a version before 7.3; save it in MATLAB with -v7.3, or as .npy from "
    "scipy.io.loadmat"
)
_BRAINVISION = (
    "belongs to a BrainVision recording; with MNE, mne.io.read_raw_brainvision('NAME.vhdr') reads "
    "it, hush.denoise takes the result, and its export('NAME.edf') writes what hush reads"
)
_COLMAP = (
    "is of a COLMAP model; export the points with 'colmap model_converter --output_type PLY' and "
    "give the .ply file"
)
_LAS = "holds lidar points as LAS or LAZ; convert them with 'pdal translate NAME NAME.ply'"
_C3D = (
    "holds motion capture; save its analogue channels, such as EMG, as CSV or EDF (ezc3d reads "
    "them in Python)"
)
_OLYMPUS = "is an Olympus file; open it with Bio-Formats in Fiji and save it as OME-TIFF"
_FIJI = "open it with Bio-Formats in Fiji and save it as OME-TIFF"
_EEG = "; read it with MNE and export it as EDF"
_VENDOR = "is a {} file; " + _FIJI

_ZIP = b"PK\x03\x04"
#: by ending
_ENDINGS: Mapping[tuple[str, ...], str] = {
    (".c3d",): _C3D,
    (".las", ".laz"): _LAS,
    (".vhdr", ".vmrk", ".eeg"): _BRAINVISION,
    (".e57", ".pcap"): "holds lidar points; convert it to .ply or .pcd with PDAL or CloudCompare",
    (".obj", ".stl", ".off", ".glb", ".gltf"): "holds a mesh; save its points as .ply",
    (".oib", ".oif", ".oir", ".vsi"): _OLYMPUS,
    (".ims",): _VENDOR.format("Imaris"),
    (".lei",): "describes Leica TIFF files; give the TIFF files themselves",
    (".zvi",): _VENDOR.format("Zeiss ZVI"),
    (".mvd2", ".acff"): _VENDOR.format("Volocity"),
    (".sld", ".sldy"): _VENDOR.format("SlideBook"),
    (".xdce", ".c01"): _VENDOR.format("high-content screening"),
    (
        ".dm3",
        ".dm4",
    ): "is a Gatan file; save it as MRC or TIFF, such as with ncempy",
    (".ser", ".emd", ".emi"): "is an electron microscope's file; save it as MRC or TIFF, such as "
    "with ncempy",
    (".eer",): "holds electron events; make frames of them as MRC or TIFF, such as with RELION",
    (".sxm", ".spm", ".ibw", ".jpk", ".nid", ".gwy"): "is a scanning probe file; save the channel "
    "as a 32-bit TIFF in Gwyddion",
    (".sdt", ".ptu"): "holds photon arrival times; save the intensity image as TIFF",
    (".mat",): _MATLAB,
    (".xlsx", ".xls", ".ods"): "is a spreadsheet; save the sheet as CSV",
    (".docx", ".pptx", ".odt"): _PDF,
    (".avi", ".mp4", ".mov", ".mkv", ".webm", ".wmv", ".m4v"): _VIDEO,
    (".heic", ".heif", ".avif"): _HEIF,
    (".psd", ".xcf", ".kra"): "is a picture with layers; save it as PNG or TIFF",
    (".svg", ".eps", ".ai", ".ps"): "is a drawing, which has no noise",
    (".raw", ".bin", ".dat"): "has no header that says its shape; in Python, give the array: "
    "numpy.fromfile('NAME', 'uint16').reshape(ROWS, COLUMNS)",
    (".zip", ".tar", ".tgz", ".rar", ".7z", ".xz", ".zst"): _ARCHIVE,
    (".wav", ".mp3", ".flac", ".ogg", ".m4a"): "is sound, for which hush has no model; save it as "
    "CSV to try the methods for signals",
    (".acq", ".smr", ".smrx", ".adicht", ".poly5"): f"is a recording of laboratory software{_EEG}",
    (".set", ".fdt", ".cnt", ".mff", ".fif", ".gdf"): f"is an EEG recording{_EEG}",
    (".lnk",): "is a shortcut; give the file itself",
    (".pdb", ".cif", ".mmcif"): "holds a protein structure; give an alignment, such as .a3m",
    (".hhm", ".hmm"): "holds a profile; give the alignment it was made of, such as .a3m",
    (".fastq", ".fq", ".bam", ".sam", ".cram"): "holds reads; give an alignment of proteins, such "
    "as .a3m",
    (".safetensors", ".onnx", ".pt", ".pth"): "holds a model; give it as --model",
}
#: endings of binary files, which others give to text
_BINARY = (".mat", ".raw", ".bin", ".dat", ".ser", ".sdt", ".ptu", ".set", ".cnt", ".las", ".c3d")
#: by name, of programs whose files have names of their own
_NAMES: Mapping[str, str] = dict.fromkeys(
    [f"{name}.{ending}" for name in ("cameras", "images", "points3d") for ending in ("bin", "txt")],
    _COLMAP,
)
#: by the first bytes, of text that hush might take for columns of numbers
_TEXTS: Mapping[bytes, str] = {
    b"Brain Vision Data Exchange": _BRAINVISION,
    b"# Camera list": _COLMAP,
    b"# Image list": _COLMAP,
    b"# 3D point list": _COLMAP,
}
#: by the first bytes
_MAGIC: Mapping[bytes, str] = {
    b"SQLite format 3\0": "is a database, such as COLMAP's; in Python, pycolmap.Database reads its "
    "matches, and hush takes them as arrays",
    b"LASF": _LAS,
    b"%PDF": _PDF,
    b"MATLAB 5.0": _MATLAB,
    b"CDF\x01": "is a NetCDF 3 file; convert it with 'nccopy -k nc4 NAME NEW.nc'",
    b"CDF\x02": "is a NetCDF 3 file; convert it with 'nccopy -k nc4 NAME NEW.nc'",
    b"\x0e\x03\x13\x01": "is an HDF4 file; convert it to HDF5 with h4toh5",
    b"\xd0\xcf\x11\xe0": f"is a file of a vendor's program; {_FIJI}",
    b"7z\xbc\xaf": _ARCHIVE,
    b"Rar!": _ARCHIVE,
    b"BZh": _ARCHIVE,
    b"\x1f\x8b": _ARCHIVE,
    b"\xfd7zXZ": _ARCHIVE,
    b"\x28\xb5\x2f\xfd": _ARCHIVE,
    b"\x1aE\xdf\xa3": _VIDEO,
}
#: bytes 4 to 12 of an ISO media file
_MEDIA: Mapping[bytes, str] = {
    **dict.fromkeys([b"ftypheic", b"ftypheix", b"ftypmif1", b"ftypavif", b"ftypheif"], _HEIF),
    **dict.fromkeys([b"ftypmp42", b"ftypisom", b"ftypqt  ", b"ftypM4V "], _VIDEO),
}


def way_out(path: Path, head: bytes, recognised: bool = False) -> str:
    """What a file is that hush does not read, and what to do; or nothing if it is not known.

    Commands in it have the file's name. head : its first bytes. recognised : whether a format that
    hush reads has such bytes; then only text is looked at. Zip files are recognised by name alone.
    """
    said = _said(path.name.lower(), head, recognised)
    return said.replace("NAME.", f"{path.stem}.").replace("NAME", path.name)


def _said(name: str, head: bytes, recognised: bool) -> str:
    if name in _NAMES:
        return _NAMES[name]
    if text := next((said for magic, said in _TEXTS.items() if head.startswith(magic)), ""):
        return text
    if recognised and not (head.startswith(_ZIP) and not name.endswith(".npz")):
        return ""
    if head[8:12] == b"AVI ":
        return _VIDEO
    if head[257:262] == b"ustar":
        return _ARCHIVE
    if (ending := next((e for e in _BINARY if name.endswith(e)), "")) and _text(head):
        return (
            f"is text, unlike the {ending} files of other programs; if it holds columns of "
            "numbers, give it the ending .csv"
        )
    said = _MEDIA.get(head[4:12]) or next((_ENDINGS[e] for e in _ENDINGS if name.endswith(e)), "")
    return said or next((text for magic, text in _MAGIC.items() if head.startswith(magic)), "")


def _text(head: bytes) -> bool:
    """Whether a file that begins with `head` holds text: no byte of it is a control character."""
    return bool(head) and all(byte >= 32 or byte in b"\t\n\r\f" for byte in head)

"""Images in several TIFF files: OME-TIFF sets and Micro-Manager's stacks."""

from __future__ import annotations

from pathlib import Path

import tifffile

from hush.errors import HushError
from hush.io import tiff_ome
from hush.io.tiff_chain import check_chain, complaints, opened

_INDEX = "NDTiff.index"  #: of a Micro-Manager set


def whole(path: Path) -> tuple[Path, str | None, Path]:
    """A TIFF file to open for the image of which `path` is a part, OME-XML that it lacks, and the
    file that this is from.

    `HushError` if the file that describes the set, or one to open, is missing.
    """
    for _ in range(2):  # a part names the file that describes it, and that is the end
        if path.name.lower().endswith(".ome"):
            text = path.read_text(encoding="utf-8-sig")
            tiff_ome.check_files(text, path)
            files = tiff_ome.files_in(text, path.parent)
            if not files:
                raise HushError("names no TIFF files that hold its image")
            return files[0], text, path
        text = _xml(path)
        found = tiff_ome.master(path, text) if "BinaryOnly" in text else None
        if found is None:
            return path, None, path
        path = found
    raise HushError(f"is described in {path.name}, which names another file for that; save it anew")


def check(tif: tifffile.TiffFile, path: Path) -> None:
    """Raise HushError, with their names, if other files of the image are missing."""
    if tif.is_ome and tif.ome_metadata:
        tiff_ome.check_files(tif.ome_metadata, path)
        for file in tiff_ome.files_in(tif.ome_metadata, path.parent):
            if file.is_file():  # or it is this file, under its former name
                check_chain(file)
    if tif.is_ndtiff:
        names = [entry[1] for entry in tifffile.read_ndtiff_index(path.with_name(_INDEX))]
        lost = [n for n in dict.fromkeys(names) if not path.with_name(n).is_file()]
        if lost:
            raise HushError(
                f"is part of a Micro-Manager set of which {', '.join(lost[:3])} "
                f"{'is' if len(lost) == 1 else 'are'} missing; copy the whole folder"
            )


def members(path: Path) -> list[Path]:
    """The files that are read together with the one at `path`, itself included; or none.

    Files that cannot be read belong to none: reading them says why.
    """
    try:
        file, text, described = whole(path)
        if text is None:
            with complaints(), opened(file) as tif:
                if tif.is_mmstack or tif.is_ndtiff:
                    parts = (part for series in tif.series for part in series if part is not None)
                    return [Path(x) for x in dict.fromkeys(p.parent.filehandle.path for p in parts)]
                text = (tif.ome_metadata or "") if tif.pages and tif.is_ome else ""
        named = tiff_ome.files_in(text, file.parent) if "FileName" in text else []
        return list(dict.fromkeys([path, described, *named])) if named else []
    except Exception:  # on damaged files decoders raise almost any class
        return []


def _xml(path: Path) -> str:
    """The OME-XML in a TIFF file; empty without any."""
    with complaints(), opened(path) as tif:
        return (tif.ome_metadata or "") if tif.pages and tif.is_ome else ""

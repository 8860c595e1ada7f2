"""Which image of a FITS file is meant."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from hush.errors import HushError

#: names of images that belong to another one: its errors, flags, weights
_BESIDE = {"ERR", "ERROR", "DQ", "VAR", "VARIANCE", "UNCERT", "STDDEV", "WHT", "WEIGHT", "EXP"}
_BESIDE |= {"CON", "CTX", "MASK", "FLAGS", "SAMP", "TIME", "AREA", "BPM", "IVAR"}
_SHOWN = 6  #: names in a sentence


def chosen(hdus: Any, key: str | None, name: str) -> tuple[int, list[str]]:
    """The index of the HDU that `key` means, or of the only image; and sentences for the user.

    key : its number from 0, its name, or ``name,version``. Without one, images that are known to
    belong to another, such as its errors (``ERR``), are not counted.
    """
    images = [i for i, hdu in _parts(hdus) if _is_image(hdu)]
    keys = {i: _key(hdus, i) for i in images}
    if not keys:
        raise HushError(_nothing(hdus))
    if key is not None:
        number = int(key) if key.isdecimal() else None
        found = next((i for i in keys if i == number or _named(hdus[i], key)), None)
        if found is None:
            raise HushError(f"has no image '{key}', only {_listed(keys)}")
        return found, []
    main = [i for i in keys if hdus[i].name.upper() not in _BESIDE] or list(keys)
    if len(main) > 1:
        raise HushError(
            f"holds {len(main)} images ({_listed({i: keys[i] for i in main})}); choose one as "
            f"{name}:{keys[main[0]]}"
        )
    others = [keys[i] for i in keys if i != main[0]]
    are = "is" if len(others) == 1 else "are"
    said = f"Of this file's images, {keys[main[0]]} is denoised; {', '.join(others)} {are} not."
    return main[0], [said] if others else []


def _parts(hdus: Any) -> Iterator[tuple[int, Any]]:
    """Every HDU; `HushError` if one is before another, as astropy reads on in damaged files."""
    last = -1
    for index, hdu in enumerate(hdus):
        place = hdu.fileinfo()["hdrLoc"]
        if place <= last:
            raise HushError("is damaged: its parts are in each other; copy it again")
        last = place
        yield index, hdu


def _key(hdus: Any, index: int) -> str:
    """What chooses an HDU: its name, with its version if others have it, or its number."""
    name, version = hdus[index].name, hdus[index].ver
    same = [hdu.ver for hdu in hdus if hdu.name == name]
    if not name or same.count(version) > 1 or (index == 0 and name == "PRIMARY"):
        return str(index)
    return name if len(same) == 1 else f"{name},{version}"


def _named(hdu: Any, key: str) -> bool:
    name, _, version = key.upper().partition(",")
    return name == hdu.name.upper() and version.strip() in ("", str(hdu.ver))


def _is_image(hdu: Any) -> bool:
    if not hdu.is_image or type(hdu).__name__ == "GroupsHDU":
        return False
    shape = hdu.shape
    return len(shape) >= 2 and min(shape) > 0 and min(shape[-2:]) > 1


def _listed(keys: dict[int, str]) -> str:
    names = list(keys.values())
    return ", ".join(names[:_SHOWN]) + (", …" if len(names) > _SHOWN else "")


def _nothing(hdus: Any) -> str:
    """Why there is no image."""
    if any(hdu.is_image and len(hdu.shape) == 1 for hdu in hdus):
        return "holds a spectrum, not an image; save it as CSV and denoise it as a signal"
    return "holds no image" + (", only tables" if len(hdus) > 1 else "")

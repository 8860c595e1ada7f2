"""NumPy files: .npy, memory-mapped, and .npz holding one array. Pickles are never loaded."""

from __future__ import annotations

import errno
import os
import re
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np

from hush.errors import HushError
from hush.record import UNKNOWN, Record
from hush.recording import Channel

#: arrays of a .npz file that state the rate of a recording, the names of its channels, and units
RATES = ("fs", "rate", "sfreq", "sampling_rate", "sample_rate", "srate")
NAMES = ("columns", "channels", "names", "labels", "channel_names", "ch_names")
UNITS = ("units", "unit")
#: endings of files whose arrays are chosen by name
ARRAYS = ("npz", "zarr", "h5", "hdf5", "hdf", "he5", "nxs", "nc", "mat")
#: endings of files whose images are chosen by number or name (`hush.io.several`)
IMAGES: tuple[str, ...] = ("tif", "tiff", "btf", "tf2", "tf8", "svs", "ndpi", "scn", "lsm")
IMAGES += ("stk", "qptiff", "exr", "czi", "lif", "nd2", r"fi?ts?(?:\.gz)?", r"fits(?:\.gz|\.fz)?")
#: ratio of both sides of an image to its last axis, from which on that holds channels or slices
SHORT = 4
#: the key of the elements of a set, by its kind of data
SETS = {
    "points": "points",
    "correspondences": "matches",
    "segments": "segments",
    "alignment": "tokens",
}


def array_axes(shape: tuple[int, ...]) -> str:
    """Axes of an array, guessed from its shape.

    The last two axes are Y and X; axes before them are a stack of images: ``QYX``, ``IQYX``, ...
    Only a last axis of length 1, 3 or 4 that is shorter than the two before it counts as
    interleaved samples: ``YXS``, ``QYXS``, ... No sample of an array is alpha. Another last axis
    of a quarter of the two before it at most holds channels or slices, each an image of its own:
    ``YXC``. Leading channels count as a stack.

    Raises
    ------
    HushError
        For fewer than two dimensions, or more than there are letters.
    """
    if len(shape) < 2:
        return UNKNOWN[: len(shape)]
    samples = len(shape) >= 3 and shape[-1] in (1, 3, 4) and min(shape[-3:-1]) > shape[-1]
    short = len(shape) >= 3 and min(shape[-3:-1]) >= SHORT * shape[-1] > 0
    spatial = "YXS" if samples else "YXC" if short else "YX"
    stack = len(shape) - len(spatial)
    if stack < 0 or stack > len(UNKNOWN):
        raise HushError(
            f"has {len(shape)} dimension{'s' * (len(shape) != 1)}; an image has two, with "
            f"samples and stacks up to {len(UNKNOWN) + 2}"
        )
    return UNKNOWN[:stack][::-1] + spatial


def split_key(path: Path) -> tuple[Path, str | None]:
    """Split ``file.npz:key`` into the file and the key; other paths have no key.

    This applies to files that hold several arrays (`ARRAYS`) or images (`IMAGES`).
    """
    endings = "|".join(ARRAYS + IMAGES)
    match = re.fullmatch(rf"(.*\.(?:{endings})):(.+)", str(path), re.DOTALL | re.IGNORECASE)
    return (Path(match[1]), match[2]) if match and not path.exists() else (path, None)


def key_in_name(path: Path) -> str:
    """What a result's name says about the one of several images that it was: ``.2``; or nothing."""
    file, key = split_key(path)
    if key is None or file.name.lower().endswith(tuple(f".{e}" for e in ARRAYS)):
        return ""
    return "." + re.sub(r"[^\w.-]+", "_", key).strip("._")


@contextmanager
def _explained() -> Iterator[None]:
    """Turn what NumPy and zip raise for unreadable files into a sentence for the user."""
    try:
        yield
    except (HushError, MemoryError):
        raise
    except Exception as error:  # of almost any class
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
            raise  # of the disk
        if isinstance(error, ValueError) and "object" in str(error).lower():
            raise HushError("holds Python objects instead of numbers; save numbers") from error
        raise HushError("is cut short or damaged; copy it again, or save it again") from error


def read_npy(path: Path) -> Record:
    """The array in a .npy file, memory-mapped read-only."""
    with _explained():
        data = np.load(path, mmap_mode="r", allow_pickle=False)
    return Record(data, array_axes(data.shape))


def open_npy(record: Record, path: Path) -> np.ndarray:
    """An array in a .npy file that is being written, of the record's shape and dtype."""
    data = record.data
    made = np.lib.format.open_memmap(path, "w+", data.dtype, data.shape)
    take_room(path)
    return made


def take_room(path: Path) -> None:
    """Take a mapped file's room on the disk now; if that is full later, it is a fatal signal."""
    if hasattr(os, "posix_fallocate"):
        with path.open("r+b") as stream:
            os.posix_fallocate(stream.fileno(), 0, path.stat().st_size)


def write_npy(record: Record, path: Path) -> None:
    """Write the samples; a .npy file has no metadata."""
    with path.open("wb") as stream:
        np.lib.format.write_array(stream, record.data, allow_pickle=False)


def names_in(path: Path) -> list[str]:
    """The names of the arrays in a .npz file; of any other file, none."""
    file, key = split_key(path)
    if key is not None:
        return []
    try:
        with zipfile.ZipFile(file) as archive:
            return [n.removesuffix(".npy") for n in archive.namelist() if n.endswith(".npy")]
    except Exception:  # it is no such file, or damaged, which reading it says
        return []


def read_all(path: Path) -> dict[str, np.ndarray]:
    """Every array of a .npz file, by name."""
    with _explained(), np.load(path, allow_pickle=False) as archive:
        names = [n.removesuffix(".npy") for n in archive.zip.namelist() if n.endswith(".npy")]
        arrays = {name: archive[name] for name in names}
        if any(isinstance(values, bytes) for values in arrays.values()):  # what has no header
            raise ValueError
        return arrays


def read_npz(path: Path) -> Record:
    """The only array in a .npz file, or the one named by ``file.npz:key``.

    Beside a sampling rate it is a recording (`recording_in`).
    """
    file, key = split_key(path)
    if (recording := recording_in(file, key)) is not None:
        return recording
    with _explained(), zipfile.ZipFile(file) as archive:
        names = [n.removesuffix(".npy") for n in archive.namelist() if n.endswith(".npy")]
        if not names:
            raise HushError("is a zip file without NumPy arrays")
        if key is None and len(names) > 1:
            raise HushError(
                f"holds {len(names)} arrays ({', '.join(names)}); choose one as "
                f"{file.name}:{names[0]}"
            )
        key = names[0] if key is None else key
        if key not in names:
            raise HushError(f"has no array '{key}', only {', '.join(names)}")
        compressed = archive.getinfo(f"{key}.npy").compress_type != zipfile.ZIP_STORED
        with archive.open(f"{key}.npy") as stream:
            data = np.lib.format.read_array(stream, allow_pickle=False)
            stream.read()  # to the end, where zipfile compares the checksum
    return Record(data, array_axes(data.shape), meta={"npz": (key, compressed)})


def recording_in(file: Path, key: str | None) -> Record | None:
    """The recording in a .npz file that states its rate, as channels ``CT``; None for others.

    The rate is one of `RATES`; names and units of channels may be in `NAMES` and `UNITS`. Without
    `key` it has to be the only array of one or two dimensions that is none of these.
    """
    with _explained(), zipfile.ZipFile(file) as archive:
        names = [n.removesuffix(".npy") for n in archive.namelist() if n.endswith(".npy")]
        stated = next((n for n in RATES if n in names), None)
        if stated is None or (key is not None and key not in names):
            return None
        packed = any(x.compress_type != zipfile.ZIP_STORED for x in archive.infolist())
    arrays = read_all(file)
    rate = arrays[stated]
    about = {*RATES, *NAMES, *UNITS}
    able = [
        k
        for k, x in arrays.items()
        if k not in about and x.ndim in (1, 2) and x.dtype.kind in "iuf" and x.size
    ]
    if key is None and len(able) == 1:
        key = able[0]
    if key not in able or rate.size != 1 or rate.dtype.kind not in "iuf" or not float(rate) > 0:
        return None
    x = arrays[key]
    listed = {
        what: next((arrays[n].ravel() for n in keys if n in arrays), np.empty(0, str))
        for what, keys in (("names", NAMES), ("units", UNITS))
    }
    order = "T" if x.ndim == 1 else "CT" if _channels_first(x, len(listed["names"])) else "TC"
    data = np.ascontiguousarray({"T": x[None], "CT": x, "TC": x.T}[order])
    length = data.shape[1]
    named = [_texts(listed["names"], len(data)), _texts(listed["units"], len(data))]
    layout = tuple(
        Channel(name, unit, float(rate), c * length, length)
        for c, (name, unit) in enumerate(zip(*named, strict=True))
    )
    return Record(
        data,
        "CT",
        kind="signal",
        meta={"npz": (key, packed), "arrays": {**arrays, key: None}, "order": order},
        context={"layout": layout, "events": ()},
    )


def _channels_first(x: np.ndarray, names: int) -> bool:
    """Whether the first axis of an array ``(A, B)`` is channels: as many as names, or the fewer."""
    if (x.shape[0] == names) != (x.shape[1] == names):
        return x.shape[0] == names
    return x.shape[0] <= x.shape[1]


def _texts(values: np.ndarray, count: int) -> list[str]:
    """`count` names, or one unit for all channels; empty ones if there are others."""
    texts = [str(v) for v in values] if values.dtype.kind == "U" else []
    texts = texts * count if len(texts) == 1 else texts
    return texts if len(texts) == count else [""] * count


def with_arrays(record: Record, arrays: Mapping[str, np.ndarray]) -> Record:
    """A record that was made from a file's arrays, with what `write_npz` needs to write all."""
    key = next((k for k, x in arrays.items() if np.shares_memory(x, record.data)), None)
    others = {k: x for k, x in arrays.items() if k != key}
    return replace(record, meta={**record.meta, "npz": (key, True), "arrays": others})


def check_npy(record: Record) -> None:
    """Raise HushError for channels that do not fit in one array."""
    layout = record.context.get("layout", ())
    if len(layout) > 1 and record.axes == "T":
        raise HushError(
            "one array cannot hold channels of unlike rates, lengths or gaps; write the format of "
            "the input"
        )


def check_npz(record: Record) -> None:
    """Raise HushError for records made of several arrays, which no file can get back."""
    check_npy(record)
    if record.meta.get("npz", ("",))[0] is None:
        raise HushError("cannot hold values that come from several arrays; write a .npy file")


def write_npz(record: Record, path: Path) -> None:
    """Write the samples with the key and compression of the file read, and its other arrays.

    ``meta["arrays"]`` holds the others by name. Of a set that comes from another format, the key is
    that of its kind (`SETS`).
    """
    arrays, data = dict(record.meta.get("arrays", {})), record.data
    usual = SETS.get(record.kind, "arr_0") if "N" in record.axes else "arr_0"
    key, compressed = record.meta.get("npz", (usual, True))
    if "order" in record.meta:
        data = {"T": data[0], "CT": data, "TC": data.T}[record.meta["order"]]
    elif record.kind == "alignment" and "names" in record.context:
        arrays["names"] = np.array(record.context["names"])
    elif layout := record.context.get("layout"):
        arrays = {"fs": np.float64(layout[0].rate)} if layout[0].rate else {}
        arrays |= {"columns": np.array([c.name for c in layout])}
        arrays |= {"units": np.array([c.unit for c in layout])}
        key = "data"
    method = zipfile.ZIP_DEFLATED if compressed else zipfile.ZIP_STORED
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, values in {**arrays, key: data}.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as stream:
                np.lib.format.write_array(stream, np.asarray(values), allow_pickle=False)

"""Zarr, versions 2 and 3: a folder with one array, or with an image as OME-Zarr has it.

Arrays are decompressed chunk by chunk into a temporary file and compressed again from one, so
memory does not grow with them. Metadata is copied as it stands, so a result has the version,
chunks, compressors, fill value, names of dimensions and attributes of its input.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hush.errors import HushError, missing_package
from hush.io import zarr_ome
from hush.io.array import array_axes, split_key
from hush.io.zarr_chunks import fill, fill_smaller, held, loaded
from hush.missing import of_attributes
from hush.record import UNKNOWN, Record

if TYPE_CHECKING:
    import zarr

NAME = "Zarr"
SUFFIXES = (".ome.zarr", ".zarr")
#: files with metadata, by version
DOCUMENTS = ("zarr.json", ".zarray", ".zgroup", ".zattrs", ".zmetadata")
DEEPEST = 6  #: folders within each other that are searched for arrays
BESIDE = ("bvals", "bvecs", "affine")  #: arrays beside an image that belong to it
LABELS = "labels"  #: the group of segmentations of an OME-Zarr image


@dataclass(frozen=True)
class Node:
    """An array or a group in a store.

    documents : its metadata files as they are, by name; attributes : as in those.
    """

    array: bool
    documents: Mapping[str, bytes]
    attributes: Mapping[str, Any]


@dataclass(frozen=True)
class Store:
    """What a result keeps of a store.

    nodes : by path, ``""`` for the store itself; only those that the result has too.
    path, shape, dtype : of the array that was read.
    levels : paths of its lower resolutions; holder : of the group that lists them, or None.
    beside : the arrays that belong to it, such as b-values, by path.
    left : paths of the arrays that the result does not have.
    """

    nodes: Mapping[str, Node]
    path: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    levels: tuple[str, ...] = ()
    holder: str | None = None
    beside: Mapping[str, np.ndarray] = field(default_factory=dict)
    left: tuple[str, ...] = ()


def is_store(path: Path, kind: str | None = None) -> bool:
    """Whether a folder is a Zarr store."""
    return any((path / name).is_file() for name in DOCUMENTS)


# -- reading -----------------------------------------------------------------------------------


def read(path: Path) -> Record:
    """The only image or array of a store, or the one named by ``store.zarr:name``.

    Of an OME-Zarr image it is the highest resolution.

    Raises
    ------
    HushError
        If zarr is missing, or several arrays could be meant.
    """
    library = _library()
    folder, key = split_key(path)
    if not folder.name.lower().endswith(SUFFIXES):
        above = next((p for p in folder.absolute().parents if p.name.endswith(".zarr")), None)
        if above is not None and is_store(above):
            inner = folder.absolute().relative_to(above).as_posix()
            raise HushError(f"is inside a Zarr store; give {above}:{inner}")
    nodes = _nodes(folder)
    name, holder = _chosen(nodes, None if key is None else key.strip("/"), folder.name)
    stored = library.open_array(store=folder, path=name, mode="r")
    if stored.dtype.kind not in "iufbc":
        raise HushError(f"holds {stored.dtype} data rather than numbers; choose another array")
    store = _kept(folder, nodes, name, holder, stored)
    axes, kind, context, notes = _described(store)
    if missing := stored.nchunks - held(folder / name, stored):
        notes.append(
            f"{missing} of the {stored.nchunks} chunks of {name or folder.name} were never "
            f"written, or are lost; they read as {stored.fill_value}."
        )
    data = loaded(stored)
    return Record(
        data,
        axes,
        kind=kind,
        meta={"zarr": store, "notes": notes, **_about(store)},
        context=context,
        missing=of_attributes(stored.attrs, data.dtype),
    )


def _library() -> Any:
    try:
        import zarr
    except ImportError:
        raise missing_package("zarr", "medical", what="is a Zarr store, which") from None
    return zarr


def _nodes(folder: Path, path: str = "", depth: int = 0) -> dict[str, Node]:
    """All arrays and groups in a folder by their paths, from the outside in."""
    found: dict[str, Node] = {}
    here = folder / path
    node = _node(here)
    if node is not None:
        found[path] = node
    if depth < DEEPEST and (node is None or not node.array):
        inside = (p for p in here.iterdir() if p.is_dir() and p.name[0] != ".")
        around = {here.resolve(), *here.resolve().parents}
        for inner in sorted(p.name for p in inside if p.resolve() not in around):
            found |= _nodes(folder, f"{path}/{inner}".lstrip("/"), depth + 1)
    return found


def _node(folder: Path) -> Node | None:
    """The array or group of which a folder holds the metadata."""
    files = {n: folder / n for n in DOCUMENTS if (folder / n).is_file()}
    if not files:
        return None
    documents = {name: file.read_bytes() for name, file in files.items()}
    parsed = {name: _parsed(text, name) for name, text in documents.items()}
    if "zarr.json" in parsed:
        about = parsed["zarr.json"]
        return Node(about.get("node_type") == "array", documents, about.get("attributes") or {})
    return Node(".zarray" in parsed, documents, parsed.get(".zattrs", {}))


def _parsed(text: bytes, name: str) -> dict[str, Any]:
    try:
        made = json.loads(text)
    except ValueError:
        made = None
    if not isinstance(made, dict):
        raise HushError(f"has metadata that cannot be read, in {name}; copy the store again")
    return made


def _joined(group: str, name: str) -> str:
    return f"{group}/{name}".strip("/")


def _images(nodes: Mapping[str, Node]) -> dict[str, list[str]]:
    """The resolutions that are there of every OME-Zarr image, by the path of its group."""
    found = {}
    for path, node in nodes.items():
        image = None if node.array else zarr_ome.images_of(node.attributes)
        if image is None:
            continue
        paths = [_joined(path, level) for level in zarr_ome.levels(image)]
        found[path] = [p for p in paths if p in nodes and nodes[p].array]
    return found


def _chosen(nodes: Mapping[str, Node], key: str | None, store: str) -> tuple[str, str | None]:
    """The path of the array to read, and of the group of its image, if it is one."""
    images = _images(nodes)
    within = {level: path for path, levels in images.items() for level in levels}
    arrays = [path for path, node in nodes.items() if node.array]
    if key is not None and key in arrays:
        return key, within.get(key)
    start = "" if not key else f"{key}/"
    here = [path for path in images if path == (key or "")]
    single = [a for a in arrays if a not in within and a.rpartition("/")[2] not in BESIDE]
    able = here or [p for p in [*images, *single] if p.startswith(start)]
    if len(able) > 1:
        able = [p for p in able if LABELS not in p.split("/")] or able
    if not able:
        only = f", only {', '.join(arrays)}" if arrays else ""
        raise HushError(f"has no array '{key}'{only}" if key else "is a Zarr store without arrays")
    if len(able) > 1:
        what = "images" if all(p in images for p in able) else "arrays"
        shown = ", ".join([*able[:8], *["…"] * (len(able) > 8)])
        raise HushError(f"holds {len(able)} {what} ({shown}); choose one as {store}:{able[0]}")
    if able[0] not in images:
        return able[0], None
    image = zarr_ome.images_of(nodes[able[0]].attributes)
    first = [] if image is None else [_joined(able[0], zarr_ome.levels(image)[0])]
    if images[able[0]][:1] != first:
        raise HushError(f"lacks the array '{first[0]}', which its metadata names; copy it again")
    return first[0], able[0]


def _kept(
    folder: Path, nodes: Mapping[str, Node], name: str, holder: str | None, stored: zarr.Array
) -> Store:
    """What a result needs of the store around the array `name`."""
    levels: Sequence[str] = ()
    if holder is not None:
        levels = _images(nodes)[holder]
        levels = levels[levels.index(name) + 1 :]
    group = name.rpartition("/")[0]
    beside = {
        path: _library().open_array(store=folder, path=path, mode="r")[...]
        for path in (_joined(group, key) for key in BESIDE)
        if name and path != name and path in nodes and nodes[path].array
    }
    wanted = [name, *levels, *beside]
    ways = {path[:i] for path in wanted for i, c in enumerate(path) if c == "/"} | {""}
    kept = {p: nodes[p] for p in nodes if p in wanted or (p in ways and not nodes[p].array)}
    left = [p for p, node in nodes.items() if node.array and p not in wanted]
    return Store(
        kept,
        name,
        tuple(stored.shape),
        stored.dtype,
        tuple(levels),
        holder,
        beside,
        tuple(left),
    )


def _described(store: Store) -> tuple[str, str, dict[str, Any], list[str]]:
    """Axes, kind of data, context, and notes for the user."""
    shape, nodes = store.shape, store.nodes
    around = dict.fromkeys((store.path, store.path.rpartition("/")[0], ""))
    beside = {path.rpartition("/")[2]: values for path, values in store.beside.items()}
    told = [*(nodes[p].attributes for p in around if p in nodes), beside]
    context = dict(zarr_ome.context_of(told))
    notes: list[str] = []
    image = None if store.holder is None else zarr_ome.images_of(nodes[store.holder].attributes)
    names = zarr_ome.axis_names(image, len(shape)) if image else _dimensions(nodes[store.path])
    axes = zarr_ome.letters_of(names) if len(names) == len(shape) else None
    if axes is None:
        axes, kind = _guessed(shape, context.get("bvals"))
        if len(shape) > 3:
            notes.append(
                f"The store does not name its axes; they were taken as {', '.join(axes)}. State "
                "others with --axes."
            )
    else:
        volume = "Z" in axes and (image is None or shape[axes.index("Z")] > 1)
        kind = "volume" if volume else "image"
        axes = _as_series(axes, shape) if volume else axes
    if image is not None and store.holder is not None and kind == "volume":
        level = store.path[len(store.holder) :].strip("/")
        spacing = zarr_ome.spacing_of(image, level, zarr_ome.letters_of(names) or "")
        context |= {} if spacing is None else {"spacing": spacing}
    return axes, kind, context if kind == "volume" else {}, notes


def _about(store: Store) -> dict[str, Any]:
    """Metadata that other formats also have (`hush.io`)."""
    if store.holder is None:
        return {}
    attributes = store.nodes[store.holder].attributes
    image = zarr_ome.images_of(attributes)
    axes = zarr_ome.letters_of(zarr_ome.axis_names(image or {}, len(store.shape)))
    return zarr_ome.about(attributes, store.path[len(store.holder) :].strip("/"), axes or "")


def _dimensions(node: Node) -> list[Any]:
    """The names of an array's dimensions, as version 3 and xarray have them; empty without."""
    if "zarr.json" in node.documents:
        found = json.loads(node.documents["zarr.json"]).get("dimension_names")
    else:
        found = node.attributes.get("_ARRAY_DIMENSIONS")
    return found if isinstance(found, list) else []


def _guessed(shape: tuple[int, ...], bvals: np.ndarray | None) -> tuple[str, str]:
    """Axes and kind of data of an array whose axes have no names."""
    axes = array_axes(shape)
    if len(shape) < 3 or (len(shape) == 3 and axes.endswith("S")):
        return axes, "image"
    if len(shape) == 4 and bvals is not None and len(bvals) == shape[3] != shape[0]:
        return "XYZC", "volume"
    known = "TCZYX"[-len(shape) :] if len(shape) != 3 else "ZYX"
    return UNKNOWN[: len(shape) - len(known)][::-1] + known, "volume"


def _as_series(axes: str, shape: tuple[int, ...]) -> str:
    """Time points are the volumes of a series, if there are not several channels."""
    channels = shape[axes.index("C")] if "C" in axes else 1
    if "T" not in axes or channels > 1:
        return axes
    return axes.replace("C", "Q").replace("T", "C")


# -- writing -----------------------------------------------------------------------------------


def check(record: Record) -> None:
    """Raise HushError for records that are neither volumes nor images, or have too many axes."""
    _library()
    if "layout" in record.context or "N" in record.axes or not {"Y", "X"} <= set(record.axes):
        raise HushError("Zarr stores hold volumes and images here; use another ending")
    if _like(record) is None and zarr_ome.order(record.axes) is None:
        raise HushError(
            f"OME-Zarr images have the axes t, c, z, y and x, once at most, not '{record.axes}'; "
            "write an .npy file"
        )


def notes(record: Record) -> list[str]:
    """What a store does not hold of a record, and what is computed anew."""
    store = _like(record)
    if store is None:
        fmt = record.meta.get("format")
        if fmt is None or record.kind != "volume":
            return []
        return [
            f"Zarr holds the values as they are stored, the size of a voxel, b-values, directions "
            f"and the affine matrix of this {fmt} input, but no slope and no other metadata."
        ]
    said = []
    if store.levels and len(_factors(store)) < len(store.levels):
        said.append(
            "The result has fewer resolutions than the input: its sizes are no whole fractions of "
            "the first."
        )
    elif store.levels:
        said.append("The lower resolutions are means of the result.")
    if store.left:
        some = ", ".join(store.left[:3]) + (", …" if len(store.left) > 3 else "")
        said.append(f"The result does not have the other arrays of the store ({some}).")
    return said


def write(record: Record, folder: Path) -> None:
    """Fill an empty folder with a store like the one that was read, or with an OME-Zarr image."""
    store = _like(record)
    if store is None:
        _write_new(record, folder)
        return
    factors = _factors(store)
    for path, node in _written(store, [store.path, *factors]).items():
        place = folder / path
        place.mkdir(parents=True, exist_ok=True)
        for name, text in node.documents.items():
            (place / name).write_bytes(text)
    library = _library()
    fill(library.open_array(store=folder, path=store.path, mode="r+"), record.data)
    for path, values in store.beside.items():
        library.open_array(store=folder, path=path, mode="r+")[...] = values
    for path, factor in factors.items():
        level = library.open_array(store=folder, path=path, mode="r+")
        fill_smaller(level, record.data, factor, record.missing)


def _like(record: Record) -> Store | None:
    """The store that a record was read from, if its samples still fit there."""
    store = record.meta.get("zarr")
    fits = (
        isinstance(store, Store)
        and store.shape == record.data.shape
        and store.dtype.newbyteorder("=") == record.data.dtype.newbyteorder("=")
    )
    return store if fits else None


def _factors(store: Store) -> dict[str, tuple[int, ...]]:
    """How many elements one of a lower resolution is the mean of, by its path.

    Resolutions that are no whole fractions of the first are left out.
    """
    found = {}
    image = (
        zarr_ome.images_of(store.nodes[store.holder].attributes)
        if store.holder is not None
        else None
    )
    start, ndim = len(store.holder or ""), len(store.shape)
    for path in store.levels:
        document = store.nodes[path].documents
        shape = _parsed(document.get("zarr.json") or document[".zarray"], path)["shape"]
        if image is None or len(shape) != ndim or not all(shape):
            continue
        first, own = (
            zarr_ome.scale_of(image, p[start:].strip("/"), ndim) for p in (store.path, path)
        )
        stated = np.ones(ndim) if first is None or own is None or not first.all() else own / first
        factor = [_factor(*each) for each in zip(store.shape, shape, stated, strict=True)]
        if all(factor):
            found[path] = tuple(factor)
    return found


def _factor(length: int, fewer: int, stated: float) -> int:
    """How many of `length` elements become one of `fewer`; 0 if it is no whole number.

    stated : as the metadata has it; elements that are left over at the end may count or not.
    """
    for factor in (round(stated), length // fewer, -(-length // fewer)):
        if factor > 0 and fewer in (length // factor, -(-length // factor)):
            return factor
    return 0


def _written(store: Store, paths: Sequence[str]) -> dict[str, Node]:
    """The nodes of the result: the arrays at `paths`, and the groups around them."""
    dropped = set(store.levels) - set(paths)
    nodes = {p: node for p, node in store.nodes.items() if p not in dropped}
    if store.left or dropped:  # the copy of all metadata names arrays that are not there
        nodes = {p: _unlisted(node) for p, node in nodes.items()}
    if store.holder is not None:
        node = nodes[store.holder]
        start = len(store.holder)
        own = zarr_ome.kept(node.attributes, [p[start:].strip("/") for p in paths])
        if own != node.attributes:
            nodes = {p: _unlisted(n) for p, n in nodes.items()}
            nodes[store.holder] = _with_attributes(nodes[store.holder], own)
    return nodes


def _unlisted(node: Node) -> Node:
    """A group without the copy of all metadata inside, which is optional."""
    documents = {name: text for name, text in node.documents.items() if name != ".zmetadata"}
    about = _parsed(documents["zarr.json"], "zarr.json") if "zarr.json" in documents else {}
    if about.pop("consolidated_metadata", None) is not None:
        documents["zarr.json"] = json.dumps(about, indent=2).encode()
    return replace(node, documents=documents)


def _with_attributes(node: Node, attributes: Mapping[str, Any]) -> Node:
    if "zarr.json" in node.documents:
        about = {**_parsed(node.documents["zarr.json"], "zarr.json"), "attributes": attributes}
        changed = {"zarr.json": json.dumps(about, indent=2).encode()}
    else:
        changed = {".zattrs": json.dumps(attributes, indent=2).encode()}
    return Node(node.array, {**node.documents, **changed}, attributes)


def _write_new(record: Record, folder: Path) -> None:
    """A record of another format as an OME-Zarr image of version 0.5, with one resolution."""
    order = zarr_ome.order(record.axes)
    assert order is not None  # see `check`
    data = record.data.transpose(order)
    name = record.source.name.partition(".")[0] if record.source else "image"
    attributes = zarr_ome.attributes_for(record, order, name)
    library = _library()
    group = library.create_group(store=folder, attributes=attributes, zarr_format=3)
    space = sum(record.axes[i] in "ZYX" for i in order)
    most = [1] * (len(order) - space) + [64, 64, 64][-space:]
    names = [axis["name"] for axis in attributes["ome"]["multiscales"][0]["axes"]]
    made = group.create_array(
        "0",
        shape=data.shape,
        dtype=data.dtype.newbyteorder("="),
        chunks=tuple(min(n, m) for n, m in zip(data.shape, most, strict=True)),
        dimension_names=names,
        fill_value=0,
    )
    fill(made, data)

"""Arrays of other packages: what they hold, and results as objects of the same sort.

They are recognised by the package of their class, which is not imported for it.

==================  ==================================================================
taken               `hush.denoise` returns
==================  ==================================================================
NumPy masked array  masked array with the same mask and fill value
PyTorch tensor      tensor with the same dtype on the same device, without gradient
xarray DataArray    DataArray with its coordinates and attributes; axes by name, missing values by
                    ``_FillValue``, ``missing_value`` or ``nodata`` among the attributes
Dask array          Dask array with the same chunks, computed
pandas, columns     DataFrame or Series with the same index, names and dtypes
Pillow image        image of the same mode
astropy             Quantity with its unit, CCDData and NDData with mask, unit and WCS
Zarr, h5py          NumPy array; axes by name
==================  ==================================================================
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hush.errors import HushError
from hush.missing import of_attributes

#: letters of axes by their names in other packages
NAMES = {
    "X": "x lon longitude easting col cols column columns width w",
    "Y": "y lat latitude northing row rows height h",
    "Z": "z slice slices plane planes depth",
    "T": "t time frame frames",
    "C": "c channel channels ch band bands wavelength gradient",
    "S": "s rgb color colour sample samples",
}
LETTERS = {name: letter for letter, names in NAMES.items() for name in names.split()}
UNNAMED = "QIPRLAHEVM"  #: letters of other axes
CLOCKS = ("time", "t", "seconds", "timestamp")  #: columns that say when, not what


def _same(result: np.ndarray) -> Any:
    return result


@dataclass(frozen=True)
class Foreign:
    """What an object of another package holds.

    mask : False where values are missing; axes : a letter for each dimension, if they have names;
    kind : of data, if that is clear; context : as in `hush.record.Record`.
    """

    data: np.ndarray
    back: Callable[[np.ndarray], Any] = _same
    mask: np.ndarray | None = None
    axes: str | None = None
    kind: str | None = None
    context: Mapping[str, Any] = field(default_factory=dict)

    def like(self, result: np.ndarray) -> Any:
        """A result as an object of the same sort; as it is, if its shape is another."""
        return self.back(result) if result.shape == self.data.shape else result


def taken(x: Any) -> Foreign | None:
    """What an object of another package holds; None for arrays, lists and all else."""
    if isinstance(x, np.ma.MaskedArray):
        return _masked(x)
    for base in type(x).__mro__:
        package = base.__module__.partition(".")[0]
        if package in READERS:
            return READERS[package](x)
    return None


def axes_of(names: Sequence[Hashable]) -> str | None:
    """A letter for each named axis; None if no name is known."""
    known = [LETTERS.get(str(name).lower(), "") for name in names]
    if not any(known):
        return None
    free = iter(UNNAMED)
    return "".join(
        letter if letter and letter not in known[:i] else next(free)
        for i, letter in enumerate(known)
    )


def _of_signal(axes: str | None) -> bool:
    """Whether axes are those of recordings: time, and channels at most."""
    return axes is not None and "T" in axes and not set(axes) - set("TC")


def _rate(times: np.ndarray) -> Mapping[str, Any]:
    """The sampling rate of evenly spaced times, in seconds if they are numbers; else nothing."""
    if len(times) < 3 or times.dtype.kind not in "iufmM":
        return {}
    steps = np.diff(times)
    if steps.dtype.kind == "m":
        steps = steps / np.timedelta64(1, "s")
    step = float(np.median(steps))
    even = step > 0 and bool(np.all(np.abs(steps - step) < 0.01 * step))
    return {"rate": float(f"{1 / step:.9g}")} if even else {}


def _masked(x: np.ma.MaskedArray) -> Foreign:
    mask = np.ma.getmaskarray(x)

    def back(result: np.ndarray) -> np.ma.MaskedArray:
        return np.ma.MaskedArray(result, x.mask, fill_value=x.fill_value, copy=False)

    return Foreign(np.asarray(x.data), back, ~mask)


def _torch(x: Any) -> Foreign | None:
    if not hasattr(x, "detach"):
        return None
    if x.is_sparse or x.is_quantized:
        raise HushError("this is a sparse or quantized tensor; convert it to a dense one of floats")
    own = x.detach().cpu()
    if str(x.dtype) in ("torch.bfloat16", "torch.float8_e4m3fn", "torch.float8_e5m2"):
        own = own.float()
    return Foreign(own.resolve_conj().resolve_neg().numpy(), x.detach().new_tensor)


def _xarray(x: Any) -> Foreign | None:
    if not hasattr(x, "dims") or not hasattr(x, "values") or callable(x.values):
        raise HushError(f"this is a {type(x).__name__} of several arrays; give one of them")
    inner = taken(x.data) or Foreign(np.asarray(x.values))
    axes, context = axes_of(x.dims), dict[str, Any]()
    signal = _of_signal(axes)
    if axes is not None and signal:
        name = x.dims[axes.index("T")]
        context |= _rate(np.asarray(x.coords[name].values)) if name in x.coords else {}

    def back(result: np.ndarray) -> Any:
        return x.copy(data=inner.like(result))

    mask = inner.mask
    for marks in of_attributes(x.attrs, inner.data.dtype):
        known = ~marks.where(inner.data)
        mask = known if mask is None else mask & known
    return Foreign(inner.data, back, mask, axes, "signal" if signal else None, context)


def _dask(x: Any) -> Foreign | None:
    if not hasattr(x, "compute"):
        return None
    computed = x.compute()
    inner = taken(computed) or Foreign(np.asarray(computed))
    if not hasattr(x, "chunks"):  # a table
        return inner

    def back(result: np.ndarray) -> Any:
        import dask.array

        sizes = [n for sizes in x.chunks for n in sizes]
        return dask.array.from_array(
            inner.like(result), chunks="auto" if np.isnan(sizes).any() else x.chunks
        )

    return Foreign(inner.data, back, inner.mask)


def _stored(x: Any) -> Foreign | None:
    """A Zarr array or an HDF5 dataset."""
    if not hasattr(x, "dtype") or not hasattr(x, "shape"):
        raise HushError("this holds several arrays; give one of them")
    names: Any = getattr(getattr(x, "metadata", None), "dimension_names", None)
    names = names or x.attrs.get("_ARRAY_DIMENSIONS")
    if names is None and hasattr(x, "dims"):
        names = [dimension.label for dimension in x.dims]
    axes = axes_of(names) if names is not None and len(names) == len(x.shape) else None
    return Foreign(np.asarray(x[...]), axes=axes, kind="signal" if _of_signal(axes) else None)


def _pandas(x: Any) -> Foreign | None:
    if not hasattr(x, "to_numpy") or not hasattr(x, "index"):
        return None
    table = x.to_frame() if x.ndim == 1 else x
    index = np.asarray(x.index)
    first = table.iloc[:, 0] if table.shape[1] > 1 else None
    clock = first is not None and str(first.name).lower() in CLOCKS
    if clock and first is not None and first.is_monotonic_increasing:
        index, table = np.asarray(first), table.iloc[:, 1:]
    odd = [str(name) for name, kind in table.dtypes.items() if kind.kind not in "iuf"]
    if odd:
        raise HushError(f"columns {', '.join(odd)} do not hold numbers; leave them out")
    kinds = set(table.dtypes)
    plain = next(iter(kinds)) if len(kinds) == 1 else None
    dtype = plain if isinstance(plain, np.dtype) else np.dtype(np.float64)
    missing = {"na_value": np.nan} if dtype.kind == "f" else {}
    data = table.to_numpy(dtype, **missing)

    def back(result: np.ndarray) -> Any:
        made = x.copy()
        for place, (name, kind) in enumerate(table.dtypes.items()):
            values = result[:, place] if result.ndim == 2 else result
            values = np.rint(values) if kind.kind in "iu" else values
            column = x.__class__ if x.ndim == 1 else type(table.iloc[:, 0])
            own = column(values, index=x.index, name=name).astype(kind)
            if x.ndim == 1:
                return own
            made.isetitem(place + made.shape[1] - table.shape[1], own)
        return made

    data = data[:, 0] if x.ndim == 1 else data
    timed = index if index.dtype.kind in "mMf" else np.empty(0)
    return Foreign(data, back, axes="TC"[: x.ndim], kind="signal", context=_rate(timed))


def _pillow(x: Any) -> Foreign | None:
    if not hasattr(x, "getbands"):
        return None
    if x.mode not in ("L", "LA", "RGB", "RGBA", "I;16", "I;16L", "I;16B", "I", "F"):
        raise HushError(f"this is a picture of mode {x.mode}; convert it to L or RGB first")
    whole = np.asarray(x)
    opaque = len(x.getbands()) - (x.mode in ("LA", "RGBA"))
    data = whole if whole.ndim == 2 else whole[..., :opaque]

    def back(result: np.ndarray) -> Any:
        from PIL import Image

        if whole.ndim == 3:
            result = np.concatenate([result, whole[..., opaque:]], axis=2)
        made = Image.fromarray(np.ascontiguousarray(result))
        made.info = dict(x.info)
        return made

    return Foreign(data, back, axes="YX" if whole.ndim == 2 else "YXS", kind="image")


def _astropy(x: Any) -> Foreign | None:
    if hasattr(x, "unit") and hasattr(x, "value"):

        def quantity(result: np.ndarray) -> Any:
            return type(x)(result, x.unit, dtype=result.dtype, copy=False)

        return Foreign(np.asarray(x.value), quantity)
    if not hasattr(x, "wcs") or not hasattr(x, "meta"):
        return None

    def back(result: np.ndarray) -> Any:
        return type(x)(result, mask=x.mask, unit=x.unit, wcs=x.wcs, meta=x.meta)

    mask = None if x.mask is None else ~np.broadcast_to(np.asarray(x.mask, bool), x.data.shape)
    return Foreign(np.asarray(x.data), back, mask)


#: how objects are read, by the package of their class
READERS: Mapping[str, Callable[[Any], Foreign | None]] = {
    "torch": _torch,
    "xarray": _xarray,
    "dask": _dask,
    "zarr": _stored,
    "h5py": _stored,
    "pandas": _pandas,
    "PIL": _pillow,
    "astropy": _astropy,
}

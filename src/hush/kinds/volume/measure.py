"""The noise of volumes and series."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from hush.kinds.layout import filled
from hush.kinds.terms import NOTHING
from hush.kinds.volume.components import Components, inner
from hush.kinds.volume.decomposition import components
from hush.kinds.volume.places import are_adjacent
from hush.noise.processes import Gaussian
from hush.results import Estimate

WHITE = 0.05  #: lag-1 autocorrelation up to which noise counts as white


def measured(items: Sequence[np.ndarray], about: Mapping[str, Any] = NOTHING) -> Estimate:
    """The noise of the first item ``(C, Z, Y, X)``; gaps are filled for it.

    about : its context, such as whether its slices are adjacent.
    """
    x = items[0]
    known = np.isfinite(x)
    if not known.any():
        return Estimate(Gaussian(0.0), 0.0, channels=(0.0,) * len(x))
    nowhere = ~known.any(axis=0)
    x = filled(x, known, 0.0)
    if len(x) > 1 and nowhere.any():  # mirrored voxels repeat others, and seem to have less noise
        x[:, nowhere] = x[:, ~nowhere].min(axis=1, keepdims=True)
    adjacent = are_adjacent(about, x.shape[1])
    made = components(lambda start, stop: x[:, start:stop], x.shape, adjacent=adjacent)
    return estimate_of(made, x)


def estimate_of(made: Components, x: np.ndarray) -> Estimate:
    """The measurement that the components of an item are based on."""
    correlated = (
        bool(np.nanmax(np.abs(made.lags)) > WHITE) if np.isfinite(made.lags).any() else False
    )
    sigma, field = made.sigma, made.field
    if field is not None and made.parts is None:  # in units of the rms over tissue
        mean = float(field.map()[0][inner(made.tissue)].mean(dtype=np.float64))
        sigma, field = sigma * mean**0.5, replace(field, log=field.log - np.log(mean))
    return Estimate(
        Gaussian(sigma),
        sigma,
        correlated=correlated,
        autocorrelation=(max(made.lags, key=_size),) if correlated else (),
        near=made.lags if np.isfinite(made.lags).any() else (),
        spectrum=made.spectrum if correlated else None,
        channels=(sigma,) * len(x),
        amplitude=made.brightness,
        field=field,
    )


def _size(lag: float) -> float:
    """The size of a correlation; 0 if it is unknown."""
    return 0.0 if np.isnan(lag) else abs(lag)

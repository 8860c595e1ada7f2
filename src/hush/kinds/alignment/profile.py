"""How well each row fits the profile of the family, compared with its own residues shuffled.

The score of a row is the sum of log-odds of its residues, each in its column of the profile without
that row, against the residue's overall frequency. Among all orders of the same residues in the same
columns the score has a known mean and variance (Hoeffding, "A combinatorial central limit theorem",
Annals of Mathematical Statistics, 1951, eqs. 4 and 10), so no order has to be drawn. A row that is
misaligned, shuffled or unrelated scores as its own shuffles do.
"""

from __future__ import annotations

import numpy as np

PSEUDO = 1.0  #: residues of the overall frequency that are added to each column
LEAST = 10  #: residues below which a row cannot be judged, and rows below which none is
BLOCK = 4096  #: rows that are scored at once
MISFIT = 2.0  #: standard deviations above its shuffles below which a row looks misaligned


def fit(states: np.ndarray, none: int) -> np.ndarray:
    """How far each row ``(N, L)`` is above its shuffles, in their standard deviations ``(N,)``.

    NaN where that cannot be judged: rows with fewer than `LEAST` residues or without two different
    ones, and all of fewer than `LEAST` rows.
    """
    rows = len(states)
    z = np.full(rows, np.nan)
    if rows < LEAST:
        return z
    counts = np.stack([(states == a).sum(0) for a in range(none)], 1).astype(np.float64)
    total = counts.sum(0)
    share = total / max(total.sum(), 1.0)
    prior = PSEUDO * share
    depth = counts.sum(1, keepdims=True) - 1 + PSEUDO
    with np.errstate(divide="ignore", invalid="ignore"):
        odds = np.log((counts + prior) / np.maximum(depth, PSEUDO) / share)
        own = np.log((counts - 1 + prior) / np.maximum(depth, PSEUDO) / share)
    odds, own = (np.where((total > 0) & np.isfinite(x), x, 0.0) for x in (odds, own))
    for start in range(0, rows, BLOCK):
        part = slice(start, start + BLOCK)
        z[part] = scored(states[part], odds, own)
    return z


def scored(states: np.ndarray, odds: np.ndarray, own: np.ndarray, least: int = LEAST) -> np.ndarray:
    """`fit` of rows ``(n, L)`` by log-odds ``(L, A)``, and by those without a row's own residue."""
    there = states < odds.shape[1]
    at = np.where(there, states, 0).astype(np.intp)
    columns = np.arange(len(odds))
    filled = there.astype(np.float32)
    has = np.stack([(states == a).sum(1) for a in range(odds.shape[1])], 1).astype(np.float64)
    n = np.maximum(filled.sum(1, dtype=np.float64), 2)
    mean_of = (filled @ odds.astype(np.float32)) / n[:, None]  # of each residue, over the columns
    squares = ((filled @ np.square(odds).astype(np.float32)) * has).sum(1, dtype=np.float64)
    mean_at = (has @ odds.T) / n[:, None]  # in each column, over the residues
    mean = (has * mean_of).sum(1) / n
    spread = squares - n * ((has * mean_of**2).sum(1) + (filled * mean_at**2).sum(1) - n * mean**2)
    lost = np.where(there, (own - odds)[columns, at], 0.0)
    score = np.where(there, own[columns, at], 0.0).sum(1)
    expected = n * mean + (lost * np.take_along_axis(has, at, 1)).sum(1) / n
    variance = spread / (n - 1)
    judged = (filled.sum(1) >= least) & (variance > 1e-6 * np.maximum(squares, 1e-12))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(judged, (score - expected) / np.sqrt(variance), np.nan)

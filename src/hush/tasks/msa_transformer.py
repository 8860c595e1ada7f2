"""Contacts predicted by the MSA Transformer (Rao et al., ICML 2021), for users with its weights.

The package fair-esm builds the network. The weights are two files of the user's, such as
``esm_msa1b_t12_100M_UR50S.pt`` and, beside it, ``esm_msa1b_t12_100M_UR50S-contact-regression.pt``.
Nothing is downloaded, and loading them runs no code.
"""

from __future__ import annotations

import pickle
from argparse import Namespace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hush.errors import HushError, missing_package
from hush.io.residues import SIZE

CLASS = 0  #: the token before each row
ROWS, COLUMNS = 1024, 1023  #: that the network takes at most


def esm_contacts(tokens: np.ndarray, weights: str | Path) -> np.ndarray:
    """Probabilities of contact ``(L, L)``, float64, symmetric, 0 on the diagonal.

    tokens : uint8 ``(N, L)`` (`hush.io.residues`), the query first, at most 1,024 rows and 1,023
    columns; memory grows with N² L. weights : the network's file. `HushError` if fair-esm or one of
    the two files is missing, or if they are not those of an MSA Transformer.
    """
    tokens = np.asarray(tokens)
    if tokens.ndim != 2 or 0 in tokens.shape or tokens.min() < 0 or tokens.max() >= SIZE:
        raise HushError("the MSA Transformer takes tokens (N, L), as hush.io.residues has them")
    if tokens.shape[0] > ROWS or tokens.shape[1] > COLUMNS:
        raise HushError(
            f"the MSA Transformer takes at most {ROWS:,} rows and {COLUMNS:,} columns, not "
            f"{tokens.shape[0]:,} × {tokens.shape[1]:,}; select fewer rows first"
        )
    model = _model(Path(weights))
    rows = np.pad(tokens.astype(np.int64), ((0, 0), (1, 0)), constant_values=CLASS)
    with torch.inference_mode():
        predicted = model.predict_contacts(torch.from_numpy(rows)[None])[0]
    scores: np.ndarray = predicted.double().cpu().numpy()
    np.fill_diagonal(scores, 0.0)
    return scores


@lru_cache(maxsize=1)
def _model(path: Path) -> Any:
    try:
        from esm import pretrained
    except ImportError:
        raise missing_package("fair-esm", what="the MSA Transformer") from None
    stored = _stored(path), _stored(path.with_name(f"{path.stem}-contact-regression.pt"))
    if getattr(stored[0].get("args"), "arch", None) != "msa_transformer":
        raise HushError(f"{path.name} does not have the weights of an MSA Transformer")
    try:
        model, _ = pretrained.load_model_and_alphabet_core(path.stem, *stored)
    except (RuntimeError, LookupError, AttributeError) as error:
        raise HushError(
            f"fair-esm cannot build an MSA Transformer from {path.name}: {error}"
        ) from None
    return model.eval()


def _stored(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise HushError(
            f"{path} does not exist; the weights of the MSA Transformer are a file of yours, with "
            "that of its contact regression beside it"
        )
    try:
        with torch.serialization.safe_globals([Namespace]):
            stored = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, pickle.UnpicklingError):
        raise HushError(
            f"{path.name} is not a file of weights, or holds more than weights"
        ) from None
    if not isinstance(stored, dict) or "model" not in stored:
        raise HushError(f"{path.name} does not have the weights of an MSA Transformer")
    return stored

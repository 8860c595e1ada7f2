"""Results that are asked for again: kept for the last few contents of the arguments.

An item is measured, checked, restored and judged by parts that know nothing of each other, and so
some questions are put to the same values several times. A content is told by its hash (BLAKE2b),
not by the identity of an array, so that an array may change, and a copy is known.
"""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import numpy as np

P = ParamSpec("P")
R = TypeVar("R")

MOST = 4  #: results kept of a function
LARGEST = 2**22  #: values of an array, beyond which nothing is kept, to save memory


def digest(*parts: Any) -> bytes:
    """Of the content of arrays, and of other values that can be pickled."""
    found = hashlib.blake2b(digest_size=32)
    for part in parts:
        if isinstance(part, np.ndarray):
            found.update(f"{part.shape}{part.dtype.str}".encode())
            found.update(np.ascontiguousarray(part).data)
        else:
            found.update(pickle.dumps(part))
    return found.digest()


def memoised(function: Callable[P, R]) -> Callable[P, R]:
    """Keep the last results of a function that depends on nothing but its arguments, arrays and
    values that can be pickled. Callers share a result, and must not change it."""
    results: dict[bytes, R] = {}

    @wraps(function)
    def asked(*args: P.args, **kwargs: P.kwargs) -> R:
        every = [*args, *kwargs.values()]
        if any(isinstance(part, np.ndarray) and part.size > LARGEST for part in every):
            return function(*args, **kwargs)
        key = digest(*args, *kwargs.items())
        if key in results:
            made = results.pop(key)
        else:
            made = function(*args, **kwargs)
            while len(results) >= MOST:
                results.pop(next(iter(results)), None)
        results[key] = made  # the last one now
        return made

    return asked

"""Contacts predicted by DCA, family by family, and what the data's manifest says was measured.

    python -m benchmarks.contacts --data DIR
    python -m benchmarks.contacts --data DIR --rows 256 --pseudo

P@L of pairs with |i − j| ≥ 24, by mean-field DCA of at most 4,000 rows, those that the manifest's
figures are from, and with --pseudo by pseudo-likelihood DCA as well. Seconds are of the processor.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from hush.studies.msadata import MOST, families
from hush.tasks.dca import effective_number, mean_field

MEASURED = "mfDCA_P_L_sep24"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("HUSH_DATA", "data")))
    parser.add_argument("--only", help="a pattern for names of families")
    parser.add_argument("--rows", type=int, default=MOST, help="at most so many of each family")
    parser.add_argument("--pseudo", action="store_true", help="pseudo-likelihood DCA too")
    args = parser.parse_args()
    methods: dict[str, Callable[..., np.ndarray]] = {"mean-field": mean_field}
    if args.pseudo:
        from hush.tasks.pseudo_likelihood import pseudo_likelihood

        methods["pseudo"] = pseudo_likelihood
    print(f"{'family':<24} {'rows':>6} {'used':>5} {'Neff':>5} {'L':>4} {'manifest':>9}", end="")
    print("".join(f" {name:>11} {'seconds':>8}" for name in methods))
    apart = []
    for family in families(args.data, args.only, print):
        states = family.states[family.drawn(args.rows)]
        measured = float(family.about.get(MEASURED, np.nan))
        print(
            f"{family.name:<24} {len(family):>6} {len(states):>5} {effective_number(states):>5.0f} "
            f"{family.known.sum():>4} {measured:>9.3f}",
            end="",
        )
        for name, method in methods.items():
            start = time.process_time()
            found = family.precision(method(states))
            print(f" {found:>11.3f} {time.process_time() - start:>8.2f}", end="", flush=True)
            if name == "mean-field":
                apart.append(abs(found - measured))
        print()
    if args.rows == MOST:
        print(f"mean-field from the manifest, mean absolute difference: {np.nanmean(apart):.4f}")


if __name__ == "__main__":
    main()

"""Mean-field DCA against what the data's manifest says was measured, family by family.

    python -m benchmarks.contacts --data DIR                # P@L, long range
    python -m benchmarks.contacts --data DIR --only 'PF*' --pseudo

At most 4,000 rows of each family, the query's columns, |i − j| ≥ 24. `plm` is pseudo-likelihood DCA
on the same rows, with --pseudo.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

import numpy as np

from hush.studies.msadata import families
from hush.tasks.dca import effective_number, mean_field

MEASURED = "mfDCA_P_L_sep24"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("HUSH_DATA", "data")))
    parser.add_argument("--only", help="a pattern for names of families")
    args = parser.parse_args()
    print(f"{'family':<24} {'rows':>6} {'used':>5} {'Neff':>7} {'L':>4}", end=" ")
    print(f"{'manifest':>8} {'ours':>6} {'apart':>7} {'seconds':>8}")
    apart = []
    for family in families(args.data, args.only, print):
        states = family.states[family.drawn()]
        start = time.perf_counter()
        found = family.precision(mean_field(states))
        seconds = time.perf_counter() - start
        measured = float(family.about.get(MEASURED, np.nan))
        apart.append(found - measured)
        print(
            f"{family.name:<24} {len(family):>6} {len(states):>5} {effective_number(states):>7.0f} "
            f"{family.known.sum():>4} {measured:>8.3f} {found:>6.3f} {apart[-1]:>+7.3f} "
            f"{seconds:>8.2f}",
            flush=True,
        )
    print(f"mean absolute difference: {np.nanmean(np.abs(apart)):.4f} over {len(apart)} families")


if __name__ == "__main__":
    main()

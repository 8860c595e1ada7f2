"""The figures hush has to reach, beside those it reaches.

    python benchmarks/quality.py --data DIR [--json quality.json]
        [--noisy-only MODEL --clean-targets MODEL]

Everything comes from `hush.studies` (frozen noise, seed 0): with ``--json`` an interrupted run
goes on where it stopped. The two models are those of one architecture trained on BSD400 under
one frozen draw of σ = 25/255, noisy-only, and with clean targets (``--corpus``).
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from hush.metrics import paired_p_value
from hush.studies import Results, run
from hush.studies.folders import find_paired_sets, find_sets
from hush.studies.images import recognise

BLIND = {"estimator": "estimated"}


@dataclass(frozen=True)
class Figure:
    """A figure of the shipped model, blind, on a set told by its content."""

    what: str
    role: str
    where: Mapping[str, str]
    bar: float
    goal: float


FIGURES = (
    Figure("BSD68 σ=25", "bsd68", {"noise": "gaussian", "level": "25/255"}, 29.0, 29.3),
    Figure("BSD68 σ=15", "bsd68", {"noise": "gaussian", "level": "15/255"}, 31.3, 31.7),
    Figure("BSD68 σ=50", "bsd68", {"noise": "gaussian", "level": "50/255"}, 26.0, 26.3),
    Figure("Kodak RGB σ=25", "kodak", {"noise": "gaussian", "level": "25/255"}, 31.9, 32.3),
    Figure("Kodak RGB Poisson λ=30", "kodak", {"noise": "poisson", "level": "30"}, 30.9, 31.4),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--data", type=Path, default=os.environ.get("HUSH_DATA"))
    parser.add_argument("--json", type=Path)
    parser.add_argument("--noisy-only", type=Path, metavar="MODEL")
    parser.add_argument("--clean-targets", type=Path, metavar="MODEL")
    args = parser.parse_args()
    if args.data is None:
        parser.error("give the data's folder with --data, or name it in HUSH_DATA")

    console = Console()
    table = Table("what", "measured", "bar", "goal", "met")

    def progress(what: str, done: int, count: int) -> None:
        console.print(f"{what}: {done}/{count}", end="\r", overflow="ellipsis", no_wrap=True)

    def study(name: str, folder: str, where: Mapping[str, str], **options: Any) -> Results:
        return run(
            name, args.data, only=folder, where=where, json_path=args.json, progress=progress,
            **options,
        )  # fmt: skip

    folders = {recognise(f): f.name for f in find_sets(args.data)}
    for figure in FIGURES:
        if figure.role not in folders:
            table.add_row(figure.what, "no data")
            continue
        results = study(
            "mid/images", folders[figure.role], {**figure.where, **BLIND}, methods=["mid"]
        )
        value = mean(results, "mid", "psnr")
        met = "goal" if value >= figure.goal else "bar" if value >= figure.bar else "no"
        table.add_row(figure.what, f"{value:.2f} dB", f"{figure.bar}", f"{figure.goal}", met)

    if args.noisy_only and args.clean_targets and "bsd68" in folders:
        where = {"noise": "gaussian", "level": "25/255", "estimator": "given"}
        noisy, clean = (
            mean(
                study("mid/images", folders["bsd68"], where, methods=["mid"], model=model),
                "mid",
                "psnr",
            )
            for model in (args.noisy_only, args.clean_targets)
        )
        enough = noisy >= 28.8 and clean - noisy <= 0.15
        goal = noisy >= 29.0 and clean - noisy <= 0.05
        table.add_row(
            "BSD68 σ=25, noisy-only against clean targets",
            f"{noisy:.2f} against {clean:.2f} dB",
            "28.8, gap 0.15",
            "29.0, gap 0.05",
            "goal" if goal else "bar" if enough else "no",
        )

    if find_paired_sets(args.data, "fmd"):
        results = study("real/pairs", "fmd", {"part": "[ct]*"}, methods=["none", "mid", "bm3d"])
        for peer, plain in (("BM3D, estimated σ", True), ("BM3D, variance stabilised", False)):
            for metric, digits in (("psnr", 2), ("ssim", 4)):
                ours = samples(results, "mid", metric)
                theirs = samples(results, "bm3d", metric, plain=plain)
                gain, p = float(np.mean(ours - theirs)), paired_p_value(ours, theirs)
                table.add_row(
                    f"fmd confocal and two-photon, {metric.upper()}",
                    f"{ours.mean():.{digits}f} ({gain:+.{digits}f}, p = {p:.1g})",
                    f"above {peer}, {theirs.mean():.{digits}f}",
                    "+0.5 dB" if metric == "psnr" else "",
                    "goal" if metric == "psnr" and gain >= 0.5 else "bar" if gain > 0 else "no",
                )
    console.print(table)


def mean(results: Results, method: str, metric: str) -> float:
    """The one figure of these results."""
    (cell,) = (c for c in results.cells if (c.method, c.metric) == (method, metric))
    return float("nan") if cell.value is None else cell.value


def samples(results: Results, method: str, metric: str, plain: bool = False) -> np.ndarray:
    """Per-sample values over all cases, without a fit, in one order for every method.

    plain : of the method that does not stabilise the variance.
    """
    values = {
        (cell.case.replace(";transform=none", ""), name): value
        for cell in results.cells
        if (cell.method, cell.metric) == (method, metric)
        and "fit=none" in cell.case
        and ("transform=none" in cell.case) == plain
        for name, value in results.ledger.values[cell.key].items()
    }
    return np.array([values[key] for key in sorted(values)])


if __name__ == "__main__":
    main()

"""How often a verdict is right: on pairs of images with a reference, which hush never sees.

    python benchmarks/honesty.py --data DIR [--json FILE] [--again] [--quick]

Every noisy file of `fmd`, `w2s`, `nam25` and `oct_duke`, and every ninth of `cxr_nih` with four
kinds of noise added, is denoised by default. A verdict is green if there are no warnings. It is
right if the result keeps the promise (`Row.kept`) and holds nothing invented (`Row.honest`). A
warning is needless if both are true all the same. Beside it: PSNR of the input, of a Wiener filter
at the measured spectrum and, on the middle of the image, of stabilised BM3D.

With ``--json`` an interrupted run goes on where it stopped; ``--again`` measures hush anew and
keeps what BM3D took long for. ``--quick`` takes every fourth file, without BM3D.
"""

from __future__ import annotations

import argparse
import json
import math
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from scipy.ndimage import gaussian_filter

import hush
from hush import io, kinds
from hush.methods import make
from hush.metrics import psnr
from hush.noise.processes import parse
from hush.record import Record
from hush.studies.folders import find_pairs, image_files

PAIRS = ("fmd", "w2s", "nam25", "oct_duke")
CLEAN, EVERY = "cxr_nih", 9
ADDED = ("gaussian:10/255", "gaussian:25/255", "poisson:30", "correlated:15/255,1")

#: at most this share of the measured noise's power may be left
LEFT = 0.5
#: detail is what lies between these blurs, in pixels, judged in windows of this width
FINE, COARSE, WINDOW = 1.0, 2.0, 8.0
#: it is visible from this many times the noise's deviation, and this share of the contrast, on
VISIBLE, CONTRAST = 0.06, 0.003
#: and invented where it correlates with the reference's detail by less than this
ALIKE = 0.5
#: share of the visible area, and of the image, up to which nothing counts as invented
FEW, SOME = 0.1, 0.01

SIDE = 256  #: BM3D takes 20 s for 512 × 512 pixels on one thread, so it gets the middle
TOLERANCE = 0.1  #: dB

Opened = tuple[Record, np.ndarray]


@dataclass(frozen=True)
class Case:
    """One noisy file; `open` returns its record, and the reference's samples."""

    set: str
    name: str
    open: Callable[[], Opened]


@dataclass(frozen=True)
class Row:
    """What is measured of one file; PSNR in dB, levels in the data's units.

    left : squared error of the result over the measured noise's variance; nearer : the error is
        smaller than the input's. seen : the share of the image with visible detail in the result;
        invented : the share of that which the reference does not have.
    middle : PSNR of hush where BM3D is compared. within : the shares of pixels whose error is at
        most one and two of the deviations that `uncertainty` gives; empty without them.
    """

    set: str
    name: str
    green: bool
    warnings: Sequence[str]
    sigma: float
    true_sigma: float
    input: float
    hush: float
    wiener: float
    middle: float
    left: float
    nearer: bool
    seen: float
    invented: float
    within: Sequence[float] = ()

    @property
    def kept(self) -> bool:
        """The promise: at most half of the measured noise's power is left, and no harm is done."""
        return self.nearer and self.left <= LEFT

    @property
    def honest(self) -> bool:
        """Whether next to no detail is visible that the reference does not have."""
        return self.invented <= FEW or self.invented * self.seen <= SOME

    @property
    def right(self) -> bool:
        return self.kept and self.honest


# -- the files ---------------------------------------------------------------------------------


def cases(data: Path) -> Iterator[Case]:
    """All files, the sets of pairs first."""
    images = data / "images" if (data / "images").is_dir() else data
    for name in PAIRS:
        for pair in find_pairs(images / name) if (images / name).is_dir() else []:
            part = pair.name.split("_")[0] if name == "fmd" else ""
            yield Case(
                f"{name} {part}".strip(),
                f"{name}/{pair.name}",
                lambda p=pair: (io.read(p.noisy), io.read(p.clean).data),  # type: ignore[misc]
            )
    clean = image_files(images / CLEAN)[::EVERY] if (images / CLEAN).is_dir() else []
    for spec in ADDED:
        for seed, path in enumerate(clean):
            yield Case(
                f"{CLEAN} {spec}",
                f"{CLEAN}/{path.stem} {spec}",
                lambda path=path, seed=seed, spec=spec: added(path, spec, seed),  # type: ignore[misc]
            )


def added(path: Path, spec: str, seed: int) -> Opened:
    """A clean file with noise, rounded and clipped to its type, and the file as it is."""
    record = io.read(path)
    scene = torch.from_numpy(record.data.astype(np.float32) / 255)[None]
    noisy = parse(spec).sample(scene, torch.Generator().manual_seed(seed))[0].numpy()
    return record.with_data((255 * noisy).round().clip(0, 255).astype(np.uint8)), record.data


# -- one file ----------------------------------------------------------------------------------


def measured(case: Case, uncertainty: bool) -> Row:
    """Denoise a file by default, and look at the truth."""
    record, clean = case.open()
    made = hush.run(record, device="cpu", uncertainty=uncertainty)
    x, y, truth, scale = laid_out(record, made.record.data, clean)
    (wiener,) = items(hush.run(record, method="wiener", device="cpu").record)
    sigma = made.estimate.sigma
    seen, invented = detail(y, truth, sigma)
    return Row(
        case.set,
        case.name,
        bool(made.verdict),
        made.warnings,
        sigma * scale,
        rms(x - truth) * scale,
        input=psnr(x, truth, 1.0),
        hush=psnr(y, truth, 1.0),
        wiener=psnr(wiener, truth, 1.0),
        middle=psnr(middle(y), middle(truth), 1.0),
        left=(rms(y - truth) / sigma) ** 2 if sigma else math.inf,
        nearer=rms(y - truth) < rms(x - truth),
        seen=seen,
        invented=invented,
        within=coverage(y - truth, items(made.spread)[0]) if made.spread else (),
    )


def peer(case: Case) -> float:
    """PSNR of BM3D on the middle, with the noise measured on the whole image."""
    record, clean = case.open()
    x, _, truth, _ = laid_out(record, record.data, clean)
    made = make("bm3d", "image").restore(
        middle(x), None, None, kinds.get("image").measure([x]).uniform
    )
    return psnr(made.data, middle(truth), 1.0)


def items(record: Record) -> list[np.ndarray]:
    batch = kinds.get("image").batch(record)
    return [batch.floats(index) for index in range(len(batch))]


def laid_out(
    record: Record, result: np.ndarray, clean: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    """Noisy, result and reference ``(C, H, W)`` in units of full range, and what that is.

    The reference is fitted to the noisy file, channel by channel: gain and offset differ.
    """
    batch = kinds.get("image").batch(record)
    (x,), (y,), (r,) = (items(record.with_data(data)) for data in (record.data, result, clean))
    fits = [
        np.polyfit(c.ravel().astype(np.float64), n.ravel(), 1) for c, n in zip(r, x, strict=True)
    ]
    truth = np.stack([np.polyval(fit, c) for fit, c in zip(fits, r, strict=True)])
    return x, y, truth.astype(np.float32), batch.scale


def detail(result: np.ndarray, truth: np.ndarray, sigma: float) -> tuple[float, float]:
    """The share of the image with visible fine detail, and the share of that which is invented."""
    ours, real = band(result), band(truth)
    low, high = np.quantile(result, (0.01, 0.99))
    power = local(ours**2)
    visible = power > max(VISIBLE * sigma, CONTRAST * float(high - low)) ** 2
    alike = local(ours * real) / np.sqrt(power * local(real**2) + 1e-30)
    count = int(visible.sum())
    return count / visible.size, float((visible & (alike < ALIKE)).sum() / max(count, 1))


def band(x: np.ndarray) -> np.ndarray:
    fine, coarse = (gaussian_filter(x, (0, s, s)) for s in (FINE, COARSE))
    difference: np.ndarray = fine - coarse
    return difference


def local(x: np.ndarray) -> np.ndarray:
    mean: np.ndarray = gaussian_filter(x.mean(axis=0), WINDOW)
    return mean


def middle(x: np.ndarray) -> np.ndarray:
    top, left = (max(0, (n - SIDE) // 2) for n in x.shape[1:])
    return np.ascontiguousarray(x[:, top : top + SIDE, left : left + SIDE])


def coverage(error: np.ndarray, deviation: np.ndarray) -> tuple[float, float]:
    """Shares of pixels whose error is at most one, and two, deviations; of a normal .68 and .95."""
    one, two = (float(np.mean(np.abs(error) <= k * deviation)) for k in (1, 2))
    return one, two


def rms(x: np.ndarray) -> float:
    return math.sqrt(float(np.mean(np.square(x, dtype=np.float64))))


# -- all of them -------------------------------------------------------------------------------


class Ledger:
    """Rows, and the peer's figures, in memory and in lines of JSON; later lines count."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.rows: dict[str, Row] = {}
        self.peers: dict[str, float] = {}
        for line in path.read_text().splitlines() if path and path.exists() else []:
            entry = json.loads(line)
            if "bm3d" in entry:
                self.peers[entry["name"]] = entry["bm3d"]
            else:
                self.rows[entry["name"]] = Row(**entry)

    def add(self, row: Row) -> None:
        self.rows[row.name] = row
        self._write(asdict(row))

    def add_peer(self, name: str, value: float) -> None:
        self.peers[name] = value
        self._write({"name": name, "bm3d": value})

    def _write(self, entry: dict[str, object]) -> None:
        if self.path:
            with self.path.open("a") as file:
                file.write(json.dumps(entry) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--data", type=Path, default=os.environ.get("HUSH_DATA"))
    parser.add_argument("--json", type=Path)
    parser.add_argument("--again", action="store_true", help="measure hush anew, not BM3D")
    parser.add_argument("--quick", action="store_true", help="every fourth file, without BM3D")
    parser.add_argument("--uncertainty", action="store_true", help="coverage of its deviations too")
    args = parser.parse_args()
    if args.data is None:
        parser.error("give the data's folder with --data, or name it in HUSH_DATA")
    torch.set_num_threads(1)
    console, ledger = Console(width=120), Ledger(args.json)
    chosen = list(cases(args.data))[:: 4 if args.quick else 1]
    old = {} if args.again else dict(ledger.rows)
    for case in chosen:
        if case.name not in old:
            ledger.add(row := measured(case, args.uncertainty))
            console.print(line(row), highlight=False, soft_wrap=True)
    for case in [] if args.quick else chosen:
        if case.name not in ledger.peers:
            ledger.add_peer(case.name, peer(case))
    rows = [ledger.rows[case.name] for case in chosen]
    console.print(reliability(rows))
    console.print(never_worse(rows, ledger.peers))
    if any(row.within for row in rows):
        console.print(calibrated(rows))
    for title, which in (
        ("green, but wrong", [r for r in rows if r.green and not r.right]),
        ("needless warnings", [r for r in rows if not r.green and r.right]),
    ):
        console.print(f"\n{title}: {len(which)}")
        for row in sorted(which, key=lambda r: (-r.invented, -r.left)):
            console.print(line(row), highlight=False, soft_wrap=True)


def line(row: Row) -> str:
    verdict = "green" if row.green else "yellow", "right" if row.right else "wrong"
    text = (
        f"{row.name}: {', '.join(verdict)}; {row.input:.2f} → {row.hush:.2f} dB (Wiener "
        f"{row.wiener:.2f}), {100 * row.left:.0f} % left, {100 * row.invented:.0f} % of "
        f"{100 * row.seen:.0f} % invented, σ {row.sigma:.2f} of {row.true_sigma:.2f}"
    )
    return "\n    ".join([text, *row.warnings])


def reliability(rows: Sequence[Row]) -> Table:
    """Per set, how many verdicts are green and yellow, and how many of the results are right."""
    table = Table("set", "green", "right", "yellow", "right all the same", title="Verdicts")
    for name, members in [*by_set(rows).items(), ("all", list(rows))]:
        cells = []
        for part in ([r for r in members if r.green], [r for r in members if not r.green]):
            good = sum(r.right for r in part)
            cells += [str(len(part)), f"{good} ({100 * good / len(part):.0f} %)" if part else ""]
        table.add_row(name, *cells)
    return table


def never_worse(rows: Sequence[Row], peers: dict[str, float]) -> Table:
    """Per set, hush over the best of the plain alternatives, and the file where that is least."""
    table = Table(
        "set", "input", "Wiener", "hush", "over the best", "least", "at", title="PSNR, dB"
    )
    for name, members in [*by_set(rows).items(), ("all", list(rows))]:
        gains = {r.name: ahead(r, peers.get(r.name, -math.inf)) for r in members}
        worst = min(gains, key=lambda n: gains[n])
        means = [
            f"{np.mean([getattr(r, k) for r in members]):.2f}" for k in ("input", "wiener", "hush")
        ]
        mark = "" if gains[worst] >= -TOLERANCE else " missed"
        table.add_row(
            name,
            *means,
            f"{np.mean(list(gains.values())):+.2f}",
            f"{gains[worst]:+.2f}{mark}",
            worst,
        )
    return table


def ahead(row: Row, bm3d: float) -> float:
    """How far hush is above the best of input and Wiener filter, and in the middle above BM3D."""
    return min(row.hush - max(row.input, row.wiener), row.middle - bm3d)


def calibrated(rows: Sequence[Row]) -> Table:
    """Per set, the shares of pixels within one and two of the deviations of `uncertainty`."""
    table = Table("set", "within one", "within two", title="Uncertainty")
    for name, members in by_set([r for r in rows if r.within]).items():
        table.add_row(name, *(f"{np.mean([r.within[k] for r in members]):.2f}" for k in (0, 1)))
    return table


def by_set(rows: Sequence[Row]) -> dict[str, list[Row]]:
    return {name: [r for r in rows if r.set == name] for name in dict.fromkeys(r.set for r in rows)}


if __name__ == "__main__":
    main()

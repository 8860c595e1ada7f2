"""Draw the gallery: before, after, reference and removed for every kind of data.

    python benchmarks/gallery.py [NAME …]              # docs/images/gallery and docs/gallery.md
    python benchmarks/gallery.py rounds --budget 20m   # trains DiffDenoise for three rounds
    python benchmarks/gallery.py --data DIR --out FOLDER [NAME …]    # the study data

Without ``--data`` everything shown is a picture of scikit-image or made by rule
(`gallery_scenes.py`). Figures of the study data must not be published: they go to FOLDER only.
"""

from __future__ import annotations

import argparse
import runpy
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gallery_scenes as scenes
import numpy as np
from gallery_panels import compared, rows_of, saved, sets, sheet, signals

import hush
from hush.cli.options import Duration
from hush.io.residues import TOKENS
from hush.kinds import to_batch
from hush.metrics import psnr
from hush.schedule import Schedule
from hush.tasks.tensor import anisotropy, fit

INTRODUCTION = (
    "Before, after, reference and removed for every kind of data, as in figures S1 to S10 of the",
    "supplement to MID's paper. Before, after and reference have one gray scale; removed is before",
    "minus after, around mid-gray, amplified as its label says. Pictures are from scikit-image,",
    "the rest is made by rule.",
    "",
    "`python benchmarks/gallery.py` draws the figures and writes this page, with `NAME` only one.",
    "`rounds --budget 20m` draws the rounds of DiffDenoise, which it trains first. With",
    "`--data DIR --out FOLDER`, figures of the study data are drawn, to look at only.",
)
ROOT = Path(__file__).parents[1]
DOCS, FOLDER = ROOT / "docs" / "gallery.md", ROOT / "docs" / "images" / "gallery"
#: training of the figure of rounds, if no budget is given, and its pictures
STEPS, TRAINED_ON = 300, ("camera", "moon", "coins", "brick", "gravel", "grass", "page", "clock")
SIX = "gaussian:6/255"  #: DiffDenoise's noise


def picture(name: str) -> Callable[[Path], str]:
    def draw(path: Path) -> str:
        noisy, clean, spec = scenes.image(name)
        after = hush.run(noisy).record.data
        before, found = (psnr(x / 255, clean / 255, data_range=1.0) for x in (noisy, after))
        side = scenes.SIDE if noisy.ndim == 2 else 104
        parts = [x[40 : 40 + side, 40 : 40 + side] / 255 for x in (noisy, after, clean)]
        saved(sheet(compared(*parts)), path)
        return f"{scenes.IMAGES[name][4]} (`{spec}`): {before:.2f} dB before, {found:.2f} dB after."

    return draw


def emg(path: Path) -> str:
    rate = 1000.0
    noisy, clean = scenes.emg(rate)
    after = hush.denoise(noisy, kind="signal", context={"rate": rate}, noise="ecg")
    where = slice(2000, 8000)
    signals({
        "before: EMG with an ECG": noisy[where], "hush denoise --noise ecg": after[where],
        "reference: the EMG": clean[where], "removed": (noisy - after)[where],
    }, rate, path)  # fmt: skip
    gain = 10 * np.log10(np.mean((noisy - clean) ** 2) / np.mean((after - clean) ** 2))
    return f"An ECG in surface EMG, −8 dB, both made by rule: the error falls by {gain:.1f} dB."


def elements(make: Callable[[], scenes.Elements]) -> Callable[[Path], str]:
    def draw(path: Path) -> str:
        given = make()
        kept = hush.run(given.x, kind=given.kind).items[0].kept
        assert kept is not None
        sets(given.x, given.true, kept, path)
        right = int((kept & given.true).sum())
        return (
            f"{len(given.x)} {given.kind}, {given.true.sum()} of them true: hush keeps "
            f"{kept.sum()}, of which {right} are true."
        )

    return draw


def volume(path: Path) -> str:
    record, clean = scenes.volume()
    after = to_batch(hush.run(record).record).data[0][0].astype(np.float64)
    at, top = len(clean) // 2, 1000.0
    noisy = np.asarray(record.data, np.float64)
    parts = [x[at] / top for x in (noisy, after, clean)]
    saved(sheet(compared(*parts)), path)
    inside = clean > 0
    before, found = (np.sqrt(np.mean((x - clean)[inside] ** 2)) for x in (noisy, after))
    return (
        f"A slice of a volume with Rician noise, σ 60 of 1000: the root mean square error in the "
        f"head falls from {before:.0f} to {found:.0f}."
    )


def diffusion(path: Path) -> str:
    record, clean = scenes.diffusion()
    after = to_batch(hush.run(record).record).data[0].astype(np.float64)
    noisy, (bvals, bvecs) = (
        np.asarray(record.data, np.float64),
        (record.context[k] for k in ("bvals", "bvecs")),
    )
    at, volume_ = clean.shape[1] // 2, 12
    top = float(clean[volume_].max())
    tissue = clean[0, at] > 0
    first = compared(*(x[volume_, at] / top for x in (noisy, after, clean)))
    maps = {}
    for title, x in (("directions before", noisy), ("directions after", after),
                     ("directions, reference", clean)):  # fmt: skip
        share, main = anisotropy(fit(x[:, at][:, tissue], bvals, bvecs))
        maps[title] = np.zeros((*tissue.shape, 3))
        maps[title][tissue] = np.clip(share, 0, 1)[:, None] * np.abs(main)
    saved(sheet(first, maps), path)
    before, found = (np.sqrt(np.mean((x - clean)[:, clean[0] > 0] ** 2)) for x in (noisy, after))
    return (
        f"One of {len(clean) - 2} volumes at b = 1000 with Rician noise, σ 45, and the directions "
        f"of fibres: the root mean square error falls from {before:.0f} to {found:.0f}."
    )


def alignment(path: Path) -> str:
    import tempfile

    rows, made = scenes.family()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "family.a3m"
        file.write_text(scenes.a3m(rows))
        count = int((made == 0).sum())
        kept = hush.run(file, context={"count": count}).items[0].kept
        old = hush.run(file, context={"count": count}, method="greedy").items[0].kept
    assert kept is not None
    assert old is not None
    tokens = TOKENS[np.stack([np.frombuffer(row.encode(), np.uint8) for row in rows])]
    rows_of({
        f"before: {len(rows)} rows": tokens, f"hush denoise -n {count}": tokens[kept],
        f"reference: {count} rows": tokens[made == 0], f"removed: {(~kept).sum()} rows":
        tokens[~kept],
    }, path)  # fmt: skip
    ours, greedy = ([int((k & (made == what)).sum()) for what in (0, 1, 2)] for k in (kept, old))
    return (
        f"A family of {len(rows)} rows: {count} of their own, {(made == 1).sum()} that repeat "
        f"one but for a residue, {(made == 2).sum()} misaligned. Of {count} rows, hush keeps "
        f"{ours[0]}, {ours[1]} and {ours[2]} of these, greedy selection {greedy[0]}, {greedy[1]} "
        f"and {greedy[2]}. Of those kept, {_twins(tokens[kept])} repeat another one; greedily, "
        f"{_twins(tokens[old])}."
    )


def _twins(tokens: np.ndarray) -> int:
    """The number of rows that differ from another one by two residues at most."""
    apart = (tokens[:, None] != tokens).sum(axis=2) + 3 * np.eye(len(tokens), dtype=int)
    return int((apart.min(axis=1) <= 2).sum())


def rounds(path: Path, budget: float | None = None) -> str:
    """DiffDenoise's figure 3e: the results of rounds 1 and 3, and their difference."""
    import skimage.data
    import torch

    from hush.methods import make
    from hush.noise.processes import parse

    law, noisy = parse(SIX), []
    for seed, name in enumerate(TRAINED_ON):
        crop = getattr(skimage.data, name)()[40:296, 40:296].astype(np.float32) / 255
        noisy.append(
            law.sample(torch.from_numpy(crop), torch.Generator().manual_seed(seed)).numpy()
        )
    model = make("diffdenoise", keep=True, rounds=3)
    schedule = Schedule(budget=budget) if budget else Schedule(max_steps=STEPS)
    model.fit(noisy, schedule=schedule, progress=False)
    x, clean, _ = scenes.image("gray")
    generator = torch.Generator().manual_seed(99)
    x = law.sample(torch.from_numpy(clean.astype(np.float32)[None] / 255), generator).numpy()
    one, three = (model.replace(rounds=n).restored(x)[0] for n in (1, 3))
    part = (slice(40, 168), slice(40, 168))
    shown = {
        "before": x[0][part], "round 1": one[part], "round 3": three[part],
        "reference": clean[part] / 255, "3 − 1, × 10": 0.5 + 10 * (three - one)[part],
    }  # fmt: skip
    saved(sheet(shown), path)
    scores = [psnr(y, clean / 255, data_range=1.0) for y in (x[0], one, three)]
    length = f"{budget:g} s" if budget else f"{STEPS} steps"
    return (
        f"DiffDenoise after one and three rounds, and their difference (figure 3e of its paper), "
        f"trained for {length} on {len(noisy)} noisy pictures with σ 6 of 255: "
        f"{scores[0]:.2f} dB before, {scores[1]:.2f} and {scores[2]:.2f} dB after."
    )


#: name → (heading, figure)
FIGURES: dict[str, tuple[str, Callable[[Path], str]]] = {
    "gray": ("Images", picture("gray")),
    "colour": ("", picture("colour")),
    "photons": ("", picture("photons")),
    "microscope": ("", picture("microscope")),
    "camera": ("", picture("camera")),
    "rounds": ("", rounds),
    "emg": ("Signals", emg),
    "points": ("Sets", elements(scenes.points)),
    "segments": ("", elements(scenes.segments)),
    "correspondences": ("", elements(scenes.correspondences)),
    "volume": ("Volumes", volume),
    "diffusion": ("", diffusion),
    "alignment": ("Alignments", alignment),
}
#: drawn only where it is named: it trains
SLOW = ("rounds",)
#: figures of the study data: name → (script, arguments before --data)
STUDIES = {
    "emg": "emg_picture.py",
    "sets": "set_picture.py",
    "diffusion": "volume_picture.py",
    "alignment": "alignment_picture.py",
}


def images_of_studies(data: Path, out: Path, count: int = 3) -> None:
    """S1 and S2: the first pictures of every set of `hush study mid/images`, for each noise."""
    from hush.studies.images import find_tests, image_case

    for folder, role in find_tests(data, None):
        for spec in ("gaussian:25/255", "poisson:30"):
            samples = image_case(folder, role, spec, False, True).samples(0)
            for sample, _ in zip(samples, range(count), strict=False):
                after = hush.denoise(sample.noisy, axes="CYX")
                parts = [np.moveaxis(x, 0, -1).squeeze() for x in
                         (sample.noisy, after, sample.reference)]  # fmt: skip
                name = f"{folder.name}-{spec.partition(':')[0]}-{Path(sample.name).stem}.png"
                saved(sheet(compared(*parts)), out / name)


def of_studies(names: list[str], data: Path, out: Path) -> None:
    """The figures of the study data, by the scripts that draw the README's pictures."""
    out.mkdir(parents=True, exist_ok=True)
    if not names or "images" in names:
        images_of_studies(data, out)
    for name, script in STUDIES.items():
        if not names or name in names:
            sys.argv = [script, str(out / f"{name}.png"), "--data", str(data)]
            runpy.run_path(str(ROOT / "benchmarks" / script), run_name="__main__")


def page(captions: dict[str, str]) -> str:
    """docs/gallery.md, with new captions and those of figures that were not drawn now."""
    old = DOCS.read_text(encoding="utf-8") if DOCS.exists() else ""
    lines = [
        "# Gallery",
        "",
        *INTRODUCTION,
    ]
    for name, (heading, _) in FIGURES.items():
        file = f"images/gallery/{name}.png"
        known = [line for line in old.splitlines() if line.startswith(f"`{name}`: ")]
        caption = f"`{name}`: {captions[name]}" if name in captions else "".join(known)
        if caption:
            lines += [f"\n## {heading}"] * bool(heading)
            lines += ["", f"![{name}]({file})", "", caption]
    return "\n".join([*lines, ""])


def duration(text: str) -> float:
    """Seconds, of a text such as 20m."""
    return Duration().convert(text, None, None)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(FIGURES)}")
    parser.add_argument("--data", type=Path, help="folder with the study data")
    parser.add_argument("--out", type=Path, help="folder for the figures")
    parser.add_argument(
        "--budget",
        type=duration,
        help="training of the figure of rounds",
    )
    given = parser.parse_args()
    if given.data:
        if not given.out:
            parser.error("figures of the study data need --out FOLDER")
        of_studies(given.names, given.data, given.out)
        return
    captions: dict[str, str] = {}
    for name in given.names or [name for name in FIGURES if name not in SLOW]:
        if name not in FIGURES:
            parser.error(f"there is no figure '{name}'; choose from {', '.join(FIGURES)}")
        options: dict[str, Any] = {"budget": given.budget} if name == "rounds" else {}
        captions[name] = FIGURES[name][1]((given.out or FOLDER) / f"{name}.png", **options)
        print(f"{name}: {captions[name]}", flush=True)
    if given.out is None:
        DOCS.write_text(page(captions), encoding="utf-8")


if __name__ == "__main__":
    main()

"""docs/gallery.md: every figure is there, small, and one of them is what the code draws."""

from __future__ import annotations

import sys
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "benchmarks"))

import gallery  # noqa: E402
from gallery_panels import compared  # noqa: E402

#: bytes of a picture, and of all
LARGEST, ALL = 150_000, 1_000_000


def test_the_page_has_every_figure_and_its_caption() -> None:
    text = gallery.DOCS.read_text(encoding="utf-8")
    assert text == gallery.page({})  # what was not drawn anew stays
    for name in gallery.FIGURES.keys() - set(gallery.SLOW):
        assert text.count(f"(images/gallery/{name}.png)") == 1
        assert text.count(f"`{name}`: ") == 1


def test_pictures_are_small_and_all_of_them_are_shown() -> None:
    sizes = {p.stem: p.stat().st_size for p in gallery.FOLDER.iterdir()}
    assert sizes.keys() | set(gallery.SLOW) == gallery.FIGURES.keys()
    assert max(sizes.values()) <= LARGEST
    assert sum(sizes.values()) <= ALL


def test_a_figure_is_what_the_code_draws(tmp_path: Path) -> None:
    caption = gallery.FIGURES["points"][1](tmp_path / "points.png")
    assert f"`points`: {caption}" in gallery.DOCS.read_text(encoding="utf-8").splitlines()
    drawn, shown = (iio.imread(p / "points.png")[..., :3].astype(float)
                    for p in (tmp_path, gallery.FOLDER))  # fmt: skip
    assert np.abs(drawn - shown).mean() < 2


def test_removed_is_around_mid_gray_and_within_the_range() -> None:
    rng = np.random.default_rng(0)
    clean = rng.random((40, 40))
    panels = compared(clean + 0.1 * rng.standard_normal(clean.shape), clean, clean)
    removed = panels["removed, × 1"]
    assert removed.mean() == pytest.approx(0.5, abs=0.02)
    assert ((removed > 0) & (removed < 1)).mean() > 0.99

"""The README's picture: a detail of the example before and after, and what was removed.

python benchmarks/picture.py [docs/images/hubble.png]
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

import hush

ROOT = Path(__file__).parents[1]
TOP, LEFT, SIDE, ZOOM = 190, 150, 150, 3


def main() -> None:
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "images" / "hubble.png"
    result = hush.run(hush.read(ROOT / "examples" / "hubble.png"))
    noisy, clean = result.noisy.data, result.record.data
    changed = np.abs(noisy / 255 - clean / 255)
    beyond = changed > 4 * np.sqrt(result.process.variance(clean / 255))
    print(f"{beyond.sum()} pixels changed by more than four standard deviations of the noise")
    part = (slice(TOP, TOP + SIDE), slice(LEFT, LEFT + SIDE))
    before, after = (np.asarray(x[part], np.float64) / 255 for x in (noisy, clean))
    removed = 0.5 + 12 * (before - after)
    lift = [np.clip(2.2 * x, 0, 1) ** 0.6 for x in (before, after)]  # shadows, where the noise is
    panels = [*lift, np.clip(removed, 0, 1)]
    names = ["noisy", "hush denoise", "removed, amplified"]
    width = SIDE * ZOOM
    sheet = Image.new("L", (3 * width + 16, width), 255)
    font = ImageFont.load_default(20)
    for i, (panel, name) in enumerate(zip(panels, names, strict=True)):
        tile = Image.fromarray((panel * 255).astype(np.uint8))
        tile = tile.resize((width, width), Image.Resampling.NEAREST)
        draw = ImageDraw.Draw(tile)
        box = draw.textbbox((12, 10), name, font=font)
        draw.rectangle((box[0] - 6, box[1] - 5, box[2] + 6, box[3] + 5), fill=20)
        draw.text((12, 10), name, font=font, fill=240)
        sheet.paste(tile, (i * (width + 8), 0))
    target.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(target, optimize=True)


if __name__ == "__main__":
    main()

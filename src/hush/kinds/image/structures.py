"""Clean pictures made by rule, for training: the structures that photographs lack.

Each generator in ``STRUCTURES`` takes a side in pixels and a random generator, and returns one
gray picture, float32 (size, size) in [0, 1]. What a lens images is band-limited; what is drawn
has sharp edges. Lengths are in pixels.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from scipy.ndimage import gaussian_filter, gaussian_filter1d

from hush.errors import HushError

LETTERS = np.array(list("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.,:;%+-=()"))
MARGIN = 8  # what lies beyond the border is blurred into the picture


def structure(size: int, channels: int, rng: np.random.Generator) -> np.ndarray:
    """One picture of a kind drawn at random, float32 (channels, size, size) in [0, 1].

    Gray pictures are shown as they are, dimmed or as a negative. Several channels are one structure
    between two tints, or up to three structures as lights that add or inks that absorb.
    Raises HushError for a side under 8 pixels and for less than one channel.
    """
    if size < 8 or channels < 1:
        raise HushError(
            f"a structure of {channels} channels and side {size} cannot be drawn; "
            "ask for one channel or more and a side of 8 pixels or more"
        )
    if channels == 1:
        picture = _any(size, rng)[None] * rng.uniform(0.4, 1)
        return _picture(1 - picture if rng.random() < 0.15 else picture)
    if rng.random() < 0.4:
        ground, tint = _tint(channels, rng) * rng.uniform(0, 1), _tint(channels, rng)
        return _picture(ground + (tint - ground) * _any(size, rng))
    parts = np.stack([_any(size, rng)[None] for _ in range(rng.integers(1, 4))])
    tints = np.stack([_tint(channels, rng) for _ in parts])
    if rng.random() < 0.6:  # fluorescence: lights add
        return _picture((tints * parts).sum(axis=0) * rng.uniform(0.4, 1))
    # Print: each ink keeps the share of light that its tint says.
    return _picture(np.prod(1 - (1 - tints) * parts, axis=0))


def filaments(size: int, rng: np.random.Generator) -> np.ndarray:
    """Microtubules: stiff curves seen through a PSF, some of them out of focus."""
    count, steps = rng.integers(2, 5 + size // 4), 4 * size
    persistence = _log_uniform(rng, 30, 1000)
    turns = rng.normal(0, np.sqrt(0.5 / persistence), (count, steps))  # worm-like chain, step 0.5
    heading = rng.uniform(0, 2 * np.pi, (count, 1)) + np.cumsum(turns, axis=1)
    path = 0.5 * np.cumsum(np.stack([np.sin(heading), np.cos(heading)]), axis=2)
    path += rng.uniform(0, size, (2, count, 1)) - path[:, :, steps // 2, None]
    light = np.broadcast_to(rng.uniform(0.2, 1, (count, 1)), heading.shape)
    focused = 1 + int(count * rng.uniform(0.5, 1))
    sharp = _deposit(size, path[:, :focused], light[:focused])
    deep = _deposit(size, path[:, focused:], light[focused:])
    sigma = rng.uniform(0.8, 2)
    seen = gaussian_filter(sharp, sigma) + gaussian_filter(deep, 2.5 * sigma)
    return _on_dark(_peak(seen[MARGIN:-MARGIN, MARGIN:-MARGIN]), rng)


def puncta(size: int, rng: np.random.Generator) -> np.ndarray:
    """Vesicles, spots of single molecules: lognormal brightness on a dark ground."""
    count = 1 + rng.poisson(_log_uniform(rng, 4, 80) * (size / 64) ** 2)
    light = rng.lognormal(0, rng.uniform(0.3, 1), count)
    return _on_dark(_peak(_spots(size, rng, light, rng.uniform(0.8, 2.5))), rng)


def nuclei(size: int, rng: np.random.Generator) -> np.ndarray:
    """Cell nuclei: bright textured ellipses on black, which overlap, seen through a PSF."""
    count = rng.integers(1, 9)
    centre = rng.uniform(0, size, (2, count, 1, 1))
    radii = rng.uniform(0.08, 0.28, (count, 1, 1)) * size
    v, u = _turned(size, centre, rng.uniform(0, np.pi, (count, 1, 1)))
    r = np.hypot(u, v * rng.uniform(1, 1.8, (count, 1, 1)))
    blur = rng.uniform(0.7, 2)
    inside = np.clip(radii - r + 0.5, 0, 1) * rng.uniform(0.3, 1, (count, 1, 1))
    grain = gaussian_filter(rng.normal(size=(size, size)), rng.uniform(0.7, 3))
    texture = np.clip(1 + rng.uniform(0.05, 0.4) * grain / grain.std(), 0, None)
    return _on_dark(_peak(gaussian_filter(inside.sum(axis=0) * texture, blur)), rng)


def lattices(size: int, rng: np.random.Generator) -> np.ndarray:
    """Crystals, gratings, cloth, fringes: 1 to 3 plane waves, at times within a border."""
    count = rng.integers(1, 4)
    periods, angles = rng.uniform(2.5, 12, count), rng.uniform(0, np.pi, count)
    if rng.random() < 0.5:  # a crystal: one period, evenly turned
        periods, angles = periods[:1].repeat(count), angles[0] + np.pi * np.arange(count) / count
    waves = plane_waves(size, periods, angles, rng.uniform(0, 2 * np.pi, count)) / count
    contrast = _log_uniform(rng, 0.03, 0.4)
    where, field = rng.random(), smooth(size, rng)
    if where < 0.4:
        waves *= field
    elif where < 0.7:
        waves *= field > 0.4
    ground = smooth(size, rng) if rng.random() < 0.6 else np.full((size, size), rng.random())
    return _picture(contrast + (1 - 2 * contrast) * ground + contrast * waves)


def text(size: int, rng: np.random.Generator) -> np.ndarray:
    """Print, labels, annotations: lines of random words, at times rotated."""
    page = Image.new("L", (2 * size, 2 * size))
    draw, height = ImageDraw.Draw(page), int(_log_uniform(rng, 8, max(9, size / 2)))
    words = rng.choice(LETTERS, (2 * size // height + 1, 4 * size // height + 1))
    words[rng.random(words.shape) < 0.15] = " "
    spacing = int(height * rng.uniform(0, 0.8))
    lines = "\n".join("".join(line) for line in words)
    draw.multiline_text((0, 0), lines, fill=255, font=_font(height), spacing=spacing)
    if rng.random() < 0.4:
        page = page.rotate(rng.uniform(0, 360), Image.Resampling.BICUBIC)
    corner = size // 2 + int(rng.integers(-size // 8, size // 8 + 1))
    return _inked(page.crop((corner, corner, corner + size, corner + size)), rng)


def drawings(size: int, rng: np.random.Generator) -> np.ndarray:
    """Line art and phantoms: polygons, ellipses, thin lines, grids and step edges.

    Edges are sharp, or as sharp as pixels that are means show them; some areas are shaded.
    """
    shade = 1 - rng.uniform(0, 0.5) * smooth(size, rng) if rng.random() < 0.25 else 1.0
    if rng.random() < 0.3:
        fine = drawing(3 * size, rng, 3)
        return _picture(fine.reshape(size, 3, size, 3).mean((1, 3)) * shade)
    return _picture(drawing(size, rng) * shade)


def drawing(size: int, rng: np.random.Generator, unit: int = 1) -> np.ndarray:
    """A drawing (size, size) in [0, 1]; unit : widths and steps are multiples of it."""
    page = Image.new("L", (size, size), int(rng.integers(256)))
    draw = ImageDraw.Draw(page)
    for kind in np.sort(rng.integers(5, size=rng.integers(2, 10))):  # large shapes first
        level, width = int(rng.integers(256)), unit * int(rng.integers(1, 4))
        points = [(float(x), float(y)) for x, y in rng.uniform(-0.2, 1.2, (5, 2)) * size]
        x, y = points[0]
        if kind == 0:  # a step edge: a triangle far larger than the picture
            angle = rng.uniform(0, 2 * np.pi)
            c, s = 8 * size * np.cos(angle), 8 * size * np.sin(angle)
            draw.polygon([(x + c, y + s), (x - c, y - s), (x - s, y + c)], fill=level)
        elif kind == 1:
            draw.polygon(points[: rng.integers(3, 6)], fill=level)
        elif kind == 2:
            r, fill = size * rng.uniform(0.03, 0.4), level if rng.random() < 0.5 else None
            draw.ellipse((x - r, y - r, x + r, y + r), fill=fill, outline=level, width=width)
        elif kind == 3:
            step = unit * int(rng.integers(3, 17))
            for k in range(0, size, step):
                draw.line((x + k, y, x + k, y + size), fill=level, width=unit)
                draw.line((x, y + k, x + size, y + k), fill=level, width=unit)
        else:
            draw.line(points[: rng.integers(2, 6)], fill=level, width=width)
    return np.asarray(page, np.float32) / 255


def stars(size: int, rng: np.random.Generator) -> np.ndarray:
    """A field of stars: power-law brightness, at times diffraction spikes or a galaxy."""
    count = 1 + rng.poisson(_log_uniform(rng, 5, 150) * (size / 64) ** 2)
    sigma, faintest = rng.uniform(0.7, 1.5), _log_uniform(rng, 0.01, 0.1)
    light = faintest * (1 + rng.pareto(rng.uniform(0.6, 1.2), count))
    light[0] = max(light[0], 0.3)
    sky = _spots(size, rng, np.minimum(light, 1.5), sigma)  # the brightest saturate
    centre, angle = rng.uniform(0, size, (2, 1, 1)), rng.uniform(0, np.pi)
    v, u = _turned(size, centre, angle)
    if rng.random() < 0.25:
        reach = rng.uniform(0.05, 0.2) * size
        for along, across in ((u, v), (v, u)):
            sky += 0.7 * np.exp(-np.abs(along) / reach - across**2 / (2 * sigma**2))
        sky += np.exp(-(u**2 + v**2) / (8 * sigma**2))
    elif rng.random() < 0.35:  # an exponential disc
        r = np.sqrt(u**2 + (v * rng.uniform(1, 4)) ** 2 + sigma**2)
        sky += rng.uniform(0.1, 1) * np.exp(-r / (rng.uniform(0.04, 0.15) * size))
    return _picture(sky + rng.uniform(0, 0.15) * (0.5 + 0.5 * smooth(size, rng)))


def gradients(size: int, rng: np.random.Generator) -> np.ndarray:
    """Sky, walls, backgrounds: a ramp, a smooth field, or flat areas of few levels."""
    field = smooth(size, rng, waves=int(rng.integers(2, 6)))
    kind = rng.integers(3)
    if kind == 0:
        field = _unit(_turned(size, np.zeros((2, 1, 1)), rng.uniform(0, 2 * np.pi))[0])
    elif kind == 1:
        field = np.round(field * (levels := rng.integers(1, 5))) / levels
    span = _log_uniform(rng, 0.02, 1)
    return _picture(rng.uniform(0, 1 - span) + span * field)


def layers(size: int, rng: np.random.Generator) -> np.ndarray:
    """Layered tissue, as OCT shows the retina without its speckle: wavy horizontal bands."""
    fine = np.arange(-size, 3 * size, 0.5)
    thickest = rng.uniform(0.08, 0.25) * size
    edges = rng.uniform(-0.3, 0.4) * size + np.cumsum(rng.uniform(2, 2 + thickest, 80))
    levels = rng.uniform(0.05, 1, 81) ** rng.uniform(1, 2)
    levels[0] = 0.03  # the vitreous
    profile = gaussian_filter1d(levels[np.searchsorted(edges, fine)], 1)
    sag = _log_uniform(rng, 0.02, 0.3) * size
    bend, swell = (_unit(row) for row in smooth(size, rng, waves=3)[[0, -1]])
    depth = np.arange(size)[:, None] * (0.9 + 0.2 * swell) - sag * bend
    light = 1 - rng.uniform(0, 0.5) * smooth(size, rng, waves=6)
    shadows = 1 - rng.uniform(0, 0.6) * _unit(smooth(size, rng, waves=10)[size // 2]) ** 4
    bands = gaussian_filter(np.interp(depth, fine, profile), rng.uniform(0.7, 2))
    return _picture(bands * light * shadows)


STRUCTURES: dict[str, Callable[[int, np.random.Generator], np.ndarray]] = {
    f.__name__: f
    for f in (filaments, puncta, nuclei, lattices, text, drawings, stars, gradients, layers)
}


def plane_waves(
    size: int, periods: np.ndarray, angles: np.ndarray, phases: np.ndarray
) -> np.ndarray:
    """The sum of cosines of these periods (pixels), directions and phases (radians)."""
    y, x = np.mgrid[:size, :size]
    k = 2 * np.pi / np.asarray(periods)[:, None, None]
    angles, phases = np.asarray(angles)[:, None, None], np.asarray(phases)[:, None, None]
    return np.cos(k * (x * np.cos(angles) + y * np.sin(angles)) + phases).sum(axis=0)


def smooth(size: int, rng: np.random.Generator, waves: int = 4) -> np.ndarray:
    """A smooth random field that fills [0, 1]: cosines up to ``waves`` half periods a side."""
    k = np.arange(waves + 1)
    basis = np.cos(np.pi * np.outer((np.arange(size) + 0.5) / size, k))
    weights = rng.normal(size=(waves + 1, waves + 1)) / (1 + k[:, None] + k)
    return _unit(basis @ weights @ basis.T)


def _any(size: int, rng: np.random.Generator) -> np.ndarray:
    """Any kind; lattices and drawings more often, because photographs teach that fine regularity
    and edges without a slope are rare."""
    names = [*STRUCTURES, *["lattices"] * 3, *["drawings"] * 5]
    return STRUCTURES[names[rng.integers(len(names))]](size, rng)


def _spots(size: int, rng: np.random.Generator, light: np.ndarray, sigma: float) -> np.ndarray:
    """Gaussian spots of these peaks at random places; a Gaussian is separable: one product."""
    place = rng.uniform(-2, size + 2, (2, len(light), 1))
    place[:, 0] = rng.uniform(0.1, 0.9, (2, 1)) * size  # one at least is seen
    y, x = np.exp(-((np.arange(size) - place) ** 2) / (2 * sigma**2))
    return np.asarray((y * light[:, None]).T @ x)


def _deposit(size: int, path: np.ndarray, light: np.ndarray) -> np.ndarray:
    """The light of points (2, ...) shared bilinearly among their four pixels, with a margin."""
    side, path = size + 2 * MARGIN, path + MARGIN
    inside = np.all((path >= 0) & (path < side - 1), axis=0)
    place, light = path[:, inside], light[inside]
    whole = place.astype(np.intp)
    (fy, fx), corner = place - whole, whole[0] * side + whole[1]
    index = np.concatenate([corner, corner + 1, corner + side, corner + side + 1])
    shares = [(1 - fy) * (1 - fx), (1 - fy) * fx, fy * (1 - fx), fy * fx]
    total = np.bincount(index, np.concatenate([light * share for share in shares]), side**2)
    return total.reshape(side, side)


def _turned(size: int, centre: np.ndarray, angle: np.ndarray | float) -> tuple[np.ndarray, ...]:
    """Coordinates (v, u) about a centre (2, ..., 1, 1), in axes turned by an angle."""
    y, x = np.arange(size)[:, None] - centre[0], np.arange(size) - centre[1]
    c, s = np.cos(angle), np.sin(angle)
    return c * y - s * x, s * y + c * x


@lru_cache(maxsize=64)
def _font(height: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(height)


def _inked(page: Image.Image, rng: np.random.Generator) -> np.ndarray:
    """A drawn mask as ink on paper of two levels at least 0.15 apart."""
    paper, ink = rng.permutation([rng.uniform(0, 0.4), rng.uniform(0.55, 1)])
    return _picture(paper + (ink - paper) * np.asarray(page, np.float32) / 255)


def _on_dark(signal: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A signal above a dark ground, which is black or a smooth haze."""
    haze = rng.choice([0, rng.uniform(0, 0.2)])
    return _picture(haze * smooth(len(signal), rng) + (1 - haze) * signal)


def _tint(channels: int, rng: np.random.Generator) -> np.ndarray:
    """A random colour (channels,), at times fully saturated: one channel 0, one 1."""
    tint = rng.random(channels)
    return np.asarray(_unit(tint) if rng.random() < 0.5 else tint)[:, None, None]


def _log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def _unit(field: np.ndarray) -> np.ndarray:
    low, high = field.min(), field.max()
    return np.asarray((field - low) / max(high - low, 1e-12))


def _peak(light: np.ndarray) -> np.ndarray:
    return np.asarray(light / max(light.max(), 1e-12))


def _picture(levels: np.ndarray) -> np.ndarray:
    return np.clip(levels, 0, 1).astype(np.float32)

"""Drawings of alignments, of identities and of contacts as inline SVG, with pictures inside."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np

from hush.kinds.alignment.alphabet import Alphabet
from hush.kinds.alignment.colours import coloured
from hush.report import plots
from hush.report.frame import Chart
from hush.report.pictures import Picture, encode, to_heat
from hush.tasks import identity

WIDTH, LEFT, RIGHT, TOP, BOTTOM = 410, 66, 14, 6, 40
STRIP, GAP = 8.0, 4.0  #: of the query above the rows, and of the marks beside them
#: height of all rows, with which a picture is as high as a matrix, and the most of one row
TALL, ROW = WIDTH - LEFT - RIGHT - STRIP - GAP, 14.0
MOST = 360, 1200  #: rows and columns that a picture shows
MOST_COMPARED = 200  #: rows of a matrix of identities
#: colours of contacts of the structure, and below the diagonal of those that were not predicted,
#: and of predicted ones
CONTACT, MISSED, TRUE, FALSE = (60, 66, 74), (205, 210, 216), (36, 104, 201), (206, 84, 26)


def spaced(count: int, most: int) -> np.ndarray:
    """Indices of at most `most` of `count`, evenly spaced, the first and the last among them."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(int))


def rows_of(
    tokens: np.ndarray,
    letters: Alphabet,
    query: int,
    title: str,
    budget: float,
    kept: np.ndarray | None = None,
) -> str:
    """Rows ``(N, L)`` in the colours of their residues, below the query.

    kept : bool ``(N,)``, marked beside the rows; None without marks. budget : most pixels.
    """
    columns = spaced(tokens.shape[1], MOST[1])
    shown = spaced(len(tokens), max(2, min(MOST[0], int(budget // len(columns)))))
    tall = min(TALL, ROW * len(shown))
    top, wide = TOP + STRIP + GAP, WIDTH - LEFT - RIGHT
    out = _open(top + tall + BOTTOM, title)
    first = encode(coloured(tokens[query : query + 1, columns], letters))
    out += [_image(first, LEFT, TOP, wide, STRIP)]
    out += [_label(LEFT - 8, TOP + STRIP, "query")]
    whole = encode(coloured(tokens[np.ix_(shown, columns)], letters))
    out += [_image(whole, LEFT, top, wide, tall)]
    if kept is not None:
        out += _marks(kept[shown], WIDTH - RIGHT + GAP, top, tall / len(shown))
    out += _across(_numbers(tokens.shape[1]), tokens.shape[1], top + tall, "column")
    out += _down(_numbers(len(tokens))[1:], len(tokens), top, tall, "row")
    return "".join([*out, "</svg>"])


def _marks(kept: np.ndarray, x: float, top: float, each: float) -> list[str]:
    """A strip that is one colour where rows are kept, and another where they are not."""
    ends = np.flatnonzero(np.diff(kept)) + 1
    starts = np.r_[0, ends]
    return [
        f'<rect class="{"kept" if kept[a] else "gone"}" x="{x:g}" width="{STRIP:g}" '
        f'y="{top + a * each:.1f}" height="{(b - a) * each:.1f}"/>'
        for a, b in zip(starts, [*ends, len(kept)], strict=True)
    ]


# -- matrices ----------------------------------------------------------------------------------


def identities(states: np.ndarray, none: int) -> np.ndarray:
    """The identity of any two rows ``(n, n)``: equal residues over those of the shorter row."""
    packed = identity.packed(states, none)
    same = np.zeros((len(states), len(states)))
    for at, others, _, residues in identity.compared(packed, packed):
        same[at, others] = residues
    has = (states != none).sum(1)
    return same / np.maximum(np.minimum(has, has[:, None]), 1)


def by_similarity(same: np.ndarray) -> np.ndarray:
    """An order in which similar rows are neighbours: average linkage, its leaves ordered."""
    from scipy.cluster.hierarchy import leaves_list, linkage, optimal_leaf_ordering
    from scipy.spatial.distance import squareform

    if len(same) < 3:
        return np.arange(len(same))
    away = 1 - same
    np.fill_diagonal(away, 0)
    condensed = squareform(away, checks=False)
    leaves: np.ndarray = leaves_list(
        optimal_leaf_ordering(linkage(condensed, "average"), condensed)
    )
    return leaves


def matrix(states: np.ndarray, none: int, title: str) -> str:
    """The identities of at most `MOST_COMPARED` rows, drawn at random, in order of similarity."""
    drawn = np.random.default_rng(0).permutation(len(states))[:MOST_COMPARED]
    same = identities(states[drawn], none)
    order = by_similarity(same)
    picture = encode(to_heat(same[None][:, order][:, :, order], 1.0))
    return square(picture, len(drawn), title, "row, by similarity")


def square(picture: Picture, count: int, title: str, name: str) -> str:
    """A square picture of `count` by `count` values, with both axes."""
    wide = WIDTH - LEFT - RIGHT
    out = _open(TOP + wide + BOTTOM, title)
    out += [_image(picture, LEFT, TOP, wide, wide)]
    out += _across(_numbers(count), count, TOP + wide, name)
    out += _down(_numbers(count), count, TOP, wide, name)
    return "".join([*out, "</svg>"])


def contact_map(
    scores: np.ndarray, contacts: np.ndarray, count: int | None = None, separation: int = 6
) -> Chart:
    """Predicted against true contacts: the true ones above the diagonal, the best scores below.

    Parameters
    ----------
    scores : ``(L, L)`` float, symmetric; NaN where there is none.
    contacts : ``(L, L)`` bool, symmetric.
    count : of predicted pairs to draw, by default L.
    separation : the least distance along the sequence of a predicted pair.
    """
    length = len(scores)
    i, j = np.triu_indices(length, separation)
    known = np.isfinite(scores[i, j])
    i, j = i[known], j[known]
    best = np.argsort(-scores[i, j], kind="stable")[: length if count is None else count]
    i, j = i[best], j[best]
    right = contacts[i, j]
    pixels = np.full((length, length, 3), 255, np.uint8)
    truth = np.asarray(contacts, bool)
    pixels[truth] = MISSED
    above = np.triu(truth, 1)
    pixels[above] = CONTACT
    pixels[j[right], i[right]] = TRUE
    pixels[j[~right], i[~right]] = FALSE
    hits = int(right.sum())
    share = f" ({100 * hits / len(best):.0f} %)" if len(best) else ""
    return Chart(
        "Predicted against true contacts",
        square(encode(np.moveaxis(pixels, -1, 0)), length, "Contacts", "residue"),
        f"Above the diagonal the contacts of the structure; below it the {len(best):,} pairs with "
        f"the highest scores, at least {separation} residues apart: {hits:,} are contacts{share}. "
        "Contacts that were not predicted are gray.",
        (("ink", "contact"), ("one", "predicted, right"), ("two", "predicted, wrong")),
    )


# -- parts -------------------------------------------------------------------------------------


def _open(height: float, title: str) -> list[str]:
    return [
        f'<svg class="plot" viewBox="0 0 {WIDTH} {height:g}" role="img">',
        f"<title>{escape(title)}</title>",
    ]


def _image(picture: Picture, x: float, y: float, width: float, height: float) -> str:
    return (
        f'<image href="{picture.uri}" x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" '
        'preserveAspectRatio="none" style="image-rendering:pixelated"/>'
    )


def _label(x: float, y: float, text: str) -> str:
    return f'<text x="{x:g}" y="{y:g}" text-anchor="end">{escape(text)}</text>'


def _numbers(count: int) -> Sequence[float]:
    """Where to label things that are numbered from 1."""
    return [1, *(t for t in plots.ticks(1, count, 5) if t > 0.12 * count and t == round(t))]


def _across(numbers: Sequence[float], count: int, bottom: float, name: str) -> list[str]:
    wide = WIDTH - LEFT - RIGHT
    return [
        *(
            f'<text x="{LEFT + (t - 0.5) / count * wide:.1f}" y="{bottom + 16:g}" '
            f'text-anchor="middle">{plots.number(t)}</text>'
            for t in numbers
        ),
        f'<text class="name" x="{LEFT + wide / 2:g}" y="{bottom + 33:g}" text-anchor="middle">'
        f"{escape(name)}</text>",
    ]


def _down(numbers: Sequence[float], count: int, top: float, tall: float, name: str) -> list[str]:
    return [
        *(_label(LEFT - 8, top + (t - 0.5) / count * tall + 4, plots.number(t)) for t in numbers),
        f'<text class="name" transform="translate(12 {top + tall / 2:g}) rotate(-90)" '
        f'text-anchor="middle">{escape(name)}</text>',
    ]

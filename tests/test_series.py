"""Frames of one camera: a law of noise is shared where it holds, and only there."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

import hush
from hush.kinds import get
from hush.kinds.image.measure.series import Common, Frame, law_in, laws
from hush.record import Batch, Record
from hush.report import describe
from hush.results import Estimate

SIDE, OFFSET, READ = 128, 100.0, 3.0


def scene(move: float = 0.0) -> np.ndarray:
    """Bright ellipses on black, up to 1."""
    rng = np.random.default_rng(3)
    y, x = np.mgrid[:SIDE, :SIDE]
    out = np.zeros((SIDE, SIDE))
    for cy, cx, height in rng.uniform((0, 0, 0.3), (SIDE, SIDE, 1), (12, 3)):
        out = np.maximum(out, height * (np.hypot(y - cy - move, (x - cx) / 1.5) < 11))
    return gaussian_filter(out, 2)


def frames(light: list[float], gains: list[float], move: float = 0.0) -> tuple[list, list]:
    """Frames of counts in 16 bits ``(1, H, W)``, full range 1, and their true rms levels."""
    rng, made, levels = np.random.default_rng(0), [], []
    for i, (photons, gain) in enumerate(zip(light, gains, strict=True)):
        mean = photons * scene(move * i)
        x = OFFSET + gain * rng.poisson(mean) + READ * rng.standard_normal(mean.shape)
        made.append((np.rint(x) / 65535).astype(np.float32)[None])
        levels.append(float(np.sqrt(np.mean(gain**2 * mean + READ**2 + 1 / 12))) / 65535)
    return made, levels


def as_it_is(x: np.ndarray, found: Estimate) -> Estimate:
    return found


BLEACHING = [200 * 0.15 ** (i / 3) for i in range(4)]


@pytest.mark.parametrize("move", [0.0, 3.0])
def test_a_bleaching_series_has_one_law(move: float) -> None:
    made, levels = frames(BLEACHING, [4.0] * 4, move)
    (law,) = laws(made, as_it_is)
    assert [law_in(x, [law]) for x in made] == [0] * 4
    found = [law.within(x) for x in made]
    np.testing.assert_allclose([f.sigma for f in found], levels, rtol=0.06)
    assert {f.process for f in found} == {law.found.process}


def test_another_gain_is_another_law() -> None:
    made, levels = frames([100.0] * 4, [4.0, 8.0, 4.0, 8.0])
    both = laws(made, as_it_is)
    seen = [law_in(x, both) for x in made]
    assert sorted(set(seen)) == [0, 1]
    assert seen == seen[:2] * 2
    measured = [both[k].within(x).sigma for k, x in zip(seen, made, strict=True) if k is not None]
    np.testing.assert_allclose(measured, levels, rtol=0.06)


def test_an_average_of_frames_is_measured_alone() -> None:
    made, _ = frames([200.0] * 4, [4.0] * 4)
    made[2] = np.mean(frames([200.0] * 4, [4.0] * 4)[0], axis=0, dtype=np.float32)
    found = laws(made, as_it_is)
    assert [law_in(x, found) for x in made] == [0, 0, None, 0]


def test_noise_correlated_otherwise_is_measured_alone() -> None:
    rng, flat = np.random.default_rng(1), np.full((1, SIDE, SIDE), 0.5, np.float32)
    noise = rng.standard_normal((3, 1, SIDE, SIDE)).astype(np.float32)
    blurred = gaussian_filter(noise[2], (0, 1.2, 1.2))
    noise[2] = blurred / blurred.std()
    made = list(flat + 0.02 * noise)
    found = laws(made, as_it_is)
    assert [law_in(x, found) for x in made] == [0, 0, None]


def test_impulses_are_those_of_the_frame() -> None:
    made, _ = frames([200.0] * 3, [4.0] * 3)
    made[1][0, 20:100:20, 64] = 0.5
    (law,) = laws(made, as_it_is)
    assert [law.within(x).hits for x in made] == [0, 4, 0]


def test_frames_without_noise_share_nothing() -> None:
    assert laws([np.zeros((1, 64, 64), np.float32)] * 3, as_it_is) == []


def test_the_law_is_that_of_the_stack_and_one_image_has_none() -> None:
    made, levels = frames(BLEACHING[:3], [4.0] * 3)
    stack = np.rint(np.concatenate(made) * 65535).astype(np.uint16)
    result = hush.run(Record(stack, "TYX"), method="none")
    assert result.laws == [(0, 1)] * 3
    assert len({item.process.spec(1.0) for item in result.items}) == 1
    np.testing.assert_allclose([item.found.sigma for item in result.items], levels, rtol=0.06)
    alone = hush.run(stack[0], method="none")
    assert alone.laws == []
    assert hush.run(Record(stack[:1], "TYX"), method="none").estimate == alone.estimate


def test_channels_have_laws_of_their_own() -> None:
    first, second = (
        frames([light] * 2, [gain] * 2)[0] for light, gain in ((200.0, 4.0), (50.0, 20.0))
    )
    batch = Batch(np.stack([np.concatenate(first), np.concatenate(second)], axis=1)).channelwise()
    series = get("image").series(batch, 2, as_it_is)
    assert series is not None
    seen = [series.measure(i, x) for i, x in enumerate(batch.data)]
    assert [law for law, _ in filter(None, seen)] == [1] * 4
    gains = [found.gain * 65535 for _, found in filter(None, seen)]
    np.testing.assert_allclose(gains, [4.0, 20.0] * 2, rtol=0.15)


@pytest.mark.parametrize(
    ("laws", "text"),
    [
        ([], ""),
        ([(0, 1)] * 10, "10 images share one law of noise"),
        ([(0, 1)] * 8 + [(0, 0)] * 2, "8 images share one law of noise; 2 measured alone"),
        ([(0, 1)] * 5 + [(0, 2)] * 5, "5 and 5 images share a law of noise each"),
        ([(0, 1), (1, 1)] * 4, "8 images share one law of noise in each channel"),
        ([(0, 0)] * 4, "no two of 4 images share a law of noise; each was measured alone"),
    ],
)
def test_a_series_is_said_in_a_line(laws: list[tuple[int, int]], text: str) -> None:
    assert describe.series(laws, "images") == text


def test_a_common_law_is_compared_by_its_own_frames() -> None:
    made, _ = frames([200.0] * 4, [4.0] * 4)
    law = Common.of([Frame(x) for x in made])
    off = law.deviation(Frame(made[0]))
    assert off is not None
    assert np.abs(off[0][:2]).max() < 0.1
    other = law.deviation(Frame(frames([200.0], [12.0])[0][0]))
    assert other is not None
    np.testing.assert_allclose(other[0][1], np.log(3) / 2, atol=0.15)

"""The page about volumes: planes, windows, the background's law, directions, and its size."""

from __future__ import annotations

import base64
import io
import re
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from PIL import Image

import hush
from hush import api
from hush.denoiser import Advance, Denoiser
from hush.kinds.volume import VOLUME, charts, pictures, places
from hush.kinds.volume.page import Volumes
from hush.kinds.volume.pictures import anatomy, planes
from hush.kinds.volume.series import Series
from hush.noise.process import Process
from hush.noise.processes import Gaussian, NonCentralChi, Rician
from hush.record import Batch, Record
from hush.report import frame
from hush.report.frame import Chart
from hush.results import Estimate, Restoration
from hush.tasks import tensor

SHAPE, SIGMA = (24, 40, 36), 10.0


@dataclass
class Known(Denoiser):
    """Returns what it is told: a method whose errors are known."""

    made: np.ndarray = field(default_factory=lambda: np.zeros(0))

    name: ClassVar[str] = "known"
    summary: ClassVar[str] = "returns what it was told"
    kinds: ClassVar[tuple[str, ...]] = ("volume",)

    def restore_item(
        self,
        batch: Batch,
        index: int,
        noise: Process | None = None,
        advance: Advance | None = None,
        found: Estimate | None = None,
    ) -> Restoration:
        return Restoration((self.made / batch.scale).astype(np.float32), noise)


def head() -> np.ndarray:
    z, y, x = np.meshgrid(*[np.linspace(-1, 1, n) for n in SHAPE], indexing="ij")
    inside: np.ndarray = x**2 + y**2 + z**2 < 0.5
    return inside


def directions(count: int) -> np.ndarray:
    """Unit vectors evenly over a half sphere, ``(count, 3)``."""
    k = np.arange(count) + 0.5
    z, turn = k / count, np.pi * (1 + 5**0.5) * k
    flat = np.sqrt(1 - z**2)
    return np.stack([flat * np.cos(turn), flat * np.sin(turn), z], axis=1)


def scan(count: int = 13) -> dict[str, Any]:
    return {
        "bvals": np.array([0.0] + [1000.0] * (count - 1)),
        "bvecs": np.concatenate([np.zeros((1, 3)), directions(count - 1)]),
        "spacing": (2.0, 1.5, 1.5),
        "affine": np.diag([1.5, 1.5, 2.0, 1.0]),
    }


def fibres(bvals: np.ndarray, bvecs: np.ndarray) -> np.ndarray:
    """Volumes of a head whose fibres run along X in one half and along Z in the other."""
    x = np.linspace(-1, 1, SHAPE[2])
    along = np.where((x < 0)[:, None], [1.0, 0, 0], [0, 0, 1.0])
    cosine = bvecs @ along.T
    decay = np.exp(-bvals[:, None] * 1e-3 * (0.2 + 1.5 * cosine**2))
    signal: np.ndarray = 400 * head() * decay[:, None, None, :]
    return signal.astype(np.float32)


def noisy(clean: np.ndarray, sigma: float = SIGMA) -> np.ndarray:
    rng = np.random.default_rng(0)
    real, imaginary = (sigma * rng.standard_normal(clean.shape) for _ in range(2))
    magnitude: np.ndarray = np.hypot(clean + real, imaginary).astype(np.float32)
    return magnitude


def series(x: np.ndarray, **context: Any) -> Record:
    return Record(np.ascontiguousarray(x.transpose(3, 2, 1, 0)), "XYZC", "volume", context=context)


def section(budget: float = frame.BUDGET, noise: Any = "rician:10", **context: Any) -> Volumes:
    about = {**scan(), **context}
    clean = fibres(about["bvals"], about["bvecs"])
    result = hush.run(series(noisy(clean), **about), model=Known(clean), noise=noise)
    made = VOLUME.section(result, budget)
    assert isinstance(made, Volumes)
    return made


def decoded(uri: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))))


# -- planes -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("codes", "affine"),
    [
        ("RAS", np.diag([1.0, 1, 1, 1])),
        ("LPS", np.diag([-1.0, -1, 1, 1])),
        ("PLS", np.array([[0, -1, 0, 0], [-1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]])),
        ("ASR", np.array([[0, 0, 1, 0], [1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1.0]])),
    ],
)
def test_planes_are_turned_as_the_affine_says(codes: str, affine: np.ndarray) -> None:
    axis = {"R": 0, "L": 0, "A": 1, "P": 1, "S": 2, "I": 2}
    for k, (where, ahead) in enumerate(anatomy(affine)):
        letter = codes[2 - where]
        assert axis[letter] == k
        assert ahead == (letter in "RAS")
    # A bright corner at right, front, head is at the left and the top of every plane.
    volume = np.zeros((12, 12, 12), np.float32)
    corner = [0, 0, 0]
    for where, ahead in anatomy(affine):
        corner[where] = 11 if ahead else 0
    volume[tuple(corner)] = 1
    for plane in planes(volume.shape, {"affine": affine}):
        (shown,) = plane.cut(volume, [corner[plane.axis]])
        assert shown[0, 0] == 1


def test_an_oblique_affine_has_the_nearest_planes() -> None:
    turn = np.deg2rad(20)
    affine = np.eye(4)
    affine[1:3, 1:3] = [[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]
    assert [p.name for p in planes((30, 30, 30), {"affine": affine})] == [
        "Axial",
        "Coronal",
        "Sagittal",
    ]
    assert [p.axis for p in planes((30, 30, 30), {"affine": affine})] == [0, 1, 2]


@pytest.mark.parametrize(
    ("shape", "about", "count"),
    [
        ((30, 40, 40), {}, 3),
        ((2, 40, 40), {}, 1),
        ((30, 40, 40), {"adjacent": False}, 1),
        ((6, 40, 40), {}, 1),
        ((6, 40, 40), {"spacing": (5.0, 1.0, 1.0)}, 3),
    ],
)
def test_planes_that_show_nothing_are_left_out(
    shape: tuple[int, int, int], about: dict[str, Any], count: int
) -> None:
    found = planes(shape, about)
    assert len(found) == count
    assert any(p.axis == 0 for p in found)


def test_slices_are_spread_over_the_object() -> None:
    inside = np.zeros((30, 20, 20), bool)
    inside[10:26] = True
    assert pictures.spread(inside, 0, 4) == (12, 16, 20, 24)
    assert pictures.spread(inside, 0, 50) == tuple(range(10, 26))
    assert pictures.spread(np.zeros((3, 4, 5), bool), 2, 9) == (0, 1, 2, 3, 4)


@pytest.mark.parametrize("budget", [frame.BUDGET, frame.SMALLEST_BUDGET, 2e4])
def test_what_is_shown_fits_the_budget(budget: float) -> None:
    shape, bvals = (60, 256, 256), np.repeat([0.0, 1000.0, 2000.0], 10)
    every = planes(shape, {})
    picked = pictures.chosen(every, shape, np.ones(shape, bool), Series(30, bvals), budget)
    area = sum(
        len(at) * -(-shape[p.rows] // picked.step) * -(-shape[p.columns] // picked.step)
        for p, at in zip(every, picked.slices, strict=True)
    )
    assert len(picked.volumes) * area <= budget
    assert picked.volumes[0][1] == "b = 0"


def test_windows_begin_where_there_is_no_signal() -> None:
    x = np.linspace(0.01, 1, 1000)
    low, high = pictures.window(x, 0.0)
    assert low == 0
    assert high == pytest.approx(1.03, abs=0.01)
    assert pictures.window(x + 10, 0.0)[0] == pytest.approx(10, abs=0.1)
    assert pictures.window(np.full(4, np.nan), 0.0) == (0.0, 1.0)


# -- the page ---------------------------------------------------------------------------------


def test_the_page_has_planes_volumes_and_directions() -> None:
    made = section()
    assert [p.plane.name for p in made.planes] == ["Axial", "Coronal", "Sagittal"]
    assert made.choice == ("b = 0", "b = 1000")
    for plane in made.planes:
        assert [c.tag for c in plane.cells] == ["Before", "After", "Removed"]
        assert all(len(c.sprites) == 2 for c in plane.cells)
    axial = made.planes[0]
    assert axial.width == pytest.approx(36 * 1.5)
    assert made.planes[1].height == pytest.approx(24 * 2)
    assert made.directions is not None
    assert [c.tag for c in made.directions.cells] == ["FA before", "FA after"]
    headings = [c.heading for c in made.charts]
    assert headings == [
        "Does it look like noise?",
        "Is it as strong as noise should be?",
        "Does the background fit?",
    ]
    assert not made.warnings
    html = frame.render([made])
    assert html.count("<img") == 3 * 3 * 2 + 2
    assert len(html) < 2e6


def test_sprites_hold_the_slices_one_below_the_other() -> None:
    made = section()
    axial = made.planes[0]
    before, after, removed = (decoded(c.sprites[0].uri) for c in axial.cells)
    assert before.shape == (40 * len(axial.slices), 36)
    about = scan()
    clean = fibres(about["bvals"], about["bvecs"])
    place = axial.slices[3] - 1
    own = clean[0, place][::-1, ::-1]
    assert np.corrcoef(after[120:160].ravel(), own.ravel())[0, 1] > 0.999
    r = (noisy(clean) - clean)[0, place][::-1, ::-1]
    shown = removed[120:160].astype(float)
    inside = (shown > 0) & (shown < 255)
    assert np.corrcoef(shown[inside], r[inside])[0, 1] > 0.999


def test_a_level_that_varies_has_a_picture() -> None:
    level = np.linspace(5, 20, SHAPE[2], dtype=np.float32)
    made = section(noise=Rician(np.broadcast_to(level, (1, *SHAPE)).copy()))
    cell = made.planes[0].cells[-1]
    assert cell.tag == "σ of the noise"
    assert len(cell.sprites) == 1
    shown = decoded(cell.sprites[0].uri).astype(float).sum(axis=2)
    assert shown[0, 0] > shown[0, -1] + 100  # the patient's right is on the left
    assert made.level == "20"


def test_a_small_budget_makes_a_small_page() -> None:
    small = section(frame.SMALLEST_BUDGET)
    assert len(frame.render([small])) < 0.7 * len(frame.render([section()]))


def test_an_inspection_shows_the_data_and_the_noise() -> None:
    about = scan()
    record = series(noisy(fibres(about["bvals"], about["bvecs"])), **about)
    made = VOLUME.inspected(api.inspected(record), frame.BUDGET)
    assert isinstance(made, Volumes)
    assert [c.tag for c in made.planes[0].cells] == ["The data", "σ of the noise"]
    assert made.directions is not None
    assert len(made.directions.cells) == 1
    assert "Directions before and after" not in frame.render([made])


@pytest.mark.parametrize("dtype", ["uint8", "int16", "float64"])
def test_one_volume_of_any_type_has_a_page(dtype: str) -> None:
    clean = (head() * 100).astype(dtype)
    x = np.clip(noisy(clean[None], 5)[0], 0, 250).astype(dtype)
    result = hush.run(Record(x, "ZYX", "volume"), model=Known(clean[None]), noise="rician:5")
    made = VOLUME.section(result, frame.BUDGET)
    assert isinstance(made, Volumes)
    assert made.choice == ("",)
    assert made.directions is None
    assert "<button" not in frame.render([made])


def test_missing_voxels_and_empty_volumes_have_a_page() -> None:
    x = noisy(np.stack([200.0 * head()] * 3))
    x[0, :4] = np.nan
    x[2] = 0
    result = hush.run(series(x), method="none")
    assert frame.render([VOLUME.section(result, frame.BUDGET)])


# -- the background ---------------------------------------------------------------------------


def law_of(item: np.ndarray, noise: Process) -> list[Chart]:
    return charts.background(item, noise, places.find(item, {}), {}, 1.0)


def best(chart: Chart) -> float:
    found = re.search(r"fits them best is (\d+) % of it", chart.caption)
    assert found
    return float(found[1])


def test_the_backgrounds_law_is_that_of_the_noise() -> None:
    item = noisy(np.stack([200.0 * head()] * 2))
    (chart,) = law_of(item, Rician(SIGMA))
    assert best(chart) == pytest.approx(100, abs=2)
    assert "Rayleigh" in chart.key[1][1]
    assert best(law_of(item, Rician(2 * SIGMA))[0]) == pytest.approx(50, abs=1)
    rng = np.random.default_rng(1)
    coils = np.sqrt(np.sum(rng.normal(0, SIGMA, (8, *SHAPE)) ** 2, axis=0))
    many = np.where(head(), 200, coils)[None]
    (chart,) = law_of(many, NonCentralChi(SIGMA, 4))
    assert best(chart) == pytest.approx(100, abs=2)
    signed = 200.0 * head() + rng.normal(0, SIGMA, (1, *SHAPE))
    where = places.find(noisy(200.0 * head()[None]), {})
    (chart,) = charts.background(signed, Gaussian(SIGMA), where, {}, 1.0)
    assert "Gaussian" in chart.key[1][1]
    assert best(chart) == pytest.approx(100, abs=2)


def test_the_background_is_seen_in_units_of_the_level_at_its_place() -> None:
    level = np.linspace(5, 20, SHAPE[2])
    rng = np.random.default_rng(2)
    real, imaginary = (level * rng.standard_normal((2, *SHAPE)) for _ in range(2))
    item = np.hypot(300.0 * head() + real, imaginary)
    noise = Rician(np.broadcast_to(level, (1, *SHAPE)).copy())
    where = places.find(noisy(np.stack([300.0 * head()] * 2)), {})
    (chart,) = charts.background(item, noise, where, {}, 1.0)
    assert best(chart) == pytest.approx(100, abs=2)


def test_without_background_there_is_no_histogram() -> None:
    item = noisy(np.stack([200.0 * head()] * 2)) * head()
    assert law_of(item, Rician(SIGMA)) == []
    assert law_of(noisy(200.0 * head()[None]), Rician(0.0)) == []


# -- directions -------------------------------------------------------------------------------


def test_tensors_are_those_that_made_the_signals() -> None:
    about = scan(31)
    rng = np.random.default_rng(0)
    turn = np.linalg.qr(rng.standard_normal((20, 3, 3)))[0]
    values = rng.uniform(0.1e-3, 2e-3, (20, 3))
    truth = np.einsum("nij,nj,nkj->nik", turn, values, turn)
    b, g = about["bvals"], about["bvecs"]
    signals = 500 * np.exp(-b[:, None] * np.einsum("ci,nij,cj->cn", g, truth, g))
    found = tensor.fit(signals, b, g)
    assert np.allclose(found, truth, atol=1e-7)
    fa, direction = tensor.anisotropy(found)
    d = np.sort(values, axis=1)
    apart = np.sqrt(1.5 * ((d - d.mean(1, keepdims=True)) ** 2).sum(1) / (d**2).sum(1))
    assert np.allclose(fa, apart, atol=1e-4)
    main = np.take_along_axis(turn, values.argmax(1)[:, None, None], 2)[..., 0]
    assert np.allclose(np.abs(np.sum(main * direction, axis=1)), 1, atol=1e-4)


def test_a_tensor_needs_b_0_and_six_directions() -> None:
    d = directions(6)
    assert tensor.determined(np.array([0.0] + [1000.0] * 6), np.vstack([np.zeros(3), d]))
    flat = np.array([[np.cos(t), np.sin(t), 0] for t in np.linspace(0, 3, 6)])
    assert not tensor.determined(np.array([0.0] + [1000.0] * 6), np.vstack([np.zeros(3), flat]))
    assert charts.of_tensor(Series(6, np.full(6, 1000.0), d)) == []
    assert charts.of_tensor(Series(6)) == []


def test_the_tensor_is_fitted_to_shells_that_it_describes() -> None:
    bvals = np.array([0.0] + [1000.0] * 8 + [3000.0] * 8)
    both = np.vstack([np.zeros(3), directions(8), directions(8)])
    assert charts.of_tensor(Series(17, bvals, both)) == list(range(9))
    high = np.where(bvals == 1000, 2000.0, bvals)  # the lowest, if all are high
    assert charts.of_tensor(Series(17, high, both)) == list(range(9))


def test_colours_are_those_of_the_fibres() -> None:
    made = section()
    assert made.directions is not None
    for cell in made.directions.cells:
        picture = decoded(cell.sprites[0].uri).astype(float)
        middle = picture[picture.shape[0] // 2 - 40 :][:40]
        right, left = middle[15:25, 8:16].mean((0, 1)), middle[15:25, 20:28].mean((0, 1))
        assert right.argmax() == 2  # large x is the patient's right, shown on the left
        assert left.argmax() == 0
        assert left[0] > 2 * left[1]


def test_few_directions_are_said() -> None:
    few: dict[str, Any] = {
        "bvals": np.array([0.0, 1000, 1000, 1000]),
        "bvecs": np.vstack([np.zeros(3), np.eye(3)]),
    }
    made = section(**few)
    assert made.directions is None
    assert "needs b = 0 and six directions" in frame.render([made])


# -- in a browser -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("no browser: 'chromium' is not on the PATH")
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        arguments: Sequence[str] = ["--no-sandbox", "--disable-gpu"]
        browser = playwright.chromium.launch(executable_path=chromium, args=arguments)
        yield browser
        browser.close()


@pytest.mark.browser
def test_slices_turn_and_volumes_change(browser: Any, tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    frame.write([section()], path)
    page = browser.new_page(viewport={"width": 1200, "height": 1000})
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(path.as_uri())
    plane = page.locator(".plane").first
    said, slider = plane.locator("output"), plane.locator("input")
    slider.focus()
    slider.press("Home")
    first = said.inner_text()
    slider.press("ArrowRight")
    assert said.inner_text() != first
    moved = plane.evaluate("e => new DOMMatrix(getComputedStyle(e.querySelector('img')).transform)")
    height = plane.evaluate("e => e.querySelector('.slice').clientHeight")
    assert moved["f"] == pytest.approx(-height, rel=0.01)
    page.locator("button", has_text="b = 1000").click()
    shown = plane.locator("img:visible")
    assert shown.count() == 3
    assert {shown.nth(i).get_attribute("data-volume") for i in range(3)} == {"1"}
    assert errors == []
    page.close()

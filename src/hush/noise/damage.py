"""Damage to a finished image: impulses, quantisation, JPEG."""

from __future__ import annotations

import dataclasses
import io
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from hush.errors import HushError
from hush.noise.blur import padded
from hush.noise.process import Process, T, uniform
from hush.noise.units import Level, Ratio, fixed, level, number, root, word

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Impulse(Process):
    """A share p of the pixels is replaced by black or white, or by a value from [0, 1).

    Closed: replacing twice is replacing. E[(y − x)²] = p·E[(w − x)²] for a replacement w, so the
    ratio a multiplies p (not 1 − (1 − p)^a: this is the noise's power about x; the variance is
    smaller by the square of `bias`). To get from p to a·p, a share q = (a − 1)·p/(1 − p) of all
    pixels is replaced, some of them for the second time. Increments therefore add to first order in
    p: E[s_t − s_0 | s_t = w] is the share 1 − 1/a of the noise plus (1 − 1/a)·p/(1 − p)·(w − E[w]).

    share : p; values : the replacements, black and white or random.
    """

    share: Level = field(metadata=number("the share of replaced pixels", highest=1.0))
    values: str = field(default="salt-and-pepper", metadata=word("salt-and-pepper", "random"))
    family: ClassVar[str] = "impulse"
    label: ClassVar[str] = "Impulses"
    examples: ClassVar[tuple[str, ...]] = ("impulse:0.1", "impulse:0.1,random", "impulse:0.02-0.2")
    taylor_order: ClassVar[float] = 1
    biased: ClassVar[bool] = True
    beside: ClassVar[bool] = True
    terms: ClassVar[tuple[int, ...]] = (0, 1, 2)

    def variance(self, x: T) -> T:
        bias = self.bias(x)
        mean_square = 1 / 2 if self._binary else 1 / 3
        return fixed(self.share) * (mean_square - x + x * x) - bias * bias

    def bias(self, x: T) -> T:
        return fixed(self.share) * (0.5 - x)

    def scaled(self, ratio: Ratio) -> Impulse:
        return dataclasses.replace(self, share=ratio * fixed(self.share))

    def sample(self, x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        hit = uniform(x, generator) < fixed(self.share)
        values = uniform(x, generator)
        return values.round().where(hit, x) if self._binary else values.where(hit, x)

    def accumulate(
        self, s: torch.Tensor, ratio: float, generator: torch.Generator
    ) -> tuple[torch.Tensor, torch.Tensor]:
        before, after = fixed(self.share), fixed(self.scaled(ratio).share)
        again = (after - before) / (1 - before) if before < 1 else 0.0
        state = dataclasses.replace(self, share=again).sample(s, generator)
        return state, state - s

    @property
    def _binary(self) -> bool:
        return self.values == "salt-and-pepper"


@dataclass(frozen=True)
class Quantisation(Process):
    """Rounding to multiples of a step; variance step²/12 for signals that span many steps.

    Not closed, and a sample is deterministic: it is noise only because the signal is unknown. The
    ratio a multiplies the step by √a. A state accumulates by rounding with dither to √(a − 1)
    steps: the error is uniform and independent of the state, so variances add, although a sum of
    uniform laws is not uniform. Rounding again without dither does not work: the second error
    depends on the first, and several steps can give half or twice the variance.

    step : in signal units.
    """

    step: Level = field(metadata=level("the quantisation step"))
    family: ClassVar[str] = "quantisation"
    label: ClassVar[str] = "Quantisation"
    examples: ClassVar[tuple[str, ...]] = ("quantisation:4/255", "quantisation:4-32/255")
    closed: ClassVar[bool] = False
    taylor_order: ClassVar[float] = 0
    terms: ClassVar[tuple[int, ...]] = (0,)

    def variance(self, x: T) -> T:
        return 0 * x + fixed(self.step) ** 2 / 12

    def scaled(self, ratio: Ratio) -> Quantisation:
        return Quantisation(fixed(self.step) * root(ratio))

    def sample(self, x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        step = fixed(self.step)
        return (x / step).round() * step if step else 1 * x

    def accumulate(
        self, s: torch.Tensor, ratio: float, generator: torch.Generator
    ) -> tuple[torch.Tensor, torch.Tensor]:
        step = fixed(self.step) * math.sqrt(ratio - 1)
        # The error of rounding s + d and subtracting d, for a uniform dither d.
        increment = step * (uniform(s, generator) - 0.5)
        return s + increment, increment


#: steps of luma at quality 50 (ITU-T T.81, table K.1)
_LUMA = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)

#: steps of chroma (table K.2)
_CHROMA = (
    (17, 18, 24, 47, 99, 99, 99, 99),
    (18, 21, 26, 66, 99, 99, 99, 99),
    (24, 26, 56, 99, 99, 99, 99, 99),
    (47, 66, 99, 99, 99, 99, 99, 99),
    *[(99,) * 8] * 4,
)


@dataclass(frozen=True)
class JPEG(Process):
    """JPEG of each plane of the last two axes, as an 8-bit gray image clipped to [0, 1].

    If `colour`, samples are ``(…, 3, H, W)``, stored as colour images: with chroma at half the
    resolution (4:2:0), which a state does not lose again. The variance is that of luma.

    This is `Quantisation` of 8×8 cosine coefficients. The ratio a multiplies the table's steps q by
    √a. A state accumulates by compressing again at √(a − 1) times the steps, with shifted blocks
    (as after a crop: on the same blocks the second error would depend on the first). The increment
    is F(s) − s, and only two moments agree. The variance, mean(q²)/12 plus twice that of rounding a
    pixel, holds for coefficients that span many steps; for others, as in smooth areas, it is an
    upper bound. Steps are integers from 1 to 255, so the ladder is coarse near quality 100 and ends
    at quality 1.

    quality : 1 to 100 as in libjpeg; may be fractional.
    """

    quality: Level = field(metadata=number("the JPEG quality", lowest=1.0, highest=100.0))
    colour: bool = False
    family: ClassVar[str] = "jpeg"
    label: ClassVar[str] = "JPEG"
    examples: ClassVar[tuple[str, ...]] = ("jpeg:75", "jpeg:10-90")
    closed: ClassVar[bool] = False
    taylor_order: ClassVar[float] = 0
    white: ClassVar[bool] = False
    terms: ClassVar[tuple[int, ...]] = (0,)

    def variance(self, x: T) -> T:
        steps = _table(_LUMA, self._percent())
        return 0 * x + float(np.mean(steps.astype(float) ** 2) + 2) / 12 / 255**2

    def scaled(self, ratio: Ratio) -> JPEG:
        percent = self._percent() * float(root(ratio))
        if percent > 5000:
            most = (5000 / self._percent()) ** 2
            raise HushError(
                f"{self.spec()} can be made at most {most:.4g} times as noisy, not {ratio:.4g}"
            )
        quality = 5000 / percent if percent > 100 else 100 - percent / 2
        return dataclasses.replace(self, quality=quality)

    def sample(self, x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        self._in_space(x.ndim)
        return self._compressed(x, self._percent(), "4:2:0")

    def over(self, ndim: int) -> JPEG:
        self._in_space(ndim)
        return self

    def accumulate(
        self, s: torch.Tensor, ratio: float, generator: torch.Generator
    ) -> tuple[torch.Tensor, torch.Tensor]:
        import torch

        if ratio == 1:
            return s, 0 * s
        self._in_space(s.ndim)
        height, width = s.shape[-2:]
        up, left = divmod(int(torch.randint(1, 64, (), generator=generator, device=s.device)), 8)
        around = padded(s, 7, 2)[..., 7 - up :, 7 - left :]
        moved = self._compressed(around, self._percent() * math.sqrt(ratio - 1), "4:4:4")
        state = moved[..., up : up + height, left : left + width]
        return state, state - s

    def _percent(self) -> float:
        """The percentage by which libjpeg multiplies the table's steps."""
        return _percentage(fixed(self.quality))

    def _compressed(self, x: torch.Tensor, percent: float, subsampling: str) -> torch.Tensor:
        import torch

        tables = [_table(steps, percent).ravel().tolist() for steps in (_LUMA, _CHROMA)]
        stored = (x.cpu().double().clamp(0, 1) * 255).round().to(torch.uint8)
        pictures = (stored.movedim(-3, -1) if self.colour else stored).numpy()
        size = pictures.shape[-2 - self.colour :]
        options = {"qtables": tables[: 1 + self.colour], "subsampling": subsampling}
        files = [_filed(p, options) for p in pictures.reshape(-1, *size)]
        found = torch.as_tensor(np.array(files, np.uint8).reshape(pictures.shape))
        return (found.movedim(-1, -3) if self.colour else found).to(x) / 255


def _filed(picture: np.ndarray, options: dict[str, Any]) -> np.ndarray:
    """What a JPEG file makes of an 8-bit picture ``(H, W)`` or ``(H, W, 3)``."""
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", **options)
    with Image.open(file) as image:
        return np.asarray(image)


def _table(steps: tuple[tuple[int, ...], ...], percent: float) -> np.ndarray:
    return np.clip(np.floor((np.array(steps) * percent + 50) / 100), 1, 255).astype(int)


def _percentage(quality: float) -> float:
    return 5000 / quality if quality < 50 else 200 - 2 * quality


def table(quality: float) -> np.ndarray:
    """libjpeg's steps of luma ``(8, 8)``, int, at a quality from 1 to 100."""
    return _table(_LUMA, _percentage(quality))

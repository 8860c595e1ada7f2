"""The losses of DiffDenoise's stages, on patches ``(B, C, h, w)``; equations of the paper.

Each loss takes its networks, the patches, a generator, and the share of the stage that is done.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hush.nets.blindspot import bell
from hush.sampling import cosine_signal

SIGNAL = cosine_signal()


def blind_loss(
    network: nn.Module, x: Tensor, _: torch.Generator, __: float
) -> Mapping[str, Tensor]:
    return {"blind_loss": (network(x).float() - x).square().mean()}


def residual(
    guide: nn.Module, x: Tensor, blind: int, naive: bool, generator: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Pixels to score, conditions independent of them, and r in units of s."""
    x, scale = x[:, :-1], x[:, -1:]
    if naive:
        scored, filled = torch.ones_like(x[:1, :1]), x
    else:
        corner = torch.randint(grid_of(blind), (2,), generator=generator, device=x.device)
        row, column = corner.tolist()
        scored, filled = hidden(x, blind, row, column)
    with torch.no_grad():
        condition = guide.to(x.device)(filled).float()
    return scored.expand_as(x), condition, (x - condition) / scale


def diffusion_loss(
    network: nn.Module,
    guide: nn.Module,
    blind: int,
    naive: bool,
    x: Tensor,
    generator: torch.Generator,
    _: float,
) -> Mapping[str, Tensor]:
    """Eq. 2 for v instead of ε, at pixels that the condition does not depend on."""
    scored, condition, r = residual(guide, x, blind, naive, generator)
    time = torch.randint(len(SIGNAL), (len(x),), generator=generator, device=x.device)
    signal = torch.from_numpy(SIGNAL).to(r)[time][:, None, None, None]
    noise = torch.randn(r.shape, generator=generator, device=x.device)
    state = signal.sqrt() * r + (1 - signal).sqrt() * noise  # eq. 1
    v = signal.sqrt() * noise - (1 - signal).sqrt() * r
    error = (network(state, condition, time).float() - v).abs()
    return {"diffusion_loss": (error * scored).sum() / scored.sum()}


def oracle_loss(
    network: nn.Module,
    guide: nn.Module,
    blind: int,
    naive: bool,
    x: Tensor,
    generator: torch.Generator,
    _: float,
) -> Mapping[str, Tensor]:
    scored, condition, r = residual(guide, x, blind, naive, generator)
    answer = network(torch.zeros_like(condition), condition, never(condition)).float()
    return {"oracle_loss": ((answer - r).square() * scored).sum() / scored.sum()}


def never(c: Tensor) -> Tensor:
    """Times, all 0, for a network that does not use the time; one for each image of a batch."""
    return torch.zeros(len(c), dtype=torch.long, device=c.device)


def student_loss(
    network: nn.Module, both: Tensor, _: torch.Generator, __: float
) -> Mapping[str, Tensor]:
    x, target = both.chunk(2, 1)
    return {"student_loss": (network(x).float() - target).abs().mean()}


def refined_loss(
    network: nn.Module,
    lags: Tensor,
    further: tuple[float, float],
    both: Tensor,
    generator: torch.Generator,
    done: float,
) -> Mapping[str, Tensor]:
    """Predict x' − z/a from x' + a z; `both` is x' and the noise deviation, ``(B, 2C, H, W)``.

    The errors n + a z and n − z/a are uncorrelated, and independent for Gaussian noise. Then the
    squared error is least at E[x | x' + a z]. A large a gives targets with less noise, good at
    first; a small one gives inputs with hardly more noise than x'. a goes from the first value of
    `further` to the second during the stage.
    """
    a = further[0] + done * (further[1] - further[0])
    x, deviation = both.chunk(2, 1)
    z = torch.randn(x.shape, generator=generator, device=x.device)
    z = deviation * coloured(z, lags.to(x.device))
    error = network(x + a * z).float() - (x - z / a)
    return {"refined_loss": error.square().mean()}


def coloured(white: Tensor, lags: Tensor) -> Tensor:
    """Give white noise ``(B, C, H, W)`` this autocorrelation ``(2R + 1, 2R + 1)``, on a torus
    with sides larger than R."""
    size, radius = white.shape[-2:], len(lags) // 2
    at = torch.arange(-radius, radius + 1, device=lags.device)
    where = (at[:, None] % size[0]) * size[1] + at % size[1]
    around = lags.new_zeros(size.numel()).index_add(0, where.flatten(), lags.flatten())
    power = torch.fft.rfft2(around.view(size)).real.clamp(min=0)
    return torch.fft.irfft2(torch.fft.rfft2(white) * power.sqrt(), s=size)


def grid_of(blind: int) -> int:
    """Distance between scored pixels, wider than the blind spot."""
    return 4 if blind == 1 else blind + 3


def hidden(x: Tensor, blind: int, row: int, column: int) -> tuple[Tensor, Tensor]:
    """Pixels to score ``(1, 1, H, W)``, on a grid from (row, column), and `x` with each of them
    and its blind spot filled in by Gaussian-weighted means of the surroundings."""
    grid = grid_of(blind)
    scored = torch.zeros_like(x[:1, :1])
    scored[..., row::grid, column::grid] = 1
    gone = F.max_pool2d(scored, blind, 1, blind // 2)
    there = (1 - gone).expand_as(x)
    total, weight = blurred(x * there, blind), blurred(there, blind)
    return scored, torch.where(there > 0, x, total / weight.clamp(min=1e-6))


def blurred(x: Tensor, blind: int) -> Tensor:
    """Gaussian-weighted sums, wide enough to reach out of a blind spot in an image's corner."""
    channels = x.shape[1]
    line = bell(blind).to(x).expand(channels, 1, -1)
    rows = F.conv2d(x, line[..., None], padding=(blind, 0), groups=channels)
    return F.conv2d(rows, line[..., None, :], padding=(0, blind), groups=channels)

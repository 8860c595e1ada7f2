"""What the study mid/mri measures: a `Ruler` holds what a shell is judged by, from its raw volumes.

A result is a `Restored`. Every score is of the denoised volumes of one shell, in which 0 means no
signal; masks, regions and noise are those of the raw series, the same for all methods.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from hush import kinds
from hush.denoiser import Denoiser
from hush.errors import HushError
from hush.metrics import SSIM_WINDOW, psnr, rmse
from hush.record import Record
from hush.studies.core import Metric
from hush.studies.fingerprint import fingerprint
from hush.studies.mridata import Scan, real_values
from hush.studies.sample import Sample
from hush.tasks import diffusion_mri as task

GIB = 2**30
REMEMBERED = 2  #: results of one method that several cases use: of all volumes, and of a few


# -- results -----------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Restored:
    """A denoised series.

    data : ``(C, Z, Y, X)``, stored values. seconds, memory : that denoising took; memory in GiB
    beyond what was in use before, NaN if the system does not say.
    """

    data: np.ndarray
    seconds: float
    memory: float


@dataclass
class Remembered:
    """Apply a method to a series once, though several cases judge the result."""

    found: dict[tuple[str, str], Restored] = field(default_factory=dict)

    def __call__(self, method: Denoiser, noisy: Record, noise: Any) -> Restored:
        key = fingerprint(method), sha256(np.ascontiguousarray(noisy.data).data).hexdigest()
        if key not in self.found:
            made = restore(method, noisy, noise)
            while len(self.found) >= REMEMBERED:
                del self.found[next(iter(self.found))]
            self.found[key] = made
        return self.found[key]


def restore(method: Denoiser, noisy: Record, noise: Any = None) -> Restored:
    """Denoise a series or a volume, and measure time and memory."""
    batch = method.seen(kinds.to_batch(noisy))
    start = perf_counter()
    with _most_memory() as used:
        items = [method.denoise_item(batch, i, noise)[0] for i in range(len(batch))]
    data = np.concatenate(items)
    return Restored(data, perf_counter() - start, used.get("most", float("nan")))


@contextmanager
def _most_memory() -> Iterator[dict[str, float]]:
    """The most memory, in GiB, that this process used meanwhile beyond what it used before."""
    used: dict[str, float] = {}
    before = _memory()
    if before is None:
        yield used
        return
    most, ended = [before], threading.Event()

    def watch() -> None:
        while not ended.wait(0.02):
            most.append(max(most.pop(), _memory() or 0))

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield used
    finally:
        ended.set()
        thread.join()
        used["most"] = (max(most[0], _memory() or 0) - before) / GIB


def _memory() -> int | None:
    """Bytes of this process in memory; None on systems without /proc."""
    import os

    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return None
    return pages * os.sysconf("SC_PAGE_SIZE")


# -- the judge of a shell ----------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Ruler:
    """What the denoised volumes of a shell are judged by.

    given : the volumes that a method sees, in order; weak, shell : those of them at b = 0, and of
    the shell; test : those of the shell that no method sees.
    """

    scan: Scan
    given: tuple[int, ...]
    weak: tuple[int, ...]
    shell: tuple[int, ...]
    test: tuple[int, ...]

    @property
    def weighted(self) -> tuple[int, ...]:
        """The volumes that tensors are fitted to."""
        return (*self.weak, *self.shell)

    @cached_property
    def mask(self) -> np.ndarray:
        """The brain: as given with the data, or from the volumes at b = 0, or from all."""
        if self.scan.mask is not None:
            return self.scan.mask
        mean = self.scan.values(self.weak or self.shell).mean(axis=0)
        mask = task.brain_mask(mean, self.scan.adjacent)
        if not mask.any():
            raise HushError(f"no brain was found in {self.scan.name}; put a mask file beside it")
        return mask

    @cached_property
    def tensor(self) -> task.Tensor:
        """The tensors before denoising."""
        return self._tensor(self.scan.values(self.weighted))

    @cached_property
    def regions(self) -> task.Regions:
        """The regions of SNR and CNR."""
        order = task.anatomical_order(self.scan.record.context.get("affine"))
        return task.regions(self.scan.values(self.shell), self.mask, self.tensor, order)

    @cached_property
    def noise(self) -> task.Noise:
        """The noise of the shell, from all of its raw volumes, the same for all methods."""
        every = sorted((*self.shell, *self.test))
        return task.shell_noise(
            self.scan.values(every), self._directions(every), self.mask, self.scan.adjacent
        )

    @cached_property
    def anatomy(self) -> np.ndarray:
        """The low-passed mean of the raw shell."""
        mean = self.scan.values(self.shell).mean(axis=0)
        return task.low_passed(mean, self.mask, self.scan.adjacent)

    def after(self, result: Restored, volumes: Sequence[int]) -> np.ndarray:
        """Some denoised volumes, 0 where there is no signal."""
        where = [self.given.index(i) for i in volumes]
        return real_values(result.data[where], self.scan.zero)

    # -- scores --------------------------------------------------------------------------------

    def held(self, result: Restored) -> Mapping[str, float]:
        """Mean squared error of the prediction of each held-out volume, over the noise's σ²."""
        test = list(self.test)
        errors = task.prediction_errors(
            self.after(result, self.shell),
            self._directions(self.shell),
            self.scan.values(test),
            self._directions(test),
            self.mask,
        )
        relative = errors / self.noise.variance
        return {f"volume {i}": float(e) for i, e in zip(test, relative, strict=True)}

    def snr(self, result: Restored) -> float:
        """SNR after denoising less that before, the mean over volumes."""
        before, after = self.scan.values(self.shell), self.after(result, self.shell)
        return float(np.mean(task.snr(after, self.regions) - task.snr(before, self.regions)))

    def cnr(self, result: Restored) -> float:
        """CNR after denoising less that before, the mean over volumes."""
        before, after = self.scan.values(self.shell), self.after(result, self.shell)
        return float(np.mean(task.cnr(after, self.regions) - task.cnr(before, self.regions)))

    def fa(self, result: Restored) -> float:
        """Mean absolute change of FA inside the brain."""
        after = self._tensor(self.after(result, self.weighted))
        return task.fa_change(self.tensor, after, self.mask)

    def lags(self, result: Restored) -> tuple[float, float, float]:
        """Correlation of the residual with the next voxel along Z, Y and X, inside the brain."""
        residual = self.scan.values(self.shell) - self.after(result, self.shell)
        return task.autocorrelation(residual, self.mask, self.scan.adjacent)

    def anatomical(self, result: Restored) -> float:
        """|Correlation| of residuals, less the expected Rician bias, with the anatomy: its mean."""
        after = self.after(result, self.shell)[:, self.mask]
        residual = self.scan.values(self.shell)[:, self.mask] - after
        bias = task.expected_bias(after, self.noise.sigma[self.mask])
        share = task.bias_share(residual, bias)
        found = task.anatomy_correlation(residual - share * bias, self.anatomy[self.mask])
        return float(np.abs(found).mean())

    def shift(self, result: Restored) -> float:
        """The largest shift of a region's mean in per cent, in the shell and at b = 0."""
        worst = 0.0
        for volumes in (self.shell, self.weak):
            if volumes:
                after = self.after(result, volumes)[:, self.mask]
                bias = task.expected_bias(after, self.noise.sigma[self.mask])
                before = self.scan.values(volumes)[:, self.mask]
                found = task.shifts(before, after, bias, self.mask)
                worst = max(worst, float(np.abs(found).max()))
        return worst

    def _tensor(self, values: np.ndarray) -> task.Tensor:
        volumes = list(self.weighted)
        bvals = np.asarray(self.scan.series.bvals)[volumes]
        directions = self._directions(volumes)
        return task.fit_tensor(values, bvals, directions, self.mask, self.scan.series.b0)

    def _directions(self, volumes: Sequence[int]) -> np.ndarray:
        return np.asarray(self.scan.series.bvecs)[list(volumes)]


# -- metrics -----------------------------------------------------------------------------------


def _ruler(sample: Sample) -> Ruler:
    ruler: Ruler = sample.about["ruler"]
    return ruler


def _lag_in_plane(result: Restored, sample: Sample) -> float:
    return float(np.mean(_ruler(sample).lags(result)[1:]))


def _lag_through(result: Restored, sample: Sample) -> float:
    return _ruler(sample).lags(result)[0]


def _unlike(result: Restored, sample: Sample) -> float:
    """The largest difference of the residual's correlation to that of the noise, of all axes."""
    pairs = zip(_ruler(sample).lags(result), _ruler(sample).noise.lags, strict=True)
    differences = [abs(a - b) for a, b in pairs if np.isfinite(b)]
    return float(np.max(differences)) if differences else float("nan")


SHELL = (
    Metric("held", lambda r, s: _ruler(s).held(r), False, 3, by_sample=True),
    Metric("dsnr", lambda r, s: _ruler(s).snr(r), by_sample=True, judge=False),
    Metric("dcnr", lambda r, s: _ruler(s).cnr(r), by_sample=True, judge=False),
    Metric("dfa", lambda r, s: _ruler(s).fa(r), False, 4, by_sample=True, judge=False),
    Metric("lag", _lag_in_plane, False, by_sample=True, judge=False),
    Metric("lagz", _lag_through, False, by_sample=True, judge=False),
    Metric("unlike", _unlike, False, by_sample=True, judge=False),
    Metric("anatomy", lambda r, s: _ruler(s).anatomical(r), False, 3, by_sample=True),
    Metric("shift", lambda r, s: _ruler(s).shift(r), False, by_sample=True),
)
COST = (
    Metric("seconds", lambda r, s: r.seconds, False, 1, by_sample=True, judge=False),
    Metric("memory", lambda r, s: r.memory, False, by_sample=True, judge=False),
)


#: (result, reference, where they count, the reference's largest value) → score
Compare = Callable[[np.ndarray, np.ndarray, np.ndarray, float], float]


def _repeats(result: Restored, sample: Sample, compare: Compare) -> Mapping[str, float]:
    """A score of each repeat ``(Z, Y, X)`` against the mean of others, by the volumes' names."""
    scores = {}
    for name, (position, reference) in sample.reference.items():
        made = real_values(result.data[position], sample.about["zero"]).astype(np.float64)
        mask = sample.about.get("mask", np.ones(made.shape, bool))
        scores[name] = compare(made, reference, mask, float(reference.max()))
    return scores


def _similarity(a: np.ndarray, b: np.ndarray, mask: np.ndarray, top: float) -> float:
    """SSIM of slices inside a mask, with the window of `hush.metrics.ssim`."""
    from skimage.metrics import structural_similarity

    if min(a.shape[-2:]) < SSIM_WINDOW:
        return float("nan")
    window = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    maps = [
        structural_similarity(x, y, data_range=top, full=True, **window)[1]
        for x, y in zip(a, np.asarray(b, np.float64), strict=True)
    ]
    return float(np.stack(maps)[mask].mean())


def _psnr(result: Restored, sample: Sample) -> Mapping[str, float]:
    return _repeats(result, sample, lambda a, b, m, top: psnr(a[m], b[m], top, clip=False))


def _ssim(result: Restored, sample: Sample) -> Mapping[str, float]:
    return _repeats(result, sample, _similarity)


def _rmse(result: Restored, sample: Sample) -> Mapping[str, float]:
    return _repeats(result, sample, lambda a, b, m, top: rmse(a[m], b[m]))


REPEATS = (
    Metric("psnr", _psnr, by_sample=True),
    Metric("ssim", _ssim, digits=4, by_sample=True),
    Metric("rmse", _rmse, False, 4, by_sample=True),
)
METRICS = (*SHELL, *REPEATS, *COST)

"""Shared by filters for signals whose settings are in Hz or seconds: the rate that they work at."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from hush.denoiser import Advance, Denoiser
from hush.errors import HushError
from hush.kinds import NOTHING
from hush.noise.process import Process
from hush.record import Batch
from hush.results import Estimate, Restoration


class Filter(Denoiser):
    """Base of filters for signals.

    rate : samples a second of data that do not state it.
    """

    rate: float | None
    kinds: ClassVar[tuple[str, ...]] = ("signal",)

    def hertz(self, about: Mapping[str, Any] = NOTHING) -> float:
        """The rate that an item's context states, otherwise the filter's own; `HushError` if
        neither is known."""
        rate = about.get("rate") or self.rate
        if not rate:
            raise HushError(
                f"{self.name} needs the sampling rate, which is unknown; give it with --rate"
            )
        return float(rate)

    def restore_item(
        self,
        batch: Batch,
        index: int,
        noise: Process | None = None,
        advance: Advance | None = None,
        found: Estimate | None = None,
    ) -> Restoration:
        """See `Denoiser.restore_item`; the item's own rate comes first."""
        at = self.replace(rate=batch.about(index).get("rate") or self.rate)
        return Denoiser.restore_item(at, batch, index, noise, advance, found)

r"""Patch2Self: each volume of a series predicted linearly from all the others.

S. Fadnavis, J. Batson, E. Garyfallidis, "Patch2Self: Denoising diffusion MRI with self-supervised
learning", NeurIPS 2020; the implementation of DIPY. A regression

.. math:: \hat x_j = \Phi_j(x_{-j}), \quad
          \Phi_j = \arg\min_\Phi E\,\|\Phi(x_{-j}) - x_j\|^2

never sees volume j itself, so noise that is independent between volumes cannot be learned (eq. 2).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from hush.bases.series import Seen, VolumeMethod, needing, quiet, radii, transposed
from hush.errors import HushError
from hush.results import Restoration

MODELS = ("ols", "ridge", "lasso")


@dataclass
class Patch2Self(VolumeMethod):
    """Patch2Self of a series; volumes at b = 0 and the others apart, as in DIPY.

    Without b-values all volumes are one group. A group of one volume stays as it is.

    model : ``ols``, ``ridge`` or ``lasso``; alpha : penalty of the last two, for stored values.
    radius : of the patches of the other volumes, in voxels; 0 along z if slices are not neighbours.

    It runs DIPY's ``version=1``, the paper's, with ``shift_intensity=False`` and
    ``clip_negative_vals=False``. Version 3, DIPY's default, fits a random sketch of the data: its
    results change from run to run, and their mean is off. Version 1 of DIPY 1.12 leaves the mean of
    the regressors out; as a regression with a constant reproduces the mean of what it is fitted to,
    each volume's mean is put back here.
    """

    model: Literal["ols", "ridge", "lasso"] = "ols"
    alpha: float = 1.0
    radius: int = 0

    name: ClassVar[str] = "patch2self"
    summary: ClassVar[str] = "each volume predicted from the others (extras: diffusion, sets)"
    citation: ClassVar[str] = "Fadnavis, Batson and Garyfallidis, NeurIPS 2020"
    least: ClassVar[int] = 2

    def __post_init__(self) -> None:
        if self.model not in MODELS:
            raise HushError(f"patch2self fits {', '.join(MODELS)}, not '{self.model}'")
        if self.radius < 0 or not self.alpha >= 0:
            raise HushError("patch2self needs a radius and a penalty of 0 or more")

    def denoised(self, seen: Seen, advance: Callable[[float], None]) -> Restoration:
        """See `VolumeMethod.denoised`."""
        with needing("Patch2Self", "dipy", "diffusion"):
            from dipy.denoise.patch2self import patch2self
        with needing("Patch2Self", "scikit-learn", "sets"):
            import sklearn.linear_model  # noqa: F401  (DIPY imports it)

        if sum(n == 1 for n in seen.x.shape[1:]) > 1:
            raise HushError("patch2self needs volumes that are longer than one voxel on two axes")
        out, said = seen.x.copy(), []
        weak = seen.series.unweighted
        for group in (np.flatnonzero(weak), np.flatnonzero(~weak)):
            if len(group) == 1:
                said.append(
                    f"Volume {seen.numbers[group[0]]} is alone in its group, so patch2self left it "
                    "as it is."
                )
            if len(group) > 1:
                out[group] = self._predicted(patch2self, seen, group)
            advance(len(group) / len(out))
        return Restoration(out, seen.process, said=tuple(said))

    def _predicted(
        self, patch2self: Callable[..., np.ndarray], seen: Seen, group: np.ndarray
    ) -> np.ndarray:
        """Each volume of a group from the others of the group."""
        x = seen.x[group] * np.float32(seen.scale)
        radius = radii(x.shape[:0:-1], self.radius)
        if not seen.adjacent:
            radius[2] = 0
        with quiet():
            made = patch2self(
                transposed(x),
                np.full(len(group), 1000.0),  # DIPY's own groups would be too many
                patch_radius=tuple(int(r) for r in radius),
                model=self.model,
                alpha=self.alpha,
                clip_negative_vals=False,
                shift_intensity=False,
                version=1,
            ).transpose()
        space = (1, 2, 3)
        shift = x.mean(space, np.float64) - made.mean(space, np.float64)
        result: np.ndarray = (made + shift[:, None, None, None]) / seen.scale
        return result

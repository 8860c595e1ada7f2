"""A trained model as one ONNX graph, for programs without torch.

The graph maps noisy images to denoised ones, in any units. It computes the mean and deviation, the
borders and the statistics of the whole image itself, separately for each image. It does not split
images into tiles, so its memory grows with the image. It does not detect zero-filling either: give
it MR images on the acquired grid (`hush.kinds.image.zerofill.reduced`), except for a DiffDenoise
with ``zero_filled=False``.
"""

from __future__ import annotations

import copy
import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from hush.denoiser import Denoiser
from hush.errors import HushError, missing_package
from hush.io import atomic
from hush.nets.pooled import PooledNet
from hush.tiling import BORDER

TOLERANCE = 1e-4  #: largest difference from hush's own results, as a share of the image's range
CHECKED = (
    (40, 56),
    (37, 51),
)  #: sizes to check, rows and columns; the second is not a multiple of any stride


def export(model: Denoiser, path: str | Path) -> None:
    """Write a trained model as an ONNX file, if its `restore` is one pass of one network.

    The input ``noisy`` and the output ``denoised`` are float32 ``(N, C, H, W)`` in the same
    units, any units; N, H and W are free, and C is the model's `channels`. (With a gray
    model, pass the channels of an image as separate images.) All values must be finite.

    The file is written only after its results were compared with those of `restore`.

    Raises
    ------
    HushError
        If the method needs more than one pass, the ``onnx`` extra is missing, the path cannot be
        written, or the file's results differ from the model's.
    """
    graph = Graph(model.one_pass())
    try:
        import onnxruntime
        from onnxscript import ir  # torch's exporter is written in it
    except ImportError as e:
        raise missing_package(f"the package {e.name}", "onnx", what="exporting") from None
    channels = model.config()["channels"]
    with quiet():
        program = torch.onnx.export(
            graph,
            (torch.rand(2, channels, *CHECKED[1]),),
            dynamo=True,
            dynamic_shapes={"noisy": {0: "N", 2: "H", 3: "W"}},
            input_names=["noisy"],
            output_names=["denoised"],
            verbose=False,
        )
    assert program is not None
    written = program.model
    # Each node has the path of the source file that wrote it, on this computer.
    ir.passes.common.ClearMetadataAndDocStringPass()(written)
    written.metadata_props.update(described(model))
    written.graph.outputs[0].shape = written.graph.inputs[0].shape  # not an equivalent formula
    with atomic(Path(path)) as partial:
        program.save(partial, external_data=False)
        session = onnxruntime.InferenceSession(partial, providers=["CPUExecutionProvider"])
        for size in CHECKED:
            difference = compared(session, model, (2, channels, *size))
            if not difference <= TOLERANCE:
                raise HushError(
                    f"the exported {model.name} differs from hush's by {difference:.1g} of the "
                    "image's range; nothing was written. Please report it, with torch's version"
                )


def described(model: Denoiser) -> dict[str, str]:
    """The file's metadata."""
    try:
        ours = version("hush-denoise")
    except PackageNotFoundError:  # running from a source tree that is not installed
        ours = ""
    card = model.card
    known = {
        "hush": ours,
        "method": model.name,
        "citation": model.citation,
        "licence": card.get("licence"),
        "data": json.dumps(card["data"], ensure_ascii=False) if card.get("data") else None,
    }
    return {k: v for k, v in known.items() if v}


def compared(session: Any, model: Denoiser, shape: tuple[int, ...]) -> float:
    """Largest difference between the file's and the model's results on random values in [0, 1)."""
    noisy = np.random.default_rng(0).random(shape, np.float32)
    (ours,) = session.run(["denoised"], {"noisy": noisy})
    return float(np.abs(ours - np.stack([model.restore(x).data for x in noisy])).max())


class Graph(nn.Module):
    """A network with all of `restore` around it: float32 ``(N, C, H, W)`` to the same shape."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = copy.deepcopy(network).cpu()
        self.eval()

    def forward(self, noisy: Tensor) -> Tensor:
        mean = noisy.mean((2, 3), keepdim=True)
        mean = mean + (noisy - mean).mean(
            (2, 3), keepdim=True
        )  # a second time, to correct rounding
        x = noisy - mean
        deviation = x.square().mean((1, 2, 3), keepdim=True).sqrt()
        return mean + deviation * self.through(x / torch.where(deviation > 0, deviation, 1.0))

    def through(self, x: Tensor) -> Tensor:
        """The network's output for whole images, with the same borders as `learned.through`."""
        network: Any = self.network
        if isinstance(network, PooledNet):
            return network(x)
        height, width = x.shape[-2:]
        border = -(-BORDER // network.multiple) * network.multiple
        rows, columns = (mirrored(n, border, network.multiple) for n in (height, width))
        out: Tensor = network(x[:, :, rows][:, :, :, columns])
        return out[:, :, border : border + height, border : border + width]


def mirrored(n: int, border: int, multiple: int) -> Tensor:
    """Reflected indices into n, from −`border` to `border` beyond the next `multiple`."""
    end = (n + multiple - 1) // multiple * multiple + border
    period = (2 * torch.arange(n).amax(0)).clamp(min=1)  # n is symbolic, and only tensors support %
    at = torch.arange(-border, end).abs() % period
    return torch.minimum(at, period - at)


@contextmanager
def quiet() -> Iterator[None]:
    """Silence the exporter's advice, which is meant for authors of networks."""
    log = logging.getLogger("torch.onnx")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.setLevel(level)

"""Three convolutions, for what is learned from one image alone."""

from __future__ import annotations

from torch import Tensor, nn

from hush.errors import HushError
from hush.nets import Tiled

SLOPE = 0.2  #: of the activations below 0


class Shallow(Tiled):
    """Two 3×3 convolutions and one of a pixel, with biases, from image to image.

    The input must have mean 0 and deviation 1.

    channels : image channels, in and out; width : features between.
    """

    multiple, radius = 1, 2

    def __init__(self, channels: int, width: int = 48) -> None:
        super().__init__()
        if width < 1:
            raise HushError(f"a shallow network needs a width of at least 1, not {width}")
        self.layers = nn.Sequential(
            nn.Conv2d(channels, width, 3, padding=1),
            nn.LeakyReLU(SLOPE, inplace=True),
            nn.Conv2d(width, width, 3, padding=1),
            nn.LeakyReLU(SLOPE, inplace=True),
            nn.Conv2d(width, channels, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """``(B, C, H, W)`` to the same shape."""
        out: Tensor = self.layers(x)
        return out

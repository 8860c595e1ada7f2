"""Camera-like noise and methods that learn from it alone: PSNR after the same time on one thread.

    python benchmarks/correlated.py OUT [--data DIR] [--noise camera:0.002,0.003,0.6] [--gray]
        [--budget 180] [--methods apbsn,mmbsn,…]

Every method is trained on DIR/images/bsds500_train without the pictures that are tested, ten of
them, evenly spaced; the noise of every picture is drawn once. The shipped MID, which is not
trained on them, stands beside. A model that is in OUT is not trained again.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

import numpy as np

import hush
from hush.methods import make
from hush.metrics import psnr, ssim
from hush.models import load, path_of
from hush.schedule import Schedule
from hush.studies.folders import image_files, read_images
from hush.studies.images import centre_crop, frozen_noise

ROOT = Path(__file__).parents[1]
METHODS = {
    "apbsn": {}, "mmbsn": {}, "cbsn": {}, "puca": {}, "lgbpn": {"blind": 5},
}  # fmt: skip
TESTED, SIDE = 10, 256

"""All noise processes, and the specs that name them (table in `docs/noise.md`).

Importing a law's module adds its families to `FAMILIES`.
"""

# Messages list the families in this order:
# isort: off
from hush.noise.white import Gaussian, Poisson, PoissonGaussian
from hush.noise.multiplicative import Gamma, LogSpeckle, Speckle
from hush.noise.correlated import Correlated, Stripes
from hush.noise.magnitude import NonCentralChi, Rician
from hush.noise.hum import Hum
from hush.noise.damage import JPEG, Impulse, Quantisation
from hush.noise.camera import Camera
from hush.noise.ecg import ECG
from hush.noise.powerline import PowerLine
from hush.noise.outliers import Outliers

# isort: on
from hush.noise.process import FAMILIES, OneOf, Process, parse
from hush.noise.units import Level

__all__ = [
    "ECG",
    "FAMILIES",
    "JPEG",
    "Camera",
    "Correlated",
    "Gamma",
    "Gaussian",
    "Hum",
    "Impulse",
    "Level",
    "LogSpeckle",
    "NonCentralChi",
    "OneOf",
    "Outliers",
    "Poisson",
    "PoissonGaussian",
    "PowerLine",
    "Process",
    "Quantisation",
    "Rician",
    "Speckle",
    "Stripes",
    "parse",
]

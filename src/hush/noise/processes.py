"""All noise processes, and the specs that name them (`docs/noise.md` is the table).

Importing a law's file is what enters its families in `FAMILIES`.
"""

# In the order in which messages list the families:
# isort: off
from hush.noise.white import Gaussian, Poisson, PoissonGaussian
from hush.noise.multiplicative import Gamma, Speckle
from hush.noise.correlated import Correlated, Stripes
from hush.noise.magnitude import NonCentralChi, Rician
from hush.noise.damage import JPEG, Impulse, Quantisation

# isort: on
from hush.noise.process import FAMILIES, OneOf, Process, parse
from hush.noise.units import Level

__all__ = [
    "FAMILIES",
    "JPEG",
    "Correlated",
    "Gamma",
    "Gaussian",
    "Impulse",
    "Level",
    "NonCentralChi",
    "OneOf",
    "Poisson",
    "PoissonGaussian",
    "Process",
    "Quantisation",
    "Rician",
    "Speckle",
    "Stripes",
    "parse",
]

"""deepcg: Poisson-type systems solved by conjugate directions that a neural network proposes.

    x, info = deepcg.solve(A, b)

The network only proposes directions; the Krylov iteration measures the true residual, guards every step and falls
back to a classical direction where the network's is no good.
"""

from .grid import FLUID, OPEN, SOLID
from .problem import Poisson

__version__ = "0.1.0"

__all__ = ["FLUID", "OPEN", "SOLID", "Poisson"]

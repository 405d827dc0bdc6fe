"""deepcg: Poisson-type systems solved by conjugate directions that a neural network proposes.

    x, info = deepcg.solve(A, b)

The network only proposes directions; the Krylov iteration measures the true residual, guards every step and falls
back to a classical direction where the network's is no good.
"""

from .api import preconditioner, solve
from .io.model_file import ModelFileError
from .krylov.report import SolveInfo, SolveInfos
from .native.library import release_memory
from .problem.grid import FLUID, OPEN, SOLID
from .problem.poisson import Poisson
from .solver.solver import InconsistentError, Solver

__version__ = "0.1.0"

__all__ = [
    "FLUID",
    "OPEN",
    "SOLID",
    "InconsistentError",
    "ModelFileError",
    "Poisson",
    "SolveInfo",
    "SolveInfos",
    "Solver",
    "preconditioner",
    "release_memory",
    "solve",
]

"""PETSc from Python: the native types registered, torch models as Python types, `deepcg.solve` for PETSc's matrices and vectors.

    import deepcg.petsc
    deepcg.petsc.register()                  # then -ksp_type deepcg and -pc_type deepcg, as in C
    -pc_type python -pc_python_type deepcg.petsc.PC -pc_deepcg_model dcdm

Nothing here is imported by the rest of the package until a PETSc object is met; petsc4py is needed.
"""

from .matrix import read
from .plugin import register, solve
from .types import KSP, PC

__all__ = ["KSP", "PC", "read", "register", "solve"]

"""`deepcg.solve` and `deepcg.preconditioner`: a solver made and used in one call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numpy.typing import ArrayLike

from .native.constants import WINDOW
from .native.device_array import on_gpu
from .preconditioners.base import PreconditionerOperator
from .preconditioners.registry import build
from .problem.grid import Array
from .solver.solver import Solver, as_problem


def solve(
    A,
    b: ArrayLike,
    x0: ArrayLike | None = None,
    *,
    grid=None,
    coordinates=None,
    rounding: float | None = None,
    rtol: float = 1e-6,
    atol: float = 0.0,
    maxiter: int | None = None,
    model: Any = "auto",
    method: str = "auto",
    device: str = "auto",
    window: int | None = WINDOW,
    inconsistent: str = "project",
    fallback: str = "auto",
    callback: Callable | None = None,
) -> tuple[Array, Any]:
    """Solve the Poisson-type system A x = b.

    Parameters
    ----------
    A : deepcg.Poisson, SciPy sparse matrix or PETSc Mat
        A matrix needs `grid` (or `coordinates`) and must be a 5- or 7-point stencil, see `Poisson.from_matrix`. A PETSc Mat may have its grid
        from a DMDA; b, x0 and x are PETSc Vecs then, and the Mat may be spread over ranks (see `deepcg.petsc`).
    b : array
        Of the cells' shape, or flat over the unknowns (the matrix' rows). On a GPU (PyTorch, CuPy, DLPack; float64) of the cells' shape:
        it is then solved for there, without copies of b or x, and device="auto" means "cuda".
        Several right-hand sides are the columns of an array with one more axis, (n, k) or the cells' shape + (k,): the set-up is done once,
        and they are solved for one after the other. What has the cells' shape is one right-hand side.
    x0 : array, optional
        Initial guess, laid out like b or flat. Not changed. For several right-hand sides: as many columns, or one guess for all.
    grid : cells array or shape, for a matrix
    coordinates : (n, d) array of cell centres (x, y[, z]) of the rows, for a matrix
    rounding : relative rounding of a matrix's entries, see `Poisson.from_matrix`
    rtol, atol : float
        Converged means ||b - A x||_2 <= max(rtol ||b||_2, atol) on the true residual. Where A is singular, ||b|| is that of the
        projected b.
    maxiter, model, method, device, window, inconsistent, fallback :
        See `deepcg.Solver`.
    callback : function of the current x, called after every iteration
        x is laid out like b, or like the column of b that is solved for.

    Returns
    -------
    x : float64 array, laid out like b
    info : deepcg.SolveInfo
        An int as in SciPy (0 converged) that also says how it went; print it. For several right-hand sides a `deepcg.SolveInfos`, an int
        that is 0 only where all converged, and whose entry j is column j's.

    Raises
    ------
    ValueError, TypeError
        Before any work, where an argument is not what it should be.

    Examples
    --------
    >>> import numpy as np, deepcg
    >>> problem = deepcg.Poisson(np.zeros((16, 16), dtype=np.uint8), boundary="open")
    >>> b = np.ones(problem.shape)
    >>> x, info = deepcg.solve(problem, b, model="jacobi")
    >>> int(info), bool(np.linalg.norm(b - problem.apply(x)) <= 1e-6 * np.linalg.norm(b))
    (0, True)

    References
    ----------
    Kaneda et al., "A Deep Conjugate Direction Method for Iteratively Solving Linear Systems", ICML 2023.
    """
    if type(A).__module__.partition(".")[0] == "petsc4py":
        from . import petsc

        return petsc.solve(
            A, b, x0, rtol=rtol, atol=atol, maxiter=maxiter, callback=callback, model=model, method=method, device=device,
            window=window, inconsistent=inconsistent, fallback=fallback, grid=grid, coordinates=coordinates, rounding=rounding,
        )  # fmt: skip
    if device == "auto" and on_gpu(b):
        device = "cuda"
    solver = Solver(
        A, model=model, method=method, device=device, window=window, rtol=rtol, atol=atol, maxiter=maxiter,
        inconsistent=inconsistent, fallback=fallback, grid=grid, coordinates=coordinates, rounding=rounding,
    )  # fmt: skip
    return solver.solve(b, x0, callback)


def preconditioner(
    problem, model: Any = "auto", device: str = "auto", *, grid=None, coordinates=None, rounding: float | None = None
) -> PreconditionerOperator:
    """A model as a SciPy LinearOperator that approximates A^-1; its `.linear` and `.spd` say what it may be used for.

    Parameters
    ----------
    problem : deepcg.Poisson or SciPy sparse matrix
    model, device : see `deepcg.Solver`
    grid, coordinates, rounding : of a matrix, see `deepcg.solve`
    """
    problem = as_problem(problem, grid, coordinates, rounding)
    return PreconditionerOperator(problem, build(problem, model, device))

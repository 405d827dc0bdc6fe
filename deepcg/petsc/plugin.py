"""The plugin's native types made known to petsc4py's PETSc, and `deepcg.solve` for its matrices and vectors."""

from __future__ import annotations

import ctypes
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ..krylov.iteration import Outcome
from ..krylov.report import SolveInfo
from ..native import constants
from ..solver.fallback import CHOICES
from ..solver.solver import InconsistentError, Solver, check_tolerances
from .matrix import read

LIBRARY = Path(__file__).parents[1] / "libdeepcg_petsc.so"
REGISTER = "PetscDLLibraryRegister_deepcg_petsc"
BUILD = "build it: make petsc (in a checkout), or make -C integrations/petsc"

_loaded: dict[str, ctypes.CDLL] = {}


def register(library: str | os.PathLike | None = None) -> Path:
    """Make the native types `deepcg` (PC and KSP) known to the PETSc that petsc4py runs on.

    Parameters
    ----------
    library : path of the plugin, or None for the one beside this package

    Returns
    -------
    The plugin's path, for `-dll_append`.

    Raises
    ------
    ImportError
        petsc4py is not installed.
    OSError
        The plugin is not there, or was built against another PETSc than petsc4py's.
    """
    from petsc4py import PETSc

    path = Path(LIBRARY if library is None else library).resolve()
    if str(path) in _loaded:
        return path
    if not path.is_file():
        raise OSError(f"{path}: no such library; {BUILD}")
    if not PETSc.Sys.isInitialized():
        raise OSError("PETSc is not initialized (or finalized already); import petsc4py.PETSc before register()")
    try:
        plugin = ctypes.CDLL(os.fspath(path), mode=ctypes.RTLD_GLOBAL)
        code = getattr(plugin, REGISTER)()
    except AttributeError as error:
        raise OSError(f"{path}: not deepcg's plugin for PETSc; {BUILD}") from error
    if code:
        raise OSError(f"{path}: cannot be used with petsc4py's PETSc (error {code}, its message is above); {BUILD}")
    _loaded[str(path)] = plugin
    return path


def solve(
    A,
    b,
    x0=None,
    *,
    rtol: float = 1e-6,
    atol: float = 0.0,
    maxiter: int | None = None,
    callback: Callable | None = None,
    grid=None,
    coordinates=None,
    rounding=None,
    **options,
) -> tuple[Any, SolveInfo]:
    """`deepcg.solve` for a PETSc matrix and vector; x is a new vector like b.

    On one rank any model serves. On several, the native types do: `model` may be what `-pc_deepcg_model` takes, and the method is CG.
    A b outside the range of a singular A is projected or refused as `inconsistent` says, there too.
    """
    if A.getComm().getSize() > 1:
        if callback or grid is not None or coordinates is not None:
            raise ValueError("callback, grid, coordinates: not for a matrix that is spread over ranks; leave them out")
        inconsistent = options.get("inconsistent", "project")
        check_tolerances(rtol, atol, maxiter, inconsistent, None)
        fallback = options.get("fallback", "auto")
        if fallback not in CHOICES:
            raise ValueError(f"fallback: {fallback!r} given; one of {CHOICES} is needed")
        given = {"pc_deepcg_model": options.get("model", "auto"), "ksp_deepcg_inconsistent": inconsistent}
        if fallback != "auto":
            given["pc_deepcg_fallback"] = {"amg": "gamg"}.get(fallback, fallback)
        if rounding is not None:
            given["pc_deepcg_rounding"] = rounding
        return _solve_on_ranks(A, b, x0, rtol, atol, maxiter, given)
    solver = Solver(
        read(A, grid=grid, coordinates=coordinates, rounding=rounding), rtol=rtol, atol=atol, maxiter=maxiter, **options
    )
    guess = None if x0 is None else x0.getArray(readonly=True)
    values, info = solver.solve(b.getArray(readonly=True), guess, callback)
    x = b.duplicate()
    x.setArray(values)
    return x, info


def _solve_on_ranks(A, b, x0, rtol, atol, maxiter, given: dict[str, Any]) -> tuple[Any, SolveInfo]:
    """By the native types with these options."""
    from petsc4py import PETSc

    library = register()
    ksp = PETSc.KSP().create(A.getComm())
    prefix = "deepcg_solve_"
    options = PETSc.Options(prefix)
    ksp.setOptionsPrefix(prefix)
    for name, value in given.items():
        options[name] = value
    ksp.setOperators(A)
    ksp.setType("deepcg")
    ksp.getPC().setType("deepcg")
    ksp.setTolerances(rtol=rtol, atol=atol, divtol=1e300, max_it=10 * A.getSize()[0] if maxiter is None else maxiter)
    ksp.setConvergenceHistory()
    ksp.setFromOptions()
    for name in given:
        options.delValue(name)
    x = b.duplicate()
    if x0 is not None:
        x0.copy(x)
        ksp.setInitialGuessNonzero(True)
    started = time.perf_counter()
    ksp.setUp()
    between = time.perf_counter()
    ksp.solve(b, x)
    reason, residuals = ksp.getConvergedReason(), [float(r) for r in ksp.getConvergenceHistory()]
    plugin = _loaded[str(library)]
    fallbacks, steps = _fallbacks(plugin, ksp, PETSc.IntType)
    outcome = Outcome(_reason(ksp), ksp.getIterationNumber(), fallbacks, residuals, None, steps=steps)
    projected = _projected(plugin, ksp)
    ksp.destroy()
    if projected and given["ksp_deepcg_inconsistent"] == "error":
        raise InconsistentError(
            f"b: {projected:.3e} of its norm {b.norm():.3e} lies outside the range of A, which is singular or has rows that are zero; make b "
            "sum to zero there, or pass inconsistent='project'"
        )
    seconds = {"setup_seconds": between - started, "solve_seconds": time.perf_counter() - between}
    info = SolveInfo.of(outcome, model=str(given["pc_deepcg_model"]), method="cg", projected=projected, **seconds)
    if outcome.reason == constants.STOPPED:
        info.reason = f"PETSc's reason {reason}"
    return x, info


def _projected(plugin: ctypes.CDLL, ksp) -> float:
    """The 2-norm of what the last solve took off b."""
    norm = ctypes.c_double()
    plugin.KSPDeepcgGetProjected(ctypes.c_void_p(ksp.handle), ctypes.byref(norm))
    return norm.value


def _fallbacks(plugin: ctypes.CDLL, ksp, of_integers: Any) -> tuple[int, tuple[tuple[str, int], ...]]:
    """Iterations of the last solve by other directions than the preconditioner's; the fallbacks that took over, with theirs."""
    integer: Any = ctypes.c_int64 if np.dtype(of_integers).itemsize == 8 else ctypes.c_int32
    handle, count, name, steps = ctypes.c_void_p(ksp.handle), integer(), ctypes.c_char_p(), list[tuple[str, int]]()
    while (
        not plugin.KSPDeepcgGetStep(handle, integer(len(steps)), ctypes.byref(name), ctypes.byref(count)) and name.value
    ):
        steps.append((name.value.decode(), count.value))
    plugin.KSPDeepcgGetFallbacks(handle, ctypes.byref(count))
    return count.value, tuple(steps)


def _reason(ksp) -> int:
    """PETSc's reason as the kernels have it."""
    reason, reasons = ksp.getConvergedReason(), ksp.ConvergedReason
    known = {
        reasons.DIVERGED_MAX_IT: constants.MAXITER,
        reasons.DIVERGED_BREAKDOWN: constants.ATTAINABLE,
        reasons.DIVERGED_INDEFINITE_MAT: constants.BREAKDOWN,
    }
    return constants.CONVERGED if reason > 0 else known.get(reason, constants.STOPPED)

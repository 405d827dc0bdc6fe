"""PETSc from Python: the native types registered, torch models as Python types, `deepcg.solve` for PETSc's matrices and vectors.

    import deepcg.petsc
    deepcg.petsc.register()                  # then -ksp_type deepcg and -pc_type deepcg, as in C
    -pc_type python -pc_python_type deepcg.petsc.PC -pc_deepcg_model dcdm

Nothing here is imported by the rest of the package until a PETSc object is met; petsc4py is needed.
"""

from __future__ import annotations

import ctypes
import os
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import scipy.sparse as sp

from . import krylov
from .krylov import WINDOW
from .preconditioner import Preconditioner, build
from .problem import Poisson
from .report import SolveInfo
from .solve import Solver, choose_method

LIBRARY = Path(__file__).with_name("libdeepcg_petsc.so")
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


def read(A, *, grid=None, coordinates=None) -> Poisson:
    """The Poisson problem behind an assembled PETSc matrix on one rank.

    Parameters
    ----------
    A : petsc4py.PETSc.Mat
        Symmetric 5- or 7-point, positive or negative (semi-)definite.
    grid, coordinates :
        As for a SciPy matrix; without them, the DMDA of the matrix says it.

    Raises
    ------
    ValueError
        The matrix is no such stencil, is spread over ranks, or nothing says on what grid its rows lie.
    """
    if A.getComm().getSize() > 1:
        raise ValueError(
            f"A: spread over {A.getComm().getSize()} ranks; models in Python run on one. The native type serves many: "
            "deepcg.petsc.register(), then -pc_type deepcg"
        )
    if grid is None and coordinates is None:
        grid = shape_of(A.getDM())
        if grid is None:
            raise ValueError(
                "A: nothing says on what grid its rows lie; give grid= or coordinates= (options: -pc_deepcg_grid "
                "NX,NY[,NZ]), or a matrix made by a DMDA"
            )
    if A.getType() not in ("aij", "seqaij"):
        A = A.convert("aij", A.duplicate())
    indptr, indices, data = A.getValuesCSR()
    matrix = sp.csr_array((data, indices, indptr), shape=A.getSize())
    is_shape = isinstance(grid, (tuple, list)) and all(np.ndim(n) == 0 for n in grid)
    return Poisson.from_matrix(
        matrix, cells=None if is_shape else grid, shape=tuple(grid) if is_shape else None, coordinates=coordinates
    )


def shape_of(dm) -> tuple[int, ...] | None:
    """The cells' shape of a DMDA of two or three dimensions, (z,) y, x; None for anything else."""
    if not dm or dm.getType() != "da":
        return None
    sizes = tuple(int(n) for n in dm.getSizes()[::-1])
    return (1, *sizes) if len(sizes) == 1 else sizes


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
    **options,
) -> tuple[Any, SolveInfo]:
    """`deepcg.solve` for a PETSc matrix and vector; x is a new vector like b.

    On one rank any model serves. On several, the native types do: `model` may be what `-pc_deepcg_model` takes, and the method is CG.
    """
    if A.getComm().getSize() > 1:
        if callback or grid is not None or coordinates is not None:
            raise ValueError("callback, grid, coordinates: not for a matrix that is spread over ranks; leave them out")
        return _solve_on_ranks(A, b, x0, rtol, atol, maxiter, options.get("model", "auto"))
    solver = Solver(read(A, grid=grid, coordinates=coordinates), rtol=rtol, atol=atol, maxiter=maxiter, **options)
    guess = None if x0 is None else x0.getArray(readonly=True)
    values, info = solver.solve(b.getArray(readonly=True), guess, callback)
    x = b.duplicate()
    x.setArray(values)
    return x, info


def _solve_on_ranks(A, b, x0, rtol, atol, maxiter, model) -> tuple[Any, SolveInfo]:
    from petsc4py import PETSc

    register()
    ksp = PETSc.KSP().create(A.getComm())
    prefix = "deepcg_solve_"
    options = PETSc.Options(prefix)
    ksp.setOptionsPrefix(prefix)
    options["pc_deepcg_model"] = model
    ksp.setOperators(A)
    ksp.setType("deepcg")
    ksp.getPC().setType("deepcg")
    ksp.setTolerances(rtol=rtol, atol=atol, divtol=1e300, max_it=10 * A.getSize()[0] if maxiter is None else maxiter)
    ksp.setConvergenceHistory()
    ksp.setFromOptions()
    options.delValue("pc_deepcg_model")
    x = b.duplicate()
    if x0 is not None:
        x0.copy(x)
        ksp.setInitialGuessNonzero(True)
    started = time.perf_counter()
    ksp.setUp()
    between = time.perf_counter()
    ksp.solve(b, x)
    told: Any = SimpleNamespace(
        reason=_words(ksp),
        iterations=ksp.getIterationNumber(),
        residuals=[float(r) for r in ksp.getConvergenceHistory()],
        fallbacks=0,
        condition=None,
    )
    ksp.destroy()
    seconds = {"setup_seconds": between - started, "solve_seconds": time.perf_counter() - between}
    return x, SolveInfo.of(told, model=str(model), method="cg", projected=0.0, **seconds)


def _words(ksp) -> str:
    """PETSc's reason as `SolveInfo` has it."""
    reason, reasons = ksp.getConvergedReason(), ksp.ConvergedReason
    if reason > 0:
        return krylov.CONVERGED
    known = {
        reasons.DIVERGED_MAX_IT: krylov.MAXITER,
        reasons.DIVERGED_BREAKDOWN: krylov.ATTAINABLE,
        reasons.DIVERGED_INDEFINITE_MAT: krylov.INDEFINITE,
    }
    return known.get(reason, f"PETSc's reason {reason}")


class PC:
    """A preconditioner for `-pc_type python`, from any model that `deepcg.preconditioner` takes; on one rank.

    Options (with the PC's prefix): `-pc_deepcg_model`, `-pc_deepcg_grid NX,NY[,NZ]`, `-pc_deepcg_device`.

    Parameters
    ----------
    model, device :
        As `deepcg.solve` has them. "auto" is the multilevel network.
    grid, coordinates :
        As `deepcg.petsc.read` has them; None: from the DMDA of the PC or the matrix.
    """

    def __init__(self, model: Any = "auto", device: str = "auto", grid=None, coordinates=None):
        self.model, self.device, self.grid, self.coordinates = model, device, grid, coordinates
        self.problem: Poisson | None = None
        self._preconditioner: Preconditioner | None = None
        self._zero_guess = False

    def setFromOptions(self, pc) -> None:
        from petsc4py import PETSc

        options = PETSc.Options(pc.getOptionsPrefix() or "")
        self.model = options.getString("pc_deepcg_model", self.model) if isinstance(self.model, str) else self.model
        self.device = options.getString("pc_deepcg_device", self.device)
        if options.hasName("pc_deepcg_grid"):
            self.grid = tuple(int(n) for n in options.getIntArray("pc_deepcg_grid")[::-1])

    def setUp(self, pc) -> None:
        if self._preconditioner is None and isinstance(self.model, str):
            self.setFromOptions(pc)  # PETSc calls it only where the user calls KSPSetFromOptions
        matrix = pc.getOperators()[1]
        grid = self.grid
        if grid is None and self.coordinates is None:
            grid = shape_of(pc.getDM()) or shape_of(matrix.getDM())
        self.problem = read(matrix, grid=grid, coordinates=self.coordinates)
        if self._preconditioner is None:
            self._preconditioner = build(self.problem, self.model, self.device)
        else:
            self._preconditioner.update(self.problem)

    def preSolve(self, pc, ksp, b, x) -> None:
        """Rows that are diagonal only are solved first, as the native type does it."""
        if self.problem is None:
            return
        layout: Any = self.problem.layout  # a matrix's
        if not layout.eliminated.size:
            return
        self._zero_guess = not ksp.getInitialGuessNonzero()
        if self._zero_guess:
            x.set(0.0)
            ksp.setInitialGuessNonzero(True)
        alone = layout.solution(np.zeros(self.problem.cells.size), b.getArray(readonly=True))
        values = x.getArray()
        values[layout.eliminated] = alone[layout.eliminated]

    def postSolve(self, pc, ksp, b, x) -> None:
        if self._zero_guess:
            ksp.setInitialGuessNonzero(False)
        self._zero_guess = False

    def apply(self, pc, x, y) -> None:
        assert self.problem is not None and self._preconditioner is not None  # PETSc sets up before it applies
        r = x.getArray(readonly=True)
        layout = self.problem.layout
        y.setArray(layout.solution(self._preconditioner(layout.rhs(r)), r))

    def applyTranspose(self, pc, x, y) -> None:
        if not (self._preconditioner and self._preconditioner.spd):
            raise NotImplementedError(f"deepcg: {self.model} is not symmetric, and its transpose is not known")
        self.apply(pc, x, y)

    def view(self, pc, viewer) -> None:
        if self._preconditioner is None or self.problem is None:
            viewer.printfASCII(f"  deepcg: model {self.model}; not set up yet\n")
            return
        model = self._preconditioner
        description = getattr(model, "description", None) or {}
        kind = (
            "linear, symmetric, definite" if model.linear and model.spd else "not linear: use -ksp_type deepcg or fcg"
        )
        viewer.printfASCII(
            f"  deepcg: model {model.name} (hash {description.get('hash', 'none')}), in Python; {kind}\n"
        )
        viewer.printfASCII(f"  grid {' x '.join(map(str, self.problem.shape[::-1]))}, {self.problem.size} unknowns\n")

    def reset(self, pc) -> None:
        self.problem = self._preconditioner = None

    def destroy(self, pc) -> None:
        self.reset(pc)


class KSP:
    """The iteration for `-ksp_type python`: `deepcg.Solver` as it is, with the model of its `PC`; on one rank.

    Options (with the KSP's prefix): `-ksp_deepcg_window`, `-ksp_deepcg_method`, and those of `deepcg.petsc.PC`. The residual is b - A x.
    """

    def __init__(
        self, model: Any = "auto", method: str = "auto", window: int | None = WINDOW, device: str = "auto", grid=None
    ):
        self.method, self.window = method, window
        self._source = PC(model, device, grid)
        self._solver: Solver | None = None
        self._state: tuple | None = None

    def create(self, ksp) -> None:
        ksp.setNormType(ksp.NormType.UNPRECONDITIONED)
        ksp.getPC().setType("none")  # the solver brings its own

    def setFromOptions(self, ksp) -> None:
        from petsc4py import PETSc

        options = PETSc.Options(ksp.getOptionsPrefix() or "")
        self.method = options.getString("ksp_deepcg_method", self.method)
        if self.window is not None:
            self.window = options.getInt("ksp_deepcg_window", self.window)
        self._source.setFromOptions(ksp.getPC())

    def setUp(self, ksp) -> None:
        matrix = ksp.getOperators()[0]
        source = self._source
        grid = source.grid if source.grid is not None else shape_of(ksp.getDM()) or shape_of(matrix.getDM())
        problem = read(matrix, grid=grid, coordinates=source.coordinates)
        if self._solver is None:
            self._solver = Solver(
                problem, model=source.model, method=self.method, device=source.device, window=self.window
            )
            choose_method(self.method, self._solver.preconditioner)
        else:
            self._solver.update(problem)
        self._state = (matrix.stateGet(), matrix.handle)

    def solve(self, ksp, b, x) -> None:
        matrix = ksp.getOperators()[0]
        if self._solver is None or self._state != (matrix.stateGet(), matrix.handle):
            self.setUp(ksp)
        assert self._solver is not None
        solver = self._solver
        solver.rtol, solver.atol, _, solver.maxiter = ksp.getTolerances()
        guess = x.getArray(readonly=True).copy() if ksp.getInitialGuessNonzero() else None
        values, info = solver.solve(b.getArray(readonly=True), guess)
        x.setArray(values)
        for iteration, residual in enumerate(info.residuals):
            ksp.setIterationNumber(iteration)
            ksp.logConvergenceHistory(residual)
            ksp.monitor(iteration, residual)
        ksp.setIterationNumber(info.iterations)
        ksp.setResidualNorm(info.residuals[-1])
        ksp.setConvergedReason(_reason(ksp, info, solver.atol))

    def view(self, ksp, viewer) -> None:
        if self._solver is None:
            viewer.printfASCII("  deepcg: not set up yet\n")
        else:
            window = "" if self._solver.method == "cg" else f", window {self.window}"
            viewer.printfASCII(
                f"  deepcg: method {self._solver.method}{window}, model {self._solver.preconditioner.name}, in Python\n"
            )

    def reset(self, ksp) -> None:
        self._solver = self._state = None

    def destroy(self, ksp) -> None:
        self.reset(ksp)


def _reason(ksp, info: SolveInfo, atol: float) -> int:
    reasons = ksp.ConvergedReason
    if int(info) == 0:
        return reasons.CONVERGED_ATOL if info.residuals[-1] <= atol else reasons.CONVERGED_RTOL
    return reasons.DIVERGED_INDEFINITE_MAT if int(info) < 0 else reasons.DIVERGED_MAX_IT


__all__ = ["KSP", "PC", "read", "register", "solve"]

"""PC and KSP as PETSc's Python types: models that run in Python, on one rank."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..krylov.report import SolveInfo
from ..native.constants import WINDOW
from ..preconditioners.base import Preconditioner
from ..preconditioners.registry import build
from ..problem.poisson import Poisson
from ..solver.solver import Solver, choose_method
from .matrix import read, shape_of


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

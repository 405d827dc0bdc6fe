"""Solves whose b lives on a GPU: it is read where it is, and x stays there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from ..krylov.iteration import Outcome, solve_system
from ..native.callbacks import Callbacks, tell_run
from ..native.constants import COMPILED, CONSISTENT, STALLED, WORST_GUESS
from ..native.device import to_device, to_host
from ..native.device_array import device_array, empty_like, on_gpu
from ..native.krylov import System
from ..native.library import InconsistentError
from ..native.session import Preconditioner as Served
from ..native.session import Session
from ..preconditioners.base import capability
from ..problem.poisson import Poisson
from .fallback import Fallbacks


class DeviceSolve:
    """Conjugate gradients on the GPU, by the stopping rule that all solves have; b - A x is evaluated there.

    Attributes
    ----------
    x : array like b
    norm, projected : 2-norms of b, and of what was taken off it
    """

    def __init__(self, problem: Poisson, cycle: Any, b: Any, x0: Any, inconsistent: str):
        shape = device_array(b, "b").shape
        if problem.layout.of_matrix or shape not in (problem.shape, (int(np.prod(problem.shape)),)):
            raise ValueError(
                f"b: shape {shape} on the GPU given; there, vectors run over all cells: {problem.shape}, of a problem made from cells"
            )
        self._problem, self._cycle = problem, cycle
        self._b, self._r, self._best, self.x = (empty_like(b) for _ in range(4))
        self.norm, self.projected = cycle.residual(problem, b, None, self._b)
        if not np.isfinite(self.norm):
            raise ValueError("b: contains NaN or infinity")
        if self.projected <= CONSISTENT * np.hypot(self.norm, self.projected):
            self.projected = 0.0
        elif inconsistent == "error":
            raise InconsistentError(
                f"b: {self.projected:.3e} of its norm {self.norm:.3e} lies outside the range of the operator, which is singular "
                f"on {problem.components.count} component(s) without an OPEN face; make b sum to zero there, or pass "
                "inconsistent='project'"
            )
        nothing = np.zeros(int(np.prod(problem.shape)))
        if x0 is None or self.norm == 0.0:
            to_device(nothing, self.x)
        else:
            guess = to_host(x0) if on_gpu(x0) else np.asarray(x0, dtype=float)
            to_device(np.where(problem.stencil.fluid, guess.reshape(problem.shape), 0.0).reshape(-1), self.x)
            if not cycle.residual(problem, self._b, self.x, self._r)[0] <= WORST_GUESS * self.norm:
                to_device(nothing, self.x)

    def run(
        self, rtol: float, atol: float, maxiter: int, serve: Callable[[Callbacks], Served], fallbacks: Fallbacks
    ) -> Outcome:
        """Iterate. Where the GPU's iteration gives up, the host's iterations around the same cycle, and the fallbacks, end the solve.

        serve : the cycle as functions that a session calls
        """
        tolerances = {"rtol": rtol, "atol": atol}
        outcome = self._iterate(maxiter, followed=fallbacks.option not in ("jacobi", "none"), **tolerances)
        if outcome.reason == STALLED:
            outcome = self._end_on_host(maxiter, outcome, serve, fallbacks, tolerances)
        self._cycle.residual(self._problem, self.x, None, self.x)  # zero mean on singular components
        return outcome

    def _iterate(self, maxiter: int, **options) -> Outcome:
        """By the system's functions, which know the vectors by their place: there are only b, x and r."""

        def residual(b, x, r, norm):
            norm[0] = self._cycle.residual(self._problem, self._b, self.x, self._r)[0]

        def run(x, r, target, maxiter, *results):
            tell_run(self._cycle.native_cg(self.x, self._r, target, maxiter), maxiter, *results)

        def keep(back):
            to, source = (self.x, self._best) if back else (self._best, self.x)
            self._cycle.residual(self._problem, source, None, to)  # a copy, of zero mean on singular components

        def magnitude(b, x, norm):
            norm[0] = self._cycle.magnitude(self._b, self.x)

        system, calls = System(n=int(np.prod(self._problem.shape))), Callbacks()
        calls.serve(system, "residual", residual)
        calls.serve(system, "run", run)
        calls.serve(system, "keep", keep)
        calls.serve(system, "magnitude", magnitude)
        addresses = (device_array(v, name).pointer for v, name in ((self._b, "b"), (self.x, "x"), (self._r, "r")))
        return solve_system(system, calls, [COMPILED], *addresses, norm=self.norm, maxiter=maxiter, **options)

    def _end_on_host(
        self,
        maxiter: int,
        before: Outcome,
        serve: Callable[[Callbacks], Served],
        fallbacks: Fallbacks,
        tolerances: dict[str, float],
    ) -> Outcome:
        x = to_host(self.x)
        left = maxiter - before.iterations
        session, calls = Session(maxiter=left, fallback=fallbacks.option, **tolerances), Callbacks()
        session.share(self._problem.layout.session)
        served, fallback = serve(calls), fallbacks.serve(calls)
        session.serve(served, None, fallback)
        with calls.kept():
            after = Outcome.of(session.solve(to_host(self._b), x))
        to_device(x, self.x)
        return replace(
            after,
            iterations=before.iterations + after.iterations,
            fallbacks=before.fallbacks + after.fallbacks,
            residuals=before.residuals + after.residuals[1:],
            condition=None,
        )


def refuse(cycle: Any, callback: Callable | None) -> Any:
    """The cycle, if a b on the GPU can be solved for with it."""
    if capability(cycle, "device") != "cuda":
        raise ValueError(
            f"b: lives on a GPU, and {cycle.name} runs on the CPU; use a multilevel model with device='cuda', or bring b to the CPU"
        )
    if callback is not None:
        raise ValueError("callback: not with a b on the GPU, where iterations do not come back to Python")
    return cycle

"""Solves whose b lives on a GPU: it is read where it is, and x stays there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..krylov.cg import conjugate_gradients, jacobi, lanczos_condition
from ..krylov.stopping import CHECK_EVERY, CONVERGED, Iterate
from ..native.device import to_device, to_host
from ..native.device_array import device_array, empty_like, on_gpu
from ..preconditioners.base import capability
from ..problem.poisson import Poisson


class DeviceIterate:
    """Conjugate gradients on the GPU up to the stopping rule on the true residual, which is evaluated there.

    Attributes
    ----------
    x : array like b
    projected : 2-norm of what was taken off b
    reason, residuals, iterations, fallbacks, condition : as `deepcg.krylov.stopping.Iterate` has them
    """

    def __init__(self, problem: Poisson, cycle: Any, b: Any, x0: Any, rtol: float, atol: float):
        shape = device_array(b, "b").shape
        if problem.layout.of_matrix or shape not in (problem.shape, (int(np.prod(problem.shape)),)):
            raise ValueError(
                f"b: shape {shape} on the GPU given; there, vectors run over all cells: {problem.shape}, of a problem made from cells"
            )
        self._problem, self._cycle = problem, cycle
        self._b, self._r, self.x = empty_like(b), empty_like(b), empty_like(b)
        norm, self.projected = cycle.residual(problem, b, None, self._b)
        if not np.isfinite(norm):
            raise ValueError("b: contains NaN or infinity")
        if self.projected <= 1e-12 * np.hypot(norm, self.projected):
            self.projected = 0.0
        self.norm, self.target = norm, max(rtol * norm, atol)
        guess = np.zeros(problem.shape) if x0 is None else to_host(x0) if on_gpu(x0) else np.asarray(x0, dtype=float)
        to_device(np.where(problem.stencil.fluid, guess.reshape(problem.shape), 0.0).reshape(-1), self.x)
        self.residuals = [self._true_residual()]
        self.iterations = self.fallbacks = 0
        self.condition: float | None = None
        self.reason = CONVERGED if self.residuals[0] <= self.target else None

    def run(self, operator: Any, maxiter: int) -> None:
        """Iterate until `reason` is set. Where the GPU's iteration does not halve the residual, Jacobi CG on the host ends it."""
        while self.reason is None:
            before, steps = self.residuals[-1], min(CHECK_EVERY, maxiter - self.iterations)
            run = self._cycle.native_cg(self.x, self._r, self.target, steps)
            self.iterations += len(run.residuals)
            self.residuals += run.residuals
            self.residuals[-1] = self._true_residual()
            if len(run.alphas) > 1:
                self.condition = lanczos_condition(run.alphas, run.betas)
            if self.residuals[-1] <= self.target:
                self.reason = CONVERGED
            elif run.broken or not self.residuals[-1] < 0.5 * before or self.iterations >= maxiter:
                self._end_on_host(operator, maxiter)
        self._cycle.residual(self._problem, self.x, None, self.x)  # zero mean on singular components

    def _true_residual(self) -> float:
        return self._cycle.residual(self._problem, self._b, self.x, self._r)[0]

    def _end_on_host(self, operator: Any, maxiter: int) -> None:
        it = Iterate(operator, to_host(self._b), to_host(self.x), self.target, maxiter - self.iterations)
        conjugate_gradients(it, jacobi(operator))
        to_device(it.x, self.x)
        self.residuals += it.residuals[1:]
        self.iterations, self.fallbacks = self.iterations + it.iterations, it.iterations
        self.reason, self.condition = it.reason, None


def refuse(cycle: Any, callback: Callable | None) -> Any:
    """The cycle, if a b on the GPU can be solved for with it."""
    if capability(cycle, "device") != "cuda":
        raise ValueError(
            f"b: lives on a GPU, and {cycle.name} runs on the CPU; use a multilevel model with device='cuda', or bring b to the CPU"
        )
    if callback is not None:
        raise ValueError("callback: not with a b on the GPU, where iterations do not come back to Python")
    return cycle

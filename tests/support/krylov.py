"""`dcg_krylov` around operators and preconditioners that are Python functions of arrays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

from deepcg.krylov.iteration import Outcome, solve_system
from deepcg.native import library as native
from deepcg.native.callbacks import Callbacks, tell_run, vector
from deepcg.native.constants import WINDOW
from deepcg.native.krylov import System
from deepcg.problem.grid import Array

Preconditioner = Callable[[Array], Array]  # r -> z


class Operator(Protocol):
    """What the iterations need of A; vectors are flat float64."""

    @property
    def inverse_diagonal(self) -> Array:
        """Flat, 0 where there is no unknown."""

    def apply(self, x: Array, out: Array) -> Any:
        """out = A x"""

    def residual(self, b: Array, x: Array, out: Array) -> float:
        """out = b - A x, less its part in the null space; returns its 2-norm."""

    def project(self, v: Array) -> Any:
        """Take the null space off v in place."""


def solve(
    operator: Operator,
    b: Array,
    x: Array,
    chain: Sequence[int],
    *,
    target: float,
    maxiter: int,
    preconditioner: Preconditioner | None = None,
    own: Callable[[Array, Array, float, int], Any] | None = None,
    window: int | None = WINDOW,
    callback: Callable[[Array], None] | None = None,
    from_zero: bool = False,
    fallbacks: Sequence[Preconditioner | None] | None = None,
    followed: bool = False,
) -> Outcome:
    """Solve A x = b, in place of x.

    Parameters
    ----------
    operator : Operator
    b, x : flat float64, contiguous
    chain : of `enum dcg_method`
        Each takes over where the one before it gives up.
    target : converged means ||b - A x||_2 <= target
    maxiter : int
    preconditioner : r -> z, for all methods but COMPILED and JACOBI_CG
        An exception in it, as in `operator` and `callback`, ends the solve and is raised.
    own : (x, r, target, maxiter) -> deepcg.multigrid.cycle.Run, for COMPILED
    window : of FCG: earlier directions that each new one is made A-orthogonal to; None for all
    callback : called with x after every iteration
    from_zero : x is 0, so that b is its residual
    fallbacks : for FALLBACK_CG, in order; None in place of one that cannot be had
    followed : where the chain gives up, the caller goes on with a fallback of its own
    """
    native.check_vectors(b.size, b=b, x=x)
    size, calls, held = b.size, Callbacks(), np.empty_like(b)
    diagonal: list[Array] = []  # keeps its memory

    now, to_come = preconditioner, list(fallbacks or ())

    def fall_back(there):
        nonlocal now
        next_one = to_come.pop(0)
        there[0] = next_one is not None
        now = next_one or now

    def precondition(r, z):
        assert now is not None
        held[...] = vector(r, size)  # a copy: what keeps it must not see memory that goes
        answer = now(held)
        if np.shape(answer) != held.shape:
            raise ValueError(f"preconditioner: answered with shape {np.shape(answer)} where {held.shape} is needed")
        vector(z, size)[...] = answer

    def run(x, r, target, maxiter, *results):
        assert own is not None
        tell_run(own(vector(x, size), vector(r, size), target, maxiter), maxiter, *results)

    def inverse_diagonal(values):
        diagonal.append(np.ascontiguousarray(operator.inverse_diagonal, dtype=np.float64))
        values[0] = diagonal[0].ctypes.data

    def observe(iteration, norm, now, stop):
        assert callback is not None
        if iteration:
            callback(x)

    system = System(n=size)
    calls.serve(system, "product", lambda x, y: operator.apply(vector(x, size), vector(y, size)))
    calls.serve(
        system,
        "residual",
        lambda b, x, r, norm: norm.__setitem__(0, operator.residual(*(vector(v, size) for v in (b, x, r)))),
    )
    calls.serve(system, "project", lambda v: operator.project(vector(v, size)))
    calls.serve(system, "inverse_diagonal", inverse_diagonal)
    for name, function, given in (
        ("precondition", precondition, preconditioner),
        ("run", run, own),
        ("observe", observe, callback),
        ("fall_back", fall_back, fallbacks),
    ):
        if given is not None:
            calls.serve(system, name, function)
    return solve_system(
        system, calls, chain, b.ctypes.data, x.ctypes.data, None,
        atol=target, maxiter=maxiter, window=window, from_zero=from_zero, followed=followed,
    )  # fmt: skip

"""Solves by the kernels' Krylov iterations (`dcg_krylov`) around a system of Python functions.

The iterations, their guards and the stopping rule are in `kernels/src/krylov`; so is the theory.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..native import library as native
from ..native.callbacks import Callbacks
from ..native.constants import CHAIN, WINDOW
from ..native.krylov import Options, Report, System


@dataclass(frozen=True)
class Outcome:
    """How a solve went, as `dcg_report` and `dcg_result` have it.

    Attributes
    ----------
    reason : int
        `enum dcg_reason`.
    iterations, fallbacks, restarts : int
    done : tuple of int
        Iterations by each entry of the chain; of `solve_system`.
    steps : tuple of (str, int)
        The fallbacks that did iterations, in order, and how many; of a session's solve.
    residuals : list of float
        The norm of the initial residual, then after each iteration.
    condition : float or None
        Of the preconditioned operator, by CG's coefficients.
    """

    reason: int
    iterations: int
    fallbacks: int
    residuals: list[float]
    condition: float | None
    restarts: int = 0
    done: tuple[int, ...] = ()
    steps: tuple[tuple[str, int], ...] = ()

    @classmethod
    def of(cls, result: Any) -> Outcome:
        """From a `deepcg.native.session.Result`."""
        steps = tuple((step.name.decode(), step.iterations) for step in result.step[: result.steps])
        residuals = result.residuals[: result.iterations + 1]
        return cls(result.reason, result.iterations, result.fallbacks, residuals, result.condition or None, steps=steps)


def solve_system(
    system: System,
    calls: Callbacks,
    chain: Sequence[int],
    b: int,
    x: int,
    r: int | None,
    *,
    maxiter: int,
    rtol: float = 0.0,
    atol: float = 0.0,
    norm: float = -1.0,
    followed: bool = False,
    window: int | None = WINDOW,
    from_zero: bool = False,
) -> Outcome:
    """Solve A x = b for a system whose vectors are addresses, which only its own functions need to understand.

    Parameters
    ----------
    chain : of `enum dcg_method`
        Each takes over where the one before it gives up.
    r : room for the residual, or None
    rtol, atol, norm : converged means ||b - A x||_2 <= max(rtol norm, atol); a negative norm stands for that of the first residual
    followed : where the chain gives up, the caller goes on with a fallback of its own
    window : of FCG: earlier directions that each new one is made A-orthogonal to; None for all
    from_zero : x is 0, so that b is its residual
    """
    options = Options(
        chain=(ctypes.c_int32 * CHAIN)(*chain),
        window=-1 if window is None else min(window, 2**31 - 1),
        from_zero=from_zero,
        followed=followed,
        maxiter=min(maxiter, 2**62),
        rtol=rtol,
        atol=atol,
        norm=norm,
    )
    report = ctypes.POINTER(Report)()
    with calls.kept():
        native.call("dcg_krylov", ctypes.byref(system), ctypes.byref(options), b, x, r, ctypes.byref(report))
    result = report.contents
    outcome = Outcome(
        result.reason,
        result.iterations,
        result.fallbacks,
        result.residuals[: result.count],
        result.condition or None,
        result.restarts,
        tuple(result.done[: len(chain)]),
    )
    native.destroy(report, "report")
    return outcome

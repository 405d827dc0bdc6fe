"""A solve's report: an int as in SciPy that also carries the history."""

from __future__ import annotations

from typing import Any

from ..native.constants import BREAKDOWN, CONVERGED
from ..native.library import reason_text


class SolveInfo(int):
    """0 where the solve converged, the iterations done (at least 1) where it did not, negative where it broke down.

    Attributes
    ----------
    reason : str
        "converged", "attainable accuracy", "maximum number of iterations" or "breakdown: ...".
    iterations : int
    residuals : list of float
        ||b - A x||_2 from the initial guess on.
    setup_seconds, solve_seconds : float
    model, method : str
    fallbacks : int
        Iterations whose direction was not the model's but the classical one.
    projected : float
        2-norm of what was taken off b to make a singular problem consistent; 0 for a regular one.
    condition : float or None
        Condition number of the preconditioned operator as CG's coefficients show it; None for other methods.
    """

    reason: str
    iterations: int
    residuals: list[float]
    setup_seconds: float
    solve_seconds: float
    model: str
    method: str
    fallbacks: int
    projected: float
    condition: float | None

    @classmethod
    def of(cls, outcome: Any, **attributes) -> SolveInfo:
        """From a `deepcg.krylov.iteration.Outcome`."""
        if outcome.reason == CONVERGED:
            code = 0
        elif outcome.reason == BREAKDOWN:
            code = -1
        else:
            code = max(1, outcome.iterations)
        info = cls(code)
        info.reason = reason_text(outcome.reason)
        info.iterations, info.residuals = outcome.iterations, outcome.residuals
        info.fallbacks, info.condition = outcome.fallbacks, outcome.condition
        for name, value in attributes.items():
            setattr(info, name, value)
        return info

    def __str__(self) -> str:
        relative = self.residuals[-1] / self.residuals[0] if self.residuals[0] > 0 else 0.0
        line = (
            f"{self.reason}: {self.model} with {self.method}, {self.iterations} iterations, residual {self.residuals[-1]:.2e} "
            f"({relative:.1e} of the initial), set-up {self.setup_seconds:.3g} s, solve {self.solve_seconds:.3g} s"
        )
        if self.fallbacks:
            line += f", {self.fallbacks} of the iterations by the classical fallback"
        if self.projected:
            line += f", {self.projected:.2e} taken off an inconsistent b"
        return line

    def __repr__(self) -> str:
        return f"<SolveInfo {int(self)}: {self}>"

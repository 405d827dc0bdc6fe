"""A solve's report: an int as in SciPy that also carries the history; and one of several right-hand sides'."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

from ..native.constants import BREAKDOWN, CONVERGED
from ..native.library import reason_text


class SolveInfo(int):
    """0 where the solve converged, the iterations done (at least 1) where it did not, negative where it broke down.

    Attributes
    ----------
    reason : str
        "converged", "attainable accuracy", "maximum number of iterations", "stalled: ..." or "breakdown: ...".
    iterations : int
    residuals : list of float
        ||b - A x||_2 from the initial guess on; the last one is that of the x that is returned, the best one where the solve did not converge.
    setup_seconds, solve_seconds : float
    model, method : str
    fallbacks : int
        Iterations whose direction was not the model's: those of the steps below, and Jacobi's directions in place of poor ones.
    steps : tuple of (str, int)
        The fallbacks that took over, in order, and their iterations: ("multigrid", 34), ("amg (PyAMG)", 9). Empty where the model did it all.
    fallback : str
        The last of them; empty where the model did it all.
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
    steps: tuple[tuple[str, int], ...]
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
        info.fallbacks, info.condition, info.steps = outcome.fallbacks, outcome.condition, outcome.steps
        for name, value in attributes.items():
            setattr(info, name, value)
        return info

    @property
    def fallback(self) -> str:
        return self.steps[-1][0] if self.steps else ""

    def __str__(self) -> str:
        relative = self.residuals[-1] / self.residuals[0] if self.residuals[0] > 0 else 0.0
        line = (
            f"{self.reason}: {self.model} with {self.method}, {self.iterations} iterations, residual {self.residuals[-1]:.2e} "
            f"({relative:.1e} of the initial), set-up {self.setup_seconds:.3g} s, solve {self.solve_seconds:.3g} s"
        )
        line += remarks(self.fallbacks, self.steps, self.projected, "an inconsistent b")
        return line

    def __repr__(self) -> str:
        return f"<SolveInfo {int(self)}: {self}>"


class SolveInfos(int):
    """The reports of several right-hand sides: 0 only where all converged. `infos[j]` is column j's, `len(infos)` their number.

    As a number it is that of the worst column: negative where one broke down, else the most iterations of those that did not converge.

    Attributes
    ----------
    columns : tuple of SolveInfo
    failed : list of int
        The columns that did not converge.
    reason : str
        The worst column's; see `SolveInfo`.
    iterations, fallbacks : int
        Of all columns together.
    steps : tuple of (str, int)
        The fallbacks that took over in any of them, and their iterations in all of them.
    setup_seconds, solve_seconds : float
        The set-up's, which is done once; of all columns together.
    model, method : str
    projected : float
        2-norm of what was taken off all columns of b.

    Examples
    --------
    >>> import numpy as np, deepcg
    >>> problem = deepcg.Poisson(np.zeros((8, 8), dtype=np.uint8), boundary="open")
    >>> x, info = deepcg.solve(problem, np.eye(64)[:, :3], model="jacobi")
    >>> x.shape, int(info), len(info), info.iterations == sum(one.iterations for one in info)
    ((64, 3), 0, 3, True)
    """

    columns: tuple[SolveInfo, ...]

    @classmethod
    def of(cls, columns: Sequence[SolveInfo]) -> SolveInfos:
        made = cls(min(columns, default=0) if any(one < 0 for one in columns) else max(columns, default=0))
        made.columns = tuple(columns)
        return made

    def __len__(self) -> int:
        return len(self.columns)

    def __getitem__(self, column):
        return self.columns[column]

    def __iter__(self) -> Iterator[SolveInfo]:
        return iter(self.columns)

    def __bool__(self) -> bool:
        """As an int's, not as a list's: whether a column did not converge."""
        return int(self) != 0

    @property
    def failed(self) -> list[int]:
        return [number for number, one in enumerate(self.columns) if one]

    @property
    def reason(self) -> str:
        return next((one.reason for one in self.columns if int(one) == int(self)), reason_text(CONVERGED))

    @property
    def iterations(self) -> int:
        return sum(one.iterations for one in self.columns)

    @property
    def fallbacks(self) -> int:
        return sum(one.fallbacks for one in self.columns)

    @property
    def steps(self) -> tuple[tuple[str, int], ...]:
        done: dict[str, int] = {}
        for name, iterations in (step for one in self.columns for step in one.steps):
            done[name] = done.get(name, 0) + iterations
        return tuple(done.items())

    @property
    def setup_seconds(self) -> float:
        return max((one.setup_seconds for one in self.columns), default=0.0)

    @property
    def solve_seconds(self) -> float:
        return sum(one.solve_seconds for one in self.columns)

    @property
    def model(self) -> str:
        return next((one.model for one in self.columns), "")

    @property
    def method(self) -> str:
        return next((one.method for one in self.columns), "")

    @property
    def projected(self) -> float:
        return math.hypot(*(one.projected for one in self.columns))

    def __str__(self) -> str:
        """A line for all, then one for each column that did not converge."""
        if not self.columns:
            return f"{self.reason}: no right-hand sides given"
        failed = self.failed
        most = max(one.iterations for one in self.columns)
        head = f"{len(self)} right-hand sides, all converged" if not failed else (
            f"{len(failed)} of {len(self)} right-hand sides did not converge"
        )  # fmt: skip
        line = (
            f"{head}: {self.model} with {self.method}, {self.iterations} iterations, at most {most} for one, "
            f"set-up {self.setup_seconds:.3g} s, solves {self.solve_seconds:.3g} s"
        )
        line += remarks(self.fallbacks, self.steps, self.projected, "inconsistent columns of b")
        return "\n".join([line, *(f"column {number}: {self.columns[number]}" for number in failed)])

    def __repr__(self) -> str:
        return f"<SolveInfos {int(self)}: {self}>"


def remarks(fallbacks: int, steps: Sequence[tuple[str, int]], projected: float, inconsistent: str) -> str:
    """What a report's line ends with where there is anything out of the ordinary; inconsistent: the name of what lay outside A's range."""
    told = [f"{name} {iterations}" for name, iterations in steps]
    if others := fallbacks - sum(iterations for _, iterations in steps):
        told.append(f"Jacobi's directions {others}")
    text = f", {fallbacks} of the iterations by fallback ({', '.join(told)})" if fallbacks else ""
    return text + (f", {projected:.2e} taken off {inconsistent}" if projected else "")

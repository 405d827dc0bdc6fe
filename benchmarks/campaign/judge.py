"""The verdict on an answer: its true residual in extended precision against what was claimed. No kernel of deepcg's takes part."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from benchmarks.campaign.direct import best_residual
from benchmarks.campaign.rows import EPSILON, norm
from benchmarks.campaign.systems import System
from benchmarks.campaign.ways import Claim

PETSC = ("KSP deepcg", "CG with PC deepcg", "on 2 ranks")
ALLOWED = 1.01
"""Of the tolerance: what a converged answer's true residual may be."""
REACHED = 0.1
"""Of the tolerance: what a direct solver must reach before a solve that did not converge counts as a false defeat."""
RECURRENCE = 1e4 * EPSILON
"""Of |A| |x| + |b|: what the recurrence of PETSc's own CG may be off, which alone decides when that stops."""
ROUNDED_TO_SINGULAR = 64
"""Row sums of so many roundings of their entries may be taken for zero."""


@dataclass
class Verdict:
    """Attributes
    ----------
    kind : str
        "right", "silent", "non-finite x", "refused", "defeat", "false defeat", "stopped" (maxiter was given); from the guard: "exception",
        "crash", "hang".
    ratio : float or None
        True residual / what is allowed to it without ALLOWED's margin.
    told : str
        The reason, or the message.
    """

    kind: str
    told: str = ""
    ratio: float | None = None
    iterations: int = 0
    fallbacks: int = 0
    best: float | None = None

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def judge(system: System, claim: Claim) -> Verdict:
    """The verdict on what deepcg claims."""
    x, b, rows = claim.x, np.asarray(system.over_rows(system.b), dtype=np.float64), system.rows
    verdict = Verdict("right", claim.reason, None, claim.iterations, claim.fallbacks)
    if not np.isfinite(x).all():
        verdict.kind = "non-finite x"
        return verdict
    verdict.ratio = float(min(ratio(system, claim, b, x), 1e300))
    if claim.converged:
        verdict.kind = "right" if verdict.ratio <= ALLOWED else "silent"
    elif "maxiter" in system.settings:
        verdict.kind = "stopped"
    else:
        verdict.best = float(min(best_residual(rows, b, lambda y: ratio(system, claim, b, y)), 1e300))
        verdict.kind = "false defeat" if verdict.best <= REACHED else "defeat"
    return verdict


def ratio(system: System, claim: Claim, b: np.ndarray, x: np.ndarray) -> np.longdouble:
    """The true residual of x over what is allowed to it; the least of the readings that the contract admits.

    b is projected where the rows say that A is singular: exactly, or to their rounding if deepcg says that it projected. Where only deepcg says
    that A is singular, the residual may hold what it says it took off.
    """
    rows, residual = system.rows, np.asarray(b, dtype=np.longdouble) - system.rows.apply(x)
    size = norm(b)
    if size == 0 and system.way in PETSC and system.x0 is not None:
        size = norm(rows.apply(system.x0))  # what PETSc's test for convergence takes then
    readings = [over(norm(residual), tolerance(system, size) + slack(system, claim, b, x))]
    projected = claim.projected
    for roundings in (0, ROUNDED_TO_SINGULAR):
        singular = rows.singular(roundings)
        if not rows.symmetric:
            singular &= (
                np.bincount(rows.component) == 1
            )  # rows that are zero; of others the left null vector is not known
        if not singular.any() or (roundings and projected == 0.0):
            continue
        consistent = rows.projected(b, singular)
        taken = norm(b - consistent)
        if projected is None or abs(projected - taken) <= 1e-9 * norm(b):
            size = norm(b) if system.way in PETSC else norm(consistent)  # of PETSc's own test for convergence
            allowed = tolerance(system, size) + slack(system, claim, b, x) + 8 * EPSILON * norm(b)
            readings.append(over(norm(residual - (b - consistent)), allowed))
    if projected:
        left = np.sqrt(max(norm(b) ** 2 - np.longdouble(projected) ** 2, np.longdouble(0)))
        parts = np.array([tolerance(system, left), projected], dtype=np.longdouble)
        allowed = (
            norm(parts) if rows.symmetric else parts.sum()
        )  # what a scaled problem lacks is not orthogonal to the rest
        readings.append(over(norm(residual), allowed))
    return min(readings)


def over(residual: np.longdouble, allowed: np.longdouble) -> np.longdouble:
    return np.longdouble(0) if residual == 0 else residual / allowed if allowed > 0 else np.longdouble(np.inf)


def tolerance(system: System, size: np.longdouble) -> np.longdouble:
    return max(np.longdouble(system.settings["rtol"]) * size, np.longdouble(system.settings["atol"]))


def slack(system: System, claim: Claim, b: np.ndarray, x: np.ndarray) -> np.longdouble:
    """What PETSc's own iteration may be off; 0 where deepcg decided."""
    if claim.own_stop:
        return np.longdouble(0)
    size = norm(system.rows.scale_of(x)) + norm(b)
    if system.x0 is not None:
        size += norm(system.rows.scale_of(system.x0))
    return RECURRENCE * size

"""One way to time a solve: set-up and solve apart, repeats in alternation between methods, medians with spread."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

import deepcg
from benchmarks.record import true_residual


def alternate(
    problem: deepcg.Poisson,
    b: np.ndarray,
    models: Mapping[str, Callable[[deepcg.Poisson], Any]],
    rtol: float,
    repeats: int,
    fresh: Callable[[], deepcg.Poisson] | None = None,
) -> dict[str, dict[str, Any]]:
    """Time models that `deepcg.Solver` takes on one system.

    Parameters
    ----------
    problem, b : the system
    models : by name, what makes a model of a problem; called once per repeat, inside the timed set-up
    rtol : on the true relative residual
    repeats : after one that is not counted
    fresh : makes the problem anew for every set-up, from cells and coefficients, so that nothing is kept from before; it
        counts as set-up

    Returns
    -------
    dict of figures by name : raw seconds of all repeats, their medians, iterations, residual history, recomputed residual
    """
    raw: dict[str, dict[str, list[float]]] = {name: {"setup": [], "solve": []} for name in models}
    last: dict[str, tuple[np.ndarray, deepcg.SolveInfo]] = {}
    for repeat in range(repeats + 1):
        for name, model in models.items():
            started = time.perf_counter()
            given = problem if fresh is None else fresh()
            solver = deepcg.Solver(given, model=model(given), rtol=rtol)
            middle = time.perf_counter()
            x, info = solver.solve(b)
            ended = time.perf_counter()
            if repeat:
                raw[name]["setup"].append(middle - started)
                raw[name]["solve"].append(ended - middle)
            last[name] = x, info
    return {name: _figures(problem, b, *last[name], raw[name]) for name in models}


def _figures(problem, b, x, info, raw) -> dict[str, Any]:
    return {
        "setup_seconds": statistics.median(raw["setup"]),
        "solve_seconds": statistics.median(raw["solve"]),
        "total_seconds": statistics.median(s + t for s, t in zip(raw["setup"], raw["solve"], strict=True)),
        "raw_setup_seconds": raw["setup"],
        "raw_solve_seconds": raw["solve"],
        "iterations": info.iterations,
        "fallbacks": info.fallbacks,
        "converged": int(info) == 0,
        "reason": info.reason,
        "residuals": [float(f"{r:.4g}") for r in info.residuals],
        "true_residual": true_residual(problem, x, b),
    }


def remake(problem: deepcg.Poisson) -> Callable[[], deepcg.Poisson]:
    """What makes the same problem again from its cells and coefficients."""
    source = problem.source

    def make() -> deepcg.Poisson:
        return deepcg.Poisson(
            problem.cells,
            spacing=problem.grid.widths,
            coefficient=source.get("coefficient"),
            shift=source.get("shift"),
            boundary=problem.grid.boundary,
        )

    return make

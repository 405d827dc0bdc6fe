"""A system given to deepcg in the way that was drawn for it, and what deepcg says about the answer."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Any

import numpy as np

import deepcg
from benchmarks.campaign.parameters import model
from benchmarks.campaign.systems import System

KNOWN = set(inspect.signature(deepcg.solve).parameters)


@dataclass
class Claim:
    """Attributes
    ----------
    x : array over the judged rows
    converged : bool
    reason : str
    iterations : int
    projected : float or None
        None: the interface does not say.
    own_stop : bool
        Convergence was judged by deepcg, not by an iteration of PETSc's.
    """

    x: np.ndarray
    converged: bool
    reason: str
    iterations: int
    projected: float | None
    fallbacks: int = 0
    own_stop: bool = True


def solve(system: System) -> Claim:
    """What deepcg answers. Its exceptions pass."""
    if system.way in ("KSP deepcg", "CG with PC deepcg"):
        from benchmarks.campaign import petsc_way

        return petsc_way.solve(system, petsc_way.single())
    settings = {**system.settings, "model": model(system.model, dimension(system))}
    callback = (lambda x: None) if system.callback else None
    if system.way == "matrix":
        arguments = {name: value for name, value in system.arguments.items() if name in KNOWN}
        x, info = deepcg.solve(system.A, system.b, system.x0, callback=callback, **arguments, **settings)
    elif system.way == "Poisson":
        x, info = deepcg.solve(deepcg.Poisson(**system.arguments), system.b, system.x0, callback=callback, **settings)
    else:
        x, info = updated(system, settings)
    if np.shape(x) != np.shape(system.b):
        raise AssertionError(f"x has shape {np.shape(x)}, b {np.shape(system.b)}")
    return Claim(system.over_rows(x), int(info) == 0, info.reason, info.iterations, info.projected, info.fallbacks)


def updated(system: System, settings: dict[str, Any]):
    """By a solver that has served another problem before."""
    assert system.earlier is not None
    solver = deepcg.Solver(deepcg.Poisson(**system.earlier), **settings)
    first = np.where(solver.problem.cells == deepcg.FLUID, 1.0, 0.0)
    solver.solve(first)
    new = {name: system.arguments[name] for name in ("cells", "coefficient", "shift")}
    if any(value is None for value in new.values()) or system.number % 2:
        solver.update(deepcg.Poisson(**system.arguments))
    else:
        solver.update(**new)
    return solver.solve(system.b, system.x0)


def dimension(system: System) -> int:
    """2 or 3, as deepcg sees the grid."""
    if "cells" in system.arguments:
        return system.arguments["cells"].ndim
    if "coordinates" in system.arguments:
        return system.arguments["coordinates"].shape[1]
    grid = system.arguments.get("grid", system.arguments.get("shape"))
    return len(grid) if isinstance(grid, tuple) else np.ndim(grid)

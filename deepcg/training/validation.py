"""How good a network is where it counts: iterations of the solver, on right-hand sides that it was not trained on.

The loss says how much one direction takes off a random residual; what users wait for is the number of conjugate
directions. It is counted on the obstacle-free box and, since no obstacle is seen in training, on one with a sphere.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..dcdm.network import DCDM
from ..dcdm.preconditioner import DCDMPreconditioner
from ..multigrid.cycle import MultilevelCycle
from ..multigrid.parameters import Parameters
from ..problem.poisson import Poisson
from ..scenes import gallery
from ..solver.solver import Solver
from .multigrid_scenes import random_scene

SCENES = ("box", "sphere")
SIZES = {2: 64, 3: 24}  # small enough to take a second or two on a CPU
SEEDS = (3011, 5077)
RTOL = 1e-4
MAXITER = 200


def iterations(network: DCDM, size: int | None = None) -> dict[str, Any]:
    """The mean number of conjugate-direction iterations to a relative residual of 1e-4.

    Parameters
    ----------
    network : DCDM
        In training or not; neither it nor any random generator is changed.
    size : int, optional
        Cells along each axis; by default 64 in 2-D and 24 in 3-D.

    Returns
    -------
    dict
        `box` and `sphere`: the mean over two right-hand sides of white noise (one that does not converge counts as
        the 200 iterations it was given), and the `size`.
    """
    size = SIZES[network.dim] if size is None else size
    figures: dict[str, Any] = {"size": size}
    for name in SCENES:
        problem = gallery.scene(name, size, network.dim).problem
        solver = Solver(problem, model=DCDMPreconditioner(problem, network), method="dcd", rtol=RTOL, maxiter=MAXITER)
        counts = []
        for seed in SEEDS:
            _, info = solver.solve(np.random.default_rng(seed).standard_normal(problem.shape))
            counts.append(MAXITER if info else info.iterations)
        figures[name] = float(np.mean(counts))
    return figures


MULTILEVEL_SIZES = {2: 128, 3: 32}
HELD_OUT, HELD_OUT_SEED = 24, 7079
MULTILEVEL_RTOL, MULTILEVEL_MAXITER = 1e-6, 60
CLASSICAL_OMEGAS = (1.0, 1.05, 1.1, 1.15, 1.2, 1.25)


def multilevel_iterations(parameters: Parameters, dim: int) -> dict[str, Any]:
    """Iterations of conjugate gradients to a relative residual of 1e-6, preconditioned by the multilevel network's kernels.

    Parameters
    ----------
    parameters : Parameters
    dim : 2 or 3

    Returns
    -------
    dict
        `gallery`: the mean over the gallery's scenes without a contrast (none is like a training scene) at `size` cells along each axis, with their own
        right-hand side and with white noise. `random`: over random scenes that training has not seen, with white noise. The last
        iteration counts by the part of it that was needed, so that small differences show.
    """
    size = MULTILEVEL_SIZES[dim]
    named, drawn = [], []
    for scene in (gallery.scene(name, size, dim) for name in gallery.names(dim, rough=False)):
        noise = np.random.default_rng(SEEDS[0]).standard_normal(scene.rhs.shape)
        named += [_fractional_iterations(scene.problem, parameters, b) for b in (scene.rhs, noise)]
    for number in range(HELD_OUT):
        rng = np.random.default_rng([HELD_OUT_SEED, dim, number])
        problem = random_scene(rng, dim)
        drawn.append(_fractional_iterations(problem, parameters, rng.standard_normal(problem.shape)))
    return {"size": size, "gallery": float(np.mean(named)), "random": float(np.mean(drawn))}


def best_classical(parameters: Parameters, dim: int) -> dict[str, Any]:
    """The same figures of classical parameters with the same sweeps, with whichever relaxation factor is the best on the gallery."""
    candidates: list[dict[str, Any]] = [
        {"omega": omega, **multilevel_iterations(Parameters.classical(parameters.sweeps.tolist(), omega), dim)}
        for omega in CLASSICAL_OMEGAS
    ]
    return min(candidates, key=lambda figures: figures["gallery"])


def _fractional_iterations(problem: Poisson, parameters: Parameters, b: np.ndarray) -> float:
    cycle = MultilevelCycle(problem, parameters)
    r = problem.layout.rhs(b)
    problem.components.project(r)
    target = float(MULTILEVEL_RTOL * np.linalg.norm(r))
    run = cycle.native_cg(np.zeros_like(r), r, target, MULTILEVEL_MAXITER)
    norms = [target / MULTILEVEL_RTOL, *run.residuals]
    if norms[-1] > target:
        return float(MULTILEVEL_MAXITER)
    return float(len(norms) - 2 + np.log(norms[-2] / target) / np.log(norms[-2] / norms[-1]))

"""How good a network is where it counts: iterations of the solver, on right-hand sides that it was not trained on.

The loss says how much one direction takes off a random residual; what users wait for is the number of conjugate
directions. It is counted on the obstacle-free box and, since no obstacle is seen in training, on one with a sphere.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from . import gallery
from .network import DCDM
from .preconditioner import Network
from .solve import Solver

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
        solver = Solver(problem, model=Network(problem, network), method="dcd", rtol=RTOL, maxiter=MAXITER)
        counts = []
        for seed in SEEDS:
            _, info = solver.solve(np.random.default_rng(seed).standard_normal(problem.shape))
            counts.append(MAXITER if info else info.iterations)
        figures[name] = float(np.mean(counts))
    return figures

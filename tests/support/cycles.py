"""What tests of a multilevel cycle run it with: learned parameters of any kind, vectors like a residual."""

import dataclasses

import numpy as np

from deepcg import Poisson
from deepcg.multigrid.parameters import Parameters


def random_parameters(seed: int, sweeps=2) -> Parameters:
    """Anything within the bounds."""
    rng = np.random.default_rng(seed)

    def normal(*shape):
        return 2.0 * rng.standard_normal(shape)

    return dataclasses.replace(
        Parameters.classical(sweeps),
        omega=rng.uniform(0.4, 1.45, (2, 4, 2)),
        relaxation_table=rng.uniform(0.76, 1.24, 16),
        hidden_weight=normal(8, 5),
        hidden_bias=normal(8),
        output_weight=normal(3, 8),
        output_bias=normal(3),
        local=True,
    )


def on_grids(parameters: Parameters) -> Parameters:
    """The same with grid levels whatever the coefficients."""
    return dataclasses.replace(parameters, rough=np.inf)


def residual_like(problem: Poisson, seed: int) -> np.ndarray:
    """A random vector in the range."""
    v = problem.layout.rhs(np.random.default_rng(seed).standard_normal(problem.shape))
    problem.components.project(v)
    return v

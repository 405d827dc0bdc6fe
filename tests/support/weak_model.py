"""A model file of no use: its relaxation hardly moves anything. Within its bounds, so that the network is symmetric and positive definite."""

from pathlib import Path

import numpy as np

from deepcg.multigrid.parameters import Parameters
from deepcg.multigrid.parameters_file import save_parameters


def parameters() -> Parameters:
    return Parameters(
        **{**Parameters.classical().tensors(), "omega": np.full((2, 4, 2), 1e-8), "sweeps": np.full(8, 1)}
    )


def save(folder: Path, dim: int) -> Path:
    return save_parameters(folder / f"weak-{dim}d.safetensors", parameters(), dim, "weak", {})

"""The multilevel network's parameters in model files: description and self-test. `deepcg.multigrid.parameters` reads them; nothing here needs PyTorch."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

from ..io import model_file
from ..native.constants import FEATURES, HIDDEN, OUTPUTS
from ..problem.poisson import Poisson
from .cycle import MultilevelCycle
from .parameters import Parameters, load

SELF_TEST_SIZES = {2: (19, 22), 3: (9, 10, 12)}


def save_parameters(
    path, parameters: Parameters, dim: int, name: str, training: dict[str, Any], overwrite: bool = False
) -> Path:
    """Write parameters with their description and self-test; see `deepcg.io.model_file`."""
    tensors = parameters.tensors()
    description = {
        "name": name,
        "architecture": "multilevel",
        "dimension": dim,
        "sizes": {"sweeps": parameters.sweeps.tolist(), "features": FEATURES, "hidden": HIDDEN, "outputs": OUTPUTS},
        "parameters": sum(value.size for key, value in tensors.items() if key != "sweeps"),
        "normalisation": "none: the network is linear in the residual and follows the operator's scale",
        "training": training,
        "self_test": {"answer": self_test(parameters, dim)},
    }
    return model_file.save(path, tensors, description, overwrite)


def check_self_test(path) -> None:
    """Refuse a file whose parameters do not answer as they did when they were saved.

    Raises
    ------
    deepcg.io.model_file.ModelFileError
    """
    parameters, description = load(path)
    model_file.check_self_test(path, description, self_test(parameters, description["dimension"]))


def self_test(parameters: Parameters, dim: int) -> list[float]:
    """Moments of the network's answers on two fixed systems, with unit weights and without: enough to tell it from any other."""
    rng = np.random.default_rng(model_file.SELF_TEST_SEED)
    shape = SELF_TEST_SIZES[dim]
    on_grids = dataclasses.replace(parameters, rough=np.inf)  # sparse levels have none of the parameters
    cells = (rng.random(shape) < 0.15).astype(np.uint8)
    found = []
    for coefficient in (None, np.exp(rng.standard_normal(shape))):
        problem = Poisson(cells, coefficient=coefficient, boundary=[("wall", "open")] * dim)
        b = problem.layout.rhs(rng.standard_normal(shape))
        z = MultilevelCycle(problem, on_grids, threads=1)(b)
        found += model_file.moments(z, b)
    return found

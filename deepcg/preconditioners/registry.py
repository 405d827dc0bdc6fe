"""Preconditioners by name, by model file, or as the user has them."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable
from typing import Any

from ..dcdm.preconditioner import Network
from ..io import model_file
from ..multigrid.cuda import CudaCycle
from ..multigrid.cycle import MultilevelCycle
from ..multigrid.parameters import Weights
from ..multigrid.parameters import load as load_weights
from ..native import library as native
from ..problem.poisson import Poisson
from .base import Preconditioner
from .external import Foreign
from .simple import Identity, Jacobi


def multilevel(problem: Poisson, weights: Weights, name: str, device: str = "auto") -> MultilevelCycle | CudaCycle:
    """The multilevel network through the kernels for `device`; "auto" is the CPU."""
    return (CudaCycle if device == "cuda" else MultilevelCycle)(problem, weights, name)


def multigrid(problem: Poisson, device: str = "auto") -> Preconditioner:
    """The multilevel network with classical weights: a tuned geometric multigrid cycle on the same kernels."""
    return multilevel(problem, Weights.classical(), "multigrid", device)


NAMED: dict[str, Callable[[Poisson], Preconditioner]] = {"none": Identity, "jacobi": Jacobi, "multigrid": multigrid}


def from_file(problem: Poisson, path: str | os.PathLike, device: str = "auto") -> Preconditioner:
    """The network in a model file, of either architecture; its description is kept as `description`."""
    if model_file.describe(path)["architecture"] != "multilevel":
        return Network.from_file(problem, path, device)
    weights, description = load_weights(path)
    if description["dimension"] != problem.ndim:
        raise ValueError(
            f"model: {description['name']} is for {description['dimension']}-D problems; this one is {problem.ndim}-D"
        )
    cycle = multilevel(problem, weights, description["name"], device)
    cycle.description = description
    return cycle


def build(problem: Poisson, model: Any = "auto", device: str = "auto") -> Preconditioner:
    """The preconditioner that `model` names.

    Parameters
    ----------
    problem : Poisson
    model : "auto", "none", "jacobi", a shipped name, a path, or a preconditioner object
    device : "auto", "cpu" or "cuda"

    Raises
    ------
    ModelFileError (a ValueError)
        Unknown name, or a file that is missing, truncated or foreign.
    """
    if isinstance(model, str) and model == "auto":
        model = automatic(problem)
    if isinstance(model, str) and model in NAMED:
        return multigrid(problem, device) if model == "multigrid" else NAMED[model](problem)
    if isinstance(model, (str, os.PathLike)):
        return from_file(problem, model_file.resolve(model, problem.ndim), device)
    if hasattr(model, "update") and hasattr(model, "linear") and callable(model):
        model.update(problem)
        return model
    if callable(model) or hasattr(model, "matvec") or hasattr(model, "dot"):
        return Foreign(problem, model)
    raise TypeError(
        f"model: {type(model).__name__} given; a name, a path, a LinearOperator or a preconditioner is needed"
    )


def automatic(problem: Poisson) -> str:
    """The shipped multilevel network for the problem's dimension; without the kernels the paper's network, without PyTorch Jacobi."""
    shipped = model_file.shipped()
    readable = importlib.util.find_spec("safetensors") is not None
    if not native.unavailable:
        learned = f"multilevel-{problem.ndim}d"
        return learned if readable and learned in shipped else "multigrid"
    name = f"dcdm-{problem.ndim}d"
    return name if readable and importlib.util.find_spec("torch") and name in shipped else "jacobi"

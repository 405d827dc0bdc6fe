"""Adversarial parameters of the multilevel network: random, huge, of the other sign, zero. What its bounds refuse is not made here."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path

import numpy as np

from deepcg.io import model_file
from deepcg.multigrid.cycle import MultilevelCycle
from deepcg.multigrid.parameters import Parameters, load
from deepcg.multigrid.parameters_file import save_parameters
from deepcg.problem.poisson import Poisson

KINDS = ("random parameters", "huge parameters", "flipped parameters", "zero parameters")
LEARNED = ("hidden_weight", "hidden_bias", "output_weight", "output_bias")


def parameters(kind: str, dim: int) -> Parameters:
    """Parameters of a kind for a dimension."""
    shipped, _ = load(model_file.resolve("multilevel", dim))
    tensors, rng = dict(shipped.tensors()), np.random.default_rng(dim)
    if kind == "zero parameters":
        tensors |= {name: np.zeros_like(tensors[name]) for name in LEARNED}
    elif kind == "flipped parameters":
        tensors |= {name: -tensors[name] for name in LEARNED}
    else:
        size = 3e38 if kind == "huge parameters" else 10.0
        tensors |= {name: size * rng.uniform(-1, 1, tensors[name].shape) for name in LEARNED}
        tensors["sweeps"] = rng.integers(1, 5, tensors["sweeps"].shape)
        tensors["omega"] = rng.uniform(0.01, 1.49, tensors["omega"].shape)
        tensors["relaxation_table"] = rng.uniform(0.76, 1.24, tensors["relaxation_table"].shape)
    return Parameters(
        **{name: np.asarray(value, np.int32 if name == "sweeps" else np.float32) for name, value in tensors.items()}
    )


@cache
def file_of(kind: str, dim: int) -> Path:
    """A model file with them, kept until the process ends. A network that answers NaN has no self-test, and so no file."""
    folder = Path(_folder().name)
    return save_parameters(
        folder / f"{kind.replace(' ', '-')}-{dim}d.safetensors", parameters(kind, dim), dim, kind, {}
    )


@cache
def _folder() -> tempfile.TemporaryDirectory:
    return tempfile.TemporaryDirectory(prefix="deepcg-campaign-")


def model(name: str, dim: int):
    """What `model=` takes: parameters as a file or, where no file may hold them, as the network."""
    if name == "huge parameters":
        return MultilevelCycle(Poisson(np.zeros((2,) * dim, np.uint8)), parameters(name, dim), name)
    return file_of(name, dim) if name in KINDS else name

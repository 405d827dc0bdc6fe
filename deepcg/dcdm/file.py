"""Networks in model files: building the module a description names, and testing it against what it answered when it was saved."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import torch

from ..io import model_file
from .network import DCDM, channels_last

SELF_TEST_SIZES = {2: (9, 12), 3: (7, 8, 10)}


def save_network(path, network: DCDM, name: str, training: dict[str, Any], overwrite: bool = False):
    """Write a network with its description and self-test; see `deepcg.io.model_file`."""
    network = network.cpu().eval()
    description = {
        "name": name,
        "architecture": "dcdm",
        "dimension": network.dim,
        "sizes": {"layers": list(network.layers), "channels": network.channels},
        "parameters": sum(p.numel() for p in network.parameters()),
        "normalisation": "residual of unit root mean square over the unknowns",
        "training": training,
        "self_test": {"answer": self_test(network)},
    }
    tensors = {key: value.numpy() for key, value in network.state_dict().items()}
    return model_file.save(path, tensors, description, overwrite)


def load_network(path: str | os.PathLike, device: str = "cpu") -> tuple[DCDM, dict[str, Any]]:
    """Read a network and check that it answers its self-test as it did when it was saved.

    Raises
    ------
    deepcg.io.model_file.ModelFileError
    """
    tensors, description = model_file.load(path)
    if description["architecture"] != "dcdm":
        raise model_file.ModelFileError(
            f"{path}: architecture {description['architecture']!r}; this deepcg knows 'dcdm'"
        )
    sizes = description["sizes"]
    try:
        network = DCDM(description["dimension"], tuple(sizes["layers"]), sizes["channels"])
        network.load_state_dict({key: torch.from_numpy(np.array(value)) for key, value in tensors.items()})
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise model_file.ModelFileError(f"{path}: its weights do not fit its description ({error})") from error
    network.eval()
    model_file.check_self_test(path, description, self_test(network))
    return channels_last(network, device), description


def self_test(network: DCDM) -> list[float]:
    """Four moments of the network's answer to a fixed input: enough to tell it from any other."""
    shape = SELF_TEST_SIZES[network.dim]
    b = np.random.default_rng(model_file.SELF_TEST_SEED).standard_normal(shape).astype(np.float32)
    with torch.inference_mode():
        y = network(torch.from_numpy(b)[None, None]).numpy().ravel().astype(float)
    return model_file.moments(y, b.ravel().astype(float))

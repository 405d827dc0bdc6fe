"""The paper's network as a preconditioner."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np

from ..native.device import check_device
from ..problem.face_weights import back, front
from ..problem.grid import Array
from ..problem.poisson import Poisson
from ..problem.vectors import norm2

if TYPE_CHECKING:
    from .network import DCDM


class DCDMPreconditioner:
    """A convolutional network as a preconditioner, evaluated in float32 where its weights are.

    The network was trained on the box with unit coefficients, for residuals of unit root mean square. So the residual
    is scaled to that, and, where coefficients vary, symmetrically by the mean face weight s of each cell:
    z = S^-1/2 f(S^-1/2 r), which is exact for a constant coefficient of any size.

    Parameters
    ----------
    problem : Poisson
    network : deepcg.dcdm.network.DCDM
        Used as it is, so that a network in training can be measured.
    name : str
        What reports call it.
    """

    linear, spd = False, False

    def __init__(self, problem: Poisson, network: DCDM, name: str = "dcdm"):
        import torch

        from .slabs import evaluation

        self._torch, self._evaluation = torch, evaluation
        self._device = next(network.parameters()).device
        self._shape: tuple[int, ...] = ()
        self.network, self.name = network, name
        self.description: dict[str, Any] = {}
        self.update(problem)

    def __reduce__(self):
        """A copy shares nothing that was set up; PyTorch copies the network."""
        return _make, (self._problem, self.network, self.name, self.description)

    @classmethod
    def from_file(cls, problem: Poisson, path: str | os.PathLike, device: str = "auto") -> DCDMPreconditioner:
        """The network in a model file, on `device`; its description is kept as `description`."""
        try:
            from .file import load_network
        except ImportError as error:
            raise ImportError(f"model: networks need PyTorch: pip install 'deepcg[network]' ({error})") from error
        network, description = load_network(path, torch_device(device))
        loaded = cls(problem, network, description["name"])
        loaded.description = description
        return loaded

    def update(self, problem: Poisson) -> None:
        dimension = self.network.dim
        if problem.ndim != dimension:
            raise ValueError(f"model: {self.name} is for {dimension}-D problems; this one is {problem.ndim}-D")
        fluid = problem.stencil.fluid
        if problem.shape != self._shape:
            self._evaluate = self._evaluation(self.network, problem.shape)
        self._problem, self._shape, self._size = problem, problem.shape, problem.size
        scale = mean_face_weight(problem)
        uniform = bool((scale[fluid] == 1.0).all())
        self._scale = fluid.reshape(-1).astype(float) if uniform else (fluid / np.sqrt(scale)).reshape(-1)

    def __call__(self, r: Array) -> Array:
        scaled = r * self._scale
        rms = norm2(scaled) / np.sqrt(self._size)
        if not (rms > 0 and np.isfinite(rms)):
            return np.zeros_like(r)
        torch = self._torch
        field = torch.from_numpy((scaled / rms).astype(np.float32)).reshape(1, 1, *self._shape)
        z = self._evaluate(field.to(self._device)).reshape(-1).cpu().numpy()
        return z * (self._scale * rms)


def _make(problem: Poisson, network: DCDM, name: str, description: dict[str, Any]) -> DCDMPreconditioner:
    made = DCDMPreconditioner(problem, network, name)
    made.description = description
    return made


def mean_face_weight(problem: Poisson) -> Array:
    """The mean weight of each cell's joined faces; something positive where it has none. Cell-shaped."""
    if problem.stencil.unit is not None:
        return np.full(problem.shape, problem.stencil.unit)
    total = np.zeros(problem.shape)
    count = np.zeros(problem.shape)
    for axis, w in enumerate(problem.stencil.weights):
        total += w[front(axis)] + w[back(axis)]
        count += (w[front(axis)] > 0).astype(float) + (w[back(axis)] > 0)
    return np.where(count > 0, total / np.maximum(count, 1), 1.0)


def torch_device(device: str) -> str:
    """The torch device behind "auto", "cpu" or "cuda"."""
    import torch

    check_device(device)
    if device == "cuda" and not torch.cuda.is_available():
        raise ValueError("device: 'cuda' given, but torch finds no GPU here; use 'auto' or 'cpu' (see `deepcg doctor`)")
    return "cuda" if device != "cpu" and torch.cuda.is_available() else "cpu"

"""Preconditioners by name: what proposes the directions of the Krylov iteration.

Each maps a residual over all cells (flat float64, 0 outside FLUID) to a direction laid out alike, and says whether it
is linear and symmetric positive definite: that decides which iteration may use it.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import scipy.sparse.linalg as spla

from . import model_file, native
from .cuda import CudaCycle
from .cycle import MultilevelCycle
from .face_weights import back, front
from .grid import Array
from .problem import Poisson
from .vectors import norm2
from .weights import Weights
from .weights import load as load_weights

if TYPE_CHECKING:
    from .network import DCDM


class Preconditioner(Protocol):
    """What `deepcg.solve` takes as `model=` besides names and paths."""

    name: str
    linear: bool
    spd: bool

    def __call__(self, r: Array) -> Array:
        """A new array with the direction for r; both flat over all cells."""

    def update(self, problem: Poisson) -> None:
        """Serve another problem of the same shape."""


class Identity:
    """z = r: plain conjugate gradients."""

    name, linear, spd = "none", True, True

    def __init__(self, problem: Poisson):
        pass

    def __call__(self, r: Array) -> Array:
        return r.copy()

    def update(self, problem: Poisson) -> None:
        pass


class Jacobi:
    """z = D^-1 r."""

    name, linear, spd = "jacobi", True, True

    def __init__(self, problem: Poisson):
        self.update(problem)

    def __call__(self, r: Array) -> Array:
        return self._inverse_diagonal * r

    def update(self, problem: Poisson) -> None:
        self._inverse_diagonal = problem.stencil.inverse_diagonal.reshape(-1)


class Network:
    """A convolutional network as a preconditioner, evaluated in float32 where its weights are.

    The network was trained on the box with unit coefficients, for residuals of unit root mean square. So the residual
    is scaled to that, and, where coefficients vary, symmetrically by the mean face weight s of each cell:
    z = S^-1/2 f(S^-1/2 r), which is exact for a constant coefficient of any size.

    Parameters
    ----------
    problem : Poisson
    network : deepcg.network.DCDM
        Used as it is, so that a network in training can be measured.
    name : str
        What reports call it.
    """

    linear, spd = False, False

    def __init__(self, problem: Poisson, network: DCDM, name: str = "dcdm"):
        import torch

        from .network_slabs import evaluation

        self._torch, self._evaluation = torch, evaluation
        self._device = next(network.parameters()).device
        self._shape: tuple[int, ...] = ()
        self.network, self.name = network, name
        self.description: dict[str, Any] = {}
        self.update(problem)

    @classmethod
    def from_file(cls, problem: Poisson, path: str | os.PathLike, device: str = "auto") -> Network:
        """The network in a model file, on `device`; its description is kept as `description`."""
        try:
            from .network_file import load_network
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
        self._shape, self._size = problem.shape, problem.size
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


def check_device(device: str) -> None:
    """ValueError for a word that is no device, whatever is installed."""
    if device not in ("auto", "cpu", "cuda"):
        raise ValueError(f"device: {device!r} given; 'auto', 'cpu' or 'cuda' is needed")


def torch_device(device: str) -> str:
    """The torch device behind "auto", "cpu" or "cuda"."""
    import torch

    check_device(device)
    if device == "cuda" and not torch.cuda.is_available():
        raise ValueError("device: 'cuda' given, but torch finds no GPU here; use 'auto' or 'cpu' (see `deepcg doctor`)")
    return "cuda" if device != "cpu" and torch.cuda.is_available() else "cpu"


class Foreign:
    """A LinearOperator, sparse matrix or function over the user's unknowns, such as PyAMG's `aspreconditioner()`."""

    def __init__(self, problem: Poisson, operator: Any):
        self._operator = (
            spla.aslinearoperator(operator) if not callable(operator) or hasattr(operator, "matvec") else None
        )
        self._function: Callable = self._operator.matvec if self._operator is not None else operator
        self.name = getattr(operator, "name", type(operator).__name__)
        self.linear = bool(getattr(operator, "linear", True))
        self.spd = bool(getattr(operator, "spd", True))
        self.update(problem)

    def update(self, problem: Poisson) -> None:
        self._layout = problem.layout
        n = problem.layout.size
        if self._operator is not None and self._operator.shape != (n, n):
            raise ValueError(f"model: an operator of shape {self._operator.shape} given; ({n}, {n}) is needed")

    def __call__(self, r: Array) -> Array:
        residual = self._layout.residual(r)
        z = np.asarray(self._function(residual))
        if z.shape != residual.shape:
            raise ValueError(f"model: {self.name} answered with shape {z.shape} where {residual.shape} is needed")
        if not np.isfinite(z).all():  # no direction: the iteration takes its own
            return np.zeros_like(r)
        return self._layout.guess(z) * self._layout.sign  # M approximates A^-1 as the user knows A


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


class PreconditionerOperator(spla.LinearOperator):
    """A preconditioner as a SciPy LinearOperator over the user's unknowns.

    Attributes
    ----------
    linear, spd : bool
        What the method it is given to may rely on; SciPy's `cg` needs both.
    """

    def __init__(self, problem: Poisson, preconditioner: Preconditioner):
        n = problem.layout.size
        super().__init__(np.dtype(float), (n, n))
        self._layout, self._preconditioner = problem.layout, preconditioner
        self.name, self.linear, self.spd = preconditioner.name, preconditioner.linear, preconditioner.spd

    def _matvec(self, r):
        r = np.asarray(r, dtype=float).reshape(-1)
        # as for a right-hand side: sign and eliminated rows are then those of A's own inverse
        return self._layout.solution(self._preconditioner(self._layout.rhs(r)), r)

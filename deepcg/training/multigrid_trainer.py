"""Training of the multilevel network, without solutions, on random scenes.

For a random error e the residual is r = A e: the error is known, and no system is ever solved. The loss is what the users wait
for: the log of the error's energy norm that a few preconditioned conjugate-gradient iterations leave, per iteration, averaged
over scenes. To train through the iterations, rather than through one step, rewards parameters whose bad directions are few: conjugate
gradients take those out by themselves.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..io import model_file
from ..multigrid.parameters import load
from ..multigrid.reference.coarse_operator import Couplings
from ..multigrid.reference.hierarchy import Hierarchy, build_hierarchy
from ..multigrid.reference.network import Multilevel
from ..problem.poisson import Poisson
from ..scenes import gallery
from .loop import TrainingLoop, learning_rate
from .multigrid_scenes import random_crop, random_scene

WARM_UP = 20
MESH_SIZES = 12, 24


@dataclass(frozen=True)
class MultilevelTraining:
    """Everything that decides the parameters of a run.

    Attributes
    ----------
    dim : 2 or 3
    sweeps : per level from the finest; the last holds for all below
    local : bool
        Whether the local function is trained, or relaxation factors only.
    steps : int
    batch : scenes a step, each a new one
    errors : random errors a scene
    iterations : of conjugate gradients that the loss looks at
    rate : the largest learning rate of Adam; it rises over the first 20 steps and falls along a cosine to a hundredth
    seed : int
    start : name or path of the model to start from; "": classical parameters
    geometry : files of a user's own cells (.npy) or surfaces (meshes) to train on, instead of random scenes
    """

    dim: int = 3
    sweeps: tuple[int, ...] = (2, 3, 4)
    local: bool = True
    steps: int = 250
    batch: int = 4
    errors: int = 2
    iterations: int = 4
    rate: float = 0.03
    seed: int = 2311
    start: str = ""
    geometry: tuple[str, ...] = ()

    def learning_rate(self, step: int) -> float:
        return learning_rate(self.rate, step, self.steps, WARM_UP)


class MultilevelTrainer(TrainingLoop):
    """A run of the multilevel network."""

    training: MultilevelTraining
    network: Multilevel

    def __init__(self, training: MultilevelTraining, device: str = "cpu"):
        if training.start:
            parameters, description = load(model_file.resolve(training.start, training.dim))
            if description["dimension"] != training.dim:
                raise ValueError(f"--from: {training.start} is for {description['dimension']}-D problems")
            network = Multilevel.from_parameters(parameters)
            network.set_sweeps(training.sweeps)
        else:
            network = Multilevel(training.sweeps, training.local, training.seed)
        for path in training.geometry:
            if not Path(path).is_file():
                raise FileNotFoundError(f"--geometry: {path}: no such file")
        super().__init__(training, network.to(device), torch.device(device))

    @classmethod
    def from_saved(cls, settings: dict[str, Any], device: str) -> MultilevelTrainer:
        lists = {key: tuple(settings[key]) for key in ("sweeps", "geometry")}
        return cls(MultilevelTraining(**{**settings, **lists}), device)

    def losses(self) -> list[Callable[[], Tensor]]:
        return [lambda n=n: self._loss(self.step * self.training.batch + n) for n in range(self.training.batch)]  # type: ignore[misc]

    def _loss(self, number: int) -> Tensor:
        """Of scene `number` of the run."""
        training = self.training
        rng = np.random.default_rng([training.seed, training.dim, number])
        problem = self._scene(rng)
        hierarchy = build_hierarchy(problem)
        e = rng.standard_normal((training.errors, problem.stencil.fluid.size)) * problem.stencil.fluid.ravel()
        apply = finest_operator(hierarchy, self.device)
        left = error_left(self.network, hierarchy, apply, torch.from_numpy(e).to(self.device), training.iterations)
        return left / training.batch

    def _scene(self, rng: np.random.Generator) -> Poisson:
        training = self.training
        if not training.geometry:
            return random_scene(rng, training.dim)
        path = training.geometry[int(rng.integers(len(training.geometry)))]
        if path.endswith(".npy"):
            return random_crop(rng, np.load(path, allow_pickle=False))
        return gallery.mesh_scene(path, int(rng.integers(*MESH_SIZES, endpoint=True))).problem


def finest_operator(hierarchy: Hierarchy, device: torch.device) -> Callable[[Tensor], Tensor]:
    """The finest level's A, in double precision and difference form, on (batch, cells)."""
    level = hierarchy.levels[0]
    given = (hierarchy.weight, hierarchy.dirichlet, hierarchy.shift)
    couplings = Couplings(level, *(torch.from_numpy(np.asarray(v, dtype=float)).to(device) for v in given))
    faces, outside = couplings.faces(), couplings.dirichlet.sum(0) + couplings.shift

    def apply(x: Tensor) -> Tensor:
        grid = x.reshape(-1, *level.shape)
        y = (outside * x).reshape(grid.shape)
        for axis, weight in enumerate(faces):
            if level.shape[axis] > 1:
                flux = weight * (grid - grid.roll(-1, axis + 1))
                y = y + flux - flux.roll(1, axis + 1)
        return y.flatten(1)

    return apply


def error_left(
    network: Multilevel, hierarchy: Hierarchy, apply: Callable[[Tensor], Tensor], error: Tensor, iterations: int
) -> Tensor:
    """Mean log of |e_k|_A^2 / |e_0|_A^2, per iteration of preconditioned conjugate gradients.

    Parameters
    ----------
    apply : A of the finest level
    error : (batch, cells) initial errors, 0 outside FLUID
    iterations : k
    """

    def dot(a: Tensor, b: Tensor) -> Tensor:
        return (a * b).sum(1, keepdim=True)

    levels = network.setup(hierarchy)
    r = apply(error)
    norm = dot(error, r).sqrt()
    e, r = error / norm, r / norm
    p, rho = torch.zeros_like(r), None
    for _ in range(iterations):
        scale = r.norm(dim=1, keepdim=True).detach()  # the network may be in single precision
        z = scale * network(levels, (r / scale).to(network.raw_omega.dtype)).to(r.dtype)
        before, rho = rho, dot(r, z)
        p = z if before is None else z + (rho / before) * p
        product = apply(p)
        alpha = rho / dot(p, product)
        e, r = e - alpha * p, r - alpha * product
    return torch.log(dot(e, r)).mean() / iterations

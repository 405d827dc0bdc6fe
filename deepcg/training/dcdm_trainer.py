"""Training of the paper's network, without solutions, on the obstacle-free box.

The network is fully convolutional, so a run goes through stages of growing boxes: small ones are cheap and teach the
operator's local inverse, large ones its long range. Every batch is drawn from a generator seeded by (seed, stage,
step), so a resumed run continues exactly where it stopped.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ..dcdm.network import CHANNELS_LAST, DCDM, channels_last
from ..problem.grid import Boundary, check_boundary
from .dcdm_loss import box_operator, residual_after_step
from .loop import TrainingLoop, learning_rate
from .ritz_vectors import RitzBasis, ritz_basis, steps_for_memory


@dataclass(frozen=True)
class Stage:
    """`steps` optimiser steps on batches of `batch` boxes of `size` cells a side."""

    size: int
    steps: int
    batch: int

    @classmethod
    def parse(cls, text: str) -> Stage:
        """From "SIZE:STEPS:BATCH"."""
        try:
            size, steps, batch = (int(part) for part in text.split(":"))
        except ValueError:
            raise ValueError(f"stage: {text!r} given; SIZE:STEPS:BATCH such as 32:3000:4 is needed") from None
        if size < 4 or steps < 1 or batch < 1:
            raise ValueError(f"stage: {text!r} given; SIZE of at least 4, STEPS and BATCH of at least 1 are needed")
        return cls(size, steps, batch)


def default_stages(dim: int) -> tuple[Stage, ...]:
    """The stages in which the shipped models were trained."""
    if dim == 2:
        return (Stage(32, 2000, 16), Stage(64, 1500, 8), Stage(128, 500, 4))
    return (Stage(16, 2500, 16), Stage(32, 3500, 4), Stage(64, 300, 1))


@dataclass(frozen=True)
class DCDMTraining:
    """Everything that decides the weights of a run.

    Attributes
    ----------
    dim : 2 or 3
    layers : see `deepcg.dcdm.network.DCDM`
    boundary : one (low, high) pair per axis
        The default, walls and an open top, is the box of the gallery's plume without its obstacles.
    stages : tuple of Stage
    ritz_vectors : at most this many per box
    memory : megabytes for the Lanczos and Ritz vectors of a box
    rate : the largest learning rate of Adam; it rises over the first 100 steps and falls along a cosine to a hundredth
    seed : int
    """

    dim: int = 3
    layers: tuple[int, int, int] = (4, 6, 4)
    boundary: Boundary = ()
    stages: tuple[Stage, ...] = ()
    ritz_vectors: int = 1000
    memory: float = 1024.0
    rate: float = 1e-3
    seed: int = 2023

    def __post_init__(self):
        if not self.stages:
            object.__setattr__(self, "stages", default_stages(self.dim))
        if not self.boundary:
            object.__setattr__(self, "boundary", (("wall", "open"),) + (("wall", "wall"),) * (self.dim - 1))

    @property
    def steps(self) -> int:
        return sum(stage.steps for stage in self.stages)

    def at(self, step: int) -> tuple[int, Stage]:
        """The stage that `step` belongs to, with its number."""
        for number, stage in enumerate(self.stages):
            if step < stage.steps:
                return number, stage
            step -= stage.steps
        raise IndexError("step lies beyond the last stage")

    def learning_rate(self, step: int) -> float:
        return learning_rate(self.rate, step, self.steps)


class DCDMTrainer(TrainingLoop):
    """A run of the paper's network."""

    training: DCDMTraining

    def __init__(self, training: DCDMTraining, device: str = "cpu"):
        check_boundary(training.boundary, training.dim)
        torch.manual_seed(training.seed)
        place = torch.device(device)
        super().__init__(training, channels_last(DCDM(training.dim, training.layers), place), place)
        self._apply = box_operator(training.dim, training.boundary)
        self._basis: tuple[int, RitzBasis] | None = None

    @classmethod
    def from_saved(cls, settings: dict[str, Any], device: str) -> DCDMTrainer:
        training = DCDMTraining(
            **{
                **settings,
                "layers": tuple(settings["layers"]),
                "boundary": tuple(tuple(pair) for pair in settings["boundary"]),
                "stages": tuple(Stage(**stage) for stage in settings["stages"]),
            }
        )
        return cls(training, device)

    def losses(self) -> list[Callable[[], torch.Tensor]]:
        number, stage = self.training.at(self.step)
        b = self._batch(number, stage)
        return [lambda: residual_after_step(self._apply, b, self.network(b))]

    def _batch(self, number: int, stage: Stage) -> torch.Tensor:
        if self._basis is None or self._basis[0] != number:
            self._basis = None  # frees the last stage's vectors first
            self._basis = (number, self._ritz_basis(stage.size))
        rng = np.random.default_rng([self.training.seed, number, self.step])
        b = torch.from_numpy(self._basis[1].sample(stage.batch, rng)).to(self.device)
        return b.to(memory_format=CHANNELS_LAST[self.training.dim])

    def _ritz_basis(self, size: int) -> RitzBasis:
        shape = (size,) * self.training.dim
        cells = size**self.training.dim
        steps = min(self.training.ritz_vectors, steps_for_memory(cells, self.training.memory))

        def apply(v: np.ndarray) -> np.ndarray:
            return self._apply(torch.from_numpy(v).reshape(1, 1, *shape)).reshape(-1).numpy()

        return ritz_basis(apply, shape, steps, self.training.seed)

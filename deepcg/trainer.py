"""Training of the paper's network, without solutions, on the obstacle-free box.

The network is fully convolutional, so a run goes through stages of growing boxes: small ones are cheap and teach the
operator's local inverse, large ones its long range. Every batch is drawn from a generator seeded by (seed, stage,
step), so a resumed run continues exactly where it stopped.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from . import model_file
from .grid import Boundary, check_boundary
from .loss import box_operator, residual_after_step
from .network import CHANNELS_LAST, DCDM, channels_last
from .training_data import RitzBasis, ritz_basis, steps_for_memory


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
    """What the shipped models were trained with."""
    if dim == 2:
        return (Stage(32, 2000, 16), Stage(64, 1500, 8), Stage(128, 500, 4))
    return (Stage(16, 2500, 16), Stage(32, 3500, 4), Stage(64, 300, 1))


@dataclass(frozen=True)
class Training:
    """Everything that decides the weights of a run.

    Attributes
    ----------
    dim : 2 or 3
    layers : see `deepcg.network.DCDM`
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
        warm = min(1.0, (step + 1) / 100)
        return self.rate * warm * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * step / self.steps)))


@dataclass
class History:
    """What a run has seen: the loss of every step, validation figures, and the seconds spent."""

    losses: list[float] = field(default_factory=list)
    validation: list[dict[str, Any]] = field(default_factory=list)
    seconds: float = 0.0


class Trainer:
    """A run: network, optimiser, history; `run()` trains, `save_checkpoint()` and `resume()` keep it."""

    def __init__(self, training: Training, device: str = "cpu"):
        self.training, self.device, self.step, self.history = training, torch.device(device), 0, History()
        check_boundary(training.boundary, training.dim)
        torch.manual_seed(training.seed)
        self.network = channels_last(DCDM(training.dim, training.layers), self.device)
        self.optimiser = torch.optim.Adam(self.network.parameters(), training.rate)
        self._apply = box_operator(training.dim, training.boundary)
        self._basis: tuple[int, RitzBasis] | None = None

    def run(
        self,
        on_step: Callable[[int, float], None] | None = None,
        validate: Callable[[DCDM], dict[str, Any]] | None = None,
        validate_every: int = 500,
        checkpoint: Path | None = None,
        checkpoint_every: int = 200,
    ) -> None:
        """Train from the present step to the last.

        Parameters
        ----------
        on_step : called with (step, loss)
        validate : gives figures for the present network, kept in the history
        checkpoint : file written every `checkpoint_every` steps and at the end
        """
        started = time.perf_counter() - self.history.seconds
        while self.step < self.training.steps:
            loss = self._one_step()
            self.history.losses.append(loss)
            self.history.seconds = time.perf_counter() - started
            self.step += 1
            last = self.step == self.training.steps
            if validate and (last or self.step % validate_every == 0):
                self.history.validation.append({"step": self.step, **validate(self.network)})
            if checkpoint and (last or self.step % checkpoint_every == 0):
                self.save_checkpoint(checkpoint)
            if on_step:
                on_step(self.step, loss)

    def _one_step(self) -> float:
        number, stage = self.training.at(self.step)
        b = self._batch(number, stage)
        loss = residual_after_step(self._apply, b, self.network(b))
        value = loss.item()
        if not math.isfinite(value):
            raise FloatingPointError(f"step {self.step}: the loss is {value}; lower the learning rate (--rate)")
        self.optimiser.param_groups[0]["lr"] = self.training.learning_rate(self.step)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimiser.step()
        return value

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

    def save_checkpoint(self, path: Path) -> None:
        """Write weights, optimiser state and history as one safetensors file."""
        from safetensors.torch import save

        tensors = {f"network.{name}": value.contiguous() for name, value in self.network.state_dict().items()}
        for name, parameter in self.network.named_parameters():
            for key, value in self.optimiser.state.get(parameter, {}).items():
                tensors[f"adam.{key}.{name}"] = value.contiguous().clone()
        run = {"training": asdict(self.training), "step": self.step, "history": asdict(self.history)}
        content = save(tensors, metadata={"run": json.dumps(run)})
        model_file.write_atomically(path, content, overwrite=True)

    @classmethod
    def resume(cls, path: Path, device: str = "cpu") -> Trainer:
        """A run as `save_checkpoint` left it."""
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(path, framework="torch") as stream:
                run = json.loads((stream.metadata() or {})["run"])
                tensors = {name: stream.get_tensor(name) for name in stream.keys()}  # noqa: SIM118 - not a mapping
        except (SafetensorError, OSError, KeyError, json.JSONDecodeError) as error:
            raise model_file.ModelFileError(f"{path}: not a training checkpoint ({error!r})") from error
        saved = run["training"]
        training = Training(
            **{
                **saved,
                "layers": tuple(saved["layers"]),
                "boundary": tuple(tuple(pair) for pair in saved["boundary"]),
                "stages": tuple(Stage(**stage) for stage in saved["stages"]),
            }
        )
        trainer = cls(training, device)
        names = {f"network.{name}": name for name in trainer.network.state_dict()}
        trainer.network.load_state_dict({name: tensors[key] for key, name in names.items()})
        for name, parameter in trainer.network.named_parameters():
            state = {
                key.split(".")[1]: value
                for key, value in tensors.items()
                if key.endswith(f".{name}") and key.startswith("adam.")
            }
            # Adam keeps its count of steps, a scalar, on the CPU and the rest beside the weights.
            state = {key: value.to(trainer.device) if value.ndim else value for key, value in state.items()}
            if state:
                trainer.optimiser.state[parameter] = state
        trainer.step, trainer.history = run["step"], History(**run["history"])
        return trainer

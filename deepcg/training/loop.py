"""The loop of a training run: optimiser, learning rate, history, checkpoints. What is trained on what, the trainers say.

Whatever is random is drawn from generators seeded by the run's seed and the step, so a resumed run continues exactly where it
stopped.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..io import model_file
from ..io.files import write_atomically


def learning_rate(largest: float, step: int, steps: int, warm_up: int = 100) -> float:
    """It rises over the first steps and falls along a cosine to a hundredth."""
    warm = min(1.0, (step + 1) / warm_up)
    return largest * warm * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * step / steps)))


@dataclass
class History:
    """A run's history: the loss of every step, validation figures, and the seconds spent."""

    losses: list[float] = field(default_factory=list)
    validation: list[dict[str, Any]] = field(default_factory=list)
    seconds: float = 0.0


class TrainingLoop(ABC):
    """A run: network, optimiser, history; `run()` trains, `save_checkpoint()` and `resume()` keep it.

    Parameters
    ----------
    training : dataclass with `steps`, `rate`, and `learning_rate(step)`
        Everything that decides the weights.
    network : torch module on `device`
    """

    def __init__(self, training: Any, network: nn.Module, device: torch.device):
        self.training, self.device, self.step, self.history = training, device, 0, History()
        self.network: Any = network
        self.optimiser = torch.optim.Adam(network.parameters(), training.rate)

    @abstractmethod
    def losses(self) -> list[Callable[[], Tensor]]:
        """The present step's loss, as terms that add up; each is computed and differentiated before the next one."""

    @classmethod
    @abstractmethod
    def from_saved(cls, settings: dict[str, Any], device: str) -> TrainingLoop:
        """A run before its first step, from settings as JSON keeps them."""

    def run(
        self,
        on_step: Callable[[int, float], None] | None = None,
        validate: Callable[[Any], dict[str, Any]] | None = None,
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
        self.optimiser.param_groups[0]["lr"] = self.training.learning_rate(self.step)
        self.optimiser.zero_grad(set_to_none=True)
        value = 0.0
        for term in self.losses():
            loss = term()
            value += loss.item()
            if not math.isfinite(value):
                raise FloatingPointError(f"step {self.step}: the loss is {value}; lower the learning rate (--rate)")
            loss.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimiser.step()
        return value

    def save_checkpoint(self, path: Path) -> None:
        """Write weights, optimiser state and history as one safetensors file."""
        from safetensors.torch import save

        tensors = {f"network.{name}": value.contiguous() for name, value in self.network.state_dict().items()}
        for name, parameter in self.network.named_parameters():
            for key, value in self.optimiser.state.get(parameter, {}).items():
                tensors[f"adam.{key}.{name}"] = value.contiguous().clone()
        run = json.dumps({"training": asdict(self.training), "step": self.step, "history": asdict(self.history)})
        content = save(tensors, metadata={"run": run, "hash": _checkpoint_hash(run, tensors)})
        write_atomically(path, content, overwrite=True)

    @classmethod
    def resume(cls, path: Path, device: str = "cpu") -> Any:
        """A run as `save_checkpoint` left it."""
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(path, framework="torch") as stream:
                metadata = stream.metadata() or {}
                tensors = {name: stream.get_tensor(name) for name in stream.keys()}  # noqa: SIM118 - not a mapping
            if _checkpoint_hash(metadata["run"], tensors) != metadata["hash"]:
                raise ValueError("its contents do not match its hash")
            run = json.loads(metadata["run"])
            trainer = cls.from_saved(run["training"], device)
        except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
            raise model_file.ModelFileError(f"{path}: not a training checkpoint ({error!r})") from error
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


def _checkpoint_hash(run: str, tensors: dict[str, torch.Tensor]) -> str:
    """Over the run's description, and its weights and optimiser state."""
    of_tensors = model_file.tensors_hash({name: value.detach().cpu().numpy() for name, value in tensors.items()})
    return hashlib.sha256(f"{of_tensors} {run}".encode()).hexdigest()[:16]

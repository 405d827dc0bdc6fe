"""`deepcg train` from the settings to the model file: progress bar, interruption, what is written down about a run."""

from __future__ import annotations

import platform
import shlex
import signal
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from ..dcdm.file import save_network
from ..multigrid.parameters_file import save_parameters
from .dcdm_trainer import DCDMTrainer, DCDMTraining
from .loop import History, TrainingLoop
from .multigrid_trainer import MultilevelTrainer, MultilevelTraining
from .validation import best_classical, iterations, multilevel_iterations

FINAL_STEPS = 100  # the final loss is the mean over as many


class Interrupted(Exception):
    """Ctrl-C, after the step under way was finished and the checkpoint written."""


@dataclass(frozen=True)
class Architecture:
    """A kind of network, as `deepcg train` needs to know it.

    Attributes
    ----------
    name : as in model files
    training : dataclass of settings
    trainer : its runs
    options : the settings' fields and the options that set them, in the order of the command
    validate : (network, dim) figures of a network in training
    save : (path, network, dim, name, training, overwrite) writes the model file
    summary : one line on a finished run's validation
    """

    name: str
    training: type
    trainer: Any
    options: dict[str, str]
    validate: Callable[[Any, int], dict[str, Any]]
    save: Callable[..., Any]
    summary: Callable[[dict[str, Any]], str]


def _save_dcdm(path: Path, network: Any, dim: int, name: str, training: dict[str, Any], overwrite: bool) -> None:
    save_network(path, network, name, training, overwrite)


def _save_multilevel(path: Path, network: Any, dim: int, name: str, training: dict[str, Any], overwrite: bool) -> None:
    parameters = network.bounded_parameters()
    save_parameters(path, parameters, dim, name, {**training, "classical": best_classical(parameters, dim)}, overwrite)


DCDM_OPTIONS = {
    "stages": "--stage",
    "rate": "--rate",
    "seed": "--seed",
    "ritz_vectors": "--ritz-vectors",
    "layers": "--layers",
}
MULTILEVEL_OPTIONS = {
    "sweeps": "--sweeps",
    "local": "--local/--no-local",
    "steps": "--steps",
    "batch": "--batch",
    "rate": "--rate",
    "seed": "--seed",
    "start": "--from",
    "geometry": "--geometry",
}
ARCHITECTURES = {
    "dcdm": Architecture(
        "dcdm", DCDMTraining, DCDMTrainer, DCDM_OPTIONS, lambda network, dim: iterations(network), _save_dcdm,
        lambda v: f"iterations to 1e-4 at size {v['size']}: {v['box']:g} in the box, {v['sphere']:g} past a sphere",
    ),
    "multilevel": Architecture(
        "multilevel", MultilevelTraining, MultilevelTrainer, MULTILEVEL_OPTIONS,
        lambda network, dim: multilevel_iterations(network.bounded_parameters(), dim), _save_multilevel,
        lambda v: f"iterations to 1e-6: {v['gallery']:.2f} on the gallery at size {v['size']}, {v['random']:.2f} on random scenes",
    ),
}  # fmt: skip


def of(training: Any) -> Architecture:
    """The architecture that settings belong to."""
    return next(kind for kind in ARCHITECTURES.values() if isinstance(training, kind.training))


def default_name(dim: int, architecture: str = "dcdm") -> str:
    return f"{architecture}-{dim}d"


def command(training: Any, name: str) -> str:
    """The command that trains the same network again; what is the default is left out."""
    kind = of(training)
    default = kind.training(dim=training.dim)
    words = ["deepcg", "train"]
    if kind.name != "dcdm":
        words += ["--architecture", kind.name]
    words += ["--dim", str(training.dim)]
    for field, option in kind.options.items():
        value = getattr(training, field)
        if value == getattr(default, field):
            continue
        if isinstance(value, bool):
            words.append(option.split("/")[not value])
        elif field == "stages":
            for stage in value:
                words += [option, f"{stage.size}:{stage.steps}:{stage.batch}"]
        elif field == "geometry":
            for path in value:
                words += [option, path]
        else:
            words += [option, ",".join(map(str, value)) if isinstance(value, tuple) else str(value)]
    if name != default_name(training.dim, kind.name):
        words += ["--name", name]
    return shlex.join(words)


def run(trainer: TrainingLoop, checkpoint: Path, validate_every: int) -> None:
    """Train to the last step under a progress bar.

    Raises
    ------
    Interrupted
        The checkpoint holds everything up to the last step.
    """
    from tqdm import tqdm

    total = trainer.training.steps
    with (
        tqdm(total=total, initial=trainer.step, unit="step", dynamic_ncols=True) as bar,
        _gentle_interrupt(bar) as stopped,
    ):

        def on_step(step: int, loss: float) -> None:
            bar.set_postfix(_postfix(loss, trainer.history), refresh=False)
            bar.update(1)
            if stopped() and step < total:
                trainer.save_checkpoint(checkpoint)
                raise Interrupted(f"stopped after step {step} of {total}; {checkpoint} holds the run")

        kind, dim = of(trainer.training), trainer.training.dim
        trainer.run(on_step, lambda network: kind.validate(network, dim), validate_every, checkpoint)


def finish(trainer: TrainingLoop, name: str, output: Path, overwrite: bool) -> dict[str, Any]:
    """Write the model file of a finished run; returns what it says about the training."""
    kind = of(trainer.training)
    validation = trainer.history.validation
    if not validation or validation[-1]["step"] != trainer.step:
        validation.append({"step": trainer.step, **kind.validate(trainer.network, trainer.training.dim)})
    last = trainer.history.losses[-FINAL_STEPS:]
    training = {
        "command": command(trainer.training, name),
        **asdict(trainer.training),
        "seconds": round(trainer.history.seconds, 1),
        "machine": machine(trainer.device),
        "final_loss": sum(last) / len(last),
        "validation": validation[-1],
    }
    kind.save(output, trainer.network, trainer.training.dim, name, training, overwrite)
    return training


def machine(device: torch.device) -> str:
    """The machine of the run, for figures of speed."""
    if device.type == "cuda":
        return f"{torch.cuda.get_device_name(device)}, PyTorch {torch.__version__}"
    return f"{torch.get_num_threads()} thread(s) of {platform.machine()} CPU, PyTorch {torch.__version__}"


def _postfix(loss: float, history: History) -> dict[str, Any]:
    figures: dict[str, Any] = {"loss": f"{loss:.4f}"}
    if history.validation:
        latest = history.validation[-1]
        figures["iterations"] = "/".join(f"{latest[key]:g} {key}" for key in latest if key not in ("step", "size"))
    return figures


@contextmanager
def _gentle_interrupt(bar):
    """The first Ctrl-C is noted, so that no step is cut in two; the second one interrupts as usual."""
    noted = False

    def note(number: int, frame) -> None:
        nonlocal noted
        if noted:
            raise KeyboardInterrupt
        noted = True
        bar.write("Stopping after this step (Ctrl-C again: at once, back to the checkpoint before)")

    def asked() -> bool:
        return noted

    before: Callable | int | None = signal.signal(signal.SIGINT, note)
    try:
        yield asked
    finally:
        signal.signal(signal.SIGINT, before)

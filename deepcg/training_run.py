"""`deepcg train` from the settings to the model file: progress bar, interruption, what is written down about a run."""

from __future__ import annotations

import platform
import shlex
import signal
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from .network import DCDM
from .network_file import save_network
from .trainer import History, Trainer, Training
from .validation import iterations

FINAL_STEPS = 100  # the final loss is the mean over as many


class Interrupted(Exception):
    """Ctrl-C, after the step under way was finished and the checkpoint written."""


def default_name(dim: int) -> str:
    return f"dcdm-{dim}d"


def command(training: Training, name: str) -> str:
    """The command that trains the same network again; what is the default is left out."""
    default = Training(dim=training.dim)
    words = ["deepcg", "train", "--dim", str(training.dim)]
    if training.stages != default.stages:
        for stage in training.stages:
            words += ["--stage", f"{stage.size}:{stage.steps}:{stage.batch}"]
    for option, value, usual in (
        ("--rate", training.rate, default.rate),
        ("--seed", training.seed, default.seed),
        ("--ritz-vectors", training.ritz_vectors, default.ritz_vectors),
        ("--layers", ",".join(map(str, training.layers)), ",".join(map(str, default.layers))),
        ("--name", name, default_name(training.dim)),
    ):
        if value != usual:
            words += [option, str(value)]
    return shlex.join(words)


def run(trainer: Trainer, checkpoint: Path, validate_every: int) -> None:
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

        trainer.run(on_step, iterations, validate_every, checkpoint)


def finish(trainer: Trainer, name: str, output: Path, overwrite: bool) -> dict[str, Any]:
    """Write the model file of a finished run; returns what it says about the training."""
    validation = trainer.history.validation
    if not validation or validation[-1]["step"] != trainer.step:
        validation.append({"step": trainer.step, **iterations(trainer.network)})
    last = trainer.history.losses[-FINAL_STEPS:]
    training = {
        "command": command(trainer.training, name),
        **asdict(trainer.training),
        "seconds": round(trainer.history.seconds, 1),
        "machine": machine(trainer.device),
        "final_loss": sum(last) / len(last),
        "validation": validation[-1],
    }
    network: DCDM = trainer.network
    save_network(output, network, name, training, overwrite)
    return training


def machine(device: torch.device) -> str:
    """What the run was done on, as figures of speed need it."""
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

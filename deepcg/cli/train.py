"""The command `deepcg train`."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import click

from .options import DEVICE, FILE, Numbers, check_target


@click.command()
@click.option(
    "--architecture", type=click.Choice(["dcdm", "multilevel"]), default="dcdm", show_default=True,
    help="dcdm: the paper's network; multilevel: the default solver's parameters.",
)  # fmt: skip
@click.option("--dim", type=click.IntRange(2, 3), help="Dimension of the network.  [default: 3]")
@click.option(
    "--stage", "stages", multiple=True, metavar="SIZE:STEPS:BATCH", help="Repeatable, in order of growing SIZE."
)
@click.option("--rate", type=click.FloatRange(0.0, min_open=True), help="Largest learning rate of Adam.")
@click.option("--seed", type=int, help="Of the initial parameters and of the training data.")
@click.option("--ritz-vectors", type=click.IntRange(1), help="dcdm: at most this many per box.")
@click.option(
    "--layers", type=Numbers("BEFORE,COARSE,AFTER", (3,), "4,6,4"), help="dcdm: even numbers of convolutions."
)
@click.option(
    "--sweeps", type=Numbers("N[,N...]", tuple(range(1, 9)), "2,3,4"),
    help="multilevel: sweeps per level from the finest, 1 to 4; the last holds for all below.",
)  # fmt: skip
@click.option("--local/--no-local", default=None, help="multilevel: train the local function too, or only relaxation.")
@click.option("--steps", type=click.IntRange(1), help="multilevel: steps of the optimiser.")
@click.option("--batch", type=click.IntRange(1), help="multilevel: scenes a step.")
@click.option("--from", "start", metavar="MODEL", help="multilevel: start from this model's parameters.")
@click.option(
    "--geometry", multiple=True, metavar="FILE",
    help="multilevel: train on your own cells (.npy) or surfaces (meshes) instead of random scenes; repeatable.",
)  # fmt: skip
@click.option("--name", help="The network's.  [default: ARCHITECTURE-DIMd]")
@click.option("--checkpoint", type=FILE, help="Kept up to date while training.  [default: out/NAME.checkpoint]")
@click.option("--resume", is_flag=True, help="Go on from the checkpoint, exactly where it stopped.")
@click.option("--output", type=FILE, help="The model file.  [default: out/NAME.safetensors]")
@click.option("--loss-curve", type=FILE, help="Picture of loss and validation, .png.")
@click.option("--validate-every", type=click.IntRange(1), default=500, show_default=True, metavar="STEPS")
@click.option("--device", type=DEVICE, default="auto", show_default=True, help="Where to train.")
@click.option("--force", is_flag=True, help="Replace files that are there already, start over.")
@click.pass_context
def train(
    ctx: click.Context,
    architecture,
    name,
    checkpoint,
    resume,
    output,
    loss_curve,
    validate_every,
    device,
    force,
    **settings,
) -> None:
    """Train a network, without solutions: dcdm on the obstacle-free box, multilevel on random scenes.

    What is not given is as the shipped networks were trained. Ctrl-C keeps the run in the checkpoint.

    \b
    Train the shipped networks again:
      deepcg train --architecture multilevel --dim 3
      deepcg train --architecture multilevel --dim 2
      deepcg train --dim 3
      deepcg train --dim 2
    Adapt the default network to your own family of geometries:
      deepcg train --architecture multilevel --dim 3 --from multilevel-3d --geometry pump.stl --steps 200 --name pump
    A quick one, to see it work (a minute), and its use:
      deepcg train --dim 2 --stage 16:200:16 --stage 32:100:8 --name quick --loss-curve out/quick.png
      deepcg solve sphere --dim 2 --model out/quick.safetensors
    Go on after Ctrl-C:
      deepcg train --dim 3 --resume
    The paper's network for 128^3, on a GPU:
      deepcg train --dim 3 --layers 6,10,6 --stage 64:4000:4 --stage 128:2000:1 --device cuda --name dcdm128-3d
    """
    from ..dcdm.preconditioner import torch_device
    from ..training import run as runs

    kind = runs.ARCHITECTURES[architecture]
    given = _given(settings, kind.options)
    name = name or runs.default_name(settings["dim"] or 3, architecture)
    if Path(name).name != name or name in (".", ".."):
        raise ValueError(f"--name: {name!r} given; a plain name such as dcdm-3d is needed")
    checkpoint = checkpoint or Path("out") / f"{name}.checkpoint"
    output = output or Path("out") / f"{name}.safetensors"
    check_target("--output", output, ".safetensors", force)
    check_target("--loss-curve", loss_curve, ".png", force)
    if loss_curve is not None and importlib.util.find_spec("matplotlib") is None:
        raise ImportError("--loss-curve: plots need matplotlib: pip install 'deepcg[cli]'")
    if resume:
        if not checkpoint.is_file():
            raise FileNotFoundError(f"--checkpoint: {checkpoint}: no such file; leave --resume out to start")
        trainer = kind.trainer.resume(checkpoint, torch_device(device))
        _check_settings(checkpoint, trainer.training, given)
    else:
        if checkpoint.exists() and not force:
            raise FileExistsError(f"--checkpoint: {checkpoint} exists; --resume goes on with it, --force starts over")
        trainer = kind.trainer(kind.training(**given), torch_device(device))

    again = runs.command(trainer.training, name)
    click.echo(f"{again}\n{trainer.training.steps} steps on {trainer.device}, checkpoint {checkpoint}")
    try:
        runs.run(trainer, checkpoint, validate_every)
    except runs.Interrupted as stop:
        flags = [] if checkpoint == Path("out") / f"{name}.checkpoint" else [f"--checkpoint '{checkpoint}'"]
        flags += [] if output == Path("out") / f"{name}.safetensors" else [f"--output '{output}'"]
        click.echo(f"{stop}\nTo go on: {' '.join([again, *flags])} --resume")
        ctx.exit(130)
    facts = runs.finish(trainer, name, output, force)
    click.echo(f"Written: {output}")
    click.echo(f"Loss {facts['final_loss']:.4f}, {facts['seconds']:g} s; {kind.summary(facts['validation'])}")
    if loss_curve is not None:
        from ..io import plots

        history = trainer.history
        written = plots.loss_curve(loss_curve, history.losses, history.validation, title=name, overwrite=force)
        click.echo(f"Written: {written}")


def _given(settings: dict[str, Any], options: dict[str, str]) -> dict[str, Any]:
    """The settings of a training that the user gave.

    Raises
    ------
    ValueError
        One of them is not this architecture's.
    """
    from ..training.dcdm_trainer import Stage

    given = {key: value for key, value in settings.items() if value not in (None, ())}
    for key in given:
        if key != "dim" and key not in options:
            option = {"stages": "--stage", "start": "--from"}.get(key, f"--{key.replace('_', '-')}")
            raise ValueError(f"{option}: not an option of this --architecture, which has {', '.join(options.values())}")
    if "stages" in given:
        given["stages"] = tuple(Stage.parse(text) for text in given["stages"])
    return given


def _check_settings(checkpoint: Path, training: Any, given: dict[str, Any]) -> None:
    """A resumed run keeps its settings; whoever gives others is told."""
    for key, value in given.items():
        if getattr(training, key) != value:
            option = {"stages": "--stage", "start": "--from"}.get(key, f"--{key.replace('_', '-')}")
            raise ValueError(
                f"{option}: {value} given, but the run in {checkpoint} has {getattr(training, key)}; leave it out to "
                "resume, or start a new run under another --name"
            )

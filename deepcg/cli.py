"""The command `deepcg`: solve, train, info, scenes, bench, doctor.

Whatever is heavy is imported inside the commands, so that `deepcg --help` answers at once.
"""

from __future__ import annotations

import errno
import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Any

try:
    import click
except ImportError as error:  # the program's first breath: nobody above could turn this into a message
    raise SystemExit("Error: the command line needs click and tqdm: pip install 'deepcg[cli]'") from error

from . import __version__
from .krylov import WINDOW

if TYPE_CHECKING:
    import numpy as np

    from .sources import System

EXTRAS = {
    "torch": "network",
    "safetensors": "network",
    "matplotlib": "cli",
    "tqdm": "cli",
    "meshio": "mesh",
    "igl": "mesh",
    "pyevtk": "mesh",
}


class UserError(click.ClickException):
    """What the user can put right: one line, exit status 2."""

    exit_code = 2


class Commands(click.Group):
    """A group whose commands answer what is wrong with the input by one line instead of a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (ValueError, TypeError, ImportError, OSError, ArithmeticError) as error:
            if ctx.params.get("traceback") or (isinstance(error, OSError) and error.errno == errno.EPIPE):
                raise
            raise UserError(_explain(error)) from error


def _explain(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, ImportError) and "pip install" not in text:
        extra = EXTRAS.get((error.name or "").partition(".")[0], "all")
        text = f"{text}: pip install 'deepcg[{extra}]'"
    return text


class Numbers(click.ParamType):
    """Integers with commas between them."""

    def __init__(self, name: str, counts: tuple[int, ...], example: str):
        self.name, self._counts, self._example = name, counts, example

    def convert(self, value, param, ctx) -> tuple[int, ...]:
        if isinstance(value, tuple):
            return value
        try:
            numbers = tuple(int(part) for part in value.split(","))
        except ValueError:
            numbers = ()
        if len(numbers) not in self._counts or min(numbers) < 1:
            self.fail(f"{value!r} given; {self.name} such as {self._example} is needed", param, ctx)
        return numbers


FILE = click.Path(dir_okay=False, path_type=Path)
DEVICE = click.Choice(["auto", "cpu", "cuda"])


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="deepcg")
@click.option("--traceback", is_flag=True, help="Show where an error came from.")
def main(traceback: bool) -> None:
    """Solve Poisson-type systems by conjugate directions that a neural network proposes.

    \b
    See what there is, and whether it works here:
      deepcg scenes
      deepcg doctor
    Solve something:
      deepcg solve sphere --size 32
    """


@main.command()
@click.argument("source")
@click.option("--size", type=int, default=32, show_default=True, help="Cells along each axis, of a scene or mesh.")
@click.option("--dim", type=click.IntRange(2, 3), default=3, show_default=True, help="Dimension of a scene.")
@click.option(
    "--up", type=click.Choice(["x", "y", "z", "-x", "-y", "-z"]), default="y", show_default=True,
    help="The mesh's axis that points up.",
)  # fmt: skip
@click.option("--grid", type=Numbers("NX,NY[,NZ]", (2, 3), "64,64,32"), help="Grid of a matrix, x first.")
@click.option("--rhs", type=FILE, help="Right-hand side of a matrix, .npy or .mtx. [default: A x of a seeded random x]")
@click.option("--model", default="auto", show_default=True, help="auto, none, jacobi, a shipped name, or a model file.")
@click.option("--method", type=click.Choice(["auto", "cg", "dcd"]), default="auto", show_default=True)
@click.option("--rtol", type=float, default=1e-6, show_default=True, help="Relative residual to reach.")
@click.option("--maxiter", type=int, help="At most this many iterations.")
@click.option(
    "--window", type=int, default=WINDOW, show_default=True, help="Of dcd: earlier directions made orthogonal to."
)
@click.option("--device", type=DEVICE, default="auto", show_default=True, help="Where the network is evaluated.")
@click.option("--output", type=FILE, help="Write x, b and the residual as FILE.vtr, for ParaView.")
@click.option("--save-x", type=FILE, help="Write x as FILE.npy.")
@click.option("--force", is_flag=True, help="Replace files that are there already.")
@click.pass_context
def solve(ctx: click.Context, source, size, dim, up, grid, rhs, output, save_x, force, **options) -> None:
    """Solve a system. SOURCE is a scene, a mesh or a matrix; exit status 0 means converged, 1 not, 2 bad input.

    \b
    A scene of the gallery (deepcg scenes lists them):
      deepcg solve sphere --size 48
      deepcg solve dam_break --dim 2 --size 128 --model jacobi --output out/dam.vtr
    A mesh (.stl .obj .ply .vtk .vtu .msh), as an obstacle in rising smoke:
      deepcg solve teapot.obj --size 64 --up y --output out/teapot.vtr
    A 5- or 7-point matrix (.mtx, or .npz of scipy.sparse.save_npz):
      deepcg solve pressure.mtx --grid 64,64,32 --rhs b.npy --save-x x.npy
    Tighter, on a GPU, against plain conjugate gradients:
      deepcg solve bunny --size 64 --rtol 1e-10 --device cuda
      deepcg solve bunny --size 64 --rtol 1e-10 --model none
    """
    _check_target("--output", output, ".vtr", force)
    _check_target("--save-x", save_x, ".npy", force)
    if output is not None and importlib.util.find_spec("pyevtk") is None:
        raise ImportError("--output: VTK files need pyevtk: pip install 'deepcg[mesh]'")
    from .solve import Solver
    from .sources import open_source

    system = open_source(source, size=size, dim=dim, up=up, grid=grid, rhs=rhs)
    _print_problem(system)
    solver = Solver(system.problem, **options)
    x, info = _solve_with_bar(solver, system.rhs)
    click.echo(str(info))

    problem, b = system.problem, system.rhs
    residual, reached = (b - problem.apply(x)).reshape(problem.shape), b.reshape(problem.shape).copy()
    if info.projected:  # convergence refers to the part of b that A can reach
        problem.components.project(residual.reshape(-1))
        problem.components.project(reached.reshape(-1))
    true, norm = _norm(residual, problem), _norm(reached, problem)
    click.echo(
        f"True residual, recomputed: ||b - A x|| = {true:.3e}, relative to ||b|| {true / norm if norm else 0.0:.2e}"
    )
    if output is not None:
        from .vtk_file import write_vtk

        fields = {"residual": residual, "b": b.reshape(problem.shape), "x": x.reshape(problem.shape)}
        click.echo(f"Written: {write_vtk(output, problem, fields, overwrite=force)}")
    if save_x is not None:
        click.echo(f"Written: {_save_npy(save_x, x, force)}")
    ctx.exit(0 if info == 0 else 1)


def _check_target(option: str, path: Path | None, suffix: str, force: bool) -> None:
    """Refuse a file that could not be written, before any work."""
    if path is None:
        return
    if path.suffix != suffix:
        raise ValueError(f"{option}: {str(path)!r} given; a file name that ends in {suffix} is needed")
    if path.exists() and not force:
        raise FileExistsError(f"{option}: {path} exists; nothing is overwritten unasked (--force replaces it)")


def _print_problem(system: System) -> None:
    problem = system.problem
    shape = " x ".join(str(n) for n in problem.shape[::-1])
    kind = f", singular on {problem.components.count} component(s)" if problem.singular else ""
    click.echo(f"{system.name}: {system.description}")
    click.echo(f"{shape} cells, {problem.size:,} unknowns{kind}")


def _solve_with_bar(solver, b):
    """Counts iterations where somebody watches."""
    from tqdm import tqdm

    with tqdm(desc="solving", unit=" iterations", disable=None, leave=False) as bar:
        return solver.solve(b, callback=None if bar.disable else lambda x: bar.update(1))


def _norm(v: np.ndarray, problem) -> float:
    import numpy as np

    cells = v.reshape(problem.shape)
    return float(np.linalg.norm(cells if problem.layout.of_matrix else cells[problem.grid.fluid]))


def _save_npy(path: Path, x: np.ndarray, force: bool) -> Path:
    import io

    import numpy as np

    from .model_file import write_atomically

    content = io.BytesIO()
    np.save(content, x)
    return write_atomically(path, content.getvalue(), force)


@main.command()
@click.option(
    "--architecture", type=click.Choice(["dcdm", "multilevel"]), default="dcdm", show_default=True,
    help="dcdm: the paper's network; multilevel: the default solver's weights.",
)  # fmt: skip
@click.option("--dim", type=click.IntRange(2, 3), help="Dimension of the network.  [default: 3]")
@click.option(
    "--stage", "stages", multiple=True, metavar="SIZE:STEPS:BATCH", help="Repeatable, in order of growing SIZE."
)
@click.option("--rate", type=click.FloatRange(0.0, min_open=True), help="Largest learning rate of Adam.")
@click.option("--seed", type=int, help="Of the weights and of the training data.")
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
@click.option("--from", "start", metavar="MODEL", help="multilevel: start from this model's weights.")
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
    from . import training_run as runs
    from .preconditioner import torch_device

    kind = runs.ARCHITECTURES[architecture]
    given = _given(settings, kind.options)
    name = name or runs.default_name(settings["dim"] or 3, architecture)
    if Path(name).name != name or name in (".", ".."):
        raise ValueError(f"--name: {name!r} given; a plain name such as dcdm-3d is needed")
    checkpoint = checkpoint or Path("out") / f"{name}.checkpoint"
    output = output or Path("out") / f"{name}.safetensors"
    _check_target("--output", output, ".safetensors", force)
    _check_target("--loss-curve", loss_curve, ".png", force)
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
        from . import plots

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
    from .trainer import Stage

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


@main.command()
@click.argument("model", required=False)
def info(model: str | None) -> None:
    """Print what a model file says about itself, and test it. Without MODEL: the models that come with deepcg.

    \b
    Examples:
      deepcg info
      deepcg info dcdm-3d
      deepcg info out/quick.safetensors
    """
    from . import model_file

    shipped = model_file.shipped()
    if model is None:
        for name, path in sorted(shipped.items()):
            facts = model_file.load(path)[1]
            click.echo(f"{name:<12} {_summary(facts)}, {path.stat().st_size / 1000:.0f} kB")
        if not shipped:
            click.echo("No model comes with this installation; deepcg train --dim 3 trains one.")
        return
    several = [shipped[name] for name in (f"{model}-2d", f"{model}-3d") if name in shipped]
    for number, path in enumerate(several or [model_file.resolve(model, 3)]):
        click.echo("" if number else None, nl=bool(number))
        _describe(path)


def _summary(facts: dict[str, Any]) -> str:
    return f"{facts['architecture']}, {facts['dimension']}-D, {facts.get('parameters', 0):,} parameters"


def _describe(path: Path) -> None:
    from . import model_file

    facts = model_file.load(path)[1]
    training = dict(facts["training"])
    rows = {
        "file": f"{path} ({path.stat().st_size / 1000:.0f} kB)",
        "name": facts.get("name", path.stem),
        "network": _summary(facts),
        "sizes": ", ".join(f"{key} {_value(value)}" for key, value in facts["sizes"].items()),
        "hash": facts["hash"],
        "normalisation": facts["normalisation"],
        "self-test": _self_test(path, facts["architecture"]),
        "trained by": training.pop("command", "(not recorded)"),
    }
    for key, value in rows.items():
        click.echo(f"{key:<14} {value}")
    for key, value in training.items():
        click.echo(f"  {key.replace('_', ' '):<12} {_value(value)}")


def _value(value: Any) -> str:
    if isinstance(value, dict):
        if set(value) == {"size", "steps", "batch"}:
            return f"{value['size']}:{value['steps']}:{value['batch']}"
        return ", ".join(f"{key} {_value(v)}" for key, v in value.items())
    if isinstance(value, (list, tuple)):
        inner = " " if value and isinstance(value[0], (dict, list, tuple)) else ","
        return inner.join(_value(v) for v in value)
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _self_test(path: Path, architecture: str) -> str:
    if architecture == "multilevel":
        from . import native
        from .multilevel_file import check_self_test

        if native.unavailable:
            return "not run: it needs the compiled kernels"
        check_self_test(path)
        return "passed"
    if importlib.util.find_spec("torch") is None:
        return "not run: it needs PyTorch (pip install 'deepcg[network]')"
    from .network_file import load_network

    load_network(path)  # refuses a network that fails
    return "passed"


@main.command()
@click.option("--dim", type=click.IntRange(2, 3), help="Only those that there are in this dimension.")
def scenes(dim: int | None) -> None:
    """List the gallery's scenes, which `deepcg solve` takes by name.

    \b
    Examples:
      deepcg scenes
      deepcg scenes --dim 2
    """
    from . import gallery
    from .scenes import SCENES

    for name in gallery.names(dim):
        dims = " ".join(f"{d}-D" for d in SCENES[name].dims)
        click.echo(f"{name:<10} {dims:<8} {SCENES[name].description}")


@main.command()
@click.option("--full", is_flag=True, help="Every case, size and tolerance: many hours; --hours does a part of it.")
@click.option("--plan", default="quick", show_default=True, help="What is run; --list shows which there are.")
@click.option("--matrix", type=FILE, metavar="A.mtx", help="Your own system instead, .mtx or .npz.")
@click.option("--grid", type=Numbers("NX,NY[,NZ]", (2, 3), "64,64,32"), help="Grid of the matrix, x first.")
@click.option("--rhs", type=FILE, help="Right-hand side of the matrix, .npy or .mtx.")
@click.option("--rtol", type=float, default=1e-6, show_default=True, help="Of --matrix: relative residual.")
@click.option("--cores", type=click.IntRange(1), default=2, show_default=True, help="Threads, or MPI ranks.")
@click.option("--model", "models", multiple=True, metavar="NAME=FILE", help="With --plan paper: another network too.")
@click.option("--only", default="", metavar="PATTERN", help="Only what has this in 'case | rtol | cores | peer'.")
@click.option("--hours", type=click.FloatRange(0.0), help="Begin nothing after so long; the next call goes on.")
@click.option("--output", type=click.Path(file_okay=False, path_type=Path), default="out/bench", show_default=True)
@click.option("--fresh", is_flag=True, help="Start over instead of going on.")
@click.option("--compare", type=(FILE, FILE), metavar="OLD.json NEW.json", help="Only say what got slower or worse.")
@click.option("--list", "listing", is_flag=True, help="Only list plans and peers, and what is not installed.")
@click.pass_context
def bench(ctx: click.Context, full, plan, only, hours, output, fresh, compare, listing, **options) -> None:
    """Run the benchmarks (under ten minutes), or go on with them; from a checkout, `make bench-peers` installs who to compare with.

    Writes JSON, Markdown, pictures and an HTML page into the output folder. Whatever is finished survives a kill.

    \b
    The quick suite, and all of it in pieces of eight hours:
      deepcg bench
      deepcg bench --full --hours 8
    Only one case, or one peer:
      deepcg bench --only "plume 64^3"
      deepcg bench --only BoomerAMG
    On your own system:
      deepcg bench --matrix pressure.mtx --grid 64,64,32 --rhs b.npy --rtol 1e-8
    Has it become slower? Exit status 1 says so:
      deepcg bench --compare old.json new.json
    """
    program = _benchmarks("program")
    if listing:
        click.echo(program.listed())
        return
    if compare:
        ctx.exit(_benchmarks("compare").compare_files(*compare))
    chosen = program.chosen("full" if full else plan, **options)
    ctx.exit(0 if program.bench(chosen, output, only=only, hours=hours, fresh=fresh) else 1)


def _benchmarks(module: str) -> Any:
    """A module of the benchmarks, which lie beside the package in a checkout and nowhere else."""
    root = Path(__file__).parent.parent
    if not (root / "benchmarks" / "program.py").is_file():
        raise ImportError(
            "bench: the benchmarks are not part of the installed package; run it from a checkout of deepcg's sources "
            "(pip install --editable '.[all]' there)"
        )
    import importlib
    import sys

    if str(root) not in sys.path:
        sys.path.insert(0, str(root))
    return importlib.import_module(f"benchmarks.{module}")


@main.command()
@click.pass_context
def doctor(ctx: click.Context) -> None:
    """Say what is installed, which backends work, and what to do about those that do not.

    The exit status is 0 when the core works; the rest is optional.

    \b
    Example:
      deepcg doctor
    """
    from . import doctor as doctors

    findings = doctors.examine()
    for heading, checks in findings.items():
        click.echo(f"{heading}\n" + "\n".join(str(check) for check in checks))
    works = doctors.core_works([check for checks in findings.values() for check in checks])
    click.echo("The core works." if works else "The core does not work.")
    ctx.exit(0 if works else 1)

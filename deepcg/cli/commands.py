"""The command `deepcg`: solve, train, info, scenes, bench, doctor.

Whatever is heavy is imported inside the commands, so that `deepcg --help` answers at once.
"""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

try:
    import click
except ImportError as error:  # the program's first breath: nobody above could turn this into a message
    raise SystemExit("Error: the command line needs click and tqdm: pip install 'deepcg[cli]'") from error

from .. import __version__
from ..preconditioners import registry
from .bench import bench
from .solve import solve
from .train import train

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
    """An error that the user can put right: one line, exit status 2."""

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
@click.argument("model", required=False)
@click.option("--rewrite", is_flag=True, help="Write the file anew in the present format.")
def info(model: str | None, rewrite: bool) -> None:
    """Print what a model file says about itself, and test it. Without MODEL: all preconditioners that there are, and the shipped models.

    \b
    Examples:
      deepcg info
      deepcg info multigrid
      deepcg info dcdm-3d
      deepcg info out/quick.safetensors
    """
    from ..io import model_file

    shipped = model_file.shipped()
    if rewrite:
        if model is None:
            raise ValueError("--rewrite: a model file is needed, as in deepcg info FILE --rewrite")
        click.echo(f"Written: {model_file.rewrite(model)}")
    if model is None:
        for entry in registry.ENTRIES.values():
            click.echo(f"{entry.name:<12} {entry.summary} ({entry.capabilities})")
        click.echo("\nModels for them:")
        for name, path in sorted(shipped.items()):
            facts = model_file.load(path)[1]
            click.echo(f"{name:<12} {_summary(facts)}, {path.stat().st_size / 1000:.0f} kB")
        if not shipped:
            click.echo("No model comes with this installation; deepcg train --dim 3 trains one.")
        return
    if model in registry.ENTRIES and not registry.ENTRIES[model].from_file:
        _describe_entry(registry.ENTRIES[model])
        return
    several = [shipped[name] for name in (f"{model}-2d", f"{model}-3d") if name in shipped]
    for number, path in enumerate(several or [model_file.resolve(model, 3)]):
        click.echo("" if number else None, nl=bool(number))
        _describe(path)


def _summary(facts: dict[str, Any]) -> str:
    return f"{facts['architecture']}, {facts['dimension']}-D, {facts.get('parameters', 0):,} parameters"


def _describe_entry(entry: registry.Entry) -> None:
    lacking = entry.needs()
    rows = {
        "name": entry.name,
        "is": entry.summary,
        "capabilities": entry.capabilities,
        "here": f"needs {lacking}" if lacking else "runs",
    }
    for key, value in rows.items():
        click.echo(f"{key:<14} {value}")


def _describe(path: Path) -> None:
    from ..io import model_file

    entry = registry.entry_of(path)
    facts = model_file.load(path)[1]
    training = dict(facts["training"])
    rows = {
        "file": f"{path} ({path.stat().st_size / 1000:.0f} kB)",
        "name": facts.get("name", path.stem),
        "network": _summary(facts),
        "capabilities": entry.capabilities,
        "sizes": ", ".join(f"{key} {_value(value)}" for key, value in facts["sizes"].items()),
        "hash": facts["hash"],
        "normalisation": facts["normalisation"],
        "self-test": _self_test(entry, path),
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


def _self_test(entry: registry.Entry, path: Path) -> str:
    if lacking := entry.needs():
        return f"not run: it needs {lacking}"
    entry.self_test(path)
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
    from ..scenes import gallery
    from ..scenes.canvas import SCENES

    for name in gallery.names(dim):
        dims = " ".join(f"{d}-D" for d in SCENES[name].dims)
        rough = " (--contrast)" if SCENES[name].contrast else ""
        click.echo(f"{name:<10} {dims:<8} {SCENES[name].description}{rough}")


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


main.add_command(solve)
main.add_command(train)
main.add_command(bench)

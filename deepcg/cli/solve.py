"""The command `deepcg solve`."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..native.constants import WINDOW
from ..preconditioners import registry
from ..solver.fallback import CHOICES
from .options import DEVICE, FILE, Numbers, check_target

if TYPE_CHECKING:
    import numpy as np

    from ..krylov.report import SolveInfo
    from ..problem.poisson import Poisson
    from ..scenes.sources import System


AGREEMENT = 1e-3  # of the fluxes through inlet and outlet, below which nobody need hear of a smaller tolerance


@click.command()
@click.argument("source")
@click.option("--size", type=int, default=32, show_default=True, help="Cells along each axis, of a scene or mesh.")
@click.option("--dim", type=click.IntRange(2, 3), default=3, show_default=True, help="Dimension of a scene.")
@click.option("--contrast", type=float, help="Of a rough scene's coefficient, 1 to 1e12. [default: 1e6]")
@click.option("--seed", type=int, help="Of what is random in a scene. [default: the gallery's own]")
@click.option(
    "--up", type=click.Choice(["x", "y", "z", "-x", "-y", "-z"]), default="y", show_default=True,
    help="The mesh's axis that points up.",
)  # fmt: skip
@click.option("--grid", type=Numbers("NX,NY[,NZ]", (2, 3), "64,64,32"), help="Grid of a matrix, x first.")
@click.option("--rounding", type=float, help="Relative rounding of a matrix's entries. [default: by their digits]")
@click.option(
    "--rhs",
    type=FILE,
    help="Right-hand sides of a matrix, its columns, .npy or .mtx. [default: A x of a seeded random x]",
)
@click.option(
    "--model", default="auto", show_default=True, help=f"auto, {', '.join(registry.names())}, or a model file."
)
@click.option("--method", type=click.Choice(["auto", "cg", "dcd"]), default="auto", show_default=True)
@click.option("--rtol", type=float, default=1e-6, show_default=True, help="Relative residual to reach.")
@click.option("--maxiter", type=int, help="At most this many iterations.")
@click.option(
    "--window", type=int, default=WINDOW, show_default=True, help="Of dcd: earlier directions made orthogonal to."
)
@click.option(
    "--fallback", type=click.Choice(CHOICES), default="auto", show_default=True,
    help="What goes on where the model fails, or would take hundreds of iterations more.",
)  # fmt: skip
@click.option("--device", type=DEVICE, default="auto", show_default=True, help="Where the network is evaluated.")
@click.option("--output", type=FILE, help="Write x, b and the residual as FILE.vtr, for ParaView.")
@click.option("--picture", type=FILE, help="Draw slices through a scene or mesh and its solution as FILE.png.")
@click.option("--save-x", type=FILE, help="Write x as FILE.npy.")
@click.option("--force", is_flag=True, help="Replace files that are there already.")
@click.pass_context
def solve(
    ctx: click.Context,
    source,
    size,
    dim,
    contrast,
    seed,
    up,
    grid,
    rounding,
    rhs,
    output,
    picture,
    save_x,
    force,
    **options,
) -> None:
    """Solve a system. SOURCE is a scene, a mesh or a matrix; exit status 0 means converged, 1 not, 2 bad input.

    \b
    A scene of the gallery (deepcg scenes lists them):
      deepcg solve sphere --size 48
      deepcg solve dam_break --dim 2 --size 128 --model jacobi --output out/dam.vtr
    Conduction through a random medium; the effective conductivity is printed:
      deepcg solve fractures --contrast 1e6
      deepcg solve lognormal --contrast 1e4 --dim 2 --size 256 --seed 7 --picture out/lognormal.png
    A mesh (.stl .obj .ply .vtk .vtu .msh), as an obstacle in rising smoke:
      deepcg solve teapot.obj --size 64 --up y --output out/teapot.vtr
    A 5- or 7-point matrix (.mtx, or .npz of scipy.sparse.save_npz):
      deepcg solve pressure.mtx --grid 64,64,32 --rhs b.npy --save-x x.npy
    Tighter, on a GPU, against plain conjugate gradients:
      deepcg solve bunny --size 64 --rtol 1e-10 --device cuda
      deepcg solve bunny --size 64 --rtol 1e-10 --model none
    """
    check_target("--output", output, ".vtr", force)
    check_target("--picture", picture, ".png", force)
    check_target("--save-x", save_x, ".npy", force)
    if output is not None and importlib.util.find_spec("pyevtk") is None:  # said before the solve, not after
        raise ImportError("--output: VTK files need pyevtk: pip install 'deepcg[mesh]'")
    if picture is not None and importlib.util.find_spec("matplotlib") is None:
        raise ImportError("--picture: pictures need matplotlib: pip install 'deepcg[cli]'")
    from ..scenes.sources import open_source
    from ..solver.solver import Solver

    system = open_source(
        source, size=size, dim=dim, contrast=contrast, seed=seed, up=up, grid=grid, rounding=rounding, rhs=rhs
    )
    if picture is not None and system.scene is None:
        raise ValueError(f"--picture: belongs to a scene or a mesh; {source} is a matrix")
    _print_problem(system)
    solver = Solver(system.problem, **options)
    x, info = _solve_with_bar(solver, system.rhs)
    click.echo(str(info))

    problem, vectors = system.problem, _split(system, x, info)
    residuals = [_judge(problem, b, one, of.projected) for _, b, one, of in vectors]
    if residuals:
        worst = max(residuals, key=lambda residual: residual.relative)
        click.echo(f"True residual, recomputed{', the worst' if len(residuals) > 1 else ''}: {worst.text}")
    if system.scene is not None and system.scene.pressure_drop:
        click.echo(_conductivity(problem, x))
    fields = {}
    for (suffix, b, one, _), residual in zip(vectors, residuals, strict=True):
        for name, values in (("residual", residual.values), ("b", b), ("x", one)):
            fields[name + suffix] = values.reshape(problem.shape)
    _write(
        (save_x, lambda: _save_npy(save_x, x, force)),
        (output, lambda: _save_vtk(output, problem, fields, force)),
        (picture, lambda: _draw(picture, system, x, force)),
    )
    ctx.exit(0 if info == 0 else 1)


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


def _split(system: System, x: np.ndarray, info) -> list[tuple[str, np.ndarray, np.ndarray, SolveInfo]]:
    """Every right-hand side with its solution and report; a suffix for their names first."""
    if system.problem.layout.count_columns(system.rhs) is None:
        return [("", system.rhs, x, info)]
    return [(f" {n}", system.rhs[..., n], x[..., n], one) for n, one in enumerate(info)]


@dataclass(frozen=True)
class Residual:
    """b - A x with the A and the b that were given.

    Attributes
    ----------
    values : array like b
    norm, relative : its 2-norm, and that over the 2-norm of b
    text : both, for the reader; of a b that was projected, what is left of it where x can reach, too
    """

    values: np.ndarray
    norm: float
    relative: float
    text: str


def _judge(problem: Poisson, b: np.ndarray, x: np.ndarray, projected: float) -> Residual:
    values = b - problem.apply(x)
    norm, size = _norm(values, problem), _norm(b, problem)
    text = f"||b - A x|| = {norm:.3e}, relative to ||b|| {_ratio(norm, size):.2e}"
    if projected:
        inside, reached = values.reshape(problem.shape).copy(), b.reshape(problem.shape).copy()
        problem.components.project(inside.reshape(-1))
        problem.components.project(reached.reshape(-1))
        left, of = _norm(inside, problem), _norm(reached, problem)
        text += (
            f"; without the part of b that no x can reach {left:.3e}, relative to the rest of b {_ratio(left, of):.2e}"
        )
    return Residual(values, norm, _ratio(norm, size), text)


def _ratio(norm: float, of: float) -> float:
    return norm / of if of else 0.0


def _norm(v: np.ndarray, problem: Poisson) -> float:
    import numpy as np

    cells = v.reshape(problem.shape)
    return float(np.linalg.norm(cells if problem.layout.of_matrix else cells[problem.grid.fluid]))


def _conductivity(problem: Poisson, x: np.ndarray) -> str:
    from ..scenes.conduction import effective_conductivity

    found = effective_conductivity(problem, x)
    advice = "; a smaller --rtol brings inlet and outlet together" if found.apart > AGREEMENT else ""
    return f"Effective conductivity: {found}{advice}"


def _write(*writers: tuple[Path | None, Callable[[], Path]]) -> None:
    """Write what was asked for. Where one file cannot be written the other one still is: the solve may have taken hours."""
    failed = None
    for path, write in writers:
        try:
            if path is not None:
                click.echo(f"Written: {write()}")
        except OSError as error:
            failed = failed or error
    if failed:
        raise failed


def _save_vtk(path: Path, problem: Poisson, fields: dict[str, np.ndarray], force: bool) -> Path:
    from ..io.vtk import write_vtk

    return write_vtk(path, problem, fields, overwrite=force)


def _draw(path: Path, system: System, x: np.ndarray, force: bool) -> Path:
    from ..io import plots
    from ..scenes.conduction import flux_magnitude
    from ..scenes.flow import subtract_gradient

    scene = system.scene
    if scene is None or not scene.pressure_drop:
        return plots.slices(path, system, x, overwrite=force)
    velocity = subtract_gradient(scene.velocity, scene.problem, x)
    return plots.conduction(path, scene, x, flux_magnitude(scene.problem, velocity), overwrite=force)


def _save_npy(path: Path, x: np.ndarray, force: bool) -> Path:
    import io

    import numpy as np

    from ..io.files import write_atomically

    content = io.BytesIO()
    np.save(content, x)
    return write_atomically(path, content.getvalue(), force)

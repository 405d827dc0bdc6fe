"""The command `deepcg bench`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from .options import FILE, Numbers


@click.command()
@click.option("--full", is_flag=True, help="Every case, size and tolerance: many hours; --hours does a part of it.")
@click.option("--plan", default="quick", show_default=True, help="What is run; --list shows which there are.")
@click.option("--matrix", type=FILE, metavar="A.mtx", help="Your own system instead, .mtx or .npz.")
@click.option("--grid", type=Numbers("NX,NY[,NZ]", (2, 3), "64,64,32"), help="Grid of the matrix, x first.")
@click.option("--rhs", type=FILE, help="Right-hand side of the matrix, .npy or .mtx.")
@click.option("--rtol", type=float, help="Of --matrix: relative residual, 1e-6 where none is given.")
@click.option("--cores", type=click.IntRange(1), help="Threads, or MPI ranks; two where the machine has them.")
@click.option("--model", "models", multiple=True, metavar="NAME=FILE", help="With --plan paper: another network too.")
@click.option("--only", default="", metavar="PATTERN", help="Only what has this in 'case | rtol | cores | peer'.")
@click.option("--hours", type=click.FloatRange(0.0), help="Begin nothing after so long; the next call goes on.")
@click.option("--output", type=click.Path(file_okay=False, path_type=Path), default="out/bench", show_default=True)
@click.option("--fresh", is_flag=True, help="Start over instead of going on; with --only, that part.")
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
    What failed, again:
      deepcg bench --only "bubble*GAMG*" --fresh
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
        ctx.exit(_benchmarks("report.compare").compare_files(*compare))
    options["cores"] = options["cores"] or min(2, len(os.sched_getaffinity(0)))
    chosen = program.chosen("full" if full else plan, **options)
    ctx.exit(0 if program.bench(chosen, output, only=only, hours=hours, fresh=fresh) else 1)


def _benchmarks(module: str) -> Any:
    """A module of the benchmarks, which lie beside the package in a checkout and nowhere else."""
    root = Path(__file__).parents[2]
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

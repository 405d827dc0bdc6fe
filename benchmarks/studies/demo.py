"""The demonstration: the bunny's plume, solved by the shipped networks and by what one would otherwise use.

    make demo        or        python -m benchmarks.studies.demo [--size 64] [--output out/demo]

Prints one table (one b, one x0, one stopping rule on the true residual for all) and writes the table's figures as JSON, the convergence
histories and a slice of the solution as PNG, and the solution as a VTK file for ParaView.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path
from typing import Any

import deepcg
from benchmarks.plans import Entry, Plan, peers
from benchmarks.records.journal import Journal
from benchmarks.records.results import gather, save
from benchmarks.runner.runner import Runner
from benchmarks.systems.cases import Case
from deepcg.io import plots
from deepcg.io.mesh import write_vtk
from deepcg.scenes import gallery

METHODS = ("CG", "Jacobi-PCG", "IC(0)-PCG", "PyAMG SA-PCG", "DCDM network", "multilevel network")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=64, help="cells a side")
    parser.add_argument("--rtol", type=float, default=1e-6, help="relative residual")
    parser.add_argument("--output", type=Path, default=Path("out/demo"), help="folder; its files are replaced")
    arguments = parser.parse_args()
    case, output = Case("bunny", arguments.size), arguments.output
    scene = gallery.scene(case.scene, case.size)
    cores = min(2, len(os.sched_getaffinity(0)))
    print(f"{scene.description}\n{scene.problem}, ||b - A x|| <= {arguments.rtol:g} ||b||, on {cores} cores\n")
    print(f"{'method':18s} {'set-up s':>9s} {'solve s':>9s} {'iterations':>11s} {'true residual':>14s}")
    plan = Plan("demo", (Entry(case, peers(*METHODS), (arguments.rtol,), cores),), (), limit=3600.0)
    with tempfile.TemporaryDirectory() as folder, Journal(Path(folder) / "demo.jsonl") as journal:
        Runner(plan, journal, report=show).run()
        results = gather(journal, plan.name)
    save(output / "demo.json", results)
    histories = {entry["peer"]: entry["residuals"] for entry in results["entries"] if entry["residuals"]}
    x, _ = deepcg.solve(scene.problem, scene.rhs, rtol=arguments.rtol)
    plots.convergence(output / "convergence.png", histories, overwrite=True)
    plots.slices(output / "slices.png", scene, x, overwrite=True)
    write_vtk(output / "bunny.vtr", scene.problem, {"pressure": x, "rhs": scene.rhs}, overwrite=True)
    print(f"\nPictures, figures and bunny.vtr (open it in ParaView) are in {output}/")


def show(key: str, run: dict[str, Any]) -> None:
    """A line of the table, for the runs that count, and for those that failed."""
    if run["outcome"] != "converged":
        print(f"{run['peer']:18s} {run['outcome']}", flush=True)
    elif run["repeat"] > 0:
        note = f"  ({run['note']})" if run["note"] else ""
        print(
            f"{run['peer']:18s} {run['setup_seconds']:9.3f} {run['solve_seconds']:9.3f} {run['iterations']:11d}"
            f" {run['true_residual']:14.2e}{note}",
            flush=True,
        )


if __name__ == "__main__":
    main()

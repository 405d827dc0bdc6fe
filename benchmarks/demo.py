"""The demonstration: the bunny's plume, solved by the shipped networks and by what one would otherwise use.

    make demo        or        python -m benchmarks.demo [--size 64] [--output out/demo]

Prints one table (one b, one x0, one stopping rule on the true residual for all) and writes the table's figures as JSON, the convergence
histories and a slice of the solution as PNG, and the solution as a VTK file for ParaView.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmarks.peers import solve_with
from benchmarks.record import Record
from deepcg import gallery, plots
from deepcg.mesh import write_vtk

METHODS = ("CG", "Jacobi-PCG", "IC(0)-PCG", "PyAMG SA-PCG", "DCDM network", "multilevel network")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=64, help="cells a side")
    parser.add_argument("--rtol", type=float, default=1e-6, help="relative residual")
    parser.add_argument("--output", type=Path, default=Path("out/demo"), help="folder; its files are replaced")
    parser.add_argument("--record", type=Path, help="where the figures go (default: demo.json in the folder)")
    arguments = parser.parse_args()
    scene = gallery.scene("bunny", arguments.size)
    print(f"{scene.description}\n{scene.problem}, ||b - A x|| <= {arguments.rtol:g} ||b||, on this machine's cores\n")
    print(f"{'method':18s} {'set-up s':>9s} {'solve s':>9s} {'iterations':>11s} {'true residual':>14s}")
    record = Record(arguments.record or arguments.output / "demo.json", fresh=True)
    solve_with("DCDM network", scene.problem, scene.rhs, 0.5)  # warm-up: torch's first call, no one's set-up
    histories = {}
    for method in METHODS:
        x, figures = solve_with(method, scene.problem, scene.rhs, arguments.rtol)
        record.run(method, lambda f=figures: {"scene": "bunny", "size": arguments.size, "rtol": arguments.rtol, **f})
        histories[method] = figures["residuals"]
        note = "" if figures["converged"] else f"  {figures['reason']}"
        note += f"  ({figures['fallbacks']} by the fallback)" if figures["fallbacks"] else ""
        print(
            f"{method:18s} {figures['setup_seconds']:9.3f} {figures['solve_seconds']:9.3f} {figures['iterations']:11d}"
            f" {figures['true_residual']:14.2e}{note}",
            flush=True,
        )
    plots.convergence(arguments.output / "convergence.png", histories, overwrite=True)
    plots.slices(arguments.output / "slices.png", scene, x, overwrite=True)
    write_vtk(arguments.output / "bunny.vtr", scene.problem, {"pressure": x, "rhs": scene.rhs}, overwrite=True)
    print(f"\nPictures, figures and bunny.vtr (open it in ParaView) are in {arguments.output}/")


if __name__ == "__main__":
    main()

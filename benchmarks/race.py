"""Set-up and solve against algebraic multigrid: PyAMG, AMGCL, PETSc's GAMG and hypre's BoomerAMG, all with CG, one stopping rule.

    python -m benchmarks.race [--size 128] [--cores 2] [--scenes plume ...] [--peers AMGCL ...] [--fresh]

Writes results/race.json. Everybody has the same cores (PETSc as MPI ranks) and stops at a true relative residual of 1e-6. A peer's
matrix is assembled before its clock starts; deepcg's set-up starts from cells and coefficients.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys

from benchmarks.amg_peers import AMG_PEERS, NotInstalled
from benchmarks.peers import PEERS
from benchmarks.record import RESULTS, Record, true_residual
from benchmarks.timing import alternate, remake
from deepcg import gallery

OURS = ("multilevel", "multigrid")
PYAMG = ("PyAMG SA-PCG", "PyAMG RS-PCG")
RTOL = 1e-6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--peer-repeats", type=int, default=1)
    parser.add_argument("--scenes", nargs="+", default=list(gallery.names(3)))
    parser.add_argument("--peers", nargs="*", default=[*AMG_PEERS, *PYAMG])
    parser.add_argument("--fresh", action="store_true", help="run what the file already holds again")
    arguments = parser.parse_args()
    if os.environ.get("OMP_NUM_THREADS") != str(arguments.cores):  # OpenMP reads it when it is loaded
        environment = {**os.environ, "OMP_NUM_THREADS": str(arguments.cores), "OPENBLAS_NUM_THREADS": "1"}
        raise SystemExit(subprocess.call([sys.executable, "-m", "benchmarks.race", *sys.argv[1:]], env=environment))
    record = Record(RESULTS / "race.json", arguments.fresh)
    for name in arguments.scenes:
        scene = gallery.scene(name, arguments.size)
        shared = {"scene": name, "size": arguments.size, "cores": arguments.cores, "unknowns": scene.problem.size}
        label = f"{name} {arguments.size} {arguments.cores} cores"
        ours = record.run(f"{label} deepcg", lambda s=scene, w=shared: {**w, "models": own(s, arguments.repeats)})
        for model, figures in ours["models"].items():
            show(f"{label} {model}", figures)
        for peer in arguments.peers:
            case = record.run(
                f"{label} {peer}",
                lambda s=scene, w=shared, p=peer: {
                    **w,
                    "method": p,
                    **other(p, s, arguments.cores, arguments.peer_repeats),
                },
            )
            show(f"{label} {peer}", case)


def own(scene, repeats: int) -> dict:
    models = {model: (lambda p, m=model: m) for model in OURS}
    return alternate(scene.problem, scene.rhs, models, RTOL, repeats, remake(scene.problem))


def other(peer: str, scene, cores: int, repeats: int) -> dict:
    problem, b = scene.problem, scene.rhs
    if peer in PYAMG:
        problem.matrix()
        figures = alternate(problem, b, {peer: PEERS[peer]}, RTOL, repeats)[peer]
        return figures
    try:
        answer = AMG_PEERS[peer](problem, b, RTOL, cores, repeats)
    except NotInstalled as error:
        return {"converged": False, "reason": str(error)}
    residual = true_residual(problem, answer["x"], b)
    setup, solve = statistics.median(answer["setup_seconds"]), statistics.median(answer["solve_seconds"])
    return {
        "setup_seconds": setup,
        "solve_seconds": solve,
        "total_seconds": setup + solve,
        "raw_setup_seconds": answer["setup_seconds"],
        "raw_solve_seconds": answer["solve_seconds"],
        "iterations": answer["iterations"],
        "converged": residual <= 1.01 * RTOL,
        "reason": "converged" if residual <= 1.01 * RTOL else "true residual above the tolerance",
        "true_residual": residual,
    }


def show(label: str, figures: dict) -> None:
    if "setup_seconds" not in figures:
        print(f"{label:48s} {figures['reason']}", flush=True)
        return
    print(
        f"{label:48s} set-up {figures['setup_seconds']:8.3f}  solve {figures['solve_seconds']:8.3f}  "
        f"{figures['iterations']:4d} iterations  residual {figures['true_residual']:.1e}",
        flush=True,
    )


if __name__ == "__main__":
    main()

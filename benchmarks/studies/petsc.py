"""deepcg as PETSc's users get it: the tutorials ex45, ex50 and ex34 unchanged and the plume in C, beside GAMG and BoomerAMG.

    python -m benchmarks.studies.petsc [--tutorials ex45 ...] [--large] [--sizes 128 256] [--ranks 1 2] [--solvers CG ...] [--steps 5] [--slow-steps 2]

Writes results/petsc.json, run by run: what it holds is not run again, so that an interrupted call goes on where it was. Every program runs as
it is, options alone decide what solves; all stop at ||b - A x|| <= 1e-6 ||b||, the norm evaluated anew by PETSc. Tutorials: a run for the
residuals and one for the seconds (`-log_view`). The plume: set-up and solve of every time step as the program prints them, and beside it
`deepcg.Solver` on the same first system. One thread a rank.
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

import deepcg
from benchmarks.paths import RESULTS, ROOT
from benchmarks.peers.mpi import ENVIRONMENT
from benchmarks.peers.registry import BOOMERAMG, GAMG
from benchmarks.records.record import Record, true_residual

PROGRAMS = ROOT / "build" / "petsc"
PLUGIN = ROOT / "deepcg" / "libdeepcg_petsc.so"
RTOL = 1e-6

DEEPCG = {"-dll_append": str(PLUGIN), "-pc_type": "deepcg"}
SOLVERS: dict[str, dict[str, str]] = {
    "KSP deepcg + PC deepcg": DEEPCG | {"-ksp_type": "deepcg"},
    "CG + PC deepcg": DEEPCG | {"-ksp_type": "cg"},
    "CG + GAMG": GAMG | {"-ksp_type": "cg"},
    "CG + BoomerAMG": BOOMERAMG | {"-ksp_type": "cg"},
}
# In a time loop GAMG keeps the prolongators of its first set-up by default. The plume's ball moves, its identity rows with it; prolongators from
# where it was are indefinite soon, with any settings. Made anew they serve, with the settings found and with the default ones.
NEW_PROLONGATORS = {"-pc_gamg_reuse_interpolation": "false"}
PLUME_SOLVERS = {
    **{name: SOLVERS[name] for name in ("KSP deepcg + PC deepcg", "CG + PC deepcg", "CG + BoomerAMG")},
    "CG + GAMG, new prolongators": SOLVERS["CG + GAMG"] | NEW_PROLONGATORS,
    "CG + GAMG, default settings, new prolongators": {"-pc_type": "gamg", "-ksp_type": "cg"} | NEW_PROLONGATORS,
}
# ex45's rows keep columns of rows that are diagonal only: not symmetric, so the others get GMRES there, its own default
UNSYMMETRIC = {"-ksp_type": "gmres", "-ksp_pc_side": "right"}

TUTORIALS = {
    "ex45": {n: {"-da_refine": str(r)} for r, n in ((2, 25), (3, 49), (4, 97))},
    "ex50": {n: {"-da_grid_x": str(n), "-da_grid_y": str(n)} for n in (256, 512, 1024)},
    "ex34": {n: {f"-da_grid_{a}": str(n) for a in "xyz"} for n in (24, 48, 96)},
}
LARGE = {"ex45": {193: {"-da_refine": "5"}}}
TINY = {
    "ex45": {13: {"-da_refine": "1"}},
    "ex50": {20: {"-da_grid_x": "20", "-da_grid_y": "20"}},
    "ex34": {12: {f"-da_grid_{a}": "12" for a in "xyz"}},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="*", default=[128, 256], help="of the plume; none: without it")
    parser.add_argument("--ranks", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--tutorials", nargs="*", default=list(TUTORIALS), help="which of them; none: without them")
    parser.add_argument("--large", action="store_true", help="the tutorials at 193^3 only")
    parser.add_argument("--tiny", action="store_true", help="the tutorials at sizes for a trial only")
    parser.add_argument("--steps", type=int, default=5, help="time steps of the plume; the first counts only alone")
    parser.add_argument("--slow-steps", type=int, help="as --steps, for what takes longer than deepcg")
    parser.add_argument(
        "--solvers", nargs="+", default=[""], help="only those whose names begin so; deepcg.Solver is one"
    )
    parser.add_argument("--again", help="run what the file already holds again where its name begins so")
    parser.add_argument("--output", type=Path, default=RESULTS / "petsc.json")
    parser.add_argument("--fresh", action="store_true", help="run what the file already holds again")
    arguments = parser.parse_args()
    if (
        os.environ.get("OMP_NUM_THREADS") != "1"
    ):  # OpenMP reads it when it is loaded; deepcg.Solver gets what a rank gets
        command = [sys.executable, "-m", "benchmarks.studies.petsc", *sys.argv[1:]]
        raise SystemExit(subprocess.call(command, env={**os.environ, "OMP_NUM_THREADS": "1"}))
    subprocess.run(
        ["make", "-s", "-C", str(ROOT / "integrations" / "petsc" / "examples"), f"OUT={PROGRAMS}"], check=True
    )
    record = Record(arguments.output, arguments.fresh)
    if arguments.again:
        record.forget(arguments.again)
    tutorials = TINY if arguments.tiny else LARGE if arguments.large else TUTORIALS
    for program in [name for name in tutorials if name in arguments.tutorials]:
        for size, given in tutorials[program].items():
            for ranks in arguments.ranks:
                for name in wanted(SOLVERS, arguments.solvers):
                    label = f"{program} {size} {ranks} ranks {name}"
                    show(
                        label,
                        record.run(label, lambda p=program, s=size, g=given, r=ranks, n=name: tutorial(p, s, g, r, n)),
                    )
    for size in arguments.sizes:
        for ranks in arguments.ranks:
            for name in wanted(PLUME_SOLVERS, arguments.solvers):
                label = f"plume {size} {ranks} ranks {name}"
                steps = arguments.steps if "deepcg" in name else arguments.slow_steps or arguments.steps
                show(label, record.run(label, lambda s=size, k=steps, r=ranks, n=name: plume(s, k, r, n)))
        for name in wanted(["deepcg.Solver"], arguments.solvers):
            label = f"plume {size} {name}"
            show(label, record.run(label, lambda s=size: solver(s)))


def wanted(names: Iterable[str], beginnings: list[str]) -> list[str]:
    return [name for name in names if name.startswith(tuple(beginnings))]


def run(program: str, ranks: int, options: dict[str, str]) -> str:
    """What a program prints."""
    words = [word for option in options.items() for word in option if word]
    command = ["mpiexec", "-n", str(ranks), str(PROGRAMS / program), *words]
    done = subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.stdout


def tutorial(program: str, size: int, given: dict[str, str], ranks: int, name: str) -> dict[str, Any]:
    """One of PETSc's tutorials, unchanged."""
    settings = SOLVERS[name]
    if program == "ex45" and "deepcg" not in name:
        settings = settings | UNSYMMETRIC
    options = given | settings | {"-ksp_rtol": str(RTOL), "-ksp_converged_reason": ""}
    if "gmres" not in settings.values():
        options["-ksp_norm_type"] = "unpreconditioned"
    told = run(program, ranks, options | {"-ksp_monitor_true_residual": ""})
    logged = run(program, ranks, options | {"-log_view": ""})
    reason, iterations = re.search(r"(CONVERGED_\w+|DIVERGED_\w+) iterations (\d+)", told).groups()
    residual = float(re.findall(r"\|\|r\(i\)\|\|/\|\|b\|\| ([\d.e+-]+)", told)[-1])
    return {
        "program": program,
        "size": size,
        "ranks": ranks,
        "solver": name,
        "options": recorded(settings),
        "reason": reason,
        "iterations": int(iterations),
        "true_residual": residual,
        "converged": reason.startswith("CONVERGED"),
        "setup_seconds": event(logged, "PCSetUp"),
        "solve_seconds": event(logged, "KSPSolve"),  # without what sets up
        "messages": messages(logged),
    }


def recorded(options: dict[str, str]) -> dict[str, str]:
    """Options as they are written down: files by their place in the checkout."""
    return {name: value.removeprefix(f"{ROOT}/") for name, value in options.items()}


def event(logged: str, name: str) -> float:
    """Seconds of an event in what -log_view prints: the most on any rank."""
    found = re.search(rf"^{name} +\d+ \S+ +(\S+)", logged, re.MULTILINE)
    return float(found[1]) if found else 0.0


def messages(logged: str) -> dict[str, list[float]]:
    """Number and mean length of the messages in deepcg's events, all ranks together."""
    found = {}
    for line in logged.splitlines():
        words = line.split()
        if words and words[0] in ("DeepcgRead", "DeepcgSetUp", "DeepcgApply", "DeepcgCG"):
            found[words[0]] = [float(words[7]), float(words[8])]
    return found


def plume(size: int, steps: int, ranks: int, name: str) -> dict[str, Any]:
    """The program in C: medians over the time steps after the first, which alone makes what later ones keep."""
    options = PLUME_SOLVERS[name] | {"-n": str(size), "-steps": str(steps), "-ksp_rtol": str(RTOL), "-ksp_view": ""}
    told = run("plume", ranks, options)
    exchanged = re.findall(r"messages: (\d+) exchanges a cycle, in which a rank receives at most (\d+) bytes", told)
    pattern = r"step +\d+: +(\d+) iterations \((\w+)\), set-up (\S+) s, solve (\S+) s, divergence \S+ -> \S+ \((\S+)\)"
    found = re.findall(pattern, told)
    counted = found[1:] or found
    return {
        "program": "plume",
        "size": size,
        "ranks": ranks,
        "solver": name,
        "options": recorded(PLUME_SOLVERS[name]),
        "steps": steps,
        "reason": found[-1][1],
        "converged": all(reason.startswith("CONVERGED") for _, reason, *_ in found),
        "iterations": statistics.median(int(n) for n, *_ in counted),
        "true_residual": max(float(left) for *_, left in found),
        "exchanges_and_bytes_per_cycle": [int(n) for n in exchanged[-1]] if exchanged else None,
        "first_setup_seconds": float(found[0][2]),
        "raw_setup_seconds": [float(s) for _, _, s, _, _ in counted],
        "raw_solve_seconds": [float(s) for _, _, _, s, _ in counted],
        "setup_seconds": statistics.median(float(s) for _, _, s, _, _ in counted),
        "solve_seconds": statistics.median(float(s) for _, _, _, s, _ in counted),
    }


def solver(size: int, repeats: int = 5) -> dict[str, Any]:
    """`deepcg.Solver` on the plume's first system: the same cells, and the right-hand side as PETSc wrote it."""
    with tempfile.TemporaryDirectory() as folder:
        written = Path(folder) / "rhs"
        run(
            "plume",
            1,
            SOLVERS["KSP deepcg + PC deepcg"] | {"-n": str(size), "-steps": "1", "-ksp_view_rhs": f"binary:{written}"},
        )
        b = petsc_vector(written).reshape(size, size, size)
    cells = ball(size)
    setups, solves = [], []
    for repeat in range(repeats + 1):
        started = time.perf_counter()
        problem = deepcg.Poisson(cells, boundary=[("wall", "open"), "wall", "wall"])
        made = deepcg.Solver(problem, rtol=RTOL)
        middle = time.perf_counter()
        x, info = made.solve(b)
        if repeat:
            setups.append(middle - started)
            solves.append(time.perf_counter() - middle)
    return {
        "program": "plume",
        "size": size,
        "solver": "deepcg.Solver",
        "iterations": info.iterations,
        "converged": int(info) == 0,
        "reason": info.reason,
        "true_residual": true_residual(problem, x, b),
        "raw_setup_seconds": setups,
        "raw_solve_seconds": solves,
        "setup_seconds": statistics.median(setups),
        "solve_seconds": statistics.median(solves),
    }


def ball(n: int) -> np.ndarray:
    """The plume's cells in its first step, as plume.c has them."""
    z, y, x = np.meshgrid(*3 * [(np.arange(n) + 0.5) / n], indexing="ij", sparse=True)
    centre = 0.5 + 0.2 * np.sin(0.05 / 0.2)
    inside = (x - centre) ** 2 + (y - 0.5) ** 2 + (z - 0.5) ** 2 < 0.15**2
    return np.where(inside, np.uint8(deepcg.SOLID), np.uint8(deepcg.FLUID))


def petsc_vector(path: Path) -> np.ndarray:
    """A vector as PETSc writes it in binary: class id and length (32 bits each), then the values, all big-endian."""
    content = path.read_bytes()
    _, length = struct.unpack(">ii", content[:8])
    return np.frombuffer(content, ">f8", length, 8).astype(float)


def show(label: str, case: dict[str, Any]) -> None:
    print(
        f"{label:46s} set-up {case['setup_seconds']:8.3f}  solve {case['solve_seconds']:8.3f}  "
        f"{case['iterations']:4g} iterations  residual {case['true_residual']:.1e}  {case['reason']}",
        flush=True,
    )


if __name__ == "__main__":
    main()

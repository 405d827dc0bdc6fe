"""Algebraic multigrid of the libraries that people use: AMGCL, PETSc's GAMG and hypre's BoomerAMG, each inside its own CG.

    from benchmarks.amg_peers import AMG_PEERS, missing
    figures = AMG_PEERS["PETSc GAMG-PCG"](problem, b, rtol=1e-6, cores=2, repeats=5)

Each runs in a process of its own, on `cores` OpenMP threads (AMGCL) or MPI ranks (PETSc), and stops by the norm of its unpreconditioned
residual. The answer comes back with it: the residual is to be recomputed with `record.true_residual`.

To get them: `make bench-peers`. AMGCL is pyamgcl, compiled against Boost's headers (its last release is 1.0.0.post4; AMGCL itself has gone on since).
PETSc is Debian's (python3-petsc4py, with hypre and MPI), or any petsc4py that this interpreter imports.

Settings
--------
Chosen by `python -m benchmarks.amg_search`: least set-up plus ten solves on plume, porous and bubble at 48^3, residual 1e-6, in the processor's time on
one core; every variant's figures are in results/amg_search.json. Differences under a tenth are noise there. Not searched with a record: larger
grids, and more than one core, but see `AMGCL_TUNED`.
"""

from __future__ import annotations

import importlib.util
import operator
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np

import deepcg
from benchmarks.peer_process import System, run

HERE = Path(__file__).parent
MAX_ITERATIONS = 2000

# AMGCL's defaults otherwise: V(1,1), prolongation smoothed with 2/3, coarsest level of at most 5000 factorised
AMGCL = {"coarsening.type": "smoothed_aggregation", "relax.type": "spai0"}
# Gauss-Seidel is best on one core. On two, where its sweep goes level by level, SPAI0 took 4/5 of its time (by hand, an idle machine):
# so these are the best of SPAI0.
AMGCL_TUNED = AMGCL | {"coarsening.aggr.eps_strong": 0.02, "coarsening.relax": 0.8}
AMGCL_TUNED_ONE_CORE = AMGCL | {"relax.type": "gauss_seidel"}

# Smoothed aggregation under Chebyshev(2)-Jacobi, which is PETSc's default
GAMG = {
    "-pc_type": "gamg",
    "-pc_gamg_threshold": "0.02",
    "-pc_gamg_aggressive_coarsening": "3",
}

# Gauss-Seidel forward on the way down and backward on the way up is symmetric at half the price of the default's symmetric sweeps
BOOMERAMG = {
    "-pc_type": "hypre",
    "-pc_hypre_type": "boomeramg",
    "-pc_hypre_boomeramg_coarsen_type": "HMIS",
    "-pc_hypre_boomeramg_interp_type": "ext+i",
    "-pc_hypre_boomeramg_P_max": "4",
    "-pc_hypre_boomeramg_strong_threshold": "0.25",
    "-pc_hypre_boomeramg_agg_nl": "1",
    "-pc_hypre_boomeramg_agg_num_paths": "2",
    "-pc_hypre_boomeramg_relax_type_down": "SOR/Jacobi",
    "-pc_hypre_boomeramg_relax_type_up": "backward-SOR/Jacobi",
    "-pc_hypre_boomeramg_no_CF": "",
}


class NotInstalled(RuntimeError):
    """A peer's library is not there; the message says how to get it."""


def amgcl(problem: deepcg.Poisson, b, rtol, cores, repeats, *, name="AMGCL", settings=AMGCL) -> dict[str, Any]:
    """CG with AMGCL on `cores` OpenMP threads; parameters as in `AMG_PEERS`, settings are AMGCL's own by their dotted names."""
    if lacking := _without_amgcl():
        raise NotInstalled(f"{name}: {lacking}")
    command = [sys.executable, str(HERE / "amgcl_peer.py")]
    environment = {"OMP_NUM_THREADS": str(cores), "OMP_WAIT_POLICY": None}  # threads that sleep between loops are slow
    return _figures(name, command, environment, problem, b, rtol, cores, repeats, settings)


def amgcl_tuned(problem: deepcg.Poisson, b, rtol, cores, repeats, *, name="AMGCL") -> dict[str, Any]:
    """AMGCL with the settings that are best on that many cores."""
    settings = AMGCL_TUNED_ONE_CORE if cores == 1 else AMGCL_TUNED
    return amgcl(problem, b, rtol, cores, repeats, name=name, settings=settings)


def petsc(problem: deepcg.Poisson, b, rtol, cores, repeats, *, name="PETSc", settings=GAMG) -> dict[str, Any]:
    """CG with a preconditioner of PETSc on `cores` MPI ranks; parameters as in `AMG_PEERS`, settings are PETSc's options."""
    if lacking := _without_petsc():
        raise NotInstalled(f"{name}: {lacking}")
    python, directory = _petsc_python()
    command = ["mpiexec", "-n", str(operator.index(cores)), python, str(HERE / "petsc_peer.py")]
    environment = {
        "PETSC_DIR": directory,
        "PETSC_OPTIONS": None,
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "OMPI_ALLOW_RUN_AS_ROOT": "1",  # in containers; Open MPI wants it said twice
        "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
    }
    figures = _figures(name, command, environment, problem, b, rtol, cores, repeats, settings)
    if figures["ranks"] != cores:
        raise RuntimeError(
            f"{name}: {cores} ranks asked for, {figures['ranks']} found; mpiexec and petsc4py belong to different MPIs"
        )
    return figures


AMG_PEERS: dict[str, Callable[..., dict[str, Any]]] = {
    "AMGCL SA-PCG": partial(amgcl, name="AMGCL SA-PCG", settings=AMGCL),
    "AMGCL SA-PCG, tuned": partial(amgcl_tuned, name="AMGCL SA-PCG, tuned"),
    "PETSc GAMG-PCG": partial(petsc, name="PETSc GAMG-PCG", settings=GAMG),
    "hypre BoomerAMG-PCG": partial(petsc, name="hypre BoomerAMG-PCG", settings=BOOMERAMG),
}
"""The peers by name: `peer(problem, b, rtol, cores, repeats) -> dict`.

Parameters
----------
problem : deepcg.Poisson
b : array of the cells' shape, or flat over the unknowns
    Projected onto the range of A first, as `record.true_residual` does.
rtol : float
    Of ||b - A x|| / ||b||, as the peer's CG computes it.
cores : int
    Threads or ranks.
repeats : int
    Timed set-ups and timed solves; one of each goes before them and does not count.

Returns
-------
dict with
    x, laid out as b is; setup_seconds and solve_seconds, lists; setup_cpu_seconds and solve_cpu_seconds, lists, the processor's time of all threads or of
    the first rank (much less than the wall's: the machine was busy); iterations; method, the peer's name; converged; cores; settings; version of
    the library; matrix_seconds, what deepcg's assembly of the matrix took, which no set-up contains

Raises
------
NotInstalled
    Saying how to get what is missing; `missing(name)` asks beforehand.
RuntimeError
    With what the peer's process printed last.
"""


def missing(name: str) -> str:
    """Why a peer of `AMG_PEERS` cannot run here and how to change that; empty where it can."""
    if name not in AMG_PEERS:
        raise ValueError(f"name: {name!r} given; one of {', '.join(AMG_PEERS)} is needed")
    return _without_petsc() if AMG_PEERS[name].func is petsc else _without_amgcl()


def _figures(name, command, environment, problem, b, rtol, cores, repeats, settings) -> dict[str, Any]:
    if not 0 < rtol < 1:
        raise ValueError(f"rtol: {rtol} given; a number between 0 and 1 is needed")
    for argument, value in (("cores", cores), ("repeats", repeats)):
        if operator.index(value) < 1:
            raise ValueError(f"{argument}: {value} given; at least 1 is needed")
    system = System(problem, np.asarray(b))
    job = {"settings": settings, "rtol": rtol, "repeats": repeats, "maxiter": MAX_ITERATIONS}
    figures = run(name, command, environment, system, job)
    extra = {"method": name, "cores": cores, "settings": settings, "matrix_seconds": system.matrix_seconds}
    return {**figures, **extra}


def _without_amgcl() -> str:
    if importlib.util.find_spec("pyamgcl"):
        return ""
    return "not installed: pyamgcl; `make bench-peers` compiles it"


def _without_petsc() -> str:
    if not shutil.which("mpiexec"):
        return "not installed: mpiexec; `make bench-peers`, or apt-get install openmpi-bin"
    if not _petsc_python():
        return "not installed: petsc4py; `make bench-peers`, or apt-get install python3-petsc4py"
    return ""


@lru_cache
def _petsc_python() -> tuple[str, str | None] | None:
    """An interpreter that imports petsc4py, and the PETSC_DIR that it needs: this one, or Debian's."""
    given = os.environ.get("PETSC_DIR")
    debian = "/usr/bin/python3"
    packaged = sorted(Path("/usr/lib/petscdir").glob("petsc*/*-real"), reverse=True)
    for python, directory in [(sys.executable, given), (debian, given), *((debian, str(path)) for path in packaged)]:
        environment = os.environ | ({"PETSC_DIR": directory} if directory else {})
        try:
            done = subprocess.run([python, "-c", "from petsc4py import PETSc"], env=environment, capture_output=True)
        except OSError:
            continue
        if done.returncode == 0:
            return python, directory
    return None


if __name__ == "__main__":
    for peer in AMG_PEERS:
        print(f"{peer}: {missing(peer) or 'installed'}")

"""The methods that are compared: each with its settings, where these come from, what it needs, and where it does not apply.

    from benchmarks.peers.registry import PEERS
    PEERS["PETSc GAMG-PCG"].missing()        # "" or why it cannot run here, with how to get it

All share b, x0, float64 answers and one stopping rule, ||b - A x|| <= rtol ||b|| on the evaluated residual. Each runs in a process of its
own, on the same number of cores: OpenMP threads, or MPI ranks for PETSc. General solvers get their matrix assembled, in the format that they
are called with, before the clock starts; deepcg's set-up, and the direct solver's, starts from cells and coefficients.

Settings
--------
Found by `python -m benchmarks.studies.search`, which records every variant's figures in results/search.json: least set-up plus ten solves on
plume, porous and bubble, residual 1e-6. On one core in the processor's time (AMGCL, GAMG and BoomerAMG at 48^3, the others at 32^3), where
differences under a tenth are noise; for AMGCL, GAMG, BoomerAMG and PFMG on two cores too, at 64^3, and where two come within a few per cent the
one that is ahead in set-up plus one solve.

What is best there may not solve a rough system (`is_rough`). For these GAMG and BoomerAMG have settings of a search with `--rough`, over three
systems whose coefficients differ by a million, at 32^3 on one core. BoomerAMG's smoother on two ranks is the one that needs the fewest
iterations a sweep on such systems at 48^3.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

import deepcg
from benchmarks.paths import ROOT
from benchmarks.peers import mpi
from benchmarks.peers.installed import cuda_kernels, petsc_python, without, without_hypre, without_petsc

MAX_ITERATIONS = 20_000
SEARCHED, VARIANT = "results/search.json", "a variant"
STRICT = "DCDM network, 32^3"
ROUGH_RATIO = 3e3

# AMGCL's defaults otherwise: V(1,1), prolongation smoothed with 2/3.
AMGCL = {"coarsening.type": "smoothed_aggregation", "relax.type": "spai0"}
# Gauss-Seidel is best on one core; on two, where its sweep goes level by level, SPAI0 is. The default factorises a coarsest level of up to 5000:
# at 32^3, where the first coarse level just fits, that took thirty times the set-up with at most 1000; at the search's size the two are the same.
AMGCL_TUNED = AMGCL | {"coarsening.aggr.eps_strong": 0.02, "coarsening.relax": 0.8, "coarse_enough": 1000}
AMGCL_TUNED_ONE_CORE = AMGCL | {"relax.type": "gauss_seidel", "coarse_enough": 1000}

# Smoothed aggregation under Chebyshev(2)-Jacobi, which is PETSc's default
GAMG = {
    "-pc_type": "gamg",
    "-pc_gamg_threshold": "0.02",
    "-pc_gamg_aggressive_coarsening": "3",
}

# On two cores a symmetric sweep of Gauss-Seidel, on each rank for itself, is ahead
GAMG_TWO_CORES = GAMG | {
    "-mg_levels_pc_type": "sor",
    "-mg_levels_ksp_type": "richardson",
    "-mg_levels_ksp_max_it": "1",
}

# Gauss-Seidel forward on the way down and backward on the way up is symmetric at half the price of the default's symmetric sweeps
BOOMERAMG: dict[str, str] = {
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

# Where coefficients jump by a million, strength of connection must be seen on every level: with aggressive coarsening GAMG takes hundreds of
# iterations on single conducting cells, or does not converge.
GAMG_ROUGH = GAMG | {"-pc_gamg_threshold": "0.01", "-pc_gamg_aggressive_coarsening": "0"}

BOOMERAMG_TWO_CORES = BOOMERAMG | {"-pc_hypre_boomeramg_agg_nl": "2"}

BOOMERAMG_ROUGH = {key: value for key, value in BOOMERAMG.items() if not key.endswith("agg_num_paths")} | {
    "-pc_hypre_boomeramg_P_max": "6"
}

# Sweeps of Gauss-Seidel on each rank for itself lose their hold where ranks cut a strong coupling: on single conducting cells they take
# several times the iterations that they take with the l1 norm of what is cut in the diagonal (Baker, Falgout, Kolev and Yang 2011).
BOOMERAMG_ROUGH_TWO_CORES = BOOMERAMG_ROUGH | {
    "-pc_hypre_boomeramg_P_max": "4",
    "-pc_hypre_boomeramg_relax_type_down": "l1scaled-SOR/Jacobi",
    "-pc_hypre_boomeramg_relax_type_up": "l1scaled-SOR/Jacobi",
}

# Red and black Gauss-Seidel, and coarse operators that are not Galerkin, need fewer iterations in a box and break down where cells are cut off
PFMG = {"-pc_type": "pfmg", "-pc_pfmg_relax_type": "Weighted-Jacobi", "-pc_pfmg_rap_type": "Galerkin"}

ICC = {"-pc_type": "icc", "-pc_factor_levels": "1"}

# Gauss-Seidel forward before and backward after is symmetric at half the price of PyAMG's default, symmetric sweeps
PYAMG_SWEEPS: dict[str, Any] = {
    "presmoother": ["gauss_seidel", {"sweep": "forward"}],
    "postsmoother": ["gauss_seidel", {"sweep": "backward"}],
}
PYAMG_SA = PYAMG_SWEEPS | {"improve_candidates": None, "strength": ["symmetric", {"theta": 0.02}]}
PYAMG_RS = PYAMG_SWEEPS

# The best sweeps and relaxation factor of results/finals.json by (dimension, size)
MULTIGRID_TUNED: dict[tuple[int, int], tuple[tuple[int, ...], float]] = {
    (3, 64): ((2,), 1.1),
    (3, 128): ((2, 3, 4), 1.2),
    (2, 512): ((2, 3, 4), 1.0),
}

AMGX = {
    "solver": "PCG",
    "tolerance": 1e-10,
    "convergence": "RELATIVE_INI",
    "norm": "L2",
    "max_iters": 500,
    "monitor_residual": 1,
    "preconditioner": {"solver": "AMG", "algorithm": "CLASSICAL", "interpolator": "D2", "max_iters": 1, "cycle": "V"},
}


@dataclass(frozen=True, eq=False)
class Peer:
    """A method that the runner can start.

    Attributes
    ----------
    name : str
        Under which it stands in results and tables.
    family, kind : str
        Which worker, and what in it: see `benchmarks.workers.methods`; family "petsc" is `benchmarks.workers.petsc_worker`.
    settings : dict, or function (problem, cores) -> dict
        What the worker is constructed with; recorded with every run.
    source : str
        Where the settings come from.
    needs : functions that say why it cannot run here, or ""
    unfit : function of a problem that says why it does not apply, or ""
    of_rows : bool
        Its x runs over the matrix' rows; else it is laid out as b.
    every_cell : bool
        It needs a row for every cell of the grid.
    serial : bool
        It uses one core whatever it is given.
    keeps : bool
        Its set-up can serve another matrix.
    """

    name: str
    family: str
    kind: str
    settings: dict[str, Any] | Callable[[deepcg.Poisson, int], dict[str, Any]] = field(default_factory=dict)
    source: str = "nothing to set"
    needs: tuple[Callable[[], str], ...] = ()
    unfit: Callable[[deepcg.Poisson], str] = lambda problem: ""
    of_rows: bool = True
    every_cell: bool = False
    serial: bool = False
    keeps: bool = True

    def missing(self) -> str:
        """Why it cannot run here and how to change that; empty where it can."""
        return next((lacking for need in self.needs if (lacking := need())), "")

    def settings_for(self, problem: deepcg.Poisson, cores: int) -> dict[str, Any]:
        return self.settings(problem, cores) if callable(self.settings) else dict(self.settings)

    def command(self, settings: dict[str, Any], cores: int) -> list[str]:
        """What starts its process, or its processes."""
        told = json.dumps({"family": self.family, "kind": self.kind, "settings": settings})
        if self.family != "petsc":
            return [sys.executable, "-m", "benchmarks.workers.worker", told]
        found = petsc_python()
        if found is None:
            raise RuntimeError(self.missing())
        return ["mpiexec", "-n", str(cores), found[0], "-m", "benchmarks.workers.petsc_worker", told]

    def environment(self, cores: int) -> dict[str, str | None]:
        """The variables that its process needs; None takes one away."""
        # Large pages for large arrays, which deepcg's kernels and NumPy ask for themselves: 3 to 10 % of the others' solves at 128^3.
        everybody = {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}
        if self.family == "petsc":
            found = petsc_python()
            return {**everybody, **mpi.CHANGES, "PETSC_DIR": found[1] if found else None}
        # OpenMP's threads may spin between loops: they are slow when they sleep, and nobody else runs meanwhile. OpenBLAS' would spin beside
        # them: with one, AMGCL took 3/4 of its time at 64^3, and nobody took longer, inner products being no part that two cores speed up.
        return {**everybody, "OMP_NUM_THREADS": str(cores), "OPENBLAS_NUM_THREADS": "1", "OMP_WAIT_POLICY": None}

    def ranks(self, cores: int) -> int:
        return cores if self.family == "petsc" else 1


def _needs(*packages: str) -> tuple[Callable[[], str], ...]:
    return tuple(lambda package=package: without(package) for package in packages)


def _searched(
    one: dict[str, Any],
    more: dict[str, Any],
    rough: dict[str, Any] | None = None,
    rough_more: dict[str, Any] | None = None,
) -> Callable[[deepcg.Poisson, int], dict[str, Any]]:
    """Settings by the number of cores, and apart from these for rough systems."""

    def chosen(problem: deepcg.Poisson, cores: int) -> dict[str, Any]:
        if rough and rough_more and is_rough(problem):
            return rough if cores == 1 else rough_more
        return one if cores == 1 else more

    return chosen


def is_rough(problem: deepcg.Poisson) -> bool:
    """Whether its coefficients differ by more than those of the other search's scenes do, the bubble's thousand; of a matrix it is not known."""
    beta = problem.source.get("coefficient")
    if beta is None:
        return False
    if isinstance(beta, (list, tuple)):
        values = np.concatenate([np.ravel(faces) for faces in beta])
    else:
        values = np.asarray(beta)[problem.grid.fluid]
    positive = values[values > 0]
    return bool(positive.size and positive.max() > ROUGH_RATIO * positive.min())


def _icc_settings(problem: deepcg.Poisson, cores: int) -> dict[str, Any]:
    if cores == 1:
        return ICC
    return {"-pc_type": "bjacobi", "-sub_pc_type": "icc", "-sub_pc_factor_levels": ICC["-pc_factor_levels"]}


def _deflation_settings(problem: deepcg.Poisson, cores: int) -> dict[str, Any]:
    """The smallest subdomains win, as long as there are not so many that factorising their matrix takes over."""
    return {"block": max(4, math.ceil(max(problem.shape) / 16)), "incomplete_cholesky": True}


def tuned_multigrid(problem: deepcg.Poisson, cores: int = 1) -> dict[str, Any]:
    """The best of the recorded search at the size that is nearest."""
    size = max(problem.shape)
    found = [key for key in MULTIGRID_TUNED if key[0] == problem.ndim]
    sweeps, omega = MULTIGRID_TUNED[min(found, key=lambda key: abs(math.log(key[1] / size)))]
    return {"sweeps": list(sweeps), "omega": omega}


def _no_transforms(problem: deepcg.Poisson) -> str:
    from benchmarks.workers.fft_method import without_direct

    reason = without_direct(problem)
    return f"no direct solution: {reason}" if reason else ""


def _no_pfmg(problem: deepcg.Poisson) -> str:
    if problem.ndim != 3:
        return "PETSc hands hypre's structured solvers 3-D grids only"
    if any(problem.grid.is_periodic(axis) for axis in range(3)):
        return "periodic axes are not handed over"
    return ""


def _gpu() -> str:
    from benchmarks.workers.gpu_methods import without_gpu

    return without_gpu()


def own(name: str, model: str, needs: tuple = (), **settings: Any) -> Peer:
    """A model of deepcg's, by name or file, as a peer."""
    return Peer(name, "deepcg", "model", {"model": model, **settings}, "as shipped", needs, of_rows=False)


def classical(name: str, sweeps: tuple[int, ...], omega: float) -> Peer:
    """Classical parameters of the multilevel network as a peer."""
    return Peer(name, "deepcg", "classical", {"sweeps": list(sweeps), "omega": omega}, VARIANT, of_rows=False)


def strict() -> Peer:
    """The paper's network trained at one size only, 32^3, as in the paper; no model of the package's, so its file may not be there."""
    file = "benchmarks/networks/dcdm32-3d.safetensors"

    def need() -> str:
        if (ROOT / file).is_file():
            return ""
        return f"not there: {file}; `deepcg train --dim 3 --stage 32:3500:4 --name dcdm32-3d --output {file}` makes it"

    settings = {"model": file}  # from the folder that every worker is started in
    return Peer(STRICT, "deepcg", "model", settings, "trained at 32^3 only", (*_NETWORK, need), of_rows=False)


def in_precision(precision: str) -> Peer:
    """The paper's network evaluated in a floating-point format of torch's."""
    settings = {"model": "dcdm", "precision": precision}
    return Peer(f"DCDM network, {precision}", "deepcg", "precision", settings, VARIANT, _NETWORK, of_rows=False)


def with_window(window: int | None) -> Peer:
    """The paper's network with directions conjugate to the last `window`; None: to all."""
    variant = own(f"DCDM network, m = {'all' if window is None else window}", "dcdm", _NETWORK, window=window)
    return replace(variant, source=VARIANT)


_NETWORK = _needs("torch", "safetensors")

_ALL = [
    Peer("CG", "scipy", "cg", serial=True),
    Peer("Jacobi-PCG", "scipy", "jacobi", serial=True),
    Peer("IC(0)-PCG", "scipy", "ic", needs=_needs("ilupp"), serial=True),
    Peer("deflated PCG", "scipy", "deflated", _deflation_settings, SEARCHED, _needs("ilupp"), serial=True),
    Peer("PyAMG SA-PCG", "scipy", "sa", PYAMG_SA, SEARCHED, _needs("pyamg"), serial=True),
    Peer("PyAMG RS-PCG", "scipy", "rs", PYAMG_RS, SEARCHED, _needs("pyamg"), serial=True),
    Peer("PETSc ICC-PCG", "petsc", "assembled", _icc_settings, SEARCHED, (without_petsc,)),
    Peer(
        "PETSc GAMG-PCG",
        "petsc",
        "assembled",
        _searched(GAMG, GAMG_TWO_CORES, GAMG_ROUGH, GAMG_ROUGH),
        SEARCHED,
        (without_petsc,),
    ),
    Peer(
        "hypre BoomerAMG-PCG",
        "petsc",
        "assembled",
        _searched(BOOMERAMG, BOOMERAMG_TWO_CORES, BOOMERAMG_ROUGH, BOOMERAMG_ROUGH_TWO_CORES),
        SEARCHED,
        (without_hypre,),
    ),
    Peer(
        "hypre PFMG-PCG",
        "petsc",
        "structured",
        PFMG,
        SEARCHED,
        (without_hypre,),
        _no_pfmg,
        every_cell=True,
        keeps=False,
    ),
    Peer("AMGCL SA-PCG", "amgcl", "amg", _searched(AMGCL_TUNED_ONE_CORE, AMGCL_TUNED), SEARCHED, _needs("pyamgcl")),
    Peer("FFT", "fft", "direct", unfit=_no_transforms),
    Peer("multigrid", "deepcg", "model", {"model": "multigrid"}, "deepcg's default classical cycle", of_rows=False),
    Peer("multigrid, tuned", "deepcg", "classical", tuned_multigrid, "results/finals.json", of_rows=False),
    own("multilevel network", "multilevel", _needs("safetensors")),
    own("DCDM network", "dcdm", _NETWORK),
    strict(),
    Peer("torch CG, GPU", "torch", "cg", {"device": "cuda"}, needs=(_gpu,)),
    own("multigrid, GPU", "multigrid", (_gpu, cuda_kernels), device="cuda"),
    own("multilevel network, GPU", "multilevel", (_gpu, cuda_kernels), device="cuda"),
    Peer("AMGX-PCG, GPU", "amgx", "amg", AMGX, "AMGX's classical AMG; not searched", (_gpu, *_needs("pyamgx"))),
]

PEERS: dict[str, Peer] = {peer.name: peer for peer in _ALL}
"""Every peer by name, in the order of the tables."""

GPU = tuple(name for name in PEERS if name.endswith("GPU"))
OWN = tuple(name for name, peer in PEERS.items() if peer.family == "deepcg" and name not in (*GPU, STRICT))
AMG = ("PyAMG SA-PCG", "PyAMG RS-PCG", "PETSc GAMG-PCG", "hypre BoomerAMG-PCG", "AMGCL SA-PCG")
ON_CPU = tuple(name for name in PEERS if name not in (*GPU, STRICT))  # any of which may be asked on any case

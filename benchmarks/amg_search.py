"""How the settings of `amg_peers` were found: every variant on three scenes, the least set-up plus ten solves wins.

    python -m benchmarks.amg_search [--families AMGCL GAMG BoomerAMG] [--size 48] [--cores 1] [--passes 1] [--fresh]

Writes results/amg_search.json, one case per variant, scene, number of cores and pass, and prints the rankings: of each variant and scene the best
repeat of all passes, of the scenes the geometric mean. Ten solves stand for a matrix that serves several steps. On one core the processor's
time counts, so that the search can share a machine; on more, the wall's, for which the machine must be idle.
"""

from __future__ import annotations

import argparse
import itertools
from functools import partial

import numpy as np

from benchmarks.amg_peers import AMGCL, BOOMERAMG, GAMG, NotInstalled, amgcl, petsc
from benchmarks.record import RESULTS, Record, true_residual
from deepcg import gallery

SCENES = ("plume", "porous", "bubble")
RTOL = 1e-6
REPEATS = 3
SOLVES = 10  # that share a set-up

ONE_PATH = {option: value for option, value in BOOMERAMG.items() if not option.endswith("agg_num_paths")}

Variants = dict[str, dict]


def amgcl_variants() -> Variants:
    """Smoother by strength of connection, then the smoothing of the prolongation, the cycle and the coarsest level.

    Not tried: `ruge_stuben` (crashes on matrices with isolated rows, such as porous'); plain aggregation, energy minimisation
    and Chebyshev were tried by hand and need more time or, on bubble, many times the iterations.
    """
    variants = {
        f"{relax}, eps_strong {eps}": AMGCL | {"relax.type": relax, "coarsening.aggr.eps_strong": eps}
        for relax in ("spai0", "damped_jacobi", "gauss_seidel", "ilu0")
        for eps in (0.0, 0.02, 0.08)
    }
    best = AMGCL | {"coarsening.aggr.eps_strong": 0.02}
    for limit in (100, 1000):
        variants[f"spai0, eps_strong 0.02, coarse_enough {limit}"] = best | {"coarse_enough": limit}
    for weight in (0.5, 0.8):
        variants[f"spai0, eps_strong 0.02, relax {weight}"] = best | {"coarsening.relax": weight}
    variants["spai0, eps_strong 0.02, V(2,2)"] = best | {"npre": 2, "npost": 2}
    variants["spai0, eps_strong 0.02, W(1,1)"] = best | {"ncycle": 2}
    for relax in ("gauss_seidel", "ilu0"):
        variants[f"{relax}, eps_strong 0.0, relax 0.8"] = AMGCL | {"relax.type": relax, "coarsening.relax": 0.8}
    return variants


def gamg_variants() -> Variants:
    """Threshold by levels of aggressive coarsening, then smoothers, at one of them."""
    variants = {
        f"threshold {threshold}, aggressive {levels}": GAMG
        | {"-pc_gamg_threshold": threshold, "-pc_gamg_aggressive_coarsening": levels}
        for threshold in ("0", "0.01", "0.02", "0.03")
        for levels in ("0", "1", "2", "3")
    }
    base = GAMG | {"-pc_gamg_threshold": "0.02", "-pc_gamg_aggressive_coarsening": "2"}
    sor = {"-mg_levels_pc_type": "sor"}
    variants["0.02, 2: Chebyshev(1)"] = base | {"-mg_levels_ksp_max_it": "1"}
    variants["0.02, 2: Chebyshev(3)"] = base | {"-mg_levels_ksp_max_it": "3"}
    variants["0.02, 2: Chebyshev(2)-SOR"] = base | sor
    variants["0.02, 2: SOR"] = base | sor | {"-mg_levels_ksp_type": "richardson", "-mg_levels_ksp_max_it": "1"}
    variants["0.02, 3: SOR"] = variants["0.02, 2: SOR"] | {"-pc_gamg_aggressive_coarsening": "3"}
    variants["0.02, 2: 500 on the coarsest level"] = base | {"-pc_gamg_coarse_eq_limit": "500"}
    return variants


def boomeramg_variants() -> Variants:
    """Strength threshold by levels of aggressive coarsening, then smoothers and interpolation, at one of them."""
    o = "-pc_hypre_boomeramg_"
    variants = {
        f"threshold {threshold}, aggressive {levels}": ONE_PATH
        | {o + "strong_threshold": threshold, o + "agg_nl": levels}
        for threshold in ("0.25", "0.5", "0.7")
        for levels in ("0", "1", "2")
    }
    base = ONE_PATH | {o + "strong_threshold": "0.25", o + "agg_nl": "1"}
    ordered = {key: value for key, value in base.items() if key != o + "no_CF"}
    for relax in ("symmetric-SOR/Jacobi", "l1scaled-SOR/Jacobi", "Chebyshev"):
        variants[f"0.25, 1: {relax}"] = base | {o + "relax_type_down": relax, o + "relax_type_up": relax}
    variants["0.25, 1: CF order"] = ordered
    variants["0.25, 1: two sweeps"] = base | {o + "grid_sweeps_all": "2"}
    variants["0.25, 1: two paths"] = base | {o + "agg_num_paths": "2"}
    variants["0.5, 1: two paths"] = base | {o + "agg_num_paths": "2", o + "strong_threshold": "0.5"}
    variants["0.25, 2: two paths"] = base | {o + "agg_num_paths": "2", o + "agg_nl": "2"}
    variants["0.25, 1: P_max 6"] = base | {o + "P_max": "6"}
    variants["0.25, 1: truncation 0.3"] = base | {o + "truncfactor": "0.3"}
    variants["0.25, 1: PMIS"] = base | {o + "coarsen_type": "PMIS"}
    return variants | {"PETSc's defaults": {"-pc_type": "hypre", "-pc_hypre_type": "boomeramg"}}


FAMILIES = {"AMGCL": (amgcl, amgcl_variants()), "GAMG": (petsc, gamg_variants())}
FAMILIES["BoomerAMG"] = (petsc, boomeramg_variants())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--families", nargs="+", choices=FAMILIES, default=list(FAMILIES))
    parser.add_argument("--size", type=int, default=48, help="cells per axis")
    parser.add_argument("--cores", type=int, default=1)
    parser.add_argument("--passes", type=int, default=1)
    parser.add_argument("--fresh", action="store_true", help="run what the file already holds again")
    arguments = parser.parse_args()
    record = Record(RESULTS / "amg_search.json", arguments.fresh)
    scenes = {name: gallery.scene(name, arguments.size) for name in SCENES}
    for turn, family, scene in itertools.product(range(arguments.passes), arguments.families, SCENES):
        solve, variants = FAMILIES[family]
        for label, settings in variants.items():
            peer = partial(solve, name=family, settings=settings)
            key = f"{family}: {label}; {scene} {arguments.size}; {arguments.cores} cores; pass {turn}"
            try:
                record.run(key, partial(one_case, peer, scenes[scene], arguments.cores))
            except NotInstalled as lacking:
                print(lacking)
                break
            except RuntimeError as failure:
                print(f"{key}: {str(failure).splitlines()[0]}", flush=True)
    for family in arguments.families:
        ranking(family, arguments.size, arguments.cores, record)


def one_case(peer, scene, cores: int) -> dict:
    figures = peer(scene.problem, scene.rhs, RTOL, cores, REPEATS)
    x = figures.pop("x")
    residual = true_residual(scene.problem, x, scene.rhs)
    return {"scene": scene.name, "size": scene.problem.shape[0], "rtol": RTOL, **figures, "true_residual": residual}


def ranking(family: str, size: int, cores: int, record: Record) -> None:
    """Print the variants that solved every scene, best first."""
    kind = "cpu_seconds" if cores == 1 else "seconds"
    rows = []
    for label in FAMILIES[family][1]:
        runs = []
        for scene in SCENES:
            start = f"{family}: {label}; {scene} {size}; {cores} cores;"
            runs.append([case for key, case in record.cases.items() if key.startswith(start)])
        if not all(runs) or any(case["true_residual"] > 1.01 * RTOL for cases in runs for case in cases):
            continue
        best = [[min(min(case[f"{part}_{kind}"]) for case in cases) for cases in runs] for part in ("setup", "solve")]
        setup, solve = np.array(best)
        means = [float(np.exp(np.mean(np.log(t)))) for t in (setup + SOLVES * solve, setup + solve, setup, solve)]
        rows.append((*means, [cases[0]["iterations"] for cases in runs], label))
    print(f"{family}, {size}^3, {cores} cores, {kind}")
    print(f"  {'+10 solves':>10} {'+1 solve':>9} {'set-up':>8} {'solve':>8}  iterations")
    for several, one, setup, solve, iterations, label in sorted(rows):
        print(f"  {several:10.3f} {one:9.3f} {setup:8.3f} {solve:8.4f}  {iterations!s:14} {label}")


if __name__ == "__main__":
    main()

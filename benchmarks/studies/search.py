"""How the settings in `peers.registry` were found: every variant on three scenes, the least set-up plus ten solves wins.

    python -m benchmarks.studies.search [--families AMGCL GAMG ...] [--size 48] [--cores 1] [--rough] [--hours 1] [--fresh]

With --rough the three scenes are ones whose coefficients differ by a million, for the settings that rough systems get.
Writes results/search.json, one entry per variant, scene and number of cores, and prints the rankings: of each variant and scene the best
repeat, of the scenes the geometric mean. Ten solves stand for a matrix that serves several steps. On one core the processor's
time counts, so that the search can share a machine; on more, the wall's, for which the machine must be idle.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.paths import RESULTS
from benchmarks.peers.registry import AMGCL, AMGCL_TUNED, AMGCL_TUNED_ONE_CORE, BOOMERAMG, GAMG, PEERS, Peer
from benchmarks.plans import Entry, Plan
from benchmarks.records.journal import Journal
from benchmarks.records.results import gather, load, merged, save, select
from benchmarks.runner.runner import Runner
from benchmarks.systems.cases import Case, field
from benchmarks.systems.fields import FIELDS

SCENES = ("plume", "porous", "bubble")
ROUGH = {"fractures": 1e6, "lognormal": 1e6, "white inclusions": 1e6}
RTOL = 1e-6
SOLVES = 10  # that share a set-up

Variants = dict[str, dict[str, Any]]


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
    variants["the peer's on one core"] = AMGCL_TUNED_ONE_CORE
    variants["the peer's on two cores"] = AMGCL_TUNED
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
    one_path = {option: value for option, value in BOOMERAMG.items() if not option.endswith("agg_num_paths")}
    variants = {
        f"threshold {threshold}, aggressive {levels}": one_path
        | {o + "strong_threshold": threshold, o + "agg_nl": levels}
        for threshold in ("0.25", "0.5", "0.7")
        for levels in ("0", "1", "2")
    }
    base = one_path | {o + "strong_threshold": "0.25", o + "agg_nl": "1"}
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


def pyamg_sa_variants() -> Variants:
    """Strength of connection, the smoothers, the improvement of the candidates, the smoothing of the prolongation."""
    forward_backward = {
        "presmoother": ["gauss_seidel", {"sweep": "forward"}],
        "postsmoother": ["gauss_seidel", {"sweep": "backward"}],
    }
    variants: Variants = {"PyAMG's defaults": {}}
    for theta in (0.02, 0.08):
        variants[f"theta {theta}"] = {"strength": ["symmetric", {"theta": theta}]}
    variants["candidates as they are"] = {"improve_candidates": None}
    variants["forward, backward"] = forward_backward
    variants["forward, backward, candidates as they are"] = forward_backward | {"improve_candidates": None}
    variants["forward, backward, candidates as they are, theta 0.02"] = forward_backward | {
        "improve_candidates": None,
        "strength": ["symmetric", {"theta": 0.02}],
    }
    two = {"iterations": 2, "degree": 2}
    variants["Chebyshev(2)"] = {"presmoother": ["chebyshev", two | {"iterations": 1}], "improve_candidates": None}
    variants["Chebyshev(2)"]["postsmoother"] = variants["Chebyshev(2)"]["presmoother"]
    variants["energy-minimising prolongation"] = {"smooth": "energy"}
    variants["coarsest level of 500"] = forward_backward | {"improve_candidates": None, "max_coarse": 500}
    return variants


def pyamg_rs_variants() -> Variants:
    """Strength of connection by coarsening, and the smoothers."""
    forward_backward = {
        "presmoother": ["gauss_seidel", {"sweep": "forward"}],
        "postsmoother": ["gauss_seidel", {"sweep": "backward"}],
    }
    variants: Variants = {"PyAMG's defaults": {}, "forward, backward": forward_backward}
    for theta in (0.1, 0.5):
        variants[f"forward, backward, theta {theta}"] = forward_backward | {"strength": ["classical", {"theta": theta}]}
    for kind in ("PMIS", "CLJP"):
        variants[f"forward, backward, {kind}"] = forward_backward | {"CF": kind}
    return variants


def deflation_variants() -> Variants:
    """Cells a side of a subdomain, under the incomplete Cholesky factor or the diagonal."""
    return {
        f"blocks of {block}, {'IC(0)' if ic else 'Jacobi'}": {"block": block, "incomplete_cholesky": ic}
        for block in (4, 6, 8, 12, 16)
        for ic in (True, False)
    }


def icc_variants() -> Variants:
    """Levels of fill."""
    return {f"ICC({levels})": {"-pc_type": "icc", "-pc_factor_levels": str(levels)} for levels in (0, 1, 2)}


def pfmg_variants() -> Variants:
    """The smoother, the coarse operators, skipped relaxation and the number of sweeps."""
    o, variants = "-pc_pfmg_", {}
    for relax in ("Weighted-Jacobi", "symmetric-red/black-Gauss-Seidel"):
        for rap in ("Galerkin", "non-Galerkin"):
            variants[f"{relax}, {rap}"] = {"-pc_type": "pfmg", o + "relax_type": relax, o + "rap_type": rap}
    best = variants["symmetric-red/black-Gauss-Seidel, non-Galerkin"]
    variants["skipped relaxation"] = best | {o + "skip_relax": "1"}
    variants["two sweeps"] = best | {o + "num_pre_relax": "2", o + "num_post_relax": "2"}
    return variants


FAMILIES: dict[str, tuple[str, Callable[[], Variants]]] = {
    "AMGCL": ("AMGCL SA-PCG", amgcl_variants),
    "GAMG": ("PETSc GAMG-PCG", gamg_variants),
    "BoomerAMG": ("hypre BoomerAMG-PCG", boomeramg_variants),
    "PyAMG SA": ("PyAMG SA-PCG", pyamg_sa_variants),
    "PyAMG RS": ("PyAMG RS-PCG", pyamg_rs_variants),
    "deflation": ("deflated PCG", deflation_variants),
    "ICC": ("PETSc ICC-PCG", icc_variants),
    "PFMG": ("hypre PFMG-PCG", pfmg_variants),
}


def variants(family: str) -> list[Peer]:
    """The variants of a family as peers."""
    name, make = FAMILIES[family]
    base = PEERS[name]
    return [
        Peer(
            f"{family}: {label}", base.family, base.kind, settings, "a variant", base.needs, base.unfit,
            of_rows=base.of_rows, every_cell=base.every_cell, serial=base.serial,
        )
        for label, settings in make().items()
    ]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--families", nargs="+", choices=FAMILIES, default=list(FAMILIES))
    parser.add_argument("--size", type=int, default=48, help="cells per axis")
    parser.add_argument("--cores", type=int, default=1)
    parser.add_argument("--rough", action="store_true", help="on rough coefficients instead")
    parser.add_argument("--repeats", type=int, default=3, help="of every variant, after a first run")
    parser.add_argument("--hours", type=float, help="begin nothing after so long; the next call goes on")
    parser.add_argument("--output", type=Path, default=RESULTS / "search.json")
    parser.add_argument("--journal", type=Path, default=Path("out/bench/search.jsonl"))
    parser.add_argument("--fresh", action="store_true", help="run what the journal already holds again")
    arguments = parser.parse_args()
    cases = searched(arguments.size, arguments.rough)
    entries = [
        Entry(case, tuple(variants(family)), (RTOL,), arguments.cores)
        for family in arguments.families
        for case in cases
    ]
    plan = Plan("search", tuple(entries), ((1e9, arguments.repeats),), limit=60.0 if arguments.rough else 300.0)
    with Journal(arguments.journal, arguments.fresh) as journal:
        Runner(plan, journal, hours=arguments.hours, report=show).run()
        found = gather(journal, "search")
    results = merged(load(arguments.output), found) if arguments.output.exists() else found
    save(arguments.output, results)
    for family in arguments.families:
        ranking(family, arguments.size, arguments.cores, results, arguments.rough)


def searched(size: int, rough: bool) -> list[Case]:
    """The three systems of a search; of the rough ones the third is a field, with white noise as its right-hand side."""
    if not rough:
        return [Case(scene, size) for scene in SCENES]
    return [
        field(name, size, contrast=c) if name in FIELDS else Case(name, size, contrast=c) for name, c in ROUGH.items()
    ]


def show(key: str, run: dict[str, Any]) -> None:
    if run["outcome"] != "converged":
        print(f"{key}: {run['outcome']}", flush=True)


def ranking(family: str, size: int, cores: int, results: dict[str, Any], rough: bool = False) -> list[tuple]:
    """Print the variants that solved every scene, best first."""
    kind = "cpu_seconds" if cores == 1 else "seconds"
    rows, cases = [], [case.name for case in searched(size, rough)]
    for label in FAMILIES[family][1]():
        wanted = {"peer": f"{family}: {label}", "cores": cores, "rtol": RTOL}
        entries = [next(select(results, case=case, **wanted), None) for case in cases]
        found = [entry for entry in entries if entry and entry["converged"] and entry[f"setup_{kind}"]]
        if len(found) < len(cases):
            continue
        setup, solve = (np.array([min(e[f"{part}_{kind}"]) for e in found]) for part in ("setup", "solve"))
        # the processor's clock ticks in microseconds; nothing takes less
        means = [
            float(np.exp(np.mean(np.log(np.maximum(t, 1e-6)))))
            for t in (setup + SOLVES * solve, setup + solve, setup, solve)
        ]
        rows.append((*means, [entry["iterations"] for entry in found], label))
    print(f"{family}, {size}^3, {cores} cores, {kind}{', rough' if rough else ''}")
    print(f"  {'+10 solves':>10} {'+1 solve':>9} {'set-up':>8} {'solve':>8}  iterations")
    for several, one, setup, solve, iterations, label in sorted(rows):
        print(f"  {several:10.3f} {one:9.3f} {setup:8.3f} {solve:8.4f}  {iterations!s:18} {label}")
    return sorted(rows)


if __name__ == "__main__":
    main()

"""Tables from results/petsc.json, and what its messages mean for a thousand ranks."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from benchmarks.paths import RESULTS
from benchmarks.records.results import stated_machine
from benchmarks.report.markdown import figure, table

UNMEASURED = "Not measured yet: `python -m benchmarks.studies.petsc` does it."
OURS, AMG = ("KSP deepcg + PC deepcg", "CG + PC deepcg"), ("CG + GAMG", "CG + BoomerAMG")
NEW_PROLONGATORS = ("CG + GAMG, new prolongators", "CG + GAMG, default settings, new prolongators")  # in the plume

# Of the model in docs/scaling.md: a common cluster's network, and its problem.
LATENCY, BANDWIDTH = 2e-6, 10e9  # seconds a message, bytes a second
UNKNOWNS, RANKS = 1e9, 1000

Case = dict[str, Any]


def measured() -> list[Case]:
    file = RESULTS / "petsc.json"
    return list(json.loads(file.read_text())["cases"].values()) if file.exists() else []


def tutorials() -> str:
    """PETSc's tutorials unchanged: iterations and seconds of every solver, by size and ranks."""
    cases = [case for case in measured() if case["program"] in ("ex34", "ex45", "ex50")]
    if not cases:
        return UNMEASURED
    found = {(c["program"], c["size"], c["ranks"], c["solver"]): c for c in cases}
    rows = []
    for program, size, ranks in sorted({key[:3] for key in found}):
        row = [f"{program} {size}, {ranks} rank{'s' if ranks > 1 else ''}"]
        for solver in (*OURS, *AMG):
            case = found.get((program, size, ranks, solver))
            row.append(cell(case))
        rows.append(row)
    worst = max(case["true_residual"] for case in cases if case["converged"])
    note = (
        "Iterations, and seconds of set-up + solve, to 1e-6 (x: not converged); one thread a rank; the largest true "
        f"residual of all that converged: {worst:.1e}."
    )
    return f"{table(['program', *OURS, *AMG], rows)}\n\n{note} {stated(cases)}"


def cell(case: Case | None) -> str:
    if case is None:
        return "-"
    if not case["converged"]:
        return f"x {case['reason']}"
    return f"{case['iterations']:g}: {figure(case['setup_seconds'])} + {figure(case['solve_seconds'])}"


def plume() -> str:
    """The program in C: set-up and solve of a time step beside algebraic multigrid's in the same executable."""
    cases = [case for case in measured() if case["program"] == "plume"]
    if not cases:
        return UNMEASURED
    rows = []
    for size, ranks in dict.fromkeys((c["size"], c["ranks"]) for c in cases if "ranks" in c):
        here = [c for c in cases if c["size"] == size and c.get("ranks") == ranks]
        rivals = [c for c in here if c["solver"] not in OURS and c["converged"]]
        for solver in (*NEW_PROLONGATORS, *AMG, *OURS):
            case = next((c for c in here if c["solver"] == solver), None)
            if case is None:
                continue
            row = [f"{size}^3, {ranks} rank{'s' if ranks > 1 else ''}", solver, cell(case)]
            if solver in OURS and rivals and case["converged"]:
                row += [f"{min(map(total, rivals)) / total(case):.1f}"]
                row += [f"{min(c['solve_seconds'] for c in rivals) / case['solve_seconds']:.1f}"]
            rows.append(row + [""] * (5 - len(row)))
        library = next((c for c in cases if c["size"] == size and c["solver"] == "deepcg.Solver"), None)
        if library and ranks == 1:
            rows.append([f"{size}^3, in Python", "deepcg.Solver, 1 thread", cell(library), "", ""])
    header = ["plume", "solver", "iterations: set-up + solve s", "total, times less than AMG", "solve, times less"]
    note = "Medians over time steps with a moving ball, to 1e-6."
    if any(case["solver"] in NEW_PROLONGATORS for case in cases):
        note += (
            " GAMG makes its prolongators anew in every step: kept from the first one, its default, they are indefinite "
            "once the ball has moved."
        )
    return f"{table(header, rows)}\n\n{note} {stated(cases)}"


def total(case: Case) -> float:
    return case["setup_seconds"] + case["solve_seconds"]


def stated(cases: Iterable[Case]) -> str:
    return stated_machine({"sessions": [case["machine"] for case in cases]})


def messages() -> str:
    """Messages and bytes of a cycle on this machine's ranks, and the time that they would take on a thousand."""
    cases = [c for c in measured() if c.get("exchanges_and_bytes_per_cycle")]
    one = [c for c in measured() if c["program"] == "plume" and c.get("ranks") == 1 and c["solver"] == OURS[0]]
    if not cases or not one:
        return UNMEASURED
    rows = [
        [
            f"{c['size']}^3, {c['ranks']} ranks",
            f"{c['iterations']:g}",
            f"{exchanges}",
            f"{received / 1e3:.0f}",
        ]
        for c in cases
        for exchanges, received in [c["exchanges_and_bytes_per_cycle"]]
    ]
    header = ["plume", "iterations", "exchanges a cycle", "kB a rank receives a cycle"]
    largest = max(one, key=lambda c: c["size"])
    cell_seconds = largest["solve_seconds"] / largest["iterations"] / largest["size"] ** 3
    return f"{table(header, rows)}\n\n{model(cell_seconds)} {stated(cases + one)}"


def model(cell_seconds: float, sweeps: tuple[int, ...] = (2, 3, 4), gather: int = 32768) -> str:
    """An iteration for UNKNOWNS on RANKS: computing, exchanges, gathering and sums, by LATENCY and BANDWIDTH.

    A level with s sweeps takes 4 s + 1 exchanges of ghosts of 4 bytes and one sum into the neighbours' (tests/kernels/test_ranks.py), each with up to
    26 neighbours, of which the six across faces have all but a few bytes.
    """
    edge, cells = (UNKNOWNS / RANKS) ** (1 / 3), UNKNOWNS
    exchanges, sent, level = 0, 0.0, 0
    while cells > gather:
        count = 4 * sweeps[min(level, len(sweeps) - 1)] + 2
        exchanges, sent = exchanges + count, sent + count * 6 * edge**2 * 4
        edge, cells, level = edge / 2, cells / 8, level + 1
    computing = cell_seconds * UNKNOWNS / RANKS
    ghosts = exchanges * 26 * LATENCY + sent / BANDWIDTH
    gathering = 2 * (RANKS * LATENCY + 4 * cells / BANDWIDTH) + cell_seconds * cells
    sums = 3 * 2 * LATENCY * max(RANKS - 1, 1).bit_length()
    return (
        f"The model: {UNKNOWNS / 1e9:g} * 10^9 unknowns on {RANKS} ranks, {LATENCY * 1e6:g} microseconds a message and "
        f"{BANDWIDTH / 1e9:g} GB/s a rank, {1e9 * cell_seconds:.0f} ns a cell and iteration on one core as measured. "
        f"{level} levels are cut, {cells:.0f} cells live on rank 0. An iteration computes for {1e3 * computing:.1f} ms, "
        f"exchanges ghosts {exchanges} times in {1e3 * ghosts:.2f} ms, gathers and solves on rank 0 in "
        f"{1e3 * gathering:.2f} ms, and sums in {1e3 * sums:.2f} ms: "
        f"{100 * computing / (computing + ghosts + gathering + sums):.0f} % of it is computing."
    )

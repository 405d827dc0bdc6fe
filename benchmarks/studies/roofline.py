"""How near the cycle comes to the machine's speed: bytes by the kernels' ledger (kernels/src/cycle/row_kernels.hpp), over time, against its roofline.

    python -m benchmarks.studies.roofline [--sizes 64 128 256] [--fresh]

Writes results/roofline.json: for each size the memory held per cell, the seconds of one set-up, of one cycle and of one pass of the fine level's
relaxation. A pass is measured by what two more sweeps before and after the coarse correction cost. Two bandwidths:

* of the sweeps: every pass counts the bytes that the ledger has for it. That is what passes that stream through memory one by one would need; passes
  that run as one wave, each plane coming from memory once, may be faster than memory is.
* of the cycle: the bytes that must come from memory when every level's passes run as one wave, over the whole cycle's time.

The roofline is the lower of the bandwidth of y += a x on arrays that no cache holds and of what a matrix product in single precision makes of a pass'
operations (Williams, Waterman and Patterson 2009).
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from typing import Any

import numpy as np

from benchmarks.paths import RESULTS
from benchmarks.records.record import Record
from benchmarks.records.results import stated_machine
from deepcg.multigrid.cycle import MultilevelCycle
from deepcg.multigrid.parameters import Parameters
from deepcg.native.library import axpy
from deepcg.scenes import gallery

# Bytes per cell of one wave down (relax, residual, restrict) and one up (prolong, relax), each plane once.
UNIT = (4 + 4 + 1 + 6.5) + (4 + 4 + 4 + 1 + 6.5)
WEIGHTED = UNIT + 2 * (12 + 4 + 4 - 1)

PASS = {True: (13, 5), False: (32, 8)}
"""Bytes, and useful operations (half of the lanes are of the other colour), per cell of one relaxation pass; by whether the weights are one."""

FEW, MANY = 1, 3  # sweeps whose difference is timed

HEADER = [
    "scene",
    "bytes a cell",
    "set-up ms",
    "cycle ms",
    "cycle GB/s",
    "sweeps GB/s",
    "roofline GB/s",
    "sweeps of it",
]


def rows(cases: list[dict[str, Any]]) -> list[list[str]]:
    """The table under `HEADER`."""
    return [
        [
            f"{case['scene']} {case['size']}^3", f"{case['bytes_per_cell']:.1f}", f"{1e3 * case['setup_seconds']:.1f}",
            f"{1e3 * case['cycle_seconds']:.1f}", f"{case['bandwidth'] / 1e9:.1f}", f"{case['sweep_bandwidth'] / 1e9:.0f}",
            f"{case['roofline'] / 1e9:.0f}", f"{100 * case['sweep_bandwidth'] / case['roofline']:.0f} %",
        ]
        for case in cases
    ]  # fmt: skip


def committed() -> list[dict[str, Any]]:
    """The cases of results/roofline.json; none where it is not there."""
    path = RESULTS / "roofline.json"
    return list(json.loads(path.read_text())["cases"].values()) if path.exists() else []


def measured(results: dict[str, Any]) -> tuple[list[dict[str, Any]], str]:
    """The cases that a run measured itself, or else those of results/roofline.json, and then where they come from."""
    own = results.get("roofline") or []
    there = [] if own else committed()
    if not there:
        return own, ""
    machine = stated_machine({"sessions": [case["machine"] for case in there]})
    return there, f"Not measured in this run; from results/roofline.json: {machine}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[64, 128, 256])
    parser.add_argument("--scenes", nargs="+", default=["plume", "bubble"])
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--fresh", action="store_true", help="run what the file already holds again")
    arguments = parser.parse_args()
    record = Record(RESULTS / "roofline.json", arguments.fresh)
    for size in arguments.sizes:
        for name in arguments.scenes:
            case = record.run(f"{name} {size}", lambda n=name, s=size: one_case(n, s, arguments.repeats))
            print(
                f"{name} {size}: cycle {1e3 * case['cycle_seconds']:.2f} ms, set-up {1e3 * case['setup_seconds']:.2f} ms, "
                f"{case['bytes_per_cell']:.1f} bytes a cell, cycle {case['bandwidth'] / 1e9:.1f} GB/s, sweeps {case['sweep_bandwidth'] / 1e9:.1f} "
                f"of {case['roofline'] / 1e9:.1f} GB/s (triad {case['triad'] / 1e9:.1f} GB/s, {case['flops'] / 1e9:.0f} GFlop/s)"
            )


def one_case(name: str, size: int, repeats: int) -> dict:
    problem = gallery.scene(name, size).problem
    cycle = MultilevelCycle(problem, Parameters.classical())
    r = problem.layout.rhs(np.random.default_rng(17).standard_normal(problem.shape))
    few, many = (MultilevelCycle(problem, Parameters.classical((sweeps, 3, 4))) for sweeps in (FEW, MANY))
    y, x, matrix = np.zeros(1 << 25), np.ones(1 << 25), np.ones((1024, 1024), np.float32)
    calls = {
        "cycle": lambda: cycle(r), "few": lambda: few(r), "many": lambda: many(r), "setup": lambda: cycle.update(problem),
        "triad": lambda: axpy(1e-3, x, y),
    }  # fmt: skip
    seconds: dict[str, list[float]] = {what: [] for what in calls}
    for repeat in range(repeats + 1):
        for what, call in calls.items():
            value = clock(call)
            if repeat:
                seconds[what].append(value)
    # last, because the threads of the matrix product's library go on spinning for a while
    seconds["product"] = [clock(lambda: matrix @ matrix) for _ in range(repeats + 1)][1:]
    typical = {what: statistics.median(values) for what, values in seconds.items()}
    moved = sum(
        np.prod(level.shape) * (UNIT if depth == 0 and problem.stencil.unit is not None else WEIGHTED)
        for depth, level in enumerate(cycle.levels[:-1])
    )
    moved += 16 * r.size  # r in and z out, in double precision
    passes = 4 * (MANY - FEW)  # both colours, before and after the correction
    one_pass = (typical["many"] - typical["few"]) / passes
    bytes_per_cell, operations = PASS[problem.stencil.unit is not None]
    triad, flops = 24 * x.size / typical["triad"], 2 * matrix.shape[0] ** 3 / typical["product"]
    return {
        "scene": name, "size": size, "threads": os.environ.get("OMP_NUM_THREADS", str(os.cpu_count())), "kernels": cycle.kernels,
        "cycle_seconds": typical["cycle"], "setup_seconds": typical["setup"], "raw_seconds": seconds,
        "bytes_per_cell": cycle.memory / problem.cells.size, "ledger_bytes": float(moved), "bandwidth": float(moved / typical["cycle"]),
        "pass_seconds": one_pass, "sweep_bandwidth": bytes_per_cell * r.size / one_pass,
        "triad": triad, "flops": flops, "roofline": min(triad, flops * bytes_per_cell / operations),
    }  # fmt: skip


def clock(call) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()

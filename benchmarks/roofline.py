"""How near the cycle comes to the memory's speed: bytes by the kernels' ledger, over time, against a measured triad.

    python -m benchmarks.roofline [--sizes 64 128 256] [--fresh]

Writes results/roofline.json: for each size the memory held per cell, the seconds of one cycle and of one set-up, the bytes that the ledger in
kernels/src/rows.hpp counts for a cycle when every level's passes run as one wave, and the bandwidth of y += a x on arrays that no cache holds.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from typing import Any

import numpy as np

from benchmarks.record import RESULTS, Record
from benchmarks.results import stated_machine
from deepcg import gallery
from deepcg.cycle import MultilevelCycle
from deepcg.vectors import axpy
from deepcg.weights import Weights

# Bytes per cell of one wave down (relax, residual, restrict) and one up (prolong, relax), each plane once.
UNIT = (4 + 4 + 1 + 6.5) + (4 + 4 + 4 + 1 + 6.5)
WEIGHTED = UNIT + 2 * (12 + 4 + 4 - 1)

HEADER = ["scene", "bytes a cell", "set-up ms", "cycle ms", "cycle GB/s", "triad GB/s"]


def rows(cases: list[dict[str, Any]]) -> list[list[str]]:
    """The table under `HEADER`."""
    return [
        [
            f"{case['scene']} {case['size']}^3", f"{case['bytes_per_cell']:.1f}", f"{1e3 * case['setup_seconds']:.1f}",
            f"{1e3 * case['cycle_seconds']:.1f}", f"{case['bandwidth'] / 1e9:.1f}", f"{case['triad'] / 1e9:.1f}",
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
                f"{case['bytes_per_cell']:.1f} bytes a cell, {case['bandwidth'] / 1e9:.1f} GB/s of {case['triad'] / 1e9:.1f} GB/s"
            )


def one_case(name: str, size: int, repeats: int) -> dict:
    problem = gallery.scene(name, size).problem
    cycle = MultilevelCycle(problem, Weights.classical())
    r = problem.layout.rhs(np.random.default_rng(17).standard_normal(problem.shape))
    cycles, setups, triads = [], [], []
    y, x = np.zeros(1 << 25), np.ones(1 << 25)
    for repeat in range(repeats + 1):
        seconds = clock(lambda: cycle(r)), clock(lambda: cycle.update(problem)), clock(lambda: axpy(1e-3, x, y))
        if repeat:
            for kept, value in zip((cycles, setups, triads), seconds, strict=True):
                kept.append(value)
    moved = sum(
        np.prod(level.shape) * (UNIT if depth == 0 and problem.stencil.unit is not None else WEIGHTED)
        for depth, level in enumerate(cycle.levels[:-1])
    )
    moved += 16 * r.size  # r in and z out, in double precision
    best = statistics.median(cycles)
    return {
        "scene": name, "size": size, "threads": os.environ.get("OMP_NUM_THREADS", str(os.cpu_count())), "kernels": cycle.kernels,
        "cycle_seconds": best, "setup_seconds": statistics.median(setups), "raw_cycle_seconds": cycles,
        "bytes_per_cell": cycle.memory / problem.cells.size, "ledger_bytes": float(moved), "bandwidth": float(moved / best),
        "triad": 24 * x.size / statistics.median(triads),
    }  # fmt: skip


def clock(call) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()

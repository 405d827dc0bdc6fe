"""The multilevel network on an NVIDIA GPU: the same answer as on the CPU, its time, and how near the memory's bandwidth it comes.

    make build && python -m benchmarks.gpu [--size 256] [--fresh]

Writes results/gpu.json. Needs a GPU and nvcc; not part of `make bench`.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path

import numpy as np

from benchmarks.paths import RESULTS
from benchmarks.records.record import Record
from deepcg.multigrid import cuda
from deepcg.multigrid.cycle import MultilevelCycle
from deepcg.multigrid.parameters import Parameters
from deepcg.native import device
from deepcg.preconditioners.base import capability
from deepcg.preconditioners.registry import build
from deepcg.scenes import gallery

RTOL, REPEATS = 1e-6, 5
CHECKED = ("plume", 64)
MODELS = ("multigrid", "auto")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--fresh", action="store_true", help="run what the file already holds again")
    arguments = parser.parse_args()
    device.library()  # says what is missing before anything else
    record = Record(Path(RESULTS / "gpu.json"), arguments.fresh)
    for label, case in {
        "agreement": lambda: agreement(*CHECKED),
        **{f"plume {arguments.size} {m}": lambda m=m: one_case("plume", arguments.size, m) for m in MODELS},
    }.items():
        print(label, record.run(label, case), flush=True)


def agreement(name: str, size: int) -> dict:
    """The relative difference of one application on the GPU and on the CPU; refuses to go on where it is not rounding."""
    scene = gallery.scene(name, size)
    r = scene.rhs.reshape(-1)
    z = MultilevelCycle(scene.problem, Parameters.classical())(r)
    difference = float(np.linalg.norm(cuda.CudaCycle(scene.problem, Parameters.classical())(r) - z) / np.linalg.norm(z))
    if not difference <= 1e-5:
        raise SystemExit(f"the GPU's network differs from the CPU's by {difference:.1e}")
    return {"scene": name, "size": size, "difference": difference}


def one_case(name: str, size: int, model: str) -> dict:
    """A solve to the tolerance with the vectors on the device, set-up apart; the true residual is evaluated on the CPU."""
    scene = gallery.scene(name, size)
    problem, b = scene.problem, scene.rhs.reshape(-1).copy()
    problem.components.project(b)
    started = time.perf_counter()
    cycle = build(problem, model, "cuda")
    setup = time.perf_counter() - started
    if capability(cycle, "device") != "cuda":
        raise SystemExit(f"{model} is no multilevel network here")
    x, r = (device.Buffer(device.library(), b.nbytes) for _ in range(2))
    target, seconds = RTOL * float(np.linalg.norm(b)), []
    for _ in range(1 + REPEATS):  # the first warms up
        x.set(np.zeros_like(b)), r.set(b)
        started = time.perf_counter()
        run = cycle.native_cg(x, r, target, 100)
        seconds.append(time.perf_counter() - started)
    answer = x.get(np.empty_like(b))
    left = b - problem.stencil.apply(answer, np.empty_like(b))
    problem.components.project(left)
    copy, copied = cycle.seconds("copy")
    sweep, swept = cycle.seconds("sweep")
    return {
        "scene": name,
        "size": size,
        "model": cycle.name,
        "unknowns": problem.size,
        "rtol": RTOL,
        "device": cycle.kernels,
        "iterations": len(run.residuals),
        "true_residual": float(np.linalg.norm(left) / np.linalg.norm(b)),
        "setup_seconds": setup,
        "solve_seconds": statistics.median(seconds[1:]),
        "all_solve_seconds": seconds[1:],
        "cycle_seconds": cycle.seconds("cycle")[0],
        "copy_bytes_per_second": copied / copy,
        "sweep_bytes_per_second": swept / sweep,
        "sweep_share_of_copy": (swept / sweep) / (copied / copy),
        "device_bytes": cycle.memory,
    }

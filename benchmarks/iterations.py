"""How many iterations the multilevel network needs, and how long they take: every scene, size, right-hand side and tolerance.

    python -m benchmarks.iterations [--sizes3 64 128 256] [--sizes2 256 1024 2048] [--fresh]

Writes results/iterations.json, for the shipped weights and for the classical ones on the same kernels.
"""

from __future__ import annotations

import argparse

import numpy as np

from benchmarks.record import RESULTS, Record
from benchmarks.timing import alternate
from deepcg import gallery

MODELS = ("multilevel", "multigrid")
TOLERANCES = (1e-6, 1e-10)
NOISE_SEED = 2024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes3", type=int, nargs="*", default=[64, 128, 256])
    parser.add_argument("--sizes2", type=int, nargs="*", default=[256, 1024, 2048])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--fresh", action="store_true", help="run what the file already holds again")
    arguments = parser.parse_args()
    record = Record(RESULTS / "iterations.json", arguments.fresh)
    for dim, sizes in ((3, arguments.sizes3), (2, arguments.sizes2)):
        for size in sizes:
            for name in gallery.names(dim):
                run_scene(record, name, size, dim, arguments.repeats)


def run_scene(record: Record, name: str, size: int, dim: int, repeats: int) -> None:
    """Every right-hand side and tolerance of one scene; the scene is made only where something is missing."""
    made = []

    def system(kind: str):
        if not made:
            made.append(gallery.scene(name, size, dim))
        scene = made[0]
        return scene.problem, scene.rhs if kind == "physical" else noise(scene.problem.grid.fluid)

    for kind in ("physical", "noise"):
        for rtol in TOLERANCES:
            label = f"{name} {size} {dim}-D {kind} {rtol:g}"
            figures = record.run(label, lambda k=kind, t=rtol: one_case(name, size, dim, k, t, repeats, *system(k)))
            print(
                label,
                {m: (c["iterations"], round(c["solve_seconds"], 4)) for m, c in figures["models"].items()},
                flush=True,
            )


def one_case(name, size, dim, kind, rtol, repeats, problem, b) -> dict:
    models = {model: (lambda p, m=model: m) for model in MODELS}
    figures = alternate(problem, b, models, rtol, repeats)
    return {
        "scene": name, "size": size, "dim": dim, "rhs": kind, "rtol": rtol, "unknowns": problem.size, "models": figures,
    }  # fmt: skip


def noise(fluid: np.ndarray) -> np.ndarray:
    """White noise over the fluid."""
    return np.where(fluid, np.random.default_rng(NOISE_SEED).standard_normal(fluid.shape), 0.0)


if __name__ == "__main__":
    main()

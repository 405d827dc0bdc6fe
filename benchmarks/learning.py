"""What learning buys: the shipped weights against classical ones on the same kernels, tuned for each size.

    python -m benchmarks.learning [--sizes3 64 128] [--sizes2 512] [--fresh]

Writes results/learning.json. The classical opponent is the best of all sweeps and relaxation factors below, chosen per size by the geometric
mean of the solve times over all scenes; the search stands in the file.
"""

from __future__ import annotations

import argparse
import math

from benchmarks.record import RESULTS, Record
from benchmarks.timing import alternate
from deepcg import gallery
from deepcg.cycle import MultilevelCycle
from deepcg.weights import Weights

SWEEPS = ((1,), (1, 2, 3), (2,), (2, 3, 4), (3,))
OMEGAS = (1.0, 1.1, 1.2, 1.3)
RTOL = 1e-6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes3", type=int, nargs="*", default=[64, 128])
    parser.add_argument("--sizes2", type=int, nargs="*", default=[512])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--fresh", action="store_true", help="run what the file already holds again")
    arguments = parser.parse_args()
    record = Record(RESULTS / "learning.json", arguments.fresh)
    for dim, sizes in ((3, arguments.sizes3), (2, arguments.sizes2)):
        for size in sizes:
            for name in gallery.names(dim):
                record.run(
                    f"{name} {size} {dim}-D", lambda n=name, s=size, d=dim: one_scene(n, s, d, arguments.repeats)
                )
            report(record, size, dim)


def one_scene(name: str, size: int, dim: int, repeats: int) -> dict:
    scene = gallery.scene(name, size, dim)
    models = {"learned": lambda p: "multilevel"}
    for sweeps in SWEEPS:
        for omega in OMEGAS:
            models[variant(sweeps, omega)] = lambda p, s=sweeps, o=omega: MultilevelCycle(p, Weights.classical(s, o))
    figures = alternate(scene.problem, scene.rhs, models, RTOL, repeats)
    kept = ("iterations", "solve_seconds", "raw_solve_seconds", "true_residual")
    return {
        "scene": name, "size": size, "dim": dim, "rtol": RTOL,
        "variants": {label: {key: case[key] for key in kept} for label, case in figures.items()},
    }  # fmt: skip


def variant(sweeps: tuple[int, ...], omega: float) -> str:
    return f"V{''.join(map(str, sweeps))} omega {omega:g}"


def tuned(cases: list[dict]) -> str:
    """The classical variant with the least geometric mean of solve times."""
    labels = [label for label in cases[0]["variants"] if label != "learned"]
    return min(labels, key=lambda label: sum(math.log(case["variants"][label]["solve_seconds"]) for case in cases))


def report(record: Record, size: int, dim: int) -> None:
    cases = [case for case in record.cases.values() if (case["size"], case["dim"]) == (size, dim)]
    best = tuned(cases)
    print(f"{size} {dim}-D: the best classical cycle is {best}")
    for case in cases:
        learned, classical = case["variants"]["learned"], case["variants"][best]
        print(
            f"  {case['scene']:10s} learned {learned['iterations']:3d} its {learned['solve_seconds']:.4f} s"
            f"  classical {classical['iterations']:3d} its {classical['solve_seconds']:.4f} s"
            f"  ratio {classical['solve_seconds'] / learned['solve_seconds']:.2f}",
            flush=True,
        )


if __name__ == "__main__":
    main()

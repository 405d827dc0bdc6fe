"""The paper's experiment: a network that saw only the empty box, on scenes with obstacles and on larger grids.

    python -m benchmarks.paper [--sizes 64 128] [--fresh]

Writes results/paper.json: iterations to a true relative residual of 1e-4 and seconds, for plain CG, IC(0)-PCG and the network,
and the window ablation on one scene.
"""

from __future__ import annotations

import argparse

from benchmarks.peers import solve_with
from benchmarks.record import RESULTS, Record
from deepcg import gallery

SCENES = ("box", "plume", "sphere", "bunny")
METHODS = ("CG", "IC(0)-PCG", "DCDM network")
WINDOWS = (0, 1, 2, 5, None)
ABLATION = ("plume", 64)  # the scene that needs most iterations
RTOL = 1e-4


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[64, 128])
    parser.add_argument("--fresh", action="store_true", help="run what the file already holds again")
    arguments = parser.parse_args()
    record = Record(RESULTS / "paper.json", arguments.fresh)
    for size in arguments.sizes:
        for name in SCENES:
            for method in METHODS:
                show(f"{name} {size} {method}", record, lambda n=name, s=size, m=method: one_case(n, s, m))
    name, size = ABLATION
    for window in WINDOWS:
        label = f"{name} {size} window {'all' if window is None else window}"
        show(label, record, lambda w=window: one_case(name, size, "DCDM network", window=w))


def one_case(name: str, size: int, method: str, **options) -> dict:
    scene = gallery.scene(name, size)
    _, figures = solve_with(method, scene.problem, scene.rhs, RTOL, **options)
    return {"scene": name, "size": size, "rtol": RTOL, "unknowns": scene.problem.size, **options, **figures}


def show(label: str, record: Record, case) -> None:
    figures = record.run(label, case)
    print(
        f"{label:32s} {figures['reason']:12s} {figures['iterations']:5d} iterations  set-up {figures['setup_seconds']:.3g} s"
        f"  solve {figures['solve_seconds']:.3g} s  residual {figures['true_residual']:.2e}",
        flush=True,
    )


if __name__ == "__main__":
    main()

"""Every gallery scene, 2-D and 3-D, to 1e-8 with the default model: does it converge, and how often does it fall back?

    python -m benchmarks.gallery [--size3 64] [--size2 128] [--fresh]

Writes results/gallery.json.
"""

from __future__ import annotations

import argparse

from benchmarks.paper import show
from benchmarks.peers import solve_with
from benchmarks.record import RESULTS, Record
from deepcg import gallery

METHODS = ("Jacobi-PCG", "DCDM network")
RTOL = 1e-8


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size3", type=int, default=64)
    parser.add_argument("--size2", type=int, default=128)
    parser.add_argument("--fresh", action="store_true", help="run what the file already holds again")
    arguments = parser.parse_args()
    record = Record(RESULTS / "gallery.json", arguments.fresh)
    for dim, size in ((2, arguments.size2), (3, arguments.size3)):
        for name in gallery.names(dim):
            for method in METHODS:
                show(
                    f"{name} {size} {dim}-D {method}",
                    record,
                    lambda n=name, s=size, d=dim, m=method: one_case(n, s, d, m),
                )


def one_case(name: str, size: int, dim: int, method: str) -> dict:
    scene = gallery.scene(name, size, dim)
    _, figures = solve_with(method, scene.problem, scene.rhs, RTOL)
    return {"scene": name, "size": size, "dim": dim, "rtol": RTOL, "unknowns": scene.problem.size, **figures}


if __name__ == "__main__":
    main()

"""README's blocks about the multilevel network, from results/iterations.json, race.json, learning.json and roofline.json."""

from __future__ import annotations

import math
from collections.abc import Iterable

from benchmarks.learning import tuned
from benchmarks.markdown import cases, stated_machine, table

OURS = {"multilevel": "learned weights", "multigrid": "classical weights"}


def race() -> str:
    """Set-up and solve against the best algebraic multigrid, one row per scene, size and number of cores."""
    groups: dict[tuple, list[dict]] = {}
    for case in cases("race"):
        groups.setdefault((case["size"], case["cores"], case["scene"]), []).append(case)
    rows = []
    for (size, cores, scene), found in groups.items():
        peers = [c for c in found if "method" in c and c["converged"]]
        own = next(c for c in found if "models" in c)["models"]
        if not peers:
            continue
        best = min(peers, key=lambda c: c["total_seconds"])
        quickest = min(peers, key=lambda c: c["solve_seconds"])
        learned, classical = own["multilevel"], own["multigrid"]
        rows.append(
            [
                f"{scene} {size}^3, {cores} core{'s' if cores > 1 else ''}",
                times(best, best["method"]),
                f"{quickest['solve_seconds']:.2f} {quickest['method'].removesuffix('-PCG')}",
                times(classical),
                times(learned),
                f"{best['total_seconds'] / learned['total_seconds']:.0f}",
                f"{quickest['solve_seconds'] / learned['solve_seconds']:.0f}",
            ]
        )
    header = [
        "scene", "best AMG in total: set-up + solve s (iterations)", "best AMG solve s", "ours, classical weights",
        "ours, learned weights", "total, times less", "solve, times less",
    ]  # fmt: skip
    return table(header, rows) + "\n\nTo a true relative residual of 1e-6. " + stated_machine(cases("race")[0])


def times(case: dict, name: str = "") -> str:
    text = f"{case['setup_seconds']:.3g} + {case['solve_seconds']:.3g} ({case['iterations']})"
    return f"{text} {name.removesuffix('-PCG')}".strip()


def iterations() -> str:
    """Iterations by scene and size, physical / noise right-hand side, for both tolerances, with the shipped weights."""
    found = {(c["dim"], c["scene"], c["size"], c["rhs"], c["rtol"]): c for c in cases("iterations")}
    text = []
    for dim in (3, 2):
        sizes = sorted({key[2] for key in found if key[0] == dim})
        scenes = list(dict.fromkeys(key[1] for key in found if key[0] == dim))
        header = ["scene"] + [f"{size}^{dim} to {rtol:g}" for rtol in (1e-6, 1e-10) for size in sizes]
        rows = []
        for scene in scenes:
            row = [scene]
            for rtol in (1e-6, 1e-10):
                for size in sizes:
                    pair = [found.get((dim, scene, size, rhs, rtol)) for rhs in ("physical", "noise")]
                    row.append("/".join(count(case) for case in pair))
            rows.append(row)
        text.append(table(header, rows))
    note = "Physical / white-noise right-hand side. " + stated_machine(next(iter(found.values())))
    return "\n\n".join([*text, note])


def count(case: dict | None) -> str:
    if case is None:
        return "-"
    figures = case["models"]["multilevel"]
    return str(figures["iterations"]) + (
        "" if figures["converged"] else "*" if "accuracy" in figures["reason"] else "!"
    )


def learning() -> str:
    """Learned against classical weights, tuned for each size, on the same kernels."""
    groups: dict[tuple[int, int], list[dict]] = {}
    for case in cases("learning"):
        groups.setdefault((case["dim"], case["size"]), []).append(case)
    rows = []
    for (dim, size), found in groups.items():
        best = tuned(found)
        pairs = [(c["scene"], c["variants"][best], c["variants"]["learned"]) for c in found]
        for scene, classical, learned in pairs:
            rows.append(
                [
                    f"{scene} {size}^{dim}",
                    f"{classical['iterations']}", f"{learned['iterations']}",
                    f"{1e3 * classical['solve_seconds']:.1f}", f"{1e3 * learned['solve_seconds']:.1f}",
                    f"{classical['solve_seconds'] / learned['solve_seconds']:.2f}",
                ]
            )  # fmt: skip
        ratio = mean(classical["solve_seconds"] / learned["solve_seconds"] for _, classical, learned in pairs)
        rows.append([f"**all at {size}^{dim}** (best classical: {best})", "", "", "", "", f"**{ratio:.2f}**"])
    header = ["scene", "classical iterations", "learned", "classical solve ms", "learned", "times faster"]
    return table(header, rows) + "\n\n" + stated_machine(cases("learning")[0])


def roofline() -> str:
    """Memory, set-up and cycle by size, and the cycle's bytes per second beside a triad's."""
    rows = [
        [
            f"{case['scene']} {case['size']}^3",
            f"{case['bytes_per_cell']:.1f}",
            f"{1e3 * case['setup_seconds']:.1f}",
            f"{1e3 * case['cycle_seconds']:.1f}",
            f"{case['bandwidth'] / 1e9:.1f}",
            f"{case['triad'] / 1e9:.1f}",
        ]
        for case in cases("roofline")
    ]
    header = ["scene", "bytes a cell", "set-up ms", "cycle ms", "cycle GB/s", "triad GB/s"]
    return table(header, rows) + "\n\n" + stated_machine(cases("roofline")[0])


def mean(values: Iterable[float]) -> float:
    """The geometric mean."""
    logs = [math.log(value) for value in values]
    return math.exp(sum(logs) / len(logs))

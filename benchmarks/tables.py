"""README's figures, written from the JSON of the benchmarks.

python -m benchmarks.tables            rewrite the marked blocks of README.md
python -m benchmarks.tables --check    fail where a block is not what the JSON says
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable
from pathlib import Path

from benchmarks import multilevel_tables
from benchmarks.markdown import cases, stated_machine, table
from deepcg.model_file import write_atomically

README = Path(__file__).parent.parent / "README.md"
BLOCK = "<!-- {0}: written by benchmarks/tables.py -->\n{1}\n<!-- end of {0} -->"


def demo() -> str:
    """The demo's table."""
    found = cases("demo")
    rows = [
        [
            case["method"],
            f"{case['setup_seconds']:.3f}",
            f"{case['solve_seconds']:.3f}",
            str(case["iterations"]),
            f"{case['true_residual']:.1e}",
        ]
        for case in found
    ]
    first = found[0]
    title = f"Smoke past the bunny, {first['size']}^3 cells, to a true relative residual of {first['rtol']:g}:"
    header = ["method", "set-up s", "solve s", "iterations", "true residual"]
    return f"{title}\n\n{table(header, rows)}\n\n{stated_machine(first)}"


def paper() -> str:
    """Iterations of CG, IC(0)-PCG and the network, by scene and size; seconds are the demo's to tell."""
    found = {(c["scene"], c["size"], c["method"]): c for c in cases("paper") if "window" not in c}
    rows = []
    for scene, size in dict.fromkeys((scene, size) for scene, size, _ in found):
        plain, ic, network = (found[scene, size, method] for method in ("CG", "IC(0)-PCG", "DCDM network"))
        ratio = plain["iterations"] / network["iterations"]
        counts = [f"{case['iterations']}" for case in (plain, ic, network)]
        rows.append([f"{scene} {size}^3", *counts, f"{ratio:.1f}"])
    header = ["scene", "CG", "IC(0)-PCG", "DCDM", "CG / DCDM"]
    text = (
        table(header, rows)
        + "\n\nIterations to a true relative residual of 1e-4. "
        + stated_machine(next(iter(found.values())))
    )
    windows = [c for c in cases("paper") if "window" in c]
    if not windows:
        return text
    labels = list(dict.fromkeys(c["window"] for c in windows))
    by = {(c["scene"], c["window"]): c["iterations"] for c in windows}
    rows = [[s, *(str(by[s, w]) for w in labels)] for s in dict.fromkeys(c["scene"] for c in windows)]
    header = [f"window m, {windows[0]['size']}^3"] + ["all" if w is None else str(w) for w in labels]
    return text + "\n\n" + table(header, rows)


def gallery() -> str:
    """Every scene to 1e-8."""
    found = {(c["scene"], c["dim"], c["method"]): c for c in cases("gallery")}
    rows = []
    for scene, dim in dict.fromkeys((scene, dim) for scene, dim, _ in found):
        classical, network = found[scene, dim, "Jacobi-PCG"], found[scene, dim, "DCDM network"]
        rows.append(
            [
                f"{scene}, {network['size']}^{dim}",
                str(classical["iterations"]),
                str(network["iterations"]),
                str(network["fallbacks"]),
                f"{network['true_residual']:.1e}" if network["converged"] else network["reason"],
            ]
        )
    header = ["scene", "Jacobi-PCG iterations", "DCDM iterations", "of these by the fallback", "true residual"]
    return table(header, rows) + "\n\n" + stated_machine(next(iter(found.values())))


BLOCKS: dict[str, Callable[[], str]] = {
    "demo": demo,
    "race": multilevel_tables.race,
    "iterations": multilevel_tables.iterations,
    "roofline": multilevel_tables.roofline,
    "learning": multilevel_tables.learning,
    "paper": paper,
    "gallery": gallery,
}


def filled(text: str) -> str:
    """README's text with every block rewritten."""
    for name, write in BLOCKS.items():
        first, last = (re.escape(line) for line in BLOCK.format(name, "\n").split("\n\n\n"))
        pattern = re.compile(f"{first}.*?{last}", re.DOTALL)
        if not pattern.search(text):
            raise ValueError(f"README.md: no block {name!r}")
        block = BLOCK.format(name, write())
        text = pattern.sub(lambda _, b=block: b, text)
    return text


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true")
    arguments = parser.parse_args()
    text = README.read_text()
    new = filled(text)
    if arguments.check:
        sys.exit(0 if new == text else "README.md: a block is not what the JSON says; run python -m benchmarks.tables")
    write_atomically(README, new.encode(), overwrite=True)


if __name__ == "__main__":
    main()

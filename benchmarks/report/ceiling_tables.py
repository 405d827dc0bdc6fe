"""The table of docs/measurements.md about what is left to gain on rough coefficients, from results/contrast_ceiling.json and contrast_learning.json."""

from __future__ import annotations

import json
from typing import Any

from benchmarks.paths import RESULTS
from benchmarks.report.markdown import table

UNMEASURED = "Not run yet: `python -m benchmarks.studies.contrast_ceiling` does it."
HEADER = ["method", "iterations 2-D", "3-D", "bytes to solve, against the first 2-D", "3-D"]
LEARNING_HEADER = ["trained on", "fields seen", "iterations, constants", "learned", "times fewer", "least of a field"]


def ceilings() -> str:
    """Iterations and counted bytes of the cycle, of its best constants and of the exact methods; then of learned set-ups."""
    found = [read(name) for name in ("contrast_ceiling", "contrast_learning")]
    if found[0] is None:
        return UNMEASURED
    return "\n\n".join([described(found[0])] + ([learned(found[1])] if found[1] else []))


def read(name: str) -> dict[str, Any] | None:
    path = RESULTS / f"{name}.json"
    return json.loads(path.read_text()) if path.exists() else None


def described(results: dict[str, Any]) -> str:
    """The table of the ceilings; bytes relative to the first method's."""
    summary, rows = results["summary"], []
    first = next(iter(summary.values()))
    for name, by_dim in summary.items():
        counts = [f"{by_dim[dim]['iterations']:.2f}" for dim in ("2-D", "3-D")]
        costs = [
            f"{d['bytes'] / first[dim]['bytes']:.2f}" if "bytes" in (d := by_dim[dim]) else "-"
            for dim in ("2-D", "3-D")
        ]
        rows.append([name, *counts, *costs])
    sizes = {entry["dim"]: entry["size"] for entry in results["entries"]}
    tried = len(results["search"]["trials"])
    return f"{table(HEADER, rows)}\n\nGeometric means over the kinds, {sizes[2]}^2 and {sizes[3]}^3 cells; searched: the best of {tried} random settings."


def learned(results: dict[str, Any]) -> str:
    """The table of the learned set-ups."""
    rows = []
    for name, run in results.items():
        measured = run["measured"]
        counts = [f"{measured['iterations'][rule]:.2f}" for rule in ("constants", "learned")]
        seen = str(run["fields trained on"])
        rows.append([name, seen, *counts, f"{measured['gain']:.3f}", f"{measured['least gain']:.2f}"])
    return table(LEARNING_HEADER, rows)

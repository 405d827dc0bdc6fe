"""The reliability campaign: random systems solved in every way that deepcg has, each answer judged in extended precision.

    python -m benchmarks.studies.campaign [--systems 10000] [--seed 16] [--first 0] [--only N ...] [--defeats] [--without-petsc] [--output FILE]

Writes a JSON summary: verdicts by way, what failed, the worst ratio of true residual and tolerance, iterations, refusals and defeats by kind.
`--only` solves systems of that seed again by their numbers and prints all that is known of them. Exits with 1 where something failed.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import re
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.campaign import guard, ranks, systems
from benchmarks.paths import RESULTS
from benchmarks.records.record import machine
from deepcg.io.model_file import write_atomically

FORMAT = "deepcg-campaign 1"
FAILURES = ("silent", "non-finite x", "exception", "crash", "hang")
SEED = 16
PERCENTILES = (50, 90, 99, 100)
EXAMPLES = 5

Verdict = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--systems", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--first", type=int, default=0, help="number of the first system")
    parser.add_argument("--only", type=int, nargs="+", help="numbers of systems to solve again")
    parser.add_argument("--defeats", action="store_true", help="print every false defeat too")
    parser.add_argument("--without-petsc", action="store_true", help="leave out what goes through PETSc")
    parser.add_argument("--output", type=Path, default=RESULTS / "campaign.json")
    arguments = parser.parse_args()
    if arguments.only:
        for verdict in verdicts(arguments.seed, arguments.only, petsc=True):
            print(json.dumps(verdict, indent=1, default=ranks.plain))
        return
    numbers = list(range(arguments.first, arguments.first + arguments.systems))
    found, started = [], time.monotonic()
    for verdict in verdicts(arguments.seed, numbers, petsc=not arguments.without_petsc):
        found.append(verdict)
        if verdict["kind"] in FAILURES or (arguments.defeats and verdict["kind"] == "false defeat"):
            print(line(verdict), flush=True)
        if len(found) % 500 == 0:
            print(f"{len(found)} systems, {time.monotonic() - started:.0f} s", flush=True)
    summary = summarised(found, arguments.seed, arguments.first, time.monotonic() - started)
    write_atomically(
        arguments.output, (json.dumps(summary, indent=1, default=ranks.plain) + "\n").encode(), overwrite=True
    )
    print(
        json.dumps(
            {name: summary[name] for name in ("verdicts", "worst", "refusals", "defeats")},
            indent=1,
            default=ranks.plain,
        )
    )
    sys.exit(bool(summary["failures"]))


def verdicts(seed: int, numbers: list[int], petsc: bool, patience: float = guard.PATIENCE):
    """Yields a verdict for every system; those that need PETSc only where `petsc` is true and it is here."""
    petsc = petsc and importlib.util.find_spec("petsc4py") is not None
    ways = {number: systems.way_of(systems.generator(seed, number)) for number in numbers}
    beside = guard.Guard(patience)
    try:
        for number, way in ways.items():
            if way == "on 2 ranks" or (("PC" in way or "KSP" in way) and not petsc):
                continue
            yield {"way": way, **beside.verdict(seed, number)}
    finally:
        beside.close()
    if petsc:
        yield from ranks.verdicts(seed, [number for number, way in ways.items() if way == "on 2 ranks"], patience)


def line(verdict: Verdict) -> str:
    """A failure in a line."""
    facts = ", ".join(f"{name} {value}" for name, value in verdict["tags"].items())
    return f"{verdict['kind']} {verdict['number']} ({verdict['way']}): ratio {verdict.get('ratio')}, {verdict['told'][:200]} | {facts}"


def summarised(found: list[Verdict], seed: int, first: int, seconds: float) -> dict[str, Any]:
    """What is published."""
    ways = sorted({verdict["way"] for verdict in found})
    right = [verdict for verdict in found if verdict["kind"] == "right"]
    return {
        "format": FORMAT,
        "sessions": [machine()],
        "seed": seed,
        "first": first,
        "systems": len(found),
        "seconds": round(seconds),
        "unknowns": percentiles([v["tags"]["n"] for v in found if "n" in v["tags"]]),
        "verdicts": {way: Counter(v["kind"] for v in found if v["way"] == way) for way in ways},
        "worst": max(right, key=lambda verdict: verdict["ratio"], default=None),
        "iterations": {way: percentiles([v["iterations"] for v in right if v["way"] == way]) for way in ways},
        "failures": [verdict for verdict in found if verdict["kind"] in FAILURES],
        "refusals": grouped([v for v in found if v["kind"] == "refused"], lambda v: sentence(v["told"])),
        "defeats": {
            kind: grouped([v for v in found if v["kind"] == kind], lambda v: f"{v['way']}: {sentence(v['told'])}")
            for kind in ("defeat", "false defeat")
        },
    }


def percentiles(values: list[int]) -> dict[str, float] | None:
    if not values:
        return None
    return {f"{at}%": float(value) for at, value in zip(PERCENTILES, np.percentile(values, PERCENTILES), strict=True)}


def grouped(found: list[Verdict], name) -> dict[str, Any]:
    """Count and a few numbers of each group, the largest first."""
    groups: dict[str, list[int]] = {}
    for verdict in found:
        groups.setdefault(name(verdict), []).append(verdict["number"])
    ordered = sorted(groups.items(), key=lambda item: -len(item[1]))
    return {label: {"count": len(numbers), "such as": numbers[:EXAMPLES]} for label, numbers in ordered}


def sentence(told: str) -> str:
    """A message without its numbers."""
    return re.sub(r"[-+]?\d[\d.]*(e[-+]?\d+)?", "#", told.strip())[:110]


if __name__ == "__main__":
    main()

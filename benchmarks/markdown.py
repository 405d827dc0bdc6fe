"""Markdown out of results: the cases of a file, a table, the machine."""

from __future__ import annotations

import json

from benchmarks.record import RESULTS


def cases(name: str) -> list[dict]:
    """The cases of a results file."""
    return list(json.loads((RESULTS / f"{name}.json").read_text())["cases"].values())


def table(header: list[str], rows: list[list[str]]) -> str:
    """A Markdown table; every column but the first is aligned right."""
    rule = ["---"] + ["---:"] * (len(header) - 1)
    return "\n".join("| " + " | ".join(row) + " |" for row in [header, rule, *rows])


def stated_machine(figures: dict) -> str:
    machine = figures["machine"]
    versions = ", ".join(
        f"{name} {version}" for name, version in machine["versions"].items() if version and name != "deepcg"
    )
    return (
        f"Measured on {machine['cores']} cores of an {machine['processor']} (Python {machine['python']}, {versions})."
    )

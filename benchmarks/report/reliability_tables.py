"""The table of docs/reliability.md, from results/campaign.json."""

from __future__ import annotations

import json
from typing import Any

from benchmarks.paths import RESULTS
from benchmarks.records.results import stated_machine
from benchmarks.report.markdown import table
from benchmarks.studies.campaign import FAILURES

UNMEASURED = "Not run yet: `make campaign` does it."
HEADER = [
    "way",
    "systems",
    "right",
    "said not to be",
    "of these by mistake",
    "refused",
    "failures",
    "iterations: median, 99 %",
]


def campaign() -> str:
    """Verdicts by the way in which a system came to deepcg."""
    file = RESULTS / "campaign.json"
    return described(json.loads(file.read_text())) if file.exists() else UNMEASURED


def described(found: dict[str, Any]) -> str:
    """The table of a campaign's summary, and what it says beside it."""
    rows, total = [], [0] * 6
    for way, verdicts in found["verdicts"].items():
        numbers = counted(verdicts)
        total = [a + b for a, b in zip(total, numbers, strict=True)]
        taken = found["iterations"][way]
        rows.append([way, *map(str, numbers), f"{taken['50%']:g}, {taken['99%']:.0f}" if taken else "-"])
    rows.append(["**all**", *(f"**{number}**" for number in total), ""])
    worst = found["worst"]
    ratio = f"{worst['ratio']:.4f}" if worst else "-"
    return (
        f"{table(HEADER, rows)}\n\n"
        f"Seed {found['seed']}; {found['unknowns']['50%']:g} unknowns in the median, {found['unknowns']['100%']:g} at most. "
        f"The largest true residual of an answer said to be converged: {ratio} of its tolerance. "
        f'"By mistake": a direct solver with iterative refinement reaches a tenth of the tolerance. {stated_machine(found)}'
    )


def counted(verdicts: dict[str, int]) -> list[int]:
    """Systems; right; said not to be right; of these by mistake; refused; failures."""
    failures = sum(verdicts.get(kind, 0) for kind in FAILURES)
    mistaken = verdicts.get("false defeat", 0)
    honest = mistaken + verdicts.get("defeat", 0) + verdicts.get("stopped", 0)
    return [sum(verdicts.values()), verdicts.get("right", 0), honest, mistaken, verdicts.get("refused", 0), failures]

"""How long a plan will take, by the times that its comparisons took before."""

from __future__ import annotations

import math
from typing import Any

from benchmarks.peers.registry import Peer
from benchmarks.plans import Plan
from benchmarks.records.results import median
from benchmarks.runner.runner import BRIEF
from benchmarks.systems.cases import Case

START = 1.2  # seconds to start a peer's process and read a system of 64^3 cells, in the mean over the peers


def estimate(plan: Plan, results: dict[str, Any]) -> dict[str, float]:
    """Seconds by "case | rtol | cores", of what `results` holds; what they do not hold, or failed, counts as a start of its process."""
    times = {
        tuple(entry[name] for name in ("case", "rtol", "cores", "peer", "mode")): median(entry)
        for entry in results["entries"]
    }

    def seconds(case: Case, rtol: float, cores: int, peer: Peer, mode: str) -> float:
        once = times.get((case.name, rtol, cores, peer.name, mode), math.inf)
        if not math.isfinite(once):
            return 0.0
        if case.steps > 1:
            return once * max(1, plan.repeats_of(once))
        return once * (1 + plan.repeats_of(once) * (2 if once < BRIEF else 1))

    return {
        f"{entry.case.name} | {rtol:g} | {entry.cores} cores": sum(
            START + sum(seconds(entry.case, rtol, entry.cores, peer, mode) for mode in entry.modes_of(peer))
            for peer in entry.peers
        )
        for entry in plan.entries
        for rtol in entry.rtols
    }

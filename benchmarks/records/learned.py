"""What learning buys: the learned parameters against the best of the classical cycles, per size and per scene."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from benchmarks.records.results import Entry, median
from deepcg.io import model_file

LEARNED = "multilevel network"
OUTSIDE = ("bunny", "bubble", "stretched", "baffles")
"""Scenes with what the random scenes of the training do not have: a mesh's shape, a jump of a thousand, cells of thirty widths, rows of thin walls."""


@dataclass(frozen=True)
class Comparison:
    """Learned and classical parameters on one case, the classical ones being the best at its size."""

    case: str
    classical: Entry
    learned: Entry

    @property
    def outside(self) -> bool:
        """Whether the scene is outside the training's distribution."""
        return self.case.split()[0] in OUTSIDE

    @property
    def ratio(self) -> float:
        """Times less solve time."""
        return median(self.classical, "solve") / median(self.learned, "solve")


@dataclass(frozen=True)
class AtSize:
    """All scenes of one size and dimension."""

    size: int
    dim: int
    ranking: list[str]  # of the classical variants
    cases: list[Comparison]

    @property
    def best(self) -> str:
        return self.ranking[0]

    def ratio(self, outside: bool | None = None) -> float | None:
        """The geometric mean of the ratios: of all scenes, of those like the training's, or of those outside."""
        chosen = [c.ratio for c in self.cases if outside is None or c.outside == outside]
        return statistics.geometric_mean(chosen) if chosen else None

    def solves_to_pay(self, training_seconds: float) -> float | None:
        """How many solves of the mean case make up for the training; None where learning saves nothing."""
        saved = [median(c.classical, "solve") - median(c.learned, "solve") for c in self.cases]
        gain = sum(saved) / len(saved)
        return training_seconds / gain if gain > 0 else None


def compared(results: dict[str, Any]) -> list[AtSize]:
    """Every size of the plans `learning` and `finals` that is there."""
    groups: dict[tuple[int, int], dict[str, dict[str, Entry]]] = {}
    for entry in results["entries"]:
        facts = results["cases"].get(entry["case"])
        if facts and entry["mode"] == "fresh" and (entry["peer"] == LEARNED or " omega " in entry["peer"]):
            group = groups.setdefault((facts["size"], facts["dim"]), {})
            group.setdefault(entry["case"], {})[entry["peer"]] = entry
    found = []
    for (size, dim), cases in groups.items():
        whole = {case: peers for case, peers in cases.items() if LEARNED in peers and len(peers) > 1}
        if whole:
            ranking = ranked(whole.values())
            pairs = [Comparison(case, peers[ranking[0]], peers[LEARNED]) for case, peers in whole.items()]
            found.append(AtSize(size, dim, ranking, pairs))
    return found


def ranked(cases: Iterable[dict[str, Entry]]) -> list[str]:
    """The classical variants by the geometric mean of their solve times over the cases."""
    cases = list(cases)
    variants = [name for name in cases[0] if name != LEARNED and all(name in case for case in cases)]
    return sorted(variants, key=lambda name: sum(math.log(median(case[name], "solve")) for case in cases))


def training_seconds(dim: int) -> float | None:
    """What the training of the shipped parameters took, by their own record."""
    path = model_file.shipped().get(f"multilevel-{dim}d")
    return None if path is None else model_file.describe(path)["training"].get("seconds")


HEADER = ["scene", "training", "classical iterations", "learned", "classical solve ms", "learned", "times faster"]
SHORT_HEADER = ["size", "times faster", "like the training", "outside it", "training s", "solves that pay for it"]


def row(pair: Comparison) -> list[str]:
    """A case under `HEADER`."""
    return [
        pair.case, "outside" if pair.outside else "like it", str(pair.classical["iterations"]), str(pair.learned["iterations"]),
        f"{1e3 * median(pair.classical, 'solve'):.1f}", f"{1e3 * median(pair.learned, 'solve'):.1f}", f"{pair.ratio:.2f}",
    ]  # fmt: skip


def short(group: AtSize) -> list[str]:
    """A size under `SHORT_HEADER`."""
    ratios = [group.ratio(outside) for outside in (None, False, True)]
    cost = training_seconds(group.dim)
    pays = group.solves_to_pay(cost) if cost else None
    return [
        f"{group.size}^{group.dim}", *("-" if value is None else f"{value:.2f}" for value in ratios),
        f"{cost:,.0f}" if cost else "-", f"{pays:,.0f}" if pays else "never" if cost else "-",
    ]  # fmt: skip

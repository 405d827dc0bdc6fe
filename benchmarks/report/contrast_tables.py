"""The tables of README and docs about rough coefficients, from results/contrast.json."""

from __future__ import annotations

import statistics
from typing import Any

from benchmarks.peers.registry import AMG, PEERS
from benchmarks.records.learned import LEARNED
from benchmarks.records.results import Entry, asked, best, latest, median, seconds, select, stated_machine
from benchmarks.report.markdown import table
from benchmarks.report.peer_tables import times
from benchmarks.report.section import Table, cores_of, named, ordered

UNMEASURED = "Not run yet: `deepcg bench --plan contrast` does it."
SHOWN = (64, 3)  # the size and dimension of the picture
PICTURE = "![Iterations and seconds against the contrast](images/contrast.png)"
HEADER = [
    "coefficient", "best AMG in total: set-up + solve s (iterations)", "best AMG solve s", "fewest AMG iterations",
    "ours, classical parameters", "ours, learned parameters", "AMG total / ours", "AMG solve / ours",
]  # fmt: skip


def contrast() -> str:
    """The largest systems in 3-D, against the best algebraic multigrid."""
    results = latest("contrast")
    if results is None:
        return UNMEASURED
    size = max(facts["size"] for facts in results["cases"].values() if facts["dim"] == 3)
    rows = against_the_best(results, size, 3)
    return (
        f"{table(HEADER, rows)}\n\n{size}^3 cells, {_cores(results)}, to a true relative residual of 1e-6; x: failed; "
        f"the factors are to the better of ours. {stated_machine(results)}"
    )


def contrast_iterations() -> str:
    """Iterations of everybody on every coefficient, a table for each size, and the picture."""
    results = latest("contrast")
    if results is None:
        return UNMEASURED
    text = [PICTURE] if drawable(results) else []
    text += [f"{caption}:\n\n{table(header, rows)}" for caption, header, rows in iterations(results)]
    return "\n\n".join(
        [*text, f"Iterations to 1e-6 on {_cores(results)}; x: failed; ¹: serial. {stated_machine(results)}"]
    )


def drawable(results: dict[str, Any]) -> bool:
    """Whether there is what the picture shows: one kind of coefficient at three contrasts, at its size."""
    found: dict[str, set[float]] = {}
    for entry in select(results, size=SHOWN[0], dim=SHOWN[1], mode="fresh"):
        facts = results["cases"][entry["case"]]
        if "contrast" in facts and asked(entry):
            found.setdefault(facts["family"], set()).add(facts["contrast"])
    return any(len(contrasts) > 2 for contrasts in found.values())


def against_the_best(results: dict[str, Any], size: int, dim: int) -> list[list[str]]:
    """A row under `HEADER` for every case of that size, and the geometric mean of the factors."""
    rows, factors = [], []
    for case, facts in results["cases"].items():
        if (facts["size"], facts["dim"]) != (size, dim):
            continue
        found = {e["peer"]: e for e in select(results, case=case, rtol=1e-6, mode="fresh") if asked(e)}
        rivals = [found[name] for name in AMG if name in found]
        cheapest, quickest = best(rivals), best(rivals, "solve")
        classical, learned = found.get("multigrid"), found.get(LEARNED)
        ours = [entry for entry in (classical, learned) if entry is not None]
        if not (rivals and ours):
            continue
        total, solve, shown = best(ours), best(ours, "solve"), ["", ""]
        if cheapest and quickest and total and solve:
            factors.append((median(cheapest) / median(total), median(quickest, "solve") / median(solve, "solve")))
            shown = [f"{factor:.2g}" for factor in factors[-1]]
        fewest = min((e for e in rivals if e["converged"]), key=lambda e: e["iterations"], default=None)
        rows.append(
            [
                facts["scene"],
                times(cheapest, cheapest["peer"]) if cheapest else "x",
                f"{median(quickest, 'solve'):.3g} {quickest['peer'].removesuffix('-PCG')}" if quickest else "x",
                f"{fewest['iterations']} {fewest['peer'].removesuffix('-PCG')}" if fewest else "x",
                *(times(entry) if entry else "" for entry in (classical, learned)),
                *shown,
            ]
        )
    if factors:
        means = [statistics.geometric_mean(column) for column in zip(*factors, strict=True)]
        rows.append(["**geometric mean**", *[""] * 5, *(f"**{mean:.2g}**" for mean in means)])
    return rows


def iterations(results: dict[str, Any]) -> list[Table]:
    """A table for each size: coefficients by peers."""
    tables = []
    for size, dim in sorted(
        {(facts["size"], facts["dim"]) for facts in results["cases"].values()}, key=lambda s: s[::-1]
    ):
        cases = {
            case: facts for case, facts in results["cases"].items() if (facts["size"], facts["dim"]) == (size, dim)
        }
        found = {
            (e["case"], e["peer"]): e for e in select(results, size=size, dim=dim, rtol=1e-6, mode="fresh") if asked(e)
        }
        names = ordered({peer for _, peer in found if peer in PEERS})
        rows = [[facts["scene"], *(_count(found.get((case, peer))) for peer in names)] for case, facts in cases.items()]
        tables.append((f"{size}^{dim}", ["coefficient", *map(named, names)], rows))
    return tables


def _cores(results: dict[str, Any]) -> str:
    return " or ".join(cores_of(number) for number in sorted({entry["cores"] for entry in results["entries"]}))


def _count(entry: Entry | None) -> str:
    if entry is None:
        return ""
    return str(entry["iterations"]) if entry["converged"] and seconds(entry) else "x"

"""The tables of README and docs about deepcg's own networks, from the committed JSON."""

from __future__ import annotations

import re

from benchmarks.records.learned import HEADER, SHORT_HEADER, compared, row, short
from benchmarks.records.results import Entry, measured, select, stated_machine
from benchmarks.report import paper_tables
from benchmarks.report.markdown import table
from benchmarks.studies import roofline as rooflines
from deepcg.scenes import gallery as scenes


def iterations() -> str:
    """Iterations by scene and size, physical / noise right-hand side, for both tolerances, with the shipped parameters."""
    results, text = measured("iterations"), []
    for dim in (3, 2):
        sizes = sorted({facts["size"] for facts in results["cases"].values() if facts["dim"] == dim})
        header, rows = ["scene"] + [f"{size}^{dim} to {rtol:g}" for rtol in (1e-6, 1e-10) for size in sizes], []
        for scene in scenes.names(dim, rough=False):
            row = [scene]
            for rtol in (1e-6, 1e-10):
                for size in sizes:
                    wanted = {"scene": scene, "size": size, "dim": dim, "rtol": rtol, "peer": "multilevel network"}
                    pair = [next(select(results, **wanted, rhs=rhs), None) for rhs in ("physical", "noise")]
                    row.append("/".join(count(entry) for entry in pair))
            rows.append(row)
        text.append(table(header, rows))
    return "\n\n".join([*text, f"Physical / white-noise right-hand side. {stated_machine(results)}"])


def count(entry: Entry | None) -> str:
    if entry is None or entry["iterations"] is None:
        return "-"
    mark = "" if entry["converged"] else "*" if "accuracy" in entry["outcome"] + (entry["note"] or "") else "!"
    return f"{entry['iterations']}{mark}"


def learning() -> str:
    """Learned against classical parameters, tuned for each size, on the same kernels: the mean of all scenes."""
    results = measured("finals")
    return f"{table(SHORT_HEADER, [short(group) for group in compared(results)])}\n\n{stated_machine(results)}"


def learning_by_scene() -> str:
    """The same scene by scene."""
    results, rows = measured("finals"), []
    for group in compared(results):
        rows += [row(pair) for pair in group.cases]
        mean = ["", "", "", "", "", f"**{group.ratio():.2f}**"]
        rows.append([f"**all at {group.size}^{group.dim}** (best classical: {group.best})", *mean])
    return f"{table(HEADER, rows)}\n\n{stated_machine(results)}"


def roofline() -> str:
    """Memory, set-up and cycle by size, and the cycle's bytes per second beside a triad's."""
    cases = rooflines.committed()
    machine = stated_machine({"sessions": [case["machine"] for case in cases]})
    return f"{table(rooflines.HEADER, rooflines.rows(cases))}\n\n{machine}"


def paper() -> str:
    """The paper's network beside its baselines, with the ablations and what the networks were trained on."""
    results = measured("paper")
    text = []
    for caption, header, rows in (*paper_tables.tables(results), *paper_tables.training()):
        text.append(f"{caption}:\n\n{table(header, rows)}")
    return "\n\n".join(
        [
            *text,
            f"To a true relative residual of 1e-4; seconds in brackets, - where no run that counts was made. {stated_machine(results)}",
        ]
    )


def gallery() -> str:
    """Every scene to 1e-8."""
    results, rows = measured("wide"), []
    for case, facts in results["cases"].items():
        found = {e["peer"]: e for e in select(results, case=case, rtol=1e-8)}
        if "Jacobi-PCG" in found and "DCDM network" in found:
            network = found["DCDM network"]
            by_fallback = re.match(r"\d+(?= iterations by the fallback)", network["note"] or "")
            rows.append(
                [
                    f"{facts['scene']}, {facts['size']}^{facts['dim']}",
                    str(found["Jacobi-PCG"]["iterations"]),
                    str(network["iterations"]),
                    by_fallback[0] if by_fallback else "0",
                    f"{network['true_residual']:.1e}" if network["converged"] else network["outcome"],
                ]
            )
    header = ["scene", "Jacobi-PCG iterations", "DCDM iterations", "of these by the fallback", "true residual"]
    return table(header, rows) + "\n\n" + stated_machine(results)

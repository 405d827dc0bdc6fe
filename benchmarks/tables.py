"""The figures of README and docs, written from the JSON of the benchmarks.

python -m benchmarks.tables            rewrite the marked blocks of README.md and docs/
python -m benchmarks.tables --check    fail where a block is not what the JSON says
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import paper_tables, petsc_tables
from benchmarks import roofline as rooflines
from benchmarks.learned import HEADER, SHORT_HEADER, compared, row, short
from benchmarks.markdown import table
from benchmarks.peers import AMG, PEERS
from benchmarks.record import RESULTS
from benchmarks.results import Entry, best, latest, median, seconds, select, stated_machine
from benchmarks.section import total
from deepcg import gallery as scenes
from deepcg.model_file import write_atomically

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
BLOCK = "<!-- {0}: written by benchmarks/tables.py -->\n{1}\n<!-- end of {0} -->"
UNMEASURED = "Not measured yet: `deepcg bench` does it."


def measured(plan: str) -> dict[str, Any]:
    """The results that a block is made of.

    Raises
    ------
    FileNotFoundError
        Where nothing was measured.
    """
    found = latest(plan)
    if found is None:
        raise FileNotFoundError(f"{RESULTS / plan}.json: not there; `deepcg bench --plan {plan}` measures it")
    return found


def demo() -> str:
    """The demo's table."""
    results = measured("demo")
    rows = [
        [
            entry["peer"],
            f"{median(entry, 'setup'):.3f}",
            f"{median(entry, 'solve'):.3f}",
            str(entry["iterations"]),
            f"{entry['true_residual']:.1e}",
        ]
        for entry in results["entries"]
    ]
    first = results["entries"][0]
    size = results["cases"][first["case"]]["size"]
    title = f"Smoke past the bunny, {size}^3 cells, to a true relative residual of {first['rtol']:g}:"
    header = ["method", "set-up s", "solve s", "iterations", "true residual"]
    return f"{title}\n\n{table(header, rows)}\n\n{stated_machine(results)}"


def suite() -> str:
    """The quick suite: total seconds of every peer on every 64^3 case at 1e-6."""
    results = latest("quick")
    if results is None:
        return UNMEASURED
    cases = [name for name, facts in results["cases"].items() if facts["size"] == 64 and facts["rhs"] == "physical"]
    found = {(e["case"], e["peer"]): e for e in select(results, rtol=1e-6, cores=2, mode="fresh")}
    rows = [[peer, *(total(found.get((case, peer))) for case in cases)] for peer in PEERS]
    rows = [row for row in rows if any(cell not in ("", "-") for cell in row[1:])]
    header = ["set-up + solve s (iterations)", *(case.removesuffix(" 64^3") for case in cases)]
    note = "64^3 cells, 2 cores, to a true relative residual of 1e-6; medians. x: failed or not solved."
    return f"{table(header, rows)}\n\n{note} {stated_machine(results)}"


def race() -> str:
    """Set-up and solve against the best algebraic multigrid, one row per scene, size and number of cores."""
    results = measured("race")
    rows = []
    for cores in (2, 1):
        for case, facts in results["cases"].items():
            if facts["size"] < 128 or facts["dim"] != 3 or facts["rhs"] != "physical" or facts["steps"] > 1:
                continue
            found = {e["peer"]: e for e in select(results, case=case, rtol=1e-6, cores=cores, mode="fresh")}
            rivals = [found[name] for name in AMG if name in found]
            cheapest, quickest = best(rivals), best(rivals, "solve")
            learned, classical = found.get("multilevel network"), found.get("multigrid")
            if not (cheapest and quickest and learned and classical):
                continue
            rows.append(
                [
                    f"{case}, {cores} core{'s' if cores > 1 else ''}",
                    times(cheapest, cheapest["peer"]),
                    f"{median(quickest, 'solve'):.2f} {quickest['peer'].removesuffix('-PCG')}",
                    times(classical),
                    times(learned),
                    f"{median(cheapest) / median(learned):.0f}",
                    f"{median(quickest, 'solve') / median(learned, 'solve'):.0f}",
                ]
            )
    header = [
        "scene", "best AMG in total: set-up + solve s (iterations)", "best AMG solve s", "ours, classical weights",
        "ours, learned weights", "total, times less", "solve, times less",
    ]  # fmt: skip
    return f"{table(header, rows)}\n\nTo a true relative residual of 1e-6. {stated_machine(results)}"


def scaling() -> str:
    """Time and memory a cell against size; a method that scales has the same everywhere."""
    results = measured("scaling")
    ran = [e for e in results["entries"] if e["mode"] == "fresh" and e["cores"] == 2 and e["converged"] and seconds(e)]
    found = {(e["case"], e["peer"]): e for e in ran}
    cases = {case: facts for case, facts in results["cases"].items() if any(case == key[0] for key in found)}
    order = sorted(cases, key=lambda case: (cases[case]["scene"] != "plume", cases[case]["size"]))

    def cell(case: str, peer: str) -> str:
        entry, cells = found.get((case, peer)), cases[case]["size"] ** cases[case]["dim"]
        if entry is None:
            return ""
        memory = f" ({entry['memory_bytes'] / cells:.0f})" if entry["memory_bytes"] else ""
        return f"{1e6 * median(entry) / cells:.3g}{memory}"

    rows = [[peer, *(cell(case, peer) for case in order)] for peer in PEERS if any(peer == key[1] for key in found)]
    note = "Set-up and solve to 1e-6 on 2 cores in microseconds a cell; in brackets the bytes a cell that the process grew by."
    return f"{table(['', *order], rows)}\n\n{note} {stated_machine(results)}"


def times(entry: Entry, name: str = "") -> str:
    text = f"{median(entry, 'setup'):.3g} + {median(entry, 'solve'):.3g} ({entry['iterations']})"
    return f"{text} {name.removesuffix('-PCG')}".strip()


def iterations() -> str:
    """Iterations by scene and size, physical / noise right-hand side, for both tolerances, with the shipped weights."""
    results, text = measured("iterations"), []
    for dim in (3, 2):
        sizes = sorted({facts["size"] for facts in results["cases"].values() if facts["dim"] == dim})
        header, rows = ["scene"] + [f"{size}^{dim} to {rtol:g}" for rtol in (1e-6, 1e-10) for size in sizes], []
        for scene in scenes.names(dim):
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
    """Learned against classical weights, tuned for each size, on the same kernels."""
    results = measured("finals")
    groups = compared(results)
    rows = []
    for group in groups:
        rows += [row(pair) for pair in group.cases]
        mean = ["", "", "", "", "", f"**{group.ratio():.2f}**"]
        rows.append([f"**all at {group.size}^{group.dim}** (best classical: {group.best})", *mean])
    short_table = table(SHORT_HEADER, [short(group) for group in groups])
    return "\n\n".join([table(HEADER, rows), short_table, stated_machine(results)])


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
    return "\n\n".join([*text, f"To a true relative residual of 1e-4; seconds in brackets. {stated_machine(results)}"])


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


BLOCKS: dict[str, Callable[[], str]] = {
    "demo": demo,
    "suite": suite,
    "race": race,
    "scaling": scaling,
    "iterations": iterations,
    "roofline": roofline,
    "learning": learning,
    "paper": paper,
    "gallery": gallery,
    "petsc plume": petsc_tables.plume,
    "petsc tutorials": petsc_tables.tutorials,
    "messages": petsc_tables.messages,
}
DOCUMENTS = {
    README: (
        "demo",
        "suite",
        "race",
        "scaling",
        "iterations",
        "roofline",
        "learning",
        "petsc plume",
        "paper",
        "gallery",
    ),
    ROOT / "docs" / "petsc.md": ("petsc tutorials",),
    ROOT / "docs" / "scaling.md": ("messages",),
}


def filled(document: Path) -> str:
    """A document's text with every block of its rewritten.

    Raises
    ------
    ValueError
        Where a block is not there.
    """
    text = document.read_text()
    for name in DOCUMENTS[document]:
        write = BLOCKS[name]
        first, last = (re.escape(line) for line in BLOCK.format(name, "\n").split("\n\n\n"))
        pattern = re.compile(f"{first}.*?{last}", re.DOTALL)
        if not pattern.search(text):
            raise ValueError(f"{document.name}: no block {name!r}")
        block = BLOCK.format(name, write())
        text = pattern.sub(lambda _, b=block: b, text)
    return text


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true")
    arguments = parser.parse_args()
    for document in DOCUMENTS:
        new = filled(document)
        if not arguments.check:
            write_atomically(document, new.encode(), overwrite=True)
        elif new != document.read_text():
            sys.exit(f"{document.name}: a block is not what the JSON says; run python -m benchmarks.tables")


if __name__ == "__main__":
    main()

"""The tables of README and docs that compare peers, from the committed JSON: each function writes a table with what is to be said below it."""

from __future__ import annotations

import itertools
from typing import Any

from benchmarks.peers.registry import AMG, OWN, PEERS, STRICT
from benchmarks.plans import FRESH, KEPT, WARM
from benchmarks.records.learned import LEARNED
from benchmarks.records.results import Entry, asked, best, by_machine, measured, median, seconds, select, stated_machine
from benchmarks.report import comparisons
from benchmarks.report.markdown import table
from benchmarks.report.section import cores_of, named, total

MODES = {FRESH: "new set-ups", WARM: "new set-ups, warm start", KEPT: "set-ups kept, warm start"}
STRUCTURED = "hypre PFMG-PCG"
OTHERS = tuple(name for name in PEERS if name not in (*OWN, STRICT))


def demo() -> str:
    """The demo's table."""
    results = measured("demo")
    rows = [
        [
            named(entry["peer"], entry["cores"]),
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
    return f"{title}\n\n{table(header, rows)}\n\n¹: serial. {stated_machine(results)}"


def suite() -> str:
    """The quick suite: total seconds of every peer on every case of 64^3 or 256^2 cells at 1e-6."""
    results = measured("quick")
    cases = [
        case for case, facts in results["cases"].items() if facts["rhs"] == "physical" and facts["size"] in (64, 256)
    ]
    found = {(e["case"], e["peer"]): e for e in select(results, rtol=1e-6, cores=2, mode="fresh")}
    rows = [[named(peer), *(total(found.get((case, peer))) for case in cases)] for peer in PEERS]
    rows = [row for row in rows if any(cell not in ("", "-") for cell in row[1:])]
    header = ["set-up + solve s (iterations)", *(case.removesuffix(" 64^3") for case in cases)]
    note = "64^3 cells but where it is said, 2 cores, to a true relative residual of 1e-6; medians. x: failed; -: does not apply; ¹: serial."
    return f"{table(header, rows)}\n\n{note} {stated_machine(results)}"


def tolerances() -> str:
    """The quick suite's system of white noise, to a loose and to a tight tolerance."""
    results = measured("quick")
    found = {(e["rtol"], e["peer"]): e for e in select(results, rhs="noise", cores=2, mode="fresh")}
    rtols = sorted({rtol for rtol, _ in found}, reverse=True)
    names = [peer for peer in PEERS if (rtols[0], peer) in found]
    rows = [[named(peer), *(total(found.get((rtol, peer))) for rtol in rtols)] for peer in names]
    case = next(iter(found.values()))["case"]
    header = ["set-up + solve s (iterations)", *(f"{case}, to {rtol:g}" for rtol in rtols)]
    return f"{table(header, rows)}\n\n2 cores; ¹: serial. {stated_machine(results)}"


def cores() -> str:
    """What a second core brings: the comparisons that were made on one and on two."""
    text = []
    for results in itertools.chain(by_machine(measured("quick")), by_machine(measured("race"))):
        tables = comparisons.threads(results).tables
        text += [f"{caption}:\n\n{table(header, rows)}" for caption, header, rows in tables]
        text += [stated_machine(results)] if tables else []
    return "\n\n".join(text)


def moving() -> str:
    """Whole time sequences with a moving boundary: total seconds by peer, size and what is kept."""
    results = measured("moving")
    cases = sorted(results["cases"], key=lambda case: results["cases"][case]["size"])
    entries = list(select(results, rtol=1e-6, cores=2))
    found = {(e["case"], e["mode"], e["peer"]): e for e in entries}
    columns = [(case, mode) for case in cases for mode in MODES]
    rows = [[named(peer), *(_kept(found.get((*column, peer))) for column in columns)] for peer in PEERS]
    rows = [row for row in rows if any(cell not in ("", "-") for cell in row[1:])]
    said = []
    for case in cases:
        here = [e for e in entries if e["case"] == case]
        ours = best(e for e in here if e["peer"] == LEARNED)
        for kind, rivals in (("algebraic multigrid", AMG), ("other", OTHERS)):
            rival = best(e for e in here if e["peer"] in rivals)
            if ours and rival:
                said.append(
                    f"At {results['cases'][case]['size']}^3 the best {kind} in the table, {rival['peer']} ({MODES[rival['mode']]}), takes "
                    f"{median(rival) / median(ours):.1f} times as long as the {LEARNED} ({MODES[ours['mode']]})."
                )
    steps = {facts["steps"] for facts in results["cases"].values()}
    note = (
        f"Total seconds for {max(steps)} systems, each to a true relative residual of 1e-6 on 2 cores; in brackets the iterations of all and, where the "
        "set-up may be kept, how often it was made. x: failed; ¹: serial."
    )
    header = ["", *(f"{results['cases'][case]['size']}^3: {MODES[mode]}" for case, mode in columns)]
    return "\n\n".join([table(header, rows), note, " ".join(said), stated_machine(results)])


def _kept(entry: Entry | None) -> str:
    text = total(entry)
    if entry is None or not entry["converged"] or entry["mode"] != KEPT:
        return text
    return text.replace(")", f"; {entry['setups']})")


def times(entry: Entry, name: str = "") -> str:
    """Set-up and solve in seconds, iterations in brackets, and the peer's name."""
    if not entry["converged"]:
        return "x"
    text = f"{median(entry, 'setup'):.3g} + {median(entry, 'solve'):.3g} ({entry['iterations']})"
    return f"{text} {name.removesuffix('-PCG')}".strip()


def race() -> str:
    """Set-up and solve against the best algebraic multigrid and hypre's structured one: a table per machine."""
    return "\n\n".join(_race(results) for results in by_machine(measured("race")))


def _race(results: dict[str, Any]) -> str:
    """One row per scene, size and number of cores."""
    rows: list[list[str]] = []
    absent: list[tuple[str, str]] = []
    for cores, (case, facts) in itertools.product((2, 1), results["cases"].items()):
        if facts["size"] < 128 or facts["dim"] != 3 or facts["rhs"] != "physical" or facts["steps"] > 1:
            continue
        found = {e["peer"]: e for e in select(results, case=case, rtol=1e-6, cores=cores, mode="fresh")}
        rivals = [found[name] for name in AMG if name in found and asked(found[name])]
        cheapest, quickest = best(rivals), best(rivals, "solve")
        structured = found.get(STRUCTURED)
        learned, classical = found.get(LEARNED), found.get("multigrid")
        if not (cheapest and quickest and learned and classical):
            continue
        absent += [(name, f"{case}, {cores_of(cores)}") for name in AMG if found.get(name) not in rivals]
        rows.append(
            [
                f"{case}, {cores_of(cores)}",
                times(cheapest, cheapest["peer"]),
                f"{median(quickest, 'solve'):.2f} {quickest['peer'].removesuffix('-PCG')}",
                times(structured) if structured else "",
                times(classical),
                times(learned),
                f"{median(cheapest) / median(learned):.0f}",
                f"{median(quickest, 'solve') / median(learned, 'solve'):.0f}",
                f"{median(structured) / median(learned):.0f}" if structured and structured["converged"] else "",
            ]
        )
    header = [
        "scene", "best AMG in total: set-up + solve s (iterations)", "best AMG solve s", "hypre PFMG", "ours, classical parameters",
        "ours, learned parameters", "AMG total / ours", "AMG solve / ours", "PFMG total / ours",
    ]  # fmt: skip
    lacking = f" Not run, and so never the best: {_gathered(absent, len(rows))}." if absent else ""
    return f"{table(header, rows)}\n\nTo a true relative residual of 1e-6.{lacking} {stated_machine(results)}"


def _gathered(absent: list[tuple[str, str]], rows: int) -> str:
    """Who was not run where, each place once."""
    places = {peer: tuple(where for name, where in absent if name == peer) for peer, _ in absent}
    told = []
    for where in dict.fromkeys(places.values()):
        peers = ", ".join(peer for peer, there in places.items() if there == where)
        told.append(peers if len(where) == rows else f"{peers} on {'; '.join(where)}")
    return "; ".join(told)


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

    sized = [peer for peer in PEERS if sum(peer == key[1] for key in found) > 1]
    rows = [[named(peer), *(cell(case, peer) for case in order)] for peer in sized]
    note = "Set-up and solve to 1e-6 on 2 cores in microseconds a cell; in brackets the bytes a cell that the process grew by. ¹: serial."
    return f"{table(['', *order], rows)}\n\n{note} {stated_machine(results)}"

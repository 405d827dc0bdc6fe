"""The sections of a report that compare peers case by case: overview, profile, histories, sizes, cores, every figure, settings."""

from __future__ import annotations

import json
from typing import Any

from benchmarks.records.results import Entry, asked, best, median, seconds
from benchmarks.report import pictures
from benchmarks.report.markdown import figure
from benchmarks.report.section import (
    Section,
    cores_of,
    is_sequence,
    megabytes,
    named,
    ordered,
    place,
    slices,
    slug,
    spread,
    total,
)


def overview(results: dict[str, Any]) -> Section:
    """One table per tolerance and cores: total seconds, peers by cases."""
    section = Section(
        "Overview",
        "Set-up and one solve in seconds, iterations in brackets; the quickest in bold; x failed, - does not apply or is not here, "
        "¹ uses one core whatever is there.",
    )
    groups: dict[tuple[float, int], dict[str, dict[str, Entry]]] = {}
    for entry in results["entries"]:
        if entry["mode"] == "fresh" and not is_sequence(results, entry):
            groups.setdefault((entry["rtol"], entry["cores"]), {}).setdefault(entry["case"], {})[entry["peer"]] = entry
    for (rtol, cores), found in sorted(groups.items(), key=lambda item: (-item[0][1], -len(item[1]), item[0][0])):
        names = ordered({peer for entries in found.values() for peer in entries})
        for part in slices(list(found), 8):
            rows = []
            for peer in names:
                cells = [_marked(found[case].get(peer), best(found[case].values())) for case in part]
                if any(cells):
                    rows.append([named(peer, cores), *cells])
            section.tables.append((f"To {rtol:g} on {cores_of(cores)}", ["peer", *part], rows))
    return section


def _marked(entry: Entry | None, quickest: Entry | None) -> str:
    return f"**{total(entry)}**" if entry is not None and entry is quickest else total(entry)


def profiles(results: dict[str, Any]) -> Section:
    section = Section(
        "Performance profile",
        "The fraction of problems that a peer solves within a factor of the quickest (Dolan and Moré 2002), over the problems that "
        "most peers were asked, these being at least half of all; peers that were not asked all of these are left out. A failure counts "
        "as never, and so does a problem that a peer is not made for.",
    )
    drawing = pictures.performance_profile(results)
    if drawing:
        section.pictures.append(("performance-profile", "Performance profile", drawing))
    return section


def histories(results: dict[str, Any]) -> Section:
    section = Section(
        "Convergence",
        "Of the first run of each peer, at the tightest tolerance of each case; direct solvers have no history.",
    )
    tightest: dict[tuple[str, int], float] = {}
    for entry in results["entries"]:
        if entry["residuals"]:
            key = (entry["case"], entry["cores"])
            tightest[key] = min(entry["rtol"], tightest.get(key, 1.0))
    most = max((cores for _, cores in tightest), default=0)
    for (case, cores), rtol in tightest.items():
        drawing = pictures.convergence(results, case, rtol, cores) if cores == most else None
        if drawing:
            section.pictures.append((f"convergence-{slug(case)}", f"{case}, {cores_of(cores)}", drawing))
    return section


def sizes(results: dict[str, Any]) -> Section:
    section = Section(
        "Time and memory against size",
        "To 1e-6. A horizontal line is a cost that is proportional to the number of unknowns.",
    )
    for cores in sorted({e["cores"] for e in results["entries"]}, reverse=True):
        for scene in dict.fromkeys(facts["scene"] for facts in results["cases"].values()):
            drawing = pictures.against_size(results, scene, cores)
            if drawing:
                section.pictures.append((f"size-{scene}-{cores}", f"{scene}, {cores_of(cores)}", drawing))
    return section


def threads(results: dict[str, Any]) -> Section:
    """Where a comparison was made on several numbers of cores: the speed-up."""
    section = Section("Cores", "Total seconds of the same comparison on different numbers of cores.")
    found: dict[tuple[str, float], dict[int, dict[str, Entry]]] = {}
    for entry in results["entries"]:
        if entry["mode"] == "fresh" and entry["converged"]:
            by_cores = found.setdefault((entry["case"], entry["rtol"]), {})
            by_cores.setdefault(entry["cores"], {})[entry["peer"]] = entry
    for (case, rtol), by_cores in found.items():
        numbers = sorted(by_cores)
        if len(numbers) < 2:
            continue
        rows = []
        for peer in ordered(set.intersection(*(set(peers) for peers in by_cores.values()))):
            times = [median(by_cores[n][peer]) for n in numbers]
            rows.append([peer, *(figure(t) for t in times), f"{times[0] / times[-1]:.2f}"])
        header = ["peer", *(f"{cores_of(n)}, s" for n in numbers), "times faster"]
        section.tables.append((f"{case}, to {rtol:g}", header, rows))
    return section


def cases(results: dict[str, Any]) -> Section:
    """Everything about every comparison."""
    section = Section("Every case in full", "Failures stand where they belong, with what was said.")
    header = ["peer", "set-up s", "solve s", "total s", "iterations", "true residual", "MB", "repeats", "remark"]
    groups: dict[tuple[str, float, int], list[Entry]] = {}
    for entry in results["entries"]:
        if entry["mode"] == "fresh" and not is_sequence(results, entry) and entry["settings"] is not None:
            groups.setdefault((entry["case"], entry["rtol"], entry["cores"]), []).append(entry)
    for (case, rtol, cores), found in groups.items():
        rows = [_row(entry) for entry in sorted(found, key=lambda e: place(e["peer"]))]
        columns = len(header) if any(row[-1] for row in rows) else len(header) - 1  # remarks are rare
        facts = results["cases"][case]
        what = f"{facts['unknowns']:,} unknowns" if facts.get("unknowns") else ""
        what += ", singular" if facts.get("singular") else ""
        section.tables.append(
            (f"{case}, to {rtol:g}, {cores_of(cores)} ({what})", header[:columns], [row[:columns] for row in rows])
        )
    return section


def _row(entry: Entry) -> list[str]:
    name = named(entry["peer"], entry["cores"])
    residual, memory = figure(entry["true_residual"]), megabytes(entry)
    if not entry["converged"]:
        spent = f"{entry['iterations']}" if entry["iterations"] else ""
        said = f"**{entry['outcome']}**" if asked(entry) else entry["outcome"]
        return [name, "", "", "", spent, residual, memory, "", said]
    times = (
        [spread(seconds(entry, part)) for part in ("setup", "solve", "total")]
        if entry["setup_seconds"]
        else ["", spread(entry["solve_seconds"]), ""]
    )
    return [
        name,
        *times,
        str(entry["iterations"]),
        residual,
        memory,
        str(len(entry["solve_seconds"])),
        entry["note"] or "",
    ]


def absent(results: dict[str, Any]) -> Section:
    """Peers that could not run here."""
    section = Section("Not here", "Peers of the plan that are not installed on this machine, and how to get them.")
    lacking = {e["peer"]: e["outcome"] for e in results["entries"] if e["settings"] is None and not e["converged"]}
    if lacking:
        section.tables.append(("", ["peer", "why"], [[peer, why] for peer, why in lacking.items()]))
    return section


def settings(results: dict[str, Any]) -> Section:
    section = Section("Settings", "As every peer was run, and where the settings come from.")
    found: dict[tuple[str, str], Entry] = {}
    for entry in results["entries"]:
        if entry["settings"] is not None:
            found.setdefault((entry["peer"], json.dumps(entry["settings"])), entry)
    rows = [
        [peer, text if text != "{}" else "defaults", entry["source"] or "", entry["version"] or ""]
        for (peer, text), entry in sorted(found.items(), key=lambda item: place(item[0][0]))
    ]
    if rows:
        section.tables.append(("", ["peer", "settings", "from", "version"], rows))
    return section

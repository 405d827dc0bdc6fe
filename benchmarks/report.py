"""A report of results: sections of text, tables and pictures, written as Markdown and as one self-contained HTML file.

write(results, Path("out/bench/quick"))    # quick.md, quick.html, quick/*.png and *.svg
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import pictures
from benchmarks.learned import compared, training_seconds
from benchmarks.markdown import figure, table
from benchmarks.page import page
from benchmarks.peers import PEERS, in_precision, with_window
from benchmarks.plans import PAPER_PEERS, PRECISIONS, WINDOWS
from benchmarks.results import Entry, asked, best, median, seconds, stated_machine
from deepcg.model_file import write_atomically

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RULE = (
    "Everybody gets the same b, the same initial guess, the same cores, float64 answers, and has solved when "
    "||b - A x|| <= rtol ||b|| for the x that it returns, evaluated here with the assembled matrix (column true residual). "
    "A solver whose own residual was not the true one goes on from there, and the passes are said. Set-up, solve and memory are measured apart, in a "
    "process for each peer. A first run warms up and does not count; then the peers take turns. Times are medians with the least and the "
    "largest; general solvers have their matrix in their own format before the clock starts, deepcg's set-up and the direct solver's start from "
    "cells and coefficients. Memory is what the process grew by during set-up and solve, beside the system. SciPy and PyAMG are serial "
    "on any number of cores (marked ¹)."
)


@dataclass
class Section:
    """A heading with text, tables (caption, header, rows) and pictures (name, caption, figure)."""

    title: str
    text: str = ""
    tables: list[tuple[str, list[str], list[list[str]]]] = field(default_factory=list)
    pictures: list[tuple[str, str, Figure]] = field(default_factory=list)

    @property
    def empty(self) -> bool:
        return not (self.tables or self.pictures)


def write(results: dict[str, Any], stem: Path) -> Path:
    """Write the Markdown, the pictures and the HTML page; returns the page's path."""
    sections = [section for section in contents(results) if not section.empty]
    drawn = {
        name: {suffix: pictures.drawn(drawing, suffix) for suffix in ("png", "svg")}
        for section in sections
        for name, _, drawing in section.pictures
    }
    for name, forms in drawn.items():
        for suffix, content in forms.items():
            write_atomically(stem / f"{name}.{suffix}", content, overwrite=True)
    title = f"deepcg bench: {results['plan']}"
    write_atomically(stem.with_suffix(".md"), markdown(title, results, sections, stem.name).encode(), overwrite=True)
    html = page(title, summary(results), sections, {name: forms["svg"] for name, forms in drawn.items()})
    return write_atomically(stem.with_suffix(".html"), html.encode(), overwrite=True)


def markdown(title: str, results: dict[str, Any], sections: list[Section], folder: str) -> str:
    parts = [f"# {title}", *summary(results)]
    for section in sections:
        parts += [f"## {section.title}", section.text]
        for caption, header, rows in section.tables:
            parts += [caption and f"**{caption}**", table(header, rows)]
        parts += [f"![{caption}]({folder}/{name}.png)" for name, caption, _ in section.pictures]
    return "\n\n".join(part for part in parts if part) + "\n"


def summary(results: dict[str, Any]) -> list[str]:
    """The paragraphs at the top."""
    entries = results["entries"]
    run = [e for e in entries if asked(e)]
    failed = [e for e in run if not e["converged"]]
    repeats = [len(seconds(e, "solve")) for e in run if e["converged"]]
    last = results["sessions"][-1] if results["sessions"] else {}
    counts = (
        f"{len(results['cases'])} cases, {len(run)} comparisons run, {len(run) - len(failed)} solved, {len(failed)} failed; "
        f"{statistics.median(repeats) if repeats else 0:g} timed repeats in the median. "
        f"Commit {last.get('commit')}, {last.get('started', 'date not recorded')}."
    )
    return [counts, stated_machine(results) if results["sessions"] else "", RULE]


def contents(results: dict[str, Any]) -> Iterator[Section]:
    """All sections; those without anything in them are left out by `write`."""
    yield overview(results)
    yield profiles(results)
    yield histories(results)
    yield sizes(results)
    yield sequences(results)
    yield learning(results)
    yield paper(results)
    yield threads(results)
    yield bandwidth(results)
    yield cases(results)
    yield absent(results)
    yield settings(results)


def overview(results: dict[str, Any]) -> Section:
    """One table per tolerance and cores: total seconds, peers by cases."""
    section = Section(
        "Overview",
        "Set-up and one solve in seconds, iterations in brackets; the quickest in bold; x failed, - does not apply or is not here.",
    )
    groups: dict[tuple[float, int], dict[str, dict[str, Entry]]] = {}
    for entry in results["entries"]:
        if entry["mode"] == "fresh" and not _steps(results, entry):
            groups.setdefault((entry["rtol"], entry["cores"]), {}).setdefault(entry["case"], {})[entry["peer"]] = entry
    for (rtol, cores), found in sorted(groups.items(), key=lambda item: (-item[0][1], -item[0][0])):
        names = _ordered({peer for entries in found.values() for peer in entries})
        for part in _slices(list(found), 8):
            rows = []
            for peer in names:
                cells = [_total(found[case].get(peer), best(found[case].values())) for case in part]
                if any(cells):
                    rows.append([peer, *cells])
            section.tables.append((f"To {rtol:g} on {_cores(cores)}", ["peer", *part], rows))
    return section


def profiles(results: dict[str, Any]) -> Section:
    section = Section(
        "Performance profile",
        "For each peer that was asked on every problem: the fraction of problems that it solves within a factor of the quickest "
        "(Dolan and Moré 2002). A failure counts as never.",
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
            section.pictures.append((f"convergence-{_slug(case)}", f"{case}, {_cores(cores)}", drawing))
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
                section.pictures.append((f"size-{scene}-{cores}", f"{scene}, {_cores(cores)}", drawing))
    return section


def sequences(results: dict[str, Any]) -> Section:
    section = Section(
        "Time sequences with a moving boundary",
        "All systems of a simulation one after another: with a fresh set-up each, with the last pressure as initial guess (the same for all), and with the "
        "set-up kept as preconditioner while its iterations stay below one and a half times those it began with. A kept set-up of deepcg's is "
        "updated for every system in the memory that is there, and counted as set-up time.",
    )
    groups: dict[tuple[str, float, int], list[Entry]] = {}
    for entry in results["entries"]:
        if _steps(results, entry):
            groups.setdefault((entry["case"], entry["rtol"], entry["cores"]), []).append(entry)
    header = ["peer", "mode", "set-ups", "set-up s", "solve s", "total s", "iterations", "largest true residual", "MB"]
    for (case, rtol, cores), found in groups.items():
        quickest = best(found)
        rows = []
        for entry in sorted(found, key=lambda e: (_place(e["peer"]), e["mode"])):
            if not entry["converged"]:
                rows.append([entry["peer"], entry["mode"], entry["outcome"], *[""] * (len(header) - 3)])
                continue
            total = _spread(seconds(entry))
            rows.append(
                [
                    entry["peer"], entry["mode"], str(entry["setups"]), _spread(seconds(entry, "setup")),
                    _spread(seconds(entry, "solve")), f"**{total}**" if entry is quickest else total, str(entry["iterations"]),
                    figure(entry["true_residual"]), _megabytes(entry),
                ]
            )  # fmt: skip
        section.tables.append((f"{case}, to {rtol:g}, {_cores(cores)}", header, rows))
        drawing = pictures.sequence(results, case, rtol, cores)
        if drawing:
            name = f"sequence-{_slug(case)}-{rtol:g}-{cores}"
            section.pictures.append((name, f"{case}: each peer in its best mode", drawing))
    return section


def learning(results: dict[str, Any]) -> Section:
    """Learned against classical weights, with what the training cost."""
    section = Section(
        "What learning buys",
        "The learned weights against the best of the classical cycles on the same kernels, chosen per size by the geometric mean of the solve times. "
        "Outside the training: scenes with what the training's random scenes do not have.",
    )
    rows = []
    for group in compared(results):
        pairs = [
            [p.case, str(p.classical["iterations"]), str(p.learned["iterations"]), figure(1e3 * median(p.classical, "solve")),
             figure(1e3 * median(p.learned, "solve")), f"{p.ratio:.2f}"]
            for p in group.cases
        ]  # fmt: skip
        header = ["case", "classical iterations", "learned", "classical solve ms", "learned", "times faster"]
        section.tables.append((f"{group.size}^{group.dim}, best classical: {group.best}", header, pairs))
        cost = training_seconds(group.dim)
        pays = group.solves_to_pay(cost) if cost else None
        rows.append(
            [
                f"{group.size}^{group.dim}", _ratio(group.ratio()), _ratio(group.ratio(False)), _ratio(group.ratio(True)),
                f"{cost:.0f}" if cost else "-", f"{pays:.0f}" if pays else "never",
            ]
        )  # fmt: skip
    if rows:
        header = ["size", "times faster", "like the training", "outside it", "training s", "solves that pay for it"]
        section.tables.insert(0, ("In short", header, rows))
    return section


def paper(results: dict[str, Any]) -> Section:
    """The paper's network beside the paper's baselines; what window and precision do to it."""
    section = Section(
        "The paper's experiment",
        "Kaneda et al. (ICML 2023): a network that saw the empty box only, on obstacles and larger grids, to a true relative residual of 1e-4, "
        "beside conjugate gradients plain, deflated and with incomplete Cholesky. Iterations, and set-up and solve in seconds in brackets. The window m is "
        "the number of earlier directions that a new one is made conjugate to (the paper: 2); in 16 bits weights and activations are rounded, sums are not. "
        "The paper's own figures are not at hand in a form that can be cited.",
    )
    found: dict[str, dict[str, Entry]] = {}
    for entry in results["entries"]:
        if entry["rtol"] == 1e-4 and entry["mode"] == "fresh":
            found.setdefault(entry["case"], {})[entry["peer"]] = entry
    found = {case: peers for case, peers in found.items() if any(name.startswith("DCDM") for name in peers)}
    windows, precisions = tuple(with_window(m).name for m in WINDOWS), tuple(in_precision(p).name for p in PRECISIONS)
    others = {name for peers in found.values() for name in peers} - {*PAPER_PEERS, *windows, *precisions} - set(PEERS)
    for caption, names in (
        ("Against the baselines", (*PAPER_PEERS, *sorted(others))), ("Window", windows), ("Precision", precisions),
    ):  # fmt: skip
        rows = [
            [case, *(_iterations(peers.get(name)) for name in names)]
            for case, peers in found.items()
            if any(name in peers for name in names if name not in PAPER_PEERS[:-1])
        ]
        if rows:
            section.tables.append((caption, ["case", *(name.removeprefix("DCDM network, ") for name in names)], rows))
    return section


def _iterations(entry: Entry | None) -> str:
    if entry is None:
        return ""
    if not entry["converged"]:
        return "x" if asked(entry) else "-"
    return f"{entry['iterations']} ({figure(median(entry))})" if entry["setup_seconds"] else str(entry["iterations"])


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
        for peer in _ordered(set.intersection(*(set(peers) for peers in by_cores.values()))):
            times = [median(by_cores[n][peer]) for n in numbers]
            rows.append([peer, *(figure(t) for t in times), f"{times[0] / times[-1]:.2f}"])
        header = ["peer", *(f"{_cores(n)}, s" for n in numbers), "times faster"]
        section.tables.append((f"{case}, to {rtol:g}", header, rows))
    return section


def bandwidth(results: dict[str, Any]) -> Section:
    section = Section(
        "Roofline",
        "The multilevel cycle beside what memory allows: bytes per second, by the ledger in kernels/src/rows.hpp, against y += a x on arrays that no "
        "cache holds, measured in the same minute.",
    )
    rows = [
        [
            f"{case['scene']} {case['size']}^3", figure(case["bytes_per_cell"]), figure(1e3 * case["setup_seconds"]),
            figure(1e3 * case["cycle_seconds"]), figure(case["bandwidth"] / 1e9), figure(case["triad"] / 1e9),
        ]
        for case in results.get("roofline") or []
    ]  # fmt: skip
    if rows:
        header = ["scene", "bytes a cell held", "set-up ms", "cycle ms", "cycle GB/s", "triad GB/s"]
        section.tables.append(("", header, rows))
        drawing = pictures.roofline(results)
        if drawing:
            section.pictures.append(("roofline", "Roofline", drawing))
    return section


def cases(results: dict[str, Any]) -> Section:
    """Everything about every comparison."""
    section = Section("Every case in full", "Failures stand where they belong, with what was said.")
    header = ["peer", "set-up s", "solve s", "total s", "iterations", "true residual", "MB", "repeats", "remark"]
    groups: dict[tuple[str, float, int], list[Entry]] = {}
    for entry in results["entries"]:
        if entry["mode"] == "fresh" and not _steps(results, entry) and entry["settings"] is not None:
            groups.setdefault((entry["case"], entry["rtol"], entry["cores"]), []).append(entry)
    for (case, rtol, cores), found in groups.items():
        rows = [_row(entry) for entry in sorted(found, key=lambda e: _place(e["peer"]))]
        facts = results["cases"][case]
        what = f"{facts['unknowns']:,} unknowns" if facts.get("unknowns") else ""
        what += ", singular" if facts.get("singular") else ""
        section.tables.append((f"{case}, to {rtol:g}, {_cores(cores)} ({what})", header, rows))
    return section


def _row(entry: Entry) -> list[str]:
    name = entry["peer"] + (" ¹" if entry["serial"] and entry["cores"] > 1 else "")
    residual, memory = figure(entry["true_residual"]), _megabytes(entry)
    if not entry["converged"]:
        spent = f"{entry['iterations']}" if entry["iterations"] else ""
        said = f"**{entry['outcome']}**" if asked(entry) else entry["outcome"]
        return [name, "", "", "", spent, residual, memory, "", said]
    times = (
        [_spread(seconds(entry, part)) for part in ("setup", "solve", "total")]
        if entry["setup_seconds"]
        else ["", _spread(entry["solve_seconds"]), ""]
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
        for (peer, text), entry in sorted(found.items(), key=lambda item: _place(item[0][0]))
    ]
    if rows:
        section.tables.append(("", ["peer", "settings", "from", "version"], rows))
    return section


def _total(entry: Entry | None, quickest: Entry | None) -> str:
    if entry is None:
        return ""
    if entry["converged"] and entry["setup_seconds"]:
        text = f"{figure(median(entry))} ({entry['iterations']})"
        return f"**{text}**" if entry is quickest else text
    if entry["converged"]:
        return f"({entry['iterations']})"
    return "x" if asked(entry) else "-"


def _spread(values: list[float]) -> str:
    if not values:
        return "-"
    middle = figure(statistics.median(values))
    return middle if len(values) == 1 else f"{middle} ({figure(min(values))}-{figure(max(values))})"


def _megabytes(entry: Entry) -> str:
    return "-" if entry["memory_bytes"] is None else figure(entry["memory_bytes"] / 1e6)


def _ratio(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _cores(number: int) -> str:
    return f"{number} core{'s' if number > 1 else ''}"


def _steps(results: dict[str, Any], entry: Entry) -> bool:
    """Whether the entry is of a sequence."""
    return bool(entry["steps"]) or results["cases"].get(entry["case"], {}).get("steps", 1) > 1


def _place(peer: str) -> int:
    return list(PEERS).index(peer) if peer in PEERS else len(PEERS)


def _ordered(names: set[str]) -> list[str]:
    return sorted(names, key=lambda name: (_place(name), name))


def _slices(items: list[str], length: int) -> Iterator[list[str]]:
    for start in range(0, len(items), length):
        yield items[start : start + length]


def _slug(text: str) -> str:
    return "".join(c if c.isalnum() else "-" for c in text).strip("-").replace("--", "-")

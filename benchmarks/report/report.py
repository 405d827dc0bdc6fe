"""A report of results: sections of text, tables and pictures, written as Markdown and as one self-contained HTML file.

write(results, Path("out/bench/quick"))    # quick.md, quick.html, quick/*.png and *.svg
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.records.results import asked, seconds, stated_machine
from benchmarks.report import comparisons, experiments, pictures
from benchmarks.report.markdown import table
from benchmarks.report.page import page
from benchmarks.report.section import Section
from deepcg.io.files import write_atomically

RULE = (
    "Everybody gets the same b, the same initial guess, the same cores, float64 answers, and has solved when "
    "||b - A x|| <= rtol ||b|| for the x that it returns, evaluated here with the assembled matrix (column true residual). "
    "A solver whose own residual was not the true one goes on from there, and the passes are said. "
    "Set-up, solve and memory are measured apart, in a process for each peer. A first run warms up and does not count; then the peers "
    "take turns, and a run of less than a second follows an uncounted one of the same peer. A run of more than ten minutes is made once, "
    "where keeping its residual history costs nothing. Times are medians with the least and the largest. General solvers have the assembled "
    "matrix before the clock starts, in the format that they are called with (SciPy's CSR, PETSc's AIJ, hypre's structured one for PFMG; what "
    "BoomerAMG or AMGCL make of it is set-up); deepcg's set-up and the direct solver's start from cells and coefficients. "
    "Memory is what the process grew by during set-up and solve, beside the system. "
    "SciPy and PyAMG are serial on any number of cores (marked ¹)."
)


def write(results: dict[str, Any], stem: Path) -> Path:
    """Write the Markdown, the pictures and the HTML page; returns the page's path."""
    sections = [section for section in contents(results) if not section.empty]
    drawn = {name: pictures.drawn(drawing) for section in sections for name, _, drawing in section.pictures}
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
    sessions = [results["sessions"][number] for number in sorted({entry["session"] for entry in entries})]
    commits = ", ".join(dict.fromkeys(str(session.get("commit")) for session in sessions)) or "not recorded"
    last = max((session.get("started", "") for session in sessions), default="") or "date not recorded"
    counts = (
        f"{len(results['cases'])} cases, {len(run)} comparisons run, {len(run) - len(failed)} solved, {len(failed)} failed; "
        f"{statistics.median(repeats) if repeats else 0:g} timed repeats in the median. "
        f"Commit {commits}; {last}."
    )
    return [counts, stated_machine(results) if results["sessions"] else "", RULE]


def contents(results: dict[str, Any]) -> Iterator[Section]:
    """All sections; those without anything in them are left out by `write`."""
    yield comparisons.overview(results)
    yield comparisons.profiles(results)
    yield comparisons.histories(results)
    yield comparisons.sizes(results)
    yield experiments.sequences(results)
    yield experiments.contrast(results)
    yield experiments.learning(results)
    yield experiments.paper(results)
    yield comparisons.threads(results)
    yield experiments.bandwidth(results)
    yield comparisons.cases(results)
    yield comparisons.absent(results)
    yield comparisons.settings(results)

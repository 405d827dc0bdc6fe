"""The sections of a report that answer one question each: time sequences, what learning buys, the paper's experiment, the roofline."""

from __future__ import annotations

from typing import Any

from benchmarks.records import learned
from benchmarks.records.results import Entry, best, seconds
from benchmarks.report import contrast_tables, paper_tables, pictures
from benchmarks.report.markdown import figure
from benchmarks.report.section import Section, cores_of, is_sequence, megabytes, place, slug, spread
from benchmarks.studies import roofline


def sequences(results: dict[str, Any]) -> Section:
    section = Section(
        "Time sequences with a moving boundary",
        "All systems of a simulation one after another: with a fresh set-up each, with the last pressure as initial guess (the same for all), and with the "
        "set-up kept as preconditioner until the iterations that it costs beyond those it began with have taken as long as a set-up. A kept set-up of "
        "deepcg's is updated for every system in the memory that is there, and counted as set-up time.",
    )
    groups: dict[tuple[str, float, int], list[Entry]] = {}
    for entry in results["entries"]:
        if is_sequence(results, entry):
            groups.setdefault((entry["case"], entry["rtol"], entry["cores"]), []).append(entry)
    header = ["peer", "mode", "set-ups", "set-up s", "solve s", "total s", "iterations", "largest true residual", "MB"]
    for (case, rtol, cores), found in groups.items():
        quickest = best(found)
        rows = []
        for entry in sorted(found, key=lambda e: (place(e["peer"]), e["mode"])):
            if not entry["converged"]:
                rows.append([entry["peer"], entry["mode"], entry["outcome"], *[""] * (len(header) - 3)])
                continue
            total = spread(seconds(entry))
            rows.append(
                [
                    entry["peer"], entry["mode"], str(entry["setups"]), spread(seconds(entry, "setup")),
                    spread(seconds(entry, "solve")), f"**{total}**" if entry is quickest else total, str(entry["iterations"]),
                    figure(entry["true_residual"]), megabytes(entry),
                ]
            )  # fmt: skip
        section.tables.append((f"{case}, to {rtol:g}, {cores_of(cores)}", header, rows))
        drawing = pictures.sequence(results, case, rtol, cores)
        if drawing:
            name = f"sequence-{slug(case)}-{rtol:g}-{cores}"
            section.pictures.append((name, f"{case}: each peer in its best mode", drawing))
    return section


def contrast(results: dict[str, Any]) -> Section:
    """Rough coefficients: against the best algebraic multigrid, iterations of everybody, and what the contrast does."""
    section = Section(
        "Rough coefficients",
        "Each kind of coefficient at its contrasts, to 1e-6. The factors are to the better of deepcg's two; in the pictures a cross is a failure.",
    )
    sizes = {(facts["size"], facts["dim"]) for facts in results["cases"].values() if "contrast" in facts}
    for size, dim in sorted(sizes, key=lambda s: s[::-1]):
        rows = contrast_tables.against_the_best(results, size, dim)
        if rows:
            section.tables.append((f"Against algebraic multigrid, {size}^{dim}", contrast_tables.HEADER, rows))
        drawing = pictures.against_contrast(results, size, dim)
        if drawing:
            section.pictures.append((f"contrast-{size}-{dim}", f"Against the contrast, {size}^{dim}", drawing))
    if sizes:
        section.tables += [
            (f"Iterations, {caption}", header, rows) for caption, header, rows in contrast_tables.iterations(results)
        ]
    return section


def learning(results: dict[str, Any]) -> Section:
    """Learned against classical parameters, with what the training cost."""
    section = Section(
        "What learning buys",
        "The learned parameters against the best of the classical cycles on the same kernels, chosen per size by the geometric mean of the solve times. "
        "Outside the training: scenes with what the training's random scenes do not have. Solves that pay for it: after how many of the mean "
        "case the training's own time is saved, the training being done once for all scenes and sizes of a dimension.",
    )
    groups = learned.compared(results)
    if groups:
        section.tables.append(("In short", learned.SHORT_HEADER, [learned.short(group) for group in groups]))
    for group in groups:
        caption = f"{group.size}^{group.dim}, best classical: {group.best}"
        section.tables.append((caption, learned.HEADER, [learned.row(pair) for pair in group.cases]))
    drawing = pictures.learning(groups)
    if drawing:
        section.pictures.append(
            ("learning", "Solve time with the best classical parameters over that with the learned", drawing)
        )
    return section


def paper(results: dict[str, Any]) -> Section:
    """The paper's network beside the paper's baselines; what window and precision do to it."""
    section = Section(
        "The paper's experiment",
        "Kaneda et al. (ICML 2023): a network that saw the empty box only, on obstacles and larger grids, to a true relative residual of 1e-4, "
        "beside conjugate gradients plain, deflated and with incomplete Cholesky. Iterations, and set-up and solve in seconds in brackets. The window m is "
        "the number of earlier directions that a new one is made conjugate to (the paper: 2); in 16 bits weights and activations are rounded, sums are not, "
        "and the time is not that of a processor with 16-bit arithmetic. The paper's own figures are not at hand in a form that can be cited.",
        paper_tables.tables(results),
    )
    for case, cores in paper_tables.ablated(results):
        drawing = pictures.convergence(results, case, paper_tables.RTOL, cores, paper_tables.VARIANTS)
        if drawing:
            section.pictures.append((f"variants-{slug(case)}", f"{case}: window and precision", drawing))
    if section.tables:
        section.tables += paper_tables.training()
    return section


def bandwidth(results: dict[str, Any]) -> Section:
    """The cycle against the machine's memory; of the run, or else as it was measured for README."""
    cases, where = roofline.measured(results)
    section = Section(
        "Roofline",
        "The multilevel cycle beside what the machine allows: bytes per second by the ledger in kernels/src/cycle/row_kernels.hpp. "
        "Sweeps: each pass over the fine level counts its own bytes. Cycle: only what must come from memory where a level's passes run as one wave. "
        "Roofline: the lower of y += a x on arrays that no cache holds and of "
        f"the processor's multiplications and additions, measured in the same minute. {where}".strip(),
    )
    if cases:
        section.tables.append(("", roofline.HEADER, roofline.rows(cases)))
        section.pictures.append(("roofline", "Roofline", pictures.roofline(cases)))
    return section

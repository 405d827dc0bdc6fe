"""The pictures of a report: performance profiles, convergence histories, time and memory against size, roofline.

Each function takes results and returns a figure, or None where the results have nothing for it.
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.peers.registry import PEERS, VARIANT
from benchmarks.records.results import Entry, asked, median, seconds, select
from deepcg.io.plots import STYLE

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from benchmarks.records.learned import AtSize

OURS = {
    "multilevel network": "#b3202a",
    "multigrid": "#e0853d",
    "multigrid, tuned": "#8d5a2b",
    "DCDM network": "#7b4397",
}
OTHERS = ("#1f4e79", "#3a86b7", "#2a9d8f", "#588157", "#a3b18a", "#5c677d", "#98a2b3", "#26355d", "#69b3a2", "#8338ec")
DASHES = ("-", (0, (4, 1.5)), (0, (1, 1)), (0, (5, 1.5, 1, 1.5)))


def style(peer: str) -> dict[str, Any]:
    """Line style of a peer, the same in every picture: deepcg's own stand out, the others differ by colour and dashes."""
    if peer in OURS:
        return {"color": OURS[peer], "linewidth": 2.2, "linestyle": "-", "zorder": 3}
    names = [name for name in PEERS if name not in OURS]
    place = names.index(peer) if peer in names else sum(map(ord, peer))
    dash = DASHES[place % len(DASHES)]
    return {"color": OTHERS[place % len(OTHERS)], "linewidth": 1.3, "linestyle": dash, "zorder": 2}


def variety(place: int) -> dict[str, Any]:
    """Line style by place, for peers that have none of their own."""
    return {"color": OTHERS[place % len(OTHERS)], "linewidth": 1.5, "linestyle": DASHES[place % len(DASHES)]}


def drawn(figure: Figure) -> dict[str, bytes]:
    """The figure as "png" and "svg"."""
    import matplotlib

    forms = {}
    with matplotlib.rc_context(STYLE):
        for suffix, metadata in (("png", {}), ("svg", {"Date": None})):
            content = io.BytesIO()
            figure.savefig(content, format=suffix, dpi=160, metadata=metadata)
            figure.set_layout_engine(
                "none"
            )  # what the first has found holds for the second, and finding it is most of the time
            forms[suffix] = content.getvalue()
    return forms


def _figure(width: float = 7.2, height: float = 4.2) -> Figure:
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        FigureCanvasAgg(figure)
    return figure


def _axes(figure: Figure, *place: int) -> Any:
    import matplotlib

    with matplotlib.rc_context(STYLE):
        return figure.add_subplot(*place)


def _legend(figure: Figure, axes: Any) -> None:
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right center", fontsize=8, frameon=False, handlelength=2.6)


def problems(entries: Iterable[Entry]) -> dict[tuple, dict[str, Entry]]:
    """Entries by problem (case, tolerance, cores) and peer: single systems, where at least two peers were asked."""
    groups: dict[tuple, dict[str, Entry]] = {}
    for entry in entries:
        if entry["mode"] == "fresh" and not entry["steps"] and entry["settings"] is not None:
            groups.setdefault((entry["case"], entry["rtol"], entry["cores"]), {})[entry["peer"]] = entry
    return {key: found for key, found in groups.items() if len(found) > 1}


def profile(groups: dict[tuple, dict[str, Entry]], part: str) -> dict[str, np.ndarray]:
    """For each peer, the sorted ratios of its time to the best of each problem; infinite where it failed or was not fit.

    Of peers that were asked on every problem only, so that all fractions are of the same number (Dolan and More, "Benchmarking
    optimization software with performance profiles", Math. Program. 91, 2002).
    """
    everywhere = set.intersection(*(set(found) for found in groups.values())) if groups else set()
    ratios: dict[str, list[float]] = {peer: [] for peer in PEERS if peer in everywhere}
    for found in groups.values():
        times = {peer: median(found[peer], part) for peer in ratios}
        quickest = min(times.values())
        if np.isfinite(quickest):
            for peer, value in times.items():
                ratios[peer].append(value / quickest)
    return {peer: np.sort(values) for peer, values in ratios.items() if values}


def performance_profile(results: dict[str, Any]) -> Figure | None:
    """Which fraction of the problems each peer solves within a factor of the quickest, for total and solve alone."""
    groups = shared(_complete(problems(results["entries"])))
    profiles = {part: profile(groups, part) for part in ("total", "solve")}
    if not groups or len(profiles["total"]) < 2:
        return None
    figure = _figure(9.0, 3.8)
    for place, (part, curves) in enumerate(profiles.items(), 1):
        axes = _axes(figure, 1, 2, place)
        top = max(2.0, *(float(c[np.isfinite(c)].max(initial=1.0)) for c in curves.values()))
        for peer, ratios in curves.items():
            x = np.concatenate([[1.0], ratios[np.isfinite(ratios)], [top]])
            steps = np.arange(1, np.isfinite(ratios).sum() + 1) / ratios.size
            y = np.concatenate([[np.mean(ratios <= 1.0)], steps, steps[-1:] if steps.size else [0.0]])
            axes.step(x, y, where="post", label=peer, **style(peer))
        title = "set-up and one solve" if part == "total" else "solve alone"
        axes.set(xscale="log", xlim=(1.0, top), ylim=(0.0, 1.03), xlabel="times the quickest", title=title)
        if place == 1:
            axes.set_ylabel(f"fraction of {len(groups)} problems")
    _legend(figure, axes)
    return figure


def shared(groups: dict[tuple, dict[str, Entry]]) -> dict[tuple, dict[str, Entry]]:
    """The problems that as many peers as possible were asked, as long as these are at least half of all."""

    def asked_all(peers: frozenset[str]) -> dict[tuple, dict[str, Entry]]:
        return {key: found for key, found in groups.items() if peers <= set(found)}

    candidates = [frozenset.intersection(*map(frozenset, groups.values()))] if groups else []
    candidates += [peers for peers in map(frozenset, groups.values()) if 2 * len(asked_all(peers)) >= len(groups)]
    return asked_all(max(candidates, key=len, default=frozenset()))


def _complete(groups: dict[tuple, dict[str, Entry]]) -> dict[tuple, dict[str, Entry]]:
    """The problems that others were asked too, and that an interruption has not left half done."""
    own = "multilevel network"
    whole = {key: found for key, found in groups.items() if len(found) > 3 and own in found}
    return {key: found for key, found in whole.items() if seconds(found[own]) or not found[own]["converged"]}


def convergence(
    results: dict[str, Any], case: str, rtol: float, cores: int, variants: frozenset[str] = frozenset()
) -> Figure | None:
    """Relative residual against iterations, of every peer that kept a history, and against time; or of these variants of peers."""
    found = [
        e for e in select(results, case=case, rtol=rtol, cores=cores, mode="fresh") if len(e["residuals"] or ()) > 1
    ]
    found = [e for e in found if (e["peer"] in variants if variants else e["source"] != VARIANT)]
    looks = {e["peer"]: variety(place) if variants else style(e["peer"]) for place, e in enumerate(found)}
    if len(found) < 2:
        return None
    figure = _figure(9.0, 3.8)
    left, right = _axes(figure, 1, 2, 1), _axes(figure, 1, 2, 2)
    for entry in found:
        residuals = np.array(entry["residuals"], dtype=float)
        residuals[residuals <= 0] = np.nan
        left.plot(np.arange(residuals.size), residuals, label=entry["peer"], **looks[entry["peer"]])
        if entry["converged"] and seconds(entry):
            setup, solve = median(entry, "setup"), median(entry, "solve")
            right.plot(setup + solve * np.linspace(0, 1, residuals.size), residuals, **looks[entry["peer"]])
    left.set(xscale="symlog", yscale="log", xlim=(0, None), xlabel="iterations", ylabel="relative residual")
    left.set_xscale("symlog", linthresh=10)
    right.set(xscale="log", yscale="log", xlabel="seconds, set-up included")
    times = [median(e) for e in found if e["converged"] and seconds(e)]
    if times:
        right.set_xlim(min(times) / 10, max(times) * 1.3)
    else:
        right.set_axis_off()
    for axes in (left, right) if times else (left,):
        axes.axhline(rtol, color="#888888", linewidth=0.8, linestyle=":")
        axes.set_ylim(bottom=rtol / 20)
    _legend(figure, left)
    return figure


def against_size(results: dict[str, Any], scene: str, cores: int) -> Figure | None:
    """Total seconds and memory per unknown against the number of unknowns, of one scene at 1e-6."""
    lines: dict[str, list[tuple[int, float, float | None]]] = {}
    for entry in select(results, scene=scene, rhs="physical", rtol=1e-6, cores=cores, mode="fresh", dim=3):
        if entry["converged"] and seconds(entry) and not entry["steps"]:
            n = results["cases"][entry["case"]]["unknowns"]
            memory = entry["memory_bytes"]
            lines.setdefault(entry["peer"], []).append((n, median(entry), memory / n if memory else None))
    lines = {peer: sorted(points) for peer, points in lines.items() if len(points) > 1}
    if not lines:
        return None
    figure = _figure(9.0, 3.8)
    left, right = _axes(figure, 1, 2, 1), _axes(figure, 1, 2, 2)
    remembered = any(point[2] for points in lines.values() for point in points)
    for peer, points in lines.items():
        n = [point[0] for point in points]
        each = {"marker": "o", "markersize": 3, **style(peer)}
        left.plot(n, [1e6 * point[1] / point[0] for point in points], label=peer, **each)
        if remembered:
            right.plot(n, [np.nan if point[2] is None else point[2] for point in points], **each)
    for axes, what in (
        (left, "microseconds per unknown, set-up and solve"),
        (right, "bytes per unknown, beside the system"),
    ):
        axes.set(xscale="log", yscale="log", xlabel="unknowns", ylabel=what)
        counts = sorted({round(point[0], -3): point[0] for points in lines.values() for point in points}.values())
        axes.set_xticks(counts, [f"{count / 1e6:.2g}M" for count in counts])
        axes.set_xticks([], minor=True)
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_formatter(lambda value, place: f"{value:g}" if f"{value:.0e}"[0] in "25" else "")
    if not remembered:
        right.set_axis_off()
    _legend(figure, left)
    return figure


def against_contrast(results: dict[str, Any], size: int, dim: int) -> Figure | None:
    """Iterations and total seconds against the contrast, a column for each kind of coefficient; a failure is a cross above the rest."""
    columns: dict[str, dict[str, list[tuple[float, Entry]]]] = {}
    for entry in select(results, size=size, dim=dim, rtol=1e-6, mode="fresh"):
        facts = results["cases"][entry["case"]]
        if "contrast" in facts and asked(entry):
            lines = columns.setdefault(facts["family"], {})
            lines.setdefault(entry["peer"], []).append((facts["contrast"], entry))
    columns = {family: lines for family, lines in columns.items() if any(len(points) > 2 for points in lines.values())}
    if not columns:
        return None
    figure = _figure(2.6 * len(columns) + 2.4, 5.0)
    names = sorted({peer for lines in columns.values() for peer in lines}, key=list(PEERS).index)
    for row, (what, value) in enumerate(
        (("iterations", lambda e: float(e["iterations"])), ("seconds, set-up and solve", median))
    ):
        solved = [value(e) for lines in columns.values() for points in lines.values() for _, e in points if _timed(e)]
        top = 3.0 * max(solved, default=1.0)
        for place, (family, lines) in enumerate(columns.items(), 1):
            axes = _axes(figure, 2, len(columns), row * len(columns) + place)
            for peer in names:
                points = sorted(lines.get(peer, ()), key=lambda point: point[0])
                x, y = [c for c, _ in points], [value(e) if _timed(e) else np.nan for _, e in points]
                axes.plot(x, y, label=peer, **({"marker": "o", "markersize": 3} | style(peer)))
                failed = [c for c, e in points if not _timed(e)]
                axes.plot(failed, [top] * len(failed), "x", markersize=5, color=style(peer)["color"])
            axes.set(xscale="log", yscale="log", ylim=(None, 1.5 * top))
            axes.yaxis.set_major_formatter("{x:g}")
            axes.minorticks_off()
            if row == 0:
                axes.set_title(family, fontsize=9)
            else:
                axes.set_xlabel("contrast")
            if place == 1:
                axes.set_ylabel(what)
    _legend(figure, axes)
    return figure


def _timed(entry: Entry) -> bool:
    return entry["converged"] and bool(seconds(entry))


def roofline(cases: list[dict[str, Any]]) -> Figure:
    """The cycle's bytes per second against the triad's, by size."""
    figure = _figure(6.4, 3.6)
    axes = _axes(figure)
    roof = max(case["roofline"] for case in cases) / 1e9
    for scene, colour in zip(dict.fromkeys(case["scene"] for case in cases), ("#b3202a", "#1f4e79"), strict=False):
        for what, label, style in (("sweep_bandwidth", "fine sweeps", "-"), ("bandwidth", "whole cycle as waves", ":")):
            points = sorted((case["size"], case[what] / 1e9) for case in cases if case["scene"] == scene)
            axes.plot(*zip(*points, strict=True), style, marker="o", color=colour, label=f"{label}, {scene}")
    axes.axhline(roof, color="#444444", linestyle="--", label=f"measured roofline, {roof:.0f} GB/s")
    sizes = sorted({case["size"] for case in cases})
    axes.set(
        xlabel="cells a side", ylabel="GB/s by the ledger of bytes", xscale="log", yscale="log", ylim=(None, 3 * roof)
    )
    axes.set_xticks(sizes, [f"{size}$^3$" for size in sizes])
    axes.minorticks_off()
    axes.legend(fontsize=8, frameon=False)
    return figure


def sequence(results: dict[str, Any], case: str, rtol: float, cores: int) -> Figure | None:
    """Seconds per system along a time sequence, each peer in its best mode."""
    best: dict[str, Entry] = {}
    for entry in select(results, case=case, rtol=rtol, cores=cores):
        if entry["converged"] and entry["steps"]:
            peer = entry["peer"]
            if peer not in best or median(entry) < median(best[peer]):
                best[peer] = entry
    if not best:
        return None
    figure = _figure(8.0, 3.8)
    axes = _axes(figure)
    for peer, entry in best.items():
        steps = entry["steps"]
        total = np.add(steps["setup_seconds"], steps["solve_seconds"])
        axes.plot(np.arange(1, total.size + 1), total, label=f"{peer}: {entry['mode']}", **style(peer))
    axes.set(yscale="log", xlabel="system", ylabel="seconds, set-up and solve")
    _legend(figure, axes)
    return figure


def learning(groups: list[AtSize]) -> Figure | None:
    """How many times less solve time the learned parameters need, by scene and size; scenes outside the training are hollow."""
    if not groups:
        return None
    scenes = list(dict.fromkeys(pair.case.split()[0] for group in groups for pair in group.cases))
    figure = _figure(8.0, 0.9 + 0.28 * len(scenes))
    axes = _axes(figure)
    for place, group in enumerate(groups):
        colour, shift = OTHERS[place % len(OTHERS)], 0.16 * (place - (len(groups) - 1) / 2)
        for outside in (False, True):
            pairs = [pair for pair in group.cases if pair.outside == outside]
            axes.plot(
                [pair.ratio for pair in pairs], [scenes.index(pair.case.split()[0]) + shift for pair in pairs], "o", color=colour,
                markerfacecolor="white" if outside else colour, label=f"{group.size}^{group.dim}{', outside the training' if outside else ''}",
            )  # fmt: skip
        axes.axvline(group.ratio() or 1.0, color=colour, linewidth=0.8, linestyle=":")
    axes.axvline(1.0, color="#444444", linewidth=0.8)
    axes.set(
        xlabel="times faster than the best classical parameters (dotted: geometric mean)",
        ylim=(len(scenes) - 0.5, -0.5),
    )
    axes.set_yticks(range(len(scenes)), scenes)
    _legend(figure, axes)
    return figure

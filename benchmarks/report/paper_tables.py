"""The paper's experiment as tables: its network beside its baselines, and what the window and the precision do to it.

One home for README's block and the report's section. In brackets: set-up and solve in seconds.
"""

from __future__ import annotations

from typing import Any

from benchmarks.paths import ROOT
from benchmarks.peers.registry import PEERS, in_precision, with_window
from benchmarks.plans import PAPER_BASELINES, PAPER_NETWORKS, PAPER_PEERS, PAPER_SCENES, PRECISIONS, WINDOWS
from benchmarks.records.results import Entry, asked, median, select
from benchmarks.report.markdown import figure
from benchmarks.report.section import Table, ordered
from deepcg.io import model_file

RTOL = 1e-4
WINDOW_NAMES = {with_window(m).name: "all" if m is None else str(m) for m in WINDOWS}
PRECISION_NAMES = {in_precision(precision).name: precision for precision in PRECISIONS}
VARIANTS = frozenset({*WINDOW_NAMES, *PRECISION_NAMES})


def ablated(results: dict[str, Any]) -> list[tuple[str, int]]:
    """The cases, and numbers of cores, on which window and precision were varied."""
    found = select(results, rtol=RTOL, mode="fresh")
    return list(dict.fromkeys((entry["case"], entry["cores"]) for entry in found if entry["peer"] in VARIANTS))


def tables(results: dict[str, Any]) -> list[Table]:
    """The comparison, the window and the precision, of those that were measured."""
    found: dict[str, dict[str, Entry]] = {}
    for entry in select(results, rtol=RTOL, mode="fresh"):
        found.setdefault(entry["case"], {})[entry["peer"]] = entry
    facts = results["cases"]
    found = {
        case: found[case]
        for case in sorted(found, key=lambda case: (facts[case]["size"], _place(facts[case]["scene"])))
    }
    of_window = _part(found, "Window m", WINDOW_NAMES)
    of_precision = _part(found, "Precision", PRECISION_NAMES)
    return [made for made in (_comparison(found), of_window, of_precision) if made[2]]


def _place(scene: str) -> int:
    return PAPER_SCENES.index(scene) if scene in PAPER_SCENES else len(PAPER_SCENES)


def _comparison(found: dict[str, dict[str, Entry]]) -> Table:
    """Baselines and networks on every case where a network was asked; the user's own networks among them."""
    everybody = {name for peers in found.values() for name in peers}
    others = ordered(everybody - set(PEERS) - VARIANTS)
    networks = [name for name in (*PAPER_NETWORKS, *others) if _run_somewhere(found, name)]
    cases = {case: peers for case, peers in found.items() if any(name in peers for name in networks)}
    baselines = [name for name in PAPER_BASELINES if _run_somewhere(cases, name)]
    reference = [name for name in PAPER_PEERS if name not in (*PAPER_BASELINES, *PAPER_NETWORKS)]
    names = [*baselines, *networks, *(name for name in reference if _run_somewhere(cases, name))]
    rows = [
        [case, *(cell(peers.get(name)) for name in names), *(_fewer(peers, name) for name in networks)]
        for case, peers in cases.items()
    ]
    header = ["scene", *map(_short, names), *(f"CG / {_short(name)}" for name in networks)]
    return "Against the baselines", header, rows


def _part(found: dict[str, dict[str, Entry]], caption: str, names: dict[str, str]) -> Table:
    cases = {case: peers for case, peers in found.items() if any(name in peers for name in names)}
    there = {name: label for name, label in names.items() if _run_somewhere(cases, name)}
    rows = [[case, *(cell(peers.get(name)) for name in there)] for case, peers in cases.items() if there]
    return caption, ["scene", *there.values()], rows


def _run_somewhere(cases: dict[str, dict[str, Entry]], name: str) -> bool:
    return any(name in peers and asked(peers[name]) for peers in cases.values())


def _short(name: str) -> str:
    return name.replace("DCDM network", "DCDM")


def _fewer(peers: dict[str, Entry], network: str) -> str:
    """How many times fewer iterations than plain CG."""
    pair = [peers[name] for name in ("CG", network) if name in peers and peers[name]["converged"]]
    return f"{pair[0]['iterations'] / pair[1]['iterations']:.1f}" if len(pair) == 2 else ""


def cell(entry: Entry | None) -> str:
    """Iterations, and in brackets seconds."""
    if entry is None:
        return ""
    if not entry["converged"]:
        return "x" if asked(entry) else "-"
    return f"{entry['iterations']} ({figure(median(entry))})"


def training() -> list[Table]:
    """What the networks that are here were trained on and how long, by their own record; empty where none can be read."""
    rows = []
    for name in PAPER_NETWORKS:
        if PEERS[name].missing():
            continue
        model = PEERS[name].settings_for(None, 1)["model"]
        path = ROOT / model
        facts = model_file.describe(path if path.is_file() else model_file.resolve(model, 3))["training"]
        stages = ", ".join(f"{s['size']}^3: {s['steps']} x {s['batch']}" for s in facts["stages"])
        rows.append([name, stages, f"{facts['seconds']:.0f}", facts["machine"]])
    header = ["network", "empty boxes: steps x batch", "training s", "on"]
    return [("Trained on", header, rows)] if rows else []

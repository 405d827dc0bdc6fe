"""Results: a journal's runs gathered into entries, one per case, tolerance, cores, peer and mode; JSON that tables and plots are made of.

{"format": "deepcg-bench 1", "plan": "quick",
 "sessions": [machine, versions, commit, time, ...],
 "cases": {name: what it is},
 "entries": [{case, rtol, cores, peer, mode, outcome, settings, version, setup_seconds: [every repeat], solve_seconds: [...],
              iterations, residuals: [of the first run, relative], true_residual: the largest of all repeats, memory_bytes, ...}]}

    python -m benchmarks.records.results out/bench/quick.json      publish: into results/quick.json, beside what is there
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.paths import RESULTS
from benchmarks.records.journal import Journal
from deepcg.io.files import write_atomically

FORMAT = "deepcg-bench 1"
IDENTITY = ("case", "rtol", "cores", "peer", "mode")
WITHIN_FULL = ("moving", "scaling", "paper", "learning", "iterations", "wide")  # plans that are parts of `full`
NAMED = 8  # comparisons that are named where they were measured on another machine
TIMED = ("setup_seconds", "solve_seconds", "setup_cpu_seconds", "solve_cpu_seconds")

Entry = dict[str, Any]


def gather(journal: Journal, plan: str) -> dict[str, Any]:
    """The entries of everything that the journal holds."""
    groups: dict[tuple, list[Entry]] = {}
    runs = [run for run in journal.runs.values() if "peer" in run]
    for run in runs:
        groups.setdefault(identity(run), []).append(run)
    cases = {run["case"]: run["facts"] for run in runs if "facts" in run}
    entries = [_entry(group) for group in groups.values()]
    rooflines = [run["roofline"] for run in journal.runs.values() if "roofline" in run]
    return {
        "format": FORMAT, "plan": plan, "sessions": journal.sessions, "cases": cases, "roofline": rooflines, "entries": entries,
    }  # fmt: skip


def _entry(runs: list[Entry]) -> Entry:
    """An entry of runs in the order in which they were made; those of other settings than the newest's are left out."""
    settings = runs[-1].get("settings")
    runs = sorted((run for run in runs if run.get("settings") == settings), key=lambda run: run["repeat"])
    timed = [run for run in runs if run["repeat"] > 0 or run.get("counts", False)]
    failed = next((run for run in runs if run["outcome"] != "converged"), None)
    last = failed or runs[-1]
    # the first run also loads the library, so it speaks of memory only where there is no other
    memory = [run["memory_bytes"] for run in timed or runs if run.get("memory_bytes") is not None]
    residuals = [run["true_residual"] for run in runs if run.get("true_residual") is not None]
    entry = {name: last[name] for name in IDENTITY}
    entry |= {"outcome": last["outcome"], "converged": failed is None, "unfit": last.get("unfit", False)}
    entry |= {"serial": last["serial"], "source": last["source"]}
    entry |= {name: last.get(name) for name in ("settings", "version", "note", "iterations", "steps", "setups")}
    entry |= {name: [run[name] for run in timed if run.get(name) is not None] for name in TIMED}
    entry["residuals"] = next((run["residuals"] for run in runs if run.get("residuals")), None)
    entry["true_residual"] = max(residuals, default=None)
    entry["memory_bytes"] = max(memory, default=None)
    entry["session"] = last["session"]
    return entry


def save(path: Path, results: dict[str, Any]) -> Path:
    """Write results as JSON, whole or not at all; a line per entry, so that versions can be compared."""
    parts = {key: json.dumps(value, indent=1) for key, value in results.items() if key != "entries"}
    lines = ",\n".join(json.dumps(entry) for entry in results["entries"])
    head = "".join(f"{json.dumps(key)}: {text},\n" for key, text in parts.items())
    return write_atomically(path, ("{\n" + head + '"entries": [\n' + lines + "\n]\n}\n").encode(), overwrite=True)


def load(path: Path) -> dict[str, Any]:
    """Results from a file.

    Raises
    ------
    ValueError, OSError
        Where there are none.
    """
    try:
        results = json.loads(path.read_text())
    except ValueError as error:
        raise ValueError(f"{path}: no JSON ({error}); a file that `deepcg bench` wrote is needed") from None
    if not isinstance(results, dict) or results.get("format") != FORMAT:
        raise ValueError(f"{path}: no results of format {FORMAT!r}; a file that `deepcg bench` wrote is needed")
    return results


def merged(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """Old results with the new ones beside them or, for the same comparison, in their place; sessions that nothing is left of are dropped.

    A peer that was not here, or was interrupted before a run that counts, takes nobody's place.
    """
    shift, sessions = len(old["sessions"]), old["sessions"] + new["sessions"]
    entries = {identity(entry): entry for entry in old["entries"]}
    for entry in new["entries"]:
        whole = entry["settings"] is not None and (seconds(entry) or not entry["converged"])
        if whole or identity(entry) not in entries:
            entries.pop(identity(entry), None)
            entries[identity(entry)] = {**entry, "session": entry["session"] + shift}
    used = sorted({entry["session"] for entry in entries.values()})
    return new | {
        "sessions": [sessions[number] for number in used],
        "cases": old["cases"] | new["cases"],
        "roofline": new.get("roofline") or old.get("roofline", []),
        "entries": [{**entry, "session": used.index(entry["session"])} for entry in entries.values()],
    }


def latest(plan: str, folder: Path = RESULTS) -> dict[str, Any] | None:
    """The committed results of a plan, or those of `full`, where it is a part of it: what was measured last. None where neither is there."""
    names = [plan, "full"] if plan in WITHIN_FULL else [plan]
    found = [load(path) for name in names if (path := folder / f"{name}.json").exists()]
    return max(found, key=lambda results: results["sessions"][-1].get("started", ""), default=None)


def measured(plan: str) -> dict[str, Any]:
    """The committed results of a plan.

    Raises
    ------
    FileNotFoundError
        Where nothing was measured.
    """
    found = latest(plan)
    if found is None:
        raise FileNotFoundError(f"{RESULTS / plan}.json: not there; `deepcg bench --plan {plan}` measures it")
    return found


def identity(entry: Entry) -> tuple:
    """What is compared: two entries of one identity measure the same."""
    return tuple(entry[name] for name in IDENTITY)


def select(results: dict[str, Any], **wanted: Any) -> Iterator[Entry]:
    """Entries with these values; `scene`, `size`, `dim`, `rhs` and `steps` are looked up in the case's facts."""
    for entry in results["entries"]:
        facts = results["cases"].get(entry["case"], {})
        if all(entry.get(name, facts.get(name)) == value for name, value in wanted.items()):
            yield entry


def seconds(entry: Entry, part: str = "total") -> list[float]:
    """All repeats of "setup", "solve" or "total"; empty where they were not measured."""
    if part == "total":
        if not entry["setup_seconds"]:
            return []
        return [a + b for a, b in zip(entry["setup_seconds"], entry["solve_seconds"], strict=True)]
    return entry[f"{part}_seconds"]


def median(entry: Entry, part: str = "total") -> float:
    """The median over the repeats; infinite for a failure."""
    values = seconds(entry, part)
    return statistics.median(values) if values and entry["converged"] else float("inf")


def asked(entry: Entry) -> bool:
    """Whether the peer was here and the case is one for it: only then can it fail."""
    return entry["settings"] is not None and not entry.get("unfit", False)


def best(entries: Iterable[Entry], part: str = "total") -> Entry | None:
    """The quickest that converged; None where none did."""
    return min((e for e in entries if e["converged"] and seconds(e, part)), key=lambda e: median(e, part), default=None)


def by_machine(results: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The results of each machine and set of versions for themselves, those with the most entries first: ratios are within one of them."""
    groups: dict[str, list[Entry]] = {}
    for entry in results["entries"]:
        groups.setdefault(_machine(results["sessions"][entry["session"]]), []).append(entry)
    for entries in sorted(groups.values(), key=len, reverse=True):
        yield results | {"entries": entries}


def stated_machine(results: dict[str, Any]) -> str:
    """On what the figures were measured, as a sentence; where not all were on the same, what was on the others."""
    of_session = [_machine(session) for session in results["sessions"]]
    places: dict[str, dict[str, None]] = {}
    for entry in results.get("entries") or [{"session": number, "case": ""} for number in range(len(of_session))]:
        places.setdefault(of_session[entry["session"]], {})[f"{entry.get('peer', '')} on {entry['case']}"] = None
    first, *others = sorted(places, key=lambda machine: -len(places[machine]))
    said = [first]
    for other in others:
        what = ", ".join(places[other]) if "entries" in results and len(places[other]) <= NAMED else "and"
        said.append(f"{what} on {other}")
    return "Measured on " + "; ".join(said) + "."


def _machine(session: dict[str, Any]) -> str:
    versions = ", ".join(
        f"{name} {number}" for name, number in session["versions"].items() if number and name != "deepcg"
    )
    return f"{session['cores']} cores of an {session['processor']} (Python {session['python']}, {versions})"


def main() -> None:
    parser = argparse.ArgumentParser(
        description="Publish results: beside those committed, or in the place of the same comparison."
    )
    parser.add_argument("results", type=Path, nargs="+", help="such as out/bench/quick.json")
    parser.add_argument("--replace", action="store_true", help="keep nothing of the committed ones")
    arguments = parser.parse_args()
    for path in arguments.results:
        new, target = load(path), RESULTS / path.name
        save(target, merged(load(target), new) if target.exists() and not arguments.replace else new)


if __name__ == "__main__":
    main()

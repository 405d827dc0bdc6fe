"""Two results files: what got slower, what needs more iterations, what no longer solves; noise is told from change.

    deepcg bench --compare old.json new.json        or        python -m benchmarks.report.compare old.json new.json

A time is a regression where its median grew by more than the threshold and even the fastest new repeat is slower than the slowest old one.
Where a side has fewer than three repeats there is no spread to go by, and only a growth by half counts.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.records.results import Entry, asked, identity, load, median, seconds
from benchmarks.report.markdown import figure, table

THRESHOLD = 0.10
WITHOUT_SPREAD = 0.50
SHORTEST = 2e-4  # seconds; differences below are the clock's and the scheduler's


@dataclass(frozen=True)
class Change:
    """What differs between an old entry and a new one.

    Attributes
    ----------
    kind : "regression" or "improvement"
    what : "set-up", "solve", "iterations", "memory" or "outcome"
    old, new : as people read them
    """

    kind: str
    entry: Entry
    what: str
    old: str
    new: str

    @property
    def name(self) -> str:
        e = self.entry
        return f"{e['case']} to {e['rtol']:g}, {e['cores']} cores, {e['peer']}" + (
            f", {e['mode']}" if e["mode"] != "fresh" else ""
        )


def compare(old: dict[str, Any], new: dict[str, Any], threshold: float = THRESHOLD) -> list[Change]:
    """Every change beyond noise, of what both results hold with the same settings."""
    return [change for pair in _pairs(old, new) if not _changed(*pair) for change in _changes(*pair, threshold)]


def _pairs(old: dict[str, Any], new: dict[str, Any]) -> list[tuple[Entry, Entry]]:
    before = {identity(e): e for e in old["entries"]}
    return [(before[identity(e)], e) for e in new["entries"] if identity(e) in before]


def _changed(old: Entry, new: Entry) -> bool:
    """Whether a peer has got other settings, and so is another peer."""
    return asked(old) and asked(new) and old["settings"] != new["settings"]


def _changes(old: Entry, new: Entry, threshold: float) -> Iterator[Change]:
    if old["converged"] != new["converged"]:
        if not (asked(old) and asked(new)):  # not installed on one of the two
            return
        yield Change(
            "improvement" if new["converged"] else "regression", new, "outcome", old["outcome"], new["outcome"]
        )
        return
    if not new["converged"]:
        return
    for part, label in (("setup", "set-up"), ("solve", "solve")):
        a, b = seconds(old, part), seconds(new, part)
        if a and b and (kind := _kind(a, b, median(old, part), median(new, part), threshold)):
            yield Change(kind, new, label, f"{figure(median(old, part))} s", f"{figure(median(new, part))} s")
    a, b = old["iterations"], new["iterations"]
    if a is not None and b is not None and abs(b - a) > max(1, threshold * a):
        yield Change("regression" if b > a else "improvement", new, "iterations", str(a), str(b))
    a, b = old["memory_bytes"], new["memory_bytes"]
    if a and b and abs(b - a) > max(threshold * a, 4e6):
        kind = "regression" if b > a else "improvement"
        yield Change(kind, new, "memory", f"{figure(a / 1e6)} MB", f"{figure(b / 1e6)} MB")


def _kind(a: list[float], b: list[float], old: float, new: float, threshold: float) -> str:
    """Whether times b are slower than a, or faster, beyond noise; else empty."""
    spread = min(len(a), len(b)) >= 3
    needed = 1.0 + (threshold if spread else max(threshold, WITHOUT_SPREAD))
    if max(old, new) < SHORTEST:
        return ""
    if new > needed * old and min(b) > max(a):
        return "regression"
    if old > needed * new and min(a) > max(b):
        return "improvement"
    return ""


def told(old: dict[str, Any], new: dict[str, Any], changes: list[Change]) -> str:
    """The comparison as Markdown."""
    keys = [{identity(e) for e in results["entries"]} for results in (old, new)]
    regressions = [change for change in changes if change.kind == "regression"]
    lines = [
        f"{len(keys[0] & keys[1])} comparisons in both, {len(keys[0] - keys[1])} in the old results only, "
        f"{len(keys[1] - keys[0])} in the new only: {len(regressions)} regressions, {len(changes) - len(regressions)} improvements."
    ]
    changed = sorted({b["peer"] for a, b in _pairs(old, new) if _changed(a, b)})
    if changed:
        lines.append(f"With other settings than before, and so not compared: {', '.join(changed)}.")
    if elsewhere(old, new):
        lines.append(
            "Measured on different machines: times say little and are no regressions for the exit status, iterations are."
        )
    for kind in ("regression", "improvement"):
        rows = [[c.name, c.what, c.old, c.new] for c in changes if c.kind == kind]
        if rows:
            lines.append(table([f"{kind}s", "what", "old", "new"], rows))
    return "\n\n".join(lines)


def elsewhere(old: dict[str, Any], new: dict[str, Any]) -> bool:
    """Whether they were measured on different machines."""
    machines = [{(s["processor"], s["cores"]) for s in results["sessions"]} for results in (old, new)]
    return machines[0] != machines[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    parser.add_argument("--threshold", type=float, default=THRESHOLD, help="growth of the median that counts")
    arguments = parser.parse_args()
    sys.exit(compare_files(arguments.old, arguments.new, arguments.threshold))


def compare_files(old: Path, new: Path, threshold: float = THRESHOLD) -> int:
    """Print the comparison; 1 where there is a regression, else 0. Between machines no time is one."""
    results = load(old), load(new)
    changes = compare(*results, threshold)
    print(told(*results, changes))
    uncounted = ("set-up", "solve") if elsewhere(*results) else ()
    return int(any(change.kind == "regression" and change.what not in uncounted for change in changes))


if __name__ == "__main__":
    main()

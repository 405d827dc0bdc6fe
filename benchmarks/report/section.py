"""A section of a report, and how its cells are written."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from benchmarks.peers.registry import PEERS
from benchmarks.records.results import Entry, asked, median
from benchmarks.report.markdown import figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Table = tuple[str, list[str], list[list[str]]]
"""Caption, header, rows."""


@dataclass
class Section:
    """A heading with text, tables and pictures (name, caption, figure)."""

    title: str
    text: str = ""
    tables: list[Table] = field(default_factory=list)
    pictures: list[tuple[str, str, Figure]] = field(default_factory=list)

    @property
    def empty(self) -> bool:
        return not (self.tables or self.pictures)


def total(entry: Entry | None) -> str:
    """Set-up and solve in seconds, iterations in brackets; x for a failure, a dash for who was not here or does not apply."""
    if entry is None:
        return ""
    if not entry["converged"]:
        return "x" if asked(entry) else "-"
    return f"{figure(median(entry))} ({entry['iterations']})" if entry["setup_seconds"] else f"({entry['iterations']})"


def spread(values: list[float]) -> str:
    if not values:
        return "-"
    middle = figure(statistics.median(values))
    return middle if len(values) == 1 else f"{middle} ({figure(min(values))}-{figure(max(values))})"


def megabytes(entry: Entry) -> str:
    return "-" if entry["memory_bytes"] is None else figure(entry["memory_bytes"] / 1e6)


def cores_of(number: int) -> str:
    return f"{number} core{'s' if number > 1 else ''}"


def is_sequence(results: dict[str, Any], entry: Entry) -> bool:
    """Whether the entry is of a sequence."""
    return bool(entry["steps"]) or results["cases"].get(entry["case"], {}).get("steps", 1) > 1


def named(peer: str, cores: int = 2) -> str:
    """A peer's name, marked where it leaves all cores but one idle."""
    return f"{peer} ¹" if cores > 1 and peer in PEERS and PEERS[peer].serial else peer


def place(peer: str) -> int:
    return list(PEERS).index(peer) if peer in PEERS else len(PEERS)


def ordered(names: set[str]) -> list[str]:
    return sorted(names, key=lambda name: (place(name), name))


def slices(items: list[str], length: int) -> Iterator[list[str]]:
    for start in range(0, len(items), length):
        yield items[start : start + length]


def slug(text: str) -> str:
    return "".join(c if c.isalnum() else "-" for c in text).strip("-").replace("--", "-")

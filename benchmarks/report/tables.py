"""The figures of README and docs, written from the JSON of the benchmarks.

python -m benchmarks.report.tables            rewrite the marked blocks of README.md and docs/, draw the pictures of docs/images
python -m benchmarks.report.tables --check    fail where a block is not what the JSON says
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.paths import ROOT
from benchmarks.records.learned import compared
from benchmarks.records.results import latest, measured
from benchmarks.report import (
    ceiling_tables,
    contrast_tables,
    own_tables,
    peer_tables,
    petsc_tables,
    pictures,
    reliability_tables,
)
from benchmarks.studies import roofline as rooflines
from deepcg.io.files import write_atomically

if TYPE_CHECKING:
    from matplotlib.figure import Figure

README = ROOT / "README.md"
DOCS = ROOT / "docs"
BLOCK = "<!-- {0}: written by benchmarks/report/tables.py -->\n{1}\n<!-- end of {0} -->"

BLOCKS: dict[str, Callable[[], str]] = {
    "demo": peer_tables.demo,
    "suite": peer_tables.suite,
    "tolerances": peer_tables.tolerances,
    "cores": peer_tables.cores,
    "moving": peer_tables.moving,
    "race": peer_tables.race,
    "scaling": peer_tables.scaling,
    "iterations": own_tables.iterations,
    "roofline": own_tables.roofline,
    "learning": own_tables.learning,
    "learning by scene": own_tables.learning_by_scene,
    "paper": own_tables.paper,
    "gallery": own_tables.gallery,
    "petsc plume": petsc_tables.plume,
    "petsc tutorials": petsc_tables.tutorials,
    "messages": petsc_tables.messages,
    "campaign": reliability_tables.campaign,
    "contrast": contrast_tables.contrast,
    "contrast iterations": contrast_tables.contrast_iterations,
    "ceilings": ceiling_tables.ceilings,
}
DOCUMENTS = {
    README: ("demo", "suite", "moving", "race", "contrast", "learning"),
    DOCS / "measurements.md": (
        "tolerances",
        "cores",
        "scaling",
        "iterations",
        "contrast iterations",
        "ceilings",
        "learning by scene",
        "roofline",
        "paper",
        "gallery",
    ),
    DOCS / "petsc.md": ("petsc plume", "petsc tutorials"),
    DOCS / "scaling.md": ("messages",),
    DOCS / "reliability.md": ("campaign",),
}


PICTURES: dict[str, Callable[[], Figure | None]] = {
    "performance-profile": lambda: pictures.performance_profile(measured("quick")),
    "against-size": lambda: pictures.against_size(measured("scaling"), "plume", 2),
    "moving": lambda: pictures.sequence(measured("moving"), "moving sphere 128^3, 24 systems", 1e-6, 2),
    "learning": lambda: pictures.learning(compared(measured("finals"))),
    "roofline": lambda: pictures.roofline(rooflines.committed()),
}
"""Pictures of docs/images by name; like the blocks they show what the JSON says."""

ROUGH = latest("contrast")
if ROUGH is not None and contrast_tables.drawable(ROUGH):  # until it is measured, its block has no link to a picture
    PICTURES["contrast"] = lambda: pictures.against_contrast(measured("contrast"), *contrast_tables.SHOWN)


def filled(document: Path) -> str:
    """A document's text with every block of its rewritten.

    Raises
    ------
    ValueError
        Where a block is not there.
    """
    text = document.read_text()
    for name in DOCUMENTS[document]:
        write = BLOCKS[name]
        first, last = (re.escape(line) for line in BLOCK.format(name, "\n").split("\n\n\n"))
        pattern = re.compile(f"{first}.*?{last}", re.DOTALL)
        if not pattern.search(text):
            raise ValueError(f"{document.name}: no block {name!r}")
        block = BLOCK.format(name, write())
        text = pattern.sub(lambda _, b=block: b, text)
    return text


def draw() -> None:
    """Draw every picture again."""
    for name, picture in PICTURES.items():
        drawing = picture()
        if drawing is not None:
            write_atomically(DOCS / "images" / f"{name}.png", pictures.drawn(drawing)["png"], overwrite=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true")
    arguments = parser.parse_args()
    for document in DOCUMENTS:
        new = filled(document)
        if not arguments.check:
            write_atomically(document, new.encode(), overwrite=True)
        elif new != document.read_text():
            sys.exit(f"{document.name}: a block is not what the JSON says; run python -m benchmarks.report.tables")
    if not arguments.check:
        draw()


if __name__ == "__main__":
    main()

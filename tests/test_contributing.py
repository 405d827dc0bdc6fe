"""The recipes of CONTRIBUTING.md name files that exist."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SECTION = (ROOT / "CONTRIBUTING.md").read_text().partition("\n## How to\n")[2].partition("\n## ")[0]
RECIPES = {item.partition(".** ")[0]: item.partition(".** ")[2] for item in SECTION.split("\n* **")[1:]}


def test_there_are_four():
    assert list(RECIPES) == [
        "Add a preconditioner",
        "Change the relaxation",
        "Add a peer to the benchmarks",
        "Add an adapter for another code",
    ]


@pytest.mark.parametrize("name", RECIPES)
def test_the_files_of_a_recipe_exist(name):
    named = re.findall(r"`([^` ]+/[^` ]*)`", RECIPES[name])
    assert len(named) >= 3
    missing = [path for path in named if not (ROOT / path).exists()]
    assert not missing

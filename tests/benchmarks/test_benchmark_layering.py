"""The rooms of benchmarks/ import in one direction, and what other interpreters run needs numpy only."""

import ast
from pathlib import Path

import pytest

import benchmarks

FOLDER = Path(benchmarks.__file__).parent

# What each room imports of the benchmarks, in an order in which a room stands below everything that it imports.
ROOMS = {
    "paths": set(),
    "systems": set(),
    "workers": {"paths", "systems"},
    "peers": {"paths", "workers"},
    "records": {"paths"},
    "campaign": {"paths", "peers"},
    "plans": {"systems", "peers", "records"},
    "runner": {"systems", "workers", "peers", "records", "plans"},
    "studies": {"paths", "systems", "peers", "records", "campaign", "plans", "runner"},
    "report": {"paths", "peers", "records", "plans", "studies"},
    "program": {"paths", "peers", "records", "plans", "runner", "report"},
    "gpu": {"studies"},
}


def files(room):
    """A room is a folder, or a module at the top."""
    return sorted((FOLDER / room).glob("*.py")) or [FOLDER / f"{room}.py"]


def imported(path):
    """Dotted names that a file imports, lazily or not; of `from a import b` both a and a.b, since b may be a module."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: imports here are absolute"
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def rooms_imported(room):
    """The other rooms that a room's files import."""
    dotted = [name.split(".") for path in files(room) for name in imported(path)]
    return {name[1] for name in dotted if name[0] == "benchmarks" and len(name) > 1} - {room}


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_what_the_table_says(room):
    assert rooms_imported(room) == ROOMS[room]


def test_no_rooms_import_each_other():
    rooms = list(ROOMS)
    for at, room in enumerate(rooms):
        assert ROOMS[room] <= set(rooms[:at]), room


def test_every_module_is_in_a_room_of_the_table():
    found = {path.relative_to(FOLDER).parts[0].removesuffix(".py") for path in FOLDER.rglob("*.py")}
    assert found - {"__init__"} == set(ROOMS)


def test_a_worker_of_another_interpreter_needs_numpy_only():
    """`petsc_worker` runs under any interpreter with petsc4py, which has neither SciPy nor this package's other needs."""
    worker, serving = (imported(FOLDER / "workers" / name) for name in ("petsc_worker.py", "serving.py"))
    assert {name.split(".")[2] for name in worker | serving if name.startswith("benchmarks.")} == {"serving"}
    assert not {name.split(".")[0] for name in worker | serving} & {"deepcg", "scipy", "torch"}


@pytest.mark.parametrize("room", [room for room in ROOMS if (FOLDER / room).is_dir()])
def test_the_architecture_map_names_every_module(room):
    text = (FOLDER.parent / "CONTRIBUTING.md").read_text()
    assert f"`{room}/`" in text
    assert not [path.name for path in files(room) if path.name != "__init__.py" and f"{path.name}`" not in text]

"""Data flows one way between the package's rooms, and `import deepcg` needs numpy and scipy only."""

import ast
import graphlib
import importlib
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import deepcg

PACKAGE = Path(deepcg.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))

# What each room, a folder or file of the package, may import of the others, lazily or not. "deepcg" is the package's own __init__.py.
ROOMS = {
    "native": set(),
    "problem": {"native"},
    "io": {"native", "problem"},
    "krylov": {"native", "problem"},
    "multigrid": {"io", "native", "problem"},
    "dcdm": {"io", "native", "problem"},
    "preconditioners": {"dcdm", "io", "multigrid", "native", "problem"},
    "solver": {"krylov", "native", "preconditioners", "problem"},
    "petsc": {"krylov", "native", "preconditioners", "problem", "solver"},
    "api": {"krylov", "native", "petsc", "preconditioners", "problem", "solver"},
    "scenes": {"api", "io", "problem"},
    "deepcg": {"api", "io", "krylov", "native", "problem", "solver"},
    "training": {"dcdm", "io", "multigrid", "problem", "scenes", "solver"},
    "cli": {
        "api",
        "dcdm",
        "deepcg",
        "io",
        "krylov",
        "multigrid",
        "native",
        "petsc",
        "preconditioners",
        "problem",
        "scenes",
        "solver",
        "training",
    },
}
RESOURCES = {"data", "models"}  # folders of files, without code


def dotted(path: Path) -> str:
    """The module's name."""
    parts = ("deepcg", *path.relative_to(PACKAGE).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def room(path: Path) -> str:
    parts = dotted(path).split(".")
    return parts[1] if len(parts) > 1 else "deepcg"


def imported(path: Path) -> set[str]:
    """Dotted names of all that a file imports, lazily or not; relative imports in full."""
    package = dotted(path).split(".")
    if path.name != "__init__.py":
        package = package[:-1]
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            origin = ".".join([*above, *([node.module] if node.module else [])])
            names |= {f"{origin}.{alias.name}" for alias in node.names}
    return names


def imported_rooms(path: Path) -> set[str]:
    """The other rooms that a file imports from."""
    ours = [name.split(".") for name in imported(path) if name.split(".")[0] == "deepcg"]
    rooms = {name[1] if len(name) > 1 and name[1] in ROOMS else "deepcg" for name in ours}
    return rooms - {room(path)}


def test_the_table_has_every_room():
    assert {room(path) for path in MODULES} - RESOURCES == set(ROOMS)


def test_the_table_has_no_circle():
    assert len(list(graphlib.TopologicalSorter(ROOMS).static_order())) == len(ROOMS)


def test_modules_import_one_another_in_no_circle():
    known = {dotted(path): path for path in MODULES}

    def module(name: str) -> str:
        while name not in known:
            name = name.rpartition(".")[0]
        return name

    graph = {
        name: {module(other) for other in imported(path) if other.split(".")[0] == "deepcg"}
        for name, path in known.items()
    }
    assert len(list(graphlib.TopologicalSorter(graph).static_order())) == len(known)


@pytest.mark.parametrize("name", ROOMS)
def test_a_room_imports_only_the_rooms_before_it(name):
    for path in MODULES:
        if room(path) == name:
            assert imported_rooms(path) <= ROOMS[name], path


def test_nothing_but_the_command_line_imports_training():
    assert {room(path) for path in MODULES if "training" in imported_rooms(path)} == {"cli"}


def test_the_package_imports_no_benchmark_or_integration():
    for path in MODULES:
        assert not {"benchmarks", "integrations", "tests"} & {name.split(".")[0] for name in imported(path)}, path


def test_import_needs_numpy_and_scipy_only():
    heavy = (
        "torch",
        "safetensors",
        "meshio",
        "igl",
        "pyevtk",
        "petsc4py",
        "matplotlib",
        "click",
        "tqdm",
        "pyamg",
        "ilupp",
    )
    code = f"import sys, deepcg; print([m for m in {heavy} if m in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=PACKAGE.parent)
    assert run.stdout.strip() == "[]"


@pytest.mark.parametrize("name", sorted({dotted(path) for path in MODULES} - {"deepcg"}))
def test_no_module_is_shadowed(name):
    """`import a.b as m` goes by the attribute b of a, which a function of the same name would have taken."""
    try:
        importlib.import_module(name)
    except (ImportError, SystemExit) as error:  # the command line ends the program that lacks click
        pytest.skip(f"needs an extra: {error}")
    above, _, last = name.rpartition(".")
    assert isinstance(getattr(sys.modules[above], last), ModuleType)


def test_the_architecture_map_names_every_module():
    rows = (PACKAGE.parent / "CONTRIBUTING.md").read_text().splitlines()
    for path in MODULES:
        if path.name == "__init__.py":
            continue
        inside = path.relative_to(PACKAGE)
        if len(inside.parts) == 1:
            place, name = "`deepcg/", str(inside)
        else:
            place, name = f"`deepcg/{inside.parts[0]}/`", str(Path(*inside.parts[1:]))
        named = re.compile(rf"[`/]{re.escape(name)}`")
        assert any(place in row and named.search(row) for row in rows if row.startswith("|")), inside

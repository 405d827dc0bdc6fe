"""Data flows one way, and `import deepcg` needs numpy and scipy only."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import deepcg

PACKAGE = Path(deepcg.__file__).parent

# What each module of the core may import of the package, directly. A module that is not here is outside the core.
CORE = {
    "grid": set(),
    "native": set(),
    "face_weights": {"grid", "native"},
    "stencil": {"face_weights", "grid", "native"},
    "vectors": {"grid", "native"},
    "components": {"face_weights", "grid", "native", "stencil"},
    "layout": {"grid", "stencil", "vectors"},
    "problem": {"components", "face_weights", "grid", "layout", "stencil", "matrix_reader"},
    "iterate": {"grid", "vectors"},
    "krylov": {"grid", "iterate", "vectors"},
    "report": {"iterate"},
    "model_file": set(),
    "weights": {"model_file"},
    "cycle": {"grid", "native", "problem", "weights"},
    "merging": set(),
    "hierarchy": {"face_weights", "merging", "problem"},
    "couplings": {"hierarchy"},
    "multilevel_layers": {"couplings", "hierarchy"},
    "multilevel": {"couplings", "hierarchy", "multilevel_layers", "problem", "weights"},
    "device_array": set(),
    "cuda": {"native", "problem", "weights", "cycle", "device_array"},
    "device_solve": {"cuda", "device_array", "iterate", "krylov", "problem"},
    "network": set(),
    "network_file": {"model_file", "network"},
    "network_slabs": {"network"},
    "loss": set(),
    "training_data": set(),
    "preconditioner": {
        "cuda",
        "cycle",
        "weights",
        "native",
        "model_file",
        "network_file",
        "network",
        "network_slabs",
        "problem",
        "face_weights",
        "grid",
        "vectors",
    },
    "solver": {
        "cuda",
        "cycle",
        "device_array",
        "device_solve",
        "grid",
        "iterate",
        "krylov",
        "preconditioner",
        "problem",
        "report",
        "vectors",
    },
    "solve": {"device_array", "grid", "krylov", "petsc", "preconditioner", "report", "solver"},
}
TRAINING = {
    "loss",
    "training_data",
    "training_loop",
    "training_scenes",
    "trainer",
    "multilevel_training",
    "training_run",
    "validation",
}


def imported(module: str) -> set[str]:
    """The package's own modules that a file imports, lazily or not."""
    names = set()
    for node in ast.walk(ast.parse((PACKAGE / f"{module}.py").read_text())):
        if isinstance(node, ast.ImportFrom) and node.level == 1:
            names |= {node.module.split(".")[0]} if node.module else {alias.name for alias in node.names}
    return names


@pytest.mark.parametrize("module", CORE)
def test_core_imports_only_what_lies_before_it(module):
    assert imported(module) <= CORE[module]


def test_nothing_but_the_command_line_imports_training():
    importers = {
        path.stem for path in PACKAGE.glob("*.py") if imported(path.stem) & TRAINING and path.stem not in TRAINING
    }
    assert importers <= {"cli_train"}


def test_the_package_imports_no_benchmark_or_integration():
    for path in PACKAGE.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            roots = []
            if isinstance(node, ast.Import):
                roots = [alias.name.split(".")[0] for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and not node.level:
                roots = [node.module.split(".")[0]]
            assert not {"benchmarks", "integrations", "tests"} & set(roots), path


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


def test_the_architecture_map_names_every_module():
    text = (PACKAGE.parent / "CONTRIBUTING.md").read_text()
    missing = [p.name for p in PACKAGE.glob("*.py") if p.name != "__init__.py" and p.name not in text]
    assert not missing

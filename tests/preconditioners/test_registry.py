"""The registry of preconditioners: what it says of each is so, and whoever asks takes it from there."""

from __future__ import annotations

import ast
from pathlib import Path

import numpy as np
import pytest

import deepcg
from deepcg.io import model_file
from deepcg.multigrid.cycle import MultilevelCycle
from deepcg.multigrid.parameters import Parameters
from deepcg.preconditioners.base import OPTIONAL, Preconditioner, capability
from deepcg.preconditioners.registry import ENTRIES, Entry, build, entry_of, names

PROBLEM = deepcg.Poisson(np.zeros((9, 8), dtype=np.uint8), boundary="open")
NAMED = [name for name, entry in ENTRIES.items() if not entry.from_file]


def made(name):
    """The preconditioner of an entry, with a shipped model's parameters if it needs some."""
    if lacking := ENTRIES[name].needs():
        pytest.skip(lacking)
    return build(PROBLEM, name)


@pytest.mark.parametrize("name", ENTRIES)
def test_an_entry_makes_what_it_says(name):
    entry, M = ENTRIES[name], made(name)
    assert type(M) is entry.classes["cpu"]
    assert (M.linear, M.spd) == (entry.linear, entry.spd)
    assert callable(M.update) and M.name.startswith(name)
    methods = {"cg": "native_cg", "dcd": "native_directions"}
    assert entry.native_methods() == tuple(m for m, a in methods.items() if capability(M, a) is not None)
    r = np.random.default_rng(5).standard_normal(PROBLEM.cells.size)
    if entry.linear and entry.spd:  # as far as two vectors can tell
        s = np.random.default_rng(6).standard_normal(r.size)
        assert M(r) @ s == pytest.approx(r @ M(s), rel=1e-4)
        assert M(r) @ r > 0
        np.testing.assert_allclose(M(2 * r - s), 2 * M(r) - M(s), rtol=0, atol=1e-5 * np.abs(M(r)).max())


@pytest.mark.parametrize("name", ENTRIES)
def test_every_class_declares_what_the_protocol_asks(name):
    for kind in ENTRIES[name].classes.values():
        assert all(hasattr(kind, member) for member in ("linear", "spd", "__call__", "update")), kind
        assert isinstance(capability(kind, "trusted"), bool)
        assert capability(kind, "device") in ("cpu", "cuda")


def test_the_protocol_names_every_optional_member():
    assert all(f"\n    {member} : " in Preconditioner.__doc__ for member in OPTIONAL)


def test_every_shipped_model_is_of_an_entry_and_has_a_name():
    for name, path in model_file.shipped().items():
        assert entry_of(path).from_file
        assert name.rpartition("-")[0] in names()
    assert set(NAMED) <= set(names())


def test_a_file_of_another_architecture_is_refused_by_name(tmp_path):
    tensors, description = model_file.load(model_file.shipped()["multilevel-2d"])
    path = tmp_path / "other.safetensors"
    for architecture in ("transformer", "jacobi"):
        model_file.save(path, tensors, {**description, "architecture": architecture}, overwrite=True)
        with pytest.raises(deepcg.ModelFileError, match=f"'{architecture}'; this deepcg knows 'multilevel', 'dcdm'"):
            build(PROBLEM, path)


def test_no_file_outside_of_it_tells_preconditioners_by_their_class():
    classes = {kind.__name__ for entry in ENTRIES.values() for kind in entry.classes.values()} | {"UserOperator"}
    for path in Path(deepcg.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Name)
                and node.func.id in ("isinstance", "type")
            ):
                names = {name.id for name in ast.walk(node) if isinstance(name, ast.Name)}
                assert not names & classes, f"{path}:{node.lineno}"


def test_an_entry_is_all_that_a_new_one_takes(monkeypatch, capsys):
    class Scaled:
        """z = r / 4: on this box about as good as Jacobi's."""

        name, linear, spd = "scaled", True, True

        def __call__(self, r):
            return 0.25 * r

        def update(self, problem):
            pass

    new = Entry("scaled", "a quarter of the residual", {"cpu": Scaled}, lambda problem, device: Scaled())
    monkeypatch.setitem(ENTRIES, "scaled", new)
    _, info = deepcg.solve(PROBLEM, np.ones(PROBLEM.shape), model="scaled")
    assert (int(info), info.model, info.method) == (0, "scaled", "cg")
    assert "scaled" in names()
    cli = pytest.importorskip("deepcg.cli")
    cli.main(["info", "scaled"], standalone_mode=False)
    assert new.summary in capsys.readouterr().out


def test_an_object_that_brings_its_own_iteration_along_is_iterated_by_it():
    """Capabilities decide, not classes: anything that has them gets what the multilevel network gets."""

    class Wrapped:
        name, linear, spd = "wrapped", True, True
        calls = 0

        def __call__(self, r):
            raise AssertionError("applied outside of its own iteration")

        def update(self, problem):
            self.cycle = MultilevelCycle(problem, Parameters.classical())

        def native_cg(self, x, r, target, maxiter):
            self.calls += 1
            return self.cycle.native_cg(x, r, target, maxiter)

    if lacking := ENTRIES["multigrid"].needs():
        pytest.skip(lacking)
    M, b = Wrapped(), np.ones(PROBLEM.shape)
    _, info = deepcg.solve(PROBLEM, b, model=M)
    _, expected = deepcg.solve(PROBLEM, b, model="multigrid")
    assert M.calls and info.residuals == expected.residuals

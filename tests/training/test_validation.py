"""Validation: counts of the very solver that users run, repeatable, and without a trace in the training."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from deepcg import Solver  # noqa: E402
from deepcg.dcdm.file import save_network  # noqa: E402
from deepcg.dcdm.network import DCDM  # noqa: E402
from deepcg.dcdm.preconditioner import DCDMPreconditioner  # noqa: E402
from deepcg.scenes import gallery  # noqa: E402
from deepcg.training import validation  # noqa: E402


@pytest.fixture
def network():
    torch.manual_seed(77)
    return DCDM(2, (2, 2, 2), 4)


def test_counts_are_those_of_the_solver(network, monkeypatch):
    monkeypatch.setattr(validation, "SEEDS", (977,))
    figures = validation.iterations(network, size=13)
    assert figures["size"] == 13
    for name in ("box", "sphere"):
        problem = gallery.scene(name, 13, 2).problem
        b = np.random.default_rng(977).standard_normal(problem.shape)
        _, info = Solver(problem, model=DCDMPreconditioner(problem, network), method="dcd", rtol=1e-4).solve(b)
        assert info == 0
        assert figures[name] == info.iterations


def test_validation_leaves_the_training_alone(network):
    before = {name: value.clone() for name, value in network.state_dict().items()}
    state = torch.random.get_rng_state()
    assert validation.iterations(network, size=9) == validation.iterations(network, size=9)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert all(parameter.grad is None and parameter.requires_grad for parameter in network.parameters())
    for name, value in network.state_dict().items():
        assert torch.equal(value, before[name])


def test_no_convergence_counts_as_all_iterations(network, monkeypatch):
    monkeypatch.setattr(validation, "MAXITER", 3)
    figures = validation.iterations(network, size=12)
    assert (figures["box"], figures["sphere"]) == (3, 3)


def test_network_in_memory_is_the_one_in_the_file(network, tmp_path):
    path = save_network(tmp_path / "n.safetensors", network, "tiny", {})
    problem = gallery.scene("sphere", 11, 2).problem
    r = gallery.scene("sphere", 11, 2).rhs.reshape(-1)
    loaded = DCDMPreconditioner.from_file(problem, path, "cpu")
    assert (loaded.name, loaded.description["architecture"]) == ("tiny", "dcdm")
    expected = DCDMPreconditioner(problem, network, "tiny")(r)
    # The file's network lies in memory with its channels last: the same sums in another order, in float32.
    np.testing.assert_allclose(loaded(r), expected, rtol=0, atol=1e-5 * abs(expected).max())


def test_network_of_another_dimension_is_refused(network):
    with pytest.raises(ValueError, match="2-D problems"):
        DCDMPreconditioner(gallery.scene("box", 8, 3).problem, network)

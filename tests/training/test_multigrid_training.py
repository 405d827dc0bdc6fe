"""Training of the multilevel network: scenes, loss, runs, model files."""

import numpy as np
import pytest

from deepcg.io import model_file
from deepcg.native import library as native
from deepcg.problem.grid import FLUID, OPEN, SOLID

torch = pytest.importorskip("torch")

from deepcg.multigrid.parameters import Parameters  # noqa: E402
from deepcg.multigrid.parameters_file import check_self_test, save_parameters  # noqa: E402
from deepcg.multigrid.reference.hierarchy import build_hierarchy  # noqa: E402
from deepcg.multigrid.reference.network import Multilevel  # noqa: E402
from deepcg.training.multigrid_scenes import MOST_CELLS, random_crop, random_scene  # noqa: E402
from deepcg.training.multigrid_trainer import (  # noqa: E402
    MultilevelTrainer,
    MultilevelTraining,
    error_left,
    finest_operator,
)

needs_kernels = pytest.mark.skipif(native.unavailable is not None, reason="needs the compiled kernels")
TINY = MultilevelTraining(dim=2, sweeps=(1,), steps=6, batch=2, errors=1, iterations=2, seed=71)


def parameters(trainer):
    return torch.cat([p.detach().reshape(-1) for p in trainer.network.parameters()])


@pytest.mark.parametrize("dim", [2, 3])
def test_random_scenes_have_what_a_solver_meets(dim):
    problems = [random_scene(np.random.default_rng([83, number]), dim) for number in range(40)]
    cells = np.concatenate([p.cells.ravel() for p in problems])
    assert set(np.unique(cells)) == {FLUID, SOLID, OPEN}
    assert all(p.stencil.fluid.size <= MOST_CELLS for p in problems)
    assert any(n % 2 for p in problems for n in p.shape)
    assert {p.singular for p in problems} == {True, False}
    assert {p.stencil.unit is None for p in problems} == {True, False}
    assert any(any(p.stencil.periodic) for p in problems)
    assert any(p.stencil.shift is not None for p in problems)
    assert any(np.ptp(w) > 0 for p in problems for w in p.grid.widths)
    again = random_scene(np.random.default_rng([83, 7]), dim)
    np.testing.assert_array_equal(again.cells, problems[7].cells)


def test_a_crop_comes_from_the_users_cells():
    cells = (np.random.default_rng(89).random((90, 30, 40)) < 0.3).astype(np.uint8)
    problem = random_crop(np.random.default_rng(97), cells)
    assert problem.stencil.fluid.size <= MOST_CELLS < cells.size
    with pytest.raises(ValueError, match="geometry: "):
        random_crop(np.random.default_rng(97), np.ones((9, 9), np.uint8))


def test_the_loss_is_the_error_of_conjugate_gradients():
    """Against the textbook's iteration with the dense M; the residual is that of the problem, not of its scaled finest level."""
    problem = random_scene(np.random.default_rng([101, 2]), 2)
    hierarchy = build_hierarchy(problem)
    net = Multilevel((1,)).double()
    e0 = np.random.default_rng(103).standard_normal(problem.shape) * problem.stencil.fluid
    with torch.inference_mode():
        apply = finest_operator(hierarchy, torch.device("cpu"))
        loss = error_left(net, hierarchy, apply, torch.from_numpy(e0.reshape(1, -1)), 3).item()
        levels = net.setup(hierarchy)
        x, b = np.zeros(e0.size), problem.stencil.apply(e0).ravel()
        r, p, rho = b.copy(), 0.0, np.inf
        for _ in range(3):
            z = net(levels, torch.from_numpy(r)[None])[0].numpy()
            rho, before = r @ z, rho
            p = z + rho / before * p
            q = problem.stencil.apply(np.ascontiguousarray(p))
            x, r = x + rho / (p @ q) * p, r - rho / (p @ q) * q
    e = e0.ravel() - x
    left = (e @ problem.stencil.apply(e)) / (e0.ravel() @ b)
    assert loss == pytest.approx(np.log(left) / 3, rel=1e-6)


def test_the_loss_falls():
    trainer = MultilevelTrainer(
        MultilevelTraining(dim=2, sweeps=(2,), steps=25, batch=3, errors=1, iterations=3, seed=73)
    )
    before = Multilevel((2,))
    trainer.run()
    losses = []
    for network in (before, trainer.network):
        trainer.network = network
        with torch.inference_mode():
            losses.append(sum(trainer._loss(number).item() for number in range(1000, 1012)))
    assert losses[1] < losses[0] - 0.1


def test_inside_a_regular_grid_nothing_is_learned():
    trainer = MultilevelTrainer(TINY)
    trainer.run()
    features = [[0.0, 0.0, 0.5, 0.5, 0.0], [0.0, 0.0, 0.9, 0.1, 0.0], [0.3, 0.0, 0.5, 0.5, 0.0]]
    with torch.inference_mode():
        factors = trainer.network.local_factors(torch.tensor(features))
    torch.testing.assert_close(factors[:2], torch.ones(2, 3))
    assert (factors[2] - 1.0).abs().max() > 1e-4


def test_a_resumed_run_continues_exactly(tmp_path):
    whole = MultilevelTrainer(TINY)
    whole.run()
    checkpoint = tmp_path / "run.checkpoint"

    class Cut(Exception):
        pass

    def cut(step, loss):
        if step == 3:
            raise Cut

    with pytest.raises(Cut):
        MultilevelTrainer(TINY).run(cut, checkpoint=checkpoint, checkpoint_every=1)
    resumed = MultilevelTrainer.resume(checkpoint)
    assert resumed.step == 3 and resumed.training == TINY
    resumed.run()
    assert torch.equal(parameters(resumed), parameters(whole))
    assert resumed.history.losses == whole.history.losses


def test_without_the_local_function_relaxation_is_all_that_changes():
    trainer = MultilevelTrainer(MultilevelTraining(**{**TINY.__dict__, "local": False}))
    trainer.run()
    parameters, classical = (
        trainer.network.bounded_parameters(),
        Multilevel((1,), local=False, seed=TINY.seed).bounded_parameters(),
    )
    assert not parameters.local
    np.testing.assert_array_equal(parameters.hidden_weight, classical.hidden_weight)
    assert np.abs(parameters.omega - classical.omega).max() > 1e-3


@needs_kernels
def test_fine_tuning_starts_from_a_model(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    trainer = MultilevelTrainer(TINY)
    trainer.run()
    save_parameters("first.safetensors", trainer.network.bounded_parameters(), 2, "first", {})
    np.save("cells.npy", (np.random.default_rng(107).random((50, 60)) < 0.2).astype(np.uint8))
    settings = {**TINY.__dict__, "start": "first.safetensors", "geometry": ("cells.npy",)}
    tuned = MultilevelTrainer(MultilevelTraining(**settings))
    for name, value in trainer.network.bounded_parameters().tensors().items():
        np.testing.assert_allclose(tuned.network.bounded_parameters().tensors()[name], value, rtol=1e-5, atol=1e-6)
    tuned.run()
    assert not torch.equal(parameters(tuned), parameters(trainer))
    with pytest.raises(FileNotFoundError, match="--geometry: no"):
        MultilevelTrainer(MultilevelTraining(**{**settings, "geometry": ("no.npy",)}))
    with pytest.raises(ValueError, match="2-D"):
        MultilevelTrainer(MultilevelTraining(**{**settings, "dim": 3}))


@needs_kernels
def test_a_model_file_tests_itself(tmp_path):
    path = tmp_path / "m.safetensors"
    save_parameters(path, Parameters.classical(2, 1.1), 3, "m", {"command": "none"})
    check_self_test(path)
    tensors, description = model_file.load(path)
    tensors["omega"] = tensors["omega"] * 1.1
    model_file.save(path, tensors, {k: v for k, v in description.items() if k != "hash"}, overwrite=True)
    with pytest.raises(model_file.ModelFileError, match="self-test failed"):
        check_self_test(path)

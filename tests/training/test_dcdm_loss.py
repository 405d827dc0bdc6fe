"""The unsupervised loss and the box it is taken on."""

from itertools import product

import numpy as np
import pytest

from deepcg import Poisson
from deepcg.problem.grid import check_boundary

torch = pytest.importorskip("torch")
from deepcg.training.dcdm_loss import box_operator, residual_after_step  # noqa: E402 - needs torch

WORDS = ["wall", "open", "periodic", ("wall", "open"), ("open", "wall")]


@pytest.mark.parametrize(("first", "second"), list(product(WORDS, WORDS)))
def test_box_operator_is_the_problems(first, second):
    shape = (5, 7)
    problem = Poisson(np.zeros(shape, dtype=np.uint8), boundary=[first, second])
    x = np.random.default_rng(19).standard_normal((2, 1, *shape))
    y = box_operator(2, check_boundary([first, second], 2))(torch.from_numpy(x)).numpy()
    for one, expected in zip(y, x, strict=True):
        assert np.allclose(one[0], problem.apply(expected[0]), rtol=0, atol=1e-13)


def test_box_operator_in_3d():
    boundary = [("wall", "open"), "wall", "periodic"]
    problem = Poisson(np.zeros((4, 3, 5), dtype=np.uint8), boundary=boundary)
    x = np.random.default_rng(23).standard_normal((4, 3, 5))
    y = box_operator(3, check_boundary(boundary, 3))(torch.from_numpy(x)[None, None])
    assert np.allclose(y[0, 0].numpy(), problem.apply(x), rtol=0, atol=1e-13)


@pytest.fixture
def case():
    problem = Poisson(np.zeros((6, 6), dtype=np.uint8), boundary=[("wall", "open"), "wall"])
    apply = box_operator(2, problem.grid.boundary)
    rng = np.random.default_rng(29)
    return problem, apply, rng.standard_normal((6, 6)), rng.standard_normal((6, 6))


def tensor(a):
    return torch.from_numpy(np.array(a))[None, None]


def test_loss_is_the_residual_after_the_exact_step(case):
    problem, apply, b, y = case
    product_ = problem.apply(y)
    left = b - np.vdot(y, b) / np.vdot(y, product_) * product_
    expected = np.vdot(left, left) / np.vdot(b, b)
    assert residual_after_step(apply, tensor(b), tensor(y)).item() == pytest.approx(expected, rel=1e-12)


def test_only_the_direction_counts(case):
    _, apply, b, y = case
    losses = [residual_after_step(apply, tensor(b), tensor(scale * y)).item() for scale in (1.0, -3.0, 1e-6)]
    assert losses == pytest.approx([losses[0]] * 3, rel=1e-10)


def test_the_inverse_leaves_nothing(case):
    problem, apply, b, _ = case
    x = np.linalg.solve(problem.matrix().toarray(), b.ravel()).reshape(b.shape)
    assert residual_after_step(apply, tensor(b), tensor(x)).item() < 1e-24


def test_no_direction_leaves_everything_and_a_finite_gradient(case):
    _, apply, b, _ = case
    y = torch.zeros(1, 1, 6, 6, dtype=torch.float64, requires_grad=True)
    loss = residual_after_step(apply, tensor(b), y)
    loss.backward()
    assert loss.item() == 1.0
    assert torch.isfinite(y.grad).all()

"""Lanczos and the Ritz vectors that training right-hand sides are made of."""

import numpy as np
import pytest

from deepcg import Poisson
from deepcg.training.ritz_vectors import lanczos, ritz_basis, steps_for_memory

SHAPE = (5, 4, 3)


@pytest.fixture(scope="module")
def box():
    return Poisson(
        np.zeros(SHAPE, dtype=np.uint8), spacing=[1.0, 1.3, 0.8], boundary=[("wall", "open"), "wall", "wall"]
    )


def test_lanczos_basis_is_orthonormal_and_tridiagonalises(box):
    start = np.random.default_rng(31).standard_normal(box.size)
    alpha, beta, basis = lanczos(box.apply, start, 20)
    gram = basis.astype(float) @ basis.T.astype(float)
    assert np.abs(gram - np.eye(20)).max() < 1e-5
    T = basis.astype(float) @ box.matrix() @ basis.T.astype(float)
    assert np.abs(T - np.diag(alpha) - np.diag(beta, 1) - np.diag(beta, -1)).max() < 1e-4


def test_all_steps_give_the_eigenvalues(box):
    ritz = ritz_basis(box.apply, SHAPE, box.size, seed=37)
    exact = np.linalg.eigvalsh(box.matrix().toarray())
    assert np.allclose(ritz.values, exact[-len(ritz.values) :], rtol=1e-4)
    assert len(ritz.values) >= box.size - 1


def test_ritz_vectors_of_the_ends_are_eigenvectors():
    box = Poisson(np.zeros((12, 11), dtype=np.uint8), boundary=[("wall", "open"), "wall"])
    ritz = ritz_basis(box.apply, box.shape, 80, seed=41)
    A = box.matrix()
    for k in (0, -1):
        v = ritz.vectors[k].astype(float)
        assert np.linalg.norm(A @ v - ritz.values[k] * v) < 1e-3
    exact = np.linalg.eigvalsh(A.toarray())
    assert ritz.values.min() >= exact[0] * (1 - 1e-4) and ritz.values.max() <= exact[-1] * (1 + 1e-6)


def test_a_singular_box_drops_its_null_space():
    box = Poisson(np.zeros((6, 5), dtype=np.uint8))
    ritz = ritz_basis(box.apply, box.shape, 30, seed=43)
    assert ritz.values.min() > 1e-3
    assert np.abs(ritz.vectors.sum(axis=1)).max() < 1e-3


def test_samples_have_unit_root_mean_square_and_favour_the_low_modes(box):
    ritz = ritz_basis(box.apply, SHAPE, 40, seed=47)
    b = ritz.sample(200, np.random.default_rng(53))
    assert b.shape == (200, 1, *SHAPE)
    assert np.allclose(np.sqrt(np.mean(b**2, axis=(1, 2, 3, 4))), 1, rtol=1e-5)
    energy = np.mean((b.reshape(200, -1) @ ritz.vectors.T) ** 2, axis=0)
    low = int(0.55 * len(ritz.values))
    assert energy[:low].mean() > 40 * energy[low:].mean()  # 81 in the mean


def test_the_number_of_steps_follows_the_memory():
    assert steps_for_memory(32**3, 1024) == 2000
    assert steps_for_memory(128**3, 1024) == 64
    assert steps_for_memory(10, 1024) == 10

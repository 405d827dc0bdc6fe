"""Right-hand sides to train on: random combinations of Ritz vectors of the obstacle-free box.

Kaneda et al. 2023, section 4.1: m steps of Lanczos from A times a Gaussian vector give approximate eigenvectors over the
whole spectrum; coefficients are N(0, 1), times 9 for the lower part of the spectrum, and the sum is normalised.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

SMALLEST_RITZ_VALUE = 1e-7  # the paper cuts at 1e-8; in single precision the null space reaches beyond
LOW_WEIGHT = 9.0
LOW_FRACTION = 0.55  # the paper's m/2 + 500 of m = 10,000


@dataclass(frozen=True)
class RitzBasis:
    """Ritz pairs of A, ascending.

    Attributes
    ----------
    values : (k,) float64
    vectors : (k, n) float32, rows of unit length
    shape : the cells' shape; n is its product
    """

    values: NDArray[np.float64]
    vectors: NDArray[np.float32]
    shape: tuple[int, ...]

    def sample(self, count: int, rng: np.random.Generator) -> NDArray[np.float32]:
        """`count` right-hand sides of unit root mean square, shape (count, 1, *shape)."""
        coefficients = rng.standard_normal((count, len(self.values)), dtype=np.float32)
        coefficients[:, : int(LOW_FRACTION * len(self.values))] *= LOW_WEIGHT
        b = coefficients @ self.vectors
        b /= np.sqrt(np.mean(b * b, axis=1, keepdims=True))
        return b.reshape(count, 1, *self.shape)


def lanczos(
    apply: Callable[[NDArray], NDArray], start: NDArray, steps: int, progress: Callable[[int], None] | None = None
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float32]]:
    """Lanczos tridiagonalisation with full re-orthogonalisation (twice: Parlett 1998, section 6.9).

    Parameters
    ----------
    apply : the symmetric operator on flat float64 vectors
    start : (n,) first vector
    steps : at most this many; fewer where an invariant subspace is found
    progress : called with the number of steps done

    Returns
    -------
    alpha, beta : the diagonal (k,) and the off-diagonal (k - 1,) of the tridiagonal matrix
    basis : (k, n) float32 Lanczos vectors; float32 halves the memory, which is what bounds k
    """
    steps = min(steps, start.size)
    basis = np.empty((steps, start.size), dtype=np.float32)
    alpha, beta = np.empty(steps), np.empty(steps)
    q = start / np.linalg.norm(start)
    scale = 0.0
    for k in range(steps):
        basis[k] = q
        w = apply(q)
        alpha[k] = q @ w
        w -= alpha[k] * q
        if k:
            w -= beta[k - 1] * basis[k - 1]
        for _ in range(2):
            w -= basis[: k + 1].T @ (basis[: k + 1] @ w.astype(np.float32))
        beta[k] = np.linalg.norm(w)
        scale = max(scale, abs(alpha[k]) + beta[k])
        if progress:
            progress(k + 1)
        if beta[k] <= 1e-6 * scale:  # float32 basis: what is left is rounding
            return alpha[: k + 1], beta[:k], basis[: k + 1]
        q = w / beta[k]
    return alpha, beta[:-1], basis


def ritz_basis(
    apply: Callable[[NDArray], NDArray],
    shape: tuple[int, ...],
    steps: int,
    seed: int,
    progress: Callable[[int], None] | None = None,
) -> RitzBasis:
    """Ritz pairs of the operator `apply` on flat vectors over all cells of a box of `shape`."""
    rng = np.random.default_rng(seed)
    start = apply(rng.standard_normal(int(np.prod(shape))))
    alpha, beta, basis = lanczos(apply, start, steps, progress)
    values, vectors = scipy.linalg.eigh_tridiagonal(alpha, beta)
    keep = values > SMALLEST_RITZ_VALUE
    ritz = vectors[:, keep].T.astype(np.float32) @ basis
    return RitzBasis(values[keep], ritz, tuple(shape))


def steps_for_memory(cells: int, megabytes: float = 1024.0, most: int = 2000) -> int:
    """How many Lanczos steps fit: two float32 bases (Lanczos and Ritz vectors) of `cells` values a step."""
    return max(8, min(most, cells, int(megabytes * 2**20 / (8 * cells))))

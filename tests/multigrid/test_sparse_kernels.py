"""Sparse levels by the kernels: the levels and the cycle of their definition, for every number of threads."""

import ctypes
import dataclasses

import numpy as np
import pytest
from scipy.sparse import csr_array

import deepcg
from deepcg.native import library as native
from deepcg.problem.poisson import Poisson
from tests.support.cycles import random_parameters, residual_like

torch = pytest.importorskip("torch")

from deepcg.multigrid.cycle import MultilevelCycle  # noqa: E402
from deepcg.multigrid.parameters import Parameters  # noqa: E402
from deepcg.multigrid.reference.hierarchy import build_hierarchy  # noqa: E402
from deepcg.multigrid.reference.sparse_cycle import CHEBYSHEV, Rule, SparseCycle  # noqa: E402
from deepcg.multigrid.reference.sparse_levels import finest_sparse_level  # noqa: E402
from deepcg.training.rough_fields import KINDS  # noqa: E402

pytestmark = pytest.mark.skipif(native.unavailable is not None, reason="the kernels are not built")

RULE = Rule(omega=(CHEBYSHEV, (0.85,)), omega_finest=(1.2, 1.2))  # the kernels'
SPARSE = dataclasses.replace(Parameters.classical(), rough=1.0)  # levels are sparse unless the coefficient is constant


def coefficient(shape, kind, contrast=1e4, seed=1):
    rng = np.random.default_rng([seed, *shape])
    if kind == "white":
        return np.exp(2.0 * rng.standard_normal(shape))
    if kind == "inclusions":
        return np.where(rng.random(shape) < 0.2, contrast, 1.0)
    if kind == "channels":
        at = np.indices(shape)
        return np.where((at[-1] + at[-2]) % 7 < 2, contrast, 1.0)
    return np.exp(2.0 * rng.standard_normal((shape[0],) + (1,) * (len(shape) - 1))) * np.ones(shape)


def problem(shape, kind, **more):
    rng = np.random.default_rng([2, *shape])
    arguments = {"boundary": [("open", "wall")] + ["wall"] * (len(shape) - 1)} | more
    cells = np.where(rng.random(shape) < arguments.pop("solid", 0.0), deepcg.SOLID, deepcg.FLUID).astype(np.uint8)
    return Poisson(cells, coefficient=coefficient(shape, kind), **arguments)


CASES = {
    "white 2-D": lambda: problem((45, 38), "white"),
    "white 3-D": lambda: problem((13, 14, 17), "white"),
    "inclusions 2-D": lambda: problem((48, 41), "inclusions"),
    "inclusions 3-D": lambda: problem((15, 12, 14), "inclusions"),
    "walls": lambda: problem((37, 44), "white", solid=0.1),
    "layers, open sides": lambda: problem((12, 13, 15), "layers", boundary="open"),
    "periodic": lambda: problem((24, 30), "inclusions", boundary=["periodic", "periodic"]),
    "periodic, odd": lambda: problem((11, 14, 13), "white", boundary=[("open", "wall"), "periodic", "periodic"]),
    "shift": lambda: problem((40, 33), "inclusions", boundary="wall", shift=0.03),
    "held by a shift": lambda: problem((20, 21), "white", boundary="wall", shift=1e6),
}


def sparse_level(cycle, number):
    """(unknowns, unknowns) weights, slack, cells and visits of a level as the kernels hold it."""
    level = native.SparseLevel()
    native.call("dcg_multilevel_sparse_level", cycle._handle, number, ctypes.byref(level))
    n = level.unknowns

    def values(pointer, count):
        return np.ctypeslib.as_array(pointer, (count,)).copy() if count else np.zeros(0)

    start = values(level.start, n + 1)
    entries = int(start[-1]) if n else 0
    rows = csr_array((values(level.weight, entries), values(level.neighbour, entries), start), shape=(n, n))
    return rows, values(level.slack, n), values(level.cell, n), level.visits


def definition(given, rule=RULE):
    hierarchy = build_hierarchy(given)
    finest, active = finest_sparse_level(hierarchy, torch.zeros(1, dtype=torch.float64))
    return SparseCycle(
        finest, [np.ones(n) for n in finest.shape], rule
    ), active  # cells without any coupling are not among them


@pytest.mark.parametrize("case", CASES)
def test_levels_are_those_of_the_definition(case):
    given = CASES[case]()
    expected, _ = definition(given)
    cycle = MultilevelCycle(given, SPARSE, threads=2)
    assert [level.unknowns for level in cycle.levels[1:]] == [stage.level.unknowns for stage in expected.stages[1:]]
    for number, stage in enumerate(expected.stages[1:], start=1):
        rows, slack, cell, visits = sparse_level(cycle, number)
        level = stage.level
        assert visits == expected.stages[number - 1].visits
        np.testing.assert_array_equal(cell, np.ravel_multi_index(tuple(level.cell), level.shape))
        np.testing.assert_allclose(slack, (level.dirichlet + level.shift).numpy(), rtol=1e-5, atol=1e-12)
        w = csr_array((level.weight.numpy(), (level.low, level.high)), shape=rows.shape)
        difference = abs(rows - (w + w.T))
        assert difference.nnz == 0 or difference.max() <= 1e-5 * rows.max()
        assert abs(rows - rows.T).sum() == 0


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("case", CASES)
def test_cycle_is_that_of_the_definition(case, threads):
    given = CASES[case]()
    expected, active = definition(given)
    cycle = MultilevelCycle(given, SPARSE, threads=threads)
    r = residual_like(given, 3)
    z = cycle(r)[active]
    right = expected(torch.from_numpy(r[active])[:, None])[:, 0].numpy()
    scale = (z @ right) / (right @ right)  # of the hierarchy's unit weights
    assert np.linalg.norm(z - scale * right) <= 2e-4 * np.linalg.norm(z)


@pytest.mark.parametrize("shape", [(14, 13), (6, 5, 7)], ids=["2-D", "3-D"])
@pytest.mark.parametrize("kind", KINDS)
def test_spectrum_is_within_0_and_2(kind, shape):
    """Dense, with classical and with random parameters of the finest level."""
    seed = list(KINDS).index(kind)
    beta = KINDS[kind](np.random.default_rng([seed, 4]), shape)
    given = Poisson(
        np.zeros(shape, np.uint8), coefficient=beta, boundary=[("open", "wall")] + ["wall"] * (len(shape) - 1)
    )
    A = given.matrix().toarray()
    root = np.linalg.cholesky(A)
    for parameters in (SPARSE, dataclasses.replace(random_parameters(seed), rough=1.0)):
        cycle = MultilevelCycle(given, parameters)
        M = np.stack([cycle(column) for column in np.eye(A.shape[0])], axis=1)
        assert np.abs(M - M.T).max() <= 1e-4 * np.abs(M).max()
        values = np.linalg.eigvalsh(root.T @ (0.5 * (M + M.T)) @ root)
        assert values[0] > 0.01 and values[-1] < 2.0

"""The multilevel network on many ranks is that of one rank, however the grid is cut. Ranks are threads here (tests/support/ranks.py)."""

import numpy as np
import pytest

from deepcg import FLUID, SOLID, Poisson
from deepcg.multigrid.cycle import MultilevelCycle
from deepcg.multigrid.parameters import Parameters
from deepcg.native import library as native
from deepcg.scenes import gallery
from tests.support import ranks, reference
from tests.support.cycles import random_parameters, residual_like

pytestmark = pytest.mark.skipif(native.unavailable is not None, reason="the kernels are not built")

ROUNDING = 3e-6  # relative to the largest value: single precision through a cycle


def jumps(shape, seed=3):
    """A coefficient of 1000:1 between two materials in blobs."""
    at = np.stack(np.meshgrid(*[np.arange(n) / n for n in shape], indexing="ij"))
    wave = np.random.default_rng(seed).uniform(3.0, 9.0, len(shape))
    return np.where(np.sin(np.tensordot(wave, at, 1)) * np.cos(3.0 * at[-1]) > 0.1, 1000.0, 1.0)


def thin_walls(shape, seed=7):
    """Walls one cell thick, with gaps, across every axis and along all of it."""
    rng = np.random.default_rng(seed)
    cells = np.full(shape, FLUID, np.uint8)
    for axis, n in enumerate(shape):
        for plane in range(1 + axis, n, 5):
            cells[(slice(None),) * axis + (plane,)] = np.where(rng.random(np.delete(shape, axis)) < 0.9, SOLID, FLUID)
    return cells


def random_cells(shape, seed=5):
    return np.random.default_rng(seed).choice([0, 1, 2], size=shape, p=(0.65, 0.33, 0.02)).astype(np.uint8)


def stretched(shape, seed=9):
    return [np.random.default_rng(seed + a).uniform(0.3, 3.0, n) for a, n in enumerate(shape)]


PROBLEMS = {
    "open box": ((14, 13, 17), {"boundary": "open"}),
    "pure Neumann": ((12, 16, 10), {}),
    "1000:1": ((14, 12, 16), {"coefficient": jumps((14, 12, 16)), "boundary": [("open", "wall"), "wall", "wall"]}),
    "stretched": ((15, 12, 14), {"spacing": stretched((15, 12, 14)), "boundary": ["wall", "open", "wall"]}),
    "thin walls": ((16, 17, 18), {"cells": thin_walls((16, 17, 18)), "boundary": ["wall", "open", "wall"]}),
    "thin walls, weights": ((16, 17, 18), {"cells": thin_walls((16, 17, 18)), "coefficient": jumps((16, 17, 18))}),
    "random cells": ((12, 14, 13), {"cells": random_cells((12, 14, 13)), "boundary": "open"}),
    "periodic": ((12, 16, 8), {"boundary": "periodic"}),
    "periodic, walls": (
        (16, 20, 16),
        {"cells": thin_walls((16, 20, 16)), "boundary": ["periodic", "periodic", "open"]},
    ),
    "shift": ((10, 12, 11), {"shift": np.random.default_rng(4).uniform(0, 0.1, (10, 12, 11))}),
    "2-D": ((33, 45), {"boundary": ["open", "wall"]}),
    "2-D walls": ((40, 44), {"cells": thin_walls((40, 44)), "boundary": ["wall", "periodic"]}),
    "2-D 1000:1": ((36, 31), {"coefficient": jumps((36, 31)), "spacing": [1.0, 4.0]}),
}
CUTS = {
    3: [[[], [], [7]], [[5], [], []], [[], [3, 9], []], [[6], [7], []], [[7], [5], [3]], [[2, 3, 4], [], [7]]],
    2: [[[], [20]], [[13], []], [[1], [4, 30]], [[9, 10], [11, 20]]],
}
EVERY = [
    (name, cuts) for name, (shape, _) in PROBLEMS.items() for cuts in CUTS[len(shape)]
]  # problems by ways to cut them


def problem(name) -> Poisson:
    shape, options = PROBLEMS[name]
    return Poisson(**{"cells": np.zeros(shape, np.uint8), **options})


def assert_same_network(given, parameters, cuts, **options):
    alone, together = MultilevelCycle(given, parameters, threads=1), ranks.OnRanks(given, parameters, cuts, **options)
    assert together.levels == [(*level.shape, level.unknowns, level.secondary) for level in alone.levels]
    r = residual_like(given, 21)
    for v in (r, np.roll(r, 7) * (given.cells.reshape(-1) == FLUID)):
        expected = alone(v)
        assert np.abs(together(v) - expected).max() <= ROUNDING * np.abs(expected).max()
    return together


@pytest.mark.parametrize(
    "parameters", [Parameters.classical(), random_parameters(31, (1, 2))], ids=["classical", "random"]
)
@pytest.mark.parametrize(("name", "cuts"), EVERY)
def test_the_network_of_one_rank(name, cuts, parameters):
    assert_same_network(problem(name), parameters, cuts).close()


@pytest.mark.parametrize(("name", "dim"), [(name, dim) for dim in (2, 3) for name in gallery.names(dim)])
def test_scenes(name, dim):
    given = gallery.scene(name, {2: 45, 3: 20}[dim], dim).problem
    cuts = [[given.shape[0] // 3], [], [7]] if dim == 3 else [[given.shape[0] // 3], [7]]
    assert_same_network(given, random_parameters(12), cuts).close()


@pytest.mark.parametrize("seed", range(40))
def test_random_problems(seed):
    """Any shape, boundary, coefficient and cells, cut anywhere: slabs of one cell are among them."""
    rng = np.random.default_rng(seed)
    given = Poisson(**reference.random_arguments(seed))
    cuts = [sorted(rng.choice(np.arange(1, n), min(n - 1, rng.integers(3)), replace=False)) for n in given.shape]
    assert_same_network(given, random_parameters(seed), cuts).close()


@pytest.mark.parametrize("seed", [7, 10, 18])
def test_unknowns_joined_only_to_what_is_not_held(seed):
    """At the edge of what a rank holds, whether a cell is an unknown is for its owner to say; a block's parts depend on it."""
    cells = np.random.default_rng(seed).choice([0, 1], size=(24, 24, 8), p=(0.45, 0.55)).astype(np.uint8)
    assert_same_network(Poisson(cells, boundary="open"), random_parameters(seed), [[8, 16], [8, 16], []]).close()


def test_extra_unknowns_are_cut_and_coupled():
    """The thin walls above do put secondary unknowns side by side across cuts of coarse levels: ranks take turns there."""
    given, cuts = problem("thin walls"), [[], [], [7]]
    coupled = assert_same_network(given, Parameters.classical(2), cuts)
    plain = assert_same_network(problem("open box"), Parameters.classical(2), cuts)
    assert coupled.levels[1][4] > 0 and plain.levels[1][4] == 0
    counts = []
    for each in (coupled, plain):
        before = each.calls()
        each(residual_like(each.problem, 3))
        counts.append({kind: each.calls()[kind] - before[kind] for kind in before})
        each.close()
    levels, sweeps = counts[1]["reduce"], 2
    assert counts[0]["reduce"] == levels >= 2
    assert counts[1]["broadcast"] == levels * (4 * sweeps + 1)  # the ledger in distributed_cycle.cpp
    assert counts[0]["broadcast"] >= counts[1]["broadcast"] + 4 * sweeps


@pytest.mark.parametrize("name", ["thin walls", "1000:1", "periodic", "2-D walls"])
def test_no_sum_over_ranks_in_the_cycle(name):
    given = problem(name)
    together = ranks.OnRanks(given, Parameters.classical(), CUTS[len(given.shape)][3])
    before = together.calls()["allreduce"]
    together(residual_like(given, 2))
    assert together.calls()["allreduce"] == before
    together.close()


@pytest.mark.parametrize(
    ("cells", "options", "cuts"),
    [
        (np.zeros((6, 5, 7), np.uint8), {"boundary": "open"}, [[3], [], [4]]),
        (thin_walls((7, 6, 8), 2), {"boundary": ["wall", "open", "wall"]}, [[3], [2], [4]]),
        (random_cells((10, 13)), {"coefficient": jumps((10, 13)), "boundary": "open"}, [[5], [3, 7]]),
        (thin_walls((12, 10), 4), {"boundary": ["periodic", "wall"]}, [[4, 8], [5]]),
    ],
)
def test_symmetric_and_positive_definite(cells, options, cuts):
    """By its dense spectrum, on the range of A where that is singular."""
    given = Poisson(cells, **options)
    together = ranks.OnRanks(given, random_parameters(17), cuts)
    fluid = np.flatnonzero(given.cells.reshape(-1) == FLUID)
    M = np.zeros((fluid.size, fluid.size))
    for column, cell in enumerate(fluid):
        unit = np.zeros(given.cells.size)
        unit[cell] = 1.0
        M[:, column] = together(unit)[fluid]
    together.close()
    A = reference.matrix(cells, **options)
    N = reference.null_space(A)
    scale = np.abs(M).max()
    assert np.abs(M - M.T).max() <= 1e-6 * scale
    Q = np.eye(len(A)) - N @ N.T
    values = np.linalg.eigvalsh(Q @ (M + M.T) @ Q / 2)
    assert (values[: N.shape[1]] > -1e-6 * scale).all()
    assert values[N.shape[1] :].min() > 1e-4 * scale


@pytest.mark.parametrize(("name", "cuts"), EVERY[::3])
@pytest.mark.parametrize("gather", [1, 600, 10**6])
def test_conjugate_gradients_take_as_many_iterations(name, cuts, gather):
    given = problem(name)
    b = residual_like(given, 8)
    target = 1e-7 * np.linalg.norm(b)
    alone, together = (
        MultilevelCycle(given, Parameters.classical()),
        ranks.OnRanks(given, Parameters.classical(), cuts, gather),
    )
    expected = alone.native_cg(np.zeros_like(b), b.copy(), target, 60)
    x, r = np.zeros_like(b), b.copy()
    runs = together.native_cg(x, r, target, 60)
    together.close()
    assert all(run == runs[0] for run in runs) and not runs[0].broken
    assert abs(len(runs[0].residuals) - len(expected.residuals)) <= 1  # rounding at the target
    assert np.allclose(runs[0].residuals[:3], expected.residuals[:3], rtol=1e-3)
    fluid = given.cells == FLUID
    residual = b.reshape(given.shape)[fluid] - given.matrix() @ x.reshape(given.shape)[fluid]
    assert np.linalg.norm(residual - r.reshape(given.shape)[fluid]) <= 1e-3 * target
    assert np.linalg.norm(residual) == pytest.approx(runs[0].residuals[-1], rel=1e-3)
    if len(expected.residuals) < 60:
        assert np.linalg.norm(residual) <= 1.001 * target


@pytest.mark.parametrize(("gather", "cut_levels"), [(0, 0), (2184, 0), (2183, 1), (294, 1), (293, 2), (1, 2)])
def test_small_levels_live_on_rank_0(gather, cut_levels):
    """A cut level hands what is left to the next one by one `add`; where none is cut, the vectors go to rank 0 by one."""
    given = Poisson(
        np.zeros((12, 13, 14), np.uint8), boundary="open"
    )  # 2184 cells, then 6 * 7 * 7, then 3 * 4 * 4, which is the last
    together = assert_same_network(given, Parameters.classical(), [[6], [], [7]], gather=gather)
    before = together.calls()["reduce"]
    together(residual_like(given, 2))
    assert together.calls()["reduce"] - before == max(cut_levels, 1)
    together.close()


@pytest.mark.parametrize("cuts", [[[4], [], []], [[4], [6], [5]], [[], [7], []]])
def test_periodic_axes_of_odd_length(cuts):
    """Where such an axis is cut, the level lives on rank 0; where not, it needs its own passes there as anywhere."""
    given = Poisson(np.zeros((9, 14, 11), np.uint8), boundary=["periodic", "wall", "periodic"])
    assert_same_network(given, random_parameters(3), cuts).close()


def test_threads_of_a_rank():
    for name in ("thin walls", "2-D 1000:1"):
        given = problem(name)
        assert_same_network(given, random_parameters(3), CUTS[len(given.shape)][1], threads=3).close()


def test_update():
    first, second = problem("thin walls"), problem("thin walls, weights")
    together = assert_same_network(first, random_parameters(3), [[7], [], [9]])
    for given in (second, Poisson(random_cells(first.shape)), first):
        together.update(given)
        alone = MultilevelCycle(given, random_parameters(3))
        r = residual_like(given, 2)
        expected = alone(r)
        assert np.abs(together(r) - expected).max() <= ROUNDING * np.abs(expected).max()
    together.close()


@pytest.mark.parametrize("calls", [0, 3, 9, 40, 70])
def test_a_failing_message_ends_the_call(calls):
    """On every rank, with an error and without waiting for ever."""
    given = problem("thin walls")

    def run():
        together = ranks.OnRanks(given, Parameters.classical(), [[], [5, 11], []], fail_after=calls)
        together.native_cg(np.zeros(given.cells.size), residual_like(given, 2), 0.0, 60)

    with pytest.raises(native.KernelError, match="a message-passing function failed") as caught:
        run()
    assert len(caught.value.of_ranks) == 3


def test_one_rank_refuses_for_all(monkeypatch):
    given = problem("open box")
    whole = ranks.OnRanks._operator

    def damaged(self, number, problem):
        op = whole(self, number, problem)
        if number == 1:
            op.shape[2] += 1
        return op

    monkeypatch.setattr(ranks.OnRanks, "_operator", damaged)
    with pytest.raises(native.KernelError) as caught:
        ranks.OnRanks(given, Parameters.classical(), [[], [], [4, 8]])
    texts = {number: str(error) for number, error in caught.value.of_ranks.items()}
    assert len(texts) == 3
    assert "shape: not that of this rank's cells" in texts[1]
    assert "refused on another rank" in texts[0] and "refused on another rank" in texts[2]


@pytest.mark.parametrize(
    ("damage", "text"),
    [
        (lambda given: setattr(given, "gather", -1), "gather"),
        (lambda given: given.ranks.__setitem__(2, 0), "at least one rank"),
        (lambda given: given.place.__setitem__(2, 5), "place"),
        (lambda given: given.starts[2].__setitem__(1, 0), "at least one cell"),
        (lambda given: given.starts[2].__setitem__(0, 3), "starts at cell 0"),
    ],
)
def test_illegal_ranks(monkeypatch, damage, text):
    whole = ranks.OnRanks._ranks

    def damaged(self, number, gather):
        given = whole(self, number, gather)
        damage(given)
        return given

    monkeypatch.setattr(ranks.OnRanks, "_ranks", damaged)
    with pytest.raises(native.KernelError, match=text):
        ranks.OnRanks(problem("open box"), Parameters.classical(), [[], [], [7]])

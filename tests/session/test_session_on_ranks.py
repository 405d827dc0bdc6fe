"""A solver session on many ranks, which are threads here: the answers and iterations of one process, whatever the cuts."""

import ctypes
import itertools

import numpy as np
import pytest
import scipy.sparse as sp

from deepcg import FLUID, SOLID, Poisson
from deepcg.multigrid.parameters import Parameters
from deepcg.native import library as native
from deepcg.native.callbacks import Callbacks
from deepcg.native.constants import STOPPED
from deepcg.native.session import Observer
from tests.session.test_session import RTOL, judge, over_all_cells
from tests.support.ranks import Crowd, OnRanks, Rank, on_all, ranks_of
from tests.support.session import Session

pytestmark = pytest.mark.skipif(native.unavailable is not None, reason="the kernels are not built")


class Cut:
    """The rows of a matrix over all cells of a grid, dealt out to ranks by boxes and renumbered.

    Parameters
    ----------
    shape : of the grid
    cuts : per axis, the first cell of each slab of ranks but the first one
    """

    def __init__(self, shape, cuts, **options):
        self.shape = shape
        self.starts = [np.array([0, *cut, n], np.int64) for cut, n in zip(cuts, shape, strict=True)]
        self.places = list(itertools.product(*[range(len(s) - 1) for s in self.starts]))
        cells = np.arange(np.prod(shape)).reshape(shape)
        boxes = [
            cells[tuple(slice(s[p], s[p + 1]) for s, p in zip(self.starts, at, strict=True))].ravel()
            for at in self.places
        ]
        self.order = np.concatenate(boxes)  # the cell of each row
        self.first = np.cumsum([0, *map(len, boxes)])
        crowd = Crowd(len(boxes))
        self.ranks = [Rank(crowd, number) for number in range(len(boxes))]
        self.sessions = [Session(**options) for _ in boxes]

    def each(self, run):
        return on_all(len(self.places), lambda number: run(number, self.sessions[number]))

    def set_grid(self):
        def run(number, session):
            given = ranks_of(self.starts, self.places[number], self.ranks[number], gather=1)
            session.grid(*self.shape).ranks(given)

        self.each(run)
        return self

    def matrix(self, A, same_pattern=False):
        """A in the order of the cells."""
        A = sp.csr_array(A[self.order][:, self.order])

        def run(number, session):
            own = slice(self.first[number], self.first[number + 1])
            rows = A[own]
            others = np.setdiff1d(np.unique(rows.indices), np.arange(own.start, own.stop))
            local = sp.csr_array(sp.hstack([rows[:, own], rows[:, others]]))
            session.matrix(local, ghost=others, own=own.stop - own.start, same_pattern=same_pattern)

        self.each(run)
        return self

    def solve(self, b, x0=None):
        """x in the order of the cells, and every rank's result."""
        mine = [None if v is None else np.split(v[self.order], self.first[1:-1]) for v in (b, x0)]
        answers = self.each(lambda n, session: session.solve(mine[0][n], None if x0 is None else mine[1][n]))
        x = np.empty(b.size)
        x[self.order] = np.concatenate([part for part, _ in answers])
        results = [result for _, result in answers]
        for other in results[1:]:
            assert other.iterations == results[0].iterations and other.reason == results[0].reason
        return x, results[0]


CUTS = {
    "slabs": ([6, 11], [], []),
    "boxes": ([7], [8], [5, 9]),
    "columns": ([], [4], [6]),
}
SHAPE = 16, 14, 13


def problems():
    rng = np.random.default_rng(3)
    cells = np.where(rng.random(SHAPE) < 0.15, SOLID, FLUID).astype(np.uint8)
    beta = 10.0 ** rng.choice([-1.0, 1.0], SHAPE)
    return {
        "open": Poisson(np.zeros(SHAPE, np.uint8), boundary="open"),
        "obstacles": Poisson(cells, boundary="open"),
        "jumps": Poisson(np.zeros(SHAPE, np.uint8), boundary=["open", "wall", "wall"], coefficient=beta),
        "closed": Poisson(np.zeros(SHAPE, np.uint8)),
        "periodic": Poisson(np.zeros(SHAPE, np.uint8), boundary=["periodic", "wall", "periodic"], coefficient=beta),
    }


@pytest.mark.parametrize("cuts", CUTS)
@pytest.mark.parametrize("name", problems())
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_as_on_one_process(name, cuts, sign):
    A = sign * over_all_cells(problems()[name], 3.0)
    b = A @ np.random.default_rng(5).standard_normal(A.shape[0])
    _, alone = Session(rtol=RTOL, gather=1).grid(*SHAPE).matrix(A).solve(b)
    x, result = Cut(SHAPE, CUTS[cuts], rtol=RTOL).set_grid().matrix(A).solve(b)
    judge(A, x, b, result)
    assert abs(result.iterations - alone.iterations) <= 1


@pytest.mark.parametrize("method", ["cg", "dcd"])
def test_a_weak_anchor_costs_no_iterations(method):
    shift, b = np.zeros(SHAPE), np.zeros(SHAPE)
    shift[0], b[-1] = 1e-7, 1.0
    A, b = over_all_cells(Poisson(np.zeros(SHAPE, np.uint8), shift=shift), 1.0), b.ravel()
    x, result = Cut(SHAPE, CUTS["boxes"], rtol=1e-6, method=method).set_grid().matrix(A).solve(b)
    assert result.reason == 0 and result.fallbacks == 0 and result.iterations <= 8
    assert np.linalg.norm(b - A @ x) <= 1.1e-6 * np.linalg.norm(b)


def test_components_that_cross_ranks_and_some_that_do_not():
    """Singular ones on one rank and on several, and one that an open side anchors, which one rank cannot see from another."""
    cells = np.zeros(SHAPE, np.uint8)
    cells[:, 4] = SOLID  # cells before it: on all ranks; after it: likewise
    cells[:, 9] = SOLID
    cells[3, 10:] = SOLID
    problem = Poisson(cells, boundary=["wall", ("wall", "open"), "wall"])
    assert problem.null_space.count == 2 if hasattr(problem, "null_space") else True
    A, rng = over_all_cells(problem, 1.0), np.random.default_rng(6)
    inside = rng.standard_normal(A.shape[0])
    labels = np.zeros(SHAPE, int)
    labels[:, :4], labels[:, 5:9] = 1, 2
    off = (A @ inside).reshape(SHAPE) + np.where(labels == 1, 1.0, 0.0) + np.where(labels == 2, -3.0, 0.0)
    x, result = Cut(SHAPE, CUTS["boxes"], rtol=RTOL).set_grid().matrix(A).solve(off.ravel())
    assert result.reason == 0
    residual = (off.ravel() - A @ x).reshape(SHAPE)
    for label, mean in ((1, 1.0), (2, -3.0)):
        assert abs(x.reshape(SHAPE)[labels == label].mean()) <= 1e-10 * np.abs(x).max()
        residual[labels == label] -= residual[labels == label].mean()
        assert mean * off[labels == label].mean() > 0
    assert np.linalg.norm(residual) <= 1.1 * RTOL * np.linalg.norm(off)
    sizes = [(labels == label).sum() for label in (1, 2)]
    assert result.projected == pytest.approx(np.sqrt(sizes[0] * 1.0 + sizes[1] * 9.0))


def test_one_sided_couplings_across_ranks():
    """The solution of rows that are diagonal only goes to the right-hand sides of other ranks."""
    rng = np.random.default_rng(7)
    A = Poisson(np.zeros(SHAPE, np.uint8), boundary="open").matrix().tolil()
    lone = rng.choice(A.shape[0], 300, replace=False)
    for row in lone:
        A[row, :] = 0.0
        A[row, row] = 2.5
    A = sp.csr_array(A)
    b = rng.standard_normal(A.shape[0])
    x, result = Cut(SHAPE, CUTS["boxes"], rtol=RTOL).set_grid().matrix(A).solve(b)
    judge(A, x, b, result)


def test_new_values_and_a_guess():
    rng, cut = np.random.default_rng(8), Cut(SHAPE, CUTS["slabs"], rtol=RTOL).set_grid()
    for step in range(3):
        beta = None if step == 1 else 10.0 ** rng.uniform(-1, 1, SHAPE)
        A = Poisson(np.zeros(SHAPE, np.uint8), boundary="open", coefficient=beta).matrix()
        b = rng.standard_normal(A.shape[0])
        x, result = cut.matrix(A, same_pattern=step > 0).solve(b, 1e-3 * rng.standard_normal(b.size))
        judge(A, x, b, result)
    text = cut.each(lambda _, session: session.view())[0]
    assert "on 1 x 1 x 3 ranks" in text and "unknowns" in text


def test_refusals_reach_every_rank():
    A = (
        Poisson(np.zeros(SHAPE, np.uint8), boundary="open", coefficient=np.linspace(1, 2, 16 * 14 * 13).reshape(SHAPE))
        .matrix()
        .tolil()
    )
    plane = 14 * 13
    A[5 * plane, 6 * plane] *= 1.5  # across the border of the first two ranks, in one direction
    cut = Cut(SHAPE, CUTS["slabs"]).set_grid()
    with pytest.raises(ValueError, match="not symmetric: for two vectors x and y") as error:
        cut.matrix(sp.csr_array(A))
    assert len(error.value.of_ranks) == 3
    with pytest.raises(
        ValueError, match=r"coordinates say where the rows lie on one process only|another process refused"
    ):
        cut.each(
            lambda n, session: session.coordinates(np.array([[0.0, 0.0], [1.0, 0.0]])).matrix(sp.eye_array(2).tocsr())
        )


def test_grids_and_ranks_that_disagree():
    cut = Cut(SHAPE, CUTS["slabs"]).set_grid()
    A = Poisson(np.zeros(SHAPE, np.uint8)).matrix()
    cut.each(lambda _, session: session.grid(16, 14, 12))
    with pytest.raises(ValueError, match=r"ranks.starts: the last value along each axis has to be the grid's size"):
        cut.matrix(A)


@pytest.mark.parametrize("name", ["obstacles", "periodic"])
def test_an_operator_over_the_cells_of_each_box(name):
    problem, cuts = problems()[name], CUTS["boxes"]
    parts = OnRanks(problem, Parameters.classical(), cuts)  # for its operators
    cut = Cut(SHAPE, cuts, rtol=RTOL, model="multigrid").set_grid()
    cut.each(lambda n, session: session.operator(parts._operator(n, problem)))
    A = over_all_cells(problem, 0.0)
    b = A @ np.random.default_rng(9).standard_normal(A.shape[0])
    x, result = cut.solve(b)
    judge(A, x, b, result)
    _, alone = Session(rtol=RTOL, model="multigrid").operator(native.operator(problem.stencil)).solve(b)
    assert abs(result.iterations - alone.iterations) <= 1
    parts.close()


@pytest.mark.parametrize("cuts", CUTS)
def test_the_judge_keeps_the_matrix_that_was_given(cuts):
    """Anchors of 1e-8 of the diagonal on one rank, couplings that differ by rounding and a stray entry across ranks; and row sums of single
    precision, on components that are singular and on others."""
    A = over_all_cells(problems()["jumps"], 1.0).tocsr()
    rng = np.random.default_rng(9)
    weak = over_all_cells(problems()["closed"], 1.0) + 1e-8 * sp.diags_array((np.arange(A.shape[0]) < 40) * 6.0)
    rough = sp.csr_array((A.data * (1 + 1e-12 * rng.uniform(-1, 1, A.nnz)), A.indices, A.indptr), A.shape)
    stray = sp.coo_array(([1e-14, 1e-14], ([3, 2500], [2500, 3])), A.shape)
    for matrix, rtol in ((weak, 1e-6), ((rough + stray).tocsr(), 1e-11)):
        b = matrix @ rng.standard_normal(A.shape[0])
        x, result = Cut(SHAPE, CUTS[cuts], rtol=rtol).set_grid().matrix(matrix.tocsr()).solve(b)
        assert result.reason == 0 and np.linalg.norm(b - matrix @ x) <= 1.01 * rtol * np.linalg.norm(b)
    for name in ("closed", "jumps"):
        single = (over_all_cells(problems()[name], 1.0) / 3).astype(np.float32).astype(float)
        b = rng.standard_normal(A.shape[0])
        x, result = Cut(SHAPE, CUTS[cuts], rtol=1e-6, rounding=6e-8).set_grid().matrix(single.tocsr()).solve(b)
        assert result.reason == 0 and (result.projected > 0.0) == (name == "closed")
        assert np.linalg.norm(b - single @ x) <= 1.01 * np.hypot(1e-6 * np.linalg.norm(b), result.projected)


def watched(stop_at, fails=False):
    """Two ranks of which the second one has an observer, which stops, or fails, at an iteration."""
    problem = Poisson(np.zeros((10, 9), np.uint8), boundary="open")
    cut, seen, calls, observer = Cut((10, 9), ((4,), ()), rtol=RTOL).set_grid(), [], Callbacks(), Observer()

    def observe(iteration, norm, x, stop):
        seen.append(iteration)
        if iteration == stop_at and fails:
            raise ArithmeticError("of rank 1")
        stop[0] = iteration == stop_at

    calls.serve(observer, "observe", observe)
    cut.sessions[1].call("set_observer", ctypes.byref(observer))
    cut.kept = calls, observer
    return cut.matrix(problem.matrix()), problem, seen


@pytest.mark.parametrize("stop_at", [0, 3])
def test_where_one_rank_stops_all_do(stop_at):
    cut, problem, seen = watched(stop_at)
    _, result = cut.solve(np.ones(problem.size))
    assert (result.reason, result.iterations) == (STOPPED, stop_at)
    assert seen == list(range(stop_at + 1))
    cut, problem, seen = watched(stop_at=None)
    x, result = cut.solve(np.ones(problem.size))
    judge(problem.matrix(), x, np.ones(problem.size), result)
    assert seen == list(range(result.iterations + 1))


def test_where_one_ranks_observer_fails_all_are_told():
    cut, problem, seen = watched(2, fails=True)
    with pytest.raises(native.KernelError) as caught:
        cut.solve(np.ones(problem.size))
    texts = {rank: str(error) for rank, error in caught.value.of_ranks.items()}
    assert "another process's observer failed" in texts[0]
    assert "observe returned error code 1" in texts[1]
    assert seen == [0, 1, 2]

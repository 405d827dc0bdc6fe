"""A solver session against broken matrices, calls from its own callbacks, and what an earlier matrix leaves behind."""

import ctypes

import numpy as np
import pytest
import scipy.sparse as sp

from deepcg import Poisson
from deepcg.native import library as native
from deepcg.native.callbacks import Callbacks, vector
from deepcg.native.session import Observer
from tests.support import matrix_kernel
from tests.support.session import Csr, Session

pytestmark = pytest.mark.skipif(native.unavailable is not None, reason="the kernels are not built")

SHAPE = (6, 5, 20)


def matrix(*shape, **arguments):
    return Poisson(np.zeros(shape or SHAPE, np.uint8), boundary="open", **arguments).matrix()


class Arrays:
    """The arrays of a matrix with indices of this type, to be broken."""

    def __init__(self, A, index):
        self.start, self.column, self.value = A.indptr.astype(index), A.indices.astype(index), A.data.copy()

    def give(self, session, same_pattern=False):
        csr = Csr(rows=self.start.size - 1, index_bytes=self.start.itemsize)
        csr.start[0], csr.column[0], csr.value[0] = (v.ctypes.data for v in (self.start, self.column, self.value))
        session.call("set_matrix", ctypes.byref(csr), ctypes.c_int32(same_pattern))
        return session


PLACES = {"cells": lambda: Session().grid(*SHAPE), "coordinates": lambda: Session().coordinates(shuffled())}


def shuffled():
    return np.random.default_rng(3).permutation(np.argwhere(np.ones(SHAPE))[:, ::-1].astype(float))


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("index", [np.int32, np.int64])
@pytest.mark.parametrize("row", [0, 57, 599])
@pytest.mark.parametrize("column", [-1, 600, 2**31 - 1, -(2**31)])
def test_columns_that_do_not_exist_are_refused_with_the_row(place, index, row, column):
    arrays = Arrays(matrix(), index)
    arrays.column[arrays.start[row]] = column
    with pytest.raises(
        native.ArgumentError, match=rf"column: row {row} \(cell .*\) has an entry in column {column}; .* below 600"
    ):
        arrays.give(PLACES[place]())


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("index", [np.int32, np.int64])
@pytest.mark.parametrize(
    ("at", "value", "row"),
    [(0, -7, 0), (1, 2**31 - 1, 0), (58, 2**30, 57), (300, 0, 299), (599, 10**8, 598), (600, 1, 599)],
)
def test_starts_that_do_not_ascend_are_refused_with_the_row(place, index, at, value, row):
    arrays = Arrays(matrix(), index)
    arrays.start[at] = value
    with pytest.raises(native.ArgumentError, match=r"start: the entries of row \d+ \(cell .*ascend from 0") as caught:
        arrays.give(PLACES[place]())
    if at < 600:  # the last one is the number of all entries: the first row beyond it is told
        assert f"row {row} " in str(caught.value)


def test_columns_of_other_processes_that_do_not_exist_are_refused():
    A = matrix(4, 1, 4)
    m, kept = matrix_kernel.Matrix(index_bytes=4, rows=8, ghosts=8), []
    m.shape[:], m.count[:] = (4, 1, 4), (2, 1, 4)
    for block in range(2):
        part = A[:8, 8 * block : 8 * block + 8].tocsr()
        kept += [part.indptr.astype(np.int32), part.indices.astype(np.int32), part.data]
        m.start[block], m.column[block], m.value[block] = (v.ctypes.data for v in kept[-3:])
    kept.append(np.arange(8, 16, dtype=np.int64))
    m.ghost = kept[-1].ctypes.data
    scan, kinds = ctypes.c_void_p(), np.empty((4, 3, 6), np.uint8)
    native.call("dcg_matrix_scan_create", ctypes.byref(scan))
    arguments = (ctypes.byref(m), scan, ctypes.c_int32(0), ctypes.c_void_p(kinds.ctypes.data))
    native.call("dcg_matrix_scan_rows", *arguments)
    kept[4][-1] = 8
    with pytest.raises(native.ArgumentError, match=r"row 7 .* column 8 of the second block; .* below 8"):
        native.call("dcg_matrix_scan_rows", *arguments)
    native.destroy(scan, "matrix_scan")


def test_another_pattern_that_is_said_to_be_the_same_is_read_as_it_is():
    """Where lines have another number of entries."""
    walls = np.zeros(SHAPE, np.uint8)
    walls[2:4, 1:3, 5:15] = 1
    problem = Poisson(walls, boundary="open")
    fluid = np.flatnonzero(walls.ravel() == 0)
    spread = sp.csr_array((np.ones(fluid.size), (fluid, np.arange(fluid.size))), (600, fluid.size))
    B = sp.csr_array(spread @ problem.matrix() @ spread.T + sp.diags_array(walls.ravel().astype(float)))
    session = Arrays(matrix(), np.int32).give(Session(rtol=1e-8).grid(*SHAPE))
    Arrays(B, np.int32).give(session, same_pattern=True)
    b = np.ones(600)
    x, result = session.solve(b)
    assert result.reason == 0 and np.linalg.norm(b - B @ x) <= 1.1e-8 * np.linalg.norm(b)


def test_after_a_refusal_there_is_no_matrix_and_the_next_one_is_served():
    session, arrays = Session(rtol=1e-8).grid(*SHAPE).matrix(matrix()), Arrays(matrix(), np.int32)
    arrays.column[100] = 10**6
    with pytest.raises(native.ArgumentError):
        arrays.give(session, same_pattern=True)
        arrays.give(session)
    with pytest.raises(native.ArgumentError, match="no matrix yet"):
        session.solve(np.ones(600))
    x, result = session.matrix(matrix(), same_pattern=True).solve(np.ones(600))
    assert result.reason == 0 and np.linalg.norm(1.0 - matrix() @ x) <= 1.1e-8 * np.sqrt(600.0)


def test_jacobi_is_the_present_matrixs():
    session = Session(model="jacobi").grid(4, 5).matrix(matrix(4, 5))
    assert np.allclose(session.apply(np.ones(20)), 0.25)
    assert np.allclose(session.matrix(10.0 * matrix(4, 5)).apply(np.ones(20)), 0.025)


def test_an_operator_of_another_dimension_gets_its_own_models_weights():
    box = {n: Poisson(np.zeros((16,) * n, np.uint8), boundary="open") for n in (2, 3)}
    r = np.random.default_rng(8).standard_normal(256)
    expected, session = Session(), Session()
    expected.set_operator(box[2].stencil)
    session.set_operator(box[3].stencil)
    session.apply(np.ones(4096))
    session.set_operator(box[2].stencil)
    assert np.array_equal(session.apply(r), expected.apply(r))


def test_callbacks_may_read_the_session_but_not_change_it():
    A, said, texts = matrix(), [], []
    session, calls, observer = Session(rtol=1e-8, model="jacobi").grid(*SHAPE).matrix(A), Callbacks(), Observer()
    other = Session(rtol=1e-8)
    b = np.random.default_rng(1).standard_normal(600)
    changes = (
        lambda: session.matrix(A),
        lambda: session.grid(6, 5, 20),
        lambda: session.set(rtol=1e-3),
        lambda: session.solve(b),
        lambda: session.apply(b),
        lambda: session.call("set_observer", None),
        lambda: session.call("set_preconditioner", None),
        lambda: session.call("set_ranks", None),
        lambda: session.share(other),
    )

    def observe(iteration, norm, x, stop):
        if iteration != 3:
            return
        other.share(session)
        said.append(other.solve(b)[0])
        session.read()
        texts.append(session.view())
        for change in changes:
            with pytest.raises(native.ArgumentError, match="solving"):
                change()
        said.append(np.array(vector(x, 600)))

    calls.serve(observer, "observe", observe)
    session.call("set_observer", ctypes.byref(observer))
    with calls.kept():
        x, result = session.solve(b)
    session.call("set_observer", None)
    assert result.reason == 0 and len(said) == 2 and "jacobi" in texts[0]
    assert np.linalg.norm(b - A @ x) <= 1.1e-8 * np.linalg.norm(b)
    assert np.allclose(said[0], x, atol=1e-6)
    assert session.solve(b)[1].reason == 0  # idle again


def test_a_session_that_its_own_callback_destroys_goes_when_the_solve_ends():
    A, seen = matrix(), []
    session, calls, observer = Session(rtol=1e-8, model="jacobi").grid(*SHAPE).matrix(A), Callbacks(), Observer()

    def observe(iteration, norm, x, stop):
        seen.append(iteration)
        if iteration == 2:
            native.destroy(session._handle, "solver")

    calls.serve(observer, "observe", observe)
    session.call("set_observer", ctypes.byref(observer))
    b = np.random.default_rng(1).standard_normal(600)
    with calls.kept():
        x, result = session.solve(b)
    session._handle = None  # which is gone
    assert result.reason == 0 and len(seen) == result.iterations + 1 and not result.residuals
    assert np.linalg.norm(b - A @ x) <= 1.1e-8 * np.linalg.norm(b)


def test_windows_larger_than_any_memory_are_as_long_as_the_solve():
    b = np.ones(600)
    answers = [
        Session(method="dcd", window=w).grid(*SHAPE).matrix(matrix()).solve(b)[0]
        for w in (10**9, 2**31, 2**32 + 1, "all")
    ]
    assert all(np.array_equal(x, answers[0]) for x in answers)


def test_numbers_whose_product_overflows_are_no_answer_to_a_finite_problem():
    A = 1e200 * matrix()
    b = 1e200 * np.ones(600)
    x, result = Session(rtol=1e-8).grid(*SHAPE).matrix(A).solve(b, 1e200 * np.ones(600))
    assert np.isfinite(x).all() and np.isfinite(result.residuals[result.iterations])


def test_sizes_whose_product_overflows_are_refused():
    with pytest.raises(native.ArgumentError, match="shape"):
        Session().grid(2**32, 2**32, 2**32)

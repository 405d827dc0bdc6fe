"""The fallbacks of a solver session, as a program in C gives them: the option, the structure, on one rank and on many."""

import ctypes

import numpy as np
import pytest
import scipy.sparse.linalg as spla

from deepcg import Poisson
from deepcg.native import library as native
from deepcg.native.callbacks import Callbacks, vector
from deepcg.native.constants import STALLED
from deepcg.native.session import Fallback, Preconditioner
from tests.session.test_session import RTOL, judge
from tests.session.test_session_on_ranks import Cut
from tests.support import weak_model
from tests.support.session import Session

pytestmark = pytest.mark.skipif(native.unavailable is not None, reason="the kernels are not built")

SHAPE = (64, 64)
BOX = Poisson(np.zeros(SHAPE, np.uint8), boundary="open")
A = BOX.matrix()
B = np.random.default_rng(7).standard_normal(A.shape[0])
FACTORS = spla.splu(A.tocsc())


@pytest.fixture(scope="module")
def weak(tmp_path_factory):
    return weak_model.save(tmp_path_factory.mktemp("models"), 2)


def direct(calls, there=1, asked=None):
    """A fallback that solves, in whatever way it is asked to."""
    made = Fallback(name=b"direct")

    def set_up(is_there):
        is_there[0] = there
        if asked is not None:
            asked.append(there)

    calls.serve(made, "set_up", set_up)
    calls.serve(made, "apply", lambda r, z: vector(z, B.size).__setitem__(..., FACTORS.solve(vector(r, B.size))))
    return made


def session(weak, **options):
    return Session(rtol=RTOL, model=weak, **options).grid(*SHAPE).matrix(A)


def steps(result):
    return [(step.name.decode(), step.iterations) for step in result.step[: result.steps]]


@pytest.mark.parametrize("method", ["cg", "dcd"])
def test_the_classical_cycle_goes_on_for_a_network_of_no_use(weak, method):
    _, classical = Session(rtol=RTOL, model="multigrid").grid(*SHAPE).matrix(A).solve(B)
    s = session(weak, method=method)
    x, result = s.solve(B)
    judge(A, x, B, result)
    done = steps(result)
    ((name, iterations),) = done
    assert name == "multigrid" and iterations <= classical.iterations and result.fallbacks >= iterations
    again, other = s.solve(B)
    assert np.array_equal(x, again) and steps(other) == done


@pytest.mark.parametrize(
    ("option", "given", "expected"),
    [
        ("auto", True, ["multigrid"]),
        ("multigrid", True, ["multigrid"]),
        ("amg", True, ["direct"]),
        ("jacobi", True, []),
        ("amg", False, []),
        ("none", True, []),
    ],
)
def test_the_option(weak, option, given, expected):
    """Jacobi does not take over from a method that is merely slow: a list of none means that it went on."""
    calls = Callbacks()
    made = direct(calls)
    s = session(weak, fallback=option)
    if given:
        s.call("set_fallback", ctypes.byref(made))
    with calls.kept():
        x, result = s.solve(B)
    judge(A, x, B, result)
    assert [name for name, _ in steps(result)] == expected


def test_a_fallback_of_the_callers_is_asked_for_when_it_is_needed(weak):
    asked, calls = [], Callbacks()
    made = direct(calls, asked=asked)
    with calls.kept():
        fine = Session(rtol=RTOL).grid(*SHAPE).matrix(A)
        fine.call("set_fallback", ctypes.byref(made))
        fine.solve(B)
        assert not asked
        s = session(weak, fallback="amg")
        s.call("set_fallback", ctypes.byref(made))
        _, result = s.solve(B)
        assert asked == [1] and [name for name, _ in steps(result)] == ["direct"]
        s.call("set_fallback", None)
        _, result = s.solve(B)
        assert asked == [1] and steps(result) == []


def test_one_that_says_it_cannot_be_had_is_passed_over(weak):
    calls = Callbacks()
    made = direct(calls, there=0)
    s = session(weak, fallback="amg")
    s.call("set_fallback", ctypes.byref(made))
    with calls.kept():
        x, result = s.solve(B)
    judge(A, x, B, result)
    assert steps(result) == []


@pytest.mark.parametrize("name", ["set_up", "apply"])
def test_an_error_in_one_ends_the_solve(weak, name):
    made, calls = Fallback(name=b"broken"), Callbacks()
    calls.serve(made, "set_up", lambda there: there.__setitem__(0, 1))
    calls.serve(made, "apply", lambda r, z: None)
    setattr(made, name, dict(made._fields_)[name](lambda *_: 3))
    s = session(weak, fallback="amg")
    s.call("set_fallback", ctypes.byref(made))
    with pytest.raises(native.KernelError, match=rf"fallback\.{name}"):
        s.solve(B)


def test_without_fallbacks_a_solve_ends_where_the_preconditioner_does():
    calls, nothing = Callbacks(), Preconditioner(trusted=1)
    calls.serve(nothing, "apply", lambda r, z: vector(z, B.size).fill(0.0))
    s = Session(rtol=RTOL, fallback="none").grid(*SHAPE).matrix(A)
    s.call("set_preconditioner", ctypes.byref(nothing))
    with calls.kept():
        x, result = s.solve(B)
    assert result.reason == STALLED and steps(result) == [] and np.isfinite(x).all()
    assert np.linalg.norm(B - A @ x) <= np.linalg.norm(B)


def test_the_classical_cycle_follows_the_matrix(weak):
    s = session(weak)
    for shift in (1e-3, 1.0):
        other = Poisson(BOX.cells, boundary="open", shift=shift).matrix()
        x, result = s.matrix(other, same_pattern=shift == 1.0).solve(B)
        judge(other, x, B, result)
        z = np.empty(B.size)
        s.call("apply_classical", B, z)
        expected = Session(model="multigrid").grid(*SHAPE).matrix(other).apply(B)
        np.testing.assert_allclose(z, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("cuts", [((), ()), ((30,), ()), ((20,), (33,)), ((20, 41), ())])
def test_on_ranks(weak, cuts):
    x, result = Cut(SHAPE, cuts, rtol=RTOL, model=weak).set_grid().matrix(A).solve(B)
    judge(A, x, B, result)
    _, alone = session(weak).solve(B)
    assert [name for name, _ in steps(result)] == ["multigrid"]
    assert abs(steps(result)[0][1] - steps(alone)[0][1]) <= 1


def test_a_fallback_without_functions_and_other_words_are_refused():
    with pytest.raises(native.ArgumentError, match="name, set_up and apply of fallback"):
        Session().call("set_fallback", ctypes.byref(Fallback()))
    with pytest.raises(
        native.ArgumentError, match='fallback: "gamg" given; auto, multigrid, amg, jacobi or none is needed'
    ):
        Session(fallback="gamg")

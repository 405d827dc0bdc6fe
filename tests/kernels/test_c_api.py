"""Functions of the C ABI with arguments that they must refuse, and a slice of the fuzzer's calls."""

import ctypes
import subprocess
import sys

import numpy as np
import pytest

from deepcg.native import library as native

pytestmark = pytest.mark.skipif(native.unavailable is not None, reason="the kernels are not built")

SHAPE = (3, 4, 5)


def operator(shape=SHAPE, **members):
    """With weights of 1, and the arrays that it refers to."""
    kept = [np.zeros(SHAPE, np.uint8)] + [np.ones([n + (a == axis) for a, n in enumerate(SHAPE)]) for axis in range(3)]
    op = native.Operator(shape=shape, cells=kept[0].ctypes.data, **members)
    for axis in range(3):
        op.weights[axis] = kept[1 + axis].ctypes.data
    return op, kept


@pytest.mark.parametrize("lacking", range(4))
def test_project_refuses_null(lacking):
    arrays = [np.array([0, 2]), np.array([2, 0, 2, 0]), np.array([4]), np.arange(4.0)]
    first, rest, sizes, v = (None if n == lacking else array for n, array in enumerate(arrays))
    with pytest.raises(native.ArgumentError, match="must not be NULL"):
        native.call("dcg_project", 2, first, rest, sizes, 1, v, ctypes.byref(ctypes.c_double()))
    with pytest.raises(native.ArgumentError, match="must not be NULL"):
        native.call("dcg_project", 2, *arrays[:3], 1, arrays[3], None)


@pytest.mark.parametrize(
    ("runs", "first", "length", "component"), [(-1, 0, 2, 0), (1, -1, 2, 0), (1, 0, -2, 0), (1, 0, 2, 1), (1, 0, 2, -1)]
)
def test_project_refuses_runs_that_cannot_be(runs, first, length, component):
    arrays = np.array([first]), np.array([length, component]), np.array([2])
    with pytest.raises(native.ArgumentError, match="runs"):
        native.call("dcg_project", runs, *arrays, 1, np.ones(2), ctypes.byref(ctypes.c_double()))


@pytest.mark.parametrize("shape", [(0, 4, 5), (-1, 4, 5), (2**62, 4, 5), (2**21, 2**21, 2**21), (2**32, 2**32, 2**32)])
@pytest.mark.parametrize(
    "name", ["dcg_components", "dcg_norm_bound", "dcg_apply", "dcg_residual", "dcg_multilevel_create"]
)
def test_shapes_that_no_grid_has_are_refused(name, shape):
    op, _kept = operator(shape)
    x, number, counts = np.ones(60), ctypes.byref(ctypes.c_double()), (ctypes.c_int64 * 2)()
    parameters = native.Parameters()
    native.load().dcg_parameters_classical(ctypes.byref(parameters))
    arguments = {
        "dcg_components": (0, None, None, ctypes.byref(ctypes.c_int64()), counts),
        "dcg_norm_bound": (number,),
        "dcg_apply": (x, np.ones(60), 0),
        "dcg_residual": tuple(ctypes.c_void_p(v.ctypes.data) for v in (x, x, np.ones(60))) + (number, 0),
        "dcg_multilevel_create": (ctypes.byref(parameters), 0, ctypes.byref(ctypes.c_void_p())),
    }
    with pytest.raises(native.ArgumentError, match=r"shape: (every size|fewer cells)"):
        native.call(name, ctypes.byref(op), *arguments[name])


@pytest.mark.parametrize("value", [np.nan, np.inf, -1.0])
@pytest.mark.parametrize("axis", range(3))
def test_weights_that_are_no_weights_are_refused(axis, value):
    op, kept = operator()
    kept[1 + axis].flat[7] = value
    parameters, handle = native.Parameters(), ctypes.c_void_p()
    native.load().dcg_parameters_classical(ctypes.byref(parameters))
    with pytest.raises(native.ArgumentError, match="weights: finite numbers >= 0"):
        native.call("dcg_multilevel_create", ctypes.byref(op), ctypes.byref(parameters), 0, ctypes.byref(handle))
    assert not handle


def test_a_shift_that_is_no_number_is_refused():
    shift = np.zeros(SHAPE)
    shift.flat[11] = np.nan
    op, _kept = operator(shift=shift.ctypes.data)
    parameters, handle = native.Parameters(), ctypes.c_void_p()
    native.load().dcg_parameters_classical(ctypes.byref(parameters))
    with pytest.raises(native.ArgumentError, match="shift: finite numbers"):
        native.call("dcg_multilevel_create", ctypes.byref(op), ctypes.byref(parameters), 0, ctypes.byref(handle))


def test_more_threads_than_any_machine_has_are_refused():
    op, _kept = operator()
    with pytest.raises(native.ArgumentError, match="threads: more than 4096"):
        native.call("dcg_apply", ctypes.byref(op), np.ones(60), np.ones(60), 2**31 - 1)


def test_a_network_whose_update_was_refused_still_serves_what_it_served():
    op, _kept = operator()
    parameters, handle = native.Parameters(), ctypes.c_void_p()
    native.load().dcg_parameters_classical(ctypes.byref(parameters))
    native.call("dcg_multilevel_create", ctypes.byref(op), ctypes.byref(parameters), 0, ctypes.byref(handle))
    r, before, after = np.random.default_rng(2).standard_normal(60), np.empty(60), np.empty(60)
    native.call("dcg_multilevel_apply", handle, r, before)
    wrong, _also = operator((0, 4, 5))
    with pytest.raises(native.ArgumentError, match="shape"):
        native.call("dcg_multilevel_update", handle, ctypes.byref(wrong))
    native.call("dcg_multilevel_apply", handle, r, after)
    assert np.array_equal(before, after)
    broken, arrays = operator()
    arrays[1][...] = np.nan
    with pytest.raises(native.ArgumentError, match="weights"):
        native.call("dcg_multilevel_update", handle, ctypes.byref(broken))
    with pytest.raises(native.ArgumentError, match="last set-up failed"):
        native.call("dcg_multilevel_apply", handle, r, after)
    native.call("dcg_multilevel_update", handle, ctypes.byref(op))
    native.call("dcg_multilevel_apply", handle, r, after)
    assert np.array_equal(before, after)
    native.destroy(handle)


@pytest.mark.parametrize(
    ("seed", "rounds"), [(1, 1500), *(pytest.param(s, 6000, marks=pytest.mark.slow) for s in range(100, 110))]
)
def test_calls_by_a_fuzzer_all_come_back(seed, rounds):
    command = [sys.executable, "-X", "faulthandler", "-m", "tests.support.c_api_fuzzer", str(seed), str(rounds)]
    ended = subprocess.run(command, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr[-3000:]
    assert {"0", "1"} <= {pair.split(":")[0] for pair in ended.stdout.split()}

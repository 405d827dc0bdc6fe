"""Calls of the C ABI with arguments that fit its structures but not its rules: NULL, sizes that no grid has, numbers that are none.

`python -m tests.support.c_api_fuzzer SEED ROUNDS` ends with 0 where every call came back, and prints how often each code was returned.
Memory that a function reads or writes is there, as large as the true sizes say; a shape is only ever wrong by being impossible.
"""

from __future__ import annotations

import collections
import ctypes
import os
import sys
from typing import Any

import numpy as np

from deepcg.native import library as native
from deepcg.native.krylov import Options, System, function
from deepcg.native.session import Csr, Observer, Preconditioner, Read, Result
from tests.support.matrix_kernel import Matrix

I32, I64, REAL, POINTER = ctypes.c_int32, ctypes.c_int64, ctypes.c_double, ctypes.c_void_p

IMPOSSIBLE = (0, -1, -(2**31), -(2**63), 2**46, 2**62, 2**63 - 1)  # sizes
NUMBERS = (-1, 0, 1, 2, 3, 7, 2**31 - 1, -(2**31), 2**40, -(2**63), 2**63 - 1)
VALUES = (0.0, -0.0, 1.0, -1.0, np.nan, np.inf, -np.inf, 1e308, -1e308, 5e-324, 1e-160, 1e160)
OPTIONS = ("model", "method", "window", "rtol", "atol", "maxiter", "inconsistent", "threads", "rounding", "equality", "keep_uncoupled",
           "gather", "source", "models", "", "nonsense")  # fmt: skip
TEXTS = ("auto", "multigrid", "jacobi", "none", "cg", "dcd", "project", "error", "0", "1", "2", "-1", "1e-6", "nan", "inf", "1e999", "all",
         "default", "", "x" * 5000, "99999999999999999999", "/dev/null", "/")  # fmt: skip


class Fuzzer:
    def __init__(self, seed: int):
        self.rng = np.random.default_rng(seed)
        self.library = ctypes.CDLL(os.fspath(native.LIBRARY))
        self.library.dcg_last_error.restype = ctypes.c_char_p
        self.codes: collections.Counter = collections.Counter()
        self.held: list[Any] = []
        self.levels, self.solvers = [None, None], [None, None]  # handles, and the cells that they are for
        self.sizes = [(0, ()), (0, ())]

    # ---- arguments ----

    def odd(self, chance: float = 0.06) -> bool:
        return self.rng.random() < chance

    def pick(self, values):
        return values[self.rng.integers(len(values))]

    def keep(self, array: np.ndarray) -> int | None:
        """The address of an array, or NULL."""
        self.held.append(array)
        return None if self.odd(0.03) else array.ctypes.data

    def reals(self, n: int, low: float = -1.0) -> int | None:
        values = self.rng.uniform(low, 1.0, max(n, 1))
        if self.odd():
            values[self.rng.integers(values.size, size=3)] = [self.pick(VALUES) for _ in range(3)]
        return self.keep(values)

    def real(self, usual: float = 1e-6) -> REAL:
        return REAL(self.pick(VALUES) if self.odd(0.15) else usual)

    def integer(self, usual: int, kind=I32):
        return kind(self.pick(NUMBERS) if self.odd() else usual)

    def by_reference(self, thing):
        self.held.append(thing)
        return None if self.odd(0.03) else ctypes.byref(thing)

    def shape(self) -> list[int]:
        return [
            int(n) for n in self.pick([(1, 1, 1), (1, 1, 7), (5, 1, 6), (4, 3, 9), (9, 8, 7), (1, 1, 40), (2, 2, 2)])
        ]

    def cells(self, n: int) -> int | None:
        kinds = self.rng.choice([0, 1, 2], n, p=[0.8, 0.1, 0.1]).astype(np.uint8)
        if self.odd():
            kinds[self.rng.integers(n)] = self.rng.integers(256)
        return self.keep(kinds)

    def operator(self, shape: list[int]) -> native.Operator:
        n = int(np.prod(shape))
        op = native.Operator(shape=tuple(shape), cells=self.cells(n))
        op.periodic, op.open = self.integer(self.rng.integers(8)).value, self.integer(self.rng.integers(64)).value
        if self.odd(0.4):
            op.unit = self.pick(VALUES) if self.odd() else 2.0
        else:
            for axis in range(3):
                faces = list(shape)
                faces[axis] += 1
                op.weights[axis] = self.reals(int(np.prod(faces)), 0.0)
            if self.odd(0.3):
                op.shift = self.reals(n, 0.0)
        if self.odd():
            op.shape[self.rng.integers(3)] = self.pick(IMPOSSIBLE)
        return op

    def parameters(self) -> native.Parameters:
        made = native.Parameters()
        self.library.dcg_parameters_classical(ctypes.byref(made))
        if self.odd():
            raw = (ctypes.c_uint8 * ctypes.sizeof(made)).from_buffer(made)
            raw[self.rng.integers(len(raw))] = int(self.rng.integers(256))
        return made

    def matrix(self, shape: list[int], index) -> tuple[Any, Any, Any, Any]:
        """Compressed rows of a box, sometimes broken: rows, start, column, value."""
        n = int(np.prod(shape))
        start, column, value = [0], [], []
        at = np.arange(n).reshape(shape)
        for place in np.ndindex(*shape):
            row = {}
            for axis in range(3):
                for step in (-1, 1):
                    c = list(place)
                    c[axis] += step
                    if 0 <= c[axis] < shape[axis]:
                        row[int(at[tuple(c)])] = -1.0
            row[int(at[place])] = len(row) + 0.5
            column += sorted(row)
            value += [row[c] for c in sorted(row)]
            start.append(len(column))
        start, column, value = np.array(start, index), np.array(column, index), np.array(value)
        if self.odd(0.2):
            value[self.rng.integers(value.size)] = self.pick(VALUES)
        if self.odd():
            column[self.rng.integers(column.size)] = self.pick([-1, n, n + 1, 2**31 - 1, -(2**31)])
        if self.odd():
            # the last start is how many entries there are, which nothing else says
            start[self.rng.integers(n)] = self.pick([-1, 2**31 - 1, -(2**31), len(column), len(column) + 1])
        return n, start, column, value

    # ---- calls ----

    def call(self, name: str, *arguments) -> int:
        code = getattr(self.library, name)(*arguments)
        self.codes[code] += 1
        if code and not self.library.dcg_last_error():
            raise AssertionError(f"{name}: error {code} without a text")
        return code

    def operators(self) -> None:
        shape = self.shape()
        n, op = int(np.prod(shape)), self.operator(shape)
        given = self.by_reference(op)
        which = self.rng.integers(5)
        if which == 0:
            self.call("dcg_apply", given, POINTER(self.reals(n)), POINTER(self.reals(n)), self.integer(0))
        elif which == 1:
            vectors = [POINTER(self.reals(n)) for _ in range(3)]
            self.call("dcg_residual", given, *vectors, self.by_reference(REAL()), self.integer(0))
        elif which == 2:
            self.call("dcg_norm_bound", given, self.by_reference(REAL()))
        elif which == 3:
            first, rest, runs = (np.zeros(2 * n, np.int64) for _ in range(3))
            capacity = I64(self.pick([-1, -(2**63), 0, 1, n]))
            self.call("dcg_components", given, capacity, POINTER(self.keep(first)), POINTER(self.keep(rest)),
                      self.by_reference(I64()), POINTER(self.keep(runs)))  # fmt: skip
        else:
            sizes, outside = (I64 * 3)(*shape), (ctypes.c_uint8 * 6)(*self.rng.integers(0, 4, 6))
            widths, weights = (POINTER * 3)(), (POINTER * 3)()
            for axis in range(3):
                faces = list(shape)
                faces[axis] += 1
                widths[axis] = None if self.odd(0.5) else self.reals(shape[axis], 0.0)
                weights[axis] = self.reals(int(np.prod(faces)))
            if self.odd():
                sizes[self.rng.integers(3)] = self.pick(IMPOSSIBLE)
            self.call("dcg_face_weights", self.by_reference(sizes), POINTER(self.cells(n)), self.by_reference(outside), self.integer(0),
                      self.by_reference(widths), POINTER(self.reals(n)), self.by_reference(weights))  # fmt: skip

    def sums(self) -> None:
        n = int(self.pick([0, 1, 9]))
        if self.odd(0.5):
            size = I64(self.pick([-1, -(2**63), n]))
            self.call("dcg_dot", size, POINTER(self.reals(n)), POINTER(self.reals(n)), self.by_reference(REAL()))
            self.call("dcg_axpy", size, self.real(), POINTER(self.reals(n)), POINTER(self.reals(n)))
            return
        first, rest = np.array([0, 3, 6]), np.array([3, 0, 3, 1, 3, 0])
        if self.odd(0.3):
            rest[self.rng.choice([1, 3, 5])] = self.pick(NUMBERS)
        if self.odd(0.3):
            first[self.rng.integers(3)] = self.pick([-1, -(2**63), 0])
        sizes = np.array([6, 3])
        runs, components = I64(self.pick([-1, -(2**63), 0, 3])), I64(self.pick([-1, -(2**63), 0, 1, 2]))
        self.call("dcg_project", runs, POINTER(self.keep(first)), POINTER(self.keep(rest)), POINTER(self.keep(sizes)), components,
                  POINTER(self.reals(9)), self.by_reference(REAL()))  # fmt: skip

    def networks(self) -> None:
        k, shape = int(self.rng.integers(2)), self.shape()
        n = int(np.prod(shape))
        op = self.operator(shape)
        which = self.rng.integers(6)
        if which == 0 or self.levels[k] is None:
            self.library.dcg_multilevel_destroy(self.levels[k])
            handle = POINTER()
            threads = I32(self.pick([0, 0, 1, 2, -1, 5000, 2**31 - 1]))
            code = self.call(
                "dcg_multilevel_create",
                self.by_reference(op),
                self.by_reference(self.parameters()),
                threads,
                self.by_reference(handle),
            )
            self.levels[k] = handle if code == 0 else None
            self.sizes[k] = (n, (op, self.held[:]))
            return
        handle, n_now = self.levels[k], self.sizes[k][0]
        if self.odd(0.03):
            handle = None
        if which == 1:
            code = self.call("dcg_multilevel_update", handle, self.by_reference(op))
            if handle is not None and code == 0:
                self.sizes[k] = (n, (op, self.held[:]))
            elif handle is not None:  # what it holds now is the caller's to say
                self.library.dcg_multilevel_apply(
                    handle, POINTER(self.reals(n_now + n)), POINTER(self.reals(n_now + n))
                )
                self.library.dcg_multilevel_destroy(handle)
                self.levels[k] = None
        elif which == 2:
            self.call("dcg_multilevel_apply", handle, POINTER(self.reals(n_now)), POINTER(self.reals(n_now)))
        elif which == 3:
            maxiter = int(self.pick([0, 1, 5, 20]))
            records = [POINTER(self.reals(maxiter)), POINTER(self.reals(2 * maxiter))]
            vectors = [POINTER(self.reals(n_now)), POINTER(self.reals(n_now))]
            given = I64(self.pick([-1, -(2**63)]) if self.odd() else maxiter)
            ends = [self.by_reference(I64()), self.by_reference(I32())]
            if self.odd(0.5):
                self.call("dcg_multilevel_cg", handle, *vectors, self.real(), given, *records, *ends)
            else:
                self.call(
                    "dcg_multilevel_directions", handle, self.integer(2), *vectors, self.real(), given, *records, *ends
                )
        elif which == 4:
            capacity, table = int(self.pick([0, 1, 8])), np.zeros(80, np.int64)
            given = I32(self.pick([-1, -(2**31), capacity]))
            self.call("dcg_multilevel_info", handle, self.by_reference(I32()), self.by_reference(I64()), given, POINTER(self.keep(table)),
                      self.by_reference(POINTER()))  # fmt: skip
        else:
            self.call(
                "dcg_multilevel_vector",
                handle,
                I32(self.pick([-1, 99, -(2**31), 2**31 - 1])),
                self.integer(0),
                POINTER(self.reals(9)),
            )

    def matrices(self) -> None:
        shape, index = self.shape(), self.pick([np.int32, np.int64])
        n, start, column, value = self.matrix(shape, index)
        m = Matrix(
            index_bytes=self.pick([4, 8, 0, -1, 3]) if self.odd() and index is np.int32 else np.dtype(index).itemsize
        )
        m.shape[:], m.count[:] = shape, shape
        if m.index_bytes == 8 and index is np.int32:
            m.index_bytes = 5
        m.rows = self.pick([-1, n + 1000003, 2**62, -(2**63)]) if self.odd() else n
        if self.odd(0.3):
            cell = self.rng.permutation(n)
            if self.odd(0.3):
                cell[self.rng.integers(n)] = self.pick(NUMBERS)
            m.cell = self.keep(cell)
        m.start[0], m.column[0], m.value[0] = self.keep(start), self.keep(column), self.keep(value)
        if self.odd():
            m.start[1] = self.keep(np.zeros(n + 1, index))
        for field in ("shape", "first", "count"):
            if self.odd(0.02):
                getattr(m, field)[self.rng.integers(3)] = self.pick(IMPOSSIBLE[1:])
        if self.odd():
            m.ghosts = self.pick([-1, 0, -(2**63)])
        if self.odd(0.1):
            m.cells = self.cells(n)
        m.rounding, m.dim = self.real(0.0).value, self.integer(3).value
        m.keep_uncoupled = self.integer(0).value
        scan, padded = POINTER(), int(np.prod(np.add(shape, 2)))
        kinds, cells = np.zeros(padded, np.uint8), np.zeros(n, np.uint8)
        self.library.dcg_matrix_scan_create(ctypes.byref(scan))
        given, scanned = ctypes.byref(m), None if self.odd(0.03) else scan
        if not self.odd(0.1):
            self.call("dcg_matrix_scan_rows", given, scanned, I32(0), POINTER(self.keep(kinds)))
        weights = (POINTER * 3)()
        for axis in range(3):
            faces = list(shape)
            faces[axis] += 1
            weights[axis] = self.reals(int(np.prod(faces)))
        result = np.zeros(64)
        self.call("dcg_matrix_read", given, scanned, POINTER(self.keep(kinds)), POINTER(self.keep(cells)), self.by_reference(weights),
                  POINTER(self.reals(n)), POINTER(self.keep(result)))  # fmt: skip
        self.library.dcg_matrix_scan_destroy(scan)

    def krylov(self) -> None:
        n = int(self.pick([0, 1, 6]))
        system, options, report = System(n=n), Options(), POINTER()

        def scaled(_, x, y):
            if n:
                ctypes.memmove(y, x, 8 * n)
            return int(self.pick([0] * 30 + [1]))

        def residual(_, b, x, r, norm):
            if n:
                values = np.ctypeslib.as_array((REAL * n).from_address(b)) - np.ctypeslib.as_array(
                    (REAL * n).from_address(x)
                )
                ctypes.memmove(r, np.ascontiguousarray(values).ctypes.data, 8 * n)
                norm[0] = float(np.linalg.norm(values))
            return 0

        kinds = {field[0]: field[1] for field in System._fields_}
        for name, made in (("product", scaled), ("precondition", scaled), ("residual", residual)):
            if not self.odd(0.1):
                setattr(system, name, kinds[name](made))
        if self.odd():
            system.n = self.pick([-1, -(2**63), 0])
        options.chain[:] = [int(self.pick([0, 1, 2, 3, 4, 5, 6, -1, 7, 2**31 - 1])) for _ in options.chain]
        options.window, options.threads = self.integer(3).value, self.pick([0, 1, -1, 2**31 - 1])
        options.maxiter = self.pick([0, 3, 100, -1, -(2**63)])
        options.rtol, options.atol, options.norm = (self.real().value for _ in range(3))
        options.from_zero = self.integer(0).value
        with np.errstate(all="ignore"):
            code = self.call("dcg_krylov", self.by_reference(system), self.by_reference(options), POINTER(self.reals(n)), POINTER(self.reals(n)),
                             POINTER(self.reals(n)), self.by_reference(report))  # fmt: skip
        if code == 0:
            self.library.dcg_report_destroy(report)

    def sessions(self) -> None:
        k = int(self.rng.integers(2))
        if self.solvers[k] is None or self.odd(0.02):
            self.library.dcg_solver_destroy(self.solvers[k])
            self.solvers[k] = POINTER()
            self.call("dcg_solver_create", ctypes.byref(self.solvers[k]))
        solver = None if self.odd(0.03) else self.solvers[k]
        which, room = self.rng.integers(16), 20 * 20 * 20
        vectors = [POINTER(self.reals(room)) for _ in range(4)]  # more than any grid here has
        if which == 0:
            name, value = self.pick(OPTIONS), self.pick(TEXTS)
            if name == "threads" and value.startswith("9"):
                value = "2"
            self.call(
                "dcg_solver_set_option",
                solver,
                None if self.odd(0.03) else name.encode(),
                None if self.odd(0.03) else value.encode(),
            )
        elif which in (1, 2, 3):
            shape = self.shape()
            n, start, column, value = self.matrix(shape, np.int32)
            sizes = np.array(shape)
            if self.odd():
                sizes[self.rng.integers(3)] = self.pick(IMPOSSIBLE)
            self.call(
                "dcg_solver_set_grid",
                solver,
                self.integer(3),
                POINTER(self.keep(sizes)),
                POINTER(self.cells(n) if self.odd(0.2) else None),
            )
            csr = Csr(
                rows=self.pick([-1, n + 1000003, 2**62]) if self.odd() else n,
                index_bytes=self.pick([0, 3, -1]) if self.odd() else 4,
            )
            csr.start[0], csr.column[0], csr.value[0] = self.keep(start), self.keep(column), self.keep(value)
            csr.ghosts = self.pick([-1, 0, -(2**63)]) if self.odd() else 0
            self.call("dcg_solver_set_matrix", solver, self.by_reference(csr), I32(0))
        elif which == 4:
            op = self.operator(self.shape())
            self.call("dcg_solver_set_operator", solver, self.by_reference(op))
            self.sizes.append((0, (op, self.held[:])))
        elif which == 5:
            n = int(self.pick([0, 1, 8]))
            rows = I64(self.pick([-1, -(2**63)]) if self.odd() else n)
            self.call("dcg_solver_set_coordinates", solver, self.integer(3), rows, vectors[0])
        elif which == 6:
            self.call("dcg_solver_share", solver, None if self.odd() else self.solvers[self.rng.integers(2)])
        elif which in (7, 8, 9):
            result = Result()
            self.call("dcg_solver_solve", solver, vectors[0], vectors[1], self.by_reference(result))
        elif which == 10:
            self.call("dcg_solver_apply", solver, vectors[0], vectors[1])
        elif which == 11:
            maxiter = int(self.pick([0, 1, 5]))
            self.call("dcg_solver_iterate", solver, self.integer(1), vectors[0], vectors[1], self.real(), I64(self.pick([maxiter, -1])), vectors[2],
                      vectors[3], self.by_reference(I64()), self.by_reference(I32()))  # fmt: skip
        elif which == 12:
            self.call("dcg_solver_read", solver, self.by_reference(Read()))
            self.call("dcg_solver_set_up", solver)
        elif which == 13:
            self.call("dcg_solver_to_cells", solver, self.integer(0), vectors[0], vectors[1])
            self.call("dcg_solver_from_cells", solver, vectors[0], vectors[1], vectors[2])
        elif which == 14:
            size = int(self.pick([1, 5, 4000]))
            text = ctypes.create_string_buffer(size)
            self.call("dcg_solver_view", solver, self.by_reference(text), I64(self.pick([0, -1, size])))
            self.call(
                "dcg_solver_model",
                solver,
                self.integer(3),
                self.by_reference(native.Parameters()),
                self.by_reference((REAL * 64)()),
            )
        else:
            made = Preconditioner()
            if not self.odd(0.2):
                made.apply = function(POINTER, POINTER)(lambda _, r, z: 0)
            self.call("dcg_solver_set_preconditioner", solver, None if self.odd(0.7) else ctypes.byref(made))
            seen = Observer(observe=function(I64, REAL, POINTER, ctypes.POINTER(I32))(lambda _, n, norm, x, stop: 0))
            self.call("dcg_solver_set_observer", solver, None if self.odd(0.7) else ctypes.byref(seen))
            self.sizes.append((0, (made, seen)))

    def run(self, rounds: int) -> None:
        calls = (
            self.operators,
            self.sums,
            self.networks,
            self.networks,
            self.matrices,
            self.krylov,
            self.sessions,
            self.sessions,
            self.sessions,
        )
        for _ in range(rounds):
            self.pick(calls)()
            self.held.clear()
        for name in ("multilevel", "solver", "report", "matrix_scan"):
            getattr(self.library, f"dcg_{name}_destroy")(None)
        for handle in self.levels:
            self.library.dcg_multilevel_destroy(handle)
        for handle in self.solvers:
            self.library.dcg_solver_destroy(handle)


if __name__ == "__main__":
    fuzzer = Fuzzer(int(sys.argv[1]))
    fuzzer.run(int(sys.argv[2]))
    print(" ".join(f"{code}:{count}" for code, count in sorted(fuzzer.codes.items())))

"""Ranks without a message-passing library: each is a thread of this process, and messages are copies between their arrays.

The kernels let go of the interpreter's lock while they run, and their messages take it again, so the ranks do run side by side.
"""

from __future__ import annotations

import ctypes
import itertools
import threading
from collections.abc import Callable, Sequence

import numpy as np

from deepcg import Poisson
from deepcg.multigrid.cycle import Run
from deepcg.multigrid.parameters import Parameters
from deepcg.native import library as native

_CREATE = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64, ctypes.POINTER(ctypes.c_int64),
    ctypes.POINTER(ctypes.c_int32), ctypes.POINTER(ctypes.c_int64), ctypes.POINTER(ctypes.c_void_p),
)  # fmt: skip
_DESTROY = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)
_BROADCAST = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int32, ctypes.c_void_p, ctypes.c_void_p
)
_REDUCE = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)
_ALLREDUCE = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int64, ctypes.POINTER(ctypes.c_double))


class Ranks(ctypes.Structure):
    """`dcg_ranks`."""

    _fields_ = (
        ("ranks", ctypes.c_int32 * 3),
        ("place", ctypes.c_int32 * 3),
        ("starts", ctypes.POINTER(ctypes.c_int64) * 3),
        ("gather", ctypes.c_int64),
        ("context", ctypes.c_void_p),
        ("create", _CREATE),
        ("destroy", _DESTROY),
        ("broadcast", _BROADCAST),
        ("reduce", _REDUCE),
        ("allreduce", _ALLREDUCE),
    )


KINDS = {1: np.uint8, 4: np.uint32, 8: np.uint64}


class Crowd:
    """A barrier and a value of each rank, which the ranks share."""

    def __init__(self, count: int):
        self.barrier = threading.Barrier(count, timeout=60)
        self.values: list = [None] * count

    def tell(self, number: int, value) -> list:
        """Every rank's value, for every rank."""
        self.values[number] = value
        self.barrier.wait()
        values = list(self.values)
        self.barrier.wait()
        return values


class Halo:
    """Copies of other ranks' values, as `dcg_ranks.create` is given them."""

    def __init__(self, size: int, leaf: np.ndarray, owner: np.ndarray, root: np.ndarray):
        self.size, self.leaf, self.owner, self.root = size, leaf.copy(), owner.copy(), root.copy()
        self.leaves = int(leaf.max()) + 1 if leaf.size else 0


def _array(address: int | None, count: int, kind) -> np.ndarray:
    if not address or not count:
        return np.zeros(0, kind)
    bytes_of = ctypes.cast(address, ctypes.POINTER(ctypes.c_uint8))
    return np.ctypeslib.as_array(bytes_of, (count * np.dtype(kind).itemsize,)).view(kind)


class Rank:
    """One rank's functions for `dcg_ranks`. `calls` counts them by kind; `fail_after`: so many of them work."""

    def __init__(self, crowd: Crowd, number: int, fail_after: int | None = None):
        self.crowd, self.number, self.fail_after = crowd, number, fail_after
        self.halos: dict[int, Halo] = {}
        self.names = itertools.count(1)
        self.calls = {"broadcast": 0, "reduce": 0, "allreduce": 0}
        kinds = dict(Ranks._fields_)
        self.functions = {
            name: kinds[name](self._guarded(getattr(self, name)))
            for name in ("create", "destroy", "broadcast", "reduce", "allreduce")
        }

    def _guarded(self, function: Callable) -> Callable:
        def call(_, *arguments) -> int:
            try:
                function(*arguments)
            except Exception:
                self.crowd.barrier.abort()  # nobody shall wait for this rank
                return 7
            return 0

        return call

    def _count(self, kind: str) -> None:
        self.calls[kind] += 1
        if self.fail_after is not None and sum(self.calls.values()) > self.fail_after:
            raise RuntimeError("the failure that a test asked for")

    def create(self, size, n, leaf, owner, root, made):
        given = (np.ctypeslib.as_array(a, (n,)) if n else np.zeros(0, np.int64) for a in (leaf, owner, root))
        halo = Halo(size, *given)
        sizes = np.array(self.crowd.tell(self.number, size))
        assert not (halo.owner == self.number).any()
        assert ((halo.root >= 0) & (halo.root < sizes[halo.owner.astype(int)])).all()
        made[0] = next(self.names)
        self.halos[made[0]] = halo

    def destroy(self, halo):
        del self.halos[halo]

    def broadcast(self, halo, width, roots, leaves):
        self._count("broadcast")
        of = self.halos[halo]
        of_ranks = self.crowd.tell(self.number, _array(roots, of.size, KINDS[width]).copy())
        to = _array(leaves, of.leaves, KINDS[width])
        for rank, values in enumerate(of_ranks):
            mine = of.owner == rank
            to[of.leaf[mine]] = values[of.root[mine]]

    def reduce(self, halo, leaves, roots):
        self._count("reduce")
        of = self.halos[halo]
        values = _array(leaves, of.leaves, np.float32)[of.leaf] if of.leaves else np.zeros(0, np.float32)
        to = _array(roots, of.size, np.float32)
        for owner, root, theirs in self.crowd.tell(self.number, (of.owner, of.root, values)):
            here = owner == self.number
            np.add.at(to, root[here], theirs[here])

    def allreduce(self, n, values):
        self._count("allreduce")
        mine = np.ctypeslib.as_array(values, (n,))
        mine[:] = np.sum(self.crowd.tell(self.number, mine.copy()), axis=0)


def on_all(count: int, run: Callable[[int], object]) -> list:
    """run(rank) in a thread for each; raises the first error, which carries them all as `of_ranks`."""
    results: list = [None] * count
    errors: dict[int, Exception] = {}

    def body(number):
        try:
            results[number] = run(number)
        except Exception as error:
            errors[number] = error

    threads = [threading.Thread(target=body, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        first = next(iter(errors.values()))
        first.of_ranks = errors  # type: ignore[attr-defined]
        raise first
    return results


def axes_of(starts: Sequence[np.ndarray]) -> tuple[int, ...]:
    """The kernels' axes z, y, x that these are; a 2-D grid (ny, nx) is (ny, 1, nx)."""
    return (0, 1, 2) if len(starts) == 3 else (0, 2)


def ranks_of(starts: Sequence[np.ndarray], place: Sequence[int], rank: Rank, gather: int) -> Ranks:
    """`dcg_ranks` of the rank at a place of a grid that is cut at these starts."""
    given = Ranks(gather=gather, ranks=(1, 1, 1), **rank.functions)
    along = dict(zip(axes_of(starts), starts, strict=True))
    at = dict(zip(axes_of(starts), place, strict=True))
    for axis in range(3):
        cuts = along.setdefault(axis, np.array([0, 1], np.int64))
        given.ranks[axis], given.place[axis] = len(cuts) - 1, at.get(axis, 0)
        given.starts[axis] = cuts.ctypes.data_as(ctypes.POINTER(ctypes.c_int64))
    given.kept = along
    return given


class OnRanks:
    """The multilevel network of a problem that planes cut into boxes.

    Parameters
    ----------
    problem : Poisson
    parameters : Parameters
    cuts : per axis of the problem, the first cell of each slab of ranks but the first one
    gather : see `dcg_ranks`; 1: every level that can be cut is
    fail_after : how many calls of the last rank's functions work
    """

    def __init__(
        self,
        problem: Poisson,
        parameters: Parameters,
        cuts: Sequence[Sequence[int]],
        gather: int = 1,
        threads: int = 1,
        fail_after: int | None = None,
    ):
        self.problem = problem
        self.starts = [np.array([0, *cut, n], np.int64) for cut, n in zip(cuts, problem.shape, strict=True)]
        self.places = list(itertools.product(*[range(len(s) - 1) for s in self.starts]))
        self.count = len(self.places)
        self.boxes = [tuple(slice(s[p], s[p + 1]) for s, p in zip(self.starts, at, strict=True)) for at in self.places]
        crowd = Crowd(self.count)
        self.ranks = [Rank(crowd, n, fail_after if n + 1 == self.count else None) for n in range(self.count)]
        self.handles = [ctypes.c_void_p() for _ in self.places]
        self._kept: list = [None] * self.count  # the arrays that the kernels refer to
        given = native.parameters(parameters)

        def create(number):
            op, ranks = self._operator(number, problem), self._ranks(number, gather)
            handle = self.handles[number]
            native.call(
                "dcg_multilevel_create_on_ranks",
                ctypes.byref(op),
                ctypes.byref(given),
                threads,
                ctypes.byref(ranks),
                ctypes.byref(handle),
            )

        on_all(self.count, create)

    def _axes(self) -> tuple[int, ...]:
        return axes_of(self.starts)

    def _ranks(self, number: int, gather: int) -> Ranks:
        return ranks_of(self.starts, self.places[number], self.ranks[number], gather)

    def _operator(self, number: int, problem: Poisson) -> native.Operator:
        """This rank's part, with arrays of its own."""
        stencil, box = problem.stencil, self.boxes[number]
        whole = native.operator(stencil)
        cells = np.ascontiguousarray(stencil.cells[box])
        kept = [cells]
        op = native.Operator(cells=cells.ctypes.data, unit=whole.unit, periodic=whole.periodic, open=whole.open)
        op.shape = (ctypes.c_int64 * 3)(1, 1, 1)
        for n, axis in enumerate(self._axes()):
            op.shape[axis] = cells.shape[n]
            if stencil.unit is None:
                faces = tuple(slice(s.start, s.stop + (a == n)) for a, s in enumerate(box))
                kept.append(np.ascontiguousarray(stencil.weights[n][faces]))
                op.weights[axis] = kept[-1].ctypes.data
        if stencil.unit is None and stencil.shift is not None:
            kept.append(np.ascontiguousarray(stencil.shift[box]))
            op.shift = kept[-1].ctypes.data
        self._kept[number] = kept
        return op

    def _part(self, vector: np.ndarray, number: int) -> np.ndarray:
        return np.ascontiguousarray(vector.reshape(self.problem.shape)[self.boxes[number]])

    def update(self, problem: Poisson) -> None:
        before = list(self._kept)

        def run(number):
            op = self._operator(number, problem)
            native.call("dcg_multilevel_update", self.handles[number], ctypes.byref(op))

        on_all(self.count, run)
        self.problem = problem
        del before

    def __call__(self, r: np.ndarray) -> np.ndarray:
        """M r, over all cells."""
        z = np.full(self.problem.shape, np.nan)

        def run(number):
            mine = self._part(r, number)
            out = np.empty_like(mine)
            native.call("dcg_multilevel_apply", self.handles[number], mine, out)
            z[self.boxes[number]] = out

        on_all(self.count, run)
        return z.reshape(r.shape)

    def native_cg(self, x: np.ndarray, r: np.ndarray, target: float, maxiter: int) -> list[Run]:
        """As `MultilevelCycle.native_cg`; every rank's run."""

        def run(number):
            mine = self._part(x, number), self._part(r, number)
            done = Run.of(
                maxiter,
                lambda *results: native.call(
                    "dcg_multilevel_cg", self.handles[number], *mine, target, maxiter, *results
                ),
            )
            for whole, part in zip((x, r), mine, strict=True):
                whole.reshape(self.problem.shape)[self.boxes[number]] = part
            return done

        return on_all(self.count, run)

    @property
    def levels(self) -> list[tuple[int, ...]]:
        """Cells along z, y, x, unknowns and secondary unknowns of every level; all ranks say the same."""
        tables = []
        for handle in self.handles:
            table, count = np.zeros((64, 5), np.int64), ctypes.c_int32()
            memory, name = ctypes.c_int64(), ctypes.c_char_p()
            native.call(
                "dcg_multilevel_info", handle, ctypes.byref(count), ctypes.byref(memory), 64, table, ctypes.byref(name)
            )
            tables.append([tuple(row) for row in table[: count.value].tolist()])
        assert all(levels == tables[0] for levels in tables)
        return tables[0]

    def calls(self, number: int = 0) -> dict[str, int]:
        """How often a rank's functions were called, by kind."""
        return dict(self.ranks[number].calls)

    def close(self) -> None:
        for handle in self.handles:
            native.destroy(handle)
        self.handles = []
        assert not any(rank.halos for rank in self.ranks)  # everything was taken down again

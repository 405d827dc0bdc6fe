"""Ranks without a message-passing library: each is a thread of this process, and messages are copies between their arrays.

The kernels let go of the interpreter's lock while they run, and their messages take it again, so the ranks do run side by side.
"""

from __future__ import annotations

import ctypes
import itertools
import threading
from collections.abc import Callable, Sequence

import numpy as np

from deepcg import Poisson, native
from deepcg.weights import Weights

KINDS = {1: np.uint8, 4: np.uint32, 8: np.uint64}


class Crowd:
    """What the ranks share."""

    def __init__(self, count: int):
        self.barrier = threading.Barrier(count, timeout=60)
        self.told: list = [None] * count

    def tell(self, number: int, value) -> list:
        """Every rank's value, for every rank."""
        self.told[number] = value
        self.barrier.wait()
        told = list(self.told)
        self.barrier.wait()
        return told


def array(address: int | None, count: int, kind) -> np.ndarray:
    if not address or not count:
        return np.zeros(0, kind)
    return np.ctypeslib.as_array(
        ctypes.cast(address, ctypes.POINTER(ctypes.c_uint8)), (count * np.dtype(kind).itemsize,)
    ).view(kind)


class Links:
    """Copies of other ranks' values, as `dcg_ranks.link` is told of them."""

    def __init__(self, size: int, leaf: np.ndarray, owner: np.ndarray, root: np.ndarray):
        self.size, self.leaf, self.owner, self.root = size, leaf.copy(), owner.copy(), root.copy()
        self.leaves = int(leaf.max()) + 1 if leaf.size else 0


class Rank:
    """One rank's functions. `messages` counts what it sent, by kind."""

    def __init__(self, crowd: Crowd, number: int, fail_after: int | None = None):
        self.crowd, self.number, self.fail_after = crowd, number, fail_after
        self.links: dict[int, Links] = {}
        self.messages = {"spread": 0, "add": 0, "sum": 0}
        self.names = itertools.count(1)
        kinds = dict(native.Ranks._fields_)
        self.functions = {
            name: kinds[name](self._guarded(getattr(self, name))) for name in ("link", "unlink", "spread", "add", "sum")
        }

    def _guarded(self, function: Callable) -> Callable:
        def call(_, *arguments) -> int:
            try:
                function(*arguments)
            except Exception:
                self.crowd.barrier.abort()
                return 7
            return 0

        return call

    def _count(self, kind: str) -> None:
        self.messages[kind] += 1
        if self.fail_after is not None and sum(self.messages.values()) > self.fail_after:
            raise RuntimeError("a failure that the test asked for")

    def link(self, size, n, leaf, owner, root, made):
        given = (np.ctypeslib.as_array(a, (n,)) if n else np.zeros(0, np.int64) for a in (leaf, owner, root))
        links = Links(size, *given)
        sizes = self.crowd.tell(self.number, size)
        for rank, place in zip(links.owner, links.root, strict=True):
            assert 0 <= place < sizes[rank]
        made[0] = next(self.names)
        self.links[made[0]] = links

    def unlink(self, links):
        del self.links[links]

    def spread(self, links, width, roots, leaves):
        self._count("spread")
        of = self.links[links]
        told = self.crowd.tell(self.number, array(roots, of.size, KINDS[width]).copy())
        to = array(leaves, of.leaves, KINDS[width])
        for rank, values in enumerate(told):
            mine = of.owner == rank
            to[of.leaf[mine]] = values[of.root[mine]]

    def add(self, links, leaves, roots):
        self._count("add")
        of = self.links[links]
        mine = array(leaves, of.leaves, np.float32)[of.leaf] if of.leaves else np.zeros(0, np.float32)
        told = self.crowd.tell(self.number, (of.owner, of.root, mine.copy()))
        to = array(roots, of.size, np.float32)
        for owner, root, values in told:
            here = owner == self.number
            np.add.at(to, root[here], values[here])

    def sum(self, n, values):
        self._count("sum")
        mine = np.ctypeslib.as_array(values, (n,))
        mine[:] = np.sum(self.crowd.tell(self.number, mine.copy()), axis=0)


def on_all(count: int, run: Callable[[int], object]) -> list:
    """run(rank number) in a thread for each; the first error of any is raised."""
    results: list = [None] * count
    errors: list[BaseException] = []

    def body(number):
        try:
            results[number] = run(number)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=body, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return results


class OnRanks:
    """The multilevel network of a problem that planes cut into boxes.

    Parameters
    ----------
    problem : Poisson
    weights : Weights
    cuts : first cell of each slab of ranks, per axis of the problem, without the 0 of the first one
    gather : see `dcg_ranks`
    """

    def __init__(
        self,
        problem: Poisson,
        weights: Weights,
        cuts: Sequence[Sequence[int]],
        gather: int = 1,
        threads: int = 1,
        fail_after: int | None = None,
    ):
        self.problem, self.weights = problem, native.weights(weights)
        self.starts = [np.array([0, *cut, n], np.int64) for cut, n in zip(cuts, problem.shape, strict=True)]
        self.places = list(itertools.product(*[range(len(s) - 1) for s in self.starts]))
        self.count = len(self.places)
        self.boxes = [
            tuple(slice(s[p], s[p + 1]) for s, p in zip(self.starts, place, strict=True)) for place in self.places
        ]
        self.crowd = Crowd(self.count)
        self.ranks = [Rank(self.crowd, n, fail_after if n == self.count - 1 else None) for n in range(self.count)]
        self.handles = [ctypes.c_void_p() for _ in self.places]
        self.kept: list = [None] * self.count
        on_all(self.count, lambda n: self._create(n, gather, threads))

    def _operator(self, number: int, problem: Poisson) -> native.Operator:
        """This rank's part, with arrays of its own."""
        stencil, box = problem.stencil, self.boxes[number]
        whole = native.operator(stencil)
        arrays = {"cells": np.ascontiguousarray(stencil.cells[box])}
        op = native.Operator(
            cells=arrays["cells"].ctypes.data, unit=whole.unit, periodic=whole.periodic, open=whole.open
        )
        axes = (0, 1, 2) if problem.cells.ndim == 3 else (0, 2)
        op.shape = (ctypes.c_int64 * 3)(1, 1, 1)
        for axis, place in enumerate(axes):
            op.shape[place] = arrays["cells"].shape[axis]
            if stencil.unit is None:
                faces = tuple(slice(s.start, s.stop + (a == axis)) for a, s in enumerate(box))
                arrays[f"weights {axis}"] = np.ascontiguousarray(stencil.weights[axis][faces])
                op.weights[place] = arrays[f"weights {axis}"].ctypes.data
        if stencil.unit is None and stencil.shift is not None:
            arrays["shift"] = np.ascontiguousarray(stencil.shift[box])
            op.shift = arrays["shift"].ctypes.data
        self.kept[number] = op, arrays
        return op

    def _create(self, number: int, gather: int, threads: int) -> None:
        given = native.Ranks(gather=gather, **self.ranks[number].functions)
        dim3 = self.problem.cells.ndim == 3
        for axis, place in enumerate((0, 1, 2) if dim3 else (0, 2)):
            given.ranks[place], given.place[place] = len(self.starts[axis]) - 1, self.places[number][axis]
            given.starts[place] = self.starts[axis].ctypes.data_as(ctypes.POINTER(ctypes.c_int64))
        whole = np.array([0, 1], np.int64)
        if not dim3:
            given.ranks[1], given.place[1] = 1, 0
            given.starts[1] = whole.ctypes.data_as(ctypes.POINTER(ctypes.c_int64))
        op = self._operator(number, self.problem)
        native.call("dcg_multilevel_create_on_ranks", ctypes.byref(op), ctypes.byref(self.weights), threads,
                    ctypes.byref(given), ctypes.byref(self.handles[number]))  # fmt: skip

    def update(self, problem: Poisson) -> None:
        before = list(self.kept)
        on_all(
            self.count,
            lambda n: native.call("dcg_multilevel_update", self.handles[n], ctypes.byref(self._operator(n, problem))),
        )
        self.problem = problem
        del before

    def _part(self, vector: np.ndarray, number: int) -> np.ndarray:
        return np.ascontiguousarray(vector.reshape(self.problem.shape)[self.boxes[number]])

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

    def conjugate_gradients(self, x: np.ndarray, r: np.ndarray, target: float, maxiter: int):
        """As `MultilevelCycle.conjugate_gradients`; returns every rank's Run."""
        from deepcg.cycle import Run

        def run(number):
            mine = self._part(x, number), self._part(r, number)
            done = Run.of(
                maxiter,
                lambda *told: native.call("dcg_multilevel_cg", self.handles[number], *mine, target, maxiter, *told),
            )
            for whole, part in zip((x, r), mine, strict=True):
                whole.reshape(self.problem.shape)[self.boxes[number]] = part
            return done

        return on_all(self.count, run)

    @property
    def levels(self) -> list[tuple]:
        """Cells along z, y, x, unknowns and extra unknowns of every level, as each rank tells it."""
        table = np.zeros((self.count, 64, 5), np.int64)
        counts, memory, name = [ctypes.c_int32() for _ in self.places], ctypes.c_int64(), ctypes.c_char_p()
        for n, handle in enumerate(self.handles):
            native.call(
                "dcg_multilevel_info",
                handle,
                ctypes.byref(counts[n]),
                ctypes.byref(memory),
                64,
                table[n],
                ctypes.byref(name),
            )
        told = {tuple(map(tuple, table[n, : counts[n].value].tolist())) for n in range(self.count)}
        assert len(told) == 1
        return list(told.pop())

    def messages(self) -> list[dict[str, int]]:
        return [dict(rank.messages) for rank in self.ranks]

    def close(self) -> None:
        on_all(self.count, lambda n: native.destroy(self.handles[n]))
        self.handles = [ctypes.c_void_p() for _ in self.places]
        assert not any(rank.links for rank in self.ranks)  # everything was taken down again

"""The multilevel network through its kernels: set-up, one application, and whole solves by conjugate gradients.

`deepcg.multigrid.reference.network` is the network's definition in PyTorch; here nothing but the compiled library is needed.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..native import library as native
from ..native.constants import CG_BREAKDOWN
from ..problem.grid import Array
from ..problem.poisson import Poisson
from .parameters import Parameters


@dataclass(frozen=True)
class LevelInfo:
    """One level of the hierarchy: cells along z, y, x (in 2-D: y, 1, x), unknowns, and how many of them share a cell."""

    shape: tuple[int, int, int]
    unknowns: int
    secondary: int


@dataclass(frozen=True)
class Run:
    """One call of conjugate gradients: ||r|| after each iteration, (alpha, beta) of each, and whether it broke down."""

    residuals: list[float]
    alphas: list[float]
    betas: list[float]
    broken: bool

    @classmethod
    def of(cls, maxiter: int, iterate: Callable[..., None]) -> Run:
        """The run that `iterate` writes to the addresses it gets: of the history, the steps, their number and the result."""
        history, steps = np.empty(maxiter), np.empty((maxiter, 2))
        iterations, result = ctypes.c_int64(), ctypes.c_int32()
        iterate(history.ctypes.data, steps.ctypes.data, ctypes.byref(iterations), ctypes.byref(result))
        n = iterations.value
        return cls(history[:n].tolist(), steps[:n, 0].tolist(), steps[1:n, 1].tolist(), result.value == CG_BREAKDOWN)


class MultilevelCycle:
    """The multilevel network as a preconditioner: linear, symmetric, positive definite.

    Parameters
    ----------
    problem : Poisson
    parameters : Parameters
    name : str
        What reports call it.
    threads : int
        0: as many as OpenMP would take. Results are the same bit for bit for the same number.

    Raises
    ------
    RuntimeError
        The compiled kernels are not there.
    """

    linear, spd = True, True

    def __init__(self, problem: Poisson, parameters: Parameters, name: str = "multigrid", threads: int = 0):
        self.name, self.parameters, self._threads = name, parameters, threads
        self.description: dict[str, Any] = {}
        self._handle = ctypes.c_void_p()
        self._hold(problem)
        given = native.parameters(parameters)
        native.call(
            "dcg_multilevel_create",
            ctypes.byref(self._operator),
            ctypes.byref(given),
            threads,
            ctypes.byref(self._handle),
        )

    def __getstate__(self) -> dict[str, Any]:
        """What a copy is made of; it sets itself up anew."""
        kept = {"problem": self._problem, "parameters": self.parameters, "name": self.name, "threads": self._threads}
        return {**kept, "description": self.description}

    def __setstate__(self, state: dict[str, Any]) -> None:
        description = state.pop("description")
        self.__init__(**state)  # type: ignore[misc]
        self.description = description

    def _hold(self, problem: Poisson) -> None:
        self._problem = problem
        self._stencil = problem.stencil  # the kernels refer to its arrays
        self._operator = native.operator(problem.stencil)

    @property
    def fallback(self) -> str:
        return self.parameters.fallback

    def update(self, problem: Poisson) -> None:
        """Serve another problem, of any shape; memory is reused."""
        before = self._stencil  # until the kernels have let go of its arrays
        self._hold(problem)
        native.call("dcg_multilevel_update", self._handle, ctypes.byref(self._operator))
        del before

    def __call__(self, r: Array) -> Array:
        native.check_vectors(self._stencil.cells.size, r=r)
        z = np.empty(self._stencil.cells.size)
        native.call("dcg_multilevel_apply", self._handle, r, z)
        return z

    def native_cg(self, x: Array, r: Array, target: float, maxiter: int) -> Run:
        """Preconditioned conjugate gradients on A e = r, x += e, in one call.

        Parameters
        ----------
        x, r : flat float64 over all cells
            Updated in place; r follows by recurrence, so that the caller should look at b - A x.
        target : stops at ||r||_2 <= target
        maxiter : int
        """
        native.check_vectors(self._stencil.cells.size, x=x, r=r)
        return Run.of(
            maxiter, lambda *results: native.call("dcg_multilevel_cg", self._handle, x, r, target, maxiter, *results)
        )

    def native_directions(self, x: Array, r: Array, target: float, maxiter: int, window: int) -> Run:
        """The same with each direction made A-orthogonal to the last `window` ones (Kaneda et al. 2023, algorithm 1)."""
        native.check_vectors(self._stencil.cells.size, x=x, r=r)
        arguments = self._handle, window, x, r, target, maxiter
        return Run.of(maxiter, lambda *results: native.call("dcg_multilevel_directions", *arguments, *results))

    @property
    def levels(self) -> list[LevelInfo]:
        """The hierarchy, finest level first."""
        return self._info()[0]

    @property
    def memory(self) -> int:
        """Bytes that the kernels hold besides the problem's own arrays."""
        return self._info()[1]

    @property
    def kernels(self) -> str:
        """Which row kernels run here: "avx2" or "generic"."""
        return self._info()[2]

    def _info(self) -> tuple[list[LevelInfo], int, str]:
        capacity = 64
        count, memory, kernels = ctypes.c_int32(), ctypes.c_int64(), ctypes.c_char_p()
        table = np.zeros((capacity, 5), dtype=np.int64)
        native.call(
            "dcg_multilevel_info", self._handle, ctypes.byref(count), ctypes.byref(memory), capacity, table,
            ctypes.byref(kernels),
        )  # fmt: skip
        rows = [LevelInfo((int(z), int(y), int(x)), int(n), int(e)) for z, y, x, n, e in table[: count.value]]
        return rows, memory.value, (kernels.value or b"").decode()

    def __del__(self):
        if getattr(self, "_handle", None):
            native.destroy(self._handle)
            self._handle = ctypes.c_void_p()

"""What a worker holds: methods with one protocol, set-up and solve apart, one stopping rule.

A method takes a loaded system, sets up, and solves to ||b - A x|| <= rtol ||b|| on the residual that is evaluated, not the one of
a recurrence. `MatrixMethod` brings that rule to whatever solver of A e = r it is given.
"""

from __future__ import annotations

import json
import pickle
from functools import cached_property
from importlib import import_module, metadata
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import scipy.sparse as sp

SHIFT = 1e-10  # of the diagonal
PASSES = 6  # of a solver that takes its own residual for the true one


class Loaded:
    """A system read from the folder that `benchmarks.systems.system.System.write` wrote.

    Attributes
    ----------
    A, rhs, places, null_space, x0 : over the rows, see `System`; null_space and x0 may be None
    b, x0_of_b : laid out as the problem's vectors
    pinned, extra : rows whose diagonal is larger than the problem's, and by how much; or None
    shape : of the cells
    """

    def __init__(self, folder: Path):
        self._folder = folder
        self.rhs, self.places, self.b = (self._array(name) for name in ("rhs", "places", "b"))
        self.shape = tuple(int(n) for n in self._array("shape"))
        self.null_space, self.x0, self.x0_of_b, self.pinned, self.extra = (
            self._array(name) if (folder / f"{name}.npy").exists() else None
            for name in ("null_space", "x0", "x0_of_b", "pinned", "extra")
        )

    def _array(self, name: str) -> np.ndarray:
        return np.load(self._folder / f"{name}.npy")

    @cached_property
    def A(self) -> sp.csr_matrix:
        """Read when it is asked for: a method on the grid never does."""
        data, indices, indptr = (self._array(name) for name in ("data", "indices", "indptr"))
        return sp.csr_matrix((data, indices, indptr), shape=(self.rhs.size,) * 2)

    def residual(self, x: np.ndarray) -> np.ndarray:
        """b - A x of the problem's own equations, without what was pinned."""
        r = self.rhs - self.A @ x
        if self.pinned is not None:
            r[self.pinned] += self.extra * x[self.pinned]
        return r

    @cached_property
    def regular(self) -> sp.csr_matrix:
        """A, shifted a little where it is singular: factors need positive pivots."""
        if self.null_space is None:
            return self.A
        return self.A + SHIFT * float(self.A.diagonal().max()) * sp.identity(self.rhs.size, format="csr")

    def ingredients(self) -> dict[str, Any]:
        """What the problem is made of, for `benchmarks.systems.system.made_of`."""
        return pickle.loads((self._folder / "problem.pickle").read_bytes())  # ours, of a moment ago


class NotReusable(RuntimeError):
    """The method cannot keep its set-up for another matrix."""


class Method(Protocol):
    """A peer, as its worker sees it.

    Attributes
    ----------
    version : of the libraries
    adopting_sets_up : whether `adopt` makes everything anew for the new matrix
    """

    version: str
    adopting_sets_up: bool

    def load(self, system: Loaded) -> None:
        """What is not timed: bring the matrix into the library's own format."""

    def set_up(self, system: Loaded) -> None:
        """Everything between the system and the first iteration."""

    def adopt(self, system: Loaded) -> None:
        """Instead of a set-up: go on with the present one for a system of the same shape."""

    def solve(self, system: Loaded, warm: bool, rtol: float, maxiter: int, history: list[float] | None):
        """x (over the rows, or laid out as b), iterations, a note; relative residuals are appended to `history`."""

    def drop(self) -> None:
        """Forget the set-up."""


class MatrixMethod:
    """A solver of A e = r on the rows, iterated on until the true residual is small enough."""

    version = ""
    adopting_sets_up = False

    def load(self, system: Loaded) -> None:
        _ = system.regular

    def set_up(self, system: Loaded) -> None:
        raise NotImplementedError

    def adopt(self, system: Loaded) -> None:
        raise NotReusable(f"{type(self).__name__} keeps no set-up for another matrix")

    def drop(self) -> None:
        pass

    def iterate(
        self, system: Loaded, r: np.ndarray, rtol: float, maxiter: int, history: list[float] | None
    ) -> tuple[np.ndarray, int]:
        """e with ||r - A e|| <= rtol ||r|| as the solver computes it, and iterations; residuals go to `history`, relative to ||r||."""
        raise NotImplementedError

    def solve(self, system: Loaded, warm: bool, rtol: float, maxiter: int, history: list[float] | None):
        b, norm = system.rhs, float(np.linalg.norm(system.rhs))
        x = np.zeros_like(b) if not warm else system.x0.copy()
        r = system.residual(x) if warm else b
        left, iterations, passes = float(np.linalg.norm(r)) / norm, 0, 0
        if history is not None:
            history.append(left)
        while not left <= rtol and iterations < maxiter and passes < PASSES:
            part: list[float] | None = None if history is None else []
            # a hair below the target: rounding should not cost a second pass
            e, done = self.iterate(system, r, min(0.999 * rtol / left, 0.9), maxiter - iterations, part)
            if history is not None and part is not None:
                history.extend(value * left for value in part)
            x += e
            r = system.residual(x)
            left, iterations, passes = float(np.linalg.norm(r)) / norm, iterations + done, passes + 1
            if not np.isfinite(left):
                break
        note = f"{passes} passes, as its residual was not the true one" if passes > 1 else ""
        return x, iterations, note


FAMILIES = {
    "scipy": "scipy_methods",
    "deepcg": "own_methods",
    "fft": "fft_method",
    "amgcl": "amgcl_method",
    "torch": "gpu_methods",
    "amgx": "gpu_methods",
    "fault": "fault_methods",
}


def method(text: str) -> Method:
    """The method that a JSON object describes: `family`, `kind`, and `settings` for its constructor."""
    told = json.loads(text)
    module = import_module(f"benchmarks.workers.{FAMILIES[told['family']]}")
    return module.KINDS[told["kind"]](**told["settings"])


def version(*packages: str) -> str:
    """Names and versions of installed packages."""
    return ", ".join(f"{package} {metadata.version(package)}" for package in packages)

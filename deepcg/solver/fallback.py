"""What goes on where the preconditioner fails: the session's own steps, and algebraic multigrid, set up only then."""

from __future__ import annotations

import warnings
from typing import Any

from ..native.callbacks import Callbacks, vector
from ..native.session import Fallback
from ..preconditioners.algebraic import MISSING, AlgebraicMultigrid, named
from ..preconditioners.base import Preconditioner, capability
from ..problem.poisson import Poisson

CHOICES = ("auto", "multigrid", "amg", "jacobi", "none")


class Fallbacks:
    """The steps after the preconditioner's own, for one problem.

    Parameters
    ----------
    asked : one of `CHOICES`
    problem : Poisson
    preconditioner : Preconditioner
        It says what "auto" stands for.

    Attributes
    ----------
    option : str
        The session's option `fallback`.
    """

    def __init__(self, asked: str, problem: Poisson, preconditioner: Preconditioner):
        check_fallback(asked)
        self.option = capability(preconditioner, "fallback") if asked == "auto" else asked
        self._problem, self._size = problem, problem.cells.size
        self._made: Any = None  # None: not needed yet; False: it cannot be had

    def serve(self, calls: Callbacks) -> Fallback | None:
        """Algebraic multigrid as functions that the session calls; None where it is not wanted or not installed."""
        name = named()
        if self.option not in ("auto", "amg") or not name:
            return None
        made = Fallback(name=name.encode())
        calls.serve(made, "set_up", lambda there: there.__setitem__(0, self._set_up(name)))
        calls.serve(
            made, "apply", lambda r, z: vector(z, self._size).__setitem__(..., self._made(vector(r, self._size)))
        )
        return made

    def _set_up(self, name: str) -> bool:
        if self._made is None:
            try:
                self._made = AlgebraicMultigrid(self._problem)
            except Exception as error:  # the package's own: whatever it is, the solve can go on without
                warnings.warn(
                    f"fallback: {name} could not be set up ({type(error).__name__}: {error}); the solve goes on without it",
                    RuntimeWarning,
                    stacklevel=2,
                )
                self._made = False
        return self._made is not False


def check_fallback(asked: Any) -> None:
    if asked not in CHOICES:
        raise ValueError(f"fallback: {asked!r} given; one of {CHOICES} is needed")
    if asked == "amg" and not named():
        raise ValueError(f"fallback: 'amg' given; {MISSING}")

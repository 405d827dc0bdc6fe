"""Peers that fail, on purpose: how the runner and the tables show failure is tested with them."""

from __future__ import annotations

import os
import time
from typing import Any

import numpy as np

from benchmarks.workers.methods import Loaded
from benchmarks.workers.scipy_methods import CG


class Fault(CG):
    """Conjugate gradients, but for its way to fail: "raise", "garbage", "nan", "die", "hang" or "claim" (stops too early and says nothing)."""

    def __init__(self, way: str):
        super().__init__()
        self._way = way

    def solve(self, system: Loaded, warm: bool, rtol: float, maxiter: int, history: list[float] | None) -> Any:
        if self._way == "raise":
            raise ArithmeticError("zero pivot in row 7")
        if self._way == "die":
            os._exit(3)
        if self._way == "hang":
            time.sleep(600.0)
        x, iterations, note = super().solve(system, warm, 0.5 if self._way == "claim" else rtol, maxiter, history)
        if self._way in ("garbage", "nan"):
            x = np.full_like(x, np.nan) if self._way == "nan" else np.random.default_rng(3).standard_normal(x.size)
        return x, iterations, note


KINDS = {"fault": Fault}

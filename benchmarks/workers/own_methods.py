"""deepcg itself: the learned parameters, the classical ones on the same kernels, the paper's network. Set-up starts from cells and coefficients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

import deepcg
from benchmarks.systems.system import made_of
from benchmarks.workers.methods import Loaded
from deepcg.dcdm.preconditioner import DCDMPreconditioner
from deepcg.multigrid.cycle import MultilevelCycle
from deepcg.multigrid.parameters import Parameters
from deepcg.native.constants import WINDOW
from deepcg.preconditioners.registry import multilevel_cycle
from deepcg.problem.poisson import Poisson


class Own:
    """`deepcg.Solver` with a model by name or file.

    Parameters
    ----------
    model : see `deepcg.Solver`
    device : "cpu" or "cuda"
    digest : of a model's file, which belongs to the settings that results are for
    """

    version = f"deepcg {deepcg.__version__}"
    adopting_sets_up = True

    def __init__(self, model: str, device: str = "cpu", window: int | None = WINDOW, digest: str = ""):
        self._model, self._device, self._window = model, device, window
        self._parts: dict[str, Any] = {}
        self._solver: deepcg.Solver | None = None

    def load(self, system: Loaded) -> None:
        self._parts = system.ingredients()

    def set_up(self, system: Loaded) -> None:
        problem = made_of(self._parts)
        self._solver = deepcg.Solver(
            problem,
            model=self.model(problem),
            device=self._device,
            window=self._window,
            inconsistent="project",
            fallback="jacobi",  # a model is measured alone
        )

    def adopt(self, system: Loaded) -> None:
        """`Solver.update`: the levels are built again in the memory that is there."""
        assert self._solver is not None
        self._solver.update(made_of(self._parts))

    def model(self, problem: Poisson) -> Any:
        return self._model

    def solve(self, system: Loaded, warm: bool, rtol: float, maxiter: int, history: list[float] | None):
        solver = self._solver
        assert solver is not None
        solver.rtol, solver.maxiter = rtol, maxiter
        x, info = solver.solve(system.b, x0=system.x0_of_b if warm else None)
        if history is not None:
            b = solver.problem.layout.rhs(system.b)
            solver.problem.components.project(b)
            norm = float(np.linalg.norm(b))
            history.extend(residual / norm for residual in info.residuals)
        note = "" if info == 0 else info.reason
        if info.fallbacks:
            note = f"{note}; {info.fallbacks} iterations by the fallback".removeprefix("; ")
        return x, info.iterations, note

    def drop(self) -> None:
        """What the library would keep for its next solver is given back, as the others' allocators have to."""
        self._solver = None
        deepcg.release_memory()


class Classical(Own):
    """Classical parameters of given sweeps and relaxation: geometric multigrid on the same kernels."""

    def __init__(self, sweeps: Sequence[int], omega: float, device: str = "cpu"):
        super().__init__("multigrid", device)
        self._weights = Parameters.classical(tuple(sweeps), omega)

    def model(self, problem: Poisson) -> Any:
        if self._device == "cpu":
            return MultilevelCycle(problem, self._weights)
        return multilevel_cycle(problem, self._weights, "multigrid", self._device)


class InPrecision(Own):
    """The paper's network evaluated in another floating-point format; the iteration stays in float64."""

    def __init__(self, model: str, precision: str, window: int | None = WINDOW):
        super().__init__(model, "cpu", window)
        self._precision = precision

    def model(self, problem: Poisson) -> Any:
        from deepcg.io.model_file import resolve

        network = DCDMPreconditioner.from_file(problem, resolve(self._model, problem.ndim), "cpu")
        return RoundedNetwork(problem, network.network, self._precision)


class RoundedNetwork(DCDMPreconditioner):
    """A network in `precision`: "float64", "float32", "bfloat16" or "float16".

    In 16 bits the weights, the input and what every layer gives are rounded, the sums inside a layer are in float32: so do processors with
    16-bit arithmetic, and so it can be measured on any. The speed is not that of such a processor.
    """

    def __init__(self, problem: Poisson, network: Any, precision: str):
        import torch

        self._rounded = getattr(torch, precision)
        self._dtype = torch.float64 if precision == "float64" else torch.float32
        for parameter in network.parameters():
            parameter.requires_grad_(False)
            parameter.copy_(parameter.to(self._rounded).to(parameter.dtype))
        for layer in network.modules():
            if hasattr(layer, "weight"):
                layer.register_forward_hook(lambda layer, given, answer: self._round(answer))
        super().__init__(problem, network.to(self._dtype), f"dcdm in {precision}")

    def _round(self, values: Any) -> Any:
        return values.to(self._rounded).to(self._dtype)

    def __call__(self, r: np.ndarray) -> np.ndarray:
        torch = self._torch
        scaled = r * self._scale
        rms = float(np.linalg.norm(scaled)) / np.sqrt(self._size)
        if not (rms > 0 and np.isfinite(rms)):
            return np.zeros_like(r)
        with torch.inference_mode(), torch.backends.mkldnn.flags(enabled=False):  # oneDNN has no float64
            field = self._round(torch.from_numpy(scaled / rms)).reshape(1, 1, *self._shape)
            z = self.network(field).reshape(-1).to(torch.float64).numpy()
        return z * (self._scale * rms)


KINDS = {"model": Own, "classical": Classical, "precision": InPrecision}

"""Peers on an NVIDIA GPU: conjugate gradients in PyTorch, and AMGX where a user has it.

The system is on the device before the clock starts; every solve ends with a synchronisation. AMGX is in no package registry: it is
compiled from its sources together with its Python interface, pyamgx. Neither has been run by us: we had no GPU.
"""

from __future__ import annotations

import importlib.util
from typing import Any

import numpy as np

from benchmarks.workers.methods import Loaded, MatrixMethod, version


def without_gpu() -> str:
    """Why PyTorch has no GPU here; empty where it has."""
    if not importlib.util.find_spec("torch"):
        return "not installed: torch; pip install 'deepcg[network]'"
    import torch

    return "" if torch.cuda.is_available() else "no GPU that PyTorch can use"


class TorchCG(MatrixMethod):
    """Jacobi-preconditioned CG on CSR in float64, vectors on the device.

    Parameters
    ----------
    device : "cuda", or "cpu" for tests
    """

    def __init__(self, device: str = "cuda"):
        import torch

        self._torch, self._device = torch, device
        self.version = version("torch")

    def load(self, system: Loaded) -> None:
        torch, A = self._torch, system.A
        parts = [torch.from_numpy(part).to(self._device) for part in (A.indptr, A.indices, A.data)]
        self._matrix = torch.sparse_csr_tensor(*parts, size=A.shape)

    def set_up(self, system: Loaded) -> None:
        self._inverse = self._torch.from_numpy(1.0 / system.A.diagonal()).to(self._device)

    def iterate(self, system, r, rtol, maxiter, history):
        torch, A = self._torch, self._matrix
        left = torch.from_numpy(np.array(r)).to(self._device)
        e, direction, rho, norm = torch.zeros_like(left), torch.zeros_like(left), 1.0, float(left.norm())
        for count in range(1, maxiter + 1):
            z = self._inverse * left
            rho, before = float(left @ z), rho
            direction.mul_(rho / before if count > 1 else 0.0).add_(z)
            product = A @ direction
            alpha = rho / float(direction @ product)
            e.add_(direction, alpha=alpha)
            left.sub_(product, alpha=alpha)
            now = float(left.norm()) / norm
            if history is not None:
                history.append(now)
            if not now > rtol:
                break
        return e.cpu().numpy(), count


class AMGX(MatrixMethod):
    """AMGX's conjugate gradients with classical algebraic multigrid, through pyamgx."""

    version = "AMGX"

    def __init__(self, **settings: Any):
        import pyamgx

        pyamgx.initialize()
        self._amgx, self._settings = pyamgx, settings

    def load(self, system: Loaded) -> None:
        amgx = self._amgx
        self._config = amgx.Config().create_from_dict(self._settings | {"config_version": 2})
        self._resources = amgx.Resources().create_simple(self._config)
        self._matrix, self._r, self._e = (
            kind().create(self._resources) for kind in (amgx.Matrix, amgx.Vector, amgx.Vector)
        )
        self._matrix.upload_CSR(system.A)

    def set_up(self, system: Loaded) -> None:
        self._solver = self._amgx.Solver().create(self._resources, self._config)
        self._solver.setup(self._matrix)

    def iterate(self, system, r, rtol, maxiter, history):
        self._r.upload(np.array(r))
        self._e.upload(np.zeros_like(r))
        self._solver.solve(self._r, self._e, zero_initial_guess=True)
        e = np.empty_like(r)
        self._e.download(e)
        return e, int(self._solver.iterations_number)


KINDS = {"cg": TorchCG, "amg": AMGX}

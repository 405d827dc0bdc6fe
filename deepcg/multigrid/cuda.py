"""The multilevel network on a GPU, through the kernels that `deepcg.native.device` opens.

Set-up runs on the host and is copied; iterations stay on the device. Vectors may be NumPy arrays, which are copied there
and back, or arrays that live on the GPU, whose memory is used as it is.
"""

from __future__ import annotations

import ctypes
import math
from typing import Any

import numpy as np

from ..native import device as gpu
from ..native import library as native
from ..native.constants import CUDA_COPY, CUDA_CYCLE, CUDA_SWEEP
from ..native.device_array import current_stream, device_array, empty_like, on_gpu
from ..problem.poisson import Poisson
from .cycle import Run
from .parameters import Parameters


class CudaCycle:
    """The multilevel network on the current GPU: linear, symmetric, positive definite.

    Parameters
    ----------
    problem : Poisson
    parameters : Parameters
    name : str
        What reports call it.
    threads : int
        Of the set-up, which runs on the host; 0: as many as OpenMP would take.

    Raises
    ------
    UnavailableError
        No GPU, or the CUDA kernels were not built.

    Notes
    -----
    The same arithmetic as `deepcg.multigrid.cycle.MultilevelCycle`, in another order of summation here and there: both agree to
    rounding in single precision.
    """

    linear, spd = True, True
    device = "cuda"

    def __init__(self, problem: Poisson, parameters: Parameters, name: str = "multigrid", threads: int = 0):
        self._handle = ctypes.c_void_p()
        self._library = gpu.library()
        self.name, self.parameters = name, parameters
        self.description: dict[str, Any] = {}
        self._buffers: list[gpu.Buffer] = []
        self._cells = problem.stencil.cells.size
        self._components_of: Poisson | None = None
        self._call(
            "dcg_cuda_create",
            ctypes.byref(native.operator(problem.stencil)),
            ctypes.byref(native.parameters(parameters)),
            threads,
            ctypes.byref(self._handle),
        )

    def __reduce__(self):
        raise TypeError(
            f"{self.name}: a preconditioner on a GPU is not copied; copy or pickle the deepcg.Solver, which sets up its own"
        )

    @property
    def fallback(self) -> str:
        return self.parameters.fallback

    def update(self, problem: Poisson) -> None:
        """Serve another problem, of any shape."""
        self._call("dcg_cuda_update", self._handle, ctypes.byref(native.operator(problem.stencil)))
        self._cells = problem.stencil.cells.size
        self._buffers.clear()
        self._components_of = None

    def __call__(self, r, out=None):
        """z = M r, over all cells.

        Parameters
        ----------
        r : float64, NumPy or on the GPU
        out : array on the GPU, for libraries without `empty_like`

        Returns
        -------
        An array like r; on the GPU it is ready when the stream gets there.
        """
        if not on_gpu(r):
            given, made = self._buffer(0), self._buffer(1)
            native.check_vectors(self._cells, r=r)
            given.set(r)
            self._call("dcg_cuda_apply", self._handle, given.pointer, made.pointer, None)
            return made.get(np.empty(self._cells))
        z = empty_like(r) if out is None else out
        self._call(
            "dcg_cuda_apply", self._handle, self._address(r, "r"), self._address(z, "out", True), current_stream(r)
        )
        return z

    def native_cg(self, x, r, target: float, maxiter: int) -> Run:
        """Preconditioned conjugate gradients on A e = r, x += e, on the device throughout.

        Parameters
        ----------
        x, r : float64 over all cells, both NumPy or both on the GPU
            Updated in place; r follows by recurrence, so that the caller should look at b - A x.
        target : stops at ||r||_2 <= target
        maxiter : int
        """
        if on_gpu(x) != on_gpu(r):
            raise ValueError("x, r: one is on the GPU and the other is not")
        if on_gpu(x):
            return self._iterate(
                self._address(x, "x", True), self._address(r, "r", True), target, maxiter, current_stream(x)
            )
        held = self._buffer(0), self._buffer(1)
        native.check_vectors(self._cells, x=x, r=r)
        for buffer, v in zip(held, (x, r), strict=True):
            buffer.set(v)
        run = self._iterate(held[0].pointer, held[1].pointer, target, maxiter, None)
        held[0].get(x), held[1].get(r)
        return run

    def _iterate(self, x: int, r: int, target: float, maxiter: int, stream: int | None) -> Run:
        return Run.of(
            maxiter, lambda *results: self._call("dcg_cuda_cg", self._handle, x, r, target, maxiter, *results, stream)
        )

    def residual(self, problem: Poisson, b, x, r) -> tuple[float, float]:
        """r = b - A x, less the mean of every singular component; x None: b alone. All on the GPU, over all cells.

        Returns
        -------
        ||r||_2 and the 2-norm of what was taken off.
        """
        if self._components_of is not problem:
            first, rest = problem.components.runs
            self._call(
                "dcg_cuda_set_components",
                self._handle,
                first.size,
                first.ctypes.data,
                rest.ctypes.data,
                problem.components.count,
            )
            self._components_of = problem
        norm, removed = ctypes.c_double(), ctypes.c_double()
        addresses = (self._address(b, "b"), None if x is None else self._address(x, "x"), self._address(r, "r", True))
        self._call(
            "dcg_cuda_residual", self._handle, *addresses, ctypes.byref(norm), ctypes.byref(removed), current_stream(b)
        )
        return norm.value, removed.value

    def magnitude(self, b, x) -> float:
        """|| |A| |x| + |b| ||_2 on the GPU: what rounding in x and b is measured by."""
        norm = ctypes.c_double()
        addresses = self._address(b, "b"), self._address(x, "x")
        self._call("dcg_cuda_magnitude", self._handle, *addresses, ctypes.byref(norm), current_stream(b))
        return norm.value

    @property
    def memory(self) -> int:
        """Bytes on the device, vectors from the host apart."""
        return self._info()[2]

    @property
    def kernels(self) -> str:
        """The device's name."""
        return self._info()[3]

    @property
    def small_levels(self) -> int:
        """How many of the coarsest levels are one launch."""
        return self._info()[1]

    def seconds(self, what: str, repeats: int = 20) -> tuple[float, int]:
        """For benchmarks: the median time of a "copy", of a "sweep" over the finest level or of a "cycle", and the bytes moved."""
        taken, moved = ctypes.c_double(), ctypes.c_int64()
        number = {"copy": CUDA_COPY, "sweep": CUDA_SWEEP, "cycle": CUDA_CYCLE}[what]
        self._call("dcg_cuda_time", self._handle, number, repeats, ctypes.byref(taken), ctypes.byref(moved))
        return taken.value, moved.value

    def _info(self) -> tuple[int, int, int, str]:
        levels, small, memory, name = ctypes.c_int32(), ctypes.c_int32(), ctypes.c_int64(), ctypes.c_char_p()
        self._call("dcg_cuda_info", self._handle, *(ctypes.byref(v) for v in (levels, small, memory, name)))
        return levels.value, small.value, memory.value, (name.value or b"").decode()

    def _address(self, v, name: str, writable: bool = False) -> int:
        array = device_array(v, name, writable)
        if math.prod(array.shape) != self._cells:
            raise ValueError(f"{name}: shape {array.shape} given; {self._cells} values, one for each cell, are needed")
        return array.pointer

    def _buffer(self, which: int) -> gpu.Buffer:
        while len(self._buffers) <= which:
            self._buffers.append(gpu.Buffer(self._library, 8 * self._cells))
        return self._buffers[which]

    def _call(self, name: str, *arguments) -> None:
        gpu.call(self._library, name, *arguments)

    def __del__(self):
        if getattr(self, "_handle", None):
            self._library.dcg_cuda_destroy(self._handle)
            self._handle = ctypes.c_void_p()

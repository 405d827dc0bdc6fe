"""The multilevel network on a GPU: `libdeepcg_cuda.so`, opened when it is asked for (`kernels/include/deepcg_cuda.h`).

Set-up runs on the host and is copied; iterations stay on the device. Vectors may be NumPy arrays, which are copied there
and back, or arrays that live on the GPU, whose memory is used as it is.
"""

from __future__ import annotations

import ctypes
import math
import os
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from . import native
from .cycle import Run
from .device_array import current_stream, device_array, empty_like, on_gpu
from .problem import Poisson
from .weights import Weights

ABI_VERSION = 1
LIBRARY = Path(__file__).with_name("libdeepcg_cuda.so")


class UnavailableError(ValueError):
    """There is no GPU, or the CUDA kernels were not built."""


@cache
def library(path: Path = LIBRARY) -> ctypes.CDLL:
    """Open the CUDA kernels.

    Raises
    ------
    UnavailableError
        They are not there, were built for another version of this package, or find no GPU.
    """
    try:
        opened = ctypes.CDLL(os.fspath(path))
        found = opened.dcg_cuda_abi_version()
    except (OSError, AttributeError) as error:
        raise UnavailableError(
            f"device: 'cuda' needs the CUDA kernels, which are not here ({error}); build them with nvcc in the PATH: make build"
        ) from error
    if found != ABI_VERSION:
        raise UnavailableError(
            f"{path}: ABI version {found}, this deepcg needs {ABI_VERSION}; build it again: make build"
        )
    try:
        _declare(opened)
    except AttributeError as error:  # a function that is not there
        raise UnavailableError(
            f"{path}: not the kernels of this deepcg; build it again: make build ({error})"
        ) from error
    count = ctypes.c_int32()
    if opened.dcg_cuda_devices(ctypes.byref(count)) or not count.value:
        raise UnavailableError(
            "device: 'cuda' given, but no NVIDIA GPU with a driver is found here; use 'auto' or 'cpu'"
        )
    return opened


def _declare(opened: ctypes.CDLL) -> None:
    """The functions' signatures, as the header has them."""
    pointer, i32, i64, real = ctypes.c_void_p, ctypes.c_int32, ctypes.c_int64, ctypes.c_double
    signatures = {
        "dcg_cuda_devices": (pointer,),
        "dcg_cuda_create": (pointer, pointer, i32, pointer),
        "dcg_cuda_update": (pointer, pointer),
        "dcg_cuda_apply": (pointer, pointer, pointer, pointer),
        "dcg_cuda_cg": (pointer, pointer, pointer, real, i64, pointer, pointer, pointer, pointer, pointer),
        "dcg_cuda_set_components": (pointer, i64, pointer, pointer, i64),
        "dcg_cuda_residual": (pointer, pointer, pointer, pointer, pointer, pointer, pointer),
        "dcg_cuda_info": (pointer, pointer, pointer, pointer, pointer),
        "dcg_cuda_time": (pointer, i32, i32, pointer, pointer),
        "dcg_cuda_allocate": (i64, pointer),
        "dcg_cuda_copy": (pointer, pointer, i64, pointer),
    }
    for name, arguments in signatures.items():
        getattr(opened, name).argtypes = arguments
    for name in ("dcg_cuda_destroy", "dcg_cuda_free"):
        getattr(opened, name).argtypes, getattr(opened, name).restype = (pointer,), None
    opened.dcg_cuda_last_error.restype = ctypes.c_char_p


class CudaCycle:
    """The multilevel network on the current GPU: linear, symmetric, positive definite.

    Parameters
    ----------
    problem : Poisson
    weights : Weights
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
    The same arithmetic as `deepcg.cycle.MultilevelCycle`, in another order of summation here and there: both agree to
    rounding in single precision.
    """

    linear, spd = True, True

    def __init__(self, problem: Poisson, weights: Weights, name: str = "multigrid", threads: int = 0):
        self._handle = ctypes.c_void_p()
        self._library = library()
        self.name, self.weights = name, weights
        self.description: dict[str, Any] = {}
        self._buffers: list[Buffer] = []
        self._cells = problem.stencil.cells.size
        self._components_of: Poisson | None = None
        self._call(
            "dcg_cuda_create",
            ctypes.byref(native.operator(problem.stencil)),
            ctypes.byref(native.weights(weights)),
            threads,
            ctypes.byref(self._handle),
        )

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
            given.set(self._checked(r, "r"))
            self._call("dcg_cuda_apply", self._handle, given.pointer, made.pointer, None)
            return made.get(np.empty(self._cells))
        z = empty_like(r) if out is None else out
        self._call(
            "dcg_cuda_apply", self._handle, self._address(r, "r"), self._address(z, "out", True), current_stream(r)
        )
        return z

    def conjugate_gradients(self, x, r, target: float, maxiter: int) -> Run:
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
        for buffer, v, name in zip(held, (x, r), "xr", strict=True):
            buffer.set(self._checked(v, name))
        run = self._iterate(held[0].pointer, held[1].pointer, target, maxiter, None)
        held[0].get(x), held[1].get(r)
        return run

    def _iterate(self, x: int, r: int, target: float, maxiter: int, stream: int | None) -> Run:
        return Run.of(
            maxiter, lambda *told: self._call("dcg_cuda_cg", self._handle, x, r, target, maxiter, *told, stream)
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
        number = ("copy", "sweep", "cycle").index(what)
        self._call("dcg_cuda_time", self._handle, number, repeats, ctypes.byref(taken), ctypes.byref(moved))
        return taken.value, moved.value

    def _info(self) -> tuple[int, int, int, str]:
        levels, small, memory, name = ctypes.c_int32(), ctypes.c_int32(), ctypes.c_int64(), ctypes.c_char_p()
        self._call("dcg_cuda_info", self._handle, *(ctypes.byref(v) for v in (levels, small, memory, name)))
        return levels.value, small.value, memory.value, (name.value or b"").decode()

    def _address(self, v, name: str, writable: bool = False) -> int:
        found = device_array(v, name, writable)
        if math.prod(found.shape) != self._cells:
            raise ValueError(f"{name}: shape {found.shape} given; {self._cells} values, one for each cell, are needed")
        return found.pointer

    def _checked(self, v: np.ndarray, name: str) -> np.ndarray:
        if not isinstance(v, np.ndarray) or v.dtype != np.float64 or not v.flags.c_contiguous or v.size != self._cells:
            raise ValueError(f"{name}: a C-contiguous float64 array of {self._cells} values is needed")
        return v

    def _buffer(self, which: int) -> Buffer:
        while len(self._buffers) <= which:
            self._buffers.append(Buffer(self._library, 8 * self._cells))
        return self._buffers[which]

    def _call(self, name: str, *arguments) -> None:
        call(self._library, name, *arguments)

    def __del__(self):
        if getattr(self, "_handle", None):
            self._library.dcg_cuda_destroy(self._handle)
            self._handle = ctypes.c_void_p()


class Buffer:
    """Device memory for a vector of the host; itself an array on the GPU."""

    def __init__(self, opened: ctypes.CDLL, size: int):
        self._library, self._size = opened, size
        memory = ctypes.c_void_p()
        call(opened, "dcg_cuda_allocate", size, ctypes.byref(memory))
        self.pointer = memory.value or 0

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        return {
            "shape": (self._size // 8,),
            "typestr": "<f8",
            "data": (self.pointer, False),
            "strides": None,
            "version": 3,
        }

    def set(self, v: np.ndarray) -> None:
        call(self._library, "dcg_cuda_copy", self.pointer, v.ctypes.data, self._size, None)

    def get(self, v: np.ndarray) -> np.ndarray:
        call(self._library, "dcg_cuda_copy", v.ctypes.data, self.pointer, self._size, None)
        return v

    def __del__(self):
        if getattr(self, "pointer", 0):
            self._library.dcg_cuda_free(self.pointer)


def to_host(v) -> np.ndarray:
    """A copy of an array on the GPU, flat."""
    found = device_array(v, "array")
    made = np.empty(math.prod(found.shape))
    call(library(), "dcg_cuda_copy", made.ctypes.data, found.pointer, made.nbytes, current_stream(v))
    return made


def to_device(values: np.ndarray, v) -> None:
    """Copy a flat float64 array into one on the GPU."""
    call(
        library(),
        "dcg_cuda_copy",
        device_array(v, "array", True).pointer,
        values.ctypes.data,
        values.nbytes,
        current_stream(v),
    )


def call(opened: ctypes.CDLL, name: str, *arguments) -> None:
    if getattr(opened, name)(*arguments):
        raise native.KernelError(f"{name}: {opened.dcg_cuda_last_error().decode()}")

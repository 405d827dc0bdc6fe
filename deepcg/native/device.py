"""The CUDA kernels behind their C ABI (`kernels/include/deepcg_cuda.h`): `libdeepcg_cuda.so`, opened when it is asked for; memory on the GPU."""

from __future__ import annotations

import ctypes
import math
import os
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from . import library as native
from .device_array import current_stream, device_array

ABI_VERSION = 3
LIBRARY = Path(__file__).parents[1] / "libdeepcg_cuda.so"


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
        version = opened.dcg_cuda_abi_version()
    except (OSError, AttributeError) as error:
        raise UnavailableError(
            f"device: 'cuda' needs the CUDA kernels, which are not here ({error}); build them with nvcc in the PATH: make build"
        ) from error
    if version != ABI_VERSION:
        raise UnavailableError(
            f"{path}: ABI version {version}, this deepcg needs {ABI_VERSION}; build it again: make build"
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
        "dcg_cuda_magnitude": (pointer, pointer, pointer, pointer, pointer),
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
    array = device_array(v, "array")
    made = np.empty(math.prod(array.shape))
    call(library(), "dcg_cuda_copy", made.ctypes.data, array.pointer, made.nbytes, current_stream(v))
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


def check_device(device: str) -> None:
    """ValueError for a word that is no device, whatever is installed."""
    if device not in ("auto", "cpu", "cuda"):
        raise ValueError(f"device: {device!r} given; 'auto', 'cpu' or 'cuda' is needed")

"""Arrays that live on a GPU, whoever made them: their addresses, without copies.

Known by `__cuda_array_interface__` (PyTorch, CuPy, Numba) or by DLPack (JAX and others).
"""

from __future__ import annotations

import ctypes
import importlib
from dataclasses import dataclass
from typing import Any

CUDA, CUDA_MANAGED = 2, 13  # DLPack's device types
FLOAT = 2  # DLPack's type code


class _Tensor(ctypes.Structure):
    """`DLTensor`."""

    _fields_ = (
        ("data", ctypes.c_void_p),
        ("device_type", ctypes.c_int32),
        ("device_id", ctypes.c_int32),
        ("ndim", ctypes.c_int32),
        ("code", ctypes.c_uint8),
        ("bits", ctypes.c_uint8),
        ("lanes", ctypes.c_uint16),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
    )


@dataclass(frozen=True)
class DeviceArray:
    """An array on a GPU as kernels take it. `owner` keeps its memory."""

    pointer: int
    shape: tuple[int, ...]
    owner: Any


def on_gpu(v: Any) -> bool:
    """Whether v lives in a GPU's memory."""
    if getattr(v, "is_cuda", False):
        return True
    if type(v).__module__.split(".")[0] == "torch":  # a tensor on the CPU raises at the attribute below
        return False
    if hasattr(v, "__cuda_array_interface__"):
        return True
    return hasattr(v, "__dlpack_device__") and int(v.__dlpack_device__()[0]) in (CUDA, CUDA_MANAGED)


def device_array(v: Any, name: str, writable: bool = False) -> DeviceArray:
    """The address of a C-contiguous float64 array on a GPU.

    Parameters
    ----------
    v : array with `__cuda_array_interface__` or `__dlpack__`
    name : what messages call it
    writable : refuse arrays that may not be written

    Raises
    ------
    TypeError, ValueError
    """
    if hasattr(v, "__cuda_array_interface__"):
        interface = v.__cuda_array_interface__
        shape, pointer = tuple(interface["shape"]), interface["data"][0]
        _check(name, interface["typestr"].lstrip("<=|"), shape, _in_elements(interface.get("strides"), 8))
        if writable and interface["data"][1]:
            raise ValueError(f"{name}: is read-only")
        return DeviceArray(pointer or 0, shape, v)
    if hasattr(v, "__dlpack__"):
        if writable and type(v).__module__.split(".")[0] in ("jax", "jaxlib"):
            raise ValueError(f"{name}: JAX arrays must not be written; give a PyTorch or CuPy array")
        return from_capsule(v.__dlpack__(), name)
    raise TypeError(
        f"{name}: {type(v).__name__} given; an array on a GPU (PyTorch, CuPy, or anything with DLPack) is needed"
    )


def from_capsule(capsule: Any, name: str) -> DeviceArray:
    """The same from a DLPack capsule, which stays unconsumed: it gives the memory back when it is collected."""
    get = ctypes.pythonapi.PyCapsule_GetPointer
    get.restype, get.argtypes = ctypes.c_void_p, (ctypes.py_object, ctypes.c_char_p)
    tensor = _Tensor.from_address(get(capsule, b"dltensor"))
    shape = tuple(tensor.shape[: tensor.ndim])
    kind = f"f{tensor.bits // 8}" if tensor.code == FLOAT and tensor.lanes == 1 else f"code {tensor.code}"
    _check(name, kind, shape, tuple(tensor.strides[: tensor.ndim]) if tensor.strides else None)
    return DeviceArray((tensor.data or 0) + tensor.byte_offset, shape, capsule)


def empty_like(v: Any) -> Any:
    """A new array of the same library, device and shape."""
    library = importlib.import_module(type(v).__module__.split(".")[0])
    if not hasattr(library, "empty_like"):
        raise TypeError(f"{type(v).__name__}: no empty_like in {library.__name__}; give the output as `out`")
    return library.empty_like(v)


def current_stream(v: Any) -> int | None:
    """The stream that v's library works on now; None: the default one, which waits for all others."""
    library = type(v).__module__.split(".")[0]
    if library == "torch":
        return importlib.import_module("torch").cuda.current_stream(v.device).cuda_stream or None
    if library == "cupy":
        return importlib.import_module("cupy").cuda.get_current_stream().ptr or None
    return None


def _in_elements(strides: tuple[int, ...] | None, size: int) -> tuple[int, ...] | None:
    return None if strides is None else tuple(s // size for s in strides)


def _check(name: str, kind: str, shape: tuple[int, ...], strides: tuple[int, ...] | None) -> None:
    if kind != "f8":
        raise TypeError(f"{name}: values of type {kind} given; float64 is needed on the GPU")
    expected = 1
    for n, stride in zip(reversed(shape), reversed(strides or ()), strict=False):
        if n > 1 and stride != expected:
            raise ValueError(f"{name}: strides {strides} given; a C-contiguous array is needed")
        expected *= n

"""Memory shared with other libraries: DLPack (both ways, CPU and CUDA) and the CUDA array interface.

DLPack's structures are those of its version 0.8, which every library reads (https://dmlc.github.io/dlpack/latest/c_api.html); on a
card, streams are made to wait for each other as the Array API standard asks.
"""

from __future__ import annotations

import ctypes
import sys
from typing import Any

from numtape import dtypes
from numtape.device import cpu, device
from numtape.kernels import pattern
from numtape.kernels.cpu.driver import capsule_destructor, wrap
from numtape.layout import contiguous_strides
from numtape.spec import spec_of
from numtape.tensor import Tensor, make

CPU, CUDA, CUDA_HOST, CUDA_MANAGED = 1, 2, 3, 13
CODES = {dtypes.INT: 0, dtypes.FLOAT: 2, dtypes.COMPLEX: 5, dtypes.BOOL: 6}
UNSIGNED, BFLOAT = 1, 4


class _Device(ctypes.Structure):
    _fields_ = [("type", ctypes.c_int32), ("id", ctypes.c_int32)]


class _DataType(ctypes.Structure):
    _fields_ = [("code", ctypes.c_uint8), ("bits", ctypes.c_uint8), ("lanes", ctypes.c_uint16)]


class _DLTensor(ctypes.Structure):
    _fields_ = [
        ("data", ctypes.c_void_p),
        ("device", _Device),
        ("ndim", ctypes.c_int32),
        ("dtype", _DataType),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
    ]


class _Managed(ctypes.Structure):
    _fields_ = [("tensor", _DLTensor), ("context", ctypes.c_void_p), ("deleter", ctypes.c_void_p)]


_NAME, _USED = b"dltensor", b"used_dltensor"
_Deleter = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
_python = ctypes.pythonapi
_new_capsule = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p)(("PyCapsule_New", _python))
_is_valid = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.py_object, ctypes.c_char_p)(("PyCapsule_IsValid", _python))
_pointer_of = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p)(("PyCapsule_GetPointer", _python))
_rename = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.py_object, ctypes.c_char_p)(("PyCapsule_SetName", _python))

_exported: dict[int, Any] = {}  # what must live until the consumer calls the deleter, by the structure's address


@_Deleter
def _delete(address):
    kept = _exported.pop(address, None)
    if kept is not None and kept[3] is not None and not sys.is_finalizing():
        we_wait, index, stream = kept[3]
        we_wait(index, stream)  # what uses the memory next, uses it after the consumer's work


# What a capsule's destructor is given, as the capsule's context: PyErr_Fetch, the deleter, PyErr_Restore.
_words = (ctypes.c_void_p * 3)(*(ctypes.cast(f, ctypes.c_void_p).value for f in (_python.PyErr_Fetch, _delete, _python.PyErr_Restore)))
_set_context = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.py_object, ctypes.c_void_p)(("PyCapsule_SetContext", _python))


def dlpack(x: Tensor, *, stream: Any = None, max_version: Any = None, dl_device: Any = None, copy: bool | None = None) -> Any:
    """A DLPack capsule that shares the tensor's memory.

    stream: on a card, the consumer's stream (None or 1: the legacy default stream; -1: it needs no wait). copy=True shares a copy.

    Raises BufferError where the tensor requires grad, or is asked for on another device.
    """
    if x.requires_grad:
        raise BufferError("__dlpack__: Can't export tensors that require gradient, use tensor.detach()")
    if dl_device is not None and tuple(dl_device) != dlpack_device(x):
        raise BufferError(f"__dlpack__: the tensor is on DLPack device {dlpack_device(x)}, not on {tuple(dl_device)}; move it with .to() first")
    if copy:
        x = x.clone()
    s = x._spec
    handle = None
    if s.device is not cpu:
        if stream == 0:
            raise BufferError("__dlpack__: stream 0 may mean two things; give 1 for the legacy default stream, 2 for the thread's own")
        if stream != -1:
            handle = 1 if stream is None else int(stream)
            pattern(s.device, "exchange").they_wait(s.device.index, handle)
    elif stream is not None:
        raise BufferError(f"__dlpack__: a tensor on the CPU has no stream, got stream={stream!r}")
    shape, strides = (ctypes.c_int64 * s.ndim)(*s.shape), (ctypes.c_int64 * s.ndim)(*s.strides)
    code = _code(s.dtype)
    managed = _Managed()
    managed.tensor = _DLTensor(x._address if s.numel else None, _Device(*dlpack_device(x)), s.ndim, _DataType(code, 8 * s.dtype.itemsize, 1), shape, strides, 0)
    managed.deleter = ctypes.cast(_delete, ctypes.c_void_p)
    address = ctypes.addressof(managed)
    after = None if handle is None else (pattern(s.device, "exchange").we_wait, s.device.index, handle)
    _exported[address] = (managed, (shape, strides), x, after)
    capsule = _new_capsule(address, _NAME, capsule_destructor())
    _set_context(capsule, ctypes.addressof(_words))
    return capsule


def dlpack_device(x: Tensor) -> tuple[int, int]:
    """DLPack's (kind, number) of the tensor's device: (1, 0) is the CPU, (2, i) is cuda:i."""
    where = x._spec.device
    return (CPU, 0) if where is cpu else (CUDA, where.index)


def _release_on(where: device):
    """What to call before memory on a device is given back: on a card, its owner's default stream waits for our work on it."""
    if where.type == "cpu":
        return lambda: None
    they_wait = pattern(where, "exchange").they_wait
    return lambda: None if sys.is_finalizing() else they_wait(where.index, 1)


class _Borrowed:
    """Keeps the object whose memory on a card a tensor shares."""

    def __init__(self, source, where):
        self.source, self.release = source, _release_on(where)

    def __del__(self):
        self.release()


class _Owner:
    """Memory that another library lent: given back when the last storage over it is gone."""

    def __init__(self, capsule, where):
        self.capsule, self.release = capsule, _release_on(where)
        self.address = _pointer_of(capsule, _NAME)
        _rename(capsule, _USED)

    def __del__(self):
        self.release()
        deleter = _Managed.from_address(self.address).deleter
        if deleter:
            _Deleter(deleter)(self.address)


def from_dlpack(ext_tensor: Any, *, device: Any = None, copy: bool | None = None) -> Tensor:
    """A tensor that shares the memory of another library's: of an object with `__dlpack__`, or of a DLPack capsule.

    device: where the result is wanted (moved there if need be). copy: True for a copy, False to refuse one.

    Raises TypeError for what is no DLPack object, BufferError for a dtype or device that cannot be shared.

    >>> import numpy as np
    >>> import numtape as nt
    >>> a = np.zeros(3)
    >>> nt.from_dlpack(a).add_(1)
    tensor([1., 1., 1.], dtype=numtape.float64)
    >>> a
    array([1., 1., 1.])
    """
    capsule = ext_tensor
    if hasattr(ext_tensor, "__dlpack__"):
        kind, number = (int(v) for v in ext_tensor.__dlpack_device__())
        if kind in (CUDA, CUDA_MANAGED):
            from numtape.device import device as device_of

            ours = pattern(device_of("cuda", number), "exchange").stream_handle(number)
            capsule = ext_tensor.__dlpack__(stream=ours)
        else:
            capsule = ext_tensor.__dlpack__()
    if type(capsule).__name__ != "PyCapsule":
        raise TypeError(f"from_dlpack: expected an object with __dlpack__ or a DLPack capsule, got {type(ext_tensor).__name__}")
    if not _is_valid(capsule, _NAME):
        raise BufferError("from_dlpack: the capsule was used before, or is of a version of DLPack that is not known here; expected one named 'dltensor'")
    lent = _Managed.from_address(_pointer_of(capsule, _NAME)).tensor
    kind, where = _dtype_of(lent.dtype), _device_of(lent.device)
    shape = tuple(lent.shape[i] for i in range(lent.ndim))
    strides = tuple(lent.strides[i] for i in range(lent.ndim)) if lent.strides else contiguous_strides(shape)
    if any(s < 0 for s in strides):
        raise BufferError(f"from_dlpack: negative strides {strides} cannot be shared; copy the array first")
    spec = spec_of(kind, where, shape, strides)
    address = (lent.data or 0) + lent.byte_offset
    if address % kind.itemsize:
        raise BufferError(f"from_dlpack: the memory is not aligned for {kind}; copy the array first")
    result = make(wrap(address, spec.extent * kind.itemsize, _Owner(capsule, where)), spec)
    if device is not None:
        moved = result.to(device)
        if copy is False and moved is not result:
            raise BufferError(f"from_dlpack: copy=False, but the memory is on {where}, not on {device}")
        return moved.clone() if copy and moved is result else moved
    return result.clone() if copy else result


def _code(kind: dtypes.dtype) -> int:
    """DLPack's number for what a dtype's elements are."""
    if kind is dtypes.bfloat16:
        return BFLOAT
    return UNSIGNED if kind.category == dtypes.INT and not kind.is_signed else CODES[kind.category]


def _dtype_of(given: _DataType) -> Any:
    for kind in dtypes.SUPPORTED:
        if (_code(kind), 8 * kind.itemsize, 1) == (given.code, given.bits, given.lanes):
            return kind
    raise BufferError(f"from_dlpack: elements of DLPack type code {given.code} with {given.bits} bits and {given.lanes} lanes are not supported; convert them first")


def _device_of(given: _Device) -> device:
    if given.type in (CPU, CUDA_HOST):
        return cpu
    if given.type in (CUDA, CUDA_MANAGED):
        return device("cuda", given.id)
    raise BufferError(f"from_dlpack: memory of DLPack device type {given.type} cannot be shared; bring it to the CPU or to a CUDA card first")


# ------------------------------------------------------------------------------------------------ the CUDA array interface
def cuda_array_interface(x: Tensor) -> dict[str, Any]:
    """The tensor's memory on a card in version 3 of the CUDA array interface; consumers wait on our stream.

    Raises AttributeError for a tensor on the CPU (so `hasattr` says no), RuntimeError where it requires grad.
    """
    s = x._spec
    if s.device is cpu:
        raise AttributeError("Can't get __cuda_array_interface__ on non-CUDA tensor; use tensor.cuda() first")
    if x.requires_grad:
        raise RuntimeError("Can't get __cuda_array_interface__ on Tensor that requires grad. Use tensor.detach() first.")
    return {
        "shape": tuple(s.shape),
        "typestr": s.dtype.numpy.str,
        "data": (x._address if s.numel else 0, False),
        "strides": None if s.contiguous else tuple(n * s.dtype.itemsize for n in s.strides),
        "version": 3,
        "stream": pattern(s.device, "exchange").stream_handle(s.device.index),
    }


def from_cuda_array(source: Any, index: int) -> Tensor:
    """A tensor over the memory of an object with `__cuda_array_interface__`, which it keeps alive; on card number `index`."""
    import numpy as np

    given = source.__cuda_array_interface__
    if given.get("mask") is not None:
        raise TypeError("as_tensor: masked CUDA arrays are not supported")
    address, readonly = given["data"]
    if readonly:
        raise BufferError("as_tensor: the CUDA array is read-only; copy it first")
    kind = dtypes.of_numpy(np.dtype(given["typestr"]))
    shape = tuple(given["shape"])
    steps = given.get("strides")
    if steps is not None and any(n < 0 or n % kind.itemsize for n in steps):
        raise BufferError(f"as_tensor: strides of {steps} bytes cannot be shared; copy the array first")
    strides = contiguous_strides(shape) if steps is None else tuple(n // kind.itemsize for n in steps)
    where = device("cuda", index)
    if given.get("stream") is not None:
        pattern(where, "exchange").we_wait(index, int(given["stream"]))
    spec = spec_of(kind, where, shape, strides)
    return make(wrap(int(address), spec.extent * kind.itemsize, _Borrowed(source, where)), spec)

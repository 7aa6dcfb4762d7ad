"""Tensors over memory that is there already, and new memory with strides that are given."""

from __future__ import annotations

import warnings
from math import prod

import numpy as np

from numtape import dtypes
from numtape.arrays import share_array
from numtape.device import wanted
from numtape.ops import creation
from numtape.ops.define import composite
from numtape.ops.view import sizes_of
from numtape.spec import spec_of
from numtape.tensor import Tensor
from numtape.tensor import empty as empty_of_spec


# ------------------------------------------------------------------------------------------------ other objects
@composite(creation=True)
def asarray(obj, *, dtype=None, device=None, copy=None, requires_grad=False):
    "An array, a buffer, a DLPack capsule's owner, a sequence or a number as a tensor: over its memory where it can be, unless copy=True."
    kind = None if dtype is None else dtypes.check("asarray", dtype)
    if isinstance(obj, Tensor):
        found = obj
    elif isinstance(obj, (np.ndarray, np.generic)):
        found = share_array(np.asarray(obj))
    elif hasattr(obj, "__dlpack__"):
        from numtape.interop import from_dlpack

        found = from_dlpack(obj)
    elif _has_buffer(obj):
        found = frombuffer(obj, dtype=kind or dtypes.get_default_dtype())
    else:
        if copy is False:
            raise ValueError("can't alias arbitrary sequence into a tensor.")
        return creation.tensor(obj, dtype=kind, device=device, requires_grad=requires_grad)
    where, kind = found.device if device is None and isinstance(obj, Tensor) else wanted(device), kind or found.dtype
    if copy is False and (where is not found.device or kind is not found.dtype):
        reason = f"device={found.device}, not {where}" if where is not found.device else f"dtype={found.dtype}, not {kind}"
        raise ValueError(f"can't alias tensor with {reason}.")
    found = found.to(where, kind, copy=bool(copy))
    return found.requires_grad_() if requires_grad and found.is_leaf else found


def _has_buffer(obj) -> bool:
    try:
        memoryview(obj)
    except TypeError:
        return False
    return True


@composite(creation=True)
def frombuffer(buffer, *, dtype, count=-1, offset=0, requires_grad=False):
    "A vector over the memory of a Python buffer (bytes, bytearray, array, mmap), from a byte `offset` on; `count` elements or all."
    kind = dtypes.check("frombuffer", dtype)
    if not _has_buffer(buffer):
        raise ValueError(f"frombuffer: the object ({type(buffer).__name__}) does not implement Python buffer protocol.")
    memory = memoryview(buffer)
    nbytes, size = memory.nbytes, kind.itemsize
    if not nbytes or count == 0:
        raise ValueError(f"both buffer length ({nbytes}) and count ({count}) must not be 0")
    if not 0 <= offset < nbytes:
        raise ValueError(f"offset ({offset} bytes) must be non-negative and no greater than buffer length ({nbytes} bytes) - 1")
    if count < 0 and (nbytes - offset) % size:
        raise ValueError(f"buffer length ({nbytes - offset} bytes) after offset ({offset} bytes) must be a multiple of element size ({size})")
    if count > 0 and offset + count * size > nbytes:
        raise ValueError(f"requested buffer length ({count} * {size} bytes) after offset ({offset} bytes) must not be greater than actual buffer length ({nbytes} bytes)")
    if memory.readonly:
        warnings.warn("The given buffer is not writable: writing to the tensor would change what Python holds to be constant.", UserWarning, stacklevel=2)
    found = share_array(np.frombuffer(buffer, kind.numpy, count, offset))
    return found.requires_grad_() if requires_grad else found


# ------------------------------------------------------------------------------------------------ strides
def _strided(name: str, size, stride, dtype, device, requires_grad) -> Tensor:
    shape, strides = sizes_of(name, (size,)), sizes_of(name, (stride,))
    if len(shape) != len(strides):
        raise RuntimeError(f"{name}: dimensionality of sizes ({len(shape)}) must match dimensionality of strides ({len(strides)})")
    if any(s < 0 for s in strides):
        raise RuntimeError(f"{name}: Stride values must be non-negative, got {list(strides)}")
    spec = creation._spec(name, shape, dtype, device)
    extent = 1 + sum((n - 1) * s for n, s in zip(shape, strides)) if prod(shape) else 0
    block = empty_of_spec(spec_of(spec.dtype, spec.device, (extent,)), name)
    block._spec = spec_of(spec.dtype, spec.device, shape, strides)
    return block.requires_grad_() if requires_grad else block


@composite(creation=True)
def empty_strided(size, stride, *, dtype=None, layout=None, device=None, requires_grad=False, pin_memory=False):
    "Uninitialised memory with these sizes and strides."
    return _strided("empty_strided", size, stride, dtype, device, requires_grad)


@composite(creation=True)
def empty_permuted(size, physical_layout, *, dtype=None, layout=None, device=None, requires_grad=False, pin_memory=False):
    "Uninitialised memory whose dims lie in the order given, from the outermost."
    shape, order = sizes_of("empty_permuted", (size,)), sizes_of("empty_permuted", (physical_layout,))
    if len(order) != len(shape):
        raise RuntimeError(f"Number of dimensions in size does not match the length of the physical_layout; i.e. len(size) = {len(shape)} is not equal to len(physical_layout) = {len(order)}")
    if sorted(order) != list(range(len(shape))):
        raise RuntimeError(f"empty_permuted: physical_layout: expected the dims 0 to {len(shape) - 1} once each, got {list(order)}")
    strides, step = [0] * len(shape), 1
    for d in reversed(order):
        strides[d] = step
        step *= max(shape[d], 1)
    return _strided("empty_permuted", shape, tuple(strides), dtype, device, requires_grad)


def new_empty_strided(self, size, stride, dtype=None, layout=None, device=None, pin_memory=False, requires_grad=False):
    """Uninitialised memory with these sizes and strides, with this tensor's dtype and device unless given."""
    return _strided("new_empty_strided", size, stride, dtype or self.dtype, self.device if device is None else device, requires_grad)


METHODS = {"new_empty_strided": new_empty_strided}
FUNCTION_ONLY = {"asarray", "frombuffer", "empty_strided", "empty_permuted"}

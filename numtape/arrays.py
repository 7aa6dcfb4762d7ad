"""Tensors of NumPy arrays: with a copy of their elements, or over their memory."""

from __future__ import annotations

import numpy as np

import numtape.storage as storage
from numtape import dtypes
from numtape.device import cpu
from numtape.layout import contiguous_strides
from numtape.spec import Spec, spec_of
from numtape.tensor import Tensor, empty, make


def from_array(array: np.ndarray) -> Tensor:
    """A tensor with a copy of a NumPy array's elements."""
    result = empty(spec_of(dtypes.of_numpy(array.dtype, "tensor"), cpu, array.shape), "tensor")
    if array.size:
        storage.as_array(result._storage, result._address, result._spec)[...] = array
    return result


def share_array(array: np.ndarray) -> Tensor:
    """A tensor over the memory of a NumPy array."""
    key = array.dtype, array.shape, array.strides
    spec = _shared.get(key)
    if spec is None:
        spec = _spec_of_array(array)
        if len(_shared) > 4096:
            _shared.clear()
        _shared[key] = spec
    return make(storage.of_array(array), spec)


_shared: dict = {}  # (NumPy's dtype, shape, strides) -> spec


def _spec_of_array(array: np.ndarray) -> Spec:
    kind = dtypes.of_numpy(array.dtype)
    if any(s < 0 for s in array.strides):
        raise ValueError("from_numpy: arrays with negative strides cannot be shared; copy it first with array.copy()")
    if any(s % kind.itemsize for s in array.strides) or not array.dtype.isnative:
        raise ValueError("from_numpy: the strides must be multiples of the element size, in native byte order; copy it first with array.copy()")
    strides = tuple(s // kind.itemsize for s in array.strides) if array.size else contiguous_strides(array.shape)
    return spec_of(kind, cpu, array.shape, strides)

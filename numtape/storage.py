"""Blocks of memory, and NumPy arrays that see them.

A storage has `address`, `nbytes`, `version` (how many times it was written in place), `writer` (the op that did so last)
and `owner` (whose memory it is, None for our own). Freed blocks are kept for reuse, up to a bound: a fresh block costs
page faults, which take as long as most kernels.
"""

from __future__ import annotations

from ctypes import c_size_t

import numpy as np

from numtape.device import cpu, device
from numtape.kernels import pattern
from numtape.kernels.cpu import driver
from numtape.spec import Spec


def new(nbytes: int, op: str, where: device = cpu):
    """A storage of `nbytes` on a device, or a MemoryError that says what was asked for."""
    if where is not cpu:
        return pattern(where, "driver").allocate(nbytes, where.index, op)
    try:
        return driver.allocate(nbytes)
    except (MemoryError, OverflowError):
        raise MemoryError(f"{op}: cannot allocate {nbytes:,} bytes") from None


def empty_cache() -> None:
    """Give the free blocks of the host back to the system."""
    driver.empty_cache()


def transfer(address: int, where: device, source: int, origin: device, nbytes: int) -> None:
    """Copy bytes from memory of one device to memory of another, at least one of them a card."""
    pattern(origin if where is cpu else where, "driver").transfer(address, where, source, origin, nbytes)


class _Window:
    """Shows a storage to NumPy and keeps it alive as long as the array."""

    __slots__ = ("__array_interface__", "storage")

    def __init__(self, storage, interface):
        self.storage, self.__array_interface__ = storage, interface


def as_array(storage, address: int, spec: Spec) -> np.ndarray:
    """A NumPy array over the memory of a tensor, without a copy."""
    kind = spec.dtype.numpy
    if not spec.numel:
        return np.empty(spec.shape, kind)
    strides = tuple(s * kind.itemsize for s in spec.strides)
    window = _Window(storage, {"version": 3, "shape": tuple(spec.shape), "typestr": kind.str, "strides": strides, "data": (address, False)})
    return np.asarray(window)


def of_array(array: np.ndarray):
    """A storage over the memory of an array, which it keeps alive."""
    return driver.wrap(c_size_t.from_address(id(array) + 16).value, array.nbytes, array)  # `array.ctypes.data`, which takes 1 us

"""The run-time in plain Python, for ``NUMBA_DISABLE_JIT=1``: the same names as in `driver`, one thread, no cache of blocks."""

from __future__ import annotations

import ctypes

import numpy as np

from numtape.kernels import library
from numtape.kernels.cpu import state as at

_launched: list[int] = []
_scratch = np.zeros(at.SCRATCH_BYTES + 64, np.uint8)


class Storage:
    """A block of memory and the number of times it was written in place."""

    __slots__ = ("address", "nbytes", "owner", "version", "writer")

    def __init__(self, address, nbytes, owner):
        self.address, self.nbytes, self.owner, self.version, self.writer = address, nbytes, owner, 0, None


def allocate(nbytes):
    if nbytes < 0:
        raise MemoryError
    block = np.empty(nbytes + 64, np.uint8)
    return Storage(-(-block.ctypes.data // 64) * 64, nbytes, block)


def wrap(address, nbytes, owner):
    return Storage(address, nbytes, owner)


def empty_cache():
    pass


def _remote(table, arguments, new):
    """What the callable of another device's table returns, as (result,); None for a table of the CPU."""
    words = (ctypes.c_int64 * at.TABLE_SLOTS).from_address(table)
    if not words[at.TABLE_REMOTE + new]:
        return None
    _launched.append(words[at.TABLE_KERNEL])
    return (ctypes.cast(words[at.TABLE_REMOTE + new], ctypes.py_object).value(*arguments),)


def launch(table, *arguments):
    if _remote(table, arguments, 0):
        return
    words = (ctypes.c_int64 * at.TABLE_SLOTS).from_address(table)
    function = next(k.function for k in library.all_kernels() if k.address == words[at.TABLE_KERNEL])
    count = words[at.TABLE_NSLOTS]
    slots = np.empty(count + 1, np.int64)
    slots[0] = -(-_scratch.ctypes.data // 64) * 64
    slots[1:] = (ctypes.c_int64 * count).from_address(table + 8 * at.TABLE_SLOTS)
    for i, value in enumerate(arguments, 1):
        slots[i] = np.float64(value).view(np.int64) if type(value) is float else value
    _launched.append(words[at.TABLE_KERNEL])
    if units := words[at.TABLE_UNITS]:
        with np.errstate(all="ignore"):
            function(slots.ctypes.data + 8, 0, units)


def launch_new(table, *arguments):
    if done := _remote(table, arguments, 1):
        return done[0]
    out = allocate((ctypes.c_int64 * at.TABLE_SLOTS).from_address(table)[at.TABLE_NBYTES])
    launch(table, out.address, *arguments)
    return out


def load():
    """There is no code to be loaded."""


def capsule_destructor():
    """None: without compiled code a DLPack capsule that nobody takes keeps its tensor."""
    return None


def start_workers():
    pass


def set_num_threads(count: int) -> None:
    pass


def get_num_threads() -> int:
    return 1


def memory_stats() -> dict[str, int]:
    return {"live": 0, "peak": 0, "cached": 0}


def reset_peak() -> None:
    pass


def cache_limit() -> int:
    return 0


def set_cache_limit(nbytes: int) -> None:
    pass


def launch_count() -> int:
    return len(_launched)


def launched_addresses(since: int) -> list[int]:
    return _launched[since:]

"""The host's memory, as numtape's allocator has it, under the names that `torch.cuda` has for a card's.

Blocks that tensors no longer use are kept for the next ones, because a fresh block costs page faults, which take as long as most kernels. At
most `cache_limit()` bytes are kept: 1 GiB, or NUMTAPE_MEMORY_CACHE_MB megabytes (of 2**20 bytes; 0 keeps none).

>>> import numtape as nt
>>> nt.cpu.reset_peak_memory_stats()
>>> x = nt.ones(1000)
>>> nt.cpu.memory_allocated() <= nt.cpu.max_memory_allocated() <= nt.cpu.memory_reserved() + nt.cpu.cache_limit()
True
"""

from __future__ import annotations

import numtape.storage as storage
from numtape.kernels.cpu import driver

__all__ = [
    "cache_limit",
    "empty_cache",
    "max_memory_allocated",
    "memory_allocated",
    "memory_reserved",
    "memory_stats",
    "reset_peak_memory_stats",
    "set_cache_limit",
]


def memory_allocated() -> int:
    """The bytes of all blocks that tensors hold now; blocks are a little larger than what was asked for."""
    return driver.memory_stats()["live"]


def max_memory_allocated() -> int:
    """The most that `memory_allocated` was, since the start or the last `reset_peak_memory_stats`."""
    return driver.memory_stats()["peak"]


def reset_peak_memory_stats() -> None:
    """Begin the maximum anew, from what is allocated now."""
    driver.reset_peak()


def memory_reserved() -> int:
    """The bytes of all blocks, those of tensors and those that are kept for reuse."""
    found = driver.memory_stats()
    return found["live"] + found["cached"]


def memory_stats() -> dict[str, int]:
    """Bytes: "live" of tensors, their "peak", "cached" for reuse.

    >>> sorted(nt.cpu.memory_stats())
    ['cached', 'live', 'peak']
    """
    return driver.memory_stats()


def empty_cache() -> None:
    """Give the blocks that are kept for reuse back to the system.

    >>> nt.cpu.empty_cache()
    >>> nt.cpu.memory_stats()["cached"]
    0
    """
    storage.empty_cache()


def cache_limit() -> int:
    """The most bytes that are kept for reuse."""
    return driver.cache_limit()


def set_cache_limit(nbytes: int) -> None:
    """Keep at most `nbytes` bytes for reuse from now on; 0 keeps none. If there are more, all are given back.

    Raises TypeError for what is no int, ValueError for a negative one.
    """
    if not isinstance(nbytes, int) or isinstance(nbytes, bool):
        raise TypeError(f"set_cache_limit: expected an int, the number of bytes, got {type(nbytes).__name__}")
    if nbytes < 0:
        raise ValueError(f"set_cache_limit: expected a number of bytes that is not negative, got {nbytes}")
    driver.set_cache_limit(nbytes)

"""Indices out of range on a card: cells that kernels write, looked at when the host waits for the card anyway.

A cell is two int64 words in pinned memory of the host that the card can write. A kernel that meets a bad index sets word 0 to 1 and
word 1 to the index, and goes on. Nothing waits for it: the error is raised by the next synchronisation of the kernel's stream.
"""

from __future__ import annotations

import collections
import contextlib
import ctypes
import threading

CELLS = 1024
PORTABLE_MAPPED = 1 | 2  # flags of cuMemHostAlloc


class Check:
    """What one kernel may report: `address` of its cell for the card, and what the message says."""

    __slots__ = ("address", "cell", "checks", "dim", "n", "name", "stream")

    def __init__(self, checks, cell, stream, name, n, dim):
        self.checks, self.cell, self.stream, self.name, self.n, self.dim = checks, cell, stream, name, n, dim
        self.address = checks.device_address + 16 * cell

    def check(self) -> None:
        """Say that the kernel is launched: from now on synchronisation looks at its cell."""
        self.checks.pending.append((self.stream, self.cell, self.name, self.n, self.dim))
        self.checks = None

    def __del__(self):
        if self.checks is not None:  # the launch failed
            self.check()


class Checks:
    """The cells of one card."""

    def __init__(self, card):
        self.card, self.lock = card, threading.RLock()
        self.words, self.free, self.device_address = None, [], 0
        self.pending: collections.deque = collections.deque()  # (stream, cell, name, n, dim) of kernels that were launched

    def new(self, stream, name: str, n: int, dim: int) -> Check:
        """A clean cell for a kernel about to be launched on `stream`. Where all are in use, the card is waited for."""
        while True:
            try:
                return Check(self, self.free.pop(), stream, name, n, dim)
            except IndexError:
                self._refill()

    def _refill(self):
        with self.lock:
            if self.words is None:
                address = int(self.card.call("cuMemHostAlloc", 16 * CELLS, PORTABLE_MAPPED))
                ctypes.memset(address, 0, 16 * CELLS)
                self.device_address = int(self.card.call("cuMemHostGetDevicePointer", address, 0))
                self.words = (ctypes.c_int64 * (2 * CELLS)).from_address(address)
                self.free += range(CELLS)
            else:
                self.card.synchronize()
                if not self.free:
                    raise RuntimeError(f"CUDA: {CELLS} kernels that check indices are being launched at once; synchronize between them")

    @contextlib.contextmanager
    def after(self, stream):
        """Wait for a stream (None: for the card) inside the `with` block; then the kernels that were launched there before are looked at.

        Kernels that other threads launch meanwhile are left to the next time: they may still be running.
        """
        with self.lock:
            every = [self.pending.popleft() for _ in range(len(self.pending))]
            mine = [entry for entry in every if stream is None or entry[0] is stream]
            self.pending.extend(entry for entry in every if not (stream is None or entry[0] is stream))
        try:
            yield
        except BaseException:
            self.pending.extend(mine)
            raise
        self._look(mine)

    def _look(self, entries):
        """Raise the first error in the cells of kernels that have run; the cells are clean again."""
        found = None
        for _, cell, name, n, dim in entries:
            if self.words[2 * cell]:
                found = found or (name, self.words[2 * cell + 1], n, dim)
                self.words[2 * cell] = 0
            self.free.append(cell)
        if found:
            name, index, n, dim = found
            raise IndexError(
                f"{name}: index {index} is out of bounds for dimension {dim} with size {n} "
                "(kernels on a card run later than they are called: this was found at the next synchronisation)"
            )

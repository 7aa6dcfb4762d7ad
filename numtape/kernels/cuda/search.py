"""The search pattern on CUDA: the CPU's text, a value a thread."""

from __future__ import annotations

from numtape.kernels.cpu.search import text
from numtape.kernels.cuda import serial


def table(code, count, n, each, right, sorter):
    """The launch of searchsorted for `count` values; arguments: out, values, boundaries, sorter (or 0)."""
    return serial.table("searchsorted", text(code, right, sorter), count, 4, [n, each])

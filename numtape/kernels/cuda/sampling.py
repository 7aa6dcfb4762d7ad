"""The sampling pattern on CUDA: the CPU's text, an element a thread."""

from __future__ import annotations

from numtape.kernels.cpu.sampling import text
from numtape.kernels.cuda import serial


def poisson(code, count):
    """The launch of poisson for `count` rates; arguments: out, rates, seed, offset."""
    return serial.table("poisson", text(code), count, 4, [])

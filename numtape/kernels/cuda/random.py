"""The random pattern on a card: the CPU's Philox text, a counter block a thread, hence the CPU's bits."""

from __future__ import annotations

from numtape.kernels.cpu.random import DRAWS, words
from numtape.kernels.cuda import serial


def table(name, draw, code, count):
    """The launch of a draw; arguments: out, seed, offset and the draw's two parameters."""
    return serial.table(name, DRAWS[draw](code), -(-count // words(draw, code)), 5, [count])

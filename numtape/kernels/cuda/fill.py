"""Sequences on a card: values that depend on their position only."""

from __future__ import annotations

from numtape.kernels.cpu.fill import LINSPACE, RAMP, TRIANGLE
from numtape.kernels.cuda import serial


def ramp(code, floating, count):
    """The launch of an arithmetic sequence; arguments: out, first, step (numbers of the kind that `floating` says)."""
    read = "slot_f64(p, 1), slot_f64(p, 2)" if floating else "p[1], p[2]"
    return serial.table("arange", RAMP.format(code=code, read=read), count, 3, [])


def linspace(code, count):
    """The launch of equally spaced numbers; arguments: out, first, last, step."""
    return serial.table("linspace", LINSPACE.format(code=code), count, 4, [max(count, 2)])


def triangle(code, rows, columns):
    """The launch of the row and the column numbers of a triangle; arguments: out, and the numbers that TRIANGLE names."""
    return serial.table("triangle", TRIANGLE.format(code=code), rows, 6, [])

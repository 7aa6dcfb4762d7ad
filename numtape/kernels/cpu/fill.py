"""Sequences: values that depend on their position only."""

import functools

from numtape.kernels import library
from numtape.kernels.cpu.driver import Table

GRAIN = 65536

RAMP = '''"""ramp: {code}"""
from numtape.kernels.intrinsics import *


def kernel(args, start, stop):
    p = slots(args)
    out = out_{code}(p[0])
    first, step = {read}
    for i in range(start, stop):
        out[i] = {code}(first + step * i)
'''

LINSPACE = '''"""linspace: {code}"""
from numtape.kernels.intrinsics import *


def kernel(args, start, stop):
    p = slots(args)
    out = out_{code}(p[0])
    first, last, step = slot_f64(p, 1), slot_f64(p, 2), slot_f64(p, 3)
    count = p[4]
    for i in range(start, stop):
        from_start = first + step * f64(i)
        from_end = last - step * f64(count - 1 - i)
        out[i] = {code}(from_start if i < count // 2 else from_end)
'''

# Row i of a triangle begins behind those before it: a sum of numbers that grow by one from 0 to `columns`, and begin somewhere in between.
TRIANGLE = '''"""triangle: {code}"""
from numtape.kernels.intrinsics import *


def kernel(args, start, stop):
    p = slots(args)
    out = out_{code}(p[0])
    count, columns, diagonal, above, upper = p[1], p[2], p[3], p[4], p[5]
    for i in range(start, stop):
        edge = min(max(i + diagonal, 0), columns)
        a, b = max(i + diagonal, 0), max(i + diagonal - columns, 0)
        before = ((a * (a - 1) - b * (b - 1)) >> 1) - above
        first, last = (edge, columns) if upper != 0 else (0, edge)
        at = i * columns - before if upper != 0 else before
        for j in range(last - first):
            out[at + j] = {code}(i)
            out[count + at + j] = {code}(first + j)
'''


@functools.lru_cache(1024)
def triangle(code, rows, columns):
    """The launch of the row and the column numbers of a triangle; arguments: out, and the numbers that TRIANGLE names."""
    return Table(library.kernel("triangle", TRIANGLE.format(code=code)), rows, -(-GRAIN // columns), 6, [])


@functools.lru_cache(1024)
def ramp(code, floating, count):
    """The launch of an arithmetic sequence; arguments: out, first, step (numbers of the kind that `floating` says)."""
    read = "slot_f64(p, 1), slot_f64(p, 2)" if floating else "p[1], p[2]"
    return Table(library.kernel("arange", RAMP.format(code=code, read=read)), count, GRAIN, 3, [])


@functools.lru_cache(1024)
def linspace(code, count):
    """The launch of equally spaced numbers; arguments: out, first, last, step."""
    return Table(library.kernel("linspace", LINSPACE.format(code=code)), count, GRAIN, 4, [max(count, 2)])

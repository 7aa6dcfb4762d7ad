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


@functools.lru_cache(1024)
def ramp(code, floating, count):
    """The launch of an arithmetic sequence; arguments: out, first, step (numbers of the kind that `floating` says)."""
    read = "slot_f64(p, 1), slot_f64(p, 2)" if floating else "p[1], p[2]"
    return Table(library.kernel("arange", RAMP.format(code=code, read=read)), count, GRAIN, 3, [])


def linspace(code, count):
    """The launch of equally spaced numbers; arguments: out, first, last, step."""
    return Table(library.kernel("linspace", LINSPACE.format(code=code)), count, GRAIN, 4, [max(count, 2)])

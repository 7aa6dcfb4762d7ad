"""The search pattern: places of values in ascending sequences.

Slots: out, values, boundaries, sorter; the boundaries of a row, the values of a row (0: one row of boundaries for all). A unit is
a value.
"""

from __future__ import annotations

from numtape.kernels import library
from numtape.kernels.cpu.driver import Table
from numtape.kernels.cpu.elementwise import SIZES

SEARCH = '''"""searchsorted: {code}"""
from numtape.kernels.intrinsics import *


def kernel(args, start, stop):
    p = slots(args)
    out, values = out_i64(p[0]), in_{memory}(p[1])
    n, each = p[4], p[5]
    for unit in range(start, stop):
        row = unit // each if each > 0 else i64(0)
        x, order = in_{memory}(p[2] + {size} * row * n), in_i64(p[3] + 8 * row * n)
        value = values[unit]
        first, end = i64(0), n
        while first < end:
            middle = first + ((end - first) >> 1)
            if x[{place}] {before} value:
                end = middle
            else:
                first = middle + 1
        out[unit] = first
'''


def text(code, right, sorter):
    """The kernel's text for values and boundaries of a dtype."""
    memory = "u8" if code == "b8" else code
    place = "order[middle]" if sorter else "middle"
    return SEARCH.format(code=code, memory=memory, size=SIZES[memory], place=place, before=">" if right else ">=")


def table(code, count, n, each, right, sorter):
    """The launch of searchsorted for `count` values; arguments: out, values, boundaries, sorter (or 0)."""
    return Table(library.kernel("searchsorted", text(code, right, sorter)), count, 2048, 4, [n, each])

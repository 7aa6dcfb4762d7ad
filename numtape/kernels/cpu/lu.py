"""The lu pattern: matrices factorized with row exchanges, a strip of columns at a time; and exchanges as permutations.

A unit is a matrix, row-major. Slots of a strip: a (m rows of n, in place), pivots (int32, counted from 1), info (int32: the first pivot that is
zero, or 0); m, n, the strip's first column and its end. Rows are exchanged whole, and the strip's rows to the right of it become those of U;
what is below them is left to a matrix product. Slots of a permutation: out (m places), pivots; m, their number.
"""

from __future__ import annotations

import functools

from numtape.kernels import library
from numtape.kernels.cpu.driver import Table
from numtape.kernels.cpu.elementwise import SIZES

STRIP = '''"""lu: {code}"""
from numtape.kernels.intrinsics import *


def kernel(args, start, stop):
    p = slots(args)
    m, n, first, end = p[3], p[4], p[5], p[6]
    for unit in range(start, stop):
        a = out_{code}(p[0] + unit * m * n * {size})
        pivots, info = out_i32(p[1] + unit * min(m, n) * 4), out_i32(p[2] + unit * 4)
        for j in range(first, end):
            best, at = {code}(-1), j
            for i in range(j, m):
                size = a[i * n + j] if a[i * n + j] >= {code}(0) else -a[i * n + j]
                if size > best:
                    best, at = size, i
            pivots[j] = i32(at + 1)
            if at != j:
                for c in range(n):
                    a[j * n + c], a[at * n + c] = a[at * n + c], a[j * n + c]
            pivot = a[j * n + j]
            if pivot == {code}(0):
                if info[0] == i32(0):
                    info[0] = i32(j + 1)
            else:
                for i in range(j + 1, m):
                    factor = a[i * n + j] / pivot
                    a[i * n + j] = factor
                    for c in range(j + 1, end):
                        a[i * n + c] -= factor * a[j * n + c]
        for i in range(first + 1, end):
            for j in range(first, i):
                factor = a[i * n + j]
                for c in range(end, n):
                    a[i * n + c] -= factor * a[j * n + c]
'''

PERMUTATION = '''"""row exchanges as a permutation"""
from numtape.kernels.intrinsics import *


def kernel(args, start, stop):
    p = slots(args)
    m, count = p[2], p[3]
    for unit in range(start, stop):
        out, pivots = out_i64(p[0] + unit * m * 8), in_i32(p[1] + unit * count * 4)
        for i in range(m):
            out[i] = i
        for j in range(count):
            other = i64(pivots[j]) - 1
            out[j], out[other] = out[other], out[j]
'''


@functools.cache
def text(code: str) -> str:
    """The kernel's text for matrices of a dtype."""
    return STRIP.format(code=code, size=SIZES[code])


def strip(code: str, count: int, m: int, n: int, first: int, end: int) -> Table:
    """The launch that factorizes columns first to end of `count` matrices; arguments: a, pivots, info."""
    return Table(library.kernel("lu", text(code)), count, max(1, 20_000 // max(1, m * n)), 3, [m, n, first, end])


def permutation(count: int, m: int, exchanges: int) -> Table:
    """The launch that makes permutations of m rows from pivots; arguments: out, pivots."""
    return Table(library.kernel("lu_permutation", PERMUTATION), count, max(1, 4096 // max(1, m)), 2, [m, exchanges])

"""The gather pattern: rows picked or added by an index along one dim of (outer, n, inner).

Slots of `index_select`: out, x, index, error cell; n, index count, inner size in elements, element size code is in the text.
A unit is one picked row. Of `index_add` a unit is a block of columns of the rows that fall to it, and goes through the index in order, so
sums are the same bits for any number of threads. An index out of range sets the error cell and touches nothing.
"""

from __future__ import annotations

import functools

from numtape.kernels import library
from numtape.kernels.cpu.driver import Table
from numtape.kernels.cpu.elementwise import SIZES

WIDTH = 1024  # columns of a unit of `index_add`: narrower ones jump about (blocks of 64 took twice the time)
AHEAD = 8  # rows

SELECT = '''"""index_select: {code}"""
from numtape.kernels.intrinsics import *


def kernel(args, start, stop):
    p = slots(args)
    index, bad = in_i64(p[2]), out_i64(p[3])
    n, count, inner = p[4], p[5], p[6]
    block = quotient(start, count)
    j = start - block * count
    target, source, row = p[0] + {size} * start * inner, p[1] + {size} * block * n * inner, {size} * inner
    for _ in range(start, stop):
        k = index[j]
        coming = source + index[min(j + {ahead}, count - 1)] * row  # rows lie anywhere: asked for early, a fifth less time
        prefetch(coming)
        prefetch(coming + 64)
        if u64(k) < u64(n):  # one comparison: a negative index is a large one
            out, x = out_{code}(target), in_{code}(source + k * row)
            for i in range(inner):
                out[i] = x[i]
        else:
            bad[0] = 1
            bad[1] = k
        target += row
        j += 1
        if j == count:
            j, source = 0, source + n * row
'''

ADD = '''"""index_add: {code}"""
from numtape.kernels.intrinsics import *


def kernel(args, start, stop):
    p = slots(args)
    index, bad = in_i64(p[2]), out_i64(p[3])
    n, count, inner, width, owners = p[4], p[5], p[6], p[7], p[8]
    blocks = quotient(inner + width - 1, width)
    for unit in range(start, stop):
        piece = quotient(unit, owners)
        owner = unit - piece * owners
        block = quotient(piece, blocks)
        first = (piece - block * blocks) * width
        last = min(first + width, inner)
        rows = p[0] + {size} * (block * n * inner + first)
        for j in range(count):
            k, coming = index[j], index[min(j + {ahead}, count - 1)]
            if ((coming * 2654435761) >> 16) & (owners - 1) == owner:
                prefetch(rows + {size} * inner * coming)
            if u64(k) >= u64(n):
                bad[0] = 1
                bad[1] = k
            elif ((k * 2654435761) >> 16) & (owners - 1) == owner:
                out = out_{code}(rows + {size} * k * inner)
                x = in_{code}(p[1] + {size} * ((block * count + j) * inner + first))
                for i in range(last - first):
                    out[i] = {code}(out[i] + x[i])
'''


def owners(pieces, width):
    """Among how many units, a power of 2, the places of rows of so many elements are shared out: one where there are pieces enough. Each looks at
    all places, which costs a nanosecond."""
    return 1 if pieces >= 16 else min(8, 1 << max(width // 32, 1).bit_length() - 1)


# Where rows are a few elements, as along the innermost dim, a unit is all that is picked from, or added into, one outer position.
NARROW = '''"""{name}, rows of {inner}: {code}"""
from numtape.kernels.intrinsics import *


def kernel(args, start, stop):
    p = slots(args)
    index, bad = in_i64(p[2]), out_i64(p[3])
    n, count = p[4], p[5]
    for unit in range(start, stop):
        out = out_{code}(p[0] + {size} * unit * {out_rows} * {inner})
        x = in_{code}(p[1] + {size} * unit * {x_rows} * {inner})
        for j in range(count):
            k = index[j]
            if u64(k) < u64(n):
{body}
            else:
                bad[0] = 1
                bad[1] = k
'''
FEW = 8  # elements of a narrow row


def _narrow(name, code, inner, out_rows, x_rows, body):
    lines = "\n".join(" " * 16 + body.format(code=code, inner=inner, i=i) for i in range(inner))
    return library.kernel(name, NARROW.format(name=name, code=code, size=SIZES[code], inner=inner, out_rows=out_rows, x_rows=x_rows, body=lines))


@functools.lru_cache(1024)
def select(code, outer, n, count, inner):
    """The launch of index_select: `count` rows of `n`, of `inner` elements; arguments: out, x, index, error cell."""
    if inner < FEW:
        kernel = _narrow("index_select", code, inner, "count", "n", "out[j * {inner} + {i}] = x[k * {inner} + {i}]")
        return Table(kernel, outer, 1 + 32768 // (count * inner), 4, [n, count, inner])
    kernel = library.kernel("index_select", SELECT.format(code=code, size=SIZES[code], ahead=AHEAD))
    return Table(kernel, outer * count, 1 + 32768 // inner, 4, [n, count, inner])


@functools.lru_cache(1024)
def add(code, outer, n, count, inner):
    """The launch of index_add: `count` rows added into `n`; arguments: out, x, index, error cell."""
    if inner < FEW:
        kernel = _narrow("index_add", code, inner, "n", "count", "out[k * {inner} + {i}] = {code}(out[k * {inner} + {i}] + x[j * {inner} + {i}])")
        return Table(kernel, outer, 1 + 32768 // (count * inner), 4, [n, count, inner])
    kernel = library.kernel("index_add", ADD.format(code=code, size=SIZES[code], ahead=AHEAD))
    width, pieces = min(inner, WIDTH), outer * -(-inner // WIDTH)
    parts = owners(pieces, width)
    return Table(kernel, pieces * parts, 1 + parts * 32768 // (count * width), 4, [n, count, inner, WIDTH, parts])

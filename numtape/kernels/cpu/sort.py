"""The sort pattern: lines that are sorted and selected from, and rows that are put in order.

Bodies for the line pattern (see `lines`), so lines may have any strides and go to threads whole. A line is read as the bits of its
elements, made into int64 keys (`kernels.sorting`) and sorted with its positions. The extra arguments are the address of the
scratch memory, 32 bytes an element of all lines (the lines of one call share the first one's part, so most of it is never touched),
then what the body names.
"""

from __future__ import annotations

import functools

from numtape.kernels import library
from numtape.kernels.cpu import lines
from numtape.kernels.cpu.driver import Table
from numtape.kernels.cpu.elementwise import SIZES

SCRATCH = 32  # bytes an element
BITS = {"f16": "u16", "bf16": "u16", "f32": "i32", "f64": "i64", "b8": "u8"}
NANS = {"f16": "i64(0x7FFF)", "bf16": "i64(0x7FFF)", "f32": "i64(0x7FFFFFFF)", "f64": "i64(0x7FFFFFFFFFFFFFFF)"}
UNSIGNED = {"b8", "u8", "u16", "u32"}  # keys that count from 0; those of u64 are moved to count from the smallest int64


def _kind(code):
    """The key function for a dtype code."""
    if code in ("c64", "c128"):
        raise NotImplementedError("complex numbers have no order; sort by .abs() or .angle()")
    return code if code in NANS or code == "u64" else "int"

LOAD = """
keys, at = out_i64(scratch + 32 * length * start), out_i64(scratch + 32 * length * start + 8 * length)
keys2, at2 = out_i64(scratch + 32 * length * start + 16 * length), out_i64(scratch + 32 * length * start + 24 * length)
for i in range(length):
    keys[i], at[i] = key_{kind}(in0[i * step2]) ^ order, i
"""

SORT = LOAD + """
if sort_pairs(keys, at, keys2, at2, length, {size}, {flip}, counts):
    keys, at = keys2, at2
for i in range(length):
    k = at[i]
    out0[i * step0], out1[i * step1] = in0[k * step2], k
"""

TOP = LOAD + """
select_pairs(keys, at, keys2, at2, length, count, {size}, {flip}, counts)
if sort_pairs(keys, at, keys2, at2, count, {size}, {flip}, counts):
    keys, at = keys2, at2
for i in range(count):
    k = at[i]
    out0[i * step0], out1[i * step1] = in0[k * step2], k
"""

# The k-th smallest, counted from 1.
NTH = LOAD + """
k = count
{rank}select_pairs(keys, at, keys2, at2, length, k, {size}, {flip}, counts)
k = at[last_pair(keys, at, k)]
out0[0], out1[0] = in0[k * step2], k
"""

NAN_COUNT = """nans = i64(0)
for i in range(length):
    if keys[i] == {nan}:
        nans += 1
"""
# The lower median: the first NaN if there is one; or of what is not NaN, if there is any.
MEDIAN = "k = (length - 1) // 2 + 1\n"
MEDIAN_OR_NAN = NAN_COUNT + "k = length - nans + 1 if nans > 0 else (length - 1) // 2 + 1\n"
MEDIAN_WITHOUT_NAN = NAN_COUNT + "k = (length - nans - 1) // 2 + 1 if nans < length else i64(1)\n"

# The most frequent of sorted elements (the smallest of several), and the last of its positions.
MODE = """
best, most, run = i64(0), i64(0), i64(0)
for i in range(length):
    run += 1
    if i == length - 1 or in0[min(i + 1, length - 1) * step2] != in0[i * step2]:
        if run > most:
            best, most = i, run
        run = i64(0)
out0[0], out1[0] = in0[best * step2], in1[best * step3]
"""

BODIES = {"sort": SORT, "topk": TOP, "kthvalue": NTH, "median": NTH, "nanmedian": NTH}


@functools.cache
def text(name, code):
    """The kernel's text: outputs are values and positions, the input is the line; extra arguments are
    the scratch memory, a count, and what keys are combined with: 0, or -1 for the other order."""
    bits = BITS.get(code, code)
    kind = _kind(code)
    rank = ""
    if name in ("median", "nanmedian"):
        rank = MEDIAN if code not in NANS else (MEDIAN_OR_NAN if name == "median" else MEDIAN_WITHOUT_NAN).format(nan=NANS[code])
    size = SIZES[bits]
    body = BODIES[name].format(kind=kind, size=size, flip=0 if code in UNSIGNED else 128, rank=rank)
    setup = ("scratch, count, order = p[3], p[4], p[5]", f"counts = stack_i64({256 * size})")
    imports = f"from numtape.kernels.sorting import key_{kind}, last_pair, select_pairs, sort_pairs\n"
    return lines.text(name, code, (bits, "i64"), (bits,), body, extra=3, setup=setup, imports=imports)


@functools.cache
def mode_text(code):
    """The kernel's text: outputs are a value and a position, inputs the sorted line and its positions."""
    return lines.text("mode", code, (code, "i64"), (code, "i64"), MODE)


# ------------------------------------------------------------------------------------------------ rows
# Slots: out (n positions), x (n rows of m elements), scratch (n words); n, m. One unit: merges of runs that double in length.
ROWS = '''"""order of rows: {code}"""
from numtape.kernels.intrinsics import *
from numtape.kernels.sorting import key_{kind}


@inline
def above(x, i, j, m):
    """Whether row i stands after row j, by the first element in which they differ."""
    for k in range(m):
        a, b = key_{kind}(x[i * m + k]), key_{kind}(x[j * m + k])
        if a != b:
            return a > b
    return False


def kernel(args, start, stop):
    p = slots(args)
    out, x, other = out_i64(p[0]), in_{bits}(p[1]), out_i64(p[2])
    n, m = p[3], p[4]
    for i in range(n):
        out[i] = i
    width = i64(1)
    while width < n:
        first = i64(0)
        while first < n:
            middle, end = min(first + width, n), min(first + 2 * width, n)
            i, j = first, middle
            for k in range(first, end):
                if j >= end or i < middle and not above(x, out[i], out[j], m):
                    other[k] = out[i]
                    i += 1
                else:
                    other[k] = out[j]
                    j += 1
            first += 2 * width
        for k in range(n):
            out[k] = other[k]
        width = 2 * width
'''


def rows(code, n, m):
    """The launch that orders the n rows of m elements; arguments: out, x, scratch."""
    bits, kind = BITS.get(code, code), _kind(code)
    return Table(library.kernel("order_rows", ROWS.format(code=code, bits=bits, kind=kind)), 1, 0, 3, [n, m])


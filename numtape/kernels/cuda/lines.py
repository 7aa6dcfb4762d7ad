"""The line pattern on CUDA: each unit of work is a walk along one dim, for scans, gathers, scatters and positions of extrema.

The block is (lines, threads of a line), powers of two: (1, many) where the line itself lies in a run of memory, otherwise lines side
by side. Of a line's threads, `lane` is this one's number and `width` how many there are. What is done in which order depends on the
sizes alone, never on the grid, so results are the same bits on every card.

- CUMSUM goes along the line in chunks of four elements a thread, which are scanned through shared memory; float32 in float64. A line has
  one block, so a single long line is far from the speed of memory (10**7 elements: some 4 ms, counted from instructions).
- GATHER: threads take elements in turn.
- SCATTER: thread `lane` owns the targets `lane`, `lane` + `width`, ... and walks the whole index in order, storing or adding where it owns the
  target: so equal targets are combined in the order of the index, without atomics. Every thread reads the whole index, about 10
  instructions an entry: some 10 ms for one line of 10**6 entries.
- EXTREMUM: threads take elements in turn, then a tree over threads: the first position of equals; a NaN wins, the first one. Here too a
  line has one block: the position in 10**7 elements takes some 0.5 ms.

Slots: the operands' addresses, extra arguments; then the line's length, each operand's step along the line, the number of other dims,
units, and for each dim, innermost first: its size and each operand's stride.
"""

from __future__ import annotations

import functools
from math import prod

from numtape.kernels.cpu.lines import COMBINED, COMBINED_BOOLS  # noqa: F401  (what SCATTER stores)
from numtape.kernels.cuda import driver, library
from numtape.kernels.cuda.elementwise import SIZES, memory
from numtape.kernels.cuda.rows import FILLED, THREADS, blocks, offset_lines

TEXT = '''"""{name}: {signature}"""
from numtape.kernels.cuda.intrinsics import *
{imports}

def kernel(args):
    p = slots(args)
    whole, outer, units = p[{base}], p[{base} + 1 + {count}], p[{base} + 2 + {count}]
    lane, width = thread_y(), threads_y()
    place = lane * threads_x() + thread_x()
{setup}    first = block_x() * threads_x()
    while first < units:
        here = first + thread_x() < units
        unit = first + thread_x() if here else units - 1
        length = whole if here else i64(0)
{offsets}
{pointers}
{body}
        first += blocks_x() * threads_x()
'''

CUMSUM = """
totals = shared_{accumulate}(2048)
carry = {accumulate}(0)
start = i64(0)
while start < whole:
    at = start + 4 * lane
    x0 = in0[(at if at < length else 0) * step1]{test}
    x1 = in0[(at + 1 if at + 1 < length else 0) * step1]{test}
    x2 = in0[(at + 2 if at + 2 < length else 0) * step1]{test}
    x3 = in0[(at + 3 if at + 3 < length else 0) * step1]{test}
    sum0 = {accumulate}(x0) if at < length else {accumulate}(0)
    sum1 = {accumulate}(sum0 + ({accumulate}(x1) if at + 1 < length else {accumulate}(0)))
    sum2 = {accumulate}(sum1 + ({accumulate}(x2) if at + 2 < length else {accumulate}(0)))
    sum3 = {accumulate}(sum2 + ({accumulate}(x3) if at + 3 < length else {accumulate}(0)))
    before, chunk = {accumulate}(0), sum3
    if width > 1:
        side, distance = i64(0), i64(1)
        totals[place] = sum3
        barrier()
        while distance < width:
            total = totals[side + place]
            if lane >= distance:
                total = {accumulate}(totals[side + place - distance * threads_x()] + total)
            side = 1024 - side
            totals[side + place] = total
            barrier()
            distance = rolled(2 * distance)
        if lane > 0:
            before = totals[side + place - threads_x()]
        chunk = totals[side + (width - 1) * threads_x() + thread_x()]
        barrier()
    before = {accumulate}(carry + before)
    carry = {accumulate}(carry + chunk)
    if at < length:
        out0[at * step0] = {code}(before + sum0)
    if at + 1 < length:
        out0[(at + 1) * step0] = {code}(before + sum1)
    if at + 2 < length:
        out0[(at + 2) * step0] = {code}(before + sum2)
    if at + 3 < length:
        out0[(at + 3) * step0] = {code}(before + sum3)
    start += 4 * width
"""

GATHER = """
found, values = stack_i64(4), stack_in0(4)
at = lane
while at < length:
    for j in range(4):
        found[j] = in1[min(at + j * width, length - 1) * step2]
    for j in range(4):
        k = found[j]
        if size > 0:
            values[j] = in0[(k if (k >= 0) & (k < size) else 0) * step1]
    for j in range(4):
        k = found[j]
        if (k < 0) | (k >= size):
            bad[0] = 1
            bad[1] = k
        elif at + j * width < length:
            out0[(at + j * width) * step0] = values[j]
    at += 4 * width
"""

SCATTER = """
found = stack_i64(4)
at = i64(0)
while at < length:
    for j in range(4):
        found[j] = in1[min(at + j, length - 1) * step2]
    for j in range(4):
        k = found[j]
        if (k & (width - 1) == lane) & (at + j < length):
            if (k < 0) | (k >= size):
                bad[0] = 1
                bad[1] = k
            else:
                old, new = out0[k * step0], in0[(at + j) * step1]
                out0[k * step0] = {stored}
    at += 4
"""
SCATTER_ADD = SCATTER.format(stored=COMBINED["add"])

CHECK = """
at = lane
while at < length:
    k = in0[at * step0]
    if (k < 0) | (k >= size):
        bad[0] = 1
        bad[1] = k
    at += width
"""

EXTREMUM = """
bests, places, values = shared_in0(1024), shared_i64(1024), stack_in0(4)
at_best = min(lane, whole - 1)
best = in0[at_best * step2]
at = lane
while at < length:
    for j in range(4):
        values[j] = in0[min(at + j * width, whole - 1) * step2]
    for j in range(4):
        x = values[j]
        if (x {sign} best) | ((x != x) & (best == best)):
            best, at_best = x, min(at + j * width, whole - 1)
    at += 4 * width
if width > 1:
    bests[place], places[place] = best, at_best
    barrier()
    half = width >> 1
    while half > 0:
        if lane < half:
            x, i = bests[place + half * threads_x()], places[place + half * threads_x()]
            same = (x == best) | ((x != x) & (best != best))
            if (x {sign} best) | ((x != x) & (best == best)) | (same & (i < at_best)):
                best, at_best = x, i
                bests[place], places[place] = x, i
        barrier()
        half = rolled(half >> 1)
if here & (lane == 0):
    out0[0] = best
    out1[0] = at_best
"""


@functools.cache
def text(name, signature, outputs, inputs, body, *, extra=0, setup=(), imports=""):
    """The kernel's text: `outputs` and `inputs` are tuples of dtype codes; `extra` arguments follow the addresses.

    `shared_in0` and `stack_in0` in the body stand for arrays of the first input's dtype.
    """
    operands = [*(("out", k, c) for k, c in enumerate(outputs)), *(("in", k, c) for k, c in enumerate(inputs))]
    base, count = len(operands) + extra, len(operands)
    names = [f"a{k}" for k in range(count)]
    pointers = []
    for k, (kind, number, code) in enumerate(operands):
        pointers.append(f"{kind}{number} = {kind}_{memory(code)}(p[{k}] + {SIZES[memory(code)]} * a{k})")
        pointers.append(f"step{k} = p[{base + 1 + k}]")
    indented = lambda lines: "\n".join(f"        {line}" for line in lines)
    return TEXT.format(
        name=name,
        signature=signature,
        imports=imports,
        base=base,
        count=count,
        setup="".join(f"    {line}\n" for line in setup),
        offsets=indented(offset_lines(names, base + count + 3)),
        pointers=indented(pointers),
        body=indented(body.replace("_in0(", f"_{memory(inputs[0])}(").strip().splitlines()),
    )


def shape(length, units, contiguous):
    """The block for `units` lines: (lines, threads of a line). `contiguous` says that a line is a run of memory.

    >>> shape(10**6, 1, True), shape(1000, 10**5, True), shape(1000, 10**6, False), shape(1000, 64, False), shape(3, 10**6, True)
    ((1, 1024), (1, 256), (256, 1), (32, 32), (256, 1))
    """
    x, y = 1, 1
    if contiguous and length >= 32:
        y = 32
        while y < 256 and 4 * y < length:
            y *= 2
    else:
        while x < 32 and x < units:
            x *= 2
    while x * y < THREADS and 4 * y < length and units * y < FILLED:
        y *= 2
    while y == 1 and x < 256 and x < units:
        x *= 2
    return x, y


by_index = text


def running(name, signature, output, operand, body, accumulate):
    """The text of CUMSUM."""
    return text(name, signature, (output,), (operand,), body)


def table(name, text, length, steps, sizes, strides, extra):
    """The launch over all lines; the arguments are the operands' addresses and `extra` words."""
    units = prod(sizes)
    x, y = shape(length, units, abs(steps[-1]) == 1)
    kernel = library.kernel(name, text, THREADS)
    words = [length, *steps, len(sizes), units]
    for d in range(len(sizes) - 1, -1, -1):
        words += [sizes[d], *(s[d] for s in strides)]
    return driver.Table(kernel, blocks(-(-units // x), x * y), (x, y), len(steps) + extra, words)


def in_order(body):
    """A body of `walks` for this device: one thread goes along the line."""
    return "if here & (lane == 0):\n" + "\n".join(f"    {line}" for line in body.strip().splitlines())

"""The line pattern: each unit of work walks one dim in order, for scans, gathers, scatters and positions of extrema.

Slots: the operands' addresses, extra arguments; then the line's length, each operand's step along the line, the number of
other dims, and for each, innermost first: its size and each operand's stride. Lines are independent, so any split of them
among threads gives the same bits; within a line the order is fixed.
"""

from __future__ import annotations

import functools
import re
import textwrap
from math import prod

from numtape.kernels import library
from numtape.kernels.cpu.driver import Table
from numtape.kernels.cpu.elementwise import SIZES, offset_lines

TEXT = '''"""{name}: {signature}"""
from numtape.kernels.intrinsics import *
{imports}

def kernel(args, start, stop):
    p = slots(args)
    length, outer = p[{base}], p[{base} + 1 + {count}]
{setup}    for unit in range(start, stop):
{offsets}{pointers}{body}
'''

# Lines side by side: element i of each, then element i + 1 of each. What lies beside each other in memory is used together.
ABREAST = '''"""{name}, lines abreast: {signature}"""
from numtape.kernels.intrinsics import *
{imports}

def kernel(args, start, stop):
    p = slots(args)
    length, outer, across = p[{base}], p[{base} + 1 + {count}], p[{base} + 2 + {count}]
{setup}    unit = start
    while unit < stop:
        width = min(i64({width}), stop - unit, across - (unit - quotient(unit, across) * across))
{offsets}{pointers}{start}        for i in range(length):
            for j in range(width):
{body}
        unit += width
'''
WIDTH = 64  # lines abreast; 16 to 256 are as fast

# The running sum `totals[j]` of line j, of those abreast; `running` makes the two texts.
CUMSUM = """
totals[j] = totals[j] + {accumulate}(in0[i * step1]{test})
out0[i * step0] = {code}(totals[j])
"""

# What is done with element i of a line, for `by_index`.
GATHER = """
k = in1[i * step2]
if u64(k) < u64(size):  # one comparison: a negative index is a large one
    out0[i * step0] = in0[k * step1]
else:
    bad[0] = 1
    bad[1] = k
"""

SCATTER = """
k = in1[i * step2]
if u64(k) < u64(size):
    old, new = out0[k * step0], in0[i * step1]
    out0[k * step0] = {stored}
else:
    bad[0] = 1
    bad[1] = k
"""

# What SCATTER stores where `old` stands, of dtype {code}, and `new` comes. A NaN is the largest and the smallest.
COMBINED = {
    "store": "new",
    "add": "{code}(old + new)",
    "multiply": "{code}(old * new)",
    "amax": "new if (new > old) | (new != new) else old",
    "amin": "new if (new < old) | (new != new) else old",
}
COMBINED_BOOLS = {"store": "new", "add": "old | new", "multiply": "old & new", "amax": "old | new", "amin": "old & new"}
SCATTER_ADD = SCATTER.format(stored=COMBINED["add"])

CHECK = """
largest = u64(0)
for i in range(length):  # a negative index is a large one
    largest = max(largest, u64(in0[i * step0]))
if largest >= u64(size):
    for i in range(length):
        if u64(in0[i * step0]) >= u64(size):
            bad[0] = 1
            bad[1] = in0[i * step0]
"""

EXTREMUM = """
best = in0[0]
at_best = i64(0)
for i in range(1, length):
    x = in0[i * step2]
    if (x {sign} best) | ((x != x) & (best == best)):
        best = x
        at_best = i
out0[0] = best
out1[0] = at_best
"""


BESIDE = re.compile(r"(\w+)\[(\w) \* step(\d)\]")


@functools.cache
def by_index(name, signature, outputs, inputs, body, *, extra=0, setup=()):
    """The texts of GATHER or SCATTER: for lines one after the other, and abreast; `table` takes the one that suits the layout."""
    alone = "for i in range(length):\n" + textwrap.indent(body.strip(), "    ")
    beside = BESIDE.sub(r"\1[\2 * step\3 + j * beside\3]", body)
    return text(name, signature, outputs, inputs, alone, extra=extra, setup=setup), text(
        name, signature, outputs, inputs, beside, extra=extra, setup=setup, template=ABREAST
    )


@functools.cache
def running(name, signature, output, operand, body, accumulate):
    """The texts of CUMSUM, as `by_index` gives those of GATHER; abreast, the running sums of a strip stand in an array."""
    alone = f"total = {accumulate}(0)\nfor i in range(length):\n" + textwrap.indent(body.strip().replace("totals[j]", "total"), "    ")
    start = (f"totals = stack_{accumulate}({WIDTH})", "for j in range(width):", f"    totals[j] = {accumulate}(0)")
    beside = BESIDE.sub(r"\1[\2 * step\3 + j * beside\3]", body)
    texts = (text(name, signature, (output,), (operand,), beside, template=ABREAST, start=start), text(name, signature, (output,), (operand,), alone))
    return texts[::-1]


@functools.cache
def text(name, signature, outputs, inputs, body, *, extra=0, setup=(), imports="", template=TEXT, start=()):
    """The kernel's text: `outputs` and `inputs` are tuples of dtype codes; `extra` arguments follow the addresses."""
    operands = [*(("out", k, c) for k, c in enumerate(outputs)), *(("in", k, c) for k, c in enumerate(inputs))]
    base, count = len(operands) + extra, len(operands)
    names = [f"a{k}" for k in range(count)]
    pointers = []
    for k, (kind, number, code) in enumerate(operands):
        memory = "u8" if code == "b8" else code
        pointers.append(f"{kind}{number} = {kind}_{memory}(p[{k}] + {SIZES[memory]} * a{k})")
        pointers.append(f"step{k} = p[{base + 1 + k}]")
        if template is ABREAST:
            pointers.append(f"beside{k} = p[{base + count + 3 + k}]")
    indent = " " * (8 if template is TEXT else 16)
    return template.format(
        name=name,
        signature=signature,
        imports=imports,
        base=base,
        count=count,
        setup="".join(f"    {line}\n" for line in setup),
        offsets=offset_lines(names, base + count + 2),
        pointers="".join(f"        {line}\n" for line in pointers),
        body="\n".join(indent + line for line in body.strip().splitlines()),
        width=WIDTH,
        start="".join(f"        {line}\n" for line in start),
    )


def table(name, text, length, steps, sizes, strides, extra):
    """The launch over all lines; the arguments are the operands' addresses and `extra` words. Of the pair of texts that `by_index`
    gives, the second is for indices that lie closer to each other from line to line than along a line."""
    if isinstance(text, tuple):
        text = text[bool(sizes) and abs(strides[-1][-1]) < abs(steps[-1])]
    return Table(library.kernel(name, text), prod(sizes), 1 + 16384 // (length or 1), len(steps) + extra, constants(length, steps, sizes, strides))


def constants(length, steps, sizes, strides):
    """The slots after addresses and extra arguments; `sizes` and `strides` of the other dims, outermost first."""
    words = [length, *steps, len(sizes)]
    for d in range(len(sizes) - 1, -1, -1):
        words += [sizes[d], *(s[d] for s in strides)]
    return words


def in_order(body):
    """A body of `walks` for this device."""
    return body

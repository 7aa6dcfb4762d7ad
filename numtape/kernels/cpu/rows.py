"""The row pattern: each unit of work is one row (any position of the outer dims), read once per stage.

A stage accumulates one or more reductions over the row; later stages use what earlier ones found; the last may write a
whole row. A sum is one stage and a number; softmax is a maximum, a sum of exponentials and a row of quotients. Float sums
are added up in blocks of 1024 elements whose totals are added in float64, so rounding errors grow slowly; the order of
addition depends on the length alone, so results are the same bits for any number of threads.

Slots: the addresses (out, then inputs), the scalars; then row length, limit, number of elements reduced, number of outer dims, inner strides (out, inputs),
and for each outer dim, innermost first: its size and the strides (out, inputs). A `limit` > 0 says that the rows are pieces
of one run of that many elements, the last one shorter.
"""

from __future__ import annotations

from numtape.kernels import library
from numtape.kernels.cpu import strips as strips
from numtape.kernels.cpu.driver import Table
from numtape.kernels.cpu.elementwise import GRAIN, load_lines, offset_lines, scalar_lines

BLOCK = 1024
PIECE = 65536  # a reduction to one number is split into pieces of this many elements, whatever the number of threads

TEXT = '''"""{name}: {signature}"""
from numtape.kernels.intrinsics import *
{imports}

def kernel(args, start, stop):
    p = slots(args)
{scalars}    whole, limit, n, outer = p[{base}], p[{base} + 1], f64(p[{base} + 2]), p[{base} + 3]
    for unit in range(start, stop):
        length = whole if limit == 0 else min(whole, limit - unit * whole)
{offsets}{pointers}{body}
'''


class Reduction:
    """One reduction of a stage: the variable it leaves, and how it is computed.

    `lines` then `value` give an element; `combine` is the text of a binary function; `part` and `total` are the dtype codes
    of the accumulator in a block and of the one over blocks (None where blocks bring nothing).
    """

    def __init__(self, variable, lines, value, combine, identity, part, total):
        self.variable, self.lines, self.value, self.combine = variable, lines, value, combine
        self.identity, self.part, self.total = identity, part, total


def stage(loads, reductions, spill=()):
    """The text of one pass over the row that leaves each reduction's variable. `spill` lines run for every element too."""
    lines = list(dict.fromkeys([*loads, *(line for r in reductions for line in r.lines), *spill]))
    blocked = any(r.total for r in reductions)
    text = []
    for r in reductions:
        if r.total:
            text.append(f"{r.variable} = {r.total}({r.identity})")
        else:
            text.append(f"{r.variable} = {r.part}({r.identity})")
    loop = []
    for r in reductions:
        target = f"part_{r.variable}" if r.total else r.variable
        lines.append(f"{target} = {r.combine(target, r.value)}")
    if not blocked:
        loop = ["for i in range(length):", *(f"    {line}" for line in lines)]
        return text + loop
    loop = ["first = 0", "while first < length:", f"    last = min(first + {BLOCK}, length)"]
    loop += [f"    part_{r.variable} = {r.part}({r.identity})" for r in reductions if r.total]
    loop += ["    for i in range(first, last):", *(f"        {line}" for line in lines)]
    loop += [f"    {r.variable} = {r.combine(r.variable, f'{r.total}(part_{r.variable})')}" for r in reductions if r.total]
    loop += ["    first = last"]
    return text + loop


def each(lines):
    """The text of a pass over the row: `lines` for each element i."""
    return ["for i in range(length):", *(f"    {line}" for line in lines)]


def once(line):
    """The text of what is done once a row."""
    return [line]


def text(name, signature, imports, out, inputs, scalars, body):
    """The kernel's text; `out` is (dtype code, stride class or None for one number a row), `body` the lines of all stages."""
    operands = [out, *inputs]
    base = len(operands) + len(scalars)
    names = ["o", *(f"a{k}" for k in range(len(inputs)))]
    pointers, _ = load_lines(operands, names, base + 4)
    return TEXT.format(
        name=name,
        signature=signature,
        imports=imports,
        scalars=scalar_lines(scalars, len(operands)),
        base=base,
        offsets=offset_lines(names, base + 4 + len(operands)),
        pointers="".join(f"        {line}\n" for line in pointers),
        body="\n".join(f"        {line}" for line in body),
    )


def table(name, text, units, length, limit, count, sizes, inner, strides, arguments, nbytes):
    """The launch over `units` rows; `sizes` and `strides` of the outer dims, `inner` strides, each for out and the inputs."""
    grain = 1 if limit else max(1, GRAIN // max(length, 1))
    return Table(library.kernel(name, text), units, grain, arguments, constants(length, limit, count, sizes, inner, strides), nbytes=nbytes)


def constants(length, limit, count, sizes, inner, strides):
    """The slots after addresses and scalars: outer `sizes` and each operand's outer strides, outermost first."""
    words = [length, limit, count, len(sizes), *inner]
    for d in range(len(sizes) - 1, -1, -1):
        words += [sizes[d], *(s[d] for s in strides)]
    return words

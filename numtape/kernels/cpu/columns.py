"""The column pattern: a reduction over a dim that is not innermost, SIMD across the columns beside it.

A unit of work is a block of up to 512 columns. Rows are added up 64 at a time into one accumulator per column, and those
into a second one (float64 for float32 sums), so rounding errors grow slowly; the order depends on the sizes alone.

Slots: the addresses (out, input), the scalars; then row count, columns, row stride, out's column stride, number of outer
dims, and for each outer dim, innermost first: its size and the strides (out, input).
"""

from __future__ import annotations

from math import prod

from numtape.kernels import library
from numtape.kernels.cpu.driver import Table
from numtape.kernels.cpu.elementwise import GRAIN, SIZES, scalar_lines

WIDTH = 512

TEXT = '''"""{name}: {signature}"""
from numtape.kernels.intrinsics import *
{imports}

def kernel(args, start, stop):
    p = slots(args)
{scalars}    rows, columns, row_step, out_step, outer = p[{base}], p[{base} + 1], p[{base} + 2], p[{base} + 3], p[{base} + 4]
    blocks = quotient(columns + {width} - 1, {width})
    part = stack_{part}({width})
    total = stack_{total}({width})
    n = f64(rows)
    for unit in range(start, stop):
        rest = quotient(unit, blocks)
        first = (unit - rest * blocks) * {width}
        count = min({width}, columns - first)
        o = first * out_step + offset_of(p, {base} + 5, 3, 1, outer, rest)
        a0 = first + offset_of(p, {base} + 5, 3, 2, outer, rest)
        for j in range(count):
            total[j] = {total_identity}
        row = 0
        while row < rows:
            last = min(row + 64, rows)
            for j in range(count):
                part[j] = {part_identity}
            while row + 4 <= last:  # four rows at a time: the accumulators are read and written once for them
                at = a0 + row * row_step
                in0, in1 = in_{memory}(p[1] + {size} * at), in_{memory}(p[1] + {size} * (at + row_step))
                in2, in3 = in_{memory}(p[1] + {size} * (at + 2 * row_step)), in_{memory}(p[1] + {size} * (at + 3 * row_step))
                for j in range(count):
{four_lines}
                    part[j] = {combine_four}
                row += 4
            while row < last:
                in0 = in_{memory}(p[1] + {size} * (a0 + row * row_step))
                for j in range(count):
{lines}
                    part[j] = {combine_part}
                row += 1
            for j in range(count):
                total[j] = {combine_total}
        out = out_{out_memory}(p[0] + {out_size} * o)
        for j in range(count):
{finish}
'''


def text(name, signature, imports, out, operand, scalars, reduction, result_lines, result):
    """The kernel's text for one reduction (see `rows.Reduction`); `result` is computed from its variable by `result_lines`."""
    memory, out_memory = ("u8" if code == "b8" else code for code in (operand, out))
    accumulator = reduction.total or reduction.part
    stored_part, stored_total = (("u8" if c == "b8" else c) for c in (reduction.part, accumulator))

    def value(text, code):
        return f"({text} != 0)" if code == "b8" else text

    def store(text, code):
        return f"u8({text})" if code == "b8" else text

    test = " != 0" if operand == "b8" else ""
    finish = [f"{reduction.variable} = {value('total[j]', accumulator)}", *result_lines, f"out[j * out_step] = {store(result, out)}"]
    part = value("part[j]", reduction.part)
    four = []
    for k in range(4):
        four += [f"x0 = in{k}[j]{test}", *reduction.lines, f"w{k} = {reduction.value}"]
    of_four = reduction.combine(reduction.combine("w0", "w1"), reduction.combine("w2", "w3"))
    return TEXT.format(
        name=name,
        signature=signature,
        imports=imports,
        scalars=scalar_lines(scalars, 2),
        base=2 + len(scalars),
        width=WIDTH,
        part=stored_part,
        total=stored_total,
        part_identity=store(f"{reduction.part}({reduction.identity})", reduction.part),
        total_identity=store(f"{accumulator}({reduction.identity})", accumulator),
        memory=memory,
        size=SIZES[memory],
        out_memory=out_memory,
        out_size=SIZES[out_memory],
        lines="\n".join(f"                    {line}" for line in [f"x0 = in0[j]{test}", *reduction.lines]),
        four_lines="\n".join(f"                    {line}" for line in four),
        combine_four=store(reduction.combine(part, of_four), reduction.part),
        combine_part=store(reduction.combine(part, reduction.value), reduction.part),
        combine_total=store(reduction.combine(value("total[j]", accumulator), f"{accumulator}({part})"), accumulator),
        finish="\n".join(f"            {line}" for line in finish),
    )


def pieces(rows, columns):
    """Into how many pieces of rows a reduction is cut: here never, since a column is walked at the speed of memory."""
    return 1


def table(name, text, rows, limit, columns, row_step, out_step, sizes, out_strides, in_strides, arguments, nbytes, count=None):
    """The launch; `sizes` and strides of the outer dims, outermost first. `limit` and `count` are for pieces, which are not made here."""
    units = prod(sizes) * -(-columns // WIDTH)
    grain = max(1, GRAIN // (rows * min(columns, WIDTH)))
    words = constants(rows, columns, row_step, out_step, sizes, out_strides, in_strides)
    return Table(library.kernel(name, text), units, grain, arguments, words, nbytes=nbytes)


def constants(rows, columns, row_step, out_step, sizes, out_strides, in_strides):
    words = [rows, columns, row_step, out_step, len(sizes)]
    for d in range(len(sizes) - 1, -1, -1):
        words += [sizes[d], out_strides[d], in_strides[d]]
    return words

"""The transpose pattern: an expression of operands that are contiguous along another dim than its output, tile by tile through small buffers.

Both sides are read and written along their own runs of memory, whole cache lines at a time: rows of such an operand are read into a tile of
64 x 64 elements, whose columns are what a row of the output needs. Without the tile each line of the operand would be fetched once for
every element that is taken from it (`x + y.T` of 1024 x 1024 took 6.2 ms, so 0.7). Other operands are read where they stand. A copy converts
dtypes on the way; between equal ones a kernel knows the elements' size only.

Slots: the addresses (out, then inputs), the scalars; size of the dim along which operands are contiguous ("rows") and of the output's
("columns"), tiles along columns, tiles of one outer position; the steps from row to row (out, inputs), from column to column (out,
inputs); number of outer dims; then for each outer dim, innermost first: its size and the strides (out, inputs).
"""

from __future__ import annotations

from math import prod

from numtape.kernels import library
from numtape.kernels.cpu.driver import Table

TILE, GRAIN = 64, 8  # the side of a tile; tiles below which a second thread does not pay
LEAST = 8  # elements of each of the two dims, below which tiles are mostly empty
CARRIERS = {1: "u8", 2: "i16", 4: "i32", 8: "i64", 16: "c128"}

TEXT = '''"""{name}: {signature}, tile by tile"""
from numtape.kernels.intrinsics import *
{imports}

def kernel(args, start, stop):
    p = slots(args)
{scalars}    rows, columns, per_row, per_tensor, outer = p[{base}], p[{base} + 1], p[{base} + 2], p[{base} + 3], p[{outer}]
{setup}    for number in range(start, stop):
        position = quotient(number, per_tensor)
        row = quotient(number - position * per_tensor, per_row)
        column = 64 * (number - position * per_tensor - row * per_row)
        row = 64 * row
        height, width = min(64, rows - row), min(64, columns - column)
{places}{tiles}        if width == 64:
            for k in range(height):
{pointers}                for j in range(64):
{lines}
        else:
            for k in range(height):
{pointers}                for j in range(width):
{lines}
'''
FILL = """        if height == 64:
            for k in range(width):
                for j in range(64):
                    tile{i}[64 * k + j] = in{i}[k * step{i} + j]
        else:
            for k in range(width):
                for j in range(height):
                    tile{i}[64 * k + j] = in{i}[k * step{i} + j]
"""


def contiguous_dim(sizes, steps):
    """The dim along which an operand is contiguous and the output is not, or None."""
    if len(sizes) < 2 or steps[0][-1] != 1 or steps[1][-1] == 1:
        return None
    found = [d for d in range(len(sizes) - 1) if steps[1][d] == 1]
    return found[-1] if found else None


def turned(sizes, steps):
    """The dim along which inputs lie that go through tiles, and for each input its class: "t" for those, "c" and "b" for others that are contiguous or
    broadcast along the last dim, "s" for the rest. (None, "") where nothing is turned or it does not pay.

    >>> turned((100, 200), [(200, 1), (1, 100)]), turned((100, 200), [(200, 1), (200, 1), (1, 100), (1, 0)])
    ((0, 't'), (0, 'ctb'))
    >>> turned((100, 200), [(200, 1), (200, 1)]), turned((3, 200), [(200, 1), (1, 3)])
    ((None, ''), (None, ''))
    """
    from numtape.kernels.cpu.elementwise import stride_class  # which needs this module

    for own in steps[1:]:
        d = contiguous_dim(sizes, (steps[0], own))
        if d is not None and min(sizes[d], sizes[-1]) >= LEAST and (own[-1] != 0 or len(steps) == 2):
            kinds = ("t" if s is own or s[d] == 1 and s[-1] not in (0, 1) else stride_class(s[-1]) for s in steps[1:])
            return d, "".join(kinds)
    return None, ""


def text(name, signature, imports, out, inputs, kinds, scalars, lines, result):
    """The kernel's text for dtype codes; `lines` compute the text `result` from x0, x1, ... and s0, s1, ...; `kinds` are the inputs' classes."""
    from numtape.kernels.cpu.elementwise import SIZES, indented, scalar_lines  # which needs this module

    memory = lambda code: "u8" if code == "b8" else code
    if len(inputs) == 1 and not lines and result == "x0" and out == inputs[0]:
        out = CARRIERS[SIZES[memory(out)]]
        inputs, signature = [out], f"{SIZES[out]} bytes an element"
    count = 1 + len(inputs)
    base = count + len(scalars)
    down, along, outer = base + 4, base + 4 + count, base + 4 + 2 * count
    setup, places, pointers, loads = [f"out_step = p[{down}]"], [], [], []
    for k, (code, kind) in enumerate(zip((out, *inputs), "o" + kinds)):
        offset = f"row * p[{down + k}] + column * p[{along + k}] + offset_of(p, {outer + 1}, {count + 1}, {k + 1}, outer, position)"
        code, test, i = memory(code), " != 0" if code == "b8" else "", k - 1
        address = f"p[{k}] + {SIZES[code]} * ({offset})"
        if kind == "o":
            places.append(f"out = out_{code}({address})")
        elif kind == "t":
            setup += [f"tile{i} = stack_{code}(4096)", f"step{i} = p[{along + k}]"]
            places.append(f"in{i} = in_{code}({address})")
            loads.append(f"x{i} = tile{i}[64 * j + k]{test}")
        else:
            setup.append(f"down{i} = {SIZES[code]} * p[{down + k}]")
            places.append(f"a{i} = {address}")
            pointers.append(f"in{i} = in_{code}(a{i} + k * down{i})")
            place = {"c": "j", "b": "0", "s": f"j * p[{along + k}]"}[kind]
            (pointers if kind == "b" else loads).append(f"x{i} = in{i}[{place}]{test}")
    stored = f"u8({result})" if out == "b8" else result
    return TEXT.format(
        name=name,
        signature=signature,
        imports=imports,
        scalars=scalar_lines(scalars, count),
        base=base,
        outer=outer,
        setup=indented(setup, 4),
        places=indented(places, 8),
        tiles="".join(FILL.format(i=i) for i, kind in enumerate(kinds) if kind == "t"),
        pointers=indented(pointers, 16),
        lines=indented([*loads, *lines, f"out[k * out_step + j] = {stored}"], 20).rstrip("\n"),
    )


def table(name, signature, imports, out, inputs, scalars, lines, result, sizes, steps, nbytes):
    """The launch of an expression with inputs that are `turned`: `out` and `inputs` are dtype codes, `steps` the strides of out and inputs over the merged `sizes`."""
    (d, kinds), last = turned(sizes, steps), len(sizes) - 1
    outer = [k for k in range(len(sizes)) if k not in (d, last)]
    per_row = -(-sizes[last] // TILE)
    per_tensor = per_row * -(-sizes[d] // TILE)
    tiles = per_tensor * prod(sizes[k] for k in outer)
    words = [sizes[d], sizes[last], per_row, per_tensor, *(s[d] for s in steps), *(s[last] for s in steps), len(outer)]
    for k in reversed(outer):
        words += [sizes[k], *(s[k] for s in steps)]
    kernel = library.kernel(name, text(name, signature, imports, out, inputs, kinds, scalars, lines, result))
    return Table(kernel, tiles, GRAIN, len(steps) + len(scalars), words, nbytes=nbytes)

"""The transpose pattern: a copy whose operand is contiguous along another dim than its output, tile by tile through a small buffer.

Both sides are read and written along their own runs of memory, whole cache lines at a time: rows of the operand are read into a tile of
64 x 64 elements, whose columns are written as rows of the output. Without the tile each line of the operand would be fetched once for
every element that is taken from it. The copy converts dtypes on the way; between equal ones a kernel knows the elements' size only.

Slots: out, operand; size of the dim along which the operand is contiguous ("rows") and of the output's ("columns"), out's step from row
to row, the operand's from column to column, tiles along columns, tiles of one outer position, number of outer dims; then for each outer
dim, innermost first: its size and the strides (out, operand).
"""

from __future__ import annotations

from math import prod

from numtape.kernels import library
from numtape.kernels.cpu.driver import Table

TILE, GRAIN = 64, 8  # the side of a tile; tiles below which a second thread does not pay
LEAST = 8  # elements of each of the two dims, below which tiles are mostly empty
CARRIERS = {1: "u8", 2: "i16", 4: "i32", 8: "i64", 16: "c128"}

TEXT = '''"""{name}: transpose, {operand} -> {out}"""
from numtape.kernels.intrinsics import *
{imports}

def kernel(args, start, stop):
    p = slots(args)
    rows, columns, out_step, in_step = p[2], p[3], p[4], p[5]
    per_row, per_tensor, outer = p[6], p[7], p[8]
    tile = stack_{operand}(4096)
    for number in range(start, stop):
        position = quotient(number, per_tensor)
        row = quotient(number - position * per_tensor, per_row)
        column = 64 * (number - position * per_tensor - row * per_row)
        row = 64 * row
        height, width = min(64, rows - row), min(64, columns - column)
        in0 = in_{operand}(p[1] + {size} * (row + column * in_step + offset_of(p, 9, 3, 2, outer, position)))
        out = out_{out}(p[0] + {out_size} * (row * out_step + column + offset_of(p, 9, 3, 1, outer, position)))
        if height == 64:
            for k in range(width):
                for j in range(64):
                    tile[64 * k + j] = in0[k * in_step + j]
        else:
            for k in range(width):
                for j in range(height):
                    tile[64 * k + j] = in0[k * in_step + j]
        if width == 64:
            for k in range(height):
                for j in range(64):
                    x0 = tile[64 * j + k]
{lines}
        else:
            for k in range(height):
                for j in range(width):
                    x0 = tile[64 * j + k]
{lines}
'''


def contiguous_dim(sizes, steps):
    """The dim along which the operand is contiguous and the output is not, or None."""
    if len(sizes) < 2 or steps[0][-1] != 1 or steps[1][-1] == 1:
        return None
    found = [d for d in range(len(sizes) - 1) if steps[1][d] == 1]
    return found[-1] if found else None


def fits(sizes, steps):
    """Whether a copy over the merged `sizes`, with the steps of (out, operand), is one for `table`.

    >>> fits((100, 200), [(200, 1), (1, 100)]), fits((100, 200), [(200, 1), (200, 1)]), fits((3, 200), [(200, 1), (1, 3)])
    (True, False, False)
    """
    d = contiguous_dim(sizes, steps)
    return d is not None and min(sizes[d], sizes[-1]) >= LEAST


def text(name, out, operand, lines=(), result="x0", imports=""):
    """The kernel's text for dtype codes; `lines` compute the text `result` from x0."""
    from numtape.kernels.cpu.elementwise import SIZES  # which needs this module

    memory = lambda code: "u8" if code == "b8" else code
    if not lines and result == "x0" and out == operand:
        out = operand = CARRIERS[SIZES[memory(out)]]
    stored = f"u8({result})" if out == "b8" else result
    body = [*(["x0 = x0 != 0"] if operand == "b8" else []), *lines, f"out[k * out_step + j] = {stored}"]
    return TEXT.format(
        name=name,
        imports=imports,
        lines="\n".join(f"                    {line}" for line in body),
        operand=memory(operand),
        size=SIZES[memory(operand)],
        out=memory(out),
        out_size=SIZES[memory(out)],
    )


def table(name, out, operand, lines, result, imports, sizes, steps, nbytes):
    """The launch of a copy that `fits`: `out` and `operand` are dtype codes, `steps` their strides over the merged `sizes`."""
    d, last = contiguous_dim(sizes, steps), len(sizes) - 1
    outer = [k for k in range(len(sizes)) if k not in (d, last)]
    per_row = -(-sizes[last] // TILE)
    per_tensor = per_row * -(-sizes[d] // TILE)
    tiles = per_tensor * prod(sizes[k] for k in outer)
    words = [sizes[d], sizes[last], steps[0][d], steps[1][last], per_row, per_tensor, len(outer)]
    for k in reversed(outer):
        words += [sizes[k], steps[0][k], steps[1][k]]
    return Table(library.kernel(name, text(name, out, operand, lines, result, imports)), tiles, GRAIN, 2, words, nbytes=nbytes)

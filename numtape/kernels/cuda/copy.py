"""The transpose pattern: a copy whose operand is contiguous along another dim than its output, tile by tile through shared memory.

Both sides are read and written along their own runs of memory: a block of (32, 8) threads loads a tile of 32 x 32 elements along the
operand's contiguous dim and stores it along the output's. The tile's rows are one element longer, so that its columns too lie in
different banks. The copy converts dtypes on the way; between equal ones a kernel knows the elements' size only.

Slots: out, operand; size of the dim along which the operand is contiguous ("rows") and of the output's ("columns"), out's step from row
to row, the operand's from column to column, number of outer dims, tiles along columns, tiles of one outer position, tiles in all; then
for each outer dim, innermost first: its size and the strides (out, operand).
"""

from __future__ import annotations

from math import prod

from numtape.kernels.cpu.copy import CARRIERS, contiguous_dim, turned
from numtape.kernels.cuda import driver, library
from numtape.kernels.cuda.elementwise import SIZES, memory
from numtape.kernels.cuda.rows import blocks, offset_lines

TILE, THREADS = 32, 256

TEXT = '''"""{name}: transpose, {operand} -> {out}"""
from numtape.kernels.cuda.intrinsics import *
{imports}

@inline
def convert(x0):
{lines}

def kernel(args):
    p = slots(args)
    rows, columns, out_step, in_step, outer = p[2], p[3], p[4], p[5], p[6]
    per_row, per_tensor, tiles = p[7], p[8], p[9]
    tile = shared_{operand}(1056)
    x, y = thread_x(), thread_y()
    number = block_x()
    while number < tiles:
        position = quotient(number, per_tensor)
        row = quotient(number - position * per_tensor, per_row)
        column = 32 * (number - position * per_tensor - row * per_row)
        row = 32 * row
{offsets}
        in0 = in_{operand}(p[1] + {size} * (a0 + row + column * in_step))
        if row + x < rows:
            for k in range(4):
                if column + y + 8 * k < columns:
                    tile[33 * (y + 8 * k) + x] = in0[x + (y + 8 * k) * in_step]
        barrier()
        out = out_{out}(p[0] + {out_size} * (o + row * out_step + column))
        if column + x < columns:
            for k in range(4):
                if row + y + 8 * k < rows:
                    out[x + (y + 8 * k) * out_step] = convert(tile[33 * x + y + 8 * k])
        barrier()
        number += blocks_x()
'''


def fits(sizes, steps):
    """Whether a copy over the merged `sizes`, with the steps of (out, operand), is one for `table`."""
    return turned(sizes, steps)[0] is not None


def text(name, out, operand, lines=(), result="x0", imports=""):
    """The kernel's text for dtype codes; `lines` compute the text `result` from x0."""
    if not lines and result == "x0" and out == operand:
        out = operand = CARRIERS[SIZES[memory(out)]]
    body = [*(["x0 = x0 != 0"] if operand == "b8" else []), *lines, f"return u8({result})" if out == "b8" else f"return {result}"]
    return TEXT.format(
        name=name,
        imports=imports,
        lines="\n".join(f"    {line}" for line in body) + "\n",
        operand=memory(operand),
        size=SIZES[memory(operand)],
        out=memory(out),
        out_size=SIZES[memory(out)],
        offsets="\n".join(f"        {line}" for line in offset_lines(("o", "a0"), 10, "position")),
    )


def table(name, out, operand, lines, result, imports, sizes, steps, nbytes):
    """The launch of a copy that `fits`: `out` and `operand` are dtype codes, `steps` their strides over the merged `sizes`."""
    d, last = contiguous_dim(sizes, steps), len(sizes) - 1
    outer = [k for k in range(len(sizes)) if k not in (d, last)]
    per_row = -(-sizes[last] // TILE)
    per_tensor = per_row * -(-sizes[d] // TILE)
    tiles = per_tensor * prod(sizes[k] for k in outer)
    words = [sizes[d], sizes[last], steps[0][d], steps[1][last], len(outer), per_row, per_tensor, tiles]
    for k in reversed(outer):
        words += [sizes[k], steps[0][k], steps[1][k]]
    kernel = library.kernel(name, text(name, out, operand, lines, result, imports), THREADS)
    return driver.Table(kernel, blocks(tiles, THREADS), (TILE, THREADS // TILE), 2, words, nbytes=nbytes)

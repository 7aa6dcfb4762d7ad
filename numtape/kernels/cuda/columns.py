"""The column pattern on CUDA: a reduction over a dim that is not innermost, as rows with a step whose neighbours are the other columns.

The kernel is that of `rows`. Where columns are too few to fill a card, `pieces` says into how many pieces dispatch should cut them,
each of which is reduced by itself first.
"""

from __future__ import annotations

from math import prod

from numtape.kernels.cuda import rows

PIECE = 1024  # rows that a piece has at least: 8 groups of four for each of 32 threads


def text(name, signature, imports, out, operand, scalars, reduction, result_lines, result):
    """The kernel's text for one reduction (see `rows.Reduction`); `result` is computed from its variable by `result_lines`."""
    load = "x0 = in0[i * step0] != 0" if operand == "b8" else "x0 = in0[i * step0]"
    store = rows.once(f"out[0] = u8({result})" if out == "b8" else f"out[0] = {result}")
    body = [*rows.stage([load], [reduction]), *result_lines, *store]
    return rows.text(name, signature, imports, (out, None), [(operand, "s")], scalars, body)


def pieces(length, columns):
    """Into how many pieces of rows to cut a reduction of `length` rows to `columns` results in all; it depends on these alone.

    >>> pieces(10**6, 3), pieces(8192, 64), pieces(8192, 8192)
    (976, 8, 1)
    """
    return max(1, min(rows.FILLED // (32 * columns), length // PIECE))


def table(name, text, length, limit, columns, row_step, out_step, sizes, out_strides, in_strides, arguments, nbytes, count=None):
    """The launch over `columns` and the outer `sizes`, outermost first; `count` elements are reduced to one (`length` unless given).

    With `limit`, the innermost outer dim counts pieces of `length` rows of one run of `limit` rows.
    """
    sizes, strides, inner = (*sizes, columns), [(*out_strides, out_step), (*in_strides, 1)], [1, row_step]
    count = length if count is None else count
    return rows.launch(name, text, prod(sizes), length, limit, count, sizes, inner, strides, arguments, nbytes, columns, columns)

"""The join pattern: rows of several tensors one after another in the rows of one, in one launch.

A unit of work is a row of the output. Tensor by tensor it would be written a few bytes at a time, and each tensor would be a launch.

Slots: out, the number of tensors n, their addresses; then the elements of a row of the output, and of each tensor.
"""

from __future__ import annotations

from numtape.kernels import library
from numtape.kernels.cpu.copy import CARRIERS
from numtape.kernels.cpu.driver import Table
from numtape.kernels.cpu.elementwise import GRAIN
from numtape.kernels.cpu.state import MAX_SLOTS

TEXT = '''"""join: {size} bytes an element"""
from numtape.kernels.intrinsics import *


def kernel(args, start, stop):
    p = slots(args)
    n, whole = p[1], p[2 + p[1]]
    for row in range(start, stop):
        target = p[0] + {size} * row * whole
        for k in range(n):
            width = p[3 + n + k]
            out, x = out_{code}(target), in_{code}(p[2 + k] + {size} * row * width)
            for i in range(width):
                out[i] = x[i]
            target += {size} * width
'''


def fits(rows, widths):
    """Whether a launch for all is better than one for each: there are many rows, or little to do at all."""
    return 3 + 2 * len(widths) <= MAX_SLOTS and (rows >= 16 or rows * sum(widths) <= GRAIN)


def table(itemsize, rows, widths):
    """The launch that joins `rows` rows of `widths` elements; arguments: out, the number of tensors, their addresses. All are contiguous."""
    kernel = library.kernel("join", TEXT.format(size=itemsize, code=CARRIERS[itemsize]))
    return Table(kernel, rows, 1 + GRAIN // max(sum(widths), 1), 2 + len(widths), [sum(widths), *widths])

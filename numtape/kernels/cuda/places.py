"""The places pattern on a card: the CPU's texts, a unit of work a thread.

`read` gives each element a thread, neighbours side by side. `write` gives each column of what belongs to a place a thread, which goes
through all places in their order, so what it leaves is the same bits every time; where columns are few, up to `OWNERS` threads share one,
each doing the places that fall to it, and all of them read every place: fast for rows, slow for single elements in great number.
"""

from __future__ import annotations

from math import prod

from numtape.kernels.cpu.places import (  # noqa: F401  (ADD to STORE: what is stored)
    ADD,
    BOTH,
    COMPACT,
    COORDINATES,
    COUNT,
    EITHER,
    MULTIPLY,
    READ_EACH,
    STORE,
    outer_slots,
    positions_slots,
    positions_text,
    read_text,
    write_each_text,
    write_text,
)
from numtape.kernels.cuda import serial

PIECE = 64  # elements of a mask that a thread looks at
OWNERS = 1024
FILLED = 65536  # threads beyond which more of them would only read the places more often


def positions(sizes, steps, dims):
    """The launch that finds places; arguments: out, the index tensors, their error cells."""
    return serial.table("positions", positions_text(len(dims)), prod(sizes), 1 + 2 * len(dims), positions_slots(sizes, steps, dims))


def read(code, count, out_place, sizes, steps):
    """The launch that reads `count` places; `steps` of (out, x). Arguments: out, x, places."""
    if not sizes and out_place in (0, 1):
        return serial.table("read_places", READ_EACH.format(code=code), count, 3, [])
    sizes, steps = (sizes, steps) if sizes else ((1,), [(1,), (1,)])
    words = [count, out_place, sizes[-1], 1, sizes[-1], len(sizes) - 1, steps[0][-1], steps[1][-1], *outer_slots(sizes, steps)]
    return serial.table("read_places", read_text(code, steps), count * prod(sizes), 3, words)


def owners(columns, count):
    """How many threads share a column: a power of two."""
    number = 1
    while number < OWNERS and 2 * number <= count and 2 * number * columns <= FILLED:
        number *= 2
    return number


def write(name, code, stored, count, x_place, sizes, steps):
    """The launch that writes x at `count` places of out; `steps` of (out, x). Arguments: out, x, places."""
    shared = owners(prod(sizes), count)
    if not sizes:
        return serial.table(f"{name}_places", write_each_text(name, code, stored), shared, 3, [count, x_place, shared])
    rows = prod(sizes[:-1])
    words = [count, x_place, sizes[-1], 1, sizes[-1], len(sizes) - 1, steps[0][-1], steps[1][-1], rows, shared, *outer_slots(sizes, steps)]
    return serial.table(f"{name}_places", write_text(name, code, stored, steps), shared * rows * sizes[-1], 3, words)


def count(size):
    """The launch that counts where a mask of `size` holds, a number for each of `pieces(size)`; arguments: out, mask."""
    return serial.table("count", COUNT, pieces(size), 2, [size, PIECE])


def pieces(size):
    return -(-size // PIECE)


def compact(size):
    """The launch that lists where a mask holds; arguments: out, mask, counts, the running sums of the counts."""
    return serial.table("compact", COMPACT, pieces(size), 4, [size, PIECE])


def compact_at_once(size):
    """None: on a card masks of all sizes are listed by many threads."""
    return None


def coordinates(count, sizes):
    """The launch that splits positions among `sizes` into out (dims, count); arguments: out, positions."""
    return serial.table("coordinates", COORDINATES, count, 2, [count, len(sizes), *sizes])

"""The places pattern: elements that index tensors or a mask name, read, written or combined with others.

Places are found first, then used, so that every index is checked before anything is touched:

- `positions` turns index tensors, one for each indexed dim and broadcast with each other, into one offset in elements a place. An index
  out of range sets the error cell of its dim and gives -1, which reading and writing pass over.
- `count` and `compact` list where a mask holds, in order: each unit counts its own piece, then writes behind the pieces before it.
  `coordinates` splits such positions into one index a dim.
- `read` copies what stands at the places, `write` stores or combines there. Of each place everything in the dims that are not indexed
  belongs to it: `sizes` are those dims, innermost last, and a unit of work is a piece of the innermost one.

A unit of `write` goes through all places in their order, so of equal places the last one wins, and what is combined is the same bits for
any number of threads. Where pieces are few, `owners` units share one: each does the places that fall to it.
"""

from __future__ import annotations

import functools
from math import prod

from numtape.kernels import library
from numtape.kernels.cpu.driver import Table
from numtape.kernels.cpu.elementwise import GRAIN, SIZES, offset_lines
from numtape.kernels.cpu.gather import owners

WIDTH, APART = 1024, 4  # columns of a unit of `write`; where they lie apart, so many that their memory stays near
PIECE = 4096  # elements of a mask that a unit looks at

POSITIONS = '''"""positions of {count} index tensors"""
from numtape.kernels.intrinsics import *


def kernel(args, start, stop):
    p = slots(args)
    out = out_i64(p[0])
{setup}    inner, outer = p[{base}], p[{base} + 1]
    while start < stop:
        unit = quotient(start, inner)
        column = start - unit * inner
        count = min(inner - column, stop - start)
{offsets}{pointers}        for i in range(count):
            place, known = i64(0), True
{body}
            out[start + i] = place if known else i64(-1)
        start += count
'''

READ_EACH = '''"""read at places: {code}"""
from numtape.kernels.intrinsics import *


def kernel(args, start, stop):
    p = slots(args)
    out, x, places = out_{code}(p[0]), in_{code}(p[1]), in_i64(p[2])
    for i in range(start, stop):
        k = places[i]
        if k >= 0:
            out[i] = x[k]
'''

READ = '''"""read at places: {code}, {steps}"""
from numtape.kernels.intrinsics import *


def kernel(args, start, stop):
    p = slots(args)
    places = in_i64(p[2])
    count, out_place, chunks, width, inner, outer, out_step, step = p[3], p[4], p[5], p[6], p[7], p[8], p[9], p[10]
    for unit in range(start, stop):
        row = quotient(unit, chunks)
        first = (unit - row * chunks) * width
        rest = quotient(row, count)
        j = row - rest * count
        k = places[j]
        if k >= 0:
            out_at = j * out_place + first * out_step + offset_of(p, 11, 3, 1, outer, rest)
            at = k + first * step + offset_of(p, 11, 3, 2, outer, rest)
            out, x = out_{code}(p[0] + {size} * out_at), in_{code}(p[1] + {size} * at)
            for i in range(min(width, inner - first)):
                out[{out_i}] = x[{x_i}]
'''

WRITE_EACH = '''"""{name} at places: {code}"""
from numtape.kernels.intrinsics import *


def kernel(args, start, stop):
    p = slots(args)
    out, x, places = out_{code}(p[0]), in_{code}(p[1]), in_i64(p[2])
    count, step, owners = p[3], p[4], p[5]
    for unit in range(start, stop):
        for j in range(count):
            k = places[j]
            if (k >= 0) & (((k * 2654435761) >> 16) & (owners - 1) == unit):
                old, new = out[k], x[j * step]
                out[k] = {stored}
'''

WRITE = '''"""{name} at places: {code}, {steps}"""
from numtape.kernels.intrinsics import *


def kernel(args, start, stop):
    p = slots(args)
    places = in_i64(p[2])
    count, x_place, chunks, width, inner, outer, out_step, step = p[3], p[4], p[5], p[6], p[7], p[8], p[9], p[10]
    rows, owners = p[11], p[12]
    for unit in range(start, stop):
        piece = quotient(unit, chunks)
        first = (unit - piece * chunks) * width
        owner = quotient(piece, rows)
        row = piece - owner * rows
        out_at = first * out_step + offset_of(p, 13, 3, 1, outer, row)
        at = first * step + offset_of(p, 13, 3, 2, outer, row)
        for j in range(count):
            k = places[j]
            if (k >= 0) & (((k * 2654435761) >> 16) & (owners - 1) == owner):
                out = out_{code}(p[0] + {size} * (k + out_at))
                x = in_{code}(p[1] + {size} * (j * x_place + at))
                for i in range(min(width, inner - first)):
                    old, new = out[{out_i}], x[{x_i}]
                    out[{out_i}] = {stored}
'''

COUNT = '''"""count: how often a mask holds in each piece"""
from numtape.kernels.intrinsics import *


def kernel(args, start, stop):
    p = slots(args)
    out, mask = out_i64(p[0]), in_u8(p[1])
    size, piece = p[2], p[3]
    for unit in range(start, stop):
        total = i64(0)
        for i in range(unit * piece, min(unit * piece + piece, size)):
            total += i64(mask[i] != 0)
        out[unit] = total
'''

COMPACT = '''"""compact: where a mask holds, in order"""
from numtape.kernels.intrinsics import *


def kernel(args, start, stop):
    p = slots(args)
    out, mask, counts, ends = out_i64(p[0]), in_u8(p[1]), in_i64(p[2]), in_i64(p[3])
    size, piece = p[4], p[5]
    for unit in range(start, stop):
        k, end = ends[unit] - counts[unit], ends[unit]
        i = unit * piece
        while k < end:  # a store more than needed each time costs less than to guess whether the mask holds
            out[k] = i
            k += i64(mask[i] != 0)
            i += 1
'''

COMPACT_AT_ONCE = '''"""compact: where a small mask holds, in order; then how often it does"""
from numtape.kernels.intrinsics import *


def kernel(args, start, stop):
    p = slots(args)
    out, mask = out_i64(p[0]), in_u8(p[1])
    k = i64(0)
    for i in range(p[2]):
        out[k] = i
        k += i64(mask[i] != 0)
    out[p[2]] = k
'''

COORDINATES = '''"""coordinates: positions as one index a dim"""
from numtape.kernels.intrinsics import *


def kernel(args, start, stop):
    p = slots(args)
    out, x = out_i64(p[0]), in_i64(p[1])
    count, dims = p[2], p[3]
    for i in range(start, stop):
        rest = x[i]
        for d in range(dims - 1, 0, -1):
            whole = quotient(rest, p[4 + d])
            out[d * count + i] = rest - whole * p[4 + d]
            rest = whole
        out[i] = rest
'''

# What is stored where `old` stands, of dtype {code}, and `new` comes.
STORE, ADD, MULTIPLY = "new", "{code}(old + new)", "{code}(old * new)"
EITHER, BOTH = "old | new", "old & new"  # of bools, in memory u8


def positions_text(count):
    """The text of `positions` for so many index tensors; and how many slots stand before the dims."""
    base = 1 + 2 * count
    each = base + 2  # of each index tensor: its inner step, the size and stride of the dim, the lowest index allowed
    setup, pointers, body = [], [], []
    for j in range(count):
        setup.append(f"bad{j} = out_i64(p[{1 + count + j}])")
        setup.append(f"step{j}, size{j}, stride{j}, lowest{j} = p[{each + 4 * j}], p[{each + 4 * j + 1}], p[{each + 4 * j + 2}], p[{each + 4 * j + 3}]")
        pointers.append(f"in{j} = in_i64(p[{1 + j}] + 8 * (a{j} + column * step{j}))")
        body += [
            f"k = in{j}[i * step{j}]",
            f"if (k < lowest{j}) | (k >= size{j}):",
            f"    bad{j}[0] = 1",
            f"    bad{j}[1] = k",
            "    known = False",
            f"place += (k + size{j} if k < 0 else k) * stride{j}",
        ]
    return POSITIONS.format(
        count=count,
        base=base,
        setup="".join(f"    {line}\n" for line in setup),
        offsets=offset_lines([f"a{j}" for j in range(count)], each + 4 * count),
        pointers="".join(f"        {line}\n" for line in pointers),
        body="\n".join(f"            {line}" for line in body),
    )


def positions_slots(sizes, steps, dims):
    """The slots after the addresses: `steps` of each index tensor over `sizes`, outermost first; `dims` of (size, stride, lowest)."""
    sizes, steps = (sizes, steps) if sizes else ((1,), [(0,)] * len(dims))
    words = [sizes[-1], len(sizes) - 1]
    for step, dim in zip(steps, dims):
        words += [step[-1], *dim]
    return words + outer_slots(sizes, steps)


def outer_slots(sizes, steps):
    """All dims but the innermost, innermost first: size, and each operand's stride."""
    words = []
    for d in range(len(sizes) - 2, -1, -1):
        words += [sizes[d], *(s[d] for s in steps)]
    return words


def positions(sizes, steps, dims):
    """The launch that finds places; arguments: out, the index tensors, their error cells."""
    kernel = library.kernel("positions", positions_text(len(dims)))
    return Table(kernel, prod(sizes), GRAIN, 1 + 2 * len(dims), positions_slots(sizes, steps, dims))


def inner_steps(steps):
    """The texts that index the innermost dim of out and x, by whether they are contiguous there."""
    out_i, x_i = ("i" if s[-1] == 1 else f"i * {name}" for s, name in zip(steps, ("out_step", "step")))
    kinds = ", ".join("contiguous" if s[-1] == 1 else "stepped" for s in steps)
    return {"out_i": out_i, "x_i": x_i, "steps": kinds}


def read_text(code, steps):
    return READ.format(code=code, size=SIZES[code], **inner_steps(steps))


def read(code, count, out_place, sizes, steps):
    """The launch that reads `count` places; `steps` of (out, x). Arguments: out, x, places."""
    if not sizes and out_place in (0, 1):
        return Table(library.kernel("read_places", READ_EACH.format(code=code)), count, GRAIN, 3, [])
    sizes, steps = (sizes, steps) if sizes else ((1,), [(1,), (1,)])
    words = [count, out_place, 1, sizes[-1], sizes[-1], len(sizes) - 1, steps[0][-1], steps[1][-1], *outer_slots(sizes, steps)]
    kernel = library.kernel("read_places", read_text(code, steps))
    return Table(kernel, count * prod(sizes[:-1]), 1 + GRAIN // sizes[-1], 3, words)


def write_text(name, code, stored, steps):
    memory = "u8" if code == "b8" else code
    return WRITE.format(name=name, code=memory, size=SIZES[memory], stored=stored.format(code=code), **inner_steps(steps))


def write_each_text(name, code, stored):
    return WRITE_EACH.format(name=name, code="u8" if code == "b8" else code, stored=stored.format(code=code))


def write(name, code, stored, count, x_place, sizes, steps):
    """The launch that writes x at `count` places of out; `steps` of (out, x). Arguments: out, x, places."""
    if not sizes:
        return Table(library.kernel(f"{name}_places", write_each_text(name, code, stored)), 1, 1, 3, [count, x_place, 1])
    width = WIDTH if steps[0][-1] == 1 else APART
    chunks, rows = -(-sizes[-1] // width), prod(sizes[:-1])
    parts = owners(rows * chunks, min(sizes[-1], width))
    words = [count, x_place, chunks, width, sizes[-1], len(sizes) - 1, steps[0][-1], steps[1][-1], rows, parts, *outer_slots(sizes, steps)]
    kernel = library.kernel(f"{name}_places", write_text(name, code, stored, steps))
    return Table(kernel, rows * chunks * parts, 1 + parts * GRAIN // (count * min(sizes[-1], width)), 3, words)


@functools.lru_cache(1024)
def count(size):
    """The launch that counts where a mask of `size` holds, a number for each of `pieces(size)`; arguments: out, mask."""
    return Table(library.kernel("count", COUNT), pieces(size), 16, 2, [size, PIECE])


def pieces(size):
    return -(-size // PIECE)


@functools.lru_cache(1024)
def compact(size):
    """The launch that lists where a mask holds; arguments: out, mask, counts, the running sums of the counts."""
    return Table(library.kernel("compact", COMPACT), pieces(size), 4, 4, [size, PIECE])


@functools.lru_cache(1024)
def compact_at_once(size):
    """The launch that lists where a mask of one piece holds, and behind that piece how often; None for a larger mask. Arguments: out, mask."""
    return Table(library.kernel("compact_at_once", COMPACT_AT_ONCE), 1, 0, 2, [size]) if size <= PIECE else None


@functools.lru_cache(1024)
def coordinates(count, sizes):
    """The launch that splits positions among `sizes` into out (dims, count); arguments: out, positions."""
    return Table(library.kernel("coordinates", COORDINATES), count, GRAIN // 4, 2, [count, len(sizes), *sizes])

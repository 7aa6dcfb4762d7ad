"""The gather pattern on CUDA: rows picked or added by an index along one dim of (outer, n, inner).

`select` copies four neighbours a thread, with vector loads where rows are aligned for them.

`add` goes without atomics. A block owns some columns of the targets `owner`, `owner` + `owners`, ...; a thread owns one column of some
of those. The block reads the index in tiles of four entries a thread, lists the ones whose targets it owns, and each thread walks the list, adding
where it owns the target. So equal targets are added up in the order of the index, and sums are the same bits in every run. Every block
reads the whole index, and additions to one target are one after another. Counted from instructions: 8192 rows of 768 added into 50,000
take some 20 us, near the speed of memory; 10**6 numbers into 10**6 take 1 to 2 ms and 10**4 equal targets some 5 ms, where atomics would
take a hundredth.

Slots of both: out, x, index, error cell; n, index count, inner size in elements; then of `select` groups of four in a row and units, of
`add` the logarithm of owners, chunks of columns and units. An index out of range sets the error cell and touches nothing.
"""

from __future__ import annotations

from numtape.kernels.cuda import driver, library
from numtape.kernels.cuda.elementwise import SIZES
from numtape.kernels.cuda.rows import blocks

THREADS = 256
BLOCKS = 1024  # of `add`, if there are so many targets: more would read the index more often than it takes to add

SELECT = '''"""index_select: {code}"""
from numtape.kernels.cuda.intrinsics import *


def kernel(args):
    p = slots(args)
    index, bad = in_i64(p[2]), out_i64(p[3])
    n, count, inner, groups, units = p[4], p[5], p[6], p[7], p[8]
    unit = block_x() * threads_x() + thread_x()
    while unit < units:
        row = quotient(unit, groups)
        first = 4 * (unit - row * groups)
        block = quotient(row, count)
        k = index[row - block * count]
        target, source = p[0] + {size} * (row * inner + first), p[1] + {size} * ((block * n + k) * inner + first)
        if (k < 0) | (k >= n):
            bad[0] = 1
            bad[1] = k
        elif first + 4 <= inner:
            x0, x1, x2, x3 = load4_{code}(source)
            store4_{code}(target, x0, x1, x2, x3)
        else:
            out, x = out_{code}(target), in_{code}(source)
            for i in range(inner - first):
                out[i] = x[i]
        unit += blocks_x() * threads_x()
'''

ADD = '''"""index_add: {code}"""
from numtape.kernels.cuda.intrinsics import *


def kernel(args):
    p = slots(args)
    index, bad = in_i64(p[2]), out_i64(p[3])
    n, count, inner, shift, chunks, units = p[4], p[5], p[6], p[7], p[8], p[9]
    owners = i64(1) << shift
    x, y, width = thread_x(), thread_y(), threads_x()
    me, threads = y * width + x, width * threads_y()
    totals, entries, targets, mine = shared_i64(8), shared_i64(1024), shared_i64(1024), stack_i64(4)
    unit = block_x()
    while unit < units:
        rest = quotient(unit, chunks)
        column = (unit - rest * chunks) * width + x
        block, owner = rest >> shift, rest & (owners - 1)
        out = out_{code}(p[0] + {size} * (block * n * inner + column))
        rows = in_{code}(p[1] + {size} * (block * count * inner + column))
        start = i64(0)
        while start < count:
            # what this thread finds in four entries of the index, and how much the threads before it find
            at = start + 4 * me
            for j in range(4):
                mine[j] = index[min(at + j, count - 1)]
            found = i64(0)
            for j in range(4):
                k = mine[j]
                if (at + j < count) & (k & (owners - 1) == owner):
                    if (k < 0) | (k >= n):
                        bad[0] = 1
                        bad[1] = k
                        mine[j] = -1
                    else:
                        found += 1
                else:
                    mine[j] = -1
            place, total, mask = i64(0), found, i64(1)
            while mask < 32:
                other = shuffle_xor_i64(total, mask)
                place += other if me & mask > 0 else 0
                total += other
                mask = rolled(2 * mask)
            if me & 31 == 0:
                totals[me >> 5] = total
            barrier()
            total, warp = i64(0), i64(0)
            while warp < threads >> 5:
                place += totals[warp] if warp < me >> 5 else 0
                total += totals[warp]
                warp = rolled(warp + 1)
            for j in range(4):
                if mine[j] >= 0:
                    entries[place], targets[place] = at + j, mine[j]
                    place += 1
            barrier()
            e = i64(0)
            while e < total:
                k, j = targets[e], entries[e]
                if ((k >> shift) & (threads_y() - 1) == y) & (column < inner):
                    out[k * inner] = {code}(out[k * inner] + rows[j * inner])
                e = rolled(e + 1)
            start += 4 * threads
        unit += blocks_x()
'''


def select(code, outer, n, count, inner):
    """The launch of index_select: `count` rows of `n`, of `inner` elements; arguments: out, x, index, error cell."""
    kernel = library.kernel("index_select", SELECT.format(code=code, size=SIZES[code]), THREADS)
    groups = -(-inner // 4)
    units = outer * count * groups
    return driver.Table(kernel, blocks(-(-units // THREADS), THREADS), THREADS, 4, [n, count, inner, groups, units])


def add(code, outer, n, count, inner):
    """The launch of index_add: `count` rows added into `n`; arguments: out, x, index, error cell."""
    kernel = library.kernel("index_add", ADD.format(code=code, size=SIZES[code]), THREADS)
    width, threads = 1, 32
    while width < THREADS and width < inner:
        width *= 2
    while threads < THREADS and (threads < width or 4 * threads < count):
        threads *= 2
    chunks, shift = -(-inner // width), 0
    while 1 << shift < min(n, count) and outer * chunks << shift < BLOCKS:
        shift += 1
    units = outer * chunks << shift
    return driver.Table(kernel, blocks(units, threads), (width, threads // width), 4, [n, count, inner, shift, chunks, units])

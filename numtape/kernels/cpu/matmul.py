"""Matrix multiplication: C[b, m, n] = A[b, m, k] @ B[b, k, n], any strides on A and B, unit column stride on C.

The loops around the micro-kernel of `microkernel.py`, after Goto and van de Geijn ("Anatomy of High-Performance Matrix
Multiplication", 2008), with their two inner loops exchanged:

    for jc in range(0, n, NC):          # a block of B, KC x NC, stays in the L2 or L3 cache
      for pc in range(0, k, KC):
        for ir in range(0, m, MR):      # a panel of A, MR x KC, stays in the L1 cache
          for jr in range(0, NC, NR):   # micro-kernel: an MR x NR tile of C in registers, KC steps

C is written along its rows, and the panel of A is small enough for half an L1 cache. The usual order, a panel of B in L1 and a block
of A in L2, was 1-4 % slower on Zen 3 and 8-20 % on an AVX-512 core with its wider panels of B.

Operands are packed into panels where that pays, else read in place. Three shapes have a path of their own: one row times a matrix,
dot products, and few rows. Which path is taken and how k is cut depend on the sizes of the whole product, so every element of C is the
same sum in the same order however the work units are split.

`matmul_plan.py` describes the slots, the work units and the scratch. With ``NUMBA_DISABLE_JIT=1`` the kernels are plain loops.
"""

import ctypes

import numba
import numpy as np

from .matmul_plan import A_BYTES, BATCH, ROW_BLOCK, TILE_BYTES

JIT = not numba.config.DISABLE_JIT
if JIT:
    from .microkernel import AXPYS, DOTS
    from .microkernel_calls import (
        at,
        axpys,
        compact,
        copy,
        dots,
        itemsize,
        lanes,
        least,
        load,
        micro_kernel,
        plus,
        quotient,
        store,
        tile_cols,
        tile_rows,
        transpose,
        words,
    )

# Called from other kernels only: without wrappers they compile in half the time. inline="always" compiled twice as long.
helper = numba.njit(nogil=True, error_model="numpy", boundscheck=False, no_cpython_wrapper=True, no_cfunc_wrapper=True)

# Measured on Zen 3 (32 KB L1, 512 KB L2); the optimum is flat. The scratch of `matmul_plan.py` holds MR x KC of A and KC x NC of B.
KC, NC_BYTES = 256, 4096  # NC is NC_BYTES / item size
PACK_B_ROWS, PACK_A_COLS = 24, 64  # what is read by fewer rows or columns than this is read in place ...
PACK_STRIDE = 512  # ... and so are rows closer than this many bytes
THIN = 16  # with up to this many rows B is read in place, a few rows at a time along their length: 1.5 times as fast
THIN_KC = 32
DOT_KC, AXPY_NC = 4096, 2048  # elements of x, or of y, that stay in the L1 cache while rows of the matrix stream by
# NOTE: a plain 0 or 1 handed to a jitted function compiles that function once more, for this literal: a third of the compile time.
I0, I1 = np.int64(0), np.int64(1)
REST = BATCH - ROW_BLOCK  # `words` takes a literal, and a difference is none


@helper
def pack_strided(zero, count, width, dst, d_row, src, s_row, s_col):
    """dst[k*d_row + w] = src[k*s_row + w*s_col] for k < count, w < width: one element at a time."""
    compact()
    for k in range(count):
        to, of = at(zero, dst, k, d_row, 0, 0), at(zero, src, k, s_row, 0, 0)
        for w in range(width):
            store(zero, to, w, load(zero, of, w * s_col))


@helper
def pack(zero, count, width, dst, d_row, src, s_row, s_col):
    """dst[k*d_row + w] = src[k*s_row + w*s_col] for k < count, w < width: one panel."""
    compact()
    if s_col == 1:
        copy(zero, count, width, dst, d_row, src, s_row)
        return
    done = 0
    if s_row == 1:
        W = lanes(zero)
        done = quotient(count, W) * W
        # NOTE: last slab first. A W-wide store may spill into the first columns of the next row, which slab 0 then rewrites. Ascending
        # order corrupts a panel whenever W < d_row and W does not divide it: float64 on AVX2 (4, 6) does it, float32 (8, 6) never can.
        w = quotient(width - 1, W) * W
        while w >= 0:
            transpose(zero, done, least(width - w, W), at(zero, dst, w, 1, 0, 0), d_row, at(zero, src, w, s_col, 0, 0), s_col)
            w -= W
    pack_strided(zero, count - done, width, at(zero, dst, done, d_row, 0, 0), d_row, at(zero, src, done, s_row, 0, 0), s_row, s_col)


@helper
def matrix_times_vector(zero, m, k, A, a_row, x, x_step, y, y_step, accumulate, scratch):
    """y[m] = A[m, k] @ x[k], rows of A contiguous: dot products, DOTS rows at a time."""
    compact()
    x_copy = scratch + TILE_BYTES
    for pc in range(0, k, DOT_KC):
        kc = least(DOT_KC, k - pc)
        xp = at(zero, x, pc, x_step, 0, 0)
        if x_step != 1:
            pack_strided(zero, kc, I1, x_copy, I1, xp, x_step, I0)
            xp = x_copy
        i = 0
        while i < m:
            rows = DOTS if m - i >= DOTS else 1
            dots(zero, rows, kc, xp, at(zero, A, i, a_row, pc, 1), a_row, scratch)
            for r in range(rows):
                cell, value = at(zero, y, i + r, y_step, 0, 0), load(zero, scratch, r)
                if accumulate + pc > 0:
                    value = plus(zero, load(zero, cell, 0), value)
                store(zero, cell, 0, value)
            i += rows


@helper
def vector_times_matrix(zero, n, k, x, x_step, B, b_row, b_col, y, y_step, accumulate, scratch):
    """y[n] = x[k] @ B[k, n]: AXPYS rows of B side by side, each a stream that the hardware prefetches."""
    compact()
    y_copy = scratch + TILE_BYTES
    b_copy = y_copy + A_BYTES
    for j in range(0, n, AXPY_NC):
        cols, cells = least(AXPY_NC, n - j), at(zero, y, j, y_step, 0, 0)
        out = cells if y_step == 1 else y_copy
        if accumulate == 0:
            store(zero, scratch, 0, zero)
            pack_strided(zero, I1, cols, out, I0, scratch, I0, I0)
        elif out != cells:
            pack_strided(zero, I1, cols, out, I0, cells, I0, y_step)
        p = 0
        while p < k:
            rows = AXPYS if k - p >= AXPYS else 1
            bp, ldb = at(zero, B, p, b_row, j, b_col), b_row
            if b_col != 1:
                pack(zero, rows, cols, b_copy, cols, bp, b_row, b_col)
                bp, ldb = b_copy, cols
            axpys(zero, rows, cols, at(zero, x, p, x_step, 0, 0), x_step, bp, ldb, out)
            p += rows
        if out != cells:
            pack_strided(zero, cols, I1, cells, y_step, out, I1, I0)


@helper
def matrix_times_matrix(zero, rows, cols, m, n, k, A, a_row, a_col, B, b_row, b_col, C, c_row, accumulate, scratch):
    """C[rows, cols] = A[rows, k] @ B[k, cols], a block of a product of m rows and n columns."""
    compact()
    size, MR, NR = itemsize(zero), tile_rows(zero), tile_cols(zero)
    a_panel = scratch + TILE_BYTES
    b_block = a_panel + A_BYTES
    thin = m <= THIN and b_col == 1
    k_most, n_most = KC, quotient(NC_BYTES, size)
    if thin:
        k_most, n_most = THIN_KC, cols
    parts = quotient(k + k_most - 1, k_most) * 8
    k_step = quotient(k + parts - 1, parts) * 8  # k split evenly, in eights: 784 is 4 x 200 and not 3 x 256 + 16
    pack_b = b_col != 1 or (m > PACK_B_ROWS and b_row * size >= PACK_STRIDE)
    pack_a = n > PACK_A_COLS and (a_col != 1 or a_row * size >= PACK_STRIDE)
    # Split evenly, every height has its micro-kernel: 8 rows are 4 + 4 and not 6 + 2, which would wait for its few sums.
    panels = quotient(rows + MR - 1, MR)
    base = quotient(rows, panels)
    longer = rows - base * panels
    for jc in range(0, cols, n_most):
        nc = least(n_most, cols - jc)
        whole = quotient(nc, NR)
        for pc in range(0, k, k_step):
            kc = least(k_step, k - pc)
            bp = at(zero, B, pc, b_row, jc, b_col)
            packed = 0
            if pack_b and b_col == 1:
                # Row by row over all panels: B is read in order. Panel by panel, every read would open another page.
                for q in range(kc):
                    copy(zero, whole, NR, at(zero, b_block, q, NR, 0, 0), kc * NR, at(zero, bp, q, b_row, 0, 0), NR)
                packed = whole
            first = packed if pack_b else whole  # a panel over the edge is copied: read in place, it would run past the end of B
            edge = at(zero, b_block, whole, kc * NR, 0, 0) if pack_b else b_block
            for q in range(first, quotient(nc + NR - 1, NR)):
                panel = edge if q == whole else at(zero, b_block, q, kc * NR, 0, 0)
                pack(zero, kc, least(NR, nc - q * NR), panel, NR, at(zero, bp, q * NR, b_col, 0, 0), b_row, b_col)
            i = 0
            for p in range(panels):
                mr = base + 1 if p < longer else base
                ap, ap_row, ap_col = at(zero, A, i, a_row, pc, a_col), a_row, a_col
                if pack_a:
                    pack(zero, kc, mr, a_panel, mr, ap, a_col, a_row)
                    ap, ap_row, ap_col = a_panel, 1, mr
                for q in range(quotient(nc + NR - 1, NR)):
                    cells = at(zero, C, i, c_row, jc + q * NR, 1)
                    panel, ldb, out, ldc = edge, NR, scratch, NR
                    if q < whole:
                        out, ldc = cells, c_row
                        panel, ldb = at(zero, b_block, q, kc * NR, 0, 0), NR
                        if not pack_b:
                            panel, ldb = at(zero, bp, q, NR, 0, 0), b_row
                    elif accumulate + pc > 0:
                        copy(zero, mr, nc - q * NR, out, ldc, cells, c_row)
                    micro_kernel(zero, mr, kc, ap, ap_row, ap_col, panel, ldb, out, ldc, accumulate + pc)
                    if q == whole:  # a tile over the edge was made in scratch
                        copy(zero, mr, nc - q * NR, cells, c_row, out, ldc)
                i += mr


def _kernel(name, zero):
    """The kernel of one element type: units [start, stop) of the product that the slots at `args` describe."""

    def kernel(args, start, stop):
        compact()
        c, a, b, m, n, k, a_row, a_col, b_row, b_col, c_row = words(args, ROW_BLOCK)
        row_block, row_blocks, col_block, col_blocks, accumulate, ndim = words(args + 8 * ROW_BLOCK, REST)
        scratch = load(I0, args, -1)
        unit = start
        while unit < stop:
            # Join units: the rest of this column of blocks, or whole columns of them.
            column = quotient(unit, row_blocks)
            index = quotient(column, col_blocks)
            i, j = unit - column * row_blocks, column - index * col_blocks
            columns = least(quotient(stop - unit, row_blocks), col_blocks - j)
            blocks = least(stop - unit, row_blocks - i)
            if i > 0 or columns == 0:
                columns = 1
            unit += blocks * columns
            i, j = i * row_block, j * col_block
            rows, cols = least(blocks * row_block, m - i), least(columns * col_block, n - j)
            A, B, C = at(zero, a, i, a_row, 0, 0), at(zero, b, j, b_col, 0, 0), at(zero, c, i, c_row, j, 1)
            for d in range(ndim - 1, -1, -1):
                length, c_step = load(I0, args, BATCH + d), load(I0, args, BATCH + ndim + d)
                a_step, b_step = load(I0, args, BATCH + 2 * ndim + d), load(I0, args, BATCH + 3 * ndim + d)
                above = quotient(index, length)
                at_d = index - above * length
                A, B, C = at(zero, A, at_d, a_step, 0, 0), at(zero, B, at_d, b_step, 0, 0), at(zero, C, at_d, c_step, 0, 0)
                index = above

            if k == 0:
                if accumulate == 0:
                    store(zero, scratch, 0, zero)
                    pack_strided(zero, rows, cols, C, c_row, scratch, I0, I0)
            elif n == 1 and a_col == 1:
                matrix_times_vector(zero, rows, k, A, a_row, B, b_row, C, c_row, accumulate, scratch)
            elif m == 1 and b_row == 1 and b_col != 1:
                matrix_times_vector(zero, cols, k, B, b_col, A, a_col, C, I1, accumulate, scratch)
            elif n == 1:
                vector_times_matrix(zero, rows, k, B, b_row, A, a_col, a_row, C, c_row, accumulate, scratch)
            elif m == 1:
                vector_times_matrix(zero, cols, k, A, a_col, B, b_row, b_col, C, I1, accumulate, scratch)
            else:
                matrix_times_matrix(zero, rows, cols, m, n, k, A, a_row, a_col, B, b_row, b_col, C, c_row, accumulate, scratch)

    kernel.__name__ = kernel.__qualname__ = name
    return kernel


def _plain_kernel(name, zero):
    """The same kernel as three loops over memory, for plain Python: slow and obvious."""

    def kernel(args, start, stop):
        word = lambda i: ctypes.c_int64.from_address(args + 8 * i).value
        element = np.ctypeslib.as_ctypes_type(zero.dtype)
        cell = lambda address, offset: element.from_address(address + zero.itemsize * offset)
        c, a, b, m, n, k, a_row, a_col, b_row, b_col, c_row = map(word, range(ROW_BLOCK))
        row_block, row_blocks, col_block, col_blocks, accumulate, ndim = map(word, range(ROW_BLOCK, BATCH))
        sizes, *steps = ([word(BATCH + part * ndim + d) for d in range(ndim)] for part in range(4))
        for unit in range(start, stop):
            column, i = divmod(unit, row_blocks)
            batch, j = divmod(column, col_blocks)
            index = np.unravel_index(batch, sizes) if ndim else ()
            C0, A0, B0 = (sum(int(x) * y for x, y in zip(index, step)) for step in steps)
            for row in range(i * row_block, min(m, (i + 1) * row_block)):
                for col in range(j * col_block, min(n, (j + 1) * col_block)):
                    out = cell(c, C0 + row * c_row + col)
                    total = out.value if accumulate else 0
                    for p in range(k):
                        total += cell(a, A0 + row * a_row + p * a_col).value * cell(b, B0 + p * b_row + col * b_col).value
                    out.value = total

    kernel.__name__ = kernel.__qualname__ = name
    return kernel


if not JIT:
    _kernel = _plain_kernel

kernel_f32 = _kernel("kernel_f32", np.float32(0))
kernel_f64 = _kernel("kernel_f64", np.float64(0))
kernel_i64 = _kernel("kernel_i64", np.int64(0))
kernel_i32 = _kernel("kernel_i32", np.int32(0))
kernel_i16 = _kernel("kernel_i16", np.int16(0))
kernel_i8 = _kernel("kernel_i8", np.int8(0))
kernel_u8 = _kernel("kernel_u8", np.int8(0))  # the low bits of a sum of products do not know a sign

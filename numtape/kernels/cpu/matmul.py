"""Matrix multiplication: C[b, m, n] = A[b, m, k] @ B[b, k, n], any strides on A and B, unit column stride on C.

The loops of Goto and van de Geijn ("Anatomy of High-Performance Matrix Multiplication", 2008) around the micro-kernel of
`microkernel.py`:

    for jc in range(0, n, NC)            # a block of B, KC x NC, stays in the L2 or L3 cache
      for pc in range(0, k, KC)
        for ic in range(0, m, MC)        # a block of A, MC x KC, stays in the L2 cache
          for jr in range(0, NC, NR)     # a panel of B, KC x NR, stays in the L1 cache
            for ir in range(0, MC, MR)   # micro-kernel: an MR x NR tile of C in registers, KC steps

Operands are packed into panels where that pays, else read in place. Three shapes have a path of their own: one row times a matrix,
dot products, and few rows. Which path is taken and how k is cut depend on the sizes of the whole product, so every element of C is the
same sum in the same order however the work units are split.

`matmul_plan.py` describes the slots, the work units and the scratch.
"""

import ctypes

import numba
import numpy as np

from . import matmul_plan as slots

# No wrappers: the helpers are called from other kernels only, and compile in half the time without.
helper = numba.njit(nogil=True, error_model="numpy", boundscheck=False, no_cpython_wrapper=True, no_cfunc_wrapper=True)

if not numba.config.DISABLE_JIT:
    from .microkernel import DOTS, copy, dots, itemsize, lanes, load, micro_kernel, plus, store, tile_cols, tile_rows, transpose, wide_kernel

KC = 256
MC_BYTES, NC_BYTES = 768, 4096  # MC and NC times the item size
THIN = 16  # with up to this many rows B is read once or twice: packing it costs as much as multiplying
THIN_KC = 32
DOT_KC = 4096  # elements of x that stay in the L1 cache while the rows stream by
I0, I1 = numba.int64(0), numba.int64(1)  # NOTE: a literal handed to a jitted function compiles it once more, for that literal


@helper
def pack_strided(zero, count, width, dst, d_row, src, s_row, s_col):
    """dst[k*d_row + w] = src[k*s_row + w*s_col] for k < count, w < width: one element at a time."""
    for k in range(count):
        for w in range(width):
            store(zero, dst, k * d_row + w, load(zero, src, k * s_row + w * s_col))


@helper
def pack(zero, count, width, dst, d_row, src, s_row, s_col):
    """dst[k*d_row + w] = src[k*s_row + w*s_col] for k < count, w < width: one panel."""
    if s_col == 1:
        copy(zero, count, width, dst, d_row, src, s_row)
        return
    done = 0
    if s_row == 1:
        W, size = lanes(zero), itemsize(zero)
        done = count // W * W
        # NOTE: last slab first. A W-wide store may spill into the first columns of the next row, which slab 0 then rewrites. Ascending
        # order corrupts a panel whenever W < d_row and W does not divide it: float64 on AVX2 (4, 6) does it, float32 (8, 6) never can.
        w = (width - 1) // W * W
        while w >= 0:
            transpose(zero, done, min(width - w, W), dst + w * size, d_row, src + w * s_col * size, s_col)
            w -= W
    size = itemsize(zero)
    pack_strided(zero, count - done, width, dst + done * d_row * size, d_row, src + done * s_row * size, s_row, s_col)

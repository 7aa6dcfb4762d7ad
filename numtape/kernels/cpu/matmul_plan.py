"""How a matrix product is described to its kernel and cut into work units. Does not import Numba.

`kernels/cpu/matmul.py` holds the kernels. Everything a caller needs besides their machine code is here, so that a process that
loads cached kernels never imports the compiler.

The kernel reads int64 slots; strides count elements. After `BATCH_NDIM` come the batch sizes, then the batch strides of C, of A and
of B, each `ndim` slots. A unit is one (batch index, column block, row block), the row block running fastest.
"""

from math import prod

from numtape.kernels import library
from numtape.kernels.cpu.driver import Table

KERNEL = '''"""matmul: {code}; the kernel is numtape/kernels/cpu/matmul.py"""
from numtape.kernels.cpu.matmul import kernel_{code} as kernel
'''

C, A, B = 0, 1, 2  # addresses
M, N, K = 3, 4, 5
A_ROW, A_COL, B_ROW, B_COL, C_ROW = 6, 7, 8, 9, 10  # strides; C has unit column stride
ROW_BLOCK, ROW_BLOCKS, COL_BLOCK, COL_BLOCKS = 11, 12, 13, 14
ACCUMULATE = 15  # 0: C = A @ B, 1: C += A @ B
BATCH_NDIM = 16
BATCH = 17
MAX_BATCH_NDIM = 6
SAME_BITS = {"u16": "i16", "u32": "i32", "u64": "i64"}  # products wrap alike, signed or not
ITEMSIZE = {"u8": 1, "i8": 1, "i16": 2, "i32": 4, "i64": 8, "f32": 4, "f64": 8}

# Scratch of one thread, 64-byte aligned; its address stands in the word before the first slot. Three parts, in bytes:
TILE_BYTES = 8 << 10  # one micro-tile of C that hangs over the edge
A_BYTES = 64 << 10  # packed panel of A
B_BYTES = 1152 << 10  # packed block of B, and one panel more
SCRATCH_BYTES = TILE_BYTES + A_BYTES + B_BYTES

UNIT_FLOPS = 1 << 22  # about 40 us at 100 GFLOP/s; starting a second thread costs 1-2 us
MAX_UNITS = 32  # 4 for each of 8 threads
# Blocks are multiples of these, and split only where four fit: on most geometries (micro-tiles 6, 8 or 14 high, 4 to 64 wide) the inner
# edges of blocks then fall between micro-tiles. Nothing but speed depends on it.
ROW_STEP, COL_STEP = 24, 64
MOVE_FLOPS = 8  # moving one byte takes as long as about this many flops


def table(code, m, n, k, strides, sizes, c_steps, a_steps, b_steps, nbytes):
    """The launch of (m, k) by (k, n); `strides` are those of A, of B (row, column) and of C's rows, in elements; `sizes` the
    merged batch dims with the strides of C, A and B in them."""
    if len(sizes) > MAX_BATCH_NDIM:
        raise RuntimeError(f"matmul: at most {MAX_BATCH_NDIM} batch dims that cannot be merged, got {len(sizes)}")
    batch = prod(sizes)
    code = SAME_BITS.get(code, code)
    rows, row_blocks, columns, column_blocks = plan_blocks(batch, m, n, k, ITEMSIZE[code])
    words = [m, n, k, *strides, rows, row_blocks, columns, column_blocks, 0, len(sizes), *sizes, *c_steps, *a_steps, *b_steps]
    units = batch * row_blocks * column_blocks
    work = 2 * m * n * k // (row_blocks * column_blocks)
    grain = 1 + UNIT_FLOPS // max(work, 1) if units > 1 else 0
    return Table(library.kernel("matmul", KERNEL.format(code=code)), units, grain, 3, words, nbytes=nbytes, scratch=True)


def plan_blocks(batch: int, m: int, n: int, k: int, itemsize: int) -> tuple[int, int, int, int]:
    """(row_block, n_row_blocks, col_block, n_col_blocks) for `batch` products of (m, k) by (k, n).

    Depends on sizes alone, never on the number of threads. The kernel joins neighbouring units, so many units cost one
    thread nothing; a small product is one unit.

    >>> plan_blocks(1, 64, 10, 256, 4)
    (64, 1, 10, 1)
    """
    work = max(2 * m * n * k, MOVE_FLOPS * (m * k + k * n + m * n) * itemsize)  # few rows or columns: mostly memory moved
    want = -(-min(MAX_UNITS, batch * work // UNIT_FLOPS) // max(batch, 1))
    rows = cols = 1
    while rows * cols < want:
        can_rows, can_cols = m >= 4 * rows * ROW_STEP, n >= 4 * cols * COL_STEP
        if can_rows and (m * cols >= n * rows or not can_cols):
            rows *= 2
        elif can_cols:
            cols *= 2
        else:
            break
    row_block, col_block = _block(m, rows, ROW_STEP), _block(n, cols, COL_STEP)
    return row_block, -(-m // row_block), col_block, -(-n // col_block)


def _block(size: int, parts: int, step: int) -> int:
    return size if parts == 1 else -(-size // (parts * step)) * step

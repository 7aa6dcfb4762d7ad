"""How a matrix product is cut into tiles for a card: which tile, how many blocks, and the slots of the kernel in `matmul.py`.

Four tiles (three for 8-byte dtypes), each one kernel text per dtype. The tile is the one that an estimate says is done first
(`cycles`): large tiles take fewer instructions per product, small ones leave no multiprocessor idle, and deep ones split a long k.
"""

from __future__ import annotations

from math import prod

from numtape.kernels.cuda import library
from numtape.kernels.cuda.driver import Table, multiprocessors
from numtape.kernels.cuda.matmul import ITEM, Epilogue, Tile, text

# A thread's registers decide how many blocks a multiprocessor holds; `bound` is as high as goes without spilling.
LARGE = Tile(size=128, depth=16, high=8, wide=8, teams=1, run=16, bound=512)
MEDIUM = Tile(size=64, depth=32, high=4, wide=4, teams=1, run=16, bound=768)
SMALL = Tile(size=32, depth=16, high=4, wide=4, teams=1, run=16, bound=512)  # for batches of small matrices
DEEP = Tile(size=32, depth=64, high=8, wide=4, teams=8, run=8, bound=768)  # for few tiles
LARGE_F64 = Tile(size=64, depth=8, high=8, wide=4, teams=1, run=8, bound=512)
LARGE_I64 = Tile(size=64, depth=16, high=4, wide=4, teams=1, run=4, bound=512)
SMALL_64 = Tile(size=32, depth=16, high=4, wide=4, teams=1, run=8, bound=512)
DEEP_F64 = Tile(size=32, depth=32, high=8, wide=4, teams=8, run=4, bound=512)
DEEP_I64 = Tile(size=32, depth=32, high=4, wide=4, teams=4, run=8, bound=512)
TILES = {"f64": (SMALL_64, DEEP_F64, LARGE_F64), "i64": (SMALL_64, DEEP_I64, LARGE_I64)}  # the first of equals is taken
OTHERS = (SMALL, DEEP, MEDIUM, LARGE)  # whose sums have four bytes
ISSUED = {"f32": 1, "f64": 2, "i64": 6}  # cycles in which a warp's multiply-add is issued; 2 for other integers

# Estimates from the machine code and from published latencies of sm_90, not measured:
ROUND = 130  # instructions of a round besides those that multiply and those that read shared memory
WAIT = 800  # cycles from the request of a round's tiles to their arrival
SECOND = 6000  # cycles of a second launch, which adds up the pieces of a cut k, besides the memory it moves
BYTES = 16  # that a multiprocessor gets from memory in a cycle
SHORTEST = 512  # k's of a piece
MAX_BLOCKS = 2**31 - 1


def tiles_of(code: str) -> tuple[Tile, ...]:
    """The tiles for a dtype code."""
    return TILES.get(code, OTHERS)


def cycles(code: str, tile: Tile, m: int, n: int, k: int, batch: int, processors: int) -> int:
    """Estimated clock cycles of `batch` products of (m, k) by (k, n) on that many multiprocessors.

    The busiest multiprocessor issues four instructions a cycle, or moves operands, or waits for them in each round of what it holds at once.
    """
    busiest = -(-batch * -(-m // tile.size) * -(-n // tile.size) // processors)
    rounds = max(-(-k // tile.depth), 1)
    multiply, read = tile.high * tile.wide * ISSUED.get(code, 2), (tile.high + tile.wide) * ITEM[code] // 16
    issued = busiest * rounds * ((multiply + read) * tile.depth // tile.teams + ROUND) * tile.threads // 128
    moved = busiest * rounds * (min(m, tile.size) + min(n, tile.size)) * tile.depth * ITEM[code] // BYTES
    waited = -(-busiest // (tile.bound // tile.threads)) * (rounds + 1) * WAIT
    return max(issued, moved, waited)


def choose(code: str, m: int, n: int, k: int, batch: int, processors: int) -> Tile:
    """The tile for `batch` products of (m, k) by (k, n).

    >>> [choose("f32", *shape, 132).size for shape in ((4096, 4096, 4096, 1), (1024, 1024, 1024, 1), (512, 512, 512, 1), (16, 16, 16, 4096))]
    [128, 64, 32, 32]
    """
    return min(tiles_of(code), key=lambda tile: cycles(code, tile, m, n, k, batch, processors))


def piece(code: str, m: int, n: int, k: int, batch: int, processors: int) -> int:
    """Into pieces of how many k's a product is best cut, 0 if it is not: each is a product of its own, and a second launch adds them up.

    >>> piece("f32", 128, 10, 60000, 1, 132), piece("f32", 1024, 1024, 1024, 1, 132)
    (1920, 0)
    """
    best, least = 0, min(cycles(code, tile, m, n, k, batch, processors) for tile in tiles_of(code))
    pieces = 2
    while k >= pieces * SHORTEST:
        length = -(-k // (64 * pieces)) * 64  # a multiple of every depth
        count = -(-k // length)
        added = SECOND + 2 * count * batch * m * n * ITEM[code] // (BYTES * processors)
        needed = added + min(cycles(code, tile, m, n, length, batch * count, processors) for tile in tiles_of(code))
        if 4 * needed < 3 * least:  # the estimate knows no better
            best, least = length, needed
        pieces *= 2
    return best


def constants(tile, m, n, k, strides, sizes, c_steps, a_steps, b_steps, *, piece=0, epilogue=None):
    """The slots after the addresses, and the number of units of work; as for `table`."""
    a_row, a_col, b_row, b_col, c_row = strides
    # A step along a dim of size 1 is never taken. Zero keeps it from passing for a contiguous dim.
    a_row, b_col = a_row * (m > 1), b_col * (n > 1)
    a_col, b_row = a_col * (k > 1), b_row * (k > 1)
    y_strides, y_steps = ((), ()) if epilogue is None else (epilogue.strides, epilogue.steps)
    y_steps = y_steps or [[0] * len(sizes)] * len(y_strides)
    steps = [list(s) for s in (c_steps, a_steps, b_steps, *y_steps)]
    sizes = list(sizes)
    if piece:
        results = prod(sizes) * m * n
        sizes.insert(0, -(-k // piece))
        for step, first in zip(steps, (results, piece * a_col, piece * b_row)):
            step.insert(0, first)
    row_blocks, column_blocks = -(-m // tile.size), -(-n // tile.size)
    units = prod(sizes) * row_blocks * column_blocks
    words = [m, n, k, row_blocks, column_blocks, units, a_row, a_col, b_row, b_col, c_row, piece, len(sizes)]
    for strides in y_strides:
        words += strides
    for d in range(len(sizes) - 1, -1, -1):
        words += [sizes[d], *(step[d] for step in steps)]
    return words, units


def table(code, m, n, k, strides, sizes, c_steps, a_steps, b_steps, nbytes, *, piece=0, epilogue: Epilogue | None = None) -> Table:
    """The launch of C[..., m, n] = A[..., m, k] @ B[..., k, n]; its arguments are the addresses of C, A, B and the epilogue's operands.

    code: the dtype of all three. strides: of A's rows and columns, B's rows and columns, C's rows, in elements. sizes: the batch dims,
    merged; c_steps, a_steps, b_steps: their strides. nbytes: the size of C, of which no element may be missing (m, n and sizes are
    positive; k may be 0). epilogue: what becomes of each element, with the strides and steps of its operands.

    With a `piece` (see the function of this name) k is cut into pieces of that length and C holds one result for each, the pieces being
    its first dim, contiguous; the results are to be added up in order. This takes no epilogue.
    """
    if piece and epilogue is not None:
        raise ValueError("matmul: pieces of a product take no epilogue; apply it to their sum")
    if epilogue is not None and len(epilogue.strides) != len(epilogue.codes):
        raise ValueError(f"matmul: the epilogue has {len(epilogue.codes)} operands and strides for {len(epilogue.strides)}")
    tile = choose(code, m, n, piece or k, prod(sizes) * (-(-k // piece) if piece else 1), multiprocessors())
    words, units = constants(tile, m, n, k, strides, sizes, c_steps, a_steps, b_steps, piece=piece, epilogue=epilogue)
    kernel = library.kernel("matmul", text(code, tile, epilogue), tile.bound)
    arguments = 3 + (0 if epilogue is None else len(epilogue.codes))
    return Table(kernel, min(units, MAX_BLOCKS), tile.threads, arguments, words, nbytes=nbytes)

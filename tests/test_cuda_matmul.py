"""The matrix product of the CUDA backend, run by the emulator: every tile, any strides, edges, batches, epilogues and pieces.

The emulator raises for accesses out of range, races and missing barriers, so a result that is right was also come by honestly.
"""

import itertools

import numpy as np
import pytest

from numtape.kernels.cuda import api, driver, emulator, matmul_plan
from numtape.kernels.cuda.matmul import Epilogue, Tile, text

DTYPES = {"f32": np.float32, "f64": np.float64, "i64": np.int64, "i32": np.int32, "i16": np.int16, "i8": np.int8, "u8": np.uint8}
CODES = {np.dtype(v): k for k, v in DTYPES.items()}
SMALL, DEEP, MEDIUM, LARGE = matmul_plan.OTHERS
TILES = [(code, tile) for code in ("f32", "f64", "i64") for tile in matmul_plan.tiles_of(code)]


def random(rng, shape, dtype):
    """An array whose memory starts at a multiple of 64 bytes, so that it shows when four elements are moved at once."""
    dtype = np.dtype(dtype)
    nbytes = int(np.prod(shape)) * dtype.itemsize
    memory = np.zeros(nbytes + 128, np.uint8)
    out = memory[-memory.ctypes.data % 64 :][:nbytes].view(dtype).reshape(shape)
    if dtype.kind == "f":
        out[...] = rng.standard_normal(shape)
    else:
        out[...] = rng.integers(np.iinfo(dtype).min, np.iinfo(dtype).max, shape, dtype, endpoint=True)
    return out


def laid_out(x, layout):
    """The values of x: contiguous, transposed, every second element of a larger array, one row or column repeated, or not aligned."""
    if layout == "transposed":
        return x.swapaxes(-1, -2).copy().swapaxes(-1, -2)
    if layout == "stepped":
        big = np.zeros((*x.shape[:-2], 2 * x.shape[-2], 2 * x.shape[-1]), x.dtype)
        big[..., ::2, ::2] = x
        return big[..., ::2, ::2]
    if layout == "one row":
        return np.broadcast_to(x[..., :1, :], x.shape)
    if layout == "one column":
        return np.broadcast_to(x[..., :, :1], x.shape)
    if layout == "unaligned":
        big = np.zeros((*x.shape[:-1], x.shape[-1] + 1), x.dtype)
        big[..., 1:] = x
        return big[..., 1:]
    return x


def steps(x):
    return [s // x.itemsize for s in x.strides]


def memory_of(*arrays):
    """What the kernel may touch: the span of each array and no byte more."""
    memory, spans = emulator.Memory(), []
    for low, high in sorted(np.lib.array_utils.byte_bounds(x) for x in arrays if x.size):
        if spans and low < spans[-1][1]:
            spans[-1][1] = max(high, spans[-1][1])
        else:
            spans.append([low, high])
    for low, high in spans:
        memory.add(low, high - low)
    return memory


def multiply(A, B, tile=SMALL, *, blocks=None, epilogue=None, operands=(), piece=0, change=lambda text: text):
    """A @ B by the kernel, over equal batch shapes; `blocks`: fewer blocks than units of work; `change`: what is done to the text."""
    (*batch, m, k), n, code = A.shape, B.shape[-1], CODES[A.dtype]
    pieces = [-(-k // piece)] if piece else []
    C = np.full((*pieces, *batch, m, n), 77, A.dtype)
    a, b, c = steps(A), steps(B), steps(C[0] if piece else C)
    if epilogue is not None:
        ys = [np.broadcast_to(y, (*batch, m, n)) for y in operands]
        epilogue = epilogue._replace(strides=tuple(steps(y)[-2:] for y in ys), steps=tuple(steps(y)[:-2] for y in ys))
    strides = (*a[-2:], *b[-2:], n)
    words, units = matmul_plan.constants(tile, m, n, k, strides, batch, c[:-2], a[:-2], b[:-2], piece=piece, epilogue=epilogue)
    addresses = [x.ctypes.data for x in (C, A, B, *operands)]
    function = emulator.function("matmul", change(text(code, tile, epilogue)))
    emulator.run(function, blocks or units, tile.threads, [*addresses, *words], memory_of(C, A, B, *operands))
    return C


def check(C, A, B):
    """C against A @ B in float64: within the bound of a sum of products in any order; integers, which wrap around, exactly."""
    if A.dtype.kind != "f":
        np.testing.assert_array_equal(C, A @ B)
        return
    A, B = A.astype(np.float64), B.astype(np.float64)
    bound = (A.shape[-1] + 2) * np.finfo(C.dtype).eps * (np.abs(A) @ np.abs(B))  # NumPy's own error in float64 is as large at most
    error = np.abs(C - A @ B)
    assert (error <= bound).all(), f"{C.dtype} {A.shape} @ {B.shape}: error {error.max()} where {bound.flat[error.argmax()]} is allowed"


@pytest.mark.parametrize("m, n, k", [(1, 1, 1), (33, 35, 37), (64, 32, 16), (5, 70, 3), (40, 4, 48), (1, 36, 20), (36, 1, 18), (31, 33, 1)])
def test_shapes(rng, m, n, k):
    A, B = random(rng, (m, k), np.float32), random(rng, (k, n), np.float32)
    check(multiply(A, B), A, B)


@pytest.mark.parametrize("code, tile", TILES, ids=lambda x: x if isinstance(x, str) else f"{x.size}x{x.depth}")
def test_every_tile(rng, code, tile):
    """More than a tile each way and more than a round of k, edges everywhere; the big ones are slow, and take fewer elements."""
    over = 3 if tile.size < 64 else 0
    m, n, k = tile.size + over, tile.size - 4 + over, tile.depth + 2
    if tile.size == 128:
        m, n, k = 100, 72, 18
    A, B = random(rng, (m, k), DTYPES[code]), random(rng, (k, n), DTYPES[code])
    check(multiply(A, B, tile), A, B)


def test_the_large_tile_where_all_is_aligned(rng):
    A, B = random(rng, (128, 32), np.float32), random(rng, (32, 128), np.float32)
    check(multiply(A, B, LARGE), A, B)


LAYOUTS = ("contiguous", "transposed", "stepped", "one row", "one column", "unaligned")


@pytest.mark.parametrize("a", LAYOUTS)
@pytest.mark.parametrize("b", LAYOUTS)
def test_layouts(rng, a, b):
    A, B = laid_out(random(rng, (20, 20), np.float32), a), laid_out(random(rng, (20, 12), np.float32), b)
    check(multiply(A, B), A, B)


@pytest.mark.parametrize("a, b", [("transposed", "transposed"), ("unaligned", "stepped"), ("one column", "one row")])
@pytest.mark.parametrize("code", ["f64", "i8", "i64"])
def test_layouts_of_other_dtypes(rng, code, a, b):
    A, B = laid_out(random(rng, (20, 20), DTYPES[code]), a), laid_out(random(rng, (20, 12), DTYPES[code]), b)
    check(multiply(A, B, matmul_plan.tiles_of(code)[0]), A, B)


@pytest.mark.parametrize("layout, fours", [("contiguous", True), ("transposed", True), ("unaligned", False), ("stepped", False)])
def test_contiguous_operands_are_moved_four_at_once(rng, layout, fours):
    """Without the way for single elements such products still work, and others do not."""

    def change(text):
        assert text.count("in_f32(address)[0]") == 1
        return text.replace("in_f32(address)[0]", "in_f32(0)[0]")

    A, B = laid_out(random(rng, (40, 20), np.float32), layout), laid_out(random(rng, (20, 36), np.float32), layout)
    if fours:
        check(multiply(A, B, change=change), A, B)
    else:
        with pytest.raises(emulator.OutOfRange):
            multiply(A, B, change=change)


@pytest.mark.parametrize("code", ["i32", "i16", "i8", "u8"])
def test_integers_wrap_around(rng, code):
    A, B = random(rng, (18, 21), DTYPES[code]), random(rng, (21, 36), DTYPES[code])
    check(multiply(A, B), A, B)


@pytest.mark.parametrize("tile", [SMALL, DEEP])
def test_no_k_gives_zeros(tile):
    C = multiply(np.zeros((3, 0), np.float32), np.zeros((0, 5), np.float32), tile)
    assert C.shape == (3, 5) and (C == 0).all()


def test_infinities_and_nan_stay_in_their_rows_and_columns(rng):
    A, B = random(rng, (33, 17), np.float32), random(rng, (17, 34), np.float32)
    A[32, 3], B[16, 33] = np.inf, np.nan
    C = multiply(A, B)
    assert np.isnan(C[:, 33]).all() and np.isinf(C[32, :33]).all()
    check(C[:32, :33], A[:32], B[:, :33])


def test_batches(rng):
    """Two batch dims that no stride joins, one of them broadcast in B; and one dim, in fewer blocks than units."""
    A = random(rng, (2, 3, 9, 10), np.float32).swapaxes(0, 1)
    B = np.broadcast_to(random(rng, (3, 1, 10, 5), np.float32), (3, 2, 10, 5))
    check(multiply(A, B), A, B)
    A, B = random(rng, (5, 6, 7), np.float32), random(rng, (5, 7, 34), np.float32)
    check(multiply(A, B, blocks=3), A, B)


def test_pieces_of_a_long_k(rng):
    """Each piece is a product of its own; the last one is shorter."""
    A, B = random(rng, (2, 5, 150), np.float32), random(rng, (2, 150, 9), np.float32)
    C = multiply(A, B, piece=64)
    assert C.shape == (3, 2, 5, 9)
    for i, part in enumerate((slice(0, 64), slice(64, 128), slice(128, 150))):
        check(C[i], A[..., part], B[:, part])


def test_the_grid_and_the_order_of_threads_do_not_matter(rng, monkeypatch):
    tile = Tile(size=32, depth=16, high=8, wide=4, teams=2, run=4, bound=256)
    A, B = random(rng, (33, 20), np.float32), random(rng, (20, 8), np.float32)
    C = multiply(A, B, tile)
    check(C, A, B)
    np.testing.assert_array_equal(multiply(A, B, tile, blocks=1), C)
    for order in ("backward", 5):
        monkeypatch.setattr(emulator, "order", order)
        np.testing.assert_array_equal(multiply(A, B, tile), C)


# ------------------------------------------------------------------------------------------------ epilogues
def test_bias_and_activation(rng):
    A, B, bias = random(rng, (35, 6), np.float32), random(rng, (6, 38), np.float32), random(rng, (38,), np.float32)
    epilogue = Epilogue("from numtape.kernels.vecmath import tanh_f32\n", ("v0 = f32(x + y0)",), "tanh_f32(v0)", ("f32",))
    plain = multiply(A, B)
    np.testing.assert_allclose(multiply(A, B, epilogue=epilogue, operands=[bias]), np.tanh(plain + bias), rtol=1e-6)
    column = random(rng, (35, 1), np.float32)
    np.testing.assert_allclose(multiply(A, B, epilogue=epilogue, operands=[column]), np.tanh(plain + column), rtol=1e-6)


def test_mask_and_residual_of_a_batch(rng):
    """Operands of other dtypes, with batch dims of their own; one of them is read where C has no fourth column."""
    A, B = random(rng, (2, 5, 2), np.float64), random(rng, (2, 2, 7), np.float64)
    mask, residual = rng.random((5, 7)) < 0.5, random(rng, (2, 1, 7), np.float32)
    epilogue = Epilogue("", (), "(x if y0 else f64(0)) + f64(y1)", ("b8", "f32"))
    tile = matmul_plan.tiles_of("f64")[0]
    expected = np.where(mask, multiply(A, B, tile), 0) + residual.astype(np.float64)
    np.testing.assert_array_equal(multiply(A, B, tile, epilogue=epilogue, operands=[mask, residual]), expected)


def test_epilogue_where_k_is_zero():
    C = multiply(np.zeros((2, 0), np.float32), np.zeros((0, 3), np.float32), epilogue=Epilogue("", (), "f32(x + f32(1))"))
    assert (C == 1).all()


# ------------------------------------------------------------------------------------------------ planted faults
@pytest.mark.parametrize("number", range(4))
def test_a_missing_barrier_is_found(rng, number):
    """In order: before the tiles are read, before sums overwrite them, before the sums are read, before the next unit of work."""
    parts = text("f32", SMALL).split("barrier()")
    assert len(parts) == 5
    A, B = random(rng, (40, 40), np.float32), random(rng, (40, 8), np.float32)

    def change(text):
        parts = text.split("barrier()")
        return "barrier()".join(parts[: number + 1]) + "i64(0)" + "barrier()".join(parts[number + 1 :])

    with pytest.raises(emulator.EmulatorError):
        multiply(A, B, blocks=1, change=change)


def test_a_missing_edge_is_found(rng):
    """The kernel reads nothing beyond the operands only because it is told where they end."""
    A, B = random(rng, (30, 30), np.float32), random(rng, (30, 30), np.float32)
    with pytest.raises(emulator.OutOfRange):
        multiply(A, B, change=lambda text: text.replace("i32(i) < inside", "i32(i) < i32(99)"))


# ------------------------------------------------------------------------------------------------ plans
@pytest.mark.parametrize("code", DTYPES)
def test_tiles_are_well_formed(code):
    for tile in matmul_plan.tiles_of(code):
        assert tile.threads % 32 == 0 and tile.team % 32 == 0 and tile.threads <= tile.bound <= 1024
        assert tile.size * tile.depth % (4 * tile.threads) == 0 and tile.depth % (tile.teams * tile.run) == 0
        for size in (tile.size, tile.depth):  # threads that move single elements, or four, fill whole rows
            assert tile.threads % size == 0


@pytest.mark.parametrize(
    "m, n, k, batch, tile",
    [
        (4096, 4096, 4096, 1, LARGE),
        (4096, 4096, 64, 1, LARGE),
        (256, 256, 256, 64, LARGE),
        (1024, 1024, 1024, 1, MEDIUM),
        (64, 64, 64, 256, MEDIUM),
        (512, 512, 512, 1, DEEP),
        (1, 4096, 4096, 1, DEEP),
        (128, 10, 512, 1, DEEP),
        (16, 16, 16, 4096, SMALL),
        (8, 8, 8, 100000, SMALL),
    ],
)
def test_choice_of_the_tile(m, n, k, batch, tile):
    assert matmul_plan.choose("f32", m, n, k, batch, 132) == tile


def test_dims_of_size_one_are_not_contiguous_ones():
    """Whatever stride they come with, threads are to lie along the other dim."""
    words, _ = matmul_plan.constants(SMALL, 1, 1, 8, (1, 1, 1, 1, 1), (), (), (), ())
    assert words[6:10] == [0, 1, 1, 0]
    words, _ = matmul_plan.constants(SMALL, 8, 8, 1, (1, 1, 1, 1, 8), (), (), (), ())
    assert words[6:10] == [1, 0, 0, 1]


def test_choice_of_pieces():
    assert matmul_plan.piece("f32", 4096, 4096, 4096, 1, 132) == 0
    length = matmul_plan.piece("f32", 10, 128, 60000, 1, 132)
    assert length >= 512 and length % 64 == 0


def run(table, C, *arrays):
    """Launch on the current card, with arrays of the host."""
    stored = [driver.allocate(x.nbytes) for x in (C, *arrays)]
    for storage, x in zip(stored, (C, *arrays)):
        driver.copy_from_host(storage.address, x.ctypes.data, x.nbytes)
    driver.launch(table.address, *(s.address for s in stored))
    driver.copy_to_host(C.ctypes.data, stored[0].address, C.nbytes)
    return C


@pytest.mark.gpu
def test_table(rng):
    A, B, bias = random(rng, (2, 9, 40), np.float32), random(rng, (40, 6), np.float32), random(rng, (6,), np.float32)
    layout = ("f32", 9, 6, 40, (40, 1, 6, 1, 6), (2,), (54,), (360,), (0,), 4 * 108)
    check(run(matmul_plan.table(*layout), np.zeros((2, 9, 6), np.float32), A, B), A, np.broadcast_to(B, (2, 40, 6)))
    epilogue = Epilogue("", (), "f32(x + y0)", ("f32",), ((0, 1),), ((0,),))
    found = run(matmul_plan.table(*layout, epilogue=epilogue), np.zeros((2, 9, 6), np.float32), A, B, bias)
    np.testing.assert_allclose(found, A @ B + bias, rtol=1e-5, atol=1e-5)
    parts = run(matmul_plan.table(*layout[:-1], 2 * 4 * 108, piece=32), np.zeros((2, 2, 9, 6), np.float32), A, B)
    np.testing.assert_allclose(parts.sum(0), A @ B, rtol=1e-5, atol=1e-5)
    with pytest.raises(ValueError, match="pieces of a product take no epilogue"):
        matmul_plan.table(*layout, piece=32, epilogue=epilogue)
    with pytest.raises(ValueError, match="the epilogue has 1 operands and strides for 0"):
        matmul_plan.table(*layout, epilogue=epilogue._replace(strides=()))


@pytest.mark.gpu
@pytest.mark.parametrize("code", DTYPES)
def test_products_of_all_sizes_on_a_card(rng, code):
    """Sizes that take each tile, operands turned either way; small ones on the emulated card."""
    sizes = [(3, 5, 4), (1, 9, 3)]
    if not api.emulated():
        sizes += [(1, 4097, 513), (129, 10, 400), (515, 260, 130), (2050, 1030, 67)]
        sizes += [(129, 10, 40000), (1024, 1000, 1024), (2048, 2560, 2052)] if code[0] == "f" else []
    for (m, n, k), a, b in itertools.product(sizes, (False, True), (False, True)):
        A = random(rng, (k, m) if a else (m, k), DTYPES[code])
        B = random(rng, (n, k) if b else (k, n), DTYPES[code])
        strides = (*((1, m) if a else (k, 1)), *((1, k) if b else (n, 1)), n)
        table = matmul_plan.table(code, m, n, k, strides, (), (), (), (), m * n * A.itemsize)
        C = run(table, np.zeros((m, n), A.dtype), A, B)
        check(C, A.T if a else A, B.T if b else B)

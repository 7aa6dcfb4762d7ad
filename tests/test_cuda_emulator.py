"""The emulator of CUDA kernels: right kernels give NumPy's results, and each planted fault is found and told with its place."""

import doctest
import io
import pdb
import re
import struct
import traceback

import numpy as np
import pytest

from numtape.kernels import floatmath, intmath, vecmath
from numtape.kernels.cuda import emulated_memory, emulator
from numtape.kernels.cuda.plain_twins import CASTS, SCALARS, plain

WORDS = "from numtape.kernels.cuda.intrinsics import *\n"


def launch(body, grid, block, *arguments, shared=()):
    """Run a kernel, given as its text or as the lines of its body, on arrays (slots are their addresses) and numbers.

    `shared`: which of the arguments are arrays that threads may race for.
    """
    if "def kernel" not in body:
        body = "def kernel(args):\n    p = slots(args)\n" + body
    memory, slots = emulator.Memory(), []
    for k, value in enumerate(arguments):
        if isinstance(value, np.ndarray):
            array, value = value, value.ctypes.data
            if value not in slots:
                memory.add(value, array.nbytes, shared=k in shared)
        slots.append(struct.unpack("<q", struct.pack("<d", value))[0] if isinstance(value, float) else value)
    emulator.run(emulator.function("sample", WORDS + body), grid, block, slots, memory)


@pytest.fixture(params=["forward", "backward", 1])
def any_order(request, monkeypatch):
    """The test holds for several orders of threads and blocks."""
    monkeypatch.setattr(emulator, "order", request.param)


# ------------------------------------------------------------------------------------------------ kernels that are right
AXPY = """
    y, x, n = out_f32(p[0]), in_f32(p[1]), p[2]
    a = slot_f32(p, 3)
    i = block_x() * threads_x() + thread_x()
    while i < n:
        y[i] = f32(f32(a * x[i]) + y[i])
        i += blocks_x() * threads_x()
"""


@pytest.mark.parametrize("n", [0, 1, 31, 97, 1000])
@pytest.mark.parametrize("grid, block", [(1, 1), (3, 32), (2, 100)])
def test_elementwise(n, grid, block, rng, any_order):
    x, y = rng.standard_normal((2, n)).astype(np.float32)
    expected = np.float32(0.7) * x + y
    launch(AXPY, grid, block, y, x, n, 0.7)
    np.testing.assert_array_equal(y, expected)


FOUR = """
    i = 4 * (block_x() * threads_x() + thread_x())
    n = p[2]
    if i + 4 <= n:
        a, b, c, d = load4_{code}(p[1] + {size} * i)
        store4_{code}(p[0] + {size} * i, a + a, b + b, c + c, d + d)
    else:
        for k in range(i, n):
            out_{code}(p[0])[k] = in_{code}(p[1])[k] + in_{code}(p[1])[k]
"""


@pytest.mark.parametrize("code", ["u8", "i8", "i16", "i32", "i64", "f32", "f64"])
def test_four_at_once(code):
    x = np.arange(103).astype(SCALARS[code])
    y = np.zeros_like(x)
    launch(FOUR.format(code=code, size=x.itemsize), 1, 32, y, x, x.size)
    np.testing.assert_array_equal(y, x + x)
    launch(FOUR.format(code=code, size=x.itemsize), 1, 32, x, x, x.size)  # in place
    np.testing.assert_array_equal(x, y)


ROW_SUMS = """
@inline
def over_lanes(x):
    for k in range(5):
        x = f32(x + shuffle_xor_f32(x, 16 >> k))
    return x

@inline
def over_block(x):
    parts = shared_f32(32)
    x = over_lanes(x)
    if thread_x() % 32 == 0:
        parts[thread_x() // 32] = x
    barrier()
    total = f32(0)
    for k in range(threads_x() // 32):
        total = f32(total + parts[k])
    return total

def kernel(args):
    p = slots(args)
    x, n = in_f32(p[1]), p[2]
    total = f32(0)
    for i in range(thread_x(), n, threads_x()):
        total = f32(total + x[block_x() * n + i])
    total = over_block(total)
    if thread_x() == 0:
        out_f32(p[0])[block_x()] = total
"""


@pytest.mark.parametrize("block", [32, 128])
def test_block_reduction(block, rng, any_order):
    x = rng.standard_normal((5, 333)).astype(np.float32)
    sums = np.zeros(5, np.float32)
    launch(ROW_SUMS, 5, block, sums, x, 333)
    np.testing.assert_allclose(sums, x.sum(1, dtype=np.float64), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("code", ["i32", "i64", "f32", "f64"])
def test_shuffles_exchange_bits_of_the_lane(code):
    """Lanes count along x, then y; each mask swaps other lanes; the values keep their type."""
    out = np.zeros((5, 64), SCALARS[code])
    body = f"""
    lane = thread_x() + threads_x() * thread_y()
    for k in range(5):
        out_{code}(p[0])[64 * k + lane] = shuffle_xor_{code}(lane, 1 << k)
"""
    launch(body, 1, (8, 8), out)
    np.testing.assert_array_equal(out, [[lane ^ (1 << k) for lane in range(64)] for k in range(5)])


MATMUL = """
def kernel(args):
    p = slots(args)
    c, a, b = out_f32(p[0]), in_f32(p[1]), in_f32(p[2])
    m, n, k = p[3], p[4], p[5]
    tile_a, tile_b = shared_f32(64), shared_f32(8 * 8)
    x, y = thread_x(), thread_y()
    row, column = 8 * block_y() + y, 8 * block_x() + x
    total = stack_f32(1)
    total[0] = f32(0)
    for first in range(0, k, 8):
        tile_a[8 * y + x] = a[row * k + first + x] if row < m and first + x < k else f32(0)
        tile_b[8 * y + x] = b[(first + y) * n + column] if first + y < k and column < n else f32(0)
        barrier()
        for j in range(8):
            total[0] = f32(total[0] + tile_a[8 * y + j] * tile_b[8 * j + x])
        barrier()
    if row < m and column < n:
        c[row * n + column] = total[0]
"""


@pytest.mark.parametrize("m, n, k", [(8, 8, 8), (13, 9, 17)])
def test_tiled_matmul(m, n, k, rng, any_order):
    a, b = rng.standard_normal((m, k)).astype(np.float32), rng.standard_normal((k, n)).astype(np.float32)
    c = np.zeros((m, n), np.float32)
    launch(MATMUL, (-(-n // 8), -(-m // 8)), (8, 8), c, a, b, m, n, k)
    np.testing.assert_allclose(c, a @ b, rtol=1e-4, atol=1e-5)


def test_numbers_of_threads_and_blocks():
    grid, block = (2, 3, 2), (4, 2, 3)
    out = np.zeros((2, 3, 2, 3, 2, 4, 6), np.int64)
    body = """
    b = block_x() + blocks_x() * (block_y() + blocks_y() * block_z())
    t = thread_x() + threads_x() * (thread_y() + threads_y() * thread_z())
    o = out_i64(p[0] + 48 * (b * threads_x() * threads_y() * threads_z() + t))
    o[0] = thread_x()
    o[1] = thread_y()
    o[2] = thread_z()
    o[3] = block_x()
    o[4] = block_y()
    o[5] = block_z() + 10 * blocks_z()
"""
    launch(body, grid, block, out)
    bz, by, bx, tz, ty, tx = np.indices(out.shape[:-1])
    np.testing.assert_array_equal(out, np.stack([tx, ty, tz, bx, by, bz + 20], -1))


def test_offsets_as_on_the_cpu():
    """offset_of over three outer dims of a transposed operand."""
    sizes, strides = (3, 4, 5), (7, 1, 90)
    words = [w for size, stride in zip(sizes[::-1], strides[::-1]) for w in (size, stride)]
    out = np.zeros(60, np.int64)
    body = """
    out = out_i64(p[0])
    for row in range(60):
        out[row] = offset_of(p, 1, 2, 1, 3, row) + sum_of(product_of(0, 5), 0) + offset_of(p, 1, 2, 1, 0, row)
"""
    launch(body, 1, 1, out, *words)
    np.testing.assert_array_equal(out.reshape(sizes), np.tensordot(strides, np.indices(sizes), 1))


def test_library_functions_in_kernels(rng):
    x = rng.standard_normal(50)
    y = np.zeros_like(x)
    text = """
from numtape.kernels.vecmath import tanh_f64 as squash, maximum_f64
from numtape.kernels.floatmath import sign_f64
from numtape.kernels.intmath import floor_divide_int

def kernel(args):
    p = slots(args)
    i = thread_x()
    x = in_f64(p[1])[i]
    out_f64(p[0])[i] = maximum_f64(squash(x), f64(0.25)) * sign_f64(x) + f64(floor_divide_int(i64(i), i64(7)))
"""
    launch(text, 1, 50, y, x)
    np.testing.assert_allclose(y, np.maximum(np.tanh(x), 0.25) * np.sign(x) + np.arange(50) // 7, rtol=1e-14)


def test_numbers_have_numbas_types():
    """A number with a decimal point is a float64; casts round and wrap around; floats overflow and divide in silence."""
    out, whole = np.zeros(5), np.zeros(5, np.int64)
    body = """
    third = f32(1) / f32(3)
    out, whole = out_f64(p[0]), out_i64(p[1])
    out[0] = third * 0.1
    out[1] = third * f32(0.1)
    out[2] = f32(1) / f32(0)
    out[3] = f32(1e30) * f32(1e30) - inf
    out[4] = slot_f64(p, 2)
    whole[0] = i8(200)
    whole[1] = i32(i64(2147483647) + i64(1))
    whole[2] = i64(9223372036854775807) + i64(1)
    whole[3] = u8(-1)
    whole[4] = i64(-2.9)
"""
    launch(body, 1, 1, out, whole, -1.5)
    third = np.float32(1) / np.float32(3)
    np.testing.assert_array_equal(out, [np.float64(third) * 0.1, third * np.float32(0.1), np.inf, np.nan, -1.5])
    np.testing.assert_array_equal(whole, [-56, -(2**31), -(2**63), 255, -2])


@pytest.mark.parametrize("code", SCALARS)
def test_casts(code):
    """As NumPy's, of every type and of numbers out of range."""
    T = SCALARS[code]
    values = [0, 1, -1, 127, 128, 300, 2**31, 2**40, 2**53 + 1, 2**63 - 1, -(2**63), 3.7, -3.7, 1e30, True, np.True_, np.float32(2.5), np.uint8(200), np.int64(-5), np.uint64(2**64 - 1)]
    with np.errstate(all="ignore"):
        for value in values:
            expected = np.asarray(value).astype(T)[()]
            found = CASTS[code](value)
            assert type(found) is T and found == expected, (value, found, expected)
        if code in ("f32", "f64"):
            assert np.isnan(CASTS[code](np.nan)) and np.signbit(CASTS[code](-0.0))


def test_a_cell_that_threads_race_for():
    """The cell in which any thread may report an error is one that `Memory` was told of."""
    cell = np.zeros(2, np.int64)
    launch("    out_i64(p[0])[1] = thread_x()\n    out_i64(p[0])[0] = 1\n", 2, 8, cell, shared=[0])
    assert cell[0] == 1 and 0 <= cell[1] < 8
    with pytest.raises(emulator.OutOfRange, match="out of range"):
        launch("    out_i64(p[0])[2] = thread_x()\n", 2, 8, cell, shared=[0])


def test_barriers_order_blocks_memory(any_order):
    """What a thread wrote to device memory is read by another one of its block after a barrier."""
    x, y = np.arange(64), np.zeros(64, np.int64)
    body = """
    i = block_x() * threads_x() + thread_x()
    out_i64(p[0])[i] = in_i64(p[1])[i] * 2
    barrier()
    j = block_x() * threads_x() + threads_x() - 1 - thread_x()
    value = in_i64(p[0])[j]
    barrier()
    out_i64(p[0])[i] = value
"""
    launch(body, 2, 32, y, x)
    np.testing.assert_array_equal(y, 2 * x.reshape(2, 32)[:, ::-1].ravel())


# ------------------------------------------------------------------------------------------------ planted faults
NEIGHBOURS = """
    block = shared_f32(64)
    i = thread_x()
    block[i] = in_f32(p[1])[i]
    {barrier}
    out_f32(p[0])[i] = block[{neighbour}]
"""
# name: (body, grid, block, what the message says); p[0] and p[1] are addresses of 64 float32
FAULTS = {
    "missing barrier": (NEIGHBOURS.format(barrier="pass", neighbour="i - 1 if i > 0 else 0"), 1, 64, "race: reads element 0 of shared_f32(64), which thread (0, 0, 0) of block (0, 0, 0) wrote; no barrier lies between"),
    "missing barrier, read first": (NEIGHBOURS.format(barrier="pass", neighbour="(i + 1) % 64"), 1, 64, "uninitialised: reads element 1 of shared_f32(64), which no thread has written so far"),
    "missing second barrier": ("""
    block = shared_f32(64)
    for k in range(2):
        block[thread_x()] = f32(k)
        barrier()
        out_f32(p[0])[thread_x()] = block[63 - thread_x()]
""", 1, 64, "race: reads element 31 of shared_f32(64), which thread (31, 0, 0) of block (0, 0, 0) wrote; no barrier lies between"),
    "two writers of shared memory": ("    shared_i32(4)[thread_x() // 2] = i32(1)\n", 1, 8, "race: writes element 0 of shared_i32(4), which thread (0, 0, 0) of block (0, 0, 0) wrote"),
    "a shuffle is no barrier": ("""
    block = shared_f32(32)
    block[thread_x()] = shuffle_xor_f32(f32(thread_x()), 1)
    x = shuffle_xor_f32(f32(0), 1)
    out_f32(p[0])[thread_x()] = block[thread_x() // 2]
""", 1, 32, "race: reads element 0 of shared_f32(32)"),
    "divergent barrier": ("""
    if thread_x() < 20:
        barrier()
    else:
        barrier()
""", 1, 32, "divergence: barrier() must be reached by all threads of the block, but 20 threads ((0, 0, 0), (1, 0, 0), (2, 0, 0), ...) came to line 6 `barrier()`; 12 threads ((20, 0, 0), (21, 0, 0), (22, 0, 0), ...) came to line 8 `barrier()`"),
    "early return": ("""
    if thread_x() == 40:
        return
    barrier()
""", 1, 64, "block (0, 0, 0): divergence: barrier() must be reached by all threads of the block, but 63 threads ((0, 0, 0), (1, 0, 0), (2, 0, 0), ...) came to line 7 `barrier()`; thread (40, 0, 0) returned"),
    "barriers in loops of different lengths": ("""
    for k in range(1 + thread_x() // 32):
        barrier()
""", 1, 64, "32 threads ((0, 0, 0), (1, 0, 0), (2, 0, 0), ...) returned; 32 threads ((32, 0, 0), (33, 0, 0), (34, 0, 0), ...) came to line 6"),
    "uninitialised shared memory": ("    out_f32(p[0])[thread_x()] = shared_f32(64)[thread_x()]\n", 1, 4, "line 4 `out_f32(p[0])[thread_x()] = shared_f32(64)[thread_x()]`, thread (0, 0, 0) of block (0, 0, 0): uninitialised: reads element 0 of shared_f32(64)"),
    "uninitialised stack": ("    s = stack_f32(2)\n    s[0] = f32(1)\n    out_f32(p[0])[thread_x()] = s[1]\n", 1, 4, "uninitialised: reads element 1 of stack_f32(2)"),
    "read out of range": ("    i = block_x() * threads_x() + thread_x()\n    out_f32(p[0])[i % 64] = in_f32(p[1])[i]\n", 3, 32, "thread (0, 0, 0) of block (2, 0, 0): out of range: reads in_f32("),
    "write out of range": ("    i = block_x() * threads_x() + thread_x()\n    out_f32(p[0])[i] = f32(1)\n", 3, 32, "[64], 4 bytes at "),
    "negative index": ("    out_f32(p[0])[thread_x() - 1] = f32(1)\n", 1, 2, "4 bytes before the nearest allocation, 256 bytes at "),
    "address in no allocation": ("    out_f32(64)[thread_x()] = f32(1)\n", 1, 2, "writes out_f32(0x40)[0], 4 bytes at 0x40:"),
    "four beyond the end": ("    a, b, c, d = load4_f32(p[0] + 4 * 61)\n", 1, 1, "out of range: reads in_f32("),
    "shared index past the end": ("    shared_f32(16)[thread_x()] = f32(1)\n", 1, 32, "thread (16, 0, 0) of block (0, 0, 0): out of range: writes element 16 of shared_f32(16)"),
    "negative shared index": ("    shared_f32(16)[thread_x() - 1] = f32(1)\n", 1, 2, "out of range: writes element -1 of shared_f32(16)"),
    "stack index": ("    s = stack_i32(3)\n    s[3] = i32(0)\n", 1, 1, "out of range: writes element 3 of stack_i32(3)"),
    "two writers in a block": ("    out_f32(p[0])[thread_x() // 2] = f32(1)\n", 1, 8, "thread (1, 0, 0) of block (0, 0, 0): race: writes f32 element 0 of 64 at "),
    "two writers in two blocks": ("    out_f32(p[0])[thread_x()] = f32(1)\n", 2, 8, "which thread (0, 0, 0) of block (0, 0, 0) wrote; nothing orders what two blocks do"),
    "barriers do not order blocks": ("    out_f32(p[0])[thread_x() + 32 * block_x()] = f32(1)\n    barrier()\n    x = in_f32(p[0])[32 - 32 * block_x() + thread_x()]\n", 2, 32, "which thread (0, 0, 0) of block (0, 0, 0) read; nothing orders what two blocks do"),
    "read by one, written by another": ("    x = in_f32(p[0])[(thread_x() + 1) % 8]\n    out_f32(p[0])[thread_x()] = x\n", 1, 8, "which thread (0, 0, 0) of block (0, 0, 0) read; no barrier lies between"),
    "read by many, written by one": ("    x = in_f32(p[0])[0]\n    if thread_x() == 7:\n        out_f32(p[0])[0] = x\n", 1, 8, "which several threads of block (0, 0, 0) read; no barrier lies between"),
    "read by blocks, written by one": ("    x = in_f32(p[0])[0]\n    if block_x() == 2:\n        out_f32(p[0])[0] = x\n", 3, 1, "which threads of several blocks read; nothing orders what two blocks do"),
    "written as one type, read as another": ("    out_f32(p[0])[thread_x()] = f32(1)\n    x = in_u8(p[0])[4 * thread_x() - 1] if thread_x() > 0 else u8(0)\n", 1, 8, "which thread (0, 0, 0) of block (0, 0, 0) wrote (as 4-byte elements)"),
    "read as one type, written as another": ("    x = in_u8(p[0])[9 if thread_x() == 0 else 40]\n    out_f64(p[0])[thread_x()] = f64(x)\n", 1, 2, "which thread (0, 0, 0) of block (0, 0, 0) read (as 1-byte elements)"),
    "misaligned load": ("    x = in_f32(p[0] + 2)[thread_x()]\n", 1, 1, "misaligned: reads in_f32("),
    "misaligned store": ("    out_f64(p[0] + 4)[thread_x()] = f64(1)\n", 1, 1, "is not a multiple of 8 bytes"),
    "misaligned four": ("    a, b, c, d = load4_i16(p[0] + 1)\n", 1, 1, "misaligned: reads in_i16("),
    "partial warp": ("    x = shuffle_xor_f32(f32(1), 1)\n", 1, 48, "divergence: a shuffle must be reached by all 32 lanes of a warp, but 16 threads ((32, 0, 0), (33, 0, 0), (34, 0, 0), ...) came to line 4 `shuffle_xor_f32(f32(1), 1)`"),
    "a lane that does not shuffle": ("    if thread_x() != 3:\n        x = shuffle_xor_f32(f32(1), 1)\n", 1, 32, "thread (3, 0, 0) returned"),
    "a lane at a barrier": ("    if thread_x() != 3:\n        x = shuffle_xor_f32(f32(1), 1)\n    barrier()\n", 1, 32, "thread (3, 0, 0) came to line 6 `barrier()`"),
    "a shuffle's mask": ("    x = shuffle_xor_i32(1, 32)\n", 1, 32, "line 4 `shuffle_xor_i32(1, 32)`: the mask is 32; a warp has 32 lanes"),
    "write through an input": ("    in_f32(p[0])[0] = f32(1)\n", 1, 1, "writes through in_f32, which is for reading"),
    "input read after it was written": ("    out_f32(p[0])[0] = f32(1)\n    x = in_f32(p[0])[0]\n", 1, 1, "a load through in_ may be moved above the store"),
    "no such slot": ("    x = p[2]\n", 1, 1, "line 4 `x = p[2]`, thread (0, 0, 0) of block (0, 0, 0): reads slot 2 of 2"),
    "negative slot": ("    x = p[thread_x() - 1]\n", 1, 1, "reads slot -1 of 2"),
    "quotient": ("    x = quotient(thread_x() - 1, 2)\n", 1, 1, "quotient(-1, 2) takes x >= 0 and y > 0"),
    "much shared memory": ("    a = shared_f64(4096)\n    b = shared_f32(4097)\n", 1, 1, "49156 bytes of shared memory; a block has 49152"),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_fault(fault):
    body, grid, block, message = FAULTS[fault]
    with pytest.raises(emulator.EmulatorError) as error:
        launch(body, grid, block, np.zeros(64, np.float32), np.zeros(64, np.float32))
    assert "kernel sample" in str(error.value)
    assert message in str(error.value), error.value


@pytest.mark.parametrize("fault", ["missing barrier", "missing second barrier", "two writers in two blocks", "read by many, written by one", "early return"])
def test_fault_in_any_order(fault, any_order):
    body, grid, block, _ = FAULTS[fault]
    with pytest.raises(emulator.EmulatorError, match="race|uninitialised|divergence"):
        launch(body, grid, block, np.zeros(64, np.float32), np.zeros(64, np.float32))


def test_stamps_do_not_outlive_a_launch():
    """What one launch writes, another one's threads may write and read; also after a launch that failed."""
    x = np.zeros(8, np.float32)
    with pytest.raises(emulator.EmulatorError, match="race"):
        launch("    out_f32(p[0])[0] = f32(thread_x())\n", 1, 8, x)
    memory = emulator.Memory()
    memory.add(x.ctypes.data, x.nbytes)
    for _ in range(2):
        body = WORDS + "def kernel(args):\n    out = out_f32(slots(args)[0])\n    out[thread_x()] = out[thread_x()] + f32(1)\n"
        emulator.run(emulator.function("add", body), 1, 8, [x.ctypes.data], memory)
    np.testing.assert_array_equal(x[1:], 2)


@pytest.mark.parametrize(
    "text, message",
    [
        ("def kernel(args):\n    n = slots(args)[0]\n    a = shared_f32(n)\n", "line 4 `shared_f32(n)`: takes one number of elements, known when the kernel is compiled"),
        ("def kernel(args):\n    a = [shuffle_xor_f32(x, 1) for x in range(3)]\n", "line 3 `shuffle_xor_f32(x, 1)`: waits for other threads"),
        ("def kernel(args):\n    def inner():\n        barrier()\n    inner()\n", "line 4 `barrier()`: waits for other threads"),
        ("from numtape.kernels.vecmath import *\ndef kernel(args):\n    pass\n", "line 2 `from numtape.kernels.vecmath import *`: library functions are imported by name"),
        ("from numtape.kernels.cuda.intrinsics import in_f16\ndef kernel(args):\n    pass\n", "line 2 `from numtape.kernels.cuda.intrinsics import in_f16`: the words of kernels are imported by their own names"),
        ("def kernels(args):\n    pass\n", "the text defines no function named kernel"),
    ],
)
def test_text_that_does_not_compile(text, message):
    with pytest.raises(emulator.EmulatorError) as error:
        emulator.function("sample", WORDS + text)
    assert message in str(error.value)


@pytest.mark.parametrize("grid, block", [(0, 1), (1, 1025), ((1, 65536), 1), (1, (8, 8, 17)), ((1, 1, 1, 1), 1), (1, 2.0)])
def test_launches_that_no_card_takes(grid, block):
    with pytest.raises(ValueError, match="run:"):
        launch("    pass\n", grid, block)


# ------------------------------------------------------------------------------------------------ memory
def test_memory():
    memory = emulator.Memory()
    with pytest.raises(emulator.OutOfRange, match="there are no allocations"):
        memory.check(4096, 1, writing=False)
    memory.add(8192, 16)
    memory.add(4096, 100)
    memory.add(16384, 0)
    memory.check(4096, 100, writing=True)
    memory.check(8204, 4, writing=True)
    for address, nbytes, told in [(4196, 1, "0 bytes past the end of the nearest allocation, 100 bytes at 0x1000"), (8190, 4, "2 bytes before the nearest allocation, 16 bytes at 0x2000"), (4192, 8, "inside the nearest"), (16384, 1, "read at 0x4000: 8176 bytes past")]:
        with pytest.raises(IndexError, match=told):
            memory.check(address, nbytes, writing=False)
    for address, nbytes in [(4000, 100), (4195, 1), (4096, 1), (4000, 5000)]:
        with pytest.raises(ValueError, match="overlap"):
            memory.add(address, nbytes)
    memory.remove(16384)
    memory.remove(4096)
    memory.add(4195, 5)
    with pytest.raises(KeyError, match="no allocation starts at 0x1000"):
        memory.remove(4096)
    with pytest.raises(emulator.OutOfRange, match="99 bytes before"):
        memory.check(4096, 4, writing=True)


def test_allocations_that_start_anywhere():
    """Elements are checked at the multiples of their size that lie inside."""
    block = np.zeros(4, np.int64)
    start = block.ctypes.data + 3
    memory = emulator.Memory()
    memory.add(start, 14)  # bytes 3 to 16: whole int32 at 4, 8 and 12
    function = emulator.function("some", WORDS + "def kernel(args):\n    p = slots(args)\n    out_i32(p[0])[p[1]] = 1\n")
    for k in (0, 1, 2):
        emulator.run(function, 1, 1, [start + 1, k], memory)
    for k in (-1, 3):
        with pytest.raises(emulator.OutOfRange):
            emulator.run(function, 1, 1, [start + 1, k], memory)
    assert block.view(np.int32).tolist() == [0, 1, 1, 1, 0, 0, 0, 0]


# ------------------------------------------------------------------------------------------------ seen by people
def test_traceback_shows_the_line():
    body = "    x = in_f32(p[0])\n    y = x[thread_x()] + undefined_name\n"
    with pytest.raises(NameError) as error:
        launch(body, 1, 2, np.zeros(4, np.float32))
    told = "".join(traceback.format_exception(error.value))
    assert "y = x[thread_x()] + undefined_name" in told and re.search(r'File "<numtape cuda sample \w+>", line 5, in kernel', told)
    assert "in kernel sample, thread (0, 0, 0) of block (0, 0, 0)" in told


def test_traceback_through_a_helper_that_waits():
    text = """
@inline
def late(x):
    barrier()
    return x.nothing

def kernel(args):
    late(thread_x())
"""
    with pytest.raises(AttributeError) as error:
        launch(text, 1, 2)
    told = "".join(traceback.format_exception(error.value))
    assert "return x.nothing" in told and "late(thread_x())" in told


def test_a_debugger_steps_through():
    """A breakpoint in a text stops there, and shows the text's lines."""
    shown = io.StringIO()
    debugger = pdb.Pdb(stdin=io.StringIO("next\nprint(twice + 40)\ncontinue\n"), stdout=shown, nosigint=True, readrc=False)
    function = emulator.function("stepped", WORDS + "def kernel(args):\n    trace()\n    twice = 2 + thread_x()\n    done = True\n")
    function.kernel.__globals__["trace"] = debugger.set_trace
    emulator.run(function, 1, 1, [], emulator.Memory())
    assert "-> twice = 2 + thread_x()" in shown.getvalue() and "-> done = True" in shown.getvalue() and "42" in shown.getvalue()


def test_examples():
    for module in (emulator, emulated_memory):
        result = doctest.testmod(module)
        assert result.attempted > 0 and result.failed == 0


def test_functions_are_read_once():
    text = WORDS + "def kernel(args):\n    pass\n"
    assert emulator.function("once", text) is emulator.function("once", text)
    assert not emulator.function("once", text).waits


def test_every_word_is_there():
    """The words that are compiled for a card and those of the emulator have the same names."""
    pytest.importorskip("numba_cuda", reason="compiling for a card needs numba-cuda")
    from numtape.kernels.cuda import emulated_words, intrinsics

    assert set(intrinsics.__all__) == {*emulated_words.words, *emulated_words.WAITING}


# ------------------------------------------------------------------------------------------------ twins of compiled functions
SPECIAL = [0.0, 5e-324, 1e-310, 1e-45, 1e-40, 1e-30, 0.5, 1.0, 2.0, 2.5, 3.0, 88.7, 103.9, 710.0, 1e30, 1e300, np.inf, np.nan]
ARITY = {**dict.fromkeys(vecmath.UNARY, 1), **dict.fromkeys(vecmath.BINARY, 2), **dict.fromkeys(vecmath.TERNARY, 3)}


@pytest.mark.parametrize("name", ARITY)
@pytest.mark.parametrize("code, T, B", [("f32", np.float32, np.uint32), ("f64", np.float64, np.uint64)], ids=["f32", "f64"])
def test_twins_of_vecmath(name, code, T, B, rng):
    """The same bits as the compiled function, NaN payloads apart."""
    with np.errstate(over="ignore"):
        special = np.array([*SPECIAL, *(-v for v in SPECIAL)], T)
    anything = rng.integers(0, np.iinfo(B).max, 40, B, endpoint=True).view(T)
    x = np.concatenate([special, rng.uniform(-1, 1, 30).astype(T), rng.uniform(-30, 30, 30).astype(T), anything])
    arguments = [x, *(rng.permutation(x) for _ in range(ARITY[name] - 1))]
    compiled = getattr(vecmath, f"{name}_{code}")
    twin = plain(compiled)
    with np.errstate(all="ignore"):
        expected = np.array([compiled(*values) for values in zip(*arguments)], T)
        found = [twin(*values) for values in zip(*arguments)]
    assert {type(v) for v in found} == {T}
    found = np.array(found)
    different = (found.view(B) != expected.view(B)) & ~(np.isnan(found) & np.isnan(expected))
    assert not different.any(), [(*(a[k] for a in arguments), found[k], expected[k]) for k in np.flatnonzero(different)[:5]]


@pytest.mark.parametrize("code", ["f32", "f64"])
def test_twins_of_floatmath(code, rng):
    T = SCALARS[code]
    with np.errstate(all="ignore"):
        x = np.array([*SPECIAL, *(-v for v in SPECIAL), *rng.uniform(-30, 30, 20)], T)
        y = rng.permutation(x)
        for name in ("abs", "sign", "isnan", "isinf", "isfinite"):
            compiled = getattr(floatmath, f"{name}_{code}")
            np.testing.assert_array_equal([plain(compiled)(v) for v in x], [compiled(v) for v in x], err_msg=name)
        for name in ("floor_divide", "truncate_divide"):
            compiled = getattr(vecmath if name == "floor_divide" else floatmath, f"{name}_{code}")
            np.testing.assert_array_equal([plain(compiled)(*v) for v in zip(x, y)], [compiled(*v) for v in zip(x, y)], err_msg=name)


@pytest.mark.parametrize("code", ["i8", "i32", "i64"])
def test_twins_of_intmath(code, rng):
    """As stored in the type: what is compiled computes small integers in 64 bits."""
    T = SCALARS[code]
    info = np.iinfo(T)
    x = np.array([0, 1, -1, 2, -2, 7, -7, info.max, info.min, *rng.integers(-100, 100, 15)], T)
    with np.errstate(all="ignore"):
        for name in ("maximum", "minimum", "floor_divide", "truncate_divide", "remainder", "fmod", "pow"):
            compiled = getattr(intmath, f"{name}_int")
            for a in x:
                for b in x if name != "pow" else x[np.abs(x.astype(float)) < 200]:
                    assert CASTS[code](plain(compiled)(a, b)) == CASTS[code](compiled(a, b)), (name, a, b)
        for name in ("abs", "sign", "floor"):
            compiled = getattr(intmath, f"{name}_int")
            for a in x:
                assert CASTS[code](plain(compiled)(a)) == CASTS[code](compiled(a)), (name, a)

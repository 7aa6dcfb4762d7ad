"""The matmul kernels at the level of their calling convention: slots in memory, work units, scratch, object code."""

import ctypes
import functools
import itertools
import mmap
import os
import subprocess
import sys

import numpy as np
import pytest

from numtape.kernels.cpu import matmul_plan as plan

DTYPES = {"f32": np.float32, "f64": np.float64, "i64": np.int64, "i32": np.int32, "i16": np.int16, "i8": np.int8, "u8": np.uint8}
# Compiling a kernel takes 2-3 s; the other integers differ from these in nothing but their width.
EACH = [pytest.param(name, marks=[pytest.mark.slow] if name in ("i32", "i16", "u8") else []) for name in DTYPES]
NAMES = {np.dtype(v): k for k, v in DTYPES.items()}
JIT = os.environ.get("NUMBA_DISABLE_JIT", "0") in ("", "0")
compiled = pytest.mark.skipif(not JIT, reason="plain Python is slow, and reads and writes one element at a time")
scratch = np.zeros(plan.SCRATCH_BYTES + 64, np.uint8)
SCRATCH = -(-scratch.ctypes.data // 64) * 64


@functools.cache
def kernel(name):
    import numba
    from numba import types

    from numtape.kernels.cpu import matmul

    function = getattr(matmul, f"kernel_{name}")
    if not JIT:
        return function
    code = numba.cfunc(types.void(types.int64, types.int64, types.int64), nopython=True, error_model="numpy")(function)
    call = ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * 3)(code.address)
    call.code = code
    return call


def slots_of(C, A, B, accumulate=False, blocks=None):
    (m, k), n, size, batch = A.shape[-2:], B.shape[-1], C.itemsize, C.shape[:-2]
    blocks = blocks or plan.plan_blocks(int(np.prod(batch)), m, n, k, size)
    c, a, b = ([s // size for s in x.strides] for x in (C, A, B))
    ndim = len(batch)
    fixed = [C.ctypes.data, A.ctypes.data, B.ctypes.data, m, n, k, *a[-2:], *b[-2:], c[-2], *blocks, int(accumulate), ndim]
    words = [SCRATCH, *fixed, *batch, *c[:ndim], *a[:ndim], *b[:ndim]]
    return np.array(words, np.int64), int(np.prod(batch)) * blocks[1] * blocks[3]


def multiply(C, A, B, accumulate=False, blocks=None, cuts=()):
    words, units = slots_of(C, A, B, accumulate, blocks)
    edges = [0, *(c for c in cuts if 0 < c < units), units]
    for start, stop in itertools.pairwise(edges):
        kernel(NAMES[C.dtype])(words.ctypes.data + 8, start, stop)


def random(rng, shape, dtype):
    if np.dtype(dtype).kind == "f":
        return rng.standard_normal(shape).astype(dtype)
    return rng.integers(np.iinfo(dtype).min, np.iinfo(dtype).max, shape, dtype, endpoint=True)


def laid_out(x, layout):
    """The values of x: contiguous, transposed, every second element of a larger array, or one row or column repeated."""
    if layout == "transposed":
        return np.ascontiguousarray(x.swapaxes(-1, -2)).swapaxes(-1, -2)
    if layout == "stepped":
        big = np.zeros((*x.shape[:-2], 2 * x.shape[-2], 2 * x.shape[-1]), x.dtype)
        big[..., ::2, ::2] = x
        return big[..., ::2, ::2]
    if layout == "one row":
        return np.broadcast_to(x[..., :1, :], x.shape)
    if layout == "one column":
        return np.broadcast_to(x[..., :, :1], x.shape)
    return np.ascontiguousarray(x)


def check(C, A, B, before=None):
    """Against float64 within the bound of a dot product, 2 k eps |A| |B|; integers exactly, modulo their width."""
    if C.dtype.kind != "f":
        exact = A.astype(np.int64) @ B.astype(np.int64) + (0 if before is None else before)
        np.testing.assert_array_equal(C, exact.astype(C.dtype))
        return
    A, B = A.astype(np.float64), B.astype(np.float64)
    start = 0 if before is None else before.astype(np.float64)
    bound = (A.shape[-1] + 2) * np.finfo(C.dtype).eps * (np.abs(A) @ np.abs(B) + np.abs(start))
    assert (np.abs(C - (A @ B + start)) <= bound).all()


def check_all_layouts(dtype, m, n, k):
    rng = np.random.default_rng(m * 10007 + n * 101 + k)
    layouts = ("contiguous", "transposed", "stepped", "one row", "one column")
    for la, lb, accumulate in itertools.product(layouts, layouts, (False, True)):
        A, B = laid_out(random(rng, (m, k), dtype), la), laid_out(random(rng, (k, n), dtype), lb)
        whole = random(rng, (m + 2, n + 5), dtype)
        before = whole.copy()
        C = whole[:m, :n]
        multiply(C, A, B, accumulate)
        check(C, A, B, before[:m, :n] if accumulate else None)
        assert (whole[m:] == before[m:]).all() and (whole[:, n:] == before[:, n:]).all()  # nothing outside C
        row_block, col_block = -(-m // 3), -(-n // 2)
        blocks = (row_block, -(-m // row_block), col_block, -(-n // col_block))
        for cuts in ((), (1,), (1, 2, 3, 4, 5)):
            again = before.copy()
            multiply(again[:m, :n], A, B, accumulate, blocks, cuts)
            assert again.tobytes() == whole.tobytes()  # the same bits however the units are cut and split


@pytest.mark.parametrize("dtype", EACH)
def test_small(dtype):
    for m, n, k in [(1, 1, 1), (2, 3, 4), (1, 5, 3), (5, 1, 3), (3, 2, 1)]:
        check_all_layouts(DTYPES[dtype], m, n, k)


SIZES = [(1, 1, 500), (1, 70, 33), (70, 1, 33), (5, 7, 3), (13, 16, 8), (15, 33, 65)]
MORE_SIZES = [(8, 49, 70), (64, 10, 256), (31, 47, 17), (1, 2100, 9)]


@compiled
@pytest.mark.parametrize("dtype", EACH)
def test_layouts(dtype):
    for size in SIZES + (MORE_SIZES if dtype in ("f32", "f64") else []):
        check_all_layouts(DTYPES[dtype], *size)


@compiled
@pytest.mark.parametrize("dtype", ["f32", "f64", "i64"])
def test_blocked(dtype):
    rng = np.random.default_rng(0)
    for (m, n, k), la, lb in itertools.product(
        [(337, 70, 400), (64, 256, 784), (60, 1100, 300), (300, 400, 20)], ("contiguous", "transposed"), ("contiguous", "transposed")
    ):
        A, B = laid_out(random(rng, (m, k), DTYPES[dtype]), la), laid_out(random(rng, (k, n), DTYPES[dtype]), lb)
        C, again = np.empty((m, n), DTYPES[dtype]), np.empty((m, n), DTYPES[dtype])
        multiply(C, A, B)
        check(C, A, B)
        multiply(again, A, B, blocks=(96, -(-m // 96), 192, -(-n // 192)), cuts=(1, 3, 4))
        assert again.tobytes() == C.tobytes()


@compiled
def test_every_size():
    rng = np.random.default_rng(1)
    for m, n, k in itertools.product(range(1, 36, 2), range(1, 71, 5), (1, 7, 35)):
        A, B, C = random(rng, (m, k), np.float32), random(rng, (k, n), np.float32), np.empty((m, n), np.float32)
        multiply(C, A, B)
        check(C, A, B)


def test_batches():
    rng = np.random.default_rng(2)
    A = random(rng, (3, 1, 4, 5), np.float32)
    B = random(rng, (2, 6, 5), np.float32).swapaxes(-1, -2)
    C = np.empty((3, 2, 4, 6), np.float32)
    wide_A, wide_B = np.broadcast_to(A, (3, 2, 4, 5)), np.broadcast_to(B, (3, 2, 5, 6))
    multiply(C, wide_A, wide_B, cuts=(1, 4))
    check(C, wide_A, wide_B)


@pytest.mark.parametrize("dtype", ["f32", "i8"])
def test_no_terms(dtype):
    A, B = np.empty((3, 0), DTYPES[dtype]), np.empty((0, 4), DTYPES[dtype])
    C = np.full((3, 4), 7, DTYPES[dtype])
    multiply(C, A, B, accumulate=True)
    assert (C == 7).all()
    multiply(C, A, B)
    assert (C == 0).all()


@compiled
@pytest.mark.parametrize("dtype", ["f32", "f64"])
def test_special_values_stay_in_their_row_and_column(dtype):
    rng = np.random.default_rng(3)
    ctypes.memset(SCRATCH, 0xFF, plan.SCRATCH_BYTES)  # NaN wherever the kernel pads
    for m, n, k in [(7, 19, 5), (64, 40, 50), (1, 30, 9), (30, 1, 9)]:
        A, B = random(rng, (m, k), DTYPES[dtype]), random(rng, (k, n), DTYPES[dtype])
        C = np.empty((m, n), DTYPES[dtype])
        multiply(C, A, B)
        assert np.isfinite(C).all()
        A[m // 2, 1], B[2, n // 2] = np.nan, np.inf
        multiply(C, A, B)
        with np.errstate(invalid="ignore"):
            np.testing.assert_array_equal(np.isnan(C), np.isnan(A @ B))
            np.testing.assert_array_equal(np.isposinf(C), np.isposinf(A @ B))


@compiled
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="calls mprotect")
@pytest.mark.parametrize("dtype", ["f32", "f64", "i8"])
def test_reads_and_writes_end_with_the_operands(dtype):
    """Each operand ends where an unreadable page begins: one element too far ends the process."""
    rng, size, page = np.random.default_rng(4), np.dtype(DTYPES[dtype]).itemsize, mmap.PAGESIZE
    maps = []

    def at_the_edge(x):
        room = -(-x.nbytes // page) * page
        memory = mmap.mmap(-1, room + page)
        maps.append(memory)
        start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
        assert ctypes.CDLL(None).mprotect(ctypes.c_void_p(start + room), page, 0) == 0
        out = np.frombuffer(memory, x.dtype, x.size, room - x.size * size).reshape(x.shape)
        out[...] = x
        return out

    for m, n, k in [(1, 1, 1), (7, 17, 5), (6, 16, 16), (13, 10, 33), (70, 90, 41), (1, 43, 21), (43, 1, 21), (9, 100, 8)]:
        for ta, tb in itertools.product((False, True), repeat=2):
            A = at_the_edge(random(rng, (k, m) if ta else (m, k), DTYPES[dtype]))
            B = at_the_edge(random(rng, (n, k) if tb else (k, n), DTYPES[dtype]))
            C = at_the_edge(np.zeros((m, n), DTYPES[dtype]))
            multiply(C, A.T if ta else A, B.T if tb else B)
            check(C, A.T if ta else A, B.T if tb else B)


@compiled
def test_object_code_needs_no_numba(tmp_path):
    import llvmlite.binding as llvm

    code = kernel("f32").code
    library = code._library
    (tmp_path / "kernel.o").write_bytes(library._codegen._tm.emit_object(llvm.parse_assembly(library.get_llvm_str())))
    program = f"""
import ctypes, runpy, sys, types
import numpy as np, llvmlite.binding as llvm
plan = types.SimpleNamespace(**runpy.run_path({plan.__file__!r}))
llvm.initialize_native_target(); llvm.initialize_native_asmprinter()
machine = llvm.Target.from_default_triple().create_target_machine(opt=3, cpu=llvm.get_host_cpu_name())
engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine)
engine.add_object_file(llvm.ObjectFileRef.from_data(open({str(tmp_path / "kernel.o")!r}, "rb").read()))
engine.finalize_object()
call = ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * 3)(engine.get_function_address({code._wrapper_name!r}))
scratch = np.zeros(plan.SCRATCH_BYTES + 64, np.uint8)
for m, n, k in [(50, 40, 30), (1, 40, 30), (50, 1, 30)]:
    A, B, C = np.ones((m, k), np.float32), np.ones((k, n), np.float32), np.zeros((m, n), np.float32)
    blocks = plan.plan_blocks(1, m, n, k, 4)
    addresses = [-(-scratch.ctypes.data // 64) * 64, C.ctypes.data, A.ctypes.data, B.ctypes.data]
    words = np.array([*addresses, m, n, k, k, 1, n, 1, n, *blocks, 0, 0])
    call(words.ctypes.data + 8, 0, blocks[1] * blocks[3])
    assert (C == k).all()
assert "numba" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_plan():
    for batch, m, n, k in itertools.product((1, 5, 64), (1, 7, 300, 4096), (1, 10, 1000, 4096), (1, 64, 4096)):
        row_block, rows, col_block, cols = plan.plan_blocks(batch, m, n, k, 4)
        assert (rows - 1) * row_block < m <= rows * row_block and (cols - 1) * col_block < n <= cols * col_block
    assert plan.plan_blocks(1, 64, 64, 64, 4)[1::2] == (1, 1)
    for m, n, k in [(1024, 1024, 1024), (8, 4096, 4096), (4096, 10, 4096), (1, 4096, 4096), (4096, 1, 4096)]:
        _, rows, _, cols = plan.plan_blocks(1, m, n, k, 4)
        assert rows * cols >= 8

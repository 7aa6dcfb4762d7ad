"""The LLVM IR inside matrix multiplication: micro-kernel, panel packing, dot products, axpys.

Loops written in Python and vectorised by LLVM reached 9-49 % of OpenBLAS, because accumulators must stay in registers; so the
few innermost functions are emitted here as vector IR. `microkernel_calls.py` makes them callable from Numba.

Integers go through the same code with `add(mul)` in place of `fma` and so wrap around in their own width.
"""

import itertools
import os

import llvmlite.binding as llvm
from llvmlite import ir
from numba import types
from numba.core import cgutils

I64, I32, PTR, VOID = ir.IntType(64), ir.IntType(32), ir.PointerType(), ir.VoidType()
DOTS, AXPYS = 4, 8  # rows that one call of the dot-product and of the axpy kernel takes


def c64(value):
    return ir.Constant(I64, value)


class Geometry:
    """Shape of the micro-tile for one element type: MR rows by NV vectors of W lanes, all of it held in registers."""

    def __init__(self, dtype):
        bits, self.MR, self.NV = _host_tile()
        self.size = dtype.bitwidth // 8
        self.W = bits // dtype.bitwidth
        self.NR = self.W * self.NV
        self.is_float = isinstance(dtype, types.Float)
        self.T = {4: ir.FloatType(), 8: ir.DoubleType()}[self.size] if self.is_float else ir.IntType(dtype.bitwidth)
        self.V = ir.VectorType(self.T, self.W)
        self.tag = f"{'f' if self.is_float else 'i'}{dtype.bitwidth}x{self.W}"
        # Without the instruction llvm.fma is a call of libm's fma for every lane.
        self.fused = self.is_float and (bits > 128 or "aarch64" in _host_arch())


def _host_arch():
    arch = llvm.get_process_triple().split("-")[0]
    return "aarch64" if arch.startswith("arm64") else arch


def _host_tile():
    """(vector bits, MR, NV) for this CPU: the largest tile that leaves registers for two operands."""
    tiles = {"avx512": (512, 14, 2), "avx2": (256, 6, 2), "neon": (128, 8, 3), "sse": (128, 6, 2)}
    forced = os.environ.get("NUMTAPE_MATMUL_TILE")  # LLVM compiles any of them for any CPU: for tests
    features = llvm.get_host_cpu_features()
    if forced:
        return tiles[forced]
    if features.get("avx512f"):
        return tiles["avx512"]
    if features.get("avx2") and features.get("fma"):
        return tiles["avx2"]
    return tiles["neon" if _host_arch() == "aarch64" else "sse"]


_geometries = {}


def geometry(dtype):
    if dtype not in _geometries:
        _geometries[dtype] = Geometry(dtype)
    return _geometries[dtype]


class Emitter:
    """One internal function being written: an IRBuilder with the vector operations of a geometry.

    `noinline`: LLVM would specialise and re-optimise every copy. `optsize`: LLVM would unroll and vectorise what is written as vectors
    already, to four times the compile time and no speed; the micro-kernel runs at 99 % of the core's peak from L1 without (102 of 102.4
    GFLOP/s on Zen 3), and unrolling k by two in the emitter changed nothing.
    """

    def __init__(self, module, g, name, args, noalias=()):
        self.g = g
        self.function = ir.Function(module, ir.FunctionType(VOID, args), f"numtape_{name}_{g.tag}")
        self.function.linkage = "internal"
        for attribute in ("nounwind", "noinline", "optsize"):
            self.function.attributes.add(attribute)
        for i in noalias:
            self.function.args[i].add_attribute("noalias")
        self.b = ir.IRBuilder(self.function.append_basic_block("entry"))

    def at(self, pointer, offset):
        offset = c64(offset) if isinstance(offset, int) else offset
        return self.b.gep(pointer, [offset], source_etype=self.g.T)

    def load(self, pointer, T=None):
        return self.b.load(pointer, typ=T or self.g.V, align=self.g.size)

    def store(self, value, pointer):
        self.b.store(value, pointer, align=self.g.size)

    def splat(self, x):
        undefined = ir.Constant(self.g.V, ir.Undefined)
        first = self.b.insert_element(undefined, x, ir.Constant(I32, 0))
        return self.b.shuffle_vector(first, undefined, ir.Constant(ir.VectorType(I32, self.g.W), [0] * self.g.W))

    def shuffle(self, x, y, lanes):
        return self.b.shuffle_vector(x, y, ir.Constant(ir.VectorType(I32, len(lanes)), lanes))

    def add(self, x, y):
        return self.b.fadd(x, y) if self.g.is_float else self.b.add(x, y)

    def madd(self, x, y, z):
        """x * y + z, on vectors or scalars."""
        if not self.g.fused:
            return self.add(self.b.fmul(x, y) if self.g.is_float else self.b.mul(x, y), z)
        scalar = f"f{self.g.size * 8}"
        # llvmlite's declare_intrinsic cannot name intrinsics on vectors.
        name = f"llvm.fma.v{x.type.count}{scalar}" if isinstance(x.type, ir.VectorType) else f"llvm.fma.{scalar}"
        fma = cgutils.get_or_insert_function(self.b.module, ir.FunctionType(x.type, [x.type] * 3), name)
        return self.b.call(fma, [x, y, z])

    def loop(self, tag, count, state, body):
        """`count` trips of `body(*state) -> state`; every value is a phi, so it stays in its register."""
        b, before = self.b, self.b.block
        inside, done = self.function.append_basic_block(tag), self.function.append_basic_block(f"{tag}_done")
        b.cbranch(b.icmp_signed(">", count, c64(0)), inside, done)
        b.position_at_end(inside)
        left, phis = b.phi(I64), [b.phi(v.type) for v in state]
        after = body(*phis)
        rest = b.sub(left, c64(1))
        end = b.block
        b.cbranch(b.icmp_signed(">", rest, c64(0)), inside, done)
        for phi, first, again in zip([left, *phis], [count, *state], [rest, *after]):
            phi.add_incoming(first, before)
            phi.add_incoming(again, end)
        b.position_at_end(done)
        results = [b.phi(v.type) for v in state]
        for phi, first, again in zip(results, state, after):
            phi.add_incoming(first, before)
            phi.add_incoming(again, end)
        return results

    def finish(self):
        self.b.ret_void()
        return self.function


def store_tile(e, tile, cells, C, c_row, accumulate):
    """The end of a micro-kernel: the tile into C, added to what is there if `accumulate`."""
    b = e.b
    out = [e.at(e.at(C, b.mul(c_row, c64(i))), v * e.g.W) for i, v in cells]
    with b.if_else(b.icmp_signed("!=", accumulate, c64(0))) as (adding, storing):
        with adding:
            for x, p in zip(tile, out):
                e.store(e.add(e.load(p), x), p)
        with storing:
            for x, p in zip(tile, out):
                e.store(x, p)


def emit_micro_kernel(module, g, mr, nv):
    """C[mr, nv*W] = (accumulate ? C : 0) + A[mr, kc] @ B[kc, nv*W].

    A is a packed panel (row 1, col mr) or any strided matrix: broadcast loads do not care. Rows of B and C are unit stride."""
    e = Emitter(module, g, f"micro_{mr}x{nv}", [I64, PTR, I64, I64, PTR, I64, PTR, I64, I64], noalias=(1, 4, 6))
    kc, A, a_row, a_col, B, b_row, C, c_row, accumulate = e.function.args
    b, W = e.b, g.W
    rows = [b.mul(a_row, c64(i)) for i in range(mr)]
    cells = list(itertools.product(range(mr), range(nv)))

    def step(a, bp, *tile):
        tile = list(tile)
        vectors = [e.load(e.at(bp, v * W)) for v in range(nv)]
        for i in range(mr):
            x = e.splat(e.load(e.at(a, rows[i]), g.T))
            for v in range(nv):
                tile[i * nv + v] = e.madd(x, vectors[v], tile[i * nv + v])
        return e.at(a, a_col), e.at(bp, b_row), *tile

    _, _, *tile = e.loop("step", kc, [A, B, *[ir.Constant(g.V, [0] * W)] * len(cells)], step)
    store_tile(e, tile, cells, C, c_row, accumulate)
    return e.finish()


def emit_ask(module, g):
    """Ask for the lines of `rows` rows of C that a micro-kernel is about to write: they come while it sums."""
    e = Emitter(module, g, "ask", [I64, PTR, I64])
    rows, C, c_row = e.function.args
    fetch = cgutils.get_or_insert_function(module, ir.FunctionType(VOID, [PTR, I32, I32, I32]), "llvm.prefetch.p0")

    def row(c):
        for edge in (0, g.NR - 1):
            e.b.call(fetch, [e.at(c, edge), ir.Constant(I32, 1), ir.Constant(I32, 3), ir.Constant(I32, 1)])
        return (e.at(c, c_row),)

    e.loop("rows", rows, [C], row)
    return e.finish()


def emit_transpose(module, g):
    """dst[k*d_row + r] = src[r*s_row + k] for k < count (a multiple of W) and r < W, by W x W register transposes.

    Source rows stop at rows - 1. A store is always W wide: what spills past `d_row` is rewritten by the next k, and the last
    one falls in the slack that a packed block has."""
    e = Emitter(module, g, "transpose", [I64, I64, PTR, I64, PTR, I64], noalias=(2, 4))
    count, rows, dst, d_row, src, s_row = e.function.args
    b, W = e.b, g.W
    last = b.sub(rows, c64(1))
    offsets = [b.mul(b.select(b.icmp_signed("<", c64(r), rows), c64(r), last), s_row) for r in range(W)]

    def body(d, s):
        v = [e.load(e.at(s, offsets[r])) for r in range(W)]
        half = W // 2
        while half:
            low = [x if not x & half else W + x - half for x in range(W)]
            high = [x + half if not x & half else W + x for x in range(W)]
            for i in range(W):
                if not i & half:
                    v[i], v[i + half] = e.shuffle(v[i], v[i + half], low), e.shuffle(v[i], v[i + half], high)
            half //= 2
        for x in v:
            e.store(x, d)
            d = e.at(d, d_row)
        return d, e.at(s, W)

    e.loop("slabs", b.sdiv(count, c64(W)), [dst, src], body)
    return e.finish()


def emit_copy(module, g):
    """dst[r*d_row + j] = src[r*s_row + j] for r < rows, j < cols, touching nothing else.

    Widths that are no multiple of the vector end in a vector that overlaps the one before."""
    e = Emitter(module, g, "copy", [I64, I64, PTR, I64, PTR, I64], noalias=(2, 4))
    rows, cols, dst, d_row, src, s_row = e.function.args
    b, W = e.b, g.W

    def move(d, s, offset, T):
        e.store(e.load(e.at(s, offset), T), e.at(d, offset))

    def each_row(tag, copy_row):
        def body(d, s):
            copy_row(d, s)
            return e.at(d, d_row), e.at(s, s_row)
        e.loop(tag, rows, [dst, src], body)
        b.ret_void()

    def when(condition):
        yes, no = e.function.append_basic_block(), e.function.append_basic_block()
        b.cbranch(condition, yes, no)
        b.position_at_end(yes)
        return no

    def vectors_then_last(T, lanes):
        def copy_row(d, s):
            def body(j):
                move(d, s, j, T)
                return (b.add(j, c64(lanes)),)
            e.loop("vectors", b.sdiv(b.sub(cols, c64(1)), c64(lanes)), [c64(0)], body)
            move(d, s, b.sub(cols, c64(lanes)), T)
        return copy_row

    otherwise = when(b.icmp_signed("==", cols, c64(g.NR)))
    each_row("full", lambda d, s: [move(d, s, v * W, g.V) for v in range(g.NV)])
    for lanes in (W, W // 2):
        b.position_at_end(otherwise)
        if lanes > 1:
            otherwise = when(b.icmp_signed(">=", cols, c64(lanes)))
            each_row(f"by{lanes}", vectors_then_last(ir.VectorType(g.T, lanes), lanes))
    b.position_at_end(otherwise)
    each_row("scalar", vectors_then_last(g.T, 1))
    return e.function


def emit_dots(module, g, rows):
    """out[r] = sum over k of A[r, k] * x[k], for `rows` rows of unit column stride."""
    e = Emitter(module, g, f"dots{rows}", [I64, PTR, PTR, I64, PTR])
    k, x, A, a_row, out = e.function.args
    b, W, zero = e.b, g.W, ir.Constant(g.V, [0] * g.W)
    offsets = [b.mul(a_row, c64(r)) for r in range(rows)]
    pairs = list(itertools.product(range(rows), range(2)))  # two chains a row hide the latency of the fma

    def vectors(chains):
        def body(i, *sums):
            sums = list(sums)
            for h in range(chains):
                xv = e.load(e.at(x, b.add(i, c64(h * W))))
                for r in range(rows):
                    a = e.load(e.at(A, b.add(b.add(offsets[r], i), c64(h * W))))
                    sums[2 * r + h] = e.madd(a, xv, sums[2 * r + h])
            return b.add(i, c64(chains * W)), *sums
        return body

    state = e.loop("pairs", b.sdiv(k, c64(2 * W)), [c64(0), *[zero] * len(pairs)], vectors(2))
    i, *sums = e.loop("single", b.sdiv(b.srem(k, c64(2 * W)), c64(W)), state, vectors(1))
    totals = []
    for r in range(rows):
        v, lanes = e.add(sums[2 * r], sums[2 * r + 1]), W
        while lanes > 1:
            lanes //= 2
            v = e.add(e.shuffle(v, v, list(range(lanes))), e.shuffle(v, v, list(range(lanes, 2 * lanes))))
        totals.append(b.extract_element(v, ir.Constant(I32, 0)))

    def rest(i, *sums):
        xs = e.load(e.at(x, i), g.T)
        return b.add(i, c64(1)), *[e.madd(e.load(e.at(A, b.add(offsets[r], i)), g.T), xs, s) for r, s in enumerate(sums)]

    _, *totals = e.loop("rest", b.srem(k, c64(W)), [i, *totals], rest)
    for r in range(rows):
        e.store(totals[r], e.at(out, r))
    return e.finish()


def emit_axpys(module, g, rows):
    """y[j] += sum over r < rows of x[r*x_step] * B[r, j] for j < n: rows of B of unit stride, read side by side."""
    e = Emitter(module, g, f"axpys{rows}", [I64, PTR, I64, PTR, I64, PTR], noalias=(5,))
    n, x, x_step, B, b_row, y = e.function.args
    b, W = e.b, g.W
    xs = [e.load(e.at(x, b.mul(x_step, c64(r))), g.T) for r in range(rows)]
    streams = [e.at(B, b.mul(b_row, c64(r))) for r in range(rows)]

    def along(T, factors, count):
        def body(j):
            total = e.load(e.at(y, j), T)
            for factor, stream in zip(factors, streams):
                total = e.madd(e.load(e.at(stream, j), T), factor, total)
            e.store(total, e.at(y, j))
            return (b.add(j, c64(count)),)
        return body

    (j,) = e.loop("vectors", b.sdiv(n, c64(W)), [c64(0)], along(g.V, [e.splat(v) for v in xs], W))
    e.loop("scalar", b.srem(n, c64(W)), [j], along(g.T, xs, 1))
    return e.finish()

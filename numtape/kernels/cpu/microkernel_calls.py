"""The functions of `microkernel.py` and a few words of arithmetic, as Numba intrinsics on addresses and element strides.

The first argument of most, `zero`, is a typed zero whose only job is to choose the element type.
"""

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .microkernel import (
    AXPYS,
    DOTS,
    I64,
    PTR,
    c64,
    emit_ask,
    emit_axpys,
    emit_copy,
    emit_dots,
    emit_micro_kernel,
    emit_transpose,
    geometry,
)


def _get(module, name, g, emit, *args):
    return module.globals.get(f"numtape_{name}_{g.tag}") or emit(module, g, *args)


def _call(b, function, args):
    b.call(function, [b.inttoptr(x, PTR) if isinstance(a.type, ir.PointerType) else x for x, a in zip(args, function.args)])


def _switch(b, key, functions, args):
    """Call functions[key]; key is known to be one of them."""
    done = b.append_basic_block("called")
    *cases, (_, last) = functions.items()
    default = b.append_basic_block()
    switch = b.switch(key, default)
    for value, function in cases:
        block = b.append_basic_block()
        switch.add_case(c64(value), block)
        b.position_at_end(block)
        _call(b, function, args)
        b.branch(done)
    b.position_at_end(default)
    _call(b, last, args)
    b.branch(done)
    b.position_at_end(done)


@intrinsic
def micro_kernel(typingctx, zero, mr, kc, A, a_row, a_col, B, b_row, C, c_row, accumulate):
    """C[mr, NR] = (accumulate ? C : 0) + A[mr, kc] @ B[kc, NR] for 1 <= mr <= MR. See emit_micro_kernel."""
    def codegen(context, b, signature, args):
        g = geometry(signature.args[0])
        kernels = {mr: _get(b.module, f"micro_{mr}x{g.NV}", g, emit_micro_kernel, mr, g.NV) for mr in range(1, g.MR + 1)}
        _switch(b, args[1], kernels, args[2:])
        return context.get_dummy_value()
    return types.void(zero, *[types.int64] * 10), codegen


@intrinsic
def ask(typingctx, zero, rows, C, c_row):
    """Prefetch a tile of C. See emit_ask."""
    def codegen(context, b, signature, args):
        _call(b, _get(b.module, "ask", geometry(signature.args[0]), emit_ask), args[1:])
        return context.get_dummy_value()
    return types.void(zero, *[types.int64] * 3), codegen


@intrinsic
def axpys(typingctx, zero, rows, n, x, x_step, B, b_row, y):
    """y[:n] += x[:rows] @ B[:rows, :n] for `rows` = 1 or AXPYS rows. See emit_axpys."""
    def codegen(context, b, signature, args):
        g = geometry(signature.args[0])
        _switch(b, args[1], {r: _get(b.module, f"axpys{r}", g, emit_axpys, r) for r in (AXPYS, 1)}, args[2:])
        return context.get_dummy_value()
    return types.void(zero, *[types.int64] * 7), codegen


@intrinsic
def transpose(typingctx, zero, count, rows, dst, d_row, src, s_row):
    """dst[k*d_row + r] = src[r*s_row + k]. See emit_transpose."""
    def codegen(context, b, signature, args):
        _call(b, _get(b.module, "transpose", geometry(signature.args[0]), emit_transpose), args[1:])
        return context.get_dummy_value()
    return types.void(zero, *[types.int64] * 6), codegen


@intrinsic
def copy(typingctx, zero, rows, cols, dst, d_row, src, s_row):
    """dst[r*d_row + j] = src[r*s_row + j]. See emit_copy."""
    def codegen(context, b, signature, args):
        _call(b, _get(b.module, "copy", geometry(signature.args[0]), emit_copy), args[1:])
        return context.get_dummy_value()
    return types.void(zero, *[types.int64] * 6), codegen


@intrinsic
def dots(typingctx, zero, rows, k, x, A, a_row, out):
    """out[r] = A[r, :k] @ x[:k] for `rows` = 1 or DOTS rows. See emit_dots."""
    def codegen(context, b, signature, args):
        g = geometry(signature.args[0])
        _switch(b, args[1], {r: _get(b.module, f"dots{r}", g, emit_dots, r) for r in (DOTS, 1)}, args[2:])
        return context.get_dummy_value()
    return types.void(zero, *[types.int64] * 6), codegen


@intrinsic(prefer_literal=True)
def words(typingctx, address, count):
    """`count` (a literal) int64s at `address`, as a tuple: one call to compile instead of one for each."""
    size = count.literal_value

    def codegen(context, b, signature, args):
        p = b.inttoptr(args[0], PTR)
        values = [b.load(b.gep(p, [c64(i)], source_etype=I64), typ=I64) for i in range(size)]
        return context.make_tuple(b, signature.return_type, values)
    return types.UniTuple(types.int64, size)(types.int64, count), codegen


@intrinsic
def load(typingctx, zero, address, offset):
    """The element at `address`, `offset` elements on."""
    def codegen(context, b, signature, args):
        T = context.get_value_type(signature.args[0])
        return b.load(b.gep(b.inttoptr(args[1], PTR), [args[2]], source_etype=T), typ=T)
    return zero(zero, types.int64, types.int64), codegen


@intrinsic
def store(typingctx, zero, address, offset, value):
    """Write an element at `address`, `offset` elements on."""
    def codegen(context, b, signature, args):
        T = context.get_value_type(signature.args[0])
        b.store(args[3], b.gep(b.inttoptr(args[1], PTR), [args[2]], source_etype=T))
        return context.get_dummy_value()
    return types.void(zero, types.int64, types.int64, zero), codegen


@intrinsic
def at(typingctx, zero, base, i, i_step, j, j_step):
    """base + (i*i_step + j*j_step) elements. One intrinsic compiles five times faster than five operators."""
    def codegen(context, b, signature, args):
        _, base, i, i_step, j, j_step = args
        offset = b.add(b.mul(i, i_step), b.mul(j, j_step))
        return b.add(base, b.mul(offset, c64(geometry(signature.args[0]).size)))
    return types.int64(zero, *[types.int64] * 5), codegen


@intrinsic
def least(typingctx, x, y):
    def codegen(context, b, signature, args):
        return b.select(b.icmp_signed("<", *args), *args)
    return types.int64(types.int64, types.int64), codegen


@intrinsic
def quotient(typingctx, x, y):
    """x // y for x >= 0, y > 0: one instruction, where Numba's // also looks at signs and zero."""
    return types.int64(types.int64, types.int64), lambda context, b, signature, args: b.sdiv(*args)


@intrinsic
def plus(typingctx, zero, x, y):
    """x + y in the element's own type (Numba widens small integers to int64)."""
    def codegen(context, b, signature, args):
        return b.fadd(*args[1:]) if geometry(signature.args[0]).is_float else b.add(*args[1:])
    return zero(zero, zero, zero), codegen


@intrinsic
def compact(typingctx):
    """Compile the calling function without unrolling and vectorising its loops: they are not where time goes."""
    def codegen(context, b, signature, args):
        b.function.attributes.add("optsize")
        return context.get_dummy_value()
    return types.void(), codegen


def _constant(value):
    def constant(typingctx, zero):
        return types.int64(zero), lambda context, b, signature, args: c64(value(geometry(signature.args[0])))
    return intrinsic(constant)


itemsize = _constant(lambda g: g.size)
tile_rows = _constant(lambda g: g.MR)
tile_cols = _constant(lambda g: g.NR)
lanes = _constant(lambda g: g.W)

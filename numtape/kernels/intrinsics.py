"""The words that kernels are written in: slots, typed pointers, exact maths helpers, raw memory and atomics.

Every CPU kernel is ``kernel(args, start, stop)``: ``args`` is the address of packed 8-byte slots. ``slots(args)`` reads
them; ``in_f32(address)`` and ``out_f32(address)`` are typed pointers, indexed without bounds or negative-index handling
(which would block SIMD). A load through an ``in_`` pointer is promised not to alias a store through an ``out_`` pointer
of another element, so LLVM vectorises in-place loops too; dispatch refuses partly overlapping operands.

With ``NUMBA_DISABLE_JIT=1`` the same names are plain Python over the same addresses, so a kernel can be stepped through.
This module imports numba: it is only imported when something must be compiled (or run as plain Python).
"""

from __future__ import annotations

import ctypes
import operator

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils, config
from numba.core.imputils import lower_builtin
from numba.extending import intrinsic, models, register_model

from numtape.kernels.halves import HALVES, narrow, plain_narrow, plain_widen, widen

JIT = not config.DISABLE_JIT

I64 = ir.IntType(64)
# The words for the types of scalars. f16 and bf16 stand in memory only: kernels compute with float32 in their place.
NAMES = {
    "u8": types.uint8,
    "u16": types.uint16,
    "u32": types.uint32,
    "u64": types.uint64,
    "i8": types.int8,
    "i16": types.int16,
    "i32": types.int32,
    "i64": types.int64,
    "f16": types.float32,
    "bf16": types.float32,
    "f32": types.float32,
    "f64": types.float64,
    "c64": types.complex64,
    "c128": types.complex128,
}
NUMPY = {name: getattr(np, kind.name) for name, kind in NAMES.items()}


def inline(fn):
    """A helper of kernels: compiled into its caller, plain Python when the JIT is off."""
    return numba.njit(nogil=True, error_model="numpy", boundscheck=False)(fn) if JIT else fn


# ------------------------------------------------------------------------------------------------ typed pointers
class InPointer(types.CPointer):
    """A pointer that is only read; its loads do not alias stores through an `OutPointer` of other elements."""

    def __init__(self, name):
        super().__init__(NAMES[name])
        self.half = name if name in HALVES else None
        self.name = f"in*{name}"

    @property
    def key(self):
        return self.name


class OutPointer(types.CPointer):
    """A pointer that is written (and may be read back)."""

    def __init__(self, name):
        super().__init__(NAMES[name])
        self.half = name if name in HALVES else None
        self.name = f"out*{name}"

    @property
    def key(self):
        return self.name


register_model(InPointer)(models.PointerModel)
register_model(OutPointer)(models.PointerModel)


def _scope(module):
    """The alias scope of what kernels read: one domain and one scope per module."""
    domain = module.add_metadata(["numtape.kernel"])
    return module.add_metadata([module.add_metadata(["numtape.inputs", domain])])


def _place(context, builder, pointer, values, index):
    """The address of an element, the LLVM type that stands there, and how it is aligned."""
    half = getattr(pointer, "half", None)
    memory = ir.IntType(16) if half else context.get_data_type(pointer.dtype)
    start = builder.bitcast(values[0], memory.as_pointer())
    place = builder.gep(start, [context.cast(builder, values[1], index, types.int64)], source_etype=memory)
    size = context.get_abi_sizeof(memory)
    return half, memory, place, size // 2 if isinstance(pointer.dtype, types.Complex) else size


@lower_builtin(operator.getitem, InPointer, types.Integer)
def _load_in(context, builder, sig, args):
    half, memory, place, align = _place(context, builder, sig.args[0], args, sig.args[1])
    value = builder.load(place, typ=memory, align=align)
    value.set_metadata("alias.scope", _scope(builder.module))
    return widen(builder, half, value) if half else context.data_model_manager[sig.args[0].dtype].from_data(builder, value)


@lower_builtin(operator.getitem, OutPointer, types.Integer)
def _load_out(context, builder, sig, args):
    half, memory, place, align = _place(context, builder, sig.args[0], args, sig.args[1])
    value = builder.load(place, typ=memory, align=align)
    return widen(builder, half, value) if half else context.data_model_manager[sig.args[0].dtype].from_data(builder, value)


@lower_builtin(operator.setitem, OutPointer, types.Integer, types.Any)
def _store_out(context, builder, sig, args):
    half, _, place, align = _place(context, builder, sig.args[0], args, sig.args[1])
    value = context.cast(builder, args[2], sig.args[2], sig.args[0].dtype)
    value = narrow(builder, half, value) if half else context.data_model_manager[sig.args[0].dtype].as_data(builder, value)
    store = builder.store(value, place, align=align)
    store.set_metadata("noalias", _scope(builder.module))
    return context.get_dummy_value()


# ------------------------------------------------------------------------------------------------ halves
def _rounding(half):
    """``round_f16(x)``: the float32 that is nearest to x among the values of a half."""
    if not JIT:
        return lambda x: plain_widen(half, plain_narrow(half, x))

    @intrinsic
    def rounded(typingctx, x):
        def codegen(context, builder, signature, args):
            return widen(builder, half, narrow(builder, half, args[0]))

        return types.float32(types.float32), codegen

    return rounded


round_f16, round_bf16 = _rounding("f16"), _rounding("bf16")


class PlainPointer:
    """A typed pointer for plain Python: indexing reads and writes memory at an address."""

    def __init__(self, address, name):
        self.address, self.half = int(address), name if name in HALVES else None
        self.scalar = np.uint16 if self.half else NUMPY[name]
        self.itemsize = np.dtype(self.scalar).itemsize

    def _cell(self, i):
        memory = (ctypes.c_char * self.itemsize).from_address(self.address + self.itemsize * int(i))
        return np.ndarray((), self.scalar, memory)

    def __getitem__(self, i):
        value = self._cell(i)[()]
        return plain_widen(self.half, value) if self.half else value

    def __setitem__(self, i, value):
        with np.errstate(all="ignore"):
            self._cell(i)[()] = plain_narrow(self.half, value) if self.half else np.asarray(value).astype(self.scalar)


def _pointer(name, kind):
    if not JIT:
        return lambda address: PlainPointer(address, name)
    result = kind(name)

    @intrinsic
    def cast(typingctx, address):
        def codegen(context, builder, signature, args):
            return builder.inttoptr(args[0], context.get_value_type(result))

        return result(types.int64), codegen

    return cast


def _room(builder, kind):
    """Room on the stack, uninitialised. Numba's own way writes zeros there, of which LLVM makes a store for each element: seconds of compiling."""
    with builder.goto_entry_block():
        return builder.alloca(kind)


def _stack(name):
    """``stack_f32(n)``: an uninitialised array of a constant number of elements on the stack; of halves as float32."""
    wide = "f32" if name in HALVES else name
    if not JIT:
        kept = []  # plain Python has no stack: the memory lives as long as the process, for debugging runs only

        def allocate(count):
            kept.append((ctypes.c_char * (count * np.dtype(NUMPY[name]).itemsize))())
            del kept[:-64]
            return PlainPointer(ctypes.addressof(kept[-1]), wide)

        return allocate
    result = OutPointer(wide)

    @intrinsic(prefer_literal=True)
    def allocate(typingctx, count):
        size = count.literal_value

        def codegen(context, builder, signature, args):
            element = context.get_data_type(NAMES[name])
            return builder.bitcast(_room(builder, ir.ArrayType(element, size)), context.get_value_type(result))

        return result(count), codegen

    return allocate


for _name in NAMES:
    globals()[f"in_{_name}"] = _pointer(_name, InPointer)
    globals()[f"out_{_name}"] = _pointer(_name, OutPointer)
    globals()[f"stack_{_name}"] = _stack(_name)
slots = _pointer("i64", InPointer)


def _bits(name):
    """``slot_f32(p, k)``: slot k of p read as a float64 (how scalars travel), cast to the named type."""
    if not JIT:

        def read(p, k):
            return NUMPY[name](ctypes.c_double.from_address(p.address + 8 * int(k)).value)

        return read

    @intrinsic
    def read(typingctx, p, k):
        def codegen(context, builder, signature, args):
            word = _load_in(context, builder, types.int64(p, k), args)
            return context.cast(builder, builder.bitcast(word, ir.DoubleType()), types.float64, NAMES[name])

        return NAMES[name](p, k), codegen

    return read


slot_f32, slot_f64 = _bits("f32"), _bits("f64")
slot_f16 = slot_bf16 = slot_f32

# The casts that generated code wraps around every value, so that nothing is computed in a wider type by accident.
if JIT:
    globals().update(NAMES)
    b8 = types.boolean
else:

    def _cast(scalar):
        def cast(value):
            with np.errstate(all="ignore"):
                if np.issubdtype(scalar, np.integer) and isinstance(value, (int, np.integer)):
                    return np.asarray(int(value) & (2**64 - 1), np.uint64).astype(scalar)[()]
                return np.asarray(value).astype(scalar)[()]

        return cast

    globals().update({_name: _cast(_scalar) for _name, _scalar in NUMPY.items()})
    b8 = np.bool_
i64, f32, f64, u64 = (globals()[_name] for _name in ("i64", "f32", "f64", "u64"))


@inline
def u64_of(x):
    """A float as a uint64; below zero it wraps, as a conversion by way of int64 does."""
    return u64(x) if x >= 9.2e18 else u64(i64(x))


# ------------------------------------------------------------------------------------------------ exact combining
def _float_binary(mnemonic, flags, plain):
    """A float operation whose one instruction carries fast-math flags of its own (flags on a whole loop would also
    let LLVM reassociate the range reductions of `vecmath`)."""
    if not JIT:
        return plain

    @intrinsic
    def combine(typingctx, x, y):
        def codegen(context, builder, signature, args):
            if isinstance(x, types.Float):
                return getattr(builder, "f" + mnemonic)(args[0], args[1], flags=flags)
            if isinstance(x, types.Complex):
                return _complex_binary(context, builder, x, mnemonic, args, flags)
            return getattr(builder, mnemonic)(args[0], args[1])

        return x(x, x), codegen

    return combine


def _complex_binary(context, builder, kind, mnemonic, args, flags):
    a, b = (context.make_complex(builder, kind, value=v) for v in args)
    result = context.make_complex(builder, kind)

    def of(name, x, y):
        return getattr(builder, name)(x, y, flags=flags)

    if mnemonic == "add":
        result.real, result.imag = of("fadd", a.real, b.real), of("fadd", a.imag, b.imag)
    else:
        result.real = of("fsub", of("fmul", a.real, b.real), of("fmul", a.imag, b.imag))
        result.imag = of("fadd", of("fmul", a.real, b.imag), of("fmul", a.imag, b.real))
    return result._getvalue()


sum_of = _float_binary("add", ("reassoc", "nsz", "contract"), lambda x, y: x + y)
product_of = _float_binary("mul", ("reassoc", "nsz", "contract"), lambda x, y: x * y)


# ------------------------------------------------------------------------------------------------ raw memory, atomics, calls


def _arity(count, result, emit):
    """An intrinsic of `count` int64 parameters that emits LLVM through `emit(builder, *values)`."""
    returns = types.none if result is None else types.int64
    signature = returns(*[types.int64] * count)

    def codegen(context, builder, sig, values):
        out = emit(builder, *values)
        return context.get_dummy_value() if result is None else out

    if count == 1:
        return intrinsic(lambda typingctx, a: (signature, codegen))
    if count == 2:
        return intrinsic(lambda typingctx, a, b: (signature, codegen))
    if count == 3:
        return intrinsic(lambda typingctx, a, b, c: (signature, codegen))
    if count == 4:
        return intrinsic(lambda typingctx, a, b, c, d: (signature, codegen))
    return intrinsic(lambda typingctx, a, b, c, d, e: (signature, codegen))


def _prefetch(builder, address):
    where = builder.inttoptr(address, ir.IntType(8).as_pointer())
    flags = [ir.Constant(ir.IntType(32), v) for v in (0, 3, 1)]  # for reading, to the nearest cache, data
    kind = ir.FunctionType(ir.VoidType(), [where.type, *(f.type for f in flags)])
    builder.call(cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0"), [where, *flags])


def _words(builder, address):
    return builder.inttoptr(address, I64.as_pointer())


def _call(builder, function, *values):
    kind = ir.FunctionType(I64, [I64] * len(values)).as_pointer()
    return builder.call(builder.inttoptr(function, kind), list(values))


def _run(builder, kernel, args, start, stop):
    kind = ir.FunctionType(ir.VoidType(), [I64] * 3).as_pointer()
    builder.call(builder.inttoptr(kernel, kind), [args, start, stop])


def _call0(builder, function, unused):
    return _call(builder, function)


def _pause(builder, unused):
    triple = builder.module.triple
    if triple.startswith("x86"):
        name, values = "llvm.x86.sse2.pause", []
    elif triple.startswith(("aarch64", "arm64")):
        name, values = "llvm.aarch64.hint", [ir.Constant(ir.IntType(32), 1)]
    else:
        return
    kind = ir.FunctionType(ir.VoidType(), [v.type for v in values])
    builder.call(cgutils.get_or_insert_function(builder.module, kind, name), values)


load_word = _arity(1, int, lambda b, address: b.load(_words(b, address), typ=I64, align=8))
store_word = _arity(2, None, lambda b, address, value: b.store(value, _words(b, address), align=8) and None)
atomic_load = _arity(1, int, lambda b, address: b.load_atomic(_words(b, address), "seq_cst", 8, typ=I64))
atomic_store = _arity(2, None, lambda b, address, value: b.store_atomic(value, _words(b, address), "seq_cst", 8) and None)
atomic_add = _arity(2, int, lambda b, address, value: b.atomic_rmw("add", _words(b, address), value, "seq_cst"))
compare_and_swap = _arity(
    3,
    int,
    lambda b, address, old, new: b.zext(b.extract_value(b.cmpxchg(_words(b, address), old, new, "seq_cst", "seq_cst"), 1), I64),
)
call_0 = _arity(2, int, _call0)  # the second parameter is ignored: an intrinsic of one parameter is a load here
call_1 = _arity(2, int, _call)
call_2 = _arity(3, int, _call)
call_3 = _arity(4, int, _call)
call_4 = _arity(5, int, _call)
run_kernel = _arity(4, None, _run)
prefetch = _arity(1, None, _prefetch) if JIT else lambda address: None  # a hint, right with any address
cpu_pause = _arity(1, None, _pause)
# x // y for x >= 0 and y > 0: one instruction, where Numba's // also looks at signs and at zero
quotient = _arity(2, int, lambda b, x, y: b.sdiv(x, y)) if JIT else lambda x, y: x // y
leading_zeros = _arity(1, int, lambda b, value: b.ctlz(value, ir.Constant(ir.IntType(1), 0)))


@intrinsic(prefer_literal=True)
def stack_words(typingctx, count):
    """The address of `count` (a literal) uninitialised 8-byte words on the stack."""
    size = count.literal_value

    def codegen(context, builder, signature, args):
        return builder.ptrtoint(_room(builder, ir.ArrayType(I64, size)), I64)

    return types.int64(count), codegen


if not JIT:
    _frames: list = []  # the last of them, in place of a stack

    def stack_words(count):
        _frames[:] = [*_frames[-8:], np.zeros(count, np.int64)]
        return _frames[-1].ctypes.data


nan, inf = float("nan"), float("inf")


def _attribute(name):
    """An intrinsic that adds an LLVM attribute to the function it is called in."""
    if not JIT:
        return lambda: None

    @intrinsic
    def mark(typingctx):
        def codegen(context, builder, signature, args):
            builder.function.attributes.add(name)
            return context.get_dummy_value()

        return types.none(), codegen

    return mark


small = _attribute("optsize")  # not unrolled, not vectorised: for code that runs seldom, so that it compiles fast
apart = _attribute("noinline")


@inline
def offset_of(p, dims, step, operand, outer, row):
    """The offset of row number `row` in an operand, in elements.

    From slot `dims` on stand, for each of `outer` dims, innermost first, its size and the operands' strides: `step` words a dim.
    """
    small()
    apart()
    offset = i64(0)
    at = i64(dims)
    for _ in range(outer - 1):
        rest = quotient(row, p[at])
        offset += (row - rest * p[at]) * p[at + operand]
        row = rest
        at += step
    return offset + row * p[at + operand] if outer > 0 else offset

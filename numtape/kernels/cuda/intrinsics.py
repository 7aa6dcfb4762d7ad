"""The words that CUDA kernels are written in: slots, typed pointers, threads, shared memory, shuffles.

A CUDA kernel is ``kernel(args)``, the twin of the CPU's: ``slots(args)`` reads the packed 8-byte slots, which are the launch's one
parameter and so stand in the card's constant memory. Each word is an intrinsic that becomes an instruction or a few; indices are
64-bit integers without bounds checks and without wrap-around of negative values.

The same words exist in plain Python in `emulator`, which runs a kernel's text without a card. This module needs numba-cuda (by way of
`toolchain`): it is imported only when something must be compiled for a card.
"""

from __future__ import annotations

import numba
from llvmlite import ir

from numtape.kernels.cuda.toolchain import (
    PARAMETER,
    PointerModel,
    RequireLiteralValue,
    cgutils,
    intrinsic,
    lower_getitem,
    lower_setitem,
    register_model,
    types,
)
from numtape.kernels.intrinsics import b8, f32, f64, i8, i16, i32, i64, u8, u64

I8, I32, I64 = ir.IntType(8), ir.IntType(32), ir.IntType(64)
STACK, GLOBAL, SHARED = 0, 1, 3  # NVVM's address spaces
BUTTERFLY = 3  # NVVM's number of the exchange with the lane whose number differs in the bits of a mask
NAMES = {
    "u8": types.uint8,
    "i8": types.int8,
    "i16": types.int16,
    "i32": types.int32,
    "i64": types.int64,
    "f32": types.float32,
    "f64": types.float64,
}
LLVM = {"u8": I8, "i8": I8, "i16": ir.IntType(16), "i32": I32, "i64": I64, "f32": ir.FloatType(), "f64": ir.DoubleType()}
nan, inf = float("nan"), float("inf")

__all__ = ["b8", "f32", "f64", "i8", "i16", "i32", "i64", "inf", "inline", "nan", "u8", "u64"]


def inline(fn):
    """A helper of kernels, compiled into its caller."""
    return numba.njit(nogil=True, error_model="numpy")(fn)


def _word(name, value):
    globals()[name] = value
    __all__.append(name)


# ------------------------------------------------------------------------------------------------ typed pointers
class Pointer(types.CPointer):
    """A pointer into one address space; what an input pointer reads is written through no output pointer of another element."""

    def __init__(self, name, space, role=""):
        super().__init__(NAMES[name])
        self.space, self.role, self.ir = space, role, LLVM[name].as_pointer(space)
        self.name = f"{role}{name}*{space}"

    @property
    def key(self):
        """What makes two pointer types the same."""
        return self.dtype, self.space, self.role


class Slots(types.CPointer):
    """The kernel's parameter block, an address in parameter space."""

    def __init__(self):
        super().__init__(types.int64)
        self.name = "slots"


@register_model(Pointer)
class _PointerModel(PointerModel):
    def __init__(self, manager, kind):
        super().__init__(manager, kind, kind.ir)


@register_model(Slots)
class _SlotsModel(PointerModel):
    def __init__(self, manager, kind):
        super().__init__(manager, kind, I64)


def _scope(module):
    """The alias scope of what kernels read: one domain and one scope per module."""
    domain = module.add_metadata(["numtape.kernel"])
    return module.add_metadata([module.add_metadata(["numtape.inputs", domain])])


def _address(context, builder, sig, args):
    return builder.gep(args[0], [context.cast(builder, args[1], sig.args[1], types.int64)])


def _size(kind):
    return kind.bitwidth // 8


@lower_getitem(Pointer)
def _load(context, builder, sig, args):
    kind = sig.args[0]
    value = builder.load(_address(context, builder, sig, args), align=_size(kind.dtype))
    if kind.role == "in":
        value.set_metadata("alias.scope", _scope(builder.module))
    return value


@lower_setitem(Pointer)
def _store(context, builder, sig, args):
    kind = sig.args[0]
    value = context.cast(builder, args[2], sig.args[2], kind.dtype)
    store = builder.store(value, _address(context, builder, sig, args), align=_size(kind.dtype))
    if kind.space == GLOBAL:
        store.set_metadata("noalias", _scope(builder.module))
    return context.get_dummy_value()


@lower_getitem(Slots)
def _load_slot(context, builder, sig, args):
    index = context.cast(builder, args[1], sig.args[1], types.int64)
    address = builder.add(args[0], builder.shl(index, I64(3)))
    return builder.asm(ir.FunctionType(I64, [I64]), "ld.param.b64 $0, [$1];", "=l,l", [address], False)


@intrinsic
def slots(typingctx, args):
    """``slots(args)``: the slots of the launch. The entry's one parameter is the block itself (see `toolchain.entry_of`)."""

    def codegen(context, builder, signature, values):
        return builder.asm(ir.FunctionType(I64, []), f"mov.b64 $0, {PARAMETER};", "=l", [], False)

    return Slots()(types.int64), codegen


_word("slots", slots)


def _pointer(name, role):
    result = Pointer(name, GLOBAL, role)

    @intrinsic
    def cast(typingctx, address):
        def codegen(context, builder, signature, args):
            return builder.inttoptr(args[0], result.ir)

        return result(types.int64), codegen

    return cast


def _block(name, space):
    """``shared_f32(n)``, ``stack_f32(n)``: an uninitialised array of a constant number of elements."""
    result = Pointer(name, space)

    @intrinsic
    def allocate(typingctx, count):
        if not isinstance(count, types.IntegerLiteral):
            raise RequireLiteralValue(count)
        kind = ir.ArrayType(LLVM[name], count.literal_value)

        def codegen(context, builder, signature, args):
            if space == SHARED:
                block = ir.GlobalVariable(builder.module, kind, builder.module.get_unique_name("shared"), SHARED)
                block.linkage, block.initializer, block.align = "internal", ir.Constant(kind, ir.Undefined), 16
            else:
                block = cgutils.alloca_once(builder, kind)
                block.align = 16
            return builder.bitcast(block, result.ir)

        return result(count), codegen

    return allocate


def _slot_float(name):
    """``slot_f32(p, k)``: slot k of p read as a float64 (how numbers travel), cast to the named type."""

    @intrinsic
    def read(typingctx, p, k):
        def codegen(context, builder, signature, args):
            word = _load_slot(context, builder, types.int64(p, k), args)
            return context.cast(builder, builder.bitcast(word, ir.DoubleType()), types.float64, NAMES[name])

        return NAMES[name](p, k), codegen

    return read


# ------------------------------------------------------------------------------------------------ four elements at once
def _vector(name):
    """The inline PTX that loads or stores four elements, as (suffix, registers, constraint, instructions, cast)."""
    return {
        "f32": (["v4.f32"], "f"), "i32": (["v4.b32"], "r"), "f64": (["v2.f64"] * 2, "d"), "i64": (["v2.b64"] * 2, "l"),
        "i16": (["v4.b16"], "h"), "u8": (["v4.b8"], "h"), "i8": (["v4.b8"], "h"),
    }[name]  # fmt: skip


def _four(name):
    """``load4_f32(address)`` gives four elements from a byte address; ``store4_f32(address, a, b, c, d)`` writes four: one
    instruction (two for 8-byte elements) where the address is aligned for it, else four."""
    kind, element = NAMES[name], LLVM[name]
    parts, constraint = _vector(name)
    width = 4 // len(parts)
    bytes_each = element.width // 8 if isinstance(element, ir.IntType) else 4 if name == "f32" else 8
    carrier = ir.IntType(16) if name in ("u8", "i8") else element
    step = width * bytes_each

    def aligned(builder, address):
        return builder.icmp_unsigned("==", builder.and_(address, I64(step - 1)), I64(0))

    def scalar(builder, address, k):
        return builder.gep(builder.inttoptr(address, element.as_pointer(GLOBAL)), [I64(k)])

    @intrinsic
    def load(typingctx, address):
        def codegen(context, builder, signature, args):
            cells = [cgutils.alloca_once(builder, element) for _ in range(4)]
            with builder.if_else(aligned(builder, args[0])) as (fast, slow):
                with fast:
                    kinds = ir.LiteralStructType([carrier] * width)
                    names = ", ".join(f"${i}" for i in range(width))
                    for part, suffix in enumerate(parts):
                        text = f"ld.global.{suffix} {{{names}}}, [${width}];"
                        at = builder.add(args[0], I64(part * step))
                        found = builder.asm(ir.FunctionType(kinds, [I64]), text, ",".join([f"={constraint}"] * width) + ",l,~{memory}", [at], True)
                        for i in range(width):
                            value = builder.extract_value(found, i)
                            builder.store(value if carrier == element else builder.trunc(value, element), cells[part * width + i])
                with slow:
                    for k in range(4):
                        value = builder.load(scalar(builder, args[0], k), align=bytes_each)
                        value.set_metadata("alias.scope", _scope(builder.module))
                        builder.store(value, cells[k])
            return context.make_tuple(builder, signature.return_type, [builder.load(c) for c in cells])

        return types.UniTuple(kind, 4)(types.int64), codegen

    @intrinsic
    def store(typingctx, address, a, b, c, d):
        def codegen(context, builder, signature, args):
            values = [context.cast(builder, v, t, kind) for v, t in zip(args[1:], (a, b, c, d))]
            with builder.if_else(aligned(builder, args[0])) as (fast, slow):
                with fast:
                    names = ", ".join(f"${i + 1}" for i in range(width))
                    for part, suffix in enumerate(parts):
                        some = values[part * width : (part + 1) * width]
                        some = some if carrier == element else [builder.zext(v, carrier) for v in some]
                        at = builder.add(args[0], I64(part * step))
                        signature_ = ir.FunctionType(ir.VoidType(), [I64] + [carrier] * width)
                        builder.asm(signature_, f"st.global.{suffix} [$0], {{{names}}};", "l," + ",".join([constraint] * width) + ",~{memory}", [at, *some], True)
                with slow:
                    for k, value in enumerate(values):
                        builder.store(value, scalar(builder, args[0], k), align=bytes_each).set_metadata("noalias", _scope(builder.module))
            return context.get_dummy_value()

        return types.none(types.int64, a, b, c, d), codegen

    return load, store


# ------------------------------------------------------------------------------------------------ threads
def _register(name):
    """``thread_x()``: a special register, as int64."""

    @intrinsic
    def read(typingctx):
        def codegen(context, builder, signature, args):
            kind = ir.FunctionType(I32, [])
            return builder.zext(builder.call(cgutils.get_or_insert_function(builder.module, kind, f"llvm.nvvm.read.ptx.sreg.{name}"), []), I64)

        return types.int64(), codegen

    return read


@intrinsic
def barrier(typingctx):
    """Wait for every thread of the block; what they wrote before is seen after."""

    def codegen(context, builder, signature, args):
        builder.call(cgutils.get_or_insert_function(builder.module, ir.FunctionType(ir.VoidType(), []), "llvm.nvvm.barrier0"), [])
        return context.get_dummy_value()

    return types.none(), codegen


_word("barrier", barrier)


def _shuffle(name):
    """``shuffle_xor_f32(value, mask)``: the value of the lane whose number differs in the bits of `mask`. All 32 lanes take part."""
    kind, words = NAMES[name], 2 if name in ("i64", "f64") else 1

    @intrinsic
    def exchange(typingctx, value, mask):
        def codegen(context, builder, signature, args):
            given = context.cast(builder, args[0], value, kind)
            distance = builder.trunc(context.cast(builder, args[1], mask, types.int64), I32)
            whole = ir.IntType(32 * words)
            bits = builder.bitcast(given, whole)
            pair = ir.LiteralStructType([I32, ir.IntType(1)])
            function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(pair, [I32] * 5), "llvm.nvvm.shfl.sync.i32")
            result = whole(0)
            for k in range(words):
                word = builder.trunc(builder.lshr(bits, whole(32 * k)), I32) if words > 1 else bits
                got = builder.extract_value(builder.call(function, [I32(-1), I32(BUTTERFLY), word, distance, I32(31)]), 0)
                result = builder.or_(result, builder.shl(builder.zext(got, whole), whole(32 * k))) if words > 1 else got
            return builder.bitcast(result, LLVM[name])

        return kind(value, mask), codegen

    return exchange


for _name in NAMES:
    _word(f"in_{_name}", _pointer(_name, "in"))
    _word(f"out_{_name}", _pointer(_name, "out"))
    _word(f"shared_{_name}", _block(_name, SHARED))
    _word(f"stack_{_name}", _block(_name, STACK))
    _loads, _stores = _four(_name)
    _word(f"load4_{_name}", _loads)
    _word(f"store4_{_name}", _stores)
for _name in ("f32", "f64"):
    _word(f"slot_{_name}", _slot_float(_name))
for _name in ("i32", "i64", "f32", "f64"):
    _word(f"shuffle_xor_{_name}", _shuffle(_name))
for _name, _source in (("thread", "tid"), ("block", "ctaid"), ("threads", "ntid"), ("blocks", "nctaid")):
    for _axis in "xyz":
        _word(f"{_name}_{_axis}", _register(f"{_source}.{_axis}"))


# ------------------------------------------------------------------------------------------------ arithmetic
@intrinsic
def rolled(typingctx, i):
    """i, by a way that the compiler cannot see through: a loop counted with it is not unrolled, which saves registers."""

    def codegen(context, builder, signature, args):
        return builder.asm(ir.FunctionType(I64, [I64]), "mov.b64 $0, $1;", "=l,l", args, False)

    return types.int64(types.int64), codegen


@intrinsic
def quotient(typingctx, x, y):
    """x // y for x >= 0 and y > 0, without looking at signs."""

    def codegen(context, builder, signature, args):
        return builder.udiv(*args)

    return types.int64(types.int64, types.int64), codegen


@inline
def sum_of(x, y):
    return x + y


@inline
def product_of(x, y):
    return x * y


@inline
def offset_of(p, dims, step, operand, outer, row):
    """The offset of row number `row` in an operand, in elements: as on the CPU, `step` slots a dim from slot `dims` on."""
    offset = i64(0)
    at = i64(dims)
    for _ in range(outer - 1):
        rest = quotient(row, p[at])
        offset += (row - rest * p[at]) * p[at + operand]
        row = rest
        at += step
    return offset + row * p[at + operand] if outer > 0 else offset


for _name, _value in (("rolled", rolled), ("quotient", quotient), ("sum_of", sum_of), ("product_of", product_of), ("offset_of", offset_of)):
    _word(_name, _value)


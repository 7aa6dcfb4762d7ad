"""float16 and bfloat16: 16 bits in memory, float32 where kernels compute.

x86 converts float16 with F16C, which every processor with AVX2 has; bfloat16 is the upper half of a float32.
"""

import functools
import platform

import llvmlite.binding as llvm
import numpy as np
from llvmlite import ir

HALVES = ("f16", "bf16")


def widen(builder, half, bits):
    """16 bits of memory as a float32."""
    if half == "f16":
        return builder.fpext(builder.bitcast(bits, ir.HalfType()), ir.FloatType())
    word = builder.shl(builder.zext(bits, ir.IntType(32)), ir.IntType(32)(16))
    return builder.bitcast(word, ir.FloatType())


@functools.cache
def _converts() -> bool:
    """Whether the processor has an instruction from float32 to float16 (without one LLVM calls a function, which does not vectorise)."""
    return platform.machine() == "x86_64" and bool(llvm.get_host_cpu_features().get("f16c"))


def narrow(builder, half, value):
    """A float32 as 16 bits of memory, to the nearest, ties to even."""
    I32 = ir.IntType(32)
    if half == "f16" and _converts():
        bits = builder.bitcast(builder.fptrunc(value, ir.HalfType()), ir.IntType(16))
        return builder.select(builder.fcmp_unordered("uno", value, value), ir.IntType(16)(0x7E00), bits)
    word = builder.bitcast(value, I32)
    if half == "f16":
        return _narrow_f16(builder, value, word)
    odd = builder.and_(builder.lshr(word, I32(16)), I32(1))
    near = builder.add(word, builder.add(odd, I32(0x7FFF)))
    bits = builder.select(builder.fcmp_unordered("uno", value, value), I32(0x7FC00000), near)
    return builder.trunc(builder.lshr(bits, I32(16)), ir.IntType(16))


def _narrow_f16(builder, value, word):
    """In integers: LLVM may turn an fptrunc of what was a float64 into the call of a library that is not there."""
    I32 = ir.IntType(32)
    sign = builder.and_(builder.lshr(word, I32(16)), I32(0x8000))
    size = builder.and_(word, I32(0x7FFFFFFF))
    odd = builder.and_(builder.lshr(size, I32(13)), I32(1))
    normal = builder.lshr(builder.add(size, builder.add(odd, I32(0xFFF - (112 << 23) & 0xFFFFFFFF))), I32(13))
    # below 2**-14 the sum with 0.5 has the digits of the result at its end, rounded
    lifted = builder.fadd(builder.bitcast(size, ir.FloatType()), ir.FloatType()(0.5))
    small = builder.sub(builder.bitcast(lifted, I32), I32(0x3F000000))
    bits = builder.select(builder.icmp_unsigned("<", size, I32(113 << 23)), small, normal)
    bits = builder.select(builder.icmp_unsigned(">=", size, I32(0x477FF000)), I32(0x7C00), bits)
    bits = builder.select(builder.fcmp_unordered("uno", value, value), I32(0x7E00), bits)
    return builder.trunc(builder.or_(sign, bits), ir.IntType(16))


def plain_widen(half, bits):
    """`widen` in plain Python."""
    if half == "f16":
        return np.float32(np.uint16(bits).view(np.float16))
    return np.uint32(int(bits) << 16).view(np.float32)


def plain_narrow(half, value):
    """`narrow` in plain Python."""
    with np.errstate(all="ignore"):
        if half == "f16":
            return int(np.float16(np.float32(value)).view(np.uint16))
        if value != value:
            return 0x7FC0
        word = int(np.float32(value).view(np.uint32))
        return (word + 0x7FFF + (word >> 16 & 1)) >> 16 & 0xFFFF

"""float16 and bfloat16: 16 bits in memory, float32 where kernels compute.

x86 converts float16 with F16C, which every processor with AVX2 has; bfloat16 is the upper half of a float32.
"""

import numpy as np
from llvmlite import ir

HALVES = ("f16", "bf16")


def widen(builder, half, bits):
    """16 bits of memory as a float32."""
    if half == "f16":
        return builder.fpext(builder.bitcast(bits, ir.HalfType()), ir.FloatType())
    word = builder.shl(builder.zext(bits, ir.IntType(32)), ir.IntType(32)(16))
    return builder.bitcast(word, ir.FloatType())


def narrow(builder, half, value):
    """A float32 as 16 bits of memory, to the nearest, ties to even."""
    if half == "f16":
        return builder.bitcast(builder.fptrunc(value, ir.HalfType()), ir.IntType(16))
    I32 = ir.IntType(32)
    word = builder.bitcast(value, I32)
    odd = builder.and_(builder.lshr(word, I32(16)), I32(1))
    near = builder.add(word, builder.add(odd, I32(0x7FFF)))
    bits = builder.select(builder.fcmp_unordered("uno", value, value), I32(0x7FC00000), near)
    return builder.trunc(builder.lshr(bits, I32(16)), ir.IntType(16))


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

"""Building blocks of the vector maths: one LLVM instruction each, for float32 and float64, with a twin in plain Python.

Every block works on scalars and has no branch, no table and no call, so a loop over it becomes packed instructions. `primitive` pairs
the emitted IR with the Python twin that takes its place under NUMBA_DISABLE_JIT=1; `polynomial` makes a block out of coefficients;
`scalar` compiles a function made of blocks.

No fast-math flag is set anywhere: where an fma is meant, `fma` is written, so a result has the same bits wherever it is inlined.
NOTE: on a processor without fused multiply-add LLVM turns `fma` into a library call: right, but slow.
"""

import functools
from fractions import Fraction

import numpy as np
from llvmlite import ir
from numba import config, njit, types
from numba.extending import intrinsic

SUFFIX = {np.float32: "_f32", np.float64: "_f64"}


def scalar(T, helper=False):
    """Decorator: compiles a function of scalars of type T, to be inlined into its callers; its name gains `_f32` or `_f64`.

    A helper can be called from compiled code only, which saves the time to compile its Python face.
    """

    def decorate(function):
        function.__name__ = function.__qualname__ = function.__name__ + SUFFIX[T]
        if not config.DISABLE_JIT:
            return njit(forceinline=True, error_model="numpy", nogil=True, no_cfunc_wrapper=True, no_cpython_wrapper=helper)(function)

        @functools.wraps(function)
        def in_python(*args):
            with np.errstate(all="ignore"):
                return function(*map(T, args))

        return in_python

    return decorate


def primitive(emit, python, arity):
    """A block of `arity` floats of one type: `emit(builder, *values)` returns the IR value, `python(*scalars)` computes the same."""
    if config.DISABLE_JIT:
        return python

    def typed(*args):
        if not isinstance(args[-1], types.Float) or any(a != args[-1] for a in args[:-1]):
            return None  # Numba's error then names the block and the types it got

        def generate(context, builder, signature, values):
            return emit(builder, *values)

        return args[-1](*args), generate

    # Numba reads the number of arguments from the signature
    by_arity = {1: lambda context, a: typed(a), 2: lambda context, a, b: typed(a, b), 3: lambda context, a, b, c: typed(a, b, c)}
    block = by_arity[arity]
    block.__name__ = python.__name__
    return intrinsic(block)


def instruction(name, python, arity):
    """The block for LLVM's intrinsic `llvm.<name>`."""

    def emit(builder, *values):
        float_type = values[0].type
        function_type = ir.FunctionType(float_type, [float_type] * arity)
        return builder.call(builder.module.declare_intrinsic(f"llvm.{name}", (float_type,), function_type), values)

    return primitive(emit, python, arity)


# One instruction each


def _fma(a, b, c):
    T = type(c)
    if T is np.float32:
        return T(np.float64(a) * np.float64(b) + np.float64(c))
    if np.isfinite(a) and np.isfinite(b) and np.isfinite(c):
        exact = Fraction(float(a)) * Fraction(float(b)) + Fraction(float(c))
        if exact and abs(exact) < 2**1023:
            return T(exact)
    return a * b + c


def _minimum(a, b):
    return min(a, b, key=lambda v: (v, not np.signbit(v))) if a == a and b == b else a + b


def _maximum(a, b):
    return max(a, b, key=lambda v: (v, not np.signbit(v))) if a == a and b == b else a + b


fma = instruction("fma", _fma, 3)  # a * b + c, rounded once
sqrt = instruction("sqrt", lambda x: np.sqrt(x), 1)
fabs = instruction("fabs", lambda x: np.fabs(x), 1)
floor = instruction("floor", lambda x: np.floor(x), 1)
ceil = instruction("ceil", lambda x: np.ceil(x), 1)
trunc = instruction("trunc", lambda x: np.trunc(x), 1)
rint = instruction("rint", lambda x: np.rint(x), 1)  # to nearest, ties to even
copysign = instruction("copysign", lambda x, y: np.copysign(x, y), 2)
maximum = instruction("maximum", _maximum, 2)  # NaN if one is NaN; -0 < +0
minimum = instruction("minimum", _minimum, 2)
fmod = primitive(lambda builder, x, y: builder.frem(x, y), lambda x, y: np.fmod(x, y), 2)  # NOTE: becomes a libm call


def where(condition, x, y):
    """x if the condition holds, else y; both are computed, nothing branches."""
    return x if condition else y


if not config.DISABLE_JIT:

    @intrinsic
    def where(context, condition, x, y):
        if x != y or not isinstance(condition, types.Boolean):
            return None

        def generate(context, builder, signature, values):
            return builder.select(*values)

        return x(condition, x, y), generate


# Powers of two: the bits of a float, sign | biased exponent | fraction


class _Layout:
    """Where the fields lie in a float of the width of `float_type`."""

    def __init__(self, float_type):
        double = isinstance(float_type, ir.DoubleType)
        self.int = ir.IntType(64 if double else 32)
        self.fraction_bits, self.bias = (52, 1023) if double else (23, 127)
        self.two_to_fraction = 2.0**self.fraction_bits  # from here on a float is an integer, standing in its low bits
        one = self.bias << self.fraction_bits
        self.sqrt_half = int(np.float64(0.5**0.5).view("i8")) if double else int(np.float32(0.5**0.5).view("i4"))
        self.sqrt_half_to_one = one - self.sqrt_half


def _emit_pow2(builder, n):
    at = _Layout(n.type)
    biased = builder.fadd(n, n.type(1.5 * at.two_to_fraction + at.bias))
    bits = builder.shl(builder.bitcast(biased, at.int), at.int(at.fraction_bits))
    return builder.bitcast(bits, n.type)


def _emit_exponent(builder, x):
    at = _Layout(x.type)
    bits = builder.add(builder.bitcast(x, at.int), at.int(at.sqrt_half_to_one))
    biased = builder.lshr(bits, at.int(at.fraction_bits))
    # an integer becomes a float by standing in the low bits of 2**fraction_bits; AVX2 has no conversion for 64 bits
    as_float = builder.or_(biased, at.int((at.bias + at.fraction_bits) << at.fraction_bits))
    return builder.fsub(builder.bitcast(as_float, x.type), x.type(at.two_to_fraction + at.bias))


def _emit_significand(builder, x):
    at = _Layout(x.type)
    bits = builder.add(builder.bitcast(x, at.int), at.int(at.sqrt_half_to_one))
    fraction = builder.and_(bits, at.int((1 << at.fraction_bits) - 1))
    return builder.bitcast(builder.add(fraction, at.int(at.sqrt_half)), x.type)


def _pow2(n):
    return np.ldexp(type(n)(1), int(n)) if np.isfinite(n) else n


def _split(x):
    if not np.isfinite(x):
        return x, type(x)(0)
    m, e = np.frexp(x)
    return (m * type(x)(2), type(x)(e - 1)) if m < type(x)(0.5**0.5) else (m, type(x)(e))


pow2 = primitive(_emit_pow2, _pow2, 1)  # 2**n of an integer n with 2**n neither denormal nor infinite
# x = significand(x) * 2**exponent(x) of a positive normal x, with sqrt(1/2) <= significand(x) < sqrt(2)
exponent = primitive(_emit_exponent, lambda x: _split(x)[1], 1)
significand = primitive(_emit_significand, lambda x: _split(x)[0], 1)


def polynomial(T, *coefficients):
    """The block that evaluates a polynomial of type T by Horner's rule with fma; coefficients from the highest power down."""
    first, *rest = map(T, coefficients)

    def emit(builder, x):
        fused = builder.module.declare_intrinsic("llvm.fma", (x.type,), ir.FunctionType(x.type, [x.type] * 3))
        value = x.type(float(first))
        for c in rest:
            value = builder.call(fused, (value, x, x.type(float(c))))
        return value

    def python(x):
        return functools.reduce(lambda value, c: _fma(value, x, c), rest, first)

    return primitive(emit, python, 1)


def split(T, high, low):
    """A constant as a pair (high, low) of type T: `high` is rounded to T, `low` takes up what is left, with `high + low` exact."""
    head = T(high)
    return head, T((np.float64(high) - np.float64(head)) + low)

"""Building blocks of the vector maths: one LLVM instruction each, for float32 and float64, with a twin in plain Python.

Every block works on scalars and has no branch, no table and no call, so a loop over it becomes packed instructions. `primitive` pairs
the emitted IR with the Python twin that takes its place under NUMBA_DISABLE_JIT=1; `polynomial` makes a block out of coefficients;
`scalar` compiles a function made of blocks.

No fast-math flag is set anywhere: where an fma is meant, `fma` is written, so a result has the same bits wherever it is inlined.
NOTE: on a processor without fused multiply-add LLVM turns `fma` into a library call: right, but slow.
"""

import functools
import math
from fractions import Fraction

import numpy as np
from llvmlite import ir
from numba import config, njit, types
from numba.core import cgutils
from numba.extending import intrinsic

SUFFIX = {np.float32: "_f32", np.float64: "_f64"}
twins = {}  # the twin in plain Python of each block, for who runs kernels as Python while Numba compiles


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
    block = intrinsic(block)
    twins[block] = python
    return block


LIBDEVICE = {"copysign", "fabs", "rint", "trunc"}  # NVVM takes the others as they are


def for_card(builder):
    """Whether code is being made for a card, where NVVM knows fewer intrinsics than LLVM and has a library beside them."""
    return builder.module.triple.startswith("nvptx")


def call_libdevice(builder, name, *values):
    """A call of NVIDIA's libdevice, which ends its names of float32 functions with f."""
    kind = values[0].type
    name = f"__nv_{name}" + ("f" if isinstance(kind, ir.FloatType) else "")
    return builder.call(cgutils.get_or_insert_function(builder.module, ir.FunctionType(kind, [kind] * len(values)), name), values)


def _emit_extremum(builder, name, x, y):
    """PTX's max and min, for which -0 < +0; they prefer a number to NaN, so NaN is chosen apart."""
    code, letter = ("f32", "f") if isinstance(x.type, ir.FloatType) else ("f64", "d")
    text = f"{name[:3]}.{code} $0, $1, $2;"
    found = builder.asm(ir.FunctionType(x.type, [x.type] * 2), text, f"={letter},{letter},{letter}", [x, y], False)
    return builder.select(builder.fcmp_unordered("uno", x, y), builder.fadd(x, y), found)


def _emit_remainder(builder, x, y):
    return call_libdevice(builder, "fmod", x, y) if for_card(builder) else builder.frem(x, y)


def instruction(name, python, arity):
    """The block for LLVM's intrinsic `llvm.<name>`."""

    def emit(builder, *values):
        float_type = values[0].type
        function_type = ir.FunctionType(float_type, [float_type] * arity)
        if for_card(builder):
            if name in ("maximum", "minimum"):
                return _emit_extremum(builder, name, *values)
            if name in LIBDEVICE:
                return call_libdevice(builder, name, *values)
        return builder.call(builder.module.declare_intrinsic(f"llvm.{name}", (float_type,), function_type), values)

    return primitive(emit, python, arity)


# One instruction each


ONE = np.float32(1)  # a product with it rounds a Python float, in a third of the time that np.float32(x) takes


def _fma_f32(a, b, c):
    """The product is exact in float64. The sum may fall between two float32 by rounding alone: then what was lost decides."""
    product, c = float(a) * float(b), float(c)
    total = product + c
    result = ONE * total
    rounded = float(result)
    across = total + (total - rounded)
    if rounded != total and float(ONE * across) == across and math.isfinite(across):
        back = total - product
        lost = (product - (total - back)) + (c - back)
        if lost:
            return ONE * math.nextafter(total, math.copysign(math.inf, lost))
    return result


def _fma_f64(a, b, c):
    """The product as the sum of two float64 (Dekker, 1971) where it neither overflows nor underflows, else as a fraction."""
    T = np.float64
    a, b, c = float(a), float(b), float(c)
    product = a * b
    if 1e-270 < abs(product) < 1e300 and abs(a) < 1e290 and abs(b) < 1e290 and abs(c) < 1e300:
        p, q = 134217729.0 * a, 134217729.0 * b
        a_hi, b_hi = p - (p - a), q - (q - b)  # half of the digits
        a_lo, b_lo = a - a_hi, b - b_hi
        rest = a_lo * b_lo - (((product - a_hi * b_hi) - a_lo * b_hi) - a_hi * b_lo)
        return T(math.fsum((product, rest, c)))
    if not (math.isfinite(a) and math.isfinite(b) and math.isfinite(c)):
        return T(c if math.isfinite(a) and math.isfinite(b) else product + c)
    exact = Fraction(a) * Fraction(b) + Fraction(c)
    try:
        return T(float(exact) if exact else product + c)
    except OverflowError:
        return T(math.inf if exact > 0 else -math.inf)


def _fma(a, b, c):
    return _fma_f32(a, b, c) if type(c) is np.float32 else _fma_f64(a, b, c)


def _minimum(a, b):
    if a == b:
        return a if math.copysign(1.0, a) < 0 else b
    return a if a < b else b if b < a else a + b


def _maximum(a, b):
    if a == b:
        return b if math.copysign(1.0, a) < 0 else a
    return a if a > b else b if b > a else a + b


fma = instruction("fma", _fma, 3)  # a * b + c, rounded once
sqrt = instruction("sqrt", lambda x: np.sqrt(x), 1)
fabs = instruction("fabs", lambda x: abs(x), 1)
floor = instruction("floor", lambda x: np.floor(x), 1)
ceil = instruction("ceil", lambda x: np.ceil(x), 1)
trunc = instruction("trunc", lambda x: np.trunc(x), 1)
rint = instruction("rint", lambda x: np.rint(x), 1)  # to nearest, ties to even
copysign = instruction("copysign", lambda x, y: np.copysign(x, y), 2)
maximum = instruction("maximum", _maximum, 2)  # NaN if one is NaN; -0 < +0
minimum = instruction("minimum", _minimum, 2)
fmod = primitive(_emit_remainder, lambda x, y: np.fmod(x, y), 2)  # NOTE: a library call


def where(condition, x, y):
    """x if the condition holds, else y; both are computed, nothing branches."""
    return x if condition else y


if not config.DISABLE_JIT:

    _where = where

    @intrinsic
    def where(context, condition, x, y):
        if x != y or not isinstance(condition, types.Boolean):
            return None

        def generate(context, builder, signature, values):
            return builder.select(*values)

        return x(condition, x, y), generate

    twins[where] = _where


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


def _emit_nextafter(builder, x, y):
    at = _Layout(x.type)
    bits, zero = builder.bitcast(x, at.int), x.type(0.0)
    away = builder.xor(builder.fcmp_ordered("<", x, y), builder.fcmp_ordered("<", x, zero))  # whether |x| grows: then its bits count up
    near = builder.bitcast(builder.add(bits, builder.select(away, at.int(1), at.int(-1))), x.type)
    sign = builder.and_(builder.bitcast(y, at.int), at.int(1 << (at.int.width - 1)))
    least = builder.bitcast(builder.or_(sign, at.int(1)), x.type)
    found = builder.select(builder.fcmp_ordered("==", x, zero), least, near)
    found = builder.select(builder.fcmp_ordered("==", x, y), y, found)
    return builder.select(builder.fcmp_unordered("uno", x, y), builder.fadd(x, y), found)


def _pow2(n):
    return type(n)(math.ldexp(1.0, int(n)) if n < 1024 else math.inf) if math.isfinite(n) else n


def _split(x):
    T = type(x)
    if not math.isfinite(x):
        return x, T(0)
    m, e = math.frexp(x)
    m = T(m)
    return (m * T(2), T(e - 1)) if m < T(0.5**0.5) else (m, T(e))


pow2 = primitive(_emit_pow2, _pow2, 1)  # 2**n of an integer n with 2**n neither denormal nor infinite
# x = significand(x) * 2**exponent(x) of a positive normal x, with sqrt(1/2) <= significand(x) < sqrt(2)
exponent = primitive(_emit_exponent, lambda x: _split(x)[1], 1)
significand = primitive(_emit_significand, lambda x: _split(x)[0], 1)
nextafter = primitive(_emit_nextafter, lambda x, y: np.nextafter(x, y), 2)  # the next number from x towards y


def polynomial(T, *coefficients, halves=False):
    """The block that evaluates a polynomial of type T by Horner's rule with fma; coefficients from the highest power down.

    With `halves` as P(x**2) + x Q(x**2) (Estrin, 1960): each step of Horner's rule waits for the one before, and the halves do not wait for
    each other (erf in float64 5.9 ns an element as one chain, 4.1 as two). Large |x| then cost digits.
    """
    given = [T(c) for c in coefficients]

    def combined(x, product, fused, constant):
        def horner(part, z):
            return functools.reduce(lambda value, c: fused(value, z, constant(c)), part[1:], constant(part[0]))

        if not halves:
            return horner(given, x)
        z = product(x, x)
        return fused(horner(given[-2::-2][::-1], z), x, horner(given[-1::-2][::-1], z))

    def emit(builder, x):
        fma = builder.module.declare_intrinsic("llvm.fma", (x.type,), ir.FunctionType(x.type, [x.type] * 3))
        return combined(x, builder.fmul, lambda *values: builder.call(fma, values), lambda c: x.type(float(c)))

    fused_in_python = _fma_f32 if T is np.float32 else _fma_f64

    def python(x):
        return combined(x, lambda a, b: a * b, fused_in_python, lambda c: c)

    return primitive(emit, python, 1)


def split(T, high, low):
    """A constant as a pair (high, low) of type T: `high` is rounded to T, `low` takes up what is left, with `high + low` exact."""
    head = T(high)
    return head, T((np.float64(high) - np.float64(head)) + low)

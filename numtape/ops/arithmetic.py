"""Arithmetic: sums, products, quotients, remainders, rounding, powers, extrema."""

from __future__ import annotations

from numtape import dtypes
from numtape.op import arithmetic, counting, floating, modulus, numeric, subtractable
from numtape.ops.define import composite, elementwise, formula

# ruff: noqa: F821  (m is the kernels' maths library, known when a kernel is printed)


@elementwise(arithmetic, vjp=lambda g: g, method=False, complex=True)
def zero(x):
    "Zero, whatever x: the derivative of steps."
    return 0


zero.op.vjp = (lambda g: zero(g),)


@elementwise(arithmetic, vjp=(lambda g: g, lambda g: g), aliases=("__add__", "__radd__"), complex=True)
def add(x, y):
    "The sum x + y."
    return x + y


@elementwise(subtractable, vjp=(lambda g: g, lambda g: -g), aliases=("subtract",), complex=True)
def sub(x, y):
    "The difference x - y."
    return x - y


@elementwise(arithmetic, vjp=(lambda g, y: g * y, lambda g, x: g * x), aliases=("multiply",), complex=True)
def mul(x, y):
    "The product x * y."
    return x * y


@elementwise(floating, vjp=(lambda g, y: g / y, lambda g, y, out: -g * out / y), aliases=("divide", "true_divide"), complex=True)
def div(x, y):
    "The quotient x / y, in floating point."
    return x / y


@formula(vjp=(lambda g: g, lambda g, alpha: g * alpha, None), method=False, complex=True)
def add_scaled(x, y, alpha):
    "x + alpha * y."
    return x + alpha * y


@elementwise(numeric, vjp=lambda g: -g, aliases=("negative",), complex=True)
def neg(x):
    "The negative, -x."
    return -x


@composite
def positive(input):
    "+input, which is input itself."
    if getattr(input, "dtype", None) is None:
        raise TypeError(f"positive(): argument 'input' must be Tensor, not {type(input).__name__}")
    if input.dtype is dtypes.bool:
        raise RuntimeError("The `+` operator, on a bool tensor is not supported.")
    return input


@elementwise(modulus, vjp=lambda g, x: g * x.sgn(), aliases=("absolute",), complex=True, wirtinger=True)
def abs(x):
    "The absolute value; of a complex number its distance from zero."
    return m.abs(x)


@elementwise(arithmetic, vjp=lambda g: zero(g))
def sign(x):
    "-1, 0 or 1, the sign of x."
    return m.sign(x)


@elementwise(arithmetic, vjp=lambda g, x, out: turning(g, x, out), complex=True, wirtinger=True)
def sgn(x):
    "The sign of x; of a complex number x / |x|, and 0 of 0."
    return m.sign(x)


def turning(g, x, out):
    """The gradient of x / |x|: what of g turns it, over |x|. Zero for real numbers, whose sign does not turn."""
    if not x.dtype.is_complex:
        return zero(g)
    from numtape.ops.complex import _real_part

    length = x.abs()
    return _where(length == 0, zero(g), (g - out * _real_part(g * out.conj())) / length)


@elementwise(floating, vjp=lambda g, out: -g * out * out, complex=True)
def reciprocal(x):
    "1 / x."
    return 1 / x


@elementwise(floating, vjp=lambda g, out: g / (out + out), complex=True)
def sqrt(x):
    "The square root; NaN below zero."
    return m.sqrt(x)


@formula(vjp=lambda g, out: g * -0.5 * out * out * out, complex=True)
def rsqrt(x):
    "1 / sqrt(x)."
    return 1.0 / sqrt(x)


@elementwise(counting, vjp=lambda g, x: g * (x + x), complex=True)
def square(x):
    "x * x."
    return x * x


@formula(method=False, inplace=False, vjp=(lambda g, x: g * (3 * square(x)),), complex=True)
def _cube(x):
    "x * x * x."
    return x * x * x


@elementwise(numeric, vjp=lambda g: zero(g))
def floor(x):
    "The largest integer not above x; integers stay as they are."
    return m.floor(x)


@elementwise(numeric, vjp=lambda g: zero(g))
def ceil(x):
    "The smallest integer not below x."
    return m.ceil(x)


@elementwise(numeric, vjp=lambda g: zero(g), aliases=("fix",))
def trunc(x):
    "x without its fraction."
    return m.trunc(x)


@elementwise(numeric, vjp=lambda g: zero(g), method=False, inplace=False)
def rint(x):
    "The nearest integer, halves to even."
    return m.round(x)


@formula(vjp=lambda g: g, floats=True)
def frac(x):
    "The fraction x - trunc(x)."
    return x - trunc(x)


@elementwise(arithmetic, vjp=(lambda g, x, y: extremum_share(g, x, y), lambda g, x, y: extremum_share(g, y, x)))
def maximum(x, y):
    "The larger of x and y; NaN if either is. Ties share the gradient."
    return m.maximum(x, y)


@elementwise(arithmetic, vjp=(lambda g, x, y: extremum_share(g, y, x), lambda g, x, y: extremum_share(g, x, y)))
def minimum(x, y):
    "The smaller of x and y; NaN if either is. Ties share the gradient."
    return m.minimum(x, y)


@formula(method=False, inplace=False)
def extremum_share(share, winner, loser):
    "What of the gradient `share` goes to `winner`: all if it is larger than `loser`, half on a tie, else nothing."
    return _where(winner > loser, share, _where(winner == loser, share * 0.5, zero(share)))


@elementwise(numeric, vjp=(lambda g: g, lambda g, x, y: -g * trunc(x / y)))
def fmod(x, y):
    "The remainder of x / y with the sign of x, as C's fmod."
    return m.fmod(x, y)


@elementwise(numeric, vjp=(lambda g: g, lambda g, x, y: -g * floor(x / y)), aliases=("__mod__",))
def remainder(x, y):
    "The remainder of x / y with the sign of y, as Python's %."
    return m.remainder(x, y)


@elementwise(numeric, vjp=(lambda g: zero(g), lambda g: zero(g)))
def floor_divide(x, y):
    "x / y rounded down."
    return m.floor_divide(x, y)


@elementwise(numeric, vjp=(lambda g: zero(g), lambda g: zero(g)), method=False, inplace=False)
def truncate_divide(x, y):
    "x / y rounded towards zero."
    return m.truncate_divide(x, y)


@elementwise(
    numeric,
    vjp=(
        lambda g, x, y: g * _pow_slope(x, y),
        lambda g, x, y, out: g * _pow_log(x, y, out),
    ),
    domain="positive",
    complex=True,
)
def pow(x, y):
    "x to the power y. Integers stay integers."
    return m.pow(x, y)


@formula(method=False, inplace=False, complex=True)
def _pow_slope(x, y):
    "The derivative of x**y by x: y * x**(y - 1), and 0 where y is 0."
    return _where(y == 0, 0.0, y * pow(x, y - 1))


@formula(method=False, inplace=False, complex=True)
def _pow_log(x, y, power):
    "The derivative of x**y by y: x**y * log(x), and 0 for x == 0 and a y whose real part is not negative."
    from numtape.ops.complex import _real_part

    return _where((x == 0) & (_real_part(y) >= 0), 0.0, power * x.log())


@formula(vjp=(lambda g, x, low: _where(x >= low, g, zero(g)), lambda g, x, low: _where(x < low, g, zero(g))), aliases=("clip_min",))
def clamp_min(x, low):
    "x, but not below `min`."
    return maximum(x, low)


@formula(vjp=(lambda g, x, high: _where(x <= high, g, zero(g)), lambda g, x, high: _where(x > high, g, zero(g))), aliases=("clip_max",))
def clamp_max(x, high):
    "x, but not above `max`."
    return minimum(x, high)


@formula(
    vjp=(
        lambda g, x, low, high: _where((x >= low) & (x <= high), g, zero(g)),
        lambda g, x, low, high: _where((x < low) & (low < high), g, zero(g)),
        lambda g, x, low, high: _where((x > high) | (low >= high), g, zero(g)),
    ),
    method=False,
)
def clamp_both(x, low, high):
    "x, but not below `low` and not above `high`."
    return minimum(maximum(x, low), high)


def _where(condition, x, y):
    from numtape.ops.select import where

    return where(condition, x, y)


@formula(numbers=True, vjp=(lambda g: g, lambda g, b, value: g * b * value, lambda g, a, value: g * a * value, None), complex=True)
def addcmul(x, a, b, value):
    "x + value * a * b."
    return x + value * a * b


@formula(
    floats=True,
    vjp=(lambda g: g, lambda g, b, value: g * value / b, lambda g, a, b, value: -g * value * a / (b * b), None),
    complex=True,
)
def addcdiv(x, a, b, value):
    "x + value * a / b."
    return x + value * a / b


@formula(vjp=(lambda g, weight: g * (1 - weight), lambda g, weight: g * weight, lambda g, x, end: g * (end - x)), floats=True, complex=True)
def lerp(x, end, weight):
    "x + weight * (end - x)."
    return x + weight * (end - x)

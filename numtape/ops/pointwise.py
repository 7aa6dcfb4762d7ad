"""More functions of one or two elements: angles, signs, logarithms of sums, what becomes of NaN."""

from __future__ import annotations

import math

from numtape import dtypes
from numtape.dispatch import elementwise as calls
from numtape.dispatch import functions, inplace
from numtape.op import TABLE, arithmetic, floating, predicate, refuse_complex
from numtape.ops.activation import sigmoid
from numtape.ops.arithmetic import maximum, minimum, zero
from numtape.ops.compare import isinf, isnan
from numtape.ops.complex import _complex_of, _real_part, imag, real
from numtape.ops.define import composite, elementwise, formula
from numtape.ops.exponential import exp, exp2, log, log1p
from numtape.ops.select import where
from numtape.ops.trigonometric import cos, sin
from numtape.tensor import Tensor

# ruff: noqa: F821  (m is the kernels' maths library, known when a kernel is printed)
PI, LN2 = math.pi, 0.6931471805599453


# ------------------------------------------------------------------------------------------------ angles
@formula
def deg2rad(x):
    "Degrees as radians."
    return x * (PI / 180)


@formula
def rad2deg(x):
    "Radians as degrees."
    return x * (180 / PI)


@formula(vjp=lambda g, x: where(x == 0, zero(g), g * (cos(x * PI) - sinc(x)) / x), complex=True)
def sinc(x):
    "sin(pi * x) / (pi * x), and 1 at zero."
    return where(x == 0, 1.0, sin(x * PI) / (x * PI))


@formula(vjp=(lambda g, x, out: g * (x / out), lambda g, y, out: g * (y / out)), floats=True)
def hypot(x, y):
    "sqrt(x * x + y * y) without leaving the range of the dtype."
    kind = (x + y).dtype  # a bool or a whole number beside a float counts as one
    x, y = x.to(kind), y.to(kind)
    long, short = maximum(x.abs(), y.abs()), minimum(x.abs(), y.abs())
    ratio = short / long
    return where(isinf(x) | isinf(y), math.inf, where(long == 0, long, long * (ratio * ratio + 1).sqrt()))


@elementwise(floating, vjp=lambda g, x: g * (x * x + 1).rsqrt(), aliases=("arcsinh",), complex=True)
def asinh(x):
    "The inverse of sinh."
    return m.asinh(x)


@elementwise(floating, vjp=lambda g, x: g * (x - 1).rsqrt() * (x + 1).rsqrt(), aliases=("arccosh",), complex=True)
def acosh(x):
    "The inverse of cosh, not negative; NaN below 1."
    return m.acosh(x)


@elementwise(floating, vjp=lambda g, x: g / (1 - x * x), domain="unit", aliases=("arctanh",), complex=True)
def atanh(x):
    "The inverse of tanh; NaN outside [-1, 1]."
    return m.atanh(x)


# ------------------------------------------------------------------------------------------------ signs and steps
@elementwise(floating, vjp=(lambda g, x, out: where(x == 0, zero(g), g * out / x), lambda g: zero(g)))
def copysign(x, y):
    "|x| with the sign of y."
    return m.copysign(x, y)


@elementwise(predicate, inplace=False)
def signbit(x):
    "Whether the sign is negative; that of -0.0 is."
    return m.signbit(x)


def _alike(name, operands):
    if operands[0][0] is not operands[1][0]:
        raise RuntimeError(f"{name} is not yet implemented for tensors with different dtypes: {operands[0][0].name} and {operands[1][0].name}")
    return arithmetic(name, operands)


@elementwise(_alike)
def heaviside(x, y):
    "0 where x is negative, y where it is 0, 1 where it is positive."
    return y if x == 0 else (1 if x > 0 else 0)


@formula(inplace=False)
def isposinf(x):
    "Whether x is infinite and positive."
    return x == math.inf


@formula(inplace=False)
def isneginf(x):
    "Whether x is infinite and negative."
    return x == -math.inf


def _neighbours(name, operands):
    kinds, kind = floating(name, operands)
    if any(k.is_floating_point for k, _ in operands):
        return kinds, kind
    raise RuntimeError(f"{name}: not implemented for {operands[0][0].name} tensors; expected floating point")


@elementwise(_neighbours)
def nextafter(x, y):
    "The number of the dtype that is next to x on the way to y."
    return m.nextafter(x, y)


# ------------------------------------------------------------------------------------------------ NaN
@formula(
    vjp=(
        lambda g, x, y: where((x >= y) | isnan(y), g, zero(g)),
        lambda g, x, y: where((x >= y) | isnan(y), zero(g), g),
    ),
    inplace=False,
)
def fmax(x, y):
    "The larger of x and y; the other where one is NaN."
    return where((x >= y) | isnan(y), x, y)


@formula(
    vjp=(
        lambda g, x, y: where((x <= y) | isnan(y), g, zero(g)),
        lambda g, x, y: where((x <= y) | isnan(y), zero(g), g),
    ),
    inplace=False,
)
def fmin(x, y):
    "The smaller of x and y; the other where one is NaN."
    return where((x <= y) | isnan(y), x, y)


@formula(vjp=(lambda g, x: where(isnan(x) | isinf(x), zero(g), g), None, None, None), inplace=False, method=False)
def _finite(x, nan, high, low):
    "x with numbers in the place of NaN and of the infinities."
    return where(isnan(x), nan, where(x == math.inf, high, where(x == -math.inf, low, x)))


def _replacements(x, nan, posinf, neginf):
    if not isinstance(x, Tensor):
        raise TypeError(f"nan_to_num(): argument 'input' must be Tensor, not {type(x).__name__}")
    limits = dtypes.finfo(x._spec.dtype) if x._spec.dtype.differentiable else None
    high, low = (0.0, 0.0) if limits is None else (limits.max, limits.min)
    return x, 0.0 if nan is None else float(nan), high if posinf is None else float(posinf), low if neginf is None else float(neginf)


@composite
def nan_to_num(input, nan=None, posinf=None, neginf=None, *, out=None):
    "The elements with `nan` (0) for NaN and `posinf`, `neginf` (the largest and the lowest number of the dtype) for the infinities."
    args = _replacements(input, nan, posinf, neginf)
    if input._spec.dtype.is_complex:
        parts = [calls.call(TABLE["_finite"], (part(input), *args[1:])) for part in (real, imag)]
        return _complex_of(*parts) if out is None else functions.into("nan_to_num", _complex_of(*parts), out)
    if not input._spec.dtype.is_floating_point:
        return input.clone() if out is None else functions.into("nan_to_num", input, out)
    return calls.call(TABLE["_finite"], args) if out is None else inplace.call_out(TABLE["_finite"], args, out)


def nan_to_num_(self, nan=None, posinf=None, neginf=None):
    """Replace NaN and infinities in place."""
    args = _replacements(self, nan, posinf, neginf)
    if self._spec.dtype.is_complex:
        return self.copy_(nan_to_num(self, nan, posinf, neginf))
    return inplace.call_into(TABLE["_finite"], args, self, "nan_to_num_") if self._spec.dtype.is_floating_point else self


# ------------------------------------------------------------------------------------------------ logarithms
@formula(vjp=(lambda g, x, y: g * sigmoid(x - y), lambda g, x, y: g * sigmoid(y - x)), floats=True, inplace=False, complex=True)
def logaddexp(x, y):
    "log(e**x + e**y) without leaving the range of the dtype."
    if (x + y).dtype.is_complex:
        above = _real_part(x) >= _real_part(y)
        large, small = where(above, x, y), where(above, y, x)
        return where((x == y) & isinf(x), x, large + log1p(exp(small - large)))
    return where((x == y) & isinf(x), x, maximum(x, y) + log1p(exp((x - y).abs() * -1.0)))


@formula(vjp=(lambda g, x, y: g * sigmoid((x - y) * LN2), lambda g, x, y: g * sigmoid((y - x) * LN2)), floats=True, inplace=False)
def logaddexp2(x, y):
    "log2(2**x + 2**y) without leaving the range of the dtype."
    return where((x == y) & isinf(x), x, maximum(x, y) + log1p(exp2((x - y).abs() * -1.0)) * (1 / LN2))


@formula(vjp=lambda g, x: where((x < 0) | (x > 1), math.nan, g / (x * (1 - x))), method=False, inplace=False)
def _logit(x):
    "log(x / (1 - x))."
    return log(x / (1.0 - x))


def _inside(input, eps):
    if not isinstance(input, Tensor):
        raise TypeError(f"logit(): argument 'input' must be Tensor, not {type(input).__name__}")
    refuse_complex("logit", input._spec.dtype)
    x = input if input._spec.dtype.is_floating_point else input.to(dtypes.get_default_dtype())
    return x if eps is None else x.clamp(eps, 1 - eps)


@composite
def logit(input, eps=None, *, out=None):
    "log(x / (1 - x)), the inverse of sigmoid; with eps, x is kept within [eps, 1 - eps]."
    x = _inside(input, eps)
    return calls.call(TABLE["_logit"], (x,)) if out is None else inplace.call_out(TABLE["_logit"], (x,), out)


def logit_(self, eps=None):
    """The inverse of sigmoid, in place."""
    if eps is not None:
        self.clamp_(eps, 1 - eps)
    return inplace.call_into(TABLE["_logit"], (self,), self, "logit_")


# ------------------------------------------------------------------------------------------------ powers
def _doubles(*operands):
    """Operands in float64, or in complex128 if one of them is complex."""
    whole = any(a.dtype.is_complex if isinstance(a, Tensor) else isinstance(a, complex) for a in operands)
    kind, number = (dtypes.complex128, complex) if whole else (dtypes.float64, float)
    return tuple(a.to(kind) if isinstance(a, Tensor) else number(a) for a in operands)


@composite
def float_power(input, exponent, *, out=None):
    "input to the power exponent, in float64, or complex128 if one of them is complex."
    if not isinstance(input, Tensor) and not isinstance(exponent, Tensor):
        raise TypeError("float_power(): expected a Tensor as input or exponent, got two numbers")
    result = calls.call(TABLE["pow"], _doubles(input, exponent))
    return result if out is None else functions.into("float_power", result, out)


def float_power_(self, exponent):
    """Raise to a power in float64, in place."""
    base, power = _doubles(self, exponent)
    if base is not self:
        kind = base._spec.dtype.name
        raise RuntimeError(f"the base given to float_power_ has dtype {self._spec.dtype.name} but the operation's result requires dtype {kind}")
    return inplace.call_into(TABLE["pow"], (self, power), self, "float_power_")


@composite
def ldexp(input, other, *, out=None):
    "input * 2**other."
    if not isinstance(other, Tensor):
        raise TypeError(f"ldexp(): argument 'other' (position 2) must be Tensor, not {type(other).__name__}")
    power = calls.call(TABLE["pow"], (2.0, other))
    result = calls.call(TABLE["mul"], (input, power.to(input.dtype) if input.dtype.is_half else power))
    return result if out is None else functions.into("ldexp", result, out)


def ldexp_(self, other):
    """Multiply by 2**other in place."""
    if not isinstance(other, Tensor):
        raise TypeError(f"ldexp_(): argument 'other' (position 1) must be Tensor, not {type(other).__name__}")
    return self.mul_(calls.call(TABLE["pow"], (2.0, other)))


METHODS = {"nan_to_num_": nan_to_num_, "logit_": logit_, "float_power_": float_power_, "ldexp_": ldexp_}

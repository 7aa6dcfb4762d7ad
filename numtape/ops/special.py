"""Special functions: the gamma family, inverses and scaled forms of the error function, Bessel functions, entropies."""

from __future__ import annotations

import math

from numtape import dtypes
from numtape.dispatch import elementwise as calls
from numtape.dispatch import functions, inplace
from numtape.op import TABLE, floating
from numtape.ops.arithmetic import zero
from numtape.ops.compare import isnan
from numtape.ops.define import composite, elementwise, formula
from numtape.ops.exponential import erfc, exp, log, log1p
from numtape.ops.select import where
from numtape.tensor import Tensor


# ruff: noqa: F821  (m is the kernels' maths library, known when a kernel is printed)
def floats_only(name, operands):
    """As `floating`, but whole numbers and bools are refused."""
    kinds, kind = floating(name, operands)
    if any(k.is_floating_point for k, _ in operands):
        return kinds, kind
    raise RuntimeError(f"{name}: not implemented for {operands[0][0].name} tensors; expected floating point")


ROOT_HALF, TWO_BY_ROOT_PI, ROOT_TWO_PI = math.sqrt(0.5), 2 / math.sqrt(math.pi), math.sqrt(2 * math.pi)


# ------------------------------------------------------------------------------------------------ gamma
@elementwise(floating, vjp=lambda g, x: g * digamma(x))
def lgamma(x):
    "log |gamma(x)|; infinite at 0 and at negative integers."
    return m.lgamma(x)


@elementwise(floating, vjp=lambda g, x: g * _trigamma(x))
def digamma(x):
    "The derivative of lgamma; NaN at negative integers."
    return m.digamma(x)


@elementwise(floating, vjp=lambda g, x: g * _polygamma(x, 2.0), method=False, inplace=False)
def _trigamma(x):
    "The second derivative of lgamma."
    return m.trigamma(x)


@elementwise(floating, vjp=(lambda g, x, n: g * _polygamma(x, n + 1), None), method=False, inplace=False)
def _polygamma(x, n):
    "The derivative of order n >= 2 of digamma."
    return m.polygamma(x, n)


@elementwise(floating, vjp=(lambda g: _no_slope(g), lambda g, x, y: g * -x * _zeta(x + 1, y)), method=False, inplace=False)
def _zeta(x, y):
    "The sum of (k + y)**-x over all k >= 0: Hurwitz's zeta function."
    return m.zeta(x, y)


def _no_slope(g):
    raise NotImplementedError("zeta: the derivative with respect to input is not implemented, only that with respect to other")


def _order(n, input):
    if isinstance(n, Tensor):
        n, input = input, n
    if not isinstance(input, Tensor):
        raise TypeError(f"polygamma(): argument 'input' must be Tensor, not {type(input).__name__}")
    if not isinstance(n, int) or isinstance(n, bool):
        raise TypeError(f"polygamma(): argument 'n' must be int, not {type(n).__name__}")
    if n < 0:
        raise RuntimeError("polygamma(n, x) does not support negative n.")
    name = ("digamma", "_trigamma")[n] if n < 2 else "_polygamma"
    return TABLE[name], (input,) if n < 2 else (input, float(n))


@composite
def polygamma(n, input, *, out=None):
    "The derivative of order n of digamma; n is not negative."
    op, args = _order(n, input)
    return calls.call(op, args) if out is None else inplace.call_out(op, args, out)


def polygamma_(self, n):
    """The derivative of order n of digamma, in place."""
    op, args = _order(n, self)
    return inplace.call_into(op, args, self, "polygamma_")


@composite
def mvlgamma(input, p, *, out=None):
    "The logarithm of the multivariate gamma function of dimension p; where x <= (p - 1) / 2 it is not defined, as lgamma there is."
    if p < 1:
        raise RuntimeError(f"p has to be greater than or equal to 1, got {p}")
    result = lgamma(input)
    for k in range(1, p):
        result = result + lgamma(input - 0.5 * k)
    result = result + 0.25 * p * (p - 1) * math.log(math.pi)
    return result if out is None else functions.into("mvlgamma", result, out)


def mvlgamma_(self, p):
    """The logarithm of the multivariate gamma function, in place."""
    if not self._spec.dtype.is_floating_point:
        raise RuntimeError(f"mvlgamma_: result type {dtypes.get_default_dtype()} can't be cast to the desired output type {self.dtype}")
    return self.copy_(mvlgamma(self.clone(), p))


# ------------------------------------------------------------------------------------------------ error functions
@elementwise(floating, vjp=lambda g, out: g * exp(out * out) * (1 / TWO_BY_ROOT_PI), domain="unit")
def erfinv(x):
    "The inverse of erf; NaN outside [-1, 1]."
    return m.erfinv(x)


@elementwise(floating, vjp=lambda g, x, out: g * (x * out * 2 - TWO_BY_ROOT_PI), method=False, inplace=False)
def special_erfcx(x):
    "e**(x * x) * erfc(x), which neither vanishes nor overflows for positive x."
    return m.erfcx(x)


@formula(vjp=lambda g, x: g * exp(x * x * -0.5) * (1 / ROOT_TWO_PI), method=False, inplace=False)
def special_ndtr(x):
    "The distribution function of the normal distribution."
    return erfc(x * -ROOT_HALF) * 0.5


@formula(vjp=lambda g, x: g * (2 / ROOT_TWO_PI) / special_erfcx(x * -ROOT_HALF), method=False, inplace=False)
def special_log_ndtr(x):
    "The logarithm of the distribution function of the normal distribution."
    far = log(special_erfcx(x * -ROOT_HALF) * 0.5) - x * x * 0.5
    return where(x < -1.0, far, log1p(erfc(x * ROOT_HALF) * -0.5))


# ------------------------------------------------------------------------------------------------ entropies
@formula(
    vjp=(
        lambda g, x, y: where((x == 0) & (y <= 0), zero(g), xlogy(g, y)),
        lambda g, x, y: g * x / y,
    ),
    domain="positive",
)
def xlogy(x, y):
    "x * log(y), and 0 where x is 0; NaN where y is."
    return where(isnan(y), math.nan, where(x == 0, 0.0, x * log(y)))


@formula(
    vjp=(
        lambda g, x, y: where((x == 0) & (y <= -1), zero(g), special_xlog1py(g, y)),
        lambda g, x, y: g * x / (y + 1),
    ),
    domain="positive",
    method=False,
    inplace=False,
)
def special_xlog1py(x, y):
    "x * log(1 + y), and 0 where x is 0; NaN where y is."
    return where(isnan(y), math.nan, where(x == 0, 0.0, x * log1p(y)))


@formula(vjp=lambda g, x: g * (-1.0 - log(x)), domain="positive", method=False, inplace=False)
def special_entr(x):
    "-x * log(x): 0 at zero, -inf below."
    return where(isnan(x), math.nan, where(x > 0, x * -1.0 * log(x), where(x == 0, zero(x), -math.inf)))


# ------------------------------------------------------------------------------------------------ Bessel functions
@elementwise(floating, vjp=lambda g, x: g * special_i1(x))
def i0(x):
    "The modified Bessel function of the first kind, of order 0."
    return m.i0(x)


@elementwise(floating, vjp=lambda g, x, out: g * (special_i1e(x) - x.sign() * out), method=False, inplace=False)
def special_i0e(x):
    "e**-|x| * i0(x)."
    return m.i0e(x)


@elementwise(floating, vjp=lambda g, x, out: g * (i0(x) - _by(out, x)), method=False, inplace=False)
def special_i1(x):
    "The modified Bessel function of the first kind, of order 1."
    return m.i1(x)


@elementwise(floating, vjp=lambda g, x, out: g * (special_i0e(x) - x.sign() * out - _by(out, x)), method=False, inplace=False)
def special_i1e(x):
    "e**-|x| * i1(x)."
    return m.i1e(x)


@elementwise(floating, method=False, inplace=False)
def special_bessel_j0(x):
    "The Bessel function of the first kind of order 0."
    return m.bessel_j0(x)


@elementwise(floating, method=False, inplace=False)
def special_bessel_j1(x):
    "The Bessel function of the first kind of order 1."
    return m.bessel_j1(x)


@elementwise(floating, method=False, inplace=False, domain="positive")
def special_bessel_y0(x):
    "The Bessel function of the second kind of order 0; NaN below zero."
    return m.bessel_y0(x)


@elementwise(floating, method=False, inplace=False, domain="positive")
def special_bessel_y1(x):
    "The Bessel function of the second kind of order 1; NaN below zero."
    return m.bessel_y1(x)


@elementwise(floating, method=False, inplace=False, domain="positive")
def special_modified_bessel_k0(x):
    "The modified Bessel function of the second kind of order 0; NaN below zero."
    return m.k0(x)


@elementwise(floating, method=False, inplace=False, domain="positive")
def special_modified_bessel_k1(x):
    "The modified Bessel function of the second kind of order 1; NaN below zero."
    return m.k1(x)


@elementwise(floating, method=False, inplace=False, domain="positive")
def special_scaled_modified_bessel_k0(x):
    "e**x times the modified Bessel function of the second kind of order 0."
    return m.k0e(x)


@elementwise(floating, method=False, inplace=False, domain="positive")
def special_scaled_modified_bessel_k1(x):
    "e**x times the modified Bessel function of the second kind of order 1."
    return m.k1e(x)


@elementwise(floating, method=False, inplace=False)
def special_spherical_bessel_j0(x):
    "The spherical Bessel function of the first kind of order 0, sin(x) / x; 0 at infinity."
    return 1 if x == 0 else (0 if m.isinf(x) else m.sin(x) / x)


def _by(y, x):
    """i1(x) / x, and its limit at zero."""
    return where(x == 0, 0.5, y / x)


# ------------------------------------------------------------------------------------------------ incomplete gamma functions, quantiles
def _no_shape(g):
    raise NotImplementedError("igamma, igammac: the derivative with respect to input is not implemented, only that with respect to other")


def _density(g, x, y):
    return g * exp((x - 1) * log(y) - y - lgamma(x))


@elementwise(floats_only, vjp=(lambda g: _no_shape(g), lambda g, x, y: _density(g, x, y)), domain="positive")
def igamma(x, y):
    "The regularized lower incomplete gamma function P(x, y): 1 - igammac."
    return m.igamma(x, y)


@elementwise(floats_only, vjp=(lambda g: _no_shape(g), lambda g, x, y: -_density(g, x, y)), domain="positive")
def igammac(x, y):
    "The regularized upper incomplete gamma function Q(x, y): 1 - igamma."
    return m.igammac(x, y)


@elementwise(floating, vjp=lambda g, out: g * exp(out * out * 0.5) * ROOT_TWO_PI, method=False, inplace=False)
def special_ndtri(x):
    "The quantile of the normal distribution, the inverse of ndtr; NaN outside [0, 1]."
    return m.ndtri(x)


# ------------------------------------------------------------------------------------------------ numtape.special
def zeta(input, other, *, out=None):
    """Hurwitz's zeta function, the sum of (k + other)**-input over all k >= 0; either may be a number."""
    result = calls.call(TABLE["_zeta"], (input, other))
    return result if out is None else functions.into("zeta", result, out)


HIDDEN = {name for name in TABLE if name.startswith("special_")}
METHODS = {"polygamma": lambda self, n: polygamma(n, self), "polygamma_": polygamma_, "mvlgamma_": mvlgamma_}
FUNCTION_ONLY = {"polygamma"}

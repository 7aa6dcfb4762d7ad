"""Exponentials and logarithms."""

from __future__ import annotations

from numtape.op import floating
from numtape.ops.define import elementwise

# ruff: noqa: F821  (m is the kernels' maths library, known when a kernel is printed)
LN2, LN10 = 0.6931471805599453, 2.302585092994046


@elementwise(floating, vjp=lambda g, out: g * out, complex=True)
def exp(x):
    "The exponential, e**x."
    return m.exp(x)


@elementwise(floating, vjp=lambda g, out: g * out * LN2, complex=True)
def exp2(x):
    "2**x."
    return m.exp2(x)


@elementwise(floating, vjp=lambda g, out: g * (out + 1), complex=True)
def expm1(x):
    "e**x - 1, accurate near zero."
    return m.expm1(x)


@elementwise(floating, vjp=lambda g, x: g / x, domain="positive", complex=True)
def log(x):
    "The natural logarithm; -inf at zero, NaN below."
    return m.log(x)


@elementwise(floating, vjp=lambda g, x: g / (x * LN2), domain="positive", complex=True)
def log2(x):
    "The logarithm to base 2."
    return m.log2(x)


@elementwise(floating, vjp=lambda g, x: g / (x * LN10), domain="positive", complex=True)
def log10(x):
    "The logarithm to base 10."
    return m.log10(x)


@elementwise(floating, vjp=lambda g, x: g / (x + 1), domain="positive", complex=True)
def log1p(x):
    "log(1 + x), accurate near zero."
    return m.log1p(x)


@elementwise(floating, vjp=lambda g, x: g * (x * x * -1.0).exp() * 1.1283791670955126)
def erf(x):
    "The error function."
    return m.erf(x)


@elementwise(floating, vjp=lambda g, x: g * (x * x * -1.0).exp() * -1.1283791670955126)
def erfc(x):
    "1 - erf(x), accurate for large x."
    return m.erfc(x)

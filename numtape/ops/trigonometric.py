"""Trigonometric and hyperbolic functions."""

from __future__ import annotations

from numtape.op import floating
from numtape.ops.define import elementwise

# ruff: noqa: F821  (m is the kernels' maths library, known when a kernel is printed)


@elementwise(floating, vjp=lambda g, x: g * x.cos(), complex=True)
def sin(x):
    "The sine; x in radians."
    return m.sin(x)


@elementwise(floating, vjp=lambda g, x: -g * x.sin(), complex=True)
def cos(x):
    "The cosine; x in radians."
    return m.cos(x)


@elementwise(floating, vjp=lambda g, out: g * (out * out + 1), complex=True)
def tan(x):
    "The tangent; x in radians."
    return m.tan(x)


@elementwise(floating, vjp=lambda g, x: g * (1 - x * x).rsqrt(), domain="unit", aliases=("arcsin",), complex=True)
def asin(x):
    "The angle in [-pi/2, pi/2] whose sine is x; NaN outside [-1, 1]."
    return m.asin(x)


@elementwise(floating, vjp=lambda g, x: -g * (1 - x * x).rsqrt(), domain="unit", aliases=("arccos",), complex=True)
def acos(x):
    "The angle in [0, pi] whose cosine is x; NaN outside [-1, 1]."
    return m.acos(x)


@elementwise(floating, vjp=lambda g, x: g / (x * x + 1), aliases=("arctan",), complex=True)
def atan(x):
    "The angle in (-pi/2, pi/2) whose tangent is x."
    return m.atan(x)


@elementwise(
    floating,
    vjp=(lambda g, x, y: g * y / (x * x + y * y), lambda g, x, y: -g * x / (x * x + y * y)),
    aliases=("arctan2",),
)
def atan2(x, y):
    "The angle of the point (other, input) in (-pi, pi]: atan(input / other) in the right quadrant."
    return m.atan2(x, y)


@elementwise(floating, vjp=lambda g, x: g * x.cosh(), complex=True)
def sinh(x):
    "The hyperbolic sine."
    return m.sinh(x)


@elementwise(floating, vjp=lambda g, x: g * x.sinh(), complex=True)
def cosh(x):
    "The hyperbolic cosine."
    return m.cosh(x)


@elementwise(floating, vjp=lambda g, out: g * (1 - out * out), complex=True)
def tanh(x):
    "The hyperbolic tangent."
    return m.tanh(x)

"""Comparisons, tests and logic; their results are bool."""

from __future__ import annotations

from numtape.op import comparison, integral, logical, predicate
from numtape.ops.define import elementwise

# ruff: noqa: F821  (m is the kernels' maths library, known when a kernel is printed)


@elementwise(comparison, complex=True)
def eq(x, y):
    "x == y."
    return x == y


@elementwise(comparison, aliases=("not_equal",), complex=True)
def ne(x, y):
    "x != y."
    return x != y


@elementwise(comparison, aliases=("less",))
def lt(x, y):
    "x < y."
    return x < y


@elementwise(comparison, aliases=("less_equal",))
def le(x, y):
    "x <= y."
    return x <= y


@elementwise(comparison, aliases=("greater",))
def gt(x, y):
    "x > y."
    return x > y


@elementwise(comparison, aliases=("greater_equal",))
def ge(x, y):
    "x >= y."
    return x >= y


@elementwise(logical, complex=True)
def logical_and(x, y):
    "Whether both are non-zero."
    return x & y


@elementwise(logical, complex=True)
def logical_or(x, y):
    "Whether either is non-zero."
    return x | y


@elementwise(logical, complex=True)
def logical_xor(x, y):
    "Whether one is non-zero and the other is not."
    return x ^ y


@elementwise(logical, complex=True)
def logical_not(x):
    "Whether x is zero."
    return x == 0


@elementwise(integral)
def bitwise_and(x, y):
    "x & y, bit by bit."
    return x & y


@elementwise(integral)
def bitwise_or(x, y):
    "x | y, bit by bit."
    return x | y


@elementwise(integral)
def bitwise_xor(x, y):
    "x ^ y, bit by bit."
    return x ^ y


@elementwise(integral)
def bitwise_invert(x):
    "~x, bit by bit; logical not for bool."
    return ~x


@elementwise(predicate, inplace=False, complex=True)
def isnan(x):
    "Whether x is NaN."
    return m.isnan(x)


@elementwise(predicate, inplace=False, complex=True)
def isinf(x):
    "Whether x is infinite."
    return m.isinf(x)


@elementwise(predicate, inplace=False, complex=True)
def isfinite(x):
    "Whether x is neither infinite nor NaN."
    return m.isfinite(x)

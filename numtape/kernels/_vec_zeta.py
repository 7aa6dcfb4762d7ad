"""Hurwitz's zeta function for kernels: zeta polygamma, each as `name_f32` and `name_f64`; both compute in float64.

The first terms are added up until y + k > 9, the rest is Euler and Maclaurin's formula (as in Cephes, Moshier 1989). The number of terms
depends on y, so this is a loop, not vector code.
"""

import numpy as np

from numtape.kernels._vec_exp import exp_f64
from numtape.kernels._vec_gamma import lgamma_f64
from numtape.kernels._vec_llvm import floor, rint, scalar
from numtape.kernels._vec_pow import pow_f64

# B(2 k) / (2 k)! for k = 1 ... 12, with Bernoulli's numbers B
BERNOULLI = (
    1 / 12, -1 / 720, 1 / 30240, -1 / 1209600, 1 / 47900160, -691 / 1307674368000, 1 / 74724249600, -3617 / 10670622842880000,
    43867 / 5109094217170944000, -174611 / 802857662698291200000, 77683 / 14101100039391805440000, -236364091 / 1693824136731743669452800000,
)  # fmt: skip


def _zetas(T):
    f64 = np.float64
    zero, half, one, two, nine, inf, nan = (f64(v) for v in (0, 0.5, 1, 2, 9, np.inf, np.nan))
    least = f64(-100_000)  # of y: further below zero the sum would take too long

    @scalar(f64, helper=True)
    def hurwitz(x, y):
        if not (x >= one and y > least):
            return nan
        if x == one or (y <= zero and y == floor(y)):
            return inf
        if y < zero and x != floor(x):
            return nan
        if y == inf:
            return zero
        term = pow_f64(y, -x)
        total, at, steps = term, y, zero
        while steps < nine or at <= nine:
            at = at + one
            steps = steps + one
            term = pow_f64(at, -x)
            total = total + term
        total = total + term * at / (x - one) - half * term
        factor, k = one, zero
        for bernoulli in BERNOULLI:
            factor = factor * (x + k)
            term = term / at
            total = total + factor * term * bernoulli
            factor = factor * (x + k + one)
            term = term / at
            k = k + two
        return total

    @scalar(T)
    def zeta(x, y):
        """The sum of (k + y)**-x over all k >= 0, within 50 ulp of float64; NaN for x < 1 and where a power of a negative number would be."""
        return T(hurwitz(f64(x), f64(y)))

    @scalar(T)
    def polygamma(x, n):
        """The derivative of order n >= 1 of digamma, n! zeta(n + 1, x) with the sign of (-1)**(n + 1)."""
        order = f64(n)
        sign = one if rint(order * half) * two != order else -one
        return T(sign * exp_f64(lgamma_f64(order + one)) * hurwitz(order + one, f64(x)))

    return zeta, polygamma


zeta_f32, polygamma_f32 = _zetas(np.float32)
zeta_f64, polygamma_f64 = _zetas(np.float64)

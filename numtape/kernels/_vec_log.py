"""Logarithms for kernels: log log2 log10 log1p softplus, each as `name_f32` and `name_f64`.

A positive x is split as m * 2**e with sqrt(1/2) <= m < sqrt(2). With f = m - 1, s = f / (2 + f) and z = s**2 (Ng, fdlibm `e_log.c`, 1993)

    log(1 + f) = 2 atanh(s) = f - (h - s (h + z L(z))),    h = f**2 / 2,

where f is exact and everything after it is small. L interpolates at the Chebyshev nodes of the interval, computed with 60 digits.
"""

import numpy as np

from numtape.kernels._vec_exp import exp_f32, exp_f64
from numtape.kernels._vec_llvm import copysign, exponent, fabs, fma, polynomial, scalar, significand, split, where

LOG_TAIL = {  # (log((1 + s) / (1 - s)) / s - 2) / z
    np.float32: (0.23331614, 0.2855078, 0.40000123, 0.6666667),
    np.float64: (
        0.14617807153417325, 0.15331611722055008, 0.1818289243253687, 0.22222211089379496, 0.28571428626253836, 0.3999999999989889,
        0.666666666666667,
    ),
}  # fmt: skip
LEAST_NORMAL = {np.float32: 2.0**-126, np.float64: 2.0**-1022}


def _logarithms(T, exp):
    zero, half, one, two, inf, nan = T(0), T(0.5), T(1), T(2), T(np.inf), T(np.nan)
    ln2, ln2_lo = split(T, 0.6931471805599453, 2.3190468138462996e-17)
    log2_e, log2_e_lo = split(T, 1.4426950408889634, 2.0355273740931033e-17)
    log10_e, log10_e_lo = split(T, 0.4342944819032518, 1.098319650216765e-17)
    log10_2, log10_2_lo = split(T, 0.3010299956639812, -2.8037281277851704e-18)
    least_normal = T(LEAST_NORMAL[T])
    two_60, sixty = T(2.0**60), T(60)
    tail = polynomial(T, *LOG_TAIL[T])

    @scalar(T, helper=True)
    def reduce(x):
        """e and m of x = m * 2**e, x > 0, denormals included."""
        denormal = x < least_normal
        y = where(denormal, x * two_60, x)
        return exponent(y) - where(denormal, sixty, zero), significand(y)

    @scalar(T, helper=True)
    def reduced_log(f):
        """h and t with log(1 + f) = f - (h - t)."""
        s = f / (two + f)
        z = s * s
        h = half * f * f
        return h, s * fma(z, tail(z), h)

    @scalar(T, helper=True)
    def at_the_edges(x, y):
        """y = log x, put right for x = inf, 0, negative and NaN."""
        y = where(x < inf, y, x)
        y = where(x == zero, -inf, y)
        return where(x < zero, nan, y)

    @scalar(T, helper=True)
    def normal_log(x):
        """Natural logarithm of a number that is positive and normal."""
        f = significand(x) - one
        h, t = reduced_log(f)
        e = exponent(x)
        return fma(e, ln2, f - (h - fma(e, ln2_lo, t)))

    @scalar(T)
    def log(x):
        """Natural logarithm, within 1 ulp."""
        e, m = reduce(x)
        f = m - one
        h, t = reduced_log(f)
        return at_the_edges(x, fma(e, ln2, f - (h - fma(e, ln2_lo, t))))

    @scalar(T)
    def log2(x):
        """Logarithm to base 2, within 2 ulp; exact for powers of two."""
        e, m = reduce(x)
        f = m - one
        h, t = reduced_log(f)
        v = f - (h - t)
        v_lo = f - v - (h - t)
        return at_the_edges(x, fma(v, log2_e, fma(v_lo, log2_e, fma(v, log2_e_lo, e))))

    @scalar(T)
    def log10(x):
        """Logarithm to base 10, within 2 ulp."""
        e, m = reduce(x)
        f = m - one
        h, t = reduced_log(f)
        v = f - (h - t)
        v_lo = f - v - (h - t)
        small = fma(v_lo, log10_e, fma(v, log10_e_lo, e * log10_2_lo))
        return at_the_edges(x, fma(e, log10_2, fma(v, log10_e, small)))

    @scalar(T, helper=True)
    def normal_log1p(x):
        """u = 1 + x and log(1 + x) of x > -1."""
        u = one + x
        u_lo = where(x > one, one - (u - x), x - (u - one))  # u + u_lo = 1 + x
        e, m = reduce(u)
        near = e == zero  # then x itself is f
        f = where(near, x, m - one)
        h, t = reduced_log(f)
        correction = where(near, zero, u_lo / u)
        return u, fma(e, ln2, f - (h - (t + fma(e, ln2_lo, correction))))

    @scalar(T)
    def log1p(x):
        """log(1 + x), within 2 ulp, also near 0."""
        u, y = normal_log1p(x)
        return copysign(at_the_edges(u, y), x)

    @scalar(T)
    def softplus(x):
        """log(1 + e**x), within 2 ulp; PyTorch's softplus with beta = 1 and no threshold."""
        return where(x > zero, x, zero) + normal_log1p(exp(-fabs(x)))[1]

    return reduce, normal_log, log, log2, log10, log1p, softplus


_, normal_log_f32, log_f32, log2_f32, log10_f32, log1p_f32, softplus_f32 = _logarithms(np.float32, exp_f32)
reduce_f64, normal_log_f64, log_f64, log2_f64, log10_f64, log1p_f64, softplus_f64 = _logarithms(np.float64, exp_f64)

"""Powers for kernels: pow_f32 and pow_f64, as 2**(y log2 |x|).

log2 |x| is taken as in `_vec_log`, 2**p as in `_vec_exp`; the error of y log2 |x|, up to 1075 in size, becomes the relative error of the
result, so the logarithm needs more digits than the result has: float64 for float32, a sum of two float64 for float64.
"""

import numpy as np

from numtape.kernels._vec_exp import EXP2_TAIL, clamp_f64, scale_f64
from numtape.kernels._vec_llvm import copysign, exponent, fabs, floor, fma, polynomial, pow2, rint, scalar, significand, split, trunc, where
from numtape.kernels._vec_log import reduce_f64

LOG_TAIL = {  # L(z) = (log((1 + s) / (1 - s)) / s - 2) / z, see `_vec_log`; for float64 (L(z) - 2/3) / z
    np.float32: (0.23331614471843498, 0.28550778633191964, 0.4000012221181065, 0.6666666655404201),
    np.float64: (
        0.1291471218393509, 0.13285868837545742, 0.15385577463308145, 0.18181808210921882, 0.22222222271326808, 0.2857142857133801,
        0.4000000000000003,
    ),
}  # fmt: skip


def _special_cases(T):
    zero, half, one, two, inf, nan = T(0), T(0.5), T(1), T(2), T(np.inf), T(np.nan)

    @scalar(T, helper=True)
    def at_the_edges(x, y, z):
        """C's pow(x, y) where z = |x|**y, but for |x| = 1 and y = 0."""
        odd = (y == trunc(y)) & (floor(y * half) * two != y)
        z = where(fabs(x) == one, where(y == y, one, nan), z)
        z = where(copysign(one, x) < zero, where(odd, -z, z), z)
        z = where((x < zero) & (x > -inf) & (y != trunc(y)), nan, z)
        return where((y == zero) | (x == one), one, z)

    return at_the_edges


def _pow_f32():
    f32, f64 = np.float32, np.float64
    zero, one, two, inf = f64(0), f64(1), f64(2), f64(np.inf)
    log2_e, limit = f64(1.4426950408889634), f64(200)
    log_tail, exp2_tail = polynomial(f64, *LOG_TAIL[f32]), polynomial(f64, *EXP2_TAIL[f32])
    at_the_edges, clamp = _special_cases(f32), clamp_f64

    @scalar(f32)
    def pow(x, y):
        """x**y, within 1 ulp, computed in float64; special cases as in C."""
        a = fabs(f64(x))
        f = significand(a) - one
        s = f / (two + f)
        z = s * s
        log2_x = fma(fma(s * z, log_tail(z), two * s), log2_e, exponent(a))
        log2_x = where(a < inf, where(a == zero, -inf, log2_x), a)
        p = clamp(f64(y) * log2_x, -limit, limit)
        n = rint(p)
        r = p - n
        return at_the_edges(x, y, f32(fma(r, exp2_tail(r), one) * pow2(n)))

    return pow


def _pow_f64():
    f64 = np.float64
    zero, one, two, inf = f64(0), f64(1), f64(2), f64(np.inf)
    log2_e, log2_e_lo = split(f64, 1.4426950408889634, 2.0355273740931033e-17)
    two_thirds, two_thirds_lo = split(f64, 0.6666666666666666, 3.700743415417188e-17)
    limit = f64(1100)
    log_tail, exp2_tail = polynomial(f64, *LOG_TAIL[f64]), polynomial(f64, *EXP2_TAIL[f64])
    at_the_edges, clamp, reduce, scale = _special_cases(f64), clamp_f64, reduce_f64, scale_f64

    @scalar(f64)
    def pow(x, y):
        """x**y, within 2 ulp, with log2 |x| good to about 2**-65 of its size; special cases as in C."""
        a = fabs(x)
        e, m = reduce(a)
        f = m - one
        d = two + f
        d_lo = f - (d - two)
        s = f / d
        s_lo = (fma(-s, d, f) - s * d_lo) / d
        # log m = 2 s + s z (2/3 + z tail(z)) = l + l_lo
        z = s * s
        z_lo = fma(s, s, -z) + two * s * s_lo
        z_tail = z * log_tail(z)
        w = two_thirds + z_tail
        w_lo = z_tail - (w - two_thirds) + two_thirds_lo
        c = s * z
        c_lo = fma(s, z, -c) + s * z_lo + s_lo * z
        g = c * w
        g_lo = fma(c, w, -g) + c * w_lo + c_lo * w
        l = two * s + g
        l_lo = g - (l - two * s) + g_lo + two * s_lo
        # log2 x = e + l log2(e) = b + b_lo
        t = l * log2_e
        t_lo = fma(l, log2_e, -t) + l * log2_e_lo + l_lo * log2_e
        b = e + t
        b_lo = t - (b - e) + t_lo
        b = where(a < inf, where(a == zero, -inf, b), a)
        # 2**(p + p_lo)
        p = y * b
        p_lo = fma(y, b, -p) + y * b_lo
        p_lo = where(fabs(p) < limit, p_lo, zero)
        p = clamp(p, -limit, limit)
        n = rint(p)
        r = p - n + p_lo
        return at_the_edges(x, y, scale(fma(r, exp2_tail(r), one), n))

    return pow


pow_f32 = _pow_f32()
pow_f64 = _pow_f64()

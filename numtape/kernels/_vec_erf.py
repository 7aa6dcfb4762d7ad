"""Error functions for kernels: erf erfc, each as `name_f32` and `name_f64`.

Small arguments: x + x P(x**2). Large ones, a = |x|: erf is 1 - e**G(a), erfc is (Shepherd and Laframboise, 1981)

    erfc(a) = e**-(a**2) u C(1 - 6 u),    u = 1 / (a + 3).

The polynomials interpolate at the Chebyshev nodes of the interval, computed with 60 digits; G is a least-squares fit weighted with erfc,
reweighted until its error is level (Lawson, 1961).
"""

import numpy as np

from numtape.kernels._vec_exp import clamp_f64, reduced_expm1_f32, reduced_expm1_f64, scale_f64
from numtape.kernels._vec_llvm import copysign, fabs, fma, polynomial, pow2, rint, scalar, where

ERF_TAIL = {  # P(z) = erf(x) / x - 1, z = x**2, on |x| <= 0.92 (float32) and |x| <= 1 (float64)
    np.float32: (8.399778e-05, -0.00081500504, 0.0052017146, -0.026859691, 0.11283701, -0.37612635, 0.12837917),
    np.float64: (
        5.957176147748911e-11, -1.1372848856791674e-09, 1.4659775274047436e-08, -1.6350312701054695e-07, 1.6461000484121368e-06,
        -1.4925595266831182e-05, 0.0001205533111164271, -0.000854832698083379, 0.0052239776248180145, -0.026866170645076792,
        0.11283791670954879, -0.3761263890318375, 0.1283791670955126,
    ),
}  # fmt: skip
# G = log erfc(a) on 0.92 <= a <= 4, in a (float32), and on 1 <= a <= 6, in a - 1 (float64); the limits and what is taken from a
LOG_ERFC = {
    np.float32: (
        -4.5630205e-07, -1.5214915e-05, 0.0004020265, -0.0040709805, 0.024930393, -0.108056135, -0.6335095, -1.1294487, 0.0001630869,
    ),
    np.float64: (
        -4.865032552039334e-12, 1.1932654909544458e-10, -1.3191133485269984e-09, 8.518853244458726e-09, -3.3391634611468295e-08,
        5.801271823226813e-08, 2.048096934192932e-07, -2.1319368514307953e-06, 9.671374428161696e-06, -2.7198971465556063e-05,
        2.6296326820958012e-05, 0.00023731643455151568, -0.001977901215671884, 0.010033825179084094, -0.04156109802507296,
        -0.8431072563594135, -2.6389675142347757, -1.8496055099332482,
    ),
}  # fmt: skip
LOG_ERFC_RANGE = {np.float32: (0.92, 4, 0), np.float64: (1, 6, 1)}
# C(t) for a from 0 to 10.2 (float32, to 6e-9, evaluated in float64); (C(t) - C(0)) / t for a from 0.49 to 28 (float64), and C(0) as a sum
SCALED_ERFC = {
    np.float32: (
        -0.00033353521870246855, -0.0004982338443274101, 0.00307877170882279, -0.0012170540624612466, -0.02683700126675242,
        0.11952715445669893, -0.31046657013617646, 0.5902284351327426, -0.8833944622453992, 1.0740069060430617,
    ),
    np.float64: (
        -6.774455772112992e-09, -2.640889580928155e-09, 4.966790716279502e-08, 4.7216448168328166e-08, -2.3386237031436826e-07,
        -4.08148442707698e-07, 9.996621718152923e-07, 2.765169453703264e-06, -4.74969870885318e-06, -1.747041273216048e-05,
        3.0398319538100182e-05, 0.00010756144222782434, -0.00027677787644855877, -0.0005483096850467465, 0.0030340620045414147,
        -0.001212416627734464, -0.026827234624675914, 0.11952776128730942, -0.31046726190056234, 0.5902283571041016, -0.8833944531698836,
    ),
}  # fmt: skip
EXP2_TAIL_TO_5E9 = (  # (2**r - 1) / r on |r| <= 1/2
    0.0001545316294512069, 0.0013390863364671234, 0.009618082557277852, 0.05550357114219078, 0.24022650760568126, 0.6931471880262288,
)  # fmt: skip
SCALED_ERFC_AT_0 = (1.0740069070883398, -8.807445678337799e-17)


def _erf(T):
    one = T(1)
    limit, end, origin = map(T, LOG_ERFC_RANGE[T])
    tail, log_erfc = polynomial(T, *ERF_TAIL[T], halves=True), polynomial(T, *LOG_ERFC[T], halves=True)
    reduced_expm1 = reduced_expm1_f32 if T is np.float32 else reduced_expm1_f64

    @scalar(T)
    def erf(x):
        """Error function, within 2 ulp."""
        a = fabs(x)
        n, hi, _lo = reduced_expm1(log_erfc(where(a > end, end, a) - origin))
        s = pow2(n)
        far = fma(-s, hi, one - s)  # 1 - e**G
        near = fma(x, tail(x * x), x)
        return where(a > limit, copysign(far, x), near)

    return erf


def _far_erfc_f64():
    f64 = np.float64
    zero, one, three, six, end = f64(0), f64(1), f64(3), f64(6), f64(28)
    at_0, at_0_lo = map(f64, SCALED_ERFC_AT_0)
    scaled = polynomial(f64, *SCALED_ERFC[f64])

    @scalar(f64, helper=True)
    def far_erfc(a):
        """erfc(a) for a >= 0.49."""
        a = clamp_f64(a, zero, end)
        u = one / (a + three)
        t = where(a < three, (a - three) * u, fma(-six, u, one))  # equal, but rounded differently
        c_t = fma(t, scaled(t), at_0_lo)
        c = at_0 + c_t
        y = u * c
        y_lo = fma(u, c, -y) + u * (c_t - (c - at_0))
        square = a * a
        n, hi, lo = reduced_expm1_f64(-square)
        lo += (one + hi) * (fma(-(a + three), u, one) - fma(a, a, -square))  # what rounding took from u and from the square
        return scale_f64(y + fma(y, hi + lo, y_lo), n)

    return far_erfc


def _erfc_f64(far_erfc):
    T = np.float64
    zero, half, one, two = T(0), T(0.5), T(1), T(2)
    tail = polynomial(T, *ERF_TAIL[T], halves=True)

    @scalar(T)
    def erfc(x):
        """1 - erf(x) without cancellation, within 4 ulp."""
        far = far_erfc(fabs(x))
        far = where(x < zero, two - far, far)
        return where(fabs(x) > half, far, one - fma(x, tail(x * x), x))

    return erfc


def _erfc_f32():
    f32, f64 = np.float32, np.float64
    zero, one, two, three, six, end = map(f64, (0, 1, 2, 3, 6, 10.2))
    minus_log2_e = f64(-1.4426950408889634)
    scaled, exp2_tail = polynomial(f64, *SCALED_ERFC[f32], halves=True), polynomial(f64, *EXP2_TAIL_TO_5E9)

    @scalar(f32)
    def erfc(x):
        """1 - erf(x) without cancellation, within 1 ulp, computed in float64."""
        x64 = f64(x)
        a = fabs(x64)
        a = where(a > end, end, a)
        u = one / (a + three)
        p = a * minus_log2_e * a
        n = rint(p)
        r = p - n
        y = u * scaled(fma(-six, u, one)) * pow2(n)
        far = fma(y, r * exp2_tail(r), y)
        return f32(where(x64 < zero, two - far, far))

    return erfc


_far_erfc = _far_erfc_f64()
erf_f32, erf_f64 = _erf(np.float32), _erf(np.float64)
erfc_f32, erfc_f64 = _erfc_f32(), _erfc_f64(_far_erfc)

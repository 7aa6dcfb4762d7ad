"""Exponential functions for kernels: exp exp2 expm1 sigmoid tanh sinh cosh, each as `name_f32` and `name_f64`.

All but exp2 reduce x = n ln 2 + r with |r| <= ln(2) / 2 (Cody and Waite, 1980) and approximate e**r - 1 by a polynomial. Where a
quotient follows, e**r - 1 is carried as a sum hi + lo, so that only the last operation rounds.

The polynomials interpolate at the Chebyshev nodes of the interval, computed with 60 digits.
"""

import numpy as np

from numtape.kernels._vec_llvm import copysign, fabs, fma, polynomial, pow2, rint, scalar, split, where

EXP_TAIL = {  # (e**r - 1 - r) / r**2 on |r| <= ln(2) / 2
    np.float32: (0.0013898233, 0.008366067, 0.041666854, 0.16666548, 0.5),
    np.float64: (
        2.5100472505694996e-08, 2.7620201591031547e-07, 2.7557268276905696e-06, 2.4801521057868204e-05, 0.00019841269863171557,
        0.0013888888917367081, 0.008333333333330039, 0.041666666666623824, 0.16666666666666669, 0.5000000000000001,
    ),
}  # fmt: skip
EXP2_TAIL = {  # (2**r - 1) / r on |r| <= 1/2
    np.float32: (1.5297324e-05, 0.00015461445, 0.0013333502, 0.009618057, 0.05550411, 0.2402265, 0.6931472),
    np.float64: (
        4.4549605981865186e-10, 7.072585949269223e-09, 1.0178062445845774e-07, 1.321544258792169e-06, 1.525273382983612e-05,
        0.0001540353044173605, 0.0013333558146416936, 0.009618129107606888, 0.0555041086648216, 0.24022650695910097, 0.6931471805599453,
    ),
}  # fmt: skip
SINH_TAIL = {  # (sinh(r) / r - 1) / z, z = r**2, on |r| <= ln(2) / 2
    np.float32: (0.0001989108, 0.0083333105, 0.16666667),
    np.float64: (
        1.6086677666787362e-10, 2.5052070959803662e-08, 2.7557319247344507e-06, 0.00019841269841263252, 0.008333333333333333,
        0.16666666666666666,
    ),
}  # fmt: skip
COSH_TAIL = {  # (cosh(r) - 1) / z on the same interval
    np.float32: (0.0013933731, 0.041666463, 0.5),
    np.float64: (
        2.091821231913398e-09, 2.755726307730941e-07, 2.480158733663095e-05, 0.0013888888888879004, 0.04166666666666668, 0.5,
    ),
}  # fmt: skip

# x is clamped to where the result has reached 0 or inf; the last n with 2**n normal
EXP_RANGE = {np.float32: (-104.0, 88.8), np.float64: (-746.0, 709.9)}
EXP2_RANGE = {np.float32: (-151.0, 129.0), np.float64: (-1076.0, 1025.0)}
SINH_LIMIT = {np.float32: 89.6, np.float64: 710.6}
LEAST_EXPONENT = {np.float32: -126.0, np.float64: -1022.0}


def _exponentials(T):
    zero, half, one, two = T(0), T(0.5), T(1), T(2)
    log2_e = T(1.4426950408889634)
    ln2, ln2_lo = split(T, 0.6931471805599453, 2.3190468138462996e-17)
    lowest, highest = map(T, EXP_RANGE[T])
    exp2_lowest, exp2_highest = map(T, EXP2_RANGE[T])
    sinh_limit = T(SINH_LIMIT[T])
    least_exponent = T(LEAST_EXPONENT[T])
    sigmoid_highest, sigmoid_limit = T(40), T(100)
    carry_lo = T is np.float32  # float64 stays within 1 ulp on samples without, and would fall behind PyTorch's speed with it
    expm1_lowest = T(-40)  # e**-40 < 2**-54: -1 + e**x rounds to -1, and tanh(20) to 1
    exp_tail, exp2_tail = polynomial(T, *EXP_TAIL[T]), polynomial(T, *EXP2_TAIL[T])
    sinh_tail, cosh_tail = polynomial(T, *SINH_TAIL[T]), polynomial(T, *COSH_TAIL[T])

    @scalar(T, helper=True)
    def reduce(x):
        """n and r of x = n ln 2 + r, |r| <= ln(2) / 2."""
        n = rint(x * log2_e)
        return n, fma(n, -ln2_lo, fma(n, -ln2, x))

    @scalar(T, helper=True)
    def reduced_expm1(x):
        """n, hi, lo with e**x = 2**n * (1 + hi + lo)."""
        n, r = reduce(x)
        tail = r * r * exp_tail(r)
        hi = r + tail
        return n, hi, tail - (hi - r)

    @scalar(T, helper=True)
    def scale(y, n):
        """y * 2**n; in two steps, since 2**n alone may be denormal or infinite."""
        h = rint(n * half)
        return y * pow2(h) * pow2(n - h)

    @scalar(T, helper=True)
    def clamp(x, low, high):
        """x within low and high; NaN stays NaN."""
        x = where(x > high, high, x)
        return where(x < low, low, x)

    @scalar(T, helper=True)
    def divide(a, a_lo, b, b_lo):
        """(a + a_lo) / (b + b_lo), where the low parts are what rounding took from a and b."""
        inverse = one / b
        q = a * inverse
        remainder = fma(-q, b, a) + fma(-q, b_lo, a_lo)
        return fma(remainder, inverse, q)

    @scalar(T)
    def exp(x):
        """e**x, within 1 ulp, denormal results included.

        What vanishes, a mask's -inf above all, is not computed: to round to a denormal takes as long again as all the rest.
        """
        vanishes = x < lowest
        n, r = reduce(where(vanishes, zero, where(x > highest, highest, x)))
        u = one + r
        return where(vanishes, zero, scale(u + fma(r * r, exp_tail(r), r - (u - one)), n))

    @scalar(T)
    def exp2(x):
        """2**x, within 1 ulp; exact for integers."""
        x = clamp(x, exp2_lowest, exp2_highest)
        n = rint(x)
        r = x - n
        return scale(fma(r, exp2_tail(r), one), n)

    @scalar(T)
    def expm1(x):
        """e**x - 1, within 2 ulp, also near 0."""
        n, hi, lo = reduced_expm1(clamp(x, expm1_lowest, highest))
        s = pow2(n - one)  # half of 2**n, which may be infinite
        a, w = s - half, s * hi
        y = a + w
        y_lo = w - (y - a) + s * lo
        return copysign(where(n == zero, hi, two * (y + y_lo)), x)

    @scalar(T)
    def sigmoid(x):
        """1 / (1 + e**-x), within 1 ulp, denormal results included."""
        n, hi, lo = reduced_expm1(-clamp(x, lowest, sigmoid_highest))
        m = where(n > sigmoid_limit, sigmoid_limit, n)  # e**-x may overflow before the result vanishes: 2**(m - n) comes last
        s = pow2(m)
        # d + d_lo = 1 + 2**m (1 + hi + lo)
        a = one + s
        w = s * hi
        d = a + w
        d_lo = w - (d - a) + (one - (a - s))
        if carry_lo:
            d_lo = fma(s, lo, d_lo)
        q = one / d
        remainder = fma(-q, d_lo, fma(-q, d, one))
        return fma(remainder, q, q) * pow2(m - n)

    @scalar(T)
    def tanh(x):
        """tanh x, within 1 ulp: -E / (E + 2) of E = e**(-2|x|) - 1."""
        n, hi, lo = reduced_expm1(clamp(-two * fabs(x), expm1_lowest, zero))
        s = pow2(n)
        c, w = s - one, s * hi
        e = c + w
        e_lo = w - (e - c) + (s - (c + one)) + s * lo
        d = two + e
        d_lo = e - (d - two) + e_lo
        return copysign(divide(e, e_lo, d, d_lo), x)

    # sinh and cosh of n ln 2 + r by the addition theorem: nothing is divided and little cancels

    @scalar(T, helper=True)
    def addition(n, r, sign):
        """(a, a_lo, b, cosh(r) - 1, sinh r) with a + a_lo = 2**n / 4 + sign 2**-n / 4 and b = 2**n / 4 - sign 2**-n / 4.

        A quarter, so that nothing overflows before the result does.
        """
        z = r * r
        grow, decay = pow2(n - two), sign * pow2(clamp(-n - two, least_exponent, zero))
        a = grow + decay
        return a, decay - (a - grow), grow - decay, z * cosh_tail(z), fma(r * z, sinh_tail(z), r)

    @scalar(T)
    def sinh(x):
        """sinh x, within 2 ulp."""
        n, r = reduce(clamp(fabs(x), zero, sinh_limit))
        a, a_lo, b, coshm1_r, sinh_r = addition(n, r, -one)
        y = two * (a + (a_lo + fma(b, sinh_r, a * coshm1_r)))
        return copysign(where(n == zero, sinh_r, y), x)

    @scalar(T)
    def cosh(x):
        """cosh x, within 2 ulp."""
        n, r = reduce(clamp(fabs(x), zero, sinh_limit))
        a, a_lo, b, coshm1_r, sinh_r = addition(n, r, one)
        return two * (a + (a_lo + fma(b, sinh_r, a * coshm1_r)))

    return reduced_expm1, scale, clamp, divide, exp, exp2, expm1, sigmoid, tanh, sinh, cosh


reduced_expm1_f32, _, clamp_f32, _, *_functions_f32 = _exponentials(np.float32)
exp_f32, exp2_f32, expm1_f32, sigmoid_f32, tanh_f32, sinh_f32, cosh_f32 = _functions_f32
reduced_expm1_f64, scale_f64, clamp_f64, divide_f64, *_functions_f64 = _exponentials(np.float64)
exp_f64, exp2_f64, expm1_f64, sigmoid_f64, tanh_f64, sinh_f64, cosh_f64 = _functions_f64

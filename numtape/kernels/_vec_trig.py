"""Trigonometric functions for kernels: sin cos tan asin acos atan atan2, each as `name_f32` and `name_f64`.

sin, cos and tan subtract a multiple of pi, given as three float64 (Cody and Waite, 1980); the first fma is exact and the others round
relative to what is left, so results keep their accuracy even next to a zero. sin_f32, cos_f32 and tan_f32 compute in float64.

Range: |x| <= 2**45 (about 3.5e13). Beyond it the multiple of pi next to x cannot be told in a float64, and the result is NaN:
a right answer there takes a table of the bits of 2 / pi, which does not vectorise.

The polynomials interpolate at the Chebyshev nodes of the interval, computed with 60 digits; z is the square of the argument.
"""

import numpy as np

from numtape.kernels._vec_exp import clamp_f64, divide_f64
from numtape.kernels._vec_llvm import copysign, fabs, fma, maximum, minimum, polynomial, rint, scalar, split, sqrt, where

SIN_TAIL = {  # (sin(r) / r - 1) / z on |r| <= pi / 2; for float32 to 2e-13, evaluated in float64
    np.float32: (
        1.5502454316596913e-10, -2.503674197012488e-08, 2.7557123116044156e-06, -0.00019841268708606193, 0.008333333330939175,
        -0.1666666666665846,
    ),
    np.float64: (
        -8.006048703469621e-18, 2.810468581681568e-15, -7.647139114646649e-13, 1.605904347927675e-10, -2.5052108382389887e-08,
        2.7557319223971256e-06, -0.00019841269841269806, 0.008333333333333333, -0.16666666666666666,
    ),
}  # fmt: skip
SIN_TAIL_QUARTER = {  # the same on |r| <= pi / 4; for float32 to 2e-11
    np.float32: (2.724075556016563e-06, -0.00019840014952059233, 0.00833333173982857, -0.16666666663503188),
    np.float64: (
        1.5918115263265974e-10, -2.505113165023518e-08, 2.7557316101617874e-06, -0.00019841269836756774, 0.008333333333330948,
        -0.16666666666666666,
    ),
}  # fmt: skip
COS_TAIL_QUARTER = {  # (cos(r) - 1 + z / 2) / z**2 on |r| <= pi / 4; for float32 to 1e-12
    np.float32: (-2.7293305264132274e-07, 2.4800540464947684e-05, -0.0013888887559445951, 0.041666666664027366),
    np.float64: (
        -1.1382623647474604e-11, 2.087614614655861e-09, -2.7557317271145144e-07, 2.480158729876456e-05, -0.0013888888888887398,
        0.041666666666666664,
    ),
}  # fmt: skip
ASIN_TAIL = {  # (asin(s) / s - 1) / z on |s| <= 1/2
    np.float32: (0.033690847, 0.017149238, 0.031100662, 0.044599403, 0.07500094, 0.16666666),
    np.float64: (
        0.028757851367421566, -0.014851887071247204, 0.01740087944269402, 0.005457506718640358, 0.01032281435018578, 0.011479177415184906,
        0.013971212973552933, 0.017352392720869973, 0.02237217294214989, 0.030381944138531247, 0.04464285714635543, 0.07499999999998433,
        0.16666666666666669,
    ),
}  # fmt: skip
ATAN_TAIL = {  # (atan(t) / t - 1) / z on |t| <= 1
    np.float32: (
        -0.0023639684, 0.013420333, -0.035737045, 0.062394306, -0.08652146, 0.11032635, -0.14278437, 0.19999734, -0.3333333,
    ),
    np.float64: (
        1.785987803711288e-05, -0.0001980825170379885, 0.001041557786160756, -0.0034748639923246906, 0.008331456641674142,
        -0.015486886724876777, 0.023650333761927718, -0.031243277138671324, 0.037475846912807774, -0.04259536001861818,
        0.04737478294315543, -0.052579052911818004, 0.05881494143605476, -0.06666562965377239, 0.07692298805505836, -0.09090908580404962,
        0.11111111093085864, -0.14285714285375875, 0.19999999999997464, -0.3333333333333333,
    ),
}  # fmt: skip
LARGEST, NAN = np.float64(2.0**45), np.float64(np.nan)
PI = (3.141592653589793, 1.2246467991473532e-16, -2.9947698097183397e-33)


def _waves(T):
    """sin and cos of type T, computed in float64."""
    f64 = np.float64
    zero, half, one = f64(0), f64(0.5), f64(1)
    per_pi = f64(1 / np.pi)
    pi_1, pi_2, pi_3 = map(f64, PI)
    limit = f64(1.6)  # somewhat above pi / 2: far from 0, rounding may take the neighbour of the right n
    tail = polynomial(f64, *SIN_TAIL[T])

    @scalar(f64, helper=True)
    def signed_sine(x, k, n):
        """(-1)**n sin(x - k pi), |x - k pi| <= pi / 2."""
        r = clamp_f64(fma(-k, pi_3, fma(-k, pi_2, fma(-k, pi_1, x))), -limit, limit)
        r = where(fabs(x) > LARGEST, NAN, r)
        z = r * r
        y = fma(r * z, tail(z), r)
        even = rint(n * half) == n * half
        return where(even, y, -y)

    @scalar(T)
    def sin(x):
        """sin x for |x| <= 2**45, within 1 ulp (float32) or 2 ulp (float64)."""
        x64 = f64(x)
        n = rint(x64 * per_pi)
        return where(x64 == zero, x, T(signed_sine(x64, n, n)))

    @scalar(T)
    def cos(x):
        """cos x for |x| <= 2**45, within 1 ulp (float32) or 2 ulp (float64)."""
        x64 = f64(x)
        n = rint(x64 * per_pi - half)
        return T(signed_sine(x64, n + half, n + one))

    return sin, cos


def _turns():
    """sin and cos of parts of a whole turn, all in float32."""
    f32 = np.float32
    half, one, two, three = f32(0.5), f32(1), f32(2), f32(3)
    quarter, per_quarter, unit = f32(2.0**22), f32(2.0**-22), f32(2 * np.pi * 2.0**-24)
    sin_tail, cos_tail = polynomial(f32, *SIN_TAIL_QUARTER[f32]), polynomial(f32, *COS_TAIL_QUARTER[f32])

    @scalar(f32, helper=True)
    def wave(r, swapped):
        """The cosine of r where `swapped`, else its sine; |r| <= pi / 4."""
        z = r * r
        return where(swapped, fma(z * z, cos_tail(z), fma(-half, z, one)), fma(r * z, sin_tail(z), r))

    @scalar(f32)
    def sin_turn(x):
        """sin(2 pi x / 2**24) for whole x from 0 to 2**24, within 2 ulp of 1."""
        n = rint(x * per_quarter)
        y = wave(fma(-n, quarter, x) * unit, (n == one) | (n == three))
        return where((n == two) | (n == three), -y, y)

    @scalar(f32)
    def cos_turn(x):
        """cos(2 pi x / 2**24) for whole x from 0 to 2**24, within 2 ulp of 1."""
        n = rint(x * per_quarter)
        y = wave(fma(-n, quarter, x) * unit, (n != one) & (n != three))
        return where((n == one) | (n == two), -y, y)

    return sin_turn, cos_turn


sin_turn_f32, cos_turn_f32 = _turns()
PER_HALF_PI, HALF_PI_1, HALF_PI_2, HALF_PI_3 = (np.float64(v) for v in (2 / np.pi, *(p / 2 for p in PI)))
TAN_LIMIT = np.float64(0.8)  # somewhat above pi / 4, as in `_waves`


def _tan_f32():
    f32, f64 = np.float32, np.float64
    zero, half, one = f64(0), f64(0.5), f64(1)
    sin_tail, cos_tail = polynomial(f64, *SIN_TAIL_QUARTER[f32]), polynomial(f64, *COS_TAIL_QUARTER[f32])

    @scalar(f32)
    def tan(x):
        """tan x for |x| <= 2**45, within 1 ulp, computed in float64."""
        x64 = f64(x)
        n = rint(x64 * PER_HALF_PI)
        r = clamp_f64(fma(-n, HALF_PI_3, fma(-n, HALF_PI_2, fma(-n, HALF_PI_1, x64))), -TAN_LIMIT, TAN_LIMIT)
        r = where(fabs(x64) > LARGEST, NAN, r)
        z = r * r
        s = fma(r * z, sin_tail(z), r)
        c = fma(z * z, cos_tail(z), one - half * z)
        even = rint(n * half) == n * half
        return where(x64 == zero, x, f32(where(even, s, -c) / where(even, c, s)))

    return tan


def _tan_f64():
    f64 = np.float64
    zero, half, one = f64(0), f64(0.5), f64(1)
    sin_tail, cos_tail = polynomial(f64, *SIN_TAIL_QUARTER[f64]), polynomial(f64, *COS_TAIL_QUARTER[f64])

    @scalar(f64)
    def tan(x):
        """tan x for |x| <= 2**45, within 2 ulp."""
        n = rint(x * PER_HALF_PI)
        r_1 = fma(-n, HALF_PI_1, x)
        w = n * HALF_PI_2
        r = where(fabs(x) > LARGEST, NAN, clamp_f64(r_1 - w, -TAN_LIMIT, TAN_LIMIT))
        r_lo = r_1 - r - w - fma(n, HALF_PI_2, -w) - n * HALF_PI_3
        z = r * r
        h = half * z
        s_tail = fma(r * z, sin_tail(z), r_lo)
        s = r + s_tail
        s_lo = s_tail - (s - r)
        h_rest = one - h
        c_tail = one - h_rest - h + fma(z * z, cos_tail(z), -(r * r_lo))
        c = h_rest + c_tail
        c_lo = c_tail - (c - h_rest)
        even = rint(n * half) == n * half
        tangent = divide_f64(where(even, s, -c), where(even, s_lo, -c_lo), where(even, c, s), where(even, c_lo, s_lo))
        return where(x == zero, x, tangent)

    return tan


def _arcs(T):
    zero, half, one, two = T(0), T(0.5), T(1), T(2)
    half_pi, half_pi_lo = split(T, PI[0] / 2, PI[1] / 2)
    pi, pi_lo = split(T, PI[0], PI[1])
    asin_tail, atan_tail = polynomial(T, *ASIN_TAIL[T]), polynomial(T, *ATAN_TAIL[T])

    @scalar(T, helper=True)
    def folded_asin(a):
        """asin(a) = s + t for a <= 1/2, else pi / 2 - 2 (s + t)."""
        large = a > half
        z = where(large, (one - a) * half, a * a)
        s = where(large, sqrt(z), a)
        s_lo = where(large & (s > zero), fma(-s, s, z) / (two * s), zero)  # what rounding took from the root
        return large, s, fma(s * z, asin_tail(z), s_lo)

    @scalar(T)
    def asin(x):
        """arcsine, within 2 ulp; NaN outside [-1, 1]."""
        large, s, t = folded_asin(fabs(x))
        y = where(large, half_pi - (two * s - (half_pi_lo - two * t)), s + t)
        return copysign(y, x)

    @scalar(T)
    def acos(x):
        """arccosine, within 2 ulp; NaN outside [-1, 1]."""
        large, s, t = folded_asin(fabs(x))
        above = where(x > zero, two * (s + t), pi - (two * s - (pi_lo - two * t)))
        s, t = copysign(s, x), copysign(t, x)
        return where(large, above, half_pi - (s - (half_pi_lo - t)))

    @scalar(T, helper=True)
    def arc(q):
        """arctangent of 0 <= q <= 1."""
        z = q * q
        return fma(q * z, atan_tail(z), q)

    @scalar(T)
    def atan(x):
        """arctangent, within 2 ulp."""
        a = fabs(x)
        large = a > one
        y = arc(where(large, one / a, a))
        return copysign(where(large, half_pi - (y - half_pi_lo), y), x)

    @scalar(T)
    def atan2(y, x):
        """Angle of the point (x, y), within 2 ulp; quadrants and signs of zero as in C."""
        a, b = fabs(y), fabs(x)
        low, high = minimum(a, b), maximum(a, b)
        q = where(low == high, one, low / high)
        angle = arc(where(high == zero, zero, q))
        angle = where(a > b, half_pi - (angle - half_pi_lo), angle)
        angle = where(copysign(one, x) < zero, pi - (angle - pi_lo), angle)
        return copysign(angle, y)

    return asin, acos, atan, atan2


sin_f32, cos_f32 = _waves(np.float32)
sin_f64, cos_f64 = _waves(np.float64)
tan_f32, tan_f64 = _tan_f32(), _tan_f64()
asin_f32, acos_f32, atan_f32, atan2_f32 = _arcs(np.float32)
asin_f64, acos_f64, atan_f64, atan2_f64 = _arcs(np.float64)

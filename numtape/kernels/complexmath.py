"""Functions of complex numbers for kernels, from the real ones of `vecmath`: each of float32 pairs (_c64) and of float64 pairs (_c128).

What is not finite follows C99's Annex G where its real parts do; quotients are scaled, so that they overflow only if they must.
"""

from numtape.kernels import vecmath
from numtape.kernels._vec_llvm import copysign, fabs, sqrt
from numtape.kernels.intrinsics import c64, c128, f32, f64, inf, inline, nan


def _functions(C, T, suffix):
    """The functions for complex type C with parts of type T."""
    exp, expm1, log, log1p = (getattr(vecmath, name + suffix) for name in ("exp", "expm1", "log", "log1p"))
    sin, cos, sinh, cosh, atan2 = (getattr(vecmath, name + suffix) for name in ("sin", "cos", "sinh", "cosh", "atan2"))
    zero, one, half, two = T(0), T(1), T(0.5), T(2)
    LN2, LN10, HALF_PI = T(0.6931471805599453), T(2.302585092994046), T(1.5707963267948966)

    @inline
    def modulus(z):
        """sqrt(x*x + y*y) without leaving the range."""
        x, y = fabs(z.real), fabs(z.imag)
        large, small = (x, y) if x > y else (y, x)
        ratio = small / large
        if x == inf or y == inf:
            return T(inf)
        return large if small == zero else large * sqrt(one + ratio * ratio)

    @inline
    def divide(a, b):
        """Smith (1962): the quotient, scaled by the larger part of b."""
        c, d = b.real, b.imag
        if fabs(c) >= fabs(d):
            if c == zero and d == zero:
                return C(complex(a.real / c, a.imag / c))
            r = d / c
            t = one / (c + d * r)
            return C(complex((a.real + a.imag * r) * t, (a.imag - a.real * r) * t))
        r = c / d
        t = one / (c * r + d)
        return C(complex((a.real * r + a.imag) * t, (a.imag * r - a.real) * t))

    @inline
    def conj(z):
        return C(complex(z.real, -z.imag))

    @inline
    def angle(z):
        return atan2(z.imag, z.real)

    @inline
    def sign(z):
        r = modulus(z)
        return C(complex(zero, zero)) if r == zero else C(complex(z.real / r, z.imag / r))

    @inline
    def exp_of(z):
        r = exp(z.real)
        if z.imag == zero:
            return C(complex(r, z.imag))
        if z.real == -inf and z.imag - z.imag != zero:
            return C(complex(zero, zero))
        return C(complex(r * cos(z.imag), r * sin(z.imag)))

    @inline
    def exp2_of(z):
        return exp_of(C(complex(z.real * LN2, z.imag * LN2)))

    @inline
    def expm1_of(z):
        """expm1(x) cos(y) + (cos(y) - 1) and e**x sin(y)."""
        s = sin(half * z.imag)
        return C(complex(expm1(z.real) * cos(z.imag) - two * s * s, exp(z.real) * sin(z.imag)))

    @inline
    def log_of(z):
        """Where |z| is near 1, its logarithm from |z|**2 - 1."""
        x, y = fabs(z.real), fabs(z.imag)
        large, small = (x, y) if x > y else (y, x)
        if large > T(0.5) and large < T(1.5) and small < T(1.5):
            size = half * log1p((large - one) * (large + one) + small * small)
        else:
            size = log(modulus(z))
        return C(complex(size, atan2(z.imag, z.real)))

    @inline
    def log2_of(z):
        w = log_of(z)
        return C(complex(w.real / LN2, w.imag / LN2))

    @inline
    def log10_of(z):
        w = log_of(z)
        return C(complex(w.real / LN10, w.imag / LN10))

    @inline
    def log1p_of(z):
        x, y = z.real, z.imag
        if fabs(x) < half and fabs(y) < half:
            return C(complex(half * log1p(x * (two + x) + y * y), atan2(y, one + x)))
        return log_of(C(complex(one + x, y)))

    @inline
    def sqrt_of(z):
        """The root with a real part that is not negative."""
        x, y = z.real, z.imag
        if x == zero and y == zero:
            return C(complex(zero, y))
        if y == inf or y == -inf:
            return C(complex(T(inf), y))
        if x != x or y != y:
            return C(complex(T(nan), T(nan)))
        t = sqrt(half * fabs(x) + half * modulus(z)) if fabs(x) < T(1e38) else sqrt(fabs(x) * half) * sqrt(one + modulus(C(complex(one, y / x))))
        if x >= zero:
            return C(complex(t, y / (two * t)))
        return C(complex(fabs(y) / (two * t), copysign(t, y)))

    @inline
    def sinh_of(z):
        if z.imag == zero:
            return C(complex(sinh(z.real), z.imag))
        return C(complex(sinh(z.real) * cos(z.imag), cosh(z.real) * sin(z.imag)))

    @inline
    def cosh_of(z):
        if z.imag == zero:
            return C(complex(cosh(z.real), z.imag * copysign(one, z.real)))
        return C(complex(cosh(z.real) * cos(z.imag), sinh(z.real) * sin(z.imag)))

    @inline
    def tanh_of(z):
        """Kahan (1987), Branch cuts: from sinh(x) and tan(y)."""
        x, y = z.real, z.imag
        if fabs(x) > T(20):
            return C(complex(copysign(one, x), copysign(zero, sin(y) * cos(y)) if y - y == zero else zero))
        t = sin(y) / cos(y)
        s = sinh(x)
        beta = one + t * t
        rho = sqrt(one + s * s)
        below = one + beta * s * s
        return C(complex(beta * rho * s / below, t / below))

    @inline
    def times_i(z):
        return C(complex(-z.imag, z.real))

    @inline
    def over_i(z):
        return C(complex(z.imag, -z.real))

    @inline
    def sin_of(z):
        return over_i(sinh_of(times_i(z)))

    @inline
    def cos_of(z):
        return cosh_of(times_i(z))

    @inline
    def tan_of(z):
        return over_i(tanh_of(times_i(z)))

    @inline
    def asinh_of(z):
        """log(z + sqrt(z*z + 1)), by Kahan's form, which keeps the parts apart."""
        a, b = sqrt_of(C(complex(one + z.imag, -z.real))), sqrt_of(C(complex(one - z.imag, z.real)))
        real = a.real * b.imag - b.real * a.imag
        size = log(fabs(real) + sqrt(one + real * real)) if fabs(real) > T(1e-2) else _small_asinh(real)
        imag = atan2(z.imag, (a * b).real)
        return C(complex(copysign(size, real) if fabs(real) > T(1e-2) else size, imag))

    @inline
    def _small_asinh(x):
        return log1p(x + x * x / (one + sqrt(one + x * x))) if x >= zero else -log1p(-x + x * x / (one + sqrt(one + x * x)))

    @inline
    def asin_of(z):
        return over_i(asinh_of(times_i(z)))

    @inline
    def acos_of(z):
        w = asin_of(z)
        return C(complex(HALF_PI - w.real, -w.imag))

    @inline
    def acosh_of(z):
        """log(z + sqrt(z + 1) sqrt(z - 1)), by Kahan's form."""
        a, b = sqrt_of(C(complex(z.real - one, z.imag))), sqrt_of(C(complex(z.real + one, z.imag)))
        real = a.real * b.real + a.imag * b.imag
        size = log1p(real + real * real / (one + sqrt(one + real * real)))
        return C(complex(size, two * atan2(a.imag, b.real)))

    @inline
    def atanh_of(z):
        """Half of log1p(4x / ((1 - x)**2 + y**2)) / 2, and half of the angle of (1 + z) / (1 - z)."""
        x, y = z.real, z.imag
        apart = (one - x) * (one - x) + y * y
        return C(complex(T(0.25) * log1p(T(4) * x / apart), half * atan2(two * y, (one - x) * (one + x) - y * y)))

    @inline
    def atan_of(z):
        return over_i(atanh_of(times_i(z)))

    @inline
    def pow_of(z, w):
        """e**(w log(z)); 0**0 is 1."""
        if w.real == zero and w.imag == zero:
            return C(complex(one, zero))
        if z.real == zero and z.imag == zero:
            return C(complex(zero, zero)) if w.real > zero else C(complex(T(inf), T(nan)))
        if w.imag == zero and w.real == two:
            return z * z
        return exp_of(w * log_of(z))

    @inline
    def sigmoid(z):
        e = exp_of(C(complex(-z.real, -z.imag)))
        return divide(C(complex(one, zero)), C(complex(one + e.real, e.imag)))

    @inline
    def isnan(z):
        return (z.real != z.real) | (z.imag != z.imag)

    @inline
    def isinf(z):
        return (fabs(z.real) == inf) | (fabs(z.imag) == inf)

    @inline
    def isfinite(z):
        return (z.real - z.real == zero) & (z.imag - z.imag == zero)

    @inline
    def real(z):
        return z.real

    @inline
    def imag(z):
        return z.imag

    return {
        "abs": modulus, "divide": divide, "conj": conj, "angle": angle, "sign": sign, "exp": exp_of, "exp2": exp2_of, "expm1": expm1_of, "log": log_of, "log2": log2_of,
        "log10": log10_of, "log1p": log1p_of, "sqrt": sqrt_of, "sinh": sinh_of, "cosh": cosh_of, "tanh": tanh_of, "sin": sin_of, "cos": cos_of,
        "tan": tan_of, "asinh": asinh_of, "acosh": acosh_of, "atanh": atanh_of, "asin": asin_of, "acos": acos_of, "atan": atan_of, "pow": pow_of,
        "sigmoid": sigmoid, "isnan": isnan, "isinf": isinf, "isfinite": isfinite, "real": real, "imag": imag,
    }  # fmt: skip



@inline
def complex_f32(x, y):
    return c64(complex(x, y))


@inline
def complex_f64(x, y):
    return c128(complex(x, y))


globals().update({f"{name}_c64": function for name, function in _functions(c64, f32, "_f32").items()})
globals().update({f"{name}_c128": function for name, function in _functions(c128, f64, "_f64").items()})

"""The incomplete gamma functions and the quantiles of the normal distribution for kernels: igamma igammac ndtri, each as `name_f32` and `name_f64`.

Both compute in float64. The regularized incomplete gamma functions by a series below a + 1 and a continued fraction beyond (Numerical
Recipes, 6.2); the number of steps depends on the arguments, so these are loops, not vector code. `ndtri` as erfinv (Giles, 2012), by
w = -log(4 p (1 - p)), which keeps its digits where p is small; the polynomials interpolate at Chebyshev nodes, computed with 50 digits.
"""

import numpy as np

from numtape.kernels._vec_exp import exp_f64
from numtape.kernels._vec_gamma import lgamma_f64
from numtape.kernels._vec_llvm import fabs, polynomial, scalar, sqrt, where
from numtape.kernels._vec_log import log1p_f64, log_f64
from numtape.kernels._vec_special import ERFINV_CENTRE, ERFINV_FAR, ERFINV_MIDDLE

NDTRI_FAR = (  # erfinv(x) / s of s = sqrt(-log(1 - x**2)) from 5.9 to 27.5, in 1 / s scaled to |t| <= 1
    -2.798519298635654e-10, 4.821844774691678e-10, 9.146309218069766e-10, -1.5627121536245763e-09, -2.1307856069833512e-09,
    3.6775194104732565e-09, 1.273403330861076e-09, -2.0586153668376512e-09, -4.500883082443889e-09, 8.26983988532325e-09,
    -1.0120523424358327e-08, 2.0113272499082414e-08, -4.325418630810147e-08, 8.91159603615597e-08, -1.886069543687296e-07,
    4.1680657589657416e-07, -9.675459319544216e-07, 2.3951867024170695e-06, -6.443661409078094e-06, 1.949051505697438e-05,
    -7.80372363364718e-05, 0.00046898100224079326, -0.00148711498927344, -0.01138865878213529, 0.9885629399949653,
)  # fmt: skip
LOW, HIGH = 1 / 27.5, 1 / 5.9


def _incomplete(T):
    f64 = np.float64
    zero, one, two, half, large, inf, nan = (f64(v) for v in (0, 1, 2, 0.5, 20, np.inf, np.nan))
    tiny, eps, twelve, log_two_pi = f64(1e-300), f64(1e-17), f64(12), f64(np.log(2 * np.pi))
    c3, c5, c7 = f64(1 / 360), f64(1 / 1260), f64(1 / 1680)

    @scalar(f64, helper=True)
    def front(a, x):
        """x**a e**-x / gamma(a); for large a from the distance of x to a, in which little cancels."""
        if a < large:
            return exp_f64(a * log_f64(x) - x - lgamma_f64(a))
        m = (x - a) / a
        z = one / (a * a)
        stirling = (one / twelve - z * (c3 - z * (c5 - z * c7))) / a
        shift = a * (log1p_f64(m) - m) if fabs(m) < half else a * (log_f64(x / a) - m)
        return exp_f64(shift - stirling + half * (log_f64(a) - log_two_pi))

    @scalar(f64, helper=True)
    def series(a, x):
        """The lower function, for x < a + 1."""
        term = one / a
        total, n = term, a
        while term > total * eps:
            n = n + one
            term = term * x / n
            total = total + term
        return front(a, x) * total

    @scalar(f64, helper=True)
    def fraction(a, x):
        """The upper function, for x >= a + 1, by Lentz's method."""
        b = x + one - a
        c, d = one / tiny, one / b
        h, n, step = d, zero, two
        while fabs(step - one) > eps * f64(20):
            n = n + one
            an = -n * (n - a)
            b = b + two
            d = an * d + b
            d = one / (tiny if d == zero else d)
            c = b + an / c
            c = tiny if c == zero else c
            step = c * d
            h = h * step
        return front(a, x) * h

    @scalar(T)
    def igamma(a, x):
        """The regularized lower incomplete gamma function P(a, x)."""
        a64, x64 = f64(a), f64(x)
        if not (a64 >= zero and x64 >= zero) or (a64 == inf and x64 == inf) or (a64 == zero and x64 == zero):
            return T(nan)
        if a64 == zero or x64 == inf:
            return T(one)
        if x64 == zero or a64 == inf:
            return T(zero)
        return T(series(a64, x64) if x64 < a64 + one else one - fraction(a64, x64))

    @scalar(T)
    def igammac(a, x):
        """The regularized upper incomplete gamma function Q(a, x) = 1 - P(a, x)."""
        a64, x64 = f64(a), f64(x)
        if not (a64 >= zero and x64 >= zero) or (a64 == inf and x64 == inf) or (a64 == zero and x64 == zero):
            return T(nan)
        if a64 == zero or x64 == inf:
            return T(zero)
        if x64 == zero or a64 == inf:
            return T(one)
        return T(one - series(a64, x64) if x64 < a64 + one else fraction(a64, x64))

    return igamma, igammac


def _ndtri(T):
    f64 = np.float64
    zero, one, four, inf, nan = (f64(v) for v in (0, 1, 4, np.inf, np.nan))
    start, centre_at, middle_at, far_at, beyond, root_two = (f64(v) for v in (6.25, 3.125, 3.25, 5, 6, np.sqrt(2)))
    scale, shift = f64(2 / (HIGH - LOW)), f64((HIGH + LOW) / (HIGH - LOW))
    centre, middle, far = polynomial(f64, *ERFINV_CENTRE[f64]), polynomial(f64, *ERFINV_MIDDLE[f64]), polynomial(f64, *ERFINV_FAR)
    farther = polynomial(f64, *NDTRI_FAR)

    @scalar(T)
    def ndtri(p):
        """The quantile of the normal distribution, within 5 ulp away from its zero at 1/2; NaN outside [0, 1]."""
        p64 = f64(p)
        q = one - p64
        x = p64 - q
        w = -(log_f64(four * p64) + log1p_f64(-p64)) if p64 < f64(0.25) else -log_f64((one - x) * (one + x))
        s = sqrt(w)
        y = where(s < beyond, where(s < four, middle(s - middle_at), far(s - far_at)), s * farther(scale / s - shift))
        y = where(w < start, centre(w - centre_at), y) * x
        return T(where(p64 == zero, -inf, where(p64 == one, inf, where((p64 >= zero) & (p64 <= one), y * root_two, nan))))

    return ndtri


igamma_f32, igammac_f32 = _incomplete(np.float32)
igamma_f64, igammac_f64 = _incomplete(np.float64)
ndtri_f32, ndtri_f64 = _ndtri(np.float32), _ndtri(np.float64)

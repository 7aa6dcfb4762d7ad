"""Scalar mathematics that LLVM vectorises: every public function exists as `name_f32` and `name_f64`.

    exp exp2 expm1 sigmoid tanh sinh cosh        _vec_exp
    log log2 log10 log1p softplus                _vec_log
    pow                                          _vec_pow
    sin cos tan asin acos atan atan2             _vec_trig
    erf erfc                                     _vec_erf
    asinh acosh atanh                            _vec_area
    lgamma digamma trigamma                      _vec_gamma
    erfinv erfcx i0 i0e i1 i1e                   _vec_special
    bessel_j0 bessel_j1 bessel_y0 bessel_y1      _vec_bessel
    k0 k0e k1 k1e                                _vec_bessel
    ndtri, igamma igammac (loops)                _vec_incomplete
    zeta polygamma                               _vec_zeta (loops)
    sqrt rsqrt floor ceil round trunc fma copysign nextafter maximum minimum                       here
    fmod remainder floor_divide, each also as near_...; far_quotient                               here

A function takes and returns scalars of its one type; called in a loop it is inlined and the loop becomes packed instructions, because
nothing in it branches, looks up a table or calls a library. Exceptions: fmod, remainder and floor_divide call libm for large quotients,
which may have more digits than any fixed number of steps can take off. `near_fmod` and the like take their place where `far_quotient`
says that there are none such. Each docstring names the error bound; special values (NaN,
infinities, signed zeros, denormals) are C's, and NaN goes in and comes out everywhere but where C says otherwise (`pow(nan, 0) == 1`).

Under NUMBA_DISABLE_JIT=1 the same formulas run as Python on NumPy scalars.

>>> import numpy as np
>>> from numba import njit
>>> @njit
... def exp_all(out, x):
...     for i in range(x.size):
...         out[i] = exp_f32(x[i])
>>> x = np.array([0.0, -np.inf, 0.6931472], np.float32)
>>> out = np.empty_like(x)
>>> exp_all(out, x)
>>> out
array([1., 0., 2.], dtype=float32)
"""

# ruff: noqa: F401 (the imports are the public names)

import numpy as np

from numtape.kernels import _vec_llvm as llvm
from numtape.kernels._vec_area import acosh_f32, acosh_f64, asinh_f32, asinh_f64, atanh_f32, atanh_f64
from numtape.kernels._vec_bessel import (
    bessel_j0_f32,
    bessel_j0_f64,
    bessel_j1_f32,
    bessel_j1_f64,
    bessel_y0_f32,
    bessel_y0_f64,
    bessel_y1_f32,
    bessel_y1_f64,
    k0_f32,
    k0_f64,
    k0e_f32,
    k0e_f64,
    k1_f32,
    k1_f64,
    k1e_f32,
    k1e_f64,
)
from numtape.kernels._vec_erf import erf_f32, erf_f64, erfc_f32, erfc_f64
from numtape.kernels._vec_exp import (
    cosh_f32,
    cosh_f64,
    exp2_f32,
    exp2_f64,
    exp_f32,
    exp_f64,
    expm1_f32,
    expm1_f64,
    sigmoid_f32,
    sigmoid_f64,
    sinh_f32,
    sinh_f64,
    tanh_f32,
    tanh_f64,
)
from numtape.kernels._vec_gamma import (
    digamma_f32,
    digamma_f64,
    far_lgamma_f32,
    far_lgamma_f64,
    lgamma_f32,
    lgamma_f64,
    near_lgamma_f32,
    near_lgamma_f64,
    trigamma_f32,
    trigamma_f64,
)
from numtape.kernels._vec_incomplete import igamma_f32, igamma_f64, igammac_f32, igammac_f64, ndtri_f32, ndtri_f64
from numtape.kernels._vec_log import (
    log1p_f32,
    log1p_f64,
    log2_f32,
    log2_f64,
    log10_f32,
    log10_f64,
    log_f32,
    log_f64,
    softplus_f32,
    softplus_f64,
)
from numtape.kernels._vec_pow import pow_f32, pow_f64
from numtape.kernels._vec_special import (
    erfcx_f32,
    erfcx_f64,
    erfinv_f32,
    erfinv_f64,
    far_erfinv_f64,
    i0_f32,
    i0_f64,
    i0e_f32,
    i0e_f64,
    i1_f32,
    i1_f64,
    i1e_f32,
    i1e_f64,
    near_erfinv_f64,
)
from numtape.kernels._vec_trig import (
    acos_f32,
    acos_f64,
    asin_f32,
    asin_f64,
    atan2_f32,
    atan2_f64,
    atan_f32,
    atan_f64,
    cos_f32,
    cos_f64,
    cos_turn_f32,
    sin_f32,
    sin_f64,
    sin_turn_f32,
    tan_f32,
    tan_f64,
)
from numtape.kernels._vec_zeta import polygamma_f32, polygamma_f64, zeta_f32, zeta_f64

UNARY = (
    *("exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "sin", "cos", "tan", "tanh", "sinh", "cosh", "asin", "acos", "atan"),
    *("erf", "erfc", "sigmoid", "softplus", "sqrt", "rsqrt", "floor", "ceil", "round", "trunc", "asinh", "acosh", "atanh"),
    *("lgamma", "digamma", "trigamma", "erfinv", "erfcx", "i0", "i0e", "i1", "i1e"),
    *("bessel_j0", "bessel_j1", "bessel_y0", "bessel_y1", "k0", "k0e", "k1", "k1e", "ndtri"),
)
BINARY = ("pow", "atan2", "copysign", "nextafter", "zeta", "polygamma", "igamma", "igammac", "maximum", "minimum", "fmod", "remainder")
TERNARY = ("fma",)


def _instructions(T):
    zero, half, one, infinity = T(0), T(0.5), T(1), T(np.inf)
    limit = T(2.0 ** (np.finfo(T).nmant - 1))  # below it a quotient that is rounded to a whole number is off by less than one

    @llvm.scalar(T)
    def sqrt(x):
        """Square root, correctly rounded."""
        return llvm.sqrt(x)

    @llvm.scalar(T)
    def rsqrt(x):
        """1 / sqrt(x), within 2 ulp."""
        return one / llvm.sqrt(x)

    @llvm.scalar(T)
    def floor(x):
        """Greatest integer <= x."""
        return llvm.floor(x)

    @llvm.scalar(T)
    def ceil(x):
        """Least integer >= x."""
        return llvm.ceil(x)

    @llvm.scalar(T)
    def round(x):
        """Nearest integer, ties to even."""
        return llvm.rint(x)

    @llvm.scalar(T)
    def trunc(x):
        """Integer part, towards zero."""
        return llvm.trunc(x)

    @llvm.scalar(T)
    def fma(a, b, c):
        """a * b + c, rounded once."""
        return llvm.fma(a, b, c)

    @llvm.scalar(T)
    def copysign(x, y):
        """|x| with the sign of y."""
        return llvm.copysign(x, y)

    @llvm.scalar(T)
    def nextafter(x, y):
        """The next number from x towards y; y where they are equal."""
        return llvm.nextafter(x, y)

    @llvm.scalar(T)
    def maximum(x, y):
        """The greater of the two, NaN if one is NaN; +0 is greater than -0."""
        return llvm.maximum(x, y)

    @llvm.scalar(T)
    def minimum(x, y):
        """The lesser of the two, NaN if one is NaN; -0 is less than +0."""
        return llvm.minimum(x, y)

    @llvm.scalar(T)
    def far_quotient(x, y):
        """Whether x / y has so many digits that `near_fmod` is not for it."""
        a, b = llvm.fabs(x), limit * llvm.fabs(y)
        return (a >= b) & (a < infinity) & (b > zero)

    @llvm.scalar(T)
    def near_fmod(x, y):
        """x - y * trunc(x / y), exact, with the sign of x, where the quotient has few enough digits.

        Its rounding may move the rest by one y, which is then put back; each of these rests is a multiple of y's last place below 2|y|,
        so no step rounds.
        """
        a, b = llvm.fabs(x), llvm.fabs(y)
        q = a / b
        r = llvm.fma(-llvm.trunc(q), b, a)
        r = llvm.where(r < zero, r + b, r)
        r = llvm.where(r >= b, r - b, r)
        return llvm.copysign(llvm.where(a < b, a, r), x)

    @llvm.scalar(T)
    def fmod(x, y):
        """x - y * trunc(x / y), exact, with the sign of x. Calls libm where the quotient is large."""
        if far_quotient(x, y):
            return llvm.fmod(x, y)
        return near_fmod(x, y)

    @llvm.scalar(T, helper=True)
    def towards(r, y):
        """The rest r of a division by y with the sign of y."""
        return llvm.where((r != zero) & ((r < zero) != (y < zero)), r + y, r)

    @llvm.scalar(T)
    def near_remainder(x, y):
        """x - y * floor(x / y) with the sign of y, where `near_fmod` can take its place."""
        return towards(near_fmod(x, y), y)

    @llvm.scalar(T)
    def remainder(x, y):
        """x - y * floor(x / y) with the sign of y, as Python's % and torch.remainder. Calls libm where the quotient is large."""
        return towards(fmod(x, y), y)

    @llvm.scalar(T, helper=True)
    def quotient_of(r, x, y):
        """x // y of the exact rest r, with the sign of x, as Python's, so that 1.0 // 0.1 is 9."""
        q = (x - r) / y
        q = llvm.where((r != zero) & ((r < zero) != (y < zero)), q - one, q)
        f = llvm.floor(q)
        f = llvm.where(q - f > half, f + one, f)
        return llvm.where(y == zero, x / y, f)

    @llvm.scalar(T)
    def near_floor_divide(x, y):
        """The quotient that belongs to `near_remainder`."""
        return quotient_of(near_fmod(x, y), x, y)

    @llvm.scalar(T)
    def floor_divide(x, y):
        """The quotient that belongs to `remainder`, a whole number."""
        return quotient_of(fmod(x, y), x, y)

    found = sqrt, rsqrt, floor, ceil, round, trunc, fma, copysign, nextafter, maximum, minimum, fmod, remainder, floor_divide
    return *found, far_quotient, near_fmod, near_remainder, near_floor_divide


(
    sqrt_f32,
    rsqrt_f32,
    floor_f32,
    ceil_f32,
    round_f32,
    trunc_f32,
    fma_f32,
    copysign_f32,
    nextafter_f32,
    maximum_f32,
    minimum_f32,
    fmod_f32,
    remainder_f32,
    floor_divide_f32,
    far_quotient_f32,
    near_fmod_f32,
    near_remainder_f32,
    near_floor_divide_f32,
) = _instructions(np.float32)
(
    sqrt_f64,
    rsqrt_f64,
    floor_f64,
    ceil_f64,
    round_f64,
    trunc_f64,
    fma_f64,
    copysign_f64,
    nextafter_f64,
    maximum_f64,
    minimum_f64,
    fmod_f64,
    remainder_f64,
    floor_divide_f64,
    far_quotient_f64,
    near_fmod_f64,
    near_remainder_f64,
    near_floor_divide_f64,
) = _instructions(np.float64)

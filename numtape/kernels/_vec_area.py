"""Inverse hyperbolic functions for kernels: asinh acosh atanh, each as `name_f32` and `name_f64`, by log1p of what is left of the argument of
the logarithm when 1 is taken from it:

    asinh(a) = log1p(a + a**2 / (1 + sqrt(a**2 + 1))),    acosh(1 + t) = log1p(t + sqrt(t (t + 2))),    atanh(a) = log1p(2 a / (1 - a)) / 2
"""

import numpy as np

from numtape.kernels._vec_llvm import copysign, fabs, scalar, sqrt, where
from numtape.kernels._vec_log import log1p_f32, log1p_f64, log_f32, log_f64

LARGE = {np.float32: 2.0**60, np.float64: 2.0**500}  # 1 is nothing beside it, and its square is finite


def _areas(T, log, log1p):
    half, one, two, nan = T(0.5), T(1), T(2), T(np.nan)
    large, ln2 = T(LARGE[T]), T(0.6931471805599453)

    @scalar(T)
    def asinh(x):
        """The inverse of sinh, within 3 ulp."""
        a = fabs(x)
        square = a * a
        y = log1p(a + square / (one + sqrt(square + one)))
        return copysign(where(a > large, log(a) + ln2, y), x)

    @scalar(T)
    def acosh(x):
        """The inverse of cosh, within 3 ulp; NaN below 1."""
        t = x - one
        y = log1p(t + sqrt(t * (t + two)))
        return where(x < one, nan, where(x > large, log(x) + ln2, y))

    @scalar(T)
    def atanh(x):
        """The inverse of tanh, within 3 ulp; NaN outside [-1, 1]."""
        a = fabs(x)
        return copysign(half * log1p(two * a / (one - a)), x)

    return asinh, acosh, atanh


asinh_f32, acosh_f32, atanh_f32 = _areas(np.float32, log_f32, log1p_f32)
asinh_f64, acosh_f64, atanh_f64 = _areas(np.float64, log_f64, log1p_f64)

"""Floating-point scalar functions that need no polynomial: signs, tests, rounded quotients."""

from numtape.kernels._vec_llvm import copysign, fabs
from numtape.kernels.intrinsics import f32, f64, inline
from numtape.kernels.vecmath import trunc_f32, trunc_f64


@inline
def abs_f32(x):
    return fabs(x)


abs_f64 = abs_f32


@inline
def sign_f32(x):
    return f32(1) if x > f32(0) else (f32(-1) if x < f32(0) else f32(0))


@inline
def sign_f64(x):
    return f64(1) if x > f64(0) else (f64(-1) if x < f64(0) else f64(0))


@inline
def angle_f32(x):
    return x if x != x else (f32(3.141592653589793) if x < f32(0) else f32(0))


@inline
def angle_f64(x):
    return x if x != x else (f64(3.141592653589793) if x < f64(0) else f64(0))


@inline
def real_f32(x):
    return x


@inline
def imag_f32(x):
    return f32(0)


@inline
def imag_f64(x):
    return f64(0)


real_f64 = real_f32


@inline
def isnan_f32(x):
    return x != x


@inline
def isinf_f32(x):
    return (x == x) & (x - x != x - x)


@inline
def isfinite_f32(x):
    return x - x == x - x


@inline
def signbit_f32(x):
    return copysign(f32(1), x) < f32(0)


@inline
def signbit_f64(x):
    return copysign(f64(1), x) < f64(0)


isnan_f64, isinf_f64, isfinite_f64 = isnan_f32, isinf_f32, isfinite_f32


@inline
def truncate_divide_f32(x, y):
    return trunc_f32(x / y)


@inline
def truncate_divide_f64(x, y):
    return trunc_f64(x / y)

"""The vectorised scalar functions against NumPy in a wider type: error in ulp, special values, and that loops over them are packed."""

import math
import platform

import numpy as np
import pytest
from numba import config, njit

from numtape.kernels import vecmath

TYPES = {"f32": np.float32, "f64": np.float64}
WIDER = {"f32": np.float64, "f64": np.longdouble}
LONG_DOUBLE = np.finfo(np.longdouble).nmant > 52
N = 200 if config.DISABLE_JIT else 20_000
SPECIAL = [0.0, 1e-45, 1e-40, 1e-30, 0.5, 1.0, 2.0, 2.5, 3.0, 88.7, 89.0, 103.9, 710.0, 1e30, np.inf]
SPECIAL = np.array([sign * v for v in SPECIAL for sign in (1, -1)] + [np.nan])


def elementwise(function):
    """The function over the elements of arrays that share a shape."""
    if config.DISABLE_JIT:
        return lambda *arrays: np.array([function(*args) for args in zip(*arrays)], arrays[0].dtype)

    @njit(error_model="numpy", no_cfunc_wrapper=True)
    def unary(out, x):
        for i in range(out.size):
            out[i] = function(x[i])

    @njit(error_model="numpy", no_cfunc_wrapper=True)
    def binary(out, x, y):
        for i in range(out.size):
            out[i] = function(x[i], y[i])

    def run(*arrays):
        out = np.empty_like(arrays[0])
        (unary if len(arrays) == 1 else binary)(out, *arrays)
        return out

    return run


def ulp_errors(got, exact):
    """Distance of `got` from `exact` (in a wider type) in units of the last place of exact's rounding; inf where kinds differ."""
    with np.errstate(all="ignore"):
        want = exact.astype(got.dtype)
        finite = np.isfinite(want) & np.isfinite(got)
        ulp = np.spacing(np.abs(want))
        errors = np.abs(got.astype(exact.dtype) - exact) / ulp.astype(exact.dtype)
    same_kind = (got == want) | (np.isnan(got) & np.isnan(want))
    signs_agree = np.isnan(want) | (want != 0) | (np.signbit(got) == np.signbit(want))
    return np.where(~signs_agree, np.inf, np.where(finite, errors, np.where(same_kind, 0, np.inf)))


def by_math(function):
    """A reference from the standard library's float64."""
    return lambda x: np.array([math.nan if math.isnan(v) else function(float(v)) for v in x.ravel()], x.dtype).reshape(x.shape)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def softplus(x):
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


# name: (reference, float32 domain, float64 domain, bound in ulp for float32, for float64)
UNARY = {
    "exp": (np.exp, (-105, 90), (-746, 711), 1, 1),
    "exp2": (np.exp2, (-151, 129), (-1076, 1025), 1, 1),
    "expm1": (np.expm1, (-20, 89), (-40, 710), 2, 2),
    "log": (np.log, (1e-3, 10), (1e-3, 10), 1, 1),
    "log2": (np.log2, (1e-3, 10), (1e-3, 10), 2, 2),
    "log10": (np.log10, (1e-3, 10), (1e-3, 10), 2, 2),
    "log1p": (np.log1p, (-1, 10), (-1, 10), 2, 2),
    "sin": (np.sin, (-1e5, 1e5), (-1e5, 1e5), 1, 2),
    "cos": (np.cos, (-1e5, 1e5), (-1e5, 1e5), 1, 2),
    "tan": (np.tan, (-1e5, 1e5), (-1e5, 1e5), 1, 2),
    "tanh": (np.tanh, (-10, 10), (-20, 20), 1, 2),
    "sinh": (np.sinh, (-90, 90), (-711, 711), 2, 2),
    "cosh": (np.cosh, (-90, 90), (-711, 711), 2, 2),
    "asin": (np.arcsin, (-1, 1), (-1, 1), 2, 2),
    "acos": (np.arccos, (-1, 1), (-1, 1), 1, 1),
    "atan": (np.arctan, (-10, 10), (-10, 10), 2, 2),
    # the references of erf and erfc in float64 are themselves some tenths of an ulp off
    "erf": (by_math(math.erf), (-5, 5), (-7, 7), 2, 2),
    "erfc": (by_math(math.erfc), (-5, 11), (-7, 28), 1, 4),
    "sigmoid": (sigmoid, (-105, 30), (-746, 50), 1, 1),
    "softplus": (softplus, (-104, 20), (-746, 50), 2, 2),
    "asinh": (np.arcsinh, (-50, 50), (-50, 50), 2, 2),
    "acosh": (np.arccosh, (1, 50), (1, 50), 3, 3),
    "atanh": (np.arctanh, (-1, 1), (-1, 1), 2, 2),
    "sqrt": (np.sqrt, (0, 1e3), (0, 1e3), 0.501, 0.501),
    "rsqrt": (lambda x: 1 / np.sqrt(x), (0, 1e3), (0, 1e3), 2, 2),
    "floor": (np.floor, (-10, 10), (-10, 10), 0, 0),
    "ceil": (np.ceil, (-10, 10), (-10, 10), 0, 0),
    "round": (np.rint, (-10, 10), (-10, 10), 0, 0),
    "trunc": (np.trunc, (-10, 10), (-10, 10), 0, 0),
}


def torch_remainder(x, y):
    r = np.fmod(x, y)
    return np.where((r != 0) & ((r < 0) != (y < 0)), r + y, r)


def nan_propagating(choose):
    """NumPy's maximum or minimum, with the order -0 < +0 that NumPy leaves open."""
    sign = 1 if choose is np.maximum else -1

    def reference(x, y):
        both_zero = (x == 0) & (y == 0)
        zero = np.where(np.signbit(x) == np.signbit(y), x, np.copysign(0.0, sign))
        return np.where(both_zero, zero, choose(x, y))

    return reference


BINARY = {  # name: (reference, bound in ulp)
    "pow": (np.power, 2),
    "atan2": (np.arctan2, 2),
    "copysign": (np.copysign, 0),
    "maximum": (nan_propagating(np.maximum), 0),
    "minimum": (nan_propagating(np.minimum), 0),
    "fmod": (np.fmod, 0),
    "remainder": (torch_remainder, 0.501),
    "nextafter": (None, 0),
}
SPECIAL_FUNCTIONS = {"lgamma", "digamma", "trigamma", "erfinv", "erfcx", "i0", "i0e", "i1", "i1e", "zeta", "polygamma", "igamma", "igammac", "ndtri"}
SPECIAL_FUNCTIONS |= {"bessel_j0", "bessel_j1", "bessel_y0", "bessel_y1", "k0", "k0e", "k1", "k1e"}  # tests/test_special.py


def reference_in(suffix, reference, *arrays):
    with np.errstate(all="ignore"):
        return np.asarray(reference(*(a.astype(WIDER[suffix]) for a in arrays)), WIDER[suffix])


def assert_within(function, reference, suffix, bound, *arrays):
    if suffix == "f64" and not LONG_DOUBLE:
        bound += 1  # the reference is then no wider than what is tested
    errors = ulp_errors(elementwise(function)(*arrays), reference_in(suffix, reference, *arrays))
    worst = int(errors.argmax())
    assert errors[worst] <= bound, f"{errors[worst]:.2f} ulp at {[a[worst] for a in arrays]}"


@pytest.mark.parametrize("suffix", TYPES)
@pytest.mark.parametrize("name", UNARY)
def test_unary(name, suffix):
    T, rng = TYPES[suffix], np.random.default_rng(0)
    reference, domain_32, domain_64, *bounds = UNARY[name]
    low, high = domain_32 if suffix == "f32" else domain_64
    anywhere = np.exp2(rng.uniform(-140, 100, N)) if name not in ("sin", "cos", "tan") else np.exp2(rng.uniform(-140, 40, N))
    special = SPECIAL[~(np.isfinite(SPECIAL) & (np.abs(SPECIAL) > 2.0**45))] if name in ("sin", "cos", "tan") else SPECIAL
    near_zero_and_one = np.concatenate([rng.normal(size=N), 1 + 1e-3 * rng.normal(size=N)])
    with np.errstate(over="ignore"):
        x = np.concatenate([special, rng.uniform(low, high, N), anywhere, -anywhere, near_zero_and_one]).astype(T)
    assert_within(getattr(vecmath, f"{name}_{suffix}"), reference, suffix, bounds[suffix == "f64"], x)


@pytest.mark.parametrize("suffix", TYPES)
@pytest.mark.parametrize("name", BINARY)
def test_binary(name, suffix):
    T, rng = TYPES[suffix], np.random.default_rng(0)
    reference, bound = BINARY[name]
    reference = reference or (lambda p, q: np.nextafter(p.astype(T), q.astype(T)).astype(p.dtype))
    a, b = (v.ravel() for v in np.meshgrid(SPECIAL, SPECIAL))
    x = np.concatenate([a, rng.normal(size=N), np.exp2(rng.uniform(-9, 9, N)), -rng.integers(0, 30, N).astype(float)]).astype(T)
    y = np.concatenate([b, rng.normal(size=N), rng.uniform(-20, 20, N), rng.integers(-30, 30, N).astype(float)]).astype(T)
    if name == "remainder":  # x - y * floor(x / y) rounds: compare where the reference is formed in T
        reference = lambda p, q: torch_remainder(p.astype(T), q.astype(T)).astype(p.dtype)
    assert_within(getattr(vecmath, f"{name}_{suffix}"), reference, suffix, bound, x, y)


@pytest.mark.parametrize("suffix", TYPES)
def test_fma_rounds_once(suffix):
    T = TYPES[suffix]
    a = T(1) + T(np.finfo(T).eps)
    product = a * a
    assert getattr(vecmath, f"fma_{suffix}")(a, a, -product) == T(np.finfo(T).eps) ** 2  # what the product lost


@pytest.mark.parametrize("suffix", TYPES)
def test_exact_results(suffix):
    call = lambda name, *args: getattr(vecmath, f"{name}_{suffix}")(*map(TYPES[suffix], args))
    assert all(call("exp2", n) == 2.0**n for n in range(-149, 128))
    assert all(call("log2", 2.0**n) == n for n in range(-149, 128))
    assert all(call("log10", 10.0**n) == n for n in range(11))
    assert all(call("pow", n, 2) == n * n for n in range(-100, 100))
    assert call("remainder", -7, 3) == 2 and call("fmod", -7, 3) == -1


@pytest.mark.parametrize("suffix", TYPES)
def test_waves_are_nan_beyond_their_range(suffix):
    T = TYPES[suffix]
    inside, beyond = np.exp2(np.linspace(40, 45, 500)).astype(T)[:-1], np.exp2(np.linspace(46, 127, 500)).astype(T)
    for name in ("sin", "cos", "tan"):
        function = elementwise(getattr(vecmath, f"{name}_{suffix}"))
        assert np.isfinite(function(inside)).all()
        assert np.isnan(function(beyond)).all()
        assert np.isnan(function(-beyond)).all()


def test_next_to_a_zero_sin_keeps_its_digits():
    # 245850922 / 78256779 is a convergent of pi; value from mpmath with 50 digits
    assert vecmath.sin_f64(np.float64(245850922.0)) == pytest.approx(6.1180653830011163e-09, rel=1e-15)
    assert vecmath.sin_f64(np.float64(math.pi)) == pytest.approx(1.2246467991473532e-16, rel=1e-15)


@pytest.mark.skipif(bool(config.DISABLE_JIT), reason="nothing is compiled with NUMBA_DISABLE_JIT=1")
@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="reads x86 assembly")
@pytest.mark.parametrize("name, packed", [("exp_f32", "mulps"), ("exp_f64", "mulpd"), ("tanh_f32", "mulps"), ("sin_f32", "mulpd")])
def test_a_loop_is_packed_and_calls_nothing(name, packed):
    function = getattr(vecmath, name)

    @njit(error_model="numpy", no_cfunc_wrapper=True)
    def loop(out, x):
        for i in range(out.size):
            out[i] = function(x[i])

    x = np.ones(64, TYPES[name[-3:]])
    loop(x, x)
    (assembly,) = loop.inspect_asm().values()
    assert packed in assembly
    library = {f"${n}" for n in ("exp", "expf", "tanh", "tanhf", "sin", "sinf", "fma", "fmaf")}  # reached through a register
    assert not any(line.split()[1].rstrip(",") in library for line in assembly.splitlines() if line.strip().startswith("movabsq"))


def test_every_public_name_exists_for_both_types():
    names = set(vecmath.UNARY) | set(vecmath.BINARY) | set(vecmath.TERNARY)
    assert names == set(UNARY) | set(BINARY) | SPECIAL_FUNCTIONS | {"fma"}
    assert all(callable(getattr(vecmath, f"{name}_{suffix}")) for name in names for suffix in TYPES)

"""The special functions against mpmath: error in ulp, special values."""

import numpy as np
import pytest
from numba import config
from test_vecmath import SPECIAL_FUNCTIONS, TYPES, elementwise, ulp_errors

from numtape.kernels import vecmath

mp = pytest.importorskip("mpmath")
N = 20 if config.DISABLE_JIT else 300


def scaled(order):
    return lambda x: mp.exp(-abs(x)) * mp.besseli(order, x)


# name: (reference, domain, bound in ulp for float32, for float64)
FUNCTIONS = {
    "lgamma": (mp.loggamma, (1e-3, 60), 1, 5),
    "digamma": (mp.digamma, (1e-3, 60), 1, 5),
    "trigamma": (lambda x: mp.psi(1, x), (1e-3, 60), 1, 3),
    "erfinv": (mp.erfinv, (-1, 1), 3, 3),
    "erfcx": (lambda x: mp.exp(x * x) * mp.erfc(x), (-5, 25), 1, 6),
    "i0": (lambda x: mp.besseli(0, x), (-50, 50), 1, 4),
    "i0e": (scaled(0), (-50, 50), 1, 4),
    "i1": (lambda x: mp.besseli(1, x), (-50, 50), 1, 5),
    "i1e": (scaled(1), (-50, 50), 1, 5),
    "bessel_j0": (lambda x: mp.besselj(0, x), (-5, 5), 1, 5),
    "bessel_j1": (lambda x: mp.besselj(1, x), (-5, 5), 1, 6),
    "k0": (lambda x: mp.besselk(0, x), (1e-3, 50), 1, 6),
    "k0e": (lambda x: mp.exp(x) * mp.besselk(0, x), (1e-3, 50), 1, 6),
    "k1": (lambda x: mp.besselk(1, x), (1e-3, 50), 1, 6),
    "k1e": (lambda x: mp.exp(x) * mp.besselk(1, x), (1e-3, 50), 1, 6),
}


def exact(function, *arrays):
    """The function with 30 digits, as long doubles."""
    with mp.workdps(30):
        values = [function(*(mp.mpf(float(v)) for v in row)) for row in zip(*arrays)]
        return np.array([np.longdouble(float(v)) + np.longdouble(float(v - float(v))) for v in values])


@pytest.mark.parametrize("suffix", TYPES)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_error(name, suffix):
    reference, (low, high), *bounds = FUNCTIONS[name]
    rng, T = np.random.default_rng(0), TYPES[suffix]
    n = N // 8 if name.startswith("k") else N  # their reference takes a millisecond a point
    near_one = (1 + 1e-3 * rng.normal(size=n)).clip(low, high)
    x = np.concatenate([rng.uniform(low, high, n), rng.uniform(max(low, -4), min(high, 4), n), np.exp2(rng.uniform(-30, 3, n)).clip(max(low, 0), high), near_one]).astype(T)
    x = x[np.abs(x) < 1] if name == "erfinv" else x
    errors = ulp_errors(elementwise(getattr(vecmath, f"{name}_{suffix}"))(x), exact(reference, x))
    worst = int(errors.argmax())
    assert errors[worst] <= bounds[suffix == "f64"], f"{errors[worst]:.2f} ulp at {x[worst]!r}"


@pytest.mark.parametrize("name, reference", [("zeta", mp.zeta), ("polygamma", lambda x, n: mp.psi(int(n), x))])
def test_zeta(name, reference):
    rng = np.random.default_rng(0)
    order, y = rng.integers(2, 9, 60).astype(float), np.concatenate([rng.uniform(0.1, 30, 50), rng.uniform(-4.9, -4.1, 10)])
    args = (order, y) if name == "zeta" else (y, order)
    assert ulp_errors(elementwise(getattr(vecmath, f"{name}_f64"))(*args), exact(reference, *args)).max() < 50


@pytest.mark.parametrize("name", ["lgamma", "digamma"])
def test_below_zero(name):
    """Near the zeros there only the absolute error is small."""
    x = np.random.default_rng(0).uniform(-20, 0, N)
    function = {"lgamma": lambda v: mp.log(abs(mp.gamma(v))), "digamma": mp.digamma}[name]
    got, want = elementwise(getattr(vecmath, f"{name}_f64"))(x), exact(function, x).astype(float)
    size = 1 + np.abs(want) + (x * np.log(-x) if name == "lgamma" else 0)
    assert (np.abs(got - want) <= 1e-14 * np.abs(size) + 3e-14 * np.abs(want) / np.abs(x - np.rint(x))).all()


@pytest.mark.parametrize("name", ["bessel_j0", "bessel_j1", "bessel_y0", "bessel_y1"])
def test_waves(name):
    """Beyond 5, and Y everywhere, the error is small beside the size of the waves, sqrt(2 / (pi x))."""
    order, kind = int(name[-1]), mp.besselj if name[7] == "j" else mp.bessely
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.uniform(5, 300, N), 10 ** rng.uniform(2.5, 6, N // 2), rng.uniform(1e-2, 5, N)])
    want = exact(lambda v: kind(order, v), x).astype(float)
    size = np.maximum(np.sqrt(2 / (np.pi * x)), np.abs(want))
    assert (np.abs(elementwise(getattr(vecmath, f"{name}_f64"))(x) - want) <= 2e-15 * size + 1.2e-16 * x * size).all()  # x itself is rounded
    assert (np.abs(elementwise(getattr(vecmath, f"{name}_f32"))(x.astype("f4")).astype(float) - want) <= 1e-7 * (1 + x) * size).all()


def test_incomplete_gamma():
    rng = np.random.default_rng(0)
    a = np.concatenate([10 ** rng.uniform(-2, 2, 80), rng.uniform(100, 3000, 20)])
    x = a * np.concatenate([10 ** rng.uniform(-1, 1, 80), rng.normal(1, 0.05, 20)])
    for name, reference in (("igamma", lambda a, x: mp.gammainc(a, 0, x, True)), ("igammac", lambda a, x: mp.gammainc(a, x, mp.inf, True))):
        got, want = elementwise(getattr(vecmath, f"{name}_f64"))(a, x), exact(reference, a, x).astype(float)
        np.testing.assert_allclose(got, want, rtol=3e-13, atol=1e-15)
        np.testing.assert_allclose(elementwise(getattr(vecmath, f"{name}_f32"))(a.astype("f4"), x.astype("f4")), want, rtol=2e-5 * 60, atol=1e-6)


def test_ndtri():
    p = np.concatenate([np.random.default_rng(0).uniform(0, 1, 200), 10.0 ** np.arange(-300, 0, 7), 1 - 10.0 ** np.arange(-15.0, 0)])
    want = exact(lambda v: -mp.sqrt(2) * _inverse_erfc(2 * v), p).astype(float)
    np.testing.assert_allclose(elementwise(vecmath.ndtri_f64)(p), want, rtol=3e-15, atol=3e-16)


def _inverse_erfc(v):
    """By Newton's method on log(erfc)."""
    if v > 0.5:
        return mp.erfinv(1 - v)
    y = mp.sqrt(-mp.log(v))
    for _ in range(60):
        y -= (mp.log(mp.erfc(y)) - mp.log(v)) * mp.erfc(y) / (-2 / mp.sqrt(mp.pi) * mp.exp(-y * y))
    return y


INF, NAN = np.inf, np.nan
CASES = {
    "lgamma": [(0.0, INF), (-0.0, INF), (1.0, 0.0), (2.0, 0.0), (-3.0, INF), (INF, INF), (-INF, INF)],
    "digamma": [(0.0, -INF), (-0.0, INF), (-2.0, NAN), (INF, INF), (-INF, NAN)],
    "trigamma": [(0.0, INF), (-2.0, INF), (INF, 0.0), (-INF, NAN)],
    "erfinv": [(0.0, 0.0), (1.0, INF), (-1.0, -INF), (1.5, NAN), (-INF, NAN)],
    "erfcx": [(0.0, 1.0), (INF, 0.0), (-INF, INF), (-30.0, INF)],
    "i0": [(0.0, 1.0), (INF, INF), (-INF, INF)],
    "i0e": [(0.0, 1.0), (INF, 0.0)],
    "i1": [(0.0, 0.0), (INF, INF), (-INF, -INF)],
    "i1e": [(0.0, 0.0), (INF, 0.0)],
    "bessel_j0": [(0.0, 1.0), (INF, 0.0), (-INF, 0.0)],
    "bessel_j1": [(0.0, 0.0), (INF, 0.0)],
    "bessel_y0": [(0.0, -INF), (-1.0, NAN), (INF, 0.0)],
    "bessel_y1": [(0.0, -INF), (-1.0, NAN), (INF, 0.0)],
    "k0": [(0.0, INF), (-1.0, NAN), (INF, 0.0)],
    "k0e": [(0.0, INF), (-1.0, NAN), (INF, 0.0)],
    "k1": [(0.0, INF), (-1.0, NAN), (INF, 0.0)],
    "k1e": [(0.0, INF), (-1.0, NAN), (INF, 0.0)],
    "ndtri": [(0.0, -INF), (1.0, INF), (0.5, 0.0), (-0.1, NAN), (1.1, NAN)],
}


@pytest.mark.parametrize("suffix", TYPES)
@pytest.mark.parametrize("name", CASES)
def test_special_values(name, suffix):
    x, want = np.array([*CASES[name], (NAN, NAN)]).T
    np.testing.assert_array_equal(elementwise(getattr(vecmath, f"{name}_{suffix}"))(x.astype(TYPES[suffix])), want)


def test_every_special_function_is_tested():
    others = {"zeta", "polygamma", "igamma", "igammac", "ndtri", "bessel_y0", "bessel_y1"}
    assert set(FUNCTIONS) | others == SPECIAL_FUNCTIONS

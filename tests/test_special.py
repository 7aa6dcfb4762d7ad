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
    "erfinv": (mp.erfinv, (-1, 1), 1, 3),
    "erfcx": (lambda x: mp.exp(x * x) * mp.erfc(x), (-5, 25), 1, 6),
    "i0": (lambda x: mp.besseli(0, x), (-50, 50), 1, 4),
    "i0e": (scaled(0), (-50, 50), 1, 4),
    "i1": (lambda x: mp.besseli(1, x), (-50, 50), 1, 5),
    "i1e": (scaled(1), (-50, 50), 1, 5),
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
    near_one = (1 + 1e-3 * rng.normal(size=N)).clip(low, high)
    x = np.concatenate([rng.uniform(low, high, N), rng.uniform(max(low, -4), min(high, 4), N), np.exp2(rng.uniform(-30, 3, N)).clip(max(low, 0), high), near_one]).astype(T)
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
}


@pytest.mark.parametrize("suffix", TYPES)
@pytest.mark.parametrize("name", CASES)
def test_special_values(name, suffix):
    x, want = np.array([*CASES[name], (NAN, NAN)]).T
    np.testing.assert_array_equal(elementwise(getattr(vecmath, f"{name}_{suffix}"))(x.astype(TYPES[suffix])), want)


def test_every_special_function_is_tested():
    assert set(FUNCTIONS) | {"zeta", "polygamma"} == SPECIAL_FUNCTIONS

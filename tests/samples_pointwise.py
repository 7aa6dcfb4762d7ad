"""Samples of pointwise.py, bits.py, ask.py, special.py and reduce_more.py."""

import numpy as np


def data(*shape, seed=0, low=-3.0, high=3.0):
    """Numbers that are not whole."""
    rng = np.random.default_rng([77, seed, *shape])
    values = rng.uniform(low, high, shape)
    return np.where(abs(values - np.rint(values)) < 0.1, values + 0.2, values)


def whole(*shape, seed=0, low=-20, high=20):
    return np.random.default_rng([78, seed, *shape]).integers(low, high, shape)


def of(name, *extra, **options):
    """A call of a function of the module, with more arguments."""
    return lambda m, *tensors: getattr(m, name)(*tensors, *extra, **options)


def special(name, *extra):
    """A call of a function of numtape.special."""
    return lambda m, *tensors: getattr(m.special, name)(*tensors, *extra)


x, y, positive, cube = data(4, 5), data(4, 5, seed=1), data(4, 5, low=0.3), data(3, 4, 5)
inside, above, holes = data(4, 5, low=0.15, high=0.85), data(4, 5, low=1.2), cube.copy()
inside = np.clip(inside, 0.1, 0.9)
holes[0, 1, 2] = holes[2, :2, 3] = np.nan
a, b = whole(4, 5), whole(4, 5, seed=1)
few = whole(4, 5, seed=2, low=0, high=5)

SAMPLES = {
    # pointwise.py
    "acosh": [("one", of("acosh"), (above,))],
    "heaviside": [("two", of("heaviside"), (x, y)), ("zeros", lambda m, s, t: m.heaviside(s * 0, t), (x, y)), ("row", of("heaviside"), (x, y[0].copy()))],
    "nextafter": [("two", of("nextafter"), (x, y)), ("row", of("nextafter"), (x, y[0].copy()))],
    "hypot": [("two", of("hypot"), (x, y)), ("row", of("hypot"), (x, y[0].copy())), ("outer", of("hypot"), (x[:, :1].copy(), y[0].copy()))],
    "logaddexp": [("two", of("logaddexp"), (x, y)), ("row", of("logaddexp"), (x, y[0].copy())), ("alike", lambda m, t: m.logaddexp(t, t), (x,))],
    "logaddexp2": [("two", of("logaddexp2"), (x, y)), ("row", of("logaddexp2"), (x, y[0].copy())), ("alike", lambda m, t: m.logaddexp2(t, t), (x,))],
    "fmax": [("two", of("fmax"), (x, y)), ("row", of("fmax"), (x, y[0].copy()))],
    "fmin": [("two", of("fmin"), (x, y)), ("row", of("fmin"), (x, y[0].copy()))],
    "_finite": [("defaults", of("nan_to_num"), (x,)), ("numbers", of("nan_to_num", 1.5, 2.0, -3.0), (x,))],
    "nan_to_num": [
        ("defaults", of("nan_to_num"), (x,)), ("numbers", of("nan_to_num", nan=1.5, posinf=2.0), (holes,)), ("infinities", lambda m, t: m.nan_to_num(t / 0.0, neginf=-3.0), (cube,)),
    ],
    "_logit": [("one", of("logit"), (inside,))],
    "logit": [("plain", of("logit"), (inside,)), ("eps", of("logit", eps=0.3), (inside,)), ("method", lambda m, t: t.logit(0.2), (inside,))],
    "float_power": [
        ("number", of("float_power", 2), (positive,)), ("tensor", of("float_power"), (positive, y)), ("left", lambda m, t: m.float_power(2, t).contiguous(), (x,)),
        ("row", of("float_power"), (positive, y[0].copy())),
    ],
    "ldexp": [("whole", of("ldexp"), (x, few)), ("two", of("ldexp"), (x, y))],
    # bits.py
    "gcd": [("two", of("gcd"), (a, b)), ("data", of("gcd"), (x, y)), ("row", of("gcd"), (a, b[0].copy()))],
    "lcm": [("two", of("lcm"), (a, b)), ("data", of("lcm"), (x, y)), ("row", of("lcm"), (a, b[0].copy()))],
    "bitwise_left_shift": [("two", of("bitwise_left_shift"), (a, few)), ("number", of("bitwise_left_shift", 2), (a,)), ("data", lambda m, t: t << 1, (x,)), ("left", lambda m, t: 3 << t, (few,))],
    "bitwise_right_shift": [("two", of("bitwise_right_shift"), (a, few)), ("number", of("bitwise_right_shift", 2), (a,)), ("data", lambda m, t: t >> 1, (x,)), ("left", lambda m, t: 300 >> t, (few,))],
    # ask.py
    "_near": [("two", of("isclose"), (x, y)), ("wide", of("isclose", rtol=0.5, atol=0.3), (x, y)), ("nan", of("isclose", equal_nan=True), (holes, holes))],
    "isclose": [("two", of("isclose"), (x, x)), ("nan", of("isclose"), (holes, holes)), ("row", of("isclose", 0.5), (x, y[0].copy()))],
    "isin": [
        ("two", of("isin"), (x, x[1].copy())), ("whole", of("isin"), (a, b)), ("number", lambda m, t: m.isin(t, 3), (a,)), ("none", lambda m, t: m.isin(t, t[:0]), (a,)),
        ("invert", of("isin", invert=True), (a, b)),
    ],
    "logspace": [
        ("", lambda m: m.logspace(0, 2, 5), ()), ("base", lambda m: m.logspace(-1, 3, 6, base=2, dtype=m.float64), ()), ("one", lambda m: m.logspace(1, 2, 1), ()),
        ("none", lambda m: m.logspace(1, 2, 0), ()),
    ],
    # special.py
    "_trigamma": [("one", lambda m, t: m.polygamma(1, t), (positive,)), ("negative", lambda m, t: m.polygamma(1, t), (x,))],
    "_polygamma": [("two", lambda m, t: m.polygamma(2, t), (positive,)), ("three", lambda m, t: m.polygamma(3, t), (positive,))],
    "polygamma": [("none", lambda m, t: m.polygamma(0, t), (positive,)), ("one", lambda m, t: t.polygamma(1), (x,)), ("four", lambda m, t: m.polygamma(4, t), (positive,))],
    "_zeta": [("two", lambda m, t: m.special.zeta(2.0, t), (positive,)), ("broken", lambda m, t: m.special.zeta(3.5, t), (positive,))],
    "mvlgamma": [("one", lambda m, t: m.mvlgamma(t, 1).contiguous(), (positive,)), ("three", lambda m, t: t.mvlgamma(3).contiguous(), (above + 1.0,))],
    "special_erfcx": [("one", special("erfcx"), (x,))],
    "special_ndtr": [("one", special("ndtr"), (x,))],
    "special_log_ndtr": [("one", special("log_ndtr"), (x,)), ("far", lambda m, t: m.special.log_ndtr(t * 5.0), (x,))],
    "xlogy": [("two", of("xlogy"), (x, positive)), ("number", of("xlogy", 2), (x,)), ("left", lambda m, t: m.xlogy(2, t), (positive,)), ("row", of("xlogy"), (x, positive[0].copy()))],
    "special_xlog1py": [("two", special("xlog1py"), (x, positive)), ("number", lambda m, t: m.special.xlog1py(2, t), (positive,))],
    "special_entr": [("one", special("entr"), (positive,))],
    "special_i0e": [("one", special("i0e"), (x,)), ("far", lambda m, t: m.special.i0e(t * 9.0), (x,))],
    "special_i1": [("one", special("i1"), (x,)), ("far", lambda m, t: m.special.i1(t * 9.0), (x,))],
    "special_i1e": [("one", special("i1e"), (x,)), ("far", lambda m, t: m.special.i1e(t * 9.0), (x,))],
    # reduce_more.py
    "nansum": [("all", of("nansum"), (holes,)), ("dim", of("nansum", 1), (holes,)), ("dims", of("nansum", dim=(0, 2), keepdim=True), (holes,))],
    "_cube": [("one", lambda m, t: t**3, (x,))],
    "row_nansum": [("dim", of("nansum", 1), (holes,))],
    "nanmean": [("all", of("nanmean"), (holes,)), ("dim", of("nanmean", 1), (holes,)), ("last", of("nanmean", dim=-1, keepdim=True), (holes,))],
    "count_nonzero": [("all", of("count_nonzero"), (few,)), ("dim", of("count_nonzero", 1), (few,)), ("dims", of("count_nonzero", dim=(0, 1)), (cube,)), ("data", of("count_nonzero", -1), (x,))],
    "aminmax": [("all", of("aminmax"), (cube,)), ("dim", of("aminmax", dim=1), (cube,)), ("keepdim", of("aminmax", dim=-1, keepdim=True), (cube,))],
    "std_mean": [("all", of("std_mean"), (cube,)), ("dim", of("std_mean", 1), (cube,)), ("biased", of("std_mean", dim=(0, 2), unbiased=False, keepdim=True), (cube,))],
    "var_mean": [("all", of("var_mean"), (cube,)), ("dim", of("var_mean", 1), (cube,)), ("correction", of("var_mean", dim=2, correction=0), (cube,))],
}  # fmt: skip

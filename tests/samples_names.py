"""Samples of numeric.py and from_memory.py."""

import warnings

import numpy as np


def data(*shape, seed=0):
    rng = np.random.default_rng([91, seed, *shape])
    return rng.integers(-3, 3, shape) + rng.uniform(0.15, 0.85, shape)


def whole(high, *shape, seed=0):
    return np.random.default_rng([92, seed, *shape]).integers(0, high, shape)


x, cube, places = data(4, 5), data(3, 4, 5), np.array([0.0, 0.5, 2.0, 3.5, 4.0])
positive, inside = abs(data(4, 5)) + 0.2, np.random.default_rng(9).uniform(0.05, 0.95, (4, 5))
rows = np.array([2, 0, 2, 1])


def quiet(call):
    """A call of which PyTorch warns: of what is in beta, or on its way out."""

    def wrapped(m, *tensors):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return call(m, *tensors)

    return wrapped


def reduced(reduce, include_self=True):
    return quiet(lambda m, t, i, s: m.index_reduce(t, 0, i, s, reduce, include_self=include_self))


SAMPLES = {
    "frexp": [("mantissa", lambda m, t: m.frexp(t)[0], (x,)), ("exponent", lambda m, t: m.frexp(t * 7.0)[1], (x,))],
    "gradient": [
        ("all", lambda m, t: m.gradient(t), (x,)), ("spacing", lambda m, t: m.gradient(t, spacing=2.5, edge_order=2), (x,)), ("dim", lambda m, t: m.gradient(t, dim=1), (cube,)),
        ("places", lambda m, t, p: m.gradient(t, spacing=[p], dim=-1, edge_order=2), (x, places)), ("places 1", lambda m, t, p: m.gradient(t, spacing=(p,), dim=1), (x, places)),
    ],
    "renorm": [
        ("rows", lambda m, t: m.renorm(t, 2, 0, 3.0), (x,)), ("p 1", lambda m, t: m.renorm(t, 1, 1, 5.0), (cube,)), ("p 3", lambda m, t: m.renorm(t, 3, -1, 2.0), (x,)),
        ("in place", lambda m, t: t.clone().renorm_(2, 0, 3.0), (x,)),
    ],
    "norm_except_dim": [("first", lambda m, t: m.norm_except_dim(t), (cube,)), ("last", lambda m, t: m.norm_except_dim(t, 2, 2), (cube,)), ("whole", lambda m, t: m.norm_except_dim(t, 2, -1), (x,))],
    "nuclear_norm": [("matrix", quiet(lambda m, t: m.nuclear_norm(t)), (x,)), ("dims", quiet(lambda m, t: m.nuclear_norm(t, dim=(0, 2))), (cube,))],
    "frobenius_norm": [("dim", quiet(lambda m, t: m.frobenius_norm(t, 1)), (x,)), ("dims", quiet(lambda m, t: m.frobenius_norm(t, (0, 2), True)), (cube,))],
    "nonzero_static": [("more", lambda m, t: m.nonzero_static(t, size=30), (whole(3, 4, 5),)), ("fewer", lambda m, t: m.nonzero_static(t, size=2, fill_value=7), (whole(3, 4, 5),))],
    "unravel_index": [("three", lambda m, i: m.unravel_index(i, (2, 3, 4)), (whole(24, 5),)), ("one", lambda m, i: m.unravel_index(i, 9), (whole(9, 4),))],
    "index_reduce": [
        (f"{how} {own}", reduced(how, own), (data(3, 5), rows, x)) for how in ("prod", "mean", "amax", "amin") for own in (True, False)
    ] + [("last dim", quiet(lambda m, t, i, s: t.clone().index_reduce_(1, i, s, "amax")), (data(4, 3), np.array([2, 0, 2, 1, 1]), x))],
    "histogramdd": [
        ("numbers", lambda m, t: [m.histogramdd(t.detach(), 3)[0], *m.histogramdd(t.detach(), [2, 3])[1]], (data(20, 2),)), ("density", lambda m, t: m.histogramdd(t.detach(), [2, 3], density=True).hist, (data(20, 2),)),
        ("weight", lambda m, t, w: m.histogramdd(t.detach(), 2, range=[-2.0, 2.0, -1.0, 2.0], weight=w.detach()).hist, (data(20, 2), data(20))),
    ],
    "igamma": [("1.7", lambda m, b: m.igamma(m.full_like(b, 1.7), b), (positive,)), ("row", lambda m, b: m.special.gammainc(m.full_like(b[0], 3.2), b), (positive,))],
    "igammac": [("1.7", lambda m, b: m.igammac(m.full_like(b, 1.7), b), (positive,)), ("method", lambda m, b: m.full_like(b, 0.4).igammac(b), (positive,))],
    "special_ndtri": [("one", lambda m, t: m.special.ndtri(t), (inside,))],
    **{
        f"special_{name}": [("one", lambda m, t, name=name: getattr(m.special, name)(t), (positive * 4.0,))]
        for name in ("bessel_j0", "bessel_j1", "bessel_y0", "bessel_y1", "modified_bessel_k0", "modified_bessel_k1", "scaled_modified_bessel_k0", "scaled_modified_bessel_k1", "spherical_bessel_j0")
    },
    "asarray": [("list", lambda m: m.asarray([1, 2]), ()), ("array", lambda m: m.asarray(np.arange(3.0)), ()), ("number", lambda m: m.asarray(2.5), ())],
    "frombuffer": [("bytes", lambda m: m.frombuffer(bytearray(b"\x01\x02\x03\x04"), dtype=m.uint8, offset=1), ()), ("int32", lambda m: m.frombuffer(bytearray(range(8)), dtype=m.int32), ())],
    "empty_strided": [("", lambda m: m.empty_strided((2, 3), (1, 2)) * 0 == 5, ())],
    "empty_permuted": [("", lambda m: m.empty_permuted((2, 3, 4), (0, 2, 1)) * 0 == 5, ())],
}  # fmt: skip
RANDOM = {
    "svd_lowrank": [("tall", lambda m, t: m.svd_lowrank(t, q=2)[1], (data(7, 4),)), ("wide", lambda m, t: m.svd_lowrank(t, q=3)[0], (data(4, 7),))],
    "pca_lowrank": [("", lambda m, t: m.pca_lowrank(t, q=2)[2], (data(7, 4),))],
}

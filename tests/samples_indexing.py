"""Samples of indexing: places, masks, scatters. Integer arrays are indices, boolean arrays masks."""

import numpy as np


def _data(*shape, seed=0):
    """No zeros, no ties: whole and half numbers between -6 and 6 with a part of their own."""
    rng = np.random.default_rng(seed + sum(shape))
    return np.round(rng.uniform(0.6, 6, shape) * rng.choice([-1, 1], shape), 3) + rng.permutation(int(np.prod(shape))).reshape(shape) * 1e-4


def _index(n, *shape, seed=0):
    return np.random.default_rng(seed + n).integers(0, n, shape)


def _distinct(n, *shape):
    """Along dim 0, different indices."""
    return np.argsort(np.random.default_rng(n).random((n, *shape[1:])), 0)[: shape[0]]


def _mask(*shape, seed=0):
    return np.random.default_rng(seed + sum(shape)).random(shape) < 0.5


def _set(index, value=None):
    """x[index] = value of a copy of x; the index is made of tensors by name: a function of them."""

    def call(m, t, *rest):
        out = t.clone()
        if value is None:
            *indices, v = rest
        else:
            indices, v = rest, value
        out[index(*indices)] = v
        return out

    return call


def _changed(name, *args, **options):
    """The in-place method on a copy."""

    def call(m, t, *rest):
        out = t.clone()
        assert getattr(out, name)(*(a(rest) if callable(a) else a for a in args), **options) is out
        return out

    return call


cube, x, row = _data(3, 4, 5), _data(4, 5), _data(5)
small = _data(3, 4)
i3, i4, i5 = _index(3, 4), _index(4, 4, seed=1), _index(5, 2, 1)
_TAKEN = _distinct(4, 3, 5)
_ALL = slice(None)

READ = {
    "getitem": [
        ("mask", lambda m, t, k: t[k], (small, _mask(3, 4))),
        ("tensor", lambda m, t, i: t[i], (small, _index(3, 4) - 3)),
        ("mixed", lambda m, t: t[1:, None, ..., ::2], (cube,)),
        ("ints", lambda m, t: t[1, -1], (cube,)),
        ("matrix", lambda m, t, i: t[i], (cube, _index(3, 2, 2))),
        ("list", lambda m, t: t[[0, -1, 0]], (cube,)),
        ("last", lambda m, t, i: t[..., i], (cube, _index(5, 3))),
        ("middle", lambda m, t, i: t[:, i], (cube, _index(4, 2, 3))),
        ("two", lambda m, t, i, j: t[i, j], (cube, i3, i4)),
        ("apart", lambda m, t, i, j: t[i, :, j], (cube, i3, _index(5, 4))),
        ("apart by None", lambda m, t, i, j: t[i, None, j], (cube, i3, i4)),
        ("outer", lambda m, t, i, j: t[:, i[:, None], j], (cube, i4, _index(5, 3))),
        ("int between", lambda m, t, i, j: t[i, 1, j], (cube, i3, _index(5, 4))),
        ("rows by mask", lambda m, t, k: t[k], (cube, _mask(3))),
        ("columns by mask", lambda m, t, k: t[:, :, k], (cube, _mask(5))),
        ("two dims by mask", lambda m, t, k: t[:, k], (cube, _mask(4, 5))),
        ("two masks", lambda m, t, k, j: t[k, :, j], (cube, np.array([True, False, True]), np.array([True, False, False, True, False]))),
        ("mask and tensor", lambda m, t, k, j: t[k, j], (cube, _mask(3, 4, seed=2), np.array([1]))),
        ("bytes", lambda m, t, k: t[k.to(m.uint8)], (small, _mask(3, 4))),
        ("True", lambda m, t: t[True, 1], (cube,)),
        ("False", lambda m, t: t[False], (cube,)),
        ("no indices", lambda m, t, i: t[i], (cube, _index(3, 0))),
        ("nothing masked", lambda m, t, k: t[k & ~k], (cube, _mask(3, 4))),
    ],
    "take": [
        ("", lambda m, t, i: m.take(t, i), (small, _index(12, 2, 3) - 12)),
        ("of transposed", lambda m, t, i: t.t().take(i), (x, _index(20, 3))),
    ],
    "take_along_dim": [
        ("", lambda m, t, i: m.take_along_dim(t, i, 1), (x, _index(5, 4, 2))),
        ("broadcast", lambda m, t, i: t.take_along_dim(i, 0), (x, _index(4, 2, 1))),
        ("negative", lambda m, t, i: t.take_along_dim(i - 4, 0), (x, _index(4, 2, 1))),
        ("flat", lambda m, t, i: m.take_along_dim(t.contiguous(), i), (x, _index(20, 3))),
    ],
    "masked_select": [
        ("", lambda m, t, k: m.masked_select(t, k), (small, _mask(3, 4))),
        ("row", lambda m, t, k: t.masked_select(k), (x, _mask(5))),
        ("of a row", lambda m, t, k: t.masked_select(k), (row, _mask(4, 5))),
        ("of transposed", lambda m, t, k: t.t().masked_select(k), (x, _mask(5, 4))),
    ],
    "nonzero": [
        ("mask", lambda m, k: m.nonzero(k), (_mask(3, 4, 5),)),
        ("data", lambda m, t: (t > 0).nonzero(), (cube,)),
        ("tuple", lambda m, t: (t * (t > 0)).nonzero(as_tuple=True), (x,)),
        ("number", lambda m, t: t.sum().nonzero(), (x,)),
    ],
    "argwhere": [("", lambda m, k: m.argwhere(k), (_mask(4, 5),))],
}

WRITE = {
    "index_put": [
        ("rows", lambda m, t, i, v: m.index_put(t, (i,), v), (small, np.array([2, 0]), _data(2, 4))),
        ("added", lambda m, t, i, v: t.index_put((i,), v, accumulate=True), (small, _index(3, 4), _data(4, 4))),
        ("places", lambda m, t, i, j, v: t.index_put((i, j), v), (x, np.array([0, 1, 3]), np.array([4, 0, -1]), _data(3))),
        ("places added", lambda m, t, i, j, v: t.index_put([i, j], v, True), (x, i4, i4, _data(1))),
        ("mask", lambda m, t, k, v: t.index_put((k,), v), (x, _mask(4, 5), _data(1))),
        ("outer", lambda m, t, i, j, v: t.index_put((i[:, None], j), v), (x, np.array([3, 1]), np.array([0, 4]), _data(2, 2))),
        ("in place", _changed("index_put_", lambda r: (r[0],), lambda r: r[1]), (cube, np.array([2, 0]), _data(2, 4, 5))),
        ("in place, added", _changed("index_put_", lambda r: (r[0],), lambda r: r[1], accumulate=True), (cube, _index(3, 6), _data(4, 5))),
        ("x[i] = v", _set(lambda i: i), (small, np.array([2, 0]), _data(2, 4))),
        ("x[:, i] = v", _set(lambda i: (_ALL, i)), (cube, np.array([2, 0]), _data(2, 5))),
        ("x[i, :, j] = v", _set(lambda i, j: (i, _ALL, j)), (cube, np.array([2, 0]), np.array([1, 4]), _data(2, 4))),
        ("x[k] = v", _set(lambda k: k), (x, np.tile([True, False, True, False, False], (4, 1)), _data(8))),
        ("x[k] = number", _set(lambda k: k, 2), (x, _mask(4, 5))),
        ("x[:, k] = number", _set(lambda k: (_ALL, k), 2.5), (cube, _mask(4))),
        ("x[1:, k] = v", _set(lambda k: (slice(1, None), k)), (cube, np.array([True, False, True, False]), _data(2, 5))),
        ("x[i] = number", _set(lambda i: i, 3), (x, i3)),
        ("x[..., i] = number", _set(lambda i: (..., i), 3), (cube, i5)),
    ],
    "put": [
        ("", lambda m, t, i, v: t.put(i, v), (small, np.array([[0, 5], [11, -3]]), _data(2, 2))),
        ("added", lambda m, t, i, v: m.put(t, i, v, accumulate=True), (small, _index(12, 2, 3), _data(6))),
        ("of transposed", lambda m, t, i, v: t.t().put(i, v), (x, np.array([0, 7]), _data(2))),
        ("in place", _changed("put_", lambda r: r[0], lambda r: r[1], True), (x, _index(20, 5), _data(5))),
    ],
    "index_add": [
        (f"{d}", lambda m, t, i, v, d=d: t.index_add(d, i, v), (cube, _index(n, 6), _data(*(6 if k == d else s for k, s in enumerate((3, 4, 5))))))
        for d, n in enumerate((3, 4, 5))
    ]
    + [
        ("alpha", lambda m, t, i, v: m.index_add(t, 0, i, v, alpha=2), (small, _index(3, 5), _data(5, 4))),
        ("in place", _changed("index_add_", 1, lambda r: r[0], lambda r: r[1], alpha=-1), (small, _index(4, 5), _data(3, 5))),
    ],
    "index_copy": [
        ("0", lambda m, t, i, v: m.index_copy(t, 0, i, v), (small, np.array([2, 0]), _data(2, 4))),
        ("1", lambda m, t, i, v: t.index_copy(1, i, v), (cube, np.array([3, 0]), _data(3, 2, 5))),
        ("in place", _changed("index_copy_", -1, lambda r: r[0], lambda r: r[1]), (cube, np.array([3, 0]), _data(3, 4, 2))),
    ],
    "index_fill": [
        ("number", lambda m, t, i: m.index_fill(t, 0, i, 2), (x, _index(4, 2))),
        ("tensor", lambda m, t, i, v: t.index_fill(1, i, v.sum()), (small, _index(4, 2), _data(1))),
        ("in place", _changed("index_fill_", -1, lambda r: r[0], -1), (cube, _index(5, 2))),
    ],
    "masked_scatter": [
        ("", lambda m, t, k, v: m.masked_scatter(t, k, v), (small, _mask(3, 4), _data(3, 4))),
        ("row", lambda m, t, k, v: t.masked_scatter(k, v), (x, _mask(5), _data(20))),
        ("broadcast", lambda m, t, k, v: t.masked_scatter(k, v), (row, _mask(4, 5), _data(20))),
        ("in place", _changed("masked_scatter_", lambda r: r[0], lambda r: r[1]), (cube, _mask(4, 5), _data(60))),
    ],
    "scatter": [
        ("0", lambda m, t, i, v: m.scatter(t, 0, i, v), (x, _TAKEN, _data(3, 5))),
        ("number", lambda m, t, i: t.scatter(0, i, 2), (x, _TAKEN)),
        ("1", lambda m, t, i, v: t.scatter(1, i, v), (x, _TAKEN.T[:4], _data(4, 3))),
        ("value", lambda m, t, i: t.scatter(1, i, value=3), (x, _TAKEN.T[:4])),
        ("add", lambda m, t, i: t.detach().scatter(-1, i, 2, reduce="add"), (x, _index(5, 2, 7))),
        ("multiply", lambda m, t, i: t.detach().scatter(0, i, 2, reduce="multiply"), (x, _index(4, 6, 3))),
        ("in place", _changed("scatter_", 1, lambda r: r[0], lambda r: r[1]), (cube, _distinct(4, 2, 3, 5).transpose(1, 0, 2), _data(3, 2, 5))),
        ("in place, number", _changed("scatter_", 1, lambda r: r[0], 1), (cube, _index(4, 2, 2, 2))),
        ("in place, add", lambda m, t, i: t.detach().clone().scatter_(2, i, 1, reduce="add"), (cube, _index(5, 2, 2, 2))),
    ],
    "scatter_add": [
        (f"{d}", lambda m, t, i, v, d=d: t.scatter_add(d, i, v), (cube, _index(3, 2, 3, 4), _data(2, 3, 4))) for d in (0, 1, 2)
    ]
    + [
        ("small", lambda m, t, i, v: m.scatter_add(t, 1, i, v), (small, _index(4, 3, 6), _data(3, 6))),
        ("in place", _changed("scatter_add_", 0, lambda r: r[0], lambda r: r[1]), (x, _index(4, 7, 5), _data(7, 5))),
    ],
    "scatter_reduce": [
        (f"{how}{'' if own else ' without self'}", lambda m, t, i, v, how=how, own=own: t.scatter_reduce(0, i, v, how, include_self=own), (small, _index(3, 5, 3), _data(5, 3)))
        for how in ("sum", "prod", "mean", "amax", "amin")
        for own in (True, False)
    ]
    + [("in place", _changed("scatter_reduce_", 1, lambda r: r[0], lambda r: r[1], "prod", include_self=False), (x, _index(5, 4, 6), _data(4, 6)))],
    "select_scatter": [("", lambda m, t, v: m.select_scatter(t, v, 1, -2), (cube, _data(3, 5))), ("first", lambda m, t, v: t.select_scatter(v, 0, 1), (small, _data(4)))],
    "slice_scatter": [
        ("", lambda m, t, v: m.slice_scatter(t, v, 1, 1, None, 2), (cube, _data(3, 2, 5))),
        ("end", lambda m, t, v: t.slice_scatter(v, 0, -2), (small, _data(2, 4))),
    ],
    "diagonal_scatter": [
        ("", lambda m, t, v: m.diagonal_scatter(t, v), (small, _data(3))),
        ("below", lambda m, t, v: t.diagonal_scatter(v, -1), (x, _data(3))),
        ("dims", lambda m, t, v: t.diagonal_scatter(v, 1, 2, 0), (cube, _data(4, 2))),
    ],
}  # fmt: skip
SAMPLES = READ | WRITE

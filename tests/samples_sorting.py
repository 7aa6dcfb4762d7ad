"""Samples of sorting, selecting, scanning, counting and searching. First samples have no ties, or show no positions."""

import numpy as np

_rng = np.random.default_rng(5)


def _distinct(*shape):
    """Numbers all of which differ, also as whole numbers and as unsigned ones, so that positions are certain."""
    return _rng.permutation(np.arange(1, np.prod(shape) + 1)).reshape(shape) + 0.25


cube, small, row = _distinct(3, 4, 5), _distinct(4, 5), _distinct(7)
signed = _rng.uniform(-2, 2, (3, 4))
zeros = np.array([[1.5, 0.0, -2.0, 0.5], [0.0, 0.0, 3.0, 1.0], [2.0, -1.0, 0.5, 0.0]])
whole = _rng.integers(0, 5, 20)
repeated = _rng.integers(-2, 3, (6, 8)).astype(float)
edges = np.array([-1.5, 0.0, 0.5, 2.0])
ends = np.sort(_rng.uniform(-2, 2, (3, 5)), 1)
sorter = np.ascontiguousarray(np.argsort(signed, 1))

SAMPLES = {
    "sort": [
        ("last", lambda m, t: m.sort(t), (cube,)), ("descending", lambda m, t: t.sort(dim=1, descending=True, stable=True), (cube,)),
        ("ties", lambda m, t: m.sort(t, dim=0, stable=True), (repeated,)), ("values", lambda m, t: t.sort(1)[0], (signed,)),
    ],
    "argsort": [("last", lambda m, t: m.argsort(t), (cube,)), ("descending", lambda m, t: t.argsort(1, True), (cube,)), ("stable", lambda m, t: m.argsort(t, dim=0, stable=True), (repeated,))],
    "msort": [("", lambda m, t: m.msort(t), (cube,))],
    "topk": [
        ("last", lambda m, t: m.topk(t, 3), (cube,)), ("smallest", lambda m, t: t.topk(2, 1, largest=False), (cube,)), ("all", lambda m, t: m.topk(t, 5), (cube,)),
        ("none", lambda m, t: m.topk(t, 0), (small,)),
    ],
    "kthvalue": [("last", lambda m, t: m.kthvalue(t, 2), (cube,)), ("kept", lambda m, t: t.kthvalue(4, 1, True), (cube,)), ("vector", lambda m, t: m.kthvalue(t, 7), (row,))],
    "median": [("all", lambda m, t: m.median(t), (cube,)), ("dim", lambda m, t: t.median(1), (cube,)), ("kept", lambda m, t: m.median(t, -1, keepdim=True), (small,))],
    "nanmedian": [("all", lambda m, t: m.nanmedian(t), (cube,)), ("dim", lambda m, t: t.nanmedian(1), (cube,)), ("kept", lambda m, t: m.nanmedian(t, -1, keepdim=True), (small,))],
    "mode": [("values", lambda m, t: m.mode(t, 1)[0], (repeated,)), ("dim", lambda m, t: t.mode(1), (cube,)), ("kept", lambda m, t: m.mode(t, -1, True), (small,))],
    "quantile": [
        ("all", lambda m, t: m.quantile(t, 0.3), (cube,)), ("dim", lambda m, t: t.quantile(0.5, 1), (cube,)), ("kept", lambda m, t: t.quantile(0.9, -1, keepdim=True), (small,)),
        ("several", lambda m, t: m.quantile(t, m.tensor([0.1, 0.5, 1.0], dtype=t.dtype), dim=0), (small,)),
        *((i, lambda m, t, i=i: m.quantile(t, 0.4, 1, interpolation=i), (small,)) for i in ("lower", "higher", "midpoint", "nearest")),
    ],
    "nanquantile": [("all", lambda m, t: m.nanquantile(t, 0.3), (cube,)), ("kept", lambda m, t: t.nanquantile(0.9, 1, keepdim=True), (small,))],
    "cumprod": [("0", lambda m, t: m.cumprod(t, 0), (signed,)), ("last", lambda m, t: t.cumprod(-1), (signed,)), ("zeros", lambda m, t: t.cumprod(1), (zeros,)), ("dtype", lambda m, t: m.cumprod(t, 1, dtype=m.float64), (small,))],
    "logcumsumexp": [("0", lambda m, t: m.logcumsumexp(t, 0), (signed,)), ("last", lambda m, t: t.logcumsumexp(-1), (signed,)), ("far", lambda m, t: (t * 200).logcumsumexp(1), (signed,))],
    "cummax": [("0", lambda m, t: m.cummax(t, 0), (repeated,)), ("last", lambda m, t: t.cummax(-1), (signed,)), ("middle", lambda m, t: t.cummax(1), (cube,))],
    "cummin": [("0", lambda m, t: m.cummin(t, 0), (repeated,)), ("last", lambda m, t: t.cummin(-1), (signed,)), ("middle", lambda m, t: t.cummin(1), (cube,))],
    "diff": [
        ("last", lambda m, t: m.diff(t), (small,)), ("twice", lambda m, t: t.diff(2, 0), (small,)), ("none", lambda m, t: t.diff(0), (small,)),
        ("ends", lambda m, t, u: m.diff(t, prepend=u, append=u), (small, small)), ("all", lambda m, t: m.diff(t, 9), (small,)),
    ],
    "trapezoid": [
        ("plain", lambda m, t: m.trapezoid(t), (small,)), ("dx", lambda m, t: m.trapezoid(t, dx=0.5, dim=0), (small,)),
        ("places", lambda m, t, x: m.trapezoid(t, x), (small, small)), ("vector", lambda m, t, x: m.trapz(t, x, dim=0), (small, np.array([0.0, 1, 3, 4.5]))),
    ],
    "cumulative_trapezoid": [("plain", lambda m, t: m.cumulative_trapezoid(t), (small,)), ("places", lambda m, t, x: m.cumulative_trapezoid(t, x, dim=1), (small, row[:5].copy()))],
    "bincount": [
        ("", lambda m, i: m.bincount(i), (whole,)), ("minlength", lambda m, i: i.bincount(minlength=9), (whole,)),
        ("weights", lambda m, i, w: m.bincount(i, w.detach()), (whole, _rng.uniform(0, 1, 20))),
    ],
    "histc": [
        ("", lambda m, t: m.histc(t.float().detach(), 4), (signed,)), ("range", lambda m, t: t.detach().double().histc(bins=6, min=-1, max=1.5), (signed,)),
        ("one value", lambda m, t: m.histc(m.ones_like(t.detach().float()), 4), (signed,)),
    ],
    "histogram": [
        ("", lambda m, t: m.histogram(t.float().detach(), 4), (signed,)), ("density", lambda m, t: t.detach().double().histogram(bins=6, range=(-1, 1.5), density=True), (signed,)),
        ("edges", lambda m, t, e: m.histogram(t.detach().double(), e.detach().double(), weight=t.detach().double() + 3), (signed, edges)),
    ],
    "unique": [
        ("", lambda m, t: m.unique(t.detach()), (repeated,)), ("all", lambda m, t: t.detach().unique(return_inverse=True, return_counts=True), (repeated,)),
        ("rows", lambda m, t: m.unique(t.detach(), dim=0, return_inverse=True, return_counts=True), (repeated[[0, 1, 0, 3, 3, 2]],)),
        ("columns", lambda m, t: m.unique(t.detach(), dim=1), (repeated[:, [1, 0, 1, 2]],)), ("inverse", lambda m, t: m.unique(t.detach(), return_inverse=True), (cube,)),
    ],
    "unique_consecutive": [
        ("", lambda m, t: m.unique_consecutive(t.detach()), (np.repeat(repeated, 2, 1),)),
        ("all", lambda m, t: t.detach().unique_consecutive(return_inverse=True, return_counts=True), (np.repeat(repeated, 2, 1),)),
        ("rows", lambda m, t: m.unique_consecutive(t.detach(), dim=0, return_inverse=True, return_counts=True), (np.repeat(repeated, 2, 0),)),
    ],
    "searchsorted": [
        ("vector", lambda m, e, t: m.searchsorted(e.contiguous(), t.contiguous()), (edges, signed)), ("right", lambda m, e, t: m.searchsorted(e.contiguous(), t.contiguous(), right=True), (edges, zeros)),
        ("rows", lambda m, e, t: m.searchsorted(e.contiguous(), t.contiguous(), side="right", out_int32=True), (ends, signed)), ("number", lambda m, e: m.searchsorted(e.contiguous(), 0.5), (edges,)),
        ("sorter", lambda m, e, t, i: m.searchsorted(e.contiguous(), t.contiguous(), sorter=i.contiguous()), (signed, zeros, sorter)),
    ],
    "bucketize": [("", lambda m, t, e: m.bucketize(t.contiguous(), e.contiguous()), (zeros, edges)), ("right", lambda m, t, e: m.bucketize(t.contiguous(), e.contiguous(), right=True), (zeros, edges)), ("number", lambda m, e: m.bucketize(1, e.contiguous()), (edges,))],
}  # fmt: skip
_weights = _rng.uniform(0.1, 1, (3, 6))
RANDOM = {
    "multinomial": [("", lambda m, t: m.multinomial(t, 3), (_weights,)), ("vector", lambda m, t: t.multinomial(9, replacement=True), (_weights[0].copy(),))],
    "poisson": [("", lambda m, t: m.poisson(t), (_weights * 20,))],
}
SAMPLES |= RANDOM

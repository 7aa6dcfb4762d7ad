"""Samples of the products of more kinds, distances and covariances."""

import math

import numpy as np
from samples import data

A, B, batch_a, batch_b = data(4, 3), data(3, 5), data(2, 4, 3), data(2, 3, 5)
vector3, vector4, vector5, square = data(3), data(4), data(5), data(3, 3)
number = np.array(1.25)
rows, others = data(4, 3, seed=5), data(5, 3, seed=6)



def _chain(m, *matrices):
    return m.chain_matmul(*matrices) if m.__name__ != "torch" else m.linalg.multi_dot(matrices)  # PyTorch's warns that it is deprecated


SAMPLES = {
    "addbmm": [("", lambda m, *t: m.addbmm(*t), (data(4, 5), batch_a, batch_b)), ("scaled", lambda m, *t: m.addbmm(*t, beta=2, alpha=3), (vector5, batch_a, batch_b))],
    "addr": [("", lambda m, *t: m.addr(*t).contiguous(), (A, vector4, vector3)), ("scaled", lambda m, *t: m.addr(*t, beta=2, alpha=3).contiguous(), (vector3, vector4, vector3))],
    "inner": [("vectors", lambda m, t, u: m.inner(t, u), (vector3, data(3, seed=1))), ("tensors", lambda m, t, u: t.inner(u), (batch_a, square)), ("number", lambda m, t, u: m.inner(t, u), (number, A))],
    "vdot": [("", lambda m, t, u: m.vdot(t, u), (vector3, data(3, seed=1)))],
    "tensordot": [
        ("one", lambda m, t, u: m.tensordot(t, u, 1), (A, B)), ("two", lambda m, t, u: m.tensordot(t, u), (batch_a, data(4, 3, 2))), ("none", lambda m, t, u: m.tensordot(t, u, dims=0), (A, vector3)),
        ("lists", lambda m, t, u: m.tensordot(t, u, ([0, 2], [0, 1])), (batch_a, batch_b)), ("broadcast", lambda m, t, u: m.tensordot(t, u, ([1], [0])), (A, data(1, 2))),
    ],
    "kron": [("", lambda m, t, u: m.kron(t, u).contiguous(), (A, data(2, 2))), ("ranks", lambda m, t, u: t.kron(u.contiguous()).contiguous(), (vector3, A)), ("number", lambda m, t, u: m.kron(t, u.contiguous()).contiguous(), (number, A))],
    "chain_matmul": [("", _chain, (A, B, data(5, 2))), ("four", _chain, (data(2, 4), A, B, data(5, 6)))],
    "cross": [("dim", lambda m, t, u: m.cross(t, u, dim=1), (A, data(4, 3, seed=1))), ("first", lambda m, t, u: m.cross(t, u, dim=0), (B, data(3, 5, seed=1))), ("broadcast", lambda m, t, u: t.cross(u, -1), (batch_a, data(1, 1, 3)))],
    "cdist": [(f"{p}", lambda m, t, u, p=p: m.cdist(t, u, p), (rows, others)) for p in (2, 1, math.inf, 3, 1.5, 0)]
    + [("batch", lambda m, t, u: m.cdist(t, u), (batch_a, others)), ("products", lambda m, t, u: m.cdist(t, u, compute_mode="use_mm_for_euclid_dist"), (rows, others))],
    "cov": [
        ("", lambda m, t: m.cov(t), (A,)), ("vector", lambda m, t: t.cov(), (vector5,)), ("correction", lambda m, t: t.cov(correction=0), (B,)),
        ("weights", lambda m, t, f, a: m.cov(t, fweights=f, aweights=a.abs().to(m.float32)), (A, np.array([1, 3, 2]), vector3)), ("counts", lambda m, t, f: t.cov(fweights=f), (A, np.array([1, 3, 2]))),
    ],
    "corrcoef": [("", lambda m, t: m.corrcoef(t), (data(3, 6),)), ("vector", lambda m, t: t.corrcoef(), (vector5,))],
    "vander": [("", lambda m, t: m.vander(t.detach()), (vector4,)), ("N", lambda m, t: m.vander(t.detach(), 3, increasing=True), (vector4,)), ("none", lambda m, t: m.vander(t.detach(), 0), (vector4,))],
    "logspace": [
        ("", lambda m: m.logspace(0, 2, 5), ()), ("base", lambda m: m.logspace(-1, 1, 4, base=2, dtype=m.float64), ()), ("one", lambda m: m.logspace(2, 3, 1), ()), ("none", lambda m: m.logspace(2, 3, 0), ()),
    ],
}  # fmt: skip

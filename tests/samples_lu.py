"""Samples of lu.py: LU factorizations, reflections, tensors as matrices."""

import numpy as np
from samples import data
from samples_names import quiet

square, batch, tall, wide = data(3, 3) + 2 * np.eye(3), data(2, 3, 3) + 3 * np.eye(3), data(4, 3), data(2, 4)
vectors, rows, factors = data(2, 3, 2), data(2, 3), data(3)
block = np.eye(6).reshape(2, 3, 6) + 0.1 * data(2, 3, 6)


def rowmajor(f):
    """In row-major order: PyTorch's results are LAPACK's columns."""
    return lambda m, *t: [r.contiguous() for r in f(m, *t)]


def one(f):
    return lambda m, *t: f(m, *t).contiguous()


def _lifted(m, t):
    """Rows that are not alike, also where those of t are."""
    return t.detach() + m.eye(*t.shape, dtype=t.dtype).to(t.device)


SAMPLES = {
    "linalg_lu": [(label, rowmajor(lambda m, t: m.linalg.lu(t)), (a,)) for label, a in (("square", square), ("batch", batch), ("tall", tall), ("wide", wide))],
    "linalg_lu_factor": [
        ("square", rowmajor(lambda m, t: m.linalg.lu_factor(t)), (square,)), ("batch", rowmajor(lambda m, t: m.linalg.lu_factor(t)), (batch,)),
        ("tall", rowmajor(lambda m, t: m.linalg.lu_factor_ex(t)), (tall,)), ("wide", quiet(rowmajor(lambda m, t: t.lu(get_infos=True))), (wide,)),
    ],
    "lu_unpack": [("square", rowmajor(lambda m, t: m.lu_unpack(*m.linalg.lu_factor(t))), (square,)), ("data", rowmajor(lambda m, t: m.lu_unpack(*m.linalg.lu_factor(t), unpack_pivots=False)[1:]), (tall,))],
    "linalg_lu_solve": [
        ("left", one(lambda m, t, b: m.linalg.lu_solve(*m.linalg.lu_factor(t), b)), (batch, vectors)),
        ("right, adjoint", one(lambda m, t, b: m.linalg.lu_solve(*m.linalg.lu_factor(t), b, left=False, adjoint=True)), (square, rows)),
        ("method", quiet(one(lambda m, t, b: b.lu_solve(*m.linalg.lu_factor(t)))), (square, rows.T.copy())),
    ],
    "linalg_tensorinv": [("2", one(lambda m, t: m.linalg.tensorinv(t)), (block,)), ("1", one(lambda m, t: m.linalg.tensorinv(t, ind=1)), (block.reshape(6, 2, 3),))],
    "linalg_tensorsolve": [("", one(lambda m, t, b: m.linalg.tensorsolve(t, b)), (block, data(2, 3))), ("dims", one(lambda m, t, b: m.linalg.tensorsolve(t, b, dims=(0,))), (block.transpose(2, 0, 1).copy(), data(2, 3)))],
    "linalg_householder_product": [("", one(lambda m, t, s: m.linalg.householder_product(t, s)), (tall, factors)), ("fewer", one(lambda m, t, s: m.orgqr(t, s)), (data(4, 4), factors))],
    "ormqr": [("left", one(lambda m, t, s, b: m.ormqr(t, s, b)), (tall, factors, data(4, 2))), ("right, transposed", one(lambda m, t, s, b: t.ormqr(s, b, False, True)), (tall, factors, data(3, 4)))],
    "geqrf": [("tall", rowmajor(lambda m, t: m.geqrf(_lifted(m, t))), (tall,)), ("wide", rowmajor(lambda m, t: m.geqrf(_lifted(m, t))), (wide,))],
}  # fmt: skip

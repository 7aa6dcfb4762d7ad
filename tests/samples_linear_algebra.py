"""Samples of `linalg`. Factors have signs of their own, so what is differentiated does not depend on them."""

import math

import numpy as np
from samples import data

square, batch, tall, wide = data(3, 3) + 2 * np.eye(3), data(2, 3, 3) + 3 * np.eye(3), data(4, 3), data(2, 4)
one, vector, columns, stacks = data(3, 3, seed=2), data(3), data(3, 2), data(2, 3, 2)


def _positive(m, t):
    """Positive-definite matrices."""
    return t @ t.mT + 2 * m.eye(t.shape[-1], dtype=t.dtype).to(t.device)


def _row(f):
    """In row-major order: PyTorch's results are LAPACK's columns."""
    return lambda m, *t: f(m, *t).contiguous()


def _svd(m, t, full):
    U, S, Vh = m.linalg.svd(t, full)
    k = S.shape[-1]
    return S, ((U[..., :k] * S.unsqueeze(-2).sin()) @ Vh[..., :k, :]).contiguous(), (U[..., :k] ** 2).contiguous(), (Vh[..., :k, :] ** 4).contiguous()


def _eigh(m, t, UPLO):
    w, v = m.linalg.eigh(t, UPLO)
    return w, (v**2).contiguous()


def _eig(m, t):
    w, v = m.linalg.eig(_positive(m, t) @ _positive(m, t.mT))  # the product of two positive-definite matrices has real eigenvalues
    w, v = w.real, v.real
    return (w**2).sum(-1), w.amax(-1), (v**2).sum(-1).prod(-1)


def _triangular(**options):
    return _row(lambda m, a, b: m.linalg.solve_triangular(a, b, **options))


def _qr(m, t):
    Q, R = m.linalg.qr(t)
    return (Q * R.diagonal(0, -2, -1).sign().unsqueeze(-2)).contiguous(), (R * R).contiguous()


SAMPLES = {
    "linalg_det": [("", lambda m, t: m.linalg.det(t), (square,)), ("batch", lambda m, t: m.det(t), (batch,)), ("none", lambda m, t: t[:0, :0].det(), (square,))],
    "linalg_slogdet": [("", lambda m, t: m.linalg.slogdet(t), (square,)), ("batch", lambda m, t: t.slogdet(), (batch,)), ("logdet", lambda m, t: m.logdet(_positive(m, t)), (batch,))],
    "linalg_inv": [("", _row(lambda m, t: m.linalg.inv(t)), (square,)), ("batch", _row(lambda m, t: t.inverse()), (batch,)), ("none", _row(lambda m, t: m.linalg.inv(t[:0, :0])), (square,))],
    "linalg_pinv": [("tall", _row(lambda m, t: m.linalg.pinv(t)), (tall,)), ("wide", _row(lambda m, t: t.pinverse()), (wide,)), ("batch", _row(lambda m, t: m.linalg.pinv(t, rtol=1e-3)), (batch,)), ("symmetric", _row(lambda m, t: m.linalg.pinv(_positive(m, t), hermitian=True)), (one,))],
    "linalg_solve": [
        ("matrix", _row(lambda m, a, b: m.linalg.solve(a, b)), (square, columns)), ("vector", _row(lambda m, a, b: m.linalg.solve(a, b)), (square, vector)),
        ("batch", _row(lambda m, a, b: m.linalg.solve(a, b)), (batch, stacks)), ("broadcast", _row(lambda m, a, b: m.linalg.solve(a, b)), (batch, columns)),
        ("right", _row(lambda m, a, b: m.linalg.solve(a, b, left=False)), (square, data(2, 3))), ("vectors", _row(lambda m, a, b: m.linalg.solve(a, b)), (batch, data(2, 3))),
    ],
    "linalg_solve_triangular": [
        ("upper", _triangular(upper=True), (square, columns)), ("lower", _triangular(upper=False), (batch, columns)), ("unit", _triangular(upper=True, unitriangular=True), (square, columns)),
        ("right", _triangular(upper=False, left=False), (square, data(2, 3))),
        ("cholesky_solve", _row(lambda m, b, a: m.cholesky_solve(b, m.linalg.cholesky(_positive(m, a)))), (columns, square)),
    ],
    "linalg_lstsq": [("tall", _row(lambda m, a, b: m.linalg.lstsq(a, b).solution), (tall, data(4, 2))), ("all", lambda m, a, b: [t.contiguous() for t in m.linalg.lstsq(a.detach(), b.detach(), driver="gelsd")], (tall, data(4, 2)))],
    "linalg_cholesky": [("", _row(lambda m, t: m.linalg.cholesky(_positive(m, t))), (one,)), ("upper", _row(lambda m, t: m.linalg.cholesky(_positive(m, t), upper=True)), (batch,))],
    "linalg_qr": [("square", _qr, (square,)), ("tall", _qr, (tall,)), ("batch", _qr, (batch,)), ("wide", _qr, (wide,))],
    "linalg_svd": [("square", lambda m, t: _svd(m, t, True), (square,)), ("tall", lambda m, t: _svd(m, t, False), (tall,)), ("wide", lambda m, t: _svd(m, t, False), (wide,)), ("full", lambda m, t: _svd(m, t, True)[:2], (tall,)), ("values", lambda m, t: m.linalg.svdvals(t), (batch,))],
    "linalg_eigh": [("lower", lambda m, t: _eigh(m, _positive(m, t), "L"), (one,)), ("upper", lambda m, t: _eigh(m, _positive(m, t), "U"), (batch,)), ("values", lambda m, t: m.linalg.eigvalsh(_positive(m, t)), (batch,))],
    "linalg_eig": [("", _eig, (one,))],
    "linalg_matrix_power": [(f"{n}", lambda m, t, n=n: m.linalg.matrix_power(t, n).contiguous(), (square,)) for n in (3, 1, 2, 5, -2)] + [("0", lambda m, t: t.detach().matrix_power(0).contiguous(), (batch,))],
    "linalg_matrix_exp": [("", _row(lambda m, t: m.linalg.matrix_exp(t)), (one / 2,)), ("large", _row(lambda m, t: m.matrix_exp(t)), (data(2, 2, 2) * 2,))],
    "linalg_vector_norm": [(f"{p}", lambda m, t, p=p: m.linalg.vector_norm(t, p, dim=1, keepdim=True), (batch,)) for p in (2, 1, 3, 0.5, 0, math.inf, -math.inf, -1)] + [("all", lambda m, t: m.linalg.norm(t), (tall,)), ("two", lambda m, t: m.linalg.norm(t, dim=(0, 2)), (batch,))],
    "linalg_matrix_norm": [(f"{p}", lambda m, t, p=p: m.linalg.matrix_norm(t, p), (batch,)) for p in ("fro", "nuc", 2, -2, 1, -1, math.inf, -math.inf)]
    + [("dims", lambda m, t: m.linalg.norm(t, 1, (0, 1), keepdim=True), (batch,)), ("nuc kept", lambda m, t: m.linalg.matrix_norm(t, "nuc", (2, 0), True), (batch,))],
}  # fmt: skip

"""The standard's linear algebra."""

from __future__ import annotations

from typing import NamedTuple

import numtape as nt
from numtape.array_api._elementwise import together
from numtape.array_api._reductions import sum as sum_of

__all__ = [
    "cholesky", "cross", "det", "diagonal", "eigh", "eigvalsh", "inv", "matmul", "matrix_norm", "matrix_power", "matrix_rank", "matrix_transpose",
    "outer", "pinv", "qr", "slogdet", "solve", "svd", "svdvals", "tensordot", "trace", "vecdot", "vector_norm",
]  # fmt: skip


class EighResult(NamedTuple):
    """What `eigh` returns."""

    eigenvalues: nt.Tensor
    eigenvectors: nt.Tensor


class QRResult(NamedTuple):
    """What `qr` returns."""

    Q: nt.Tensor
    R: nt.Tensor


class SlogdetResult(NamedTuple):
    """What `slogdet` returns."""

    sign: nt.Tensor
    logabsdet: nt.Tensor


class SVDResult(NamedTuple):
    """What `svd` returns."""

    U: nt.Tensor
    S: nt.Tensor
    Vh: nt.Tensor


def matmul(x1, x2, /):
    """The matrix product, batched over leading dims."""
    return nt.matmul(*together("matmul", x1, x2))


def matrix_transpose(x, /):
    """The matrices with rows and columns exchanged."""
    if x.ndim < 2:
        raise ValueError(f"matrix_transpose: expected at least two dims, got {x.ndim}")
    return x.mT


def tensordot(x1, x2, /, *, axes=2):
    """The sums of products over some axes of both."""
    return nt.tensordot(*together("tensordot", x1, x2), dims=axes)


def vecdot(x1, x2, /, *, axis=-1):
    """The inner products of the vectors along an axis; the first ones conjugated."""
    x1, x2 = together("vecdot", x1, x2)
    if x1.shape[axis] != x2.shape[axis]:
        raise ValueError(f"vecdot: the vectors have {x1.shape[axis]} and {x2.shape[axis]} elements")
    return nt.sum(nt.conj(x1) * x2, axis, dtype=x1.dtype)


def cholesky(x, /, *, upper=False):
    """The triangular factor of a positive definite matrix."""
    return nt.linalg.cholesky(x, upper=upper)


def cross(x1, x2, /, *, axis=-1):
    """The cross product of vectors of three elements."""
    return nt.linalg.cross(*together("cross", x1, x2), dim=axis)


def det(x, /):
    """The determinant."""
    return nt.linalg.det(x)


def diagonal(x, /, *, offset=0):
    """The diagonal of the last two dims."""
    return nt.diagonal(x, offset, -2, -1)


def eigh(x, /):
    """The eigenvalues and eigenvectors of a symmetric matrix."""
    return EighResult(*nt.linalg.eigh(x))


def eigvalsh(x, /):
    """The eigenvalues of a symmetric matrix."""
    return nt.linalg.eigvalsh(x)


def inv(x, /):
    """The inverse."""
    return nt.linalg.inv(x)


def matrix_norm(x, /, *, keepdims=False, ord="fro"):
    """The norm of the matrices in the last two dims."""
    return nt.linalg.matrix_norm(x, ord, keepdim=keepdims)


def matrix_power(x, n, /):
    """The n-th power of a matrix."""
    return nt.linalg.matrix_power(x, n)


def matrix_rank(x, /, *, rtol=None):
    """The number of singular values above rtol times the largest."""
    return nt.linalg.matrix_rank(x if x.dtype.differentiable else x.to(nt.get_default_dtype()), rtol=rtol)


def outer(x1, x2, /):
    """All products of the elements of two vectors."""
    return nt.outer(*together("outer", x1, x2))


def pinv(x, /, *, rtol=None):
    """The pseudoinverse."""
    return nt.linalg.pinv(x, rtol=rtol)


def qr(x, /, *, mode="reduced"):
    """The factors Q, with orthonormal columns, and R, upper triangular."""
    return QRResult(*nt.linalg.qr(x, mode))


def slogdet(x, /):
    """The sign of the determinant and the logarithm of its size."""
    return SlogdetResult(*nt.linalg.slogdet(x))


def solve(x1, x2, /):
    """The solution y of x1 @ y = x2."""
    x1, x2 = together("solve", x1, x2)
    return nt.linalg.solve(x1, x2) if x2.ndim == 1 else nt.linalg.solve(*_matrices(x1, x2))


def _matrices(a, b):
    """Both with the same batch dims, so that b is read as matrices."""
    batch = nt.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    return a.expand(*batch, *a.shape[-2:]), b.expand(*batch, *b.shape[-2:])


def svd(x, /, *, full_matrices=True):
    """The singular value decomposition."""
    return SVDResult(*nt.linalg.svd(x, full_matrices))


def svdvals(x, /):
    """The singular values, largest first."""
    return nt.linalg.svdvals(x)


def trace(x, /, *, offset=0, dtype=None):
    """The sum of a diagonal of the last two dims."""
    return sum_of(diagonal(x, offset=offset), axis=-1, dtype=dtype)


def vector_norm(x, /, *, axis=None, keepdims=False, ord=2):
    """The norm of the vectors along the axes."""
    if not x.ndim:
        return nt.linalg.vector_norm(x.reshape(1), ord)
    return nt.linalg.vector_norm(x, ord, axis, keepdims)

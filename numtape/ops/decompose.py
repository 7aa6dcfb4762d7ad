"""The functions on matrices that PyTorch has outside its `linalg`: `inverse`, `logdet`, `cholesky_solve`, `svd` and the like."""

from __future__ import annotations

import math
from collections import namedtuple

from numtape.ops import linear_algebra as linalg
from numtape.ops.arrange import given
from numtape.ops.factorizations import mh, mt, sign_and_log
from numtape.ops.select import where
from numtape.ops.view import expanded, flatten

SVD = namedtuple("svd", "U S V")
QR = namedtuple("qr", "Q R")
Slogdet = namedtuple("slogdet", "sign logabsdet")
TriangularSolve = namedtuple("triangular_solve", "solution cloned_coefficient")


def inverse(input, *, out=None):
    """The inverses of square matrices."""
    return linalg.inv(input, out=out)


def pinverse(input, rcond=1e-15):
    """The Moore-Penrose inverses; singular values at or below rcond times the largest count as zero."""
    return linalg.pinv(input, rcond)


def det(input):
    """The determinants of square matrices."""
    return linalg.det(input)


def logdet(input):
    """The logarithms of determinants: NaN where a real one is negative."""
    sign, logabs = sign_and_log(linalg.matrices("logdet", input, True))
    return logabs + sign.log() if sign.dtype.is_complex else where(sign < 0, math.nan, logabs)


def slogdet(input):
    """The signs and the logarithms of the absolute values of determinants: (sign, logabsdet)."""
    return Slogdet(*linalg.slogdet(input))


def cholesky(input, upper=False, *, out=None):
    """L with A = L Lᴴ (or U with A = Uᴴ U)."""
    return linalg.cholesky(input, upper=upper, out=out)


def cholesky_solve(input, L, upper=False, *, out=None):
    """X with A X = input, given the Cholesky factor of A."""
    lower = mh(L) if upper else L
    half = linalg.solve_triangular(lower, input, upper=False)
    return given("cholesky_solve", linalg.solve_triangular(mh(lower), half, upper=True), out)


def cholesky_inverse(input, upper=False, *, out=None):
    """The inverse of A, given its Cholesky factor."""
    from numtape.ops.creation import eye

    unit = expanded(eye(input.shape[-1], dtype=input.dtype, device=input.device), input._spec.shape)
    return cholesky_solve(unit, input, upper, out=out)


def triangular_solve(input, A, upper=True, transpose=False, unitriangular=False):
    """X with A X = input for triangular A (or its transpose): (solution, cloned_coefficient)."""
    upper, B = (not upper, mt(A)) if transpose else (upper, A)
    return TriangularSolve(linalg.solve_triangular(B, input, upper=upper, unitriangular=unitriangular), A.clone())


def qr(input, some=True, *, out=None):
    """Q and R with input = Q R; `some` for the reduced form."""
    return QR(*linalg.qr(input, "reduced" if some else "complete", out=out))


def svd(input, some=True, compute_uv=True):
    """U, S and V with input = U diag(S) Vᴴ; `some` for the reduced form."""
    U, S, Vh = linalg.svd(input, not some)
    if not compute_uv:
        m, n = input.shape[-2:]
        return SVD(input.new_zeros((*input.shape[:-2], m, m)), S, input.new_zeros((*input.shape[:-2], n, n)))
    return SVD(U, S, mh(Vh))


def matrix_power(input, n, *, out=None):
    """Square matrices to a whole power."""
    return linalg.matrix_power(input, n, out=out)


def matrix_exp(input):
    """The exponentials of square matrices."""
    return linalg.matrix_exp(input)


def dist(input, other, p=2):
    """The p-norm of the difference of two tensors."""
    return linalg.vector_norm(flatten(input - other), p)


METHOD_ONLY = {
    f.__name__: f
    for f in (inverse, pinverse, det, logdet, slogdet, cholesky, cholesky_solve, cholesky_inverse, triangular_solve, qr, svd, matrix_power, matrix_exp, dist)
}
FUNCTIONS = dict(METHOD_ONLY)
FUNCTION_ONLY: set = set()

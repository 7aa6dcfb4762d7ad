"""`numtape.linalg`: solving, factorizing and measuring matrices. LAPACK's part and its derivatives are in factorizations.py."""

from __future__ import annotations

import builtins
import math
from collections import namedtuple

import numpy as np

from numtape import dtypes, layout
from numtape.autograd import mode
from numtape.ops import diagonal as diagonals
from numtape.ops import linalg as products_of_matrices
from numtape.ops import products
from numtape.ops.arrange import given
from numtape.ops.complex import conj
from numtape.ops.copy import clone, tensor_of
from numtape.ops.creation import eye, tensor, zeros
from numtape.ops.diagonal import tril, triu
from numtape.ops.factorizations import (
    LinAlgError,
    cholesky_factor,
    decomposed,
    determinant,
    filed,
    general_eigen,
    inverse,
    matrices,
    mh,
    mt,
    orthogonal_triangular,
    pseudo_inverse,
    sign_and_log,
    solved,
    symmetric_eigen,
)
from numtape.ops.matrix_norms import matrix_norm, norm, vector_norm
from numtape.ops.reduce import amax, sum
from numtape.ops.select import where
from numtape.ops.view import expanded, reshape, unsqueeze
from numtape.tensor import Tensor

# What functions of several results return; the fields have PyTorch's names.
Slogdet = namedtuple("linalg_slogdet", "sign logabsdet")
InvEx = namedtuple("linalg_inv_ex", "inverse info")
CholeskyEx = namedtuple("linalg_cholesky_ex", "L info")
QR = namedtuple("linalg_qr", "Q R")
SVD = namedtuple("linalg_svd", "U S Vh")
Eigh = namedtuple("linalg_eigh", "eigenvalues eigenvectors")
Eig = namedtuple("linalg_eig", "eigenvalues eigenvectors")
Lstsq = namedtuple("linalg_lstsq", "solution residuals rank singular_values")


def _pair(name, kind, results, out):
    if out is None:
        return kind(*results)
    if not isinstance(out, (tuple, list)) or len(out) != len(results):
        raise TypeError(f"{name}: out: expected a tuple of {len(results)} tensors, got {type(out).__name__}")
    return kind(*(given(name, r, o) for r, o in zip(results, out)))


# ------------------------------------------------------------------------------------------------ determinants and inverses
@filed
def det(A, *, out=None):
    "The determinants of square matrices."
    return given("linalg.det", determinant(matrices("linalg.det", A, True)), out)


@filed
def slogdet(A, *, out=None):
    "The signs and the logarithms of the absolute values of determinants: (sign, logabsdet)."
    return _pair("linalg.slogdet", Slogdet, sign_and_log(matrices("linalg.slogdet", A, True)), out)


@filed
def inv(A, *, out=None):
    "The inverses of square matrices; LinAlgError if one is singular."
    return given("linalg.inv", inverse(matrices("linalg.inv", A, True)), out)


def inv_ex(A, *, check_errors=False, out=None):
    "The inverses, and an int32 info for each matrix, not zero where it is singular: (inverse, info)."
    x = matrices("linalg.inv_ex", A, True)
    batch = x._spec.shape[:-2]
    try:
        return _pair("linalg.inv_ex", InvEx, (inverse(x), zeros(*batch, dtype=dtypes.int32, device=x.device)), out)
    except LinAlgError:
        if check_errors:
            raise
    singular = determinant(x.detach()) == 0
    mask = unsqueeze(unsqueeze(singular, -1), -1)
    safe = where(mask, eye(x.shape[-1], dtype=x.dtype, device=x.device), x)
    found = where(mask, math.inf, inverse(safe))
    return _pair("linalg.inv_ex", InvEx, (found, singular.to(dtypes.int32) * x.shape[-1]), out)


def _tolerances(x: Tensor, atol, rtol):
    """atol and rtol, by default zero and the larger size times the dtype's epsilon; tensors may give one for each matrix."""
    if rtol is None:
        rtol = builtins.max(x.shape[-2:]) * dtypes.finfo(x.dtype).eps if atol is None else 0.0
    found = [unsqueeze(t, -1) if isinstance(t, Tensor) else t for t in (0.0 if atol is None else atol, rtol)]
    return found


@filed
def pinv(A, rcond=None, hermitian=False, *, atol=None, rtol=None, out=None):
    "The Moore-Penrose inverses; singular values at or below max(atol, rtol * the largest) count as zero."
    x = matrices("linalg.pinv", A, hermitian)
    atol, rtol = _tolerances(x, atol, rtol if rcond is None else rcond)
    return given("linalg.pinv", pseudo_inverse(x, atol, rtol, hermitian), out)


# ------------------------------------------------------------------------------------------------ solving
def _right_hand(name, A, B):
    """B as matrices of A's dtype, and whether it was given as vectors."""
    A, B = matrices(name, A, True), tensor_of(name, B, "B")
    if A.dtype is not B.dtype:
        raise RuntimeError(f"{name}: Expected A and B to have the same dtype, but found A of type {A.dtype} and B of type {B.dtype} instead")
    vector = B.ndim == 1 or B.ndim == A.ndim - 1 and B._spec.shape == A._spec.shape[:-1]
    if not B.ndim:
        raise RuntimeError(f"{name}: The input tensor B must have at least 1 dimension, got none")
    return A, unsqueeze(B, -1) if vector else B, vector


def _batched(name, A, B):
    batch = layout.broadcast_shapes(name, A._spec.shape[:-2], B._spec.shape[:-2])
    return expanded(A, (*batch, *A._spec.shape[-2:])), expanded(B, (*batch, *B._spec.shape[-2:]))


def _solve(name, A, B, left):
    A, B, vector = _right_hand(name, A, B)
    if vector and not left:
        raise RuntimeError(f"{name}: Vector broadcasting of the left hand side is not supported for left=False. B is {tuple(B.shape[:-1])}")
    if B.shape[-2 if left else -1] != A.shape[-1]:
        raise RuntimeError(f"{name}: Incompatible shapes of A and B for the equation {'AX = B' if left else 'XA = B'} ({A.shape[-2]}x{A.shape[-1]} and {B.shape[-2]}x{B.shape[-1]})")
    A, B = _batched(name, A, B)
    X = solved(A, B, name) if left else mt(solved(mt(A), mt(B), name))
    return X.squeeze(-1) if vector else X


@filed
def solve(A, B, *, left=True, out=None):
    "X with A X = B (or X A = B); B holds matrices or vectors. LinAlgError if an A is singular."
    return given("linalg.solve", _solve("linalg.solve", A, B, left), out)


@filed
def solve_triangular(A, B, *, upper, left=True, unitriangular=False, out=None):
    "X with A X = B (or X A = B) for triangular A, of which only that triangle is read. LinAlgError if an A is singular."
    name = "linalg.solve_triangular"
    x = matrices(name, A, True)
    if tensor_of(name, B, "B").ndim < 2:
        raise RuntimeError(f"{name}: The input tensor B must have at least 2 dimensions, got {B.ndim}.")
    inner = 1 if unitriangular else 0
    x = triu(x, inner) if upper else tril(x, -inner)
    if unitriangular:
        x = x + eye(x.shape[-1], dtype=x.dtype, device=x.device)
    return given(name, _matrix_solve(name, x, B, left), out)


def _matrix_solve(name, A, B, left):
    if B.shape[-2 if left else -1] != A.shape[-1]:
        raise RuntimeError(f"{name}: Incompatible shapes of A and B for the equation {'AX = B' if left else 'XA = B'} ({A.shape[-2]}x{A.shape[-1]} and {B.shape[-2]}x{B.shape[-1]})")
    A, B = _batched(name, A, B)
    return solved(A, B, name) if left else mt(solved(mt(A), mt(B), name))


@filed
def lstsq(A, B, rcond=None, *, driver=None):
    "The X of least norm that minimizes |A X - B|: (solution, residuals, rank, singular_values); what the driver would not give is empty."
    name = "linalg.lstsq"
    x, b = matrices(name, A), tensor_of(name, B)
    driver = "gelsy" if driver is None else driver
    if driver not in ("gels", "gelsy", "gelsd", "gelss"):
        raise RuntimeError(f"{name}: parameter `driver` should be one of (gels, gelsy, gelsd, gelss), got {driver!r}")
    vector = b.ndim == x.ndim - 1 and b._spec.shape == x._spec.shape[:-1]
    b = unsqueeze(b, -1) if vector else b
    if x.dtype is not b.dtype or b.ndim < 2 or x.shape[-2] != b.shape[-2]:
        raise RuntimeError(f"{name}: input.size(-2) should match other.size(-2), in one dtype; got {x.dtype} {tuple(x.shape)} and {B.dtype} {tuple(B.shape)}")
    x, b = _batched(name, x, b)
    m, n = x.shape[-2:]
    rcond = builtins.max(m, n) * dtypes.finfo(x.dtype).eps if rcond is None else rcond
    solution = products_of_matrices.matmul(pseudo_inverse(x, 0.0, rcond), b)
    with mode.no_grad():
        S = decomposed(x)[1]
        rank = sum(S.amax(-1, True) * rcond < S, -1) if S.shape[-1] else zeros(*S.shape[:-1], dtype=dtypes.int64)
        full = m > n and driver != "gelsy" and (driver == "gels" or bool((rank == n).all()))
    residuals = sum((b - products_of_matrices.matmul(x, solution)).abs() ** 2, -2) if full else x.new_empty(0)
    none = x.new_empty(0)
    ranks = zeros(0, dtype=dtypes.int64, device=x.device) if driver == "gels" else rank
    if vector:
        solution, residuals = solution.squeeze(-1), residuals.squeeze(-1) if full and residuals.ndim > 1 else residuals
    return Lstsq(solution, residuals, ranks, S if driver in ("gelsd", "gelss") else none)


# ------------------------------------------------------------------------------------------------ factorizations
@filed
def cholesky(A, *, upper=False, out=None):
    "L with A = L Lᴴ (or U with A = Uᴴ U) for symmetric (Hermitian) positive-definite matrices; LinAlgError for others."
    x = matrices("linalg.cholesky", A, True)
    return given("linalg.cholesky", mh(cholesky_factor(x, upper=True)) if upper else cholesky_factor(x), out)


def cholesky_ex(A, *, upper=False, check_errors=False, out=None):
    "The Cholesky factors, and an int32 info for each matrix: zero, or the order of the minor that is not positive-definite: (L, info)."
    x = matrices("linalg.cholesky_ex", A, True)
    info = None if check_errors else np.zeros(x._spec.shape[:-2], np.int32)
    L = cholesky_factor(x, "linalg.cholesky_ex", info, upper)
    found = zeros(*x.shape[:-2], dtype=dtypes.int32) if info is None else tensor(info)
    return _pair("linalg.cholesky_ex", CholeskyEx, (mh(L) if upper else L, found.to(x.device)), out)


@filed
def qr(A, mode="reduced", *, out=None):
    "Orthogonal Q and upper triangular R with A = Q R: (Q, R); mode 'reduced', 'complete', or 'r' for R alone."
    x = matrices("linalg.qr", A)
    if mode not in ("reduced", "complete", "r"):
        raise RuntimeError(f"linalg.qr: received unrecognized mode '{mode}' but expected one of 'reduced' (default), 'r', or 'complete'")
    return _pair("linalg.qr", QR, orthogonal_triangular(x, mode), out)


@filed
def svd(A, full_matrices=True, *, driver=None, out=None):
    "U, S and Vh with A = U diag(S) Vh, singular values in descending order: (U, S, Vh)."
    return _pair("linalg.svd", SVD, decomposed(matrices("linalg.svd", A), full_matrices), out)


def svdvals(A, *, driver=None, out=None):
    "The singular values, in descending order."
    return given("linalg.svdvals", decomposed(matrices("linalg.svdvals", A))[1], out)


def _triangle(name, UPLO):
    if UPLO.upper() not in ("L", "U"):
        raise RuntimeError(f"{name}: Expected UPLO argument to be 'L' or 'U', but got {UPLO}")
    return UPLO.upper()


@filed
def eigh(A, UPLO="L", *, out=None):
    "The eigenvalues (ascending) and eigenvectors of symmetric (Hermitian) matrices, of which one triangle is read: (eigenvalues, eigenvectors)."
    return _pair("linalg.eigh", Eigh, symmetric_eigen(matrices("linalg.eigh", A, True), _triangle("linalg.eigh", UPLO)), out)


def eigvalsh(A, UPLO="L", *, out=None):
    "The eigenvalues of symmetric (Hermitian) matrices, in ascending order."
    return given("linalg.eigvalsh", symmetric_eigen(matrices("linalg.eigvalsh", A, True), _triangle("linalg.eigvalsh", UPLO))[0], out)


@filed
def eig(A, *, out=None):
    "The eigenvalues and eigenvectors of square matrices, both complex: (eigenvalues, eigenvectors)."
    return _pair("linalg.eig", Eig, general_eigen(matrices("linalg.eig", A, True), "linalg.eig"), out)


def eigvals(A, *, out=None):
    "The eigenvalues of square matrices, complex."
    return given("linalg.eigvals", general_eigen(matrices("linalg.eigvals", A, True), "linalg.eigvals")[0], out)


# ------------------------------------------------------------------------------------------------ powers and products
def _identity(x):
    return expanded(eye(x.shape[-1], dtype=x.dtype, device=x.device), x._spec.shape)


@filed
def matrix_power(A, n, *, out=None):
    "Square matrices to a whole power, by repeated squaring; of their inverses where n is negative."
    x = tensor_of("linalg.matrix_power", A)
    if x.ndim < 2 or x.shape[-1] != x.shape[-2]:
        raise RuntimeError(f"linalg.matrix_power: A must be batches of square matrices, got {tuple(x.shape)}")
    if n < 0:
        x, n = inverse(matrices("linalg.matrix_power", x, True), "linalg.matrix_power"), -n
    result = None if n else clone(_identity(x))
    while n:
        if n & 1:
            result = x if result is None else products_of_matrices.matmul(result, x)
        n >>= 1
        x = products_of_matrices.matmul(x, x) if n else x
    return given("linalg.matrix_power", clone(result) if result is A else result, out)


PADE = (
    64764752532480000.0, 32382376266240000.0, 7771770303897600.0, 1187353796428800.0, 129060195264000.0, 10559470521600.0, 670442572800.0,
    33522128640.0, 1323241920.0, 40840800.0, 960960.0, 16380.0, 182.0, 1.0,
)  # fmt: skip


@filed
def matrix_exp(A):
    "The exponentials of square matrices: scaling, a Padé approximant of degree 13, and squaring (Higham 2005)."
    x, b = matrices("linalg.matrix_exp", A, True), PADE
    if not x.numel():
        return clone(x)
    mm, I = products_of_matrices.matmul, eye(x.shape[-1], dtype=x.dtype, device=x.device)
    size = float(x.detach().abs().sum(-2).amax())
    squarings = builtins.max(0, math.ceil(math.log2(size / 5.37))) if 0 < size < math.inf else 0
    x = x * 0.5**squarings
    if not size < math.inf:
        return x * math.nan
    x2 = mm(x, x)
    x4 = mm(x2, x2)
    x6 = mm(x4, x2)
    odd = mm(x, mm(x6, x6 * b[13] + x4 * b[11] + x2 * b[9]) + x6 * b[7] + x4 * b[5] + x2 * b[3] + I * b[1])
    even = mm(x6, x6 * b[12] + x4 * b[10] + x2 * b[8]) + x6 * b[6] + x4 * b[4] + x2 * b[2] + I * b[0]
    found = solved(even - odd, even + odd, "linalg.matrix_exp")
    for _ in range(squarings):
        found = mm(found, found)
    return found


def multi_dot(tensors, *, out=None):
    "The product of several matrices, in the order that needs the fewest multiplications; the first and last may be vectors."
    parts = list(tensors)
    if len(parts) < 2:
        raise RuntimeError(f"linalg.multi_dot: expected at least 2 tensors but got {len(parts)}")
    first, last = parts[0].ndim == 1, parts[-1].ndim == 1
    parts[0] = unsqueeze(parts[0], 0) if first else parts[0]
    parts[-1] = unsqueeze(parts[-1], 1) if last else parts[-1]
    for i, t in enumerate(parts):
        if t.ndim != 2:
            raise RuntimeError(f"linalg.multi_dot: tensor {i} must be 2D (the first and last 1D or 2D) but got {t.ndim}D")
    found = products.multiplied("linalg.multi_dot", parts)
    shape = (() if first else found.shape[:1]) + (() if last else found.shape[1:])
    return given("linalg.multi_dot", reshape(found, tuple(shape)), out)


def matmul(input, other, *, out=None):
    "The matrix product, batched over leading dims, which broadcast."
    return products_of_matrices.matmul(input, other, out=out)


def cross(input, other, *, dim=-1, out=None):
    "The vector product over a dim of size 3."
    return products.cross(input, other, dim, out=out)


def vecdot(x, y, *, dim=-1, out=None):
    "The inner products over a dim; the first vectors are conjugated."
    return given("linalg.vecdot", sum(conj(x) * y, dim), out)


def diagonal(A, *, offset=0, dim1=-2, dim2=-1):
    "A view of the diagonals of matrices."
    return diagonals.diagonal(A, offset, dim1, dim2)


def vander(x, *, N=None):
    "The powers 0, 1, ..., N - 1 (as many as elements unless given) of elements along a new last dim."
    return products.powers(x, x.shape[-1] if N is None else N, False)


# ------------------------------------------------------------------------------------------------ measures
def matrix_rank(A, tol=None, hermitian=False, *, atol=None, rtol=None, out=None):
    "How many singular values are above max(atol, rtol * the largest)."
    x = matrices("linalg.matrix_rank", A, hermitian)
    with mode.no_grad():
        atol, rtol = (tol, 0.0) if tol is not None else _tolerances(x, atol, rtol)
        S = symmetric_eigen(x, "L")[0].abs() if hermitian else decomposed(x)[1]
        if not S.shape[-1]:
            return given("linalg.matrix_rank", zeros(*S.shape[:-1], dtype=dtypes.int64, device=S.device), out)
        limit = amax(S, -1, True) * rtol
        limit = limit.maximum(atol if isinstance(atol, Tensor) else limit.new_full((), atol))
        return given("linalg.matrix_rank", sum(limit < S, -1), out)


def cond(A, p=None, *, out=None):
    "The condition number of matrices: of singular values (None, 2, -2), or |A| |A⁻¹| in a norm; inf for singular matrices."
    name = "linalg.cond"
    x = matrices(name, A, p not in (None, 2, -2))
    if p in (None, 2, -2):
        S = decomposed(x)[1]
        found = S[..., -1] / S[..., 0] if p == -2 else S[..., 0] / S[..., -1]
    else:
        inverses, info = inv_ex(x)
        found = where(info == 0, matrix_norm(x, p) * matrix_norm(where(unsqueeze(unsqueeze(info, -1), -1) == 0, inverses, 0.0), p), math.inf)
    return given(name, found, out)


__all__ = [
    "LinAlgError", "cholesky", "cholesky_ex", "cond", "cross", "det", "diagonal", "eig", "eigh", "eigvals", "eigvalsh", "inv", "inv_ex", "lstsq", "matmul",
    "matrix_exp", "matrix_norm", "matrix_power", "matrix_rank", "multi_dot", "norm", "pinv", "qr", "slogdet", "solve", "solve_triangular", "svd", "svdvals",
    "vander", "vecdot", "vector_norm",
]  # fmt: skip

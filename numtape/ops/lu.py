"""LU factorizations with row exchanges, and orthogonal matrices from Householder's reflections.

Matrices on a card are factorized by the host: they are copied there and the results back. Derivatives are written with recorded ops.
"""

from __future__ import annotations

import warnings
from collections import namedtuple
from math import prod

from numpy.linalg import qr as lapack_qr

from numtape import dtypes, layout
from numtape.dispatch.record import recorded
from numtape.kernels import pattern, placing
from numtape.kernels.cpu.driver import launch
from numtape.op import refuse_complex
from numtape.ops import linalg as products
from numtape.ops.arrange import given
from numtape.ops.copy import tensor_of
from numtape.ops.creation import eye, zeros
from numtape.ops.define import composite
from numtape.ops.diagonal import diag_embed, tril, triu
from numtape.ops.factorizations import LinAlgError, _array, _given_back, _saved, filed, matrices, mt, solved
from numtape.ops.index import cat, index_select
from numtape.ops.linear_algebra import _pair, inv, solve, solve_triangular
from numtape.ops.part import narrow
from numtape.ops.view import expanded, reshape, unsqueeze
from numtape.spec import spec_of
from numtape.tensor import Tensor, alias, empty

LU = namedtuple("linalg_lu", "P L U")
LUFactor = namedtuple("linalg_lu_factor", "LU pivots")
LUFactorEx = namedtuple("linalg_lu_factor_ex", "LU pivots info")
Unpacked = namedtuple("lu_unpack", "P L U")
SolveEx = namedtuple("linalg_solve_ex", "result info")
Geqrf = namedtuple("geqrf", "a tau")
STRIP = 48  # columns that are factorized before the rest of the matrix sees them, as one product
matmul = products.matmul


# ------------------------------------------------------------------------------------------------ the factorization
def _factorized(A: Tensor):
    """(LU, pivots, info) of matrices on the host; not recorded."""
    shape, kind = A._spec.shape, A._spec.dtype
    m, n = shape[-2:]
    k, count, batch = min(m, n), prod(shape[:-2]), shape[:-2]
    a = A.detach().clone(memory_format=_CONTIGUOUS) if A._spec.device.type == "cpu" else A.detach().cpu().clone(memory_format=_CONTIGUOUS)
    pivots = empty(spec_of(dtypes.int32, a._spec.device, (*batch, k)), "lu")
    info = zeros(*batch, dtype=dtypes.int32)
    whole = alias(a, spec_of(kind, a._spec.device, (count, m, n)))
    lu = pattern(a._spec.device, "lu")
    for first in range(0, k if count else 0, STRIP):
        end = min(first + STRIP, k)
        with placing(a._spec.device):
            table = lu.strip(kind.code, count, m, n, first, end)
        launch(table.address, a._address, pivots._address, info._address)
        if end < m and end < n:
            left, right = narrow(narrow(whole, 1, end, m - end), 2, first, end - first), narrow(narrow(whole, 1, first, end - first), 2, end, n - end)
            rest = narrow(narrow(whole, 1, end, m - end), 2, end, n - end)
            rest.sub_(matmul(left, right))
    return a, pivots, info


_CONTIGUOUS = "contiguous_format"


def _permutations(pivots: Tensor, m: int) -> Tensor:
    """The order in which the exchanges put m rows, for each matrix."""
    here = pivots.detach().cpu().contiguous()
    *batch, k = here._spec.shape
    out = empty(spec_of(dtypes.int64, here._spec.device, (*batch, m)), "lu")
    if out.numel():
        with placing(here._spec.device):
            table = pattern(here._spec.device, "lu").permutation(prod(batch), m, k)
        launch(table.address, out._address, here._address)
    return out.to(pivots.device)


def _exchanges(pivots: Tensor, m: int, like: Tensor) -> Tensor:
    """P with P L U = A."""
    order = _permutations(pivots, m)
    rows = index_select(eye(m, dtype=like.dtype, device=like.device), 0, order.reshape(-1))
    return mt(reshape(rows, (*order.shape, m)))


def _parts(packed: Tensor):
    """L and U of a factorization that holds both in one matrix."""
    m, n = packed.shape[-2:]
    k = min(m, n)
    ones = eye(m, k, dtype=packed.dtype, device=packed.device)
    return tril(narrow(packed, -1, 0, k), -1) + ones, triu(narrow(packed, -2, 0, k))


def factorization(A: Tensor):
    """(LU, pivots, info), recorded."""
    refuse_complex("linalg.lu", A.dtype)
    a, pivots, info = (t.to(A.device) for t in _factorized(A))
    m, n = A._spec.shape[-2:]
    k = min(m, n)

    def pull(node, g):
        _, packed = _saved(lambda x: factorization(x)[0], node, 1)
        L, U = _parts(packed)
        gL, gU = tril(narrow(g, -1, 0, k), -1), triu(narrow(g, -2, 0, k))
        L1, U1, gL1, gU1 = narrow(L, -2, 0, k), narrow(U, -1, 0, k), narrow(gL, -2, 0, k), narrow(gU, -1, 0, k)
        lower = lambda x: solve_triangular(mt(L1), x, upper=True, unitriangular=True)  # L1⁻ᵀ x
        upper = lambda x: solve_triangular(mt(U1), x, upper=False, left=False)  # x U1⁻ᵀ
        beside = None
        if n > k:
            beside = lower(narrow(gU, -1, k, n - k))
            gL1 = gL1 - matmul(beside, mt(narrow(U, -1, k, n - k)))
        if m > k:
            beside = upper(narrow(gL, -2, k, m - k))
            gU1 = gU1 - matmul(mt(narrow(L, -2, k, m - k)), beside)
        found = upper(lower(tril(matmul(mt(L1), gL1), -1) + triu(matmul(gU1, mt(U1)))))
        if beside is not None:
            found = cat([found, beside], -1 if n > k else -2)
        return (matmul(_exchanges(pivots, m, found), found),)

    return recorded(a, "lu_factor", (A,), pull, save=(A, a.detach())), pivots, info


def _pivoting(name: str, pivot: bool) -> None:
    if not pivot:
        raise RuntimeError(f"{name}: LU without pivoting is not implemented on the CPU; pivot: expected True")


@filed
def lu_factor(A, *, pivot=True, out=None):
    "L and U in one matrix, and the row exchanges, counted from 1: (LU, pivots); LinAlgError for singular matrices."
    x = matrices("linalg.lu_factor", A)
    _pivoting("linalg.lu_factor", pivot)
    a, pivots, info = factorization(x)
    if bool((info != 0).any()):
        worst = info.reshape(-1)
        at = int((worst != 0).to(dtypes.int32).argmax())
        batch = f"(Batch element {at}): " if info.ndim else ""
        k = int(worst[at])
        raise LinAlgError(
            f"linalg.lu_factor: {batch}U[{k},{k}] is zero and using it on lu_solve would result in a division by zero. If you still want to "
            "perform the factorization, consider calling linalg.lu(A, pivot) or linalg.lu_factor_ex(A, pivot)"
        )
    return _pair("linalg.lu_factor", LUFactor, (a, pivots), out)


def lu_factor_ex(A, *, pivot=True, check_errors=False, out=None):
    "As lu_factor, with an int32 info for each matrix, the first pivot that is zero, instead of an error: (LU, pivots, info)."
    if check_errors:
        lu_factor(A, pivot=pivot)
    _pivoting("linalg.lu_factor_ex", pivot)
    return _pair("linalg.lu_factor_ex", LUFactorEx, factorization(matrices("linalg.lu_factor_ex", A)), out)


@filed
def lu(A, *, pivot=True, out=None):
    "A permutation matrix, a unit lower and an upper triangular one with A = P L U: (P, L, U)."
    x = matrices("linalg.lu", A)
    _pivoting("linalg.lu", pivot)
    packed, pivots, _ = factorization(x)
    return _pair("linalg.lu", LU, (_exchanges(pivots, x.shape[-2], x), *_parts(packed)), out)


@composite
def lu_unpack(LU_data, LU_pivots, unpack_data=True, unpack_pivots=True, *, out=None):
    "The P, L and U of what lu_factor gives: (P, L, U); what is not asked for is empty."
    x, pivots = tensor_of("lu_unpack", LU_data), tensor_of("lu_unpack", LU_pivots)
    if pivots._spec.dtype is not dtypes.int32:
        raise RuntimeError(f"lu_unpack: LU_pivots is expected to be a contiguous tensor of torch.int32 dtype, got {pivots.dtype}".replace("torch", "numtape"))
    none = x.new_empty(0)
    P = _exchanges(pivots, x.shape[-2], x) if unpack_pivots else none
    L, U = _parts(x) if unpack_data else (none, none)
    return _pair("lu_unpack", Unpacked, (P, L, U), out)


@filed
def lu_solve(LU, pivots, B, *, left=True, adjoint=False, out=None):
    "X with A X = B (or X A = B) from lu_factor's result; with adjoint, of the transposed A."
    name = "linalg.lu_solve"
    x, b = matrices(name, LU, True), matrices(name, B)
    if x.dtype is not b.dtype:
        raise RuntimeError(f"{name}: Expected LU and B to have the same dtype, but found LU of type {x.dtype} and B of type {b.dtype} instead")
    if pivots._spec.dtype is not dtypes.int32:
        raise RuntimeError(f"{name}: Expected pivots to be of type int32, got {pivots.dtype}")
    if tuple(pivots.shape) != (*x.shape[:-2], x.shape[-1]):
        raise RuntimeError(f"{name}: Number of pivots per batch should be same as the dimension of the matrix, got {list(pivots.shape)} for {list(x.shape)}")
    if b.shape[-2 if left else -1] != x.shape[-1]:
        equation = "AX = B" if left else "XA = B"
        raise RuntimeError(f"{name}: Incompatible shapes of A and B for the equation {equation} ({x.shape[-2]}x{x.shape[-1]} and {b.shape[-2]}x{b.shape[-1]})")
    P = _exchanges(pivots, x.shape[-1], x)
    transposed = adjoint == left  # whether it is the transposed A that stands on the left of what is solved for
    b = b if left else mt(b)
    if transposed:
        y = solve_triangular(mt(x), solve_triangular(mt(triu(x)), b, upper=False), upper=True, unitriangular=True)
        result = matmul(P, y)
    else:
        result = solve_triangular(x, solve_triangular(x, matmul(mt(P), b), upper=False, unitriangular=True), upper=True)
    return given(name, result if left else mt(result), out)


def lu_by_old_name(input, pivot=True, get_infos=False, *, out=None):
    "Deprecated name of linalg.lu_factor_ex: (LU, pivots), or with get_infos (LU, pivots, infos)."
    _pivoting("lu", pivot)
    found = factorization(matrices("lu", input))
    if not get_infos and bool((found[2] != 0).any()):
        warnings.warn("lu: a pivot is zero, so that lu_solve would divide by zero", stacklevel=2)
    return _pair("lu", lambda *results: tuple(results), found if get_infos else found[:2], out)


def lu_solve_by_old_name(b, LU_data, LU_pivots, *, out=None):
    "X with A X = b from lu_factor's result."
    return lu_solve(LU_data, LU_pivots, b, out=out)


# ------------------------------------------------------------------------------------------------ solving
def solve_ex(A, B, *, left=True, check_errors=False, out=None):
    "X with A X = B (or X A = B), and an int32 info for each matrix, not zero where it is singular: (result, info)."
    x = matrices("linalg.solve_ex", A, True)
    _, _, info = _factorized(x)
    info = info.to(x.device)
    singular = info != 0
    if not bool(singular.any()):
        return _pair("linalg.solve_ex", SolveEx, (solve(x, B, left=left), info), out)
    if check_errors:
        solve(x, B, left=left)
    from numtape.ops.select import where

    mask = unsqueeze(unsqueeze(singular, -1), -1)
    found = solve(where(mask, eye(x.shape[-1], dtype=x.dtype, device=x.device), x), B, left=left)
    vector = found.ndim < max(x.ndim, B.ndim)
    return _pair("linalg.solve_ex", SolveEx, (where(unsqueeze(singular, -1) if vector else mask, float("nan"), found), info), out)


@filed
def tensorinv(A, ind=2, *, out=None):
    "The inverse of A as the matrix of its first `ind` dims by the others: tensordot(inverse, A, ind) is the identity."
    x = tensor_of("linalg.tensorinv", A)
    if ind <= 0:
        raise RuntimeError(f"Expected a strictly positive integer for 'ind', got {ind}")
    if ind > x.ndim:
        raise RuntimeError(f"linalg.tensorinv: ind: expected at most the number of dims, {x.ndim}, got {ind}")
    rows, columns = tuple(x.shape[:ind]), tuple(x.shape[ind:])
    if prod(rows) != prod(columns):
        raise RuntimeError(f"Expected self to satisfy the requirement prod(self.shape[ind:]) == prod(self.shape[:ind]), but got {prod(columns)} != {prod(rows)}")
    return given("linalg.tensorinv", reshape(inv(reshape(x, (prod(rows), prod(columns)))), (*columns, *rows)), out)


@filed
def tensorsolve(A, B, dims=None, *, out=None):
    "X with tensordot(A, X, X.ndim) = B; `dims` of A are moved to its end first."
    x, b = tensor_of("linalg.tensorsolve", A), tensor_of("linalg.tensorsolve", B)
    if dims is not None:
        moved = [layout.dim_of("linalg.tensorsolve", d, x.ndim) for d in dims]
        x = x.movedim(tuple(moved), tuple(range(x.ndim - len(moved), x.ndim)))
    shape = tuple(x.shape[b.ndim :])
    if prod(shape) != prod(x.shape[: b.ndim]):
        raise RuntimeError(f"Expected self to satisfy the requirement prod(self.shape[other.ndim:]) == prod(self.shape[:other.ndim]), but got {prod(shape)} != {prod(x.shape[: b.ndim])}")
    return given("linalg.tensorsolve", reshape(solve(reshape(x, (-1, prod(shape))), reshape(b, (-1,))), shape), out)


# ------------------------------------------------------------------------------------------------ reflections
def _reflected(name: str, A: Tensor, tau: Tensor):
    """(V, T) with H1 H2 ... Hk = I - V T Vᵀ, where Hi = I - tau[i] V[:, i] V[:, i]ᵀ (Schreiber and Van Loan, 1989)."""
    m, k = A.shape[-2], tau.shape[-1]
    if m < A.shape[-1] or k > A.shape[-1]:
        raise RuntimeError(f"{name}: input.shape[-2] must be greater than or equal to input.shape[-1], and that than tau.shape[-1]; got {list(A.shape)} and {list(tau.shape)}")
    if A.dtype is not tau.dtype:
        raise RuntimeError(f"{name}: tau dtype {tau.dtype} does not match input dtype {A.dtype}")
    if A.shape[:-2] != tau.shape[:-1]:
        raise RuntimeError(f"{name}: Expected batch dimensions of tau to be equal to input.shape[:-2], but got {list(tau.shape[:-1])} and {list(A.shape[:-2])}")
    V = tril(narrow(A, -1, 0, k), -1) + eye(m, k, dtype=A.dtype, device=A.device)
    # T⁻¹ = diag(1 / tau) + triu(VᵀV, 1), of which a tau of zero must not divide
    inner = eye(k, dtype=A.dtype, device=A.device) + unsqueeze(tau, -1) * triu(matmul(mt(V), V), 1)
    return V, solved(expanded(inner, (*A._spec.shape[:-2], k, k)), diag_embed(tau), name)


@filed
def householder_product(A, tau, *, out=None):
    "The first columns of the product of reflections I - tau v vᵀ, whose v stand below the diagonal of A; the Q of geqrf."
    x, t = matrices("linalg.householder_product", A), tensor_of("linalg.householder_product", tau)
    m, n = x.shape[-2:]
    V, T = _reflected("linalg.householder_product", x, t)
    result = eye(m, n, dtype=x.dtype, device=x.device) - matmul(V, matmul(T, mt(narrow(V, -2, 0, n))))
    return given("linalg.householder_product", result, out)


@composite
def ormqr(input, tau, other, left=True, transpose=False, *, out=None):
    "Q other (or other Q), with Q or its transpose, for the whole Q whose reflections geqrf gives."
    x, t, b = matrices("ormqr", input), tensor_of("ormqr", tau), matrices("ormqr", other)
    m = b.shape[-2 if left else -1]
    if m != x.shape[-2]:
        side = "-2" if left else "-1"
        raise RuntimeError(f"ormqr: other.shape[{side}] must be equal to input.shape[-2], got {list(b.shape)} and {list(x.shape)}")
    if t.shape[-1] != min(m, x.shape[-1]):
        raise RuntimeError(f"ormqr: tau.shape[-1] must be equal to min(other.shape[-2], input.shape[-1]), got {list(t.shape)} for {list(b.shape)} and {list(x.shape)}")
    if b.ndim != x.ndim:
        raise RuntimeError(f"ormqr: Expected other to have the same number of dimensions as input, but got {b.ndim} and {x.ndim}")
    V, T = _reflected("ormqr", x, t)
    T = mt(T) if transpose else T
    if left:
        return given("ormqr", b - matmul(V, matmul(T, matmul(mt(V), b))), out)
    return given("ormqr", b - matmul(matmul(matmul(b, V), T), mt(V)), out)


@composite
def geqrf(input, *, out=None):
    "R above the diagonal and the reflections that make Q below it, with their factors: (a, tau)."
    x = matrices("geqrf", input)
    raw, tau = lapack_qr(_array(x), "raw")
    a, tau = _given_back(x, raw.swapaxes(-1, -2), tau)

    def refused(node, g):
        raise NotImplementedError("the derivative for 'geqrf' is not implemented; use linalg.qr.")

    recorded(a, "geqrf", (x,), refused)
    return _pair("geqrf", Geqrf, (a, recorded(tau, "geqrf", (x,), refused)), out)


METHODS = {"lu": lu_by_old_name, "lu_solve": lu_solve_by_old_name, "orgqr": householder_product}
PUBLIC = {"lu": lu_by_old_name, "lu_solve": lu_solve_by_old_name, "orgqr": householder_product}
FUNCTION_ONLY = {"lu_unpack"}
LINALG = {f.__name__: f for f in (householder_product, lu, lu_factor, lu_factor_ex, lu_solve, solve_ex, tensorinv, tensorsolve)}

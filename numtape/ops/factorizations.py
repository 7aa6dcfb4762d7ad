"""Inverses, solutions and factorizations of matrices: LAPACK through NumPy, with derivatives in recorded ops.

Matrices on a card are worked on by the host: they are copied there and the results back. Derivatives are written with public ops, so they
have derivatives of their own; under `create_graph` they factorize anew, recorded, so that no result holds itself on the tape.
"""

from __future__ import annotations

import numpy as np

from numtape.autograd import mode
from numtape.dispatch.record import recorded
from numtape.op import Op
from numtape.ops.arrange import fresh
from numtape.ops.creation import eye
from numtape.ops.diagonal import diag_embed, diagonal, tril, triu
from numtape.ops.index import cat
from numtape.ops.linalg import matmul
from numtape.ops.part import narrow
from numtape.ops.reduce import product_of_others
from numtape.ops.select import where
from numtape.ops.view import transpose, unsqueeze
from numtape.tensor import Tensor, from_array


class LinAlgError(RuntimeError):
    """A matrix that has no inverse, no factorization or no converging one."""


def filed(function):
    """File a function of `numtape.linalg` in the table, as linalg_<name>."""
    Op(f"linalg_{function.__name__}", "composite", function).register()
    return function


# ------------------------------------------------------------------------------------------------ arguments
def matrices(name: str, x, square: bool = False) -> Tensor:
    """x, if it holds floating-point matrices."""
    if not isinstance(x, Tensor):
        raise TypeError(f"{name}(): argument 'A' (position 1) must be Tensor, not {type(x).__name__}")
    if x.ndim < 2:
        raise RuntimeError(f"{name}: The input tensor A must have at least 2 dimensions, got {x.ndim}.")
    if not x.is_floating_point():
        raise RuntimeError(f"{name}: Expected a floating point or complex tensor as input. Got {x.dtype}")
    if square and x.shape[-1] != x.shape[-2]:
        raise RuntimeError(f"{name}: A must be batches of square matrices, but they are {x.shape[-2]} by {x.shape[-1]} matrices")
    return x


def mt(x: Tensor) -> Tensor:
    return transpose(x, -2, -1)


def _array(x: Tensor) -> np.ndarray:
    return x.detach().cpu().numpy()


def _given_back(like: Tensor, *arrays):
    """NumPy's results as tensors of the dtype and device of `like`."""
    found = [from_array(np.asarray(a, like.dtype.numpy)).to(like.device) for a in arrays]
    return found[0] if len(found) == 1 else found


def _lapack(name, function, what, *arrays):
    """Call LAPACK; its error names the first matrix of the batch that is at fault."""
    try:
        with np.errstate(all="ignore"):  # NumPy computes in float64: what float32 cannot hold is inf
            return function(*arrays)
    except np.linalg.LinAlgError as problem:
        raise LinAlgError(f"{name}: {_at_fault(arrays[0])}{what} ({problem})") from None


def _at_fault(a) -> str:
    if a.ndim == 2 or a.shape[-1] != a.shape[-2]:
        return ""
    singular = np.argwhere(np.linalg.slogdet(a)[0] == 0)
    return f"(Batch element {np.ravel_multi_index(singular[0], a.shape[:-2])}): " if len(singular) else ""


def _saved(again, node, count: int):
    """What a derivative needs: as saved, or under `create_graph` made anew and recorded."""
    first, *rest = node.unpack()
    if mode.state.enabled:
        found = again(first)
        return first, *(found if isinstance(found, tuple) else (found,))
    return first, *rest[:count]


# ------------------------------------------------------------------------------------------------ inverses and determinants
def inverse(A: Tensor, name="linalg.inv") -> Tensor:
    """The recorded inverses of square matrices."""
    out = _given_back(A, _lapack(name, np.linalg.inv, "the inversion could not be completed because the input matrix is singular", _array(A)))

    def pull(node, g):
        _, B = _saved(inverse, node, 1)
        return (-matmul(mt(B), matmul(g, mt(B))),)

    return recorded(out, "inv", (A,), pull, save=(A, out.detach()))


def determinant(A: Tensor) -> Tensor:
    with np.errstate(over="ignore"):  # NumPy computes in float64: what float32 cannot hold is inf
        out = _given_back(A, np.linalg.det(_array(A)))

    def pull(node, g):
        (x,) = node.unpack()
        d = determinant(x)
        g = unsqueeze(unsqueeze(g, -1), -1)
        if bool((d.detach() == 0).any()):  # the cofactors, which exist for singular matrices too
            U, S, Vh = decomposed(x)
            sign = determinant(matmul(U, Vh))
            others = product_of_others(S, (S.ndim - 1,))
            return (g * unsqueeze(unsqueeze(sign, -1), -1) * matmul(U * unsqueeze(others, -2), Vh),)
        return (g * unsqueeze(unsqueeze(d, -1), -1) * mt(inverse(x)),)

    return recorded(out, "det", (A,), pull, save=(A,))


def sign_and_log(A: Tensor):
    """The sign and the logarithm of the absolute value of determinants."""
    sign, logabs = _given_back(A, *np.linalg.slogdet(_array(A)))
    pull = lambda node, g: (unsqueeze(unsqueeze(g, -1), -1) * mt(inverse(node.unpack()[0], "linalg.slogdet")),)
    return sign, recorded(logabs, "slogdet", (A,), pull, save=(A,))


def solved(A: Tensor, B: Tensor, name="linalg.solve") -> Tensor:
    """X with A X = B, over equal batch shapes."""
    if not A.numel() or not B.numel():
        return matmul(mt(A), B) if A.shape[-1] == 0 else B * 1
    out = _given_back(A, _lapack(name, np.linalg.solve, "the solver failed because the input matrix is singular", _array(A), _array(B)))

    def pull(node, g):
        a, b, x = node.unpack()
        x = solved(a, b) if mode.state.enabled else x
        gB = solved(mt(a), g)
        return -matmul(gB, mt(x)), gB

    return recorded(out, "solve", (A, B), pull, save=(A, B, out.detach()))


def pseudo_inverse(A: Tensor, atol, rtol, hermitian=False) -> Tensor:
    """The Moore-Penrose inverse: singular values at or below max(atol, rtol * the largest) count as zero."""
    with mode.no_grad():
        if A.numel():
            U, S, Vh = decomposed(_whole(A) if hermitian else A)
            limit = S.amax(-1, True) * rtol
            limit = limit.maximum(limit.new_full((), atol) if not isinstance(atol, Tensor) else atol)
            out = matmul(mt(Vh) * unsqueeze(where(limit < S, 1.0 / where(limit < S, S, 1.0), 0.0), -2), mt(U))
        else:
            out = fresh(mt(A))

    def pull(node, g):
        a, P = _saved(lambda x: pseudo_inverse(x, atol, rtol, hermitian), node, 1)
        gt, Pt = mt(g), mt(P)
        outside = matmul(gt, matmul(P, Pt))  # (m, m)
        inside = matmul(matmul(Pt, P), gt)  # (n, n) on the right
        return (-matmul(Pt, matmul(g, Pt)) + outside - matmul(a, matmul(P, outside)) + inside - matmul(matmul(inside, P), a),)

    return recorded(out, "pinv", (A,), pull, save=(A, out.detach()))


def _whole(A):
    """Symmetric matrices from their lower triangles."""
    return tril(A) + mt(tril(A, -1))


# ------------------------------------------------------------------------------------------------ Cholesky
def cholesky_factor(A: Tensor, name="linalg.cholesky", info=None) -> Tensor:
    """L with A = L Lᵀ, from the lower triangles of A. Failures go into `info`, if it is an array, instead of an error."""
    a = _array(A)
    try:
        factor = np.linalg.cholesky(a)
    except np.linalg.LinAlgError:
        factor = np.zeros_like(a)
        for k in np.ndindex(a.shape[:-2]):
            try:
                factor[k] = np.linalg.cholesky(a[k])
            except np.linalg.LinAlgError:
                order = _leading_minor(a[k])
                if info is None:
                    at = f"(Batch element {np.ravel_multi_index(k, a.shape[:-2])}): " if k else ""
                    raise LinAlgError(
                        f"{name}: {at}The factorization could not be completed because the input is not positive-definite "
                        f"(the leading minor of order {order} is not positive-definite)."
                    ) from None
                info[k] = order
    out = _given_back(A, factor)

    def pull(node, g):
        _, L = _saved(cholesky_factor, node, 1)
        inner = tril(matmul(mt(L), g))
        inner = inner - diag_embed(diagonal(inner, 0, -2, -1)) * 0.5
        found = solved(mt(L), mt(solved(mt(L), mt(inner))))  # L⁻ᵀ inner L⁻¹
        return ((found + mt(found)) * 0.5,)

    return recorded(out, "cholesky", (A,), pull, save=(A, out.detach()))


def _leading_minor(a) -> int:
    for order in range(1, a.shape[-1]):
        try:
            np.linalg.cholesky(a[:order, :order])
        except np.linalg.LinAlgError:
            return order
    return a.shape[-1]


# ------------------------------------------------------------------------------------------------ QR
def orthogonal_triangular(A: Tensor, mode_name: str):
    """Q and R of A = Q R; mode_name 'reduced', 'complete' or 'r' (then Q is empty)."""
    m, n = A.shape[-2:]
    if mode_name == "reduced" and m < n and A.requires_grad and mode.state.enabled:
        Q, R = orthogonal_triangular(narrow(A, -1, 0, m), mode_name)
        return Q, cat([R, matmul(mt(Q), narrow(A, -1, m, n - m))], -1)
    if mode_name == "r":
        Q, R = A.new_empty(0), _given_back(A, np.linalg.qr(_array(A), "r"))
    else:
        Q, R = _given_back(A, *np.linalg.qr(_array(A), mode_name))
    if mode_name != "reduced" and not (mode_name == "complete" and m <= n):

        def refused(node, g):
            reason = "mode='complete' and nrows > ncols" if mode_name == "complete" else "mode='r'; use mode='reduced'"
            raise RuntimeError(f"linalg.qr: The QR decomposition is not differentiable when {reason}")

        return (recorded(Q, "qr", (A,), refused) if Q.numel() else Q), recorded(R, "qr", (A,), refused)
    if mode_name == "complete":
        return orthogonal_triangular(A, "reduced")
    again = lambda x: orthogonal_triangular(x, mode_name)

    def pull_q(node, g):
        _, q, r = _saved(again, node, 2)
        return (_over(g - matmul(q, _mirrored(matmul(mt(q), g))), r),)

    def pull_r(node, g):
        _, q, r = _saved(again, node, 2)
        return (_over(matmul(q, _mirrored(matmul(g, mt(r)))), r),)

    save = (A, Q.detach(), R.detach())
    return recorded(Q, "qr", (A,), pull_q, save=save), recorded(R, "qr", (A,), pull_r, save=save)


def _mirrored(x):
    """The symmetric matrices that have the upper triangles of x."""
    return triu(x) + mt(triu(x, 1))


def _over(x, r):
    """x R⁻ᵀ."""
    return mt(solved(r, mt(x), "linalg.qr"))


# ------------------------------------------------------------------------------------------------ singular values
def _differences(squares: Tensor) -> Tensor:
    """E with E[j, k] = squares[k] - squares[j], and 1 on the diagonal."""
    return unsqueeze(squares, -2) - unsqueeze(squares, -1) + eye(squares.shape[-1], dtype=squares.dtype, device=squares.device)


def decomposed(A: Tensor, full=False):
    """U, S and Vᵀ of A = U diag(S) Vᵀ, singular values in descending order."""
    what = "The algorithm failed to converge because the input matrix contained non-finite values or is ill-conditioned"
    U, S, Vh = _given_back(A, *_lapack("linalg.svd", lambda a: np.linalg.svd(a, full_matrices=full), what, _array(A)))
    k = S.shape[-1]
    u, vh = narrow(U.detach(), -1, 0, k), narrow(Vh.detach(), -2, 0, k)
    save = (A, u, S.detach(), vh)

    def pull_u(node, g):
        _, u, s, vh = _saved(decomposed, node, 3)
        g = narrow(g, -1, 0, k)
        inner = matmul(mt(u), g)
        turned = (inner - mt(inner)) / _differences(s * s) * unsqueeze(s, -2)
        found = matmul(u, turned)
        if A_shape[-2] > k:
            found = found + (g - matmul(u, inner)) / unsqueeze(s, -2)
        return (matmul(found, vh),)

    def pull_s(node, g):
        _, u, _s, vh = _saved(decomposed, node, 3)
        return (matmul(u * unsqueeze(g, -2), vh),)

    def pull_v(node, g):
        _, u, s, vh = _saved(decomposed, node, 3)
        g = mt(narrow(g, -2, 0, k))
        inner = matmul(vh, g)
        turned = (inner - mt(inner)) / _differences(s * s) * unsqueeze(s, -1)
        found = matmul(turned, vh)
        if A_shape[-1] > k:
            found = found + mt((g - matmul(mt(vh), inner)) / unsqueeze(s, -2))
        return (matmul(u, found),)

    A_shape = A._spec.shape
    return recorded(U, "svd", (A,), pull_u, save=save), recorded(S, "svd", (A,), pull_s, save=save), recorded(Vh, "svd", (A,), pull_v, save=save)


# ------------------------------------------------------------------------------------------------ eigenvalues
def symmetric_eigen(A: Tensor, triangle: str):
    """The eigenvalues, ascending, and eigenvectors of symmetric matrices, of which one triangle is read."""
    what = "The algorithm failed to converge because the input matrix is ill-conditioned or has too many repeated eigenvalues"
    L, V = _given_back(A, *_lapack("linalg.eigh", lambda a: np.linalg.eigh(a, triangle), what, _array(A)))
    again, save = lambda x: symmetric_eigen(x, triangle), (A, L.detach(), V.detach())

    def pull_values(node, g):
        _, _, v = _saved(again, node, 2)
        return (matmul(v * unsqueeze(g, -2), mt(v)),)

    def pull_vectors(node, g):
        _, w, v = _saved(again, node, 2)
        inner = matmul(mt(v), g)
        inner = (inner - diag_embed(diagonal(inner, 0, -2, -1))) / _differences(w)
        return (matmul(v, matmul(inner, mt(v))),)

    return recorded(L, "eigh", (A,), pull_values, save=save), recorded(V, "eigh", (A,), pull_vectors, save=save)


def general_eigen(A: Tensor, name: str):
    """The eigenvalues and eigenvectors of matrices all of whose eigenvalues are real."""
    a = _array(A)
    if not np.isfinite(a).all():
        raise RuntimeError(f"{name}: input tensor should not contain infs or NaNs.")
    values, vectors = _lapack(name, np.linalg.eig, "The algorithm failed to converge", a)
    if np.iscomplexobj(values):
        if (values.imag != 0).any():
            raise NotImplementedError(f"{name}: the matrix has complex eigenvalues, and complex dtypes are not supported yet")
        values, vectors = values.real, vectors.real
    L, V = _given_back(A, values, vectors)
    again, save = lambda x: general_eigen(x, name), (A, L.detach(), V.detach())

    def pull_values(node, g):
        _, _, v = _saved(again, node, 2)
        return (solved(mt(v), unsqueeze(g, -1) * mt(v), name),)

    def pull_vectors(node, g):
        _, w, v = _saved(again, node, 2)
        inner = matmul(mt(v), g)
        inner = (inner - matmul(mt(v), v) * unsqueeze(diagonal(inner, 0, -2, -1), -2)) / _differences(w)
        inner = inner - diag_embed(diagonal(inner, 0, -2, -1))
        return (solved(mt(v), matmul(inner, mt(v)), name),)

    return recorded(L, "eig", (A,), pull_values, save=save), recorded(V, "eig", (A,), pull_vectors, save=save)



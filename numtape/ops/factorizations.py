"""Inverses, solutions and factorizations of matrices: LAPACK through NumPy, with derivatives in recorded ops.

Matrices on a card are worked on by the host: they are copied there and the results back. Derivatives are written with public ops, so they
have derivatives of their own; under `create_graph` they factorize anew, recorded, so that no result holds itself on the tape.
"""

from __future__ import annotations

import numpy as np

from numtape.arrays import from_array
from numtape.autograd import mode
from numtape.dispatch.record import recorded
from numtape.op import Op
from numtape.ops.arithmetic import zero
from numtape.ops.arrange import fresh
from numtape.ops.complex import _complex_of, adjoint_of, conj, imag, real
from numtape.ops.creation import eye
from numtape.ops.diagonal import diag_embed, diagonal, tril, triu
from numtape.ops.index import cat
from numtape.ops.linalg import matmul
from numtape.ops.part import narrow
from numtape.ops.reduce import product_of_others
from numtape.ops.select import where
from numtape.ops.view import transpose, unsqueeze
from numtape.tensor import Tensor


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
    if not x.dtype.differentiable:
        raise RuntimeError(f"{name}: Expected a floating point or complex tensor as input. Got {x.dtype}")
    if square and x.shape[-1] != x.shape[-2]:
        raise RuntimeError(f"{name}: A must be batches of square matrices, but they are {x.shape[-2]} by {x.shape[-1]} matrices")
    return x


def mt(x: Tensor) -> Tensor:
    return transpose(x, -2, -1)


mh = adjoint_of  # what derivatives of products have where those of real ones have mt


def _array(x: Tensor) -> np.ndarray:
    return x.detach().cpu().numpy()


def _given_back(like: Tensor, *arrays):
    """NumPy's results as tensors on the device of `like`, as precise as that: real or complex, as they are."""
    kinds = [like.dtype.to_complex() if np.iscomplexobj(a) else like.dtype.to_real() for a in arrays]
    found = [from_array(np.asarray(a, kind.numpy)).to(like.device) for a, kind in zip(arrays, kinds)]
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
        return (-matmul(mh(B), matmul(g, mh(B))),)

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
            return (g * conj(unsqueeze(unsqueeze(sign, -1), -1)) * matmul(U * unsqueeze(others, -2), Vh),)
        return (g * conj(unsqueeze(unsqueeze(d, -1), -1)) * mh(inverse(x)),)

    return recorded(out, "det", (A,), pull, save=(A,))


def sign_and_log(A: Tensor):
    """The sign and the logarithm of the absolute value of determinants."""
    sign, logabs = _given_back(A, *np.linalg.slogdet(_array(A)))
    pull = lambda node, g: (unsqueeze(unsqueeze(g, -1), -1) * mh(inverse(node.unpack()[0], "linalg.slogdet")),)
    if A.dtype.is_complex:

        def pull_sign(node, g):  # it turns as the imaginary part of the logarithm grows
            x, s = _saved(sign_and_log, node, 1)[:2]
            turn = imag(g * conj(s))
            return (unsqueeze(unsqueeze(_complex_of(zero(turn), turn), -1), -1) * mh(inverse(x, "linalg.slogdet")),)

        sign = recorded(sign, "slogdet", (A,), pull_sign, save=(A, sign.detach()))
    return sign, recorded(logabs, "slogdet", (A,), pull, save=(A,))


def solved(A: Tensor, B: Tensor, name="linalg.solve") -> Tensor:
    """X with A X = B, over equal batch shapes."""
    if not A.numel() or not B.numel():
        return matmul(mt(A), B) if A.shape[-1] == 0 else B * 1
    out = _given_back(A, _lapack(name, np.linalg.solve, "the solver failed because the input matrix is singular", _array(A), _array(B)))

    def pull(node, g):
        a, b, x = node.unpack()
        x = solved(a, b) if mode.state.enabled else x
        gB = solved(mh(a), g)
        return -matmul(gB, mh(x)), gB

    return recorded(out, "solve", (A, B), pull, save=(A, B, out.detach()))


def pseudo_inverse(A: Tensor, atol, rtol, hermitian=False) -> Tensor:
    """The Moore-Penrose inverse: singular values at or below max(atol, rtol * the largest) count as zero."""
    with mode.no_grad():
        if A.numel():
            U, S, Vh = decomposed(_whole(A) if hermitian else A)
            limit = S.amax(-1, True) * rtol
            limit = limit.maximum(limit.new_full((), atol) if not isinstance(atol, Tensor) else atol)
            out = matmul(mh(Vh) * unsqueeze(where(limit < S, 1.0 / where(limit < S, S, 1.0), 0.0), -2), mh(U))
        else:
            out = fresh(mt(A))

    def pull(node, g):
        a, P = _saved(lambda x: pseudo_inverse(x, atol, rtol, hermitian), node, 1)
        gt, Pt = mh(g), mh(P)
        outside = matmul(gt, matmul(P, Pt))  # (m, m)
        inside = matmul(matmul(Pt, P), gt)  # (n, n) on the right
        return (-matmul(Pt, matmul(g, Pt)) + outside - matmul(a, matmul(P, outside)) + inside - matmul(matmul(inside, P), a),)

    return recorded(out, "pinv", (A,), pull, save=(A, out.detach()))


def _whole(A):
    """Symmetric (or Hermitian) matrices from their lower triangles."""
    inner = tril(A, -1)
    return inner + mh(inner) + diag_embed(real(diagonal(A, 0, -2, -1)))


# ------------------------------------------------------------------------------------------------ Cholesky
def cholesky_factor(A: Tensor, name="linalg.cholesky", info=None, upper=False) -> Tensor:
    """L with A = L Lᴴ, from the lower triangles of A, or the upper ones. Failures go into `info`, if it is an array, instead of an error."""
    a = _array(mh(A.detach()) if upper else A)
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
        _, L = _saved(lambda x: cholesky_factor(x, upper=upper), node, 1)
        inner = tril(matmul(mh(L), g))
        inner = (inner + mh(tril(inner, -1))) * 0.5
        return (solved(mh(L), mh(solved(mh(L), mh(inner)))),)  # L⁻ᴴ inner L⁻¹

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
        return Q, cat([R, matmul(mh(Q), narrow(A, -1, m, n - m))], -1)
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
        return (_over(g - matmul(q, _mirrored(matmul(mh(q), g))), r),)

    def pull_r(node, g):
        _, q, r = _saved(again, node, 2)
        return (_over(matmul(q, _mirrored(matmul(g, mh(r)))), r),)

    save = (A, Q.detach(), R.detach())
    return recorded(Q, "qr", (A,), pull_q, save=save), recorded(R, "qr", (A,), pull_r, save=save)


def _mirrored(x):
    """The symmetric (or Hermitian) matrices that have the upper triangles of x."""
    inner = triu(x, 1)
    return inner + mh(inner) + diag_embed(real(diagonal(x, 0, -2, -1)))


def _over(x, r):
    """x R⁻ᴴ."""
    return mh(solved(r, mh(x), "linalg.qr"))


# ------------------------------------------------------------------------------------------------ singular values
def _differences(squares: Tensor) -> Tensor:
    """E with E[j, k] = squares[k] - squares[j], and 1 on the diagonal."""
    return unsqueeze(squares, -2) - unsqueeze(squares, -1) + eye(squares.shape[-1], dtype=squares.dtype, device=squares.device)


def decomposed(A: Tensor, full=False, anew=False):
    """U, S and Vᵀ of A = U diag(S) Vᵀ, singular values in descending order."""
    what = "The algorithm failed to converge because the input matrix contained non-finite values or is ill-conditioned"
    U, S, Vh = _given_back(A, *_lapack("linalg.svd", lambda a: np.linalg.svd(a, full_matrices=full), what, _array(A)))
    k = S.shape[-1]
    if A.dtype.is_complex:
        return _complex_decomposed(A, U, S, Vh, anew)
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


def _complex_decomposed(A: Tensor, U: Tensor, S: Tensor, Vh: Tensor, anew: bool):
    """The complex factors, recorded. U and V share a node: they have a common phase, on which no loss may depend."""
    m, n, k = *A._spec.shape[-2:], S._spec.shape[-1]
    u, v = narrow(U, -1, 0, k), mh(narrow(Vh, -2, 0, k))
    both = cat([u, v], -2)
    save, phases = (A, both.detach(), S.detach()), Phases("linalg.svd", "singular vectors", not anew)

    def again(node):
        a, uv, s = node.unpack()
        if mode.state.enabled:
            U, s, Vh = decomposed(a, anew=True)
            return U, mh(Vh), s
        return narrow(uv, -2, 0, m), narrow(uv, -2, m, n), s

    def pull(node, g):
        u, v, s = again(node)
        gu, gv = narrow(g, -2, 0, m), narrow(g, -2, m, n)
        of_u, of_v = matmul(mh(u), gu), matmul(mh(v), gv)
        phases.check(imag(diagonal(of_u + of_v, 0, -2, -1)))
        inner = (of_u - mh(of_u)) * unsqueeze(s, -2) + unsqueeze(s, -1) * (of_v - mh(of_v))
        turn = imag(diagonal(of_u, 0, -2, -1)) / s
        inner = _off_diagonal(inner / _differences(s * s)) + diag_embed(_complex_of(zero(turn), turn))
        found = matmul(matmul(u, inner), mh(v))
        if m > k:
            found = found + matmul((gu - matmul(u, of_u)) / unsqueeze(s, -2), mh(v))
        if n > k:
            found = found + matmul(u, mh((gv - matmul(v, of_v)) / unsqueeze(s, -2)))
        return (found,)

    def pull_s(node, g):
        u, v, _s = again(node)
        return (matmul(u * unsqueeze(g, -2), mh(v)),)

    recorded(both, "svd", (A,), pull, save=save)
    left, right = narrow(both, -2, 0, m), mh(narrow(both, -2, m, n))
    if U._spec.shape[-1] > k:
        left = cat([left, narrow(U, -1, k, m - k)], -1)
    if Vh._spec.shape[-2] > k:
        right = cat([right, narrow(Vh, -2, k, n - k)], -2)
    return left, recorded(S, "svd", (A,), pull_s, save=save), right


def _off_diagonal(x: Tensor) -> Tensor:
    return x - diag_embed(diagonal(x, 0, -2, -1))


class Phases:
    """Refuses a loss that depends on the phases of vectors, which are given up to e**(i phi) only.

    Under `create_graph` vectors are computed anew, and the gradient of a second derivative comes in two parts, one through either: only their
    sum does not depend on the phases, and no later part is checked.
    """

    def __init__(self, name: str, vectors: str, checked: bool):
        self.name, self.vectors, self.checked = name, vectors, checked

    def check(self, turned: Tensor) -> None:
        if self.checked and turned._spec.numel and float(turned.detach().abs().amax()) > 1e-2:
            raise RuntimeError(
                f"{self.name}: The {self.vectors} in the complex case are specified up to multiplication by e^{{i phi}}. The specified loss function "
                "depends on this quantity, so it is ill-defined."
            )
        self.checked = self.checked and not mode.state.enabled


# ------------------------------------------------------------------------------------------------ eigenvalues
def symmetric_eigen(A: Tensor, triangle: str, anew=False):
    """The eigenvalues, ascending, and eigenvectors of symmetric matrices, of which one triangle is read."""
    what = "The algorithm failed to converge because the input matrix is ill-conditioned or has too many repeated eigenvalues"
    L, V = _given_back(A, *_lapack("linalg.eigh", lambda a: np.linalg.eigh(a, triangle), what, _array(A)))
    again, save = lambda x: symmetric_eigen(x, triangle, True), (A, L.detach(), V.detach())
    phases = Phases("linalg.eigh", "eigenvectors", not anew)

    def pull_values(node, g):
        _, _, v = _saved(again, node, 2)
        return (matmul(v * unsqueeze(g, -2), mh(v)),)

    def pull_vectors(node, g):
        _, w, v = _saved(again, node, 2)
        inner = matmul(mh(v), g)
        if v.dtype.is_complex:
            phases.check(imag(diagonal(inner, 0, -2, -1)))
        found = matmul(v, matmul(_off_diagonal(inner) / _differences(w), mh(v)))
        return ((found + mh(found)) * 0.5,)

    return recorded(L, "eigh", (A,), pull_values, save=save), recorded(V, "eigh", (A,), pull_vectors, save=save)


def general_eigen(A: Tensor, name: str, anew=False):
    """The eigenvalues and eigenvectors of square matrices, complex."""
    a = _array(A)
    if not np.isfinite(a).all():
        raise RuntimeError(f"{name}: input tensor should not contain infs or NaNs.")
    kind = A.dtype.to_complex()
    values, vectors = (x.astype(kind.numpy) for x in _lapack(name, np.linalg.eig, "The algorithm failed to converge", a))
    A = A.to(kind)  # recorded: the gradient of a real matrix is real
    L, V = _given_back(A, values, vectors)
    again, save = lambda x: general_eigen(x, name, True), (A, L.detach(), V.detach())
    phases = Phases(name, "eigenvectors", not anew)

    def pull_values(node, g):
        _, _, v = _saved(again, node, 2)
        return (solved(mh(v), unsqueeze(g, -1) * mh(v), name),)

    def pull_vectors(node, g):
        _, w, v = _saved(again, node, 2)
        inner = matmul(mh(v), g)
        along = diagonal(inner, 0, -2, -1)
        phases.check(imag(along))
        inner = _off_diagonal((inner - matmul(mh(v), v * unsqueeze(real(along), -2))) / conj(_differences(w)))
        return (solved(mh(v), matmul(inner, mh(v)), name),)

    return recorded(L, "eig", (A,), pull_values, save=save), recorded(V, "eig", (A,), pull_vectors, save=save)

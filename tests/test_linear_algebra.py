"""What samples cannot say of `linalg`: errors, named results, batches, singular and empty matrices, out=, identities of factors."""

import warnings

import numpy as np
import pytest
from compare import equal, outcome
from hypothesis import given
from hypothesis import strategies as st

import numtape as nt
from numtape.autograd import gradcheck, gradgradcheck


def matrix(*shape, seed=0, plus=0.0):
    a = np.random.default_rng([seed, *shape]).standard_normal(shape)
    return a + plus * np.eye(*shape[-2:]) if plus else a


def both(torch, array):
    return nt.from_numpy(array.copy()), torch.from_numpy(array.copy())


ERRORS = {
    "inv singular": lambda m: m.linalg.inv(m.ones(2, 2)), "inv batch": lambda m: m.linalg.inv(m.stack([m.eye(2), m.ones(2, 2)])), "inv not square": lambda m: m.linalg.inv(m.ones(2, 3)), "inv vector": lambda m: m.linalg.inv(m.ones(3)),
    "inv ints": lambda m: m.linalg.inv(m.eye(2, dtype=m.int64)), "solve singular": lambda m: m.linalg.solve(m.zeros(2, 2), m.ones(2)), "solve shapes": lambda m: m.linalg.solve(m.eye(2), m.ones(3, 1)),
    "solve dtypes": lambda m: m.linalg.solve(m.eye(2), m.ones(2, 1, dtype=m.float64)), "det": lambda m: m.det(m.ones(2, 3)), "slogdet": lambda m: m.slogdet(m.ones(3)), "cholesky": lambda m: m.linalg.cholesky(-m.eye(3)),
    "cholesky batch": lambda m: m.linalg.cholesky(m.stack([m.eye(2), -m.eye(2)])), "qr mode": lambda m: m.linalg.qr(m.eye(2), "other"), "qr vector": lambda m: m.linalg.qr(m.ones(3)), "eigh UPLO": lambda m: m.linalg.eigh(m.eye(2), "X"),
    "svd": lambda m: m.linalg.svd(m.ones(3)), "power": lambda m: m.linalg.matrix_power(m.ones(2, 3), 2), "power singular": lambda m: m.linalg.matrix_power(m.ones(2, 2), -1), "exp": lambda m: m.matrix_exp(m.ones(2, 3)),
    "norm": lambda m: m.linalg.norm(m.ones(2, 2, 2), 2), "matrix_norm": lambda m: m.linalg.matrix_norm(m.ones(3)), "matrix_norm ord": lambda m: m.linalg.matrix_norm(m.ones(2, 2), 3), "matrix_norm name": lambda m: m.linalg.matrix_norm(m.ones(2, 2), "other"),
    "norm dims": lambda m: m.linalg.norm(m.ones(2, 2, 2), 2, (0, 1, 2)), "vector_norm ints": lambda m: m.linalg.vector_norm(m.arange(3)), "lstsq": lambda m: m.linalg.lstsq(m.ones(3, 2), m.ones(2, 1)), "lstsq driver": lambda m: m.linalg.lstsq(m.ones(3, 2), m.ones(3, 1), driver="x"),
    "multi_dot": lambda m: m.linalg.multi_dot([m.ones(2, 2)]), "multi_dot dims": lambda m: m.linalg.multi_dot([m.ones(2, 2), m.ones(2, 2, 2), m.ones(2, 2)]), "triangular": lambda m: m.linalg.solve_triangular(m.eye(2), m.ones(3, 1), upper=True),
    "qr r": lambda m: m.linalg.qr(m.eye(2, dtype=m.float64).requires_grad_(), "r")[1].sum().backward(), "qr complete": lambda m: m.linalg.qr(m.ones(3, 2).requires_grad_(), "complete")[1].sum().backward(), "eig nan": lambda m: m.linalg.eig(m.zeros(2, 2) / 0),
    "cross": lambda m: m.linalg.cross(m.ones(2), m.ones(2)), "inv_ex": lambda m: m.linalg.inv_ex(m.ones(2, 2), check_errors=True), "svd nan": lambda m: m.linalg.svd(m.zeros(2, 2) / 0), "vector_norm nothing": lambda m: m.linalg.vector_norm(m.zeros(0), float("inf")),
}  # fmt: skip


@pytest.mark.parametrize("name", ERRORS)
def test_errors(torch, name):
    theirs = outcome(lambda: ERRORS[name](torch))
    assert isinstance(theirs, Exception), f"PyTorch returns {theirs}"
    equal(outcome(lambda: ERRORS[name](nt)), theirs, name)


def test_the_error_of_singular_matrices():
    assert issubclass(nt.linalg.LinAlgError, RuntimeError)
    for call in (nt.linalg.inv, lambda a: nt.linalg.solve(a, nt.ones(2, 2, 1)), nt.linalg.cholesky):
        with pytest.raises(nt.linalg.LinAlgError, match=r"linalg.*Batch element 1"):
            call(nt.stack([nt.eye(2), -nt.ones(2, 2)]))


def test_named_results(torch):
    a = matrix(3, 3, plus=3)
    for name in ("slogdet", "svd", "qr", "eigh", "eig", "inv_ex"):
        mine, theirs = (getattr(m.linalg, name)(x @ x.mT) for m, x in zip((nt, torch), both(torch, a)))
        assert type(mine).__name__ == type(theirs).__name__ and all(hasattr(theirs, f) for f in mine._fields) and len(mine) == len(theirs)
    mine = nt.svd(nt.from_numpy(matrix(4, 3)))
    equal([(mine.U * mine.S) @ mine.V.mT], [torch.from_numpy(matrix(4, 3))])
    assert nt.qr(nt.eye(2)).Q.shape == (2, 2) and nt.slogdet(nt.eye(2)).logabsdet.item() == 0


def test_info_instead_of_errors(torch):
    a = np.stack([np.eye(3), np.ones((3, 3)), np.diag([1.0, -1.0, 2.0])])
    mine, theirs = (m.linalg.cholesky_ex(x) for m, x in zip((nt, torch), both(torch, a)))
    assert mine.info.tolist() == theirs.info.tolist() and mine.info.dtype is nt.int32
    equal([mine.L[0].contiguous()], [theirs.L[0].contiguous()])
    found = nt.linalg.inv_ex(nt.from_numpy(a))
    assert [bool(k) for k in found.info.tolist()] == [False, True, False] and not bool(found.inverse[1].isfinite().any())
    equal([found.inverse[2]], [torch.from_numpy(np.linalg.inv(a[2]))])


def test_ranks_and_conditions(torch):
    rank_one = np.outer(np.arange(1.0, 4), np.arange(1.0, 5))
    for array in (matrix(4, 3), rank_one, np.zeros((2, 3, 3)), matrix(2, 3, 3)):
        x, y = both(torch, array)
        equal([nt.linalg.matrix_rank(x)], [torch.linalg.matrix_rank(y)])
        equal([nt.linalg.matrix_rank(x, rtol=0.5)], [torch.linalg.matrix_rank(y, rtol=0.5)])
    for p in (None, 2, -2, 1, -1, float("inf"), "fro", "nuc"):
        x, y = both(torch, matrix(2, 3, 3, plus=2))
        equal([nt.linalg.cond(x, p)], [torch.linalg.cond(y, p)], tolerance=(1e-9, 1e-9))
    assert nt.linalg.cond(nt.ones(2, 2), 1).item() == float("inf")


def test_products(torch):
    x, y = both(torch, matrix(5, 4, 3))
    for call in (lambda m, t: m.linalg.vecdot(t, t), lambda m, t: m.linalg.vecdot(t, t, dim=0), lambda m, t: m.linalg.cross(t, t.flip(0)), lambda m, t: m.linalg.diagonal(t, offset=1), lambda m, t: m.linalg.vander(t[0], N=4),
                 lambda m, t: m.linalg.multi_dot([t[0, 0], t[0].mT, t[1], t[2, 1]]), lambda m, t: m.linalg.matmul(t, t.mT)):  # fmt: skip
        equal([call(nt, x)], [call(torch, y)], memory=False)


def test_least_squares(torch):
    for shape, k in (((5, 3), 2), ((3, 5), 2), ((2, 4, 3), 1)):
        (a, c), (b, d) = both(torch, matrix(*shape)), both(torch, matrix(*shape[:-1], k))
        for driver in ("gels", "gelsy", "gelsd", "gelss"):
            mine, theirs = nt.linalg.lstsq(a, b, driver=driver), torch.linalg.lstsq(c, d, driver=driver)
            equal(list(mine), list(theirs), f"{shape} {driver}", (1e-9, 1e-9), memory=False)


def test_factors(torch):
    """Full and complete factors multiply to the matrix and are orthogonal."""
    for shape in ((4, 3), (3, 4), (2, 3, 3)):
        x = nt.from_numpy(matrix(*shape))
        U, S, Vh = nt.linalg.svd(x)
        Q, R = nt.linalg.qr(x, "complete")
        k = S.shape[-1]
        for mine in ((U[..., :k] * S.unsqueeze(-2)) @ Vh[..., :k, :], Q @ R):
            equal([mine], [torch.from_numpy(matrix(*shape))], tolerance=(1e-12, 1e-12))
        for o in (U, Vh, Q):
            equal([o @ o.mT], [torch.eye(o.shape[-1], dtype=torch.float64).expand(*o.shape)], tolerance=(1e-12, 1e-12), memory=False)
        equal([nt.linalg.qr(x, "r").R.abs()], [torch.linalg.qr(torch.from_numpy(matrix(*shape)), "r").R.abs()], memory=False)


def test_outside_linalg(torch):
    a = matrix(3, 3, plus=2)
    x, y = both(torch, a @ a.T)
    b, c = both(torch, matrix(3, 2))
    for call in (
        lambda m, t, u: m.inverse(t), lambda m, t, u: t.pinverse(), lambda m, t, u: m.logdet(t), lambda m, t, u: m.logdet(-t), lambda m, t, u: m.cholesky_solve(u, t.cholesky()), lambda m, t, u: m.cholesky_inverse(m.linalg.cholesky(t)),
        lambda m, t, u: m.cholesky_solve(u, m.linalg.cholesky(t, upper=True), upper=True), lambda m, t, u: t.matrix_power(3), lambda m, t, u: m.dist(t, t * 2), lambda m, t, u: m.dist(t, t, 1), lambda m, t, u: t.svd()[1], lambda m, t, u: t.det(),
    ):  # fmt: skip
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # PyTorch's: deprecated
            theirs = [call(torch, y, c)]
        equal([call(nt, x, b)], theirs, tolerance=(1e-9, 1e-9), memory=False)
    solution = nt.triangular_solve(b, x, transpose=True).solution
    equal([solution], [torch.linalg.solve_triangular(y.triu().mT, c, upper=False)], memory=False)


def test_singular_determinants_have_cofactors_as_gradients():
    x = nt.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0], [7.0, 8.0, 9.0]], dtype=nt.float64, requires_grad=True)
    nt.det(x).backward()
    np.testing.assert_allclose(x.grad.numpy(), [[-3, 6, -3], [6, -12, 6], [-3, 6, -3]], atol=1e-9)
    zero = nt.zeros(2, 2, requires_grad=True)
    nt.det(zero).backward()
    assert zero.grad.abs().sum().item() == 0
    exact = nt.tensor([[1.0, 2.0], [2.0, 4.0]], requires_grad=True)
    nt.det(exact).backward()
    np.testing.assert_allclose(exact.grad.numpy(), [[4, -2], [-2, 1]], atol=1e-5)


CHECKED = {
    "pinv tall": (lambda a: nt.linalg.pinv(a), (4, 2)), "pinv wide": (lambda a: nt.linalg.pinv(a), (2, 4)), "lstsq": (lambda a: nt.linalg.lstsq(a, a[:, :1] * 2 + 1).solution, (4, 2)), "exp": (lambda a: nt.linalg.matrix_exp(a * 3), (2, 2)),
    "solve": (lambda a: nt.linalg.solve(a, a[..., :1].sin()), (2, 3, 3)), "qr": (lambda a: nt.linalg.qr(a), (4, 2)), "qr wide": (lambda a: nt.linalg.qr(a), (2, 3)), "svd": (lambda a: [f**2 for f in nt.linalg.svd(a, False)], (3, 2)),
    "svd wide": (lambda a: [f**2 for f in nt.linalg.svd(a, False)], (2, 3)), "cholesky": (lambda a: nt.linalg.cholesky(a @ a.mT + nt.eye(2, dtype=nt.float64)), (2, 2, 2)), "eigh": (lambda a: [f**2 for f in nt.linalg.eigh(a + a.mT)], (3, 3)),
    "slogdet": (lambda a: nt.linalg.slogdet(a).logabsdet, (2, 3, 3)), "det": (lambda a: nt.linalg.det(a), (2, 3, 3)), "inv": (lambda a: nt.linalg.inv(a), (2, 2, 2)), "eig": (lambda a: nt.linalg.eigvals(a @ a.mT @ nt.tensor([[2.0, 0.5], [0.5, 1.0]], dtype=nt.float64)).prod(), (2, 2)),
    "triangular": (lambda a: nt.linalg.solve_triangular(a, a[:, :1], upper=False), (3, 3)), "nuc": (lambda a: nt.linalg.matrix_norm(a, "nuc"), (3, 2)), "cond": (lambda a: nt.linalg.cond(a), (3, 2)), "power": (lambda a: nt.linalg.matrix_power(a, -3), (2, 2)),
}  # fmt: skip


@pytest.mark.parametrize("name", CHECKED)
def test_first_and_second_derivatives(name):
    call, shape = CHECKED[name]
    x = nt.from_numpy(matrix(*shape, seed=3, plus=1.5)).requires_grad_()
    assert gradcheck(call, x) and gradgradcheck(call, x, rtol=1e-2, atol=1e-4)


def test_nothing(torch):
    for call in (lambda m, x: m.linalg.det(x), lambda m, x: m.linalg.inv(x), lambda m, x: m.linalg.solve(x, x), lambda m, x: m.linalg.cholesky(x), lambda m, x: m.linalg.svdvals(x), lambda m, x: m.linalg.eigvalsh(x), lambda m, x: m.matrix_exp(x),
                 lambda m, x: m.linalg.slogdet(x), lambda m, x: m.linalg.pinv(x), lambda m, x: m.linalg.matrix_norm(x), lambda m, x: m.linalg.vector_norm(x), lambda m, x: m.linalg.matrix_rank(x), lambda m, x: m.linalg.qr(x)):  # fmt: skip
        for shape in ((0, 0), (0, 2, 2), (2, 0, 0)):
            equal(outcome(lambda: call(nt, nt.zeros(shape))), outcome(lambda: call(torch, torch.zeros(shape))), memory=False)  # noqa: B023


def test_out():
    a = nt.from_numpy(matrix(3, 3, plus=2))
    out = nt.zeros(3, 3, dtype=nt.float64)
    assert nt.linalg.inv(a, out=out) is out and out.tolist() == nt.linalg.inv(a).tolist()
    Q, R = nt.zeros(0, dtype=nt.float64), nt.zeros(0, dtype=nt.float64)
    found = nt.linalg.qr(a, out=(Q, R))
    assert found.Q is Q and found.R is R
    with pytest.raises(TypeError, match="out"):
        nt.linalg.svd(a, out=Q)


@given(st.integers(1, 5), st.integers(0, 10**6))
def test_solutions_solve(n, seed):
    a, b = nt.from_numpy(matrix(2, n, n, seed=seed, plus=4)), nt.from_numpy(matrix(n, 3, seed=seed))
    np.testing.assert_allclose((a @ nt.linalg.solve(a, b)).numpy(), b.expand(2, n, 3).numpy(), rtol=1e-7, atol=1e-7)
    np.testing.assert_allclose((nt.linalg.inv(a) @ a).numpy(), np.broadcast_to(np.eye(n), (2, n, n)), atol=1e-8)

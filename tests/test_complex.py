"""Complex numbers where the table's samples do not drive them: every op's samples made complex, linear algebra, errors, orders of derivatives."""

import numpy as np
import pytest
from compare import equal, outcome

import numtape as nt
from numtape.autograd import gradcheck, gradgradcheck


def numbers(*shape, seed=0):
    rng = np.random.default_rng([5, seed, *shape])
    return rng.standard_normal(shape) + 1j * rng.standard_normal(shape)


def plain(t):
    return t.detach().numpy(force=True)


def alike(torch, call, arrays, tolerance=1e-9):
    """Values, dtypes and gradients as PyTorch's."""
    found = []
    for m in (nt, torch):
        leaves = [m.from_numpy(a.copy()).requires_grad_() for a in arrays]
        results = call(m, *leaves)
        results = list(results) if isinstance(results, tuple | list) else [results]
        recorded = [r for r in results if r.requires_grad]
        seeds = [np.resize(numbers(97, seed=3), tuple(r.shape)) for r in recorded]
        seeds = [m.from_numpy(np.array(s if r.is_complex() else s.real)) for s, r in zip(seeds, recorded)]
        gradients = m.autograd.grad(recorded, leaves, seeds, allow_unused=True) if recorded else []
        found.append(([plain(r) for r in results], [None if g is None else plain(g) for g in gradients]))
    for mine, theirs in zip(*found):
        assert len(mine) == len(theirs)
        for a, b in zip(mine, theirs):
            assert (a is None) == (b is None)
            if a is not None:
                assert a.dtype == b.dtype and a.shape == b.shape
                np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


def hermitian(A):
    return A @ A.mH


A, B, TALL, WIDE, BATCH = numbers(4, 4), numbers(4, 2), numbers(5, 3), numbers(3, 5), numbers(2, 3, 3)
LINALG = {
    "inv": (lambda m, a: m.linalg.inv(a), (A,)),
    "inv batch": (lambda m, a: m.linalg.inv(a), (BATCH,)),
    "det": (lambda m, a: m.linalg.det(a), (BATCH,)),
    "det singular": (lambda m, a: m.linalg.det(a * m.tensor([1.0, 1, 0, 1])), (A,)),
    "slogdet": (lambda m, a: tuple(m.linalg.slogdet(a)), (BATCH,)),
    "logdet": (lambda m, a: m.logdet(a), (A,)),
    "solve": (lambda m, a, b: m.linalg.solve(a, b), (A, B)),
    "solve right": (lambda m, a, b: m.linalg.solve(a, b.mT, left=False), (A, B)),
    "solve_triangular": (lambda m, a, b: m.linalg.solve_triangular(a, b, upper=True), (A, B)),
    "pinv": (lambda m, a: m.linalg.pinv(a), (TALL,)),
    "pinv wide": (lambda m, a: m.linalg.pinv(a), (WIDE,)),
    "lstsq": (lambda m, a, b: m.linalg.lstsq(a, b).solution, (TALL, numbers(5, 2))),
    "lstsq residuals": (lambda m, a, b: m.linalg.lstsq(a.detach(), b.detach(), driver="gelsd")[1:3], (TALL, numbers(5, 2))),
    "cholesky": (lambda m, a: m.linalg.cholesky(hermitian(a)), (A,)),
    "cholesky upper": (lambda m, a: m.linalg.cholesky(hermitian(a), upper=True), (BATCH,)),
    "cholesky_solve": (lambda m, a, b: m.cholesky_solve(b, m.linalg.cholesky(hermitian(a))), (A, B)),
    "qr": (lambda m, a: tuple(m.linalg.qr(a)), (TALL,)),
    "qr square": (lambda m, a: tuple(m.linalg.qr(a)), (A,)),
    "qr wide": (lambda m, a: tuple(m.linalg.qr(a)), (WIDE,)),
    "svdvals": (lambda m, a: m.linalg.svdvals(a), (TALL,)),
    "svd product": (lambda m, a: (lambda U, S, Vh: U[:, :2] @ Vh[:2] + U[:, 1:2] @ U[:, 1:2].mH @ Vh[1:2].mH @ Vh[1:2])(*m.linalg.svd(a)), (A,)),
    "svd tall": (lambda m, a: (lambda U, S, Vh: ((U * S) @ Vh, U.abs(), Vh[:2].mH @ Vh[:2]))(*m.linalg.svd(a, full_matrices=False)), (TALL,)),
    "svd wide": (lambda m, a: (lambda U, S, Vh: (S, U.abs(), U[:, :2] @ Vh[:2]))(*m.linalg.svd(a)), (WIDE,)),
    "eigh": (lambda m, a: (lambda L, V: (L, V.abs(), (V * L) @ V.mH))(*m.linalg.eigh(a)), (A,)),
    "eigvalsh": (lambda m, a: m.linalg.eigvalsh(a, UPLO="U"), (BATCH,)),
    "eig": (lambda m, a: (lambda L, V: ((V * L) @ m.linalg.inv(V), V.abs() * V.abs().argmax(0).sum()))(*m.linalg.eig(a)), (A,)),
    "eig of real": (lambda m, a: (lambda L, V: ((V * L**2) @ m.linalg.inv(V), V.abs()))(*m.linalg.eig(a)), (A.real.copy(),)),
    "eigvals": (lambda m, a: m.stack([m.linalg.eigvals(a).sum(), (m.linalg.eigvals(a) ** 3).sum()]), (A,)),
    "matrix_power": (lambda m, a: m.linalg.matrix_power(a, -3), (A,)),
    "matrix_exp": (lambda m, a: m.linalg.matrix_exp(a), (A,)),
    "multi_dot": (lambda m, a, b, c: m.linalg.multi_dot([a, b, c]), (A, B, numbers(2, 3))),
    "cross": (lambda m, a, b: m.linalg.cross(a, b), (BATCH, numbers(2, 3, 3, seed=1))),
    "vecdot": (lambda m, a, b: m.linalg.vecdot(a, b), (A, numbers(4, 4, seed=1))),
    "norm nuc": (lambda m, a: m.linalg.norm(a, "nuc"), (TALL,)),
    "norms": (lambda m, a: tuple(m.linalg.norm(a, p) for p in ("fro", 2, -2, 1, float("inf"))), (TALL,)),
    "vector norms": (lambda m, a: tuple(m.linalg.vector_norm(a, p, 0) for p in (2, 1, 3, 0, float("inf"), -1)), (TALL,)),
    "cond": (lambda m, a: (m.linalg.cond(a), m.linalg.cond(a.detach(), 1)), (A,)),
    "matrix_rank": (lambda m, a: m.linalg.matrix_rank(a @ a.mH), (TALL,)),
    "vander": (lambda m, a: m.linalg.vander(a), (numbers(4),)),
}


@pytest.mark.parametrize("name", LINALG)
def test_linalg(torch, name):
    alike(torch, *LINALG[name])


SECOND = {
    "elementwise": (lambda z: (z.exp() * z.sin() / (1 + z.abs()), z.sgn() * z.angle(), z.sqrt().log()), (numbers(3),)),
    "powers": (lambda z, w: z**w, (numbers(1), numbers(1, seed=1))),
    "reductions": (lambda z: (z.prod(0), z.std(0), z.norm(), z.logsumexp(1), z.mean(), (z.cumprod(1) + z.cumsum(0)).logcumsumexp(0)), (numbers(2, 3),)),
    "products": (lambda a, b: (a @ b, nt.vdot(a[0], b[:, 0]), nt.einsum("ij,jk->k", a, b), a.mH @ a), (numbers(2, 3), numbers(3, 2))),
    "conv": (lambda x, w: nt.conv_transpose1d(nt.conv1d(x, w, padding=1, groups=2), w, groups=2), (numbers(1, 2, 3), numbers(2, 1, 2))),
    "inv": (lambda a: (nt.linalg.inv(a), nt.linalg.det(a), nt.linalg.slogdet(a)[0]), (numbers(2, 2),)),
    "cholesky": (lambda a: nt.linalg.cholesky(hermitian(a)), (numbers(2, 2),)),
    "qr": (lambda a: tuple(nt.linalg.qr(a)), (numbers(3, 2),)),
    "svd": (lambda a: (lambda U, S, Vh: (S, U.abs(), U[:, :1] @ Vh[:1]))(*nt.linalg.svd(a, False)), (numbers(3, 2),)),
    "eigh": (lambda a: (lambda L, V: (L, V.abs()))(*nt.linalg.eigh(hermitian(a))), (numbers(2, 2),)),
    "eig": (lambda a: (lambda L, V: (L, V.abs()))(*nt.linalg.eig(a)), (numbers(2, 2),)),
    "pinv": (lambda a: nt.linalg.pinv(a), (numbers(3, 2),)),
}


@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.thorough) if n in ("powers", "reductions", "elementwise", "products") else n for n in SECOND])
def test_orders_of_derivatives(name):
    call, arrays = SECOND[name]
    leaves = [nt.from_numpy(a.copy()).requires_grad_() for a in arrays]
    assert gradcheck(call, leaves)
    assert gradgradcheck(call, leaves)


def test_losses_must_not_depend_on_phases():
    a = nt.from_numpy(A.copy()).requires_grad_()
    for vectors in (nt.linalg.svd(a)[0], nt.linalg.eigh(a)[1], nt.linalg.eig(a)[1]):
        with pytest.raises(RuntimeError, match="up to multiplication by"):
            vectors.real.sum().backward()


CALLS = {
    "fill_": lambda m, x, z: x.fill_(1j),
    "full": lambda m, x, z: m.full((2,), 1j),
    "masked_fill real": lambda m, x, z: x.masked_fill(x > 0, 1j),
    "masked_fill": lambda m, x, z: z.masked_fill(x > 0, 2j),
    "index_fill real": lambda m, x, z: x.index_fill(0, m.tensor([0]), m.tensor(1j)),
    "index_fill": lambda m, x, z: z.index_fill(0, m.tensor([0]), 1j),
    "assigned": lambda m, x, z: z.__setitem__(0, 1j) or z,
    "assigned at places": lambda m, x, z: z.__setitem__(m.tensor([0, 1]), 1j) or z,
    "assigned to real": lambda m, x, z: x.__setitem__(0, 1j) or x,
    "real part": lambda m, x, z: setattr(z, "real", x) or z,
    "imaginary part": lambda m, x, z: setattr(z, "imag", x) or z,
    "imag of real": lambda m, x, z: x.imag,
    "added to real": lambda m, x, z: x.add_(1j),
    "as float": lambda m, x, z: float(z[0, 0]),
    "nan_to_num": lambda m, x, z: m.nan_to_num(z / 0),
    "order": lambda m, x, z: z < z,
    "max": lambda m, x, z: z.max(),
    "argmax": lambda m, x, z: z.argmax(),
    "sort": lambda m, x, z: z.sort(),
    "topk": lambda m, x, z: z.topk(1),
    "clamp": lambda m, x, z: z.clamp(0, 1),
    "floor": lambda m, x, z: z.floor(),
    "remainder": lambda m, x, z: z % 2,
    "relu": lambda m, x, z: m.relu(z),
    "softmax": lambda m, x, z: m.softmax(z, 0),
    "logit": lambda m, x, z: m.logit(z),
    "abs_": lambda m, x, z: z.abs_(),
    "out of a lower kind": lambda m, x, z: m.exp(z, out=m.empty((2, 2))),
    "mixed product": lambda m, x, z: z @ x,
    "H": lambda m, x, z: (z.H @ z.mH).resolve_conj(),
    "vdot": lambda m, x, z: m.vdot(z[0], z[1]),
    "linspace": lambda m, x, z: m.linspace(0, 1j, 3),
    "mse_loss": lambda m, x, z: m.nn.functional.mse_loss(z, z),
    "view": lambda m, x, z: z.view(m.float32),
    "equal": lambda m, x, z: m.tensor([m.equal(z, z), m.allclose(z, z + 1e-9j), m.allclose(z, z + 1e-2j)]),
    "count": lambda m, x, z: (z * m.tensor([1, 0])).count_nonzero(),
    "scaled": lambda m, x, z: m.addmm(z, z, z, alpha=2j, beta=1j),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", CALLS)
def test_as_pytorch(torch, name):
    x = np.array([[1.5, -2.25], [-0.5, 3.0]], np.float32)
    z = (x + 1j * np.array([[0.5, 2.0], [-1.25, 0.75]])).astype(np.complex64)
    found = [outcome(lambda m=m: CALLS[name](m, m.from_numpy(x.copy()), m.from_numpy(z.copy()))) for m in (nt, torch)]
    if isinstance(found[1], Exception):
        assert isinstance(found[0], Exception), f"PyTorch raises {found[1]!r}"
        return
    equal(*found, name, (1e-5, 1e-5), memory=False)


def test_infinities_in_products_stay_apart():
    inf = float("inf")
    a, b = nt.tensor([[1 + 0j, 2]]), nt.tensor([[complex(inf, 0)], [1]])
    assert (a @ b).real.item() == inf


def test_large_products_are_those_of_their_parts():
    for m, k, n in ((70, 90, 60), (3, 200, 150), (150, 200, 1)):
        a, b = numbers(m, k), numbers(k, n)
        for x, y in ((nt.from_numpy(a), nt.from_numpy(b)), (nt.from_numpy(a.T.copy()).T, nt.from_numpy(b.T.copy()).T)):
            np.testing.assert_allclose((x @ y).numpy(), a @ b, rtol=1e-12, atol=1e-12)
    halves = nt.from_numpy(numbers(2, 30, 40).astype(np.complex64))
    np.testing.assert_allclose((halves @ halves.mH).numpy(), halves.numpy() @ halves.numpy().conj().swapaxes(1, 2), rtol=1e-4, atol=1e-4)


def test_printing(torch):
    for scale in (1, 1e6, 1e-6):
        for array in (numbers(2, 3) * scale, np.rint(numbers(7) * 5).astype(np.complex64), np.array([complex(np.nan, 1), complex(0, -np.inf)]), numbers(1200)):
            assert repr(nt.from_numpy(array)).replace("numtape.", "torch.") == repr(torch.from_numpy(array))


def test_results_made_of_real_ones_may_be_written_to(torch):
    def call(m, a, b):
        y, x = a @ b, m.nn.functional.conv1d(a, b[:2, :, None])
        y.mul_(a)
        x.add_(1)
        return y.exp(), x * x

    alike(torch, call, (A, numbers(4, 4, seed=1)))


def test_functions_transforms_and_optimizers(torch):
    found = []
    for m in (nt, torch):

        class Square(m.autograd.Function):
            @staticmethod
            def forward(ctx, x):
                ctx.save_for_backward(x)
                return x * x

            @staticmethod
            def backward(ctx, g):
                return g * 2 * ctx.saved_tensors[0].conj()

        z = m.from_numpy(A[0].copy())
        found.append([plain(m.func.grad(lambda u, f=Square: f.apply(u * 1).abs().sum())(z)) if m is nt else plain(m.func.grad(lambda u: (u * u).abs().sum())(z))])
        for kind in (m.optim.SGD, m.optim.Adam):
            p = m.nn.Parameter(z.clone())
            step = kind([p], lr=0.1, **({"momentum": 0.9} if kind is m.optim.SGD else {}))
            for _ in range(3):
                step.zero_grad()
                (p.abs() ** 2).sum().backward()
                step.step()
            found[-1].append(plain(p))
    for mine, theirs in zip(*found):
        np.testing.assert_allclose(mine, theirs, rtol=1e-9, atol=1e-9)


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
@pytest.mark.parametrize("name", ["abs", "angle", "sgn", "acosh"])
def test_tangents_and_gradients_of_what_is_not_holomorphic(torch, name):
    a, t = np.array([1 + 2j, -3 + 0.5j, 0.3 - 1j]), np.array([0.5j, 1 - 1j, 2])
    found = []
    for m in (nt, torch):
        x, tangent = m.from_numpy(a.copy()), m.from_numpy(t.copy())
        moved = m.func.jvp(lambda z, m=m: getattr(m, name)(z), (x,), (tangent,))[1]
        x.requires_grad_()
        getattr(m, name)(x).real.sum().backward()
        found.append((moved.detach().numpy(), x.grad.numpy()))
    for mine, theirs in zip(*found):
        assert mine.dtype == theirs.dtype
        np.testing.assert_allclose(mine, theirs, rtol=1e-10, atol=1e-12)


def test_refusals_of_complex_losses_and_lu():
    with pytest.raises(RuntimeError, match="real scalar outputs"):
        nt.ones(1, dtype=nt.complex64, requires_grad=True).sum().backward()
    with pytest.raises(NotImplementedError, match="lu"):
        nt.linalg.lu(nt.eye(2, dtype=nt.complex128))

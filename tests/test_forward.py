"""Forward mode: every op's tangents against its gradients, `autograd.forward_ad` and what is built on it against PyTorch."""

import numpy as np
import pytest
from compare import listed
from samples import data, samples_of
from test_ops_grad import FINITE

import numtape as nt

pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning", "ignore:Attempted to insert")  # PyTorch's own


def pushed_and_pulled(sample):
    """<u, J v> by forward mode and <J' u, v> by reverse mode, for the results u of a sample that are differentiable."""
    tensors = sample.tensors(nt, "float64", None)
    places = [i for i, t in enumerate(tensors) if t.is_floating_point()]
    given = [tensors[i] for i in places]
    if not given:
        return 0, 0

    def call(*values):
        for i, t in zip(places, values):
            tensors[i] = t * 1
        return tuple(r for r in listed(sample.call(nt, *tensors)) if r.is_floating_point())

    tangents = [nt.from_numpy(np.resize(data(97, seed=5 + k), tuple(t.shape))) for k, t in enumerate(given)]
    nt.manual_seed(0)
    outputs, moved = nt.func.jvp(call, tuple(given), tuple(tangents))
    nt.manual_seed(0)
    again, pull = nt.func.vjp(call, *given)
    seeds = tuple(nt.from_numpy(np.resize(data(89, seed=3), tuple(o.shape))) for o in again)
    gradients = pull(*seeds) if len(seeds) > 1 else pull(seeds[0] if isinstance(again, tuple) and not isinstance(again, nt.Tensor) and len(again) > 1 else seeds)
    assert all(a.shape == m.shape for a, m in zip(outputs, moved))
    forwards = sum((u * m.to(nt.float64)).sum().item() for u, m in zip(seeds, moved))
    backwards = sum((g * v).sum().item() for g, v in zip(gradients, tangents))
    return forwards, backwards


def check(name):
    for sample in samples_of(name):
        forwards, backwards = pushed_and_pulled(sample)
        assert forwards == pytest.approx(backwards, rel=1e-6, abs=1e-9, nan_ok=True) or np.isnan(backwards), str(sample)


SOME = ["mul", "exp", "softmax", "matmul", "sum", "mean", "var", "cat", "gather", "sort", "cumsum", "conv2d", "layer_norm", "index_select", "where", "prod"]


@pytest.mark.parametrize("name", [n for n in SOME if n in FINITE])
def test_tangents_agree_with_gradients(name):
    check(name)


@pytest.mark.thorough
@pytest.mark.parametrize("name", [n for n in FINITE if n not in SOME])
def test_tangents_of_every_op(name):
    check(name)


# ------------------------------------------------------------------------------------------------ autograd.forward_ad
@pytest.fixture(params=["numtape", "torch"])
def m(request):
    return nt if request.param == "numtape" else request.getfixturevalue("torch")


def forward_ad(m):
    import importlib

    return importlib.import_module(f"{m.__name__}.autograd.forward_ad")


def test_dual_tensors(m):
    F = forward_ad(m)
    x, v = m.tensor([1.0, 2.0, 4.0]), m.tensor([1.0, 0.0, 2.0])

    def tangent(t):
        found = F.unpack_dual(t).tangent
        return None if found is None else [round(a, 3) for a in found.flatten().tolist()]

    with F.dual_level():
        d = F.make_dual(x, v.clone())
        assert tangent(d) == [1, 0, 2] and tangent(x) is None and tangent(d.detach()) is None and tangent(m.ones(3)) is None
        assert F.unpack_dual(d).primal.tolist() == [1, 2, 4] and not F.unpack_dual(d).primal.requires_grad and not F.unpack_dual(d * d).tangent.requires_grad
        assert tangent(d * d + x) == [2, 0, 16] and tangent(d[::2].view(2, 1).sum()) == [3] and tangent((d * 2 > 3).float()) is None
        assert tangent(m.stack([d, x]).t()) == [1, 0, 0, 0, 2, 0]
        values, places = (d * m.tensor([1.0, -1.0, 1.0])).sort()
        assert tangent(values) == [0, 1, 2] and tangent(places) is None
        with m.no_grad():  # is about reverse mode
            assert not m.is_grad_enabled() and tangent(d * 3) == [3, 0, 6] and not F.unpack_dual(d * 3).tangent.requires_grad
        # in place: on what others were computed from, on views, into plain tensors
        z = d * 1
        w = z * z
        z.mul_(2)
        assert tangent(w) == [2, 0, 16] and tangent(z) == [2, 0, 4]
        z[1:].add_(d[:2])
        assert tangent(z) == [2, 1, 4]
        y = m.zeros(3)
        y[0] = d[2]
        assert tangent(y) == [2, 0, 0] and tangent(y.copy_(x)) in (None, [0, 0, 0])
        d.mul_(3)
        assert x.tolist() == [3, 6, 12] and tangent(d) == [3, 0, 6] and tangent(x) is None
    assert tangent(d) is None
    with m.no_grad(), F.dual_level():
        assert tangent(F.make_dual(x, v) * 2) == [2, 0, 4]
    assert m.is_grad_enabled()


def test_dual_tensors_and_reverse_mode(m):
    F = forward_ad(m)
    w, v = m.tensor([1.0, 2.0], requires_grad=True), m.tensor([1.0, 3.0])
    with F.dual_level():
        d = F.make_dual(w, v)
        found = F.unpack_dual(d**3)
        assert found.primal.requires_grad and found.tangent.tolist() == [3, 36]
        assert m.autograd.grad(found.tangent.sum(), w)[0].tolist() == [6, 36]
        assert m.autograd.grad(found.primal.sum(), w)[0].tolist() == [3, 12]
        (g,) = m.autograd.grad((d**3).sum(), w)  # the gradient moves, too
        assert F.unpack_dual(g).tangent.tolist() == [6, 36]
        u = w * 1
        assert F.unpack_dual(F.make_dual(u, v * w) ** 2).tangent.tolist() == [2, 24]


def test_errors_of_forward_mode(m):
    F = forward_ad(m)
    x = m.ones(3)
    with pytest.raises(RuntimeError, match="no level"):
        F.make_dual(x, x)
    with pytest.raises(RuntimeError):
        F.exit_dual_level()
    with F.dual_level():
        with pytest.raises(RuntimeError, match="different size"):
            F.make_dual(x, m.ones(2))
        with pytest.raises(RuntimeError, match="already has a forward gradient"):
            F.make_dual(F.make_dual(x, x), x)
        with pytest.raises(ValueError, match="primal to be floating"):
            F.make_dual(m.arange(3), x)
        with pytest.raises(ValueError, match="tangent to be floating"):
            F.make_dual(x, m.arange(3))
        with pytest.raises(RuntimeError, match="Nested"):
            F.enter_dual_level()
        with pytest.raises(RuntimeError, match="view of a leaf"):
            F.make_dual(m.ones(3, requires_grad=True), x).mul_(2)
    level = F.enter_dual_level()
    with pytest.raises(RuntimeError, match="not the last one"):
        F.exit_dual_level(level=5)
    F.exit_dual_level(level=level)


def test_forward_mode_of_a_function(m):
    F = forward_ad(m)

    class Scale(m.autograd.Function):
        @staticmethod
        def forward(x, w, factor):
            return x * w * factor, x + 1

        @staticmethod
        def setup_context(ctx, inputs, outputs):
            x, w, ctx.factor = inputs
            ctx.save_for_backward(x, w)
            ctx.save_for_forward(x, w)

        @staticmethod
        def backward(ctx, g, h):
            x, w = ctx.saved_tensors
            return g * w * ctx.factor + h, g * x * ctx.factor, None

        @staticmethod
        def jvp(ctx, x_t, w_t, nothing):
            assert nothing is None
            x, w = ctx.saved_tensors
            return (x_t * w + x * w_t) * ctx.factor, x_t

    x, w, v = (m.tensor(values) for values in ([1.0, 2.0], [3.0, 4.0], [1.0, 10.0]))
    with F.dual_level():
        first, second = Scale.apply(F.make_dual(x, v), w, 2)
        assert F.unpack_dual(first).tangent.tolist() == [6, 80] and F.unpack_dual(second).tangent.tolist() == [1, 10]
        first, second = Scale.apply(x, F.make_dual(w, v), 2)
        assert F.unpack_dual(first).tangent.tolist() == [2, 40] and F.unpack_dual(second).tangent.tolist() == [0, 0]


def test_forward_mode_of_a_function_without_jvp():
    """By the derivative of its backward, where PyTorch gives up."""

    class Cube(nt.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x**3, x * 2

        @staticmethod
        def vjp(ctx, g, h):
            return 3 * ctx.saved_tensors[0] ** 2 * g + 2 * h

    (out, _), moved = nt.func.jvp(Cube.apply, (nt.tensor([2.0]),), (nt.tensor([1.5]),))
    assert out.item() == 8 and moved[0].item() == 18 and moved[1].item() == 3
    x = nt.tensor(2.0)
    assert nt.func.jacfwd(nt.func.jacfwd(lambda x: Cube.apply(x)[0]))(x).item() == 12


def test_once_differentiable(m):
    class Square(m.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        @m.autograd.function.once_differentiable
        def backward(ctx, g):
            assert not m.is_grad_enabled()
            return g * 2 * ctx.saved_tensors[0]

    x = m.tensor([3.0], requires_grad=True)
    assert m.autograd.grad(Square.apply(x), x)[0].item() == 6
    g = m.autograd.grad(Square.apply(x), x, create_graph=True)[0]
    y = m.autograd.grad(Square.apply(x * 1) * x, x, m.ones(1, requires_grad=True), create_graph=True)[0]
    with pytest.raises(RuntimeError, match="once_differentiable|does not require grad"):
        m.autograd.grad(g, x)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        y.backward()
    with pytest.raises(TypeError, match="save_for_backward can only save variables"):

        class Wrong(m.autograd.Function):
            @staticmethod
            def forward(ctx, x):
                ctx.save_for_backward(3)
                return x * 1

        Wrong.apply(x)


def test_functional_derivatives_of_higher_order(torch):
    """Forward over reverse, reverse over forward, forward over forward."""
    a, b = data(3, 3), data(3, seed=1)

    def all_of(m):
        A, x = m.from_numpy(a), m.from_numpy(b)
        f = lambda x: ((A @ x.softmax(0)).tanh() * x.exp()).sum()
        g = lambda x: (A @ x).sin() / (1 + x * x)
        F = m.func
        return [
            F.jacfwd(F.jacrev(f))(x), F.jacrev(F.jacfwd(f))(x), F.jacfwd(F.jacfwd(f))(x), F.hessian(f)(x), F.jacfwd(F.jacfwd(F.jacrev(f)))(x), F.jacfwd(g)(x),
            F.jvp(lambda x: F.jvp(g, (x,), (x * 2,))[1], (x,), (x,))[1], F.grad(lambda x: F.jvp(f, (x,), (x.sin(),))[1])(x), F.linearize(g, x)[1](x),
        ]  # fmt: skip

    for i, (mine, theirs) in enumerate(zip(all_of(nt), all_of(torch))):
        np.testing.assert_allclose(mine.numpy(), theirs.numpy(), rtol=1e-9, atol=1e-11, err_msg=str(i))


def test_gradcheck_of_forward_mode():
    x, w = (nt.from_numpy(data(3, 3, seed=k)).requires_grad_() for k in (0, 1))
    assert nt.autograd.gradcheck(lambda x, w: ((x @ w).softmax(1), x.sort(1)[0].cumsum(0)), (x, w), check_forward_ad=True, fast_mode=True)

    class Wrong(nt.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, g):
            return g * 2

        @staticmethod
        def jvp(ctx, t):
            return t * 3

    assert nt.autograd.gradcheck(Wrong.apply, (x,))
    with pytest.raises(RuntimeError, match="Jacobian mismatch"):
        nt.autograd.gradcheck(Wrong.apply, (x,), check_forward_ad=True)

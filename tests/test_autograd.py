"""The tape: backward and grad with all their options, hooks, modes, in-place checks, functions of one's own, long chains."""

import gc
import weakref

import numpy as np
import pytest
from compare import equal

import numtape as nt


@pytest.fixture(params=["numtape", "torch"])
def m(request):
    """Each library in turn: what a test says of one holds for the other."""
    return nt if request.param == "numtape" else pytest.importorskip("torch", reason="PyTorch is the reference of this test")


# ------------------------------------------------------------------------------------------------ backward and grad
def test_backward_adds_up(m):
    x = m.tensor([1.0, 2.0], requires_grad=True)
    (x * x).sum().backward()
    assert x.grad.tolist() == [2, 4]
    (3 * x).sum().backward()
    assert x.grad.tolist() == [5, 7]
    x.grad = None
    (x * x).backward(m.tensor([1.0, 10.0]))
    assert x.grad.tolist() == [2, 40]


def test_gradient_must_fit(m):
    x = m.ones(3, requires_grad=True)
    with pytest.raises(RuntimeError, match="implicitly created only for scalar outputs"):
        (x * 2).backward()
    with pytest.raises(RuntimeError, match="Mismatch in shape"):
        (x * 2).backward(m.ones(2))
    with pytest.raises(RuntimeError, match="does not require grad"):
        m.ones(1).backward()
    with pytest.raises((RuntimeError, TypeError)):
        x.grad = m.ones(2)


def test_retain_graph(m):
    x = m.tensor(2.0, requires_grad=True)
    y = x * x
    y.backward(retain_graph=True)
    y.backward()
    assert x.grad.item() == 8
    with pytest.raises(RuntimeError, match="second time"):
        y.backward()
    z = x + 1  # saves nothing, so nothing was freed
    z.backward()
    z.backward()


def test_inputs(m):
    x, y = m.tensor(2.0, requires_grad=True), m.tensor(3.0, requires_grad=True)
    (x * y).backward(inputs=[x])
    assert x.grad.item() == 3 and y.grad is None
    z = x * y
    (z * z).backward(inputs=z)
    assert z.grad.item() == 12 and y.grad is None
    with pytest.raises(RuntimeError, match="cannot be empty"):
        (x * y).backward(inputs=[])


def test_create_graph(m):
    x = m.tensor(2.0, requires_grad=True)
    (g,) = m.autograd.grad(x**3, x, create_graph=True)
    (h,) = m.autograd.grad(g, x, create_graph=True)
    (k,) = m.autograd.grad(h, x)
    assert (g.item(), h.item(), k.item()) == (12, 12, 6) and not k.requires_grad


def test_grad_and_unused_inputs(m):
    x, y = m.ones(2, requires_grad=True), m.ones(3, requires_grad=True)
    out = (x * 2).sum()
    with pytest.raises(RuntimeError, match="appears to not have been used"):
        m.autograd.grad(out, [x, y])
    out = (x * 2).sum()
    g, unused = m.autograd.grad(out, [x, y], allow_unused=True)
    assert g.tolist() == [2, 2] and unused is None
    out = (x * 2).sum()
    _, zeros = m.autograd.grad(out, [x, y], materialize_grads=True)
    assert zeros.tolist() == [0, 0, 0]
    assert x.grad is None and y.grad is None
    with pytest.raises(RuntimeError):
        m.autograd.grad(out, m.ones(2))


def test_grad_of_several_outputs(m):
    x = m.tensor([1.0, 2.0], requires_grad=True)
    (g,) = m.autograd.grad([x * 2, x.exp() * 0 + x * x], x, [m.tensor([1.0, 1.0]), m.tensor([1.0, 3.0])])
    assert g.tolist() == [4, 14]
    y = x * 2
    (gy,) = m.autograd.grad(y.sum(), y)
    assert gy.tolist() == [1, 1]


def test_gradient_of_oneself(m):
    x = m.tensor(2.0, requires_grad=True)
    x.backward()
    assert x.grad.item() == 1
    assert m.autograd.grad(x, x)[0].item() == 1


def test_autograd_backward_of_several(m):
    x = m.ones(2, requires_grad=True)
    m.autograd.backward([(x * 2).sum(), x * 3], [None, m.tensor([1.0, 2.0])])
    assert x.grad.tolist() == [5, 8]


def test_a_value_used_twice(m):
    x = m.tensor([1.0, 2.0], requires_grad=True)
    y = x * 2
    (y * y + y + x).sum().backward()
    assert x.grad.tolist() == [11, 19]


def test_the_users_gradient_stays_his(m):
    x, g = m.ones(2, requires_grad=True), m.ones(2)
    y = x + 0
    (y + y).backward(g)
    (x + 0).backward(g)
    (x + 0).backward(g)
    assert g.tolist() == [1, 1] and x.grad.tolist() == [4, 4]


def test_grad_is_not_shared_between_leaves(m):
    x, y = m.ones(2, requires_grad=True), m.ones(2, requires_grad=True)
    (x + y).sum().backward()
    x.grad.add_(1)
    assert y.grad.tolist() == [1, 1]


# ------------------------------------------------------------------------------------------------ what tensors say
def test_leaves_and_grad_fn(m):
    x = m.ones(2, requires_grad=True)
    y = x * 2
    assert x.is_leaf and x.grad_fn is None and not y.is_leaf and y.grad_fn is not None and y.requires_grad
    assert m.ones(2).is_leaf and (m.ones(2) * 2).is_leaf
    assert not y.detach().requires_grad and y.detach().is_leaf
    assert not (x > 0).requires_grad and not x.argmax().requires_grad
    with pytest.raises(RuntimeError, match="leaf variables"):
        y.requires_grad = False
    with pytest.raises(RuntimeError, match="floating point"):
        m.ones(2, dtype=m.int64).requires_grad_()
    assert (x * m.ones(2)).grad_fn.next_functions[1][0] is None
    y.detach_()
    assert y.is_leaf and not y.requires_grad


def test_detach_shares_memory_and_cuts(m):
    x = m.ones(2, requires_grad=True)
    y = (x * 2).detach()
    (y * x).sum().backward()
    assert x.grad.tolist() == [2, 2]


def test_numpy_of_what_requires_grad(m):
    x = m.ones(2, requires_grad=True)
    with pytest.raises(RuntimeError, match="detach"):
        x.numpy()
    assert x.detach().numpy().tolist() == [1, 1]


# ------------------------------------------------------------------------------------------------ modes
def test_modes(m):
    x = m.ones(2, requires_grad=True)
    with m.no_grad():
        assert not m.is_grad_enabled() and not (x * 2).requires_grad
        with m.enable_grad():
            assert (x * 2).requires_grad
        assert not m.is_grad_enabled()
    assert m.is_grad_enabled()
    with m.set_grad_enabled(False):
        assert not (x * 2).requires_grad
    assert m.is_grad_enabled()
    m.set_grad_enabled(False)
    assert not (x * 2).requires_grad
    m.set_grad_enabled(True)
    with m.inference_mode():
        assert not (x * 2).requires_grad
    with pytest.raises(ZeroDivisionError), m.no_grad():
        raise ZeroDivisionError
    assert m.is_grad_enabled()


def test_modes_as_decorators(m):
    x = m.ones(2, requires_grad=True)

    @m.no_grad()
    def off():
        return (x * 2).requires_grad

    @m.enable_grad()
    def on():
        return (x * 2).requires_grad

    @m.set_grad_enabled(False)
    def set_off():
        return (x * 2).requires_grad

    assert not off() and not set_off() and m.is_grad_enabled()
    with m.no_grad():
        assert on()
        assert not m.is_grad_enabled()


# ------------------------------------------------------------------------------------------------ hooks
def test_tensor_hooks(m):
    x = m.tensor([1.0, 2.0], requires_grad=True)
    y = x * 2
    seen = []
    handle = x.register_hook(lambda g: seen.append(g.tolist()))
    y.register_hook(lambda g: g * 10)
    y.sum().backward(retain_graph=True)
    assert seen == [[20, 20]] and x.grad.tolist() == [20, 20]
    handle.remove()
    y.sum().backward()
    assert len(seen) == 1 and x.grad.tolist() == [40, 40]
    with pytest.raises(RuntimeError):
        m.ones(1).register_hook(print)


def test_retain_grad(m):
    x = m.tensor([1.0, 2.0], requires_grad=True)
    y = x * 2
    y.retain_grad()
    assert y.retains_grad and not x.retains_grad
    (y * y).sum().backward()
    assert y.grad.tolist() == [4, 8] and x.grad.tolist() == [8, 16]
    with pytest.raises(RuntimeError):
        m.ones(1).retain_grad()


def test_post_accumulate_hook(m):
    x = m.ones(2, requires_grad=True)
    seen = []
    handle = x.register_post_accumulate_grad_hook(lambda t: seen.append(t.grad.tolist()))
    (x * 3).sum().backward()
    handle.remove()
    (x * 3).sum().backward()
    assert seen == [[3, 3]]


# ------------------------------------------------------------------------------------------------ in place
def test_overwritten_value_is_noticed(m):
    x = m.ones(3, requires_grad=True)
    y = x * 1
    z = y * y
    y.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        z.sum().backward()


def test_the_error_names_both_operations():
    x = nt.ones(3, requires_grad=True)
    y = x.exp()
    z = y.sin()
    y.mul_(2)
    with pytest.raises(RuntimeError, match=r"(exp|sin) saved a float32 tensor of shape \(3,\) at version 0.*overwritten by mul_ \(now at version 1\)"):
        z.sum().backward()


def test_overwriting_what_nobody_saved(m):
    x = m.ones(3, requires_grad=True)
    y = x + 1
    z = y + 1
    y.mul_(5)
    z.sum().backward()
    assert x.grad.tolist() == [1, 1, 1]


def test_version_counts_through_views(m):
    x = m.ones(4)
    v = x[1:]
    version = x._version
    v.add_(1)
    assert x._version == version + 1 == v._version
    x.detach().zero_()
    assert x._version == version + 2


def test_leaf_in_place(m):
    x = m.ones(3, requires_grad=True)
    with pytest.raises(RuntimeError, match="leaf Variable that requires grad"):
        x.add_(1)
    with pytest.raises(RuntimeError, match="leaf Variable that requires grad"):
        x[0] = 1
    with pytest.raises(RuntimeError, match="leaf Variable that requires grad"):
        x[1:].mul_(2)


def test_in_place_makes_a_buffer_recorded(m):
    x, buffer = m.ones(2, requires_grad=True), m.zeros(2)
    buffer.add_(x * 3)
    assert buffer.requires_grad and not buffer.is_leaf
    buffer.sum().backward()
    assert x.grad.tolist() == [3, 3]


def test_failed_backward_names_the_place():
    x = nt.ones(2, requires_grad=True)
    with nt.autograd.set_detect_anomaly(True):
        y = (x * 1).exp()
        z = y * y
    y.add_(1)
    with pytest.warns(UserWarning, match="Error detected in MulBackward0"), pytest.raises(RuntimeError) as caught:
        z.sum().backward()
    assert any("test_autograd.py" in note for note in caught.value.__notes__)


# ------------------------------------------------------------------------------------------------ functions of one's own
def test_custom_function(m):
    class Scale(m.autograd.Function):
        @staticmethod
        def forward(ctx, x, factor):
            ctx.save_for_backward(x)
            ctx.factor = factor
            return x * x * factor

        @staticmethod
        def backward(ctx, g):
            (x,) = ctx.saved_tensors
            assert ctx.needs_input_grad == (True, False)
            return g * 2 * x * ctx.factor, None

    x = m.tensor([1.0, 2.0], requires_grad=True)
    y = Scale.apply(x, 3)
    assert y.requires_grad and not y.is_leaf
    y.sum().backward()
    assert x.grad.tolist() == [6, 12]
    assert not Scale.apply(m.ones(2), 3).requires_grad
    (g,) = m.autograd.grad(Scale.apply(x, 3).sum(), x, create_graph=True)
    assert m.autograd.grad(g.sum(), x)[0].tolist() == [6, 6]


def test_custom_function_of_several_results(m):
    class SumAndProduct(m.autograd.Function):
        @staticmethod
        def forward(ctx, x, y):
            ctx.save_for_backward(x, y)
            return x + y, x * y

        @staticmethod
        def backward(ctx, g, h):
            x, y = ctx.saved_tensors
            return g + h * y, g + h * x

    x, y = m.tensor(2.0, requires_grad=True), m.tensor(5.0, requires_grad=True)
    a, b = SumAndProduct.apply(x, y)
    (a * 10 + b).backward()
    assert (x.grad.item(), y.grad.item()) == (15, 12)
    a, _ = SumAndProduct.apply(x, y)  # the other result unused: its gradient is zeros
    assert m.autograd.grad(a, x)[0].item() == 1


def test_custom_function_with_a_result_that_has_no_gradient(m):
    class Sorted(m.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            where = (x > 1) * 1.0
            ctx.mark_non_differentiable(where)
            ctx.set_materialize_grads(False)
            return x * 2, where

        @staticmethod
        def backward(ctx, g, h):
            assert h is None
            return g * 2

    x = m.tensor([1.0, 2.0], requires_grad=True)
    a, where = Sorted.apply(x)
    assert a.requires_grad and not where.requires_grad
    a.sum().backward()
    assert x.grad.tolist() == [2, 2]


def test_custom_function_in_place(m):
    class Double(m.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            x.mul_(2)
            ctx.mark_dirty(x)
            return x

        @staticmethod
        def backward(ctx, g):
            return g * 2

    x = m.ones(3, requires_grad=True)
    y = x * 3
    z = Double.apply(y)
    assert z is y and y.tolist() == [6, 6, 6]
    y.sum().backward()
    assert x.grad.tolist() == [6, 6, 6]


def test_custom_function_saves_its_result(m):
    class Exp(m.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            y = x.exp()
            ctx.save_for_backward(y)
            return y

        @staticmethod
        def backward(ctx, g):
            (y,) = ctx.saved_tensors
            return g * y

    x = m.tensor([0.5, 1.0], dtype=m.float64, requires_grad=True)
    y = Exp.apply(x)
    (g,) = m.autograd.grad(y.sum(), x, create_graph=True)
    (h,) = m.autograd.grad(g.sum(), x)
    np.testing.assert_allclose(h.numpy(), np.exp([0.5, 1.0]))
    y = Exp.apply(x)
    y.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()
    reference = weakref.ref(Exp.apply(x))  # a saved result is no cycle
    if m is nt:
        assert reference() is None


def test_custom_function_with_setup_context(m):
    class Square(m.autograd.Function):
        @staticmethod
        def forward(x):
            return x * x

        @staticmethod
        def setup_context(ctx, inputs, output):
            ctx.save_for_backward(*inputs)

        @staticmethod
        def backward(ctx, g):
            return 2 * g * ctx.saved_tensors[0]

    x = m.tensor(3.0, requires_grad=True)
    Square.apply(x).backward()
    assert x.grad.item() == 6


def test_custom_function_that_returns_its_input(m):
    class Identity(m.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x

        @staticmethod
        def backward(ctx, g):
            return g * 5

    x = m.ones(2, requires_grad=True)
    y = Identity.apply(x)
    assert y is not x
    y.sum().backward()
    assert x.grad.tolist() == [5, 5]


def test_custom_function_with_wrong_gradients(m):
    class Wrong(m.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, g):
            return g, g

    with pytest.raises(RuntimeError, match="incorrect number of gradients"):
        Wrong.apply(m.ones(2, requires_grad=True)).sum().backward()


def test_gradcheck_finds_a_wrong_derivative(m):
    class Wrong(m.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        def backward(ctx, g):
            return 3 * g * ctx.saved_tensors[0]

    x = m.tensor([1.0, 2.0], dtype=m.float64, requires_grad=True)
    assert not m.autograd.gradcheck(Wrong.apply, (x,), raise_exception=False)
    with pytest.raises(RuntimeError, match="Jacobian mismatch"):
        m.autograd.gradcheck(Wrong.apply, (x,))


# ------------------------------------------------------------------------------------------------ size and memory
def test_a_chain_of_a_million_additions():
    x = nt.zeros(1, requires_grad=True)
    y = x
    for _ in range(1_000_000):
        y = y + 1
    y.sum().backward()
    assert x.grad.item() == 1 and y.item() == 1_000_000
    del y  # no recursion when it is let go either


def test_a_long_chain_is_let_go_without_backward():
    x = nt.zeros(1, requires_grad=True)
    y = x
    for _ in range(300_000):
        y = y * 2
    del y
    v = nt.zeros(3)
    for _ in range(100_000):
        v = v.view(3)
    del v


def test_graphs_hold_no_cycles():
    gc.collect()
    gc.disable()
    try:
        x = nt.ones(1000, requires_grad=True)
        y = (x.exp() * x).tanh()
        z = y.softmax(0).sum()
        references = [weakref.ref(y), weakref.ref(z.grad_fn)]
        z.backward()
        del y, z
        assert [r() for r in references] == [None, None]
    finally:
        gc.enable()


def test_backward_frees_what_was_saved():
    x = nt.ones(1000, requires_grad=True)
    gone = []

    class Saved(nt.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            kept = x * 2
            gone.append(weakref.ref(kept))
            ctx.save_for_backward(kept)
            return x * 1

        @staticmethod
        def backward(ctx, g):
            return g * ctx.saved_tensors[0]

    out = Saved.apply(x)
    assert gone[0]() is not None
    out.sum().backward()
    assert gone[0]() is None


def test_second_derivative_of_a_network(torch):
    def hessian_times_vector(m):
        rng = np.random.default_rng(0)
        X, W, V = (m.from_numpy(rng.standard_normal(s)) for s in ((6, 4), (4, 5), (5, 2)))
        W.requires_grad_()
        out = (X @ W).tanh() @ V
        loss = -out.log_softmax(1)[:, 0].mean() + W.pow(2).sum().sqrt()
        (g,) = m.autograd.grad(loss, W, create_graph=True)
        (h,) = m.autograd.grad((g * m.ones_like(g)).sum(), W)
        return [h]

    equal(hessian_times_vector(nt), hessian_times_vector(torch), tolerance=(1e-9, 1e-11))

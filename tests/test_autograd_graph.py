"""`autograd.graph`, nodes, hooks and anomaly mode: the same events in the same order as in PyTorch."""

import gc
import warnings

import numpy as np
import pytest
from compare import equal

import numtape as nt


@pytest.fixture(params=["numtape", "torch"])
def m(request):
    return nt if request.param == "numtape" else request.getfixturevalue("torch")


# ------------------------------------------------------------------------------------------------ what is saved
OPS = {
    "mul": lambda m, x, w: x * w,
    "exp": lambda m, x, w: x.exp(),
    "pow": lambda m, x, w: x**3,
    "matmul": lambda m, x, w: x @ w,
    "softmax": lambda m, x, w: x.softmax(1),
    "sum": lambda m, x, w: x.sum(0),
    "gather": lambda m, x, w: x.gather(1, m.tensor([[0], [2], [1]])),
    "index": lambda m, x, w: x[m.tensor([0, 0])],
    "view": lambda m, x, w: x.t()[1:] * 2,
    "in place": lambda m, x, w: (x * 1).mul_(w).exp_(),
    "cross entropy": lambda m, x, w: m.nn.functional.cross_entropy(x, m.tensor([0, 2, 1])),
    "layer norm": lambda m, x, w: m.nn.functional.layer_norm(x, (3,), w[0]),
}


@pytest.mark.parametrize("name", OPS)
def test_packed_values_give_the_same_gradients(name):
    """First and second derivatives through values that are kept as bytes in between."""
    data = np.random.default_rng(0).standard_normal((2, 3, 3))

    def gradients(pack):
        x, w = (nt.from_numpy(d.copy()).requires_grad_() for d in data)
        if pack:
            kept = []

            def keep(t):
                assert not t.requires_grad and not nt.is_grad_enabled()
                kept.append((t.detach().numpy().copy(), t.requires_grad))
                return len(kept) - 1

            with nt.autograd.graph.saved_tensors_hooks(keep, lambda i: nt.from_numpy(kept[i][0].copy())):
                out = OPS[name](nt, x, w)
        else:
            out = OPS[name](nt, x, w)
        first = nt.autograd.grad((out * out.detach().sin()).sum(), [x, w], create_graph=True, allow_unused=True)
        used = [g for g in first if g is not None and g.requires_grad]
        second = nt.autograd.grad(sum((g * g).sum() for g in used), [x, w], allow_unused=True) if used else ()
        return [g.detach() for g in (*first, *second) if g is not None]

    equal(gradients(True), gradients(False), tolerance=(1e-12, 1e-12), memory=False)


def test_saved_tensors_hooks(m):
    hooks, seen = m.autograd.graph.saved_tensors_hooks, []
    x = m.tensor([2.0, 3.0], requires_grad=True)
    with hooks(lambda t: seen.append("outer") or t, lambda t: t):
        y = x * x
        with hooks(lambda t: seen.append("inner") or t.numpy(), lambda a: seen.append("unpack") or m.from_numpy(a)):
            z = y.exp()
    assert seen == ["outer", "outer", "inner"]
    z.sum().backward()
    assert seen == ["outer", "outer", "inner", "unpack"]
    np.testing.assert_allclose(x.grad.tolist(), [4 * np.exp(4.0), 6 * np.exp(9.0)], rtol=1e-5)
    with hooks(lambda t: t, lambda t: 3):
        y = x.exp()
    with pytest.raises(TypeError, match="unpack_hook expected to be a Tensor"):
        y.sum().backward()
    with hooks(lambda t: t.add_(1), lambda t: t), pytest.raises(RuntimeError, match="modifying its input in place"):
        (x * 1).exp()
    with m.autograd.graph.disable_saved_tensors_hooks("not here"), pytest.raises(RuntimeError, match="not here"), hooks(lambda t: t, lambda t: t):
        pass
    with m.autograd.graph.save_on_cpu():
        y = (x * x).sum()
    assert m.autograd.grad(y, x)[0].tolist() == [4, 6]


def test_saved_tensors_of_a_function(m):
    class Square(m.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        def backward(ctx, g):
            return g * 2 * ctx.saved_tensors[0]

    x, seen = m.tensor([2.0], requires_grad=True), []
    with m.autograd.graph.saved_tensors_hooks(lambda t: seen.append(1) or t + 1, lambda t: t - 1):
        y = Square.apply(x)
    g = m.autograd.grad(y, x, create_graph=True)[0]
    assert seen == [1] and g.item() == 4 and m.autograd.grad(g, x)[0].item() == 2


# ------------------------------------------------------------------------------------------------ nodes
def test_nodes(m):
    x = m.ones(2, requires_grad=True)
    y = (x * 2).exp()
    node = y.grad_fn
    assert node.name() == "ExpBackward0" and node.next_functions[0][0].name() == "MulBackward0"
    leaf = node.next_functions[0][0].next_functions[0][0]
    assert leaf.variable is x and leaf.name() == "torch::autograd::AccumulateGrad" and leaf.next_functions == ()
    node.metadata["key"] = 1
    assert y.grad_fn.metadata == {"key": 1}
    edge = m.autograd.graph.get_gradient_edge(y)
    z = (y * 3).sum()
    assert m.autograd.grad(z, edge, retain_graph=True)[0].tolist() == [3, 3]
    assert m.autograd.grad(z, m.autograd.graph.get_gradient_edge(x))[0].shape == (2,)
    with pytest.raises(RuntimeError, match="gradient edge"):
        m.autograd.graph.get_gradient_edge(m.ones(2))


def test_the_order_of_hooks(m):
    seen = []

    def saying(what, result=None):
        return lambda *args: seen.append((what, [[None if g is None else g.tolist() for g in a] if isinstance(a, tuple) else a.tolist() for a in args])) or result

    x = m.ones(1, requires_grad=True)
    y = x * 2
    z = y * x
    z.grad_fn.register_hook(saying("post", (m.full((1,), 5.0), None)))
    z.grad_fn.register_prehook(saying("pre", (m.full((1,), 7.0),)))
    z.register_hook(saying("tensor", m.full((1,), 3.0)))
    z.register_hook(saying("tensor again"))
    z.retain_grad()
    x.register_hook(saying("leaf"))
    x.register_post_accumulate_grad_hook(lambda t: seen.append(("after", t.grad.tolist())))
    removed = y.register_hook(saying("removed"))
    removed.remove()
    removed.remove()
    z.backward()
    assert z.grad.tolist() == [3]
    assert seen == [
        ("tensor", [[1.0]]), ("tensor again", [[3.0]]), ("pre", [[[3.0]]]), ("post", [[[14.0 / 2], [14.0]], [[7.0]]]), ("leaf", [[10.0]]), ("after", [10.0])
    ]  # fmt: skip


def test_hooks_that_are_refused(m):
    x = m.ones(2, requires_grad=True)
    for hook, problem in [(lambda g: g[:1], "size of value"), (lambda g: g.double(), "type of value")]:
        y = x * 2
        y.register_hook(hook)
        with pytest.raises(RuntimeError, match=problem):
            y.sum().backward()
    for register in (m.ones(1).register_hook, m.ones(1).register_post_accumulate_grad_hook, (x * 2).register_post_accumulate_grad_hook):
        with pytest.raises(RuntimeError, match="register"):
            register(print)


def test_hooks_and_in_place(m):
    """A hook belongs to the value it was registered on; retain_grad goes with the tensor."""
    x, seen = m.ones(2, requires_grad=True), []
    y = x * 1
    y.register_hook(lambda g: seen.append(g.tolist()))
    y.retain_grad()
    y.mul_(3)
    y.sum().backward()
    assert seen == [[3, 3]] and y.grad.tolist() == [1, 1]


def test_multi_grad_hook(m):
    a, b, c = (m.ones(1, requires_grad=True) for _ in range(3))
    d, seen = a * 2, []
    handle = m.autograd.graph.register_multi_grad_hook((a, b, d, c), lambda grads: seen.append([None if g is None else g.item() for g in grads]))
    first = m.autograd.graph.register_multi_grad_hook((a, d), lambda g: seen.append(g.item()), mode="any")
    out = d * b * 3
    out.backward(retain_graph=True)
    assert seen == [3, [6, 6, 3, None]]
    out.backward(retain_graph=True, inputs=[b])
    assert seen[2:] == [[None, 6, None, None]]
    handle.remove()
    first.remove()
    out.backward()
    assert len(seen) == 3
    with pytest.raises(ValueError, match="mode"):
        m.autograd.graph.register_multi_grad_hook((a,), print, mode="some")


# ------------------------------------------------------------------------------------------------ anomaly
def test_anomaly(m):
    with pytest.warns(UserWarning, match="Anomaly Detection has been enabled"):
        context = m.autograd.detect_anomaly()
    x = m.zeros(2, requires_grad=True)
    with context:
        assert m.is_anomaly_enabled() and m.is_anomaly_check_nan_enabled()
        y = x.sqrt()  # this line
        said = pytest.warns(UserWarning, match=r"(?s)Error detected in SqrtBackward0.*y = x.sqrt\(\)  # this line")
        with said, pytest.raises(RuntimeError, match="Function 'SqrtBackward0' returned nan values in its 0th output."):
            (y * 0).sum().backward()
    (x.sqrt() * 0).sum().backward()  # off again
    with m.autograd.set_detect_anomaly(True, check_nan=False):
        (x.sqrt() * 0).sum().backward()


def test_anomaly_names_the_first_derivative_too():
    x = nt.zeros(1, requires_grad=True)
    with nt.autograd.set_detect_anomaly(True):
        y = x.sqrt()  # first line
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            with pytest.raises(RuntimeError, match="nan values") as caught:
                nt.autograd.grad(nt.autograd.grad(y, x, create_graph=True)[0] * 0, x)
    assert "first line" in str(said[0].message) and "first line" in caught.value.__notes__[0]
    assert not nt.autograd.is_anomaly_enabled()


def test_modes_leave_nothing_behind():
    x = nt.ones(3, requires_grad=True)
    gc.collect()
    with nt.autograd.graph.saved_tensors_hooks(lambda t: t, lambda t: t), nt.autograd.set_detect_anomaly(True):
        x.exp().sum().backward()
    assert nt.exp(x).grad_fn.rare is None
    assert not gc.collect()

"""`func`, `autograd.functional`, `utils.checkpoint`: derivatives as functions, against PyTorch's."""

import numpy as np
import pytest
from compare import equal

import numtape as nt

pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning", "ignore:Attempted to insert")  # PyTorch's own
A = np.random.default_rng(0).standard_normal((3, 2))
V = np.random.default_rng(1).standard_normal(2)


def tensors(m):
    return m.from_numpy(A.copy()), m.from_numpy(V.copy())


def leaves(value):
    if isinstance(value, dict):
        value = [value[k] for k in sorted(value)]
    return [t for v in value for t in leaves(v)] if isinstance(value, (tuple, list)) else [value]


def agree(torch, call):
    equal(leaves(call(nt)), leaves(call(torch)), tolerance=(1e-9, 1e-11), memory=False)


def two(a, v):
    return (a @ v).tanh() * a.sum(1), v.exp().sum()


def number(a, v):
    return ((a @ v).sin() * a[:, 0]).sum() + (v**3).sum()


FUNC = {
    "grad": lambda m, a, v: m.func.grad(number)(a, v),
    "grad of both": lambda m, a, v: m.func.grad(number, argnums=(0, 1))(a, v),
    "grad aux": lambda m, a, v: m.func.grad(lambda a, v: (number(a, v), a * 2), has_aux=True)(a, v),
    "grad and value": lambda m, a, v: m.func.grad_and_value(number, argnums=1)(a, v),
    "grad of a dict": lambda m, a, v: m.func.grad(lambda p: number(p["a"], p["v"]))({"a": a, "v": v}),
    "grad of grad": lambda m, a, v: m.func.grad(lambda a: m.func.grad(number, argnums=1)(a, v).sum())(a),
    "third": lambda m, a, v: m.func.grad(m.func.grad(m.func.grad(lambda x: x.sin() * x.exp())))(v[0]),
    "unused": lambda m, a, v: m.func.grad(lambda a, v: v.sum())(a, v),
    "vjp": lambda m, a, v: m.func.vjp(lambda a, v: a @ v, a, v)[1](m.ones(3, dtype=m.float64)),
    "vjp of two": lambda m, a, v: m.func.vjp(two, a, v)[1]((m.ones(3, dtype=m.float64), m.ones((), dtype=m.float64))),
    "vjp outputs": lambda m, a, v: m.func.vjp(two, a, v)[0],
    "jvp": lambda m, a, v: m.func.jvp(two, (a, v), (a * 2, v + 1)),
    "jvp aux": lambda m, a, v: m.func.jvp(lambda v: (v.sin(), a), (v,), (v + 1,), has_aux=True),
    "jvp of a constant": lambda m, a, v: m.func.jvp(lambda v: a, (v,), (v,)),
    "grad of jvp": lambda m, a, v: m.func.grad(lambda v: m.func.jvp(lambda a: number(a, v), (a,), (a,))[1])(v),
    "linearize": lambda m, a, v: m.func.linearize(lambda v: (a @ v).tanh(), v)[1](v + 1),
    "jacrev": lambda m, a, v: m.func.jacrev(two, argnums=(0, 1))(a, v),
    "jacfwd": lambda m, a, v: m.func.jacfwd(two, argnums=(0, 1))(a, v),
    "jacrev one": lambda m, a, v: m.func.jacrev(lambda v: a @ v.sin())(v),
    "jacfwd of jacrev": lambda m, a, v: m.func.jacfwd(m.func.jacrev(lambda v: (a @ v.sin()).tanh()))(v),
    "hessian": lambda m, a, v: m.func.hessian(number)(a, v),
    "hessian of both": lambda m, a, v: m.func.hessian(number, argnums=(0, 1))(a, v),
    "vmap": lambda m, a, v: m.vmap(lambda row: (row * v).sum())(a),
    "vmap dims": lambda m, a, v: m.func.vmap(lambda c, v: (c * v, v), in_dims=(1, 0), out_dims=(1, 0))(a, v),
    "vmap nested": lambda m, a, v: m.vmap(m.vmap(lambda x: x.sin()))(a),
    "vmap of grad": lambda m, a, v: m.vmap(m.func.grad(lambda v, row: (row @ v).sin()), in_dims=(None, 0))(v, a),
    "vmap of a dict": lambda m, a, v: m.vmap(lambda d, x: d["a"] * x, in_dims=({"a": 0}, None))({"a": a}, v),
    "grad of vmap": lambda m, a, v: m.func.grad(lambda v: m.vmap(lambda row: (row @ v).sin())(a).sum())(v),
}


@pytest.mark.parametrize("name", FUNC)
def test_func(torch, name):
    agree(torch, lambda m: FUNC[name](m, *tensors(m)))


FUNCTIONAL = {
    "jacobian": lambda f, a, v: f.jacobian(two, (a, v)),
    "jacobian of one": lambda f, a, v: f.jacobian(lambda v: a @ v.sin(), v),
    "forward": lambda f, a, v: f.jacobian(lambda v: a @ v.sin(), v, vectorize=True, strategy="forward-mode"),
    "hessian": lambda f, a, v: f.hessian(number, (a, v)),
    "hessian of one": lambda f, a, v: f.hessian(lambda v: number(a, v), v),
    "hessian of a tuple of one": lambda f, a, v: f.hessian(lambda v: number(a, v), (v,)),
    "vjp": lambda f, a, v: f.vjp(lambda a, v: a @ v, (a, v), a[:, 0]),
    "vjp of a number": lambda f, a, v: f.vjp(number, (a, v)),
    "jvp": lambda f, a, v: f.jvp(two, (a, v), (a + 1, v)),
    "vhp": lambda f, a, v: f.vhp(number, (a, v), (a, v)),
    "hvp": lambda f, a, v: f.hvp(lambda v: number(a, v), v, v + 1),
}


@pytest.mark.parametrize("name", FUNCTIONAL)
def test_functional(torch, name):
    agree(torch, lambda m: FUNCTIONAL[name](m.autograd.functional, *tensors(m)))


def test_results_are_connected_when_something_outside_is():
    a, v = tensors(nt)
    assert not nt.func.grad(number)(a, v).requires_grad
    assert not nt.func.jvp(lambda v: number(a, v), (v,), (v,))[1].requires_grad
    w = v.clone().requires_grad_()
    g = nt.func.grad(number)(a, w)  # w is read from outside
    g.sum().backward()
    assert w.grad is not None
    with nt.no_grad():
        assert not nt.func.grad(number)(a, w).requires_grad
    found = nt.autograd.functional.jacobian(lambda t: t * t, w, create_graph=True)
    assert nt.autograd.grad(found.sum(), w)[0].tolist() == [2.0, 2.0]
    assert not nt.autograd.functional.jacobian(lambda t: t * t, w).requires_grad


def test_errors_of_transforms():
    a, v = tensors(nt)
    for problem, call in [
        ("scalar", lambda: nt.func.grad(lambda v: v)(v)), ("argnum=3", lambda: nt.func.grad(number, argnums=3)(a, v)), ("tensors, got", lambda: nt.func.grad(number)(1.0, v)),
        ("floating", lambda: nt.func.grad(lambda v: v.sum())(nt.arange(3))), ("shape", lambda: nt.func.jvp(number, (a, v), (v, v))), ("randomness", lambda: nt.vmap(lambda v: nt.rand(2))(v)),
        ("has_aux", lambda: nt.func.grad(number, has_aux=True)(a, v)), ("cotangent", lambda: nt.func.vjp(lambda v: v, v)[1](a)), ("single element", lambda: nt.autograd.functional.hessian(lambda v: v, v)),
        ("independent", lambda: nt.autograd.functional.jacobian(lambda a, v: v * 2, (a, v), strict=True)),
    ]:  # fmt: skip
        with pytest.raises(RuntimeError, match=problem):
            call()
    for problem, call in [("same size", lambda: nt.vmap(nt.add)(a, v)), ("in_dims", lambda: nt.vmap(nt.add, in_dims=(0,))(a, a)), ("at least one", lambda: nt.vmap(nt.sin, in_dims=(None,))(a))]:
        with pytest.raises(ValueError, match=problem):
            call()


def test_vmap_randomness():
    zeros = nt.zeros(4)
    same = nt.vmap(lambda x: x + nt.rand(()), randomness="same")(zeros)
    other = nt.vmap(lambda x: x + nt.rand(()), randomness="different")(zeros)
    assert len(set(same.tolist())) == 1 and len(set(other.tolist())) == 4


def test_functional_call(torch):
    def values(m):
        net = m.nn.Sequential(m.nn.Linear(2, 3), m.nn.Tanh(), m.nn.Linear(3, 1)).double()
        rng = np.random.default_rng(0)
        p = {name: m.from_numpy(rng.standard_normal(tuple(t.shape))) for name, t in net.named_parameters()}
        before = {name: t for name, t in net.named_parameters()}
        x = m.from_numpy(A.copy())
        loss = lambda p, x: m.func.functional_call(net, p, (x,)).square().sum()
        found = [m.func.functional_call(net, p, x), m.func.grad(loss)(p, x), m.vmap(m.func.grad(loss), in_dims=(None, 0))(p, x)]
        assert all(t is before[name] for name, t in net.named_parameters())
        return found

    agree(torch, values)


def test_functional_call_ties_and_errors():
    net = nt.nn.Sequential(nt.nn.Linear(2, 2, bias=False), nt.nn.Linear(2, 2, bias=False))
    net[1].weight = net[0].weight
    x, eye = nt.ones(2), nt.eye(2)
    assert nt.func.functional_call(net, {"0.weight": eye * 2}, x).tolist() == [4.0, 4.0]
    with pytest.raises(ValueError, match="multiple values"):
        nt.func.functional_call(net, {"0.weight": eye, "1.weight": eye * 2}, x)
    with pytest.raises(RuntimeError, match="other.weight"):
        nt.func.functional_call(net, {"other.weight": eye}, x, strict=True)
    with pytest.raises(ValueError, match="multiple dictionaries"):
        nt.func.functional_call(net, ({"0.weight": eye}, {"0.weight": eye}), x)


# ------------------------------------------------------------------------------------------------ checkpoint
def test_checkpoint_gives_the_gradients_of_the_plain_call():
    layer = nt.nn.Sequential(nt.nn.Linear(2, 4), nt.nn.Tanh(), nt.nn.Dropout(0.5), nt.nn.Linear(4, 2)).double()
    x, v = (t.requires_grad_() for t in tensors(nt))

    def loss(wrap):
        nt.manual_seed(4)
        hidden = x * v  # the function reads what is not its argument, too
        return wrap(lambda t: (layer(t) * hidden, t + 1, "text"), hidden.sin())

    leaves_ = [x, v, *layer.parameters()]
    plain, kept = loss(lambda f, t: f(t)), loss(lambda f, t: nt.utils.checkpoint.checkpoint(f, t, use_reentrant=False))
    assert kept[2] == "text"
    one, other = (nt.autograd.grad((a * b).sum(), leaves_) for a, b, _ in (plain, kept))
    equal(list(other), list(one), tolerance=(0, 0), memory=False)
    g = nt.autograd.grad(loss(lambda f, t: nt.utils.checkpoint.checkpoint(f, t))[0].sum(), x, create_graph=True)[0]
    h = nt.autograd.grad(loss(lambda f, t: f(t))[0].sum(), x, create_graph=True)[0]
    equal([nt.autograd.grad(g.square().sum(), v)[0]], [nt.autograd.grad(h.square().sum(), v)[0]], tolerance=(1e-12, 0))


def test_checkpoint_runs_the_function_again_and_keeps_nothing():
    calls = []

    def f(t):
        calls.append(1)
        return t.sin().exp()

    x = nt.ones(3, requires_grad=True)
    out = nt.utils.checkpoint.checkpoint(f, x)
    assert len(calls) == 1
    out.sum().backward()
    assert len(calls) == 2
    with nt.no_grad():
        assert not nt.utils.checkpoint.checkpoint(f, x).requires_grad
    assert nt.utils.checkpoint.checkpoint(lambda t: t, x) is x
    with pytest.raises(RuntimeError, match="another number of results|has shape"):
        shapes = iter([3, 2])
        nt.utils.checkpoint.checkpoint(lambda t: t[: next(shapes)] * 2, x).sum().backward()


def test_checkpoint_sequential():
    net = nt.nn.Sequential(*[nt.nn.Linear(3, 3) for _ in range(5)])
    x = nt.randn(2, 3)
    found = [nt.autograd.grad(out.sum(), list(net.parameters())) for out in (net(x), nt.utils.checkpoint.checkpoint_sequential(net, 2, x))]
    equal(list(found[1]), list(found[0]), tolerance=(0, 0))


def test_variable():
    x = nt.autograd.Variable(nt.ones(2), requires_grad=True)
    assert x.requires_grad and x.is_leaf and isinstance(x, nt.autograd.Variable) and isinstance(nt.ones(1), nt.autograd.Variable)

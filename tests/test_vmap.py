"""`vmap`: every op on batches against the loop over the examples, and the whole against PyTorch's."""

import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest
from compare import equal, listed
from samples import CREATION, RANDOM, names, samples_of

import numtape as nt

pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning", "ignore:Attempted to insert")  # PyTorch's own
NAMES = [n for n in names("elementwise", "reduction", "composite") if n not in RANDOM and n not in CREATION]
SIZE = 3


def examples(a, k):
    """Example k of a sample's array."""
    if a.dtype == np.float64:
        return a * (1 - k / 4)
    return np.flip(a, -1) if k % 2 and a.ndim else a


def check(name, which):
    for sample in samples_of(name):
        batched = [not sample.arrays or which == "all" or k == 0 for k in range(len(sample.arrays))]
        if not sample.arrays or which == "first" and len(sample.arrays) == 1:
            continue
        arrays = [[examples(a, k) if b else a for k in range(SIZE)] for a, b in zip(sample.arrays, batched)]

        def tensors(k, arrays=arrays):
            return [nt.from_numpy(a[k].copy()) for a in arrays]

        def call(*given, sample=sample):
            found = sample.call(nt, *given)
            return found if isinstance(found, nt.Tensor) else tuple(t for t in listed(found) if isinstance(t, nt.Tensor))

        try:
            expected = [listed(call(*tensors(k))) for k in range(SIZE)]
            expected = [nt.stack(parts) for parts in zip(*expected)]
        except Exception:  # examples of several shapes, or that the op refuses
            continue
        if not expected:
            continue
        dims = tuple((-1 if k % 2 else 0) if b else None for k, b in enumerate(batched))
        whole = [nt.from_numpy(np.stack(a, axis=d) if d is not None else a[0].copy()) for a, d in zip(arrays, dims)]
        leaves = [t.requires_grad_() for t in whole if t.is_floating_point()]
        found = listed(nt.vmap(call, in_dims=dims)(*whole))
        equal([t.detach() for t in found], [t.detach() for t in expected], f"{sample}: values", (1e-9, 1e-11), memory=False)
        pairs = [(f, e) for f, e in zip(found, expected) if f.requires_grad]
        if pairs:
            seeds = [nt.from_numpy(np.resize(np.linspace(-1, 2, 17), tuple(f.shape))).to(f.dtype) for f, _ in pairs]
            mine = nt.autograd.grad([f for f, _ in pairs], leaves, seeds, allow_unused=True)
            separate = []
            for k in range(SIZE):
                given = tensors(k)
                own = [t.requires_grad_() for t in given if t.is_floating_point()]
                outs = [t for t in listed(call(*given)) if t.requires_grad]
                separate.append(nt.autograd.grad(outs, own, [s[k] for s in seeds], allow_unused=True))
            floating = [d for t, d in zip(whole, dims) if t.is_floating_point()]
            for i, (g, d) in enumerate(zip(mine, floating)):
                theirs = [s[i] for s in separate]
                if g is None or theirs[0] is None:
                    continue
                theirs = sum(theirs[1:], theirs[0]) if d is None else nt.stack(theirs, d)
                equal([g], [theirs], f"{sample}: gradient {i}", (1e-6 if name == "cov" else 1e-8, 1e-10), memory=False)


@pytest.mark.thorough
@pytest.mark.parametrize("which", ["all", "first"])
@pytest.mark.parametrize("name", NAMES)
def test_every_op_on_batches(name, which):
    check(name, which)


SOME = ["mul", "exp", "where", "pow", "clamp", "sum", "amax", "softmax", "cumsum", "sort", "matmul", "linear", "einsum", "getitem", "reshape", "transpose", "cat", "gather", "conv2d"]


@pytest.mark.parametrize("name", [n for n in SOME if n in NAMES])
def test_ops_on_batches(name):
    check(name, "all")
    check(name, "first")


# ------------------------------------------------------------------------------------------------ against PyTorch
A, B = (np.random.default_rng(k).standard_normal((4, 3, 3)) for k in (0, 1))
C, V = np.random.default_rng(2).standard_normal((3, 4)), np.random.default_rng(3).standard_normal(3)


def in_place(m, x):
    y = x * 1
    y.mul_(2).add_(x)
    y[0] = 5
    y[1:] += 1
    return y


def wanted(m, x):
    x = x.detach().requires_grad_()
    return m.autograd.grad((x.sin() * x).sum(), x)[0]


CASES = {
    "dims": lambda m, a, b, c, v: m.vmap(lambda x, y: m.outer(x, y) @ y, in_dims=(0, 1), out_dims=1)(a[:, 0], c),
    "negative dims": lambda m, a, b, c, v: m.vmap(lambda x: x * 2, in_dims=-1, out_dims=-2)(a),
    "nested trees": lambda m, a, b, c, v: m.vmap(lambda p, y: {"s": p["x"][0] + y, "t": (p["z"].sum(), p["x"][1])}, in_dims=({"x": (0, None), "z": 1}, None), out_dims={"s": 1, "t": (0, None)})({"x": (a[:, 0], v), "z": c}, v),
    "unmapped results": lambda m, a, b, c, v: m.vmap(lambda x: (x.sum(), v * 2))(a),
    "nested": lambda m, a, b, c, v: m.vmap(m.vmap(lambda x, y: (x * y, x @ y, x.softmax(0)), in_dims=(0, None)), in_dims=(0, 1))(a, c),
    "outer": lambda m, a, b, c, v: m.vmap(m.vmap(lambda x, y: x.dot(y).tanh(), in_dims=(None, 0)), in_dims=(0, None))(a[:, 0], b[:, 1]),
    "inner sees outer": lambda m, a, b, c, v: m.vmap(lambda x: m.vmap(lambda y: (x * y).sum() + y.amax())(x))(a),
    "keywords": lambda m, a, b, c, v: m.vmap(lambda x, y=None: x + y)(a, y=b),
    "chunks": lambda m, a, b, c, v: m.vmap(lambda x, y: (x @ y, x.sum(0)), in_dims=(0, 2), out_dims=(1, 0), chunk_size=3)(a, b.permute(1, 2, 0)),
    "in place": lambda m, a, b, c, v: m.vmap(lambda x: in_place(m, x))(a),
    "indexing": lambda m, a, b, c, v: m.vmap(lambda x, i: (x[i], v[i], x[0, 1:], x[..., None, -1], x[[0, 2]], x[:, i]))(a, m.tensor([0, 2, 1, 1])),
    "indexing by several": lambda m, a, b, c, v: m.vmap(lambda i: a[i, 1])(m.tensor([[0, 2], [1, 1]])),
    "broadcast": lambda m, a, b, c, v: m.vmap(lambda x, y: x + y + v + m.ones(2, 3, 3, dtype=m.float64), in_dims=(0, 1))(a, c),
    "dtypes": lambda m, a, b, c, v: m.vmap(lambda i, x: (i + 1.5, i * x.float(), (i > 1) | (x.sum() > 0), i / 2, x.to(m.float32)))(m.arange(4), a),
    "creation": lambda m, a, b, c, v: m.vmap(lambda x: (x.new_zeros(2), m.zeros_like(x).add_(x), m.ones(2) * 3))(a),
    "statistics": lambda m, a, b, c, v: m.vmap(lambda x: (x.var(), x.std(0), x.mean((0, 1), keepdim=True), x.max(), x.max(1)[1], x.argmax(), x.norm(), x.sort(-1)[0], x.topk(2)[0]))(a),
    "linear algebra": lambda m, a, b, c, v: m.vmap(lambda x: (m.linalg.det(x), m.linalg.inv(x) @ v, m.linalg.solve(x, v)))(a + 4 * m.eye(3, dtype=m.float64)),
    "functions": lambda m, a, b, c, v: m.vmap(lambda x, y: (m.nn.functional.mse_loss(x, y), m.nn.functional.normalize(x, dim=1), m.nn.functional.gelu(x), m.nn.functional.layer_norm(x, (3,), v), m.nn.functional.smooth_l1_loss(x, y)))(a, b),
    "classes": lambda m, a, b, c, v: m.vmap(lambda x, i: (m.nn.functional.cross_entropy(x, i), m.nn.functional.cross_entropy(x[0], i[0]), m.nn.functional.nll_loss(x, i, reduction="sum")))(a, m.tensor([[0, 1, 2], [1, 1, 0], [2, 0, 0], [0, 0, 0]])),
    "embedding": lambda m, a, b, c, v: m.vmap(m.func.grad(lambda w, i: m.nn.functional.embedding(i, w).sin().sum()), in_dims=(None, 0))(a[0], m.tensor([[0, 1], [2, 2]])),
    "grad": lambda m, a, b, c, v: m.vmap(m.func.grad(lambda w, x, y: ((x @ w).tanh() - y).square().mean()), in_dims=(None, 0, None))(v, a, v),
    "grad by a plain input": lambda m, a, b, c, v: m.vmap(lambda x: m.func.grad(lambda w: (w * x).sum() + (w**3).sum())(v))(a[:, 0]),
    "grad and value": lambda m, a, b, c, v: m.vmap(m.func.grad_and_value(lambda x: x.logsumexp(0)))(a[:, 0]),
    "vjp": lambda m, a, b, c, v: m.vmap(lambda x, t: m.func.vjp(lambda x: x.sin() @ v, x)[1](t)[0])(a, b[:, 0]),
    "pull of many": lambda m, a, b, c, v: m.vmap(m.func.vjp(lambda x: (c.t() @ x).tanh(), v)[1])(m.eye(4, dtype=m.float64)),
    "jvp": lambda m, a, b, c, v: m.vmap(lambda x, t: m.func.jvp(lambda x: (x @ v).tanh() * x.sum(1), (x,), (t,)))(a, b),
    "push of many": lambda m, a, b, c, v: m.vmap(lambda t: m.func.jvp(lambda x: (c.t() @ x).tanh(), (v,), (t,))[1])(m.eye(3, dtype=m.float64)),
    "jacrev": lambda m, a, b, c, v: m.vmap(m.func.jacrev(lambda x: (x @ v).sin()))(a),
    "hessian": lambda m, a, b, c, v: m.vmap(m.func.hessian(lambda x: (x.sin() * v).prod()))(a[:, 0]),
    "grad of vmap": lambda m, a, b, c, v: m.func.grad(lambda v: m.vmap(lambda x: (x @ v).sin().sum())(a).prod())(v),
    "jacfwd of vmap": lambda m, a, b, c, v: m.func.jacfwd(lambda v: m.vmap(lambda x: (x @ v).sin())(a))(v),
    "grad of vmap of grad": lambda m, a, b, c, v: m.func.grad(lambda v: m.vmap(m.func.grad(lambda x: (x @ v).tanh().sum()))(a).square().sum())(v),
    "convolution": lambda m, a, b, c, v: m.vmap(m.func.grad(lambda w, x: (m.nn.functional.conv1d(x, w, v, padding=1) ** 2).sum()), in_dims=(None, 0))(a[:3], b[:, None]),
    "convolution of one": lambda m, a, b, c, v: m.vmap(lambda x, w: m.nn.functional.conv1d(x, w), in_dims=(0, None))(b, a[:3]),
    "attention": lambda m, a, b, c, v: m.vmap(lambda q, k: m.nn.functional.scaled_dot_product_attention(q[None], k[None], q[None]))(a, b),
}  # fmt: skip
LIKE_GRAD = {"requires_grad within": lambda m, a, b, c, v: m.vmap(lambda x: wanted(m, x))(a)}


def leaves(value):
    if isinstance(value, dict):
        value = [value[k] for k in sorted(value)]
    return [t for v in value for t in leaves(v)] if isinstance(value, (tuple, list)) else [value]


@pytest.mark.parametrize("name", CASES)
def test_vmap(torch, name):
    mine, theirs = (leaves(CASES[name](m, *(m.from_numpy(x.copy()) for x in (A, B, C, V)))) for m in (nt, torch))
    equal(mine, theirs, name, tolerance=(1e-7, 1e-9), memory=False)


def test_what_is_required_within():
    found = nt.vmap(lambda x: wanted(nt, x))(nt.from_numpy(A))
    np.testing.assert_allclose(found.numpy(), np.cos(A) * A + np.sin(A))


def test_one_call_for_the_batch():
    """What runs is a handful of kernels, not one for each example."""
    w, x, y = nt.randn(8, 4), nt.randn(50, 8), nt.randint(0, 4, (50,))

    def loss(w, x, y):
        return nt.nn.functional.cross_entropy((x @ w).tanh().softmax(0).log(), y) + w[1:].square().sum()

    step = nt.vmap(nt.func.grad(loss), in_dims=(None, 0, 0))
    found = step(w, x, y)
    with nt.kernels.log() as launched:
        step(w, x, y)
    assert len(launched) < 60
    np.testing.assert_allclose(found[7].numpy(), nt.func.grad(loss)(w, x[7], y[7]).numpy(), rtol=1e-4, atol=1e-5)


def test_per_sample_gradients_of_a_network(torch):
    def found(m):
        F, net, rng = m.nn.functional, m.nn.Sequential(m.nn.Linear(8, 5), m.nn.ReLU(), m.nn.Linear(5, 3)).double(), np.random.default_rng(0)
        p = {name: m.from_numpy(rng.standard_normal(tuple(t.shape))) for name, t in net.named_parameters()}
        p |= {"w": m.from_numpy(rng.standard_normal((2, 1, 3, 3))), "s": m.from_numpy(rng.standard_normal(2))}
        x, y = m.from_numpy(rng.standard_normal((5, 1, 6, 6))), m.tensor([0, 1, 2, 1, 0])

        def loss(p, x, y):
            hidden = F.max_pool2d(F.relu(F.group_norm(F.conv2d(x[None], p["w"], p["s"]), 1, p["s"])), 2)
            linear = {name: t for name, t in p.items() if "." in name}
            return F.cross_entropy(m.func.functional_call(net, linear, (hidden.flatten(1),)), y[None])

        return m.vmap(m.func.grad(loss), in_dims=(None, 0, 0))(p, x, y)

    mine, theirs = found(nt), found(torch)
    equal([mine[k] for k in sorted(mine)], [theirs[k] for k in sorted(theirs)], tolerance=(1e-9, 1e-11), memory=False)


@pytest.mark.parametrize("m", ["numtape", "torch"])
def test_errors_of_vmap(m, request):
    m = nt if m == "numtape" else request.getfixturevalue("torch")
    x, y = m.ones(3, 2), m.ones(2)
    for problem, call in [
        ("same size in the mapped dimension", lambda: m.vmap(m.add)(x, y)), ("not compatible with the structure of `inputs`", lambda: m.vmap(m.add, in_dims=(0,))(x, x)),
        ("dimensionality 2", lambda: m.vmap(m.sin, in_dims=2)(x)), ("non-Tensor", lambda: m.vmap(m.add)(x, 2)), ("at least one Tensor", lambda: m.vmap(m.sin, in_dims=(None,))(x)), ("in_dims", lambda: m.vmap(m.sin, in_dims=None)(x)),
        ("no inputs", lambda: m.vmap(lambda: y)()), ("must only return", lambda: m.vmap(lambda x: 3)(x)), ("out_dim is None", lambda: m.vmap(m.sin, out_dims=None)(x)),
        ("not compatible with the structure of `outputs`", lambda: m.vmap(m.sin, out_dims=(0, 0))(x)), ("chunk_size", lambda: m.vmap(m.sin, chunk_size=0)(x)),
    ]:  # fmt: skip
        with pytest.raises(ValueError, match=problem):
            call()
    for problem, call in [
        ("item", lambda: m.vmap(lambda x: x * x.sum().item())(x)), ("data-dependent control flow", lambda: m.vmap(lambda x: x if x.sum() > 0 else -x)(x)), ("randomness", lambda: m.vmap(lambda x: m.rand(2))(x)),
        ("nplace|in-place|doesn't match", lambda: m.vmap(lambda x: y.add_(x))(x)), ("randomness", lambda: m.vmap(m.sin, randomness="some")(x)), ("backward", lambda: m.vmap(lambda x: x.sum().backward())(x.requires_grad_())),
    ]:  # fmt: skip
        with pytest.raises(RuntimeError, match=problem):
            call()


def test_functions_kept_before_vmap_was_used():
    """A reference that nothing could exchange leads to the loop, with a warning."""
    script = """if True:
        import warnings, numtape as nt
        kept, named = {"softmax": nt.softmax}, nt.cat
        x = nt.randn(4, 3)
        assert nt.vmap(nt.dot)(x, x).shape == (4,)
        assert nt.vmap(lambda x: named([x, x]))(x).shape == (4, 6)
        assert nt.vmap(nt.func.grad(lambda x: nt.tanh(x).sum()))(x).shape == (4, 3)
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            found = nt.vmap(lambda x: kept["softmax"](x * 2, 0))(x)
        assert (found - (x * 2).softmax(1)).abs().max() < 1e-6 and "one example after another" in str(said[0].message)
    """
    subprocess.run([sys.executable, "-W", "error", "-c", script], check=True, env={**os.environ, "PYTHONPATH": str(pathlib.Path(nt.__file__).parents[1])})


def test_randomness_of_vmap():
    zeros, F = nt.zeros(4, 3), nt.nn.functional
    draws = {
        "rand": lambda x: x + nt.rand(3), "rand_like": lambda x: nt.rand_like(x), "bernoulli": lambda x: nt.bernoulli(x + 0.5) + nt.randn(3), "dropout": lambda x: F.dropout(x + 1) + nt.rand(3),
        "dropout alone": lambda x: F.dropout(x.repeat(9) + 1), "normal_": lambda x: (x * 1).normal_(), "randperm": lambda x: nt.randperm(30), "plain": lambda x: F.dropout(nt.ones(30)),
        "alpha": lambda x: F.alpha_dropout(x.repeat(20), training=True), "gumbel": lambda x: F.gumbel_softmax(x), "multinomial": lambda x: nt.multinomial(nt.ones(30), 10), "rrelu": lambda x: F.rrelu(x - 1, training=True),
    }  # fmt: skip
    for name, call in draws.items():
        same = nt.vmap(call, randomness="same")(zeros)
        other = nt.vmap(call, randomness="different")(zeros)
        assert (same == same[0]).all(), name
        assert not (other == other[0]).all(), name
        with pytest.raises(RuntimeError, match="randomness error mode"):
            nt.vmap(call)(zeros)


def test_functions_on_batches(m=nt):
    class Scale(nt.autograd.Function):
        calls = []

        @staticmethod
        def forward(ctx, x, w):
            ctx.save_for_backward(x, w)
            Scale.calls.append(tuple(x.shape))
            return x * w

        @staticmethod
        def backward(ctx, g):
            x, w = ctx.saved_tensors
            return g * w, (g * x).sum()

    class Own(Scale):
        @staticmethod
        def vmap(info, in_dims, x, w):
            assert info.batch_size == 4 and in_dims == (0, None) and info.randomness == "error"
            return Scale.apply(x, w), 0

    x, w = nt.randn(4, 3), nt.tensor(2.0)
    assert nt.vmap(Scale.apply, in_dims=(0, None))(x, w).tolist() == (x * 2).tolist() and Scale.calls == [(3,)] * 4
    assert nt.vmap(nt.func.grad(lambda x: Scale.apply(x, w).sum()))(x).tolist() == [[2.0] * 3] * 4
    Scale.calls.clear()
    assert nt.vmap(Own.apply, in_dims=(0, None))(x, w).tolist() == (x * 2).tolist() and Scale.calls == [(4, 3)]
    Own.generate_vmap_rule = True
    with pytest.raises(RuntimeError, match="both"):
        nt.vmap(Own.apply, in_dims=(0, None))(x, w)


def jacobians(name):
    """Rows and columns of Jacobians at once, against one by one."""
    for sample in samples_of(name):
        arrays = [a for a in sample.arrays if a.dtype == np.float64]
        if not arrays or any(a.size < 2 or a.size > 40 for a in arrays):
            continue
        given = [nt.from_numpy(a.copy()) for a in arrays]

        def call(*values, sample=sample):
            rest = iter(values)
            found = sample.call(nt, *[next(rest) * 1 if a.dtype == np.float64 else nt.from_numpy(a.copy()) for a in sample.arrays])
            return tuple(t for t in listed(found) if isinstance(t, nt.Tensor) and t.is_floating_point())

        try:
            outputs, pull = nt.func.vjp(call, *given)
        except Exception:  # refuses float64
            continue
        if not outputs or any(not 1 < t.numel() < 60 or t.dtype is not nt.float64 for t in outputs):
            continue
        places = tuple(range(len(given)))
        rows, columns = nt.func.jacrev(call, places)(*given), nt.func.jacfwd(call, places)(*given)
        for i, output in enumerate(outputs):
            for k in range(output.numel()):
                seeds = tuple(nt.zeros(o.numel(), dtype=o.dtype).index_fill(0, nt.tensor([k] if o is output else []).long(), 1.0).reshape(o.shape) for o in outputs)
                for j, g in enumerate(pull(*seeds) if len(seeds) > 1 else pull(seeds)):
                    for found in (rows, columns):
                        np.testing.assert_allclose(found[i][j].reshape(output.numel(), -1)[k].numpy(), g.reshape(-1).numpy(), rtol=1e-6 if name == "cov" else 1e-8, atol=1e-10, err_msg=f"{sample} {i} {k} {j}")


@pytest.mark.parametrize("name", ["mul", "softmax", "matmul", "index_select", "cumsum"])
def test_jacobians_at_once(name):
    jacobians(name)


@pytest.mark.thorough
@pytest.mark.parametrize("name", [n for n in NAMES if n not in ("logit", "mode", "cov")])
def test_jacobians_of_every_op(name):
    jacobians(name)

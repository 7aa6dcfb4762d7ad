"""The gradients of every op: first ones against PyTorch, first and second ones against finite differences."""

import numpy as np
import pytest
from compare import equal, listed
from samples import CREATION, RANDOM, data, names, samples_of, telling

import numtape as nt
from numtape.op import TABLE

SKIPPED = set(RANDOM) | set(CREATION)
# PyTorch has no derivative for these; numtape's is zero, as for floor.
NOT_IN_PYTORCH = {"floor_divide", "zero", "truncate_divide"}
# No derivative, though they are not elementwise.
NO_GRADIENT = {"argmax", "argmin", "row_outside"}


def differentiable(name) -> bool:
    op = TABLE[name]
    # row ops are what public reductions run, with the same samples
    return name not in SKIPPED and op.family != "row" and (op.family not in ("elementwise", "reduction") or op.vjp is not None)


NAMES = [n for n in names() if differentiable(n)]
FINITE = [n for n in NAMES if n not in NO_GRADIENT]


def gradients(m, sample, seeds, layout=None):
    """The gradients of all data of a sample, given seeds for its results; None where there are no results to differentiate."""
    tensors = sample.tensors(m, "float64", layout)
    leaves = [t.requires_grad_() if t.is_floating_point() else t for t in tensors]
    # one more op in front, so that in-place and view rules meet a recorded operand
    results = [r for r in listed(sample.call(m, *[t * 1 if t.is_floating_point() else t for t in leaves])) if r.requires_grad]
    if not results:
        return None
    seeds = [m.from_numpy(np.resize(seeds, tuple(r.shape)).astype(str(r.dtype).rpartition(".")[2])) for r in results]
    found = m.autograd.grad(results, [t for t in leaves if t.requires_grad], seeds, allow_unused=True)
    return [m.zeros_like(t) if g is None else g for t, g in zip([t for t in leaves if t.requires_grad], found)]


@pytest.mark.parametrize("name", [n for n in NAMES if n not in NOT_IN_PYTORCH])
def test_first_gradients(torch, name):
    seeds = data(997, seed=9)
    for sample in samples_of(name):
        mine, theirs = gradients(nt, sample, seeds), gradients(torch, sample, seeds)
        assert (mine is None) == (theirs is None), f"{sample}: whether the result requires grad"
        if theirs is not None:
            equal(mine, theirs, f"{sample}: gradients", (1e-9, 1e-10), memory=False)


@pytest.mark.parametrize("name", [n for n in NAMES if TABLE[n].family != "elementwise"])
def test_first_gradients_of_transposed(torch, name):
    seeds = data(997, seed=9)
    for sample in samples_of(name):
        if name in ("view", "view_as"):
            continue
        mine, theirs = gradients(nt, sample, seeds, "transposed"), gradients(torch, sample, seeds, "transposed")
        assert (mine is None) == (theirs is None), f"{sample}: whether the result requires grad"
        if theirs is not None:
            equal(mine, theirs, f"{sample}: gradients", (1e-9, 1e-10), memory=False)


def small(sample, name):
    """A sample with less data: at most six elements a tensor, where its shapes allow."""
    if TABLE[name].family != "elementwise":
        return sample.arrays
    return tuple(a[..., :3][:2] if a.ndim == 2 else a[:3] for a in sample.arrays)


def differentiated(sample, name):
    arrays = small(sample, name)
    tensors = [nt.from_numpy(np.ascontiguousarray(a)) for a in arrays]
    masks = {i: t for i, t in enumerate(tensors) if not t.is_floating_point()}
    inputs = [t.requires_grad_() for t in tensors if t.is_floating_point()]

    def call(*given):
        rest = iter(given)
        found = listed(sample.call(nt, *[masks[i] if i in masks else next(rest) for i in range(len(tensors))]))
        return [r for r in found if r.is_floating_point()]

    return call, inputs


def chosen(name):
    """Finite differences take a call per element: the first two samples, and those of few elements."""
    found = [s for s in samples_of(name) if sum(a.size for a in s.arrays if a.dtype == np.float64) <= 40 or TABLE[name].family == "elementwise"]
    return found[:2] if found else []


@pytest.mark.parametrize("name", telling(n for n in FINITE if TABLE[n].family == "elementwise"))
def test_finite_differences_elementwise(name):
    for sample in chosen(name):
        call, inputs = differentiated(sample, name)
        assert nt.autograd.gradcheck(call, inputs)
        if any(r.requires_grad for r in call(*inputs)):
            assert nt.autograd.gradgradcheck(call, inputs)


OVER_DIMS = ["sum", "prod", "amax", "amin", "mean", "var", "std", "logsumexp", "norm", "softmax", "log_softmax", "cumsum", "max", "min"]


@pytest.mark.parametrize("name", OVER_DIMS)
def test_finite_differences_over_dims(name):
    for sample in samples_of(name):
        if any(a.shape not in ((3, 4, 5),) for a in sample.arrays):
            continue
        x = nt.from_numpy(data(2, 2, 2)).requires_grad_()

        def call(t, sample=sample):
            return [r for r in listed(sample.call(nt, t)) if r.is_floating_point()]

        assert nt.autograd.gradcheck(call, [x]), str(sample)
        assert nt.autograd.gradgradcheck(call, [x]), str(sample)


@pytest.mark.parametrize("name", [n for n in FINITE if TABLE[n].family == "composite" and n not in OVER_DIMS])
def test_finite_differences_composite(name):
    for sample in chosen(name):
        call, inputs = differentiated(sample, name)
        if inputs and any(r.requires_grad for r in call(*inputs)):
            assert nt.autograd.gradcheck(call, inputs), str(sample)
            assert nt.autograd.gradgradcheck(call, inputs), str(sample)


def test_third_derivative(torch):
    def third(m):
        t = m.tensor([0.3, 1.2], dtype=m.float64, requires_grad=True)
        g = (t.sin() * t.exp()).sum()
        for _ in range(3):
            (g,) = m.autograd.grad(g.sum(), t, create_graph=True)
        return [g]

    equal(third(nt), third(torch), tolerance=(1e-10, 1e-12))


def test_float32_gradients(torch):
    """The path people train on: a small network's loss in float32."""

    def loss(m):
        rng = np.random.default_rng(0)
        X, W, b, V = (m.from_numpy(rng.standard_normal(s).astype("f4")).requires_grad_() for s in ((8, 5), (5, 7), (7,), (7, 3)))
        hidden = m.nn.functional.gelu(X @ W + b)
        out = m.log_softmax(hidden.tanh() @ V, 1)
        (-(out * out.exp()).sum(1).mean() + hidden.relu().std() + X.var()).backward()
        return [X.grad, W.grad, b.grad, V.grad]

    equal(loss(nt), loss(torch), tolerance=(1e-4, 1e-5), memory=False)


def test_gradients_of_operands_of_other_dtypes(torch):
    def grads(m):
        a = m.from_numpy(data(3, 4).astype("f4")).requires_grad_()
        b = m.from_numpy(data(4, seed=1)).requires_grad_()
        c = m.tensor(1.5, requires_grad=True)
        (a * b + c * a - 2 * c / b).sum().backward()
        return [a.grad, b.grad, c.grad]

    equal(grads(nt), grads(torch), memory=False)


@pytest.mark.parametrize("name", ["relu", "abs", "maximum", "minimum", "clamp", "amax", "max", "sqrt", "norm", "prod", "pow", "leaky_relu", "elu"])
def test_gradients_at_kinks(torch, name):
    """At ties, zeros and bounds the gradients are PyTorch's choice."""

    def grads(m):
        a = m.tensor([[0.0, 1.0, -1.0], [2.0, 0.0, 1.0]], requires_grad=True)
        b = m.tensor([[0.0, 1.0, 2.0], [0.0, 0.0, 3.0]], requires_grad=True)
        F = m.nn.functional
        calls = {
            "maximum": lambda: m.maximum(a, b), "minimum": lambda: m.minimum(a, b), "clamp": lambda: a.clamp(0, 1) + a.clamp(b, b + 1), "amax": lambda: a.amax(1), "max": lambda: a.max(),
            "sqrt": lambda: (a * a).sqrt(), "norm": lambda: (a * 0).norm(), "prod": lambda: a.prod(), "pow": lambda: a**b + a**2 + a**0.0, "relu": lambda: a.relu(), "abs": lambda: a.abs(),
        }  # fmt: skip
        out = calls[name]() if name in calls else getattr(F, name)(a)
        out.sum().backward()
        return [a.grad, m.zeros_like(b) if b.grad is None else b.grad]

    equal(grads(nt), grads(torch), memory=False)

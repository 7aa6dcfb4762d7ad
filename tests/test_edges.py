"""Places where memory is shared, dims have size 1, or histories meet: each answer is PyTorch's, or an error."""

from __future__ import annotations

import numpy as np
import pytest

import numtape as nt


def tensor(m, values, grad=False, dtype="float64"):
    return m.tensor(values, dtype=getattr(m, dtype), requires_grad=grad)


def same(torch, case):
    """`case(module)` gives what it gives with PyTorch."""
    ours, theirs = (case(m).detach().numpy() for m in (nt, torch))
    np.testing.assert_allclose(ours, theirs, rtol=1e-6)


# ------------------------------------------------------------------------------------------------ operands that overlap the target
def test_overlapping_operands_are_read_before_they_are_written():
    x = nt.arange(6.0) + 1
    x[1:].addcmul_(x[:-1], x[:-1])
    assert x.tolist() == [1, 3, 7, 13, 21, 31]
    x = nt.arange(12.0) + 1
    expected = np.arange(12.0) + 1
    expected[2:8] += expected[1:7] * expected[:12:2]
    x[2:8].addcmul_(x[1:7], x[::2])
    assert x.tolist() == expected.tolist()
    x = nt.arange(6.0).reshape(3, 2)
    x.sub_(x[:1])
    assert x.tolist() == [[0, 0], [2, 2], [4, 4]]
    x = nt.arange(3)
    rows = nt.arange(6).reshape(3, 2)
    rows[nt.tensor([1, 2, 0])] = rows
    assert rows.tolist() == [[4, 5], [0, 1], [2, 3]]


# ------------------------------------------------------------------------------------------------ reductions
@pytest.mark.parametrize("name", ["std", "logsumexp", "norm", "var", "amax", "prod"])
@pytest.mark.parametrize("shape", [(2, 3), (3, 3), (4, 2)])
def test_second_derivative_of_a_reduction(torch, name, shape):
    def case(m):
        x = m.from_numpy(np.random.default_rng(0).random(shape)).requires_grad_()
        y = (getattr(x, name)(dim=1) ** 3).sum()
        (g,) = m.autograd.grad(y, x, create_graph=True)
        return m.autograd.grad((g * g).sum(), x)[0]

    same(torch, case)


@pytest.mark.parametrize("name", ["logsumexp", "norm", "amax", "amin", "softmax", "log_softmax", "mean", "sum", "prod", "cumsum"])
def test_gradient_over_a_dim_of_size_one(torch, name):
    def case(m):
        x = tensor(m, [[1.0], [2.0]], grad=True)
        (getattr(x, name)(dim=1) ** 2).sum().backward()
        return x.grad

    same(torch, case)


def test_variance_and_cross_entropy_over_a_dim_of_size_one(torch):
    def variance(m):
        x = tensor(m, [[1.0], [2.0]], grad=True)
        x.var(1, unbiased=False).sum().backward()
        return x.grad

    def entropy(m):
        x = tensor(m, [[1.0], [2.0]], grad=True)
        m.nn.functional.cross_entropy(x, m.tensor([0, 0])).backward()
        return x.grad

    same(torch, variance)
    same(torch, entropy)


# ------------------------------------------------------------------------------------------------ histories
def test_second_derivative_through_a_view_changed_in_place(torch):
    def case(m):
        x = tensor(m, [0.2, 0.5, 0.8], grad=True)
        y = x * 1
        y[1:].mul_(2)
        (g,) = m.autograd.grad((y**2).sum(), x, create_graph=True)
        return m.autograd.grad((g * g).sum(), x)[0]

    same(torch, case)


@pytest.mark.parametrize("use", [lambda m, v: m.zeros(4, 3).copy_(v), lambda m, v: v.max(1)[0], lambda m, v: v * 2])
def test_a_view_learns_that_its_base_requires_grad(torch, use):
    def case(m):
        x = m.ones(2, 3)
        v = x[:1]
        w = m.tensor(3.0, requires_grad=True)
        x.mul_(w)
        use(m, v).sum().backward()
        return w.grad

    same(torch, case)


def test_dirty_input_of_a_function(torch):
    def case(m):
        class Double(m.autograd.Function):
            @staticmethod
            def forward(ctx, x):
                ctx.mark_dirty(x)
                x.mul_(2)
                return x

            @staticmethod
            def backward(ctx, g):
                return g * 2

        x = m.ones(3, requires_grad=True)
        y = x * 1
        z = y[:2]
        Double.apply(y)
        (z * m.tensor([1.0, 2.0])).sum().backward()
        return x.grad

    same(torch, case)


def test_retained_gradients(torch):
    def once(m):
        b = m.ones(1, requires_grad=True) * 2
        b.retain_grad()
        (b * b).backward(inputs=[b])
        return b.grad

    def after_an_in_place_change(m):
        y = m.ones(3, requires_grad=True) * 2
        y.retain_grad()
        y.mul_(3)
        y.sum().backward()
        return y.grad

    same(torch, once)
    same(torch, after_an_in_place_change)


@pytest.mark.parametrize("read", [lambda x, i: nt.index_select(x, 0, i), lambda x, i: x.gather(0, i.unsqueeze(1).expand(2, 3))])
def test_an_index_that_was_overwritten(read):
    x, i = nt.randn(4, 3, requires_grad=True), nt.tensor([0, 1])
    y = read(x, i)
    i.fill_(3)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


# ------------------------------------------------------------------------------------------------ numbers
def test_whole_numbers_at_the_end_of_their_range(torch):
    for case in (lambda m: m.tensor([-(2**63)]) // -1, lambda m: m.tensor([-(2**63)]) % -1):
        same(torch, case)
    assert nt.randint(0, 2**62, (1000,)).max().item() > 2**61
    assert len(set(nt.randint(-(2**63), 2**63 - 1, (1000,)).tolist())) == 1000


@pytest.mark.parametrize(
    "make",
    [
        lambda: nt.tensor(2**63),
        lambda: nt.tensor([300], dtype=nt.uint8),
        lambda: nt.full((2,), 300, dtype=nt.uint8),
        lambda: nt.randint(0, 1000, (3,), dtype=nt.uint8),
        lambda: nt.zeros(3, dtype=nt.int64).fill_(float("nan")),
    ],
)
def test_numbers_that_do_not_fit(make):
    with pytest.raises(RuntimeError, match=r"Overflow|overflow|out of bounds"):
        make()

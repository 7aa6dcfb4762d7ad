"""Calls that are known from one made before: they must be the same calls in everything that can differ."""

from __future__ import annotations

import gc
import sys
import threading

import numpy as np
import pytest

import numtape as nt
from numtape.kernels import library


def again(call, times=3):
    """The results of the same call, the first one made, the others known."""
    return [call() for _ in range(times)]


def test_a_known_call_is_the_same_tensor_in_all_but_memory():
    x, y = nt.tensor([[1.0, 2.0], [3.0, 4.0]]), nt.tensor([[10.0], [20.0]])
    for call in (lambda: x + y, lambda: x * 2.5, lambda: x - 1, lambda: nt.exp(x), lambda: x.sum(), lambda: x.sum(1, True), lambda: x @ x, lambda: x.mean(0)):
        first, *others = again(call)
        for t in others:
            assert t.tolist() == first.tolist() and (t.shape, t.stride(), t.dtype) == (first.shape, first.stride(), first.dtype)
            assert t.data_ptr() != first.data_ptr() and not t.requires_grad and t.is_leaf and t._base is None


def test_ints_and_floats_beside_a_tensor_are_two_calls():
    x = nt.tensor([1, 2, 3])
    for _ in range(3):
        assert (x * 2).dtype is nt.int64 and (x * 2).tolist() == [2, 4, 6]
        assert (x * 2.0).dtype is nt.float32 and (x * True).tolist() == [1, 2, 3]
    for _ in range(3):
        with pytest.raises(RuntimeError, match="too large"):
            x + 2**70


def test_a_new_default_dtype_is_a_new_call():
    x = nt.tensor([1, 4])
    assert again(lambda: nt.sqrt(x).dtype) == [nt.float32] * 3
    nt.set_default_dtype(nt.float64)
    try:
        assert again(lambda: nt.sqrt(x).dtype) == [nt.float64] * 3
    finally:
        nt.set_default_dtype(nt.float32)
    assert again(lambda: nt.sqrt(x).dtype) == [nt.float32] * 3


@pytest.mark.parametrize(
    "view",
    [
        lambda x: x[1], lambda x: x[-1, 1:3], lambda x: x[:, ::2], lambda x: x[..., None], lambda x: x[(1,)], lambda x: x.view(4, 3), lambda x: x.view((4, 3)),
        lambda x: x.view([4, 3]), lambda x: x.reshape(-1), lambda x: x.t(), lambda x: x.transpose(0, 1), lambda x: x.permute(1, 0), lambda x: x.permute((1, 0)),
        lambda x: x.unsqueeze(1), lambda x: x.unsqueeze(dim=1), lambda x: x.flatten(), lambda x: x.narrow(1, 1, 2), lambda x: x.select(1, 2),
        lambda x: x.expand(2, 3, 4), lambda x: x.movedim(0, 1), lambda x: x.unflatten(1, (2, 2)), lambda x: x[None].squeeze(),
    ],
)  # fmt: skip
def test_known_views(view):
    a = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    whole = nt.tensor(a)
    for k in (0, 1):
        x = whole[k]
        expected = nt.tensor(a[k])
        for t in again(lambda x=x: view(x)):
            assert t.tolist() == view(expected).tolist() and t._base is whole and t.storage_offset() >= x.storage_offset()
    x = nt.ones(3, 4, requires_grad=True)
    for t in again(lambda: view(x)):
        assert t.grad_fn is not None
        x.grad = None
        t.sum().backward()
        assert x.grad.sum().item() == t.numel()
    with nt.no_grad():
        assert all(not t.requires_grad for t in again(lambda: view(x)))


def test_what_looks_alike_in_an_index_is_told_apart():
    x = nt.arange(6).view(2, 3)
    for _ in range(3):
        assert x[1].shape == (3,) and x[True].shape == (1, 2, 3) and x[[1]].shape == (1, 3) and x[(1,)].shape == (3,) and x[1:2].shape == (1, 3)
        assert x[0, 1].item() == 1 and x[[0, 1]].shape == (2, 3) and x[None].shape == (1, 2, 3) and x[:].shape == (2, 3)
        with pytest.raises(IndexError):
            x[2]
        with pytest.raises(RuntimeError):
            x.view(5)


def test_views_see_writes_to_their_base_and_its_history():
    x = nt.zeros(4)
    views = again(lambda: x[1:3])
    w = nt.ones(2, requires_grad=True)
    views[-1].mul_(w).add_(w)
    assert x.requires_grad and all(v.requires_grad for v in views) and x[1:3].requires_grad
    x.sum().backward()
    assert w.grad.tolist() == [1.0, 1.0]


def test_recorded_calls_have_nodes_and_others_have_none():
    a, b = nt.ones(3, requires_grad=True), nt.ones(3)
    m, w, c = nt.ones(2, 3), nt.ones(4, 3, requires_grad=True), nt.ones(4)
    for call in (lambda: a + b, lambda: b * a, lambda: nt.exp(a), lambda: a.sum(), lambda: a.mean(), lambda: m @ w.detach().t().requires_grad_()):
        assert all(t.requires_grad and t.grad_fn is not None for t in again(call))
        with nt.no_grad():
            assert all(not t.requires_grad and t.grad_fn is None for t in again(call))
    for _ in range(3):
        w.grad = None
        out = nt.nn.functional.linear(m, w, c)
        assert out.tolist() == [[4.0] * 4] * 2
        out.sum().backward()
        assert w.grad.tolist() == [[2.0] * 3] * 4
    assert not (a > b).requires_grad and not (a > b).requires_grad


def test_more_calls_than_are_remembered():
    for _ in range(2):
        for n in range(1, 600):
            x = nt.ones(n)
            assert (x + x).shape == (n,) and x[n - 1 :].shape == (1,) and x.view(1, n).shape == (1, n) and x.sum().item() == n


@pytest.mark.skipif(not library.JIT, reason="there is compiled code only with the JIT")
def test_references_are_neither_lost_nor_kept():
    x, y = nt.ones(7), nt.ones(7, requires_grad=True)

    def calls():
        return x + x, x * 2.0, x[1:3], x.view(7, 1), x.sum(0), nt.exp(y), y + x

    for _ in range(3):
        calls()
    gc.collect()
    counted = (None, False, True, x, y, x._spec, x._storage)
    before = [sys.getrefcount(t) for t in counted]
    for _ in range(200):
        calls()
    gc.collect()
    after = [sys.getrefcount(t) for t in counted]
    assert all(abs(a - b) < 50 for a, b in zip(after, before)), (before, after)


def test_threads_share_what_is_known():
    wrong = []

    def work(k):
        for i in range(300):
            x = nt.full((1 + (i * k) % 90,), float(k))
            if (x + x)[0].item() != 2 * k or x.sum().item() != k * x.numel():
                wrong.append((k, i))

    threads = [threading.Thread(target=work, args=(k,)) for k in range(1, 5)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong


def test_subclasses_and_batches():
    class Mine(nt.Tensor):
        pass

    x = nt.ones(3).as_subclass(Mine) if hasattr(nt.Tensor, "as_subclass") else nt.nn.Parameter(nt.ones(3), requires_grad=False)
    assert all(t.tolist() == [2.0] * 3 for t in again(lambda: x + x))
    for _ in range(3):
        assert nt.vmap(lambda a: (a + a)[1:].sum())(nt.ones(2, 3)).tolist() == [4.0, 4.0]


def test_a_number_on_the_left_of_a_recorded_call():
    """The second call is a known one; what it keeps for the derivative is the number, not a tensor."""
    for _ in range(3):
        x = nt.tensor([0.5, 2.0], requires_grad=True)
        nt.special.xlog1py(3.0, x).sum().backward()
        np.testing.assert_allclose(x.grad.numpy(), 3 / (1 + np.array([0.5, 2.0])), rtol=1e-6)
        x.grad = None
        (2 - x).sum().backward()
        assert x.grad.tolist() == [-1, -1]

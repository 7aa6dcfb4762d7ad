"""Views share memory with their base, and so does what is written through them, gradients included."""

import numpy as np
import pytest
from compare import equal, outcome

import numtape as nt

VIEWS = {
    "view": lambda x: x.view(6, 4), "reshape": lambda x: x.reshape(-1), "t": lambda x: x.t(), "transpose": lambda x: x.transpose(0, 1), "permute": lambda x: x.permute(1, 0),
    "unsqueeze": lambda x: x.unsqueeze(1), "squeeze": lambda x: x.unsqueeze(0).squeeze(0), "flatten": lambda x: x.flatten(), "narrow": lambda x: x.narrow(1, 2, 3),
    "select": lambda x: x.select(0, 1), "slice": lambda x: x[1:, ::2], "int": lambda x: x[2], "element": lambda x: x[1, 2], "none": lambda x: x[None, :, None],
    "unbind": lambda x: x.unbind(1)[3], "split": lambda x: x.split(2)[1], "chunk": lambda x: x.chunk(3, 1)[2], "unflatten": lambda x: x.unflatten(1, (2, 3)),
    "movedim": lambda x: x.movedim(0, 1), "T": lambda x: x.T, "mT": lambda x: x.mT, "detach": lambda x: x.detach(), "view of view": lambda x: x[1:].t()[::2], "ravel": lambda x: x.ravel(),
}  # fmt: skip


def base(m, kind="f4"):
    return m.from_numpy(np.arange(24).reshape(4, 6).astype(kind))


@pytest.mark.parametrize("name", VIEWS)
def test_memory_is_shared(torch, name):
    f = VIEWS[name]
    for m in (nt, torch):
        x = base(m)
        v = f(x)
        assert v.shape == tuple(f(x).shape)
        v.fill_(-1)
        assert int((x == -1).sum()) == v.numel()
        x.zero_()
        assert not bool(v.any())
    mine, theirs = f(base(nt)), f(base(torch))
    assert [s for s, n in zip(mine.stride(), mine.shape) if n > 1] == [s for s, n in zip(theirs.stride(), theirs.shape) if n > 1]
    assert mine.storage_offset() == theirs.storage_offset()
    assert mine.is_contiguous() == theirs.is_contiguous()
    equal([mine], [theirs])


def test_expand_is_a_view(torch):
    for m in (nt, torch):
        x = m.zeros(3, 1)
        v = x.expand(3, 4)
        x[1] = 5
        assert v.stride() == (1, 0) and v[1].tolist() == [5] * 4
        assert m.broadcast_to(x, (2, 3, 4)).stride() == (0, 1, 0)


def test_numpy_shares_memory():
    array = np.zeros((2, 3), "f4")
    x = nt.from_numpy(array)
    array[0, 1] = 7
    assert x[0, 1].item() == 7
    x[1] = 3
    assert array[1].tolist() == [3, 3, 3]
    y = nt.ones(3)
    y.numpy()[0] = 9
    assert y.tolist() == [9, 1, 1]
    z = nt.ones(4).numpy()  # outlives its tensor
    assert z.tolist() == [1] * 4
    assert nt.tensor(array).data_ptr() != x.data_ptr() == nt.as_tensor(array).data_ptr()


def test_copies_do_not_share():
    x = base(nt)
    for f in (lambda x: x.clone(), lambda x: x.t().contiguous(), lambda x: x.t().reshape(-1), lambda x: x.to(nt.float64), lambda x: x + 0, lambda x: x[nt.tensor([0, 1])]):
        y = f(x)
        y.zero_()
        assert x.tolist() == base(nt).tolist()
    assert x.contiguous() is x and x.to(nt.float32) is x


WRITES = {
    "view": lambda m, x, y: x[0].mul_(y),
    "two views": lambda m, x, y: (x[0].add_(y), x[:, 1].mul_(3)),
    "overlapping views": lambda m, x, y: (x[1:3].mul_(2), x[2:].add_(y), x.view(-1)[3].fill_(0)),
    "transposed": lambda m, x, y: x.t()[2].mul_(y[:4]),
    "view of view": lambda m, x, y: x[1:][:, 2:4].mul_(y[:2]),
    "setitem": lambda m, x, y: x.__setitem__((slice(1, 3), 2), y[:2]),
    "setitem number": lambda m, x, y: x.__setitem__(1, 0.5),
    "setitem row": lambda m, x, y: x.__setitem__(slice(None), y),
    "copy": lambda m, x, y: x[2].copy_(y * 2),
    "fill": lambda m, x, y: x[2].fill_(1),
    "whole": lambda m, x, y: x.mul_(y),
    "unary": lambda m, x, y: x[:2].exp_(),
    "view before": lambda m, x, y: None,
}


@pytest.mark.parametrize("name", WRITES)
def test_gradients_after_writing_through_views(torch, name):
    def grads(m):
        a = m.from_numpy(np.linspace(0.1, 1, 24).reshape(4, 6)).requires_grad_()
        b = m.from_numpy(np.linspace(1, 2, 6)).requires_grad_()
        x = a * 2
        early, flat = x[1], x.view(-1)  # views taken before the write see it too
        WRITES[name](m, x, b)
        if name == "view before":
            early.mul_(b)
        weights = m.arange(24, dtype=m.float64)
        ((x.reshape(-1) * weights).sum() + (early * b).sum() + (flat[::3] ** 2).sum()).backward()
        return [x.detach(), early.detach(), a.grad, m.zeros_like(b) if b.grad is None else b.grad]

    equal(outcome(lambda: grads(nt)), outcome(lambda: grads(torch)), name)


def test_writing_a_recorded_value_into_a_buffer(torch):
    def grads(m):
        a = m.from_numpy(np.linspace(1, 2, 3)).requires_grad_()
        buffer = m.zeros(2, 3, dtype=m.float64)
        row = buffer[1]
        assert not row.requires_grad
        row.copy_(a * 3)
        assert buffer.requires_grad and row.requires_grad and not buffer.is_leaf
        later = buffer[0]
        buffer[0] = a.exp()
        ((buffer * buffer).sum() + row.sum() * 2 + later.sin().sum()).backward()
        return [buffer.detach(), a.grad]

    equal(grads(nt), grads(torch))


def test_grad_fn_of_views_follows_the_base(torch):
    for m in (nt, torch):
        x = m.ones(2, 3, requires_grad=True) * 1
        v = x[0]
        before = v.grad_fn
        x.mul_(2)
        assert v.grad_fn is not before and v.requires_grad
        (g,) = m.autograd.grad(v.sum(), x) if m is torch else nt.autograd.grad(v.sum(), x)
        assert g.tolist() == [[1, 1, 1], [0, 0, 0]]


def test_errors_of_writing(torch):
    def leaf(m):
        m.ones(3, requires_grad=True).add_(1)

    def view_of_leaf(m):
        m.ones(2, 3, requires_grad=True)[0].add_(1)

    def setitem_leaf(m):
        m.ones(3, requires_grad=True)[0] = 1

    def expanded(m):
        m.ones(3, 1).expand(3, 2).add_(1)

    def wrong_view(m):
        m.ones(2, 3).t().view(-1)

    def wrong_size(m):
        m.ones(2, 3).view(4, 2)

    def saved(m):
        x = m.ones(3, requires_grad=True) * 1
        y = x.exp()
        y.add_(1)
        y.sum().backward()

    for f in (leaf, view_of_leaf, setitem_leaf, expanded, wrong_view, wrong_size, saved):
        for m in (nt, torch):
            with pytest.raises(RuntimeError):
                f(m)


def test_leaf_may_be_written_without_recording(torch):
    for m in (nt, torch):
        x = m.ones(3, requires_grad=True)
        with m.no_grad():
            x.add_(1)
            x[0] = 9
        x.data.mul_(2)
        x.detach()[1] = 0
        assert x.tolist() == [18, 0, 4] and x.is_leaf and x.requires_grad


def test_views_of_everything_there_is(torch):
    for shape, target in [((2, 0, 3), (0,)), ((1, 4, 1), (4,)), ((), (1, 1)), ((2, 3, 4), (2, 1, 12)), ((0,), (3, 0))]:
        assert nt.zeros(shape).view(target).shape == target == tuple(torch.zeros(shape).view(target).shape)
    x, y = nt.zeros(4, 6)[:, ::2], torch.zeros(4, 6)[:, ::2]
    assert x.view(2, 2, 3).stride() == y.view(2, 2, 3).stride()
    for target in ((12,), (2, 6), (4, 3, 1), (4, 1, 3)):
        assert isinstance(outcome(lambda: x.view(target)), Exception) == isinstance(outcome(lambda: y.view(target)), Exception), target  # noqa: B023

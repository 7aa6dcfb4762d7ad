"""Indexing by tensors and masks, scatters: arbitrary indices against NumPy, errors and histories against PyTorch."""

import numpy as np
import pytest
from compare import equal, outcome
from hypothesis import given, settings
from hypothesis import strategies as st

import numtape as nt


@st.composite
def cases(draw):
    """A shape and an index of it with slices, integer arrays and masks (no ints, which NumPy places otherwise)."""
    shape = tuple(draw(st.lists(st.integers(1, 4), min_size=1, max_size=4)))
    common = tuple(draw(st.lists(st.integers(1, 3), min_size=1, max_size=2)))
    rng = np.random.default_rng(draw(st.integers(0, 1000)))
    items, d = [], 0
    while d < len(shape) and len(items) < 4:
        kind = draw(st.sampled_from(["slice", "index", "mask", "none"]))
        if kind == "slice":
            items.append(slice(draw(st.none() | st.integers(-4, 4)), None, draw(st.none() | st.integers(1, 3))))
            d += 1
        elif kind == "index":
            sizes = tuple(1 if draw(st.booleans()) else n for n in common)
            items.append(rng.integers(-shape[d], shape[d], sizes))
            d += 1
        elif kind == "mask":
            n = draw(st.integers(1, len(shape) - d))
            mask = np.zeros(shape[d : d + n], bool)  # as many as the index tensors have, so that they broadcast
            mask.reshape(-1)[rng.permutation(mask.size)[: common[-1]]] = True
            items.append(mask)
            d += n
        else:
            items.append(None)
    return shape, tuple(items)


def as_index(items):
    return tuple(nt.from_numpy(i.copy()) if isinstance(i, np.ndarray) else i for i in items)


@settings(deadline=None)
@given(cases())
def test_reading_as_numpy(case):
    shape, items = case
    array = np.arange(float(np.prod(shape))).reshape(shape)
    try:
        expected = array[items]
    except IndexError:
        with pytest.raises(IndexError):
            nt.from_numpy(array)[as_index(items)]
        return
    x = nt.from_numpy(array.copy()).requires_grad_()
    found = x[as_index(items)]
    np.testing.assert_array_equal(found.detach().numpy(), expected)
    seed = np.arange(1.0, expected.size + 1).reshape(expected.shape)
    if found.numel():
        (found * nt.from_numpy(seed)).sum().backward()
        slope = np.zeros(shape)
        np.add.at(slope, items, seed)
        np.testing.assert_array_equal(x.grad.numpy(), slope)


@settings(deadline=None)
@given(cases(), st.booleans())
def test_writing_as_numpy(case, transposed):
    shape, items = case
    array = np.zeros(shape)
    try:
        values = np.arange(1.0, array[items].size + 1).reshape(array[items].shape)
    except IndexError:
        return
    array[items] = values
    x = nt.zeros(*shape[::-1], dtype=nt.float64).permute(*range(len(shape) - 1, -1, -1)) if transposed else nt.zeros(*shape, dtype=nt.float64)
    x[as_index(items)] = nt.from_numpy(values)
    np.testing.assert_array_equal(x.numpy(), array)


ERRORS = {
    "out of range": lambda m, x, i: x[i + 2], "mask shape": lambda m, x, i: x[m.ones(3) > 0], "too many": lambda m, x, i: x[i, i, i], "no broadcast": lambda m, x, i: x[i, m.tensor([0, 1, 2])],
    "float index": lambda m, x, i: x[i * 1.0], "int16 index": lambda m, x, i: x[i.to(m.int16)], "put shape": lambda m, x, i: x.__setitem__(i, m.ones(3, 6)), "put dtype": lambda m, x, i: x.__setitem__(i, m.ones(6, dtype=m.float64)),
    "put mask": lambda m, x, i: x.__setitem__(x == x, m.ones(23)), "put str": lambda m, x, i: x.__setitem__(i, "a"), "put range": lambda m, x, i: x.__setitem__(i + 2, 1.0),
    "index_put tuple": lambda m, x, i: x.index_put_(i, m.ones(6)), "index_put None": lambda m, x, i: x.index_put_((None, i), m.ones(1)), "index_put dtype": lambda m, x, i: x.index_put((i,), m.tensor(1)),
    "take": lambda m, x, i: x.take(i + 22), "take dtype": lambda m, x, i: x.take(i.to(m.int32)), "take empty": lambda m, x, i: m.zeros(0).take(i), "put_ range": lambda m, x, i: x.put_(i - 26, m.ones(2)), "put_ count": lambda m, x, i: x.put_(i, m.ones(3)),
    "along dims": lambda m, x, i: m.take_along_dim(x, i, 0), "along sizes": lambda m, x, i: m.take_along_dim(x, i.reshape(2, 1), 1), "along dtype": lambda m, x, i: m.take_along_dim(x, x, 0),
    "gather range": lambda m, x, i: x.gather(0, (i - 3).reshape(1, 2)), "gather dims": lambda m, x, i: x.gather(0, i), "scatter range": lambda m, x, i: x.scatter_(0, (i + 2).reshape(1, 2), 1.0),
    "scatter dtype": lambda m, x, i: x.scatter_(0, i.reshape(1, 2), m.ones(1, 2, dtype=m.float64)), "scatter dims": lambda m, x, i: x.scatter_(0, i, 1.0), "scatter size": lambda m, x, i: x.scatter_(0, i.reshape(1, 2), m.ones(1, 1)),
    "scatter index": lambda m, x, i: x.scatter(0, x, 1.0), "scatter reduce": lambda m, x, i: x.scatter_(0, i.reshape(1, 2), 1.0, reduce="mean"), "scatter_reduce": lambda m, x, i: x.scatter_reduce_(0, i.reshape(1, 2), m.ones(1, 2), "add"),
    "index_add size": lambda m, x, i: x.index_add_(0, i, m.ones(3, 6)), "index_add shape": lambda m, x, i: x.index_add_(0, i, m.ones(2, 5)), "index_add negative": lambda m, x, i: x.index_add_(0, i - 3, m.ones(2, 6)), "index_add dtype": lambda m, x, i: x.index_add_(0, i, m.ones(2, 6, dtype=m.float64)),
    "index_copy range": lambda m, x, i: x.index_copy_(0, i + 2, m.ones(2, 6)), "index_copy size": lambda m, x, i: x.index_copy_(0, i, m.ones(3, 6)), "index_copy dims": lambda m, x, i: x.index_copy_(0, i, m.ones(6)), "index_fill range": lambda m, x, i: x.index_fill_(0, i + 2, 1.0),
    "index_fill value": lambda m, x, i: x.index_fill_(0, i, m.ones(1)), "masked_select": lambda m, x, i: x.masked_select(i), "masked_scatter few": lambda m, x, i: x.masked_scatter_(x == x, m.ones(3)), "masked_scatter mask": lambda m, x, i: x.masked_scatter_(i, m.ones(3)),
    "masked_scatter shape": lambda m, x, i: x[0].masked_scatter_(x == x, m.ones(24)), "select_scatter": lambda m, x, i: x.select_scatter(m.ones(5), 0, 1), "slice_scatter": lambda m, x, i: x.slice_scatter(m.ones(3, 6), 0, 1, 3), "diagonal_scatter": lambda m, x, i: x.diagonal_scatter(m.ones(3)),
    "expanded": lambda m, x, i: m.zeros(1).expand(3).index_add_(0, i, m.ones(2)), "leaf": lambda m, x, i: x.requires_grad_().index_add_(0, i, m.ones(2, 6)), "leaf x[i]": lambda m, x, i: x.requires_grad_().__setitem__(i, 1.0),
}  # fmt: skip


@pytest.mark.parametrize("name", ERRORS)
def test_errors(torch, name):
    """PyTorch's kind of error, and nothing written."""
    theirs = outcome(lambda: ERRORS[name](torch, torch.arange(24.0).reshape(4, 6), torch.tensor([0, 2])))
    x = nt.arange(24.0).reshape(4, 6)
    mine = outcome(lambda: ERRORS[name](nt, x, nt.tensor([0, 2])))
    assert isinstance(theirs, Exception), name
    equal(mine, theirs, name)
    assert x.reshape(-1).tolist() == list(range(24))


def test_out_of_range_names_dim_and_size():
    with pytest.raises(IndexError, match="index -7 is out of bounds for dimension 1 with size 6"):
        nt.zeros(4, 6)[:, nt.tensor([0, -7])]
    with pytest.raises(IndexError, match=r"The shape of the mask \[3\] at index 1 does not match the shape of the indexed tensor \[4, 6\] at index 1"):
        nt.zeros(4, 6)[:, nt.ones(3) > 0]


@pytest.mark.parametrize("change", [
    lambda m, x, i: x.__setitem__(i, x[i] * 2), lambda m, x, i: x[1:].__setitem__((slice(None), i), 3.0), lambda m, x, i: x.t().index_add_(0, i, x.t()[i]), lambda m, x, i: x[:, ::2].scatter_(1, i.reshape(1, 2), x[:1, :2]),
    lambda m, x, i: x[0].masked_scatter_(x[0] > 2, x[1]), lambda m, x, i: x.view(-1).put_(i, x[0, :2] * x[1, :2]), lambda m, x, i: x[1].index_fill_(0, i, x[0, 0]), lambda m, x, i: x.scatter_reduce_(0, i.reshape(1, 2), x[1:2, :2].clone(), "prod"),
    lambda m, x, i: x.index_put_((i, i), x[0, 0].clone(), accumulate=True), lambda m, x, i: x.__setitem__(x > 5, x[0, 1]), lambda m, x, i: x.__setitem__((x > 5) & (x < 9), x[1, 1:4]),
])  # fmt: skip
def test_histories_of_writes(torch, change):
    """In-place writes into tensors and views, of values that depend on them: values, gradients and second gradients."""

    def run(m):
        leaf = m.arange(24.0, dtype=m.float64).reshape(4, 6).requires_grad_()
        x = leaf * 1 + 0.25
        change(m, x, m.tensor([0, 2]))
        (g,) = m.autograd.grad((x * x * x).sum(), leaf, create_graph=True)
        return [x, g, *m.autograd.grad((g * g).sum(), leaf)]

    equal(outcome(lambda: run(nt)), outcome(lambda: run(torch)), memory=False)


def test_operators_on_indexed_places(torch):
    def run(m):
        x = m.arange(24.0).reshape(4, 6)
        x[m.tensor([0, 2])] *= 2
        x[x > 30] += 1
        x[m.tensor([1, 1]), 2] -= 5  # once, as in NumPy
        x[[0, 3], 1:3] /= 2
        return [x]

    equal(run(nt), run(torch))


def test_equal_places(torch):
    """The last write stays, what is added comes in the order of the index, and threads change nothing."""
    rng = np.random.default_rng(0)
    index, values = rng.integers(0, 7, 5000), rng.standard_normal((5000, 300)).astype("f4")
    expected = np.zeros((7, 300), "f4")
    for k, v in zip(index, values):
        expected[k] += v
    i, v = nt.from_numpy(index), nt.from_numpy(values)
    np.testing.assert_array_equal(nt.zeros(7, 300).index_put((i,), v, accumulate=True).numpy(), expected)
    np.testing.assert_array_equal(nt.zeros(7, 300).scatter_add(0, i.unsqueeze(1).expand(5000, 300), v).numpy(), expected)
    x = nt.zeros(7, 300)
    x[i] = v
    for k in range(7):
        np.testing.assert_array_equal(x[k].numpy(), values[np.nonzero(index == k)[0][-1]])


@pytest.mark.parametrize("size", [0, 1, 4095, 4096, 4097, 100_003])
@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 1.0])
def test_nonzero(size, share):
    mask = np.random.default_rng(size).random(size) < share
    np.testing.assert_array_equal(nt.from_numpy(mask).nonzero(as_tuple=True)[0].numpy(), np.nonzero(mask)[0])


def test_forms_of_nonzero(torch):
    for call in (lambda m: m.where(m.tensor([[1, 0], [0, 3]]) > 0), lambda m: m.nonzero(m.tensor(3.0)), lambda m: m.nonzero(m.tensor(0), as_tuple=True), lambda m: m.argwhere(m.tensor([float("nan"), 0.0, -0.0]))):
        equal(outcome(lambda: call(nt)), outcome(lambda: call(torch)), memory=False)  # noqa: B023


def test_extrema_with_nan_and_infinity(torch):
    def run(m):
        x, i = m.tensor([1.0, float("nan"), float("-inf"), 2.0]), m.tensor([0, 0, 1, 2, 2, 3])
        v = m.tensor([float("inf"), 0.0, 5.0, float("nan"), 1.0, 2.0])
        return [x.scatter_reduce(0, i, v, how, include_self=own) for how in ("amax", "amin", "sum", "mean") for own in (True, False)]

    equal(run(nt), run(torch))


@pytest.mark.parametrize("kind", ["bool", "uint8", "int8", "int16", "int32", "int64"])
def test_whole_numbers(torch, kind):
    def run(m):
        x, i = m.tensor([1, 0, 3, 1]).to(getattr(m, kind)), m.tensor([0, 0, 2, 2])
        v = m.tensor([1, 0, 1, 5]).to(getattr(m, kind))
        hows = ("sum", "prod", "amax", "amin") if kind == "bool" else ("sum", "prod", "mean", "amax", "amin")
        found = [x.scatter_reduce(0, i, v, how, include_self=own) for how in hows for own in (True, False)]
        return [*found, x[i], x.index_add(0, i, v), x.index_put((i,), v, accumulate=True), x.scatter(0, i, 1)]

    equal(run(nt), run(torch))


def test_a_list_in_a_list_is_a_tuple_and_warns():
    with pytest.warns(UserWarning, match="non-tuple sequence"):
        assert nt.arange(24).reshape(4, 6)[[[0, 1], [1, 2]]].tolist() == [1, 8]

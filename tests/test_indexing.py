"""Basic indexing and assignment: against NumPy for arbitrary indices, against PyTorch for the rest."""

import numpy as np
import pytest
from compare import equal, outcome
from hypothesis import given
from hypothesis import strategies as st

import numtape as nt


@st.composite
def shapes_and_indices(draw):
    """A shape and a basic index of it: ints, slices with positive steps, None, and perhaps an ellipsis."""
    shape = tuple(draw(st.lists(st.integers(0, 5), max_size=4)))
    used = draw(st.integers(0, len(shape)))
    from_end = draw(st.booleans()) and used < len(shape)
    sizes = shape[len(shape) - used :] if from_end else shape[:used]
    items = []
    for n in sizes:
        if n and draw(st.booleans()):
            items.append(draw(st.integers(-n, n - 1)))
        else:
            bound = st.none() | st.integers(-n - 2, n + 2)
            items.append(slice(draw(bound), draw(bound), draw(st.none() | st.integers(1, 3))))
    if from_end:
        items.insert(0, Ellipsis)
    elif draw(st.booleans()):
        items.append(Ellipsis)
    for _ in range(draw(st.integers(0, 2))):
        items.insert(draw(st.integers(0, len(items))), None)
    return shape, items[0] if len(items) == 1 and draw(st.booleans()) else tuple(items)


@given(shapes_and_indices())
def test_reading_as_numpy(case):
    shape, index = case
    array = np.arange(np.prod(shape, dtype=int)).reshape(shape)
    expected = array[index]
    found = nt.from_numpy(array)[index]
    assert tuple(found.shape) == expected.shape
    np.testing.assert_array_equal(found.numpy(), expected)
    if found.numel():
        assert 0 <= found.data_ptr() - array.ctypes.data < array.nbytes  # a view, not a copy


@given(shapes_and_indices(), st.booleans())
def test_writing_as_numpy(case, number):
    shape, index = case
    array = np.arange(np.prod(shape, dtype=int)).reshape(shape)
    x = nt.from_numpy(array.copy())
    values = -5 if number else -1 - np.arange(array[index].size).reshape(array[index].shape)
    array[index] = values
    x[index] = values if number else nt.from_numpy(np.array(values))
    np.testing.assert_array_equal(x.numpy(), array)


@given(shapes_and_indices())
def test_gradient_of_reading(case):
    shape, index = case
    array = np.zeros(shape)
    x = nt.from_numpy(array.copy()).requires_grad_()
    y = x[index]
    seed = np.arange(1.0, 1 + y.numel()).reshape(tuple(y.shape))
    y.backward(nt.from_numpy(np.array(seed)))
    array[index] = seed
    np.testing.assert_array_equal(x.grad.numpy(), array)


ASSIGNMENTS = {
    "number": lambda m, x: x.__setitem__(0, 5), "row": lambda m, x: x.__setitem__(1, m.arange(6)), "broadcast": lambda m, x: x.__setitem__((slice(None), slice(0, 2)), m.tensor([[7], [8], [9], [1]])),
    "float into int": lambda m, x: x.__setitem__(0, 2.7), "list": lambda m, x: x.__setitem__(0, m.tensor([1, 2, 3, 4, 5, 6])), "self": lambda m, x: x.__setitem__(0, x[1]),
    "leading ones": lambda m, x: x.__setitem__(0, m.ones(1, 1, 6)), "bool value": lambda m, x: x.__setitem__((0, 0), True), "too large": lambda m, x: x.__setitem__(0, m.ones(5)),
    "zero-dim index": lambda m, x: x.__setitem__(m.tensor(2), 1), "all": lambda m, x: x.__setitem__(Ellipsis, 3), "nothing": lambda m, x: x.__setitem__(slice(2, 2), 3),
    "too many": lambda m, x: x.__setitem__((0, 0, 0), 3), "out of range": lambda m, x: x.__setitem__(4, 3), "tensor index": lambda m, x: x.__setitem__(m.tensor([0, 2]), 3),
    "tensor index, rows": lambda m, x: x.__setitem__(m.tensor([0, 2]), m.arange(12).reshape(2, 6)),
}  # fmt: skip


@pytest.mark.parametrize("name", ASSIGNMENTS)
def test_assignment(torch, name):
    def call(m):
        x = m.zeros(4, 6, dtype=m.int64)
        ASSIGNMENTS[name](m, x)
        return [x]

    equal(outcome(lambda: call(nt)), outcome(lambda: call(torch)), name)


READINGS = {
    "out of range": lambda m, x: x[4], "negative out of range": lambda m, x: x[0, -7], "too many": lambda m, x: x[0, 0, 0], "step 0": lambda m, x: x[::0], "negative step": lambda m, x: x[::-1],
    "float": lambda m, x: x[1.5],  "zero-dim": lambda m, x: m.tensor(1)[0], "zero-dim ellipsis": lambda m, x: m.tensor(1)[...],
    "zero-dim none": lambda m, x: m.tensor(1)[None], "numpy int": lambda m, x: x[np.int64(1)], "int tensor": lambda m, x: x[m.tensor(1)], "list": lambda m, x: x[[0, 2]],
    "tensor": lambda m, x: x[m.tensor([0, -1, 1])], "tensor out of range": lambda m, x: x[m.tensor([0, 4])], "matrix of rows": lambda m, x: x[m.tensor([[0, 1], [2, 3]])],
    "int32 tensor": lambda m, x: x[m.tensor([0, 1], dtype=m.int32)], "empty tuple": lambda m, x: x[()], "float tensor": lambda m, x: x[m.tensor([0.0])],
}  # fmt: skip


@pytest.mark.parametrize("name", READINGS)
def test_reading(torch, name):
    def call(m):
        return READINGS[name](m, m.arange(24).reshape(4, 6))

    mine, theirs = outcome(lambda: call(nt)), outcome(lambda: call(torch))
    if name == "tensor out of range":  # PyTorch's error is a plain IndexError too
        assert isinstance(mine, IndexError) and isinstance(theirs, (IndexError, RuntimeError))
        return
    equal(mine, theirs, name)


def test_iteration_length_and_membership(torch):
    for m in (nt, torch):
        x = m.arange(6).reshape(2, 3)
        assert len(x) == 2 and [r.tolist() for r in x] == [[0, 1, 2], [3, 4, 5]]
        assert 4 in x and 7 not in x
        _, b = x
        assert b.tolist() == [3, 4, 5]
        with pytest.raises(TypeError):
            len(m.tensor(1))
        with pytest.raises(TypeError):
            iter(m.tensor(1))


def test_slices_do_not_keep_more_than_they_need():
    """A view of a view is a view of the base, so that chains of views stay flat."""
    x = nt.arange(100)
    v = x
    for _ in range(20):
        v = v[1:]
    assert v.tolist() == list(range(20, 100)) and v.data_ptr() == x.data_ptr() + 20 * 8

"""copy.copy, copy.deepcopy and pickle of tensors, compared with PyTorch's."""

import copy
import pickle

import numpy as np
import pytest

import numtape as nt


def base(m):
    return m.arange(12.0).reshape(3, 4)


def with_grad(m):
    t = m.ones(2, requires_grad=True)
    (t * 3).sum().backward()
    return t


def with_attribute(m):
    t = m.ones(2)
    t.note = "kept"
    return t


TENSORS = {
    "number": lambda m: m.tensor(2.5), "empty": lambda m: m.zeros(0, 3), "leaf": lambda m: m.ones(2, requires_grad=True), "sliced": lambda m: base(m)[1:],
    "transposed": lambda m: base(m).t(), "stepped": lambda m: base(m)[:, ::2], "expanded": lambda m: m.ones(1).expand(4), "int": lambda m: m.tensor([1, 2]),
    "bool": lambda m: m.tensor([True, False]), "not a leaf": lambda m: m.ones(2, requires_grad=True) * 2, "with grad": with_grad, "with attribute": with_attribute,
    "uint8": lambda m: m.tensor([1, 255], dtype=m.uint8),
}  # fmt: skip
COPIES = {"copy": copy.copy, "deepcopy": copy.deepcopy, "pickle": lambda t: pickle.loads(pickle.dumps(t)), "old pickle": lambda t: pickle.loads(pickle.dumps(t, 2))}


def described(m, tensor, copied):
    t = tensor(m)
    try:
        found = copied(t)
    except RuntimeError as problem:
        return type(problem)
    shared = found.data_ptr() == t.data_ptr()
    kind = str(found.dtype).rpartition(".")[2]
    grad = None if not found.is_leaf or found.grad is None else found.grad.tolist()
    return (
        tuple(found.shape), tuple(found.stride()), found.storage_offset(), kind, found.requires_grad, found.is_leaf, found.tolist(), grad, shared,
        found.untyped_storage().nbytes(), getattr(found, "note", None), type(found).__name__,
    )  # fmt: skip


@pytest.mark.parametrize("how", COPIES)
def test_as_pytorch(torch, how):
    for name, tensor in TENSORS.items():
        assert described(nt, tensor, COPIES[how]) == described(torch, tensor, COPIES[how]), f"{how} of {name}"


def test_what_is_shared_stays_shared(torch):
    def change(m):
        whole = m.arange(4.0)
        a, b, c = copy.deepcopy([whole, whole[:2], whole])
        a[0] = 9
        return b.tolist(), a is c, whole.tolist()

    assert change(nt) == change(torch)


def test_memory_of_an_array_that_goes_beyond():
    array = np.arange(6.0)
    t = nt.from_numpy(array[::2])
    for found in (copy.deepcopy(t), pickle.loads(pickle.dumps(t))):
        assert found.tolist() == [0, 2, 4] and found.data_ptr() != t.data_ptr()


def test_subclasses_and_parameters(torch):
    class Mine(nt.Tensor):
        pass

    t = Mine([1.0, 2.0])
    assert type(copy.deepcopy(t)) is Mine and type(copy.copy(t)) is Mine
    p = nt.nn.Parameter(nt.ones(2))
    for found in (copy.deepcopy(p), pickle.loads(pickle.dumps(p)), copy.copy(p)):
        assert type(found) is nt.nn.Parameter and found.requires_grad and found.is_leaf

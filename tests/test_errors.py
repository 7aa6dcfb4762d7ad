"""Errors name the op, what came and what was expected, and are of PyTorch's types."""

import re

import numpy as np
import pytest
from compare import outcome

import numtape as nt

CASES = {
    "broadcast": (lambda m: m.ones(2, 3) + m.ones(4), RuntimeError, ["add", r"\(2, 3\)", r"\(4,\)"]),
    "matmul inner": (lambda m: m.ones(2, 3) @ m.ones(4, 5), RuntimeError, ["matmul", r"\(2, 3\)", r"\(4, 5\)"]),
    "matmul dtype": (lambda m: m.ones(2, 2) @ m.ones(2, 2, dtype=m.float64), RuntimeError, ["float32|float", "float64|double"]),
    "matmul zero-dim": (lambda m: m.tensor(1.0) @ m.ones(2), RuntimeError, ["matmul", "1D"]),
    "matmul batch": (lambda m: m.ones(2, 3, 4) @ m.ones(5, 4, 2), RuntimeError, ["2", "5"]),
    "mm dims": (lambda m: m.mm(m.ones(2, 3), m.ones(3)), RuntimeError, []),
    "bmm batch": (lambda m: m.bmm(m.ones(2, 3, 4), m.ones(3, 4, 2)), RuntimeError, []),
    "dim": (lambda m: m.ones(2, 3).sum(2), IndexError, ["sum", r"\[-2, 1\]", "2"]),
    "dim twice": (lambda m: m.ones(2, 3).sum((0, 0)), RuntimeError, ["sum", "multiple times"]),
    "softmax dim": (lambda m: m.ones(2).softmax(1), IndexError, ["softmax", r"\[-1, 0\]"]),
    "transpose dim": (lambda m: m.ones(2).transpose(0, 1), IndexError, ["transpose"]),
    "permute": (lambda m: m.ones(2, 3).permute(0, 0), RuntimeError, ["permute"]),
    "permute count": (lambda m: m.ones(2, 3).permute(0), RuntimeError, ["permute"]),
    "view": (lambda m: m.ones(2, 3).view(4), RuntimeError, ["view", r"\[4\]", "6"]),
    "reshape -1 twice": (lambda m: m.ones(2, 3).reshape(-1, -1), RuntimeError, ["only one dimension can be inferred"]),
    "expand": (lambda m: m.ones(2, 3).expand(2, 4), RuntimeError, ["expand", "3", "4"]),
    "squeeze dim": (lambda m: m.ones(2).squeeze(3), IndexError, ["squeeze"]),
    "cat": (lambda m: m.cat([m.ones(2, 3), m.ones(2, 4)]), RuntimeError, ["cat", r"Sizes of tensors must match"]),
    "cat nothing": (lambda m: m.cat([]), (RuntimeError, ValueError), ["cat", "non-empty"]),
    "stack": (lambda m: m.stack([m.ones(2), m.ones(3)]), RuntimeError, ["stack", r"\[2\]", r"\[3\]"]),
    "split": (lambda m: m.ones(5).split([2, 2]), RuntimeError, ["split", "5"]),
    "narrow": (lambda m: m.ones(5).narrow(0, 3, 4), RuntimeError, ["narrow", "3", "4", "5"]),
    "gather index": (lambda m: m.ones(3).gather(0, m.tensor([0, 3])), (IndexError, RuntimeError), ["3", "out of bounds"]),
    "gather dims": (lambda m: m.ones(3, 2).gather(0, m.tensor([0])), RuntimeError, ["gather"]),
    "gather size": (lambda m: m.ones(3, 2).gather(0, m.zeros(1, 4, dtype=m.int64)), RuntimeError, ["gather"]),
    "gather dtype": (lambda m: m.ones(3).gather(0, m.tensor([0.0])), (IndexError, RuntimeError), ["gather"]),
    "index_select": (lambda m: m.ones(3).index_select(0, m.tensor([-1])), (IndexError, RuntimeError), ["out of|-1"]),
    "mean of ints": (lambda m: m.arange(3).mean(), RuntimeError, ["mean", "int64|Long"]),
    "softmax of ints": (lambda m: m.arange(3).softmax(0), RuntimeError, ["softmax"]),
    "bitwise of floats": (lambda m: m.ones(2) & m.ones(2), RuntimeError, ["bitwise_and", "float"]),
    "neg of bool": (lambda m: -m.tensor([True]), RuntimeError, ["bool"]),
    "sub of bool": (lambda m: m.tensor([True]) - m.tensor([True]), RuntimeError, ["bool"]),
    "where condition": (lambda m: m.where(m.ones(2), m.ones(2), m.ones(2)), RuntimeError, ["where", "bool"]),
    "masked_fill mask": (lambda m: m.ones(2).masked_fill(m.ones(2), 1), RuntimeError, ["masked_fill", "bool"]),
    "clamp": (lambda m: m.ones(2).clamp(), (ValueError, RuntimeError), ["clamp", "min", "max"]),
    "int division": (lambda m: m.arange(3) // 0, RuntimeError, ["ZeroDivisionError"]),
    "int pow": (lambda m: m.arange(3) ** -1, RuntimeError, ["negative integer powers"]),
    "alpha": (lambda m: m.add(m.arange(3), m.arange(3), alpha=0.5), RuntimeError, ["alpha"]),
    "item": (lambda m: m.ones(2).item(), RuntimeError, ["2 elements", "Scalar"]),
    "bool": (lambda m: bool(m.ones(2)), RuntimeError, ["ambiguous"]),
    "argument": (lambda m: m.exp("x"), TypeError, ["exp"]),
    "operand": (lambda m: m.ones(2) + "x", TypeError, []),
    "left operand": (lambda m: [1] * m.ones(2), TypeError, []),
    "ragged": (lambda m: m.tensor([[1], [2, 3]]), ValueError, ["tensor|expected sequence"]),
    "strings": (lambda m: m.tensor("abc"), (TypeError, ValueError), []),
    "negative size": (lambda m: m.zeros(2, -1), RuntimeError, ["negative dimension -1"]),
    "arange": (lambda m: m.arange(0, 5, -1), RuntimeError, ["arange|bound", "step"]),
    "arange step": (lambda m: m.arange(0, 5, 0), RuntimeError, ["nonzero"]),
    "einsum operands": (lambda m: m.einsum("ij,jk", m.ones(2, 2)), (RuntimeError, ValueError), ["einsum"]),
    "einsum output": (lambda m: m.einsum("ij->k", m.ones(2, 2)), RuntimeError, ["einsum", "k"]),
    "einsum sizes": (lambda m: m.einsum("ij,jk", m.ones(2, 3), m.ones(4, 2)), RuntimeError, ["einsum|subscript", "3", "4"]),
    "out dtype": (lambda m: m.exp(m.ones(2), out=m.ones(2, dtype=m.int64)), RuntimeError, ["can't be cast"]),
    "in-place shape": (lambda m: m.ones(2).add_(m.ones(3, 2)), RuntimeError, [r"output with shape \[2\]", r"\[3, 2\]"]),
    "amax of nothing": (lambda m: m.ones(0, 2).amax(0), IndexError, ["amax"]),
    "max of nothing": (lambda m: m.ones(0).max(), RuntimeError, ["max|amax"]),
    "unknown keyword": (lambda m: m.ones(2).sum(dims=0), TypeError, []),
    "rand of ints": (lambda m: m.rand(2, dtype=m.int64), (RuntimeError, NotImplementedError), []),
    "randint": (lambda m: m.randint(3, 3, (2,)), RuntimeError, ["3"]),
    "to": (lambda m: m.ones(2).to("nowhere"), RuntimeError, []),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_error(torch, name):
    call, kinds, words = CASES[name]
    theirs = outcome(lambda: call(torch))
    assert isinstance(theirs, kinds), f"PyTorch: {theirs!r}"
    mine = outcome(lambda: call(nt))
    assert isinstance(mine, kinds), f"{mine!r}; PyTorch raises {theirs!r}"
    for word in words:
        assert re.search(word, str(mine)), f"{word!r} is not in {mine}"


@pytest.mark.parametrize("call", [lambda: nt.zeros(2**45), lambda: nt.empty(2**20, 2**25), lambda: nt.ones(3, 1).expand(3, 2**45) + 1, lambda: nt.empty(2**62), lambda: nt.arange(2**46)], ids=["zeros", "empty", "add", "bytes", "arange"])
def test_more_than_there_is_memory(call):
    with pytest.raises((MemoryError, RuntimeError), match=r"\w+: .*(allocate|larger than any memory)"):
        call()
    assert nt.ones(3).sum().item() == 3


def test_numbers_too_large():
    with pytest.raises(RuntimeError, match="add"):
        nt.arange(3) + 2**70
    assert (nt.ones(2) * 1e300).tolist() == [float("inf")] * 2


def test_arrays_that_cannot_be_shared():
    with pytest.raises(ValueError, match="negative strides"):
        nt.from_numpy(np.arange(4)[::-1])
    with pytest.raises(TypeError, match="from_numpy|expected"):
        nt.from_numpy(np.array(["a"]))
    with pytest.raises(TypeError, match="np.ndarray"):
        nt.from_numpy([1, 2])


def test_threads():
    for bad in (0, -1, 1.5):
        with pytest.raises((RuntimeError, TypeError), match="set_num_threads"):
            nt.set_num_threads(bad)

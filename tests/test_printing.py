"""Tensors as text: character by character what PyTorch prints."""

import numpy as np
import pytest

import numtape as nt
from numtape import printing

F4, F8 = np.float32, np.float64


def arrays():
    rng = np.random.default_rng(0)
    floats = [
        [0.0], [1.0], [1.5], [-1.0], [0.0, 0.0], [1e-5], [1e-4], [1e8], [1e9], [123456789.0], [1.0, 1000.0], [1.0, 1001.0], [1.0, 2.5, 1000.0],
        [0.1, 1000.0], [1e-3, 1.5], [np.nan], [np.inf, 1.0], [-np.inf, 1.5, np.nan], [np.nan, 0.0], [-np.inf, 0.0], [-0.0, 0.0, 1.0], [1e30, 1.0],
        [1e-30, 1.0], [0.1, 0.2, 0.3], [100.0, 200.0, -3.0], [99999.99], [1e-38], [12345.678, 0.5], [-1e5, 3.0], [1e4, 1e-4], [np.inf, -np.inf],
    ]  # fmt: skip
    cases = [np.array(v, kind) for v in floats for kind in (F4, F8)]
    cases += [np.array(v, F4) for v in (3.0, -2.5, 1e10, np.nan, 0.0)]
    cases += [np.array(v) for v in (3, -7, [1, 20, -300], [[0, 1], [100000, 5]], True, [True, False], [[True], [False]])]
    cases += [np.array([1, 2, 3], kind) for kind in (np.uint8, np.int8, np.int16, np.int32)]
    for shape in [(2, 3), (30,), (100,), (7, 9), (2, 3, 4), (1, 1, 1), (2, 1, 2, 2), (5, 40), (3, 0), (0,), (0, 3), (2, 0, 4), (1001,), (40, 40), (4, 1000)]:
        cases += [rng.standard_normal(shape).astype(F4), rng.integers(-5, 500, shape), rng.random(shape) > 0.5]
        cases.append((rng.standard_normal(shape) * 1e4).astype(F4).round())
    cases += [rng.standard_normal((12, 11, 10)), rng.integers(0, 9, (3, 4, 100)), rng.integers(0, 9, (3, 4, 5, 30)), np.zeros((2000,), F4), np.arange(1000), np.arange(1001)]
    cases += [np.where(rng.random(50) < 0.2, np.nan, rng.standard_normal(50)).astype(F4), 10.0 ** rng.integers(-6, 6, 40)]
    return cases


def text_of(tensor):
    """What is printed, in numtape's name; lines break where PyTorch's do, though that name is two letters longer."""
    return repr(tensor).replace("torch.", "numtape.")


def same(torch, array):
    assert text_of(nt.from_numpy(np.array(array))) == text_of(torch.from_numpy(np.array(array)))


def test_as_pytorch(torch):
    for array in arrays():
        same(torch, array)


OPTIONS = [
    {"precision": 2}, {"precision": 8}, {"threshold": 10}, {"threshold": 5, "edgeitems": 1}, {"linewidth": 40}, {"linewidth": 200},
    {"sci_mode": True}, {"sci_mode": False}, {"profile": "short"}, {"profile": "full"}, {"profile": "short", "linewidth": 50},
    {"threshold": 0}, {"edgeitems": 0, "threshold": 3},
]  # fmt: skip


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_options(torch, options):
    def reset():
        for m in (torch, printing):
            m.set_printoptions(profile="default")
            m.set_printoptions(sci_mode=None)

    reset()
    try:
        torch.set_printoptions(**options)
        printing.set_printoptions(**options)
        for array in arrays():
            same(torch, array)
    finally:
        reset()


def test_unknown_profile():
    with pytest.raises(ValueError, match="profile"):
        printing.set_printoptions(profile="long")


def test_random_tensors(torch):
    rng = np.random.default_rng(1)
    for _ in range(300):
        shape = tuple(rng.integers(0, 6, rng.integers(0, 4)))
        array = np.asarray(rng.standard_normal(shape) * 10.0 ** rng.integers(-6, 7))
        if rng.random() < 0.3:
            array = np.asarray(array.round())
        if rng.random() < 0.2:
            array = np.asarray(np.where(rng.random(shape) < 0.3, rng.choice([np.nan, np.inf, -np.inf, 0.0]), array))
        same(torch, array.astype(rng.choice([F4, F8])))


def test_suffixes(torch):
    for make in (
        lambda m: m.ones(3, requires_grad=True),
        lambda m: m.ones(3, requires_grad=True) * 2,
        lambda m: (m.ones(2, 2, requires_grad=True) + 1).exp(),
        lambda m: m.ones(3, dtype=m.float64, requires_grad=True),
        lambda m: m.ones(3, dtype=m.float64, requires_grad=True).sin(),
        lambda m: m.ones(30, 2, requires_grad=True) - 1,
        lambda m: m.ones(17, requires_grad=True) / 3,
        lambda m: m.ones(18, requires_grad=True) / 3,
        lambda m: m.tensor(2.5, requires_grad=True),
        lambda m: m.zeros(0, 3, requires_grad=True),
        lambda m: m.zeros(0, dtype=m.int64),
        lambda m: m.zeros(0, 2, dtype=m.float64),
        lambda m: m.ones(2, 3, requires_grad=True).t(),
        lambda m: m.ones(2, requires_grad=True).sigmoid(),
        lambda m: m.ones(2, requires_grad=True).sum(),
        lambda m: m.ones(2, 2, requires_grad=True).softmax(0),
        lambda m: m.ones(2, 2, requires_grad=True).mean(),
        lambda m: m.ones(2, 2, requires_grad=True) @ m.ones(2, 2),
        lambda m: m.ones(2, 2, requires_grad=True).sum(0),
        lambda m: m.ones(2, requires_grad=True) ** m.ones(2),
        lambda m: m.ones(2, requires_grad=True).log1p(),
        lambda m: m.linalg.det(m.eye(2).requires_grad_()),
        lambda m: m.nn.functional.linear(m.ones(2, 2), m.ones(2, 2), m.ones(2, requires_grad=True)),
    ):
        assert text_of(make(nt)) == text_of(make(torch))


def test_a_function_of_ones_own(torch):
    def printed(m):
        class Twice(m.autograd.Function):
            @staticmethod
            def forward(ctx, x):
                return x * 2

            @staticmethod
            def backward(ctx, g):
                return g * 2

        return repr(Twice.apply(m.ones(2, requires_grad=True)))

    assert printed(nt) == printed(torch)


def test_other_default_dtype(torch):
    nt.set_default_dtype(nt.float64)
    torch.set_default_dtype(torch.float64)
    try:
        for array in (np.ones(2, F4), np.ones(2), np.ones((0, 2), F4), np.ones((0, 2))):
            same(torch, array)
    finally:
        torch.set_default_dtype(torch.float32)


def test_views_and_format(torch):
    array = np.arange(24, dtype=F4).reshape(4, 6)
    for view in (lambda x: x.t(), lambda x: x[::2, 1:], lambda x: x[1], lambda x: x[2, 3], lambda x: x[:1].expand(3, 6)):
        assert repr(view(nt.from_numpy(array))) == repr(view(torch.from_numpy(array)))
    assert f"{nt.tensor(2.5):.3f}" == f"{torch.tensor(2.5):.3f}" and f"{nt.tensor(2)}" == f"{torch.tensor(2)}"
    assert repr(nt.ones(2).size()) == "numtape.Size([2])"

"""NumPy's functions and numbers meeting tensors, as PyTorch has it; Python's own conversions."""

import math
import operator

import numpy as np
import pytest
from compare import equal, outcome

import numtape as nt

pytestmark = pytest.mark.filterwarnings("ignore:__array_wrap__")  # PyTorch's
A, I = np.array([1.5, 2.5, 3.5]), np.array([1, 2, 3])
BINARY = [operator.add, operator.sub, operator.mul, operator.truediv, operator.floordiv, operator.mod, operator.pow]


def x(m, grad=False):
    return m.tensor([1.0, 2.0, 3.0], requires_grad=grad)


@pytest.mark.parametrize("grad", [False, True])
@pytest.mark.parametrize("number", [np.float64(2), np.float32(2), np.int64(2)], ids=lambda v: type(v).__name__)
def test_numbers_of_numpy(torch, number, grad):
    """They count as Python's numbers: the tensor's dtype stays, and the call is recorded."""
    for f in (*BINARY, operator.lt, operator.eq, operator.ge):
        for call in (lambda m: f(number, x(m, grad)), lambda m: f(x(m, grad), number)):  # noqa: B023
            mine, theirs = outcome(lambda: call(nt)), outcome(lambda: call(torch))  # noqa: B023
            equal(mine, theirs, f"{f.__name__} {number!r}")
            assert mine[0].requires_grad == theirs[0].requires_grad


@pytest.mark.parametrize("f", BINARY, ids=lambda f: f.__name__)
def test_tensor_and_array(torch, f):
    for array in (A, A.astype("f4"), I, np.array(2.0)):
        equal(outcome(lambda: f(x(nt), array)), outcome(lambda: f(x(torch), array)), f.__name__)  # noqa: B023
        # PyTorch refuses an array on the left; NumPy's function of both is what it means
        ufunc = {"sub": np.subtract, "mul": np.multiply, "truediv": np.divide, "floordiv": np.floor_divide, "mod": np.remainder, "pow": np.power}.get(f.__name__, np.add)
        equal(outcome(lambda: f(array, x(nt))), outcome(lambda: ufunc(array, x(torch))), f"{f.__name__} left")  # noqa: B023
    with pytest.raises(RuntimeError, match="requires grad"):
        f(x(nt, True), A)


def test_functions_of_one(torch):
    for name in ("sin", "exp", "sign", "absolute", "modf", "frexp"):
        ufunc = getattr(np, name)
        for make in (x, lambda m: m.tensor(1.5), lambda m: m.tensor([1, 2]), lambda m: m.ones(2, 3).t(), lambda m: m.zeros(0, 2)):
            equal(outcome(lambda: ufunc(make(nt))), outcome(lambda: ufunc(make(torch))), name)  # noqa: B023
        with pytest.raises(RuntimeError, match=f"numpy.{name}.*requires grad"):
            ufunc(x(nt, True))
    assert np.isnan(x(nt)).dtype is nt.bool  # where PyTorch, for want of bools once, still gives uint8


def test_reductions_and_other_methods(torch):
    cases = [
        lambda m: np.add.reduce(m.ones(2, 3), axis=1), lambda m: np.maximum.reduce(x(m)), lambda m: np.add.accumulate(x(m)), lambda m: np.add.reduceat(x(m), [0, 1]),
        lambda m: np.cumsum(x(m)), lambda m: np.reshape(x(m), (3, 1)), lambda m: np.argsort(x(m)), lambda m: np.repeat(x(m), 2), lambda m: np.matmul(np.ones((2, 3)), m.ones(3, 2)),
        lambda m: np.sin(x(m), dtype=np.float64), lambda m: np.divmod(x(m), 2), lambda m: np.mean(x(m)), lambda m: np.max(x(m)),
    ]  # fmt: skip
    for k, call in enumerate(cases):
        equal(outcome(lambda: call(nt)), outcome(lambda: call(torch)), str(k))  # noqa: B023
    assert np.add.outer(x(nt), x(nt)).shape == (3, 3)


def test_scipy(torch):
    scipy = pytest.importorskip("scipy.special")
    equal(outcome(lambda: scipy.gamma(x(nt))), outcome(lambda: scipy.gamma(x(torch))))
    equal(outcome(lambda: scipy.gammainc(A, x(nt))), outcome(lambda: scipy.gammainc(A, x(torch))))
    with pytest.raises(RuntimeError, match="gamma.*requires grad"):
        scipy.gamma(x(nt, True))


def test_out(torch):
    out, array = nt.zeros(3), np.zeros(3, "f4")
    before = out._version
    assert np.sin(x(nt), out=out) is out and out._version > before
    assert np.add(x(nt), A.astype("f4"), out=array) is array
    np.testing.assert_allclose(out.numpy(), np.sin([1, 2, 3]), rtol=1e-6)
    np.testing.assert_allclose(array, [2.5, 4.5, 6.5])
    y = nt.ones(3)
    np.add.at(y, [0, 0], 1)
    assert y.tolist() == [3.0, 1.0, 1.0]
    a = A.copy()
    a += x(nt)
    assert type(a) is np.ndarray and a.tolist() == [2.5, 4.5, 6.5]
    t = x(nt)
    t += A  # a new tensor of the wider dtype, as in PyTorch
    assert t.dtype is nt.float64 and t.tolist() == [2.5, 4.5, 6.5]
    # an overwritten tensor is noticed by the tape
    w, v = nt.ones(3, requires_grad=True), nt.ones(3)
    product = w * v
    np.multiply(v, 2, out=v)
    with pytest.raises(RuntimeError, match="modified by an inplace"):
        product.sum().backward()


def test_others_protocols_come_first():
    class Other:
        def __array_ufunc__(self, ufunc, method, *inputs, **kwargs):
            return "other"

        def __radd__(self, other):
            return "radd"

    assert np.add(nt.ones(2), Other()) == "other"


def test_arrays_of_tensors(torch):
    for call in (
        lambda m: m.from_numpy(np.asarray(x(m), dtype="f8")), lambda m: m.from_numpy(np.array([m.tensor(1.0), m.tensor(2.0)])), lambda m: m.from_numpy(A[m.tensor([0, 2])]),
        lambda m: m.from_numpy(A[m.tensor([True, False, True])]), lambda m: x(m)[np.array([0, 2])], lambda m: np.asarray(x(m, True)),
    ):  # fmt: skip
        equal(outcome(lambda: call(nt)), outcome(lambda: call(torch)))  # noqa: B023
    t = x(nt)
    np.asarray(t)[0] = 9
    assert t[0] == 9 and np.array(t, copy=True) is not t
    with pytest.raises(ValueError, match="copy"):
        np.array(t, dtype="f8", copy=False)


PYTHON = {
    "int": lambda m: int(m.tensor(2.7)), "int of one": lambda m: int(m.tensor([[2.7]])), "int of two": lambda m: int(m.ones(2)), "int of none": lambda m: int(m.ones(0)),
    "int nan": lambda m: int(m.tensor(math.nan)), "int inf": lambda m: int(m.tensor(math.inf)), "int grad": lambda m: int(m.tensor(2.0, requires_grad=True)),
    "float": lambda m: float(m.tensor(3)), "float of two": lambda m: float(m.ones(2)), "complex": lambda m: complex(m.tensor(2.5)), "complex of two": lambda m: complex(m.ones(2)),
    "bool": lambda m: bool(m.tensor(0.0)), "bool of one": lambda m: bool(m.ones(1, 1)), "bool of two": lambda m: bool(m.ones(2)), "bool of none": lambda m: bool(m.ones(0)),
    "bool nan": lambda m: bool(m.tensor(math.nan)), "index": lambda m: [1, 2, 3][m.tensor(1)], "index float": lambda m: [1, 2, 3][m.tensor(1.0)],
    "index of one": lambda m: [1, 2, 3][m.tensor([1])], "index of two": lambda m: [1][m.tensor([1, 2])], "index bool": lambda m: [1, 2][m.tensor(True)], "range": lambda m: list(range(m.tensor(3))),
    "len": lambda m: len(m.ones(2, 3)), "len of number": lambda m: len(m.tensor(1)), "len of none": lambda m: len(m.ones(0, 3)),
    "iter": lambda m: [t.tolist() for t in m.ones(2, 2)], "iter of number": lambda m: list(m.tensor(1)), "iter of none": lambda m: list(m.ones(0, 2)),
    "iter grad": lambda m: [t.requires_grad for t in x(m, True)], "reversed": lambda m: reversed(x(m)).tolist(), "reversed number": lambda m: reversed(m.tensor(1)).tolist(),
    "in": lambda m: 2 in x(m), "in tensor": lambda m: m.tensor(2.0) in x(m), "in str": lambda m: "a" in x(m), "in None": lambda m: None in x(m), "in list": lambda m: [1.0] in x(m),
    "del": lambda m: operator.delitem(x(m), 0), "sqrt": lambda m: math.sqrt(m.tensor(4.0)), "floor": lambda m: math.floor(m.tensor(2.5)), "sum": lambda m: sum(x(m)).tolist(),
    "sorted": lambda m: [t.item() for t in sorted(x(m))], "item": lambda m: m.ones(1, 1).item(), "item of two": lambda m: m.ones(2).item(), "tolist": lambda m: m.tensor(2.5).tolist(),
    "eq None": lambda m: x(m) == None, "ne str": lambda m: x(m) != "a", "add None": lambda m: x(m) + None, "format": lambda m: f"{m.tensor(3):>5}{m.tensor(2.5):.3f}",  # noqa: E711
    "format many": lambda m: f"{x(m):.2f}",
}  # fmt: skip


@pytest.mark.parametrize("name", PYTHON)
def test_python(torch, name):
    mine, theirs = (outcome(lambda m=m: PYTHON[name](m)) for m in (nt, torch))
    if isinstance(theirs, Exception):
        assert type(mine) is type(theirs), f"{mine!r}; PyTorch: {theirs!r}"
    else:
        assert mine == theirs and type(mine[0] if mine else 0) is type(theirs[0] if theirs else 0)

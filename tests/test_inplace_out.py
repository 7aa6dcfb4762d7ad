"""In-place methods and out= of every op that has them, against PyTorch."""

import inspect

import numpy as np
import pytest
from compare import equal, outcome
from samples import contiguous, data, function, names, samples_of, telling

import numtape as nt
from numtape.op import TABLE

# In-place methods that PyTorch lacks have nothing to be compared with.
INPLACE = [n for n in names("elementwise") if hasattr(nt.Tensor, f"{n}_") and n not in ("maximum", "minimum")]
OUT = [n for n in names() if hasattr(nt, n) and "out" in inspect.signature(getattr(nt, n)).parameters and not TABLE[n].traits.get("creation")]
# Ops whose result PyTorch converts to the dtype of out=.
CONVERTS = ("add", "sub", "mul", "div", "exp")
TOLERANCE = {"tan": (2e-5, 2e-5), "pow": (2e-5, 1e-6), "prod": (2e-5, 1e-6)}


@pytest.mark.parametrize("name", INPLACE)
def test_in_place(torch, name, layout="contiguous"):
    for sample in samples_of(name)[:3]:
        equal(method(nt, sample, name, layout), method(torch, sample, name, layout), f"{sample} in place", TOLERANCE.get(name))


@pytest.mark.parametrize("name", telling(INPLACE))
def test_in_place_of_every_second_element(torch, name):
    test_in_place(torch, name, "stepped")


def method(m, sample, name, layout, kind="float32"):
    def call():
        tensors = sample.tensors(m, kind, layout)
        calls = []

        def recorder(*args, **options):
            calls.append((args, options))
            return args[0]

        with_recorder(sample, name, recorder, m, tensors)
        (args, options), *_ = calls
        result = getattr(args[0], f"{name}_")(*args[1:], **options)
        assert result is args[0]
        return [args[0]]

    return outcome(call)


def with_recorder(sample, name, recorder, m, tensors):
    """Run a sample with the function `name` replaced: what it would be called with."""
    import samples

    original = samples.function
    samples.function = lambda m, n: recorder if n == name else original(m, n)
    try:
        sample.call(m, *tensors)
    finally:
        samples.function = original


@pytest.mark.parametrize("name", telling(n for n in INPLACE if TABLE[n].names in (("x",), ("x", "y"))))
def test_in_place_dtypes(torch, name):
    """Which dtypes an in-place method accepts. Without elements, so that nothing has to be compiled."""
    for a in ("bool", "uint8", "int64", "float32"):
        for b in ("bool", "int64", "float32", "float64") if TABLE[name].names == ("x", "y") else (None,):

            def call(m, a=a, b=b):
                x = m.zeros(0, dtype=getattr(m, a))
                return getattr(x, f"{name}_")(*([m.zeros(0, dtype=getattr(m, b))] if b else []))

            equal(outcome(lambda: call(nt)), outcome(lambda: call(torch)), f"{a}.{name}_({b})")


@pytest.mark.filterwarnings("ignore:An output with one or more elements was resized")
@pytest.mark.parametrize("name", OUT)
def test_out(torch, name):
    sample = samples_of(name)[0]

    def call(m, make_out):
        tensors = sample.tensors(m, "float32")
        calls = []
        with_recorder(sample, name, lambda *args, **options: calls.append((args, options)) or args[0], m, tensors)
        if not calls:  # the sample calls a method: out= belongs to the function
            calls = [composite_call(name, tensors)]
        args, options = calls[0]
        plain = function(m, name)(*args, **options)
        if isinstance(plain, tuple):
            return plain
        out = make_out(m, plain)
        result = function(m, name)(*args, out=out, **options)
        assert result is out
        return [out]

    if name in CONVERTS:
        make_out = lambda m, like: m.zeros(tuple(like.shape), dtype=m.float64)
        equal([call(nt, make_out)[0]], [call(torch, make_out)[0]], f"{name} out= float64", (1e-6, 1e-6), memory=False)
    for what, make_out in {
        "exact": lambda m, like: m.zeros_like(like),
        "empty": lambda m, like: m.empty(0, dtype=like.dtype),
        "strided": lambda m, like: m.zeros(*like.shape, 2, dtype=like.dtype)[..., 0] if like.ndim else m.zeros_like(like),
    }.items():
        mine, theirs = outcome(lambda: call(nt, make_out)), outcome(lambda: call(torch, make_out))  # noqa: B023
        if isinstance(theirs, TypeError):  # PyTorch has no out= in this form
            assert not isinstance(mine, Exception), f"{name} out= {what}: {mine!r}"
        else:
            equal(mine, theirs, f"{name} out= {what}", TOLERANCE.get(name), memory=False)


def composite_call(name, tensors):
    """The arguments of ops whose samples are methods or operators."""
    i = tensors[-1]
    return {
        "index_select": lambda: ((tensors[0], 0, i), {}),
        "gather": lambda: ((tensors[0], 0, i), {}),
        "cat": lambda: ((tensors,), {}),
        "stack": lambda: ((tensors,), {}),
    }[name]()


def test_out_of_another_shape():
    """PyTorch resizes such an output with a warning that this will be an error: here it is one."""
    for shape in ((3,), (4, 5, 1), (1,)):
        with pytest.raises(RuntimeError, match=r"exp: out: expected shape \[4, 5\]"):
            nt.exp(nt.ones(4, 5), out=nt.ones(shape))


@pytest.mark.filterwarnings("ignore:An output with one or more elements was resized")
def test_out_and_gradients(torch):
    for m in (nt, torch):
        x = m.ones(3, requires_grad=True)
        with pytest.raises(RuntimeError, match="out=... arguments don't support automatic differentiation"):
            m.exp(x, out=m.empty(3))
        with m.no_grad():
            assert m.exp(x, out=m.empty(3)).shape == (3,)


def test_in_place_result_must_fit(torch):
    for call in (
        lambda m: m.ones(3).add_(m.ones(2, 3)),
        lambda m: m.ones(1).mul_(m.ones(3)),
        lambda m: m.ones(3, dtype=m.int64).add_(1.5),
        lambda m: m.ones(3, dtype=m.int64).div_(2),
        lambda m: m.ones(3, dtype=m.bool).add_(1),
        lambda m: m.ones(3).expand(2, 3).add_(1),
        lambda m: m.ones(3, dtype=m.int64).copy_(m.ones(3) * 2.7),
        lambda m: m.ones(2, 3).copy_(m.ones(4)),
        lambda m: m.ones(3, dtype=m.uint8).add_(300),
    ):
        equal(outcome(lambda: call(nt)), outcome(lambda: call(torch)))  # noqa: B023


def test_overlapping_operands(torch):
    """Shifted views of one memory: the result is as if the operand had been copied first. PyTorch refuses some of these."""
    for f in (lambda x: x[1:].copy_(x[:-1].clone()), lambda x: x[1:].add_(x[:-1].clone()), lambda x: x.add_(x), lambda x: x.mul_(x.clone())):
        equal(*([f(contiguous(m, np.arange(10.0, dtype="f4")))] for m in (nt, torch)))
    square = np.arange(16.0, dtype="f4").reshape(4, 4)
    x = nt.from_numpy(square.copy())
    x.add_(x.t())
    np.testing.assert_array_equal(x.numpy(), square + square.T)
    y = nt.from_numpy(np.arange(10.0, dtype="f4"))
    y[1:].add_(y[:-1])
    np.testing.assert_array_equal(y.numpy(), [0, *(np.arange(1, 10) + np.arange(9))])


OPERATORS = ["x += y", "x -= y", "x *= 2", "x /= y", "x //= 2", "x %= 2", "x **= 2", "x += 1.5", "x @= y"]


@pytest.mark.parametrize("statement", OPERATORS)
@pytest.mark.parametrize("kind", ["float32", "int64"])
def test_augmented_assignment(torch, statement, kind):
    def call(m):
        names_ = {"x": contiguous(m, (abs(data(3, 3)) + 1).astype(kind)), "y": contiguous(m, (abs(data(3, 3, seed=1)) + 1).astype(kind))}
        before = names_["x"]
        exec(statement, {}, names_)
        assert "@" in statement or names_["x"] is before
        return names_["x"]

    equal(outcome(lambda: call(nt)), outcome(lambda: call(torch)), statement)


def test_masks_and_integers(torch):
    for statement in ("x &= y", "x |= y", "x ^= y"):
        for kind in ("bool", "int64"):

            def call(m, statement=statement, kind=kind):
                names_ = {"x": contiguous(m, np.arange(6).astype(kind)), "y": contiguous(m, np.arange(6)[::-1].astype(kind))}
                exec(statement, {}, names_)
                return names_["x"]

            equal([call(nt)], [call(torch)], f"{statement} {kind}")


FILLS = [
    lambda x: x.fill_(2.5), lambda x: x.zero_(), lambda x: x.copy_(x * 2), lambda x: x.clamp_(-1, 1), lambda x: x.clamp_(max=0.5), lambda x: x.pow_(2), lambda x: x.round_(),
    lambda x: x.masked_fill_(x > 0, -1), lambda x: x.add_(x, alpha=2), lambda x: x.sub_(x, alpha=3), lambda x: x.addcmul_(x, x, value=0.5), lambda x: x.lerp_(x * 2, 0.25),
    lambda x: x.div_(2), lambda x: x.addcdiv_(x, x + 10, value=2), lambda x: x.t().mul_(2),
]  # fmt: skip


@pytest.mark.parametrize("k", range(len(FILLS)))
def test_other_methods(torch, k):
    equal(*([FILLS[k](contiguous(m, data(3, 4).astype("f4")))] for m in (nt, torch)))


# ------------------------------------------------------------------------------------------------ with the tape
@pytest.mark.parametrize("name", [n for n in INPLACE if TABLE[n].vjp and n not in ("floor_divide", "zero", "clamp_both", "add_scaled")])
def test_gradient_through_in_place(torch, name):
    sample = samples_of(name)[0]

    def grads(m):
        leaves = [t.requires_grad_() if t.is_floating_point() else t for t in sample.tensors(m, "float64")]
        calls = []
        with_recorder(sample, name, lambda *a, **o: calls.append((a, o)) or a[0], m, [t * 1 if t.is_floating_point() else t for t in leaves])
        args, options = calls[0]
        result = getattr(args[0], f"{name}_")(*args[1:], **options)
        seeds = contiguous(m, np.resize(data(31), tuple(result.shape)))
        wanted = [t for t in leaves if t.requires_grad]
        found = m.autograd.grad(result, wanted, seeds, allow_unused=True)
        return [m.zeros_like(t) if g is None else g for t, g in zip(wanted, found)]

    mine, theirs = outcome(lambda: grads(nt)), outcome(lambda: grads(torch))
    if isinstance(theirs, NotImplementedError):  # PyTorch has no derivative of some in-place functions; here they follow from the rules
        assert not isinstance(mine, Exception)
        return
    equal(mine, theirs, f"{name}_", (1e-9, 1e-10), memory=False)

"""`numtape.array_api` against array-api-strict, the standard's reference over NumPy: signatures, values, dtypes."""

import inspect
import os
import subprocess
import sys

import numpy as np
import pytest

import numtape as nt

xp = nt.array_api
strict = pytest.importorskip("array_api_strict")
strict.set_array_api_strict_flags(api_version="2024.12")

INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
FLOATS = ("float32", "float64")
COMPLEX = ("complex64", "complex128")
EVERY = ("bool", *INTEGERS, *FLOATS, *COMPLEX)
TOLERANCE = {"float32": 2e-5, "float64": 1e-10, "complex64": 2e-5, "complex128": 1e-10}
LATER = {"isin", "broadcast_shapes"}  # of the version after ours
OWN = {"ArrayAPIStrictFlags", "Device", "ModuleType", "get_array_api_strict_flags", "reset_array_api_strict_flags", "set_array_api_strict_flags"}


def names_of(module):
    return [n for n in dir(module) if not n.startswith("_") and callable(getattr(module, n)) and n not in LATER | OWN]


def parameters(function):
    return [(p.name, p.kind) for p in inspect.signature(function).parameters.values()]


SPACES = [("", xp, strict), ("linalg", xp.linalg, strict.linalg), ("fft", xp.fft, strict.fft)]


@pytest.mark.parametrize("label, mine, theirs", SPACES, ids=["main", "linalg", "fft"])
def test_every_name_and_signature(label, mine, theirs):
    skip = {"Array", "NamedTuple", "Sequence", "TYPE_CHECKING", "annotations", "partial", "requires_extension", "Literal", "TypedDict", "Any"}
    standard = theirs.__all__ if label else names_of(theirs)
    missing = [n for n in standard if n not in skip and not hasattr(mine, n)]
    assert not missing
    wrong = {}
    for n in standard:
        function = getattr(theirs, n)
        if n in skip or not inspect.isfunction(function):
            continue
        given, wanted = parameters(getattr(mine, n)), parameters(function)
        if given != wanted:
            wrong[n] = given, wanted
    assert not wrong


def data(kind, shape=(3, 4), seed=0):
    rng = np.random.default_rng(seed)
    if kind == "bool":
        return rng.random(shape) > 0.5
    if kind in INTEGERS:
        return rng.integers(0 if kind.startswith("u") else -5, 6, shape).astype(kind)
    a = rng.uniform(-3, 3, shape)
    return (a + 1j * rng.uniform(-2, 2, shape) if kind in COMPLEX else a).astype(kind)


def both(a):
    return nt.from_numpy(a.copy()) if a.ndim else nt.tensor(a), strict.asarray(a)


def listed(found):
    return list(found) if isinstance(found, (tuple, list)) else [found]


def check(call, *arrays, what=""):
    """The same call of both namespaces on the same arrays: shapes, dtypes and values; or an error of both."""
    mine, theirs = zip(*(both(a) for a in arrays))
    try:
        with np.errstate(all="ignore"):
            expected = listed(call(strict, *theirs))
    except Exception as problem:
        expected = problem
    if isinstance(expected, Exception):
        return  # the standard leaves it open: we may do more
    for a, b in zip(listed(call(xp, *mine)), expected):
        if not hasattr(b, "dtype"):
            assert a == b, what
            continue
        assert tuple(a.shape) == b.shape and a.dtype.name == b.dtype._np_dtype.name, f"{what}: {a.dtype} {tuple(a.shape)}, expected {b.dtype} {b.shape}"
        tolerance = TOLERANCE.get(a.dtype.name, 0)
        np.testing.assert_allclose(a.detach().numpy(), np.asarray(b._array), rtol=tolerance, atol=tolerance, err_msg=what)


ONE = ["abs", "acos", "acosh", "asin", "asinh", "atan", "atanh", "bitwise_invert", "ceil", "conj", "cos", "cosh", "exp", "expm1", "floor", "imag", "isfinite", "isinf", "isnan", "log", "log10", "log1p", "log2", "logical_not", "negative", "positive", "real", "reciprocal", "round", "sign", "signbit", "sin", "sinh", "sqrt", "square", "tan", "tanh", "trunc"]  # fmt: skip
TWO = ["add", "atan2", "bitwise_and", "bitwise_left_shift", "bitwise_or", "bitwise_right_shift", "bitwise_xor", "copysign", "divide", "equal", "floor_divide", "greater", "greater_equal", "hypot", "less", "less_equal", "logaddexp", "logical_and", "logical_or", "logical_xor", "maximum", "minimum", "multiply", "nextafter", "not_equal", "remainder", "subtract"]  # fmt: skip


@pytest.mark.parametrize("kind", ["int32", "float64"])
@pytest.mark.parametrize("name", ONE)
def test_functions_of_one(name, kind):
    check(lambda m, x: getattr(m, name)(x), data(kind), what=f"{name} {kind}")


@pytest.mark.parametrize("name", TWO)
def test_functions_of_two(name):
    for kind in ("int32", "uint64", "float64"):
        second = np.abs(data(kind, seed=1)) + 1 if kind in ("int32", "uint64") else data(kind, seed=1)
        check(lambda m, x, y: getattr(m, name)(x, y), data(kind), second.astype(kind), what=f"{name} {kind}")
    check(lambda m, x, y: getattr(m, name)(x, y), data("float32"), data("float64", ()), what=f"{name} with no dims: as wide as the wider")


@pytest.mark.thorough
@pytest.mark.parametrize("name", [*ONE, *TWO])
def test_all_dtypes(name):
    for kind in EVERY:
        arrays = [data(kind), (np.abs(data(kind, seed=1)) + 1).astype(kind)] if name in TWO else [data(kind)]
        check(lambda m, *xs: getattr(m, name)(*xs), *arrays, what=f"{name} {kind}")


CALLS = [
    lambda m, x: m.sum(x), lambda m, x: m.sum(x, axis=0), lambda m, x: m.prod(x, axis=1), lambda m, x: m.sum(x, axis=(0, 1), keepdims=True),
    lambda m, x: m.mean(x, axis=1), lambda m, x: m.max(x), lambda m, x: m.min(x, axis=-1, keepdims=True), lambda m, x: m.var(x), lambda m, x: m.std(x, axis=0, correction=1.0),
    lambda m, x: m.all(x), lambda m, x: m.any(x, axis=1), lambda m, x: m.argmax(x), lambda m, x: m.argmin(x, axis=0, keepdims=True),
    lambda m, x: m.count_nonzero(x, axis=0), lambda m, x: m.cumulative_sum(x, axis=1), lambda m, x: m.cumulative_sum(x, axis=0, include_initial=True),
    lambda m, x: m.cumulative_prod(x, axis=1), lambda m, x: m.sort(x), lambda m, x: m.sort(x, axis=0, descending=True), lambda m, x: m.argsort(x),
    lambda m, x: m.unique_values(x), lambda m, x: m.unique_counts(x), lambda m, x: m.unique_inverse(x), lambda m, x: m.nonzero(x),
    lambda m, x: m.reshape(x, (2, 6)), lambda m, x: m.permute_dims(x, (1, 0)), lambda m, x: m.flip(x), lambda m, x: m.flip(x, axis=1), lambda m, x: m.roll(x, 2),
    lambda m, x: m.roll(x, (1, 2), axis=(0, 1)), lambda m, x: m.expand_dims(x, axis=1), lambda m, x: m.squeeze(m.expand_dims(x, axis=0), 0), lambda m, x: m.repeat(x, 2, axis=1),
    lambda m, x: m.repeat(x, 3), lambda m, x: m.tile(x, (2, 1)), lambda m, x: m.concat([x, x], axis=1), lambda m, x: m.concat([x, x], axis=None), lambda m, x: m.stack([x, x], axis=-1),
    lambda m, x: m.unstack(x, axis=1), lambda m, x: m.moveaxis(x, 0, 1), lambda m, x: m.broadcast_to(x, (2, 3, 4)), lambda m, x: m.tril(x, k=1), lambda m, x: m.triu(x),
    lambda m, x: m.diff(x), lambda m, x: m.where(x == x, x, m.zeros_like(x)), lambda m, x: m.clip(x, 1, 3), lambda m, x: m.take(x, m.asarray([2, 0]), axis=0),
    lambda m, x: m.take_along_axis(x, m.argsort(x, axis=1), axis=1), lambda m, x: m.searchsorted(m.sort(m.reshape(x, (-1,))), m.reshape(x, (-1,))),
    lambda m, x: m.astype(x, m.float64), lambda m, x: m.astype(x, m.bool), lambda m, x: m.full_like(x, 1), lambda m, x: m.ones_like(x), lambda m, x: m.isdtype(x.dtype, "integral"),
    lambda m, x: m.matmul(x, m.matrix_transpose(x)), lambda m, x: m.vecdot(x, x), lambda m, x: m.tensordot(x, x, axes=((1,), (1,))), lambda m, x: m.linalg.outer(x[0, ...], x[1, ...]),
    lambda m, x: m.linalg.trace(x), lambda m, x: m.linalg.diagonal(x, offset=1), lambda m, x: m.linalg.vector_norm(x), lambda m, x: m.linalg.vector_norm(x, axis=0, ord=1),
    lambda m, x: m.linalg.matrix_norm(x), lambda m, x: m.linalg.svdvals(x), lambda m, x: m.linalg.det(x[:, :3]), lambda m, x: m.linalg.slogdet(x[:, :3]),
    lambda m, x: m.linalg.solve(x[:, :3], x[:, 3]), lambda m, x: m.linalg.solve(x[:, :3], x[:, 2:]), lambda m, x: m.linalg.inv(x[:, :3]), lambda m, x: m.linalg.matrix_power(x[:, :3], 3),
    lambda m, x: m.linalg.pinv(x), lambda m, x: m.linalg.matrix_rank(x), lambda m, x: m.fft.fft(x), lambda m, x: m.fft.ifft(x, n=6, norm="ortho"), lambda m, x: m.fft.rfft(x, axis=0),
    lambda m, x: m.fft.irfft(x), lambda m, x: m.fft.fftn(x), lambda m, x: m.fft.fftshift(x), lambda m, x: m.fft.hfft(x), lambda m, x: m.fft.rfftn(x, axes=(1,), s=(3,)),
]  # fmt: skip


@pytest.mark.parametrize("kinds", [("int32", "float32"), pytest.param(("bool", "uint16", "complex64"), marks=pytest.mark.thorough)], ids=["some", "others"])
@pytest.mark.parametrize("number", range(len(CALLS)))
def test_calls(number, kinds):
    call = CALLS[number]
    for kind in kinds:
        check(call, data(kind), what=f"call {number} {kind}")
    check(call, data("float64", (3, 4, 1))[:, :, 0], what=f"call {number}")


CREATED = [
    lambda m: m.arange(5), lambda m: m.arange(5, 1, -2), lambda m: m.arange(5, 1), lambda m: m.arange(0.0, 1.0, 0.25), lambda m: m.arange(3, dtype=m.float64), lambda m: m.eye(3), lambda m: m.eye(3, 4, k=1),
    lambda m: m.eye(2, k=-1, dtype=m.int16), lambda m: m.full((2,), 3), lambda m: m.full(2, 1.5), lambda m: m.full((), True), lambda m: m.full(2, 1j), lambda m: m.linspace(0, 1, 5), lambda m: m.linspace(0, 1, 4, endpoint=False),
    lambda m: m.zeros((2, 3)), lambda m: m.ones(2, dtype=m.uint8), lambda m: m.meshgrid(m.arange(2), m.arange(3)), lambda m: m.meshgrid(m.arange(2), m.arange(3), indexing="ij"),
    lambda m: m.asarray([[1, 2], [3, 4]]), lambda m: m.asarray(1.5), lambda m: m.asarray([True, False]), lambda m: m.asarray([1, 2], dtype=m.float32), lambda m: m.asarray([1j, 2]), lambda m: m.fft.fftfreq(5, d=0.1),
    lambda m: m.fft.rfftfreq(6), lambda m: m.result_type(m.int8, m.uint16), lambda m: m.can_cast(m.int8, m.int16), lambda m: m.can_cast(m.float64, m.float32),
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(CREATED)))
def test_creation(number):
    mine, theirs = CREATED[number](xp), CREATED[number](strict)
    for a, b in zip(listed(mine), listed(theirs)):
        if isinstance(b, bool) or not hasattr(b, "dtype"):
            assert a == b if isinstance(b, bool) else str(a).rpartition(".")[2] == str(b).rpartition(".")[2]
            continue
        wanted = b.dtype._np_dtype.name.replace("float64", a.dtype.name).replace("complex128", a.dtype.name)  # default dtypes differ
        assert a.dtype.name == wanted and tuple(a.shape) == b.shape
        np.testing.assert_allclose(a.numpy(), np.asarray(b._array), rtol=1e-6, atol=1e-7)


def test_info():
    info = xp.__array_namespace_info__()
    assert info.capabilities()["boolean indexing"] and info.default_dtypes()["indexing"] is nt.int64 and info.default_device() in info.devices()
    assert set(info.dtypes()) == set(strict.__array_namespace_info__().dtypes())
    assert set(info.dtypes(kind="unsigned integer")) == {"uint8", "uint16", "uint32", "uint64"} and set(info.dtypes(kind=("bool", "real floating"))) == {"bool", "float32", "float64"}
    assert xp.finfo(xp.float32).dtype is xp.float32 and xp.iinfo(xp.asarray([1], dtype=xp.int8)).max == 127


def test_unique_all_counts_each_nan():
    values, indices, inverse, counts = xp.unique_all(nt.tensor([3.0, float("nan"), 1.0, 3.0, float("nan")]))
    assert values.tolist()[:2] == [1.0, 3.0] and counts.tolist() == [1, 2, 1, 1] and indices.tolist() == [2, 0, 1, 4] and inverse.tolist() == [1, 2, 0, 1, 3]


def test_sharing_and_refusals():
    a = np.zeros(3)
    x = xp.asarray(a)
    x[0] = 1
    assert a[0] == 1 and xp.asarray(a, copy=True).data_ptr() != x.data_ptr() and xp.asarray(x) is x
    for call in (lambda: xp.asarray([1], copy=False), lambda: xp.asarray(a, dtype=xp.float32, copy=False), lambda: xp.squeeze(nt.zeros(2), 0), lambda: nt.ones(1).__array_namespace__(api_version="1999.1")):
        with pytest.raises(ValueError, match="copy=False|squeeze|version"):
            call()
    with pytest.raises(TypeError, match="real parts"):
        xp.astype(nt.zeros(2, dtype=nt.complex64), xp.float32)
    assert nt.ones(2).to_device("cpu").tolist() == [1, 1] and nt.ones(2).__array_namespace__() is xp


def test_gradients_go_through():
    x = nt.tensor([1.0, 2.0, 3.0], requires_grad=True)
    xp.sum(xp.multiply(xp.exp(x), xp.flip(x))).backward()
    np.testing.assert_allclose(x.grad.numpy(), np.exp([1, 2, 3]) * [3, 2, 1] + np.exp([3, 2, 1]), rtol=1e-6)


DISPATCH = """
import numpy as np, numtape as nt, scipy.special as sp, sklearn
from sklearn.decomposition import PCA
from sklearn.linear_model import Ridge
from sklearn.preprocessing import StandardScaler

X = np.random.default_rng(0).standard_normal((60, 5)).astype(np.float32)
y = X @ np.arange(5, dtype=np.float32) + 1
a, b = nt.from_numpy(X.copy()), nt.from_numpy(y.copy())
with sklearn.config_context(array_api_dispatch=True):
    found = StandardScaler().fit(a).transform(a), PCA(2, svd_solver="full").fit(a).transform(a), Ridge(solver="svd").fit(a, b).predict(a)
expected = StandardScaler().fit_transform(X), PCA(2, svd_solver="full").fit_transform(X), Ridge(solver="svd").fit(X, y).predict(X)
for mine, theirs in zip(found, expected):
    assert isinstance(mine, nt.Tensor) and mine.dtype is nt.float32
    np.testing.assert_allclose(mine.numpy(), theirs, rtol=1e-4, atol=1e-5)
x = nt.tensor([0.5, 1.0, 1.5])
for f in (sp.erf, sp.gammaln, sp.expit, sp.i0, sp.logsumexp, sp.softmax):
    assert isinstance(f(x), nt.Tensor)
    np.testing.assert_allclose(f(x).numpy(), f(x.numpy()), rtol=1e-6)
"""


def test_scikit_learn_and_scipy_take_tensors(tmp_path):
    """Under array dispatch, which SciPy reads from the environment when it is imported."""
    pytest.importorskip("sklearn")
    (tmp_path / "run.py").write_text(DISPATCH)
    done = subprocess.run([sys.executable, tmp_path / "run.py"], capture_output=True, text=True, env=os.environ | {"SCIPY_ARRAY_API": "1"}, check=False)
    assert done.returncode == 0, done.stderr

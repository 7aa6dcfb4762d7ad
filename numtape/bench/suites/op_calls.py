"""What the suite `ops` calls, for the ops whose arguments do not follow from their records: by subject, at their natural sizes.

A call is `f(m, *tensors)` of a module m, numtape or torch, which have the same names; its arrays are made when it is run.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Make = Callable[[], np.ndarray]


@dataclass(frozen=True)
class Call:
    """One case of an op. backward: the gradients of the floating operands are timed too. exact: the results are compared."""

    label: str
    call: Callable[..., Any]
    arrays: Sequence[Make]
    backward: bool = False
    exact: bool = True


# ------------------------------------------------------------------------------------------------ operands
def _rng(*key: Any) -> np.random.Generator:
    return np.random.default_rng(zlib.crc32(repr(key).encode()))


def f(*shape: int, seed: int = 0) -> Make:
    """Normal numbers."""
    return lambda: _rng(shape, seed).normal(0, 1, shape).astype(np.float32)


def pos(*shape: int, seed: int = 0) -> Make:
    """Numbers between 0.1 and 1."""
    return lambda: _rng(shape, seed).uniform(0.1, 1, shape).astype(np.float32)


def near_one(*shape: int) -> Make:
    """Numbers whose products stay in range."""
    return lambda: np.exp(_rng(shape).normal(0, 1e-3, shape)).astype(np.float32)


def ints(high: int, *shape: int, seed: int = 0) -> Make:
    """Whole numbers from 0 to high - 1."""
    return lambda: _rng(shape, high, seed).integers(0, high, shape)


def i32(high: int, *shape: int, seed: int = 0) -> Make:
    """Whole numbers as int32."""
    return lambda: _rng(shape, high, seed).integers(0, high, shape, dtype=np.int32)


def mask(*shape: int) -> Make:
    """True or false, as likely."""
    return lambda: _rng(shape).random(shape) < 0.5


def ordered(n: int) -> Make:
    """Numbers in ascending order."""
    return lambda: np.sort(f(n)())


def shuffled(*shape: int) -> Make:
    """Numbers all of which differ."""
    return lambda: _rng(shape).permutation(np.arange(np.prod(shape), dtype=np.float32)).reshape(shape)


def holes(*shape: int) -> Make:
    """Normal numbers, an eighth of them NaN."""
    return lambda: np.where(_rng(shape).random(shape) < 0.125, np.float32("nan"), f(*shape)())


def spd(*shape: int) -> Make:
    """Positive-definite matrices, well conditioned."""

    def make() -> np.ndarray:
        a = f(*shape)()
        return (a @ a.swapaxes(-1, -2) / shape[-1] + np.eye(shape[-1])).astype(np.float32)

    return make


M, IMAGES, BIG = (1024, 1024), (8, 64, 56, 56), 1 << 20
MATRIX, VECTOR = f(*M), f(BIG)
SMALL = f(8, 8)

CALLS: dict[str, list[Call]] = {}


def add(name: str, call: Callable[..., Any], *arrays: Make, label: str = "", backward: bool = False, exact: bool = True) -> None:
    CALLS.setdefault(name, []).append(Call(label, call, arrays, backward, exact))


def over_dims(name: str, make: Make = MATRIX, *, backward: bool = False, whole: bool = True, **options: Any) -> None:
    """A reduction of all elements, of columns, of rows."""
    if whole:
        add(name, lambda m, x: getattr(m, name)(x, **options), make, label="all", backward=backward)
    for dim in (0, 1):
        add(name, lambda m, x, dim=dim: getattr(m, name)(x, dim=dim, **options), make, label=f"dim{dim}", backward=backward)


# ------------------------------------------------------------------------------------------------ elementwise with arguments of their own
add("clamp_both", lambda m, x: m.clamp(x, -0.5, 0.5), VECTOR, backward=True)
add("bitwise_left_shift", lambda m, x, y: x << y, i32(1 << 20, BIG), i32(8, BIG))
add("bitwise_right_shift", lambda m, x, y: x >> y, i32(1 << 30, BIG), i32(8, BIG))
add("masked_fill", lambda m, x, k: x.masked_fill(k, 0.5), VECTOR, mask(BIG), backward=True)
add("where", lambda m, k, x, y: m.where(k, x, y), mask(BIG), VECTOR, f(BIG, seed=1), backward=True)
add("lerp", lambda m, x, y: m.lerp(x, y, 0.25), VECTOR, f(BIG, seed=1), backward=True)
add("gelu", lambda m, x: m.nn.functional.gelu(x), VECTOR, backward=True)
add("gelu", lambda m, x: m.nn.functional.gelu(x, approximate="tanh"), VECTOR, label="tanh", backward=True)
add("threshold", lambda m, x: m.threshold(x, 0.1, 0.5), VECTOR, backward=True)
for _name in ("hardsigmoid", "hardswish", "hardtanh", "hardshrink", "softshrink", "mish", "silu", "softsign", "tanhshrink", "leaky_relu", "elu", "softplus"):
    add(_name, lambda m, x, name=_name: getattr(m.nn.functional, name)(x), VECTOR, backward=True)
for _name in ("gcd", "lcm"):
    add(_name, lambda m, x, y, name=_name: getattr(m, name)(x, y), ints(1000, 1 << 17), ints(1000, 1 << 17, seed=1))
add("floor_divide", lambda m, x, y: x // y, ints(1000, BIG), lambda: ints(9, BIG)() + 1, label="int64")
add("floor_divide", lambda m, x, y: x // y, VECTOR, pos(BIG))
add("remainder", lambda m, x, y: x % y, VECTOR, pos(BIG))
add("remainder", lambda m, x, y: x % y, ints(1000, BIG), lambda: ints(9, BIG)() + 1, label="int64")
add("fmod", lambda m, x, y: m.fmod(x, y), VECTOR, pos(BIG))
add("fmod", lambda m, x: m.fmod(x, 0.3), VECTOR, label="number")
add("pow", lambda m, x, y: x**y, pos(BIG), f(BIG), backward=True)
add("pow", lambda m, x: x**3, VECTOR, label="cube", backward=True)
add("add", lambda m, x, y: x + y, VECTOR, f(BIG, seed=1), backward=True)
add("add", lambda m, x, y: x + y, MATRIX, f(1024), label="row", backward=True)
add("add", lambda m, x, y: x + y, MATRIX, f(1024, 1), label="column", backward=True)
add("add", lambda m, x, y: x + y, f(8, 64, 56, 56), f(64, 1, 1), label="channels", backward=True)
add("add", lambda m, x, y: x + y, f(4096, 16), f(16), label="short-rows", backward=True)
add("mul", lambda m, x, y: x * y, VECTOR, f(BIG, seed=1), backward=True)
add("mul", lambda m, x: x * 2.0, VECTOR, label="number", backward=True)
add("mul", lambda m, x, y: x.t() * y, MATRIX, f(*M, seed=1), label="transposed", backward=True)
add("special_erfcx", lambda m, x: m.special.erfcx(x), VECTOR)
for _name in ("ndtr", "log_ndtr", "i0e", "i1", "i1e", "entr"):
    add(f"special_{_name}", lambda m, x, name=_name: getattr(m.special, name)(x), pos(BIG))
add("special_xlog1py", lambda m, x, y: m.special.xlog1py(x, y), VECTOR, pos(BIG))
add("digamma", lambda m, x: m.digamma(x), pos(BIG))
add("lgamma", lambda m, x: m.lgamma(x), pos(BIG))
add("polygamma", lambda m, x: m.polygamma(1, x), pos(1 << 17))
add("polygamma", lambda m, x: m.polygamma(2, x), pos(1 << 17), label="2")
add("mvlgamma", lambda m, x: m.mvlgamma(x + 2.0, 3), pos(1 << 17))
add("logit", lambda m, x: m.logit(x * 0.9), pos(BIG))
add("float_power", lambda m, x: m.float_power(x, 2.5), pos(BIG))
add("ldexp", lambda m, x, y: m.ldexp(x, y), VECTOR, i32(8, BIG))
add("nan_to_num", lambda m, x: m.nan_to_num(x), holes(BIG))
add("isclose", lambda m, x, y: m.isclose(x, y), VECTOR, f(BIG, seed=1))
add("isin", lambda m, x, y: m.isin(x, y), ints(1000, 1 << 16), ints(1000, 100))
for _name in ("isposinf", "isneginf"):
    add(_name, lambda m, x, name=_name: getattr(m, name)(x), VECTOR)
add("positive", lambda m, x: +x, VECTOR)
add("zero", lambda m, x: m.zeros_like(x), VECTOR)
add("prelu", lambda m, x, w: m.prelu(x, w), f(*IMAGES), f(64), backward=True)

# ------------------------------------------------------------------------------------------------ reductions and scans
for _name in ("mean", "var", "std", "sum", "amax", "amin"):
    over_dims(_name, backward=True)
over_dims("prod", near_one(*M), backward=True)
over_dims("any", lambda: np.zeros(M, np.bool_))
over_dims("all", lambda: np.ones(M, np.bool_))
for _name in ("argmax", "argmin", "max", "min"):
    over_dims(_name, shuffled(*M))
over_dims("logsumexp", backward=True, whole=False)
over_dims("softmax", backward=True, whole=False)
over_dims("log_softmax", backward=True, whole=False)
add("softmax", lambda m, x: m.softmax(x, 1), f(8, 21, 128, 128), label="channels", backward=True)
add("log_softmax", lambda m, x: m.log_softmax(x, 1), f(8, 21, 128, 128), label="channels", backward=True)
over_dims("norm", backward=True)
add("linalg_vector_norm", lambda m, x: m.linalg.vector_norm(x, 3, dim=1), MATRIX, backward=True)
add("linalg_matrix_norm", lambda m, x: m.linalg.matrix_norm(x), MATRIX, backward=True)
over_dims("nansum", holes(*M))
over_dims("nanmean", holes(*M))
over_dims("count_nonzero", ints(2, *M))
over_dims("std_mean", backward=False)
over_dims("var_mean", backward=False)
add("aminmax", lambda m, x: m.aminmax(x), MATRIX, label="all")
for _dim in (0, 1):
    add("aminmax", lambda m, x, d=_dim: m.aminmax(x, dim=d), MATRIX, label=f"dim{_dim}")
    for _name in ("cumsum", "logcumsumexp", "cummax", "cummin"):
        add(_name, lambda m, x, d=_dim, name=_name: getattr(m, name)(x, d), MATRIX, label=f"dim{_dim}", backward=_name == "cumsum")
    add("cumprod", lambda m, x, d=_dim: m.cumprod(x, d), near_one(*M), label=f"dim{_dim}")
add("mean", lambda m, x: x.mean((0, 2, 3)), f(*IMAGES), label="channels", backward=True)
add("sum", lambda m, x: x.sum((0, 2, 3)), f(*IMAGES), label="channels", backward=True)
add("sum", lambda m, x: x.sum(), SMALL, label="small", backward=True)
add("diff", lambda m, x: m.diff(x), MATRIX, backward=True)
add("trapezoid", lambda m, x: m.trapezoid(x), MATRIX)
add("cumulative_trapezoid", lambda m, x: m.cumulative_trapezoid(x), MATRIX)
for _name in ("median", "nanmedian"):
    over_dims(_name, shuffled(512, 512))
add("kthvalue", lambda m, x: m.kthvalue(x, 100), shuffled(512, 512))
add("mode", lambda m, x: m.mode(x)[0], ints(50, 256, 256))
add("quantile", lambda m, x: m.quantile(x, 0.3, 1), f(512, 512))
add("nanquantile", lambda m, x: m.nanquantile(x, 0.3, 1), f(512, 512))

# ------------------------------------------------------------------------------------------------ sorting, counting, searching
for _name in ("sort", "argsort", "msort"):
    add(_name, lambda m, x, name=_name: getattr(m, name)(x), shuffled(256, 1024))
add("sort", lambda m, x: m.sort(x), shuffled(1 << 18), label="vector")
add("topk", lambda m, x: m.topk(x, 10), shuffled(256, 1024))
add("bincount", lambda m, i: m.bincount(i), ints(1000, BIG))
add("histc", lambda m, x: m.histc(x, 100), VECTOR)
add("histogram", lambda m, x: m.histogram(x, 100)[0], f(1 << 17))
add("unique", lambda m, i: m.unique(i), ints(1000, 1 << 17))
add("unique_consecutive", lambda m, i: m.unique_consecutive(i), ints(3, 1 << 17))
add("searchsorted", lambda m, e, x: m.searchsorted(e, x), ordered(1000), f(1 << 17))
add("bucketize", lambda m, x, e: m.bucketize(x, e), f(1 << 17), ordered(1000))

# ------------------------------------------------------------------------------------------------ views: the cost of a call
for _name, _view in {
    "expand": lambda m, x: x.expand(4, 8, 8), "expand_as": lambda m, x: x.expand_as(x), "broadcast_to": lambda m, x: m.broadcast_to(x, (4, 8, 8)),
    "broadcast_tensors": lambda m, x: m.broadcast_tensors(x, x[0]), "view": lambda m, x: x.view(-1), "reshape": lambda m, x: x.reshape(4, 16),
    "view_as": lambda m, x: x.view_as(x), "reshape_as": lambda m, x: x.reshape_as(x), "flatten": lambda m, x: x.flatten(), "ravel": lambda m, x: x.ravel(),
    "unflatten": lambda m, x: x.unflatten(0, (2, 4)), "squeeze": lambda m, x: x.squeeze(), "unsqueeze": lambda m, x: x.unsqueeze(0), "permute": lambda m, x: x.permute(1, 0),
    "transpose": lambda m, x: x.transpose(0, 1), "t": lambda m, x: x.t(), "movedim": lambda m, x: m.movedim(x, 0, 1), "narrow": lambda m, x: x.narrow(0, 1, 4),
    "select": lambda m, x: x.select(0, 1), "unbind": lambda m, x: x.unbind(0), "split": lambda m, x: x.split(2), "chunk": lambda m, x: x.chunk(4),
    "diagonal": lambda m, x: x.diagonal(), "as_strided": lambda m, x: x.as_strided((4, 4), (8, 1)), "unfold_dim": lambda m, x: x.unfold(0, 2, 2),
    "atleast_1d": lambda m, x: m.atleast_1d(x), "atleast_2d": lambda m, x: m.atleast_2d(x), "atleast_3d": lambda m, x: m.atleast_3d(x),
    "tensor_split": lambda m, x: m.tensor_split(x, 4), "hsplit": lambda m, x: m.hsplit(x, 4), "vsplit": lambda m, x: m.vsplit(x, 4),
    "split_with_sizes": lambda m, x: x.split_with_sizes([4, 4]),
}.items():  # fmt: skip
    add(_name, _view, SMALL)
add("dsplit", lambda m, x: m.dsplit(x, 4), f(8, 8, 8))
add("meshgrid", lambda m, x, y: m.meshgrid(x, y, indexing="ij"), f(8), f(8, seed=1))

# ------------------------------------------------------------------------------------------------ copies and joins
add("clone", lambda m, x: x.clone(), MATRIX, backward=True)
add("contiguous", lambda m, x: x.t().contiguous(), MATRIX, label="transposed", backward=True)
add("contiguous", lambda m, x: x.permute(0, 2, 3, 1).contiguous(), f(*IMAGES), label="channels-last", backward=True)
add("contiguous", lambda m, x: x.permute(0, 2, 1, 3).contiguous(), f(8, 128, 8, 64), label="heads", backward=True)
add("contiguous", lambda m, x: x[:, ::2].contiguous(), f(1024, 2048), label="stepped")
add("to", lambda m, x: x.to(m.float64), MATRIX, backward=True)
add("to", lambda m, x: x.to(m.int64), MATRIX, label="int64")
add("cat", lambda m, x, y: m.cat([x, y]), f(512, 1024), f(512, 1024, seed=1), backward=True)
add("cat", lambda m, x, y: m.cat([x, y], 1), f(1024, 512), f(1024, 512, seed=1), label="dim1", backward=True)
add("stack", lambda m, x, y: m.stack([x, y]), f(512, 1024), f(512, 1024, seed=1), backward=True)
add("stack", lambda m, x, y: m.stack([x, y], -1), f(512, 1024), f(512, 1024, seed=1), label="last", backward=True)
for _name in ("hstack", "vstack", "dstack", "column_stack"):
    add(_name, lambda m, x, y, name=_name: getattr(m, name)([x, y]), f(512, 1024), f(512, 1024, seed=1))
add("block_diag", lambda m, x, y: m.block_diag(x, y), f(512, 512), f(512, 512, seed=1))
add("flip", lambda m, x: m.flip(x, (0,)), MATRIX, backward=True)
add("flip", lambda m, x: m.flip(x, (1,)), MATRIX, label="last")
add("fliplr", lambda m, x: m.fliplr(x), MATRIX)
add("flipud", lambda m, x: m.flipud(x), MATRIX)
add("roll", lambda m, x: m.roll(x, 5, 1), MATRIX, backward=True)
add("rot90", lambda m, x: m.rot90(x), MATRIX)
add("repeat", lambda m, x: x.repeat(2, 2), f(512, 512), backward=True)
add("tile", lambda m, x: x.tile((2, 2)), f(512, 512))
add("repeat_interleave", lambda m, x: m.repeat_interleave(x, 2, 0), f(512, 1024), backward=True)
add("repeat_interleave", lambda m, x: m.repeat_interleave(x, 2, 1), f(1024, 512), label="last")
add("cartesian_prod", lambda m, x, y: m.cartesian_prod(x, y), f(512), f(512, seed=1))
add("combinations", lambda m, x: m.combinations(x), f(512))
add("narrow_copy", lambda m, x: m.narrow_copy(x, 1, 100, 800), MATRIX)
add("tril_indices", lambda m: m.tril_indices(512, 512))
add("triu_indices", lambda m: m.triu_indices(512, 512))
add("tril_indices", lambda m: m.tril_indices(16, 16), label="small")
add("tril", lambda m, x: m.tril(x), MATRIX, backward=True)
add("triu", lambda m, x: m.triu(x), MATRIX, backward=True)
add("diag_embed", lambda m, x: m.diag_embed(x), f(64, 128))
add("diag", lambda m, x: m.diag(x), f(512))
add("diag", lambda m, x: m.diag(x), f(512, 512), label="matrix")
add("diag", lambda m, x: m.diag(x), SMALL, label="small")
add("diagflat", lambda m, x: m.diagflat(x), f(512))
add("trace", lambda m, x: m.trace(x), f(512, 512), backward=True)
add("trace", lambda m, x: m.trace(x), SMALL, label="small")

# ------------------------------------------------------------------------------------------------ creation and random numbers
for _name in ("zeros", "ones"):
    add(_name, lambda m, name=_name: getattr(m, name)(M))
    add(f"{_name}_like", lambda m, x, name=_name: getattr(m, f"{name}_like")(x), MATRIX)
    add(_name, lambda m, name=_name: getattr(m, name)((8,)), label="small")
add("empty", lambda m: m.empty(M), exact=False)
add("empty_like", lambda m, x: m.empty_like(x), MATRIX, exact=False)
add("full", lambda m: m.full(M, 1.5))
add("full_like", lambda m, x: m.full_like(x, 1.5), MATRIX)
add("tensor", lambda m: m.tensor([1.0] * 1000))
add("tensor", lambda m: m.tensor([1.0, 2.0, 3.0]), label="small")
add("as_tensor", lambda m: m.as_tensor([1.0] * 1000))
_ARRAY = np.zeros(8, np.float32)
add("from_numpy", lambda m: m.from_numpy(_ARRAY))
add("scalar_tensor", lambda m: m.scalar_tensor(2.0))
add("arange", lambda m: m.arange(BIG))
add("arange", lambda m: m.arange(0.0, 1e5, 0.5), label="float")
add("linspace", lambda m: m.linspace(0, 1, BIG))
add("logspace", lambda m: m.logspace(0, 1, BIG))
add("eye", lambda m: m.eye(1024))
for _name in ("rand", "randn"):
    add(_name, lambda m, name=_name: getattr(m, name)(M), exact=False)
    add(f"{_name}_like", lambda m, x, name=_name: getattr(m, f"{name}_like")(x), MATRIX, exact=False)
add("randint", lambda m: m.randint(0, 100, M), exact=False)
add("randint_like", lambda m, x: m.randint_like(x, 100), MATRIX, exact=False)
add("randperm", lambda m: m.randperm(1 << 17), exact=False)
add("bernoulli", lambda m, x: m.bernoulli(x), pos(*M), exact=False)
add("normal", lambda m, x: m.normal(x, 2.0), MATRIX, exact=False)
add("multinomial", lambda m, x: m.multinomial(x, 1), pos(256, 1000), exact=False)
add("poisson", lambda m, x: m.poisson(x), pos(1 << 17), exact=False)

# ------------------------------------------------------------------------------------------------ indexing
add("getitem", lambda m, x: x[1], SMALL, label="int")
add("getitem", lambda m, x: x[1:3, ::2], SMALL, label="slices")
add("getitem", lambda m, x, i: x[i], SMALL, ints(8, 5), label="small-tensor")
add("getitem", lambda m, x, k: x[k], SMALL, mask(8, 8), label="small-mask")
add("getitem", lambda m, x, i: x[i], MATRIX, ints(1024, 1024), label="rows", backward=True)
add("getitem", lambda m, x, i, j: x[i, j], MATRIX, ints(1024, 1 << 16), ints(1024, 1 << 16, seed=1), label="points", backward=True)
add("getitem", lambda m, x, k: x[k], MATRIX, mask(*M), label="mask")


def _written(m: Any, x: Any, index: Any, value: Any) -> Any:
    x[index] = value
    return x


add("index_put", lambda m, x: _written(m, x, 1, 0.5), SMALL, label="int")
add("index_put", lambda m, x, i, v: _written(m, x, i, v), SMALL, lambda: np.arange(5), f(5, 8), label="small-tensor")
add("index_put", lambda m, x, k: _written(m, x, k, 0.5), SMALL, mask(8, 8), label="small-mask")
add("index_put", lambda m, x, i, v: m.index_put(x, (i,), v), MATRIX, lambda: np.arange(512), f(512, 1024), label="rows")
add("index_put", lambda m, x, i, v: m.index_put(x, (i,), v, accumulate=True), MATRIX, ints(1024, 512), f(512, 1024), label="added")
for _dim in (0, 1):
    add("index_select", lambda m, x, i, d=_dim: m.index_select(x, d, i), MATRIX, ints(1024, 1024), label=f"dim{_dim}", backward=True)
    add("gather", lambda m, x, i, d=_dim: m.gather(x, d, i), MATRIX, ints(1024, *M), label=f"dim{_dim}", backward=True)
    add("scatter_add", lambda m, x, i, v, d=_dim: m.scatter_add(x, d, i, v), MATRIX, ints(1024, *M), f(*M, seed=1), label=f"dim{_dim}")
    add("scatter", lambda m, x, i, d=_dim: m.scatter(x, d, i, 0.5), MATRIX, ints(1024, *M), label=f"dim{_dim}")
    add("index_add", lambda m, x, i, v, d=_dim: m.index_add(x, d, i, v), MATRIX, ints(1024, 1024), f(*M, seed=1), label=f"dim{_dim}")
add("take", lambda m, x, i: m.take(x, i), MATRIX, ints(BIG, BIG))
add("take_along_dim", lambda m, x, i: m.take_along_dim(x, i, 1), MATRIX, ints(1024, *M))
add("put", lambda m, x, i, v: m.Tensor.put(x, i, v), MATRIX, lambda: np.arange(1 << 17), f(1 << 17))
add("masked_select", lambda m, x, k: m.masked_select(x, k), MATRIX, mask(*M))
add("masked_scatter", lambda m, x, k, v: m.masked_scatter(x, k, v), MATRIX, mask(*M), f(*M, seed=1))
add("nonzero", lambda m, k: m.nonzero(k), mask(*M))
add("argwhere", lambda m, k: m.argwhere(k), mask(*M))
add("index_copy", lambda m, x, i, v: m.index_copy(x, 0, i, v), MATRIX, lambda: np.arange(512), f(512, 1024))
add("index_fill", lambda m, x, i: m.index_fill(x, 0, i, 2.0), MATRIX, lambda: np.arange(512))
add("scatter_reduce", lambda m, x, i, v: m.scatter_reduce(x, 0, i, v, "amax"), MATRIX, ints(1024, *M), f(*M, seed=1))
add("select_scatter", lambda m, x, v: m.select_scatter(x, v, 0, 3), MATRIX, f(1024))
add("slice_scatter", lambda m, x, v: m.slice_scatter(x, v, 0, 0, 512), MATRIX, f(512, 1024))
add("diagonal_scatter", lambda m, x, v: m.diagonal_scatter(x, v), MATRIX, f(1024))

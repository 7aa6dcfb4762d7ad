"""Sample inputs for every op of the table.

A sample is a call `f(m, *tensors)` of a module m (numtape or torch) and the arrays of its tensors. Floating arrays are the
data, converted by a test to the dtype it tries; integer arrays are indices and boolean arrays masks, which stay as they are.
Elementwise ops of one or two operands get their samples from the op's record; the others stand in the dicts below.
"""

import importlib
import math
import pathlib
from dataclasses import dataclass, field
from functools import cache

import numpy as np
import pytest

import numtape as nt
from numtape.op import TABLE

SHAPE = (4, 5)


@dataclass(frozen=True)
class Sample:
    """One call; `name` says which op and which of its samples."""

    name: str
    call: object
    arrays: tuple = field(repr=False)
    random: bool = False

    def tensors(self, m, kind, layout=None):
        """The arrays as tensors of m: data as `kind` (a NumPy dtype), laid out by `layout`."""
        return [place(m, cast(a, kind), layout) for a in self.arrays]

    def __str__(self):
        return self.name


def cast(array, kind):
    if array.dtype != np.float64 or kind is None:
        return array
    kind = np.dtype(kind)
    if kind == np.uint8:
        array = abs(array)
    if kind.kind in "iu":
        array = np.nan_to_num(array)
    return array > 0 if kind == np.bool_ else array.astype(kind)


# All elementwise ops share one template, so where layouts, dtypes and places of the result are tried, these stand for the others. They are
# of one, two, three and four operands, formulas and primitives, with masks, numbers, comparisons, saved results.
TELLING = {
    "abs", "add", "addcmul", "atan2", "bitwise_and", "clamp_both", "clone", "div", "eq", "exp", "floor_divide", "fmod", "gelu", "hypot", "isnan", "lerp",
    "logical_not", "lt", "masked_fill", "maximum", "mul", "neg", "pow", "relu", "sgn", "sigmoid", "sqrt", "sub", "tanh", "where", "xlogy",
}  # fmt: skip


def telling(found):
    """The names for a parametrised test; elementwise ops that others stand for are left to the thorough run."""
    return [n if TABLE[n].family != "elementwise" or n in TELLING else pytest.param(n, marks=pytest.mark.thorough) for n in found]


# ------------------------------------------------------------------------------------------------ layouts
def contiguous(m, a):
    return m.from_numpy(a.copy())


def transposed(m, a):
    return m.from_numpy(a.T.copy()).permute(*range(a.ndim - 1, -1, -1)) if a.ndim else contiguous(m, a)


def stepped(m, a):
    """Every second element of each row of a larger tensor."""
    return m.from_numpy(np.repeat(a, 2, -1))[..., ::2] if a.ndim else contiguous(m, a)


def sliced(m, a):
    """Every second row, after the first two, of a larger tensor."""
    return m.from_numpy(np.concatenate([a[:1], a[:1], np.repeat(a, 2, 0)]))[2::2] if a.ndim else contiguous(m, a)


def expanded(m, a):
    """The first row repeated by a stride of 0."""
    return m.from_numpy(a[:1].copy()).expand(*a.shape) if a.ndim and a.size else contiguous(m, a)


LAYOUTS = {f.__name__: f for f in (contiguous, transposed, stepped, sliced, expanded)}


def place(m, array, layout):
    return LAYOUTS[layout or "contiguous"](m, array)


# ------------------------------------------------------------------------------------------------ data
def data(*shape, seed=0, domain=None):
    """Numbers between the whole ones, so that no kink or jump of a function is near."""
    rng = np.random.default_rng([seed, *shape])
    if domain == "positive":
        return rng.uniform(0.3, 3.0, shape)
    if domain == "unit":
        return rng.uniform(-0.9, 0.9, shape)
    return rng.integers(-3, 3, shape) + rng.uniform(0.15, 0.85, shape)


def index(high, *shape, seed=0):
    return np.random.default_rng([seed, *shape]).integers(0, high, shape)


def mask(*shape):
    return np.random.default_rng(list(shape)).random(shape) > 0.5


# The record's own domain trait decides; these are defined everywhere but have a slope only inside.
DOMAINS = {"sqrt": "positive", "rsqrt": "positive"}


# What PyTorch calls the ops that have no public name.
def torch_function(torch, name):
    F = torch.nn.functional
    equal = {
        "zero": torch.zeros_like,
        "add_scaled": lambda x, y, alpha: torch.add(x, y, alpha=alpha),
        "rint": torch.round,
        "truncate_divide": lambda x, y: torch.div(x, y, rounding_mode="trunc"),
        "extremum_share": lambda g, x, y: torch.where(x > y, g, torch.where(x == y, g / 2, torch.zeros_like(g))),
        "_pow_slope": lambda x, y: torch.where(y == 0, 0.0, y * x ** (y - 1)),
        "_pow_log": lambda x, y, out: torch.where((x == 0) & (y >= 0), 0.0, out * x.log()),
        "clamp_both": torch.clamp,
        "softplus_unit": F.softplus,
        "bitwise_invert": torch.bitwise_not,
        "cross_entropy_rows": lambda scores, classes: F.cross_entropy(scores, classes, reduction="none"),
    }
    return equal.get(name) or getattr(torch, name, None) or getattr(F, name, None) or getattr(torch.Tensor, name, None) or getattr(torch.special, name)


def function(m, name):
    """The function called `name` in numtape or PyTorch."""
    if m.__name__ == "torch":
        return torch_function(m, name)
    return getattr(nt, name, None) or TABLE[name].public


def _of(name, *extra, **options):
    return lambda m, *tensors: function(m, name)(*tensors, *extra, **options)


# ------------------------------------------------------------------------------------------------ elementwise
x, y, z = data(*SHAPE), data(*SHAPE, seed=1), data(*SHAPE, seed=2)
row, column = data(5, seed=3), data(4, 1, seed=4)
pos, pos2 = data(*SHAPE, domain="positive"), data(*SHAPE, seed=1, domain="positive")

ELEMENTWISE = {
    "add_scaled": [("scaled", _of("add_scaled", 2), (x, y)), ("row", _of("add_scaled", 3), (x, row))],
    "extremum_share": [("three", _of("extremum_share"), (x, y, z))],
    "_pow_slope": [("two", _of("_pow_slope"), (pos, y))],
    "_pow_log": [("three", _of("_pow_log"), (pos, y, pos2))],
    "clamp_min": [("number", _of("clamp_min", 1), (x,)), ("tensor", _of("clamp_min"), (x, y))],
    "clamp_max": [("number", _of("clamp_max", 1), (x,)), ("tensor", _of("clamp_max"), (x, y))],
    "clamp_both": [("numbers", _of("clamp_both", -1, 1), (x,)), ("tensors", _of("clamp_both"), (x, y, z))],
    "addcmul": [("value", _of("addcmul", value=2), (x, y, row)), ("plain", _of("addcmul"), (x, y, z))],
    "addcdiv": [("value", _of("addcdiv", value=2), (x, y, z))],
    "lerp": [("number", _of("lerp", 0.3), (x, y)), ("tensor", _of("lerp"), (x, y, z))],
    "where": [("tensors", _of("where"), (mask(*SHAPE), x, y)), ("number", _of("where", 2), (mask(*SHAPE), x)), ("row", _of("where"), (mask(5), x, column))],
    "masked_fill": [("number", _of("masked_fill", 2), (x, mask(*SHAPE))), ("row", _of("masked_fill", 1), (x, mask(5)))],
    "leaky_relu": [("default", _of("leaky_relu"), (x,)), ("slope", _of("leaky_relu", 0.2), (x,))],
    "elu": [("default", _of("elu"), (x,)), ("alpha", _of("elu", 0.5), (x,))],
    "gelu": [("none", _of("gelu"), (x,)), ("tanh", _of("gelu", approximate="tanh"), (x,))],
    "softplus": [("default", _of("softplus"), (x,)), ("beta", _of("softplus", 2.0, 3.0), (x,))],
}
# Second operands that a number may not stand for, in PyTorch.
TENSORS_ONLY = {"maximum", "minimum", "atan2", "logical_and", "logical_or", "logical_xor"}


def _elementwise(op):
    domain = op.domain or DOMAINS.get(op.name)
    first = data(*SHAPE, domain=domain)
    if op.names == ("x",):
        return [("one", _of(op.name), (first,))]
    if op.names != ("x", "y"):
        return None
    second = data(*SHAPE, seed=1)
    second = np.where(abs(second) < 1, second + 2 * np.sign(second), second)  # never 0 as a whole number
    found = [
        ("two", _of(op.name), (first, second)),
        ("row", _of(op.name), (first, second[0].copy())),
        ("outer", _of(op.name), (first[:, :1].copy(), second[0].copy())),
    ]
    if op.name not in TENSORS_ONLY and not op.name.startswith("_"):
        found.append(("number", _of(op.name, 2), (first,)))
    return found


# ------------------------------------------------------------------------------------------------ over dims
cube = data(3, 4, 5)
DIMS = {"all": {}, "0": {"dim": 0}, "1": {"dim": 1}, "last kept": {"dim": -1, "keepdim": True}, "0 and 2": {"dim": (0, 2)}, "1 and 2 kept": {"dim": (1, 2), "keepdim": True}}


def _over(name, dims, arrays=(cube,), **more):
    return [(f"{label} {more or ''}".strip(), _of(name, **DIMS[label], **more), arrays) for label in dims]


ONE = ["0", "1", "last kept"]
REDUCTIONS = {
    "sum": _over("sum", DIMS),
    "prod": _over("prod", ["all", *ONE]),
    "amax": _over("amax", DIMS),
    "amin": _over("amin", DIMS),
    "any": _over("any", ["all", "0", "1 and 2 kept"], (mask(3, 4, 5),)),
    "all": _over("all", ["all", "0", "1 and 2 kept"], (mask(3, 4, 5),)),
    "mean": _over("mean", DIMS),
    "var": _over("var", DIMS) + _over("var", ["0 and 2"], correction=0),
    "std": _over("std", DIMS) + _over("std", ["1"], unbiased=False),
    "logsumexp": _over("logsumexp", list(DIMS)[1:]),
    "norm": _over("norm", DIMS) + [s for p in (0, 1, 3, math.inf, -math.inf) for s in _over("norm", ["1"], p=p)],
    "layer_norm": [
        ("plain", lambda m, t: m.layer_norm(t, (5,)), (cube,)), ("two dims", lambda m, t: m.layer_norm(t, (4, 5), eps=0.1), (cube,)),
        ("affine", lambda m, t, w, b: m.layer_norm(t, (5,), w, b), (cube, row, row + 0.25)), ("weight", lambda m, t, w: m.layer_norm(t, (5,), w), (cube, row)),
    ],
    "softmax": [(f"{d}", _of("softmax", d), (cube,)) for d in (0, 1, -1)],
    "log_softmax": [(f"{d}", _of("log_softmax", d), (cube,)) for d in (0, 1, -1)],
    "cumsum": [(f"{d}", _of("cumsum", d), (cube,)) for d in (0, 1, -1)],
    "argmax": _over("argmax", ["all", *ONE]),
    "argmin": _over("argmin", ["all", *ONE]),
    "max": [("all", _of("max"), (cube,)), ("dim", _of("max", 1), (cube,)), ("kept", _of("max", 0, True), (cube,)), ("two", _of("max"), (x, y))],
    "min": [("all", _of("min"), (cube,)), ("dim", _of("min", 1), (cube,)), ("kept", _of("min", 0, True), (cube,)), ("two", _of("min"), (x, y))],
}
# Row ops are what these public functions run.
ROWS = {"row_mean": "mean", "row_var": "var", "row_std": "std", "row_logsumexp": "logsumexp", "row_norm2": "norm", "row_softmax": "softmax", "row_log_softmax": "log_softmax"}
ROWS |= {"row_standard": "layer_norm", "row_layer_norm": "layer_norm"}
ROWS |= {"row_cross_entropy": "cross_entropy_rows", "row_outside": "cross_entropy_rows"}

# ------------------------------------------------------------------------------------------------ views and joins
VIEWS = {
    "clone": [("", lambda m, t: t.clone(), (cube,))],
    "contiguous": [("", lambda m, t: t.contiguous(), (cube,)), ("of transposed", lambda m, t: t.transpose(0, 2).contiguous(), (cube,))],
    "to": [("float64", lambda m, t: t.to(m.float64), (cube,)), ("same", lambda m, t: t.to(t.dtype), (cube,)), ("device", lambda m, t: t.to("cpu", m.float64), (cube,))],
    "expand": [("new dim", lambda m, t: t.expand(2, 4, 5), (x,)), ("size 1", lambda m, t: t.expand(-1, 3), (column,))],
    "expand_as": [("", lambda m, t, u: t.expand_as(u), (row, x))],
    "broadcast_to": [("", lambda m, t: m.broadcast_to(t, (3, 4, 5)), (x,))],
    "broadcast_tensors": [("", lambda m, t, u: m.broadcast_tensors(t, u), (row, column))],
    "view": [("flat", lambda m, t: t.view(-1), (cube,)), ("split", lambda m, t: t.view(3, 2, 2, 5), (cube,))],
    "reshape": [("", lambda m, t: t.reshape(6, -1), (cube,)), ("of transposed", lambda m, t: t.transpose(0, 2).reshape(-1), (cube,))],
    "view_as": [("", lambda m, t, u: t.view_as(u), (x, data(2, 10)))],
    "reshape_as": [("", lambda m, t, u: t.t().reshape_as(u), (x, data(2, 10)))],
    "flatten": [("all", lambda m, t: t.flatten(), (cube,)), ("two", lambda m, t: m.flatten(t, 1, 2), (cube,))],
    "ravel": [("", lambda m, t: t.ravel(), (cube,))],
    "unflatten": [("", lambda m, t: t.unflatten(1, (2, -1)), (cube,))],
    "squeeze": [("all", lambda m, t: t.squeeze(), (data(1, 4, 1),)), ("one", lambda m, t: t.squeeze(0), (data(1, 4, 1),)), ("no", lambda m, t: t.squeeze(1), (cube,))],
    "unsqueeze": [("first", lambda m, t: t.unsqueeze(0), (x,)), ("last", lambda m, t: t.unsqueeze(-1), (x,))],
    "permute": [("", lambda m, t: t.permute(2, 0, 1), (cube,)), ("list", lambda m, t: m.permute(t, (0, -1, 1)), (cube,))],
    "transpose": [("", lambda m, t: t.transpose(0, -1), (cube,))],
    "positive": [("vector", lambda m, t: m.positive(t), (row,)), ("matrix", lambda m, t: +t, (x,))],
    "t": [("matrix", lambda m, t: t.t(), (x,)), ("vector", lambda m, t: t.t(), (row,))],
    "movedim": [("", lambda m, t: m.movedim(t, 0, -1), (cube,)), ("several", lambda m, t: m.movedim(t, (0, 1), (1, 2)), (cube,))],
    "narrow": [("", lambda m, t: t.narrow(1, 1, 2), (cube,)), ("negative", lambda m, t: t.narrow(-1, -3, 2), (cube,))],
    "select": [("", lambda m, t: t.select(1, -2), (cube,))],
    "unbind": [("", lambda m, t: t.unbind(1), (cube,))],
    "split": [("size", lambda m, t: t.split(2, 2), (cube,)), ("sizes", lambda m, t: m.split(t, [1, 3], 1), (cube,))],
    "chunk": [("", lambda m, t: t.chunk(3, 2), (cube,))],
    "getitem": [
        ("mixed", lambda m, t: t[1:, None, ..., ::2], (cube,)),
        ("ints", lambda m, t: t[1, -1], (cube,)),
        ("tensor", lambda m, t, i: t[i], (cube, index(3, 4))),
        ("matrix", lambda m, t, i: t[i], (cube, index(3, 2, 2))),
    ],
    "index_select": [(f"{d}", lambda m, t, i, d=d: t.index_select(d, i), (cube, index(3, 4))) for d in (0, 1, 2)],
    "gather": [(f"{d}", lambda m, t, i, d=d: m.gather(t, d, i), (cube, index(3, 2, 3, 4))) for d in (0, 1, 2)],
    "cat": [("0", lambda m, t, u: m.cat([t, u]), (x, data(2, 5))), ("1", lambda m, t, u: m.cat((t, u, t), 1), (x, column))],
    "stack": [("0", lambda m, t, u: m.stack([t, u]), (x, y)), ("last", lambda m, t, u: m.stack([t, u], -1), (x, y))],
}

# ------------------------------------------------------------------------------------------------ products
A, B, batch_a, batch_b = data(4, 3), data(3, 5), data(2, 4, 3), data(2, 3, 5)
vector3, vector4, vector5 = data(3), data(4), data(5)
PRODUCTS = {
    "matmul": [
        ("matrices", _of("matmul"), (A, B)),
        ("vectors", _of("matmul"), (vector3, data(3, seed=1))),
        ("matrix, vector", _of("matmul"), (A, vector3)),
        ("vector, matrix", _of("matmul"), (vector3, B)),
        ("batch", _of("matmul"), (batch_a, batch_b)),
        ("batch, matrix", _of("matmul"), (batch_a, B)),
        ("broadcast", _of("matmul"), (data(2, 1, 4, 3), data(3, 3, 5))),
        ("transposed", lambda m, a, b: a.t() @ b.t(), (data(3, 4), data(5, 3))),
    ],
    "mm": [("", _of("mm"), (A, B))],
    "bmm": [("", _of("bmm"), (batch_a, batch_b))],
    "mv": [("", _of("mv"), (A, vector3))],
    "dot": [("", _of("dot"), (vector3, data(3, seed=1)))],
    "outer": [("", _of("outer"), (vector3, vector5))],
    "addmm": [("", _of("addmm"), (data(4, 5), A, B)), ("scaled", _of("addmm", beta=2, alpha=3), (vector5, A, B)), ("beta 0", _of("addmm", beta=0), (vector5, A, B))],
    "addmv": [("", _of("addmv"), (vector4, A, vector3)), ("scaled", _of("addmv", beta=2, alpha=3), (vector4, A, vector3))],
    "baddbmm": [("", _of("baddbmm"), (data(2, 4, 5), batch_a, batch_b)), ("scaled", _of("baddbmm", beta=2, alpha=3), (vector5, batch_a, batch_b))],
    "linear": [
        ("bias", _of("linear"), (A, data(5, 3), vector5)),
        ("plain", _of("linear"), (A, data(5, 3))),
        ("batch", _of("linear"), (data(2, 4, 3), data(5, 3), vector5)),
        ("vector", _of("linear"), (vector3, data(5, 3), vector5)),
    ],
    "einsum": [
        (equation, lambda m, *t, e=equation: m.einsum(e, *t), arrays)
        for equation, arrays in [
            ("ij,jk->ik", (A, B)), ("ij->ji", (A,)), ("ii->i", (data(3, 3),)), ("ii", (data(3, 3),)), ("ij->", (A,)), ("bij,bjk->bik", (batch_a, batch_b)),
            ("...ij,...jk", (batch_a, batch_b)), ("i,j->ij", (vector3, vector5)), ("ij,ij->", (A, data(4, 3, seed=1))), ("ij,jk,kl->il", (A, B, data(5, 2))),
            ("bhid,bhjd->bhij", (data(2, 2, 3, 4), data(2, 2, 5, 4))), ("i,i->i", (vector3, data(3, seed=1))),
        ]
    ],
}  # fmt: skip

# ------------------------------------------------------------------------------------------------ creation
CREATION = {
    "empty": [("", lambda m: m.empty(2, 3).shape == (2, 3) and m.empty((0,)), ())],
    "zeros": [("sizes", lambda m: m.zeros(2, 3), ()), ("tuple", lambda m: m.zeros((2, 3), dtype=m.int64), ()), ("none", lambda m: m.zeros(()), ())],
    "ones": [("", lambda m: m.ones(2, 3), ()), ("bool", lambda m: m.ones(3, dtype=m.bool), ())],
    "full": [("", lambda m: m.full((2, 2), 1.5), ()), ("int", lambda m: m.full((2,), 3), ()), ("bool", lambda m: m.full((2,), True), ())],
    "empty_like": [("", lambda m, t: m.empty_like(t) * 0 == 5, (x,))],
    "zeros_like": [("", lambda m, t: m.zeros_like(t), (x,)), ("dtype", lambda m, t: m.zeros_like(t, dtype=m.int32), (x,))],
    "ones_like": [("", lambda m, t: m.ones_like(t), (x,))],
    "full_like": [("", lambda m, t: m.full_like(t, 2), (x,))],
    "tensor": [
        ("list", lambda m: m.tensor([[1, 2], [3, 4]]), ()), ("floats", lambda m: m.tensor([1.0, 2]), ()), ("bool", lambda m: m.tensor([True, False]), ()),
        ("number", lambda m: m.tensor(2.5, dtype=m.float64), ()), ("empty", lambda m: m.tensor([]), ()),
    ],
    "as_tensor": [("", lambda m: m.as_tensor([1, 2, 3]), ()), ("array", lambda m: m.as_tensor(np.arange(3.0)), ())],
    "from_numpy": [("", lambda m: m.from_numpy(np.arange(6, dtype=np.int16).reshape(2, 3)), ())],
    "scalar_tensor": [("", lambda m: m.scalar_tensor(2), ())],
    "arange": [
        ("end", lambda m: m.arange(5), ()), ("step", lambda m: m.arange(1, 10, 3), ()), ("float", lambda m: m.arange(0.5, 3, 0.5), ()), ("down", lambda m: m.arange(5, 0, -2), ()),
        ("dtype", lambda m: m.arange(4, dtype=m.float64), ()), ("none", lambda m: m.arange(0), ()), ("uint8", lambda m: m.arange(4, dtype=m.uint8), ()),
    ],
    "linspace": [("", lambda m: m.linspace(0, 1, 7), ()), ("one", lambda m: m.linspace(2, 5, 1), ()), ("double", lambda m: m.linspace(-1, 3, 5, dtype=m.float64), ())],
    "eye": [("", lambda m: m.eye(3), ()), ("wide", lambda m: m.eye(2, 4, dtype=m.int64), ()), ("tall", lambda m: m.eye(4, 2), ())],
}  # fmt: skip
RANDOM = {
    "rand": [("", lambda m: m.rand(3, 4), ())],
    "randn": [("", lambda m: m.randn((3, 4), dtype=m.float64), ())],
    "randint": [("", lambda m: m.randint(2, 9, (3, 4)), ())],
    "randperm": [("", lambda m: m.randperm(7), ())],
    "rand_like": [("", lambda m, t: m.rand_like(t), (x,))],
    "randn_like": [("", lambda m, t: m.randn_like(t), (x,))],
    "randint_like": [("", lambda m, t: m.randint_like(t, 3), (x,))],
    "bernoulli": [("", lambda m, t: m.bernoulli(t), (data(3, 4, domain="unit") ** 2,))],
    "normal": [("", lambda m, t: m.normal(t, 1.0), (x,))],
}
LOSSES = {"cross_entropy_rows": [("", _of("cross_entropy_rows"), (data(4, 5), index(5, 4)))]}
# Ops by subject have their samples in tests/samples_<subject>.py: a dict SAMPLES like those above.
OTHERS: dict = {}
for _path in sorted(pathlib.Path(__file__).parent.glob("samples_*.py")):
    OTHERS |= importlib.import_module(_path.stem).SAMPLES
    RANDOM |= getattr(importlib.import_module(_path.stem), "RANDOM", {})  # of these only shapes and dtypes are compared
BY_NAME = OTHERS | LOSSES | ELEMENTWISE | REDUCTIONS | VIEWS | PRODUCTS | CREATION | RANDOM


@cache
def samples_of(name: str) -> tuple[Sample, ...]:
    """The samples of an op; a KeyError if there are none."""
    op = TABLE[name]
    found = BY_NAME.get(name) or BY_NAME.get(ROWS.get(name))
    if found is None and op.family == "elementwise":
        found = _elementwise(op)
    if not found:
        raise KeyError(f"op {name!r} has no samples: add some to tests/samples.py")
    return tuple(Sample(f"{name} {label}".strip(), call, arrays, name in RANDOM) for label, call, arrays in found)


def names(*families) -> list[str]:
    return [n for n, op in TABLE.items() if not families or op.family in families]

"""Every op of the table against PyTorch: values, shapes, dtypes, layouts and errors."""

import itertools

import numpy as np
import pytest
from compare import equal, outcome
from samples import LAYOUTS, RANDOM, contiguous, data, function, names, samples_of, telling

import numtape as nt
from numtape.op import TABLE

DTYPES = ("bool", "uint8", "int8", "int16", "int32", "int64", "float32", "float64")
ELEMENTWISE = names("elementwise")
PUBLIC = [n for n in ELEMENTWISE if hasattr(nt, n)]
# Private ops, which only meet floating-point operands.
FLOAT_ONLY = {"zero", "extremum_share", "_pow_slope", "_pow_log", "softplus_unit", "add_scaled", "clamp_both", "rint", "truncate_divide", "bitwise_invert"}
# Results whose layout PyTorch leaves open; and those which pick one of equal elements, as it likes.
LAYOUT_UNSPECIFIED = {"masked_fill", "getitem", "select_scatter", "slice_scatter", "diagonal_scatter"}
PICK_ONE = {"argmax", "argmin", "max", "min"}
# float32 values of steep functions differ by more than a few units in the last place.
TOLERANCE = {"tan": (2e-5, 2e-5), "prod": (2e-5, 1e-6), "pow": (2e-5, 1e-6), "_pow_log": (2e-5, 1e-5)}


def run(torch, sample, kind, layout="contiguous", tolerance=None):
    mine = outcome(lambda: sample.call(nt, *sample.tensors(nt, kind, layout)))
    theirs = outcome(lambda: sample.call(torch, *sample.tensors(torch, kind, layout)))
    memory = not (layout != "contiguous" and TABLE[sample.name.split()[0]].name in LAYOUT_UNSPECIFIED)
    equal(mine, theirs, f"{sample} {kind} {layout}", tolerance, memory)


def test_every_op_has_samples():
    missing = []
    for name in TABLE:
        try:
            samples_of(name)
        except KeyError:
            missing.append(name)
    assert not missing, f"ops without samples in tests/samples.py: {missing}"


@pytest.mark.parametrize("name", [n for n in names() if n not in RANDOM])
def test_values(torch, name):
    for sample in samples_of(name):
        run(torch, sample, "float32", tolerance=TOLERANCE.get(name))


@pytest.mark.parametrize("name", telling(n for n in names() if n not in RANDOM))
def test_layouts(torch, name):
    first = samples_of(name)[:2] if TABLE[name].family == "elementwise" else samples_of(name)
    for sample, layout in itertools.product(first, list(LAYOUTS)[1:]):
        if not (layout == "expanded" and (name in PICK_ONE or name.startswith("linalg_"))):  # equal rows: factors are not unique
            run(torch, sample, "float32", layout, TOLERANCE.get(name))


@pytest.mark.parametrize("name", list(RANDOM))
def test_random_ops_shape_and_dtype(torch, name):
    for sample in samples_of(name):
        mine, theirs = (sample.call(m, *sample.tensors(m, "float32")) for m in (nt, torch))
        assert tuple(mine.shape) == tuple(theirs.shape) and str(mine.dtype)[8:] == str(theirs.dtype)[6:]


def test_random_ops_distribution():
    n = 200_000
    u, z, k = nt.rand(n).numpy(), nt.randn(n).numpy(), nt.randint(-3, 4, (n,)).numpy()
    assert u.min() >= 0 and u.max() < 1 and abs(u.mean() - 0.5) < 5e-3 and abs(u.var() - 1 / 12) < 1e-3
    assert abs(z.mean()) < 0.01 and abs(z.std() - 1) < 0.01 and abs((z**4).mean() - 3) < 0.1
    assert set(k) == set(range(-3, 4)) and abs(k.mean()) < 0.03
    assert sorted(nt.randperm(1000).tolist()) == list(range(1000))
    assert abs(nt.bernoulli(nt.full((n,), 0.3)).numpy().mean() - 0.3) < 0.01
    assert abs(nt.normal(nt.full((n,), 2.0), 0.5).numpy().std() - 0.5) < 0.01
    nt.manual_seed(3)
    a = nt.randn(5)
    nt.manual_seed(3)
    assert a.tolist() == nt.randn(5).tolist() != nt.randn(5).tolist()


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_no_elements_and_no_dims(torch, name):
    sample = samples_of(name)[0]
    for shape in ((0, 3), (2, 0)):
        arrays = [np.zeros(shape, a.dtype) for a in sample.arrays]
        equal(*(outcome(lambda m=m, arrays=arrays: sample.call(m, *[contiguous(m, a) for a in arrays])) for m in (nt, torch)), f"{name} {shape}")
    scalars = [a.astype("f4" if a.dtype == np.float64 else a.dtype).reshape(-1)[0].reshape(()) for a in sample.arrays]
    equal(*(outcome(lambda m=m: sample.call(m, *[contiguous(m, np.array(a)) for a in scalars])) for m in (nt, torch)), name)


# ------------------------------------------------------------------------------------------------ dtypes
@pytest.mark.parametrize("name", telling(n for n in ELEMENTWISE if n not in FLOAT_ONLY))
def test_result_dtypes(torch, name):
    """The dtype of the result, or the error, for every dtype. Without elements, so that nothing has to be compiled."""
    for sample, kind in itertools.product(samples_of(name), DTYPES):
        arrays = [np.zeros((0, 5), kind if a.dtype == np.float64 else a.dtype) for a in sample.arrays]
        equal(*(outcome(lambda m=m, arrays=arrays: sample.call(m, *[contiguous(m, a) for a in arrays])) for m in (nt, torch)), f"{sample} {kind}")  # noqa: B023


@pytest.mark.parametrize("name", telling(n for n in names("elementwise", "reduction", "composite") if n not in RANDOM and n not in FLOAT_ONLY and n != "cross_entropy_rows"))
def test_whole_numbers(torch, name):
    for sample in samples_of(name)[:1]:
        run(torch, sample, "int64", tolerance=(2e-5, 1e-6))


ALL_KINDS = ["add", "mul", "sub", "neg", "abs", "sign", "maximum", "floor_divide", "remainder", "bitwise_and", "eq", "where", "sum", "amax", "sqrt", "square"]


@pytest.mark.parametrize("name", ALL_KINDS)
def test_every_dtype(torch, name):
    for kind in DTYPES[:-3]:
        run(torch, samples_of(name)[0], kind)


@pytest.mark.parametrize("name", ["logical_and", "logical_not", "bitwise_or", "bitwise_xor", "mul", "any", "all", "prod", "cumsum", "argmax", "cat", "gather", "index_select", "clone"])
def test_bool(torch, name):
    run(torch, samples_of(name)[0], "bool")


def test_promotion_table(torch):
    for a, b in itertools.product(DTYPES, DTYPES):
        assert str(nt.promote_types(getattr(nt, a), getattr(nt, b)))[8:] == str(torch.promote_types(getattr(torch, a), getattr(torch, b)))[6:]
        assert nt.can_cast(getattr(nt, a), getattr(nt, b)) == torch.can_cast(getattr(torch, a), getattr(torch, b)), (a, b)


@pytest.mark.parametrize("name", ["add", "div", "maximum", "lt", "bitwise_and", "logical_or", "pow", "fmod", "where"])
def test_promotion_of_operands(torch, name):
    """Tensors with dims, tensors without, and numbers, in all pairs of dtypes."""

    def operands(m, shape):
        return [m.zeros(shape, dtype=getattr(m, kind)) for kind in DTYPES]

    def call(m, a, b):
        return m.where(m.zeros(0, dtype=m.bool), a, b) if name == "where" else function(m, name)(a, b)

    for shape in ((0,), ()):
        mine, theirs = [(operands(m, (0,)), [t + 1 if t.dtype != m.bool else ~t for t in operands(m, shape)]) for m in (nt, torch)]  # no division by 0
        for i, j in itertools.product(range(len(DTYPES)), repeat=2):
            what = f"{name} {DTYPES[i]} {DTYPES[j]} {shape}"
            equal(outcome(lambda: call(nt, mine[0][i], mine[1][j])), outcome(lambda: call(torch, theirs[0][i], theirs[1][j])), what)  # noqa: B023
    if name in ("maximum", "logical_or"):
        return
    for i, number in itertools.product(range(len(DTYPES)), (True, 2, 2.5)):
        a, b = nt.zeros(0, dtype=getattr(nt, DTYPES[i])), torch.zeros(0, dtype=getattr(torch, DTYPES[i]))
        equal(outcome(lambda: call(nt, a, number)), outcome(lambda: call(torch, b, number)), f"{name} {DTYPES[i]} {number!r}")  # noqa: B023


@pytest.mark.parametrize(
    "expression",
    [
        "2 + x", "2 - x", "2.5 * x", "2 / x", "7 // x", "7 % x", "2 ** x", "x ** 2", "x ** -1", "x ** 0.5", "x ** 3", "-x", "+x", "abs(x)", "x + True", "x // 2", "x % 3", "x / 2",
        "x == 2", "2 < x", "x >= y", "x != y", "x < 1.5", "x @ y.t()", "~(x > 1)", "(x > 1) & (y > 1)", "(x > 1) | (y > 1)", "(x > 1) ^ (y > 1)", "x + y * 2 - x / y",
    ],
)  # fmt: skip
@pytest.mark.parametrize("kind", ["float32", "int64"])
def test_operators(torch, expression, kind):
    a, b = (abs(data(3, 4, seed=s)) + 1 for s in (0, 1))

    def value(m):
        return eval(expression, {"x": m.from_numpy(a.astype(kind)), "y": m.from_numpy(b.astype(kind)), "m": m, "abs": abs})

    equal(outcome(lambda: value(nt)), outcome(lambda: value(torch)), expression)


SPECIAL = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, -1.0, 1e-3, -100, 0.5], "f4")


@pytest.mark.parametrize("name", [n for n in PUBLIC if TABLE[n].names in (("x",), ("x", "y")) and n not in ("i0", "igamma", "igammac")])  # PyTorch's i0(inf) is NaN, its igamma(nan, 0) is 0
def test_special_values(torch, name):
    """Infinities, NaN and signed zeros mean what IEEE 754 and PyTorch say."""
    arrays = [SPECIAL] if TABLE[name].names == ("x",) else [np.repeat(SPECIAL, 10), np.tile(SPECIAL, 10)]
    equal(*(outcome(lambda m=m: function(m, name)(*[contiguous(m, a) for a in arrays])) for m in (nt, torch)), name)


def test_special_values_at_the_ends_of_the_range(torch):
    ends = np.array([1e-30, -1e30, 3e38, 1e-45, -1e-38, 1e10, 123456.7], "f4")
    for name in ("sin", "cos", "tan", "exp", "log", "sqrt", "tanh", "sigmoid", "erf", "expm1", "log1p", "abs", "floor", "rsqrt", "atan", "sinh"):
        given = ends[np.abs(ends) < 2**45] if name in ("sin", "cos", "tan") else ends  # beyond, numtape gives NaN: docs/accuracy.md
        equal(*(outcome(lambda m=m: function(m, name)(contiguous(m, given))) for m in (nt, torch)), name, (1e-5, 2e-6))  # noqa: B023


def test_conversions_between_dtypes(torch):
    values = np.array([0, 1, 2, 100, 200, 255, 256, -1, -100, 1000])
    for a, b in itertools.product(DTYPES, DTYPES):
        if a in ("int8", "int16", "int32") and b in ("int8", "int16", "uint8"):
            continue
        array = (values + 0.5 if a.startswith("float") else values).astype(a)
        equal([nt.from_numpy(array).to(getattr(nt, b))], [torch.from_numpy(array).to(getattr(torch, b))], f"{a} to {b}")


REDUCTIONS = ["sum", "prod", "mean", "amax", "amin", "any", "all", "var", "std", "logsumexp", "norm", "argmax", "max", "softmax", "cumsum"]


@pytest.mark.filterwarnings("ignore:.*degrees of freedom")  # PyTorch's
@pytest.mark.parametrize("name", REDUCTIONS)
def test_reductions_of_nothing(torch, name):
    def calls(m):
        f = function(m, name)
        for shape, dim in itertools.product([(0,), (2, 0), (0, 3)], (None, 0, 1)):
            if dim is not None and dim >= len(shape):
                continue
            if name in ("softmax", "cumsum", "logsumexp") and dim is None:
                continue
            yield outcome(lambda: f(m.zeros(shape)) if dim is None else f(m.zeros(shape), dim=dim))  # noqa: B023

    for k, (mine, theirs) in enumerate(zip(calls(nt), calls(torch))):
        equal(mine, theirs, f"{name} {k}")


@pytest.mark.parametrize("name", [n for n in REDUCTIONS if n not in ("var", "std")])
def test_reductions_of_a_number(torch, name):
    def call(m, **options):
        return outcome(lambda: function(m, name)(m.tensor(2.5), **options))

    options = {"dim": 0} if name in ("softmax", "cumsum", "logsumexp") else {}
    equal(call(nt, **options), call(torch, **options), name)


@pytest.mark.parametrize("name", ["sum", "mean", "amax", "softmax", "logsumexp", "cumsum", "var", "argmax"])
def test_reductions_of_larger_tensors(torch, name):
    rng = np.random.default_rng(0)
    for shape, dim in [((3, 1000), 1), ((1000, 3), 0), ((2, 300, 5), 1), ((7, 5, 40), 2)]:
        array = rng.standard_normal(shape).astype("f4")
        equal(*(listed_call(m, name, array, dim) for m in (nt, torch)), f"{name} {shape} {dim}", (1e-4, 1e-5))


@pytest.mark.parametrize("name", ["softmax", "log_softmax", "logsumexp", "std"])
def test_rows_side_by_side(torch, name):
    """Formulas over a dim that is not the last, and their gradients: strips, full and not, of operands of several layouts."""
    rng = np.random.default_rng(1)
    for shape, dim, step in [((2, 130, 70), 1, 1), ((67, 9), 0, 1), ((3, 5, 16), 1, 2)]:
        array, g = (rng.standard_normal(shape) for _ in range(2))
        outputs = []
        for m in (nt, torch):
            x = m.from_numpy(array).to(m.float32).requires_grad_()
            y = function(m, name)(x[..., ::step], dim)
            outputs.append([y.detach(), m.autograd.grad(y, x, m.from_numpy(np.resize(g, tuple(y.shape))).to(m.float32))[0]])
        equal(*outputs, f"{name} {shape}", (1e-4, 1e-5))


def test_rows_side_by_side_are_the_same_bits_for_any_number_of_threads():
    x, bits, threads = nt.randn(700, 300), [], nt.get_num_threads()
    try:
        for count in (1, 2, 3):
            nt.set_num_threads(count)
            bits.append(nt.softmax(x, 0).numpy().tobytes() + x.t().contiguous().numpy().tobytes())
    finally:
        nt.set_num_threads(threads)
    assert bits[0] == bits[1] == bits[2]


def listed_call(m, name, array, dim):
    return outcome(lambda: function(m, name)(m.from_numpy(array), dim=dim))


def test_nan_wins_in_extrema(torch):
    array = np.array([[1, np.nan, 3], [4, 5, -np.inf]], "f4")
    for name, dim in itertools.product(("amax", "amin", "argmax", "argmin", "max", "min"), (0, 1)):
        equal(listed_call(nt, name, array, dim), listed_call(torch, name, array, dim), f"{name} {dim}")

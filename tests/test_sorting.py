"""Sorting, selecting, scanning, counting and drawing, beyond what the table of samples drives."""

import math

import numpy as np
import pytest
from compare import equal, outcome
from hypothesis import given
from hypothesis import strategies as st

import numtape as nt

DTYPES = ("bool", "uint8", "int8", "int16", "int32", "int64", "float32", "float64")


def values(kind, *shape):
    a = np.random.default_rng(7).standard_normal(shape) * 100
    if not kind.startswith("float"):
        return a.astype("i8").astype(kind)
    a = a.astype(kind)
    if shape[-1] > 4:
        a[0, 1], a[1, 2], a[2, 0], a[2, 3], a[2, 4] = np.nan, -np.inf, np.inf, -0.0, 0.0
    return a


@pytest.mark.parametrize("kind", DTYPES)
def test_lines_of_every_length_and_dtype(torch, kind):
    """By insertion and by radix; NaN last, equal elements in order, -0.0 equal to 0.0."""
    for n in (1, 5, 48, 49, 700):
        x, y = nt.from_numpy(values(kind, 3, n)), torch.from_numpy(values(kind, 3, n))
        for descending in (False, True):
            equal(list(nt.sort(x, 1, descending)), list(torch.sort(y, dim=1, descending=descending, stable=True)), f"{kind} {n}")
            if kind == "bool":
                continue
            for k in {1, n // 2 or 1, n}:
                found, place = nt.topk(x, k, 1, descending)
                equal([found, x.gather(1, place)], [torch.topk(y, k, 1, descending)[0]] * 2, f"topk {kind} {n} {k}")
        for name in ("median", "nanmedian", "mode"):
            if kind != "bool" or name == "mode":
                found, place = getattr(nt, name)(x, 1, True)
                equal([found, x.gather(1, place)], [getattr(torch, name)(y, 1, True)[0]] * 2, f"{name} {kind} {n}")


def test_kth_value_of_long_lines(torch):
    a = np.random.default_rng(1).integers(-50, 50, (2, 5000)).astype("f4") / 7
    for k in (1, 2, 49, 2500, 4999, 5000):
        equal([nt.kthvalue(nt.from_numpy(a), k).values], [torch.kthvalue(torch.from_numpy(a), k).values])


@given(st.lists(st.floats(width=32), max_size=120), st.booleans())
def test_order_of_any_floats(numbers, descending):
    """A stable order in which NaN is the largest: what Python's sort makes of the same key."""
    found = nt.sort(nt.tensor(numbers, dtype=nt.float32), descending=descending).indices.tolist()
    key = lambda i: (math.isnan(numbers[i]), 0.0 if math.isnan(numbers[i]) else numbers[i])
    assert found == sorted(range(len(numbers)), key=key, reverse=False) if not descending else [key(i) for i in found] == sorted(map(key, range(len(numbers))), reverse=True)


@given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=120))
def test_order_of_any_integers(numbers):
    t = nt.tensor(numbers, dtype=nt.int64)
    assert t.sort().values.tolist() == sorted(numbers)
    assert t.sort(descending=True).values.tolist() == sorted(numbers, reverse=True)
    assert t.median().item() == sorted(numbers)[(len(numbers) - 1) // 2]
    unique, inverse, counts = t.unique(return_inverse=True, return_counts=True)
    assert unique.tolist() == sorted(set(numbers)) and unique[inverse].tolist() == numbers and counts.tolist() == [numbers.count(v) for v in unique.tolist()]


def test_the_same_bits_on_any_number_of_threads():
    x = nt.randn(64, 3000)
    found = []
    for threads in (1, 2):
        nt.set_num_threads(threads)
        nt.manual_seed(4)
        found.append([*x.sort(1), *x.topk(7, 1), *x.cummax(1), x.logcumsumexp(1), nt.multinomial(x.abs(), 50), nt.multinomial(x.abs(), 50, True), nt.poisson(x.abs() * 20)])
    assert all(bool((a == b).all()) for a, b in zip(*found))


def test_results_are_named():
    t = nt.tensor([3.0, 1.0, 2.0])
    for found in (t.sort(), t.topk(2), t.kthvalue(1), t.median(0), t.mode(0), t.cummax(0)):
        assert found.values is found[0] and found.indices is found[1]
    hist, edges = found = nt.histogram(t, 2)
    assert found.hist is hist and found.bin_edges is edges


@pytest.mark.parametrize("name", ["sort", "argsort", "topk", "kthvalue", "median", "nanmedian", "mode", "cumprod", "logcumsumexp", "cummax", "unique", "unique_consecutive", "quantile", "diff", "cumsum"])
def test_no_dims_and_no_elements(torch, name):
    more = {"topk": (1,), "kthvalue": (1,), "cumprod": (0,), "logcumsumexp": (0,), "cummax": (0,), "cumsum": (0,), "quantile": (0.5,)}.get(name, ())
    for make in (lambda m: m.tensor(2.5), lambda m: m.zeros(0), lambda m: m.zeros(0, 3), lambda m: m.zeros(2, 0)):
        equal(*(outcome(lambda m=m: getattr(m, name)(make(m), *more)) for m in (nt, torch)), name)  # noqa: B023


CALLS = [
    lambda m, t: m.topk(t, 9), lambda m, t: m.topk(t, -1), lambda m, t: m.kthvalue(t, 0), lambda m, t: m.kthvalue(t, 5), lambda m, t: m.sort(t, 2), lambda m, t: m.sort(t, dim=-3),
    lambda m, t: m.median(t, 7), lambda m, t: m.mode(t, 4), lambda m, t: m.quantile(t, 1.5), lambda m, t: m.quantile(t.long(), 0.5), lambda m, t: m.quantile(t, m.tensor([0.1, 2.0])),
    lambda m, t: m.quantile(t, 0.5, interpolation="cubic"), lambda m, t: m.cummax(t, 3), lambda m, t: m.logcumsumexp(t.long(), 0), lambda m, t: m.diff(t, -1), lambda m, t: m.diff(t, prepend=t[0]),
    lambda m, t: m.diff(m.tensor(1.0)), lambda m, t: m.trapezoid(t, m.tensor([1.0, 2.0])), lambda m, t: m.bincount(t), lambda m, t: m.bincount(m.tensor([-1])), lambda m, t: m.bincount(m.tensor([1]), minlength=-1),
    lambda m, t: m.bincount(m.tensor([1, 2]), m.tensor([1.0])), lambda m, t: m.histc(t, 0), lambda m, t: m.histc(t, 3, 2, 1), lambda m, t: m.histc(t / 0, 3), lambda m, t: m.histc(t.long(), 3),
    lambda m, t: m.searchsorted(t, m.zeros(3)), lambda m, t: m.searchsorted(t[0], t, side="middle"), lambda m, t: m.searchsorted(t[0], t, right=True, side="left"), lambda m, t: m.searchsorted(m.tensor(1.0), t),
    lambda m, t: m.searchsorted(t[0], t, sorter=m.tensor([0, 1, 2])), lambda m, t: m.searchsorted(t[0], t, sorter=m.tensor([0, 1, 2, 9])), lambda m, t: m.bucketize(t, t),
    lambda m, t: m.multinomial(t * 0, 1), lambda m, t: m.multinomial(-t, 1), lambda m, t: m.multinomial(t, 9), lambda m, t: m.multinomial(t, 0), lambda m, t: m.multinomial(t.long(), 1), lambda m, t: m.poisson(-t),
    lambda m, t: t.exponential_(-1), lambda m, t: t.geometric_(1.5), lambda m, t: t.cauchy_(0, -1), lambda m, t: t.log_normal_(0, -1), lambda m, t: t.long().exponential_(), lambda m, t: m.topk(t > 0, 1),
]  # fmt: skip


@pytest.mark.parametrize("k", range(len(CALLS)))
def test_errors_are_pytorchs(torch, k):
    mine, theirs = (outcome(lambda m=m: CALLS[k](m, m.arange(1.0, 9.0).reshape(2, 4))) for m in (nt, torch))
    assert isinstance(theirs, Exception)
    equal(mine, theirs, f"call {k}")


def test_into_given_tensors(torch):
    def call(m):
        t, v, i = m.tensor([[3.0, 1.0, 2.0], [0.0, 5.0, 4.0]]), m.empty(0), m.empty(0, dtype=m.int64)
        found = m.sort(t, out=(v, i))
        return [v, i, *found, m.cumprod(t, 1, out=m.empty(2, 3)), t.clone().cumprod_(1), t.clone().cumsum_(0)]

    equal(call(nt), call(torch))


def test_in_place_running_sums_are_recorded(torch):
    def call(m):
        t = m.tensor([1.0, 2.0, 3.0], requires_grad=True)
        u = t * 2
        if m is nt:  # PyTorch's cumprod keeps its result, which the second call would overwrite
            u.cumprod_(0).cumsum_(0)
        else:
            u = u.cumprod(0).cumsum(0)
        u.sum().backward()
        return [t.grad]

    equal(call(nt), call(torch))


def test_nan_and_infinity_in_scans(torch):
    a = np.array([[-np.inf, -np.inf, 1, np.inf, 2, np.nan], [1, np.nan, 3, 2, np.nan, 5], [-1000, 1000, 999, -np.inf, 0, 1e30]], "f4")
    for name in ("cummax", "cummin", "cumprod", "logcumsumexp"):
        equal(*(outcome(lambda m=m: getattr(m, name)(m.from_numpy(a), 1)) for m in (nt, torch)), name)  # noqa: B023
    for q in (0.0, 0.4, 1.0):
        for name in ("quantile", "nanquantile"):
            equal(*(outcome(lambda m=m: getattr(m, name)(m.from_numpy(a[1:2]), q, 1)) for m in (nt, torch)), name)  # noqa: B023


def test_gradient_of_logcumsumexp_where_nothing_is_summed_yet(torch):
    def grads(m):
        t = m.tensor([-math.inf, -math.inf, 0.5, 2.0, -1.0], dtype=m.float64, requires_grad=True)
        (t.logcumsumexp(0)[2:] * m.tensor([1.0, -2.0, 3.0], dtype=m.float64)).sum().backward()
        return t.grad

    mine = grads(nt)
    assert mine[:2].tolist() == [0, 0]  # PyTorch gives NaN
    equal([mine[2:]], [grads(torch)[2:]])


def test_second_gradient_of_products_of_zeros():
    for numbers in ([0.0, 0.0, 2.0, 3.0], [1.5, 0.0, 2.0, 0.0, 3.0], [2.0, -1.0, 0.5]):
        t = nt.tensor(numbers, dtype=nt.float64, requires_grad=True)
        assert nt.autograd.gradcheck(lambda x: x.cumprod(0), [t]) and nt.autograd.gradgradcheck(lambda x: x.cumprod(0), [t])


def test_equal_medians_share_the_gradient(torch):
    def grads(m):
        t = m.tensor([1.0, 2.0, 2.0, 3.0, 2.0], requires_grad=True)
        t.median().backward()
        return [t.grad]

    equal(grads(nt), grads(torch))


def test_unique_refuses_a_gradient():
    t = nt.tensor([1.0, 2.0, 1.0], requires_grad=True)
    assert t.unique().requires_grad
    with pytest.raises(NotImplementedError, match="unique"):
        t.unique().sum().backward()


def test_distinct_rows_of_every_dtype(torch):
    for kind in ("bool", "uint8", "int32", "float64"):
        a = np.random.default_rng(2).integers(-1, 2, (40, 3)).astype(kind)
        for dim in (0, 1):
            call = lambda m: m.unique(m.from_numpy(a), dim=dim, return_inverse=True, return_counts=True)  # noqa: B023
            equal(list(call(nt)), list(call(torch)), memory=False)


# ------------------------------------------------------------------------------------------------ draws
def test_waiting_times_and_their_kin():
    n = 200_000
    x = nt.empty(n).exponential_(2.0).numpy()
    assert x.min() > 0 and abs(x.mean() - 0.5) < 0.01 and abs(x.std() - 0.5) < 0.01
    x = nt.empty(n, dtype=nt.float64).cauchy_(3.0, 2.0).numpy()
    assert np.allclose(np.quantile(x, [0.25, 0.5, 0.75]), [1, 3, 5], atol=0.05)
    x = np.log(nt.empty(n).log_normal_(1.0, 0.5).numpy())
    assert abs(x.mean() - 1) < 0.01 and abs(x.std() - 0.5) < 0.01
    for kind in (nt.float32, nt.int64):
        x = nt.empty(n, dtype=kind).geometric_(0.25).numpy()
        assert x.min() == 1 and abs(x.mean() - 4) < 0.06 and abs((x == 1).mean() - 0.25) < 0.01


def test_poisson_distribution():
    for rate in (0.0, 0.3, 4.0, 9.9, 10.1, 35.0, 1000.0):
        x = nt.poisson(nt.full((100_000,), rate, dtype=nt.float64)).numpy()
        assert (x == np.floor(x)).all() and x.min() >= 0
        assert abs(x.mean() - rate) <= 5 * math.sqrt(rate / 1e5) + 1e-12 and abs(x.var() - rate) <= 0.03 * rate
    probabilities = [math.exp(-12 + k * math.log(12) - math.lgamma(k + 1)) for k in range(25)]
    counts = nt.bincount(nt.poisson(nt.full((400_000,), 12.0)).long(), minlength=25).numpy()[:25] / 4e5
    assert np.allclose(counts, probabilities, atol=3e-3)


def test_multinomial_distribution():
    p = nt.tensor([[1.0, 0.0, 3.0, 4.0], [0.0, 0.0, 1.0, 0.0]])
    x = p.multinomial(80_000, replacement=True)
    assert np.allclose(nt.bincount(x[0]).numpy() / 8e4, [0.125, 0, 0.375, 0.5], atol=0.01) and bool((x[1] == 2).all())
    first = nt.tensor([1.0, 0.0, 3.0, 4.0]).expand(40_000, 4).multinomial(3)
    assert np.allclose(nt.bincount(first[:, 0].contiguous(), minlength=4).numpy() / 4e4, [0.125, 0, 0.375, 0.5], atol=0.015)
    assert bool((first.sort(1).values == nt.tensor([0, 2, 3])).all())
    g = nt.Generator().manual_seed(9)
    assert p[0].multinomial(20, True, generator=g).tolist() == p[0].multinomial(20, True, generator=nt.Generator().manual_seed(9)).tolist()

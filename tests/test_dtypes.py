"""Halves, wide unsigned integers and the rules of promotion, against PyTorch and NumPy."""

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from samples import names, samples_of

import numtape as nt
from numtape import dtypes

HALVES = ("float16", "bfloat16")
WIDE = ("uint16", "uint32", "uint64")
REAL = [d.name for d in dtypes.SUPPORTED]
# One op of each way to compute: elementwise, rows, columns, lines, products, windows, sorting, places, copies.
OPS = ("add", "mul", "exp", "gelu", "where", "sum", "amax", "mean", "softmax", "cumsum", "argmax", "gather", "index_add", "cat", "sort", "topk", "matmul", "linear",
       "conv2d", "max_pool2d_with_indices", "index_select", "eq", "clamp", "layer_norm")  # fmt: skip
TOLERANCE = {"float16": 4e-3, "bfloat16": 3e-2}


def both(torch, array, name):
    mine, theirs = (m.from_numpy(array.copy()) if array.ndim else m.tensor(array) for m in (nt, torch))
    return (mine, theirs) if array.dtype != np.float64 else (mine.to(getattr(nt, name)), theirs.to(getattr(torch, name)))


def close(mine, theirs, name, what=""):
    assert str(mine.dtype).rpartition(".")[2] == str(theirs.dtype).rpartition(".")[2], what
    a, b = mine.detach().to(nt.float64).numpy(), theirs.detach().double().numpy()
    tolerance = TOLERANCE.get(name, 0)
    np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance, err_msg=what)


@pytest.mark.parametrize("kind", HALVES)
@pytest.mark.parametrize("name", [n for n in OPS if n in names()])
def test_halves(torch, name, kind):
    sample = samples_of(name)[0]
    pairs = [both(torch, a, kind) for a in sample.arrays]
    mine, theirs = sample.call(nt, *(a for a, _ in pairs)), sample.call(torch, *(b for _, b in pairs))
    for a, b in zip(*((r if isinstance(r, tuple) else (r,)) for r in (mine, theirs))):
        close(a, b, kind, f"{sample} {kind}")


@pytest.mark.parametrize("kind", WIDE)
@pytest.mark.parametrize("op", ["+", "-", "*", "//", "%", "&", "|", "^", "<", ">=", "=="])
def test_wide_unsigned_arithmetic_is_numpys(op, kind):
    top = np.iinfo(kind).max
    a, b = np.array([0, 1, 7, top, top - 1, top // 2], kind), np.array([3, top, 2, 1, top, 5], kind)
    with np.errstate(over="ignore"):
        expected = eval(f"a {op} b")
    found = eval(f"x {op} y", {"x": nt.from_numpy(a.copy()), "y": nt.from_numpy(b.copy())})
    np.testing.assert_array_equal(found.numpy(), expected)


@pytest.mark.parametrize("kind", WIDE)
def test_wide_unsigned_order_and_reductions(kind):
    top = np.iinfo(kind).max
    a = np.array([[5, top, 0], [top - 1, 1, top // 2 + 1]], kind)
    x = nt.from_numpy(a.copy())
    assert x.amax().item() == top and x.amin().item() == 0 and x.argmax().item() == 1
    np.testing.assert_array_equal(x.sort(dim=1).values.numpy(), np.sort(a, 1))
    np.testing.assert_array_equal(x.flatten().sort(descending=True).values.numpy(), np.sort(a.ravel())[::-1])
    long = np.random.default_rng(0).integers(0, top, 500, kind)
    np.testing.assert_array_equal(nt.from_numpy(long.copy()).sort().values.numpy(), np.sort(long))
    assert x.sum().dtype is nt.int64
    assert nt.full((2,), top, dtype=getattr(nt, kind)).tolist() == [top, top]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.floats(width=32), min_size=1, max_size=40))
def test_rounding_to_halves_is_to_nearest_even(torch, values):
    a = np.array(values, np.float32)
    for kind in HALVES:
        mine = nt.from_numpy(a.copy()).to(getattr(nt, kind)).float().numpy()
        np.testing.assert_array_equal(mine, torch.from_numpy(a.copy()).to(getattr(torch, kind)).float().numpy())


def test_every_float16_is_kept():
    a = np.arange(2**16, dtype=np.uint16).view(np.float16)
    np.testing.assert_array_equal(nt.from_numpy(a.copy()).float().numpy(), a.astype(np.float32))
    np.testing.assert_array_equal(nt.from_numpy(a.astype(np.float32)).half().numpy(), a)
    np.testing.assert_array_equal(nt.from_numpy(a.astype(np.float64)).half().numpy(), a)


@pytest.mark.parametrize("first", REAL)
def test_promotion(torch, first):
    for second in REAL:
        try:
            expected = str(torch.promote_types(getattr(torch, first), getattr(torch, second)))[6:]
        except RuntimeError:  # unsigned integers beside signed ones, which we promote as NumPy where something holds both
            kinds = np.promote_types(first, second)
            if "complex" in first + second:
                kinds = np.dtype(first if "complex" in first else second)
            if kinds.kind == "f":
                with pytest.raises(RuntimeError, match="convert one first"):
                    nt.promote_types(getattr(nt, first), getattr(nt, second))
                continue
            expected = kinds.name
        assert nt.promote_types(getattr(nt, first), getattr(nt, second)).name == expected, (first, second)


@pytest.mark.parametrize("kind", [*HALVES, "float32", "float64", "complex64"])
def test_finfo(torch, kind):
    mine, theirs = nt.finfo(getattr(nt, kind)), torch.finfo(getattr(torch, kind))
    for name in ("bits", "eps", "max", "min", "tiny", "smallest_normal", "resolution"):
        assert getattr(mine, name) == pytest.approx(getattr(theirs, name), rel=1e-12), name


@pytest.mark.parametrize("kind", HALVES)
def test_gradients_of_halves_have_their_dtype(torch, kind):
    for m in (nt, torch):
        w = m.ones(3, 4, dtype=getattr(m, kind), requires_grad=True)
        loss = (m.nn.functional.linear(m.ones(2, 4, dtype=getattr(m, kind)), w).float() ** 2).mean()
        loss.backward()
        assert str(w.grad.dtype).endswith(kind)
        assert abs(w.grad.float().sum().item() - 32) < 0.2


@pytest.mark.parametrize("kind", HALVES)
def test_draws_of_halves_stay_below_one(kind):
    x = nt.rand(100_000, dtype=getattr(nt, kind)).float()
    assert x.min().item() >= 0 and x.max().item() < 1 and abs(x.mean().item() - 0.5) < 0.01
    z = nt.randn(100_000, dtype=getattr(nt, kind)).float()
    assert abs(z.mean().item()) < 0.02 and abs(z.std().item() - 1) < 0.02


@pytest.mark.parametrize("kind", [*HALVES, *WIDE])
def test_pickles_lists_items(kind):
    x = nt.tensor([1, 2, 3]).to(getattr(nt, kind))
    y = pickle.loads(pickle.dumps(x))
    assert y.dtype is x.dtype and y.tolist() == [1, 2, 3] and x[1].item() == 2 and f"dtype=numtape.{kind}" in repr(x)


@pytest.mark.parametrize("kind", ["float16", "bfloat16", "uint16", "uint64", "complex64"])
def test_dlpack(torch, kind):
    x = nt.tensor([1, 2, 3]).to(getattr(nt, kind))
    t = torch.from_dlpack(x)
    assert t.dtype is getattr(torch, kind) and t.tolist() == [1, 2, 3]
    assert nt.from_dlpack(t).data_ptr() == x.data_ptr() and nt.from_dlpack(t).dtype is x.dtype


def test_errors():
    with pytest.raises(TypeError, match="BFloat16|bfloat16"):
        nt.ones(2, dtype=nt.bfloat16).numpy()
    with pytest.raises(RuntimeError, match="without overflow"):
        nt.ones(2, dtype=nt.uint16).fill_(70000)
    with pytest.raises(NotImplementedError, match="float16 tensors have no CUDA kernels yet"):
        nt.ones(2, device="cuda").half()


def test_default_dtype_may_be_a_half():
    nt.set_default_dtype(nt.bfloat16)
    try:
        assert nt.tensor([1.5]).dtype is nt.bfloat16 and nt.ones(2).dtype is nt.bfloat16 and (nt.arange(3) / 2).dtype is nt.bfloat16
    finally:
        nt.set_default_dtype(nt.float32)


# ------------------------------------------------------------------------------------------------ as precise as the arithmetic
def test_counts_of_halves_are_not_rounded(torch):
    x = nt.full((70_000,), 2.0, dtype=nt.float16, requires_grad=True)
    assert x.mean().item() == 2
    (x.mean() * 1000).backward()
    assert x.grad[0].item() == pytest.approx(1 / 70, rel=1e-3)
    values = 100 + np.sin(np.arange(257, dtype=np.float32))
    close(nt.from_numpy(values).bfloat16().var(), torch.from_numpy(values).bfloat16().var(), "bfloat16")


def test_sums_of_halves_in_places_and_windows():
    for kind in (nt.float16, nt.bfloat16):
        x = nt.zeros(2, dtype=kind).scatter_add(0, nt.zeros(3000, dtype=nt.int64), nt.ones(3000, dtype=kind))
        assert x[0].item() == pytest.approx(3000, rel=4e-3)
    assert nt.nn.functional.avg_pool2d(nt.full((1, 1, 2, 2), 40000.0, dtype=nt.float16), 2).item() == 40000


def test_halves_are_compared_with_rounded_numbers():
    x = nt.tensor([0.1, 0.2]).half()
    assert (x == 0.1).tolist() == [True, False] and (x * 0.1)[0].item() == pytest.approx(0.01, rel=1e-3)


def test_large_whole_numbers_are_exact():
    assert nt.tensor([2**64 - 1, 1], dtype=nt.uint64).tolist() == [2**64 - 1, 1]
    assert nt.array_api.asarray([2**63 + 7, 3], dtype=nt.uint64).tolist() == [2**63 + 7, 3]
    for bad in ([2**63 + 7, -3], [2**64]):
        with pytest.raises((RuntimeError, TypeError), match="overflow|expected numbers"):
            nt.tensor(bad)


@pytest.mark.parametrize("call", [lambda x: x.clamp(-1, 3), lambda x: x.clamp(max=300), lambda x: nt.where(x > 1, x, 300), lambda x: x.masked_fill(x > 1, -1)])
def test_numbers_that_a_dtype_cannot_hold(call):
    with pytest.raises(RuntimeError, match="without overflow"):
        call(nt.tensor([1, 2], dtype=nt.uint8))


def test_a_new_default_dtype_counts_at_once():
    x = nt.tensor([1, 2])
    assert (x / 2).dtype is nt.float32
    nt.set_default_dtype(nt.float64)
    try:
        assert (x / 2).dtype is nt.float64 and x.sqrt().dtype is nt.float64
    finally:
        nt.set_default_dtype(nt.float32)
    assert (x / 2).dtype is nt.float32
    assert nt.tensor(np.float16(1.5)).dtype is nt.float16

"""Sums of many numbers stay accurate, and results are the same bits on any number of threads."""

import numpy as np
import pytest

import numtape as nt

SIZES = [(7,), (1000,), (100_003,), (1_300_001,), (300, 1000), (1000, 300), (3, 200_000), (200_000, 3), (20, 30, 400)]
THREADS = (1, 2, 3, 4, 8)


def test_sum_of_ten_million():
    x = np.random.default_rng(0).random(10_000_000, np.float32)
    exact = x.sum(dtype=np.float64)
    t = nt.from_numpy(x)
    assert abs(t.sum().item() - exact) <= exact * 1e-7
    assert abs(t.mean().item() - exact / x.size) <= 1e-7
    assert abs((t - 0.5).sum().item() - (x - np.float32(0.5)).sum(dtype=np.float64)) <= 0.05
    assert nt.full((20_000_000,), 1.0).sum().item() == 20_000_000  # a float32 counter stops at 2**24


@pytest.mark.parametrize("dim", [0, 1])
def test_sums_over_a_dim(dim):
    x = np.random.default_rng(0).standard_normal((1000, 3000)).astype("f4")
    exact = x.sum(dim, dtype=np.float64)
    bound = np.abs(x).sum(dim, dtype=np.float64) * 2e-7
    for t in (nt.from_numpy(x), nt.from_numpy(x.T.copy()).t()):
        assert (abs(t.sum(dim).numpy() - exact) <= bound).all()


def test_variance_of_large_values():
    x = (np.random.default_rng(0).standard_normal(100_000) + 1e4).astype("f4")
    exact = x.astype("f8")
    assert abs(nt.from_numpy(x).var().item() - exact.var(ddof=1)) < 1e-3
    assert abs(nt.from_numpy(x).std().item() - exact.std(ddof=1)) < 1e-3


def test_logsumexp_and_softmax_do_not_overflow():
    x = nt.tensor([1000.0, 1000.0, -1000.0])
    assert abs(x.logsumexp(0).item() - (1000 + np.log(2))) < 1e-3
    assert x.softmax(0).tolist() == [0.5, 0.5, 0.0]
    assert nt.tensor([-np.inf, -np.inf]).logsumexp(0).item() == -np.inf
    assert np.isnan(nt.tensor([-np.inf, -np.inf]).softmax(0).numpy()).all()


def bits(call):
    """The bytes of what a call returns, for each number of threads."""
    found = []
    for count in THREADS:
        nt.set_num_threads(count)
        assert nt.get_num_threads() == count
        nt.manual_seed(5)
        found.append(np.ascontiguousarray(call().detach().numpy()).tobytes())
    return found


@pytest.mark.parametrize("name", ["sum", "mean", "softmax", "randn", "cumsum", "norm", "sum0", "backward"])
def test_same_bits_on_any_number_of_threads(name):
    calls = {
        "sum": lambda x: x.sum(), "mean": lambda x: x.mean(-1), "softmax": lambda x: x.softmax(-1), "randn": lambda x: nt.randn(x.shape), "cumsum": lambda x: x.cumsum(0),
        "norm": lambda x: x.norm(), "sum0": lambda x: x.sum(0), "backward": gradient,
    }  # fmt: skip
    for shape in SIZES:
        x = nt.from_numpy(np.random.default_rng(1).standard_normal(shape).astype("f4"))
        found = bits(lambda: calls[name](x))  # noqa: B023
        assert len(set(found)) == 1, f"{name} of {shape} differs between {THREADS} threads"


def gradient(x):
    leaf = x.detach().requires_grad_()
    (leaf * leaf).sum().backward()
    return leaf.grad


@pytest.mark.parametrize("sizes", [(3, 4, 5), (64, 64, 64), (257, 129, 311), (1, 5000, 3), (500, 3, 700), (1000, 1000, 10)])
def test_same_bits_of_a_product(sizes):
    n, k, p = sizes
    rng = np.random.default_rng(2)
    a, b = (nt.from_numpy(rng.standard_normal(s).astype("f4")) for s in ((n, k), (k, p)))
    assert len(set(bits(lambda: a @ b))) == 1
    np.testing.assert_allclose((a @ b).numpy(), a.numpy().astype("f8") @ b.numpy().astype("f8"), rtol=1e-4, atol=1e-4)

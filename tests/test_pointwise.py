"""What the table cannot drive of pointwise, bits, ask, special, legacy, testing and backends: answers that are no tensors, errors, in place."""

import itertools
import pickle
import warnings

import numpy as np
import pytest
from compare import equal, outcome
from hypothesis import given, settings
from hypothesis import strategies as st

import numtape as nt

INF, NAN = float("inf"), float("nan")
VALUES = [0.0, -0.0, 1.5, -2.5, INF, -INF, NAN]


def both(torch, call, what="", tolerance=None):
    equal(outcome(lambda: call(nt)), outcome(lambda: call(torch)), what, tolerance)


IN_PLACE = [
    "asinh_", "atanh_", "deg2rad_", "digamma_", "erfinv_", "lgamma_", "rad2deg_", "sgn_", "sinc_", "i0_", "nan_to_num_", "arcsinh_", "square_", "negative_", "ldexp_", "copysign_",
    "hypot_", "heaviside_", "nextafter_", "xlogy_",
]  # fmt: skip


@pytest.mark.parametrize("name", IN_PLACE)
def test_in_place(torch, name):
    def changed(m):
        x = m.tensor([0.5, -0.25, 0.75])
        other = [m.tensor([1.0, 2.0, 3.0])] if name in IN_PLACE[-6:] else []
        view = x[1:]
        result = getattr(view, name)(*(o[1:] for o in other))
        assert result is view
        return x

    both(torch, changed, name)


def test_in_place_with_options(torch):
    both(torch, lambda m: m.tensor([0.1, 0.9]).logit_(0.2))
    both(torch, lambda m: m.tensor([1.5, 2.5]).polygamma_(1))
    both(torch, lambda m: m.tensor([3.5, 2.5]).mvlgamma_(2))
    both(torch, lambda m: m.tensor([3.5, 2.5], dtype=m.float64).float_power_(2))
    both(torch, lambda m: m.tensor([3.5, 2.5]).float_power_(2))
    both(torch, lambda m: m.tensor([NAN, INF, 1.0]).nan_to_num_(2.0, 3.0))
    both(torch, lambda m: m.nan_to_num(m.tensor([NAN, INF, 1.0]), out=m.empty(0)))
    both(torch, lambda m: m.logit(m.tensor([0.3]), out=m.zeros(1)))


@pytest.mark.parametrize("name", ["isclose", "fmax", "fmin", "copysign", "hypot", "logaddexp", "xlogy", "heaviside", "nextafter"])
def test_pairs_of_special_values(torch, name):
    pairs = np.array(list(itertools.product(VALUES, VALUES)), "f4")
    both(torch, lambda m: getattr(m, name)(m.from_numpy(pairs[:, 0].copy()), m.from_numpy(pairs[:, 1].copy())), name)


@pytest.mark.parametrize("kind", ["uint8", "int8", "int16", "int32", "int64"])
@pytest.mark.parametrize("name", ["gcd", "lcm", "bitwise_left_shift", "bitwise_right_shift"])
def test_whole_numbers_at_the_ends(torch, name, kind):
    info = np.iinfo(kind)
    ends = [0, 1, 2, 3, 6, 7, 12, *([info.max, info.max - 1] if name != "lcm" else [])] + ([-1, -6, -7, *([info.min + 1] if name != "lcm" else [])] if info.min else [])
    left = ends + ([info.min] if name.startswith("bit") else [])
    right = [0, 1, 3, 7] if name.startswith("bit") else ends
    pairs = np.array(list(itertools.product(left, right))).astype(kind)
    both(torch, lambda m: getattr(m, name)(m.from_numpy(pairs[:, 0].copy()), m.from_numpy(pairs[:, 1].copy())), f"{name} {kind}")


def test_shifts_by_too_much(torch):
    for shift in (-1, 8, 64, 100):
        both(torch, lambda m: m.tensor([1, -5, 127], dtype=m.int8) << m.tensor(shift, dtype=m.int8))  # noqa: B023
        both(torch, lambda m: m.tensor([1, -5, 127], dtype=m.int8) >> m.tensor(shift, dtype=m.int8))  # noqa: B023
    both(torch, lambda m: 5 >> m.tensor([1, 2]))
    x = nt.tensor([1, 2])
    y = x
    x <<= 2
    x >>= 1
    assert y.tolist() == [2, 4]


ERRORS = [
    lambda m: m.tensor([1.0]) << 1, lambda m: m.gcd(m.tensor([4]), 6), lambda m: m.gcd(m.tensor([True]), m.tensor([True])), lambda m: m.heaviside(m.tensor([1.0]), m.tensor([1])),
    lambda m: m.imag(m.tensor([1.0])), lambda m: m.tensor([1.0]).imag, lambda m: m.isclose(m.tensor([1.0]), m.tensor([1])), lambda m: m.isclose(m.tensor([1.0]), m.tensor([1.0]), rtol=-1),
    lambda m: m.allclose(m.tensor([1.0]), m.tensor([1])), lambda m: m.is_nonzero(m.tensor([])), lambda m: m.is_nonzero(m.tensor([1, 2])), lambda m: m.polygamma(-1, m.tensor([1.0])),
    lambda m: m.aminmax(m.tensor([])), lambda m: m.nanmean(m.tensor([1, 2])), lambda m: m.numel([1]), lambda m: m.equal(m.tensor(1), 1), lambda m: m.broadcast_shapes((2,), (3,)),
    lambda m: m.FloatTensor(3.0), lambda m: m.FloatTensor(m.tensor([1])), lambda m: m.logspace(0, 1, -1), lambda m: m.hypot(m.tensor([1]), m.tensor([1])),
    lambda m: m.testing.assert_close(m.tensor([1.0]), [1.0]), lambda m: m.testing.assert_close(1.0, 1.0, rtol=1.0),
]  # fmt: skip


@pytest.mark.parametrize("call", ERRORS)
def test_errors(torch, call):
    mine, theirs = outcome(lambda: call(nt)), outcome(lambda: call(torch))
    assert isinstance(theirs, Exception)
    equal(mine, theirs)


ANSWERS = [
    lambda m: m.allclose(m.tensor([1.0, 2.0]), m.tensor([1.0, 2.0 + 1e-6])), lambda m: m.allclose(m.tensor([NAN]), m.tensor([NAN])),
    lambda m: m.tensor([NAN]).allclose(m.tensor([NAN]), equal_nan=True), lambda m: m.allclose(m.tensor([INF]), m.tensor([INF])), lambda m: m.allclose(m.tensor([]), m.tensor([])),
    lambda m: m.equal(m.tensor([1.0]), m.tensor([1])), lambda m: m.equal(m.tensor([1.0]), m.tensor([[1.0]])), lambda m: m.tensor([NAN]).equal(m.tensor([NAN])),
    lambda m: m.equal(m.empty(0, 2), m.empty(0, 2)), lambda m: m.is_floating_point(m.tensor(1)), lambda m: m.is_floating_point(m.tensor(1.0)), lambda m: m.is_complex(m.tensor(1.0)),
    lambda m: m.is_nonzero(m.tensor([2])), lambda m: m.numel(m.zeros(2, 3)), lambda m: tuple(m.broadcast_shapes((2, 1), 3, (1, 3))), lambda m: tuple(m.broadcast_shapes()),
    lambda m: m.is_signed(m.zeros(1, dtype=m.uint8)), lambda m: m.zeros(2).is_same_size(m.zeros(3)), lambda m: m.is_conj(m.zeros(1)), lambda m: isinstance(m.zeros(1), m.FloatTensor),
    lambda m: isinstance(m.zeros(1), m.DoubleTensor), lambda m: isinstance(1, m.FloatTensor), lambda m: m.LongTensor([1.5, -2.5]).tolist(), lambda m: m.BoolTensor([True, False]).tolist(),
    lambda m: tuple(m.IntTensor(2, 3).shape), lambda m: tuple(m.ByteTensor(m.Size([2, 3])).shape), lambda m: tuple(m.FloatTensor().shape), lambda m: m.DoubleTensor(np.arange(3.0)).tolist(),
    lambda m: tuple(m.zeros(2, dtype=m.float64).new(3, 2).shape), lambda m: m.zeros(2).new([1, 2]).tolist(), lambda m: tuple(m.zeros(2).new().shape),
    lambda m: m.zeros(2).layout is m.strided, lambda m: m.get_device(m.zeros(1)), lambda m: m.zeros(1).real.tolist(), lambda m: m.mps.is_available() if m.__name__ == "torch" else m.backends.mps.is_available(),
]  # fmt: skip


@pytest.mark.parametrize("call", ANSWERS)
def test_answers(torch, call):
    assert call(nt) == call(torch)


def test_result_type(torch):
    kinds = ("bool", "uint8", "int32", "int64", "float32", "float64")
    for a, b in itertools.product(kinds, kinds):
        for s, t in itertools.product(((2,), ()), ((2,), ())):
            mine, theirs = (str(m.result_type(m.zeros(s, dtype=getattr(m, a)), m.zeros(t, dtype=getattr(m, b)))).split(".")[1] for m in (nt, torch))
            assert mine == theirs
        for number in (True, 2, 2.5):
            mine, theirs = (str(m.result_type(m.zeros(2, dtype=getattr(m, a)), number)).split(".")[1] for m in (nt, torch))
            assert mine == theirs


def test_range(torch):
    for args in ((0, 1, 0.3), (5,), (3, 0, -1)):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            both(torch, lambda m: m.range(*args) if len(args) > 1 else m.range(0, *args))  # noqa: B023
    with pytest.warns(UserWarning):
        nt.range(0, 3)


def test_default_device():
    assert nt.get_default_device() == nt.device("cpu")
    with nt.device("cpu") as where:
        assert nt.zeros(1).device == where
    nt.set_default_device("cuda:9")
    try:
        assert nt.get_default_device() == nt.device("cuda:9")
        with nt.device("cpu"):
            assert nt.tensor([1.0]).device == nt.rand(1).device == nt.device("cpu")
        assert nt.get_default_device() == nt.device("cuda:9")
        assert nt.zeros(1, device="cpu").device == nt.device("cpu")
        with pytest.raises(Exception):  # noqa: B017  (there is no such card)
            nt.zeros(1)
    finally:
        nt.set_default_device(None)
    with pytest.raises(RuntimeError):
        nt.set_default_device("foo")


def test_default_tensor_type():
    nt.set_default_tensor_type(nt.DoubleTensor)
    assert nt.tensor(1.0).dtype is nt.float64
    nt.set_default_tensor_type("torch.FloatTensor")
    assert nt.tensor(1.0).dtype is nt.float32
    with pytest.raises(TypeError):
        nt.set_default_tensor_type(nt.LongTensor)


def test_constants_are_kept_by_pickle():
    assert all(pickle.loads(pickle.dumps(c)) is c for c in (nt.strided, nt.channels_last, nt.preserve_format, nt.contiguous_format))


def test_switches_can_be_set():
    before = nt.backends.cudnn.benchmark
    with nt.backends.cudnn.flags(benchmark=True):
        assert nt.backends.cudnn.benchmark
    assert nt.backends.cudnn.benchmark == before and nt.backends.cuda.matmul.allow_tf32 is False


# ------------------------------------------------------------------------------------------------ testing
PAIRS = [
    ([1.0, 2.0, 3.0], [1.0, 2.0, 4.0]), ([1, 2], [1, 3]), ([[1.0, 2.0], [3.0, 4.0]], [[1.0, 2.0], [3.5, 4.0]]), ([1.0], [1.0 + 1e-7]), ([NAN], [NAN]), ([INF, 1.0], [INF, 2.0]),
    ([0.0, 1.0], [1e-6, 1.0]), ([True, False], [True, True]), (2.0, 3.0), (2, 2), ([1.0], [1.0, 2.0]), ([1.0], [1]),
]  # fmt: skip


@pytest.mark.parametrize("options", [{}, {"rtol": 0.1, "atol": 0.2}, {"rtol": 0, "atol": 0}, {"equal_nan": True}, {"msg": "no"}, {"check_dtype": False}], ids=str)
def test_assert_close(torch, options):
    def said(m, a, b):
        try:
            m.testing.assert_close(a, b, **options)
        except AssertionError as problem:
            return str(problem).replace("torch.", "numtape.")
        return "close"

    for a, b in PAIRS:
        if isinstance(a, list):
            mine, theirs = (said(m, m.tensor(a), m.tensor(b)) for m in (nt, torch))
            assert mine == theirs
            assert said(nt, [nt.tensor(a)], [nt.tensor(b)]) == said(torch, [torch.tensor(a)], [torch.tensor(b)])
            assert said(nt, {"x": nt.tensor(a)}, {"x": nt.tensor(b)}) == said(torch, {"x": torch.tensor(a)}, {"x": torch.tensor(b)})
        else:
            assert said(nt, a, b) == said(torch, a, b)


def test_assert_allclose_warns():
    with pytest.warns(FutureWarning):
        nt.testing.assert_allclose(nt.tensor([1.0, NAN]), [1.0, NAN])
    with pytest.warns(FutureWarning), pytest.raises(AssertionError):
        nt.testing.assert_allclose(nt.tensor([1.0]), [2.0])


def test_make_tensor():
    t = nt.testing.make_tensor(3, 4, dtype=nt.int64, low=1, high=5, noncontiguous=True)
    assert t.shape == (3, 4) and not t.is_contiguous() and t.min() >= 1 and t.max() < 5
    assert nt.testing.make_tensor((50,), dtype=nt.uint8, exclude_zero=True).min() > 0


def test_isin_in_parts(torch, monkeypatch):
    from numtape.ops import ask

    monkeypatch.setattr(ask, "_AT_ONCE", 8)
    both(torch, lambda m: m.isin(m.arange(6).reshape(2, 3), m.tensor([1, 5, 9, 0])))


def test_zeta_has_no_derivative_by_its_order():
    x, y = nt.tensor([2.0], requires_grad=True), nt.tensor([2.0])
    with pytest.raises(NotImplementedError):
        nt.special.zeta(x, y).backward()


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_large_quotients_among_others(kind):
    """A block of elements that holds one large quotient goes the long way; what is found is exact on either."""
    rng = np.random.default_rng(0)
    x, y = (rng.normal(0, 3, 5000).astype(kind) for _ in range(2))
    x[1500], y[1600], x[4000], y[4001], x[2:5], y[4:7] = 3e30, 1e-30, -1e9, INF, (INF, NAN, 0), 0
    with np.errstate(all="ignore"):
        for name, reference in (("fmod", np.fmod), ("remainder", np.remainder), ("floor_divide", np.floor_divide)):
            for step in (1, 3):
                a, b = nt.from_numpy(x.copy())[::step], nt.from_numpy(y.copy())[::step]
                wanted = reference(x[::step], y[::step])
                if name == "remainder":  # NumPy's of an infinite divisor and the other sign is x; PyTorch's is the divisor
                    wanted = np.where(np.isinf(y[::step]) & (x[::step] * y[::step] < 0), y[::step], wanted)
                np.testing.assert_array_equal(getattr(nt, name)(a, b).numpy(), wanted)
                np.testing.assert_array_equal(getattr(a, name + "_")(b).numpy(), wanted)


@settings(max_examples=10, deadline=None)
@given(data=st.data(), shape=st.lists(st.sampled_from([1, 2, 7, 8, 9, 63, 64, 65, 70]), min_size=2, max_size=3))
def test_operands_in_other_orders(data, shape):
    """Operands whose memory lies in another order than the result's go tile by tile; others beside them are contiguous, broadcast or strided."""

    def operand(seed, kind):
        order = data.draw(st.permutations(range(len(shape))))
        sizes = [1 if data.draw(st.integers(0, 5)) == 0 else n for n in shape]
        step = data.draw(st.sampled_from([1, 1, 2]))
        memory = np.random.default_rng(seed).integers(-9, 9, [sizes[d] for d in order[:-1]] + [sizes[order[-1]] * step]).astype(kind)
        array = np.transpose(memory[..., ::step], np.argsort(order))
        tensor = nt.from_numpy(memory)[..., ::step].permute(*np.argsort(order).tolist())
        return array, tensor

    (a, x), (b, y), (c, z) = (operand(seed, kind) for seed, kind in enumerate(("float32", "float64", "bool")))
    assert np.array_equal((x + y).numpy(), a + b)
    assert np.array_equal(nt.where(z, x, y).numpy(), np.where(c, a, b))
    assert np.array_equal(nt.add(x, y, alpha=3).numpy(), a + 3 * b)
    assert np.array_equal(nt.logical_and(z, x).numpy(), np.logical_and(c, a))
    assert np.array_equal(nt.fmod(x, 5).numpy(), np.fmod(a, np.float32(5)))
    out = nt.zeros(shape, dtype=nt.float64)
    if np.broadcast_shapes(a.shape, b.shape) == tuple(shape):
        out.copy_(x).mul_(y)
        assert np.array_equal(out.numpy(), a * b)

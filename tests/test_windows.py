"""Convolutions, pooling, padding and resampling: errors, chunks, threads, second derivatives, and properties, against PyTorch."""

import warnings

import numpy as np
import pytest
from compare import equal, outcome
from hypothesis import given, settings
from hypothesis import strategies as st
from samples import data

import numtape as nt
from numtape.ops import laid

F = nt.nn.functional


def both(torch, call, *arrays):
    """A call of each library on the same arrays: lists of tensors, or the errors."""
    return [outcome(lambda m=m: call(m.nn.functional, *[m.from_numpy(a.copy()) for a in arrays])) for m in (nt, torch)]


X, W = data(2, 4, 6, 5), data(6, 4, 3, 2)
REFUSED = {
    "channels": lambda f, x, w: f.conv2d(x, w[:, :3]),
    "kernel too large": lambda f, x, w: f.conv2d(x[..., :1], w),
    "2d input": lambda f, x, w: f.conv2d(x[0, 0], w),
    "weight of other ndim": lambda f, x, w: f.conv2d(x, w[0]),
    "bias": lambda f, x, w: f.conv2d(x, w, x[0, 0, 0]),
    "dtypes": lambda f, x, w: f.conv2d(x, w.float()),
    "stride 0": lambda f, x, w: f.conv2d(x, w, stride=0),
    "padding below 0": lambda f, x, w: f.conv2d(x, w, padding=-1),
    "dilation 0": lambda f, x, w: f.conv2d(x, w, dilation=0),
    "groups 0": lambda f, x, w: f.conv2d(x, w, groups=0),
    "groups": lambda f, x, w: f.conv2d(x, w, groups=4),
    "same and stride": lambda f, x, w: f.conv2d(x, w, padding="same", stride=2),
    "padding word": lambda f, x, w: f.conv2d(x, w, padding="full"),
    "three strides": lambda f, x, w: f.conv2d(x, w, stride=(1, 1, 1)),
    "float stride": lambda f, x, w: f.conv2d(x, w, stride=1.5),
    "list": lambda f, x, w: f.conv2d([1.0], w),
    "output padding": lambda f, x, w: f.conv_transpose2d(x, w[:4], output_padding=1),
    "transposed channels": lambda f, x, w: f.conv_transpose2d(x, w),
    "transposed size": lambda f, x, w: f.conv_transpose2d(x, w[:4], padding=9),
    "pool pad": lambda f, x, w: f.max_pool2d(x, 2, padding=2),
    "pool stride": lambda f, x, w: f.max_pool2d(x, 2, stride=0),
    "pool size": lambda f, x, w: f.max_pool2d(x, 9),
    "pool dims": lambda f, x, w: f.max_pool2d(x[0, 0], 2),
    "divisor": lambda f, x, w: f.avg_pool2d(x, 2, divisor_override=0),
    "adaptive sizes": lambda f, x, w: f.adaptive_max_pool2d(x, (2, 2, 2)),
    "odd pad": lambda f, x, w: f.pad(x, (1,)),
    "pad of more dims": lambda f, x, w: f.pad(x, (1,) * 10),
    "reflect too wide": lambda f, x, w: f.pad(x, (5, 0, 0, 0), "reflect"),
    "circular too wide": lambda f, x, w: f.pad(x, (6, 0, 0, 0), "circular"),
    "pad mode": lambda f, x, w: f.pad(x, (1, 1), "mirror"),
    "reflect of 1 in 4": lambda f, x, w: f.pad(x, (1, 1), "reflect"),
    "pad to nothing": lambda f, x, w: f.pad(x, (-9, 0)),
    "size and factor": lambda f, x, w: f.interpolate(x, size=3, scale_factor=2),
    "neither": lambda f, x, w: f.interpolate(x),
    "linear of 4d": lambda f, x, w: f.interpolate(x, size=3, mode="linear"),
    "size 0": lambda f, x, w: f.interpolate(x, size=0),
    "sizes": lambda f, x, w: f.interpolate(x, size=(1, 2, 3)),
    "float size": lambda f, x, w: f.interpolate(x, size=(1.5, 2)),
    "corners of nearest": lambda f, x, w: f.interpolate(x, size=3, align_corners=True),
    "grid dims": lambda f, x, w: f.grid_sample(x, x, align_corners=False),
    "grid mode": lambda f, x, w: f.grid_sample(x, x[..., :2], mode="linear", align_corners=False),
    "theta": lambda f, x, w: f.affine_grid(w, (6, 1, 2, 2), align_corners=False),
    "shuffle": lambda f, x, w: f.pixel_shuffle(x, 3),
    "unshuffle": lambda f, x, w: f.pixel_unshuffle(x, 2),
    "channels by groups": lambda f, x, w: f.channel_shuffle(x, 3),
    "unfold": lambda f, x, w: f.unfold(x, 9),
    "fold": lambda f, x, w: f.fold(x[0], (3, 3), 2),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_as_in_pytorch(torch, name):
    mine, theirs = both(torch, REFUSED[name], X, W)
    assert isinstance(theirs, Exception), theirs
    equal(mine, theirs, name)


def test_a_position_outside_is_refused():
    with pytest.raises((IndexError, RuntimeError), match="out of"):
        F.max_unpool2d(nt.ones(1, 1, 1, 1), nt.full((1, 1, 1, 1), 4), 2)


EMPTY = {
    "no samples": lambda f, x, w: f.conv2d(x[:0], w),
    "transposed, no samples": lambda f, x, w: f.conv_transpose2d(x[:0], w[:4]),
    "pool": lambda f, x, w: f.max_pool2d(x[:0], 2, return_indices=True),
    "average": lambda f, x, w: f.avg_pool2d(x[:0], 2),
    "adaptive to nothing": lambda f, x, w: f.adaptive_avg_pool2d(x, (0, 2)),
    "pad of nothing": lambda f, x, w: f.pad(x[:, :, :0], (0, 0, 2, 1), value=2.0),
    "interpolate": lambda f, x, w: f.interpolate(x[:0], size=3),
}


@pytest.mark.parametrize("name", EMPTY)
def test_of_nothing(torch, name):
    mine, theirs = both(torch, EMPTY[name], X, W)
    equal(mine, theirs, name)


def test_max_pooling_of_nan_and_infinity(torch):
    array = np.array([[[1, np.nan, 2, np.nan, -np.inf, -np.inf, np.inf, 3]]])
    for size in (2, 3):
        equal(*both(torch, lambda f, x, size=size: f.max_pool1d(x, size, 1, return_indices=True), array))


def test_grids_with_nan_and_far_places(torch):
    grid = np.array([[[[np.nan, 0], [1e30, 0.5], [-np.inf, 0]]]])
    equal(*both(torch, lambda f, x, g: f.grid_sample(x, g, align_corners=False), X[:1], grid))


def test_aliases_warn(torch):
    for call in (lambda f, x: f.upsample(x, scale_factor=2), lambda f, x: f.upsample_bilinear(x, size=7), lambda f, x: f.upsample_nearest(x, size=7)):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            mine, theirs = both(torch, call, X)
        assert len(caught) >= 2
        equal(mine, theirs)


@pytest.fixture
def few_samples(monkeypatch):
    """Every convolution some samples at a time."""
    plans = (laid.forward_plan, laid.weight_plan)
    monkeypatch.setattr(laid, "LAID", 30000)
    for plan in plans:
        plan.cache_clear()
    yield
    for plan in plans:
        plan.cache_clear()


@pytest.mark.parametrize("groups", [1, 2])
def test_chunks(torch, few_samples, groups):
    def gradients(m):
        x, w, b = (m.from_numpy(a.copy()).requires_grad_() for a in (data(5, 4, 40, 9), data(6, 4 // groups, 3, 2), data(6)))
        y = m.nn.functional.conv2d(x, w, b, stride=(1, 2), padding=1, groups=groups)
        z = m.nn.functional.conv_transpose2d(y.sin(), w, stride=2, groups=groups)
        (z * z).sum().backward()
        return [y, z, x.grad, w.grad, b.grad]

    equal(gradients(nt), gradients(torch), tolerance=(1e-9, 1e-9), memory=False)


# Shapes that take every path of the kernels: x, w, stride, padding, dilation, groups.
CONVOLUTIONS = {
    "sums in parts, a row block more": ((2, 33, 7, 9), (150, 33, 3, 3), 1, 1, 1, 1),
    "narrow images": ((3, 8, 5, 2), (9, 8, 3, 2), 1, 1, 1, 1),
    "few channels": ((2, 6, 9, 40), (3, 6, 3, 3), 2, 1, 1, 1),
    "groups of one channel": ((2, 6, 11, 12), (12, 1, 3, 5), (1, 2), 2, (2, 1), 6),
    "gaps between taps and phases without one": ((2, 5, 13, 14), (7, 5, 2, 2), 3, 0, 3, 1),
    "phases of several dims": ((2, 4, 7, 8, 9), (6, 2, 3, 2, 3), (2, 1, 3), 1, (1, 2, 1), 2),
    "a line longer than a step": ((1, 3, 1, 2100), (6, 3, 1, 5), 1, 0, 1, 1),
    "a line longer than the room for it": ((1, 2, 4100), (2, 2, 3), 1, 1, 1, 1),
}


@pytest.mark.parametrize("label", CONVOLUTIONS)
def test_convolutions_of_every_path(torch, label):
    shape, kernel, *settings = CONVOLUTIONS[label]

    def gradients(m):
        x, w = (m.from_numpy(a.copy()).requires_grad_() for a in (data(*shape), data(*kernel)))
        y = getattr(m.nn.functional, f"conv{len(shape) - 2}d")(x, w, None, *settings)
        (y * y).sum().backward()
        return [y, x.grad, w.grad]

    equal(gradients(nt), gradients(torch), tolerance=(1e-9, 1e-9), memory=False)


def test_convolutions_of_bytes():
    """Vectors of bytes are the longest: what is read and written to their ends stays in its place."""
    x, w = (nt.from_numpy(np.random.default_rng(0).integers(0, 3, s).astype("i1")) for s in ((2, 3, 13, 37), (3, 3, 3, 3)))
    np.testing.assert_array_equal(F.conv2d(x, w, padding=1).numpy(), F.conv2d(x.double(), w.double(), padding=1).numpy())


@pytest.mark.parametrize("channels", [2, 8])
def test_what_is_not_finite_stays_under_its_windows(torch, channels):
    """Sums run over lines that have gaps where no window is: what stands there must not come in."""

    def gradients(m):
        x, w = data(2, 2, 6, 7), data(channels, 2, 3, 3)
        x[0, 0, 0, 0], x[0, 1, 2, 6], x[1, 1, 5, 6] = np.nan, np.inf, np.nan
        x, w = m.from_numpy(x.copy()).requires_grad_(), m.from_numpy(w.copy()).requires_grad_()
        y = m.nn.functional.conv2d(x, w, stride=(1, 2))
        g = np.ones(tuple(y.shape))
        g[0, 0, 1, 1] = np.nan
        y.backward(m.from_numpy(g))
        return [y, x.grad, w.grad]

    equal(gradients(nt), gradients(torch), tolerance=(1e-9, 1e-9), memory=False)


def test_the_same_bits_for_any_number_of_threads():
    rng = np.random.default_rng(0)
    x, w = (nt.from_numpy(rng.standard_normal(s).astype("f4")).requires_grad_() for s in ((9, 16, 40, 40), (32, 16, 3, 3)))

    def step():
        x.grad = w.grad = None
        y = F.conv2d(x, w, padding=1)
        (F.avg_pool2d(F.max_pool2d(y, 3, 2), 2) * F.interpolate(y, size=(9, 9), mode="bilinear", align_corners=True)).sum().backward()
        return [y.detach().numpy().copy(), x.grad.numpy().copy(), w.grad.numpy().copy()]

    nt.set_num_threads(1)
    one = step()
    nt.set_num_threads(3)
    for a, b in zip(one, step()):
        np.testing.assert_array_equal(a, b)


SECOND = {
    "conv2d": (lambda x, w: F.conv2d(x, w, stride=2, padding=1, groups=2), (1, 2, 4, 3), (2, 1, 2, 2)),
    "conv_transpose2d": (lambda x, w: F.conv_transpose2d(x, w, dilation=2, output_padding=1), (1, 2, 2, 2), (2, 1, 2, 2)),
    "max_pool2d": (lambda x: F.max_pool2d(x, 2, 1, 1), (1, 1, 4, 3)),
    "avg_pool2d": (lambda x: F.avg_pool2d(x, 3, 2, 1, count_include_pad=False), (1, 1, 4, 4)),
    "reflect": (lambda x: F.pad(x, (1, 1, -1, 1), "reflect") ** 2, (1, 1, 4, 3)),
    "bicubic": (lambda x: F.interpolate(x, size=(5, 2), mode="bicubic") ** 2, (1, 1, 3, 3)),
    "grid_sample": (lambda x, g: F.grid_sample(x, g * 0.2, align_corners=False), (1, 1, 4, 4), (1, 2, 2, 2)),
}


@pytest.mark.parametrize("name", SECOND)
def test_second_derivatives(name):
    call, *shapes = SECOND[name]
    inputs = [nt.from_numpy(data(*s, seed=k)).requires_grad_() for k, s in enumerate(shapes)]
    assert nt.autograd.gradcheck(call, inputs)
    assert nt.autograd.gradgradcheck(call, inputs)


def test_inputs_stay_as_they_are():
    x, w, b = (nt.from_numpy(a.copy()) for a in (X, W, data(6)))
    F.conv2d(x, w, b)
    F.pad(x, (1, 1, 1, 1), "circular").zero_()
    F.pad(x, (0, 0)).zero_()
    F.interpolate(x, size=(6, 5)).zero_()
    for tensor, array in ((x, X), (w, W), (b, data(6))):
        np.testing.assert_array_equal(tensor.numpy(), array)


def test_saved_operands_are_watched():
    x, w = nt.from_numpy(X.copy()).requires_grad_(), nt.from_numpy(W.copy()).requires_grad_()
    y = F.conv2d(x * 1, w, nt.ones(6, dtype=nt.float64)).sum()
    with nt.no_grad():
        w.mul_(2)
    with pytest.raises(RuntimeError, match="in-?place|modified"):
        y.backward()


sizes = st.integers(1, 3)


@settings(max_examples=40)
@given(n=st.integers(0, 3), size=st.tuples(st.integers(3, 9), st.integers(3, 9)), kernel=st.tuples(sizes, sizes), stride=st.tuples(sizes, sizes), pad=st.integers(0, 2), dilation=st.integers(1, 2), groups=st.integers(1, 2))
def test_convolution_and_its_adjoint(n, size, kernel, stride, pad, dilation, groups):
    """<conv(x, w), y> = <x, conv_transpose(y, w)>, and `unfold` gives the same convolution."""
    rng = np.random.default_rng(n)
    x, w = (nt.from_numpy(rng.standard_normal(s)) for s in ((n, 2 * groups, *size), (3 * groups, 2, *kernel)))
    if any(s + 2 * pad < dilation * (k - 1) + 1 for s, k in zip(size, kernel)):
        return
    y = F.conv2d(x, w, None, stride, pad, dilation, groups)
    g = nt.from_numpy(rng.standard_normal(tuple(y.shape)))
    more = [(s + 2 * pad - dilation * (k - 1) - 1) % t for s, k, t in zip(size, kernel, stride)]
    back = F.conv_transpose2d(g, w, None, stride, pad, more, groups, dilation)
    assert back.shape == x.shape
    np.testing.assert_allclose((y * g).sum().item(), (x * back).sum().item(), rtol=1e-9, atol=1e-9)
    if groups == 1 and n:
        by_columns = w.reshape(3, -1) @ F.unfold(x, kernel, dilation, pad, stride)
        np.testing.assert_allclose(by_columns.reshape(y.shape).numpy(), y.numpy(), rtol=1e-9, atol=1e-9)


# ------------------------------------------------------------------------------------------------ pooling
def pooled(torch, shape, kernel, stride, padding, dilation, ceil, include, kind="float32", divisor=None):
    """Max pooling with and without positions and average pooling, with their gradients, of whole numbers of which many are equal."""
    array = np.random.default_rng(0).integers(-2 if kind != "uint8" else 0, 4, shape).astype(kind)
    nd = len(shape) - 2

    def largest(m):
        x = m.from_numpy(array.copy())
        call = getattr(m.nn.functional, f"max_pool{nd}d")
        values = call(x, kernel, stride, padding, dilation, ceil)
        if kind not in ("float32", "float64"):
            return [values]
        x.requires_grad_()
        again, positions = call(x, kernel, stride, padding, dilation, ceil, return_indices=True)
        (again * m.arange(again.numel(), dtype=again.dtype).reshape(again.shape)).sum().backward()
        return [values, again, positions, x.grad]

    def average(m):
        x = m.from_numpy(array.copy()).requires_grad_()
        rest = {} if nd == 1 else {"divisor_override": divisor}
        values = getattr(m.nn.functional, f"avg_pool{nd}d")(x, kernel, stride, padding, ceil, include, **rest)
        (values * values).sum().backward()
        return [values, x.grad]

    for call in (largest, average) if kind in ("float32", "float64") else (largest,):
        equal(outcome(lambda call=call: call(nt)), outcome(lambda call=call: call(torch)), (call.__name__, shape, kernel, stride, padding, dilation, ceil, include))


# Widths around the multiples of 32 results that are found together, several pieces of a line, steps of more than four, windows that are wide or lie far apart.
POOLED = [
    ((3, 2, 64), 2, 2, 0, 1), ((2, 3, 67), 2, 2, 0, 1), ((2, 2, 33), 3, 1, 1, 1), ((1, 2, 1100), 2, 2, 0, 1), ((1, 3, 1400), 3, 1, 1, 1), ((2, 2, 1500), 4, 2, 2, 3), ((2, 2, 90), 5, 5, 0, 1),
    ((2, 1, 400), 7, 6, 3, 2), ((1, 2, 700), 70, 66, 3, 1), ((1, 1, 5000), 900, 1, 0, 5), ((1, 1, 20000), 9000, 1, 0, 2), ((2, 3, 28, 28), 4, 4, 0, 1), ((2, 2, 9, 66), (2, 1), (3, 1), 0, 1),
    ((1, 2, 14, 14), 3, 2, 1, 1), ((2, 2, 5, 130), (3, 3), (1, 3), 1, (2, 4)), ((2, 2, 4, 5, 70), 2, 2, 1, 1),
]  # fmt: skip


# Of whole numbers only images: `max_pool1d` takes none, here as in PyTorch.
KINDS_POOLED = [(*case, kind) for case in POOLED for kind in ("float32", "float64", "uint8", "int64") if len(case[0]) > 3 or kind.startswith("float")]


@pytest.mark.parametrize("shape, kernel, stride, padding, dilation, kind", KINDS_POOLED)
def test_pooling_of_every_path(torch, shape, kernel, stride, padding, dilation, kind):
    pooled(torch, shape, kernel, stride, padding, dilation, False, True, kind)


@settings(max_examples=60, deadline=None)
@given(
    shape=st.one_of(st.tuples(st.just(2), st.integers(1, 3), st.integers(1, 80)), st.tuples(st.just(1), st.integers(1, 3), st.integers(1, 8), st.integers(1, 40))),
    kernel=st.integers(1, 5), stride=st.integers(1, 6), padding=st.integers(0, 2), dilation=st.integers(1, 3), ceil=st.booleans(), include=st.booleans(), divisor=st.sampled_from([None, 3]),
)  # fmt: skip
def test_pooling_of_any_shape(torch, shape, kernel, stride, padding, dilation, ceil, include, divisor):
    pooled(torch, shape, kernel, stride, padding, dilation, ceil, include, divisor=divisor)

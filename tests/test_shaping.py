"""What samples cannot say of the ops on shapes: errors, views, in-place changes of shape, storages, out=."""

import warnings

import numpy as np
import pytest
from compare import equal, outcome
from hypothesis import given
from hypothesis import strategies as st

import numtape as nt


def cube(m, grad=False):
    x = m.from_numpy(np.arange(24.0).reshape(2, 3, 4))
    return x.requires_grad_() if grad else x


ERRORS = {
    "flip twice": lambda m, x: m.flip(x, (0, 0)), "flip dim": lambda m, x: x.flip(3), "fliplr": lambda m, x: m.fliplr(x[0, 0]), "roll lengths": lambda m, x: m.roll(x, (1, 2), 0),
    "roll nothing": lambda m, x: m.roll(x, ()), "rot90 dims": lambda m, x: m.rot90(x, 1, (0, 1, 2)), "rot90 same": lambda m, x: m.rot90(x, 1, (0, 0)), "rot90 vector": lambda m, x: m.rot90(x[0, 0], 1, (0, 1)),
    "tril": lambda m, x: x[0, 0].tril(), "tril_indices": lambda m, x: m.tril_indices(-1, 2), "diag": lambda m, x: m.diag(x), "diagonal": lambda m, x: x.diagonal(0, 1, 1), "diagonal dim": lambda m, x: x[0, 0].diagonal(),
    "diag_embed": lambda m, x: x.diag_embed(0, 1, 1), "trace": lambda m, x: x.trace(), "meshgrid": lambda m, x: m.meshgrid(x, x, indexing="ij"), "meshgrid indexing": lambda m, x: m.meshgrid(x[0, 0], indexing="yx"),
    "meshgrid dtypes": lambda m, x: m.meshgrid(x[0, 0], m.arange(3), indexing="ij"), "cartesian_prod": lambda m, x: m.cartesian_prod(x, x), "combinations": lambda m, x: m.combinations(x),
    "combinations r": lambda m, x: m.combinations(x[0, 0], -1), "repeat": lambda m, x: x.repeat(2), "repeat negative": lambda m, x: x.repeat(1, 1, -1), "interleave": lambda m, x: x.repeat_interleave(-1),
    "interleave size": lambda m, x: x.repeat_interleave(m.tensor([1, 2]), 2), "interleave dtype": lambda m, x: x.repeat_interleave(m.tensor([1.0, 2]), 0), "interleave negative": lambda m, x: x.repeat_interleave(m.tensor([1, -2]), 0),
    "unfold size": lambda m, x: x.unfold(2, 5, 1), "unfold step": lambda m, x: x.unfold(2, 2, 0), "unfold dim": lambda m, x: x.unfold(3, 1, 1), "unflatten": lambda m, x: x.unflatten(2, (3, 2)),
    "hsplit": lambda m, x: m.hsplit(x, 2), "vsplit": lambda m, x: m.vsplit(x[0, 0], 2), "dsplit": lambda m, x: m.dsplit(x[0], 2), "hsplit number": lambda m, x: m.hsplit(m.tensor(1.0), 1),
    "tensor_split": lambda m, x: x.tensor_split(0), "tensor_split number": lambda m, x: m.tensor(1.0).tensor_split(2), "split_with_sizes": lambda m, x: x.split_with_sizes([1, 2], 2), "block_diag": lambda m, x: m.block_diag(x),
    "hstack": lambda m, x: m.hstack([x, x[:, :, :2]]), "vstack": lambda m, x: m.vstack([]), "as_strided": lambda m, x: x.as_strided((5, 5), (5, 1)), "as_strided lengths": lambda m, x: x.as_strided((5, 5), (1,)),
    "as_strided offset": lambda m, x: x.as_strided((2,), (1,), 23), "broadcast_to": lambda m, x: m.broadcast_to(x, (3, 4)), "broadcast_shapes": lambda m, x: m.broadcast_shapes((2, 3), (4,)),
    "select_scatter": lambda m, x: m.select_scatter(x, x, 0, 0), "slice_scatter": lambda m, x: m.slice_scatter(x, x, 1, 1), "diagonal_scatter": lambda m, x: m.diagonal_scatter(x, x), "adjoint": lambda m, x: x[0, 0].adjoint(),
    "H": lambda m, x: x.H, "narrow": lambda m, x: x.narrow(2, 3, 2), "view as larger": lambda m, x: x.permute(2, 1, 0).view(m.float32), "view number": lambda m, x: m.tensor(1.0).view(m.float64),
    "view odd": lambda m, x: m.zeros(3, dtype=m.float32).view(m.float64), "resize_ negative": lambda m, x: x.resize_(-1), "resize_ grad": lambda m, x: x.requires_grad_().resize_(2), "t_": lambda m, x: x.t_(),
    "leaf": lambda m, x: x.requires_grad_().unsqueeze_(0), "apply_ grad": lambda m, x: x.requires_grad_().apply_(float), "is_nonzero": lambda m, x: m.is_nonzero(x), "chunk": lambda m, x: x.chunk(0),
    "tril_ shape": lambda m, x: x[0, 0].tril_(), "row dims": lambda m, x: m.column_stack([x[0], x]), "atleast": lambda m, x: m.atleast_1d(3),
    "addmm_ shape": lambda m, x: m.zeros(4).addmm_(x[0], x[0].t()), "cross": lambda m, x: m.cross(x[0], x[0], dim=1), "cdist": lambda m, x: m.cdist(x, x[..., :2]), "cdist p": lambda m, x: m.cdist(x, x, -1.0), "cdist vector": lambda m, x: m.cdist(x[0, 0], x),
    "tensordot": lambda m, x: m.tensordot(x, x, 1), "tensordot dims": lambda m, x: m.tensordot(x, x, ([0], [0, 1])), "inner": lambda m, x: m.inner(x, x[..., :3]), "cov": lambda m, x: m.cov(x), "vander": lambda m, x: m.vander(x), "corrcoef": lambda m, x: m.corrcoef(x),
    "vdot": lambda m, x: m.vdot(x, x), "addr": lambda m, x: m.addr(x, x, x), "chain": lambda m, x: m.linalg.multi_dot([x[0], x[0]]), "logspace": lambda m, x: m.logspace(0, 1, -1),
}  # fmt: skip


@pytest.mark.parametrize("name", ERRORS)
def test_errors(torch, name):
    mine, theirs = outcome(lambda: ERRORS[name](nt, cube(nt))), outcome(lambda: ERRORS[name](torch, cube(torch)))
    assert isinstance(theirs, Exception), f"PyTorch returns {theirs}"
    equal(mine, theirs, name)
    assert str(mine)


VIEWS = {
    "diagonal": lambda x: x.diagonal(1, 1, 2), "unfold": lambda x: x.unfold(2, 2, 1), "apart": lambda x: x.unfold(2, 2, 2), "as_strided": lambda x: x.as_strided((2, 2), (3, 1), 2), "hsplit": lambda x: x.hsplit(3)[1],
    "tensor_split": lambda x: x.tensor_split(3, 2)[1], "adjoint": lambda x: x.adjoint(), "mH": lambda x: x.mH, "H": lambda x: x[0].H, "swapaxes": lambda x: x.swapaxes(0, 2), "moveaxis": lambda x: x.moveaxis(0, -1),
    "unflatten": lambda x: x.unflatten(-1, (2, 2)), "atleast_3d": lambda x: x[0].unsqueeze(0), "split_with_sizes": lambda x: x.split_with_sizes([1, 3], 2)[1], "diagonal outside": lambda x: x.diagonal(9),
}  # fmt: skip


@pytest.mark.parametrize("name", VIEWS)
def test_views(torch, name):
    mine, theirs = (VIEWS[name](cube(m)) for m in (nt, torch))
    equal([mine], [theirs])
    assert mine.stride() == theirs.stride() and mine.storage_offset() == theirs.storage_offset()
    x, y = cube(nt), cube(torch)
    if name == "unfold":  # windows overlap: what is written to them would depend on the order
        with pytest.raises(RuntimeError, match="single memory location"):
            VIEWS[name](x).fill_(-1)
        return
    VIEWS[name](x).fill_(-1)
    VIEWS[name](y).fill_(-1)
    equal([x], [y])


@pytest.mark.parametrize("name", ["diagonal", "apart", "as_strided", "hsplit", "adjoint"])
def test_gradients_through_views_written_in_place(torch, name):
    def grad(m):
        x = cube(m, True)
        y = x * 1
        VIEWS[name](y).mul_(3)
        (y * y).sum().backward()
        return [x.grad]

    equal(grad(nt), grad(torch))


RESHAPED = {
    "squeeze_": lambda x: x.squeeze_(), "squeeze_ dim": lambda x: x.squeeze_(0), "unsqueeze_": lambda x: x.unsqueeze_(1), "transpose_": lambda x: x.transpose_(0, -1), "swapaxes_": lambda x: x.swapaxes_(1, 2),
    "swapdims_": lambda x: x.swapdims_(1, 2), "as_strided_": lambda x: x.as_strided_((2, 3), (4, 1)),
}  # fmt: skip


@pytest.mark.parametrize("name", RESHAPED)
def test_shapes_changed_in_place(torch, name):
    def case(m, on_view):
        x = cube(m, True)
        y = (x * 2).unsqueeze(0) if on_view else (x * 2).reshape(1, 2, 3, 4).clone()
        z = y * 1
        assert RESHAPED[name](y) is y
        out = (y.sin() * y).sum() + z.sum()
        y.mul_(2)
        out = out + (y * y).sum()
        out.backward()
        return [y, x.grad]

    for on_view in (False, True):
        equal(outcome(lambda: case(nt, on_view)), outcome(lambda: case(torch, on_view)), memory=False)  # noqa: B023


def test_t_in_place(torch):
    for m in (nt, torch):
        x = cube(m)[0]
        x.t_()
        assert x.shape == (4, 3) and x.stride() == (1, 4)


def test_a_saved_tensor_whose_shape_changed():
    x = nt.ones(3, requires_grad=True) * 2
    y = x * x
    x.unsqueeze_(0)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


def test_resize():
    x = nt.arange(6)
    x.resize_(2, 2)
    assert x.tolist() == [[0, 1], [2, 3]]
    x.resize_(6)
    assert x.tolist() == list(range(6))
    x.resize_(1000)
    assert x.shape == (1000,) and x[:6].tolist() == list(range(6))
    y = nt.zeros(2, 3)
    assert x.resize_as_(y) is x and x.shape == y.shape
    with pytest.raises(RuntimeError, match="view"):
        nt.zeros(4)[1:].resize_(5000)
    with pytest.raises(RuntimeError, match="set_: expected a source of numtape.int64"):
        x.set_(y)
    z, source = nt.zeros(2), nt.arange(6.0)
    z.set_(source)
    source[0] = 9
    assert z.tolist() == source.tolist() and z.set_(source.untyped_storage(), 2, (2, 2), (2, 1)).tolist() == [[2, 3], [4, 5]] and z.set_().shape == (0,)


def test_view_as_another_dtype(torch):
    for source, kind in [("float32", "int32"), ("float64", "int64"), ("float64", "float32"), ("int8", "int32"), ("int64", "uint8"), ("int16", "float64"), ("float32", "float32")]:
        array = np.arange(32).reshape(4, 8).astype(source)
        equal([nt.from_numpy(array).view(getattr(nt, kind))], [torch.from_numpy(array).view(getattr(torch, kind))])
    x = nt.ones(2)
    x.view(nt.int32)[0] = 0
    assert x.tolist() == [0, 1]


def test_storages():
    x = nt.arange(6.0)
    assert x.untyped_storage().nbytes() == 24 == len(x.untyped_storage()) and x.storage().size() == 6
    assert x.untyped_storage().data_ptr() == x.data_ptr() == x[2:].untyped_storage().data_ptr()
    assert x[2:].storage() == x.storage() and x[2:].storage().tolist() == list(range(6))
    x.storage()[1] = 9
    assert x[1].item() == 9 == x.storage()[1]
    assert x.is_set_to(x.view(6)) and not x.is_set_to(x[:3])
    assert nt.is_same_size(x, x + 1) and nt.is_nonzero(nt.tensor(2)) and nt.numel(x) == 6


def test_python_functions_on_elements():
    x = nt.arange(4.0)
    assert x.apply_(lambda v: v * 2) is x and x.tolist() == [0, 2, 4, 6]
    assert x.map_(nt.ones(4), lambda a, b: a - b).tolist() == [-1, 1, 3, 5]
    assert nt.zeros(2, 2).t().apply_(lambda v: v + 1).tolist() == [[1, 1], [1, 1]]


def test_in_place_and_out(torch):
    def case(m):
        x, a = cube(m)[0], cube(m)[1]
        out = m.zeros(0, dtype=m.float64)
        products = [m.zeros(3, 3, dtype=m.float64).addmm_(x, a.t(), beta=0.5, alpha=2), m.ones(3, dtype=m.float64).addmv_(x, a[0]), m.ones(3, 4, dtype=m.float64).addr_(x[:, 0], a[0])]
        batches = [m.ones(2, 3, 3, dtype=m.float64).baddbmm_(cube(m), cube(m).mT), m.ones(3, 3, dtype=m.float64).addbmm_(cube(m), cube(m).mT)]
        return [x.clone().tril_(1), x.clone().triu_(), *products, *batches, m.triu(x, out=out), out, m.kron(x, a, out=m.empty(0, dtype=m.float64)), m.hstack([x, a], out=m.zeros(0, dtype=m.float64))]

    equal(case(nt), case(torch), memory=False)


def test_in_place_gradients(torch):
    def case(m):
        x = cube(m, True)
        y = x[0] * 1
        y.tril_().addmm_(x[1][:, :3], x[0])
        (y * y).sum().backward()
        return [x.grad]

    equal(case(nt), case(torch))


@pytest.mark.parametrize("shape", [(0, 3), (2, 0), (0, 0)])
def test_nothing(torch, shape):
    calls = [
        lambda m, x: x.flip(0), lambda m, x: x.roll(1), lambda m, x: x.roll(1, 0), lambda m, x: m.rot90(x), lambda m, x: x.tril(), lambda m, x: x.diagonal(), lambda m, x: x.repeat(2, 2), lambda m, x: x.tile(2),
        lambda m, x: x.repeat_interleave(2), lambda m, x: m.diag_embed(x), lambda m, x: x.trace(), lambda m, x: m.hstack([x, x]), lambda m, x: m.block_diag(x, x), lambda m, x: x.tensor_split(2), lambda m, x: m.kron(x, x),
        lambda m, x: m.tensordot(x, x.t(), 1), lambda m, x: m.cdist(x, x), lambda m, x: x.reshape(-1).diag(), lambda m, x: m.combinations(x.reshape(-1)), lambda m, x: x.inner(x), lambda m, x: m.cartesian_prod(x.reshape(-1), m.ones(2)),
    ]  # fmt: skip
    for k, call in enumerate(calls):
        equal(outcome(lambda: call(nt, nt.zeros(shape))), outcome(lambda: call(torch, torch.zeros(shape))), f"{k}", memory=False)  # noqa: B023


def test_numbers(torch):
    calls = [
        lambda m, x: x.flip(()), lambda m, x: x.roll(1), lambda m, x: x.repeat(2), lambda m, x: x.tile(3), lambda m, x: x.repeat_interleave(2), lambda m, x: x.unfold(0, 1, 1), lambda m, x: m.atleast_3d(x), lambda m, x: m.meshgrid(x, indexing="ij"),
        lambda m, x: m.hstack([x, x]), lambda m, x: m.kron(x, x), lambda m, x: m.inner(x, x), lambda m, x: x.ravel(), lambda m, x: x.movedim(0, 0), lambda m, x: x.H, lambda m, x: x.squeeze_(), lambda m, x: x.unsqueeze_(0), lambda m, x: m.diagflat(x), lambda m, x: x.T.expand(2),
    ]  # fmt: skip
    for k, call in enumerate(calls):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            theirs = outcome(lambda: call(torch, torch.tensor(2.5)))  # noqa: B023
        equal(outcome(lambda: call(nt, nt.tensor(2.5))), theirs, f"{k}")  # noqa: B023


def test_meshgrid_without_indexing_warns():
    with pytest.warns(UserWarning, match="indexing"):
        assert nt.meshgrid(nt.arange(2), nt.arange(3))[0].shape == (2, 3)


def test_special_values(torch):
    array = np.array([[np.nan, np.inf], [-np.inf, -0.0]], "f4")
    for call in (lambda m, x: x.tril(-1), lambda m, x: x.triu(1), lambda m, x: x.flip(0), lambda m, x: m.cdist(x, x * 0, 1), lambda m, x: m.kron(x, x), lambda m, x: x.trace(), lambda m, x: m.cov(x)):
        equal([call(nt, nt.from_numpy(array))], [call(torch, torch.from_numpy(array))])


def test_distances_of_equal_rows_have_zero_gradients(torch):
    for p in (1.0, 2.0, 3.0, 1.5, float("inf")):

        def grad(m, p=p):
            x = m.tensor([[1.0, 2.0], [1.0, 2.0], [0.0, 1.0]], dtype=m.float64, requires_grad=True)
            m.cdist(x, x.detach(), p).sum().backward()
            return [x.grad]

        if p != float("inf"):
            equal(grad(nt), grad(torch), f"{p}")
        assert not bool(grad(nt)[0].isnan().any())


def test_large_distances_by_a_product(torch):
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((40, 7)), rng.standard_normal((30, 7))
    equal([nt.cdist(nt.from_numpy(a), nt.from_numpy(b))], [torch.cdist(torch.from_numpy(a), torch.from_numpy(b))], tolerance=(1e-9, 1e-9))


@given(st.data())
def test_order_of_elements_against_numpy(data):
    shape = tuple(data.draw(st.lists(st.integers(0, 4), min_size=1, max_size=4)))
    array = np.arange(int(np.prod(shape))).reshape(shape)
    x = nt.from_numpy(array.copy())
    dims = data.draw(st.lists(st.integers(-len(shape), len(shape) - 1), max_size=3, unique_by=lambda d: d % len(shape)))
    assert np.array_equal(x.flip(dims).numpy(), np.flip(array, tuple(dims)))
    shifts = [data.draw(st.integers(-9, 9)) for _ in dims]
    if dims:
        assert np.array_equal(x.roll(shifts, dims).numpy(), np.roll(array, shifts, dims))
    counts = [data.draw(st.integers(0, 3)) for _ in range(len(shape))]
    assert np.array_equal(x.repeat(*counts).numpy(), np.tile(array, counts))
    times = np.array([data.draw(st.integers(0, 3)) for _ in range(shape[0])], dtype=np.int64)
    assert np.array_equal(x.repeat_interleave(nt.from_numpy(times), 0).numpy(), np.repeat(array, times, 0))
    if len(shape) > 1:
        k, offset = data.draw(st.integers(-5, 5)), data.draw(st.integers(-6, 6))
        assert np.array_equal(x.rot90(k).numpy(), np.rot90(array, k))
        assert np.array_equal(x.tril(offset).numpy(), np.tril(array, offset)) and np.array_equal(x.triu(offset).numpy(), np.triu(array, offset))
        assert np.array_equal(x.diagonal(offset).numpy(), np.diagonal(array, offset)) or -shape[0] > offset or offset > shape[1]
        rows, columns = np.tril_indices(shape[0], offset, shape[1])
        assert np.array_equal(nt.tril_indices(shape[0], shape[1], offset).numpy(), np.array([rows, columns]))
    cut = data.draw(st.integers(1, 5))
    assert [p.tolist() for p in x.tensor_split(cut)] == [p.tolist() for p in np.array_split(array, cut)]


@pytest.mark.parametrize("kind", ["bool", "float32", "float64", "complex128", "int16"])
@pytest.mark.parametrize("shape, dim", [((4, 4), 0), ((3, 5), 1), ((40, 3), 1), ((600, 70), 1), ((2, 3, 4), 1), ((7,), 0), ((20, 1), -1)])
@pytest.mark.parametrize("count", [1, 2, 5, 60])
def test_joins_that_are_known(shape, dim, count, kind):
    """A join of tensors like those of the one before is a launch for all, or one for each; other values and other memory."""
    for seed in range(3):
        arrays = [(np.random.default_rng([seed, k]).random(shape) * 100 - 50).astype(kind) for k in range(count)]
        tensors = [nt.from_numpy(a) for a in arrays]
        assert np.array_equal(nt.cat(tensors, dim).numpy(), np.concatenate(arrays, dim))
        turned = [t.mT if t.ndim > 1 else t for t in tensors]
        assert np.array_equal(nt.cat(turned, dim).numpy(), np.concatenate([a.swapaxes(-1, -2) if a.ndim > 1 else a for a in arrays], dim))


def test_reversed_lines():
    for length in (1, 7, 32, 100):
        array = np.arange(3 * length, dtype=np.float32).reshape(3, length)
        x = nt.from_numpy(array)
        assert np.array_equal(x.flip(1).numpy(), array[:, ::-1]) and np.array_equal(x.flip(0, 1).numpy(), array[::-1, ::-1])
        assert np.array_equal(x[:, ::2].flip(1).numpy(), array[:, ::2][:, ::-1]) and np.array_equal(x.flatten().flip(0).numpy(), array.ravel()[::-1])

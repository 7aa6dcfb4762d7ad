"""Names beside the ops: in-place functions, losses by number, memory formats, constructors, sizes, settings, as PyTorch has them."""

import warnings

import numpy as np
import pytest

import numtape as nt


def shown(value):
    """What is compared: of tensors shape, strides, dtype, elements and whether they are recorded; of others the text."""
    if isinstance(value, (tuple, list)):
        return [shown(v) for v in value]
    if hasattr(value, "stride"):
        return tuple(value.shape), tuple(value.stride()), str(value.dtype).rpartition(".")[2], np.round(value.detach().numpy().astype("f8"), 5).tolist(), value.requires_grad
    return str(value).replace("numtape", "torch")


def images(m):
    return m.arange(24.0).reshape(1, 2, 3, 4)


def matrix(m):
    return m.arange(6.0).reshape(2, 3)


CASES = {}
for _f in ("contiguous_format", "preserve_format", "channels_last", "channels_last_3d"):
    CASES |= {
        f"contiguous {_f}": lambda m, f=_f: images(m).contiguous(memory_format=getattr(m, f)), f"clone {_f}": lambda m, f=_f: images(m).permute(0, 2, 3, 1).clone(memory_format=getattr(m, f)),
        f"to {_f}": lambda m, f=_f: images(m).to(m.float64, memory_format=getattr(m, f)), f"is {_f}": lambda m, f=_f: images(m).contiguous(memory_format=m.channels_last).is_contiguous(memory_format=getattr(m, f)),
        f"empty {_f}": lambda m, f=_f: m.empty(1, 2, 3, 4, memory_format=getattr(m, f)).stride(), f"like {_f}": lambda m, f=_f: m.zeros_like(images(m).permute(0, 2, 3, 1), memory_format=getattr(m, f)),
        f"float {_f}": lambda m, f=_f: images(m).double().float(memory_format=getattr(m, f)), f"5 dims {_f}": lambda m, f=_f: m.zeros(1, 2, 2, 1, 2).contiguous(memory_format=getattr(m, f)),
    }  # fmt: skip
for _f in ("zeros", "ones", "empty", "rand", "randn"):
    CASES |= {
        f"{_f} out": lambda m, f=_f: (lambda o: (getattr(m, f)(2, 3, out=o) is o, o.dtype))(m.zeros(2, 3, dtype=m.float64)), f"{_f} size=": lambda m, f=_f: getattr(m, f)(size=(2, 3), pin_memory=False).shape,
        f"{_f} unknown": lambda m, f=_f: getattr(m, f)(2, nothing=1),
    }  # fmt: skip
for _t in ("Tensor", "FloatTensor", "LongTensor", "BoolTensor"):
    CASES |= {
        f"{_t} {k}": lambda m, t=_t, a=a: getattr(m, t)(*a(m))
        for k, a in {"none": lambda m: (), "list": lambda m: ([[1, 0]],), "number": lambda m: (2.5,), "str": lambda m: ("a",), "array": lambda m: (np.array([1.0, 2.0]),), "negative": lambda m: (-1,), "tensor": lambda m: (m.tensor([1.0]),)}.items()
    }  # fmt: skip
    CASES |= {f"{_t} sizes": lambda m, t=_t: getattr(m, t)(2, 3).shape, f"{_t} Size": lambda m, t=_t: getattr(m, t)(m.Size([2, 3])).shape}
for _f in ["abs", "acos", "asin", "atan", "ceil", "cos", "erf", "exp", "exp2", "expm1", "floor", "frac", "i0", "log", "log1p", "neg", "reciprocal", "round", "rsqrt", "sigmoid", "sin", "sqrt", "square", "tan", "tanh", "trunc", "zero", "relu", "selu", "celu", "nan_to_num"]:
    CASES[f"{_f}_"] = lambda m, f=_f: (lambda x: (getattr(m, f"{f}_")(x) is x, x))(m.tensor([0.3, 0.6]))
_i, _j = lambda m: m.tensor([[0.1, 0.2, 0.7], [0.5, -0.3, 0.2]]), lambda m: m.tensor([[0.3, 0.1, 0.6], [0.4, 0.4, 0.2]])
for _r in (0, 1, 2):
    CASES |= {
        f"cosine_embedding_loss {_r}": lambda m, r=_r: m.cosine_embedding_loss(_i(m), _j(m), m.tensor([1.0, -1.0]), 0.1, r), f"kl_div {_r}": lambda m, r=_r: m.kl_div(_i(m), _j(m), r),
        f"hinge_embedding_loss {_r}": lambda m, r=_r: m.hinge_embedding_loss(_i(m), m.tensor([[1.0, -1, 1], [1, 1, -1]]), 1.0, r), f"triplet_margin_loss {_r}": lambda m, r=_r: m.triplet_margin_loss(_i(m), _j(m), _j(m) * 2, reduction=r),
        f"margin_ranking_loss {_r}": lambda m, r=_r: m.margin_ranking_loss(_i(m), _j(m), m.ones(2, 3), 0.1, reduction=r), f"poisson_nll_loss {_r}": lambda m, r=_r: m.poisson_nll_loss(_i(m), _j(m), True, False, 1e-8, r),
        f"binary_cross_entropy_with_logits {_r}": lambda m, r=_r: m.binary_cross_entropy_with_logits(_i(m), _j(m), reduction=r),
    }  # fmt: skip
for _f, _a in {"as_strided": ((2,), (1,)), "diagonal": (), "expand": ((2, 2, 3),), "permute": ((1, 0),), "select": (0, 1), "split": (1,), "t": (), "transpose": (0, 1), "unbind": (), "unfold": (1, 2, 1), "view": ((3, 2),)}.items():
    CASES[f"{_f}_copy"] = lambda m, f=_f, a=_a: (lambda r: [t.tolist() for t in (r if isinstance(r, (tuple, list)) else [r])])(getattr(m, f"{f}_copy")(matrix(m), *a))
for _f in ["is_sparse", "is_quantized", "is_meta", "is_mkldnn", "is_mps", "is_nested", "is_xla", "is_cpu", "output_nr", "name", "itemsize", "nbytes", "names", "layout", "H", "mH", "mT", "T"]:
    CASES[f".{_f}"] = lambda m, f=_f: getattr(matrix(m), f)
for _f in ["is_pinned", "is_shared", "dim_order", "sparse_dim", "dense_dim", "is_coalesced", "coalesce", "values", "indices", "to_dense", "element_size", "storage_offset", "type"]:
    CASES[f".{_f}()"] = lambda m, f=_f: getattr(matrix(m), f)()
CASES |= {
    "full out": lambda m: (lambda o: (m.full((2, 3), 5.0, out=o) is o, o))(m.zeros(2, 3)), "arange out": lambda m: m.arange(3, out=m.zeros(3)), "linspace out": lambda m: m.linspace(0, 1, 3, out=m.zeros(3)),
    "eye out": lambda m: m.eye(3, out=m.zeros(3, 3)), "logspace out": lambda m: m.logspace(0, 1, 3, out=m.zeros(3)), "randint out": lambda m: m.randint(5, 6, (3,), out=m.zeros(3, dtype=m.int64)),
    "new_ones size=": lambda m: m.ones(2).new_ones(size=(2,)), "type class": lambda m: matrix(m).type(m.LongTensor), "mT of a vector": lambda m: m.ones(2).mT,
    "Size": lambda m: [type(s).__name__ for s in (m.ones(2, 3).shape[1:], m.ones(2).shape + (1,), (1,) + m.ones(2).shape, m.ones(2).shape * 2, 2 * m.ones(2).shape)], "Size of floats": lambda m: m.Size([1.5]),
    "Size of a tensor": lambda m: m.Size(m.tensor([1, 2])), "Size and list": lambda m: m.ones(2).shape + [1], "two ellipses": lambda m: m.ones(2, 3, 4)[..., 0, ...], "two ellipses, set": lambda m: m.ones(2, 3).__setitem__((..., ...), 0),
    "None, ellipsis": lambda m: m.ones(2, 3)[None, ..., None], "typename": lambda m: [m.typename(matrix(m)), m.typename(3), m.typename([1])],
    "is_storage": lambda m: [m.is_storage(matrix(m).untyped_storage()), m.is_storage(matrix(m))], "rsub": lambda m: m.rsub(m.ones(2), 3, alpha=2), "fill": lambda m: m.fill(m.ones(2), 3),
    "clamp_": lambda m: m.clamp_(m.tensor([1.0, 5.0]), 2, 3), "threshold_": lambda m: m.threshold_(m.tensor([1.0, 5.0]), 2, 3), "rrelu": lambda m: m.rrelu(_i(m)), "dropout": lambda m: m.dropout(_i(m), 0.5, False),
    "dropout_": lambda m: m.dropout_(_i(m), 0.5, False), "conv_tbc": lambda m: m.conv_tbc(m.arange(24.0).reshape(4, 2, 3), m.ones(2, 3, 5), m.ones(5), 1).contiguous(), "sum_to_size": lambda m: m.ones(2, 3).sum_to_size(1, 3),
    "sum_to_size of another": lambda m: m.ones(2, 3).sum_to_size(2), "resize": lambda m: matrix(m).resize(3, 2), "resize to more": lambda m: matrix(m).resize(3, 3), "resize_as": lambda m: matrix(m).resize_as(m.ones(3, 2)),
    "as_subclass": lambda m: type(matrix(m).as_subclass(m.nn.Parameter)).__name__, "as_subclass of int": lambda m: matrix(m).as_subclass(int), "dim_order": lambda m: m.ones(2, 3, 4).permute(2, 0, 1).dim_order(),
    "precision": lambda m: [m.get_float32_matmul_precision(), m.set_float32_matmul_precision("high"), m.get_float32_matmul_precision(), m.set_float32_matmul_precision("highest")],
    "deterministic": lambda m: [m.use_deterministic_algorithms(True), m.are_deterministic_algorithms_enabled(), m.get_deterministic_debug_mode(), m.use_deterministic_algorithms(False)],
    "debug mode": lambda m: [m.set_deterministic_debug_mode("warn"), m.is_deterministic_algorithms_warn_only_enabled(), m.set_deterministic_debug_mode(0)], "newaxis": lambda m: m.newaxis,
    "fill_diagonal_, wrapped": lambda m: m.zeros(7, 3).fill_diagonal_(5, wrap=True), "fill_diagonal_ of a vector": lambda m: m.zeros(3).fill_diagonal_(5), "bitwise_not_": lambda m: m.tensor([1, 2]).bitwise_not_(),
    "asarray shares": lambda m: (lambda a: [m.asarray(a).fill_(3), a.tolist()])(np.ones(2)), "asarray, no copy": lambda m: m.asarray([1], copy=False), "frombuffer, nothing": lambda m: m.frombuffer(bytearray(0), dtype=m.uint8),
    "frombuffer, too long": lambda m: m.frombuffer(bytearray(4), dtype=m.int32, count=2), "empty_strided": lambda m: m.empty_strided((2, 3), (1, 2)).stride(), "empty_permuted": lambda m: m.empty_permuted((2, 3, 4), (0, 2, 1)).stride(),
    "frexp of ends": lambda m: list(m.frexp(m.tensor([0.0, -0.0, 1e-40, 3e38, float("inf"), -3.0]))), "frexp of ints": lambda m: m.frexp(m.tensor([1])), "expanded fill_": lambda m: m.zeros(1, 2).expand(2, 2).fill_(3),
    "histogram of one value": lambda m: list(m.histogram(m.ones(3), 2)), "histogram of nothing": lambda m: list(m.histogram(m.zeros(0), 2)), "lu_factor of a singular": lambda m: m.linalg.lu_factor(m.ones(2, 2)),
    "lu_factor_ex of a singular": lambda m: [t.contiguous() for t in m.linalg.lu_factor_ex(m.ones(2, 2))], "lu without pivots": lambda m: m.linalg.lu(m.ones(2, 2), pivot=False), "lu of none": lambda m: [t.shape for t in m.linalg.lu(m.ones(2, 0, 3))],
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_as_pytorch(torch, name):
    found = []
    for m in (nt, torch):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                found.append(shown(CASES[name](m)))
            except Exception as problem:
                found.append(problem)
    mine, theirs = found
    if isinstance(theirs, Exception):
        kind = RuntimeError if isinstance(theirs, (NotImplementedError, RuntimeError)) else type(theirs)
        assert isinstance(mine, kind), f"{mine!r}; PyTorch raises {theirs!r}"
    else:
        assert mine == theirs


def test_large_lu():
    """Wider than one strip, so that products take part."""
    a = np.random.default_rng(0).standard_normal((2, 130, 110))
    P, L, U = nt.linalg.lu(nt.from_numpy(a))
    np.testing.assert_allclose((P @ L @ U).numpy(), a, atol=1e-12)
    assert float(L.abs().max()) == 1.0 and float(U.tril(-1).abs().max()) == 0.0


def test_low_rank(torch):
    nt.manual_seed(0)
    x = nt.randn(8, 2) @ nt.randn(2, 5)
    for t in (x, x.t()):
        U, S, V = nt.svd_lowrank(t, q=2)
        assert float((U @ nt.diag(S) @ V.t() - t).abs().max()) < 1e-4
    U, S, V = nt.pca_lowrank(x, q=2)
    np.testing.assert_allclose(S.numpy(), np.linalg.svd(x.numpy() - x.numpy().mean(0))[1][:2], rtol=1e-3, atol=1e-4)


def test_random_fills_have_no_history():
    x = nt.ones(3, requires_grad=True)
    for fill in (lambda y: y.normal_(), lambda y: y.uniform_(), lambda y: y.bernoulli_(0.5)):
        y = x * 2
        fill(y)
        (y * x).sum().backward()
        np.testing.assert_allclose(x.grad.numpy(), y.detach().numpy())
        x.grad = None

"""Sorting and selecting along a dim: order, the largest, the middle, the most frequent."""

from __future__ import annotations

from numtape import dtypes, layout
from numtape.dispatch.functions import into
from numtape.dispatch.record import recorded
from numtape.kernels import pattern
from numtape.op import refuse_complex
from numtape.ops import reduce
from numtape.ops.copy import tensor_of
from numtape.ops.creation import full_like
from numtape.ops.define import composite
from numtape.ops.index import scatter_into_zeros
from numtape.ops.scan import _given, run_lines, values_indices
from numtape.ops.select import where
from numtape.spec import spec_of
from numtape.tensor import Tensor, alias, empty


def _launched(name: str, x: Tensor, d: int, size: int, count: int = 0, descending: bool = False):
    """The values and positions that a sort kernel finds in each line of x along d: `size` of each; not recorded."""
    s = x._spec
    refuse_complex(name, s.dtype)
    sort = pattern(s.device, "sort")
    shape = (*s.shape[:d], size, *s.shape[d + 1 :]) if s.ndim else ()
    strides = None  # contiguous, but a sorted tensor is laid out as the input
    if name == "sort" and not s.contiguous:
        strides = s.strides if layout.is_dense(s.shape, s.strides) else layout.output_strides(s.shape, [(s.shape, s.strides)])
    values, indices = (empty(spec_of(kind, s.device, shape, strides), name) for kind in (s.dtype, dtypes.int64))
    if not s.ndim:
        values.copy_(alias(x))
        return values, indices.zero_()
    if values._spec.numel:
        scratch = empty(spec_of(dtypes.uint8, s.device, (sort.SCRATCH * s.numel,)), name)
        run_lines(name, sort.text(name, s.dtype.code), (values, indices, alias(x)), d, s.shape[d], (scratch._address, count, -int(descending)))
    return values, indices


def _picked(name: str, x: Tensor, values: Tensor, indices: Tensor, d: int) -> Tensor:
    """Record that the values are x's elements at `indices` along d."""
    if not x._spec.ndim:
        return recorded(values, name, (x,), lambda node, g: (g,))
    spec = x._spec
    return recorded(values, name, (x,), lambda node, g: (scatter_into_zeros(g, d, *node.unpack(), spec),), save=(indices,))


def _one_of_each(name: str, x: Tensor, d: int, keepdim: bool, found):
    """The (values, indices) of a kernel that finds one element a line, `d` left out unless keepdim."""
    values, indices = found
    _picked(name, x, values, indices, d)
    if x._spec.ndim and not keepdim:
        values, indices = values.squeeze(d), indices.squeeze(d)
    return values_indices(values, indices)


def _some(name: str, x: Tensor, d: int) -> Tensor:
    if x._spec.ndim and not x._spec.shape[d]:
        raise IndexError(f"{name}(): Expected reduction dim {d} to have non-zero size.")
    return x


def _not_bool(name: str, x: Tensor) -> Tensor:
    if x._spec.dtype is dtypes.bool:
        raise RuntimeError(f"{name}: not supported for bool tensors; convert with .to(numtape.uint8)")
    return x


# ------------------------------------------------------------------------------------------------ sorting
@composite
def sort(input, dim=-1, descending=False, stable=False, *, out=None):
    "The elements in order along a dim and where they stood: (values, indices). Always stable; NaN is the largest."
    x = tensor_of("sort", input)
    d = layout.dim_of("sort", dim, x._spec.ndim)
    values, indices = _launched("sort", x, d, x._spec.shape[d] if x._spec.ndim else 1, descending=bool(descending))
    return _given("sort", values_indices(_picked("sort", x, values, indices, d), indices), out)


@composite
def argsort(input, dim=-1, descending=False, stable=False, *, out=None):
    "The positions that sort a tensor along a dim; always stable."
    x = tensor_of("argsort", input).detach()
    indices = sort(x, dim, descending).indices
    return indices if out is None else into("argsort", indices, out)


@composite
def msort(input, *, out=None):
    "The elements in order along the first dim."
    values = sort(input, 0).values
    return values if out is None else into("msort", values, out)


@composite
def topk(input, k, dim=-1, largest=True, sorted=True, *, out=None):
    "The k largest (or smallest) elements along a dim, in order, and where they stand: (values, indices). Of equals the first are taken."
    x = _not_bool("topk", tensor_of("topk", input))
    d = layout.dim_of("topk", dim, x._spec.ndim)
    k, n = k.__index__(), x._spec.shape[d] if x._spec.ndim else 1
    if not 0 <= k <= n:
        raise RuntimeError(f"topk: selected index k out of range: k is {k}, dimension {d} has size {n}")
    values, indices = _launched("topk", x, d, k, k, bool(largest)) if x._spec.ndim else sort(x.detach())
    if not x._spec.ndim and not k:
        raise RuntimeError("topk: k: expected 1 for a tensor without dimensions, got 0")
    return _given("topk", values_indices(_picked("topk", x, values, indices, d), indices), out)


# ------------------------------------------------------------------------------------------------ one of each line
@composite
def kthvalue(input, k, dim=-1, keepdim=False, *, out=None):
    "The k-th smallest element (from 1) along a dim and where it stands: (values, indices)."
    x = _not_bool("kthvalue", tensor_of("kthvalue", input))
    d = layout.dim_of("kthvalue", dim, x._spec.ndim)
    n = x._spec.shape[d] if x._spec.ndim else 1
    _some("kthvalue", x, d)
    if not 1 <= k <= n:
        raise RuntimeError(f"kthvalue(): selected number k out of range for dimension {d}: k is {k}, the size is {n}")
    return _given("kthvalue", _one_of_each("kthvalue", x, d, keepdim, _launched("kthvalue", x, d, 1, k)), out)


def _median(name: str, input, dim, keepdim, out):
    x = _not_bool(name, tensor_of(name, input))
    if dim is None:
        if not x._spec.numel:
            if not x._spec.dtype.is_floating_point:
                bounds = dtypes.iinfo(x._spec.dtype)
                return full_like(x, bounds.min).new_full((), bounds.min)
            return x.new_full((), float("nan"))
        found = _launched(name, x.detach().reshape(-1), 0, 1)[0].reshape(())
        spec = x._spec

        def pull(node, g):  # equal elements share the gradient
            chosen, value = node.unpack()
            same = ((chosen == value) | (chosen != chosen) & (value != value)).to(spec.dtype)
            return (g * same / reduce.sum(same),)

        result = recorded(found, name, (x,), pull, save=(x.detach(), found.detach()))
        return result if out is None else into(name, result, out)
    d = layout.dim_of(name, dim, x._spec.ndim)
    return _given(name, _one_of_each(name, _some(name, x, d), d, keepdim, _launched(name, x, d, 1)), out)


@composite
def median(input, dim=None, keepdim=False, *, out=None):
    "The median (of two in the middle, the lower); over a dim (values, indices). NaN if there is one."
    return _median("median", input, dim, keepdim, out)


@composite
def nanmedian(input, dim=None, keepdim=False, *, out=None):
    "The median of what is not NaN (of two in the middle, the lower); over a dim (values, indices)."
    return _median("nanmedian", input, dim, keepdim, out)


@composite
def mode(input, dim=-1, keepdim=False, *, out=None):
    "The most frequent element along a dim, the smallest of several, and where it last stands: (values, indices)."
    x = tensor_of("mode", input)
    d = layout.dim_of("mode", dim, x._spec.ndim)
    _some("mode", x, d)
    ordered = _launched("sort", x, d, x._spec.shape[d] if x._spec.ndim else 1)
    if not x._spec.ndim:
        return _given("mode", _one_of_each("mode", x, d, keepdim, ordered), out)
    s = x._spec
    shape = (*s.shape[:d], 1, *s.shape[d + 1 :])
    found = [empty(spec_of(kind, s.device, shape), "mode") for kind in (s.dtype, dtypes.int64)]
    run_lines("mode", pattern(s.device, "sort").mode_text(s.dtype.code), (*found, *ordered), d, s.shape[d])
    return _given("mode", _one_of_each("mode", x, d, keepdim, found), out)


# ------------------------------------------------------------------------------------------------ quantiles
_INTERPOLATIONS = ("linear", "lower", "higher", "midpoint", "nearest")


def _quantile(name, input, q, dim, keepdim, interpolation, out, skip_nan):
    from numtape.ops.creation import tensor
    from numtape.ops.index import gather

    x = tensor_of(name, input)
    kind = x._spec.dtype
    if not kind.is_floating_point:
        raise RuntimeError(f"{name}(): input tensor must be either float or double dtype, got {kind.name}")
    if interpolation not in _INTERPOLATIONS:
        raise RuntimeError(f"{name}(): interpolation must be one of linear, lower, higher, midpoint or nearest, but got {interpolation}")
    if not x._spec.numel:
        raise RuntimeError(f"{name}(): input tensor must be non-empty")
    scalar = not isinstance(q, Tensor)
    if scalar:
        if not 0 <= q <= 1:
            raise RuntimeError(f"{name}() q must be in the range [0, 1] but got {q}")
        q = tensor(float(q), dtype=kind, device=x.device)
    elif q._spec.dtype is not kind:
        raise RuntimeError(f"{name}(): q tensor must be same dtype as the input tensor: {q._spec.dtype.name} and {kind.name}")
    elif q.ndim > 1:
        raise RuntimeError(f"{name}(): q must be a scalar or 1D tensor, got shape {tuple(q.shape)}")
    elif not bool(((q >= 0) & (q <= 1)).all()):
        raise RuntimeError(f"{name}(): q values must be in the range [0, 1]")
    ndim = x.ndim
    if dim is None:
        d, x, shape = 0, x.reshape(-1), (1,) * ndim
    else:
        d = layout.dim_of(name, dim, ndim)
        shape = tuple(1 if i == d else n for i, n in enumerate(x.shape)) if ndim else ()
        x = x if ndim else x.reshape(1)
    n = x._spec.shape[d]
    ordered = x.movedim(d, -1).contiguous().sort(-1).values
    lead = tuple(ordered.shape[:-1])
    invalid = (ordered != ordered).detach()
    points = q.reshape(-1).expand(*lead, q.numel())
    if skip_nan:
        ranks = points * ((~invalid).sum(-1, True) - 1).to(kind).clamp_min(0)
    else:
        ranks = where(invalid[..., -1:], float(n - 1), points * (n - 1))
    if interpolation == "lower":
        ranks = ranks.floor()
    elif interpolation == "higher":
        ranks = ranks.ceil()
    elif interpolation == "nearest":
        ranks = ranks.round()
    below = ranks.floor().to(dtypes.int64).detach()
    values = gather(ordered, -1, below)
    if interpolation in ("linear", "midpoint"):
        above = gather(ordered, -1, ranks.ceil().to(dtypes.int64).detach())
        weight = full_like(ranks, 0.5) if interpolation == "midpoint" else ranks - below.to(kind)
        values = where(weight < 0.5, values + weight * (above - values), above - (above - values) * (1 - weight))
    if q.ndim:
        values = values.movedim(-1, 0)
        result = values.reshape(q.numel(), *(shape if keepdim else lead))
    else:
        result = values.reshape(shape if keepdim else lead)
    return result if out is None else into(name, result, out)


@composite
def quantile(input, q, dim=None, keepdim=False, *, interpolation="linear", out=None):
    "The q-th quantiles (q a number or a vector in [0, 1]) over a dim or over all elements; NaN if there is one."
    return _quantile("quantile", input, q, dim, keepdim, interpolation, out, False)


@composite
def nanquantile(input, q, dim=None, keepdim=False, *, interpolation="linear", out=None):
    "The q-th quantiles of what is not NaN, over a dim or over all elements."
    return _quantile("nanquantile", input, q, dim, keepdim, interpolation, out, True)

"""Counting and looking up: bins, histograms, distinct elements, places in sorted sequences."""

from __future__ import annotations

import builtins
import math
from typing import NamedTuple

from numtape import dtypes, layout
from numtape.dispatch.elementwise import same_device
from numtape.dispatch.functions import into
from numtape.dispatch.record import recorded
from numtape.kernels import pattern, placing
from numtape.kernels.cpu.driver import launch
from numtape.ops.copy import contiguous, tensor_of
from numtape.ops.creation import arange, linspace, ones_like, tensor
from numtape.ops.define import composite
from numtape.ops.index import cat, index_add_into_zeros, index_select
from numtape.ops.part import narrow
from numtape.ops.select import where
from numtape.ops.sort import sort
from numtape.spec import spec_of
from numtape.tensor import Tensor, empty


class histogram_result(NamedTuple):
    """What histogram returns."""

    hist: Tensor
    bin_edges: Tensor


def _added(weights: Tensor, places: Tensor, size: int) -> Tensor:
    """Zeros of `size` elements with the weights added at their places, in order; not recorded."""
    return index_add_into_zeros(weights.detach(), 0, contiguous(places), spec_of(weights._spec.dtype, weights._spec.device, (size,)))


# ------------------------------------------------------------------------------------------------ bins
@composite
def bincount(input, weights=None, minlength=0, *, out=None):
    "How often each whole number from 0 on occurs in a vector, or the sums of the weights that stand beside it."
    x = tensor_of("bincount", input)
    if x._spec.dtype.is_floating_point or x._spec.dtype is dtypes.bool:
        raise RuntimeError(f"bincount: not supported for {x._spec.dtype.name} tensors; input: expected whole numbers")
    if minlength < 0:
        raise RuntimeError(f"bincount: minlength should be >= 0, got {minlength}")
    if x._spec.ndim != 1:
        raise RuntimeError(f"bincount only supports 1-d non-negative integral inputs, got shape {tuple(x.shape)}")
    if weights is not None:
        same_device("bincount", x, tensor_of("bincount", weights))
        if weights._spec.shape != x._spec.shape:
            raise RuntimeError(f"bincount: weights should be 1-d and have the same length as input, got {tuple(weights.shape)} for {tuple(x.shape)}")
        weights = weights if weights._spec.dtype is dtypes.float32 else weights.to(dtypes.float64)
    x = x.to(dtypes.int64)
    if not x._spec.numel:
        kind = dtypes.int64 if weights is None else weights._spec.dtype
        result = x.new_zeros((minlength,), dtype=dtypes.int64 if weights is None else kind)
        return result if out is None else into("bincount", result, out)
    if int(x.amin()) < 0:
        raise RuntimeError("bincount only supports 1-d non-negative integral inputs, got a negative number")
    result = _added(ones_like(x) if weights is None else weights, x, max(int(x.amax()) + 1, minlength))
    return result if out is None else into("bincount", result, out)


def _range(name: str, x: Tensor, low: float, high: float):
    """The ends of a histogram: as given; of the data where both are the same; one apart where the data has a single value."""
    if low > high:
        raise RuntimeError(f"{name}: max must be larger than min, got [{low}, {high}]")
    if low == high and x._spec.numel:
        low, high = float(x.amin()), float(x.amax())
    if not (math.isfinite(low) and math.isfinite(high)):
        raise RuntimeError(f"{name}: range of [{low}, {high}] is not finite")
    return (low - 1, high + 1) if low == high else (low, high)


def outer_edges(name: str, x: Tensor, ends):
    """The outermost edges of a histogram: as given, or of the data (0 and 1 without any); one apart where they are the same."""
    low, high = ends if ends is not None else (float(x.amin()), float(x.amax())) if x._spec.numel else (0.0, 1.0)
    if low > high:
        raise RuntimeError(f"{name}: min should not exceed max, but got min {low} max {high} for range")
    if not (math.isfinite(low) and math.isfinite(high)):
        raise RuntimeError(f"{name}: range of [{low}, {high}] is not finite")
    return (low - 0.5, high + 0.5) if low == high else (low, high)


def _floats(name: str, input) -> Tensor:
    x = tensor_of(name, input)
    if not x._spec.dtype.is_floating_point:
        raise RuntimeError(f"{name}: not supported for {x._spec.dtype.name} tensors; convert to floating point first")
    return x.detach().reshape(-1)


@composite
def histc(input, bins=100, min=0, max=0, *, out=None):
    "How many elements lie in each of `bins` equal parts of [min, max] (of the data's range where both are 0); others are left out."
    x = _floats("histc", input)
    if bins <= 0:
        raise RuntimeError(f"histc: bins must be > 0, got {bins}")
    low, high = _range("histc", x, float(min), float(max))
    inside = (x >= low) & (x <= high)
    at = where(inside, (x - low) * bins / (high - low), 0.0).to(dtypes.int64).clamp(max=bins - 1)
    places = where(inside, at, bins)
    result = narrow(_added(ones_like(places), places, bins + 1), 0, 0, bins).to(x._spec.dtype)
    return result if out is None else into("histc", result, out)


@composite
def histogram(input, bins, *, range=None, weight=None, density=False, out=None):
    "How many elements (or how much weight) lie between each two edges: (hist, bin_edges); `bins` is a number or the edges."
    x = _floats("histogram", input)
    kind = x._spec.dtype
    if isinstance(bins, Tensor):
        if bins._spec.dtype is not kind:
            raise RuntimeError(f"histogram: input tensor and bins tensor should have the same dtype, got {kind.name} and {bins._spec.dtype.name}")
        edges = bins.detach()
    else:
        if bins <= 0:
            raise RuntimeError(f"histogram: bins must be > 0, got {bins}")
        low, high = outer_edges("histogram", x, None if range is None else tuple(float(v) for v in range))
        edges = linspace(low, high, bins + 1, dtype=kind, device=x.device)
    count = edges._spec.shape[0] - 1
    inside = (x >= edges[0]) & (x <= edges[-1])
    places = where(inside, (searchsorted(edges, x, right=True) - 1).clamp(max=count - 1), count)
    if weight is not None:
        if weight._spec.shape != input._spec.shape or weight._spec.dtype is not kind:
            raise RuntimeError(f"histogram: if weight tensor is provided it should have the shape and dtype of input, got {tuple(weight.shape)} of {weight._spec.dtype.name}")
        weight = contiguous(weight.detach().reshape(-1))
    hist = narrow(_added(ones_like(places) if weight is None else weight, places, count + 1), 0, 0, count).to(kind)
    if density:
        hist = hist / hist.sum() / (narrow(edges, 0, 1, count) - narrow(edges, 0, 0, count))
    if out is not None:
        return histogram_result(into("histogram", hist, out[0]), into("histogram", edges, out[1]))
    return histogram_result(hist, edges)


# ------------------------------------------------------------------------------------------------ distinct elements
def _no_gradient(name: str, values: Tensor, x: Tensor) -> Tensor:
    def pull(node, g):
        raise NotImplementedError(f"the derivative for '{name}' is not implemented.")

    return recorded(values, name, (x,), pull)


def _runs(new: Tensor):
    """Of marks of where runs start: each element's run, where the runs start, and how long they are."""
    n = new._spec.shape[0]
    runs = new.cumsum(0) - 1
    places = arange(n, device=new.device)
    starts = _added(where(new, places, 0), runs, int(runs[n - 1]) + 1)
    ends = cat([narrow(starts, 0, 1, starts._spec.shape[0] - 1), tensor([n], device=new.device)])
    return runs, starts, ends - starts


def _marks(rows: Tensor) -> Tensor:
    """Which of the rows (or elements) differ from the one before."""
    n = rows._spec.shape[0]
    different = narrow(rows, 0, 1, n - 1) != narrow(rows, 0, 0, n - 1)
    first = tensor([True], device=rows.device)
    return cat([first, different.any(1) if rows._spec.ndim > 1 else different])


def _distinct(name: str, input, ordered: bool, return_inverse, return_counts, dim):
    x = tensor_of(name, input)
    if dim is None:
        d, rows, inverse_shape = 0, x.detach().reshape(-1), tuple(x.shape)
    else:
        d = layout.dim_of(name, dim, x._spec.ndim)
        moved = x.detach().movedim(d, 0) if x._spec.ndim else x.detach().reshape(1)
        inverse_shape = (moved._spec.shape[0],)
        if moved._spec.shape[0] and not moved._spec.numel:
            raise RuntimeError(f"{name}: There are 0 sized dimensions, and they aren't selected, so unique cannot be applied: {tuple(x.shape)}")
        rows = moved.reshape(moved._spec.shape[0], -1) if moved._spec.numel else moved.reshape(0, 0)
    n = rows._spec.shape[0]
    order = None
    if n and ordered and dim is None:
        rows, order = sort(rows)
    elif n and ordered:
        order = _order_of_rows(rows)
        rows = index_select(rows, 0, order)
    if not n:
        runs = counts = arange(0, device=x.device)
        values = x.detach().clone() if dim is not None else rows.clone()
    else:
        runs, starts, counts = _runs(_marks(rows))
        values = index_select(rows, 0, starts)
        if dim is not None and x._spec.ndim:
            values = values.reshape(-1, *moved._spec.shape[1:]).movedim(0, d)
        if order is not None and return_inverse:
            runs = _added(runs, order, n)
    _no_gradient(name, values, x)
    found = [values] + ([runs.reshape(inverse_shape)] if return_inverse else []) + ([counts] if return_counts else [])
    return tuple(found) if len(found) > 1 else values


def _order_of_rows(rows: Tensor) -> Tensor:
    """The positions that sort rows, the first elements first; stable."""
    rows = contiguous(rows)
    n, m = rows._spec.shape
    with placing(rows._spec.device):
        table = pattern(rows._spec.device, "sort").rows(rows._spec.dtype.code, n, m)
    out, scratch = (empty(spec_of(dtypes.int64, rows._spec.device, (n,)), "unique") for _ in range(2))
    launch(table.address, out._address, rows._address, scratch._address)
    return out


@composite
def unique(input, sorted=True, return_inverse=False, return_counts=False, dim=None):
    "The distinct elements (or slices along dim) in ascending order; with each one's place among them, and how often they occur."
    return _distinct("unique", input, True, return_inverse, return_counts, dim)


@composite
def unique_consecutive(input, return_inverse=False, return_counts=False, dim=None):
    "The elements (or slices along dim) without repetitions of the one before; with each one's place, and how long the runs are."
    return _distinct("unique_consecutive", input, False, return_inverse, return_counts, dim)


# ------------------------------------------------------------------------------------------------ searching
def _searched(name: str, boundaries, values, out_int32, right, side, sorter, out):
    edges = tensor_of(name, boundaries)
    scalar = not isinstance(values, Tensor)
    if scalar:
        values = tensor(values, dtype=edges._spec.dtype if isinstance(values, builtins.int) else None, device=edges.device)
    same_device(name, edges, values, *(() if sorter is None else (sorter,)))
    if side not in (None, "left", "right"):
        raise RuntimeError(f"{name}(): side can only be 'left' or 'right' but got {side}")
    if side == "left" and right:
        raise RuntimeError(f"{name}(): side and right can't be set to opposites, got side of left while right was True")
    if not edges._spec.ndim:
        raise RuntimeError(f"{name}(): boundaries tensor should have positive dimension, but got 0 dimension")
    batched = edges._spec.ndim > 1
    if batched and edges._spec.shape[:-1] != values._spec.shape[:-1]:
        raise RuntimeError(
            f"{name}(): boundaries tensor should be 1 dimension or the first N-1 dimensions of boundaries tensor and input value tensor must match, "
            f"but we got boundaries tensor {list(edges.shape)} and input value tensor {list(values.shape)}"
        )
    if sorter is not None:
        if sorter._spec.shape != edges._spec.shape:
            raise RuntimeError(f"{name}(): boundary and sorter must have the same size, but got {list(edges.shape)} and {list(sorter.shape)}")
        if sorter._spec.dtype is not dtypes.int64:
            raise RuntimeError(f"{name}(): sorter must be a tensor of long dtype but got dtype {sorter._spec.dtype.name}")
        if sorter._spec.numel and builtins.bool(((sorter < 0) | (sorter >= edges._spec.shape[-1])).any()):
            raise RuntimeError(f"{name}(): sorter index out of range")
        sorter = contiguous(sorter)
    kind = edges._spec.dtype if scalar and not values._spec.dtype.is_floating_point else dtypes.promote_types(edges._spec.dtype, values._spec.dtype)
    edges, values = (contiguous(t.detach().to(kind)) for t in (edges, values))
    result = empty(spec_of(dtypes.int64, edges._spec.device, values._spec.shape), name)
    if values._spec.numel:
        n = edges._spec.shape[-1]
        each = values._spec.shape[-1] if batched else 0
        with placing(edges._spec.device):
            table = pattern(edges._spec.device, "search").table(kind.code, values._spec.numel, n, each, right or side == "right", sorter is not None)
        launch(table.address, result._address, values._address, edges._address, 0 if sorter is None else sorter._address)
    if out_int32:
        result = result.to(dtypes.int32)
    return result if out is None else into(name, result, out)


@composite
def searchsorted(sorted_sequence, input, *, out_int32=False, right=False, side=None, sorter=None, out=None):
    "Where each value would stand in an ascending sequence (the last dim; one sequence for all, or one a row): before equals, or after."
    return _searched("searchsorted", sorted_sequence, input, out_int32, right, side, sorter, out)


@composite
def bucketize(input, boundaries, *, out_int32=False, right=False, out=None):
    "The bucket between ascending boundaries that each value falls into; a value equal to a boundary belongs below it, or above."
    if isinstance(boundaries, Tensor) and boundaries._spec.ndim != 1:
        raise RuntimeError(f"boundaries tensor must be 1 dimension, but got dim({boundaries._spec.ndim})")
    return _searched("bucketize", boundaries, input, out_int32, right, None, None, out)


FUNCTION_ONLY = {"searchsorted", "bucketize"}

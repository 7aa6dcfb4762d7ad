"""Rows of a table by index: embeddings, and sums, means and maxima of bags of them."""

from __future__ import annotations

from numtape import dtypes
from numtape.autograd import mode
from numtape.dispatch.elementwise import same_device
from numtape.dispatch.record import recorded, wanted
from numtape.ops.copy import contiguous
from numtape.ops.creation import arange
from numtape.ops.define import composite
from numtape.ops.index import index_add_into_zeros, index_select, rows_at
from numtape.ops.places import whole_numbers
from numtape.ops.scan import cumsum, max
from numtape.ops.select import masked_fill, where
from numtape.spec import spec_of
from numtape.tensor import Tensor

FUNCTION_ONLY = {"embedding"}


def _indices(name, weight, index):
    if not isinstance(weight, Tensor):
        raise TypeError(f"{name}(): argument 'weight' must be Tensor, not {type(weight).__name__}")
    if not isinstance(index, Tensor):
        raise TypeError(f"{name}(): argument 'indices' must be Tensor, not {type(index).__name__}")
    if weight._spec.ndim != 2:
        raise RuntimeError(f"{name}: 'weight' must be 2-D, got {weight.ndim}-D")
    if index._spec.dtype not in (dtypes.int64, dtypes.int32):
        raise RuntimeError(f"{name}: Expected tensor for argument #1 'indices' to have one of the following scalar types: Long, Int; but got {index.dtype} instead")
    same_device(name, weight, index)
    return contiguous(whole_numbers(index).reshape(-1))


def _counts(index, n, kind):
    """How often each row is named, as many numbers as there are names."""
    ones = index.to(kind) * 0 + 1
    return index_select(index_add_into_zeros(ones, 0, index, spec_of(kind, index.device, (n,))), 0, index)


@composite(domain="index")
def embedding(weight, indices, padding_idx=-1, scale_grad_by_freq=False, sparse=False):
    "The rows of `weight` that `indices` names; row `padding_idx` gets no gradient."
    index = _indices("embedding", weight, indices)
    spec = weight._spec
    n, width = spec.shape
    kind = spec.dtype
    rows = rows_at("embedding", weight, 0, index, (*indices._spec.shape, width))
    if wanted(weight):

        def pull(node, g):
            (index,) = node.unpack()
            g = g.reshape(-1, width)
            if padding_idx >= 0:
                g = masked_fill(g, (index == padding_idx).unsqueeze(1), 0)
            if scale_grad_by_freq:
                g = g / _counts(index, n, kind).unsqueeze(1)
            return (index_add_into_zeros(g, 0, index, spec),)

        recorded(rows, "embedding", (weight,), pull, save=(index,))
    return rows


def bags(weight, index, starts, kind, share, padding_idx, scale_grad_by_freq):
    """The sum, mean or maximum of each bag of rows; bag b is the indices from starts[b] to starts[b + 1] or the end."""
    index = _indices("embedding_bag", weight, index)
    count, n, width = starts.shape[0], index.shape[0], weight.shape[1]
    rows = embedding(weight, index, padding_idx, scale_grad_by_freq)
    counted = index != padding_idx if padding_idx >= 0 else None
    # the bag of each position: how many bags started up to there
    with mode.no_grad():
        marks = index_add_into_zeros(starts * 0 + 1, 0, starts, spec_of(dtypes.int64, index.device, (n + 1,)))
        bag = (cumsum(marks, 0) - 1).narrow(0, 0, n).contiguous()
    if kind == "max":
        return _maxima(rows, counted, starts, count, n, width)
    if share is not None:
        rows = rows * share.reshape(-1, 1)
    if counted is not None:
        rows = where(counted.unsqueeze(1), rows, 0.0)
    total = index_add_into_zeros(rows, 0, bag, spec_of(rows.dtype, rows.device, (count, width)))
    if kind == "sum":
        return total
    ones = (index == index if counted is None else counted).to(rows.dtype)
    sizes = index_add_into_zeros(ones, 0, bag, spec_of(rows.dtype, rows.device, (count,)))
    return total / sizes.clamp_min(1).unsqueeze(1)


def _maxima(rows, counted, starts, count, n, width):
    """The maxima of bags, laid side by side in as many places as the largest bag has; zeros for empty bags."""
    with mode.no_grad():
        ends = where(arange(count, device=starts.device) == count - 1, n, index_select(starts, 0, (arange(count, device=starts.device) + 1) % count))
        longest = int((ends - starts).max()) if n else 0
        if not longest:
            return rows.new_zeros((count, width)) + rows.sum() * 0
        places = starts.unsqueeze(1) + arange(longest, device=starts.device)
        there = places < ends.unsqueeze(1)
        places = where(there, places, 0).reshape(-1)
        if counted is not None:
            there = there & (index_select(counted.to(dtypes.uint8), 0, places) != 0).reshape(there.shape)
    found = max(masked_fill(index_select(rows, 0, places).reshape(count, longest, width), ~there.unsqueeze(2), float("-inf")), 1)[0]
    return where(there.any(1).unsqueeze(1), found, 0.0)

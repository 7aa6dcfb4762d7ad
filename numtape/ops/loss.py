"""Losses that deserve a kernel of their own."""

from __future__ import annotations

from numtape import dtypes, graph
from numtape.dispatch import rows
from numtape.graph import Symbol
from numtape.ops.arithmetic import zero
from numtape.ops.define import composite, row
from numtape.ops.reduce import amax, any, row_logsumexp_of, sum
from numtape.ops.select import where
from numtape.tensor import Tensor


def position(x, dim):
    """The position of each element along `dim`."""
    if isinstance(x, Symbol):
        return graph.position()
    from numtape.ops.creation import arange

    (d,) = dim
    return arange(x._spec.shape[d]).reshape(tuple(-1 if k == d else 1 for k in range(x._spec.ndim)))


@row(
    vjp=(
        lambda g, x, target, dim: g * ((x - row_logsumexp_of(x, dim)).exp() - where(position(x, dim) == target, 1.0, 0.0)),
        None,
        None,
    ),
    reduces=True,
    per_row=("target",),
    empty=0,
)
def row_cross_entropy(x, target, dim):
    "log(sum(e**x)) - x[target] over `dim`."
    top = amax(x, dim, True)
    chosen = sum(where(position(x, dim) == target, x, zero(x)), dim, True)
    return sum((x - top).exp(), dim, True).log() + top - chosen


@row(reduces=True, vjp=(None, None, None), empty=False)
def row_outside(x, high, dim):
    "Whether an element over `dim` is below 0 or not below `high`."
    return any((x < 0) | (x >= high), dim, True)


@composite(domain="cross_entropy")
def cross_entropy_rows(input, target):
    "The cross entropy of each row of scores (N, C) with its class in target (N,), or None if a target is no class."
    x, t = input, target
    if t._spec.numel and rows.run(row_outside, (t, x._spec.shape[1], None), (0,), False, (graph.FULL,) * 3).item():
        return None
    assert isinstance(t, Tensor) and t.dtype is dtypes.int64
    return rows.call(row_cross_entropy, (x, t.unsqueeze(1), None), (1,), False)

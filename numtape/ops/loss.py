"""Losses that deserve a kernel of their own."""

from __future__ import annotations

import math

from numtape import graph
from numtape.dispatch import rows
from numtape.graph import Symbol
from numtape.ops.define import composite, row
from numtape.ops.reduce import amax, count, row_logsumexp_of, sum
from numtape.ops.scatter import check_range
from numtape.ops.select import where


def position(x, dim):
    """The position of each element along `dim`."""
    if isinstance(x, Symbol):
        return graph.position()
    from numtape.ops.creation import arange

    (d,) = dim
    return arange(x._spec.shape[d], device=x._spec.device).reshape(tuple(-1 if k == d else 1 for k in range(x._spec.ndim)))


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
    chosen = sum(where(position(x, dim) == target, x, 0.0), dim, True)  # of one number: a sum is SIMD code where a maximum of some is not
    chosen = where((target >= 0) & (target < count(x, dim)), chosen, -math.inf)  # so that the loss is inf
    return sum((x - top).exp(), dim, True).log() + top - chosen


@composite(domain="cross_entropy")
def cross_entropy_rows(input, target):
    "The cross entropy of each row of scores (N, C) with its class in target (N,), int64; inf where target is no class."
    return rows.call(row_cross_entropy, (input, rows.with_dims(target.detach(), (1,), input._spec.shape, view=True), None), (1,), False)


def cross_entropy_unwatched(input, target, ignore_index):
    """The mean cross entropy of rows on a card, which nothing waits for: a target that is no class is reported by the next
    synchronisation."""
    counted = target != ignore_index
    classes = where(counted, target, 0)
    check_range("cross_entropy", classes.unsqueeze(1), 1, input._spec.shape[1], IndexError)
    losses = where(counted, cross_entropy_rows(input, classes), 0.0)
    return losses.sum() / counted.sum()

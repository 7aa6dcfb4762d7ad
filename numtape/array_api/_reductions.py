"""Reductions and sums along an axis. Integers add up in 64 bits, unsigned ones unsigned."""

from __future__ import annotations

import numtape as nt
from numtape.dtypes import INT

__all__ = [
    "all", "any", "argmax", "argmin", "count_nonzero", "cumulative_prod", "cumulative_sum", "max", "mean", "min", "prod", "std", "sum", "var",
]  # fmt: skip


def _wide(x, dtype):
    """The dtype of a sum."""
    if dtype is not None:
        return dtype
    return nt.uint64 if x.dtype.category == INT and not x.dtype.is_signed else x.dtype if x.dtype.differentiable else nt.int64


def _over(function, x, axis, keepdims, **settings):
    """A reduction over an axis, several, or all of them."""
    if axis == ():
        return function(x.unsqueeze(-1), dim=-1, **settings)
    axes = tuple(range(x.ndim)) if axis is None else axis
    if not x.ndim:
        return function(x.reshape(1), dim=0, **settings)
    return function(x, dim=axes, keepdim=keepdims, **settings)


def sum(x, /, *, axis=None, dtype=None, keepdims=False):
    """The sum over the axes."""
    return _over(nt.sum, x.to(_wide(x, dtype)), axis, keepdims, dtype=_wide(x, dtype))


def prod(x, /, *, axis=None, dtype=None, keepdims=False):
    """The product over the axes."""
    return _over(nt.prod, x.to(_wide(x, dtype)), axis, keepdims, dtype=_wide(x, dtype))


def mean(x, /, *, axis=None, keepdims=False):
    """The mean over the axes."""
    return _over(nt.mean, x, axis, keepdims)


def max(x, /, *, axis=None, keepdims=False):
    """The largest element over the axes."""
    return _over(nt.amax, x, axis, keepdims)


def min(x, /, *, axis=None, keepdims=False):
    """The smallest element over the axes."""
    return _over(nt.amin, x, axis, keepdims)


def all(x, /, *, axis=None, keepdims=False):
    """Whether all elements over the axes are true."""
    return _over(nt.all, x, axis, keepdims)


def any(x, /, *, axis=None, keepdims=False):
    """Whether an element over the axes is true."""
    return _over(nt.any, x, axis, keepdims)


def var(x, /, *, axis=None, correction=0.0, keepdims=False):
    """The variance over the axes."""
    return _over(nt.var, x, axis, keepdims, correction=correction)


def std(x, /, *, axis=None, correction=0.0, keepdims=False):
    """The standard deviation over the axes."""
    return _over(nt.std, x, axis, keepdims, correction=correction)


def count_nonzero(x, /, *, axis=None, keepdims=False):
    """How many elements over the axes are not zero."""
    return _over(nt.sum, (x != 0).to(nt.int64), axis, keepdims)


def argmax(x, /, *, axis=None, keepdims=False):
    """The place of the first largest element."""
    return _place(nt.argmax, x, axis, keepdims)


def argmin(x, /, *, axis=None, keepdims=False):
    """The place of the first smallest element."""
    return _place(nt.argmin, x, axis, keepdims)


def _place(function, x, axis, keepdims):
    if axis is not None:
        return function(x, axis, keepdims)
    found = function(x.reshape(-1), 0)
    return found.reshape((1,) * x.ndim) if keepdims else found


def cumulative_sum(x, /, *, axis=None, dtype=None, include_initial=False):
    """The sums of all elements up to each."""
    return _along(nt.cumsum, x, axis, dtype, include_initial, 0)


def cumulative_prod(x, /, *, axis=None, dtype=None, include_initial=False):
    """The products of all elements up to each."""
    return _along(nt.cumprod, x, axis, dtype, include_initial, 1)


def _along(function, x, axis, dtype, include_initial, start):
    if axis is None:
        if x.ndim > 1:
            raise ValueError(f"axis may be left out for one-dimensional arrays only, got {x.ndim} dims")
        axis = 0
    kind = _wide(x, dtype)
    found = function(x.to(kind), axis, dtype=kind)
    if not include_initial:
        return found
    shape = list(x.shape)
    shape[axis] = 1
    return nt.cat([nt.full(tuple(shape), start, dtype=kind, device=x.device), found], axis)

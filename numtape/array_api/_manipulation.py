"""Shapes, parts, order and sets of elements."""

from __future__ import annotations

from typing import NamedTuple

import numtape as nt
from numtape.array_api._elementwise import together

__all__ = [
    "argsort", "broadcast_arrays", "broadcast_to", "concat", "diff", "expand_dims", "flip", "moveaxis", "nonzero", "permute_dims", "repeat", "reshape",
    "roll", "searchsorted", "sort", "squeeze", "stack", "take", "take_along_axis", "tile", "unique_all", "unique_counts", "unique_inverse",
    "unique_values", "unstack",
]  # fmt: skip


# ------------------------------------------------------------------------------------------------ shapes
def broadcast_arrays(*arrays):
    """The arrays broadcast against each other."""
    return list(nt.broadcast_tensors(*arrays))


def broadcast_to(x, /, shape):
    """x broadcast to a shape."""
    return nt.broadcast_to(x, tuple(shape))


def concat(arrays, /, *, axis=0):
    """The arrays one after another along an axis, flattened before if it is None."""
    arrays = together("concat", *arrays)
    return nt.cat([a.reshape(-1) for a in arrays], 0) if axis is None else nt.cat(arrays, axis)


def expand_dims(x, /, axis=0):
    """x with a new axis of size 1."""
    if not -x.ndim - 1 <= axis <= x.ndim:
        raise IndexError(f"expand_dims: axis {axis} is out of range for an array of {x.ndim} dims")
    return nt.unsqueeze(x, axis)


def flip(x, /, *, axis=None):
    """The elements in reverse order along the axes."""
    axes = tuple(range(x.ndim)) if axis is None else (axis,) if isinstance(axis, int) else tuple(axis)
    return nt.flip(x, axes)


def moveaxis(x, source, destination, /):
    """x with axes moved to other places."""
    return nt.movedim(x, source, destination)


def permute_dims(x, /, axes):
    """x with its axes in another order."""
    return nt.permute(x, tuple(axes))


def repeat(x, repeats, /, *, axis=None):
    """Each element several times, one after another."""
    return nt.repeat_interleave(x, repeats, axis)


def reshape(x, /, shape, *, copy=None):
    """The elements in another shape; a copy only where needed, unless `copy` says so."""
    if copy is False:
        return x.view(tuple(shape))
    found = nt.reshape(x, tuple(shape))
    return found.clone() if copy and found.data_ptr() == x.data_ptr() else found


def roll(x, /, shift, *, axis=None):
    """The elements moved along the axes, those that leave coming in at the other end."""
    return nt.roll(x, shift, axis)


def squeeze(x, /, axis):
    """x without axes of size 1; an error if one is larger."""
    axes = (axis,) if isinstance(axis, int) else tuple(axis)
    for a in axes:
        if x.shape[a] != 1:
            raise ValueError(f"squeeze: axis {a} has size {x.shape[a]}, expected 1")
    return nt.squeeze(x, axes)


def stack(arrays, /, *, axis=0):
    """The arrays along a new axis."""
    return nt.stack(together("stack", *arrays), axis)


def tile(x, repetitions, /):
    """x several times in each direction."""
    return nt.tile(x, tuple(repetitions))


def unstack(x, /, *, axis=0):
    """The arrays that lie along an axis, as a tuple."""
    return tuple(nt.unbind(x, axis))


# ------------------------------------------------------------------------------------------------ parts and order
def take(x, indices, /, *, axis=None):
    """The elements (or slices along `axis`) at the indices."""
    if axis is None:
        if x.ndim != 1:
            raise ValueError("take: axis may be left out for one-dimensional arrays only")
        axis = 0
    found = nt.index_select(x, axis, indices.reshape(-1))
    if indices.ndim == 1:
        return found
    axis = axis % x.ndim
    return found.reshape(*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :])


def take_along_axis(x, indices, /, *, axis=-1):
    """For each index along the axis the element there."""
    return nt.take_along_dim(x, indices, axis)


def nonzero(x, /):
    """The places of elements that are not zero, an array for each axis."""
    if not x.ndim:
        raise ValueError("nonzero: a zero-dimensional array has no places")
    return tuple(nt.nonzero(x, as_tuple=True))


def searchsorted(x1, x2, /, *, side="left", sorter=None):
    """Where the elements of x2 belong in the sorted x1."""
    x1, x2 = together("searchsorted", x1, x2)
    return nt.searchsorted(x1, x2, side=side, sorter=sorter)


def argsort(x, /, *, axis=-1, descending=False, stable=True):
    """The places of the elements in order."""
    return nt.argsort(x, dim=axis, descending=descending, stable=stable)


def sort(x, /, *, axis=-1, descending=False, stable=True):
    """The elements in order."""
    return nt.sort(x, dim=axis, descending=descending, stable=stable).values


def diff(x, /, *, axis=-1, n=1, prepend=None, append=None):
    """The differences of neighbours, n times."""
    return nt.diff(x, n=n, dim=axis, prepend=prepend, append=append)


# ------------------------------------------------------------------------------------------------ sets
class UniqueAll(NamedTuple):
    """What `unique_all` returns."""

    values: nt.Tensor
    indices: nt.Tensor
    inverse_indices: nt.Tensor
    counts: nt.Tensor


class UniqueCounts(NamedTuple):
    """What `unique_counts` returns."""

    values: nt.Tensor
    counts: nt.Tensor


class UniqueInverse(NamedTuple):
    """What `unique_inverse` returns."""

    values: nt.Tensor
    inverse_indices: nt.Tensor


def unique_all(x, /):
    """The distinct elements, where each is first, which of them each element is, and how often they occur. Each NaN is distinct."""
    flat = x.reshape(-1)
    places = _order(flat)
    ordered = flat[places]
    new = nt.ones_like(ordered, dtype=nt.bool)
    if flat.numel() > 1:
        new[1:] = ordered[1:] != ordered[:-1]
    starts = nt.nonzero(new)[:, 0]
    inverse = nt.empty_like(places)
    inverse[places] = nt.cumsum(new.to(nt.int64), 0) - 1
    ends = nt.cat([starts[1:], nt.full((min(1, flat.numel()),), flat.numel(), device=x.device)])
    return UniqueAll(ordered[starts], places[starts], inverse.reshape(x.shape), ends - starts)


def _order(x):
    """The places of the elements of a vector in order; of complex ones by real, then by imaginary part."""
    if not x.dtype.is_complex:
        return nt.argsort(x, stable=True)
    places = nt.argsort(x.imag, stable=True)
    return places[nt.argsort(x.real[places], stable=True)]


def unique_counts(x, /):
    """The distinct elements and how often they occur."""
    found = unique_all(x)
    return UniqueCounts(found.values, found.counts)


def unique_inverse(x, /):
    """The distinct elements, and which of them each element is."""
    found = unique_all(x)
    return UniqueInverse(found.values, found.inverse_indices)


def unique_values(x, /):
    """The distinct elements."""
    return unique_all(x).values

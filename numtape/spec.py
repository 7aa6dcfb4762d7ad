"""`Spec`: dtype, device, shape and strides of a tensor, as one interned object.

Two tensors alike in all of these share one `Spec`, so the plan of an op call is found by the identity of its operands'
specs, in one dictionary look-up.
"""

from __future__ import annotations

from math import prod
from typing import Any

from numtape.device import device
from numtape.dtypes import bool as bool_
from numtape.dtypes import dtype, float32, float64, int8, int16, int32, int64, uint8
from numtape.layout import Ints, contiguous_strides, is_contiguous


def _whole(sizes: Any) -> list[int]:
    """Sizes as ints, or the error that PyTorch raises."""
    found = []
    for k, n in enumerate(sizes):
        if not hasattr(n, "__index__"):
            raise TypeError(f"Size() takes an iterable of 'int' (item {k} is '{type(n).__name__}')")
        found.append(n.__index__())
    return found


class Size(tuple[int, ...]):
    """The shape of a tensor: a tuple of ints.

    >>> import numtape as nt
    >>> nt.zeros(2, 3).size()
    numtape.Size([2, 3])
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return f"numtape.Size([{', '.join(map(str, self))}])"

    def __new__(cls, sizes: Any = ()) -> Size:
        return super().__new__(cls, _whole(sizes))

    def numel(self) -> int:
        """The number of elements."""
        return prod(self)

    def __getitem__(self, index: Any) -> Any:
        found = super().__getitem__(index)
        return Size(found) if isinstance(index, slice) else found

    def __add__(self, other: Any) -> Size:
        if not isinstance(other, tuple):
            raise TypeError(f"can only concatenate tuple (not {type(other).__name__}) to Size")
        return Size(super().__add__(other))

    def __radd__(self, other: Any) -> Size:
        return Size(other).__add__(self) if isinstance(other, tuple) else NotImplemented

    def __mul__(self, count: Any) -> Size:
        return Size(super().__mul__(count))

    __rmul__ = __mul__


class Spec:
    """What a tensor is, but for its memory. Made by `spec_of`, compared by identity."""

    __slots__ = ("contiguous", "device", "dtype", "extent", "nbytes", "ndim", "numel", "shape", "size", "strides")

    def __init__(self, kind: dtype, where: device, shape: Ints, strides: Ints):
        self.dtype, self.device, self.shape, self.strides = kind, where, shape, strides
        self.size: Size = tuple.__new__(Size, shape)  # what users see; indexing a plain tuple is faster
        self.ndim, self.numel = len(shape), prod(shape)
        self.nbytes = self.numel * kind.itemsize
        self.contiguous = is_contiguous(shape, strides)
        # the number of elements from the first to the last, both included
        self.extent = 1 + sum((n - 1) * s for n, s in zip(shape, strides)) if self.numel else 0

    def __repr__(self) -> str:
        return f"<{self.dtype.name} {self.shape} strides {self.strides}>"


ON_CARDS = {bool_, uint8, int8, int16, int32, int64, float32, float64}
_interned: dict[tuple[Any, ...], Spec] = {}
_LIMIT = 50_000  # then start afresh: an old spec that is still in use only misses its plans once


def spec_of(kind: dtype, where: device, shape: Ints, strides: Ints | None = None) -> Spec:
    """The one `Spec` of these; contiguous unless strides are given."""
    key = (kind, where, shape, strides)
    found = _interned.get(key)
    if found is None:
        if len(_interned) > _LIMIT:
            _interned.clear()
        shape = tuple(shape)
        actual = contiguous_strides(shape) if strides is None else tuple(strides)
        full = (kind, where, shape, actual)
        found = _interned.get(full)
        if found is None:
            if where.type == "cuda" and kind not in ON_CARDS:
                raise NotImplementedError(f"{kind.name} tensors have no CUDA kernels yet (docs/cuda.md, Limits); convert it first, for instance to {float32 if kind.differentiable else int64}")
            found = _interned[full] = Spec(*full)
        _interned[key] = found
    return found

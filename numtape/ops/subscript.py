"""x[index] and x[index] = value.

An index is first taken apart: what is basic (ints, slices, None, Ellipsis) makes a view, in which the integer tensors and masks then name
places. A mask is where it holds, as one integer tensor for each of its dims, or one for all of them where those dims are a run of memory.
As in PyTorch an int is basic also beside tensors, and masks are bool or, deprecated, uint8.
"""

from __future__ import annotations

import warnings
from math import prod

import numpy as np

from numtape import dtypes, layout
from numtape.dispatch.record import known_view, view_of
from numtape.ops import places
from numtape.ops.copy import like, tensor_of
from numtape.ops.define import composite
from numtape.ops.masks import positions_where, selected, split_positions
from numtape.ops.part import part, select
from numtape.ops.view import _remember, _specs, view
from numtape.tensor import Tensor, check_inplace


# ------------------------------------------------------------------------------------------------ basic indexing
def located(x: Tensor, items):
    """The view of x that a basic index (ints, slices with positive steps, None, Ellipsis) names: (shape, strides, offset)."""
    items = items if isinstance(items, tuple) else (items,)
    used = sum(1 for i in items if i is not None and i is not Ellipsis)
    s = x._spec
    if used > s.ndim:
        raise IndexError(f"too many indices for tensor of dimension {s.ndim}: got {used}")
    shape: list[int] = []
    strides: list[int] = []
    offset = d = 0
    for item in items:
        if item is None:
            shape.append(1)
            strides.append(s.shape[d] * s.strides[d] if d < s.ndim else 1)
        elif item is Ellipsis:
            skip, used = s.ndim - used, s.ndim  # a second one stands for no dims
            shape += s.shape[d : d + skip]
            strides += s.strides[d : d + skip]
            d += skip
        elif isinstance(item, slice):
            start, stop, step = _slice(item, s.shape[d])
            shape.append(max(0, -((start - stop) // step)))
            strides.append(s.strides[d] * step)
            offset += start * s.strides[d]
            d += 1
        else:
            i, n = item.__index__(), s.shape[d]
            if not -n <= i < n:
                raise IndexError(f"index {i} is out of bounds for dimension {d} with size {n}")
            offset += (i + n if i < 0 else i) * s.strides[d]
            d += 1
    return (*shape, *s.shape[d:]), (*strides, *s.strides[d:]), offset


def _slice(item: slice, n: int):
    step = 1 if item.step is None else item.step.__index__()
    if step <= 0:
        raise ValueError(f"step must be greater than zero, got {step}; use flip() to reverse a dim")
    start, stop, step = slice(*(v if v is None else v.__index__() for v in (item.start, item.stop)), step).indices(n)
    return start, max(stop, start), step


_BASIC = (int, slice, type(None), type(Ellipsis))


def _basic(index) -> bool:
    items = index if isinstance(index, tuple) else (index,)
    return all(isinstance(i, _BASIC) and not isinstance(i, bool) or isinstance(i, np.integer) or _whole(i) for i in items)


def _whole(i) -> bool:
    """Whether an item is a tensor without dims that counts as an int."""
    return isinstance(i, Tensor) and not i._spec.ndim and not i._spec.dtype.is_floating_point and i._spec.dtype not in (dtypes.bool, dtypes.uint8)


def _viewed(x: Tensor, items) -> Tensor:
    shape, strides, offset = located(x, items)
    return part(x, shape, strides, offset, "slice", lambda z: _viewed(z, items))


def _key(x: Tensor, index):
    """What a basic index of plain ints, slices, None and Ellipsis is known by; None for others."""
    key: list = [x._spec, "slice"]
    for item in index if type(index) is tuple else (index,):
        kind = type(item)
        if kind is int or item is None or item is Ellipsis:
            key.append(item)
        elif kind is slice:
            for n in (item.start, item.stop, item.step):
                if n is not None and type(n) is not int:
                    return None
            key.append((item.start, item.stop, item.step))
        else:
            return None
    return tuple(key)


def _known(x: Tensor, index) -> Tensor | None:
    """The view that a plain basic index makes; None if the index is another."""
    key = _key(x, index)
    if key is None:
        return None
    found = _specs.get(key)
    if found is None:
        shape, strides, offset = located(x, index)
        found = _remember(key, (like(x, shape, strides), offset))
    spec, offset = found
    return view_of(x, spec, offset, "slice", lambda z: _viewed(z, index), part=True)


# ------------------------------------------------------------------------------------------------ tensors in an index
def _tensor(item, device) -> Tensor:
    """An item of an index that is no basic one, as a tensor of int64, int32, bool or uint8."""
    from numtape.ops.creation import as_tensor, tensor

    if isinstance(item, bool):
        item = tensor(item, device=device)
    elif isinstance(item, np.ndarray):
        item = as_tensor(item if item.flags.writeable else item.copy())
    elif isinstance(item, (list, tuple, range)):
        item = tensor(list(item))
        if not item._spec.numel:
            item = item.to(dtypes.int64)
    if not isinstance(item, Tensor):
        raise IndexError(
            f"only integers, slices (`:`), ellipsis (`...`), None and long, int or bool Tensors are valid indices (got {type(item).__name__})"
        )
    if item._spec.dtype not in (dtypes.int64, dtypes.int32, dtypes.bool, dtypes.uint8):
        raise IndexError(f"tensors used as indices must be long, int, byte or bool tensors, got {item._spec.dtype.name}")
    return item.detach().to(device)


def _is_mask(t: Tensor) -> bool:
    return t._spec.dtype in (dtypes.bool, dtypes.uint8)


def _items(index) -> tuple:
    """The items of an index. As in PyTorch, a list with sequences, tensors, slices or None in it is still read as a tuple."""
    if isinstance(index, list) and len(index) < 32 and any(isinstance(i, (list, tuple, range, np.ndarray, Tensor, slice, type(None), type(Ellipsis))) for i in index):
        warnings.warn(
            "Using a non-tuple sequence for multidimensional indexing is deprecated; use x[tuple(seq)], or x[numtape.tensor(seq)] for an index of several dims",
            stacklevel=4,
        )
        return tuple(index)
    return index if isinstance(index, tuple) else (index,)


def _taken_apart(x: Tensor, index):
    """The view that the basic items of an index make, and the others as (its dim, tensor); masks are as they were given."""
    items = [
        i if isinstance(i, (*_BASIC, np.integer)) and not isinstance(i, bool) or _whole(i) else _tensor(i, x._spec.device)
        for i in _items(index)
    ]
    consumed = lambda i: i._spec.ndim if isinstance(i, Tensor) and not _whole(i) and _is_mask(i) else 0 if i is None or i is Ellipsis else 1
    used = sum(consumed(i) for i in items)
    if used > x._spec.ndim:
        raise IndexError(f"too many indices for tensor of dimension {x._spec.ndim}: got {used}")
    basic: list = []
    found = []
    d = 0  # of the view
    for position, item in enumerate(items):
        if item is Ellipsis:
            basic.append(item)
            d, used = d + x._spec.ndim - used, x._spec.ndim  # a second one stands for no dims
        elif item is None or isinstance(item, slice):
            basic.append(item)
            d += 1
        elif isinstance(item, Tensor) and not _whole(item):
            found.append((d, item, position))
            n = consumed(item)
            basic += [slice(None)] * n if n else [None]
            d += n or 1
        else:
            basic.append(item)
    plain = all(i is Ellipsis or isinstance(i, slice) and i == slice(None) for i in basic)
    base = x if plain else _viewed(x, tuple(basic))
    for d, item, position in found:
        if _is_mask(item) and item._spec.shape != base._spec.shape[d : d + item._spec.ndim]:
            at = next(k for k in range(item._spec.ndim) if item._spec.shape[k] != base._spec.shape[d + k])
            raise IndexError(
                f"The shape of the mask {list(item.shape)} at index {position} does not match the shape of the indexed tensor "
                f"{list(base.shape)} at index {d + at}"
            )
    return base, [(d, item) for d, item, _ in found]


def _places(base: Tensor, found):
    """A view of `base` and the (dims, indices) that name the places in it, masks resolved."""
    dims, indices = [], []
    merged = 0  # dims that the view has less than base
    for d, item in found:
        d -= merged
        if not _is_mask(item):
            dims.append(d)
            indices.append(item)
            continue
        n, shape = item._spec.ndim, base._spec.shape
        where = positions_where(item)
        if n <= 1:
            dims.append(d)
            indices.append(where)
            continue
        target = (*shape[:d], prod(shape[d : d + n]), *shape[d + n :])
        if layout.view_strides(base._spec.shape, base._spec.strides, target) is not None:
            base = view(base, *target)
            merged += n - 1
            dims.append(d)
            indices.append(where)
        else:
            dims += range(d, d + n)
            indices += split_positions(where, shape[d : d + n])
    return base, tuple(dims), indices


def _plain_places(index, x: Tensor):
    """(dims, indices) of the commonest indices by tensors: x[i], x[i, j], x[:, i]; None for others."""
    s = x._spec
    if type(index) is Tensor:
        i = index._spec
        return ((0,), (index,)) if i.dtype is dtypes.int64 and i.ndim and s.ndim and i.device is s.device else None
    if type(index) is not tuple or len(index) > s.ndim:
        return None
    dims, indices = [], []
    for d, item in enumerate(index):
        if type(item) is Tensor and item._spec.dtype is dtypes.int64 and item._spec.ndim and item._spec.device is s.device:
            dims.append(d)
            indices.append(item)
        elif type(item) is not slice or item != _ALL:
            return None
    return (tuple(dims), tuple(indices)) if dims else None


_ALL = slice(None)


def _like_itself(index, x: Tensor) -> bool:
    """A mask of the tensor's own shape."""
    return type(index) is Tensor and index._spec.dtype is dtypes.bool and index._spec.shape == x._spec.shape != () and index._spec.device is x._spec.device


@known_view
@composite
def getitem(input, index):
    "x[index]: a view for ints, slices, None and Ellipsis; a copy of what integer tensors, lists and masks name."
    x = tensor_of("getitem", input)
    if type(index) is int and x._spec.ndim:
        return select(x, 0, index)
    known = _known(x, index)
    if known is not None:
        return known
    found = _plain_places(index, x)
    if found is not None:
        return places.read("index", x, *found)
    if _like_itself(index, x):
        return selected("index", x, positions_where(index))
    if _basic(index):
        return _viewed(x, index)
    base, dims, indices = _places(*_taken_apart(x, index))
    if not dims:  # a list that was read as a tuple of basic items
        return base
    return places.read("index", base, dims, indices)


def setitem(self, index, value):
    """x[index] = value, broadcast and converted."""
    target = _known(self, index)
    if target is not None or type(index) is not Tensor and _basic(index) or _whole(index):
        target = _viewed(self, index) if target is None else target
        if isinstance(value, Tensor):
            while value._spec.ndim > target._spec.ndim and value._spec.shape[0] == 1:
                value = value.squeeze(0)
            target.copy_(value)
        elif isinstance(value, (int, float, complex, np.generic)):
            target.fill_(value)
        else:
            target.copy_(_values(self, value))
        return
    if _like_itself(index, self) and type(value) in (int, float):
        self.masked_fill_(index.detach(), value)
        return
    named = _plain_places(index, self)
    if named is not None and type(value) is Tensor:
        places.put("index_put_", self, *named, _put_value(self, value), inplace=True)
        return
    check_inplace(self, "index_put_")
    base, found = _taken_apart(self, index)
    if not found:  # a list that was read as a tuple of basic items
        base[...] = value
        return
    number = isinstance(value, (int, float, complex, np.generic))
    if len(found) == 1 and _is_mask(found[0][1]) and (number or isinstance(value, Tensor) and value._spec.numel == 1 and value._spec.ndim <= 1):
        _fill_where(base, *found[0], value if number else value.reshape(()))
        return
    base, dims, indices = _places(base, found)
    if number:
        places.fill("index_put_", base, dims, indices, value, inplace=True)
        return
    value = value if isinstance(value, Tensor) else _values(self, value)
    places.put("index_put_", base, dims, indices, _put_value(base, value), inplace=True)


def _values(x: Tensor, value) -> Tensor:
    """A list or a NumPy array that is assigned, as a tensor like x."""
    from numtape.ops.creation import as_tensor

    if not isinstance(value, (list, tuple, np.ndarray)):
        raise TypeError(f"can't assign a {type(value).__name__} to a tensor of {x._spec.dtype.name}")
    return as_tensor(value, dtype=x._spec.dtype, device=x._spec.device)


def _fill_where(base: Tensor, d: int, mask: Tensor, value) -> None:
    """Write one value where a mask of the dims from d on holds."""
    if not mask._spec.ndim:
        mask = mask.reshape(1)
    behind = base._spec.ndim - d - mask._spec.ndim
    base.masked_fill_(mask.to(dtypes.bool).reshape(*mask.shape, *(1,) * behind), value)


def _put_value(x: Tensor, value: Tensor) -> Tensor:
    """The values of an assignment through tensors: of the same dtype, as PyTorch demands."""
    if value._spec.dtype is not x._spec.dtype:
        raise RuntimeError(
            f"Index put requires the source and destination dtypes match, got {places.type_name(x._spec.dtype)} for the destination and "
            f"{places.type_name(value._spec.dtype)} for the source; convert it with .to({x._spec.dtype})"
        )
    return value.to(x._spec.device) if not value._spec.ndim else value


# ------------------------------------------------------------------------------------------------ index_put
@composite
def index_put(input, indices, values, accumulate=False):
    "The tensor with `values` stored (or, with accumulate, added) at the places that the tensors `indices` name."
    return index_put_(tensor_of("index_put", input).clone(), indices, values, accumulate)


def index_put_(self, indices, values, accumulate=False):
    """Store `values` (or, with accumulate, add them) at the places that the tensors `indices` name, one for each leading dim."""
    if not isinstance(indices, (tuple, list)):
        raise TypeError(f"index_put_(): argument 'indices' (position 1) must be tuple of Tensors, not {type(indices).__name__}")
    for k, i in enumerate(indices):
        if not isinstance(i, Tensor):
            raise TypeError(f"index_put_(): expected Tensor as element {k} in argument 0, but got {type(i).__name__}")
    if not isinstance(values, Tensor):
        raise TypeError(f"index_put_(): argument 'values' (position 2) must be Tensor, not {type(values).__name__}")
    places.check_target(self, "index_put_")
    values = _put_value(self, values)
    base, dims, tensors = _places(*_taken_apart(self, tuple(indices)))
    if dims:
        places.put("index_put_", base, dims, tensors, values, accumulate=accumulate, inplace=True)
    else:  # all of them stand for ints
        values = places.broadcast_value("index_put_", values, base._spec.shape)
        base.add_(values) if accumulate else base.copy_(values)
    return self


METHODS = {"index_put_": index_put_}

"""Indexing, gathering, joining."""

from __future__ import annotations

from math import prod

import numpy as np

from numtape import dtypes, layout
from numtape.dispatch.elementwise import same_device
from numtape.dispatch.functions import into
from numtape.dispatch.record import recorded
from numtape.kernels import pattern, placing
from numtape.kernels.cpu.driver import launch
from numtape.ops.copy import contiguous, tensor_of, write_into
from numtape.ops.define import composite
from numtape.ops.part import narrow, part, select
from numtape.ops.scan import run_lines
from numtape.ops.select import where
from numtape.ops.view import expanded, unsqueeze
from numtape.spec import spec_of
from numtape.tensor import Tensor, alias, empty


# ------------------------------------------------------------------------------------------------ basic indexing
def located(x: Tensor, index, name: str = "index"):
    """The view of x that a basic index (ints, slices with positive steps, None, Ellipsis) names: (shape, strides, offset)."""
    items = index if isinstance(index, tuple) else (index,)
    used = sum(1 for i in items if i is not None and i is not Ellipsis)
    s = x._spec
    if used > s.ndim:
        raise IndexError(f"too many indices for tensor of dimension {s.ndim}: got {used}")
    if items.count(Ellipsis) > 1 if not any(isinstance(i, Tensor) for i in items) else False:
        raise IndexError("an index can only have a single ellipsis ('...')")
    shape: list[int] = []
    strides: list[int] = []
    offset = d = 0
    for item in items:
        if item is None:
            shape.append(1)
            strides.append(strides[-1] if strides else 1)
        elif item is Ellipsis:
            skip = s.ndim - used
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
    return isinstance(i, Tensor) and not i._spec.ndim and i._spec.dtype in (dtypes.int64, dtypes.int32)


_INDEX_DTYPES = (dtypes.int64, dtypes.int32, dtypes.bool, dtypes.uint8)  # the last two are masks, which are not supported yet


def _one_index(index):
    """An integer tensor (or list) as the only index: rows of the first dim."""
    if isinstance(index, (list, np.ndarray, range)) and not isinstance(index, tuple):
        from numtape.ops.creation import tensor

        index = tensor(list(index) if isinstance(index, range) else index)
    if isinstance(index, Tensor) and index._spec.dtype in (dtypes.int64, dtypes.int32):
        return index
    items = index if isinstance(index, tuple) else (index,)
    if any(isinstance(i, (float, str)) or isinstance(i, Tensor) and i._spec.dtype not in _INDEX_DTYPES for i in items):
        raise IndexError(
            "only integers, slices (`:`), ellipsis (`...`), None and long, int or bool Tensors are valid indices (got "
            f"{', '.join(str(i.dtype) if isinstance(i, Tensor) else type(i).__name__ for i in items)})"
        )
    raise NotImplementedError(
        "index: only ints, slices, None, Ellipsis and one integer tensor are supported yet; use where, masked_fill, gather or index_select instead of "
        f"{type(index).__name__} indices"
    )


@composite
def getitem(input, index):
    "x[index]: a view for ints, slices, None and Ellipsis; rows of the first dim for an integer tensor."
    x = tensor_of("getitem", input)
    if type(index) is int and x._spec.ndim:
        return select(x, 0, index)
    if _basic(index):
        shape, strides, offset = located(x, index)
        return part(x, shape, strides, offset, "slice", lambda z: getitem(z, index))
    index = _one_index(index)
    if not x._spec.ndim:
        raise IndexError("too many indices for tensor of dimension 0")
    index = index.to(x._spec.device, dtypes.int64)
    wrapped = where(index < 0, index + x._spec.shape[0], index)
    rows = index_select(x, 0, wrapped.reshape(-1))
    return rows.reshape(*index.shape, *x.shape[1:])


def setitem(self, index, value):
    """x[index] = value, broadcast and converted."""
    if _basic(index):
        shape, strides, offset = located(self, index)
        target = part(self, shape, strides, offset, "slice", lambda z: getitem(z, index))
        if isinstance(value, Tensor):
            while value._spec.ndim > target._spec.ndim and value._spec.shape[0] == 1:
                value = value.squeeze(0)
            target.copy_(value)
        elif isinstance(value, (int, float, np.generic)):
            target.fill_(value)
        else:
            from numtape.ops.creation import as_tensor

            target.copy_(as_tensor(value))
        return
    index = _one_index(index)
    if not isinstance(value, Tensor):
        from numtape.ops.creation import tensor

        value = tensor(value, dtype=self.dtype, device=self.device)
    if value._storage is self._storage:
        value = value.clone()
    flat = index.reshape(-1).tolist()
    rows = expanded(value.to(self.dtype), (*index.shape, *self.shape[1:])).reshape(len(flat), *self.shape[1:])
    for k, i in enumerate(flat):
        select(self, 0, i).copy_(select(rows, 0, k))


# ------------------------------------------------------------------------------------------------ kernels with an index
def _error_cell(name: str, device, n: int, dim: int):
    """Two words that a kernel sets when an index is out of range for a dim of size n; `check()` raises the error."""
    with placing(device):
        return pattern(device, "driver").index_check(name, n, dim)


def _memory_code(kind) -> str:
    return {1: "u8", 2: "i16", 4: "i32", 8: "i64"}[kind.itemsize]


def _index_of(name: str, index, x: Tensor) -> Tensor:
    if not isinstance(index, Tensor):
        raise TypeError(f"{name}(): argument 'index' must be Tensor, not {type(index).__name__}")
    if index._spec.dtype not in (dtypes.int64, dtypes.int32):
        raise IndexError(f"{name}(): Expected dtype int32 or int64 for index, got {index._spec.dtype.name}")
    same_device(name, x, index)
    return index.detach().to(dtypes.int64)


@composite(domain="index")
def index_select(input, dim, index, *, out=None):
    "The rows of a dim that the integer tensor `index` (one-dimensional) names."
    x, index = tensor_of("index_select", input), _index_of("index_select", index, input)
    if index._spec.ndim > 1:
        raise IndexError("index_select(): Index is supposed to be a vector")
    if not x._spec.ndim:
        return index_select(x.reshape(1), 0, index).reshape(())
    d = layout.dim_of("index_select", dim, x._spec.ndim)
    index, dense = contiguous(index.reshape(-1)), contiguous(x.detach())
    s, count = x._spec, index._spec.numel
    result = empty(spec_of(s.dtype, s.device, (*s.shape[:d], count, *s.shape[d + 1 :])), "index_select")
    outer, n, inner = prod(s.shape[:d]), s.shape[d], prod(s.shape[d + 1 :])
    if result._spec.numel:
        error = _error_cell("index_select", s.device, n, d)
        with placing(s.device):
            table = pattern(s.device, "gather").select(_memory_code(s.dtype), outer, n, count, inner)
        launch(table.address, result._address, dense._address, index._address, error.address)
        error.check()
    recorded(result, "index_select", (x,), lambda node, g: (index_add_into_zeros(g, d, *node.unpack(), s),), save=(index,))
    return result if out is None else into("index_select", result, out)


def index_add_into_zeros(g: Tensor, d: int, index: Tensor, spec) -> Tensor:
    """Zeros of `spec`'s shape to which the rows of g are added at `index`: the derivative of index_select."""
    out = empty(spec_of(spec.dtype, spec.device, spec.shape), "index_add")
    out.fill_(0)
    dense = contiguous(g.detach())
    outer, n, inner = prod(spec.shape[:d]), spec.shape[d], prod(spec.shape[d + 1 :])
    if dense._spec.numel:
        error = _error_cell("index_add", spec.device, n, d)
        with placing(spec.device):
            table = pattern(spec.device, "gather").add(spec.dtype.code, outer, n, index._spec.numel, inner)
        launch(table.address, out._address, dense._address, index._address, error.address)
        error.check()
    return recorded(out, "index_add", (g,), lambda node, gg: (index_select(gg, d, *node.unpack()),), save=(index,))


@composite(domain="index")
def gather(input, dim, index, *, sparse_grad=False, out=None):
    "out[i][j][k] = input[index[i][j][k]][j][k] for dim 0, and likewise along other dims."
    x, index = tensor_of("gather", input), _index_of("gather", index, input)
    if x._spec.ndim != index._spec.ndim:
        raise RuntimeError(f"gather: Index tensor must have the same number of dimensions as input tensor, got {tuple(index.shape)} for {tuple(x.shape)}")
    if not x._spec.ndim:
        return gather(x.reshape(1), 0, index.reshape(1)).reshape(())
    d = layout.dim_of("gather", dim, x._spec.ndim)
    _fits("gather", index, x, d)
    s = x._spec
    result = empty(spec_of(s.dtype, s.device, index._spec.shape), "gather")
    if result._spec.numel:
        error, lines = _error_cell("gather", s.device, s.shape[d], d), pattern(s.device, "lines")
        code = s.dtype.code
        setup = ("size, bad = p[3], out_i64(p[4])",)
        text = lines.text("gather", s.dtype.name, (code,), (code, "i64"), lines.GATHER, extra=2, setup=setup)
        run_lines("gather", text, (result, alias(x), index), d, index._spec.shape[d], (s.shape[d], error.address))
        error.check()
    recorded(result, "gather", (x,), lambda node, g: (scatter_into_zeros(g, d, *node.unpack(), s),), save=(index,))
    return result if out is None else into("gather", result, out)


def _fits(name, index, x, d):
    for k, (i, n) in enumerate(zip(index.shape, x.shape)):
        if k != d and i > n:
            raise RuntimeError(f"{name}: Size does not match at dimension {k} expected index {list(index.shape)} to be no larger than self {list(x.shape)} apart from dimension {d}")


def scatter_into_zeros(g: Tensor, d: int, index: Tensor, spec) -> Tensor:
    """Zeros of `spec`'s shape with g added at `index` along a dim: the derivative of gather."""
    out = empty(spec_of(spec.dtype, spec.device, spec.shape), "scatter_add")
    out.fill_(0)
    if spec.ndim == 0:
        return out.copy_(g)
    if index._spec.numel:
        code, lines = spec.dtype.code, pattern(spec.device, "lines")
        error = _error_cell("scatter_add", spec.device, spec.shape[d], d)
        setup = ("size, bad = p[3], out_i64(p[4])",)
        text = lines.text("scatter_add", spec.dtype.name, (code,), (code, "i64"), lines.SCATTER_ADD.format(code=code), extra=2, setup=setup)
        run_lines("scatter_add", text, (out, alias(g), index), d, index._spec.shape[d], (spec.shape[d], error.address))
        error.check()
    return recorded(out, "scatter_add", (g,), lambda node, gg: (gather(gg, d, *node.unpack()),), save=(index,))


# ------------------------------------------------------------------------------------------------ joining
def _joined(name: str, tensors) -> list[Tensor]:
    tensors = list(tensors) if isinstance(tensors, (list, tuple)) else None
    if tensors is None:
        raise TypeError(f"{name}(): argument 'tensors' must be tuple of Tensors")
    if not tensors:
        raise RuntimeError(f"{name}: expected a non-empty list of Tensors")
    for i, t in enumerate(tensors):
        if not isinstance(t, Tensor):
            raise TypeError(f"{name}: expected Tensor as element {i} in argument 0, but got {type(t).__name__}")
    return tensors


@composite(aliases=("concat", "concatenate"))
def cat(tensors, dim=0, *, out=None, axis=None):
    "Tensors one after another along a dim; other sizes must agree."
    dim = dim if axis is None else axis
    given = _joined("cat", tensors)
    parts = [t for t in given if t._spec.shape != (0,)] or given  # PyTorch skips empty vectors
    first = parts[0]
    if not first._spec.ndim:
        raise RuntimeError("cat: zero-dimensional tensor (at position 0) cannot be concatenated")
    d = layout.dim_of("cat", dim, first._spec.ndim)
    same_device("cat", *parts)
    kind = first._spec.dtype
    for i, t in enumerate(parts):
        if t._spec.ndim != first._spec.ndim or any(a != b for k, (a, b) in enumerate(zip(t.shape, first.shape)) if k != d):
            raise RuntimeError(
                f"cat: Sizes of tensors must match except in dimension {d}: tensor 0 is {tuple(first.shape)}, tensor {i} is {tuple(t.shape)}"
            )
        kind = dtypes.promote_types(kind, t._spec.dtype)
    lengths = [t._spec.shape[d] for t in parts]
    shape = (*first._spec.shape[:d], sum(lengths), *first._spec.shape[d + 1 :])
    result = empty(spec_of(kind, first._spec.device, shape), "cat")
    starts, position = [], 0
    for t, n in zip(parts, lengths):
        starts.append(position)
        if t._spec.numel:
            s = result._spec
            target = spec_of(kind, s.device, t._spec.shape, s.strides)
            write_into(t, alias(result, target, position * s.strides[d]), "cat")
        position += n
    result._storage.version = 0
    kinds = [t._spec.dtype for t in parts]
    recorded(result, "cat", tuple(parts), lambda node, g: tuple(narrow(g, d, a, n).to(k) for a, n, k in zip(starts, lengths, kinds)))
    return result if out is None else into("cat", result, out)


@composite
def stack(tensors, dim=0, *, out=None):
    "Tensors of one shape along a new dim."
    parts = _joined("stack", tensors)
    if any(t._spec.shape != parts[0]._spec.shape for t in parts):
        bad = next(i for i, t in enumerate(parts) if t._spec.shape != parts[0]._spec.shape)
        raise RuntimeError(f"stack expects each tensor to be equal size, but got {list(parts[0].shape)} at entry 0 and {list(parts[bad].shape)} at entry {bad}")
    d = layout.dim_of("stack", dim, parts[0]._spec.ndim + 1)
    return cat([unsqueeze(t, d) for t in parts], d, out=out)


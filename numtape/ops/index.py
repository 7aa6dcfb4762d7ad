"""Rows and lines picked by an index, and joining."""

from __future__ import annotations

import functools
from math import prod

from numtape import dtypes, layout
from numtape.dispatch.elementwise import same_device
from numtape.dispatch.functions import into
from numtape.dispatch.record import recorded
from numtape.kernels import pattern, placing
from numtape.kernels.cpu.driver import launch
from numtape.ops.copy import contiguous, copying, tensor_of, write_into
from numtape.ops.define import composite
from numtape.ops.part import narrow
from numtape.ops.places import MEMORY, check, whole_numbers
from numtape.ops.places import error_cell as _error_cell
from numtape.ops.scan import run_lines
from numtape.ops.view import unsqueeze
from numtape.spec import spec_of
from numtape.tensor import Tensor, alias, empty


# ------------------------------------------------------------------------------------------------ kernels with an index
def _index_of(name: str, index, x: Tensor) -> Tensor:
    if not isinstance(index, Tensor):
        raise TypeError(f"{name}(): argument 'index' must be Tensor, not {type(index).__name__}")
    if index._spec.dtype not in (dtypes.int64, dtypes.int32):
        raise RuntimeError(f"{name}(): Expected dtype int32 or int64 for index, got {index._spec.dtype.name}")
    same_device(name, x, index)
    return whole_numbers(index)


@composite(domain="index")
def index_select(input, dim, index, *, out=None):
    "The rows of a dim that the integer tensor `index` (one-dimensional) names."
    x, index = tensor_of("index_select", input), _index_of("index_select", index, input)
    if index._spec.ndim > 1:
        raise IndexError("index_select(): Index is supposed to be a vector")
    if not x._spec.ndim:
        if index._spec.numel != 1:
            raise RuntimeError(f"index_select(): Index to scalar can have only 1 value, got {index._spec.numel} value(s)")
        return index_select(x.reshape(1), 0, index).reshape(())
    d = layout.dim_of("index_select", dim, x._spec.ndim)
    index, s = contiguous(index.reshape(-1)), x._spec
    result = rows_at("index_select", x, d, index, (*s.shape[:d], index._spec.numel, *s.shape[d + 1 :]))
    recorded(result, "index_select", (x,), lambda node, g: (index_add_into_zeros(g, d, *node.unpack(), s),), save=(index,))
    return result if out is None else into("index_select", result, out)


def rows_at(name: str, x: Tensor, d: int, index: Tensor, shape: tuple[int, ...]) -> Tensor:
    """The rows of dim d that a contiguous int64 index names, in a new tensor of that shape; not recorded."""
    dense = alias(x) if x._spec.contiguous else contiguous(x.detach())
    s, numel = x._spec, index._spec.numel
    key = (s, d, numel, shape)
    found = _selections.get(key)
    if found is None:
        if len(_selections) > 4096:
            _selections.clear()
        spec, table = spec_of(s.dtype, s.device, shape), None
        if not s.shape[d] and numel:
            raise RuntimeError(f"{name}(): self indexing axis dim should be positive, got shape {list(s.shape)}")
        if spec.numel:
            with placing(s.device):
                table = pattern(s.device, "gather").select(MEMORY[s.dtype.itemsize], prod(s.shape[:d]), s.shape[d], numel, prod(s.shape[d + 1 :]))
        found = _selections[key] = spec, table
    spec, table = found
    result = empty(spec, name)
    if table is not None:
        error = _error_cell(name, s.device, s.shape[d], d)
        launch(table.address, result._address, dense._address, index._address, error.address)
        error.check()
    return result


_selections: dict = {}  # the spec of the result and the launch of `rows_at`


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
    if max(x._spec.ndim, 1) != max(index._spec.ndim, 1):
        raise RuntimeError(f"gather: Index tensor must have the same number of dimensions as input tensor, got {tuple(index.shape)} for {tuple(x.shape)}")
    if not x._spec.ndim or not index._spec.ndim:
        result = gather(x.reshape(-1), dim, index.reshape(-1)).reshape(index.shape)
        return result if out is None else into("gather", result, out)
    d = layout.dim_of("gather", dim, x._spec.ndim)
    _fits("gather", index, x, d)
    s = x._spec
    result = empty(spec_of(s.dtype, s.device, index._spec.shape), "gather")
    if result._spec.numel:
        error, lines = _error_cell("gather", s.device, s.shape[d], d), pattern(s.device, "lines")
        run_lines("gather", _gather_text(lines, s.dtype), (result, alias(x), index), d, index._spec.shape[d], (s.shape[d], error.address))
        check((error,), RuntimeError)
    recorded(result, "gather", (x,), lambda node, g: (scatter_into_zeros(g, d, *node.unpack(), s),), save=(index,))
    return result if out is None else into("gather", result, out)


@functools.cache
def _gather_text(lines, kind):
    setup = ("size, bad = p[3], out_i64(p[4])",)
    return lines.by_index("gather", kind.name, (kind.code,), (kind.code, "i64"), lines.GATHER, extra=2, setup=setup)


def _fits(name, index, x, d):
    for k, (i, n) in enumerate(zip(index.shape, x.shape)):
        if k != d and i > n:
            raise RuntimeError(f"{name}: Size does not match at dimension {k} expected index {list(index.shape)} to be no larger than self {list(x.shape)} apart from dimension {d}")


@functools.cache
def _sum_text(lines, kind):
    setup = ("size, bad = p[3], out_i64(p[4])",)
    return lines.by_index("scatter_add", kind.name, (kind.code,), (kind.code, "i64"), lines.SCATTER_ADD.format(code=kind.code), extra=2, setup=setup)


def scatter_into_zeros(g: Tensor, d: int, index: Tensor, spec) -> Tensor:
    """Zeros of `spec`'s shape with g added at `index` along a dim: the derivative of gather."""
    out = empty(spec_of(spec.dtype, spec.device, spec.shape), "scatter_add")
    out.fill_(0)
    if spec.ndim == 0:
        return out.copy_(g)
    if index._spec.numel:
        lines = pattern(spec.device, "lines")
        error = _error_cell("scatter_add", spec.device, spec.shape[d], d)
        run_lines("scatter_add", _sum_text(lines, spec.dtype), (out, alias(g), index), d, index._spec.shape[d], (spec.shape[d], error.address))
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
    if type(tensors) in (list, tuple) and type(dim) is int and out is None:
        found = _joins.get((dim, *[t._spec if isinstance(t, Tensor) else None for t in tensors]))
        if found is not None:
            return _join(tensors, *found)
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
    if len(parts) == len(given) and type(dim) is int:
        _know(dim, parts, result._spec, d, starts, lengths)
    recorded(result, "cat", tuple(parts), lambda node, g: tuple(narrow(g, d, a, n).to(k) for a, n, k in zip(starts, lengths, kinds)))
    return result if out is None else into("cat", result, out)


_joins: dict = {}  # (dim, specs) -> what `_join` takes


def _know(dim, parts, spec, d, starts, lengths) -> None:
    """Keep the launches of a concatenation of one dtype for the next one of tensors alike."""
    if any(t._spec.dtype is not spec.dtype or not t._spec.numel for t in parts):
        return
    tables = _at_once(parts, spec, d)
    result = None if tables else empty(spec, "cat")
    for t, start in zip(parts, starts if result is not None else ()):
        target = alias(result, spec_of(spec.dtype, spec.device, t._spec.shape, spec.strides), start * spec.strides[d])
        plan = copying(t, target)
        tables.append((plan.table, start * spec.strides[d] * spec.dtype.itemsize, plan))
    if len(_joins) > 4096:
        _joins.clear()
    _joins[dim, *[t._spec for t in parts]] = spec, d, tables, starts, lengths


def _at_once(parts, spec, d) -> list:
    """The launch that joins all parts, if there is one."""
    rows, widths = prod(spec.shape[:d]), [prod(t._spec.shape[d:]) for t in parts]
    if spec.device.type != "cpu" or len(parts) == 1 or not all(t._spec.contiguous for t in parts):
        return []
    module = pattern(spec.device, "join")
    if not module.fits(rows, widths):
        return []
    table = module.table(spec.dtype.itemsize, rows, widths)
    return [(table.address, 0, table)]


def _join(tensors, spec, d, tables, starts, lengths) -> Tensor:
    result = empty(spec, "cat")
    if len(tables) < len(tensors):
        launch(tables[0][0], result._address, len(tensors), *[t._address for t in tensors])
    else:
        for t, (table, offset, _) in zip(tensors, tables):
            launch(table, result._address + offset, t._address)
    return recorded(result, "cat", tuple(tensors), lambda node, g: tuple(narrow(g, d, a, n) for a, n in zip(starts, lengths)))


@composite
def stack(tensors, dim=0, *, out=None):
    "Tensors of one shape along a new dim."
    parts = _joined("stack", tensors)
    if any(t._spec.shape != parts[0]._spec.shape for t in parts):
        bad = next(i for i, t in enumerate(parts) if t._spec.shape != parts[0]._spec.shape)
        raise RuntimeError(f"stack expects each tensor to be equal size, but got {list(parts[0].shape)} at entry 0 and {list(parts[bad].shape)} at entry {bad}")
    d = layout.dim_of("stack", dim, parts[0]._spec.ndim + 1)
    return cat([unsqueeze(t, d) for t in parts], d, out=out)


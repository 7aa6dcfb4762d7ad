"""Rows of a dim, flat positions and parts: changed at an index, or read."""

from __future__ import annotations

import numpy as np

from numtape import dtypes, layout
from numtape.autograd import tape
from numtape.dispatch.elementwise import same_device
from numtape.dispatch.functions import into
from numtape.ops import places
from numtape.ops.copy import tensor_of
from numtape.ops.define import composite
from numtape.ops.diagonal import diagonal
from numtape.ops.index import gather
from numtape.ops.masks import split_positions
from numtape.ops.part import select
from numtape.ops.select import where
from numtape.ops.view import expanded, reshape, view
from numtape.spec import spec_of
from numtape.tensor import Tensor, alias


# ------------------------------------------------------------------------------------------------ rows of a dim
def _index_of(name: str, x: Tensor, index, kinds=("int64", "int32"), error=RuntimeError) -> Tensor:
    if not isinstance(index, Tensor):
        raise TypeError(f"{name}(): argument 'index' must be Tensor, not {type(index).__name__}")
    if index._spec.ndim > 1:
        raise IndexError(f"{name}(): Index is supposed to be a vector, but got dim: {index.ndim} with type: {places.type_name(index.dtype)} and size: {list(index.shape)}")
    if index._spec.dtype.name not in kinds:
        raise error(f"{name}(): Expected dtype {' or '.join(kinds)} for index, but got: {index._spec.dtype.name}")
    same_device(name, x, index)
    return index.detach().reshape(-1)


def _same_dtype(name: str, x: Tensor, source, argument="source") -> None:
    if not isinstance(source, Tensor):
        raise TypeError(f"{name}(): argument '{argument}' must be Tensor, not {type(source).__name__}")
    if source._spec.dtype is not x._spec.dtype:
        raise RuntimeError(
            f"{name}(): self ({places.type_name(x._spec.dtype)}) and {argument} ({places.type_name(source._spec.dtype)}) must have the same scalar type"
        )
    same_device(name, x, source)


def _rows(name: str, x: Tensor, dim, index: Tensor, source: Tensor, error, accumulate: bool, inplace: bool) -> Tensor:
    """x with rows of `source` stored or added at the rows of a dim that `index` names."""
    d = layout.dim_of(name, dim, x._spec.ndim)
    own, given = x._spec.shape or (1,), source._spec.shape or (1,)
    if len(given) < len(own) and not source._spec.ndim:
        given = (1,) * len(own)
    if len(given) != len(own):
        raise error(f"{name}(): the dimensionality of source and destination must match, got {source.ndim} (source) and {x.ndim} (destination)")
    if given[d] != index._spec.shape[0]:
        raise error(f"{name}(): Number of indices ({index.numel()}) should be equal to source.size(dim) ({given[d]}), for dim: {d}")
    if any(k != d and a != b for k, (a, b) in enumerate(zip(own, given))):
        raise RuntimeError(
            f"{name}(): source tensor shape must match self tensor shape, excluding the specified dimension. Got self.shape = {list(x.shape)} source.shape = {list(source.shape)}"
        )
    source = reshape(source, *given)
    kind = RuntimeError if accumulate else IndexError
    if x._spec.ndim:
        return places.put(name, x, (d,), (index,), source, accumulate=accumulate, inplace=inplace, wrap=False, kind=kind, keep_layout=False)
    if inplace:
        places.put(name, view(x, 1), (0,), (index,), source, accumulate=accumulate, inplace=True, wrap=False, kind=kind)
        return x
    return reshape(places.put(name, reshape(x, 1), (0,), (index,), source, accumulate=accumulate, wrap=False, kind=kind))


def _index_add(name: str, x: Tensor, dim, index, source, alpha, inplace: bool) -> Tensor:
    index = _index_of(name, x, index)
    _same_dtype(name, x, source)
    if isinstance(alpha, float) and not x._spec.dtype.differentiable:
        alpha = int(alpha)
    return _rows(name, x, dim, index, source if alpha == 1 else source * alpha, RuntimeError, True, inplace)


@composite
def index_add(input, dim, index, source, *, alpha=1, out=None):
    "The tensor with alpha times the rows of `source` added to the rows of a dim that `index` names, in the order of the index."
    result = _index_add("index_add", tensor_of("index_add", input), dim, index, source, alpha, False)
    return result if out is None else into("index_add", result, out)


def index_add_(self, dim, index, source, *, alpha=1):
    """Add alpha times the rows of `source` to the rows of a dim that `index` names, in the order of the index."""
    places.check_target(self, "index_add_")
    return _index_add("index_add_", self, dim, index, source, alpha, True)


def _index_copy(name: str, x: Tensor, dim, index, source, inplace: bool) -> Tensor:
    index = _index_of(name, x, index, ("int64",))
    _same_dtype(name, x, source)
    return _rows(name, x, dim, index, source, IndexError, False, inplace)


@composite
def index_copy(input, dim, index, source, *, out=None):
    "The tensor with the rows of `source` stored in the rows of a dim that `index` names; of equal ones the last stays."
    result = _index_copy("index_copy", tensor_of("index_copy", input), dim, index, source, False)
    return result if out is None else into("index_copy", result, out)


def index_copy_(self, dim, index, source):
    """Store the rows of `source` in the rows of a dim that `index` names; of equal ones the last stays."""
    places.check_target(self, "index_copy_")
    return _index_copy("index_copy_", self, dim, index, source, True)


def _index_fill(name: str, x: Tensor, dim, index, value, inplace: bool) -> Tensor:
    if isinstance(index, Tensor) and index._spec.ndim > 1:
        raise RuntimeError(f"{name}(): Index has to be a vector/scalar, got {list(index.shape)}")
    index = _index_of(name, x, index, ("int64",), IndexError)
    d = layout.dim_of(name, dim, x._spec.ndim)
    target = x if x._spec.ndim else view(x, 1) if inplace else reshape(x, 1)
    if isinstance(value, Tensor):
        if value._spec.ndim:
            raise RuntimeError(f"{name} only supports a 0-dimensional value tensor, but got tensor with {value.ndim} dimension(s).")
        if value._spec.dtype.is_complex and not x._spec.dtype.is_complex:
            raise RuntimeError(f"{name}(): Converting complex Scalar to non-complex type is not supported")
        result = places.put(name, target, (d,), (index,), value.to(x._spec.device, x._spec.dtype), inplace=inplace)
    else:
        if not isinstance(value, (int, float, complex, np.generic)):
            raise TypeError(f"{name}(): argument 'value' must be Tensor or Number, not {type(value).__name__}")
        result = places.fill(name, target, (d,), (index,), value, inplace=inplace)
    return x if inplace else reshape(result, *x._spec.shape) if not x._spec.ndim else result


@composite
def index_fill(input, dim, index, value):
    "The tensor with one value in the rows of a dim that `index` names."
    return _index_fill("index_fill_", tensor_of("index_fill", input), dim, index, value, False)


def index_fill_(self, dim, index, value):
    """Write one value into the rows of a dim that `index` names."""
    places.check_target(self, "index_fill_")
    return _index_fill("index_fill_", self, dim, index, value, True)


# ------------------------------------------------------------------------------------------------ flat positions
def _long(name: str, index) -> Tensor:
    if not isinstance(index, Tensor):
        raise TypeError(f"{name}(): argument 'index' must be Tensor, not {type(index).__name__}")
    if index._spec.dtype is not dtypes.int64:
        raise RuntimeError(f"{name}(): Expected a long tensor for index, but got {places.type_name(index._spec.dtype)}")
    return index.detach()


def _flat(name: str, x: Tensor, index: Tensor):
    """The places in a view of x that positions in the flattened x are: (view, dims, indices)."""
    s = x._spec
    if layout.view_strides(s.shape, s.strides, (s.numel,)) is not None:
        return view(x, -1) if s.ndim != 1 else x, (0,), (index,)
    flat, shape = places.find(name, alias(x, spec_of(s.dtype, s.device, (s.numel,))), (0,), (index,))
    return x, tuple(range(s.ndim)), tuple(i.reshape(shape) for i in split_positions(flat, s.shape))


@composite
def take(input, index, *, out=None):
    "What stands at positions of the flattened tensor, in the shape of `index`; negative ones count from the end."
    x, index = tensor_of("take", input), _long("take", index)
    same_device("take", x, index)
    if not x._spec.numel and index._spec.numel:
        raise IndexError("take(): tried to take from an empty tensor")
    base, dims, indices = _flat("take", x, index)
    result = places.read("take", base, dims, indices)
    return result if out is None else into("take", result, out)


@composite
def put(input, index, source, accumulate=False):
    "The tensor with `source` stored (or, with accumulate, added) at positions of the flattened tensor."
    return put_(tensor_of("put", input).clone(), index, source, accumulate)


def put_(self, index, source, accumulate=False):
    """Store `source` (or, with accumulate, add it) at positions of the flattened tensor."""
    index = _long("put_", index)
    if not isinstance(source, Tensor):
        raise TypeError(f"put_(): argument 'source' must be Tensor, not {type(source).__name__}")
    if source._spec.dtype is not self._spec.dtype:
        raise RuntimeError(
            f"put_(): self and source expected to have the same dtype, but got self.dtype = {places.type_name(self._spec.dtype)} and "
            f"source.dtype = {places.type_name(source._spec.dtype)}"
        )
    if source._spec.numel != index._spec.numel:
        raise IndexError(
            "put_(): Expected source and index to have the same number of elements, but got "
            f"source.numel() = {source.numel()}, index.numel() = {index.numel()}"
        )
    places.check_target(self, "put_")
    same_device("put_", self, index, source)
    if not self._spec.numel and index._spec.numel:
        raise IndexError("put_(): Tried to put elements into an empty tensor")
    base, dims, indices = _flat("put_", self, index.reshape(-1))
    places.put("put_", base, dims, indices, reshape(source, -1), accumulate=accumulate, inplace=True)
    return self


@composite
def take_along_dim(input, indices, dim=None, *, out=None):
    "What stands along a dim at `indices`, which are broadcast with the tensor's other dims; without a dim, of both flattened."
    x = tensor_of("take_along_dim", input)
    if not isinstance(indices, Tensor):
        raise TypeError(f"take_along_dim(): argument 'indices' must be Tensor, not {type(indices).__name__}")
    if indices._spec.dtype is not dtypes.int64:
        raise RuntimeError(f"take_along_dim(): dtype of indices should be Long but got {places.type_name(indices._spec.dtype)}")
    indices = indices.detach()
    if dim is None:
        x, indices, dim = reshape(x, -1), indices.reshape(-1), 0
    if x._spec.ndim != indices._spec.ndim:
        raise RuntimeError(
            f"take_along_dim(): input and indices should have the same number of dimensions, but got {x.ndim} dimensions for input, and {indices.ndim} dimensions for indices"
        )
    d = layout.dim_of("take_along_dim", dim, x._spec.ndim)
    if x._spec.ndim:
        n, m = x._spec.shape[d], indices._spec.shape[d]
        others = lambda t: (*t._spec.shape[:d], 1, *t._spec.shape[d + 1 :])
        shape = layout.broadcast_shapes("take_along_dim", others(x), others(indices))
        x = expanded(x, (*shape[:d], n, *shape[d + 1 :]))
        indices = expanded(where(indices < 0, indices + n, indices), (*shape[:d], m, *shape[d + 1 :]))
    result = gather(x, d, indices)
    return result if out is None else into("take_along_dim", result, out)


# ------------------------------------------------------------------------------------------------ parts
def _part_written(name: str, x: Tensor, src, take) -> Tensor:
    """x with `src` in the part that `take` takes of a tensor of its shape."""
    if not isinstance(src, Tensor):
        raise TypeError(f"{name}(): argument 'src' must be Tensor, not {type(src).__name__}")
    size = take(alias(x))._spec.shape
    if src._spec.shape != size:
        raise RuntimeError(f"{name}(): expected src to have a size equal to the slice of self. src size = {list(src.shape)}, slice size = {list(size)}")
    same_device(name, x, src)
    of_x, of_src, kind = tape.needs_grad(x), tape.needs_grad(src), src._spec.dtype

    def pull(node, g):
        left = _part_written(name, g, places.zeros(size, g), take) if of_x else None
        return left, take(g).to(kind) if of_src else None

    return places.changed(name, x, (src,), lambda memory: take(memory).copy_(alias(src)), pull, keep_layout=True)


@composite
def select_scatter(input, src, dim, index):
    "The tensor with `src` at one index of a dim."
    return _part_written("select_scatter", tensor_of("select_scatter", input), src, lambda t: select(t, dim, index))


@composite
def slice_scatter(input, src, dim=0, start=None, end=None, step=1):
    "The tensor with `src` in the slice start:end:step of a dim."
    x = tensor_of("slice_scatter", input)
    d = layout.dim_of("slice_scatter", dim, x._spec.ndim)
    if step <= 0:
        raise RuntimeError(f"slice_scatter(): slice step must be positive, got {step}")
    items = (*(slice(None),) * d, slice(start, end, step))
    return _part_written("slice_scatter", x, src, lambda t: t[items])


@composite
def diagonal_scatter(input, src, offset=0, dim1=0, dim2=1):
    "The tensor with `src` on a diagonal of two dims, which is the last dim of `src`."
    x = tensor_of("diagonal_scatter", input)
    a, b = layout.dim_of("diagonal_scatter", dim1, x._spec.ndim), layout.dim_of("diagonal_scatter", dim2, x._spec.ndim)
    if a == b:
        raise RuntimeError(f"diagonal_scatter(): diagonal dimensions cannot be identical {dim1}, {dim2}")
    return _part_written("diagonal_scatter", x, src, lambda t: diagonal(t, offset, a, b))


METHODS = {"index_add_": index_add_, "index_copy_": index_copy_, "index_fill_": index_fill_, "put_": put_}

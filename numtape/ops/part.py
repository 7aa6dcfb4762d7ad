"""Views of some of a tensor's elements: slices, splits, strided parts. Their derivatives write into zeros."""

from __future__ import annotations

import builtins
import itertools

from numtape import layout
from numtape.autograd.tape import Taken
from numtape.dispatch.record import known_view, view_of
from numtape.ops.copy import clone
from numtape.ops.define import composite
from numtape.ops.view import _like, _remember, _specs, tensor_of
from numtape.spec import Spec, spec_of
from numtape.tensor import Tensor, empty
from numtape.tensor import view as view_tensor


def part(x: Tensor, shape, strides, offset: int, name: str, again) -> Tensor:
    """A view of some of x's elements. `again(z)` takes the same part of another tensor of x's shape: the derivative writes
    the gradient into that part of zeros."""
    return view_of(x, _like(x, shape, strides), offset, name, again, part=True)


def into_zeros(g: Tensor, whole: Spec, again) -> Tensor:
    """Zeros of `whole`'s shape with g in the part that `again` takes."""
    zeros = empty(spec_of(whole.dtype, whole.device, whole.shape), "zeros")
    zeros.fill_(0)
    again(zeros).copy_(g)
    return zeros


Taken.into_zeros = staticmethod(into_zeros)


def as_strided_pull(g: Tensor, spec: Spec, offset: int, whole: Spec) -> Tensor:
    """Zeros of `whole` with g added where a view of it, `spec` at `offset` elements, lies."""
    from numtape.ops.reduce import sum

    repeated = [d for d, (n, s) in enumerate(zip(spec.shape, spec.strides)) if s == 0 and n > 1]
    if repeated:
        g = sum(g, repeated, True)
        spec = spec_of(spec.dtype, spec.device, tuple(1 if d in repeated else n for d, n in enumerate(spec.shape)), spec.strides)
    if layout.overlaps_itself(spec.shape, spec.strides):
        raise RuntimeError(f"the derivative of a view whose elements overlap (strides {spec.strides} of shape {tuple(spec.shape)}) is not supported yet")
    dense = layout.is_dense(whole.shape, whole.strides)
    if not dense:
        raise RuntimeError("the derivative of an in-place change of a view of memory with gaps is not supported yet; clone() the tensor first")
    zeros = empty(whole, "zeros")
    zeros.fill_(0)
    view_tensor(zeros, spec, offset).copy_(g)
    return zeros


def as_strided_scatter_pull(g: Tensor, spec: Spec, offset: int, whole: Spec):
    """The gradients of (whole, part) when `part` was written over a view of `whole`."""
    inner = as_strided_read(g, spec, offset, whole)
    rest = clone(g)
    if rest._spec is not whole:
        rest = _relaid(g, whole)
    strided(rest, spec, offset, whole).fill_(0)
    return rest, inner


def _relaid(g: Tensor, whole: Spec) -> Tensor:
    target = empty(whole, "clone")
    return target.copy_(g)


def as_strided_read(g: Tensor, spec: Spec, offset: int, whole: Spec) -> Tensor:
    if g._spec is not whole:
        g = _relaid(g, whole)
    return strided(g, spec, offset, whole)


def strided(x: Tensor, spec: Spec, offset: int, whole: Spec) -> Tensor:
    """The recorded view of x, which is laid out as `whole`, that `spec` at `offset` elements is."""
    found = spec_of(x._spec.dtype, x._spec.device, spec.shape, spec.strides)
    return view_of(x, found, offset, "as_strided", lambda n, g: (as_strided_pull(g, spec, offset, whole),))


@known_view
@composite
def narrow(input, dim, start, length):
    "The elements start, ..., start + length - 1 of a dim."
    x = tensor_of("narrow", input)
    s = x._spec
    key = (s, "narrow", dim, start, length)
    if type(start) is int and type(dim) is int and (found := _specs.get(key)):
        spec, offset = found
        return view_of(x, spec, offset, "narrow", lambda z: narrow(z, dim, start, length), part=True)
    if not s.ndim:
        raise RuntimeError("narrow() cannot be applied to a 0-dim tensor.")
    d = layout.dim_of("narrow", dim, s.ndim)
    start, n = int(start), s.shape[d]
    if length < 0:
        raise RuntimeError(f"narrow(): length must be non-negative, got {length}")
    if not -n <= start <= n:
        raise IndexError(f"narrow(): start out of range (expected to be in range of [{-n}, {n}], but got {start})")
    start = start + n if start < 0 else start
    if start + length > n:
        raise RuntimeError(f"narrow(): start ({start}) + length ({length}) exceeds dimension size ({n}).")
    shape = (*s.shape[:d], length, *s.shape[d + 1 :])
    if type(key[2]) is int and type(key[3]) is int and type(length) is int:
        _remember(key, (_like(x, shape, s.strides), start * s.strides[d]))
    return part(x, shape, s.strides, start * s.strides[d], "narrow", lambda z: narrow(z, d, start, length))


@known_view
@composite
def select(input, dim, index):
    "One index of a dim, which disappears."
    x = tensor_of("select", input)
    s = x._spec
    if found := _specs.get((s, "select", dim, index)):
        spec, offset = found
        return view_of(x, spec, offset, "select", lambda z: select(z, dim, index), part=True)
    if not s.ndim:
        raise IndexError("select() cannot be applied to a 0-dim tensor.")
    d = layout.dim_of("select", dim, s.ndim)
    index, n = index.__index__(), s.shape[d]
    if not -n <= index < n:
        raise IndexError(f"select(): index {index} out of range for tensor of size {list(s.shape)} at dimension {d}")
    index = index + n if index < 0 else index
    shape, strides = s.shape[:d] + s.shape[d + 1 :], s.strides[:d] + s.strides[d + 1 :]
    _remember((s, "select", dim, index), (_like(x, shape, strides), index * s.strides[d]))
    return part(x, shape, strides, index * s.strides[d], "select", lambda z: select(z, d, index))


@composite
def unbind(input, dim=0):
    "The slices along a dim, as a tuple of views."
    x = tensor_of("unbind", input)
    d = layout.dim_of("unbind", dim, x.ndim)
    return tuple(select(x, d, i) for i in range(x._spec.shape[d]))


@composite
def split(tensor, split_size_or_sections, dim=0):
    "Views of consecutive pieces: of one size (the last may be smaller), or of the sizes listed."
    x = tensor_of("split", tensor)
    if not x._spec.ndim:
        raise RuntimeError("split expects at least a 1-dimensional tensor")
    d = layout.dim_of("split", dim, x.ndim)
    n = x._spec.shape[d]
    if isinstance(split_size_or_sections, int):
        size = split_size_or_sections
        if size < 0 or size == 0 and n:
            raise RuntimeError(f"split expects split_size be positive, but got split_size={size}")
        sections = [size] * (n // size) + ([n % size] if n % size else []) if size else [0]
        sections = sections or [0]
    else:
        sections = list(split_size_or_sections)
        if builtins.sum(sections) != n or min(sections, default=0) < 0:
            raise RuntimeError(f"split_with_sizes expects split_sizes to sum exactly to {n} (input tensor's size at dimension {d}), but got {sections}")
    starts = itertools.accumulate(sections, initial=0)
    return tuple([narrow(x, d, a, k) for a, k in zip(starts, sections)])


@composite
def chunk(input, chunks, dim=0):
    "At most `chunks` views of equal size, the last one smaller."
    if chunks <= 0:
        raise RuntimeError(f"chunk expects `chunks` to be greater than 0, got: {chunks}")
    if not tensor_of("chunk", input)._spec.ndim:
        raise RuntimeError("chunk expects at least a 1-dimensional tensor")
    n = input._spec.shape[layout.dim_of("chunk", dim, input.ndim)]
    return split(input, max(-(-n // chunks), 1), dim) if n else split(input, [0] * chunks, dim)

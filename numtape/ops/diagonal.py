"""Diagonals and triangles of matrices."""

from __future__ import annotations

import functools

from numtape import dtypes, layout
from numtape.dispatch.record import known_view, recorded, view_of
from numtape.ops.arithmetic import zero
from numtape.ops.arrange import fresh, given
from numtape.ops.copy import contiguous, like, tensor_of
from numtape.ops.creation import arange, zeros
from numtape.ops.define import composite, formula
from numtape.ops.part import narrow, part
from numtape.ops.reduce import sum
from numtape.ops.select import where
from numtape.ops.view import _remember, _specs, reshape, unsqueeze


# ------------------------------------------------------------------------------------------------ diagonals
@known_view
@composite
def diagonal(input, offset=0, dim1=0, dim2=1):
    "A view of the diagonal of two dims, as the last dim; `offset` counts columns to the right of the main one."
    x = tensor_of("diagonal", input)
    s = x._spec
    key = (s, "diagonal", offset, dim1, dim2)
    if found := _specs.get(key):
        spec, start = found
        return view_of(x, spec, start, "diagonal", lambda z: diagonal(z, offset, dim1, dim2), part=True)
    a, b = layout.dim_of("diagonal", dim1, s.ndim), layout.dim_of("diagonal", dim2, s.ndim)
    if a == b:
        raise RuntimeError(f"diagonal: diagonal dimensions cannot be identical {dim1}, {dim2}")
    down, right = max(-offset, 0), max(offset, 0)
    n = max(min(s.shape[a] - down, s.shape[b] - right), 0)
    rest = [d for d in range(s.ndim) if d not in (a, b)]
    shape, strides = [*(s.shape[d] for d in rest), n], [*(s.strides[d] for d in rest), s.strides[a] + s.strides[b]]
    start = down * s.strides[a] + right * s.strides[b] if n else 0
    _remember(key, (like(x, shape, strides), start))
    return part(x, shape, strides, start, "diagonal", lambda z: diagonal(z, offset, a, b))


@composite
def diag_embed(input, offset=0, dim1=-2, dim2=-1):
    "Zeros with the last dim of `input` on the diagonal of two new dims."
    x = tensor_of("diag_embed", input)
    s = x._spec
    ndim = s.ndim + 1
    a, b = layout.dim_of("diag_embed", dim1, ndim), layout.dim_of("diag_embed", dim2, ndim)
    if a == b:
        raise RuntimeError(f"diag_embed: diagonal dimensions cannot be identical {dim1}, {dim2}")
    if not s.ndim:
        raise IndexError("diag_embed: Dimension specified as -1 but tensor has no dimensions")
    n = s.shape[-1] + abs(offset)
    rest = iter(s.shape[:-1])
    out = zeros(*(n if d in (a, b) else next(rest) for d in range(ndim)), dtype=s.dtype, device=s.device)
    diagonal(out, offset, a, b).copy_(x.detach())
    out._storage.version = 0
    return recorded(out, "diag_embed", (x,), lambda node, g: (diagonal(g, offset, a, b),))


@composite
def diag(input, diagonal=0, *, out=None):
    "A matrix with a vector on its diagonal, or a matrix's diagonal as a new vector."
    x = tensor_of("diag", input)
    if x.ndim not in (1, 2):
        raise RuntimeError(f"diag(): Supports 1D or 2D tensors. Got {x.ndim}D")
    return given("diag", diag_embed(x, diagonal) if x.ndim == 1 else fresh(_diagonal(x, diagonal)), out)


_diagonal = diagonal


@composite
def diagflat(input, offset=0):
    "A matrix with all elements of `input` on its diagonal."
    return diag_embed(reshape(tensor_of("diagflat", input), -1), offset)


@composite
def trace(input):
    "The sum of a matrix's diagonal."
    x = tensor_of("trace", input)
    if x.ndim != 2:
        raise RuntimeError(f"trace: expected a matrix, but got tensor with dim {x.ndim}")
    return sum(diagonal(x))


# ------------------------------------------------------------------------------------------------ triangles
@formula(inplace=False, vjp=(lambda g, rows, columns: _lower(g, rows, columns), None, None), complex=True)
def _lower(x, rows, columns):
    "x where the row is not above the column, else zero."
    return where(rows >= columns, x, zero(x))


@formula(inplace=False, vjp=(lambda g, rows, columns: _upper(g, rows, columns), None, None), complex=True)
def _upper(x, rows, columns):
    "x where the row is not below the column, else zero."
    return where(rows <= columns, x, zero(x))


def _triangle(name, op, input, offset, out=None):
    x = tensor_of(name, input)
    if x.ndim < 2:
        raise RuntimeError(f"{name}: input tensor must have at least 2 dimensions, got {x.ndim}")
    m, n = x.shape[-2:]
    offset = min(max(offset.__index__(), -m), n)
    return given(name, contiguous(op(x, *_numbers(offset, m, n, x.device))), out)


@functools.lru_cache(64)
def _numbers(offset, m, n, device):
    """The numbers of a matrix's rows (m, 1), moved by `offset`, and of its columns (n)."""
    rows = unsqueeze(arange(offset, m + offset, dtype=dtypes.int32, device=device), 1)
    return rows, arange(n, dtype=dtypes.int32, device=device)


@composite
def tril(input, diagonal=0, *, out=None):
    "The lower triangles of matrices, zeros above; `diagonal` says how far to the right of the main one they reach."
    return _triangle("tril", _lower, input, diagonal, out)


@composite
def triu(input, diagonal=0, *, out=None):
    "The upper triangles of matrices, zeros below; `diagonal` says how far to the right of the main one they begin."
    return _triangle("triu", _upper, input, diagonal, out)


# ------------------------------------------------------------------------------------------------ a part written anew


@composite
def narrow_copy(input, dim, start, length):
    "A copy of the elements start, ..., start + length - 1 of a dim."
    return fresh(narrow(input, dim, start, length))

"""Tensors joined to stacks and cut into pieces."""

from __future__ import annotations

import builtins
import functools

from numtape import dtypes, layout
from numtape.ops.copy import tensor_of
from numtape.ops.creation import empty, zeros
from numtape.ops.define import composite
from numtape.ops.index import _joined, cat
from numtape.ops.part import chunk, narrow, split
from numtape.ops.view import reshape, unsqueeze
from numtape.tensor import Tensor


# ------------------------------------------------------------------------------------------------ joining
def _at_least(name, tensors, raise_one):
    if len(tensors) == 1 and isinstance(tensors[0], (list, tuple)):
        return tuple(raise_one(tensor_of(name, t)) for t in tensors[0])
    found = tuple(raise_one(tensor_of(name, t)) for t in tensors)
    return found[0] if len(found) == 1 else found


def _one(x):
    return x if x.ndim else reshape(x, 1)


def _two(x):
    return x if x.ndim > 1 else reshape(x, 1, -1) if x.numel() or not x.ndim else unsqueeze(x, 0)


def _three(x):
    return x if x.ndim > 2 else unsqueeze(x if x.ndim == 2 else _two(x), -1)


@composite
def atleast_1d(*tensors):
    "With at least one dim; a tuple for several tensors."
    return _at_least("atleast_1d", tensors, _one)


@composite
def atleast_2d(*tensors):
    "With at least two dims, new ones in front."
    return _at_least("atleast_2d", tensors, _two)


@composite
def atleast_3d(*tensors):
    "With at least three dims: (n,) as (1, n, 1), (m, n) as (m, n, 1)."
    return _at_least("atleast_3d", tensors, _three)


@composite
def hstack(tensors, *, out=None):
    "Joined along dim 1; vectors and numbers along dim 0."
    parts = [_one(t) for t in _joined("hstack", tensors)]
    return cat(parts, 0 if parts[0].ndim == 1 else 1, out=out)


@composite(aliases=("row_stack",))
def vstack(tensors, *, out=None):
    "Joined along dim 0; vectors are rows."
    return cat([_two(t) for t in _joined("vstack", tensors)], 0, out=out)


@composite
def dstack(tensors, *, out=None):
    "Joined along dim 2; see `atleast_3d`."
    return cat([_three(t) for t in _joined("dstack", tensors)], 2, out=out)


@composite
def column_stack(tensors, *, out=None):
    "Joined along dim 1; vectors and numbers are columns."
    return cat([t if t.ndim > 1 else reshape(t, t.numel(), 1) for t in _joined("column_stack", tensors)], 1, out=out)


@composite
def block_diag(*tensors):
    "Matrices (vectors are rows, numbers 1 by 1) as the blocks along the diagonal of a matrix of zeros."
    parts = _joined("block_diag", tensors) if tensors else [empty(1, 0)]
    for i, t in enumerate(parts):
        if t.ndim > 2:
            raise RuntimeError(f"block_diag: Input tensors must have 2 or fewer dimensions. Input {i} has {t.ndim} dimensions")
    parts, left, rows = [_two(t) for t in parts], 0, []
    kind = parts[0].dtype
    for t in parts[1:]:
        kind = dtypes.promote_types(kind, t.dtype)
    width = builtins.sum(t.shape[1] for t in parts)
    for t in parts:
        m, n = t.shape
        edges = [zeros(m, k, dtype=kind, device=t.device) for k in (left, width - left - n)]
        rows.append(cat([edges[0], t, edges[1]], 1))
        left += n
    return cat(rows, 0)


# ------------------------------------------------------------------------------------------------ cutting
@composite
def tensor_split(input, indices_or_sections, dim=0):
    "Views of pieces: as many as a number says, of almost equal size; or cut before each of the indices."
    x, cuts = tensor_of("tensor_split", input), indices_or_sections
    if not x.ndim:
        raise RuntimeError("tensor_split: expected at least a 1-dimensional tensor, but got a tensor with 0 dims")
    d = layout.dim_of("tensor_split", dim, x.ndim)
    n = x._spec.shape[d]
    if isinstance(cuts, Tensor):
        if cuts.ndim > 1 or cuts.dtype is not dtypes.int64:
            raise RuntimeError(f"tensor_split: expected tensor_indices_or_sections to be a zero- or one-dimensional int64 tensor, got {cuts.dtype} {tuple(cuts.shape)}")
        cuts = cuts.tolist()
    if isinstance(cuts, int):
        if cuts <= 0:
            raise RuntimeError(f"tensor_split: number of sections must be larger than 0, got {cuts}")
        size, larger = divmod(n, cuts)
        cuts = [i * size + min(i, larger) for i in range(1, cuts)]
    return tuple([narrow(x, d, a, length) for a, length in _pieces(n, tuple(cuts))])


@functools.lru_cache(1024)
def _pieces(n: int, cuts: tuple) -> list:
    """Where each piece of a dim begins, and its length."""
    ends = [slice(a, b).indices(n)[:2] for a, b in zip([0, *cuts], [*cuts, n])]
    return [(a, max(b - a, 0)) for a, b in ends]


def _split_along(name, dims, dim):
    def function(input, indices_or_sections):
        x = tensor_of(name, input)
        if x.ndim < dims:
            raise RuntimeError(f"{name} requires a tensor with at least {dims} dimension{'s' if dims > 1 else ''}, but got a tensor with {x.ndim} dimensions!")
        d = 0 if x.ndim == 1 else dim
        k = indices_or_sections
        if isinstance(k, int) and (k <= 0 or x.shape[d] % k):
            raise RuntimeError(f"{name} attempted to split along dimension {d}, but the size of the dimension {x.shape[d]} is not divisible by the split_size {k}!")
        return tensor_split(x, k, d)

    function.__name__ = name
    function.__doc__ = f"Views of pieces along dim {dim}: as many as a number says (which must divide it), or cut before each of the indices."
    return composite(function)


hsplit, vsplit, dsplit = _split_along("hsplit", 1, 1), _split_along("vsplit", 2, 0), _split_along("dsplit", 3, 2)


@composite(aliases=("unsafe_split_with_sizes",))
def split_with_sizes(input, split_sizes, dim=0):
    "Views of consecutive pieces of the sizes listed."
    return split(input, list(split_sizes), dim)


def unsafe_split(tensor, split_size, dim=0):
    """As `split`; whoever writes into the pieces answers for the gradients."""
    return split(tensor, split_size, dim)


def unsafe_chunk(input, chunks, dim=0):
    """As `chunk`; whoever writes into the pieces answers for the gradients."""
    return chunk(input, chunks, dim)


FUNCTIONS = {"unsafe_split": unsafe_split, "unsafe_chunk": unsafe_chunk}
METHOD_ONLY = {"unsafe_split": unsafe_split, "unsafe_chunk": unsafe_chunk}
FUNCTION_ONLY = {"atleast_1d", "atleast_2d", "atleast_3d", "hstack", "vstack", "row_stack", "dstack", "column_stack", "block_diag"}

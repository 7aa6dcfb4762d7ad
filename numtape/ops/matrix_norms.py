"""The norms of `numtape.linalg`: of vectors by their elements, of matrices by elements, rows, columns or singular values."""

from __future__ import annotations

import math

from numtape import layout
from numtape.ops import products
from numtape.ops.arrange import given
from numtape.ops.copy import tensor_of
from numtape.ops.factorizations import decomposed, filed, matrices
from numtape.ops.reduce import amax, amin, sum
from numtape.ops.view import movedim, unsqueeze


def _floating(name, x, dtype):
    x = tensor_of(name, x)
    x = x if dtype is None else x.to(dtype)
    if not x.dtype.differentiable:
        raise RuntimeError(f"{name}: Expected a floating point or complex tensor as input. Got {x.dtype}")
    return x


@filed
def vector_norm(x, ord=2, dim=None, keepdim=False, *, dtype=None, out=None):
    "The norm of the elements over dims (all unless given): a number, or inf, -inf or 0 (how many are not zero)."
    name = "linalg.vector_norm"
    t = _floating(name, x, dtype)
    t = t.abs() if t.dtype.is_complex else t
    dims = layout.dims_of(name, dim, t.ndim)
    if isinstance(ord, str):
        raise TypeError(f"{name}: ord must be a number, got {ord!r}")
    if ord in (math.inf, -math.inf):
        if not t.numel() and not all(t.shape[d] for d in dims):
            raise RuntimeError(f"{name}: cannot compute the {ord} norm on an empty dimension because the operation does not have an identity")
        found = amax(t.abs(), dims, keepdim) if ord > 0 else amin(t.abs(), dims, keepdim)
    elif ord == 0:
        found = sum((t != 0).to(t.dtype) + t.detach() * 0, dims, keepdim) + sum(t * 0, dims, keepdim)
    elif ord < 0:
        found = sum(t.abs() ** ord, dims, keepdim) ** (1.0 / ord)
    elif ord == 1:
        found = sum(t.abs(), dims, keepdim)
    else:
        found = products.power_norm(t, ord, dims, keepdim)
    return given(name, found, out)


@filed
def matrix_norm(A, ord="fro", dim=(-2, -1), keepdim=False, *, dtype=None, out=None):
    "The norm of matrices: 'fro', 'nuc', 2 and -2 (singular values), 1 and -1 (columns), inf and -inf (rows)."
    name = "linalg.matrix_norm"
    x = matrices(name, _floating(name, A, dtype))
    if len(dim) != 2:
        raise RuntimeError(f"{name}: dim must be a 2-tuple. Got {dim}")
    a, b = (layout.dim_of(name, d, x.ndim) for d in dim)
    if a == b:
        raise RuntimeError(f"{name}: dims must be different. Got ({dim[0]}, {dim[1]})")
    if ord == "fro":
        return given(name, vector_norm(x, 2, (a, b), keepdim), out)
    extreme = amax if ord in ("nuc", 2, 1, math.inf) else amin
    if ord in ("nuc", 2, -2):
        S = decomposed(movedim(x, (a, b), (-2, -1)))[1]
        found = sum(S, -1) if ord == "nuc" else extreme(S, -1)
    elif ord in (1, -1, math.inf, -math.inf):
        along, over = (a, b) if abs(ord) == 1 else (b, a)
        found = extreme(sum(x.abs(), along, True), over, True).squeeze((a, b))
    else:
        raise RuntimeError(f"{name}: Order {ord} not supported.")
    if keepdim:
        for d in sorted((a, b)):
            found = unsqueeze(found, d)
    return given(name, found, out)


def norm(A, ord=None, dim=None, keepdim=False, *, out=None, dtype=None):
    "The norm of vectors or matrices: of vectors over one dim, of matrices over two; of all elements if neither ord nor dim is given."
    if dim is not None or ord is not None:
        count = A.ndim if dim is None else 1 if isinstance(dim, int) else len(dim)
        if dim is not None and count not in (1, 2) and ord is not None:
            raise RuntimeError(f"linalg.norm: If dim is specified, it must be of length 1 or 2. Got {list(dim)}")
        if dim is None and count not in (1, 2):
            raise RuntimeError(f"linalg.norm: If dim is not specified but ord is, the input must be 1D or 2D. Got {A.ndim}D.")
        if ord is not None and count == 2:
            return matrix_norm(A, ord, (0, 1) if dim is None else tuple(dim), keepdim, dtype=dtype, out=out)
    return vector_norm(A, 2 if ord is None else ord, dim, keepdim, dtype=dtype, out=out)

"""Numerical helpers: parts of floating-point numbers, finite differences, norms of slices, places, histograms of several dims."""

from __future__ import annotations

import builtins
from collections import namedtuple
from math import inf, prod

from numtape import dtypes, layout
from numtape.dispatch.functions import into
from numtape.ops import counting, linear_algebra
from numtape.ops.copy import contiguous, tensor_of
from numtape.ops.creation import linspace, ones_like
from numtape.ops.define import composite
from numtape.ops.exponential import exp2
from numtape.ops.factorizations import matrices
from numtape.ops.index import cat, stack
from numtape.ops.masks import nonzero
from numtape.ops.matrix_norms import matrix_norm, vector_norm
from numtape.ops.part import narrow, select, unbind
from numtape.ops.places import check_target
from numtape.ops.scatter import _index_of, check_range, scatter_reduce, scatter_reduce_
from numtape.ops.select import where
from numtape.ops.view import expanded, reshape
from numtape.tensor import Tensor

Frexp = namedtuple("frexp", "mantissa exponent")
Histogramdd = namedtuple("histogramdd", "hist bin_edges")


# ------------------------------------------------------------------------------------------------ floating-point numbers
def _exponents(x: Tensor) -> Tensor:
    """The exponents of frexp, as int32: from the bits; 0 for 0, NaN and the infinities."""
    double = x._spec.dtype is dtypes.float64
    whole, shift, bias, low = (dtypes.int64, 52, 1022, -1022) if double else (dtypes.int32, 23, 126, -126)
    size = x.detach().abs()
    small = size < 2.0**low  # a denormal number is multiplied before its bits are read
    bits = where(small, size * 2.0**shift, size).view(whole)
    found = (bits >> shift) - bias - where(small, shift, 0).to(whole)
    return where((size > 0) & (size < inf), found, 0).to(dtypes.int32)


@composite
def frexp(input, *, out=None):
    "A mantissa of size 0.5 to 1 and a whole exponent, with input = mantissa * 2**exponent: (mantissa, exponent)."
    x = tensor_of("frexp", input)
    if not x._spec.dtype.is_floating_point:
        raise RuntimeError(f"torch.frexp() only supports floating-point dtypes; got {x.dtype}".replace("torch.", "numtape."))
    wide = x if x._spec.dtype.itemsize >= 4 else x.to(dtypes.float32)
    exponent = _exponents(wide)
    power = exponent.to(wide.dtype) * -0.5  # half of it at a time, for a power may be beyond the dtype's range
    mantissa = wide * exp2(power.floor()) * exp2(power.ceil())
    mantissa = mantissa if wide is x else mantissa.to(x.dtype)
    if out is not None:
        return Frexp(into("frexp", mantissa, out[0]), into("frexp", exponent, out[1]))
    return Frexp(mantissa, exponent)


# ------------------------------------------------------------------------------------------------ differences
def _along(x: Tensor, d: int, start: int, stop: int) -> Tensor:
    return narrow(x, d, start, stop - start)


def _difference(x: Tensor, d: int, step, edge_order: int) -> Tensor:
    """Central differences along a dim, one-sided at its ends; `step` is the distance, or a vector of the places."""
    n = x._spec.shape[d]
    before, here, after = _along(x, d, 0, n - 2), _along(x, d, 1, n - 1), _along(x, d, 2, n)
    first, last = [_along(x, d, k, k + 1) for k in range(edge_order + 1)], [_along(x, d, n - 1 - k, n - k) for k in range(edge_order + 1)]
    if not isinstance(step, Tensor):
        inner = (after - before) / (2 * step)
        if edge_order == 1:
            return cat([(first[1] - first[0]) / step, inner, (last[0] - last[1]) / step], d)
        ends = [(a * -1.5 + b * 2.0 - c * 0.5) / step for a, b, c in (first, last)]
        return cat([ends[0], inner, -ends[1]], d)
    steps = reshape(narrow(step, 0, 1, n - 1) - narrow(step, 0, 0, n - 1), (-1,) + (1,) * (x._spec.ndim - 1 - d))
    s = steps._spec.ndim - x._spec.ndim + d  # the dim of the steps, counted in their own
    left, right = _along(steps, s, 0, n - 2), _along(steps, s, 1, n - 1)
    inner = before * (-right / (left * (left + right))) + here * ((right - left) / (left * right)) + after * (left / (right * (left + right)))
    ends = []
    for (a, b, *c), (h, k) in ((first, (0, 1)), (last, (n - 2, n - 3))):
        p = _along(steps, s, h, h + 1)
        if edge_order == 1:
            ends.append((b - a) / p)
        else:
            q = _along(steps, s, k, k + 1)
            ends.append(a * (-(p * 2 + q) / (p * (p + q))) + b * ((p + q) / (p * q)) - c[0] * (p / (q * (p + q))))
    return cat([ends[0], inner, -ends[1]], d)


@composite
def gradient(input, *, spacing=None, dim=None, edge_order=1):
    "Estimates of the derivative along each dim by central differences: a list; `spacing` is a distance, one a dim, or vectors of places."
    x = tensor_of("gradient", input)
    if edge_order not in (1, 2):
        raise RuntimeError(f"gradient only supports edge_order=1 and edge_order=2, got {edge_order}")
    if dim is None and isinstance(spacing, (tuple, list)) and len(spacing) != x._spec.ndim:
        raise RuntimeError(f"gradient expected spacing to be unspecified, a scalar, or a list of length equal to 'self.dim() = {x._spec.ndim}', but got a list of length {len(spacing)}")
    dims = range(x._spec.ndim) if dim is None else (dim,) if isinstance(dim, int) else tuple(dim)
    found = [layout.dim_of("gradient", d, x._spec.ndim) for d in dims]
    if len(set(found)) != len(found):
        raise RuntimeError(f"gradient: dim {dim} appears multiple times in the list of dims")
    if isinstance(spacing, (tuple, list)):
        steps = list(spacing)
        if len(steps) != len(found):
            raise RuntimeError(f"gradient expected spacing to be unspecified, a scalar or it's spacing and dim arguments to have the same length, but got {len(steps)} and {len(found)}")
    else:
        steps = [1 if spacing is None else spacing] * len(found)
    for d, step in zip(found, steps):
        n = x._spec.shape[d]
        if n < edge_order + 1:
            raise RuntimeError(f"gradient expected each dimension size to be at least edge_order+1, got {n} for dim {d}")
        if isinstance(step, Tensor) and step._spec.ndim and step._spec.shape != (n,):
            raise RuntimeError(f"gradient expected each dimension of input to have the same size as its spacing, got {list(step.shape)} for {n}")
    steps = [s.item() if isinstance(s, Tensor) and not s._spec.ndim else s for s in steps]
    return [_difference(x, d, step, edge_order) for d, step in zip(found, steps)]


# ------------------------------------------------------------------------------------------------ norms
@composite
def renorm(input, p, dim, maxnorm, *, out=None):
    "The slices along a dim, those whose norm is above maxnorm scaled down to it."
    x = tensor_of("renorm", input)
    if x._spec.ndim < 2:
        raise RuntimeError(f"renorm: input needs at least 2 dimensions, got {x._spec.ndim} dimensions")
    if not p > 0 or not maxnorm >= 0:
        raise RuntimeError(f"renorm: expected p > 0 and maxnorm >= 0, got {p} and {maxnorm}")
    if not x._spec.dtype.is_floating_point:
        raise RuntimeError(f"renorm: not supported for {x.dtype} tensors; expected floating point")
    d = layout.dim_of("renorm", dim, x._spec.ndim)
    size = vector_norm(x, p, tuple(k for k in range(x._spec.ndim) if k != d), True)
    result = contiguous(x * where(size > maxnorm, maxnorm / (size + 1e-7), 1.0))
    return result if out is None else into("renorm", result, out)


def renorm_(self, p, dim, maxnorm):
    """Scale the slices along a dim whose norm is above maxnorm down to it, in place."""
    return self.copy_(renorm(self.clone(), p, dim, maxnorm))


@composite
def norm_except_dim(v, pow=2, dim=0):
    "The norms of the slices along a dim, in the shape that broadcasts with them; dim -1: the norm of the whole."
    tensor_of("norm_except_dim", v, "v")
    if dim == -1:
        return vector_norm(v, pow)
    d = layout.dim_of("norm_except_dim", dim, v.ndim)
    if d not in (0, v.ndim - 1):
        return norm_except_dim(v.transpose(0, d), pow, 0).transpose(0, d)
    return vector_norm(v, pow, tuple(k for k in range(v.ndim) if k != d), True)


@composite
def nuclear_norm(input, dim=None, keepdim=False, *, out=None):
    "The sum of the singular values of matrices."
    result = matrix_norm(input, "nuc", (-2, -1) if dim is None else tuple(dim), keepdim)
    return result if out is None else into("nuclear_norm", result, out)


@composite
def frobenius_norm(input, dim, keepdim=False, *, out=None):
    "The root of the sum of squares over one or two dims."
    result = vector_norm(input, 2, dim, keepdim)
    return result if out is None else into("frobenius_norm", result, out)


# ------------------------------------------------------------------------------------------------ places
@composite
def nonzero_static(input, *, size, fill_value=-1, out=None):
    "The places of the first `size` elements that are not zero, one a row; where there are fewer, rows of `fill_value`."
    if size < 0:
        raise RuntimeError(f"nonzero_static: 'size' must be an non-negative integer, got {size}")
    found = contiguous(nonzero(tensor_of("nonzero_static", input))[:size])
    missing = size - found._spec.shape[0]
    if missing:
        found = cat([found, found.new_full((missing, found._spec.shape[1]), fill_value)])
    return found if out is None else into("nonzero_static", found, out)


@composite
def unravel_index(indices, shape):
    "The places in a tensor of `shape` of elements that are counted in row-major order: one tensor for each dim."
    x = tensor_of("unravel_index", indices)
    sizes = (shape,) if isinstance(shape, int) else tuple(int(n) for n in shape)
    if x._spec.dtype.is_floating_point or x._spec.dtype is dtypes.bool:
        raise TypeError(f"expected 'indices' to be integer dtype, but got {x.dtype}")
    if any(n < 0 for n in sizes):
        raise ValueError(f"'shape' cannot have negative values, but got {sizes}")
    found = []
    step = prod(sizes)
    for n in sizes:
        step = step // n if n else 1
        found.append(x.div(step, rounding_mode="floor") % n if n else x)
    return unbind(stack(found, -1), -1) if found else ()


# ------------------------------------------------------------------------------------------------ index_reduce, diagonals
def _index_reduce(name: str, x: Tensor, dim, index, source, reduce: str, include_self, call):
    if reduce not in ("prod", "mean", "amax", "amin"):
        raise RuntimeError(f"{name}(): Expected reduce to be one of prod, mean, amax or amin but got {reduce}.")
    index = _index_of(name, x, index)
    if not isinstance(source, Tensor):
        raise TypeError(f"{name}(): argument 'source' must be Tensor, not {type(source).__name__}")
    if source._spec.dtype is not x._spec.dtype:
        raise RuntimeError(f"{name}(): self and source expected to have the same dtype, but got (self) {x.dtype} and (source) {source.dtype}")
    if index._spec.ndim > 1:
        raise IndexError(f"{name}(): Index is supposed to be a vector, but got dim: {index._spec.ndim}")
    d = layout.dim_of(name, dim, x._spec.ndim)
    index, shape, own = index.reshape(-1), tuple(source.shape) or (1,), tuple(x.shape) or (1,)
    if source._spec.ndim != x._spec.ndim or shape[d] != index.numel() or any(a != b for k, (a, b) in enumerate(zip(shape, own)) if k != d):
        rows = f"with {index.numel()} rows (the length of index) along dim {d}"
        raise RuntimeError(f"{name}(): source tensor shape {list(source.shape)} must match self tensor shape {list(x.shape)}, {rows}")
    if index.numel():
        check_range(name, index, 0, own[d], IndexError)
    places = expanded(reshape(index, (-1,) + (1,) * (len(shape) - 1 - d)), shape)
    return call(x, d, places if x._spec.ndim else reshape(places, ()), source, reduce, include_self=include_self)


@composite
def index_reduce(input, dim, index, source, reduce, *, include_self=True, out=None):
    "The tensor with the rows of `source` taken into the rows of a dim that `index` names: by prod, mean, amax or amin."
    x = tensor_of("index_reduce", input)
    result = _index_reduce("index_reduce", x, dim, index, source, reduce, include_self, scatter_reduce)
    return result if out is None else into("index_reduce", result, out)


def index_reduce_(self, dim, index, source, reduce, *, include_self=True):
    """Take the rows of `source` into the rows of a dim that `index` names, in place: by prod, mean, amax or amin."""
    check_target(self, "index_reduce_")
    return _index_reduce("index_reduce_", self, dim, index, source, reduce, include_self, scatter_reduce_)


def fill_diagonal_(self, fill_value, wrap=False):
    """Write a number on the main diagonal of a matrix, or of a tensor of equal sizes; `wrap` begins anew below a tall matrix's square."""
    shape, strides = tuple(self.shape), self.stride()
    if len(shape) < 2:
        raise RuntimeError(f"fill_diagonal_: dimensions must larger than 1, got {len(shape)}")
    if len(shape) > 2 and len(set(shape)) > 1:
        raise RuntimeError(f"fill_diagonal_: all dimensions of input must be of equal length, got {list(shape)}")
    step, first = builtins.sum(strides), self.storage_offset()
    self.as_strided((min(shape),), (step,), first).fill_(fill_value)
    if wrap and len(shape) == 2 and shape[0] > shape[1] + 1:
        left = -(-self.numel() // (shape[1] + 1)) - min(shape)
        self.as_strided((left,), (step,), first + strides[0] * (shape[1] + 1)).fill_(fill_value)
    return self


# ------------------------------------------------------------------------------------------------ histograms of several dims
@composite
def histogramdd(input, bins, *, range=None, weight=None, density=False):
    "How many rows of coordinates (or how much weight) lie in each box of a grid: (hist, bin_edges); bins are numbers, or edges for each dim."
    x = tensor_of("histogramdd", input).detach()
    kind = x._spec.dtype
    if not kind.is_floating_point:
        raise RuntimeError(f"histogramdd: not supported for {kind.name} tensors; convert to floating point first")
    if x._spec.ndim < 2:
        raise RuntimeError(f"histogramdd: input tensor should have at least 2 dimensions, but got {x._spec.ndim}")
    count = x._spec.shape[-1]
    rows = reshape(x, (-1, count))
    bins = [bins] * count if isinstance(bins, int) else list(bins)
    if len(bins) != count:
        raise RuntimeError(f"histogramdd: The size of bins must be equal to the innermost dimension of the input: expected {count}, got {len(bins)}")
    if range is not None and len(range) != 2 * count:
        raise RuntimeError(f"histogramdd: for a {count}-dimensional histogram range should have {2 * count} elements, but got {len(range)}")
    edges, inside, place = [], None, None
    for d, b in enumerate(bins):
        values = contiguous(select(rows, 1, d))
        if isinstance(b, Tensor):
            found = b.detach()
        else:
            low, high = counting.outer_edges("histogramdd", values, None if range is None else (float(range[2 * d]), float(range[2 * d + 1])))
            found = linspace(low, high, b + 1, dtype=kind, device=x.device)
        n = found._spec.shape[0] - 1
        within = (values >= found[0]) & (values <= found[n])
        at = (counting.searchsorted(found, values, right=True) - 1).clamp(max=n - 1)
        inside, place = (within, at) if place is None else (inside & within, place * n + at)
        edges.append(found)
    shape = tuple(e._spec.shape[0] - 1 for e in edges)
    total = prod(shape)
    place = where(inside, place, total)
    if weight is None:
        hist = counting._added(ones_like(place), place, total + 1)
    else:
        if tuple(weight.shape) != tuple(x.shape[:-1]) or weight.dtype is not kind:
            wanted = f"the shape of the input without its last dim, {list(x.shape[:-1])}, and its dtype {x.dtype}"
            raise RuntimeError(f"histogramdd: if weight tensor is provided it should have {wanted}; got {list(weight.shape)} of {weight.dtype}")
        hist = counting._added(contiguous(weight.detach().reshape(-1)), place, total + 1)
    hist = reshape(narrow(hist, 0, 0, total).to(kind), shape)
    if density:
        hist = hist / hist.sum()
        for d, e in enumerate(edges):
            hist = hist / reshape(narrow(e, 0, 1, shape[d]) - narrow(e, 0, 0, shape[d]), (-1,) + (1,) * (len(shape) - 1 - d))
    return Histogramdd(hist, tuple(edges))


# ------------------------------------------------------------------------------------------------ low rank, by chance
def _basis(A: Tensor, q: int, niter: int) -> Tensor:
    """An orthonormal basis of about the range of A: Halko, Martinsson and Tropp (2009), algorithm 4.4."""
    from numtape.ops.random import randn

    other = randn(A.shape[-1], q, dtype=A.dtype, device=A.device)
    Q = linear_algebra.qr(A @ other)[0]
    for _ in builtins.range(niter):
        Q = linear_algebra.qr(A.mT @ Q)[0]
        Q = linear_algebra.qr(A @ Q)[0]
    return Q


@composite(random=True)
def svd_lowrank(A, q=6, niter=2, M=None):
    "About the q largest singular values and their vectors: (U, S, V) with A - M about U diag(S) Vᵀ; by chance."
    x = matrices("svd_lowrank", A)
    x = x if M is None else x - M
    wide = x.shape[-2] < x.shape[-1]
    tall = x.mT if wide else x
    Q = _basis(tall, q, niter)
    U, S, Vh = linear_algebra.svd(Q.mT @ tall, full_matrices=False)
    left, right = Q @ U, Vh.mT
    return (right, S, left) if wide else (left, S, right)


@composite(random=True)
def pca_lowrank(A, q=None, center=True, niter=2):
    "About the q largest principal components of rows: (U, S, V); `center` takes the mean of each column off first."
    x = matrices("pca_lowrank", A)
    m, n = x.shape[-2:]
    if q is None:
        q = min(6, m, n)
    elif not 0 <= q <= min(m, n):
        raise ValueError(f"q(={q}) must be non-negative integer and not greater than min(m, n)={min(m, n)}")
    if niter < 0:
        raise ValueError(f"niter(={niter}) must be non-negative integer")
    return svd_lowrank(x - x.mean(-2, keepdim=True) if center else x, q, niter)


METHODS = {"index_reduce_": index_reduce_, "renorm_": renorm_, "fill_diagonal_": fill_diagonal_}
FUNCTION_ONLY = {
    "gradient", "norm_except_dim", "nuclear_norm", "frobenius_norm", "unravel_index", "histogramdd", "svd_lowrank", "pca_lowrank",
}  # fmt: skip

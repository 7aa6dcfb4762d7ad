"""Elements in another order and repeated: flips, rolls, tiles, grids, combinations."""

from __future__ import annotations

import builtins
import warnings

from numtape import dtypes, layout
from numtape.dispatch.functions import into
from numtape.dispatch.record import recorded
from numtape.kernels import pattern, placing
from numtape.kernels.cpu.driver import launch
from numtape.ops.copy import clone, copied, like, tensor_of
from numtape.ops.creation import arange, empty, zeros
from numtape.ops.define import composite
from numtape.ops.index import _joined, cat, index_select, scatter_into_zeros
from numtape.ops.part import narrow
from numtape.ops.scan import cumsum
from numtape.ops.view import expanded, flatten, reshape, sizes_of, transpose, unsqueeze, view
from numtape.spec import spec_of
from numtape.tensor import Tensor, alias


def given(name: str, result, out):
    """The result, or `out` with it."""
    return result if out is None else into(name, result, out)


def fresh(x: Tensor) -> Tensor:
    """A contiguous copy in new memory, recorded."""
    return recorded(copied(x, spec_of(x._spec.dtype, x._spec.device, x._spec.shape)), "clone", (x,), lambda n, g: (g,))


# ------------------------------------------------------------------------------------------------ order
@composite
def flip(input, *dims):
    "The elements in reverse order along the dims; always a copy."
    x = tensor_of("flip", input)
    s = x._spec
    given_dims = sizes_of("flip", dims)
    found = tuple(layout.dim_of("flip", d, s.ndim) for d in given_dims)
    if len(set(found)) != len(found):
        raise RuntimeError(f"flip: dim {next(d for d in found if found.count(d) > 1)} appears multiple times in the list of dims {given_dims}")
    return _flipped(x, found if s.ndim else ())


def _flipped(x: Tensor, dims: tuple[int, ...]) -> Tensor:
    s = x._spec
    strides = tuple(-n if d in dims else n for d, n in enumerate(s.strides))
    first = builtins.sum((s.shape[d] - 1) * s.strides[d] for d in dims) if s.numel else 0
    backwards = alias(x, like(x, s.shape, strides), first)  # read from the last element to the first
    out = copied(backwards, like(x, s.shape, layout.output_strides(s.shape, [(s.shape, s.strides)])))
    return recorded(out, "flip", (x,), lambda n, g: (_flipped(g, dims),))


@composite
def fliplr(input):
    "Columns in reverse order."
    if tensor_of("fliplr", input).ndim < 2:
        raise RuntimeError("fliplr: Input must be >= 2-d.")
    return flip(input, 1)


@composite
def flipud(input):
    "Rows in reverse order."
    if tensor_of("flipud", input).ndim < 1:
        raise RuntimeError("flipud: Input must be >= 1-d.")
    return flip(input, 0)


@composite
def roll(input, shifts, dims=None):
    "The elements moved by `shifts` along the dims; what leaves at one end comes in at the other."
    x = tensor_of("roll", input)
    shifts = sizes_of("roll", shifts if isinstance(shifts, (tuple, list)) else (shifts,))
    dims = () if dims is None else sizes_of("roll", dims if isinstance(dims, (tuple, list)) else (dims,))
    if not shifts:
        raise RuntimeError("roll: `shifts` required")
    if not dims and len(shifts) == 1:
        return reshape(roll(flatten(x), shifts, 0), x.shape)
    if len(shifts) != len(dims):
        raise RuntimeError(f"roll: shifts and dimensions must align. shifts: {len(shifts)}, dims:{len(dims)}")
    if not x._spec.numel:
        return clone(x)
    for shift, dim in zip(shifts, dims):
        d = layout.dim_of("roll", dim, x._spec.ndim)
        if not x._spec.ndim:
            return clone(x)
        n = x._spec.shape[d]
        cut = -shift % n
        x = cat([narrow(x, d, cut, n - cut), narrow(x, d, 0, cut)], d) if cut else fresh(x)
    return x


@composite
def rot90(input, k=1, dims=(0, 1)):
    "Turned by k times 90 degrees in the plane of two dims, from the first towards the second."
    x = tensor_of("rot90", input)
    if len(dims) != 2:
        raise RuntimeError(f"rot90: expected total rotation dims == 2, but got dims = {len(dims)}")
    if x.ndim < 2:
        raise RuntimeError(f"rot90: expected total dims >= 2, but got total dims = {x.ndim}")
    a, b = dims
    if a == b or abs(a - b) == x.ndim:
        raise RuntimeError(f"rot90: expected rotation dims to be different, but got dim0 = {a} and dim1 = {b}")
    a, b = layout.dim_of("rot90", a, x.ndim), layout.dim_of("rot90", b, x.ndim)
    quarter = k % 4
    if quarter == 2:
        return flip(x, a, b)
    return transpose(flip(x, b if quarter == 1 else a), a, b) if quarter else fresh(x)


# ------------------------------------------------------------------------------------------------ repetition
@composite
def repeat(input, *repeats):
    "The tensor repeated as often along each dim, leading dims being added as needed; a copy."
    x = tensor_of("repeat", input)
    counts = sizes_of("repeat", repeats)
    lead = len(counts) - x.ndim
    if lead < 0:
        raise RuntimeError("repeat: Number of dimensions of repeat dims can not be smaller than number of dimensions of tensor")
    if any(n < 0 for n in counts):
        raise RuntimeError(f"repeat: Trying to create tensor with negative dimension: repeats are {list(counts)}")
    shape = (1,) * lead + x._spec.shape
    apart = reshape(x, [n for size in shape for n in (1, size)])
    many = fresh(expanded(apart, tuple(n for pair in zip(counts, shape) for n in pair)))
    return view(many, [c * n for c, n in zip(counts, shape)])


@composite
def tile(input, *dims):
    "As `repeat`; missing leading counts are 1."
    counts = sizes_of("tile", dims)
    return repeat(input, *((1,) * (tensor_of("tile", input).ndim - len(counts))), *counts)


def positions_of(counts: Tensor, total: int) -> Tensor:
    """0 as often as the first count says, 1 as often as the second, ...; `total` is the sum of the counts."""
    if not total:
        return zeros(0, dtype=dtypes.int64, device=counts.device)
    ends = cumsum(counts, 0)
    one = expanded(zeros(1, dtype=dtypes.int64, device=counts.device) + 1, ends._spec.shape)
    # how many runs end at each place, hence how many have ended before it
    ended = scatter_into_zeros(one, 0, ends, spec_of(dtypes.int64, counts._spec.device, (total + 1,)))
    return cumsum(narrow(ended, 0, 0, total), 0)


def ranges(first: Tensor, counts: Tensor):
    """For each row the numbers first, first + 1, ..., `counts` of them: (the rows of the numbers, the numbers)."""
    total = int(counts.sum())
    rows = positions_of(counts, total)
    skipped = first - (cumsum(counts, 0) - counts)
    return rows, arange(total, device=counts.device) + index_select(skipped, 0, rows)


@composite(domain="index")
def repeat_interleave(input, repeats=None, dim=None, *, output_size=None):
    "Each element (or each index of `dim`) repeated: one number for all, or a tensor with one each. Without `repeats`, positions as `input` says."
    x = tensor_of("repeat_interleave", input)
    if repeats is None:
        return positions_of(_counts(x), _total(x, output_size))
    if dim is None:
        x, dim = flatten(x), 0
    d = layout.dim_of("repeat_interleave", dim, x.ndim)
    if not x.ndim:
        x = reshape(x, 1)
    n = x._spec.shape[d]
    if isinstance(repeats, Tensor) and repeats.numel() == 1 and repeats.ndim < 2:
        _counts(repeats.reshape(1))
        repeats = int(repeats)
    if not isinstance(repeats, Tensor):
        repeats = repeats.__index__()
        if repeats < 0:
            raise RuntimeError(f"repeat_interleave: repeats must be non-negative, got {repeats}")
        if output_size not in (None, n * repeats):
            raise RuntimeError(f"repeat_interleave: Allocated size does not match required size: output_size is {output_size}, not {n * repeats}")
        shape = x._spec.shape
        many = fresh(expanded(unsqueeze(x, d + 1), (*shape[: d + 1], repeats, *shape[d + 1 :])))
        return view(many, [*shape[:d], n * repeats, *shape[d + 1 :]])
    counts = _counts(repeats)
    if counts._spec.shape[0] != n:
        raise RuntimeError(f"repeat_interleave: repeats must have the same size as input along dim, but got repeats.size(0) = {len(repeats)} and input.size({d}) = {n}")
    return index_select(x, d, positions_of(counts, _total(counts, output_size)))


def _counts(repeats: Tensor) -> Tensor:
    if repeats.ndim != 1:
        raise RuntimeError(f"repeat_interleave: repeats must be 0-dim or 1-dim tensor, got shape {tuple(repeats.shape)}")
    if repeats.dtype not in (dtypes.int64, dtypes.int32):
        raise RuntimeError(f"repeat_interleave: repeats has to be Long or Int tensor, got {repeats.dtype}")
    repeats = repeats.detach().to(dtypes.int64)
    if repeats.numel() and int(repeats.amin()) < 0:
        raise RuntimeError("repeat_interleave: repeats can not be negative")
    return repeats


def _total(counts: Tensor, expected) -> int:
    total = int(counts.sum())
    if expected not in (None, total):
        raise RuntimeError(f"repeat_interleave: Allocated size does not match required size: output_size is {expected}, not {total}")
    return total


# ------------------------------------------------------------------------------------------------ grids
@composite
def meshgrid(*tensors, indexing=None):
    "Views of vectors as a grid: result i varies along dim i ('ij'), or with the first two dims exchanged ('xy')."
    if len(tensors) == 1 and isinstance(tensors[0], (list, tuple)):
        tensors = tuple(tensors[0])
    if indexing is None:
        warnings.warn("meshgrid: in an upcoming release, it will be required to pass the indexing argument; 'ij' is taken", stacklevel=2)
        indexing = "ij"
    tensors = tuple(_joined("meshgrid", tensors))
    if indexing not in ("ij", "xy"):
        raise RuntimeError(f'meshgrid: indexing must be one of "xy" or "ij", but received: {indexing}')
    for t in tensors:
        if t.ndim > 1:
            raise RuntimeError(f"meshgrid: Expected scalar or 1D tensor in the tensor list but got: {tuple(t.shape)}")
        if t.dtype is not tensors[0].dtype:
            raise RuntimeError("meshgrid: expects all tensors to have the same dtype")
    turn = indexing == "xy" and len(tensors) > 1
    order = (tensors[1], tensors[0], *tensors[2:]) if turn else tensors
    shape = tuple(t.numel() for t in order)
    grids = [expanded(reshape(t, [-1 if k == i else 1 for k in range(len(shape))]), shape) for i, t in enumerate(order)]
    return (grids[1], grids[0], *grids[2:]) if turn else tuple(grids)


@composite
def cartesian_prod(*tensors):
    "All tuples of one element of each vector, one a row."
    tensors = _joined("cartesian_prod", tensors)
    for t in tensors:
        if t.ndim != 1:
            raise RuntimeError(f"cartesian_prod: Expect a 1D vector, but got shape {tuple(t.shape)}")
    if len(tensors) == 1:
        return tensors[0]
    return cat([reshape(g, -1, 1) for g in meshgrid(*tensors, indexing="ij")], 1)


@composite
def combinations(input, r=2, with_replacement=False):
    "All choices of r elements of a vector, in order of their positions, one a row."
    x = tensor_of("combinations", input)
    if x.ndim != 1:
        raise RuntimeError(f"combinations: Expect a 1D vector, but got shape {tuple(x.shape)}")
    if r < 0:
        raise RuntimeError(f"combinations: Expect a non-negative number, but got {r}")
    if r == 0:
        return empty(0, dtype=x.dtype, device=x.device)
    n = x.numel()
    chosen = arange(n, device=x.device).reshape(n, 1)
    for _ in range(r - 1):  # each choice so far goes on with what stands behind its last
        first = chosen[:, -1] + (0 if with_replacement else 1)
        rows, last = ranges(first, n - first)
        chosen = cat([index_select(chosen, 0, rows), unsqueeze(last, 1)], 1)
    return index_select(x, 0, chosen.reshape(-1)).reshape(-1, r)


@composite(creation=True)
def tril_indices(row, col, offset=0, *, dtype=None, device=None, layout=None):
    "The row and column numbers of a matrix's lower triangle, row by row; `offset` moves the diagonal to the right."
    return _triangle("tril_indices", row, col, offset + 1, False, dtype, device)


@composite(creation=True)
def triu_indices(row, col, offset=0, *, dtype=None, device=None, layout=None):
    "The row and column numbers of a matrix's upper triangle, row by row; `offset` moves the diagonal to the right."
    return _triangle("triu_indices", row, col, offset, True, dtype, device)


def _triangle(name, row, col, diagonal, upper, dtype, device):
    """Both rows of indices by one kernel; `diagonal` is the column at which an upper triangle begins in row 0, and a lower one ends."""
    for label, n in (("row", row), ("col", col)):
        if n < 0:
            raise RuntimeError(f"{name}: {label} must be non-negative, got {n}")
    below = lambda n: max(n, 0) * (max(n, 0) - 1) // 2  # the sum of the numbers below n
    above = below(diagonal) - below(diagonal - col)
    count = below(row + diagonal) - below(row + diagonal - col) - above
    count = row * col - count if upper else count
    kind = dtypes.int64 if dtype is None else dtypes.check(name, dtype)
    found = empty(2, count, dtype=kind if kind is dtypes.int32 else dtypes.int64, device=device)
    if count:
        with placing(found._spec.device):
            table = pattern(found._spec.device, "fill").triangle(found._spec.dtype.code, row, col)
        launch(table.address, found._address, count, col, diagonal, above, int(upper))
    return found.to(kind)


def broadcast_shapes(*shapes):
    """The common shape that shapes broadcast to."""
    from numtape.spec import Size

    return Size(layout.broadcast_shapes("broadcast_shapes", *((s,) if isinstance(s, int) else tuple(s) for s in shapes)))


FUNCTIONS = {"broadcast_shapes": broadcast_shapes}
METHOD_ONLY = {"repeat": repeat}
FUNCTION_ONLY = {"meshgrid", "cartesian_prod", "combinations", "tril_indices", "triu_indices"}

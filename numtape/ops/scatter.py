"""Scattering along a dim: what stands in `src` is stored, added or otherwise combined where `index` says.

`out[index[i][j][k]][j][k] = src[i][j][k]` for dim 0, and likewise along other dims. Lines along the dim are independent of each other, and
each goes in order: the last of equal places wins, and sums are the same bits for any number of threads.
"""

from __future__ import annotations

import functools

from numtape import dtypes, layout
from numtape.autograd import mode, tape
from numtape.dispatch.elementwise import same_device
from numtape.kernels import pattern
from numtape.ops import places
from numtape.ops.copy import tensor_of, write_into
from numtape.ops.creation import ones_like, zeros_like
from numtape.ops.define import composite
from numtape.ops.index import gather
from numtape.ops.part import narrow
from numtape.ops.scan import run_lines
from numtape.ops.select import where
from numtape.ops.view import expanded
from numtape.spec import spec_of
from numtape.tensor import Tensor, alias, empty


def _index_of(name: str, x: Tensor, index) -> Tensor:
    if not isinstance(index, Tensor):
        raise TypeError(f"{name}(): argument 'index' must be Tensor, not {type(index).__name__}")
    if index._spec.dtype not in (dtypes.int64, dtypes.int32):
        raise RuntimeError(f"{name}(): Expected dtype int32/int64 for index, got {index._spec.dtype.name}")
    same_device(name, x, index)
    return places.whole_numbers(index)


def _checked(name: str, x: Tensor, dim, index, src=None, in_range=True):
    """(dim, index, src) as the kernels take them: src no larger than the index; or the error that PyTorch raises.

    in_range: look at every index as well; what writes into a copy need not, its kernel says which index is wrong."""
    index = _index_of(name, x, index)
    d = layout.dim_of(name, dim, x._spec.ndim)
    if src is not None:
        if not isinstance(src, Tensor):
            raise TypeError(f"{name}(): argument 'src' must be Tensor, not {type(src).__name__}")
        if src._spec.dtype is not x._spec.dtype:
            raise RuntimeError(f"{name}(): Expected self.dtype to be equal to src.dtype, got {x._spec.dtype.name} and {src._spec.dtype.name}")
        same_device(name, x, src)
    if not index._spec.numel:
        return d, index, src
    ndim = max(x._spec.ndim, 1)
    if max(index._spec.ndim, 1) != ndim:
        raise RuntimeError(f"{name}(): Index tensor must have the same number of dimensions as self tensor, got {list(index.shape)} for {list(x.shape)}")
    if src is not None and max(src._spec.ndim, 1) != ndim:
        raise RuntimeError(f"{name}(): Index tensor must have the same number of dimensions as src tensor, got {list(index.shape)} for {list(src.shape)}")
    index, own = (index if index._spec.ndim else index.reshape(1)), x._spec.shape or (1,)
    too_large = index._spec.shape != own and any(k != d and i > n for k, (i, n) in enumerate(zip(index._spec.shape, own)))
    if src is not None:
        src = src if src._spec.ndim else src.reshape(1)
        too_large = too_large or index._spec.shape != src._spec.shape and any(i > n for i, n in zip(index._spec.shape, src._spec.shape))
        beside = f" and to be no larger size than src {list(src.shape)}"
    if too_large:
        raise RuntimeError(
            f"{name}(): Expected index {list(index.shape)} to be no larger than self {list(x.shape)} apart from dimension {d}{beside if src is not None else ''}"
        )
    if src is not None and src._spec.shape != index._spec.shape:
        for k, n in enumerate(index._spec.shape):
            if src._spec.shape[k] != n:
                src = narrow(src, k, 0, n)
    if in_range:
        check_range(name, index, d, own[d])
    return d, index, src


def check_range(name: str, index: Tensor, d: int, size: int, kind=RuntimeError) -> None:
    """Look at every index before anything is written: an error of that kind where one is no position in a dim of that size."""
    lines, device = pattern(index._spec.device, "lines"), index._spec.device
    cell = places.error_cell(name, device, size, d)
    text = lines.text("index_check", "int64", (), ("i64",), lines.CHECK, extra=2, setup=("size, bad = p[1], out_i64(p[2])",))
    if index._spec.numel:
        along = min(range(index._spec.ndim), key=lambda k: (index._spec.shape[k] == 1, index._spec.strides[k]), default=0)  # as it lies in memory
        run_lines("index_check", text, (index,), along, index._spec.shape[along], (size, cell.address))
    places.check((cell,), kind)


def _run(name: str, how: str, x: Tensor, d: int, index: Tensor, src: Tensor) -> None:
    """Combine src into x along d at an index that was checked, or in a copy; not recorded."""
    if not index._spec.numel:
        return
    x = alias(x) if x._spec.ndim else x.reshape(1)
    if src._storage is x._storage:
        src = alias(src).clone()
    if index._storage is x._storage:
        index = alias(index).clone()
    if x._spec.dtype.is_half and how != "store":  # added up as float32
        wide = alias(x).float()
        _run(name, how, wide, d, index, alias(src).float())
        write_into(wide, x, name)
        return
    lines, kind = pattern(x._spec.device, "lines"), x._spec.dtype
    cell = places.error_cell(name, x._spec.device, x._spec.shape[d], d)
    run_lines(f"scatter_{how}", text_of(lines, how, kind), (x, alias(src), index), d, index._spec.shape[d], (x._spec.shape[d], cell.address))
    places.check((cell,), RuntimeError)


@functools.cache
def text_of(lines, how: str, kind):
    """The kernel's text of a scatter of that kind, for elements of a dtype."""
    code = places.MEMORY[kind.itemsize] if how == "store" else kind.code
    table = lines.COMBINED_BOOLS if kind is dtypes.bool else lines.COMBINED
    body = lines.SCATTER.format(stored=table[how].format(code=code))
    return lines.by_index(f"scatter_{how}", code, (code,), (code, "i64"), body, extra=2, setup=("size, bad = p[3], out_i64(p[4])",))


def _number(name: str, x: Tensor, value, index: Tensor) -> Tensor:
    """A number as a src of the index's shape, all of it one element in memory."""
    one = empty(spec_of(x._spec.dtype, x._spec.device, ()), name)
    one.fill_(value)
    return expanded(one, index._spec.shape)


# ------------------------------------------------------------------------------------------------ scatter
def _scatter(name: str, x: Tensor, dim, index, src, reduce, inplace: bool) -> Tensor:
    if reduce not in (None, "add", "multiply"):
        raise RuntimeError("reduce argument must be either add or multiply.")
    if isinstance(src, Tensor):
        d, index, src = _checked(name, x, dim, index, src, in_range=inplace)
    else:
        d, index, _ = _checked(name, x, dim, index, in_range=inplace)
        src = _number(name, x, src, index)
    how = {None: "store", "add": "add", "multiply": "multiply"}[reduce]
    if reduce == "multiply" and (tape.needs_grad(x) or tape.needs_grad(src)):
        raise RuntimeError(f"{name}(): reduce='multiply' has no derivative, as in PyTorch; use scatter_reduce(dim, index, src, 'prod')")
    of_x, of_src, shape = tape.needs_grad(x), tape.needs_grad(src), src._spec.shape

    def pull(node, g):
        (saved,) = node.unpack()
        left = right = None
        if of_x:
            left = g if how == "add" else scatter(g, d, saved, 0)
        if of_src:
            right = gather(g, d, saved) if saved._spec.numel else places.zeros(shape, g)
        return left, right

    return places.changed(name, x, (src,), lambda memory: _run(name, how, memory, d, index, src), pull, save=(index,), inplace=inplace)


def _value(name: str, src, value):
    """What is scattered: `src`, or a number given as `value`."""
    if (src is None) == (value is None):
        raise TypeError(f"{name}() needs src, a tensor, or value, a number")
    return src if value is None else value


@composite
def scatter(input, dim, index, src=None, *, value=None, reduce=None):
    "The tensor with `src` (or a number) stored along a dim where `index` says; or added or multiplied there with `reduce`."
    return _scatter("scatter", tensor_of("scatter", input), dim, index, _value("scatter", src, value), reduce, False)


def scatter_(self, dim, index, src=None, *, value=None, reduce=None):
    """Store `src` (or a number) along a dim where `index` says; or add or multiply it there with `reduce`."""
    places.check_target(self, "scatter_")
    return _scatter("scatter_", self, dim, index, _value("scatter_", src, value), reduce, True)


def _tensor_src(name: str, src) -> Tensor:
    if not isinstance(src, Tensor):
        raise TypeError(f"{name}(): argument 'src' must be Tensor, not {type(src).__name__}")
    return src


@composite
def scatter_add(input, dim, index, src):
    "The tensor with `src` added along a dim where `index` says, in the order of the index."
    return _scatter("scatter_add", tensor_of("scatter_add", input), dim, index, _tensor_src("scatter_add", src), "add", False)


def scatter_add_(self, dim, index, src):
    """Add `src` along a dim where `index` says, in the order of the index."""
    places.check_target(self, "scatter_add_")
    return _scatter("scatter_add_", self, dim, index, _tensor_src("scatter_add_", src), "add", True)


# ------------------------------------------------------------------------------------------------ scatter_reduce
_REDUCTIONS = {"sum": "add", "mean": "add", "prod": "multiply", "amax": "amax", "amin": "amin"}


def _identity(reduce: str, kind):
    if reduce in ("amax", "amin"):
        if kind.is_floating_point:
            return float("-inf" if reduce == "amax" else "inf")
        if kind is dtypes.bool:
            return reduce == "amin"
        bits = 8 * kind.itemsize - (1 if kind.is_signed else 0)
        return (-(2**bits) if kind.is_signed else 0) if reduce == "amax" else 2**bits - 1
    return 1 if reduce == "prod" else 0


def _scatter_reduce(name: str, x: Tensor, dim, index, src, reduce, include_self: bool, inplace: bool) -> Tensor:
    if reduce not in _REDUCTIONS:
        raise RuntimeError(f"reduce argument must be either sum, prod, mean, amax or amin, got {reduce}")
    kind = x._spec.dtype
    if reduce == "mean" and kind is dtypes.bool:
        raise RuntimeError(f"{name}(): the mean of bools is not defined")
    d, index, src = _checked(name, x, dim, index, _tensor_src(name, src))
    if not index._spec.numel:
        return x if inplace else x.clone()

    def write(memory):
        if not include_self:
            _run(name, "store", memory, d, index, _number(name, memory, _identity(reduce, kind), index))
        _run(name, _REDUCTIONS[reduce], memory, d, index, src)
        if reduce == "mean":
            (memory.div_ if kind.differentiable else memory.floor_divide_)(counts())

    def counts():
        """How many values each element is the mean of."""
        ones = alias(x).detach()
        ones = (ones_like if include_self else zeros_like)(ones)
        _run(name, "add", ones, d, index, _number(name, ones, 1, index))
        return ones if include_self else ones.masked_fill(ones.eq(0), 1)

    differentiated = kind.differentiable and mode.state.enabled and (tape.needs_grad(x) or tape.needs_grad(src))
    if differentiated and kind.is_complex and reduce not in ("sum", "mean"):
        raise NotImplementedError(f"{name}: {reduce} of complex tensors has no derivative yet; detach them first")
    if not differentiated:
        pull, save = None, ()
    elif reduce in ("sum", "mean"):
        share = counts() if reduce == "mean" else None
        save = (index, share)

        def pull(node, g):
            saved, share = node.unpack()
            g = g if share is None else g / share
            return g if include_self else scatter(g, d, saved, 0), gather(g, d, saved)
    else:
        rule = _pull_product if reduce == "prod" else _pull_extremum
        save = (index, _before(x) if inplace else x, _before(src) if src._storage is x._storage else src)

        def pull(node, g):
            saved, own, values = node.unpack()
            left, right = rule(g, own, d, saved, values, include_self, reduce)
            return left if include_self else scatter(left, d, saved, 0), right

    return places.changed(name, x, (src,), write, pull, save=save, inplace=inplace)


def _before(x: Tensor) -> Tensor:
    """A copy of what is about to be overwritten, connected to the old history."""
    return x.clone()


def _pull_product(g, x, d, index, src, include_self, reduce):
    """Each factor's gradient is the product of the others; exact also where one of them is zero."""
    factors = x if include_self else scatter(x, d, index, 1)
    if not include_self:
        factors = factors.detach()
    zeros = scatter_add(factors.eq(0).to(x.dtype), d, index, src.eq(0).to(src.dtype))
    rest = scatter_reduce(where(factors == 0, 1.0, factors), d, index, where(src == 0, 1.0, src), "prod")

    def others(values, zeros, rest):
        return where(zeros == 0, rest / where(values == 0, 1.0, values), where((zeros == 1) & (values == 0), rest, 0.0))

    return g * others(factors, zeros, rest), gather(g, d, index) * others(src, gather(zeros, d, index), gather(rest, d, index))


def _pull_extremum(g, x, d, index, src, include_self, reduce):
    """Those that equal the extremum share its gradient."""
    result = scatter_reduce(x.detach(), d, index, src.detach(), reduce, include_self=include_self)
    own = x.detach().eq(result).to(x.dtype)
    from_src = src.detach().eq(gather(result, d, index)).to(src.dtype)
    if not include_self:
        own = scatter(own, d, index, 0)
    share = g / scatter_add(own, d, index, from_src).clamp(min=1)
    return own * share, from_src * gather(share, d, index)


@composite
def scatter_reduce(input, dim, index, src, reduce, *, include_self=True):
    "The tensor with `src` taken in along a dim where `index` says: by sum, prod, mean, amax or amin, with or without what stood there."
    return _scatter_reduce("scatter_reduce", tensor_of("scatter_reduce", input), dim, index, src, reduce, include_self, False)


def scatter_reduce_(self, dim, index, src, reduce, *, include_self=True):
    """Take `src` in along a dim where `index` says: by sum, prod, mean, amax or amin, with or without what stood there."""
    places.check_target(self, "scatter_reduce_")
    return _scatter_reduce("scatter_reduce_", self, dim, index, src, reduce, include_self, True)


METHODS = {"scatter_": scatter_, "scatter_add_": scatter_add_, "scatter_reduce_": scatter_reduce_}

"""Scans along a dim, and the positions of extrema."""

from __future__ import annotations

import functools
from math import prod
from typing import NamedTuple

from numtape import dtypes, layout
from numtape.dispatch.functions import into
from numtape.dispatch.record import recorded
from numtape.kernels import pattern, placing
from numtape.kernels.cpu.driver import launch
from numtape.op import accumulating, refuse_complex
from numtape.ops import reduce
from numtape.ops.copy import copied, tensor_of
from numtape.ops.define import composite
from numtape.spec import spec_of
from numtape.tensor import Tensor, alias, empty


class values_indices(NamedTuple):
    """What max and min over a dim return."""

    values: Tensor
    indices: Tensor


def run_lines(name, text, tensors, dim, length, extra=(), reverse=False, shape=None) -> None:
    """Launch a line kernel over `tensors` (outputs first), along `dim` of each."""
    key = (text, dim, length, reverse, shape, *[t._spec for t in tensors])
    found = _tables.get(key)
    if found is None:
        if len(_tables) > 4096:
            _tables.clear()
        found = _tables[key] = _lay_out(name, text, [t._spec for t in tensors], dim, length, len(extra), reverse, shape)
    table, skips = found
    if table is not None:
        launch(table.address, *[t._address + skip for t, skip in zip(tensors, skips)], *extra)


_tables: dict = {}


def _lay_out(name, text, specs, dim, length, extra, reverse, shape):
    """The launch of a line kernel, and how far from each tensor's address it starts; (None, ()) if there is nothing to do."""
    shape = shape or specs[-1].shape
    rest = [d for d in range(len(shape)) if d != dim]
    sizes, strides = layout.coalesce(tuple(shape[d] for d in rest), *[tuple(s.strides[d] for d in rest) for s in specs])
    if prod(sizes) == 0:
        return None, ()
    sign = -1 if reverse else 1
    steps = [sign * (s.strides[dim] if s.ndim else 1) for s in specs]
    with placing(specs[0].device):
        table = pattern(specs[0].device, "lines").table(name, text, length, steps, sizes, strides, extra)
    return table, [(length - 1) * s.strides[dim] * s.dtype.itemsize if reverse else 0 for s in specs]


def _cumsum(x: Tensor, d: int, kind, reverse: bool) -> Tensor:
    out = empty(spec_of(kind, x._spec.device, x._spec.shape), "cumsum")
    if not x._spec.ndim:
        return copied(x, out._spec)
    if x._spec.numel:
        run_lines("cumsum", _cumsum_text(pattern(x._spec.device, "lines"), x._spec.dtype, kind), (out, x), d, x._spec.shape[d], reverse=reverse)
    return out


@functools.cache
def _cumsum_text(template, source, kind) -> str:
    accumulate = "f64" if source.is_floating_point else "c128" if source.is_complex else "i64"
    body = template.CUMSUM.format(accumulate=accumulate, test=" != 0" if source is dtypes.bool else "", code=kind.code)
    return template.running("cumsum", f"{source.name} -> {kind.name}", kind.code, source.code, body, accumulate)


@functools.cache
def _extremum_text(template, name: str, kind) -> str:
    body = template.EXTREMUM.format(sign=">" if name in ("max", "argmax") else "<")
    return template.text(name, kind.name, (kind.code, "i64"), (kind.code,), body)


@composite
def cumsum(input, dim, *, dtype=None, out=None):
    "The running sum along a dim."
    x = tensor_of("cumsum", input)
    d = layout.dim_of("cumsum", dim, x._spec.ndim)
    if dtype is not None:
        x = x.to(dtype)
    result = _cumsum_recorded(x, d, False)
    result = result if dtype is None else result.to(dtype)
    return result if out is None else into("cumsum", result, out)


def _cumsum_recorded(x, d, reverse):
    result = _cumsum(x, d, accumulating(x._spec.dtype), reverse)
    return recorded(result, "cumsum", (x,), lambda n, g: (_cumsum_recorded(g, d, not reverse),))


# ------------------------------------------------------------------------------------------------ positions
def _extremum(name: str, x: Tensor, d: int):
    """The extreme values over a dim and where they first stand; not recorded. A NaN wins."""
    refuse_complex(name, x._spec.dtype)
    if x._spec.dtype is dtypes.bool:
        values, indices = _extremum(name, x.to(dtypes.uint8), d)
        return values.to(dtypes.bool), indices
    s = x._spec
    shape = tuple(n for k, n in enumerate(s.shape) if k != d)
    if s.ndim and s.shape[d] == 0:
        raise IndexError(f"{name}(): Expected reduction dim {d} to have non-zero size.")
    values = empty(spec_of(s.dtype, s.device, shape), name)
    indices = empty(spec_of(dtypes.int64, s.device, shape), name)
    text = _extremum_text(pattern(s.device, "lines"), name, s.dtype)
    if s.ndim == 0:
        run_lines(name, text, (values, indices, x), 0, 1, shape=())
    else:
        kept = (*s.shape[:d], 1, *s.shape[d + 1 :])
        padded = [alias(t, spec_of(t._spec.dtype, s.device, kept)) for t in (values, indices)]
        run_lines(name, text, (*padded, x), d, s.shape[d])
    return values, indices


def _arg(name: str, input, dim, keepdim):
    x = tensor_of(name, input).detach()
    if x._spec.dtype is dtypes.bool:
        raise RuntimeError(f"{name}(): does not support bool input; convert with .to(numtape.uint8)")
    if dim is None:
        if not x._spec.numel:
            raise IndexError(f"{name}(): Expected reduction dim to be specified for input.numel() == 0.")
        out = _extremum(name, x.reshape(-1), 0)[1]
        return out.reshape((1,) * x.ndim) if keepdim else out
    d = layout.dim_of(name, dim, x._spec.ndim)
    out = _extremum(name, x, d)[1]
    return out.unsqueeze(d) if keepdim and x.ndim else out


@composite
def argmax(input, dim=None, keepdim=False, *, out=None):
    "The position of the largest element, over a dim or in the flattened tensor; the first of equals."
    result = _arg("argmax", input, dim, keepdim)
    return result if out is None else into("argmax", result, out)


@composite
def argmin(input, dim=None, keepdim=False, *, out=None):
    "The position of the smallest element, over a dim or in the flattened tensor; the first of equals."
    result = _arg("argmin", input, dim, keepdim)
    return result if out is None else into("argmin", result, out)


def _extreme(name, whole, elementwise, input, dim, keepdim):
    x = tensor_of(name, input)
    if dim is None:
        return whole(x)
    if isinstance(dim, Tensor):
        return elementwise(x, dim)
    d = layout.dim_of(name, dim, x._spec.ndim)
    values, indices = _extremum(name, x, d)
    kept = indices.unsqueeze(d) if x.ndim else indices
    if x.requires_grad:
        from numtape.ops.index import scatter_into_zeros

        spec = x._spec

        def pull(node, g):
            g = g.unsqueeze(d) if spec.ndim else g
            return (scatter_into_zeros(g, d, *node.unpack(), spec),)

        recorded(values, name, (x,), pull, save=(kept,))
    if keepdim and x.ndim:
        values, indices = values.unsqueeze(d), kept
    return values_indices(values, indices)


def _given(name, result, out):
    """The result, copied into the tensor or the pair of tensors given as `out=`."""
    if out is None:
        return result
    if isinstance(result, Tensor):
        return into(name, result, out)
    if not isinstance(out, (tuple, list)) or len(out) != 2:
        raise TypeError(f"{name}: out: expected a pair of tensors (values, indices), got {type(out).__name__}")
    return values_indices(*(into(name, r, o) for r, o in zip(result, out)))


@composite
def max(input, dim=None, keepdim=False, *, other=None, out=None):
    "The largest element; over a dim, (values, indices); with a second tensor, the elementwise maximum."
    from numtape.ops.arithmetic import maximum

    return _given("max", _extreme("max", reduce.amax, maximum, input, dim if other is None else other, keepdim), out)


@composite
def min(input, dim=None, keepdim=False, *, other=None, out=None):
    "The smallest element; over a dim, (values, indices); with a second tensor, the elementwise minimum."
    from numtape.ops.arithmetic import minimum

    return _given("min", _extreme("min", reduce.amin, minimum, input, dim if other is None else other, keepdim), out)
